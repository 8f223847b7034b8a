--- watchdog.lua: tasks that run for long without waiting: reported, ended, or preempted.
--
-- The host interrupts Lua that has been running for a while (host/interrupt.c) between two
-- instructions of a script, never inside the library, and asks here what is to be done. A run
-- is what a task does between two waits; sched.lua numbers them.

local host = require('lagoon.host')
local frames = require('lagoon.frame')
local sched = require('lagoon.sched')
local slots = require('lagoon.slots')
local task = require('lagoon.task')
local traces = require('lagoon.trace')

local CO, EXTRA, SITE = slots.CO, slots.EXTRA, slots.SITE
local type, format, traceback = type, string.format, debug.traceback
local min, max, huge = math.min, math.max, math.huge
local now = host.now

local M = {}

-- Seconds. A run that is longer is reported, or ended; false for never.
local limits = { report = 0.1, run = false, stuck = false, slice = 0.005, memory = false }

local IDLE_PERIOD = 0.05 -- how often the host looks when nothing is to be ended or preempted
local SHORTEST_PERIOD = 0.0002
local computes = false
local sampling_period = false -- of the profiler

-- The run that was seen last, when it began, and whether it was reported.
local seen, since, is_reported = 0, 0, false

-- The stack that was interrupted, if it can be looked at: see push_place() of host/interrupt.c.
local function stack_of(which, place)
  if type(place) == 'string' then
    return '\nin a deep recursion, in the function at ' .. place
  end
  local trace = traces.strip(traceback(place, ''))
  if which[CO] ~= place then
    trace = trace .. '\nin a coroutine of' .. traces.strip(traceback(which[CO], ''))
  end
  return trace
end

local function say(which, ran, place)
  host.log(
    format(
      'lagoon: %s has run for %.2f s without waiting, and holds up all others%s\nspawned at %s',
      task.describe(which),
      ran,
      stack_of(which, place),
      which[SITE]
    )
  )
end

-- How long the running task has been, to what can be known: the host could not interrupt it
-- for the last `armed_for` seconds.
local function measure(armed_for)
  local which, run, first_run, turn_began = sched.run()
  local time = now()
  if run ~= seen then
    seen, is_reported = run, false
    since = run == first_run and turn_began or max(turn_began, time - armed_for)
  end
  return which, time - since
end

-- The run in which a cancellation was raised last: a task that swallows it is preempted before it
-- is raised again.
local raised_in = 0

-- Being preempted is a wait: in a task that is canceled it raises, as others do.
local function raise_cancel(which, extra, place)
  raised_in = seen
  extra.unwinds = (extra.unwinds or 0) + 1
  if extra.unwinds <= sched.MAX_UNWINDS then
    return 'raise', extra.cancel
  end
  task.log_given_up(which, stack_of(which, place))
  extra.ends_with = extra.cancel
  return 'end', extra.cancel
end

-- What is to become of a task that computes.
local function preempt(which, extra, ran, can_yield, place)
  if extra.cancel and raised_in ~= seen then
    return raise_cancel(which, extra, place)
  elseif ran < limits.slice then
    return nil
  elseif not can_yield then
    return 'wait'
  end
  sched.set_preempted(true)
  return 'yield'
end

-- The running task is to die of this.
local function condemn(which, place, message, ...)
  local blame = type(place) == 'string' and place .. ': ' or host.blame(place)
  local err = blame .. format(message, ...)
  frames.extra_of(which).ends_with = err
  return 'end', err
end

local function on_interrupt(armed_for, can_yield, over_run, place)
  local which, ran = measure(armed_for)
  if not which then
    return nil
  end
  local extra = which[EXTRA]
  if extra and extra.ends_with then
    return 'end', extra.ends_with
  elseif over_run and host.is_memory_short() and over_run == seen then
    return condemn(which, place, 'memory limit: Lua has more than %d bytes', limits.memory)
  elseif extra and extra.computes then
    return preempt(which, extra, ran, can_yield, place)
  elseif limits.run and ran >= limits.run then
    return condemn(which, place, 'ran too long: %.2f s without waiting', ran)
  elseif limits.report and ran >= limits.report and not is_reported then
    is_reported = true
    say(which, ran, place)
  end
end

host.on_interrupt(on_interrupt, sched.run)

-- Tells the host how often to look.
local function apply()
  local period = IDLE_PERIOD
  if limits.report then
    period = min(period, limits.report / 2)
  end
  if limits.run then
    period = min(period, limits.run / 4, 0.01)
  end
  if computes then
    period = min(period, limits.slice / 2)
  end
  if sampling_period then
    period = min(period, sampling_period)
  end
  local patience = limits.report and max(1, 10 * limits.report) or huge
  host.set_watch(max(period, SHORTEST_PERIOD), patience, limits.stuck or 0)
end

--- There are tasks that compute from now on.
function M.watch_compute()
  if not computes then
    computes = true
    apply()
  end
end

--- Has f() called every `period` seconds in which something runs, to look at the stack; nil for no
-- more.
function M.sample(f, period)
  sampling_period = f and period or false
  if f then
    host.watch_compiled()
  end
  host.set_sampler(f)
  apply()
end

--- Sets limits, in seconds and bytes; false for none.
--   report  a task that runs for longer without waiting is reported, with its traceback
--   run     a task that runs for longer without waiting is ended
--   stuck   a process in which no line of Lua has run for so long is aborted, with a core
--   slice   a task that computes is preempted after so long
--   memory  a task that has Lua take more, when that is no garbage, is ended
---@param new table<string, number|false>
function M.limit(new)
  for name in pairs(limits) do
    if new[name] ~= nil then
      limits[name] = new[name]
    end
  end
  if limits.run or limits.memory then
    host.watch_compiled()
  end
  if new.memory ~= nil then
    host.set_memory_cap(limits.memory or 0)
  end
  apply()
end

--- The limits as they are.
function M.limits()
  local copy = {}
  for name, value in pairs(limits) do
    copy[name] = value
  end
  return copy
end

apply()

return M
