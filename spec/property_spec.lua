--- property_spec.lua: channels and select against a small sequential model.
--
-- A schedule is some channels and some tasks with a plan of random operations each, drawn from a
-- seed. A task tells the model of each operation just before it performs it: nobody runs in
-- between, so the model knows what has to come of it at once, or whom the task has to wait
-- for. Whatever differs is a failure: a value that is lost, doubled or out of order, a wait
-- that ends twice or not at all, somebody who is left in a queue.
--
-- LAGOON_SPEC_SEED=n runs the schedules of a run that failed again (but for the choices among
-- ready cases of a select, which are the library's own).

local lagoon = require('lagoon')

local SEED = tonumber(os.getenv('LAGOON_SPEC_SEED')) or os.time() % 1e6
local random = math.random

local function pack(...)
  return { n = select('#', ...), ... }
end

local function check(ok, why)
  if not ok then
    error(why, 0)
  end
  return ok
end

-- The model of a channel. Its buffer and queues are lists; values are boxed, as they may be nil.
-- A waiter is a case of an operation, and the first to be served takes its siblings out.
local Model = {}
Model.__index = Model

local function new_model(capacity)
  return setmetatable({
    ch = lagoon.chan(capacity),
    capacity = capacity,
    is_closed = false,
    buffer = {},
    receivers = {},
    senders = {},
  }, Model)
end

local function unlink(op)
  for _, case in ipairs(op.cases) do
    for i, other in ipairs(case.queue or {}) do
      if other == case then
        table.remove(case.queue, i)
        break
      end
    end
    case.queue = nil
  end
end

-- The case's operation has to return this.
local function complete(case, ...)
  unlink(case.op)
  case.op.expected = pack(case.key, ...)
end

function Model:is_ready(case)
  if case.sends then
    return self.is_closed or self.receivers[1] or #self.buffer < self.capacity
  end
  return self.is_closed or self.senders[1] or self.buffer[1]
end

function Model:send(box)
  local receiver = self.receivers[1]
  if receiver then
    complete(receiver, box.v, true)
    return true
  elseif self.is_closed then
    return nil, 'closed'
  end
  table.insert(self.buffer, box)
  return true
end

function Model:recv()
  local sender = self.senders[1]
  if sender then
    complete(sender, true)
    table.insert(self.buffer, sender.box)
  end
  local box = table.remove(self.buffer, 1)
  if box then
    return box.v, true
  end
  return nil, false
end

function Model:close()
  self.is_closed = true
  while self.receivers[1] do
    complete(self.receivers[1], nil, false)
  end
  while self.senders[1] do
    complete(self.senders[1], nil, 'closed')
  end
end

function Model:perform(case)
  if case.sends then
    return self:send(case.box)
  end
  return self:recv()
end

function Model:park(case)
  case.queue = case.sends and self.senders or self.receivers
  table.insert(case.queue, case)
end

-- Drawing of plans.

local function chance(percent)
  return random(100) <= percent
end

local next_value = 0
local function draw_box()
  if chance(10) then
    return { v = chance(50) and false or nil }
  end
  next_value = next_value + 1
  return { v = next_value }
end

local function draw_case(op, key, channels)
  local sends = chance(50)
  return { op = op, key = key, index = random(channels), sends = sends, box = sends and draw_box() }
end

local function draw_select(channels)
  local op = { kind = chance(50) and 'select' or 'selector', cases = {} }
  for key = 1, random(4) do
    op.cases[key] = draw_case(op, key, channels)
  end
  if chance(25) then
    op.default = true
  elseif chance(25) then
    op.timeout = chance(80) and 0 or random() / 5000
  end
  return op
end

local function draw_op(channels, tasks)
  local dice = random(100)
  if dice <= 25 then
    return { kind = 'yield' }
  elseif dice <= 28 then
    return { kind = 'cancel', victim = random(tasks) }
  elseif dice <= 32 then
    return { kind = 'close', index = random(channels), capacity = random(0, 3) }
  elseif dice <= 60 then
    return draw_select(channels)
  end
  local op = { kind = dice <= 72 and 'try' or 'plain' }
  op.cases = { draw_case(op, nil, channels) }
  return op
end

local function draw_run(seed)
  math.randomseed(seed)
  local run = { channels = {}, tasks = {}, turn = 0, timeouts = 0 }
  for i = 1, random(3) do
    run.channels[i] = new_model(random(0, 3))
  end
  local tasks = random(2, 7)
  for i = 1, tasks do
    local plan = {}
    for k = 1, random(3, 15) do
      plan[k] = draw_op(#run.channels, tasks)
    end
    run.tasks[i] = { plan = plan }
  end
  return run
end

-- Performing them.

local function name_of(op)
  local words = { op.kind }
  for _, case in ipairs(op.cases or {}) do
    words[#words + 1] = (case.sends and 'send' or 'recv') .. ' ' .. case.index
  end
  return table.concat(words, ', ')
end

local function same(a, b)
  for i = 1, math.max(a.n, b.n) do
    if a[i] ~= b[i] then
      return false
    end
  end
  return true
end

local function show(list)
  local words = {}
  for i = 1, list.n do
    words[i] = tostring(list[i])
  end
  return '(' .. table.concat(words, ', ') .. ')'
end

local function compare(op, got, expected)
  if not same(got, expected) then
    error(string.format('%s gives %s, not %s', name_of(op), show(got), show(expected)), 0)
  end
end

-- What the operation really does; the key first, as select has it.
local function call(op)
  local case = op.cases[1]
  local ch = op.channels[1].ch
  if op.kind == 'plain' then
    return case.key, (case.sends and ch.send or ch.recv)(ch, case.box and case.box.v)
  elseif op.kind == 'try' then
    return case.key, (case.sends and ch.try_send or ch.try_recv)(ch, case.box and case.box.v)
  end
  local cases = { default = op.default, timeout = op.timeout }
  for i, c in ipairs(op.cases) do
    local source = op.channels[i].ch
    cases[c.key] = c.sends and lagoon.send(source, c.box.v) or source
  end
  if op.kind == 'select' then
    return lagoon.select(cases)
  end
  return lagoon.selector(cases):wait()
end

-- The operation need not wait: no other task runs meanwhile.
local function call_at_once(run, op)
  local turn = run.turn
  local results = pack(call(op))
  check(run.turn == turn, 'waits without need')
  return results
end

-- One of the ready cases must be the one.
local function perform_ready(run, op, ready)
  local results = call_at_once(run, op)
  local key = results[1]
  if op.kind == 'plain' or op.kind == 'try' then
    key = 1
  end
  local model = ready[key]
  check(model, 'chooses a case that is not ready')
  local case = op.cases[key]
  local expected = pack(case.key, model:perform(case))
  if op.kind == 'try' then
    if expected[3] == 'closed' then
      expected = pack(nil, false, 'closed')
    elseif expected[3] == false then
      expected = pack(nil, nil, false, 'closed')
    end
  end
  compare(op, results, expected)
end

local function expect_canceled(op, ok, err)
  check(not ok and err == lagoon.canceled, name_of(op) .. ' is not canceled: ' .. tostring(err))
  error(err, 0)
end

local function perform_parked(run, me, op)
  for i, model in ipairs(op.channels) do
    model:park(op.cases[i])
  end
  local is_timed = op.timeout and 1 or 0
  me.op, run.timeouts = op, run.timeouts + is_timed
  local results = pack(pcall(call, op))
  me.op, run.timeouts, run.turn = nil, run.timeouts - is_timed, run.turn + 1
  if op.is_canceled then
    expect_canceled(op, results[1], results[2])
  end
  check(results[1], results[2])
  local got = { n = results.n - 1, unpack(results, 2, results.n) }
  if not op.expected then
    check(op.timeout, name_of(op) .. ' ends, and nobody has ended it')
    op.expected = pack('timeout')
    unlink(op)
  end
  compare(op, got, op.expected)
end

local function perform_cases(run, me, op)
  local ready, any = {}, false
  op.channels = {}
  for i, case in ipairs(op.cases) do
    local model = run.channels[case.index]
    op.channels[i] = model
    if model:is_ready(case) then
      ready[i], any = model, true
    end
  end
  if any then
    perform_ready(run, op, ready)
  elseif op.kind == 'try' then
    local sends = op.cases[1].sends
    local refused = sends and pack(nil, false, 'full') or pack(nil, nil, false, 'empty')
    compare(op, call_at_once(run, op), refused)
  elseif op.default or op.timeout == 0 then
    compare(op, call_at_once(run, op), pack(op.default and 'default' or 'timeout'))
  elseif me.is_canceled then
    expect_canceled(op, pcall(call, op))
  else
    perform_parked(run, me, op)
  end
end

local function cancel(victim)
  local op = victim.op
  -- A select that times out may have done so already, which the model cannot know.
  if victim.has_ended or victim.is_canceled or (op and op.timeout) then
    return
  end
  victim.is_canceled = true
  victim.task:cancel()
  if op and not op.expected then
    unlink(op)
    op.is_canceled = true
  end
end

local function close(run, index)
  local model = run.channels[index]
  local first = not model.is_closed
  model:close()
  check(model.ch:close() == first, 'close() returns something else')
end

local function perform(run, me, op)
  if op.kind == 'yield' then
    local ok, err = pcall(lagoon.yield)
    run.turn = run.turn + 1
    if me.is_canceled then
      expect_canceled(op, ok, err)
    end
    check(ok, err)
  elseif op.kind == 'cancel' then
    cancel(run.tasks[op.victim])
  elseif op.kind == 'close' then
    close(run, op.index)
    run.channels[op.index] = new_model(op.capacity) -- the closed one is not of interest for long
  else
    perform_cases(run, me, op)
  end
end

local function follow_plan(run, me, before_each)
  run.turn = run.turn + 1
  for _, op in ipairs(me.plan) do
    before_each()
    local ok, err = pcall(perform, run, me, op)
    if not ok then
      me.has_ended = true
      if err ~= lagoon.canceled or not me.is_canceled then
        run.failure = run.failure or err
      end
      return
    end
  end
  me.has_ended = true
end

local function has_ended(run)
  for _, me in ipairs(run.tasks) do
    if not me.has_ended then
      return false
    end
  end
  return true
end

-- Lets the tasks run until each has ended or waits for somebody.
local function settle(run)
  repeat
    local turn = run.turn
    lagoon.yield()
  until run.turn == turn and run.timeouts == 0
end

-- Nobody is in a queue any more, and what is in the buffers is what has to be.
local function check_channel(model)
  check(not model.receivers[1] and not model.senders[1], 'somebody waits in the model')
  check(model.ch:len() == #model.buffer, 'len() is wrong')
  for _ = 1, #model.buffer do
    local expected, v, ok = pack(model:recv()), model.ch:try_recv()
    check(ok and v == expected[1], 'another value is left')
  end
  if model.is_closed then
    return
  end
  local _, _, why = model.ch:try_recv()
  check(why == 'empty', 'a sender is left in the queue')
  for _ = 1, model.capacity do
    check(model.ch:try_send(1) and model.ch:len() > 0, 'a receiver is left in the queue')
  end
  _, why = model.ch:try_send(1)
  check(why == 'full', 'a receiver is left in the queue')
end

local function finish(run)
  local by_close = chance(50)
  for i = 1, #run.channels do
    if by_close then
      close(run, i)
    end
  end
  for _, me in ipairs(run.tasks) do
    if not by_close then
      cancel(me)
    end
  end
end

local function nothing() end

local function run_schedule(seed, before_each)
  local run = draw_run(seed)
  for _, me in ipairs(run.tasks) do
    me.task = lagoon.spawn(follow_plan, run, me, before_each or nothing)
  end
  settle(run)
  while not has_ended(run) do
    finish(run)
    settle(run)
    check(not run.failure, run.failure)
  end
  for _, me in ipairs(run.tasks) do
    check(me.task:wait(1), 'a task has not ended')
  end
  check(not run.failure, run.failure)
  for _, model in ipairs(run.channels) do
    check_channel(model)
  end
end

local function run_schedules(from, to, before_each)
  for i = from, to do
    local ok, err = pcall(run_schedule, SEED + i, before_each)
    if not ok then
      error(string.format('LAGOON_SPEC_SEED=%d, schedule %d: %s', SEED, i, tostring(err)), 0)
    end
  end
end

describe('random schedules of send, recv, try, close, select and cancel', function()
  for from = 1, 4000, 1000 do
    it('do what the model does, from number ' .. from, function()
      run_schedules(from, from + 999)
    end)
  end

  it('do so with a collection at every step', function()
    run_schedules(5001, 5004, collectgarbage) -- of all that the run has loaded: slow
  end)
end)
