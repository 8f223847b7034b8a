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

describe('a coroutine that yields to its caller inside of a timeout or a scope', function()
  local sleep, timeout, scope = lagoon.sleep, lagoon.timeout, lagoon.scope

  -- Yields once inside of the call.
  local function generator(call, ...)
    local args = support.pack(...)
    return coroutine.wrap(function()
      args[args.n + 1] = function()
        coroutine.yield('first')
        sleep(0.001)
        return 'last'
      end
      return call(unpack(args, 1, args.n + 1))
    end)
  end

  it('does not bound its caller, nor outlive it', function()
    local next_one = generator(timeout, 0.003)
    assert.equal('first', next_one())
    sleep(0.006) -- the time-out comes meanwhile
    assert.same({ n = 2, nil, 'timeout' }, support.pack(next_one()))
    sleep(0)
    support.results(lagoon.spawn(function()
      generator(timeout, 0.002)()
      generator(scope)()
    end))
    sleep(0.004) -- nobody is left to be ended by it
  end)

  it('is bounded by it when it goes on, in another task too', function()
    local next_one = generator(timeout, 60)
    support.results(lagoon.spawn(next_one))
    local seen = support.pack(timeout(60, next_one))
    assert.same({ n = 1, 'last' }, seen)
    next_one = generator(timeout, 0.002)
    next_one()
    local task = support.start(function()
      local results = support.pack(next_one())
      sleep(0.001) -- is not ended by what was inside
      return unpack(results, 1, results.n)
    end)
    assert.same({ n = 1, 'last' }, support.results(task))
  end)
end)

describe('a context', function()
  -- Frames of timeouts are used again; those that somebody may ask through must not be.
  it('keeps the values of where it was made', function()
    local context = lagoon.context
    local seen = {}
    local function request(user, f)
      local ctx = context.with_value(context.background(), 'user', user)
      lagoon.scope(function()
        lagoon.timeout(5, f)
      end, { context = ctx })
    end
    local audit
    request('alice', function()
      lagoon.scope(function()
        audit = lagoon.spawn(function()
          for i = 1, 3 do
            seen[i] = context.current():value('user')
            lagoon.sleep(0.002)
          end
        end)
        lagoon.yield()
      end)
    end)
    request('mallory', function()
      audit:wait()
    end)
    assert.same({ 'alice', 'alice', 'alice' }, seen)
  end)

  it('of a tree of any depth is canceled', function()
    local context = lagoon.context
    local root, cancel = context.with_cancel(context.background())
    local ctx = root
    for i = 1, 50000 do
      ctx = context.with_value(ctx, i, i)
    end
    cancel('all')
    assert.equal('canceled', (ctx:err()))
  end)
end)

describe('the watchdog', function()
  it('takes no time for a run in which nothing ran', function()
    local out, status = support.lagoon('--max-run', '0.2', '-e', [[
      local lagoon = require('lagoon')
      lagoon.spawn(os.execute, 'sleep 0.15')
      lagoon.spawn(lagoon.sleep, 0.5):wait()
      for i = 1, 10 do tostring(i) end
      print('alive')
    ]])
    assert.equal(0, status)
    assert.matches('alive\n$', out)
  end)

  it('ends a task whose message handler loops, too', function()
    local out, status = support.lagoon('--max-run', '0.05', '-e', [[
      local function burn() while true do end end
      xpcall(burn, function() burn() end)
    ]])
    assert.equal(1, status)
    assert.matches('ran too long', out)
  end)

  it("puts the script's hook back", function()
    local out = support.lagoon('--report', '0.01', '-e', [[
      local lines = 0
      debug.sethook(function() lines = lines + 1 end, 'l')
      local began = require('lagoon').now()
      while require('lagoon').now() - began < 0.1 do
      end
      local before = lines
      for i = 1, 10 do
        local _ = i
      end
      debug.sethook()
      print(lines - before > 10)
    ]])
    assert.matches('true\n$', out)
  end)
end)

describe('a memory cap', function()
  it('ends nobody for what a task before has taken', function()
    local out, status = support.lagoon('--max-memory', '20M', '--report', 'off', '-e', [[
      local lagoon = require('lagoon')
      local hog = lagoon.spawn(string.rep, 'x', 4e7)
      local other = lagoon.spawn(function()
        for i = 1, 3 do lagoon.sleep(0.001) end
        return 'fine'
      end)
      print(select(2, other:wait()))
    ]])
    assert.equal(0, status)
    assert.equal('fine\n', out)
  end)
end)

describe("jit.profile, which is the watchdog's", function()
  it('is refused', function()
    local ok, err = pcall(require, 'jit.profile')
    assert.is_false(ok)
    assert.matches('use lagoon.runtime.profile', err)
  end)
end)
