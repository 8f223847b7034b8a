--- quit_spec.lua: SIGQUIT prints what the tasks do, and the program goes on.

local support = require('spec.support')
local run, shell, quote = support.run, support.shell, support.quote

local FIGURES = 'lagoon: %d+ tasks %(%d+ ready, %d+ parked%), %d+ timers, %d+ conns, [^\n]*\n'

-- quit() sends the signal, as another process would. (os.execute ignores it meanwhile.)
local QUIT = "local function quit() io.popen('kill -QUIT $PPID'):close() end "

describe('SIGQUIT', function()
  it('prints the tasks and a line of figures, and the program goes on', function()
    local output, status = run(QUIT .. [[
      lagoon.spawn(lagoon.sleep, 0.01):name('napper')
      quit()
      lagoon.sleep(0.01)
      io.stderr:write('end\n')
    ]])
    assert.matches("task 1 'main': parked on sleep %d+ms left for %d+ms, spawned at", output)
    assert.matches("task 2 'napper': parked on sleep", output)
    assert.matches('\n' .. FIGURES .. 'end\n$', output)
    assert.equal(0, status)
  end)

  it('counts every task but the one that prints', function()
    local output = run(QUIT .. 'lagoon.spawn(lagoon.sleep, 0.01) quit() lagoon.sleep(0.01)')
    assert.matches('\nlagoon: 2 tasks %(0 ready, 2 parked%)', output)
    assert.is_nil(output:find('task 3', 1, true))
  end)

  it('is served while the main chunk waits for clients', function()
    local output = run(QUIT .. [[
      local listener = lagoon.net.listen('tcp', '127.0.0.1:0')
      lagoon.timer(0.01, function() listener:close() end)
      quit()
      listener:accept()
    ]])
    assert.matches("^task 1 'main': parked on accept 127%.0%.0%.1:%d+ for ", output)
  end)

  it('is served again', function()
    local output = run(QUIT .. 'for i = 1, 3 do quit() lagoon.sleep(0.01) end')
    assert.equal(3, select(2, output:gsub(FIGURES, '')))
  end)

  it('keeps no program from ending', function()
    assert.same({ '', 0 }, { run('lagoon.yield()') })
    local output, status = run('lagoon.chan():recv()')
    assert.matches('^lagoon: all tasks are asleep', output)
    assert.equal(2, status)
  end)

  it('goes to a script that asks for it, and to nobody else', function()
    local output = run(QUIT .. [[
      local ch = lagoon.signal.notify('SIGQUIT')
      quit()
      print(ch:recv())
      lagoon.signal.stop(ch)
      quit()
      lagoon.sleep(0.01)
    ]])
    assert.matches('SIGQUIT\ttrue\n', output)
    assert.equal(1, select(2, output:gsub(FIGURES, '')))
  end)

  it('is served under lagoon test', function()
    local folder = support.new_folder()
    finally(function()
      support.remove_folder(folder)
    end)
    local file = assert(io.open(folder .. '/quit_spec.lua', 'w'))
    file:write(QUIT, "it('quits', function() quit() require('lagoon').sleep(0.01) end)")
    file:close()
    local command = 'cd %s; %s test quit_spec.lua'
    local output, status = shell(command:format(quote(folder), quote(support.lagoon_path)))
    assert.matches('parked on sleep ', output)
    assert.matches('\n\tquit_spec.lua:1: in function', output)
    assert.matches(FIGURES, output)
    assert.equal(0, status)
  end)

  -- A pipe holds 64 KiB; this one is read by nobody, but open.
  it('holds up nobody when nobody reads standard error', function()
    local folder = support.new_folder()
    finally(function()
      support.remove_folder(folder)
    end)
    local code = QUIT .. [[
      local lagoon = require('lagoon')
      local ch = lagoon.chan()
      for i = 1, 1000 do
        lagoon.spawn(loadstring('(...):recv()', '=a_chunk_with_a_rather_long_name' .. i), ch)
      end
      lagoon.yield()
      quit()
      while lagoon.runtime.stats().waits == 0 do -- the printer waits for room
        lagoon.sleep(0.001)
      end
      os.exit(7)
    ]]
    local command = 'cd %s; mkfifo pipe; exec 9<>pipe; timeout 5 %s -e %s 2>pipe'
    local lagoon_path, quoted = quote(support.lagoon_path), quote(code)
    assert.same({ '', 7 }, { shell(command:format(quote(folder), lagoon_path, quoted)) })
  end)
end)
