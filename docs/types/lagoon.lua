---@meta
-- lagoon.lua: the types of `require("lagoon")`, for editors with the Lua language server: add this
-- file's folder to its setting "workspace.library". Nothing here is ever run.
--
-- What is marked @async may park the task that calls it. spec/types_spec.lua compares the
-- names with the real ones.

---@class lagoon
---@field context lagoon.context
---@field net lagoon.net
---@field runtime lagoon.runtime
---@field signal lagoon.signal
---@field sync lagoon.sync
---@field canceled any equal to every value that a canceled task's waits raise
---@field _VERSION string
local lagoon = {}

--- Starts a task that calls f(...). It is queued; the caller goes on.
---@param f fun(...): ...
---@param ... any
---@return lagoon.Task
function lagoon.spawn(f, ...) end

--- The same as spawn.
---@param f fun(...): ...
---@param ... any
---@return lagoon.Task
function lagoon.go(f, ...) end

--- The same, for work that computes for long: the task is preempted every few milliseconds, in
--- compiled loops too, and goes on when all others have had a turn.
---@param f fun(...): ...
---@param ... any
---@return lagoon.Task
function lagoon.compute(f, ...) end

--- Parks for so many seconds; 0 or less is as yield().
---@async
---@param seconds number
function lagoon.sleep(seconds) end

--- Lets every task that is ready run first, and looks for I/O if it is due.
---@async
function lagoon.yield() end

--- Seconds on a clock that only goes forward and begins anywhere.
---@return number
function lagoon.now() end

--- The running task.
---@return lagoon.Task
function lagoon.current() end

--- Sets what is called, in a task of its own, for an error that nobody waits for, instead of
--- logging it; nil for the log again. Returns what was set before.
---@param f? fun(task: lagoon.Task, err: any, traceback: string)
---@return function? before
function lagoon.on_error(f) end

--- Makes a channel.
---@param capacity? integer values that it holds without a receiver; 0 if not given
---@return lagoon.Chan
function lagoon.chan(capacity) end

--- Waits until one of the cases can go on, performs it, and returns its key and results.
---
--- Cases: a channel (receive), recv(), send(), readable(), writable(), a listener (accept), a conn
--- (readable), a task (its end); false or nil is never ready. `timeout = seconds` and
--- `default = true` are reserved; then the key is "timeout" or "default".
---@async
---@param cases table<any, any>
---@return any which
---@return any ...
function lagoon.select(cases) end

--- Compiles cases for a loop.
---@param cases table<any, any> as for select
---@return lagoon.Selector
function lagoon.selector(cases) end

--- A case that receives; the handler, if any, gets v, ok.
---@param ch lagoon.Chan
---@param f? fun(v: any, ok: boolean): ...
---@return lagoon.Case
function lagoon.recv(ch, f) end

--- A case that sends; the handler, if any, gets true, or nil, "closed".
---@param ch lagoon.Chan
---@param v any
---@param f? fun(sent: true?, err: string?): ...
---@return lagoon.Case
function lagoon.send(ch, v, f) end

--- A case that is ready when a read would not wait. It reads nothing.
---@param source lagoon.Conn|integer a conn or a descriptor
---@param f? fun(ready: true): ...
---@return lagoon.Case
function lagoon.readable(source, f) end

--- A case that is ready when a write would not wait.
---@param source lagoon.Conn|integer a conn or a descriptor
---@param f? fun(ready: true): ...
---@return lagoon.Case
function lagoon.writable(source, f) end

--- A channel that receives now() once, in so many seconds.
---@param seconds number
---@return lagoon.Chan
function lagoon.after(seconds) end

--- Ticks on its channel until it is stopped.
---@param seconds number the period, more than 0
---@return lagoon.Ticker
function lagoon.ticker(seconds) end

--- Calls f() in a task of its own, in so many seconds.
---@param seconds number
---@param f fun()
---@return lagoon.Timer
function lagoon.timer(seconds, f) end

--- What recv(), send(), readable() and writable() return: to stand in a select.
---@class lagoon.Case

---@class lagoon.Task
---@field id integer never used again
local Task = {}

--- Waits for the end of the task: true and its results; false and its error; nil, "timeout" if it
--- goes on for longer.
---@async
---@param timeout? number seconds
---@return boolean? ok
---@return any ...
function Task:wait(timeout) end

--- Makes the task's current wait, and each later one, raise a value equal to lagoon.canceled.
---@param reason? any its field `reason`
---@return boolean canceled false if the task had ended
function Task:cancel(reason) end

---@return "ready"|"running"|"parked"|"done"|"failed"|"canceled"
function Task:status() end

--- The task's name, in logs and dumps; sets it if one is given.
---@param name? string
---@return string? name
function Task:name(name) end

---@class lagoon.Chan
local Chan = {}

--- Sends a value; parks while the channel is full. Unbuffered, it returns when a receiver has it.
---@async
---@param v any
---@return true? sent
---@return string? err "closed"
function Chan:send(v) end

--- Receives a value; parks while there is none.
---@async
---@return any v
---@return boolean ok false once the channel is closed and drained
function Chan:recv() end

---@param v any
---@return boolean sent
---@return string? err "full" | "closed"
function Chan:try_send(v) end

---@return any v
---@return boolean ok
---@return string? err "empty" | "closed"
function Chan:try_recv() end

---@return boolean closed false if it was closed already
function Chan:close() end

--- The number of values in the buffer.
---@return integer
function Chan:len() end

--- The capacity of the buffer.
---@return integer
function Chan:cap() end

--- Iterates over what is received, until the channel is closed and drained, or a nil comes.
---@async
---@return fun(ch: lagoon.Chan): any
---@return lagoon.Chan
function Chan:iter() end

---@class lagoon.Selector
local Selector = {}

--- As select() of its cases.
---@async
---@return any which
---@return any ...
function Selector:wait() end

--- Replaces what stands under a key; nil or false switches it off.
---@param key any
---@param case any
function Selector:set(key, case) end

---@class lagoon.Ticker
---@field ch lagoon.Chan
local Ticker = {}

---@return boolean stopped false if it was stopped already
function Ticker:stop() end

---@class lagoon.Timer
local Timer = {}

---@return boolean stopped false if it had fired or was stopped already
function Timer:stop() end

--- Makes it due in so many seconds from now, whether it was pending or not.
---@param seconds number
---@return boolean was_pending
function Timer:reset(seconds) end

--- Calls f(scope) in this task, and returns when it and all the scope's tasks have ended. The first
--- error cancels the rest, and is raised from here.
---@async
---@param f fun(scope: lagoon.Scope): ...
---@param opts? { timeout?: number, deadline?: number, name?: string, context?: lagoon.Context }
---@return any ... what f returns; nil, "timeout" when the scope's deadline has cut something short;
---                nil, "canceled", reason when scope:cancel() has ended f
function lagoon.scope(f, opts) end

--- Calls f(...), and bounds every wait in it, at any depth.
---@async
---@param seconds number
---@param f fun(...): ...
---@param ... any
---@return any ... what f returns; nil, "timeout" if the time-out has ended it
function lagoon.timeout(seconds, f, ...) end

--- The same, with a time on the clock of now().
---@async
---@param t number
---@param f fun(...): ...
---@param ... any
---@return any ...
function lagoon.deadline(t, f, ...) end

--- Calls f(...), whose waits no cancellation from outside ends: for clean-up that has to wait.
---@async
---@param seconds number that it may take
---@param f fun(...): ...
---@param ... any
---@return any ... what f returns; nil, "timeout" if it took longer
function lagoon.shield(seconds, f, ...) end

---@class lagoon.Scope: lagoon.Context
local Scope = {}

--- Spawns a task of the scope.
---@param f fun(...): ...
---@param ... any
---@return lagoon.Task
function Scope:spawn(f, ...) end

--- The same, of a task that computes for long and is preempted: see lagoon.compute.
---@param f fun(...): ...
---@param ... any
---@return lagoon.Task
function Scope:compute(f, ...) end

--- Cancels whatever waits in the scope.
---@param reason? any
---@return boolean canceled false if it was canceled, or had ended, already
function Scope:cancel(reason) end

--- Has g() called when the scope ends, after its tasks, whatever has happened; last in, first out.
---@param g fun()
function Scope:defer(g) end

return lagoon
