/* The life of a run: start, resume, cancel, recover, finish; who may start when. */
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

static const char *id_text(ratoon_id id)
{
    static char text[RATOON_ID_TEXT];
    ratoon_id_format(id, text);
    return text;
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

/* ---- starting (R08, R10, R16) ---- */

START_TEST(test_L03_ended_and_active_runs_are_not_started)
{
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_ERR_RUN_ACTIVE);
    fail_root();
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_ptr_nonnull(strstr(w.error.hint, "ratoon retry"));
    ck_assert_ptr_nonnull(strstr(w.error.hint, id_text(w.root)));
}
END_TEST

START_TEST(test_R08_resume_refused_while_a_branch_is_active)
{
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_retry_from(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_ERR_BRANCH_ACTIVE);
    ck_assert(ratoon_id_equal(w.error.other, w.made));
    ck_assert_ptr_nonnull(strstr(w.error.message, id_text(w.made)));
}
END_TEST

static ratoon_id queue_branch(ratoon_id parent)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = parent;
    o.from = "plan";
    o.queue = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    return w.made;
}

static void end_branch(ratoon_id run)
{
    world_fail(&w, run, "plan", RATOON_CLASS_EXECUTION, "");
    ck_assert_int_eq(world_finish(&w, run), RATOON_OK);
}

START_TEST(test_R08_queued_runs_start_in_order_of_arrival)
{
    fail_root();
    const ratoon_id first = queue_branch(w.root);
    const ratoon_id second = queue_branch(w.root);
    const ratoon_id third = queue_branch(w.root);
    ck_assert_int_eq(status_of(first), RATOON_RUN_RUNNING); /* nobody to wait for */
    ck_assert_int_eq(status_of(second), RATOON_RUN_QUEUED);
    ck_assert_int_eq(world_resume(&w, second, NULL), RATOON_ERR_BRANCH_ACTIVE);
    ck_assert(ratoon_id_equal(w.error.other, first));
    end_branch(first);
    ck_assert_int_eq(world_resume(&w, third, NULL), RATOON_ERR_BRANCH_ACTIVE);
    ck_assert(ratoon_id_equal(w.error.other, second));
    ck_assert_int_eq(world_resume(&w, second, NULL), RATOON_OK);
    end_branch(second);
    ck_assert_int_eq(world_resume(&w, third, NULL), RATOON_OK);
}
END_TEST

START_TEST(test_R08_more_active_branches_where_the_pipeline_allows)
{
    world_close(&w);
    open_with(2, NULL);
    fail_root();
    ck_assert_int_eq(world_retry_from(&w, w.root, "plan"), RATOON_OK);
    ck_assert_int_eq(world_retry_from(&w, w.root, "plan"), RATOON_OK);
    const ratoon_id second = w.made;
    ck_assert_int_eq(world_retry_from(&w, w.root, "plan"), RATOON_ERR_BRANCH_ACTIVE);
    ck_assert_int_eq(world_recover(&w, second), RATOON_OK);
    ck_assert_int_eq(world_resume(&w, second, NULL), RATOON_OK);
    const ratoon_id waiting = queue_branch(w.root);
    ck_assert_int_eq(world_resume(&w, waiting, NULL), RATOON_ERR_BRANCH_ACTIVE);
    end_branch(second);
    ck_assert_int_eq(world_resume(&w, waiting, NULL), RATOON_OK);
}
END_TEST

START_TEST(test_R08_refusal_names_a_run_that_runs_before_one_that_waits)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    world_close(&w);
    open_with(2, NULL);
    fail_root();
    o.parent = w.root;
    o.no_exec = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    const ratoon_id queued = w.made;
    ck_assert_int_eq(world_retry_from(&w, w.root, "plan"), RATOON_OK);
    const ratoon_id running = w.made;
    ck_assert_int_eq(world_retry_from(&w, w.root, "plan"), RATOON_ERR_BRANCH_ACTIVE);
    ck_assert(ratoon_id_equal(w.error.other, running));
    ck_assert_int_eq(world_resume(&w, queued, NULL), RATOON_OK); /* it has its place */
}
END_TEST

START_TEST(test_R10_resume_refused_while_the_scope_is_held)
{
    world_close(&w);
    open_with(1, "wiki");
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    w.facts.claimed_scope = "wiki";
    w.facts.claimed_by = world_new_id(&w);
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_ERR_SCOPE_BUSY);
    ck_assert(ratoon_id_equal(w.error.other, w.facts.claimed_by));
    w.facts.claimed_by = w.root; /* it is its own */
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_OK);
}
END_TEST

static ratoon_status start_with(ratoon_pipeline *p)
{
    ratoon__decision d = {.arena = &w.arena};
    uint64_t epoch = 0;
    ratoon_status status =
        ratoon__decide_start(w.l, w.root, NULL, p, &w.facts, &d, &epoch, &w.error);
    if (status == RATOON_OK) {
        world_fold(&w, &d);
    }
    return status;
}

START_TEST(test_R16_resume_with_a_changed_definition)
{
    static const world_stage fewer[] = {{.name = "plan"}, {.name = "publish"}};
    static const world_stage more[] = {
        {.name = "plan"}, {.name = "check"}, {.name = "draft"}, {.name = "publish"}};
    ratoon_pipeline *lacking =
        world_pipeline_new(&(world_pipeline){.stages = fewer, .stages_count = 2});
    static const world_stage done_lacking[] = {{.name = "draft"}, {.name = "publish"}};
    ratoon_pipeline *shorter =
        world_pipeline_new(&(world_pipeline){.stages = done_lacking, .stages_count = 2});
    ratoon_pipeline *longer =
        world_pipeline_new(&(world_pipeline){.stages = more, .stages_count = 4});
    world_succeed(&w, w.root, "plan", "pages=1");
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    w.facts.pipeline_differences = "stage check: added";
    ck_assert_int_eq(start_with(longer), RATOON_ERR_PIPELINE_CHANGED);
    ck_assert_ptr_nonnull(strstr(w.error.message, "stage check: added"));
    w.facts.pipeline_differences = NULL; /* accepted */
    ck_assert_int_eq(start_with(lacking), RATOON_ERR_NO_SUCH_STAGE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "draft"));
    ck_assert_int_eq(start_with(longer), RATOON_OK);
    const ratoon__run *r = world_run(&w, w.root);
    ck_assert_uint_eq(r->stages_count, 4);
    ck_assert_int_eq(world_stage_of(&w, w.root, "plan")->status, RATOON_STAGE_SUCCEEDED);
    ck_assert_int_eq(world_stage_of(&w, w.root, "check")->status, RATOON_STAGE_PENDING);
    ck_assert_str_eq(world_input(&w, w.root, "publish", "pages"), "1");
    /* One that is done isn't needed any more. */
    const ratoon_op skip = {.kind = RATOON_OP_STAGE_SKIP, .stage = "check"};
    ck_assert_int_eq(world_apply(&w, w.root, skip), RATOON_OK);
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(start_with(shorter), RATOON_OK);
    ck_assert_uint_eq(world_run(&w, w.root)->stages_count, 2);
    ratoon__pipeline_unref(shorter);
    ratoon__pipeline_unref(lacking);
    ratoon__pipeline_unref(longer);
}
END_TEST

START_TEST(test_R17_resume_with_an_older_definition_refused)
{
    ratoon_pipeline *v2 =
        world_pipeline_new(&(world_pipeline){.stages = stages, .stages_count = 3, .version = 2});
    ratoon_pipeline *v1 =
        world_pipeline_new(&(world_pipeline){.stages = stages, .stages_count = 3, .version = 1});
    world_close(&w);
    world_open(&w, v2);
    world_create(&w, "");
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(start_with(v1), RATOON_ERR_VERSION_AHEAD);
    ratoon__pipeline_unref(v1);
}
END_TEST

START_TEST(test_S10_resume_refused_where_a_file_has_changed)
{
    static const char *const changed[] = {"draft: out/page.md is missing"};
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    w.facts.changed_files = changed;
    w.facts.changed_files_count = 1;
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_ERR_FILE_CHANGED);
    ck_assert_ptr_nonnull(strstr(w.error.message, changed[0]));
}
END_TEST

START_TEST(test_E02_queued_run_keeps_the_until_it_was_created_with)
{
    fail_root();
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = w.root;
    o.no_exec = true;
    o.until = "draft";
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_int_eq(world_resume(&w, w.made, NULL), RATOON_OK);
    ck_assert_int_eq(world_run(&w, w.made)->until, 1);
    ck_assert_int_eq(world_recover(&w, w.made), RATOON_OK);
    ck_assert_int_eq(world_resume(&w, w.made, NULL), RATOON_OK);
    ck_assert_int_eq(world_run(&w, w.made)->until, -1);
    ck_assert_int_eq(world_recover(&w, w.made), RATOON_OK);
    ck_assert_int_eq(world_resume(&w, w.made, "nowhere"), RATOON_ERR_NO_SUCH_STAGE);
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
    tcase_add_test(t, test_L08_recovering_leaves_queued_and_ended_runs_alone);
    tcase_add_test(t, test_L08_older_epoch_is_fenced);
    tcase_add_test(t, test_E05_cancelling_ends_running_stages_and_the_run);
    tcase_add_test(t, test_L03_outcome_that_came_before_the_cancelling_stands);
    tcase_add_test(t, test_E05_queued_and_suspended_runs_are_cancelled_at_once);
    tcase_add_test(t, test_L03_ended_and_active_runs_are_not_started);
    tcase_add_test(t, test_R08_resume_refused_while_a_branch_is_active);
    tcase_add_test(t, test_R08_queued_runs_start_in_order_of_arrival);
    tcase_add_test(t, test_R08_more_active_branches_where_the_pipeline_allows);
    tcase_add_test(t, test_R08_refusal_names_a_run_that_runs_before_one_that_waits);
    tcase_add_test(t, test_R10_resume_refused_while_the_scope_is_held);
    tcase_add_test(t, test_R16_resume_with_a_changed_definition);
    tcase_add_test(t, test_R17_resume_with_an_older_definition_refused);
    tcase_add_test(t, test_S10_resume_refused_where_a_file_has_changed);
    tcase_add_test(t, test_E02_queued_run_keeps_the_until_it_was_created_with);
    tcase_add_test(t, test_L04_ended_run_takes_annotations_and_references_only);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
