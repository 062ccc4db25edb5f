/* The open window of the feed (log/rocksdb_window.c): whatever is appended in whatever groups, a
 * store that is copied while it is open, which is what a killed process leaves, has the same feed,
 * and goes on with it (Q06). */
#include "log/folder.h"
#include "log/rocksdb_impl.h"
#include "tests/support/driver_fixture.h"
#include "tests/support/raw_commits.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINEAGES_MAX = 400, COMMITS_MAX = 8000, GROUP_MAX = 300 };

static char *folder;
static char *store;
static ratoon__driver *d;
static support_prng prng;

/* What was appended, in the order of the feed. */
static struct {
    ratoon_id lineage;
    uint64_t number;
} expected[COMMITS_MAX + 1];
static uint64_t end; /* the last position */
static uint64_t heads[LINEAGES_MAX + 1];

static void setup(void)
{
    folder = support_temp_dir("rocksdb_window");
    store = support_path_join(folder, "store");
    fixture_create(store);
    d = fixture_open(store, RATOON_DURABILITY_NONE);
    end = 0;
    memset(heads, 0, sizeof heads);
}

static void teardown(void)
{
    if (d != NULL) {
        d->ops->close(d);
        d = NULL;
    }
    free(store);
    support_temp_dir_free(folder);
}

/* Appends a group of commits, each to one of the first `lineages` lineages. */
static void append_group(uint32_t lineages, size_t count)
{
    static raw_commit commits[GROUP_MAX];
    static ratoon__append appends[GROUP_MAX];
    size_t before[LINEAGES_MAX + 1] = {0}; /* 1 + index of a lineage's last one in the group */
    for (size_t i = 0; i < count; i++) {
        const uint32_t lineage = 1 + (uint32_t)support_prng_below(&prng, lineages);
        commits[i] = (raw_commit){.lineage = raw_id(lineage), .number = ++heads[lineage]};
        appends[i] = raw_append(&commits[i]);
        appends[i].rests_on = before[lineage] == 0 ? 0 : (uint32_t)(i - (before[lineage] - 1));
        before[lineage] = i + 1;
        expected[++end].lineage = commits[i].lineage;
        expected[end].number = commits[i].number;
    }
    ratoon_error error = {0};
    ck_assert_msg(d->ops->append(d, appends, count, false, &error) == RATOON_OK, "%s",
                  error.message);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(appends[i].status, RATOON_OK);
        ck_assert_uint_eq(appends[i].position, end - count + 1 + i);
    }
}

/* The feed from a position on is what was appended, up to position `last`. */
static void check_feed(ratoon__driver *driver, uint64_t from, uint64_t last)
{
    uint64_t next = 0;
    ck_assert_int_eq(driver->ops->end(driver, &next, NULL), RATOON_OK);
    ck_assert_uint_eq(next, last + 1);
    raw_commits seen = {0};
    const ratoon_status status =
        driver->ops->tail(driver, from, 0, raw_commits_collect, &seen, NULL);
    ck_assert_int_eq(status, from > last ? RATOON_ERR_TIMED_OUT : RATOON_OK);
    ck_assert_uint_eq(seen.count, from > last ? 0 : last - from + 1);
    for (size_t i = 0; i < seen.count; i++) {
        const uint64_t position = from + i;
        ck_assert_uint_eq(seen.positions[i], position);
        ck_assert(ratoon_id_equal(seen.commits[i].lineage, expected[position].lineage));
        ck_assert_uint_eq(seen.commits[i].number, expected[position].number);
    }
    raw_commits_free(&seen);
}

/* A copy of the store as it lies on disk. */
static char *copy_store(const char *name)
{
    char *copy = support_path_join(folder, name);
    ratoon_error error = {0};
    support_remove(copy);
    ck_assert_int_eq(mkdir(copy, S_IRWXU), 0);
    ck_assert_msg(ratoon__tree_copy(store, copy, NULL, &error) == RATOON_OK, "%s", error.message);
    return copy;
}

/* The store as a crash leaves it takes the place of the one that is open. */
static void crash(void)
{
    char *copy = copy_store("crashed");
    d->ops->close(d);
    support_remove(store);
    ck_assert_int_eq(rename(copy, store), 0);
    free(copy);
    d = fixture_open(store, RATOON_DURABILITY_NONE);
}

static void check_all(void)
{
    check_feed(d, 1, end);
    check_feed(d, 1 + support_prng_below(&prng, end + 1), end);
    const uint64_t back = support_prng_below(&prng, end < 300 ? end : 300);
    check_feed(d, end - back, end);
}

START_TEST(test_Q06_feed_is_whole_after_a_crash_at_any_commit)
{
    static const uint32_t lineages[] = {1, 2, 7, 40, LINEAGES_MAX};
    prng = support_prng_new(support_seed() + (uint64_t)_i);
    for (unsigned step = 0; step < 20 && end + 2000 < COMMITS_MAX; step++) {
        const uint32_t few = lineages[support_prng_below(&prng, 5)];
        for (uint64_t n = support_prng_below(&prng, 200); n > 0 && end + GROUP_MAX < COMMITS_MAX;
             n--) {
            const bool large = support_prng_below(&prng, 60) == 0;
            const bool alone = support_prng_below(&prng, 3) != 0;
            append_group(few, large   ? 1 + support_prng_below(&prng, GROUP_MAX)
                              : alone ? 1
                                      : 1 + support_prng_below(&prng, 5));
        }
        if (end > 0) {
            check_all();
            crash();
            check_all();
        }
    }
}
END_TEST

START_TEST(test_Q06_feed_is_whole_after_closing)
{
    prng = support_prng_new(support_seed());
    for (unsigned step = 0; step < 8; step++) {
        for (unsigned n = 0; n < 50; n++) {
            append_group(3, 1);
        }
        d->ops->close(d);
        d = fixture_open(store, RATOON_DURABILITY_SYNC);
        check_all();
    }
}
END_TEST

static char *largest_log(const char *path)
{
    char *db = support_path_join(path, "db");
    char *found = NULL;
    off_t size = -1;
    DIR *entries = opendir(db);
    ck_assert_ptr_nonnull(entries);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        const char *dot = strrchr(entry->d_name, '.');
        char *log = support_path_join(db, entry->d_name);
        struct stat file;
        if (dot != NULL && strcmp(dot, ".log") == 0 && stat(log, &file) == 0 &&
            file.st_size > size) {
            size = file.st_size;
            free(found);
            found = log;
        } else {
            free(log);
        }
    }
    closedir(entries);
    free(db);
    ck_assert_ptr_nonnull(found);
    return found;
}

/* What a power cut leaves of commits that nobody was promised: some first part of them, whole. */
START_TEST(test_Q06_feed_of_a_torn_log_is_a_first_part_of_it)
{
    prng = support_prng_new(support_seed() + (uint64_t)_i);
    for (unsigned n = 0; n < 400; n++) {
        append_group(n < 150 ? 1 : 5, 1 + support_prng_below(&prng, 3));
    }
    const uint64_t all = end;
    uint64_t longest = 0;
    for (unsigned round = 0; round < 15; round++) {
        char *copy = copy_store("torn");
        char *log = largest_log(copy);
        struct stat file;
        ck_assert_int_eq(stat(log, &file), 0);
        ck_assert_int_eq(
            truncate(log, (off_t)support_prng_below(&prng, (uint64_t)file.st_size + 1)), 0);
        ratoon__driver *torn = fixture_open(copy, RATOON_DURABILITY_NONE);
        uint64_t next = 0;
        ck_assert_int_eq(torn->ops->end(torn, &next, NULL), RATOON_OK);
        ck_assert_uint_le(next, all + 1);
        longest = next - 1 > longest ? next - 1 : longest;
        check_feed(torn, 1, next - 1);
        /* What is appended behind it is found after the next opening too. */
        ck_assert_int_eq(raw_append_one(torn, raw_id(LINEAGES_MAX), 1, 0, 0, &(ratoon__append){0}),
                         RATOON_OK);
        torn->ops->close(torn);
        torn = fixture_open(copy, RATOON_DURABILITY_NONE);
        uint64_t then = 0;
        ck_assert_int_eq(torn->ops->end(torn, &then, NULL), RATOON_OK);
        ck_assert_uint_eq(then, next + 1);
        torn->ops->close(torn);
        free(log);
        free(copy);
    }
    ck_assert_uint_gt(longest, all / 2);
}
END_TEST

/* Where there are several log files, an older one may have lost its end: then a commit may be gone
 * of which only a row that was written later tells. */
START_TEST(test_E04_commit_lost_inside_a_closed_window_is_reported)
{
    prng = support_prng_new(support_seed());
    for (unsigned n = 0; n < 200; n++) {
        append_group(1, 1);
    }
    char key[RATOON__COMMIT_KEY];
    ratoon__commit_key((uint8_t *)key, raw_id(1), 50);
    const ratoon__rocks *r = ratoon__rocks_of(d);
    rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
    char *message = NULL;
    rocksdb_delete_cf(r->db, options, r->family[RATOON__FAMILY_COMMITS], key, sizeof key, &message);
    ck_assert_ptr_null(message);
    rocksdb_writeoptions_destroy(options);
    d->ops->close(d);
    char *older = support_path_join(store, "db/000001.log");
    support_write_file(older, key, sizeof key); /* which is too old for RocksDB to look at */
    free(older);
    ratoon_error error = {0};
    ck_assert_int_eq(ratoon__rocksdb_open(store, &(ratoon__driver_options){0}, &d, &error),
                     RATOON_ERR_DAMAGED);
    ck_assert_msg(strstr(error.message, "the commit at position 50 of the feed is missing") != NULL,
                  "%s", error.message);
}
END_TEST

START_TEST(test_R20_feed_with_an_erased_lineage_is_whole_after_a_crash)
{
    prng = support_prng_new(support_seed());
    for (unsigned n = 0; n < 60; n++) {
        append_group(4, 1);
    }
    const raw_commit mark = {.lineage = raw_id(2), .number = heads[2] + 1};
    ratoon__append a = raw_append(&mark);
    a.erase = true;
    ck_assert_int_eq(d->ops->append(d, &a, 1, false, NULL), RATOON_OK);
    ck_assert_int_eq(a.status, RATOON_OK);
    end++;
    for (int round = 0; round < 2; round++) {
        raw_commits seen = {0};
        ck_assert_int_eq(d->ops->tail(d, 1, 0, raw_commits_collect, &seen, NULL), RATOON_OK);
        ck_assert_uint_eq(seen.count, 60 - heads[2] + 1);
        ck_assert_uint_eq(seen.positions[seen.count - 1], 61);
        raw_commits_free(&seen);
        crash();
    }
    for (unsigned n = 0; n < 10; n++) {
        append_group(1, 1);
    }
    crash();
    uint64_t next = 0;
    ck_assert_int_eq(d->ops->end(d, &next, NULL), RATOON_OK);
    ck_assert_uint_eq(next, 72);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rocksdb_window");
    TCase *tc = tcase_create("window");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 240);
    tcase_add_loop_test(tc, test_Q06_feed_is_whole_after_a_crash_at_any_commit, 0, 4);
    tcase_add_test(tc, test_Q06_feed_is_whole_after_closing);
    tcase_add_loop_test(tc, test_Q06_feed_of_a_torn_log_is_a_first_part_of_it, 0, 2);
    tcase_add_test(tc, test_E04_commit_lost_inside_a_closed_window_is_reported);
    tcase_add_test(tc, test_R20_feed_with_an_erased_lineage_is_whole_after_a_crash);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
