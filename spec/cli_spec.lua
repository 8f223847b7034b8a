--- cli_spec.lua: the lagoon command, run as a process of its own.

local support = require('spec.support')
local shell, lagoon, run, quote = support.shell, support.lagoon, support.run, support.quote

local LAGOON = quote(support.lagoon_path)

local paths = {}

local function write_file(text)
  local path = os.tmpname()
  os.remove(path)
  path = path .. '.lua'
  paths[#paths + 1] = path
  local file = assert(io.open(path, 'w'))
  file:write(text)
  file:close()
  return path
end

local function remove_files()
  for _, path in ipairs(paths) do
    os.remove(path)
  end
  paths = {}
end

-- A bad command line: one line that says why, and status 2.
local function assert_bad(pattern, ...)
  local output, status = lagoon(...)
  assert.matches(pattern, output)
  assert.matches('^lagoon: [^\n]+\n$', output)
  assert.equal(2, status)
end

describe('lagoon with a script', function()
  after_each(remove_files)

  it('runs it', function()
    assert.same({ 'hello\n', 0 }, { lagoon(write_file("print('hello')")) })
  end)

  it('hands it its arguments', function()
    local script = write_file('print(#arg, arg[1], arg[2], arg[3], ...)')
    assert.equal('3\ta\t\t-e\ta\t\t-e\n', (lagoon(script, 'a', '', '-e')))
  end)

  it('tells its name as arg[0], and what stood before in arg[-1] ...', function()
    local script = write_file('print(arg[0], arg[-1], arg[-2], arg[-3])')
    assert.equal(
      ('%s\tx=1\t-e\t%s\n'):format(script, support.lagoon_path),
      (lagoon('-e', 'x=1', script))
    )
  end)

  it('skips a #! line', function()
    local script = write_file('#!/usr/bin/env lagoon\nprint(debug.getinfo(1).currentline)')
    assert.equal('2\n', (lagoon(script)))
  end)

  it('may have a name that begins with a hyphen, after --', function()
    assert_bad('cannot open %-x', '--', '-x')
  end)

  it('says which it cannot open', function()
    assert_bad('cannot open /no/such/script', '/no/such/script')
    assert_bad('cannot open', '')
  end)

  it('says where it does not compile', function()
    local script = write_file('x = 1\ny = = 2')
    local expected = ("lagoon: %s:2: unexpected symbol near '='\n"):format(script)
    assert.same({ expected, 1 }, { lagoon(script) })
  end)

  it('says where a module that it requires does not compile', function()
    local folder, name = write_file('x = = 1'):match('^(.*)/([^/]+)%.lua$')
    local code = quote(("require('%s')"):format(name))
    local output, status = shell(("LUA_PATH='%s/?.lua' %s -e %s"):format(folder, LAGOON, code))
    local file = ('%s/%s.lua'):format(folder, name)
    assert.matches('^lagoon: error loading module [^\n]*:\n\t' .. file .. ':1: unexpected', output)
    assert.matches('%(command line%):1: in main chunk', output)
    assert.equal(1, status)
  end)

  it('does not run bytecode', function()
    local _, status = lagoon(write_file(string.dump(function() end)))
    assert.equal(1, status)
  end)

  it('may wait in every line, as may what it requires', function()
    local script = write_file([[
      local lagoon = require('lagoon')
      package.preload.slow = function()
        lagoon.sleep(0.001)
        return 'slow'
      end
      print(require('slow'))
    ]])
    assert.equal('slow\n', (lagoon(script)))
  end)
end)

describe('an option of lagoon:', function()
  after_each(remove_files)

  it('-e runs code', function()
    assert.same({ '1\n', 0 }, { lagoon('-e', 'print(1)') })
    assert.equal('1\n', (lagoon('-eprint(1)')))
  end)

  it('-e says where the code does not compile', function()
    local expected = "lagoon: (command line):1: unexpected symbol near '='\n"
    assert.same({ expected, 1 }, { lagoon('-e', 'x = = 1') })
  end)

  it('-e may be repeated, and comes before the script', function()
    local script = write_file("x = x .. 'c' print(x)")
    assert.equal('abc\n', (lagoon('-e', "x = 'a'", '-e', "x = x .. 'b'", script)))
  end)

  it('-e may wait', function()
    assert.equal('done\n', (run("lagoon.sleep(0.001) print('done')")))
  end)

  it('-l requires a module, as a global of its name', function()
    assert.equal('table\ttable\n', (lagoon('-l', 'lagoon', '-llagoon.net', '-e', [[
      print(type(lagoon), type(_G['lagoon.net']))
    ]])))
  end)

  it('-l says that there is no such module', function()
    local output, status = lagoon('-l', 'no.such.module')
    assert.matches("module 'no%.such%.module' not found", output)
    assert.equal(1, status)
  end)

  it('-v prints the versions', function()
    for _, option in ipairs({ '-v', '--version' }) do
      local output, status = lagoon(option)
      assert.matches('^Lagoon %d+%.%d+%.%d+ %(LuaJIT [^\n]*libuv %d[^\n]*%)\n$', output)
      assert.equal(0, status)
    end
  end)

  it('- runs standard input, with arguments', function()
    assert.equal('a\tb\n', (shell("echo 'print(...)' | " .. LAGOON .. ' - a b')))
  end)

  it('- says where standard input does not compile', function()
    local expected = "lagoon: stdin:1: unexpected symbol near '='\n"
    assert.same({ expected, 1 }, { shell("echo 'x = = 1' | " .. LAGOON .. ' -') })
  end)

  it('nothing at all runs standard input, too', function()
    assert.same({ '1\n', 0 }, { shell("echo 'print(1)' | " .. LAGOON) })
    assert.same({ '', 0 }, { shell(LAGOON .. ' </dev/null') })
  end)

  it('--help says what there is', function()
    for _, option in ipairs({ '--help', '-h' }) do
      local output, status = lagoon(option)
      assert.matches('^usage: lagoon ', output)
      for _, word in ipairs({ '-e', '-l', '-i', '-v', 'test', 'LAGOON_LUA', 'LUA_PATH' }) do
        assert.matches(word, output, 1, true)
      end
      assert.equal(0, status)
    end
  end)

  it('others are unknown', function()
    assert_bad("unknown option '%-%-nonsense'", '--nonsense')
    assert_bad("unknown option '%-x'", '-x', 'script')
    assert_bad("unknown option '%-ie'", '-ie', 'x')
  end)

  it('-e and -l want an argument', function()
    assert_bad("option '%-e' needs an argument", '-e')
    assert_bad("option '%-l' needs an argument", '-e', '', '-l')
  end)
end)

describe('the prompt of lagoon', function()
  local function prompt(...)
    local lines = table.concat({ ... }, '\n') .. '\n'
    return shell(("printf '%%s' %s | %s -i"):format(quote(lines), LAGOON))
  end

  it('prints what expressions are', function()
    assert.same({ '2\nnil\tx\n', 0 }, { prompt('1 + 1', "nil, 'x'") })
  end)

  it('prints what = and return say', function()
    assert.equal('3\n4\n', (prompt('= 1 + 2', 'return 4')))
  end)

  it('runs statements, which share their globals', function()
    assert.equal('2\n', (prompt('x = 1', 'x = x + 1', 'print(x)')))
  end)

  it('waits in every line', function()
    local output = prompt('t = lagoon.now()', 'lagoon.sleep(0.002)', 'lagoon.now() - t >= 0.002')
    assert.equal('true\n', output)
  end)

  it('takes statements of several lines', function()
    assert.equal('1\n2\n', (prompt('for i = 1, 2 do', 'print(i)', 'end')))
  end)

  it('goes on after errors', function()
    local output, status = prompt("error('oops')", 'x = = 1', 'error()', '1')
    assert.matches('oops', output)
    assert.matches("unexpected symbol near '='", output, 1, true)
    assert.matches('\n1\n$', output)
    assert.equal(0, status)
  end)

  it('lets tasks go on between the lines', function()
    local send = "t = lagoon.spawn(ch.send, ch, 'sent')"
    local output = prompt('ch = lagoon.chan()', send, 'ch:recv()')
    assert.equal('sent\ttrue\n', output)
  end)

  it('comes after the script', function()
    assert.equal('5\n', (shell(("echo x | %s -i -e 'x = 5'"):format(LAGOON))))
  end)
end)

describe('an uncaught error', function()
  it('in the main chunk ends the program with a traceback and status 1', function()
    local output, status = run("local function f() error('oops') end f()")
    assert.matches('^lagoon: %(command line%):1: oops\nstack traceback:\n', output)
    assert.equal(1, status)
  end)

  it('in the main chunk does not wait for other tasks', function()
    local _, status = run("lagoon.spawn(lagoon.sleep, 60) lagoon.yield() error('oops')")
    assert.equal(1, status)
  end)

  it('may be any value', function()
    assert.matches('^lagoon: table: ', (run('error({})')))
    assert.matches('^lagoon: [^\n]*42\n', (run('error(42)')))
    local as_text = "error(setmetatable({}, { __tostring = function() return 'text' end }))"
    assert.matches('^lagoon: text\n', (run(as_text)))
    local failing = "error(setmetatable({}, { __tostring = function() error('no') end }))"
    assert.matches('^lagoon: .*error object', (run(failing)))
  end)

  it('of nil is silent', function()
    assert.same({ '', 1 }, { run('error()') })
    assert.same({ '', 1 }, { run('error(nil)') })
  end)

  it('in a task is logged with its name and where it was spawned, and ends no other', function()
    local output, status = run([[
      lagoon.spawn(function()
        lagoon.current():name('worker')
        error('oops')
      end)
      lagoon.sleep(0.001)
      print('goes on')
    ]])
    assert.matches("task %d+ 'worker'", output)
    assert.matches('oops', output)
    assert.matches('spawned at %(command line%):1', output)
    assert.matches('goes on\n', output)
    assert.equal(0, status)
  end)
end)

describe('os.exit', function()
  local function exits(status, code)
    assert.same({ '', status }, { run(code) })
  end

  it('ends the program with a status', function()
    exits(0, 'os.exit()')
    exits(7, 'os.exit(7)')
    exits(0, 'os.exit(true)')
    exits(1, 'os.exit(false)')
    exits(3, "os.exit('3')")
  end)

  it('ends the program at once', function()
    exits(0, "os.exit(0) print('not reached')")
    exits(2, "lagoon.spawn(print, 'not reached') os.exit(2)")
    exits(2, "lagoon.spawn(lagoon.sleep, 60) lagoon.yield() os.exit(2)")
  end)

  it('passes through pcall, coroutines and tasks', function()
    exits(4, "pcall(os.exit, 4) print('not reached')")
    exits(4, "coroutine.wrap(function() pcall(os.exit, 4) end)() print('not reached')")
    exits(4, 'lagoon.spawn(os.exit, 4) lagoon.chan():recv()')
    exits(4, 'lagoon.spawn(function() coroutine.wrap(os.exit)(4) end) lagoon.sleep(60)')
  end)

  it('ends the program where no task can yield', function()
    exits(5, 'table.sort({ 3, 2, 1 }, function() os.exit(5) end)')
    exits(5, "string.gsub('x', 'x', function() os.exit(5) end)")
    exits(5, 'xpcall(error, function() os.exit(5) end)')
    exits(5, 'tostring(setmetatable({}, { __tostring = function() os.exit(5) end }))')
  end)

  it('works in handlers', function()
    exits(6, 'lagoon.timer(0.001, function() os.exit(6) end) lagoon.chan():recv()')
    exits(6, "lagoon.on_error(function() os.exit(6) end) lagoon.spawn(error, 'x') lagoon.sleep(60)")
    exits(6, [[
      local ch = lagoon.chan(1)
      ch:send(1)
      lagoon.select({ lagoon.recv(ch, function() os.exit(6) end) })
    ]])
    exits(6, [[
      local l = lagoon.net.listen('tcp', '127.0.0.1:0')
      lagoon.spawn(lagoon.net.serve, l, function() os.exit(6) end)
      lagoon.net.dial('tcp', l:addr())
      lagoon.sleep(60)
    ]])
  end)

  it('writes what print has buffered', function()
    assert.same({ 'buffered\n', 9 }, { run("print('buffered') os.exit(9)") })
  end)

  it('closes what is open', function()
    local path = os.tmpname()
    os.remove(path)
    exits(0, ("l = lagoon.net.listen('unix', '%s') os.exit(0)"):format(path))
    assert.is_nil(io.open(path))
    assert.is_nil((os.rename(path, path)))
  end)

  it('wants a number or a boolean', function()
    for _, value in ipairs({ "'x'", '{}', 'print' }) do
      local output, status = run(('os.exit(%s)'):format(value))
      assert.equal(1, status)
      assert.matches('%(command line%):1', output)
    end
  end)
end)

describe('the end of the program', function()
  it('comes when the main chunk has returned and no task can run any more', function()
    assert.same({ '', 0 }, { run('local ch = lagoon.chan() lagoon.spawn(ch.recv, ch)') })
    assert.same({ '', 0 }, { run('lagoon.spawn(lagoon.select, {})') })
  end)

  it('waits for tasks that can', function()
    assert.equal('awake\n', (run([[
      lagoon.spawn(function()
        lagoon.sleep(0.005)
        print('awake')
      end)
    ]])))
    assert.equal('fired\n', (run("lagoon.timer(0.005, function() print('fired') end)")))
    assert.equal('hello\n', (run([[
      local a, b = lagoon.net.pipe()
      lagoon.spawn(function() print(b:read_line()) end)
      lagoon.spawn(a.write, a, 'hello\n')
    ]])))
  end)

  it('does not come while a task waits for clients', function()
    local code = quote([[
      local lagoon = require('lagoon')
      local listener = lagoon.net.listen('tcp', '127.0.0.1:0')
      lagoon.spawn(listener.accept, listener)
    ]])
    assert.same({ '', 124 }, { shell(('timeout 0.2 %s -e %s'):format(LAGOON, code)) })
  end)

  it('is an error when the main chunk waits for what nothing can bring', function()
    local output, status = run([[
      local ch = lagoon.chan()
      lagoon.spawn(function()
        lagoon.current():name('stuck')
        ch:send(1)
      end)
      lagoon.chan():recv()
    ]])
    assert.matches('all tasks are asleep', output)
    assert.matches("'main': parked on chan recv", output)
    assert.matches("'stuck': parked on chan send for %w+, spawned at %(command line%):2", output)
    assert.matches('%(command line%):6: in main chunk', output)
    assert.equal(2, status)
  end)

  it('is that error for every wait that nothing can end', function()
    for _, wait in ipairs({
      'lagoon.select({})',
      'lagoon.select({ lagoon.chan() })',
      'lagoon.spawn(lagoon.select, {}):wait()',
      'lagoon.net.pipe():read()',
    }) do
      local output, status = run(wait)
      assert.matches('all tasks are asleep', output)
      assert.equal(2, status)
    end
  end)
end)

describe('standard output', function()
  it('that is full is an error', function()
    local output, status = shell(LAGOON .. " -e 'print(1)' >/dev/full")
    assert.matches('^lagoon: .*No space left on device\n$', output)
    assert.equal(1, status)
  end)

  it('that is full leaves the status of the script alone', function()
    local _, status = shell(LAGOON .. " -e 'print(1) os.exit(3)' >/dev/full")
    assert.equal(3, status)
  end)

  it('that breaks ends nothing', function()
    local code = quote("for i = 1, 1e5 do print(i) end io.stderr:write('end\\n')")
    local output = shell(('%s -e %s | head -n 1'):format(LAGOON, code))
    assert.matches('^1\nend\n', output)
  end)

  it('may be closed, as may the other standard streams', function()
    local code = quote("print(1) require('lagoon').sleep(0) os.exit(3)")
    for _, streams in ipairs({ '>&-', '<&-', '2>&-', '<&- >&- 2>&-' }) do
      local _, status = shell(('%s -e %s %s'):format(LAGOON, code, streams))
      assert.equal(3, status, streams)
    end
  end)
end)

describe('a script may use', function()
  after_each(remove_files)

  it('the FFI', function()
    assert.equal('5\n', (lagoon('-e', [[
      local ffi = require('ffi')
      ffi.cdef('size_t strlen(const char *s);')
      print(tonumber(ffi.C.strlen('hello')))
    ]])))
  end)

  -- One of busted's own, and lua-cjson.
  for _, name in ipairs({ 'system', 'cjson' }) do
    it('C modules, such as ' .. name, function()
      if not pcall(require, name) then
        pending(name .. ' is not installed')
      end
      assert.equal('table\n', (lagoon('-e', ("print(type(require('%s')))"):format(name))))
    end)
  end

  it('modules of LUA_PATH', function()
    local folder, name = write_file('return { answer = 42 }'):match('^(.*)/([^/]+)%.lua$')
    local code = quote(("print(require('%s').answer)"):format(name))
    local output = shell(("LUA_PATH='%s/?.lua' %s -e %s"):format(folder, LAGOON, code))
    assert.equal('42\n', output)
  end)
end)

-- Uses every part of the library, after its globals are gone.
local EVERYTHING = [[
  local lagoon = require('lagoon')
  local net, ok, stdout = lagoon.net, assert, io.stdout
  local function P(text) stdout:write(text, '\n') end
  <vandalism>
  local a, b = net.pipe()
  lagoon.spawn(a.write, a, 'line\n', { 1, 2 })
  ok(b:read_line() == 'line' and b:read_exactly(2) == '12')

  local listener = ok(net.listen('tcp', '127.0.0.1:0'))
  lagoon.spawn(net.serve, listener, function(conn)
    for line in conn:lines() do
      conn:write(line, '\n')
    end
  end, { max_conns_per_ip = 5, idle_timeout = 5 })
  local conn = ok(net.dial('tcp', listener:addr(), { timeout = 5, local_addr = '127.0.0.1:0' }))
  conn:write('hello', '\n')
  ok(conn:read_line() == 'hello')
  conn:set_timeout(0.001)
  local _, err = conn:read_until('--')
  ok(err == 'timeout')
  conn:close()
  ok(net.dial('tcp', 'localhost:1') == nil)
  listener:close()

  local ch = lagoon.chan(2)
  lagoon.spawn(function()
    for i = 1, 5 do ch:send(i) end
    ch:close()
  end)
  local sum = 0
  for v in ch:iter() do sum = sum + v end
  ok(sum == 15)
  ok(lagoon.select({ lagoon.chan(), timeout = 0.001 }) == 'timeout')
  ok(lagoon.select({ tick = lagoon.after(0.001) }) == 'tick')

  local task = lagoon.spawn(lagoon.sleep, 60)
  lagoon.yield()
  task:cancel('enough')
  ok(task:wait() == false)
  lagoon.on_error(function() end)
  lagoon.spawn(function() ok(false) end)
  lagoon.yield()
  lagoon.on_error(nil)
  ok(lagoon.runtime.stats().tasks > 0 and #lagoon.runtime.dump() > 0)
  P('everything works')
]]

describe('the library works although a script has', function()
  local function vandalize(code)
    local text = EVERYTHING:gsub('<vandalism>', function()
      return code
    end)
    assert.same({ 'everything works\n', 0 }, { lagoon('-e', text) })
  end

  it('done nothing', function()
    vandalize('')
  end)

  it('removed a function here and there', function()
    vandalize([[
      string.format, table.insert, coroutine.yield, pairs, setmetatable = nil
      os.exit, select, error, pcall, math.min, debug.traceback = nil
    ]])
  end)

  it('removed every global', function()
    vandalize([[
      local names = {}
      for name in pairs(_G) do names[#names + 1] = name end
      local G = _G
      for i = 1, #names do G[names[i] ] = nil end
    ]])
  end)

  it('emptied the standard libraries', function()
    vandalize([[
      local next = next
      for _, library in next, { string, table, coroutine, math, os, io, debug, bit, jit } do
        for name in next, library do library[name] = nil end
      end
    ]])
  end)

  it('replaced functions by ones that fail', function()
    vandalize([[
      local next, exit = next, os.exit
      local function fail() P('called') exit(9) end
      for _, library in next, { string, table, coroutine, math } do
        for name in next, library do library[name] = fail end
      end
      for _, name in next, { 'pairs', 'ipairs', 'next', 'type', 'tostring', 'pcall', 'error' } do
        _G[name] = fail
      end
    ]])
  end)

  it('changed the metatable of strings', function()
    vandalize("getmetatable('').__index = nil")
  end)

  it('given the table of globals a metatable', function()
    vandalize([[
      setmetatable(_G, {
        __index = function(_, name) P('reads ' .. name) end,
        __newindex = function(_, name) P('writes ' .. name) end,
      })
    ]])
  end)
end)

describe('LAGOON_LUA', function()
  it('is where the library is read from', function()
    local folder = os.tmpname()
    os.remove(folder)
    local output = shell(([[
      cp -r lua %s && cd %s/lagoon && sed -i "1s/^/io.write('mine ') /" net.lua
      LAGOON_LUA=%s %s -e "print(require('lagoon').net ~= nil)"
      rm -r %s
    ]]):format(folder, folder, folder, LAGOON, folder))
    assert.equal('mine true\n', output)
  end)

  it('that is no such folder is told', function()
    local output, status = shell(('LAGOON_LUA=/no/such/folder %s -e ""'):format(LAGOON))
    assert.matches('^lagoon: [^\n]*/no/such/folder[^\n]*\n$', output)
    assert.is_true(status == 1 or status == 2, status)
  end)
end)

describe('specs', function()
  after_each(remove_files)

  local SPEC = [[
    local lagoon = require('lagoon')
    describe('a spec', function()
      it('may wait', function()
        local ch = lagoon.chan()
        lagoon.spawn(ch.send, ch, %s)
        assert.equal(1, (ch:recv()))
      end)
    end)
  ]]

  it('run by lagoon test', function()
    local output, status = lagoon('test', write_file(SPEC:format(1)))
    assert.matches('1 success', output)
    assert.equal(0, status)
  end)

  it('fail by lagoon test, whose status says so', function()
    local output, status = lagoon('test', write_file(SPEC:format(2)))
    assert.matches('1 failure', output)
    assert.equal(1, status)
  end)

  it('run by busted --lua=lagoon', function()
    local spec = write_file(SPEC:format(1))
    local output, status = shell(('busted --lua=%s %s'):format(LAGOON, spec))
    if status == 127 then
      pending('there is no busted command')
    end
    assert.matches('1 success', output)
    assert.equal(0, status)
  end)
end)
