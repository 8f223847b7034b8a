// resolve.c: getaddrinfo(3) on libuv's thread pool: the system's own answer, with
// /etc/hosts and nsswitch. A look-up that nobody waits for any more runs on to its end,
// since the pool's thread cannot be stopped, and is then dropped.
//
// Ownership. A Lookup belongs to libuv until on_resolved(), then to its report, which
// frees it. At shutdown the loop is drained after the Lua state has gone: on_resolved()
// frees it.

#include "resolve.h"
#include "result.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <netdb.h>
#include <stdlib.h>

enum {
    MAX_ADDRESSES = 32
};

typedef struct Lookup {
    uv_getaddrinfo_t request;
    Ready ready;
    Worker *worker;
    uint32_t token;
    int status;
    struct addrinfo *result;
    bool forgotten;
} Lookup;

static void lookup_free(Lookup *l)
{
    l->worker->lookups--;
    poller_unmark(&l->ready);
    poller_return_tokens(&l->worker->poller, l->token);
    uv_freeaddrinfo(l->result);
    free(l);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *result)
{
    Lookup *l = (Lookup *)request->data;
    l->status = status;
    l->result = result;
    if (l->forgotten || l->worker->L == NULL) {
        lookup_free(l);
    } else {
        poller_mark(&l->worker->poller, &l->ready);
    }
}

// The addresses as IP literals, in the order of getaddrinfo, RFC 6724.
static int format(const struct addrinfo *at, char (*out)[INET6_ADDRSTRLEN])
{
    int n = 0;
    for (; at != NULL && n < MAX_ADDRESSES; at = at->ai_next) {
        if (at->ai_family == AF_INET) {
            const struct sockaddr_in *in = (const struct sockaddr_in *)at->ai_addr;
            inet_ntop(AF_INET, &in->sin_addr, out[n++], INET6_ADDRSTRLEN);
        } else if (at->ai_family == AF_INET6) {
            const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)at->ai_addr;
            inet_ntop(AF_INET6, &in6->sin6_addr, out[n++], INET6_ADDRSTRLEN);
        }
    }
    return n;
}

static void report(Ready *ready, Batch *batch)
{
    Lookup *l = (Lookup *)((char *)ready - offsetof(Lookup, ready));
    char addresses[MAX_ADDRESSES][INET6_ADDRSTRLEN];
    int n = format(l->result, addresses);
    int status = l->status;
    uint32_t token = l->token;
    lookup_free(l); // before anything that may raise

    lua_State *L = batch->L;
    if (status != 0) {
        push_error(L, status);
    } else {
        lua_createtable(L, n, 0);
        for (int i = 0; i < n; i++) {
            lua_pushstring(L, addresses[i]);
            lua_rawseti(L, -2, i + 1);
        }
        lua_pushnil(L);
    }
    batch_add(batch, token);
}

// resolve(name) -> token, handle | nil, code. The report brings an array of IP literals,
// or nil and "EAI_NONAME", "EAI_AGAIN", ...
static int l_resolve(lua_State *L)
{
    Worker *worker = lua_touserdata(L, lua_upvalueindex(1));
    const char *name = luaL_checkstring(L, 1);
    Lookup *l = calloc(1, sizeof(*l));
    uint32_t token = l == NULL ? 0 : poller_take_tokens(&worker->poller);
    if (token == 0) {
        free(l);
        return push_error(L, UV_ENOMEM);
    }
    l->worker = worker;
    l->token = token;
    l->ready.report = report;
    l->request.data = l;
    worker->lookups++;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int err = uv_getaddrinfo(&worker->poller.loop, &l->request, on_resolved, name, NULL,
                             &hints);
    if (err != 0) {
        lookup_free(l);
        return push_error(L, err);
    }
    lua_pushinteger(L, (lua_Integer)token);
    lua_pushlightuserdata(L, l);
    return 2;
}

// forget_resolve(handle): its result is not wanted any more. Once, before its report.
static int l_forget_resolve(lua_State *L)
{
    Lookup *l = lua_touserdata(L, 1);
    if (l->ready.next != NULL) {
        lookup_free(l); // it has ended and waits for the next batch
    } else {
        l->forgotten = true;
        uv_cancel((uv_req_t *)&l->request);
    }
    return 0;
}

void resolve_register(lua_State *L, Worker *worker)
{
    lua_pushlightuserdata(L, worker);
    lua_pushcclosure(L, l_resolve, 1);
    lua_setfield(L, -2, "resolve");
    lua_pushcfunction(L, l_forget_resolve);
    lua_setfield(L, -2, "forget_resolve");
}
