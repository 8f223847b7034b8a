// stuck.c: what is said, and done, when no line of Lua can run.
//
// The second thread cannot look into Lua while the first runs it. What it knows is where
// the last signal has found that one.

#include "stuck.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

void stuck_note_place(Stuck *stuck, const void *context)
{
    const ucontext_t *u = context;
    void *place = NULL;
#if defined(__x86_64__)
    memcpy(&place, &u->uc_mcontext.gregs[REG_RIP], sizeof(place));
#elif defined(__aarch64__)
    memcpy(&place, &u->uc_mcontext.pc, sizeof(place));
#else
    (void)u;
#endif
    atomic_store(&stuck->place, place);
}

// Where the loop's thread was, for people: the function of a library that has a name, or
// the library; or nothing that was loaded, which is code that LuaJIT has made.
static const char *describe_place(void *place)
{
    Dl_info info;
    if (place == NULL || dladdr(place, &info) == 0) {
        return "a compiled loop";
    }
    return info.dli_sname != NULL ? info.dli_sname : info.dli_fname;
}

static void say(Stuck *stuck, const char *what, double seconds)
{
    char line[400];
    int n =
        snprintf(line, sizeof(line), "lagoon: %s for %.1f s: process %d is in %s\n", what,
                 seconds, (int)getpid(), describe_place(atomic_load(&stuck->place)));
    size_t size = (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1;
    ssize_t written = write(STDERR_FILENO, line, size);
    (void)written; // there is nobody left to tell
}

// Nothing of Lua has run since a signal was sent: it is in C, or in compiled code.
static void report(Stuck *stuck, double seconds)
{
    if (!stuck->has_reported && seconds >= stuck->report_after) {
        stuck->has_reported = true;
        say(stuck, "no line of Lua could run", seconds);
    }
    if (stuck->abort_after > 0 && seconds >= stuck->abort_after) {
        say(stuck, "aborting: nothing could run", seconds);
        abort();
    }
}

void stuck_look(Stuck *stuck, bool is_armed, double seconds)
{
    if (!is_armed) {
        stuck->has_reported = false;
        stuck->armed_at = seconds;
    } else if (stuck->armed_at > seconds) {
        stuck->armed_at = 0; // there was a beat between
    } else if (seconds > 0) {
        report(stuck, seconds - stuck->armed_at);
    }
}
