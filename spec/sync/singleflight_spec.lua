--- singleflight_spec.lua: who asks for the same thing at the same time shares one call.

local lagoon = require('lagoon')
local support = require('spec.support')

local singleflight = lagoon.sync.singleflight
local pack, start, results, misuse = support.pack, support.start, support.results, support.misuse

describe('a singleflight', function()
  local group, gate, calls

  before_each(function()
    group, gate, calls = singleflight(), lagoon.chan(), 0
  end)

  -- Waits until the gate is closed; returns what it is given.
  local function fetch(...)
    calls = calls + 1
    gate:recv()
    return ...
  end

  local function asker(key, ...)
    return start(group.call, group, key, fetch, ...)
  end

  it('shares a call among those who ask meanwhile', function()
    local tasks = { asker('key', nil, 'a'), asker('key', 'b'), asker('key', 'c') }
    assert.equal(1, calls)
    gate:close()
    for _, task in ipairs(tasks) do
      assert.same({ n = 2, nil, 'a' }, results(task))
    end
  end)

  it('makes calls for different keys side by side', function()
    local keys, tasks = { 'key', 1, false, {} }, {}
    for i, key in ipairs(keys) do
      tasks[i] = asker(key, i)
    end
    assert.equal(#keys, calls)
    gate:close()
    for i, task in ipairs(tasks) do
      assert.same({ n = 1, i }, results(task))
    end
  end)

  it('keeps nothing afterwards', function()
    gate:close()
    assert.equal('a', group:call('key', fetch, 'a'))
    assert.equal('b', group:call('key', fetch, 'b'))
    assert.is_nil(next(group.flights))
  end)

  it('begins anew for who asks when the call is over, before those who wait run', function()
    local first, waiting = asker('key', 'a'), asker('key', 'b')
    gate:close()
    first:wait()
    assert.equal('c', group:call('key', fetch, 'c'))
    assert.same({ n = 1, 'a' }, results(waiting))
  end)

  it('raises the error of the call for all of them, and keeps nothing of it', function()
    local err, tasks = { 'the error' }, {}
    for i = 1, 2 do
      tasks[i] = start(pcall, group.call, group, 'key', function()
        fetch()
        error(err)
      end)
    end
    gate:close()
    for _, task in ipairs(tasks) do
      assert.same({ n = 2, false, err }, results(task))
    end
    assert.equal('a', group:call('key', fetch, 'a'))
    assert.equal(2, calls)
  end)

  it('goes on with the function of who waits, if the call is canceled', function()
    local a, b, c = asker('key', 'a'), asker('key', 'b'), asker('key', 'c')
    a:cancel()
    a:wait()
    gate:close()
    assert.same({ { n = 1, 'b' }, { n = 1, 'b' } }, { results(b), results(c) })
    assert.equal(2, calls)
    assert.is_nil(next(group.flights))
  end)

  it('keeps nothing of a call that was canceled with nobody waiting', function()
    local a = asker('key', 'a')
    a:cancel()
    a:wait()
    assert.is_nil(next(group.flights))
    gate:close()
    assert.equal('b', group:call('key', fetch, 'b'))
  end)

  it('keeps nothing of a call that was left in a coroutine by a task that has ended', function()
    assert(lagoon.spawn(coroutine.wrap(group.call), group, 'key', coroutine.yield):wait())
    assert.is_nil(next(group.flights))
    gate:close()
    assert.equal('b', group:call('key', fetch, 'b'))
  end)

  it('lets who waits give up', function()
    local a = asker('key', 'a')
    local limited = pack(lagoon.timeout(0.001, group.call, group, 'key', fetch, 'b'))
    assert.same({ n = 2, nil, 'timeout' }, limited)
    gate:close()
    assert.same({ n = 1, 'a' }, results(a))
    assert.equal(1, calls)
  end)

  it('may be used in a call of its own, with another key', function()
    gate:close()
    local result = group:call('outer', function()
      return group:call('inner', fetch, 'a') .. 'b'
    end)
    assert.equal('ab', result)
  end)

  it('says what its tasks wait for', function()
    local a, b = asker('key'), asker('key')
    assert.truthy(lagoon.runtime.dump():find('parked on singleflight call', 1, true))
    gate:close()
    a:wait()
    b:wait()
  end)

  describe('raises', function()
    it('when a call asks for its own key', function()
      local message
      group:call('key', function()
        message = misuse(function()
          group:call('key', fetch)
        end)
      end)
      assert.equal('the function of singleflight calls itself, and would wait for itself', message)
    end)

    it('when there is no key, or no function', function()
      assert.equal('the key of a call must not be nil', misuse(function()
        group:call(nil, fetch)
      end))
      assert.equal('the key of a call must not be nan', misuse(function()
        group:call(0 / 0, fetch)
      end))
      assert.equal('the function to call must be a function, got nil', misuse(function()
        group:call('key')
      end))
      assert.is_nil(next(group.flights))
    end)

    it('when it is called without it', function()
      assert.equal(
        'singleflight expected, got string (call its methods with a colon)',
        misuse(function()
          group.call('key', fetch)
        end)
      )
    end)
  end)
end)
