--- watch_spec.lua: listeners and conns of every kind as cases of select.

local lagoon = require('lagoon')
local wiring = require('spec.net.wiring')
local start, join, code, keep = wiring.start, wiring.join, wiring.code, wiring.keep
local net = lagoon.net

local function dial(network, address)
  return keep(assert(net.dial(network, address, { timeout = 5 })))
end

local function describe_selected_listener(kind)
  local listener, network, address
  before_each(function()
    listener, network = wiring.listen(kind)
    address = listener:addr()
  end)
  after_each(wiring.close_all)

  it('accepts a client that waits', function()
    dial(network, address):write('x')
    local which, conn = lagoon.select({ client = listener })
    assert.equal('client', which)
    assert.equal('x', keep(conn):read())
  end)

  it('accepts a client that comes', function()
    local task = start(lagoon.select, { client = listener, quiet = lagoon.chan() })
    dial(network, address):write('x')
    local which, conn = join(task)
    assert.equal('client', which)
    assert.equal('x', keep(conn):read())
  end)

  it('waits while no client comes, and leaves nothing behind', function()
    local before = lagoon.runtime.stats().waits
    assert.equal('timeout', (lagoon.select({ listener, timeout = 0.001 })))
    assert.equal('default', (lagoon.select({ listener, default = true })))
    assert.equal(before, lagoon.runtime.stats().waits)
    dial(network, address):write('x')
    assert.equal('x', keep(listener:accept()):read())
  end)

  it('says that it is closed', function()
    local task = start(lagoon.select, { client = listener })
    listener:close()
    assert.same({ 'client', nil, 'closed' }, { join(task) })
    assert.same({ 'client', nil, 'closed' }, { lagoon.select({ client = listener }) })
  end)

  it('shares clients with accept and other selects', function()
    local tasks = {
      start(lagoon.select, { listener }),
      start(function()
        return 1, listener:accept()
      end),
      start(lagoon.select, { listener, lagoon.chan() }),
    }
    for _ = 1, 3 do
      dial(network, address)
    end
    for _, task in ipairs(tasks) do
      local _, conn = join(task)
      keep(assert(conn))
    end
  end)

  it('is canceled, and the next accept has the client', function()
    local task = start(lagoon.select, { listener })
    task:cancel()
    assert.is_false((task:wait()))
    dial(network, address):write('x')
    assert.equal('x', keep(listener:accept()):read())
  end)

  -- A select among several that are ready may have accepted for a case that then loses.
  local function lose_a_client()
    dial(network, address):write('x')
    local other = lagoon.chan()
    other:close()
    repeat
      local which, conn = lagoon.select({ client = listener, other = other })
      if which == 'client' then
        keep(conn)
        dial(network, address):write('x')
      end
    until which == 'other'
  end

  it('loses no client when another case wins: accept has it', function()
    lose_a_client()
    assert.equal('x', keep(listener:accept()):read())
  end)

  it('loses no client when another case wins: the next select has it', function()
    lose_a_client()
    local _, conn = lagoon.select({ listener })
    assert.equal('x', keep(conn):read())
  end)

  it('loses no client when another case wins: close turns it away', function()
    lose_a_client()
    local before = lagoon.runtime.stats().conns
    listener:close()
    assert.is_true(lagoon.runtime.stats().conns <= before)
  end)

  it('loses no client to a parked accept', function()
    local task = start(listener.accept, listener)
    dial(network, address):write('x')
    local other = lagoon.chan()
    other:close()
    lagoon.select({ client = listener, other = other })
    local ok, conn = task:wait(0.01)
    if ok then
      assert.equal('x', keep(conn):read())
    else -- select has accepted it, and returned it or kept it
      dial(network, address)
      keep(join(task))
    end
  end)

  it('does not starve', function()
    dial(network, address)
    local other = lagoon.chan()
    other:close()
    local which, conn
    repeat
      which, conn = lagoon.select({ client = listener, other = other })
    until which == 'client'
    keep(conn)
  end)
end

local function describe_selected_conn(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
    wiring.shrink(a, b)
  end)
  after_each(wiring.close_all)

  local function select_readable(case)
    return (lagoon.select({ readable = case or b, timeout = 5 }))
  end

  it('is not readable while nothing comes', function()
    assert.equal('default', (lagoon.select({ b, default = true })))
    assert.equal('timeout', (lagoon.select({ b, timeout = 0.001 })))
  end)

  it('is readable when bytes are there, and reads none', function()
    a:write('xy')
    assert.same({ 1, true }, { lagoon.select({ b }) })
    assert.same({ 1, true }, { lagoon.select({ lagoon.readable(b) }) })
    assert.equal('xy', b:read_exactly(2))
    assert.equal('default', (lagoon.select({ b, default = true })))
  end)

  it('is readable when bytes come', function()
    local task = start(select_readable)
    a:write('x')
    assert.equal('readable', join(task))
  end)

  it('is readable when an operation has left bytes', function()
    a:write('line\nrest')
    b:read_line()
    assert.equal('readable', select_readable())
    assert.equal('rest', b:read_exactly(4))
  end)

  it('is readable at the end', function()
    local task = start(select_readable)
    a:close()
    assert.equal('readable', join(task))
    assert.equal('eof', code(b:read()))
    assert.equal('readable', select_readable())
  end)

  it('is readable when it is closed', function()
    local task = start(select_readable)
    b:close()
    assert.equal('readable', join(task))
    assert.equal('readable', select_readable())
    assert.equal('closed', code(b:read()))
  end)

  it('tells every select that waits', function()
    local tasks = { start(select_readable), start(select_readable, lagoon.readable(b)) }
    a:write('x')
    assert.equal('readable', join(tasks[1]))
    assert.equal('readable', join(tasks[2]))
  end)

  it('calls the handler of its case', function()
    a:write('x')
    local case = lagoon.readable(b, function(ready)
      return ready, b:read()
    end)
    assert.same({ 'k', true, 'x' }, { lagoon.select({ k = case }) })
  end)

  it('is writable while there is room', function()
    assert.same({ 'k', true }, { lagoon.select({ k = lagoon.writable(a) }) })
  end)

  -- Writes until nothing more is taken; how many bytes were.
  local function fill()
    local total = 0
    while true do
      a:set_write_deadline(lagoon.now() + 0.005)
      local _, _, taken = a:write(wiring.HUGE)
      total = total + taken
      if taken == 0 then
        a:set_write_deadline(nil)
        return total
      end
    end
  end

  it('is not writable while it is full, and is once the peer has read', function()
    local taken = fill()
    assert.equal('default', (lagoon.select({ lagoon.writable(a), default = true })))
    local task = start(lagoon.select, { k = lagoon.writable(a) })
    assert.equal('parked', task:status())
    b:read_exactly(taken)
    assert.equal('k', join(task))
  end)

  it('is writable when the peer has closed', function()
    fill()
    local task = start(lagoon.select, { k = lagoon.writable(a) })
    b:close()
    assert.equal('k', join(task))
  end)

  it('may be both in one select', function()
    local function both()
      return (lagoon.select({ r = lagoon.readable(a), w = lagoon.writable(a) }))
    end
    assert.equal('w', both())
    b:write('x')
    a:peek(1)
    local seen = {}
    repeat
      seen[both()] = true
    until seen.r and seen.w
  end)

  it('beats a timeout that is due in the same turn', function()
    a:write('x')
    b:peek(1)
    assert.equal('readable', (lagoon.select({ readable = b, timeout = 0 })))
  end)

  it('leaves nothing behind where it lost', function()
    local ch = lagoon.chan(1)
    local before = lagoon.runtime.stats().waits
    local task = start(lagoon.select, { conn = b, ch = ch, room = lagoon.writable(a, nil) })
    if task:status() == 'parked' then
      ch:send(1)
    end
    join(task)
    assert.equal(before, lagoon.runtime.stats().waits)
    a:write('x')
    assert.equal('x', b:read())
  end)
end

for _, kind in ipairs(wiring.SOCKETS) do
  describe('a listener of ' .. wiring.NAMES[kind] .. ' in select', function()
    describe_selected_listener(kind)
  end)
end

for _, kind in ipairs(wiring.KINDS) do
  describe(wiring.NAMES[kind] .. ' in select', function()
    describe_selected_conn(kind)
  end)
end

describe('a select', function()
  after_each(wiring.close_all)

  it('waits for listeners and conns of several kinds at once', function()
    local cases, dialed = {}, {}
    for _, kind in ipairs(wiring.SOCKETS) do
      local listener, network = wiring.listen(kind)
      cases[kind] = listener
      dialed[kind] = { network, listener:addr() }
    end
    local a, b = wiring.open('tcp')
    local c, d = wiring.open('pipe')
    cases.conn, cases.memory = b, d
    for kind, place in pairs(dialed) do
      local task = start(lagoon.select, cases)
      dial(place[1], place[2])
      local which, conn = join(task)
      assert.equal(kind, which)
      keep(conn)
    end
    a:write('x')
    assert.equal('conn', (lagoon.select(cases)))
    b:read()
    c:write('x')
    assert.equal('memory', (lagoon.select(cases)))
  end)

  it('serves as the loop of a server', function()
    local listener = wiring.listen('tcp')
    local quit = lagoon.chan()
    local server = lagoon.spawn(function()
      local clients = {}
      while true do
        local which, value = lagoon.select({ new = listener, quit = quit, unpack(clients) })
        if which == 'quit' then
          return #clients
        elseif which == 'new' then
          table.insert(clients, keep(value))
        else
          local data = clients[which]:read()
          if data then
            clients[which]:write(data:upper())
          else
            table.remove(clients, which):close()
          end
        end
      end
    end)
    local conns = {}
    for i = 1, 5 do
      conns[i] = dial('tcp', listener:addr())
    end
    for i = 1, 5 do
      conns[i]:write('abc')
      assert.equal('ABC', conns[i]:read_exactly(3))
    end
    conns[1]:close()
    conns[2]:write('abc')
    assert.equal('ABC', conns[2]:read_exactly(3))
    quit:close()
    assert.is_true(join(server) <= 5)
  end)
end)
