-- echo.lua: sends back whatever a client sends.
--
--   lagoon scripts/echo.lua [address]     127.0.0.1:7001 if not given; port 0 for any
--   nc 127.0.0.1 7001                     what you type comes back
--
-- serve() runs the handler in a task of its own for each client. A read looks as if it blocked,
-- but only its own task waits: ten thousand clients are ten thousand such loops.

local net = require('lagoon.net')

local function echo(conn)
  while true do
    local data = conn:read() -- one byte or more; nil, "eof" when the client is done
    if not data or not conn:write(data) then
      return -- and serve() closes the conn
    end
  end
end

local listener = assert(net.listen('tcp', arg[1] or '127.0.0.1:7001'))
print('echo: listening on ' .. listener:addr())
io.stdout:flush()
net.serve(listener, echo)
