--- watch.lua: readable() and writable(): readiness as a select case, of conns and of bare
-- descriptors.

local host = require('lagoon.host')
local poll = require('lagoon.poll')
local cases = require('lagoon.cases')
local misuse = require('lagoon.misuse')

local type = type

local M = {}

-- Cases of a conn: its methods watch_read() and watch_write() say true; or nil and a token; or, of
-- a pipe, nil and the queue to wait in.
local function conn_kind(method)
  local kind = {}
  function kind.ready(case)
    local conn = case.source
    local ready, token = conn[method](conn)
    case.token = token
    return ready
  end
  function kind.take()
    return true
  end
  function kind.park(case)
    if type(case.token) == 'number' then
      poll.watch(case.token, case)
    elseif type(case.token) == 'string' then
      return case.token -- the poller cannot watch it
    else
      case.token:push(case)
    end
  end
  function kind.unpark(case)
    if type(case.token) == 'number' then
      poll.unwatch(case.token, case)
    else
      case.token:unpark(case)
    end
  end
  return kind
end

M.READ, M.WRITE = conn_kind('watch_read'), conn_kind('watch_write')

-- Cases of a bare descriptor, which the host watches by a duplicate of its own.
local function fd_kind(events)
  local kind = {}
  function kind.ready(case)
    local ready, err = host.fd_ready(case.source, events)
    return ready or err ~= nil
  end
  function kind.take(fd)
    local ready, err = host.fd_ready(fd, events)
    if ready then
      return true
    end
    return nil, err or 'EAGAIN'
  end
  function kind.park(case)
    local box, token = host.watch_fd(case.source, events)
    if not box then
      return token
    end
    case.watch, case.token = box, token
    poll.watch(token, case)
  end
  function kind.unpark(case)
    poll.unwatch(case.token, case)
    host.unwatch_fd(case.watch)
    case.watch, case.token = nil, nil
  end
  return kind
end

local READ_FD, WRITE_FD = fd_kind('r'), fd_kind('w')

local function operation(source, conn_kind_, fd_kind_, f)
  if type(source) == 'number' then
    misuse.check_integer(source, 0, 2 ^ 31 - 1, 'a descriptor')
    return cases.operation(fd_kind_, source, nil, f)
  elseif type(source) == 'table' or type(source) == 'userdata' then
    local method = source.watch_read
    if method then
      return cases.operation(conn_kind_, source, nil, f)
    end
  end
  misuse.raise('conn or descriptor expected, got %s', type(source))
end

--- A case that is ready when a read would not block. It reads nothing.
---@param source lagoon.Conn|integer a conn or a file descriptor
---@param f? fun(ready: true): ...
function M.readable(source, f)
  return operation(source, M.READ, READ_FD, f)
end

--- A case that is ready when a write would not block.
function M.writable(source, f)
  return operation(source, M.WRITE, WRITE_FD, f)
end

return M
