/* Inside of the memory driver: what it holds, and its parts. */
#ifndef RATOON_LOG_MEMORY_DRIVER_H
#define RATOON_LOG_MEMORY_DRIVER_H

#include "log/driver.h"
#include "log/memory_map.h"

#include <pthread.h>

/* Never changed and never freed before the store is closed, so callbacks get it without a lock. */
typedef struct ratoon__memory_commit {
    uint64_t position;
    ratoon_id lineage;
    uint64_t number;
    uint64_t size;
    uint8_t data[]; /* 8-byte aligned: all before it is made of eights */
} ratoon__memory_commit;

typedef struct ratoon__memory_bytes { /* a value or a snapshot */
    size_t size;
    uint8_t data[];
} ratoon__memory_bytes;

typedef struct ratoon__memory {
    ratoon__driver base;
    ratoon__driver_options options;
    pthread_mutex_t lock;      /* guards everything below */
    pthread_cond_t moved;      /* an append was acknowledged, or the hold released */
    ratoon__map commits;       /* lineage, number → ratoon__memory_commit */
    ratoon__map heads;         /* lineage → .number */
    ratoon__map values;        /* digest → ratoon__memory_bytes */
    ratoon__map claims;        /* name → .value: ratoon_id */
    ratoon__map rows;          /* run → ratoon__run_row, with its texts behind it */
    ratoon__map index;         /* see ratoon__memory_index_key() → the same row */
    ratoon__map snapshots;     /* lineage, inverted number → ratoon__memory_bytes */
    ratoon__map_node **erased; /* commits and values taken out; readers may still be on them */
    size_t erased_count, erased_capacity;
    ratoon__memory_commit **feed; /* by position, from 1; NULL: erased */
    uint64_t feed_count, feed_capacity;
    uint64_t seed;
    uint64_t fail_in; /* this append from now fails; 0: none */
    ratoon_status fail_with;
    bool held;
    int eventfd;
} ratoon__memory;

static inline ratoon__memory *ratoon__memory_of(ratoon__driver *d)
{
    return (ratoon__memory *)d;
}

enum { RATOON__MEMORY_COMMIT_KEY = 24, RATOON__MEMORY_ORDER_KEY = 24 };
void ratoon__memory_commit_key(uint8_t key[RATOON__MEMORY_COMMIT_KEY], ratoon_id lineage,
                               uint64_t number);
/* created and id, inverted: sorted, this is L09's order */
void ratoon__memory_order_key(uint8_t key[RATOON__MEMORY_ORDER_KEY], uint64_t created_at,
                              ratoon_id run);
/* Index, its key with a NUL behind it, and the order. */
void ratoon__memory_index_key(ratoon__buf *out, ratoon__index index, const char *key,
                              const uint8_t *order, size_t order_size);

ratoon_status ratoon__memory_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                    bool sync, ratoon_error *error);

/* ---- memory_erase.c; with the lock held ---- */
/* Makes room for so many more erased nodes, so that erasing can't fail. */
bool ratoon__memory_erase_reserve(ratoon__memory *m, size_t more);
/* Takes out all commits of a lineage before `number`, and its snapshots. */
void ratoon__memory_erase(ratoon__memory *m, ratoon_id lineage, uint64_t number);
void ratoon__memory_erased_free(ratoon__memory *m);
ratoon_status ratoon__memory_sweep(ratoon__driver *d, const ratoon_digest *digests,
                                   size_t digests_count, uint64_t end, uint64_t *count,
                                   uint64_t *bytes, ratoon_error *error);

/* ---- memory_heads.c ---- */
ratoon_status ratoon__memory_heads(ratoon__driver *d, ratoon_id after, uint64_t before,
                                   ratoon__head_fn fn, void *ctx, ratoon_error *error);

ratoon_status ratoon__memory_list(ratoon__driver *d, const ratoon__list_query *query,
                                  ratoon__row_fn fn, void *ctx, ratoon_error *error);
#endif
