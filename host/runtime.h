// runtime.h: the clock, the poller and the figures, for the scheduler.
#pragma once

#include "worker.h"

// Adds host.now(), host.poll(), host.site(), host.figures(), host.log(), host.version.
void runtime_register(lua_State *L, Worker *worker);
