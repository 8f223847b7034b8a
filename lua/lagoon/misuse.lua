--- misuse.lua: errors that are the script's fault, blamed on the script's own line.

local host = require('lagoon.host')

local blame = host.blame
local error, type, tostring = error, type, tostring
local format, floor = string.format, math.floor

local M = {}

--- Raises "file:line: message", where the line is the innermost one outside the library.
---@param message string a format for the arguments that follow
function M.raise(message, ...)
  error(blame() .. format(message, ...), 0)
end

local raise = M.raise

--- Raises since a method was called on what is not its object: with a dot, most likely.
---@param what string what the object should be
function M.wrong_self(what, value)
  raise('%s expected, got %s (call its methods with a colon)', what, type(value))
end

--- Raises unless `value` is of the type.
---@param value any
---@param expected string what type() says
---@param what string its name in the message
function M.check_type(value, expected, what)
  if type(value) ~= expected then
    raise('%s must be a %s, got %s', what, expected, type(value))
  end
  return value
end

--- Raises unless `value` is callable.
function M.check_function(value, what)
  if type(value) == 'function' then
    return value
  end
  local meta = debug.getmetatable(value)
  if not (meta and type(meta) == 'table' and meta.__call) then
    raise('%s must be a function, got %s', what, type(value))
  end
  return value
end

--- Raises unless `value` is a whole number in [min, max].
function M.check_integer(value, min, max, what)
  if type(value) ~= 'number' then
    raise('%s must be a number, got %s', what, type(value))
  end
  if not (value >= min and value <= max) or value ~= floor(value) then
    raise('%s must be a whole number from %.0f to %.0f, got %s', what, min, max, tostring(value))
  end
  return value
end

--- Raises unless `value` is a number of seconds: not NaN; infinity is "never".
function M.check_seconds(value, what)
  if type(value) ~= 'number' then
    raise('%s must be a number of seconds, got %s', what, type(value))
  end
  if value ~= value then
    raise('%s must be a number of seconds, got nan', what)
  end
  return value
end

--- Raises unless every key of `opts` (a table or nil) is in `known`; returns a table.
function M.check_options(opts, known)
  if opts == nil then
    return {}
  end
  M.check_type(opts, 'table', 'opts')
  for key in pairs(opts) do
    if not known[key] then
      raise("unknown option '%s'", tostring(key))
    end
  end
  return opts
end

return M
