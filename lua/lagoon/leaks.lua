--- leaks.lua: tasks that are parked on what nothing can bring any more.
--
-- Who could end a task's wait has to get at what the task waits for: at the channel, at the pipe.
-- So this walks the heap (walk.lua) from what can still act, but not by way of the parked tasks.
-- A task whose wait the walk gets at, or that something else will end, can act too: the walk goes
-- on with its stack. Tasks that are left when nothing more is reached will wait for ever. That
-- is what Go's profile of leaked goroutines does.
--
-- Roots: the registry, the globals, the library; the tasks that run or are ready, the main task;
-- those that an event of the poller will wake, and those that a timer will, or a deadline of
-- a scope or a timeout around the wait; what timers and tickers hold.
--
-- The references by which the library itself holds a parked task do not count, or nothing would
-- ever be leaked. Hence
--   * a task, as a value, leads nowhere while it lives, wherever it is found: in the list of live
--     tasks, in a queue of who waits, as a handle in a script's table. Nor does its coroutine. Only
--     being able to act opens them (revive());
--   * the same with a case of a select in the queue of its source: a selector, which a script may
--     hold, leads to the sources of its cases, but none of those back to it;
--   * the timers' heap is not walked, since dead entries are left in it: its armed items are roots.
-- That a task could be canceled, by whoever has its handle, does not count either.

local globals = require('lagoon.globals')
local contexts = require('lagoon.contexts')
local heap = require('lagoon.heap')
local life = require('lagoon.life')
local poll = require('lagoon.poll')
local sched = require('lagoon.sched')
local selectors = require('lagoon.selector')
local sleep = require('lagoon.sleep')
local slots = require('lagoon.slots')
local task = require('lagoon.task')
local walks = require('lagoon.walk')

local NEXT, VALUE, WHEN, ON, CO = slots.NEXT, slots.VALUE, slots.WHEN, slots.ON, slots.CO
local EXTRA, OWNED = slots.EXTRA, slots.OWNED
local getmetatable, getregistry, getfenv = debug.getmetatable, debug.getregistry, debug.getfenv
local type, rawequal = type, rawequal
local pairs, ipairs = pairs, ipairs

local M = {}

local function is_parked(t)
  local source = t[ON]
  return source and source ~= sched.YIELD
end

-- A live task that can act: its stack and what it has in its slots are reached. Those who wait for
-- its end have its EXTRA for a source, so they can too.
local function revive(walk, t)
  local co = t[CO]
  if walk.alive[t] then
    return
  end
  walk.alive[t] = true
  walk:visit(t[VALUE])
  walk:visit(t[OWNED])
  walk:visit(t[EXTRA])
  if not is_parked(t) then
    walk:visit(t[NEXT]) -- its arguments, or what it was woken with; a parked one's is a link
  end
  if co then
    walk:push(co)
  end
end

-- A task as a value: its results, once it has ended.
local function look_into_task(walk, t)
  if task.has_ended(t) then
    walk:visit(t[VALUE])
  end
end

-- A case in a queue: who comes after it may be neither task nor case, and acts by itself.
local function look_into_case(walk, case)
  walk:visit(case[NEXT])
end

local function look_into_selector(walk, selector)
  walk:look_into_table(selector)
  for i = 1, selector.count do
    local case = selector.cases[i]
    walk:visit(case.key)
    walk:visit(case.source)
    walk:visit(case.sends)
    walk:visit(case.handler)
  end
end

-- The children of a context are over when it is, though it holds them weakly.
local function look_into_context(walk, ctx)
  walk:look_into_table(ctx)
  for child in pairs(ctx.children or {}) do
    walk:visit(child)
  end
end

-- What a select's case waits for; nil if that is an event of the poller.
local function source_of(case)
  local source = case.source
  if task.is(source) then
    return source[EXTRA]
  end
  return type(source) == 'table' and source or nil
end

-- A select can go on if one of its cases can.
local function await_selector(walk, t, selector)
  if selector[WHEN] then
    return revive(walk, t)
  end
  for i = 1, selector.count do
    local source = source_of(selector.cases[i])
    if not source then
      return revive(walk, t)
    end
    walk:when_reached(source, t)
  end
end

-- Sorts a task by whether it can act: now, or once something is reached.
local function await(walk, t, polled)
  local source = t[ON]
  if not is_parked(t) or t[WHEN] or polled[t] or rawequal(t, task.main) then
    revive(walk, t)
  elseif getmetatable(source) == selectors.Selector then
    await_selector(walk, t, source)
  elseif source ~= sleep.SLEEP then
    walk:when_reached(source, t)
  end
end

local expire

-- A task that will be canceled, with what is inside of its frames out to `outer`.
local function expire_task(walk, t, outer)
  revive(walk, t)
  local frame = t[EXTRA] and t[EXTRA].frame
  while frame and not rawequal(frame, outer) do
    expire(walk, frame)
    frame = frame.outer
  end
end

-- A context whose deadline will come: as in frame.lua, but for shields.
function expire(walk, ctx)
  if walk.expired[ctx] then
    return
  end
  walk.expired[ctx] = true
  walk:visit(ctx)
  if ctx.owner then
    expire_task(walk, ctx.owner, ctx)
  end
  for _, t in ipairs(ctx.tasks or {}) do
    expire_task(walk, t, false)
  end
  for child in pairs(ctx.children or {}) do
    expire(walk, child)
  end
end

local function visit_timers(walk)
  for _, item in ipairs(heap.armed_items()) do
    if contexts.classes[getmetatable(item)] then
      expire(walk, item)
    else
      walk:visit(item) -- a task, or a select's selector, was seen to by await()
    end
  end
end

local function visit_roots(walk)
  walk:visit(getregistry())
  walk:visit(globals)
  walk:visit(getfenv(M.find))
  for _, value in ipairs({ '', 0, true, M.find }) do
    walk:visit(getmetatable(value))
  end
  walk:visit(getmetatable(nil))
  visit_timers(walk)
end

local function new_walk()
  local walk = walks.new(M.find)
  walk.alive, walk.expired, walk.tell = {}, {}, revive
  walk.reached[heap.items], walk.reached[life.pool] = true, true
  local classes = walk.classes
  classes[task.meta], classes[selectors.Case] = look_into_task, look_into_case
  classes[selectors.Selector] = look_into_selector
  for class in pairs(contexts.classes) do
    classes[class] = look_into_context
  end
  return walk
end

-- The tasks that an event of the poller will wake: a set.
local function polled_tasks()
  local set = {}
  for _, t in ipairs(poll.waiters) do
    if t then
      set[t] = true
    end
  end
  return set
end

--- The parked tasks that nothing can wake any more but a cancellation, in no order.
---@return lagoon.Task[]
function M.find()
  local walk, polled, live = new_walk(), polled_tasks(), task.live
  for i = 1, task.count do
    walk.owned[live[i][CO]] = true
  end
  for i = 1, task.count do
    await(walk, live[i], polled)
  end
  visit_roots(walk)
  walk:run()
  local leaked = {}
  for i = 1, task.count do
    if not walk.alive[live[i]] then
      leaked[#leaked + 1] = live[i]
    end
  end
  return leaked
end

return M
