--- task.lua: what `lagoon.spawn` returns: the life of a task, as scripts see it.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local life = require('lagoon.life')
local sched = require('lagoon.sched')
local slots = require('lagoon.slots')
local canceled = require('lagoon.canceled')
local misuse = require('lagoon.misuse')
local boundary = require('lagoon.boundary')
local traces = require('lagoon.trace')
local frames = require('lagoon.frame')

local ON, CO, SITE, ID, SLOT = slots.ON, slots.CO, slots.SITE, slots.ID, slots.SLOT
local NEXT, VALUE, EXTRA, OWNED = slots.NEXT, slots.VALUE, slots.EXTRA, slots.OWNED

local select, unpack, type, rawget = select, unpack, type, rawget
local setmetatable, getmetatable = setmetatable, getmetatable
local format, traceback = string.format, debug.traceback
local start, hand, site = sched.start, sched.hand, host.site
local extra_of = frames.extra_of

local M = {}

--- A task: a coroutine that the scheduler owns.
---@class lagoon.Task
---@field id integer never used again
local Task = {}
M.Task = Task

-- How a task ended stands in ON, where the source of a wait stands while it lives.
local function ending(name)
  return { status = name, reason = function() end }
end
local DONE, FAILED, CANCELED = ending('done'), ending('failed'), ending('canceled')
local ENDINGS = { [DONE] = true, [FAILED] = true, [CANCELED] = true }

local meta = {}
M.meta = meta
function meta.__index(task, key)
  local method = Task[key]
  if method ~= nil then
    return method
  elseif key == 'id' then
    return rawget(task, ID)
  end
end

-- All live tasks, in no order: live[1 .. M.count].
local live = {}
M.live = live
M.count = 0
M.spawned = 0

-- What to call a spawn site that is the library's own: net.serve in a bare task, say.
local function inherited_site()
  local running = sched.current()
  return running and running[SITE] or 'the host'
end

--- The script's line that called the library function which calls this.
---@return string "file:line"
function M.spawn_site()
  return site(3) or inherited_site()
end

local function new(where)
  local id = M.spawned + 1
  local count = M.count + 1
  M.spawned, M.count = id, count
  -- Through a variable: a constructor of constants and variables mixed makes an array that is
  -- a fifth larger.
  local none = false
  local task = setmetatable({
    [0] = none, none, none, none, none, none, none, none, -- up to CO
    where, id, count, none, none,
  }, meta)
  live[count] = task
  return task
end

--- Starts a task that calls f(...). It is queued; the caller goes on.
---@param f function
---@return lagoon.Task
function M.spawn(f, ...)
  if type(f) ~= 'function' then
    misuse.check_function(f, 'the function to spawn')
  end
  local task = new(site(2) or inherited_site())
  local context = frames.current()
  if context then
    extra_of(task).context = context
  end
  local n = select('#', ...)
  start(task, f, n > 0 and { n = n, ... })
  return task
end

-- Has a task be one of a scope's: it is among scope.tasks, canceled with the scope, and tells it of
-- its end by scope:task_failed() and scope:task_ended().
local function join(task, scope)
  local extra, tasks = extra_of(task), scope.tasks
  local index = #tasks + 1
  tasks[index] = task
  extra.scope, extra.index, extra.context = scope, index, scope
  extra.base, extra.cancel = scope.cause, scope.cause
end

--- The same, of a task that computes, for a scope if there is one: it is queued by enqueue(task).
function M.spawn_to(enqueue, scope, f, ...)
  if type(f) ~= 'function' then
    misuse.check_function(f, 'the function to compute')
  end
  local task = new(site(1) or inherited_site())
  local extra = extra_of(task)
  extra.computes, extra.context = true, frames.current()
  if scope then
    join(task, scope)
  end
  task[VALUE], task[NEXT] = f, { n = select('#', ...), ... }
  enqueue(task)
  return task
end

--- The same, for a scope.
function M.spawn_in(scope, f, ...)
  local task = new(site(1) or inherited_site())
  join(task, scope)
  start(task, f, { n = select('#', ...), ... })
  return task
end

--- Starts a task that calls f(), which was given at `where`.
function M.spawn_timer(f, where)
  start(new(where), f, false)
end

--- Starts a task that calls f(owned), which was given at `where`; owned:close() is called when
-- it ends, however it ends.
function M.spawn_owning(f, owned, where)
  local task = new(where)
  task[OWNED] = owned
  start(task, f, false)
  return task
end

-- A task has ended: it leaves the list, its owner and whoever waits for it are told.
local function conclude(task, how, value)
  task[ON], task[VALUE], task[CO] = how, value, false
  local count, index = M.count, task[SLOT]
  local last = live[count]
  live[index] = last
  last[SLOT] = index
  live[count] = nil
  M.count = count - 1
  local owned = task[OWNED]
  if owned then
    task[OWNED] = false
    owned:close()
  end
  local extra = task[EXTRA]
  if extra then
    if extra.frame then -- it was given up inside of them
      frames.abandon(task)
    end
    while extra:first() do
      hand(extra:pop(), true)
    end
    if extra.scope then
      extra.scope:task_ended(task, how == CANCELED)
    end
  end
end

local function on_end(task, n, ...)
  if ENDINGS[task[ON]] then -- it was given up, and came to an end all the same
    return
  elseif n == 0 then
    conclude(task, DONE, false)
  else
    conclude(task, DONE, { n = n, ... })
  end
end

--- "task 7 'name'", as the log and the dump write it.
function M.describe(task)
  local extra = task[EXTRA]
  local name = extra and extra.name
  return name and format("task %d '%s'", task[ID], name) or format('task %d', task[ID])
end

local function log_failure(task, trace)
  host.log(format('lagoon: %s failed: %s\nspawned at %s', M.describe(task), trace, task[SITE]))
end

M.failures = 0 -- uncaught errors so far
local handler -- of on_error()

--- Reports an error that nobody waits for: to the handler of on_error(), or in the log.
function M.report(task, err, trace)
  M.failures = M.failures + 1
  local f = handler
  if not f then
    return log_failure(task, trace)
  end
  -- Its own task, since it may wait; at once, so that nothing comes between error and report.
  local reporter = new('lagoon.on_error')
  extra_of(reporter).reports = true
  start(reporter, f, { n = 3, task, err, trace })
  if not sched.current() then
    sched.run_now(reporter)
  end
end

-- Set by lagoon.cli: the task of the main chunk, and what to do when it fails.
M.main, M.on_main_failure = nil, nil

-- Whether somebody waits who gets the task's error. A waiter that is deaf only learns of its end.
local function is_awaited(extra)
  local waiter = extra and extra:first()
  while waiter and waiter.is_deaf do
    waiter = waiter[NEXT]
  end
  return waiter
end

local function on_failure(task, err, co)
  if ENDINGS[task[ON]] then
    return
  end
  err = boundary.explain(task, err, co)
  local extra = task[EXTRA]
  if extra and extra.base and canceled.is(err) then
    return conclude(task, CANCELED, err)
  end
  local trace = traces.of(extra, co, err)
  local is_expected = is_awaited(extra)
  if extra and extra.scope then
    is_expected = extra.scope:task_failed(task, err, trace)
  end
  conclude(task, FAILED, err)
  if task == M.main then
    M.on_main_failure(err, trace)
  elseif extra and extra.reports then
    log_failure(task, trace) -- the handler itself: it must not be asked again
  elseif not is_expected then
    M.report(task, err, trace)
  end
end

--- Says that the running task is given up: it swallows its cancellation again and again.
function M.log_given_up(task, trace)
  host.log(
    format(
      'lagoon: %s was canceled, and has caught that %d times and gone on: it is given up%s\n'
        .. 'spawned at %s',
      M.describe(task),
      sched.MAX_UNWINDS,
      trace,
      task[SITE]
    )
  )
end

local function on_abandon(task)
  M.log_given_up(task, traces.trim(traceback('', 2)))
  conclude(task, CANCELED, task[EXTRA].cancel)
end

life.set_on_end(on_end)
sched.set_hooks(life.new_coroutine, on_failure, on_abandon)

--- Sets what is called as f(task, err, traceback) for an error that nobody waits for, instead
-- of logging it; nil for the log again. It runs in a task of its own and may wait.
---@param f? fun(task: lagoon.Task, err: any, traceback: string)
---@return function? before the handler that was set before
function M.on_error(f)
  if f ~= nil then
    misuse.check_function(f, 'the error handler')
  end
  local before = handler
  handler = f
  return before
end

local function check_task(task)
  if type(task) ~= 'table' or getmetatable(task) ~= meta then
    misuse.wrong_self('task', task)
  end
  return task
end
M.check = check_task

function M.is(value)
  return type(value) == 'table' and getmetatable(value) == meta
end

--- true, results... | false, err of a task that has ended.
local function outcome(task)
  if task[ON] ~= DONE then
    return false, task[VALUE]
  end
  local results = task[VALUE]
  if results then
    return true, unpack(results, 1, results.n)
  end
  return true
end
M.outcome = outcome

function M.has_ended(task)
  return ENDINGS[task[ON]] or false
end

--- The queue of those who wait for a live task.
M.joiners = extra_of

--- Waits for the end of the task: true and what it returned, or false and what it raised;
-- nil, "timeout" if it goes on for longer than `timeout` seconds.
---@async
---@param timeout? number seconds
function Task:wait(timeout)
  check_task(self)
  if timeout ~= nil then
    misuse.check_seconds(timeout, 'timeout')
  end
  if ENDINGS[self[ON]] then
    return outcome(self)
  end
  local me = sched.self()
  if self == me then
    misuse.raise('a task cannot wait for itself')
  end
  local joiners = extra_of(self)
  joiners:push(me)
  if timeout then
    heap.arm(me, host.now() + timeout)
  end
  local ended = sched.park(joiners)
  if not ended then
    return nil, 'timeout'
  end
  return outcome(self)
end

--- Makes the task's current wait, and each later one, raise a value equal to `lagoon.canceled`.
---@param reason? any its field `reason`
---@return boolean canceled false if the task had ended
function Task:cancel(reason)
  check_task(self)
  if ENDINGS[self[ON]] then
    return false
  end
  frames.cancel_task(self, canceled.new(reason))
  return true
end

--- "ready", "running", "parked", "done", "failed" or "canceled".
function Task:status()
  check_task(self)
  local on = self[ON]
  if self == sched.current() then
    return 'running'
  elseif not on or on == sched.YIELD then
    return 'ready'
  end
  return ENDINGS[on] and on.status or 'parked'
end

--- The task's name, in logs and dumps; sets it if one is given.
---@param name? string
---@return string? name
function Task:name(name)
  check_task(self)
  if name ~= nil then
    extra_of(self).name = misuse.check_type(name, 'string', 'the name of a task')
    return name
  end
  local extra = self[EXTRA]
  return extra and extra.name or nil
end

function meta.__tostring(task)
  return M.describe(task)
end

--- What a parked task waits for, for people; nil if it is not parked.
---@param brief? boolean only the kind of wait
---@return string?
function M.reason(task, brief)
  local on = task[ON]
  if on and not ENDINGS[on] then
    return on:reason(task, brief)
  end
end

return M
