--- cases.lua: what can stand in a select, and what it does there.
--
-- What a case does is its kind, a table of functions:
--   ready(case)          whether the operation would not block now
--   take(source, sends)  performs it: what select returns after the key
--   park(case)           links it into its source; or, where that cannot be, does not and returns
--                        an errno name, which select returns after the key: nil, code
--   unpark(case)         takes it out
--   results(value)       what select returns for the value that fired it; a kind without it
--                        is performed by take() when its task runs
--   claim(case)          (instead of take, where being ready is no promise) tries to perform it: a
--                        value for results(); or nil, and the case is to wait on
-- A source ends a case's wait by case:fire(value), having taken it out. One that cannot tell for
-- whom an event is calls case:poke(), and the case looks again.

local chan = require('lagoon.chan')
local misuse = require('lagoon.misuse')

local type, tostring, setmetatable, getmetatable = type, tostring, setmetatable, getmetatable
local can_recv, can_send, CLOSED = chan.can_recv, chan.can_send, chan.CLOSED

local M = {}

local RECV = {}

function RECV.ready(case)
  return can_recv(case.source)
end

function RECV.take(ch)
  return ch:recv()
end

function RECV.park(case)
  chan.park_recv(case.source, case)
end

function RECV.unpark(case)
  chan.unpark_recv(case.source, case)
end

function RECV.results(value)
  if value == CLOSED then
    return nil, false
  end
  return value, true
end

local SEND = {}

function SEND.ready(case)
  return can_send(case.source)
end

function SEND.take(ch, v)
  return ch:send(v)
end

function SEND.park(case)
  chan.park_send(case.source, case, case.sends)
end

function SEND.unpark(case)
  chan.unpark_send(case.source, case)
end

function SEND.results(value)
  if value == CLOSED then
    return nil, 'closed'
  end
  return true
end

--- The kinds whose sources are channels.
M.RECV, M.SEND = RECV, SEND

-- What recv(), send(), readable() and writable() return: a kind, a source, and a handler.
local Operation = {}
Operation.__index = Operation

--- An operation to stand as a case.
function M.operation(kind, source, sends, handler)
  if handler ~= nil then
    misuse.check_function(handler, 'the handler of a case')
  end
  local operation = { kind = kind, source = source, sends = sends, handler = handler or false }
  return setmetatable(operation, Operation)
end

local function check_chan(ch)
  if not chan.is(ch) then
    misuse.raise('channel expected, got %s', type(ch))
  end
  return ch
end

--- A case that receives; the handler, if any, gets v, ok.
---@param ch lagoon.Chan
---@param f? fun(v: any, ok: boolean): ...
function M.recv(ch, f)
  return M.operation(RECV, check_chan(ch), nil, f)
end

--- A case that sends; the handler, if any, gets true, or nil, "closed".
---@param ch lagoon.Chan
---@param v any
---@param f? fun(sent: true?, err: string?): ...
function M.send(ch, v, f)
  return M.operation(SEND, check_chan(ch), v, f)
end

-- The kind of a bare value: other modules add theirs by its metatable.
local kinds = setmetatable({ [chan.Chan] = RECV }, { __mode = 'k' })

-- What a message says of values with the metatable that are no cases, and what to write instead.
local advice = setmetatable({}, { __mode = 'k' })

--- Lets values with the metatable stand as bare cases.
function M.register(metatable, kind)
  kinds[metatable] = kind
end

--- Has a select of values with the metatable, which are no cases, say what they are.
---@param text string as "a ticker: use ticker.ch"
function M.advise(metatable, text)
  advice[metatable] = text
end

local function kind_of(value)
  local meta = getmetatable(value)
  if type(value) == 'userdata' or type(value) == 'table' then
    return kinds[meta]
  end
end

local function what_is(value)
  return advice[getmetatable(value)] or (value == nil and 'nil') or 'a ' .. type(value)
end

-- What the script wrote under the key, as kind, source, sends, handler. Misuse if it is nothing
-- that can be selected on.
function M.understand(key, value)
  if chan.is(value) then
    return RECV, value, false, false
  elseif type(value) == 'table' and getmetatable(value) == Operation then
    return value.kind, value.source, value.sends, value.handler
  end
  local kind = kind_of(value)
  if not kind then
    local name = type(key) == 'string' and "'" .. key .. "'" or tostring(key)
    misuse.raise('case %s cannot be selected on: it is %s', name, what_is(value))
  end
  return kind, value, false, false
end

--- Raises unless it is a table of cases, and no case itself.
---@param name string of the function that they were given to
function M.check_cases(cases, name)
  local meta = getmetatable(cases)
  if meta == nil and type(cases) == 'table' then
    return
  elseif kind_of(cases) or meta == Operation then
    misuse.raise('%s takes a table of cases, got a single one: write %s({ ch })', name, name)
  elseif type(cases) ~= 'table' or advice[meta] then
    misuse.raise('%s takes a table of cases, got %s', name, what_is(cases))
  end
end

return M
