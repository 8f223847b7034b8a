--- sched.lua: the run queue, and the only place that yields.
--
-- Invariants:
--   * a wait ends at most once, and its task is resumed exactly once for it;
--   * ending a wait only queues the task, so nobody who ends one is ever re-entered;
--   * a task is parked on at most one source.
--
-- A source is whatever a task parks on. The scheduler asks two things of it:
--   source:unpark(task)   forget the task: its wait ends in another way
--   source:reason(task, brief)   what it waits for, for people; if `brief`, only of what kind that
--                                is: the same for many of them
-- Ending a wait is up to the source: take the task out of its own books, then wake(task, value),
-- and park() returns the value. A new kind of source needs no change here.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local slots = require('lagoon.slots')

local NEXT, VALUE, WHEN, ON, CO = slots.NEXT, slots.VALUE, slots.WHEN, slots.ON, slots.CO
local EXTRA, SINCE = slots.EXTRA, slots.SINCE

local resume, yield = coroutine.resume, coroutine.yield
local error, pcall = error, pcall
local band, interrupt = bit.band, host.interrupt

local M = {}

local running = false -- the task that runs; false in the scheduler itself
local turn_began = 0 -- on the clock of now()
local runs, first_run = 0, 0 -- times that a task was resumed; the first of this turn
local was_preempted = false -- the run that has just ended

--- For the watchdog, which reads the upvalues too: the running task, the number of its run, that of
-- the turn's first run, and when the turn began.
function M.run()
  return running, runs, first_run, turn_began
end

--- The running task is about to be preempted: what its coroutine yields next is no wait. False: it
-- could not, and goes on.
function M.set_preempted(value)
  was_preempted = value
end

function M.is_preempted()
  return was_preempted
end

--- The running task; false in the scheduler itself.
---@return lagoon.Task|false
function M.current()
  return running
end

-- What a task's coroutine yields: lagoon.coroutine passes it outward through the user's own
-- coroutines. The answer is true.
--
-- Where no yield is possible, because a C function has called back into Lua, yield() raises,
-- with the wait still in its source's books. Asking first would cost every wait; so the task
-- keeps its source in ON, and whoever catches the error (lagoon.boundary) calls recover()
-- before the script goes on.
local PARK = {}
M.PARK = PARK

-- The value of a wait that was canceled: private, so no script can send it.
local CANCEL = {}

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

--- Ends the wait of a parked task, which its source has forgotten: park() returns the value.
local function wake(task, value)
  task[ON], task[VALUE] = false, value
  if task[WHEN] then
    heap.disarm(task)
  end
  enqueue(task)
end
M.wake = wake

--- Ends the waits of all the tasks in a queue.
function M.wake_all(queue)
  while queue:first() do
    wake(queue:pop(), true)
  end
end

--- Ends the wait of a waiter that is out of its source's books: a task's, or a select case's.
function M.hand(waiter, value)
  if waiter[CO] then
    wake(waiter, value)
  else
    waiter:fire(value)
  end
end

--- The same with two values, for who takes the second by M.second().
function M.wake_pair(task, a, b)
  wake(task, a)
  task[NEXT] = b or false
end

--- The second value of the wait that the running task comes from; nil if there was none.
function M.second()
  local task = running
  local b = task[NEXT]
  task[NEXT] = false
  return b or nil
end

--- Ends the wait of a parked task from outside of its source.
function M.interrupt(task, a, b)
  task[ON]:unpark(task)
  M.wake_pair(task, a, b)
end

--- Makes a parked task's wait raise task[EXTRA].cancel, a value of canceled.lua, as each later
-- one will. The wait of a task that is ready has ended already, so its next one raises.
function M.cancel(task)
  local source = task[ON]
  if source and source ~= M.YIELD then
    M.interrupt(task, CANCEL)
  end
end

--- If the last wait of the running task, or of another, failed to yield, its source and its timer
-- forget it.
---@param task? lagoon.Task
---@return boolean did_fail
local function recover(task)
  task = task or running
  local source = task and task[ON]
  if not source then
    return false
  end
  task[ON] = false
  source:unpark(task)
  if task[WHEN] then
    heap.disarm(task)
  end
  return true
end
M.recover = recover

--- The running task, which is about to wait: what every source enters into its books.
function M.self()
  local task = running
  if not task then
    error('cannot wait here: no task is running', 0)
  elseif task[ON] then
    recover() -- a C function caught the error of a wait that failed
  end
  return task
end
local self = M.self

-- So many waits in a row may raise a cancellation: then the task is given up, for it will not end.
local MAX_UNWINDS = 100
M.MAX_UNWINDS = MAX_UNWINDS

local on_abandon -- called as on_abandon(task) in the task itself, which is not resumed again

-- A wait of a canceled task.
local function unwind(task)
  local extra = task[EXTRA]
  local unwinds = (extra.unwinds or 0) + 1
  extra.unwinds = unwinds
  if unwinds == MAX_UNWINDS + 1 then
    on_abandon(task)
    pcall(yield, PARK) -- for ever, unless a C function is in the way
  end
  error(extra.cancel, 0)
end

--- Parks the running task on a source that knows of it already, until somebody wakes it.
-- Raises if the task is canceled: the source has then forgotten it.
---@async
---@return any value what wake() was given
function M.park(source)
  local task = running
  local extra = task[EXTRA]
  task[ON], task[SINCE] = source, turn_began
  if extra and extra.cancel then
    recover()
    unwind(task)
  end
  if not yield(PARK) then
    M.fail_to_yield()
  end
  if extra and extra.ends_with then
    interrupt() -- a wait of the library's, on the way out of the task
  end
  local value = task[VALUE]
  task[VALUE] = false
  if value == CANCEL then
    unwind(task)
  end
  return value
end

--- Yields from inside a user's coroutine to what resumed it, on behalf of a park() further
-- in: for lagoon.coroutine alone. False if that cannot be.
---@async
function M.pass_outward()
  local could, answer = pcall(yield, PARK)
  return could and answer
end

--- Raises what the script is told when its coroutine could not pass the yield outward. Set by
-- lagoon.boundary.
M.fail_to_yield = nil

local function nothing() end

-- The source of a task that is in the run queue by its own will.
local YIELD = { reason = nothing }
M.YIELD = YIELD

-- Only a yield that failed is taken back. Its task is near the end of the ring.
function YIELD.unpark(_, task)
  local at = band(tail - 1, mask)
  while ring[at] ~= task do
    at = band(at - 1, mask)
  end
  while at ~= band(tail - 1, mask) do
    local after = band(at + 1, mask)
    ring[at] = ring[after]
    at = after
  end
  tail = at
  ring[at] = false
end

local function check_canceled(task)
  local extra = task[EXTRA]
  if extra and extra.cancel then
    unwind(task)
  end
end

--- Lets every task that is ready run first, and looks for I/O if it is due.
---@async
function M.yield()
  local task = self()
  check_canceled(task)
  enqueue(task)
  task[ON] = YIELD
  if not yield(PARK) then
    M.fail_to_yield()
  end
  task[ON] = false
  check_canceled(task)
end

local left = 0 -- tasks that may still run in this turn

--- If the next task in the queue has not begun, and may run in this turn, it runs now,
-- in the coroutine that has just ended another.
---@return boolean did
function M.begin_next(co)
  local task = ring[head]
  if task and not task[CO] and left > 0 then
    left = left - 1
    ring[head] = false
    head = band(head + 1, mask)
    task[CO] = co
    running, runs = task, runs + 1
    return true
  end
  return false
end

--- A coroutine without a task waits until one begins in it. For lagoon.life.
---@async
function M.rest()
  yield(PARK)
end

local new_coroutine -- called for the coroutine of a task that begins

--- Queues a task to call f with the arguments, or with what it owns. It gets its coroutine when it
-- begins.
---@param args table|false with a field n
function M.start(task, f, args)
  task[VALUE], task[NEXT] = f, args
  enqueue(task)
end

local on_failure -- called as on_failure(task, err, co) in the scheduler
local on_preemption -- called as on_preemption(task) in the scheduler

--- What others do: where a task's coroutine comes from; what happens when its function raises,
-- and when it is given up.
function M.set_hooks(coroutines, failed, abandoned)
  new_coroutine, on_failure, on_abandon = coroutines, failed, abandoned
end

--- And when it was preempted.
function M.set_on_preemption(preempted)
  on_preemption = preempted
end

-- Runs a task until it parks or ends.
local function step(task)
  running, runs = task, runs + 1
  local co = task[CO]
  if not co then
    co = new_coroutine()
    task[CO] = co
  end
  local ok, err = resume(co, true)
  if not ok then
    local failed = running -- which may be a later one, begun in the same coroutine
    running = false
    on_failure(failed, err, co)
  elseif was_preempted then
    was_preempted = false
    on_preemption(running)
  end
end

--- Runs a task that was just started at once, ahead of the queue. In the scheduler only.
function M.run_now(task)
  tail = band(tail - 1, mask)
  ring[tail] = false
  step(task)
  running = false
end

local stopped = false

--- Nothing runs any more: run_ready() leaves every task alone.
function M.stop()
  stopped = true
  head, tail = 0, 0
end

--- Stops from the running task, which is not resumed again; false if it cannot yield.
function M.abandon()
  M.stop()
  return pcall(yield, PARK)
end

--- Runs a task that is in no queue, as a turn of its own that begins at `time`.
function M.run_alone(task, time)
  left, turn_began, first_run = 0, time, runs + 1
  step(task)
  running = false
end

--- Runs tasks that are ready, so many at most, in a turn that began at `time`.
---@return boolean more whether others are ready now
---@return boolean stopped
function M.run_ready(most, time)
  left, turn_began, first_run = most, time, runs + 1
  while head ~= tail and left > 0 do
    local task = ring[head]
    ring[head] = false
    head = band(head + 1, mask)
    left = left - 1
    step(task)
  end
  running = false
  return head ~= tail, stopped
end

--- The number of tasks that are ready to run.
function M.ready()
  return band(tail - head, mask)
end

return M
