/* Work whose instructions are counted: bench/gate runs this under callgrind, which counts only
 * within the functions named counted_…, and compares the counts with those in bench/counts.json.
 * Counts do not depend on the load of the machine. What is counted is one thread without sync;
 * RocksDB is in it, its background threads are not. --smoke does the same once, without counting.
 */
#include "bench/support/world.h"

#include "core/fold.h"
#include "log/digest_many.h"
#include "log/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define COUNT 1000 /* bench/gate divides by it */
#define RETRIES 50 /* and by this */
#define FOLD_PASSES 10
#define STAGES 5
#define OUTPUT 300

typedef struct work {
    ratoon_store *store;
    ratoon_pipeline *chain;
    bench_run run;
    bench_run steps;
    ratoon_id failed;
    char output[OUTPUT];
    ratoon__commit *commits; /* of the reports, decoded */
    ratoon__arena arena;
    size_t commits_count;
} work;

#define COUNTED __attribute__((noinline, noclone)) static void

COUNTED counted_append(work *w)
{
    for (uint64_t i = 0; i < COUNT; i++) {
        bench_run_report(&w->run, w->store, i, COUNT);
    }
}

COUNTED counted_step(work *w)
{
    for (uint64_t i = 0; i < COUNT; i++) {
        bench_run_step(&w->steps, w->store, w->output, sizeof w->output);
    }
}

COUNTED counted_rebuild(work *w)
{
    ratoon_error error = {0};
    ratoon__lineage *l = ratoon__lineage_new(w->run.id);
    bench_must(ratoon__store_fold_from(w->store, &l, 0, &error), "rebuild", &error);
    ratoon__lineage_unref(l);
}

static void fold_all(const work *w)
{
    ratoon_error error = {0};
    ratoon_digest digest = {{0}};
    ratoon__lineage *l = ratoon__lineage_new(w->run.id);
    for (size_t i = 0; i < w->commits_count; i++) {
        ratoon__lineage *next = NULL;
        bench_must(ratoon__fold(l, &w->commits[i], &digest, &next, &error), "fold", &error);
        ratoon__lineage_unref(l);
        l = next;
    }
    ratoon__lineage_unref(l);
}

COUNTED counted_fold(work *w)
{
    for (unsigned i = 0; i < FOLD_PASSES; i++) {
        fold_all(w);
    }
}

COUNTED counted_state(work *w)
{
    ratoon_error error = {0};
    for (uint64_t i = 0; i < COUNT; i++) {
        ratoon_state *state = NULL;
        bench_must(ratoon_state_at(w->store, w->failed, "before:s0004", &state, &error), "state",
                   &error);
        ratoon_state_free(state);
    }
}

static void fail_last(work *w, bench_run *r)
{
    bench_run_start(r, w->store, STAGES - 1);
    bench_run_end(r, w->store, NULL, 0, RATOON_STAGE_FAILED);
    bench_run_finish(r, w->store);
}

COUNTED counted_retry(work *w)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    ratoon_error error = {0};
    o.parent = w->failed;
    for (uint64_t i = 0; i < RETRIES; i++) { /* and its one stage, so that the next may be made */
        ratoon_created created;
        bench_must(ratoon_retry_create(w->store, &o, &created, &error), "retry", &error);
        bench_run r = {.id = created.run, .epoch = created.epoch};
        fail_last(w, &r);
    }
}

static void verify(const work *w)
{
    ratoon_error error = {0};
    ratoon_buffer report;
    size_t problems = 0;
    bench_must(ratoon_verify(w->store, (ratoon_id){{0}}, &report, &problems, &error), "verify",
               &error);
    if (problems != 0) {
        bench_die(report.data, NULL);
    }
    ratoon_buffer_free(&report);
}

COUNTED counted_verify(work *w)
{
    verify(w);
}

/* ---- what is not counted ---- */

typedef struct heap_work {
    void (*run)(work *w);
    work *w;
} heap_work;

static void *heap_main(void *arg)
{
    const heap_work *c = arg;
    c->run(c->w);
    return NULL;
}

/* Runs `run` in a thread of its own, and so in a heap of its own: what malloc has to search depends
 * on what was allocated before, by RocksDB's threads too, whose turns are luck. */
static void in_fresh_heap(void (*run)(work *w), work *w)
{
    heap_work c = {run, w};
    pthread_t thread;
    if (pthread_create(&thread, NULL, heap_main, &c) != 0 || pthread_join(thread, NULL) != 0) {
        bench_die("no thread", NULL);
    }
}

static bool decode(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                   const void *data, size_t size)
{
    work *w = ctx;
    ratoon_error error = {0};
    (void)position;
    (void)lineage;
    (void)number;
    char *copy = aligned_alloc(8, (size + 7) / 8 * 8);
    if (copy == NULL || w->commits_count == COUNT + 2) {
        bench_die("more commits than expected", NULL);
    }
    memcpy(copy, data, size); /* lives as long as this program */
    bench_must(ratoon__store_decode(w->store, copy, size, &w->arena,
                                    &w->commits[w->commits_count++], &error),
               "decode", &error);
    return true;
}

static void make_failed(work *w)
{
    bench_run r;
    bench_run_new(&r, w->store, w->chain, NULL);
    bench_run_start(&r, w->store, 0);
    for (unsigned i = 0; i < STAGES - 2; i++) {
        bench_run_step(&r, w->store, w->output, sizeof w->output);
    }
    bench_run_end(&r, w->store, w->output, sizeof w->output, RATOON_STAGE_SUCCEEDED);
    fail_last(w, &r);
    w->failed = r.id;
}

int main(int argc, char **argv)
{
    bench_options o;
    ratoon_error error = {0};
    work w = {0};
    bench_start(&o, "count", argc, argv);
    memset(w.output, 'o', sizeof w.output);
    w.store = bench_store_new(o.dir, RATOON_DURABILITY_NONE);
    w.chain = bench_chain(STAGES);
    ratoon_pipeline *many = bench_chain(COUNT + 2);
    bench_run_new(&w.run, w.store, w.chain, NULL);
    bench_run_start(&w.run, w.store, 0);
    bench_run_new(&w.steps, w.store, many, NULL);
    bench_run_start(&w.steps, w.store, 0);
    make_failed(&w);
    counted_append(&w);
    counted_step(&w);
    counted_rebuild(&w);
    w.commits = calloc(COUNT + 2, sizeof *w.commits);
    ratoon__driver *d = ratoon__store_driver(w.store);
    bench_must(d->ops->read(d, w.run.id, 1, true, false, decode, &w, &error), "read", &error);
    in_fresh_heap(counted_fold, &w);
    in_fresh_heap(counted_state, &w);
    counted_retry(&w);
    ratoon_store_close(w.store); /* so that what is verified stands in tables */
    w.store = bench_store_open(o.dir, RATOON_DURABILITY_NONE);
    (void)ratoon__sha256_many_set(1); /* as on any processor */
    verify(&w);                       /* reads the definitions, of which one is large */
    counted_verify(&w);
    for (size_t i = 0; i < w.commits_count; i++) {
        ratoon__commit_release(&w.commits[i]);
    }
    ratoon__arena_free(&w.arena);
    free(w.commits);
    ratoon_pipeline_free(many);
    ratoon_pipeline_free(w.chain);
    ratoon_store_close(w.store);
    bench_finish(&o);
    return 0;
}
