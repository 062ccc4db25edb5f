/* Digests against published vectors, from many threads. */
#include "log/digest.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char abc_hex[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char empty_hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

START_TEST(test_sha256_vectors)
{
    ratoon_digest digest;
    char hex[65];
    ck_assert_int_eq(ratoon__sha256("abc", 3, &digest), RATOON_OK);
    ratoon__digest_format(&digest, hex);
    ck_assert_str_eq(hex, abc_hex);
    ck_assert_int_eq(ratoon__sha256(NULL, 0, &digest), RATOON_OK);
    ratoon__digest_format(&digest, hex);
    ck_assert_str_eq(hex, empty_hex);
}
END_TEST

/* RFC 4231, test cases 1 and 2. */
START_TEST(test_hmac_vectors)
{
    ratoon_digest digest;
    char hex[65];
    uint8_t key[20];
    memset(key, 0x0b, sizeof key);
    ck_assert_int_eq(ratoon__hmac_sha256(key, sizeof key, "Hi There", 8, &digest), RATOON_OK);
    ratoon__digest_format(&digest, hex);
    ck_assert_str_eq(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    ck_assert_int_eq(ratoon__hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, &digest),
                     RATOON_OK);
    ratoon__digest_format(&digest, hex);
    ck_assert_str_eq(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    /* The key of the call before is not taken for an empty one. */
    ratoon_digest empty, again;
    ck_assert_int_eq(ratoon__hmac_sha256(NULL, 0, NULL, 0, &empty), RATOON_OK);
    ck_assert_int_eq(ratoon__hmac_sha256("", 0, "", 0, &again), RATOON_OK);
    ck_assert(ratoon__digest_equal(&empty, &again));
    ratoon__digest_format(&empty, hex);
    ck_assert_str_eq(hex, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}
END_TEST

static void *digest_often(void *ctx)
{
    bool *good = ctx;
    *good = true;
    for (int i = 0; i < 1000; i++) {
        ratoon_digest digest;
        char hex[65];
        *good = *good && ratoon__sha256("abc", 3, &digest) == RATOON_OK;
        ratoon__digest_format(&digest, hex);
        *good = *good && strcmp(hex, abc_hex) == 0;
    }
    return NULL;
}

START_TEST(test_many_threads)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    bool good[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, digest_often, &good[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(good[i]);
    }
}
END_TEST

START_TEST(test_random_bytes_differ)
{
    uint8_t a[4096], b[4096];
    ck_assert_int_eq(ratoon__random(a, sizeof a), RATOON_OK);
    ck_assert_int_eq(ratoon__random(b, sizeof b), RATOON_OK);
    ck_assert_mem_ne(a, b, sizeof a);
    ck_assert_int_eq(ratoon__random(NULL, 0), RATOON_OK);
}
END_TEST

static Suite *digest_suite(void)
{
    Suite *s = suite_create("digest");
    TCase *t = tcase_create("digest");
    tcase_add_test(t, test_sha256_vectors);
    tcase_add_test(t, test_hmac_vectors);
    tcase_add_test(t, test_many_threads);
    tcase_add_test(t, test_random_bytes_differ);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(digest_suite)
