--- loader.lua: `require` and `dofile` as scripts see them: a module's top level may wait.
--
-- The originals are C functions that call the module's chunk, and no yield crosses them. These
-- do the same from Lua.

local globals = require('lagoon.globals')
local host = require('lagoon.host')
local sched = require('lagoon.sched')
local misuse = require('lagoon.misuse')
local queue = require('lagoon.queue')

local internal_require = require
local error, type, pcall, ipairs, tostring = error, type, pcall, ipairs, tostring
local format, concat, find = string.format, table.concat, string.find
local package, loadfile, assert = globals.package, loadfile, assert

local M = {}

-- Modules that a task is loading right now: name to { task, queue }.
local loading = {}
-- The module that a task waits for another task to load: task to name.
local waiting = setmetatable({}, { __mode = 'k' })

-- What a searcher returns. One that raises (a module does not compile) blames whatever has called
-- it: not a line of ours, since pcall is in between.
local function search(searcher, name)
  local ok, loader, extra = pcall(searcher, name)
  if not ok then
    error(loader, 0)
  end
  return loader, extra
end

-- The loader of a module, and what its searcher said of it.
local function find_loader(name)
  local tried = {}
  if type(package.loaders) ~= 'table' then
    error("'package.loaders' must be a table", 0)
  end
  for _, searcher in ipairs(package.loaders) do
    local loader, extra = search(searcher, name)
    if type(loader) == 'function' then
      return loader, extra
    elseif type(loader) == 'string' then
      tried[#tried + 1] = loader
    end
  end
  misuse.raise("module '%s' not found:%s", name, concat(tried))
end

-- Whether waiting for `name` would wait for the running task itself.
local function is_loop(name)
  while name do
    local entry = loading[name]
    if not entry then
      return false
    elseif entry.task == sched.current() then
      return true
    end
    name = waiting[entry.task]
  end
  return false
end

local function wait_for(name)
  if is_loop(name) then
    misuse.raise("loop or previous error loading module '%s'", name)
  end
  local me = sched.self()
  waiting[me] = name
  loading[name].queue:push(me)
  local ok, err = pcall(sched.park, loading[name].queue)
  waiting[me] = nil
  if not ok then
    error(err, 0)
  end
end

local function finish_loading(name)
  local waiters = loading[name].queue
  loading[name] = nil
  sched.wake_all(waiters)
end

local function load_module(name)
  loading[name] = { task = sched.current(), queue = queue.new("module '" .. name .. "' to load") }
  local found, loader, extra = pcall(find_loader, name)
  if not found then
    finish_loading(name)
    error(loader, 0)
  end
  local ok, value = pcall(loader, name, extra)
  finish_loading(name)
  if not ok then
    error(value, 0)
  end
  if value ~= nil then
    package.loaded[name] = value
  elseif package.loaded[name] == nil then
    package.loaded[name] = true
  end
  return package.loaded[name]
end

--- As require() of Lua 5.1, whose module may wait while it loads. Another task that requires it
-- meanwhile waits until it is loaded.
---@async
local function require_module(name)
  if type(name) == 'number' then
    name = tostring(name)
  end
  misuse.check_type(name, 'string', "bad argument #1 to 'require'; it")
  local value = package.loaded[name]
  while value == nil or value == false do
    if not loading[name] then
      return load_module(name)
    end
    wait_for(name)
    value = package.loaded[name]
  end
  return value
end

local function do_file(path)
  return assert(loadfile(path))()
end

-- Finds the library's modules for the scripts' require.
local function search_library(name)
  if find(name, '^lagoon') and name ~= 'lagoon.host' and name ~= 'lagoon.globals' then
    local chunk = host.load(name)
    if chunk then
      return function()
        return internal_require(name)
      end
    end
    return format("\n\tno module '%s' in the lagoon binary", name)
  end
end

--- Replaces require and dofile, and lets require find the library.
function M.install()
  globals.require = require_module
  globals.dofile = do_file
  table.insert(package.loaders, 2, search_library)
end

return M
