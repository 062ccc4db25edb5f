/* State at boundaries, and retries, over histories of 100, 10 k and 1 M events before them, and
 * over branches 0 to 8 deep. Neither has a peer: the cost must not grow. A run is a chain of five
 * stages with outputs; its third stage reported progress so often that the history is that long;
 * its fifth failed. Everything is warm: each point is asked for a hundred times before it counts,
 * the events near one as often as there are. */
#include "bench/support/world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAGES 5
#define LONG_STAGE 2 /* that reports so often */
#define DEPTH 8
#define HISTORIES 3
#define WARM 100
#define NEAR 512 /* events around one, each asked for in turn */
#define OUTPUT 200
#define SYNC_BYTES 256

typedef struct history {
    uint64_t events;           /* before the boundaries, about */
    ratoon_id runs[DEPTH + 1]; /* by depth; the first is the root */
    uint64_t middle;           /* an event in the middle of the reports */
} history;

static void fail_last(bench_run *r, ratoon_store *store)
{
    bench_run_start(r, store, STAGES - 1);
    bench_run_end(r, store, NULL, 0, RATOON_STAGE_FAILED);
    bench_run_finish(r, store);
}

static bench_run retry(ratoon_store *store, ratoon_id parent)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    ratoon_error error = {0};
    ratoon_created created;
    o.parent = parent;
    bench_must(ratoon_retry_create(store, &o, &created, &error), "retry", &error);
    return (bench_run){.id = created.run, .epoch = created.epoch};
}

static void build(history *h, ratoon_store *store, const ratoon_pipeline *chain)
{
    bench_run r;
    char output[OUTPUT];
    memset(output, 'o', sizeof output);
    bench_run_new(&r, store, chain, NULL);
    bench_run_start(&r, store, 0);
    for (unsigned i = 0; i < STAGES - 1; i++) {
        for (uint64_t e = 0; i == LONG_STAGE && e < h->events; e++) {
            bench_run_report(&r, store, e, h->events);
        }
        if (i < STAGES - 2) {
            bench_run_step(&r, store, output, sizeof output);
        } else {
            bench_run_end(&r, store, output, sizeof output, RATOON_STAGE_SUCCEEDED);
        }
    }
    fail_last(&r, store);
    h->middle = h->events / 2 + 8;
    h->runs[0] = r.id;
    for (unsigned d = 1; d <= DEPTH; d++) {
        bench_run b = retry(store, h->runs[d - 1]);
        fail_last(&b, store);
        h->runs[d] = b.id;
    }
}

/* ---- state ---- */

static void state_once(ratoon_store *store, ratoon_id run, const char *boundary)
{
    ratoon_error error = {0};
    ratoon_state *state = NULL;
    ratoon_state_entry entry;
    bench_must(ratoon_state_at(store, run, boundary, &state, &error), "state", &error);
    for (size_t i = 0; i < ratoon_state_count(state); i++) {
        bench_must(ratoon_state_get(state, i, &entry, &error), "state entry", &error);
    }
    ratoon_state_free(state);
}

typedef struct asked {
    ratoon_store *store;
    ratoon_id run;
    const char *boundary; /* NULL: another event each time */
    uint64_t first, count;
} asked;

static void state_op(void *ctx, unsigned client, uint64_t i)
{
    const asked *a = ctx;
    char event[24];
    (void)client;
    if (a->boundary == NULL) { /* in an order that leaps */
        const uint64_t n = a->first + i * 7919 % a->count;
        snprintf(event, sizeof event, "%llu", (unsigned long long)n);
    }
    state_once(a->store, a->run, a->boundary != NULL ? a->boundary : event);
}

static void measure_state(const bench_options *o, ratoon_store *store, const history *h,
                          unsigned depth, const char *name, unsigned repeat)
{
    char event[24];
    bench_sample s;
    asked a = {.store = store, .run = h->runs[depth], .boundary = name};
    if (strcmp(name, "event") == 0) {
        snprintf(event, sizeof event, "%llu", (unsigned long long)h->middle);
        a.boundary = event;
    } else if (strcmp(name, "near") == 0) {
        a.boundary = NULL;
        a.count = h->events < NEAR ? h->events : NEAR;
        a.first = h->middle - a.count / 2;
    }
    const uint64_t warm = a.boundary == NULL ? a.count : WARM;
    bench_timing t =
        bench_clients(1, o->smoke ? 2 : warm, bench_scaled(o, 5000, 10), 2, state_op, &a);
    bench_sample_begin(&s, o, "state", "ratoon", repeat);
    bench_sample_count(&s, "events", h->events);
    bench_sample_count(&s, "depth", depth);
    bench_sample_text(&s, "boundary", name);
    bench_sample_timing(&s, &t);
    bench_sample_end(&s);
}

/* ---- retries ---- */

/* What one append of 256 bytes to a growing file and its fdatasync take, again and again. */
static void sync_op(void *ctx, unsigned client, uint64_t i)
{
    const int *fd = ctx;
    char bytes[SYNC_BYTES];
    (void)client;
    memset(bytes, (int)i, sizeof bytes);
    if (write(*fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes || fdatasync(*fd) != 0) {
        bench_die("can't write a file", NULL);
    }
}

static void measure_sync(const bench_options *o, const history *h, unsigned repeat, uint64_t count)
{
    char path[BENCH_PATH_MAX];
    bench_sample s;
    bench_path(path, o->dir, "synced");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bench_timing t = bench_clients(1, count / 5, count, o->seconds_max, sync_op, &fd);
    close(fd);
    bench_sample_begin(&s, o, "retry", "fdatasync", repeat);
    bench_sample_count(&s, "events", h->events);
    bench_sample_timing(&s, &t);
    bench_sample_end(&s);
}

/* A retry is timed; that its last stage runs and fails again, so that the next may be made, isn't.
 */
static void measure_retry(const bench_options *o, ratoon_store *store, const history *h,
                          unsigned repeat, uint64_t count)
{
    double *us = calloc(count, sizeof *us);
    bench_sample s;
    for (uint64_t i = 0; i < count + count / 5; i++) {
        double begin = bench_now_s();
        bench_run b = retry(store, h->runs[0]);
        double took = (bench_now_s() - begin) * 1e6;
        if (i >= count / 5) {
            us[i - count / 5] = took;
        }
        fail_last(&b, store);
    }
    bench_sample_begin(&s, o, "retry", "ratoon", repeat);
    bench_sample_count(&s, "events", h->events);
    bench_sample_metric(&s, "p50_us", bench_quantile(us, count, 0.5));
    bench_sample_metric(&s, "p99_us", bench_quantile(us, count, 0.99));
    bench_sample_end(&s);
    free(us);
}

int main(int argc, char **argv)
{
    static const char *const boundaries[] = {"start",        "end",         "before:s0000",
                                             "before:s0002", "after:s0002", "before:s0004",
                                             "after:s0004",  "event",       "near"};
    bench_options o;
    history h[HISTORIES] = {{.events = 100}, {.events = 10000}, {.events = 1000000}};
    bench_start(&o, "branch", argc, argv);
    if (o.smoke) {
        h[1].events = 500;
        h[2].events = 1000;
    }
    ratoon_pipeline *chain = bench_chain(STAGES);
    ratoon_store *store = bench_store_new(o.dir, RATOON_DURABILITY_NONE);
    for (unsigned i = 0; i < HISTORIES; i++) {
        build(&h[i], store, chain);
    }
    ratoon_pipeline_free(chain);
    ratoon_store_close(store);
    store = bench_store_open(o.dir, RATOON_DURABILITY_SYNC);
    for (unsigned repeat = 0; repeat < o.repeat; repeat++) {
        for (size_t b = 0; b < sizeof boundaries / sizeof *boundaries; b++) {
            for (unsigned i = 0; i < HISTORIES; i++) {
                measure_state(&o, store, &h[i], 0, boundaries[b], repeat);
            }
        }
        for (unsigned depth = 1; depth <= DEPTH; depth++) {
            for (unsigned i = 0; i < HISTORIES; i++) {
                measure_state(&o, store, &h[i], depth, "before:s0004", repeat);
                measure_state(&o, store, &h[i], depth, "end", repeat);
            }
        }
        const uint64_t count = bench_scaled(&o, 50, 3);
        for (unsigned i = 0; i < HISTORIES; i++) {
            measure_retry(&o, store, &h[i], repeat, count);
            measure_sync(&o, &h[i], repeat, count);
        }
    }
    ratoon_store_close(store);
    bench_finish(&o);
    return 0;
}
