--- semaphore_spec.lua: so many at a time.

local lagoon = require('lagoon')
local support = require('spec.support')

local semaphore = lagoon.sync.semaphore
local pack, start, misuse = support.pack, support.start, support.misuse

-- A task that acquires k permits, says so, and keeps them.
local function acquirer(sem, k, seen)
  return start(function()
    assert.is_true(sem:acquire(k))
    seen[#seen + 1] = k
  end)
end

describe('a semaphore', function()
  it('lets so many in at a time', function()
    local sem, inside, most, tasks = semaphore(3), 0, 0, {}
    for i = 1, 12 do
      tasks[i] = lagoon.spawn(sem.with, sem, function()
        inside = inside + 1
        most = math.max(most, inside)
        lagoon.yield()
        inside = inside - 1
      end)
    end
    for _, task in ipairs(tasks) do
      assert(task:wait())
    end
    assert.same({ 0, 3 }, { inside, most })
  end)

  it('gives several permits at once', function()
    local sem = semaphore(5)
    sem:acquire(3)
    assert.is_false(sem:try_acquire(3))
    assert.is_true(sem:try_acquire(2))
    assert.is_false(sem:try_acquire())
    sem:release(5)
    assert.is_true(sem:try_acquire(5))
  end)

  it('serves a large request before the small ones behind it', function()
    local sem, seen = semaphore(3), {}
    sem:acquire(2)
    local tasks = { acquirer(sem, 3, seen), acquirer(sem, 1, seen) }
    assert.is_false(sem:try_acquire())
    assert.same({}, seen)
    sem:release(2)
    tasks[1]:wait()
    assert.same({ 3 }, seen)
    sem:release(3)
    tasks[2]:wait()
    assert.same({ 3, 1 }, seen)
  end)

  it('serves as many as a release has permits for', function()
    local sem, seen = semaphore(4), {}
    sem:acquire(4)
    local tasks = {}
    for i, k in ipairs({ 1, 2, 2 }) do
      tasks[i] = acquirer(sem, k, seen)
    end
    sem:release(4)
    tasks[2]:wait()
    assert.same({ 1, 2 }, seen)
    assert.is_false(sem:try_acquire()) -- one is free, and not for who comes later
    sem:release()
    tasks[3]:wait()
    assert.equal('semaphore (0 of 4 free)', tostring(sem))
  end)

  it('serves who stands behind a request that is canceled', function()
    local sem, seen = semaphore(2), {}
    sem:acquire()
    local large, small = acquirer(sem, 2, seen), acquirer(sem, 1, seen)
    large:cancel()
    small:wait()
    assert.same({ 1 }, seen)
    sem:release(2)
    assert.is_true(sem:try_acquire(2))
  end)

  it('loses no permit when who was given it is canceled', function()
    local sem = semaphore(1)
    sem:acquire()
    local task = start(sem.with, sem, lagoon.yield)
    sem:release()
    task:cancel()
    assert.is_true(sem:acquire())
    assert.equal('canceled', task:status())
  end)

  it('can be waited for with a limit', function()
    local sem = semaphore(2)
    sem:acquire()
    assert.same({ n = 2, nil, 'timeout' }, pack(lagoon.timeout(0.001, sem.acquire, sem, 2)))
    assert.is_true(lagoon.timeout(60, sem.acquire, sem))
  end)

  it('calls a function with one permit, and takes it back however that ends', function()
    local sem = semaphore(2)
    assert.same({ n = 3, nil, 'b', nil }, pack(sem:with(function(...)
      assert.equal('semaphore (1 of 2 free)', tostring(sem))
      return ...
    end, nil, 'b', nil)))
    assert.is_false(pcall(sem.with, sem, error))
    assert.equal('semaphore (2 of 2 free)', tostring(sem))
  end)

  it('says what its tasks wait for', function()
    local sem = semaphore(3)
    sem:acquire(3)
    local task = start(sem.acquire, sem, 2)
    assert.truthy(lagoon.runtime.dump():find('parked on semaphore acquire(2)', 1, true))
    sem:release(3)
    task:wait()
  end)

  describe('raises', function()
    it('when more is released than was acquired', function()
      local sem = semaphore(3)
      sem:acquire()
      assert.equal('release(2) of a semaphore of which 1 are acquired', misuse(function()
        sem:release(2)
      end))
    end)

    it('when more is asked for than there will ever be, or nothing', function()
      local sem = semaphore(3)
      for _, name in ipairs({ 'acquire', 'try_acquire', 'release' }) do
        for _, k in ipairs({ 0, -1, 4, 1.5, math.huge }) do
          local message = misuse(function()
            sem[name](sem, k)
          end)
          assert.equal(
            'the number of permits must be a whole number from 1 to 3, got ' .. tostring(k),
            message
          )
        end
      end
    end)

    it('when it is made without a number of permits', function()
      assert.equal('the number of permits must be a number, got nil', misuse(function()
        semaphore()
      end))
      assert.matches('the number of permits must be a whole number from 1', misuse(function()
        semaphore(0)
      end))
    end)

    it('when a method is called without it', function()
      for _, name in ipairs({ 'acquire', 'try_acquire', 'release', 'with' }) do
        assert.equal(
          'semaphore expected, got nil (call its methods with a colon)',
          misuse(function()
            semaphore(1)[name]()
          end)
        )
      end
    end)

    it('when it is to call what is no function', function()
      local sem = semaphore(1)
      assert.equal('the function to call must be a function, got nil', misuse(function()
        sem:with()
      end))
      assert.is_true(sem:try_acquire())
    end)
  end)
end)
