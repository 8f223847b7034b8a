// signals.h: POSIX signals as events of the poller.
#pragma once

#include "worker.h"

// Adds host.watch_signal(name) and host.unwatch_signal(handle).
void signals_register(lua_State *L, Worker *worker);
