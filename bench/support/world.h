/* Stores, pipelines and runs for the benchmarks, through the public interface. What fails ends the
 * program. */
#ifndef RATOON_BENCH_SUPPORT_WORLD_H
#define RATOON_BENCH_SUPPORT_WORLD_H

#include "bench/support/bench.h"

/* Creates and opens the store dir/store. interval_ms counts for INTERVAL. */
ratoon_store *bench_store_new(const char *dir, ratoon_durability durability);
ratoon_store *bench_store_open(const char *dir, ratoon_durability durability);

const char *bench_durability_name(ratoon_durability durability);

/* A definition of stages s0000, s0001, … each of which needs the one before. */
ratoon_pipeline *bench_chain(unsigned stages);
#define BENCH_STAGE_NAME 16
void bench_stage_name(char name[BENCH_STAGE_NAME], uint64_t stage);

/* A run that is being executed, stage by stage along a chain. */
typedef struct bench_run {
    ratoon_id id;
    uint64_t epoch;
    uint64_t stage; /* that is running */
    char name[BENCH_STAGE_NAME];
    uint32_t attempt;
} bench_run;

/* Creates a run, running. subject may be NULL. */
void bench_run_new(bench_run *r, ratoon_store *store, const ratoon_pipeline *p,
                   const char *subject);
void bench_run_start(bench_run *r, ratoon_store *store, uint64_t stage);
/* What an executor does between two stages: one commit that ends the running stage, with one output
 * (size 0: none), and starts the next. */
void bench_run_step(bench_run *r, ratoon_store *store, const void *output, size_t size);
/* A progress report of the running stage: one commit of one event. */
void bench_run_report(bench_run *r, ratoon_store *store, uint64_t done, uint64_t total);
/* Ends the running stage. */
void bench_run_end(bench_run *r, ratoon_store *store, const void *output, size_t size,
                   ratoon_stage_status status);
void bench_run_finish(bench_run *r, ratoon_store *store);

#endif
