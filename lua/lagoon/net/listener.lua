--- listener.lua: listeners that wait for clients.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local poll = require('lagoon.poll')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local cases = require('lagoon.cases')
local address = require('lagoon.net.address')
local resolve = require('lagoon.net.resolve')
local WHEN = require('lagoon.slots').WHEN
require('lagoon.net.conn')

local format, tostring, setmetatable = string.format, tostring, setmetatable
local getmetatable, type, min = getmetatable, type, math.min

---@class lagoon.Listener
local Listener = host.listener
local try_accept = Listener.try_accept

-- Errors that concern one client, or pass: accept(2) says to treat them as EAGAIN.
local PASSING = {
  EPROTO = true,
  ENETDOWN = true,
  ENOPROTOOPT = true,
  EHOSTDOWN = true,
  ENONET = true,
  EHOSTUNREACH = true,
  EOPNOTSUPP = true,
  ENETUNREACH = true,
  EPERM = true, -- a firewall rule
}
-- Errors that last until somebody gives something back: wait, longer each time.
local LASTING = { EMFILE = true, ENFILE = true, ENOBUFS = true, ENOMEM = true }

local FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.1

-- One line a second at most, for all the listeners together.
local last_log, last_shed = -1, 0

local function log_trouble(listener, err)
  local now = host.now()
  if now - last_log < 1 then
    return
  end
  last_log = now
  local figures = host.figures()
  host.log(
    format(
      'lagoon: accept on %s: %s, %d clients shed since the last such line, %d of %d fds open',
      tostring(listener:addr()),
      err,
      figures.shed - last_shed,
      figures.fds,
      figures.fd_limit
    )
  )
  last_shed = figures.shed
end

local function check(listener)
  if getmetatable(listener) ~= host.listener_meta then
    misuse.wrong_self('listener', listener)
  end
end

-- Parks until the listener's event, or for so many seconds; several tasks queue. What the source
-- of the wait is asked to forget lets the next in the queue have its turn.
local function wait_for_client(listener, token, again, deadline)
  if poll.waiters[token] then
    return poll.queue(token, deadline, again)
  end
  return poll.wait(token, listener, deadline)
end

--- Accepts a client; parks while there is none. When descriptors or memory run out it sheds
-- clients, says so in the log, and goes on when it can.
---@async
---@return lagoon.Conn? conn
---@return string? err "closed"
function Listener:accept()
  check(self)
  local pause, tries, had_turn = FIRST_PAUSE, 0, false
  while true do
    local conn, err, token = try_accept(self)
    local ok, code
    if token then
      ok, code = wait_for_client(self, token, had_turn)
      had_turn = true
    elseif LASTING[err] then
      log_trouble(self, err)
      ok, code = wait_for_client(self, self:token(), had_turn, host.now() + pause)
      ok, had_turn = ok or code == 'timeout', true
      pause = min(pause * 2, LONGEST_PAUSE)
    elseif PASSING[err] then
      tries = tries + 1
      if tries % 16 == 0 then
        if had_turn then
          poll.release(self:token())
        end
        sched.yield()
      end
      ok = true
    else
      if had_turn and self:token() then
        poll.release(self:token()) -- there may be more clients, for the next in the queue
      end
      return conn, err
    end
    if not ok then
      return nil, code
    end
  end
end

function Listener:unpark(task)
  local token = self:token()
  if token and poll.forget(token, task) then
    poll.release(token)
  end
end

function Listener:reason(_, brief)
  return brief and 'accept' or 'accept ' .. tostring(self:addr())
end

--- Closes the listener; tasks parked in accept() get nil, "closed". The socket file of a unix
-- listener is removed. Again, it does nothing.
---@return true
function Listener:close()
  check(self)
  local token = self:host_close()
  if token then
    poll.close(token)
  end
  return true
end

host.listener_meta.__tostring = function(listener)
  return 'listener ' .. tostring(listener:addr())
end

-- As a select case: accept. Nothing is accepted but for a case that has won. In lasting trouble
-- the case waits for a while, or for the listener to be closed, and tries again.
local ACCEPT = {}

local Pause = {}
Pause.__index = Pause

function Pause:expire()
  self.case:poke()
end

function ACCEPT.ready(case)
  case.pause = false
  local ready, token = case.source:watch()
  case.token = token
  return ready
end

function ACCEPT.claim(case)
  local listener = case.source
  local conn, err, token = try_accept(listener)
  if LASTING[err] then
    log_trouble(listener, err)
    local none = false
    case.pause = setmetatable({ none, none, none, none, none, none, none, case = case }, Pause)
    case.token = listener:token()
  elseif token or PASSING[err] then
    ACCEPT.ready(case) -- for park()
  else
    return { conn = conn, err = err }
  end
end

function ACCEPT.results(value)
  if value.conn then
    return value.conn
  end
  return nil, value.err
end

function ACCEPT.park(case)
  if type(case.token) == 'string' then
    return case.token -- the poller cannot watch it
  end
  poll.watch(case.token, case)
  if case.pause then
    heap.arm(case.pause, host.now() + LONGEST_PAUSE)
  end
end

function ACCEPT.unpark(case)
  poll.unwatch(case.token, case)
  local pause = case.pause
  if pause then
    case.pause = false
    if pause[WHEN] then
      heap.disarm(pause)
    end
  end
end

cases.register(host.listener_meta, ACCEPT)

local OPTIONS = { backlog = true, reuse_port = true, mode = true }

local function check_boolean(value, name)
  if value ~= nil then
    misuse.check_type(value, 'boolean', name)
  end
  return value
end

local function listen_ip(network, text, options)
  local name, port = address.split(text)
  if name == '' then
    name = network == 'tcp4' and '0.0.0.0' or '::'
    options.dual_stack = network == 'tcp'
  end
  local ip = name
  if not host.is_ip(name) then
    local addresses, err = resolve.lookup(name, network)
    if not addresses then
      return nil, err
    end
    ip = addresses[1]
  end
  local family = ip and host.is_ip(ip)
  if not family or (network == 'tcp4' and family ~= 4) or (network == 'tcp6' and family ~= 6) then
    return nil, 'EADDRNOTAVAIL'
  end
  local listener, err = host.listen(ip, port, options)
  if not listener and name == '::' and network == 'tcp' and err == 'EAFNOSUPPORT' then
    return host.listen('0.0.0.0', port, options) -- a system without IPv6
  end
  return listener, err
end

--- Listens on an address.
---@param network string "tcp" (both families for ":port"), "tcp4", "tcp6" or "unix"
---@param text string "host:port", ":port", "[::1]:port", port 0 for any; a path, or "@abstract"
---@param opts? { backlog: integer, reuse_port: boolean, mode: integer }
---@return lagoon.Listener?
---@return string? err an errno name, or "EAI_..." of the look-up
return function(network, text, opts)
  local kind = address.check_network(network)
  opts = misuse.check_options(opts, OPTIONS)
  local options = {
    backlog = opts.backlog,
    reuse_port = check_boolean(opts.reuse_port, "option 'reuse_port'"),
    mode = opts.mode,
  }
  if kind == 'unix' then
    misuse.check_type(text, 'string', 'address')
    return host.listen(text, nil, options)
  end
  return listen_ip(network, text, options)
end
