--- chan.lua: channels.
--
-- send and recv have a path of their own and do not go through select: they are what
-- everything else is made of. A value goes straight from sender to receiver when one of
-- them is parked; the buffer is a ring of a size that never changes.
--
-- Invariants:
--   * receivers are parked only while the buffer is empty, senders only while it is full, and
--     nobody once the channel is closed;
--   * a waiter is a task, or a select case, which takes its siblings out when it fires.

local slots = require('lagoon.slots')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local queue = require('lagoon.queue')

local VALUE = slots.VALUE
local setmetatable, getmetatable, type = setmetatable, getmetatable, type
local format = string.format
local park, hand, self_task = sched.park, sched.hand, sched.self
local push, pop, remove = queue.push, queue.pop, queue.remove

local MAX_CAPACITY = 2 ^ 30

-- The slots of a channel.
local ORIGIN = 0 -- what sends on it, if not a script: it has a description()
local COUNT = 1 -- values in the buffer
local CAPACITY = 2
local OLDEST = 3 -- index of the oldest value in the buffer
local BUFFER = 4 -- false if the capacity is 0
local STATE = 5 -- OPEN, or CLOSED
local RECEIVER, LAST_RECEIVER = 6, 7 -- the queue of who is parked in recv
local SENDER, LAST_SENDER = 8, 9 -- and in send

-- In a waiter's VALUE: that it receives. The states of a channel; the first also tells a channel
-- from anything else, for less than its metatable does, and a waiter gets the other.
local RECEIVING, OPEN, CLOSED = {}, {}, {}

---@class lagoon.Chan
local Chan = {}
Chan.__index = Chan

local M = {
  Chan = Chan,
  CLOSED = CLOSED,
}

--- Makes a channel.
---@param capacity? integer values that it holds without a receiver; 0 if not given
---@return lagoon.Chan
function M.new(capacity)
  if capacity == nil then
    capacity = 0
  elseif capacity ~= 0 then
    misuse.check_integer(capacity, 0, MAX_CAPACITY, 'capacity')
  end
  return setmetatable(
    { 0, capacity, 1, capacity > 0 and {}, OPEN, false, false, false, false },
    Chan
  )
end

function M.is(value)
  local state = type(value) == 'table' and value[STATE]
  return state == OPEN or state == CLOSED
end

local function check(ch)
  if type(ch) ~= 'table' or getmetatable(ch) ~= Chan then
    misuse.wrong_self('channel', ch)
  end
end

local function put(ch, v)
  local at = ch[OLDEST] + ch[COUNT]
  if at > ch[CAPACITY] then
    at = at - ch[CAPACITY]
  end
  ch[BUFFER][at] = v
  ch[COUNT] = ch[COUNT] + 1
end

-- The oldest value; the first parked sender's takes its place.
local function take(ch)
  local buffer, oldest = ch[BUFFER], ch[OLDEST]
  local v = buffer[oldest]
  buffer[oldest] = nil
  ch[OLDEST] = oldest < ch[CAPACITY] and oldest + 1 or 1
  ch[COUNT] = ch[COUNT] - 1
  if ch[SENDER] then
    local sender = pop(ch, SENDER, LAST_SENDER)
    put(ch, sender[VALUE])
    hand(sender, true)
  end
  return v
end

--- Sends a value; parks while the channel is full. Unbuffered, it returns when a receiver has
-- the value.
---@async
---@return true? sent
---@return string? err "closed"
function Chan:send(v)
  if type(self) ~= 'table' or self[STATE] ~= OPEN then
    check(self)
    return nil, 'closed'
  elseif self[RECEIVER] then
    hand(pop(self, RECEIVER, LAST_RECEIVER), v)
    return true
  elseif self[COUNT] < self[CAPACITY] then
    put(self, v)
    return true
  end
  local task = self_task()
  task[VALUE] = v
  push(self, SENDER, LAST_SENDER, task)
  if park(self) == CLOSED then
    return nil, 'closed'
  end
  return true
end

-- Of a channel that is closed, or what is none.
local function recv_closed(ch)
  check(ch)
  if ch[COUNT] > 0 then
    return take(ch), true
  end
  return nil, false
end

--- Receives a value; parks while there is none.
---@async
---@return any v
---@return boolean ok false once the channel is closed and drained
function Chan:recv()
  if type(self) ~= 'table' or self[STATE] ~= OPEN then
    return recv_closed(self)
  elseif self[COUNT] > 0 then
    return take(self), true
  elseif self[SENDER] then
    local sender = pop(self, SENDER, LAST_SENDER)
    local v = sender[VALUE]
    hand(sender, true)
    return v, true
  end
  local task = self_task()
  task[VALUE] = RECEIVING
  push(self, RECEIVER, LAST_RECEIVER, task)
  local v = park(self)
  if v == CLOSED then
    return nil, false
  end
  return v, true
end

--- Takes a parked task out: a channel is a source of the scheduler.
function Chan:unpark(task)
  if task[VALUE] == RECEIVING then
    remove(self, RECEIVER, LAST_RECEIVER, task)
  else
    remove(self, SENDER, LAST_SENDER, task)
    task[VALUE] = false
  end
end

--- What a parked task waits for.
function Chan:reason(task, brief)
  if task[VALUE] ~= RECEIVING then
    return 'chan send'
  end
  local origin = not brief and self[ORIGIN]
  return origin and format('chan recv (%s)', origin:description()) or 'chan recv'
end

--- Has reason() tell what sends on the channel: origin:description().
function M.set_origin(ch, origin)
  ch[ORIGIN] = origin
end

-- For select: whether an operation would not wait, and its case's place in the queue.

function M.can_recv(ch)
  return ch[COUNT] > 0 or ch[SENDER] or ch[STATE] == CLOSED
end

function M.can_send(ch)
  return ch[RECEIVER] or ch[COUNT] < ch[CAPACITY] or ch[STATE] == CLOSED
end

function M.park_recv(ch, case)
  push(ch, RECEIVER, LAST_RECEIVER, case)
end

function M.park_send(ch, case, v)
  case[VALUE] = v
  push(ch, SENDER, LAST_SENDER, case)
end

function M.unpark_recv(ch, case)
  remove(ch, RECEIVER, LAST_RECEIVER, case)
end

function M.unpark_send(ch, case)
  case[VALUE] = false
  remove(ch, SENDER, LAST_SENDER, case)
end

--- Sends if that needs no wait.
---@return boolean sent
---@return string? err "full" | "closed"
function Chan:try_send(v)
  check(self)
  if M.can_send(self) then
    local sent, err = self:send(v)
    return sent or false, err
  end
  return false, 'full'
end

--- Receives if that needs no wait.
---@return any v
---@return boolean ok
---@return string? err "empty" | "closed"
function Chan:try_recv()
  check(self)
  if self[COUNT] > 0 or self[SENDER] then
    return self:recv()
  end
  return nil, false, self[STATE] == CLOSED and 'closed' or 'empty'
end

--- Closes the channel: receivers drain what is buffered, then see that it is closed; parked
-- senders get nil, "closed".
---@return boolean closed false if it was closed already
function Chan:close()
  check(self)
  if self[STATE] == CLOSED then
    return false
  end
  self[STATE] = CLOSED
  while self[RECEIVER] do
    hand(pop(self, RECEIVER, LAST_RECEIVER), CLOSED)
  end
  while self[SENDER] do
    hand(pop(self, SENDER, LAST_SENDER), CLOSED)
  end
  return true
end

--- The number of values in the buffer.
function Chan:len()
  check(self)
  return self[COUNT]
end

--- The capacity of the buffer.
function Chan:cap()
  check(self)
  return self[CAPACITY]
end

local function next_value(ch)
  return (ch:recv())
end

--- Iterates over what is received: `for v in ch:iter() do`. Ends when the channel is closed and
-- drained, or at a nil: use recv() where nils travel.
---@async
function Chan:iter()
  check(self)
  return next_value, self
end

function Chan:__tostring()
  local closed = self[STATE] == CLOSED and ', closed' or ''
  return format('channel (%d of %d%s)', self[COUNT], self[CAPACITY], closed)
end

return M
