#include "tests/support/lineage.h"
#include "tests/support/support.h"

#include <string.h>

static support_lineage s;
static ratoon_pipeline *p;

static void begin(const char *line)
{
    p = support_pipeline(line);
    support_lineage_init(&s, p, NULL, 0);
}

static void end(void)
{
    support_lineage_free(&s);
    ratoon_pipeline_free(p);
}

static void fail_stage(uint32_t run, const char *stage)
{
    support_start(&s, run, stage);
    support_end(&s, run, stage, RATOON_STAGE_FAILED, NULL);
}

/* ---- runs ---- */

START_TEST(test_L12_runs_are_numbered_from_one)
{
    begin("a");
    fail_stage(1, "a");
    support_finish(&s, 1, RATOON_RUN_FAILED);
    ck_assert_uint_eq(support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "a"}), 2);
    ck_assert_uint_eq(support_run(&s, 2)->fixed->created.number, 2);
    ck_assert_ptr_eq(ratoon__lineage_run(s.l, support_id(2)), support_run(&s, 2));
    ck_assert_ptr_null(ratoon__lineage_run(s.l, support_id(99)));
    end();
}
END_TEST

START_TEST(test_S01_created_is_kept_whole)
{
    p = support_pipeline("a");
    const ratoon__value_ref state[] = {support_value("k", "a long value that stays as it is")};
    support_lineage_init(&s, p, state, 1);
    const ratoon__run_created *c = &support_run(&s, 1)->fixed->created;
    ck_assert_uint_eq(c->state.count, 1);
    ck_assert_ptr_ne(c->state.items[0].data, state[0].data);
    ck_assert_mem_eq(c->state.items[0].data, state[0].data, state[0].size);
    ck_assert_str_eq(c->pipeline_name, "test");
    ck_assert_ptr_eq(c->pipeline, p);
    ck_assert_uint_eq(support_run(&s, 1)->fixed->created_event, 1);
    ck_assert_uint_eq(support_run(&s, 1)->fixed->created_at, s.time_us);
    ck_assert_uint_eq(support_run(&s, 1)->epoch, 1);
    end();
}
END_TEST

START_TEST(test_L08_suspension_and_a_new_epoch)
{
    begin("a");
    const uint64_t started = support_run(&s, 1)->started_at;
    ratoon__event e = support_event(&s, RATOON__EVENT_RUN_SUSPENDED, 1);
    e.u.suspended.error_class = RATOON_CLASS_INTERRUPTED;
    e.u.suspended.reason = "executor gone";
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    const ratoon__run *r = support_run(&s, 1);
    ck_assert_int_eq(r->status, RATOON_RUN_SUSPENDED);
    ck_assert_int_eq(r->error_class, RATOON_CLASS_INTERRUPTED);
    ck_assert_str_eq(r->reason, "executor gone");
    ck_assert_uint_eq(r->ended_at, s.time_us);
    e = support_event(&s, RATOON__EVENT_RUN_STARTED, 1);
    e.u.started.epoch = 2;
    e.u.started.executor = support_id(77);
    e.u.started.until = -1;
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    r = support_run(&s, 1);
    ck_assert_int_eq(r->status, RATOON_RUN_RUNNING);
    ck_assert_uint_eq(r->epoch, 2);
    ck_assert(ratoon_id_equal(r->executor, support_id(77)));
    ck_assert_uint_eq(r->started_at, started);
    ck_assert_uint_eq(r->ended_at, 0);
    ck_assert_ptr_null(r->reason);
    end();
}
END_TEST

START_TEST(test_E05_cancelled_run_cancels_what_is_left)
{
    begin("a; b: a; c: b");
    support_succeed(&s, 1, "a", NULL);
    support_start(&s, 1, "b");
    ratoon__event e = support_event(&s, RATOON__EVENT_RUN_CANCEL_REQUESTED, 1);
    e.u.cancel_requested.reason = "not needed";
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    ck_assert_int_eq(support_run(&s, 1)->status, RATOON_RUN_CANCELLING);
    support_finish(&s, 1, RATOON_RUN_CANCELLED);
    ck_assert_int_eq(support_run(&s, 1)->status, RATOON_RUN_CANCELLED);
    ck_assert_str_eq(support_run(&s, 1)->reason, "not needed");
    ck_assert_int_eq(support_stage_of(&s, 1, "a")->status, RATOON_STAGE_SUCCEEDED);
    ck_assert_int_eq(support_stage_of(&s, 1, "b")->status, RATOON_STAGE_CANCELLED);
    ck_assert_uint_eq(support_stage_of(&s, 1, "b")->ended_at, s.time_us);
    ck_assert_int_eq(support_stage_of(&s, 1, "c")->status, RATOON_STAGE_CANCELLED);
    end();
}
END_TEST

START_TEST(test_L07_external_reference_is_replaced)
{
    begin("a");
    ratoon__event e = support_event(&s, RATOON__EVENT_RUN_EXTERNAL_REF, 1);
    e.u.external_ref.ref = "job-1";
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    e.u.external_ref.ref = "job-2";
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    ck_assert_str_eq(support_run(&s, 1)->external_ref, "job-2");
    end();
}
END_TEST

/* ---- stages ---- */

START_TEST(test_A04_returned_stage_waits_and_keeps_its_failure)
{
    begin("a");
    support_start(&s, 1, "a");
    ratoon__event e = support_stage_event(&s, RATOON__EVENT_STAGE_RETURNED, 1, "a");
    e.u.stage_returned.failure = (ratoon__failure){
        .error_class = RATOON_CLASS_TRANSIENT, .message = "try again", .retryable = true};
    e.u.stage_returned.delay_ms = 1500;
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    const ratoon__stage *a = support_stage_of(&s, 1, "a");
    ck_assert_int_eq(a->status, RATOON_STAGE_PENDING);
    ck_assert_uint_eq(a->not_before, s.time_us + 1500000);
    ck_assert_int_eq(a->error_class, RATOON_CLASS_TRANSIENT);
    support_start(&s, 1, "a");
    a = support_stage_of(&s, 1, "a");
    ck_assert_uint_eq(a->attempt, 2);
    ck_assert_uint_eq(a->not_before, 0);
    ck_assert_ptr_nonnull(a->failure);
    support_end(&s, 1, "a", RATOON_STAGE_SUCCEEDED, "k=v");
    a = support_stage_of(&s, 1, "a");
    ck_assert_ptr_null(a->failure);
    ck_assert_int_eq(a->error_class, RATOON_CLASS_NONE);
    ck_assert_uint_eq(a->outputs->attempt, 2);
    end();
}
END_TEST

START_TEST(test_A07_last_progress_stays)
{
    begin("a");
    support_start(&s, 1, "a");
    ratoon__event e = support_stage_event(&s, RATOON__EVENT_STAGE_PROGRESS, 1, "a");
    e.u.progress.done = 3;
    e.u.progress.total = 10;
    e.u.progress.message = "three";
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    support_end(&s, 1, "a", RATOON_STAGE_FAILED, NULL);
    const ratoon__stage *a = support_stage_of(&s, 1, "a");
    ck_assert(a->has_progress);
    ck_assert_uint_eq(a->progress_done, 3);
    ck_assert_str_eq(a->progress_message, "three");
    support_start(&s, 1, "a");
    ck_assert(!support_stage_of(&s, 1, "a")->has_progress);
    end();
}
END_TEST

START_TEST(test_R22_consumed_runs_of_the_last_attempt)
{
    begin("a");
    support_start(&s, 1, "a");
    ratoon__event e = support_stage_event(&s, RATOON__EVENT_STAGE_CONSUMED, 1, "a");
    e.u.consumed.run = support_id(40);
    e.u.consumed.root = support_id(41);
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    const ratoon__runs *consumed = support_stage_of(&s, 1, "a")->consumed;
    ck_assert_uint_eq(consumed->count, 1);
    ck_assert(ratoon_id_equal(consumed->ids[1], support_id(41)));
    support_end(&s, 1, "a", RATOON_STAGE_FAILED, NULL);
    support_start(&s, 1, "a");
    ck_assert_ptr_null(support_stage_of(&s, 1, "a")->consumed);
    end();
}
END_TEST

/* ---- outcomes ---- */

START_TEST(test_L05_every_stage_done_succeeds)
{
    begin("a; b: a");
    support_succeed(&s, 1, "a", NULL);
    ck_assert_int_eq(ratoon__run_outcome(support_run(&s, 1)), RATOON_RUN_SUSPENDED);
    support_end(&s, 1, "b", RATOON_STAGE_SKIPPED, NULL);
    ck_assert_int_eq(ratoon__run_outcome(support_run(&s, 1)), RATOON_RUN_SUCCEEDED);
    end();
}
END_TEST

START_TEST(test_L05_forgiven_failure_degrades)
{
    begin("a !allow_failure; b: a");
    fail_stage(1, "a");
    ck_assert_int_eq(ratoon__run_outcome(support_run(&s, 1)), RATOON_RUN_SUSPENDED);
    support_succeed(&s, 1, "b", NULL);
    ck_assert_int_eq(ratoon__run_outcome(support_run(&s, 1)), RATOON_RUN_DEGRADED);
    end();
}
END_TEST

START_TEST(test_L05_unforgiven_failure_fails)
{
    begin("a; b: a; c !allow_failure");
    fail_stage(1, "c");
    fail_stage(1, "a");
    ck_assert_int_eq(ratoon__run_outcome(support_run(&s, 1)), RATOON_RUN_FAILED);
    end();
}
END_TEST

/* What a run counts, against its stages, is looked at by support_commit() after every commit. */
START_TEST(test_L05_unforgiven_failures_are_counted)
{
    begin("a; b: a; c !allow_failure; d !allow_failure");
    fail_stage(1, "c");
    fail_stage(1, "d");
    ck_assert_uint_eq(support_run(&s, 1)->unforgiven, 0);
    support_succeed(&s, 1, "a", NULL);
    fail_stage(1, "b");
    ck_assert_uint_eq(support_run(&s, 1)->unforgiven, 1);
    ratoon_pipeline *other = support_pipeline("b: a !allow_failure; c; d !allow_failure; a; e");
    ratoon__event e = support_event(&s, RATOON__EVENT_RUN_PIPELINE_CHANGED, 1);
    e.u.pipeline_changed.pipeline = other;
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    ck_assert_uint_eq(support_run(&s, 1)->unforgiven, 1); /* c is, b isn't any more */
    support_start(&s, 1, "c"); /* no decider lets it; a log from elsewhere might */
    ck_assert_uint_eq(support_run(&s, 1)->unforgiven, 0);
    support_end(&s, 1, "c", RATOON_STAGE_FAILED, NULL);
    support_finish(&s, 1, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "c", .pipeline = other});
    ck_assert_uint_eq(support_run(&s, 2)->unforgiven, 0);
    ck_assert_uint_eq(support_run(&s, 1)->unforgiven, 1);
    ratoon_pipeline_free(other);
    end();
}
END_TEST

START_TEST(test_L05_reused_counts_as_what_it_was)
{
    begin("a; b: a");
    support_start(&s, 1, "a");
    support_end(&s, 1, "a", RATOON_STAGE_DEGRADED, NULL);
    fail_stage(1, "b");
    support_finish(&s, 1, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b"});
    support_succeed(&s, 2, "b", NULL);
    ck_assert_int_eq(ratoon__run_outcome(support_run(&s, 2)), RATOON_RUN_DEGRADED);
    end();
}
END_TEST

/* ---- branches ---- */

START_TEST(test_R02_branch_reuses_what_is_outside_the_rerun_set)
{
    begin("a; b: a; c: b; d: a");
    support_succeed(&s, 1, "a", "x=1");
    support_succeed(&s, 1, "d", "y=1");
    fail_stage(1, "b");
    support_finish(&s, 1, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b c"});
    const ratoon__stage *a = support_stage_of(&s, 2, "a");
    ck_assert_int_eq(a->status, RATOON_STAGE_REUSED);
    ck_assert_int_eq(a->reused_as, RATOON_STAGE_SUCCEEDED);
    ck_assert(ratoon_id_equal(a->reused_from, support_id(1)));
    ck_assert(!a->ever_started);
    ck_assert(!a->stale);
    ck_assert_uint_eq(a->attempt, 0);
    ck_assert_ptr_eq(a->outputs, support_stage_of(&s, 1, "a")->outputs);
    ck_assert_int_eq(support_stage_of(&s, 2, "d")->status, RATOON_STAGE_REUSED);
    ck_assert_int_eq(support_stage_of(&s, 2, "b")->status, RATOON_STAGE_PENDING);
    ck_assert_ptr_null(support_stage_of(&s, 2, "b")->failure);
    ck_assert_int_eq(support_stage_of(&s, 1, "b")->status, RATOON_STAGE_FAILED);
    end();
}
END_TEST

START_TEST(test_R19_reused_twice_names_who_executed_it)
{
    begin("a; b: a");
    support_succeed(&s, 1, "a", NULL);
    fail_stage(1, "b");
    support_finish(&s, 1, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b"});
    fail_stage(2, "b");
    support_finish(&s, 2, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 2, .rerun = "b"});
    ck_assert(ratoon_id_equal(support_stage_of(&s, 3, "a")->reused_from, support_id(1)));
    ck_assert_int_eq(support_stage_of(&s, 3, "a")->reused_as, RATOON_STAGE_SUCCEEDED);
    end();
}
END_TEST

START_TEST(test_R27_parent_knows_its_children)
{
    begin("a");
    fail_stage(1, "a");
    support_finish(&s, 1, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "a"});
    support_finish(&s, 2, RATOON_RUN_CANCELLED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "a"});
    const ratoon__run *r = support_run(&s, 1);
    ck_assert_uint_eq(r->children_count, 2);
    ck_assert(ratoon_id_equal(r->children[0], support_id(2)));
    ck_assert(ratoon_id_equal(r->children[1], support_id(3)));
    ck_assert_int_eq(r->status, RATOON_RUN_FAILED);
    end();
}
END_TEST

START_TEST(test_R25_downstream_of_an_only_retry_is_stale)
{
    begin("a; b: a; c: b; d: c");
    support_succeed(&s, 1, "a", NULL);
    support_succeed(&s, 1, "b", NULL);
    support_succeed(&s, 1, "c", NULL);
    support_finish(&s, 1, RATOON_RUN_CANCELLED); /* d never ran */
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b", .only = true});
    ck_assert(!support_stage_of(&s, 2, "a")->stale);
    ck_assert(support_stage_of(&s, 2, "c")->stale);
    ck_assert_int_eq(support_stage_of(&s, 2, "c")->status, RATOON_STAGE_REUSED);
    ck_assert_int_eq(support_stage_of(&s, 2, "d")->status, RATOON_STAGE_PENDING);
    /* Stale it stays until it is executed. */
    support_succeed(&s, 2, "b", NULL);
    support_finish(&s, 2, RATOON_RUN_CANCELLED);
    support_branch_create(&s, &(support_branch){.parent = 2, .rerun = "d"});
    ck_assert(support_stage_of(&s, 3, "c")->stale);
    support_finish(&s, 3, RATOON_RUN_CANCELLED);
    support_branch_create(&s, &(support_branch){.parent = 3, .rerun = "c d"});
    ck_assert(!support_stage_of(&s, 4, "c")->stale);
    end();
}
END_TEST

START_TEST(test_R16_stages_are_found_by_name_in_another_definition)
{
    begin("a; b: a; c: b");
    support_succeed(&s, 1, "a", "x=1");
    support_succeed(&s, 1, "b", "y=1");
    fail_stage(1, "c");
    support_finish(&s, 1, RATOON_RUN_FAILED);
    ratoon_pipeline *other = support_pipeline("new; b; a; c: a b new");
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "c new", .pipeline = other});
    ck_assert_int_eq(support_stage_of(&s, 2, "new")->status, RATOON_STAGE_PENDING);
    ck_assert_int_eq(support_stage_of(&s, 2, "a")->status, RATOON_STAGE_REUSED);
    ck_assert_str_eq(support_input(&s, 2, "c", "x"), "1");
    ck_assert_str_eq(support_input(&s, 2, "c", "y"), "1");
    ratoon_pipeline_free(other);
    end();
}
END_TEST

START_TEST(test_R16_definition_changes_within_a_run)
{
    begin("a; b: a");
    support_succeed(&s, 1, "a", "x=1");
    ratoon_pipeline *other = support_pipeline("b: a; mid: a; a");
    ratoon__event e = support_event(&s, RATOON__EVENT_RUN_PIPELINE_CHANGED, 1);
    e.u.pipeline_changed.pipeline = other;
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    ck_assert_ptr_eq(support_run(&s, 1)->pipeline, other);
    ck_assert_uint_eq(support_run(&s, 1)->stages_count, 3);
    ck_assert_int_eq(support_stage_of(&s, 1, "a")->status, RATOON_STAGE_SUCCEEDED);
    ck_assert_int_eq(support_stage_of(&s, 1, "mid")->status, RATOON_STAGE_PENDING);
    ck_assert_str_eq(support_input(&s, 1, "mid", "x"), "1");
    ratoon_pipeline_free(other);
    end();
}
END_TEST

/* ---- items ---- */

static void three_items(void) /* one done, one failed, one committed; "new" is missing */
{
    support_succeed(&s, 1, "a", NULL);
    support_start(&s, 1, "each");
    ratoon__event e = support_stage_event(&s, RATOON__EVENT_STAGE_ITEMS, 1, "each");
    e.u.items.total = 4;
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    support_item(&s, 1, "each", "done", false, false, "1");
    support_item(&s, 1, "each", "failed", true, false, NULL);
    support_item(&s, 1, "each", "committed", false, true, "2");
}

static uint32_t branch_items(ratoon__stage_plan plan)
{
    support_end(&s, 1, "each", RATOON_STAGE_FAILED, NULL);
    support_finish(&s, 1, RATOON_RUN_FAILED);
    plan.stage = support_stage(p, "each");
    return support_branch_create(
        &s, &(support_branch){.parent = 1, .rerun = "each", .plans = &plan, .plans_count = 1});
}

/* Which of done, failed, committed, new are wanted: "dfcn", a dot for each that isn't. */
static const char *wanted(uint32_t run)
{
    static const char *const keys[] = {"done", "failed", "committed", "new"};
    static char text[5];
    const ratoon__stage *each = support_stage_of(&s, run, "each");
    for (size_t i = 0; i < 4; i++) {
        text[i] = '.';
        if (ratoon__stage_item_wanted(each, keys[i])) {
            text[i] = keys[i][0];
        }
    }
    return text;
}

START_TEST(test_R13_items_are_counted)
{
    begin("a; each: a");
    three_items();
    const ratoon__stage *each = support_stage_of(&s, 1, "each");
    ck_assert(each->items_known);
    ck_assert_uint_eq(each->items_total, 4);
    ck_assert_uint_eq(each->items_done, 2);
    ck_assert_uint_eq(each->items_failed, 1);
    ck_assert_uint_eq(each->items_committed, 1);
    support_item(&s, 1, "each", "failed", false, false, "3");
    each = support_stage_of(&s, 1, "each");
    ck_assert_uint_eq(each->items_done, 3);
    ck_assert_uint_eq(each->items_failed, 0);
    ck_assert_uint_eq(ratoon__items_count(each->items), 3);
    end();
}
END_TEST

START_TEST(test_R14_committing_an_item_keeps_its_output)
{
    begin("a; each: a");
    three_items();
    support_item(&s, 1, "each", "done", false, true, NULL);
    const ratoon__item *item = ratoon__items_get(support_stage_of(&s, 1, "each")->items, "done");
    ck_assert(item->committed);
    ck_assert_ptr_nonnull(item->output);
    ck_assert_mem_eq(item->output->data, "1", 1);
    /* That it is done is told again: committed it stays. */
    support_item(&s, 1, "each", "done", false, false, "new");
    item = ratoon__items_get(support_stage_of(&s, 1, "each")->items, "done");
    ck_assert(item->committed);
    ck_assert_mem_eq(item->output->data, "new", 3);
    ck_assert_uint_eq(support_stage_of(&s, 1, "each")->items_committed, 2);
    end();
}
END_TEST

START_TEST(test_R13_missing_keeps_done_items)
{
    begin("a; each: a");
    three_items();
    branch_items((ratoon__stage_plan){
        .mode = RATOON_ITEMS_MISSING, .keep_done = true, .keep_committed = true});
    const ratoon__stage *each = support_stage_of(&s, 2, "each");
    ck_assert_str_eq(wanted(2), ".f.n");
    ck_assert_uint_eq(each->items_done, 2);
    ck_assert_uint_eq(each->items_failed, 0);
    ck_assert_uint_eq(each->items_total, 4);
    ck_assert_ptr_null(ratoon__items_get(each->items, "failed"));
    ck_assert_ptr_eq(ratoon__items_get(each->items, "done"),
                     ratoon__items_get(support_stage_of(&s, 1, "each")->items, "done"));
    ck_assert_uint_eq(ratoon__items_count(support_stage_of(&s, 1, "each")->items), 3);
    end();
}
END_TEST

START_TEST(test_R13_failed_wants_failed_ones_only)
{
    begin("a; each: a");
    three_items();
    branch_items((ratoon__stage_plan){
        .mode = RATOON_ITEMS_FAILED, .keep_done = true, .keep_committed = true});
    ck_assert_str_eq(wanted(2), ".f..");
    support_start(&s, 2, "each");
    support_item(&s, 2, "each", "failed", false, false, "3");
    ck_assert_str_eq(wanted(2), "....");
    end();
}
END_TEST

START_TEST(test_R13_all_wants_every_one_but_committed)
{
    begin("a; each: a");
    three_items();
    branch_items((ratoon__stage_plan){.mode = RATOON_ITEMS_ALL, .keep_committed = true});
    ck_assert_str_eq(wanted(2), "df.n");
    support_start(&s, 2, "each");
    support_item(&s, 2, "each", "done", false, false, "again");
    support_end(&s, 2, "each", RATOON_STAGE_FAILED, NULL);
    support_start(&s, 2, "each"); /* a second attempt goes on, it doesn't begin anew */
    ck_assert_str_eq(wanted(2), ".f.n");
    end();
}
END_TEST

START_TEST(test_R13_listed_wants_exactly_these)
{
    begin("a; each: a");
    three_items();
    const char *const listed[] = {"new", "done"};
    branch_items((ratoon__stage_plan){.mode = RATOON_ITEMS_LISTED,
                                      .keep_done = true,
                                      .keep_committed = true,
                                      .keep_failed = true,
                                      .listed = listed,
                                      .listed_count = 2});
    ck_assert_str_eq(wanted(2), "d..n");
    ck_assert_uint_eq(support_stage_of(&s, 2, "each")->items_failed, 1);
    support_start(&s, 2, "each");
    support_item(&s, 2, "each", "done", false, false, "again");
    ck_assert_str_eq(wanted(2), "...n");
    end();
}
END_TEST

START_TEST(test_R14_protected_items_are_kept_when_others_are_reset)
{
    begin("a; each: a");
    three_items();
    const char *const kept[] = {"done"};
    branch_items((ratoon__stage_plan){.keep_committed = true, .kept = kept, .kept_count = 1});
    ck_assert_str_eq(wanted(2), ".f.n");
    end();
}
END_TEST

START_TEST(test_R14_destructive_drops_committed_items)
{
    begin("a; each: a");
    three_items();
    branch_items((ratoon__stage_plan){.mode = RATOON_ITEMS_ALL});
    ck_assert_str_eq(wanted(2), "dfcn");
    ck_assert_uint_eq(support_stage_of(&s, 2, "each")->items_committed, 0);
    end();
}
END_TEST

/* ---- versions and what can't follow ---- */

START_TEST(test_fold_leaves_the_old_version_as_it_was)
{
    begin("a; b: a");
    ratoon__lineage *before = ratoon__lineage_ref(s.l);
    support_succeed(&s, 1, "a", "x=1");
    ck_assert_int_eq(ratoon__run_stage_at(before->runs[0], 0)->status, RATOON_STAGE_PENDING);
    ck_assert_uint_eq(before->head, 1);
    ck_assert_int_eq(support_stage_of(&s, 1, "a")->status, RATOON_STAGE_SUCCEEDED);
    /* What didn't change is the same object. */
    ck_assert_ptr_eq(ratoon__run_stage_at(before->runs[0], 1), support_stage_of(&s, 1, "b"));
    ratoon__lineage_unref(before);
    end();
}
END_TEST

START_TEST(test_fold_shares_pages_of_a_long_pipeline)
{
    ratoon__buf line = {0};
    for (uint32_t i = 0; i < 600; i++) {
        ratoon__buf_format(&line, "s%u;", i);
    }
    begin(line.data);
    ratoon__lineage *before = ratoon__lineage_ref(s.l);
    support_start(&s, 1, "s300");
    const ratoon__run *old = before->runs[0];
    const ratoon__run *now = support_run(&s, 1);
    ck_assert_ptr_eq(old->books[0], now->books[0]);
    ck_assert_ptr_ne(old->books[1], now->books[1]);
    ck_assert_ptr_eq(old->books[1]->pages[0], now->books[1]->pages[0]);
    ck_assert_ptr_eq(old->books[2], now->books[2]);
    ck_assert_int_eq(support_stage_of(&s, 1, "s300")->status, RATOON_STAGE_RUNNING);
    ratoon__lineage_unref(before);
    ratoon__buf_free(&line);
    end();
}
END_TEST

START_TEST(test_fold_part_takes_the_first_events)
{
    begin("a; b");
    ratoon__event events[2] = {support_stage_event(&s, RATOON__EVENT_STAGE_STARTED, 1, "a"),
                               support_stage_event(&s, RATOON__EVENT_STAGE_STARTED, 1, "b")};
    const ratoon__commit commit = support_next(&s, events, 2);
    ratoon__lineage *part = NULL;
    ck_assert_int_eq(ratoon__fold_part(s.l, &commit, 1, &part, NULL), RATOON_OK);
    ck_assert_int_eq(ratoon__run_stage_at(part->runs[0], 0)->status, RATOON_STAGE_RUNNING);
    ck_assert_int_eq(ratoon__run_stage_at(part->runs[0], 1)->status, RATOON_STAGE_PENDING);
    ck_assert_uint_eq(part->events, 2);
    ck_assert_uint_eq(part->head, 1);
    ck_assert_uint_eq(part->runs[0]->last_event, 2);
    ratoon__lineage_unref(part);
    end();
}
END_TEST

START_TEST(test_fold_refuses_what_cannot_follow)
{
    begin("a");
    ratoon__event e = support_stage_event(&s, RATOON__EVENT_STAGE_STARTED, 1, "a");
    e.u.stage_started.stage = 1;
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_ERR_DAMAGED);
    e = support_event(&s, RATOON__EVENT_RUN_ANNOTATED, 1);
    e.run = support_id(9);
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_ERR_DAMAGED);
    e = support_event(&s, RATOON__EVENT_RUN_ENDED, 1);
    e.u.ended.status = RATOON_RUN_RUNNING;
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_ERR_DAMAGED);
    e = support_event(&s, RATOON__EVENT_RUN_CREATED, 1); /* again, and no definition */
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_ERR_DAMAGED);
    e = support_event(&s, RATOON__EVENT_RUN_ANNOTATED, 1);
    ratoon__commit commit = support_next(&s, &e, 1);
    const ratoon_digest digest = {{0}};
    ratoon__lineage *out = NULL;
    commit.number++;
    ck_assert_int_eq(ratoon__fold(s.l, &commit, &digest, &out, NULL), RATOON_ERR_DAMAGED);
    commit.number--;
    commit.first_event++;
    ck_assert_int_eq(ratoon__fold(s.l, &commit, &digest, &out, NULL), RATOON_ERR_DAMAGED);
    commit.first_event--;
    commit.lineage = support_id(9);
    ck_assert_int_eq(ratoon__fold(s.l, &commit, &digest, &out, NULL), RATOON_ERR_DAMAGED);
    ck_assert_ptr_null(out);
    end();
}
END_TEST

START_TEST(test_fold_passes_over_unknown_events)
{
    begin("a");
    ratoon__event e = support_event(&s, RATOON__EVENT_RUN_ANNOTATED, 1);
    e.type = (ratoon__event_type)999;
    ck_assert_int_eq(support_commit(&s, &e, 1), RATOON_OK);
    ck_assert_uint_eq(s.l->events, 2);
    end();
}
END_TEST

START_TEST(test_R20_mark_of_a_deleted_lineage_stands_alone)
{
    ratoon__lineage *l = ratoon__lineage_new(support_id(1));
    const ratoon__event e = {.type = RATOON__EVENT_LINEAGE_DELETED, .run = support_id(1)};
    const ratoon__commit commit = {.lineage = support_id(1),
                                   .number = 18,
                                   .first_event = 40,
                                   .time_us = 5,
                                   .writer = "test",
                                   .events = &e,
                                   .events_count = 1};
    const ratoon_digest digest = {{7}};
    ratoon__lineage *out = NULL;
    ck_assert_int_eq(ratoon__fold(l, &commit, &digest, &out, NULL), RATOON_OK);
    ck_assert(out->deleted);
    ck_assert_uint_eq(out->head, 18);
    ck_assert_uint_eq(out->runs_count, 0);
    ratoon__lineage_unref(out);
    ratoon__lineage_unref(l);
}
END_TEST

START_TEST(test_R20_mark_leaves_nothing_of_what_was_known_before)
{
    begin("a");
    const ratoon__event e = {.type = RATOON__EVENT_LINEAGE_DELETED, .run = support_id(1)};
    ratoon__commit commit = {.lineage = s.l->id,
                             .number = s.l->head + 5, /* there was more than was seen */
                             .first_event = s.l->events + 9,
                             .writer = "test",
                             .events = &e,
                             .events_count = 1};
    const ratoon_digest digest = {{7}};
    ratoon__lineage *out = NULL;
    ck_assert_uint_eq(s.l->runs_count, 1);
    ck_assert_int_eq(ratoon__fold(s.l, &commit, &digest, &out, NULL), RATOON_OK);
    ck_assert(out->deleted);
    ck_assert_uint_eq(out->runs_count, 0);
    ck_assert_uint_eq(out->head, commit.number);
    ratoon__lineage_unref(out);
    out = NULL;
    commit.number = s.l->head; /* what is known already */
    ck_assert_int_eq(ratoon__fold(s.l, &commit, &digest, &out, NULL), RATOON_ERR_DAMAGED);
    end();
}
END_TEST

static void add(Suite *all, const char *name, const TTest *const *tests, size_t count)
{
    TCase *tcase = tcase_create(name);
    for (size_t i = 0; i < count; i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(all, tcase);
}
#define ADD(all, name, ...)                                                                        \
    do {                                                                                           \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        add(all, name, tests, sizeof tests / sizeof *tests);                                       \
    } while (0)

static Suite *suite(void)
{
    Suite *all = suite_create("fold");
    ADD(all, "runs", test_L12_runs_are_numbered_from_one, test_S01_created_is_kept_whole,
        test_L08_suspension_and_a_new_epoch, test_E05_cancelled_run_cancels_what_is_left,
        test_L07_external_reference_is_replaced);
    ADD(all, "stages", test_A04_returned_stage_waits_and_keeps_its_failure,
        test_A07_last_progress_stays, test_R22_consumed_runs_of_the_last_attempt);
    ADD(all, "outcomes", test_L05_every_stage_done_succeeds, test_L05_forgiven_failure_degrades,
        test_L05_unforgiven_failure_fails, test_L05_unforgiven_failures_are_counted,
        test_L05_reused_counts_as_what_it_was);
    ADD(all, "branches", test_R02_branch_reuses_what_is_outside_the_rerun_set,
        test_R19_reused_twice_names_who_executed_it, test_R27_parent_knows_its_children,
        test_R25_downstream_of_an_only_retry_is_stale,
        test_R16_stages_are_found_by_name_in_another_definition,
        test_R16_definition_changes_within_a_run);
    ADD(all, "items", test_R13_items_are_counted, test_R14_committing_an_item_keeps_its_output,
        test_R13_missing_keeps_done_items, test_R13_failed_wants_failed_ones_only,
        test_R13_all_wants_every_one_but_committed, test_R13_listed_wants_exactly_these,
        test_R14_protected_items_are_kept_when_others_are_reset,
        test_R14_destructive_drops_committed_items);
    ADD(all, "versions", test_fold_leaves_the_old_version_as_it_was,
        test_fold_shares_pages_of_a_long_pipeline, test_fold_part_takes_the_first_events,
        test_fold_refuses_what_cannot_follow, test_fold_passes_over_unknown_events,
        test_R20_mark_of_a_deleted_lineage_stands_alone,
        test_R20_mark_leaves_nothing_of_what_was_known_before);
    return all;
}

RATOON_TEST_MAIN(suite)
