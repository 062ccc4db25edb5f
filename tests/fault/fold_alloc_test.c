/* Memory runs out while two threads read a long history: what is folded is right, or it is said. */
#include "log/store_impl.h"
#include "tests/support/alloc_fault.h"
#include "tests/support/support.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "pipeline: p\nstages:\n  - {name: first, run: [\"true\"]}\n";

enum { COMMITS = 2400, EACH_UNTIL = 100, STEP = 37 };

static ratoon_status (*real_ranges)(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                    ratoon__commit_fn fn, void *ctx, ratoon_error *error);
static _Atomic unsigned readers;

static ratoon_status counted_ranges(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                    ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    atomic_fetch_add(&readers, 1);
    return real_ranges(d, lineage, next, fn, ctx, error);
}

/* Without a failure two threads read, where there are two processors. */
static void expect_two_readers(ratoon_store *store, ratoon_id root)
{
    ratoon_error error;
    cpu_set_t set;
    ratoon__lineage *l = ratoon__lineage_new(root);
    readers = 0;
    ck_assert_int_eq(sched_getaffinity(0, sizeof set, &set), 0);
    ck_assert_int_eq(ratoon__store_fold_from(store, &l, 0, &error), RATOON_OK);
    ck_assert_uint_eq(readers, CPU_COUNT(&set) > 1 ? 2 : 0);
    ratoon__lineage_unref(l);
}

START_TEST(test_S07_memory_runs_out_while_two_threads_read)
{
    char *folder = support_temp_dir("fold_alloc");
    char *path = support_path_join(folder, "store");
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_pipeline *pipeline = NULL;
    ratoon_store *store = NULL;
    ratoon_created run;
    ratoon_error error;
    uint32_t attempt;
    uint64_t failed = 1, n = 1, refused = 0;
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
    ratoon__driver *driver = ratoon__store_driver(store);
    const ratoon__driver_ops *real = driver->ops;
    ratoon__driver_ops hooked = *real;
    real_ranges = real->read_ranges;
    hooked.read_ranges = counted_ranges;
    driver->ops = &hooked;
    expect_two_readers(store, run.run);
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
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
    free(path);
}
END_TEST

static Suite *fold_alloc_suite(void)
{
    Suite *s = suite_create("fold_alloc");
    TCase *t = tcase_create("fold_alloc");
    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_S07_memory_runs_out_while_two_threads_read);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(fold_alloc_suite)
