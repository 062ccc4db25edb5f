/* SHA-256 of many things at once: sixteen are worked out side by side, one in each lane of the
 * registers of AVX-512, or eight in those of AVX2, in the time of a few. Where the processor has
 * neither, or no AVX-512 but SHA instructions, and where there are fewer than pays, OpenSSL makes
 * one after the other (log/digest.h). */
#ifndef RATOON_LOG_DIGEST_MANY_H
#define RATOON_LOG_DIGEST_MANY_H

#include "ratoon.h"
#include <stdbool.h>

typedef struct ratoon__digest_job {
    const void *data;
    size_t size;
    ratoon_digest digest; /* the result */
} ratoon__digest_job;

/* NO_MEMORY. Thread-safe. */
ratoon_status ratoon__sha256_many(ratoon__digest_job *jobs, size_t count);
/* Whether so many things are made faster side by side than one after the other. */
bool ratoon__sha256_many_pays(size_t count);
/* For tests and counts: so many side by side from now on, for the whole process; 0: what is
 * fastest. False: the processor can't, and they are made one after the other. */
bool ratoon__sha256_many_set(size_t together);

#endif
