-- ticker.lua: does something at regular times, until it is told to stop.
--
--   lagoon scripts/ticker.lua [seconds [ticks]]     every second until Ctrl-C if not given
--
-- A ticker is a channel that gets the time again and again, a signal arrives on a channel too,
-- and select waits for whichever comes first.

local lagoon = require('lagoon')

local seconds, ticks = tonumber(arg[1] or 1), tonumber(arg[2] or math.huge)

local ticker = lagoon.ticker(seconds)
local quit = lagoon.signal.notify('SIGINT', 'SIGTERM')
local began, n = lagoon.now(), 0

while n < ticks do
  local which, time = lagoon.select({ tick = ticker.ch, quit = quit })
  if which == 'quit' then
    break
  end
  n = n + 1
  print(('tick %d after %.2f s'):format(n, time - began))
  io.stdout:flush()
end

ticker:stop()
print(n .. ' ticks')
