--- join.lua: a bare task as a select case: its end. select returns what wait() would.

local cases = require('lagoon.cases')
local task = require('lagoon.task')

local JOIN = {}

function JOIN.ready(case)
  return task.has_ended(case.source)
end

JOIN.take = task.outcome

function JOIN.park(case)
  task.joiners(case.source):push(case)
end

function JOIN.unpark(case)
  task.joiners(case.source):unpark(case)
end

cases.register(task.meta, JOIN)

return JOIN
