--- dial_spec.lua: connecting: addresses, options, failures, races between addresses.

local lagoon = require('lagoon')
local ffi = require('ffi')
local resolve = require('lagoon.net.resolve')
local wiring = require('spec.net.wiring')
local misuse = require('spec.support').misuse
local start, join, code, keep = wiring.start, wiring.join, wiring.code, wiring.keep
local listen_deaf = wiring.listen_deaf
local net, runtime = lagoon.net, lagoon.runtime

ffi.cdef('int getsockopt(int fd, int level, int name, void *value, unsigned *length);')

local function listen(...)
  return keep(assert(net.listen(...)))
end

local function dial(...)
  return keep(assert(net.dial(...)))
end

local function port_of(listener)
  return listener:addr():match(':(%d+)$')
end

describe('dialing', function()
  after_each(wiring.close_all)

  for _, kind in ipairs({ 'tcp', 'tcp6', 'unix', 'abstract' }) do
    it('connects to a listener of the kind ' .. kind, function()
      local listener, network = wiring.listen(kind)
      local conn = dial(network, listener:addr())
      conn:write('x')
      assert.equal('x', keep(listener:accept()):read())
    end)
  end

  it('takes names', function()
    local listener = listen('tcp', '127.0.0.1:0')
    local conn = dial('tcp', 'localhost:' .. port_of(listener))
    assert.equal(listener:addr(), conn:remote_addr())
  end)

  it('takes this machine where no host is given', function()
    local listener = listen('tcp', ':0')
    assert.matches('^127%.0%.0%.1:', dial('tcp', ':' .. port_of(listener)):remote_addr())
    assert.matches('^%[::1%]:', dial('tcp6', ':' .. port_of(listener)):remote_addr())
  end)

  it('asks nobody about IP literals', function()
    local before = runtime.stats().lookups
    local task = lagoon.spawn(net.dial, 'tcp', '127.0.0.1:1')
    lagoon.yield()
    assert.equal(before, runtime.stats().lookups)
    assert.equal('ECONNREFUSED', code(join(task)))
  end)

  it('counts what it dials', function()
    local listener = listen('tcp', '127.0.0.1:0')
    local before = runtime.stats().dialed
    dial('tcp', listener:addr())
    assert.equal(before + 1, runtime.stats().dialed)
  end)

  it('lets other tasks run meanwhile', function()
    local address = listen_deaf('tcp', '127.0.0.1:0')
    local turns = 0
    local task = start(net.dial, 'tcp', address, { timeout = 0.02 })
    repeat
      turns = turns + 1
      lagoon.yield()
    until task:status() == 'done'
    assert.is_true(turns > 10)
  end)
end)

describe('a failing dial', function()
  local before
  before_each(function()
    before = runtime.stats()
  end)
  after_each(wiring.close_all)

  -- Without the collector's help.
  local function assert_nothing_left()
    local stats = runtime.stats()
    assert.equal(before.conns, stats.conns)
    assert.equal(before.collected, stats.collected)
    assert.equal(before.fds, stats.fds)
    assert.equal(before.waits, stats.waits)
  end

  it('says ECONNREFUSED where nobody listens', function()
    assert.equal('ECONNREFUSED', code(net.dial('tcp', '127.0.0.1:1')))
    assert.equal('ECONNREFUSED', code(net.dial('tcp6', '[::1]:1')))
    assert.equal('ECONNREFUSED', code(net.dial('unix', '@' .. wiring.free_path())))
    assert_nothing_left()
  end)

  it('says ENOENT where no socket file is', function()
    assert.equal('ENOENT', code(net.dial('unix', wiring.free_path())))
    assert_nothing_left()
  end)

  it("says the resolver's code for a name that there is not", function()
    assert.matches('^EAI_', code(net.dial('tcp', 'no such name:80')))
    assert_nothing_left()
  end)

  it('says EAI_ADDRFAMILY for an address of the other family', function()
    assert.equal('EAI_ADDRFAMILY', code(net.dial('tcp4', '[::1]:80')))
    assert.equal('EAI_ADDRFAMILY', code(net.dial('tcp6', '127.0.0.1:80')))
    assert_nothing_left()
  end)

  it('says "timeout" where nobody answers', function()
    local address = listen_deaf('tcp', '127.0.0.1:0')
    before = runtime.stats()
    local began = lagoon.now()
    assert.equal('timeout', code(net.dial('tcp', address, { timeout = 0.03 })))
    local took = lagoon.now() - began
    assert.is_true(took >= 0.03 and took < 1)
    assert_nothing_left()
  end)

  it('says "timeout" where nobody answers, on unix sockets', function()
    local address = listen_deaf('unix', wiring.free_path())
    before = runtime.stats()
    assert.equal('timeout', code(net.dial('unix', address, { timeout = 0.01 })))
    assert_nothing_left()
  end)

  it('says "timeout" when there is no time', function()
    local address = listen_deaf('tcp', '127.0.0.1:0')
    assert.equal('timeout', code(net.dial('tcp', address, { timeout = 0 })))
    assert.equal('timeout', code(net.dial('tcp', address, { timeout = -1 })))
  end)

  it('leaves nothing when it is canceled', function()
    local address = listen_deaf('tcp', '127.0.0.1:0')
    before = runtime.stats()
    local task = start(net.dial, 'tcp', address)
    assert.equal(before.conns + 1, runtime.stats().conns)
    task:cancel()
    assert.is_false((task:wait()))
    assert.equal('canceled', task:status())
    assert_nothing_left()
  end)

  it('leaves nothing when it is canceled, on unix sockets', function()
    local address = listen_deaf('unix', wiring.free_path())
    before = runtime.stats()
    local task = start(net.dial, 'unix', address)
    task:cancel()
    assert.is_false((task:wait()))
    assert_nothing_left()
  end)

  it('leaves nothing when it is canceled during the look-up', function()
    local task = start(net.dial, 'tcp', 'localhost:1')
    assert.equal('parked', task:status())
    task:cancel()
    assert.is_false((task:wait()))
    assert.equal(before.conns, runtime.stats().conns)
  end)

  it('lets the dial after it succeed', function()
    local address = listen_deaf('tcp', '127.0.0.1:0')
    local task = start(net.dial, 'tcp', address)
    task:cancel()
    task:wait()
    local listener = listen('tcp', '127.0.0.1:0')
    dial('tcp', listener:addr())
  end)
end)

local IPPROTO_TCP, TCP_NODELAY, TCP_KEEPIDLE = 6, 1, 4
local SOL_SOCKET, SO_KEEPALIVE = 1, 9

local function socket_option(conn, level, name)
  local value, length = ffi.new('int[1]'), ffi.new('unsigned[1]', 4)
  assert(ffi.C.getsockopt(conn:fd(), level, name, value, length) == 0)
  return value[0]
end

local function has_nodelay(conn)
  return socket_option(conn, IPPROTO_TCP, TCP_NODELAY) ~= 0
end

-- Seconds, or false.
local function keepalive_of(conn)
  return socket_option(conn, SOL_SOCKET, SO_KEEPALIVE) ~= 0
    and socket_option(conn, IPPROTO_TCP, TCP_KEEPIDLE)
end

describe('an option of dial', function()
  local listener
  before_each(function()
    listener = listen('tcp', '127.0.0.1:0')
  end)
  after_each(wiring.close_all)

  local function dial_with(opts)
    return dial('tcp', listener:addr(), opts)
  end

  it('is nodelay, true if not given', function()
    assert.is_true(has_nodelay(dial_with()))
    assert.is_true(has_nodelay(dial_with({ nodelay = true })))
    assert.is_false(has_nodelay(dial_with({ nodelay = false })))
  end)

  it('is keepalive, 15 seconds if not given', function()
    assert.equal(15, keepalive_of(dial_with()))
    assert.equal(99, keepalive_of(dial_with({ keepalive = 99 })))
    assert.is_false(keepalive_of(dial_with({ keepalive = false })))
  end)

  it('is nodelay and keepalive for accepted conns, as if not given', function()
    dial_with()
    local accepted = keep(listener:accept())
    assert.is_true(has_nodelay(accepted))
    assert.equal(15, keepalive_of(accepted))
  end)

  it('can be changed later', function()
    local conn = dial_with()
    conn:set_nodelay(false)
    assert.is_false(has_nodelay(conn))
    conn:set_keepalive(7)
    assert.equal(7, keepalive_of(conn))
    conn:set_keepalive(false)
    assert.is_false(keepalive_of(conn))
  end)

  it('is local_addr', function()
    local conn = dial_with({ local_addr = '127.0.0.2:0' })
    assert.matches('^127%.0%.0%.2:', conn:local_addr())
    assert.equal(conn:local_addr(), keep(listener:accept()):remote_addr())
  end)

  it("is local_addr, which must be this machine's and free", function()
    local address = listener:addr()
    local function dial_from(from)
      return code(net.dial('tcp', address, { local_addr = from }))
    end
    assert.equal('EADDRNOTAVAIL', dial_from('192.0.2.1:0'))
    assert.equal('EADDRINUSE', dial_from(address))
  end)
end)

describe('dialing a name with several addresses', function()
  local lookup = resolve.lookup
  local addresses
  before_each(function()
    function resolve.lookup()
      return addresses
    end
  end)
  after_each(function()
    resolve.lookup = lookup
    wiring.close_all()
  end)

  -- The address that is connected to, and how long that took.
  local function dial_any(port, opts)
    local began = lagoon.now()
    local conn, err = net.dial('tcp', 'name.example:' .. port, opts)
    return conn and keep(conn):remote_addr():match('^(.*):%d+$'), lagoon.now() - began, err
  end

  it('goes on at once when one refuses', function()
    local port = port_of(listen('tcp', '127.0.0.3:0'))
    addresses = { '127.0.0.1', '::1', '127.0.0.2', '127.0.0.3' }
    local winner, took = dial_any(port)
    assert.equal('127.0.0.3', winner)
    assert.is_true(took < 0.25)
  end)

  it('begins the next when one has not answered for 250 ms', function()
    local port = listen_deaf('tcp', '127.0.0.1:0'):match('%d+$')
    listen('tcp', '127.0.0.2:' .. port)
    addresses = { '127.0.0.1', '127.0.0.2' }
    local before = runtime.stats().conns
    local winner, took = dial_any(port)
    assert.equal('127.0.0.2', winner)
    assert.is_true(took > 0.2 and took < 1)
    assert.equal(before + 1, runtime.stats().conns) -- the one that lost is closed
  end)

  it('takes the families in turn', function()
    local port = listen_deaf('tcp', '127.0.0.1:0'):match('%d+$')
    listen('tcp', '[::1]:' .. port)
    addresses = { '127.0.0.1', '127.0.0.1', '::1' }
    local winner, took = dial_any(port)
    assert.equal('[::1]', winner)
    assert.is_true(took < 0.5)
  end)

  it('connects to the first although others would answer too', function()
    local port = port_of(listen('tcp', '127.0.0.1:0'))
    listen('tcp', '127.0.0.2:' .. port)
    addresses = { '127.0.0.2', '127.0.0.1' }
    assert.equal('127.0.0.2', (dial_any(port)))
  end)

  it('fails when all refuse', function()
    addresses = { '127.0.0.1', '127.0.0.2', '::1' }
    local winner, _, err = dial_any(1)
    assert.is_nil(winner)
    assert.equal('ECONNREFUSED', err)
  end)

  it('is bounded by one timeout for all', function()
    local port = listen_deaf('tcp', '127.0.0.1:0'):match('%d+$')
    addresses = { '127.0.0.1', '127.0.0.1', '127.0.0.1' }
    local before = runtime.stats().conns
    local _, took, err = dial_any(port, { timeout = 0.3 })
    assert.equal('timeout', err)
    assert.is_true(took >= 0.3 and took < 1)
    assert.equal(before, runtime.stats().conns)
  end)

  it('leaves none of its attempts when it is canceled', function()
    local port = listen_deaf('tcp', '127.0.0.1:0'):match('%d+$')
    addresses = { '127.0.0.1', '127.0.0.1' }
    local before = runtime.stats().conns
    local task = start(dial_any, port)
    while runtime.stats().conns < before + 2 do
      lagoon.sleep(0.01)
    end
    task:cancel()
    assert.is_false((task:wait()))
    assert.equal(before, runtime.stats().conns)
  end)

  it('does not give up a silent one when the others refuse', function()
    local port = listen_deaf('tcp', '127.0.0.1:0'):match('%d+$')
    addresses = { '127.0.0.1', '127.0.0.2', '::1' } -- silent, refused, refused
    local _, took, err = dial_any(port, { timeout = 0.4 })
    assert.equal('timeout', err)
    assert.is_true(took >= 0.4)
  end)
end)

local MISUSES = {
  { nil, '127.0.0.1:1' },
  { 'udp', '127.0.0.1:1' },
  { 'tcp' },
  { 'tcp', 80 },
  { 'tcp', '127.0.0.1' },
  { 'tcp', '127.0.0.1:65536' },
  { 'tcp', '::1:80' },
  { 'tcp', 'a\0b:80' },
  { 'unix' },
  { 'unix', '' },
  { 'unix', ('x'):rep(108) },
  { 'unix', '@lagoon-spec-misuse', 'opts' },
  { 'unix', '@lagoon-spec-misuse', { timeout = '1' } },
}

local OPTION_MISUSES = {
  { backlog = 5 },
  { timeout = '1' },
  { timeout = 0 / 0 },
  { timeout = true },
  { local_addr = 5 },
  { local_addr = '127.0.0.1' },
  { local_addr = 'localhost:0' },
  { nodelay = 1 },
  { keepalive = 'x' },
  { keepalive = 0 },
  { keepalive = -1 },
  { keepalive = 0 / 0 },
  { keepalive = math.huge },
}

describe('misuse of dial', function()
  after_each(wiring.close_all)

  for _, args in ipairs(MISUSES) do
    local place = ('%s, %q'):format(tostring(args[1]), tostring(args[2]):sub(1, 20))
    it("is blamed on the caller's line: " .. place, function()
      misuse(function()
        net.dial(args[1], args[2], args[3])
      end)
    end)
  end

  for _, opts in ipairs(OPTION_MISUSES) do
    local option = ('%s = %s'):format(next(opts))
    it("is blamed on the caller's line, before anything is dialed: " .. option, function()
      local listener = listen('tcp', '127.0.0.1:0')
      local before = runtime.stats()
      misuse(function()
        net.dial('tcp', listener:addr(), opts)
      end)
      assert.equal(before.dialed, runtime.stats().dialed)
      assert.equal(before.conns, runtime.stats().conns)
    end)
  end
end)
