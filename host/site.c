// site.c: which line of a script called the library, cheaply enough to ask at every
// spawn.
//
// The text of a line is made once and kept in a cache of one way: an entry is found by
// the address of the chunk's name and the line. The entry keeps that name from being
// collected, so its address cannot become another chunk's; whoever hashes to the same
// entry takes its place.

#include "site.h"
#include "misuse.h"

#include <stdint.h>

enum {
    CACHE_SIZE = 1024
}; // entries, a power of 2

typedef struct Site {
    const char *source; // NULL if the entry is free
    int line;
} Site;

// The function's upvalues. TEXTS holds the text of entry i at 2i + 1, and the chunk's
// name at 2i + 2.
enum {
    CACHE = 1,
    TEXTS
};

static unsigned hash(const char *source, int line)
{
    uintptr_t h = ((uintptr_t)source >> 4) + (uintptr_t)line * 31;
    return (unsigned)(h ^ h >> 10) % CACHE_SIZE;
}

// site(level) -> "file:line": the innermost line that is not the library's, from that
// level of the stack outward; nil if there is none.
static int l_site(lua_State *L)
{
    lua_Debug ar;
    if (!find_caller(L, (int)lua_tointeger(L, 1), &ar)) {
        return 0;
    }
    Site *cache = lua_touserdata(L, lua_upvalueindex(CACHE));
    unsigned i = hash(ar.source, ar.currentline);
    if (cache[i].source != ar.source || cache[i].line != ar.currentline) {
        cache[i].source = NULL; // what follows may raise
        lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
        lua_rawseti(L, lua_upvalueindex(TEXTS), (int)i * 2 + 1);
        lua_pushstring(L, ar.source); // interned: the very string that the chunk has
        lua_rawseti(L, lua_upvalueindex(TEXTS), (int)i * 2 + 2);
        cache[i] = (Site){ar.source, ar.currentline};
    }
    lua_rawgeti(L, lua_upvalueindex(TEXTS), (int)i * 2 + 1);
    return 1;
}

void site_register(lua_State *L)
{
    Site *cache = lua_newuserdata(L, sizeof(Site) * CACHE_SIZE);
    for (int i = 0; i < CACHE_SIZE; i++) {
        cache[i] = (Site){NULL, 0};
    }
    lua_createtable(L, 2 * CACHE_SIZE, 0);
    lua_pushcclosure(L, l_site, 2);
    lua_setfield(L, -2, "site");
}
