--- resolve.lua: names to addresses, off the loop.

local host = require('lagoon.host')
local poll = require('lagoon.poll')

local is_ip, ipairs, setmetatable = host.is_ip, ipairs, setmetatable

local M = {}

local FAMILY = { tcp4 = 4, tcp6 = 6 }

-- The source of a look-up's wait: when it is interrupted, the result is not wanted any more.
local Lookup = {}
Lookup.__index = Lookup

function Lookup:unpark(task)
  if poll.forget(self.token, task) then
    host.forget_resolve(self.handle)
  end
end

function Lookup:reason(_, brief)
  return brief and 'look-up' or 'look-up of ' .. self.name
end

local function only(addresses, network)
  local family = FAMILY[network]
  if not family then
    return addresses
  end
  local kept = {}
  for _, ip in ipairs(addresses) do
    if is_ip(ip) == family then
      kept[#kept + 1] = ip
    end
  end
  return kept
end

--- The addresses of a name, in the system's order of preference (RFC 6724). An IP literal is
-- its own answer and goes nowhere.
---@async
---@param name string
---@param network? string "tcp4" or "tcp6": only that family
---@param deadline? number
---@return string[]? addresses at least one
---@return string? err "timeout" | "EAI_NONAME" | "EAI_AGAIN" | ...
function M.lookup(name, network, deadline)
  local addresses, err
  if is_ip(name) then
    addresses = { name }
  else
    local token, handle = host.resolve(name)
    if not token then
      return nil, handle
    end
    local source = setmetatable({ token = token, handle = handle, name = name }, Lookup)
    addresses, err = poll.wait(token, source, deadline)
    if not addresses and name == 'localhost' and err ~= 'timeout' then
      addresses = { '127.0.0.1', '::1' } -- RFC 6761 6.3: even where no hosts file says so
    end
    if not addresses then
      return nil, err
    end
  end
  addresses = only(addresses, network)
  if not addresses[1] then
    return nil, 'EAI_ADDRFAMILY'
  end
  return addresses
end

return M
