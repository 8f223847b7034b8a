// watch.c: watches a script's own descriptor.
//
// It is watched by a duplicate: the poller knows every descriptor once, and the script's
// may be in it already, or be closed at any moment.

#include "watch.h"
#include "result.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define WATCH_TYPE "lagoon.watch"

static void report(Ready *ready, Batch *batch)
{
    Socket *s = socket_of(ready);
    s->events = 0;
    socket_disarm(s, UV_READABLE | UV_WRITABLE);
    batch_add_flag(batch, s->token, false);
}

static bool wants_to_write(lua_State *L, int arg)
{
    return luaL_checkstring(L, arg)[0] == 'w';
}

// watch_fd(fd, "r" | "w") -> box, token | nil, code. One event reports `false`.
static int l_watch_fd(lua_State *L)
{
    Worker *worker = lua_touserdata(L, lua_upvalueindex(1));
    int fd = (int)luaL_checkinteger(L, 1);
    int events = wants_to_write(L, 2) ? UV_WRITABLE : UV_READABLE;
    Socket **box = lua_newuserdata(L, sizeof(Socket *));
    *box = NULL;
    luaL_getmetatable(L, WATCH_TYPE);
    lua_setmetatable(L, -2);

    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        return push_error(L, -errno);
    }
    Socket *s = calloc(1, sizeof(*s));
    if (s == NULL || socket_init(s, worker, copy, report) != 0) {
        free(s);
        close(copy);
        return push_error(L, UV_ENOMEM);
    }
    *box = s;
    // libuv makes what it watches non-blocking, and the duplicate shares that with the
    // script's descriptor: a tty of the shell must not stay so.
    int flags = fcntl(copy, F_GETFL);
    int err = socket_arm(s, events);
    if (flags >= 0) {
        fcntl(copy, F_SETFL, flags);
    }
    if (err != 0) {
        socket_close(s);
        *box = NULL;
        return push_error(L, err);
    }
    lua_pushinteger(L, (lua_Integer)s->token);
    return 2;
}

// unwatch_fd(box), and its __gc. Idempotent.
static int l_unwatch_fd(lua_State *L)
{
    Socket **box = luaL_checkudata(L, 1, WATCH_TYPE);
    if (*box != NULL) {
        socket_close(*box);
        *box = NULL;
    }
    return 0;
}

// fd_ready(fd, "r" | "w") -> boolean | nil, code: poll(2), without waiting.
static int l_fd_ready(lua_State *L)
{
    struct pollfd p = {.fd = (int)luaL_checkinteger(L, 1)};
    p.events = wants_to_write(L, 2) ? POLLOUT : POLLIN;
    int n;
    do {
        n = poll(&p, 1, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 || (p.revents & POLLNVAL) != 0) {
        return push_error(L, n < 0 ? -errno : UV_EBADF);
    }
    lua_pushboolean(L, n > 0);
    return 1;
}

void watch_register(lua_State *L, Worker *worker)
{
    luaL_newmetatable(L, WATCH_TYPE);
    lua_pushcfunction(L, l_unwatch_fd);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushlightuserdata(L, worker);
    lua_pushcclosure(L, l_watch_fd, 1);
    lua_setfield(L, -2, "watch_fd");
    lua_pushcfunction(L, l_unwatch_fd);
    lua_setfield(L, -2, "unwatch_fd");
    lua_pushcfunction(L, l_fd_ready);
    lua_setfield(L, -2, "fd_ready");
}
