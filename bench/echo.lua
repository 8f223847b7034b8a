-- echo.lua: the echo server that is measured. Try: lagoon bench/echo.lua
local net = require('lagoon.net')

local function echo(conn)
  while true do
    local data = conn:read()
    if not data or not conn:write(data) then
      return
    end
  end
end

assert(net.serve('tcp', '127.0.0.1:0', echo, {
  on_listen = function(listener)
    print('listening ' .. listener:addr())
    io.stdout:flush()
  end,
}))
