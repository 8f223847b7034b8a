--- flame.lua: a flame graph of folded stacks, as an SVG file that needs nothing else.
--
-- A box is a frame: as wide as the share of the samples in which it was on the stack, and above
-- who called it. Boxes that stand side by side are in the order of their names, not of time. The
-- whole text of a box is its tooltip.

local gmatch, gsub, sub, format = string.gmatch, string.gsub, string.sub, string.format
local byte, floor, tonumber, pairs = string.byte, math.floor, tonumber, pairs
local concat, sort = table.concat, table.sort

local WIDTH, HEIGHT = 1200, 17 -- pixels: of the picture, and of a box
local MARGIN, TITLE = 10, 40
local LETTER = 6.6 -- pixels, on average
local NARROWEST = 0.3 -- pixels of a box that is still drawn

local function new_node(name)
  return { name = name, count = 0, children = {} }
end

-- The stacks as a tree, whose root is all samples.
local function read(folded)
  local root = new_node('all')
  for stack, count in gmatch(folded, '([^\n]+) (%d+)\n') do
    count = tonumber(count)
    local node = root
    node.count = node.count + count
    for name in gmatch(stack, '[^;]+') do
      local child = node.children[name] or new_node(name)
      node.children[name] = child
      child.count = child.count + count
      node = child
    end
  end
  return root
end

local function depth_of(node)
  local deepest = 0
  for _, child in pairs(node.children) do
    local depth = depth_of(child)
    deepest = depth > deepest and depth or deepest
  end
  return deepest + 1
end

local ENTITIES = { ['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;', ['"'] = '&quot;' }

local function escape(text)
  text = gsub(text, '[%z\1-\8\11\12\14-\31]', '?') -- what XML has no way to say
  return (gsub(text, '[&<>"]', ENTITIES))
end

-- A warm color, the same for the same name.
local function color_of(name)
  local hash = 0
  for i = 1, #name do
    hash = (hash * 31 + byte(name, i)) % 4096
  end
  return format('rgb(%d,%d,%d)', 205 + hash % 50, 80 + floor(hash / 50) % 130, hash % 60)
end

local function sorted_children(node)
  local list = {}
  for _, child in pairs(node.children) do
    list[#list + 1] = child
  end
  sort(list, function(a, b)
    return a.name < b.name
  end)
  return list
end

local function draw(out, node, total, x, level, bottom)
  local width = node.count / total * (WIDTH - 2 * MARGIN)
  if width < NARROWEST then
    return
  end
  local y = bottom - level * HEIGHT
  local letters = floor((width - 6) / LETTER)
  local label = letters >= 3 and sub(node.name, 1, letters) or ''
  out[#out + 1] = format(
    '<g><title>%s: %d samples, %.1f %%</title><rect x="%.1f" y="%d" width="%.1f" height="%d"'
      .. ' fill="%s"/><text x="%.1f" y="%d">%s</text></g>',
    escape(node.name), node.count, node.count / total * 100,
    x, y, width, HEIGHT - 1, color_of(node.name), x + 3, y + 12, escape(label)
  )
  for _, child in pairs(sorted_children(node)) do
    draw(out, child, total, x, level + 1, bottom)
    x = x + child.count / total * (WIDTH - 2 * MARGIN)
  end
end

--- Draws folded stacks: lines of frames with ";" between them, a space, and a count.
---@param folded string
---@return string svg
return function(folded)
  local root = read(folded)
  local bottom = TITLE + depth_of(root) * HEIGHT
  local out = {
    format(
      '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d"'
        .. ' font-family="monospace" font-size="11">',
      WIDTH, bottom + MARGIN, WIDTH, bottom + MARGIN
    ),
    '<style>rect:hover { stroke: black }</style>',
    '<rect width="100%" height="100%" fill="#fffbf0"/>',
    format('<text x="%d" y="24" font-size="15">%d samples</text>', MARGIN, root.count),
  }
  if root.count > 0 then
    draw(out, root, root.count, MARGIN, 1, bottom)
  end
  out[#out + 1] = '</svg>\n'
  return concat(out, '\n')
end
