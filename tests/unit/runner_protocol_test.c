/* Outputs, events, items and delays, as the runner reads them (E07, S10, R13, A04). */
#include "tests/support/support.h"
#include "tools/runner/backoff.h"
#include "tools/runner/events.h"
#include "tools/runner/foreach.h"
#include "tools/runner/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const runner__mask no_mask;

static runner__slice slice(const char *text)
{
    return (runner__slice){text, strlen(text)};
}

/* The outputs of the text as one JSON object, or the error behind "!". */
static char *parsed(const char *text)
{
    runner__outputs outputs = {0};
    runner__text error = {0};
    runner__text out = {0};
    if (runner__output_parse(slice(text), "/", &no_mask, &outputs, &error)) {
        runner__outputs_json(&outputs, &out);
    } else {
        runner__text_format(&out, "!%s", error.data);
    }
    runner__outputs_free(&outputs);
    runner__text_free(&error);
    return runner__text_take(&out);
}

START_TEST(test_E07_output_formats)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", "{}"},
        {"\n \n", "{}"},
        {" {\"a\": 1, \"b\": [ 1 ]}\n", "{\"a\":1,\"b\":[1]}"},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
        {"a=1\nb=x=y\nc=", "{\"a\":\"1\",\"b\":\"x=y\",\"c\":\"\"}"},
        {"a=1\nb=2\na=3\n", "{\"b\":\"2\",\"a\":\"3\"}"},
        {"a<<E\none\ntwo\nE\nb=1", "{\"a\":\"one\\ntwo\",\"b\":\"1\"}"},
        {"a<<E\nE", "{\"a\":\"\"}"},
        {"a<<E\n\nE", "{\"a\":\"\"}"},
        {"a<<E\n\n\nE", "{\"a\":\"\\n\"}"},
        {"a=<<b", "{\"a\":\"<<b\"}"},
        {"a=\"q\"\t\x01", "{\"a\":\"\\\"q\\\"\\t\\u0001\"}"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *out = parsed(cases[i].in);
        ck_assert_msg(strcmp(out, cases[i].out) == 0, "%s gave %s", cases[i].in, out);
        free(out);
    }
}
END_TEST

START_TEST(test_E07_broken_outputs_are_refused)
{
    static const char *const bad[] = {
        "hello",  "[1]",    "{\"a\":1", "{\"a\":1} x", "=1",     "a<<\nx\n",        "a<<E\nx\n",
        "a=\xff", "\xff=a", "{\"\":1}", "\"a\"",       "a\nb=1", "{\"a\\u0000\":1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *out = parsed(bad[i]);
        ck_assert_msg(out[0] == '!', "%s gave %s", bad[i], out);
        free(out);
    }
    char *out = parsed("a=1\n\nhello there\n");
    ck_assert_str_eq(out, "!line 3: expected key=value, found 'hello there'");
    free(out);
}
END_TEST

START_TEST(test_S06_long_keys_are_refused)
{
    char text[400];
    memset(text, 'k', 300);
    memcpy(text + 300, "=1", 3);
    char *out = parsed(text);
    ck_assert_ptr_nonnull(strstr(out, "LIMIT_EXCEEDED"));
    ck_assert_ptr_nonnull(strstr(out, "300 bytes, the limit is 255"));
    free(out);
}
END_TEST

START_TEST(test_E08_a_secret_in_an_output_is_refused)
{
    runner__mask mask = {0};
    runner__mask_add(&mask, "hunter2");
    static const char *const texts[] = {"a=hunter2", "{\"a\":\"hunter2\"}",
                                        "{\"a\":{\"b\":[\"h\\u0075nter2\"]}}", "hunter2=a"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        runner__outputs outputs = {0};
        runner__text error = {0};
        ck_assert(!runner__output_parse(slice(texts[i]), "/", &mask, &outputs, &error));
        ck_assert_ptr_nonnull(strstr(error.data, "secret"));
        runner__outputs_free(&outputs);
        runner__text_free(&error);
    }
    runner__mask_free(&mask);
}
END_TEST

START_TEST(test_S10_files_in_outputs)
{
    char *folder = support_temp_dir("output");
    char *path = support_path_join(folder, "f");
    support_write_file(path, "hello", 5);
    runner__outputs outputs = {0};
    runner__text error = {0};
    const char *text = "{\"f\":{\"file\":\"f\"},\"g\":{\"file\":\"f\",\"x\":1},"
                       "\"h\":{\"file\":\"f\",\"size\":1,\"sha256\":\"\"},\"i\":{\"file\":1}}";
    ck_assert(runner__output_parse(slice(text), folder, &no_mask, &outputs, &error));
    ck_assert_uint_eq(outputs.count, 4);
    ck_assert(outputs.items[0].file && !outputs.items[1].file && outputs.items[2].file &&
              !outputs.items[3].file);
    ck_assert_ptr_nonnull(strstr(outputs.items[0].data, path));
    ck_assert_ptr_nonnull(strstr(outputs.items[0].data, "\"size\":5,\"sha256\":\"2cf24dba"));
    ck_assert_str_eq(outputs.items[0].data, outputs.items[2].data);
    ratoon_value values[4];
    runner__outputs_values(&outputs, values);
    ck_assert_str_eq(values[0].media_type, RUNNER__FILE_TYPE);
    ck_assert_ptr_null(values[1].media_type);
    runner__outputs_free(&outputs);
    ck_assert(!runner__output_parse(slice("{\"f\":{\"file\":\"g\"}}"), folder, &no_mask, &outputs,
                                    &error));
    ck_assert(!runner__output_parse(slice("{\"f\":{\"file\":\"/\"}}"), folder, &no_mask, &outputs,
                                    &error));
    runner__outputs_free(&outputs);
    runner__text_free(&error);
    free(path);
    support_temp_dir_free(folder);
}
END_TEST

typedef struct seen {
    size_t lines;
    runner__line_kind last;
    uint64_t done;
} seen;

static void on_line(void *ctx, const runner__line *line)
{
    seen *s = ctx;
    s->lines++;
    s->last = line->kind;
    s->done = line->done;
}

START_TEST(test_E07_events_are_read_as_they_are_written)
{
    char *folder = support_temp_dir("events");
    char *path = support_path_join(folder, "events");
    support_write_file(path, "", 0);
    runner__events events;
    ck_assert(runner__events_open(&events, path, NULL));
    seen s = {0};
    FILE *file = fopen(path, "ae");
    ck_assert(!runner__events_read(&events, false, on_line, &s));
    fputs("{\"progress\":{\"done\":1}}\n\n{\"progre", file);
    fflush(file);
    ck_assert(runner__events_read(&events, false, on_line, &s));
    ck_assert_uint_eq(s.lines, 1);
    fputs("ss\":{\"done\":2}}\n{\"degraded\":\"x\"}", file);
    fflush(file);
    ck_assert(runner__events_read(&events, false, on_line, &s));
    ck_assert_uint_eq(s.lines, 2);
    ck_assert_uint_eq(s.done, 2);
    (void)runner__events_read(&events, true, on_line, &s);
    ck_assert_int_eq(s.last, RUNNER__LINE_DEGRADED);
    ck_assert_uint_eq(events.broken.size, 0);
    fputs("\nbroken\n{\"progress\":{\"done\":9}}\n", file);
    fclose(file);
    (void)runner__events_read(&events, true, on_line, &s);
    ck_assert_uint_eq(s.done, 9); /* what follows is still read */
    ck_assert_ptr_nonnull(strstr(events.broken.data, "line 6: not valid JSON"));
    ck_assert_str_eq(events.raw.data, "broken");
    runner__events_close(&events);
    free(path);
    support_temp_dir_free(folder);
}
END_TEST

START_TEST(test_E07_event_lines)
{
    static const char *const good[] = {
        "{\"progress\":{\"done\":3,\"total\":10,\"message\":\"m\"}}",
        "{\"item\":\"a\",\"status\":\"done\",\"output\":{\"x\":1}}",
        "{\"item\":\"a\",\"status\":\"failed\",\"error\":\"e\"}",
        "{\"item\":\"a\",\"status\":\"committed\"}",
        "{\"degraded\":\"why\"}",
        "{\"output\":{\"k\":1}}",
        "{\"consumes\":\"RUN\"}",
        "{\"external_ref\":\"job-17\"}",
    };
    static const char *const bad[] = {
        "1",
        "{}",
        "{\"x\":1}",
        "{\"degraded\":1}",
        "{\"output\":[]}",
        "{\"item\":\"a\"}",
        "{\"item\":\"\",\"status\":\"done\"}",
        "{\"item\":1,\"status\":\"done\"}",
        "{\"item\":\"a\",\"status\":\"great\"}",
        "{\"degraded\":\"a\",\"output\":{}}",
        "{\"progress\":{\"done\":\"1\"}}",
        "\xff\xfe",
    };
    runner__line line;
    runner__text error = {0};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_msg(runner__line_parse(slice(good[i]), &line, &error), "%s: %s", good[i],
                      error.data);
        runner__line_free(&line);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!runner__line_parse(slice(bad[i]), &line, &error), "accepted: %s", bad[i]);
    }
    runner__text_free(&error);
}
END_TEST

START_TEST(test_R13_items_of_an_array)
{
    static const struct {
        const char *array, *error;
    } bad[] = {
        {"{}", "expected a JSON array"},      {"[1]", "element 1"},
        {"[\"a\",\"b\",\"a\"]", "element 3"}, {"[{\"key\":\"a\"},\"a\"]", "element 2"},
        {"[{\"k\":1}]", "no 'key'"},          {"[\"\"]", "empty key"},
        {"[{\"key\":1}]", "no 'key'"},        {"[\"a\"", "not valid JSON"},
    };
    uint64_t count;
    runner__text error = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        runner__text_clear(&error);
        ck_assert(!runner__foreach_check(slice(bad[i].array), &count, &error));
        ck_assert_msg(strstr(error.data, bad[i].error) != NULL, "%s: %s", bad[i].array, error.data);
    }
    /* A long key is cut between characters: the message is stored and shown as text. */
    runner__text long_keys = {0};
    runner__text_str(&long_keys, "[");
    for (size_t i = 0; i < 2; i++) {
        runner__text_str(&long_keys, i == 0 ? "\"x" : ",\"x");
        for (size_t j = 0; j < 150; j++) {
            runner__text_str(&long_keys, "é");
        }
        runner__text_str(&long_keys, "\"");
    }
    runner__text_str(&long_keys, "]");
    runner__text_clear(&error);
    ck_assert(!runner__foreach_check(slice(long_keys.data), &count, &error));
    ck_assert_ptr_nonnull(strstr(error.data, "element 2 has the key 'xé"));
    ck_assert(runner__utf8_valid(error.data, error.size));
    runner__text_free(&long_keys);
    runner__slice array = slice("[\"a\", {\"key\":\"b\\u0021\",\"url\":1}]");
    ck_assert(runner__foreach_check(array, &count, &error));
    ck_assert_uint_eq(count, 2);
    runner__foreach f = runner__foreach_begin(array);
    ck_assert(runner__foreach_next(&f));
    ck_assert_str_eq(f.key, "a");
    ck_assert(runner__foreach_next(&f));
    ck_assert_str_eq(f.key, "b!");
    ck_assert(!runner__foreach_next(&f));
    runner__foreach_end(&f);
    runner__slice value;
    ck_assert(runner__foreach_find(array, "b!", &value));
    ck_assert(runner__json_kind(value) == '{');
    ck_assert(!runner__foreach_find(array, "c", &value));
    runner__text_free(&error);
}
END_TEST

START_TEST(test_S06_a_million_items_and_no_more)
{
    runner__text array = {0};
    runner__text_str(&array, "[\"0\"");
    for (uint32_t i = 1; i < RATOON_ITEMS_MAX; i++) {
        runner__text_format(&array, ",\"%u\"", i);
    }
    uint64_t count;
    runner__text error = {0};
    runner__text_str(&array, "]");
    ck_assert(runner__foreach_check((runner__slice){array.data, array.size}, &count, &error));
    array.data[array.size - 1] = ',';
    runner__text_str(&array, "\"x\"]");
    ck_assert(!runner__foreach_check((runner__slice){array.data, array.size}, &count, &error));
    ck_assert_ptr_nonnull(strstr(error.data, "LIMIT_EXCEEDED"));
    ck_assert_ptr_nonnull(strstr(error.data, "1000001 items, the limit is 1000000"));
    runner__text_free(&array);
    runner__text_free(&error);
}
END_TEST

START_TEST(test_R13_outputs_are_gathered)
{
    static const char *const two[] = {"x", "y"};
    runner__gather g = runner__gather_new(two, 2);
    runner__text error = {0};
    ck_assert(runner__gather_add(&g, "a", slice("{\"x\":1,\"y\":[2]}"), &error));
    ck_assert(runner__gather_add(&g, "b\"", slice("{\"y\":3,\"z\":4}"), &error));
    ck_assert(runner__gather_add(&g, "c", (runner__slice){0}, &error));
    ratoon_value values[2];
    runner__gather_values(&g, values);
    ck_assert_str_eq(values[0].data, "{\"a\":1}");
    ck_assert_str_eq(values[1].data, "{\"a\":[2],\"b\\\"\":3}");
    runner__gather_free(&g);
    g = runner__gather_new(two, 1);
    ck_assert(runner__gather_add(&g, "a", slice("{\"x\":1}"), &error));
    ck_assert(runner__gather_add(&g, "b", slice("{\"z\":4}"), &error));
    runner__gather_values(&g, values);
    ck_assert_str_eq(values[0].data, "{\"a\":1,\"b\":{\"z\":4}}");
    runner__gather_free(&g);
    runner__text_free(&error);
}
END_TEST

START_TEST(test_A04_delays)
{
    ratoon_retry_policy p = {
        .attempts = 5, .initial_ms = 1000, .factor = 2, .max_ms = 5000, .jitter = 0};
    ck_assert_uint_eq(runner__retry_delay_ms(&p, 1, 0.5), 1000);
    ck_assert_uint_eq(runner__retry_delay_ms(&p, 2, 0.5), 2000);
    ck_assert_uint_eq(runner__retry_delay_ms(&p, 3, 0.5), 4000);
    ck_assert_uint_eq(runner__retry_delay_ms(&p, 4, 0.5), 5000);
    ck_assert_uint_eq(runner__retry_delay_ms(&p, 1000000, 0.5), 5000);
    p.jitter = 0.2;
    ck_assert_uint_eq(runner__retry_delay_ms(&p, 1, 0), 800);
    ck_assert_uint_eq(runner__retry_delay_ms(&p, 1, 0.5), 1000);
    ck_assert_uint_eq(runner__retry_delay_ms(&p, 4, 0.99), 5000);
    p = (ratoon_retry_policy){.attempts = 3, .initial_ms = 0, .factor = 2, .jitter = 1};
    ck_assert_uint_eq(runner__retry_delay_ms(&p, 2, 0.9), 0);
    ck_assert(runner__retry_allowed(&p, 2, RATOON_CLASS_TRANSIENT));
    ck_assert(runner__retry_allowed(&p, 2, RATOON_CLASS_TIMEOUT));
    ck_assert(!runner__retry_allowed(&p, 3, RATOON_CLASS_TRANSIENT));
    ck_assert(!runner__retry_allowed(&p, 1, RATOON_CLASS_EXECUTION));
    p.classes = 1u << RATOON_CLASS_EXECUTION;
    ck_assert(runner__retry_allowed(&p, 1, RATOON_CLASS_EXECUTION));
    ck_assert(!runner__retry_allowed(&p, 1, RATOON_CLASS_TRANSIENT));
}
END_TEST

START_TEST(test_A04_a_clock_that_was_set_back_lengthens_no_delay)
{
    const uint64_t now = 1700000000000000u, hour = 3600000000u;
    ratoon_retry_policy p = {
        .attempts = 5, .initial_ms = 1000, .factor = 2, .max_ms = 5000, .jitter = 0.2};
    ck_assert_uint_eq(runner__retry_left_ms(&p, 1, 0, now), 0);
    ck_assert_uint_eq(runner__retry_left_ms(&p, 1, now - 1, now), 0);
    ck_assert_uint_eq(runner__retry_left_ms(&p, 1, now + 700000, now), 700);
    ck_assert_uint_eq(runner__retry_left_ms(&p, 1, now + hour, now), 1200);
    ck_assert_uint_eq(runner__retry_left_ms(&p, 9, now + hour, now), 5000);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("runner_protocol");
    TCase *output = tcase_create("output");
    tcase_add_test(output, test_E07_output_formats);
    tcase_add_test(output, test_E07_broken_outputs_are_refused);
    tcase_add_test(output, test_S06_long_keys_are_refused);
    tcase_add_test(output, test_E08_a_secret_in_an_output_is_refused);
    tcase_add_test(output, test_S10_files_in_outputs);
    suite_add_tcase(s, output);
    TCase *events = tcase_create("events");
    tcase_add_test(events, test_E07_events_are_read_as_they_are_written);
    tcase_add_test(events, test_E07_event_lines);
    suite_add_tcase(s, events);
    TCase *items = tcase_create("items");
    tcase_add_test(items, test_R13_items_of_an_array);
    tcase_add_test(items, test_S06_a_million_items_and_no_more);
    tcase_add_test(items, test_R13_outputs_are_gathered);
    tcase_set_timeout(items, 60);
    suite_add_tcase(s, items);
    TCase *delays = tcase_create("delays");
    tcase_add_test(delays, test_A04_delays);
    tcase_add_test(delays, test_A04_a_clock_that_was_set_back_lengthens_no_delay);
    suite_add_tcase(s, delays);
    return s;
}

RATOON_TEST_MAIN(suite)
