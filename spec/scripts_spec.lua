--- scripts_spec.lua: the example scripts, each run as a user runs it: a process of its own.

local lagoon = require('lagoon')
local support = require('spec.support')
local net = lagoon.net

-- Reading from a process holds up this one, so a script that hangs is ended from outside.
local LIMIT = 8 -- seconds

-- A script that goes on until it is stopped.
local Process = {}
Process.__index = Process

local function start(script, ...)
  local words = {}
  for i, word in ipairs({ support.lagoon_path, 'scripts/' .. script, ... }) do
    words[i] = support.quote(word)
  end
  local command = table.concat(words, ' ')
  local run = ('echo $$; exec timeout --foreground %d %s 2>&1'):format(LIMIT, command)
  -- The outer shell would say "Terminated".
  local pipe = io.popen(('exec 2>/dev/null; sh -c %s; echo "status $?"'):format(support.quote(run)))
  return setmetatable({ pipe = pipe, pid = pipe:read('*l') }, Process)
end

function Process:line()
  return assert(self.pipe:read('*l'))
end

-- The address in the script's next line.
function Process:address()
  local line = self:line()
  return assert(line:match('listening on (127%.0%.0%.1:%d+)'), line)
end

-- Stops it: what it wrote until then, and its exit status.
function Process:stop()
  if not self.pipe then
    return
  end
  os.execute('kill ' .. self.pid)
  local text = self.pipe:read('*a')
  self.pipe:close()
  self.pipe = nil
  local output, status = text:match('^(.-)status (%d+)\n$')
  return output, tonumber(status)
end

describe('a script', function()
  local process
  local conns = {}

  local function run(script, ...)
    process = start(script, ...)
    return process
  end

  local function dial(address)
    local conn = assert(net.dial('tcp', address))
    conns[#conns + 1] = conn
    return conn
  end

  -- A client of the chat server, which has seen itself join.
  local function join(address, name)
    local conn = dial(address)
    conn:write(name, '\n')
    assert.equal('* ' .. name .. ' has joined', conn:read_line())
    return conn
  end

  after_each(function()
    while #conns > 0 do
      table.remove(conns):close()
    end
    if process then
      process:stop()
      process = nil
    end
  end)

  for path in io.popen('ls scripts/*.lua'):lines() do
    it('is short enough to read at once: ' .. path, function()
      local n = 0
      for _ in io.lines(path) do
        n = n + 1
      end
      assert.is_true(n < 60)
    end)
  end

  describe('echo.lua', function()
    it('sends back what a client sends', function()
      local address = run('echo.lua', '127.0.0.1:0'):address()
      local a, b = dial(address), dial(address)
      a:write('one')
      b:write('two')
      assert.equal('two', b:read_exactly(3))
      assert.equal('one', a:read_exactly(3))
      a:close_write()
      assert.same({ nil, 'eof' }, { a:read() })
    end)

    it('says why it cannot listen', function()
      local taken = assert(net.listen('tcp', '127.0.0.1:0'))
      finally(function()
        taken:close()
      end)
      local output, status = support.lagoon('scripts/echo.lua', taken:addr())
      assert.equal(1, status)
      assert.truthy(output:find('EADDRINUSE', 1, true))
    end)
  end)

  describe('chat.lua', function()
    it('tells the others who joins, what is said and who leaves', function()
      local address = run('chat.lua', '127.0.0.1:0'):address()
      local ann = join(address, 'ann')
      local bob = join(address, 'bob')
      assert.equal('* bob has joined', ann:read_line())
      bob:write('hello\nhow are you?\n')
      assert.equal('bob: hello', ann:read_line())
      assert.equal('bob: how are you?', ann:read_line())
      ann:write('fine\n')
      assert.equal('ann: fine', bob:read_line()) -- and not what bob said
      bob:close()
      assert.equal('* bob has left', ann:read_line())
    end)

    it('says how to talk to it', function()
      local address = run('chat.lua', '127.0.0.1:0'):address()
      assert.truthy(process:line():find('nc ' .. address:gsub(':', ' '), 1, true))
    end)

    it('drops a client that does not read, and serves the others', function()
      local address = run('chat.lua', '127.0.0.1:0'):address()
      local ann = join(address, 'ann')
      join(address, 'slow')
      local bob = join(address, 'bob')
      local line, said = nil, 0
      while line ~= '* slow has left' and said < 1000 do
        ann:write(('x'):rep(60000), '\n')
        said = said + 1
        line = bob:read_line()
      end
      assert.is_true(line == '* slow has left')
      assert.is_true(bob:read_line() == 'ann: ' .. ('x'):rep(60000))
    end)

    it('ends at SIGTERM with status 0', function()
      join(run('chat.lua', '127.0.0.1:0'):address(), 'ann')
      local _, status = process:stop()
      assert.equal(0, status)
    end)
  end)

  describe('pipeline.lua', function()
    it('squares each number once, and collects them all', function()
      local output, status = support.lagoon('scripts/pipeline.lua', '10', '3')
      assert.equal(0, status)
      for n = 1, 10 do
        local _, times = output:gsub((': %d squared is %d\n'):format(n, n * n), '')
        assert.equal(1, times)
      end
      assert.equal('sum of squares: 385', output:match('([^\n]*)\n$'))
    end)
  end)

  describe('proxy.lua', function()
    -- A server that answers when the client has said that no more comes.
    local function serve_lengths()
      local target = assert(net.listen('tcp', '127.0.0.1:0'))
      local task = lagoon.spawn(net.serve, target, function(conn)
        conn:write(#conn:read_all(), ' bytes')
      end)
      return target, task
    end

    it('relays both ways, and passes a half-close on', function()
      local target, task = serve_lengths()
      finally(function()
        target:close()
        task:wait()
      end)
      local client = dial(run('proxy.lua', '127.0.0.1:0', target:addr()):address())
      client:write(('x'):rep(100000))
      client:close_write()
      assert.equal('100000 bytes', client:read_all())
    end)

    it('closes the conn when the target cannot be reached', function()
      local free = assert(net.listen('tcp', '127.0.0.1:0'))
      local address = free:addr()
      free:close()
      local client = dial(run('proxy.lua', '127.0.0.1:0', address):address())
      assert.same({ nil, 'eof' }, { client:read() })
    end)
  end)

  describe('deadline.lua', function()
    it('answers in time, or says that it cannot', function()
      local client = dial(run('deadline.lua', '127.0.0.1:0'):address())
      client:write('work 0.01\nwork 3600\nwork 0\nplay\n')
      local lines = {}
      for i = 1, 4 do
        lines[i] = client:read_line()
      end
      assert.same({ 'done in 0.0 s', 'too slow', 'done in 0.0 s', 'say: work SECONDS' }, lines)
    end)
  end)

  describe('health.lua', function()
    it('says which servers are up, and which are not', function()
      local up = assert(net.listen('tcp', '127.0.0.1:0'))
      local free = assert(net.listen('tcp', '127.0.0.1:0'))
      finally(function()
        up:close()
      end)
      local down = free:addr()
      free:close()
      local output, status = support.lagoon('scripts/health.lua', up:addr(), down)
      assert.equal(1, status)
      assert.matches('up    ' .. up:addr() .. ' %(%d+%.%d ms%)\n', output)
      assert.matches('down  ' .. down .. ': ECONNREFUSED\n', output)
      assert.matches('1 of 2 are up\n$', output)
      assert.same({ '0 of 0 are up\n', 0 }, { support.lagoon('scripts/health.lua') })
    end)
  end)

  describe('crawl.lua', function()
    it('finds all pages, and gives up on those that do not answer', function()
      local output, status = support.lagoon('scripts/crawl.lua', '8')
      assert.same({ '37 pages, 2 of them dead\n', 0 }, { output, status })
    end)

    it('stops when its time is over', function()
      local output, status = support.lagoon('scripts/crawl.lua', '1', '0')
      assert.same({ '0 pages, 0 of them dead: timeout\n', 0 }, { output, status })
    end)
  end)

  describe('ticker.lua', function()
    it('ticks as often as it is told', function()
      local output, status = support.lagoon('scripts/ticker.lua', '0.01', '3')
      assert.equal(0, status)
      assert.truthy(output:match('^tick 1 .-\ntick 2 .-\ntick 3 .-\n3 ticks\n$'))
    end)

    it('ends at SIGTERM, between two ticks', function()
      run('ticker.lua', '0.01'):line()
      local output, status = process:stop()
      assert.equal(0, status)
      assert.truthy(output:find('%d+ ticks\n$'))
    end)
  end)
end)
