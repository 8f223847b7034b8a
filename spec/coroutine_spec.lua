local lagoon = require('lagoon')
local support = require('spec.support')

local pack, start = support.pack, support.start

-- A generator of what comes on a channel.
local function generate(ch)
  return coroutine.wrap(function()
    for v in ch:iter() do
      coroutine.yield(v)
    end
  end)
end

-- A channel on which 1 to n will be sent, and which will be closed.
local function counting(n)
  local ch = lagoon.chan()
  lagoon.spawn(function()
    for i = 1, n do
      ch:send(i)
      lagoon.yield()
    end
    ch:close()
  end)
  return ch
end

describe("a script's own coroutine", function()
  it('may wait, and its consumer sees only what it yields', function()
    local got = {}
    for v in generate(counting(4)) do
      table.insert(got, v)
    end
    assert.same({ 1, 2, 3, 4 }, got)
  end)

  it('may wait through several levels', function()
    local function doubled(source)
      return coroutine.wrap(function()
        for v in source do
          lagoon.yield()
          coroutine.yield(2 * v)
        end
      end)
    end
    local sum = 0
    for v in doubled(doubled(doubled(generate(counting(5))))) do
      sum = sum + v
    end
    assert.equal(8 * 15, sum)
  end)

  it('passes arguments and results as it does without waits, nils included', function()
    local co = coroutine.create(function(...)
      lagoon.yield()
      local second = pack(coroutine.yield(select('#', ...), ...))
      lagoon.sleep(0.0001)
      return second.n, nil, nil
    end)
    assert.same({ n = 4, true, 2, nil, 'a' }, pack(coroutine.resume(co, nil, 'a')))
    assert.same({ n = 4, true, 3, nil, nil }, pack(coroutine.resume(co, 1, nil, nil)))
    assert.equal('dead', coroutine.status(co))
    assert.same({ false, 'cannot resume dead coroutine' }, { coroutine.resume(co) })
  end)

  it('raises through wrap what it raised after a wait', function()
    local err = {}
    local f = coroutine.wrap(function()
      lagoon.yield()
      error(err)
    end)
    assert.same({ false, err }, { pcall(f) })
  end)

  it('returns from resume what it raised after a wait', function()
    local co = coroutine.create(function()
      lagoon.yield()
      error('late', 0)
    end)
    assert.same({ false, 'late' }, { coroutine.resume(co) })
  end)

  it('may wait inside of pcall, xpcall, iterators and metamethods', function()
    local ch = counting(5)
    local function recv()
      return (ch:recv())
    end
    local t = setmetatable({}, { __index = recv, __add = recv, __tostring = recv })
    local co = coroutine.wrap(function()
      local _, first = pcall(recv)
      local _, second = xpcall(recv, print)
      return first, second, t.key, t + t, tostring(t)
    end)
    assert.same({ 1, 2, 3, 4, 5 }, { co() })
    assert.is_nil(recv())
  end)

  it('lets other tasks run while it waits', function()
    local ran = false
    local other = lagoon.spawn(function()
      ran = true
    end)
    coroutine.wrap(lagoon.yield)()
    assert.is_true(ran)
    other:wait()
  end)

  it('is normal while one that it resumed waits', function()
    local outer, seen
    outer = coroutine.create(function()
      coroutine.wrap(function()
        lagoon.yield()
        seen = coroutine.status(outer)
      end)()
    end)
    coroutine.resume(outer)
    assert.equal('normal', seen)
  end)

  it('may go from task to task', function()
    local next_value = generate(counting(3))
    for i = 1, 3 do
      assert.same({ true, i }, { lagoon.spawn(next_value):wait() })
    end
    next_value()
  end)

  it('may send, select and wait for tasks', function()
    local ch = lagoon.chan(1)
    local co = coroutine.wrap(function()
      ch:send('a')
      local which, v = lagoon.select({ ch, timeout = 1 })
      return which, v, lagoon.spawn(tostring, 7):wait()
    end)
    assert.same({ 1, 'a', true, '7' }, { co() })
  end)

  it('is canceled with its task', function()
    local err
    local task = start(function()
      coroutine.wrap(function()
        local _
        _, err = pcall(lagoon.sleep, 1000)
        error(err, 0)
      end)()
    end)
    task:cancel('both')
    assert.is_false((task:wait()))
    assert.equal('both', err.reason)
    assert.equal('canceled', task:status())
  end)

  it('that is dropped in the middle leaves nothing', function()
    local ch = counting(1)
    local next_value = generate(ch)
    next_value()
    next_value = nil -- luacheck: ignore
    collectgarbage()
    assert.same({ nil, false }, { ch:recv() })
  end)

  it('keeps coroutine.running and isyieldable in order', function()
    local co
    co = coroutine.create(function()
      lagoon.yield()
      return coroutine.running() == co, coroutine.isyieldable()
    end)
    assert.same({ true, true, true }, { coroutine.resume(co) })
  end)

  it('may nest a hundred deep, and much deeper fails without harm', function()
    local function nest(depth)
      if depth == 0 then
        lagoon.yield()
        return 'bottom'
      end
      return coroutine.wrap(nest)(depth - 1)
    end
    assert.equal('bottom', nest(100))
    local ok, err = pcall(nest, 100000)
    assert.is_false(ok)
    assert.matches('nested', err, 1, true)
    assert.equal('bottom', nest(100))
  end)
end)

describe('coroutine.yield', function()
  it('outside of a coroutine is an error that says what to call', function()
    local ok, err = lagoon.spawn(function()
      coroutine.yield(1)
    end):wait()
    assert.is_false(ok)
    assert.matches('coroutine_spec.lua:%d+: .*lagoon%.yield', err)
  end)

  it('is still what it was inside of one', function()
    local co = coroutine.wrap(function()
      return coroutine.yield(nil, 2)
    end)
    assert.same({ n = 2, nil, 2 }, pack(co()))
    assert.same({ n = 1, 'back' }, pack(co('back')))
  end)
end)

-- Where no yield is possible, the error says which construct is in the way.
describe('a wait where no yield is possible', function()
  -- Each calls f in the construct that the pattern names.
  local constructs = {
    ['table.sort'] = function(f)
      table.sort({ 3, 1, 2 }, f)
    end,
    ['string.gsub'] = function(f)
      string.gsub('text', 't', f)
    end,
    ['__tostring'] = function(f)
      print(setmetatable({}, { __tostring = f }))
    end,
    ['string.format'] = function(f)
      string.format('%s', setmetatable({}, { __tostring = f }))
    end,
  }

  for name, construct in pairs(constructs) do
    it('says that ' .. name .. ' is in the way, at the line of the wait', function()
      local ch = lagoon.chan()
      local ok, err = pcall(construct, function()
        ch:recv()
      end)
      assert.is_false(ok)
      assert.matches('spec/coroutine_spec.lua:%d+: cannot wait', err)
      assert.matches(name, err, 1, true)
    end)

    it('says so to a task that does not catch it: ' .. name, function()
      local ok, err = lagoon.spawn(construct, function()
        lagoon.sleep(0.001)
      end):wait()
      assert.is_false(ok)
      assert.matches('spec/coroutine_spec.lua:%d+: cannot wait', err)
      assert.matches(name, err, 1, true)
    end)

    it('says so when a coroutine dies of it: ' .. name, function()
      local co = coroutine.create(construct)
      local ok, err = coroutine.resume(co, lagoon.yield)
      assert.is_false(ok)
      assert.matches('cannot wait', err, 1, true)
      assert.matches(name, err, 1, true)
      assert.matches(name, select(2, pcall(coroutine.wrap(construct), lagoon.yield)), 1, true)
    end)

    it('leaves nothing behind: ' .. name, function()
      local ch = lagoon.chan()
      for _, wait in ipairs({
        function() ch:recv() end,
        function() ch:send('lost') end,
        function() lagoon.sleep(0.001) end,
        function() lagoon.yield() end,
        function() lagoon.select({ ch, lagoon.send(ch, 1), timeout = 0.001 }) end,
        function() lagoon.current():name('x') lagoon.select({}) end,
      }) do
        assert.is_false((pcall(construct, wait)))
        assert.same({ false, 'full' }, { ch:try_send(1) })
        assert.same({ nil, false, 'empty' }, { ch:try_recv() })
      end
      local task = start(ch.send, ch, 'works')
      assert.same({ 'works', true }, { ch:recv() })
      assert.equal('timeout', (lagoon.select({ ch, timeout = 0.003 })))
      task:wait()
    end)
  end

  it('fails in the message handler of xpcall, and leaves nothing behind', function()
    local ch = lagoon.chan()
    local ok, err = xpcall(error, function()
      return ch:recv()
    end, 'first')
    assert.is_false(ok)
    assert.matches('the message handler of xpcall', err, 1, true)
    assert.same({ false, 'full' }, { ch:try_send(1) })
    local task = start(ch.send, ch, 'works')
    assert.same({ 'works', true }, { ch:recv() })
    task:wait()
  end)

  it('caught inside of the message handler of xpcall lets the handler go on', function()
    local ch = lagoon.chan()
    local ok, err = xpcall(error, function()
      return (pcall(ch.recv, ch))
    end, 'first')
    assert.same({ false, false }, { ok, err })
    assert.same({ false, 'full' }, { ch:try_send(1) })
  end)

  it('fails in a reader function of load, whose own it is to catch errors', function()
    local ch = lagoon.chan()
    local ok, f, err = pcall(load, function()
      return ch:recv()
    end)
    assert.is_true(ok)
    assert.is_nil(f)
    assert.matches('a reader function of load', err, 1, true)
    assert.same({ false, 'full' }, { ch:try_send(1) })
  end)

  it('fails in a finalizer, and leaves nothing behind', function()
    local ch, err = lagoon.chan(), nil
    getmetatable(newproxy(true)).__gc = function()
      err = select(2, pcall(ch.recv, ch))
    end
    collectgarbage()
    assert.matches('cannot wait', err, 1, true)
    assert.same({ false, 'full' }, { ch:try_send(1) })
  end)

  it('is all right in a coroutine inside of the construct only if it need not pass out', function()
    local ch = lagoon.chan(3)
    table.sort({ 2, 1 }, function(a, b)
      return coroutine.wrap(function()
        ch:send(a) -- there is room
        return a < b
      end)()
    end)
    assert.is_true(ch:len() > 0)
  end)

  it('fails in a coroutine inside of the construct, and leaves nothing behind', function()
    local ch = lagoon.chan()
    local ok, err = pcall(table.sort, { 2, 1 }, function()
      return coroutine.wrap(ch.recv)(ch)
    end)
    assert.is_false(ok)
    assert.matches('table.sort', err, 1, true)
    assert.same({ false, 'full' }, { ch:try_send(1) })
  end)

  it('caught inside of the construct lets the construct go on', function()
    local ch = lagoon.chan()
    local list = { 3, 1, 2 }
    table.sort(list, function(a, b)
      assert.is_false((pcall(ch.recv, ch)))
      return a < b
    end)
    assert.same({ 1, 2, 3 }, list)
    assert.same({ false, 'full' }, { ch:try_send(1) })
  end)

  it('does not run the other tasks in between', function()
    local order = {}
    local task = lagoon.spawn(table.insert, order, 'other')
    pcall(table.sort, { 2, 1 }, lagoon.yield)
    table.insert(order, 'here')
    lagoon.yield()
    assert.same({ 'here', 'other' }, order)
    task:wait()
  end)

  it('takes back a yield among other tasks that are ready', function()
    local order, tasks = {}, {}
    for i = 1, 3 do
      tasks[i] = lagoon.spawn(table.insert, order, i)
    end
    pcall(table.sort, { 2, 1 }, function()
      lagoon.spawn(table.insert, order, 4)
      lagoon.yield()
    end)
    for _ = 1, 2 do
      lagoon.yield()
    end
    assert.same({ 1, 2, 3, 4 }, order)
    for i = 1, 3 do
      tasks[i]:wait()
    end
  end)

  it('does not happen for operations that need no wait', function()
    local ch = lagoon.chan(100)
    local list = { 2, 1, 3 }
    table.sort(list, function(a, b)
      ch:send(a)
      return a < b
    end)
    assert.same({ 1, 2, 3 }, list)
    assert.is_true(ch:len() > 0)
  end)

  it('fails on a conn, which works afterwards', function()
    local a, b = lagoon.net.pipe()
    local listener = assert(lagoon.net.listen('tcp', '127.0.0.1:0'))
    local client = assert(lagoon.net.dial('tcp', listener:addr()))
    local conn = assert(listener:accept())
    for _, ends in ipairs({ { a, b }, { client, conn } }) do
      local ok, err = pcall(string.gsub, 'x', 'x', function()
        return ends[1]:read()
      end)
      assert.is_false(ok)
      assert.matches('string.gsub', err, 1, true)
      ends[2]:write('data')
      assert.equal('data', ends[1]:read())
    end
    for _, handle in ipairs({ a, b, client, conn, listener }) do
      handle:close()
    end
  end)

  it('fails in the message of an uncaught error, and the program goes on', function()
    local output, status = support.run([[
      lagoon.spawn(function()
        table.sort({ 2, 1 }, function() lagoon.sleep(1) end)
      end)
      lagoon.sleep(0.001)
      print('still here')]])
    assert.equal(0, status)
    assert.matches('%(command line%):2: cannot wait in the comparator of table.sort', output)
    assert.matches('still here', output, 1, true)
  end)
end)

describe('pcall and xpcall', function()
  it('are as in Lua for errors of any type', function()
    local err = {}
    assert.same({ n = 2, false, err }, pack(pcall(error, err)))
    assert.same({ n = 2, false, nil }, pack(pcall(error)))
    assert.same({ n = 4, true, nil, 1, nil }, pack(pcall(function(...)
      return ...
    end, nil, 1, nil)))
  end)

  it('give the handler the error, and return what it returns', function()
    assert.same({ n = 2, false, 'handled: e' }, pack(xpcall(error, function(err)
      return 'handled: ' .. err
    end, 'e', 0)))
  end)

  it('count as one level for error(), as those of Lua do', function()
    local function blame()
      return select(2, pcall(error, 'x', 2)), select(2, xpcall(error, tostring, 'x', 2))
    end
    local by_pcall, by_xpcall = blame()
    assert.matches('^spec/coroutine_spec.lua:%d+: x$', by_pcall)
    assert.equal(by_pcall, by_xpcall)
  end)

  it('give a handler the stack of the error', function()
    local function culprit()
      error('x')
    end
    local _, trace = xpcall(function()
      culprit()
    end, debug.traceback)
    assert.matches("in function 'culprit'", trace, 1, true)
  end)

  it('pass waits, in both directions', function()
    local ch = counting(2)
    assert.same({ true, 1, true }, { pcall(ch.recv, ch) })
    assert.same({ true, 2, true }, { xpcall(ch.recv, print, ch) })
    ch:recv()
  end)

  it('catch what is raised after a wait', function()
    local ok, err = pcall(function()
      lagoon.yield()
      error('late', 0)
    end)
    assert.same({ false, 'late' }, { ok, err })
  end)
end)
