--- cond_spec.lua: waiting, with a mutex, for something to become true.

local lagoon = require('lagoon')
local support = require('spec.support')

local sync = lagoon.sync
local start, misuse = support.start, support.misuse

describe('a cond', function()
  local m, c, seen

  before_each(function()
    m = sync.mutex()
    c = sync.cond(m)
    seen = {}
  end)

  -- A task that waits once, holds the mutex for a while, and writes down that it did.
  local function waiter(name)
    return start(m.with, m, function()
      assert.is_true(c:wait())
      assert.equal(('mutex (held by task %d)'):format(lagoon.current().id), tostring(m))
      lagoon.yield()
      seen[#seen + 1] = name
    end)
  end

  local function finish(...)
    for _, task in ipairs({ ... }) do
      assert(task:wait())
    end
  end

  it('gives the mutex up while it waits, and has it again afterwards', function()
    local task = waiter('a')
    assert.is_true(m:try_lock())
    c:signal()
    lagoon.yield()
    assert.same({}, seen)
    m:unlock()
    finish(task)
    assert.same({ 'a' }, seen)
    assert.is_true(m:try_lock())
  end)

  it('wakes who has waited longest by a signal', function()
    local a, b = waiter('a'), waiter('b')
    c:signal()
    finish(a)
    assert.same({ 'a' }, seen)
    assert.equal('parked', b:status())
    c:signal()
    finish(b)
    assert.same({ 'a', 'b' }, seen)
  end)

  it('wakes all by a broadcast, one after the other', function()
    local a, b, d = waiter('a'), waiter('b'), waiter('c')
    c:broadcast()
    finish(a, b, d)
    assert.same({ 'a', 'b', 'c' }, seen)
  end)

  it('keeps no signal for who comes later', function()
    c:signal()
    c:broadcast()
    local task = waiter('a')
    assert.equal('parked', task:status())
    c:signal()
    finish(task)
  end)

  it('is what a bounded buffer is made of', function()
    local not_full, items, sum = sync.cond(m), {}, 0
    local producer = lagoon.spawn(function()
      for n = 1, 100 do
        m:with(function()
          while #items == 3 do
            not_full:wait()
          end
          items[#items + 1] = n
          c:signal()
        end)
      end
    end)
    for _ = 1, 100 do
      m:with(function()
        while #items == 0 do
          c:wait()
        end
        assert(#items <= 3)
        sum = sum + table.remove(items, 1)
        not_full:signal()
      end)
    end
    finish(producer)
    assert.equal(5050, sum)
  end)

  describe('whose wait is canceled', function()
    -- A task that is canceled while it waits, and says who holds the mutex then.
    local function canceled_waiter()
      return start(function()
        m:lock()
        local ok, err = pcall(c.wait, c)
        assert.same({ false, true }, { ok, err == lagoon.canceled })
        seen[#seen + 1] = tostring(m)
        m:unlock()
        error(err, 0)
      end)
    end

    local function held_by(task)
      return ('mutex (held by %s)'):format(tostring(task))
    end

    it('has the mutex again when it raises', function()
      local task = canceled_waiter()
      task:cancel()
      task:wait()
      assert.same({ held_by(task) }, seen)
      assert.is_true(m:try_lock())
    end)

    it('waits for the mutex first, if somebody else has it', function()
      local task = canceled_waiter()
      m:lock()
      task:cancel()
      lagoon.yield()
      assert.equal('parked', task:status())
      m:unlock()
      task:wait()
      assert.same({ held_by(task) }, seen)
      assert.equal('canceled', task:status())
    end)

    it('is not in the way of a signal for others', function()
      local a, b = canceled_waiter(), waiter('b')
      a:cancel()
      c:signal()
      finish(b)
      assert.equal('b', seen[2])
      assert.equal('canceled', a:status())
    end)

    it('returns if the signal came first, and raises at the next wait', function()
      local a, b = waiter('a'), waiter('b')
      c:signal()
      a:cancel()
      a:wait()
      assert.equal('canceled', a:status())
      assert.equal('parked', b:status())
      c:signal()
      finish(b)
      assert.same({ 'b' }, seen)
    end)

    it('does so in a task that was canceled before', function()
      local task = start(function()
        pcall(lagoon.sleep, 3600)
        m:lock()
        local ok = pcall(c.wait, c)
        seen[1], seen[2] = ok, tostring(m)
        m:unlock()
      end)
      task:cancel()
      finish(task)
      assert.same({ false, held_by(task) }, seen)
    end)

    it('has it when its time is up, too', function()
      m:lock()
      local ok, err = lagoon.timeout(0.001, c.wait, c)
      assert.same({ nil, 'timeout' }, { ok, err })
      assert.equal(held_by(lagoon.current()), tostring(m))
    end)
  end)

  it('says what its tasks wait for', function()
    local task = waiter('a')
    assert.truthy(lagoon.runtime.dump():find('parked on cond wait', 1, true))
    c:signal()
    finish(task)
  end)

  it('leaves the mutex to the others where no wait is possible', function()
    local holder
    local function wait_in_gsub()
      return ('x'):gsub('x', function()
        c:wait()
      end)
    end
    local ok, err = pcall(m.with, m, function()
      holder = start(m.lock, m)
      wait_in_gsub()
    end)
    assert.is_false(ok)
    assert.truthy(err:find('cannot wait in a callback of string.gsub', 1, true))
    finish(holder)
    assert.equal(('mutex (held by task %d)'):format(holder.id), tostring(m))
  end)

  describe('raises', function()
    it('when a task waits that does not hold the mutex', function()
      local message = 'wait on a cond by a task that does not hold its mutex'
      assert.equal(message, misuse(function()
        c:wait()
      end))
      finish(lagoon.spawn(m.lock, m))
      assert.equal(message, misuse(function()
        c:wait()
      end))
    end)

    it('when it is made without a mutex', function()
      assert.equal('mutex expected, got nil (call its methods with a colon)', misuse(function()
        sync.cond()
      end))
    end)

    it('when a method is called without it', function()
      for _, name in ipairs({ 'wait', 'signal', 'broadcast' }) do
        assert.equal(
          'cond expected, got nil (call its methods with a colon)',
          misuse(function()
            c[name]()
          end)
        )
      end
    end)
  end)
end)
