#include "bench/support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_MS 100

static ratoon_store_options options_of(ratoon_durability durability)
{
    ratoon_store_options o = RATOON_STORE_OPTIONS_INIT;
    o.durability = durability;
    o.interval_ms = INTERVAL_MS;
    o.actor = "bench";
    return o;
}

ratoon_store *bench_store_open(const char *dir, ratoon_durability durability)
{
    char path[BENCH_PATH_MAX];
    ratoon_error error = {0};
    ratoon_store *store = NULL;
    ratoon_store_options o = options_of(durability);
    bench_path(path, dir, "store");
    bench_must(ratoon_store_open(path, &o, &store, &error), "open", &error);
    return store;
}

ratoon_store *bench_store_new(const char *dir, ratoon_durability durability)
{
    char path[BENCH_PATH_MAX];
    ratoon_error error = {0};
    ratoon_store_options o = options_of(durability);
    bench_path(path, dir, "store");
    bench_must(ratoon_store_create(path, &o, &error), "create", &error);
    return bench_store_open(dir, durability);
}

const char *bench_durability_name(ratoon_durability durability)
{
    static const char *const names[] = {"sync", "interval", "none"};
    return names[durability];
}

void bench_stage_name(char name[BENCH_STAGE_NAME], uint64_t stage)
{
    name[0] = 's'; /* without snprintf(): it is done within what is timed */
    for (size_t i = 4; i > 0; i--, stage /= 10) {
        name[i] = (char)('0' + stage % 10);
    }
    name[5] = '\0';
}

ratoon_pipeline *bench_chain(unsigned stages)
{
    ratoon_error error = {0};
    ratoon_pipeline *p = NULL;
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (f == NULL) {
        bench_die("out of memory", NULL);
    }
    fprintf(f, "pipeline: chain\nstages:\n"); /* a stage needs the one before it */
    for (unsigned i = 0; i < stages; i++) {
        fprintf(f, "  - {name: s%04u, run: [\"true\"]}\n", i);
    }
    fclose(f);
    bench_must(ratoon_pipeline_parse("chain", text, size, NULL, &p, &error), "pipeline", &error);
    free(text);
    return p;
}

void bench_run_new(bench_run *r, ratoon_store *store, const ratoon_pipeline *p, const char *subject)
{
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_error error = {0};
    ratoon_created created;
    o.pipeline = p;
    o.subject = subject;
    bench_must(ratoon_run_create(store, &o, &created, &error), "create a run", &error);
    *r = (bench_run){.id = created.run, .epoch = created.epoch};
}

void bench_run_start(bench_run *r, ratoon_store *store, uint64_t stage)
{
    ratoon_error error;
    bench_stage_name(r->name, stage);
    r->stage = stage;
    bench_must(ratoon_stage_start(store, r->id, r->epoch, r->name, &r->attempt, &error), "start",
               &error);
}

void bench_run_step(bench_run *r, ratoon_store *store, const void *output, size_t size)
{
    char next[BENCH_STAGE_NAME];
    ratoon_error error;
    bench_stage_name(next, r->stage + 1);
    const ratoon_value value = {
        .key = "output", .data = output, .size = size, .media_type = "application/octet-stream"};
    ratoon_op ops[2] = {{.kind = RATOON_OP_STAGE_END,
                         .stage = r->name,
                         .attempt = r->attempt,
                         .status = RATOON_STAGE_SUCCEEDED,
                         .outputs = &value,
                         .outputs_count = size > 0 ? 1 : 0},
                        {.kind = RATOON_OP_STAGE_START, .stage = next}};
    bench_must(ratoon_run_apply(store, r->id, r->epoch, ops, 2, &error), "step", &error);
    r->stage++;
    memcpy(r->name, next, sizeof next);
    r->attempt = ops[1].attempt_out;
}

void bench_run_report(bench_run *r, ratoon_store *store, uint64_t done, uint64_t total)
{
    ratoon_error error;
    ratoon_op op = {.kind = RATOON_OP_STAGE_PROGRESS,
                    .stage = r->name,
                    .attempt = r->attempt,
                    .done = done,
                    .total = total,
                    .text = "a message of a usual length"};
    bench_must(ratoon_run_apply(store, r->id, r->epoch, &op, 1, &error), "report", &error);
}

void bench_run_end(bench_run *r, ratoon_store *store, const void *output, size_t size,
                   ratoon_stage_status status)
{
    ratoon_error error;
    const ratoon_value value = {
        .key = "output", .data = output, .size = size, .media_type = "application/octet-stream"};
    const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "it failed"};
    ratoon_op op = {.kind = RATOON_OP_STAGE_END,
                    .stage = r->name,
                    .attempt = r->attempt,
                    .status = status,
                    .outputs = &value,
                    .outputs_count = size > 0 ? 1 : 0,
                    .failure = status == RATOON_STAGE_FAILED ? &failure : NULL};
    bench_must(ratoon_run_apply(store, r->id, r->epoch, &op, 1, &error), "end", &error);
}

void bench_run_finish(bench_run *r, ratoon_store *store)
{
    ratoon_error error;
    ratoon_run_status status;
    bench_must(ratoon_run_finish(store, r->id, r->epoch, &status, &error), "finish", &error);
}
