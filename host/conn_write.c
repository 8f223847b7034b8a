// conn_write.c: writing.

#include "conn_io.h"

#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    MAX_PIECES = 64
}; // arguments of one write that are gathered without copying

// A socket is nearly always writable, so that writing is disarmed as soon as it was
// reported.
void conn_report_write(Conn *c, Batch *batch)
{
    uint32_t token = c->socket.token + 1;
    if (c->write.want != WANT_NOTHING) {
        c->write.want = WANT_NOTHING;
        batch_add_flag(batch, token, true);
    }
    if (c->write.watched) {
        c->write.watched = false;
        batch_add_flag(batch, token, false);
    }
    socket_disarm(&c->socket, UV_WRITABLE);
}

// The arguments from `first` on as pieces of one write; their count, or -1 if one is
// neither a string nor a number or there are too many (lua/lagoon/net/gather.lua joins
// those).
static int gather(lua_State *L, int first, struct iovec *pieces, size_t *total)
{
    int n = lua_gettop(L) - first + 1;
    if (n > MAX_PIECES) {
        return -1;
    }
    *total = 0;
    for (int i = 0; i < n; i++) {
        int type = lua_type(L, first + i);
        if (type != LUA_TSTRING && type != LUA_TNUMBER) {
            return -1;
        }
        size_t length;
        pieces[i].iov_base = (void *)lua_tolstring(L, first + i, &length);
        pieces[i].iov_len = length;
        *total += length;
    }
    return n;
}

// Sends the pieces; bytes sent or -errno. MSG_NOSIGNAL: EPIPE is an error, never a
// signal.
static ssize_t send_pieces(Conn *c, struct iovec *pieces, int n)
{
    ssize_t sent;
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)n};
    do {
        sent = n == 1 ? send(c->socket.fd, pieces[0].iov_base, pieces[0].iov_len,
                             MSG_NOSIGNAL)
                      : sendmsg(c->socket.fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

static int block_write(lua_State *L, Conn *c, size_t sent)
{
    int err = socket_arm(&c->socket, UV_WRITABLE);
    if (err != 0) {
        c->writing = false;
        push_error(L, err);
        lua_pushnumber(L, (lua_Number)sent);
        return 3;
    }
    c->write.want = WANT_SPACE;
    c->writing = true;
    conn_push_would_block(L, c, c->socket.token + 1, c->write_deadline);
    lua_pushnumber(L, (lua_Number)sent);
    return 5;
}

// try_write(...) -> n | nil, code, n | nil, nil, token, deadline, n (the caller owns the
// direction, parks, and goes on by write_rest()) | nil, "busy" | "yield", token,
// deadline, 0 | nil, "gather": the arguments have to be joined first.
static int l_try_write(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    struct iovec pieces[MAX_PIECES];
    size_t total = 0;
    int n = gather(L, 2, pieces, &total);
    if (n < 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "gather");
        return 2;
    }
    ssize_t sent = 0;
    if (c == NULL) {
        push_closed(L);
    } else if (conn_is_past(c->write_deadline)) {
        conn_push_timeout(L);
    } else if (c->writing) {
        conn_push_not_now(L, c, c->socket.token + 1, c->write_deadline, "busy");
        lua_pushinteger(L, 0);
        return 5;
    } else if (++c->burst > CONN_MAX_BURST) {
        conn_push_not_now(L, c, c->socket.token + 1, c->write_deadline, "yield");
        lua_pushinteger(L, 0);
        return 5;
    } else {
        sent = total == 0 ? 0 : send_pieces(c, pieces, n);
        if (sent == (ssize_t)total) {
            lua_pushnumber(L, (lua_Number)sent);
            return 1;
        }
        if (sent >= 0 || sent == -EAGAIN) {
            return block_write(L, c, sent < 0 ? 0 : (size_t)sent);
        }
        push_error(L, (int)sent);
    }
    lua_pushinteger(L, 0);
    return 3;
}

// write_rest(bytes, offset) -> offset, as far as the bytes have been sent by now (all of
// them: the direction is free again) | nil, code, offset | nil, nil, token, deadline,
// offset. For the owner of the direction.
static int l_write_rest(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    size_t length;
    const char *bytes = luaL_checklstring(L, 2, &length);
    size_t offset = (size_t)luaL_checknumber(L, 3);
    if (c == NULL) {
        push_closed(L);
        lua_pushvalue(L, 3);
        return 3;
    }
    struct iovec piece = {(void *)(bytes + offset), length - offset};
    ssize_t sent = length == offset ? 0 : send_pieces(c, &piece, 1);
    if (sent == -EAGAIN || (sent >= 0 && offset + (size_t)sent < length)) {
        return block_write(L, c, offset + (sent < 0 ? 0 : (size_t)sent));
    }
    c->writing = false;
    if (sent < 0) {
        push_error(L, (int)sent);
        lua_pushvalue(L, 3);
        return 3;
    }
    lua_pushnumber(L, (lua_Number)length);
    return 1;
}

// disown_write(): the owner gives up its write.
static int l_disown_write(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c != NULL) {
        c->writing = false;
    }
    return 0;
}

// forget_write(): the wait ended in another way; its report must not come.
static int l_forget_write(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c != NULL) {
        c->write.want = WANT_NOTHING;
    }
    return 0;
}

// watch_write() -> true: there is room to write, or an error to be told; else nil, token
// and the next event reports `false`.
static int l_watch_write(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    struct pollfd p = {.fd = c == NULL ? -1 : c->socket.fd, .events = POLLOUT};
    if (c == NULL || poll(&p, 1, 0) > 0) {
        lua_pushboolean(L, true);
        return 1;
    }
    int err = socket_arm(&c->socket, UV_WRITABLE);
    if (err != 0) {
        return push_error(L, err);
    }
    c->write.watched = true;
    lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)c->socket.token + 1);
    return 2;
}

static const luaL_Reg methods[] = {
    {"try_write", l_try_write},       {"write_rest", l_write_rest},
    {"disown_write", l_disown_write}, {"forget_write", l_forget_write},
    {"watch_write", l_watch_write},   {NULL, NULL},
};

void conn_write_register(lua_State *L)
{
    conn_push_metatable(L);
    luaL_setfuncs(L, methods, 1);
}
