/* Statistics of pipelines and stages (Q04): what runs came to, added up. A run's contribution
 * follows from its projection alone; of a run that has ended it never changes again. */
#ifndef RATOON_CORE_STATS_H
#define RATOON_CORE_STATS_H

#include "core/projection.h"

typedef struct ratoon__stats_stage {
    const char *name;
    uint64_t executions;                         /* attempts that were started */
    uint64_t running;                            /* of those, not over yet */
    uint64_t succeeded;                          /* ended as succeeded or degraded */
    uint64_t failures[RATOON_CLASS_UNKNOWN + 1]; /* by class */
    uint64_t retries; /* further attempts in a run, and branches asked for from this stage because
                         it was not good */
    uint64_t retries_that_helped; /* after which it succeeded */
    uint64_t spent_us;
    uint64_t saved_us; /* what the executions took whose results were reused */
} ratoon__stats_stage;

typedef struct ratoon__stats_pipeline {
    const char *name;
    uint64_t runs;
    uint64_t by_status[RATOON_RUN_CANCELLED + 1];
    uint64_t depth[RATOON_DEPTH_MAX + 1];
    ratoon__stats_stage *stages; /* in the order of the definition first seen */
    size_t stages_count, stages_capacity;
} ratoon__stats_pipeline;

typedef struct ratoon__stats { /* zero-initialise */
    ratoon__arena arena;
    ratoon__stats_pipeline *pipelines; /* sorted by name */
    size_t count, capacity;
} ratoon__stats;

void ratoon__stats_free(ratoon__stats *t); /* and makes it empty */
/* Adds what a run came to as it is now. NO_MEMORY: the sums can't be used any more. */
ratoon_status ratoon__stats_add(ratoon__stats *t, const ratoon__lineage *l, const ratoon__run *r);

/* Sums as bytes, with where they are true: all runs that had ended by the commit at `position`,
 * whose bytes have that digest. Derived and disposable, like a snapshot. */
ratoon_status ratoon__stats_encode(const ratoon__stats *t, uint64_t position,
                                   const ratoon_digest *digest, ratoon__buf *out);
/* DAMAGED for anything else than what was encoded; *t is then empty. */
ratoon_status ratoon__stats_decode(const void *data, size_t size, ratoon__stats *t,
                                   uint64_t *position, ratoon_digest *digest);

#endif
