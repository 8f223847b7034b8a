local lagoon = require('lagoon')
local support = require('spec.support')
local misuse = support.misuse

-- Modules of the specs stand in a folder of their own, and are written by each test.
describe('require', function()
  local folder, path

  before_each(function()
    folder = support.new_folder()
    path = package.path
    package.path = folder .. '/?.lua;' .. path
  end)

  after_each(function()
    package.path = path
    support.remove_folder(folder)
    for name in pairs(package.loaded) do
      if name:find('^sample') then
        package.loaded[name] = nil
      end
    end
    _G.gate, _G.loads = nil, nil
  end)

  local function write(name, text)
    local file = assert(io.open(folder .. '/' .. name .. '.lua', 'w'))
    file:write(text)
    file:close()
    return folder .. '/' .. name .. '.lua'
  end

  local function start(f, ...)
    local task = lagoon.spawn(f, ...)
    lagoon.yield()
    return task
  end

  it('returns what the module returns, and loads it once', function()
    write('sample', '_G.loads = (_G.loads or 0) + 1 return { name = ... }')
    local module = require('sample')
    assert.equal('sample', module.name)
    assert.equal(module, require('sample'))
    assert.equal(module, package.loaded.sample)
    assert.equal(1, _G.loads)
  end)

  it('returns true for a module that returns nothing', function()
    write('sample', '')
    assert.is_true(require('sample'))
    assert.is_true(package.loaded.sample)
  end)

  it('returns what the module has put into package.loaded itself', function()
    write('sample', 'package.loaded[...] = "by itself"')
    assert.equal('by itself', require('sample'))
  end)

  it('keeps a module that is false', function()
    write('sample', 'return false')
    assert.is_false(require('sample'))
  end)

  it('takes package.preload first', function()
    package.preload.sample = function(name)
      lagoon.yield()
      return 'preloaded ' .. name
    end
    finally(function()
      package.preload.sample = nil
    end)
    assert.equal('preloaded sample', require('sample'))
  end)

  it('loads a module whose top level waits', function()
    write('sample', "require('lagoon').sleep(0.001) return 'waited'")
    assert.equal('waited', require('sample'))
  end)

  it('loads a module that waits while it loads another that waits', function()
    write('sample_inner', "require('lagoon').yield() return 'inner'")
    write('sample', "local v = require('sample_inner') require('lagoon').yield() return v")
    assert.equal('inner', require('sample'))
  end)

  it('lets another task wait until the module is loaded', function()
    _G.gate = lagoon.chan()
    write('sample', '_G.loads = (_G.loads or 0) + 1 return { _G.gate:recv() }')
    local first, second = start(require, 'sample'), start(require, 'sample')
    assert.equal('parked', second:status())
    _G.gate:send('open')
    local _, module = first:wait()
    assert.same({ true, module }, { second:wait() })
    assert.equal(module, require('sample'))
    assert.equal(1, _G.loads)
  end)

  it('lets another task load what the first could not', function()
    _G.gate = lagoon.chan()
    write('sample', 'return _G.gate:recv() or error("not yet", 0)')
    local first, second = start(require, 'sample'), start(require, 'sample')
    _G.gate:send(false)
    assert.same({ false, 'not yet' }, { first:wait() })
    _G.gate:send('now')
    assert.same({ true, 'now' }, { second:wait() })
  end)

  it('lets another task load what a canceled one did not', function()
    _G.gate = lagoon.chan()
    write('sample', 'return (_G.gate:recv())')
    local first, second = start(require, 'sample'), start(require, 'sample')
    first:cancel()
    assert.is_false((first:wait()))
    _G.gate:send('now')
    assert.same({ true, 'now' }, { second:wait() })
  end)

  it('forgets a task that is canceled while it waits for another', function()
    _G.gate = lagoon.chan()
    write('sample', 'return (_G.gate:recv())')
    local first, second = start(require, 'sample'), start(require, 'sample')
    second:cancel()
    assert.is_false((second:wait()))
    _G.gate:send('now')
    assert.same({ true, 'now' }, { first:wait() })
  end)

  it('raises what a failing module raises, and can try again', function()
    write('sample', 'error({ code = 7 })')
    local ok, err = pcall(require, 'sample')
    assert.is_false(ok)
    assert.equal(7, type(err) == 'table' and err.code or err)
    assert.is_nil(package.loaded.sample)
    write('sample', 'return "mended"')
    assert.equal('mended', require('sample'))
  end)

  it('says where a module does not compile', function()
    write('sample', 'return (')
    local ok, err = pcall(require, 'sample')
    assert.is_false(ok)
    assert.matches("sample.lua:1: unexpected symbol near '<eof>'", err, 1, true)
  end)

  it('says where it has looked for a module that is not there', function()
    local message = misuse(function()
      require('sample.missing')
    end)
    assert.matches("module 'sample.missing' not found:", message, 1, true)
    assert.matches(folder .. '/sample/missing.lua', message, 1, true)
  end)

  it('raises for a module that requires itself', function()
    write('sample', "return require('sample')")
    local ok, err = pcall(require, 'sample')
    assert.is_false(ok)
    assert.matches("loop or previous error loading module 'sample'", err, 1, true)
  end)

  it('raises for two modules that require each other', function()
    write('sample_a', "require('lagoon').yield() return require('sample_b')")
    write('sample_b', "require('lagoon').yield() return require('sample_a')")
    local ok, err = pcall(require, 'sample_a')
    assert.is_false(ok)
    assert.matches('loop or previous error', err, 1, true)
  end)

  it('raises for a loop that goes through two tasks', function()
    write('sample_a', "require('lagoon').yield() return require('sample_b')")
    write('sample_b', "require('lagoon').yield() return require('sample_a')")
    local a = lagoon.spawn(pcall, require, 'sample_a')
    local b = lagoon.spawn(pcall, require, 'sample_b')
    local _, ok_a, err_a = a:wait()
    local _, ok_b, err_b = b:wait()
    assert.is_false(ok_a and ok_b)
    assert.matches('loop or previous error', ok_a and err_b or err_a, 1, true)
  end)

  it('finds the library and its parts', function()
    assert.equal(lagoon, require('lagoon'))
    assert.equal(lagoon.net, require('lagoon.net'))
    assert.equal(lagoon.runtime, require('lagoon.runtime'))
  end)

  it('does not find parts that there are not', function()
    assert.is_false((pcall(require, 'lagoon.nothing')))
    assert.is_nil(lagoon.nothing)
  end)

  it('finds modules in C', function()
    assert.equal(require('ffi'), require('ffi'))
    assert.is_function(require('lfs').attributes)
  end)

  it('is blamed on its line for a name that is none', function()
    for _, name in ipairs({ {}, true, print }) do
      misuse(function()
        require(name)
      end)
    end
    misuse(function()
      require()
    end)
  end)

  it('does not work in a module while a sort is in the way, and can be tried again', function()
    write('sample', "require('lagoon').yield() return 'loaded'")
    local ok, err = pcall(table.sort, { 2, 1 }, function()
      return require('sample')
    end)
    assert.is_false(ok)
    assert.matches('table.sort', err, 1, true)
    assert.equal('loaded', require('sample'))
  end)

  describe('and dofile', function()
    it('runs a file that waits, and returns its results', function()
      local file = write('sample', "require('lagoon').sleep(0.001) return 1, nil, ...")
      assert.same({ 1, nil }, { dofile(file) })
      assert.equal(2, select('#', dofile(file)))
    end)

    it('runs it each time', function()
      local file = write('sample', '_G.loads = (_G.loads or 0) + 1')
      dofile(file)
      dofile(file)
      assert.equal(2, _G.loads)
    end)

    it('raises what the file raises, and what is wrong with it', function()
      local err = select(2, pcall(dofile, write('sample', "error('inside')")))
      assert.matches('sample.lua:1: inside', err, 1, true)
      err = select(2, pcall(dofile, write('sample', 'return (')))
      assert.matches('sample.lua:1: unexpected symbol', err, 1, true)
      err = select(2, pcall(dofile, folder .. '/missing.lua'))
      assert.matches('missing.lua', err, 1, true)
    end)
  end)
end)

describe('a library of pure Lua', function()
  it('works inside of the host as it does elsewhere', function()
    local pretty = require('pl.pretty')
    assert.equal('{1,2}', pretty.write({ 1, 2 }, ''))
  end)
end)
