// stuck.h: what is said, and done, when no line of Lua can run: the process is in a C
// function, or in a loop that was compiled so that nothing can interrupt it.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

typedef struct Stuck {
    double report_after, abort_after; // seconds; abort_after is 0 for never
    _Atomic(void *) place;            // where the last signal has found the loop's thread
    // Of the heartbeat's thread: when the hook was armed, in seconds since the last beat;
    // and whether it was said.
    double armed_at;
    bool has_reported;
} Stuck;

// In a signal handler of the loop's thread, with its context: notes where that is.
void stuck_note_place(Stuck *stuck, const void *context);

// In the heartbeat's thread, once a period. is_armed: the hook waits to run. seconds:
// since the last beat; 0 if there was one. Does not return if the process is to be
// aborted.
void stuck_look(Stuck *stuck, bool is_armed, double seconds);
