// heartbeat.h: a second thread that notices when the loop's thread makes no progress.
//
// Each call of poller_wait() is a beat. As long as beats come, or the poller sleeps, the
// thread does nothing but look now and then; while the poller sleeps for long, it sleeps
// too. When none has come for a while it calls late(), again and again until one comes.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Heartbeat Heartbeat;

struct Heartbeat {
    pthread_t thread;
    pthread_mutex_t mutex; // for the condition, and nothing else
    pthread_cond_t condition;
    bool has_thread;
    atomic_uint_fast32_t beats;
    atomic_bool is_waiting; // the poller sleeps
    atomic_bool is_asleep;  // the thread does
    atomic_bool quits;
    atomic_uint_fast32_t
        period_us; // between two looks; late() comes after one without a beat
    atomic_bool
        calls_always; // late() comes every period in which the poller did not sleep
    // Called in the thread; `seconds`: since the last beat, to a period; 0 if there was
    // one.
    void (*late)(Heartbeat *heartbeat, double seconds);
};

// Starts the thread. 0, or an errno.
int heartbeat_start(Heartbeat *h, uint32_t period_us,
                    void (*late)(Heartbeat *heartbeat, double seconds));

// Ends it, if it was started.
void heartbeat_stop(Heartbeat *h);

// Sets the period. From the loop's thread.
void heartbeat_set_period(Heartbeat *h, uint32_t period_us);

// For the poller: it goes to sleep, and: it is awake. Each is a beat.
void heartbeat_rest(Heartbeat *h);
void heartbeat_go_on(Heartbeat *h);

// For the poller: it has looked without sleeping.
static inline void heartbeat_beat(Heartbeat *h)
{
    uint_fast32_t beats = atomic_load_explicit(&h->beats, memory_order_relaxed);
    atomic_store_explicit(&h->beats, beats + 1, memory_order_relaxed);
}
