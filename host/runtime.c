// runtime.c: what lua/lagoon/sched.lua and runtime.lua are built on.

#include "runtime.h"
#include "misuse.h"

#include <dirent.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static Worker *worker_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

// now() -> seconds, monotonic (CLOCK_MONOTONIC).
static int l_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)uv_hrtime() * 1e-9);
    return 1;
}

// poll(seconds, batch) -> number of entries: see poller_wait().
static int l_poll(lua_State *L)
{
    Worker *worker = worker_of(L);
    double seconds = luaL_checknumber(L, 1);
    lua_pushinteger(L, poller_wait(&worker->poller, L, seconds, 2));
    return 1;
}

// Descriptors open in this process, by /proc/self/fd; -1 where there is no such thing.
static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL) {
        return -1;
    }
    int n = -3; // "." and ".." and the directory itself
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n;
}

static void put(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

// The same when there is no descriptor left to count with: the reserve lends its own.
static int count_fds_at_limit(Worker *w)
{
    int n = count_fds();
    if (n < 0 && w->reserve_fd >= 0) {
        close(w->reserve_fd);
        n = count_fds();
        w->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        n = n < 0 ? n : n + 1;
    }
    return n;
}

// figures() -> a table of what the host counts.
static int l_figures(lua_State *L)
{
    Worker *w = worker_of(L);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    lua_createtable(L, 0, 12);
    put(L, "conns", w->conns);
    put(L, "listeners", w->listeners);
    put(L, "lookups", w->lookups);
    put(L, "accepted", (double)w->accepted);
    put(L, "dialed", (double)w->dialed);
    put(L, "shed", (double)w->shed);
    put(L, "collected", (double)w->collected);
    put(L, "polls", (double)w->poller.polls);
    put(L, "events", (double)w->poller.events);
    put(L, "fds", count_fds_at_limit(w));
    put(L, "fd_limit", (double)limit.rlim_cur);
    return 1;
}

// log(line): one line to stderr, in one write; never blocks on a lock, never fails.
static int l_log(lua_State *L)
{
    size_t n;
    luaL_checklstring(L, 1, &n);
    lua_pushvalue(L, 1);
    lua_pushliteral(L, "\n");
    lua_concat(L, 2); // two strings
    const char *line = lua_tolstring(L, -1, &n);
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; // there is nobody left to tell
    return 0;
}

// not_begun(coroutine) -> the function and the arguments that it will begin with, or what
// it has returned; nothing while it runs or waits, when it has frames for
// debug.getinfo().
static int l_not_begun(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    lua_Debug ar;
    if (co == NULL || co == L || lua_status(co) != 0 || lua_getstack(co, 0, &ar) != 0) {
        return 0;
    }
    int n = lua_gettop(co);
    if (!lua_checkstack(L, n) || !lua_checkstack(co, 1)) {
        return 0;
    }
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(co, i);
        lua_xmove(co, L, 1);
    }
    return n;
}

// is_terminal(fd)
static int l_is_terminal(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

static const luaL_Reg functions[] = {
    {"now", l_now}, {"poll", l_poll},           {"figures", l_figures},
    {"log", l_log}, {"not_begun", l_not_begun}, {"is_terminal", l_is_terminal},
    {NULL, NULL},
};

void runtime_register(lua_State *L, Worker *worker)
{
    lua_pushlightuserdata(L, worker);
    luaL_setfuncs(L, functions, 1);
    lua_pushliteral(L, LAGOON_VERSION);
    lua_setfield(L, -2, "version");
    lua_pushstring(L, uv_version_string());
    lua_setfield(L, -2, "uv_version");
}
