// address.c: ip(7), ipv6(7) and unix(7) addresses as text.

#include "address.h"
#include "misuse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <lauxlib.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

int address_ip(Address *a, const char *ip, int port)
{
    memset(a, 0, sizeof(*a));
    if (uv_ip4_addr(ip, port, (struct sockaddr_in *)&a->storage) == 0) {
        a->length = sizeof(struct sockaddr_in);
        return 0;
    }
    if (uv_ip6_addr(ip, port, (struct sockaddr_in6 *)&a->storage) == 0) {
        a->length = sizeof(struct sockaddr_in6);
        return 0;
    }
    return -EINVAL;
}

int address_unix(Address *a, const char *path, size_t length)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&a->storage;
    memset(a, 0, sizeof(*a));
    un->sun_family = AF_UNIX;
    if (length == 0 || (path[0] != '@' && memchr(path, '\0', length) != NULL)) {
        return -EINVAL;
    }
    // A path needs its NUL; an abstract name is as long as the address says.
    if (length + (path[0] == '@' ? 0 : 1) > sizeof(un->sun_path)) {
        return -ENAMETOOLONG;
    }
    memcpy(un->sun_path, path, length);
    if (path[0] == '@') {
        un->sun_path[0] = '\0';
        a->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    } else {
        a->length = sizeof(*un);
    }
    return 0;
}

static void push_ip6(lua_State *L, const struct sockaddr_in6 *in6)
{
    char ip[INET6_ADDRSTRLEN];
    char zone[IF_NAMESIZE + 1] = "";
    int port = ntohs(in6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], ip, sizeof(ip));
        lua_pushfstring(L, "%s:%d", ip, port);
        return;
    }
    inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
    if (in6->sin6_scope_id != 0 && if_indextoname(in6->sin6_scope_id, zone + 1) != NULL) {
        zone[0] = '%';
    }
    lua_pushfstring(L, "[%s%s]:%d", ip, zone, port);
}

static void push_unix(lua_State *L, const struct sockaddr_un *un, socklen_t length)
{
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    if (length <= offset) {
        lua_pushliteral(L, "");
        return;
    }
    if (un->sun_path[0] != '\0') {
        lua_pushlstring(L, un->sun_path, strnlen(un->sun_path, length - offset));
        return;
    }
    char name[sizeof(un->sun_path)];
    memcpy(name, un->sun_path, length - offset);
    name[0] = '@';
    lua_pushlstring(L, name, length - offset);
}

void address_push(lua_State *L, const Address *a)
{
    char ip[INET_ADDRSTRLEN];
    switch (a->storage.ss_family) {
    case AF_INET: {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->storage;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
        lua_pushfstring(L, "%s:%d", ip, ntohs(in->sin_port));
        break;
    }
    case AF_INET6:
        push_ip6(L, (const struct sockaddr_in6 *)&a->storage);
        break;
    case AF_UNIX:
        push_unix(L, (const struct sockaddr_un *)&a->storage, a->length);
        break;
    default:
        lua_pushliteral(L, "");
    }
}

void check_address(lua_State *L, int arg, Address *a)
{
    size_t length;
    const char *text = luaL_checklstring(L, arg, &length);
    int err = lua_isnoneornil(L, arg + 1)
                  ? address_unix(a, text, length)
                  : address_ip(a, text, (int)check_integer(L, arg + 1, "port", 0, 65535));
    if (err == -ENAMETOOLONG) {
        misuse(L, "the path of a unix socket has at most 107 bytes, got %d", (int)length);
    } else if (err != 0) {
        misuse(L, "not an address: '%s'", text);
    }
}

static int l_is_ip(lua_State *L)
{
    Address a;
    if (address_ip(&a, luaL_checkstring(L, 1), 0) != 0) {
        return 0;
    }
    lua_pushinteger(L, a.storage.ss_family == AF_INET ? 4 : 6);
    return 1;
}

void address_register(lua_State *L)
{
    lua_pushcfunction(L, l_is_ip);
    lua_setfield(L, -2, "is_ip");
}
