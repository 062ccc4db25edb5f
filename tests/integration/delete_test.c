/* Deleting through the public interface (R20), on a store in memory and on one on disk; through the
 * owner of a store, beside somebody who writes, and killed half way. */
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

#define VALUE_SIZE 5000
#define DAY_US UINT64_C(86400000000)

static const char text[] = "pipeline: two\n"
                           "policy: {scope: only}\n"
                           "stages:\n"
                           "  - {name: first, run: [\"true\"], produces: [a]}\n"
                           "  - {name: second, run: [\"true\"], needs: [first]}\n";

static char *folder;
static char path[4096];
static ratoon_store *store;
static ratoon_pipeline *pipeline;
static _Atomic uint64_t fake_now;

static uint64_t fake_clock(void *ctx)
{
    (void)ctx;
    return fake_now;
}

static ratoon_store *open_store(const char *where)
{
    ratoon_store *opened = NULL;
    ratoon_error error = {0};
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.wait_ms = 20000;
    options.driver = where == NULL ? RATOON_DRIVER_MEMORY : RATOON_DRIVER_AUTO;
    options.clock_us = fake_now != 0 ? fake_clock : NULL;
    if (where != NULL && access(where, F_OK) != 0) {
        role_must(ratoon_store_create(where, &options, &error) == RATOON_OK, error.message);
    }
    role_must(ratoon_store_open(where, &options, &opened, &error) == RATOON_OK, error.message);
    return opened;
}

static ratoon_pipeline *parse(void)
{
    ratoon_pipeline *parsed = NULL;
    ratoon_error error = {0};
    role_must(ratoon_pipeline_parse("two.yaml", text, strlen(text), NULL, &parsed, &error) ==
                  RATOON_OK,
              error.message);
    return parsed;
}

static void setup_disk(void)
{
    fake_now = 1700000000000000u;
    folder = support_temp_dir("delete_test");
    (void)snprintf(path, sizeof path, "%s/store", folder);
    store = open_store(path);
    pipeline = parse();
}

static void setup_memory(void)
{
    fake_now = 1700000000000000u;
    store = open_store(NULL);
    pipeline = parse();
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

/* ---- what an executor does ---- */

static ratoon_created create(ratoon_store *s, const ratoon_pipeline *p, const char *key)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error = {0};
    options.pipeline = p;
    options.subject = "thing";
    options.key = key;
    role_must(ratoon_run_create(s, &options, &created, &error) == RATOON_OK, error.message);
    return created;
}

/* Both stages; the first gives a value of its own kind that is stored by digest. */
static void execute(ratoon_store *s, ratoon_created run, char kind)
{
    static const char *const stages[] = {"first", "second"};
    char bytes[VALUE_SIZE];
    ratoon_error error = {0};
    ratoon_run_status status;
    memset(bytes, kind, sizeof bytes);
    const ratoon_value value = {.key = "a", .data = bytes, .size = sizeof bytes};
    for (size_t i = 0; i < 2; i++) {
        uint32_t attempt = 0;
        const ratoon_status started =
            ratoon_stage_start(s, run.run, run.epoch, stages[i], &attempt, &error);
        if (started == RATOON_ERR_ILLEGAL_TRANSITION) { /* reused */
            continue;
        }
        role_must(started == RATOON_OK, error.message);
        role_must(ratoon_stage_succeed(s, run.run, run.epoch, stages[i], attempt, &value,
                                       i == 0 ? 1 : 0, &error) == RATOON_OK,
                  error.message);
    }
    role_must(ratoon_run_finish(s, run.run, run.epoch, &status, &error) == RATOON_OK,
              error.message);
}

static ratoon_id done_run(char kind)
{
    const ratoon_created run = create(store, pipeline, NULL);
    execute(store, run, kind);
    return run.run;
}

static ratoon_id branch_of(ratoon_id parent)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error = {0};
    options.parent = parent;
    options.from = "second";
    options.rerun = true;
    ck_assert_msg(ratoon_retry_create(store, &options, &created, &error) == RATOON_OK, "%s",
                  error.message);
    execute(store, created, 'b');
    return created.run;
}

static ratoon_status delete (ratoon_id run, bool whole, ratoon_freed *freed, ratoon_error *error)
{
    ratoon_deleted deleted;
    ratoon_freed ignored;
    return ratoon_lineage_delete(store, run, whole, &deleted, freed ? freed : &ignored, error);
}

static void check_verifies(ratoon_store *s)
{
    ratoon_buffer report = {0};
    ratoon_error error = {0};
    size_t problems = 1;
    ck_assert_msg(ratoon_verify(s, (ratoon_id){{0}}, &report, &problems, &error) == RATOON_OK, "%s",
                  error.message);
    ck_assert_msg(problems == 0, "%s", report.data);
    ratoon_buffer_free(&report);
}

static size_t count_runs(ratoon_store *s)
{
    const ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *ids = NULL;
    size_t count = 0;
    ck_assert_int_eq(ratoon_run_list(s, &options, &ids, &count, NULL), RATOON_OK);
    free(ids);
    return count;
}

static void check_gone(ratoon_store *s, ratoon_id run)
{
    char id[RATOON_ID_TEXT];
    ratoon_run_info info;
    ratoon_id found;
    ratoon_buffer json = {0};
    ratoon_state *state = NULL;
    ratoon_id_format(run, id);
    ck_assert_int_eq(ratoon_run_get(s, run, &info, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(ratoon_run_find(s, id, &found, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(ratoon_doc_run(s, run, true, &json, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(ratoon_doc_tree(s, run, &json, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(ratoon_doc_log(s, run, true, &json, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(ratoon_state_at(s, run, "end", &state, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(ratoon_run_annotate(s, run, "late", NULL), RATOON_ERR_NOT_FOUND);
}

/* ---- what is deleted, and what is refused ---- */

START_TEST(test_R20_a_deleted_run_is_gone_and_the_store_verifies)
{
    ratoon_freed freed;
    ratoon_error error = {0};
    const ratoon_id kept = done_run('k');
    const ratoon_id gone = done_run('g');
    ck_assert_msg(delete (gone, false, &freed, &error) == RATOON_OK, "%s", error.message);
    ck_assert_uint_eq(freed.values, 1);
    ck_assert_uint_eq(freed.value_bytes, VALUE_SIZE);
    check_gone(store, gone);
    ck_assert_uint_eq(count_runs(store), 1);
    ratoon_id newest;
    ck_assert_int_eq(ratoon_most_recent(store, "thing", &newest, NULL), RATOON_OK);
    ck_assert(ratoon_id_equal(newest, kept));
    check_verifies(store);
    ck_assert_int_eq(delete (gone, true, NULL, NULL), RATOON_ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_R20_branches_go_only_when_asked_for_as_such)
{
    ratoon_error error = {0};
    const ratoon_id root = done_run('r');
    const ratoon_id branch = branch_of(root);
    ck_assert_int_eq(delete (root, false, NULL, &error), RATOON_ERR_HAS_BRANCHES);
    ck_assert_int_eq(delete (branch, false, NULL, &error), RATOON_ERR_HAS_BRANCHES);
    ck_assert_uint_eq(count_runs(store), 2);
    ck_assert_msg(delete (branch, true, NULL, &error) == RATOON_OK, "%s", error.message);
    check_gone(store, root);
    check_gone(store, branch);
    check_verifies(store);
}
END_TEST

START_TEST(test_R20_never_while_a_run_of_it_is_active)
{
    ratoon_error error = {0};
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created active;
    const ratoon_id root = done_run('r');
    options.parent = root;
    options.from = "second";
    options.rerun = true;
    ck_assert_int_eq(ratoon_retry_create(store, &options, &active, &error), RATOON_OK);
    ck_assert_int_eq(delete (root, true, NULL, &error), RATOON_ERR_RUN_ACTIVE);
    ck_assert(ratoon_id_equal(error.run, active.run));
    execute(store, active, 'x');
    ck_assert_int_eq(delete (root, true, NULL, &error), RATOON_OK);
}
END_TEST

START_TEST(test_R20_names_of_a_deleted_run_are_free)
{
    const ratoon_created first = create(store, pipeline, "the-key");
    execute(store, first, 'a');
    ck_assert_int_eq(delete (first.run, false, NULL, NULL), RATOON_OK);
    const ratoon_created second = create(store, pipeline, "the-key");
    ck_assert(!second.repeated);
    ck_assert(!ratoon_id_equal(first.run, second.run));
}
END_TEST

START_TEST(test_R20_values_that_others_use_stay)
{
    ratoon_freed freed;
    ratoon_state *state = NULL;
    ratoon_state_entry entry;
    const ratoon_id first = done_run('s');
    const ratoon_id second = done_run('s');
    ck_assert_int_eq(delete (first, false, &freed, NULL), RATOON_OK);
    ck_assert_uint_eq(freed.values, 0);
    ck_assert_int_eq(ratoon_state_at(store, second, "end", &state, NULL), RATOON_OK);
    ck_assert_int_eq(ratoon_state_get(state, 0, &entry, NULL), RATOON_OK);
    ck_assert_uint_eq(entry.size, VALUE_SIZE);
    ratoon_state_free(state);
    /* The value and the definition were the last one's: both go with it, and come again. */
    ck_assert_int_eq(delete (second, false, &freed, NULL), RATOON_OK);
    ck_assert_uint_eq(freed.values, 2);
    (void)done_run('s');
    check_verifies(store);
}
END_TEST

START_TEST(test_R20_the_feed_passes_over_what_was_deleted)
{
    ratoon_feed *feed = NULL;
    ratoon_feed_item item;
    const ratoon_id gone = done_run('g');
    ck_assert_int_eq(delete (gone, false, NULL, NULL), RATOON_OK);
    ck_assert_int_eq(ratoon_feed_open(store, 1, &feed, NULL), RATOON_OK);
    ck_assert_int_eq(ratoon_feed_next(feed, 0, &item, NULL), RATOON_OK);
    ck_assert_uint_eq(item.events, 1);
    ck_assert_str_eq(item.types[0], "lineage.deleted");
    ck_assert(ratoon_id_equal(item.lineage, gone));
    ck_assert_uint_eq(item.commit, item.position);
    ck_assert_int_eq(ratoon_feed_next(feed, 0, &item, NULL), RATOON_ERR_TIMED_OUT);
    ratoon_feed_close(feed);
}
END_TEST

START_TEST(test_R20_prune_deletes_what_ended_long_ago)
{
    ratoon_prune_options options = RATOON_PRUNE_OPTIONS_INIT;
    ratoon_deleted *deleted = NULL;
    ratoon_freed freed;
    size_t count = 0;
    const ratoon_id old = done_run('o');
    const ratoon_id revived = done_run('v');
    const ratoon_created suspended = create(store, pipeline, NULL);
    ratoon_op suspend = {.kind = RATOON_OP_FINISH, .text = "stopped"};
    ck_assert_int_eq(ratoon_run_apply(store, suspended.run, suspended.epoch, &suspend, 1, NULL),
                     RATOON_OK);
    fake_now += 100 * DAY_US;
    (void)branch_of(revived);
    (void)done_run('n');
    options.before = fake_now - 90 * DAY_US;
    options.dry_run = true;
    ck_assert_int_eq(ratoon_prune(store, &options, &deleted, &count, &freed, NULL), RATOON_OK);
    ck_assert_uint_eq(count, 1);
    free(deleted);
    ck_assert_uint_eq(count_runs(store), 5);
    options.dry_run = false;
    ck_assert_int_eq(ratoon_prune(store, &options, &deleted, &count, &freed, NULL), RATOON_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert(ratoon_id_equal(deleted[0].root, old));
    ck_assert_uint_eq(freed.values, 1);
    free(deleted);
    check_gone(store, old);
    ck_assert_uint_eq(count_runs(store), 4);
    check_verifies(store);
}
END_TEST

/* ---- on disk ---- */

START_TEST(test_R20_deleted_through_the_owner_and_still_so_after_reopening)
{
    const ratoon_id kept = done_run('k');
    const ratoon_id gone = done_run('g');
    ratoon_run_info info;
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_store *client = open_store(path);
    ck_assert(!ratoon_store_is_owner(client));
    ck_assert_int_eq(ratoon_run_get(client, gone, &info, NULL), RATOON_OK);
    ck_assert_int_eq(ratoon_lineage_delete(client, gone, false, &deleted, &freed, NULL), RATOON_OK);
    check_gone(store, gone);
    check_gone(client, gone);
    check_verifies(client);
    ratoon_store_close(client);
    ratoon_store_close(store);
    store = open_store(path);
    check_gone(store, gone);
    ck_assert_int_eq(ratoon_run_get(store, kept, &info, NULL), RATOON_OK);
    ck_assert_uint_eq(count_runs(store), 1);
    check_verifies(store);
}
END_TEST

typedef struct writing {
    atomic_bool stop;
    unsigned runs;
} writing;

/* Another handle's runs use the very values that are swept. */
static void *write_runs(void *argument)
{
    writing *w = argument;
    ratoon_pipeline *p = parse();
    ratoon_store *s = open_store(path);
    while (!w->stop) {
        ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
        ratoon_created created;
        options.pipeline = p;
        if (ratoon_run_create(s, &options, &created, NULL) == RATOON_OK) {
            execute(s, created, 's');
            w->runs++;
        }
    }
    ratoon_store_close(s);
    ratoon_pipeline_free(p);
    return NULL;
}

START_TEST(test_R20_values_used_again_meanwhile_are_kept)
{
    writing w = {0};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, write_runs, &w), 0);
    for (unsigned deleted = 0; deleted < 60;) {
        const ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
        ratoon_id *ids = NULL;
        size_t count = 0;
        ck_assert_int_eq(ratoon_run_list(store, &options, &ids, &count, NULL), RATOON_OK);
        for (size_t i = 0; i < count; i++) {
            deleted += delete (ids[i], false, NULL, NULL) == RATOON_OK;
        }
        free(ids);
    }
    w.stop = true;
    pthread_join(thread, NULL);
    ck_assert_uint_ge(w.runs, 60);
    check_verifies(store);
}
END_TEST

/* ---- killed ---- */

static int delete_role(const char *where)
{
    role_begin();
    ratoon_store *s = open_store(where);
    ratoon_pipeline *p = parse();
    role_say_ready();
    for (unsigned i = 0;; i++) {
        ratoon_deleted deleted;
        ratoon_freed freed;
        ratoon_error error = {0};
        const ratoon_created run = create(s, p, NULL);
        execute(s, run, (char)('a' + i % 26));
        role_must(ratoon_lineage_delete(s, run.run, false, &deleted, &freed, &error) == RATOON_OK,
                  error.message);
    }
    return 0;
}

START_TEST(test_R20_killed_while_deleting_leaves_a_store_that_verifies)
{
    ratoon_store_close(store);
    support_prng prng = support_prng_new(support_seed());
    for (unsigned round = 0; round < 8; round++) {
        role_process process = role_start("delete", path, "-");
        usleep((useconds_t)support_prng_below(&prng, 60000));
        kill(process.pid, SIGKILL);
        (void)role_join(&process);
        ratoon_store *again = open_store(path);
        check_verifies(again);
        ratoon_store_close(again);
    }
    store = open_store(path);
    /* Whatever was left over goes with the next deletion. */
    ratoon_prune_options options = RATOON_PRUNE_OPTIONS_INIT;
    ratoon_deleted *deleted = NULL;
    ratoon_freed freed;
    ratoon_error error = {0};
    const ratoon_list_options all = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *ids = NULL;
    size_t count = 0;
    ck_assert_int_eq(ratoon_run_list(store, &all, &ids, &count, NULL), RATOON_OK);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(delete (ids[i], true, NULL, &error) == RATOON_OK, "%s", error.message);
    }
    free(ids);
    ck_assert_int_eq(ratoon_prune(store, &options, &deleted, &count, &freed, NULL), RATOON_OK);
    free(deleted);
    ratoon_buffer report = {0};
    size_t problems = 0;
    ck_assert_int_eq(ratoon_verify(store, (ratoon_id){{0}}, &report, &problems, NULL), RATOON_OK);
    ck_assert_uint_eq(problems, 0);
    ck_assert_ptr_nonnull(strstr(report.data, "\"values\":0"));
    ratoon_buffer_free(&report);
}
END_TEST

static void add_common(TCase *t)
{
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_R20_a_deleted_run_is_gone_and_the_store_verifies);
    tcase_add_test(t, test_R20_branches_go_only_when_asked_for_as_such);
    tcase_add_test(t, test_R20_never_while_a_run_of_it_is_active);
    tcase_add_test(t, test_R20_names_of_a_deleted_run_are_free);
    tcase_add_test(t, test_R20_values_that_others_use_stay);
    tcase_add_test(t, test_R20_the_feed_passes_over_what_was_deleted);
    tcase_add_test(t, test_R20_prune_deletes_what_ended_long_ago);
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        return delete_role(argv[2]);
    }
    Suite *suite = suite_create("delete");
    TCase *memory = tcase_create("memory");
    tcase_add_checked_fixture(memory, setup_memory, teardown);
    add_common(memory);
    suite_add_tcase(suite, memory);
    TCase *disk = tcase_create("disk");
    tcase_add_checked_fixture(disk, setup_disk, teardown);
    add_common(disk);
    tcase_add_test(disk, test_R20_deleted_through_the_owner_and_still_so_after_reopening);
    tcase_add_test(disk, test_R20_values_used_again_meanwhile_are_kept);
    tcase_add_test(disk, test_R20_killed_while_deleting_leaves_a_store_that_verifies);
    suite_add_tcase(suite, disk);
    return support_run_suite(suite);
}
