/* LMDB: one write transaction a commit; its writers take turns. */
#include "bench/support/peer.h"

#ifdef BENCH_HAVE_LMDB
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_SIZE ((size_t)16 << 30)

typedef struct lmdb {
    MDB_env *env;
    MDB_dbi dbi;
} lmdb;

static void must(int result)
{
    if (result != 0) {
        bench_die(mdb_strerror(result), NULL);
    }
}

static const char *lmdb_version(void)
{
    return mdb_version(NULL, NULL, NULL);
}

static void *lmdb_open(const bench_options *o, const char *dir, unsigned clients, bool sync,
                       bool reopen)
{
    lmdb *l = calloc(1, sizeof *l);
    char path[BENCH_PATH_MAX];
    MDB_txn *txn;
    (void)o;
    (void)clients;
    bench_path(path, dir, "lmdb");
    if (!reopen && mkdir(path, 0700) != 0) {
        bench_die("can't make a folder for LMDB", NULL);
    }
    must(mdb_env_create(&l->env));
    must(mdb_env_set_mapsize(l->env, MAP_SIZE));
    must(mdb_env_set_maxreaders(l->env, BENCH_THREADS_MAX + 8));
    must(mdb_env_open(l->env, path, sync ? 0 : MDB_NOSYNC, 0600));
    must(mdb_txn_begin(l->env, NULL, 0, &txn));
    must(mdb_dbi_open(txn, NULL, MDB_CREATE, &l->dbi));
    must(mdb_txn_commit(txn));
    return l;
}

static void lmdb_put(void *peer, unsigned client, const bench_record *r)
{
    lmdb *l = peer;
    char key[BENCH_KEY_SIZE];
    MDB_txn *txn;
    (void)client;
    bench_key(key, r->lineage, r->number);
    MDB_val k = {sizeof key, key};
    MDB_val v = {r->size + r->value_size, NULL};
    must(mdb_txn_begin(l->env, NULL, 0, &txn));
    must(mdb_put(txn, l->dbi, &k, &v, MDB_RESERVE));
    memcpy(v.mv_data, r->data, r->size);
    if (r->value != NULL) {
        memcpy((char *)v.mv_data + r->size, r->value, r->value_size);
    }
    must(mdb_txn_commit(txn));
}

static uint64_t lmdb_scan(void *peer, ratoon_id lineage, uint64_t *bytes)
{
    lmdb *l = peer;
    char key[BENCH_KEY_SIZE];
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val v;
    uint64_t count = 0;
    bench_key(key, lineage, 0);
    MDB_val k = {sizeof key, key};
    must(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn));
    must(mdb_cursor_open(txn, l->dbi, &cursor));
    for (int result = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
         result == 0 && memcmp(k.mv_data, lineage.bytes, 16) == 0;
         result = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) {
        *bytes += v.mv_size;
        count++;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return count;
}

static void lmdb_close(void *peer)
{
    lmdb *l = peer;
    mdb_env_close(l->env);
    free(l);
}

const bench_peer bench_lmdb = {
    .name = "lmdb",
    .how = "one put a write transaction",
    .sync_mode = "default (fdatasync at each commit)",
    .none_mode = "MDB_NOSYNC",
    .version = lmdb_version,
    .open = lmdb_open,
    .put = lmdb_put,
    .scan = lmdb_scan,
    .close = lmdb_close,
};
#else
const bench_peer bench_lmdb = {.name = "lmdb", .absent = "built without liblmdb-dev"};
#endif
