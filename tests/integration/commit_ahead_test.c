/* Commits that a caller makes before it is its turn: taken as they are where nothing came in
 * between, and else decided anew, as if they had never been made. */
#include "log/store_impl.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

static const char stages[] = "pipeline: p\n"
                             "stages:\n"
                             "  - {name: first, run: [\"true\"]}\n"
                             "  - {name: second, run: [\"true\"]}\n";

static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_created run;
static uint32_t attempt;

/* A report on its way, with its commit made. */
typedef struct ahead {
    ratoon_op op;
    ratoon__apply apply;
    ratoon__request request;
    ratoon_error error;
    ratoon_digest digest;
} ahead;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static void setup(void)
{
    ratoon_error error;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &store, &error), &error);
    must(ratoon_pipeline_parse("p", stages, strlen(stages), NULL, &pipeline, &error), &error);
    o.pipeline = pipeline;
    must(ratoon_run_create(store, &o, &run, &error), &error);
    must(ratoon_stage_start(store, run.run, run.epoch, "first", &attempt, &error), &error);
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
}

static ratoon__lineage *now(void)
{
    ratoon__lineage *l = NULL;
    ratoon_error error;
    must(ratoon__store_lineage(store, run.run, &l, &error), &error);
    return l;
}

static ratoon_op report(const char *text)
{
    return (ratoon_op){.kind = RATOON_OP_STAGE_PROGRESS,
                       .stage = "first",
                       .attempt = attempt,
                       .done = 1,
                       .total = 2,
                       .text = text};
}

static void make_ahead(ahead *a)
{
    *a = (ahead){.op = report("made ahead")};
    a->request.error = &a->error;
    must(ratoon__apply_prepare(store, run.run, run.epoch, &a->op, 1, &a->apply, &a->request,
                               &a->error),
         &a->error);
    ratoon__commit_make_ahead(store, &a->request);
    ratoon__lineage *l = now();
    ck_assert_uint_eq(a->request.ahead.commit.number, l->head + 1);
    ratoon__lineage_unref(l);
    a->digest = a->request.ahead.digest;
}

static ratoon_status submit(ahead *a)
{
    const ratoon_status status = ratoon__commit_request(store, &a->request);
    ratoon__lineage_unref(a->request.after);
    ratoon__apply_free(&a->apply);
    return status;
}

/* The head is commit `number`; whether it is the one that was made ahead. */
static void expect_head(const ahead *a, uint64_t number, bool made_ahead)
{
    ratoon__lineage *l = now();
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t problems = 99;
    ck_assert_uint_eq(l->head, number);
    ck_assert_int_eq(memcmp(&l->head_digest, &a->digest, sizeof a->digest) == 0, made_ahead);
    ratoon__lineage_unref(l);
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
}

START_TEST(test_Q01_commit_made_ahead_is_the_one_that_is_appended)
{
    ahead a;
    make_ahead(&a);
    must(submit(&a), &a.error);
    expect_head(&a, 3, true);
}
END_TEST

START_TEST(test_Q01_commit_made_ahead_gives_way_to_what_came_in_between)
{
    ahead a;
    ratoon_error error;
    ratoon_op between = report("in between");
    make_ahead(&a);
    must(ratoon_run_apply(store, run.run, run.epoch, &between, 1, &error), &error);
    must(submit(&a), &a.error);
    expect_head(&a, 4, false); /* behind it, made anew */
}
END_TEST

START_TEST(test_L03_commit_made_ahead_is_refused_where_it_is_illegal_by_now)
{
    ahead a;
    ratoon_error error;
    make_ahead(&a);
    must(ratoon_stage_succeed(store, run.run, run.epoch, "first", attempt, NULL, 0, &error),
         &error);
    ck_assert_int_eq(submit(&a), RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_int_eq(a.error.code, RATOON_ERR_ILLEGAL_TRANSITION);
    expect_head(&a, 3, false);
}
END_TEST

/* A group of two of one lineage: the second one's commit was made without the first. */
START_TEST(test_Q01_commits_made_ahead_of_one_another)
{
    ahead a;
    ahead b;
    make_ahead(&a);
    make_ahead(&b);
    must(submit(&b), &b.error);
    expect_head(&b, 3, true);
    must(submit(&a), &a.error);
    expect_head(&a, 4, false);
}
END_TEST

START_TEST(test_L03_nothing_is_made_ahead_of_what_is_refused)
{
    ahead a = {.op = report("of another attempt")};
    a.op.attempt = attempt + 1;
    a.request.error = &a.error;
    must(ratoon__apply_prepare(store, run.run, run.epoch, &a.op, 1, &a.apply, &a.request, &a.error),
         &a.error);
    ratoon__commit_make_ahead(store, &a.request);
    ck_assert_uint_eq(a.request.ahead.commit.number, 0);
    ck_assert_int_ne(submit(&a), RATOON_OK);
    expect_head(&a, 2, false);
}
END_TEST

static Suite *commit_ahead_suite(void)
{
    Suite *s = suite_create("commit_ahead");
    TCase *t = tcase_create("ahead");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_Q01_commit_made_ahead_is_the_one_that_is_appended);
    tcase_add_test(t, test_Q01_commit_made_ahead_gives_way_to_what_came_in_between);
    tcase_add_test(t, test_L03_commit_made_ahead_is_refused_where_it_is_illegal_by_now);
    tcase_add_test(t, test_Q01_commits_made_ahead_of_one_another);
    tcase_add_test(t, test_L03_nothing_is_made_ahead_of_what_is_refused);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(commit_ahead_suite)
