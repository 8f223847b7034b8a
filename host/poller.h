// poller.h: the libuv loop, seen as "wait, then say what is ready".
//
// Handles (conns, listeners, look-ups, signals) embed a Ready node. A libuv callback only
// marks it. poller_wait() runs the loop once, then asks every marked node to report into
// a batch, a Lua array of triples: token, a, b. Nothing of Lua runs inside libuv.
//
// A token names one thing that can be waited for: a handle takes one for each direction.
// Tokens are small integers, so that Lua finds the waiter in an array. A token goes back
// only when its handle is closed and unmarked, so an event can never reach a later owner.
#pragma once

#include "heartbeat.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
    POLLER_SCRATCH = 64 * 1024
}; // bytes one read can take from a socket

typedef struct Poller Poller;
typedef struct Ready Ready;

// The batch that a poller_wait() fills; valid inside report() only.
typedef struct Batch {
    lua_State *L;
    int table; // stack index of the Lua array
    int count; // entries so far, three a report
} Batch;

// What a handle embeds. Zeroed with `report` set it is a node that nobody marked.
struct Ready {
    Ready *next, *prev;
    // Called once a mark, outside libuv, with the node unmarked. May raise.
    void (*report)(Ready *ready, Batch *batch);
};

struct Poller {
    uv_loop_t loop;
    Heartbeat heartbeat;   // beats at each poller_wait()
    uv_timer_t timer;      // wakes poller_wait() at its time-out
    Ready marked;          // circular list, `marked` is its head
    uint32_t *free_tokens; // a stack
    uint32_t free_count, free_cap;
    uint32_t next_token;
    uint64_t polls;  // calls of poller_wait()
    uint64_t events; // reports made
    char *scratch;   // POLLER_SCRATCH bytes that every read goes through
};

// 0, or a negative libuv error with nothing left behind.
int poller_init(Poller *p);

// Closes the loop. The handles' owners must have closed them: their close callbacks run
// here.
void poller_close(Poller *p);

// A pair of tokens, n and n + 1: returns n, or 0 if out of memory.
uint32_t poller_take_tokens(Poller *p);
void poller_return_tokens(Poller *p, uint32_t token);

// Puts a node on the list of what the next batch reports; no effect if it is there.
void poller_mark(Poller *p, Ready *ready);
// Takes it off; no effect if it is not on it.
void poller_unmark(Ready *ready);

// Runs the loop once and fills the Lua array at `table` with what is ready.
// seconds < 0: until something happens; 0: without blocking. Returns the number of
// entries, three for each report. May raise (out of memory).
int poller_wait(Poller *p, lua_State *L, double seconds, int table);

// Adds a report to the batch: the two values on top of the stack, which it pops.
void batch_add(Batch *batch, uint32_t token);

// Adds token, value, nil: true for who is parked, false for those who watch.
void batch_add_flag(Batch *batch, uint32_t token, bool value);
