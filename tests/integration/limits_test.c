/* Limits (S06): each at the limit and one past it, through the public interface. An error names the
 * limit and the size, and nothing is appended. */
#include "tests/support/support.h"

#include <inttypes.h>
#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char plain[] = "pipeline: plain\n"
                            "params:\n"
                            "  text: {type: string, default: x}\n"
                            "  hidden: {type: string, secret: true}\n"
                            "stages:\n"
                            "  - {name: one, run: [\"true\"]}\n"
                            "  - {name: two, run: [\"true\"]}\n";

static char *folder;
static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_error error;

static void must(ratoon_status status)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error.message);
}

static void setup_with(uint64_t value_max)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    folder = support_temp_dir("limits_test");
    char *path = support_path_join(folder, "store");
    options.value_max = value_max;
    options.durability = RATOON_DURABILITY_NONE;
    must(ratoon_store_create(path, &options, &error));
    must(ratoon_store_open(path, &options, &store, &error));
    must(ratoon_pipeline_parse("p.yaml", plain, sizeof plain - 1, NULL, &pipeline, &error));
    free(path);
}

static void setup(void)
{
    setup_with(0);
}

static void setup_small_values(void)
{
    setup_with(2000);
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
    store = NULL;
    pipeline = NULL;
}

/* A text of `size` bytes; to be freed. */
static char *text_of(size_t size)
{
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, 'n', size);
    text[size] = '\0';
    return text;
}

static uint64_t appended(void)
{
    uint64_t position = 0;
    must(ratoon_feed_end(store, &position, &error));
    return position;
}

/* Refused as over a limit, with both numbers in the message, and nothing was appended since. */
static void expect_limit(ratoon_status status, uint64_t limit, uint64_t size, uint64_t before)
{
    char number[24];
    ck_assert_msg(status == RATOON_ERR_LIMIT_EXCEEDED, "%s: %s", ratoon_status_name(status),
                  status == RATOON_OK ? "" : error.message);
    snprintf(number, sizeof number, "%" PRIu64, limit);
    ck_assert_msg(strstr(error.message, number) != NULL, "no %s in: %s", number, error.message);
    if (size > 0) {
        snprintf(number, sizeof number, "%" PRIu64, size);
        ck_assert_msg(strstr(error.message, number) != NULL, "no %s in: %s", number, error.message);
    }
    ck_assert_uint_eq(appended(), before);
}

static ratoon_run_options run_options(void)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    static const ratoon_pair hidden = {"hidden", "unseen"};
    options.pipeline = pipeline;
    options.params = &hidden;
    options.params_count = 1;
    return options;
}

static ratoon_created create(void)
{
    const ratoon_run_options options = run_options();
    ratoon_created run;
    must(ratoon_run_create(store, &options, &run, &error));
    return run;
}

static uint32_t start(ratoon_created run, const char *stage)
{
    uint32_t attempt = 0;
    must(ratoon_stage_start(store, run.run, run.epoch, stage, &attempt, &error));
    return attempt;
}

static ratoon_status succeed(ratoon_created run, const char *stage, const ratoon_value *values,
                             size_t count)
{
    return ratoon_stage_succeed(store, run.run, run.epoch, stage, 1, values, count, &error);
}

/* ---- values ---- */

static void try_values(uint64_t limit)
{
    char *data = text_of(limit + 1);
    data[0] = data[limit - 1] = data[limit] = '"';
    ratoon_value value = {.key = "v", .data = data, .size = limit + 1};
    ratoon_run_options options = run_options();
    ratoon_created run;
    options.state = &value;
    options.state_count = 1;
    uint64_t before = appended();
    expect_limit(ratoon_run_create(store, &options, &run, &error), limit, limit + 1, before);
    value.size = limit;
    must(ratoon_run_create(store, &options, &run, &error));
    start(run, "one");
    before = appended();
    value.size = limit + 1;
    expect_limit(succeed(run, "one", &value, 1), limit, limit + 1, before);
    const ratoon_item_result item = {.key = "i", .output = data, .output_size = limit + 1};
    ratoon_op op = {
        .kind = RATOON_OP_ITEM, .stage = "one", .attempt = 1, .items = &item, .items_count = 1};
    expect_limit(ratoon_run_apply(store, run.run, run.epoch, &op, 1, &error), limit, limit + 1,
                 before);
    data[0] = '\'';
    value.size = limit;
    must(succeed(run, "one", &value, 1));
    start(run, "two");
    const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "no"};
    must(ratoon_stage_fail(store, run.run, run.epoch, "two", 1, &failure, &error));
    ratoon_run_status ended;
    must(ratoon_run_finish(store, run.run, run.epoch, &ended, &error));
    ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
    retry.parent = run.run;
    retry.edits = &value;
    retry.edits_count = 1;
    value.size = limit + 1;
    before = appended();
    expect_limit(ratoon_retry_create(store, &retry, &run, &error), limit, limit + 1, before);
    value.size = limit;
    must(ratoon_retry_create(store, &retry, &run, &error));

    ratoon_state *state = NULL;
    ratoon_state_entry entry;
    must(ratoon_state_at(store, run.run, "end", &state, &error));
    ck_assert_uint_eq(ratoon_state_count(state), 1);
    must(ratoon_state_get(state, 0, &entry, &error));
    ck_assert_uint_eq(entry.size, limit);
    ck_assert(memcmp(entry.data, data, limit) == 0);
    ratoon_state_free(state);
    free(data);
}

START_TEST(test_S06_value_of_64_mib)
{
    try_values(RATOON_VALUE_MAX_DEFAULT);
}
END_TEST

START_TEST(test_S06_value_of_the_configured_size)
{
    try_values(2000);
}
END_TEST

/* ---- a commit ---- */

static ratoon_status annotate(ratoon_id run, size_t size)
{
    char *text = text_of(size);
    ratoon_status status = ratoon_run_annotate(store, run, text, &error);
    free(text);
    return status;
}

START_TEST(test_S06_commit_of_4_mib)
{
    const ratoon_created run = create();
    size_t fits = RATOON_COMMIT_MAX - 4096;
    size_t too_much = RATOON_COMMIT_MAX;
    must(annotate(run.run, fits));
    while (too_much - fits > 1) {
        const size_t size = fits + (too_much - fits) / 2;
        const uint64_t before = appended();
        const ratoon_status status = annotate(run.run, size);
        if (status == RATOON_OK) {
            fits = size;
        } else {
            expect_limit(status, RATOON_COMMIT_MAX, 0, before);
            too_much = size;
        }
    }
    /* Sizes of commits go up in words. */
    const uint64_t before = appended();
    ck_assert_int_eq(annotate(run.run, too_much), RATOON_ERR_LIMIT_EXCEEDED);
    bool named = false;
    for (unsigned over = 1; over <= 8 && !named; over++) {
        char number[24];
        snprintf(number, sizeof number, "%u", RATOON_COMMIT_MAX + over);
        named = strstr(error.message, number) != NULL;
    }
    ck_assert_msg(named, "%s", error.message);
    ck_assert_uint_eq(appended(), before);
}
END_TEST

START_TEST(test_S06_values_do_not_count_into_the_commit)
{
    enum { COUNT = 9000 }; /* half of them kept within the commit */
    const ratoon_created run = create();
    ratoon_value *values = calloc(COUNT, sizeof *values);
    char(*keys)[8] = calloc(COUNT, sizeof *keys);
    ck_assert(values != NULL && keys != NULL);
    char *data = text_of(RATOON_INLINE_MAX + 1);
    data[0] = '"';
    start(run, "one");
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof keys[i], "k%u", i);
        values[i] = (ratoon_value){.key = keys[i], .data = data, .size = RATOON_INLINE_MAX + i % 2};
    }
    must(succeed(run, "one", values, COUNT));
    ratoon_state *state = NULL;
    must(ratoon_state_at(store, run.run, "end", &state, &error));
    ck_assert_uint_eq(ratoon_state_count(state), COUNT);
    ratoon_state_free(state);
    free(data);
    free(keys);
    free(values);
}
END_TEST

/* ---- names ---- */

typedef ratoon_status name_use(const char *name);

static ratoon_status use_subject(const char *name)
{
    ratoon_run_options options = run_options();
    ratoon_created run;
    options.subject = name;
    return ratoon_run_create(store, &options, &run, &error);
}

static ratoon_status use_key(const char *name)
{
    ratoon_run_options options = run_options();
    ratoon_created run;
    options.key = name;
    return ratoon_run_create(store, &options, &run, &error);
}

static ratoon_status use_label(const char *name)
{
    ratoon_run_options options = run_options();
    ratoon_created run;
    const ratoon_pair label = {name, "v"};
    options.labels = &label;
    options.labels_count = 1;
    return ratoon_run_create(store, &options, &run, &error);
}

static ratoon_status use_label_value(const char *name)
{
    ratoon_run_options options = run_options();
    ratoon_created run;
    const ratoon_pair label = {"l", name};
    options.labels = &label;
    options.labels_count = 1;
    return ratoon_run_create(store, &options, &run, &error);
}

static ratoon_status use_reference(const char *name)
{
    ratoon_run_options options = run_options();
    ratoon_created run;
    options.external_ref = name;
    return ratoon_run_create(store, &options, &run, &error);
}

static ratoon_status use_state_key(const char *name)
{
    ratoon_run_options options = run_options();
    ratoon_created run;
    const ratoon_value value = {.key = name, .data = "1", .size = 1};
    options.state = &value;
    options.state_count = 1;
    return ratoon_run_create(store, &options, &run, &error);
}

static ratoon_status use_output_key(const char *name)
{
    static ratoon_created run;
    static ratoon_store *of;
    if (of != store || strlen(name) > RATOON_NAME_MAX) {
        of = store;
        run = create();
        start(run, "one");
    }
    const ratoon_value value = {.key = name, .data = "1", .size = 1};
    return succeed(run, "one", &value, 1);
}

static ratoon_status use_retry_key(const char *name)
{
    const ratoon_created run = create();
    ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created branch;
    ratoon_run_status status;
    start(run, "one");
    const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "no"};
    must(ratoon_stage_fail(store, run.run, run.epoch, "one", 1, &failure, &error));
    must(ratoon_run_finish(store, run.run, run.epoch, &status, &error));
    retry.parent = run.run;
    retry.key = name;
    return ratoon_retry_create(store, &retry, &branch, &error);
}

/* A pipeline in which %s is the name. */
static ratoon_status use_in_pipeline(const char *format, const char *name)
{
    char *text = NULL;
    ck_assert_int_ge(asprintf(&text, format, name), 0);
    ratoon_pipeline *p = NULL;
    ratoon_status status = ratoon_pipeline_parse("p.yaml", text, strlen(text), NULL, &p, &error);
    if (status == RATOON_OK) {
        ratoon_run_options options = run_options();
        ratoon_created run;
        options.pipeline = p;
        options.params_count = 0;
        status = ratoon_run_create(store, &options, &run, &error);
    }
    ratoon_pipeline_free(p);
    free(text);
    return status;
}

static ratoon_status use_stage(const char *name)
{
    return use_in_pipeline("pipeline: p\nstages:\n  - {name: %s, run: [\"true\"]}\n", name);
}

static ratoon_status use_pipeline(const char *name)
{
    return use_in_pipeline("pipeline: %s\nstages:\n  - {name: s, run: [\"true\"]}\n", name);
}

static ratoon_status use_param(const char *name)
{
    return use_in_pipeline("pipeline: p\nparams:\n  ? %s\n  : {type: int, default: 1}\n"
                           "stages:\n  - {name: s, run: [\"true\"]}\n",
                           name);
}

static ratoon_status use_produces(const char *name)
{
    return use_in_pipeline("pipeline: p\nstages:\n  - {name: s, run: [\"true\"], produces: [%s]}\n",
                           name);
}

static ratoon_status use_scope(const char *name)
{
    return use_in_pipeline(
        "pipeline: p\npolicy: {scope: %s}\nstages:\n  - {name: s, run: [\"true\"]}\n", name);
}

static ratoon_status use_scope_from_param(const char *name)
{
    return use_in_pipeline("pipeline: p\npolicy: {scope: \"${v}\"}\n"
                           "params:\n  v: {type: string, default: %s}\n"
                           "stages:\n  - {name: s, run: [\"true\"]}\n",
                           name);
}

static const struct {
    const char *what;
    name_use *use;
    bool appends; /* a run before the name is used */
} names[] = {
    {"subject", use_subject, false},
    {"idempotency key", use_key, false},
    {"label", use_label, false},
    {"label's value", use_label_value, false},
    {"external reference", use_reference, false},
    {"state key", use_state_key, false},
    {"output key", use_output_key, true},
    {"key of a retry", use_retry_key, true},
    {"stage", use_stage, false},
    {"pipeline", use_pipeline, false},
    {"parameter", use_param, false},
    {"declared key", use_produces, false},
    {"scope", use_scope, false},
    {"scope with a parameter", use_scope_from_param, false},
};

START_TEST(test_S06_name_of_255_bytes)
{
    static const size_t sizes[] = {RATOON_NAME_MAX, RATOON_NAME_MAX + 1, 5000, 65000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char *name = text_of(sizes[i]);
        char number[24];
        snprintf(number, sizeof number, "%zu", sizes[i]);
        const uint64_t before = appended();
        const ratoon_status status = names[_i].use(name);
        if (sizes[i] <= RATOON_NAME_MAX) {
            ck_assert_msg(status == RATOON_OK, "%s: %s", names[_i].what, error.message);
        } else {
            ck_assert_msg(status == RATOON_ERR_LIMIT_EXCEEDED, "%s of %s: %s: %s", names[_i].what,
                          number, ratoon_status_name(status),
                          status == RATOON_OK ? "" : error.message);
            ck_assert_msg(strstr(error.message, "255") != NULL &&
                              strstr(error.message, number) != NULL,
                          "%s: %s", names[_i].what, error.message);
            ck_assert(names[_i].appends || appended() == before);
        }
        free(name);
    }
}
END_TEST

/* ---- items ---- */

static ratoon_status report(ratoon_created run, const ratoon_item_result *items, size_t count)
{
    ratoon_op op = {
        .kind = RATOON_OP_ITEM, .stage = "one", .attempt = 1, .items = items, .items_count = count};
    return ratoon_run_apply(store, run.run, run.epoch, &op, 1, &error);
}

START_TEST(test_S06_item_key_of_4_kib)
{
    const ratoon_created run = create();
    start(run, "one");
    char *key = text_of(RATOON_ITEM_KEY_MAX + 1);
    ratoon_item_result item = {.key = key};
    const uint64_t before = appended();
    expect_limit(report(run, &item, 1), RATOON_ITEM_KEY_MAX, RATOON_ITEM_KEY_MAX + 1, before);
    key[RATOON_ITEM_KEY_MAX] = '\0';
    must(report(run, &item, 1));
    ratoon_items *items = NULL;
    must(ratoon_stage_items(store, run.run, "one", &items, &error));
    ck_assert_int_eq(ratoon_items_find(items, key), 0);
    ratoon_items_free(items);
    /* A retry may not list a longer one either. */
    ratoon_run_status status;
    const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "no"};
    must(ratoon_stage_fail(store, run.run, run.epoch, "one", 1, &failure, &error));
    must(ratoon_run_finish(store, run.run, run.epoch, &status, &error));
    free(key);
    key = text_of(RATOON_ITEM_KEY_MAX + 1);
    const char *listed = key;
    ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created branch;
    retry.parent = run.run;
    retry.items_mode = RATOON_ITEMS_LISTED;
    retry.items_given = true;
    retry.items = &listed;
    retry.items_count = 1;
    const uint64_t ended = appended();
    const ratoon_status refused = ratoon_retry_create(store, &retry, &branch, &error);
    ck_assert_msg(refused != RATOON_OK, "a key of %d bytes was listed", RATOON_ITEM_KEY_MAX + 1);
    ck_assert_uint_eq(appended(), ended);
    free(key);
}
END_TEST

START_TEST(test_S06_stage_of_1000000_items)
{
    const ratoon_created run = create();
    start(run, "one");
    ratoon_op op = {
        .kind = RATOON_OP_STAGE_ITEMS, .stage = "one", .attempt = 1, .total = RATOON_ITEMS_MAX + 1};
    const uint64_t before = appended();
    expect_limit(ratoon_run_apply(store, run.run, run.epoch, &op, 1, &error), RATOON_ITEMS_MAX,
                 RATOON_ITEMS_MAX + 1, before);
    op.total = RATOON_ITEMS_MAX;
    must(ratoon_run_apply(store, run.run, run.epoch, &op, 1, &error));
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* minutes, there */
START_TEST(test_S06_items_that_nobody_announced)
{
    enum { BATCH = 20000 };
    const ratoon_created run = create();
    start(run, "one");
    ratoon_item_result *items = calloc(BATCH, sizeof *items);
    char(*keys)[8] = calloc(BATCH, sizeof *keys);
    ck_assert(items != NULL && keys != NULL);
    for (unsigned from = 0; from < RATOON_ITEMS_MAX; from += BATCH) {
        for (unsigned i = 0; i < BATCH; i++) {
            snprintf(keys[i], sizeof keys[i], "%x", from + i);
            items[i] = (ratoon_item_result){.key = keys[i]};
        }
        must(report(run, items, BATCH));
    }
    const uint64_t before = appended();
    must(report(run, items, 1)); /* one that is there already */
    const ratoon_item_result more = {.key = "one more"};
    expect_limit(report(run, &more, 1), RATOON_ITEMS_MAX, RATOON_ITEMS_MAX + 1, before + 1);
    ratoon_stage_info info;
    must(ratoon_run_stage(store, run.run, 0, &info, &error));
    ck_assert_uint_eq(info.items_done, RATOON_ITEMS_MAX);
    free(items);
    free(keys);
}
END_TEST

#endif

/* ---- pipelines and parameters ---- */

START_TEST(test_S06_string_parameter_of_64_kib)
{
    static const char *const params[] = {"text", "hidden"};
    char *text = text_of(RATOON_PARAM_MAX + 1);
    const ratoon_pair pairs[] = {{params[_i], text}, {params[1 - _i], "short"}};
    ratoon_run_options options = run_options();
    ratoon_created run;
    options.params = pairs;
    options.params_count = 2;
    const uint64_t before = appended();
    expect_limit(ratoon_run_create(store, &options, &run, &error), RATOON_PARAM_MAX,
                 RATOON_PARAM_MAX + 1, before);
    text[RATOON_PARAM_MAX] = '\0';
    must(ratoon_run_create(store, &options, &run, &error));
    free(text);
}
END_TEST

static ratoon_status parse_stages(unsigned count, ratoon_pipeline **out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(file);
    fputs("pipeline: wide\nstages:\n", file);
    for (unsigned i = 0; i < count; i++) {
        fprintf(file, "  - {name: s%u, run: [\"true\"]}\n", i);
    }
    fclose(file);
    const ratoon_status status = ratoon_pipeline_parse("p.yaml", text, size, NULL, out, &error);
    free(text);
    return status;
}

START_TEST(test_S06_pipeline_of_4096_stages)
{
    ratoon_pipeline *wide = NULL;
    const uint64_t before = appended();
    expect_limit(parse_stages(RATOON_STAGES_MAX + 1, &wide), RATOON_STAGES_MAX,
                 RATOON_STAGES_MAX + 1, before);
    ck_assert_ptr_null(wide);
    must(parse_stages(RATOON_STAGES_MAX, &wide));
    ratoon_run_options options = run_options();
    ratoon_created run;
    options.pipeline = wide;
    options.params_count = 0;
    must(ratoon_run_create(store, &options, &run, &error));
    start(run, "s0");
    must(succeed(run, "s0", NULL, 0));
    ratoon_pipeline_free(wide);
}
END_TEST

static Suite *limits_suite(void)
{
    Suite *s = suite_create("limits");
    TCase *t = tcase_create("limits");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_S06_value_of_64_mib);
    tcase_add_test(t, test_S06_commit_of_4_mib);
    tcase_add_test(t, test_S06_values_do_not_count_into_the_commit);
    tcase_add_loop_test(t, test_S06_name_of_255_bytes, 0, (int)(sizeof names / sizeof names[0]));
    tcase_add_test(t, test_S06_item_key_of_4_kib);
    tcase_add_test(t, test_S06_stage_of_1000000_items);
    tcase_add_loop_test(t, test_S06_string_parameter_of_64_kib, 0, 2);
    tcase_add_test(t, test_S06_pipeline_of_4096_stages);
    suite_add_tcase(s, t);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    TCase *many = tcase_create("many");
    tcase_add_checked_fixture(many, setup, teardown);
    tcase_set_timeout(many, 240);
    tcase_add_test(many, test_S06_items_that_nobody_announced);
    suite_add_tcase(s, many);
#endif
    TCase *small = tcase_create("configured");
    tcase_add_checked_fixture(small, setup_small_values, teardown);
    tcase_add_test(small, test_S06_value_of_the_configured_size);
    suite_add_tcase(s, small);
    return s;
}

RATOON_TEST_MAIN(limits_suite)
