/* Idempotency keys of retries (R09), through the public interface. */
#include "tests/support/support.h"

#include <ratoon.h>
#include <string.h>

static const char one_stage[] = "pipeline: one\n"
                                "stages:\n"
                                "  - {name: only, run: [\"true\"]}\n";

static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_id failed;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static void setup(void)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_run_options run = RATOON_RUN_OPTIONS_INIT;
    ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "exit 3"};
    ratoon_run_status status = 0;
    ratoon_created created;
    ratoon_error error;
    uint32_t attempt = 0;
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &store, &error), &error);
    must(ratoon_pipeline_parse("test.yaml", one_stage, strlen(one_stage), NULL, &pipeline, &error),
         &error);
    run.pipeline = pipeline;
    must(ratoon_run_create(store, &run, &created, &error), &error);
    failed = created.run;
    must(ratoon_stage_start(store, failed, created.epoch, "only", &attempt, &error), &error);
    must(ratoon_stage_fail(store, failed, created.epoch, "only", attempt, &failure, &error),
         &error);
    must(ratoon_run_finish(store, failed, created.epoch, &status, &error), &error);
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
}

START_TEST(test_R09_taken_key_goes_before_a_parent_that_does_not_exist)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created first, second;
    ratoon_error error;
    options.parent = failed;
    options.key = "again";
    must(ratoon_retry_create(store, &options, &first, &error), &error);
    options.parent = (ratoon_id){{1}};
    ck_assert_int_eq(ratoon_retry_create(store, &options, &second, &error), RATOON_ERR_KEY_REUSED);
    ck_assert(ratoon_id_equal(error.other, first.run));
    options.key = "another";
    ck_assert_int_eq(ratoon_retry_create(store, &options, &second, &error), RATOON_ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_R09_items_mode_asked_for_is_part_of_the_request)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.parent = failed;
    options.key = "again";
    must(ratoon_retry_create(store, &options, &created, &error), &error);
    must(ratoon_retry_create(store, &options, &created, &error), &error);
    ck_assert(created.repeated);
    options.items_given = true;
    ck_assert_int_eq(ratoon_retry_create(store, &options, &created, &error), RATOON_ERR_KEY_REUSED);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("request_key");
    TCase *tc = tcase_create("retry");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_R09_taken_key_goes_before_a_parent_that_does_not_exist);
    tcase_add_test(tc, test_R09_items_mode_asked_for_is_part_of_the_request);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
