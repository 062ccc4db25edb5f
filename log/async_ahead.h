/* Commits made ahead of requests in flight (async_ahead.c). */
#ifndef RATOON_LOG_ASYNC_AHEAD_H
#define RATOON_LOG_ASYNC_AHEAD_H

#include "log/store_impl.h"

#include <pthread.h>

enum { RATOON__TIPS = 64, RATOON__CROWDED_ALL = 256 };

/* Where a lineage will be once all is committed that a queue has in flight for it. */
typedef struct ratoon__tip {
    ratoon_id lineage;
    ratoon__lineage *after;     /* NULL: not known, until nothing is in flight */
    _Atomic uint32_t in_flight; /* requests of the lineage; 0: the place is free */
    atomic_bool spoiled;        /* one was answered that is not as it was made */
} ratoon__tip;

typedef struct ratoon__tips { /* of a queue */
    pthread_mutex_t lock;     /* guards all but what is atomic */
    uint32_t crowded;         /* of the last requests, how many found one of their lineage in
                               * flight; of RATOON__CROWDED_ALL */
    ratoon__tip places[RATOON__TIPS];
} ratoon__tips;

void ratoon__tips_init(ratoon__tips *tips); /* zero-initialised memory */

/* Makes the commit of a request that is about to be submitted, behind those of its lineage that are
 * in flight, and notes that it is. Any thread. */
void ratoon__tips_make_ahead(ratoon_store *s, ratoon__tips *tips, ratoon__request *r);
/* The request has its answer. By the committer, before anybody can see that. */
void ratoon__tip_answered(ratoon__tips *tips, const ratoon__request *r);
/* Nothing is in flight any more. */
void ratoon__tips_free(ratoon__tips *tips);

#endif
