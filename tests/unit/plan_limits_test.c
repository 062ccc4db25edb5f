/* What limits a retry, all refusals at once, and the bytes that a plan's token stands for. */
#include "tests/support/support.h"
#include "tests/support/world.h"

#include <stdlib.h>
#include <string.h>

static world w;

static const world_stage stages[] = {
    {.name = "plan", .produces = "pages"},
    {.name = "draft", .requires_keys = "pages", .produces = "drafts"},
    {.name = "publish"},
};
static const world_param params[] = {
    {.name = "threshold", .default_text = "2", .min = 1, .max = 100},
    {.name = "batch_size", .default_text = "8", .min = 1, .max = 512, .power_of_two = true},
    {.name = "api_key", .type = RATOON__PARAM_STRING, .default_text = "x", .secret = true},
};

static void open_with(uint32_t max_depth, const char *scope)
{
    const world_pipeline p = {.stages = stages,
                              .stages_count = 3,
                              .params = params,
                              .params_count = 3,
                              .scope = scope,
                              .max_depth = max_depth};
    world_open(&w, world_pipeline_new(&p));
    world_create(&w, "topic=1");
}

static void fail_run(ratoon_id run)
{
    world_fail(&w, run, "plan", RATOON_CLASS_EXECUTION, "");
    ck_assert_int_eq(world_finish(&w, run), RATOON_OK);
}

static void setup(void)
{
    open_with(0, NULL);
}

static void teardown(void)
{
    world_close(&w);
}

static ratoon_retry_options options_of(ratoon_id parent)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = parent;
    return o;
}

/* Retries until one is refused; how many worked. */
static uint32_t depth_reached(void)
{
    uint32_t depth = 0;
    ratoon_id run = w.root;
    fail_run(run);
    while (world_retry_from(&w, run, NULL) == RATOON_OK) {
        depth++;
        run = w.made;
        ck_assert_uint_eq(world_run(&w, run)->fixed->created.depth, depth);
        fail_run(run);
    }
    ck_assert_int_eq(w.error.code, RATOON_ERR_DEPTH_LIMIT);
    return depth;
}

/* ---- R07 ---- */

START_TEST(test_R07_depth_limit_refuses)
{
    ck_assert_uint_eq(depth_reached(), RATOON_DEPTH_DEFAULT);
    /* The whole chain is in the message, from the root to the parent. */
    const char *at = w.error.message;
    for (uint32_t i = 0; i < w.l->runs_count; i++) {
        char text[RATOON_ID_TEXT];
        ratoon_id_format(w.l->runs[i]->fixed->id, text);
        at = strstr(at, text);
        ck_assert_ptr_nonnull(at);
    }
}
END_TEST

START_TEST(test_R07_lower_of_pipeline_and_store)
{
    w.facts.store_max_depth = 2;
    ck_assert_uint_eq(depth_reached(), 2);
    world_close(&w);
    open_with(3, NULL);
    ck_assert_uint_eq(depth_reached(), 3);
    world_close(&w);
    open_with(3, NULL);
    w.facts.store_max_depth = 2;
    ck_assert_uint_eq(depth_reached(), 2);
    world_close(&w);
    open_with(2, NULL);
    w.facts.store_max_depth = 5;
    ck_assert_uint_eq(depth_reached(), 2);
}
END_TEST

START_TEST(test_R07_at_most_64_and_the_chain_still_fits)
{
    world_close(&w);
    open_with(1000, NULL);
    w.facts.store_max_depth = 100;
    ck_assert_uint_eq(depth_reached(), RATOON_DEPTH_MAX);
    char last[RATOON_ID_TEXT];
    ratoon_id_format(w.l->runs[RATOON_DEPTH_MAX]->fixed->id, last);
    ck_assert_ptr_nonnull(strstr(w.error.message, last));
}
END_TEST

/* ---- R08, R10 ---- */

START_TEST(test_R08_second_branch_refused)
{
    fail_run(w.root);
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_OK);
    const ratoon_id first = w.made;
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_ERR_BRANCH_ACTIVE);
    char text[RATOON_ID_TEXT];
    ratoon_id_format(first, text);
    ck_assert_ptr_nonnull(strstr(w.error.message, text));
    ck_assert(ratoon_id_equal(w.error.other, first));
    ck_assert_uint_eq(w.l->runs_count, 2);
}
END_TEST

START_TEST(test_R08_queued_branch_waits_for_the_active_one)
{
    ratoon_retry_options o = options_of(w.root);
    fail_run(w.root);
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_OK);
    const ratoon_id first = w.made;
    o.queue = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert(ratoon_id_equal(w.plan.waits_for, first));
    const ratoon__run *r = world_run(&w, w.made);
    ck_assert_int_eq(r->status, RATOON_RUN_QUEUED);
    ck_assert_uint_eq(r->epoch, 0);
    ck_assert(r->fixed->created.queued_by_request);
    /* An active parent stays an active parent. */
    o.parent = first;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_RUN_ACTIVE);
    /* Who waits isn't overtaken. */
    fail_run(first);
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_ERR_BRANCH_ACTIVE);
}
END_TEST

START_TEST(test_R08_branch_without_execution_is_queued_and_counts)
{
    ratoon_retry_options o = options_of(w.root);
    fail_run(w.root);
    o.no_exec = true;
    o.queue = true; /* nobody to wait for */
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_int_eq(world_run(&w, w.made)->status, RATOON_RUN_QUEUED);
    ck_assert(!world_run(&w, w.made)->fixed->created.queued_by_request);
    ck_assert_int_eq(world_retry_from(&w, w.root, NULL), RATOON_ERR_BRANCH_ACTIVE);
    ck_assert_int_eq(world_resume(&w, w.made, NULL), RATOON_OK);
}
END_TEST

START_TEST(test_R10_held_scope_refused_naming_the_holder)
{
    world_close(&w);
    open_with(0, "wiki-${threshold}");
    fail_run(w.root);
    const ratoon_pair given[] = {{"threshold", "7"}};
    ratoon_retry_options o = options_of(w.root);
    const ratoon__retry_request request = {.options = &o};
    const char *scope = NULL;
    o.params = given;
    o.params_count = 1;
    ck_assert_int_eq(ratoon__retry_scope(world_run(&w, w.root), &request, &w.arena, &scope),
                     RATOON_OK);
    ck_assert_str_eq(scope, "wiki-7"); /* with the overrides */
    w.facts.claimed_scope = scope;
    w.facts.claimed_by = world_new_id(&w);
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_SCOPE_BUSY);
    ck_assert(ratoon_id_equal(w.error.other, w.facts.claimed_by));
    o.queue = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_SCOPE_BUSY);
    o.params_count = 0; /* another scope */
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_run(&w, w.made)->fixed->created.scope, "wiki-2");
}
END_TEST

/* ---- R12 ---- */

START_TEST(test_R12_changed_parameters_are_recorded_old_and_new)
{
    const ratoon_pair given[] = {{"threshold", "7"}, {"batch_size", "8"}, {"api_key", "sesame"}};
    const ratoon__param secrets[] = {{"api_key", "hmac-sha256:bb", true}};
    ratoon_retry_options o = options_of(w.root);
    ratoon__decision d = {.arena = &w.arena};
    ratoon__plan plan = {.arena = &w.arena};
    fail_run(w.root);
    o.params = given;
    o.params_count = 3;
    const ratoon__retry_request request = {
        .run = world_new_id(&w), .options = &o, .secrets = secrets, .secrets_count = 1};
    ck_assert_int_eq(ratoon__decide_retry(w.l, &request, &w.facts, &plan, &d, &w.error), RATOON_OK);
    ratoon__buf_free(&plan.canonical);
    ck_assert_uint_eq(plan.overrides_count, 2); /* the same value again is no change */
    ck_assert_str_eq(plan.overrides[0].name, "threshold");
    ck_assert_str_eq(plan.overrides[0].old_text, "2");
    ck_assert_str_eq(plan.overrides[0].new_text, "7");
    ck_assert_str_eq(plan.overrides[1].new_text, "hmac-sha256:bb");
    ck_assert(plan.overrides[1].secret);
    world_fold(&w, &d);
    const ratoon__run_created *c = &world_run(&w, request.run)->fixed->created;
    ck_assert_uint_eq(c->overrides_count, 2);
    ck_assert_uint_eq(c->params_count, 3);
    ck_assert_str_eq(c->params[0].text, "7");
    ck_assert_str_eq(c->params[1].text, "8");
    ck_assert_str_eq(c->params[2].text, "hmac-sha256:bb");
}
END_TEST

START_TEST(test_R12_bad_overrides_refused_before_anything_is_appended)
{
    const ratoon_pair given[] = {{"treshold", "7"}, {"batch_size", "12"}};
    ratoon_retry_options o = options_of(w.root);
    fail_run(w.root);
    o.params = given;
    o.params_count = 2;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_PARAM_INVALID);
    ck_assert_ptr_nonnull(strstr(w.error.message, "threshold, batch_size, api_key"));
    ck_assert_uint_eq(w.plan.refusals_count, 2); /* each of them */
    ck_assert_uint_eq(w.l->runs_count, 1);
}
END_TEST

START_TEST(test_R12_overrides_of_the_parent_are_inherited)
{
    const ratoon_pair given[] = {{"threshold", "7"}};
    ratoon_retry_options o = options_of(w.root);
    fail_run(w.root);
    o.params = given;
    o.params_count = 1;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    const ratoon_id first = w.made;
    fail_run(first);
    ck_assert_int_eq(world_retry_from(&w, first, NULL), RATOON_OK);
    const ratoon__run_created *c = &world_run(&w, w.made)->fixed->created;
    ck_assert_str_eq(c->params[0].text, "7");
    ck_assert_uint_eq(c->overrides_count, 0);
}
END_TEST

/* ---- R15 ---- */

START_TEST(test_R15_preview_tells_every_refusal_in_order_and_appends_nothing)
{
    static const char *const changed[] = {"pages: out is missing"};
    const ratoon_pair given[] = {{"threshold", "700"}};
    ratoon_retry_options o = options_of(w.root);
    world_close(&w);
    open_with(1, "wiki");
    fail_run(w.root);
    o.parent = w.root;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    const ratoon_id parent = w.made; /* depth 1 = the limit; active */
    o = options_of(parent);
    o.from = "publish";
    o.params = given;
    o.params_count = 1;
    o.target = 9;
    o.until = "nowhere";
    w.facts.changed_files = changed;
    w.facts.changed_files_count = 1;
    const uint64_t events = w.l->events;
    ck_assert_int_eq(world_preview(&w, &o), RATOON_ERR_NO_SUCH_STAGE);
    static const ratoon_status expected[] = {
        RATOON_ERR_NO_SUCH_STAGE, RATOON_ERR_RUN_ACTIVE,    RATOON_ERR_STAGE_NEVER_RAN,
        RATOON_ERR_PARAM_INVALID, RATOON_ERR_VERSION_AHEAD, RATOON_ERR_DEPTH_LIMIT,
        RATOON_ERR_FILE_CHANGED,
    };
    ck_assert_uint_eq(w.plan.refusals_count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < w.plan.refusals_count; i++) {
        ck_assert_int_eq(w.plan.refusals[i].code, expected[i]);
        ck_assert_str_ne(w.plan.refusals[i].message, "");
    }
    ck_assert_uint_eq(w.l->events, events);
    ck_assert_uint_eq(w.plan.depth, 2);
    ck_assert_uint_eq(w.plan.max_depth, 1);
}
END_TEST

START_TEST(test_R15_unknown_stage_does_not_hide_the_other_refusals)
{
    ratoon_retry_options o = options_of(w.root);
    o.from = "nowhere";
    o.target = 9;
    ck_assert_int_eq(world_preview(&w, &o), RATOON_ERR_NO_SUCH_STAGE);
    ck_assert_ptr_nonnull(world_refusal(&w, RATOON_ERR_RUN_ACTIVE));
    ck_assert_ptr_nonnull(world_refusal(&w, RATOON_ERR_VERSION_AHEAD));
    ck_assert_int_eq(w.plan.effective, -1);
    ck_assert_uint_eq(w.plan.run_count, 0);
}
END_TEST

/* The canonical bytes of what a request would do; free() them. */
static char *bytes_of(const ratoon_retry_options *o)
{
    (void)world_preview(&w, o);
    ck_assert(!w.plan.canonical.failed);
    ck_assert_uint_gt(w.plan.canonical.size, 0);
    char *copy = malloc(w.plan.canonical.size + 1);
    memcpy(copy, w.plan.canonical.data, w.plan.canonical.size + 1);
    return copy;
}

static bool same_plan(const ratoon_retry_options *a, const ratoon_retry_options *b)
{
    char *one = bytes_of(a);
    char *two = bytes_of(b);
    const bool same = strcmp(one, two) == 0;
    free(one);
    free(two);
    return same;
}

START_TEST(test_R15_same_request_gives_the_same_bytes_whoever_asks)
{
    ratoon_retry_options o = options_of(w.root);
    fail_run(w.root);
    char *before = bytes_of(&o);
    ratoon__decision d = {.arena = &w.arena};
    ck_assert_int_eq(ratoon__decide_annotate(w.l, w.root, "hm", &w.facts, &d, &w.error), RATOON_OK);
    world_fold(&w, &d); /* annotations don't matter */
    w.facts.actor = "somebody else";
    w.facts.executor.bytes[0] = 0xdd;
    o.reason = "because";
    char *after = bytes_of(&o);
    ck_assert_str_eq(before, after);
    free(after);
    /* Nor does whether it is previewed or done. */
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(before, w.plan.canonical.data);
    free(before);
}
END_TEST

START_TEST(test_R15_anything_else_to_be_done_gives_other_bytes)
{
    const ratoon_pair given[] = {{"threshold", "7"}};
    const ratoon_value edit = {.key = "topic", .data = "2", .size = 1};
    ratoon_retry_options base = options_of(w.root);
    world_succeed(&w, w.root, "plan", "pages=1");
    world_fail(&w, w.root, "draft", RATOON_CLASS_EXECUTION, "");
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ratoon_retry_options o = base;
    o.from = "draft";
    ck_assert(same_plan(&base, &o)); /* what R06 chooses, named */
    o.from = "plan";
    o.rerun = true;
    ck_assert(!same_plan(&base, &o));
    o = base;
    o.only = true;
    ck_assert(!same_plan(&base, &o));
    o = base;
    o.params = given;
    o.params_count = 1;
    ck_assert(!same_plan(&base, &o));
    o = base;
    o.edits = &edit;
    o.edits_count = 1;
    ck_assert(!same_plan(&base, &o));
    const ratoon_value same = {.key = "topic", .data = "1", .size = 1};
    o.edits = &same; /* an edit is recorded, whatever was there */
    ck_assert(!same_plan(&base, &o));
    o = base;
    o.no_exec = true;
    ck_assert(!same_plan(&base, &o));
    o = base;
    o.until = "draft";
    ck_assert(!same_plan(&base, &o));
    o = base;
    o.auto_retry = 2;
    ck_assert(!same_plan(&base, &o));
}
END_TEST

START_TEST(test_R15_other_stages_are_another_plan)
{
    static const world_stage setups[] = {{.name = "clone", .setup = true},
                                         {.name = "prepare", .setup = true, .needs = ""}};
    world_close(&w);
    world_open(&w, world_pipeline_new(&(world_pipeline){.stages = setups, .stages_count = 2}));
    world_create(&w, "");
    world_succeed(&w, w.root, "clone", "");
    world_fail(&w, w.root, "prepare", RATOON_CLASS_EXECUTION, "");
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    const ratoon_retry_options base = options_of(w.root);
    ratoon_retry_options o = base;
    o.setup_too = true;
    ck_assert(!same_plan(&base, &o));
}
END_TEST

START_TEST(test_R15_bytes_change_with_the_parent)
{
    ratoon_retry_options o = options_of(w.root);
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    char *before = bytes_of(&o);
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_OK);
    world_succeed(&w, w.root, "plan", "pages=1");
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    char *after = bytes_of(&o);
    ck_assert_str_ne(before, after);
    free(before);
    free(after);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("plan_limits");
    TCase *t = tcase_create("limits");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_R07_depth_limit_refuses);
    tcase_add_test(t, test_R07_lower_of_pipeline_and_store);
    tcase_add_test(t, test_R07_at_most_64_and_the_chain_still_fits);
    tcase_add_test(t, test_R08_second_branch_refused);
    tcase_add_test(t, test_R08_queued_branch_waits_for_the_active_one);
    tcase_add_test(t, test_R08_branch_without_execution_is_queued_and_counts);
    tcase_add_test(t, test_R10_held_scope_refused_naming_the_holder);
    tcase_add_test(t, test_R12_changed_parameters_are_recorded_old_and_new);
    tcase_add_test(t, test_R12_bad_overrides_refused_before_anything_is_appended);
    tcase_add_test(t, test_R12_overrides_of_the_parent_are_inherited);
    tcase_add_test(t, test_R15_preview_tells_every_refusal_in_order_and_appends_nothing);
    tcase_add_test(t, test_R15_unknown_stage_does_not_hide_the_other_refusals);
    tcase_add_test(t, test_R15_same_request_gives_the_same_bytes_whoever_asks);
    tcase_add_test(t, test_R15_anything_else_to_be_done_gives_other_bytes);
    tcase_add_test(t, test_R15_other_stages_are_another_plan);
    tcase_add_test(t, test_R15_bytes_change_with_the_parent);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
