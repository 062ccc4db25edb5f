#include "core/snapshot_io.h"

#include <stdlib.h>
#include <string.h>

enum { VARINT_MAX = 10 };

static size_t left(const ratoon__io *io)
{
    return (size_t)(io->end - io->at);
}

static void write_u64(ratoon__buf *out, uint64_t rest)
{
    if (out->capacity - out->size <= VARINT_MAX) { /* and a NUL */
        ratoon__buf_reserve(out, VARINT_MAX);
        if (out->failed) {
            return;
        }
    }
    char *at = out->data + out->size;
    for (; rest > 0x7f; rest >>= 7) {
        *at++ = (char)((rest & 0x7f) | 0x80);
    }
    *at++ = (char)rest;
    *at = '\0';
    out->size = (size_t)(at - out->data);
}

void ratoon__io_number(ratoon__io *io, uint64_t *value)
{
    size_t count = 0;
    if (ratoon__io_writing(io)) {
        write_u64(io->out, *value);
        return;
    }
    if (left(io) > 0 && *io->at < 0x80 && !ratoon__io_failed(io)) {
        *value = *io->at++;
        return;
    }
    *value = 0;
    uint64_t result = 0;
    for (; count < VARINT_MAX && !ratoon__io_failed(io) && left(io) > 0; count++) {
        const uint8_t byte = *io->at++;
        if (count == VARINT_MAX - 1 && byte > 1) {
            break;
        }
        result |= (uint64_t)(byte & 0x7f) << (7 * count);
        if ((byte & 0x80) == 0) {
            *value = result;
            return;
        }
    }
    io->damaged = true;
}

void ratoon__io_i32(ratoon__io *io, int32_t *value)
{
    const int64_t wide = *value;
    uint32_t zigzag = (uint32_t)(wide < 0 ? -2 * wide - 1 : 2 * wide);
    ratoon__io_u32(io, &zigzag);
    const int64_t half = zigzag / 2;
    if (!ratoon__io_writing(io)) {
        *value = (int32_t)((zigzag & 1) != 0 ? -half - 1 : half);
    }
}

void ratoon__io_bytes(ratoon__io *io, void *bytes, size_t size)
{
    if (ratoon__io_writing(io)) {
        ratoon__buf_add(io->out, bytes, size);
        return;
    }
    if (ratoon__io_failed(io) || left(io) < size) {
        io->damaged = true;
        memset(bytes, 0, size);
        return;
    }
    memcpy(bytes, io->at, size);
    io->at += size;
}

void ratoon__io_id(ratoon__io *io, ratoon_id *id)
{
    ratoon__io_bytes(io, id->bytes, sizeof id->bytes);
}

void ratoon__io_digest(ratoon__io *io, ratoon_digest *digest)
{
    ratoon__io_bytes(io, digest->bytes, sizeof digest->bytes);
}

void ratoon__io_blob(ratoon__io *io, const void **data, uint64_t size)
{
    if (ratoon__io_writing(io)) {
        ratoon__buf_add(io->out, *data, (size_t)size);
        return;
    }
    if (ratoon__io_failed(io) || left(io) < size) {
        io->damaged = true;
        *data = NULL;
        return;
    }
    *data = io->at;
    io->at += size;
}

void ratoon__io_string(ratoon__io *io, const char **string)
{
    if (ratoon__io_writing(io)) {
        uint64_t size = *string == NULL ? 0 : strlen(*string) + 1;
        ratoon__io_u64(io, &size);
        if (size > 0) {
            ratoon__buf_add(io->out, *string, (size_t)size);
        }
        return;
    }
    uint64_t size = 0;
    *string = NULL;
    ratoon__io_u64(io, &size);
    if (size == 0) {
        return;
    }
    const void *bytes = NULL;
    ratoon__io_blob(io, &bytes, size);
    /* The only NUL is the last byte. */
    if (bytes != NULL && memchr(bytes, '\0', (size_t)size) == (const char *)bytes + size - 1) {
        *string = bytes;
    } else {
        io->damaged = true;
    }
}

void ratoon__io_text(ratoon__io *io, const char **text)
{
    if (ratoon__io_writing(io)) {
        const char *empty = "";
        ratoon__io_string(io, *text == NULL ? &empty : text);
        return;
    }
    ratoon__io_string(io, text);
    if (*text == NULL) {
        io->damaged = true;
        *text = "";
    }
}

void ratoon__io_count(ratoon__io *io, size_t *count, size_t element_min)
{
    uint64_t wide = *count;
    ratoon__io_u64(io, &wide);
    if (!ratoon__io_writing(io) && wide > left(io) / element_min) {
        io->damaged = true;
        wide = 0;
    }
    *count = (size_t)wide;
}

/* ---- shared objects ---- */

static ratoon__io_seen *seen_slot(ratoon__io_seen *seen, size_t capacity, const void *object)
{
    size_t at = (size_t)(((uintptr_t)object >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 20);
    for (at &= capacity - 1; seen[at].object != NULL && seen[at].object != object;) {
        at = (at + 1) & (capacity - 1);
    }
    return &seen[at];
}

static bool seen_grow(ratoon__io *io)
{
    const size_t capacity = io->seen_capacity == 0 ? 64 : io->seen_capacity * 2;
    ratoon__io_seen *seen = calloc(capacity, sizeof *seen);
    if (seen == NULL) {
        io->no_memory = true;
        return false;
    }
    for (size_t i = 0; i < io->seen_capacity; i++) {
        if (io->seen[i].object != NULL) {
            *seen_slot(seen, capacity, io->seen[i].object) = io->seen[i];
        }
    }
    free(io->seen);
    io->seen = seen;
    io->seen_capacity = capacity;
    return true;
}

static bool object_write(ratoon__io *io, const void *object)
{
    uint64_t code = object == NULL ? 0 : 1;
    if (object != NULL && io->seen_count > 0) {
        const ratoon__io_seen *slot = seen_slot(io->seen, io->seen_capacity, object);
        code = slot->object == NULL ? 1 : 2 + (uint64_t)slot->index;
    }
    ratoon__io_u64(io, &code);
    return code == 1;
}

bool ratoon__io_object(ratoon__io *io, enum ratoon__io_kind kind, const void **object)
{
    if (ratoon__io_writing(io)) {
        return object_write(io, *object);
    }
    uint64_t code = 0;
    *object = NULL;
    ratoon__io_u64(io, &code);
    if (code < 2) {
        return code == 1 && !ratoon__io_failed(io);
    }
    const ratoon__io_table *table = &io->tables[kind];
    if (code - 2 >= table->count) {
        io->damaged = true;
        return false;
    }
    *object = table->objects[code - 2];
    return false;
}

bool ratoon__io_done(ratoon__io *io, enum ratoon__io_kind kind, const void *object)
{
    ratoon__io_table *table = &io->tables[kind];
    if (ratoon__io_writing(io)) {
        if ((io->seen_count + 1) * 2 > io->seen_capacity && !seen_grow(io)) {
            return false;
        }
        *seen_slot(io->seen, io->seen_capacity, object) = (ratoon__io_seen){object, table->count++};
        io->seen_count++;
        return true;
    }
    if (table->count == table->capacity) {
        const uint32_t capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        void **objects = realloc(table->objects, capacity * sizeof *objects);
        if (objects == NULL) {
            io->no_memory = true;
            return false;
        }
        table->objects = objects;
        table->capacity = capacity;
    }
    table->objects[table->count++] = (void *)(uintptr_t)object;
    return true;
}
