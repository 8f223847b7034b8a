--- serve_spec.lua: net.serve: one task a client, whatever handlers do; limits; its end.

local lagoon = require('lagoon')
local wiring = require('spec.net.wiring')
local misuse = require('spec.support').misuse
local start, join, code, keep = wiring.start, wiring.join, wiring.code, wiring.keep
local net, runtime = lagoon.net, lagoon.runtime

local function echo(conn)
  while true do
    local data = conn:read()
    if not data or not conn:write(data) then
      return
    end
  end
end

local function dial(listener)
  local network = listener:addr():find(':', 1, true) and 'tcp' or 'unix'
  return keep(assert(net.dial(network, listener:addr(), { timeout = 5 })))
end

local function assert_echoes(conn)
  conn:write('hello')
  assert.equal('hello', conn:read_exactly(5))
end

local function assert_is_turned_away(conn)
  local data, err = conn:read()
  assert.is_nil(data)
  assert.is_true(err == 'eof' or err == 'ECONNRESET', err)
end

-- Serves on a new listener, until after_each closes it.
local function serve(handler, opts, kind)
  local listener = wiring.listen(kind or 'tcp')
  return listener, start(net.serve, listener, handler, opts)
end

describe('serve', function()
  after_each(wiring.close_all)

  for _, kind in ipairs({ 'tcp', 'tcp6', 'unix', 'abstract' }) do
    it('calls the handler with each client of the kind ' .. kind, function()
      local listener = serve(echo, nil, kind)
      local first, second = dial(listener), dial(listener)
      assert_echoes(second)
      assert_echoes(first)
    end)
  end

  it('listens itself where it gets an address', function()
    local listener
    local task = start(net.serve, 'tcp', '127.0.0.1:0', echo, {
      on_listen = function(l)
        listener = keep(l)
      end,
    })
    assert_echoes(dial(listener))
    listener:close()
    assert.is_true(join(task))
  end)

  it('takes the options of listen, too', function()
    local path = wiring.free_path()
    local task = start(net.serve, 'unix', path, echo, {
      backlog = 5,
      reuse_port = false,
      mode = tonumber('600', 8),
      on_listen = keep,
    })
    local conn = keep(assert(net.dial('unix', path)))
    assert_echoes(conn)
    assert.equal('parked', task:status())
  end)

  it('says why it cannot listen', function()
    local listener = wiring.listen('tcp')
    assert.equal('EADDRINUSE', code(net.serve('tcp', listener:addr(), echo)))
  end)

  it('calls on_listen before the first client', function()
    local listener = wiring.listen('tcp')
    local conn = dial(listener)
    local order = {}
    start(net.serve, listener, function()
      table.insert(order, 'client')
    end, {
      on_listen = function(l)
        assert.equal(listener, l)
        table.insert(order, 'listen')
      end,
    })
    assert_is_turned_away(conn)
    assert.same({ 'listen', 'client' }, order)
  end)

  it('gives the handler nothing but the conn', function()
    local got = lagoon.chan(1)
    local listener = serve(function(...)
      got:send({ n = select('#', ...), ... })
    end)
    dial(listener)
    local args = got:recv()
    assert.equal(1, args.n)
    assert.matches('^conn ', tostring(args[1]))
  end)

  it('goes on while handlers wait', function()
    local quit = lagoon.chan()
    local listener = serve(function(conn)
      quit:recv()
      conn:write('bye')
    end)
    local conns = { dial(listener), dial(listener), dial(listener) }
    for _ = 1, 3 do
      quit:send(true)
    end
    for _, conn in ipairs(conns) do
      assert.equal('bye', conn:read_all())
    end
  end)

  it('takes any value that can be called', function()
    local callable = setmetatable({}, {
      __call = function(_, conn)
        echo(conn)
      end,
    })
    assert_echoes(dial((serve(callable))))
  end)

  it('serves a thousand clients at once', function()
    local listener = serve(echo)
    local conns = {}
    for i = 1, 1000 do
      conns[i] = dial(listener)
    end
    for i = 1, 1000, 37 do
      assert_echoes(conns[i])
    end
  end)
end)

describe('the conn of a handler', function()
  after_each(wiring.close_all)

  it('is closed when the handler returns', function()
    local conn = dial((serve(function(conn)
      conn:write('bye')
    end)))
    assert.equal('bye', conn:read_all())
  end)

  it('is closed when the handler raises, and only that one', function()
    local errors = lagoon.chan(1)
    lagoon.on_error(function(_, err)
      errors:send(err)
    end)
    local listener = serve(function(conn)
      if conn:read_line() == 'raise' then
        error('a mistake', 0)
      end
      echo(conn)
    end)
    local good, bad = dial(listener), dial(listener)
    good:write('go on\n')
    bad:write('raise\n')
    assert.equal('a mistake', (errors:recv()))
    assert_is_turned_away(bad)
    assert_echoes(good)
    local another = dial(listener)
    another:write('\n')
    assert_echoes(another)
  end)

  it('is closed when the task of the handler is canceled', function()
    local tasks = lagoon.chan(1)
    local conn = dial((serve(function(conn)
      tasks:send(lagoon.current())
      conn:read()
    end)))
    tasks:recv():cancel()
    assert_is_turned_away(conn)
  end)

  it('is closed although another task still reads it', function()
    local readers = lagoon.chan(1)
    local conn = dial((serve(function(conn)
      readers:send(lagoon.spawn(conn.read, conn))
      lagoon.yield()
    end)))
    assert_is_turned_away(conn)
    assert.equal('closed', code(join(readers:recv())))
  end)

  it('may be closed by the handler', function()
    local conn = dial((serve(function(conn)
      conn:close()
    end)))
    assert_is_turned_away(conn)
  end)

  it('is closed with what was written still on its way', function()
    local conn = dial((serve(function(conn)
      conn:write(wiring.HUGE)
    end)))
    assert.is_true(wiring.HUGE == conn:read_all())
  end)

  it('shows where serve was called, when its handler fails', function()
    local failed = lagoon.chan(1)
    lagoon.on_error(function(task, _, traceback)
      failed:send({ task, traceback })
    end)
    dial((serve(function()
      error('here')
    end)))
    local task, traceback = unpack((failed:recv()))
    assert.matches('serve_spec%.lua:%d+: here', traceback)
    assert.equal('failed', task:status())
  end)
end)

describe('max_conns', function()
  after_each(wiring.close_all)

  it('lets further clients wait until one has gone', function()
    local listener = serve(echo, { max_conns = 2 })
    local first, second, third = dial(listener), dial(listener), dial(listener)
    assert_echoes(first)
    assert_echoes(second)
    third:write('hello')
    third:set_timeout(0.01)
    assert.equal('timeout', code(third:read()))
    third:set_timeout(5)
    first:close()
    assert.equal('hello', third:read_exactly(5))
  end)

  it('counts conns that their handlers have closed early as gone', function()
    local quit = lagoon.chan()
    local listener = serve(function(conn)
      if conn:read_line() == 'close' then
        conn:close()
        quit:recv()
      end
      echo(conn)
    end, { max_conns = 1 })
    local first, second = dial(listener), dial(listener)
    first:write('close\n')
    second:write('\n')
    assert_echoes(second)
    quit:close()
  end)

  it('counts conns of handlers that failed as gone', function()
    lagoon.on_error(function() end)
    local listener = serve(function()
      error('a mistake')
    end, { max_conns = 1 })
    for _ = 1, 10 do
      assert_is_turned_away(dial(listener))
    end
  end)

  it('does not keep serve from seeing that the listener is closed', function()
    local listener, task = serve(echo, { max_conns = 1 })
    local conn = dial(listener)
    assert_echoes(conn)
    listener:close()
    assert.is_true(join(task))
    assert_echoes(conn)
  end)

  it('does not keep serve from being canceled', function()
    local listener, task = serve(echo, { max_conns = 1 })
    assert_echoes(dial(listener))
    task:cancel()
    assert.is_false((task:wait()))
  end)
end)

describe('max_conns_per_ip', function()
  after_each(wiring.close_all)

  local function dial_from(listener, ip)
    local opts = { local_addr = ip .. ':0', timeout = 5 }
    return keep(assert(net.dial('tcp', listener:addr(), opts)))
  end

  it('turns away further clients of the same address', function()
    local listener = serve(echo, { max_conns_per_ip = 2 })
    local first, second = dial(listener), dial(listener)
    assert_echoes(first)
    assert_echoes(second)
    assert_is_turned_away(dial(listener))
    assert_echoes(first)
  end)

  it('counts each address by itself', function()
    local listener = serve(echo, { max_conns_per_ip = 1 })
    assert_echoes(dial_from(listener, '127.0.0.1'))
    assert_echoes(dial_from(listener, '127.0.0.2'))
    assert_is_turned_away(dial_from(listener, '127.0.0.2'))
    assert_echoes(dial_from(listener, '127.0.0.3'))
  end)

  it('counts anew when a client has gone', function()
    local listener = serve(echo, { max_conns_per_ip = 1 })
    for _ = 1, 5 do
      local conn = dial(listener)
      assert_echoes(conn)
      conn:close_write()
      assert.equal('', conn:read_all())
    end
  end)

  it('counts IPv6 addresses too', function()
    local listener = serve(echo, { max_conns_per_ip = 1 }, 'tcp6')
    assert_echoes(dial(listener))
    assert_is_turned_away(dial(listener))
  end)

  it('does not use up max_conns', function()
    local listener = serve(echo, { max_conns_per_ip = 1, max_conns = 2 })
    assert_echoes(dial_from(listener, '127.0.0.1'))
    for _ = 1, 5 do
      assert_is_turned_away(dial_from(listener, '127.0.0.1'))
    end
    assert_echoes(dial_from(listener, '127.0.0.2'))
  end)
end)

describe('idle_timeout', function()
  after_each(wiring.close_all)

  it('ends a read for which nothing comes', function()
    local codes = lagoon.chan(1)
    local conn = dial((serve(function(conn)
      codes:send((select(2, conn:read())))
    end, { idle_timeout = 0.01 })))
    assert.equal('timeout', (codes:recv()))
    assert_is_turned_away(conn)
  end)

  it('does not end who keeps talking', function()
    local conn = dial((serve(echo, { idle_timeout = 0.2 })))
    local till = lagoon.now() + 0.25
    while lagoon.now() < till do
      assert_echoes(conn)
      lagoon.sleep(0.01)
    end
  end)
end)

describe('the end of serve', function()
  after_each(wiring.close_all)

  it('comes when the listener is closed, and is true', function()
    local listener, task = serve(echo)
    listener:close()
    local ok, err = join(task)
    assert.is_true(ok)
    assert.is_nil(err)
  end)

  it('comes at once when the listener is closed already', function()
    local listener = wiring.listen('tcp')
    listener:close()
    assert.is_true((net.serve(listener, echo)))
  end)

  it('may be brought about by a handler', function()
    local listener, task
    listener, task = serve(function()
      listener:close()
    end)
    dial(listener)
    assert.is_true(join(task))
  end)

  it('does not disturb the handlers that run', function()
    local listener, task = serve(echo)
    local conn = dial(listener)
    assert_echoes(conn)
    listener:close()
    join(task)
    assert_echoes(conn)
  end)

  it('by cancellation leaves the listener of others open', function()
    local listener, task = serve(echo)
    task:cancel()
    assert.is_false((task:wait()))
    start(net.serve, listener, echo)
    assert_echoes(dial(listener))
  end)

  it('by cancellation closes its own listener', function()
    local before = runtime.stats().listeners
    local task = start(net.serve, 'tcp', '127.0.0.1:0', echo)
    assert.equal(before + 1, runtime.stats().listeners)
    task:cancel()
    assert.is_false((task:wait()))
    assert.equal(before, runtime.stats().listeners)
  end)

  it('by an error in on_listen closes its own listener', function()
    local before = runtime.stats().listeners
    local ok, err = pcall(net.serve, 'tcp', '127.0.0.1:0', echo, {
      on_listen = function()
        error('a mistake', 0)
      end,
    })
    assert.same({ false, 'a mistake' }, { ok, err })
    assert.equal(before, runtime.stats().listeners)
  end)
end)

local OPTION_MISUSES = {
  { max_conn = 1 },
  { timeout = 1 },
  { max_conns = 0 },
  { max_conns = 0.5 },
  { max_conns = '1' },
  { max_conns = 0 / 0 },
  { max_conns_per_ip = 0 },
  { max_conns_per_ip = -1 },
  { max_conns_per_ip = true },
  { idle_timeout = 0 },
  { idle_timeout = -1 },
  { idle_timeout = '1' },
  { idle_timeout = 0 / 0 },
  { on_listen = 1 },
  { on_listen = {} },
}

describe('misuse of serve', function()
  after_each(wiring.close_all)

  it("is blamed on the caller's line", function()
    local listener = wiring.listen('tcp')
    local conn = wiring.open('tcp')
    for _, args in ipairs({
      {}, { 1 }, { {} }, { conn, echo }, { listener }, { listener, 1 }, { listener, {} },
      { listener, echo, 1 }, { 'tcp', '127.0.0.1:0' }, { 'tcp', '127.0.0.1', echo },
      { 'udp', '127.0.0.1:0', echo }, { 'tcp', '127.0.0.1:0', echo, 1 },
      { 'tcp', '127.0.0.1:0', echo, { backlog = -1 } },
    }) do
      misuse(function()
        net.serve(unpack(args, 1, 4))
      end)
    end
  end)

  for _, opts in ipairs(OPTION_MISUSES) do
    it(("is blamed on the caller's line, before it listens: %s = %s"):format(next(opts)), function()
      local listener = wiring.listen('tcp')
      local before = runtime.stats().listeners
      misuse(function()
        net.serve(listener, echo, opts)
      end)
      misuse(function()
        net.serve('tcp', '127.0.0.1:0', echo, opts)
      end)
      assert.equal(before, runtime.stats().listeners)
    end)
  end
end)
