/* What the RocksDB driver gives a verification: all commits, each looked up as well, whatever their
 * sizes and whoever deletes meanwhile; feed, rows and snapshots from one end to the other. */
#include "log/rocksdb_impl.h"
#include "tests/support/driver_fixture.h"
#include "tests/support/support.h"

#include <rocksdb/c.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *folder;
static char *store;
static ratoon__driver *d;

static void setup(void)
{
    folder = support_temp_dir("rocksdb_check");
    store = support_path_join(folder, "store");
    fixture_create(store);
    d = fixture_open(store, RATOON_DURABILITY_NONE);
}

static void teardown(void)
{
    d->ops->close(d);
    free(store);
    support_temp_dir_free(folder);
}

static void reopen(void)
{
    d->ops->close(d);
    d = fixture_open(store, RATOON_DURABILITY_NONE);
}

enum { COMMITS = 250, SIZE_MAX_ODD = 300001 };

/* Of all remainders by 8, now and then larger than what is looked up together. */
static size_t size_of(uint64_t number)
{
    return number % 41 == 0 ? SIZE_MAX_ODD : (size_t)(number * 7 % 900 + 1);
}

static void put(uint8_t lineage, uint64_t number)
{
    static char bytes[SIZE_MAX_ODD];
    memset(bytes, (int)(number % 251), sizeof bytes);
    ratoon__append a = {
        .lineage = fixture_id(lineage), .number = number, .data = bytes, .size = size_of(number)};
    ck_assert_int_eq(fixture_append(d, &a), RATOON_OK);
}

/* What a walk has seen, and what it does on its way. */
typedef struct walk {
    uint64_t count, next[3]; /* of lineages 1 and 2 */
    uint64_t stop_at;        /* 0: never */
    uint8_t deletes;         /* a lineage, at the first commit; 0: none */
    uint64_t mark;
} walk;

static void delete_lineage(uint8_t lineage, uint64_t number)
{
    ratoon__append a = {
        .lineage = fixture_id(lineage), .number = number, .data = "mark", .size = 4, .erase = true};
    ck_assert_int_eq(fixture_append(d, &a), RATOON_OK);
}

static bool check(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                  const void *data, size_t size)
{
    walk *w = ctx;
    const uint8_t *bytes = data;
    ck_assert_uint_eq(position, 2 * number - (lineage.bytes[0] == 1 ? 1 : 0));
    ck_assert_uint_eq(number, ++w->next[lineage.bytes[0]]);
    ck_assert_uint_eq((uintptr_t)data % 8, 0);
    ck_assert_uint_eq(size, size_of(number));
    ck_assert(bytes[0] == number % 251 && bytes[size - 1] == number % 251);
    w->count++;
    if (w->deletes != 0 && w->count == 1) {
        delete_lineage(w->deletes, w->mark);
    }
    return w->stop_at == 0 || w->count < w->stop_at;
}

static void fill(void)
{
    for (uint64_t number = 1; number <= COMMITS; number++) {
        put(1, number);
        put(2, number);
    }
}

START_TEST(test_Q01_a_verifying_read_gives_commits_of_all_sizes_in_order)
{
    fill();
    for (int round = 0; round < 2; round++) {
        walk all = {0};
        ck_assert_int_eq(d->ops->read(d, fixture_id(0), 0, false, true, check, &all, NULL),
                         RATOON_OK);
        ck_assert_uint_eq(all.count, (uint64_t)2 * COMMITS);
        walk one = {.next = {0, 0, 99}};
        ck_assert_int_eq(d->ops->read(d, fixture_id(2), 100, true, true, check, &one, NULL),
                         RATOON_OK);
        ck_assert_uint_eq(one.count, COMMITS - 99);
        walk few = {.stop_at = 45};
        ck_assert_int_eq(d->ops->read(d, fixture_id(0), 0, false, true, check, &few, NULL),
                         RATOON_OK);
        ck_assert_uint_eq(few.count, 45);
        reopen(); /* the same from files */
    }
}
END_TEST

/* What is gone by the time that it is looked up was there when the walk began, and is no damage. */
START_TEST(test_R20_a_lineage_deleted_during_a_verifying_read_is_still_given)
{
    fill();
    walk w = {.deletes = 2, .mark = COMMITS + 1};
    ratoon_error error = {0};
    ck_assert_msg(d->ops->read(d, fixture_id(0), 0, false, true, check, &w, &error) == RATOON_OK,
                  "%s", error.message);
    ck_assert_uint_eq(w.count, (uint64_t)2 * COMMITS);
}
END_TEST

/* ---- places in the feed ---- */

typedef struct places {
    uint64_t count, last;
    uint64_t stop_at;
} places;

static bool place(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number)
{
    places *p = ctx;
    ck_assert(p->last == 0 || position == p->last + 1);
    ck_assert_uint_eq(lineage.bytes[0], position <= 2 * COMMITS ? 2 - position % 2 : 2);
    ck_assert_uint_eq(number, (position + 1) / 2);
    p->last = position;
    return ++p->count != p->stop_at;
}

START_TEST(test_Q06_places_are_what_the_feed_says_deleted_ones_included)
{
    fill();
    delete_lineage(2, COMMITS + 1);
    for (int round = 0; round < 2; round++) {
        places all = {0}, last = {0}, few = {.stop_at = 7}, none = {0};
        ck_assert_int_eq(d->ops->places(d, 0, place, &all, NULL), RATOON_OK);
        ck_assert_uint_eq(all.count, 2 * COMMITS + 1);
        ck_assert_int_eq(d->ops->places(d, 2 * COMMITS, place, &last, NULL), RATOON_OK);
        ck_assert_uint_eq(last.count, 2);
        ck_assert_int_eq(d->ops->places(d, 2, place, &few, NULL), RATOON_OK);
        ck_assert_uint_eq(few.last, 8);
        ck_assert_int_eq(d->ops->places(d, 2 * COMMITS + 2, place, &none, NULL), RATOON_OK);
        ck_assert_uint_eq(none.count, 0);
        reopen();
    }
}
END_TEST

/* ---- rows ---- */

static void put_run(uint8_t run, ratoon_run_status status, const char *subject)
{
    const ratoon__run_row row = {.run = fixture_id(run),
                                 .root = fixture_id(run),
                                 .created_at = 1000 + run,
                                 .status = status,
                                 .subject = subject,
                                 .pipeline = "p"};
    uint64_t head = 0;
    ck_assert_int_eq(d->ops->head(d, fixture_id(run), &head, NULL), RATOON_OK);
    ratoon__append a = {.lineage = fixture_id(run),
                        .number = head + 1,
                        .data = "c",
                        .size = 1,
                        .rows = &row,
                        .rows_count = 1};
    ck_assert_int_eq(fixture_append(d, &a), RATOON_OK);
}

static char *rows(bool *indexed)
{
    static fixture_list seen;
    seen = (fixture_list){{0}};
    ratoon_error error = {0};
    ck_assert_msg(d->ops->rows(d, fixture_list_row, &seen, indexed, &error) == RATOON_OK, "%s",
                  error.message);
    return seen.text;
}

static void change_derived(const void *key, size_t size, bool add)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    char *message = NULL;
    rocksdb_writeoptions_t *plain = rocksdb_writeoptions_create();
    if (add) {
        rocksdb_put_cf(r->db, plain, r->family[RATOON__FAMILY_DERIVED], key, size, "", 0, &message);
    } else {
        rocksdb_delete_cf(r->db, plain, r->family[RATOON__FAMILY_DERIVED], key, size, &message);
    }
    rocksdb_writeoptions_destroy(plain);
    ck_assert_msg(message == NULL, "%s", message);
}

START_TEST(test_Q01_rows_are_all_given_and_their_lists_compared)
{
    bool indexed = false;
    ck_assert_str_eq(rows(&indexed), "");
    ck_assert(indexed);
    put_run(2, RATOON_RUN_RUNNING, "s");
    put_run(1, RATOON_RUN_QUEUED, "");
    put_run(3, RATOON_RUN_RUNNING, "s");
    put_run(3, RATOON_RUN_FAILED, "s");
    for (int round = 0; round < 2; round++) {
        ck_assert_str_eq(rows(&indexed), "01 02 03 ");
        ck_assert(indexed);
        reopen();
    }
    const ratoon__run_row row = {.run = fixture_id(3),
                                 .root = fixture_id(3),
                                 .created_at = 1003,
                                 .status = RATOON_RUN_FAILED,
                                 .subject = "s",
                                 .pipeline = "p"};
    const ratoon__run_row wrong = {.run = fixture_id(3),
                                   .root = fixture_id(3),
                                   .created_at = 1003,
                                   .status = RATOON_RUN_RUNNING,
                                   .subject = "t",
                                   .pipeline = "q"};
    for (ratoon__index i = RATOON__INDEX_TIME; i <= RATOON__INDEX_PIPELINE; i++) {
        ratoon__buf key = {0};
        ratoon__index_key(i, &row, &key);
        change_derived(key.data, key.size, false); /* missing */
        ck_assert_str_eq(rows(&indexed), "01 02 03 ");
        ck_assert_msg(!indexed, "index %d", (int)i);
        change_derived(key.data, key.size, true);
        (void)rows(&indexed);
        ck_assert_msg(indexed, "index %d", (int)i);
        if (i != RATOON__INDEX_TIME) { /* one too many */
            key.size = 0;
            ratoon__index_key(i, &wrong, &key);
            change_derived(key.data, key.size, true);
            (void)rows(&indexed);
            ck_assert_msg(!indexed, "index %d", (int)i);
            change_derived(key.data, key.size, false);
        }
        ratoon__buf_free(&key);
    }
}
END_TEST

/* ---- snapshots ---- */

static bool snapshot(void *ctx, ratoon_id lineage, uint64_t number, const void *data, size_t size)
{
    char *text = ctx;
    const size_t used = strlen(text);
    snprintf(text + used, 200 - used, "%02x.%llu=%.*s ", lineage.bytes[0],
             (unsigned long long)number, (int)size, (const char *)data);
    return strchr(text, 'z') == NULL;
}

START_TEST(test_S07_snapshots_are_given_in_the_order_of_commits)
{
    put(1, 1);
    put_run(9, RATOON_RUN_RUNNING, "s"); /* rows lie behind snapshots */
    ck_assert_int_eq(d->ops->snapshot_put(d, fixture_id(2), 3, "c", 1, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->snapshot_put(d, fixture_id(1), 300, "b", 1, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->snapshot_put(d, fixture_id(1), 2, "a", 1, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->snapshot_put(d, fixture_id(7), 1, "z", 1, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->snapshot_put(d, fixture_id(8), 1, "y", 1, NULL), RATOON_OK);
    static const struct {
        uint8_t lineage;
        uint64_t number;
        const char *expected;
    } cases[] = {{0, 0, "01.2=a 01.300=b 02.3=c 07.1=z "},
                 {1, 2, "01.2=a 01.300=b 02.3=c 07.1=z "},
                 {1, 3, "01.300=b 02.3=c 07.1=z "},
                 {8, 0, "08.1=y "},
                 {8, 2, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200] = "";
        ck_assert_int_eq(d->ops->snapshots(d, fixture_id(cases[i].lineage), cases[i].number,
                                           snapshot, text, NULL),
                         RATOON_OK);
        ck_assert_str_eq(text, cases[i].expected);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("rocksdb_check");
    TCase *tc = tcase_create("read");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_Q01_a_verifying_read_gives_commits_of_all_sizes_in_order);
    tcase_add_test(tc, test_R20_a_lineage_deleted_during_a_verifying_read_is_still_given);
    tcase_add_test(tc, test_Q06_places_are_what_the_feed_says_deleted_ones_included);
    tcase_add_test(tc, test_Q01_rows_are_all_given_and_their_lists_compared);
    tcase_add_test(tc, test_S07_snapshots_are_given_in_the_order_of_commits);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
