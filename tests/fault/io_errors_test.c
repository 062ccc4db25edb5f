/* Single failures that tests/iofault found to be taken for something else, or worse. */
#include "tests/support/support.h"

#include <ratoon.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char text[] = "pipeline: one\n"
                           "params: {token: {type: string, secret: true}}\n"
                           "stages:\n"
                           "  - {name: only, run: [\"true\"]}\n";

static char *folder;
static char *path;
static ratoon_store *store;
static ratoon_pipeline *pipeline;

static void open_store(ratoon_durability mode)
{
    ratoon_error error = {0};
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.no_serve = true;
    options.durability = mode;
    options.interval_ms = 1;
    ck_assert_msg(ratoon_store_open(path, &options, &store, &error) == RATOON_OK, "%s",
                  error.message);
}

static void setup(void)
{
    ratoon_error error = {0};
    folder = support_temp_dir("io_errors");
    path = support_path_join(folder, "store");
    ck_assert_int_eq(ratoon_store_create(path, NULL, &error), RATOON_OK);
    ck_assert_int_eq(ratoon_pipeline_parse("one.yaml", text, strlen(text), NULL, &pipeline, &error),
                     RATOON_OK);
}

static void teardown(void)
{
    ratoon_pipeline_free(pipeline);
    free(path);
    support_temp_dir_free(folder);
}

static ratoon_status create_with(const ratoon_value *state, ratoon_created *run,
                                 ratoon_error *error)
{
    const ratoon_pair token = {"token", "hush, hush"};
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    options.pipeline = pipeline;
    options.params = &token;
    options.params_count = 1;
    options.state = state;
    options.state_count = state != NULL ? 1 : 0;
    return ratoon_run_create(store, &options, run, error);
}

static ratoon_status create(ratoon_created *run, ratoon_error *error)
{
    return create_with(NULL, run, error);
}

static void limit(__rlimit_resource_t resource, rlim_t value, struct rlimit *before)
{
    ck_assert_int_eq(getrlimit(resource, before), 0);
    const struct rlimit less = {.rlim_cur = value, .rlim_max = before->rlim_max};
    ck_assert_int_eq(setrlimit(resource, &less), 0);
}

START_TEST(test_E08_key_that_cannot_be_opened_just_now_is_no_damage)
{
    ratoon_error error = {0};
    ratoon_created run;
    struct rlimit before;
    open_store(RATOON_DURABILITY_SYNC);
    ck_assert_int_eq(create(&run, &error), RATOON_OK);
    ratoon_store_close(store);
    open_store(RATOON_DURABILITY_SYNC); /* the key is not in memory yet */
    limit(RLIMIT_NOFILE, 0, &before);
    const ratoon_status status = create(&run, &error);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_msg(status == RATOON_ERR_IO, "%s: %s", ratoon_status_name(status), error.message);
    ck_assert_int_eq(create(&run, &error), RATOON_OK);
    ratoon_store_close(store);
}
END_TEST

/* A failure is synced in mode `interval` too (L06), and the clock syncs the log beside it: when the
 * write of one fails, the other must not run into it, which would end the process. */
START_TEST(test_L11_clock_that_syncs_beside_a_failed_write_gets_an_error_too)
{
    ratoon_error error = {0};
    struct rlimit before;
    ratoon_created run;
    open_store(RATOON_DURABILITY_INTERVAL);
    (void)signal(SIGXFSZ, SIG_IGN);
    limit(RLIMIT_FSIZE, 40000, &before);
    ratoon_status status = RATOON_OK;
    for (int i = 0; i < 1000 && status == RATOON_OK; i++) {
        const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION,
                                        .message = "by design"};
        uint32_t attempt;
        status = create(&run, &error);
        if (status == RATOON_OK) {
            status = ratoon_stage_start(store, run.run, run.epoch, "only", &attempt, &error);
        }
        if (status == RATOON_OK) {
            status =
                ratoon_stage_fail(store, run.run, run.epoch, "only", attempt, &failure, &error);
        }
    }
    ck_assert_msg(status == RATOON_ERR_IO || status == RATOON_ERR_READ_ONLY, "%s: %s",
                  ratoon_status_name(status), error.message);
    ck_assert_int_eq(create(&run, &error), RATOON_ERR_READ_ONLY);
    ck_assert_ptr_nonnull(strstr(error.hint, "open it again"));
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    ratoon_store_close(store);
    open_store(RATOON_DURABILITY_INTERVAL);
    ck_assert_int_eq(create(&run, &error), RATOON_OK);
    ratoon_store_close(store);
}
END_TEST

START_TEST(test_lock_that_cannot_be_opened_is_not_another_process)
{
    ratoon_error error = {0};
    const ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    char *lock = support_path_join(path, "db/LOCK");
    support_remove(lock);
    ck_assert_int_eq(mkdir(lock, 0700), 0);
    const ratoon_status status = ratoon_store_open(path, &options, &store, &error);
    ck_assert_msg(status == RATOON_ERR_IO, "%s: %s", ratoon_status_name(status), error.message);
    free(lock);
}
END_TEST

/* What can't be looked at just now is neither missing nor changed: a backup must not be called
 * damaged for it. */
START_TEST(test_Q01_verification_that_cannot_open_a_file_finds_no_problem_in_it)
{
    static char large[20000];
    const size_t size = _i == 0 ? 1 : sizeof large; /* in the log; in a file of its own */
    ratoon_error error = {0};
    ratoon_created run;
    ratoon_buffer report = {0};
    size_t problems = 0;
    struct rlimit before;
    memset(large, 'a', sizeof large);
    const ratoon_value state = {.key = "large", .data = large, .size = size};
    open_store(RATOON_DURABILITY_SYNC);
    ck_assert_int_eq(create_with(&state, &run, &error), RATOON_OK);
    ratoon_store_close(store);
    open_store(RATOON_DURABILITY_SYNC); /* writes what is in the log to files */
    ratoon_store_close(store);
    open_store(RATOON_DURABILITY_SYNC);
    /* Of the whole store, the key too; of one lineage, its value alone. */
    const ratoon_id which = _i == 0 ? (ratoon_id){{0}} : run.run;
    limit(RLIMIT_NOFILE, 0, &before);
    const ratoon_status status = ratoon_verify(store, which, &report, &problems, &error);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_msg(status == RATOON_ERR_IO, "%s, %zu problems: %s %s", ratoon_status_name(status),
                  problems, error.message, report.data != NULL ? report.data : "");
    ck_assert_ptr_nonnull(strstr(error.message, "Too many open files"));
    ck_assert_int_eq(ratoon_verify(store, which, &report, &problems, &error), RATOON_OK);
    ck_assert_uint_eq(problems, 0);
    ratoon_buffer_free(&report);
    ratoon_store_close(store);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("io_errors");
    TCase *tc = tcase_create("io_errors");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_E08_key_that_cannot_be_opened_just_now_is_no_damage);
    tcase_add_loop_test(tc, test_L11_clock_that_syncs_beside_a_failed_write_gets_an_error_too, 0,
                        20);
    tcase_add_test(tc, test_lock_that_cannot_be_opened_is_not_another_process);
    tcase_add_loop_test(tc, test_Q01_verification_that_cannot_open_a_file_finds_no_problem_in_it, 0,
                        2);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
