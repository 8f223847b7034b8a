-- proxy.lua: passes TCP conns on to another server.
--
--   lagoon scripts/proxy.lua [address [target]]     127.0.0.1:7002 to 127.0.0.1:7001
--   lagoon scripts/echo.lua                         a target
--   nc 127.0.0.1 7002                               echoes, through the proxy
--
-- Two tasks a conn, one for each direction. The end of one direction is passed on with
-- close_write(), and the other direction goes on: some protocols end a request that way.

local lagoon = require('lagoon')
local net = lagoon.net

local target = arg[2] or '127.0.0.1:7001'

local function relay(from, to)
  local data, err
  repeat
    data, err = from:read()
  until not data or not to:write(data)
  if err == 'eof' then
    to:close_write()
  else -- one side is gone: so is the conversation
    from:close()
    to:close()
  end
end

local function pass_on(client)
  local server, err = net.dial('tcp', target, { timeout = 10 })
  if not server then
    print('proxy: cannot reach ' .. target .. ': ' .. err)
    return
  end
  local answers = lagoon.spawn(relay, server, client)
  relay(client, server)
  answers:wait()
  server:close()
end

local listener = assert(net.listen('tcp', arg[1] or '127.0.0.1:7002'))
print(('proxy: listening on %s for %s'):format(listener:addr(), target))
io.stdout:flush()
net.serve(listener, pass_on)
