// address.h: socket addresses, to and from what scripts write.
#pragma once

#include <lua.h>
#include <stddef.h>
#include <sys/socket.h>

typedef struct Address {
    struct sockaddr_storage storage;
    socklen_t length;
} Address;

// From an IP literal ("127.0.0.1", "::1", "fe80::1%eth0") and a port; -EINVAL if it is
// none.
int address_ip(Address *a, const char *ip, int port);

// From a path, or "@name" for Linux's abstract namespace; -ENAMETOOLONG, or -EINVAL if
// empty.
int address_unix(Address *a, const char *path, size_t length);

// Pushes "ip:port" (IPv4 in IPv6 as IPv4), "[ip]:port", a path, "@name", or "" if
// unnamed.
void address_push(lua_State *L, const Address *a);

// Reads an address from a script's arguments: a string path at `arg` alone (the port is
// nil), or an IP literal and a port. Raises if they are not usable.
void check_address(lua_State *L, int arg, Address *a);

// Adds host.is_ip(s), which is 4, 6 or nil.
void address_register(lua_State *L);
