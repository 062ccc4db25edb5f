/* The runner as an embedder uses it, and the libuv adapter (L08, Q06, E06). Needs RATOON, the
 * command, for its supervisor. */
#include "tests/support/support.h"
#include "tools/runner/runner.h"

#include <ratoon/uv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct world {
    char *folder, *path;
    ratoon_store *store;
    ratoon_pipeline *pipeline;
    ratoon_created run;
    uint64_t now_epoch;
    bool fence, warned;
} world;

static world w;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static void open_store(void)
{
    ratoon_error error = {0};
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    w = (world){.folder = support_temp_dir("runner")};
    w.path = support_path_join(w.folder, "store");
    must(ratoon_store_create(w.path, &options, &error), &error);
    must(ratoon_store_open(w.path, &options, &w.store, &error), &error);
}

static void close_store(void)
{
    ratoon_pipeline_free(w.pipeline);
    ratoon_store_close(w.store);
    free(w.path);
    support_temp_dir_free(w.folder);
}

static void create_run(const char *yaml)
{
    ratoon_error error = {0};
    must(ratoon_pipeline_parse("p.yaml", yaml, strlen(yaml), w.folder, &w.pipeline, &error),
         &error);
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_value state = {.key = "l", .data = "[\"a\",{\"key\":\"b\",\"n\":1}]", .size = 23};
    options.pipeline = w.pipeline;
    options.state = &state;
    options.state_count = 1;
    must(ratoon_run_create(w.store, &options, &w.run, &error), &error);
}

/* Ends the run behind its executor's back, and starts it anew. */
static void fence(void)
{
    ratoon_error error = {0};
    ratoon_op op = {.kind = RATOON_OP_FINISH, .interrupted = true};
    must(ratoon_run_apply(w.store, w.run.run, w.run.epoch, &op, 1, &error), &error);
    ratoon_start_options options = RATOON_START_OPTIONS_INIT;
    must(ratoon_run_start(w.store, w.run.run, &options, &w.now_epoch, &error), &error);
}

static void on_event(void *ctx, const runner_event *event)
{
    (void)ctx;
    if (event->kind == RUNNER_TICK && w.fence && w.now_epoch == 0) {
        fence();
    }
    w.warned = w.warned || event->kind == RUNNER_WARNING;
}

static ratoon_status execute(runner_result *result, ratoon_error *error)
{
    runner_options options = {.jobs = 2, .self = getenv("RATOON"), .on_event = on_event};
    return runner_execute(w.store, w.run.run, w.run.epoch, &options, result, error);
}

START_TEST(test_L08_a_fenced_executor_ends_its_stages_and_says_so)
{
    create_run("pipeline: p\nstages:\n  - {name: s, run: 'echo $$ > pid; exec sleep 1000',"
               " shell: true}\n");
    w.fence = true;
    runner_result result = {0};
    ratoon_error error = {0};
    ck_assert_int_eq(execute(&result, &error), RATOON_ERR_FENCED);
    ck_assert_str_ne(error.message, "");
    char *path = support_path_join(w.folder, "pid");
    char *pid = support_read_file(path, NULL);
    char proc[64];
    (void)snprintf(proc, sizeof(proc), "/proc/%ld", strtol(pid, NULL, 10));
    ck_assert_int_ne(access(proc, F_OK), 0);
    free(pid);
    free(path);
    /* The new executor goes on as if nothing had been. */
    w.fence = false;
    w.run.epoch = w.now_epoch;
    must(ratoon_run_cancel(w.store, w.run.run, "enough", &result.status, &error), &error);
    must(execute(&result, &error), &error);
    ck_assert_int_eq(result.status, RATOON_RUN_CANCELLED);
}
END_TEST

START_TEST(test_E01_a_run_is_executed)
{
    create_run("pipeline: p\nstages:\n"
               "  - {name: s, run: 'echo v=$RATOON_ITEM > $RATOON_OUTPUT', shell: true,"
               " foreach: l, produces: [v]}\n"
               "  - {name: t, run: ['true'], requires: [v]}\n");
    runner_result result = {0};
    ratoon_error error = {0};
    must(execute(&result, &error), &error);
    ck_assert_int_eq(result.status, RATOON_RUN_SUCCEEDED);
    ck_assert(!w.warned);
    ratoon_state *state = NULL;
    must(ratoon_state_at(w.store, w.run.run, "end", &state, &error), &error);
    ratoon_state_entry entry;
    must(ratoon_state_get(state, ratoon_state_count(state) - 1, &entry, &error), &error);
    ck_assert_str_eq(entry.key, "v");
    ck_assert_int_eq(memcmp(entry.data, "{\"a\":\"a\",\"b\":\"b\"}", entry.size), 0);
    ratoon_state_free(state);
}
END_TEST

static const char *variable(const runner_context *context, const char *name)
{
    size_t size = strlen(name);
    for (char *const *at = runner_context_env(context); *at != NULL; at++) {
        if (strncmp(*at, name, size) == 0 && (*at)[size] == '=') {
            return *at + size + 1;
        }
    }
    return NULL;
}

START_TEST(test_E07_a_context_has_what_a_stage_would_get)
{
    create_run("pipeline: p\nstages:\n  - {name: s, run: ['true'], foreach: l}\n");
    ratoon_error error = {0};
    runner_context *context = NULL;
    ck_assert_int_eq(runner_context_new(w.store, w.run.run, "s", "c", &context, &error),
                     RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(runner_context_new(w.store, w.run.run, "x", NULL, &context, &error),
                     RATOON_ERR_NO_SUCH_STAGE);
    must(runner_context_new(w.store, w.run.run, "s", "b", &context, &error), &error);
    ck_assert_str_eq(variable(context, "RATOON_ITEM"), "b");
    ck_assert_str_eq(variable(context, "RATOON_STAGE"), "s");
    ck_assert_str_eq(runner_context_cwd(context), w.folder);
    char *value = support_read_file(variable(context, "RATOON_ITEM_VALUE"), NULL);
    ck_assert_str_eq(value, "{\"key\":\"b\",\"n\":1}");
    free(value);
    char *state = support_read_file(variable(context, "RATOON_STATE"), NULL);
    ck_assert_ptr_nonnull(strstr(state, "\"l\":["));
    free(state);
    char *path = strdup(variable(context, "RATOON_STATE"));
    runner_context_free(context);
    ck_assert_int_ne(access(path, F_OK), 0);
    free(path);
}
END_TEST

typedef struct follower {
    uint64_t position, seen;
    bool stopped;
} follower;

static void on_stopped(void *data)
{
    follower *f = data;
    f->stopped = true;
}

static void on_commit(ratoon_uv_feed *feed, const ratoon_feed_item *item, const ratoon_error *error,
                      void *data)
{
    follower *f = data;
    ck_assert_ptr_null(error);
    ck_assert_uint_eq(item->position, f->position + 1);
    f->position = item->position;
    f->seen++;
    if (f->seen == 1) { /* live, from within the loop */
        ratoon_error failed = {0};
        must(ratoon_run_annotate(w.store, w.run.run, "hello", &failed), &failed);
    }
    if (f->seen == 2) {
        ratoon_uv_feed_stop(feed, on_stopped, f);
    }
}

START_TEST(test_Q06_the_adapter_hands_out_every_commit_once)
{
    create_run("pipeline: p\nstages:\n  - {name: s, run: ['true']}\n");
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    follower f = {0};
    ratoon_uv_feed *feed = NULL;
    ratoon_error error = {0};
    must(ratoon_uv_feed_start(&loop, w.store, 1, on_commit, &f, &feed, &error), &error);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert(f.stopped);
    ck_assert_uint_eq(f.seen, 2);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

START_TEST(test_Q06_the_adapter_stops_when_nothing_happens)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    follower f = {0};
    ratoon_uv_feed *feed = NULL;
    ratoon_error error = {0};
    uint64_t end = 0;
    must(ratoon_feed_end(w.store, &end, &error), &error);
    must(ratoon_uv_feed_start(&loop, w.store, end, on_commit, &f, &feed, &error), &error);
    ratoon_uv_feed_stop(feed, on_stopped, &f);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert(f.stopped);
    ck_assert_uint_eq(f.seen, 0);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("runner");
    TCase *runner = tcase_create("runner");
    tcase_add_checked_fixture(runner, open_store, close_store);
    tcase_add_test(runner, test_E01_a_run_is_executed);
    tcase_add_test(runner, test_L08_a_fenced_executor_ends_its_stages_and_says_so);
    tcase_add_test(runner, test_E07_a_context_has_what_a_stage_would_get);
    tcase_set_timeout(runner, 60);
    suite_add_tcase(s, runner);
    TCase *adapter = tcase_create("adapter");
    tcase_add_checked_fixture(adapter, open_store, close_store);
    tcase_add_test(adapter, test_Q06_the_adapter_hands_out_every_commit_once);
    tcase_add_test(adapter, test_Q06_the_adapter_stops_when_nothing_happens);
    tcase_set_timeout(adapter, 60);
    suite_add_tcase(s, adapter);
    return s;
}

RATOON_TEST_MAIN(suite)
