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

-- Cancels a context, and all that hangs on it but for the frames inside of it.
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
      M.cancel(child, value, code)
    end
  end
  if tasks then
    for i = 1, #tasks do
      M.cancel_task(tasks[i], value)
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
  return did
end

--- Cancels a task as a whole, unless it is canceled already.
function M.cancel_task(task, value)
  local extra = extra_of(task)
  if not extra.base then
    extra.base = value
    spread(task, false, value, 'canceled')
  end
end

--- The running task is in the frame from now on.
function M.enter(task, frame)
  local extra = extra_of(task)
  local outer = extra.frame or false
  frame.owner, frame.outer, frame.parent = task, outer, outer or extra.context or false
  if frame.is_shield then
    extra.cancel = false
  elseif extra.cancel then
    frame.cause, frame.code = extra.cancel, outer and outer.code or 'canceled'
  end
  extra.frame = frame
end

-- Takes a frame out that is not the innermost: a coroutine of the script has yielded inside of it,
-- and is resumed outside of others.
local function unlink(extra, frame)
  local inner = extra.frame
  while inner and not rawequal(inner.outer, frame) do
    inner = inner.outer
  end
  if inner then
    inner.outer = frame.outer
  end
end

--- And not any more.
---@return table extra its owner's
function M.leave(frame)
  local extra = frame.owner[EXTRA]
  if frame[WHEN] then
    heap.disarm(frame)
  end
  frame.owner = false
  if not rawequal(extra.frame, frame) then
    unlink(extra, frame)
    return extra
  end
  local outer = frame.outer
  extra.frame = outer
  local cancel = extra.base or false
  if outer then
    cancel = outer.cause
  end
  if not rawequal(cancel, extra.cancel or false) then
    extra.cancel, extra.unwinds = cancel, 0
  end
  return extra
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

-- Somebody may keep the frame, and with it those around it: they are not used again.
local function share(frame)
  local ctx = frame
  while ctx and not ctx.is_shared do
    ctx.is_shared = true
    ctx = ctx.outer
  end
  return frame
end

--- The context that the running task is in: the innermost frame, or what it has inherited; nil if
-- there is neither.
function M.current()
  local task = sched.current()
  local extra = task and task[EXTRA]
  if extra then
    return share(extra.frame) or extra.context
  end
end

return M
