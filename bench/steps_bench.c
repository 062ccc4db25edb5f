/* Durable steps as an executor does them: one commit that ends a stage with a small output and
 * starts the next, on disk before the step counts; 1, 16 and 64 runs at once, each in a thread. And
 * going back: the state before step 990 of a finished run of 1000, a retry from there made durable
 * (which is when the call returns), and its ten steps executed. The driver runs workflow engines
 * beside it. */
#include "bench/support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHAIN 51 /* stages of a run; the peers' runs have as many steps */
#define GOBACK_STEPS 1000
#define GOBACK_TO 990

typedef struct work {
    ratoon_store *store;
    const ratoon_pipeline *chain;
    bench_run runs[BENCH_THREADS_MAX];
} work;

static void step(void *ctx, unsigned client, uint64_t i)
{
    work *w = ctx;
    bench_run *r = &w->runs[client];
    char output[32];
    if (r->stage == CHAIN - 1) { /* the run ends and the next begins: part of the work */
        bench_run_end(r, w->store, NULL, 0, RATOON_STAGE_SUCCEEDED);
        bench_run_finish(r, w->store);
        bench_run_new(r, w->store, w->chain, NULL);
        bench_run_start(r, w->store, 0);
    }
    int size = snprintf(output, sizeof output, "%llu", (unsigned long long)i);
    bench_run_step(r, w->store, output, (size_t)size);
}

static void measure_steps(const bench_options *o, unsigned runs, unsigned repeat)
{
    char name[32], dir[BENCH_PATH_MAX];
    work w = {0};
    bench_sample s;
    snprintf(name, sizeof name, "steps-%u/", runs);
    if (!bench_wants(o, name)) {
        return;
    }
    snprintf(name, sizeof name, "%u-%u", runs, repeat);
    bench_path(dir, o->dir, name);
    if (mkdir(dir, 0700) != 0) {
        bench_die("mkdir", NULL);
    }
    ratoon_pipeline *chain = bench_chain(CHAIN);
    w.store = bench_store_new(dir, RATOON_DURABILITY_SYNC);
    w.chain = chain;
    for (unsigned i = 0; i < runs; i++) {
        bench_run_new(&w.runs[i], w.store, chain, NULL);
        bench_run_start(&w.runs[i], w.store, 0);
    }
    const uint64_t most = runs == 1 ? 50000 : 200000;
    bench_timing t = bench_clients(runs, o->smoke ? 2 : 50, bench_scaled(o, 10 * most / runs, 20),
                                   o->seconds_max, step, &w);
    ratoon_store_close(w.store);
    ratoon_pipeline_free(chain);
    bench_sample_begin(&s, o, "steps", "ratoon", repeat);
    bench_sample_count(&s, "runs", runs);
    bench_sample_timing(&s, &t);
    json_object_set_new(s.doc, "mode", json_string("sync"));
    bench_sample_end(&s);
    bench_remove_tree(dir);
}

/* A finished run of so many steps. */
static ratoon_id finished(ratoon_store *store, const ratoon_pipeline *chain, unsigned steps)
{
    bench_run r;
    bench_run_new(&r, store, chain, NULL);
    bench_run_start(&r, store, 0);
    for (unsigned i = 0; i < steps - 1; i++) {
        bench_run_step(&r, store, "1", 1);
    }
    bench_run_end(&r, store, "1", 1, RATOON_STAGE_SUCCEEDED);
    bench_run_finish(&r, store);
    return r.id;
}

static void measure_goback(const bench_options *o, unsigned repeat)
{
    char dir[BENCH_PATH_MAX], from[BENCH_STAGE_NAME], boundary[BENCH_STAGE_NAME + 8];
    ratoon_retry_options again = RATOON_RETRY_OPTIONS_INIT;
    ratoon_error error = {0};
    ratoon_created created;
    ratoon_state *state = NULL;
    bench_sample s;
    if (!bench_wants(o, "goback")) {
        return;
    }
    bench_path(dir, o->dir, "goback");
    if (mkdir(dir, 0700) != 0) {
        bench_die("mkdir", NULL);
    }
    ratoon_pipeline *chain = bench_chain(GOBACK_STEPS);
    ratoon_store *store = bench_store_new(dir, RATOON_DURABILITY_SYNC);
    again.parent = finished(store, chain, GOBACK_STEPS);
    bench_stage_name(from, GOBACK_TO);
    snprintf(boundary, sizeof boundary, "before:%s", from);
    again.from = from;
    again.rerun = true;
    double begin = bench_now_s();
    bench_must(ratoon_state_at(store, again.parent, boundary, &state, &error), "state", &error);
    ratoon_state_free(state);
    bench_must(ratoon_retry_create(store, &again, &created, &error), "retry", &error);
    double returned = bench_now_s();
    bench_run r = {.id = created.run, .epoch = created.epoch};
    bench_run_start(&r, store, GOBACK_TO);
    for (unsigned i = GOBACK_TO; i < GOBACK_STEPS - 1; i++) {
        bench_run_step(&r, store, "1", 1);
    }
    bench_run_end(&r, store, "1", 1, RATOON_STAGE_SUCCEEDED);
    bench_run_finish(&r, store);
    double end = bench_now_s();
    bench_sample_begin(&s, o, "goback", "ratoon", repeat);
    bench_sample_count(&s, "steps", GOBACK_STEPS);
    bench_sample_count(&s, "back_to", GOBACK_TO);
    bench_sample_metric(&s, "returns_ms", (returned - begin) * 1e3);
    bench_sample_metric(&s, "end_ms", (end - begin) * 1e3);
    bench_sample_end(&s);
    ratoon_store_close(store);
    ratoon_pipeline_free(chain);
    bench_remove_tree(dir);
}

int main(int argc, char **argv)
{
    static const unsigned runs[] = {1, 16, 64};
    bench_options o;
    bench_start(&o, "steps", argc, argv);
    for (unsigned repeat = 0; repeat < o.repeat; repeat++) {
        for (size_t i = 0; i < 3; i++) {
            measure_steps(&o, runs[i], repeat);
        }
        measure_goback(&o, repeat);
    }
    bench_finish(&o);
    return 0;
}
