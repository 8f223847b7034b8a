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
---@field waits_on? string for people, if it is parked
---@field waited? number seconds for which it has been parked
---@field site string where it was spawned
---@field task lagoon.Task

--- All live tasks, oldest first.
---@return lagoon.TaskInfo[]
function runtime.tasks() end

--- The tasks as text: what each waits for and since when, where it was spawned, and its stack;
--- equal ones together. Gives way to others while there is much to do.
---@async
---@return string
function runtime.dump() end

--- The parked tasks that nothing can wake any more but a cancellation, oldest first. Nothing else
--- happens meanwhile.
---@return lagoon.TaskInfo[]
function runtime.leaks() end

--- Sets limits, and returns all of them as they are then; false is for none.
---   report  seconds: a task that runs for longer without waiting is reported in the log
---   run     seconds: a task that runs for longer without waiting is ended: "ran too long"
---   stuck   seconds: a process in which no line of Lua could run for so long is aborted
---   slice   seconds: a task that computes is preempted after so long
---   memory  bytes: a task that has Lua take more, and three quarters of it is no garbage, is ended
---@param new? { memory?: integer|false, report?: number|false, run?: number|false, stuck?: number|false, slice?: number }
---@return { memory: integer|false, report: number|false, run: number|false, stuck: number|false, slice: number }
function runtime.limit(new) end

--- What runs in the next `seconds`: folded stacks, a line each: frames from the outermost inward
--- with ";" between them, a space, and the number of samples. The first is the task.
---@async
---@param seconds number
---@return string? folded
---@return string? err "busy" if a profile is being taken already
function runtime.profile(seconds) end

--- A flame graph of what profile() returns.
---@param folded string
---@return string svg
function runtime.flame_graph(folded) end

return runtime
