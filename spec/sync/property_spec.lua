--- property_spec.lua: lagoon.sync with random operations and cancellations.
--
-- What has permits is compared with a model, a list of who waits; the rest with what must hold
-- whatever happens: nobody is where somebody else must be alone, nobody is forgotten, and
-- nothing is left behind.
--
-- LAGOON_SPEC_SEED=n runs the rounds of a run that failed again.

local lagoon = require('lagoon')

local sync = lagoon.sync
local random = math.random

local SEED = tonumber(os.getenv('LAGOON_SPEC_SEED')) or os.time() % 1e6
local ROUNDS = 200

local function each_round(f)
  for round = 0, ROUNDS - 1 do
    math.randomseed(SEED + round)
    local ok, err = pcall(f)
    assert(ok, ('LAGOON_SPEC_SEED=%d: %s'):format(SEED + round, tostring(err)))
  end
end

-- What the model is compared with: how to take and to give k permits of `limit`, and which k
-- there are.

local function new_mutex()
  local m = sync.mutex()
  return { limit = 1, sizes = { 1 } }, {
    take = function()
      return m:lock()
    end,
    try = function()
      return m:try_lock()
    end,
    give = function()
      m:unlock()
    end,
  }
end

local function new_rwmutex()
  local rw = sync.rwmutex()
  local all = 100 -- more than ever read at once
  return { limit = all, sizes = { 1, 1, all } }, {
    take = function(k)
      return rw[k == all and 'lock' or 'rlock'](rw)
    end,
    try = function(k)
      return rw[k == all and 'try_lock' or 'try_rlock'](rw)
    end,
    give = function(k)
      rw[k == all and 'unlock' or 'runlock'](rw)
    end,
  }
end

local function new_semaphore()
  local limit = random(5)
  local sem = sync.semaphore(limit)
  local sizes = {}
  for k = 1, limit do
    sizes[k] = k
  end
  return { limit = limit, sizes = sizes }, {
    take = function(k)
      return sem:acquire(k)
    end,
    try = function(k)
      return sem:try_acquire(k)
    end,
    give = function(k)
      sem:release(k)
    end,
  }
end

-- The model: what is free, who waits, who was served, in order, and what is to be given back.
local Model = {}
Model.__index = Model

local function new_model(spec)
  spec.free, spec.waiting, spec.served, spec.taken = spec.limit, {}, {}, {}
  return setmetatable(spec, Model)
end

function Model:admit()
  local first = self.waiting[1]
  while first and first.k <= self.free do
    table.remove(self.waiting, 1)
    self.free = self.free - first.k
    self.served[#self.served + 1] = first.name
    self.taken[#self.taken + 1] = first.k
    first = self.waiting[1]
  end
end

function Model:take(name, k)
  self.waiting[#self.waiting + 1] = { name = name, k = k }
  self:admit()
end

function Model:try(k)
  if #self.waiting > 0 or self.free < k then
    return false
  end
  self.free = self.free - k
  self.taken[#self.taken + 1] = k
  return true
end

function Model:give(k)
  self.free = self.free + k
  self:admit()
end

function Model:cancel(name)
  for i, waiter in ipairs(self.waiting) do
    if waiter.name == name then
      table.remove(self.waiting, i)
      self:admit()
      return true
    end
  end
  return false
end

-- A run: the tasks that wait for the real one, and what came of them.
local Run = {}
Run.__index = Run

local function new_run(new)
  local spec, real = new()
  return setmetatable(
    { model = new_model(spec), real = real, tasks = {}, served = {}, canceled = {} },
    Run
  )
end

function Run:take()
  local name, k = #self.tasks + 1, self.model.sizes[random(#self.model.sizes)]
  self.tasks[name] = lagoon.spawn(function()
    self.model:take(name, k)
    local ok, err = pcall(self.real.take, k)
    if ok then
      self.served[#self.served + 1] = name
    else
      assert(err == lagoon.canceled, err)
      self.canceled[name] = true
    end
  end)
  lagoon.yield()
end

function Run:try()
  local k = self.model.sizes[random(#self.model.sizes)]
  local expected = self.model:try(k)
  assert(self.real.try(k) == expected, 'try() is wrong')
end

function Run:give()
  local taken = self.model.taken
  if #taken > 0 then
    local k = table.remove(taken, random(#taken))
    self.model:give(k)
    self.real.give(k)
  end
end

-- Mostly of who waits, or was served just now.
function Run:cancel()
  local name = #self.tasks - random(0, 5)
  if self.tasks[name] then
    local expected = self.model:cancel(name)
    self.tasks[name]:cancel()
    if expected then
      self.canceled[name] = 'expected'
    end
  end
end

function Run:check()
  lagoon.yield()
  assert.same(self.model.served, self.served)
  for name, state in pairs(self.canceled) do
    assert(state == true, 'a task was not canceled: ' .. name)
    self.canceled[name] = nil
  end
  for _, waiter in ipairs(self.model.waiting) do
    assert(self.tasks[waiter.name]:status() == 'parked', 'a task does not wait')
  end
end

-- Gives everything back, until nobody waits.
function Run:drain()
  while #self.model.taken > 0 do
    self:give()
    self:check()
  end
  assert(self.model.free == self.model.limit and #self.model.waiting == 0)
  for _, task in ipairs(self.tasks) do
    assert(task:wait())
  end
  self.model.sizes = { self.model.limit }
  self:try()
  self:give()
end

local OPERATIONS = { 'take', 'take', 'take', 'try', 'give', 'give', 'cancel', 'cancel', 'check' }

local function run_against_model(new)
  local run = new_run(new)
  for _ = 1, 60 do
    run[OPERATIONS[random(#OPERATIONS)]](run)
  end
  run:drain()
end

-- Tasks that each do something at random, so many times; some are canceled, or have no time.
local function crowd(act)
  local tasks, failed = {}, nil
  for i = 1, 12 do
    tasks[i] = lagoon.spawn(function()
      for _ = 1, 10 do
        local limit = random(3) == 1 and 0 or 60
        lagoon.timeout(limit, act)
      end
    end)
  end
  for _ = 1, 10 do
    lagoon.yield()
    tasks[random(#tasks)]:cancel()
  end
  for _, task in ipairs(tasks) do
    local ok, err = task:wait()
    if not ok and err ~= lagoon.canceled then
      failed = failed or err
    end
  end
  assert(not failed, failed)
end

local function yield_some()
  for _ = 1, random(0, 3) do
    lagoon.yield()
  end
end

-- Nobody is where somebody else is alone.
local function share_rwmutex()
  local rw, readers, writers = sync.rwmutex(), 0, 0
  local function write()
    assert(readers == 0 and writers == 0, 'a writer is not alone')
    writers = 1
    pcall(yield_some)
    writers = 0
  end
  local function read()
    assert(writers == 0, 'a reader is beside a writer')
    readers = readers + 1
    pcall(yield_some)
    readers = readers - 1
  end
  crowd(function()
    if random(3) == 1 then
      rw:with(write)
    else
      rw:rwith(read)
    end
  end)
  assert(rw:try_lock(), 'the rwmutex is not free')
end

-- A buffer for two, with two conds: what is put is taken, and in order.
local function share_buffer()
  local m = sync.mutex()
  local not_full, not_empty = sync.cond(m), sync.cond(m)
  local put, taken, inside = 0, 0, 0
  local function wait(c)
    inside = inside - 1
    local ok, err = pcall(c.wait, c)
    inside = inside + 1
    assert(inside == 1, 'two tasks hold the mutex')
    if not ok then
      error(err, 0)
    end
  end
  local function change(n, is_blocked, c, other)
    m:with(function()
      inside = inside + 1
      assert(inside == 1, 'two tasks hold the mutex')
      local ok, err = pcall(function()
        while is_blocked() do
          wait(c)
        end
        put, taken = put + n, taken + 1 - n
        other:signal()
        pcall(yield_some)
      end)
      inside = inside - 1
      if not ok then
        error(err, 0)
      end
    end)
  end
  local function take()
    change(0, function()
      return put == taken
    end, not_empty, not_full)
  end
  local function give()
    change(1, function()
      return put == taken + 2
    end, not_full, not_empty)
  end
  local helper = lagoon.spawn(function() -- or the last ones would wait for ever
    while true do
      lagoon.yield()
      m:with(function()
        if put == taken then
          put = put + 1
          not_empty:signal()
        elseif put == taken + 2 then
          taken = taken + 1
          not_full:signal()
        end
      end)
    end
  end)
  crowd(function()
    if random(2) == 1 then
      take()
    else
      give()
    end
  end)
  helper:cancel()
  helper:wait()
  assert(put - taken >= 0 and put - taken <= 2)
  assert(inside == 0 and m:try_lock(), 'the mutex is not free')
end

-- One call at a time for a key, and nobody gets the result of one that was over before.
local function share_calls()
  local group, running, over = sync.singleflight(), {}, { a = 0, b = 0 }
  local function run(key)
    assert(not running[key], 'two calls at once')
    running[key] = true
    local ok, err = pcall(yield_some)
    running[key] = nil
    if not ok then
      error(err, 0)
    end
    over[key] = over[key] + 1
    return over[key]
  end
  crowd(function()
    local key = random(2) == 1 and 'a' or 'b'
    local before = over[key]
    local result = group:call(key, run, key)
    assert(result > before, 'the result of an earlier call')
  end)
  assert(next(group.flights) == nil, 'a call is kept')
end

local function share_once()
  local calls, running = 0, false
  local f = sync.once(function()
    assert(not running, 'two calls at once')
    running = true
    local ok, err = pcall(yield_some)
    running = false
    if not ok then
      error(err, 0)
    end
    calls = calls + 1
    return calls
  end)
  crowd(function()
    assert(f() == 1, 'called twice')
  end)
  assert(f() == 1, 'called twice')
end

local function share_waitgroup()
  local wg, going = sync.waitgroup(), 0
  local function work()
    going = going + 1
    wg:add(1)
    pcall(yield_some)
    going = going - 1
    wg:done()
  end
  crowd(function()
    if random(2) == 1 then
      work()
    else
      wg:wait()
    end
  end)
  assert(going == 0 and wg:wait())
end

describe('with random operations and cancellations', function()
  for name, new in pairs({ mutex = new_mutex, rwmutex = new_rwmutex, semaphore = new_semaphore }) do
    it('a ' .. name .. ' does as its model', function()
      each_round(function()
        run_against_model(new)
      end)
    end)
  end

  it('a rwmutex keeps writers alone', function()
    each_round(share_rwmutex)
  end)

  it('a cond leaves the mutex to one task at a time, and loses no signal', function()
    each_round(share_buffer)
  end)

  it('a singleflight makes one call at a time, and shares it', function()
    each_round(share_calls)
  end)

  it('a function of once is called once', function()
    each_round(share_once)
  end)

  it('a waitgroup leaves nobody waiting', function()
    each_round(share_waitgroup)
  end)
end)
