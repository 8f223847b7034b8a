---@meta
-- runtime.lua: the types of `lagoon.runtime`, for editors: see ../lagoon.lua.

---@class lagoon.runtime
local runtime = {}

--- Figures of this worker: tasks by state, timers, conns, listeners, descriptors, bytes, ...
---@return table<string, number>
function runtime.stats() end

---@class lagoon.TaskInfo
---@field id integer
---@field name? string
---@field state "ready"|"running"|"parked"
---@field waits_on? string for people
---@field site string where it was spawned
---@field task lagoon.Task

--- All live tasks, oldest first.
---@return lagoon.TaskInfo[]
function runtime.tasks() end

--- The tasks as text: what each waits for, where it was spawned, and its stack.
---@return string
function runtime.dump() end

return runtime
