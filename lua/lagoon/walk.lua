--- walk.lua: what can be reached from what in the Lua heap, as the collector sees it: the mark
-- phase of one, without the sweep.
--
-- It looks into tables, functions (upvalues and environment), coroutines (every value of every
-- frame), userdata (metatable and environment). No metamethod is called. What a table holds weakly
-- is not reached through it; the value of a weak key is, once the key is. Values of the FFI, and
-- what C code holds without telling Lua, cannot be seen.
--
-- A frame's dead variables and temporaries count, since nothing tells them from live ones: what is
-- reached is a little more than what a script can still get at, never less.
--
-- While a walk goes on nothing else may run.

local host = require('lagoon.host')

local not_begun, running = host.not_begun, coroutine.running
local getinfo, getlocal, getupvalue = debug.getinfo, debug.getlocal, debug.getupvalue
local getmetatable, getfenv = debug.getmetatable, debug.getfenv
local type, next, rawget, select, setmetatable = type, next, rawget, select, setmetatable
local find = string.find

local M = {}

local Walk = {}
Walk.__index = Walk

--- A walk that has reached nothing yet.
---@param entry function on this stack: what it calls is the walk's own, and not looked into
function M.new(entry)
  return setmetatable({
    entry = entry,
    reached = {}, -- set of what was reached
    pending = {}, count = 0, -- those of it that were not looked into yet
    classes = {}, -- metatable to a method(walk, table), for tables that need another look
    owned = {}, -- set of coroutines that visit() leaves alone: only push() reaches them
    followers = {}, -- what is reached by way of a weak key once the key is: key to a list
    parked = {}, -- what is to be told that something was reached: thing to a list
    tell = false, -- called as tell(walk, what) then
  }, Walk)
end

--- It is reached, and so is what it holds.
function Walk:push(value)
  local n = self.count + 1
  self.reached[value] = true
  self.pending[n], self.count = value, n
end

local look_into -- type to a method

--- The same for any value, unless that was reached before.
function Walk:visit(value)
  local kind = type(value)
  if look_into[kind] and not self.reached[value] and not self.owned[value] then
    self:push(value)
  end
end

local function add(lists, key, value)
  local list = lists[key]
  if list then
    list[#list + 1] = value
  else
    lists[key] = { value }
  end
end

--- tell(walk, what) is called when `thing` is reached: at once if it is already.
function Walk:when_reached(thing, what)
  if self.reached[thing] then
    self.tell(self, what)
  else
    add(self.parked, thing, what)
  end
end

local function look_into_weak_keys(walk, t)
  for k, v in next, t do
    if not look_into[type(k)] or walk.reached[k] then
      walk:visit(v)
    elseif look_into[type(v)] then
      add(walk.followers, k, v)
    end
  end
end

-- Whether the keys, and the values, are weak.
local function weakness(meta)
  local mode = type(meta) == 'table' and rawget(meta, '__mode')
  if type(mode) == 'string' then
    return find(mode, 'k', 1, true), find(mode, 'v', 1, true)
  end
end

--- What any table holds.
function Walk:look_into_table(t)
  local meta = getmetatable(t)
  self:visit(meta)
  local has_weak_keys, has_weak_values = weakness(meta)
  if has_weak_keys then
    return not has_weak_values and look_into_weak_keys(self, t)
  end
  for k, v in next, t do
    self:visit(k)
    if not has_weak_values then
      self:visit(v)
    end
  end
end

local function look_into_function(walk, f)
  local i = 1
  local name, value = getupvalue(f, i)
  while name do
    walk:visit(value)
    i = i + 1
    name, value = getupvalue(f, i)
  end
  walk:visit(getfenv(f))
end

-- The values of a frame: `step` is 1 for variables and temporaries, -1 for what `...` has.
local function look_into_frame(walk, co, level, step)
  local i = step
  local name, value = getlocal(co, level, i)
  while name do
    walk:visit(value)
    i = i + step
    name, value = getlocal(co, level, i)
  end
end

-- The level of the frame that called the walk's entry, on the running stack.
local function first_level(walk, co)
  local level = 0
  local info = getinfo(co, level, 'f')
  while info and info.func ~= walk.entry do
    level = level + 1
    info = getinfo(co, level, 'f')
  end
  return level + 1
end

local function visit_all(walk, ...)
  for i = 1, select('#', ...) do
    walk:visit((select(i, ...)))
  end
end

local function look_into_coroutine(walk, co)
  walk:visit(getfenv(co))
  visit_all(walk, not_begun(co))
  local level = co == running() and first_level(walk, co) or 0
  local info = getinfo(co, level, 'f')
  while info do
    walk:visit(info.func)
    look_into_frame(walk, co, level, 1)
    look_into_frame(walk, co, level, -1)
    level = level + 1
    info = getinfo(co, level, 'f')
  end
end

local function look_into_userdata(walk, u)
  walk:visit(getmetatable(u))
  walk:visit(getfenv(u))
end

look_into = {
  table = function(walk, t)
    local class = walk.classes[getmetatable(t) or false]
    if class then
      class(walk, t)
    else
      walk:look_into_table(t)
    end
  end,
  ['function'] = look_into_function,
  thread = look_into_coroutine,
  userdata = look_into_userdata,
}

-- Calls act(walk, each) for the list of a key, once.
local function take(walk, lists, key, act)
  local list = lists[key]
  if list then
    lists[key] = nil
    for i = 1, #list do
      act(walk, list[i])
    end
  end
end

--- Looks into all that was reached, and what that reaches, to the end.
function Walk:run()
  while self.count > 0 do
    local value = self.pending[self.count]
    self.pending[self.count] = nil
    self.count = self.count - 1
    look_into[type(value)](self, value)
    take(self, self.followers, value, self.visit)
    take(self, self.parked, value, self.tell)
  end
end

return M
