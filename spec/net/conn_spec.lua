--- conn_spec.lua: writing, sharing and closing conns of every kind by the same tests; resets.

local lagoon = require('lagoon')
local wiring = require('spec.net.wiring')
local start, join, code = wiring.start, wiring.join, wiring.code
local HUGE = wiring.HUGE

local function describe_write(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('returns the number of bytes', function()
    assert.equal(5, a:write('hello'))
    assert.equal('hello', b:read_exactly(5))
  end)

  it('takes any number of strings and numbers', function()
    assert.equal(16, a:write('n=', 42, ' x=', 0.5, '', ' ', 1e15))
    assert.equal('n=42 x=0.5 1e+15', b:read_exactly(16))
  end)

  it('takes arrays, in arrays too', function()
    assert.equal(6, a:write({ 'a', { 1, { 'b' }, {} }, 2 }, 'c', {}, { 'd' }))
    assert.equal('a1b2cd', b:read_exactly(6))
  end)

  it('takes string buffers', function()
    local has_buffers, buffer = pcall(require, 'string.buffer')
    if not has_buffers then
      pending('this LuaJIT has no string.buffer')
    end
    assert.equal(6, a:write(buffer.new():put('ab'), { buffer.new():put('cd', 'e') }, 'f'))
    assert.equal('abcdef', b:read_exactly(6))
  end)

  it('takes thousands of pieces', function()
    local pieces = {}
    for i = 1, 5000 do
      pieces[i] = i % 10
    end
    assert.equal(200, a:write(unpack(pieces, 1, 200)))
    assert.equal(5000, a:write(pieces))
    assert.equal(table.concat(pieces, '', 1, 200) .. table.concat(pieces), b:read_exactly(5200))
  end)

  it('writes nothing at once', function()
    assert.equal(0, a:write())
    assert.equal(0, a:write(''))
    assert.equal(0, a:write({}))
  end)

  it('parks until the reader has made room', function()
    wiring.shrink(a, b)
    local writer = start(a.write, a, HUGE)
    assert.not_equal('done', writer:status())
    assert.is_true(HUGE == b:read_exactly(#HUGE))
    assert.equal(#HUGE, join(writer))
  end)

  it('goes on in the middle of a piece', function()
    wiring.shrink(a, b)
    local writer = start(a.write, a, 'first', HUGE, 'then', 5, HUGE, 'last')
    local expected = 'first' .. HUGE .. 'then5' .. HUGE .. 'last'
    assert.is_true(expected == b:read_exactly(#expected))
    assert.equal(#expected, join(writer))
  end)

  it('passes on bytes of every value', function()
    local bytes = wiring.noise(1e6)
    local writer = start(a.write, a, bytes)
    assert.is_true(bytes == b:read_exactly(1e6))
    join(writer)
  end)

  it('does not wait for a reader of the same conn', function()
    local reader = start(a.read_exactly, a, 3)
    assert.equal(3, a:write('abc'))
    assert.equal('abc', b:read_exactly(3))
    b:write('def')
    assert.equal('def', join(reader))
  end)

  it('does not hold up a reader of the same conn', function()
    wiring.shrink(a, b)
    local writer = start(a.write, a, HUGE)
    b:write('abc')
    assert.equal('abc', a:read_exactly(3))
    assert.is_true(HUGE == b:read_exactly(#HUGE))
    join(writer)
  end)

  it('fails when the peer is gone', function()
    b:close()
    local n, err
    repeat
      n, err = a:write('x')
      lagoon.yield()
    until not n
    assert.is_true(err == 'EPIPE' or err == 'ECONNRESET', err)
  end)

  it('fails when the peer goes away meanwhile, and says how much was taken', function()
    wiring.shrink(a, b)
    local writer = start(a.write, a, HUGE)
    b:close()
    local n, err, taken = join(writer)
    assert.is_nil(n)
    assert.is_true(err == 'EPIPE' or err == 'ECONNRESET', err)
    assert.is_true(taken < #HUGE)
  end)
end

-- Blocks of one letter each, by tasks of their own.
local function write_blocks(conn, letters, size)
  local tasks = {}
  for letter in letters:gmatch('.') do
    table.insert(tasks, lagoon.spawn(conn.write, conn, letter:rep(size), letter:rep(size)))
  end
  return tasks
end

local function describe_sharing(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('lets each reader have the whole of what it asks for, in their order', function()
    local first, second = start(b.read_exactly, b, 3), start(b.read_exactly, b, 2)
    wiring.dribble(a, { 'a', 'bcd', 'e' })
    assert.equal('abc', join(first))
    assert.equal('de', join(second))
  end)

  it('lets readers of different kinds queue', function()
    local line, rest = start(b.read_line, b), start(b.read_until, b, '--')
    local last = start(b.read_exactly, b, 1)
    wiring.dribble(a, { 'li', 'ne\nun', 'til--x' })
    assert.equal('line', join(line))
    assert.equal('until', join(rest))
    assert.equal('x', join(last))
  end)

  -- A reader whose turn came, and which need not wait, once did not wake the one behind it.
  it('serves every reader that has queued, when all comes at once', function()
    local readers = {}
    for i = 1, 5 do
      readers[i] = start(b.read, b, 1)
    end
    a:write('abcde')
    local got = {}
    for i = 1, 5 do
      got[i] = join(readers[i])
    end
    assert.equal('abcde', table.concat(got))
  end)

  it('tells every reader of the end', function()
    local readers = {}
    for i, operation in ipairs(wiring.READS) do
      readers[i] = start(wiring.call, b, operation)
    end
    a:close()
    for _, reader in ipairs(readers) do
      local data, err = join(reader)
      assert.is_true(err == 'eof' or data == '')
    end
  end)

  it('never mixes what several tasks write', function()
    wiring.shrink(a, b)
    local size = 30000
    local writers = write_blocks(a, 'abcdefgh', size)
    local seen = {}
    for _ = 1, 8 do
      local block = b:read_exactly(2 * size)
      assert.is_true(block == block:sub(1, 1):rep(2 * size))
      table.insert(seen, block:sub(1, 1))
    end
    table.sort(seen)
    assert.equal('abcdefgh', table.concat(seen))
    for _, writer in ipairs(writers) do
      assert.equal(2 * size, join(writer))
    end
  end)

  it('serves every writer that has queued, when there is room for all', function()
    wiring.shrink(a, b)
    local writers = { start(a.write, a, HUGE) }
    for i = 1, 5 do
      writers[i + 1] = start(a.write, a, i)
    end
    assert.is_true(HUGE .. '12345' == b:read_exactly(#HUGE + 5))
    for i = 2, 6 do
      assert.equal(1, join(writers[i]))
    end
  end)

  it('lets two tasks talk in both directions at once', function()
    wiring.shrink(a, b)
    local tasks = {}
    for _, conn in ipairs({ a, b }) do
      table.insert(tasks, lagoon.spawn(conn.write, conn, HUGE))
      table.insert(tasks, lagoon.spawn(conn.read_exactly, conn, #HUGE))
    end
    assert.equal(#HUGE, join(tasks[1]))
    assert.is_true(HUGE == join(tasks[2]))
    assert.equal(#HUGE, join(tasks[3]))
    assert.is_true(HUGE == join(tasks[4]))
  end)
end

local function describe_close(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('returns true, and again', function()
    assert.is_true(a:close())
    assert.is_true(a:close())
  end)

  it('tells the peer after what was written before', function()
    a:write('bye')
    a:close()
    assert.equal('bye', b:read_exactly(3))
    assert.equal('eof', code(b:read()))
  end)

  for _, operation in ipairs(wiring.READS) do
    it('ends a parked ' .. operation[1], function()
      local reader = start(wiring.call, b, operation)
      b:close()
      assert.equal('closed', code(join(reader)))
    end)

    it('ends a parked ' .. operation[1] .. ' that has some of its bytes', function()
      if operation[1] == 'read' then
        return -- it would have returned them
      end
      a:write('x')
      local reader = start(wiring.call, b, operation)
      b:close()
      assert.equal('closed', code(join(reader)))
    end)
  end

  it('ends the readers that have queued', function()
    local readers = {}
    for i, operation in ipairs(wiring.READS) do
      readers[i] = start(wiring.call, b, operation)
    end
    b:close()
    for _, reader in ipairs(readers) do
      assert.equal('closed', code(join(reader)))
    end
  end)

  it('ends a parked write, which says how much was taken', function()
    wiring.shrink(a, b)
    local writer = start(a.write, a, HUGE)
    a:close()
    local n, err, taken = join(writer)
    assert.same({ nil, 'closed' }, { n, err })
    assert.is_true(HUGE:sub(1, taken) == b:read_all())
  end)

  it('ends the writers that have queued', function()
    wiring.shrink(a, b)
    local writers = { start(a.write, a, HUGE), start(a.write, a, 'x'), start(a.write, a, 'y') }
    a:close()
    for _, writer in ipairs(writers) do
      assert.equal('closed', code(join(writer)))
    end
    assert.equal(0, (select(3, join(writers[3]))))
  end)

  it('makes every later call fail', function()
    a:close()
    for _, operation in ipairs(wiring.READS) do
      assert.equal('closed', code(wiring.call(a, operation)), operation[1])
    end
    assert.same({ nil, 'closed', 0 }, { a:write('x') })
    for _, name in ipairs({ 'close_write', 'local_addr', 'remote_addr' }) do
      assert.equal('closed', code(a[name](a)), name)
    end
    for _, name in ipairs({ 'deadline', 'read_deadline', 'write_deadline', 'timeout' }) do
      assert.equal('closed', code(a['set_' .. name](a, 1)), name)
    end
    assert.equal('closed', code(a:set_nodelay(true)))
    assert.equal('closed', code(a:set_keepalive(false)))
    assert.is_nil(a:lines()())
  end)

  it('shows in tostring', function()
    assert.not_matches('closed', tostring(a))
    a:close()
    assert.matches('closed', tostring(a))
  end)
end

local function describe_close_write(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('tells the peer that no more comes', function()
    a:write('question')
    assert.is_true(a:close_write())
    assert.equal('question', b:read_all())
    assert.equal('eof', code(b:read()))
  end)

  it('lets the answer come', function()
    a:write('question')
    a:close_write()
    b:read_all()
    b:write('answer')
    b:close()
    assert.equal('answer', a:read_all())
  end)

  it('lets a parked reader go on', function()
    local reader = start(a.read_exactly, a, 6)
    a:close_write()
    b:write('answer')
    assert.equal('answer', join(reader))
  end)

  it('makes writes fail with EPIPE', function()
    a:close_write()
    assert.same({ nil, 'EPIPE', 0 }, { a:write('x') })
  end)

  it('makes a parked write fail with EPIPE, once the peer has made room', function()
    wiring.shrink(a, b)
    local writer = start(a.write, a, HUGE)
    a:close_write()
    b:read_all()
    assert.equal('EPIPE', code(join(writer)))
  end)

  it('may be repeated', function()
    assert.is_true(a:close_write())
    assert.is_true(a:close_write())
  end)

  it('may be done by both ends', function()
    a:close_write()
    assert.equal('', b:read_all())
    b:write('answer')
    assert.is_true(b:close_write())
    assert.equal('answer', a:read_all())
  end)
end

for _, kind in ipairs(wiring.KINDS) do
  local name = wiring.NAMES[kind]
  describe('write to ' .. name, function()
    describe_write(kind)
  end)
  describe(name .. ' among several tasks', function()
    describe_sharing(kind)
  end)
  describe('close of ' .. name, function()
    describe_close(kind)
  end)
  describe('close_write of ' .. name, function()
    describe_close_write(kind)
  end)
end

describe('a reset', function()
  local a, b
  before_each(function()
    a, b = wiring.open('tcp')
  end)
  after_each(wiring.close_all)

  local function reset()
    assert(a:set_linger(0))
    a:close()
  end

  for _, operation in ipairs(wiring.READS) do
    it('ends a parked ' .. operation[1], function()
      local reader = start(wiring.call, b, operation)
      reset()
      assert.equal('ECONNRESET', code(join(reader)))
    end)
  end

  it('ends a read that begins later', function()
    reset()
    assert.equal('ECONNRESET', code(b:read()))
  end)

  it('ends a parked write', function()
    wiring.shrink(a, b)
    local writer = start(b.write, b, HUGE)
    reset()
    local n, err, taken = join(writer)
    assert.same({ nil, 'ECONNRESET' }, { n, err })
    assert.is_true(taken < #HUGE)
  end)

  it('ends reader and writer alike', function()
    wiring.shrink(a, b)
    local reader, writer = start(b.read_line, b), start(b.write, b, HUGE)
    reset()
    local codes = { [code(join(reader))] = true, [code(join(writer))] = true }
    assert.is_true(codes.ECONNRESET)
  end)

  it('hands out what had come, with the code', function()
    a:write('half a li')
    b:peek(9)
    local reader = start(b.read_line, b)
    reset()
    assert.same({ nil, 'ECONNRESET', 'half a li' }, { join(reader) })
  end)

  it('is what a unix conn gets when its bytes were not read', function()
    local c, d = wiring.open('unix')
    c:write('unread')
    d:close()
    assert.equal('ECONNRESET', code(c:read()))
  end)

  it('leaves a conn that can be closed', function()
    reset()
    b:read()
    assert.is_true(b:close())
  end)
end)
