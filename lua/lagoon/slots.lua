--- slots.lua: the layout of whatever can wait or be waited on by a timer.
--
-- Tasks, select cases, selectors and timers are arrays with names for their indices. A
-- task is made for every connection: as an array it takes 176 bytes, with named fields 464.
--
--   waiter  anything linked into a queue: a task, or one case of a select
--   queue   a ring of waiters whose head is the queue itself
--   item    anything a timer can be armed for

return {
  NEXT = 1, -- waiter, queue: the next in the ring; of a ready task: the wake's second value
  PREV = 2, -- waiter, queue: the one before
  VALUE = 3, -- waiter: what it sends; of a ready task: the wake's first value; then its results
  WHEN = 4, -- item: when it is due; nil if not armed
  ENTRY = 5, -- item: the time of its entry in the heap, at or before WHEN; nil if it has none
  ON = 6, -- task: the source it is parked on; nil while it is ready or runs; or how it ended
  CO = 7, -- task: its coroutine; nil once it has ended. Nothing else has this slot.
  SITE = 8, -- task: "file:line" of its spawn
  ID = 9, -- task: its number, never used again
  SLOT = 10, -- task: its index in the list of live tasks
  EXTRA = 11, -- task: a table for what few tasks have: name, joiners, cancel
  OWNER = 12, -- task: told of its end, by owner:ended(task, owned)
  OWNED = 13, -- task: what the owner has in it
}
