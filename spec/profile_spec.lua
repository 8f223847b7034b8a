--- profile_spec.lua: where the time goes.

local lagoon = require('lagoon')
local support = require('spec.support')

local runtime = lagoon.runtime

-- Work that is compiled, until it is told to stop.
local function burn(told)
  local n = 0
  while not told.stop do
    for i = 1, 1000 do
      n = n + i % 7
    end
    lagoon.yield()
  end
  return n
end

describe('runtime.profile', function()
  -- A profile of a task that burns, called `name`.
  local function profile_of(name)
    local told = {}
    local task = lagoon.spawn(burn, told)
    task:name(name)
    local folded = runtime.profile(0.1)
    told.stop = true
    task:wait()
    return folded
  end

  it('gives folded stacks, with the task and its functions from the outermost inward', function()
    local folded = profile_of('burner')
    for line in folded:gmatch('[^\n]+') do
      assert.matches('^[^ ].* %d+$', line)
    end
    assert.matches('\nburner;[^\n]*spec/profile_spec.lua:9[^\n]* %d+\n', '\n' .. folded)
  end)

  it('takes a name with a semicolon for one frame', function()
    assert.matches('\na b c;', '\n' .. profile_of('a;b\nc'))
  end)

  it('looks into coroutines of the script', function()
    local told = {}
    local task = lagoon.spawn(function()
      local inner = coroutine.wrap(function()
        return burn(told)
      end)
      inner()
    end)
    local folded = runtime.profile(0.1)
    told.stop = true
    task:wait()
    assert.matches('task of spec/profile_spec.lua:%d+;[^\n]*resume[^\n]*profile_spec.lua:9', folded)
  end)

  it('is one at a time', function()
    local first = lagoon.spawn(runtime.profile, 0.02)
    lagoon.yield()
    assert.same({ n = 2, nil, 'busy' }, support.pack(runtime.profile(0.01)))
    assert.equal('string', type(select(2, first:wait())))
  end)

  it('ends when its task is canceled', function()
    local task = support.start(runtime.profile, 3600)
    task:cancel()
    assert.is_false((task:wait()))
    assert.equal('string', type(runtime.profile(0)))
  end)

  it('blames misuse on the caller', function()
    assert.same(
      {
        'seconds must be a number of seconds, got nil',
        'the folded stacks must be a string, got nil',
      },
      {
        support.misuse(function() runtime.profile() end),
        support.misuse(function() runtime.flame_graph() end),
      }
    )
  end)
end)

describe('a flame graph', function()
  it('has a box for each frame, as wide as its share', function()
    local svg = runtime.flame_graph('main;a;b 3\nmain;a 1\nmain;c <x> 4\n')
    assert.matches('^<svg xmlns="http://www.w3.org/2000/svg"', svg)
    assert.matches('</svg>\n$', svg)
    assert.matches('8 samples</text>', svg)
    local function width(title)
      return tonumber(svg:match('<title>' .. title .. ': [^<]*</title><rect [^>]*width="([%d.]+)"'))
    end
    assert.equal(width('main'), width('all'))
    assert.equal(width('main') / 2, width('a'))
    assert.equal(width('main') / 8 * 3, width('b'))
    assert.equal(width('main') / 2, width('c &lt;x&gt;'))
    assert.matches('<title>b: 3 samples, 37.5 %%</title>', svg)
  end)

  it('of nothing is empty', function()
    assert.matches('0 samples</text>\n</svg>\n$', runtime.flame_graph(''))
  end)
end)

describe('--profile', function()
  local CODE = 'local n = 0 for i = 1, 3e8 do n = n + i end os.exit(3)'
  local folder

  before_each(function()
    folder = support.new_folder()
  end)

  after_each(function()
    support.remove_folder(folder)
  end)

  local function profiled(name)
    local path = folder .. '/' .. name
    local out, status = support.lagoon('--report=off', '--profile', path, '-e', CODE)
    assert.equal('', out)
    assert.equal(3, status)
    local file = assert(io.open(path))
    local text = file:read('*a')
    file:close()
    return text
  end

  it('writes folded stacks at the end, by os.exit too', function()
    assert.matches('main;[^\n]*%(command line%)[^\n]* %d+\n', profiled('out.folded'))
  end)

  it('writes a flame graph to a file that is called so', function()
    assert.matches('<title>main: %d+ samples', profiled('out.svg'))
  end)

  it('writes it when a signal ends the program, too', function()
    local path = folder .. '/out'
    local command = "timeout -s TERM 0.5 %s --profile %s -e 'require(\"lagoon\").sleep(60)'"
    local lagoon_path = support.quote(support.lagoon_path)
    support.shell(command:format(lagoon_path, path))
    assert(io.open(path)):close()
  end)

  it('says when it cannot', function()
    local out, status = support.lagoon('--profile', folder .. '/none/out', '-e', '')
    assert.equal(1, status)
    assert.matches('^lagoon: cannot write the profile: .*No such file', out)
  end)
end)
