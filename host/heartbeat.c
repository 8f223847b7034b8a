// heartbeat.c: a second thread that notices when the loop's thread makes no progress.
//
// Going to sleep. The thread sets is_asleep, and then looks once more whether the poller
// waits; the poller clears is_waiting, and then looks at is_asleep. Both are in the one
// order of sequentially consistent operations, so one of the two sees the other.

#include "heartbeat.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

// Until the poller wakes, or it is time to quit. With the mutex.
static void sleep_long(Heartbeat *h)
{
    atomic_store(&h->is_asleep, true);
    while (atomic_load(&h->is_waiting) && !atomic_load(&h->quits) &&
           atomic_load(&h->is_asleep)) {
        pthread_cond_wait(&h->condition, &h->mutex);
    }
    atomic_store(&h->is_asleep, false);
}

static void sleep_period(Heartbeat *h, uint32_t us)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)us * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int err = 0;
    while (err != ETIMEDOUT && !atomic_load(&h->quits) &&
           atomic_load(&h->period_us) == us) {
        err = pthread_cond_timedwait(&h->condition, &h->mutex, &until);
    }
}

static void *run(void *arg)
{
    Heartbeat *h = arg;
    uint_fast32_t last = atomic_load(&h->beats);
    double late = 0;
    pthread_mutex_lock(&h->mutex);
    while (!atomic_load(&h->quits)) {
        uint32_t us = (uint32_t)atomic_load(&h->period_us);
        sleep_period(h, us);
        if (atomic_load(&h->period_us) != us) {
            continue;
        }
        uint_fast32_t beats = atomic_load(&h->beats);
        if (beats != last) {
            last = beats;
            late = 0;
            if (atomic_load(&h->calls_always)) {
                h->late(h, 0);
            }
        } else if (atomic_load(&h->is_waiting)) {
            late = 0;
            sleep_long(h);
        } else {
            late += us * 1e-6;
            h->late(h, late);
        }
    }
    pthread_mutex_unlock(&h->mutex);
    return NULL;
}

static int start_thread(Heartbeat *h)
{
    // Signals are for the loop's thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&h->thread, NULL, run, h);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

int heartbeat_start(Heartbeat *h, uint32_t period_us,
                    void (*late)(Heartbeat *heartbeat, double seconds))
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&h->condition, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&h->mutex, NULL);
    h->late = late;
    atomic_store(&h->period_us, period_us);
    int err = start_thread(h);
    h->has_thread = err == 0;
    return err;
}

static void wake(Heartbeat *h)
{
    pthread_mutex_lock(&h->mutex);
    pthread_cond_signal(&h->condition);
    pthread_mutex_unlock(&h->mutex);
}

void heartbeat_stop(Heartbeat *h)
{
    if (!h->has_thread) {
        return;
    }
    atomic_store(&h->quits, true);
    wake(h);
    pthread_join(h->thread, NULL);
    pthread_cond_destroy(&h->condition);
    pthread_mutex_destroy(&h->mutex);
    h->has_thread = false;
}

void heartbeat_set_period(Heartbeat *h, uint32_t period_us)
{
    atomic_store(&h->period_us, period_us);
    if (h->has_thread) {
        wake(h);
    }
}

void heartbeat_rest(Heartbeat *h)
{
    heartbeat_beat(h);
    atomic_store_explicit(&h->is_waiting, true, memory_order_release);
}

void heartbeat_go_on(Heartbeat *h)
{
    heartbeat_beat(h);
    atomic_store(&h->is_waiting, false);
    if (atomic_load(&h->is_asleep)) {
        atomic_store(&h->is_asleep, false);
        wake(h);
    }
}
