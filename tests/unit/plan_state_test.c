/* The state a retry starts from: edits, partial outputs, required keys, changed files. */
#include "tests/support/support.h"
#include "tests/support/world.h"

#include <string.h>

static world w;

static const world_stage stages[] = {
    {.name = "fetch", .produces = "sources"},
    {.name = "extract", .requires_keys = "sources", .produces = "texts"},
    {.name = "draft", .requires_keys = "texts topic"},
    {.name = "publish", .requires_keys = "pages"},
};

static void open_with(const world_stage *list, size_t count, const char *state)
{
    world_open(&w, world_pipeline_new(&(world_pipeline){.stages = list, .stages_count = count}));
    world_create(&w, state);
}

static void setup(void)
{
    open_with(stages, 4, "topic=1");
}

static void teardown(void)
{
    world_close(&w);
}

static void end_run(ratoon_id run)
{
    ck_assert_int_eq(world_finish(&w, run), RATOON_OK);
}

/* draft has left pages=half behind. */
static void fail_at_draft(void)
{
    world_succeed(&w, w.root, "fetch", "sources=1");
    world_succeed(&w, w.root, "extract", "texts=1");
    world_fail(&w, w.root, "draft", RATOON_CLASS_EXECUTION, "pages=half note=x");
    end_run(w.root);
}

static ratoon_retry_options options_of(const char *from, const ratoon_value *edits, size_t count)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = w.root;
    o.from = from;
    o.edits = edits;
    o.edits_count = count;
    return o;
}

/* ---- edits (R24) ---- */

START_TEST(test_R24_edit_replaces_an_output_without_running_anything_before)
{
    const ratoon_value edit = {.key = "texts", .data = "mended", .size = 6};
    const ratoon_retry_options o = options_of("draft", &edit, 1);
    fail_at_draft();
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_input(&w, w.made, "draft", "texts"), "mended");
    ck_assert_int_eq(world_stage_of(&w, w.made, "extract")->status, RATOON_STAGE_REUSED);
    const ratoon__run_created *c = &world_run(&w, w.made)->fixed->created;
    const ratoon_digest old = world_digest("1");
    const ratoon_digest new = world_digest("mended");
    ck_assert_uint_eq(c->edits_count, 1);
    ck_assert(c->edits[0].had_old);
    ck_assert_mem_eq(&c->edits[0].old_digest, &old, sizeof old);
    ck_assert_mem_eq(&c->edits[0].value.digest, &new, sizeof new);
    ck_assert_str_eq(c->actor, "tester");
    /* The parent's state is what it was. */
    ck_assert_str_eq(world_input(&w, w.root, "draft", "texts"), "1");
}
END_TEST

START_TEST(test_R24_edit_of_a_new_key_and_of_initial_state)
{
    const ratoon_value edits[] = {{.key = "topic", .data = "2", .size = 1},
                                  {.key = "fresh", .data = "3", .size = 1}};
    const ratoon_retry_options o = options_of("draft", edits, 2);
    fail_at_draft();
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_input(&w, w.made, "draft", "topic"), "2");
    ck_assert_str_eq(world_input(&w, w.made, "draft", "fresh"), "3");
    ck_assert(w.plan.edits[0].had_old);
    ck_assert(!w.plan.edits[1].had_old);
}
END_TEST

START_TEST(test_R24_key_edited_twice_refused)
{
    const ratoon_value edits[] = {{.key = "topic", .data = "2", .size = 1},
                                  {.key = "topic", .data = "3", .size = 1}};
    const ratoon_retry_options o = options_of("draft", edits, 2);
    fail_at_draft();
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "'topic'"));
}
END_TEST

START_TEST(test_S06_edit_of_a_key_over_the_limit_refused)
{
    static char key[RATOON_NAME_MAX + 2];
    memset(key, 'k', sizeof key - 1);
    const ratoon_value edit = {.key = key, .data = "2", .size = 1};
    const ratoon_retry_options o = options_of("draft", &edit, 1);
    fail_at_draft();
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(w.error.message, "256"));
}
END_TEST

/* ---- partial outputs (S03) ---- */

START_TEST(test_S03_partial_outputs_are_left_out_unless_asked_for)
{
    fail_at_draft();
    ck_assert_int_eq(world_retry_from(&w, w.root, "draft"), RATOON_OK);
    ck_assert_ptr_null(world_input(&w, w.made, "draft", "pages"));
}
END_TEST

START_TEST(test_S03_partial_include_adds_them_as_edits_below_explicit_ones)
{
    const ratoon_value edit = {.key = "note", .data = "mine", .size = 4};
    ratoon_retry_options o = options_of("draft", &edit, 1);
    fail_at_draft();
    o.partial_include = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_input(&w, w.made, "draft", "pages"), "half");
    ck_assert_str_eq(world_input(&w, w.made, "draft", "note"), "mine");
    const ratoon__run_created *c = &world_run(&w, w.made)->fixed->created;
    ck_assert_uint_eq(c->edits_count, 2);
    ck_assert(c->edits[0].partial);
    ck_assert_str_eq(c->edits[0].value.key, "pages");
    ck_assert(!c->edits[1].partial);
}
END_TEST

START_TEST(test_S03_outputs_of_a_degraded_stage_count_after_it_and_can_be_given_to_it)
{
    world_succeed(&w, w.root, "fetch", "sources=1");
    world_succeed(&w, w.root, "extract", "texts=1");
    ck_assert_int_eq(world_start(&w, w.root, "draft"), RATOON_OK);
    ck_assert_int_eq(world_end(&w, w.root, "draft", RATOON_STAGE_DEGRADED, "pages=some"),
                     RATOON_OK);
    ck_assert_str_eq(world_input(&w, w.root, "publish", "pages"), "some");
    world_succeed(&w, w.root, "publish", "");
    end_run(w.root);
    ratoon_retry_options o = options_of("draft", NULL, 0);
    o.partial_include = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_str_eq(world_input(&w, w.made, "draft", "pages"), "some");
}
END_TEST

/* ---- required keys (S04, R18) ---- */

static const world_stage needy[] = {
    {.name = "fetch", .produces = "sources"},
    {.name = "review", .validates = "fetch"},
    {.name = "draft", .requires_keys = "config sources", .produces = "drafts"},
    {.name = "publish", .requires_keys = "theme config drafts", .foreach_key = "pages"},
};

START_TEST(test_S04_retry_lists_every_missing_key_of_every_stage)
{
    const ratoon_value edits[] = {{.key = "config", .data = "1", .size = 1},
                                  {.key = "theme", .data = "2", .size = 1},
                                  {.key = "pages", .data = "[]", .size = 2}};
    ratoon_retry_options o = options_of("fetch", NULL, 0);
    world_close(&w);
    open_with(needy, 4, "");
    world_fail(&w, w.root, "fetch", RATOON_CLASS_EXECUTION, "");
    end_run(w.root);
    o.parent = w.root;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_MISSING_KEYS);
    /* The validator between declares nothing, but it produces nothing either. */
    ck_assert_uint_eq(w.plan.missing_count, 3);
    ck_assert_str_eq(w.plan.missing[0].key, "config");
    ck_assert_str_eq(w.plan.missing[0].required_by, "draft");
    ck_assert_str_eq(w.plan.missing[1].key, "theme");
    ck_assert_str_eq(w.plan.missing[2].key, "pages");
    ck_assert_ptr_nonnull(strstr(w.error.message, "config"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "theme"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "pages"));
    ck_assert_ptr_nonnull(strstr(w.error.hint, "--edit config=JSON"));
    ck_assert_uint_eq(w.l->runs_count, 1);
    o.edits = edits;
    o.edits_count = 3;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
}
END_TEST

START_TEST(test_S04_stage_that_declares_nothing_may_provide_anything)
{
    static const world_stage open_ended[] = {
        {.name = "fetch"},
        {.name = "draft", .requires_keys = "sources"},
    };
    world_close(&w);
    open_with(open_ended, 2, "");
    world_fail(&w, w.root, "fetch", RATOON_CLASS_EXECUTION, "");
    end_run(w.root);
    ck_assert_int_eq(world_retry_from(&w, w.root, "fetch"), RATOON_OK);
    /* Then the check is left to its start. */
    world_succeed(&w, w.made, "fetch", "other=1");
    ck_assert_int_eq(world_start(&w, w.made, "draft"), RATOON_ERR_MISSING_KEYS);
    ck_assert_int_eq(world_recover(&w, w.made), RATOON_OK);
    ck_assert_int_eq(world_retry_from(&w, w.made, "draft"), RATOON_ERR_MISSING_KEYS);
    ck_assert_ptr_nonnull(strstr(w.error.message, "no stage declares"));
}
END_TEST

START_TEST(test_S04_what_a_stage_produced_in_the_parent_it_may_provide_again)
{
    static const world_stage loose[] = {
        {.name = "fetch", .produces = "sources"},
        {.name = "draft", .requires_keys = "extra"},
    };
    world_close(&w);
    open_with(loose, 2, "");
    world_succeed(&w, w.root, "fetch", "sources=1 extra=2");
    world_fail(&w, w.root, "draft", RATOON_CLASS_EXECUTION, "");
    end_run(w.root);
    ck_assert_int_eq(world_rerun_from(&w, w.root, "fetch"), RATOON_OK);
}
END_TEST

START_TEST(test_S04_only_ancestors_and_only_what_runs_count)
{
    static const world_stage fork[] = {
        {.name = "fetch", .needs = "", .produces = "sources"},
        {.name = "side", .needs = "", .produces = "stats"},
        {.name = "draft", .needs = "fetch", .requires_keys = "stats"},
    };
    ratoon_retry_options o = options_of("fetch", NULL, 0);
    world_close(&w);
    open_with(fork, 3, "");
    world_fail(&w, w.root, "fetch", RATOON_CLASS_EXECUTION, "");
    end_run(w.root);
    o.parent = w.root;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_MISSING_KEYS);
    ck_assert_str_eq(w.plan.missing[0].produced_by, "side");
    ck_assert_ptr_nonnull(strstr(w.error.message, "stats (produced by side)"));
    o.only = true; /* draft isn't executed then */
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
}
END_TEST

START_TEST(test_S04_later_overwriting_stage_is_on_the_far_side)
{
    static const world_stage overwriting[] = {
        {.name = "fetch", .produces = "text"},
        {.name = "check", .requires_keys = "text"},
        {.name = "polish", .produces = "text"},
    };
    world_close(&w);
    open_with(overwriting, 3, "");
    world_succeed(&w, w.root, "fetch", "text=raw");
    world_succeed(&w, w.root, "check", "");
    world_succeed(&w, w.root, "polish", "text=shiny");
    end_run(w.root);
    ck_assert_int_eq(world_rerun_from(&w, w.root, "check"), RATOON_OK);
    ck_assert_str_eq(world_input(&w, w.made, "check", "text"), "raw");
}
END_TEST

/* ---- files (S10) ---- */

START_TEST(test_S10_changed_files_are_refusals_unless_accepted)
{
    static const char *const changed[] = {"texts: a.txt is missing", "sources: b.txt has changed"};
    ratoon_retry_options o = options_of("draft", NULL, 0);
    fail_at_draft();
    w.facts.changed_files = changed;
    w.facts.changed_files_count = 2;
    ck_assert_int_eq(world_preview(&w, &o), RATOON_ERR_FILE_CHANGED);
    ck_assert_uint_eq(w.plan.refusals_count, 2);
    ck_assert_ptr_nonnull(strstr(w.plan.refusals[0].message, changed[0]));
    ck_assert_ptr_nonnull(strstr(w.plan.refusals[1].message, changed[1]));
    o.accept_changes = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
}
END_TEST

static ratoon_status state_of(const ratoon_retry_options *o, ratoon__state_view *view)
{
    ratoon__value_ref *edits = ratoon__arena_alloc(&w.arena, o->edits_count * sizeof *edits);
    for (size_t i = 0; i < o->edits_count; i++) {
        edits[i] = (ratoon__value_ref){.key = o->edits[i].key,
                                       .media_type = "application/json",
                                       .digest = world_digest(o->edits[i].data),
                                       .size = o->edits[i].size,
                                       .data = o->edits[i].data};
    }
    const ratoon__retry_request request = {
        .run = world_new_id(&w), .options = o, .edits = edits, .edits_count = o->edits_count};
    return ratoon__retry_state(w.l, &request, &w.facts, &w.arena, view);
}

START_TEST(test_S10_state_that_a_branch_starts_from)
{
    const ratoon_value edit = {.key = "topic", .data = "2", .size = 1};
    ratoon_retry_options o = options_of("extract", &edit, 1);
    ratoon__state_view view;
    fail_at_draft();
    o.rerun = true;
    ck_assert_int_eq(state_of(&o, &view), RATOON_OK);
    ck_assert_uint_eq(view.count, 2); /* sources and topic; texts are made again */
    ck_assert_mem_eq(ratoon__state_find(&view, "topic")->value->data, "2", 1);
    ck_assert_mem_eq(ratoon__state_find(&view, "sources")->value->data, "1", 1);
    ck_assert_ptr_null(ratoon__state_find(&view, "texts"));
    o.from = "nowhere";
    ck_assert_int_eq(state_of(&o, &view), RATOON_ERR_NO_SUCH_STAGE);
    o.parent = world_new_id(&w);
    ck_assert_int_eq(state_of(&o, &view), RATOON_ERR_NOT_FOUND);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("plan_state");
    TCase *t = tcase_create("state");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_R24_edit_replaces_an_output_without_running_anything_before);
    tcase_add_test(t, test_R24_edit_of_a_new_key_and_of_initial_state);
    tcase_add_test(t, test_R24_key_edited_twice_refused);
    tcase_add_test(t, test_S06_edit_of_a_key_over_the_limit_refused);
    tcase_add_test(t, test_S03_partial_outputs_are_left_out_unless_asked_for);
    tcase_add_test(t, test_S03_partial_include_adds_them_as_edits_below_explicit_ones);
    tcase_add_test(t, test_S03_outputs_of_a_degraded_stage_count_after_it_and_can_be_given_to_it);
    tcase_add_test(t, test_S04_retry_lists_every_missing_key_of_every_stage);
    tcase_add_test(t, test_S04_stage_that_declares_nothing_may_provide_anything);
    tcase_add_test(t, test_S04_what_a_stage_produced_in_the_parent_it_may_provide_again);
    tcase_add_test(t, test_S04_only_ancestors_and_only_what_runs_count);
    tcase_add_test(t, test_S04_later_overwriting_stage_is_on_the_far_side);
    tcase_add_test(t, test_S10_changed_files_are_refusals_unless_accepted);
    tcase_add_test(t, test_S10_state_that_a_branch_starts_from);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
