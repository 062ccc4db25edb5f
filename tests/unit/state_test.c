#include "tests/support/lineage.h"
#include "tests/support/support.h"

#include <string.h>

static support_lineage s;
static ratoon_pipeline *p;

static void begin(const char *line)
{
    static ratoon__value_ref state[2];
    state[0] = support_value("in", "given");
    state[1] = support_value("x", "x0");
    p = support_pipeline(line);
    support_lineage_init(&s, p, state, 2);
}

static void end(void)
{
    support_lineage_free(&s);
    ratoon_pipeline_free(p);
}

START_TEST(test_S02_start_is_initial_state)
{
    begin("a; b: a");
    support_succeed(&s, 1, "a", "x=xa");
    ck_assert_str_eq(support_state(&s, 1, "start", "x"), "x0");
    ck_assert_str_eq(support_state(&s, 1, "start", "in"), "given");
    ck_assert_str_eq(support_state(&s, 1, "end", "x"), "xa");
    ck_assert_str_eq(support_state(&s, 1, "end", "nothing"), "(none)");
    end();
}
END_TEST

START_TEST(test_S02_before_excludes_downstream)
{
    /* a → b → c, and d beside: before b neither b nor c count, but d does. */
    begin("a; b: a; c: b; d: a");
    support_succeed(&s, 1, "a", "x=xa");
    support_succeed(&s, 1, "b", "x=xb only_b=1");
    support_succeed(&s, 1, "d", "side=d");
    support_succeed(&s, 1, "c", "x=xc");
    ck_assert_str_eq(support_state(&s, 1, "before:b", "x"), "xa");
    ck_assert_str_eq(support_state(&s, 1, "before:b", "only_b"), "(none)");
    ck_assert_str_eq(support_state(&s, 1, "before:b", "side"), "d");
    ck_assert_str_eq(support_state(&s, 1, "after:b", "x"), "xb");
    ck_assert_str_eq(support_state(&s, 1, "after:b", "side"), "d");
    ck_assert_str_eq(support_state(&s, 1, "end", "x"), "xc");
    end();
}
END_TEST

START_TEST(test_S02_last_writer_in_topological_order_wins)
{
    /* b comes before c in the file; that c ends first doesn't matter. */
    begin("a; b: a; c: a");
    support_succeed(&s, 1, "a", NULL);
    support_succeed(&s, 1, "c", "x=xc");
    support_succeed(&s, 1, "b", "x=xb");
    ck_assert_str_eq(support_state(&s, 1, "end", "x"), "xc");
    ck_assert_str_eq(support_state(&s, 1, "before:c", "x"), "xb");
    end();
}
END_TEST

START_TEST(test_S02_order_is_topological_before_file_order)
{
    begin("late: early; early");
    support_succeed(&s, 1, "early", "x=early");
    support_succeed(&s, 1, "late", "x=late");
    ck_assert_str_eq(support_state(&s, 1, "end", "x"), "late");
    end();
}
END_TEST

START_TEST(test_S02_input_is_ancestors_only)
{
    begin("a; b: a; c: a; d: b");
    support_succeed(&s, 1, "a", "ka=1");
    support_succeed(&s, 1, "b", "kb=1");
    support_succeed(&s, 1, "c", "kc=1 x=xc");
    ck_assert_str_eq(support_input(&s, 1, "d", "ka"), "1");
    ck_assert_str_eq(support_input(&s, 1, "d", "kb"), "1");
    ck_assert_str_eq(support_input(&s, 1, "d", "kc"), "(none)");
    ck_assert_str_eq(support_input(&s, 1, "d", "x"), "x0");
    ck_assert_str_eq(support_input(&s, 1, "d", "in"), "given");
    end();
}
END_TEST

START_TEST(test_S02_entries_are_sorted_and_tell_their_origin)
{
    begin("a; b: a");
    support_succeed(&s, 1, "a", "z=1 m=1");
    const ratoon__boundary at = {.kind = RATOON__AT_END};
    ratoon__state_view view;
    ck_assert_int_eq(ratoon__state_at(support_run(&s, 1), &at, &s.arena, &view), RATOON_OK);
    ck_assert_uint_eq(view.count, 4);
    for (size_t i = 1; i < view.count; i++) {
        ck_assert_str_lt(view.entries[i - 1].value->key, view.entries[i].value->key);
    }
    const ratoon__state_entry *z = ratoon__state_find(&view, "z");
    const ratoon__state_entry *in = ratoon__state_find(&view, "in");
    ck_assert(ratoon_id_equal(z->run, support_id(1)));
    ck_assert_int_eq(z->stage, 0);
    ck_assert_uint_eq(z->attempt, 1);
    ck_assert_int_eq(in->stage, -1);
    ck_assert_uint_eq(in->attempt, 0);
    end();
}
END_TEST

START_TEST(test_S03_partial_outputs_of_a_failed_stage_do_not_count)
{
    begin("a; b: a");
    support_succeed(&s, 1, "a", "x=xa");
    support_start(&s, 1, "b");
    support_end(&s, 1, "b", RATOON_STAGE_FAILED, "x=half");
    ck_assert_str_eq(support_state(&s, 1, "end", "x"), "xa");
    const ratoon__value *kept = ratoon__outputs_find(support_stage_of(&s, 1, "b")->partial, "x");
    ck_assert_ptr_nonnull(kept);
    ck_assert_mem_eq(kept->data, "half", 4);
    support_succeed(&s, 1, "b", "x=whole");
    ck_assert_ptr_null(support_stage_of(&s, 1, "b")->partial);
    ck_assert_str_eq(support_state(&s, 1, "end", "x"), "whole");
    end();
}
END_TEST

START_TEST(test_S03_included_partial_outputs_lie_below_edits)
{
    begin("a; b: a");
    support_succeed(&s, 1, "a", "x=xa y=ya");
    support_start(&s, 1, "b");
    support_end(&s, 1, "b", RATOON_STAGE_FAILED, "x=half y=half");
    support_finish(&s, 1, RATOON_RUN_FAILED);
    const support_branch b = {
        .parent = 1, .rerun = "b", .edits = "x=edited", .partial = "x=half y=half"};
    support_branch_create(&s, &b);
    ck_assert_str_eq(support_input(&s, 2, "b", "x"), "edited");
    ck_assert_str_eq(support_input(&s, 2, "b", "y"), "half");
    end();
}
END_TEST

START_TEST(test_R02_reused_outputs_count_with_their_origin)
{
    begin("a; b: a");
    support_succeed(&s, 1, "a", "x=xa");
    support_start(&s, 1, "b");
    support_end(&s, 1, "b", RATOON_STAGE_FAILED, NULL);
    support_finish(&s, 1, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b"});
    const ratoon__boundary at = {.kind = RATOON__AT_BEFORE, .stage = 1};
    ratoon__state_view view;
    ck_assert_int_eq(ratoon__state_at(support_run(&s, 2), &at, &s.arena, &view), RATOON_OK);
    const ratoon__state_entry *x = ratoon__state_find(&view, "x");
    ck_assert(ratoon_id_equal(x->run, support_id(1)));
    ck_assert_int_eq(x->stage, 0);
    ck_assert_str_eq(support_state(&s, 2, "start", "in"), "given");
    end();
}
END_TEST

START_TEST(test_R24_edit_replaces_reused_output)
{
    begin("a; b: a; c: b");
    support_succeed(&s, 1, "a", "x=xa");
    support_succeed(&s, 1, "b", "y=yb");
    support_start(&s, 1, "c");
    support_end(&s, 1, "c", RATOON_STAGE_FAILED, NULL);
    support_finish(&s, 1, RATOON_RUN_FAILED);
    support_branch_create(&s,
                          &(support_branch){.parent = 1, .rerun = "c", .edits = "x=fixed in=2"});
    ck_assert_str_eq(support_input(&s, 2, "c", "x"), "fixed");
    ck_assert_str_eq(support_input(&s, 2, "c", "in"), "2");
    ck_assert_str_eq(support_input(&s, 2, "c", "y"), "yb");
    ck_assert_str_eq(support_state(&s, 2, "start", "x"), "fixed");
    ck_assert_str_eq(support_state(&s, 2, "before:c", "x"), "fixed");
    ck_assert_str_eq(support_state(&s, 1, "end", "x"), "xa"); /* the parent stays as it was */
    end();
}
END_TEST

START_TEST(test_R24_stage_executed_after_the_edit_wins)
{
    begin("a; b: a; c: b");
    support_succeed(&s, 1, "a", "x=xa");
    support_succeed(&s, 1, "b", "x=xb");
    support_finish(&s, 1, RATOON_RUN_CANCELLED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b c", .edits = "x=fixed"});
    ck_assert_str_eq(support_input(&s, 2, "b", "x"), "fixed");
    support_succeed(&s, 2, "b", "x=again");
    ck_assert_str_eq(support_input(&s, 2, "c", "x"), "again");
    end();
}
END_TEST

START_TEST(test_R24_edit_holds_in_later_branches_until_overwritten)
{
    begin("a; b: a; c: b");
    support_succeed(&s, 1, "a", "x=xa");
    support_start(&s, 1, "b");
    support_end(&s, 1, "b", RATOON_STAGE_FAILED, NULL);
    support_finish(&s, 1, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b c", .edits = "x=fixed"});
    support_succeed(&s, 2, "b", NULL);
    support_start(&s, 2, "c");
    support_end(&s, 2, "c", RATOON_STAGE_FAILED, NULL);
    support_finish(&s, 2, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 2, .rerun = "c"});
    ck_assert_str_eq(support_input(&s, 3, "c", "x"), "fixed");
    support_finish(&s, 3, RATOON_RUN_CANCELLED);
    support_branch_create(&s, &(support_branch){.parent = 3, .rerun = "c", .edits = "x=anew"});
    ck_assert_str_eq(support_input(&s, 4, "c", "x"), "anew");
    support_finish(&s, 4, RATOON_RUN_CANCELLED);
    support_branch_create(&s, &(support_branch){.parent = 4, .rerun = "a b c"});
    ck_assert_str_eq(support_input(&s, 5, "b", "x"), "anew");
    support_succeed(&s, 5, "a", "x=a5");
    ck_assert_str_eq(support_input(&s, 5, "b", "x"), "a5");
    end();
}
END_TEST

START_TEST(test_R24_edit_hides_older_output_behind_a_newer_one)
{
    /* d, of run 1, stands behind a in the order; a was executed after the edit: a counts. */
    begin("a; d");
    support_succeed(&s, 1, "d", "x=xd");
    support_start(&s, 1, "a");
    support_end(&s, 1, "a", RATOON_STAGE_FAILED, NULL);
    support_finish(&s, 1, RATOON_RUN_FAILED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "a", .edits = "x=fixed"});
    ck_assert_str_eq(support_state(&s, 2, "end", "x"), "fixed");
    support_succeed(&s, 2, "a", "x=xa");
    ck_assert_str_eq(support_state(&s, 2, "end", "x"), "xa");
    end();
}
END_TEST

START_TEST(test_R14_kept_outputs_count_until_overwritten)
{
    begin("a; b: a !commits; c: b");
    support_succeed(&s, 1, "a", NULL);
    support_succeed(&s, 1, "b", "page=old also=old");
    support_start(&s, 1, "c");
    support_end(&s, 1, "c", RATOON_STAGE_FAILED, NULL);
    support_finish(&s, 1, RATOON_RUN_FAILED);
    const ratoon__stage_plan plan = {.stage = 1, .keep_outputs = true, .keep_committed = true};
    const support_branch b = {.parent = 1, .rerun = "b c", .plans = &plan, .plans_count = 1};
    support_branch_create(&s, &b);
    ck_assert_str_eq(support_input(&s, 2, "c", "page"), "old");
    ck_assert_str_eq(support_state(&s, 2, "before:b", "page"), "(none)");
    support_succeed(&s, 2, "b", "page=new");
    ck_assert_str_eq(support_input(&s, 2, "c", "page"), "new");
    ck_assert_str_eq(support_input(&s, 2, "c", "also"), "old");
    /* Once nothing of the old output shows any more it is let go. */
    support_finish(&s, 2, RATOON_RUN_CANCELLED);
    support_branch_create(
        &s, &(support_branch){.parent = 2, .rerun = "b c", .plans = &plan, .plans_count = 1});
    support_succeed(&s, 3, "b", "page=3 also=3");
    ck_assert_ptr_null(support_stage_of(&s, 3, "b")->outputs->below);
    end();
}
END_TEST

START_TEST(test_boundary_parses_and_refuses)
{
    begin("a; b: a");
    ratoon__boundary at = {0};
    ratoon_error error = {0};
    ck_assert_int_eq(ratoon__boundary_parse(p, "after:b", &at, &error), RATOON_OK);
    ck_assert_int_eq(at.kind, RATOON__AT_AFTER);
    ck_assert_uint_eq(at.stage, 1);
    ck_assert_int_eq(ratoon__boundary_parse(p, "17", &at, &error), RATOON_OK);
    ck_assert_int_eq(at.kind, RATOON__AT_EVENT);
    ck_assert_uint_eq(at.event, 17);
    ck_assert_int_eq(ratoon__boundary_parse(p, "before:z", &at, &error), RATOON_ERR_NO_SUCH_STAGE);
    ck_assert_ptr_nonnull(strstr(error.message, "a, b"));
    const char *const bad[] = {"", "before", "1x", "18446744073709551616", "-1", "middle"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(ratoon__boundary_parse(p, bad[i], &at, &error), RATOON_ERR_USAGE);
    }
    ck_assert_int_eq(ratoon__boundary_parse(p, "18446744073709551615", &at, &error), RATOON_OK);
    ck_assert_uint_eq(at.event, UINT64_MAX);
    end();
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("state");
    TCase *overlay = tcase_create("overlay");
    tcase_add_test(overlay, test_S02_start_is_initial_state);
    tcase_add_test(overlay, test_S02_before_excludes_downstream);
    tcase_add_test(overlay, test_S02_last_writer_in_topological_order_wins);
    tcase_add_test(overlay, test_S02_order_is_topological_before_file_order);
    tcase_add_test(overlay, test_S02_input_is_ancestors_only);
    tcase_add_test(overlay, test_S02_entries_are_sorted_and_tell_their_origin);
    tcase_add_test(overlay, test_S03_partial_outputs_of_a_failed_stage_do_not_count);
    suite_add_tcase(all, overlay);
    TCase *branch = tcase_create("branch");
    tcase_add_test(branch, test_S03_included_partial_outputs_lie_below_edits);
    tcase_add_test(branch, test_R02_reused_outputs_count_with_their_origin);
    tcase_add_test(branch, test_R24_edit_replaces_reused_output);
    tcase_add_test(branch, test_R24_stage_executed_after_the_edit_wins);
    tcase_add_test(branch, test_R24_edit_holds_in_later_branches_until_overwritten);
    tcase_add_test(branch, test_R24_edit_hides_older_output_behind_a_newer_one);
    tcase_add_test(branch, test_R14_kept_outputs_count_until_overwritten);
    suite_add_tcase(all, branch);
    TCase *boundary = tcase_create("boundary");
    tcase_add_test(boundary, test_boundary_parses_and_refuses);
    suite_add_tcase(all, boundary);
    return all;
}

RATOON_TEST_MAIN(suite)
