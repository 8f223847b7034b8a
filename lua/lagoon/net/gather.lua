--- gather.lua: what write() accepts, as one string.

local misuse = require('lagoon.misuse')

local type, select, tostring, ipairs = type, select, tostring, ipairs
local next, pcall = next, pcall
local concat, format = table.concat, string.format

-- Tables in tables in tables: deeper is a cycle, or a mistake.
local MAX_DEPTH = 16

local add

local function add_array(pieces, array, depth)
  if depth > MAX_DEPTH then
    misuse.raise('what to write is nested more than %d deep', MAX_DEPTH)
  end
  if array[1] == nil and next(array) ~= nil then
    misuse.raise('an array can be written, not a table with other keys')
  end
  for _, piece in ipairs(array) do
    add(pieces, piece, depth + 1)
  end
end

-- Whether it is a string.buffer, or as good as one. Any userdata may be given, and raise.
local function is_buffer(value)
  local ok, put = pcall(function()
    return value.put
  end)
  return ok and type(put) == 'function'
end

function add(pieces, piece, depth)
  local kind = type(piece)
  if kind == 'string' or kind == 'number' then
    pieces[#pieces + 1] = piece
  elseif kind == 'table' then
    add_array(pieces, piece, depth)
  elseif kind == 'userdata' and is_buffer(piece) then
    pieces[#pieces + 1] = tostring(piece) -- a string.buffer
  else
    misuse.raise('strings, numbers, buffers and arrays of them can be written, not a %s', kind)
  end
end

--- The arguments of a write, joined.
---@return string
return function(...)
  local pieces = {}
  for i = 1, select('#', ...) do
    add(pieces, (select(i, ...)), 0)
  end
  if #pieces == 1 then
    return type(pieces[1]) == 'string' and pieces[1] or format('%.14g', pieces[1])
  end
  return concat(pieces)
end
