// inbox.h: what a stream has received and its reader has not taken, and who may take it.
//
// Conns embed one; each end of an in-memory pipe is one. An operation of several steps
// (read_line, read_exactly, ...) owns the inbox while it waits between them, so that a
// second reader queues and never sees half a line vanish.
#pragma once

#include "buffer.h"

#include <lua.h>
#include <stdbool.h>

typedef struct Inbox {
    Buffer bytes;
    bool owned; // by an operation that is between two steps
} Inbox;

// Adds the step functions to the table on top of the stack:
//
//   take(owner, max)                    up to max bytes; nothing if there are none
//   take_exactly(owner, n)              n bytes
//   take_until(owner, delim, max, from) the bytes before delim, which is dropped too
//   take_line(owner, max, nil, from)    the same for "\n", less a "\r" before it
//   peek_exactly(owner, n)              n bytes, which stay
//
// Each returns what it took; or nil, code ("busy", "too_long", "closed"); or, when more
// bytes are needed, nil, nil, and the offset to go on searching at. `owner` is true for
// the operation that owns the inbox; anybody else is told "busy" while there is one. Then
//
//   own() / disown()    take and give up ownership; own() is false if it is taken
//   buffered()          the number of bytes there
//
// `find` gets the Inbox from stack index 1 (NULL if closed); it may raise. `nup` upvalues
// on top of the stack are popped and shared by all the functions, from upvalue 2 on.
void inbox_register(lua_State *L, Inbox *(*find)(lua_State *), int nup);

// Adds host.inbox(), a free-standing inbox, with the functions above and put(string).
void inbox_type_register(lua_State *L);
