/* Bytes of snapshots in both directions: one function describes a thing, and writes or reads it by
 * the direction of the stream, so that encoder and decoder can't differ.
 *
 * Numbers are LEB128 (7 bits a byte, low ones first, at most 10 bytes), signed ones zigzag; a
 * boolean or an enumerator is such a number; ids and digests are their bytes. A string is its
 * length + 1, its bytes and a NUL; 0 stands for none. A list is its count and its elements.
 * An object that may be shared is 0 for none, 1 for a new one that follows, or 2 + n for the n-th
 * object of its kind (from 0, numbered when an object is complete, so those within it come first).
 */
#ifndef RATOON_CORE_SNAPSHOT_IO_H
#define RATOON_CORE_SNAPSHOT_IO_H

#include "core/objects.h"

enum ratoon__io_kind {
    RATOON__IO_OUTPUTS,
    RATOON__IO_FAILURE,
    RATOON__IO_ITEM,
    RATOON__IO_MAP,
    RATOON__IO_STRINGS,
    RATOON__IO_RUNS,
    RATOON__IO_STAGE,
    RATOON__IO_KINDS,
};

typedef struct ratoon__io_table {
    void **objects; /* reading: one reference to each */
    uint32_t count, capacity;
} ratoon__io_table;
typedef struct ratoon__io_seen {
    const void *object; /* NULL: free */
    uint32_t index;
} ratoon__io_seen;

typedef struct ratoon__io {
    ratoon__buf *out; /* writing; NULL: reading */
    const uint8_t *at, *end;
    bool damaged; /* reading: the input is no snapshot; sticky, everything read is 0 from then on */
    bool no_memory;      /* sticky */
    ratoon__arena arena; /* reading: what is needed until the end */
    ratoon__io_table tables[RATOON__IO_KINDS];
    ratoon__io_seen *seen; /* writing: open addressing, a power of two */
    size_t seen_count, seen_capacity;
} ratoon__io;

static inline bool ratoon__io_writing(const ratoon__io *io)
{
    return io->out != NULL;
}
static inline bool ratoon__io_failed(const ratoon__io *io)
{
    return io->damaged || io->no_memory;
}

void ratoon__io_number(ratoon__io *io, uint64_t *value);
/* Most of what a snapshot writes are numbers below 128. */
static inline void ratoon__io_u64(ratoon__io *io, uint64_t *value)
{
    ratoon__buf *out = io->out;
    if (out != NULL && *value < 0x80 && out->capacity - out->size > 1) {
        out->data[out->size++] = (char)*value;
        out->data[out->size] = '\0';
        return;
    }
    ratoon__io_number(io, value);
}
static inline void ratoon__io_u32(ratoon__io *io, uint32_t *value)
{
    uint64_t wide = *value;
    ratoon__io_u64(io, &wide);
    if (wide > UINT32_MAX) {
        io->damaged = true;
        wide = 0;
    }
    if (!ratoon__io_writing(io)) {
        *value = (uint32_t)wide;
    }
}
void ratoon__io_i32(ratoon__io *io, int32_t *value);
/* value when writing; gives what was written or read, 0..max. */
static inline unsigned ratoon__io_enum(ratoon__io *io, unsigned value, unsigned max)
{
    uint32_t number = value;
    ratoon__io_u32(io, &number);
    if (number > max) {
        io->damaged = true;
        number = 0;
    }
    return number;
}

static inline void ratoon__io_bool(ratoon__io *io, bool *value)
{
    const bool read = ratoon__io_enum(io, *value ? 1 : 0, 1) == 1;
    if (!ratoon__io_writing(io)) { /* others may look at what is written */
        *value = read;
    }
}
void ratoon__io_bytes(ratoon__io *io, void *bytes, size_t size);
void ratoon__io_id(ratoon__io *io, ratoon_id *id);
void ratoon__io_digest(ratoon__io *io, ratoon_digest *digest);
/* Strings that are read are lent by the input. */
void ratoon__io_string(ratoon__io *io, const char **string); /* may be NULL */
void ratoon__io_text(ratoon__io *io, const char **text);     /* NULL is written as "" */
/* The count of a list whose elements have at least element_min bytes each. */
void ratoon__io_count(ratoon__io *io, size_t *count, size_t element_min);
/* Bytes lent by the input. */
void ratoon__io_blob(ratoon__io *io, const void **data, uint64_t size);

/* True where the object itself comes next; then ratoon__io_done() when it is complete. Else, when
 * reading, *object is the one referred to (the table's reference) or NULL. */
bool ratoon__io_object(ratoon__io *io, enum ratoon__io_kind kind, const void **object);
/* Reading: the table takes the caller's reference to the object where it succeeds. False when out
 * of memory. */
bool ratoon__io_done(ratoon__io *io, enum ratoon__io_kind kind, const void *object);

/* Things (snapshot_objects.c, snapshot_created.c). Those that give an object give NULL or a new
 * reference when reading, and nothing to be released when writing. */
void ratoon__io_value(ratoon__io *io, ratoon__value_ref *value);
void ratoon__io_override(ratoon__io *io, ratoon__override *o);
ratoon__stage *ratoon__io_stage(ratoon__io *io, const ratoon__stage *stage);
void ratoon__io_created(ratoon__io *io, ratoon__run_created *created);
/* Releases the tables. */
void ratoon__io_free(ratoon__io *io);

#endif
