// library.c: finds the library's modules, inside the binary or in the folder of
// LAGOON_LUA.

#include "library.h"
#include "misuse.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Reads a whole file on top of the stack as a string; false if it cannot be read.
static bool push_file(lua_State *L, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    size_t n;
    do {
        n = fread(luaL_prepbuffer(&text), 1, LUAL_BUFFERSIZE, file);
        luaL_addsize(&text, n);
    } while (n > 0);
    fclose(file);
    luaL_pushresult(&text);
    return true;
}

static const LibraryFile *find(const char *module)
{
    for (const LibraryFile *f = library_files; f->module != NULL; f++) {
        if (strcmp(f->module, module) == 0) {
            return f;
        }
    }
    return NULL;
}

void library_load(lua_State *L, const char *module)
{
    const char *folder = getenv("LAGOON_LUA");
    const LibraryFile *f = find(module);
    if (f == NULL) {
        lua_pushnil(L);
        return;
    }
    const char *source = f->source;
    size_t length = f->length;
    if (folder != NULL) {
        const char *path = lua_pushfstring(L, "%s/%s", folder, f->file);
        if (!push_file(L, path)) {
            luaL_error(L, "LAGOON_LUA: cannot read %s", path);
        }
        source = lua_tolstring(L, -1, &length);
    }
    const char *chunk = lua_pushfstring(L, LIBRARY_CHUNK "%s", f->file);
    if (luaL_loadbufferx(L, source, length, chunk, "t") != 0) {
        lua_error(L);
    }
}

static int l_load(lua_State *L)
{
    library_load(L, luaL_checkstring(L, 1));
    return 1;
}

void library_register(lua_State *L)
{
    lua_pushcfunction(L, l_load);
    lua_setfield(L, -2, "load");
}
