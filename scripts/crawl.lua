-- crawl.lua: follows the links of a site: so many pages at once, so long for each, so long in all.
--
--   lagoon scripts/crawl.lua [pages at once] [seconds in all]     4, and 5 seconds, if not given
--
-- The site is a small server of its own: it answers a page's number with the pages it links to.
-- A page that is a multiple of 10 never answers. The scope owns the tasks: when it is left,
-- whether all is done, the time is over, or one of them has failed, none of them is left.

local lagoon = require('lagoon')
local net, sync = lagoon.net, lagoon.sync

local at_once, seconds = tonumber(arg[1] or 4), tonumber(arg[2] or 5)

local function serve_page(conn)
  local n = tonumber((conn:read_line()))
  if n % 10 == 0 then
    conn:read() -- until the client gives up
  else
    conn:write(n < 20 and ('%d %d\n'):format(2 * n, 2 * n + 1) or '\n')
  end
end

local site = assert(net.listen('tcp', '127.0.0.1:0'))
lagoon.spawn(net.serve, site, serve_page)

local function fetch(page)
  return lagoon.scope(function(s)
    local conn = assert(net.dial('tcp', site:addr()))
    s:defer(function()
      conn:close()
    end)
    conn:write(page, '\n')
    return assert(conn:read_line())
  end)
end

local pages, dead = 0, 0
local places = sync.semaphore(at_once)

local _, why = lagoon.scope(function(s)
  local function visit(page)
    local links = places:with(lagoon.timeout, 0.5, fetch, page)
    pages, dead = pages + 1, dead + (links and 0 or 1)
    for link in (links or ''):gmatch('%d+') do
      s:spawn(visit, link)
    end
  end
  visit(1)
end, { timeout = seconds })

print(('%d pages, %d of them dead%s'):format(pages, dead, why and ': ' .. why or ''))
site:close()
