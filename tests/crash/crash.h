/* The crash harness: what its parts share. One process (campaign.c) forks the others and opens no
 * store itself: workers (work_*.c) that are killed, and checkers (check*.c) that look at what they
 * left. What a worker was told goes to the campaign through a pipe (records below), is kept there
 * (model.c), and a checker compares it with the store. */
#ifndef RATOON_TESTS_CRASH_H
#define RATOON_TESTS_CRASH_H

#include "log/driver.h"
#include "log/points.h"
#include "tests/support/support.h"

#include <ratoon.h>
#include <stdatomic.h>
#include <sys/types.h>

/* ---- where a process is stopped (stop.c) ---- */

/* Points that aren't in the code but between it and the system. */
#define CRASH_FILE_POINT_LIST(X)                                                                   \
    X(FILE_WRITE, "system.write")     /* before a write to a regular file */                       \
    X(FILE_TORN, "system.torn-write") /* when a part of it is written */                           \
    X(FILE_SYNC, "system.sync")       /* before fdatasync or fsync: written, not synced */         \
    X(FILE_SYNCED, "system.synced")                                                                \
    X(FILE_RENAME, "system.rename")                                                                \
    X(FILE_UNLINK, "system.unlink")

enum {
    CRASH_FILE_FIRST = RATOON__POINTS - 1,
#define X(name, text) CRASH_##name,
    CRASH_FILE_POINT_LIST(X)
#undef X
        CRASH_POINTS,
    CRASH_NO_POINT = -1,
};

const char *crash_point_name(int point);
int crash_point_find(const char *name); /* CRASH_NO_POINT: none of that name */

/* In memory that all processes of a campaign share. */
typedef struct crash_shared {
    _Atomic uint64_t reached[CRASH_POINTS];
    _Atomic uint64_t killed[CRASH_POINTS];
} crash_shared;

typedef struct crash_stop {
    int point;   /* CRASH_NO_POINT: none */
    uint64_t at; /* the how manieth time it is reached, from 1 */
} crash_stop;

/* In a child, before it opens anything: from now on it dies at that point. */
void crash_stop_set(crash_shared *shared, crash_stop stop);

/* ---- what a worker says ---- */

typedef enum crash_said {
    CRASH_READY = 1, /* the store is open */
    CRASH_INTENT,    /* about to ask for something */
    CRASH_ACKED,     /* it was acknowledged */
    CRASH_REFUSED,   /* it was refused, as may be */
    CRASH_SAW,       /* a feed reader was shown a commit */
    CRASH_PRUNED,    /* a lineage went with a prune that was acknowledged */
    CRASH_WRONG,     /* something that must not be; text says what */
} crash_said;

typedef enum crash_kind {
    CRASH_CREATE = 1,
    CRASH_RETRY,
    CRASH_APPLY,
    CRASH_ANNOTATE,
    CRASH_CANCEL,
    CRASH_DELETE,
    CRASH_PRUNE,
    CRASH_BACKUP,
} crash_kind;

/* Every request has a token, which is written with what it appends: round, process, thread and
 * number of the request in its thread. */
typedef struct crash_record {
    uint8_t said, kind;
    uint64_t token;
    ratoon_id root;    /* zero: not known yet */
    uint64_t position; /* SAW, BACKUP */
    uint64_t commit;   /* SAW */
    char text[400];
} crash_record;

static inline uint64_t crash_thread_of(uint64_t token)
{
    return token >> 24;
}

/* ---- the campaign's memory of it (model.c) ---- */

typedef enum crash_op_state {
    CRASH_OP_OPEN, /* asked for; the worker died before it could say more */
    CRASH_OP_ACKED,
    CRASH_OP_REFUSED,
    CRASH_OP_FOUND,  /* open, and a check found it */
    CRASH_OP_ABSENT, /* open, and a check found that it isn't there */
} crash_op_state;

typedef struct crash_op {
    uint64_t token;
    ratoon_id root;
    uint8_t kind, state;
} crash_op;

typedef struct crash_seen {
    uint64_t position, commit;
    ratoon_id lineage;
} crash_seen;

typedef struct crash_lineage {
    ratoon_id root;
    bool deleted;      /* acknowledged, or found */
    unsigned deleting; /* deletions asked for and not answered */
} crash_lineage;

typedef struct crash_model {
    crash_op *ops;
    size_t ops_count, ops_capacity;
    uint32_t *table; /* index + 1 by token */
    size_t table_size;
    crash_lineage *lineages;
    size_t lineages_count, lineages_capacity;
    crash_seen *seen; /* by the feed reader of this round */
    size_t seen_count, seen_capacity;
    unsigned pruning;     /* prunes asked for and not answered */
    uint64_t backup_from; /* what a finished backup at least holds; 0: none finished */
    uint64_t seen_last;   /* where the next feed reader goes on */
} crash_model;

crash_op *crash_model_op(crash_model *m, uint64_t token); /* NULL: unknown */
crash_lineage *crash_model_lineage(crash_model *m, ratoon_id root, bool make);
/* Takes a record; false where it can't be: *why says so. */
bool crash_model_take(crash_model *m, const crash_record *record, char *why, size_t size);
void crash_model_clear(crash_model *m);

/* ---- workers ---- */

typedef enum crash_scenario {
    CRASH_APPENDS, /* runs, from several threads */
    CRASH_DELETES, /* and deletions and prunes */
    CRASH_BACKUPS, /* and backups and restores */
    CRASH_OPENS,   /* opened and closed */
    CRASH_CREATES, /* a store is made */
    CRASH_SCENARIOS,
} crash_scenario;

typedef struct crash_work {
    const char *folder; /* of the campaign: "store", "backup", "restored" are in it */
    const char *store;  /* path */
    crash_scenario scenario;
    ratoon_durability durability;
    uint64_t seed;
    uint64_t round;
    uint32_t process; /* which of the round */
    uint64_t feed_from;
    uint32_t life_ms; /* then it ends by itself, and closes the store */
    int out;          /* records go there */
    const crash_model *known;
} crash_work;

int crash_work_main(const crash_work *work);

/* ---- checkers ---- */

typedef struct crash_check {
    const char *folder, *store;
    crash_model *model;
    int out;       /* what was found of open requests: records FOUND */
    uint64_t full; /* compare derived rows with rebuilt ones, too */
} crash_check;

/* 0, or 1 with what is wrong on stderr. */
int crash_check_main(const crash_check *check);
/* Whether what is left behind is bounded; else *why, appended to, says what isn't. */
bool crash_leftovers(const char *folder, const char *store, char *why, size_t size);

#endif
