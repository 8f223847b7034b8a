// interrupt.c: interrupting Lua code that runs for long, compiled loops too.
//
// A count hook fires between two instructions of the interpreter. Compiled code never
// gets there, unless LuaJIT's profiler is on in mode "l": then traces look at a flag at
// every new line, which the profiler's own signal handler sets. That costs some percent,
// so it is on only once a script wants something that depends on it: watch_compiled().
// The profiler's timer is not used. Its signal, SIGPROF, comes from the heartbeat's
// thread.
//
// lua_sethook() is what lua.c calls from its signal handler, too. Where it does not reach
// (LuaJIT restores the hook around a callback of the profiler) the next signal does it
// again.
//
// The hook never interrupts the library: it comes back until a function of a script runs.

#include "interrupt.h"
#include "misuse.h"

#include <errno.h>
#include <lauxlib.h>
#include <luajit.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

// Instructions until the hook looks again whether it may act, and how often it does in
// library code, which must come to its end.
enum {
    AT_ONCE = 1,
    SOON = 97,
    MAX_TRIES = 300,
    DEEP = 200, // frames: LuaJIT's stack has room for 250 of the largest
};

// Signal handlers have no argument of their own.
static Worker *watched;

// Their addresses are the keys of functions in the registry.
static const char on_interrupt_key, on_sample_key;

static double now(void)
{
    return (double)uv_hrtime() * 1e-9;
}

// Puts our hook in the place of the script's, if it has one.
static void arm(lua_State *L, int count);

// Puts the script's hook back.
static void disarm(lua_State *L, Interrupt *i)
{
    lua_sethook(L, i->other, i->other_mask, i->other_count);
    i->other = NULL;
    i->other_mask = 0;
}

static bool is_library(lua_State *L, lua_Debug *ar)
{
    lua_getinfo(L, "S", ar);
    return strncmp(ar->source, LIBRARY_CHUNK, sizeof(LIBRARY_CHUNK) - 1) == 0;
}

// Pushes, for Lua, the coroutine that was interrupted. Where a stack has overflowed, and
// the error is being handled, LuaJIT may crash when it is asked for the line of a
// function on it: of one that is deep enough for that, only where the innermost function
// begins is told, as a string.
static void push_place(lua_State *asker, lua_State *L, lua_Debug *ar)
{
    lua_Debug deep;
    if (lua_getstack(L, DEEP, &deep) != 0) {
        lua_pushfstring(asker, "%s:%d", ar->short_src, ar->linedefined);
    } else {
        lua_pushthread(L);
        lua_xmove(L, asker, 1);
    }
}

// Asks Lua: verdict, value, on the stack of L. NULL if there is nothing to do. It is
// asked in a thread of its own, since the stack that was interrupted may be full.
// is_library() has filled `ar`.
static const char *ask(lua_State *L, Worker *worker, lua_Debug *ar)
{
    lua_State *asker = worker->interrupt.asker;
    lua_pushlightuserdata(asker, (void *)&on_interrupt_key);
    lua_rawget(asker, LUA_REGISTRYINDEX);
    lua_pushnumber(asker, now() - worker->interrupt.armed_at);
    lua_pushboolean(asker, lua_isyieldable(L));
    if (worker->memory.is_over) {
        lua_pushnumber(asker, worker->interrupt.over_run);
    } else {
        lua_pushnil(asker);
    }
    push_place(asker, L, ar);
    const char *verdict = NULL;
    if (lua_pcall(asker, 4, 2, 0) != 0) {
        fprintf(stderr, "lagoon: the watchdog has failed: %s\n", lua_tostring(asker, -1));
    } else if (!lua_isnil(asker, 1)) {
        lua_xmove(asker, L, 2);
        verdict = lua_tostring(L, -2);
    }
    lua_settop(asker, 0);
    return verdict;
}

// Has Lua look at the stack. It allocates, maybe in the middle of something of the
// library's: no finalizer may run there.
static void take_sample(lua_State *L)
{
    bool is_running = lua_gc(L, LUA_GCISRUNNING, 0) != 0;
    lua_gc(L, LUA_GCSTOP, 0);
    lua_pushlightuserdata(L, (void *)&on_sample_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (lua_pcall(L, 0, 0, 0) != 0) {
        lua_pop(L, 1); // the sample is lost: the stack is full, say
    }
    if (is_running) {
        lua_gc(L, LUA_GCRESTART, 0);
    }
}

// The hook has met the library. The script may be in compiled code next: that is to be
// left at once, too.
static void come_back(lua_State *L, Interrupt *i)
{
    if (i->is_ending || i->tries < MAX_TRIES) {
        i->tries++;
        if (i->profiler_handler != NULL) {
            i->profiler_handler(SIGPROF);
        }
        arm(L, AT_ONCE);
    } else { // a long piece of library code: the next signal tries again
        atomic_store(&i->is_armed, false);
        disarm(L, i);
    }
}

static void hook(lua_State *L, lua_Debug *ar)
{
    Worker *worker = watched;
    if (worker == NULL || !lua_checkstack(L, LUA_MINSTACK)) {
        return;
    }
    Interrupt *i = &worker->interrupt;
    if (i->wants_sample) {
        i->wants_sample = false;
        take_sample(L);
    }
    if (is_library(L, ar)) {
        come_back(L, i);
        return;
    }
    i->is_ending = false;
    i->tries = 0;
    atomic_store(&i->is_armed, false);
    disarm(L, i);
    const char *verdict = ask(L, worker, ar);
    if (verdict == NULL) {
        return;
    }
    if (verdict[0] == 'y') { // "yield"
        lua_pop(L, 2);
        lua_yield(L, 0);
        return;
    }
    if (verdict[0] == 'e') { // "end": whatever it catches, until it is dead
        i->is_ending = true;
        arm(L, AT_ONCE);
    } else if (verdict[0] == 'w') { // "wait": not here
        arm(L, SOON);
        lua_pop(L, 2);
        return;
    }
    lua_error(L); // the value
}

static void arm(lua_State *L, int count)
{
    Interrupt *i = &watched->interrupt;
    if (lua_gethook(L) != hook) {
        i->other = lua_gethook(L);
        i->other_mask = lua_gethookmask(L);
        i->other_count = lua_gethookcount(L);
    }
    lua_sethook(L, hook, LUA_MASKCOUNT, count);
}

// In the loop's thread, at any time.
static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)info;
    int saved = errno;
    Worker *worker = watched;
    if (worker != NULL) {
        Interrupt *i = &worker->interrupt;
        stuck_note_place(&worker->stuck, context);
        if (i->profiler_handler != NULL) {
            i->profiler_handler(number);
        }
        i->wants_sample = atomic_load(&i->is_sampling);
        if (!atomic_exchange(&i->is_armed, true)) {
            i->armed_at = now();
            i->tries = 0;
        }
        arm(worker->L, AT_ONCE);
    }
    errno = saved;
}

// In the heartbeat's thread.
static void on_late(Heartbeat *heartbeat, double seconds)
{
    Worker *worker = (Worker *)((char *)heartbeat - offsetof(Worker, poller.heartbeat));
    Interrupt *i = &worker->interrupt;
    stuck_look(&worker->stuck, atomic_load(&i->is_armed), seconds);
    pthread_kill(i->main_thread, SIGPROF);
}

static void handle_signal(struct sigaction *before)
{
    struct sigaction ours = {.sa_sigaction = on_signal,
                             .sa_flags = SA_RESTART | SA_SIGINFO};
    sigaction(SIGPROF, &ours, before);
}

void interrupt_start(Worker *worker)
{
    Interrupt *i = &worker->interrupt;
    i->main_thread = pthread_self();
    watched = worker;
    handle_signal(NULL);
    if (heartbeat_start(&worker->poller.heartbeat, 50 * 1000, on_late) != 0) {
        fprintf(stderr, "lagoon: no thread for the watchdog: tasks are not watched\n");
    }
}

void interrupt_stop(Worker *worker)
{
    heartbeat_stop(&worker->poller.heartbeat);
    signal(SIGPROF, SIG_IGN);
    if (worker->interrupt.profiler_handler != NULL) {
        luaJIT_profile_stop(worker->L);
        worker->interrupt.profiler_handler = NULL;
    }
    lua_sethook(worker->L, NULL, 0, 0);
    memory_set_cap(&worker->memory, worker->L, 0);
    watched = NULL;
}

// Has the hook called at once.
static void interrupt(Worker *worker)
{
    if (worker->interrupt.profiler_handler != NULL) {
        worker->interrupt.profiler_handler(SIGPROF);
    }
    atomic_store(&worker->interrupt.is_armed, true);
    worker->interrupt.armed_at = now();
    arm(worker->L, AT_ONCE);
}

// More memory is taken than there should be: in an allocation.
static void request(void *arg)
{
    Worker *worker = arg;
    // The second upvalue of sched.run, the number of the run: no memory is needed for
    // this.
    lua_State *reader = worker->interrupt.reader;
    lua_getupvalue(reader, 1, 2);
    worker->interrupt.over_run = lua_tonumber(reader, -1);
    lua_settop(reader, 1);
    interrupt(worker);
}

static Worker *worker_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

// on_interrupt(f, run): f(armed_for, can_yield, over_run, place) -> nil | "raise", err |
// "end", err | "yield" | "wait" is what the hook asks. armed_for: seconds that the hook
// could not run for; over_run: the number of the run by which Lua has more memory than
// its cap, or nil; place: see push_place(). run: a function whose second upvalue is that
// number.
static int l_on_interrupt(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_State *reader = lua_newthread(L);
    luaL_ref(L, LUA_REGISTRYINDEX); // for as long as L lives
    lua_xmove(L, reader, 1);
    worker_of(L)->interrupt.reader = reader;
    lua_pushlightuserdata(L, (void *)&on_interrupt_key);
    lua_insert(L, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 0;
}

// interrupt(): on_interrupt's function is asked at the next instruction of a script.
static int l_interrupt(lua_State *L)
{
    interrupt(worker_of(L));
    return 0;
}

// set_memory_cap(bytes): 0 for none.
static int l_set_memory_cap(lua_State *L)
{
    Worker *worker = worker_of(L);
    worker->memory.over = request;
    worker->memory.watcher = worker;
    memory_set_cap(&worker->memory, L, (size_t)luaL_checknumber(L, 1));
    return 0;
}

// is_memory_short() -> whether more than three quarters of the cap is left when all
// garbage is collected, which it does.
static int l_is_memory_short(lua_State *L)
{
    lua_pushboolean(L, memory_is_short(&worker_of(L)->memory, L));
    return 1;
}

// set_watch(period, report_after, abort_after): seconds. Lua that runs for longer than a
// period is interrupted once a period; what is stuck outside of Lua is reported, and
// aborted, unless abort_after is 0.
static int l_set_watch(lua_State *L)
{
    Stuck *stuck = &worker_of(L)->stuck;
    heartbeat_set_period(&worker_of(L)->poller.heartbeat,
                         (uint32_t)(luaL_checknumber(L, 1) * 1e6));
    stuck->report_after = luaL_checknumber(L, 2);
    stuck->abort_after = luaL_checknumber(L, 3);
    return 0;
}

// set_sampler(f): f() is called in each period in which something runs, to look at the
// stack; nil for no more. It must not wait, nor change anything of the library's.
static int l_set_sampler(lua_State *L)
{
    Worker *worker = worker_of(L);
    bool is_on = lua_isfunction(L, 1) != 0;
    atomic_store(&worker->interrupt.is_sampling, is_on);
    atomic_store(&worker->poller.heartbeat.calls_always, is_on);
    lua_settop(L, 1);
    lua_pushlightuserdata(L, (void *)&on_sample_key);
    lua_insert(L, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return 0;
}

static void ignore_sample(void *data, lua_State *L, int samples, int vmstate)
{
    (void)data;
    (void)L;
    (void)samples;
    (void)vmstate;
}

// watch_compiled(): from now on loops are compiled so that they can be interrupted.
static int l_watch_compiled(lua_State *L)
{
    Interrupt *i = &worker_of(L)->interrupt;
    if (i->profiler_handler != NULL) {
        return 0;
    }
    luaJIT_profile_start(L, "li1000", ignore_sample, NULL);
    struct itimerval none = {{0, 0}, {0, 0}};
    setitimer(ITIMER_PROF, &none, NULL);
    struct sigaction theirs;
    handle_signal(&theirs);
    i->profiler_handler = theirs.sa_handler;
    return 0;
}

static const luaL_Reg functions[] = {
    {"on_interrupt", l_on_interrupt},
    {"set_watch", l_set_watch},
    {"watch_compiled", l_watch_compiled},
    {"set_sampler", l_set_sampler},
    {"interrupt", l_interrupt},
    {"set_memory_cap", l_set_memory_cap},
    {"is_memory_short", l_is_memory_short},
    {NULL, NULL},
};

void interrupt_register(lua_State *L, Worker *worker)
{
    worker->interrupt.asker = lua_newthread(L);
    luaL_ref(L, LUA_REGISTRYINDEX); // for as long as L lives
    lua_pushlightuserdata(L, worker);
    luaL_setfuncs(L, functions, 1);
}
