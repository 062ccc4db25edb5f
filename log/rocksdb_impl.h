/* Inside of the RocksDB driver. Only log/rocksdb_*.c include this and rocksdb/c.h, whose handles
 * are therefore named here a second time.
 *
 * Families (keys in bytes, integers big-endian so that they sort, unless said otherwise):
 *   commits  lineage 16, number u64            -> position u64 little-endian, then the commit
 *   values   SHA-256                           -> the value's bytes (blob files)
 *   feed     position u64                      -> key in `commits` of each commit from there on
 *                                                 (rocksdb_window.c)
 *   default  everything derived, by a first byte:
 *     'r' run 16                               -> run row (rocksdb_rows.c)
 *     't' ~created u64, ~run                   -> nothing: index by time
 *     's' status u8, ~created, ~run            -> index by status
 *     'j' subject, 0, ~created, ~run           -> index by subject
 *     'p' pipeline, 0, ~created, ~run          -> index by pipeline
 *     'c' name                                 -> run that holds the claim
 *     'n' lineage 16, number u64               -> snapshot (a blob where it is large)
 *     'm'                                      -> u64: position that runs and claims are true for
 * One family for all that is derived, because each family makes opening 4-5 ms slower: 50 ms with
 * the eleven that one per index would make, 25 ms with these, measured. There is none for heads:
 * the last commit of a lineage is one seek, and those in use are in memory.
 *
 * Order of locks: writer, flush, state. `state` is held for moments only, never over I/O. */
#ifndef RATOON_LOG_ROCKSDB_IMPL_H
#define RATOON_LOG_ROCKSDB_IMPL_H

#include "log/driver.h"
#include "log/pending.h"
#include "log/rocksdb_listener.h"
#include "log/slots.h"
#include "log/witness.h"
#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

typedef struct rocksdb_t rocksdb_t;
typedef struct rocksdb_column_family_handle_t rocksdb_column_family_handle_t;
typedef struct rocksdb_readoptions_t rocksdb_readoptions_t;
typedef struct rocksdb_writeoptions_t rocksdb_writeoptions_t;
typedef struct rocksdb_writebatch_t rocksdb_writebatch_t;
typedef struct rocksdb_iterator_t rocksdb_iterator_t;

enum {
    RATOON__FAMILY_DERIVED, /* "default": RocksDB wants one of that name */
    RATOON__FAMILY_COMMITS,
    RATOON__FAMILY_VALUES,
    RATOON__FAMILY_FEED,
    RATOON__FAMILIES,
    RATOON__COMMIT_KEY = 24,
    RATOON__POSITION_SIZE = 8,
    RATOON__DERIVED_EVERY = 4096, /* appends between two writings of derived rows */
    RATOON__TEXT_MAX = 1024,
    RATOON__WINDOW_MAX = 128,   /* positions at the feed's end that may be in no row yet */
    RATOON__WINDOW_TABLE = 256, /* of their lineages; a power of two */
    RATOON__HEADS_FOUND = 256,  /* a power of two */
};

/* What RocksDB counts for each thread, for whoever asks, is a fifteenth of the time that iterating
 * takes, and counted for each key that a write is compared with. There is no way to ask for the
 * level it had: the default is set again. */
enum { RATOON__COUNT_NOTHING = 1, RATOON__COUNT_AS_USUAL = 2 };

/* One group on its way into the log; guarded by `writer`. */
typedef struct ratoon__group_slot {
    const void *key; /* a lineage's id or a claim's name, borrowed from the appends */
    size_t key_size;
    uint64_t stamp; /* of the group it belongs to; else the slot is free */
    bool claim;     /* which of the two kinds of key */
    uint64_t head;
    ratoon_id holder;
} ratoon__group_slot;
typedef struct ratoon__group {
    ratoon__group_slot *slots; /* open addressing, a power of two */
    size_t slots_count;
    uint64_t stamp;
    ratoon__buf feed;  /* the keys of its commits */
    ratoon__buf bytes; /* one commit with its position before it */
    ratoon__pending_list staged;
    uint64_t first;              /* position of its first commit */
    uint64_t count;              /* commits accepted */
    bool closes_window, has_row; /* as it was staged */
} ratoon__group;

/* The open window of the feed (rocksdb_window.c); changed under writer and state, read under
 * either.
 */
typedef struct ratoon__window {
    uint64_t first; /* position; all before it stand in rows */
    uint64_t count;
    bool full; /* takes no more */
    uint8_t keys[RATOON__WINDOW_MAX * RATOON__COMMIT_KEY];
    bool in_row[RATOON__WINDOW_MAX];
    uint16_t table[RATOON__WINDOW_TABLE]; /* by lineage: 1 + place of a commit of it; 0: free */
    uint64_t gap, gap_end; /* positions missing at opening, the end not included; 0: none */
} ratoon__window;

/* A head that was looked up: true as long as nothing at all was acknowledged since. */
typedef struct ratoon__head_found {
    ratoon_id lineage;
    uint64_t head;
    uint64_t acked; /* the boundary when it was looked up */
} ratoon__head_found;

typedef struct ratoon__rocks {
    ratoon__driver driver;
    char *path;
    ratoon__driver_options options;
    int lock_fd;

    rocksdb_t *db;
    rocksdb_column_family_handle_t *family[RATOON__FAMILIES];
    ratoon__rocks_listener *listener;
    rocksdb_readoptions_t *get_options;    /* look-ups, and seeks within one lineage */
    rocksdb_readoptions_t *run_options;    /* walks within one lineage, whose end the reader sees */
    rocksdb_readoptions_t *scan_options;   /* in the order of all keys */
    rocksdb_readoptions_t *verify_options; /* the same, past the cache, with checksums */
    rocksdb_writeoptions_t *write_sync, *write_plain;

    pthread_mutex_t writer;
    rocksdb_writebatch_t *batch;
    ratoon__group group;
    ratoon__window window;
    ratoon__slots stored; /* digests of values known to be there */
    uint64_t room_bytes;  /* appended since the disk's room was looked at */
    uint64_t room;        /* what was left then */
    uint64_t ballast;

    pthread_mutex_t flush; /* one writer of derived rows at a time */
    rocksdb_writebatch_t *derived_batch;

    pthread_mutex_t state;
    pthread_cond_t moved;   /* acked moved, or the store turned read-only */
    _Atomic uint64_t acked; /* the boundary: nothing after it is shown to anybody */
    ratoon__slots heads;    /* written under writer and state, read under either */
    ratoon__head_found heads_found[RATOON__HEADS_FOUND]; /* by hash of the lineage */
    ratoon__pending pending;                             /* derived rows not yet written */
    ratoon__pending flushing;                            /* those being written just now */
    uint64_t flushing_position;    /* that they are true for; guarded by flush */
    ratoon__pending written;       /* those about to be freed; guarded by flush */
    uint64_t covered;              /* derived rows, pending ones included, are true up to here… */
    uint64_t gap_end;              /* …where that is less than this; else up to acked */
    _Atomic ratoon_status refusal; /* OK: appends are taken; written under state, after its text */
    char refusal_text[RATOON__TEXT_MAX];
    int watch_fd;

    ratoon__witness witness;
    _Atomic uint64_t synced; /* position up to which the log is on disk */

    pthread_t keeper;
    bool keeper_started;
    pthread_cond_t keeper_wake; /* with state */
    bool keeper_stop, keeper_flush;
} ratoon__rocks;

static inline ratoon__rocks *ratoon__rocks_of(ratoon__driver *d)
{
    return (ratoon__rocks *)d;
}

/* ---- bytes ---- */
static inline void ratoon__put_be64(uint8_t out[8], uint64_t value)
{
    const uint64_t bytes = htobe64(value);
    memcpy(out, &bytes, sizeof bytes);
}
static inline uint64_t ratoon__get_be64(const void *in)
{
    uint64_t bytes;
    memcpy(&bytes, in, sizeof bytes);
    return be64toh(bytes);
}
static inline void ratoon__put_le64(uint8_t out[8], uint64_t value)
{
    const uint64_t bytes = htole64(value);
    memcpy(out, &bytes, sizeof bytes);
}
static inline uint64_t ratoon__get_le64(const void *in)
{
    uint64_t bytes;
    memcpy(&bytes, in, sizeof bytes);
    return le64toh(bytes);
}
static inline void ratoon__commit_key(uint8_t key[RATOON__COMMIT_KEY], ratoon_id lineage,
                                      uint64_t number)
{
    memcpy(key, lineage.bytes, sizeof lineage.bytes);
    ratoon__put_be64(key + sizeof lineage.bytes, number);
}

/* ---- rocksdb_error.c ---- */
/* A message like RocksDB's, which need not be freed. */
extern char ratoon__rocks_no_memory[];
/* The status for a message of RocksDB, in *error with `what` before it; frees the message. */
ratoon_status ratoon__rocks_error(char *message, const char *what, ratoon_error *error);
/* Appends are refused with `refusal` from now on (the first call decides). */
void ratoon__rocks_refuse(ratoon__rocks *r, ratoon_status refusal, const char *text);
/* OK, or why appends are refused. */
ratoon_status ratoon__rocks_writable(ratoon__rocks *r, ratoon_error *error);

/* ---- rocksdb_append.c ---- */
ratoon_status ratoon__rocks_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                   bool sync, ratoon_error *error);
/* Syncs what is acknowledged and notes it in the witness. */
ratoon_status ratoon__rocks_sync(ratoon__rocks *r, ratoon_error *error);
void ratoon__group_free(ratoon__group *g);

/* ---- rocksdb_erase.c ---- */
/* Puts into the group's batch that all goes which a mark stands for (R20). */
ratoon_status ratoon__rocks_stage_erase(ratoon__rocks *r, const ratoon__append *a,
                                        ratoon_error *error);
ratoon_status ratoon__rocks_sweep(ratoon__driver *d, const ratoon_digest *digests,
                                  size_t digests_count, uint64_t end, uint64_t *count,
                                  uint64_t *bytes, ratoon_error *error);
ratoon_status ratoon__rocks_checkpoint(ratoon__driver *d, const char *path, uint64_t *position,
                                       ratoon_error *error);

/* ---- rocksdb_heads.c ---- */
ratoon_status ratoon__rocks_heads(ratoon__driver *d, ratoon_id after, uint64_t before,
                                  ratoon__head_fn fn, void *ctx, ratoon_error *error);

/* ---- rocksdb_read.c ---- */
ratoon_status ratoon__rocks_last_number(ratoon__rocks *r, ratoon_id lineage, uint64_t *number,
                                        ratoon_error *error);
ratoon_status ratoon__rocks_head(ratoon__driver *d, ratoon_id lineage, uint64_t *head,
                                 ratoon_error *error);
ratoon_status ratoon__rocks_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                                 bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                                 ratoon_error *error);
ratoon_status ratoon__rocks_read_ranges(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                        ratoon__commit_fn fn, void *ctx, ratoon_error *error);
/* Where an iterator over commits stands: key, value and its size, lent; the value is NULL where
 * what is there is no commit. False: it is not of that lineage (NULL: of any). */
bool ratoon__rocks_commit_at(const rocksdb_iterator_t *it, const ratoon_id *lineage,
                             const char **key, const char **value, size_t *size);
#define RATOON__NO_COMMIT "the log holds an entry that is no commit"
ratoon_status ratoon__rocks_value_get(ratoon__driver *d, const ratoon_digest *digest,
                                      ratoon_buffer *out, ratoon_error *error);
ratoon_status ratoon__rocks_values(ratoon__driver *d, ratoon__digest_fn fn, void *ctx,
                                   ratoon_error *error);
ratoon_status ratoon__rocks_values_from(ratoon__driver *d, const ratoon_digest *from,
                                        ratoon__digest_fn fn, void *ctx, ratoon_error *error);
ratoon_status ratoon__rocks_snapshot_get(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                         uint64_t *at, ratoon_buffer *out, ratoon_error *error);
ratoon_status ratoon__rocks_snapshot_put(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                         const void *data, size_t size, ratoon_error *error);

/* ---- rocksdb_check.c ---- */
/* As read() of the driver with `verify`. */
ratoon_status ratoon__rocks_read_checked(ratoon__rocks *r, ratoon_id lineage, uint64_t from,
                                         bool one_lineage, ratoon__commit_fn fn, void *ctx,
                                         ratoon_error *error);
ratoon_status ratoon__rocks_rows(ratoon__driver *d, ratoon__row_fn fn, void *ctx, bool *indexed,
                                 ratoon_error *error);
ratoon_status ratoon__rocks_snapshots(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                      ratoon__snapshot_fn fn, void *ctx, ratoon_error *error);

/* ---- rocksdb_feed.c ---- */
/* So long from now, on the clock that the store's conditions wait by. */
struct timespec ratoon__deadline_after(uint32_t timeout_ms);
ratoon_status ratoon__rocks_tail(ratoon__driver *d, uint64_t from, uint32_t timeout_ms,
                                 ratoon__commit_fn fn, void *ctx, ratoon_error *error);
ratoon_status ratoon__rocks_places(ratoon__driver *d, uint64_t from, ratoon__place_fn fn, void *ctx,
                                   ratoon_error *error);
/* The last position that stands in a row of the feed, 0 where there is none. */
ratoon_status ratoon__rocks_feed_last(ratoon__rocks *r, uint64_t *last, ratoon_error *error);
/* The rows from the one that holds position `from` (or the first one) to the last one that begins
 * at or before `to`. */
typedef bool (*ratoon__feed_row_fn)(void *ctx, uint64_t first, const char *keys, uint64_t count);
ratoon_status ratoon__rocks_feed_rows(ratoon__rocks *r, uint64_t from, uint64_t to,
                                      ratoon__feed_row_fn fn, void *ctx, ratoon_error *error);
/* Whether the feed's last `positions_max` positions follow each other without a gap and its last
 * `commits_max` commits, or some where that is 0, are where it says: DAMAGED says what is wrong. */
ratoon_status ratoon__rocks_feed_check(ratoon__rocks *r, uint64_t positions_max,
                                       uint64_t commits_max, ratoon_error *error);

/* ---- rocksdb_window.c ---- */
/* An empty window that begins at a position. */
void ratoon__window_open(ratoon__window *w, uint64_t first);
/* Puts into the batch what rows the group makes necessary. close: the window ends before it. */
void ratoon__window_stage(ratoon__rocks *r, bool close);
/* Takes the group in once it is written; with `state` held. */
void ratoon__window_publish(ratoon__rocks *r);
/* The window's first position, and the keys of the commits from `from` to `to` that are in it. */
uint64_t ratoon__window_copy(ratoon__rocks *r, uint64_t from, uint64_t to, ratoon__buf *keys);
/* At opening: the window as it was left, and the last position of the feed, 0 where it is empty.
 * A gap is noted in the window, for ratoon__rocks_feed_check(). */
ratoon_status ratoon__window_recover(ratoon__rocks *r, uint64_t *end, ratoon_error *error);

/* ---- rocksdb_derived.c, rocksdb_list.c ---- */
/* Writes the rows that are pending, all that was acknowledged before the call. */
ratoon_status ratoon__rocks_flush_derived(ratoon__rocks *r, ratoon_error *error);
/* Writes what is only in the log to tables as well, as far as that works. */
void ratoon__rocks_to_tables(ratoon__rocks *r);
ratoon_status ratoon__rocks_load_derived(ratoon__rocks *r, ratoon_error *error);
ratoon_status ratoon__rocks_run_get(ratoon__driver *d, ratoon_id run, ratoon_id *root,
                                    ratoon_error *error);
/* *holder all zero: nobody. */
ratoon_status ratoon__rocks_claim_holder(ratoon__rocks *r, const char *name, ratoon_id *holder,
                                         ratoon_error *error);
ratoon_status ratoon__rocks_claim_get(ratoon__driver *d, const char *name, ratoon_id *holder,
                                      ratoon_error *error);
ratoon_status ratoon__rocks_claims(ratoon__driver *d, const char *prefix, const char *after,
                                   ratoon__claim_fn fn, void *ctx, ratoon_error *error);
ratoon_status ratoon__rocks_list(ratoon__driver *d, const ratoon__list_query *query,
                                 ratoon__row_fn fn, void *ctx, ratoon_error *error);

/* ---- rocksdb_rows.c ---- */
/* A row's bytes; it points into them once decoded. */
bool ratoon__row_decode(const void *data, size_t size, ratoon_id run, ratoon__run_row *out);
void ratoon__row_encode(const ratoon__run_row *row, ratoon__buf *out);
/* Key of a row in an index; with INDEX_ID its key among the rows. Appended to out. */
void ratoon__index_prefix(ratoon__index index, const void *key, size_t key_size, ratoon__buf *out);
void ratoon__index_suffix(uint64_t created_at, ratoon_id run, ratoon__buf *out);
void ratoon__index_key(ratoon__index index, const ratoon__run_row *row, ratoon__buf *out);
/* The run that an entry is about whose key has a prefix of prefix_size. False: it is no such entry.
 */
bool ratoon__index_entry_run(ratoon__index index, const void *key, size_t size, size_t prefix_size,
                             ratoon_id *run);

/* ---- rocksdb_driver.c ---- */
extern const ratoon__driver_ops ratoon__rocks_ops;
bool ratoon__rocks_keeper_start(ratoon__rocks *r);
void ratoon__rocks_keeper_stop(ratoon__rocks *r); /* once it has ended what it does */

/* ---- rocksdb_damage.c ---- */
/* Opens the database: OK, DAMAGED with one that can be read or without, or another status without
 * one. */
ratoon_status ratoon__rocks_open_proven(ratoon__rocks *r, ratoon_error *error);

/* ---- rocksdb_hint.c ---- */
/* The options, of which it becomes the owner, with hints for commits. */
rocksdb_options_t *ratoon__rocks_hinted(rocksdb_options_t *o);
/* Whether the database was last opened with them. */
bool ratoon__rocks_hinted_before(const char *db);

/* ---- rocksdb_open.c ---- */
/* Opens the database with all, else with as much of the log as there is before its first flaw.
 * *mended: only once the list of its files was cut; that all is there is to be proven. */
ratoon_status ratoon__rocks_recover(ratoon__rocks *r, bool *mended, ratoon_error *error);
void ratoon__rocks_close_db(ratoon__rocks *r);

/* ---- rocksdb_close.c ---- */
void ratoon__rocks_close(ratoon__driver *d);

#endif
