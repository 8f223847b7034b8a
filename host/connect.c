// connect.c: the beginning of an outgoing connection.

#include "address.h"
#include "conn.h"
#include "listener.h"
#include "misuse.h"

#include <errno.h>
#include <lauxlib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

// A descriptor that is connecting or connected; or -errno.
static int open_connecting(const Address *to, const Address *from)
{
    int family = to->storage.ss_family, on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    int err = 0;
    if (family != AF_UNIX) {
        err = setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (err == 0 && from->length > 0) {
        err = bind(fd, (const struct sockaddr *)&from->storage, from->length);
    }
    if (err == 0) {
        // EINTR: connect(2) says that it goes on as if it were EINPROGRESS.
        err = connect(fd, (const struct sockaddr *)&to->storage, to->length);
        err = err != 0 && (errno == EINPROGRESS || errno == EINTR) ? 0 : err;
    }
    if (err != 0) {
        err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

// connect(ip, port, local_ip, local_port) or connect(path) -> conn | nil, code. The conn
// is writable when the attempt has ended; connect_result() tells how.
static int l_connect(lua_State *L)
{
    Worker *worker = lua_touserdata(L, lua_upvalueindex(1));
    Address to, from = {.length = 0};
    check_address(L, 1, &to);
    if (!lua_isnoneornil(L, 3)) {
        check_address(L, 3, &from);
    }
    Conn **box = conn_push_box(L);
    int fd = open_connecting(&to, &from);
    if (fd < 0) {
        return push_error(L, fd);
    }
    int err = conn_open(box, worker, fd);
    if (err != 0) {
        close(fd);
        return push_error(L, err);
    }
    worker->dialed++;
    return 1;
}

void connect_register(lua_State *L, Worker *worker)
{
    lua_pushlightuserdata(L, worker);
    lua_pushcclosure(L, l_connect, 1);
    lua_setfield(L, -2, "connect");
}
