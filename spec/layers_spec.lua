--- layers_spec.lua: the shape of the source, as far as reading it can tell.

local lfs = require('lfs')
local util = require('jit.util')

-- The Lua library from the bottom up: a module requires what is in its own layer, or below. What
-- is named nowhere is one more source that ends waits, or stands in a folder of its own.
local LUA_LAYERS = {
  { name = 'the host', 'lagoon.host', 'lagoon.globals' },
  {
    name = 'the scheduler',
    'lagoon.slots', 'lagoon.misuse', 'lagoon.canceled', 'lagoon.trace', 'lagoon.queue',
    'lagoon.heap',
    'lagoon.sched', 'lagoon.life', 'lagoon.background', 'lagoon.loop', 'lagoon.boundary',
  },
  { name = 'sources that end waits', default = true },
  { name = 'structure', 'lagoon.scope', 'lagoon.sync', 'lagoon.context', 'lagoon.contexts',
    'lagoon.timeout', 'lagoon.failures', folder = 'lagoon.sync' },
  { name = 'net', 'lagoon.net', folder = 'lagoon.net' },
  { name = 'protocols' },
  {
    name = 'what scripts and the command line see',
    'lagoon', 'lagoon.runtime', 'lagoon.limits', 'lagoon.options', 'lagoon.profile', 'lagoon.flame',
    'lagoon.dump', 'lagoon.leaks', 'lagoon.quit',
    'lagoon.coroutine', 'lagoon.loader', 'lagoon.repl', 'lagoon.cli',
    'lagoon.boot', 'lagoon.test', folder = 'lagoon.test',
  },
}
local PROTOCOLS = 6 -- every other folder

-- The same for the host: a file includes the headers of its own layer, or below. What is named
-- nowhere is one more kind of handle.
local HOST_LAYERS = {
  { name = 'parts', 'poller.h', 'misuse.h', 'buffer.h', 'address.h', 'poller.c', 'misuse.c',
    'buffer.c', 'address.c', 'line.c', 'line.h', 'heartbeat.h', 'heartbeat.c', 'memory.h',
    'memory.c', 'stuck.h', 'stuck.c' },
  { name = 'the worker, as handles see it', 'worker.h' },
  { name = 'what conns are made of', 'socket.h', 'socket.c', 'inbox.h', 'inbox.c', 'library.h',
    'library.c' },
  { name = 'handles', default = true },
  { name = 'the program', 'worker.c', 'main.c' },
}

local function index(layers)
  local rank_of, default = {}, nil
  for rank, layer in ipairs(layers) do
    for _, name in ipairs(layer) do
      rank_of[name] = rank
    end
    default = layer.default and rank or default
  end
  return rank_of, default
end

local function each_file(folder, pattern, f)
  for entry in lfs.dir(folder) do
    local path = folder .. '/' .. entry
    if entry:find(pattern) then
      f(path, entry)
    elseif entry:sub(1, 1) ~= '.' and lfs.attributes(path, 'mode') == 'directory' then
      each_file(path, pattern, f)
    end
  end
end

-- The files of a folder, by their paths, and what they hold.
local function read_all(folder, pattern)
  local texts, found = {}, false
  each_file(folder, pattern, function(path)
    local file = assert(io.open(path))
    texts[path], found = file:read('*a'), true
    file:close()
  end)
  assert(found, 'nothing is in ' .. folder)
  return texts
end

local function code_of(lua)
  return (lua:gsub('%-%-%[(=*)%[.-%]%1%]', ''):gsub('%-%-[^\n]*', ''))
end

local function module_of(path)
  local name = path:gsub('^lua/', ''):gsub('%.lua$', ''):gsub('/', '.')
  return (name:gsub('%.init$', ''))
end

-- Module to the list of what it requires.
local function read_requires()
  local requires = {}
  for path, text in pairs(read_all('lua', '%.lua$')) do
    local list = {}
    for name in code_of(text):gmatch('require%s*%(?%s*[\'"]([%w_.]+)[\'"]') do
      list[#list + 1] = name
    end
    requires[module_of(path)] = list
  end
  return requires
end

local lua_rank, lua_default = index(LUA_LAYERS)

local function rank_of_module(name)
  local folder = name:match('^(lagoon%.[%w_]+)%.')
  if lua_rank[name] or not folder then
    return lua_rank[name] or lua_default
  end
  for rank, layer in ipairs(LUA_LAYERS) do
    if layer.folder == folder then
      return rank
    end
  end
  return PROTOCOLS
end

describe('the Lua library', function()
  it('requires downwards only', function()
    local wrong = {}
    for module, list in pairs(read_requires()) do
      for _, name in ipairs(list) do
        if name:find('^lagoon') and rank_of_module(name) > rank_of_module(module) then
          wrong[#wrong + 1] = module .. ' requires ' .. name
        end
      end
    end
    assert.same({}, wrong)
  end)

  it('requires in no circles', function()
    local requires, state = read_requires(), {}
    local function visit(module, path)
      assert.not_equal('open', state[module], path)
      if state[module] or not requires[module] then
        return
      end
      state[module] = 'open'
      for _, name in ipairs(requires[module]) do
        visit(name, path .. ' > ' .. name)
      end
      state[module] = 'done'
    end
    for module in pairs(requires) do
      visit(module, module)
    end
  end)

  it('requires nothing that is not its own', function()
    for module, list in pairs(read_requires()) do
      for _, name in ipairs(list) do
        local is_own = name:find('^lagoon') or name == 'busted.runner' -- of `lagoon test`
        assert.is_truthy(is_own, module .. ' requires ' .. name)
      end
    end
  end)

  -- coroutine.lua has the scripts' own yield. As a key, in a table, it is no call.
  it('yields in sched.lua alone', function()
    local mention = {}
    for path, text in pairs(read_all('lua', '%.lua$')) do
      if code_of(text):gsub('%[coroutine%.yield%]', ''):find('coroutine%.yield') then
        mention[#mention + 1] = path
      end
    end
    table.sort(mention)
    assert.same({ 'lua/lagoon/coroutine.lua', 'lua/lagoon/sched.lua' }, mention)
  end)

  -- The globals that a function, or one inside of it, assigns; GSET is read off an example.
  local function opcode(f, pc)
    return bit.band(util.funcbc(f, pc), 0xff), bit.rshift(util.funcbc(f, pc), 16)
  end
  local GSET = opcode(loadstring('x = 1'), 2)

  local function assigned_globals(f, found)
    for pc = 1, util.funcinfo(f).bytecodes - 1 do
      local op, d = opcode(f, pc)
      if op == GSET then
        found[#found + 1] = util.funck(f, -d - 1)
      end
    end
    local i = -1
    local constant = util.funck(f, i)
    while constant do
      if type(constant) == 'proto' then
        assigned_globals(constant, found)
      end
      i = i - 1
      constant = util.funck(f, i)
    end
    return found
  end

  it('assigns no global', function()
    local example = 'local function f() y = 1 return function() z = 2 end end x = f'
    local found = assigned_globals(loadstring(example), {})
    table.sort(found)
    assert.same({ 'x', 'y', 'z' }, found)
    for path in pairs(read_all('lua', '%.lua$')) do
      assert.same({}, assigned_globals(assert(loadfile(path)), {}), path)
    end
  end)
end)

describe('the host', function()
  it('includes downwards only', function()
    local rank_of, default = index(HOST_LAYERS)
    local wrong = {}
    for path, text in pairs(read_all('host', '%.[ch]$')) do
      local file = path:match('[^/]+$')
      for header in text:gmatch('#include "([^"]+)"') do
        local own = header:gsub('%.h$', '.c') == file
        if not own and (rank_of[header] or default) > (rank_of[file] or default) then
          wrong[#wrong + 1] = file .. ' includes ' .. header
        end
      end
    end
    assert.same({}, wrong)
  end)

  it('runs the loop in poller.c alone', function()
    for path, text in pairs(read_all('host', '%.c$')) do
      local runs = text:find('%f[%w_]uv_run%s*%(') ~= nil
      assert.equal(path == 'host/poller.c', runs, path)
    end
  end)

  -- What is called on_* is a callback of libuv: no Lua there.
  it('mentions no lua_State in a function called on_*', function()
    local seen = 0
    for path, text in pairs(read_all('host', '%.c$')) do
      for head, name, body in text:gmatch('\n([%w_ *]-)%f[%w_](on_[%w_]+)(%b().-\n}\n)') do
        if head ~= '' and not body:match('^%b()%s*;') then
          seen = seen + 1
          assert.is_nil(body:find('lua_State', 1, true), path .. ': ' .. name)
        end
      end
    end
    assert.is_true(seen > 0)
  end)
end)

describe('every source file', function()
  it('has 400 lines at most', function()
    local long = {}
    for _, folder in ipairs({ 'host', 'lua' }) do
      for path, text in pairs(read_all(folder, '%.[chl][ua]*$')) do
        local lines = select(2, text:gsub('\n', ''))
        if lines > 400 then
          long[#long + 1] = path .. ' ' .. lines
        end
      end
    end
    assert.same({}, long)
  end)
end)
