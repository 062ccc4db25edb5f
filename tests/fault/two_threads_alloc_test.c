/* Memory runs out while two threads are at work: what they give is right, or it is said. */
#include "log/store_impl.h"
#include "log/thread.h"
#include "tests/support/alloc_fault.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

static const char text[] = "pipeline: p\nstages:\n  - {name: first, run: [\"true\"]}\n";

enum { COMMITS = 2900, EACH_UNTIL = 100, STEP = 37 };

static ratoon_status (*real_ranges)(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                    ratoon__commit_fn fn, void *ctx, ratoon_error *error);
static _Atomic unsigned readers;

static ratoon_status counted_ranges(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                    ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    atomic_fetch_add(&readers, 1);
    return real_ranges(d, lineage, next, fn, ctx, error);
}

static char *folder, *path;
static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_created run;

static void setup(void)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_error error;
    uint32_t attempt;
    folder = support_temp_dir("two_threads");
    path = support_path_join(folder, "store");
    options.durability = RATOON_DURABILITY_NONE;
    ck_assert_int_eq(ratoon_store_create(path, NULL, &error), RATOON_OK);
    ck_assert_int_eq(ratoon_store_open(path, &options, &store, &error), RATOON_OK);
    ck_assert_int_eq(ratoon_pipeline_parse("p", text, strlen(text), NULL, &pipeline, &error),
                     RATOON_OK);
    o.pipeline = pipeline;
    ck_assert_int_eq(ratoon_run_create(store, &o, &run, &error), RATOON_OK);
    ck_assert_int_eq(ratoon_stage_start(store, run.run, run.epoch, "first", &attempt, &error),
                     RATOON_OK);
    for (uint64_t i = 2; i < COMMITS; i++) {
        ratoon_op op = {.kind = RATOON_OP_STAGE_PROGRESS,
                        .stage = "first",
                        .attempt = attempt,
                        .done = i,
                        .text = i % 2 == 0 ? "even" : "odd"};
        ck_assert_int_eq(ratoon_run_apply(store, run.run, run.epoch, &op, 1, &error), RATOON_OK);
    }
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
    free(path);
}

/* Without a failure two threads read, where there are two processors. */
static void expect_two_readers(void)
{
    ratoon_error error;
    ratoon__lineage *l = ratoon__lineage_new(run.run);
    readers = 0;
    ck_assert_int_eq(ratoon__store_fold_from(store, &l, 0, &error), RATOON_OK);
    ck_assert_uint_eq(readers, ratoon__two_processors() ? 2 : 0);
    ratoon__lineage_unref(l);
}

START_TEST(test_S07_memory_runs_out_while_two_threads_read)
{
    ratoon_error error;
    uint64_t failed = 1, n = 1, refused = 0;
    ratoon__driver *driver = ratoon__store_driver(store);
    const ratoon__driver_ops *real = driver->ops;
    ratoon__driver_ops hooked = *real;
    real_ranges = real->read_ranges;
    hooked.read_ranges = counted_ranges;
    driver->ops = &hooked;
    expect_two_readers();
    const uint64_t mark = alloc_fault_mark();
    for (bool persistent = false; failed > 0 || !persistent; n += n < EACH_UNTIL ? 1 : STEP) {
        if (failed == 0) { /* none was left to fail; now from the n-th on */
            persistent = true;
            n = 1;
        }
        ratoon__lineage *l = ratoon__lineage_new(run.run);
        alloc_fault_arm(n, persistent);
        const ratoon_status status = ratoon__store_fold_from(store, &l, 0, &error);
        (void)alloc_fault_disarm(&failed);
        ck_assert(status == RATOON_OK || (status == RATOON_ERR_NO_MEMORY && failed > 0));
        ck_assert(status != RATOON_OK || l->head == COMMITS);
        refused += status != RATOON_OK;
        ratoon__lineage_unref(l);
        ck_assert_uint_eq(alloc_fault_held_since(mark), 0);
    }
    ck_assert_uint_gt(refused, 0);
    driver->ops = real;
}
END_TEST

/* Memory of the caller, who reads, or of the other thread, which looks at what was read. */
START_TEST(test_Q01_memory_runs_out_while_two_threads_verify)
{
    uint64_t failed = 1, refused = 0;
    void (*const arm)(uint64_t, bool) = _i == 0 ? alloc_fault_arm : alloc_fault_arm_others;
    for (uint64_t n = 1; failed > 0; n += n < EACH_UNTIL ? 1 : STEP) {
        ratoon_buffer report = {0};
        ratoon_error error;
        size_t problems = 0;
        const uint64_t mark = alloc_fault_mark();
        arm(n, false);
        const ratoon_status status =
            ratoon_verify(store, (ratoon_id){{0}}, &report, &problems, &error);
        const uint64_t allocations = alloc_fault_disarm(&failed);
        ck_assert(status == RATOON_OK || (status == RATOON_ERR_NO_MEMORY && failed > 0));
        ck_assert_uint_eq(problems, 0);
        ck_assert(allocations > 0 || (_i == 1 && !ratoon__two_processors()));
        refused += status != RATOON_OK;
        ratoon_buffer_free(&report);
        ck_assert_uint_eq(alloc_fault_held_since(mark), 0);
    }
    ck_assert(refused > 0 || (_i == 1 && !ratoon__two_processors()));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("two_threads_alloc");
    TCase *t = tcase_create("memory");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_S07_memory_runs_out_while_two_threads_read);
    tcase_add_loop_test(t, test_Q01_memory_runs_out_while_two_threads_verify, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(suite)
