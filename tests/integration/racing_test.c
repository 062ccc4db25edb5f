/* Many at the same instant: threads on one handle and processes with a handle each ask for the same
 * thing. The rules say who wins; everybody else is told why not, and the store is whole after. */
#include "tests/support/support.h"

#include <pthread.h>
#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Threads, then processes. Sanitized tests run in one process, and a fork of one that has threads
 * already is not for them. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RACERS = 8, KINDS = 1 };
#else
enum { RACERS = 8, KINDS = 2 };
#endif

static const char definition[] = "pipeline: racing\n"
                                 "stages:\n"
                                 "  - {name: one, run: [\"true\"]}\n"
                                 "  - {name: two, run: [\"true\"]}\n";
static const char with_scope[] = "pipeline: scoped\n"
                                 "policy: {scope: there-is-one}\n"
                                 "stages:\n"
                                 "  - {name: one, run: [\"true\"]}\n";

typedef struct answer {
    ratoon_status status;
    ratoon_created created;
    ratoon_run_status run_status;
    char message[512];
} answer;

/* Shared by all racers, of processes too. */
typedef struct track {
    pthread_barrier_t go, done;
    ratoon_id target;
    answer answers[RACERS];
} track;

typedef void racer_fn(ratoon_store *store, const track *t, answer *a);

static char *folder;
static char *path;

static void must(ratoon_status status, const ratoon_error *e)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), e->message);
}

static void setup(void)
{
    folder = support_temp_dir("racing_test");
    path = support_path_join(folder, "store");
}

static void teardown(void)
{
    free(path);
    support_temp_dir_free(folder);
}

static ratoon_store *store_open(ratoon_error *e)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *store = NULL;
    options.wait_ms = 60000;
    const ratoon_status status = ratoon_store_open(path, &options, &store, e);
    return status == RATOON_OK ? store : NULL;
}

static ratoon_pipeline *parse(const char *text)
{
    ratoon_pipeline *p = NULL;
    ratoon_error e;
    if (ratoon_pipeline_parse("p.yaml", text, strlen(text), NULL, &p, &e) != RATOON_OK) {
        abort();
    }
    return p;
}

/* ---- racers ---- */

static void note(answer *a, ratoon_status status, const ratoon_error *e)
{
    a->status = status;
    if (status != RATOON_OK) {
        snprintf(a->message, sizeof a->message, "%.500s", e->message);
    }
}

static void race_retry(ratoon_store *store, const track *t, answer *a)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_error e;
    options.parent = t->target;
    note(a, ratoon_retry_create(store, &options, &a->created, &e), &e);
}

static void race_cancel(ratoon_store *store, const track *t, answer *a)
{
    ratoon_error e;
    note(a, ratoon_run_cancel(store, t->target, "race", &a->run_status, &e), &e);
}

static void race_resume(ratoon_store *store, const track *t, answer *a)
{
    const ratoon_start_options options = RATOON_START_OPTIONS_INIT;
    ratoon_error e;
    note(a, ratoon_run_start(store, t->target, &options, &a->created.epoch, &e), &e);
}

static void race_create(ratoon_store *store, const char *text, const char *key, answer *a)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_pipeline *p = parse(text);
    ratoon_error e;
    options.pipeline = p;
    options.key = key;
    note(a, ratoon_run_create(store, &options, &a->created, &e), &e);
    ratoon_pipeline_free(p);
}

static void race_key(ratoon_store *store, const track *t, answer *a)
{
    (void)t;
    race_create(store, definition, "the one key", a);
}

static void race_scope(ratoon_store *store, const track *t, answer *a)
{
    (void)t;
    race_create(store, with_scope, NULL, a);
}

static void race_delete(ratoon_store *store, const track *t, answer *a)
{
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_error e;
    note(a, ratoon_lineage_delete(store, t->target, true, &deleted, &freed, &e), &e);
}

/* ---- what they race for ---- */

/* A failed run, or one that is suspended. */
static ratoon_id prepare(bool failed)
{
    ratoon_error e;
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_pipeline *p = parse(definition);
    ratoon_created run;
    ratoon_store *store = store_open(&e);
    ck_assert_msg(store != NULL, "%s", e.message);
    options.pipeline = p;
    must(ratoon_run_create(store, &options, &run, &e), &e);
    uint32_t attempt = 0;
    ratoon_run_status status;
    must(ratoon_stage_start(store, run.run, run.epoch, "one", &attempt, &e), &e);
    if (failed) {
        const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "no"};
        must(ratoon_stage_fail(store, run.run, run.epoch, "one", attempt, &failure, &e), &e);
    } else {
        must(ratoon_stage_succeed(store, run.run, run.epoch, "one", attempt, NULL, 0, &e), &e);
    }
    must(ratoon_run_finish(store, run.run, run.epoch, &status, &e), &e);
    ck_assert_int_eq(status, failed ? RATOON_RUN_FAILED : RATOON_RUN_SUSPENDED);
    ratoon_pipeline_free(p);
    ratoon_store_close(store);
    return run.run;
}

/* ---- the race ---- */

static track *track_new(void)
{
    track *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(t != MAP_FAILED);
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&t->go, &shared, RACERS);
    pthread_barrier_init(&t->done, &shared, RACERS);
    pthread_barrierattr_destroy(&shared);
    return t;
}

typedef struct racer {
    ratoon_store *store;
    track *t;
    racer_fn *run;
    unsigned number;
} racer;

static void *race(void *arg)
{
    const racer *r = arg;
    pthread_barrier_wait(&r->t->go);
    r->run(r->store, r->t, &r->t->answers[r->number]);
    pthread_barrier_wait(&r->t->done); /* nobody is gone, and with it its runs, before all asked */
    return NULL;
}

static void race_threads(track *t, racer_fn *run)
{
    pthread_t threads[RACERS];
    racer racers[RACERS];
    ratoon_error e;
    ratoon_store *store = store_open(&e);
    ck_assert_msg(store != NULL, "%s", e.message);
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i] = (racer){store, t, run, i};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
    }
    ratoon_store_close(store);
}

/* No handle is open when they fork: each opens its own, one of them becomes the owner. */
static void race_processes(track *t, racer_fn *run)
{
    pid_t children[RACERS];
    for (unsigned i = 0; i < RACERS; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            ratoon_error e;
            racer r = {store_open(&e), t, run, i};
            if (r.store == NULL) {
                fprintf(stderr, "racer %u: %s\n", i, e.message);
                abort();
            }
            race(&r);
            ratoon_store_close(r.store);
            _exit(0);
        }
    }
    bool lost = false;
    for (unsigned i = 0; i < RACERS; i++) {
        int ended = 0;
        ck_assert_int_eq(waitpid(children[i], &ended, 0), children[i]);
        lost = lost || ended != 0;
    }
    ck_assert(!lost);
}

static void expect_whole(size_t runs)
{
    ratoon_error e;
    ratoon_store *store = store_open(&e);
    ratoon_buffer json = {0};
    size_t problems = 99;
    ck_assert_msg(store != NULL, "%s", e.message);
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &e), &e);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
    const ratoon_list_options all = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *ids = NULL;
    size_t count = 0;
    must(ratoon_run_list(store, &all, &ids, &count, &e), &e);
    ck_assert_uint_eq(count, runs);
    free(ids);
    ratoon_store_close(store);
}

/* One wins, all the others get one of two answers. */
static void expect_one_winner(const track *t, ratoon_status other, ratoon_status or_other)
{
    unsigned winners = 0;
    for (unsigned i = 0; i < RACERS; i++) {
        const answer *a = &t->answers[i];
        winners += a->status == RATOON_OK;
        ck_assert_msg(a->status == RATOON_OK || a->status == other || a->status == or_other,
                      "racer %u: %s: %s", i, ratoon_status_name(a->status), a->message);
    }
    ck_assert_uint_eq(winners, 1);
}

typedef enum before { NOTHING, FAILED_RUN, SUSPENDED_RUN } before;

static void make(track *t, before what)
{
    const ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_error e;
    must(ratoon_store_create(path, &options, &e), &e);
    if (what != NOTHING) {
        t->target = prepare(what == FAILED_RUN);
    }
}

/* The database must not have been open in a process that forks racers: its threads would be
 * missing in them. */
static void make_apart(track *t, before what)
{
    int ended = 0;
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        make(t, what);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &ended, 0), child);
    ck_assert_int_eq(ended, 0);
}

static track *run_race(before what, racer_fn *run, bool processes)
{
    track *t = track_new();
    (processes ? make_apart : make)(t, what);
    (processes ? race_processes : race_threads)(t, run);
    return t;
}

static void track_free(track *t)
{
    munmap(t, sizeof *t);
}

START_TEST(test_R08_one_retry_wins)
{
    track *t = run_race(FAILED_RUN, race_retry, _i == 1);
    expect_one_winner(t, RATOON_ERR_BRANCH_ACTIVE, RATOON_ERR_BRANCH_ACTIVE);
    expect_whole(2);
    track_free(t);
}
END_TEST

START_TEST(test_L08_one_resume_wins)
{
    track *t = run_race(SUSPENDED_RUN, race_resume, _i == 1);
    expect_one_winner(t, RATOON_ERR_RUN_ACTIVE, RATOON_ERR_RUN_ACTIVE);
    expect_whole(1);
    track_free(t);
}
END_TEST

START_TEST(test_E05_suspended_run_is_cancelled_once)
{
    track *t = run_race(SUSPENDED_RUN, race_cancel, _i == 1);
    expect_one_winner(t, RATOON_ERR_ILLEGAL_TRANSITION, RATOON_ERR_ILLEGAL_TRANSITION);
    expect_whole(1);
    track_free(t);
}
END_TEST

START_TEST(test_R09_one_key_makes_one_run)
{
    track *t = run_race(NOTHING, race_key, _i == 1);
    unsigned made = 0;
    for (unsigned i = 0; i < RACERS; i++) {
        const answer *a = &t->answers[i];
        ck_assert_msg(a->status == RATOON_OK, "%s: %s", ratoon_status_name(a->status), a->message);
        ck_assert(ratoon_id_equal(a->created.run, t->answers[0].created.run));
        made += !a->created.repeated;
    }
    ck_assert_uint_eq(made, 1);
    expect_whole(1);
    track_free(t);
}
END_TEST

START_TEST(test_R10_one_takes_the_scope)
{
    track *t = run_race(NOTHING, race_scope, _i == 1);
    expect_one_winner(t, RATOON_ERR_SCOPE_BUSY, RATOON_ERR_SCOPE_BUSY);
    expect_whole(1);
    track_free(t);
}
END_TEST

START_TEST(test_R20_lineage_is_deleted_once)
{
    track *t = run_race(FAILED_RUN, race_delete, _i == 1);
    expect_one_winner(t, RATOON_ERR_NOT_FOUND, RATOON_ERR_NOT_FOUND);
    expect_whole(0);
    track_free(t);
}
END_TEST

/* Everything at once for one lineage: whatever comes of it, the store is whole. */
static void race_anything(ratoon_store *store, const track *t, answer *a)
{
    static racer_fn *const all[] = {race_retry, race_cancel, race_resume, race_delete,
                                    race_key,   race_retry,  race_scope,  race_delete};
    all[(size_t)(a - t->answers) % RACERS](store, t, a);
}

START_TEST(test_Q01_store_is_whole_after_everything_at_once)
{
    track *t = run_race(SUSPENDED_RUN, race_anything, _i == 1);
    ratoon_error e;
    ratoon_store *store = store_open(&e);
    ck_assert_msg(store != NULL, "%s", e.message);
    ratoon_buffer json = {0};
    size_t problems = 99;
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &e), &e);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
    ratoon_store_close(store);
    track_free(t);
}
END_TEST

static Suite *racing_suite(void)
{
    Suite *s = suite_create("racing");
    TCase *t = tcase_create("racing");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_R08_one_retry_wins, 0, KINDS);
    tcase_add_loop_test(t, test_L08_one_resume_wins, 0, KINDS);
    tcase_add_loop_test(t, test_E05_suspended_run_is_cancelled_once, 0, KINDS);
    tcase_add_loop_test(t, test_R09_one_key_makes_one_run, 0, KINDS);
    tcase_add_loop_test(t, test_R10_one_takes_the_scope, 0, KINDS);
    tcase_add_loop_test(t, test_R20_lineage_is_deleted_once, 0, KINDS);
    tcase_add_loop_test(t, test_Q01_store_is_whole_after_everything_at_once, 0, KINDS);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(racing_suite)
