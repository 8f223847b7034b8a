--- sync.lua: `lagoon.sync`: what tasks agree by when they share something.
--
-- Whoever waits is served first in, first out, and can be canceled. What is released goes
-- straight to who has waited longest: nobody overtakes. A task that was given it is ready, so
-- its wait has ended, and a cancellation comes at its next one: nothing is lost in between.

local misuse = require('lagoon.misuse')
local flights = require('lagoon.sync.flight')

local M = {
  mutex = require('lagoon.sync.mutex').new,
  rwmutex = require('lagoon.sync.rwmutex').new,
  cond = require('lagoon.sync.cond').new,
  semaphore = require('lagoon.sync.semaphore').new,
  waitgroup = require('lagoon.sync.waitgroup').new,
  singleflight = require('lagoon.sync.singleflight').new,
}

--- A function that calls f once, for all who call it: they get what that call returns, or raises. A
-- call that is canceled does not count.
---@generic F: function
---@param f F
---@return F
function M.once(f)
  misuse.check_function(f, 'the function to call once')
  local flight = flights.new('once')
  return function(...)
    return flight:call(f, ...)
  end
end

return M
