/* Digests of many things at once are those of each alone, whatever their sizes and however many. */
#include "log/digest.h"
#include "log/digest_many.h"
#include "tests/support/support.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 5000, JOBS = 100 };

static uint8_t bytes[BYTES];
static const size_t widths[] = {0, 1, 8, 16}; /* those that the processor can't are like 1 */
enum { WIDTHS = sizeof widths / sizeof *widths };

static bool check(ratoon__digest_job *jobs, size_t count)
{
    if (ratoon__sha256_many(jobs, count) != RATOON_OK) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        ratoon_digest expected;
        if (ratoon__sha256(jobs[i].data, jobs[i].size, &expected) != RATOON_OK ||
            !ratoon__digest_equal(&expected, &jobs[i].digest)) {
            return false;
        }
    }
    return true;
}

static void setup(void)
{
    support_prng prng = support_prng_new(support_seed());
    support_prng_fill(&prng, bytes, sizeof bytes);
}

START_TEST(test_digests_of_every_size_around_blocks)
{
    ratoon__digest_job jobs[JOBS];
    (void)ratoon__sha256_many_set(widths[_i]);
    for (size_t first = 0; first < 400; first += JOBS) {
        for (size_t i = 0; i < JOBS; i++) {
            const size_t size = first + i;
            jobs[i] = (ratoon__digest_job){.data = size > 0 ? bytes + i : NULL, .size = size};
        }
        ck_assert(check(jobs, JOBS));
    }
    (void)ratoon__sha256_many_set(0);
}
END_TEST

START_TEST(test_digests_of_any_number_of_things)
{
    ratoon__digest_job jobs[JOBS];
    (void)ratoon__sha256_many_set(widths[_i]);
    support_prng prng = support_prng_new(support_seed());
    for (size_t count = 0; count <= JOBS; count++) {
        for (size_t i = 0; i < count; i++) {
            const size_t at = support_prng_below(&prng, BYTES);
            jobs[i] = (ratoon__digest_job){.data = bytes + at,
                                           .size = support_prng_below(&prng, BYTES - at)};
        }
        ck_assert_msg(check(jobs, count), "%zu things", count);
    }
    (void)ratoon__sha256_many_set(0);
}
END_TEST

/* Lanes that say anything else than OpenSSL are not used: that none are would look like this. */
START_TEST(test_lanes_are_used_where_the_processor_has_them)
{
    bool eight = false, sixteen = false, sha = false;
#if defined(__x86_64__)
    unsigned a, b, c, d;
    __builtin_cpu_init();
    eight = __builtin_cpu_supports("avx2");
    sixteen = __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vl");
    sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1) != 0;
#endif
    ck_assert_int_eq(ratoon__sha256_many_set(8), eight);
    ck_assert_int_eq(ratoon__sha256_many_pays(2), eight);
    ck_assert(!ratoon__sha256_many_pays(1));
    ck_assert_int_eq(ratoon__sha256_many_set(16), sixteen);
    ck_assert_int_eq(ratoon__sha256_many_pays(2), sixteen);
    ck_assert(!ratoon__sha256_many_pays(1));
    ck_assert(ratoon__sha256_many_set(1));
    ck_assert(!ratoon__sha256_many_pays(SIZE_MAX));
    ck_assert(ratoon__sha256_many_set(0));
    ck_assert(sha || !eight || ratoon__sha256_many_pays(4));
    ck_assert(!sha || ratoon__sha256_many_pays(sixteen ? 16 : SIZE_MAX) == sixteen);
}
END_TEST

static void *digest_often(void *ctx)
{
    bool *good = ctx;
    ratoon__digest_job jobs[20];
    *good = true;
    for (size_t round = 0; round < 50; round++) {
        for (size_t i = 0; i < 20; i++) {
            jobs[i] = (ratoon__digest_job){.data = bytes + i, .size = round * 7 + i};
        }
        *good = *good && check(jobs, 20);
    }
    return NULL;
}

START_TEST(test_digests_by_many_threads)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    bool good[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, digest_often, &good[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert(good[i]);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("digest_many");
    TCase *tc = tcase_create("digests");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, test_digests_of_every_size_around_blocks, 0, WIDTHS);
    tcase_add_loop_test(tc, test_digests_of_any_number_of_things, 0, WIDTHS);
    tcase_add_test(tc, test_lanes_are_used_where_the_processor_has_them);
    tcase_add_test(tc, test_digests_by_many_threads);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
