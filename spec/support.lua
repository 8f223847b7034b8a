--- support.lua: what several specs need: running the lagoon command, and misuse.

local lagoon = require('lagoon')

local M = {}

-- The interpreter that runs the specs, whether by `lagoon test` or `busted --lua=lagoon`.
M.lagoon_path = arg[-1]:find('^/') and arg[-1] or os.getenv('PWD') .. '/' .. arg[-1]

local function quote(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end
M.quote = quote

--- A list of the values, with their number as n.
function M.pack(...)
  return { n = select('#', ...), ... }
end

--- A task that has run until its first wait, or its end.
function M.start(f, ...)
  local task = lagoon.spawn(f, ...)
  lagoon.yield()
  return task
end

--- What the task returned, packed; what it raised is raised here.
function M.results(task)
  local list = M.pack(task:wait())
  assert(list[1], list[2])
  return { n = list.n - 1, unpack(list, 2, list.n) }
end

--- Runs a shell command line: what it wrote, to standard error too, and its exit status.
---@param command string
---@return string output
---@return integer status
function M.shell(command)
  local pipe = io.popen(string.format('{ %s\n} 2>&1; echo "status $?"', command))
  local text = pipe:read('*a')
  pipe:close()
  local output, status = text:match('^(.-)status (%d+)\n$')
  return output, tonumber(status)
end

--- A new folder, with nothing in it.
---@return string path
function M.new_folder()
  local path = M.shell('mktemp -d'):gsub('\n$', '')
  return path
end

--- Removes a folder with all that is in it.
function M.remove_folder(path)
  M.shell('rm -r ' .. quote(path))
end

--- Runs the lagoon command with the words as its arguments.
---@return string output
---@return integer status
function M.lagoon(...)
  local words = { quote(M.lagoon_path) }
  for i = 1, select('#', ...) do
    words[i + 1] = quote((select(i, ...)))
  end
  return M.shell(table.concat(words, ' '))
end

--- Runs code by `lagoon -e`; it has `lagoon` as a local.
---@param code string
---@return string output
---@return integer status
function M.run(code)
  return M.lagoon('-e', "local lagoon = require('lagoon') " .. code)
end

--- The message of the error that f(...) raises, which must blame the line of `f`'s own text.
---@param f function whose first line calls what is misused
---@return string message without "file:line: "
function M.misuse(f, ...)
  local ok, err = pcall(f, ...)
  assert(not ok, 'no error was raised')
  local info = debug.getinfo(f, 'S')
  local file, line, message = tostring(err):match('^(.-):(%d+): (.*)$')
  assert(file == info.short_src, 'blames ' .. tostring(err))
  line = tonumber(line)
  assert(line >= info.linedefined and line <= info.lastlinedefined, 'blames ' .. tostring(err))
  return message
end

return M
