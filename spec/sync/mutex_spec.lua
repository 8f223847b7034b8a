--- mutex_spec.lua: one task at a time.

local lagoon = require('lagoon')
local support = require('spec.support')

local mutex = lagoon.sync.mutex
local pack, start, misuse = support.pack, support.start, support.misuse

-- Tasks that lock it, one after the other, write their names down and unlock it.
local function line_up(m, seen, names)
  local tasks = {}
  for i, name in ipairs(names) do
    tasks[i] = start(m.with, m, table.insert, seen, name)
  end
  return tasks
end

local function finish(tasks)
  for _, task in ipairs(tasks) do
    assert(task:wait())
  end
end

describe('a mutex', function()
  it('lets one task in at a time, however they yield', function()
    local m, inside, most, tasks = mutex(), 0, 0, {}
    for i = 1, 20 do
      tasks[i] = lagoon.spawn(m.with, m, function()
        inside = inside + 1
        most = math.max(most, inside)
        for _ = 1, i % 3 do
          lagoon.yield()
        end
        inside = inside - 1
      end)
    end
    finish(tasks)
    assert.same({ 0, 1 }, { inside, most })
  end)

  it('is given to who has waited longest', function()
    local m, seen = mutex(), {}
    assert.is_true(m:lock())
    local tasks = line_up(m, seen, { 'a', 'b', 'c' })
    m:unlock()
    finish(tasks)
    assert.same({ 'a', 'b', 'c' }, seen)
  end)

  it('cannot be taken by somebody else once it was given', function()
    local m, seen = mutex(), {}
    m:lock()
    local tasks = line_up(m, seen, { 'first' })
    m:unlock()
    assert.is_false(m:try_lock())
    m:with(table.insert, seen, 'second')
    finish(tasks)
    assert.same({ 'first', 'second' }, seen)
  end)

  it('is locked by try_lock if it is free', function()
    local m = mutex()
    assert.same({ true, false }, { m:try_lock(), m:try_lock() })
    m:unlock()
    assert.is_true(m:try_lock())
  end)

  it('may be unlocked by another task', function()
    local m = mutex()
    m:lock()
    assert(lagoon.spawn(m.unlock, m):wait())
    assert.is_true(m:try_lock())
  end)

  it('leaves nothing behind of a wait that was canceled', function()
    local m, seen = mutex(), {}
    m:lock()
    local tasks = line_up(m, seen, { 'a', 'b', 'c' })
    table.remove(tasks, 2):cancel()
    m:unlock()
    finish(tasks)
    assert.same({ 'a', 'c' }, seen)
    assert.is_true(m:try_lock())
  end)

  it('belongs to a task that is canceled after it was given it', function()
    local m, seen = mutex(), {}
    m:lock()
    local first = start(m.with, m, function()
      seen[1] = tostring(m)
      lagoon.yield()
    end)
    local tasks = line_up(m, seen, { 'second' })
    m:unlock()
    first:cancel()
    finish(tasks)
    assert.same({ ('mutex (held by task %d)'):format(first.id), 'second' }, seen)
    assert.equal('canceled', first:status())
  end)

  it('can be waited for with a limit', function()
    local m = mutex()
    m:lock()
    local task = lagoon.spawn(lagoon.timeout, 0.001, m.lock, m)
    assert.same(pack(true, nil, 'timeout'), pack(task:wait()))
    m:unlock()
    assert.is_true(lagoon.timeout(60, m.lock, m))
  end)

  it('says in a dump who waits for whom', function()
    local m = mutex()
    m:lock()
    local task = start(m.with, m, function() end)
    lagoon.current():name('the holder')
    local dump = lagoon.runtime.dump()
    lagoon.current():name('test')
    assert.truthy(dump:find("parked on mutex lock, held by task %d+ 'the holder'"))
    m:unlock()
    task:wait()
    assert.equal('mutex (free)', tostring(m))
  end)

  it('is not waited for where no wait is possible', function()
    local m = mutex()
    local function lock_in_gsub()
      return ('x'):gsub('x', function()
        m:lock()
      end)
    end
    assert.same({ true, 'x', 1 }, { pcall(lock_in_gsub) })
    local ok, err = lagoon.spawn(lock_in_gsub):wait()
    assert.is_false(ok)
    assert.truthy(err:find('cannot wait in a callback of string.gsub', 1, true))
    m:unlock()
    assert.is_true(m:try_lock())
  end)

  describe('with a function', function()
    it('passes its arguments and its results', function()
      local m = mutex()
      local results = pack(m:with(function(...)
        assert.is_false(m:try_lock())
        return select('#', ...), ...
      end, 'a', nil))
      assert.same({ n = 3, 2, 'a', nil }, results)
      assert.is_true(m:try_lock())
    end)

    it('is unlocked when that raises', function()
      local m, err = mutex(), {}
      assert.same({ false, err }, { pcall(m.with, m, error, err) })
      assert.is_true(m:try_lock())
    end)

    it('is unlocked when that is canceled', function()
      local m = mutex()
      local task = start(m.with, m, lagoon.sleep, 3600)
      task:cancel()
      task:wait()
      assert.is_true(m:try_lock())
    end)

    it('is unlocked when that computes, and is canceled', function()
      local m, begun = mutex(), lagoon.chan()
      local task = lagoon.compute(m.with, m, function()
        begun:send(true)
        while true do end
      end)
      begun:recv()
      task:cancel()
      task:wait()
      assert.equal('canceled', task:status())
      assert.is_true(m:try_lock())
    end)

    it('is unlocked when that runs for too long, and swallows the error', function()
      local out = support.run([[
        lagoon.runtime.limit({ run = 0.02 })
        local m = lagoon.sync.mutex()
        local task = lagoon.spawn(m.with, m, function()
          while true do
            pcall(function() while true do end end)
          end
        end)
        local waiting = lagoon.spawn(m.with, m, tostring, 'in')
        local ok, err = task:wait()
        print(ok, err)
        print(waiting:wait())
      ]])
      assert.matches('false\t.*ran too long: .*\ntrue\tin\n$', out)
    end)

    it('shows where that has raised', function()
      local m, trace = mutex(), nil
      local function fail_deep_down()
        error('deep')
      end
      local before = lagoon.on_error(function(_, _, text)
        trace = text
      end)
      finally(function()
        lagoon.on_error(before)
      end)
      start(m.with, m, function()
        fail_deep_down()
      end)
      lagoon.yield()
      assert.truthy(trace:find('fail_deep_down', 1, true))
    end)

    it('is left alone when that has unlocked it', function()
      local m = mutex()
      local function unlock_it()
        return pcall(m.with, m, m.unlock, m)
      end
      local ok, err = unlock_it()
      assert.is_false(ok)
      assert.truthy(err:find('the function of with() has unlocked what with() holds', 1, true))
      assert.is_true(m:try_lock())
    end)

    it('is left to who has got it meanwhile', function()
      local m, task = mutex(), nil
      pcall(m.with, m, function()
        task = start(m.lock, m)
        m:unlock()
      end)
      assert.equal(('mutex (held by task %d)'):format(task.id), tostring(m))
      task:wait()
    end)
  end)

  describe('raises', function()
    it('when it is unlocked and not locked', function()
      assert.equal('unlock of a mutex that is not locked', misuse(function()
        mutex():unlock()
      end))
    end)

    it('when its holder would wait for itself', function()
      local m = mutex()
      m:lock()
      for _, method in ipairs({ m.lock, m.with }) do
        assert.equal(
          'the task holds this mutex already, and would wait for itself',
          misuse(function()
            method(m, error)
          end)
        )
      end
      m:unlock()
    end)

    it('when a method is called without it', function()
      for _, name in ipairs({ 'lock', 'try_lock', 'unlock', 'with' }) do
        assert.equal(
          'mutex expected, got nil (call its methods with a colon)',
          misuse(function()
            mutex()[name]()
          end)
        )
      end
    end)

    it('when it is to call what is no function', function()
      local m = mutex()
      assert.equal('the function to call must be a function, got number', misuse(function()
        m:with(1)
      end))
      assert.is_true(m:try_lock())
    end)
  end)
end)
