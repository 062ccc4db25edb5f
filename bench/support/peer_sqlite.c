/* SQLite in WAL mode: one transaction a commit, one connection that the clients take turns with
 * (it has one writer at a time anyway, and a mutex is kinder to it than its busy handler). */
#include "bench/support/peer.h"

#ifdef BENCH_HAVE_SQLITE
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

typedef struct lite {
    pthread_mutex_t turn;
    sqlite3 *db;
    sqlite3_stmt *insert, *scan;
} lite;

static void must(lite *l, int result)
{
    if (result != SQLITE_OK && result != SQLITE_DONE && result != SQLITE_ROW) {
        bench_die(sqlite3_errmsg(l->db), NULL);
    }
}

static void *lite_open(const bench_options *o, const char *dir, unsigned clients, bool sync,
                       bool reopen)
{
    lite *l = calloc(1, sizeof *l);
    char path[BENCH_PATH_MAX];
    (void)o;
    (void)clients;
    bench_path(path, dir, "sqlite.db");
    pthread_mutex_init(&l->turn, NULL);
    must(l, sqlite3_open(path, &l->db));
    must(l, sqlite3_exec(l->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL));
    must(l, sqlite3_exec(l->db, sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
                         NULL, NULL, NULL));
    must(l, sqlite3_exec(l->db, "PRAGMA cache_size=-65536", NULL, NULL, NULL));
    if (!reopen) {
        must(l, sqlite3_exec(l->db,
                             "CREATE TABLE commits(lineage BLOB, number INTEGER, data BLOB, "
                             "value BLOB, PRIMARY KEY(lineage, number)) WITHOUT ROWID",
                             NULL, NULL, NULL));
    }
    must(l, sqlite3_prepare_v2(l->db, "INSERT INTO commits VALUES(?,?,?,?)", -1, &l->insert, NULL));
    must(l, sqlite3_prepare_v2(l->db, "SELECT data FROM commits WHERE lineage=? ORDER BY number",
                               -1, &l->scan, NULL));
    return l;
}

static void lite_put(void *peer, unsigned client, const bench_record *r)
{
    lite *l = peer;
    (void)client;
    pthread_mutex_lock(&l->turn);
    must(l, sqlite3_bind_blob(l->insert, 1, r->lineage.bytes, 16, SQLITE_STATIC));
    must(l, sqlite3_bind_int64(l->insert, 2, (sqlite3_int64)r->number));
    must(l, sqlite3_bind_blob(l->insert, 3, r->data, (int)r->size, SQLITE_STATIC));
    must(l, sqlite3_bind_blob(l->insert, 4, r->value, (int)r->value_size, SQLITE_STATIC));
    must(l, sqlite3_step(l->insert));
    must(l, sqlite3_reset(l->insert));
    pthread_mutex_unlock(&l->turn);
}

static uint64_t lite_scan(void *peer, ratoon_id lineage, uint64_t *bytes)
{
    lite *l = peer;
    uint64_t count = 0;
    must(l, sqlite3_bind_blob(l->scan, 1, lineage.bytes, 16, SQLITE_STATIC));
    while (sqlite3_step(l->scan) == SQLITE_ROW) {
        (void)sqlite3_column_blob(l->scan, 0);
        *bytes += (uint64_t)sqlite3_column_bytes(l->scan, 0);
        count++;
    }
    must(l, sqlite3_reset(l->scan));
    return count;
}

static void lite_close(void *peer)
{
    lite *l = peer;
    sqlite3_finalize(l->insert);
    sqlite3_finalize(l->scan);
    must(l, sqlite3_close(l->db));
    pthread_mutex_destroy(&l->turn);
    free(l);
}

const bench_peer bench_sqlite = {
    .name = "sqlite",
    .how = "WAL, one INSERT a transaction, one connection that clients take turns with",
    .sync_mode = "synchronous=FULL",
    .none_mode = "synchronous=NORMAL",
    .version = sqlite3_libversion,
    .open = lite_open,
    .put = lite_put,
    .scan = lite_scan,
    .close = lite_close,
};
#else
const bench_peer bench_sqlite = {.name = "sqlite", .absent = "built without libsqlite3-dev"};
#endif
