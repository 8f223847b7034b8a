--- contexts.lua: what a context is, for `lagoon.context` and for scopes.
--
-- A context knows whether what it stands for is still wanted. Scopes, timeouts and shields are
-- contexts that bound the waits of the task that is in them (frame.lua).

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local chan = require('lagoon.chan')
local cases = require('lagoon.cases')
local frames = require('lagoon.frame')
local canceled = require('lagoon.canceled')
local misuse = require('lagoon.misuse')

local setmetatable, getmetatable, type = setmetatable, getmetatable, type
local format, pairs, rawequal = string.format, pairs, rawequal
local now, huge = host.now, math.huge

local M = {}

---@class lagoon.Context
local Context = {}
Context.__index = Context
M.Context = Context

local classes = { [Context] = true }
M.classes = classes

local function is_context(ctx)
  return type(ctx) == 'table' and classes[getmetatable(ctx)]
end

-- Of what a method is called on.
local function check(ctx)
  if not is_context(ctx) then
    misuse.wrong_self('context', ctx)
  end
  return ctx
end

--- Raises unless it is a context, given as an argument.
function M.check(ctx)
  if not is_context(ctx) then
    misuse.raise('context expected, got %s', type(ctx))
  end
  return ctx
end

--- A context that is not canceled, of a class. Its fields are those of frame.lua, and
--   own        the value of a cancellation that began here; false while there is none
--   limit      the deadline that was set here, on the clock of now(), or false
--   is_shared  whether others than its owner may have it
--   key, data  a value that it has
-- What few of them have is not made here.
function M.new(class)
  return setmetatable({
    false, false, false, false, false, false, false, -- the slots of a timer up to CO
    parent = false,
    outer = false,
    owner = false,
    cause = false,
    code = false,
    own = false,
    limit = false,
  }, class)
end
local new = M.new

--- Cancels it from here. What waits raise is `own` then, by which its boundary knows it again.
---@param code string "canceled" | "timeout"
---@return boolean did
function M.abort(ctx, reason, code)
  if ctx.cause then
    return false
  end
  ctx.own = canceled.new(reason)
  return frames.cancel(ctx, ctx.own, code)
end

--- Its deadline has come.
function Context:expire()
  M.abort(self, 'timeout', 'timeout')
end

--- Cancels it at a time on the clock of now(); never, if that is infinite.
---@param time? number what now() has just said
function M.set_limit(ctx, limit, time)
  ctx.limit = limit
  if ctx.cause then
    return
  elseif limit <= (time or now()) then
    ctx:expire()
  elseif limit < huge then
    heap.arm(ctx, limit)
  end
end

--- A channel that is closed when the context is canceled, times out, or is over.
---@return lagoon.Chan
function Context:done()
  check(self)
  local channel = self.channel
  if not channel then
    channel = chan.new()
    channel.context = self -- as long as somebody has the one, its parents know of the other
    self.channel = channel
    frames.share(self)
    if self.cause then
      channel:close()
    end
  end
  return channel
end

--- Why it is over: "canceled" or "timeout", and the reason that was given; nil while it is not.
---@return string? code
---@return any reason
function Context:err()
  check(self)
  if self.cause then
    return self.code, self.cause.reason
  end
end

--- The value of a key, here or in what it was derived from; nil if there is none.
---@param key any compared by rawequal
function Context:value(key)
  local ctx = check(self)
  while ctx do
    if key ~= nil and rawequal(ctx.key, key) then
      return ctx.data
    end
    ctx = ctx.parent
  end
  return nil
end

--- When it is over at the latest, on the clock of now(): the earliest of its own and those that
-- bound it; nil for never.
---@return number?
function Context:deadline()
  local ctx = check(self)
  local earliest = huge
  while ctx do
    local limit = ctx.limit
    if limit and limit < earliest then
      earliest = limit
    end
    ctx = not ctx.is_shield and ctx.parent
  end
  return earliest < huge and earliest or nil
end

function Context:__tostring()
  if self.cause then
    return format('context (%s)', self.code)
  end
  return 'context'
end

-- As a bare select case: that it is over. select returns what err() does.
local DONE = {}

function DONE.ready(case)
  return case.source.cause
end

function DONE.take(ctx)
  return ctx:err()
end

function DONE.park(case)
  chan.park_recv(case.source:done(), case)
end

function DONE.unpark(case)
  chan.unpark_recv(case.source:done(), case)
end

cases.register(Context, DONE)

--- A class of contexts with methods of its own.
function M.derive(methods)
  for name, method in pairs(Context) do
    methods[name] = methods[name] or method
  end
  methods.__index = methods
  classes[methods] = true
  cases.register(methods, DONE)
  return methods
end

local WEAK = { __mode = 'k' }

--- Has the child canceled when the parent is.
function M.link(child, parent)
  child.parent = parent
  frames.share(parent)
  if parent.cause then
    frames.cancel(child, parent.cause, parent.code)
  elseif parent ~= M.root then
    parent.children = parent.children or setmetatable({}, WEAK)
    parent.children[child] = true
  end
end

M.root = new(Context)

return M
