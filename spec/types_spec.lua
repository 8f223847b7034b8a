--- types_spec.lua: the type stubs for editors name what is there, and all of it.

local lagoon = require('lagoon')
local net = lagoon.net

local MODULES = {
  'lagoon', 'lagoon.context', 'lagoon.net', 'lagoon.runtime', 'lagoon.signal', 'lagoon.sync',
}

local function path_of(module)
  return 'docs/types/' .. module:gsub('%.', '/') .. '.lua'
end

local function names_of(values)
  local names = {}
  for name, value in pairs(values) do
    if type(value) == 'function' then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

-- The methods that the stubs give a class.
local function stub_methods(class)
  local names = {}
  for _, module in ipairs(MODULES) do
    for line in io.lines(path_of(module)) do
      names[#names + 1] = line:match('^function ' .. class .. ':([%w_]+)%(')
    end
  end
  return names
end

describe('a type stub', function()
  for _, name in ipairs(MODULES) do
    it('names the functions of ' .. name, function()
      assert.same(names_of(require(name)), names_of(dofile(path_of(name))))
    end)
  end

  -- Instances of every class, to look their methods up in.
  local instances = {}

  setup(function()
    instances.Listener = net.listen('tcp', '127.0.0.1:0')
    instances.Conn = net.dial('tcp', instances.Listener:addr())
    instances.Pipe = net.pipe()
    instances.Task = lagoon.current()
    instances.Chan = lagoon.chan()
    instances.Selector = lagoon.selector({ instances.Chan })
    instances.Ticker = lagoon.ticker(60)
    instances.Timer = lagoon.timer(60, function() end)
    instances.Context = lagoon.context.background()
    instances.Mutex = lagoon.sync.mutex()
    instances.RWMutex = lagoon.sync.rwmutex()
    instances.Cond = lagoon.sync.cond(instances.Mutex)
    instances.Semaphore = lagoon.sync.semaphore(1)
    instances.WaitGroup = lagoon.sync.waitgroup()
    instances.SingleFlight = lagoon.sync.singleflight()
    lagoon.scope(function(scope)
      instances.Scope = scope
    end)
  end)

  teardown(function()
    for _, name in ipairs({ 'Ticker', 'Timer' }) do
      instances[name]:stop()
    end
    for _, name in ipairs({ 'Conn', 'Listener', 'Pipe' }) do
      instances[name]:close()
    end
  end)

  local CLASSES = {
    'Task', 'Chan', 'Selector', 'Ticker', 'Timer', 'Scope', 'Context', 'Listener', 'Conn', 'Pipe',
    'Mutex', 'RWMutex', 'Cond', 'Semaphore', 'WaitGroup', 'SingleFlight',
  }
  for _, class in ipairs(CLASSES) do
    it('names methods of a ' .. class, function()
      local methods = stub_methods(class == 'Pipe' and 'Conn' or class)
      assert.is_true(#methods > 0)
      for _, name in ipairs(methods) do
        assert.equal('function', type(instances[class][name]), name)
      end
    end)
  end
end)
