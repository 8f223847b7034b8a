--- flight.lua: a call that several tasks want, and one of them makes.
--
-- The others wait for what it returns or raises. If the task that makes it is canceled, that is
-- no outcome: the call is up to who has waited longest, before that runs; or, when nobody waits,
-- to the next who comes. The same if that task ends with the call not over: it was given up, or
-- has left the call in a coroutine. To learn of it, the flight stands among those who wait for
-- the task's end.
--
-- Invariant: whoever waits does so while there is a runner.

local slots = require('lagoon.slots')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local queue = require('lagoon.queue')
local canceled = require('lagoon.canceled')
local failures = require('lagoon.failures')
local tasks = require('lagoon.task')

local EXTRA = slots.EXTRA
local setmetatable, rawequal, xpcall = setmetatable, rawequal, xpcall
local select, unpack = select, unpack
local park, wake, wake_all, self_task = sched.park, sched.wake, sched.wake_all, sched.self
local on_error, raise, trace_of = failures.on_error, failures.raise, failures.trace_of
local joiners = tasks.joiners

local Flight = {}
Flight.__index = Flight
Flight.is_deaf = true -- to the error of the task that it waits for, see task.lua

local M = {}

--- A call that was not made yet.
---@param what string "once" | "singleflight"
---@param forget? fun(flight: table) called when the call is over, or canceled with nobody waiting
function M.new(what, forget)
  return setmetatable({
    false, false, false, false, false, false, false, -- the slots up to CO
    what = what,
    forget = forget or false,
    runner = false,
    call_number = 0, -- of the call that counts: one that was abandoned may come to an end later
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

--- The runner has ended, or was given up: a flight is a waiter for that.
function Flight:fire()
  self.call_number = self.call_number + 1
  hand_over(self)
end

-- The call that counts is over, in the running task, which may not be the one that began it.
local function finish(flight, ok, ...)
  local extra = self_task()[EXTRA]
  joiners(flight.runner):unpark(flight)
  if not ok and extra and extra.cancel and canceled.is((...)) then
    hand_over(flight)
  else
    settle(flight, ok, ...)
  end
end

-- The end of a call, with what xpcall() has returned of it.
local function land(flight, number, ok, ...)
  if flight.call_number == number then
    finish(flight, ok, ...)
  end
  if ok then
    return ...
  end
  raise((...))
end

local function begin(flight, task)
  local number = flight.call_number + 1
  flight.runner, flight.call_number = task, number
  joiners(task):push(flight)
  return number
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
  return land(self, begin(self, self_task()), xpcall(f, on_error, ...))
end

return M
