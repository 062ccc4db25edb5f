/* Who may start or resume when: turns, scopes, changed definitions and files. */
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

static Suite *suite(void)
{
    Suite *s = suite_create("decide_start");
    TCase *t = tcase_create("start");
    tcase_add_checked_fixture(t, setup, teardown);
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
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
