/* What a process leaves that is killed: whoever comes next takes it away, and nothing that somebody
 * is at. Found by tests/crash. */
#include "log/folder.h"
#include "log/points.h"
#include "log/store.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char one_stage[] = "pipeline: one\n"
                                "stages:\n"
                                "  - {name: only, run: [\"true\"]}\n";

static char *folder, *path;

static void setup(void)
{
    folder = support_temp_dir("leftovers");
    path = support_path_join(folder, "store");
}

static void teardown(void)
{
    free(path);
    support_temp_dir_free(folder);
}

static void must(ratoon_status status, const ratoon_error *error)
{
    role_must(status == RATOON_OK, error->message);
}

static void create(void)
{
    ratoon_error error;
    must(ratoon_store_create(path, NULL, &error), &error);
}

static ratoon_store *open_store(void)
{
    ratoon_store *store = NULL;
    ratoon_error error;
    must(ratoon_store_open(path, NULL, &store, &error), &error);
    return store;
}

static bool is_there(const char *parent, const char *name)
{
    char *file = support_path_join(parent, name);
    const bool found = access(file, F_OK) == 0;
    free(file);
    return found;
}

static void make_folder_with_file(const char *name)
{
    char *left = support_path_join(folder, name);
    char *file = support_path_join(left, "file");
    ck_assert_int_eq(mkdir(left, 0700), 0);
    support_write_file(file, "left", 4);
    free(file);
    free(left);
}

START_TEST(test_E04_a_folder_left_half_made_goes_with_the_next_creation)
{
    make_folder_with_file("store.creating-1-0");
    make_folder_with_file("store.creating-1-1");
    make_folder_with_file("store.creating-mine");
    make_folder_with_file("another.creating-1-0");
    char *held = support_path_join(folder, "store.creating-1-1");
    const int fd = open(held, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
    create();
    ck_assert(!is_there(folder, "store.creating-1-0"));
    ck_assert(is_there(held, "file")); /* somebody is at it */
    ck_assert(is_there(folder, "store.creating-mine"));
    ck_assert(is_there(folder, "another.creating-1-0"));
    close(fd);
    free(held);
    ratoon_store_close(open_store());
}
END_TEST

/* Makes a store in a folder that is looked at while it is made. */
static ratoon_status look_while_creating(void *ctx, const char *temporary, ratoon_error *error)
{
    bool *locked = ctx;
    const int fd = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    close(fd);
    return ratoon__fail(error, RATOON_ERR_IO, "enough seen");
}

START_TEST(test_E04_a_folder_being_made_is_locked)
{
    bool locked = false;
    ratoon_error error;
    ck_assert_int_eq(ratoon__folder_create(path, look_while_creating, &locked, &error),
                     RATOON_ERR_IO);
    ck_assert_str_eq(error.message, "enough seen");
    ck_assert(locked);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing is left */
    ck_assert_int_eq(mkdir(folder, 0700), 0);
}
END_TEST

START_TEST(test_L08_lock_files_of_dead_executors_go_when_the_store_is_opened)
{
    static const char dead[] = "01a1fce4-0000-7000-8000-000000000001.lock";
    static const char alive[] = "01a1fce4-0000-7000-8000-000000000002.lock";
    create();
    char *locks = support_path_join(path, "executors");
    char *dead_file = support_path_join(locks, dead);
    char *alive_file = support_path_join(locks, alive);
    support_write_file(dead_file, "", 0);
    support_write_file(alive_file, "", 0);
    const int fd = open(alive_file, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
    ratoon_store_close(open_store());
    ck_assert(!is_there(locks, dead));
    ck_assert(is_there(locks, alive));
    close(fd);
    free(dead_file);
    free(alive_file);
    free(locks);
}
END_TEST

static size_t count_logs(void)
{
    char *db = support_path_join(path, "db");
    DIR *entries = opendir(db);
    const struct dirent *entry;
    size_t count = 0;
    while ((entry = readdir(entries)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        count += dot != NULL && strcmp(dot, ".log") == 0;
    }
    closedir(entries);
    free(db);
    return count;
}

START_TEST(test_reading_a_store_again_and_again_leaves_no_files)
{
    create();
    for (int i = 0; i < 10; i++) {
        ratoon_store_close(open_store());
    }
    ck_assert_uint_le(count_logs(), 2);
}
END_TEST

static ratoon_id finished_run(ratoon_store *store)
{
    ratoon_pipeline *pipeline = NULL;
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_run_status status;
    uint32_t attempt;
    ratoon_error error;
    must(ratoon_pipeline_parse("one", one_stage, strlen(one_stage), NULL, &pipeline, &error),
         &error);
    options.pipeline = pipeline;
    must(ratoon_run_create(store, &options, &created, &error), &error);
    must(ratoon_stage_start(store, created.run, created.epoch, "only", &attempt, &error), &error);
    must(ratoon_stage_succeed(store, created.run, created.epoch, "only", attempt, NULL, 0, &error),
         &error);
    must(ratoon_run_finish(store, created.run, created.epoch, &status, &error), &error);
    ratoon_pipeline_free(pipeline);
    return created.run;
}

START_TEST(test_R20_an_unfinished_note_of_a_deletion_goes_with_the_next_one)
{
    static const char unfinished[] = "01a1fce4-0000-7000-8000-000000000001.new";
    create();
    char *notes = support_path_join(path, "deleting");
    char *file = support_path_join(notes, unfinished);
    ck_assert_int_eq(mkdir(notes, 0700), 0);
    support_write_file(file, "run", 3);
    ratoon_store *store = open_store();
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_error error;
    must(ratoon_lineage_delete(store, finished_run(store), false, &deleted, &freed, &error),
         &error);
    ck_assert(!is_there(notes, unfinished));
    ratoon_store_close(store);
    free(file);
    free(notes);
}
END_TEST

static void die_behind_a_snapshot(ratoon__point point)
{
    if (point == RATOON__POINT_SNAPSHOT_WRITTEN) {
        _exit(0);
    }
}

/* In a process of its own: deletes a lineage, and is then late with a snapshot of it. */
static int late_role(const char *store_path, const char *run_file)
{
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_error error;
    role_begin();
    path = strdup(store_path);
    ratoon_store *store = open_store();
    ratoon__driver *d = ratoon__store_driver(store);
    const ratoon_id run = finished_run(store);
    support_write_file(run_file, run.bytes, sizeof run.bytes);
    must(ratoon_lineage_delete(store, run, false, &deleted, &freed, &error), &error);
    role_say_ready();
    role_wait_for_end();
    ratoon__point_hook = die_behind_a_snapshot;
    (void)d->ops->snapshot_put(d, run, 2, "state", 5, &error);
    return EXIT_SUCCESS; /* the snapshot was not taken */
}

START_TEST(test_R20_a_late_snapshot_does_not_outlive_a_deletion_and_a_crash)
{
    uint64_t at = 0;
    ratoon_id run;
    ratoon_buffer bytes = {0};
    ratoon_error error;
    char *run_file = support_path_join(folder, "late");
    create();
    role_process late = role_start("late", path, run_file);
    ck_assert_int_eq(role_join(&late), 0);
    char *id = support_read_file(run_file, NULL);
    memcpy(run.bytes, id, sizeof run.bytes);
    ratoon_store *store = open_store();
    ratoon__driver *d = ratoon__store_driver(store);
    ck_assert_int_eq(d->ops->snapshot_get(d, run, UINT64_MAX, &at, &bytes, &error),
                     RATOON_ERR_NOT_FOUND);
    ratoon_store_close(store);
    free(id);
    free(run_file);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("leftovers");
    TCase *t = tcase_create("leftovers");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_E04_a_folder_left_half_made_goes_with_the_next_creation);
    tcase_add_test(t, test_E04_a_folder_being_made_is_locked);
    tcase_add_test(t, test_L08_lock_files_of_dead_executors_go_when_the_store_is_opened);
    tcase_add_test(t, test_reading_a_store_again_and_again_leaves_no_files);
    tcase_add_test(t, test_R20_an_unfinished_note_of_a_deletion_goes_with_the_next_one);
    tcase_add_test(t, test_R20_a_late_snapshot_does_not_outlive_a_deletion_and_a_crash);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return argc > 3 ? late_role(argv[2], argv[3]) : support_run_suite(suite());
}
