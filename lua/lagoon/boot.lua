--- boot.lua: the first chunk: gives the library an environment of its own, then runs the
-- command line.
--
-- Scripts may overwrite any global and any function in `string` or `table`; nothing of ours
-- may notice. So the library's modules run in a copy of the globals, taken here, before
-- the first line of a script.

local host, argv = ...

local LIBRARIES = { 'bit', 'coroutine', 'debug', 'io', 'jit', 'math', 'os', 'string', 'table' }

local env = {}
for name, value in pairs(_G) do
  env[name] = value
end
for _, name in ipairs(LIBRARIES) do
  local copy = {}
  for key, value in pairs(_G[name]) do
    copy[key] = value
  end
  env[name] = copy
end

local loaded = { ['lagoon.host'] = host, ['lagoon.globals'] = _G }
local setfenv, error = setfenv, error

--- The library's own `require`. A module is made once and stays the same, whatever becomes of
-- `package.loaded`: busted clears that between spec files.
function env.require(name)
  local module = loaded[name]
  if module == nil then
    local chunk = host.load(name)
    if not chunk then
      error("no module '" .. name .. "' in the library", 2)
    end
    module = setfenv(chunk, env)(name)
    loaded[name] = module
  end
  return module
end

return env.require('lagoon.cli')(argv)
