--- boundary.lua: says which construct a task cannot wait in, and what to do instead.
--
-- LuaJIT cannot yield across a C function that calls back into Lua. Where that happens is
-- known: the innermost C function on the stack that is not one of the few that let yields
-- through.

local globals = require('lagoon.globals')

local getinfo = debug.getinfo
local pairs, type, format = pairs, type, string.format

local M = {}

-- What to say of the usual ones.
local ADVICE = {
  ['table.sort'] = { 'the comparator of table.sort', 'fetch what it compares before sorting' },
  ['string.gsub'] = {
    'a callback of string.gsub',
    'collect the matches with string.gmatch first, then wait, then substitute from a table',
  },
  ['xpcall'] = { 'the message handler of xpcall', 'handle the error after xpcall has returned' },
  ['load'] = { 'a reader function of load', 'read the pieces first, then load their concatenation' },
  ['table.foreach'] = { 'a callback of table.foreach', 'use a for loop' },
  ['table.foreachi'] = { 'a callback of table.foreachi', 'use a for loop' },
}

-- Function to name, for the standard library as scripts see it.
local function names()
  local found = {}
  for name, value in pairs(globals) do
    if type(value) == 'function' then
      found[value] = name
    end
  end
  for _, library in pairs({ 'string', 'table', 'io', 'os', 'coroutine', 'debug', 'math' }) do
    for name, value in pairs(globals[library] or {}) do
      if type(value) == 'function' then
        found[value] = library .. '.' .. name
      end
    end
  end
  return found
end

-- Yields pass these, though they are C functions.
local TRANSPARENT = { pcall = true, ['coroutine.yield'] = true, ['coroutine.resume'] = true }

--- The error for a wait that cannot be. Called in the task that tried.
function M.describe()
  local known = names()
  local level, top = 2, nil
  local where = require('lagoon.host').blame()
  local info = getinfo(level, 'Sf')
  while info do
    local name = info.what == 'C' and known[info.func]
    if info.what == 'C' and not TRANSPARENT[name or ''] and info.func ~= pcall then
      local advice = name and ADVICE[name]
      if advice then
        return format('%scannot wait in %s: %s', where, advice[1], advice[2])
      end
      top = top or name or 'a C function'
    end
    level = level + 1
    info = getinfo(level, 'Sf')
  end
  return format(
    '%scannot wait inside a callback of %s: let it return first, then wait',
    where,
    top or 'a C function (a metamethod that C calls, or a finalizer)'
  )
end

return M
