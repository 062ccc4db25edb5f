/* Rebuilding runs from the log: every commit of a run of 10 k events read, verified by FlatBuffers,
 * decoded and folded into a new projection, without snapshots, against RocksDB iterating over the
 * very same files; and other stores reading the same commits of one run. The runs were written
 * interleaved, and all is in tables, not in memory, when it is read. Each side reads everything
 * once before the clock starts, and then as often as it gets to within --seconds. A long history is
 * read by two threads; "ratoon-one-thread" is the same kept to one processor, so that one does it.
 */
#include "bench/support/peer.h"
#include "bench/support/raw_store.h"
#include "bench/support/world.h"

#include "core/projection.h"
#include "log/store.h"

#include <stdlib.h>
#include <string.h>

#define RUNS 10
#define RUN_EVENTS 10000
#define PEER_RUNS 2 /* that other stores are given */

typedef struct world {
    bench_run runs[RUNS];
    uint64_t events; /* of a run, and commits but for the first, which has two events */
    unsigned passes;
} world;

static void build(const bench_options *o, world *w)
{
    ratoon_store *store = bench_store_new(o->dir, RATOON_DURABILITY_NONE);
    ratoon_pipeline *chain = bench_chain(2);
    for (unsigned i = 0; i < RUNS; i++) {
        bench_run_new(&w->runs[i], store, chain, NULL);
        bench_run_start(&w->runs[i], store, 0);
    }
    for (uint64_t e = 3; e < w->events; e++) {
        for (unsigned i = 0; i < RUNS; i++) {
            bench_run_report(&w->runs[i], store, e, w->events);
        }
    }
    ratoon_pipeline_free(chain);
    ratoon_store_close(store); /* which writes large memory tables out */
    ratoon_store_close(bench_store_open(o->dir, RATOON_DURABILITY_NONE)); /* and opening the rest */
}

static uint64_t rebuild(ratoon_store *store, ratoon_id id)
{
    ratoon_error error = {0};
    ratoon__lineage *l = ratoon__lineage_new(id);
    bench_must(ratoon__store_fold_from(store, &l, 0, &error), "rebuild", &error);
    uint64_t events = l->events;
    ratoon__lineage_unref(l);
    return events;
}

static void sample(const bench_options *o, const world *w, const char *part, const char *side,
                   unsigned repeat, double rate, const char *version)
{
    bench_sample s;
    bench_sample_begin(&s, o, part, side, repeat);
    bench_sample_count(&s, "events", w->events == RUN_EVENTS ? RUN_EVENTS : w->events);
    bench_sample_metric(&s, "rate", rate);
    if (version != NULL) {
        json_object_set_new(s.doc, "version", json_string(version));
    }
    bench_sample_end(&s);
}

static void measure_ratoon(const bench_options *o, const world *w, unsigned repeat, bool one_thread)
{
    ratoon_store *store = bench_store_open(o->dir, RATOON_DURABILITY_NONE);
    uint64_t events = 0;
    if (one_thread) {
        bench_one_processor(true);
    }
    for (unsigned i = 0; i < RUNS; i++) {
        (void)rebuild(store, w->runs[i].id);
    }
    double begin = bench_now_s();
    for (unsigned pass = 0; pass < w->passes && bench_now_s() - begin < o->seconds_max; pass++) {
        for (unsigned i = 0; i < RUNS; i++) {
            events += rebuild(store, w->runs[i].id);
        }
    }
    sample(o, w, "rebuild", one_thread ? "ratoon-one-thread" : "ratoon", repeat,
           (double)events / (bench_now_s() - begin), NULL);
    if (one_thread) {
        bench_one_processor(false);
    }
    ratoon_store_close(store);
}

static void measure_raw(const bench_options *o, const world *w, unsigned repeat)
{
    bench_raw *raw = bench_raw_open(o->dir);
    uint64_t commits = 0, bytes = 0;
    for (unsigned i = 0; i < RUNS; i++) {
        (void)bench_raw_scan(raw, &w->runs[i].id, &bytes);
    }
    double begin = bench_now_s();
    for (unsigned pass = 0; pass < w->passes && bench_now_s() - begin < o->seconds_max; pass++) {
        for (unsigned i = 0; i < RUNS; i++) {
            commits += bench_raw_scan(raw, &w->runs[i].id, &bytes);
        }
    }
    sample(o, w, "rebuild", "rocksdb", repeat, (double)commits / (bench_now_s() - begin),
           bench_loaded_version("rocksdb_put"));
    bench_raw_close(raw);
}

/* ---- other stores ---- */

static void peer_fill(const bench_options *o, const world *w, const bench_peer *peer)
{
    ratoon_store *store = bench_store_open(o->dir, RATOON_DURABILITY_NONE);
    void *handle = peer->open(o, o->dir, 1, false, false);
    bench_commits commits[PEER_RUNS];
    for (unsigned i = 0; i < PEER_RUNS; i++) {
        bench_commits_read(&commits[i], store, w->runs[i].id);
    }
    for (uint64_t n = 0; n < commits[0].count; n++) {
        for (unsigned i = 0; i < PEER_RUNS; i++) {
            const bench_record r = {.lineage = commits[i].lineage,
                                    .number = n + 1,
                                    .data = commits[i].data[n],
                                    .size = commits[i].sizes[n]};
            peer->put(handle, 0, &r);
        }
    }
    for (unsigned i = 0; i < PEER_RUNS; i++) {
        bench_commits_free(&commits[i]);
    }
    peer->close(handle);
    ratoon_store_close(store);
}

static void measure_peer(const bench_options *o, const world *w, const bench_peer *peer,
                         unsigned repeat)
{
    void *handle = peer->open(o, o->dir, 1, false, true);
    uint64_t commits = 0, bytes = 0;
    for (unsigned i = 0; i < PEER_RUNS; i++) {
        (void)peer->scan(handle, w->runs[i].id, &bytes);
    }
    double begin = bench_now_s();
    for (unsigned pass = 0; pass < w->passes && bench_now_s() - begin < o->seconds_max; pass++) {
        for (unsigned i = 0; i < PEER_RUNS; i++) {
            commits += peer->scan(handle, w->runs[i].id, &bytes);
        }
    }
    sample(o, w, "rebuild", peer->name, repeat, (double)commits / (bench_now_s() - begin),
           peer->version());
    peer->close(handle);
}

static bool peer_taken(const bench_options *o, const bench_peer *peer)
{
    const bool raw = strncmp(peer->name, "rocksdb", strlen("rocksdb")) == 0; /* measured above */
    return peer->absent == NULL && !raw && (peer != &bench_postgres || o->pg != NULL);
}

int main(int argc, char **argv)
{
    bench_options o;
    bench_start(&o, "replay", argc, argv);
    world w = {.events = o.smoke ? 500 : RUN_EVENTS, .passes = (unsigned)bench_scaled(&o, 20, 2)};
    build(&o, &w);
    for (size_t p = 0; bench_peers[p] != NULL; p++) {
        if (peer_taken(&o, bench_peers[p])) {
            peer_fill(&o, &w, bench_peers[p]);
        }
    }
    for (unsigned i = 0; i < o.repeat; i++) {
        measure_ratoon(&o, &w, i, false);
        measure_ratoon(&o, &w, i, true);
        measure_raw(&o, &w, i);
        for (size_t p = 0; bench_peers[p] != NULL; p++) {
            if (peer_taken(&o, bench_peers[p])) {
                measure_peer(&o, &w, bench_peers[p], i);
            }
        }
    }
    bench_finish(&o);
    return 0;
}
