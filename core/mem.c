#include "core/mem.h"

#include "core/text.h"

#include <stdlib.h>
#include <string.h>

enum {
    BLOCK_SIZE_MIN = 2048,
    BLOCK_SIZE_MAX = 64 * 1024, /* of a block that is shared by small allocations */
};

typedef struct ratoon__arena_block {
    struct ratoon__arena_block *next;
    size_t size, used;
    bool lent; /* not the arena's to free */
    max_align_t data[];
} arena_block;

static arena_block *block_new(size_t size)
{
    arena_block *block = malloc(sizeof *block + size);
    if (block != NULL) {
        *block = (arena_block){.size = size};
    }
    return block;
}

void ratoon__arena_lend(ratoon__arena *a, void *room, size_t size)
{
    arena_block *block = room;
    *block = (arena_block){.size = size - sizeof *block, .lent = true, .next = a->first};
    a->first = block;
}

static void block_free(arena_block *block)
{
    if (!block->lent) {
        free(block);
    }
}

/* A block that `size` bytes fit into; a large request gets one of its own behind the first, which
 * stays in use. */
static arena_block *block_for(ratoon__arena *a, size_t size)
{
    arena_block *first = a->first;
    if (first != NULL && first->size - first->used >= size) {
        return first;
    }
    size_t want = first == NULL ? BLOCK_SIZE_MIN : first->size * 2;
    want = want > BLOCK_SIZE_MAX ? BLOCK_SIZE_MAX : want;
    const bool own = size > want / 2;
    arena_block *block = block_new(own ? size : want);
    if (block == NULL) {
        return NULL;
    }
    if (own && first != NULL) {
        block->next = first->next;
        first->next = block;
    } else {
        block->next = first;
        a->first = block;
    }
    return block;
}

void *ratoon__arena_alloc(ratoon__arena *a, size_t size)
{
    const size_t unit = sizeof(max_align_t);
    if (size > SIZE_MAX / 2) {
        a->failed = true;
        return NULL;
    }
    const size_t rounded = size == 0 ? unit : (size + unit - 1) / unit * unit;
    arena_block *block = block_for(a, rounded);
    if (block == NULL) {
        a->failed = true;
        return NULL;
    }
    void *memory = (char *)block->data + block->used;
    block->used += rounded;
    return memset(memory, 0, rounded);
}

void *ratoon__arena_memdup(ratoon__arena *a, const void *data, size_t size)
{
    void *copy = ratoon__arena_alloc(a, size);
    if (copy != NULL && size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

char *ratoon__arena_strdup(ratoon__arena *a, const char *s)
{
    return s == NULL ? NULL : ratoon__arena_memdup(a, s, strlen(s) + 1);
}

void ratoon__arena_free(ratoon__arena *a)
{
    arena_block *block = a->first;
    while (block != NULL) {
        arena_block *next = block->next;
        block_free(block);
        block = next;
    }
    *a = (ratoon__arena){0};
}

void ratoon__arena_reset(ratoon__arena *a)
{
    arena_block *kept = a->first;
    if (kept == NULL || kept->size > BLOCK_SIZE_MAX) {
        ratoon__arena_free(a);
        return;
    }
    a->first = kept->next;
    ratoon__arena_free(a);
    kept->next = NULL;
    kept->used = 0;
    a->first = kept;
}

/* Room for `more` bytes and a NUL. */
static bool buf_reserve(ratoon__buf *b, size_t more)
{
    if (b->failed || more > SIZE_MAX / 4 - b->size) {
        b->failed = true;
        return false;
    }
    const size_t need = b->size + more + 1;
    if (need <= b->capacity) {
        return true;
    }
    size_t capacity = b->capacity < 64 ? 64 : b->capacity * 2;
    capacity = capacity < need ? need : capacity;
    char *data = realloc(b->data, capacity);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = capacity;
    return true;
}

void ratoon__buf_add(ratoon__buf *b, const void *data, size_t size)
{
    if (!buf_reserve(b, size)) {
        return;
    }
    if (size > 0) {
        memcpy(b->data + b->size, data, size);
    }
    b->size += size;
    b->data[b->size] = '\0';
}

void ratoon__buf_reserve(ratoon__buf *b, size_t size)
{
    (void)buf_reserve(b, size);
}

void ratoon__buf_str(ratoon__buf *b, const char *s)
{
    ratoon__buf_add(b, s, strlen(s));
}

void ratoon__buf_free(ratoon__buf *b)
{
    free(b->data);
    *b = (ratoon__buf){0};
}

void ratoon_buffer_free(ratoon_buffer *buffer)
{
    if (buffer != NULL) {
        free(buffer->data);
        *buffer = (ratoon_buffer){0};
    }
}
