/* Operations on stages: what may start, how an attempt ends, items. */
#include "tests/support/support.h"
#include "tests/support/world.h"

#include <stdlib.h>
#include <string.h>

static world w;

static void open_with(const world_stage *stages, size_t count)
{
    const world_pipeline p = {.stages = stages, .stages_count = count};
    world_open(&w, world_pipeline_new(&p));
    world_create(&w, "topic=1");
}

static void teardown(void)
{
    world_close(&w);
}

static const world_stage line[] = {
    {.name = "ingest", .produces = "sources"},
    {.name = "extract", .requires_keys = "sources topic", .produces = "texts"},
    {.name = "review", .validates = "extract"},
    {.name = "publish", .foreach_key = "texts", .commits = true},
};

static void setup(void)
{
    open_with(line, 4);
}

static const ratoon__stage *stage(const char *name)
{
    return world_stage_of(&w, w.root, name);
}

/* ---- starting ---- */

START_TEST(test_E01_stage_starts_when_its_dependencies_are_done)
{
    ck_assert_int_eq(world_start(&w, w.root, "extract"), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_ptr_nonnull(strstr(w.error.message, "extract"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "stage ingest that it needs is pending"));
    ck_assert_str_eq(w.error.stage, "extract");
    world_succeed(&w, w.root, "ingest", "sources=[]");
    ck_assert_int_eq(world_start(&w, w.root, "extract"), RATOON_OK);
    ck_assert_uint_eq(stage("extract")->attempt, 1);
}
END_TEST

START_TEST(test_R03_unknown_stage_refused_with_list)
{
    ck_assert_int_eq(world_start(&w, w.root, "exctract"), RATOON_ERR_NO_SUCH_STAGE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "ingest, extract, review, publish"));
}
END_TEST

START_TEST(test_E01_nothing_starts_after_an_unforgiven_failure)
{
    static const world_stage fork[] = {
        {.name = "a"}, {.name = "b", .needs = ""}, {.name = "c", .needs = ""}};
    world_close(&w);
    open_with(fork, 3);
    ck_assert_int_eq(world_start(&w, w.root, "b"), RATOON_OK);
    world_fail(&w, w.root, "a", RATOON_CLASS_EXECUTION, "");
    ck_assert_int_eq(world_start(&w, w.root, "c"), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_ptr_nonnull(strstr(w.error.message, "stage a has failed"));
    /* What runs already may end. */
    ck_assert_int_eq(world_end(&w, w.root, "b", RATOON_STAGE_SUCCEEDED, ""), RATOON_OK);
}
END_TEST

START_TEST(test_E01_stages_after_a_forgiven_failure_run_unless_a_key_is_absent)
{
    static const world_stage forgiving[] = {
        {.name = "fetch", .produces = "extra", .allow_failure = true},
        {.name = "build"},
        {.name = "enrich", .needs = "fetch", .requires_keys = "extra"},
    };
    world_close(&w);
    open_with(forgiving, 3);
    world_fail(&w, w.root, "fetch", RATOON_CLASS_EXECUTION, "");
    ck_assert_int_eq(world_start(&w, w.root, "enrich"), RATOON_ERR_MISSING_KEYS);
    const ratoon_op skip = {
        .kind = RATOON_OP_STAGE_SKIP, .stage = "enrich", .text = "extra is absent"};
    ck_assert_int_eq(world_apply(&w, w.root, skip), RATOON_OK);
    ck_assert_int_eq(stage("enrich")->status, RATOON_STAGE_SKIPPED);
    ck_assert_str_eq(stage("enrich")->reason, "extra is absent");
    world_succeed(&w, w.root, "build", "");
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_run(&w, w.root)->status, RATOON_RUN_DEGRADED);
}
END_TEST

START_TEST(test_S04_start_without_required_keys_refused_listing_all)
{
    static const world_stage gaps[] = {
        {.name = "ingest"},
        {.name = "side", .needs = "", .produces = "sources"},
        {.name = "extract", .needs = "ingest", .requires_keys = "sources config topic"},
    };
    world_close(&w);
    open_with(gaps, 3);
    world_succeed(&w, w.root, "ingest", "");
    world_succeed(&w, w.root, "side", "sources=1"); /* no ancestor: not received */
    const uint64_t events = w.l->events;
    ck_assert_int_eq(world_start(&w, w.root, "extract"), RATOON_ERR_MISSING_KEYS);
    ck_assert_ptr_nonnull(strstr(w.error.message, "sources (produced by side)"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "config (no stage declares"));
    ck_assert_ptr_null(strstr(w.error.message, "topic"));
    ck_assert_uint_eq(w.l->events, events);
    /* An executor that meets this records it. */
    const ratoon_op refuse = {.kind = RATOON_OP_STAGE_REFUSE, .stage = "extract"};
    ck_assert_int_eq(world_apply(&w, w.root, refuse), RATOON_OK);
    ck_assert_int_eq(stage("extract")->status, RATOON_STAGE_FAILED);
    ck_assert_int_eq(stage("extract")->error_class, RATOON_CLASS_DEPENDENCY);
    ck_assert_ptr_nonnull(strstr(stage("extract")->failure->f.message, "sources"));
    ck_assert(!stage("extract")->failure->f.retryable);
}
END_TEST

START_TEST(test_S04_foreach_key_is_required)
{
    world_succeed(&w, w.root, "ingest", "sources=1");
    ck_assert_int_eq(world_start(&w, w.root, "extract"), RATOON_OK);
    const ratoon_op stop = {.kind = RATOON_OP_FINISH, .interrupted = true};
    ck_assert_int_eq(world_apply(&w, w.root, stop), RATOON_OK);
    static const world_stage only[] = {{.name = "each", .foreach_key = "urls"}};
    world_close(&w);
    open_with(only, 1);
    ck_assert_int_eq(world_start(&w, w.root, "each"), RATOON_ERR_MISSING_KEYS);
    ck_assert_ptr_nonnull(strstr(w.error.message, "urls"));
}
END_TEST

START_TEST(test_L03_pending_stage_fails_only_for_absent_keys)
{
    const ratoon_op refuse = {.kind = RATOON_OP_STAGE_REFUSE, .stage = "ingest"};
    ck_assert_int_eq(world_apply(&w, w.root, refuse), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_int_eq(stage("ingest")->status, RATOON_STAGE_PENDING);
}
END_TEST

/* ---- ending ---- */

START_TEST(test_S04_end_without_declared_keys_is_a_validation_failure)
{
    ck_assert_int_eq(world_start(&w, w.root, "ingest"), RATOON_OK);
    ck_assert_int_eq(world_end(&w, w.root, "ingest", RATOON_STAGE_SUCCEEDED, "other=1"), RATOON_OK);
    ck_assert_int_eq(stage("ingest")->status, RATOON_STAGE_FAILED);
    ck_assert_int_eq(stage("ingest")->error_class, RATOON_CLASS_VALIDATION);
    ck_assert_ptr_nonnull(strstr(stage("ingest")->failure->f.message, "sources"));
    ck_assert_ptr_nonnull(ratoon__outputs_find(stage("ingest")->partial, "other"));
    ck_assert_ptr_null(stage("ingest")->outputs);
    ck_assert(ratoon__decision_has_failure(&w.last));
}
END_TEST

START_TEST(test_S04_keys_not_declared_are_accepted)
{
    world_succeed(&w, w.root, "ingest", "sources=1 extra=2");
    ck_assert_str_eq(world_input(&w, w.root, "extract", "extra"), "2");
}
END_TEST

START_TEST(test_R11_validator_that_produces_something_failed)
{
    world_succeed(&w, w.root, "ingest", "sources=1");
    world_succeed(&w, w.root, "extract", "texts=1");
    ck_assert_int_eq(world_start(&w, w.root, "review"), RATOON_OK);
    ck_assert_int_eq(world_end(&w, w.root, "review", RATOON_STAGE_SUCCEEDED, "note=1"), RATOON_OK);
    ck_assert_int_eq(stage("review")->status, RATOON_STAGE_FAILED);
    ck_assert_int_eq(stage("review")->error_class, RATOON_CLASS_VALIDATION);
    ck_assert_ptr_nonnull(strstr(stage("review")->failure->f.message, "note"));
}
END_TEST

START_TEST(test_S03_partial_outputs_of_a_failed_stage_are_kept_but_do_not_count)
{
    world_fail(&w, w.root, "ingest", RATOON_CLASS_TRANSIENT, "sources=half");
    ck_assert_ptr_nonnull(ratoon__outputs_find(stage("ingest")->partial, "sources"));
    ck_assert_ptr_null(world_input(&w, w.root, "extract", "sources"));
}
END_TEST

START_TEST(test_S06_output_given_twice_refused)
{
    ck_assert_int_eq(world_start(&w, w.root, "ingest"), RATOON_OK);
    ck_assert_int_eq(world_end(&w, w.root, "ingest", RATOON_STAGE_SUCCEEDED, "sources=1 sources=2"),
                     RATOON_ERR_USAGE);
    ck_assert_int_eq(stage("ingest")->status, RATOON_STAGE_RUNNING);
}
END_TEST

START_TEST(test_L03_late_report_of_an_older_attempt_refused)
{
    ck_assert_int_eq(world_start(&w, w.root, "ingest"), RATOON_OK);
    const ratoon_op again = {.kind = RATOON_OP_STAGE_RETURN, .stage = "ingest"};
    ck_assert_int_eq(world_apply(&w, w.root, again), RATOON_OK);
    ck_assert_int_eq(world_start(&w, w.root, "ingest"), RATOON_OK);
    ratoon_op late = {.kind = RATOON_OP_STAGE_END,
                      .stage = "ingest",
                      .attempt = 1,
                      .status = RATOON_STAGE_FAILED};
    ck_assert_int_eq(world_apply(&w, w.root, late), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_ptr_nonnull(strstr(w.error.message, "of attempt 1"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "attempt 2"));
    late.attempt = 2;
    ck_assert_int_eq(world_apply(&w, w.root, late), RATOON_OK);
}
END_TEST

START_TEST(test_A04_next_attempt_waits_and_keeps_its_cause)
{
    const ratoon_failure failure = {.error_class = RATOON_CLASS_TRANSIENT,
                                    .message = "connection reset"};
    const ratoon_op back = {
        .kind = RATOON_OP_STAGE_RETURN, .stage = "ingest", .failure = &failure, .delay_ms = 1500};
    ck_assert_int_eq(world_start(&w, w.root, "ingest"), RATOON_OK);
    const uint64_t now = w.facts.now_us;
    ck_assert_int_eq(world_apply(&w, w.root, back), RATOON_OK);
    const ratoon__stage *s = stage("ingest");
    ck_assert_int_eq(s->status, RATOON_STAGE_PENDING);
    ck_assert_uint_eq(s->not_before, now + 1500000);
    ck_assert_int_eq(s->error_class, RATOON_CLASS_TRANSIENT);
    ck_assert_str_eq(s->failure->f.message, "connection reset");
    ck_assert(!ratoon__decision_has_failure(&w.last));
    /* A run in back-off can be cancelled. */
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_run(&w, w.root)->status, RATOON_RUN_CANCELLED);
}
END_TEST

/* ---- items (R13, R14, S06) ---- */

static void reach_publish(void)
{
    world_succeed(&w, w.root, "ingest", "sources=1");
    world_succeed(&w, w.root, "extract", "texts=1");
    world_succeed(&w, w.root, "review", "");
    ck_assert_int_eq(world_start(&w, w.root, "publish"), RATOON_OK);
}

START_TEST(test_R13_stage_with_failed_items_fails_at_the_end)
{
    reach_publish();
    world_items(&w, w.root, "publish", 10, "a !b c !d");
    ck_assert_int_eq(stage("publish")->status, RATOON_STAGE_RUNNING);
    ck_assert_int_eq(world_end(&w, w.root, "publish", RATOON_STAGE_SUCCEEDED, ""), RATOON_OK);
    ck_assert_int_eq(stage("publish")->status, RATOON_STAGE_FAILED);
    ck_assert_int_eq(stage("publish")->error_class, RATOON_CLASS_EXECUTION);
    ck_assert_ptr_nonnull(strstr(stage("publish")->failure->f.message, "2 of 10 items failed: "));
}
END_TEST

START_TEST(test_R14_items_of_a_committing_stage_are_committed_and_stay_so)
{
    const ratoon_item_result failed = {.key = "a", .failed = true};
    const ratoon_op op = {
        .kind = RATOON_OP_ITEM, .stage = "publish", .items = &failed, .items_count = 1};
    reach_publish();
    world_items(&w, w.root, "publish", 2, "a");
    ck_assert(ratoon__items_get(stage("publish")->items, "a")->committed);
    ck_assert_int_eq(world_apply(&w, w.root, op), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_ptr_nonnull(strstr(w.error.message, "'a'"));
}
END_TEST

START_TEST(test_R14_committing_an_item_keeps_the_output_it_gave)
{
    const ratoon_item_result done = {.key = "a", .output = "{}", .output_size = 2};
    const ratoon_item_result committed = {.key = "a", .committed = true};
    ratoon_op op = {.kind = RATOON_OP_ITEM, .stage = "ingest", .items = &done, .items_count = 1};
    ck_assert_int_eq(world_start(&w, w.root, "ingest"), RATOON_OK);
    ck_assert_int_eq(world_apply(&w, w.root, op), RATOON_OK);
    ck_assert(!ratoon__items_get(stage("ingest")->items, "a")->committed);
    op.items = &committed;
    ck_assert_int_eq(world_apply(&w, w.root, op), RATOON_OK);
    const ratoon__item *item = ratoon__items_get(stage("ingest")->items, "a");
    ck_assert(item->committed);
    ck_assert_ptr_nonnull(item->output);
    ck_assert_uint_eq(item->output->size, 2);
    ck_assert_uint_eq(stage("ingest")->items_done, 1);
}
END_TEST

START_TEST(test_S06_limits_of_items_name_limit_and_size)
{
    char *key = malloc(RATOON_ITEM_KEY_MAX + 2);
    memset(key, 'k', RATOON_ITEM_KEY_MAX + 1);
    key[RATOON_ITEM_KEY_MAX + 1] = '\0';
    const ratoon_item_result item = {.key = key};
    const ratoon_item_result both = {.key = "a", .failed = true, .committed = true};
    const ratoon_item_result nameless = {.key = ""};
    ratoon_op op = {.kind = RATOON_OP_ITEM, .stage = "publish", .items = &item, .items_count = 1};
    reach_publish();
    ck_assert_int_eq(world_apply(&w, w.root, op), RATOON_ERR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(w.error.message, "4097"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "4096"));
    key[RATOON_ITEM_KEY_MAX] = '\0';
    ck_assert_int_eq(world_apply(&w, w.root, op), RATOON_OK);
    op.items = &both;
    ck_assert_int_eq(world_apply(&w, w.root, op), RATOON_ERR_USAGE);
    op.items = &nameless;
    ck_assert_int_eq(world_apply(&w, w.root, op), RATOON_ERR_USAGE);
    const ratoon_op total = {
        .kind = RATOON_OP_STAGE_ITEMS, .stage = "publish", .total = RATOON_ITEMS_MAX + 1};
    ck_assert_int_eq(world_apply(&w, w.root, total), RATOON_ERR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(w.error.message, "1000001"));
    free(key);
}
END_TEST

START_TEST(test_A07_progress_and_consumed_results_belong_to_the_running_attempt)
{
    ratoon_op progress = {
        .kind = RATOON_OP_STAGE_PROGRESS, .stage = "ingest", .done = 3, .total = 10, .text = "on"};
    ratoon_op used = {.kind = RATOON_OP_CONSUMES, .stage = "ingest"};
    ck_assert_int_eq(world_apply(&w, w.root, progress), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_int_eq(world_start(&w, w.root, "ingest"), RATOON_OK);
    ck_assert_int_eq(world_apply(&w, w.root, progress), RATOON_OK);
    ck_assert_uint_eq(stage("ingest")->progress_done, 3);
    ck_assert_int_eq(world_apply(&w, w.root, used), RATOON_ERR_USAGE);
    used.run = world_new_id(&w);
    ck_assert_int_eq(world_apply(&w, w.root, used), RATOON_OK);
    ck_assert_uint_eq(stage("ingest")->consumed->count, 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("decide_stage");
    TCase *t = tcase_create("stage");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_E01_stage_starts_when_its_dependencies_are_done);
    tcase_add_test(t, test_R03_unknown_stage_refused_with_list);
    tcase_add_test(t, test_E01_nothing_starts_after_an_unforgiven_failure);
    tcase_add_test(t, test_E01_stages_after_a_forgiven_failure_run_unless_a_key_is_absent);
    tcase_add_test(t, test_S04_start_without_required_keys_refused_listing_all);
    tcase_add_test(t, test_S04_foreach_key_is_required);
    tcase_add_test(t, test_L03_pending_stage_fails_only_for_absent_keys);
    tcase_add_test(t, test_S04_end_without_declared_keys_is_a_validation_failure);
    tcase_add_test(t, test_S04_keys_not_declared_are_accepted);
    tcase_add_test(t, test_R11_validator_that_produces_something_failed);
    tcase_add_test(t, test_S03_partial_outputs_of_a_failed_stage_are_kept_but_do_not_count);
    tcase_add_test(t, test_S06_output_given_twice_refused);
    tcase_add_test(t, test_L03_late_report_of_an_older_attempt_refused);
    tcase_add_test(t, test_A04_next_attempt_waits_and_keeps_its_cause);
    tcase_add_test(t, test_R13_stage_with_failed_items_fails_at_the_end);
    tcase_add_test(t, test_R14_items_of_a_committing_stage_are_committed_and_stay_so);
    tcase_add_test(t, test_R14_committing_an_item_keeps_the_output_it_gave);
    tcase_add_test(t, test_S06_limits_of_items_name_limit_and_size);
    tcase_add_test(t, test_A07_progress_and_consumed_results_belong_to_the_running_attempt);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
