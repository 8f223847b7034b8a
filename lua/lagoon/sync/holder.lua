--- holder.lua: the task that holds a lock, and what follows from it.
--
-- A lock knows its holder, so that a task that would wait for itself is told so, and with()
-- releases what is still its own. Any other task may unlock it all the same.

local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local failures = require('lagoon.failures')

local current = sched.current
local rawequal, xpcall = rawequal, xpcall
local on_error = failures.on_error

-- The slot of a lock: the task that holds it, alone; or false.
local HOLDER = 1

local M = { HOLDER = HOLDER }

--- Raises if the task holds the lock that it is about to wait for.
---@param what string "mutex" | "rwmutex"
function M.refuse(lock, task, what)
  if rawequal(lock[HOLDER], task) then
    misuse.raise('the task holds this %s already, and would wait for itself', what)
  end
end

--- Unlocks, at the end of with(), what the running task holds.
---@param ok boolean whether the function has returned
function M.unlock(lock, ok)
  if rawequal(lock[HOLDER], current()) then
    lock:unlock()
  elseif ok then
    misuse.raise('the function of with() has unlocked what with() holds')
  end
end

local function finish(lock, unlock, ok, ...)
  unlock(lock, ok)
  if ok then
    return ...
  end
  failures.raise((...))
end

--- Calls f(...), then unlock(lock, ok), however f has ended.
---@async
---@return any ... what f returns
function M.call(lock, unlock, f, ...)
  return finish(lock, unlock, xpcall(f, on_error, ...))
end

return M
