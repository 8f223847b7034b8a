--- sleep.lua: waits that only time, or a cancellation, ends.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local sched = require('lagoon.sched')
local WHEN = require('lagoon.slots').WHEN

local now, park, self_task = host.now, sched.park, sched.self
local duration = require('lagoon.trace').duration

local M = {}

-- A source without books: the timers know of the task.
local SLEEP = {}
M.SLEEP = SLEEP

function SLEEP.unpark() end

function SLEEP.reason(_, task, brief)
  if not task[WHEN] then
    return 'select {}'
  elseif brief then
    return 'sleep'
  end
  return 'sleep ' .. duration(task[WHEN] - now()) .. ' left'
end

--- Parks for some seconds. 0 and less is as yield().
---@async
---@param seconds number
function M.sleep(seconds)
  if seconds <= 0 then
    return sched.yield()
  end
  heap.arm(self_task(), now() + seconds)
  park(SLEEP)
end

--- Parks for ever, or until the task is canceled.
---@async
function M.forever()
  self_task()
  park(SLEEP)
end

return M
