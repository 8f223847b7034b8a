--- dump.lua: all tasks as text, those that do the same together.
--
-- Tasks are equal when their state, the kind of their wait, their spawn site and their stack are.
-- A server has few kinds of tasks and many of each: what is kept here is a group for each kind,
-- and no more than so many.
--
-- In a task it gives way between two pieces of the work; meanwhile tasks may end, which are left
-- out, and begin, which are not in it. Elsewhere it goes through at once.

local host = require('lagoon.host')
local canceled = require('lagoon.canceled')
local sched = require('lagoon.sched')
local slots = require('lagoon.slots')
local task = require('lagoon.task')
local traces = require('lagoon.trace')

local CO, SITE, ID, SINCE = slots.CO, slots.SITE, slots.ID, slots.SINCE
local now, traceback, duration = host.now, debug.traceback, traces.duration
local format, concat, gsub, match = string.format, table.concat, string.gsub, string.match
local sub, sort, max = string.sub, table.sort, math.max
local pcall, error, ipairs, rawequal = pcall, error, ipairs, rawequal

local M = {}

local PIECE = 0.005 -- seconds of work in a row
local MAX_GROUPS = 1000
local MAX_NAMED = 5 -- tasks of a group that are named

-- Lets others run if it is their turn, where that can be.
local function give_way(pace)
  if pace.may_yield and now() >= pace.till then
    local ok, err = pcall(sched.yield)
    if not ok then
      sched.recover()
      if canceled.is(err) then
        error(err, 0)
      end
      pace.may_yield = false -- a C function is in the way
    end
    pace.till = now() + PIECE
  end
end

-- A traceback, for people: from the first line that is a script's, without what stands at the
-- bottom of every task; the whole of it if no line is a script's.
local function readable(trace)
  local lines = gsub(traces.strip(trace), '^\n?stack traceback:', '')
  local rest = lines
  local first = match(rest, '^\n[^\n]*')
  while first and (sub(first, 3, 11) == '[lagoon]/' or sub(first, 3, 6) == '[C]:') do
    rest = sub(rest, #first + 1)
    first = match(rest, '^\n[^\n]*')
  end
  if rest ~= '' then
    return (gsub(rest, "\n\t%[C%]: in function 'x?pcall'", ''))
  end
  return (gsub(trace, '^\n?stack traceback:', ''))
end

local function stack_of(t)
  if rawequal(t, sched.current()) then
    return traceback('', 2)
  end
  return t[CO] and traceback(t[CO]) or ''
end

local function new_group(t, state, kind, stack)
  local since = t[SINCE] or 0 -- a task that has never waited has none
  return {
    count = 0, state = state, kind = kind, what = task.reason(t), site = t[SITE],
    stack = stack, oldest = {}, first = since, last = since,
  }
end

-- Keeps the tasks that were spawned first, in order.
local function keep_oldest(list, t)
  local i = #list < MAX_NAMED and #list + 1 or MAX_NAMED
  if list[i] and list[i][ID] < t[ID] then
    return
  end
  while i > 1 and list[i - 1][ID] > t[ID] do
    list[i] = list[i - 1]
    i = i - 1
  end
  list[i] = t
end

local function add(group, t)
  local since = t[SINCE] or 0
  group.count = group.count + 1
  keep_oldest(group.oldest, t)
  if since < group.first then
    group.first = since
  elseif since > group.last then
    group.last = since
  end
end

-- The group of a task, made if there is none; nil if there are too many.
local function group_of(groups, t)
  local state, kind, stack = t:status(), task.reason(t, true), stack_of(t)
  local key = state .. '\n' .. (kind or '') .. '\n' .. t[SITE] .. '\n' .. stack
  local group = groups[key]
  if not group and #groups < MAX_GROUPS then
    group = new_group(t, state, kind, stack)
    groups[key] = group
    groups[#groups + 1] = group
  end
  return group
end

-- The groups of all tasks but one, and how many tasks found no place in them.
local function collect(pace, except)
  local all, groups, others = {}, {}, 0
  for i = 1, task.count do
    all[i] = task.live[i]
  end
  for i = 1, #all do
    local t = all[i]
    if not rawequal(t, except) and not task.has_ended(t) then
      local group = group_of(groups, t)
      if group then
        add(group, t)
      else
        others = others + 1
      end
    end
    if i % 16 == 0 then
      give_way(pace)
    end
  end
  return groups, others
end

-- " for 0.2s to 41s"
local function waited(group, time)
  local least = duration(max(time - group.last, 0))
  local most = duration(max(time - group.first, 0))
  return least == most and ' for ' .. least or format(' for %s to %s', least, most)
end

-- The largest first, then the oldest.
local function before(a, b)
  if a.count == b.count then
    return a.oldest[1][ID] < b.oldest[1][ID]
  end
  return a.count > b.count
end

local function describe(group, time)
  local n, on = group.count, ''
  if group.state == 'parked' then
    on = format(' on %s%s', n == 1 and group.what or group.kind, waited(group, time))
  end
  local stack = readable(group.stack)
  local names = {}
  for i, t in ipairs(group.oldest) do
    names[i] = task.describe(t)
  end
  if n == 1 then
    return format('%s: %s%s, spawned at %s%s', names[1], group.state, on, group.site, stack)
  end
  local more = n > #names and format(' and %d more', n - #names) or ''
  names = concat(names, ', ') .. more
  return format('%d tasks %s%s, spawned at %s: %s%s', n, group.state, on, group.site, names, stack)
end

--- All tasks: what each waits for and since when, where it was spawned, and its stack; equal ones
-- together, the largest group first.
---@async
---@param except? lagoon.Task that is left out
---@return string
function M.text(except)
  local pace = { may_yield = sched.current() and true, till = now() + PIECE }
  local groups, others = collect(pace, except)
  sort(groups, before)
  local lines, time = {}, now()
  for i = 1, #groups do
    lines[i] = describe(groups[i], time)
    give_way(pace)
  end
  if others > 0 then
    lines[#lines + 1] = format('other tasks, like none of these: %d', others)
  end
  return concat(lines, '\n')
end

return M
