--- runtime.lua: `lagoon.runtime`: what the worker is doing, in figures and in words.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local loop = require('lagoon.loop')
local poll = require('lagoon.poll')
local sched = require('lagoon.sched')
local slots = require('lagoon.slots')
local task = require('lagoon.task')
local limits = require('lagoon.limits')

local CO, SITE, EXTRA = slots.CO, slots.SITE, slots.EXTRA
local collectgarbage, traceback, format = collectgarbage, debug.traceback, string.format
local concat, sort, gsub, ipairs = table.concat, table.sort, string.gsub, ipairs

local M = {
  limit = limits.limit,
}

--- Figures of this worker:
--   tasks, ready, running, parked    tasks now, by state; spawned, failed since the start
--   timers, waits                    armed timers; waits that an event can end
--   conns, listeners, lookups        open now; accepted, dialed, shed, collected since the start
--   fds, fd_limit                    descriptors of the process, and how many it may have
--   turns, polls                     of the scheduler; of the poller
--   longest_turn                     seconds that passed between two looks at I/O, at most
--   lua_bytes                        the Lua heap
---@return table<string, number>
function M.stats()
  local figures = host.figures()
  local ready, running = sched.ready(), sched.current() and 1 or 0
  figures.tasks = task.count
  figures.ready, figures.running = ready, running
  figures.parked = task.count - ready - running
  figures.spawned, figures.failed = task.spawned, task.failures
  figures.timers, figures.waits = heap.armed(), poll.pending
  figures.turns, figures.longest_turn = loop.turns, loop.longest_turn
  figures.lua_bytes = collectgarbage('count') * 1024
  return figures
end

--- All live tasks, oldest first: id, name, state, waits_on (what, for people), site (of its spawn).
---@return table[]
function M.tasks()
  local list = {}
  for i = 1, task.count do
    local t = task.live[i]
    local extra = t[EXTRA]
    list[i] = {
      id = t.id,
      name = extra and extra.name,
      state = t:status(),
      waits_on = task.reason(t),
      site = t[SITE],
      task = t,
    }
  end
  sort(list, function(a, b)
    return a.id < b.id
  end)
  return list
end

-- The script's part of a task's stack.
local function stack_of(t)
  if t == sched.current() or not t[CO] then
    return ''
  end
  local trace = traceback(t[CO])
  trace = gsub(trace, '^stack traceback:', '')
  trace = gsub(trace, "\n\t%[C%]: in function '?p?call'?", '')
  return trace
end

--- The tasks as text: what each waits for, where it was spawned, and its stack.
---@return string
function M.dump()
  local lines = {}
  for _, t in ipairs(M.tasks()) do
    lines[#lines + 1] = format(
      '%s: %s%s, spawned at %s%s',
      task.describe(t.task),
      t.state,
      t.waits_on and ' on ' .. t.waits_on or '',
      t.site,
      stack_of(t.task)
    )
  end
  return concat(lines, '\n')
end

return M
