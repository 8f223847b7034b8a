---@meta
-- sync.lua: the types of `require("lagoon.sync")`, see lagoon.lua.
--
-- What waits returns true, so that `lagoon.timeout(1, m.lock, m)` returns true or nil, "timeout".

---@class lagoon.sync
local sync = {}

--- One task at a time.
---@return lagoon.Mutex
function sync.mutex() end

--- Many readers, or one writer.
---@return lagoon.RWMutex
function sync.rwmutex() end

--- Waiting, with a mutex, for something to become true.
---@param mutex lagoon.Mutex
---@return lagoon.Cond
function sync.cond(mutex) end

--- So many at a time.
---@param n integer permits, all of them free
---@return lagoon.Semaphore
function sync.semaphore(n) end

--- A count of what goes on, and waiting until it is zero.
---@return lagoon.WaitGroup
function sync.waitgroup() end

--- A function that calls f once, for all who call it: they get what that call returns, or raises. A
--- call that is canceled does not count.
---@generic F: function
---@param f F
---@return F
function sync.once(f) end

--- Calls that those who ask for the same at the same time share.
---@return lagoon.SingleFlight
function sync.singleflight() end

---@class lagoon.Mutex
local Mutex = {}

--- Waits until the task is the one that holds the mutex.
---@async
---@return true
function Mutex:lock() end

--- Locks the mutex if that needs no wait.
---@return boolean locked
function Mutex:try_lock() end

--- Gives the mutex to who has waited longest. Any task may do this.
function Mutex:unlock() end

--- Calls f(...) with the mutex locked, and unlocks it however f ends.
---@async
---@param f fun(...): ...
---@param ... any
---@return any ... what f returns
function Mutex:with(f, ...) end

---@class lagoon.RWMutex
local RWMutex = {}

--- Waits until the task is the one that holds the rwmutex, for writing.
---@async
---@return true
function RWMutex:lock() end

--- Locks it for writing if that needs no wait.
---@return boolean locked
function RWMutex:try_lock() end

--- Lets in whoever has waited longest: a writer, or the readers up to the next writer.
function RWMutex:unlock() end

--- Waits until the task may read: nobody writes, and nobody has waited longer.
---@async
---@return true
function RWMutex:rlock() end

--- Locks it for reading if that needs no wait.
---@return boolean locked
function RWMutex:try_rlock() end

--- One reader less.
function RWMutex:runlock() end

--- Calls f(...) with the rwmutex locked for writing, and unlocks it however f ends.
---@async
---@param f fun(...): ...
---@param ... any
---@return any ... what f returns
function RWMutex:with(f, ...) end

--- The same, for reading.
---@async
---@param f fun(...): ...
---@param ... any
---@return any ... what f returns
function RWMutex:rwith(f, ...) end

---@class lagoon.Cond
local Cond = {}

--- Unlocks the mutex, waits for a signal, and locks the mutex again, even if the wait is canceled.
--- Look again at what was waited for, in a loop.
---@async
---@return true
function Cond:wait() end

--- Ends the wait of who has waited longest, if anybody waits.
function Cond:signal() end

--- Ends the waits of all who wait.
function Cond:broadcast() end

---@class lagoon.Semaphore
local Semaphore = {}

--- Takes k permits; waits while they are not free, or somebody else waits.
---@async
---@param k? integer 1 if not given
---@return true
function Semaphore:acquire(k) end

--- Takes k permits if that needs no wait.
---@param k? integer 1 if not given
---@return boolean acquired
function Semaphore:try_acquire(k) end

--- Gives k permits back. Any task may do this.
---@param k? integer 1 if not given
function Semaphore:release(k) end

--- Calls f(...) with one permit, and gives that back however f ends.
---@async
---@param f fun(...): ...
---@param ... any
---@return any ... what f returns
function Semaphore:with(f, ...) end

---@class lagoon.WaitGroup
local WaitGroup = {}

--- Adds to the count. At zero, all who wait go on.
---@param n integer may be negative
function WaitGroup:add(n) end

--- One less: add(-1).
function WaitGroup:done() end

--- Waits until the count is zero.
---@async
---@return true
function WaitGroup:wait() end

---@class lagoon.SingleFlight
local SingleFlight = {}

--- Calls f(...), or, if a call for the key is under way, waits for that: what it returns, or
--- raises. Nothing is kept when it is over.
---@async
---@param key any not nil, not NaN
---@param f fun(...): ...
---@param ... any
---@return any ... what the call returns
function SingleFlight:call(key, f, ...) end

return sync
