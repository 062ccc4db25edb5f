/* What the parts of verification share. */
#ifndef RATOON_REPLAY_VERIFY_H
#define RATOON_REPLAY_VERIFY_H

#include "replay/json.h"

#define RATOON__PROBLEMS_MAX 1000 /* listed in a report; more are counted */

typedef struct ratoon__seal_check ratoon__seal_check; /* replay/seal.h */

typedef struct ratoon__report {
    ratoon_store *store;
    json_t *problems;
    size_t count;
    uint64_t lineages, commits, events, values;
    uint64_t broken;          /* lineages that could not be folded to their end */
    uint64_t feed_end;        /* when it began */
    uint64_t erased;          /* commits that marks of deleted lineages stand for (R20) */
    uint64_t marks_end;       /* behind the last of these marks in the feed */
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

/* Whether a step only failed to look, for want of memory or by an I/O error, which may be gone
 * another time: that is no problem of the store's, and the verification fails. why: NULL if the
 * status can't be IO. */
bool ratoon__report_unseen(ratoon__report *r, ratoon_status status, const ratoon_error *why);

/* Sum that is the same for the same set of things in whatever order. */
typedef struct ratoon__sum {
    uint64_t a, b, count;
} ratoon__sum;
void ratoon__sum_add(ratoon__sum *s, const void *data, size_t size);
bool ratoon__sum_equal(const ratoon__sum *a, const ratoon__sum *b);

/* verify_chain.c: walks commits; adds what it saw to the sums of feed entries and of rows. */
ratoon_status ratoon__verify_chains(ratoon__report *r, ratoon_id only, ratoon__sum *feed,
                                    ratoon__sum *rows, ratoon_error *error);
/* verify_derived.c, verify_rows.c */
ratoon_status ratoon__verify_feed(ratoon__report *r, const ratoon__sum *seen, ratoon_error *error);
ratoon_status ratoon__verify_values(ratoon__report *r, ratoon_error *error);
ratoon_status ratoon__verify_rows(ratoon__report *r, const ratoon__sum *seen, ratoon_error *error);
void ratoon__verify_capture(ratoon__report *r, const ratoon__commit *commit,
                            const ratoon__event *event, const char *stage);
/* Whether the run's captured output up to that commit stayed where it was imported from. */
bool ratoon__capture_elsewhere(const char *store, ratoon_id run, uint64_t commit);
void ratoon__capture_mark_elsewhere(const char *store, ratoon_id run, uint64_t commit);
void ratoon__sum_feed(ratoon__sum *s, uint64_t position, ratoon_id lineage, uint64_t number);
void ratoon__sum_row(ratoon__sum *s, const ratoon__run_row *row);
#endif
