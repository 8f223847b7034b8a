--- limits.lua: what a task, and the process, may take.

local misuse = require('lagoon.misuse')
local watchdog = require('lagoon.watchdog')

local M = {}

local KNOWN = { report = true, run = true, stuck = true, slice = true, memory = true }

local LEAST_MEMORY = 2 ^ 20 -- bytes; the library itself has more than half of that

local function check(name, value)
  local what = "limit '" .. name .. "'"
  if value == false and name ~= 'slice' then
    return
  elseif name == 'memory' then
    misuse.check_integer(value, LEAST_MEMORY, 2 ^ 52, what)
  elseif misuse.check_seconds(value, what) <= 0 then
    misuse.raise('%s must be more than 0', what)
  end
end

--- Sets limits, and returns all of them as they are then. Of each, false is for none.
--   report  seconds: a task that runs for longer without waiting is reported in the log, once,
--           with its traceback; 0.1 at first
--   run     seconds: a task that runs for longer without waiting is ended by the error
--           "ran too long"
--   stuck   seconds: a process in which no line of Lua could run for so long is aborted, with a
--           core file where the system allows it
--   slice   seconds: a task that computes is preempted after so long; 0.005 at first, never false
--   memory  bytes: a task that has Lua take more, and three quarters of it is no garbage, is ended
--           by the error "memory limit"
---@param new? table<string, number|false>
---@return table<string, number|false>
function M.limit(new)
  new = misuse.check_options(new, KNOWN)
  for name, value in pairs(new) do
    check(name, value)
  end
  watchdog.limit(new)
  return watchdog.limits()
end

return M
