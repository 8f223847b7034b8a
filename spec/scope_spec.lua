--- scope_spec.lua: scopes own the tasks that are spawned in them.

local lagoon = require('lagoon')
local support = require('spec.support')

local scope, sleep, canceled = lagoon.scope, lagoon.sleep, lagoon.canceled
local pack, start = support.pack, support.start

-- What a task raised at its wait for ever, for the test to read; then it ends so.
local function waiter(seen, name)
  return function()
    local ok, err = pcall(sleep, 3600)
    seen[name] = not ok and err
    error(err, 0)
  end
end

describe('a scope', function()
  it('returns what its function returns, when its tasks have ended', function()
    local ended = 0
    local results = pack(scope(function(s)
      for i = 1, 3 do
        s:spawn(function(n)
          sleep(n / 1000)
          ended = ended + 1
        end, i)
      end
      return nil, 'result', nil
    end))
    assert.same({ n = 3, nil, 'result', nil }, results)
    assert.equal(3, ended)
  end)

  it('runs its function in the task that calls it', function()
    local me = lagoon.current()
    scope(function()
      assert.equal(me, lagoon.current())
    end)
  end)

  it('waits for tasks that its tasks spawn in it', function()
    local deepest
    scope(function(s)
      s:spawn(function()
        sleep(0.001)
        s:spawn(function()
          sleep(0.001)
          deepest = true
        end)
      end)
    end)
    assert.is_true(deepest)
  end)

  it('gives tasks that can be waited for', function()
    local sum = scope(function(s)
      local a = s:spawn(function()
        sleep(0.001)
        return 1
      end)
      local b = s:spawn(function()
        return 2
      end)
      return select(2, a:wait()) + select(2, b:wait())
    end)
    assert.equal(3, sum)
  end)

  it('does not own what is spawned by lagoon.spawn', function()
    local task
    scope(function()
      task = lagoon.spawn(sleep, 0.005)
      lagoon.yield()
    end)
    assert.equal('parked', task:status())
    task:wait()
  end)

  describe('whose task fails', function()
    it('cancels the others, and raises the error with where it came from', function()
      local seen = {}
      local ok, err = pcall(scope, function(s)
        s:spawn(waiter(seen, 'sibling'))
        s:spawn(function()
            sleep(0.001)
            error('boom')
          end)
          :name('culprit')
        waiter(seen, 'owner')()
      end, { name = 'work' })
      assert.is_false(ok)
      assert.is_true(seen.sibling == canceled and seen.owner == canceled)
      assert.matches('^spec/scope_spec.lua:%d+: boom\nstack traceback:\n', err)
      assert.matches("in task %d+ 'culprit', spawned at spec/scope_spec.lua:%d+\n", err)
      assert.matches("in a scope 'work' of task %d+.*, spawned at ", err)
    end)

    it('raises a value that is no string as it is', function()
      local mine = setmetatable({}, { __tostring = function() return 'mine' end })
      local ok, err = pcall(scope, function(s)
        s:spawn(error, mine)
      end)
      assert.is_false(ok)
      assert.equal(mine, err)
    end)

    it('raises nil, too', function()
      assert.same({ n = 2, false, nil }, pack(pcall(scope, function(s)
        s:spawn(error, nil)
      end)))
    end)

    it('attaches the errors that come later', function()
      local ok, err = pcall(scope, function(s)
        for i = 1, 3 do
          s:spawn(function()
            pcall(sleep, i == 1 and 0.001 or 3600)
            error('error ' .. i, 0)
          end)
        end
      end)
      assert.is_false(ok)
      assert.matches('^error 1\n', err)
      assert.matches('\nalso failed: error 2\n', err)
      assert.matches('\nalso failed: error 3\n', err)
    end)

    it('reports later errors at once where they cannot be attached', function()
      local reported = lagoon.chan(4)
      local before = lagoon.on_error(function(_, err)
        reported:send(err)
      end)
      finally(function()
        lagoon.on_error(before)
      end)
      local first = {}
      local ok, err = pcall(scope, function(s)
        s:spawn(error, first)
        s:spawn(error, 'second', 0)
      end)
      assert.is_false(ok)
      assert.equal(first, err)
      assert.equal('second', (reported:recv()))
    end)

    it('says where in the log, when nobody catches it', function()
      local out, status = support.run([[
        lagoon.scope(function(s)
          s:spawn(function()
            lagoon.scope(function(inner)
              inner:spawn(function() error({ code = 5 }) end)
            end)
          end)
        end)
      ]])
      assert.equal(1, status)
      assert.matches('command line%):4: in function', out)
      assert.matches('in task 3, spawned at %(command line%):4\nin a scope of task 2, ', out)
      assert.matches("in a scope of task 1 'main'", out)
    end)
  end)

  describe('whose function fails', function()
    it('cancels the tasks, waits for them, and raises the very error', function()
      local seen, mine = {}, {}
      local ok, err = pcall(scope, function(s)
        s:spawn(waiter(seen, 'task'))
        lagoon.yield()
        error(mine)
      end)
      assert.is_false(ok)
      assert.equal(mine, err)
      assert.is_true(seen.task == canceled)
      assert.equal(mine, seen.task.reason)
    end)

    it('raises a string as it was when nothing else failed', function()
      assert.same({ n = 2, false, 'plain' }, pack(pcall(scope, function(s)
        s:spawn(sleep, 3600)
        error('plain', 0)
      end)))
    end)
  end)

  describe('that is canceled', function()
    it('ends its function and its tasks, and returns nil, "canceled", reason', function()
      local seen = {}
      local results = pack(scope(function(s)
        s:spawn(waiter(seen, 'task'))
        s:spawn(function()
          assert.is_true(s:cancel('enough'))
          assert.is_false(s:cancel('again'))
        end)
        waiter(seen, 'owner')()
      end))
      assert.same({ n = 3, nil, 'canceled', 'enough' }, results)
      assert.equal('enough', seen.task.reason)
      assert.equal('enough', seen.owner.reason)
    end)

    it('returns the results of a function that had ended', function()
      assert.equal('done', scope(function(s)
        s:spawn(sleep, 3600)
        s:spawn(function()
          s:cancel()
        end)
        return 'done'
      end))
    end)

    it('from outside by its owner: cancels the tasks and goes on outward', function()
      local seen = {}
      local task = start(function()
        scope(function(s)
          s:spawn(waiter(seen, 'task'))
          waiter(seen, 'owner')()
        end)
        return 'not here'
      end)
      lagoon.yield()
      task:cancel('from outside')
      local ok, err = task:wait()
      assert.is_false(ok)
      assert.equal('from outside', err.reason)
      assert.equal('from outside', seen.task.reason)
      assert.equal('from outside', seen.owner.reason)
    end)

    it('reaches scopes in scopes, in tasks of tasks', function()
      local seen = {}
      scope(function(s)
        s:spawn(function()
          scope(function(inner)
            inner:spawn(function()
              lagoon.timeout(3600, waiter(seen, 'deep'))
            end)
            waiter(seen, 'middle')()
          end)
        end)
        sleep(0.002)
        s:cancel('all')
      end)
      assert.equal('all', seen.deep.reason)
      assert.equal('all', seen.middle.reason)
    end)

    it('spawns tasks that are canceled at their first wait', function()
      local seen = {}
      scope(function(s)
        s:cancel('early')
        s:spawn(waiter(seen, 'late'))
      end)
      assert.equal('early', seen.late.reason)
    end)

    it('does not disturb a task that is not of it', function()
      local other = start(sleep, 0.004)
      scope(function(s)
        s:spawn(sleep, 3600)
        s:cancel()
      end)
      assert.is_true((other:wait()))
    end)
  end)

  describe('with a deadline', function()
    it('returns nil, "timeout" when it ends the function', function()
      assert.same({ n = 2, nil, 'timeout' }, pack(scope(function()
        sleep(3600)
      end, { timeout = 0.003 })))
      assert.same({ n = 2, nil, 'timeout' }, pack(scope(function()
        sleep(3600)
      end, { deadline = lagoon.now() + 0.003 })))
    end)

    it('returns nil, "timeout" when it ends a task', function()
      assert.same({ n = 2, nil, 'timeout' }, pack(scope(function(s)
        s:spawn(sleep, 3600)
        return 'cut short'
      end, { timeout = 0.003 })))
    end)

    it('raises an error rather than that', function()
      local ok, err = pcall(scope, function(s)
        s:spawn(function()
          pcall(sleep, 3600)
          error('on the way out', 0)
        end)
      end, { timeout = 0.003 })
      assert.is_false(ok)
      assert.matches('^on the way out\n', err)
    end)

    it('goes outward when the deadline is from further out', function()
      local inner
      local results = pack(lagoon.timeout(0.003, function()
        inner = pack(pcall(scope, function(s)
          s:spawn(sleep, 3600)
          return 'f has ended'
        end))
      end))
      assert.is_false(inner[1])
      assert.is_true(inner[2] == canceled)
      assert.equal(0, results.n)
    end)
  end)

  describe('with deferred functions', function()
    it('runs them last in, first out, after its tasks', function()
      local order = {}
      scope(function(s)
        s:defer(function()
          order[#order + 1] = 'first'
        end)
        s:defer(function()
          order[#order + 1] = 'second'
        end)
        s:spawn(function()
          sleep(0.002)
          order[#order + 1] = 'task'
        end)
      end)
      assert.same({ 'task', 'second', 'first' }, order)
    end)

    it('runs all of them whatever happens, and loses no error', function()
      local ran = 0
      local ok, err = pcall(scope, function(s)
        s:defer(function()
          ran = ran + 1
          error('deferred 1', 0)
        end)
        s:defer(function()
          ran = ran + 1
          error('deferred 2', 0)
        end)
        error('body', 0)
      end)
      assert.is_false(ok)
      assert.equal(2, ran)
      assert.matches('^body\n', err)
      assert.matches('also failed: deferred 2.*also failed: deferred 1', err)
    end)

    it('raises the error of a deferred function when there is no other', function()
      assert.same({ n = 2, false, 'deferred' }, pack(pcall(scope, function(s)
        s:defer(function()
          error('deferred', 0)
        end)
        return 'fine'
      end)))
    end)

    it('runs them in a canceled task, where they wait under a shield', function()
      local cleaned
      local task = start(scope, function(s)
        s:defer(function()
          assert(not pcall(sleep, 0.001))
          lagoon.shield(1, sleep, 0.001)
          cleaned = true
        end)
        sleep(3600)
      end)
      task:cancel()
      task:wait()
      assert.is_true(cleaned)
    end)

    it('waits for a task that a deferred function spawns', function()
      local ended
      scope(function(s)
        s:defer(function()
          s:spawn(function()
            sleep(0.001)
            ended = true
          end)
        end)
      end)
      assert.is_true(ended)
    end)
  end)

  it('that has ended takes nothing more', function()
    local kept
    scope(function(s)
      kept = s
    end)
    assert.equal('the scope has ended', support.misuse(function() kept:spawn(sleep, 1) end))
    assert.equal('the scope has ended', support.misuse(function() kept:defer(sleep) end))
    assert.is_false(kept:cancel())
  end)

  it('blames misuse on the caller', function()
    local messages = {
      support.misuse(function() scope() end),
      support.misuse(function() scope(sleep, 5) end),
      support.misuse(function() scope(sleep, { timeout = 'x' }) end),
      support.misuse(function() scope(sleep, { tiemout = 1 }) end),
    }
    scope(function(s)
      messages[5] = support.misuse(function() s.spawn(sleep) end)
      messages[6] = support.misuse(function() s:spawn(1) end)
      messages[7] = support.misuse(function() s:defer() end)
    end)
    assert.same({
      'the function of a scope must be a function, got nil',
      'opts must be a table, got number',
      "option 'timeout' must be a number of seconds, got string",
      "unknown option 'tiemout'",
      'scope expected, got function (call its methods with a colon)',
      'the function to spawn must be a function, got number',
      'the function to defer must be a function, got nil',
    }, messages)
  end)

  it('where no wait is possible says so, and its tasks end', function()
    local seen = {}
    local ok, err = pcall(table.sort, { 1, 2 }, function()
      scope(function(s)
        s:spawn(waiter(seen, 'task'))
      end)
    end)
    assert.is_false(ok)
    assert.matches('cannot wait in the comparator of table.sort', err)
    lagoon.yield()
    lagoon.yield()
    assert.is_true(seen.task == canceled)
  end)
end)
