--- slots.lua: the layout of whatever can wait, or be waited for by a timer.
--
-- Tasks, select cases, selectors, timers and channels are arrays with names for their indices.
-- A task is made for every connection: as an array it takes 168 bytes, with named fields 448;
-- and a method of an array is found without a look into a hash part first. What a slot does
-- not have is false, never nil: reading a nil goes on into the metatable.
--
--   waiter  anything linked into a queue: a task, or one case of a select
--   item    anything a timer can be armed for

return {
  SINCE = 0, -- task: the turn in which its wait began; Lua allocates this place anyway
  NEXT = 1, -- waiter: the next in its queue. A task that was woken: the second value for it
  PREV = 2, -- waiter: the one before
  VALUE = 3, -- waiter: what it sends. A task that was woken: the value for it. One that has
  -- ended: its results, or its error
  WHEN = 4, -- item: when it is due; false if not armed
  ENTRY = 5, -- item: the time of its entry in the heap, at or before WHEN; false if none
  ON = 6, -- task: the source it is parked on; false while it is ready or runs; or how it ended
  CO = 7, -- task: its coroutine; false until it begins, once it has ended, and in anything else
  SITE = 8, -- task: "file:line" of its spawn
  ID = 9, -- task: its number, never used again
  SLOT = 10, -- task: its index in the list of live tasks
  EXTRA = 11, -- task: what few have: a queue of who waits for its end, with name, cancel
  OWNED = 12, -- task: what is closed when it ends, by owned:close()
}
