#include "core/objects.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <string.h>

enum { MANY = 20000 };

static ratoon__item *item(const char *key, uint32_t attempt)
{
    const ratoon__item_init init = {.key = key, .attempt = attempt, .failed = attempt % 2 == 1};
    return ratoon__item_new(&init);
}

static const char *key_of(uint32_t i)
{
    static char key[32];
    snprintf(key, sizeof key, "https://example.org/%u", i);
    return key;
}

static ratoon__item_map *many(uint32_t first, uint32_t count)
{
    ratoon__item_map *m = NULL;
    for (uint32_t i = 0; i < count; i++) {
        m = ratoon__items_put_owned(m, item(key_of(first + i), first + i));
    }
    return m;
}

START_TEST(test_items_put_gives_a_new_map)
{
    ratoon__item_map *one = ratoon__items_put(NULL, item("a", 1));
    ratoon__item_map *two = ratoon__items_put(one, item("b", 2));
    ratoon__item_map *replaced = ratoon__items_put(two, item("a", 3));
    ck_assert_uint_eq(ratoon__items_count(NULL), 0);
    ck_assert_uint_eq(ratoon__items_count(one), 1);
    ck_assert_uint_eq(ratoon__items_count(two), 2);
    ck_assert_uint_eq(ratoon__items_count(replaced), 2);
    ck_assert_ptr_null(ratoon__items_get(one, "b"));
    ck_assert_uint_eq(ratoon__items_get(two, "a")->attempt, 1);
    ck_assert_uint_eq(ratoon__items_get(replaced, "a")->attempt, 3);
    ck_assert_ptr_null(ratoon__items_get(NULL, "a"));
    ratoon__items_unref(one);
    ck_assert_uint_eq(ratoon__items_get(two, "b")->attempt, 2);
    ratoon__items_unref(two);
    ratoon__items_unref(replaced);
}
END_TEST

START_TEST(test_items_many_are_all_found)
{
    ratoon__item_map *m = many(0, MANY);
    ratoon__item_map *old = ratoon__items_ref(m);
    for (uint32_t i = 0; i < MANY; i += 3) { /* shared: every change copies */
        m = ratoon__items_put_owned(m, item(key_of(i), MANY + i));
    }
    ck_assert_uint_eq(ratoon__items_count(m), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        ck_assert_uint_eq(ratoon__items_get(old, key_of(i))->attempt, i);
        ck_assert_uint_eq(ratoon__items_get(m, key_of(i))->attempt, i % 3 == 0 ? MANY + i : i);
    }
    ck_assert_ptr_null(ratoon__items_get(m, "https://example.org/none"));
    ratoon__items_unref(old);
    ratoon__items_unref(m);
}
END_TEST

typedef struct order {
    uint64_t digest, seen;
    uint64_t stop_after;
} order;

static bool note(void *ctx, const ratoon__item *it)
{
    order *o = ctx;
    for (const char *at = it->key; *at != '\0'; at++) {
        o->digest = o->digest * 31 + (unsigned char)*at;
    }
    return ++o->seen != o->stop_after;
}

START_TEST(test_items_order_depends_on_the_keys_alone)
{
    ratoon__item_map *up = many(0, 1000);
    ratoon__item_map *down = NULL;
    for (uint32_t i = 1000; i-- > 0;) {
        down = ratoon__items_put_owned(down, item(key_of(i), i));
    }
    order a = {0};
    order b = {0};
    ck_assert(ratoon__items_each(up, note, &a));
    ck_assert(ratoon__items_each(down, note, &b));
    ck_assert_uint_eq(a.seen, 1000);
    ck_assert_uint_eq(a.digest, b.digest);
    order c = {.stop_after = 10};
    ck_assert(!ratoon__items_each(up, note, &c));
    ck_assert_uint_eq(c.seen, 10);
    ratoon__items_unref(up);
    ratoon__items_unref(down);
}
END_TEST

static bool keep_even(void *ctx, const ratoon__item *it)
{
    (void)ctx;
    return !it->failed;
}

static bool keep_one(void *ctx, const ratoon__item *it)
{
    return strcmp(it->key, ctx) == 0;
}

static bool keep_all(void *ctx, const ratoon__item *it)
{
    (void)ctx;
    (void)it;
    return true;
}

START_TEST(test_items_filter_gives_the_map_of_what_is_kept)
{
    ratoon__item_map *m = many(0, MANY);
    ratoon__item_map *even = NULL;
    ck_assert(ratoon__items_filter(m, keep_even, NULL, &even));
    ck_assert_uint_eq(ratoon__items_count(even), MANY / 2);
    ratoon__item_map *built = NULL;
    for (uint32_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(ratoon__items_get(even, key_of(i)) != NULL, i % 2 == 0);
        if (i % 2 == 0) {
            built = ratoon__items_put_owned(built, item(key_of(i), i));
        }
    }
    /* It has the very shape that it would have had from the beginning. */
    order a = {0};
    order b = {0};
    ck_assert(ratoon__items_each(even, note, &a));
    ck_assert(ratoon__items_each(built, note, &b));
    ck_assert_uint_eq(a.digest, b.digest);
    ck_assert_uint_eq(ratoon__items_count(m), MANY);
    ratoon__items_unref(built);
    ratoon__items_unref(even);
    ratoon__items_unref(m);
}
END_TEST

START_TEST(test_items_filter_shares_what_is_kept_whole)
{
    ratoon__item_map *m = many(0, 500);
    ratoon__item_map *out = NULL;
    char key[] = "https://example.org/7";
    ck_assert(ratoon__items_filter(m, keep_all, NULL, &out));
    ck_assert_ptr_eq(out, m);
    ratoon__items_unref(out);
    ck_assert(ratoon__items_filter(m, keep_one, key, &out));
    ck_assert_uint_eq(ratoon__items_count(out), 1);
    ck_assert_ptr_eq(ratoon__items_get(out, key), ratoon__items_get(m, key));
    out = ratoon__items_put_owned(out, item("more", 1));
    ck_assert_uint_eq(ratoon__items_count(out), 2);
    ratoon__items_unref(out);
    char none[] = "none";
    ck_assert(ratoon__items_filter(m, keep_one, none, &out));
    ck_assert_ptr_null(out);
    ck_assert(ratoon__items_filter(NULL, keep_all, NULL, &out));
    ck_assert_ptr_null(out);
    ratoon__items_unref(m);
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("items");
    TCase *map = tcase_create("map");
    tcase_add_test(map, test_items_put_gives_a_new_map);
    tcase_add_test(map, test_items_many_are_all_found);
    tcase_add_test(map, test_items_order_depends_on_the_keys_alone);
    suite_add_tcase(all, map);
    TCase *filter = tcase_create("filter");
    tcase_add_test(filter, test_items_filter_gives_the_map_of_what_is_kept);
    tcase_add_test(filter, test_items_filter_shares_what_is_kept_whole);
    suite_add_tcase(all, filter);
    return all;
}

RATOON_TEST_MAIN(suite)
