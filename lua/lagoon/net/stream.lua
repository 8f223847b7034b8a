--- stream.lua: reading by lines, delimiters and counts, for conns and in-memory pipes alike.
--
-- An operation repeats a step of the stream's inbox (host/inbox.h), with a wait for more bytes in
-- between. While it waits it owns the inbox, so that operations of several tasks never take
-- bytes from each other's middle: they queue.
--
-- Besides the inbox functions a stream has:
--   timeout_end()        when set_timeout() ends an operation that begins now; nil if never
--   acquire(limit)       owns the inbox, after queueing for it: true | nil, code
--   fill(limit)          waits until more has arrived: true | nil, code, was_lost: whether the
--                        inbox was given up when the wait ended. Both end at `limit`,
--                        and at the stream's own read deadline
--   free_read()          gives the inbox up, and lets the next reader have it
-- and a wait that ends by cancellation gives the inbox up itself.

local misuse = require('lagoon.misuse')

local type, pairs, getmetatable = type, pairs, getmetatable
local check_integer = misuse.check_integer

local DEFAULT_MAX = 64 * 1024
local DEFAULT_MAX_ALL = 16 * 1024 * 1024
local MAX = 2 ^ 52

local Stream = {}

local classes = {} -- the metatables of streams

--- Misuse unless `self` is a stream, open or closed.
function Stream.check(self)
  if not classes[getmetatable(self)] then
    misuse.wrong_self('conn', self)
  end
end
local check = Stream.check

-- What had arrived when an operation failed. At the end of the stream it is taken, since no
-- more can come; otherwise it stays for the next operation.
local function partial(stream, err)
  local n = stream:buffered()
  if n == 0 then
    return ''
  elseif err == 'eof' then
    return stream:take(true, n)
  end
  return stream:peek_exactly(true, n)
end

-- After a wait that lost the inbox it may be another reader's already: looking is all right.
local function fail(stream, err, was_lost)
  local rest = partial(stream, err)
  if not was_lost then
    stream:free_read()
  end
  return nil, err, rest
end

-- The rest of an operation whose first try needed more bytes.
local function go_on(stream, step, a, b)
  local limit = stream:timeout_end()
  local ok, err = stream:acquire(limit)
  if not ok then
    return nil, err, ''
  end
  local from = 0
  while true do
    local result
    result, err, from = step(stream, true, a, b, from)
    if result then
      stream:free_read()
      return result
    elseif err then
      return fail(stream, err)
    end
    local was_lost
    ok, err, was_lost = stream:fill(limit)
    if not ok then
      return fail(stream, err, was_lost)
    end
  end
end

local function operate(stream, step, a, b)
  local result, err = step(stream, false, a, b)
  if result then
    return result
  elseif err == 'closed' then
    return nil, 'closed', ''
  end
  return go_on(stream, step, a, b)
end

local function check_max(max, default)
  if max == nil then
    return default
  end
  return check_integer(max, 0, MAX, 'max')
end

--- Reads up to "\n", and returns what is before it, less a "\r".
---@async
---@param max? integer bytes of the line, 64 KiB if not given
---@return string? line
---@return string? err "eof" | "timeout" | "too_long" | "closed" | an errno name
---@return string? partial what had arrived; taken after "eof", still to be read after the others
function Stream:read_line(max)
  check(self)
  return operate(self, self.take_line, check_max(max, DEFAULT_MAX), nil)
end

--- Reads exactly n bytes.
---@async
---@param n integer bytes
---@return string? data
---@return string? err, string? partial as read_line
function Stream:read_exactly(n)
  check(self)
  check_integer(n, 0, MAX, 'n')
  return operate(self, self.take_exactly, n, nil)
end

--- Reads up to a delimiter, and returns what is before it.
---@async
---@param delim string one byte or more
---@param max? integer bytes before the delimiter, 64 KiB if not given
---@return string? data
---@return string? err, string? partial as read_line
function Stream:read_until(delim, max)
  check(self)
  misuse.check_type(delim, 'string', 'delim')
  if delim == '' then
    misuse.raise('delim must have one byte or more')
  end
  return operate(self, self.take_until, delim, check_max(max, DEFAULT_MAX))
end

--- The next n bytes, which stay to be read.
---@async
---@param n integer bytes
---@return string? data
---@return string? err, string? partial as read_line; nothing is taken
function Stream:peek(n)
  check(self)
  check_integer(n, 0, MAX, 'n')
  local result, err = self:peek_exactly(false, n)
  if result then
    return result
  elseif err == 'closed' then
    return nil, err, ''
  end
  -- Without taking anything, even at the end of the stream.
  local limit = self:timeout_end()
  local ok, was_lost
  ok, err = self:acquire(limit)
  if not ok then
    return nil, err, ''
  end
  while ok and self:buffered() < n do
    ok, err, was_lost = self:fill(limit)
  end
  if not ok and err == 'closed' then
    return nil, err, ''
  end
  local data = self:peek_exactly(true, self:buffered() < n and self:buffered() or n)
  if not was_lost then
    self:free_read()
  end
  if ok then
    return data
  end
  return nil, err, data
end

--- Reads until the peer has said that no more comes.
---@async
---@param max? integer bytes, 16 MiB if not given
---@return string? data
---@return string? err "timeout" | "too_long" | "closed" | an errno name
---@return string? partial what had arrived, which is still to be read
function Stream:read_all(max)
  check(self)
  max = check_max(max, DEFAULT_MAX_ALL)
  local limit = self:timeout_end()
  local ok, err = self:acquire(limit)
  if not ok then
    return nil, err, ''
  end
  local was_lost
  repeat
    if self:buffered() > max then
      return fail(self, 'too_long')
    end
    ok, err, was_lost = self:fill(limit)
  until not ok
  if err ~= 'eof' then
    return fail(self, err, was_lost)
  end
  local data = partial(self, 'eof')
  self:free_read()
  return data
end

--- Iterates over the lines: `for line in conn:lines() do`. Ends at the end of the stream, at the
-- first error, and at a line that is too long. A last line without "\n" is not lost: the
-- loop gets it too.
---@async
---@param max? integer bytes of a line, 64 KiB if not given
function Stream:lines(max)
  check(self)
  max = check_max(max, DEFAULT_MAX)
  local ended = false
  return function()
    if ended then
      return nil
    end
    local line, err, rest = self:read_line(max)
    if line then
      return line
    end
    ended = true
    if err == 'eof' and rest ~= '' then
      return rest
    end
    return nil
  end
end

--- Gives a class, whose objects have the metatable, the reading methods.
function Stream.extend(class, metatable)
  classes[metatable] = true
  for name, method in pairs(Stream) do
    if type(method) == 'function' and name ~= 'extend' and name ~= 'check' then
      class[name] = method
    end
  end
end

return Stream
