/* Batches of commits on their way from where they are read to where they are verified. */
#ifndef RATOON_REPLAY_VERIFY_BATCHES_H
#define RATOON_REPLAY_VERIFY_BATCHES_H

#include "core/event.h"
#include "core/mem.h"
#include <pthread.h>

enum {
    RATOON__BATCH_COMMITS = 32,      /* at most, */
    RATOON__BATCH_BYTES = 256 << 10, /* and no more when it has so many */
    RATOON__BATCHES = 8,
};

typedef struct ratoon__taken {
    uint64_t position, number;
    ratoon_id lineage;
    size_t at, size;       /* in the bytes of the batch */
    size_t values;         /* digests: of the first value in it */
    ratoon__commit commit; /* where it could be decoded */
    ratoon_status status;
} ratoon__taken;

typedef struct ratoon__batch {
    ratoon__buf bytes; /* each commit where 8 divides its place */
    ratoon__taken commits[RATOON__BATCH_COMMITS];
    size_t count;
} ratoon__batch;

/* Verifies a batch. False: it was the last one. Of one thread at a time. */
typedef bool (*ratoon__batch_fn)(void *ctx, ratoon__batch *batch);

typedef struct ratoon__batches {
    ratoon__batch_fn fn;
    void *ctx;
    ratoon__batch *all;    /* RATOON__BATCHES of them, in turn */
    uint64_t filled, done; /* batches; changed under the lock where there is a helper */
    bool stopped;          /* fn wants no more; likewise */
    bool ended;            /* no more will be filled; likewise */
    bool failed;           /* a commit could not be copied: out of memory */
    bool alone, helped;    /* there is to be no second thread; there is one */
    pthread_t helper;
    pthread_mutex_t lock;
    pthread_cond_t changed;
} ratoon__batches;

/* NO_MEMORY. ctx and fn are used until ratoon__batches_end(). */
ratoon_status ratoon__batches_begin(ratoon__batches *b, ratoon__batch_fn fn, void *ctx);
/* The next commit, of which it makes a copy. False: no more of them. After 64 batches a second
 * thread verifies, where there are two processors, while this one goes on reading: so the caller
 * may be as many batches ahead as there are. */
bool ratoon__batches_add(ratoon__batches *b, const ratoon__taken *commit, const void *data);
/* Has the rest verified, where fn wants it, and waits for that. NO_MEMORY where a commit could not
 * be copied. */
ratoon_status ratoon__batches_end(ratoon__batches *b);

#endif
