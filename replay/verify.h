/* What the parts of verification share. */
#ifndef RATOON_REPLAY_VERIFY_H
#define RATOON_REPLAY_VERIFY_H

#include "log/digest_many.h"
#include "log/sum.h"
#include "replay/json.h"

#define RATOON__PROBLEMS_MAX 1000 /* listed in a report; more are counted */

typedef struct ratoon__seal_check ratoon__seal_check; /* replay/seal.h */

/* The mark of a deleted lineage (R20). */
typedef struct ratoon__mark_seen {
    ratoon_id lineage;
    uint64_t number;
} ratoon__mark_seen;
#define RATOON__MARKS_MAX                                                                          \
    ((size_t)1 << 20) /* remembered; beyond, the feed is asked commit by commit */

typedef struct ratoon__report {
    ratoon_store *store;
    ratoon__sum_key key; /* of all sums */
    json_t *problems;
    size_t count;
    uint64_t lineages, commits, events, values;
    uint64_t broken;          /* lineages that could not be folded to their end */
    uint64_t feed_end;        /* when it began */
    uint64_t erased;          /* commits that marks of deleted lineages stand for (R20) */
    uint64_t marks_end;       /* behind the last of these marks in the feed */
    ratoon__mark_seen *marks; /* lineages ascending */
    size_t marks_count, marks_capacity;
    bool marks_missing;       /* there are more */
    ratoon__seal_check *seal; /* NULL: none */
    ratoon_status unseen;     /* something could not be looked at: what was found may be none */
    ratoon_error unseen_why;
} ratoon__report;

/* Adds one to an array of problems or notices, unless that is full. */
void ratoon__finding(json_t *array, ratoon_id lineage, uint64_t commit, const char *kind,
                     const char *message);
/* kind: chain number time decode fold feed value file snapshot derived io seal */
void ratoon__problem(ratoon__report *r, ratoon_id lineage, uint64_t commit, const char *kind,
                     const char *format, ...);

/* How much is in a report; and the report as it was then. */
typedef struct ratoon__report_place {
    size_t count, listed;
} ratoon__report_place;
ratoon__report_place ratoon__report_here(const ratoon__report *r);
void ratoon__report_back_to(ratoon__report *r, ratoon__report_place place);

/* Whether a step only failed to look, for want of memory or by an I/O error, which may be gone
 * another time: that is no problem of the store's, and the verification fails. why: NULL if the
 * status can't be IO. */
bool ratoon__report_unseen(ratoon__report *r, ratoon_status status, const ratoon_error *why);

/* What the log says that the feed, the rows of runs and the names they hold must be. */
typedef struct ratoon__seen {
    ratoon__sum feed, rows, claims;
} ratoon__seen;

/* verify_chain.c: walks commits; adds what it saw to the sums. */
ratoon_status ratoon__verify_chains(ratoon__report *r, ratoon_id only, ratoon__seen *seen,
                                    ratoon_error *error);
/* verify_derived.c, verify_rows.c, verify_claims.c */
ratoon_status ratoon__verify_feed(ratoon__report *r, const ratoon__sum *seen, ratoon_error *error);
ratoon_status ratoon__verify_values(ratoon__report *r, ratoon_error *error);
ratoon_status ratoon__verify_rows(ratoon__report *r, const ratoon__sum *seen, ratoon_error *error);
ratoon_status ratoon__verify_claims(ratoon__report *r, const ratoon__sum *seen,
                                    ratoon_error *error);
void ratoon__verify_capture(ratoon__report *r, const ratoon__commit *commit,
                            const ratoon__event *event, const char *stage);
/* The lineage as the log alone has it. NULL: it can't be folded, which has been reported, or is
 * gone; or *status says why, and is not touched otherwise. */
ratoon__lineage *ratoon__verify_fold(ratoon__report *r, ratoon_id id, ratoon_status *status,
                                     ratoon_error *error);
/* Whether the run's captured output up to that commit stayed where it was imported from. */
bool ratoon__capture_elsewhere(const char *store, ratoon_id run, uint64_t commit);
void ratoon__capture_mark_elsewhere(const char *store, ratoon_id run, uint64_t commit);
void ratoon__sum_feed(const ratoon__report *r, ratoon__sum *s, uint64_t position, ratoon_id lineage,
                      uint64_t number);
/* Adds the names that the lineage holds; memory in the arena. NO_MEMORY. */
ratoon_status ratoon__sum_claims(const ratoon__report *r, ratoon__sum *s, const ratoon__lineage *l,
                                 ratoon__arena *arena);
void ratoon__sum_row(const ratoon__report *r, ratoon__sum *s, const ratoon__run_row *row);

/* verify_events.c: values and captured output that a commit names, as the projection has its runs.
 */
typedef struct ratoon__digest_jobs { /* made together; zero-initialise it, free() the jobs */
    ratoon__digest_job *jobs;
    size_t count, capacity;
    size_t next; /* to be asked for: of the first value of the commit that is looked at */
} ratoon__digest_jobs;
bool ratoon__digest_jobs_add(ratoon__digest_jobs *d, const void *data,
                             size_t size); /* false: no memory */
/* Of all values that the commit holds itself, in the order in which its events are looked at. */
bool ratoon__digest_jobs_add_values(ratoon__digest_jobs *d, const ratoon__commit *c);
void ratoon__verify_events(ratoon__report *r, const ratoon__lineage *l, const ratoon__commit *c,
                           ratoon__digest_jobs *digests);

/* verify_snapshots.c: the stored snapshots beside the walk (S07). */
enum { RATOON__SNAPSHOTS_PAGE = 64 };
typedef struct ratoon__snapshot_stored {
    ratoon_id lineage;
    uint64_t at;
    ratoon_buffer bytes;
} ratoon__snapshot_stored;
typedef struct ratoon__snapshots { /* zero-initialise but for the report */
    ratoon__report *report;
    ratoon__snapshot_stored items[RATOON__SNAPSHOTS_PAGE];
    size_t count, next, bytes;
    bool begun, at_end; /* nothing is behind the page */
    bool one_by_one;    /* the driver has no pages: items are of one lineage, the newest first */
    ratoon_id lineage;  /* of that lineage */
} ratoon__snapshots;
/* Compares the projection with the snapshot of its head, if there is one. Lineages and numbers
 * ascend from call to call. */
void ratoon__snapshots_compare(ratoon__snapshots *s, const ratoon__lineage *l, ratoon_id lineage,
                               uint64_t number);
void ratoon__snapshots_free(ratoon__snapshots *s);
#endif
