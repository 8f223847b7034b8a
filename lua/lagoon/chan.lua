--- chan.lua: channels.
--
-- send and recv have a path of their own and do not go through select: they are what
-- everything else is made of. A value goes straight from sender to receiver when one of
-- them is parked; the buffer is a ring of a size that never changes.
--
-- Invariants:
--   * tasks are parked in `receivers` only while the buffer is empty, in `senders` only while
--     it is full, and in neither once the channel is closed;
--   * a waiter is a task, or a select case, which takes its siblings out when it fires.

local slots = require('lagoon.slots')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local Queue = require('lagoon.queue')

local NEXT, VALUE, CO = slots.NEXT, slots.VALUE, slots.CO
local setmetatable, getmetatable, type = setmetatable, getmetatable, type
local format = string.format
local park, wake = sched.park, sched.wake

local MAX_CAPACITY = 2 ^ 30

---@class lagoon.Chan
local Chan = {}
Chan.__index = Chan

local M = { Chan = Chan }

--- Makes a channel.
---@param capacity? integer values that it holds without a receiver; 0 if not given
---@return lagoon.Chan
function M.new(capacity)
  if capacity == nil then
    capacity = 0
  elseif capacity ~= 0 then
    misuse.check_integer(capacity, 0, MAX_CAPACITY, 'capacity')
  end
  return setmetatable({
    capacity = capacity,
    count = 0, -- values in the buffer
    first = 1, -- where the oldest of them is
    buffer = capacity > 0 and {} or false,
    closed = false,
    receivers = Queue.new('chan recv'),
    senders = Queue.new('chan send'),
  }, Chan)
end

function M.is(value)
  return type(value) == 'table' and getmetatable(value) == Chan
end

local function check(ch)
  if type(ch) ~= 'table' or getmetatable(ch) ~= Chan then
    misuse.raise('channel expected, got %s (call its methods with a colon)', type(ch))
  end
end

-- Ends a waiter's wait, which is out of its queue.
local function hand(waiter, a, b)
  if waiter[CO] then
    wake(waiter, a, b)
  else
    waiter:fire(a, b)
  end
end

local function put(ch, v)
  local capacity = ch.capacity
  local at = ch.first + ch.count
  if at > capacity then
    at = at - capacity
  end
  ch.buffer[at] = v
  ch.count = ch.count + 1
end

-- The oldest value; the first parked sender's takes its place.
local function take(ch)
  local buffer, first = ch.buffer, ch.first
  local v = buffer[first]
  buffer[first] = nil
  ch.first = first < ch.capacity and first + 1 or 1
  ch.count = ch.count - 1
  local senders = ch.senders
  if senders[NEXT] ~= senders then
    local sender = senders:pop()
    local theirs = sender[VALUE]
    sender[VALUE] = nil
    put(ch, theirs)
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
  if getmetatable(self) ~= Chan then
    check(self)
  end
  if self.closed then
    return nil, 'closed'
  end
  local receivers = self.receivers
  if receivers[NEXT] ~= receivers then
    hand(receivers:pop(), v, true)
    return true
  end
  if self.count < self.capacity then
    put(self, v)
    return true
  end
  local task = sched.task
  task[VALUE] = v
  local senders = self.senders
  senders:push(task)
  return park(senders)
end

--- Receives a value; parks while there is none.
---@async
---@return any v
---@return boolean ok false once the channel is closed and drained
function Chan:recv()
  if getmetatable(self) ~= Chan then
    check(self)
  end
  if self.count > 0 then
    return take(self), true
  end
  local senders = self.senders
  if senders[NEXT] ~= senders then
    local sender = senders:pop()
    local v = sender[VALUE]
    sender[VALUE] = nil
    hand(sender, true)
    return v, true
  end
  if self.closed then
    return nil, false
  end
  local receivers = self.receivers
  receivers:push(sched.task)
  return park(receivers)
end

--- Sends if that needs no wait.
---@return boolean sent
---@return string? err "full" | "closed"
function Chan:try_send(v)
  check(self)
  if self.closed then
    return false, 'closed'
  elseif self.count >= self.capacity and self.receivers:is_empty() then
    return false, 'full'
  end
  return self:send(v)
end

--- Receives if that needs no wait.
---@return any v
---@return boolean ok
---@return string? err "empty" | "closed"
function Chan:try_recv()
  check(self)
  if self.count > 0 or not self.senders:is_empty() then
    return self:recv()
  end
  return nil, false, self.closed and 'closed' or 'empty'
end

--- Closes the channel: receivers drain what is buffered, then see that it is closed; parked
-- senders get nil, "closed".
---@return boolean closed false if it was closed already
function Chan:close()
  check(self)
  if self.closed then
    return false
  end
  self.closed = true
  local receiver = self.receivers:pop()
  while receiver do
    hand(receiver, nil, false)
    receiver = self.receivers:pop()
  end
  local sender = self.senders:pop()
  while sender do
    sender[VALUE] = nil
    hand(sender, nil, 'closed')
    sender = self.senders:pop()
  end
  return true
end

--- The number of values in the buffer.
function Chan:len()
  check(self)
  return self.count
end

--- The capacity of the buffer.
function Chan:cap()
  check(self)
  return self.capacity
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
  return format('channel (%d of %d%s)', self.count, self.capacity, self.closed and ', closed' or '')
end

return M
