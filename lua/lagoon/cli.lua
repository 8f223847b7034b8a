--- cli.lua: the `lagoon` command.

local globals = require('lagoon.globals')
local host = require('lagoon.host')
local loop = require('lagoon.loop')
local sched = require('lagoon.sched')
local poll = require('lagoon.poll')
local task = require('lagoon.task')
local timer = require('lagoon.timer')
local runtime = require('lagoon.runtime')
local profile = require('lagoon.profile')
local quit = require('lagoon.quit')
local signal_default = require('lagoon.signal_default')
local misuse = require('lagoon.misuse')
local limits = require('lagoon.limits')
local read_options = require('lagoon.options')

local io, ipairs, unpack, tostring, tonumber = io, ipairs, unpack, tostring, tonumber
local loadstring, loadfile, setfenv, error = loadstring, loadfile, setfenv, error
local format = string.format

local HELP = [=[
usage: lagoon [options] [script [args]]
       lagoon test [options] [spec files or folders]

Runs a Lua script in which every line may wait: for a conn, a channel, a timer, another task.

  script [args]  run the script; its arguments are in `arg` and `...`
  -              run what standard input has
  -e 'code'      run the code, before the script if there is one
  -l module      require the module first, as a global of its name
  -i             go on with a prompt afterwards
  -v, --version  print the versions
  -h, --help     print this
  --max-run s    end a task that runs for s seconds without waiting
  --max-memory b end a task by which Lua takes more than b bytes; 64M, 1G
  --max-stuck s  abort, with a core, when no line of Lua could run for s seconds
  --report s     log a task that runs for s seconds without waiting; 0.1 if not given,
                 `off` for never
  --profile f    write to file f at the end where the time went: a flame graph if it is
                 called *.svg, else folded stacks
  --             end of options
  test           run busted inside the host: every describe, it and hook may wait, for a
                 minute at most, or --timeout=seconds. More options: `lagoon test --help`

Without arguments, on a terminal, there is a prompt; otherwise standard input is run.

Environment:
  LUA_PATH, LUA_CPATH  where require looks, as for lua; else in the current folder first
  LAGOON_LUA           read Lagoon's own library from this folder (to work on it)

The program ends when the main chunk has returned and no other task can still run.
Exit status: 0; 1 after an uncaught error in the main chunk; 2 for a bad command line,
or when all tasks wait for what nothing can bring; n by os.exit(n).

The manual is in docs/, examples in scripts/. Try:
  lagoon -e 'print(require("lagoon").net.pipe())'
]=]

local function complain(message)
  host.log('lagoon: ' .. message .. " (try 'lagoon --help')")
  return 2
end

-- The table `arg` and the arguments of a script that is word number `at`.
local function set_arg(argv, at)
  local arg, n = {}, #argv
  for i = 0, n do
    arg[i - at] = argv[i]
  end
  globals.arg = arg
  local args = {}
  for i = at + 1, n do
    args[#args + 1] = argv[i]
  end
  return args
end

local function is_terminal()
  return host.is_terminal(0)
end

local function print_version()
  io.write(
    format(
      'Lagoon %s (%s, libuv %s, %s)\n',
      host.version,
      globals.jit.version,
      host.uv_version,
      globals.jit.os .. ' ' .. globals.jit.arch
    )
  )
end

-- A chunk to run in the scripts' globals. Where the compiler has refused it a traceback would
-- only show this file, so its message is all that is said.
local function must_load(f, err)
  if not f then
    host.log('lagoon: ' .. err)
    error(nil) -- is silent, as busted's
  end
  return setfenv(f, globals)
end

local function run_step(step)
  if step.kind == 'e' then
    must_load(loadstring(step.value, '=(command line)'))()
  else
    globals[step.value] = globals.require(step.value)
  end
end

local function load_script(name)
  if name == '-' then
    return must_load(loadstring(io.read('*a'), '=stdin'))
  end
  return must_load(loadfile(name, 't'))
end

-- What the main task runs.
local function main_chunk(argv, options)
  local name = argv[options.script]
  local args = set_arg(argv, name and options.script or #argv + 1)
  for _, step in ipairs(options.steps) do
    run_step(step)
  end
  if name then
    load_script(name)(unpack(args))
  end
  local nothing_yet = not name and #options.steps == 0 and not options.version
  if options.interactive or (nothing_yet and is_terminal()) then
    require('lagoon.repl')(print_version)
  elseif nothing_yet then
    load_script('-')()
  end
end

local function test_chunk(words, seconds)
  set_arg(words, 1)
  globals.arg[0] = 'lagoon test'
  require('lagoon.test.command').run(seconds)
end

local exit_status

local function report_deadlock()
  host.log('lagoon: all tasks are asleep: the main chunk waits for what nothing can bring')
  host.log(runtime.dump())
  exit_status = 2
end

-- LuaJIT has one profiler a process, and it is the watchdog's.
local function refuse_profiler()
  globals.package.preload['jit.profile'] = function()
    error("jit.profile is taken: use lagoon.runtime.profile(), or --profile", 0)
  end
end

-- Specs may well block: they are not servers. Where a limit for each is wanted, a loop that never
-- ends is ended as well.
local function test_limits(seconds)
  local is_limit = seconds and seconds > 0 and seconds < math.huge
  return { report = false, run = is_limit and seconds }
end

-- Runs f as the main task until the program is over; the exit status.
local function run(f, ...)
  function task.on_main_failure(err, trace)
    exit_status = 1
    if err ~= nil then -- busted ends a failed run by error(nil)
      host.log('lagoon: ' .. trace)
    end
    sched.stop()
  end
  quit.install()
  task.main = task.spawn(f, ...)
  task.main:name('main')
  loop.run(poll, function()
    return task.has_ended(task.main) and task.count == 0 and timer.pinned == 0
  end)
  if exit_status == nil and not task.has_ended(task.main) then
    report_deadlock()
  end
  return exit_status or 0
end

-- The same, with a profile that is written to a file, when a signal ends the program as well.
local function run_profiled(path, ...)
  profile.start()
  for name, number in pairs({ SIGINT = 2, SIGTERM = 15 }) do
    signal_default.set(name, function()
      exit_status = 128 + number
      sched.stop()
    end)
  end
  local status = run(...)
  local ok, err = profile.write(path)
  if not ok then
    host.log('lagoon: cannot write the profile: ' .. err)
    return status == 0 and 1 or status
  end
  return status
end

-- os.exit() stops the scheduler, so that everything is closed on the way out; where the task
-- cannot yield it ends the process as it always did.
local function install_exit()
  local raw_exit = globals.os.exit
  globals.os.exit = function(code, close)
    if code == nil or code == true then
      exit_status = 0
    elseif code == false then
      exit_status = 1
    else
      local status = tonumber(code) or code
      exit_status = misuse.check_integer(status, -2 ^ 31, 2 ^ 31 - 1, 'the status of os.exit')
    end
    if not sched.abandon() then
      raw_exit(exit_status, close)
    end
  end
end

return function(argv)
  local options, problem, words, seconds
  if argv[1] == 'test' then
    words, seconds = require('lagoon.test.command').parse(argv)
    if not words then
      return complain(seconds)
    end
  else
    options, problem = read_options(argv)
    if problem then
      return complain(problem)
    elseif options.help then
      io.write(HELP)
      return 0
    elseif options.version then
      print_version()
    end
    local name = argv[options.script]
    if name and name ~= '-' then
      local file, err = io.open(name)
      if not file then
        return complain('cannot open ' .. tostring(err))
      end
      file:close()
    end
  end
  require('lagoon.boundary').install()
  require('lagoon.coroutine').install()
  require('lagoon.loader').install()
  install_exit()
  refuse_profiler()
  limits.limit(options and options.limits or test_limits(seconds))
  if options and options.profile then
    return run_profiled(options.profile, main_chunk, argv, options)
  elseif options then
    return run(main_chunk, argv, options)
  end
  return run(test_chunk, words, seconds)
end
