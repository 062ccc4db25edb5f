/* What a failure suggests (A02), what can be done with a run (A03), and why a stage ran (R26). */
#include "tests/support/support.h"
#include "tests/support/world.h"

#include <string.h>

static world w;

static const world_stage stages[] = {
    {.name = "fetch", .produces = "sources"},
    {.name = "train", .halve_on_oom = "batch_size", .produces = "model"},
    {.name = "report", .requires_keys = "model"},
    {.name = "side", .needs = "fetch"},
};
static const world_param params[] = {
    {.name = "batch_size", .default_text = "8", .min = 1, .max = 512, .power_of_two = true},
    {.name = "mode", .type = RATOON__PARAM_STRING, .default_text = "fast"},
};

static void setup(void)
{
    const world_pipeline p = {
        .stages = stages, .stages_count = 4, .params = params, .params_count = 2, .max_depth = 4};
    world_open(&w, world_pipeline_new(&p));
    world_create(&w, "topic=1");
    world_succeed(&w, w.root, "fetch", "sources=1");
    world_succeed(&w, w.root, "side", "");
}

static void teardown(void)
{
    world_close(&w);
}

static void fail_train(ratoon_id run, ratoon_class error_class)
{
    world_fail(&w, run, "train", error_class, "");
    ck_assert_int_eq(world_finish(&w, run), RATOON_OK);
}

static const ratoon__failure *failure_of(ratoon_id run)
{
    return &world_stage_of(&w, run, "train")->failure->f;
}

/* ---- A02 ---- */

START_TEST(test_A02_out_of_memory_suggests_half_down_to_the_bound)
{
    static const char *const sizes[] = {"8", "4", "2", "1"};
    ratoon_id run = w.root;
    for (size_t i = 0; i + 1 < sizeof sizes / sizeof sizes[0]; i++) {
        fail_train(run, RATOON_CLASS_OOM);
        const ratoon__failure *f = failure_of(run);
        ck_assert(f->retryable);
        ck_assert_uint_eq(f->suggested_count, 1);
        ck_assert_str_eq(f->suggested[0].name, "batch_size");
        ck_assert_str_eq(f->suggested[0].old_text, sizes[i]);
        ck_assert_str_eq(f->suggested[0].new_text, sizes[i + 1]);
        const ratoon_pair smaller = {"batch_size", sizes[i + 1]};
        ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
        o.parent = run;
        o.params = &smaller;
        o.params_count = 1;
        ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
        run = w.made;
    }
    fail_train(run, RATOON_CLASS_OOM);
    ck_assert_uint_eq(failure_of(run)->suggested_count, 0);
    ck_assert(!failure_of(run)->retryable); /* the same again ends the same */
}
END_TEST

START_TEST(test_A02_whether_a_retry_can_help_by_class)
{
    static const struct {
        ratoon_class error_class;
        bool retryable;
    } expected[] = {
        {RATOON_CLASS_TRANSIENT, true},   {RATOON_CLASS_TIMEOUT, true},
        {RATOON_CLASS_INTERRUPTED, true}, {RATOON_CLASS_CANCELLED, true},
        {RATOON_CLASS_EXECUTION, true},   {RATOON_CLASS_UNKNOWN, true},
        {RATOON_CLASS_VALIDATION, false}, {RATOON_CLASS_DEPENDENCY, false},
        {RATOON_CLASS_OOM, false}, /* fetch has no adjuster */
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ratoon__failure f = {.error_class = expected[i].error_class};
        ck_assert_int_eq(ratoon__failure_complete(world_run(&w, w.root), 0, &f, &w.arena),
                         RATOON_OK);
        ck_assert_int_eq(f.retryable, expected[i].retryable);
        ck_assert_uint_eq(f.suggested_count, 0);
    }
}
END_TEST

START_TEST(test_R23_failed_stage_keeps_its_error_and_its_input)
{
    fail_train(w.root, RATOON_CLASS_EXECUTION);
    ck_assert_uint_eq(failure_of(w.root)->suggested_count, 0); /* that is for OOM */
    ck_assert_str_eq(failure_of(w.root)->message, "it broke");
    ck_assert_ptr_null(world_stage_of(&w, w.root, "train")->outputs);
    ck_assert_str_eq(world_input(&w, w.root, "train", "sources"), "1");
    ck_assert_str_eq(world_input(&w, w.root, "train", "topic"), "1");
}
END_TEST

/* ---- A03 ---- */

static ratoon__actions actions_of(ratoon_id run)
{
    ratoon__actions a;
    ck_assert_int_eq(ratoon__actions_of(w.l, world_run(&w, run), 0, &w.arena, &a), RATOON_OK);
    ck_assert_int_eq(a.retry, a.retry_why_not[0] == '\0');
    ck_assert_int_eq(a.cancel, a.cancel_why_not[0] == '\0');
    ck_assert_int_eq(a.resume, a.resume_why_not[0] == '\0');
    return a;
}

START_TEST(test_A03_running_run_can_be_cancelled_only)
{
    const ratoon__actions a = actions_of(w.root);
    ck_assert(!a.retry);
    ck_assert(a.cancel);
    ck_assert(!a.resume);
    ck_assert_ptr_nonnull(strstr(a.retry_why_not, "running"));
    ck_assert_ptr_nonnull(strstr(a.resume_why_not, "running"));
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert(!actions_of(w.root).cancel);
}
END_TEST

START_TEST(test_A03_failed_run_can_be_retried_with_what_is_suggested)
{
    fail_train(w.root, RATOON_CLASS_OOM);
    const ratoon__actions a = actions_of(w.root);
    ck_assert(a.retry);
    ck_assert(!a.cancel);
    ck_assert(!a.resume);
    ck_assert_int_eq(a.from_stage, 1);
    ck_assert_uint_eq(a.suggested_count, 1);
    ck_assert_str_eq(a.suggested[0].new_text, "4");
    ck_assert_ptr_nonnull(strstr(a.cancel_why_not, "failed"));
}
END_TEST

START_TEST(test_A03_suspended_run_can_do_everything)
{
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    const ratoon__actions a = actions_of(w.root);
    ck_assert(a.retry);
    ck_assert(a.cancel);
    ck_assert(a.resume);
}
END_TEST

START_TEST(test_A03_retry_is_not_available_at_the_depth_limit_or_beside_a_branch)
{
    ratoon__actions a;
    fail_train(w.root, RATOON_CLASS_EXECUTION);
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_OK);
    ck_assert(!actions_of(w.root).retry);
    fail_train(w.made, RATOON_CLASS_EXECUTION);
    ck_assert(actions_of(w.made).retry);
    ck_assert_int_eq(ratoon__actions_of(w.l, world_run(&w, w.made), 1, &w.arena, &a), RATOON_OK);
    ck_assert(!a.retry);
    ck_assert_ptr_nonnull(strstr(a.retry_why_not, "limit is 1"));
}
END_TEST

START_TEST(test_A03_succeeded_run_says_that_it_takes_a_rerun)
{
    world_succeed(&w, w.root, "train", "model=1");
    world_succeed(&w, w.root, "report", "");
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    const ratoon__actions a = actions_of(w.root);
    ck_assert(!a.retry && !a.cancel && !a.resume);
    ck_assert_ptr_nonnull(strstr(a.retry_why_not, "rerun"));
    ck_assert_int_eq(a.from_stage, -1);
}
END_TEST

/* ---- R26 ---- */

static ratoon__explanation explain(ratoon_id run, const char *stage)
{
    ratoon__explanation x;
    const ratoon__run *r = world_run(&w, run);
    const int32_t index = ratoon__pipeline_find(r->pipeline, stage);
    ck_assert_int_eq(ratoon__explain(w.l, r, (uint32_t)index, &w.arena, &x), RATOON_OK);
    return x;
}

static const ratoon__because *because(const ratoon__explanation *x, const char *kind)
{
    for (size_t i = 0; i < x->because_count; i++) {
        if (strcmp(x->because[i].kind, kind) == 0) {
            return &x->because[i];
        }
    }
    return NULL;
}

START_TEST(test_R26_root_ran_because_it_was_the_first)
{
    const ratoon__explanation x = explain(w.root, "fetch");
    ck_assert(x.ran);
    ck_assert_uint_eq(x.because_count, 1);
    ck_assert_ptr_nonnull(because(&x, "first_run"));
    ck_assert(ratoon_id_is_zero(x.parent));
    ck_assert(!explain(w.root, "report").ran);
}
END_TEST

START_TEST(test_R26_branch_says_which_change_made_a_stage_run)
{
    const ratoon_pair smaller = {"batch_size", "4"};
    const ratoon_value edits[] = {{.key = "topic", .data = "2", .size = 1}};
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    fail_train(w.root, RATOON_CLASS_OOM);
    o.parent = w.root;
    o.params = &smaller;
    o.params_count = 1;
    o.edits = edits;
    o.edits_count = 1;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    world_succeed(&w, w.made, "train", "model=1");
    world_succeed(&w, w.made, "report", "");

    const ratoon__explanation train = explain(w.made, "train");
    ck_assert(train.ran);
    ck_assert_str_eq(because(&train, "request")->new_text, "train");
    ck_assert_str_eq(because(&train, "parameter")->name, "batch_size");
    ck_assert_str_eq(because(&train, "parameter")->old_text, "8");
    ck_assert_str_eq(because(&train, "parameter")->new_text, "4");
    ck_assert_str_eq(because(&train, "edit")->name, "topic");
    ck_assert_uint_eq(strlen(because(&train, "edit")->new_text), 64);
    ck_assert_str_eq(because(&train, "not_done")->old_text, "failed");
    ck_assert_ptr_null(because(&train, "upstream"));
    ck_assert(ratoon_id_equal(train.parent, w.root));
    ck_assert_int_eq(train.parent_status, RATOON_STAGE_FAILED);

    const ratoon__explanation report = explain(w.made, "report");
    ck_assert_str_eq(because(&report, "upstream")->name, "train");
    ck_assert_ptr_null(because(&report, "request"));
    ck_assert_ptr_null(because(&report, "edit")); /* it requires something else */
    ck_assert_int_eq(report.parent_status, RATOON_STAGE_PENDING);

    const ratoon__explanation side = explain(w.made, "side");
    ck_assert(!side.ran);
    ck_assert_int_eq(side.parent_status, RATOON_STAGE_SUCCEEDED);
    ck_assert_str_eq(because(&side, "request")->name, "from_stage");
}
END_TEST

START_TEST(test_R26_items_and_pipeline_are_named)
{
    static const world_stage each[] = {
        {.name = "fetch", .produces = "sources"},
        {.name = "train", .foreach_key = "sources"},
    };
    ratoon_pipeline *changed =
        world_pipeline_new(&(world_pipeline){.stages = each, .stages_count = 2, .salt = "changed"});
    world_close(&w);
    world_open(&w, world_pipeline_new(&(world_pipeline){.stages = each, .stages_count = 2}));
    world_create(&w, "");
    world_succeed(&w, w.root, "fetch", "sources=1");
    ck_assert_int_eq(world_start(&w, w.root, "train"), RATOON_OK);
    world_items(&w, w.root, "train", 3, "a !b");
    fail_train(w.root, RATOON_CLASS_EXECUTION);
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = w.root;
    o.pipeline = changed;
    o.accept_changes = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    const ratoon__explanation x = explain(w.made, "train");
    ck_assert_str_eq(because(&x, "items")->name, "missing");
    ck_assert_str_ne(because(&x, "pipeline")->old_text, because(&x, "pipeline")->new_text);
    ratoon__pipeline_unref(changed);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("decide_failure");
    TCase *t = tcase_create("failure");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_A02_out_of_memory_suggests_half_down_to_the_bound);
    tcase_add_test(t, test_A02_whether_a_retry_can_help_by_class);
    tcase_add_test(t, test_R23_failed_stage_keeps_its_error_and_its_input);
    tcase_add_test(t, test_A03_running_run_can_be_cancelled_only);
    tcase_add_test(t, test_A03_failed_run_can_be_retried_with_what_is_suggested);
    tcase_add_test(t, test_A03_suspended_run_can_do_everything);
    tcase_add_test(t, test_A03_retry_is_not_available_at_the_depth_limit_or_beside_a_branch);
    tcase_add_test(t, test_A03_succeeded_run_says_that_it_takes_a_rerun);
    tcase_add_test(t, test_R26_root_ran_because_it_was_the_first);
    tcase_add_test(t, test_R26_branch_says_which_change_made_a_stage_run);
    tcase_add_test(t, test_R26_items_and_pipeline_are_named);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
