/* A long history that two threads read is folded to what one makes of it, whatever happens. */
#include "log/codec.h"
#include "log/store_impl.h"
#include "log/thread.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "pipeline: p\nstages:\n  - {name: first, run: [\"true\"]}\n";

enum { COMMITS = 4000, LARGE_EVERY = 500, LARGE = 60000 };

static char *folder, *path;
static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_created run;
static uint64_t head;

static const ratoon__driver_ops *real_ops;
static ratoon__driver_ops hooked_ops;
static pthread_t caller;
static _Atomic unsigned reads_of_caller, reads_of_other, shown_to_other;
static unsigned reads_of_one; /* of all that there is, one commit after the other */

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s", error->message);
}

static ratoon_status counted_ranges(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                    ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    atomic_fetch_add(pthread_equal(pthread_self(), caller) ? &reads_of_caller : &reads_of_other, 1);
    return real_ops->read_ranges(d, lineage, next, fn, ctx, error);
}

static ratoon_status counted_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                                  bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                                  ratoon_error *error)
{
    reads_of_one++;
    return real_ops->read(d, lineage, from, one_lineage, verify, fn, ctx, error);
}

static void report(uint64_t i, const char *message)
{
    ratoon_error error;
    ratoon_op op = {.kind = RATOON_OP_STAGE_PROGRESS,
                    .stage = "first",
                    .attempt = 1,
                    .done = i,
                    .text = message};
    must(ratoon_run_apply(store, run.run, run.epoch, &op, 1, &error), &error);
}

/* Mostly small commits, and at times so many large ones in a row that a unit is not all copied. */
static void write_history(void)
{
    static char large[LARGE + 1];
    ratoon_error error;
    uint32_t attempt;
    memset(large, 'x', LARGE);
    must(ratoon_stage_start(store, run.run, run.epoch, "first", &attempt, &error), &error);
    for (uint64_t i = 0; i < COMMITS; i++) {
        const bool in_a_row = i / LARGE_EVERY % 2 == 1 && i % LARGE_EVERY < 20;
        report(i, in_a_row ? large : i % 3 == 0 ? "a third" : NULL);
    }
}

static void open_hooked(void)
{
    ratoon_error error;
    must(ratoon_store_open(path, NULL, &store, &error), &error);
    ratoon__driver *d = ratoon__store_driver(store);
    real_ops = d->ops;
    hooked_ops = *real_ops;
    hooked_ops.read_ranges = counted_ranges;
    hooked_ops.read = counted_read;
    d->ops = &hooked_ops;
    caller = pthread_self();
    reads_of_caller = reads_of_other = shown_to_other = reads_of_one = 0;
}

static void setup(void)
{
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_error error = {0};
    folder = support_temp_dir("fold_by_two");
    path = support_path_join(folder, "store");
    must(ratoon_store_create(path, NULL, &error), &error);
    must(ratoon_pipeline_parse("p", text, strlen(text), NULL, &pipeline, &error), &error);
    options.durability = RATOON_DURABILITY_NONE;
    must(ratoon_store_open(path, &options, &store, &error), &error);
    o.pipeline = pipeline;
    must(ratoon_run_create(store, &o, &run, &error), &error);
    write_history();
    ratoon_store_close(store);
    open_hooked();
    ratoon__driver *d = ratoon__store_driver(store);
    must(d->ops->head(d, run.run, &head, &error), &error);
    ck_assert_uint_ge(head, COMMITS);
}

static void teardown(void)
{
    ratoon__store_driver(store)->ops = real_ops;
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
    free(path);
}

/* Folds up to commit `to`, from behind `from` if it is given. */
static ratoon__lineage *folded(const ratoon__lineage *from, uint64_t to)
{
    ratoon_error error = {0};
    ratoon__lineage *l = from != NULL ? ratoon__lineage_ref(from) : ratoon__lineage_new(run.run);
    must(ratoon__store_fold_from(store, &l, to, &error), &error);
    return l;
}

/* By one thread: in steps that are too short for two. */
static ratoon__lineage *by_one(uint64_t to)
{
    ratoon__lineage *l = ratoon__lineage_new(run.run);
    const unsigned before = reads_of_caller;
    while (l->head < to) {
        ratoon__lineage *more = folded(l, to - l->head < 500 ? to : l->head + 500);
        ratoon__lineage_unref(l);
        l = more;
    }
    ck_assert_uint_eq(reads_of_caller, before);
    return l;
}

/* Takes `l`. */
static void expect_same(ratoon__lineage *l, uint64_t to)
{
    ratoon__buf difference = {0};
    ratoon__lineage *expected = by_one(to);
    ck_assert_uint_eq(l->head, to);
    ck_assert_mem_eq(&l->head_digest, &expected->head_digest, sizeof l->head_digest);
    ck_assert_msg(ratoon__lineage_equal(l, expected, &difference), "%s", difference.data);
    ratoon__lineage_unref(expected);
    ratoon__lineage_unref(l);
    ratoon__buf_free(&difference);
}

START_TEST(test_S07_two_threads_fold_what_one_does)
{
    const uint64_t ends[] = {2048, 2049, 2303, 2304, 2305, 3000, COMMITS - 1, head};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        reads_of_one = 0;
        ratoon__lineage *l = folded(NULL, ends[i]);
        if (ratoon__two_processors()) {
            ck_assert_uint_eq(reads_of_caller, i + 1);
            ck_assert_uint_eq(reads_of_other, i + 1);
            ck_assert_uint_eq(reads_of_one, 0);
        }
        expect_same(l, ends[i]);
    }
    expect_same(folded(NULL, 0), head);
    expect_same(folded(NULL, head + 10), head);
}
END_TEST

START_TEST(test_S07_two_threads_go_on_from_a_version_that_somebody_holds)
{
    ratoon__lineage *held = by_one(700);
    expect_same(folded(held, 0), head);
    ck_assert_uint_eq(held->head, 700);
    expect_same(held, 700);
}
END_TEST

START_TEST(test_S07_on_one_processor_one_thread_folds)
{
    support_one_processor(true);
    ratoon__lineage *l = folded(NULL, 0);
    support_one_processor(false);
    ck_assert_uint_eq(reads_of_caller, 0);
    expect_same(l, head);
}
END_TEST

/* ---- where something goes wrong, one thread does it all again ---- */

typedef struct passed {
    ratoon__range_fn next;
    ratoon__commit_fn fn;
    void *ctx;
    bool other;
    unsigned ranges;
} passed;

static bool passed_next(void *ctx, uint64_t *from, uint64_t *to)
{
    passed *p = ctx;
    p->ranges++;
    return p->next(p->ctx, from, to);
}

static bool passed_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                          const void *data, size_t size)
{
    passed *p = ctx;
    if (p->other && p->ranges > 1 && atomic_fetch_add(&shown_to_other, 1) == 0) {
        return true; /* one is left out */
    }
    return p->fn(p->ctx, position, lineage, number, data, size);
}

static ratoon_status leaving_out(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                 ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    passed p = {next, fn, ctx, !pthread_equal(pthread_self(), caller), 0};
    return real_ops->read_ranges(d, lineage, passed_next, passed_commit, &p, error);
}

static bool few_ranges(void *ctx, uint64_t *from, uint64_t *to)
{
    passed *p = ctx;
    return p->ranges++ < 2 && p->next(p->ctx, from, to);
}

static ratoon_status failing(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                             ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    passed p = {.next = next, .ctx = ctx};
    (void)d, (void)lineage, (void)fn;
    uint64_t from, to;
    while (few_ranges(&p, &from, &to)) {
    }
    return ratoon__fail(error, RATOON_ERR_IO, "the disk is gone");
}

static ratoon_status failing_for_other(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                       ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    return (pthread_equal(pthread_self(), caller) ? real_ops->read_ranges
                                                  : failing)(d, lineage, next, fn, ctx, error);
}

static ratoon_status failing_for_caller(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                        ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    return (pthread_equal(pthread_self(), caller) ? failing : real_ops->read_ranges)(
        d, lineage, next, fn, ctx, error);
}

static ratoon_status idle_for_other(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                    ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    return pthread_equal(pthread_self(), caller)
               ? real_ops->read_ranges(d, lineage, next, fn, ctx, error)
               : RATOON_OK;
}

static ratoon_status unsupported(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                 ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    (void)d, (void)lineage, (void)next, (void)fn, (void)ctx, (void)error;
    return RATOON_ERR_UNSUPPORTED;
}

START_TEST(test_S07_a_reader_that_fails_changes_nothing)
{
    ratoon_status (*const ways[])(ratoon__driver *, ratoon_id, ratoon__range_fn, ratoon__commit_fn,
                                  void *, ratoon_error *) = {
        leaving_out, failing, failing_for_other, failing_for_caller, idle_for_other,
        unsupported, NULL};
    hooked_ops.read_ranges = ways[_i];
    for (unsigned i = 0; i < 20; i++) {
        shown_to_other = reads_of_one = 0;
        ratoon__lineage *l = folded(NULL, 0);
        ck_assert_uint_eq(l->head, head);
        if (ways[_i] == failing || ways[_i] == failing_for_caller || ways[_i] == unsupported) {
            ck_assert_uint_eq(reads_of_one, 1);
        } /* else the caller may have been done before the other began */
        if (i == 0) {
            expect_same(l, head);
        } else {
            ratoon__lineage_unref(l);
        }
    }
}
END_TEST

/* ---- a damaged log: two threads find what one does ---- */

/* Commits that are shown in place of others. */
enum { FORGED_MAX = 2, UNIT = 256, UNITS_BEFORE = 9, WAIT_MS = 2000 };
static struct {
    uint64_t number;
    void *data;
    size_t size;
} forged[FORGED_MAX];
static unsigned forged_count;
static uint64_t far_head;                    /* said to be the head; 0: the real one is */
static _Atomic uint64_t caller_at, waits_at; /* the caller's unit begins there; it waits at one */
static _Atomic bool other_is_done;
static _Atomic unsigned ranges;

typedef struct shown {
    uint64_t number;
    ratoon__commit *commit;
    ratoon__arena arena;
    void *bytes;
} shown;

static bool show_one(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                     const void *data, size_t size)
{
    shown *w = ctx;
    ratoon_error error;
    (void)position, (void)lineage;
    if (number == w->number) {
        w->bytes = ratoon__arena_memdup(&w->arena, data, size);
        must(ratoon__commit_decode(w->bytes, size, &w->arena, w->commit, &error), &error);
    }
    return number < w->number;
}

/* Another commit under that number: with `change` made to what is there. */
static void forge(uint64_t number, void (*change)(ratoon__commit *, ratoon__event *))
{
    ratoon__driver *d = ratoon__store_driver(store);
    ratoon__encoder *encoder = ratoon__encoder_new();
    ratoon__commit commit = {0};
    ratoon_error error;
    shown w = {.number = number, .commit = &commit};
    const void *data;
    size_t size;
    must(real_ops->read(d, run.run, number, true, false, show_one, &w, &error), &error);
    ck_assert_uint_eq(commit.events_count, 1);
    ratoon__event event = commit.events[0];
    commit.events = &event;
    change(&commit, &event);
    must(ratoon__commit_encode(encoder, &commit, &data, &size, &error), &error);
    forged[forged_count].number = number;
    forged[forged_count].data = malloc(size);
    memcpy(forged[forged_count].data, data, size);
    forged[forged_count++].size = size;
    ratoon__encoder_free(encoder);
    ratoon__arena_free(&w.arena);
}

static void of_another_run(ratoon__commit *c, ratoon__event *e)
{
    (void)c;
    e->run.bytes[3] ^= 1;
}

static void of_another_number(ratoon__commit *c, ratoon__event *e)
{
    (void)e;
    c->number += 1000;
}

static void mark_of_deletion(ratoon__commit *c, ratoon__event *e)
{
    *e = (ratoon__event){.type = RATOON__EVENT_LINEAGE_DELETED, .run = e->run};
    e->u.deleted.commits = c->number - 1;
    e->u.deleted.events = c->first_event - 1;
    e->u.deleted.runs = 1;
}

static int other_has_done(void *ctx)
{
    (void)ctx;
    return other_is_done;
}

static int caller_is_there(void *ctx)
{
    (void)ctx;
    return waits_at == 0 || (caller_at <= waits_at && waits_at < caller_at + UNIT);
}

static bool forged_next(void *ctx, uint64_t *from, uint64_t *to)
{
    passed *p = ctx;
    if (p->other && p->ranges == 0) { /* not before the caller has the unit where it waits */
        (void)support_wait_until(caller_is_there, NULL, WAIT_MS);
    }
    if (p->other && p->ranges == 1) {
        other_is_done = true; /* with its first one */
    }
    p->ranges++;
    atomic_fetch_add(&ranges, 1);
    const bool more = p->next(p->ctx, from, to);
    if (!p->other && more) {
        caller_at = *from;
    }
    return more;
}

static bool forged_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                          const void *data, size_t size)
{
    passed *p = ctx;
    if (!p->other && number == waits_at) {
        (void)support_wait_until(other_has_done, NULL, WAIT_MS);
    }
    for (unsigned i = 0; i < forged_count; i++) {
        if (number == forged[i].number) {
            return p->fn(p->ctx, position, lineage, number, forged[i].data, forged[i].size);
        }
    }
    return p->fn(p->ctx, position, lineage, number, data, size);
}

static ratoon_status forged_ranges(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                   ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    passed p = {next, fn, ctx, !pthread_equal(pthread_self(), caller), 0};
    return real_ops->read_ranges(d, lineage, forged_next, forged_commit, &p, error);
}

static ratoon_status forged_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                                 bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                                 ratoon_error *error)
{
    passed p = {.fn = fn, .ctx = ctx, .other = true};
    return real_ops->read(d, lineage, from, one_lineage, verify, forged_commit, &p, error);
}

static ratoon_status forged_head(ratoon__driver *d, ratoon_id lineage, uint64_t *number,
                                 ratoon_error *error)
{
    const ratoon_status status = real_ops->head(d, lineage, number, error);
    *number = far_head != 0 ? far_head : *number;
    return status;
}

static void setup_forged(void)
{
    setup();
    hooked_ops.read_ranges = forged_ranges;
    hooked_ops.read = forged_read;
    hooked_ops.head = forged_head;
    forged_count = 0;
    far_head = 0;
    ranges = 0;
    caller_at = 0;
    other_is_done = false;
    waits_at = UNITS_BEFORE * UNIT + 100; /* in the last unit but one */
}

static void teardown_forged(void)
{
    teardown();
    for (unsigned i = 0; i < forged_count; i++) {
        free(forged[i].data);
    }
}

START_TEST(test_S07_two_threads_find_the_damage_that_one_does)
{
    ratoon_error one = {0}, two = {0};
    ratoon__lineage *l = ratoon__lineage_new(run.run);
    const uint64_t last = (UNITS_BEFORE + 1) * UNIT + 1; /* a unit of its own */
    forge(waits_at, _i == 0 ? of_another_run : of_another_number);
    forge(last, mark_of_deletion);
    ck_assert_int_eq(ratoon__store_fold_from(store, &l, last, &two), RATOON_ERR_DAMAGED);
    ratoon__lineage_unref(l);
    hooked_ops.read_ranges = NULL;
    l = ratoon__lineage_new(run.run);
    ck_assert_int_eq(ratoon__store_fold_from(store, &l, last, &one), RATOON_ERR_DAMAGED);
    ck_assert_str_eq(two.message, one.message);
    ratoon__lineage_unref(l);
}
END_TEST

/* The head is what stands in the log, where somebody may have put anything. */
START_TEST(test_S07_two_threads_do_not_look_for_what_is_not_there)
{
    waits_at = 0;
    far_head = UINT64_C(1) << 40;
    ratoon__lineage *l = folded(NULL, 0);
    ck_assert_uint_eq(l->head, head);
    ck_assert_uint_le(ranges, 2 * (COMMITS / UNIT + 10));
    ratoon__lineage_unref(l);
}
END_TEST

static Suite *fold_by_two_suite(void)
{
    Suite *s = suite_create("fold_by_two");
    TCase *t = tcase_create("fold_by_two");
    tcase_set_timeout(t, 0);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_S07_two_threads_fold_what_one_does);
    tcase_add_test(t, test_S07_two_threads_go_on_from_a_version_that_somebody_holds);
    tcase_add_test(t, test_S07_on_one_processor_one_thread_folds);
    tcase_add_loop_test(t, test_S07_a_reader_that_fails_changes_nothing, 0, 7);
    suite_add_tcase(s, t);
    t = tcase_create("damaged");
    tcase_set_timeout(t, 0);
    tcase_add_checked_fixture(t, setup_forged, teardown_forged);
    tcase_add_loop_test(t, test_S07_two_threads_find_the_damage_that_one_does, 0, 2);
    tcase_add_test(t, test_S07_two_threads_do_not_look_for_what_is_not_there);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(fold_by_two_suite)
