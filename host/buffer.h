// buffer.h: bytes that arrived and were not consumed yet. It holds memory only while it
// holds bytes: a conn that waits costs no buffer.
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef struct BufferBlock {
    size_t start, end, cap; // the bytes are data[start .. end)
    char data[];
} BufferBlock;

// Zeroed, it is empty. Its block is NULL exactly when it is.
typedef struct Buffer {
    BufferBlock *block;
} Buffer;

static inline size_t buffer_len(const Buffer *b)
{
    return b->block == NULL ? 0 : b->block->end - b->block->start;
}

// Of a buffer that is not empty.
static inline const char *buffer_bytes(const Buffer *b)
{
    return b->block->data + b->block->start;
}

// Adds n bytes; false, and nothing added, if out of memory.
bool buffer_append(Buffer *b, const char *bytes, size_t n);

// Drops the first n bytes (n <= length); frees the memory when none are left.
void buffer_consume(Buffer *b, size_t n);

// Where `delim` (n >= 1 bytes) begins, at or after offset `from`; -1 if nowhere.
ptrdiff_t buffer_find(const Buffer *b, const char *delim, size_t n, size_t from);

// Frees everything; the buffer is empty and may be used again.
void buffer_free(Buffer *b);
