// interrupt.h: interrupting Lua code that runs for long, compiled loops too.
//
// The heartbeat's thread sends the loop's thread a signal. The handler arms a count hook,
// and at the next instruction of a script the hook asks Lua (lua/lagoon/watchdog.lua)
// what is to become of the task that runs: nothing, or an error, or a preemption.
#pragma once

#include "worker.h"

// Starts the watch of a worker. `L` is its main state.
void interrupt_start(Worker *worker);

// Ends it: before the Lua state is closed.
void interrupt_stop(Worker *worker);

// Adds host.on_interrupt(), host.set_watch(), host.watch_compiled(), and the memory cap.
void interrupt_register(lua_State *L, Worker *worker);
