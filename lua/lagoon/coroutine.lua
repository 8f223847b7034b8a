--- coroutine.lua: `coroutine` as scripts see it: a coroutine of theirs may wait for I/O.
--
-- When the scheduler's yield comes out of a coroutine that the script resumed, it is passed on
-- outward, and what the scheduler answers is passed back in. So a generator may read from
-- a conn, and its consumer just sees it take a while.

local globals = require('lagoon.globals')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local boundary = require('lagoon.boundary')
local frames = require('lagoon.frame')

local resume, yield, create = coroutine.resume, coroutine.yield, coroutine.create
local running = coroutine.running
local error, type, tostring, setmetatable = error, type, tostring, setmetatable
local rawequal = rawequal
local pass_outward, PARK, explain = sched.pass_outward, sched.PARK, boundary.explain
local is_preempted, set_preempted = sched.is_preempted, sched.set_preempted
local CO = require('lagoon.slots').CO
local innermost = frames.innermost

-- Each nested resume takes C stack; unlimited, it would end the process.
local MAX_DEPTH = 150
local depth = 0
local depth_of -- the task that `depth` counts for

-- Coroutines that are in the middle of a wait, or are a task's own: the scheduler alone resumes
-- those. To the task that waits in them.
local waiting = setmetatable({}, { __mode = 'k' })

-- The frames that a coroutine has yielded in, to its caller: see frame.lua.
local suspended = setmetatable({}, { __mode = 'k' })

local function pass(mine, co, outer, ok, ...)
  depth = mine - 1
  if not ok then
    return false, explain(sched.current(), (...), co)
  elseif ... ~= PARK and not is_preempted() then
    local task = sched.current()
    if not rawequal(innermost(task), outer) then
      suspended[co] = frames.suspend(task, outer)
    end
    return true, ...
  end
  waiting[co] = sched.current()
  local could = pass_outward()
  if not could and is_preempted() then
    set_preempted(false) -- it just goes on
  elseif not could then
    could = boundary.refuse()
  end
  waiting[co] = nil
  depth, depth_of = mine, sched.current()
  return pass(mine, co, outer, resume(co, could))
end

local function guarded_resume(co, ...)
  if waiting[co] then
    return false, 'cannot resume a coroutine that waits in ' .. tostring(waiting[co])
  end
  if depth_of ~= sched.current() then
    depth, depth_of = 0, sched.current()
  end
  local mine = depth + 1
  if mine > MAX_DEPTH then
    misuse.raise('coroutines are nested more than %d deep', MAX_DEPTH)
  end
  depth = mine
  local task = sched.current()
  local outer = innermost(task)
  if suspended[co] then
    frames.resume(task, suspended[co])
    suspended[co] = nil
  end
  return pass(mine, co, outer, resume(co, ...))
end

local function unwrap(ok, ...)
  if not ok then
    error((...), 0)
  end
  return ...
end

--- Replaces resume, wrap and yield in the scripts' `coroutine`.
local function install()
  local target = globals.coroutine

  function target.resume(co, ...)
    if type(co) ~= 'thread' then
      misuse.raise("bad argument #1 to 'resume' (coroutine expected)")
    end
    return guarded_resume(co, ...)
  end

  function target.wrap(f)
    misuse.check_function(f, "bad argument #1 to 'wrap'; it")
    local co = create(f)
    return function(...)
      return unwrap(guarded_resume(co, ...))
    end
  end

  function target.running()
    local co = running()
    local task = sched.current()
    if task and co == task[CO] then
      waiting[co] = task -- a script that has it could resume it
    end
    return co
  end

  function target.yield(...)
    local task = sched.current()
    if task and running() == task[CO] then
      misuse.raise('attempt to yield from outside a coroutine (a task gives way by lagoon.yield())')
    end
    return yield(...)
  end
end

return { install = install }
