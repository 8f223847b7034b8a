--- stream_spec.lua: reading, from conns of every kind by the same tests.

local lagoon = require('lagoon')
local wiring = require('spec.net.wiring')
local start, join, code = wiring.start, wiring.join, wiring.code

local function describe_read(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('returns what is there', function()
    a:write('hello')
    assert.equal('hello', wiring.collect(b, 5))
  end)

  it('parks until something comes', function()
    local reader = start(b.read, b)
    assert.equal('parked', reader:status())
    a:write('x')
    assert.equal('x', join(reader))
  end)

  it('returns max bytes at most, and the rest later', function()
    a:write('abcdef')
    local first = b:read(2)
    assert.is_true(#first >= 1 and #first <= 2)
    assert.equal('abcdef', first .. wiring.collect(b, 6 - #first))
  end)

  it('returns max bytes at most after a wait, too', function()
    local reader = start(b.read, b, 1)
    a:write('ab')
    assert.equal('a', join(reader))
    assert.equal('b', b:read(1))
  end)

  it('takes a max beyond every buffer', function()
    a:write('x')
    assert.equal('x', b:read(2 ^ 52))
  end)

  it('passes on bytes of every value', function()
    local bytes = wiring.noise(5000)
    a:write(bytes)
    assert.is_true(bytes == wiring.collect(b, 5000))
  end)

  it('says "eof" at the end, again and again', function()
    a:close()
    assert.equal('eof', code(b:read()))
    assert.equal('eof', code(b:read()))
  end)

  it('says "eof" to who is parked', function()
    local reader = start(b.read, b)
    a:close()
    assert.equal('eof', code(join(reader)))
  end)

  it('returns what came before the end first', function()
    a:write('last words')
    a:close()
    assert.equal('last words', wiring.collect(b, 10))
    assert.equal('eof', code(b:read()))
  end)

  it('returns what another operation has left', function()
    a:write('line\nrest')
    b:read_line()
    assert.equal('rest', wiring.collect(b, 4))
  end)
end

local function describe_lines(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('come without "\\n" and "\\r\\n"', function()
    a:write('one\ntwo\r\n\n\r\nfive\n')
    local lines = {}
    for i = 1, 5 do
      lines[i] = b:read_line()
    end
    assert.same({ 'one', 'two', '', '', 'five' }, lines)
  end)

  it('keep what only looks like an end', function()
    a:write('a\rb\r\r\nc\0d\n')
    assert.equal('a\rb\r', b:read_line())
    assert.equal('c\0d', b:read_line())
  end)

  it('may come in pieces', function()
    local reader = start(b.read_line, b)
    wiring.dribble(a, { 'a', 'b', '\r', '\n', 'c' })
    assert.equal('ab', join(reader))
    assert.equal('c', b:read_exactly(1))
  end)

  it('may come all at once', function()
    a:write(('x\n'):rep(1000))
    for _ = 1, 1000 do
      assert.equal('x', b:read_line())
    end
  end)

  it('may be as long as max', function()
    a:write('12345\n12345\r\n')
    assert.equal('12345', b:read_line(5))
    assert.equal('12345', b:read_line(5))
  end)

  it('are "too_long" beyond max, and nothing is lost', function()
    a:write('123456\nnext\n')
    assert.equal('too_long', code(b:read_line(5)))
    assert.equal('123456', b:read_line(6))
    assert.equal('next', b:read_line())
  end)

  it('are "too_long" as soon as that is sure, with what there is', function()
    a:write('12345678')
    local line, err, partial = b:read_line(5)
    assert.same({ nil, 'too_long' }, { line, err })
    assert.equal(partial, ('12345678'):sub(1, #partial))
    assert.is_true(#partial > 5)
    assert.equal('12345678', b:read_exactly(8))
  end)

  it('are at most 64 KiB long unless max says otherwise', function()
    local long = ('x'):rep(65537)
    local writer = start(a.write, a, long, '\n')
    assert.equal('too_long', code(b:read_line()))
    assert.is_true(long == b:read_line(65537))
    join(writer)
  end)

  it('may have a max of 0', function()
    a:write('\nx\n')
    assert.equal('', b:read_line(0))
    assert.equal('too_long', code(b:read_line(0)))
  end)

  it('leave a partial one to "eof"', function()
    a:write('one\ntw')
    a:close()
    assert.equal('one', b:read_line())
    assert.same({ nil, 'eof', 'tw' }, { b:read_line() })
    assert.same({ nil, 'eof', '' }, { b:read_line() })
  end)

  it('can be iterated over, the partial last one too', function()
    a:write('one\ntwo\r\n\nlast')
    a:close()
    local lines = {}
    for line in b:lines() do
      table.insert(lines, line)
    end
    assert.same({ 'one', 'two', '', 'last' }, lines)
  end)

  it('end the loop at one that is too long, which stays', function()
    a:write('one\n123456\n')
    local lines = {}
    for line in b:lines(5) do
      table.insert(lines, line)
    end
    assert.same({ 'one' }, lines)
    assert.equal('123456', b:read_line())
  end)

  it('end the loop when the conn is closed', function()
    a:write('one\n')
    local lines = {}
    for line in b:lines() do
      table.insert(lines, line)
      b:close()
    end
    assert.same({ 'one' }, lines)
  end)
end

local function describe_counted(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('returns so many bytes, and leaves the others', function()
    a:write('abcdef')
    assert.equal('abc', b:read_exactly(3))
    assert.equal('def', b:read_exactly(3))
  end)

  it('returns the empty string for 0, at once', function()
    assert.equal('', b:read_exactly(0))
  end)

  it('waits until all are there', function()
    local reader = start(b.read_exactly, b, 4)
    wiring.dribble(a, { 'a', 'bc' })
    assert.not_equal('done', reader:status())
    a:write('de')
    assert.equal('abcd', join(reader))
  end)

  it('returns what is far more than any buffer holds', function()
    local bytes = wiring.noise(3e6)
    local writer = start(a.write, a, bytes)
    assert.is_true(bytes == b:read_exactly(3e6))
    assert.equal(3e6, join(writer))
  end)

  it('says "eof", with what had come', function()
    a:write('abc')
    a:close()
    assert.same({ nil, 'eof', 'abc' }, { b:read_exactly(4) })
    assert.same({ nil, 'eof', '' }, { b:read_exactly(4) })
  end)

  it('may ask for more than will ever come', function()
    a:write('abc')
    a:close()
    assert.same({ nil, 'eof', 'abc' }, { b:read_exactly(2 ^ 52) })
  end)
end

local function describe_until(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('returns what is before the delimiter', function()
    a:write('key: value; ; ')
    assert.equal('key', b:read_until(': '))
    assert.equal('value', b:read_until('; '))
    assert.equal('', b:read_until('; '))
  end)

  it('finds a delimiter that comes in pieces', function()
    local reader = start(b.read_until, b, '\r\n\r\n')
    wiring.dribble(a, { 'head\r', '\n', '\r', '\nbody' })
    assert.equal('head', join(reader))
    assert.equal('body', b:read_exactly(4))
  end)

  it('finds a delimiter behind its own beginning', function()
    local reader = start(b.read_until, b, 'aab')
    wiring.dribble(a, { 'a', 'a', 'a', 'b' })
    assert.equal('a', join(reader))
  end)

  it('takes delimiters of any bytes', function()
    a:write('a%d\0b.+')
    assert.equal('a%d', b:read_until('\0'))
    assert.equal('b', b:read_until('.+'))
  end)

  it('may return as much as max', function()
    a:write('12345--')
    assert.equal('12345', b:read_until('--', 5))
  end)

  it('says "too_long" beyond max, and loses nothing', function()
    a:write('123456--')
    assert.equal('too_long', code(b:read_until('--', 5)))
    assert.equal('123456', b:read_until('--'))
  end)

  it('says "too_long" beyond 64 KiB unless max says otherwise', function()
    local long = ('x'):rep(65537)
    local writer = start(a.write, a, long, '--')
    assert.equal('too_long', code(b:read_until('--')))
    assert.is_true(long == b:read_until('--', 65537))
    join(writer)
  end)

  it('says "eof", with what had come', function()
    a:write('12-')
    a:close()
    assert.same({ nil, 'eof', '12-' }, { b:read_until('--') })
  end)
end

local function describe_all(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('returns everything until the peer closes', function()
    local reader = start(b.read_all, b)
    wiring.dribble(a, { 'one', 'two', 'three' })
    assert.not_equal('done', reader:status())
    a:close()
    assert.equal('onetwothree', join(reader))
  end)

  it('returns the empty string when nothing has come', function()
    a:close()
    assert.equal('', b:read_all())
    assert.equal('', b:read_all())
  end)

  it('returns what other operations have left', function()
    a:write('line\nrest')
    a:close()
    b:read_line()
    assert.equal('rest', b:read_all())
  end)

  it('returns what is more than any buffer holds', function()
    local bytes = wiring.noise(3e6)
    local writer = start(function()
      a:write(bytes)
      a:close_write()
    end)
    assert.is_true(bytes == b:read_all())
    join(writer)
  end)

  it('may return as much as max', function()
    a:write('12345')
    a:close()
    assert.equal('12345', b:read_all(5))
  end)

  it('says "too_long" beyond max, before the end, and loses nothing', function()
    a:write('123456')
    assert.equal('too_long', code(b:read_all(5)))
    assert.equal('123456', b:read_exactly(6))
  end)

  it('says "too_long" beyond 16 MiB', function()
    local writer = start(a.write, a, ('x'):rep(2 ^ 24 + 1))
    assert.equal('too_long', code(b:read_all()))
    b:close()
    join(writer)
  end)
end

local function describe_peek(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('returns bytes that stay to be read', function()
    a:write('abcdef')
    assert.equal('abc', b:peek(3))
    assert.equal('abcd', b:peek(4))
    assert.equal('abcdef', b:read_exactly(6))
  end)

  it('returns the empty string for 0, at once', function()
    assert.equal('', b:peek(0))
  end)

  it('waits until all are there', function()
    local reader = start(b.peek, b, 3)
    wiring.dribble(a, { 'a', 'b' })
    assert.not_equal('done', reader:status())
    a:write('cd')
    assert.equal('abc', join(reader))
    assert.equal('abcd', b:read_exactly(4))
  end)

  it('returns what is far more than any buffer holds', function()
    local bytes = wiring.noise(3e5)
    local writer = start(a.write, a, bytes)
    assert.is_true(bytes == b:peek(3e5))
    assert.is_true(bytes == b:read_exactly(3e5))
    join(writer)
  end)

  it('takes nothing at the end either', function()
    a:write('ab')
    a:close()
    assert.same({ nil, 'eof', 'ab' }, { b:peek(3) })
    assert.same({ nil, 'eof', 'ab' }, { b:peek(3) })
    assert.equal('ab', b:read_all())
  end)

  it('of a closed conn fails as the other reads do, with an empty partial', function()
    b:close()
    assert.same({ nil, 'closed', '' }, { b:peek(3) })
    assert.same({ nil, 'closed', '' }, { b:read_exactly(3) })
  end)

  it('is not served before who waits already', function()
    local order = {}
    local function note(name, method, n)
      method(b, n)
      table.insert(order, name)
    end
    local first, second = start(note, 'first', b.read_exactly, 2), start(note, 'second', b.peek, 1)
    a:write('abc')
    join(first)
    join(second)
    assert.same({ 'first', 'second' }, order)
    assert.equal('c', b:read_exactly(1))
  end)
end

-- What each operation takes, or leaves, of the text that begins at `at`; by the documents.
local OPERATIONS = {
  function(conn, text, at)
    local data = conn:read(math.random(100))
    assert(data == text:sub(at, at + #data - 1) and #data > 0)
    return at + #data
  end,
  function(conn, text, at)
    local n = math.random(0, math.min(5000, #text - at + 1))
    assert(conn:read_exactly(n) == text:sub(at, at + n - 1))
    return at + n
  end,
  function(conn, text, at)
    local n = math.random(0, math.min(300, #text - at + 1))
    assert(conn:peek(n) == text:sub(at, at + n - 1))
    return at
  end,
  function(conn, text, at)
    local max = math.random(0, 40)
    local line, err = conn:read_line(max)
    local till = text:find('\n', at, true)
    local expected = till and text:sub(at, till - 1):gsub('\r$', '')
    if err == 'too_long' then
      assert(not expected or #expected > max)
      return at
    elseif err == 'eof' then
      assert(not expected)
      return #text + 1
    end
    assert(line == expected and #line <= max)
    return till + 1
  end,
  function(conn, text, at)
    local data, err, partial = conn:read_until('end', 200)
    local from, till = text:find('end', at, true)
    if err == 'too_long' then
      assert(not from or from - at > 200)
      return at
    elseif err == 'eof' then
      assert(not from and partial == text:sub(at))
      return #text + 1
    end
    assert(data == text:sub(at, from - 1))
    return till + 1
  end,
}

-- Letters, and more ends of lines and "end"s than usual.
local function random_text(n)
  local words = { 'e', 'n', 'd', 'end', '\n', '\r', '\r\n', 'abc', 'some words more' }
  local text = {}
  for i = 1, n do
    text[i] = words[math.random(#words)]
  end
  return table.concat(text)
end

local function write_in_pieces(conn, text)
  local at = 1
  while at <= #text do
    local n = math.random(3) == 1 and math.random(5000) or math.random(20)
    assert(conn:write(text:sub(at, at + n - 1)))
    at = at + n
    if math.random(3) == 1 then
      lagoon.yield()
    end
  end
  conn:close_write()
end

local function describe_any_operations(kind)
  after_each(wiring.close_all)

  it('get every byte once and in order, whatever comes when', function()
    local seed = wiring.seed()
    local a, b = wiring.open(kind)
    local text = random_text(15000)
    local writer = lagoon.spawn(write_in_pieces, a, text)
    local at = 1
    while at <= #text do
      local n = math.random(#OPERATIONS)
      local ok, result = pcall(OPERATIONS[n], b, text, at)
      assert(ok, ('operation %d at %d, %s: %s'):format(n, at, seed, tostring(result)))
      at = result
    end
    assert.equal('', b:read_all())
    join(writer)
  end)
end

for _, kind in ipairs(wiring.KINDS) do
  local name = wiring.NAMES[kind]
  describe('read of ' .. name, function()
    describe_read(kind)
  end)
  describe('lines of ' .. name, function()
    describe_lines(kind)
  end)
  describe('read_exactly of ' .. name, function()
    describe_counted(kind)
  end)
  describe('read_until of ' .. name, function()
    describe_until(kind)
  end)
  describe('read_all of ' .. name, function()
    describe_all(kind)
  end)
  describe('peek of ' .. name, function()
    describe_peek(kind)
  end)
  describe('random operations on ' .. name, function()
    describe_any_operations(kind)
  end)
end
