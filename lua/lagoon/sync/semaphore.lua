--- semaphore.lua: so many at a time.

local slots = require('lagoon.slots')
local misuse = require('lagoon.misuse')
local permits = require('lagoon.sync.permits')
local holders = require('lagoon.sync.holder')

local VALUE = slots.VALUE
local FREE, LIMIT = permits.FREE, permits.LIMIT
local setmetatable, getmetatable = setmetatable, getmetatable
local format = string.format
local check_integer, check_function = misuse.check_integer, misuse.check_function
local take, try_take, give = permits.take, permits.try_take, permits.give

local MAX_PERMITS = 2 ^ 30

---@class lagoon.Semaphore
local Semaphore = {}
Semaphore.__index = Semaphore

local M = {}

--- Makes a semaphore.
---@param n integer permits, all of them free
---@return lagoon.Semaphore
function M.new(n)
  check_integer(n, 1, MAX_PERMITS, 'the number of permits')
  return setmetatable(permits.new(n), Semaphore)
end

-- Checks the arguments of a method. More permits than there are would never be free.
local function check(self, k)
  if getmetatable(self) ~= Semaphore then
    misuse.wrong_self('semaphore', self)
  elseif k == nil then
    return 1
  end
  return check_integer(k, 1, self[LIMIT], 'the number of permits')
end

--- Takes k permits; waits while they are not free, or somebody else waits.
---@async
---@param k? integer 1 if not given
---@return true
function Semaphore:acquire(k)
  return take(self, check(self, k))
end

--- Takes k permits if that needs no wait.
---@param k? integer 1 if not given
---@return boolean acquired
function Semaphore:try_acquire(k)
  return try_take(self, check(self, k))
end

--- Gives k permits back. Any task may do this.
---@param k? integer 1 if not given
function Semaphore:release(k)
  k = check(self, k)
  local acquired = self[LIMIT] - self[FREE]
  if k > acquired then
    misuse.raise('release(%d) of a semaphore of which %d are acquired', k, acquired)
  end
  give(self, k)
end

local function release_one(semaphore)
  semaphore:release(1)
end

--- Calls f(...) with one permit, and gives that back however f ends.
---@async
---@param f function
---@return any ... what f returns
function Semaphore:with(f, ...)
  local k = check(self)
  check_function(f, 'the function to call')
  take(self, k)
  return holders.call(self, release_one, f, ...)
end

Semaphore.unpark = permits.unpark

--- What a parked task waits for.
function Semaphore.reason(_, task)
  return format('semaphore acquire(%d)', task[VALUE])
end

function Semaphore:__tostring()
  return format('semaphore (%d of %d free)', self[FREE], self[LIMIT])
end

return M
