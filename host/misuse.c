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

bool find_caller(lua_State *L, int level, lua_Debug *ar)
{
    for (; lua_getstack(L, level, ar) != 0; level++) {
        lua_getinfo(L, "Sl", ar);
        if (ar->currentline > 0 &&
            strncmp(ar->source, LIBRARY_CHUNK, sizeof(LIBRARY_CHUNK) - 1) != 0) {
            return true;
        }
    }
    return false;
}

void push_blame(lua_State *L, lua_State *of)
{
    lua_Debug ar;
    if (find_caller(of, 0, &ar)) {
        lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    } else {
        lua_pushliteral(L, "");
    }
}

void *check_userdata(lua_State *L, int arg, int metatable, const char *what)
{
    if (lua_getmetatable(L, arg) != 0) {
        bool same = lua_rawequal(L, -1, metatable) != 0;
        lua_pop(L, 1);
        if (same) {
            return lua_touserdata(L, arg);
        }
    }
    misuse(L, "%s expected, got %s (call its methods with a colon)", what,
           type_name(L, arg));
    return NULL;
}

int misuse(lua_State *L, const char *format, ...)
{
    va_list args;
    push_blame(L, L);
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

// blame(coroutine?) -> "file:line: ", of the running stack or of a coroutine's.
static int l_blame(lua_State *L)
{
    lua_State *of = lua_tothread(L, 1);
    push_blame(L, of == NULL ? L : of);
    return 1;
}

void misuse_register(lua_State *L)
{
    lua_pushcfunction(L, l_blame);
    lua_setfield(L, -2, "blame");
}
