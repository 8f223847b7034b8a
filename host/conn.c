// conn.c: the life of a conn.
//
// Ownership. A Conn belongs to the loop from its first would-block until on_close(), see
// socket.h. Lua holds a box, a userdata of one pointer. close() and __gc both empty the
// box; the second to come finds it empty.
//
//     Lua ──▶ box ──▶ Conn ◀── poll handle ── loop

#include "conn_io.h"
#include "misuse.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CONN_TYPE "lagoon.conn"

void conn_push_metatable(lua_State *L)
{
    luaL_newmetatable(L, CONN_TYPE);
}

Conn **conn_push_box(lua_State *L)
{
    Conn **box = lua_newuserdata(L, sizeof(Conn *));
    *box = NULL;
    luaL_getmetatable(L, CONN_TYPE);
    lua_setmetatable(L, -2);
    return box;
}

int conn_open(Conn **box, Worker *worker, int fd)
{
    Conn *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return -ENOMEM;
    }
    int err = socket_init(&c->socket, worker, fd, conn_report);
    if (err != 0) {
        free(c);
        return err;
    }
    worker->conns++;
    *box = c;
    return 0;
}

static void conn_close(Conn *c)
{
    socket_worker(&c->socket)->conns--;
    buffer_free(&c->inbox.bytes);
    socket_close(&c->socket);
}

static Conn **check_box(lua_State *L, int arg)
{
    return check_userdata(L, arg, lua_upvalueindex(1), "conn");
}

Conn *check_conn(lua_State *L, int arg)
{
    return *check_box(L, arg);
}

// close() -> the two tokens, for their waiters to be told; nothing if it is closed.
static int l_close(lua_State *L)
{
    Conn **box = check_box(L, 1);
    if (*box == NULL) {
        return 0;
    }
    lua_Integer token = (lua_Integer)(*box)->socket.token;
    conn_close(*box);
    *box = NULL;
    lua_pushinteger(L, token);
    lua_pushinteger(L, token + 1);
    return 2;
}

static int l_gc(lua_State *L)
{
    Conn **box = lua_touserdata(L, 1);
    if (*box != NULL) {
        socket_worker(&(*box)->socket)->collected++;
        conn_close(*box);
        *box = NULL;
    }
    return 0;
}

static int l_is_closed(lua_State *L)
{
    lua_pushboolean(L, check_conn(L, 1) == NULL);
    return 1;
}

// tokens() -> the one for reading and the one for writing; nothing if it is closed.
static int l_tokens(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c == NULL) {
        return 0;
    }
    lua_pushinteger(L, (lua_Integer)c->socket.token);
    lua_pushinteger(L, (lua_Integer)c->socket.token + 1);
    return 2;
}

static int l_close_write(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c == NULL) {
        return push_closed(L);
    }
    if (shutdown(c->socket.fd, SHUT_WR) != 0) {
        return push_error(L, -errno);
    }
    lua_pushboolean(L, true);
    return 1;
}

static Inbox *find_inbox(lua_State *L)
{
    // The inbox functions have the metatable one upvalue later than the conn functions.
    Conn *c = *(Conn **)check_userdata(L, 1, lua_upvalueindex(2), "conn");
    return c == NULL ? NULL : &c->inbox;
}

static const luaL_Reg methods[] = {
    {"host_close", l_close},    {"tokens", l_tokens}, {"host_close_write", l_close_write},
    {"is_closed", l_is_closed}, {NULL, NULL},
};

void conn_register(lua_State *L)
{
    conn_push_metatable(L);
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");

    lua_newtable(L);
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, methods, 1);
    conn_read_register(L);
    conn_write_register(L);
    conn_options_register(L);
    lua_pushvalue(L, -2);
    inbox_register(L, find_inbox, 1);

    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_setfield(L, -3, "conn");
    lua_setfield(L, -2, "conn_meta");
}
