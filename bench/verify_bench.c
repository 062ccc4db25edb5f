/* Verification of a whole store. "whole" is ratoon_verify(), all that it does, with two threads
 * where there are two processors, and kept to one of them; what follows is measured with one.
 * "lookup" is the part of it that gets each commit by its key with checksums and past the cache,
 * against RocksDB doing the same to the same files; "chain" is the rest: iteration, FlatBuffers,
 * digests, folding, comparing with snapshots, the feed, the derived rows. The look-ups are told
 * apart by reading all commits with and without them. "pass" is what the chain by itself takes:
 * iteration past the cache, FlatBuffers, digests and folding, by the functions that verification
 * uses and without anything else of it. Beside it what no check of a chain can do without: RocksDB
 * iterating over the same files, and a SHA-256 of each commit. */
#include "bench/support/raw_store.h"
#include "bench/support/world.h"

#include "core/fold.h"
#include "core/projection.h"
#include "log/digest.h"
#include "log/digest_many.h"
#include "log/store.h"

#include <string.h>

#define RUN_STAGES 40

static uint64_t build(const bench_options *o)
{
    ratoon_store *store = bench_store_new(o->dir, RATOON_DURABILITY_NONE);
    ratoon_pipeline *chain = bench_chain(RUN_STAGES);
    ratoon_error error = {0};
    uint64_t end = 0;
    char output[300];
    memset(output, 'o', sizeof output);
    const uint64_t runs = bench_scaled(o, 3000, 10);
    for (uint64_t i = 0; i < runs; i++) {
        bench_run r;
        bench_run_new(&r, store, chain, NULL);
        bench_run_start(&r, store, 0);
        for (unsigned stage = 0; stage < RUN_STAGES - 1; stage++) {
            bench_run_step(&r, store, output, i % 2 == 0 ? sizeof output : 0);
        }
        bench_run_end(&r, store, NULL, 0, RATOON_STAGE_SUCCEEDED);
        bench_run_finish(&r, store);
    }
    bench_must(ratoon_feed_end(store, &end, &error), "feed end", &error);
    ratoon_pipeline_free(chain);
    ratoon_store_close(store);
    ratoon_store_close(bench_store_open(o->dir, RATOON_DURABILITY_NONE));
    return end - 1;
}

static bool pass_over(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                      const void *data, size_t size)
{
    (void)ctx;
    (void)position;
    (void)lineage;
    (void)number;
    (void)data;
    (void)size;
    return true;
}

static double read_all(ratoon_store *store, bool verify)
{
    ratoon_error error = {0};
    ratoon__driver *d = ratoon__store_driver(store);
    double begin = bench_now_s();
    bench_must(d->ops->read(d, (ratoon_id){{0}}, 0, false, verify, pass_over, NULL, &error), "read",
               &error);
    return bench_now_s() - begin;
}

static double verify(const bench_options *o)
{
    ratoon_store *store = bench_store_open(o->dir, RATOON_DURABILITY_NONE);
    ratoon_error error = {0};
    ratoon_buffer report;
    size_t problems = 0;
    double begin = bench_now_s();
    bench_must(ratoon_verify(store, (ratoon_id){{0}}, &report, &problems, &error), "verify",
               &error);
    double seconds = bench_now_s() - begin;
    if (problems != 0) {
        bench_die(report.data, NULL);
    }
    ratoon_buffer_free(&report);
    ratoon_store_close(store);
    return seconds;
}

/* ---- the pass over the chain by itself ---- */

#define BATCH 32 /* digests made at once, as verification does */

typedef struct pass {
    ratoon_store *store;
    ratoon__lineage *lineage;
    ratoon__arena arena;
    ratoon__buf bytes;
    size_t at[BATCH], count;
    ratoon__digest_job jobs[BATCH];
} pass;

static void batch_fold(pass *p)
{
    ratoon__commit commits[BATCH];
    ratoon_error error = {0};
    for (size_t i = 0; i < p->count; i++) {
        p->jobs[i].data = p->bytes.data + p->at[i];
        bench_must(ratoon__store_decode(p->store, p->jobs[i].data, p->jobs[i].size, &p->arena,
                                        &commits[i], &error),
                   "decode", &error);
    }
    bench_must(ratoon__sha256_many(p->jobs, p->count), "digest", &error);
    for (size_t i = 0; i < p->count; i++) {
        const ratoon__commit *c = &commits[i];
        if (p->lineage == NULL || !ratoon_id_equal(p->lineage->id, c->lineage)) {
            ratoon__lineage_unref(p->lineage);
            p->lineage = ratoon__lineage_new(c->lineage);
        }
        if (!ratoon__digest_equal(&c->previous, &p->lineage->head_digest)) {
            bench_die("the chain is broken", NULL);
        }
        bench_must(ratoon__fold_into(&p->lineage, c, &p->jobs[i].digest, &error), "fold", &error);
        ratoon__commit_release(&commits[i]);
    }
    ratoon__arena_reset(&p->arena);
    p->bytes.size = 0;
    p->count = 0;
}

static bool take(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number, const void *data,
                 size_t size)
{
    static const char padding[8];
    pass *p = ctx;
    (void)position;
    (void)lineage;
    (void)number;
    p->at[p->count] = p->bytes.size;
    p->jobs[p->count++].size = size;
    ratoon__buf_add(&p->bytes, data, size);
    ratoon__buf_add(&p->bytes, padding, (8 - size % 8) % 8);
    if (p->count == BATCH) {
        batch_fold(p);
    }
    return true;
}

static double pass_chain(ratoon_store *store)
{
    pass p = {.store = store};
    ratoon_error error = {0};
    ratoon__driver *d = ratoon__store_driver(store);
    double begin = bench_now_s();
    bench_must(d->ops->read(d, (ratoon_id){{0}}, 0, false, false, take, &p, &error), "read",
               &error);
    batch_fold(&p);
    double seconds = bench_now_s() - begin;
    ratoon__lineage_unref(p.lineage);
    ratoon__arena_free(&p.arena);
    ratoon__buf_free(&p.bytes);
    return seconds;
}

static void sample(const bench_options *o, const char *part, const char *side, unsigned repeat,
                   uint64_t commits, double seconds)
{
    bench_sample s;
    bench_sample_begin(&s, o, part, side, repeat);
    bench_sample_metric(&s, "rate", (double)commits / seconds);
    bench_sample_metric(&s, "commits", (double)commits);
    bench_sample_end(&s);
}

int main(int argc, char **argv)
{
    bench_options o;
    bench_start(&o, "verify", argc, argv);
    const uint64_t commits = build(&o);
    for (unsigned i = 0; i < o.repeat; i++) {
        /* Each from an empty block cache: reading with look-ups does not fill it. */
        ratoon_store *store = bench_store_open(o.dir, RATOON_DURABILITY_NONE);
        double look_ups = read_all(store, true);
        look_ups -= read_all(store, false);
        ratoon_store_close(store);
        double whole = verify(&o);
        bench_one_processor(true);
        double by_one = verify(&o);
        bench_one_processor(false);
        store = bench_store_open(o.dir, RATOON_DURABILITY_NONE);
        double passed = pass_chain(store);
        ratoon_store_close(store);
        bench_raw *raw = bench_raw_open(o.dir);
        double begin = bench_now_s();
        (void)bench_raw_check(raw, false);
        double raw_iteration = bench_now_s() - begin;
        begin = bench_now_s();
        (void)bench_raw_check(raw, true);
        double raw_look_ups = bench_now_s() - begin - raw_iteration;
        bench_raw_close(raw);
        raw = bench_raw_open(o.dir);
        begin = bench_now_s();
        (void)bench_raw_digest(raw);
        double raw_digests = bench_now_s() - begin;
        bench_raw_close(raw);
        sample(&o, "whole", "ratoon", i, commits, whole);
        sample(&o, "pass", "ratoon", i, commits, passed);
        sample(&o, "pass", "rocksdb-sha256", i, commits, raw_digests);
        sample(&o, "whole", "ratoon-one-thread", i, commits, by_one);
        sample(&o, "chain", "ratoon", i, commits, by_one - look_ups);
        sample(&o, "lookup", "ratoon", i, commits, look_ups);
        sample(&o, "lookup", "rocksdb", i, commits, raw_look_ups);
    }
    bench_finish(&o);
    return 0;
}
