// conn_read.c: reading.

#include "conn_io.h"
#include "misuse.h"

#include <errno.h>
#include <lauxlib.h>
#include <sys/socket.h>

// Receives up to max bytes into the scratch buffer. > 0 bytes, 0 at the end of the
// stream, or -errno.
static ssize_t receive(Conn *c, size_t max)
{
    if (max > POLLER_SCRATCH) {
        max = POLLER_SCRATCH;
    }
    ssize_t n;
    do {
        n = recv(c->socket.fd, socket_worker(&c->socket)->poller.scratch, max, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        c->drained = errno == EAGAIN;
        return -errno;
    }
    c->eof = n == 0;
    c->drained = (size_t)n < max && n > 0;
    return n;
}

// Pushes what a read returns: the bytes, or nil, code. Received bytes are in scratch.
static int push_received(lua_State *L, Conn *c, ssize_t n)
{
    if (n > 0) {
        lua_pushlstring(L, socket_worker(&c->socket)->poller.scratch, (size_t)n);
        return 1;
    }
    if (n == 0) {
        lua_pushnil(L);
        lua_pushliteral(L, "eof");
        return 2;
    }
    return push_error(L, (int)n);
}

// The same for a fill: true, or nil, code.
static int push_filled(lua_State *L, Conn *c, ssize_t n)
{
    if (n <= 0) {
        return push_received(L, c, n);
    }
    if (!buffer_append(&c->inbox.bytes, socket_worker(&c->socket)->poller.scratch,
                       (size_t)n)) {
        return push_error(L, UV_ENOMEM);
    }
    lua_pushboolean(L, true);
    return 1;
}

void conn_report_read(Conn *c, Batch *batch)
{
    if (c->read.want != WANT_NOTHING) {
        bool fills = c->read.want == WANT_FILL;
        ssize_t n = receive(c, fills ? POLLER_SCRATCH : c->want_max);
        if (n == -EAGAIN) {
            // This reader goes on waiting. Libuv disarms what had an error to report.
            socket_arm(&c->socket, UV_READABLE);
            return;
        }
        c->read.want = WANT_NOTHING;
        if (!fills) {
            c->inbox.owned = false; // its operation ends here
        }
        if ((fills ? push_filled : push_received)(batch->L, c, n) == 1) {
            lua_pushnil(batch->L);
        }
        batch_add(batch, c->socket.token);
    } else if (!c->read.watched) {
        socket_disarm(&c->socket, UV_READABLE);
    } else {
        c->read.watched = false;
        batch_add_flag(batch, c->socket.token, false);
    }
}

static int block_read(lua_State *L, Conn *c, Want want)
{
    int err = socket_arm(&c->socket, UV_READABLE);
    if (err != 0) {
        return push_error(L, err);
    }
    c->read.want = (uint8_t)want;
    c->inbox.owned = true;
    return conn_push_would_block(L, c, c->socket.token, c->read_deadline);
}

// try_read(max) -> bytes | nil, code | nil, nil, token, deadline (the caller owns the
// inbox and parks until the report brings the result) | nil, "busy" | "yield", token,
// deadline.
static int l_try_read(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    size_t max = POLLER_SCRATCH;
    if (!lua_isnoneornil(L, 2)) {
        max = (size_t)check_integer(L, 2, "max", 1, (lua_Integer)1 << 52);
        max = max < POLLER_SCRATCH ? max : POLLER_SCRATCH;
    }
    if (c == NULL) {
        return push_closed(L);
    }
    if (conn_is_past(c->read_deadline)) {
        return conn_push_timeout(L);
    }
    if (c->inbox.owned) {
        return conn_push_not_now(L, c, c->socket.token, c->read_deadline, "busy");
    }
    if (buffer_len(&c->inbox.bytes) > 0) {
        size_t n = buffer_len(&c->inbox.bytes);
        n = n < max ? n : max;
        lua_pushlstring(L, buffer_bytes(&c->inbox.bytes), n);
        buffer_consume(&c->inbox.bytes, n);
        return 1;
    }
    if (++c->burst > CONN_MAX_BURST) {
        return conn_push_not_now(L, c, c->socket.token, c->read_deadline, "yield");
    }
    if (!c->drained) {
        ssize_t n = receive(c, max);
        if (n != -EAGAIN) {
            return push_received(L, c, n);
        }
    }
    c->want_max = (uint32_t)max;
    return block_read(L, c, WANT_DATA);
}

// try_fill() -> true | nil, code | nil, nil, token, deadline. For the owner of the inbox:
// the next bytes go into it.
static int l_try_fill(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c == NULL) {
        return push_closed(L);
    }
    if (conn_is_past(c->read_deadline)) {
        return conn_push_timeout(L);
    }
    if (!c->drained) {
        ssize_t n = c->eof ? 0 : receive(c, POLLER_SCRATCH);
        if (n != -EAGAIN) {
            return push_filled(L, c, n);
        }
    }
    return block_read(L, c, WANT_FILL);
}

// forget_read(): the wait ended in another way; its report must not come.
static int l_forget_read(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c != NULL) {
        c->read.want = WANT_NOTHING;
    }
    return 0;
}

// watch_read() -> true: there is something to read (bytes, the end, an error), or an
// operation would not block; else nil, token and the next event reports `false`.
static int l_watch_read(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c == NULL || c->eof || (buffer_len(&c->inbox.bytes) > 0 && !c->inbox.owned)) {
        lua_pushboolean(L, true);
        return 1;
    }
    if (!c->drained && c->read.want == WANT_NOTHING && !c->inbox.owned) {
        ssize_t n =
            recv(c->socket.fd, socket_worker(&c->socket)->poller.scratch, 1, MSG_PEEK);
        if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
            lua_pushboolean(L, true);
            return 1;
        }
    }
    int err = socket_arm(&c->socket, UV_READABLE);
    if (err != 0) {
        return push_error(L, err);
    }
    c->read.watched = true;
    lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)c->socket.token);
    return 2;
}

static const luaL_Reg methods[] = {
    {"try_read", l_try_read},
    {"try_fill", l_try_fill},
    {"forget_read", l_forget_read},
    {"watch_read", l_watch_read},
    {NULL, NULL},
};

void conn_read_register(lua_State *L)
{
    conn_push_metatable(L);
    luaL_setfuncs(L, methods, 1);
}
