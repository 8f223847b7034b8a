-- echo.lua: the echo server that is measured. Try: lagoon bench/echo.lua [deadline|timers|busy]
--
--   deadline  every read is in a timeout of its own
--   timers    a million timers are armed besides
--   busy      a task computes all the time besides
local lagoon = require('lagoon')
local net = lagoon.net

local timeout = lagoon.timeout

local function echo(conn)
  while true do
    local data = conn:read()
    if not data or not conn:write(data) then
      return
    end
  end
end

local function echo_in_time(conn)
  while true do
    local data = timeout(30, conn.read, conn)
    if not data or not conn:write(data) then
      return
    end
  end
end

local mode = arg[1]
local handler = mode == 'deadline' and echo_in_time or echo

if mode == 'timers' then
  for i = 1, 1e6 do
    lagoon.timer(3600 + i / 1000, echo)
  end
elseif mode == 'busy' then
  lagoon.compute(function()
    while true do end
  end)
end

assert(net.serve('tcp', '127.0.0.1:0', handler, {
  on_listen = function(listener)
    print('listening ' .. listener:addr())
    io.stdout:flush()
  end,
}))
