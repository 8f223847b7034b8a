--- runtime.lua: `lagoon.runtime`: what the worker is doing, in figures and in words.

local background = require('lagoon.background')
local host = require('lagoon.host')
local heap = require('lagoon.heap')
local loop = require('lagoon.loop')
local poll = require('lagoon.poll')
local sched = require('lagoon.sched')
local slots = require('lagoon.slots')
local task = require('lagoon.task')
local limits = require('lagoon.limits')
local profile = require('lagoon.profile')
local flame = require('lagoon.flame')
local misuse = require('lagoon.misuse')

local SITE, ID, EXTRA, SINCE = slots.SITE, slots.ID, slots.EXTRA, slots.SINCE
local now, collectgarbage, sort, max = host.now, collectgarbage, table.sort, math.max

local M = {
  limit = limits.limit,
  profile = profile.profile,
}

--- A flame graph of what profile() returns.
---@param folded string
---@return string svg
function M.flame_graph(folded)
  return flame(misuse.check_type(folded, 'string', 'the folded stacks'))
end

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
  local ready, running = sched.ready() + background.count, sched.current() and 1 or 0
  figures.tasks = task.count
  figures.ready, figures.running = ready, running
  figures.parked = task.count - ready - running
  figures.spawned, figures.failed = task.spawned, task.failures
  figures.timers, figures.waits = heap.armed(), poll.pending
  figures.turns, figures.longest_turn = loop.turns, loop.longest_turn
  figures.lua_bytes = collectgarbage('count') * 1024
  return figures
end

local function older(a, b)
  return a.id < b.id
end

-- What scripts see of a task.
local function record(t, time)
  local extra, state = t[EXTRA], t:status()
  return {
    id = t[ID],
    name = extra and extra.name or nil,
    state = state,
    waits_on = task.reason(t),
    waited = state == 'parked' and max(time - t[SINCE], 0) or nil,
    site = t[SITE],
    task = t,
  }
end

local function records(tasks, n)
  local list, time = {}, now()
  for i = 1, n do
    list[i] = record(tasks[i], time)
  end
  sort(list, older)
  return list
end

--- All live tasks, oldest first: id, name, state, waits_on (what, for people), waited (for how many
-- seconds; both if it is parked), site (of its spawn), task.
---@return table[]
function M.tasks()
  return records(task.live, task.count)
end

-- What few programs call is loaded by those.

--- The tasks as text: what each waits for and since when, where it was spawned, and its stack;
-- equal ones together. Gives way to others while there is much to do.
---@async
---@return string
function M.dump()
  return require('lagoon.dump').text()
end

--- The parked tasks that nothing can wake any more but a cancellation, oldest first, as in tasks():
-- nothing that can still run reaches what they wait for. Nothing else happens meanwhile.
---@return table[]
function M.leaks()
  local found = require('lagoon.leaks').find()
  return records(found, #found)
end

return M
