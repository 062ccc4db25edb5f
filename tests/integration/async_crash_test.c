/* Requests in flight when processes die: what was called back for is there, once, whoever was
 * killed. */
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <ratoon.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    COUNT = 400,      /* requests of a process that survives */
    KILL_AFTER = 300, /* answers of one that does not */
    IN_FLIGHT = 64,
    WAIT_MS = 20000,
};

static const char text[] = "pipeline: one\nstages:\n  - {name: first, run: [\"true\"]}\n";

static ratoon_store *open_store(const char *path)
{
    ratoon_store *store = NULL;
    ratoon_error error = {0};
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.wait_ms = WAIT_MS;
    role_must(ratoon_store_open(path, &options, &store, &error) == RATOON_OK, error.message);
    return store;
}

static ratoon_created start_run(ratoon_store *store)
{
    ratoon_pipeline *pipeline = NULL;
    ratoon_created created;
    ratoon_error error = {0};
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    uint32_t attempt;
    role_must(ratoon_pipeline_parse("one", text, strlen(text), NULL, &pipeline, &error) ==
                  RATOON_OK,
              error.message);
    options.pipeline = pipeline;
    role_must(ratoon_run_create(store, &options, &created, &error) == RATOON_OK, error.message);
    role_must(ratoon_stage_start(store, created.run, created.epoch, "first", &attempt, &error) ==
                  RATOON_OK,
              error.message);
    ratoon_pipeline_free(pipeline);
    return created;
}

static ratoon_async *open_queue(ratoon_store *store)
{
    ratoon_async *queue = NULL;
    ratoon_error error = {0};
    ratoon_async_options options = RATOON_ASYNC_OPTIONS_INIT;
    options.in_flight_max = IN_FLIGHT;
    options.wait = true;
    role_must(ratoon_async_open(store, &options, &queue, &error) == RATOON_OK, error.message);
    return queue;
}

typedef struct request {
    ratoon_op op;
    char text[32];
    uint32_t number;
} request;

static void submit(ratoon_async *queue, const ratoon_created *run, uint32_t number,
                   ratoon_done_fn done)
{
    request *r = calloc(1, sizeof *r);
    ratoon_error error = {0};
    MUST(r != NULL);
    r->number = number;
    (void)snprintf(r->text, sizeof r->text, "<%u>", number);
    r->op = (ratoon_op){.kind = RATOON_OP_EXTERNAL_REF, .text = r->text};
    role_must(ratoon_async_apply(queue, run->run, run->epoch, &r->op, 1, done, r, &error) ==
                  RATOON_OK,
              error.message);
}

/* How often each number is in the history. */
static void count_numbers(ratoon_store *store, ratoon_id run, unsigned *seen, size_t count)
{
    ratoon_buffer log = {0};
    ratoon_error error = {0};
    role_must(ratoon_doc_log(store, run, false, &log, &error) == RATOON_OK, error.message);
    for (const char *at = log.data; (at = strchr(at, '<')) != NULL; at++) {
        unsigned long number = strtoul(at + 1, NULL, 10);
        if (number < count) {
            seen[number]++;
        }
    }
    ratoon_buffer_free(&log);
}

static void expect_sound(ratoon_store *store)
{
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t problems = 99;
    role_must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error) == RATOON_OK,
              error.message);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
}

/* ---- other processes ---- */

static void tell(void *ctx, ratoon_status status, const ratoon_error *error)
{
    request *r = ctx;
    role_must(status == RATOON_OK, error != NULL ? error->message : "");
    MUST(write(STDOUT_FILENO, &r->number, sizeof r->number) == sizeof r->number);
    free(r);
}

/* Submits without end, and tells the number of each request that it is called back for. */
static void submit_role(const char *path)
{
    role_begin();
    ratoon_store *store = open_store(path);
    ratoon_async *queue = open_queue(store);
    ratoon_created run = start_run(store);
    role_say_ready();
    MUST(write(STDOUT_FILENO, run.run.bytes, sizeof run.run.bytes) == sizeof run.run.bytes);
    for (uint32_t i = 0;; i++) {
        submit(queue, &run, i, tell);
    }
}

/* Owns the store until it is killed. */
static void own_role(const char *path)
{
    role_begin();
    ratoon_store *store = open_store(path);
    MUST(ratoon_store_is_owner(store));
    role_say_ready();
    role_wait_for_end();
}

/* ---- tests ---- */

static char *folder, *path;

static void setup(void)
{
    folder = support_temp_dir("async_crash");
    path = support_path_join(folder, "store");
    ck_assert_int_eq(ratoon_store_create(path, NULL, NULL), RATOON_OK);
}

static void teardown(void)
{
    support_temp_dir_free(folder);
    free(path);
}

static void read_all(int fd, void *data, size_t size)
{
    for (size_t have = 0; have < size;) {
        ssize_t got = read(fd, (char *)data + have, size - have);
        ck_assert_int_gt(got, 0);
        have += (size_t)got;
    }
}

/* _i: the owner of the store, or one that reaches it through another's socket. */
START_TEST(test_L11_async_answers_survive_kill_of_the_submitter)
{
    static unsigned seen[1 << 20];
    ratoon_id run;
    uint32_t last = 0;
    ratoon_store *owner = _i == 1 ? open_store(path) : NULL;
    role_process p = role_start("submit", path, "");
    read_all(p.out, run.bytes, sizeof run.bytes);
    for (uint32_t i = 0; i < KILL_AFTER; i++) { /* in their order */
        read_all(p.out, &last, sizeof last);
        ck_assert_uint_eq(last, i);
    }
    kill(p.pid, SIGKILL);
    for (ssize_t got = 1; got > 0;) { /* what it still told */
        uint32_t number;
        got = read(p.out, &number, sizeof number);
        last = got == sizeof number ? number : last;
    }
    ck_assert_int_eq(role_join(&p), -SIGKILL);
    ratoon_store *store = owner != NULL ? owner : open_store(path);
    memset(seen, 0, sizeof seen);
    count_numbers(store, run, seen, sizeof seen / sizeof *seen);
    for (uint32_t i = 0; i <= last; i++) {
        ck_assert_msg(seen[i] == 1, "%u of %u is there %u times", i, last, seen[i]);
    }
    for (uint32_t i = last + 1; i <= last + IN_FLIGHT;
         i++) { /* these may be: a beginning of them */
        ck_assert_uint_le(seen[i], seen[i - 1]);
    }
    expect_sound(store);
    ratoon_store_close(store);
}
END_TEST

static atomic_uint answered;

static void count(void *ctx, ratoon_status status, const ratoon_error *error)
{
    request *r = ctx;
    role_must(status == RATOON_OK, error != NULL ? error->message : "");
    role_must(r->number == atomic_fetch_add(&answered, 1), "in order");
    free(r);
}

START_TEST(test_L11_async_requests_outlive_the_owner)
{
    unsigned seen[COUNT] = {0};
    ratoon_error error = {0};
    role_process owner = role_start("own", path, "");
    ratoon_store *store = open_store(path);
    ck_assert(!ratoon_store_is_owner(store));
    ratoon_created run = start_run(store);
    ratoon_async *queue = open_queue(store);
    answered = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        if (i == COUNT / 2) {
            kill(owner.pid, SIGKILL);
        }
        submit(queue, &run, i, count);
    }
    ck_assert_int_eq(ratoon_async_drain(queue, &error), RATOON_OK);
    ck_assert_int_eq(role_join(&owner), -SIGKILL);
    ck_assert_uint_eq(answered, COUNT);
    count_numbers(store, run.run, seen, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(seen[i], 1);
    }
    expect_sound(store);
    ratoon_store_close(store);
}
END_TEST

static Suite *async_crash_suite(void)
{
    Suite *s = suite_create("async_crash");
    TCase *t = tcase_create("async_crash");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_L11_async_answers_survive_kill_of_the_submitter, 0, 2);
    tcase_add_test(t, test_L11_async_requests_outlive_the_owner);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        (strcmp(argv[1], "own") == 0 ? own_role : submit_role)(argv[2]);
        return EXIT_FAILURE; /* it was to be killed */
    }
    return support_run_suite(async_crash_suite());
}
