/* Small things that tests of drivers have in common. */
#ifndef RATOON_TESTS_DRIVER_FIXTURE_H
#define RATOON_TESTS_DRIVER_FIXTURE_H

#include "log/driver.h"
#include <check.h>

/* An id of which the first byte is `first`, the others zero. */
ratoon_id fixture_id(uint8_t first);

void fixture_create(const char *store);
/* Opens a store that must be whole. */
ratoon__driver *fixture_open(const char *store, ratoon_durability durability);

/* Appends one commit: its own status, which is also that of the group where the group failed. */
ratoon_status fixture_append(ratoon__driver *d, ratoon__append *append);
ratoon_status fixture_put(ratoon__driver *d, ratoon_id lineage, uint64_t number, const char *text);
/* A commit that takes or releases a name for the run with the lineage's id. */
ratoon_status fixture_claim(ratoon__driver *d, ratoon_id lineage, uint64_t number, const char *name,
                            bool take);

/* A ratoon__commit_fn that writes down what it is shown, as far as there is room. */
typedef struct fixture_seen {
    char text[4096]; /* "POSITION:FIRST BYTE OF LINEAGE.NUMBER=BYTES " each */
    uint64_t count, first, last;
    bool misaligned;
    uint64_t stop_after; /* 0: never */
} fixture_seen;
bool fixture_see(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number, const void *data,
                 size_t size);

/* A ratoon__row_fn: the first byte of each run in hexadecimal, a space after each. */
typedef struct fixture_list {
    char text[4096];
} fixture_list;
bool fixture_list_row(void *ctx, const ratoon__run_row *row);

/* Entries of a folder. */
unsigned fixture_count_files(const char *folder);

#endif
