/* Commits that are made behind those a queue has in flight: taken as they are where they follow,
 * within a group and from one to the next, and else decided anew, as if they had never been made.
 */
#include "log/async_ahead.h"
#include "log/codec.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const char stages[] = "pipeline: p\n"
                             "stages:\n"
                             "  - {name: first, run: [\"true\"]}\n"
                             "  - {name: second, run: [\"true\"]}\n";

enum { REPORTS = 6 };

static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_created run;
static uint32_t attempt;
static ratoon__tips tips;

/* A change on its way. */
typedef struct report {
    ratoon_op op;
    ratoon__apply apply;
    ratoon__request request;
    ratoon_error error;
    ratoon_digest digest; /* of the commit that was made ahead */
    bool made;
} report;

static report reports[REPORTS];

static void must(ratoon_status status, const ratoon_error *error)
{
    role_must(status == RATOON_OK, status == RATOON_OK ? "" : error->message);
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
    memset(reports, 0, sizeof reports);
    memset(&tips, 0, sizeof tips);
    ratoon__tips_init(&tips);
}

static void teardown(void)
{
    for (size_t i = 0; i < REPORTS; i++) {
        ratoon__lineage_unref(reports[i].request.after);
        ratoon__apply_free(&reports[i].apply);
    }
    ratoon__tips_free(&tips);
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
}

static ratoon_op progress(uint64_t done)
{
    return (ratoon_op){.kind = RATOON_OP_STAGE_PROGRESS,
                       .stage = "first",
                       .attempt = attempt,
                       .done = done,
                       .total = REPORTS,
                       .text = "made ahead"};
}

static void prepare(report *r, ratoon_op op)
{
    r->op = op;
    r->request.error = &r->error;
    must(ratoon__apply_prepare(store, run.run, run.epoch, &r->op, 1, &r->apply, &r->request,
                               &r->error),
         &r->error);
}

/* As a queue submits it. */
static void submitted(report *r, ratoon_op op)
{
    prepare(r, op);
    ratoon__tips_make_ahead(store, &tips, &r->request);
    r->made = r->request.ahead.commit.number != 0;
    r->digest = r->request.ahead.digest;
}

/* Commits `count` of them as one group, and answers them. */
static void commit(report *first, size_t count)
{
    ratoon__encoder *encoder = ratoon__encoder_new();
    ratoon__group_space *space = NULL;
    uint64_t sync_ns;
    for (size_t i = 0; i < count; i++) {
        first[i].request.next = i + 1 < count ? &first[i + 1].request : NULL;
    }
    ratoon__request *again = ratoon__group_commit(store, ratoon__store_driver(store), encoder,
                                                  &space, &first->request, count, &sync_ns);
    ck_assert_ptr_null(again);
    for (size_t i = 0; i < count; i++) {
        ck_assert(first[i].request.settled);
        ratoon__tip_answered(&tips, &first[i].request);
    }
    ratoon__encoder_free(encoder);
    ratoon__group_space_free(space);
}

static void expect_head(uint64_t number, const ratoon_digest *digest)
{
    ratoon__lineage *l = NULL;
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t problems = 99;
    must(ratoon__store_lineage(store, run.run, &l, &error), &error);
    ck_assert_uint_eq(l->head, number);
    if (digest != NULL) {
        ck_assert_mem_eq(&l->head_digest, digest, sizeof *digest);
    }
    ratoon__lineage_unref(l);
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
}

static void expect_taken(size_t from, size_t to, bool taken)
{
    for (size_t i = from; i < to; i++) {
        ck_assert_msg(reports[i].request.status == RATOON_OK, "%zu: %s", i,
                      reports[i].error.message);
        ck_assert_msg(reports[i].request.ahead_taken == taken, "%zu", i);
    }
}

static uint64_t done_now(void)
{
    ratoon__lineage *l = NULL;
    ratoon_error error;
    must(ratoon__store_lineage(store, run.run, &l, &error), &error);
    const uint64_t done = ratoon__run_stage_at(l->runs[0], 0)->progress_done;
    ratoon__lineage_unref(l);
    return done;
}

/* ---- a chain ---- */

START_TEST(test_Q01_commits_made_behind_each_other_are_those_that_are_appended)
{
    for (size_t i = 0; i < REPORTS; i++) {
        submitted(&reports[i], progress(i + 1));
        ck_assert(reports[i].made);
    }
    commit(reports, 1); /* in groups of any size */
    commit(reports + 1, 3);
    commit(reports + 4, 2);
    expect_taken(0, REPORTS, true);
    expect_head(2 + REPORTS, &reports[REPORTS - 1].digest);
    ck_assert_uint_eq(done_now(), REPORTS);
}
END_TEST

START_TEST(test_Q01_commits_made_behind_each_other_give_way_to_what_came_in_between)
{
    ratoon_error error;
    ratoon_op between = progress(9);
    for (size_t i = 0; i < REPORTS - 1; i++) {
        submitted(&reports[i], progress(i + 1));
    }
    commit(reports, 2);
    must(ratoon_run_apply(store, run.run, run.epoch, &between, 1, &error), &error);
    commit(reports + 2, REPORTS - 3);
    expect_taken(0, 2, true);
    expect_taken(2, REPORTS - 1, false); /* behind it, made anew, in order */
    expect_head(2 + REPORTS, NULL);
    ck_assert_uint_eq(done_now(), REPORTS - 1);
    /* Nothing is in flight: again it is known what comes next. */
    submitted(&reports[REPORTS - 1], progress(REPORTS));
    ck_assert(reports[REPORTS - 1].made);
    commit(&reports[REPORTS - 1], 1);
    expect_taken(REPORTS - 1, REPORTS, true);
    expect_head(3 + REPORTS, &reports[REPORTS - 1].digest);
}
END_TEST

/* The number is the next one, but what came before is another commit. */
START_TEST(test_Q01_commit_made_behind_one_that_is_not_there_is_made_anew)
{
    ratoon_error error;
    ratoon_op instead = progress(9);
    submitted(&reports[0], progress(1));
    submitted(&reports[1], progress(2));
    must(ratoon_run_apply(store, run.run, run.epoch, &instead, 1, &error), &error);
    commit(reports + 1, 1);
    expect_taken(1, 2, false);
    expect_head(4, NULL);
    /* One is still in flight that was not made behind this one. */
    submitted(&reports[2], progress(3));
    ck_assert(!reports[2].made);
    commit(reports, 1);
    commit(reports + 2, 1);
    expect_taken(0, 3, false);
    expect_head(6, NULL);
    ck_assert_uint_eq(done_now(), 3);
}
END_TEST

/* One of the group's in the middle was not made ahead: those before it are folded for it to be
 * judged by, and those behind it were not made behind it. */
START_TEST(test_Q01_commits_made_ahead_around_one_that_was_not)
{
    for (size_t i = 0; i < 3; i++) {
        submitted(&reports[i], progress(i + 1));
    }
    prepare(&reports[3], progress(4));
    for (size_t i = 4; i < REPORTS; i++) {
        submitted(&reports[i], progress(i + 1));
        ck_assert(reports[i].made);
    }
    commit(reports, REPORTS);
    expect_taken(0, 3, true);
    expect_taken(3, REPORTS, false);
    expect_head(2 + REPORTS, NULL);
    ck_assert_uint_eq(done_now(), REPORTS);
}
END_TEST

/* What is refused when it is made, or makes more than events that change no row, is the
 * committer's; so is what is submitted while that is in flight. */
START_TEST(test_L03_nothing_is_made_behind_what_is_not_made_ahead)
{
    ratoon_op other = progress(2);
    other.attempt = attempt + 1;
    submitted(&reports[0], progress(1));
    submitted(&reports[1], other);
    ck_assert(reports[0].made);
    ck_assert(!reports[1].made);
    for (size_t i = 2; i < REPORTS; i++) {
        submitted(&reports[i], progress(i + 1));
        ck_assert(!reports[i].made);
    }
    commit(reports, REPORTS);
    expect_taken(0, 1, true);
    ck_assert_int_ne(reports[1].request.status, RATOON_OK);
    expect_taken(2, REPORTS, false);
    expect_head(1 + REPORTS, NULL);
    ck_assert_uint_eq(done_now(), REPORTS);
}
END_TEST

/* Made while it was legal, and it isn't any more. */
START_TEST(test_L03_commits_made_ahead_are_refused_where_they_are_illegal_by_now)
{
    ratoon_error error;
    for (size_t i = 0; i < REPORTS; i++) {
        submitted(&reports[i], progress(i + 1));
    }
    must(ratoon_stage_succeed(store, run.run, run.epoch, "first", attempt, NULL, 0, &error),
         &error);
    commit(reports, REPORTS);
    for (size_t i = 0; i < REPORTS; i++) {
        ck_assert_int_eq(reports[i].request.status, RATOON_ERR_ILLEGAL_TRANSITION);
        ck_assert_int_eq(reports[i].error.code, RATOON_ERR_ILLEGAL_TRANSITION);
    }
    expect_head(3, NULL);
}
END_TEST

/* The first one's append is refused by the log, because somebody else's commit has its number: the
 * others were made behind one that is not there. */
static ratoon__driver_ops hooked_ops;
static const ratoon__driver_ops *real_ops;
static atomic_bool intrude;

static ratoon_status hooked_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                   bool sync, ratoon_error *error)
{
    if (atomic_exchange(&intrude, false)) {
        ratoon__append theirs = appends[0];
        theirs.rests_on = 0;
        must(real_ops->append(d, &theirs, 1, sync, error), error);
    }
    return real_ops->append(d, appends, count, sync, error);
}

START_TEST(test_Q06_commits_made_behind_one_that_is_refused_are_decided_anew_in_order)
{
    ratoon__driver *d = ratoon__store_driver(store);
    real_ops = d->ops;
    hooked_ops = *real_ops;
    hooked_ops.append = hooked_append;
    d->ops = &hooked_ops;
    for (size_t i = 0; i < REPORTS; i++) {
        submitted(&reports[i], progress(i + 1));
    }
    atomic_store(&intrude, true);
    ratoon__encoder *encoder = ratoon__encoder_new();
    ratoon__group_space *space = NULL;
    uint64_t sync_ns;
    for (size_t i = 0; i < REPORTS; i++) {
        reports[i].request.next = i + 1 < REPORTS ? &reports[i + 1].request : NULL;
    }
    ratoon__request *again =
        ratoon__group_commit(store, d, encoder, &space, &reports[0].request, REPORTS, &sync_ns);
    size_t n = 0;
    for (const ratoon__request *r = again; r != NULL; r = r->next, n++) {
        ck_assert_ptr_eq(r, &reports[n].request);
    }
    ck_assert_uint_eq(n, REPORTS);
    again = ratoon__group_commit(store, d, encoder, &space, again, REPORTS, &sync_ns);
    ck_assert_ptr_null(again);
    ratoon__encoder_free(encoder);
    ratoon__group_space_free(space);
    expect_taken(0, REPORTS, false);
    expect_head(3 + REPORTS, NULL);
    d->ops = real_ops;
}
END_TEST

/* Somebody else's commit has the number of another lineage's: what is refused behind commits of its
 * own lineage that are in the log is refused for good, and not decided again behind later ones. */
START_TEST(test_Q06_what_is_refused_is_not_decided_again_for_another_lineage)
{
    ratoon__driver *d = ratoon__store_driver(store);
    const ratoon_created own = run;
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_error error;
    o.pipeline = pipeline;
    must(ratoon_run_create(store, &o, &run, &error), &error);
    must(ratoon_stage_start(store, run.run, run.epoch, "first", &attempt, &error), &error);
    prepare(&reports[0], progress(1));
    run = own;
    prepare(&reports[1], progress(1));
    prepare(&reports[2], (ratoon_op){.kind = RATOON_OP_STAGE_START, .stage = "first"});
    prepare(&reports[3],
            (ratoon_op){.kind = RATOON_OP_STAGE_RETURN, .stage = "first", .attempt = attempt});
    real_ops = d->ops;
    hooked_ops = *real_ops;
    hooked_ops.append = hooked_append;
    d->ops = &hooked_ops;
    atomic_store(&intrude, true);
    ratoon__encoder *encoder = ratoon__encoder_new();
    ratoon__group_space *space = NULL;
    uint64_t sync_ns;
    for (size_t i = 0; i < 4; i++) {
        reports[i].request.next = i < 3 ? &reports[i + 1].request : NULL;
    }
    ratoon__request *again =
        ratoon__group_commit(store, d, encoder, &space, &reports[0].request, 4, &sync_ns);
    ck_assert_ptr_eq(again, &reports[0].request);
    ck_assert_ptr_null(again->next);
    ck_assert_ptr_null(ratoon__group_commit(store, d, encoder, &space, again, 1, &sync_ns));
    ratoon__encoder_free(encoder);
    ratoon__group_space_free(space);
    d->ops = real_ops;
    ck_assert_int_eq(reports[0].request.status, RATOON_OK);
    ck_assert_int_eq(reports[1].request.status, RATOON_OK);
    ck_assert_int_eq(reports[2].request.status, RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_int_eq(reports[3].request.status, RATOON_OK);
    expect_head(4, NULL);
}
END_TEST

/* ---- what is kept ---- */

static size_t projections_kept(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < RATOON__TIPS; i++) {
        kept += tips.places[i].after != NULL;
    }
    return kept;
}

START_TEST(test_a_projection_is_kept_only_while_something_is_in_flight)
{
    submitted(&reports[0], progress(1));
    submitted(&reports[1], progress(2));
    ck_assert_uint_eq(projections_kept(), 1);
    commit(reports, 1);
    ck_assert_uint_eq(projections_kept(), 1);
    commit(reports + 1, 1);
    ck_assert_uint_eq(projections_kept(), 0);
    expect_taken(0, 2, true);
}
END_TEST

/* Where one request of a lineage comes after the other they are made ahead without one. */
START_TEST(test_no_projection_is_kept_where_requests_come_one_by_one)
{
    enum { COUNT = 64 };
    report *all = calloc(COUNT, sizeof *all);
    size_t kept = 0;
    MUST(all != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        submitted(&all[i], progress(i));
        ck_assert(all[i].made);
        kept += projections_kept();
        commit(&all[i], 1);
        ck_assert(all[i].request.ahead_taken);
        ratoon__lineage_unref(all[i].request.after);
        ratoon__apply_free(&all[i].apply);
    }
    ck_assert_uint_lt(kept, COUNT / 2);
    ck_assert_uint_eq(projections_kept(), 0);
    free(all);
}
END_TEST

/* ---- more lineages than places ---- */

START_TEST(test_Q01_more_lineages_are_in_flight_than_are_made_ahead_of)
{
    enum { RUNS = 3 * RATOON__TIPS, EACH = 3 };
    report *all = calloc((size_t)RUNS * EACH, sizeof *all);
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_error error;
    size_t made = 0, taken = 0;
    MUST(all != NULL);
    o.pipeline = pipeline;
    for (size_t i = 0; i < RUNS; i++) {
        must(ratoon_run_create(store, &o, &run, &error), &error);
        must(ratoon_stage_start(store, run.run, run.epoch, "first", &attempt, &error), &error);
        for (size_t k = 0; k < EACH; k++) {
            submitted(&all[i * EACH + k], progress(k));
            made += all[i * EACH + k].made;
        }
    }
    ck_assert_uint_gt(made, 0);
    ck_assert_uint_le(made, RATOON__TIPS * EACH);
    commit(all, (size_t)RUNS * EACH);
    for (size_t i = 0; i < (size_t)RUNS * EACH; i++) {
        ck_assert_int_eq(all[i].request.status, RATOON_OK);
        taken += all[i].request.ahead_taken;
        ratoon__lineage_unref(all[i].request.after);
        ratoon__apply_free(&all[i].apply);
    }
    ck_assert_uint_eq(taken, made);
    expect_head(2 + EACH, NULL);
    free(all);
}
END_TEST

/* ---- as an embedder uses it ---- */

enum { THREADS = 3, SHARED_RUNS = 4, CHANGES = 400 };

typedef struct worker {
    pthread_t thread;
    const ratoon_created *runs;
    unsigned index;
    atomic_uint answered, done; /* of what was submitted; and of these, done */
    unsigned waited;            /* done by calls that wait */
} worker;

static void answer(void *ctx, ratoon_status status, const ratoon_error *error)
{
    worker *w = ctx;
    (void)error;
    atomic_fetch_add(&w->done, status == RATOON_OK ? 1 : 0);
    atomic_fetch_add(&w->answered, 1);
}

/* Reports of all runs, through a queue and now and then by a call that waits; some are of an
 * attempt that isn't. */
static void *work(void *arg)
{
    worker *w = arg;
    ratoon_op *ops = calloc(CHANGES, sizeof *ops);
    ratoon_async *queue = NULL;
    ratoon_error error;
    MUST(ops != NULL);
    must(ratoon_async_open(store, NULL, &queue, &error), &error);
    for (unsigned i = 0; i < CHANGES; i++) {
        const ratoon_created *r = &w->runs[(i * 7 + w->index) % SHARED_RUNS];
        ops[i] = progress(i);
        ops[i].attempt += i % 41 == 40 ? 1 : 0;
        if (i % 23 == 22) {
            w->waited += ratoon_run_apply(store, r->run, r->epoch, &ops[i], 1, &error) == RATOON_OK;
            continue;
        }
        ratoon_status status;
        while ((status = ratoon_async_apply(queue, r->run, r->epoch, &ops[i], 1, answer, w,
                                            &error)) == RATOON_ERR_QUEUE_FULL) {
            must(ratoon_async_drain(queue, &error), &error);
        }
        must(status, &error);
    }
    must(ratoon_async_drain(queue, &error), &error);
    must(ratoon_async_close(queue, &error), &error);
    free(ops);
    return NULL;
}

START_TEST(test_Q01_queues_and_callers_change_the_same_runs)
{
    ratoon_created runs[SHARED_RUNS];
    worker workers[THREADS] = {{.index = 0}};
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_error error;
    unsigned done = 0;
    uint64_t commits = 0;
    o.pipeline = pipeline;
    for (unsigned i = 0; i < SHARED_RUNS; i++) {
        must(ratoon_run_create(store, &o, &runs[i], &error), &error);
        must(ratoon_stage_start(store, runs[i].run, runs[i].epoch, "first", &attempt, &error),
             &error);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].runs = runs;
        workers[i].index = i;
        MUST(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        done += atomic_load(&workers[i].done) + workers[i].waited;
    }
    unsigned illegal = 0;
    for (unsigned i = 0; i < CHANGES; i++) {
        illegal += i % 41 == 40 ? 1 : 0;
    }
    ck_assert_uint_eq(done, THREADS * (CHANGES - illegal));
    for (unsigned i = 0; i < SHARED_RUNS; i++) {
        ratoon__lineage *l = NULL;
        must(ratoon__store_lineage(store, runs[i].run, &l, &error), &error);
        commits += l->head - 2;
        ratoon__lineage_unref(l);
    }
    ck_assert_uint_eq(commits, done);
    expect_head(2, NULL); /* of the run of its own: and all of the store verifies */
}
END_TEST

static Suite *async_ahead_suite(void)
{
    Suite *s = suite_create("async_ahead");
    TCase *t = tcase_create("async_ahead");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_Q01_commits_made_behind_each_other_are_those_that_are_appended);
    tcase_add_test(t, test_Q01_commits_made_behind_each_other_give_way_to_what_came_in_between);
    tcase_add_test(t, test_Q01_commit_made_behind_one_that_is_not_there_is_made_anew);
    tcase_add_test(t, test_Q01_commits_made_ahead_around_one_that_was_not);
    tcase_add_test(t, test_L03_nothing_is_made_behind_what_is_not_made_ahead);
    tcase_add_test(t, test_L03_commits_made_ahead_are_refused_where_they_are_illegal_by_now);
    tcase_add_test(t, test_Q06_commits_made_behind_one_that_is_refused_are_decided_anew_in_order);
    tcase_add_test(t, test_Q06_what_is_refused_is_not_decided_again_for_another_lineage);
    tcase_add_test(t, test_a_projection_is_kept_only_while_something_is_in_flight);
    tcase_add_test(t, test_no_projection_is_kept_where_requests_come_one_by_one);
    tcase_add_test(t, test_Q01_more_lineages_are_in_flight_than_are_made_ahead_of);
    tcase_add_test(t, test_Q01_queues_and_callers_change_the_same_runs);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(async_ahead_suite)
