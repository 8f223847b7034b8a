-- health.lua: which servers are up? All are asked at once, and none for too long.
--
--   lagoon scripts/health.lua host:port ...
--   lagoon scripts/health.lua 127.0.0.1:7001 127.0.0.1:1     the first is up with scripts/echo.lua
--
-- A scope ends when all its tasks have. The exit status is 1 if a server is down.

local lagoon = require('lagoon')
local net = lagoon.net

local LIMIT = 2 -- seconds for each

-- Seconds that it takes to connect; nil and why not.
local function check(address)
  local began = lagoon.now()
  local conn, err = lagoon.timeout(LIMIT, net.dial, 'tcp', address)
  if not conn then
    return nil, err
  end
  conn:close()
  return lagoon.now() - began
end

local down = 0

lagoon.scope(function(s)
  for _, address in ipairs(arg) do
    s:spawn(function()
      local seconds, err = check(address)
      if seconds then
        print(('up    %s (%.1f ms)'):format(address, seconds * 1000))
      else
        down = down + 1
        print(('down  %s: %s'):format(address, err))
      end
    end)
  end
end)

print(('%d of %d are up'):format(#arg - down, #arg))
os.exit(down == 0 and 0 or 1)
