--- queue.lua: first in, first out, with removal from the middle.
--
-- A ring that runs through the waiters themselves: no allocation, and no special case for an
-- empty queue, which points at itself. A waiter is in one queue at most. NEXT and PREV of a
-- waiter that is in no queue mean nothing.
--
-- A queue is a source: a task may park on it. `reason` says what such a task waits for.

local slots = require('lagoon.slots')

local NEXT, PREV = slots.NEXT, slots.PREV
local setmetatable = setmetatable

local Queue = {}
Queue.__index = Queue

---@param reason string for people: "chan recv"
function Queue.new(reason)
  local queue = setmetatable({ false, false, why = reason }, Queue)
  queue[NEXT], queue[PREV] = queue, queue
  return queue
end

function Queue:is_empty()
  return self[NEXT] == self
end

--- Adds a waiter at the end.
function Queue:push(waiter)
  local last = self[PREV]
  waiter[PREV], waiter[NEXT] = last, self
  last[NEXT] = waiter
  self[PREV] = waiter
end

--- Takes the first waiter; nil if there is none.
function Queue:pop()
  local first = self[NEXT]
  if first == self then
    return nil
  end
  local second = first[NEXT]
  self[NEXT] = second
  second[PREV] = self
  return first
end

--- Takes a waiter out, wherever it stands.
function Queue.unpark(_, waiter)
  local before, after = waiter[PREV], waiter[NEXT]
  before[NEXT] = after
  after[PREV] = before
end

function Queue:length()
  local n, waiter = 0, self[NEXT]
  while waiter ~= self do
    n, waiter = n + 1, waiter[NEXT]
  end
  return n
end

function Queue:reason()
  return self.why
end

return Queue
