/* JSON scanning and masking of the runner (E07, E08). */
#include "tests/support/support.h"
#include "tools/runner/json.h"
#include "tools/runner/mask.h"

#include <stdlib.h>
#include <string.h>

static runner__slice slice(const char *text)
{
    return (runner__slice){text, strlen(text)};
}

static bool valid(const char *text)
{
    const char *error = NULL;
    size_t at = 0;
    return runner__json_check(slice(text), &error, &at);
}

START_TEST(test_E07_json_is_checked_strictly)
{
    static const char *const good[] = {
        "{}",
        "[]",
        " [1, 2.5e-3, -0, true, false, null] ",
        "\"\\u00e9\\ud83d\\ude00\"",
        "{\"a\":{\"b\":[[]]}}",
        "\"\xc3\xa9\"",
        "0.10",
        "123456789012345678901234567890",
    };
    static const char *const bad[] = {
        "",    "{",       "[1,]",    "{\"a\":1,}",  "{a:1}", "01",  "1.",       "+1",
        "nul", "\"\n\"",  "\"\\x\"", "\"\\ud800\"", "[1] 2", "'a'", "\"\xff\"", "\"\xed\xa0\x80\"",
        "\"",  "{\"a\"}", "-",       "[1 2]",       "tru",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_msg(valid(good[i]), "refused: %s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!valid(bad[i]), "accepted: %s", bad[i]);
    }
}
END_TEST

START_TEST(test_E07_json_depth_is_bounded)
{
    char text[4001];
    memset(text, '[', 2000);
    memset(text + 2000, ']', 2000);
    text[4000] = '\0';
    ck_assert(!valid(text));
    memset(text, '[', 512);
    memset(text + 512, ']', 512);
    text[1024] = '\0';
    ck_assert(valid(text));
}
END_TEST

START_TEST(test_E07_json_members_decode_and_compact)
{
    runner__slice object = slice(" { \"a\\u0062\" : [ 1 , \"] }\" ] , \"n\" : 0.10 } ");
    runner__json_iter iter = runner__json_iterate(object);
    runner__slice key;
    runner__slice value;
    ck_assert(runner__json_next(&iter, &key, &value));
    ck_assert(runner__json_equals(key, "ab"));
    runner__text text = {0};
    runner__json_compact(value, &text);
    ck_assert_str_eq(text.data, "[1,\"] }\"]");
    ck_assert(runner__json_next(&iter, &key, &value));
    runner__text_clear(&text);
    runner__json_compact(value, &text);
    ck_assert_str_eq(text.data, "0.10");
    ck_assert(!runner__json_next(&iter, &key, &value));
    runner__text_clear(&text);
    runner__json_compact(object, &text);
    ck_assert_str_eq(text.data, "{\"a\\u0062\":[1,\"] }\"],\"n\":0.10}");
    runner__text_free(&text);
    char *smile = runner__json_strdup(slice("\"\\ud83d\\ude00\\n\\/\""));
    ck_assert_str_eq(smile, "\xf0\x9f\x98\x80\n/");
    free(smile);
    ck_assert_ptr_null(runner__json_strdup(slice("\"a\\u0000b\"")));
    ck_assert_ptr_null(runner__json_strdup(slice("1")));
    uint64_t count;
    ck_assert(runner__json_count(slice("3.7"), &count) && count == 3);
    ck_assert(runner__json_count(slice("-3"), &count) && count == 0);
    ck_assert(runner__json_count(slice("1e300"), &count) && count == UINT64_C(9007199254740992));
    ck_assert(!runner__json_count(slice("\"3\""), &count));
}
END_TEST

static void collect(void *ctx, const char *data, size_t size)
{
    runner__text_add(ctx, data, size);
}

/* The text through a stream in chunks of `chunk` bytes. */
static char *masked(const runner__mask *mask, const char *text, size_t chunk)
{
    runner__text out = {0};
    runner__mask_stream stream = {.mask = mask};
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i += chunk) {
        runner__mask_feed(&stream, text + i, size - i < chunk ? size - i : chunk, false, collect,
                          &out);
    }
    runner__mask_feed(&stream, "", 0, true, collect, &out);
    runner__mask_stream_free(&stream);
    return runner__text_take(&out);
}

static bool finds(const runner__mask *mask, const char *text)
{
    return runner__mask_finds(mask, text, strlen(text));
}

START_TEST(test_E08_secrets_are_masked_however_the_text_is_cut)
{
    runner__mask mask = {0};
    runner__mask_add(&mask, "hunter2");
    runner__mask_add(&mask, "abc");        /* too short */
    runner__mask_add(&mask, "ter2xyz");    /* overlaps the first */
    runner__mask_add(&mask, "hunter2000"); /* contains it */
    runner__mask_add(&mask, "say \"hi\"");
    runner__mask_add(&mask, "a/b&c\xc3\xa9\xf0\x9f\x98\x80");
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a hunter2 b", "a *** b"},
        {"hunter2", "***"},
        {"hunter", "hunter"},
        {"hunterhunter2", "hunter***"},
        {"hunter2hunter2", "******"},
        {"hunter2xyz.", "***."},
        {"hunter2000 hunter200", "*** ***00"},
        {"abc", "abc"},
        {"{\"k\":\"say \\\"hi\\\"\"}", "{\"k\":\"***\"}"},
        {"say \"hi\"!", "***!"},
        {"\\u0073ay \\u0022hi\\\"", "***"},
        {"a\\/b&c\xc3\xa9\xf0\x9f\x98\x80 a/b\\u0026c\\u00E9\\uD83d\\ude00", "*** ***"},
        {"a/b\\u0026c\\u00e9\\ud83d", "a/b\\u0026c\\u00e9\\ud83d"},
        {"hunter\\", "hunter\\"},
        {"\\\\hunter2\\n", "\\\\***\\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t chunk = 1; chunk <= 20; chunk++) {
            char *out = masked(&mask, cases[i].in, chunk);
            ck_assert_msg(strcmp(out, cases[i].out) == 0, "%s in chunks of %zu became %s",
                          cases[i].in, chunk, out);
            free(out);
        }
    }
    ck_assert(finds(&mask, "{\"a\":[\"hunt\\u0065r2\"]}"));
    ck_assert(!finds(&mask, "{\"a\":[\"hunt\\u0066r2\"]}"));
    runner__mask_free(&mask);
}
END_TEST

START_TEST(test_E07_text_is_made_valid_utf8)
{
    runner__text text = {0};
    runner__text_utf8(&text,
                      "a\xff\xc3\xa9\xc3"
                      "b\0c",
                      8);
    ck_assert_str_eq(text.data, "a\\xff\xc3\xa9\\xc3b\\x00c");
    runner__text_free(&text);
    runner__tail tail = {.limit = 4};
    runner__tail_add(&tail, "ab", 2);
    runner__tail_add(&tail, "cde", 3);
    runner__tail_text(&tail, &text);
    ck_assert_str_eq(text.data, "bcde");
    runner__text_clear(&text);
    runner__tail_add(&tail, "0123456789", 10);
    runner__tail_text(&tail, &text);
    ck_assert_str_eq(text.data, "6789");
    runner__text_free(&text);
    runner__tail_free(&tail);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("runner_text");
    TCase *json = tcase_create("json");
    tcase_add_test(json, test_E07_json_is_checked_strictly);
    tcase_add_test(json, test_E07_json_depth_is_bounded);
    tcase_add_test(json, test_E07_json_members_decode_and_compact);
    suite_add_tcase(s, json);
    TCase *mask = tcase_create("mask");
    tcase_add_test(mask, test_E08_secrets_are_masked_however_the_text_is_cut);
    suite_add_tcase(s, mask);
    TCase *text = tcase_create("text");
    tcase_add_test(text, test_E07_text_is_made_valid_utf8);
    suite_add_tcase(s, text);
    return s;
}

RATOON_TEST_MAIN(suite)
