--- command.lua: `lagoon test`: busted, inside the host, with a limit for each test.

local globals = require('lagoon.globals')
local limit = require('lagoon.test.limit')

local io, loadstring, setfenv, tonumber, ipairs = io, loadstring, setfenv, tonumber, ipairs
local match, format = string.match, string.format

local HELP = [=[
usage: lagoon test [--timeout=SECONDS] [busted options] [spec files or folders]

  --timeout=SECONDS  a test or a hook that takes longer fails, with a dump of all tasks;
                     60 if not given, 0 for as long as it takes
  --helper=lagoon.test
                     a test that leaves tasks, conns, listeners or timers behind fails, too

The rest is busted's:

]=]

local CORE = 'busted.core' -- a module of the scripts', not one of ours

local M = {}

--- Takes Lagoon's own options out of the words of the command line.
---@param argv string[] from [0] on
---@return string[]? words what is left; nil if they are bad
---@return number|string|nil seconds the limit, if one is given; or what is bad
function M.parse(argv)
  local words, seconds = { [0] = argv[0] }, nil
  local i = 1
  while i <= #argv do
    local value = match(argv[i], '^%-%-timeout=(.*)')
    if argv[i] == '--timeout' then
      i = i + 1
      value = argv[i] or ''
    end
    if not value then
      words[#words + 1] = argv[i]
    else
      seconds = tonumber(value)
      if not (seconds and seconds >= 0) then
        return nil, format("option '--timeout' needs a number of seconds, got '%s'", value)
      end
    end
    i = i + 1
  end
  return words, seconds
end

--- What the main task runs; `arg` is set.
---@async
---@param seconds? number the limit
function M.run(seconds)
  for _, word in ipairs(globals.arg) do
    if word == '--help' or word == '-h' then
      io.write(HELP)
    end
  end
  limit.seconds = seconds or limit.seconds
  local exit, new_core = globals.os.exit, globals.require(CORE)
  globals.package.loaded[CORE] = function()
    local core = new_core()
    limit.install(core)
    return core
  end
  -- Busted ends a failed run by os.exit(), since its caller is not a script.
  local chunk = loadstring("require('busted.runner')({ standalone = false })", '=lagoon test')
  setfenv(chunk, globals)()
  exit(0) -- whatever tasks the tests have left
end

return M
