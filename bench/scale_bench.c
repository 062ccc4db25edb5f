/* A large store: growing it, opening it, asking it. The driver (driver/scale.py) runs these as
 * processes of their own, and kills them where that is what is measured.
 *
 * "build STORE RUNS EVENTS" appends RUNS runs (creating the store), reports, and then waits for the
 * end of standard input or to be killed.
 *
 * "open STORE EVENTS HOW" opens, reports how long that took, closes.
 *
 * "query STORE EVENTS N" opens, asks N times each, reports, closes.
 *
 * "--smoke": all of that with a small store of its own.
 *
 * STORE is a folder that exists. EVENTS labels the results. A run has four stages with an output of
 * 100 bytes each and about ten events in seven commits; 16 runs are under way at any time, one in
 * twenty fails. */
#include "bench/support/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAGES 4
#define LANES 16
#define OUTPUT 100
#define ID_EVERY 10 /* of the runs, whose ids are kept for questions */

static double status_mib(const char *field)
{
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, field, strlen(field)) == 0) {
            kib = strtod(line + strlen(field) + 1, NULL);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib / 1024;
}

static void begin(bench_sample *s, const bench_options *o, const char *part, uint64_t events)
{
    bench_sample_begin(s, o, part, "ratoon", 0);
    bench_sample_count(s, "events", events);
}

static void report_memory(const bench_options *o, uint64_t events, const char *when)
{
    bench_sample s;
    begin(&s, o, "memory", events);
    bench_sample_text(&s, "when", when);
    bench_sample_metric(&s, "rss_mib", status_mib("VmRSS"));
    bench_sample_metric(&s, "hwm_mib", status_mib("VmHWM"));
    bench_sample_end(&s);
}

/* ---- building ---- */

typedef struct lane {
    bench_run run;
    unsigned
        next; /* 0: to be created; 1: first stage to be started; …; STAGES + 2: to be finished */
    bool fails;
} lane;

static void lane_move(lane *l, ratoon_store *store, const ratoon_pipeline *chain, uint64_t *created,
                      FILE *ids)
{
    char subject[32], output[OUTPUT];
    if (l->next == 0) {
        snprintf(subject, sizeof subject, "subject-%" PRIu64, *created / 10);
        bench_run_new(&l->run, store, chain, subject);
        l->fails = *created % 20 == 0;
        if ((*created)++ % ID_EVERY == 0) {
            fwrite(l->run.id.bytes, 1, sizeof l->run.id.bytes, ids);
        }
    } else if (l->next == 1) {
        bench_run_start(&l->run, store, 0);
    } else if (l->next <= STAGES) {
        memset(output, 'a' + (int)(l->next % 26), sizeof output);
        memcpy(output, l->run.id.bytes, sizeof l->run.id.bytes);
        bench_run_step(&l->run, store, output, sizeof output);
    } else if (l->next == STAGES + 1) {
        bench_run_end(&l->run, store, NULL, 0,
                      l->fails ? RATOON_STAGE_FAILED : RATOON_STAGE_SUCCEEDED);
    } else {
        bench_run_finish(&l->run, store);
    }
    l->next = l->next == STAGES + 2 ? 0 : l->next + 1;
}

static void build(const bench_options *o, const char *dir, uint64_t runs, uint64_t events)
{
    char path[BENCH_PATH_MAX];
    bench_path(path, dir, "ids");
    FILE *ids = fopen(path, "ae");
    bench_path(path, dir, "store");
    ratoon_store *store = access(path, F_OK) == 0
                              ? bench_store_open(dir, RATOON_DURABILITY_INTERVAL)
                              : bench_store_new(dir, RATOON_DURABILITY_INTERVAL);
    ratoon_pipeline *chain = bench_chain(STAGES);
    lane lanes[LANES] = {{.next = 0}};
    uint64_t created = (uint64_t)ftell(ids) / 16 * ID_EVERY;
    const uint64_t end = created + runs;
    double start = bench_now_s();
    for (uint64_t i = 0; created < end; i++) {
        lane_move(&lanes[i % LANES], store, chain, &created, ids);
    }
    double seconds = bench_now_s() - start;
    fclose(ids);
    bench_sample s;
    begin(&s, o, "build", events);
    bench_sample_metric(&s, "runs_per_second", (double)runs / seconds);
    bench_sample_end(&s);
    report_memory(o, events, "after appending");
    if (!o->smoke) {
        (void)getchar(); /* the driver closes it, or kills this process */
    }
    ratoon_pipeline_free(chain);
    ratoon_store_close(store);
}

/* ---- opening ---- */

static void measure_open(const bench_options *o, const char *dir, uint64_t events, const char *how)
{
    bench_sample s;
    double start = bench_now_s();
    ratoon_store *store = bench_store_open(dir, RATOON_DURABILITY_INTERVAL);
    double seconds = bench_now_s() - start;
    begin(&s, o, "open", events);
    bench_sample_text(&s, "how", how);
    bench_sample_metric(&s, "seconds", seconds);
    bench_sample_metric(&s, "rss_mib", status_mib("VmRSS"));
    bench_sample_end(&s);
    ratoon_store_close(store);
}

/* ---- questions ---- */

typedef struct questions {
    ratoon_store *store;
    ratoon_id *ids;
    uint64_t count;
} questions;

/* Another run each time, all over the store. */
static ratoon_id pick(const questions *q, uint64_t i)
{
    return q->ids[(i * 0x9E3779B97F4A7C15u >> 20) % q->count];
}

static void ask_get(void *ctx, unsigned client, uint64_t i)
{
    const questions *q = ctx;
    ratoon_error error = {0};
    ratoon_run_info info;
    (void)client;
    bench_must(ratoon_run_get(q->store, pick(q, i), &info, &error), "get", &error);
}

static void ask_prefix(void *ctx, unsigned client, uint64_t i)
{
    const questions *q = ctx;
    ratoon_error error = {0};
    ratoon_id found;
    char text[RATOON_ID_TEXT];
    (void)client;
    ratoon_id_format(pick(q, i), text);
    text[28] = '\0';
    bench_must(ratoon_run_find(q->store, text, &found, &error), "find", &error);
}

static void ask_subject(void *ctx, unsigned client, uint64_t i)
{
    const questions *q = ctx;
    ratoon_error error = {0};
    ratoon_id found;
    char subject[32];
    (void)client;
    snprintf(subject, sizeof subject, "subject-%" PRIu64,
             (i * 0x9E3779B97F4A7C15u >> 20) % q->count);
    bench_must(ratoon_most_recent(q->store, subject, &found, &error), "subject", &error);
}

static void list(const questions *q, ratoon_list_options *o)
{
    ratoon_error error = {0};
    ratoon_id *ids = NULL;
    size_t count = 0;
    o->limit = 100;
    bench_must(ratoon_run_list(q->store, o, &ids, &count, &error), "list", &error);
    free(ids);
}

static void ask_newest(void *ctx, unsigned client, uint64_t i)
{
    ratoon_list_options o = RATOON_LIST_OPTIONS_INIT;
    (void)client;
    (void)i;
    list(ctx, &o);
}

static void ask_failed(void *ctx, unsigned client, uint64_t i)
{
    ratoon_list_options o = RATOON_LIST_OPTIONS_INIT;
    (void)client;
    (void)i;
    o.status = RATOON_RUN_FAILED;
    list(ctx, &o);
}

static void ask_state(void *ctx, unsigned client, uint64_t i)
{
    const questions *q = ctx;
    ratoon_error error = {0};
    ratoon_state *state = NULL;
    (void)client;
    bench_must(ratoon_state_at(q->store, pick(q, i + 1000003), "before:s0002", &state, &error),
               "state", &error);
    ratoon_state_free(state);
}

static void load_ids(questions *q, const char *dir)
{
    char path[BENCH_PATH_MAX];
    bench_path(path, dir, "ids");
    FILE *f = fopen(path, "re");
    if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
        bench_die("there are no ids", NULL);
    }
    q->count = (uint64_t)ftell(f) / sizeof *q->ids;
    q->ids = calloc(q->count + 1, sizeof *q->ids);
    rewind(f);
    if (q->ids == NULL || fread(q->ids, sizeof *q->ids, q->count, f) != q->count) {
        bench_die("can't read the ids", NULL);
    }
    fclose(f);
}

static void measure_query(const bench_options *o, const char *dir, uint64_t events, uint64_t count)
{
    static const struct {
        const char *what;
        bench_op_fn ask;
    } all[] = {{"get a run", ask_get},
               {"find by prefix", ask_prefix},
               {"newest of a subject", ask_subject},
               {"list 100 newest", ask_newest},
               {"list 100 newest failed", ask_failed},
               {"state at a boundary", ask_state}};
    questions q;
    load_ids(&q, dir);
    q.store = bench_store_open(dir, RATOON_DURABILITY_INTERVAL);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bench_sample s;
        bench_timing t = bench_clients(1, count / 10, count, o->seconds_max, all[i].ask, &q);
        begin(&s, o, "query", events);
        bench_sample_text(&s, "what", all[i].what);
        bench_sample_timing(&s, &t);
        bench_sample_end(&s);
    }
    free(q.ids);
    report_memory(o, events, "after queries");
    ratoon_store_close(q.store);
}

/* ---- */

static uint64_t count_of(const char *text)
{
    char *end = NULL;
    uint64_t n = strtoull(text, &end, 10);
    if (*end != '\0' || n == 0) {
        bench_die("a number of 1 or more was expected", NULL);
    }
    return n;
}

int main(int argc, char **argv)
{
    bench_options o = {.name = "scale", .seconds_max = 5};
    if (argc == 5 && strcmp(argv[1], "build") == 0) {
        build(&o, argv[2], count_of(argv[3]), count_of(argv[4]));
    } else if (argc == 5 && strcmp(argv[1], "open") == 0) {
        measure_open(&o, argv[2], count_of(argv[3]), argv[4]);
    } else if (argc == 5 && strcmp(argv[1], "query") == 0) {
        measure_query(&o, argv[2], count_of(argv[3]), count_of(argv[4]));
    } else {
        bench_start(&o, "scale", argc, argv);
        build(&o, o.dir, 300, 3000);
        measure_open(&o, o.dir, 3000, "clean");
        measure_query(&o, o.dir, 3000, 20);
        bench_finish(&o);
    }
    return 0;
}
