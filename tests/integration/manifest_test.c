/* A torn end of RocksDB's list of files (log/manifest.h), as a power cut may leave it: no damage
 * where all is there without it, and reported with everything kept where something is missing. */
#include "log/manifest.h"
#include "tests/support/driver_fixture.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COMMITS = 20 };

static char *folder;
static char *store;

static void setup(void)
{
    folder = support_temp_dir("manifest");
    store = support_path_join(folder, "store");
    fixture_create(store);
}

static void teardown(void)
{
    free(store);
    support_temp_dir_free(folder);
}

static void put_commits(uint64_t from)
{
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_SYNC);
    for (uint64_t i = 0; i < COMMITS; i++) {
        ck_assert_int_eq(fixture_put(d, fixture_id(1), from + i, "text"), RATOON_OK);
    }
    d->ops->close(d);
}

/* Opening writes out what the log holds, so the list's last records tell of that. */
static void list_path(char path[4096])
{
    char *current = support_path_join(store, "db/CURRENT");
    size_t size;
    char *name = support_read_file(current, &size);
    ck_assert_uint_gt(size, 1);
    name[size - 1] = '\0';
    snprintf(path, 4096, "%s/db/%s", store, name);
    free(name);
    free(current);
}

static void check_all(uint64_t commits)
{
    ratoon__driver *d = fixture_open(store, RATOON_DURABILITY_SYNC);
    fixture_seen seen = {0};
    ck_assert_int_eq(d->ops->tail(d, 1, 0, fixture_see, &seen, NULL), RATOON_OK);
    ck_assert_uint_eq(seen.count, commits);
    d->ops->close(d);
}

/* A record whose head is whole and whose end never got to the disk. */
static const uint8_t torn[] = {0x11, 0x22, 0x33, 0x44, 20, 0, 1, 'a', 'b', 'c', 0, 0, 0, 0,
                               0,    0,    0,    0,    0,  0, 0, 0,   0,   0,   0, 0, 0};

START_TEST(test_L11_torn_end_of_the_list_of_files_is_no_damage)
{
    char path[4096];
    put_commits(1);
    put_commits(COMMITS + 1);
    list_path(path);
    int fd = open(path, O_WRONLY | O_APPEND);
    ck_assert_int_eq(write(fd, torn, sizeof torn), sizeof torn);
    close(fd);
    check_all(2 * COMMITS);
    check_all(2 * COMMITS); /* nothing is left of it */
    char *work = support_path_join(store, "opening");
    ck_assert_int_ne(access(work, F_OK), 0);
    free(work);
}
END_TEST

static unsigned count_kept(const char *ending)
{
    unsigned count = 0;
    DIR *dir = opendir(store);
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, "damaged-", 8) == 0) {
            char *kept = support_path_join(store, entry->d_name);
            DIR *inner = opendir(kept);
            const struct dirent *file;
            while ((file = readdir(inner)) != NULL) {
                count += strstr(file->d_name, ending) != NULL;
            }
            closedir(inner);
            free(kept);
        }
    }
    closedir(dir);
    return count;
}

START_TEST(test_E04_list_of_files_that_lost_a_record_is_reported_and_all_is_kept)
{
    char path[4096];
    size_t size;
    put_commits(1);
    put_commits(COMMITS + 1); /* opening it wrote the first ones out and removed their log */
    list_path(path);
    char *list = support_read_file(path, &size);
    /* Somewhere behind the first half a byte changes: records that counted are torn. */
    list[size / 2] = (char)(list[size / 2] ^ 1);
    support_write_file(path, list, size);
    ratoon__driver *d = NULL;
    ratoon_error error = {0};
    const ratoon__driver_options options = {0};
    ck_assert_int_eq(ratoon__rocksdb_open(store, &options, &d, &error), RATOON_ERR_DAMAGED);
    if (d != NULL) {
        d->ops->close(d);
        ck_assert_uint_eq(count_kept("MANIFEST-"), 1);
        ck_assert_uint_gt(count_kept(".sst"), 0);
    } else { /* files that the list lacks are missed: it is as it was */
        size_t now_size;
        char *now = support_read_file(path, &now_size);
        ck_assert_uint_eq(now_size, size);
        ck_assert_int_eq(memcmp(now, list, size), 0);
        free(now);
    }
    free(list);
}
END_TEST

START_TEST(test_E04_whole_list_of_files_is_left_alone)
{
    put_commits(1);
    ck_assert(!ratoon__manifest_mend(store));
    check_all(COMMITS);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("manifest");
    TCase *tc = tcase_create("manifest");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_L11_torn_end_of_the_list_of_files_is_no_damage);
    tcase_add_test(tc, test_E04_list_of_files_that_lost_a_record_is_reported_and_all_is_kept);
    tcase_add_test(tc, test_E04_whole_list_of_files_is_left_alone);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
