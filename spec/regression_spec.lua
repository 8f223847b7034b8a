--- regression_spec.lua: what once went wrong; each test names its cause.

local lagoon = require('lagoon')
local wiring = require('spec.net.wiring')
local support = require('spec.support')
local net, signal = lagoon.net, lagoon.signal
local start, join = wiring.start, wiring.join

for _, kind in ipairs({ 'tcp', 'pipe' }) do
  describe('a reader of a ' .. kind .. ' conn', function()
    after_each(wiring.close_all)

    -- The one that had timed out gave up the inbox twice: the second time, its successor's.
    it('that times out leaves the inbox to the next in the queue', function()
      local a, b = wiring.open(kind)
      b:set_timeout(0.01)
      local first = start(b.read_line, b)
      b:set_timeout(nil)
      local second = start(b.read_exactly, b, 6)
      assert.same({ nil, 'timeout', '' }, { join(first) })
      local third = start(b.read_exactly, b, 4)
      a:write('abcdefghij')
      assert.equal('abcdef', join(second))
      assert.equal('ghij', join(third))
    end)

    -- The select had looked while the reader owned the inbox, and was not told afterwards.
    it('leaves what it did not take to a select', function()
      local a, b = wiring.open(kind)
      local reader = start(b.read_line, b)
      local waiter = start(lagoon.select, { conn = b, timeout = 2 })
      a:write('one\ntwo\n')
      assert.equal('one', join(reader))
      assert.equal('conn', (join(waiter)))
      assert.equal('two', b:read_line())
    end)

    -- Each new deadline began the time-out of the operation anew.
    it('keeps its own time-out when the deadline is moved', function()
      local _, b = wiring.open(kind)
      b:set_timeout(0.05)
      local began = lagoon.now()
      local reader = start(b.read, b)
      b:set_timeout(60)
      b:set_read_deadline(lagoon.now() + 60)
      b:set_read_deadline(lagoon.now() + 50)
      assert.same({ nil, 'timeout' }, { join(reader) })
      assert.is_true(lagoon.now() - began < 5)
    end)
  end)
end

describe('a select', function()
  after_each(wiring.close_all)

  -- The client was accepted for the case that lost, and nobody else was told of it.
  it('leaves a client that it does not take to who is parked in accept()', function()
    local listener = wiring.listen('tcp')
    local ready = lagoon.chan(64)
    for _ = 1, 64 do
      ready:send(true)
    end
    for _ = 1, 16 do
      local acceptor = start(listener.accept, listener)
      local client = assert(net.dial('tcp', listener:addr()))
      local which, conn = lagoon.select({ client = listener, ready = ready })
      if which == 'client' then
        acceptor:cancel()
        acceptor:wait()
      else
        conn = join(acceptor)
      end
      conn:close()
      client:close()
    end
  end)

  -- What raised while the cases were linked left those before it in their channels.
  it('leaves nothing behind when a descriptor cannot be watched', function()
    local output = support.shell(("ulimit -n 40; %s -e '%s'"):format(
      support.quote(support.lagoon_path),
      [[
        local lagoon = require("lagoon")
        local ch, held = lagoon.chan(), {}
        local pipe = io.popen("cat >/dev/null", "w")
        repeat held[#held + 1] = io.open("/dev/null") until not io.open("/dev/null")
        for i = 3, 12 do
          local fd = lagoon.readable(i)
          local which, ok, code = lagoon.select({ ch, fd = fd, also = ch, timeout = 0.001 })
          if code == "EMFILE" then print(which, ok, code) break end
        end
        print(ch:try_send(1))
      ]]
    ))
    assert.equal('fd\tnil\tEMFILE\nfalse\tfull\n', output)
  end)
end)

describe('a ticker', function()
  -- A period that the clock could not tell from 0 was due for ever.
  it('of next to no period lets others run', function()
    local ticker = lagoon.ticker(1e-13)
    lagoon.sleep(0.005)
    assert.is_true(ticker:stop())
  end)
end)

describe('a coroutine', function()
  -- It was resumed, and its wait returned what another source had for it.
  it('that waits in one task is not resumed by another', function()
    local co = coroutine.create(function()
      lagoon.sleep(0.02)
      return 'slept'
    end)
    local task = start(coroutine.resume, co)
    local ok, err = coroutine.resume(co)
    assert.is_false(ok)
    assert.matches('cannot resume a coroutine that waits in task', err, 1, true)
    assert.same({ true, 'slept' }, { join(task) })
  end)

  it('of a task is not resumed by another', function()
    local co
    local task = start(function()
      co = coroutine.running()
      lagoon.sleep(0.01)
    end)
    assert.is_false((coroutine.resume(co)))
    join(task)
  end)
end)

describe('signal.notify', function()
  -- The names before the bad one stayed taken.
  it('that raises gives back the signals it had taken', function()
    local _, status = support.shell(("%s -e '%s'"):format(
      support.quote(support.lagoon_path),
      [[
        local lagoon = require("lagoon")
        pcall(lagoon.signal.notify, "SIGTERM", "NOPE")
        os.execute("kill -TERM " .. io.open("/proc/self/stat"):read("*n"))
        lagoon.sleep(5)
      ]]
    ))
    assert.equal(128 + 15, status)
    assert.is_function(signal.notify)
  end)
end)

describe('a conn', function()
  after_each(wiring.close_all)

  -- The /64 was cut out of the text of the address, where "::" stands for any number of zeros.
  it('tells the network of its peer in bytes', function()
    assert.equal('\127\0\0\1', (wiring.open('tcp')):network())
    local network = net.listen('tcp6', '[::1]:0') and 'tcp6'
    if network then
      local listener = wiring.listen('tcp6')
      local conn = wiring.keep(assert(net.dial('tcp6', listener:addr())))
      assert.equal(('\0'):rep(8), conn:network())
    end
  end)
end)
