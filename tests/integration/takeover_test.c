/* Several processes on one store through the public interface: its owner is killed, an executor is
 * killed, and everybody else goes on. */
#include "log/monotonic.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <ratoon.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 20000
#define RUNS 60

static const char text[] = "pipeline: two\n"
                           "stages:\n"
                           "  - {name: first, run: [\"true\"], produces: [a]}\n"
                           "  - {name: second, run: [\"true\"], needs: [first]}\n";

static ratoon_store *open_store(const char *path)
{
    ratoon_store *store = NULL;
    ratoon_error error = {0};
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.wait_ms = WAIT_MS;
    role_must(ratoon_store_open(path, &options, &store, &error) == RATOON_OK, error.message);
    return store;
}

static ratoon_pipeline *parse(void)
{
    ratoon_pipeline *pipeline = NULL;
    ratoon_error error = {0};
    role_must(ratoon_pipeline_parse("two.yaml", text, strlen(text), NULL, &pipeline, &error) ==
                  RATOON_OK,
              error.message);
    return pipeline;
}

static ratoon_created create(ratoon_store *store, const ratoon_pipeline *pipeline, bool no_exec)
{
    ratoon_created created;
    ratoon_error error = {0};
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    options.pipeline = pipeline;
    options.no_exec = no_exec;
    role_must(ratoon_run_create(store, &options, &created, &error) == RATOON_OK, error.message);
    return created;
}

static ratoon_run_status status_of(ratoon_store *store, ratoon_id run)
{
    ratoon_run_info info;
    ratoon_error error = {0};
    role_must(ratoon_run_get(store, run, &info, &error) == RATOON_OK, error.message);
    return info.status;
}

/* ---- another process ---- */

/* Opens the store, starts a stage of a run, tells the run's id, and does nothing more. */
static int run_role(const char *path)
{
    role_begin();
    ratoon_store *store = open_store(path);
    ratoon_pipeline *pipeline = parse();
    ratoon_created run = create(store, pipeline, false);
    uint32_t attempt;
    MUST(ratoon_stage_start(store, run.run, run.epoch, "first", &attempt, NULL) == RATOON_OK);
    role_say_ready();
    MUST(write(STDOUT_FILENO, run.run.bytes, sizeof run.run.bytes) == sizeof run.run.bytes);
    role_wait_for_end();
    return EXIT_FAILURE;
}

static ratoon_id run_of(const role_process *p)
{
    ratoon_id run;
    MUST(read(p->out, run.bytes, sizeof run.bytes) == sizeof run.bytes);
    return run;
}

/* ---- tests ---- */

static char *folder, *path;
static ratoon_pipeline *pipeline;

static void setup(void)
{
    folder = support_temp_dir("takeover");
    path = support_path_join(folder, "store");
    ck_assert_int_eq(ratoon_store_create(path, NULL, NULL), RATOON_OK);
    pipeline = parse();
}

static void teardown(void)
{
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
    free(path);
}

typedef struct creator {
    pthread_t thread;
    ratoon_store *store;
    ratoon_created runs[RUNS];
    atomic_uint count;
} creator;

static void *create_runs(void *argument)
{
    creator *c = argument;
    for (unsigned i = 0; i < RUNS; i++) {
        c->runs[i] = create(c->store, pipeline, true);
        atomic_store(&c->count, i + 1);
    }
    return NULL;
}

START_TEST(test_L08_run_of_a_killed_owner_is_suspended_by_who_takes_over)
{
    role_process owner = role_start("execute", path, "");
    ratoon_id run = run_of(&owner);
    creator c = {.store = open_store(path)};
    ck_assert(!ratoon_store_is_owner(c.store));
    ck_assert_int_eq(status_of(c.store, run), RATOON_RUN_RUNNING);
    pthread_create(&c.thread, NULL, create_runs, &c);
    while (atomic_load(&c.count) < RUNS / 2) {
        ratoon__sleep_ms(1);
    }
    kill(owner.pid, SIGKILL);
    pthread_join(c.thread, NULL);
    ck_assert_int_eq(role_join(&owner), -SIGKILL);
    ck_assert_int_eq(status_of(c.store, run), RATOON_RUN_SUSPENDED);
    ck_assert(ratoon_store_is_owner(c.store));
    for (unsigned i = 0; i < RUNS; i++) {
        ck_assert_int_eq(status_of(c.store, c.runs[i].run), RATOON_RUN_QUEUED);
    }
    ratoon_store_close(c.store);
}
END_TEST

START_TEST(test_L08_run_of_a_killed_client_is_suspended_by_the_owner)
{
    ratoon_store *store = open_store(path);
    ck_assert(ratoon_store_is_owner(store));
    role_process client = role_start("execute", path, "");
    ratoon_id run = run_of(&client);
    ck_assert_int_eq(status_of(store, run), RATOON_RUN_RUNNING);
    kill(client.pid, SIGKILL);
    ck_assert_int_eq(role_join(&client), -SIGKILL);
    uint64_t until = ratoon__monotonic_ms() + WAIT_MS;
    while (status_of(store, run) == RATOON_RUN_RUNNING && ratoon__monotonic_ms() < until) {
        ratoon__sleep_ms(1);
    }
    ck_assert_int_eq(status_of(store, run), RATOON_RUN_SUSPENDED);
    ratoon_store_close(store);
}
END_TEST

static Suite *takeover_suite(void)
{
    Suite *suite = suite_create("takeover");
    TCase *tcase = tcase_create("takeover");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, test_L08_run_of_a_killed_owner_is_suspended_by_who_takes_over);
    tcase_add_test(tcase, test_L08_run_of_a_killed_client_is_suspended_by_the_owner);
    suite_add_tcase(suite, tcase);
    return suite;
}

int main(int argc, char **argv)
{
    return argc > 3 ? run_role(argv[2]) : support_run_suite(takeover_suite());
}
