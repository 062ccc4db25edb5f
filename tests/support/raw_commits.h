/* Commits for tests of drivers: to a driver they are bytes, so these are bytes that say what they
 * are, and can be checked wherever they come back. */
#ifndef RATOON_TESTS_RAW_COMMITS_H
#define RATOON_TESTS_RAW_COMMITS_H

#include "log/driver.h"

/* Lineage (or run, or executor) `n`. */
ratoon_id raw_id(uint32_t n);

typedef struct raw_commit { /* the bytes of a commit */
    ratoon_id lineage;
    uint64_t number;
    uint64_t writer; /* who wrote it, and its how-manieth */
    uint64_t serial;
} raw_commit;

/* An append of *commit, which must live as long. */
ratoon__append raw_append(const raw_commit *commit);
/* Appends one commit, synced: the append's status, or the group's error. */
ratoon_status raw_append_one(ratoon__driver *d, ratoon_id lineage, uint64_t number, uint64_t writer,
                             uint64_t serial, ratoon__append *result);
/* Appends behind whatever is there, again after each CONFLICT; aborts on anything else. The number
 * it got. */
uint64_t raw_append_next(ratoon__driver *d, ratoon_id lineage, uint64_t writer, uint64_t serial);

/* What a read or a tail delivers. */
typedef struct raw_commits {
    raw_commit *commits;
    uint64_t *positions;
    size_t count, capacity;
    size_t stop_at; /* stops after so many; 0: never */
} raw_commits;
void raw_commits_free(raw_commits *c);
/* A ratoon__commit_fn: checks that the bytes are of the commit they stand for, and keeps it. */
bool raw_commits_collect(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                         const void *data, size_t size);
/* How often the commit that `writer` wrote as `serial` is among them. */
size_t raw_commits_find(const raw_commits *c, uint64_t writer, uint64_t serial);

#endif
