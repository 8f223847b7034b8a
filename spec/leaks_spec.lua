--- leaks_spec.lua: lagoon.runtime.leaks(): which parked tasks nothing can wake any more.

local lagoon = require('lagoon')
local support = require('spec.support')
local wiring = require('spec.net.wiring')
local start = support.start
local net, runtime, context = lagoon.net, lagoon.runtime, lagoon.context
local keep = wiring.keep

local before, started -- ids of the tasks that were there; the test's own

before_each(function()
  before, started = {}, {}
  for _, info in ipairs(runtime.tasks()) do
    before[info.id] = true
  end
end)

-- Every task of the test, those too that other tasks have spawned.
after_each(function()
  started = nil
  for _, info in ipairs(runtime.tasks()) do
    if not before[info.id] then
      info.task:cancel()
    end
  end
  wiring.close_all()
end)

-- A task of that name which has run until its first wait.
local function park(name, f, ...)
  local task = start(f, ...)
  task:name(name)
  started[name] = task
  return task
end

-- The names of the test's tasks that are leaked, the oldest first, once all that it has started are
-- parked but for one named "ready".
local function leaked()
  for _, task in pairs(started) do
    while task:status() == 'ready' and task:name() ~= 'ready' do
      lagoon.yield()
    end
  end
  local names = {}
  for _, info in ipairs(runtime.leaks()) do
    if info.name and started[info.name] then
      names[#names + 1] = info.name
    end
  end
  return names
end

-- One that receives on a channel of its own, at whose end nobody is.
local function park_for_ever(name)
  return park(name, function()
    local ch = lagoon.chan()
    ch:recv()
  end)
end

describe('lagoon.runtime.leaks', function()
  it('finds who receives on a channel that was dropped', function()
    park_for_ever('lost')
    assert.same({ 'lost' }, leaked())
  end)

  it('finds who sends on a channel that was dropped', function()
    park('lost', function()
      local ch = lagoon.chan(1)
      ch:send(1)
      ch:send(2)
    end)
    assert.same({ 'lost' }, leaked())
  end)

  it('tells what tasks() does', function()
    park_for_ever('lost')
    for _, info in ipairs(runtime.leaks()) do
      if info.name == 'lost' then
        assert.same({ 'parked', 'chan recv' }, { info.state, info.waits_on })
        assert.is_number(info.waited)
        return
      end
    end
    error('it is not in the list')
  end)

  it('does not take a handle of a task for a way to wake it', function()
    local task = park_for_ever('lost')
    assert.same({ 'lost' }, leaked())
    assert.equal('parked', task:status())
  end)

  it('finds who waits for ever by will', function()
    park('select', lagoon.select, {})
    park('nothing', lagoon.select, { false, x = nil })
    assert.same({ 'select', 'nothing' }, leaked())
  end)

  it('finds two that wait for each other', function()
    local go, b = lagoon.chan(), nil
    local a = park('a', function()
      go:recv()
      b:wait()
    end)
    b = park('b', function()
      a:wait()
    end)
    go:send(true)
    lagoon.yield()
    assert.same({ 'a', 'b' }, leaked())
  end)

  it("finds two that hold only each other's channels", function()
    local function pass_on(from, to)
      to:send(from:recv())
    end
    local function both()
      local x, y = lagoon.chan(), lagoon.chan()
      park('a', pass_on, x, y)
      park('b', pass_on, y, x)
    end
    both()
    assert.same({ 'a', 'b' }, leaked())
  end)

  it('finds a chain of tasks behind one that is leaked', function()
    local last = park_for_ever('0')
    for i = 1, 3 do
      last = park(tostring(i), last.wait, last)
    end
    assert.same({ '0', '1', '2', '3' }, leaked())
  end)

  it('leaves out a chain of tasks behind one that is not', function()
    local last = park('0', lagoon.sleep, 60)
    for i = 1, 3 do
      last = park(tostring(i), last.wait, last)
    end
    assert.same({}, leaked())
  end)

  it('finds a scope that waits for a task that is leaked', function()
    park('parent', lagoon.scope, function(s)
      started.child = s:spawn(function()
        lagoon.current():name('child')
        local ch = lagoon.chan()
        ch:recv()
      end)
    end)
    lagoon.yield()
    assert.same({ 'parent', 'child' }, leaked())
  end)

  it('finds a select whose every case is dropped', function()
    local task = park_for_ever('task')
    park('select', function()
      lagoon.select({ lagoon.chan(), out = lagoon.send(lagoon.chan(), 1), task = task })
    end)
    assert.same({ 'task', 'select' }, leaked())
  end)

  it('finds who waits in a pipe whose ends were dropped', function()
    park('reader', function()
      local _, b = net.pipe()
      b:read()
    end)
    assert.same({ 'reader' }, leaked())
  end)

  it('finds who waits on a channel that only weak tables have', function()
    local values = setmetatable({}, { __mode = 'v' })
    local keys = setmetatable({}, { __mode = 'k' })
    park('lost', function()
      local ch = lagoon.chan()
      values.ch, keys[ch] = ch, ch
      ch:recv()
    end)
    assert.same({ 'lost' }, leaked())
    assert.is_truthy(values.ch and next(keys))
  end)

  it('does not see a task any more when its channel was closed', function()
    local weak = setmetatable({}, { __mode = 'v' })
    local task = park('lost', function()
      local ch = lagoon.chan()
      weak.ch = ch
      ch:recv()
    end)
    assert.same({ 'lost' }, leaked())
    weak.ch:close()
    task:wait()
    assert.same({}, leaked())
  end)

  it('leaves stale entries of timers aside', function()
    park('lost', function()
      lagoon.timeout(60, lagoon.yield)
      pcall(lagoon.select, { timeout = 0.001 })
      local ticker = lagoon.ticker(60)
      ticker:stop()
      ticker.ch:recv()
    end)
    lagoon.sleep(0.003)
    assert.same({ 'lost' }, leaked())
  end)

  it('reads metatables without asking them', function()
    local function raise()
      error('asked')
    end
    local odd = setmetatable({}, {
      __index = raise, __newindex = raise, __eq = raise, __pairs = raise, __len = raise,
      __mode = 1, __metatable = false,
    })
    park('a', function(x)
      local ch = lagoon.chan()
      ch:recv(x)
    end, odd)
    park('b', lagoon.sleep, 60)
    assert.same({ 'a' }, leaked())
    assert.equal('table', type(odd))
  end)
end)

describe('no leak is a task whose channel', function()
  -- A task that receives on a channel which keep_it(ch) has put somewhere.
  local function assert_kept(keep_it)
    park('kept', function()
      local ch = lagoon.chan()
      keep_it(ch)
      ch:recv()
    end)
    assert.same({}, leaked())
  end

  it('a global holds', function()
    finally(function()
      _G.kept_channel = nil
    end)
    assert_kept(function(ch)
      rawset(_G, 'kept_channel', ch)
    end)
  end)

  it('a module holds', function()
    finally(function()
      package.loaded['kept.module'] = nil
    end)
    assert_kept(function(ch)
      package.loaded['kept.module'] = { ch = ch }
    end)
  end)

  it('the registry holds', function()
    finally(function()
      debug.getregistry().kept_channel = nil
    end)
    assert_kept(function(ch)
      debug.getregistry().kept_channel = ch
    end)
  end)

  it('a variable of the running function holds', function()
    local kept
    assert_kept(function(ch)
      kept = ch
    end)
    assert.is_truthy(kept)
  end)

  it('a variable on the stack of a task holds that can go on', function()
    assert_kept(function(ch)
      park('holder', function()
        local mine = ch
        lagoon.sleep(60)
        mine:send(1)
      end)
    end)
  end)

  it('a temporary value on such a stack holds', function()
    local function pair(a, b)
      return a, b
    end
    assert_kept(function(ch)
      local function give()
        local c = ch
        ch = nil
        return c
      end
      park('holder', function()
        return pair(give(), lagoon.sleep(60))
      end)
    end)
  end)

  it('an argument of a task holds that has not begun', function()
    assert_kept(function(ch)
      lagoon.spawn(ch.send, ch, 1)
    end)
  end)

  it('the arguments behind ... hold', function()
    local function hold(...)
      lagoon.sleep(60)
      return ...
    end
    local box = {}
    local function take()
      local ch = box.ch
      box.ch = nil
      return ch
    end
    assert_kept(function(ch)
      box.ch = ch
      park('holder', function()
        return (hold(take()))
      end)
    end)
  end)

  it('a task has been handed that has not run since', function()
    local channels = lagoon.chan()
    park('ready', channels.recv, channels)
    assert_kept(function(ch)
      channels:send(ch)
    end)
  end)

  it('an upvalue of a function of a live task holds', function()
    assert_kept(function(ch)
      local function finish()
        ch:send(1)
      end
      park('holder', function(f)
        lagoon.sleep(60)
        f()
      end, finish)
    end)
  end)

  it("a script's own coroutine holds", function()
    local kept = {}
    assert_kept(function(ch)
      kept.co = coroutine.create(function(x)
        coroutine.yield(x)
      end)
      coroutine.resume(kept.co, ch)
    end)
    assert.is_truthy(kept.co)
  end)

  it("a script's own coroutine holds that has not begun", function()
    local kept = {}
    assert_kept(function(ch)
      kept.co = coroutine.create(function()
        ch:send(1)
      end)
    end)
    assert.is_truthy(kept.co)
  end)

  it('a coroutine holds that a task waits in', function()
    assert_kept(function(ch)
      park('holder', coroutine.wrap(function()
        local mine = ch
        lagoon.sleep(60)
        mine:send(1)
      end))
    end)
  end)

  it('the running task holds, outside of the coroutine that asks', function()
    local kept
    park('kept', function()
      local ch = lagoon.chan()
      kept = ch
      ch:recv()
    end)
    local function ask()
      local mine = kept
      kept = nil
      return coroutine.wrap(leaked)(), mine
    end
    assert.same({}, (ask()))
  end)

  it('a metatable, a userdata or an environment holds', function()
    local kept = {}
    assert_kept(function(ch)
      local object = newproxy(true)
      getmetatable(object).ch = ch
      kept[1] = object
    end)
    park('in an environment', function()
      local ch = lagoon.chan()
      kept[2] = setfenv(function() end, { ch = ch })
      ch:recv()
    end)
    assert.same({}, leaked())
    assert.equal(2, #kept)
  end)

  it('a weak key leads to that somebody has', function()
    local key, weak = {}, setmetatable({}, { __mode = 'k' })
    assert_kept(function(ch)
      weak[key] = ch
    end)
    assert.is_truthy(weak[key])
  end)

  it('weak keys lead to, one after the other', function()
    local first, a, b = {}, setmetatable({}, { __mode = 'k' }), setmetatable({}, { __mode = 'k' })
    assert_kept(function(ch)
      local second, third = {}, {}
      a[first], b[second], a[third] = second, third, ch
    end)
    assert.is_truthy(b[a[first]])
  end)

  it('a timer will send on', function()
    local timer
    assert_kept(function(ch)
      timer = lagoon.timer(60, function()
        ch:send(1)
      end)
    end)
    timer:stop()
  end)

  it('the clock or a signal sends on', function()
    park('after', function()
      lagoon.after(60):recv()
    end)
    local ticker
    park('ticker', function()
      ticker = lagoon.ticker(60)
      ticker.ch:recv()
    end)
    local signals
    park('signal', function()
      signals = lagoon.signal.notify('SIGUSR2')
      signals:recv()
    end)
    local stop_ticker, stop_signals = ticker, signals
    ticker, signals = nil, nil
    assert.same({}, leaked())
    stop_ticker:stop()
    lagoon.signal.stop(stop_signals)
  end)

  it('a task has that waits for a conn', function()
    local conn = wiring.open('tcp')
    assert_kept(function(ch)
      park('reader', function()
        ch:send(conn:read())
      end)
    end)
  end)

  it('a context closes, whose cancel somebody has', function()
    local cancel
    park('kept', function()
      local ctx
      ctx, cancel = context.with_cancel(context.background())
      ctx:done():recv()
    end)
    park('child', function()
      local parent, stop = context.with_cancel(context.background())
      context.with_cancel(parent):done():recv(stop)
    end)
    assert.same({ 'child' }, leaked())
    cancel()
  end)

  it('a context closes, whose parent somebody cancels', function()
    local parent, cancel = context.with_cancel(context.background())
    park('kept', function()
      local ctx = context.with_cancel(parent)
      parent = nil
      lagoon.select({ ctx })
    end)
    assert.same({}, leaked())
    cancel()
  end)

  it('a handler of on_error sends on', function()
    local handler
    finally(function()
      lagoon.on_error(handler)
    end)
    assert_kept(function(ch)
      handler = lagoon.on_error(function()
        ch:send(1)
      end)
    end)
  end)
end)

describe('no leak is a task that', function()
  it('runs, or is ready', function()
    park('ready', function()
      while true do
        lagoon.yield()
      end
    end)
    assert.same({}, leaked())
  end)

  it('waits for a conn that it alone has', function()
    local listener = wiring.listen('tcp')
    local reader = park('reader', function()
      net.dial('tcp', listener:addr()):read()
    end)
    local client = keep(listener:accept())
    assert.same({}, leaked())
    client:close()
    reader:wait()
  end)

  it('waits for a conn, a client or a name', function()
    local listener = wiring.listen('tcp')
    local conn = wiring.open('tcp')
    park('accept', listener.accept, listener)
    park('second', listener.accept, listener)
    park('read', conn.read, conn)
    park('queue', conn.read, conn)
    park('select', lagoon.select, { conn = wiring.open('tcp'), quiet = lagoon.chan() })
    park('dial', net.dial, 'tcp', wiring.listen_deaf('tcp', '127.0.0.1:0'))
    assert.same({}, leaked())
  end)

  -- Its handler is leaked, so only closing the listener makes room.
  it('waits for room for another conn', function()
    local listener = wiring.listen('tcp')
    local server = park('server', net.serve, listener, function()
      local ch = lagoon.chan()
      ch:recv()
    end, { max_conns = 1 })
    keep(assert(net.dial('tcp', listener:addr())))
    local function state()
      for _, info in ipairs(runtime.tasks()) do
        if info.id == server.id then
          return info.waits_on or info.state
        end
      end
    end
    while not state():find('^room') do
      lagoon.yield()
    end
    assert.same({}, leaked())
  end)

  it('waits with a time-out', function()
    local lost = park_for_ever('lost')
    park('wait', lost.wait, lost, 60)
    park('select', function()
      lagoon.select({ lagoon.chan(), timeout = 60 })
    end)
    park('nothing else', lagoon.select, { timeout = 60 })
    park('pipe', function()
      local _, b = net.pipe()
      b:set_timeout(60)
      b:read()
    end)
    assert.same({ 'lost' }, leaked())
  end)

  it('is in a timeout, or in a scope with one', function()
    local function wait()
      local ch = lagoon.chan()
      ch:recv()
    end
    park('timeout', lagoon.timeout, 60, wait)
    park('scope', lagoon.scope, function(s)
      started.child = s:spawn(function()
        lagoon.current():name('child')
        lagoon.scope(function(inner)
          started.grandchild = inner:spawn(wait)
          started.grandchild:name('grandchild')
          wait()
        end)
      end)
    end, { timeout = 60 })
    lagoon.yield()
    lagoon.yield()
    assert.same({}, leaked())
  end)

  it('is in a scope of a context that has a deadline', function()
    local ctx, cancel = context.with_timeout(context.background(), 60)
    local task = park('scope', lagoon.scope, function()
      local ch = lagoon.chan()
      ch:recv()
    end, { context = ctx })
    local names = leaked()
    cancel()
    task:wait()
    assert.same({}, names)
  end)

  it('waits for a select, in one case, or for a selector that somebody has', function()
    local selector = lagoon.selector({ lagoon.chan() })
    local reader = park('reader', function()
      selector:wait()
    end)
    local kept = lagoon.chan()
    park('select', function()
      lagoon.select({ lagoon.chan(), lagoon.chan(), kept })
    end)
    park('join', function()
      lagoon.select({ lagoon.chan(), task = reader })
    end)
    assert.same({}, leaked())
    assert.is_truthy(kept)
  end)

  it('holds up the main chunk, which is a root', function()
    local output = support.run([[
      lagoon.spawn(function()
        lagoon.yield()
        print(#lagoon.runtime.leaks())
        os.exit()
      end)
      local ch = lagoon.chan()
      ch:recv()
    ]])
    assert.equal('0\n', output)
  end)
end)

-- Tasks with a few channels each, at random, and a plan of random operations on them. No task that
-- was listed may go on; and when none goes on any more, all that are left must be listed.
describe('random tasks', function()
  local SEED = tonumber(os.getenv('LAGOON_SPEC_SEED')) or os.time() % 1e6
  local random = math.random

  local function operate(mine, tasks, me)
    local a, b = mine[random(#mine)], mine[random(#mine)]
    local what = random(6)
    if what == 1 then
      a:send(b) -- and who receives it has it, too
    elseif what == 2 then
      mine[random(#mine)] = a:recv() or a
    elseif what == 3 then
      lagoon.select({ lagoon.send(a, b), b })
    elseif what == 4 then
      mine[#mine > 1 and #mine or 2] = nil -- forgets one
    elseif what == 5 and me > 1 then
      tasks[random(me - 1)]:wait()
    else
      lagoon.yield()
    end
  end

  local function start_all(tasks)
    local channels = {}
    for i = 1, random(6) do
      channels[i] = lagoon.chan(random(0, 1))
    end
    for me = 1, random(2, 12) do
      local mine, steps = {}, random(8)
      for i = 1, random(3) do
        mine[i] = channels[random(#channels)]
      end
      tasks[me] = lagoon.spawn(function()
        for _ = 1, steps do
          operate(mine, tasks, me)
        end
      end)
    end
  end

  local function check(tasks)
    local listed, is_quiet = {}, false
    while not is_quiet do
      is_quiet = runtime.stats().ready == 0
      local now = {}
      for _, info in ipairs(runtime.leaks()) do
        now[info.id] = true
      end
      for _, task in ipairs(tasks) do
        assert(now[task.id] or not listed[task.id], 'a task that was listed has gone on')
        listed[task.id] = now[task.id]
        local is_missing = is_quiet and task:status() == 'parked' and not now[task.id]
        assert(not is_missing, 'a task that cannot go on is not listed')
      end
      lagoon.yield()
    end
  end

  it('are listed if they cannot go on, and never if they can', function()
    for seed = SEED, SEED + 100 do
      math.randomseed(seed)
      local tasks = {}
      lagoon.spawn(start_all, tasks):wait()
      local ok, err = pcall(check, tasks)
      assert(ok, ('seed %d: %s'):format(seed, tostring(err)))
      for _, task in ipairs(tasks) do
        task:cancel()
        task:wait()
      end
    end
  end)
end)
