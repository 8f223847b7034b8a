local lagoon = require('lagoon')
local support = require('spec.support')
local misuse = support.misuse

describe('after', function()
  it('gives a channel that receives now() once', function()
    local began = lagoon.now()
    local ch = lagoon.after(0.002)
    local time, ok = ch:recv()
    assert.is_true(ok and time >= began + 0.002 and time <= lagoon.now())
    assert.equal('timeout', (lagoon.select({ ch, timeout = 0.003 })))
  end)

  it('holds the time until somebody receives it', function()
    local ch = lagoon.after(0.001)
    lagoon.sleep(0.003)
    assert.equal(1, ch:len())
    assert.is_true(ch:recv() < lagoon.now() - 0.001)
  end)

  it('does not wait for 0 or less', function()
    for _, seconds in ipairs({ 0, -1, -math.huge }) do
      assert.is_true(lagoon.after(seconds):recv() <= lagoon.now())
    end
  end)

  it('comes in the order of the times, not of the calls', function()
    local order = {}
    local channels = { a = lagoon.after(0.003), b = lagoon.after(0.001), c = lagoon.after(0.002) }
    for _ = 1, 3 do
      local which = lagoon.select(channels)
      channels[which] = nil
      table.insert(order, which)
    end
    assert.same({ 'b', 'c', 'a' }, order)
  end)

  it('does not keep the program alive', function()
    local output, status = support.run('lagoon.after(1000)')
    assert.same({ '', 0 }, { output, status })
  end)

  it('wakes a main chunk that waits for nothing else', function()
    local output, status = support.run('print(select(2, lagoon.after(0.001):recv()))')
    assert.same({ 'true\n', 0 }, { output, status })
  end)
end)

describe('a sleep', function()
  it('for ever does not spin, nor end', function()
    local command = 'timeout 0.1 %s -e "require(\'lagoon\').sleep(math.huge)"'
    local _, status = support.shell('ulimit -t 1; ' .. command:format(support.lagoon_path))
    assert.equal(124, status)
  end)

  it('ends in the order of the times', function()
    local order, tasks = {}, {}
    for _, ms in ipairs({ 4, 1, 3, 2 }) do
      table.insert(tasks, lagoon.spawn(function()
        lagoon.sleep(ms / 1000)
        table.insert(order, ms)
      end))
    end
    for _, task in ipairs(tasks) do
      task:wait()
    end
    assert.same({ 1, 2, 3, 4 }, order)
  end)

  it('is as a yield for 0 or less', function()
    local order = {}
    local task = lagoon.spawn(table.insert, order, 'other')
    lagoon.sleep(-1)
    table.insert(order, 'sleeper')
    assert.same({ 'other', 'sleeper' }, order)
    task:wait()
  end)
end)

describe('a ticker', function()
  local ticker
  after_each(function()
    if ticker then
      ticker:stop()
    end
  end)

  it('ticks again and again, a period apart', function()
    local began = lagoon.now()
    ticker = lagoon.ticker(0.002)
    for i = 1, 4 do
      local time = ticker.ch:recv()
      assert.is_true(time >= began + i * 0.002)
    end
  end)

  it('swallows the ticks that nobody took', function()
    ticker = lagoon.ticker(0.001)
    lagoon.sleep(0.005)
    assert.equal(1, ticker.ch:len())
    ticker.ch:recv()
    assert.same({ nil, false, 'empty' }, { ticker.ch:try_recv() })
  end)

  it('does not tick after stop()', function()
    ticker = lagoon.ticker(0.001)
    ticker.ch:recv()
    ticker:stop()
    ticker.ch:try_recv()
    assert.equal('timeout', (lagoon.select({ ticker.ch, timeout = 0.004 })))
  end)

  it('may be stopped twice', function()
    ticker = lagoon.ticker(1000)
    ticker:stop()
    ticker:stop()
    assert.equal(0, ticker.ch:len())
  end)

  it('keeps to its grid when the loop is late', function()
    local began = lagoon.now()
    ticker = lagoon.ticker(0.002)
    repeat
    until lagoon.now() > began + 0.007 -- three ticks and a half
    ticker.ch:recv()
    local time = ticker.ch:recv()
    assert.is_true(time >= began + 0.008)
  end)

  it('does not keep the program alive', function()
    local output, status = support.run('lagoon.ticker(0.001)')
    assert.same({ '', 0 }, { output, status })
  end)
end)

describe('a timer', function()
  it('calls its function once, in a task of its own', function()
    local ch = lagoon.chan()
    lagoon.timer(0.001, function()
      ch:send(lagoon.current())
    end)
    local task = ch:recv()
    assert.not_equal(lagoon.current(), task)
    assert.equal('timeout', (lagoon.select({ ch, timeout = 0.003 })))
  end)

  it('does not call it after stop()', function()
    local called = false
    local timer = lagoon.timer(0.001, function()
      called = true
    end)
    assert.is_true(timer:stop())
    assert.is_false(timer:stop())
    lagoon.sleep(0.003)
    assert.is_false(called)
  end)

  it('tells by stop() that it has fired', function()
    local ch = lagoon.chan(1)
    local timer = lagoon.timer(0, function()
      ch:send(true)
    end)
    ch:recv()
    assert.is_false(timer:stop())
  end)

  it('is put off by reset()', function()
    local ch, began = lagoon.chan(1), lagoon.now()
    local timer = lagoon.timer(0.001, function()
      ch:send(lagoon.now())
    end)
    timer:reset(0.006)
    assert.is_true(ch:recv() >= began + 0.006)
  end)

  it('is brought forward by reset()', function()
    local ch = lagoon.chan(1)
    local timer = lagoon.timer(1000, function()
      ch:send(true)
    end)
    timer:reset(0.001)
    assert.equal(1, (lagoon.select({ ch, timeout = 5 })))
  end)

  it('runs again by reset() after it has fired, or was stopped', function()
    local ch = lagoon.chan(1)
    local timer = lagoon.timer(0, function()
      ch:send(true)
    end)
    ch:recv()
    timer:reset(0.001)
    ch:recv()
    timer:reset(1000)
    timer:stop()
    timer:reset(0)
    assert.is_true((ch:recv()))
  end)

  it('may be reset by its own function', function()
    local ch, timer = lagoon.chan(), nil
    local count = 0
    timer = lagoon.timer(0, function()
      count = count + 1
      if count < 3 then
        timer:reset(0)
      else
        ch:send(count)
      end
    end)
    assert.equal(3, (ch:recv()))
  end)

  it('whose function waits holds up nobody', function()
    local ch, order = lagoon.chan(), {}
    lagoon.timer(0, function()
      table.insert(order, (ch:recv()))
      ch:send('done')
    end)
    lagoon.timer(0.001, function()
      table.insert(order, 'second')
      ch:send('first')
    end)
    repeat
      lagoon.yield()
    until #order == 2
    assert.equal('done', (ch:recv()))
    assert.same({ 'second', 'first' }, order)
  end)

  it('whose function fails is reported with the line that made it', function()
    local output, status = support.run('lagoon.timer(0, function() error("late") end)')
    assert.equal(0, status)
    assert.matches('failed: %(command line%):1: late\n', output)
    assert.matches('spawned at (command line):1', output, 1, true)
  end)

  it('keeps the program alive until it has run', function()
    local output = support.run('lagoon.timer(0.002, function() print("ran") end)')
    assert.equal('ran\n', output)
  end)

  it('comes in the order of the times among a thousand', function()
    local fired, last, ordered = lagoon.chan(1000), 0, true
    for _ = 1, 1000 do
      local seconds = math.random() / 100
      local due = lagoon.now() + seconds
      lagoon.timer(seconds, function()
        fired:send(due)
      end)
    end
    for _ = 1, 1000 do
      local due = fired:recv()
      ordered, last = ordered and due > last - 1e-4, due
    end
    assert.is_true(ordered)
  end)
end)

describe('misuse of timers', function()
  it('is blamed on the line that gives a bad time', function()
    for _, seconds in ipairs({ 'soon', 0 / 0, {}, false }) do
      for _, make in ipairs({ lagoon.after, lagoon.ticker, lagoon.timer }) do
        local message = misuse(function()
          make(seconds, print)
        end)
        assert.matches('number of seconds', message, 1, true)
      end
    end
  end)

  it('is blamed on the line that makes a ticker without a period', function()
    for _, seconds in ipairs({ 0, -1 }) do
      misuse(function()
        lagoon.ticker(seconds)
      end)
    end
  end)

  it('is blamed on the line that gives no function', function()
    for _, f in ipairs({ 'f', 7, {} }) do
      misuse(function()
        lagoon.timer(1, f)
      end)
    end
    misuse(function()
      lagoon.timer(1)
    end)
  end)

  it('is blamed on the line that resets to a bad time, and the timer stays', function()
    local timer = lagoon.timer(1000, print)
    for _, seconds in ipairs({ 'soon', 0 / 0, {} }) do
      misuse(function()
        timer:reset(seconds)
      end)
    end
    assert.is_true(timer:stop())
  end)

  it('is blamed on the line that calls a method of something else', function()
    local timer, ticker = lagoon.timer(1000, print), lagoon.ticker(1000)
    for _, self in ipairs({ {}, 7, 'timer', newproxy() }) do
      for _, method in ipairs({ timer.stop, timer.reset, ticker.stop }) do
        local message = misuse(function()
          method(self, 1)
        end)
        assert.matches('^ti%a+ expected, got %a+ %(call its methods with a colon%)$', message)
      end
    end
    assert.is_true(timer:stop())
    ticker:stop()
  end)
end)
