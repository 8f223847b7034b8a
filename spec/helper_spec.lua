--- helper_spec.lua: the faults that spec/helper.lua looks for in every test do fail a test.

local support = require('spec.support')

local FIXTURE = 'spec/fixtures/faulty.lua'

describe('the helper of the specs', function()
  local output, status

  setup(function()
    output, status = support.shell(
      'LAGOON_SPEC_TIMEOUT=0.1 ' .. support.quote(support.lagoon_path) .. ' test ' .. FIXTURE
    )
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
      'LAGOON_SPEC_TIMEOUT=0.1 busted --lua=' .. support.lagoon_path .. ' ' .. FIXTURE
    )
    assert.equal(output:match('[^\n]+ pending'), again:match('[^\n]+ pending'))
  end)
end)
