--- mutex.lua: one task at a time.
--
-- Invariant: nobody waits for a mutex that is free. unlock() makes the first waiter the holder
-- before that runs.

local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local queue = require('lagoon.queue')
local tasks = require('lagoon.task')
local holders = require('lagoon.sync.holder')

local HOLDER, FIRST, LAST = holders.HOLDER, 2, 3
local setmetatable, getmetatable, rawequal = setmetatable, getmetatable, rawequal
local park, wake, self_task = sched.park, sched.wake, sched.self
local push, pop, remove = queue.push, queue.pop, queue.remove
local check_function, describe = misuse.check_function, tasks.describe

---@class lagoon.Mutex
local Mutex = {}
Mutex.__index = Mutex

local M = {}

--- Makes a mutex that nobody holds.
---@return lagoon.Mutex
function M.new()
  return setmetatable({ false, false, false }, Mutex)
end

--- Raises unless `value` is a mutex.
local function check(value)
  if getmetatable(value) ~= Mutex then
    misuse.wrong_self('mutex', value)
  end
end
M.check = check

--- Whether the running task holds the mutex.
function M.is_mine(mutex)
  return rawequal(mutex[HOLDER], self_task())
end

--- Waits until the task is the one that holds the mutex.
---@async
---@return true
function Mutex:lock()
  check(self)
  local task = self_task()
  if not self[HOLDER] then
    self[HOLDER] = task
    return true
  end
  holders.refuse(self, task, 'mutex')
  push(self, FIRST, LAST, task)
  return park(self)
end

--- Locks the mutex if that needs no wait.
---@return boolean locked
function Mutex:try_lock()
  check(self)
  local task = self_task()
  if self[HOLDER] then
    return false
  end
  self[HOLDER] = task
  return true
end

--- Gives the mutex to who has waited longest. Any task may do this, not only the one that holds it.
function Mutex:unlock()
  check(self)
  if not self[HOLDER] then
    misuse.raise('unlock of a mutex that is not locked')
  end
  local waiter = self[FIRST]
  self[HOLDER] = waiter
  if waiter then
    wake(pop(self, FIRST, LAST), true)
  end
end

--- Calls f(...) with the mutex locked, and unlocks it however f ends.
---@async
---@param f function
---@return any ... what f returns
function Mutex:with(f, ...)
  check(self)
  check_function(f, 'the function to call')
  self:lock()
  return holders.call(self, holders.unlock, f, ...)
end

--- Takes a parked task out: a mutex is a source of the scheduler.
function Mutex:unpark(task)
  remove(self, FIRST, LAST, task)
end

--- What a parked task waits for.
function Mutex:reason(_, brief)
  return brief and 'mutex lock' or 'mutex lock, held by ' .. describe(self[HOLDER])
end

function Mutex:__tostring()
  local holder = self[HOLDER]
  return holder and 'mutex (held by ' .. describe(holder) .. ')' or 'mutex (free)'
end

return M
