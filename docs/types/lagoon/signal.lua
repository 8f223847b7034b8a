---@meta
-- signal.lua: the types of `lagoon.signal`, for editors: see ../lagoon.lua.

---@class lagoon.signal
local signal = {}

--- A channel on which the names of the signals arrive; they do not end the process any more.
---@param ... string "SIGTERM", "SIGINT", ...
---@return lagoon.Chan? ch
---@return string? err
function signal.notify(...) end

--- Ends it: the signals do what they did before, and the channel is closed.
---@param ch lagoon.Chan that notify() returned
---@return boolean stopped
function signal.stop(ch) end

return signal
