--- init.lua: `require("lagoon")`: tasks, channels, select, timers; the rest on first use.

local host = require('lagoon.host')
local sched = require('lagoon.sched')
local task = require('lagoon.task')
local chan = require('lagoon.chan')
local cases = require('lagoon.cases')
local selecting = require('lagoon.select')
local timeout = require('lagoon.timeout')
local timer = require('lagoon.timer')
local watch = require('lagoon.watch')
local canceled = require('lagoon.canceled')
local misuse = require('lagoon.misuse')
local sleep = require('lagoon.sleep').sleep
require('lagoon.join')

local internal_require = require
local rawset, type = rawset, type

---@class lagoon
local M = {
  _VERSION = host.version,
  spawn = task.spawn,
  go = task.spawn,
  compute = require('lagoon.compute').compute,
  on_error = task.on_error,
  yield = sched.yield,
  now = host.now,
  chan = chan.new,
  select = selecting.select,
  selector = selecting.selector,
  recv = cases.recv,
  send = cases.send,
  readable = watch.readable,
  writable = watch.writable,
  after = timer.after,
  ticker = timer.ticker,
  timer = timer.timer,
  canceled = canceled.any,
  scope = require('lagoon.scope'),
  timeout = timeout.timeout,
  deadline = timeout.deadline,
  shield = timeout.shield,
}

--- Parks for so many seconds; for 0 or less it is as yield().
---@async
---@param seconds number
function M.sleep(seconds)
  if type(seconds) ~= 'number' or seconds ~= seconds then
    misuse.check_seconds(seconds, 'seconds')
  end
  return sleep(seconds)
end

--- The running task.
---@return lagoon.Task
function M.current()
  return sched.current()
end

local SUBMODULES = { context = true, net = true, runtime = true, signal = true, sync = true }

return setmetatable(M, {
  __index = function(_, key)
    if SUBMODULES[key] then
      local module = internal_require('lagoon.' .. key)
      rawset(M, key, module)
      return module
    end
  end,
})
