// conn_options.c: deadlines, addresses and socket options of a conn.

#include "address.h"
#include "conn.h"
#include "misuse.h"

#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static double check_time(lua_State *L, int arg, const char *what)
{
    if (lua_isnoneornil(L, arg)) {
        return 0;
    }
    if (lua_type(L, arg) != LUA_TNUMBER) {
        misuse(L, "%s must be a number of seconds or nil, got %s", what,
               type_name(L, arg));
    }
    double t = lua_tonumber(L, arg);
    if (isnan(t)) {
        misuse(L, "%s must be a number of seconds or nil, got nan", what);
    }
    return t;
}

// put_deadline(t, reads, writes) -> the read and the write token; nil, "closed". A
// deadline at or before 0 is one that has passed, not none.
static int l_put_deadline(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    double t = check_time(L, 2, "deadline");
    if (!lua_isnoneornil(L, 2) && t <= 0) {
        t = 1e-9;
    }
    if (c == NULL) {
        return push_closed(L);
    }
    if (lua_toboolean(L, 3)) {
        c->read_deadline = t;
    }
    if (lua_toboolean(L, 4)) {
        c->write_deadline = t;
    }
    lua_pushinteger(L, (lua_Integer)c->socket.token);
    lua_pushinteger(L, (lua_Integer)c->socket.token + 1);
    return 2;
}

static int l_set_timeout(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    double seconds = check_time(L, 2, "timeout");
    if (!lua_isnoneornil(L, 2) && seconds <= 0) {
        return misuse(L, "timeout must be more than 0 seconds, or nil for none");
    }
    if (c == NULL) {
        return push_closed(L);
    }
    // Not less than what a float can tell from 0, which means none.
    c->timeout = seconds > 0 && seconds < 1e-9 ? 1e-9F : (float)seconds;
    lua_pushboolean(L, true);
    return 1;
}

// timeout_end() -> when an operation that begins now is timed out by set_timeout(); nil
// if never.
static int l_timeout_end(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c == NULL || c->timeout == 0) {
        return 0;
    }
    lua_pushnumber(L, (double)uv_hrtime() * 1e-9 + (double)c->timeout);
    return 1;
}

// op_deadline(writes, limit) -> the sooner of the direction's deadline and `limit`; nil
// if neither.
static int l_op_deadline(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    double deadline = 0, limit = lua_tonumber(L, 3);
    if (c != NULL) {
        deadline = lua_toboolean(L, 2) ? c->write_deadline : c->read_deadline;
    }
    if (limit != 0 && (deadline == 0 || limit < deadline)) {
        deadline = limit;
    }
    if (deadline == 0) {
        return 0;
    }
    lua_pushnumber(L, deadline);
    return 1;
}

typedef int GetName(int, struct sockaddr *, socklen_t *);

static int push_name(lua_State *L, GetName *get)
{
    Conn *c = check_conn(L, 1);
    if (c == NULL) {
        return push_closed(L);
    }
    Address a = {.length = sizeof(a.storage)};
    if (get(c->socket.fd, (struct sockaddr *)&a.storage, &a.length) != 0) {
        return push_error(L, -errno);
    }
    address_push(L, &a);
    return 1;
}

static int l_local_addr(lua_State *L)
{
    return push_name(L, getsockname);
}

static int l_remote_addr(lua_State *L)
{
    return push_name(L, getpeername);
}

// network() -> what stands for the peer's network when clients are counted: an IPv4
// address, or the first 64 bits of an IPv6 one (4 or 8 bytes); "" for a unix socket.
static int l_network(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c == NULL) {
        return push_closed(L);
    }
    Address a = {.length = sizeof(a.storage)};
    if (getpeername(c->socket.fd, (struct sockaddr *)&a.storage, &a.length) != 0) {
        return push_error(L, -errno);
    }
    if (a.storage.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a.storage;
        lua_pushlstring(L, (const char *)&in->sin_addr, 4);
    } else if (a.storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a.storage;
        const char *bytes = (const char *)&in6->sin6_addr;
        bool is_v4 = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
        lua_pushlstring(L, is_v4 ? bytes + 12 : bytes, is_v4 ? 4 : 8);
    } else {
        lua_pushliteral(L, "");
    }
    return 1;
}

static int l_fd(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c == NULL) {
        return push_closed(L);
    }
    lua_pushinteger(L, c->socket.fd);
    return 1;
}

static int push_outcome(lua_State *L, int result)
{
    // A unix socket has no such option: what it would do is the case already.
    if (result != 0 && errno != EOPNOTSUPP && errno != ENOPROTOOPT) {
        return push_error(L, -errno);
    }
    lua_pushboolean(L, true);
    return 1;
}

static int l_set_nodelay(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (lua_type(L, 2) != LUA_TBOOLEAN) {
        return misuse(L, "nodelay must be a boolean, got %s", type_name(L, 2));
    }
    if (c == NULL) {
        return push_closed(L);
    }
    int on = lua_toboolean(L, 2);
    return push_outcome(
        L, setsockopt(c->socket.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
}

// set_keepalive(seconds | false): SO_KEEPALIVE with that idle time and interval, tcp(7).
static int l_set_keepalive(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    int on = lua_type(L, 2) != LUA_TBOOLEAN || lua_toboolean(L, 2);
    int seconds = 15;
    if (lua_type(L, 2) != LUA_TBOOLEAN) {
        seconds = (int)check_integer(L, 2, "keepalive", 1, 32767);
    }
    if (c == NULL) {
        return push_closed(L);
    }
    int fd = c->socket.fd;
    int result = setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (result == 0 && on) {
        result = setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
    }
    if (result == 0 && on) {
        result = setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
    }
    return push_outcome(L, result);
}

// set_buffer_sizes(receive, send): SO_RCVBUF and SO_SNDBUF, socket(7), which doubles
// them.
static int l_set_buffer_sizes(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    int receive = (int)check_integer(L, 2, "receive buffer", 1, 1 << 30);
    int send = (int)check_integer(L, 3, "send buffer", 1, 1 << 30);
    if (c == NULL) {
        return push_closed(L);
    }
    int fd = c->socket.fd;
    int result = setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof(receive));
    if (result == 0) {
        result = setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof(send));
    }
    return push_outcome(L, result);
}

// set_linger(seconds): SO_LINGER; with 0, close() resets the connection.
static int l_set_linger(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    struct linger linger = {.l_onoff = 1};
    linger.l_linger = (int)check_integer(L, 2, "linger", 0, 65535);
    if (c == NULL) {
        return push_closed(L);
    }
    return push_outcome(
        L, setsockopt(c->socket.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
}

// connect_result() -> true | nil, code: how a connect in progress has ended (SO_ERROR).
static int l_connect_result(lua_State *L)
{
    Conn *c = check_conn(L, 1);
    if (c == NULL) {
        return push_closed(L);
    }
    int err = 0;
    socklen_t length = sizeof(err);
    if (getsockopt(c->socket.fd, SOL_SOCKET, SO_ERROR, &err, &length) != 0) {
        err = errno;
    }
    if (err != 0) {
        return push_error(L, -err);
    }
    lua_pushboolean(L, true);
    return 1;
}

static const luaL_Reg methods[] = {
    {"put_deadline", l_put_deadline},
    {"set_timeout", l_set_timeout},
    {"timeout_end", l_timeout_end},
    {"op_deadline", l_op_deadline},
    {"local_addr", l_local_addr},
    {"remote_addr", l_remote_addr},
    {"network", l_network},
    {"fd", l_fd},
    {"set_nodelay", l_set_nodelay},
    {"set_keepalive", l_set_keepalive},
    {"set_buffer_sizes", l_set_buffer_sizes},
    {"set_linger", l_set_linger},
    {"connect_result", l_connect_result},
    {NULL, NULL},
};

void conn_options_register(lua_State *L)
{
    conn_push_metatable(L);
    luaL_setfuncs(L, methods, 1);
}
