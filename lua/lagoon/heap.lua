--- heap.lua: what is due when.
--
-- A heap of four children a node, in two arrays: times, which are compared, and items.
--
-- Disarming is lazy: it clears the item's WHEN, and its entry is dropped when its time comes, or
-- when more than half of the entries are such. Arming for a later time is lazy too: the
-- entry stays where it is, and is put back when its time comes. So a conn whose time-out
-- moves with every request touches the heap once a time-out, not once a request.
--
-- Invariant: an armed item has an entry at or before its WHEN, and ENTRY is that entry's time.
-- An entry whose time is not its item's ENTRY is stale.

local slots = require('lagoon.slots')

local WHEN, ENTRY = slots.WHEN, slots.ENTRY

local M = {}

local times, items = {}, {}
M.items = items -- dead entries too
local count = 0 -- entries
local armed = 0 -- items; each has one entry that counts, and the other entries are dead

local function sift_up(i, time, item)
  while i > 1 do
    local parent = (i - 2 - (i - 2) % 4) / 4 + 1
    local above = times[parent]
    if above <= time then
      break
    end
    times[i], items[i] = above, items[parent]
    i = parent
  end
  times[i], items[i] = time, item
end

local function sift_down(i, time, item)
  while true do
    local child = 4 * i - 2
    if child > count then
      break
    end
    local least, least_time = child, times[child]
    local last = child + 3
    if last > count then
      last = count
    end
    for c = child + 1, last do
      local t = times[c]
      if t < least_time then
        least, least_time = c, t
      end
    end
    if time <= least_time then
      break
    end
    times[i], items[i] = least_time, items[least]
    i = least
  end
  times[i], items[i] = time, item
end

local function push(time, item)
  count = count + 1
  item[ENTRY] = time
  sift_up(count, time, item)
end

local function drop_first()
  local time, item = times[count], items[count]
  times[count], items[count] = nil, nil
  count = count - 1
  if count > 0 then
    sift_down(1, time, item)
  end
end

-- Drops every dead entry and makes a heap of the rest.
local function sweep()
  local kept = 0
  for i = 1, count do
    local time, item = times[i], items[i]
    times[i], items[i] = nil, nil
    if item[ENTRY] == time then
      if item[WHEN] then
        kept = kept + 1
        times[kept], items[kept] = time, item
      else
        item[ENTRY] = false
      end
    end
  end
  count = kept
  for i = (kept + 2 - (kept + 2) % 4) / 4, 1, -1 do
    sift_down(i, times[i], items[i])
  end
end

local function sweep_if_worth_it()
  local dead = count - armed
  if dead > 64 and dead > count / 2 then
    sweep()
  end
end

--- Arms an item, or moves it if it is armed.
---@param item table
---@param when number on the clock of now()
function M.arm(item, when)
  if not item[WHEN] then
    armed = armed + 1
  end
  item[WHEN] = when
  local entry = item[ENTRY]
  if not entry then
    push(when, item)
  elseif entry > when then
    push(when, item) -- the later entry is dead
    sweep_if_worth_it()
  end
end

--- Disarms an item that is armed.
function M.disarm(item)
  item[WHEN] = false
  armed = armed - 1
  sweep_if_worth_it()
end

--- When to look again: nothing is due before, though nothing need be due then; nil if nothing is
-- armed. The first entry may be dead, or too early: it is left alone until it comes.
function M.next_due()
  if armed > 0 then
    return times[1]
  end
end

--- Takes an item that is due, disarmed; nil if none is.
---@param now number
function M.pop(now)
  while count > 0 and times[1] <= now do
    local time, item = times[1], items[1]
    local when = item[WHEN]
    if item[ENTRY] ~= time then
      drop_first()
    elseif not when then
      item[ENTRY] = false
      drop_first()
    elseif when > time then
      item[ENTRY] = when
      sift_down(1, when, item)
    else
      item[WHEN], item[ENTRY] = false, false
      armed = armed - 1
      drop_first()
      return item
    end
  end
end

--- A list of the armed items.
function M.armed_items()
  local list = {}
  for i = 1, count do
    local item = items[i]
    if item[WHEN] and item[ENTRY] == times[i] then
      list[#list + 1] = item
    end
  end
  return list
end

--- The number of armed items.
function M.armed()
  return armed
end

return M
