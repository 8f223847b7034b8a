--- conn.lua: conns that wait: reading, writing, deadlines and closing over host/conn.h.
--
-- A conn is the host's userdata itself; these are its methods. Who is parked on it stands in
-- poll.lua under its two tokens, the one for reading and the next for writing.

local host = require('lagoon.host')
local poll = require('lagoon.poll')
local sched = require('lagoon.sched')
local cases = require('lagoon.cases')
local watch = require('lagoon.watch')
local timeout = require('lagoon.timeout')
local Stream = require('lagoon.net.stream')
local gather = require('lagoon.net.gather')

local yield, park, second = sched.yield, sched.park, sched.second
local poll_wait, enter, release = poll.wait, poll.enter, poll.release
local format, tostring, setmetatable = string.format, tostring, setmetatable
local getfenv, setfenv = debug.getfenv, debug.setfenv

---@class lagoon.Conn
local Conn = host.conn
local try_read, try_write, try_fill = Conn.try_read, Conn.try_write, Conn.try_fill
local write_rest, op_deadline = Conn.write_rest, Conn.op_deadline

Stream.extend(Conn, host.conn_meta)
local check = Stream.check

-- The outcome of a read that parked; the next reader has its turn.
local function received(token, data)
  release(token)
  if data then
    return data
  end
  return nil, second()
end

-- Most conns are parked here, most of the time: what these few frames need of the stack is
-- what an idle conn costs (see body() of sched.lua).
local function wait_for_data(conn, token, deadline)
  enter(token, deadline)
  return received(token, park(conn))
end

-- The rest of a read that could not be done at once, for the reason `why`.
local function read_later(conn, max, why, token, deadline)
  local had_turn = false
  while true do
    if not why then
      return wait_for_data(conn, token, deadline)
    elseif why == 'busy' then
      local ok, err = poll.queue(token, deadline, had_turn)
      if not ok then
        return nil, err
      end
      had_turn = true
    else
      release(token)
      yield()
    end
    local data, code, again = try_read(conn, max)
    if not again then
      release(token)
      if data then
        return data
      end
      return nil, code
    end
    why = code
  end
end

--- Reads what is there, at least one byte; parks while there is nothing.
---@async
---@param max? integer bytes, 64 KiB if not given, which is also the most
---@return string? data
---@return string? err "eof" | "timeout" | "closed" | an errno name
function Conn:read(max)
  local data, err, token, deadline = try_read(self, max)
  if data then
    return data
  elseif not token then
    return nil, err
  elseif not err then
    return wait_for_data(self, token, deadline)
  end
  return read_later(self, max, err, token, deadline)
end

-- timeout(seconds, conn.read, conn, max) ends at the limit by itself.
timeout.register(Conn.read, function(limit, conn, max)
  local data, err, token, deadline = try_read(conn, max)
  if data then
    return data
  elseif not token then
    return nil, err
  end
  return read_later(conn, max, err, token, deadline and deadline < limit and deadline or limit)
end)

--- Waits until more has arrived in the inbox, which the caller owns.
---@async
function Conn:fill(limit)
  local ok, err, token = try_fill(self)
  if token then
    ok, err = poll_wait(token, self, op_deadline(self, false, limit))
    return ok, err, err == 'timeout' -- then unpark() has given the inbox to the next reader
  end
  return ok, err
end

--- Owns the inbox, after queueing for it.
---@async
function Conn:acquire(limit)
  local had_turn = false
  while not self:own() do
    local token = self:tokens()
    if not token then
      return nil, 'closed'
    end
    local ok, err = poll.queue(token, op_deadline(self, false, limit), had_turn)
    if not ok then
      return nil, err
    end
    had_turn = true
  end
  return true
end

function Conn:free_read()
  self:disown()
  local token = self:tokens()
  if token then
    release(token)
    if self:buffered() > 0 then
      poll.notify(token) -- what is left is for who selects, too
    end
  end
end

-- Sends the rest of a write: the caller owns the direction.
local function finish_write(conn, bytes, token, limit, sent)
  while true do
    local ok, err = poll_wait(token, conn, op_deadline(conn, true, limit))
    if not ok then
      return nil, err, sent
    end
    local n, code, at, _, offset = write_rest(conn, bytes, sent)
    if not offset then -- it is done, or has failed
      release(token)
      if n then
        return n
      end
      return nil, code, at
    end
    sent = offset
  end
end

local function write_later(conn, bytes, why, token, sent)
  local limit, had_turn = conn:timeout_end(), false
  while true do
    if not why then
      return finish_write(conn, bytes, token, limit, sent)
    elseif why == 'busy' then
      local ok, err = poll.queue(token, op_deadline(conn, true, limit), had_turn)
      if not ok then
        return nil, err, 0
      end
      had_turn = true
    else
      release(token)
      yield()
    end
    local n, code, at, _, offset = try_write(conn, bytes)
    if not offset then -- it is done, or has failed
      release(token)
      if n then
        return n
      end
      return nil, code, at
    end
    why, sent = code, offset
  end
end

--- Writes strings, numbers, buffers and arrays of them, in one gathered write; parks until the
-- kernel has all of it. Writes of several tasks do not interleave.
---@async
---@return integer? n bytes
---@return string? err "timeout" | "closed" | an errno name
---@return integer? n how many bytes the kernel has taken
function Conn:write(...)
  local n, why, token, _, sent = try_write(self, ...)
  if n then
    return n
  elseif why == 'gather' then
    return self:write(gather(...))
  elseif not sent then
    return nil, why, token
  end
  return write_later(self, gather(...), why, token, sent)
end

-- Compiled, the call of try_write needs more stack than a coroutine begins with, and every conn
-- that ever wrote would hold twice as much: 200 bytes more for an idle one, for no less CPU.
jit.off(Conn.write)

-- Ends the wait of the task that reads, or writes, and gives the direction to the next one.
function Conn:unpark(task)
  local reading, writing = self:tokens()
  if not reading then
    return
  end
  if poll.forget(reading, task) then
    self:forget_read()
    self:disown()
    release(reading)
  elseif poll.forget(writing, task) then
    self:forget_write()
    self:disown_write()
    release(writing)
  end
end

--- What a task parked on the conn waits for.
function Conn:reason(task, brief)
  local reading = self:tokens()
  local what = reading and poll.waiters[reading] == task and 'conn read' or 'conn write'
  return brief and what or format('%s %s', what, self:remote_addr() or '?')
end

-- Who is told that a conn of theirs was closed, by owner:conn_closed(conn). A userdata's
-- environment is a place for it that costs nothing.
local owners = setmetatable({}, { __mode = 'k' })

--- Has the owner told when the conn is closed.
function Conn:set_owner(owner)
  owners[owner] = true
  setfenv(self, owner)
end

--- Closes the conn. Whoever is parked on it gets nil, "closed". Again, it does nothing.
---@return true
function Conn:close()
  check(self)
  local reading, writing = self:host_close()
  if reading then
    local owner = getfenv(self)
    if owners[owner] then
      owner:conn_closed(self)
    end
    poll.close(reading)
    poll.close(writing)
  end
  return true
end

--- Says that no more will be written; the peer reads to the end. Reading goes on.
---@return true?
---@return string? err "closed" | an errno name
function Conn:close_write()
  check(self)
  return self:host_close_write()
end

local function set_deadline(conn, deadline, reads, writes)
  check(conn)
  local old_read, old_write = op_deadline(conn, false), op_deadline(conn, true)
  local reading, writing = conn:put_deadline(deadline, reads, writes)
  if not reading then
    return nil, writing
  end
  -- Tasks that are parked already have the new deadline too.
  local limit = conn:timeout_end()
  if reads then
    poll.rearm(reading, old_read, op_deadline(conn, false), limit)
  end
  if writes then
    poll.rearm(writing, old_write, op_deadline(conn, true), limit)
  end
  return true
end

--- Sets when reads and writes end at the latest with nil, "timeout"; nil for never. Wakes a task
-- that is parked when the time has passed already.
---@param t? number on the clock of now()
function Conn:set_deadline(t)
  return set_deadline(self, t, true, true)
end

---@param t? number on the clock of now()
function Conn:set_read_deadline(t)
  return set_deadline(self, t, true, false)
end

---@param t? number on the clock of now()
function Conn:set_write_deadline(t)
  return set_deadline(self, t, false, true)
end

host.conn_meta.__tostring = function(conn)
  if conn:is_closed() then
    return 'conn (closed)'
  end
  return format('conn %s -> %s', tostring(conn:local_addr()), tostring(conn:remote_addr()))
end

cases.register(host.conn_meta, watch.READ)

return Conn
