--- life.lua: a coroutine's life: one task after another.

local sched = require('lagoon.sched')
local slots = require('lagoon.slots')

local NEXT, VALUE, CO, OWNED = slots.NEXT, slots.VALUE, slots.CO, slots.OWNED
local create = coroutine.create
local select, unpack = select, unpack
local current, begin_next, rest = sched.current, sched.begin_next, sched.rest

local M = {}

-- Coroutines that have finished one task and wait for the next.
local POOL_MAX = 1024
local pool, pooled = {}, 0
M.pool = pool
local spare -- the coroutine of the task that has ended last; false if that was given up before

local on_end -- called as on_end(task, n, ...) in the task itself when its function has returned

function M.set_on_end(f)
  on_end = f
end

local function finish(...)
  local task = sched.self()
  spare = task[CO]
  on_end(task, select('#', ...), ...)
end

local function keep()
  if pooled < POOL_MAX then
    pooled = pooled + 1
    pool[pooled] = spare
    return true
  end
  return false
end

-- The function of the running task, and its arguments: once, when it begins.
local function take_function()
  return current()[VALUE]
end

local function take_arguments()
  local task = current()
  local args = task[NEXT]
  task[VALUE], task[NEXT] = false, false
  if args then
    return unpack(args, 1, args.n)
  elseif task[OWNED] then
    return task[OWNED]
  end
end

-- It holds nothing on its stack between two tasks, and has no local variable: a coroutine begins
-- with 40 slots of stack, of which every C function wants 20 for itself, and doubles them when
-- they do not do. What is saved here is what an idle conn costs. For the same reason a task
-- that owns a conn gives no results.
local function body()
  repeat
    if current()[OWNED] then
      take_function()(take_arguments())
      finish()
    else
      finish(take_function()(take_arguments()))
    end
    if not spare then
      return
    end
  until not begin_next(spare)
  if keep() then
    rest()
    return body()
  end
end

--- The coroutine for a task that begins.
function M.new_coroutine()
  if pooled == 0 then
    return create(body)
  end
  local co = pool[pooled]
  pool[pooled] = false
  pooled = pooled - 1
  return co
end

return M
