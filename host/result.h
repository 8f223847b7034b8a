// result.h: how a host function says no: nil, code (DESIGN: expected errors).
#pragma once

#include <lua.h>

// Pushes nil and the name of an error ("ECONNRESET") and returns 2. err is -errno, or
// libuv's.
int push_error(lua_State *L, int err);

// The same for "closed".
int push_closed(lua_State *L);
