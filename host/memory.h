// memory.h: how much memory Lua has, and what is done when that is more than it may have.
//
// The cap is soft. LuaJIT does not survive an allocation that fails, so none does: going
// over the cap only calls over(), and whoever that tells has the garbage collected,
// or a task ended.
#pragma once

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Memory {
    lua_Alloc alloc; // LuaJIT's own; NULL while there is no cap
    void *arg;       // its
    size_t used, cap;
    bool is_over;    // over() has been called, and nobody has done anything about it
    size_t trigger;  // above which the next allocation calls over()
    size_t accepted; // what was left when somebody had been ended for it; 0 if nobody was
    bool is_settling; // somebody is to be ended for it
    // Called inside an allocation: it may call lua_sethook(), and nothing else of Lua.
    void (*over)(void *watcher);
    void *watcher;
} Memory;

// Begins to count, or changes the cap. A cap of 0 ends it; so must be done before
// lua_close().
void memory_set_cap(Memory *memory, lua_State *L, size_t cap);

// Collects all garbage. Whether so much is left that somebody has to be ended: more than
// three quarters of the cap. What is left when that was done is accepted, as its owners
// may be many: nobody is ended for it again, until it has grown.
bool memory_is_short(Memory *memory, lua_State *L);
