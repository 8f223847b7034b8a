--- trace.lua: errors, tracebacks and times as text.

local tostring, type, pcall, rawequal = tostring, type, pcall, rawequal
local gsub, format, traceback = string.gsub, string.format, debug.traceback

local M = {}

--- tostring() of anything, even if its __tostring raises.
function M.to_text(err)
  local ok, text = pcall(tostring, err)
  return ok and type(text) == 'string' and text or '(error object is not a string)'
end
local to_text = M.to_text

-- Takes out what matches, again and again, until nothing does.
local function take_out(text, pattern, replacement)
  local n
  repeat
    text, n = gsub(text, pattern, replacement)
  until n == 0
  return text
end

--- A traceback less our own frames at its bottom, which are always there.
function M.strip(trace)
  trace = take_out(trace, '\n\t%[lagoon%]/[^\n]*$', '')
  return (gsub(trace, '\nstack traceback:$', ''))
end
local strip = M.strip

--- The same, less our own frames at its top as well.
function M.trim(trace)
  return strip(take_out(trace, '^([^\n]*\nstack traceback:)\n\t%[lagoon%]/[^\n]*', '%1'))
end

--- How the error of a task came about: where it was raised at first, if one of our own calls has
-- raised it on (failures.lua); or where its coroutine has died.
---@param extra table|false of frame.lua
function M.of(extra, co, err)
  if extra and extra.is_raised_on and rawequal(extra.origin, err) then
    return strip(extra.origin_trace)
  end
  return strip(traceback(co, to_text(err)))
end

--- A length of time: "20ms", "3.2s", "41s".
---@param seconds number
---@return string
function M.duration(seconds)
  if seconds < 0.1 then
    return format('%.0fms', seconds > 0 and seconds * 1000 or 0)
  end
  return format(seconds < 10 and '%.1fs' or '%.0fs', seconds)
end

return M
