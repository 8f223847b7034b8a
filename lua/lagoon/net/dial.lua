--- dial.lua: connecting, to whichever address of a name answers first.
--
-- RFC 8305: the addresses are tried in an order that alternates between the families; the next
-- one is begun when the last has failed or has taken 250 ms; the first to connect wins, and
-- the others are closed.

local host = require('lagoon.host')
local sleep = require('lagoon.sleep').sleep
local misuse = require('lagoon.misuse')
local cases = require('lagoon.cases')
local selectors = require('lagoon.selector')
local watch = require('lagoon.watch')
local address = require('lagoon.net.address')
local resolve = require('lagoon.net.resolve')
require('lagoon.net.conn')

local is_ip, now = host.is_ip, host.now
local ipairs, pairs, pcall, error, next = ipairs, pairs, pcall, error, next
local setmetatable = setmetatable
local min = math.min

local ATTEMPT_DELAY = 0.25 -- seconds; RFC 8305 section 5
local DEFAULT_TIMEOUT = 60

-- The families in turn, beginning with that of the first address (RFC 8305 section 4).
local function interleave(addresses)
  local first, second, ordered = {}, {}, {}
  local family = is_ip(addresses[1])
  for _, ip in ipairs(addresses) do
    local list = is_ip(ip) == family and first or second
    list[#list + 1] = ip
  end
  for i = 1, #addresses do
    ordered[#ordered + 1] = first[i]
    ordered[#ordered + 1] = second[i]
  end
  return ordered
end

-- A race of attempts: `conns` maps a number to each conn in progress, a case of the selector too.
local Race = {}
Race.__index = Race

-- Begins attempts until one is in progress; false when there is none left to begin.
function Race:begin_next()
  while self.next <= #self.ips do
    local ip = self.ips[self.next]
    self.next = self.next + 1
    local from = self.local_ip
    if from == '' then -- any address, of the family that is dialed
      from = is_ip(ip) == 4 and '0.0.0.0' or '::'
    end
    local conn, err = host.connect(ip, self.port, from, self.local_port)
    if conn then
      self.conns[self.next] = conn
      selectors.set(self.selector, self.next, cases.operation(watch.WRITE, conn))
      return true
    end
    self.err = err
  end
  return false
end

local function keep() end

-- Waits for an attempt to end, or for the time to begin the next: its number, or "timeout".
function Race:wait()
  local till = self.deadline
  if self.next <= #self.ips then
    till = min(till, now() + ATTEMPT_DELAY)
  end
  selectors.set(self.selector, 'timeout', till - now())
  return (selectors.run(self.selector, keep))
end

-- The conn that won, or nil and the last error.
function Race:run()
  self:begin_next()
  while true do
    local which = next(self.conns) and self:wait()
    if not which then
      return nil, self.err
    elseif which == 'timeout' then
      if now() >= self.deadline then
        return nil, 'timeout'
      end
      self:begin_next()
    else
      local conn = self.conns[which]
      self.conns[which] = nil
      selectors.set(self.selector, which, nil)
      local ok, err = conn:connect_result()
      if ok then
        return conn
      end
      conn:close()
      self.err = err
      self:begin_next()
    end
  end
end

function Race:close()
  for _, conn in pairs(self.conns) do
    conn:close()
  end
end

local function race(what, ips, port, local_ip, local_port, deadline)
  local self = setmetatable({
    ips = ips, next = 1, port = port, local_ip = local_ip, local_port = local_port,
    deadline = deadline, conns = {}, selector = selectors.new(),
  }, Race)
  self.selector.what = what
  -- A cancellation passes through here: the attempts must not outlive it.
  local ok, conn, err = pcall(self.run, self)
  self:close()
  if not ok then
    error(conn, 0)
  end
  return conn, err
end

local function dial_ip(network, text, opts, deadline)
  local name, port = address.split(text)
  local local_ip, local_port
  if opts.local_addr then
    local_ip, local_port = address.split(opts.local_addr)
    if local_ip ~= '' and not host.is_ip(local_ip) then
      misuse.raise("option 'local_addr' must be IP:port, got '%s'", opts.local_addr)
    end
  end
  if name == '' then
    name = network == 'tcp6' and '::1' or '127.0.0.1'
  end
  local ips, err = resolve.lookup(name, network, deadline)
  if not ips then
    return nil, err
  end
  return race('dial ' .. text, interleave(ips), port, local_ip, local_port, deadline)
end

-- A unix socket connects at once, or its backlog is full, which no event tells the end of.
local function dial_unix(path, deadline)
  local pause = 0.001
  while true do
    local conn, err = host.connect(path)
    if err ~= 'EAGAIN' then
      return conn, err
    elseif now() + pause > deadline then
      return nil, 'timeout'
    end
    sleep(pause)
    pause = min(pause * 2, 0.1)
  end
end

local OPTIONS = { timeout = true, local_addr = true, nodelay = true, keepalive = true }

--- Connects to an address. Names resolve off the loop.
---@async
---@param network string "tcp", "tcp4", "tcp6" or "unix"
---@param text string "host:port", "[::1]:port"; a path, or "@abstract"
---@param opts? { timeout: number, local_addr: string, nodelay: boolean, keepalive: number|false }
-- timeout: seconds for everything, 60 if not given; keepalive: seconds, 15 if not given
---@return lagoon.Conn?
---@return string? err "timeout" | an errno name | "EAI_..."
return function(network, text, opts)
  local kind = address.check_network(network)
  opts = misuse.check_options(opts, OPTIONS)
  if opts.nodelay ~= nil then
    misuse.check_type(opts.nodelay, 'boolean', "option 'nodelay'")
  end
  if opts.keepalive then
    misuse.check_integer(opts.keepalive, 1, 32767, "option 'keepalive'")
  end
  local timeout = opts.timeout
  if timeout == nil then
    timeout = DEFAULT_TIMEOUT
  end
  local deadline = now() + misuse.check_seconds(timeout, "option 'timeout'")
  local conn, err
  if kind == 'unix' then
    misuse.check_type(text, 'string', 'address')
    return dial_unix(text, deadline)
  end
  conn, err = dial_ip(network, text, opts, deadline)
  if not conn then
    return nil, err
  end
  if opts.nodelay == false then
    conn:set_nodelay(false)
  end
  if opts.keepalive ~= false then
    conn:set_keepalive(opts.keepalive or 15)
  end
  return conn
end
