// conn_io.c: what happens to a conn when its event comes.
//
// The system call comes first. When it would block, the conn notes what is wanted and
// arms the poller; conn_report() does the rest when the event comes. A reader that wants
// data gets the bytes with the wake: the poller has received them already, and the task
// needs no second call.

#include "conn_io.h"

bool conn_is_past(double deadline)
{
    return deadline != 0 && (double)uv_hrtime() * 1e-9 >= deadline;
}

int conn_push_timeout(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

int conn_push_would_block(lua_State *L, Conn *c, uint32_t token, double deadline)
{
    c->burst = 0;
    if (c->timeout > 0) {
        double end = (double)uv_hrtime() * 1e-9 + (double)c->timeout;
        deadline = deadline == 0 || end < deadline ? end : deadline;
    }
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)token);
    if (deadline == 0) {
        lua_pushnil(L);
    } else {
        lua_pushnumber(L, deadline);
    }
    return 4;
}

int conn_push_not_now(lua_State *L, Conn *c, uint32_t token, double deadline,
                      const char *why)
{
    conn_push_would_block(L, c, token, deadline);
    lua_pushstring(L, why);
    lua_replace(L, -4);
    return 4;
}

void conn_report(Ready *ready, Batch *batch)
{
    Conn *c = (Conn *)socket_of(ready);
    uint8_t events = c->socket.events;
    c->socket.events = 0;
    if (events & UV_READABLE) {
        c->drained = false;
        conn_report_read(c, batch);
    }
    if (events & UV_WRITABLE) {
        conn_report_write(c, batch);
    }
}
