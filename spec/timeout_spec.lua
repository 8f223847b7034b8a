--- timeout_spec.lua: timeout, deadline and shield.

local lagoon = require('lagoon')
local support = require('spec.support')

local timeout, deadline, shield = lagoon.timeout, lagoon.deadline, lagoon.shield
local sleep, now, canceled = lagoon.sleep, lagoon.now, lagoon.canceled
local pack, start = support.pack, support.start

describe('timeout', function()
  it('returns what the function returns, nils too', function()
    local results = pack(timeout(1, function(...)
      sleep(0)
      return ...
    end, nil, 2, nil))
    assert.same({ n = 3, nil, 2, nil }, results)
  end)

  it('returns nil, "timeout" when the time has passed', function()
    assert.same({ n = 2, nil, 'timeout' }, pack(timeout(0.005, sleep, 60)))
  end)

  it('lets a function that does not wait finish, even when the time has passed', function()
    assert.equal('done', timeout(0, function()
      return 'done'
    end))
    assert.same({ n = 2, nil, 'timeout' }, pack(timeout(-1, sleep, 1)))
  end)

  it('never ends anything when it is infinite', function()
    assert.equal(1, timeout(math.huge, function()
      sleep(0.002)
      return 1
    end))
  end)

  it('raises what the function raises', function()
    local err = { 'mine' }
    local ok, raised = pcall(timeout, 1, error, err)
    assert.is_false(ok)
    assert.equal(err, raised)
  end)

  it('raises lagoon.canceled inside, at the wait and at each later one', function()
    local seen = {}
    local results = pack(timeout(0.005, function()
      for i = 1, 3 do
        local ok, err = pcall(sleep, 60)
        seen[i] = not ok and err == canceled and tostring(err)
      end
      sleep(60)
    end))
    assert.same({ 'canceled: timeout', 'canceled: timeout', 'canceled: timeout' }, seen)
    assert.same({ n = 2, nil, 'timeout' }, results)
  end)

  it('gives what the function returns when that swallows the cancellation', function()
    assert.equal('partial', timeout(0.005, function()
      pcall(sleep, 60)
      return 'partial'
    end))
  end)

  it('nested: the outer one ends both when it is earlier', function()
    local inner
    local results = pack(timeout(0.005, function()
      inner = pack(pcall(timeout, 60, sleep, 60))
      return sleep(60)
    end))
    assert.is_false(inner[1])
    assert.is_true(inner[2] == canceled)
    assert.same({ n = 2, nil, 'timeout' }, results)
  end)

  it('nested: the inner one ends itself only when it is earlier', function()
    local inner
    local result = timeout(60, function()
      inner = pack(timeout(0.005, sleep, 60))
      sleep(0)
      return 'outer'
    end)
    assert.same({ n = 2, nil, 'timeout' }, inner)
    assert.equal('outer', result)
  end)

  it('is over when the function has ended: later waits are free', function()
    timeout(0.005, sleep, 60)
    sleep(0.002)
    timeout(0.001, sleep, 0)
    sleep(0.003)
  end)

  it('bounds a wait in a coroutine of the script', function()
    local wait = coroutine.wrap(function()
      sleep(60)
    end)
    assert.same({ n = 2, nil, 'timeout' }, pack(timeout(0.005, wait)))
  end)

  it('lets a task that is canceled go on being canceled', function()
    local task = start(function()
      timeout(60, sleep, 60)
      return 'not here'
    end)
    task:cancel('enough')
    local ok, err = task:wait()
    assert.is_false(ok)
    assert.equal('enough', err.reason)
    assert.equal('canceled', task:status())
  end)

  it('holds nobody else up: a task that is spawned inside is not bounded', function()
    local task
    timeout(0.002, function()
      task = lagoon.spawn(function()
        sleep(0.006)
        return 'alive'
      end)
      sleep(60)
    end)
    assert.same({ n = 2, true, 'alive' }, pack(task:wait()))
  end)

  it('says where an error that nobody catches was raised', function()
    local reports = lagoon.chan(1)
    local before = lagoon.on_error(function(_, _, traceback)
      reports:send(traceback)
    end)
    finally(function()
      lagoon.on_error(before)
    end)
    lagoon.spawn(function()
      timeout(1, function()
        local function raises_here()
          error('found')
        end
        raises_here()
      end)
    end)
    assert.matches("timeout_spec.lua:%d+: in function 'raises_here'", (reports:recv()))
  end)

  it('survives that a coroutine yields inside and is dropped', function()
    local task = start(function()
      local resume = coroutine.wrap(function()
        timeout(60, function()
          coroutine.yield('out')
        end)
        return 'end'
      end)
      assert(resume() == 'out')
      local result = timeout(0.005, sleep, 60)
      assert(result == nil)
      return resume()
    end)
    assert.same({ n = 2, true, 'end' }, pack(task:wait()))
  end)

  it('blames misuse on the caller', function()
    local messages = {}
    for i, args in ipairs({ {}, { 'x', sleep }, { 0 / 0, sleep }, { 1 } }) do
      messages[i] = support.misuse(function()
        timeout(args[1], args[2])
      end)
    end
    assert.same({
      'seconds must be a number of seconds, got nil',
      'seconds must be a number of seconds, got string',
      'seconds must be a number of seconds, got nan',
      'the function to call must be a function, got nil',
    }, messages)
  end)
end)

describe('a wait of any kind', function()
  local net = lagoon.net

  local function ends_in_time(name, f, ...)
    local args = pack(...)
    it('is ended by a timeout: ' .. name, function()
      assert.same({ n = 2, nil, 'timeout' }, pack(timeout(0.005, f, unpack(args, 1, args.n))))
    end)
  end

  local full = lagoon.chan(1)
  full:send(1)
  ends_in_time('sleep', sleep, 60)
  ends_in_time('recv', function()
    lagoon.chan():recv()
  end)
  ends_in_time('send', full.send, full, 2)
  ends_in_time('select', lagoon.select, { lagoon.chan(), lagoon.send(full, 3), timeout = 60 })
  ends_in_time('select {}', lagoon.select, {})
  ends_in_time('task:wait', function()
    local main = lagoon.current()
    local task = lagoon.spawn(function()
      lagoon.timeout(1, main.wait, main) -- longer than the outer one
    end)
    finally(function()
      task:cancel()
      task:wait()
    end)
    task:wait()
  end)
  ends_in_time('yield', function()
    while true do
      lagoon.yield()
    end
  end)

  it('leaves nothing behind: a channel, a conn, a listener', function()
    local ch = lagoon.chan()
    timeout(0.002, ch.recv, ch)
    assert.same({ false, 'full' }, { ch:try_send(1) })
    local listener = assert(net.listen('tcp', '127.0.0.1:0'))
    finally(function()
      listener:close()
    end)
    assert.same({ n = 2, nil, 'timeout' }, pack(timeout(0.002, listener.accept, listener)))
    local client = assert(net.dial('tcp', listener:addr()))
    local server = assert(listener:accept())
    assert.same({ n = 2, nil, 'timeout' }, pack(timeout(0.002, client.read, client)))
    assert.same({ n = 2, nil, 'timeout' }, pack(timeout(0.002, client.read_line, client)))
    server:write('hello\n')
    assert.equal('hello', client:read_line())
    server:close()
    client:close()
  end)
end)

describe('deadline', function()
  it('is a timeout at a time of the clock', function()
    local t = now() + 0.005
    assert.same({ n = 2, nil, 'timeout' }, pack(deadline(t, sleep, 60)))
    assert.is_true(now() >= t)
    assert.equal(7, deadline(t + 60, function()
      return 7
    end))
  end)
end)

describe('shield', function()
  it('lets clean-up wait in a task that is canceled', function()
    local task = start(function()
      local ok, err = pcall(sleep, 60)
      assert(not ok)
      local cleaned = shield(1, function()
        sleep(0.002)
        return 'clean'
      end)
      return cleaned, (select(2, pcall(sleep, 0.001))) == err
    end)
    task:cancel()
    assert.same({ n = 3, true, 'clean', true }, pack(task:wait()))
  end)

  it('keeps a cancellation that comes meanwhile for afterwards', function()
    local task = start(function()
      local inside = shield(60, function()
        sleep(0.004)
        return 'undisturbed'
      end)
      local ok = pcall(sleep, 60)
      return inside, ok
    end)
    task:cancel()
    assert.same({ n = 3, true, 'undisturbed', false }, pack(task:wait()))
  end)

  it('ends when its own time has passed', function()
    assert.same({ n = 2, nil, 'timeout' }, pack(shield(0.005, sleep, 60)))
  end)

  it('keeps the time-outs around it off', function()
    local inside
    local result = timeout(0.002, function()
      inside = shield(1, function()
        sleep(0.006)
        return 'ran on'
      end)
      sleep(60)
    end)
    assert.equal('ran on', inside)
    assert.is_nil(result)
  end)
end)

describe('a task that swallows its cancellation again and again', function()
  it('is given up', function()
    local out, status = support.run([[
      local rounds = 0
      local task = lagoon.spawn(function()
        while true do
          rounds = rounds + 1
          pcall(lagoon.sleep, 1)
        end
      end)
      task:name('stubborn')
      lagoon.yield()
      task:cancel('enough')
      print(select(2, task:wait()), task:status(), rounds)
    ]])
    assert.equal(0, status)
    assert.matches("task 2 'stubborn' was canceled, and has caught that 100 times", out)
    assert.matches('command line%):5: in function', out)
    assert.matches('canceled: enough\tcanceled\t101', out)
  end)

  it('leaves the tasks of its scopes to end by themselves, and loses no error', function()
    local out = support.run([[
      local task = lagoon.spawn(lagoon.scope, function(s)
        s:spawn(function()
          for _ = 1, 50 do pcall(lagoon.sleep, 3600) end
          lagoon.shield(60, lagoon.sleep, 0.01)
          error('late')
        end)
        while true do pcall(lagoon.sleep, 3600) end
      end)
      lagoon.yield()
      lagoon.yield()
      task:cancel()
    ]])
    assert.matches('has caught that 100 times', out)
    assert.matches('task 3 failed: %(command line%):5: late', out)
  end)
end)
