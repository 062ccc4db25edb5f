/* Places for results: each that the header does not call optional is refused where it is NULL,
 * before anything is done; the others may be left out, and what was asked for is done. */
#include "tests/support/support.h"

#include <ratoon.h>
#include <ratoon/uv.h>
#include <stdlib.h>
#include <string.h>

static const char definition[] = "pipeline: two\n"
                                 "stages:\n"
                                 "  - {name: first, run: [\"true\"]}\n"
                                 "  - {name: second, run: [\"true\"]}\n";

static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_created run; /* running, nothing of it started */
static ratoon_error error;

static void must(ratoon_status status)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error.message);
}

static ratoon_created run_new(void)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    options.pipeline = pipeline;
    must(ratoon_run_create(store, &options, &created, &error));
    return created;
}

static void setup(void)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &store, &error));
    must(ratoon_pipeline_parse("two", definition, sizeof definition - 1, NULL, &pipeline, &error));
    run = run_new();
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
}

static uint64_t feed_end(void)
{
    uint64_t position = 0;
    must(ratoon_feed_end(store, &position, &error));
    return position;
}

/* Refused with a message, with and without a place for that, and nothing was appended. */
#define REFUSED(...)                                                                               \
    do {                                                                                           \
        const uint64_t before = feed_end();                                                        \
        memset(&error, 0, sizeof error);                                                           \
        ratoon_error *why = &error;                                                                \
        ck_assert_int_eq(__VA_ARGS__, RATOON_ERR_USAGE);                                           \
        ck_assert_int_eq(error.code, RATOON_ERR_USAGE);                                            \
        ck_assert_str_ne(error.message, "");                                                       \
        why = NULL;                                                                                \
        ck_assert_int_eq(__VA_ARGS__, RATOON_ERR_USAGE);                                           \
        ck_assert_uint_eq(feed_end(), before);                                                     \
    } while (0)

START_TEST(test_results_of_creating_need_a_place)
{
    ratoon_store_options memory = RATOON_STORE_OPTIONS_INIT;
    ratoon_run_options create = RATOON_RUN_OPTIONS_INIT;
    ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
    ratoon_stale stale = {.run = run.run};
    memory.driver = RATOON_DRIVER_MEMORY;
    create.pipeline = pipeline;
    retry.parent = run.run;
    REFUSED(ratoon_store_open(NULL, &memory, NULL, why));
    REFUSED(ratoon_pipeline_parse("two", definition, sizeof definition - 1, NULL, NULL, why));
    REFUSED(ratoon_run_create(store, &create, NULL, why));
    REFUSED(ratoon_retry_create(store, &retry, NULL, why));
    REFUSED(ratoon_retry_preview(store, &retry, NULL, NULL, why));
    REFUSED(ratoon_cascade_create(store, &stale, NULL, why));
    REFUSED(ratoon_run_start(store, run.run, NULL, NULL, why));
    REFUSED(ratoon_stage_start(store, run.run, run.epoch, "first", NULL, why));
    REFUSED(ratoon_async_open(store, NULL, NULL, why));
}
END_TEST

START_TEST(test_results_of_questions_about_runs_need_a_place)
{
    ratoon_list_options list = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *ids = NULL;
    ratoon_pair *pairs = NULL;
    ratoon_stale *stale = NULL;
    size_t count = 0;
    REFUSED(ratoon_run_get(store, run.run, NULL, why));
    REFUSED(ratoon_run_stage(store, run.run, 0, NULL, why));
    REFUSED(ratoon_run_pipeline(store, run.run, NULL, why));
    REFUSED(ratoon_run_base_dir(store, run.run, NULL, why));
    REFUSED(ratoon_run_params(store, run.run, NULL, &count, why));
    REFUSED(ratoon_run_params(store, run.run, &pairs, NULL, why));
    REFUSED(ratoon_run_find(store, "@last", NULL, why));
    REFUSED(ratoon_find_in_flight(store, "s", NULL, why));
    REFUSED(ratoon_most_recent(store, "s", NULL, why));
    REFUSED(ratoon_run_list(store, &list, NULL, &count, why));
    REFUSED(ratoon_run_list(store, &list, &ids, NULL, why));
    REFUSED(ratoon_stale_list(store, NULL, &count, why));
    REFUSED(ratoon_stale_list(store, &stale, NULL, why));
    REFUSED(ratoon_doc_run(store, run.run, true, NULL, why));
    REFUSED(ratoon_doc_tree(store, run.run, NULL, why));
    REFUSED(ratoon_doc_explain(store, run.run, "first", NULL, why));
    REFUSED(ratoon_doc_diff(store, run.run, run.run, NULL, why));
    REFUSED(ratoon_doc_log(store, run.run, false, NULL, why));
    REFUSED(ratoon_doc_stats(store, NULL, NULL, why));
    REFUSED(ratoon_doc_stale(store, NULL, why));
    REFUSED(ratoon_pipeline_diff(pipeline, pipeline, NULL, why));
    ck_assert_int_eq(ratoon_id_parse("01a1fcd3-1470-7159-87b1-bf9b9d805983", NULL),
                     RATOON_ERR_USAGE);
    ck_assert_ptr_null(ids);
    ck_assert_ptr_null(pairs);
    ck_assert_ptr_null(stale);
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(test_results_of_questions_about_contents_need_a_place)
{
    ratoon_state *state = NULL;
    ratoon_items *items = NULL;
    ratoon_feed *feed = NULL;
    ratoon_buffer json = {0};
    size_t count = 0;
    REFUSED(ratoon_state_at(store, run.run, "end", NULL, why));
    REFUSED(ratoon_state_input(store, run.run, "first", NULL, why));
    must(ratoon_state_at(store, run.run, "end", &state, &error));
    REFUSED(ratoon_state_get(state, 0, NULL, why));
    ratoon_state_free(state);
    REFUSED(ratoon_stage_items(store, run.run, "first", NULL, why));
    must(ratoon_stage_items(store, run.run, "first", &items, &error));
    REFUSED(ratoon_items_get(items, 0, NULL, why));
    ratoon_items_free(items);
    REFUSED(ratoon_feed_open(store, 1, NULL, why));
    REFUSED(ratoon_feed_end(store, NULL, why));
    must(ratoon_feed_open(store, 1, &feed, &error));
    REFUSED(ratoon_feed_next(feed, 0, NULL, why));
    ratoon_feed_close(feed);
    REFUSED(ratoon_verify(store, run.run, NULL, &count, why));
    REFUSED(ratoon_verify(store, run.run, &json, NULL, why));
    REFUSED(ratoon_seal(store, "seal", NULL, NULL, why));
    REFUSED(ratoon_commit_bytes(store, run.run, 1, NULL, why));
    ck_assert_ptr_null(json.data);
}
END_TEST

START_TEST(test_results_of_a_loops_calls_need_a_place)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    REFUSED(ratoon_uv_queue_start(&loop, store, 0, NULL, why));
    REFUSED(ratoon_uv_feed_start(&loop, store, 1, NULL, NULL, NULL, why));
    ck_assert_int_eq(uv_loop_close(&loop), 0); /* nothing of them is left in it */
}
END_TEST

static ratoon_run_status status_of(ratoon_id id)
{
    ratoon_run_info info;
    must(ratoon_run_get(store, id, &info, &error));
    return info.status;
}

START_TEST(test_results_of_ending_and_deleting_may_be_left_out)
{
    ratoon_run_info info;
    must(ratoon_run_finish(store, run.run, run.epoch, NULL, &error));
    ck_assert_int_eq(status_of(run.run), RATOON_RUN_SUSPENDED);
    must(ratoon_run_cancel(store, run.run, NULL, NULL, &error));
    ck_assert_int_eq(status_of(run.run), RATOON_RUN_CANCELLED);
    must(ratoon_lineage_delete(store, run.run, false, NULL, NULL, &error));
    ck_assert_int_eq(ratoon_run_get(store, run.run, &info, &error), RATOON_ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_results_of_pruning_may_be_left_out_but_for_what_was_deleted)
{
    ratoon_prune_options options = RATOON_PRUNE_OPTIONS_INIT;
    ratoon_deleted *deleted = NULL;
    ratoon_freed freed;
    size_t count = 0;
    must(ratoon_run_finish(store, run.run, run.epoch, NULL, &error));
    must(ratoon_run_cancel(store, run.run, NULL, NULL, &error));
    options.before = UINT64_MAX;
    REFUSED(ratoon_prune(store, &options, NULL, &count, &freed, why));
    REFUSED(ratoon_prune(store, &options, &deleted, NULL, &freed, why));
    must(ratoon_prune(store, &options, &deleted, &count, NULL, &error));
    ck_assert_uint_eq(count, 1);
    free(deleted);
}
END_TEST

static bool write_text(void *ctx, const void *data, size_t size)
{
    ratoon_buffer *text = ctx;
    text->data = realloc(text->data, text->size + size);
    ck_assert_ptr_nonnull(text->data);
    memcpy(text->data + text->size, data, size);
    text->size += size;
    return true;
}

static int64_t read_text(void *ctx, void *data, size_t size)
{
    ratoon_buffer *rest = ctx;
    const size_t n = size < rest->size ? size : rest->size;
    memcpy(data, rest->data, n);
    rest->data += n;
    rest->size -= n;
    return (int64_t)n;
}

START_TEST(test_result_of_an_import_may_be_left_out)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *to = NULL;
    ratoon_run_info info;
    ratoon_buffer text = {0};
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &to, &error));
    must(ratoon_export(store, NULL, 0, RATOON_EXPORT_JSONL, write_text, &text, &error));
    ratoon_buffer rest = text;
    must(ratoon_import(to, NULL, read_text, &rest, NULL, &error));
    must(ratoon_run_get(to, run.run, &info, &error));
    ratoon_store_close(to);
    free(text.data);
}
END_TEST

START_TEST(test_results_of_a_preview_may_be_left_out_but_for_the_document)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_buffer json;
    options.parent = run.run;
    must(ratoon_retry_preview(store, &options, &json, NULL, &error));
    ck_assert_ptr_nonnull(strstr(json.data, "RUN_ACTIVE"));
    ratoon_buffer_free(&json);
}
END_TEST

START_TEST(test_results_of_getters_of_a_pipeline_may_be_left_out)
{
    ck_assert_ptr_nonnull(ratoon_pipeline_canonical(pipeline, NULL));
    (void)ratoon_pipeline_on_end(pipeline, NULL);
    ck_assert(!ratoon_pipeline_auto_retry(pipeline, NULL));
    ck_assert(!ratoon_pipeline_param(pipeline, 0, NULL, NULL));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("results");
    TCase *t = tcase_create("places");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_results_of_creating_need_a_place);
    tcase_add_test(t, test_results_of_questions_about_runs_need_a_place);
    tcase_add_test(t, test_results_of_questions_about_contents_need_a_place);
    tcase_add_test(t, test_results_of_a_loops_calls_need_a_place);
    tcase_add_test(t, test_results_of_ending_and_deleting_may_be_left_out);
    tcase_add_test(t, test_results_of_pruning_may_be_left_out_but_for_what_was_deleted);
    tcase_add_test(t, test_result_of_an_import_may_be_left_out);
    tcase_add_test(t, test_results_of_a_preview_may_be_left_out_but_for_the_document);
    tcase_add_test(t, test_results_of_getters_of_a_pipeline_may_be_left_out);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
