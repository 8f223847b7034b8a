// result.c: nil, code.

#include "result.h"

#include <uv.h>

int push_error(lua_State *L, int err)
{
    lua_pushnil(L);
    lua_pushstring(L, uv_err_name(err));
    return 2;
}

int push_closed(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    return 2;
}
