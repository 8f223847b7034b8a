// resolve.h: name resolution off the loop.
#pragma once

#include "worker.h"

// Adds host.resolve() and host.forget_resolve().
void resolve_register(lua_State *L, Worker *worker);
