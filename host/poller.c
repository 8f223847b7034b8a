// poller.c: batches of ready things; the only uv_run.
//
// Invariant: a node is on the `marked` list exactly when its `next` is not NULL. report()
// is called after the node is taken off, so that it may mark itself again for a later
// batch.

#include "poller.h"

#include <assert.h>
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void on_timer(uv_timer_t *timer)
{
    // Its only purpose is to end uv_run(). Libuv 1.44 runs timers before it polls:
    // without this, a timer that is due by then would leave the poll with no time-out at
    // all.
    uv_stop(timer->loop);
}

int poller_init(Poller *p)
{
    memset(p, 0, sizeof(*p));
    p->marked.next = p->marked.prev = &p->marked;
    p->next_token = 1;
    p->scratch = malloc(POLLER_SCRATCH);
    if (p->scratch == NULL) {
        return UV_ENOMEM;
    }
    int err = uv_loop_init(&p->loop);
    if (err != 0) {
        free(p->scratch);
        return err;
    }
    uv_timer_init(&p->loop, &p->timer);
    return 0;
}

void poller_close(Poller *p)
{
    uv_close((uv_handle_t *)&p->timer, NULL);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    int err = uv_loop_close(&p->loop);
    assert(err == 0 && "a handle outlived the Lua state");
    (void)err;
    free(p->free_tokens);
    free(p->scratch);
}

uint32_t poller_take_tokens(Poller *p)
{
    if (p->free_count > 0) {
        return p->free_tokens[--p->free_count];
    }
    // Room for every token there is, so that giving one back cannot fail.
    if (p->next_token / 2 >= p->free_cap) {
        uint32_t cap = p->free_cap == 0 ? 64 : p->free_cap * 2;
        uint32_t *grown = realloc(p->free_tokens, cap * sizeof(*grown));
        if (grown == NULL) {
            return 0;
        }
        p->free_tokens = grown;
        p->free_cap = cap;
    }
    uint32_t token = p->next_token;
    p->next_token += 2;
    return token;
}

void poller_return_tokens(Poller *p, uint32_t token)
{
    assert(p->free_count < p->free_cap);
    p->free_tokens[p->free_count++] = token;
}

void poller_mark(Poller *p, Ready *ready)
{
    if (ready->next != NULL) {
        return;
    }
    Ready *last = p->marked.prev;
    ready->prev = last;
    ready->next = &p->marked;
    last->next = ready;
    p->marked.prev = ready;
}

void poller_unmark(Ready *ready)
{
    if (ready->next == NULL) {
        return;
    }
    ready->next->prev = ready->prev;
    ready->prev->next = ready->next;
    ready->next = ready->prev = NULL;
}

// Makes uv_run() return in `seconds` at the latest. A timer that is already due sooner is
// left alone: an early return costs one more turn, restarting it costs every turn.
static void arm_timer(Poller *p, double seconds)
{
    uint64_t ms = seconds > 1e9 ? (uint64_t)1e12 : (uint64_t)ceil(seconds * 1e3);
    uv_update_time(&p->loop);
    if (uv_is_active((uv_handle_t *)&p->timer) && uv_timer_get_due_in(&p->timer) <= ms) {
        return;
    }
    uv_timer_start(&p->timer, on_timer, ms, 0);
}

int poller_wait(Poller *p, lua_State *L, double seconds, int table)
{
    p->polls++;
    bool blocks = seconds != 0 && p->marked.next == &p->marked;
    if (blocks && seconds > 0) {
        arm_timer(p, seconds);
    }
    if (blocks) {
        heartbeat_rest(&p->heartbeat);
        uv_run(&p->loop, UV_RUN_ONCE);
        heartbeat_go_on(&p->heartbeat);
    } else {
        uv_run(&p->loop, UV_RUN_NOWAIT);
        heartbeat_beat(&p->heartbeat);
    }

    // A node that marks itself again while it reports waits for the next batch.
    Ready *last = p->marked.prev;
    Batch batch = {.L = L, .table = table};
    while (p->marked.next != &p->marked) {
        Ready *ready = p->marked.next;
        poller_unmark(ready);
        ready->report(ready, &batch);
        if (ready == last) {
            break;
        }
    }
    p->events += (uint64_t)batch.count / 3;
    return batch.count;
}

void batch_add(Batch *batch, uint32_t token)
{
    lua_rawseti(batch->L, batch->table, batch->count + 3);
    lua_rawseti(batch->L, batch->table, batch->count + 2);
    lua_pushinteger(batch->L, (lua_Integer)token);
    lua_rawseti(batch->L, batch->table, batch->count + 1);
    batch->count += 3;
}

void batch_add_flag(Batch *batch, uint32_t token, bool value)
{
    lua_pushboolean(batch->L, value);
    lua_pushnil(batch->L);
    batch_add(batch, token);
}
