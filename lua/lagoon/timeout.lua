--- timeout.lua: timeout, deadline and shield.
--
-- Each is a frame (frame.lua) around a call of the script's function. It is left in one place,
-- by whatever way the function ends. A cancellation that began in the frame ends there; one
-- that comes from outside, and every other error, goes on outward.

local host = require('lagoon.host')
local frames = require('lagoon.frame')
local contexts = require('lagoon.contexts')
local failures = require('lagoon.failures')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')

local Context, new_context = contexts.Context, contexts.new
local abort, set_limit = contexts.abort, contexts.set_limit
local enter, leave = frames.enter, frames.leave
local xpcall, rawequal = xpcall, rawequal
local type = type
local on_error = failures.on_error
local now, self_task = host.now, sched.self
local check_function, check_seconds = misuse.check_function, misuse.check_seconds

local M = {}

-- Frames that were left, and that nobody else has.
local POOL_MAX = 256
local pool, pooled = {}, 0

--- The running task is in a frame from now on, until a time on the clock of now(), which says
-- `time`, if the caller has asked.
function M.open(limit, is_shield, time)
  local frame
  if pooled > 0 then
    frame = pool[pooled]
    pool[pooled] = nil
    pooled = pooled - 1
  else
    frame = new_context(Context)
  end
  frame.is_shield = is_shield
  enter(self_task(), frame)
  set_limit(frame, limit, time)
  return frame
end

-- Who kept the context of a frame is told that it is over; or the frame is used again.
local function give_up(frame)
  if frame.is_shared then
    abort(frame, 'it has ended', 'canceled')
  elseif pooled < POOL_MAX then
    frame.cause, frame.code, frame.own = false, false, false
    frame.parent, frame.outer = false, false
    pooled = pooled + 1
    pool[pooled] = frame
  end
end

--- And not any more.
function M.close(frame)
  leave(frame)
  give_up(frame)
end

local open = M.open

-- The same, with what xpcall() has returned of the call in it.
local function conclude(frame, ok, ...)
  local own, code = frame.own, frame.code
  M.close(frame)
  if ok then
    return ...
  elseif own and rawequal(own, (...)) then
    return nil, code
  end
  failures.raise((...))
end

local with_limits = {}

--- Has timeout(seconds, f, ...) come to g(limit, ...): for a function of the library that waits,
-- returns nil, "timeout" at a limit of its own, and needs no frame for that.
function M.register(f, g)
  with_limits[f] = g
end

local function check_call(seconds, what, f)
  check_seconds(seconds, what)
  if type(f) ~= 'function' then
    check_function(f, 'the function to call')
  end
end

--- Calls f(...), and bounds every wait in it, at any depth: once `seconds` have passed, the current
-- wait and each later one raises `lagoon.canceled`.
---@async
---@param seconds number
---@param f function
---@return any ... what f returns; nil, "timeout" if the time-out has ended it
function M.timeout(seconds, f, ...)
  check_call(seconds, 'seconds', f)
  local time = now()
  local with_limit = with_limits[f]
  if with_limit then
    return with_limit(time + seconds, ...)
  end
  return conclude(open(time + seconds, false, time), xpcall(f, on_error, ...))
end

--- The same, with a time on the clock of now().
---@async
---@param t number
---@param f function
---@return any ... what f returns; nil, "timeout" if the deadline has ended it
function M.deadline(t, f, ...)
  check_call(t, 'the deadline', f)
  return conclude(open(t, false), xpcall(f, on_error, ...))
end

--- Calls f(...), whose waits are not ended by what has canceled the task, or will: for clean-up
-- that has to wait. They end in `seconds`, as in timeout().
---@async
---@param seconds number
---@param f function
---@return any ... what f returns; nil, "timeout" if it took longer
function M.shield(seconds, f, ...)
  check_call(seconds, 'seconds', f)
  local time = now()
  return conclude(open(time + seconds, true, time), xpcall(f, on_error, ...))
end

return M
