/* Files that values stand for: a retry looks at those of all that its branch starts from (S10),
 * wherever they come from, and at no others. */
#include "tests/support/memory_store.h"
#include "tests/support/support.h"

#include <ratoon.h>
#include <stdlib.h>
#include <string.h>

#define FILE_TYPE "application/vnd.ratoon.file+json"
#define FILES_TYPE "application/vnd.ratoon.files+json"
#define MISSING                                                                                    \
    "{\"file\":\"/nonexistent/of/this/test\",\"size\":1,\"sha256\":"                               \
    "\"0000000000000000000000000000000000000000000000000000000000000000\"}"

static const char stages[] = "pipeline: files\n"
                             "stages:\n"
                             "  - {name: first, run: [\"true\"]}\n"
                             "  - {name: second, run: [\"true\"]}\n"
                             "  - {name: third, run: [\"true\"]}\n";
static const char committing[] = "pipeline: files\n"
                                 "stages:\n"
                                 "  - {name: first, run: [\"true\"]}\n"
                                 "  - {name: second, run: [\"true\"], commits: true}\n";

static const ratoon_value file = {
    .key = "page", .data = MISSING, .size = sizeof MISSING - 1, .media_type = FILE_TYPE};
static const ratoon_value files = {.key = "pages",
                                   .data = "{\"one\":" MISSING "}",
                                   .size = sizeof MISSING - 1 + 8,
                                   .media_type = FILES_TYPE};

static ratoon_store *store;
static ratoon_pipeline *pipeline;

static void setup(void)
{
    store = support_memory_store();
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    store = NULL;
    pipeline = NULL;
}

static ratoon_created create(const char *definition, const ratoon_value *state)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    support_must(
        ratoon_pipeline_parse("test.yaml", definition, strlen(definition), NULL, &pipeline, &error),
        &error);
    options.pipeline = pipeline;
    options.state = state;
    options.state_count = state != NULL ? 1 : 0;
    support_must(ratoon_run_create(store, &options, &created, &error), &error);
    return created;
}

/* A stage runs and ends, with one output or none. */
static void end(ratoon_created run, const char *stage, ratoon_stage_status status,
                const ratoon_value *output)
{
    ratoon_error error;
    uint32_t attempt = 0;
    const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "exit 3"};
    support_must(ratoon_stage_start(store, run.run, run.epoch, stage, &attempt, &error), &error);
    ratoon_op op = {.kind = RATOON_OP_STAGE_END,
                    .stage = stage,
                    .attempt = attempt,
                    .status = status,
                    .outputs = output,
                    .outputs_count = output != NULL ? 1 : 0,
                    .failure = status == RATOON_STAGE_FAILED ? &failure : NULL};
    support_must(ratoon_run_apply(store, run.run, run.epoch, &op, 1, &error), &error);
}

static void finish(ratoon_created run)
{
    ratoon_error error;
    ratoon_run_status status;
    support_must(ratoon_run_finish(store, run.run, run.epoch, &status, &error), &error);
}

static ratoon_retry_options retry_of(ratoon_created parent)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    options.parent = parent.run;
    return options;
}

static ratoon_created retry(const ratoon_retry_options *options)
{
    ratoon_created created;
    ratoon_error error;
    support_must(ratoon_retry_create(store, options, &created, &error), &error);
    return created;
}

/* The file is missing: refused, unless that is accepted. */
static void expect_checked(ratoon_retry_options options, const char *key)
{
    ratoon_created created;
    ratoon_error error;
    ck_assert_int_eq(ratoon_retry_create(store, &options, &created, &error),
                     RATOON_ERR_FILE_CHANGED);
    ck_assert_ptr_nonnull(strstr(error.message, key));
    options.accept_changes = true;
    (void)retry(&options);
}

START_TEST(test_S10_retry_checks_the_initial_state)
{
    ratoon_created run = create(stages, &file);
    end(run, "first", RATOON_STAGE_FAILED, NULL);
    finish(run);
    expect_checked(retry_of(run), "page");
}
END_TEST

START_TEST(test_S10_retry_checks_outputs_of_reused_stages)
{
    ratoon_created run = create(stages, NULL);
    end(run, "first", RATOON_STAGE_SUCCEEDED, &file);
    end(run, "second", RATOON_STAGE_FAILED, NULL);
    finish(run);
    expect_checked(retry_of(run), "page");
}
END_TEST

START_TEST(test_S10_retry_checks_files_of_items)
{
    ratoon_created run = create(stages, NULL);
    end(run, "first", RATOON_STAGE_DEGRADED, &files);
    end(run, "second", RATOON_STAGE_FAILED, NULL);
    finish(run);
    expect_checked(retry_of(run), "pages");
}
END_TEST

START_TEST(test_S10_retry_checks_partial_outputs_only_where_they_are_included)
{
    ratoon_created run = create(stages, NULL);
    end(run, "first", RATOON_STAGE_FAILED, &file);
    finish(run);
    ratoon_retry_options options = retry_of(run);
    ratoon_created branch = retry(&options);
    end(branch, "first", RATOON_STAGE_FAILED, &file);
    finish(branch);
    options = retry_of(branch);
    options.partial_include = true;
    expect_checked(options, "page");
}
END_TEST

START_TEST(test_S10_retry_checks_its_own_edits)
{
    ratoon_created run = create(stages, NULL);
    end(run, "first", RATOON_STAGE_FAILED, NULL);
    finish(run);
    ratoon_retry_options options = retry_of(run);
    options.edits = &file;
    options.edits_count = 1;
    expect_checked(options, "page");
}
END_TEST

START_TEST(test_S10_retry_checks_edits_of_the_parent)
{
    ratoon_created run = create(stages, NULL);
    end(run, "first", RATOON_STAGE_FAILED, NULL);
    finish(run);
    ratoon_retry_options options = retry_of(run);
    options.edits = &file;
    options.edits_count = 1;
    options.accept_changes = true;
    ratoon_created branch = retry(&options);
    end(branch, "first", RATOON_STAGE_FAILED, NULL);
    finish(branch);
    expect_checked(retry_of(branch), "page");
}
END_TEST

START_TEST(test_S10_retry_checks_what_a_committing_stage_keeps)
{
    ratoon_created run = create(committing, NULL);
    end(run, "first", RATOON_STAGE_SUCCEEDED, NULL);
    end(run, "second", RATOON_STAGE_SUCCEEDED, &file);
    finish(run);
    ratoon_retry_options options = retry_of(run);
    options.from = "first";
    options.rerun = true;
    expect_checked(options, "page");
}
END_TEST

START_TEST(test_S10_retry_does_not_check_what_is_made_anew)
{
    ratoon_created run = create(stages, NULL);
    end(run, "first", RATOON_STAGE_SUCCEEDED, &file);
    end(run, "second", RATOON_STAGE_FAILED, NULL);
    finish(run);
    ratoon_retry_options options = retry_of(run);
    options.from = "first";
    options.rerun = true;
    (void)retry(&options);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("retry_files");
    TCase *t = tcase_create("S10");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_S10_retry_checks_the_initial_state);
    tcase_add_test(t, test_S10_retry_checks_outputs_of_reused_stages);
    tcase_add_test(t, test_S10_retry_checks_files_of_items);
    tcase_add_test(t, test_S10_retry_checks_partial_outputs_only_where_they_are_included);
    tcase_add_test(t, test_S10_retry_checks_its_own_edits);
    tcase_add_test(t, test_S10_retry_checks_edits_of_the_parent);
    tcase_add_test(t, test_S10_retry_checks_what_a_committing_stage_keeps);
    tcase_add_test(t, test_S10_retry_does_not_check_what_is_made_anew);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
