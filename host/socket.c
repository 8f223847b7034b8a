// socket.c: arming, disarming and the life of a polled descriptor.

#include "socket.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int socket_init(Socket *s, Worker *worker, int fd, void (*report)(Ready *, Batch *))
{
    s->token = poller_take_tokens(&worker->poller);
    if (s->token == 0) {
        return -ENOMEM;
    }
    s->poll.data = worker;
    s->fd = fd;
    s->ready.report = report;
    return 0;
}

static void on_close(uv_handle_t *handle)
{
    free((Socket *)handle);
}

void socket_close(Socket *s)
{
    poller_unmark(&s->ready);
    poller_return_tokens(&socket_worker(s)->poller, s->token);
    int fd = s->fd;
    s->fd = -1;
    if (s->polled) {
        uv_close((uv_handle_t *)&s->poll, on_close); // leaves the poller here and now
    } else {
        free(s);
    }
    close(fd);
}

// On an error libuv has stopped the handle; whoever waits learns it from the system call.
static void on_poll(uv_poll_t *poll, int status, int events)
{
    Socket *s = (Socket *)poll;
    if (status < 0) {
        s->armed = 0;
        events = UV_READABLE | UV_WRITABLE;
    }
    s->events |= (uint8_t)(events & (UV_READABLE | UV_WRITABLE));
    poller_mark(&socket_worker(s)->poller, &s->ready);
}

int socket_arm(Socket *s, int events)
{
    int wanted = s->armed | events;
    if (wanted == s->armed) {
        return 0;
    }
    if (!s->polled) {
        int err = uv_poll_init(&socket_worker(s)->poller.loop, &s->poll, s->fd);
        if (err != 0) {
            return err;
        }
        s->polled = true;
    }
    int err = uv_poll_start(&s->poll, wanted, on_poll);
    if (err == 0) {
        s->armed = (uint8_t)wanted;
    }
    return err;
}

void socket_disarm(Socket *s, int events)
{
    int wanted = s->armed & ~events;
    if (wanted == s->armed) {
        return;
    }
    s->armed = (uint8_t)wanted;
    if (wanted == 0) {
        uv_poll_stop(&s->poll);
    } else {
        uv_poll_start(&s->poll, wanted, on_poll);
    }
}
