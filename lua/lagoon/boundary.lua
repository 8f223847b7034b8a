--- boundary.lua: waits where no yield is possible: says which construct is in the way, and what
-- to do instead.
--
-- LuaJIT cannot yield across a C function that calls back into Lua. yield() raises then, with
-- the wait in its source's books (sched.lua). The error may be caught in four places, and in
-- each the wait is taken back and the error explained before the script goes on: pcall and
-- xpcall, which scripts have from here; coroutine.resume, from lagoon.coroutine; and the
-- scheduler, when nobody caught it.

local globals = require('lagoon.globals')
local host = require('lagoon.host')
local sched = require('lagoon.sched')

local getinfo, pcall, xpcall, error = debug.getinfo, pcall, xpcall, error
local pairs, ipairs, type, load = pairs, ipairs, type, load
local EXTRA = require('lagoon.slots').EXTRA
local format = string.format

local M = {}

-- The usual ones: what they are called, and what to do instead.
local ADVICE = {
  ['table.sort'] = { 'the comparator of table.sort', 'fetch what it compares before sorting' },
  ['string.gsub'] = {
    'a callback of string.gsub',
    'collect the matches with string.gmatch, wait, then substitute from a table',
  },
  ['error'] = { 'the message handler of xpcall', 'wait after xpcall has returned' },
  ['load'] = { 'a reader function of load', 'read the pieces first, then load them joined' },
  ['table.foreach'] = { 'a callback of table.foreach', 'use a for loop' },
  ['table.foreachi'] = { 'a callback of table.foreachi', 'use a for loop' },
  ['tostring'] = { '__tostring', 'wait before converting' },
  ['print'] = { '__tostring', 'wait before printing' },
}

-- C functions that yields do pass.
local TRANSPARENT = { [pcall] = true, [xpcall] = true, [coroutine.yield] = true }
TRANSPARENT[coroutine.resume] = true

-- Functions to names, for the standard library as scripts see it.
local function names()
  local found = { [load] = 'load' }
  for name, value in pairs(globals) do
    if type(value) == 'function' then
      found[value] = name
    end
  end
  for _, library in ipairs({ 'string', 'table', 'io', 'os', 'debug', 'math', 'jit' }) do
    for name, value in pairs(globals[library] or {}) do
      if type(value) == 'function' then
        found[value] = library .. '.' .. name
      end
    end
  end
  return found
end

-- The innermost C function on a stack that yields do not pass, and its name.
local function culprit(frame)
  local known = names()
  local level = 0
  local info = frame(level)
  while info do
    if info.what == 'C' and not TRANSPARENT[info.func] then
      return known[info.func] or 'a C function'
    end
    level = level + 1
    info = frame(level)
  end
end

local function message(name, blame)
  local advice = ADVICE[name]
  if advice then
    return format('%scannot wait in %s: %s', blame, advice[1], advice[2])
  end
  return format(
    '%scannot wait in a callback of %s: wait before or after it',
    blame,
    name or 'C (a metamethod or a finalizer)'
  )
end

-- Of the running stack; `skip` levels are the asker's own.
local function describe(skip)
  local name = culprit(function(level)
    return getinfo(level + skip + 2, 'Sf')
  end)
  return message(name, host.blame())
end

-- Of the stack of a coroutine that died of it.
local function describe_dead(co)
  local name = culprit(function(level)
    return getinfo(co, level, 'Sf')
  end)
  return message(name, host.blame(co))
end

-- What the innermost wait is told, when it is a coroutine further out that cannot yield.
local told

--- Says so to the wait that a coroutine could not pass outward. Returns false, to resume it with.
function M.refuse()
  told = describe(1)
  return false
end

function sched.fail_to_yield()
  sched.recover()
  error(told, 0)
end

--- The error to go on with, when a coroutine of the task has died of `err`.
function M.explain(task, err, co)
  return sched.recover(task) and describe_dead(co) or err
end

--- The message handler of pcall: runs where the error is raised.
function M.on_error(err)
  if sched.recover() then
    return describe(2)
  end
  return err
end

-- Of a wait in a message handler, which errors are not handled in any more.
local function handle(handler, err)
  local running = sched.current()
  local extra = running and running[EXTRA]
  if extra and extra.ends_with then
    return err -- the task is to die: a handler that loops could not be interrupted any more
  end
  local ok, result = pcall(handler, M.on_error(err))
  if sched.recover() and not ok then
    return message('error', host.blame())
  end
  return result
end

-- load() catches what its reader raises.
local function loaded(f, ...)
  if not f and sched.recover() then
    return nil, message('load', host.blame())
  end
  return f, ...
end

--- Replaces pcall and xpcall of the scripts, and load. The first two are tail calls, so that the
-- levels of error() count as they do without us.
function M.install()
  function globals.pcall(f, ...)
    return xpcall(f, M.on_error, ...)
  end

  function globals.xpcall(f, handler, ...)
    return xpcall(f, function(err)
      return handle(handler, err)
    end, ...)
  end

  function globals.load(chunk, ...)
    return loaded(load(chunk, ...))
  end
end

return M
