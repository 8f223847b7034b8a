--- quit.lua: SIGQUIT: what the tasks do, and a line of figures, on standard error.
--
-- It is printed in a task of its own, and in small pieces, each when there is room for it: a
-- reader of standard error that is slow, or stuck, holds up nobody.

local host = require('lagoon.host')
local runtime = require('lagoon.runtime')
local sched = require('lagoon.sched')
local selecting = require('lagoon.select')
local defaults = require('lagoon.signal_default')
local task = require('lagoon.task')
local watch = require('lagoon.watch')

local format, sub = string.format, string.sub

local M = {}

local STDERR = 2
local PIECE = 4000 -- bytes: what a pipe that is writable takes without blocking is 4096
local PATIENCE = 1 -- seconds without room, after which the rest is not printed

-- Whether there is room, now or soon.
local function wait_for_room()
  if host.fd_ready(STDERR, 'w') then
    return true
  end
  local which, ok = selecting.select({ room = watch.writable(STDERR), timeout = PATIENCE })
  return which == 'room' and ok
end

-- Where a piece that begins at `from` ends: at the end of a line if it can.
local function end_of_piece(text, from)
  local till = from + PIECE - 1
  if till >= #text then
    return #text, #text + 1
  end
  while till > from and sub(text, till, till) ~= '\n' do
    till = till - 1
  end
  if till > from then
    return till - 1, till + 1
  end
  return from + PIECE - 1, from + PIECE
end

local function print_slowly(text)
  local from = 1
  while from <= #text and wait_for_room() do
    local till, next_from = end_of_piece(text, from)
    host.log(sub(text, from, till))
    from = next_from
  end
end

-- The figures without the task that prints them.
local function summary()
  local s = runtime.stats()
  return format(
    'lagoon: %d tasks (%d ready, %d parked), %d timers, %d conns, %d listeners, '
      .. '%d of %d fds, %.1f MB of Lua, longest turn %.0f ms',
    s.tasks - 1,
    s.ready,
    s.parked,
    s.timers,
    s.conns,
    s.listeners,
    s.fds,
    s.fd_limit,
    s.lua_bytes / 1e6,
    s.longest_turn * 1e3
  )
end

local function print_all()
  local text = require('lagoon.dump').text(sched.current())
  print_slowly((text ~= '' and text .. '\n' or '') .. summary())
end

local printer = false -- the task that prints, or has printed last

--- Has SIGQUIT print, from now on, unless a script has asked for it.
function M.install()
  defaults.set('SIGQUIT', function()
    if not printer or task.has_ended(printer) then
      printer = task.spawn(print_all)
    end
  end)
end

return M
