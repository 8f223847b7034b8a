--- frame.lua: what bounds a task's waits from outside: cancellation, frame by frame.
--
-- A task is in a frame for each scope, timeout and shield that it is in, one inside the other. A
-- cancellation comes from a frame, or from the task as a whole, and goes inward, to the frames
-- inside and to the tasks of their scopes, as far as a shield. Nothing of a script runs
-- meanwhile: tasks that wait are queued, and their waits raise.
--
-- Invariant: extra.cancel, for which the scheduler looks at every wait, is the cause of the
-- innermost frame; without a frame it is extra.base, that of the task as a whole.
--
-- A frame is a context (context.lua). The fields that matter here:
--   cause     the value that waits raise, of canceled.lua; false if it is not canceled
--   code      "canceled" | "timeout", once it is
--   owner     the task that is in it; false of a context that is no frame, or not any more
--   outer     the frame around it; false if there is none
--   parent    where its values come from: the frame around it, or what the task has inherited
--   is_shield whether what is outside does not cancel it
--   is_shared whether others may have it: then it is not used again
-- and, where there are any:
--   children  contexts that were derived from it: a set, weak
--   tasks     those of a scope
--   channel   what done() gave out

local heap = require('lagoon.heap')
local sched = require('lagoon.sched')
local slots = require('lagoon.slots')
local queue = require('lagoon.queue')

local WHEN, EXTRA = slots.WHEN, slots.EXTRA
local pairs, rawequal = pairs, rawequal

local M = {}

--- What few tasks have: a queue of those who wait for the task's end, with more fields:
--   name, reports                  see task.lua
--   cancel, base, frame, unwinds   see above, and sched.lua
--   context                        what it has inherited where it was spawned
--   computes, ends_with            see watchdog.lua
--   scope, index                   whose task it is, and its place among those
--   origin, origin_trace, is_raised_on   see failures.lua
function M.extra_of(task)
  local extra = task[EXTRA]
  if not extra then
    extra = queue.new(task)
    task[EXTRA] = extra
  end
  return extra
end
local extra_of = M.extra_of

-- What is still to be canceled, of trees that may be too deep to go down by calls.
local work, left, is_working = {}, 0, false

local function cancel_later(what, cancel, value, code)
  left = left + 1
  work[left] = { what = what, cancel = cancel, value = value, code = code }
end

local function do_work()
  if is_working then
    return
  end
  is_working = true
  while left > 0 do
    local item = work[left]
    work[left] = nil
    left = left - 1
    item.cancel(item.what, item.value, item.code)
  end
  is_working = false
end

-- Cancels a context, and then all that hangs on it but for the frames inside of it.
local function mark(ctx, value, code)
  if ctx.cause then
    return false
  end
  ctx.cause, ctx.code = value, code
  if ctx[WHEN] then
    heap.disarm(ctx)
  end
  local channel, children, tasks = ctx.channel, ctx.children, ctx.tasks
  if channel then
    channel:close()
  end
  if children then
    for child in pairs(children) do
      cancel_later(child, M.cancel, value, code)
    end
  end
  if tasks then
    for i = #tasks, 1, -1 do
      cancel_later(tasks[i], M.cancel_task, value, code)
    end
  end
  return true
end

-- Cancels the frames inside `outer`, from the outside in. Whether that came to the innermost.
local function reach(frame, outer, value, code)
  if rawequal(frame, outer) then
    return true
  elseif not reach(frame.outer, outer, value, code) or frame.is_shield then
    return false
  end
  mark(frame, value, code)
  return true
end

local function spread(task, outer, value, code)
  local extra = task[EXTRA]
  if reach(extra.frame or false, outer, value, code) and not extra.cancel then
    extra.cancel = value
    sched.cancel(task)
  end
end

--- Cancels a context and all that hangs on it, unless it is canceled already.
---@param value any of canceled.lua: what waits raise
---@param code string "canceled" | "timeout"
---@return boolean did
function M.cancel(ctx, value, code)
  local did = mark(ctx, value, code)
  if did and ctx.owner then
    spread(ctx.owner, ctx, value, code)
  end
  do_work()
  return did
end

--- Cancels a task as a whole, unless it is canceled already.
function M.cancel_task(task, value)
  local extra = extra_of(task)
  if not extra.base then
    extra.base = value
    spread(task, false, value, 'canceled')
    do_work()
  end
end

--- Others may keep the context, and with it what it comes from: those are not used again.
-- Invariant: the parents of one that is shared are shared.
function M.share(ctx)
  local parent = ctx
  while parent and not parent.is_shared do
    parent.is_shared = true
    parent = parent.parent
  end
  return ctx
end
local share = M.share

-- The frame is inside of what the task is in already.
local function attach(task, extra, frame)
  local outer = extra.frame or false
  frame.owner, frame.outer = task, outer
  extra.frame = frame
  if frame.is_shield then
    extra.cancel = frame.cause
  elseif extra.cancel and not frame.cause then
    mark(frame, extra.cancel, outer and outer.code or 'canceled')
  else
    extra.cancel = frame.cause
  end
end

--- The running task is in the frame from now on.
function M.enter(task, frame)
  local extra = extra_of(task)
  frame.parent = extra.frame or extra.context or false
  if frame.is_shared then
    share(frame.parent)
  end
  attach(task, extra, frame)
end

-- The task is in `outer` again, and in nothing inside of it.
local function go_out(extra, outer)
  extra.frame = outer
  local cancel = extra.base or false
  if outer then
    cancel = outer.cause
  end
  if not rawequal(cancel, extra.cancel or false) then
    extra.cancel, extra.unwinds = cancel, 0
  end
end

--- And not any more.
function M.leave(frame)
  if frame[WHEN] then
    heap.disarm(frame)
  end
  go_out(frame.owner[EXTRA], frame.outer)
  frame.owner = false
end

-- A coroutine of the script may yield to its caller inside of frames, which do not bound the caller
-- then, and is resumed later, by another task perhaps. So they go with the coroutine.

--- The innermost frame of a task, or false.
function M.innermost(task)
  local extra = task and task[EXTRA]
  return extra and extra.frame or false
end

--- Takes the running task out of the frames inside of `outer`, for M.resume().
---@return table[] frames from the innermost outward
function M.suspend(task, outer)
  local extra, list = task[EXTRA], {}
  local frame = extra.frame
  while frame and not rawequal(frame, outer) do
    list[#list + 1] = frame
    frame.owner = false
    frame = frame.outer
  end
  go_out(extra, outer)
  return list
end

--- Puts the running task into frames that were suspended.
function M.resume(task, list)
  local extra = extra_of(task)
  for i = #list, 1, -1 do
    attach(task, extra, list[i])
  end
  do_work()
end

--- The task never leaves its frames: it was given up. Errors of its scopes' tasks go to the log.
function M.abandon(task)
  local frame = task[EXTRA].frame
  while frame do
    frame.is_over, frame.owner = true, false
    if frame[WHEN] then
      heap.disarm(frame)
    end
    frame = frame.outer
  end
end

--- The context that the running task is in: the innermost frame, or what it has inherited; nil if
-- there is neither.
function M.current()
  local task = sched.current()
  local extra = task and task[EXTRA]
  if extra then
    return share(extra.frame or extra.context)
  end
end

return M
