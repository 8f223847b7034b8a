// buffer.c: a contiguous queue of bytes, moved to the front only when it must grow.

#include "buffer.h"

#include <stdlib.h>
#include <string.h>

bool buffer_append(Buffer *b, const char *bytes, size_t n)
{
    if (n == 0) {
        return true;
    }
    size_t len = buffer_len(b);
    if (b->end + n > b->cap) {
        // Sliding down is cheap while at least half of the memory is free in front.
        if (b->start >= b->cap / 2 && len + n <= b->cap) {
            memmove(b->data, b->data + b->start, len);
        } else {
            size_t cap = len + n < 2 * len ? 2 * len : len + n;
            char *grown = malloc(cap);
            if (grown == NULL) {
                return false;
            }
            if (len > 0) {
                memcpy(grown, b->data + b->start, len);
            }
            free(b->data);
            b->data = grown;
            b->cap = cap;
        }
        b->start = 0;
        b->end = len;
    }
    memcpy(b->data + b->end, bytes, n);
    b->end += n;
    return true;
}

void buffer_consume(Buffer *b, size_t n)
{
    b->start += n;
    if (b->start == b->end) {
        buffer_free(b);
    }
}

ptrdiff_t buffer_find(const Buffer *b, const char *delim, size_t n, size_t from)
{
    size_t len = buffer_len(b);
    if (from >= len || len - from < n) {
        return -1;
    }
    const char *base = buffer_bytes(b);
    const char *at = memmem(base + from, len - from, delim, n);
    return at == NULL ? -1 : at - base;
}

void buffer_free(Buffer *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}
