// worker.h: one loop, one Lua state, one scheduler. There is no other mutable state in
// the host but what hangs off a Worker.
#pragma once

#include "poller.h"

#include <lua.h>
#include <stdint.h>

typedef struct Worker {
    Poller poller;
    lua_State *L;
    int reserve_fd; // given up for a moment to shed a client on EMFILE; -1 if lost
    // Figures of lagoon.runtime.stats().
    uint32_t conns, listeners, lookups; // open now
    uint64_t accepted, dialed, shed, collected;
} Worker;

// Makes the loop and the Lua state, with the standard libraries and the `host` table that
// lua/lagoon is written against. NULL and a line on stderr if that fails.
Worker *worker_new(void);

// Runs the program that the arguments name (lua/lagoon/cli.lua); the exit status.
int worker_run(Worker *worker, int argc, char **argv);

// Closes the Lua state, then every handle, then the loop.
void worker_free(Worker *worker);
