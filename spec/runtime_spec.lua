--- runtime_spec.lua: figures, what each task waits for, and the dump. SIGQUIT is in quit_spec.lua.

local lagoon = require('lagoon')
local support = require('spec.support')
local wiring = require('spec.net.wiring')
local start, run = support.start, support.run
local net, runtime, signal = lagoon.net, lagoon.runtime, lagoon.signal
local keep = wiring.keep

local started = {}

-- A task that has run until its first wait; it is canceled after the test.
local function park(f, ...)
  local task = start(f, ...)
  started[#started + 1] = task
  return task
end

local function end_all()
  local list = started
  started = {}
  for _, task in ipairs(list) do
    task:cancel()
    task:wait()
  end
  wiring.close_all()
end

local function info_of(task)
  for _, info in ipairs(runtime.tasks()) do
    if info.id == task.id then
      return info
    end
  end
end

local function reason_of(f, ...)
  return info_of(park(f, ...)).waits_on
end

describe('what a task waits for is', function()
  after_each(end_all)

  it('chan recv, or chan send', function()
    local ch = lagoon.chan()
    assert.equal('chan recv', reason_of(ch.recv, ch))
    local full = lagoon.chan()
    assert.equal('chan send', reason_of(full.send, full, 1))
  end)

  it('the timer or ticker that sends on the channel', function()
    local after, ticker = lagoon.after(60), lagoon.ticker(3)
    finally(function()
      ticker:stop()
    end)
    assert.matches('^chan recv %(after, due in [56][09]s%)$', reason_of(after.recv, after))
    assert.equal('chan recv (ticker, every 3.0s)', reason_of(ticker.ch.recv, ticker.ch))
  end)

  it('the signals that are sent on the channel', function()
    local ch = signal.notify('SIGUSR1', 'SIGHUP')
    finally(function()
      signal.stop(ch)
    end)
    assert.equal('chan recv (SIGUSR1, SIGHUP)', reason_of(ch.recv, ch))
  end)

  it('the rest of a sleep', function()
    assert.matches('^sleep [56][09]s left$', reason_of(lagoon.sleep, 60))
    assert.matches('^sleep [34]%.%ds left$', reason_of(lagoon.sleep, 4))
  end)

  it('the end of a task, by its name', function()
    local sleeper = park(lagoon.sleep, 60)
    sleeper:name('napper')
    local expected = ("task %d 'napper' to end"):format(sleeper.id)
    assert.equal(expected, reason_of(sleeper.wait, sleeper))
  end)

  it('the tasks of a scope', function()
    assert.equal('the tasks of a scope to end', reason_of(lagoon.scope, function(s)
      s:spawn(lagoon.sleep, 60)
    end))
  end)

  it('a select of its keys', function()
    assert.equal('select {}', reason_of(lagoon.select, {}))
    assert.equal('select of 1: timeout', reason_of(lagoon.select, { timeout = 60 }))
    local ch = lagoon.chan()
    assert.equal('select of 3: 1, 2, timeout', reason_of(lagoon.select, { ch, ch, timeout = 60 }))
    assert.equal('select of 1: jobs', reason_of(lagoon.select, { jobs = ch }))
    assert.equal('select of 1: table', reason_of(lagoon.select, { [{}] = ch }))
  end)

  it('a select of its first keys, if it has many', function()
    local cases = {}
    for i = 1, 9 do
      cases[i] = lagoon.chan()
    end
    assert.equal('select of 9: 1, 2, 3, 4, 5, ...', reason_of(lagoon.select, cases))
    local selector = lagoon.selector({ cases[1] })
    assert.equal('select of 1: 1', reason_of(selector.wait, selector))
  end)

  it('accept, and the address; who comes later is after another task', function()
    local listener = wiring.listen('tcp')
    local expected = 'accept ' .. listener:addr()
    assert.equal(expected, reason_of(listener.accept, listener))
    assert.equal(expected .. ', after another task', reason_of(listener.accept, listener))
  end)

  it('room for another conn of a server', function()
    local listener = wiring.listen('tcp')
    local server = park(net.serve, listener, function(conn)
      conn:read()
    end, { max_conns = 1 })
    local conn = keep(assert(net.dial('tcp', listener:addr())))
    local expected = 'room for another conn at ' .. listener:addr()
    while info_of(server).waits_on ~= expected do -- or it hangs, which is a failure too
      lagoon.yield()
    end
    conn:close()
  end)

  for _, method in ipairs({ 'read', 'read_line', 'peek' }) do
    it('conn read, and the peer: ' .. method, function()
      local conn = wiring.open('tcp')
      local expected = 'conn read ' .. conn:remote_addr()
      assert.equal(expected, reason_of(conn[method], conn, 10))
      assert.equal(expected .. ', after another task', reason_of(conn[method], conn, 10))
    end)
  end

  it('conn write, and the peer', function()
    local conn = wiring.open('tcp')
    wiring.shrink(conn)
    assert.equal('conn write ' .. conn:remote_addr(), reason_of(conn.write, conn, wiring.HUGE))
  end)

  it('pipe read, or pipe write, or a turn there', function()
    local a, b = wiring.open('pipe')
    assert.equal('pipe read', reason_of(b.read, b))
    assert.equal('a turn at a busy pipe', reason_of(b.read, b))
    assert.equal('pipe write', reason_of(b.write, b, wiring.HUGE))
    assert.equal('a turn at a busy pipe', reason_of(b.write, b, 'x'))
    a:close()
  end)

  it('a dial, and the address', function()
    local addr = wiring.listen_deaf('tcp', '127.0.0.1:0')
    assert.equal('dial ' .. addr, reason_of(net.dial, 'tcp', addr))
  end)

  -- It ends by itself: the first look may come too late.
  it('a look-up, and the name', function()
    local seen
    for _ = 1, 100 do
      seen = reason_of(net.dial, 'tcp', 'localhost:1')
      if seen == 'look-up of localhost' then
        break
      end
    end
    assert.equal('look-up of localhost', seen)
  end)

  it('a lock, and who holds it', function()
    local mutex = lagoon.sync.mutex()
    mutex:lock()
    local expected = 'mutex lock, held by ' .. tostring(lagoon.current())
    assert.equal(expected, reason_of(mutex.lock, mutex))
    mutex:unlock()
  end)

  it('a module that another task loads', function()
    package.preload['slow.module'] = function()
      lagoon.sleep(60)
    end
    finally(function()
      end_all()
      package.preload['slow.module'] = nil
    end)
    park(require, 'slow.module')
    assert.equal("module 'slow.module' to load", reason_of(require, 'slow.module'))
  end)

  it('told of a handler of on_error, too', function()
    local task
    local ch = lagoon.chan()
    local before = lagoon.on_error(function()
      task = lagoon.current()
      ch:recv()
    end)
    start(error, 'lost')
    lagoon.on_error(before)
    local info = info_of(task)
    ch:close()
    assert.same({ 'chan recv', 'lagoon.on_error' }, { info.waits_on, info.site })
  end)

  it('nothing while it is ready, or runs', function()
    local yielder = park(function()
      while true do
        lagoon.yield()
      end
    end)
    assert.is_nil(info_of(yielder).waits_on)
    assert.is_nil(info_of(lagoon.current()).waits_on)
  end)
end)

describe('lagoon.runtime.tasks', function()
  after_each(end_all)

  it('lists every live task, oldest first', function()
    local a, b = park(lagoon.sleep, 60), park(lagoon.sleep, 60)
    local tasks = runtime.tasks()
    assert.equal(b.id, tasks[#tasks].id)
    assert.equal(a.id, tasks[#tasks - 1].id)
    assert.equal(runtime.stats().tasks, #tasks)
  end)

  it('tells name, state and spawn site', function()
    local task = park(lagoon.sleep, 60)
    task:name('napper')
    local info = info_of(task)
    assert.same({ 'napper', 'parked' }, { info.name, info.state })
    assert.matches('spec/support%.lua:%d+$', info.site)
    assert.equal('running', info_of(lagoon.current()).state)
  end)

  it('tells for how long a task has waited', function()
    local task = park(lagoon.sleep, 60)
    local began = lagoon.now()
    lagoon.sleep(0.002)
    local least = lagoon.now() - began
    assert.is_true(info_of(task).waited >= least)
    assert.is_nil(info_of(lagoon.current()).waited)
  end)

  it('begins to count anew with each wait', function()
    local ch = lagoon.chan()
    local patient = park(lagoon.sleep, 60)
    local task = park(function()
      ch:recv()
      ch:recv()
    end)
    lagoon.sleep(0.002)
    ch:send(1)
    lagoon.yield()
    local waited = {}
    for _, info in ipairs(runtime.tasks()) do
      waited[info.id] = info.waited
    end
    assert.is_true(waited[task.id] < waited[patient.id])
  end)
end)

describe('lagoon.runtime.stats', function()
  after_each(end_all)

  it('counts tasks by state', function()
    local before = runtime.stats()
    park(lagoon.sleep, 60)
    local task = lagoon.spawn(type, nil)
    local after = runtime.stats()
    task:wait()
    assert.equal(before.tasks + 2, after.tasks)
    assert.equal(before.parked + 1, after.parked)
    assert.equal(before.ready + 1, after.ready)
    assert.equal(1, after.running)
  end)

  it('counts a task that computes, and has to wait for its turn, as ready', function()
    local before = runtime.stats()
    local task = lagoon.compute(type, nil)
    local after = runtime.stats()
    task:wait()
    assert.same({ before.ready + 1, before.parked }, { after.ready, after.parked })
  end)
end)

describe('lagoon.runtime.dump', function()
  after_each(end_all)

  -- The part of the dump that has the text: a line, and the stack below it.
  local function part_with(text)
    for part in ('\n' .. runtime.dump()):gmatch('\n(%S[^\n]*\n?[^\n]*)') do
      if part:find(text, 1, true) then
        return part
      end
    end
  end

  it('says what a task waits for, where it was spawned, and where it is', function()
    local task = park(function()
      lagoon.sleep(60)
    end)
    task:name('napper')
    local part = part_with('napper')
    local line = debug.getinfo(1, 'l').currentline - 5
    assert.matches("^task %d+ 'napper': parked on sleep %d+s left for %S+, spawned at ", part)
    assert.matches(('\n\t[^\n]*spec/runtime_spec%%.lua:%d: in function '):format(line + 1), part)
  end)

  it('puts tasks that do the same together', function()
    local ch, ids = lagoon.chan(), {}
    local function work()
      ch:recv()
    end
    for i = 1, 7 do
      ids[i] = 'task ' .. park(work).id
    end
    local part = part_with('7 tasks parked on chan recv for ')
    local named = table.concat(ids, ', ', 1, 5) .. ' and 2 more\n'
    assert.is_truthy(part:find(named, 1, true), part)
  end)

  it('keeps apart what differs in stack, wait or spawn site', function()
    local ch, full = lagoon.chan(), lagoon.chan()
    park(function()
      ch:recv()
    end):name('a')
    park(function()
      ch:recv()
    end):name('b')
    park(function()
      full:send(1)
    end):name('c')
    for _, name in ipairs({ 'a', 'b', 'c' }) do
      assert.matches(("^task %%d+ '%s': parked on chan "):format(name), part_with(name .. "'"))
    end
  end)

  it('puts waits of one kind together, whatever they are for', function()
    local function nap(i)
      lagoon.sleep(60 + i)
    end
    for i = 1, 3 do
      park(nap, i * 100)
    end
    assert.matches('^3 tasks parked on sleep for %S+', part_with('3 tasks parked on sleep'))
  end)

  it("begins a stack with the script's own lines, and has the library's where there are no others",
    function()
      park(lagoon.sleep, 60):name('bare')
      park(function()
        lagoon.scope(function()
          lagoon.sleep(60)
        end)
      end):name('nested')
      assert.matches('\n\t%[C%]: in function', part_with("'bare'"))
      assert.matches('\n\tspec/runtime_spec%.lua', part_with("'nested'"))
    end)

  it('has the stack of the task that asks', function()
    local line = debug.getinfo(1, 'l').currentline + 1
    assert.matches(('runtime_spec%%.lua:%d: in function'):format(line), runtime.dump())
  end)

  it('puts large groups first', function()
    local function nap()
      lagoon.sleep(60)
    end
    for _ = 1, 20 do
      park(nap)
    end
    assert.matches('^%d+ tasks parked on sleep', runtime.dump())
  end)

  it('lets others run meanwhile, which may end', function()
    local stop, turns = false, 0
    local ch = lagoon.chan()
    for _ = 1, 20000 do
      lagoon.spawn(ch.recv, ch)
    end
    lagoon.spawn(function()
      while not stop do
        turns = turns + 1
        if turns == 2 then
          ch:close() -- all of them end
        end
        lagoon.yield()
      end
    end)
    lagoon.yield()
    assert.matches('tasks parked on chan recv', runtime.dump())
    stop = true
    assert.is_true(turns > 1)
    ch:close()
  end)

  it('works where no wait is possible', function()
    local ch, text = lagoon.chan(), nil
    for _ = 1, 20000 do
      lagoon.spawn(ch.recv, ch)
    end
    lagoon.yield()
    string.gsub('x', 'x', function()
      text = runtime.dump()
    end)
    ch:close()
    assert.matches('20000 tasks parked on chan recv', text)
  end)

  it('can be canceled', function()
    local ch = lagoon.chan()
    for _ = 1, 20000 do
      lagoon.spawn(ch.recv, ch)
    end
    lagoon.yield()
    local task = start(runtime.dump)
    task:cancel()
    assert.same({ false, lagoon.canceled }, { task:wait() })
    ch:close()
  end)

  it('names so many groups and counts the others', function()
    local text = run([[
      local ch = lagoon.chan()
      for i = 1, 1100 do
        lagoon.spawn(loadstring('(...):recv()', '=chunk' .. i), ch)
      end
      lagoon.spawn(function() print(lagoon.runtime.dump()) os.exit() end)
      ch:recv()
    ]])
    assert.matches('\nother tasks, like none of these: 102\n$', text)
  end)
end)
