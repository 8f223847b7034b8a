--- docs_spec.lua: the documents' examples run, and print what the documents say.
--
-- Every block that begins with "```lua" is run as a script of its own. What it prints must be its
-- "--> " comments, in order; spaces at the end of a line do not count. A word after "lua" marks
-- what is no such script:
--   server    runs until it is stopped, here by SIGINT
--   test      is run by `lagoon test`, with the helper that looks for leaks
--   fragment  cannot run by itself: it must only compile

local support = require('spec.support')

local LIMIT = 8 -- seconds
local SERVER_LIMIT = 0.5 -- seconds, after which a server is stopped

-- The blocks of a file: { line, mark, code }.
local function blocks_of(path)
  local blocks, block, n = {}, nil, 0
  for line in io.lines(path) do
    n = n + 1
    local info = line:match('^```(.*)$')
    if not info then
      if block then
        block[#block + 1] = line
      end
    elseif block then
      block.code = table.concat(block, '\n') .. '\n'
      blocks[#blocks + 1] = block.is_lua and block or nil
      block = nil
    else
      block = { line = n, is_lua = info:match('^lua%f[%W]'), mark = info:match('^lua (%a+)') }
    end
  end
  return blocks
end

local function trim(text)
  return (text:gsub('[ \t]+\n', '\n'))
end

local function expected(code)
  local lines = {}
  for text in code:gmatch('%-%->[ ]?([^\n]*)') do
    lines[#lines + 1] = text .. '\n'
  end
  return trim(table.concat(lines))
end

-- Runs the code by a shell command that ends with lagoon's own arguments, before the file.
local function run(code, command)
  local folder = support.new_folder()
  local path = folder .. '/example.lua'
  local file = assert(io.open(path, 'w'))
  file:write(code)
  file:close()
  local output, status = support.shell(command .. ' ' .. path)
  support.remove_folder(folder)
  return trim(output:gsub(path, 'example.lua')), status
end

local LAGOON = support.quote(support.lagoon_path)

-- What is asked of a block, by its mark.
local CHECKS = {
  script = function(code)
    local output, status = run(code, ('timeout %d %s'):format(LIMIT, LAGOON))
    assert.same({ expected(code), 0 }, { output, status })
  end,

  server = function(code)
    -- Its port may be taken on this machine.
    local anywhere, n = code:gsub(":%d+'", ":0'")
    assert.equal(1, n)
    local command = ('timeout -s INT -k %d %g %s'):format(LIMIT, SERVER_LIMIT, LAGOON)
    local output, status = run(anywhere, command)
    assert.same({ expected(code), 124 }, { output, status })
  end,

  test = function(code)
    local command = ('timeout %d %s test --helper=lagoon.test'):format(LIMIT, LAGOON)
    local output, status = run(code, command)
    assert.matches('1 success / 0 failures / 0 errors / 0 pending', output, 1, true)
    assert.equal(0, status)
  end,

  fragment = function(code)
    assert(loadstring(code))
  end,
}

describe('an example', function()
  for path in io.popen('ls README.md docs/*.md'):lines() do
    for _, block in ipairs(blocks_of(path)) do
      local mark = block.mark or 'script'
      it(('is a good %s: %s:%d'):format(mark, path, block.line), function()
        assert(CHECKS[mark], 'an unknown mark')(block.code)
      end)
    end
  end
end)

describe('a link in the documents', function()
  for path in io.popen('ls *.md docs/*.md'):lines() do
    it('leads to a file: ' .. path, function()
      local folder = path:match('^(.*/)') or ''
      for link in io.open(path):read('*a'):gmatch('%]%(([^)%s]+)%)') do
        local target = link:gsub('#.*', '')
        if target ~= '' and not target:find('^%a+:') then
          local file = io.open(folder .. target)
          assert.is_truthy(file, link)
          file:close()
        end
      end
    end)
  end
end)
