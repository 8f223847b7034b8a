--- deadline_spec.lua: deadlines, timeouts and cancellation at every wait of a conn: the wait ends,
-- nothing is lost, and the conn stays usable.

local lagoon = require('lagoon')
local wiring = require('spec.net.wiring')
local start, join, code = wiring.start, wiring.join, wiring.code
local HUGE = wiring.HUGE

local SOON = 0.004 -- seconds
local LONG = 5 -- never reached, unless a test fails

local function soon()
  return lagoon.now() + SOON
end

-- What comes next, whatever failed before, is whole.
local function assert_intact(a, b, sent)
  a:write('--rest\n')
  assert.equal(sent .. '--rest\n', b:read_exactly(#sent + 7))
end

local function describe_read_deadlines(kind, operation)
  local name = operation[1]
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  it('ends a parked ' .. name, function()
    b:set_read_deadline(soon())
    assert.equal('timeout', code(wiring.call(b, operation)))
    b:set_read_deadline(nil)
    assert_intact(a, b, '')
  end)

  it('ends a ' .. name .. ' that was parked before', function()
    local reader = start(wiring.call, b, operation)
    assert.is_true(b:set_deadline(soon()))
    assert.equal('timeout', code(join(reader)))
  end)

  it('ends a parked ' .. name .. ' at once when it is past', function()
    local reader = start(wiring.call, b, operation)
    b:set_read_deadline(lagoon.now() - 1)
    assert.equal('timeout', code(join(reader)))
    assert.equal('timeout', code(wiring.call(b, operation)))
  end)

  it('ends a ' .. name .. ' that waits for its turn', function()
    local first, second = start(b.read_exactly, b, 3), start(wiring.call, b, operation)
    b:set_read_deadline(soon())
    assert.equal('timeout', code(join(first)))
    assert.equal('timeout', code(join(second)))
    b:set_read_deadline(nil)
    assert_intact(a, b, '')
  end)

  it('does not end a ' .. name .. ' once it is cleared', function()
    local reader = start(wiring.call, b, operation)
    b:set_read_deadline(soon())
    b:set_read_deadline(nil)
    lagoon.sleep(2 * SOON)
    assert.equal('parked', reader:status())
    b:close()
    join(reader)
  end)

  it('may be put off for a parked ' .. name, function()
    local reader = start(wiring.call, b, operation)
    b:set_read_deadline(soon())
    b:set_read_deadline(lagoon.now() + LONG)
    lagoon.sleep(2 * SOON)
    assert.equal('parked', reader:status())
    b:set_read_deadline(soon())
    assert.equal('timeout', code(join(reader)))
  end)

  it('of writing does not end a ' .. name, function()
    local reader = start(wiring.call, b, operation)
    b:set_write_deadline(lagoon.now() - 1)
    lagoon.sleep(SOON)
    assert.equal('parked', reader:status())
    b:close()
    join(reader)
  end)

  if name == 'read' then
    return -- it returns what it gets, and has nothing to lose
  end

  it('leaves what a ' .. name .. ' had got, and tells it', function()
    a:write('part')
    b:set_read_deadline(soon())
    local data, err, partial = wiring.call(b, operation)
    assert.same({ nil, 'timeout', 'part' }, { data, err, partial })
    b:set_read_deadline(nil)
    assert_intact(a, b, 'part')
  end)
end

local function describe_write_deadlines(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
    wiring.shrink(a, b)
  end)
  after_each(wiring.close_all)

  it('ends a parked write, which says how much was taken', function()
    a:set_write_deadline(soon())
    local n, err, taken = a:write(HUGE)
    assert.same({ nil, 'timeout' }, { n, err })
    a:set_write_deadline(nil)
    local writer = start(a.write, a, HUGE:sub(taken + 1))
    assert.is_true(HUGE == b:read_exactly(#HUGE))
    join(writer)
  end)

  it('ends a write that was parked before', function()
    local writer = start(a.write, a, HUGE)
    a:set_deadline(soon())
    assert.equal('timeout', code(join(writer)))
  end)

  it('ends a parked write at once when it is past', function()
    local writer = start(a.write, a, HUGE)
    a:set_write_deadline(0)
    assert.equal('timeout', code(join(writer)))
    assert.same({ nil, 'timeout', 0 }, { a:write('x') })
  end)

  it('ends a write that waits for its turn, of which nothing was taken', function()
    local first, second = start(a.write, a, HUGE), start(a.write, a, 'x')
    a:set_write_deadline(soon())
    local taken = select(3, join(first))
    assert.same({ nil, 'timeout', 0 }, { join(second) })
    a:close()
    assert.is_true(HUGE:sub(1, taken) == b:read_all())
  end)

  it('does not end a write once it is cleared', function()
    local writer = start(a.write, a, HUGE)
    a:set_write_deadline(soon())
    a:set_write_deadline(nil)
    lagoon.sleep(2 * SOON)
    assert.is_true(HUGE == b:read_exactly(#HUGE))
    assert.equal(#HUGE, join(writer))
  end)

  it('of reading does not end a write', function()
    local writer = start(a.write, a, HUGE)
    a:set_read_deadline(lagoon.now() - 1)
    assert.is_true(HUGE == b:read_exactly(#HUGE))
    assert.equal(#HUGE, join(writer))
  end)

  it('of both ends reader and writer', function()
    local writer, reader = start(a.write, a, HUGE), start(a.read, a)
    a:set_deadline(soon())
    assert.equal('timeout', code(join(writer)))
    assert.equal('timeout', code(join(reader)))
  end)
end

-- Writes a byte now and then, until the conn is closed.
local function trickle(conn)
  while conn:write('x') do
    lagoon.sleep(SOON / 5)
  end
end

local function describe_timeout(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
    wiring.shrink(a, b)
  end)
  after_each(wiring.close_all)

  for _, operation in ipairs(wiring.READS) do
    it('ends a ' .. operation[1], function()
      b:set_timeout(SOON)
      assert.equal('timeout', code(wiring.call(b, operation)))
      b:set_timeout(nil)
      assert_intact(a, b, '')
    end)

    it('ends a ' .. operation[1] .. ' that waits for its turn', function()
      local first = start(b.read_exactly, b, 3)
      b:set_timeout(SOON)
      assert.equal('timeout', code(wiring.call(b, operation)))
      a:write('abc')
      assert.equal('abc', join(first))
    end)
  end

  it('begins anew with each operation', function()
    b:set_timeout(LONG)
    b:set_timeout(SOON)
    for _ = 1, 3 do
      local began = lagoon.now()
      assert.equal('timeout', code(b:read()))
      assert.is_true(lagoon.now() - began >= SOON * 0.9)
    end
  end)

  for _, operation in ipairs({ { 'read_line' }, { 'read_until', '--' }, { 'read_all' } }) do
    it('counts for the whole of a ' .. operation[1], function()
      b:set_timeout(2 * SOON)
      local writer = start(trickle, a)
      local began = lagoon.now()
      local data, err, partial = wiring.call(b, operation)
      assert.same({ nil, 'timeout' }, { data, err })
      assert.matches('^x+$', partial)
      assert.is_true(lagoon.now() - began < 1)
      a:close()
      join(writer)
    end)
  end

  it('counts for the whole of a write', function()
    local reader = start(function()
      while b:read(100) do
        lagoon.sleep(SOON / 5)
      end
    end)
    a:set_timeout(2 * SOON)
    local began = lagoon.now()
    assert.equal('timeout', code(a:write(HUGE)))
    assert.is_true(lagoon.now() - began < 1)
    b:close()
    join(reader)
  end)

  it('ends a write that waits for its turn', function()
    local first = start(a.write, a, HUGE)
    a:set_timeout(SOON)
    assert.same({ nil, 'timeout', 0 }, { a:write('x') })
    assert.is_true(HUGE == b:read_exactly(#HUGE))
    join(first)
  end)

  it('gives way to a deadline that is sooner', function()
    b:set_timeout(LONG)
    b:set_deadline(soon())
    assert.equal('timeout', code(b:read_line()))
    b:set_timeout(SOON)
    b:set_deadline(lagoon.now() + LONG)
    assert.equal('timeout', code(b:read_line()))
  end)

  it('may be tiny', function()
    b:set_timeout(1e-300)
    assert.equal('timeout', code(b:read()))
  end)

  it('may be infinite', function()
    b:set_timeout(math.huge)
    b:set_deadline(math.huge)
    local reader = start(b.read, b)
    a:write('x')
    assert.equal('x', join(reader))
  end)

  it('has not begun for what is there already', function()
    a:write('line\n')
    b:set_timeout(LONG)
    assert.equal('line', b:read_line())
  end)
end

local function assert_canceled(task)
  local ok, err = task:wait(LONG)
  assert.is_false(ok)
  assert.equal(lagoon.canceled, err)
end

local function describe_cancel(kind)
  local a, b
  before_each(function()
    a, b = wiring.open(kind)
    wiring.shrink(a, b)
  end)
  after_each(wiring.close_all)

  for _, operation in ipairs(wiring.READS) do
    local name = operation[1]

    it('ends a parked ' .. name .. ', and the next reader has its turn', function()
      local canceled = start(wiring.call, b, operation)
      local reader = start(b.read_exactly, b, 3)
      canceled:cancel()
      assert_canceled(canceled)
      a:write('abc')
      assert.equal('abc', join(reader))
    end)

    it('ends a ' .. name .. ' that waits for its turn, and the others keep theirs', function()
      local first = start(b.read_exactly, b, 2)
      local canceled = start(wiring.call, b, operation)
      local last = start(b.read_exactly, b, 2)
      canceled:cancel()
      assert_canceled(canceled)
      a:write('abcd')
      assert.equal('ab', join(first))
      assert.equal('cd', join(last))
    end)

    it('ends a ' .. name .. ' whose turn has just come, and the next has it', function()
      local canceled
      local first = start(function()
        local data = b:read_exactly(1)
        canceled:cancel()
        return data
      end)
      canceled = start(function()
        wiring.call(b, operation)
        lagoon.yield()
      end)
      local last = start(b.read_exactly, b, 2)
      a:write('x')
      assert.equal('x', join(first))
      assert_canceled(canceled)
      a:write('yz')
      assert.equal('yz', join(last))
    end)

    it('ends a ' .. name .. ' with a timeout, of which no timer is left', function()
      b:set_timeout(LONG)
      local before = lagoon.runtime.stats().timers
      local canceled = start(wiring.call, b, operation)
      canceled:cancel()
      assert_canceled(canceled)
      assert.equal(before, lagoon.runtime.stats().timers)
    end)

    if name ~= 'read' then
      it('loses nothing of what a ' .. name .. ' had got', function()
        a:write('part')
        local canceled = start(wiring.call, b, operation)
        canceled:cancel()
        assert_canceled(canceled)
        assert_intact(a, b, 'part')
      end)
    end
  end

  it('ends a parked write, and the next writer has its turn', function()
    local canceled, writer = start(a.write, a, HUGE), start(a.write, a, 'next')
    canceled:cancel()
    assert_canceled(canceled)
    a:set_deadline(nil)
    local reader = start(b.read_all, b)
    assert.equal(4, join(writer))
    a:close()
    assert.equal('next', join(reader):sub(-4))
  end)

  it('ends a write that waits for its turn, and the others keep theirs', function()
    local first = start(a.write, a, HUGE)
    local canceled, last = start(a.write, a, 'canceled'), start(a.write, a, 'last')
    canceled:cancel()
    assert_canceled(canceled)
    assert.is_true(HUGE .. 'last' == b:read_exactly(#HUGE + 4))
    join(first)
    join(last)
  end)

  it('ends a write whose turn has just come, and the next has it', function()
    local canceled
    local first = start(function()
      a:write(HUGE)
      canceled:cancel()
    end)
    canceled = start(function()
      a:write(HUGE)
      lagoon.yield()
    end)
    local last = start(a.write, a, 'last')
    local reader = start(b.read_all, b)
    join(first)
    assert_canceled(canceled)
    assert.equal(4, join(last))
    a:close()
    assert.equal('last', join(reader):sub(-4))
  end)

  it('ends what begins later, too', function()
    local canceled = start(function()
      pcall(b.read, b)
      b:read()
    end)
    canceled:cancel()
    assert_canceled(canceled)
    assert_intact(a, b, '')
  end)
end

for _, kind in ipairs(wiring.KINDS) do
  local name = wiring.NAMES[kind]
  for _, operation in ipairs(wiring.READS) do
    describe('a deadline of ' .. name, function()
      describe_read_deadlines(kind, operation)
    end)
  end
  describe('a write deadline of ' .. name, function()
    describe_write_deadlines(kind)
  end)
  describe('set_timeout of ' .. name, function()
    describe_timeout(kind)
  end)
  describe('cancel, with ' .. name .. ',', function()
    describe_cancel(kind)
  end)
end
