--- sleep.lua: waits that only time, or a cancellation, ends.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local sched = require('lagoon.sched')
local WHEN = require('lagoon.slots').WHEN

local now, park, self_task = host.now, sched.park, sched.self
local format = string.format

local M = {}

-- A source without books: the timers know of the task.
local SLEEP = {}

function SLEEP.unpark() end

function SLEEP.reason(_, task)
  if not task[WHEN] then
    return 'select {}'
  end
  return format('sleep, %.3fs left', task[WHEN] - now())
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
