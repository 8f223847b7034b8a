--- repl.lua: the prompt. Every line runs in a task and may wait; other tasks go on meanwhile,
-- and while a line is typed. Ctrl-C ends the line that runs, or the one that is typed.

local globals = require('lagoon.globals')
local host = require('lagoon.host')
local selecting = require('lagoon.select')
local signal = require('lagoon.signal')
local task = require('lagoon.task')
local to_text = require('lagoon.trace').to_text
local watch = require('lagoon.watch')
require('lagoon.join')

local io, loadstring, setfenv, select = io, loadstring, setfenv, select
local find, gsub = string.find, string.gsub
local concat = table.concat

local PROMPT, MORE = '> ', '>> '
local INTERRUPTED = {}

-- A line as it is typed on a terminal; nil at the end of the input, INTERRUPTED after Ctrl-C.
local function read_typed(prompt, interrupts)
  host.line_begin(prompt)
  while true do
    local which = selecting.select({ typed = watch.readable(0), interrupt = interrupts })
    if which == 'interrupt' then
      host.line_end()
      io.write('\n')
      return INTERRUPTED
    end
    local line = host.line_char()
    if line ~= false then
      return line
    end
  end
end

local function read_line(prompt, interrupts)
  if host.is_terminal(0) then
    return read_typed(prompt, interrupts)
  end
  return io.read('*l')
end

-- Compiles what was typed: as an expression if it is one. nil, message if it is neither; and
-- whether more lines might complete it.
local function compile(text)
  local expression = gsub(text, '^=', '')
  -- As an argument, so that a call in it is no tail call, which errors would not be blamed on.
  local chunk = loadstring('local results = ... return results(' .. expression .. '\n)', '=stdin')
  local err
  if not chunk then
    chunk, err = loadstring(text, '=stdin')
  end
  if chunk then
    return setfenv(chunk, globals)
  end
  return nil, err, find(err, "near '<eof>'", 1, true) ~= nil
end

local function print_results(ok, ...)
  if not ok then
    io.stderr:write(to_text((...)), '\n')
  elseif select('#', ...) > 0 then
    globals.print(...)
  end
end

local function results(...)
  return ...
end

-- Runs a chunk to its end, or to Ctrl-C.
local function run(chunk, interrupts)
  local running = task.spawn(chunk, results)
  running:name('prompt')
  while selecting.select({ ended = running, interrupt = interrupts }) == 'interrupt' do
    running:cancel('interrupted')
  end
  print_results(running:wait())
  io.stdout:flush()
end

--- Reads and runs lines until the end of the input.
---@async
return function(greet)
  local interrupts = signal.notify('SIGINT')
  if host.is_terminal(0) then
    greet()
    io.write("Every line may wait. `lagoon` is require('lagoon').\n")
    io.write('Ctrl-C ends a line, Ctrl-D the prompt.\n')
  end
  if globals.lagoon == nil then
    globals.lagoon = globals.require('lagoon')
  end
  local lines = {}
  while true do
    local line = read_line(#lines == 0 and PROMPT or MORE, interrupts)
    if line == nil then
      break
    elseif line == INTERRUPTED then
      lines = {}
    else
      lines[#lines + 1] = line
      local chunk, err, is_open = compile(concat(lines, '\n'))
      if chunk then
        lines = {}
        run(chunk, interrupts)
      elseif not is_open then
        lines = {}
        io.stderr:write(err, '\n')
      end
    end
  end
  if host.is_terminal(0) then
    io.write('\n')
  end
  signal.stop(interrupts)
end
