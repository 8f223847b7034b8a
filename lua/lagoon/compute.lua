--- compute.lua: tasks that compute for long, and are preempted meanwhile.

local host = require('lagoon.host')
local background = require('lagoon.background')
local task = require('lagoon.task')
local watchdog = require('lagoon.watchdog')

local M = {}

--- Starts a task of a scope that computes; of none, if scope is false.
function M.compute_in(scope, f, ...)
  host.watch_compiled()
  watchdog.watch_compute()
  return task.spawn_to(background.push, scope, f, ...)
end
local compute_in = M.compute_in

--- Starts a task that calls f(...), as spawn() does; but it is preempted every few milliseconds, in
-- compiled loops too, and goes on when everybody else has had a turn. So others run between
-- any two of its instructions that are not in one of the library's calls.
---@param f function
---@return lagoon.Task
function M.compute(f, ...)
  return compute_in(false, f, ...)
end

return M
