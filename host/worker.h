// worker.h: one loop, one Lua state, one scheduler. There is no other mutable state in
// the host but what hangs off a Worker.
#pragma once

#include "memory.h"
#include "poller.h"
#include "stuck.h"

#include <lua.h>
#include <stdint.h>

// What interrupt.c needs to know.
typedef struct Interrupt {
    pthread_t main_thread;
    atomic_bool is_armed;    // the hook is to run, and has not yet
    atomic_bool is_sampling; // every signal is to take a sample of the stack,
    bool wants_sample;       // and this one has yet to
    bool is_ending;          // the task that runs is to die, whatever it catches
    lua_State *asker;        // a thread to ask Lua in
    lua_State *reader;       // a thread that has sched.run at 1
    double over_run;         // in which Lua took more memory than it may
    lua_Hook other;          // the script's own, while ours is armed; or NULL
    int other_mask, other_count;
    int tries;                     // that met the library
    double armed_at;               // on the clock of uv_hrtime(), in seconds
    void (*profiler_handler)(int); // LuaJIT's, once compiled code is watched
} Interrupt;

typedef struct Worker {
    Poller poller;
    lua_State *L;
    Interrupt interrupt;
    Memory memory;
    Stuck stuck;
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
