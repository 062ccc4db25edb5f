/* Requests in flight on a libuv loop. */
#include "tests/support/support.h"

#include <ratoon/uv.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 200 };

static char *folder;
static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_created run;
static uv_loop_t loop;
static ratoon_uv_queue *queue;
static pthread_t loop_thread;
static bool stopped;
static unsigned called;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

/* _i: 0 in memory, 1 on disk. */
static void open_all(int on_disk, uint32_t in_flight_max)
{
    static const char text[] = "pipeline: p\nstages:\n  - {name: a, run: [\"true\"]}\n"
                               "  - {name: b, run: [\"true\"], needs: [a]}\n";
    ratoon_error error;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_run_options run_options = RATOON_RUN_OPTIONS_INIT;
    char *path = NULL;
    if (on_disk) {
        folder = support_temp_dir("uv_queue_test");
        path = support_path_join(folder, "store");
        must(ratoon_store_create(path, NULL, &error), &error);
    } else {
        options.driver = RATOON_DRIVER_MEMORY;
    }
    must(ratoon_store_open(path, &options, &store, &error), &error);
    free(path);
    must(ratoon_pipeline_parse("p", text, strlen(text), NULL, &pipeline, &error), &error);
    run_options.pipeline = pipeline;
    must(ratoon_run_create(store, &run_options, &run, &error), &error);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    must(ratoon_uv_queue_start(&loop, store, in_flight_max, &queue, &error), &error);
    loop_thread = pthread_self();
    stopped = false;
    called = 0;
}

static void setup(void)
{
    folder = NULL;
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
}

static void on_stopped(void *data)
{
    *(bool *)data = true;
}

/* Runs the loop until nothing keeps it alive. */
static void run_loop(void)
{
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

static void end_loop(void)
{
    ratoon_uv_queue_stop(queue, on_stopped, &stopped);
    run_loop();
    ck_assert(stopped);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

typedef struct request {
    ratoon_op op;
    unsigned place, calls;
    ratoon_status status;
} request;

static void on_done(void *ctx, ratoon_status status, const ratoon_error *error)
{
    request *r = ctx;
    ck_assert(pthread_equal(pthread_self(), loop_thread));
    ck_assert((status == RATOON_OK) == (error == NULL));
    r->status = status;
    r->place = called++;
    r->calls++;
}

static ratoon_op start(const char *stage)
{
    return (ratoon_op){.kind = RATOON_OP_STAGE_START, .stage = stage};
}

static ratoon_op end(const char *stage, uint32_t attempt)
{
    return (ratoon_op){.kind = RATOON_OP_STAGE_END,
                       .stage = stage,
                       .attempt = attempt,
                       .status = RATOON_STAGE_SUCCEEDED};
}

static ratoon_status submit(request *r, ratoon_done_fn done, void *ctx, ratoon_error *error)
{
    return ratoon_uv_apply(queue, run.run, run.epoch, &r->op, 1, done, ctx, error);
}

/* Submitted in one turn: the loop lives until all are called back for, in their order, and not
 * longer. */
START_TEST(test_L11_uv_calls_back_in_the_loop_in_order)
{
    static request r[COUNT];
    ratoon_error error;
    memset(r, 0, sizeof r);
    open_all(_i, 0);
    r[0].op = start("a");
    for (int i = 1; i < COUNT; i++) {
        r[i].op = (ratoon_op){.kind = RATOON_OP_STAGE_PROGRESS,
                              .stage = "a",
                              .attempt = 1,
                              .done = (uint64_t)i,
                              .total = COUNT};
    }
    for (int i = 0; i < COUNT; i++) {
        must(submit(&r[i], on_done, &r[i], &error), &error);
    }
    ck_assert_uint_eq(called, 0);
    run_loop();
    for (unsigned i = 0; i < COUNT; i++) {
        ck_assert_int_eq(r[i].status, RATOON_OK);
        ck_assert_uint_eq(r[i].place, i);
    }
    ck_assert_uint_eq(r[0].op.attempt_out, 1);
    end_loop();
}
END_TEST

static request relay[5];
static unsigned relay_next;

static void on_relay(void *ctx, ratoon_status status, const ratoon_error *error)
{
    ratoon_error failed;
    ratoon_run_info info;
    on_done(ctx, status, error);
    must(ratoon_run_get(store, run.run, &info, &failed), &failed);
    if (relay_next < 5) {
        request *r = &relay[relay_next++];
        must(submit(r, on_relay, r, &failed), &failed);
    } else { /* from within the last one */
        ratoon_uv_queue_stop(queue, on_stopped, &stopped);
        ck_assert_int_eq(submit(&relay[0], on_done, &relay[0], &failed), RATOON_ERR_CLOSED);
        ck_assert_int_eq(failed.code, RATOON_ERR_CLOSED);
    }
}

/* A whole run, each change submitted by the callback of the one before, one in flight. */
START_TEST(test_L11_uv_callback_submits_and_stops)
{
    ratoon_error error;
    memset(relay, 0, sizeof relay);
    open_all(_i, 1);
    relay[0].op = start("a");
    relay[1].op = end("a", 1);
    relay[2].op = start("b");
    relay[3].op = end("b", 1);
    relay[4].op = (ratoon_op){.kind = RATOON_OP_FINISH};
    relay_next = 1;
    must(submit(&relay[0], on_relay, &relay[0], &error), &error);
    request over = {.op = start("b")};
    ck_assert_int_eq(submit(&over, on_done, &over, &error), RATOON_ERR_QUEUE_FULL);
    run_loop();
    ck_assert(stopped);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_uint_eq(relay[i].calls, 1);
        ck_assert_int_eq(relay[i].status, RATOON_OK);
    }
    ck_assert_uint_eq(over.calls, 0);
    ck_assert_int_eq(relay[4].op.run_status_out, RATOON_RUN_SUCCEEDED);
}
END_TEST

/* Stopped with requests in flight: they are carried out and called back for first. */
START_TEST(test_L11_uv_stopping_answers_what_is_in_flight)
{
    request r[3] = {{.op = start("a")}, {.op = end("b", 1)}, {.op = end("a", 1)}};
    ratoon_error error;
    open_all(_i, 0);
    for (int i = 0; i < 3; i++) {
        must(submit(&r[i], on_done, &r[i], &error), &error);
    }
    end_loop();
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(r[i].calls, 1);
        ck_assert_int_eq(r[i].status, i == 1 ? RATOON_ERR_ILLEGAL_TRANSITION : RATOON_OK);
    }
}
END_TEST

START_TEST(test_L11_uv_idle_queue_does_not_hold_the_loop)
{
    open_all(_i, 0);
    run_loop();
    end_loop();
}
END_TEST

static Suite *uv_queue_suite(void)
{
    Suite *s = suite_create("uv_queue");
    TCase *t = tcase_create("uv_queue");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_L11_uv_calls_back_in_the_loop_in_order, 0, 2);
    tcase_add_loop_test(t, test_L11_uv_callback_submits_and_stops, 0, 2);
    tcase_add_loop_test(t, test_L11_uv_stopping_answers_what_is_in_flight, 0, 2);
    tcase_add_loop_test(t, test_L11_uv_idle_queue_does_not_hold_the_loop, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(uv_queue_suite)
