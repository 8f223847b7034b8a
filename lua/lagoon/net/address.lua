--- address.lua: "host:port", as scripts write it.

local misuse = require('lagoon.misuse')

local match, tonumber, find = string.match, tonumber, string.find

local M = {}

local NETWORKS = { tcp = 'ip', tcp4 = 'ip', tcp6 = 'ip', unix = 'unix' }

--- Raises unless `network` is one that conns can have.
---@return string kind "ip" | "unix"
function M.check_network(network)
  misuse.check_type(network, 'string', 'network')
  local kind = NETWORKS[network]
  if not kind then
    misuse.raise("unknown network '%s': use tcp, tcp4, tcp6 or unix", network)
  end
  return kind
end

--- Splits "host:port", ":port", "[::1]:port". Misuse if it is none of these.
---@return string host may be empty
---@return integer port
function M.split(address)
  misuse.check_type(address, 'string', 'address')
  local host, port = match(address, '^%[([^%[%]]*)%]:(%d+)$')
  if not host then
    host, port = match(address, '^([^:]*):(%d+)$')
  end
  port = tonumber(port)
  if not port or port > 65535 or find(host, '%z') then
    misuse.raise("not an address: '%s' (write host:port, :port or [ipv6]:port)", address)
  end
  return host, port
end

return M
