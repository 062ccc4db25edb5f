/* The life of a run: outcome, interruption, cancelling, what an ended run takes. */
#include "tests/support/support.h"
#include "tests/support/world.h"

#include <string.h>

static world w;

static const world_stage stages[] = {{.name = "plan"}, {.name = "draft"}, {.name = "publish"}};

static void open_with(uint32_t max_active, const char *scope)
{
    const world_pipeline p = {
        .stages = stages, .stages_count = 3, .scope = scope, .max_active_branches = max_active};
    world_open(&w, world_pipeline_new(&p));
    world_create(&w, "topic=1");
}

static void setup(void)
{
    open_with(1, NULL);
}

static void teardown(void)
{
    world_close(&w);
}

static ratoon_run_status status_of(ratoon_id run)
{
    return world_run(&w, run)->status;
}

/* A root that failed at its first stage. */
static void fail_root(void)
{
    world_fail(&w, w.root, "plan", RATOON_CLASS_EXECUTION, "");
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_FAILED);
}

/* ---- outcome (L05) ---- */

START_TEST(test_L05_all_done_is_succeeded)
{
    world_succeed(&w, w.root, "plan", "");
    world_succeed(&w, w.root, "draft", "");
    world_succeed(&w, w.root, "publish", "");
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_SUCCEEDED);
    ck_assert(!ratoon__decision_has_failure(&w.last));
}
END_TEST

START_TEST(test_L05_one_degraded_stage_degrades_the_run)
{
    ck_assert_int_eq(world_start(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(world_end(&w, w.root, "plan", RATOON_STAGE_DEGRADED, ""), RATOON_OK);
    world_succeed(&w, w.root, "draft", "");
    world_succeed(&w, w.root, "publish", "");
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_DEGRADED);
}
END_TEST

START_TEST(test_L05_unforgiven_failure_fails_the_run_whatever_is_left)
{
    fail_root();
    ck_assert_ptr_nonnull(strstr(world_run(&w, w.root)->reason, "plan"));
    ck_assert_ptr_nonnull(strstr(world_run(&w, w.root)->reason, "it broke"));
}
END_TEST

START_TEST(test_L06_failures_are_told_apart_for_syncing)
{
    world_fail(&w, w.root, "plan", RATOON_CLASS_EXECUTION, "");
    ck_assert(ratoon__decision_has_failure(&w.last));
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert(ratoon__decision_has_failure(&w.last));
}
END_TEST

START_TEST(test_L05_finish_with_a_running_stage_refused)
{
    ck_assert_int_eq(world_start(&w, w.root, "plan"), RATOON_OK);
    const uint64_t events = w.l->events;
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_ptr_nonnull(strstr(w.error.message, "plan"));
    ck_assert_uint_eq(w.l->events, events);
}
END_TEST

START_TEST(test_L05_stages_left_suspend_the_run_saying_until_where)
{
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_resume(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(world_run(&w, w.root)->until, 0);
    world_succeed(&w, w.root, "plan", "");
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_SUSPENDED);
    ck_assert_str_eq(world_run(&w, w.root)->reason, "until plan");
    ck_assert_int_eq(world_run(&w, w.root)->error_class, RATOON_CLASS_NONE);
}
END_TEST

START_TEST(test_L05_finish_tells_the_status_to_the_caller)
{
    world_succeed(&w, w.root, "plan", "");
    world_succeed(&w, w.root, "draft", "");
    ratoon_op ops[] = {
        {.kind = RATOON_OP_STAGE_START, .stage = "publish"},
        {.kind = RATOON_OP_STAGE_END,
         .stage = "publish",
         .attempt = 1,
         .status = RATOON_STAGE_SUCCEEDED},
        {.kind = RATOON_OP_FINISH},
    };
    ck_assert_int_eq(world_apply_ops(&w, w.root, 1, ops, 3), RATOON_OK);
    ck_assert_uint_eq(ops[0].attempt_out, 1);
    ck_assert_int_eq(ops[2].run_status_out, RATOON_RUN_SUCCEEDED);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_SUCCEEDED);
}
END_TEST

START_TEST(test_L03_operations_are_all_or_none)
{
    ratoon_op ops[] = {
        {.kind = RATOON_OP_STAGE_START, .stage = "plan"},
        {.kind = RATOON_OP_STAGE_START, .stage = "draft"},
    };
    const uint64_t events = w.l->events;
    ck_assert_int_eq(world_apply_ops(&w, w.root, 1, ops, 2), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_uint_eq(ops[0].attempt_out, 0);
    ck_assert_uint_eq(w.l->events, events);
    ck_assert_int_eq(world_stage_of(&w, w.root, "plan")->status, RATOON_STAGE_PENDING);
}
END_TEST

/* ---- interruption and recovery (L08) ---- */

static ratoon_status interrupt(ratoon_id run)
{
    return world_apply(&w, run, (ratoon_op){.kind = RATOON_OP_FINISH, .interrupted = true});
}

START_TEST(test_L08_interrupted_run_is_suspended_and_its_stage_pending)
{
    ck_assert_int_eq(world_start(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(interrupt(w.root), RATOON_OK);
    const ratoon__stage *s = world_stage_of(&w, w.root, "plan");
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_SUSPENDED);
    ck_assert_int_eq(world_run(&w, w.root)->error_class, RATOON_CLASS_INTERRUPTED);
    ck_assert_int_eq(s->status, RATOON_STAGE_PENDING);
    ck_assert_uint_eq(s->attempt, 1);
    ck_assert_int_eq(s->error_class, RATOON_CLASS_INTERRUPTED);
}
END_TEST

START_TEST(test_L08_dead_executor_suspends_its_run)
{
    world_succeed(&w, w.root, "plan", "");
    ck_assert_int_eq(world_start(&w, w.root, "draft"), RATOON_OK);
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_SUSPENDED);
    ck_assert_int_eq(world_run(&w, w.root)->error_class, RATOON_CLASS_INTERRUPTED);
    ck_assert_int_eq(world_stage_of(&w, w.root, "draft")->status, RATOON_STAGE_PENDING);
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_OK);
    ck_assert_int_eq(world_start(&w, w.root, "draft"), RATOON_OK);
    ck_assert_uint_eq(world_stage_of(&w, w.root, "draft")->attempt, 2);
}
END_TEST

START_TEST(test_L08_dead_executor_after_a_failure_fails_its_run)
{
    world_fail(&w, w.root, "plan", RATOON_CLASS_EXECUTION, "");
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_FAILED);
    ck_assert(ratoon__decision_has_failure(&w.last));
}
END_TEST

START_TEST(test_L08_dead_executor_of_a_cancelling_run_cancels_it)
{
    ck_assert_int_eq(world_start(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_CANCELLING);
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_CANCELLED);
    ck_assert_str_eq(world_run(&w, w.root)->reason, "enough");
    ck_assert_int_eq(world_stage_of(&w, w.root, "plan")->status, RATOON_STAGE_CANCELLED);
}
END_TEST

START_TEST(test_L08_dead_executor_of_a_cancelling_run_after_a_failure_fails_it)
{
    world_fail(&w, w.root, "plan", RATOON_CLASS_EXECUTION, "");
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_FAILED);
    ck_assert(ratoon__decision_has_failure(&w.last));
}
END_TEST

START_TEST(test_L08_recovering_leaves_queued_and_ended_runs_alone)
{
    fail_root();
    const uint64_t events = w.l->events;
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_uint_eq(w.l->events, events);
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = w.root;
    o.no_exec = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_int_eq(world_recover(&w, w.made), RATOON_OK);
    ck_assert_int_eq(status_of(w.made), RATOON_RUN_QUEUED);
}
END_TEST

START_TEST(test_L08_older_epoch_is_fenced)
{
    ratoon_op op = {.kind = RATOON_OP_STAGE_START, .stage = "plan"};
    ck_assert_uint_eq(world_run(&w, w.root)->epoch, 1);
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_OK);
    ck_assert_uint_eq(world_run(&w, w.root)->epoch, 2);
    ck_assert_int_eq(world_apply_ops(&w, w.root, 1, &op, 1), RATOON_ERR_FENCED);
    ck_assert_ptr_nonnull(strstr(w.error.message, "epoch 2"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "epoch 1"));
    ck_assert_int_eq(world_apply_ops(&w, w.root, 2, &op, 1), RATOON_OK);
}
END_TEST

/* ---- cancelling (E05) ---- */

START_TEST(test_E05_cancelling_ends_running_stages_and_the_run)
{
    ck_assert_int_eq(world_start(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_start(&w, w.root, "draft"), RATOON_ERR_ILLEGAL_TRANSITION);
    const uint64_t events = w.l->events;
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK); /* a second time changes nothing */
    ck_assert_uint_eq(w.l->events, events);
    ck_assert_int_eq(world_end(&w, w.root, "plan", RATOON_STAGE_CANCELLED, ""), RATOON_OK);
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_CANCELLED);
    ck_assert_str_eq(world_run(&w, w.root)->reason, "enough");
}
END_TEST

START_TEST(test_L03_outcome_that_came_before_the_cancelling_stands)
{
    world_succeed(&w, w.root, "plan", "");
    world_succeed(&w, w.root, "draft", "");
    ck_assert_int_eq(world_start(&w, w.root, "publish"), RATOON_OK);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_end(&w, w.root, "publish", RATOON_STAGE_SUCCEEDED, ""), RATOON_OK);
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_SUCCEEDED);
}
END_TEST

START_TEST(test_L03_L08_failure_that_came_before_the_cancelling_was_done_stands)
{
    ck_assert_int_eq(world_start(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_end(&w, w.root, "plan", RATOON_STAGE_FAILED, ""), RATOON_OK);
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_FAILED);
}
END_TEST

START_TEST(test_L03_stage_that_failed_by_being_cancelled_does_not_fail_the_run)
{
    static const ratoon_failure failure = {.error_class = RATOON_CLASS_CANCELLED,
                                           .message = "signal 15 (SIGTERM): cancelled"};
    ck_assert_int_eq(world_start(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ratoon_op op = {.kind = RATOON_OP_STAGE_END,
                    .stage = "plan",
                    .attempt = 1,
                    .status = RATOON_STAGE_FAILED,
                    .failure = &failure};
    ck_assert_int_eq(world_apply(&w, w.root, op), RATOON_OK);
    ck_assert_int_eq(_i == 0 ? world_finish(&w, w.root) : world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_CANCELLED);
}
END_TEST

START_TEST(test_L03_cancelled_stage_is_no_outcome_that_came_first)
{
    static const world_stage forgiving[] = {{.name = "plan", .allow_failure = true}};
    world_close(&w);
    world_open(&w, world_pipeline_new(&(world_pipeline){.stages = forgiving, .stages_count = 1}));
    world_create(&w, "");
    ck_assert_int_eq(world_start(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_end(&w, w.root, "plan", RATOON_STAGE_CANCELLED, ""), RATOON_OK);
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_CANCELLED);
}
END_TEST

START_TEST(test_E05_queued_and_suspended_runs_are_cancelled_at_once)
{
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(status_of(w.root), RATOON_RUN_CANCELLED);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_ERR_ILLEGAL_TRANSITION);
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = w.root;
    o.no_exec = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_int_eq(world_cancel(&w, w.made), RATOON_OK);
    ck_assert_int_eq(status_of(w.made), RATOON_RUN_CANCELLED);
}
END_TEST

/* ---- after the end (L04, L07) ---- */

START_TEST(test_L04_ended_run_takes_annotations_and_references_only)
{
    ck_assert_int_eq(world_start(&w, w.root, "plan"), RATOON_OK);
    fail_root();
    ratoon__decision d = {.arena = &w.arena};
    ck_assert_int_eq(ratoon__decide_annotate(w.l, w.root, "looked at", &w.facts, &d, &w.error),
                     RATOON_OK);
    world_fold(&w, &d);
    ck_assert_uint_eq(world_run(&w, w.root)->annotations, 1);
    const ratoon_op ref = {.kind = RATOON_OP_EXTERNAL_REF, .text = "job-17"};
    ck_assert_int_eq(world_apply(&w, w.root, ref), RATOON_OK);
    const ratoon_op none = {.kind = RATOON_OP_EXTERNAL_REF};
    ck_assert_int_eq(world_apply(&w, w.root, none), RATOON_OK);
    ck_assert_str_eq(world_run(&w, w.root)->external_ref, "job-17");
    ck_assert_int_eq(world_start(&w, w.root, "draft"), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_ERR_ILLEGAL_TRANSITION);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("decide_run");
    TCase *t = tcase_create("run");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_L05_all_done_is_succeeded);
    tcase_add_test(t, test_L05_one_degraded_stage_degrades_the_run);
    tcase_add_test(t, test_L05_unforgiven_failure_fails_the_run_whatever_is_left);
    tcase_add_test(t, test_L06_failures_are_told_apart_for_syncing);
    tcase_add_test(t, test_L05_finish_with_a_running_stage_refused);
    tcase_add_test(t, test_L05_stages_left_suspend_the_run_saying_until_where);
    tcase_add_test(t, test_L05_finish_tells_the_status_to_the_caller);
    tcase_add_test(t, test_L03_operations_are_all_or_none);
    tcase_add_test(t, test_L08_interrupted_run_is_suspended_and_its_stage_pending);
    tcase_add_test(t, test_L08_dead_executor_suspends_its_run);
    tcase_add_test(t, test_L08_dead_executor_after_a_failure_fails_its_run);
    tcase_add_test(t, test_L08_dead_executor_of_a_cancelling_run_cancels_it);
    tcase_add_test(t, test_L08_dead_executor_of_a_cancelling_run_after_a_failure_fails_it);
    tcase_add_test(t, test_L08_recovering_leaves_queued_and_ended_runs_alone);
    tcase_add_test(t, test_L08_older_epoch_is_fenced);
    tcase_add_test(t, test_E05_cancelling_ends_running_stages_and_the_run);
    tcase_add_test(t, test_L03_outcome_that_came_before_the_cancelling_stands);
    tcase_add_test(t, test_L03_L08_failure_that_came_before_the_cancelling_was_done_stands);
    tcase_add_loop_test(t, test_L03_stage_that_failed_by_being_cancelled_does_not_fail_the_run, 0,
                        2);
    tcase_add_test(t, test_L03_cancelled_stage_is_no_outcome_that_came_first);
    tcase_add_test(t, test_E05_queued_and_suspended_runs_are_cancelled_at_once);
    tcase_add_test(t, test_L04_ended_run_takes_annotations_and_references_only);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
