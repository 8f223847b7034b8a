--- net.lua: `lagoon.net`: listeners, conns, and what makes them.

local listen = require('lagoon.net.listener')
local dial = require('lagoon.net.dial')
local serve = require('lagoon.net.serve')
local pipe = require('lagoon.net.pipe')

---@class lagoon.net
return {
  listen = listen,
  dial = dial,
  serve = serve,
  pipe = pipe,
}
