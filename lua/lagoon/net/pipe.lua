--- pipe.lua: net.pipe(): two conns connected in memory, with the methods of any conn.
--
-- Each end has an inbox that the other writes into. Reading is stream.lua's, over the same inbox
-- functions as a socket's. An end holds 64 KiB that were not read yet; then writes park.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local cases = require('lagoon.cases')
local watch = require('lagoon.watch')
local new_queue = require('lagoon.queue').new
local Stream = require('lagoon.net.stream')
local options = require('lagoon.net.pipe_options')
local gather = require('lagoon.net.gather')

local now, park, second = host.now, sched.park, sched.second
local wake, wake_all, wake_pair = sched.wake, sched.wake_all, sched.wake_pair
local sub, min, pcall, error, type = string.sub, math.min, pcall, error, type
local getmetatable = getmetatable
local setmetatable, ipairs, pairs, find = setmetatable, ipairs, pairs, string.find
local check_integer = misuse.check_integer

local sooner = options.sooner

local CAPACITY = 64 * 1024

---@class lagoon.Pipe: lagoon.Conn
local Pipe = {}
Pipe.__index = Pipe
Stream.extend(Pipe, Pipe)
for name, method in pairs(options.methods) do
  Pipe[name] = method
end

-- The inbox functions; a closed end has no inbox any more.
for _, name in ipairs({ 'take', 'take_exactly', 'take_until', 'take_line', 'peek_exactly' }) do
  Pipe[name] = function(self, owner, a, b, from)
    local inbox = self.inbox
    if not inbox then
      return nil, 'closed'
    end
    local result, err, at = inbox[name](inbox, owner, a, b, from)
    if result and self.peer then
      self.peer:room_made()
    end
    return result, err, at
  end
end

function Pipe:buffered()
  return self.inbox and self.inbox:buffered() or 0
end

function Pipe:room_made()
  wake_all(self.writers)
  self.write_watchers:poke()
end

function Pipe:data_arrived()
  wake_all(self.filling)
  self.read_watchers:poke()
end

-- Parks on a queue until it is woken, or a deadline.
local function wait_in(queue, deadline)
  local task = sched.self()
  queue:push(task)
  if deadline then
    heap.arm(task, deadline)
  end
  local woken = park(queue)
  return woken, second()
end

function Pipe:acquire(limit)
  while self.inbox and not self.inbox:own() do
    local ok, err = wait_in(self.readers, sooner(limit, self.read_deadline))
    if not ok then
      return nil, err
    end
  end
  if not self.inbox then
    return nil, 'closed'
  end
  return true
end

function Pipe:free_read()
  if self.inbox then
    self.inbox:disown()
  end
  local waiter = self.readers:pop()
  if waiter then
    wake(waiter, true)
  end
end

function Pipe:fill(limit)
  local before = self:buffered()
  while self.inbox do
    local deadline = sooner(limit, self.read_deadline)
    if self:buffered() > before then
      return true
    elseif self.ended then
      return nil, 'eof'
    elseif deadline and deadline <= now() then
      return nil, 'timeout'
    end
    if self.peer.inbox then
      self.is_hungry = true
      self.peer:room_made()
    end
    -- A cancellation passes through here: the next reader must not wait for ever.
    local could, ok, err = pcall(wait_in, self.filling, deadline)
    if not could then
      self:free_read()
      error(ok, 0)
    elseif not ok then
      return nil, err
    end
  end
  return nil, 'closed'
end

--- As a conn's read.
---@async
function Pipe:read(max)
  max = max == nil and CAPACITY or check_integer(max, 1, 2 ^ 52, 'max')
  if self.read_deadline and self.read_deadline <= now() then
    return nil, 'timeout'
  end
  local data, why = self:take(false, max)
  if data or why == 'closed' then
    return data, why
  end
  local limit = self:timeout_end()
  local ok, err = self:acquire(limit)
  if not ok then
    return nil, err
  end
  data = self:take(true, max)
  if not data then
    ok, err = self:fill(limit)
    data = ok and self:take(true, max)
  end
  self:free_read()
  if data then
    return data
  end
  return nil, err
end

-- Hands as much as fits to the other end; how many bytes of `bytes` have gone, from `sent` on.
local function push_some(self, bytes, sent)
  local peer = self.peer
  -- A reader that waits for more than fits gets it.
  local room = CAPACITY - (peer.is_hungry and 0 or peer:buffered())
  if room <= 0 then
    return sent
  end
  peer.is_hungry = false
  local till = min(#bytes, sent + room)
  if not peer.inbox:put(sub(bytes, sent + 1, till)) then
    return sent, 'ENOMEM'
  end
  peer:data_arrived()
  return till
end

-- Why nothing can be written; nil if something can.
local function obstacle(self)
  if not self.inbox then
    return 'closed'
  elseif self.write_ended or not self.peer.inbox then
    return 'EPIPE'
  end
end

local function write_owned(self, bytes, limit)
  local sent = 0
  while true do
    local deadline = sooner(limit, self.write_deadline)
    local err = obstacle(self)
    if not err and deadline and deadline <= now() then
      err = 'timeout'
    end
    if not err then
      sent, err = push_some(self, bytes, sent)
    end
    if err then
      return nil, err, sent
    elseif sent == #bytes then
      return sent
    end
    local ok
    ok, err = wait_in(self.writers, deadline)
    if not ok then
      return nil, err, sent
    end
  end
end

--- As a conn's write.
---@async
function Pipe:write(...)
  local bytes = gather(...)
  local limit = self:timeout_end()
  while self.writing do
    local ok, err = wait_in(self.write_turns, sooner(limit, self.write_deadline))
    if not ok then
      return nil, err, 0
    end
  end
  self.writing = true
  local could, n, err, sent = pcall(write_owned, self, bytes, limit)
  self.writing = false
  local waiter = self.write_turns:pop()
  if waiter then
    wake(waiter, true)
  end
  if not could then
    error(n, 0)
  elseif n then
    return n
  end
  return nil, err, sent
end

-- This end will get no more.
local function end_reading(self)
  self.ended = true
  self:data_arrived()
end

--- As a conn's close_write.
function Pipe:close_write()
  if not self.inbox then
    return nil, 'closed'
  end
  if not self.write_ended then
    self.write_ended = true
    end_reading(self.peer)
  end
  return true
end

-- The waiters of a closed end get nil, "closed".
local function close_all(queue)
  while queue:first() do
    wake_pair(queue:pop(), nil, 'closed')
  end
end

--- As a conn's close.
function Pipe:close()
  if not self.inbox then
    return true
  end
  self.inbox = false
  for _, queue in ipairs({ self.filling, self.readers, self.writers, self.write_turns }) do
    close_all(queue)
  end
  self.read_watchers:poke()
  self.write_watchers:poke()
  if self.peer.inbox then
    end_reading(self.peer)
    self.peer:room_made() -- whose writers find that there is nobody
  end
  return true
end

function Pipe:is_closed()
  return not self.inbox
end

-- For select: ready, or nil and the queue that the case waits in.
function Pipe:watch_read()
  if not self.inbox or self.ended or self:buffered() > 0 then
    return true
  end
  return nil, self.read_watchers
end

function Pipe:watch_write()
  if obstacle(self) or self.peer:buffered() < CAPACITY then
    return true
  end
  return nil, self.write_watchers
end

function Pipe:__tostring()
  return self.inbox and 'pipe' or 'pipe (closed)'
end

-- Misuse is told as for conns: every method checks that it is called on a pipe.
for name, method in pairs(Pipe) do
  if type(method) == 'function' and find(name, '^%l') then
    Pipe[name] = function(self, ...)
      if type(self) ~= 'table' or getmetatable(self) ~= Pipe then
        misuse.wrong_self('conn', self)
      end
      return method(self, ...)
    end
  end
end

cases.register(Pipe, watch.READ)

local function new_end()
  return setmetatable({
    inbox = host.inbox(),
    ended = false, -- the peer will write no more
    is_hungry = false, -- a reader waits for more than what is there
    write_ended = false,
    writing = false, -- a task is in the middle of a write
    filling = new_queue('pipe read'),
    readers = new_queue('a turn at a busy pipe'),
    writers = new_queue('pipe write'),
    write_turns = new_queue('a turn at a busy pipe'),
    read_watchers = new_queue('readiness'),
    write_watchers = new_queue('readiness'),
  }, Pipe)
end

--- Two conns that are connected to each other in memory.
---@return lagoon.Conn a
---@return lagoon.Conn b
return function()
  local a, b = new_end(), new_end()
  a.peer, b.peer = b, a
  return a, b
end
