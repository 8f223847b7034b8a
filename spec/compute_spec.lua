--- compute_spec.lua: tasks that compute are preempted.

local lagoon = require('lagoon')
local support = require('spec.support')

local compute = lagoon.compute

-- Computes until it is told to stop, in Lua that is compiled: whoever tells it has run meanwhile.
local function until_told(f)
  local told = { false }
  local task = compute(function()
    local rounds = 0
    while not told[1] do
      rounds = rounds + 1
      f()
    end
    return rounds
  end)
  lagoon.sleep(0.02)
  told[1] = true
  local ok, rounds = task:wait()
  return ok and rounds > 0
end

local function nothing() end

describe('a compute task', function()
  it('returns, fails, and passes arguments like any other', function()
    assert.same({ n = 4, true, 1, nil, 3 }, support.pack(compute(function(...)
      return ...
    end, 1, nil, 3):wait()))
    local ok, err = compute(error, 'boom', 0):wait()
    assert.is_false(ok)
    assert.equal('boom', err)
  end)

  it('may wait', function()
    local ch = lagoon.chan()
    local task = compute(function()
      lagoon.sleep(0.001)
      return ch:recv()
    end)
    ch:send('value')
    assert.equal('value', select(2, task:wait()))
  end)

  it('lets others run: in a loop', function()
    assert.is_true(until_told(nothing))
  end)

  it('lets others run: in tables and strings', function()
    local t = {}
    assert.is_true(until_told(function()
      for i = 1, 100 do
        t[i] = ('x'):rep(i)
      end
      assert(#t[100] == 100)
    end))
  end)

  it('lets others run: in recursion', function()
    local function fib(n)
      return n < 2 and n or fib(n - 1) + fib(n - 2)
    end
    assert.is_true(until_told(function()
      fib(10)
    end))
  end)

  it('lets others run: in pcall, around errors', function()
    assert.is_true(until_told(function()
      pcall(error, 'x')
    end))
  end)

  it('lets others run: in coroutines of the script, nested', function()
    assert.is_true(until_told(function()
      local outer = coroutine.wrap(function()
        local inner = coroutine.wrap(function()
          for i = 1, 1000 do
            coroutine.yield(i)
          end
        end)
        for _ = 1, 1000 do
          assert(inner())
        end
        coroutine.yield('end')
      end)
      assert(outer() == 'end')
    end))
  end)

  it('lets others run: between the callbacks of sort and gsub', function()
    assert.is_true(until_told(function()
      local t = { 3, 1, 2 }
      table.sort(t, function(a, b)
        return a < b
      end)
      assert(t[1] == 1)
      assert(('abc'):gsub('.', string.upper) == 'ABC')
    end))
  end)

  it('computes what it would without being preempted', function()
    local function work()
      local sum, t = 0, {}
      for i = 1, 3000000 do
        t[i % 1000 + 1] = i
        sum = (sum * 31 + (t[i * 7 % 1000 + 1] or 0)) % 1000003
      end
      return sum
    end
    local a, b = compute(work), compute(work)
    local expected = work()
    assert.equal(expected, select(2, a:wait()))
    assert.equal(expected, select(2, b:wait()))
  end)

  it('shares the time with other compute tasks', function()
    local counts, stop = { 0, 0, 0 }, false
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = compute(function()
        while not stop do
          counts[i] = counts[i] + 1
        end
      end)
    end
    lagoon.sleep(0.1)
    stop = true
    for i = 1, 3 do
      assert.is_true((tasks[i]:wait()))
      assert.is_true(counts[i] > 0)
    end
  end)

  it('is canceled where it is preempted', function()
    local task = compute(function()
      while true do end
    end)
    lagoon.sleep(0.01)
    task:cancel('enough')
    local ok, err = task:wait()
    assert.is_false(ok)
    assert.equal('enough', err.reason)
    assert.equal('canceled', task:status())
  end)

  it('that swallows its cancellation holds nobody up, and is given up', function()
    local out, status = support.run([[
      local function spin() while true do end end
      local task = lagoon.compute(function()
        while true do pcall(spin) end
      end)
      task:name('stubborn')
      lagoon.sleep(0.01)
      task:cancel('enough')
      lagoon.sleep(0.02)
      print('served')
      print(task:wait())
      print(task:status())
    ]])
    assert.equal(0, status)
    assert.matches("lagoon: task 2 'stubborn' was canceled, and has caught that 100 times", out)
    assert.matches('served\n', out)
    assert.matches('false\tcanceled: enough\ncanceled\n$', out)
  end)

  it('of a scope is canceled with it, and ends before it', function()
    local task
    local result, err = lagoon.scope(function(s)
      task = s:compute(function()
        while true do end
      end)
      lagoon.sleep(0.01)
      s:cancel()
      lagoon.sleep(3600)
    end)
    assert.is_nil(result)
    assert.equal('canceled', err)
    assert.equal('canceled', task:status())
    assert.same({ n = 2, nil, 'timeout' }, support.pack(lagoon.scope(function(s)
      s:compute(function()
        while true do end
      end)
    end, { timeout = 0.01 })))
  end)

  it('never sees a channel half-done', function()
    local ch = lagoon.chan(4)
    local sent, got = 0, 0
    local producer = compute(function()
      for i = 1, 200000 do
        ch:send(i)
        sent = i
      end
      ch:close()
    end)
    local consumer = compute(function()
      for v in ch:iter() do
        got = got + 1
        assert(v == got)
      end
    end)
    assert.is_true((producer:wait()))
    assert.is_true((consumer:wait()))
    assert.equal(sent, got)
  end)

  it('is not ended by a limit, nor reported', function()
    local out = support.run([[
      lagoon.runtime.limit({ run = 0.02, report = 0.01 })
      local n = 0
      print(lagoon.compute(function()
        for i = 1, 5e7 do n = n + i % 7 end
        return 'done'
      end):wait())
    ]])
    assert.equal('true\tdone\n', out)
  end)

  it('blames misuse on the caller', function()
    assert.equal(
      'the function to compute must be a function, got nil',
      support.misuse(function() compute() end)
    )
  end)
end)
