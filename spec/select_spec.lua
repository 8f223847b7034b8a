local lagoon = require('lagoon')
local support = require('spec.support')

local misuse = support.misuse
local pack, start, results = support.pack, support.start, support.results

local select_, recv, send = lagoon.select, lagoon.recv, lagoon.send

-- A channel that holds the values.
local function holding(...)
  local n = select('#', ...)
  local ch = lagoon.chan(n)
  for i = 1, n do
    ch:send((select(i, ...)))
  end
  return ch
end

local function assert_untouched(ch)
  assert.same({ false, 'full' }, { ch:try_send(1) })
  assert.same({ n = 3, nil, false, 'empty' }, pack(ch:try_recv()))
end

describe('select', function()
  it('receives from a bare channel, and returns its key, value and ok', function()
    assert.same({ n = 3, 1, 'v', true }, pack(select_({ holding('v') })))
    assert.same({ n = 3, 'jobs', 'v', true }, pack(select_({ jobs = holding('v') })))
  end)

  it('receives by recv() in the same way', function()
    assert.same({ n = 3, 'jobs', 'v', true }, pack(select_({ jobs = recv(holding('v')) })))
  end)

  it('sends by send(), and returns its key and true', function()
    local ch = lagoon.chan(1)
    assert.same({ 'out', true }, { select_({ out = send(ch, 'v') }) })
    assert.equal('v', (ch:recv()))
  end)

  it('takes keys of any type', function()
    local key = {}
    assert.equal(key, (select_({ [key] = holding(1) })))
    assert.equal(true, (select_({ [true] = holding(1) })))
    assert.equal(2.5, (select_({ [2.5] = holding(1) })))
  end)

  it('carries nil and false', function()
    assert.same({ n = 3, 1, nil, true }, pack(select_({ holding(nil) })))
    assert.same({ n = 3, 1, false, true }, pack(select_({ holding(false) })))
    local ch = lagoon.chan(2)
    select_({ send(ch, nil) })
    select_({ send(ch, false) })
    assert.same({ n = 2, nil, true }, pack(ch:recv()))
    assert.same({ n = 2, false, true }, pack(ch:recv()))
  end)

  it('carries nil to and from others that are parked', function()
    local ch = lagoon.chan()
    local receiver = start(select_, { ch })
    select_({ send(ch, nil) })
    assert.same({ n = 3, 1, nil, true }, results(receiver))
    local sender = start(select_, { send(ch, nil) })
    assert.same({ n = 3, 1, nil, true }, pack(select_({ ch })))
    assert.same({ n = 2, 1, true }, results(sender))
  end)

  it('sees a closed channel as ready', function()
    local ch = lagoon.chan()
    ch:close()
    assert.same({ n = 3, 'r', nil, false }, pack(select_({ r = ch })))
    assert.same({ n = 3, 's', nil, 'closed' }, pack(select_({ s = send(ch, 1) })))
  end)

  it('is woken by close, receiving and sending', function()
    local ch = lagoon.chan()
    local receiver = start(select_, { r = ch })
    ch:close()
    assert.same({ n = 3, 'r', nil, false }, results(receiver))
    ch = lagoon.chan()
    local sender = start(select_, { s = send(ch, 1) })
    ch:close()
    assert.same({ n = 3, 's', nil, 'closed' }, results(sender))
  end)

  it('parks until a value comes', function()
    local a, b = lagoon.chan(), lagoon.chan()
    local task = start(select_, { a = a, b = b })
    assert.equal('parked', task:status())
    b:send('late')
    assert.same({ n = 3, 'b', 'late', true }, results(task))
  end)

  it('parks until a value can be sent', function()
    local a, b = lagoon.chan(), lagoon.chan()
    local task = start(select_, { a = send(a, 1), b = send(b, 2) })
    assert.same({ 2, true }, { b:recv() })
    assert.same({ n = 2, 'b', true }, results(task))
    assert_untouched(a)
  end)

  it('takes the place of a full buffer in its turn', function()
    local ch = holding(1)
    local first, second = start(select_, { send(ch, 2) }), start(ch.send, ch, 3)
    assert.same({ 1, 2, 3 }, { (ch:recv()), (ch:recv()), (ch:recv()) })
    assert.is_true((first:wait()) and (second:wait()))
  end)

  it('stands in the queue of a channel like any other waiter', function()
    local ch = lagoon.chan()
    local first, second, third = start(ch.recv, ch), start(select_, { ch }), start(ch.recv, ch)
    for i = 1, 3 do
      ch:send(i)
    end
    assert.equal(1, results(first)[1])
    assert.equal(2, results(second)[2])
    assert.equal(3, results(third)[1])
  end)

  it('meets another select', function()
    local ch, quiet = lagoon.chan(), lagoon.chan()
    local receiver = start(select_, { quiet = quiet, got = ch })
    assert.same({ 'sent', true }, { select_({ quiet = quiet, sent = send(ch, 'hello') }) })
    assert.same({ n = 3, 'got', 'hello', true }, results(receiver))
  end)

  it('is not woken by what it does itself', function()
    local ch = lagoon.chan()
    local task = start(select_, { r = recv(ch), s = send(ch, 'own') })
    assert.equal('parked', task:status())
    assert.equal('own', (ch:recv()))
    assert.equal('s', results(task)[1])
  end)
end)

describe('a case that is nil or false', function()
  it('is never ready', function()
    local off = false
    assert.equal('on', (select_({ off = off, on = holding(1), gone = nil })))
    for _ = 1, 20 do
      assert.equal('default', (select_({ off = off, default = true })))
    end
  end)

  it('does not keep the others from parking', function()
    local ch = lagoon.chan()
    local task = start(select_, { off = false, on = ch })
    ch:send(1)
    assert.equal('on', results(task)[1])
  end)

  it('leaves a timeout its effect, when it is alone', function()
    assert.same({ n = 1, 'timeout' }, pack(select_({ off = false, timeout = 0.001 })))
  end)

  it('switches timeout and default off, too', function()
    local ch = lagoon.chan()
    local task = start(select_, { ch, timeout = false, default = false })
    assert.equal('parked', task:status())
    ch:send(1)
    task:wait()
  end)
end)

describe('select without anything to wait for', function()
  local sets = { ['no case'] = {}, ['only false'] = { off = false, default = false } }
  for name, cases in pairs(sets) do
    it('parks for ever with ' .. name, function()
      local task = start(select_, cases)
      assert.same({ nil, 'timeout' }, { task:wait(0.002) })
      assert.equal('parked', task:status())
      task:cancel()
      assert.is_false((task:wait()))
    end)
  end
end)

describe('the default case', function()
  it('is chosen when nothing is ready', function()
    local ch = lagoon.chan()
    assert.same({ n = 1, 'default' }, pack(select_({ ch, send(ch, 1), default = true })))
    assert_untouched(ch)
  end)

  it('is not chosen when something is', function()
    for _ = 1, 50 do
      assert.equal(1, (select_({ holding(1), default = true })))
    end
  end)

  it('does not wait, and gives no turn to others', function()
    local ran = false
    local task = lagoon.spawn(function()
      ran = true
    end)
    select_({ lagoon.chan(), default = true, timeout = 10 })
    assert.is_false(ran)
    task:wait()
  end)
end)

describe('the timeout of select', function()
  -- Keeps the loop from its timers until they are due.
  local function overdue(seconds)
    local till = lagoon.now() + seconds
    repeat
    until lagoon.now() > till
  end

  it('ends it after so many seconds', function()
    local began = lagoon.now()
    assert.same({ n = 1, 'timeout' }, pack(select_({ lagoon.chan(), timeout = 0.005 })))
    assert.is_true(lagoon.now() - began >= 0.005)
  end)

  it('does not wait if it is 0 or less', function()
    for _, seconds in ipairs({ 0, -1, -math.huge }) do
      assert.equal('timeout', (select_({ lagoon.chan(), timeout = seconds })))
      assert.equal(1, (select_({ holding(1), timeout = seconds })))
    end
  end)

  it('may be infinite', function()
    local ch = lagoon.chan()
    local task = start(select_, { ch, timeout = math.huge })
    ch:send(1)
    assert.equal(1, results(task)[1])
  end)

  it('loses to a conn that has data in the same turn', function()
    local listener = assert(lagoon.net.listen('tcp', '127.0.0.1:0'))
    local client = assert(lagoon.net.dial('tcp', listener:addr()))
    local conn = assert(listener:accept())
    local task = start(select_, { data = conn, timeout = 0.002 })
    client:write('in time')
    overdue(0.002)
    assert.equal('data', results(task)[1])
    client:close()
    conn:close()
    listener:close()
  end)

  it('that is due in the turn in which a case was ready does not disturb the next wait', function()
    local ch = lagoon.chan()
    local task = start(function()
      local which = select_({ tick = lagoon.after(0.001), timeout = 0.0011 })
      return which, ch:recv()
    end)
    overdue(0.002)
    assert.same({ nil, 'timeout' }, { task:wait(0.005) })
    ch:send('v')
    assert.same({ n = 3, 'tick', 'v', true }, results(task))
  end)

  it('loses to data that is sent after it, but before the task runs', function()
    local ch = lagoon.chan()
    local sender = lagoon.spawn(function()
      lagoon.sleep(0.001)
      return ch:try_send('in time')
    end)
    local receiver = lagoon.spawn(function()
      return select_({ data = ch, timeout = 0.001 })
    end)
    lagoon.yield()
    overdue(0.002)
    assert.same({ n = 3, 'data', 'in time', true }, results(receiver))
    assert.is_true(results(sender)[1])
  end)

  it('leaves nothing behind on the channels', function()
    local ch = lagoon.chan()
    select_({ ch, send(ch, 1), timeout = 0.001 })
    assert_untouched(ch)
  end)
end)

describe('the choice of select', function()
  -- How often each of n ready cases is chosen in 1,000 rounds a case.
  local function count(cases, rounds, prepare)
    local chosen = {}
    for _ = 1, rounds do
      prepare()
      local key = select_(cases)
      chosen[key] = (chosen[key] or 0) + 1
    end
    return chosen
  end

  it('is uniform among receivers that are ready', function()
    local cases = {}
    for i = 1, 4 do
      cases[i] = holding(1)
    end
    local chosen = count(cases, 4000, function()
      for i = 1, 4 do
        cases[i]:try_send(1)
      end
    end)
    for i = 1, 4 do -- six standard deviations
      assert.is_true(math.abs(chosen[i] - 1000) < 165, 'chosen ' .. chosen[i])
    end
  end)

  it('is uniform among sending and receiving', function()
    local full, room = holding(1), lagoon.chan(1)
    local chosen = count({ r = full, s = send(room, 1) }, 2000, function()
      full:try_send(1)
      room:try_recv()
    end)
    assert.is_true(math.abs(chosen.r - 1000) < 135, 'chosen ' .. chosen.r)
  end)

  it('does not depend on the seed of math.random, nor change its numbers', function()
    math.randomseed(42)
    local expected = math.random()
    math.randomseed(42)
    select_({ holding(1), holding(2) })
    assert.equal(expected, math.random())
  end)
end)

describe('a handler', function()
  it('gets what recv returns; select returns its results', function()
    local function handler(...)
      return select('#', ...), ...
    end
    assert.same({ n = 4, 'k', 2, 'v', true }, pack(select_({ k = recv(holding('v'), handler) })))
  end)

  it('gets what send returns', function()
    local ch = lagoon.chan(1)
    local which, sent = select_({ k = send(ch, 'v', function(ok)
      return ok
    end) })
    assert.same({ 'k', true }, { which, sent })
    ch:close()
    assert.same(
      { 'k', 'closed' },
      { select_({ k = send(ch, 'v', function(_, err)
        return err
      end) }) }
    )
  end)

  it('runs in the task that selects, and may wait', function()
    local ch, other = lagoon.chan(), lagoon.chan()
    local task
    task = start(select_, { recv(ch, function(v)
      assert(lagoon.current() == task)
      return v, (other:recv())
    end) })
    ch:send('a')
    other:send('b')
    assert.same({ n = 3, 1, 'a', 'b' }, results(task))
  end)

  it('may select again', function()
    local function again()
      return select_({ inner = holding('deep') })
    end
    local results_ = { select_({ outer = recv(holding(1), again) }) }
    assert.same({ 'outer', 'inner', 'deep', true }, results_)
  end)

  it('may fail, and nothing is left behind', function()
    local ch, quiet = holding(1), lagoon.chan()
    local ok, err = pcall(select_, { quiet, recv(ch, function()
      error('by handler', 0)
    end) })
    assert.same({ false, 'by handler' }, { ok, err })
    assert_untouched(quiet)
  end)

  it('of a case that lost does not run', function()
    local function never()
      error('it runs')
    end
    assert.equal(1, (select_({ holding(1), recv(lagoon.chan(), never) })))
  end)
end)

describe('a channel in several cases', function()
  it('is received from once', function()
    local ch = lagoon.chan()
    local task = start(select_, { a = ch, b = recv(ch), c = ch })
    ch:send('v')
    local list = results(task)
    assert.is_true(list[1] == 'a' or list[1] == 'b' or list[1] == 'c')
    assert.same({ 'v', true }, { list[2], list[3] })
    assert_untouched(ch)
  end)

  it('is sent to once', function()
    local ch = lagoon.chan()
    local task = start(select_, { send(ch, 1), send(ch, 2) })
    local v = ch:recv()
    assert.same({ n = 2, v, true }, results(task))
    assert_untouched(ch)
  end)

  it('is received from or sent to, as others come', function()
    local ch = lagoon.chan()
    local task = start(select_, { r = ch, s = send(ch, 'out') })
    assert.is_true(ch:try_send('in'))
    assert.same({ n = 3, 'r', 'in', true }, results(task))
    task = start(select_, { r = ch, s = send(ch, 'out') })
    assert.same({ 'out', true }, { ch:recv() })
    assert.same({ n = 2, 's', true }, results(task))
    assert_untouched(ch)
  end)

  it('lets two selects that send and receive meet once', function()
    local ch = lagoon.chan()
    local a = start(select_, { r = ch, s = send(ch, 'a') })
    local b = start(select_, { r = ch, s = send(ch, 'b') })
    local from_a, from_b = results(a), results(b)
    assert.is_true(from_a[1] ~= from_b[1])
    assert.equal(from_a[1] == 'r' and 'b' or 'a', (from_a[1] == 'r' and from_a or from_b)[2])
    assert_untouched(ch)
  end)

  it('wakes each of its cases once by close', function()
    local ch = lagoon.chan()
    local task = start(select_, { a = ch, b = ch, s = send(ch, 1) })
    ch:close()
    assert.is_nil(results(task)[2])
  end)
end)

describe('a select that has ended', function()
  it('leaves nothing behind on the channels that lost', function()
    local quiet, busy = lagoon.chan(), lagoon.chan()
    local task = start(select_, { quiet = quiet, out = send(quiet, 1), busy = busy })
    busy:send(1)
    assert_untouched(quiet)
    assert.equal('busy', results(task)[1])
  end)

  it('leaves nothing behind when it is canceled', function()
    local quiet = lagoon.chan()
    local task = start(select_, { quiet = quiet, out = send(quiet, 1), timeout = 1000 })
    task:cancel()
    assert_untouched(quiet)
    assert.is_false((task:wait()))
  end)

  it('leaves nothing behind when one of its cases is wrong', function()
    local quiet = lagoon.chan()
    pcall(select_, { quiet, send(quiet, 1), 'wrong' })
    assert_untouched(quiet)
  end)

  it('keeps no value alive', function()
    local weak = setmetatable({}, { __mode = 'v' })
    weak.key, weak.value, weak.ch = {}, {}, lagoon.chan(1)
    select_({ [weak.key] = send(weak.ch, weak.value) })
    weak.ch = nil
    collectgarbage()
    collectgarbage()
    assert.same({}, { weak.key, weak.value })
  end)

  it('keeps no value alive that it received while parked', function()
    local weak, ch = setmetatable({}, { __mode = 'v' }), lagoon.chan()
    local task = start(function()
      select_({ ch, timeout = 1000 })
    end)
    weak.value = {}
    ch:send(weak.value)
    task:wait()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak.value)
  end)
end)

describe('a selector', function()
  it('waits again and again', function()
    local ch, done = lagoon.chan(2), lagoon.chan(1)
    local sel = lagoon.selector({ value = ch, done = recv(done) })
    ch:send(1)
    assert.same({ n = 3, 'value', 1, true }, pack(sel:wait()))
    done:send(2)
    assert.same({ n = 3, 'done', 2, true }, pack(sel:wait()))
    local task = start(sel.wait, sel)
    ch:send(3)
    assert.same({ n = 3, 'value', 3, true }, results(task))
  end)

  it('leaves nothing behind between two waits', function()
    local ch, other = lagoon.chan(), lagoon.chan()
    local sel = lagoon.selector({ ch, send(ch, 1), other })
    local task = start(sel.wait, sel)
    other:send(1)
    task:wait()
    assert_untouched(ch)
  end)

  it('has its timeout and default at each wait', function()
    local ch = lagoon.chan(1)
    local sel = lagoon.selector({ ch, timeout = 0.001 })
    assert.equal('timeout', (sel:wait()))
    assert.equal('timeout', (sel:wait()))
    ch:send(1)
    assert.equal(1, (sel:wait()))
    sel:set('default', true)
    assert.equal('default', (sel:wait()))
    sel:set('default', false)
    assert.equal('timeout', (sel:wait()))
  end)

  it('changes a case by set()', function()
    local sel = lagoon.selector({ a = holding(1), b = lagoon.chan() })
    sel:set('a', nil)
    sel:set('b', holding('new'))
    assert.same({ n = 3, 'b', 'new', true }, pack(sel:wait()))
  end)

  it('switches a case off and on', function()
    local ch = holding(1, 2)
    local sel = lagoon.selector({ jobs = ch, timeout = 0 })
    sel:set('jobs', false)
    assert.equal('timeout', (sel:wait()))
    sel:set('jobs', ch)
    assert.equal('jobs', (sel:wait()))
    sel:set('never was', nil)
    assert.equal('jobs', (sel:wait()))
  end)

  it('gets another timeout by set()', function()
    local sel = lagoon.selector({ lagoon.chan(), timeout = 1000 })
    sel:set('timeout', 0)
    assert.equal('timeout', (sel:wait()))
  end)

  it('sends the value that was set last', function()
    local ch = lagoon.chan(2)
    local sel = lagoon.selector({ out = send(ch, 1) })
    sel:set('out', send(ch, 2))
    sel:wait()
    assert.equal(2, (ch:recv()))
  end)

  it('makes no garbage', function()
    local ch = lagoon.chan(1)
    local sel = lagoon.selector({ ch, lagoon.chan(), timeout = 1000 })
    local function rounds(n)
      for _ = 1, n do
        ch:send(1)
        sel:wait()
      end
    end
    rounds(2000) -- until everything is compiled that will be
    collectgarbage()
    collectgarbage('stop')
    finally(function()
      collectgarbage('restart')
    end)
    local before = collectgarbage('count')
    rounds(500)
    assert.is_true(collectgarbage('count') - before < 8, 'kilobytes')
  end)

  it('can wait again after a cancellation', function()
    local ch = lagoon.chan()
    local sel = lagoon.selector({ ch })
    local task = start(sel.wait, sel)
    task:cancel()
    task:wait()
    assert_untouched(ch)
    task = start(sel.wait, sel)
    ch:send('v')
    assert.equal('v', results(task)[2])
  end)

  it('is for one task at a time', function()
    local ch = lagoon.chan()
    local sel = lagoon.selector({ ch })
    local task = start(sel.wait, sel)
    misuse(function()
      sel:wait()
    end)
    misuse(function()
      sel:set(1, nil)
    end)
    ch:send(1)
    task:wait()
  end)
end)

describe('select on other things', function()
  local function listen()
    return assert(lagoon.net.listen('tcp', '127.0.0.1:0'))
  end

  it('receives the time from after()', function()
    local began = lagoon.now()
    local which, time, ok = select_({ tick = lagoon.after(0.002), timeout = 1000 })
    assert.same({ 'tick', true }, { which, ok })
    assert.is_true(time >= began + 0.002)
  end)

  it('receives ticks', function()
    local ticker = lagoon.ticker(0.001)
    finally(function()
      ticker:stop()
    end)
    for _ = 1, 3 do
      assert.equal('tick', (select_({ tick = ticker.ch, timeout = 1000 })))
    end
  end)

  it('waits for the end of a task', function()
    local ch = lagoon.chan()
    local task = lagoon.spawn(function()
      return nil, ch:recv(), nil
    end)
    local waiter = lagoon.spawn(select_, { done = task, timeout = 1000 })
    lagoon.yield()
    ch:send('v')
    assert.same({ n = 5, 'done', true, nil, 'v', nil }, results(waiter))
    assert.same({ n = 5, 'done', true, nil, 'v', nil }, pack(select_({ done = task })))
  end)

  it('gets the error of a task that failed', function()
    local err = {}
    local task = lagoon.spawn(function()
      lagoon.yield()
      error(err)
    end)
    local waiter = lagoon.spawn(select_, { done = task })
    assert.same({ n = 3, 'done', false, err }, results(waiter))
  end)

  it('leaves nothing behind on a task that lost', function()
    local ch, asked = lagoon.chan(), nil
    local before = lagoon.on_error(function(_, err)
      asked = err
    end)
    finally(function()
      lagoon.on_error(before)
    end)
    local task = start(function()
      ch:recv()
      error('nobody waits any more', 0)
    end)
    local ok, which = pcall(select_, { task, timeout = 0.001 })
    ch:send(1)
    lagoon.yield()
    assert.same({ true, 'timeout', 'nobody waits any more' }, { ok, which, asked })
  end)

  it('accepts from a listener', function()
    local listener = listen()
    local waiter = start(select_, { conn = listener, timeout = 1000 })
    local client = assert(lagoon.net.dial('tcp', listener:addr()))
    local list = results(waiter)
    assert.equal('conn', list[1])
    list[2]:write('hello')
    assert.equal('hello', client:read())
    list[2]:close()
    client:close()
    listener:close()
  end)

  it('gets nil, "closed" from a listener that is closed', function()
    local listener = listen()
    local waiter = start(select_, { conn = listener })
    listener:close()
    assert.same({ n = 3, 'conn', nil, 'closed' }, results(waiter))
    assert.same({ n = 3, 'conn', nil, 'closed' }, pack(select_({ conn = listener })))
  end)

  it('loses no client when another case wins', function()
    local listener, other = listen(), lagoon.chan(1)
    local client = assert(lagoon.net.dial('tcp', listener:addr()))
    local which, conn
    repeat
      other:try_send(1)
      which, conn = select_({ conn = listener, other = other })
      if which == 'conn' then -- the other case has to win: once more
        conn:close()
        client:close()
        client = assert(lagoon.net.dial('tcp', listener:addr()))
      end
    until which == 'other'
    local acceptor = lagoon.spawn(listener.accept, listener)
    local ok, accepted = acceptor:wait(0.1)
    acceptor:cancel()
    client:close()
    listener:close()
    assert.is_true(ok, 'accept() does not see the client')
    accepted:close()
  end)

  it('waits until a conn is readable, and reads nothing', function()
    local a, b = lagoon.net.pipe()
    local listener = listen()
    local dialed = assert(lagoon.net.dial('tcp', listener:addr()))
    local accepted = assert(listener:accept())
    for _, ends in ipairs({ { a, b }, { dialed, accepted } }) do
      local waiter = start(select_, { conn = ends[1], timeout = 1000 })
      assert.equal('parked', waiter:status())
      ends[2]:write('data')
      assert.same({ n = 2, 'conn', true }, results(waiter))
      assert.same({ 'conn', true }, { select_({ conn = lagoon.readable(ends[1]) }) })
      assert.equal('data', ends[1]:read())
      ends[1]:close()
      ends[2]:close()
    end
    listener:close()
  end)

  it('sees a conn that the peer has closed as readable', function()
    local a, b = lagoon.net.pipe()
    local waiter = start(select_, { conn = a })
    b:close()
    assert.same({ n = 2, 'conn', true }, results(waiter))
    assert.same({ nil, 'eof' }, { a:read() })
  end)

  it('waits until a conn is writable', function()
    local a, b = lagoon.net.pipe()
    assert.same({ 1, true }, { select_({ lagoon.writable(a) }) })
    a:write(('x'):rep(64 * 1024))
    local waiter = start(select_, { lagoon.writable(a) })
    assert.equal('parked', waiter:status())
    b:read()
    assert.is_true((waiter:wait()))
  end)

  it('leaves nothing behind on a conn that lost', function()
    local listener = listen()
    local client = assert(lagoon.net.dial('tcp', listener:addr()))
    local conn = assert(listener:accept())
    assert.equal('timeout', (select_({ client, listener, timeout = 0.001 })))
    conn:write('later')
    assert.equal('later', client:read())
    client:close()
    conn:close()
    listener:close()
  end)
end)

describe('misuse of select', function()
  it('is blamed on the line that calls it, and names the key', function()
    for _, value in ipairs({ 7, 'text', true, {}, print, newproxy(), coroutine.create(print) }) do
      local message = misuse(function()
        select_({ lagoon.chan(), broken_one = value })
      end)
      assert.matches("'broken_one'", message, 1, true)
      misuse(function()
        lagoon.selector({ value })
      end)
    end
  end)

  it('is blamed on the line that gives something else than cases', function()
    for _, cases in ipairs({ 7, 'text', true, print }) do
      misuse(function()
        select_(cases)
      end)
      misuse(function()
        lagoon.selector(cases)
      end)
    end
    misuse(function()
      select_()
    end)
  end)

  it('of a key that is no string names it without quotes', function()
    local message = misuse(function()
      select_({ 'text' })
    end)
    assert.equal('case 1 cannot be selected on: it is a string', message)
  end)

  it('by one case instead of a table of cases says what to write', function()
    local a, b = lagoon.net.pipe()
    for _, case in ipairs({ lagoon.chan(), lagoon.current(), a, recv(lagoon.chan()) }) do
      for name, f in pairs({ select = select_, selector = lagoon.selector }) do
        local message = misuse(function()
          f(case)
        end)
        assert.matches('a single one: write ' .. name .. '({ ch })', message, 1, true)
      end
    end
    a:close()
    b:close()
  end)

  it('by a ticker or a timer says what to write', function()
    local ticker, timer = lagoon.ticker(1000), lagoon.timer(1000, print)
    finally(function()
      ticker:stop()
      timer:stop()
    end)
    for value, hint in pairs({
      [ticker] = 'a ticker: use ticker.ch',
      [timer] = 'a timer: use after()',
    }) do
      local as_case = misuse(function()
        select_({ tick = value })
      end)
      assert.equal("case 'tick' cannot be selected on: it is " .. hint, as_case)
      local bare = misuse(function()
        select_(value)
      end)
      assert.equal('select takes a table of cases, got ' .. hint, bare)
    end
  end)

  it('is blamed on the line with a bad timeout', function()
    for _, seconds in ipairs({ 'soon', 0 / 0, {}, true }) do
      local message = misuse(function()
        select_({ timeout = seconds })
      end)
      assert.matches('timeout', message, 1, true)
    end
  end)

  it('is blamed on the line that makes a bad case', function()
    for _, make in ipairs({ recv, send, lagoon.readable, lagoon.writable }) do
      for _, value in ipairs({ 'text', {}, print }) do
        misuse(function()
          make(value)
        end)
      end
    end
    misuse(function()
      recv(lagoon.chan(), 'no handler')
    end)
    misuse(function()
      send(lagoon.chan(), 1, 'no handler')
    end)
  end)

  it('is blamed on the line that sets a bad case of a selector', function()
    local sel = lagoon.selector({ a = holding(1) })
    misuse(function()
      sel:set('a', 'text')
    end)
  end)

  it('is blamed on the line that calls a method with a dot, and names the colon', function()
    local sel = lagoon.selector({ a = holding(1) })
    for _, method in ipairs({ sel.wait, sel.set }) do
      local message = misuse(function()
        method('a')
      end)
      local expected = 'selector expected, got string (call its methods with a colon)'
      assert.equal(expected, message)
    end
  end)

  it('keeps the old case when set() gets a bad one', function()
    local sel = lagoon.selector({ a = holding(1), timeout = 0 })
    pcall(sel.set, sel, 'a', 'text')
    assert.equal('a', (sel:wait()))
  end)
end)
