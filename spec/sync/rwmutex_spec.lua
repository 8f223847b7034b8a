--- rwmutex_spec.lua: many readers, or one writer.

local lagoon = require('lagoon')
local support = require('spec.support')

local rwmutex = lagoon.sync.rwmutex
local pack, start, misuse = support.pack, support.start, support.misuse

-- A task that locks it and says so; it unlocks at once.
local function enter(rw, seen, method, name)
  return start(rw[method], rw, table.insert, seen, name)
end

local function finish(...)
  for _, task in ipairs({ ... }) do
    assert(task:wait())
  end
end

describe('a rwmutex', function()
  it('lets many readers in at once, and no writer with them', function()
    local rw = rwmutex()
    assert.is_true(rw:rlock())
    assert.same({ true, false }, { rw:try_rlock(), rw:try_lock() })
    rw:runlock()
    assert.is_false(rw:try_lock())
    rw:runlock()
    assert.is_true(rw:try_lock())
  end)

  it('lets one writer in, and nobody else', function()
    local rw = rwmutex()
    assert.is_true(rw:lock())
    assert.same({ false, false }, { rw:try_lock(), rw:try_rlock() })
    rw:unlock()
    assert.is_true(rw:try_rlock())
  end)

  it('keeps new readers out while a writer waits', function()
    local rw, seen = rwmutex(), {}
    rw:rlock()
    local writer = enter(rw, seen, 'with', 'writer')
    assert.is_false(rw:try_rlock())
    local reader = enter(rw, seen, 'rwith', 'reader')
    assert.same({}, seen)
    rw:runlock()
    finish(writer, reader)
    assert.same({ 'writer', 'reader' }, seen)
  end)

  it('lets in the readers up to the next writer, in order', function()
    local rw, seen = rwmutex(), {}
    rw:lock()
    local tasks = {}
    for i, name in ipairs({ 'r1', 'r2', 'w1', 'r3', 'w2' }) do
      tasks[i] = start(function()
        local kind = name:sub(1, 1)
        rw[kind == 'r' and 'rlock' or 'lock'](rw)
        seen[#seen + 1] = name
        lagoon.yield()
        seen[#seen + 1] = '-' .. name
        rw[kind == 'r' and 'runlock' or 'unlock'](rw)
      end)
    end
    rw:unlock()
    finish(unpack(tasks))
    assert.equal(
      'r1 r2 -r1 -r2 w1 -w1 r3 -r3 w2 -w2',
      table.concat(seen, ' ')
    )
  end)

  it('lets the readers in behind a writer whose wait is canceled', function()
    local rw, seen = rwmutex(), {}
    rw:rlock()
    local writer = enter(rw, seen, 'with', 'writer')
    local reader = enter(rw, seen, 'rwith', 'reader')
    writer:cancel()
    finish(reader)
    assert.same({ 'reader' }, seen)
    rw:runlock()
    assert.is_true(rw:try_lock())
  end)

  it('goes on to the next when who was given it is canceled', function()
    local rw, seen = rwmutex(), {}
    rw:rlock()
    local canceled = start(rw.with, rw, lagoon.yield)
    local writer = enter(rw, seen, 'with', 'writer')
    rw:runlock()
    canceled:cancel()
    finish(writer)
    assert.same({ 'writer' }, seen)
    assert.equal('canceled', canceled:status())
  end)

  it('can be waited for with a limit', function()
    local rw = rwmutex()
    rw:rlock()
    assert.same({ n = 2, nil, 'timeout' }, pack(lagoon.timeout(0.001, rw.lock, rw)))
    assert.is_true(lagoon.timeout(60, rw.rlock, rw))
  end)

  it('calls a function with the lock, and unlocks it however that ends', function()
    local rw = rwmutex()
    assert.same({ n = 2, nil, false }, pack(rw:with(function(...)
      assert.is_false(rw:try_rlock())
      return ...
    end, nil, false)))
    assert.same({ n = 1, 'x' }, pack(rw:rwith(function(x)
      assert.is_true(rw:try_rlock())
      rw:runlock()
      return x
    end, 'x')))
    assert.is_false(pcall(rw.with, rw, error))
    assert.is_false(pcall(rw.rwith, rw, error))
    assert.is_true(rw:try_lock())
  end)

  it('says what its tasks wait for', function()
    local rw = rwmutex()
    rw:lock()
    local writer = start(rw.with, rw, function() end)
    local reader = start(rw.rwith, rw, function() end)
    local dump = lagoon.runtime.dump()
    assert.truthy(dump:find('parked on rwmutex lock', 1, true))
    assert.truthy(dump:find('parked on rwmutex rlock', 1, true))
    assert.equal('rwmutex (a writer)', tostring(rw))
    rw:unlock()
    finish(writer, reader)
    assert.equal('rwmutex (0 readers)', tostring(rw))
  end)

  describe('raises', function()
    it('when it is unlocked and nobody writes', function()
      local rw = rwmutex()
      for _ = 1, 2 do
        assert.equal('unlock of a rwmutex that is not locked for writing', misuse(function()
          rw:unlock()
        end))
        rw:try_rlock()
      end
    end)

    it('when it is runlocked and nobody reads', function()
      local rw = rwmutex()
      for _ = 1, 2 do
        assert.equal('runlock of a rwmutex that is not locked for reading', misuse(function()
          rw:runlock()
        end))
        rw:try_lock()
      end
    end)

    it('when a writer would wait for itself', function()
      local rw = rwmutex()
      rw:lock()
      for _, name in ipairs({ 'lock', 'rlock', 'with', 'rwith' }) do
        assert.equal(
          'the task holds this rwmutex already, and would wait for itself',
          misuse(function()
            rw[name](rw, error)
          end)
        )
      end
    end)

    it('when a method is called without it', function()
      for _, name in ipairs({
        'lock', 'try_lock', 'unlock', 'rlock', 'try_rlock', 'runlock', 'with', 'rwith',
      }) do
        assert.equal(
          'rwmutex expected, got nil (call its methods with a colon)',
          misuse(function()
            rwmutex()[name]()
          end)
        )
      end
    end)

    it('when it is to call what is no function', function()
      local rw = rwmutex()
      for _, name in ipairs({ 'with', 'rwith' }) do
        assert.equal('the function to call must be a function, got nil', misuse(function()
          rw[name](rw)
        end))
      end
      assert.is_true(rw:try_lock())
    end)
  end)
end)
