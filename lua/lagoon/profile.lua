--- profile.lua: where the time goes, by looking at the stack again and again.
--
-- A sample is taken every other millisecond in which something runs, at the next line of Lua,
-- compiled code included. What a C function takes is counted for the line after its call.

local sched = require('lagoon.sched')
local slots = require('lagoon.slots')
local failures = require('lagoon.failures')
local watchdog = require('lagoon.watchdog')
local misuse = require('lagoon.misuse')
local flame = require('lagoon.flame')
local sleep = require('lagoon.sleep').sleep

local CO, SITE, EXTRA = slots.CO, slots.SITE, slots.EXTRA
local getinfo, running = debug.getinfo, coroutine.running
local pairs, xpcall, open = pairs, xpcall, io.open
local find, gsub, format = string.find, string.gsub, string.format
local concat, sort = table.concat, table.sort

local M = {}

local PERIOD = 0.002 -- seconds
local MAX_DEPTH = 64

local counts -- samples by stack; nil while there is no profile

-- The name of a function, as it was called: "name file:line".
local function describe(info)
  local where = info.what == 'C' and '[C]' or info.short_src .. ':' .. info.linedefined
  return info.name and info.name .. ' ' .. where or where
end

-- Adds the frames of a coroutine, innermost first.
local function add_frames(frames, co, level)
  local info = getinfo(co, level, 'Sn')
  while info and #frames < MAX_DEPTH do
    if info.source ~= '@[lagoon]/lagoon/life.lua' then
      frames[#frames + 1] = describe(info)
    end
    level = level + 1
    info = getinfo(co, level, 'Sn')
  end
end

-- What all stacks of a task begin with: its name, or else where it was spawned.
local function root_of(which)
  if not which then
    return 'scheduler'
  end
  local extra = which[EXTRA]
  return extra and extra.name or 'task of ' .. which[SITE]
end

local function take_sample()
  local which, frames = sched.current(), {}
  local co = running()
  if co then
    add_frames(frames, co, 3) -- less this function, and those that it calls
    if which and which[CO] and co ~= which[CO] then
      add_frames(frames, which[CO], 0) -- the script's coroutine that runs is inside of it
    end
  end
  frames[#frames + 1] = root_of(which)
  local n = #frames
  for i = 1, n / 2 do
    frames[i], frames[n + 1 - i] = frames[n + 1 - i], frames[i]
  end
  for i = 1, n do
    frames[i] = gsub(frames[i], '[;\n]', ' ')
  end
  local stack = concat(frames, ';')
  counts[stack] = (counts[stack] or 0) + 1
end

--- Begins to take samples. False if that is going on already: there is one profiler.
---@return boolean began
function M.start()
  if counts then
    return false
  end
  counts = {}
  watchdog.sample(take_sample, PERIOD)
  return true
end

--- Ends it.
---@return string folded a line for each stack: its frames from the outermost inward with ";"
-- between them, a space, and the number of samples
function M.stop()
  watchdog.sample(nil)
  local lines = {}
  for stack, count in pairs(counts) do
    lines[#lines + 1] = format('%s %d', stack, count)
  end
  counts = nil
  sort(lines)
  lines[#lines + 1] = ''
  return concat(lines, '\n')
end

--- What runs in the next `seconds`: folded stacks, which flame graphs are made of. The first frame
-- is the task's name, or where it was spawned.
---@async
---@param seconds number
---@return string? folded
---@return string? err "busy" if a profile is being taken already
function M.profile(seconds)
  misuse.check_seconds(seconds, 'seconds')
  if not M.start() then
    return nil, 'busy'
  end
  local ok, err = xpcall(sleep, failures.on_error, seconds)
  local folded = M.stop()
  if not ok then
    failures.raise(err)
  end
  return folded
end

--- Ends the profile that start() has begun, and writes it to a file: as a flame graph if that is
-- called "*.svg", else as folded stacks.
---@param path string
---@return true?
---@return string? err
function M.write(path)
  local text = M.stop()
  if find(path, '%.svg$') then
    text = flame(text)
  end
  local file, err = open(path, 'w')
  if not file then
    return nil, err
  end
  local ok
  ok, err = file:write(text)
  if ok then
    ok, err = file:close()
  end
  return ok and true or nil, err
end

return M
