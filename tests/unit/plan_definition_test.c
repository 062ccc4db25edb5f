/* A retry with another definition than the parent has. */
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

static ratoon_retry_options options_of(ratoon_id parent, const char *from)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = parent;
    o.from = from;
    return o;
}

static const world_stage renamed[] = {
    {.name = "ingest", .produces = "sources"},
    {.name = "extract", .produces = "texts"},
    {.name = "lint", .needs = "extract"},
    {.name = "match", .needs = "extract", .produces = "pairs"},
    {.name = "plan", .needs = "match", .produces = "pages"},
    {.name = "publish", .needs = "plan lint"},
};

START_TEST(test_R16_changed_definition_needs_acceptance)
{
    ratoon_pipeline *p =
        world_pipeline_new(&(world_pipeline){.stages = renamed, .stages_count = 6});
    fail_at_plan();
    ratoon_retry_options o = options_of(w.root, "plan");
    o.pipeline = p;
    w.facts.pipeline_differences = "stage lint: added";
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_PIPELINE_CHANGED);
    ck_assert_ptr_nonnull(strstr(w.error.message, "stage lint: added"));
    ck_assert_ptr_nonnull(strstr(w.error.hint, "--accept-changes"));
    o.accept_changes = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    /* A stage that the parent lacks is pending; the others are found by name. */
    ck_assert_str_eq(world_plan_run(&w), "lint plan publish");
    ck_assert_str_eq(world_plan_reuse(&w), "ingest extract match");
    ck_assert_int_eq(world_stage_of(&w, w.made, "lint")->status, RATOON_STAGE_PENDING);
    ck_assert_str_eq(world_input(&w, w.made, "plan", "pairs"), "1");
    ratoon__pipeline_unref(p);
}
END_TEST

START_TEST(test_R16_stage_of_the_rerun_set_that_is_lacking_refused)
{
    static const world_stage lacking[] = {
        {.name = "ingest"}, {.name = "extract"}, {.name = "match"}, {.name = "publish"}};
    ratoon_pipeline *p =
        world_pipeline_new(&(world_pipeline){.stages = lacking, .stages_count = 4});
    fail_at_plan();
    ratoon_retry_options o = options_of(w.root, NULL);
    o.pipeline = p;
    o.accept_changes = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_NO_SUCH_STAGE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "'plan'"));
    o.from = "plan";
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_NO_SUCH_STAGE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "ingest, extract, match, publish"));
    ratoon__pipeline_unref(p);
}
END_TEST

START_TEST(test_R16_same_definition_given_is_no_change)
{
    ratoon_pipeline *p = world_pipeline_new(&(world_pipeline){.stages = dag, .stages_count = 7});
    fail_at_plan();
    ratoon_retry_options o = options_of(w.root, NULL);
    o.pipeline = p;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ratoon__pipeline_unref(p);
}
END_TEST

START_TEST(test_R17_version_ahead_refused)
{
    ratoon_pipeline *older =
        world_pipeline_new(&(world_pipeline){.stages = renamed, .stages_count = 6, .version = 1});
    ratoon_pipeline *newer =
        world_pipeline_new(&(world_pipeline){.stages = renamed, .stages_count = 6, .version = 2});
    world_close(&w);
    world_open(&w, newer);
    world_create(&w, "");
    world_fail(&w, w.root, "ingest", RATOON_CLASS_EXECUTION, "");
    finish(w.root, RATOON_RUN_FAILED);
    ratoon_retry_options o = options_of(w.root, NULL);
    o.target = 3;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_VERSION_AHEAD);
    o.target = 0;
    o.pipeline = older;
    o.accept_changes = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_VERSION_AHEAD);
    ck_assert_ptr_nonnull(strstr(w.error.message, "version 2"));
    ratoon__pipeline_unref(older);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("plan_definition");
    TCase *t = tcase_create("definition");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_R16_changed_definition_needs_acceptance);
    tcase_add_test(t, test_R16_stage_of_the_rerun_set_that_is_lacking_refused);
    tcase_add_test(t, test_R16_same_definition_given_is_no_change);
    tcase_add_test(t, test_R17_version_ahead_refused);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
