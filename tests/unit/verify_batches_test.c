/* Batches between who reads and who verifies: all of them, in order, once each, until no more is
 * wanted; by a second thread from the 65th on. */
#include "log/thread.h"
#include "replay/verify_batches.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    HELPED_FROM = 64, /* batches done before there is a second thread */
    WAIT_MS = 20000,
    SIZE = 41,
};

static ratoon__batches batches;
static bool begun;
static uint64_t added, seen, wrong, seen_by_other;
static uint64_t stop_at; /* the batch with which no more is wanted; 0: never */
static uint64_t batches_seen;
static size_t bytes_most, count_most;
static _Atomic bool held; /* a batch is not done before it is let go */
static _Atomic unsigned waiting;
static pthread_t caller;
static bool blocked_in_other;

static bool refuse_threads;
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *ctx);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *ctx);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *ctx)
{
    return refuse_threads ? EAGAIN : __real_pthread_create(thread, attributes, fn, ctx);
}

static int is_let_go(void *ctx)
{
    (void)ctx;
    return !held;
}

static bool verify(void *ctx, ratoon__batch *b)
{
    (void)ctx;
    if (!pthread_equal(pthread_self(), caller)) {
        sigset_t set;
        waiting++;
        (void)support_wait_until(is_let_go, NULL, WAIT_MS);
        waiting--;
        seen_by_other += b->count;
        pthread_sigmask(SIG_SETMASK, NULL, &set);
        blocked_in_other = sigismember(&set, SIGINT) == 1 && sigismember(&set, SIGTERM) == 1;
    }
    for (size_t i = 0; i < b->count; i++) {
        const ratoon__taken *t = &b->commits[i];
        uint64_t number;
        memcpy(&number, b->bytes.data + t->at, sizeof number);
        seen++;
        wrong += t->number != seen || number != seen || t->at % 8 != 0;
    }
    bytes_most = b->bytes.size > bytes_most ? b->bytes.size : bytes_most;
    count_most = b->count > count_most ? b->count : count_most;
    batches_seen++;
    return batches_seen != stop_at;
}

static bool add(size_t size)
{
    char *data = calloc(1, size);
    const ratoon__taken t = {.number = ++added, .size = size};
    ck_assert_ptr_nonnull(data);
    memcpy(data, &added, sizeof added);
    const bool more = ratoon__batches_add(&batches, &t, data);
    free(data);
    return more;
}

static void begin(void)
{
    added = seen = wrong = seen_by_other = batches_seen = stop_at = 0;
    bytes_most = count_most = 0;
    held = false;
    refuse_threads = false;
    blocked_in_other = false;
    caller = pthread_self();
    ck_assert_int_eq(ratoon__batches_begin(&batches, verify, NULL), RATOON_OK);
    begun = true;
}

static void end(void)
{
    ck_assert_int_eq(ratoon__batches_end(&batches), RATOON_OK);
    begun = false;
    ck_assert_uint_eq(wrong, 0);
}

START_TEST(test_every_number_of_commits_comes_through)
{
    static const uint64_t counts[] = {0,           1,           31,      32,          33,
                                      64 * 32,     64 * 32 + 1, 65 * 32, 65 * 32 + 1, 72 * 32,
                                      73 * 32 + 5, 5000,        20011};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        begin();
        while (added < counts[i]) {
            ck_assert(add(SIZE));
        }
        end();
        ck_assert_uint_eq(seen, counts[i]);
        ck_assert_uint_eq(count_most, counts[i] < 32 ? counts[i] : 32);
        /* Not for what fits into the first batches, nor for a last one alone. */
        ck_assert(seen_by_other == 0 || counts[i] >= 65 * 32);
        ck_assert(seen_by_other > 0 || counts[i] < 65 * 32 || !ratoon__two_processors());
        ck_assert(seen_by_other == 0 || blocked_in_other);
    }
    sigset_t set;
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    ck_assert_int_eq(sigismember(&set, SIGINT), 0);
}
END_TEST

START_TEST(test_large_commits_end_a_batch)
{
    begin();
    for (unsigned i = 0; i < 1000; i++) {
        ck_assert(add(i % 3 == 0 ? 100000 : SIZE));
    }
    end();
    ck_assert_uint_eq(seen, 1000);
    ck_assert_uint_ge(bytes_most, RATOON__BATCH_BYTES);
    ck_assert_uint_lt(bytes_most, RATOON__BATCH_BYTES + 100100);
}
END_TEST

/* Adds until no more is wanted. */
static void fill(uint64_t at_most)
{
    while (added < at_most && add(SIZE)) {
    }
}

START_TEST(test_nothing_comes_after_a_stop)
{
    static const uint64_t stops[] = {1, 2, 64, 65, 66, 70, 100};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        begin();
        stop_at = stops[i];
        fill(10000);
        ck_assert_uint_lt(added, 10000); /* it was told, a ring later at most */
        ck_assert_uint_le(added, (stops[i] + RATOON__BATCHES + 1) * 32);
        end();
        ck_assert_uint_eq(batches_seen, stops[i]);
    }
}
END_TEST

static int is_full(void *ctx)
{
    (void)ctx;
    return waiting > 0;
}

static void *let_go_later(void *ctx)
{
    (void)support_wait_until(is_full, NULL, WAIT_MS);
    const struct timespec while_the_ring_fills = {.tv_nsec = 50000000};
    nanosleep(&while_the_ring_fills, NULL);
    held = false;
    return ctx;
}

/* Who reads waits at a full ring, and is told there that no more is wanted. */
START_TEST(test_a_reader_that_waits_is_told)
{
    if (!ratoon__two_processors()) {
        return;
    }
    for (uint64_t stop = 0; stop < 72; stop = stop == 0 ? 65 : stop + 1) {
        pthread_t other;
        begin();
        stop_at = stop;
        held = true;
        ck_assert_int_eq(pthread_create(&other, NULL, let_go_later, NULL), 0);
        fill(90 * 32);
        pthread_join(other, NULL);
        end();
        ck_assert_uint_eq(batches_seen, stop == 0 ? 90 : stop);
    }
}
END_TEST

START_TEST(test_without_a_second_thread_one_does_it)
{
    begin();
    refuse_threads = true;
    fill(5000);
    end();
    ck_assert_uint_eq(seen, 5000);
    ck_assert_uint_eq(seen_by_other, 0);
    support_one_processor(true);
    begin();
    fill(5000);
    end();
    support_one_processor(false);
    ck_assert_uint_eq(seen, 5000);
    ck_assert_uint_eq(seen_by_other, 0);
}
END_TEST

static void clean_up(void)
{
    if (begun) {
        (void)ratoon__batches_end(&batches);
    }
}

static Suite *suite(void)
{
    Suite *s = suite_create("verify_batches");
    TCase *t = tcase_create("batches");
    tcase_add_checked_fixture(t, NULL, clean_up);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_every_number_of_commits_comes_through);
    tcase_add_test(t, test_large_commits_end_a_batch);
    tcase_add_test(t, test_nothing_comes_after_a_stop);
    tcase_add_test(t, test_a_reader_that_waits_is_told);
    tcase_add_test(t, test_without_a_second_thread_one_does_it);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
