--- serve.lua: accepting clients, one task each.

local host = require('lagoon.host')
local poll = require('lagoon.poll')
local sched = require('lagoon.sched')
local task = require('lagoon.task')
local misuse = require('lagoon.misuse')
local listen = require('lagoon.net.listener')
local queue = require('lagoon.queue')

local setmetatable, type, pcall, error = setmetatable, type, pcall, error
local tostring = tostring
local debug_getmetatable = debug.getmetatable

-- Descriptors that are not for clients: files, look-ups, conns to other servers.
local RESERVED_FDS = 64

-- Clients accepted before others get a turn.
local MAX_IN_A_ROW = 64

---@class lagoon.Server
local Server = {}
Server.__index = Server

--- A conn of the server's has been closed, in whatever way: its place is free.
function Server:conn_closed(conn)
  if self.per_ip then
    self:forget_ip(conn)
  end
  self.count = self.count - 1
  self:make_room()
end

-- False, and the conn is closed, when the client's address has its share already.
function Server:admit(conn)
  local key = conn:network() or '' -- an IPv4 address, or the /64 of an IPv6 one
  local n = self.per_ip[key] or 0
  if n >= self.max_per_ip then
    conn:close()
    self.rejected = self.rejected + 1
    return false
  end
  self.per_ip[key], self.keys[conn] = n + 1, key
  return true
end

function Server:forget_ip(conn)
  local key = self.keys[conn]
  self.keys[conn] = nil
  local n = self.per_ip[key] - 1
  self.per_ip[key] = n > 0 and n or nil
end

-- Stands among those who watch the listener, while the server does not accept from it.
local Doorbell = {}
Doorbell.__index = Doorbell

function Doorbell:poke()
  if not self.listener:token() then -- it is closed
    self.server:make_room()
  end
end

function Server:make_room()
  local acceptor = self.room:pop()
  if acceptor then
    sched.wake(acceptor, true)
  end
end

-- Parks until a conn has ended, or the listener is closed.
function Server:wait_for_room(listener)
  local token = listener:token()
  if not token then
    return
  end
  local bell = setmetatable({ false, false, server = self, listener = listener }, Doorbell)
  poll.watch(token, bell)
  self.room:push(sched.self())
  local ok, err = pcall(sched.park, self.room)
  poll.unwatch(token, bell)
  if not ok then
    error(err, 0)
  end
end

function Server:run(listener, handler, idle_timeout, where)
  local accepted = 0
  while true do
    while self.count >= self.max_conns and listener:token() do
      self:wait_for_room(listener)
    end
    accepted = accepted + 1
    if accepted % MAX_IN_A_ROW == 0 then
      sched.yield() -- while clients keep coming, accept() need not wait
    end
    local conn, err = listener:accept()
    if not conn then
      if err == 'closed' then
        return true
      end
      return nil, err
    end
    if idle_timeout then
      conn:set_timeout(idle_timeout)
    end
    if not self.per_ip or self:admit(conn) then
      self.count = self.count + 1
      conn:set_owner(self)
      task.spawn_owning(handler, conn, where)
    end
  end
end

local OPTIONS = {
  max_conns = true, max_conns_per_ip = true, idle_timeout = true, on_listen = true,
  backlog = true, reuse_port = true, mode = true,
}

local function default_max_conns()
  local limit = host.figures().fd_limit
  return limit > 2 * RESERVED_FDS and limit - RESERVED_FDS or limit / 2
end

local function serve(listener, handler, opts)
  local max_conns, per_ip = opts.max_conns, opts.max_conns_per_ip
  if max_conns ~= nil then
    misuse.check_integer(max_conns, 1, 2 ^ 31, "option 'max_conns'")
  end
  if per_ip ~= nil then
    misuse.check_integer(per_ip, 1, 2 ^ 31, "option 'max_conns_per_ip'")
  end
  local idle = opts.idle_timeout
  if idle ~= nil and misuse.check_seconds(idle, "option 'idle_timeout'") <= 0 then
    misuse.raise("option 'idle_timeout' must be more than 0 seconds")
  end
  local server = setmetatable({
    count = 0, -- conns that are served
    rejected = 0,
    max_conns = max_conns or default_max_conns(),
    room = queue.new('room for another conn at ' .. tostring(listener:addr())),
    max_per_ip = per_ip,
    per_ip = per_ip and {}, -- conns of each address
    keys = per_ip and {}, -- conn to its address
  }, Server)
  if opts.on_listen then
    misuse.check_function(opts.on_listen, "option 'on_listen'")(listener)
  end
  return server:run(listener, handler, idle, task.spawn_site())
end

--- Accepts clients until the listener is closed, and calls handler(conn) in a task for each. The
-- conn is closed when its handler ends, however it ends; an error ends that conn only.
--
-- serve(network, address, handler, opts?) listens first; serve(listener, handler, opts?).
---@async
-- opts: max_conns (then clients wait in the backlog; by default what the descriptor limit
-- allows), max_conns_per_ip (IPv6: per /64; further ones are closed), idle_timeout (seconds
-- that a read or a write may take), on_listen(listener), and those of listen().
---@return true? closed
---@return string? err as listen()
return function(a, b, c, d)
  local listener, handler, opts = a, b, c
  if type(a) == 'string' then
    handler, opts = c, d
  elseif debug_getmetatable(a) ~= host.listener_meta then
    misuse.raise('network or listener expected, got %s', type(a))
  end
  misuse.check_function(handler, 'the handler of serve')
  opts = misuse.check_options(opts, OPTIONS)
  if type(a) == 'string' then
    local err
    local listen_opts = { backlog = opts.backlog, reuse_port = opts.reuse_port, mode = opts.mode }
    listener, err = listen(a, b, listen_opts)
    if not listener then
      return nil, err
    end
    -- A cancellation passes through here: the listener is nobody else's.
    local ok, result, code = pcall(serve, listener, handler, opts)
    listener:close()
    if not ok then
      error(result, 0)
    end
    return result, code
  end
  return serve(listener, handler, opts)
end
