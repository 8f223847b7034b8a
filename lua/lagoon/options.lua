--- options.lua: what the words of the command line say.

local find, sub, match, format = string.find, string.sub, string.match, string.format
local tonumber = tonumber

-- Options without a value, and the fields that they set.
local FLAGS = {
  ['-i'] = 'interactive',
  ['-v'] = 'version',
  ['--version'] = 'version',
  ['-h'] = 'help',
  ['--help'] = 'help',
}

-- Seconds more than 0, or `off`.
local function read_seconds(text)
  local seconds = tonumber(text)
  if text == 'off' then
    return false
  elseif seconds and seconds > 0 then
    return seconds
  end
  return nil, 'seconds or off'
end

local UNITS = { [''] = 1, K = 2 ^ 10, M = 2 ^ 20, G = 2 ^ 30 }
local LEAST_MEMORY, MOST_MEMORY = 2 ^ 20, 2 ^ 52

-- Bytes, with a unit of powers of 1024: "64M"; or `off`.
local function read_bytes(text)
  if text == 'off' then
    return false
  end
  local digits, unit = match(text, '^(%d+)([KMG]?)$')
  local bytes = digits and tonumber(digits) * UNITS[unit]
  if bytes and bytes >= LEAST_MEMORY and bytes <= MOST_MEMORY then
    return bytes
  end
  return nil, 'bytes such as 64M, 1M at least, or off'
end

-- Options that set a limit: its name, and what reads the value.
local LIMITS = {
  ['--max-memory'] = { 'memory', read_bytes },
  ['--max-run'] = { 'run', read_seconds },
  ['--max-stuck'] = { 'stuck', read_seconds },
  ['--report'] = { 'report', read_seconds },
}

-- The value of the option at word i, which may stand in the word itself, and how many words that
-- is; nil and a message.
local function value_of(argv, i, name, inside)
  if inside and inside ~= '' then
    return inside, 1
  elseif not argv[i + 1] or (find(name, '^%-%-') and find(argv[i + 1], '^%-.')) then
    return nil, format("option '%s' needs an argument", name)
  end
  return argv[i + 1], 2
end

local function read_step(options, argv, i)
  local letter, inside = match(argv[i], '^%-([el])(.*)$')
  local value, words = value_of(argv, i, argv[i], inside)
  if not value then
    return nil, words
  end
  options.steps[#options.steps + 1] = { kind = letter, value = value }
  return words
end

-- An option with a value that stands behind it, or behind "=".
local function read_valued(options, argv, i)
  local name, inside = match(argv[i], '^(%-%-[%w-]+)=?(.*)$')
  local limit = LIMITS[name]
  if not limit and name ~= '--profile' then
    return nil, format("unknown option '%s'", argv[i])
  end
  local text, words = value_of(argv, i, name, inside)
  if not text then
    return nil, words
  elseif name == '--profile' then
    options.profile = text
    return words
  end
  local value, what = limit[2](text)
  if value == nil then
    return nil, format("option '%s' needs %s, got '%s'", name, what, text)
  end
  options.limits[limit[1]] = value
  return words
end

-- Reads the option at word i: how many words it is; nil and a message.
local function read_option(options, argv, i)
  local word = argv[i]
  if FLAGS[word] then
    options[FLAGS[word]] = true
    return 1
  elseif find(word, '^%-[el]') then
    return read_step(options, argv, i)
  elseif find(word, '^%-%-') then
    return read_valued(options, argv, i)
  end
  return nil, format("unknown option '%s'", word)
end

--- Reads the words argv[1], argv[2], ...: a table with the fields of FLAGS, and
--   steps    a list of what -e and -l want, as { kind, value }
--   limits   for limits.lua
--   profile  the name of a file, or nil
--   script   the number of the word that is the script
-- nil and a message where they make no sense.
---@param argv string[]
---@return table? options
---@return string? problem
return function(argv)
  local options = { steps = {}, limits = {} }
  local i = 1
  while argv[i] and argv[i] ~= '-' and sub(argv[i], 1, 1) == '-' do
    if argv[i] == '--' then
      i = i + 1
      break
    end
    local words, problem = read_option(options, argv, i)
    if not words then
      return nil, problem
    end
    i = i + words
  end
  options.script = i
  return options
end
