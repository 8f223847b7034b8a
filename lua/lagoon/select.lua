--- select.lua: select{...} and selector{...}, as scripts see them: see selector.lua.

local chan = require('lagoon.chan')
local cases_of = require('lagoon.cases')
local misuse = require('lagoon.misuse')
local selectors = require('lagoon.selector')
local sleep_forever = require('lagoon.sleep').forever

local understand, RECV, SEND = cases_of.understand, cases_of.RECV, cases_of.SEND
local can_recv, can_send = chan.can_recv, chan.can_send
local new, clear, compile, set = selectors.new, selectors.clear, selectors.compile, selectors.set
local run, outcome, random = selectors.run, selectors.outcome, selectors.random
local check_cases, check_timeout = cases_of.check_cases, selectors.check_timeout
local pairs, type, next = pairs, type, next
local setmetatable, getmetatable = setmetatable, getmetatable

local M = {}

-- Selectors of select{...}, between two uses.
local POOL_MAX = 64
local pool, pooled = {}, 0

local function recycle(selector)
  clear(selector)
  if pooled < POOL_MAX then
    pooled = pooled + 1
    pool[pooled] = selector
  end
end

-- What a select of nothing but channels can perform at once, found without compiling it: the kind,
-- channel, value, handler and key of a case that is ready, chosen as pick() does. False if none
-- is, and whether there is a default; nil where only a selector can tell.
local function pick_directly(cases)
  local ready, has_default = 0, false
  local kind, ch, sends, handler, picked = false, nil, nil, nil, nil
  for key, value in pairs(cases) do
    if key == 'default' then
      has_default = value and true or false
    elseif key ~= 'timeout' and value then
      local a_kind, a_ch, a_value, a_handler = understand(key, value)
      local is_ready
      if a_kind == RECV then
        is_ready = can_recv(a_ch)
      elseif a_kind == SEND then
        is_ready = can_send(a_ch)
      else
        return nil
      end
      if is_ready then
        ready = ready + 1
        if ready == 1 or random(ready) == 0 then
          kind, ch, sends, handler, picked = a_kind, a_ch, a_value, a_handler, key
        end
      end
    end
  end
  return kind, ch or has_default, sends, handler, picked
end

--- Waits until one of the cases can go on, performs it, and returns its key and results.
---@async
---@param cases table<any, any> see the manual: channels, recv(), send(), timeout, default, ...
---@return any which, any ...
function M.select(cases)
  check_cases(cases, 'select')
  if cases.timeout ~= nil then
    check_timeout(cases.timeout)
  end
  local kind, ch, sends, handler, key = pick_directly(cases)
  if kind then
    return outcome(key, handler, kind.take(ch, sends))
  elseif kind == false and ch then
    return 'default'
  elseif next(cases) == nil then
    return sleep_forever()
  end
  local selector
  if pooled > 0 then
    selector = pool[pooled]
    pool[pooled] = nil
    pooled = pooled - 1
  else
    selector = new()
  end
  compile(selector, cases)
  return run(selector, recycle, kind == false)
end

--- A set of cases that is compiled once, for a loop: wait() makes no garbage.
---@class lagoon.Selector
local Compiled = {}
Compiled.__index = Compiled

---@param cases table as for select
---@return lagoon.Selector
function M.selector(cases)
  check_cases(cases, 'selector')
  local selector = new()
  compile(selector, cases)
  return setmetatable({ selector = selector }, Compiled)
end

local function check_idle(compiled)
  if type(compiled) ~= 'table' or getmetatable(compiled) ~= Compiled then
    misuse.wrong_self('selector', compiled)
  end
  local selector = compiled.selector
  if selector.task then
    misuse.raise('another task waits on this selector')
  end
  return selector
end

local function keep() end

--- As select() of its cases.
---@async
function Compiled:wait()
  return run(check_idle(self), keep)
end

--- Replaces what stands under a key; nil or false switches it off.
function Compiled:set(key, case)
  set(check_idle(self), key, case)
end

return M
