--- signal.lua: `lagoon.signal`: POSIX signals on a channel.

local host = require('lagoon.host')
local poll = require('lagoon.poll')
local chan = require('lagoon.chan')
local misuse = require('lagoon.misuse')
local defaults = require('lagoon.signal_default')

local select, setmetatable, pcall, error = select, setmetatable, pcall, error
local concat = table.concat

local M = {}

-- What stands among the token's watchers: each event is sent on, and the next waited for.
local Watch = {}
Watch.__index = Watch

function Watch:poke()
  self.ch:try_send(self.name)
end

local watches = setmetatable({}, { __mode = 'k' }) -- channel to its list of watches

-- The watches of a channel are what sends on it.
local List = {}
List.__index = List

function List:description()
  return concat(self.names, ', ')
end

--- A channel on which the names of the signals arrive: `signal.notify("SIGTERM", "SIGINT")`. The
-- process does not do what it would have done by default. Signals that come while the
-- channel is full (16) are dropped.
---@param ... string names
---@return lagoon.Chan
function M.notify(...)
  local ch = chan.new(16)
  local list = setmetatable({ names = { ... } }, List)
  watches[ch] = list
  chan.set_origin(ch, list)
  if select('#', ...) == 0 then
    misuse.raise('name at least one signal')
  end
  for i = 1, select('#', ...) do
    misuse.check_type((select(i, ...)), 'string', 'a signal')
  end
  for i = 1, select('#', ...) do
    local name = select(i, ...)
    local ok, box, token = pcall(host.watch_signal, name)
    if not ok or not box then
      M.stop(ch) -- the signals before it do what they did again
      if not ok then
        error(box, 0)
      end
      return nil, token
    end
    local watch = { false, false, ch = ch, name = name, box = box, token = token }
    setmetatable(watch, Watch)
    list[i] = watch
    poll.watch(token, watch)
    defaults.suspend(name)
  end
  return ch
end

--- Ends it: the signals do what they did before, and the channel is closed.
---@param ch lagoon.Chan that notify() returned
function M.stop(ch)
  local list = watches[ch]
  if not list then
    return false
  end
  watches[ch] = nil
  for i = 1, #list do
    poll.unwatch(list[i].token, list[i])
    host.unwatch_signal(list[i].box)
    defaults.resume(list[i].name)
  end
  ch:close()
  return true
end

return M
