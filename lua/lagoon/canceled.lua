--- canceled.lua: the value that a canceled task's waits raise.

local setmetatable, getmetatable, tostring, type = setmetatable, getmetatable, tostring, type

local Canceled = {}
Canceled.__index = Canceled

-- Two such values are equal, whatever their reasons, so `err == lagoon.canceled` asks whether
-- an error is a cancellation.
function Canceled.__eq()
  return true
end

function Canceled:__tostring()
  if self.reason == nil then
    return 'canceled'
  end
  return 'canceled: ' .. tostring(self.reason)
end

local M = {}

---@param reason any
function M.new(reason)
  return setmetatable({ reason = reason }, Canceled)
end

function M.is(value)
  return type(value) == 'table' and getmetatable(value) == Canceled
end

--- `lagoon.canceled`: equal to every such value.
M.any = M.new(nil)

return M
