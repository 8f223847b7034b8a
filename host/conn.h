// conn.h: a connected stream socket, as Lua sees it.
//
// Every function returns at once. "Would block" is the answer nil, nil, and the token
// whose report will say that it is worth trying again; lua/lagoon/net builds blocking
// from that.
#pragma once

#include "inbox.h"
#include "result.h"
#include "socket.h"

#include <stdbool.h>
#include <stdint.h>

// What a parked task waits for in one direction.
typedef enum Want {
    WANT_NOTHING,
    WANT_DATA,  // reading: the poller receives and reports the bytes themselves
    WANT_FILL,  // reading: the poller receives into the inbox and reports true
    WANT_SPACE, // writing: the poller reports true
} Want;

typedef struct Direction {
    uint8_t want; // a Want
    bool watched; // somebody selects on readiness: report `false` once
} Direction;

// A server holds one for each client: 248 bytes, the poll handle's 160 included.
typedef struct Conn {
    Socket socket; // first: socket_close() frees the Conn
    Inbox inbox;
    double read_deadline, write_deadline; // absolute, monotonic seconds; 0 for none
    float timeout;                        // seconds for each operation; 0 for none
    uint32_t want_max;                    // bytes, for WANT_DATA
    Direction read, write;
    uint8_t burst; // operations since the last one that would have blocked
    bool eof;      // the peer has said that it will send no more
    bool drained;  // the last read was short: the socket is empty until an event
    bool writing;  // a write that did not fit owns the direction
} Conn;

// What conn functions keep in upvalue 1: the metatable that says "this is a conn". Pushes
// it.
void conn_push_metatable(lua_State *L);

// Pushes an empty box for a conn. Fill it by conn_open(), so that whatever fails between
// the two leaks nothing.
Conn **conn_push_box(lua_State *L);

// Makes a conn of a connected, or connecting, non-blocking descriptor and puts it into
// the box. 0, or -ENOMEM with the descriptor left to the caller.
int conn_open(Conn **box, Worker *worker, int fd);

// The conn at `arg`, NULL if closed; misuse if it is something else. Upvalue 1 is the
// metatable.
Conn *check_conn(lua_State *L, int arg);

// Registers the conn type: host.conn is its method table, host.conn_meta its metatable.
void conn_register(lua_State *L);

enum {
    CONN_MAX_BURST = 64
}; // operations in a row that need not wait, before others get a turn

// conn_io.c: what a conn's event is for.
void conn_report(Ready *ready, Batch *batch);
// conn_options.c: adds deadlines, addresses and socket options to it.
void conn_options_register(lua_State *L);
