--- test.lua: a helper for busted: what a test leaves behind, and one that hangs, fails.
--
-- lagoon test --helper=lagoon.test, or helper = 'lagoon.test' in .busted: loading it is all.

local globals = require('lagoon.globals')

local MODULE = 'busted' -- the script's, not one of ours
local busted = globals.require(MODULE)
require('lagoon.test.limit').install(busted)
require('lagoon.test.leaks').install(busted)

return {}
