/* Sums of sets: the function behind them against OpenSSL's, and what they tell apart. */
#include "log/sum.h"
#include "tests/support/support.h"

#include <endian.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

static void sip_by_openssl(const ratoon__sum_key *key, const void *data, size_t size,
                           ratoon__sum *out)
{
    uint8_t tag[16];
    size_t tag_size = sizeof tag;
    uint64_t words[2];
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &tag_size),
                                 OSSL_PARAM_construct_end()};
    ck_assert_int_eq(EVP_MAC_init(ctx, (const uint8_t *)key->words, sizeof key->words, params), 1);
    ck_assert_int_eq(EVP_MAC_update(ctx, data, size), 1);
    ck_assert_int_eq(EVP_MAC_final(ctx, tag, &tag_size, sizeof tag), 1);
    memcpy(words, tag, sizeof words);
    *out = (ratoon__sum){le64toh(words[0]), le64toh(words[1]), 1};
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(mac);
}

START_TEST(test_sum_of_one_thing_is_siphash)
{
    support_prng prng = support_prng_new(support_seed());
    uint8_t data[200];
    for (size_t size = 0; size <= sizeof data; size++) {
        ratoon__sum_key key;
        ratoon__sum ours = {0};
        ratoon__sum theirs;
        support_prng_fill(&prng, &key, sizeof key);
        support_prng_fill(&prng, data, sizeof data);
        ratoon__sum_add(&ours, &key, data, size);
        sip_by_openssl(&key, data, size, &theirs);
        ck_assert_msg(ratoon__sum_equal(&ours, &theirs), "of %zu bytes", size);
    }
}
END_TEST

START_TEST(test_sums_are_of_sets)
{
    ratoon__sum_key key;
    ratoon__sum one = {0}, other = {0}, twice = {0}, changed = {0};
    ck_assert_int_eq(ratoon__sum_key_draw(&key), RATOON_OK);
    ratoon__sum_add(&one, &key, "a", 1);
    ratoon__sum_add(&one, &key, "b", 1);
    ratoon__sum_add(&other, &key, "b", 1);
    ratoon__sum_add(&other, &key, "a", 1);
    ck_assert(ratoon__sum_equal(&one, &other));
    ratoon__sum_add(&twice, &key, "a", 1);
    ratoon__sum_add(&twice, &key, "a", 1);
    ck_assert(!ratoon__sum_equal(&one, &twice));
    ratoon__sum_add(&changed, &key, "a", 1);
    ratoon__sum_add(&changed, &key, "c", 1);
    ck_assert(!ratoon__sum_equal(&one, &changed));
}
END_TEST

START_TEST(test_each_drawn_key_is_another)
{
    ratoon__sum_key one, other;
    ck_assert_int_eq(ratoon__sum_key_draw(&one), RATOON_OK);
    ck_assert_int_eq(ratoon__sum_key_draw(&other), RATOON_OK);
    ck_assert_mem_ne(&one, &other, sizeof one);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("sum");
    TCase *tc = tcase_create("sum");
    tcase_add_test(tc, test_sum_of_one_thing_is_siphash);
    tcase_add_test(tc, test_sums_are_of_sets);
    tcase_add_test(tc, test_each_drawn_key_is_another);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
