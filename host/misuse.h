// misuse.h: errors that are the script's fault, blamed on the script's own line.
#pragma once

#include <lua.h>
#include <stdbool.h>

// Chunk names of the built-in library begin so; errors are never blamed on them.
#define LIBRARY_CHUNK "@[lagoon]/"

// The innermost Lua function of a stack, from that level outward, that is not the
// library's: fills source, short_src and currentline of `ar`; false if there is none.
bool find_caller(lua_State *L, int level, lua_Debug *ar);

// Pushes on L "file:line: " of the innermost such function on the stack of `of`, or "".
void push_blame(lua_State *L, lua_State *of);

// The block of a userdata at `arg` that has the metatable at index `metatable`; misuse,
// naming `what` was expected, if it is anything else. luaL_checkudata() would look the
// metatable up by name at every call.
void *check_userdata(lua_State *L, int arg, int metatable, const char *what);

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
