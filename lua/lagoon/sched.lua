--- sched.lua: the run queue, and the only place that yields.
--
-- Invariants:
--   * a wait ends at most once, and its task is resumed exactly once for it;
--   * ending a wait only queues the task, so nobody who ends one is ever re-entered;
--   * a task is parked on at most one source.
--
-- A source is whatever a task parks on. The scheduler asks two things of it:
--   source:unpark(task)   forget the task: its wait ends in another way
--   source:reason(task)   what it waits for, for people
-- Ending a wait is up to the source: take the task out of its own books, then wake(task, a, b),
-- and park() returns a, b. A new kind of source needs no change here.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local slots = require('lagoon.slots')

local NEXT, VALUE, WHEN, ON, CO = slots.NEXT, slots.VALUE, slots.WHEN, slots.ON, slots.CO
local EXTRA, OWNER, OWNED = slots.EXTRA, slots.OWNER, slots.OWNED

local yield, resume, create = coroutine.yield, coroutine.resume, coroutine.create
local pcall, error, select, unpack = pcall, error, select, unpack
local band = bit.band
local now, format = host.now, string.format

local M = {
  task = nil, -- the task that runs; nil in the scheduler itself
}

-- What a task's coroutine yields: lagoon.coroutine passes it outward through the user's own
-- coroutines. And what park() gets when the wait was canceled: private, so no script can send it.
local PARK, CANCEL = {}, {}
M.PARK = PARK

-- The run queue: a ring of tasks, ring[head] first, empty if head == tail.
local ring, mask = {}, 1023
local head, tail = 0, 0
for i = 0, mask do
  ring[i] = false
end

local function grow_ring()
  local size = mask + 1
  local bigger = {}
  for i = 0, size - 1 do
    bigger[i] = ring[band(head + i, mask)]
  end
  for i = size, 2 * size - 1 do
    bigger[i] = false
  end
  ring, mask, head, tail = bigger, 2 * size - 1, 0, size
end

local function enqueue(task)
  ring[tail] = task
  tail = band(tail + 1, mask)
  if tail == head then
    grow_ring()
  end
end

--- Ends the wait of a parked task, which its source has forgotten: park() will return a, b.
function M.wake(task, a, b)
  task[ON] = nil
  task[VALUE], task[NEXT] = a, b
  if task[WHEN] then
    heap.disarm(task)
  end
  ring[tail] = task
  tail = band(tail + 1, mask)
  if tail == head then
    grow_ring()
  end
end
local wake = M.wake

--- Ends the wait of a parked task from outside of its source.
function M.interrupt(task, a, b)
  task[ON]:unpark(task)
  wake(task, a, b)
end

--- Makes a parked task's wait, and each later one, raise `reason`, a value of canceled.lua.
-- The wait of a task that is ready has ended already, so its next one raises.
function M.cancel(task, reason)
  local extra = task[EXTRA]
  if not extra then
    extra = {}
    task[EXTRA] = extra
  end
  extra.cancel = extra.cancel or reason
  if task[ON] then
    M.interrupt(task, CANCEL)
  end
end

-- Where a wait cannot be: between the task and here is a C function that called back into Lua.
local function cannot_wait(task, source)
  source:unpark(task)
  task[ON] = nil
  if task[WHEN] then
    heap.disarm(task)
  end
  error(require('lagoon.boundary').describe(), 0)
end

--- Parks the running task on a source that knows of it already, until somebody wakes it.
-- Raises if the task is canceled; the source has then forgotten it.
---@async
---@return any a, any b what wake() was given
function M.park(source)
  local task = M.task
  local extra = task[EXTRA]
  if extra and extra.cancel then
    source:unpark(task)
    if task[WHEN] then
      heap.disarm(task)
    end
    error(extra.cancel, 0)
  end
  task[ON] = source
  local could, a, b = pcall(yield, PARK)
  if not could then
    return cannot_wait(task, source)
  end
  if a == CANCEL then
    error(task[EXTRA].cancel, 0)
  end
  return a, b
end
local park = M.park

--- Yields from inside a user's coroutine to what resumed it, on behalf of a park() further
-- in: for lagoon.coroutine alone.
---@async
function M.pass_outward()
  return yield(PARK)
end

--- Yields of the user's own coroutines, and their resume.
M.raw_yield, M.raw_resume = yield, resume

-- Sources without books of their own: a timer, or the run queue, ends the wait.
local function nothing() end
local SLEEP = { unpark = nothing }
function SLEEP.reason(_, task)
  return format('sleep %.3fs left', (task[WHEN] or 0) - now())
end
local YIELD = { unpark = nothing, reason = nothing }

--- Lets every task that is ready run first, and looks for I/O if it is due.
---@async
function M.yield()
  local task = M.task
  local extra = task[EXTRA]
  if extra and extra.cancel then
    error(extra.cancel, 0)
  end
  enqueue(task)
  if not pcall(yield, PARK) then
    tail = band(tail - 1, mask) -- nobody ran in between: it is the last in the ring
    ring[tail] = false
    cannot_wait(task, YIELD)
  end
end

--- Parks for some seconds. 0 and less is as yield().
---@async
function M.sleep(seconds)
  if seconds <= 0 then
    return M.yield()
  end
  heap.arm(M.task, now() + seconds)
  park(SLEEP)
end

--- Parks for ever, or until the task is canceled.
---@async
function M.sleep_forever(source)
  park(source or SLEEP)
end

-- Coroutines that have finished one task and wait for the next.
local POOL_MAX = 1024
local pool, pooled = {}, 0

local on_end -- called as on_end(task, n, ...) in the task itself when its function has returned

local function finish(...)
  local task = M.task
  local co = task[CO]
  on_end(task, select('#', ...), ...)
  if pooled < POOL_MAX then
    pooled = pooled + 1
    pool[pooled] = co
    return true
  end
end

-- A coroutine's life: one task after another. It holds nothing on its stack between two.
local function body(f, args)
  local again
  if args then
    again = finish(f(unpack(args, 1, args.n)))
  else
    again = finish(f())
  end
  if again then
    return body(yield(PARK))
  end
end

--- Gives a task a coroutine, and queues it to call f with the arguments.
---@param args? table with a field n
function M.start(task, f, args)
  local co
  if pooled > 0 then
    co = pool[pooled]
    pool[pooled] = false
    pooled = pooled - 1
  else
    co = create(body)
  end
  task[CO] = co
  task[VALUE], task[NEXT] = f, args
  enqueue(task)
end

local on_failure -- called as on_failure(task, err, co) in the scheduler

--- What the tasks' module does when a task's function returns, or raises.
function M.set_hooks(ended, failed)
  on_end, on_failure = ended, failed
end

local function step(task)
  M.task = task
  local a, b = task[VALUE], task[NEXT]
  task[VALUE], task[NEXT] = nil, nil
  local co = task[CO]
  local ok, err = resume(co, a, b)
  if not ok then
    M.task = nil
    on_failure(task, err, co)
  end
end

--- Runs a task that was just started at once, ahead of the queue. In the scheduler only.
function M.run_now(task)
  tail = band(tail - 1, mask)
  ring[tail] = false
  step(task)
  M.task = nil
end

local function expire_timers(time)
  local item = heap.pop(time)
  while item do
    if item[CO] then
      M.interrupt(item, nil, 'timeout')
    else
      item:expire(time)
    end
    item = heap.pop(time)
  end
end

M.turns = 0
M.longest_turn = 0 -- seconds between two looks at I/O and timers, at most

-- How many tasks run before I/O and timers get their turn: less when tasks run long.
local MAX_BUDGET = 256
local budget = MAX_BUDGET
local turn_began = now()
local idle_turns = 0

local function measure(time)
  local took = time - turn_began
  if took > M.longest_turn then
    M.longest_turn = took
  end
  if took > 0.001 then
    budget = budget > 1 and (budget - budget % 2) / 2 or 1
  elseif budget < MAX_BUDGET then
    budget = budget * 2
  end
end

-- I/O, then timers, so that data that is there beats a time-out that is due.
-- False when nothing can ever wake anybody.
local function look_around(poll)
  M.turns = M.turns + 1
  local time = now()
  measure(time)
  local due = heap.next_due()
  if head ~= tail then
    -- With nobody waiting for I/O there is only the loop's own housekeeping to do.
    idle_turns = idle_turns + 1
    if poll.pending > 0 or idle_turns % 16 == 0 then
      poll.dispatch(0)
    end
  elseif due then
    poll.dispatch(due > time and due - time or 0)
  elseif poll.pending > 0 then
    poll.dispatch(-1)
  else
    return false
  end
  time = now()
  turn_began = time
  if due and due <= time then
    expire_timers(time)
  end
  return true
end

local stopped = false

--- Ends run() before another task gets its turn.
function M.stop()
  stopped = true
  head, tail = 0, 0
end

--- Ends run() from the running task, which is not resumed again; false if it cannot yield.
function M.abandon()
  if not coroutine.isyieldable() then
    return false
  end
  M.stop()
  yield(PARK)
end

--- Runs tasks until nothing is left that could run, is_over() says so, or stop() was called.
---@param poll { pending: integer, dispatch: fun(seconds: number) }
---@param is_over fun(): boolean asked when no task is ready
function M.run(poll, is_over)
  turn_began = now()
  repeat
    local left = budget
    while head ~= tail and left > 0 do
      local task = ring[head]
      ring[head] = false
      head = band(head + 1, mask)
      step(task)
      left = left - 1
    end
    M.task = nil
  until stopped or (head == tail and is_over()) or not look_around(poll)
end

--- The number of tasks that are ready to run.
function M.ready()
  return band(tail - head, mask)
end

--- Tells the owner of a task that it has ended.
function M.release(task)
  local owner = task[OWNER]
  if owner then
    local owned = task[OWNED]
    task[OWNER], task[OWNED] = nil, nil
    owner:ended(task, owned)
  end
end

return M
