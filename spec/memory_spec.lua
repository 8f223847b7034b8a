--- memory_spec.lua: a task that takes more memory than there is for it is ended, and nobody else.

local lagoon = require('lagoon')
local support = require('spec.support')

-- Ways to take ever more memory. Each is the body of a function.
local HOGS = {
  ['tables in an array'] = 'local t = {} while true do t[#t + 1] = {} end',
  ['an array of numbers'] = 'local t = {} for i = 1, 1e12 do t[i] = i end',
  ['keys of a table'] = "local t = {} for i = 1, 1e12 do t['k' .. i] = true end",
  ['strings'] = "local t = {} for i = 1, 1e12 do t[i] = ('x'):rep(100) .. i end",
  ['a string that doubles'] = "local s = 'x' while true do s = s .. s end",
  ['a string that grows'] = "local s = '' while true do s = s .. ('x'):rep(10000) end",
  ['a list'] = 'local list while true do list = { list } end',
  ['closures'] = 'local t = {} for i = 1, 1e12 do t[i] = function() return i end end',
  ['coroutines'] = [[
    local t = {}
    for i = 1, 1e12 do
      t[i] = coroutine.create(function() coroutine.yield() end)
      coroutine.resume(t[i])
    end
  ]],
  ['deep recursion that keeps what it makes'] = [[
    local t = {}
    local function f(n) t[#t + 1] = { n } return 1 + f(n + 1) end
    while true do pcall(f, 1) end
  ]],
  ['code'] = "local t = {} for i = 1, 1e12 do t[i] = loadstring('return ' .. i) end",
  ['a channel'] = 'local ch = lagoon.chan(1e8) while true do ch:send({}) end',
  ['a string buffer'] = [[
    local buffer = require('string.buffer').new()
    while true do buffer:put(('x'):rep(1000)) end
  ]],
  ['what pcall catches'] = [[
    local t = {}
    while true do pcall(function() while true do t[#t + 1] = { 1, 2, 3 } end end) end
  ]],
  ['userdata'] = 'local t = {} for i = 1, 1e12 do t[i] = newproxy(true) end',
}

local PROGRAM = [[
  local served, most = 0, 0
  lagoon.on_error(function() end)
  local bystander = lagoon.spawn(function()
    local mine = {}
    while true do
      served = served + 1
      mine[served %% 100] = { served }
      lagoon.sleep(0.001)
    end
  end)
  local hog = lagoon.spawn(function() %s end)
  local ok, err = hog:wait()
  local before = served
  lagoon.sleep(0.02)
  local peak = io.open('/proc/self/status'):read('*a'):match('VmHWM:%%s*(%%d+)')
  print(ok, (tostring(err):match('memory limit')), served > before, bystander:cancel())
  print(math.floor(peak / 1024))
  os.exit(0)
]]

local CAP = 32 -- MiB

describe('with a memory cap, a task that hogs', function()
  for name, code in pairs(HOGS) do
    it(name .. ' is ended, and a bystander is not', function()
      local out = support.lagoon(
        '--max-memory', CAP .. 'M', '--report', 'off', '-e',
        "local lagoon = require('lagoon') " .. PROGRAM:format(code)
      )
      local verdict, peak = out:match('^(.-)\n(%d+)\n')
      assert.equal('false\tmemory limit\ttrue\ttrue', verdict, out)
      -- The rest of the process takes some, too.
      assert(tonumber(peak) <= 2 * CAP + 12, peak .. ' MiB at most')
    end)
  end
end)

describe('a memory cap', function()
  it('ends nobody for garbage', function()
    local out, status = support.lagoon('--max-memory=8M', '-e', [[
      for i = 1, 2e6 do local t = { i, i, i } end
      for i = 1, 1000 do local s = ('x'):rep(100000) end
      print('done')
    ]])
    assert.equal(0, status)
    assert.equal('done\n', out)
  end)

  it('ends nobody as long as three quarters of it will do', function()
    local out, status = support.lagoon('--max-memory=32M', '-e', [[
      local keep = {}
      for i = 1, 20 do keep[i] = ('x'):rep(2 ^ 20) .. i end
      for i = 1, 2e6 do local t = { i, i, i } end
      print(#keep)
    ]])
    assert.equal(0, status)
    assert.equal('20\n', out)
  end)

  it('is set by runtime.limit, and taken off', function()
    assert.is_false(lagoon.runtime.limit().memory)
    assert.equal(2 ^ 30, lagoon.runtime.limit({ memory = 2 ^ 30 }).memory)
    assert.is_false(lagoon.runtime.limit({ memory = false }).memory)
  end)

  it('takes bytes, with a unit', function()
    for _, word in ipairs({ '1', '64m', 'x', '1.5G', '1T' }) do
      local out, status = support.lagoon('--max-memory', word)
      assert.equal(2, status)
      assert.matches("option '%-%-max%-memory' needs bytes such as 64M, 1M at least, or off", out)
    end
    assert.equal(
      "limit 'memory' must be a whole number from 1048576 to 4503599627370496, got 5",
      support.misuse(function() lagoon.runtime.limit({ memory = 5 }) end)
    )
  end)
end)
