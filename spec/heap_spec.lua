--- The heap of the timers against a list: a heap of its own, by a copy of the module, so that
-- the scheduler's stays as it is.

local WHEN = require('lagoon.slots').WHEN

local function new_heap()
  return dofile('lua/lagoon/heap.lua')
end

local function new_item(name)
  local item = { name = name }
  for i = 1, 12 do
    item[i] = false
  end
  return item
end

-- Pops all that is due: the names.
local function pop_all(heap, now)
  local names = {}
  local item = heap.pop(now)
  while item do
    names[#names + 1] = item.name
    item = heap.pop(now)
  end
  return names
end

describe('the timer heap', function()
  local heap
  before_each(function()
    heap = new_heap()
  end)

  it('is empty at first', function()
    assert.is_nil(heap.next_due())
    assert.is_nil(heap.pop(math.huge))
    assert.equal(0, heap.armed())
  end)

  it('gives items in the order of their times, when they are due', function()
    for _, time in ipairs({ 3, 1, 2, 5, 4 }) do
      heap.arm(new_item(time), time)
    end
    assert.equal(1, heap.next_due())
    assert.same({ 1, 2, 3 }, pop_all(heap, 3))
    assert.equal(4, heap.next_due())
    assert.same({ 4, 5 }, pop_all(heap, math.huge))
  end)

  it('forgets what is disarmed', function()
    local a, b = new_item('a'), new_item('b')
    heap.arm(a, 1)
    heap.arm(b, 2)
    heap.disarm(a)
    assert.equal(1, heap.armed())
    assert.same({}, pop_all(heap, 1))
    assert.equal(2, heap.next_due())
    assert.same({ 'b' }, pop_all(heap, 10))
    assert.is_nil(heap.next_due())
  end)

  it('moves an item to a later time, and to a sooner one', function()
    local a, b = new_item('a'), new_item('b')
    heap.arm(a, 1)
    heap.arm(b, 2)
    heap.arm(a, 3)
    assert.same({ 'b' }, pop_all(heap, 2))
    heap.arm(b, 4)
    heap.arm(b, 1)
    assert.same({ 'b', 'a' }, pop_all(heap, 5))
    assert.equal(0, heap.armed())
  end)

  it('arms again what was disarmed, or has fired', function()
    local a = new_item('a')
    for _, time in ipairs({ 2, 1, 3 }) do
      heap.arm(a, time)
      heap.disarm(a)
      heap.arm(a, time)
      assert.same({}, pop_all(heap, time - 0.5))
      assert.same({ 'a' }, pop_all(heap, time))
      assert.is_false(a[WHEN])
    end
  end)

  it('takes infinite times', function()
    heap.arm(new_item('never'), math.huge)
    heap.arm(new_item('always'), -math.huge)
    assert.same({ 'always' }, pop_all(heap, 1e300))
    assert.equal(math.huge, heap.next_due())
  end)

  -- A stale entry is told by its time, which the item may have again.
  it('counts an item once that is armed for the time of a stale entry of its', function()
    local a = new_item('a')
    heap.arm(a, 10)
    heap.arm(a, 5)
    heap.pop(5)
    heap.arm(a, 10)
    for i = 1, 100 do -- enough for a sweep
      local item = new_item(i)
      heap.arm(item, 20)
      heap.disarm(item)
    end
    assert.equal(1, heap.armed())
    assert.same({ 'a' }, pop_all(heap, 10))
    assert.equal(0, heap.armed())
  end)

  it('keeps no item that was disarmed among many for ever', function()
    local weak = setmetatable({}, { __mode = 'k' })
    for i = 1, 1000 do
      local item = new_item(i)
      weak[item] = true
      heap.arm(item, i)
      heap.disarm(item)
    end
    collectgarbage()
    local left = 0
    for _ in pairs(weak) do
      left = left + 1
    end
    assert.is_true(left <= 130, left .. ' items are left')
  end)
end)

describe('the timer heap under random operations', function()
  local SEED = tonumber(os.getenv('LAGOON_SPEC_SEED')) or os.time()
  local random = math.random

  -- The model: armed[item] = time.
  local function least(armed)
    local time, count
    for _, t in pairs(armed) do
      time, count = (not time or t < time) and t or time, (count or 0) + 1
    end
    return time, count or 0
  end

  local function pop_due(heap, armed, now)
    local last = -math.huge
    local item = heap.pop(now)
    while item do
      local time = assert(armed[item], 'an item fires that is not armed')
      assert(time <= now and time >= last, 'an item fires out of order')
      assert(not item[WHEN], 'an item that fired is armed')
      armed[item], last = nil, time
      item = heap.pop(now)
    end
    assert((least(armed) or math.huge) > now, 'an item does not fire')
  end

  -- Most of them at once, so that the heap has something to sweep.
  local function disarm_most(heap, armed, items)
    for _, item in ipairs(items) do
      if armed[item] and random(10) <= 8 then
        armed[item] = nil
        heap.disarm(item)
      end
    end
  end

  local function run(seed, steps, span)
    math.randomseed(seed)
    local heap, armed, items, now = new_heap(), {}, {}, 0
    for i = 1, 60 + random(300) do
      items[i] = new_item(i)
    end
    for _ = 1, steps do
      local item, dice = items[random(#items)], random(200)
      if dice <= 150 then
        armed[item] = now + random(span)
        heap.arm(item, armed[item])
      elseif dice <= 195 then
        if armed[item] then
          armed[item] = nil
          heap.disarm(item)
        end
      elseif dice == 196 then
        disarm_most(heap, armed, items)
      else
        now = now + random(span) / 8
        pop_due(heap, armed, now)
        local time, count = least(armed)
        local next_due = heap.next_due()
        if time then
          assert(next_due > now and next_due <= time, 'next_due() is wrong')
        else
          assert(not next_due, 'next_due() is of nothing')
        end
        assert(heap.armed() == count, 'armed() is wrong')
      end
    end
    pop_due(heap, armed, 1e300)
    assert(heap.armed() == 0, 'items are left')
  end

  for i, span in ipairs({ 2, 10, 1000 }) do
    it('does what a list does, times being whole numbers to ' .. span, function()
      for round = 1, 10 do
        local seed = SEED + 1000 * i + round
        local ok, err = pcall(run, seed, 1500, span)
        assert(ok, string.format('LAGOON_SPEC_SEED=%d: %s', SEED, tostring(err)))
      end
    end)
  end
end)
