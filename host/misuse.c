// misuse.c: finds whose line an error is to be blamed on.
//
// luaL_argerror blames the function that called the C function, which is the library's
// own wrapper. A script's author wants the line in the script, however deep the library
// is.

#include "misuse.h"

#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

void push_blame(lua_State *L)
{
    lua_Debug ar;
    for (int level = 0; lua_getstack(L, level, &ar) != 0; level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0 &&
            strncmp(ar.source, LIBRARY_CHUNK, sizeof(LIBRARY_CHUNK) - 1) != 0) {
            lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

int misuse(lua_State *L, const char *format, ...)
{
    va_list args;
    push_blame(L);
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_concat(L, 2); // two strings: no metamethod is involved
    return lua_error(L);
}

const char *type_name(lua_State *L, int arg)
{
    return lua_isnone(L, arg) ? "no value" : luaL_typename(L, arg);
}

lua_Integer check_integer(lua_State *L, int arg, const char *what, lua_Integer min,
                          lua_Integer max)
{
    if (lua_type(L, arg) != LUA_TNUMBER) {
        return misuse(L, "%s must be a number, got %s", what, type_name(L, arg));
    }
    lua_Number n = lua_tonumber(L, arg);
    if (!(n >= (lua_Number)min && n <= (lua_Number)max) || n != floor(n)) {
        return misuse(L, "%s must be a whole number from %f to %f, got %f", what,
                      (lua_Number)min, (lua_Number)max, n);
    }
    return (lua_Integer)n;
}

static int l_blame(lua_State *L)
{
    push_blame(L);
    return 1;
}

void misuse_register(lua_State *L)
{
    lua_pushcfunction(L, l_blame);
    lua_setfield(L, -2, "blame");
}
