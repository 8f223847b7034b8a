// worker.c: makes, runs and takes apart one worker.

#include "worker.h"
#include "address.h"
#include "conn.h"
#include "interrupt.h"
#include "library.h"
#include "line.h"
#include "listener.h"
#include "misuse.h"
#include "resolve.h"
#include "runtime.h"
#include "signals.h"
#include "site.h"
#include "watch.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// Everything that lua/lagoon may call, in one table, which no script can get at by a
// global.
static void push_host(lua_State *L, Worker *worker)
{
    lua_newtable(L);
    misuse_register(L);
    site_register(L);
    interrupt_register(L, worker);
    library_register(L);
    runtime_register(L, worker);
    address_register(L);
    conn_register(L);
    inbox_type_register(L);
    listener_register(L, worker);
    connect_register(L, worker);
    resolve_register(L, worker);
    signals_register(L, worker);
    watch_register(L, worker);
    line_register(L);
}

// Only an error outside of every pcall gets here: a broken invariant of ours.
static int panic(lua_State *L)
{
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "lagoon: panic: %s\n", message == NULL ? "?" : message);
    abort();
}

Worker *worker_new(void)
{
    Worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        fprintf(stderr, "lagoon: out of memory\n");
        return NULL;
    }
    int err = poller_init(&worker->poller);
    if (err != 0) {
        fprintf(stderr, "lagoon: cannot make an event loop: %s\n", uv_strerror(err));
        free(worker);
        return NULL;
    }
    worker->L = luaL_newstate();
    if (worker->L == NULL) {
        fprintf(stderr, "lagoon: out of memory\n");
        poller_close(&worker->poller);
        free(worker);
        return NULL;
    }
    worker->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    lua_atpanic(worker->L, panic);
    luaL_openlibs(worker->L);
    return worker;
}

static int traceback(lua_State *L)
{
    luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

// Leaves the library's first chunk on the stack.
static int l_load_boot(lua_State *L)
{
    library_load(L, "lagoon.boot");
    return 1;
}

static int l_push_host(lua_State *L)
{
    push_host(L, lua_touserdata(L, 1));
    return 1;
}

static int report_error(lua_State *L)
{
    fprintf(stderr, "lagoon: %s\n", lua_tostring(L, -1));
    lua_settop(L, 0);
    return EXIT_FAILURE;
}

int worker_run(Worker *worker, int argc, char **argv)
{
    lua_State *L = worker->L;
    interrupt_start(worker);
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, l_load_boot);
    if (lua_pcall(L, 0, 1, 0) != 0) {
        return report_error(L);
    }
    lua_pushcfunction(L, l_push_host);
    lua_pushlightuserdata(L, worker);
    if (lua_pcall(L, 1, 1, 0) != 0) {
        return report_error(L);
    }
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    if (lua_pcall(L, 2, 1, 1) != 0) {
        return report_error(L);
    }
    int status = (int)lua_tointeger(L, -1);
    lua_settop(L, 0);
    return status;
}

void worker_free(Worker *worker)
{
    lua_State *L = worker->L;
    interrupt_stop(worker);
    lua_close(L); // every box's __gc closes its handle
    worker->L = NULL;
    poller_close(&worker->poller);
    if (worker->reserve_fd >= 0) {
        close(worker->reserve_fd);
    }
    free(worker);
}
