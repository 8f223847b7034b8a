--- gather.lua: what write() accepts, as one string.

local misuse = require('lagoon.misuse')

local type, select, tostring, ipairs = type, select, tostring, ipairs
local concat, format = table.concat, string.format

-- Tables in tables in tables: deeper is a cycle, or a mistake.
local MAX_DEPTH = 16

local add

local function add_array(pieces, array, depth)
  if depth > MAX_DEPTH then
    misuse.raise('what to write is nested more than %d deep', MAX_DEPTH)
  end
  for _, piece in ipairs(array) do
    add(pieces, piece, depth + 1)
  end
end

function add(pieces, piece, depth)
  local kind = type(piece)
  if kind == 'string' or kind == 'number' then
    pieces[#pieces + 1] = piece
  elseif kind == 'table' then
    add_array(pieces, piece, depth)
  elseif kind == 'userdata' and type(piece.put) == 'function' then
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
