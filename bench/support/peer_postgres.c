/* PostgreSQL over its own protocol: a connection a client, one prepared INSERT a commit, each a
 * transaction of its own. The server's log is shared by whoever commits at the same time. */
#include "bench/support/peer.h"

#ifdef BENCH_HAVE_POSTGRES
#include <endian.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct pg {
    unsigned clients;
    PGconn *connections[BENCH_THREADS_MAX];
} pg;

static char version[64] = "unknown";

static const char *pg_version(void)
{
    return version;
}

static PGresult *must(PGconn *c, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        bench_die(PQerrorMessage(c), NULL);
    }
    return result;
}

static void run(PGconn *c, const char *sql)
{
    PQclear(must(c, PQexec(c, sql)));
}

static void *pg_open(const bench_options *o, const char *dir, unsigned clients, bool sync,
                     bool reopen)
{
    pg *p = calloc(1, sizeof *p);
    (void)dir;
    p->clients = clients;
    for (unsigned i = 0; i < clients; i++) {
        PGconn *c = PQconnectdb(o->pg);
        if (PQstatus(c) != CONNECTION_OK) {
            bench_die(PQerrorMessage(c), NULL);
        }
        p->connections[i] = c;
        run(c, sync ? "SET synchronous_commit=on" : "SET synchronous_commit=off");
        if (i == 0 && !reopen) {
            run(c, "SET client_min_messages=warning");
            run(c, "DROP TABLE IF EXISTS commits");
            run(c, "CREATE TABLE commits(lineage bytea, number bigint, data bytea, value bytea, "
                   "PRIMARY KEY(lineage, number))");
            run(c, "CHECKPOINT");
        }
        PQclear(must(c, PQprepare(c, "put",
                                  "INSERT INTO commits VALUES($1::bytea,$2::bigint,$3::bytea,"
                                  "$4::bytea)",
                                  4, NULL)));
        PQclear(must(c, PQprepare(c, "scan",
                                  "SELECT data FROM commits WHERE lineage=$1::bytea ORDER BY "
                                  "number",
                                  1, NULL)));
    }
    snprintf(version, sizeof version, "%s", PQparameterStatus(p->connections[0], "server_version"));
    return p;
}

static void pg_put(void *peer, unsigned client, const bench_record *r)
{
    pg *p = peer;
    uint64_t number = htobe64(r->number);
    const char *values[4] = {(const char *)r->lineage.bytes, (const char *)&number, r->data,
                             r->value};
    const int sizes[4] = {16, 8, (int)r->size, (int)r->value_size};
    const int binary[4] = {1, 1, 1, 1};
    PGconn *c = p->connections[client];
    PQclear(must(c, PQexecPrepared(c, "put", 4, values, sizes, binary, 1)));
}

static uint64_t pg_scan(void *peer, ratoon_id lineage, uint64_t *bytes)
{
    pg *p = peer;
    const char *values[1] = {(const char *)lineage.bytes};
    const int sizes[1] = {16};
    const int binary[1] = {1};
    PGconn *c = p->connections[0];
    PGresult *result = must(c, PQexecPrepared(c, "scan", 1, values, sizes, binary, 1));
    uint64_t count = (uint64_t)PQntuples(result);
    for (int i = 0; i < PQntuples(result); i++) {
        *bytes += (uint64_t)PQgetlength(result, i, 0);
    }
    PQclear(result);
    return count;
}

static void pg_close(void *peer)
{
    pg *p = peer;
    for (unsigned i = 0; i < p->clients; i++) {
        PQfinish(p->connections[i]);
    }
    free(p);
}

const bench_peer bench_postgres = {
    .name = "postgresql",
    .how = "a connection a client on a Unix socket, one prepared INSERT a transaction",
    .sync_mode = "synchronous_commit=on, fsync=on",
    .none_mode = "synchronous_commit=off",
    .version = pg_version,
    .open = pg_open,
    .put = pg_put,
    .scan = pg_scan,
    .close = pg_close,
};
#else
const bench_peer bench_postgres = {.name = "postgresql", .absent = "built without libpq-dev"};
#endif
