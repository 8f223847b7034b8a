-- pipeline.lua: a producer, some workers and a collector, joined by channels.
--
--   lagoon scripts/pipeline.lua [numbers] [workers]     20 numbers, 4 workers if not given
--
-- Each stage ends by closing the channel that it sends on, and that ends the next one's loop.
-- Several workers send on one channel, which is closed when the last of them has ended.

local lagoon = require('lagoon')

local numbers, workers = tonumber(arg[1] or 20), tonumber(arg[2] or 4)
local jobs, results = lagoon.chan(), lagoon.chan()

lagoon.spawn(function()
  for n = 1, numbers do
    jobs:send(n) -- waits until a worker is free: nothing piles up
  end
  jobs:close()
end)

local function work(id)
  for n in jobs:iter() do
    lagoon.sleep(math.random() / 100) -- stands for something that takes a while
    results:send({ n = n, square = n * n, worker = id })
  end
end

local team = {}
for id = 1, workers do
  team[id] = lagoon.spawn(work, id)
end

lagoon.spawn(function()
  for _, worker in ipairs(team) do
    worker:wait()
  end
  results:close()
end)

local sum = 0
for result in results:iter() do
  print(('worker %d: %d squared is %d'):format(result.worker, result.n, result.square))
  sum = sum + result.square
end
print('sum of squares: ' .. sum)
