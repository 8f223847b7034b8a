--- poll.lua: waits that the poller ends.
--
-- Every handle of the host has a token for each direction (host/poller.h). A task that waits
-- for one stands in waiters[token]; select cases that want to know of it stand in
-- watchers[token]. A batch is handled whole before any task runs, and a handle that closes
-- takes its tokens out first, so no event can find a later owner.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local sched = require('lagoon.sched')
local slots = require('lagoon.slots')
local new_queue = require('lagoon.queue').new

local NEXT, WHEN, ON = slots.NEXT, slots.WHEN, slots.ON
local wake, wake_all, wake_pair = sched.wake, sched.wake_all, sched.wake_pair
local park, second = sched.park, sched.second
local host_poll = host.poll

local M = {
  pending = 0, -- waits that an event can end; while it is 0, there is no use in polling
}

local waiters, watchers, queues = {}, {}, {}
M.waiters = waiters

-- Every token has an entry, so that `waiters` stays an array: a conn that only ever reads
-- uses every second one, which is too sparse for Lua to see an array in.
local known = 0
local function extend(token)
  for i = known + 1, token + 1 do
    waiters[i] = waiters[i] or false
  end
  known = token + 1
end

--- Enters the running task as the one who waits for the token: it is to park then, on a source
-- that forgets it by M.forget().
---@param deadline number? then it is woken with nil, "timeout"
function M.enter(token, deadline)
  local task = sched.self()
  if token > known then
    extend(token)
  end
  assert(not waiters[token], 'two tasks at one token')
  waiters[token] = task
  M.pending = M.pending + 1
  if deadline then
    heap.arm(task, deadline)
  end
end
local enter = M.enter

--- Parks the running task until the token's report, and returns the two values that it brings.
---@async
function M.wait(token, source, deadline)
  enter(token, deadline)
  return park(source), second()
end

--- Takes the task out, if it is the one who waits for the token.
---@return boolean was_there
function M.forget(token, task)
  if waiters[token] == task then
    waiters[token] = false
    M.pending = M.pending - 1
    return true
  end
  return false
end

-- What those wait for who queue for a token's direction: `why` is the token.
local function turn_reason(queue, _, brief)
  local first = waiters[queue.why]
  if not first then
    return 'a turn at a busy conn'
  end
  return first[ON]:reason(first, brief) .. ', after another task'
end

--- Parks the running task behind whoever is at the direction that the token stands for, first
-- come first served: true when it is its turn, or nil, code. Who had a turn calls release() when
-- it is done; who found the direction taken again waits `again`, at the front.
---@async
function M.queue(token, deadline, again)
  local queue = queues[token]
  if not queue then
    queue = new_queue(token)
    queue.reason = turn_reason
    queues[token] = queue
  end
  local task = sched.self()
  if again then
    queue:push_front(task)
  else
    queue:push(task)
  end
  if deadline then
    heap.arm(task, deadline)
  end
  local turn = park(queue)
  return turn, second()
end

--- The direction is free: its next task in the queue may try.
function M.release(token)
  local queue = queues[token]
  if queue then
    local task = queue:pop()
    if task then
      wake(task, true)
    else
      queues[token] = nil
    end
  end
end

-- Gives a parked task another deadline, or none. What its operation's own time-out leaves it
-- stays: it is what the task is armed for if that is sooner than the old deadline. `limit` is
-- taken for it where the old deadline hides it.
local function rearm(task, old, new, limit)
  local when = task[WHEN]
  if when and (not old or when < old) then
    limit = when
  end
  if limit and (not new or limit < new) then
    new = limit
  end
  if new then
    heap.arm(task, new)
  elseif when then
    heap.disarm(task)
  end
end

--- The same for every task of a queue.
function M.rearm_queue(queue, old, new, limit)
  local task = queue:first()
  while task do
    rearm(task, old, new, limit)
    task = task[NEXT]
  end
end

--- The same for who waits for the token, and for a turn at it.
function M.rearm(token, old, new, limit)
  if waiters[token] then
    rearm(waiters[token], old, new, limit)
  end
  if queues[token] then
    M.rearm_queue(queues[token], old, new, limit)
  end
end

--- Links a select case to the token's events. Each calls case:poke().
function M.watch(token, case)
  local queue = watchers[token]
  if not queue then
    queue = new_queue('readiness')
    watchers[token] = queue
  end
  queue:push(case)
  M.pending = M.pending + 1
end

--- The same for who keeps nobody waiting: the program may end in spite of it.
function M.watch_idly(token, watch)
  M.watch(token, watch)
  M.pending = M.pending - 1
end

function M.unwatch(token, case)
  local queue = watchers[token]
  queue:unpark(case)
  M.pending = M.pending - 1
  if not queue:first() then
    watchers[token] = nil
  end
end

--- Something may have happened for those who watch the token.
local function notify(token)
  if watchers[token] then
    watchers[token]:poke()
  end
end
M.notify = notify

--- The handle of the tokens is closed: everybody who waits there is told.
function M.close(token)
  local task = waiters[token]
  if task then
    M.forget(token, task)
    wake_pair(task, nil, 'closed')
  end
  local queue = queues[token]
  if queue then
    queues[token] = nil
    wake_all(queue) -- who find out by trying
  end
  notify(token)
end

local batch = {}

--- Waits for events, at most so many seconds (0: not at all; < 0: as long as it takes), and
-- ends the waits that they are for.
function M.dispatch(seconds)
  local n = host_poll(seconds, batch)
  for i = 1, n, 3 do
    local token, a, b = batch[i], batch[i + 1], batch[i + 2]
    batch[i + 1] = false
    if a == false then
      notify(token)
    else
      local task = waiters[token]
      if task then
        waiters[token] = false
        M.pending = M.pending - 1
        wake_pair(task, a, b)
      end
      notify(token)
    end
  end
end

return M
