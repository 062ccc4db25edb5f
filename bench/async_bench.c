/* Asynchronous appends: each client thread submits progress reports (one commit of one event each)
 * of its 16 runs in turn, with up to so many in flight, waiting for room and not for the disk. A
 * commit counts when it is called back for: in sync mode it is on disk then. Beside it RocksDB
 * given the same commits by as many threads, each of which writes a batch of as many puts and waits
 * for its sync: what somebody who batches by hand gets. The first twentieth does not count. */
#include "bench/support/peer.h"
#include "bench/support/world.h"

#include <pthread.h>
#include <rocksdb/c.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CLIENTS_MAX 4
#define RUNS 16        /* of a client */
#define SLOTS_FACTOR 4 /* so that a late answer of one run holds up no other */

typedef struct point {
    unsigned clients, in_flight;
    ratoon_durability durability;
    uint64_t count; /* of a client */
} point;

typedef struct slot {
    atomic_bool busy;
    ratoon_op op;
    double submitted;
    struct client *client;
    uint64_t index;
} slot;

typedef struct client {
    pthread_t thread;
    const point *p;
    pthread_barrier_t *start;
    ratoon_store *store;
    bench_run runs[RUNS];
    slot *slots;
    double *latencies_us;
    atomic_uint_fast64_t answered;
    double begin, end;
    /* the peer's */
    rocksdb_t *db;
    rocksdb_writeoptions_t *write_options;
    bench_commits commits[RUNS];
} client;

static uint64_t warm_of(const point *p)
{
    return p->count / 20 + 1;
}

static void answered(void *ctx, ratoon_status status, const ratoon_error *error)
{
    slot *s = ctx;
    bench_must(status, "append", error);
    s->client->latencies_us[s->index] = (bench_now_s() - s->submitted) * 1e6;
    atomic_fetch_add_explicit(&s->client->answered, 1, memory_order_relaxed);
    atomic_store_explicit(&s->busy, false, memory_order_release);
}

static void submit(client *c, ratoon_async *queue, uint64_t i)
{
    slot *s = &c->slots[i % (SLOTS_FACTOR * (uint64_t)c->p->in_flight)];
    const bench_run *r = &c->runs[i % RUNS];
    ratoon_error error = {0};
    while (atomic_load_explicit(&s->busy, memory_order_acquire)) {
        sched_yield();
    }
    s->op = (ratoon_op){.kind = RATOON_OP_STAGE_PROGRESS,
                        .stage = "s0000",
                        .attempt = r->attempt,
                        .done = i,
                        .total = c->p->count,
                        .text = "a message of a usual length"};
    s->client = c;
    s->index = i;
    atomic_store_explicit(&s->busy, true, memory_order_relaxed);
    s->submitted = bench_now_s();
    bench_must(ratoon_async_apply(queue, r->id, r->epoch, &s->op, 1, answered, s, &error), "submit",
               &error);
}

static void *client_work(void *arg)
{
    client *c = arg;
    ratoon_async_options options = RATOON_ASYNC_OPTIONS_INIT;
    ratoon_async *queue = NULL;
    ratoon_error error = {0};
    options.in_flight_max = c->p->in_flight;
    options.wait = true;
    bench_must(ratoon_async_open(c->store, &options, &queue, &error), "queue", &error);
    const uint64_t warm = warm_of(c->p);
    for (uint64_t i = 0; i < warm + c->p->count; i++) {
        if (i == warm) {
            pthread_barrier_wait(c->start);
            c->begin = bench_now_s();
        }
        submit(c, queue, i);
    }
    bench_must(ratoon_async_drain(queue, &error), "drain", &error);
    c->end = bench_now_s();
    bench_must(ratoon_async_close(queue, &error), "close", &error);
    return NULL;
}

/* Batches of the client's commits, in the order in which they were made. */
static void *peer_work(void *arg)
{
    client *c = arg;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    const uint64_t warm = warm_of(c->p);
    bool started = false;
    for (uint64_t i = 0; i < warm + c->p->count;) {
        char *problem = NULL;
        if (!started && i >= warm) {
            pthread_barrier_wait(c->start);
            c->begin = bench_now_s();
            started = true;
        }
        rocksdb_writebatch_clear(batch);
        const uint64_t limit = started ? warm + c->p->count : warm;
        for (unsigned n = 0; n < c->p->in_flight && i < limit; n++, i++) {
            const bench_commits *k = &c->commits[i % RUNS];
            const uint64_t number = i / RUNS + 3; /* after creation and start */
            char key[BENCH_KEY_SIZE];
            bench_key(key, k->lineage, number);
            rocksdb_writebatch_put(batch, key, sizeof key, k->data[number - 1],
                                   k->sizes[number - 1]);
        }
        rocksdb_write(c->db, c->write_options, batch, &problem);
        if (problem != NULL) {
            bench_die(problem, NULL);
        }
    }
    c->end = bench_now_s();
    rocksdb_writebatch_destroy(batch);
    return NULL;
}

static double run_clients(client *clients, const point *p, void *(*work)(void *))
{
    pthread_barrier_t start;
    double begin = 0, end = 0;
    pthread_barrier_init(&start, NULL, p->clients);
    for (unsigned i = 0; i < p->clients; i++) {
        clients[i].start = &start;
        if (pthread_create(&clients[i].thread, NULL, work, &clients[i]) != 0) {
            bench_die("can't start a client", NULL);
        }
    }
    for (unsigned i = 0; i < p->clients; i++) {
        pthread_join(clients[i].thread, NULL);
        begin = i == 0 || clients[i].begin < begin ? clients[i].begin : begin;
        end = clients[i].end > end ? clients[i].end : end;
    }
    pthread_barrier_destroy(&start);
    return (double)(p->clients * p->count) / (end - begin);
}

static void sample(const bench_options *o, const point *p, const char *side, unsigned repeat,
                   double rate, double *latencies_us)
{
    bench_sample s;
    const uint64_t count = p->clients * p->count;
    bench_sample_begin(&s, o, "report", side, repeat);
    bench_sample_count(&s, "threads", p->clients);
    bench_sample_count(&s, "in_flight", p->in_flight);
    bench_sample_text(&s, "durability", bench_durability_name(p->durability));
    bench_sample_metric(&s, "rate", rate);
    if (latencies_us != NULL) {
        bench_sample_metric(&s, "p50_us", bench_quantile(latencies_us, count, 0.5));
        bench_sample_metric(&s, "p99_us", bench_quantile(latencies_us, count, 0.99));
    } else {
        json_object_set_new(s.doc, "mode", json_string("batches of as many puts, one sync each"));
        json_object_set_new(s.doc, "version", json_string(bench_loaded_version("rocksdb_put")));
    }
    bench_sample_end(&s);
}

static void measure_ratoon(const bench_options *o, client *clients, const point *p, const char *dir,
                           const ratoon_pipeline *chain, unsigned repeat)
{
    const uint64_t total = warm_of(p) + p->count;
    ratoon_store *store = bench_store_new(dir, p->durability);
    double *latencies = calloc(p->clients * p->count, sizeof *latencies);
    for (unsigned i = 0; i < p->clients; i++) {
        clients[i] = (client){.p = p, .store = store};
        clients[i].slots = calloc(SLOTS_FACTOR * (size_t)p->in_flight, sizeof(slot));
        clients[i].latencies_us = calloc(total, sizeof(double));
        for (unsigned r = 0; r < RUNS; r++) {
            bench_run_new(&clients[i].runs[r], store, chain, NULL);
            bench_run_start(&clients[i].runs[r], store, 0);
        }
    }
    double rate = run_clients(clients, p, client_work);
    for (unsigned i = 0; i < p->clients; i++) {
        if (atomic_load(&clients[i].answered) != total) {
            bench_die("an answer is missing", NULL);
        }
        memcpy(latencies + i * p->count, clients[i].latencies_us + warm_of(p),
               p->count * sizeof *latencies);
        for (unsigned r = 0; r < RUNS; r++) {
            bench_commits_read(&clients[i].commits[r], store, clients[i].runs[r].id);
        }
        free(clients[i].slots);
        free(clients[i].latencies_us);
    }
    ratoon_store_close(store);
    sample(o, p, "ratoon", repeat, rate, latencies);
    free(latencies);
}

static void measure_peer(const bench_options *o, client *clients, const point *p, const char *dir,
                         unsigned repeat)
{
    char path[BENCH_PATH_MAX];
    char *problem = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_writeoptions_t *write_options = rocksdb_writeoptions_create();
    bench_path(path, dir, "rocksdb");
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_write_buffer_size(options, 32u << 20);
    rocksdb_options_set_info_log_level(options, 5);
    rocksdb_writeoptions_set_sync(write_options, p->durability == RATOON_DURABILITY_SYNC);
    rocksdb_t *db = rocksdb_open(options, path, &problem);
    if (problem != NULL) {
        bench_die(problem, NULL);
    }
    for (unsigned i = 0; i < p->clients; i++) {
        clients[i].db = db;
        clients[i].write_options = write_options;
    }
    sample(o, p, "rocksdb-batch", repeat, run_clients(clients, p, peer_work), NULL);
    rocksdb_close(db);
    rocksdb_writeoptions_destroy(write_options);
    rocksdb_options_destroy(options);
}

static void measure(const bench_options *o, const point *p, const ratoon_pipeline *chain,
                    unsigned repeat)
{
    static client clients[CLIENTS_MAX];
    char dir[BENCH_PATH_MAX];
    bench_path(dir, o->dir, "one");
    if (mkdir(dir, 0700) != 0) {
        bench_die("mkdir", NULL);
    }
    measure_ratoon(o, clients, p, dir, chain, repeat);
    measure_peer(o, clients, p, dir, repeat);
    for (unsigned i = 0; i < p->clients; i++) {
        for (unsigned r = 0; r < RUNS; r++) {
            bench_commits_free(&clients[i].commits[r]);
        }
    }
    bench_remove_tree(dir);
}

int main(int argc, char **argv)
{
    static const struct {
        unsigned clients, in_flight;
        ratoon_durability durability;
        uint64_t total;
    } points[] = {{1, 16, RATOON_DURABILITY_SYNC, 40000},
                  {1, 256, RATOON_DURABILITY_SYNC, 200000},
                  {2, 256, RATOON_DURABILITY_SYNC, 300000},
                  {2, 256, RATOON_DURABILITY_NONE, 300000}};
    bench_options o;
    bench_start(&o, "async", argc, argv);
    ratoon_pipeline *chain = bench_chain(2);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        const point p = {.clients = points[i].clients,
                         .in_flight = points[i].in_flight,
                         .durability = points[i].durability,
                         .count = bench_scaled(&o, points[i].total / points[i].clients, 32)};
        for (unsigned repeat = 0; repeat < o.repeat; repeat++) {
            measure(&o, &p, chain, repeat);
        }
    }
    ratoon_pipeline_free(chain);
    bench_finish(&o);
    return 0;
}
