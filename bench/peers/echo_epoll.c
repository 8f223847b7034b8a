// echo_epoll.c: the floor to compare with: a raw, non-blocking epoll echo server in C.
//
// Level-triggered; a request costs one read and one write, and a share of one epoll_wait.
// All conns read into one buffer. What a write does not take at once is copied to the
// conn, which then stops reading until it is flushed: a client that does not read costs
// at most one buffer.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER_SIZE = 64 * 1024,
    BATCH = 1024,
    MAX_FDS = 128 * 1024,
};

typedef struct {
    char *unsent; // NULL while nothing waits to be written
    size_t offset, len;
} Conn;

static char buffer[BUFFER_SIZE];
static Conn conns[MAX_FDS]; // by fd; a page of it costs nothing until it is used

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int epoll, int op, int fd, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, op, fd, &ev) != 0)
        die("epoll_ctl");
}

// Closing takes the fd out of the epoll set. The batch holds no second event for it.
static void conn_close(int fd)
{
    close(fd);
    free(conns[fd].unsent);
    conns[fd].unsent = NULL;
}

static void conn_keep_unsent(int epoll, int fd, const char *data, size_t len)
{
    Conn *c = &conns[fd];
    c->unsent = malloc(len);
    if (c->unsent == NULL)
        die("malloc");
    memcpy(c->unsent, data, len);
    c->offset = 0;
    c->len = len;
    watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void conn_echo(int epoll, int fd)
{
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(fd);
        return;
    }
    ssize_t w = send(fd, buffer, (size_t)n, MSG_NOSIGNAL);
    if (w == n)
        return;
    if (w < 0 && errno != EAGAIN) {
        conn_close(fd);
        return;
    }
    size_t done = w < 0 ? 0 : (size_t)w;
    conn_keep_unsent(epoll, fd, buffer + done, (size_t)n - done);
}

static void conn_flush(int epoll, int fd)
{
    Conn *c = &conns[fd];
    ssize_t w = send(fd, c->unsent + c->offset, c->len - c->offset, MSG_NOSIGNAL);
    if (w < 0 && errno == EAGAIN)
        return;
    if (w < 0) {
        conn_close(fd);
        return;
    }
    c->offset += (size_t)w;
    if (c->offset == c->len) {
        free(c->unsent);
        c->unsent = NULL;
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
    }
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN)
                return;
            if (errno == ECONNABORTED || errno == EINTR)
                continue;
            die("accept4");
        }
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

// Listens on a free port of 127.0.0.1 and says which.
static int listen_local(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof addr;
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) != 0 ||
        listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        die("listen");
    printf("listening 127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    return fd;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(void)
{
    raise_file_limit();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        die("epoll_create1");
    int listener = listen_local();
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    static struct epoll_event events[BATCH];
    for (;;) {
        int n = epoll_wait(epoll, events, BATCH, -1);
        if (n < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(epoll, listener);
            else if (conns[fd].unsent != NULL)
                conn_flush(epoll, fd);
            else
                conn_echo(epoll, fd);
        }
    }
}
