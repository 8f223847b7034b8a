--- signal_default.lua: what the library does when a signal arrives that no script has asked for.

local host = require('lagoon.host')
local poll = require('lagoon.poll')

local setmetatable = setmetatable

local M = {}

local asked = {} -- name of a signal to how many ask for it

-- What stands among the watchers of the signal.
local Default = {}
Default.__index = Default

function Default:poke()
  if (asked[self.name] or 0) == 0 then
    self.act()
  end
end

--- Calls f() in the scheduler when the signal arrives. It keeps no program from ending.
---@param name string
---@param f function
function M.set(name, f)
  local box, token = host.watch_signal(name)
  if box then
    local watch = setmetatable({ false, false, name = name, act = f, box = box }, Default)
    poll.watch_idly(token, watch)
  end
end

--- A script asks for the signal: nothing is done by default, as long as any does.
function M.suspend(name)
  asked[name] = (asked[name] or 0) + 1
end

--- One of them does not ask for it any more.
function M.resume(name)
  asked[name] = asked[name] - 1
end

return M
