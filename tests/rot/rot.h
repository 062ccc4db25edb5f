/* The bit-rot harness: what its parts share. */
#ifndef RATOON_TESTS_ROT_H
#define RATOON_TESTS_ROT_H

#include "log/driver.h"
#include "tests/support/support.h"

#include <ratoon.h>

/* Stores to be damaged (base.c). */
typedef enum rot_kind {
    ROT_LOG,      /* closed; all of it in the log files of RocksDB */
    ROT_TABLES,   /* closed; most of it in tables */
    ROT_KILLED,   /* killed with every commit synced */
    ROT_UNSYNCED, /* killed with none of them synced: the witness knows of none */
    ROT_LARGE,    /* closed; 64 MiB */
    ROT_KINDS,
} rot_kind;
const char *rot_kind_name(rot_kind kind);

/* Makes the store in a process of its own; nothing of it is left running. Aborts where that fails.
 */
void rot_make(const char *path, rot_kind kind, uint64_t seed);

/* What can be seen of a store (look.c). */
typedef enum rot_sight {
    ROT_REFUSED = 1, /* it doesn't open */
    ROT_DAMAGED,     /* it opens to be read, and says that it is damaged */
    ROT_NAMED,       /* verification finds problems */
    ROT_CLEAN,       /* nothing wrong is said */
} rot_sight;

typedef struct rot_look {
    rot_sight sight;
    ratoon_digest whole;   /* CLEAN: of everything that can be read */
    ratoon_digest commits; /* of the commits alone, in feed order, as far as `limit` */
    uint64_t end;          /* of the feed */
    char text[300];        /* what was said */
} rot_look;

/* Opens, verifies, reads everything. limit: commits before that position count for `commits`; 0:
 * all. */
void rot_look_at(const char *path, uint64_t limit, rot_look *out);

#endif
