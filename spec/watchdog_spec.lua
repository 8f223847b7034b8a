--- watchdog_spec.lua: tasks that run for long without waiting are reported, or ended.

local lagoon = require('lagoon')
local support = require('spec.support')

local limit = lagoon.runtime.limit

-- Loops that never end by themselves; what is in them is compiled, interpreted, or in C.
local SHAPES = {
  ['an empty loop'] = function()
    while true do end
  end,
  ['a numeric loop'] = function()
    for _ = 1, 1e18 do end
  end,
  ['nested loops'] = function()
    local n = 0
    for i = 1, 1e18 do
      for j = 1, 10 do
        n = n + i * j
      end
    end
  end,
  ['a loop over a table'] = function()
    local t, n = { 1, 2, 3, x = 4 }, 0
    while true do
      for _, v in pairs(t) do
        n = n + v
      end
    end
  end,
  ['a loop that writes a table'] = function()
    local t = { 0 }
    while t[1] >= 0 do
      t[1] = t[1] + 1
    end
  end,
  ['recursion'] = function()
    local function f(n)
      return n == 0 and 0 or 1 + f(n - 1)
    end
    while true do
      f(50)
    end
  end,
  ['tail calls'] = function()
    local function f()
      return f()
    end
    f()
  end,
  ['goto'] = function()
    ::again::
    goto again
  end,
  ['a loop of pcall around loops'] = function()
    while true do
      pcall(function()
        while true do end
      end)
    end
  end,
  ['a loop of xpcall around loops'] = function()
    while true do
      xpcall(function()
        while true do end
      end, function(err)
        return err
      end)
    end
  end,
  ['a loop of errors'] = function()
    while true do
      pcall(error, 'x')
    end
  end,
  ['a coroutine that is resumed for ever'] = function()
    local next_one = coroutine.wrap(function()
      while true do
        coroutine.yield(1)
      end
    end)
    while true do
      next_one()
    end
  end,
  ['coroutines that loop, made in a loop'] = function()
    while true do
      coroutine.resume(coroutine.create(function()
        while true do end
      end))
    end
  end,
  ['strings made in a loop'] = function()
    local n = 0
    while true do
      n = #(('x'):rep(10) .. n)
    end
  end,
  ['a comparator of table.sort'] = function()
    table.sort({ 3, 2, 1 }, function()
      while true do end
    end)
  end,
  ['callbacks of gsub in a loop'] = function()
    while true do
      (('abc'):rep(100)):gsub('.', function(c)
        return c
      end)
    end
  end,
  ['a metamethod'] = function()
    local t = setmetatable({}, {
      __index = function(_, k)
        return k
      end,
    })
    local n = 0
    while true do
      n = n + #t.x
    end
  end,
  ['calls of the library that need not wait'] = function()
    local ch = lagoon.chan(1)
    while true do
      ch:try_send(1)
      ch:try_recv()
    end
  end,
  ['scopes in a loop of pcall'] = function()
    while true do
      pcall(lagoon.scope, function()
        while true do end
      end)
    end
  end,
  -- On a full stack the watchdog could not be asked on that stack.
  ['recursion by pcall that overflows the stack'] = function()
    local function f()
      while true do
        pcall(f)
      end
    end
    f()
  end,
  -- The scope waits for its task, where the hook that is to end this one has met the script, too.
  ['scopes with tasks in a loop of pcall'] = function()
    while true do
      pcall(lagoon.scope, function(s)
        s:spawn(function()
          lagoon.sleep(60)
        end)
        while true do end
      end)
    end
  end,
  ['code that is compiled in a loop'] = function()
    while true do
      loadstring('return 1')()
    end
  end,
}

describe('a task that runs for longer than its limit', function()
  local before

  before_each(function()
    before = limit()
    limit({ run = 0.02 })
  end)

  after_each(function()
    limit(before)
  end)

  for name, shape in pairs(SHAPES) do
    it('is ended: ' .. name, function()
      local task = lagoon.spawn(shape)
      local ok, err = task:wait()
      assert.is_false(ok)
      assert.matches('^[%w_/.]+:%d+: ran too long: %d+%.%d+ s without waiting$', err)
      assert.equal('failed', task:status())
    end)
  end

  it('does not take the others with it', function()
    local other = lagoon.spawn(function()
      for _ = 1, 3 do
        lagoon.sleep(0.001)
      end
      return 'served'
    end)
    assert.is_false((lagoon.spawn(SHAPES['an empty loop']):wait()))
    assert.equal('served', select(2, other:wait()))
  end)

  it('is left alone when it waits now and then', function()
    local task = lagoon.spawn(function()
      local began = lagoon.now()
      while lagoon.now() - began < 0.06 do
        for _ = 1, 1000 do end
        lagoon.yield()
      end
      return 'done'
    end)
    assert.equal('done', select(2, task:wait()))
  end)

  it('in a scope: the scope raises it', function()
    local ok, err = pcall(lagoon.scope, function(s)
      s:spawn(SHAPES['an empty loop'])
      lagoon.sleep(3600)
    end)
    assert.is_false(ok)
    assert.matches('ran too long', err)
  end)
end)

describe('runtime.limit', function()
  it('returns the limits, which are these at first', function()
    local out = support.run([[
      local limits = lagoon.runtime.limit()
      print(limits.report, limits.run, limits.stuck)
    ]])
    assert.equal('0.1\tfalse\tfalse\n', out)
  end)

  it('blames misuse on the caller', function()
    assert.same(
      {
        "unknown option 'rum'",
        "limit 'run' must be a number of seconds, got string",
        "limit 'run' must be more than 0",
      },
      {
        support.misuse(function() limit({ rum = 1 }) end),
        support.misuse(function() limit({ run = 'x' }) end),
        support.misuse(function() limit({ run = 0 }) end),
      }
    )
  end)
end)

describe('the watchdog', function()
  it('reports a task once, with its name, traceback and spawn site', function()
    local out, status = support.run([[
      local task = lagoon.spawn(function()
        local function spin(seconds)
          local began = lagoon.now()
          while lagoon.now() - began < seconds do end
        end
        spin(0.5)
      end)
      task:name('spinner')
      task:wait()
    ]])
    assert.equal(0, status)
    assert.matches("^lagoon: task 2 'spinner' has run for 0%.%d+ s without waiting", out)
    assert.matches("in function 'spin'", out)
    assert.matches('spawned at %(command line%):1\n$', out)
    assert.equal(1, select(2, out:gsub('has run for', '')))
  end)

  it('reports compiled code when it is over, or at once where a limit is set', function()
    local code = [[
      local n = 0
      for i = 1, 5e8 do n = n + i end
    ]]
    assert.matches("task 1 'main' has run for", (support.run(code)))
    local out = support.lagoon('--max-run', '60', '-e', code)
    assert.matches("task 1 'main' has run for 0%.1", out)
  end)

  it('reports what blocks in C', function()
    local out = support.run("os.execute('sleep 0.3')")
    assert.matches("task 1 'main' has run for 0%.[234]", out)
    assert.matches('%(command line%):1: in main chunk', out)
  end)

  it('is silent with --report off, and about tasks that wait', function()
    assert.equal('', (support.lagoon('--report=off', '-e', "os.execute('sleep 1.2')")))
    assert.equal('', (support.run('lagoon.sleep(0.3)')))
  end)

  it('says what the process is stuck in, and aborts it if that is wanted', function()
    local in_c = "('a'):rep(40000):find(('.-'):rep(5) .. 'b')"
    local out, status = support.lagoon('--max-stuck', '1.5', '-e', in_c)
    assert.matches('no line of Lua could run for %d%.%d s: process %d+ is in .*libluajit', out)
    assert.matches('aborting: nothing could run for %d%.%d s: process %d+ is in .*libluajit', out)
    assert.equal(134, status)
    out = support.lagoon('--max-stuck', '0.3', '-e', 'while true do end')
    assert.matches('aborting: .* process %d+ is in a compiled loop', out)
  end)
end)

describe('--max-run', function()
  it('ends a script that goes on for ever, with status 1', function()
    local out, status = support.lagoon('--max-run=0.05', '-e', 'while true do end')
    assert.equal(1, status)
    assert.matches('%(command line%):1: ran too long', out)
  end)

  it('takes seconds, and nothing else', function()
    for _, word in ipairs({ '--max-run=x', '--max-run=-1', '--max-run', '--max-run=nan' }) do
      local out, status = support.lagoon(word)
      assert.equal(2, status)
      assert.matches("option '%-%-max%-run' needs", out)
    end
  end)
end)
