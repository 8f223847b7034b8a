-- deadline.lua: one deadline for all that a request needs, which nobody has to pass on.
--
--   lagoon scripts/deadline.lua [address]     127.0.0.1:7003 if not given
--
-- Try it with `nc 127.0.0.1 7003`: "work 0.3" is answered, "work 3" is too slow. What is called
-- on the way knows nothing of the deadline: every wait inside has it.

local lagoon = require('lagoon')
local net = lagoon.net

local LIMIT = 1 -- seconds for a request, whatever it does

local function query_database(seconds)
  lagoon.sleep(seconds) -- stands for a conn, a channel, anything that waits
  return seconds
end

local function answer(line)
  local seconds = tonumber(line:match('^work ([%d.]+)$'))
  if not seconds then
    return 'say: work SECONDS'
  end
  local first = query_database(seconds / 2)
  local second = query_database(seconds / 2)
  return ('done in %.1f s'):format(first + second)
end

local function handle(conn)
  for line in conn:lines() do
    local text = lagoon.timeout(LIMIT, answer, line)
    conn:write(text or 'too slow', '\n')
  end
end

assert(net.serve('tcp', arg[1] or '127.0.0.1:7003', handle, {
  on_listen = function(listener)
    print('listening on ' .. listener:addr())
    io.stdout:flush()
  end,
}))
