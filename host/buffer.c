// buffer.c: a contiguous queue of bytes, moved to the front only when it must grow.

#include "buffer.h"

#include <stdlib.h>
#include <string.h>

// Makes room for n more bytes behind the ones that are there; false if out of memory.
static bool reserve(Buffer *b, size_t n)
{
    BufferBlock *block = b->block;
    size_t len = buffer_len(b);
    if (block != NULL && block->end + n <= block->cap) {
        return true;
    }
    // Sliding down is cheap while at least half of the memory is free in front.
    if (block != NULL && block->start >= block->cap / 2 && len + n <= block->cap) {
        memmove(block->data, block->data + block->start, len);
        block->start = 0;
        block->end = len;
        return true;
    }
    size_t cap = len + n < 2 * len ? 2 * len : len + n;
    BufferBlock *grown = malloc(sizeof(*grown) + cap);
    if (grown == NULL) {
        return false;
    }
    if (len > 0) {
        memcpy(grown->data, block->data + block->start, len);
    }
    *grown = (BufferBlock){.end = len, .cap = cap};
    free(block);
    b->block = grown;
    return true;
}

bool buffer_append(Buffer *b, const char *bytes, size_t n)
{
    if (n == 0) {
        return true;
    }
    if (!reserve(b, n)) {
        return false;
    }
    memcpy(b->block->data + b->block->end, bytes, n);
    b->block->end += n;
    return true;
}

void buffer_consume(Buffer *b, size_t n)
{
    b->block->start += n;
    if (b->block->start == b->block->end) {
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
    free(b->block);
    b->block = NULL;
}
