--- permits.lua: so many of something, taken by the piece, or by several at once.
--
-- What a semaphore is, and a rwmutex, where a reader takes one and a writer takes all.
--
-- Invariant: whoever waits first wants more than is free. So nobody overtakes, a small request
-- after a large one neither; and when a waiter leaves the queue, whoever was behind it may go on.
--
-- The number that a waiter wants is its VALUE.

local slots = require('lagoon.slots')
local sched = require('lagoon.sched')
local queue = require('lagoon.queue')

local VALUE = slots.VALUE
local park, wake, self_task = sched.park, sched.wake, sched.self
local push, pop, remove = queue.push, queue.pop, queue.remove

-- The slots of what has permits; the first is that of holder.lua.
local FREE = 2
local LIMIT = 3 -- how many there are
local FIRST, LAST = 4, 5

local M = { FREE = FREE, LIMIT = LIMIT }

--- The slots of an object with so many permits, all of them free.
function M.new(limit)
  return { false, limit, limit, false, false }
end

--- Takes k permits; waits while they are not free, or somebody else waits.
---@async
---@return true
function M.take(self, k)
  local task, free = self_task(), self[FREE]
  if free >= k and not self[FIRST] then
    self[FREE] = free - k
    return true
  end
  task[VALUE] = k
  push(self, FIRST, LAST, task)
  return park(self)
end

--- Takes them if that needs no wait.
---@return boolean taken
function M.try_take(self, k)
  local free = self[FREE]
  if free < k or self[FIRST] then
    return false
  end
  self[FREE] = free - k
  return true
end

local function admit(self)
  local waiter, free = self[FIRST], self[FREE]
  while waiter and waiter[VALUE] <= free do
    free = free - waiter[VALUE]
    wake(pop(self, FIRST, LAST), true)
    waiter = self[FIRST]
  end
  self[FREE] = free
end

--- Gives k permits back.
function M.give(self, k)
  self[FREE] = self[FREE] + k
  if self[FIRST] then
    admit(self)
  end
end

--- Takes a parked task out. It may have been in the way of others.
function M.unpark(self, task)
  remove(self, FIRST, LAST, task)
  admit(self)
end

return M
