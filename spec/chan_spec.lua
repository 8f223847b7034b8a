local lagoon = require('lagoon')
local support = require('spec.support')

local misuse = support.misuse
local pack, start, results = support.pack, support.start, support.results

describe('an unbuffered channel', function()
  local ch
  before_each(function()
    ch = lagoon.chan()
  end)

  it('has room for nothing', function()
    assert.equal(0, ch:cap())
    assert.equal(0, ch:len())
    assert.same({ false, 'full' }, { ch:try_send(1) })
  end)

  it('hands a value to a receiver that waits', function()
    local receiver = start(ch.recv, ch)
    assert.same({ n = 1, true }, pack(ch:send('value')))
    assert.same({ n = 2, 'value', true }, results(receiver))
  end)

  it('hands a value from a sender that waits', function()
    local sender = start(ch.send, ch, 'value')
    assert.same({ n = 2, 'value', true }, pack(ch:recv()))
    assert.same({ n = 1, true }, results(sender))
  end)

  it('lets send return only when a receiver has the value', function()
    local sender = start(ch.send, ch, 1)
    assert.equal('parked', sender:status())
    ch:recv()
    assert.is_true((sender:wait()))
  end)

  it('queues a woken task, and does not run it inside of the call', function()
    local order = {}
    local receiver = start(function()
      ch:recv()
      table.insert(order, 'receiver')
    end)
    ch:send(1)
    table.insert(order, 'sender')
    receiver:wait()
    assert.same({ 'sender', 'receiver' }, order)
  end)

  it('takes a value by try_send only for a receiver that waits', function()
    local receiver = start(ch.recv, ch)
    assert.same({ true }, { ch:try_send('tried') })
    assert.same({ false, 'full' }, { ch:try_send('again') })
    assert.same({ n = 2, 'tried', true }, results(receiver))
  end)

  it('gives a value by try_recv only from a sender that waits', function()
    assert.same({ n = 3, nil, false, 'empty' }, pack(ch:try_recv()))
    local sender = start(ch.send, ch, 'tried')
    assert.same({ n = 2, 'tried', true }, pack(ch:try_recv()))
    assert.same({ n = 3, nil, false, 'empty' }, pack(ch:try_recv()))
    sender:wait()
  end)

  it('serves receivers in the order they came', function()
    local receivers = {}
    for i = 1, 20 do
      receivers[i] = start(ch.recv, ch)
    end
    for i = 1, 20 do
      ch:send(i)
    end
    for i = 1, 20 do
      assert.equal(i, results(receivers[i])[1])
    end
  end)

  it('serves senders in the order they came', function()
    local senders = {}
    for i = 1, 20 do
      senders[i] = start(ch.send, ch, i)
    end
    for i = 1, 20 do
      assert.equal(i, (ch:recv()))
      senders[i]:wait()
    end
  end)

  it('keeps the order when one in the middle is canceled', function()
    local senders = {}
    for i = 1, 3 do
      senders[i] = start(ch.send, ch, i)
    end
    senders[2]:cancel()
    assert.same({ 1, 3 }, { (ch:recv()), (ch:recv()) })
    for i = 1, 3 do
      assert.equal(i ~= 2, (senders[i]:wait()))
    end
  end)

  it('carries channels and functions as they are', function()
    local sender = start(ch.send, ch, ch)
    assert.equal(ch, (ch:recv()))
    sender:wait()
  end)
end)

describe('a buffered channel', function()
  it('holds as many values as it has capacity', function()
    local ch = lagoon.chan(2)
    assert.is_true(ch:send(1) and ch:send(2))
    assert.same({ 2, 2 }, { ch:len(), ch:cap() })
    assert.same({ false, 'full' }, { ch:try_send(3) })
  end)

  it('gives values in the order they came, around its end and over again', function()
    local ch, sent, received = lagoon.chan(3), 0, 0
    for round = 1, 20 do
      for _ = 1, 1 + round % 3 do
        sent = sent + 1
        ch:send(sent)
      end
      while ch:len() > 0 do
        received = received + 1
        assert.equal(received, (ch:recv()))
      end
    end
    assert.equal(sent, received)
  end)

  it('parks a sender while it is full, and takes its value when there is room', function()
    local ch = lagoon.chan(1)
    ch:send('first')
    local sender = start(ch.send, ch, 'second')
    assert.equal('parked', sender:status())
    assert.equal('first', (ch:recv()))
    assert.equal(1, ch:len())
    assert.equal('second', (ch:recv()))
    assert.same({ n = 1, true }, results(sender))
  end)

  it('lets nobody overtake a sender that is parked', function()
    local ch = lagoon.chan(1)
    ch:send(1)
    local sender = start(ch.send, ch, 2)
    ch:recv()
    assert.same({ false, 'full' }, { ch:try_send(3) })
    assert.equal(2, (ch:recv()))
    sender:wait()
  end)

  it('gives a value to a receiver that waits without a stop in the buffer', function()
    local ch = lagoon.chan(5)
    local receiver = start(ch.recv, ch)
    ch:send('direct')
    assert.equal(0, ch:len())
    assert.same({ n = 2, 'direct', true }, results(receiver))
  end)

  it('does not keep values it has given away', function()
    local ch, weak = lagoon.chan(2), setmetatable({}, { __mode = 'v' })
    weak[1] = {}
    ch:send(weak[1])
    ch:recv()
    collectgarbage()
    assert.is_nil(weak[1])
  end)
end)

describe('nil and false', function()
  for _, capacity in ipairs({ 0, 3 }) do
    it('travel like any value with capacity ' .. capacity, function()
      local ch = lagoon.chan(capacity)
      local sender = start(function()
        ch:send(nil)
        ch:send(false)
        ch:send()
      end)
      assert.same({ n = 2, nil, true }, pack(ch:recv()))
      assert.same({ n = 2, false, true }, pack(ch:recv()))
      assert.same({ n = 2, nil, true }, pack(ch:recv()))
      sender:wait()
    end)
  end

  it('reach a receiver that waits', function()
    local ch = lagoon.chan()
    local first, second = start(ch.recv, ch), start(ch.recv, ch)
    ch:send(nil)
    ch:send(false)
    assert.same({ n = 2, nil, true }, results(first))
    assert.same({ n = 2, false, true }, results(second))
  end)

  it('are tried like any value', function()
    local ch = lagoon.chan(2)
    assert.is_true(ch:try_send(nil) and ch:try_send(false))
    assert.same({ n = 2, nil, true }, pack(ch:try_recv()))
    assert.same({ n = 2, false, true }, pack(ch:try_recv()))
  end)
end)

describe('a closed channel', function()
  it('is closed once', function()
    local ch = lagoon.chan()
    assert.is_true(ch:close())
    assert.is_false(ch:close())
  end)

  it('takes nothing', function()
    for _, capacity in ipairs({ 0, 1 }) do
      local ch = lagoon.chan(capacity)
      ch:close()
      assert.same({ n = 2, nil, 'closed' }, pack(ch:send(1)))
      assert.same({ n = 2, false, 'closed' }, pack(ch:try_send(1)))
    end
  end)

  it('gives what it holds, then nil and false for ever', function()
    local ch = lagoon.chan(2)
    ch:send(1)
    ch:send(2)
    ch:close()
    assert.same({ n = 2, 1, true }, pack(ch:recv()))
    assert.same({ n = 2, 2, true }, pack(ch:try_recv()))
    assert.same({ n = 2, nil, false }, pack(ch:recv()))
    assert.same({ n = 2, nil, false }, pack(ch:recv()))
    assert.same({ n = 3, nil, false, 'closed' }, pack(ch:try_recv()))
  end)

  it('wakes every receiver', function()
    local ch = lagoon.chan(1)
    local first, second = start(ch.recv, ch), start(ch.recv, ch)
    ch:close()
    assert.same({ n = 2, nil, false }, results(first))
    assert.same({ n = 2, nil, false }, results(second))
  end)

  it('wakes every sender, whose values are not sent', function()
    local ch = lagoon.chan(1)
    ch:send('held')
    local first, second = start(ch.send, ch, 1), start(ch.send, ch, 2)
    ch:close()
    assert.same({ n = 2, nil, 'closed' }, results(first))
    assert.same({ n = 2, nil, 'closed' }, results(second))
    assert.same({ n = 2, 'held', true }, pack(ch:recv()))
    assert.same({ n = 2, nil, false }, pack(ch:recv()))
  end)

  it('does not take back a value that a receiver had been given', function()
    local ch = lagoon.chan()
    local receiver = start(ch.recv, ch)
    ch:send('given')
    ch:close()
    assert.same({ n = 2, 'given', true }, results(receiver))
  end)
end)

describe('iterating over a channel', function()
  it('ends when it is closed and drained', function()
    local ch, got = lagoon.chan(2), {}
    local producer = lagoon.spawn(function()
      for i = 1, 5 do
        ch:send(i)
      end
      ch:close()
    end)
    for v in ch:iter() do
      table.insert(got, v)
    end
    assert.same({ 1, 2, 3, 4, 5 }, got)
    producer:wait()
  end)

  it('passes over no false, and ends at a nil', function()
    local ch, got = lagoon.chan(3), {}
    ch:send(false)
    ch:send(nil)
    ch:send('left')
    for v in ch:iter() do
      table.insert(got, v)
    end
    assert.same({ false }, got)
    assert.equal('left', (ch:recv()))
  end)

  it('shares the values among several tasks', function()
    local ch, sum, workers = lagoon.chan(), 0, {}
    for i = 1, 3 do
      workers[i] = lagoon.spawn(function()
        for v in ch:iter() do
          sum = sum + v
        end
      end)
    end
    for v = 1, 100 do
      ch:send(v)
    end
    ch:close()
    for i = 1, 3 do
      workers[i]:wait()
    end
    assert.equal(5050, sum)
  end)
end)

describe('a channel that nobody refers to', function()
  it('is collected, with what it holds', function()
    local weak = setmetatable({}, { __mode = 'v' })
    weak.ch, weak.value = lagoon.chan(1), {}
    weak.ch:send(weak.value)
    collectgarbage()
    assert.is_nil(weak.ch)
    assert.is_nil(weak.value)
  end)
end)

describe('misuse of a channel', function()
  it('is blamed on the line that asks for a bad capacity', function()
    for _, capacity in ipairs({ -1, 1.5, 0 / 0, math.huge, 1e300, '1', {}, false }) do
      local message = misuse(function()
        lagoon.chan(capacity)
      end)
      assert.matches('capacity must be', message, 1, true)
    end
  end)

  it('is blamed on the line that calls a method of something else', function()
    local ch = lagoon.chan(1)
    local methods = { 'send', 'recv', 'try_send', 'try_recv', 'close', 'len', 'cap', 'iter' }
    for _, name in ipairs(methods) do
      for _, self in ipairs({ {}, 7, 'channel', lagoon.current(), newproxy() }) do
        local message = misuse(function()
          ch[name](self)
        end)
        assert.matches('^channel expected, got %a+ %(call its methods with a colon%)$', message)
      end
    end
  end)

  it('leaves the channel as it was', function()
    local ch = lagoon.chan(1)
    pcall(ch.send)
    pcall(ch.recv)
    assert.is_true(ch:send(1))
    assert.equal(1, (ch:recv()))
  end)
end)
