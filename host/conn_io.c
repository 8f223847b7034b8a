// conn_io.c: reading and writing.
//
// The system call comes first. When it would block, the conn notes what is wanted and
// arms the poller; conn_report() does the rest when the event comes. A reader that wants
// data gets the bytes with the wake: the poller has received them already, and the task
// needs no second call.

#include "conn.h"
#include "misuse.h"

#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    MAX_BURST = 64,  // operations in a row that need not wait, before others get a turn
    MAX_PIECES = 64, // arguments of one write that are gathered without copying
};

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

static void report(Batch *batch, uint32_t token, bool value)
{
    lua_pushboolean(batch->L, value);
    lua_pushnil(batch->L);
    batch_add(batch, token);
}

static void report_read(Conn *c, Batch *batch)
{
    if (c->read.want != WANT_NOTHING) {
        bool fills = c->read.want == WANT_FILL;
        ssize_t n = receive(c, fills ? POLLER_SCRATCH : c->want_max);
        if (n == -EAGAIN) {
            return; // somebody else's event; this reader goes on waiting
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
        report(batch, c->socket.token, false);
    }
}

// A socket is nearly always writable, so that writing is disarmed as soon as it was
// reported.
static void report_write(Conn *c, Batch *batch)
{
    uint32_t token = c->socket.token + 1;
    if (c->write.want != WANT_NOTHING) {
        c->write.want = WANT_NOTHING;
        report(batch, token, true);
    }
    if (c->write.watched) {
        c->write.watched = false;
        report(batch, token, false);
    }
    socket_disarm(&c->socket, UV_WRITABLE);
}

void conn_report(Ready *ready, Batch *batch)
{
    Conn *c = (Conn *)socket_of(ready);
    uint8_t events = c->socket.events;
    c->socket.events = 0;
    if (events & UV_READABLE) {
        c->drained = false;
        report_read(c, batch);
    }
    if (events & UV_WRITABLE) {
        report_write(c, batch);
    }
}

static bool is_past(double deadline)
{
    return deadline != 0 && (double)uv_hrtime() * 1e-9 >= deadline;
}

static int push_timeout(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

// nil, nil, token, deadline: the caller is to park. The deadline is nil if there is none.
static int push_would_block(lua_State *L, Conn *c, uint32_t token, double deadline)
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

// nil, why, token, deadline: not now. "busy": another task is at it; "yield": it could go
// on, but others have waited long enough.
static int push_not_now(lua_State *L, Conn *c, uint32_t token, double deadline,
                        const char *why)
{
    push_would_block(L, c, token, deadline);
    lua_pushstring(L, why);
    lua_replace(L, -4);
    return 4;
}

static int block_read(lua_State *L, Conn *c, Want want)
{
    int err = socket_arm(&c->socket, UV_READABLE);
    if (err != 0) {
        return push_error(L, err);
    }
    c->read.want = (uint8_t)want;
    c->inbox.owned = true;
    return push_would_block(L, c, c->socket.token, c->read_deadline);
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
    if (is_past(c->read_deadline)) {
        return push_timeout(L);
    }
    if (c->inbox.owned) {
        return push_not_now(L, c, c->socket.token, c->read_deadline, "busy");
    }
    if (buffer_len(&c->inbox.bytes) > 0) {
        size_t n = buffer_len(&c->inbox.bytes);
        n = n < max ? n : max;
        lua_pushlstring(L, buffer_bytes(&c->inbox.bytes), n);
        buffer_consume(&c->inbox.bytes, n);
        return 1;
    }
    if (++c->burst > MAX_BURST) {
        return push_not_now(L, c, c->socket.token, c->read_deadline, "yield");
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
    if (is_past(c->read_deadline)) {
        return push_timeout(L);
    }
    if (!c->drained) {
        ssize_t n = c->eof ? 0 : receive(c, POLLER_SCRATCH);
        if (n != -EAGAIN) {
            return push_filled(L, c, n);
        }
    }
    return block_read(L, c, WANT_FILL);
}

// forget_read(), forget_write(): the wait ended in another way; its report must not come.
static int l_forget_read(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c != NULL) {
        c->read.want = WANT_NOTHING;
    }
    return 0;
}

static int l_forget_write(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c != NULL) {
        c->write.want = WANT_NOTHING;
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
    push_would_block(L, c, c->socket.token + 1, c->write_deadline);
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
    } else if (is_past(c->write_deadline)) {
        push_timeout(L);
    } else if (c->writing) {
        push_not_now(L, c, c->socket.token + 1, c->write_deadline, "busy");
        lua_pushinteger(L, 0);
        return 5;
    } else if (++c->burst > MAX_BURST) {
        push_not_now(L, c, c->socket.token + 1, c->write_deadline, "yield");
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

static const luaL_Reg methods[] = {
    {"try_read", l_try_read},         {"try_fill", l_try_fill},
    {"forget_read", l_forget_read},   {"forget_write", l_forget_write},
    {"watch_read", l_watch_read},     {"watch_write", l_watch_write},
    {"try_write", l_try_write},       {"write_rest", l_write_rest},
    {"disown_write", l_disown_write}, {NULL, NULL},
};

void conn_io_register(lua_State *L)
{
    conn_push_metatable(L);
    luaL_setfuncs(L, methods, 1);
}
