--- conn_options_spec.lua: addresses and options of conns of every kind; misuse of their methods.

local lagoon = require('lagoon')
local wiring = require('spec.net.wiring')
local misuse = require('spec.support').misuse
local start, join, code = wiring.start, wiring.join, wiring.code

describe('the addresses', function()
  after_each(wiring.close_all)

  it('of a tcp conn are those of its two ends', function()
    local a, b = wiring.open('tcp')
    assert.matches('^127%.0%.0%.1:%d+$', a:local_addr())
    assert.equal(a:local_addr(), b:remote_addr())
    assert.equal(a:remote_addr(), b:local_addr())
    assert.not_equal(a:local_addr(), a:remote_addr())
  end)

  it('of an IPv6 conn have brackets', function()
    local a, b = wiring.open('tcp6')
    assert.matches('^%[::1%]:%d+$', a:local_addr())
    assert.equal(a:local_addr(), b:remote_addr())
  end)

  it('of a unix conn are the path, and nothing', function()
    local a, b = wiring.open('unix')
    assert.matches('^/', a:remote_addr())
    assert.equal(a:remote_addr(), b:local_addr())
    assert.equal('', b:remote_addr())
  end)

  it('of an abstract unix conn begin with @', function()
    local a = wiring.open('abstract')
    assert.matches('^@/', a:remote_addr())
  end)

  it('of a pipe are strings too', function()
    local a = wiring.open('pipe')
    assert.is_string(a:local_addr())
    assert.is_string(a:remote_addr())
  end)

  it('are part of what tostring says', function()
    local a = wiring.open('tcp')
    assert.matches(a:local_addr(), tostring(a), 1, true)
    assert.matches(a:remote_addr(), tostring(a), 1, true)
  end)
end)

describe('an option of a conn', function()
  after_each(wiring.close_all)

  for _, kind in ipairs(wiring.KINDS) do
    it('is accepted by ' .. wiring.NAMES[kind], function()
      local a = wiring.open(kind)
      assert.is_true(a:set_nodelay(false))
      assert.is_true(a:set_nodelay(true))
      assert.is_true(a:set_keepalive(10))
      assert.is_true(a:set_keepalive(false))
      assert.is_true(a:set_timeout(1))
      assert.is_true(a:set_timeout(nil))
      assert.is_true(a:set_deadline(nil))
    end)
  end

  it('may be its descriptor', function()
    local a, b = wiring.open('tcp')
    assert.is_true(a:fd() > 2)
    assert.not_equal(a:fd(), b:fd())
    a:close()
    assert.equal('closed', code(a:fd()))
  end)
end)

-- Arguments that are no whole number of at least 1.
local NO_COUNTS = { -1, 0.5, 0 / 0, math.huge, -math.huge, 2 ^ 53, '1', {}, true }
local NO_TIMES = { 0 / 0, '1', {}, true, print }

local MISUSES = {
  read = { { 0 }, NO_COUNTS },
  read_line = { NO_COUNTS },
  lines = { NO_COUNTS },
  read_all = { NO_COUNTS },
  read_exactly = { NO_COUNTS },
  peek = { NO_COUNTS },
  read_until = { { '', 1, true, {}, print } },
  write = { { true, print, coroutine.create(print), { { true } }, { 'a', print } } },
  set_deadline = { NO_TIMES },
  set_read_deadline = { NO_TIMES },
  set_write_deadline = { NO_TIMES },
  set_timeout = { NO_TIMES, { 0, -1, -math.huge } },
  set_nodelay = { { 1, 'x', {} } },
  set_keepalive = { { 0, -1, 0.5, 0 / 0, math.huge, 'x', {} } },
}

local function describe_misuse(kind)
  local conn
  before_each(function()
    conn = wiring.open(kind)
  end)
  after_each(wiring.close_all)

  local function blames_the_caller(method, ...)
    return misuse(function(...)
      conn[method](conn, ...)
    end, ...)
  end

  for method, lists in pairs(MISUSES) do
    it('by ' .. method, function()
      for _, list in ipairs(lists) do
        for _, value in ipairs(list) do
          blames_the_caller(method, value)
        end
      end
    end)
  end

  it('by missing arguments', function()
    for _, name in ipairs({ 'exactly', 'until' }) do
      blames_the_caller('read_' .. name)
    end
    for _, name in ipairs({ 'peek', 'set_nodelay', 'set_keepalive' }) do
      blames_the_caller(name)
    end
  end)

  it('by nil among what is to be written', function()
    blames_the_caller('write', nil)
    blames_the_caller('write', 'a', nil, 'b')
    assert.equal(0, conn:write())
  end)

  it('by an array that contains itself', function()
    local array = { 'x' }
    array[2] = array
    blames_the_caller('write', array)
  end)

  it('by the max of read_until', function()
    for _, max in ipairs(NO_COUNTS) do
      blames_the_caller('read_until', 'x', max)
    end
  end)

  it('by a closed conn as by an open one', function()
    conn:close()
    blames_the_caller('read', 'x')
    blames_the_caller('read_line', -1)
    blames_the_caller('write', true)
    blames_the_caller('set_deadline', 'x')
  end)

  local function refuses_other_objects(method)
    for _, object in ipairs({ 1, 'x', {}, io.stdout, lagoon.chan() }) do
      local message = misuse(function()
        conn[method](object, 1)
      end)
      assert.matches('^conn expected, got %a+ %(call its methods with a colon%)$', message)
    end
  end

  for method in pairs(MISUSES) do
    it('by ' .. method .. ' of what is no conn', function()
      refuses_other_objects(method)
    end)
  end

  for _, method in ipairs({ 'close', 'close_write', 'local_addr', 'remote_addr', 'fd' }) do
    it('by ' .. method .. ' of what is no conn', function()
      refuses_other_objects(method)
    end)
  end

  it('changes nothing', function()
    pcall(conn.set_timeout, conn, -1)
    pcall(conn.set_deadline, conn, 'x')
    local reader = start(conn.read, conn)
    assert.equal('parked', reader:status())
    conn:close()
    join(reader)
  end)
end

for _, kind in ipairs(wiring.KINDS) do
  describe('misuse of ' .. wiring.NAMES[kind] .. " is blamed on the caller's line", function()
    describe_misuse(kind)
  end)
end
