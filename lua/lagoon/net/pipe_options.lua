--- pipe_options.lua: deadlines, addresses and options of an in-memory pipe: those of a conn, as
-- far as they mean anything.

local host = require('lagoon.host')
local poll = require('lagoon.poll')
local misuse = require('lagoon.misuse')

local rearm_queue = poll.rearm_queue
local type, min, now = type, math.min, host.now

local Pipe = {}

local function open_or_closed(self)
  if self.inbox then
    return true
  end
  return nil, 'closed'
end

--- The sooner of two times, each of which may be nil for never.
local function sooner(a, b)
  if a and b then
    return min(a, b)
  end
  return a or b
end

function Pipe:timeout_end()
  return self.timeout and now() + self.timeout or nil
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
  local old, limit = self.read_deadline, self:timeout_end()
  self.read_deadline = t
  rearm_queue(self.filling, old, t, limit)
  rearm_queue(self.readers, old, t, limit)
  return true
end

--- As a conn's.
function Pipe:set_write_deadline(t)
  if not check_deadline(self, t) then
    return nil, 'closed'
  end
  local old, limit = self.write_deadline, self:timeout_end()
  self.write_deadline = t
  rearm_queue(self.writers, old, t, limit)
  rearm_queue(self.write_turns, old, t, limit)
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

return { methods = Pipe, sooner = sooner }
