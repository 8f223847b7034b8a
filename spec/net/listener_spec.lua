--- listener_spec.lua: listening and accepting.

local lagoon = require('lagoon')
local wiring = require('spec.net.wiring')
local support = require('spec.support')
local misuse = support.misuse
local start, join, code, keep = wiring.start, wiring.join, wiring.code, wiring.keep
local net = lagoon.net

local function listen(...)
  return keep(assert(net.listen(...)))
end

local function dial(network, address)
  return keep(assert(net.dial(network, address, { timeout = 5 })))
end

local function port_of(listener)
  return listener:addr():match(':(%d+)$')
end

local function assert_reachable(listener, network, address)
  local conn = dial(network, address)
  local accepted = keep(assert(listener:accept()))
  conn:write('x')
  assert.equal('x', accepted:read())
  return conn, accepted
end

local function assert_refused(network, address)
  assert.equal('ECONNREFUSED', code(net.dial(network, address)))
end

describe('listening on an IP address', function()
  after_each(wiring.close_all)

  it('takes a free port for port 0', function()
    local a, b = listen('tcp', '127.0.0.1:0'), listen('tcp', '127.0.0.1:0')
    assert.matches('^127%.0%.0%.1:%d+$', a:addr())
    assert.not_equal(a:addr(), b:addr())
    assert_reachable(a, 'tcp', a:addr())
  end)

  it('takes both families where no host is given', function()
    local listener = listen('tcp', ':0')
    assert.equal('[::]:' .. port_of(listener), listener:addr())
    assert_reachable(listener, 'tcp4', '127.0.0.1:' .. port_of(listener))
    assert_reachable(listener, 'tcp6', '[::1]:' .. port_of(listener))
  end)

  it('shows an IPv4 client of both families as one', function()
    local listener = listen('tcp', ':0')
    local conn, accepted = assert_reachable(listener, 'tcp4', '127.0.0.1:' .. port_of(listener))
    assert.equal(conn:local_addr(), accepted:remote_addr())
  end)

  it('takes IPv4 alone by tcp4', function()
    local listener = listen('tcp4', ':0')
    assert.equal('0.0.0.0:' .. port_of(listener), listener:addr())
    assert_reachable(listener, 'tcp', '127.0.0.1:' .. port_of(listener))
    assert_refused('tcp', '[::1]:' .. port_of(listener))
  end)

  it('takes IPv6 alone by tcp6', function()
    local listener = listen('tcp6', ':0')
    assert_reachable(listener, 'tcp', '[::1]:' .. port_of(listener))
    assert_refused('tcp', '127.0.0.1:' .. port_of(listener))
  end)

  it('takes an IPv6 literal in brackets', function()
    for _, network in ipairs({ 'tcp', 'tcp6' }) do
      local listener = listen(network, '[::1]:0')
      assert.equal('[::1]:' .. port_of(listener), listener:addr())
      assert_reachable(listener, network, listener:addr())
    end
  end)

  it('takes a name', function()
    local listener = listen('tcp4', 'localhost:0')
    assert.equal('127.0.0.1:' .. port_of(listener), listener:addr())
  end)

  it('fails for a name that there is not', function()
    assert.matches('^EAI_', code(net.listen('tcp', 'no such name:0')))
  end)

  it('fails for an address of the other family', function()
    assert.is_string(code(net.listen('tcp4', '[::1]:0')))
    assert.is_string(code(net.listen('tcp6', '127.0.0.1:0')))
  end)

  it("fails for an address that is not this machine's", function()
    assert.equal('EADDRNOTAVAIL', code(net.listen('tcp', '192.0.2.1:0')))
  end)

  it('fails for a port that is taken', function()
    local listener = listen('tcp', '127.0.0.1:0')
    assert.equal('EADDRINUSE', code(net.listen('tcp', listener:addr())))
  end)

  it('takes a port again as soon as it was given up', function()
    local listener = listen('tcp', '127.0.0.1:0')
    local address = listener:addr()
    local _, accepted = assert_reachable(listener, 'tcp', address)
    accepted:close() -- its end stays in TIME_WAIT
    listener:close()
    assert.equal(address, listen('tcp', address):addr())
  end)

  it('shares a port if all say so', function()
    local a = listen('tcp', '127.0.0.1:0', { reuse_port = true })
    listen('tcp', a:addr(), { reuse_port = true })
    assert.equal('EADDRINUSE', code(net.listen('tcp', a:addr())))
  end)
end)

local function file_mode(path)
  local text = support.shell('stat -c %a ' .. support.quote(path))
  return tonumber(text, 8)
end

local function exists(path)
  return os.rename(path, path) ~= nil
end

describe('listening on a unix socket', function()
  local path
  before_each(function()
    path = wiring.free_path()
  end)
  after_each(function()
    wiring.close_all()
    os.remove(path)
  end)

  it('makes a file, and removes it at close', function()
    local listener = listen('unix', path)
    assert.equal(path, listener:addr())
    assert.is_true(exists(path))
    assert_reachable(listener, 'unix', path)
    listener:close()
    assert.is_false(exists(path))
  end)

  it('sets the mode of the file', function()
    listen('unix', path, { mode = tonumber('600', 8) })
    assert.equal(tonumber('600', 8), file_mode(path))
  end)

  it('fails while another listens there, who goes on', function()
    local listener = listen('unix', path)
    assert.equal('EADDRINUSE', code(net.listen('unix', path)))
    assert_reachable(listener, 'unix', path)
  end)

  it('fails for a file that a crash has left behind, which can be told, and removed', function()
    local output = support.run(([[
      assert(lagoon.net.listen('unix', '%s'))
      os.execute('kill -9 $PPID')
    ]]):format(path))
    assert.equal('Killed\n', output)
    assert.is_true(exists(path))
    assert.equal('EADDRINUSE', code(net.listen('unix', path)))
    assert_refused('unix', path)
    os.remove(path)
    assert_reachable(listen('unix', path), 'unix', path)
  end)

  it("does not remove another's file at close", function()
    local first = listen('unix', path)
    os.remove(path)
    local second = listen('unix', path)
    first:close()
    assert_reachable(second, 'unix', path)
  end)

  it('leaves no file when it fails', function()
    assert.equal('ENOENT', code(net.listen('unix', path .. '/in/no/folder')))
    assert.is_false(exists(path))
  end)

  it('does not touch a file that is no socket', function()
    local file = assert(io.open(path, 'w'))
    file:close()
    assert.equal('EADDRINUSE', code(net.listen('unix', path)))
    assert.is_true(exists(path))
  end)

  it('makes no file for an abstract name', function()
    local listener = listen('unix', '@' .. path)
    assert.equal('@' .. path, listener:addr())
    assert.is_false(exists(path))
    assert.is_false(exists('@' .. path))
    assert_reachable(listener, 'unix', '@' .. path)
  end)

  it('frees an abstract name at close', function()
    local listener = listen('unix', '@' .. path)
    assert.equal('EADDRINUSE', code(net.listen('unix', '@' .. path)))
    listener:close()
    assert_refused('unix', '@' .. path)
    listen('unix', '@' .. path)
  end)

  it('takes a path of up to 107 bytes', function()
    local long = path .. '-' .. ('x'):rep(107 - #path - 1)
    local listener = listen('unix', long)
    assert.equal(long, listener:addr())
    assert_reachable(listener, 'unix', long)
  end)

  it('lets as many clients wait as the backlog says', function()
    listen('unix', path, { backlog = 1 })
    dial('unix', path)
    dial('unix', path)
    assert.equal('timeout', code(net.dial('unix', path, { timeout = 0.01 })))
  end)
end)

local function describe_accept(kind)
  local listener, network
  before_each(function()
    listener, network = wiring.listen(kind)
  end)
  after_each(wiring.close_all)

  local function accept()
    local conn, err = listener:accept()
    return conn and keep(conn), err
  end

  -- Each in turn says a number to one of the tasks that accept.
  local function serve_clients(n)
    for i = 1, n do
      dial(network, listener:addr()):write(i)
    end
  end

  local function assert_all_served(tasks)
    local seen = {}
    for _, task in ipairs(tasks) do
      seen[tonumber(join(task):read_exactly(1))] = true
    end
    assert.equal(#tasks, #seen)
  end

  it('returns a client that waits', function()
    serve_clients(1)
    assert.equal('1', accept():read_exactly(1))
  end)

  it('parks until a client comes', function()
    local task = start(accept)
    assert.equal('parked', task:status())
    serve_clients(1)
    assert.equal('1', join(task):read_exactly(1))
  end)

  it('returns a client that has gone again, and what it said', function()
    local conn = dial(network, listener:addr())
    conn:write('bye')
    conn:close()
    assert.equal('bye', accept():read_all())
  end)

  it('serves several tasks', function()
    local tasks = { start(accept), start(accept), start(accept) }
    serve_clients(3)
    assert_all_served(tasks)
  end)

  -- A task whose turn came, and which found a client at once, once did not wake the next.
  it('serves every task that has queued, when clients come together', function()
    local tasks = { start(accept), start(accept), start(accept), start(accept) }
    serve_clients(2)
    join(tasks[1])
    join(tasks[2])
    for i = 3, 4 do
      dial(network, listener:addr()):write(i)
    end
    assert_all_served(tasks)
  end)

  it('is ended by close, whoever is parked or has queued', function()
    local tasks = { start(accept), start(accept), start(accept) }
    assert.is_true(listener:close())
    for _, task in ipairs(tasks) do
      assert.equal('closed', code(join(task)))
    end
  end)

  it('fails once the listener is closed', function()
    listener:close()
    assert.equal('closed', code(listener:accept()))
    assert.equal('closed', code(listener:addr()))
  end)

  it('is canceled, and the others keep their turn', function()
    local first, second, third = start(accept), start(accept), start(accept)
    first:cancel()
    second:cancel()
    assert.is_false((first:wait()))
    assert.is_false((second:wait()))
    serve_clients(1)
    assert.equal('1', join(third):read_exactly(1))
  end)

  it('is canceled as its turn comes, and the next has it', function()
    local second
    local first = start(function()
      local conn = accept()
      second:cancel()
      return conn
    end)
    second = start(function()
      accept()
      lagoon.yield()
    end)
    local third = start(accept)
    serve_clients(1)
    join(first)
    assert.is_false((second:wait()))
    serve_clients(1)
    assert.equal('1', join(third):read_exactly(1))
  end)

  it('gives conns that outlive the listener', function()
    local conn = dial(network, listener:addr())
    local accepted = accept()
    listener:close()
    conn:write('x')
    assert.equal('x', accepted:read())
  end)
end

for _, kind in ipairs(wiring.SOCKETS) do
  describe('accept of ' .. wiring.NAMES[kind], function()
    describe_accept(kind)
  end)
end

describe('close of a listener', function()
  after_each(wiring.close_all)

  it('returns true, and again', function()
    local listener = listen('tcp', '127.0.0.1:0')
    assert.is_true(listener:close())
    assert.is_true(listener:close())
  end)

  it('turns away who comes later', function()
    local listener = listen('tcp', '127.0.0.1:0')
    local address = listener:addr()
    listener:close()
    assert_refused('tcp', address)
  end)

  it('turns away who was not accepted', function()
    local listener = listen('tcp', '127.0.0.1:0')
    local conn = dial('tcp', listener:addr())
    listener:close()
    assert.is_nil((conn:read()))
  end)

  it('shows in tostring', function()
    local listener = listen('tcp', '127.0.0.1:0')
    assert.matches(listener:addr(), tostring(listener), 1, true)
    listener:close()
    assert.matches('listener', tostring(listener))
  end)
end)

local MISUSES = {
  { 1, '127.0.0.1:0' },
  { 'udp', '127.0.0.1:0' },
  { 'TCP', '127.0.0.1:0' },
  { 'tcp' },
  { 'tcp', 80 },
  { 'tcp', '' },
  { 'tcp', '127.0.0.1' },
  { 'tcp', '127.0.0.1:' },
  { 'tcp', '127.0.0.1:x' },
  { 'tcp', '127.0.0.1:-1' },
  { 'tcp', '127.0.0.1:65536' },
  { 'tcp', '::1:80' },
  { 'tcp', '[::1]' },
  { 'tcp', '127.0.0.1\0:80' },
  { 'tcp', '127.0.0.1:0', 5 },
  { 'tcp', '127.0.0.1:0', { port = 1 } },
  { 'tcp', '127.0.0.1:0', { backlog = -1 } },
  { 'tcp', '127.0.0.1:0', { backlog = 0 / 0 } },
  { 'tcp', '127.0.0.1:0', { backlog = '5' } },
  { 'tcp', '127.0.0.1:0', { reuse_port = 'yes' } },
  { 'unix' },
  { 'unix', 1 },
  { 'unix', '' },
  { 'unix', ('x'):rep(108) },
  { 'unix', '@' .. ('x'):rep(108) },
  { 'unix', 'a\0b' },
  { 'unix', '@lagoon-spec-misuse', { mode = -1 } },
  { 'unix', '@lagoon-spec-misuse', { mode = 1e9 } },
  { 'unix', '@lagoon-spec-misuse', { mode = 'rw' } },
}

describe('misuse of a listener', function()
  after_each(wiring.close_all)

  local function describe_arguments(args)
    local opts = args[3]
    local option = type(opts) == 'table' and ('%s=%s'):format(next(opts)) or tostring(opts)
    return ('listen(%s, %q, %s)'):format(args[1], tostring(args[2]):sub(1, 20), option)
  end

  for _, args in ipairs(MISUSES) do
    it('by ' .. describe_arguments(args) .. " is blamed on the caller's line", function()
      misuse(function()
        net.listen(args[1], args[2], args[3])
      end)
    end)
  end

  it('leaves nothing open', function()
    local before = lagoon.runtime.stats().fds
    for _, args in ipairs(MISUSES) do
      pcall(net.listen, unpack(args, 1, 3))
    end
    assert.equal(before, lagoon.runtime.stats().fds)
  end)

  for _, method in ipairs({ 'accept', 'addr', 'close' }) do
    it('by ' .. method .. " of what is none is blamed on the caller's line", function()
      local listener = listen('tcp', '127.0.0.1:0')
      for _, object in ipairs({ 1, 'x', {}, io.stdout, (wiring.open('tcp')) }) do
        local message = misuse(function()
          listener[method](object)
        end)
        assert.matches('^listener expected, got %a+ %(call its methods with a colon%)$', message)
      end
    end)
  end
end)
