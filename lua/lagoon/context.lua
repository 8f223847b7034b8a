--- context.lua: `lagoon.context`: time-outs, cancellation and values to pass on, as in Go.
--
-- The contexts that are made here bound no wait by themselves: code looks at err(), or selects on
-- done(). Scopes and timeouts are contexts that do.

local host = require('lagoon.host')
local frames = require('lagoon.frame')
local contexts = require('lagoon.contexts')
local misuse = require('lagoon.misuse')

local Context, root = contexts.Context, contexts.root
local new, link, check = contexts.new, contexts.link, contexts.check
local abort, set_limit = contexts.abort, contexts.set_limit
local now = host.now

local M = {}

local function derive(parent)
  local child = new(Context)
  link(child, check(parent))
  return child
end

local function canceler(ctx)
  return function(reason)
    return abort(ctx, reason, 'canceled')
  end
end

--- The context that is never canceled and has no value.
---@return lagoon.Context
function M.background()
  return root
end

--- The context of the running task: the innermost scope or timeout that it is in, or what was
-- current where it was spawned.
---@return lagoon.Context
function M.current()
  return frames.current() or root
end

--- A context that is over when the parent is, or when cancel([reason]) is called.
---@param parent lagoon.Context
---@return lagoon.Context
---@return fun(reason?: any): boolean cancel false if it was over already
function M.with_cancel(parent)
  local ctx = derive(parent)
  return ctx, canceler(ctx)
end

--- The same, at a time on the clock of now() at the latest.
---@param parent lagoon.Context
---@param t number
---@return lagoon.Context
---@return fun(reason?: any): boolean cancel
function M.with_deadline(parent, t)
  check(parent)
  misuse.check_seconds(t, 'the deadline')
  local ctx = derive(parent)
  set_limit(ctx, t)
  return ctx, canceler(ctx)
end

--- The same, in so many seconds at the latest.
---@param parent lagoon.Context
---@param seconds number
---@return lagoon.Context
---@return fun(reason?: any): boolean cancel
function M.with_timeout(parent, seconds)
  check(parent)
  misuse.check_seconds(seconds, 'seconds')
  return M.with_deadline(parent, now() + seconds)
end

--- A context with a value for a key, besides those of its parent.
---@param parent lagoon.Context
---@param key any not nil; a table of one's own clashes with nobody's
---@param value any
---@return lagoon.Context
function M.with_value(parent, key, value)
  check(parent)
  if key == nil then
    misuse.raise('the key of a context value must not be nil')
  end
  local ctx = derive(parent)
  ctx.key, ctx.data = key, value
  return ctx
end

return M
