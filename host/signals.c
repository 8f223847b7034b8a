// signals.c: one uv_signal_t for each signal that a script asked for.
//
// Signals of one kind that arrive before the next batch are one report, as in signal(7).

#include "signals.h"
#include "misuse.h"
#include "result.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SIGNAL_TYPE "lagoon.signal"

typedef struct Signal {
    uv_signal_t handle;
    Ready ready;
    Worker *worker;
    uint32_t token;
} Signal;

static const struct {
    const char *name;
    int number;
} known[] = {
    {"SIGHUP", SIGHUP},   {"SIGINT", SIGINT},     {"SIGQUIT", SIGQUIT},
    {"SIGUSR1", SIGUSR1}, {"SIGUSR2", SIGUSR2},   {"SIGTERM", SIGTERM},
    {"SIGCHLD", SIGCHLD}, {"SIGWINCH", SIGWINCH}, {"SIGALRM", SIGALRM},
};

static int find_signal(const char *name)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, name) == 0) {
            return known[i].number;
        }
    }
    return 0;
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    Signal *s = (Signal *)handle->data;
    poller_mark(&s->worker->poller, &s->ready);
}

static void report(Ready *ready, Batch *batch)
{
    Signal *s = (Signal *)((char *)ready - offsetof(Signal, ready));
    batch_add_flag(batch, s->token, false);
}

static void on_close(uv_handle_t *handle)
{
    free(handle->data);
}

static void signal_close(Signal *s)
{
    poller_unmark(&s->ready);
    poller_return_tokens(&s->worker->poller, s->token);
    uv_close((uv_handle_t *)&s->handle, on_close);
}

// watch_signal(name) -> box, token | nil, code. Each arrival reports `false` on the
// token.
static int l_watch_signal(lua_State *L)
{
    Worker *worker = lua_touserdata(L, lua_upvalueindex(1));
    const char *name = luaL_checkstring(L, 1);
    int number = find_signal(name);
    if (number == 0) {
        return misuse(L, "not a signal that can be waited for: '%s'", name);
    }
    Signal **box = lua_newuserdata(L, sizeof(Signal *));
    *box = NULL;
    luaL_getmetatable(L, SIGNAL_TYPE);
    lua_setmetatable(L, -2);
    Signal *s = calloc(1, sizeof(*s));
    uint32_t token = s == NULL ? 0 : poller_take_tokens(&worker->poller);
    if (token == 0) {
        free(s);
        return push_error(L, UV_ENOMEM);
    }
    s->worker = worker;
    s->token = token;
    s->ready.report = report;
    s->handle.data = s;
    uv_signal_init(&worker->poller.loop, &s->handle);
    *box = s;
    int err = uv_signal_start(&s->handle, on_signal, number);
    if (err != 0) {
        signal_close(s);
        *box = NULL;
        return push_error(L, err);
    }
    lua_pushinteger(L, (lua_Integer)token);
    return 2;
}

// unwatch_signal(box), and its __gc. Idempotent.
static int l_unwatch_signal(lua_State *L)
{
    Signal **box = luaL_checkudata(L, 1, SIGNAL_TYPE);
    if (*box != NULL) {
        signal_close(*box);
        *box = NULL;
    }
    return 0;
}

void signals_register(lua_State *L, Worker *worker)
{
    luaL_newmetatable(L, SIGNAL_TYPE);
    lua_pushcfunction(L, l_unwatch_signal);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_pushlightuserdata(L, worker);
    lua_pushcclosure(L, l_watch_signal, 1);
    lua_setfield(L, -2, "watch_signal");
    lua_pushcfunction(L, l_unwatch_signal);
    lua_setfield(L, -2, "unwatch_signal");
}
