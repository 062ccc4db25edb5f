/* What rebuilding the state at a boundary costs: the number of commits that are read for it. */
#include "log/driver.h"
#include "log/store_impl.h"
#include "tests/support/memory_store.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <ratoon.h>
#include <stdio.h>
#include <string.h>

static const char two_stages[] = "pipeline: two\n"
                                 "stages:\n"
                                 "  - {name: first, run: [\"true\"], produces: [a]}\n"
                                 "  - {name: second, run: [\"true\"]}\n";

static ratoon_store *store;
static ratoon_pipeline *pipeline;

/* The store's driver, with a count of the commits that it shows. */
static const ratoon__driver_ops *real_ops;
static ratoon__driver_ops counting_ops;
static uint64_t shown;
static unsigned reads; /* calls */

typedef struct counted {
    ratoon__commit_fn fn;
    void *ctx;
} counted;

static bool count_one(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                      const void *data, size_t size)
{
    const counted *c = ctx;
    shown++;
    return c->fn(c->ctx, position, lineage, number, data, size);
}

static ratoon_status counting_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                                   bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                                   ratoon_error *error)
{
    counted c = {fn, ctx};
    reads++;
    return real_ops->read(d, lineage, from, one_lineage, verify, count_one, &c, error);
}

/* Snapshots of a disk that fails from the second one on. */
static unsigned snapshots_read;
static ratoon_status failing_snapshot_get(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                          uint64_t *at, ratoon_buffer *out, ratoon_error *error)
{
    return snapshots_read++ == 0 ? real_ops->snapshot_get(d, lineage, number, at, out, error)
                                 : ratoon__fail(error, RATOON_ERR_IO, "the snapshot can't be read");
}

static void setup(void)
{
    ratoon_error error;
    store = support_memory_store();
    support_must(
        ratoon_pipeline_parse("two.yaml", two_stages, strlen(two_stages), NULL, &pipeline, &error),
        &error);
    ratoon__driver *d = ratoon__store_driver(store);
    real_ops = d->ops;
    counting_ops = *real_ops;
    counting_ops.read = counting_read;
    d->ops = &counting_ops;
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
}

static ratoon_created create(void)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.pipeline = pipeline;
    support_must(ratoon_run_create(store, &options, &created, &error), &error);
    return created;
}

static void progress(ratoon_created run, const char *stage, uint32_t attempt, uint64_t times)
{
    ratoon_error error;
    for (uint64_t i = 0; i < times; i++) {
        ratoon_op op = {
            .kind = RATOON_OP_STAGE_PROGRESS, .stage = stage, .attempt = attempt, .done = i};
        support_must(ratoon_run_apply(store, run.run, run.epoch, &op, 1, &error), &error);
    }
}

/* Starts `second`, reports so often, and lets it and the run fail. */
static void work_and_fail(ratoon_created run, uint64_t times)
{
    ratoon_error error;
    uint32_t attempt = 0;
    ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "no luck"};
    support_must(ratoon_stage_start(store, run.run, run.epoch, "second", &attempt, &error), &error);
    progress(run, "second", attempt, times);
    ratoon_op ops[2] = {{.kind = RATOON_OP_STAGE_END,
                         .stage = "second",
                         .attempt = attempt,
                         .status = RATOON_STAGE_FAILED,
                         .failure = &failure},
                        {.kind = RATOON_OP_FINISH}};
    support_must(ratoon_run_apply(store, run.run, run.epoch, ops, 2, &error), &error);
}

static ratoon_created start_and_produce(void)
{
    ratoon_error error;
    uint32_t attempt = 0;
    ratoon_value value = {.key = "a", .data = "1", .size = 1};
    ratoon_created run = create();
    support_must(ratoon_stage_start(store, run.run, run.epoch, "first", &attempt, &error), &error);
    support_must(
        ratoon_stage_succeed(store, run.run, run.epoch, "first", attempt, &value, 1, &error),
        &error);
    return run;
}

/* The commits that are read for the state at an event. */
static uint64_t cost_at(ratoon_id run, unsigned event)
{
    char boundary[16];
    ratoon_state *state = NULL;
    ratoon_error error;
    snprintf(boundary, sizeof boundary, "%u", event);
    shown = 0;
    support_must(ratoon_state_at(store, run, boundary, &state, &error), &error);
    ck_assert_uint_eq(ratoon_state_count(state), 1);
    ratoon_state_free(state);
    return shown;
}

/* The most for any event in [from, to], without what is kept of the question before. */
static uint64_t cost_max(ratoon_id run, unsigned from, unsigned to)
{
    uint64_t worst = 0;
    for (unsigned event = from; event <= to; event++) {
        ratoon__past_forget(store, NULL);
        const uint64_t cost = cost_at(run, event);
        worst = cost > worst ? cost : worst;
    }
    return worst;
}

/* Of the commits that are read, so many find the place of an event; the rest is between a snapshot
 * and the boundary. */
enum { SEARCH_MAX = 8, SINCE_SNAPSHOT_MAX = 100 };

START_TEST(test_S08_a_rebuild_costs_the_same_in_a_long_history)
{
    ratoon_created run = start_and_produce(); /* events 1 to 3 */
    ratoon_error error;
    uint32_t attempt = 0;
    support_must(ratoon_stage_start(store, run.run, run.epoch, "second", &attempt, &error), &error);
    progress(run, "second", attempt, 300);
    uint64_t in_short = cost_max(run.run, 4, 300);
    progress(run, "second", attempt, 4700);
    uint64_t in_long = cost_max(run.run, 4700, 4999);
    ck_assert_uint_le(in_short, SEARCH_MAX + SINCE_SNAPSHOT_MAX);
    ck_assert_uint_le(in_long, in_short + SEARCH_MAX);
}
END_TEST

START_TEST(test_S08_a_rebuild_costs_the_same_in_a_deep_branch)
{
    ratoon_created run = start_and_produce();
    work_and_fail(run, 200);
    uint64_t in_root = cost_max(run.run, 4, 200);
    for (unsigned depth = 1; depth <= RATOON_DEPTH_DEFAULT; depth++) {
        ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
        ratoon_error error;
        options.parent = run.run;
        support_must(ratoon_retry_create(store, &options, &run, &error), &error);
        work_and_fail(run, 200);
    }
    ratoon_run_info info;
    ratoon_error error;
    support_must(ratoon_run_get(store, run.run, &info, &error), &error);
    ck_assert_uint_eq(info.depth, RATOON_DEPTH_DEFAULT);
    ck_assert_uint_le(in_root, SEARCH_MAX + SINCE_SNAPSHOT_MAX);
    /* Each run has 205 events or so; the last 200 are the deepest one's. */
    unsigned last = 3 + (RATOON_DEPTH_DEFAULT + 1) * 203 + RATOON_DEPTH_DEFAULT * 2;
    uint64_t in_deepest = cost_max(run.run, last - 199, last);
    ck_assert_uint_le(in_deepest, in_root + SEARCH_MAX);
}
END_TEST

/* ---- commits of many events ---- */

enum { COMMITS = 1500, SIZE_MAX_OF_ONE = 40 };

/* Events of commit i: mostly one, at times many, and long stretches of either. */
static unsigned size_of(unsigned i)
{
    return i / 400 % 2 == 1 ? 1 + i * 7 % SIZE_MAX_OF_ONE : i % 50 == 0 ? 20 : 1;
}

/* Reports that count up, and the number of the last one in each commit. */
static uint64_t report_in_groups(ratoon_created run, uint32_t attempt, uint64_t last_of[COMMITS])
{
    ratoon_op ops[SIZE_MAX_OF_ONE];
    ratoon_error error;
    uint64_t done = 0;
    for (unsigned i = 0; i < COMMITS; i++) {
        const unsigned size = size_of(i);
        for (unsigned k = 0; k < size; k++) {
            ops[k] = (ratoon_op){.kind = RATOON_OP_STAGE_PROGRESS,
                                 .stage = "second",
                                 .attempt = attempt,
                                 .done = ++done};
        }
        support_must(ratoon_run_apply(store, run.run, run.epoch, ops, size, &error), &error);
        last_of[i] = done;
    }
    return done;
}

/* A history of reports, and what a fold of all of it gives, without snapshots. */
typedef struct history {
    ratoon_created run;
    ratoon__lineage *now;
    uint64_t reports;
    uint64_t last_of[COMMITS];          /* report of each commit */
    ratoon_digest digests[COMMITS + 1]; /* of the commit before each, and of the last */
} history;
enum { BEFORE_REPORTS = 4 }; /* events, in as many commits */

static void make_history(history *h)
{
    ratoon_error error;
    uint32_t attempt = 0;
    h->run = start_and_produce();
    support_must(ratoon_stage_start(store, h->run.run, h->run.epoch, "second", &attempt, &error),
                 &error);
    h->reports = report_in_groups(h->run, attempt, h->last_of);
    support_must(ratoon__store_lineage(store, h->run.run, &h->now, &error), &error);
    ck_assert_uint_eq(h->now->events, BEFORE_REPORTS + h->reports);
    ratoon__lineage *all = ratoon__lineage_new(h->run.run);
    for (unsigned i = 0; i <= COMMITS; i++) {
        support_must(ratoon__store_fold_from(store, &all, BEFORE_REPORTS + i, &error), &error);
        h->digests[i] = all->head_digest;
    }
    ratoon__lineage_unref(all);
}

/* The projection right after a report; gives the number of commits that were read for it. */
static uint64_t check_report(const history *h, uint64_t report)
{
    ratoon__lineage *then = NULL;
    ratoon_error error;
    unsigned commit = 0; /* that the report is in */
    while (report > h->last_of[commit]) {
        commit++;
    }
    shown = 0;
    support_must(ratoon__store_lineage_at(store, h->now, BEFORE_REPORTS + report, &then, &error),
                 &error);
    ck_assert_uint_eq(then->events, BEFORE_REPORTS + report);
    ck_assert_uint_eq(ratoon__run_stage_at(then->runs[0], 1)->progress_done, report);
    /* Of the commits that are in it whole. */
    ck_assert_uint_eq(then->head, BEFORE_REPORTS + commit);
    ck_assert_mem_eq(&then->head_digest, &h->digests[commit], sizeof then->head_digest);
    ratoon__lineage_unref(then);
    return shown;
}

static void expect_limits_kept(void)
{
    size_t bytes = 0;
    ck_assert_uint_le(store->past.count, RATOON__PAST_KEPT);
    for (size_t i = 0; i < store->past.count; i++) {
        bytes += store->past.items[i].size;
    }
    ck_assert_uint_eq(store->past.bytes, bytes);
    ck_assert_uint_le(bytes, RATOON__PAST_BYTES);
}

/* Of two lineages alike, in turn. */
static void check_every_report(bool forgetting, uint64_t step)
{
    static history h, other;
    uint64_t worst = 0;
    make_history(&h);
    make_history(&other);
    for (uint64_t n = 1; n < h.reports; n++) {
        if (forgetting) {
            ratoon__past_forget(store, NULL);
        }
        const uint64_t cost =
            check_report(n % 2 == 0 ? &h : &other, 1 + n * step % (h.reports - 1));
        worst = cost > worst ? cost : worst;
        expect_limits_kept();
    }
    ck_assert_uint_le(worst, SEARCH_MAX + SINCE_SNAPSHOT_MAX);
    ratoon__lineage_unref(h.now);
    ratoon__lineage_unref(other.now);
}

START_TEST(test_S07_S08_every_event_among_commits_of_all_sizes)
{
    check_every_report(true, 1);
}
END_TEST

START_TEST(test_S07_S08_every_event_in_order_from_what_is_kept)
{
    check_every_report(false, 1);
}
END_TEST

START_TEST(test_S07_S08_every_event_in_no_order_from_what_is_kept)
{
    check_every_report(false, 7919);
}
END_TEST

enum { FAR = 16 }; /* commits */

START_TEST(test_S08_the_same_event_again_costs_one_commit)
{
    static history h;
    unsigned far = 0;
    make_history(&h);
    for (uint64_t n = 1; n < h.reports; n += 101) {
        ratoon__past_forget(store, NULL);
        if (check_report(&h, n) > FAR) {
            far++;
            ck_assert_uint_eq(check_report(&h, n), 1);
        }
        ck_assert_uint_le(check_report(&h, n), FAR);
    }
    ck_assert_uint_gt(far, 0);
    ratoon__lineage_unref(h.now);
}
END_TEST

/* How often the log is read for the state at an event. */
static unsigned reads_for(ratoon_id run, unsigned event)
{
    reads = 0;
    (void)cost_at(run, event);
    return reads;
}

/* Between commits of many events, which make it unclear where any event is. */
START_TEST(test_S08_what_is_kept_on_both_sides_tells_the_place)
{
    enum { MANY = 20, ALONE = 1000, FIRST = BEFORE_REPORTS + MANY * MANY };
    ratoon_created run = start_and_produce();
    ratoon_error error;
    uint32_t attempt = 0;
    support_must(ratoon_stage_start(store, run.run, run.epoch, "second", &attempt, &error), &error);
    for (unsigned i = 0; i < 2 * MANY; i++) {
        ratoon_op ops[MANY];
        for (unsigned k = 0; k < MANY; k++) {
            ops[k] = (ratoon_op){
                .kind = RATOON_OP_STAGE_PROGRESS, .stage = "second", .attempt = attempt, .done = k};
        }
        support_must(ratoon_run_apply(store, run.run, run.epoch, ops, MANY, &error), &error);
        if (i == MANY - 1) {
            progress(run, "second", attempt, ALONE);
        }
    }
    ck_assert_uint_gt(reads_for(run.run, FIRST + ALONE / 2), 1);
    ratoon__past_forget(store, NULL);
    ck_assert_uint_gt(reads_for(run.run, FIRST + ALONE / 10), 1);
    ck_assert_uint_gt(reads_for(run.run, FIRST + ALONE / 10 * 9), 1);
    ck_assert_uint_eq(reads_for(run.run, FIRST + ALONE / 2), 1);
}
END_TEST

/* ---- by many threads ---- */

enum { ASKING = 4, ASKED = 600 };

typedef struct asking {
    const history *h;
    uint64_t step;
    unsigned wrong;
} asking;

static void *ask_all(void *ctx)
{
    asking *a = ctx;
    for (uint64_t i = 1; i <= ASKED; i++) {
        const uint64_t report = 1 + i * a->step % (a->h->reports - 1);
        ratoon__lineage *then = NULL;
        if (ratoon__store_lineage_at(store, a->h->now, BEFORE_REPORTS + report, &then, NULL) !=
                RATOON_OK ||
            then->events != BEFORE_REPORTS + report ||
            ratoon__run_stage_at(then->runs[0], 1)->progress_done != report) {
            a->wrong++;
        }
        ratoon__lineage_unref(then);
        if (i % 100 == 0) {
            ratoon__past_forget(store, NULL);
        }
    }
    return NULL;
}

START_TEST(test_S07_events_asked_for_by_many_threads_at_once)
{
    static history h;
    const uint64_t steps[ASKING] = {1, 7919, 1, 104729}; /* some ask for the same */
    pthread_t threads[ASKING];
    asking a[ASKING];
    make_history(&h);
    ratoon__store_driver(store)->ops = real_ops;
    for (unsigned i = 0; i < ASKING; i++) {
        a[i] = (asking){.h = &h, .step = steps[i]};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_all, &a[i]), 0);
    }
    for (unsigned i = 0; i < ASKING; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(a[i].wrong, 0);
    }
    expect_limits_kept();
    ratoon__lineage_unref(h.now);
}
END_TEST

/* A version of a lineage that is all the same but for its id. */
static ratoon_id keep_one(uint8_t n, uint64_t upto, size_t size)
{
    const ratoon_id id = {{n, 1}};
    ratoon__lineage *l = ratoon__lineage_new(id);
    ratoon__past_keep(store, l, upto, size);
    ratoon__lineage_unref(l);
    return id;
}

static bool is_kept(ratoon_id id)
{
    uint64_t upto;
    ratoon__past_range range;
    ratoon__lineage *l = ratoon__past_near(store, id, 1, &upto, &range);
    ratoon__lineage_unref(l);
    return l != NULL;
}

START_TEST(test_S08_what_is_kept_is_limited_and_what_was_used_stays)
{
    const ratoon_id used = keep_one(0, 0, 1);
    const ratoon_id unused = keep_one(1, 0, 1);
    for (unsigned i = 2; i < RATOON__PAST_KEPT + 2; i++) {
        ck_assert(is_kept(used));
        (void)keep_one((uint8_t)i, 0, 1);
        expect_limits_kept();
    }
    ck_assert_uint_eq(store->past.count, RATOON__PAST_KEPT);
    ck_assert(is_kept(used));
    ck_assert(!is_kept(unused));
    for (unsigned i = 0; i < 9; i++) {
        const ratoon_id last = keep_one((uint8_t)(200 + i), 0, RATOON__PAST_BYTES / 4);
        expect_limits_kept();
        ck_assert(is_kept(last));
    }
    ck_assert_uint_eq(store->past.count, 4);
    ck_assert(!is_kept(keep_one(250, 0, RATOON__PAST_BYTES / 4 + 1)));
}
END_TEST

START_TEST(test_R20_nothing_of_a_deleted_lineage_is_kept)
{
    static history h;
    ratoon_run_status ended;
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_error error;
    make_history(&h);
    (void)check_report(&h, h.reports / 2);
    ck_assert_uint_gt(store->past.count, 0);
    ratoon__lineage_unref(h.now);
    support_must(ratoon_run_cancel(store, h.run.run, NULL, &ended, &error), &error);
    support_must(ratoon_run_finish(store, h.run.run, h.run.epoch, &ended, &error), &error);
    support_must(ratoon_lineage_delete(store, h.run.run, false, &deleted, &freed, &error), &error);
    ck_assert_uint_eq(store->past.count, 0);
}
END_TEST

START_TEST(test_S08_a_snapshot_that_fails_to_be_read_is_an_error)
{
    static uint64_t last_of[COMMITS];
    ratoon_created run = start_and_produce();
    ratoon_error error;
    uint32_t attempt = 0;
    unsigned failed = 0;
    support_must(ratoon_stage_start(store, run.run, run.epoch, "second", &attempt, &error), &error);
    const uint64_t events = 4 + report_in_groups(run, attempt, last_of);
    ratoon__lineage *now = NULL;
    support_must(ratoon__store_lineage(store, run.run, &now, &error), &error);
    counting_ops.snapshot_get = failing_snapshot_get;
    for (uint64_t event = 1; event < events; event++) {
        ratoon__lineage *then = NULL;
        ratoon__past_forget(store, NULL);
        snapshots_read = 0;
        const ratoon_status status = ratoon__store_lineage_at(store, now, event, &then, &error);
        ck_assert_int_eq(status, snapshots_read > 1 ? RATOON_ERR_IO : RATOON_OK);
        failed += status == RATOON_OK ? 0 : 1;
        if (status == RATOON_OK) {
            ck_assert_uint_eq(then->events, event);
            ratoon__lineage_unref(then);
        }
    }
    ck_assert_uint_gt(failed, 0);
    ratoon__lineage_unref(now);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rebuild");
    TCase *tc = tcase_create("cost");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_S08_a_rebuild_costs_the_same_in_a_long_history);
    tcase_add_test(tc, test_S08_a_rebuild_costs_the_same_in_a_deep_branch);
    tcase_add_test(tc, test_S07_S08_every_event_among_commits_of_all_sizes);
    tcase_add_test(tc, test_S07_S08_every_event_in_order_from_what_is_kept);
    tcase_add_test(tc, test_S07_S08_every_event_in_no_order_from_what_is_kept);
    tcase_add_test(tc, test_S08_the_same_event_again_costs_one_commit);
    tcase_add_test(tc, test_S08_what_is_kept_on_both_sides_tells_the_place);
    tcase_add_test(tc, test_S08_what_is_kept_is_limited_and_what_was_used_stays);
    tcase_add_test(tc, test_S07_events_asked_for_by_many_threads_at_once);
    tcase_add_test(tc, test_R20_nothing_of_a_deleted_lineage_is_kept);
    tcase_add_test(tc, test_S08_a_snapshot_that_fails_to_be_read_is_an_error);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
