/* Exports and imports through the public interface: lineages that go from one store to another and
 * back without loss, input that is damaged, and runs that come as plain lines. */
#include "tests/support/support.h"

#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char definition[] = "pipeline: three\n"
                                 "params:\n"
                                 "  size: {type: int, default: 8}\n"
                                 "policy: {scope: \"only\"}\n"
                                 "stages:\n"
                                 "  - {name: first, run: [\"true\"], produces: [a]}\n"
                                 "  - {name: second, run: [\"true\"], requires: [a]}\n"
                                 "  - {name: third, run: [\"true\"], requires: [b]}\n";

static ratoon_store *from, *to;
static ratoon_pipeline *pipeline;
static uint64_t now;

static uint64_t fake_clock(void *ctx)
{
    (void)ctx;
    return now += 1000000;
}

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static ratoon_store *open_memory(void)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *store = NULL;
    ratoon_error error;
    options.driver = RATOON_DRIVER_MEMORY;
    options.actor = "tester";
    options.clock_us = fake_clock;
    must(ratoon_store_open(NULL, &options, &store, &error), &error);
    return store;
}

static void setup(void)
{
    ratoon_error error;
    now = 1700000000000000u;
    from = open_memory();
    to = open_memory();
    must(ratoon_pipeline_parse("t", definition, strlen(definition), NULL, &pipeline, &error),
         &error);
}

static void teardown(void)
{
    ratoon_store_close(from);
    ratoon_store_close(to);
    ratoon_pipeline_free(pipeline);
    from = to = NULL;
    pipeline = NULL;
}

/* ---- moving text ---- */

typedef struct text {
    char *data;
    size_t size, at;
} text;

static bool text_write(void *ctx, const void *data, size_t size)
{
    text *t = ctx;
    char *larger = realloc(t->data, t->size + size + 1);
    ck_assert_ptr_nonnull(larger);
    memcpy(larger + t->size, data, size);
    t->data = larger;
    t->size += size;
    t->data[t->size] = '\0';
    return true;
}

/* Gives a few bytes at a time, so that lines cross pieces. */
static int64_t text_read(void *ctx, void *data, size_t size)
{
    text *t = ctx;
    size_t take = t->size - t->at < 777 ? t->size - t->at : 777;
    take = take < size ? take : size;
    memcpy(data, t->data + t->at, take);
    t->at += take;
    return (int64_t)take;
}

static text export_all(ratoon_store *store)
{
    text out = {0};
    ratoon_error error;
    must(ratoon_export(store, NULL, 0, RATOON_EXPORT_JSONL, text_write, &out, &error), &error);
    return out;
}

static ratoon_status import_text(ratoon_store *store, const char *data, size_t size,
                                 ratoon_imported *out, ratoon_error *error)
{
    text in = {.data = (char *)(uintptr_t)data, .size = size};
    memset(error, 0, sizeof *error);
    return ratoon_import(store, NULL, text_read, &in, out, error);
}

static uint64_t feed_end(ratoon_store *store)
{
    uint64_t end = 0;
    ratoon_error error;
    must(ratoon_feed_end(store, &end, &error), &error);
    return end;
}

static void assert_refused(const char *data, size_t size, ratoon_status expected, const char *word)
{
    ratoon_imported result = {0};
    ratoon_error error;
    const uint64_t before = feed_end(to);
    const ratoon_status status = import_text(to, data, size, &result, &error);
    ck_assert_msg(status == expected, "%s instead of %s: %s", ratoon_status_name(status),
                  ratoon_status_name(expected), error.message);
    ck_assert_msg(strstr(error.message, word) != NULL, "no \"%s\" in: %s", word, error.message);
    ck_assert_uint_eq(feed_end(to), before);
}

static void assert_verified(ratoon_store *store)
{
    ratoon_buffer json = {0};
    ratoon_error error;
    size_t problems = 0;
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    ck_assert_msg(problems == 0, "%s", json.data);
    ratoon_buffer_free(&json);
}

/* ---- making history ---- */

static ratoon_created create(const char *key)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.pipeline = pipeline;
    options.key = key;
    must(ratoon_run_create(from, &options, &created, &error), &error);
    return created;
}

static void succeed(ratoon_created run, const char *stage, const char *key, size_t size)
{
    ratoon_error error;
    uint32_t attempt = 0;
    char *data = malloc(size + 3);
    ck_assert_ptr_nonnull(data);
    memset(data, 'x', size + 2);
    data[0] = data[size + 1] = '"';
    ratoon_value value = {.key = key, .data = data, .size = size + 2};
    must(ratoon_stage_start(from, run.run, run.epoch, stage, &attempt, &error), &error);
    must(ratoon_stage_succeed(from, run.run, run.epoch, stage, attempt, &value, 1, &error), &error);
    free(data);
}

static void fail_stage(ratoon_created run, const char *stage)
{
    ratoon_error error;
    uint32_t attempt = 0;
    ratoon_failure failure = {.error_class = RATOON_CLASS_OOM, .message = "no memory"};
    must(ratoon_stage_start(from, run.run, run.epoch, stage, &attempt, &error), &error);
    must(ratoon_stage_fail(from, run.run, run.epoch, stage, attempt, &failure, &error), &error);
}

static void finish(ratoon_created run)
{
    ratoon_run_status status = 0;
    ratoon_error error;
    must(ratoon_run_finish(from, run.run, run.epoch, &status, &error), &error);
}

/* A run whose second stage fails, and a branch that succeeds; a value that is stored by digest. */
static ratoon_created make_family(void)
{
    ratoon_error error;
    ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created child, root = create("once");
    succeed(root, "first", "a", 5000);
    fail_stage(root, "second");
    finish(root);
    retry.parent = root.run;
    must(ratoon_retry_create(from, &retry, &child, &error), &error);
    succeed(child, "second", "b", 10);
    succeed(child, "third", "c", 10);
    finish(child);
    return root;
}

/* ---- tests ---- */

START_TEST(test_R18_jsonl_goes_both_ways_without_loss)
{
    ratoon_imported result = {0};
    ratoon_error error;
    const ratoon_created root = make_family();
    text first = export_all(from);
    must(import_text(to, first.data, first.size, &result, &error), &error);
    ck_assert_uint_eq(result.lineages, 1);
    ck_assert_uint_eq(result.skipped, 0);
    ck_assert_uint_eq(result.commits, feed_end(from) - 1);
    ck_assert_uint_eq(result.values, 2); /* the definition, and the large output */
    text second = export_all(to);
    ck_assert_uint_eq(first.size, second.size);
    ck_assert_mem_eq(first.data, second.data, first.size);
    assert_verified(to);
    /* What was a key there is one here. */
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    options.pipeline = pipeline;
    options.key = "once";
    must(ratoon_run_create(to, &options, &created, &error), &error);
    ck_assert(created.repeated && ratoon_id_equal(created.run, root.run));
    free(first.data);
    free(second.data);
}
END_TEST

START_TEST(test_R18_import_is_idempotent_and_continues_a_lineage)
{
    ratoon_imported result = {0};
    ratoon_error error;
    const ratoon_created root = create(NULL);
    fail_stage(root, "first");
    finish(root);
    text before = export_all(from);
    ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created child;
    retry.parent = root.run;
    must(ratoon_retry_create(from, &retry, &child, &error), &error);
    fail_stage(child, "first");
    finish(child);
    text after = export_all(from);
    must(import_text(to, before.data, before.size, &result, &error), &error);
    must(import_text(to, before.data, before.size, &result, &error), &error);
    ck_assert_uint_eq(result.commits, 0);
    ck_assert_uint_gt(result.skipped, 0);
    const uint64_t skipped = result.skipped;
    must(import_text(to, after.data, after.size, &result, &error), &error);
    ck_assert_uint_eq(result.skipped, skipped);
    ck_assert_uint_gt(result.commits, 0);
    /* A store that has more than the input takes nothing from it. */
    must(import_text(to, before.data, before.size, &result, &error), &error);
    ck_assert_uint_eq(result.commits, 0);
    text again = export_all(to);
    ck_assert_str_eq(again.data, after.data);
    assert_verified(to);
    free(before.data);
    free(after.data);
    free(again.data);
}
END_TEST

START_TEST(test_R18_a_fork_is_refused)
{
    ratoon_imported result = {0};
    ratoon_error error;
    const ratoon_created root = create(NULL);
    fail_stage(root, "first");
    finish(root);
    text before = export_all(from);
    must(import_text(to, before.data, before.size, &result, &error), &error);
    must(ratoon_run_annotate(to, root.run, "here", &error), &error);
    must(ratoon_run_annotate(from, root.run, "there", &error), &error);
    text other = export_all(from);
    assert_refused(other.data, other.size, RATOON_ERR_CONFLICT, "forks at commit");
    free(before.data);
    free(other.data);
}
END_TEST

START_TEST(test_L08_a_running_run_is_interrupted_by_import)
{
    ratoon_imported result = {0};
    ratoon_error error;
    uint32_t attempt = 0;
    ratoon_run_info info;
    const ratoon_created run = create(NULL);
    must(ratoon_stage_start(from, run.run, run.epoch, "first", &attempt, &error), &error);
    text all = export_all(from);
    must(import_text(to, all.data, all.size, &result, &error), &error);
    must(ratoon_run_get(to, run.run, &info, &error), &error);
    ck_assert_int_eq(info.status, RATOON_RUN_SUSPENDED);
    /* Its scope is free, and it can be resumed. */
    uint64_t epoch = 0;
    must(ratoon_run_start(to, run.run, NULL, &epoch, &error), &error);
    assert_verified(to);
    free(all.data);
}
END_TEST

START_TEST(test_R18_a_key_of_another_run_refuses_the_import)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    make_family();
    options.pipeline = pipeline;
    options.key = "once";
    must(ratoon_run_create(to, &options, &created, &error), &error);
    text all = export_all(from);
    assert_refused(all.data, all.size, RATOON_ERR_KEY_REUSED, "key:once");
    free(all.data);
}
END_TEST

/* ---- damaged input ---- */

/* A copy with the n-th occurrence (from 1) of `what` replaced by text of the same length. */
static char *changed(const text *t, const char *what, const char *by, unsigned n)
{
    char *copy = strdup(t->data);
    ck_assert_ptr_nonnull(copy);
    char *at = copy;
    for (unsigned i = 0; i < n; i++) {
        at = strstr(i == 0 ? at : at + 1, what);
        ck_assert_msg(at != NULL, "%s occurs less than %u times", what, n);
    }
    const size_t size = strlen(by);
    ck_assert_uint_eq(strlen(what), size);
    memcpy(at, by, size); /* NOLINT(bugprone-not-null-terminated-result): in the middle of a text */
    return copy;
}

START_TEST(test_R18_damaged_lines_are_refused_and_nothing_is_appended)
{
    static const struct {
        const char *what, *by;
        unsigned n;
        ratoon_status status;
        const char *word;
    } cases[] = {
        {"\"data\":\"", "\"data\":\"!", 0, RATOON_ERR_DAMAGED, "base64"},
        {"\"schema\":1", "\"schema\":2", 3, RATOON_ERR_UNSUPPORTED, "schema"},
        {"\"commit\":2", "\"commit\":3", 1, RATOON_ERR_DAMAGED, "says otherwise"},
        {"\"digest\":\"", "\"digset\":\"", 1, RATOON_ERR_DAMAGED, "says nothing"},
        {"{\"schema\"", "[\"schema\"", 4, RATOON_ERR_USAGE, "no JSON object"},
    };
    make_family();
    text all = export_all(from);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *bad = cases[i].n > 0 ? changed(&all, cases[i].what, cases[i].by, cases[i].n) : NULL;
        if (bad == NULL) { /* one character of the base64 of a commit near the end */
            bad = strdup(all.data);
            ck_assert_ptr_nonnull(bad);
            char *last = strrchr(bad, '[');
            while (strncmp(last, "\"data\":\"", 8) != 0) {
                last--;
            }
            last[9] = '!';
        }
        assert_refused(bad, strlen(bad), cases[i].status, cases[i].word);
        free(bad);
    }
    free(all.data);
}
END_TEST

/* Every commit, one after the other, with one bit of its bytes changed. */
START_TEST(test_Q01_an_edited_commit_is_refused_and_nothing_is_appended)
{
    unsigned edited = 0;
    make_family();
    text all = export_all(from);
    for (char *at = strstr(all.data, "\"data\":\""); at != NULL;
         at = strstr(at + 8, "\"data\":\"")) {
        char *c = at + 8 + 40;
        const char was = *c;
        *c = was == 'A' ? 'B' : 'A';
        assert_refused(all.data, all.size, RATOON_ERR_DAMAGED, "digest");
        *c = was;
        edited++;
    }
    ck_assert_uint_gt(edited, 10);
    free(all.data);
}
END_TEST

/* Without the lines' own digests the chain still tells. */
START_TEST(test_Q01_missing_and_reordered_commits_are_refused)
{
    char *lines[64];
    size_t count = 0;
    make_family();
    text all = export_all(from);
    for (char *line = strtok(all.data, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert_uint_lt(count, 64);
        lines[count++] = line;
    }
    for (size_t left_out = 0; left_out + 1 < count; left_out++) {
        text bad = {0};
        for (size_t i = 0; i < count; i++) {
            if (i != left_out) {
                text_write(&bad, lines[i], strlen(lines[i]));
                text_write(&bad, "\n", 1);
            }
        }
        const bool value = strstr(lines[left_out], "\"value\":{\"digest\"") != NULL &&
                           strstr(lines[left_out], "\"lineage\"") == NULL;
        assert_refused(bad.data, bad.size, RATOON_ERR_DAMAGED,
                       value ? "neither in the input" : "comes after");
        free(bad.data);
    }
    free(all.data);
}
END_TEST

/* ---- plain lines ---- */

START_TEST(test_R18_plain_runs_are_imported_and_retried_if_their_state_suffices)
{
    static const char lines[] =
        "{\"run\":{\"id\":\"job-1\",\"pipeline\":\"three\",\"status\":\"failed\","
        "\"created_at\":\"2026-01-02T03:04:05Z\"},\"stages\":[{\"name\":\"first\","
        "\"status\":\"succeeded\",\"outputs\":{\"a\":[1,2]},"
        "\"started_at\":\"2026-01-02T03:04:06Z\",\"ended_at\":\"2026-01-02T03:04:08.5Z\"}]}\n"
        "\n"
        "{\"stage\":{\"run\":\"job-1\",\"name\":\"second\",\"status\":\"failed\","
        "\"error\":{\"class\":\"OOM\",\"message\":\"no memory\"}}}\n";
    ratoon_import_options options = RATOON_IMPORT_OPTIONS_INIT;
    ratoon_imported result = {0}, again = {0};
    ratoon_error error = {0};
    ratoon_run_info info;
    ratoon_stage_info stage;
    text in = {.data = (char *)(uintptr_t)lines, .size = sizeof lines - 1};
    options.pipeline = pipeline;
    must(ratoon_import(to, &options, text_read, &in, &result, &error), &error);
    ck_assert_uint_eq(result.lineages, 1);
    must(ratoon_run_get(to, result.last, &info, &error), &error);
    ck_assert_int_eq(info.status, RATOON_RUN_FAILED);
    ck_assert_uint_eq(info.created_at, 1767323045000000u);
    must(ratoon_run_stage(to, result.last, 1, &stage, &error), &error);
    ck_assert_int_eq(stage.error_class, RATOON_CLASS_OOM);
    assert_verified(to);
    /* Again: it is there. */
    in.at = 0;
    must(ratoon_import(to, &options, text_read, &in, &again, &error), &error);
    ck_assert_uint_eq(again.lineages, 0);
    ck_assert_uint_eq(again.skipped, 1);
    ck_assert(ratoon_id_equal(again.last, result.last));
    /* From the failed stage: its key is there. From the third: nobody provides what it requires. */
    ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
    ratoon_buffer json = {0};
    size_t refusals = 0;
    retry.parent = result.last;
    must(ratoon_retry_preview(to, &retry, &json, &refusals, &error), &error);
    ck_assert_msg(refusals == 0, "%s", json.data);
    ratoon_buffer_free(&json);
}
END_TEST

START_TEST(test_R18_what_a_plain_run_lacks_for_a_retry_is_named)
{
    static const char lines[] =
        "{\"run\":{\"pipeline\":\"three\"},\"stages\":["
        "{\"name\":\"first\",\"status\":\"succeeded\"},"
        "{\"name\":\"second\",\"status\":\"failed\",\"error\":\"broken\"}]}";
    ratoon_import_options options = RATOON_IMPORT_OPTIONS_INIT;
    ratoon_imported result = {0};
    ratoon_error error = {0};
    ratoon_created created;
    text in = {.data = (char *)(uintptr_t)lines, .size = sizeof lines - 1};
    ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
    options.pipeline = pipeline;
    must(ratoon_import(to, &options, text_read, &in, &result, &error), &error);
    retry.parent = result.last;
    ck_assert_int_eq(ratoon_retry_create(to, &retry, &created, &error), RATOON_ERR_MISSING_KEYS);
    ck_assert_msg(strstr(error.message, "first") != NULL, "%s", error.message);
    /* Given the key, it can be. */
    const ratoon_value edit = {.key = "a", .data = "1", .size = 1};
    retry.edits = &edit;
    retry.edits_count = 1;
    must(ratoon_retry_create(to, &retry, &created, &error), &error);
}
END_TEST

START_TEST(test_L05_a_plain_run_can_not_say_what_its_stages_deny)
{
    static const struct {
        const char *lines, *word;
    } cases[] = {
        {"{\"run\":{\"pipeline\":\"p\",\"status\":\"succeeded\"},\"stages\":[{\"name\":\"a\","
         "\"status\":\"failed\"}]}",
         "by its stages it is failed"},
        {"{\"run\":{\"pipeline\":\"p\",\"status\":\"failed\"},\"stages\":[{\"name\":\"a\","
         "\"status\":\"pending\"}]}",
         "not done"},
        {"{\"run\":{\"pipeline\":\"p\",\"status\":\"running\"},\"stages\":[{\"name\":\"a\","
         "\"status\":\"failed\"}]}",
         "no end of a run"},
        {"{\"run\":{\"pipeline\":\"p\",\"satus\":\"failed\"}}", "satus"},
        {"{\"run\":{\"pipeline\":\"p\",\"\":\"failed\"}}", "has a member \"\""},
        {"{\"run\":{\"pipeline\":\"p\",\"status state\":\"failed\"}}", "\"status state\""},
        {"{\"run\":{\"pipeline\":\"p\"},\"stages\":[{\"name\":\"a\",\"status\":\"good\"}]}",
         "no status that can be imported"},
        {"{\"stage\":{\"run\":\"x\",\"name\":\"a\",\"status\":\"failed\"}}", "line before it"},
        {"{\"run\":{\"pipeline\":\"p\",\"created_at\":\"yesterday\"},\"stages\":[{\"name\":\"a\","
         "\"status\":\"failed\"}]}",
         "no time"},
        {"{\"run\":{\"pipeline\":\"p\",\"created_at\":\"2026-02-29T00:00:00Z\"},\"stages\":[{"
         "\"name\":\"a\",\"status\":\"failed\"}]}",
         "no time"},
        {"{\"something\":1}", "neither a commit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(cases[i].lines, strlen(cases[i].lines), RATOON_ERR_USAGE, cases[i].word);
    }
}
END_TEST

/* ---- other formats ---- */

START_TEST(test_R18_every_format_shows_the_whole_lineage_escaped)
{
    static const char lines[] = "{\"run\":{\"pipeline\":\"p\",\"subject\":\"<b>&\\\"x\\\"\"},"
                                "\"stages\":[{\"name\":\"a<i>\",\"status\":\"failed\","
                                "\"error\":\"one,\\\"two\\\"\\nthree\"}]}";
    static const struct {
        ratoon_export_format format;
        const char *has, *has_not;
    } cases[] = {
        {RATOON_EXPORT_CSV, "UNKNOWN,\"one,\"\"two\"\"\nthree\"\r\n", NULL},
        {RATOON_EXPORT_HTML, "&#60;b&#62;&#38;&#34;x&#34;", "<i>"},
        {RATOON_EXPORT_DOT, "label=\"a<i>\"", NULL},
        {RATOON_EXPORT_MERMAID, "a#60;i#62;", "a<i>"},
        {RATOON_EXPORT_TRACE, "\"name\":\"a<i>\"", NULL},
        {RATOON_EXPORT_OPENLINEAGE, "\"eventType\":\"FAIL\"", NULL},
    };
    ratoon_imported result = {0};
    ratoon_error error;
    must(import_text(to, lines, sizeof lines - 1, &result, &error), &error);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        text out = {0};
        must(ratoon_export(to, &result.last, 1, cases[i].format, text_write, &out, &error), &error);
        ck_assert_msg(strstr(out.data, cases[i].has) != NULL, "no %s in:\n%s", cases[i].has,
                      out.data);
        ck_assert_msg(cases[i].has_not == NULL || strstr(out.data, cases[i].has_not) == NULL,
                      "%s in:\n%s", cases[i].has_not, out.data);
        free(out.data);
    }
}
END_TEST

static bool refuse_write(void *ctx, const void *data, size_t size)
{
    (void)ctx;
    (void)data;
    (void)size;
    return false;
}

START_TEST(test_R18_an_export_that_can_not_be_written_says_so)
{
    ratoon_error error;
    make_family();
    ck_assert_int_eq(ratoon_export(from, NULL, 0, RATOON_EXPORT_JSONL, refuse_write, NULL, &error),
                     RATOON_ERR_IO);
    ck_assert_int_eq(ratoon_export_format_parse("yaml"), 0);
    ck_assert_int_eq(ratoon_export_format_parse("csv"), RATOON_EXPORT_CSV);
}
END_TEST

/* ---- statistics ---- */

static char *stats(ratoon_store *store)
{
    ratoon_buffer json = {0};
    ratoon_error error;
    must(ratoon_doc_stats(store, NULL, &json, &error), &error);
    return json.data;
}

/* What is added up call by call is what one call adds up. */
START_TEST(test_Q04_kept_sums_equal_sums_made_anew)
{
    ratoon_imported result = {0};
    ratoon_error error;
    for (int i = 0; i < 3; i++) {
        const ratoon_created run = create(NULL);
        free(stats(from)); /* with a run under way */
        fail_stage(run, "first");
        finish(run);
        free(stats(from));
    }
    char *kept = stats(from);
    ck_assert_msg(strstr(kept, "\"by_status\":{\"failed\":3}") != NULL, "%s", kept);
    ck_assert_msg(strstr(kept, "\"errors\":{\"OOM\":3}") != NULL, "%s", kept);
    text all = export_all(from);
    must(import_text(to, all.data, all.size, &result, &error), &error);
    char *anew = stats(to);
    ck_assert_str_eq(kept, anew);
    free(kept);
    free(anew);
    free(all.data);
}
END_TEST

static Suite *export_suite(void)
{
    Suite *s = suite_create("export");
    TCase *jsonl = tcase_create("jsonl"), *damage = tcase_create("damage"),
          *plain = tcase_create("plain"), *formats = tcase_create("formats"),
          *sums = tcase_create("stats");
    TCase *all[] = {jsonl, damage, plain, formats, sums};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        tcase_add_checked_fixture(all[i], setup, teardown);
        suite_add_tcase(s, all[i]);
    }
    tcase_add_test(jsonl, test_R18_jsonl_goes_both_ways_without_loss);
    tcase_add_test(jsonl, test_R18_import_is_idempotent_and_continues_a_lineage);
    tcase_add_test(jsonl, test_R18_a_fork_is_refused);
    tcase_add_test(jsonl, test_L08_a_running_run_is_interrupted_by_import);
    tcase_add_test(jsonl, test_R18_a_key_of_another_run_refuses_the_import);
    tcase_add_test(damage, test_R18_damaged_lines_are_refused_and_nothing_is_appended);
    tcase_add_test(damage, test_Q01_an_edited_commit_is_refused_and_nothing_is_appended);
    tcase_add_test(damage, test_Q01_missing_and_reordered_commits_are_refused);
    tcase_add_test(plain, test_R18_plain_runs_are_imported_and_retried_if_their_state_suffices);
    tcase_add_test(plain, test_R18_what_a_plain_run_lacks_for_a_retry_is_named);
    tcase_add_test(plain, test_L05_a_plain_run_can_not_say_what_its_stages_deny);
    tcase_add_test(formats, test_R18_every_format_shows_the_whole_lineage_escaped);
    tcase_add_test(formats, test_R18_an_export_that_can_not_be_written_says_so);
    tcase_add_test(sums, test_Q04_kept_sums_equal_sums_made_anew);
    return s;
}

RATOON_TEST_MAIN(export_suite)
