---@meta
-- net.lua: the types of `lagoon.net`, for editors: see ../lagoon.lua.

---@alias lagoon.Network "tcp"|"tcp4"|"tcp6"|"unix"
---@alias lagoon.Handler fun(conn: lagoon.Conn)

---@class lagoon.net
local net = {}

---@class lagoon.ListenOptions
---@field backlog? integer clients that the kernel lets wait
---@field reuse_port? boolean whether several listeners may share the port
---@field mode? integer permissions of a socket file

--- Listens on an address: "host:port", ":port", "[::1]:port", port 0 for any; a path, "@abstract".
---@async
---@param network lagoon.Network
---@param address string
---@param opts? lagoon.ListenOptions
---@return lagoon.Listener? listener
---@return string? err an errno name, or "EAI_..."
function net.listen(network, address, opts) end

---@class lagoon.DialOptions
---@field timeout? number seconds for everything; 60 if not given
---@field local_addr? string "host:port"
---@field nodelay? boolean true if not given
---@field keepalive? number|false seconds; 15 if not given

--- Connects to an address. Names resolve without holding up other tasks.
---@async
---@param network lagoon.Network
---@param address string "host:port", "[::1]:port"; a path or "@abstract"
---@param opts? lagoon.DialOptions
---@return lagoon.Conn? conn
---@return string? err "timeout" | an errno name | "EAI_..."
function net.dial(network, address, opts) end

---@class lagoon.ServeOptions: lagoon.ListenOptions
---@field max_conns? integer at once; further clients wait in the backlog
---@field max_conns_per_ip? integer of one IPv4 address or IPv6 /64; further ones are closed
---@field idle_timeout? number seconds that a read or a write may take
---@field on_listen? fun(listener: lagoon.Listener)

--- Accepts clients until the listener is closed, and calls handler(conn) in a task for each, which
--- ends with its conn closed.
---@async
---@param network lagoon.Network
---@param address string
---@param handler lagoon.Handler
---@param opts? lagoon.ServeOptions
---@return true? closed
---@return string? err as listen()
---@overload fun(listener: lagoon.Listener, handler: lagoon.Handler, opts?: lagoon.ServeOptions)
function net.serve(network, address, handler, opts) end

--- Two conns that are connected to each other in memory.
---@return lagoon.Conn a
---@return lagoon.Conn b
function net.pipe() end

---@class lagoon.Listener
local Listener = {}

--- Accepts a client; parks while there is none.
---@async
---@return lagoon.Conn? conn
---@return string? err "closed"
function Listener:accept() end

--- "127.0.0.1:34567", "[::]:7000", a path or "@abstract".
---@return string? addr
---@return string? err "closed"
function Listener:addr() end

--- Closes it; tasks parked in accept() get nil, "closed".
---@return true
function Listener:close() end

---@class lagoon.Conn
local Conn = {}

--- Reads what is there, at least one byte.
---@async
---@param max? integer bytes, 64 KiB if not given, which is also the most
---@return string? data
---@return string? err "eof" | "timeout" | "closed" | an errno name
function Conn:read(max) end

--- Reads up to "\n", and returns what is before it, less a "\r".
---@async
---@param max? integer bytes, 64 KiB if not given
---@return string? line
---@return string? err "eof" | "timeout" | "too_long" | "closed" | an errno name
---@return string? partial what had arrived; taken after "eof", still to be read after the others
function Conn:read_line(max) end

--- Reads exactly n bytes.
---@async
---@param n integer
---@return string? data
---@return string? err as read_line
---@return string? partial as read_line
function Conn:read_exactly(n) end

--- Reads up to a delimiter, and returns what is before it.
---@async
---@param delim string one byte or more
---@param max? integer bytes, 64 KiB if not given
---@return string? data
---@return string? err as read_line
---@return string? partial as read_line
function Conn:read_until(delim, max) end

--- Reads until the peer has said that no more comes.
---@async
---@param max? integer bytes, 16 MiB if not given
---@return string? data
---@return string? err "timeout" | "too_long" | "closed" | an errno name
---@return string? partial what had arrived, which is still to be read
function Conn:read_all(max) end

--- The next n bytes, which stay to be read.
---@async
---@param n integer
---@return string? data
---@return string? err as read_line
---@return string? partial as read_line; nothing is taken
function Conn:peek(n) end

--- Iterates over the lines, until the end or the first error.
---@async
---@param max? integer bytes of a line, 64 KiB if not given
---@return fun(): string?
function Conn:lines(max) end

--- Writes strings, numbers, string buffers and arrays of them; parks until the kernel has all.
---@async
---@param ... string|number|table|userdata
---@return integer? n bytes
---@return string? err "timeout" | "closed" | an errno name
---@return integer? n how many bytes have gone
function Conn:write(...) end

--- Closes it; every task that is parked on it gets nil, "closed".
---@return true
function Conn:close() end

--- Says that no more will be written; the peer reads to the end. Reading goes on.
---@return true?
---@return string? err "closed" | an errno name
function Conn:close_write() end

--- Sets when reads and writes end at the latest, for those that are parked too; nil for never.
---@param t? number on the clock of lagoon.now()
---@return true?
---@return string? err "closed"
function Conn:set_deadline(t) end

---@param t? number on the clock of lagoon.now()
---@return true?
---@return string? err "closed"
function Conn:set_read_deadline(t) end

---@param t? number on the clock of lagoon.now()
---@return true?
---@return string? err "closed"
function Conn:set_write_deadline(t) end

--- Sets how long each operation from now on may take as a whole; nil for no limit.
---@param seconds? number
---@return true?
---@return string? err "closed"
function Conn:set_timeout(seconds) end

---@return string? addr
---@return string? err "closed" | an errno name
function Conn:local_addr() end

---@return string? addr
---@return string? err "closed" | an errno name
function Conn:remote_addr() end

---@param on boolean
---@return true?
---@return string? err "closed" | an errno name
function Conn:set_nodelay(on) end

---@param seconds number|false
---@return true?
---@return string? err "closed" | an errno name
function Conn:set_keepalive(seconds) end

--- The descriptor, which stays the conn's.
---@return integer? fd
---@return string? err "closed"; of a pipe "EBADF"
function Conn:fd() end

return net
