--- soak.lua: ends and preempts tasks at random instants, in all kinds of loops, as often as told.
--
--     lagoon bench/soak.lua [kills] [preemptions] [seed]    1000 of each, if not given
--
-- Nothing is measured: it must not crash, no task may survive, and no result may be wrong. Run it
-- with the asan preset too.
local lagoon = require('lagoon')

local kills, preemptions = tonumber(arg[1]) or 1000, tonumber(arg[2]) or 1000
local seed = tonumber(arg[3]) or os.time()

local function spin(n)
  local sum = 0
  for i = 1, n do
    sum = sum + i % 7
  end
  return sum
end

-- Each does some work, the same every time, and returns a number.
local WORK = {
  numbers = spin,
  tables = function(n)
    local kept = {}
    for i = 1, n do
      kept[i % 100 + 1] = { i }
    end
    return #kept
  end,
  strings = function(n)
    local length = 0
    for i = 1, n do
      length = length + #(i .. 'x')
    end
    return length
  end,
  recursion = function(n)
    local function f(depth)
      return depth == 0 and 0 or 1 + f(depth - 1)
    end
    local sum = 0
    for _ = 1, n / 50 do
      sum = sum + f(50)
    end
    return sum
  end,
  pcall = function(n)
    local sum = 0
    for _ = 1, n / 10 do
      sum = sum + select(2, pcall(spin, 10))
    end
    return sum
  end,
  errors = function(n)
    local caught = 0
    for _ = 1, n / 10 do
      caught = caught + (pcall(error, 'x') and 0 or 1)
    end
    return caught
  end,
  generator = function(n)
    local sum = 0
    for v in coroutine.wrap(function()
      for i = 1, n / 10 do
        coroutine.yield(i)
      end
    end) do
      sum = sum + v
    end
    return sum
  end,
  coroutine = function(n)
    return coroutine.wrap(spin)(n)
  end,
  sort = function(n)
    local t = {}
    for i = 1, n / 100 do
      t[i] = i * 7919 % 1009
    end
    table.sort(t, function(a, b)
      return a < b
    end)
    return t[1]
  end,
  gsub = function(n)
    return select(2, ('x'):rep(n / 10):gsub('x', function(c)
      return c
    end))
  end,
  metamethod = function(n)
    local t = setmetatable({}, {
      __index = function(_, key)
        return key
      end,
    })
    local sum = 0
    for i = 1, n do
      sum = sum + t[i]
    end
    return sum
  end,
  channel = function(n)
    local ch, sum = lagoon.chan(1), 0
    for i = 1, n / 10 do
      ch:try_send(i)
      sum = sum + ch:try_recv()
    end
    return sum
  end,
  scope = function(n)
    local sum = 0
    for _ = 1, n / 100 do
      sum = sum + lagoon.scope(function()
        return spin(10)
      end)
    end
    return sum
  end,
}

local names = {}
for name in pairs(WORK) do
  names[#names + 1] = name
end
table.sort(names)

local function random_work()
  return WORK[names[math.random(#names)]]
end

-- Never ends by itself, nor by an error that it can catch.
local function survive(work)
  while true do
    pcall(work, 1000 + math.random(1000))
  end
end

local function kill(times)
  lagoon.runtime.limit({ run = 0.001, report = false })
  for i = 1, times do
    local task = lagoon.spawn(survive, random_work())
    local ok, err = task:wait()
    assert(ok == false and tostring(err):find('ran too long'), err)
    if i % 10000 == 0 then
      print(i .. ' kills')
    end
  end
  lagoon.runtime.limit({ run = false })
end

local SIZE = 300000

-- Computes over and over until so many slices have ended; each result must be the same.
local function preempt(times)
  local expected = {}
  for name, work in pairs(WORK) do
    expected[name] = work(SIZE)
  end
  lagoon.runtime.limit({ slice = 0.0005 })
  local is_over, turns = false, 0
  local tasks = {}
  for i = 1, 4 do
    tasks[i] = lagoon.compute(function()
      repeat
        local name = names[math.random(#names)]
        local result = WORK[name](SIZE)
        assert(result == expected[name], name)
      until is_over
    end)
  end
  -- With tasks that compute always ready, this one goes on once a slice.
  while turns < times do
    turns = turns + 1
    lagoon.sleep(0)
    if turns % 10000 == 0 then
      print(turns .. ' preemptions')
    end
  end
  is_over = true
  for _, task in ipairs(tasks) do
    assert(task:wait())
  end
end

math.randomseed(seed)
io.stdout:setvbuf('line')
print('seed ' .. seed)
assert(lagoon.compute(kill, kills):wait()) -- such a task is not ended for what it computes
preempt(preemptions)
print('all is well')
