/* What must be in an image: read from the marks of a record (workload.c). */
#ifndef RATOON_TESTS_POWER_EXPECT_H
#define RATOON_TESTS_POWER_EXPECT_H

#include "tests/power/image.h"

#include <ratoon.h>

typedef struct expect_commit {
    uint64_t moment, number;
    ratoon_id lineage;
    char digest[65];
    bool deletes; /* it is the mark of a deleted lineage */
} expect_commit;

typedef struct expect_key {
    uint64_t moment;
    ratoon_id run;
    char name[64];
} expect_key;

typedef struct expect_store {
    char *path;            /* below the record's root, as recorded */
    uint64_t making, made; /* moments; made 0: never said to be there */
    uint64_t copied;       /* moment from which on commits need not be in it; 0: it is no copy */
} expect_store;

typedef struct expect_seal {
    uint64_t moment; /* that somebody was told of it */
    char *path;      /* as recorded */
} expect_seal;

typedef struct expect {
    const disk *d;
    ratoon_durability mode;
    bool all_known;         /* every commit was marked, those of images taken before the end too */
    expect_commit *commits; /* by position; moment 0: unknown */
    size_t commits_count, commits_capacity;
    uint64_t *acked;  /* by moment: position that was acknowledged then */
    uint64_t *failed; /* by moment: position of a failure that was acknowledged then */
    uint64_t *closed; /* by moment: everything up to here is on disk by a close or a seal */
    uint64_t sealing; /* acknowledged when the last seal was begun */
    expect_seal *seals;
    size_t seals_count, seals_capacity;
    expect_key *keys;
    size_t keys_count, keys_capacity;
    expect_store *stores;
    size_t stores_count, stores_capacity;
} expect;

expect *expect_load(const disk *d, ratoon_durability mode, bool all_known);
void expect_free(expect *e);
/* The position up to which a store must have everything in an image. */
uint64_t expect_position(const expect *e, const expect_store *s, const image_choice *c);

#endif
