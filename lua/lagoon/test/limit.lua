--- limit.lua: a test or a hook that hangs fails after a while, with a dump of all tasks.
--
-- To that end each runs in a task of its own, and the outer task, busted's, waits.

local globals = require('lagoon.globals')
local task = require('lagoon.task')
local runtime = require('lagoon.runtime')

local error, type, ipairs, tonumber = error, type, ipairs, tonumber
local setmetatable, setfenv, getfenv, traceback = setmetatable, setfenv, getfenv, debug.traceback
local format = string.format

local M = {
  seconds = tonumber(os.getenv('LAGOON_SPEC_TIMEOUT')) or 60, -- of each; 0 for as long as it takes
}

local GRACE = 1 -- seconds for a test that hangs to unwind

local busted -- its core, or its module

-- Where an error was raised: in the traceback of another task than busted knows of.
local raised_at

local function on_error(err)
  raised_at = traceback('', 2)
  return err
end

local function run_traced(fn)
  local ok, err = globals.xpcall(fn, on_error) -- which explains a wait that cannot be
  if not ok then
    error(err, 0)
  end
end

local function run_limited(fn, place)
  local test = task.spawn(run_traced, fn)
  test:name('test')
  local ok, err = test:wait(M.seconds)
  if ok == nil then
    local dump = runtime.dump()
    test:cancel('the limit of the test')
    test:wait(GRACE)
    busted.fail(format('%shangs for more than %g s:\n%s', place, M.seconds, dump), 0)
  elseif not ok then
    error(err, 0)
  end
end

-- The function of a test or a hook, with the limit. Busted looks at its environment.
local function guard(fn, place)
  local function guarded()
    run_limited(fn, place)
  end
  return setfenv(guarded, getfenv(fn))
end

local HOOKS = {
  'before_each', 'after_each', 'setup', 'teardown',
  'strict_setup', 'strict_teardown', 'lazy_setup', 'lazy_teardown',
}

local function guard_hook(register)
  return function(a, b)
    if type(a) == 'function' then
      return register(guard(a, ''))
    end
    return register(a, b and guard(b, ''))
  end
end

local guarded = setmetatable({}, { __mode = 'k' }) -- what is, once: runs may repeat

local function guard_hooks(root)
  if not guarded[root.env] then
    guarded[root.env] = true
    for _, name in ipairs(HOOKS) do
      root.env[name] = guard_hook(root.env[name])
    end
  end
  return nil, true
end

local function guard_test(element)
  if element.descriptor == 'it' then
    local finally = element.env.finally
    element.env.finally = function(fn)
      finally(guard(fn, ''))
    end
    if not guarded[element] then
      guarded[element] = true
      local trace = element.trace
      element.run = guard(element.run, format('%s:%d: ', trace.short_src, trace.currentline))
    end
  end
  return nil, true
end

-- The place of what went wrong is in the test, not in the task that waits for it.
local function improve_trace(element, _, _, trace)
  if trace and element.trace then
    trace.short_src, trace.currentline = element.trace.short_src, element.trace.currentline
    trace.traceback = raised_at or trace.traceback
  end
  raised_at = nil
  return nil, true
end

--- Has every test and hook run with the limit; again, it does nothing.
---@param core table busted's core, or its module
function M.install(core)
  if busted or M.seconds == 0 then
    return
  end
  busted = core
  local first = { priority = 1 }
  busted.subscribe({ 'suite', 'start' }, guard_hooks, first)
  busted.subscribe({ 'test', 'start' }, guard_test, first)
  for _, status in ipairs({ 'pending', 'failure', 'error' }) do
    busted.subscribe({ status, 'it' }, improve_trace, first)
  end
end

return M
