/* The memory driver does what every driver must, and fails and holds back appends when told to. */
#include "tests/support/driver_suite.h"
#include "tests/support/raw_commits.h"

#include <pthread.h>
#include <stdatomic.h>

enum { VALUE_MAX = 100000 };

static ratoon__driver *open_memory(void *ctx)
{
    const ratoon__driver_options options = {.value_max = VALUE_MAX};
    ratoon__driver *d = NULL;
    (void)ctx;
    ck_assert_int_eq(ratoon__memory_open(&options, &d, NULL), RATOON_OK);
    return d;
}

static void close_memory(void *ctx, ratoon__driver *d)
{
    (void)ctx;
    d->ops->close(d);
}

START_TEST(test_fail_append_fails_that_one_once)
{
    ratoon__driver *d = open_memory(NULL);
    ratoon__append result;
    ratoon__memory_fail_append(d, 2, RATOON_ERR_IO);
    ck_assert_int_eq(raw_append_one(d, raw_id(1), 1, 0, 0, &result), RATOON_OK);
    ck_assert_int_eq(raw_append_one(d, raw_id(1), 2, 0, 0, &result), RATOON_ERR_IO);
    ck_assert_int_eq(result.status, RATOON_ERR_IO);
    uint64_t head = 0;
    ck_assert_int_eq(d->ops->head(d, raw_id(1), &head, NULL), RATOON_OK);
    ck_assert_uint_eq(head, 1);
    ck_assert_int_eq(raw_append_one(d, raw_id(1), 2, 0, 0, &result), RATOON_OK);
    ratoon__memory_fail_append(d, 1, RATOON_ERR_IO);
    ratoon__memory_fail_append(d, 0, RATOON_OK);
    ck_assert_int_eq(raw_append_one(d, raw_id(1), 3, 0, 0, &result), RATOON_OK);
    close_memory(NULL, d);
}
END_TEST

static atomic_bool appended;

static void *append_one(void *ctx)
{
    raw_append_next(ctx, raw_id(1), 0, 0);
    atomic_store(&appended, true);
    return NULL;
}

START_TEST(test_hold_keeps_appends_back)
{
    ratoon__driver *d = open_memory(NULL);
    pthread_t thread;
    uint64_t end = 0;
    raw_commits c = {0};
    atomic_store(&appended, false);
    ratoon__memory_hold(d, true);
    ck_assert_int_eq(pthread_create(&thread, NULL, append_one, d), 0);
    ck_assert_int_eq(d->ops->tail(d, 1, 20, raw_commits_collect, &c, NULL), RATOON_ERR_TIMED_OUT);
    ck_assert(!atomic_load(&appended));
    ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
    ck_assert_uint_eq(end, 1);
    ratoon__memory_hold(d, false);
    pthread_join(thread, NULL);
    ck_assert(atomic_load(&appended));
    ck_assert_int_eq(d->ops->tail(d, 1, 0, raw_commits_collect, &c, NULL), RATOON_OK);
    ck_assert_uint_eq(c.count, 1);
    raw_commits_free(&c);
    close_memory(NULL, d);
}
END_TEST

/* A callback may use the driver: folds load definitions while they read. */
static bool append_within(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                          const void *data, size_t size)
{
    ratoon__driver *d = ctx;
    ratoon__append result;
    (void)position;
    (void)data;
    (void)size;
    ck_assert_int_eq(raw_append_one(d, raw_id(2), number, 0, 0, &result), RATOON_OK);
    ck_assert(ratoon_id_equal(lineage, raw_id(1)));
    return true;
}

START_TEST(test_callbacks_may_use_the_driver)
{
    ratoon__driver *d = open_memory(NULL);
    ratoon__append result;
    uint64_t end = 0;
    for (uint64_t number = 1; number <= 3; number++) {
        ck_assert_int_eq(raw_append_one(d, raw_id(1), number, 0, 0, &result), RATOON_OK);
    }
    /* What is appended meanwhile is not shown. */
    ck_assert_int_eq(d->ops->read(d, raw_id(1), 1, false, false, append_within, d, NULL),
                     RATOON_OK);
    ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
    ck_assert_uint_eq(end, 7);
    close_memory(NULL, d);
}
END_TEST

static const driver_suite_target memory_target = {
    .open = open_memory, .close = close_memory, .value_max = VALUE_MAX};

static Suite *memory_driver_suite(void)
{
    Suite *s = suite_create("memory_driver");
    driver_suite_add(s, &memory_target);
    TCase *t = tcase_create("memory");
    tcase_add_test(t, test_fail_append_fails_that_one_once);
    tcase_add_test(t, test_hold_keeps_appends_back);
    tcase_add_test(t, test_callbacks_may_use_the_driver);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(memory_driver_suite)
