// site.h: which line of a script called the library, cheaply enough to ask at every
// spawn.
#pragma once

#include <lua.h>

// Adds host.site() to the table on top of the stack.
void site_register(lua_State *L);
