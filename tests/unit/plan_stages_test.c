/* Which stages a retry executes and which it reuses, and when a stage can't be retried from. */
#include "tests/support/support.h"
#include "tests/support/world.h"

#include <string.h>

static world w;

/*  ingest - extract - review (validates extract)
 *        \          \ match - plan - publish
 *         side                              */
static const world_stage dag[] = {
    {.name = "ingest", .setup = true, .produces = "sources"},
    {.name = "extract", .produces = "texts"},
    {.name = "review", .validates = "extract"},
    {.name = "match", .needs = "extract", .produces = "pairs"},
    {.name = "plan", .needs = "match", .produces = "pages"},
    {.name = "publish", .needs = "plan"},
    {.name = "side", .needs = "ingest", .produces = "stats"},
};

static void setup(void)
{
    const world_pipeline p = {.stages = dag, .stages_count = 7};
    world_open(&w, world_pipeline_new(&p));
    world_create(&w, "topic=1");
}

static void teardown(void)
{
    world_close(&w);
}

static void finish(ratoon_id run, ratoon_run_status expected)
{
    ck_assert_int_eq(world_finish(&w, run), RATOON_OK);
    ck_assert_int_eq(world_run(&w, run)->status, expected);
}

/* ingest, side, extract, review, match done; plan failed; publish never started. */
static void fail_at_plan(void)
{
    world_succeed(&w, w.root, "ingest", "sources=1");
    world_succeed(&w, w.root, "side", "stats=1");
    world_succeed(&w, w.root, "extract", "texts=1");
    world_succeed(&w, w.root, "review", "");
    world_succeed(&w, w.root, "match", "pairs=1");
    world_fail(&w, w.root, "plan", RATOON_CLASS_EXECUTION, "");
    finish(w.root, RATOON_RUN_FAILED);
}

static void succeed_all(void)
{
    fail_at_plan();
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_OK);
    world_succeed(&w, w.made, "plan", "pages=1");
    world_succeed(&w, w.made, "publish", "");
    finish(w.made, RATOON_RUN_SUCCEEDED);
}

static ratoon_retry_options options_of(ratoon_id parent, const char *from)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = parent;
    o.from = from;
    return o;
}

static const char *id_text(ratoon_id id)
{
    static char text[RATOON_ID_TEXT];
    ratoon_id_format(id, text);
    return text;
}

/* ---- the branch (R01, R02, R19, R27) ---- */

START_TEST(test_R01_branch_records_all_and_the_parent_its_child)
{
    fail_at_plan();
    const uint64_t parent_event = world_run(&w, w.root)->last_event;
    ratoon_retry_options o = options_of(w.root, "plan");
    o.reason = "try again";
    o.automatic = true;
    o.cause = "policy";
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_uint_eq(w.last.count, 2);
    ck_assert_int_eq(w.last.events[0].type, RATOON__EVENT_RUN_BRANCHED);
    ck_assert_int_eq(w.last.events[0].u.branched.from_stage, 4);
    ck_assert_int_eq(w.last.events[1].type, RATOON__EVENT_RUN_CREATED);
    const ratoon__run *r = world_run(&w, w.made);
    const ratoon__run_created *c = &r->fixed->created;
    ck_assert(ratoon_id_equal(c->parent, w.root));
    ck_assert(ratoon_id_equal(c->root, w.root));
    ck_assert_uint_eq(c->depth, 1);
    ck_assert_uint_eq(c->number, 2);
    ck_assert_uint_eq(c->parent_event, parent_event);
    ck_assert_int_eq(c->requested_stage, 4);
    ck_assert_int_eq(c->effective_stage, 4);
    ck_assert_str_eq(c->boundary, "before:plan");
    ck_assert_str_eq(c->reason, "try again");
    ck_assert_str_eq(c->actor, "tester");
    ck_assert_str_eq(c->cause, "policy");
    ck_assert(c->automatic);
    ck_assert_int_eq(r->status, RATOON_RUN_RUNNING);
    ck_assert_uint_eq(r->epoch, 1);
    ck_assert_uint_eq(world_run(&w, w.root)->children_count, 1);
    ck_assert(ratoon_id_equal(world_run(&w, w.root)->children[0], w.made));
}
END_TEST

START_TEST(test_R02_done_stages_are_reused_and_the_rest_is_pending)
{
    fail_at_plan();
    ck_assert_int_eq(world_retry_from(&w, w.root, "plan"), RATOON_OK);
    ck_assert_str_eq(world_plan_run(&w), "plan publish");
    ck_assert_str_eq(world_plan_reuse(&w), "ingest extract review match side");
    ck_assert_int_eq(world_stage_of(&w, w.made, "match")->status, RATOON_STAGE_REUSED);
    ck_assert_int_eq(world_stage_of(&w, w.made, "plan")->status, RATOON_STAGE_PENDING);
    ck_assert_int_eq(world_stage_of(&w, w.made, "publish")->status, RATOON_STAGE_PENDING);
    ck_assert_str_eq(world_input(&w, w.made, "plan", "pairs"), "1");
    ck_assert_int_eq(world_start(&w, w.made, "ingest"), RATOON_ERR_ILLEGAL_TRANSITION);
}
END_TEST

START_TEST(test_R02_finished_branches_of_the_graph_are_reused_and_undone_ones_never)
{
    world_succeed(&w, w.root, "ingest", "sources=1");
    world_succeed(&w, w.root, "extract", "texts=1");
    world_succeed(&w, w.root, "review", "");
    world_succeed(&w, w.root, "match", "pairs=1");
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK); /* side and plan are left */
    ck_assert_int_eq(world_rerun_from(&w, w.root, "match"), RATOON_OK);
    ck_assert_str_eq(world_plan_run(&w), "match plan publish side");
    ck_assert_str_eq(world_plan_reuse(&w), "ingest extract review");
    ck_assert_int_eq(world_stage_of(&w, w.made, "side")->status, RATOON_STAGE_PENDING);
}
END_TEST

START_TEST(test_R19_retry_of_a_retry_is_ordinary)
{
    fail_at_plan();
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_OK);
    const ratoon_id first = w.made;
    world_fail(&w, first, "plan", RATOON_CLASS_EXECUTION, "");
    finish(first, RATOON_RUN_FAILED);
    ck_assert_int_eq(world_retry_from(&w, first, NULL), RATOON_OK);
    const ratoon__run_created *c = &world_run(&w, w.made)->fixed->created;
    ck_assert_uint_eq(c->depth, 2);
    ck_assert_uint_eq(c->number, 3);
    ck_assert(ratoon_id_equal(c->root, w.root));
    ck_assert(ratoon_id_equal(world_stage_of(&w, w.made, "match")->reused_from, w.root));
}
END_TEST

START_TEST(test_R27_parent_stays_as_it_was)
{
    fail_at_plan();
    const uint64_t ended = world_run(&w, w.root)->ended_at;
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_OK);
    world_succeed(&w, w.made, "plan", "pages=1");
    const ratoon__run *parent = world_run(&w, w.root);
    ck_assert_int_eq(parent->status, RATOON_RUN_FAILED);
    ck_assert_uint_eq(parent->ended_at, ended);
    const ratoon__stage *s = world_stage_of(&w, w.root, "plan");
    ck_assert_int_eq(s->status, RATOON_STAGE_FAILED);
    ck_assert_str_eq(s->failure->f.message, "it broke");
}
END_TEST

/* ---- refusals (R03 - R06) ---- */

START_TEST(test_R03_unknown_parent_and_stage_refused)
{
    ck_assert_int_eq(world_retry_from(&w, world_new_id(&w), NULL), RATOON_ERR_NOT_FOUND);
    fail_at_plan();
    ck_assert_int_eq(world_retry_from(&w, w.root, "drafting"), RATOON_ERR_NO_SUCH_STAGE);
    ck_assert_ptr_nonnull(
        strstr(w.error.message, "ingest, extract, review, match, plan, publish, side"));
    ck_assert_int_eq(w.plan.requested, -1);
    ck_assert_int_eq(w.plan.effective, -1);
    ck_assert_uint_eq(w.l->runs_count, 1);
}
END_TEST

START_TEST(test_R04_active_parent_refused_naming_its_status)
{
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_ERR_RUN_ACTIVE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "running"));
    ck_assert_ptr_nonnull(strstr(w.error.message, id_text(w.root)));
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_ERR_RUN_ACTIVE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "cancelling"));
    finish(w.root, RATOON_RUN_CANCELLED);
    ratoon_retry_options o = options_of(w.root, NULL);
    o.no_exec = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_int_eq(world_retry_from(&w, w.made, NULL), RATOON_ERR_RUN_ACTIVE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "queued"));
}
END_TEST

START_TEST(test_R05_stage_that_never_started_refused_naming_the_first_that_can)
{
    fail_at_plan();
    ck_assert_int_eq(world_retry_from(&w, w.root, "publish"), RATOON_ERR_STAGE_NEVER_RAN);
    ck_assert_ptr_nonnull(strstr(w.error.message, "can be retried from is plan"));
    ck_assert_ptr_nonnull(strstr(w.error.hint, "--from plan"));
    ck_assert_str_eq(w.error.stage, "publish");
}
END_TEST

START_TEST(test_R05_never_started_stage_with_all_upstream_done_may_be_retried_from)
{
    world_succeed(&w, w.root, "ingest", "sources=1");
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    finish(w.root, RATOON_RUN_CANCELLED);
    ck_assert_int_eq(world_retry_from(&w, w.root, "side"), RATOON_OK);
    ck_assert_str_eq(world_plan_run(&w), "extract review match plan publish side");
}
END_TEST

START_TEST(test_R05_stage_that_started_after_a_forgiven_failure_may_be_retried_from)
{
    static const world_stage forgiving[] = {
        {.name = "fetch", .allow_failure = true},
        {.name = "build"},
    };
    world_close(&w);
    world_open(&w, world_pipeline_new(&(world_pipeline){.stages = forgiving, .stages_count = 2}));
    world_create(&w, "");
    world_fail(&w, w.root, "fetch", RATOON_CLASS_EXECUTION, "");
    world_fail(&w, w.root, "build", RATOON_CLASS_EXECUTION, "");
    finish(w.root, RATOON_RUN_FAILED);
    ck_assert_int_eq(world_retry_from(&w, w.root, "build"), RATOON_OK);
    /* What was not done is never reused. */
    ck_assert_str_eq(world_plan_run(&w), "fetch build");
    ck_assert_int_eq(world_start(&w, w.made, "build"), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_int_eq(world_cancel(&w, w.made), RATOON_OK);
    finish(w.made, RATOON_RUN_CANCELLED);
    /* Alone it starts as it did before. */
    ratoon_retry_options o = options_of(w.root, "build");
    o.only = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_plan_run(&w), "build");
    ck_assert_int_eq(world_start(&w, w.made, "build"), RATOON_OK);
}
END_TEST

START_TEST(test_R06_without_a_stage_the_first_not_done)
{
    fail_at_plan();
    ck_assert_int_eq(ratoon__retry_default_stage(world_run(&w, w.root)), 4);
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_OK);
    ck_assert_int_eq(w.plan.effective, 4);
}
END_TEST

START_TEST(test_R06_without_a_stage_the_first_degraded_one_else_succeeded)
{
    fail_at_plan();
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_OK);
    ck_assert_int_eq(world_start(&w, w.made, "plan"), RATOON_OK);
    ck_assert_int_eq(world_end(&w, w.made, "plan", RATOON_STAGE_DEGRADED, "pages=1"), RATOON_OK);
    world_succeed(&w, w.made, "publish", "");
    finish(w.made, RATOON_RUN_DEGRADED);
    const ratoon_id degraded = w.made;
    ck_assert_int_eq(world_retry_from(&w, degraded, NULL), RATOON_OK);
    ck_assert_int_eq(w.plan.effective, 4);
    world_succeed(&w, w.made, "plan", "pages=2");
    world_succeed(&w, w.made, "publish", "");
    finish(w.made, RATOON_RUN_SUCCEEDED);
    ck_assert_int_eq(ratoon__retry_default_stage(world_run(&w, w.made)), -1);
    ck_assert_int_eq(world_retry_from(&w, w.made, NULL), RATOON_ERR_STAGE_SUCCEEDED);
    ck_assert_ptr_nonnull(strstr(w.error.hint, "--rerun"));
}
END_TEST

START_TEST(test_R06_succeeded_stage_needs_rerun_in_a_run_of_whatever_outcome)
{
    fail_at_plan();
    ck_assert_int_eq(world_retry_from(&w, w.root, "match"), RATOON_ERR_STAGE_SUCCEEDED);
    ck_assert_ptr_nonnull(strstr(w.error.hint, "--from match --rerun"));
    ck_assert_int_eq(world_rerun_from(&w, w.root, "match"), RATOON_OK);
    ck_assert_str_eq(world_plan_run(&w), "match plan publish");
    /* Reused from one that had succeeded: the same. */
    world_fail(&w, w.made, "match", RATOON_CLASS_EXECUTION, "");
    const ratoon_id branch = w.made;
    finish(branch, RATOON_RUN_FAILED);
    ck_assert_int_eq(world_retry_from(&w, branch, "extract"), RATOON_ERR_STAGE_SUCCEEDED);
    ck_assert_int_eq(world_retry_from(&w, branch, "match"), RATOON_OK);
}
END_TEST

/* ---- R11 ---- */

START_TEST(test_R11_failed_validator_retries_what_it_validates_without_rerun)
{
    world_succeed(&w, w.root, "ingest", "sources=1");
    world_succeed(&w, w.root, "extract", "texts=1");
    world_fail(&w, w.root, "review", RATOON_CLASS_VALIDATION, "");
    finish(w.root, RATOON_RUN_FAILED);
    ck_assert_int_eq(world_retry_from(&w, w.root, "review"), RATOON_OK);
    ck_assert_int_eq(w.plan.requested, 2);
    ck_assert_int_eq(w.plan.effective, 1);
    ck_assert_str_eq(w.plan.boundary, "before:extract");
    ck_assert_int_eq(world_run(&w, w.made)->fixed->created.requested_stage, 2);
    ck_assert_int_eq(world_run(&w, w.made)->fixed->created.effective_stage, 1);
    ck_assert_int_eq(world_stage_of(&w, w.made, "extract")->status, RATOON_STAGE_PENDING);
}
END_TEST

START_TEST(test_R11_succeeded_validator_is_judged_as_the_requested_stage)
{
    fail_at_plan();
    ck_assert_int_eq(world_retry_from(&w, w.root, "review"), RATOON_ERR_STAGE_SUCCEEDED);
    ck_assert_int_eq(world_rerun_from(&w, w.root, "review"), RATOON_OK);
    ck_assert_int_eq(w.plan.effective, 1);
}
END_TEST

/* ---- only, setup (R25, E03) ---- */

START_TEST(test_R25_only_executes_the_stage_alone_and_shows_what_is_stale)
{
    succeed_all();
    const ratoon_id parent = w.made;
    ratoon_retry_options o = options_of(parent, "match");
    o.rerun = true;
    o.only = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_plan_run(&w), "match");
    ck_assert(w.plan.stale[4]);
    ck_assert(w.plan.stale[5]);
    ck_assert(!w.plan.stale[1]);
    ck_assert(!w.plan.stale[6]);
    const ratoon__stage *plan = world_stage_of(&w, w.made, "plan");
    ck_assert_int_eq(plan->status, RATOON_STAGE_REUSED);
    ck_assert(plan->stale);
    ck_assert(!world_stage_of(&w, w.made, "side")->stale);
    world_succeed(&w, w.made, "match", "pairs=2");
    finish(w.made, RATOON_RUN_SUCCEEDED); /* nothing is left */
    /* What is stale stays so until it is executed again. */
    ck_assert_int_eq(world_rerun_from(&w, w.made, "side"), RATOON_OK);
    ck_assert(w.plan.stale[4]);
    ck_assert(world_stage_of(&w, w.made, "plan")->stale);
}
END_TEST

START_TEST(test_R25_only_leaves_the_others_pending_and_ends_suspended)
{
    fail_at_plan();
    ratoon_retry_options o = options_of(w.root, "plan");
    o.only = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_plan_run(&w), "plan");
    ck_assert_str_eq(world_plan_reuse(&w), "ingest extract review match side");
    world_succeed(&w, w.made, "plan", "pages=1");
    finish(w.made, RATOON_RUN_SUSPENDED);
    ck_assert_str_eq(world_run(&w, w.made)->reason, "only plan");
    ck_assert_int_eq(world_stage_of(&w, w.made, "publish")->status, RATOON_STAGE_PENDING);
    ck_assert_int_eq(world_resume(&w, w.made, NULL), RATOON_OK);
    world_succeed(&w, w.made, "publish", "");
    finish(w.made, RATOON_RUN_SUCCEEDED);
}
END_TEST

START_TEST(test_E03_failed_setup_reruns_every_setup_stage)
{
    static const world_stage two[] = {
        {.name = "clone", .setup = true},
        {.name = "prepare", .setup = true, .needs = ""},
        {.name = "collect", .needs = "clone prepare"},
    };
    world_close(&w);
    world_open(&w, world_pipeline_new(&(world_pipeline){.stages = two, .stages_count = 3}));
    world_create(&w, "");
    world_succeed(&w, w.root, "clone", "");
    world_fail(&w, w.root, "prepare", RATOON_CLASS_EXECUTION, "");
    finish(w.root, RATOON_RUN_FAILED);
    ratoon_retry_options o = options_of(w.root, NULL);
    ck_assert_int_eq(world_preview(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_plan_run(&w), "prepare collect");
    o.setup_too = true;
    o.rerun = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_plan_run(&w), "clone prepare collect");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("plan_stages");
    TCase *t = tcase_create("stages");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_R01_branch_records_all_and_the_parent_its_child);
    tcase_add_test(t, test_R02_done_stages_are_reused_and_the_rest_is_pending);
    tcase_add_test(t, test_R02_finished_branches_of_the_graph_are_reused_and_undone_ones_never);
    tcase_add_test(t, test_R19_retry_of_a_retry_is_ordinary);
    tcase_add_test(t, test_R27_parent_stays_as_it_was);
    tcase_add_test(t, test_R03_unknown_parent_and_stage_refused);
    tcase_add_test(t, test_R04_active_parent_refused_naming_its_status);
    tcase_add_test(t, test_R05_stage_that_never_started_refused_naming_the_first_that_can);
    tcase_add_test(t, test_R05_never_started_stage_with_all_upstream_done_may_be_retried_from);
    tcase_add_test(t, test_R05_stage_that_started_after_a_forgiven_failure_may_be_retried_from);
    tcase_add_test(t, test_R06_without_a_stage_the_first_not_done);
    tcase_add_test(t, test_R06_without_a_stage_the_first_degraded_one_else_succeeded);
    tcase_add_test(t, test_R06_succeeded_stage_needs_rerun_in_a_run_of_whatever_outcome);
    tcase_add_test(t, test_R11_failed_validator_retries_what_it_validates_without_rerun);
    tcase_add_test(t, test_R11_succeeded_validator_is_judged_as_the_requested_stage);
    tcase_add_test(t, test_R25_only_executes_the_stage_alone_and_shows_what_is_stale);
    tcase_add_test(t, test_R25_only_leaves_the_others_pending_and_ends_suspended);
    tcase_add_test(t, test_E03_failed_setup_reruns_every_setup_stage);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
