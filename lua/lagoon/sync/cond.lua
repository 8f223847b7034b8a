--- cond.lua: waiting, with a mutex, for something to become true.
--
-- However wait() ends, the task holds the mutex again: the cancellation that has ended it is
-- raised after that, and does not end the wait for the mutex. A signal that has come is not lost:
-- a task that is canceled after it returns from wait(), and its next wait raises.

local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local queue = require('lagoon.queue')
local failures = require('lagoon.failures')
local timeout = require('lagoon.timeout')
local mutexes = require('lagoon.sync.mutex')

local setmetatable, getmetatable = setmetatable, getmetatable
local xpcall, huge = xpcall, math.huge
local park, wake, wake_all, self_task = sched.park, sched.wake, sched.wake_all, sched.self
local on_error, shield = failures.on_error, timeout.shield

---@class lagoon.Cond
local Cond = {}
Cond.__index = Cond

local M = {}

--- Makes a condition variable.
---@param mutex lagoon.Mutex which guards what is waited for
---@return lagoon.Cond
function M.new(mutex)
  mutexes.check(mutex)
  return setmetatable({ mutex = mutex, waiters = queue.new('cond wait') }, Cond)
end

local function check(value)
  if getmetatable(value) ~= Cond then
    misuse.wrong_self('cond', value)
  end
end

-- Only where no wait is possible can this raise, without the mutex.
local function relock(mutex)
  if not mutex:try_lock() then
    shield(huge, mutex.lock, mutex)
  end
end

--- Unlocks the mutex, waits for a signal, and locks the mutex again. Others may have come first:
-- look again at what was waited for, in a loop.
---@async
---@return true
function Cond:wait()
  check(self)
  local mutex, waiters = self.mutex, self.waiters
  if not mutexes.is_mine(mutex) then
    misuse.raise('wait on a cond by a task that does not hold its mutex')
  end
  waiters:push(self_task())
  mutex:unlock()
  local ok, err = xpcall(park, on_error, waiters)
  relock(mutex)
  if not ok then
    failures.raise(err)
  end
  return true
end

--- Ends the wait of who has waited longest, if anybody waits.
function Cond:signal()
  check(self)
  local waiter = self.waiters:pop()
  if waiter then
    wake(waiter, true)
  end
end

--- Ends the waits of all who wait.
function Cond:broadcast()
  check(self)
  wake_all(self.waiters)
end

return M
