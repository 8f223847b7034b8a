// watch.h: readiness of a descriptor that is not ours.
#pragma once

#include "worker.h"

// Adds host.watch_fd(), host.unwatch_fd() and host.fd_ready().
void watch_register(lua_State *L, Worker *worker);
