// listener.c: accepting connections.
//
// accept() returns at once: a new conn; or nil, nil, token when there is none; or nil,
// code. We accept over a poll handle of our own: libuv's accept loop spins for ever on a
// persistent ENOMEM, and its answer to EMFILE drops clients without telling anybody.
//
// EMFILE. The worker keeps one descriptor in reserve. When a client cannot be accepted
// for want of descriptors, the reserve is given up, the client accepted and closed, and
// the reserve taken back: the client learns at once instead of hanging in the backlog,
// and the socket does not stay readable, which would make the poller spin.

#include "listener.h"
#include "address.h"
#include "conn.h"
#include "misuse.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENER_TYPE "lagoon.listener"

typedef struct Listener {
    Socket socket; // first: socket_close() frees the Listener
    bool wanted;   // somebody accepts
    bool watched;  // somebody selects on it
    dev_t device;  // of the socket file to remove on close; inode 0 if there is none
    ino_t inode;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
} Listener;

static Listener **check_box(lua_State *L)
{
    return check_userdata(L, 1, lua_upvalueindex(1), "listener");
}

static void report(Ready *ready, Batch *batch)
{
    Listener *l = (Listener *)socket_of(ready);
    l->socket.events = 0;
    if (!l->wanted && !l->watched) {
        socket_disarm(&l->socket, UV_READABLE);
        return;
    }
    l->wanted = l->watched = false;
    batch_add_flag(batch, l->socket.token, true);
}

// Removes the socket file if it is still ours: another server may have put its own there.
static void remove_path(const Listener *l)
{
    struct stat now;
    if (l->inode != 0 && stat(l->path, &now) == 0 && now.st_ino == l->inode &&
        now.st_dev == l->device) {
        unlink(l->path);
    }
}

static void listener_close(Listener *l)
{
    socket_worker(&l->socket)->listeners--;
    remove_path(l);
    socket_close(&l->socket);
}

// Options of accepted conns are inherited from the listening socket: one call here
// instead of one for each conn. Not an error where they do not exist (unix sockets).
static void set_inherited_options(int fd)
{
    int on = 1, seconds = 15;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
}

typedef struct ListenOptions {
    int backlog;
    bool reuse_port, dual_stack;
    int mode; // of a socket file; -1 for what the umask says
} ListenOptions;

// A listening, non-blocking descriptor; or -errno.
static int open_listening(const Address *a, const ListenOptions *options)
{
    int family = a->storage.ss_family, on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int err = 0;
    if (family != AF_UNIX) {
        err = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        set_inherited_options(fd);
    }
    if (err == 0 && family == AF_INET6) {
        int only = !options->dual_stack;
        err = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    }
    if (err == 0 && options->reuse_port) {
        err = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    }
    if (err == 0) {
        err = bind(fd, (const struct sockaddr *)&a->storage, a->length);
    }
    if (err == 0) {
        err = listen(fd, options->backlog);
    }
    if (err != 0) {
        err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

// Remembers the socket file, to be removed on close, and sets its mode.
static int adopt_path(Listener *l, const char *path, int mode)
{
    struct stat st;
    if (mode >= 0 && chmod(path, (mode_t)mode) != 0) {
        return -errno;
    }
    if (stat(path, &st) == 0) {
        l->device = st.st_dev;
        l->inode = st.st_ino;
        strncpy(l->path, path, sizeof(l->path) - 1);
    }
    return 0;
}

static bool option(lua_State *L, int arg, const char *key)
{
    lua_getfield(L, arg, key);
    bool on = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return on;
}

static int integer_option(lua_State *L, int arg, const char *key, int missing, int max)
{
    lua_getfield(L, arg, key);
    int value = missing;
    if (!lua_isnil(L, -1)) {
        value = (int)check_integer(L, lua_gettop(L), key, 0, max);
    }
    lua_pop(L, 1);
    return value;
}

// listen(ip, port, options) or listen(path, nil, options) -> listener | nil, code.
// options: backlog, reuse_port, dual_stack, mode.
static int l_listen(lua_State *L)
{
    Worker *worker = lua_touserdata(L, lua_upvalueindex(2));
    Address a;
    check_address(L, 1, &a);
    luaL_checktype(L, 3, LUA_TTABLE);
    ListenOptions options = {
        .backlog = integer_option(L, 3, "backlog", SOMAXCONN, 1 << 20),
        .reuse_port = option(L, 3, "reuse_port"),
        .dual_stack = option(L, 3, "dual_stack"),
        .mode = integer_option(L, 3, "mode", -1, 07777),
    };
    Listener **box = lua_newuserdata(L, sizeof(Listener *));
    *box = NULL;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_setmetatable(L, -2);

    int fd = open_listening(&a, &options);
    if (fd < 0) {
        return push_error(L, fd);
    }
    Listener *l = calloc(1, sizeof(*l));
    if (l == NULL || socket_init(&l->socket, worker, fd, report) != 0) {
        free(l);
        close(fd);
        return push_error(L, UV_ENOMEM);
    }
    worker->listeners++;
    *box = l;
    if (a.storage.ss_family == AF_UNIX && lua_tostring(L, 1)[0] != '@') {
        int err = adopt_path(l, lua_tostring(L, 1), options.mode);
        if (err != 0) {
            listener_close(l);
            *box = NULL;
            return push_error(L, err);
        }
    }
    return 1;
}

enum {
    MAX_SHED = 64
}; // clients that one try_accept() sheds

static void take_reserve(Worker *worker)
{
    if (worker->reserve_fd < 0) {
        worker->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

// Accepts and closes one client with the reserve descriptor; false if there is no reserve
// or no client.
static bool shed(Listener *l)
{
    Worker *worker = socket_worker(&l->socket);
    take_reserve(worker);
    if (worker->reserve_fd < 0) {
        return false;
    }
    close(worker->reserve_fd);
    worker->reserve_fd = -1;
    int fd = accept4(l->socket.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        worker->shed++;
    }
    take_reserve(worker);
    return fd >= 0;
}

static int accept_fd(Listener *l)
{
    int fd;
    do {
        fd = accept4(l->socket.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    return fd < 0 ? -errno : fd;
}

// try_accept() -> conn | nil, nil, token | nil, code. After EMFILE and ENFILE the clients
// that wait have been shed, up to MAX_SHED of them.
static int l_try_accept(lua_State *L)
{
    Listener *l = *check_box(L);
    if (l == NULL) {
        return push_closed(L);
    }
    Conn **box = conn_push_box(L);
    int fd = accept_fd(l);
    if (fd >= 0) {
        int err = conn_open(box, socket_worker(&l->socket), fd);
        if (err != 0) {
            close(fd);
            return push_error(L, err);
        }
        socket_worker(&l->socket)->accepted++;
        return 1;
    }
    if (fd == -EMFILE || fd == -ENFILE) {
        for (int n = 0; n < MAX_SHED && shed(l); n++) {
        }
    }
    if (fd != -EAGAIN) {
        return push_error(L, fd);
    }
    int err = socket_arm(&l->socket, UV_READABLE);
    if (err != 0) {
        return push_error(L, err);
    }
    l->wanted = true;
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)l->socket.token);
    return 3;
}

// watch() -> whether accept would not wait now, token; the next event is reported. Only
// true if it is closed; nil, code if the poller cannot watch it.
static int l_watch(lua_State *L)
{
    Listener *l = *check_box(L);
    if (l == NULL) {
        lua_pushboolean(L, true);
        return 1;
    }
    int err = socket_arm(&l->socket, UV_READABLE);
    if (err != 0) {
        return push_error(L, err);
    }
    l->watched = true;
    struct pollfd p = {.fd = l->socket.fd, .events = POLLIN};
    lua_pushboolean(L, poll(&p, 1, 0) > 0);
    lua_pushinteger(L, (lua_Integer)l->socket.token);
    return 2;
}

static int l_addr(lua_State *L)
{
    Listener *l = *check_box(L);
    if (l == NULL) {
        return push_closed(L);
    }
    Address a = {.length = sizeof(a.storage)};
    if (getsockname(l->socket.fd, (struct sockaddr *)&a.storage, &a.length) != 0) {
        return push_error(L, -errno);
    }
    address_push(L, &a);
    return 1;
}

static int l_token(lua_State *L)
{
    Listener *l = *check_box(L);
    if (l == NULL) {
        return 0;
    }
    lua_pushinteger(L, (lua_Integer)l->socket.token);
    return 1;
}

static int l_fd(lua_State *L)
{
    Listener *l = *check_box(L);
    if (l == NULL) {
        return push_closed(L);
    }
    lua_pushinteger(L, l->socket.fd);
    return 1;
}

// close() -> the token, for its waiters to be told; nothing if it is closed.
static int l_close(lua_State *L)
{
    Listener **box = check_box(L);
    if (*box == NULL) {
        return 0;
    }
    lua_pushinteger(L, (lua_Integer)(*box)->socket.token);
    listener_close(*box);
    *box = NULL;
    return 1;
}

static int l_gc(lua_State *L)
{
    Listener **box = lua_touserdata(L, 1);
    if (*box != NULL) {
        socket_worker(&(*box)->socket)->collected++;
        listener_close(*box);
        *box = NULL;
    }
    return 0;
}

static const luaL_Reg methods[] = {
    {"try_accept", l_try_accept},
    {"watch", l_watch},
    {"token", l_token},
    {"addr", l_addr},
    {"fd", l_fd},
    {"host_close", l_close},
    {NULL, NULL},
};

void listener_register(lua_State *L, Worker *worker)
{
    luaL_newmetatable(L, LISTENER_TYPE);
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");

    lua_newtable(L);
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, methods, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_setfield(L, -3, "listener");
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "listener_meta");

    lua_pushlightuserdata(L, worker);
    lua_pushcclosure(L, l_listen, 2);
    lua_setfield(L, -2, "listen");
}
