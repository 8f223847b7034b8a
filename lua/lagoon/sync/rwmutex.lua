--- rwmutex.lua: many readers, or one writer.
--
-- A reader takes one permit, a writer all of them. Since nobody overtakes, a writer that waits
-- keeps out the readers that come after it.

local slots = require('lagoon.slots')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local permits = require('lagoon.sync.permits')
local holders = require('lagoon.sync.holder')

local VALUE = slots.VALUE
local HOLDER, FREE = holders.HOLDER, permits.FREE
local setmetatable, getmetatable = setmetatable, getmetatable
local format = string.format
local self_task = sched.self
local check_function = misuse.check_function
local take, try_take, give = permits.take, permits.try_take, permits.give

local ONE, ALL = 1, 2 ^ 30

---@class lagoon.RWMutex
local RWMutex = {}
RWMutex.__index = RWMutex

local M = {}

--- Makes a rwmutex that nobody holds.
---@return lagoon.RWMutex
function M.new()
  return setmetatable(permits.new(ALL), RWMutex)
end

local function check(value)
  if getmetatable(value) ~= RWMutex then
    misuse.wrong_self('rwmutex', value)
  end
end

--- Waits until the task is the one that holds the rwmutex, for writing.
---@async
---@return true
function RWMutex:lock()
  check(self)
  local task = self_task()
  holders.refuse(self, task, 'rwmutex')
  take(self, ALL)
  self[HOLDER] = task
  return true
end

--- Locks it for writing if that needs no wait.
---@return boolean locked
function RWMutex:try_lock()
  check(self)
  local task = self_task()
  if not try_take(self, ALL) then
    return false
  end
  self[HOLDER] = task
  return true
end

--- Lets in whoever has waited longest: a writer, or the readers up to the next writer. Any task may
-- do this.
function RWMutex:unlock()
  check(self)
  if self[FREE] ~= 0 then
    misuse.raise('unlock of a rwmutex that is not locked for writing')
  end
  self[HOLDER] = false
  give(self, ALL)
end

--- Waits until the task may read: nobody writes, and nobody has waited longer.
---@async
---@return true
function RWMutex:rlock()
  check(self)
  holders.refuse(self, self_task(), 'rwmutex')
  return take(self, ONE)
end

--- Locks it for reading if that needs no wait.
---@return boolean locked
function RWMutex:try_rlock()
  check(self)
  return try_take(self, ONE)
end

--- One reader less. Any task may do this.
function RWMutex:runlock()
  check(self)
  local free = self[FREE]
  if free == 0 or free == ALL then
    misuse.raise('runlock of a rwmutex that is not locked for reading')
  end
  give(self, ONE)
end

--- Calls f(...) with the rwmutex locked for writing, and unlocks it however f ends.
---@async
---@param f function
---@return any ... what f returns
function RWMutex:with(f, ...)
  check(self)
  check_function(f, 'the function to call')
  self:lock()
  return holders.call(self, holders.unlock, f, ...)
end

--- The same, for reading.
---@async
---@param f function
---@return any ... what f returns
function RWMutex:rwith(f, ...)
  check(self)
  check_function(f, 'the function to call')
  self:rlock()
  return holders.call(self, RWMutex.runlock, f, ...)
end

RWMutex.unpark = permits.unpark

--- What a parked task waits for.
function RWMutex.reason(_, task)
  return task[VALUE] == ALL and 'rwmutex lock' or 'rwmutex rlock'
end

function RWMutex:__tostring()
  local free = self[FREE]
  return format('rwmutex (%s)', free == 0 and 'a writer' or format('%d readers', ALL - free))
end

return M
