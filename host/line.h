// line.h: line editing for the REPL, by libedit.
#pragma once

#include <lua.h>

// Adds host.line_begin(prompt, history), host.line_char() and host.line_end().
void line_register(lua_State *L);
