/* A large store is verified by two threads, and they find what one does: the same report, word for
 * word, of a sound store and of a damaged one. */
#include "log/store_impl.h"
#include "log/thread.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char text[] = "pipeline: p\nstages:\n  - {name: first, run: [\"true\"]}\n";

enum { RUNS = 5, REPORTS = 900, COMMITS = RUNS * (REPORTS + 2), LARGE = 100000 };

static char *folder, *path;
static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_created runs[RUNS];

/* What reading is made to look like. */
static const ratoon__driver_ops *real_ops;
static ratoon__driver_ops hooked_ops;
static unsigned shown, threads_at_first, threads_at_last;
static unsigned altered, left_out, ends_at; /* the how manieth commit shown; 0: none */
static ratoon_status ends_with;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s", error->message);
}

static unsigned threads_count(void)
{
    DIR *tasks = opendir("/proc/self/task");
    unsigned count = 0;
    ck_assert_ptr_nonnull(tasks);
    for (const struct dirent *e; (e = readdir(tasks)) != NULL;) {
        count += e->d_name[0] != '.';
    }
    closedir(tasks);
    return count;
}

typedef struct passed {
    ratoon__commit_fn fn;
    void *ctx;
    ratoon_status status;
} passed;

static bool pass(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number, const void *data,
                 size_t size)
{
    passed *p = ctx;
    shown++;
    if (shown == 1) {
        threads_at_first = threads_count();
    }
    if (shown == COMMITS) {
        threads_at_last = threads_count();
    }
    if (shown == left_out) {
        return true;
    }
    if (shown == ends_at) {
        p->status = ends_with;
        return false;
    }
    if (shown != altered) {
        return p->fn(p->ctx, position, lineage, number, data, size);
    }
    uint8_t *other = malloc(size);
    ck_assert_ptr_nonnull(other);
    memcpy(other, data, size);
    other[size - 1] ^= 1;
    other[size / 2] ^= 1;
    const bool more = p->fn(p->ctx, position, lineage, number, other, size);
    free(other); /* so that nobody may count on it */
    return more;
}

static ratoon_status hooked_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                                 bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                                 ratoon_error *error)
{
    passed p = {fn, ctx, RATOON_OK};
    if (!verify) { /* one lineage, for another reason */
        return real_ops->read(d, lineage, from, one_lineage, verify, fn, ctx, error);
    }
    shown = 0;
    const ratoon_status status =
        real_ops->read(d, lineage, from, one_lineage, verify, pass, &p, error);
    return p.status != RATOON_OK ? ratoon__fail(error, p.status, "the disk is gone") : status;
}

static void fill_run(ratoon_created *run, char *large)
{
    ratoon_run_options o = RATOON_RUN_OPTIONS_INIT;
    ratoon_error error;
    uint32_t attempt;
    o.pipeline = pipeline;
    must(ratoon_run_create(store, &o, run, &error), &error);
    must(ratoon_stage_start(store, run->run, run->epoch, "first", &attempt, &error), &error);
    for (uint64_t i = 0; i < REPORTS; i++) {
        ratoon_op op = {.kind = RATOON_OP_STAGE_PROGRESS,
                        .stage = "first",
                        .attempt = attempt,
                        .done = i,
                        .text = i % 300 < 4 ? large : "here"}; /* batches end with few commits */
        must(ratoon_run_apply(store, run->run, run->epoch, &op, 1, &error), &error);
    }
}

static void setup(void)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_error error = {0};
    char *large = malloc(LARGE + 1);
    folder = support_temp_dir("verify_two");
    path = support_path_join(folder, "store");
    must(ratoon_store_create(path, NULL, &error), &error);
    must(ratoon_pipeline_parse("p", text, strlen(text), NULL, &pipeline, &error), &error);
    options.durability = RATOON_DURABILITY_NONE;
    must(ratoon_store_open(path, &options, &store, &error), &error);
    ck_assert_ptr_nonnull(large);
    memset(large, 'x', LARGE);
    large[LARGE] = '\0';
    for (size_t i = 0; i < RUNS; i++) {
        fill_run(&runs[i], large);
    }
    free(large);
    ratoon__driver *d = ratoon__store_driver(store);
    real_ops = d->ops;
    hooked_ops = *real_ops;
    hooked_ops.read = hooked_read;
    d->ops = &hooked_ops;
    altered = left_out = ends_at = 0;
    ends_with = RATOON_OK;
}

static void teardown(void)
{
    ratoon__store_driver(store)->ops = real_ops;
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
    free(path);
}

/* The report, or what was said instead of one; the caller's to free. */
static char *verified(size_t *problems)
{
    ratoon_buffer report = {0};
    ratoon_error error = {0};
    const ratoon_status status = ratoon_verify(store, (ratoon_id){{0}}, &report, problems, &error);
    char *said = strdup(status == RATOON_OK ? report.data : error.message);
    ck_assert_ptr_nonnull(said);
    ratoon_buffer_free(&report);
    return said;
}

/* Gives how many problems both find. */
static size_t expect_same(void)
{
    size_t of_two = 0, of_one = 0;
    char *two = verified(&of_two);
    if (ends_at == 0) {
        ck_assert_uint_eq(shown, COMMITS);
        ck_assert_uint_eq(threads_at_last, threads_at_first + (ratoon__two_processors() ? 1 : 0));
    }
    support_one_processor(true);
    char *one = verified(&of_one);
    support_one_processor(false);
    if (ends_at == 0) {
        ck_assert_uint_eq(threads_at_last, threads_at_first);
    }
    ck_assert_str_eq(two, one);
    ck_assert_uint_eq(of_two, of_one);
    free(one);
    free(two);
    return of_two;
}

START_TEST(test_Q01_two_threads_verify_what_one_does)
{
    ck_assert_uint_eq(expect_same(), 0);
}
END_TEST

static const unsigned places[] = {1, 32, 33, 1000, 2048, 2049, 2080, 3333, COMMITS - 1, COMMITS};
enum { PLACES = sizeof places / sizeof *places };

START_TEST(test_Q01_two_threads_find_an_altered_commit)
{
    altered = places[_i];
    ck_assert_uint_ge(expect_same(), altered < COMMITS ? 1 : 0); /* nothing names the last one */
}
END_TEST

START_TEST(test_Q01_two_threads_find_a_missing_commit)
{
    left_out = places[_i];
    ck_assert_uint_ge(expect_same(), 1);
}
END_TEST

/* What comes before is looked at: that one is missing there shows. */
START_TEST(test_Q01_two_threads_verify_until_reading_fails)
{
    ends_at = places[_i];
    ends_with = RATOON_ERR_DAMAGED;
    left_out = ends_at - 1;
    ck_assert_uint_ge(expect_same(), left_out == 0 ? 1 : 2);
    ends_with = RATOON_ERR_IO;
    (void)expect_same();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("verify_two");
    TCase *t = tcase_create("threads");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 0);
    tcase_add_test(t, test_Q01_two_threads_verify_what_one_does);
    tcase_add_loop_test(t, test_Q01_two_threads_find_an_altered_commit, 0, PLACES);
    tcase_add_loop_test(t, test_Q01_two_threads_find_a_missing_commit, 0, PLACES);
    tcase_add_loop_test(t, test_Q01_two_threads_verify_until_reading_fails, 0, PLACES);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
