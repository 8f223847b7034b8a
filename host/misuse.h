// misuse.h: errors that are the script's fault, blamed on the script's own line.
#pragma once

#include <lua.h>

// Chunk names of the built-in library begin so; errors are never blamed on them.
#define LIBRARY_CHUNK "@[lagoon]/"

// Pushes "file:line: " of the innermost Lua function that is not the library's, or "".
void push_blame(lua_State *L);

// Raises "file:line: " and the formatted message (as lua_pushfstring). Does not return;
// the int is for `return misuse(...)`.
int misuse(lua_State *L, const char *format, ...);

// Argument `arg` as an integer in [min, max]; misuse, naming `what`, if it is not.
lua_Integer check_integer(lua_State *L, int arg, const char *what, lua_Integer min,
                          lua_Integer max);

// The name of the type of argument `arg` for a message: "no value", "nil", "table", ...
const char *type_name(lua_State *L, int arg);

// Adds host.blame().
void misuse_register(lua_State *L);
