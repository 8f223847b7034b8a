// memory.c: counts what Lua allocates, by a wrapper around LuaJIT's own allocator.

#include "memory.h"

#include <stdint.h>

static void *count(void *arg, void *block, size_t old_size, size_t new_size)
{
    Memory *memory = arg;
    void *result = memory->alloc(memory->arg, block, old_size, new_size);
    if (result != NULL || new_size == 0) {
        memory->used += new_size - old_size;
        if (memory->used > memory->trigger && new_size > old_size) {
            memory->trigger = SIZE_MAX; // once is enough, until memory_is_short()
            memory->is_over = true;
            memory->over(memory->watcher);
        }
    }
    return result;
}

void memory_set_cap(Memory *memory, lua_State *L, size_t cap)
{
    if (cap != 0 && memory->alloc == NULL) {
        memory->used =
            (size_t)lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t)lua_gc(L, LUA_GCCOUNTB, 0);
        memory->alloc = lua_getallocf(L, &memory->arg);
        lua_setallocf(L, count, memory);
    } else if (cap == 0 && memory->alloc != NULL) {
        lua_setallocf(L, memory->alloc, memory->arg);
        memory->alloc = NULL;
    }
    memory->cap = memory->trigger = cap;
    memory->accepted = 0;
    memory->is_settling = false;
}

bool memory_is_short(Memory *memory, lua_State *L)
{
    memory->is_over = false;
    bool is_running = lua_gc(L, LUA_GCISRUNNING, 0) != 0;
    lua_gc(L, LUA_GCCOLLECT, 0);
    if (!is_running) {
        lua_gc(L, LUA_GCSTOP, 0); // as the script has it
    }
    size_t left = memory->used, step = memory->cap / 8;
    if (left <= memory->cap / 4 * 3) {
        memory->trigger = memory->cap;
        memory->accepted = 0;
        memory->is_settling = false;
        return false;
    }
    memory->trigger = (left > memory->cap ? left : memory->cap) + step;
    if (memory->is_settling) {
        memory->is_settling = false;
        memory->accepted = left;
    }
    if (memory->accepted != 0 && left < memory->accepted + step / 2) {
        return false;
    }
    memory->is_settling = true;
    return true;
}
