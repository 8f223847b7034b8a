local lagoon = require('lagoon')
local support = require('spec.support')

local pack = support.pack
local misuse = support.misuse

describe('a task', function()
  it('starts after its parent has gone on', function()
    local order = {}
    local task = lagoon.spawn(table.insert, order, 'child')
    table.insert(order, 'parent')
    task:wait()
    assert.same({ 'parent', 'child' }, order)
  end)

  it('gets its arguments, nils included', function()
    local got
    local task = lagoon.spawn(function(...)
      got = pack(...)
    end, nil, 1, nil)
    task:wait()
    assert.same({ n = 3, nil, 1, nil }, got)
  end)

  it('may be any value that can be called', function()
    local callable = setmetatable({}, {
      __call = function(_, x)
        return x + 1
      end,
    })
    assert.same({ true, 3 }, { lagoon.spawn(callable, 2):wait() })
  end)

  it('is spawned by lagoon.go as well', function()
    assert.same({ true, 'gone' }, { lagoon.go(tostring, 'gone'):wait() })
  end)

  it('is what lagoon.current() says inside of it', function()
    local task = lagoon.spawn(lagoon.current)
    local _, inside = task:wait()
    assert.equal(task, inside)
    assert.not_equal(task, lagoon.current())
  end)

  it('has an id that no other task had', function()
    local seen = {}
    for _ = 1, 50 do
      local task = lagoon.spawn(function() end)
      assert.is_nil(seen[task.id])
      seen[task.id] = true
      task:wait()
    end
  end)

  it('has a name if it was given one', function()
    local task = lagoon.spawn(function() end)
    assert.is_nil(task:name())
    task:name('worker')
    assert.equal('worker', task:name())
    assert.matches('worker', tostring(task), 1, true)
    task:wait()
  end)

  it('runs on in chains of any depth', function()
    local deepest = lagoon.chan()
    local function dig(depth)
      if depth == 0 then
        deepest:send('bottom')
      else
        lagoon.spawn(dig, depth - 1)
      end
    end
    dig(20000)
    assert.equal('bottom', (deepest:recv()))
  end)

  it('waits for chains of tasks that wait for each other', function()
    local function dig(depth)
      return depth == 0 and 'bottom' or select(2, lagoon.spawn(dig, depth - 1):wait())
    end
    assert.equal('bottom', dig(2000))
  end)

  it('gives way to every task that is ready by yield()', function()
    local order = {}
    local function twice(name)
      table.insert(order, name)
      lagoon.yield()
      table.insert(order, name)
    end
    local a, b = lagoon.spawn(twice, 'a'), lagoon.spawn(twice, 'b')
    assert.is_true(a:wait() and b:wait())
    assert.same({ 'a', 'b', 'a', 'b' }, order)
  end)

  it('sleeps for the time it says', function()
    local began = lagoon.now()
    lagoon.sleep(0.01)
    assert.is_true(lagoon.now() - began >= 0.01)
  end)
end)

describe('the status of a task', function()
  it('is ready, then done', function()
    local task = lagoon.spawn(function() end)
    assert.equal('ready', task:status())
    task:wait()
    assert.equal('done', task:status())
  end)

  it('is running for the one that asks', function()
    assert.equal('running', lagoon.current():status())
  end)

  it('is parked during a wait, and ready once the wait has ended', function()
    local ch = lagoon.chan()
    local task = lagoon.spawn(ch.recv, ch)
    lagoon.yield()
    assert.equal('parked', task:status())
    ch:send(1)
    assert.equal('ready', task:status())
    task:wait()
  end)

  it('is ready after a yield', function()
    local task = lagoon.spawn(lagoon.yield)
    lagoon.yield()
    assert.equal('ready', task:status())
    task:wait()
  end)

  it('is failed after an error', function()
    local task = lagoon.spawn(error, 'oops')
    task:wait()
    assert.equal('failed', task:status())
  end)

  it('is canceled when the cancellation went through', function()
    local task = lagoon.spawn(lagoon.sleep, 1000)
    lagoon.yield()
    task:cancel()
    task:wait()
    assert.equal('canceled', task:status())
  end)

  it('is done when a canceled task returns all the same', function()
    local task = lagoon.spawn(function()
      pcall(lagoon.sleep, 1000)
      return 'tidied up'
    end)
    lagoon.yield()
    task:cancel()
    assert.same({ true, 'tidied up' }, { task:wait() })
    assert.equal('done', task:status())
  end)
end)

describe('waiting for a task', function()
  it('returns true and its results, nils included', function()
    local task = lagoon.spawn(function()
      return nil, 2, nil, nil
    end)
    assert.same({ n = 5, true, nil, 2, nil, nil }, pack(task:wait()))
  end)

  it('returns only true for a task without results', function()
    assert.same({ n = 1, true }, pack(lagoon.spawn(function() end):wait()))
  end)

  it('returns false and the very error it raised', function()
    local err = { code = 7 }
    local results = pack(lagoon.spawn(error, err):wait())
    assert.equal(2, results.n)
    assert.is_false(results[1])
    assert.equal(err, results[2])
  end)

  it('returns false and nil for error(nil)', function()
    assert.same({ n = 2, false, nil }, pack(lagoon.spawn(error):wait()))
  end)

  it('serves any number of waiters, before and after the end', function()
    local task = lagoon.spawn(function()
      lagoon.yield()
      return 'result'
    end)
    local waiters = {}
    for i = 1, 10 do
      waiters[i] = lagoon.spawn(task.wait, task)
    end
    for i = 1, 10 do
      assert.same({ true, true, 'result' }, { waiters[i]:wait() })
    end
    assert.same({ true, 'result' }, { task:wait() })
  end)

  it('ends after the timeout, and the task goes on', function()
    local ch = lagoon.chan()
    local task = lagoon.spawn(ch.recv, ch)
    assert.same({ n = 2, nil, 'timeout' }, pack(task:wait(0.001)))
    assert.equal('parked', task:status())
    ch:send('late')
    assert.same({ true, 'late', true }, { task:wait(1000) })
  end)

  it('with a timeout of 0 only asks', function()
    local ch = lagoon.chan()
    local task = lagoon.spawn(ch.recv, ch)
    assert.same({ nil, 'timeout' }, { task:wait(0) })
    ch:close()
    task:wait()
    assert.same({ n = 3, true, nil, false }, pack(task:wait(0)))
  end)

  it('leaves other waiters alone when one times out', function()
    local ch = lagoon.chan()
    local task = lagoon.spawn(ch.recv, ch)
    local patient = lagoon.spawn(task.wait, task)
    assert.same({ nil, 'timeout' }, { task:wait(0.001) })
    ch:send('here')
    assert.same({ true, true, 'here', true }, { patient:wait() })
  end)
end)

describe('canceling a task', function()
  local canceled = lagoon.canceled

  -- Each: what parks a task; its argument is called with what has to be closed in the end.
  local waits = {
    sleep = function()
      lagoon.sleep(1000)
    end,
    ['select {}'] = function()
      lagoon.select({})
    end,
    recv = function()
      lagoon.chan():recv()
    end,
    send = function()
      lagoon.chan():send(1)
    end,
    ['select'] = function()
      lagoon.select({ lagoon.chan(), lagoon.send(lagoon.chan(), 1), timeout = 1000 })
    end,
    ['a selector'] = function()
      lagoon.selector({ lagoon.chan() }):wait()
    end,
    ['the wait for a task'] = function()
      local ch = lagoon.chan()
      local other = lagoon.spawn(ch.recv, ch)
      local ok, err = pcall(other.wait, other)
      ch:close()
      error(ok and 'not canceled' or err, 0)
    end,
    accept = function(close)
      close(lagoon.net.listen('tcp', '127.0.0.1:0')):accept()
    end,
    ['read of a conn'] = function(close)
      local listener = close(lagoon.net.listen('tcp', '127.0.0.1:0'))
      close(lagoon.net.dial('tcp', listener:addr())):read()
    end,
    ['read of a pipe'] = function()
      lagoon.net.pipe():read()
    end,
    ['write to a pipe'] = function()
      lagoon.net.pipe():write(('x'):rep(1024 * 1024))
    end,
    ['write to a conn'] = function(close)
      local listener = close(lagoon.net.listen('tcp', '127.0.0.1:0'))
      close(lagoon.net.dial('tcp', listener:addr())):write(('x'):rep(16 * 1024 * 1024))
    end,
  }
  for name, wait in pairs(waits) do
    it('ends ' .. name, function()
      local opened = {}
      finally(function()
        for _, handle in ipairs(opened) do
          handle:close()
        end
      end)
      local task = lagoon.spawn(wait, function(handle)
        table.insert(opened, (assert(handle)))
        return handle
      end)
      while task:status() ~= 'parked' do
        lagoon.yield()
      end
      task:cancel('enough')
      local ok, err = task:wait()
      assert.is_false(ok)
      assert.is_true(err == canceled, tostring(err))
      assert.equal('enough', err.reason)
    end)
  end

  it('ends a yield', function()
    local task = lagoon.spawn(lagoon.yield)
    lagoon.yield()
    task:cancel()
    local _, err = task:wait()
    assert.is_true(err == canceled)
  end)

  it('raises a value that reads well', function()
    local task = lagoon.spawn(lagoon.sleep, 1000)
    lagoon.yield()
    task:cancel('server stops')
    local _, err = task:wait()
    assert.equal('canceled: server stops', tostring(err))
    assert.equal('canceled', tostring(lagoon.canceled))
  end)

  it('raises again at each later wait, in the same coroutine and inside of others', function()
    local count = 0
    local task = lagoon.spawn(function()
      for _, wait in ipairs({ lagoon.sleep, lagoon.sleep, lagoon.yield }) do
        count = count + (pcall(wait, 1000) and 0 or 1)
      end
      coroutine.wrap(lagoon.sleep)(1000)
    end)
    lagoon.yield()
    task:cancel()
    assert.is_false((task:wait()))
    assert.equal(3, count)
  end)

  it('lets a task that has not started run to its first wait', function()
    local reached = false
    local task = lagoon.spawn(function()
      reached = true
      lagoon.sleep(1000)
    end)
    task:cancel()
    assert.is_false((task:wait()))
    assert.is_true(reached)
  end)

  it('does not disturb operations that need no wait', function()
    local ch = lagoon.chan(1)
    local task = lagoon.spawn(function()
      return ch:send('kept'), (ch:recv())
    end)
    task:cancel()
    assert.same({ true, true, 'kept' }, { task:wait() })
  end)

  it('of itself raises at its next wait', function()
    local task = lagoon.spawn(function()
      lagoon.current():cancel('own will')
      lagoon.sleep(0)
    end)
    local _, err = task:wait()
    assert.equal('own will', err.reason)
  end)

  it('leaves nothing behind on the channel', function()
    local ch = lagoon.chan()
    local receiver = lagoon.spawn(ch.recv, ch)
    lagoon.yield()
    receiver:cancel()
    assert.same({ false, 'full' }, { ch:try_send(1) })
    local sender = lagoon.spawn(ch.send, ch, 1)
    lagoon.yield()
    sender:cancel()
    assert.same({ n = 3, nil, false, 'empty' }, pack(ch:try_recv()))
    assert.is_false(receiver:wait() or sender:wait())
  end)

  it('does not lose a value that was received already', function()
    local ch = lagoon.chan()
    local task = lagoon.spawn(ch.recv, ch)
    lagoon.yield()
    ch:send('received')
    task:cancel()
    assert.same({ true, 'received', true }, { task:wait() })
  end)

  it('keeps the first reason', function()
    local task = lagoon.spawn(lagoon.sleep, 1000)
    lagoon.yield()
    task:cancel('first')
    task:cancel('second')
    local _, err = task:wait()
    assert.equal('first', err.reason)
  end)

  it('does nothing to a task that has ended', function()
    local task = lagoon.spawn(tostring, 'over')
    task:wait()
    task:cancel()
    assert.equal('done', task:status())
    assert.same({ true, 'over' }, { task:wait() })
  end)

  it('is no failure: nobody is told', function()
    local told
    local before = lagoon.on_error(function(_, err)
      told = err
    end)
    finally(function()
      lagoon.on_error(before)
    end)
    local task = lagoon.spawn(lagoon.sleep, 1000)
    lagoon.yield()
    task:cancel()
    task:wait()
    assert.is_nil(told)
  end)
end)

describe('an error that nobody waits for', function()
  local function with_handler(handler, fail)
    local before = lagoon.on_error(handler)
    local task = lagoon.spawn(fail)
    while task:status() ~= 'failed' do
      lagoon.yield()
    end
    lagoon.on_error(before)
    return task
  end

  it('comes to on_error with its task and a traceback', function()
    local got
    local err = { 'an error value' }
    local task = with_handler(function(...)
      got = pack(...)
    end, function()
      error(err)
    end)
    assert.equal(3, got.n)
    assert.equal(task, got[1])
    assert.equal(err, got[2])
    assert.matches('stack traceback:.*spec/task_spec.lua:%d+', got[3])
  end)

  it('comes to a handler that may wait', function()
    local ch = lagoon.chan()
    with_handler(function(_, err)
      lagoon.yield()
      ch:send(err)
    end, function()
      error('late', 0)
    end)
    assert.equal('late', (ch:recv()))
  end)

  it('is logged with traceback, name, id and spawn site', function()
    local output, status = support.run([[
      local task = lagoon.spawn(function()
        local function deep() error('broken') end
        deep()
      end)
      task:name('fixer')]])
    assert.equal(0, status)
    assert.matches("task 2 'fixer' failed: .-:2: broken\nstack traceback:", output)
    assert.matches("in function 'deep'", output, 1, true)
    assert.matches('spawned at .-:1\n', output)
  end)

  it('is logged whatever its type, and does not end the program', function()
    local output, status = support.run([[
      lagoon.spawn(error)
      lagoon.spawn(error, setmetatable({}, { __tostring = function() error('worse') end }))
      lagoon.spawn(error, setmetatable({}, { __tostring = function() return 'readable' end }))
      lagoon.sleep(0.001)
      print('still here')]])
    assert.equal(0, status)
    assert.equal(3, select(2, output:gsub('task %d failed', '')))
    assert.matches('readable', output, 1, true)
    assert.matches('still here\n$', output)
  end)

  it('in the handler itself is logged, and the handler is not asked again', function()
    local output, status = support.run([[
      lagoon.on_error(function(_, err) error('handler after ' .. err, 0) end)
      lagoon.spawn(error, 'first', 0)]])
    assert.equal(0, status)
    assert.equal(1, select(2, output:gsub('handler after', '')))
  end)

  it('is logged again after on_error(nil)', function()
    local output = support.run([[
      lagoon.on_error(function() end)
      lagoon.on_error(nil)
      lagoon.spawn(error, 'loud', 0)]])
    assert.matches('failed: loud', output, 1, true)
  end)

  it('does not come to on_error when somebody waits', function()
    local asked = false
    local before = lagoon.on_error(function()
      asked = true
    end)
    local ok, err = lagoon.spawn(error, 'awaited', 0):wait()
    lagoon.on_error(before)
    assert.same({ false, 'awaited', false }, { ok, err, asked })
  end)
end)

describe('misuse of a task', function()
  local function ended()
    local task = lagoon.spawn(function() end)
    task:wait()
    return task
  end

  it('is blamed on the line that spawns what cannot be called', function()
    local message = misuse(function()
      lagoon.spawn('name')
    end)
    assert.matches('function', message, 1, true)
  end)

  it('is blamed on the line that waits for a bad time', function()
    for _, timeout in ipairs({ 'soon', 0 / 0, {} }) do
      local message = misuse(function()
        ended():wait(timeout)
      end)
      assert.matches('timeout must be a number of seconds', message, 1, true)
    end
  end)

  it('is blamed on the line that sleeps for a bad time', function()
    for _, seconds in ipairs({ 'soon', 0 / 0, {} }) do
      misuse(function()
        lagoon.sleep(seconds)
      end)
    end
    misuse(function()
      lagoon.sleep()
    end)
  end)

  it('is blamed on the line that waits for itself', function()
    local message = misuse(function()
      lagoon.current():wait()
    end)
    assert.matches('itself', message, 1, true)
  end)

  it('is blamed on the line that calls a method of something else', function()
    local task = ended()
    for _, name in ipairs({ 'wait', 'cancel', 'status', 'name' }) do
      for _, self in ipairs({ {}, 7, 'task', lagoon.chan() }) do
        local message = misuse(function()
          task[name](self)
        end)
        assert.matches('^task expected, got %a+ %(call its methods with a colon%)$', message)
      end
    end
  end)

  it('is blamed on the line that gives a name that is none', function()
    misuse(function()
      ended():name(7)
    end)
  end)

  it('is blamed on the line that sets a handler that is none', function()
    misuse(function()
      lagoon.on_error('handler')
    end)
  end)
end)
