--- helper.lua: what every spec is held to, besides its own assertions.
--
-- A test fails, by itself and under its own name, when after its after_each hooks
--   * a task of its is still alive;
--   * a conn, a listener or a look-up of its is still open, even after two collections;
--   * a timer or a ticker of its is still armed (after() cannot be stopped, so it may be);
--   * an error was lost: a task failed, and nobody waited for it;
-- and when the test, or one of its hooks, hangs for LAGOON_SPEC_TIMEOUT seconds (10 if not set).
--
-- To that end tests and hooks run in tasks of their own, and the outer task, busted's, waits.
-- Busted reports the end of a test before the after_each hooks; that report is held back
-- here until the last of them, which is this file's own.

local busted = require('busted')
local lagoon = require('lagoon')
local runtime = lagoon.runtime

local LIMIT = tonumber(os.getenv('LAGOON_SPEC_TIMEOUT')) or 10

-- What ends by itself after a test (a peer that has yet to see its conn close) gets so many
-- looks, of two milliseconds at most.
local LOOKS, PAUSE = 50, 0.002

local lost = {} -- the errors that came to nobody, as text

local function on_lost_error(task, _, traceback)
  lost[#lost + 1] = string.format('%s: %s', tostring(task), traceback)
end

-- When the channels of after() will have received; those that are past are forgotten.
local due = {}

local function outstanding()
  local now, kept = lagoon.now(), {}
  for _, time in ipairs(due) do
    if time > now then
      kept[#kept + 1] = time
    end
  end
  due = kept
  return #due
end

local after = lagoon.after
lagoon.after = function(seconds)
  if type(seconds) == 'number' and seconds > 0 then
    due[#due + 1] = lagoon.now() + seconds
  end
  return after(seconds) -- a tail call: a misuse is blamed on the caller's line
end

local COUNTED = { 'conns', 'listeners', 'lookups' }

-- What is there: the ids of the tasks, and figures.
local function take_stock()
  local stats, stock = runtime.stats(), { tasks = {} }
  for _, task in ipairs(runtime.tasks()) do
    stock.tasks[task.id] = true
  end
  for _, name in ipairs(COUNTED) do
    stock[name] = stats[name]
  end
  stock.timers = stats.timers - outstanding()
  return stock
end

-- What is there now and was not before, in words; nil if that is nothing.
local function compare(before)
  local found = {}
  for _, task in ipairs(runtime.tasks()) do
    if not before.tasks[task.id] then
      local waits = task.waits_on and ' on ' .. task.waits_on or ''
      found[#found + 1] = string.format(
        'leaves %s alive: %s%s, spawned at %s',
        tostring(task.task),
        task.state,
        waits,
        task.site
      )
    end
  end
  local stats = runtime.stats()
  for _, name in ipairs(COUNTED) do
    if stats[name] > before[name] then
      found[#found + 1] = string.format('leaves %s open: %d', name, stats[name] - before[name])
    end
  end
  local timers = stats.timers - outstanding()
  if #found == 0 and timers > before.timers then
    found[1] = string.format('leaves timers armed: %d', timers - before.timers)
  end
  return #found > 0 and table.concat(found, '\n') or nil
end

local function find_leaks(before)
  collectgarbage()
  collectgarbage()
  local leaks = compare(before)
  for _ = 1, LOOKS do
    if not leaks then
      break
    end
    lagoon.sleep(PAUSE)
    leaks = compare(before)
  end
  return leaks
end

-- What is wrong after a test, in words; nil if nothing is.
local function find_faults(before)
  local leaks = find_leaks(before)
  if #lost == 0 then
    return leaks
  end
  local text = 'loses an error of ' .. table.concat(lost, '\nand of ')
  return leaks and text .. '\n' .. leaks or text
end

-- Where an error was raised: in the traceback of another task than busted knows of.
local traceback

local function run_traced(fn)
  local ok, err = xpcall(fn, function(err)
    traceback = debug.traceback('', 2)
    return err
  end)
  if not ok then
    error(err, 0)
  end
end

-- The function, in a task of its own and with a limit.
local function guard(fn, place)
  return setfenv(function()
    local task = lagoon.spawn(run_traced, fn)
    task:name('test')
    local ok, err = task:wait(LIMIT)
    if ok == nil then
      local dump = runtime.dump()
      task:cancel('the watchdog of the specs')
      task:wait(1)
      busted.fail(string.format('%shangs for more than %g s:\n%s', place, LIMIT, dump), 0)
    elseif not ok then
      error(err, 0)
    end
  end, getfenv(fn))
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

local stock -- before the test's own hooks
local held -- the end of the test, to be reported
local reporting = false -- it is being reported now

-- These two come first and last: they are registered outside of every file.
busted.before_each(function()
  lagoon.on_error(on_lost_error)
  lost = {}
  stock = take_stock()
end)

busted.after_each(function()
  local test = held
  held = nil
  local faults = find_faults(stock)
  if not test then
    return -- a before_each hook has failed, and was reported
  end
  local element, parent, status = unpack(test)
  if faults then
    local trace = element.trace
    local text = string.format('%s:%d: %s', trace.short_src, trace.currentline, faults)
    busted.publish({ 'failure', 'it' }, element, parent, text, trace)
    status = status == 'error' and status or 'failure'
  end
  reporting = true
  busted.publish({ 'test', 'end' }, element, parent, status)
  reporting = false
end)

local guarded = setmetatable({}, { __mode = 'k' }) -- elements, once: runs may repeat

busted.subscribe({ 'suite', 'start' }, function(root)
  if not guarded[root] then
    guarded[root] = true
    for _, name in ipairs(HOOKS) do
      root.env[name] = guard_hook(root.env[name])
    end
  end
  return nil, true
end, { priority = 1 })

busted.subscribe({ 'test', 'start' }, function(element)
  if element.descriptor == 'it' then
    local finally = element.env.finally
    element.env.finally = function(fn)
      finally(guard(fn, ''))
    end
    if not guarded[element] then
      guarded[element] = true
      local place = string.format('%s:%d: ', element.trace.short_src, element.trace.currentline)
      element.run = guard(element.run, place)
    end
  end
  return nil, true
end, { priority = 1 })

busted.subscribe({ 'test', 'end' }, function(element, parent, status)
  if element.descriptor ~= 'it' or reporting then
    return nil, true
  end
  held = { element, parent, status }
  return nil, false
end, { priority = 1 })

-- The place of what went wrong is in the test, not in the task that waits for it.
local function improve_trace(element, _, _, trace)
  if trace and element.trace then
    trace.short_src, trace.currentline = element.trace.short_src, element.trace.currentline
    trace.traceback = traceback or trace.traceback
  end
  traceback = nil
  return nil, true
end
for _, status in ipairs({ 'pending', 'failure', 'error' }) do
  busted.subscribe({ status, 'it' }, improve_trace, { priority = 1 })
end
