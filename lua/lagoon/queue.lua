--- queue.lua: first in, first out, with removal from the middle.
--
-- A list that runs through the waiters themselves, so that nothing is allocated. Its ends stand
-- in two slots of whatever owns it: a channel has two such lists in it, a Queue is one. A
-- waiter is in one list at most. An end is false where there is nothing.
--
-- (No ring, and no comparison of tables: comparing two that have a metatable looks for __eq.)

local slots = require('lagoon.slots')

local NEXT, PREV = slots.NEXT, slots.PREV
local setmetatable, tostring, type = setmetatable, tostring, type

local M = {}

--- Adds a waiter at the end of the list whose ends are owner[first] and owner[last].
local function push(owner, first, last, waiter)
  local before = owner[last]
  waiter[PREV], waiter[NEXT] = before, false
  if before then
    before[NEXT] = waiter
  else
    owner[first] = waiter
  end
  owner[last] = waiter
end

--- Takes the first waiter of a list that has one.
local function pop(owner, first, last)
  local waiter = owner[first]
  local after = waiter[NEXT]
  owner[first] = after
  if after then
    after[PREV] = false
  else
    owner[last] = false
  end
  return waiter
end

--- Takes a waiter out of its list, wherever it stands.
local function remove(owner, first, last, waiter)
  local before, after = waiter[PREV], waiter[NEXT]
  if before then
    before[NEXT] = after
  else
    owner[first] = after
  end
  if after then
    after[PREV] = before
  else
    owner[last] = before
  end
end

M.push, M.pop, M.remove = push, pop, remove

local FIRST, LAST = 1, 2

--- A list by itself, and a source: a task may park on it. `reason` says what such a task waits
-- for.
local Queue = {}
Queue.__index = Queue

---@param reason any for people: "a turn"; or the task for whose end it is; or what an owner with a
-- reason() of its own needs for that
function M.new(reason)
  return setmetatable({ false, false, why = reason }, Queue)
end

--- The first waiter, or false.
function Queue:first()
  return self[FIRST]
end

function Queue:push(waiter)
  push(self, FIRST, LAST, waiter)
end

--- Adds a waiter at the front: it has waited before.
function Queue:push_front(waiter)
  local after = self[FIRST]
  waiter[PREV], waiter[NEXT] = false, after
  if after then
    after[PREV] = waiter
  else
    self[LAST] = waiter
  end
  self[FIRST] = waiter
end

--- Takes the first waiter; false if there is none.
function Queue:pop()
  return self[FIRST] and pop(self, FIRST, LAST)
end

--- Lets every case in it look again. They are taken out one by one; poke() takes out and puts back
-- what was not for it, and one that fires takes its selector's other cases with it.
function Queue:poke()
  for _ = 1, self:length() do
    local case = self:pop()
    if not case then
      return
    end
    self:push(case) -- where poke() expects it
    case:poke()
  end
end

function Queue:unpark(waiter)
  remove(self, FIRST, LAST, waiter)
end

function Queue:length()
  local n, waiter = 0, self[FIRST]
  while waiter do
    n, waiter = n + 1, waiter[NEXT]
  end
  return n
end

function Queue:reason(_, brief)
  local why = self.why
  if type(why) == 'string' then
    return why
  end
  return brief and 'a task to end' or tostring(why) .. ' to end'
end

return M
