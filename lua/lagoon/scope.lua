--- scope.lua: scopes, which own the tasks that are spawned in them.
--
-- A scope is a frame (frame.lua) around a call of the script's function. When that has returned,
-- or raised, the scope waits for its tasks, whatever comes; then it runs what was deferred,
-- and is left. A cancellation that began in it ends there; what comes from outside goes on.

local host = require('lagoon.host')
local frames = require('lagoon.frame')
local contexts = require('lagoon.contexts')
local canceled = require('lagoon.canceled')
local failures = require('lagoon.failures')
local misuse = require('lagoon.misuse')
local queue = require('lagoon.queue')
local sched = require('lagoon.sched')
local slots = require('lagoon.slots')
local task = require('lagoon.task')
local timeout = require('lagoon.timeout')
local compute_in = require('lagoon.compute').compute_in

local EXTRA = slots.EXTRA
local abort, set_limit = contexts.abort, contexts.set_limit
local xpcall, error, rawequal = xpcall, error, rawequal
local getmetatable, format = getmetatable, string.format
local on_error = failures.on_error
local check_function, check_seconds = misuse.check_function, misuse.check_seconds
local now, huge = host.now, math.huge

--- A scope: its tasks end before it does.
---@class lagoon.Scope: lagoon.Context
local Scope = {}

local function check(scope)
  if getmetatable(scope) ~= Scope then
    misuse.wrong_self('scope', scope)
  end
end

local function check_open(scope)
  check(scope)
  if scope.is_over then
    misuse.raise('the scope has ended')
  end
end

--- Spawns a task of the scope: f(...). An error in it cancels the others, and the scope raises it.
---@param f function
---@return lagoon.Task
function Scope:spawn(f, ...)
  check_open(self)
  check_function(f, 'the function to spawn')
  return task.spawn_in(self, f, ...)
end

--- The same, of a task that computes for long and is preempted: see lagoon.compute.
---@param f function
---@return lagoon.Task
function Scope:compute(f, ...)
  check_open(self)
  return compute_in(self, f, ...)
end

--- Cancels whatever waits in the scope: its function and its tasks.
---@param reason? any the field `reason` of what their waits raise
---@return boolean canceled false if it was canceled, or had ended, already
function Scope:cancel(reason)
  check(self)
  return abort(self, reason, 'canceled')
end

--- Has g() called when the scope ends, after its tasks, whatever has happened; the last one first.
-- In a scope that is canceled its waits raise, unless they are under shield().
---@param g function
function Scope:defer(g)
  check_open(self)
  check_function(g, 'the function to defer')
  local defers = self.defers
  defers[#defers + 1] = g
end

function Scope:__tostring()
  local name = self.name and format(" '%s'", self.name) or ''
  local state = self.is_over and 'ended' or self.code or #self.tasks .. ' tasks'
  return format('scope%s (%s)', name, state)
end

--- A task of the scope has failed: for task.lua. False if the scope is over, and cannot raise it.
function Scope:task_failed(failed, err, trace)
  if self.is_over then
    return false
  end
  failures.add(self, failed, err, trace)
  abort(self, err, 'canceled')
  return true
end

--- A task of the scope has ended.
function Scope:task_ended(ended, was_canceled)
  local tasks, index = self.tasks, ended[EXTRA].index
  local last = tasks[#tasks]
  tasks[index] = last
  last[EXTRA].index = index
  tasks[#tasks] = nil
  self.was_cut = self.was_cut or was_canceled
  if #tasks == 0 and self.enders:first() then
    sched.wake(self.enders:pop(), true)
  end
end

contexts.derive(Scope)

local function park_until_ended(scope)
  while #scope.tasks > 0 do
    scope.enders:push(sched.self())
    sched.park(scope.enders)
  end
end

-- Waits for the tasks. A cancellation does not end this wait: it ends the tasks.
local function await_tasks(scope)
  if #scope.tasks == 0 then
    return
  end
  local mask = timeout.open(huge, true)
  local ok, err = xpcall(park_until_ended, on_error, scope)
  timeout.close(mask)
  if not ok then -- no wait is possible here: they are on their own
    failures.add(scope, nil, err)
    abort(scope, err, 'canceled')
  end
  return ok
end

local function run_deferred(scope)
  local defers = scope.defers
  while #defers > 0 do
    local g = defers[#defers]
    defers[#defers] = nil
    local ok, err = xpcall(g, on_error)
    if not ok and not canceled.is(err) then
      failures.add(scope, nil, err)
    end
  end
end

-- What has ended the scope's function goes on to its tasks.
local function note_error(scope, err)
  if scope.own and rawequal(scope.own, err) then
    return
  elseif not canceled.is(err) then
    failures.add(scope, nil, err)
  end
  abort(scope, err, 'canceled')
end

-- Whoever has kept the scope is told that it is over.
local function leave(scope)
  scope.is_over = true
  frames.leave(scope)
  abort(scope, 'it has ended', 'canceled')
end

-- The end of a scope, with what xpcall() has returned of its function.
local function conclude(scope, ok, ...)
  if not ok then
    note_error(scope, (...))
  end
  repeat
    local could = await_tasks(scope)
    run_deferred(scope)
  until #scope.tasks == 0 or could == false
  local err, trace = nil, nil
  if scope.failures then
    err, trace = failures.to_raise(scope)
  end
  local code, own, cause = scope.code, scope.own, scope.cause
  leave(scope)
  if trace then
    failures.raise(err, trace)
  elseif not ok and not (own and rawequal(own, (...))) then
    error((...), 0)
  elseif ok and not (scope.was_cut and cause and code == 'timeout') then
    return ...
  elseif not own then
    error(cause, 0)
  elseif code == 'timeout' then
    return nil, 'timeout'
  end
  return nil, 'canceled', own.reason
end

local OPTIONS = { timeout = true, deadline = true, name = true, context = true }

local function new(opts)
  opts = misuse.check_options(opts, OPTIONS)
  local limit = huge
  if opts.timeout ~= nil then
    limit = now() + check_seconds(opts.timeout, "option 'timeout'")
  end
  if opts.deadline ~= nil then
    local deadline = check_seconds(opts.deadline, "option 'deadline'")
    limit = deadline < limit and deadline or limit
  end
  if opts.name ~= nil then
    misuse.check_type(opts.name, 'string', "option 'name'")
  end
  local parent = opts.context ~= nil and contexts.check(opts.context)
  local scope = contexts.new(Scope)
  scope.name, scope.is_shared = opts.name, true
  scope.tasks, scope.defers, scope.enders = {}, {}, queue.new('the tasks of a scope to end')
  return scope, limit, parent
end

--- Calls f(scope) in this task, and returns when it and all the scope's tasks have ended. The first
-- error cancels the rest, and is raised from here.
---@async
---@param f fun(scope: lagoon.Scope): ...
---@param opts? { timeout?: number, deadline?: number, name?: string, context?: lagoon.Context }
---@return any ... what f returns; nil, "timeout" if the scope's own deadline has cut something
-- short; nil, "canceled", reason if scope:cancel() has ended f
return function(f, opts)
  check_function(f, 'the function of a scope')
  local scope, limit, parent = new(opts)
  frames.enter(sched.self(), scope)
  if parent then
    contexts.link(scope, parent)
  end
  set_limit(scope, limit)
  return conclude(scope, xpcall(f, on_error, scope))
end
