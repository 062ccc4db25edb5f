/* Stores that ratoon is compared with, behind one interface: each stores the very commits that came
 * of the work that ratoon did (and the values that belong to them), one transaction each, with the
 * same durability. A peer whose library was absent when this was built says so. */
#ifndef RATOON_BENCH_SUPPORT_PEER_H
#define RATOON_BENCH_SUPPORT_PEER_H

#include "bench/support/bench.h"

/* One commit and the value that its event refers to. */
typedef struct bench_record {
    ratoon_id lineage;
    uint64_t number;
    const void *data;
    size_t size;
    const void *value; /* NULL: none beside the commit */
    size_t value_size;
} bench_record;

typedef struct bench_peer {
    const char *name;
    const char *how; /* what it does for one commit, for the report */
    /* Durability it is opened with; NULL: this peer has no such mode. */
    const char *sync_mode, *none_mode;
    bool
        batches; /* one thread gives it a commit of each client in turn, which it writes together */
    const char *(*version)(void);
    /* An empty store for so many clients, or with `reopen` one that was closed. `dir` exists. */
    void *(*open)(const bench_options *o, const char *dir, unsigned clients, bool sync,
                  bool reopen);
    void (*put)(void *peer, unsigned client, const bench_record *record);
    /* Reads all commits of a lineage in order; gives how many, and the sum of their sizes. */
    uint64_t (*scan)(void *peer, ratoon_id lineage, uint64_t *bytes);
    void (*close)(void *peer);
    const char *absent; /* NULL, or why it can't be measured */
} bench_peer;

extern const bench_peer bench_rocksdb;          /* one put */
extern const bench_peer bench_rocksdb_digested; /* likewise, after a digest */
extern const bench_peer bench_rocksdb_made;     /* likewise, of a commit that is encoded for it */
extern const bench_peer bench_rocksdb_batched;  /* of all clients in one batch; with sync only */
extern const bench_peer bench_rocksdb_shared;   /* of callers that wait; with sync only */
extern const bench_peer bench_rocksdb3;         /* three, as a plain event store would */
extern const bench_peer bench_sqlite;
extern const bench_peer bench_lmdb;
extern const bench_peer bench_postgres; /* absent without --pg, too */

/* All of them, in that order; NULL at the end. */
extern const bench_peer *const bench_peers[];

/* Key of a commit in RocksDB and LMDB: lineage, number big-endian. */
#define BENCH_KEY_SIZE 24
void bench_key(char key[BENCH_KEY_SIZE], ratoon_id lineage, uint64_t number);

/* ---- the commits that ratoon wrote ---- */
typedef struct bench_commits {
    ratoon_id lineage;
    char **data; /* by number from 1, at number - 1 */
    size_t *sizes;
    uint64_t count, capacity;
    uint64_t bytes;
} bench_commits;

/* Reads all commits of a lineage of an open store. */
void bench_commits_read(bench_commits *c, ratoon_store *store, ratoon_id lineage);
void bench_commits_free(bench_commits *c);

/* ---- payloads ---- */
/* Fills buffer with the payload of operation i of a client: printable, badly compressible, and no
 * two alike. */
void bench_payload(char *buffer, size_t size, unsigned client, uint64_t i);

#endif
