--- docs_spec.lua: the documents' examples run, and print what the documents say.
--
-- Every block that begins with "```lua" is run as a script of its own, after the line that the
-- documents ask the reader to imagine. What it prints must be its "--> " comments, in
-- order; spaces at the end of a line do not count. "```lua fragment" marks what cannot run by
-- itself: that must only compile.

local support = require('spec.support')

local PRELUDE = "local lagoon = require('lagoon') local net = lagoon.net "
local LIMIT = 8 -- seconds

-- The blocks of a file: { line, is_fragment, code }.
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
      block.code = PRELUDE .. table.concat(block, '\n') .. '\n'
      blocks[#blocks + 1] = block.is_lua and block or nil
      block = nil
    else
      block = { line = n, is_lua = info:match('^lua%f[%W]'), is_fragment = info:match('fragment') }
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

local function run(code)
  local path = os.tmpname()
  local file = assert(io.open(path, 'w'))
  file:write(code)
  file:close()
  local command = ('timeout %d %s %s'):format(LIMIT, support.quote(support.lagoon_path), path)
  local output, status = support.shell(command)
  os.remove(path)
  return trim(output:gsub(path, 'example.lua')), status
end

describe('an example', function()
  for path in io.popen('ls README.md docs/*.md'):lines() do
    for _, block in ipairs(blocks_of(path)) do
      local place = ('%s:%d'):format(path, block.line)
      if block.is_fragment then
        it('compiles: ' .. place, function()
          assert(loadstring(block.code, '=' .. place))
        end)
      else
        it('does what it says: ' .. place, function()
          local output, status = run(block.code)
          assert.same({ expected(block.code), 0 }, { output, status })
        end)
      end
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
