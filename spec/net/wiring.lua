--- wiring.lua: connected conns of every kind, and what the specs of the network do with tasks.

local lagoon = require('lagoon')
local support = require('spec.support')
local net = lagoon.net

local M = {}

-- The kinds of conns, which have the same methods.
M.KINDS = { 'tcp', 'unix', 'abstract', 'pipe' }
M.SOCKETS = { 'tcp', 'unix', 'abstract' }
M.NAMES = {
  tcp = 'a tcp conn',
  unix = 'a unix conn',
  abstract = 'an abstract unix conn',
  pipe = 'a pipe',
}

-- What parks while nothing comes, as method, arguments.
M.READS = {
  { 'read' },
  { 'read_line' },
  { 'read_exactly', 10 },
  { 'read_until', '--' },
  { 'read_all' },
  { 'peek', 10 },
}

-- More than all the buffers on the way hold, after shrink().
M.HUGE = ('0123456789abcdef'):rep(2 ^ 16)

local kept = {}

--- Has close_all() close it.
function M.keep(...)
  for i = 1, select('#', ...) do
    kept[#kept + 1] = (select(i, ...))
  end
  return ...
end

--- Closes what is kept: for after_each.
function M.close_all()
  local list = kept
  kept = {}
  for _, object in ipairs(list) do
    object:close()
  end
end

--- A path where nothing is yet.
function M.free_path()
  local path = os.tmpname()
  os.remove(path)
  return path
end

--- Where a listener of the kind can listen: network, address.
function M.place(kind)
  if kind == 'tcp' then
    return 'tcp', '127.0.0.1:0'
  elseif kind == 'tcp6' then
    return 'tcp6', '[::1]:0'
  end
  return 'unix', (kind == 'abstract' and '@' or '') .. M.free_path()
end

--- A listener of the kind; and the network to dial it on.
function M.listen(kind, opts)
  local network, address = M.place(kind)
  return M.keep(assert(net.listen(network, address, opts))), network
end

--- The address of a listener that answers nobody any more: its backlog is full, and packets are
-- dropped.
function M.listen_deaf(network, address)
  local listener = M.keep(assert(net.listen(network, address, { backlog = 0 })))
  local conn
  repeat
    conn = net.dial(network, listener:addr(), { timeout = 0.02 })
    M.keep(conn or listener)
  until not conn
  return listener:addr()
end

--- Two conns, connected to each other.
function M.open(kind)
  if kind == 'pipe' then
    return M.keep(net.pipe())
  end
  local listener, network = M.listen(kind)
  local a = M.keep(assert(net.dial(network, listener:addr())))
  local b = M.keep(assert(listener:accept()))
  listener:close()
  return a, b
end

--- Small kernel buffers, where there are any: what is written has to wait for the reader. (With a
-- receive buffer smaller than its packets, loopback waits for its own timers.)
function M.shrink(...)
  for _, conn in ipairs({ ... }) do
    if conn.set_buffer_sizes then
      assert(conn:set_buffer_sizes(65536, 4096))
    end
  end
end

M.start = support.start

local function check(ok, ...)
  if not ok then
    error(ok == nil and 'the task goes on' or (...), 0)
  end
  return ...
end

--- What the task returns; what it raises is raised here.
function M.join(task)
  return check(task:wait(5))
end

--- The code of nil, code.
function M.code(value, err)
  assert(value == nil, 'it did not fail')
  return err
end

--- Calls one of READS.
function M.call(conn, operation)
  return conn[operation[1]](conn, unpack(operation, 2))
end

--- So many bytes, by read().
function M.collect(conn, n)
  local pieces = {}
  while n > 0 do
    local data = assert(conn:read(n))
    pieces[#pieces + 1] = data
    n = n - #data
  end
  return table.concat(pieces)
end

--- Writes the pieces one by one, each when whoever was ready has run.
function M.dribble(conn, pieces)
  for _, piece in ipairs(pieces) do
    assert(conn:write(piece))
    lagoon.yield()
  end
end

--- Bytes of every value, the same each time.
function M.noise(n)
  local bytes, x = {}, 1
  for i = 1, math.min(n, 4093) do
    x = (x * 16807) % 2147483647
    bytes[i] = string.char(x % 256)
  end
  local block = table.concat(bytes)
  return block:rep(math.ceil(n / #block)):sub(1, n)
end

--- A seed for math.random, and a text that tells it.
function M.seed()
  local seed = tonumber(os.getenv('LAGOON_SPEC_SEED')) or os.time()
  math.randomseed(seed)
  return 'LAGOON_SPEC_SEED=' .. seed
end

return M
