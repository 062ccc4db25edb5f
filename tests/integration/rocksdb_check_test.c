/* What the RocksDB driver gives a verification: all commits, each looked up as well, whatever their
 * sizes and whoever deletes meanwhile. */
#include "tests/support/driver_fixture.h"
#include "tests/support/support.h"

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

static Suite *suite(void)
{
    Suite *s = suite_create("rocksdb_check");
    TCase *tc = tcase_create("read");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, test_Q01_a_verifying_read_gives_commits_of_all_sizes_in_order);
    tcase_add_test(tc, test_R20_a_lineage_deleted_during_a_verifying_read_is_still_given);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
