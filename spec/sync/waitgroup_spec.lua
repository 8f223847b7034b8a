--- waitgroup_spec.lua: a count of what goes on, and waiting until it is zero.

local lagoon = require('lagoon')
local support = require('spec.support')

local waitgroup = lagoon.sync.waitgroup
local pack, start, misuse = support.pack, support.start, support.misuse

describe('a waitgroup', function()
  it('waits until all are done', function()
    local wg, ended = waitgroup(), 0
    for _ = 1, 5 do
      wg:add(1)
      lagoon.spawn(function()
        lagoon.yield()
        ended = ended + 1
        wg:done()
      end)
    end
    assert.is_true(wg:wait())
    assert.equal(5, ended)
  end)

  it('does not wait at zero', function()
    local wg = waitgroup()
    assert.is_true(wg:wait())
    wg:add(2)
    wg:add(-2)
    assert.is_true(wg:wait())
  end)

  it('lets all who wait go on, in order', function()
    local wg, seen, tasks = waitgroup(), {}, {}
    wg:add(2)
    for i = 1, 3 do
      tasks[i] = start(function()
        wg:wait()
        seen[#seen + 1] = i
      end)
    end
    wg:done()
    assert.equal('waitgroup (1)', tostring(wg))
    lagoon.yield()
    assert.same({}, seen)
    wg:done()
    tasks[3]:wait()
    assert.same({ 1, 2, 3 }, seen)
  end)

  it('can be used again', function()
    local wg = waitgroup()
    for _ = 1, 2 do
      wg:add(1)
      local task = start(wg.wait, wg)
      assert.equal('parked', task:status())
      wg:done()
      assert.same(pack(true, true), pack(task:wait()))
    end
  end)

  it('lets go on who waited, even if more is added before they run', function()
    local wg = waitgroup()
    wg:add(1)
    local task = start(wg.wait, wg)
    wg:done()
    wg:add(1)
    assert.same(pack(true, true), pack(task:wait()))
  end)

  it('leaves nothing behind of a wait that was canceled', function()
    local wg = waitgroup()
    wg:add(1)
    local canceled, waiting = start(wg.wait, wg), start(wg.wait, wg)
    canceled:cancel()
    wg:done()
    assert.same(pack(true, true), pack(waiting:wait()))
    canceled:wait()
    assert.equal('canceled', canceled:status())
  end)

  it('can be waited for with a limit', function()
    local wg = waitgroup()
    wg:add(1)
    assert.same({ n = 2, nil, 'timeout' }, pack(lagoon.timeout(0.001, wg.wait, wg)))
  end)

  it('says what its tasks wait for', function()
    local wg = waitgroup()
    wg:add(1)
    local task = start(wg.wait, wg)
    assert.truthy(lagoon.runtime.dump():find('parked on waitgroup wait', 1, true))
    wg:done()
    task:wait()
  end)

  describe('raises', function()
    it('when its count would be below zero, and keeps it', function()
      local wg = waitgroup()
      wg:add(1)
      assert.equal('the count of the waitgroup would be -1', misuse(function()
        wg:add(-2)
      end))
      wg:done()
      assert.equal('the count of the waitgroup would be -1', misuse(function()
        wg:done()
      end))
    end)

    it('when what is added is no whole number', function()
      for _, n in ipairs({ 0.5, math.huge, 0 / 0 }) do
        assert.matches('^n must be a whole number', misuse(function()
          waitgroup():add(n)
        end))
      end
      assert.equal('n must be a number, got nil', misuse(function()
        waitgroup():add()
      end))
    end)

    it('when a method is called without it', function()
      for _, name in ipairs({ 'add', 'done', 'wait' }) do
        local message = misuse(function()
          waitgroup()[name]()
        end)
        assert.truthy(message:find('waitgroup expected, got nil', 1, true))
      end
    end)
  end)
end)
