// inbox.c: the steps that reading operations are made of.
//
// They never wait: lua/lagoon/net/stream.lua repeats a step, with a wait for more bytes
// in between, until it has its result.

#include "inbox.h"
#include "misuse.h"

#include <lauxlib.h>

#define INBOX_TYPE "lagoon.inbox"

typedef Inbox *FindInbox(lua_State *);

static Inbox *find_inbox(lua_State *L)
{
    FindInbox *find = (FindInbox *)lua_touserdata(L, lua_upvalueindex(1));
    return find(L);
}

// The inbox if the caller may take from it; else NULL with nil, code pushed.
static Inbox *claim(lua_State *L)
{
    Inbox *in = find_inbox(L);
    if (in != NULL && (!in->owned || lua_toboolean(L, 2))) {
        return in;
    }
    lua_pushnil(L);
    lua_pushstring(L, in == NULL ? "closed" : "busy");
    return NULL;
}

static int need_more(lua_State *L, size_t from)
{
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)from);
    return 3;
}

static int too_long(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "too_long");
    return 2;
}

static size_t count_arg(lua_State *L, int arg)
{
    lua_Number n = lua_tonumber(L, arg);
    return n > 0 ? (size_t)n : 0;
}

static int l_take(lua_State *L)
{
    Inbox *in = claim(L);
    if (in == NULL) {
        return 2;
    }
    size_t n = buffer_len(&in->bytes), max = count_arg(L, 3);
    if (n == 0) {
        return need_more(L, 0);
    }
    n = n < max ? n : max;
    lua_pushlstring(L, buffer_bytes(&in->bytes), n);
    buffer_consume(&in->bytes, n);
    return 1;
}

static int take_exactly(lua_State *L, bool consume)
{
    Inbox *in = claim(L);
    if (in == NULL) {
        return 2;
    }
    size_t n = count_arg(L, 3);
    if (buffer_len(&in->bytes) < n) {
        return need_more(L, 0);
    }
    lua_pushlstring(L, n == 0 ? "" : buffer_bytes(&in->bytes), n);
    if (consume && n > 0) {
        buffer_consume(&in->bytes, n);
    }
    return 1;
}

static int l_take_exactly(lua_State *L)
{
    return take_exactly(L, true);
}

static int l_peek_exactly(lua_State *L)
{
    return take_exactly(L, false);
}

// The bytes before the delimiter; `strip` drops one '\r' at their end.
static int take_until(lua_State *L, Inbox *in, const char *delim, size_t n, size_t max,
                      size_t from, bool strip)
{
    Buffer *b = &in->bytes;
    ptrdiff_t at = buffer_find(b, delim, n, from);
    if (at < 0) {
        size_t len = buffer_len(b);
        // Past max plus a delimiter (and a "\r"), no match can be short enough any more.
        if (len >= max + n + (strip ? 1 : 0)) {
            return too_long(L);
        }
        return need_more(L, len < n ? 0 : len - n + 1);
    }
    size_t length = (size_t)at;
    if (strip && length > 0 && buffer_bytes(b)[length - 1] == '\r') {
        length--;
    }
    if (length > max) {
        return too_long(L);
    }
    lua_pushlstring(L, buffer_bytes(b), length);
    buffer_consume(b, (size_t)at + n);
    return 1;
}

static int l_take_until(lua_State *L)
{
    Inbox *in = claim(L);
    if (in == NULL) {
        return 2;
    }
    size_t n;
    const char *delim = luaL_checklstring(L, 3, &n);
    return take_until(L, in, delim, n, count_arg(L, 4), count_arg(L, 5), false);
}

static int l_take_line(lua_State *L)
{
    Inbox *in = claim(L);
    if (in == NULL) {
        return 2;
    }
    return take_until(L, in, "\n", 1, count_arg(L, 3), count_arg(L, 5), true);
}

static int l_own(lua_State *L)
{
    Inbox *in = find_inbox(L);
    bool got = in != NULL && !in->owned;
    if (got) {
        in->owned = true;
    }
    lua_pushboolean(L, got);
    return 1;
}

static int l_disown(lua_State *L)
{
    Inbox *in = find_inbox(L);
    if (in != NULL) {
        in->owned = false;
    }
    return 0;
}

static int l_buffered(lua_State *L)
{
    Inbox *in = find_inbox(L);
    lua_pushinteger(L, in == NULL ? 0 : (lua_Integer)buffer_len(&in->bytes));
    return 1;
}

static const luaL_Reg steps[] = {
    {"take", l_take},
    {"take_exactly", l_take_exactly},
    {"take_until", l_take_until},
    {"take_line", l_take_line},
    {"peek_exactly", l_peek_exactly},
    {"own", l_own},
    {"disown", l_disown},
    {"buffered", l_buffered},
    {NULL, NULL},
};

void inbox_register(lua_State *L, Inbox *(*find)(lua_State *), int nup)
{
    lua_pushlightuserdata(L, (void *)find);
    lua_insert(L, -1 - nup);
    luaL_setfuncs(L, steps, 1 + nup);
}

static Inbox *check_inbox(lua_State *L)
{
    return luaL_checkudata(L, 1, INBOX_TYPE);
}

static int l_new(lua_State *L)
{
    Inbox *in = lua_newuserdata(L, sizeof(*in));
    *in = (Inbox){.owned = false};
    luaL_getmetatable(L, INBOX_TYPE);
    lua_setmetatable(L, -2);
    return 1;
}

static int l_put(lua_State *L)
{
    Inbox *in = check_inbox(L);
    size_t n;
    const char *bytes = luaL_checklstring(L, 2, &n);
    lua_pushboolean(L, buffer_append(&in->bytes, bytes, n));
    return 1;
}

static int l_gc(lua_State *L)
{
    buffer_free(&check_inbox(L)->bytes);
    return 0;
}

void inbox_type_register(lua_State *L)
{
    luaL_newmetatable(L, INBOX_TYPE);
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    inbox_register(L, check_inbox, 0);
    lua_pushcfunction(L, l_put);
    lua_setfield(L, -2, "put");
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, l_new);
    lua_setfield(L, -2, "inbox");
}
