--- timer.lua: after, ticker and timer: items of the heap that act when they are due.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local slots = require('lagoon.slots')
local chan = require('lagoon.chan')
local task = require('lagoon.task')
local cases = require('lagoon.cases')
local misuse = require('lagoon.misuse')

local WHEN = slots.WHEN
local setmetatable, getmetatable, type = setmetatable, getmetatable, type
local now, spawn_site = host.now, task.spawn_site
local set_origin, duration = chan.set_origin, require('lagoon.trace').duration

local M = {
  pinned = 0, -- timers that will start a task: the program does not end before them
}

--- A channel that receives now() once, in so many seconds.
---@param seconds number
---@return lagoon.Chan
local After = {}
After.__index = After

function After:expire(time)
  self.ch:try_send(time)
end

function After:description()
  local when = self[WHEN]
  return when and 'after, due in ' .. duration(when - now()) or 'after, past'
end

function M.after(seconds)
  misuse.check_seconds(seconds, 'seconds')
  local item = setmetatable(
    { false, false, false, false, false, false, false, ch = chan.new(1) },
    After
  )
  set_origin(item.ch, item)
  heap.arm(item, now() + seconds)
  return item.ch
end

local SHORTEST = 1e-6 -- seconds, of a ticker's period

--- Ticks on a channel until it is stopped. A tick that nobody took yet swallows the next.
---@class lagoon.Ticker
---@field ch lagoon.Chan
local Ticker = {}
Ticker.__index = Ticker

function Ticker:expire(time)
  self.ch:try_send(time)
  -- Ticks keep to the grid of the first, and those that were missed are left out.
  local due = self.due + self.period
  if due <= time then
    due = time + self.period - (time - self.due) % self.period
  end
  self.due = due
  heap.arm(self, due)
end

function Ticker:description()
  return 'ticker, every ' .. duration(self.period) .. (self[WHEN] and '' or ', stopped')
end

function Ticker:stop()
  if getmetatable(self) ~= Ticker then
    misuse.wrong_self('ticker', self)
  end
  if self[WHEN] then
    heap.disarm(self)
    return true
  end
  return false
end

---@param seconds number the period, more than 0
---@return lagoon.Ticker
function M.ticker(seconds)
  misuse.check_seconds(seconds, 'seconds')
  if seconds <= 0 then
    misuse.raise('the period of a ticker must be more than 0')
  end
  -- A period that the clock cannot tell from none would be due for ever.
  seconds = seconds > SHORTEST and seconds or SHORTEST
  local due = now() + seconds
  local ticker = setmetatable({
    false, false, false, false, false, false, false, -- the slots up to CO
    ch = chan.new(1),
    period = seconds,
    due = due,
  }, Ticker)
  set_origin(ticker.ch, ticker)
  heap.arm(ticker, due)
  return ticker
end

--- Calls a function, in a task of its own, when it is due.
---@class lagoon.Timer
local Timer = {}
Timer.__index = Timer

cases.advise(Ticker, 'a ticker: use ticker.ch')
cases.advise(Timer, 'a timer: use after()')

-- What else is in a timer's slots: those that only waiters use.
local F, WHERE = slots.NEXT, slots.PREV

function Timer:expire()
  M.pinned = M.pinned - 1
  task.spawn_timer(self[F], self[WHERE])
end

local function check_timer(timer)
  if getmetatable(timer) ~= Timer then
    misuse.wrong_self('timer', timer)
  end
end

--- Stops it: true, or false if it had fired or was stopped already.
function Timer:stop()
  check_timer(self)
  if not self[WHEN] then
    return false
  end
  heap.disarm(self)
  M.pinned = M.pinned - 1
  return true
end

--- Makes it due in so many seconds from now, whether it was pending or not; true if it was.
---@param seconds number
function Timer:reset(seconds)
  check_timer(self)
  misuse.check_seconds(seconds, 'seconds')
  local was_armed = self[WHEN] and true or false
  if not was_armed then
    M.pinned = M.pinned + 1
  end
  heap.arm(self, now() + seconds)
  return was_armed
end

--- Calls f() in a task of its own in so many seconds.
---@param seconds number
---@param f function
---@return lagoon.Timer
function M.timer(seconds, f)
  misuse.check_seconds(seconds, 'seconds')
  if type(f) ~= 'function' then
    misuse.check_function(f, 'the function of a timer')
  end
  local none = false -- see new() of task.lua
  local timer = setmetatable({ f, spawn_site(), none, none, none, none, none }, Timer)
  M.pinned = M.pinned + 1
  heap.arm(timer, now() + seconds)
  return timer
end

return M
