--- loop.lua: turns: tasks that are ready, then I/O, then timers.
--
-- I/O and timers get their turn after so many tasks, or so much time, even when tasks keep each
-- other busy. I/O comes first, so that data that is there beats a time-out that is due.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local sched = require('lagoon.sched')
local background = require('lagoon.background')
local CO = require('lagoon.slots').CO

local now, max = host.now, math.max

local M = {
  turns = 0,
  longest_turn = 0, -- seconds between two looks at I/O and timers, at most
}

local function expire_timers(time)
  local item = heap.pop(time)
  while item do
    if item[CO] then
      sched.interrupt(item, nil, 'timeout')
    else
      item:expire(time)
    end
    item = heap.pop(time)
  end
end

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

-- False when nothing can ever wake anybody.
local function look_around(poll, is_busy)
  M.turns = M.turns + 1
  local time = now()
  measure(time)
  local due = heap.next_due()
  if is_busy or background.count > 0 then
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
  if background.run(time) then
    turn_began = now()
    M.longest_turn = max(M.longest_turn, turn_began - time)
  end
  return true
end

--- Runs tasks until nothing is left that could run, is_over() says so, or sched.stop() was called.
---@param poll { pending: integer, dispatch: fun(seconds: number) }
---@param is_over fun(): boolean asked when no task is ready
function M.run(poll, is_over)
  turn_began = now()
  local is_busy, stopped
  repeat
    is_busy, stopped = sched.run_ready(budget, turn_began)
  until stopped or (not is_busy and is_over()) or not look_around(poll, is_busy)
end

return M
