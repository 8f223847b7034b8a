--- structure_property_spec.lua: random trees of scopes, with cancels, deadlines, errors and channel
-- operations at random.
--
-- Whatever happens in a tree, once it is over
--   * every task that a scope has spawned has ended before the scope did;
--   * every wait has ended once: a task is never resumed for a wait that it is not in;
--   * no task stands in the queue of a channel, and no timer is armed;
--   * every error has surfaced once: raised by its scope, attached to what that raised, caught,
--     or reported.
--
-- LAGOON_SPEC_SEED=n runs the trees of a run that failed again; LAGOON_SPEC_TREES=n runs so many.

local lagoon = require('lagoon')

local SEED = tonumber(os.getenv('LAGOON_SPEC_SEED')) or os.time() % 1e6
local TREES = tonumber(os.getenv('LAGOON_SPEC_TREES')) or 2000
local AT_ONCE = 100
local sleep = lagoon.sleep

local CHANNELS = 3
local MAX_DEPTH = 4

-- What a tree has in common: its channels, its scopes, the errors that it has raised, and its
-- random numbers.
local World = {}
World.__index = World

local function new_world(seed)
  local world = setmetatable(
    { seed = seed, chans = {}, scopes = {}, raised = {}, tasks = 0, running = 0, waiting = {} },
    World
  )
  for i = 1, CHANNELS do
    world.chans[i] = lagoon.chan(world:random(0, 2))
  end
  return world
end

-- As math.random; a Lehmer generator.
function World:random(from, to)
  if not to then
    from, to = 1, from
  end
  self.seed = self.seed * 48271 % 2147483647
  return to < from and 0 or from + self.seed % (to - from + 1)
end

-- Another with the same channels, for what nobody counts.
function World:apart()
  return setmetatable(
    { seed = self.seed, chans = self.chans, scopes = {}, raised = {}, tasks = 0, running = 0,
      waiting = {} },
    World
  )
end

-- One wait, which must end while its task is in it, and once.
local function wait(world, f, ...)
  local me = lagoon.current()
  assert(not world.waiting[me], 'a task in two waits')
  world.waiting[me] = true
  local ok, err = pcall(f, ...)
  assert(world.waiting[me], 'a wait that has ended twice')
  world.waiting[me] = nil
  if not ok then
    error(err, 0)
  end
end

-- An error with a number of its own, by which it is found again.
local function raise(world)
  local n = #world.raised + 1
  world.raised[n] = 0
  error('<' .. n .. '>', 0)
end

-- Counts the errors that turn up in a text, each once for each place that it turns up in.
local function surface(world, text)
  for n in tostring(text):gmatch('<(%d+)>') do
    n = tonumber(n)
    world.raised[n] = world.raised[n] + 1
  end
end

local act

local function act_some(world, depth, most)
  for _ = 1, world:random(0, most) do
    act(world, depth)
  end
end

-- The call of a scope, or a timeout, in some of the trees with a pcall around it.
local function guarded(world, f, ...)
  if world:random(3) > 1 then
    return f(...)
  end
  local ok, err = pcall(f, ...)
  if not ok and err ~= lagoon.canceled then
    surface(world, err)
  elseif not ok then
    error(err, 0)
  end
end

local function body(world, depth)
  return function()
    world.tasks, world.running = world.tasks + 1, world.running + 1
    local ok, err = pcall(act_some, world, depth + 1, 4)
    world.running = world.running - 1
    if not ok then
      error(err, 0)
    end
  end
end

local function open_scope(world, depth)
  local spawned = {}
  local opts = world:random(4) == 1 and { timeout = world:random(0, 3) / 2000 } or nil
  local function spawn(s)
    local task = s:spawn(body(world, depth))
    spawned[#spawned + 1] = task
  end
  local ok, err = pcall(lagoon.scope, function(s)
    world.scopes[#world.scopes + 1] = s
    for _ = 1, world:random(0, 3) do
      spawn(s)
    end
    if world:random(4) == 1 then
      s:defer(function()
        if world:random(4) == 1 then
          raise(world)
        end
      end)
    end
    act_some(world, depth + 1, 3)
  end, opts)
  for _, task in ipairs(spawned) do
    local status = task:status()
    assert(
      status == 'done' or status == 'failed' or status == 'canceled',
      'a task has outlived its scope: ' .. status
    )
  end
  if not ok then
    error(err, 0)
  end
end

local ACTIONS = {
  function(world)
    wait(world, sleep, world:random(0, 2) / 4000)
  end,
  function(world)
    wait(world, lagoon.yield)
  end,
  function(world)
    local ch = world.chans[world:random(CHANNELS)]
    wait(world, ch.send, ch, world:random(100))
  end,
  function(world)
    local ch = world.chans[world:random(CHANNELS)]
    wait(world, ch.recv, ch)
  end,
  function(world)
    wait(world, lagoon.select, {
      world.chans[world:random(CHANNELS)],
      lagoon.send(world.chans[world:random(CHANNELS)], 1),
      timeout = world:random(2) == 1 and world:random(0, 3) / 4000 or nil,
    })
  end,
  function(world, depth)
    guarded(world, open_scope, world, depth)
  end,
  function(world, depth)
    guarded(world, lagoon.timeout, world:random(0, 3) / 2000, act_some, world, depth + 1, 3)
  end,
  function(world, depth)
    lagoon.shield(0.001, function()
      pcall(act_some, world:apart(), math.max(depth + 1, MAX_DEPTH), 2)
    end)
  end,
  function(world)
    local s = world.scopes[world:random(#world.scopes)]
    if s and world:random(3) == 1 then
      s:cancel('at random')
    end
  end,
  function(world)
    if world:random(3) == 1 then
      raise(world)
    end
  end,
}

function act(world, depth)
  local i = world:random(#ACTIONS)
  if depth < MAX_DEPTH or i < 6 or i > 8 then
    ACTIONS[i](world, depth)
  end
end

-- Nobody stands in the queues of a channel: what is sent is still there, and nothing more.
local function check_queues(world)
  for i, ch in ipairs(world.chans) do
    while ch:len() > 0 do
      assert(ch:try_recv())
    end
    local value, ok, why = ch:try_recv()
    assert(value == nil and ok == false and why == 'empty', 'a sender is left in channel ' .. i)
    if ch:cap() == 0 then
      assert(not ch:try_send(1), 'a receiver is left in channel ' .. i)
    end
  end
end

local function run(seed)
  local world = new_world(seed)
  local ok, err = pcall(lagoon.timeout, 0.05, open_scope, world, 0)
  if not ok then
    surface(world, err)
  end
  assert(world.running == 0, 'tasks are left')
  assert(next(world.waiting) == nil, 'a wait has not ended')
  check_queues(world)
  for n, times in ipairs(world.raised) do
    assert(times == 1, string.format('error <%d> surfaced %d times: %s', n, times, tostring(err)))
  end
  return world
end

describe('a random tree of scopes', function()
  it('leaves no task, no wait and no waiter behind, and loses no error', function()
    local timers = lagoon.runtime.stats().timers
    local tasks, errors = 0, 0
    for first = 1, TREES, AT_ONCE do
      local trees = {}
      for i = first, math.min(first + AT_ONCE - 1, TREES) do
        trees[i] = lagoon.spawn(run, SEED + i)
      end
      for i, tree in pairs(trees) do
        local ok, world = tree:wait()
        assert(ok, string.format('LAGOON_SPEC_SEED=%d: %s', SEED + i - 1, tostring(world)))
        tasks, errors = tasks + world.tasks, errors + #world.raised
      end
    end
    assert.equal(timers, lagoon.runtime.stats().timers)
    assert(tasks > TREES and errors > TREES / 10, 'the trees are too small to show anything')
  end)
end)
