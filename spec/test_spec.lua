--- test_spec.lua: hangs and leaks fail the test that caused them, where that was asked for.

local support = require('spec.support')

local FIXTURE = 'spec/fixtures/faulty.lua'
local LAGOON = support.quote(support.lagoon_path)

describe('the helper lagoon.test', function()
  local output, status

  setup(function()
    output, status = support.lagoon('test', '--timeout=0.1', FIXTURE)
  end)

  -- The report of the test's own failure.
  local function report_of(name, kind)
    local heading = (kind or 'Failure') .. ' %-> spec/fixtures/faulty%.lua @ %d+\nfaulty ' .. name
    return assert(output:match(heading .. '\n(.-)\n\n'), output)
  end

  it('fails a run with faulty tests', function()
    assert.equal(1, status)
  end)

  it('reports each fault as one failure, and nothing else', function()
    assert.matches('^%+%-%-%-%-%-%+%-%-%*%-%+%+\n', output)
    assert.matches('4 successes / 8 failures / 2 errors / 0 pending', output, 1, true)
  end)

  it('fails a test that leaves a task, and says what it waits for', function()
    local report = report_of('leaves a task')
    assert.matches('leaves task %d+ alive: parked on chan recv, spawned at spec/fixtures', report)
  end)

  it('fails a test that leaves a listener', function()
    assert.matches('leaves listeners open: 1', report_of('leaves a listener'), 1, true)
  end)

  it('fails a test that leaves a conn', function()
    assert.matches('leaves conns open: 1', report_of('leaves a conn'), 1, true)
  end)

  it('fails a test that leaves a timer or a ticker', function()
    assert.matches('leaves timers armed: 1', report_of('leaves a timer'), 1, true)
    assert.matches('leaves timers armed: 1', report_of('leaves a ticker'), 1, true)
  end)

  it('fails a test that loses an error', function()
    local report = report_of('loses an error')
    assert.matches('loses an error of task %d+: nobody hears this\nstack traceback:', report)
  end)

  it('fails a test that hangs, with a dump', function()
    local report = report_of('hangs')
    assert.matches('hangs for more than 0.1 s:\ntask 1 \'main\'', report, 1, true)
    assert.matches("task %d+ 'test': parked on chan recv", report)
    assert.matches('spec/fixtures/faulty.lua:47: in function', report, 1, true)
  end)

  it('reports a hang in finally and in a hook', function()
    assert.matches('hangs for more than', report_of('hangs in finally', 'Error'), 1, true)
    assert.matches('hook that hangs before_each\n.-hangs for more than', output)
  end)

  it('reports an assertion that failed in another task as a failure', function()
    local report = report_of('fails in a task it waits for')
    assert.matches('^spec/fixtures/faulty.lua:58: Expected objects to be equal', report)
  end)

  it('works in the same way by busted --lua=lagoon', function()
    local again = support.shell(
      'LAGOON_SPEC_TIMEOUT=0.1 busted --lua=' .. LAGOON .. ' ' .. FIXTURE
    )
    assert.equal(output:match('[^\n]+ pending'), again:match('[^\n]+ pending'))
  end)
end)

describe('lagoon test', function()
  local path

  -- Runs a spec without any configuration, with the options: what it wrote, and its status.
  local function run(code, options)
    path = support.new_folder()
    local file = assert(io.open(path .. '/a_spec.lua', 'w'))
    file:write("local lagoon = require('lagoon')\n", code)
    file:close()
    local command = "cd '%s' && timeout 8 %s test %s a_spec.lua"
    return support.shell(command:format(path, LAGOON, options))
  end

  after_each(function()
    if path then
      support.remove_folder(path)
      path = nil
    end
  end)

  local HANGS = "it('hangs', function() lagoon.chan():recv() end) it('is clean', function() end)"

  it('--timeout fails a test that hangs, with a dump, and goes on', function()
    for _, option in ipairs({ '--timeout=0.05', '--timeout 0.05' }) do
      local output, status = run(HANGS, option)
      assert.matches('1 success / 1 failure', output, 1, true)
      assert.matches('a_spec.lua:2: hangs for more than 0.05 s:\ntask 1', output, 1, true)
      assert.matches("'test': parked on chan recv", output, 1, true)
      assert.equal(1, status)
      support.remove_folder(path)
    end
    path = nil
  end)

  it('--timeout fails hooks and finally that hang', function()
    local output = run([[
      describe('a', function()
        before_each(function() lagoon.chan():recv() end)
        it('test', function() end)
      end)
      it('b', function() finally(function() lagoon.chan():recv() end) end)
    ]], '--timeout=0.05')
    assert.equal(2, select(2, output:gsub('hangs for more than', '')))
    assert.matches('0 successes / 0 failures / 2 errors', output, 1, true)
  end)

  it('--timeout=0 lets a test take as long as it likes', function()
    local output, status = run(HANGS, '--timeout=0')
    assert.matches('all tasks are asleep', output, 1, true)
    assert.equal(2, status)
  end)

  it('--timeout that is no time is a bad command line', function()
    for _, value in ipairs({ '=soon', '=-1', '=nan', '', '=' }) do
      local output, status = support.lagoon('test', '--timeout' .. value)
      assert.matches("^lagoon: option '%-%-timeout' needs a number of seconds[^\n]*\n$", output)
      assert.equal(2, status)
    end
  end)

  it('ends a test that loops for ever, and runs the next', function()
    local code = "it('loops', function() while true do end end) it('is next', function() end)"
    local output, status = run(code, '--timeout=0.3')
    assert.matches('1 success / ', output, 1, true)
    assert.matches('ran too long', output, 1, true)
    assert.equal(1, status)
  end)

  it('shows where a test has failed', function()
    local output = run("it('fails', function()\nassert.equal(1, 2)\nend)", '')
    assert.matches('Failure -> a_spec.lua @ 2\nfails\na_spec.lua:3: ', output, 1, true)
  end)

  it('explains a wait where none can be', function()
    local code = "it('x', function() ('x'):gsub('x', function() lagoon.sleep(0) end) end)"
    assert.matches('cannot wait in a callback of string.gsub', (run(code, '')), 1, true)
  end)

  it('knows pending tests', function()
    local output, status = run("it('later', function() pending('not yet') end)", '')
    assert.matches('0 successes / 0 failures / 0 errors / 1 pending', output, 1, true)
    assert.equal(0, status)
  end)

  it('ends whatever tasks are left, which --helper=lagoon.test does mind', function()
    local code = "it('leaves a task', function() lagoon.spawn(lagoon.sleep, 60) end)"
    local output, status = run(code, '')
    assert.matches('1 success', output, 1, true)
    assert.equal(0, status)
    support.remove_folder(path)
    output, status = run(code, '--helper=lagoon.test')
    assert.matches('leaves task %d+ alive: parked on sleep', output)
    assert.equal(1, status)
  end)

  it("--help tells its own options, and busted's", function()
    local output = support.lagoon('test', '--help')
    for _, text in ipairs({ 'usage: lagoon test', '--timeout=SECONDS', '--shuffle-files' }) do
      assert.matches(text, output, 1, true)
    end
  end)
end)
