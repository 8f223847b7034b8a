--- failures.lua: the errors of a scope: the first one is raised, the others go with it.
--
-- A string is raised with the traceback of where it came from, who failed, and the later errors,
-- as text. Any other value is raised as it is: its traceback turns up where it is logged, and
-- the later errors are reported like those that nobody waits for.

local sched = require('lagoon.sched')
local boundary = require('lagoon.boundary')
local canceled = require('lagoon.canceled')
local task = require('lagoon.task')
local traces = require('lagoon.trace')
local slots = require('lagoon.slots')
local frames = require('lagoon.frame')

local EXTRA, SITE = slots.EXTRA, slots.SITE
local traceback, format, concat = debug.traceback, string.format, table.concat
local type, rawequal, error = type, rawequal, error

local M = {}

local function current_extra()
  local running = sched.current()
  return running and frames.extra_of(running)
end

--- The message handler of every call that may raise on what it catches: keeps the traceback of
-- where the error was raised at first.
function M.on_error(err)
  err = boundary.on_error(err)
  local extra = current_extra()
  if extra and not canceled.is(err) then
    if not (extra.is_raised_on and rawequal(extra.origin, err)) then
      extra.origin, extra.origin_trace = err, traceback(traces.to_text(err), 2)
    end
    extra.is_raised_on = false
  end
  return err
end

--- How an error came about that on_error() has just seen; nil if that is not known.
---@return string? trace
function M.trace_of(err)
  local extra = current_extra()
  return extra and rawequal(extra.origin, err) and extra.origin_trace or nil
end

--- Raises on what on_error() has seen; or another error, which has come about as `trace` says.
---@param trace? string
function M.raise(err, trace)
  local extra = current_extra()
  if extra and not canceled.is(err) then
    if trace then
      extra.origin, extra.origin_trace = err, trace
    end
    extra.is_raised_on = true
  end
  error(err, 0)
end

-- "task 7 'name', spawned at file:line"
local function describe(which)
  if which == task.main then
    return task.describe(which)
  end
  return format('%s, spawned at %s', task.describe(which), which[SITE])
end

--- An error of one of a scope's tasks, with its traceback; or, without a task, one that on_error()
-- has seen.
function M.add(scope, failed, err, trace)
  local list = scope.failures
  if not list then
    list = {}
    scope.failures = list
  end
  if failed then
    trace = format('%s\nin %s', traces.strip(trace), describe(failed))
  else
    local extra = scope.owner[EXTRA]
    local is_known = extra.origin ~= nil and rawequal(extra.origin, err)
    trace = traces.strip(is_known and extra.origin_trace or traces.to_text(err))
  end
  list[#list + 1] = { task = failed or scope.owner, err = err, trace = trace }
end

-- The errors as text, the first one with where the scope is.
local function compose(scope, list)
  local owner = scope.owner
  local parts = { list[1].trace }
  if list[1].task ~= owner then
    local name = scope.name and format(" '%s'", scope.name) or ''
    parts[2] = format('in a scope%s of %s', name, describe(owner))
  end
  for i = 2, #list do
    parts[#parts + 1] = 'also failed: ' .. list[i].trace
  end
  return concat(parts, '\n')
end

--- What a scope with errors raises, and how that came about.
---@return any err
---@return string trace
function M.to_raise(scope)
  local list = scope.failures
  local err = list[1].err
  if type(err) ~= 'string' then
    for i = #list, 2, -1 do
      local failure = list[i]
      task.report(failure.task, failure.err, failure.trace)
      list[i] = nil
    end
  end
  local text = compose(scope, list)
  if type(err) == 'string' and (#list > 1 or list[1].task ~= scope.owner) then
    err = text
  end
  return err, text
end

return M
