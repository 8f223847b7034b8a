--- pipe_options.lua: deadlines, addresses and options of an in-memory pipe: those of a conn, as
-- far as they mean anything.

local host = require('lagoon.host')
local heap = require('lagoon.heap')
local slots = require('lagoon.slots')
local misuse = require('lagoon.misuse')

local NEXT, WHEN = slots.NEXT, slots.WHEN
local type, min, now = type, math.min, host.now

local Pipe = {}

local function open_or_closed(self)
  if self.inbox then
    return true
  end
  return nil, 'closed'
end

--- The sooner of two times, each of which may be nil for never.
function Pipe.sooner(a, b)
  if a and b then
    return min(a, b)
  end
  return a or b
end
local sooner = Pipe.sooner

function Pipe:timeout_end()
  return self.timeout and now() + self.timeout or nil
end

local function rearm(queue, deadline)
  local task = queue:first()
  while task do
    if deadline then
      heap.arm(task, deadline)
    elseif task[WHEN] then
      heap.disarm(task)
    end
    task = task[NEXT]
  end
end

local function check_deadline(self, t)
  if t ~= nil then
    misuse.check_seconds(t, 'deadline')
  end
  return self.inbox
end

--- As a conn's.
function Pipe:set_read_deadline(t)
  if not check_deadline(self, t) then
    return nil, 'closed'
  end
  self.read_deadline = t
  local deadline = sooner(self:timeout_end(), t)
  rearm(self.filling, deadline)
  rearm(self.readers, deadline)
  return true
end

--- As a conn's.
function Pipe:set_write_deadline(t)
  if not check_deadline(self, t) then
    return nil, 'closed'
  end
  self.write_deadline = t
  local deadline = sooner(self:timeout_end(), t)
  rearm(self.writers, deadline)
  rearm(self.write_turns, deadline)
  return true
end

--- As a conn's.
function Pipe:set_deadline(t)
  local ok, err = self:set_read_deadline(t)
  if not ok then
    return nil, err
  end
  return self:set_write_deadline(t)
end

--- As a conn's.
function Pipe:set_timeout(seconds)
  if seconds ~= nil and misuse.check_seconds(seconds, 'timeout') <= 0 then
    misuse.raise('timeout must be more than 0 seconds, or nil for none')
  end
  if self.inbox then
    self.timeout = seconds
  end
  return open_or_closed(self)
end

function Pipe:local_addr()
  if self.inbox then
    return 'pipe'
  end
  return nil, 'closed'
end
Pipe.remote_addr = Pipe.local_addr

-- Socket options that mean nothing here are accepted, so that code for conns runs unchanged.
function Pipe:set_nodelay(on)
  misuse.check_type(on, 'boolean', 'nodelay')
  return open_or_closed(self)
end

function Pipe:set_keepalive(seconds)
  if type(seconds) ~= 'boolean' then
    misuse.check_integer(seconds, 1, 32767, 'keepalive')
  end
  return open_or_closed(self)
end

--- A pipe has no descriptor.
function Pipe.fd()
  return nil, 'EBADF'
end

return Pipe
