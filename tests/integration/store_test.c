/* The library as an embedder uses it: runs, stages, retries and queries through the public
 * interface, on a store in memory and on one on disk. */
#include "tests/support/support.h"

#include <pthread.h>
#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char three_stages[] = "pipeline: three\n"
                                   "version: 2\n"
                                   "params:\n"
                                   "  threshold: {type: int, default: 2, min: 1, max: 9}\n"
                                   "stages:\n"
                                   "  - name: first\n"
                                   "    run: [\"true\"]\n"
                                   "    produces: [a]\n"
                                   "  - name: second\n"
                                   "    run: [\"true\"]\n"
                                   "    requires: [a]\n"
                                   "    produces: [b]\n"
                                   "  - name: third\n"
                                   "    run: [\"true\"]\n"
                                   "    requires: [b]\n";

static const char with_secret[] = "pipeline: hidden\n"
                                  "params:\n"
                                  "  token: {type: string, secret: true}\n"
                                  "stages:\n"
                                  "  - {name: only, run: [\"true\"]}\n";

static char *folder;
static ratoon_store *store;
static ratoon_pipeline *pipeline;
static uint64_t fake_now;

static uint64_t fake_clock(void *ctx)
{
    (void)ctx;
    return fake_now;
}

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static void parse(const char *text)
{
    ratoon_error error;
    ratoon_pipeline_free(pipeline);
    pipeline = NULL;
    must(ratoon_pipeline_parse("test.yaml", text, strlen(text), NULL, &pipeline, &error), &error);
}

static void open_disk(void)
{
    ratoon_error error;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    char path[4096];
    snprintf(path, sizeof path, "%s/store", folder);
    options.clock_us = fake_clock;
    if (access(path, F_OK) != 0) {
        must(ratoon_store_create(path, &options, &error), &error);
    }
    must(ratoon_store_open(path, &options, &store, &error), &error);
}

static void setup_disk(void)
{
    fake_now = 1700000000000000u;
    folder = support_temp_dir("store_test");
    open_disk();
    parse(three_stages);
}

static void setup_memory(void)
{
    ratoon_error error;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    fake_now = 1700000000000000u;
    options.driver = RATOON_DRIVER_MEMORY;
    options.clock_us = fake_clock;
    must(ratoon_store_open(NULL, &options, &store, &error), &error);
    parse(three_stages);
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
    store = NULL;
    pipeline = NULL;
    folder = NULL;
}

/* ---- doing what an executor does ---- */

static ratoon_created create(void)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.pipeline = pipeline;
    options.subject = "thing";
    must(ratoon_run_create(store, &options, &created, &error), &error);
    return created;
}

static void succeed(ratoon_created run, const char *stage, const char *key, const char *json)
{
    ratoon_error error;
    uint32_t attempt = 0;
    ratoon_value value = {.key = key, .data = json, .size = strlen(json)};
    must(ratoon_stage_start(store, run.run, run.epoch, stage, &attempt, &error), &error);
    must(ratoon_stage_succeed(store, run.run, run.epoch, stage, attempt, &value, 1, &error),
         &error);
}

static void fail_stage(ratoon_created run, const char *stage)
{
    ratoon_error error;
    uint32_t attempt = 0;
    ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "exit 3"};
    must(ratoon_stage_start(store, run.run, run.epoch, stage, &attempt, &error), &error);
    must(ratoon_stage_fail(store, run.run, run.epoch, stage, attempt, &failure, &error), &error);
}

static ratoon_run_status finish(ratoon_created run)
{
    ratoon_error error;
    ratoon_run_status status = 0;
    must(ratoon_run_finish(store, run.run, run.epoch, &status, &error), &error);
    return status;
}

/* A run whose second stage failed. */
static ratoon_created failed_run(void)
{
    ratoon_created run = create();
    succeed(run, "first", "a", "1");
    fail_stage(run, "second");
    ck_assert_int_eq(finish(run), RATOON_RUN_FAILED);
    return run;
}

static ratoon_created retry(ratoon_id parent)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.parent = parent;
    must(ratoon_retry_create(store, &options, &created, &error), &error);
    return created;
}

static ratoon_run_info info_of(ratoon_id run)
{
    ratoon_run_info info;
    ratoon_error error;
    must(ratoon_run_get(store, run, &info, &error), &error);
    return info;
}

/* The value of a key at a boundary, or NULL; to be freed. */
static char *value_at(ratoon_id run, const char *boundary, const char *key)
{
    ratoon_state *state = NULL;
    ratoon_error error;
    char *found = NULL;
    must(ratoon_state_at(store, run, boundary, &state, &error), &error);
    for (size_t i = 0; i < ratoon_state_count(state); i++) {
        ratoon_state_entry entry;
        must(ratoon_state_get(state, i, &entry, &error), &error);
        if (found == NULL && strcmp(entry.key, key) == 0) {
            found = strndup(entry.data, entry.size);
        }
    }
    ratoon_state_free(state);
    return found;
}

static void expect_value(ratoon_id run, const char *boundary, const char *key, const char *expected)
{
    char *found = value_at(run, boundary, key);
    if (expected == NULL) {
        ck_assert_msg(found == NULL, "%s at %s is %s and should be absent", key, boundary, found);
    } else {
        ck_assert_msg(found != NULL, "%s at %s is absent", key, boundary);
        ck_assert_str_eq(found, expected);
    }
    free(found);
}

static void expect_verified(void)
{
    ratoon_buffer json = {0};
    ratoon_error error;
    size_t problems = 99;
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
}

/* ---- the way of a run ---- */

START_TEST(test_L05_outcome_is_derived)
{
    ratoon_created run = create();
    succeed(run, "first", "a", "1");
    succeed(run, "second", "b", "\"two\"");
    succeed(run, "third", "c", "[3]");
    ck_assert_int_eq(finish(run), RATOON_RUN_SUCCEEDED);
    expect_value(run.run, "end", "c", "[3]");
    expect_value(run.run, "before:second", "a", "1");
    expect_value(run.run, "before:second", "b", NULL);
    expect_verified();
}
END_TEST

START_TEST(test_R01_retry_is_a_branch_and_reuses)
{
    ratoon_created parent = failed_run();
    ratoon_created child = retry(parent.run);
    ratoon_error error;
    ratoon_stage_info stage;
    ratoon_run_info info = info_of(child.run);
    ck_assert(ratoon_id_equal(info.parent, parent.run));
    ck_assert(ratoon_id_equal(info.root, parent.run));
    ck_assert_uint_eq(info.depth, 1);
    ck_assert_uint_eq(info.number, 2);
    must(ratoon_run_stage(store, child.run, 0, &stage, &error), &error);
    ck_assert_int_eq(stage.status, RATOON_STAGE_REUSED);
    expect_value(child.run, "before:second", "a", "1");
    succeed(child, "second", "b", "2");
    succeed(child, "third", "c", "3");
    ck_assert_int_eq(finish(child), RATOON_RUN_SUCCEEDED);
    ck_assert_int_eq(info_of(parent.run).status, RATOON_RUN_FAILED);
    expect_verified();
}
END_TEST

START_TEST(test_R03_unknown_run_and_stage)
{
    ratoon_created parent = failed_run();
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.parent = (ratoon_id){{1}};
    ck_assert_int_eq(ratoon_retry_create(store, &options, &created, &error), RATOON_ERR_NOT_FOUND);
    options.parent = parent.run;
    options.from = "forth";
    ck_assert_int_eq(ratoon_retry_create(store, &options, &created, &error),
                     RATOON_ERR_NO_SUCH_STAGE);
    ck_assert_ptr_nonnull(strstr(error.message, "third"));
}
END_TEST

START_TEST(test_R08_second_branch_is_refused)
{
    ratoon_created parent = failed_run();
    ratoon_created child = retry(parent.run);
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    uint64_t head = info_of(parent.run).head;
    options.parent = parent.run;
    ck_assert_int_eq(ratoon_retry_create(store, &options, &created, &error),
                     RATOON_ERR_BRANCH_ACTIVE);
    ck_assert(ratoon_id_equal(error.other, child.run));
    ck_assert_uint_eq(info_of(parent.run).head, head);
}
END_TEST

START_TEST(test_R09_key_gives_the_same_run)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created one, two;
    ratoon_error error;
    options.pipeline = pipeline;
    options.key = "order-17";
    must(ratoon_run_create(store, &options, &one, &error), &error);
    options.reason = "a reason does not count";
    must(ratoon_run_create(store, &options, &two, &error), &error);
    ck_assert(two.repeated);
    ck_assert(ratoon_id_equal(one.run, two.run));
    options.subject = "another";
    ck_assert_int_eq(ratoon_run_create(store, &options, &two, &error), RATOON_ERR_KEY_REUSED);
}
END_TEST

START_TEST(test_R09_secret_is_part_of_the_request)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_pair secret = {"token", "hunter2"};
    ratoon_created one, two;
    ratoon_error error;
    parse(with_secret);
    options.pipeline = pipeline;
    options.key = "k";
    options.params = &secret;
    options.params_count = 1;
    must(ratoon_run_create(store, &options, &one, &error), &error);
    must(ratoon_run_create(store, &options, &two, &error), &error);
    ck_assert(two.repeated);
    secret.value = "hunter3";
    ck_assert_int_eq(ratoon_run_create(store, &options, &two, &error), RATOON_ERR_KEY_REUSED);
}
END_TEST

START_TEST(test_R15_preview_appends_nothing_and_its_token_holds)
{
    ratoon_created parent = failed_run();
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    ratoon_buffer json = {0};
    size_t refusals = 99;
    uint64_t head = info_of(parent.run).head;
    options.parent = parent.run;
    must(ratoon_retry_preview(store, &options, &json, &refusals, &error), &error);
    ck_assert_uint_eq(refusals, 0);
    ck_assert_uint_eq(info_of(parent.run).head, head);
    const char *token = strstr(json.data, "\"token\":\"");
    ck_assert_ptr_nonnull(token);
    char *plan = strndup(token + 9, 64);
    must(ratoon_run_annotate(store, parent.run, "annotations don't matter", &error), &error);
    options.plan = plan;
    options.only = true;
    ck_assert_int_eq(ratoon_retry_create(store, &options, &created, &error), RATOON_ERR_PLAN_STALE);
    options.only = false;
    must(ratoon_retry_create(store, &options, &created, &error), &error);
    free(plan);
    ratoon_buffer_free(&json);
}
END_TEST

START_TEST(test_L03_illegal_transition_appends_nothing)
{
    ratoon_created run = create();
    ratoon_error error;
    ratoon_value value = {.key = "a", .data = "1", .size = 1};
    uint64_t head = info_of(run.run).head;
    ck_assert_int_eq(ratoon_stage_succeed(store, run.run, run.epoch, "first", 1, &value, 1, &error),
                     RATOON_ERR_ILLEGAL_TRANSITION);
    ck_assert_uint_eq(info_of(run.run).head, head);
}
END_TEST

START_TEST(test_L08_older_epoch_is_fenced)
{
    ratoon_created run = create();
    ratoon_error error;
    uint32_t attempt;
    ck_assert_int_eq(ratoon_stage_start(store, run.run, run.epoch + 1, "first", &attempt, &error),
                     RATOON_ERR_FENCED);
}
END_TEST

START_TEST(test_L10_in_flight_and_most_recent_differ)
{
    ratoon_id found;
    ratoon_error error;
    ratoon_created old = create();
    fake_now += 1000;
    ratoon_created newer = failed_run();
    must(ratoon_find_in_flight(store, "thing", &found, &error), &error);
    ck_assert(ratoon_id_equal(found, old.run));
    must(ratoon_most_recent(store, "thing", &found, &error), &error);
    ck_assert(ratoon_id_equal(found, newer.run));
    ck_assert_int_eq(ratoon_find_in_flight(store, "nothing", &found, &error), RATOON_ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_L09_list_order_is_time_then_id_descending)
{
    ratoon_id *ids = NULL;
    size_t count = 0;
    ratoon_error error;
    for (int i = 0; i < 6; i++) {
        (void)create();
        fake_now += i % 2 == 0 ? 0 : 1000; /* pairs share a time */
    }
    must(ratoon_run_list(store, NULL, &ids, &count, &error), &error);
    ck_assert_uint_eq(count, 6);
    for (size_t i = 1; i < count; i++) {
        uint64_t before = info_of(ids[i - 1]).created_at;
        uint64_t after = info_of(ids[i]).created_at;
        ck_assert(before > after ||
                  (before == after && memcmp(&ids[i - 1], &ids[i], sizeof *ids) > 0));
    }
    free(ids);
}
END_TEST

START_TEST(test_L13_commit_times_never_go_backwards)
{
    ratoon_created run = create();
    ratoon_error error;
    ratoon_buffer log = {0};
    fake_now -= 5000000;
    succeed(run, "first", "a", "1");
    expect_verified(); /* it looks at every pair of commits */
    must(ratoon_doc_log(store, run.run, false, &log, &error), &error);
    ck_assert_ptr_nonnull(strstr(log.data, "stage.ended"));
    ck_assert_uint_ge(info_of(run.run).started_at, info_of(run.run).created_at);
    ratoon_buffer_free(&log);
}
END_TEST

START_TEST(test_S01_large_initial_state_is_whole)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    size_t size = 3u << 20;
    char *big = malloc(size + 1);
    big[0] = '"';
    for (size_t i = 1; i + 1 < size; i++) {
        big[i] = (char)('a' + i % 26);
    }
    big[size - 1] = '"';
    big[size] = '\0';
    ratoon_value value = {.key = "big", .data = big, .size = size};
    options.pipeline = pipeline;
    options.state = &value;
    options.state_count = 1;
    must(ratoon_run_create(store, &options, &created, &error), &error);
    char *found = value_at(created.run, "start", "big");
    ck_assert_ptr_nonnull(found);
    ck_assert_int_eq(strcmp(found, big), 0);
    free(found);
    free(big);
    expect_verified();
}
END_TEST

START_TEST(test_S02_event_number_is_a_boundary)
{
    ratoon_created run = create();
    succeed(run, "first", "a", "1"); /* events 2 and 3 */
    succeed(run, "second", "b", "2");
    expect_value(run.run, "2", "a", NULL);
    expect_value(run.run, "3", "a", "1");
    expect_value(run.run, "3", "b", NULL);
    expect_value(run.run, "5", "b", "2");
}
END_TEST

START_TEST(test_S07_state_at_every_event_with_snapshots)
{
    ratoon_created run = create();
    ratoon_error error;
    uint32_t attempt = 0;
    char text[32];
    must(ratoon_stage_start(store, run.run, run.epoch, "first", &attempt, &error), &error);
    for (uint64_t i = 0; i < 700; i++) {
        ratoon_op op = {.kind = RATOON_OP_STAGE_PROGRESS,
                        .stage = "first",
                        .attempt = attempt,
                        .done = i,
                        .total = 700};
        must(ratoon_run_apply(store, run.run, run.epoch, &op, 1, &error), &error);
    }
    ratoon_value value = {.key = "a", .data = "1", .size = 1};
    must(ratoon_stage_succeed(store, run.run, run.epoch, "first", attempt, &value, 1, &error),
         &error);
    for (unsigned event = 1; event <= 703; event += 39) {
        snprintf(text, sizeof text, "%u", event);
        expect_value(run.run, text, "a", event < 703 ? NULL : "1");
    }
    expect_verified();
}
END_TEST

START_TEST(test_Q06_feed_from_the_first_position_has_no_gap)
{
    ratoon_feed *feed = NULL;
    ratoon_feed_item item;
    ratoon_error error;
    uint64_t end = 0;
    (void)failed_run();
    (void)failed_run();
    must(ratoon_feed_end(store, &end, &error), &error);
    must(ratoon_feed_open(store, 1, &feed, &error), &error);
    for (uint64_t position = 1; position < end; position++) {
        must(ratoon_feed_next(feed, 1000, &item, &error), &error);
        ck_assert_uint_eq(item.position, position);
    }
    ck_assert_int_eq(ratoon_feed_next(feed, 0, &item, &error), RATOON_ERR_TIMED_OUT);
    ratoon_created run = create();
    must(ratoon_feed_next(feed, 1000, &item, &error), &error);
    ck_assert(ratoon_id_equal(item.lineage, run.run));
    ratoon_feed_close(feed);
}
END_TEST

START_TEST(test_E05_cancel_of_a_queued_run_needs_no_process)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    ratoon_run_status status = 0;
    options.pipeline = pipeline;
    options.no_exec = true;
    must(ratoon_run_create(store, &options, &created, &error), &error);
    ck_assert_int_eq(info_of(created.run).status, RATOON_RUN_QUEUED);
    must(ratoon_run_cancel(store, created.run, "not needed", &status, &error), &error);
    ck_assert_int_eq(status, RATOON_RUN_CANCELLED);
    ck_assert_int_eq(ratoon_run_cancel(store, created.run, NULL, &status, &error),
                     RATOON_ERR_ILLEGAL_TRANSITION);
}
END_TEST

/* ---- racing ---- */

typedef struct racer {
    pthread_t thread;
    pthread_barrier_t *start;
    ratoon_id parent;
    ratoon_status status;
} racer;

static void *race(void *arg)
{
    racer *r = arg;
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.parent = r->parent;
    pthread_barrier_wait(r->start);
    r->status = ratoon_retry_create(store, &options, &created, &error);
    return NULL;
}

START_TEST(test_R08_eight_threads_one_branch)
{
    racer racers[8];
    pthread_barrier_t start;
    unsigned made = 0, refused = 0;
    ratoon_created parent = failed_run();
    pthread_barrier_init(&start, NULL, 8);
    for (size_t i = 0; i < 8; i++) {
        racers[i] = (racer){.start = &start, .parent = parent.run};
        ck_assert_int_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(racers[i].thread, NULL);
        made += racers[i].status == RATOON_OK;
        refused += racers[i].status == RATOON_ERR_BRANCH_ACTIVE;
    }
    pthread_barrier_destroy(&start);
    ck_assert_uint_eq(made, 1);
    ck_assert_uint_eq(refused, 7);
    expect_verified();
}
END_TEST

/* ---- on disk ---- */

START_TEST(test_L11_reopened_store_has_everything)
{
    ratoon_created parent = failed_run();
    ratoon_created child = retry(parent.run);
    succeed(child, "second", "b", "2");
    ratoon_store_close(store);
    store = NULL;
    open_disk();
    ck_assert_int_eq(info_of(parent.run).status, RATOON_RUN_FAILED);
    expect_value(child.run, "after:second", "b", "2");
    expect_verified();
}
END_TEST

START_TEST(test_L08_closing_interrupts_what_was_running)
{
    ratoon_error error;
    uint32_t attempt;
    ratoon_stage_info stage;
    ratoon_created run = create();
    succeed(run, "first", "a", "1");
    must(ratoon_stage_start(store, run.run, run.epoch, "second", &attempt, &error), &error);
    ratoon_store_close(store);
    store = NULL;
    open_disk();
    ck_assert_int_eq(info_of(run.run).status, RATOON_RUN_SUSPENDED);
    must(ratoon_run_stage(store, run.run, 1, &stage, &error), &error);
    ck_assert_int_eq(stage.status, RATOON_STAGE_PENDING);
    ck_assert_uint_eq(stage.attempt, 1);
    ratoon_created again = {.run = run.run};
    must(ratoon_run_start(store, run.run, NULL, &again.epoch, &error), &error);
    ck_assert_uint_gt(again.epoch, run.epoch);
    succeed(again, "second", "b", "2");
    succeed(again, "third", "c", "3");
    ck_assert_int_eq(finish(again), RATOON_RUN_SUCCEEDED);
    expect_verified();
}
END_TEST

START_TEST(test_E04_opening_never_creates)
{
    ratoon_store *other = NULL;
    ratoon_error error;
    char path[4096];
    snprintf(path, sizeof path, "%s/nothing", folder);
    ck_assert_int_eq(ratoon_store_open(path, NULL, &other, &error), RATOON_ERR_NOT_FOUND);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_R09_key_and_scope_survive_reopening)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created one, two;
    ratoon_error error;
    options.pipeline = pipeline;
    options.key = "k1";
    must(ratoon_run_create(store, &options, &one, &error), &error);
    ratoon_store_close(store);
    open_disk();
    must(ratoon_run_create(store, &options, &two, &error), &error);
    ck_assert(two.repeated);
    ck_assert(ratoon_id_equal(one.run, two.run));
}
END_TEST

static void add_common(TCase *tc)
{
    tcase_add_test(tc, test_L05_outcome_is_derived);
    tcase_add_test(tc, test_R01_retry_is_a_branch_and_reuses);
    tcase_add_test(tc, test_R03_unknown_run_and_stage);
    tcase_add_test(tc, test_R08_second_branch_is_refused);
    tcase_add_test(tc, test_R09_key_gives_the_same_run);
    tcase_add_test(tc, test_R09_secret_is_part_of_the_request);
    tcase_add_test(tc, test_R15_preview_appends_nothing_and_its_token_holds);
    tcase_add_test(tc, test_L03_illegal_transition_appends_nothing);
    tcase_add_test(tc, test_L08_older_epoch_is_fenced);
    tcase_add_test(tc, test_L10_in_flight_and_most_recent_differ);
    tcase_add_test(tc, test_L09_list_order_is_time_then_id_descending);
    tcase_add_test(tc, test_L13_commit_times_never_go_backwards);
    tcase_add_test(tc, test_S01_large_initial_state_is_whole);
    tcase_add_test(tc, test_S02_event_number_is_a_boundary);
    tcase_add_test(tc, test_S07_state_at_every_event_with_snapshots);
    tcase_add_test(tc, test_Q06_feed_from_the_first_position_has_no_gap);
    tcase_add_test(tc, test_E05_cancel_of_a_queued_run_needs_no_process);
    tcase_add_test(tc, test_R08_eight_threads_one_branch);
}

static Suite *suite(void)
{
    Suite *s = suite_create("store");
    TCase *memory = tcase_create("memory");
    TCase *disk = tcase_create("disk");
    tcase_add_checked_fixture(memory, setup_memory, teardown);
    tcase_add_checked_fixture(disk, setup_disk, teardown);
    tcase_set_timeout(memory, 60);
    tcase_set_timeout(disk, 120);
    add_common(memory);
    add_common(disk);
    tcase_add_test(disk, test_L11_reopened_store_has_everything);
    tcase_add_test(disk, test_L08_closing_interrupts_what_was_running);
    tcase_add_test(disk, test_E04_opening_never_creates);
    tcase_add_test(disk, test_R09_key_and_scope_survive_reopening);
    suite_add_tcase(s, memory);
    suite_add_tcase(s, disk);
    return s;
}

RATOON_TEST_MAIN(suite)
