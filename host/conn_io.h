// conn_io.h: what reading (conn_read.c) and writing (conn_write.c) share.
#pragma once

#include "conn.h"

// Whether a deadline has passed; 0 is none.
bool conn_is_past(double deadline);

// Pushes nil, "timeout" and returns 2.
int conn_push_timeout(lua_State *L);

// Pushes nil, nil, token, deadline and returns 4: the caller is to park. The deadline is
// the sooner of the given one and the end of the conn's time-out, and nil if there is
// neither.
int conn_push_would_block(lua_State *L, Conn *c, uint32_t token, double deadline);

// The same with `why` for the second nil: "busy", another task is at it; "yield", it
// could go on, but others have waited long enough.
int conn_push_not_now(lua_State *L, Conn *c, uint32_t token, double deadline,
                      const char *why);

// Receives for the parked reader; tells the parked writer to go on.
void conn_report_read(Conn *c, Batch *batch);
void conn_report_write(Conn *c, Batch *batch);

// Adds the functions to the method table on top of the stack.
void conn_read_register(lua_State *L);
void conn_write_register(lua_State *L);
