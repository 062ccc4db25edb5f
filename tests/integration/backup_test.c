/* Backups of a store in use, by its owner or beside it, and stores made from them; killed half way.
 */
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <pthread.h>
#include <ratoon.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUE_SIZE 3000

static const char text[] = "pipeline: one\n"
                           "params: {token: {type: string, secret: true}}\n"
                           "stages:\n"
                           "  - {name: only, run: [\"true\"], produces: [a]}\n";

static char *folder;
static char path[4096], backup[4096], restored[4096];
static ratoon_store *store;

static ratoon_store *open_store(const char *where)
{
    ratoon_store *opened = NULL;
    ratoon_error error = {0};
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.wait_ms = 20000;
    if (access(where, F_OK) != 0) {
        role_must(ratoon_store_create(where, &options, &error) == RATOON_OK, error.message);
    }
    role_must(ratoon_store_open(where, &options, &opened, &error) == RATOON_OK, error.message);
    return opened;
}

static void setup(void)
{
    folder = support_temp_dir("backup_test");
    (void)snprintf(path, sizeof path, "%s/store", folder);
    (void)snprintf(backup, sizeof backup, "%s/backup", folder);
    (void)snprintf(restored, sizeof restored, "%s/restored", folder);
    store = open_store(path);
}

static void teardown(void)
{
    ratoon_store_close(store);
    support_temp_dir_free(folder);
    store = NULL;
}

static ratoon_created create(ratoon_store *s)
{
    static const ratoon_pair token = {"token", "hush, hush"};
    ratoon_pipeline *pipeline = NULL;
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error = {0};
    role_must(ratoon_pipeline_parse("one.yaml", text, strlen(text), NULL, &pipeline, &error) ==
                  RATOON_OK,
              error.message);
    options.pipeline = pipeline;
    options.params = &token;
    options.params_count = 1;
    role_must(ratoon_run_create(s, &options, &created, &error) == RATOON_OK, error.message);
    ratoon_pipeline_free(pipeline);
    return created;
}

static void done_run(ratoon_store *s, char kind)
{
    char bytes[VALUE_SIZE];
    ratoon_error error = {0};
    ratoon_run_status status;
    uint32_t attempt = 0;
    const ratoon_created run = create(s);
    memset(bytes, kind, sizeof bytes);
    const ratoon_value value = {.key = "a", .data = bytes, .size = sizeof bytes};
    role_must(ratoon_stage_start(s, run.run, run.epoch, "only", &attempt, &error) == RATOON_OK,
              error.message);
    role_must(ratoon_stage_succeed(s, run.run, run.epoch, "only", attempt, &value, 1, &error) ==
                  RATOON_OK,
              error.message);
    role_must(ratoon_run_finish(s, run.run, run.epoch, &status, &error) == RATOON_OK,
              error.message);
}

/* Verifies; the number of runs. */
static size_t check_whole(ratoon_store *s)
{
    const ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
    ratoon_buffer report = {0};
    ratoon_error error = {0};
    ratoon_id *ids = NULL;
    size_t problems = 1;
    size_t count = 0;
    ck_assert_msg(ratoon_verify(s, (ratoon_id){{0}}, &report, &problems, &error) == RATOON_OK, "%s",
                  error.message);
    ck_assert_msg(problems == 0, "%s", report.data);
    ratoon_buffer_free(&report);
    ck_assert_int_eq(ratoon_run_list(s, &options, &ids, &count, NULL), RATOON_OK);
    free(ids);
    return count;
}

static size_t check_folder(const char *where)
{
    ratoon_store *s = open_store(where);
    const size_t count = check_whole(s);
    ratoon_store_close(s);
    return count;
}

START_TEST(test_R20_backup_is_a_store_and_restores)
{
    ratoon_error error = {0};
    done_run(store, 'a');
    done_run(store, 'b');
    const ratoon_created running = create(store);
    ck_assert_msg(ratoon_store_backup(store, backup, &error) == RATOON_OK, "%s", error.message);
    ck_assert_int_eq(ratoon_store_backup(store, backup, &error), RATOON_ERR_EXISTS);
    done_run(store, 'c');
    struct stat key;
    char *name = support_path_join(backup, "secret.key");
    ck_assert_int_eq(stat(name, &key), 0);
    ck_assert_uint_eq(key.st_mode & 0777, 0600);
    free(name);
    ck_assert_msg(ratoon_store_restore(backup, restored, &error) == RATOON_OK, "%s", error.message);
    ck_assert_int_eq(ratoon_store_restore(backup, restored, &error), RATOON_ERR_EXISTS);
    ck_assert_uint_eq(check_folder(backup), 3);
    ck_assert_uint_eq(check_folder(restored), 3);
    ck_assert_uint_eq(check_whole(store), 4);
    ratoon_run_info info;
    ratoon_store *s = open_store(restored);
    ck_assert_int_eq(ratoon_run_get(s, running.run, &info, NULL), RATOON_OK);
    ck_assert_int_eq(info.status, RATOON_RUN_SUSPENDED);
    ratoon_store_close(s);
    ck_assert_int_eq(ratoon_run_get(store, running.run, &info, NULL), RATOON_OK);
    ck_assert_int_eq(info.status, RATOON_RUN_RUNNING);
}
END_TEST

typedef struct writing {
    atomic_bool stop;
    ratoon_store *store;
} writing;

static void *write_runs(void *argument)
{
    writing *w = argument;
    for (unsigned i = 0; !w->stop; i++) {
        done_run(w->store, (char)('a' + i % 26));
    }
    return NULL;
}

START_TEST(test_R20_backup_through_the_owner_while_it_writes)
{
    writing w = {.store = store};
    pthread_t thread;
    ratoon_error error = {0};
    ratoon_store *client = open_store(path);
    ck_assert(!ratoon_store_is_owner(client));
    ck_assert_int_eq(pthread_create(&thread, NULL, write_runs, &w), 0);
    for (int i = 0; i < 5; i++) {
        char place[4200];
        (void)snprintf(place, sizeof place, "%s.%d", backup, i);
        ck_assert_msg(ratoon_store_backup(client, place, &error) == RATOON_OK, "%s", error.message);
    }
    w.stop = true;
    pthread_join(thread, NULL);
    ratoon_store_close(client);
    size_t before = 0;
    for (int i = 0; i < 5; i++) {
        char place[4200];
        (void)snprintf(place, sizeof place, "%s.%d", backup, i);
        const size_t count = check_folder(place);
        ck_assert_uint_ge(count, before);
        before = count;
    }
}
END_TEST

START_TEST(test_R20_a_backup_that_lost_something_is_not_restored)
{
    ratoon_error error = {0};
    char *witness = support_path_join(backup, "witness");
    size_t size = 0;
    done_run(store, 'a');
    char *before = support_path_join(path, "witness");
    char *bytes = NULL;
    ck_assert_int_eq(ratoon_store_backup(store, backup, &error), RATOON_OK);
    for (int i = 0; i < 3; i++) {
        done_run(store, 'b');
    }
    bytes = support_read_file(before, &size); /* of a log that goes on further */
    support_write_file(witness, bytes, size);
    ck_assert_int_eq(ratoon_store_restore(backup, restored, &error), RATOON_ERR_DAMAGED);
    ck_assert_int_ne(access(restored, F_OK), 0);
    char *none = support_path_join(folder, "none");
    ck_assert_int_eq(ratoon_store_restore(none, restored, &error), RATOON_ERR_NOT_FOUND);
    free(none);
    free(bytes);
    free(before);
    free(witness);
}
END_TEST

START_TEST(test_R20_a_store_in_memory_has_no_backup)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *memory = NULL;
    options.driver = RATOON_DRIVER_MEMORY;
    ck_assert_int_eq(ratoon_store_open(NULL, &options, &memory, NULL), RATOON_OK);
    ck_assert_int_eq(ratoon_store_backup(memory, backup, NULL), RATOON_ERR_UNSUPPORTED);
    ratoon_store_close(memory);
}
END_TEST

static int backup_role(const char *where)
{
    role_begin();
    ratoon_store *s = open_store(where);
    role_say_ready();
    for (unsigned i = 0;; i++) {
        char place[4200];
        ratoon_error error = {0};
        (void)snprintf(place, sizeof place, "%s-backup-%d-%u", where, (int)getpid(), i);
        done_run(s, (char)('a' + i % 26));
        role_must(ratoon_store_backup(s, place, &error) == RATOON_OK, error.message);
    }
    return 0;
}

START_TEST(test_R20_killed_while_backing_up_leaves_only_whole_stores)
{
    ratoon_store_close(store);
    support_prng prng = support_prng_new(support_seed());
    unsigned found = 0;
    for (unsigned round = 0; round < 4; round++) {
        role_process process = role_start("backup", path, "-");
        usleep((useconds_t)(50000 + support_prng_below(&prng, 250000)));
        kill(process.pid, SIGKILL);
        (void)role_join(&process);
        (void)check_folder(path);
        for (unsigned i = 0; i < 1000; i++) {
            char place[4200];
            (void)snprintf(place, sizeof place, "%s-backup-%d-%u", path, (int)process.pid, i);
            if (access(place, F_OK) != 0) {
                break;
            }
            ck_assert_uint_ge(check_folder(place), 1);
            found++;
        }
    }
    ck_assert_uint_ge(found, 1);
    store = open_store(path);
}
END_TEST

/* What a process leaves that is killed while it writes the first record of a log file. */
static void tear_last_log(void)
{
    enum { RECORD = 349, WRITTEN = 200, FILE_SIZE = 72089 };
    char *db = support_path_join(path, "db");
    char last[256] = "";
    uint8_t bytes[FILE_SIZE] = {0x47, 0x5b, 0xf1, 0x07, RECORD & 0xff, RECORD >> 8, 1};
    DIR *entries = opendir(db);
    ck_assert_ptr_nonnull(entries);
    for (const struct dirent *e; (e = readdir(entries)) != NULL;) {
        if (strstr(e->d_name, ".log") != NULL && strcmp(e->d_name, last) > 0) {
            (void)snprintf(last, sizeof last, "%s", e->d_name);
        }
    }
    closedir(entries);
    char *log = support_path_join(db, last);
    struct stat info;
    ck_assert_int_eq(stat(log, &info), 0);
    ck_assert_int_eq(info.st_size, 0); /* all is in tables */
    memset(bytes + 7, 'x', WRITTEN);
    support_write_file(log, bytes, sizeof bytes);
    free(log);
    free(db);
}

/* RocksDB looks into each log file that is there when it makes a copy. */
START_TEST(test_R20_backup_after_a_kill_at_the_beginning_of_a_log)
{
    ratoon_error error = {0};
    done_run(store, 'a');
    for (unsigned i = 0; i < 2; i++) { /* what is read back when a store is opened goes to tables */
        ratoon_store_close(store);
        store = open_store(path);
    }
    ratoon_store_close(store);
    tear_last_log();
    store = open_store(path);
    for (int i = 0; i < _i; i++) {
        done_run(store, 'b');
    }
    ck_assert_msg(ratoon_store_backup(store, backup, &error) == RATOON_OK, "%s", error.message);
    ck_assert_uint_eq(check_folder(backup), (size_t)_i + 1);
    ck_assert_uint_eq(check_whole(store), (size_t)_i + 1);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 2) {
        return backup_role(argv[2]);
    }
    Suite *suite = suite_create("backup");
    TCase *t = tcase_create("backup");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_R20_backup_is_a_store_and_restores);
    tcase_add_test(t, test_R20_backup_through_the_owner_while_it_writes);
    tcase_add_loop_test(t, test_R20_backup_after_a_kill_at_the_beginning_of_a_log, 0, 2);
    tcase_add_test(t, test_R20_a_backup_that_lost_something_is_not_restored);
    tcase_add_test(t, test_R20_a_store_in_memory_has_no_backup);
    tcase_add_test(t, test_R20_killed_while_backing_up_leaves_only_whole_stores);
    suite_add_tcase(suite, t);
    return support_run_suite(suite);
}
