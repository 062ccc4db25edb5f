/* The driver interface: drivers store, the library above decides. Implementations: rocksdb (an
 * owned store), memory (tests, with faults), socket (a store that another process owns).
 *
 * All functions may be called by any thread at any time but close, which is last. What an append
 * acknowledged is seen by every later call of any function through any driver on the same store.
 * Bytes of commits given to callbacks are 8-byte aligned and lent for the call. */
#ifndef RATOON_LOG_DRIVER_H
#define RATOON_LOG_DRIVER_H

#include "core/decide.h"

/* Summary of a run for lists and look-ups; the index entries derive from it. */
typedef struct ratoon__run_row {
    ratoon_id run, root;
    uint64_t created_at;
    ratoon_run_status status;
    ratoon_id executor;   /* of its present or last start */
    const char *subject;  /* "" for none */
    const char *pipeline; /* name */
} ratoon__run_row;

typedef struct ratoon__stored_value {
    ratoon_digest digest;
    const void *data;
    size_t size;
} ratoon__stored_value;

/* One commit to append; filled in by the caller but for the results. */
typedef struct ratoon__append {
    ratoon_id lineage;
    uint64_t number;  /* must be the lineage's head + 1, else CONFLICT */
    const void *data; /* the commit's bytes */
    size_t size;
    const ratoon__stored_value
        *values; /* go in with it; those already there are not written again */
    size_t values_count;
    const ratoon__claim *claims;
    size_t claims_count;
    const ratoon__run_row *rows; /* runs it touched, as they are after it */
    size_t rows_count;
    /* The commit is the mark of a deleted lineage (R20): in the same batch all commits before it
     * go, the lineage's snapshots, and the given rows with their index entries. Their places in the
     * feed become holes that readers pass over. */
    bool erase;
    /* So many places before this one in the group is the append of its lineage that it was made
     * behind: where that one is refused this one is too (CONFLICT), even if its number happens to
     * be the next one, after commits of somebody else's. 0: made behind what was acknowledged. */
    uint32_t rests_on;
    /* results */
    ratoon_status status; /* OK, CONFLICT, CLAIMED, LIMIT_EXCEEDED, or the group's error */
    uint64_t position;    /* OK: its place in the feed, from 1 */
    uint64_t head;        /* CONFLICT: the head there is, unless it rests on a refused one */
    ratoon_id holder;     /* CLAIMED: the run that holds the name */
    uint32_t claim;       /* CLAIMED: which of the claims */
    uint64_t sync_ns;     /* the first of a group: what its sync took; 0: none, or not known */
} ratoon__append;

/* Whether the append that this one was made behind was refused. One that is not in `group` has been
 * looked at by whoever divided the group. */
static inline bool ratoon__append_rests_on_refused(const ratoon__append *group, size_t at)
{
    const uint32_t back = group[at].rests_on;
    return back != 0 && back <= at && group[at - back].status != RATOON_OK;
}

typedef enum ratoon__index {
    RATOON__INDEX_TIME = 1, /* all runs; key unused */
    RATOON__INDEX_STATUS,   /* key: status name */
    RATOON__INDEX_SUBJECT,
    RATOON__INDEX_PIPELINE,
    RATOON__INDEX_ID, /* ids ascending from `from_id`, for prefixes; key unused */
} ratoon__index;

typedef struct ratoon__list_query {
    ratoon__index index;
    const char *key;
    ratoon_id from_id;    /* INDEX_ID: first id */
    uint64_t before_time; /* others: rows strictly before (before_time, before_id) in the order */
    ratoon_id before_id;  /* created descending, id descending; 0: from the newest */
    uint32_t limit;       /* at most so many rows; 1..1000 */
} ratoon__list_query;

typedef bool (*ratoon__commit_fn)(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                                  const void *data, size_t size); /* false: stop */
/* The next range of commits to show, first and last; false: no more. */
typedef bool (*ratoon__range_fn)(void *ctx, uint64_t *from, uint64_t *to);
typedef bool (*ratoon__row_fn)(void *ctx, const ratoon__run_row *row);
/* A lineage's last commit and the digest of its bytes; false: stop. */
typedef bool (*ratoon__head_fn)(void *ctx, ratoon_id lineage, uint64_t number,
                                const ratoon_digest *digest);
/* A commit's place in the feed. */
typedef bool (*ratoon__place_fn)(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number);
typedef bool (*ratoon__snapshot_fn)(void *ctx, ratoon_id lineage, uint64_t number, const void *data,
                                    size_t size);
typedef bool (*ratoon__digest_fn)(void *ctx, const ratoon_digest *digest, const void *data,
                                  size_t size);

#define RATOON__CLAIMS_PAGE 1000
#define RATOON__CLAIM_NAME_MAX 4096
typedef bool (*ratoon__claim_fn)(void *ctx, const char *name, ratoon_id holder); /* false: stop */

typedef struct ratoon__driver ratoon__driver;
typedef struct ratoon__driver_ops {
    const char *name;
    /* Appends a group in order, each for itself (a refused one holds back only what rests on it;
     * later ones of the group see earlier ones), in one write batch, synced once where `sync` (and
     * the store's mode) says so. Returns OK when the group was written, results in each; otherwise
     * the group's error, and nothing of it is acknowledged. */
    ratoon_status (*append)(ratoon__driver *d, ratoon__append *appends, size_t count, bool sync,
                            ratoon_error *error);
    /* Number of the lineage's last acknowledged commit, 0 if there is none. */
    ratoon_status (*head)(ratoon__driver *d, ratoon_id lineage, uint64_t *head,
                          ratoon_error *error);
    /* What a seal is made of (Q02): each lineage's last commit among those at positions below
     * `before`, lineages ascending from behind `after` (zero: from the first). A lineage that was
     * deleted at `before` or later is shown with its mark, since nothing else is left of it. All
     * that was appended before the call is on disk when it returns OK, in every mode. */
    ratoon_status (*heads)(ratoon__driver *d, ratoon_id after, uint64_t before, ratoon__head_fn fn,
                           void *ctx, ratoon_error *error);
    /* Commits in key order (lineage, number), from (lineage, from); with one_lineage only of that
     * one. verify: read past caches, with checksums, and look each key up by a get as well
     * (DAMAGED where the two disagree). */
    ratoon_status (*read)(ratoon__driver *d, ratoon_id lineage, uint64_t from, bool one_lineage,
                          bool verify, ratoon__commit_fn fn, void *ctx, ratoon_error *error);
    /* Commits of one lineage by ranges, as `next` gives them; `fn` returning false ends a range.
     * NULL or UNSUPPORTED where two threads that read would be no faster than one. */
    ratoon_status (*read_ranges)(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                 ratoon__commit_fn fn, void *ctx, ratoon_error *error);
    /* Acknowledged commits in feed order from position `from`. Where there is none yet, waits up to
     * timeout_ms for one; TIMED_OUT. */
    ratoon_status (*tail)(ratoon__driver *d, uint64_t from, uint32_t timeout_ms,
                          ratoon__commit_fn fn, void *ctx, ratoon_error *error);
    ratoon_status (*end)(ratoon__driver *d, uint64_t *position,
                         ratoon_error *error); /* next free */
    /* Bytes of a stored value: a buffer to be freed with ratoon_buffer_free(). NOT_FOUND. */
    ratoon_status (*value_get)(ratoon__driver *d, const ratoon_digest *digest, ratoon_buffer *out,
                               ratoon_error *error);
    /* All stored values, digests ascending; for verify. */
    ratoon_status (*values)(ratoon__driver *d, ratoon__digest_fn fn, void *ctx,
                            ratoon_error *error);
    /* The same from the first digest at or after `from`: a server goes on with it page by page. May
     * be NULL; then values() is walked and what lies before is passed over. */
    ratoon_status (*values_from)(ratoon__driver *d, const ratoon_digest *from, ratoon__digest_fn fn,
                                 void *ctx, ratoon_error *error);
    ratoon_status (*run_get)(ratoon__driver *d, ratoon_id run, ratoon_id *root,
                             ratoon_error *error); /* NOT_FOUND */
    ratoon_status (*list)(ratoon__driver *d, const ratoon__list_query *query, ratoon__row_fn fn,
                          void *ctx, ratoon_error *error);
    ratoon_status (*claim_get)(ratoon__driver *d, const char *name, ratoon_id *holder,
                               ratoon_error *error); /* NOT_FOUND */
    /* Claims whose name begins with `prefix` and comes after `after` ("": from the first), by name,
     * at most RATOON__CLAIMS_PAGE of them a call. */
    ratoon_status (*claims)(ratoon__driver *d, const char *prefix, const char *after,
                            ratoon__claim_fn fn, void *ctx, ratoon_error *error);
    /* The newest snapshot of the lineage at or before commit `number`. NOT_FOUND. */
    ratoon_status (*snapshot_get)(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                  uint64_t *at, ratoon_buffer *out, ratoon_error *error);
    /* Stores one; derived, so neither synced nor waited for. */
    ratoon_status (*snapshot_put)(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                  const void *data, size_t size, ratoon_error *error);
    /* ---- for verification, whole and in order where the others would be asked for each run,
     * commit or lineage; NULL or UNSUPPORTED where those have to do ---- */
    /* What the feed says that is at the positions from `from` on, whether it is there or not. */
    ratoon_status (*places)(ratoon__driver *d, uint64_t from, ratoon__place_fn fn, void *ctx,
                            ratoon_error *error);
    /* All rows, ids ascending. *indexed: each is in the lists where it belongs, and nothing else is
     * in them. */
    ratoon_status (*rows)(ratoon__driver *d, ratoon__row_fn fn, void *ctx, bool *indexed,
                          ratoon_error *error);
    /* Snapshots from (lineage, number) on, ascending, of this lineage and all behind it. */
    ratoon_status (*snapshots)(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                               ratoon__snapshot_fn fn, void *ctx, ratoon_error *error);
    /* Removes stored values (R20) if the feed still ends at `end`, so that nobody has used one of
     * them since it was looked at; else CONFLICT, and nothing is removed. *count, *bytes: what was.
     * Those that aren't there are passed over. */
    ratoon_status (*sweep)(ratoon__driver *d, const ratoon_digest *digests, size_t digests_count,
                           uint64_t end, uint64_t *count, uint64_t *bytes, ratoon_error *error);
    /* Puts a copy of the database, true for one moment, into the new folder `path` (absolute), on
     * the disk of whoever owns the store. *position: of the last commit in it. NULL in a driver
     * that has no files. */
    ratoon_status (*checkpoint)(ratoon__driver *d, const char *path, uint64_t *position,
                                ratoon_error *error);
    /* An eventfd that 1 is written to after each acknowledged group (the driver never reads, waits
     * for or closes it); it replaces the one before, -1 removes it. Once this has returned, the one
     * before is touched no more. NULL in a driver that has nothing to announce. */
    void (*watch)(ratoon__driver *d, int eventfd);
    void (*close)(ratoon__driver *d);
} ratoon__driver_ops;

struct ratoon__driver { /* implementations begin with this */
    const ratoon__driver_ops *ops;
};

typedef struct ratoon__driver_options {
    ratoon_durability durability;
    uint32_t interval_ms;
    uint64_t value_max;
} ratoon__driver_options;

/* ---- rocksdb ---- */
ratoon_status ratoon__rocksdb_create(const char *path, ratoon_error *error);
/* Opens as owner. STORE_BUSY when another process has it; DAMAGED (opened nevertheless, readable
 * only, where *out is set) with what is wrong in *error. */
ratoon_status ratoon__rocksdb_open(const char *path, const ratoon__driver_options *options,
                                   ratoon__driver **out, ratoon_error *error);
/* Derived rows (run rows, claims) are true up to a position; after a crash whoever opens folds the
 * feed from there and puts what it gets. */
ratoon_status ratoon__rocksdb_derived_position(ratoon__driver *d, uint64_t *position,
                                               ratoon_error *error);
ratoon_status ratoon__rocksdb_put_derived(ratoon__driver *d, const ratoon__run_row *rows,
                                          size_t rows_count, const ratoon__claim *claims,
                                          size_t claims_count, uint64_t position,
                                          ratoon_error *error);
/* Throws away all that is derived, snapshots included, to have it made anew from position 0 (Q03);
 * for the owner before it serves anybody. */
ratoon_status ratoon__rocksdb_forget_derived(ratoon__driver *d, ratoon_error *error);
/* Accepts that the end of the log is lost: the store takes appends again after what is there. What
 * was lost stays noted in a file of the store, STORE/damage-accepted-TIME, and is told in *lost
 * (may be NULL). The store must not be open. USAGE where nothing is lost; DAMAGED where there is
 * more to it than a lost end. */
ratoon_status ratoon__rocksdb_accept_loss(const char *path, ratoon_buffer *lost,
                                          ratoon_error *error);
/* ---- memory ---- */
ratoon_status ratoon__memory_open(const ratoon__driver_options *options, ratoon__driver **out,
                                  ratoon_error *error);
/* Makes the n-th append from now (from 1) fail with `status`, once; 0: never. */
void ratoon__memory_fail_append(ratoon__driver *d, uint64_t n, ratoon_status status);
/* Holds every append back until released; for races in tests. */
void ratoon__memory_hold(ratoon__driver *d, bool hold);

/* ---- socket ---- */
typedef struct ratoon__server ratoon__server;
/* Serves a driver on a Unix socket `socket` in the store's folder (design: short path through
 * /proc/self/fd, mode 0600, peer credentials), in a thread of its own. on_disconnect is called in
 * that thread when a client has gone. */
ratoon_status ratoon__server_start(ratoon__driver *d, const char *store_path,
                                   void (*on_disconnect)(void *ctx), void *ctx,
                                   ratoon__server **out, ratoon_error *error);
void ratoon__server_stop(ratoon__server *s); /* answers what it has begun, removes the socket */
/* Connects to the owner of a store. NOT_FOUND: nobody serves it. The owner's durability and limits
 * hold, whatever the options say. Once the connection is lost every call gives STORE_BUSY with
 * backend_code ECONNRESET, and ratoon__socket_is_lost() is true; the driver can only be closed. */
ratoon_status ratoon__socket_open(const char *store_path, const ratoon__driver_options *options,
                                  ratoon__driver **out, ratoon_error *error);
bool ratoon__socket_is_lost(const ratoon__driver *d);

#endif
