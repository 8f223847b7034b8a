--- leaks.lua: what a test leaves behind fails it, by itself and under its own name.
--
-- That is, when after its after_each hooks
--   * a task of its is still alive;
--   * a conn, a listener or a look-up of its is still open, even after two collections;
--   * a timer or a ticker of its is still armed (after() cannot be stopped, so it may be);
--   * an error was lost: a task failed, and nobody waited for it.
--
-- Busted reports the end of a test before the after_each hooks; that report is held back
-- here until the last of them, which is this file's own.

local lagoon = require('lagoon')
local runtime = require('lagoon.runtime')

local format, concat = string.format, table.concat
local ipairs, type, tostring, unpack = ipairs, type, tostring, unpack
local collectgarbage = collectgarbage

-- What ends by itself after a test (a peer that has yet to see its conn close) gets so many
-- looks, of two milliseconds at most.
local LOOKS, PAUSE = 50, 0.002

local busted -- its module

local lost = {} -- the errors that came to nobody, as text

local function on_lost_error(task, _, traceback)
  lost[#lost + 1] = format('%s: %s', tostring(task), traceback)
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

local function count_afters()
  local after = lagoon.after
  lagoon.after = function(seconds)
    if type(seconds) == 'number' and seconds > 0 then
      due[#due + 1] = lagoon.now() + seconds
    end
    return after(seconds) -- a tail call: a misuse is blamed on the caller's line
  end
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
      found[#found + 1] = format(
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
      found[#found + 1] = format('leaves %s open: %d', name, stats[name] - before[name])
    end
  end
  local timers = stats.timers - outstanding()
  if #found == 0 and timers > before.timers then
    found[1] = format('leaves timers armed: %d', timers - before.timers)
  end
  return #found > 0 and concat(found, '\n') or nil
end

local function find_leaks(before)
  local leaks = compare(before)
  if leaks then -- or it would take most of the time of a run
    collectgarbage()
    collectgarbage()
    leaks = compare(before)
  end
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
  local text = 'loses an error of ' .. concat(lost, '\nand of ')
  return leaks and text .. '\n' .. leaks or text
end

local stock -- before the test's own hooks
local held -- the end of the test, to be reported
local reporting = false -- it is being reported now

local function begin()
  lagoon.on_error(on_lost_error)
  lost = {}
  stock = take_stock()
end

local function hold(element, parent, status)
  if element.descriptor ~= 'it' or reporting then
    return nil, true
  end
  held = { element, parent, status }
  return nil, false
end

local function finish()
  local test = held
  held = nil
  local faults = find_faults(stock)
  if not test then
    return -- a before_each hook has failed, and was reported
  end
  local element, parent, status = unpack(test)
  if faults then
    local trace = element.trace
    local text = format('%s:%d: %s', trace.short_src, trace.currentline, faults)
    busted.publish({ 'failure', 'it' }, element, parent, text, trace)
    status = status == 'error' and status or 'failure'
  end
  reporting = true
  busted.publish({ 'test', 'end' }, element, parent, status)
  reporting = false
end

local M = {}

--- Looks after every test; to be called outside of every file, so that its hooks come first
-- and last. Again, it does nothing.
---@param module table busted's
function M.install(module)
  if busted then
    return
  end
  busted = module
  count_afters()
  busted.before_each(begin)
  busted.after_each(finish)
  busted.subscribe({ 'test', 'end' }, hold, { priority = 1 })
end

return M
