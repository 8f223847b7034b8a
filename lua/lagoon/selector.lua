--- selector.lua: waiting for whichever of several things comes first.
--
-- A selector holds cases. To wait, it asks each case whether it is ready; of those that are it
-- performs one, chosen uniformly. If none is, it links all of them into their sources and
-- parks. The first to fire takes the others out at once, so that nothing is left behind and
-- no source ever meets a case that has lost.
--
-- What a case does is its kind: see cases.lua.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local slots = require('lagoon.slots')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local understand = require('lagoon.cases').understand

local VALUE, WHEN = slots.VALUE, slots.WHEN
local pairs, type, tostring, concat = pairs, type, tostring, table.concat
local setmetatable, rawequal = setmetatable, rawequal
local bxor, lshift, rshift, tobit = bit.bxor, bit.lshift, bit.rshift, bit.tobit
local format = string.format
local park, wake = sched.park, sched.wake

local M = {}

local seed = tobit(host.now() * 1e9) + 1

--- A number from 0 to n - 1. (xorshift32: math.random belongs to the script, which may seed it.)
function M.random(n)
  local x = seed
  x = bxor(x, lshift(x, 13))
  x = bxor(x, rshift(x, 17))
  x = bxor(x, lshift(x, 5))
  seed = x
  return rshift(x, 1) % n
end

local Case = {}
Case.__index = Case

local Selector = {}
Selector.__index = Selector
M.Case, M.Selector = Case, Selector

local function unlink_all(selector, except)
  local cases = selector.cases
  for i = 1, selector.count do
    local case = cases[i]
    if not rawequal(case, except) then
      case.kind.unpark(case)
    end
  end
end

--- The case's source has an outcome for it and has taken it out.
function Case:fire(value)
  local selector = self.selector
  unlink_all(selector, self)
  self[VALUE] = false
  selector.fired, selector.value = self, value
  -- When its time-out came first, in this same turn, the task is queued already: data wins.
  if not selector.expired then
    if selector[WHEN] then
      heap.disarm(selector) -- or it would wake the task from its next wait
    end
    wake(selector.task, true)
  end
end

--- An event that may be for the case: if so it fires, otherwise it waits on.
function Case:poke()
  local kind = self.kind
  kind.unpark(self)
  if kind.claim then
    local value = kind.claim(self)
    if value then
      return self:fire(value)
    end
  elseif kind.ready(self) then
    return self:fire()
  end
  local err = kind.park(self)
  if err then
    self.selector.failure = err
    self:fire()
  end
end

-- The time-out: the cases stay where they are until the task runs.
function Selector:expire()
  self.expired = true
  wake(self.task, true)
end

function Selector:unpark()
  if not self.expired then
    unlink_all(self)
  end
  if self[WHEN] then
    heap.disarm(self)
  end
  self.task = false
end

local MAX_KEYS = 5 -- that a reason names

-- The key of a case, without asking a metatable.
local function key_text(key)
  local kind = type(key)
  return (kind == 'string' or kind == 'number' or kind == 'boolean') and tostring(key) or kind
end

function Selector:reason()
  if self.what then
    return self.what
  end
  local n, keys = self.count, {}
  for i = 1, n do
    if i > MAX_KEYS then
      keys[i] = '...'
      break
    end
    keys[i] = key_text(self.cases[i].key)
  end
  if self.seconds then
    n = n + 1
    keys[#keys + 1] = 'timeout'
  end
  if n == 0 then
    return 'select {}'
  end
  return format('select of %d: %s', n, concat(keys, ', '))
end

-- One of the cases that are ready, all with the same chance; nil if none is.
local function pick(selector)
  local cases, ready, picked = selector.cases, 0, nil
  for i = 1, selector.count do
    local case = cases[i]
    if not case.has_failed and case.kind.ready(case) then
      ready = ready + 1
      if ready == 1 or M.random(ready) == 0 then
        picked = case
      end
    end
  end
  return picked
end

-- The case to perform now. One of a kind that claims has fired with selector.value; those whose
-- claim fails are left out.
local function choose(selector)
  local case = pick(selector)
  local any_failed = false
  while case and case.kind.claim do
    local value = case.kind.claim(case)
    if value then
      selector.value = value
      break
    end
    case.has_failed, any_failed = true, true
    case = pick(selector)
  end
  if any_failed then
    for i = 1, selector.count do
      selector.cases[i].has_failed = false
    end
  end
  return case
end

-- Parks until a case has fired, or cannot be waited for: then selector.failure says why. nil after
-- the time-out.
local function wait_parked(selector)
  local cases = selector.cases
  selector.task, selector.fired, selector.expired = sched.self(), false, false
  for i = 1, selector.count do
    local case = cases[i]
    local err = case.kind.park(case)
    if err then
      for j = 1, i - 1 do
        cases[j].kind.unpark(cases[j])
      end
      selector.task, selector.failure = false, err
      return case
    end
  end
  local seconds = selector.seconds
  if seconds then
    heap.arm(selector, host.now() + seconds)
  end
  park(selector)
  local fired = selector.fired
  if not fired then
    unlink_all(selector)
  end
  selector.task = false
  return fired
end

--- What select returns for a case: the key, and the results, or the handler's.
function M.outcome(key, handler, ...)
  if handler then
    return key, handler(...)
  end
  return key, ...
end
local outcome = M.outcome

-- Of a case that has fired, or failed.
local function conclude(selector, done, case)
  local key, handler, results = case.key, case.handler, case.kind.results
  local value, failure = selector.value, selector.failure
  selector.value, selector.failure = false, false
  done(selector)
  if failure then
    return outcome(key, handler, nil, failure)
  end
  return outcome(key, handler, results(value))
end

--- Waits until one of the cases can go on, performs it, and returns its key and results. `done` is
-- called with the selector when it is not needed any more. `none_ready`: that is known already.
---@async
function M.run(selector, done, none_ready)
  local case = not none_ready and choose(selector)
  if case and case.kind.claim then
    return conclude(selector, done, case)
  elseif not case then
    local seconds = selector.seconds
    if selector.has_default then
      done(selector)
      return 'default'
    elseif not seconds or seconds > 0 then
      case = wait_parked(selector)
    end
    if not case then
      done(selector)
      return 'timeout'
    end
    if selector.failure or case.kind.results then
      return conclude(selector, done, case)
    end
  end
  local key, handler, kind = case.key, case.handler, case.kind
  local source, sends = case.source, case.sends
  done(selector)
  return outcome(key, handler, kind.take(source, sends))
end

-- Both are made with all their fields: a table that gets them one by one is rebuilt for each.

function M.new()
  return setmetatable({
    false, false, false, false, false, false, false, -- the slots up to CO
    cases = {},
    count = 0, -- cases in use
    seconds = false, -- of the time-out
    has_default = false,
    task = false, -- who waits
    fired = false, -- the case that has
    value = false, -- what it fired with
    expired = false,
    failure = false, -- why a case could not be waited for
    what = false, -- what its task is said to wait for, instead of naming its cases
  }, Selector)
end

local function new_case(selector)
  return setmetatable({
    false, false, false, false, false, false, false, -- the slots up to CO
    selector = selector,
    key = false,
    kind = false,
    source = false,
    sends = false,
    handler = false,
    token = false, -- of kinds that wait for the poller
    pause = false, -- of kinds that try again after a while
    has_failed = false, -- to claim, in this round
  }, Case)
end

local function add(selector, key, kind, source, sends, handler)
  local n = selector.count + 1
  local case = selector.cases[n]
  if not case then
    case = new_case(selector)
    selector.cases[n] = case
  end
  case.key, case.kind, case.source, case.sends, case.handler = key, kind, source, sends, handler
  selector.count = n
end

--- The seconds of a time-out, or what says that there is none; misuse if it is neither.
function M.check_timeout(seconds)
  return seconds and misuse.check_seconds(seconds, "case 'timeout'")
end

local function set_timeout(selector, seconds)
  selector.seconds = M.check_timeout(seconds) or false
end

local function remove(selector, key)
  local cases = selector.cases
  for i = 1, selector.count do
    if cases[i].key == key then
      local last = selector.count
      cases[i], cases[last] = cases[last], cases[i]
      selector.count = last - 1
      return
    end
  end
end

--- Replaces what stands under a key; nil or false switches it off.
function M.set(selector, key, case)
  if key == 'timeout' then
    set_timeout(selector, case)
  elseif key == 'default' then
    selector.has_default = case and true or false
  elseif case then
    local kind, source, sends, handler = understand(key, case)
    remove(selector, key)
    add(selector, key, kind, source, sends, handler)
  else
    remove(selector, key)
  end
end

--- Adds what the script wrote to a selector that has no cases yet.
function M.compile(selector, cases)
  for key, value in pairs(cases) do
    if key == 'timeout' then
      set_timeout(selector, value)
    elseif key == 'default' then
      selector.has_default = value and true or false
    elseif value then
      add(selector, key, understand(key, value))
    end
  end
end

--- Takes all cases out.
function M.clear(selector)
  for i = 1, selector.count do
    local case = selector.cases[i]
    case.source, case.sends, case.handler, case.key = false, false, false, false
  end
  selector.count, selector.seconds, selector.has_default = 0, false, false
end

return M
