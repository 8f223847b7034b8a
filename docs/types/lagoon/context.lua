---@meta
-- context.lua: the types of `require("lagoon.context")`, see lagoon.lua.

---@class lagoon.context
local context = {}

---@class lagoon.Context
local Context = {}

--- A channel that is closed when the context is canceled, times out, or is over.
---@return lagoon.Chan
function Context:done() end

--- Why it is over, and the reason that was given; nil while it is not.
---@return string? code "canceled" | "timeout"
---@return any reason
function Context:err() end

--- The value of a key, here or in what it was derived from.
---@param key any
---@return any
function Context:value(key) end

--- When it is over at the latest, on the clock of now(); nil for never.
---@return number?
function Context:deadline() end

--- The context that is never canceled and has no value.
---@return lagoon.Context
function context.background() end

--- The context of the running task.
---@return lagoon.Context
function context.current() end

--- A context that is over when the parent is, or when cancel([reason]) is called.
---@param parent lagoon.Context
---@return lagoon.Context
---@return fun(reason?: any): boolean cancel
function context.with_cancel(parent) end

--- The same, in so many seconds at the latest.
---@param parent lagoon.Context
---@param seconds number
---@return lagoon.Context
---@return fun(reason?: any): boolean cancel
function context.with_timeout(parent, seconds) end

--- The same, at a time on the clock of now() at the latest.
---@param parent lagoon.Context
---@param t number
---@return lagoon.Context
---@return fun(reason?: any): boolean cancel
function context.with_deadline(parent, t) end

--- A context with a value for a key, besides those of its parent.
---@param parent lagoon.Context
---@param key any not nil
---@param value any
---@return lagoon.Context
function context.with_value(parent, key, value) end

return context
