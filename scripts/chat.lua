-- chat.lua: a chat server: what one client says, the others read.
--
--   lagoon scripts/chat.lua [address]     127.0.0.1:7000 if not given; port 0 for any
--   nc 127.0.0.1 7000                     in two terminals; the first line is your name
--
-- One task, the hub, owns the list of clients, so nothing needs a lock; the others talk to it
-- through channels. The hub never waits for a client: each has a channel with room for
-- 16 lines, and who has not read them when the next one comes is dropped.
local lagoon = require('lagoon')
local net, select, send = lagoon.net, lagoon.select, lagoon.send

local join, leave, say = lagoon.chan(), lagoon.chan(), lagoon.chan()

local function hub(quit)
  local clients = {}
  local function tell(line, except)
    for client in pairs(clients) do
      if client ~= except and select({ send(client.lines, line), default = true }) == 'default' then
        client.conn:close() -- too slow: its talk() ends, and leaves
      end
    end
  end
  repeat
    local which, v = select({ join = join, leave = leave, say = say, quit = quit })
    if which == 'join' then
      clients[v] = true
      tell('* ' .. v.name .. ' has joined')
    elseif which == 'leave' then
      clients[v] = nil
      tell('* ' .. v.name .. ' has left')
    elseif which == 'say' then
      tell(v.from.name .. ': ' .. v.text, v.from)
    end
  until which == 'quit'
end

local function talk(conn)
  local client = { name = conn:read_line(40) or '?', conn = conn, lines = lagoon.chan(16) }
  lagoon.spawn(function() -- who writes to the conn; talk() itself reads from it
    for line in client.lines:iter() do
      conn:write(line, '\n')
    end
  end)
  join:send(client)
  for text in conn:lines() do
    say:send({ from = client, text = text })
  end
  leave:send(client)
  client.lines:close()
end

local listener = assert(net.listen('tcp', arg[1] or '127.0.0.1:7000'))
print('chat: listening on ' .. listener:addr())
local host, port = listener:addr():match('^%[?(.-)%]?:(%d+)$')
print(('chat: to talk, in other terminals: nc %s %s'):format(host, port))
io.stdout:flush()
lagoon.spawn(net.serve, listener, talk)
hub(lagoon.signal.notify('SIGINT', 'SIGTERM'))
os.exit(0)
