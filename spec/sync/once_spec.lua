--- once_spec.lua: a function that is called once, for all.

local lagoon = require('lagoon')
local support = require('spec.support')

local once = lagoon.sync.once
local pack, start, results, misuse = support.pack, support.start, support.results, support.misuse

-- A function that waits until the gate is closed, and the number of its calls.
local function slow(gate, f)
  local calls = { n = 0 }
  return once(function(...)
    calls.n = calls.n + 1
    gate:recv()
    return f(...)
  end), calls
end

describe('a function of once', function()
  local gate

  before_each(function()
    gate = lagoon.chan()
  end)

  it('is called once, with the first arguments, and its results are kept', function()
    local calls = 0
    local f = once(function(...)
      calls = calls + 1
      return nil, ..., nil
    end)
    local expected = { n = 3, nil, 'a', nil }
    assert.same({ expected, expected }, { pack(f('a', 'b')), pack(f('c')) })
    assert.equal(1, calls)
  end)

  it('may return nothing', function()
    local calls = 0
    local f = once(function()
      calls = calls + 1
    end)
    assert.same({ 0, 0, 1 }, { select('#', f()), select('#', f()), calls })
  end)

  it('has those who come meanwhile wait for it', function()
    local f, calls = slow(gate, function(x)
      return x
    end)
    local a, b = start(f, 'a'), start(f, 'b')
    assert.equal('parked', b:status())
    gate:close()
    assert.same({ { n = 1, 'a' }, { n = 1, 'a' } }, { results(a), results(b) })
    assert.equal(1, calls.n)
  end)

  it('raises the same error for everybody', function()
    local err = { 'the error' }
    local f, calls = slow(gate, function()
      error(err)
    end)
    local a, b = start(pcall, f), start(pcall, f)
    gate:close()
    for _, outcome in ipairs({ results(a), results(b), pack(pcall(f)) }) do
      assert.is_false(outcome[1])
      assert.equal(err, outcome[2])
    end
    assert.equal(1, calls.n)
  end)

  it('raises what is false, or nil', function()
    for _, err in ipairs({ false, n = 2 }) do
      local f = once(function()
        error(err)
      end)
      assert.same({ n = 2, false, err }, pack(pcall(f)))
      assert.same({ n = 2, false, err }, pack(pcall(f)))
    end
    local f = once(error)
    assert.same({ n = 2, false, nil }, pack(pcall(f)))
    assert.same({ n = 2, false, nil }, pack(pcall(f)))
  end)

  it('shows those who come later where it has failed', function()
    local trace
    local before = lagoon.on_error(function(_, _, text)
      trace = text
    end)
    finally(function()
      lagoon.on_error(before)
    end)
    local function fail_deep_down()
      error('deep')
    end
    local f = once(function()
      fail_deep_down()
    end)
    pcall(f)
    start(f)
    lagoon.yield()
    assert.truthy(trace:find('fail_deep_down', 1, true))
  end)

  it('is called again by who waits for it, if the call is canceled', function()
    local f, calls = slow(gate, function(x)
      return x
    end)
    local a, b, c = start(f, 'a'), start(f, 'b'), start(f, 'c')
    a:cancel()
    a:wait()
    assert.equal('canceled', a:status())
    gate:close()
    assert.same({ { n = 1, 'b' }, { n = 1, 'b' } }, { results(b), results(c) })
    assert.equal(2, calls.n)
  end)

  it('is called again by the next who comes, if the call was canceled', function()
    local f = slow(gate, function(x)
      return x
    end)
    assert.same({ n = 2, nil, 'timeout' }, pack(lagoon.timeout(0.001, f, 'a')))
    gate:close()
    assert.equal('b', f('b'))
  end)

  it('is passed on when who was to call it is canceled, too', function()
    local f = slow(gate, function(x)
      return x
    end)
    local a, b, c = start(f, 'a'), start(f, 'b'), start(f, 'c')
    a:cancel()
    a:wait()
    b:cancel() -- it is ready, to make the call
    lagoon.yield()
    gate:close()
    assert.same({ n = 1, 'c' }, results(c))
    assert.equal('canceled', b:status())
  end)

  it('may be called again by the task whose call was canceled', function()
    local f = slow(gate, function(x)
      return x
    end)
    local scope
    local a = start(function()
      lagoon.scope(function(s)
        scope = s
        f('a')
      end)
      return f('a')
    end)
    local b = start(f, 'b')
    scope:cancel()
    lagoon.yield()
    lagoon.yield()
    gate:close()
    assert.same({ { n = 1, 'b' }, { n = 1, 'b' } }, { results(a), results(b) })
  end)

  it('is called again if the task that calls it is given up', function()
    local out, status = support.run([[
      local calls = 0
      local f = lagoon.sync.once(function()
        calls = calls + 1
        while calls == 1 do
          pcall(lagoon.sleep, 3600)
        end
        return calls
      end)
      local first = lagoon.spawn(f)
      local waiting = lagoon.spawn(f)
      lagoon.yield()
      first:cancel()
      print(first:wait())
      print(waiting:wait())
      print(f())
    ]])
    assert.equal(0, status)
    assert.matches('false\tcanceled\ntrue\t2\n2\n', out)
  end)

  it('is called again if the task has left the call in a coroutine, and ends', function()
    local f, calls = slow(gate, coroutine.yield)
    gate:close()
    local co = coroutine.create(f)
    local first = start(function()
      coroutine.resume(co, 'a')
      lagoon.yield()
    end)
    local waiting = start(function()
      return coroutine.wrap(f)('b')
    end)
    assert(first:wait())
    assert.same({ n = 1, 'b' }, results(waiting))
    assert.equal(2, calls.n)
  end)

  it('keeps no result of a call that was left so, and comes to an end later', function()
    local f = slow(gate, function(x)
      return x == 'a' and coroutine.yield() or x
    end)
    gate:close()
    local co = coroutine.create(f)
    assert(lagoon.spawn(coroutine.resume, co, 'a'):wait())
    assert.equal('b', f('b'))
    assert.same({ true, 'late' }, { coroutine.resume(co, 'late') })
    assert.equal('b', f('c'))
  end)

  it('keeps no result of such a call either if nobody has called since', function()
    local f = slow(gate, function(x)
      return x == 'a' and coroutine.yield() or x
    end)
    gate:close()
    local co = coroutine.create(f)
    assert(lagoon.spawn(coroutine.resume, co, 'a'):wait())
    assert.same({ true, 'late' }, { coroutine.resume(co, 'late') })
    assert.equal('b', f('b'))
  end)

  it('may come to an end in another task than it began in', function()
    local f, calls = slow(gate, coroutine.yield)
    gate:close()
    local co, over = coroutine.create(f), lagoon.chan()
    local first = start(function()
      coroutine.resume(co, 'a')
      over:recv()
    end)
    assert.same({ true, 'result' }, { coroutine.resume(co, 'result') })
    over:close()
    assert(first:wait())
    assert.equal('result', f('b'))
    assert.equal(1, calls.n)
  end)

  it('loses no error of a task that has left the call in a coroutine', function()
    local out = support.run([[
      local f = lagoon.sync.once(coroutine.yield)
      local task = lagoon.spawn(function()
        coroutine.wrap(f)()
        error('must be logged')
      end)
      lagoon.yield()
    ]])
    assert.matches('task 2 failed: .*must be logged', out)
  end)

  it('leaves the error of such a task to who waits for it', function()
    local out = support.run([[
      local f = lagoon.sync.once(coroutine.yield)
      local task = lagoon.spawn(function()
        coroutine.wrap(f)()
        lagoon.yield()
        error('for who waits', 0)
      end)
      lagoon.yield()
      print(task:wait())
    ]])
    assert.equal('false\tfor who waits\n', out)
  end)

  it('leaves nothing behind of a wait that was canceled', function()
    local f, calls = slow(gate, function(x)
      return x
    end)
    local a, b = start(f, 'a'), start(f, 'b')
    b:cancel()
    gate:close()
    assert.same({ n = 1, 'a' }, results(a))
    assert.equal('canceled', b:status())
    assert.equal(1, calls.n)
  end)

  it('keeps the cancellation of somebody else as an error', function()
    local canceled = start(lagoon.sleep, 3600)
    canceled:cancel()
    local f, calls = slow(gate, function()
      error(select(2, canceled:wait()), 0)
    end)
    gate:close()
    for _ = 1, 2 do
      local ok, err = pcall(f)
      assert.same({ false, true }, { ok, err == lagoon.canceled })
    end
    assert.equal(1, calls.n)
  end)

  it('says what its tasks wait for', function()
    local f = slow(gate, function() end)
    local a, b = start(f), start(f)
    assert.truthy(lagoon.runtime.dump():find('parked on once call', 1, true))
    gate:close()
    a:wait()
    b:wait()
  end)

  describe('raises', function()
    it('when it calls itself', function()
      local f, message
      f = once(function()
        message = misuse(function()
          f()
        end)
      end)
      f()
      assert.equal('the function of once calls itself, and would wait for itself', message)
    end)

    it('when it is made of what is no function', function()
      assert.equal('the function to call once must be a function, got nil', misuse(function()
        once()
      end))
    end)
  end)
end)
