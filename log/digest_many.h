/* SHA-256 of many things at once. Where the processor has no SHA instructions, but AVX2, digests of
 * several things are worked out side by side, one in each lane of its registers, which is some five
 * times as fast as one after the other; elsewhere, and where there are fewer than three, OpenSSL
 * makes each (log/digest.h). */
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
/* For tests and counts: whether lanes are used, where the processor has them. */
void ratoon__sha256_many_lanes(bool used);
bool ratoon__sha256_many_has_lanes(void);

#endif
