// socket.h: a non-blocking descriptor in the poller: what conns and listeners are made
// of.
//
// The system call comes first; the poller is asked only when it would have blocked, and a
// descriptor that never blocked never gets there. Once armed it stays armed: an event
// that nobody waits for is what disarms it. So a request costs its read and its write and
// nothing else.
//
// Ownership. A Socket is the first member of a heap block that belongs to the loop from
// the first socket_arm() to its close callback, which frees the block. Before that,
// socket_close() frees it at once.
#pragma once

#include "worker.h"

#include <stdbool.h>

typedef struct Socket {
    uv_poll_t poll;
    Ready ready;
    uint32_t token; // reading; token + 1 is writing
    int fd;
    uint8_t armed;  // UV_READABLE | UV_WRITABLE: what the poller watches
    uint8_t events; // what turned up and was not reported yet
    bool polled;    // `poll` belongs to the loop
} Socket;

// Takes a zeroed heap block that begins with a Socket, and the descriptor. 0, or -ENOMEM
// with both left to the caller.
int socket_init(Socket *s, Worker *worker, int fd, void (*report)(Ready *, Batch *));

// Closes the descriptor and frees the block, now or when the loop has let go of it.
void socket_close(Socket *s);

// Adds `events` to what is watched; 0 or a negative libuv error.
int socket_arm(Socket *s, int events);
// Takes them away.
void socket_disarm(Socket *s, int events);

static inline Worker *socket_worker(const Socket *s)
{
    return s->poll.data;
}

static inline Socket *socket_of(Ready *ready)
{
    return (Socket *)((char *)ready - offsetof(Socket, ready));
}
