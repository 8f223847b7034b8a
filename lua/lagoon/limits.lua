--- limits.lua: what a task, and the process, may take.

local misuse = require('lagoon.misuse')
local watchdog = require('lagoon.watchdog')

local M = {}

local KNOWN = { report = true, run = true, stuck = true, slice = true }

--- Sets limits, and returns all of them as they are then. Of each, false is for none.
--   report  seconds: a task that runs for longer without waiting is reported in the log, once,
--           with its traceback; 0.1 at first
--   run     seconds: a task that runs for longer without waiting is ended by the error
--           "ran too long"
--   stuck   seconds: a process in which no line of Lua could run for so long is aborted, with a
--           core file where the system allows it
--   slice   seconds: a task that computes is preempted after so long; 0.005 at first, never false
---@param new? { report?: number|false, run?: number|false, stuck?: number|false, slice?: number }
---@return { report: number|false, run: number|false, stuck: number|false, slice: number }
function M.limit(new)
  new = misuse.check_options(new, KNOWN)
  for name, seconds in pairs(new) do
    local what = "limit '" .. name .. "'"
    if (seconds or name == 'slice') and misuse.check_seconds(seconds, what) <= 0 then
      misuse.raise('%s must be more than 0', what)
    end
  end
  watchdog.limit(new)
  return watchdog.limits()
end

return M
