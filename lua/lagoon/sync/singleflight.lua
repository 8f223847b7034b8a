--- singleflight.lua: who asks for the same thing at the same time shares one call.

local misuse = require('lagoon.misuse')
local flights = require('lagoon.sync.flight')

local setmetatable, getmetatable = setmetatable, getmetatable

---@class lagoon.SingleFlight
local SingleFlight = {}
SingleFlight.__index = SingleFlight

local M = {}

--- Makes a group of calls, by their keys.
---@return lagoon.SingleFlight
function M.new()
  return setmetatable({ flights = {} }, SingleFlight)
end

local function forget(flight)
  flight.group[flight.key] = nil
end

local function begin(group, key)
  local flight = flights.new('singleflight', forget)
  flight.group, flight.key = group, key
  group[key] = flight
  return flight
end

--- Calls f(...), or, if a call for the key is under way, waits for that: what it returns, or
-- raises. Nothing is kept when that is over.
---@async
---@param key any not nil, not NaN
---@param f function
---@return any ... what the call returns
function SingleFlight:call(key, f, ...)
  if getmetatable(self) ~= SingleFlight then
    misuse.wrong_self('singleflight', self)
  elseif key == nil or key ~= key then
    misuse.raise('the key of a call must not be %s', key == nil and 'nil' or 'nan')
  end
  misuse.check_function(f, 'the function to call')
  local flight = self.flights[key] or begin(self.flights, key)
  return flight:call(f, ...)
end

return M
