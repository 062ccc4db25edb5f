/* Items and committed things in a retry: what is kept, executed, reset and dropped. */
#include "tests/support/support.h"
#include "tests/support/world.h"

#include <string.h>

static world w;

/* The document compiler: fetch and extract per source, draft per page, commit per page. */
static const world_stage stages[] = {
    {.name = "fetch", .produces = "sources"},
    {.name = "extract", .foreach_key = "sources", .produces = "texts"},
    {.name = "plan", .produces = "pages"},
    {.name = "draft", .foreach_key = "pages", .produces = "drafts"},
    {.name = "commit", .foreach_key = "pages", .commits = true, .produces = "done"},
    {.name = "schema", .commits = true, .produces = "schema"},
};

static void setup(void)
{
    world_open(&w, world_pipeline_new(&(world_pipeline){.stages = stages, .stages_count = 6}));
    world_create(&w, "topic=1");
}

static void teardown(void)
{
    world_close(&w);
}

static ratoon_retry_options options_of(const char *from)
{
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    o.parent = w.root;
    o.from = from;
    return o;
}

static void end_root(void)
{
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
}

static void succeed_items(ratoon_id run, const char *stage, uint64_t total, const char *items,
                          const char *outputs)
{
    ck_assert_int_eq(world_start(&w, run, stage), RATOON_OK);
    world_items(&w, run, stage, total, items);
    ck_assert_int_eq(world_end(&w, run, stage, RATOON_STAGE_SUCCEEDED, outputs), RATOON_OK);
}

/* extract: 3 of 6 done, 1 failed, 2 missing. */
static void fail_at_extract(void)
{
    world_succeed(&w, w.root, "fetch", "sources=1");
    ck_assert_int_eq(world_start(&w, w.root, "extract"), RATOON_OK);
    world_items(&w, w.root, "extract", 6, "a b c !d");
    world_fail(&w, w.root, "extract", RATOON_CLASS_EXECUTION, "");
    end_root();
}

/* All done but commit, which failed at page q: p is committed, r is missing. */
static void fail_at_commit(void)
{
    world_succeed(&w, w.root, "fetch", "sources=1");
    succeed_items(w.root, "extract", 2, "a b", "texts=1");
    world_succeed(&w, w.root, "plan", "pages=1");
    succeed_items(w.root, "draft", 3, "p q r", "drafts=1");
    ck_assert_int_eq(world_start(&w, w.root, "commit"), RATOON_OK);
    world_items(&w, w.root, "commit", 3, "p !q");
    world_fail(&w, w.root, "commit", RATOON_CLASS_EXECUTION, "");
    end_root();
}

static void check_counts(const char *stage, uint64_t keep, uint64_t run, uint64_t reset,
                         uint64_t drop)
{
    const ratoon__plan_items *n = world_plan_items(&w, stage);
    ck_assert_ptr_nonnull(n);
    ck_assert(n->known);
    ck_assert_uint_eq(n->keep, keep);
    ck_assert_uint_eq(n->run, run);
    ck_assert_uint_eq(n->reset, reset);
    ck_assert_uint_eq(n->drop, drop);
}

static bool wanted(const char *stage, const char *key)
{
    return ratoon__stage_item_wanted(world_stage_of(&w, w.made, stage), key);
}

static bool recorded(const char *stage, const char *key)
{
    const ratoon__item *item = ratoon__items_get(world_stage_of(&w, w.made, stage)->items, key);
    return item != NULL && !item->failed;
}

/* ---- the stage it starts from (R13) ---- */

START_TEST(test_R13_default_keeps_done_items_and_runs_missing_and_failed)
{
    fail_at_extract();
    ck_assert_int_eq(world_retry_from(&w, w.root, "extract"), RATOON_OK);
    check_counts("extract", 3, 3, 0, 0);
    ck_assert(recorded("extract", "a"));
    ck_assert(!wanted("extract", "a"));
    ck_assert(wanted("extract", "d"));
    ck_assert(wanted("extract", "e"));
    ck_assert_uint_eq(world_stage_of(&w, w.made, "extract")->items_total, 6);
}
END_TEST

START_TEST(test_R13_items_failed_runs_only_failed_ones)
{
    ratoon_retry_options o = options_of("extract");
    fail_at_extract();
    o.parent = w.root;
    o.items_mode = RATOON_ITEMS_FAILED;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    check_counts("extract", 3, 1, 0, 0);
    ck_assert(wanted("extract", "d"));
    ck_assert(!wanted("extract", "e"));
}
END_TEST

START_TEST(test_R13_items_all_runs_every_one)
{
    ratoon_retry_options o = options_of("extract");
    fail_at_extract();
    o.items_mode = RATOON_ITEMS_ALL;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    check_counts("extract", 0, 6, 3, 0);
    ck_assert(wanted("extract", "a"));
}
END_TEST

START_TEST(test_R13_listed_items_are_exactly_these)
{
    static const char *const keys[] = {"d", "b", "d"};
    static const char *const other[] = {"b"};
    ratoon_retry_options o = options_of("extract");
    fail_at_extract();
    o.items_mode = RATOON_ITEMS_LISTED;
    o.items = keys;
    o.items_count = 3;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    check_counts("extract", 2, 2, 1, 0);
    ck_assert(wanted("extract", "b"));
    ck_assert(wanted("extract", "d"));
    ck_assert(!wanted("extract", "a"));
    ck_assert(!wanted("extract", "e"));
    ck_assert_int_eq(world_recover(&w, w.made), RATOON_OK);
    /* A failed one that isn't listed stays failed, and so does the stage. */
    o.items = other;
    o.items_count = 1;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_uint_eq(world_stage_of(&w, w.made, "extract")->items_failed, 1);
    ck_assert_int_eq(world_start(&w, w.made, "extract"), RATOON_OK);
    world_items(&w, w.made, "extract", 6, "b");
    ck_assert_int_eq(world_end(&w, w.made, "extract", RATOON_STAGE_SUCCEEDED, "texts=1"),
                     RATOON_OK);
    ck_assert_int_eq(world_stage_of(&w, w.made, "extract")->status, RATOON_STAGE_FAILED);
}
END_TEST

START_TEST(test_R15_other_listed_items_are_another_plan)
{
    static const char *const one[] = {"a"};
    static const char *const two[] = {"b"};
    ratoon_retry_options o = options_of("extract");
    fail_at_extract();
    o.items_mode = RATOON_ITEMS_LISTED;
    o.items = one;
    o.items_count = 1;
    ck_assert_int_eq(world_preview(&w, &o), RATOON_OK);
    const char *first = ratoon__arena_strdup(&w.arena, w.plan.canonical.data);
    o.items = two;
    ck_assert_int_eq(world_preview(&w, &o), RATOON_OK);
    ck_assert_str_ne(first, w.plan.canonical.data);
}
END_TEST

START_TEST(test_R13_unknown_item_refused_listing_those_there_are)
{
    static const char *const keys[] = {"x"};
    ratoon_retry_options o = options_of("draft");
    fail_at_commit();
    o.rerun = true;
    o.items_mode = RATOON_ITEMS_LISTED;
    o.items = keys;
    o.items_count = 1;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "'x'"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "p, q, r"));
    /* Where some were never reached, it may be one of those. */
    o.from = "commit";
    ck_assert_int_eq(world_preview(&w, &o), RATOON_OK);
}
END_TEST

START_TEST(test_R13_items_of_a_stage_without_items_refused)
{
    static const char *const keys[] = {"a"};
    ratoon_retry_options o = options_of("plan");
    fail_at_commit();
    o.rerun = true;
    o.items_mode = RATOON_ITEMS_ALL;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "plan has no items"));
    o.items_mode = RATOON_ITEMS_LISTED;
    o.from = "draft";
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_USAGE); /* none is named */
    o.items_mode = RATOON_ITEMS_MISSING;
    o.items = keys;
    o.items_count = 1;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_USAGE);
}
END_TEST

START_TEST(test_S06_listed_item_key_over_the_limit_refused)
{
    static char key[RATOON_ITEM_KEY_MAX + 2];
    memset(key, 'k', sizeof key - 1);
    const char *const keys[] = {key};
    ratoon_retry_options o = options_of("extract");
    fail_at_extract();
    o.items_mode = RATOON_ITEMS_LISTED;
    o.items = keys;
    o.items_count = 1;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_ERR_LIMIT_EXCEEDED);
}
END_TEST

START_TEST(test_R13_rerun_of_a_done_stage_keeps_its_items_unless_all_are_asked_for)
{
    ratoon_retry_options o = options_of("draft");
    fail_at_commit();
    o.rerun = true;
    ck_assert_int_eq(world_preview(&w, &o), RATOON_OK);
    check_counts("draft", 3, 0, 0, 0);
}
END_TEST

/* ---- the other stages ---- */

START_TEST(test_R13_items_of_stages_downstream_are_reset)
{
    world_succeed(&w, w.root, "fetch", "sources=1");
    succeed_items(w.root, "extract", 2, "a b", "texts=1");
    world_succeed(&w, w.root, "plan", "pages=1");
    succeed_items(w.root, "draft", 3, "p q r", "drafts=1");
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_rerun_from(&w, w.root, "extract"), RATOON_OK);
    ck_assert(!recorded("draft", "p"));
    ck_assert(wanted("draft", "p"));
    /* Its list is made by plan, which runs before it: nobody knows how many there will be. */
    const ratoon__plan_items *n = world_plan_items(&w, "draft");
    ck_assert(!n->known);
    ck_assert_uint_eq(n->keep, 0);
}
END_TEST

START_TEST(test_R13_stage_not_done_keeps_its_items_if_nothing_upstream_runs_again)
{
    static const world_stage fork[] = {
        {.name = "fetch", .produces = "sources"},
        {.name = "left", .needs = "fetch", .foreach_key = "sources"},
        {.name = "right", .needs = "fetch"},
    };
    world_close(&w);
    world_open(&w, world_pipeline_new(&(world_pipeline){.stages = fork, .stages_count = 3}));
    world_create(&w, "");
    world_succeed(&w, w.root, "fetch", "sources=1");
    ck_assert_int_eq(world_start(&w, w.root, "left"), RATOON_OK);
    world_items(&w, w.root, "left", 3, "a !b");
    world_fail(&w, w.root, "right", RATOON_CLASS_EXECUTION, "");
    world_fail(&w, w.root, "left", RATOON_CLASS_EXECUTION, "");
    end_root();
    ck_assert_int_eq(world_retry_from(&w, w.root, "right"), RATOON_OK);
    check_counts("left", 1, 2, 0, 0);
    ck_assert(recorded("left", "a"));
    ck_assert_int_eq(world_cancel(&w, w.made), RATOON_OK);
    ck_assert_int_eq(world_finish(&w, w.made), RATOON_OK);
    ck_assert_int_eq(world_rerun_from(&w, w.root, "fetch"), RATOON_OK);
    ck_assert(!recorded("left", "a"));
}
END_TEST

/* ---- committed (R14) ---- */

START_TEST(test_R14_committed_items_are_kept_whatever_runs_again)
{
    fail_at_commit();
    ck_assert_int_eq(world_rerun_from(&w, w.root, "plan"), RATOON_OK);
    ck_assert(recorded("commit", "p"));
    ck_assert(!wanted("commit", "p"));
    ck_assert(wanted("commit", "q"));
    ck_assert_uint_eq(world_plan_items(&w, "commit")->keep, 1);
    ck_assert_uint_eq(world_plan_items(&w, "commit")->drop, 0);
    ck_assert_uint_eq(w.plan.committed_dropped, 0);
}
END_TEST

START_TEST(test_R14_committing_an_item_protects_it_upstream)
{
    fail_at_commit();
    ck_assert_int_eq(world_rerun_from(&w, w.root, "plan"), RATOON_OK);
    ck_assert(recorded("draft", "p"));
    ck_assert(!wanted("draft", "p"));
    ck_assert(wanted("draft", "q"));
    ck_assert(wanted("draft", "r"));
}
END_TEST

START_TEST(test_R14_items_all_and_listed_ones_spare_what_is_committed)
{
    static const char *const keys[] = {"p", "q"};
    ratoon_retry_options o = options_of("draft");
    fail_at_commit();
    o.rerun = true;
    o.items_mode = RATOON_ITEMS_ALL;
    ck_assert_int_eq(world_preview(&w, &o), RATOON_OK);
    check_counts("draft", 1, 2, 2, 0);
    check_counts("commit", 1, 2, 0, 0);
    o.items_mode = RATOON_ITEMS_LISTED;
    o.items = keys;
    o.items_count = 2;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    check_counts("draft", 2, 1, 1, 0);
    ck_assert(!wanted("draft", "p"));
    ck_assert(wanted("draft", "q"));
}
END_TEST

START_TEST(test_R14_destructive_lifts_it_and_the_preview_counts)
{
    ratoon_retry_options o = options_of("plan");
    fail_at_commit();
    o.rerun = true;
    o.destructive = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert(!recorded("commit", "p"));
    ck_assert(!recorded("draft", "p"));
    ck_assert_uint_eq(world_plan_items(&w, "commit")->drop, 1);
    ck_assert_uint_eq(w.plan.committed_dropped, 1);
    ck_assert(world_run(&w, w.made)->fixed->created.destructive);
}
END_TEST

static void succeed_everything(void)
{
    world_succeed(&w, w.root, "fetch", "sources=1");
    succeed_items(w.root, "extract", 2, "a b", "texts=1");
    world_succeed(&w, w.root, "plan", "pages=1");
    succeed_items(w.root, "draft", 2, "p q", "drafts=1");
    succeed_items(w.root, "commit", 2, "p q", "done=1");
    world_succeed(&w, w.root, "schema", "schema=old");
    end_root();
}

START_TEST(test_R14_committing_stage_without_items_keeps_its_output_until_overwritten)
{
    succeed_everything();
    ck_assert_int_eq(world_rerun_from(&w, w.root, "schema"), RATOON_OK);
    ratoon__state_view view;
    const ratoon__boundary end = {.kind = RATOON__AT_END};
    ck_assert_int_eq(world_stage_of(&w, w.made, "schema")->status, RATOON_STAGE_PENDING);
    ck_assert_int_eq(ratoon__state_at(world_run(&w, w.made), &end, &w.arena, &view), RATOON_OK);
    const ratoon__state_entry *entry = ratoon__state_find(&view, "schema");
    ck_assert_ptr_nonnull(entry);
    ck_assert_int_eq(memcmp(entry->value->data, "old", 3), 0);
    world_succeed(&w, w.made, "schema", "schema=new");
    ck_assert_int_eq(ratoon__state_at(world_run(&w, w.made), &end, &w.arena, &view), RATOON_OK);
    ck_assert_int_eq(memcmp(ratoon__state_find(&view, "schema")->value->data, "new", 3), 0);
}
END_TEST

START_TEST(test_R14_destructive_drops_the_output_and_says_so)
{
    ratoon_retry_options o = options_of("plan");
    succeed_everything();
    o.rerun = true;
    o.destructive = true;
    ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
    ck_assert_uint_eq(w.plan.committed_dropped, 3); /* two pages and the schema */
    ck_assert_ptr_null(world_stage_of(&w, w.made, "schema")->outputs);
    ck_assert_uint_eq(world_plan_items(&w, "schema")->drop, 1);
}
END_TEST

START_TEST(test_R14_committed_items_survive_a_retry_of_a_retry)
{
    fail_at_commit();
    ck_assert_int_eq(world_rerun_from(&w, w.root, "plan"), RATOON_OK);
    const ratoon_id first = w.made;
    ck_assert_int_eq(world_recover(&w, first), RATOON_OK);
    ck_assert_int_eq(world_rerun_from(&w, first, "extract"), RATOON_OK);
    ck_assert(recorded("commit", "p"));
    ck_assert(recorded("draft", "p"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("plan_items");
    TCase *t = tcase_create("items");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_R13_default_keeps_done_items_and_runs_missing_and_failed);
    tcase_add_test(t, test_R13_items_failed_runs_only_failed_ones);
    tcase_add_test(t, test_R13_items_all_runs_every_one);
    tcase_add_test(t, test_R13_listed_items_are_exactly_these);
    tcase_add_test(t, test_R15_other_listed_items_are_another_plan);
    tcase_add_test(t, test_R13_unknown_item_refused_listing_those_there_are);
    tcase_add_test(t, test_R13_items_of_a_stage_without_items_refused);
    tcase_add_test(t, test_S06_listed_item_key_over_the_limit_refused);
    tcase_add_test(t, test_R13_rerun_of_a_done_stage_keeps_its_items_unless_all_are_asked_for);
    tcase_add_test(t, test_R13_items_of_stages_downstream_are_reset);
    tcase_add_test(t, test_R13_stage_not_done_keeps_its_items_if_nothing_upstream_runs_again);
    tcase_add_test(t, test_R14_committed_items_are_kept_whatever_runs_again);
    tcase_add_test(t, test_R14_committing_an_item_protects_it_upstream);
    tcase_add_test(t, test_R14_items_all_and_listed_ones_spare_what_is_committed);
    tcase_add_test(t, test_R14_destructive_lifts_it_and_the_preview_counts);
    tcase_add_test(t, test_R14_committing_stage_without_items_keeps_its_output_until_overwritten);
    tcase_add_test(t, test_R14_destructive_drops_the_output_and_says_so);
    tcase_add_test(t, test_R14_committed_items_survive_a_retry_of_a_retry);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
