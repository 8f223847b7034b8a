--- waitgroup.lua: a count of what goes on, and waiting until it is zero.

local misuse = require('lagoon.misuse')
local queue = require('lagoon.queue')
local sched = require('lagoon.sched')

local setmetatable, getmetatable = setmetatable, getmetatable
local format = string.format
local park, wake_all, self_task = sched.park, sched.wake_all, sched.self

local MAX_COUNT = 2 ^ 30

---@class lagoon.WaitGroup
local WaitGroup = {}
WaitGroup.__index = WaitGroup

local M = {}

--- Makes a waitgroup; its count is zero.
---@return lagoon.WaitGroup
function M.new()
  return setmetatable({ count = 0, waiters = queue.new('waitgroup wait') }, WaitGroup)
end

local function check(value)
  if getmetatable(value) ~= WaitGroup then
    misuse.wrong_self('waitgroup', value)
  end
end

--- Adds to the count. At zero, all who wait go on.
---@param n integer may be negative
function WaitGroup:add(n)
  check(self)
  misuse.check_integer(n, -MAX_COUNT, MAX_COUNT, 'n')
  local count = self.count + n
  if count < 0 or count > MAX_COUNT then
    misuse.raise('the count of the waitgroup would be %d', count)
  end
  self.count = count
  if count == 0 then
    wake_all(self.waiters)
  end
end

--- One less: add(-1).
function WaitGroup:done()
  WaitGroup.add(self, -1)
end

--- Waits until the count is zero. It may be more again when the task goes on.
---@async
---@return true
function WaitGroup:wait()
  check(self)
  if self.count > 0 then
    self.waiters:push(self_task())
    park(self.waiters)
  end
  return true
end

function WaitGroup:__tostring()
  return format('waitgroup (%d)', self.count)
end

return M
