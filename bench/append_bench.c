/* Appends: status changes through the library against stores that are given the same bytes, in one
 * run, right after one another.
 *
 * A client thread has runs of its own. "report" is one event, progress of a stage (200-270 bytes);
 * "step-N" is what an executor does between two stages: one commit that ends a stage with an output
 * of N bytes and starts the next. The peers are given the very commits that came of it, under the
 * same keys, by as many threads; values that the library stores beside its commits (over 1 KiB) go
 * along in the peer's row. Every side begins with an empty store and does a twentieth of its work
 * before the clock starts. */
#include "bench/support/peer.h"
#include "bench/support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHAIN 100 /* stages of a run */

typedef struct point {
    const char *kind; /* report, or step */
    size_t output;    /* bytes, for step */
    unsigned clients;
    ratoon_durability durability;
    uint64_t count; /* operations of a client */
    bool peers;
} point;

/* What one client works on. */
typedef struct lane {
    bench_run *runs; /* one after another; step: each for CHAIN - 1 operations */
    uint64_t runs_count;
    char *payload;
    bench_record *records; /* what came of it, in order, for the peers */
    uint64_t records_count;
} lane;

typedef struct work {
    const point *p;
    ratoon_store *store;
    lane lanes[BENCH_THREADS_MAX];
    bench_commits *commits; /* of all runs of all lanes */
    uint64_t commits_count, bytes;
    const bench_peer *peer;
    void *handle;
} work;

static bool is_step(const point *p)
{
    return p->output > 0;
}

static uint64_t warm_of(const point *p)
{
    return p->count / 20 + 1;
}

static void ratoon_op_do(void *ctx, unsigned client, uint64_t i)
{
    work *w = ctx;
    lane *l = &w->lanes[client];
    if (is_step(w->p)) {
        bench_payload(l->payload, w->p->output, client, i);
        bench_run_step(&l->runs[i / (CHAIN - 1)], w->store, l->payload, w->p->output);
    } else {
        bench_run_report(&l->runs[0], w->store, i, w->p->count);
    }
}

static void peer_op_do(void *ctx, unsigned client, uint64_t i)
{
    work *w = ctx;
    lane *l = &w->lanes[client];
    bench_record r = l->records[i];
    if (w->p->output > RATOON_INLINE_MAX) {
        bench_payload(l->payload, w->p->output, client, i);
        r.value = l->payload;
        r.value_size = w->p->output;
    }
    w->peer->put(w->handle, client, &r);
}

/* The i-th of each client: one batch. */
static void batch_op_do(void *ctx, unsigned client, uint64_t i)
{
    const work *w = ctx;
    (void)client;
    for (unsigned c = 0; c < w->p->clients; c++) {
        peer_op_do(ctx, c, i);
    }
}

static void lanes_make(work *w, const ratoon_pipeline *chain)
{
    uint64_t total = warm_of(w->p) + w->p->count;
    for (unsigned c = 0; c < w->p->clients; c++) {
        lane *l = &w->lanes[c];
        l->runs_count = is_step(w->p) ? total / (CHAIN - 1) + 1 : 1;
        l->runs = calloc(l->runs_count, sizeof *l->runs);
        l->payload = malloc(w->p->output + 1);
        for (uint64_t i = 0; i < l->runs_count; i++) {
            bench_run_new(&l->runs[i], w->store, chain, NULL);
            bench_run_start(&l->runs[i], w->store, 0);
        }
    }
}

/* Reads back what the clients' operations appended: commits 3 and after of each run. */
static void lanes_read(work *w)
{
    uint64_t n = 0;
    for (unsigned c = 0; c < w->p->clients; c++) {
        w->commits_count += w->lanes[c].runs_count;
    }
    w->commits = calloc(w->commits_count, sizeof *w->commits);
    for (unsigned c = 0; c < w->p->clients; c++) {
        lane *l = &w->lanes[c];
        l->records = calloc(warm_of(w->p) + w->p->count, sizeof *l->records);
        for (uint64_t i = 0; i < l->runs_count; i++) {
            bench_commits *k = &w->commits[n++];
            bench_commits_read(k, w->store, l->runs[i].id);
            for (uint64_t j = 2; j < k->count; j++) {
                l->records[l->records_count++] = (bench_record){.lineage = k->lineage,
                                                                .number = j + 1,
                                                                .data = k->data[j],
                                                                .size = k->sizes[j]};
                w->bytes += k->sizes[j];
            }
        }
    }
}

static void work_free(work *w)
{
    for (unsigned c = 0; c < w->p->clients; c++) {
        free(w->lanes[c].runs);
        free(w->lanes[c].payload);
        free(w->lanes[c].records);
    }
    for (uint64_t i = 0; i < w->commits_count; i++) {
        bench_commits_free(&w->commits[i]);
    }
    free(w->commits);
}

static void sample(const bench_options *o, const work *w, const char *side, const char *mode,
                   const char *version, unsigned repeat, const bench_timing *t)
{
    bench_sample s;
    uint64_t records = 0;
    for (unsigned c = 0; c < w->p->clients; c++) {
        records += w->lanes[c].records_count;
    }
    bench_sample_begin(&s, o, w->p->kind, side, repeat);
    bench_sample_count(&s, "threads", w->p->clients);
    bench_sample_text(&s, "durability", bench_durability_name(w->p->durability));
    bench_sample_count(&s, "output_bytes", w->p->output);
    bench_sample_timing(&s, t);
    bench_sample_metric(&s, "commit_bytes", (double)w->bytes / (double)records);
    json_object_set_new(s.doc, "mode", json_string(mode));
    if (version != NULL) {
        json_object_set_new(s.doc, "version", json_string(version));
    }
    bench_sample_end(&s);
}

static void measure_peer(const bench_options *o, work *w, const bench_peer *peer, const char *dir,
                         unsigned repeat)
{
    bool sync = w->p->durability == RATOON_DURABILITY_SYNC;
    const char *mode = sync ? peer->sync_mode : peer->none_mode;
    uint64_t count = UINT64_MAX;
    if (mode == NULL) {
        return; /* has none like it */
    }
    const bool of_many = peer == &bench_rocksdb_batched || peer == &bench_rocksdb_shared;
    if (sync && (w->p->clients > 1 ? peer == &bench_rocksdb_digested : of_many)) {
        return; /* the floor of one client, and those of many */
    }
    if (peer == &bench_rocksdb_made && (is_step(w->p) || w->p->clients > 1)) {
        return; /* one client's reports */
    }
    if (peer->absent != NULL || (peer == &bench_postgres && o->pg == NULL)) {
        return; /* said once, at the start */
    }
    for (unsigned c = 0; c < w->p->clients; c++) { /* ratoon's time may have been up first */
        count = w->lanes[c].records_count < count ? w->lanes[c].records_count : count;
    }
    if (count <= warm_of(w->p)) {
        bench_die("too little was done in the time given", NULL);
    }
    w->peer = peer;
    w->handle = peer->open(o, dir, w->p->clients, sync, false);
    bench_timing t =
        bench_clients(peer->batches ? 1 : w->p->clients, warm_of(w->p), count - warm_of(w->p),
                      o->seconds_max, peer->batches ? batch_op_do : peer_op_do, w);
    if (peer->batches) {
        t.done *= w->p->clients;
        t.rate *= w->p->clients;
    }
    peer->close(w->handle);
    sample(o, w, peer->name, mode, peer->version(), repeat, &t);
}

static void measure(const bench_options *o, const point *p, const ratoon_pipeline *chain,
                    unsigned repeat)
{
    work w = {.p = p};
    char dir[BENCH_PATH_MAX], name[32];
    snprintf(name, sizeof name, "%u", repeat);
    bench_path(dir, o->dir, name);
    if (mkdir(dir, 0700) != 0) {
        bench_die("mkdir", NULL);
    }
    w.store = bench_store_new(dir, p->durability);
    lanes_make(&w, chain);
    bench_timing t =
        bench_clients(p->clients, warm_of(p), p->count, o->seconds_max, ratoon_op_do, &w);
    lanes_read(&w);
    ratoon_store_close(w.store);
    sample(o, &w, "ratoon", bench_durability_name(p->durability), NULL, repeat, &t);
    for (size_t i = 0; p->peers && bench_peers[i] != NULL; i++) {
        measure_peer(o, &w, bench_peers[i], dir, repeat);
    }
    work_free(&w);
    bench_remove_tree(dir);
}

static void measure_all(const bench_options *o, point p, const ratoon_pipeline *chain)
{
    char name[64];
    snprintf(name, sizeof name, "%s-%zu/%s/%u", p.kind, p.output,
             bench_durability_name(p.durability), p.clients);
    if (!bench_wants(o, name)) {
        return;
    }
    for (unsigned i = 0; i < o->repeat; i++) {
        measure(o, &p, chain, i);
    }
}

static void say_absent(const bench_options *o)
{
    for (size_t i = 0; bench_peers[i] != NULL; i++) {
        if (bench_peers[i]->absent != NULL) {
            bench_absent(o, bench_peers[i]->name, bench_peers[i]->absent);
        } else if (bench_peers[i] == &bench_postgres && o->pg == NULL) {
            bench_absent(o, "postgresql", "no server was given (--pg)");
        }
    }
}

/* Operations of a client: so many that a run of ratoon takes about half a second on two cores. */
static uint64_t count_of(const bench_options *o, ratoon_durability durability, unsigned clients,
                         size_t output)
{
    static const struct {
        unsigned clients;
        uint64_t total;
    } synced[] = {{1, 2500}, {4, 6000}, {16, 16000}, {64, 32000}};
    uint64_t total = 60000;
    for (size_t i = 0; durability == RATOON_DURABILITY_SYNC && i < 4; i++) {
        total = synced[i].clients == clients ? synced[i].total : total;
    }
    if (output > RATOON_INLINE_MAX && total * output > 64u << 20) {
        total = (64u << 20) / output;
    }
    return bench_scaled(o, total / clients, 4);
}

int main(int argc, char **argv)
{
    static const unsigned clients[] = {1, 4, 16, 64};
    static const size_t outputs[] = {100, 300, 4096, 65536};
    static const ratoon_durability modes[] = {RATOON_DURABILITY_SYNC, RATOON_DURABILITY_NONE,
                                              RATOON_DURABILITY_INTERVAL};
    bench_options o;
    bench_start(&o, "append", argc, argv);
    ratoon_pipeline *chain = bench_chain(CHAIN);
    const size_t threads_end = o.smoke ? 2 : 4;
    say_absent(&o);
    for (size_t m = 0; m < 3; m++) {
        for (size_t i = 0; i < threads_end; i++) {
            measure_all(&o,
                        (point){.kind = "report",
                                .clients = clients[i],
                                .durability = modes[m],
                                .count = count_of(&o, modes[m], clients[i], 0),
                                .peers = modes[m] != RATOON_DURABILITY_INTERVAL},
                        chain);
        }
    }
    for (size_t i = 0; i < 4; i += o.smoke ? 2 : 1) {
        for (size_t m = 0; m < 3; m += o.smoke ? 2 : 1) { /* sync with 1 and 16, none with 1 */
            const unsigned n = m == 1 ? 16 : 1;
            const ratoon_durability mode = m < 2 ? RATOON_DURABILITY_SYNC : RATOON_DURABILITY_NONE;
            measure_all(&o,
                        (point){.kind = "step",
                                .output = outputs[i],
                                .clients = n,
                                .durability = mode,
                                .count = count_of(&o, mode, n, outputs[i]),
                                .peers = true},
                        chain);
        }
    }
    ratoon_pipeline_free(chain);
    bench_finish(&o);
    return 0;
}
