--- micro.lua: what Lagoon's scheduler, channels and timers cost; peers/micro.go is its twin.
--
--     lagoon bench/micro.lua NAME    prints "NAME value"
--
-- The value is CPU nanoseconds (user + system, os.clock) per operation, or bytes per task.
-- On one core a benchmark that never sleeps takes the same wall time, but CPU time does not
-- count what other programs take.
local lagoon = require('lagoon')

local MILLION = 1000000

local function echo_values(ping, pong, n)
  for _ = 1, n do
    pong:send((ping:recv()))
  end
end

--- Two tasks, two unbuffered channels. One operation is one round trip: A sends on ping, B
--- receives it and sends it on pong, A receives it.
local function pingpong(n)
  local ping, pong = lagoon.chan(), lagoon.chan()
  lagoon.spawn(echo_values, ping, pong, n)
  for i = 1, n do
    ping:send(i)
    pong:recv()
  end
end

local function send_values(ch, n)
  for i = 1, n do
    ch:send(i)
  end
end

--- One operation is one value that one task sends and another receives.
local function transfer(n, capacity)
  local ch = lagoon.chan(capacity)
  lagoon.spawn(send_values, ch, n)
  for _ = 1, n do
    ch:recv()
  end
end

local function oneway(n)
  transfer(n, 0)
end

local function buffered(n)
  transfer(n, 128)
end

--- One operation is one task that starts and exits at once. They are started 1,000 at a
--- time; the parent then yields until all have exited.
local function spawn(n)
  local batch = 1000
  local left
  local function exit()
    left = left - 1
  end
  for _ = 1, n, batch do
    left = batch
    for _ = 1, batch do
      lagoon.spawn(exit)
    end
    while left > 0 do
      lagoon.yield()
    end
  end
end

local function yield_often(n, done)
  for _ = 1, n do
    lagoon.yield()
  end
  done:send(true)
end

--- One operation is one yield, by one of two tasks that do nothing else.
local function yield(n)
  local done = lagoon.chan()
  lagoon.spawn(yield_often, n / 2, done)
  lagoon.spawn(yield_often, n / 2, done)
  done:recv()
  done:recv()
end

local function send_round_robin(n, a, b, c, d)
  for i = 1, n, 4 do
    a:send(i)
    b:send(i)
    c:send(i)
    d:send(i)
  end
end

local function four_sources(n)
  local a, b, c, d = lagoon.chan(), lagoon.chan(), lagoon.chan(), lagoon.chan()
  lagoon.spawn(send_round_robin, n, a, b, c, d)
  return a, b, c, d
end

--- One operation is one value, sent round robin on four unbuffered channels and received by
--- a select over the four, its cases written anew each time.
local function select4(n)
  local select = lagoon.select
  local a, b, c, d = four_sources(n)
  for _ = 1, n do
    select({ a, b, c, d })
  end
end

--- The same with the set of cases compiled once.
local function selector4(n)
  local selector = lagoon.selector({ four_sources(n) })
  for _ = 1, n do
    selector:wait()
  end
end

--- The i-th delay; a million of them, out of order, are one microsecond apart.
local function spread(i)
  return i * 7919 % MILLION * 1e-6
end

local timers = {}

local function nop() end

--- Sets a million timers that are a minute away, then stops them all. One operation is one
--- timer set and stopped.
local function timer_cancel()
  for i = 1, MILLION do
    timers[i] = lagoon.timer(60 + spread(i), nop)
  end
  for i = 1, MILLION do
    timers[i]:stop()
    timers[i] = false
  end
end

--- Sets a million timers that fire evenly over the second that begins half a second from
--- now, and waits for the last. One operation is one timer set and fired.
local function timer_fire()
  local fired = 0
  local done = lagoon.chan(1)
  local function fire()
    fired = fired + 1
    if fired == MILLION then
      done:try_send(true)
    end
  end
  for i = 1, MILLION do
    lagoon.timer(0.5 + spread(i), fire)
  end
  done:recv()
end

local function resident_bytes()
  local file = assert(io.open('/proc/self/smaps_rollup'))
  local kib = file:read('*a'):match('\nRss:%s*(%d+) kB')
  file:close()
  return tonumber(kib) * 1024
end

--- Bytes of resident memory per task that waits on a channel, after a full collection, with
--- a million of them. A first thousand are there before.
local function park_million()
  local gate = lagoon.chan()
  local started = 0
  local function park()
    started = started + 1
    gate:recv()
  end
  local function park_until(n)
    for _ = started + 1, n, 1000 do
      for _ = 1, 1000 do
        lagoon.spawn(park)
      end
      lagoon.yield()
    end
    while started < n do
      lagoon.yield()
    end
    collectgarbage()
  end
  park_until(1000)
  local before = resident_bytes()
  park_until(1000 + MILLION)
  return (resident_bytes() - before) / MILLION
end

--- The CPU seconds a call takes; garbage of what ran before is not counted.
local function timed(run, n)
  collectgarbage()
  local start = os.clock()
  run(n)
  return os.clock() - start
end

local function median(samples)
  table.sort(samples)
  return samples[math.floor(#samples / 2) + 1]
end

--- Warms up with ever more operations until they take a twentieth of a second, then takes
--- the median of five runs of a fifth of a second each (three short ones if quick).
local function per_op(run, quick)
  local seconds, repeats = quick and 0.05 or 0.2, quick and 3 or 5
  local n = 1000
  local took = timed(run, n)
  while took < 0.05 do
    n = n * 2
    took = timed(run, n)
  end
  n = (math.floor(n * seconds / took / 1000) + 1) * 1000
  local samples = {}
  for i = 1, repeats do
    samples[i] = timed(run, n) / n * 1e9
  end
  return median(samples)
end

--- After a first run that is not counted, the median of three runs of a million operations
--- each (one if quick).
local function per_million(run, quick)
  run()
  local samples = {}
  for i = 1, quick and 1 or 3 do
    samples[i] = timed(run) / MILLION * 1e9
  end
  return median(samples)
end

local benchmarks = {
  pingpong = { per_op, pingpong },
  oneway = { per_op, oneway },
  buffered = { per_op, buffered },
  spawn = { per_op, spawn },
  yield = { per_op, yield },
  select4 = { per_op, select4 },
  selector4 = { per_op, selector4 },
  timer_cancel = { per_million, timer_cancel },
  timer_fire = { per_million, timer_fire },
  parked = { park_million },
}

local name = arg[1]
local benchmark = benchmarks[name]
if not benchmark then
  io.stderr:write(
    'usage: lagoon bench/micro.lua pingpong|oneway|buffered|spawn|yield|',
    'select4|selector4|timer_cancel|timer_fire|parked\n'
  )
  os.exit(2)
end
local measure, run = benchmark[1], benchmark[2]
print(('%s %.1f'):format(name, measure(run, os.getenv('BENCH_QUICK') ~= nil)))
