--- background.lua: tasks that compute, and are preempted: they run when all others have had a turn.
--
-- First in, first out, one slice each. A slice ends when the task waits, ends, or is preempted;
-- in the last case it goes to the end of this queue again.

local host = require('lagoon.host')
local sched = require('lagoon.sched')

local now = host.now

local M = {
  count = 0,
}

local queue, head, tail = {}, 1, 0

-- While others are always ready, a slice comes after so many seconds all the same.
local PATIENCE = 0.05
local last_slice = 0

--- Adds a task that has not begun, or was preempted.
function M.push(task)
  tail = tail + 1
  queue[tail] = task
  M.count = M.count + 1
end

sched.set_on_preemption(M.push)

--- Runs one slice, if no other task is ready, or that has been so for long.
---@return boolean did
function M.run(time)
  if M.count == 0 or (sched.ready() > 0 and time - last_slice < PATIENCE) then
    return false
  end
  local task = queue[head]
  queue[head] = nil
  head = head + 1
  M.count = M.count - 1
  if M.count == 0 then
    head, tail = 1, 0
  end
  sched.run_alone(task, time)
  last_slice = now()
  return true
end

return M
