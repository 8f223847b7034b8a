// listener.h: a listening socket, as Lua sees it.
#pragma once

#include "worker.h"

// Adds host.listen() and host.listener, the method table; host.listener_meta, the
// metatable.
void listener_register(lua_State *L, Worker *worker);

// Adds host.connect(), which begins a connection: connect.c.
void connect_register(lua_State *L, Worker *worker);
