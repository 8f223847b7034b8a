--- flight.lua: a call that several tasks want, and one of them makes.
--
-- The others wait for what it returns or raises. If the task that makes it is canceled, that is
-- no outcome: the call is up to who has waited longest, before that runs; or, when nobody waits,
-- to the next who comes.
--
-- Invariant: whoever waits does so while there is a runner.

local slots = require('lagoon.slots')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local queue = require('lagoon.queue')
local canceled = require('lagoon.canceled')
local failures = require('lagoon.failures')

local EXTRA = slots.EXTRA
local setmetatable, rawequal, xpcall = setmetatable, rawequal, xpcall
local select, unpack = select, unpack
local park, wake, wake_all, self_task = sched.park, sched.wake, sched.wake_all, sched.self
local on_error, raise, trace_of = failures.on_error, failures.raise, failures.trace_of

local Flight = {}
Flight.__index = Flight

local M = {}

--- A call that was not made yet.
---@param what string "once" | "singleflight"
---@param forget? fun(flight: table) called when the call is over, or canceled with nobody waiting
function M.new(what, forget)
  return setmetatable({
    what = what,
    forget = forget or false,
    runner = false,
    results = false, -- what the call has returned, a table with a field n
    failed = false, -- whether it has raised: err, and how that came about
    err = nil,
    trace = false,
    waiters = queue.new(what .. ' call'),
  }, Flight)
end

local function forget(flight)
  flight.runner = false
  if flight.forget then
    flight:forget()
  end
end

local function settle(flight, ok, ...)
  if ok then
    flight.results = { n = select('#', ...), ... }
  else
    flight.failed, flight.err, flight.trace = true, (...), trace_of((...))
  end
  forget(flight)
  wake_all(flight.waiters)
end

local function hand_over(flight)
  local waiter = flight.waiters:pop()
  if waiter then
    flight.runner = waiter
    wake(waiter, true)
  else
    forget(flight)
  end
end

-- The end of the call, with what xpcall() has returned of it.
local function land(flight, ok, ...)
  local extra = self_task()[EXTRA]
  if not ok and extra and extra.cancel and canceled.is((...)) then
    hand_over(flight)
  else
    settle(flight, ok, ...)
  end
  if ok then
    return ...
  end
  raise((...))
end

--- Calls f(...), or waits for who does already, or takes what came of it.
---@async
---@return any ... what the call returns
function Flight:call(f, ...)
  if self.runner then
    local task = self_task()
    if rawequal(self.runner, task) then
      misuse.raise('the function of %s calls itself, and would wait for itself', self.what)
    end
    self.waiters:push(task)
    park(self.waiters)
  end
  if self.results then
    return unpack(self.results, 1, self.results.n)
  elseif self.failed then
    raise(self.err, self.trace)
  end
  self.runner = self_task()
  return land(self, xpcall(f, on_error, ...))
end

return M
