/* Which stored values commits refer to, and taking out those that none refers to any more (R20). */
#ifndef RATOON_LOG_REFERENCES_H
#define RATOON_LOG_REFERENCES_H

#include "log/driver.h"

typedef struct ratoon__digests { /* zero-initialise; free the items */
    ratoon_digest *items;
    size_t count, capacity;
} ratoon__digests;

bool ratoon__digests_add(ratoon__digests *set, const ratoon_digest *digest);
/* Sorts them, each once. */
void ratoon__digests_unique(ratoon__digests *set);
void ratoon__digests_free(ratoon__digests *set);

typedef bool (*ratoon__reference_fn)(void *ctx, const ratoon_digest *digest); /* false: stop */
/* Calls fn for every value outside the commit that an event of it refers to, its definitions
 * included; some more than once. */
bool ratoon__commit_references(const ratoon__commit *commit, ratoon__reference_fn fn, void *ctx);

/* Takes those values out of the store that no commit refers to: looks through all commits, then has
 * the driver take them out unless somebody has appended since, and looks on from there. *count,
 * *bytes: what was taken out. CONFLICT where others kept appending: some may be left. */
ratoon_status ratoon__values_sweep(ratoon__driver *d, ratoon__digests *candidates, uint64_t *count,
                                   uint64_t *bytes, ratoon_error *error);

#endif
