#include "core/pipeline.h"
#include "tests/support/lineage.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <string.h>

/* A draft of bare stages. */
typedef struct draft {
    ratoon_pipeline *p;
    ratoon__stage_def *stages;
    uint32_t bad;
    ratoon_error error;
} draft;

static draft draft_of(const char *const *names, size_t count)
{
    draft d = {.p = ratoon__pipeline_new()};
    d.stages = ratoon__arena_alloc(&d.p->arena, count * sizeof *d.stages);
    d.p->name = "draft";
    for (size_t i = 0; i < count; i++) {
        d.stages[i].pub.name = names[i];
        d.stages[i].pub.validates = -1;
    }
    d.p->stages = d.stages;
    d.p->stages_count = count;
    return d;
}

static void need(draft *d, uint32_t stage, const uint32_t *needs, size_t count)
{
    d->stages[stage].pub.needs = needs;
    d->stages[stage].pub.needs_count = count;
}

static ratoon_status check(draft *d)
{
    return ratoon__pipeline_check(d->p, &d->bad, &d->error);
}

START_TEST(test_pipeline_order_is_topological_with_ties_in_file_order)
{
    ratoon_pipeline *p = support_pipeline("z: c; a; b: a; c: a; d");
    const uint32_t expected[] = {1, 2, 3, 0, 4};
    ck_assert_mem_eq(ratoon_pipeline_order(p), expected, sizeof expected);
    ck_assert(ratoon_pipeline_depends(p, 0, 1));
    ck_assert(ratoon_pipeline_depends(p, 0, 3));
    ck_assert(!ratoon_pipeline_depends(p, 0, 0));
    ck_assert(!ratoon_pipeline_depends(p, 0, 2));
    ck_assert(!ratoon_pipeline_depends(p, 1, 0));
    ck_assert(!ratoon_pipeline_depends(p, 99, 0));
    ck_assert_int_eq(ratoon_pipeline_stage_find(p, "c"), 3);
    ck_assert_int_eq(ratoon_pipeline_stage_find(p, "x"), -1);
    ratoon_pipeline_free(p);
}
END_TEST

START_TEST(test_pipeline_cycle_is_named)
{
    const char *const names[] = {"start", "b", "c", "tail"};
    const uint32_t b[] = {0, 2};
    const uint32_t c[] = {1};
    const uint32_t tail[] = {2};
    draft d = draft_of(names, 4);
    need(&d, 1, b, 2);
    need(&d, 2, c, 1);
    need(&d, 3, tail, 1);
    ck_assert_int_eq(check(&d), RATOON_ERR_PIPELINE_INVALID);
    ck_assert_ptr_nonnull(strstr(d.error.message, "'b' needs 'c' needs 'b'"));
    ck_assert(d.bad == 1 || d.bad == 2);
    ratoon_pipeline_free(d.p);
}
END_TEST

START_TEST(test_pipeline_refuses_bad_names_and_needs)
{
    const char *const twice[] = {"a", "b", "a"};
    draft d = draft_of(twice, 3);
    ck_assert_int_eq(check(&d), RATOON_ERR_PIPELINE_INVALID);
    ck_assert_uint_eq(d.bad, 2);
    ratoon_pipeline_free(d.p);

    const char *const odd[] = {"a", "b\n"};
    d = draft_of(odd, 2);
    ck_assert_int_eq(check(&d), RATOON_ERR_PIPELINE_INVALID);
    ck_assert_uint_eq(d.bad, 1);
    ratoon_pipeline_free(d.p);

    const char *const fine[] = {"a", "b"};
    const uint32_t self[] = {1};
    const uint32_t beyond[] = {2};
    d = draft_of(fine, 2);
    need(&d, 1, self, 1);
    ck_assert_int_eq(check(&d), RATOON_ERR_PIPELINE_INVALID);
    need(&d, 1, beyond, 1);
    ck_assert_int_eq(check(&d), RATOON_ERR_PIPELINE_INVALID);
    ck_assert_uint_eq(d.bad, 1);
    ratoon_pipeline_free(d.p);

    d = draft_of(fine, 0);
    ck_assert_int_eq(check(&d), RATOON_ERR_PIPELINE_INVALID);
    ratoon_pipeline_free(d.p);
}
END_TEST

START_TEST(test_S06_names_and_counts_have_limits)
{
    char name[RATOON_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    const char *const names[] = {name};
    draft d = draft_of(names, 1);
    ck_assert_int_eq(check(&d), RATOON_ERR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(d.error.message, "256"));
    ck_assert_ptr_nonnull(strstr(d.error.message, "255"));
    name[RATOON_NAME_MAX] = '\0';
    ck_assert_int_eq(check(&d), RATOON_OK);
    d.p->stages_count = RATOON_STAGES_MAX + 1;
    ck_assert_int_eq(check(&d), RATOON_ERR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(d.error.message, "4097"));
    ratoon_pipeline_free(d.p);
}
END_TEST

START_TEST(test_R11_validator_depends_on_what_it_validates)
{
    const char *const names[] = {"a", "check", "again"};
    const char *const key[] = {"k"};
    const uint32_t on_a[] = {0};
    const uint32_t on_check[] = {1};
    draft d = draft_of(names, 3);
    d.stages[1].pub.validates = 0;
    ck_assert_int_eq(check(&d), RATOON_ERR_PIPELINE_INVALID);
    ck_assert_uint_eq(d.bad, 1);
    need(&d, 1, on_a, 1);
    ck_assert_int_eq(check(&d), RATOON_OK);
    d.stages[1].pub.produces_keys = key;
    d.stages[1].pub.produces_count = 1;
    ck_assert_int_eq(check(&d), RATOON_ERR_PIPELINE_INVALID);
    d.stages[1].pub.produces_count = 0;
    need(&d, 2, on_check, 1);
    d.stages[2].pub.validates = 1;
    ck_assert_int_eq(check(&d), RATOON_ERR_PIPELINE_INVALID);
    ck_assert_uint_eq(d.bad, 2);
    ratoon_pipeline_free(d.p);
}
END_TEST

START_TEST(test_pipeline_of_full_size_is_ordered)
{
    ratoon__buf line = {0};
    for (uint32_t i = 0; i < RATOON_STAGES_MAX; i++) {
        ratoon__buf_format(&line, "s%u:", i);
        if (i > 0) {
            ratoon__buf_format(&line, " s%u", i - 1);
        }
        ratoon__buf_str(&line, ";");
    }
    ratoon_pipeline *p = support_pipeline(line.data);
    ck_assert_uint_eq(ratoon_pipeline_stage_count(p), RATOON_STAGES_MAX);
    ck_assert_uint_eq(p->order[RATOON_STAGES_MAX - 1], RATOON_STAGES_MAX - 1);
    ck_assert(ratoon_pipeline_depends(p, RATOON_STAGES_MAX - 1, 0));
    ck_assert(!ratoon_pipeline_depends(p, 0, RATOON_STAGES_MAX - 1));
    ratoon_pipeline_free(p);
    ratoon__buf_free(&line);
}
END_TEST

START_TEST(test_pipeline_of_full_size_finds_each_stage)
{
    ratoon__buf line = {0};
    for (uint32_t i = 0; i < RATOON_STAGES_MAX; i++) {
        ratoon__buf_format(&line, "%u_s;", i * 7919);
    }
    ratoon_pipeline *p = support_pipeline(line.data);
    for (uint32_t i = 0; i < RATOON_STAGES_MAX; i++) {
        const char *name = p->stages[i].pub.name;
        char near[64];
        ck_assert_int_eq(ratoon__pipeline_find(p, name), (int32_t)i);
        snprintf(near, sizeof near, "%ss", name);
        ck_assert_int_eq(ratoon__pipeline_find(p, near), -1);
        snprintf(near, sizeof near, "%.*s", (int)strlen(name) - 1, name);
        ck_assert_int_eq(ratoon__pipeline_find(p, near), -1);
    }
    ck_assert_int_eq(ratoon__pipeline_find(p, ""), -1);
    ratoon_pipeline_free(p);
    ratoon__buf_free(&line);
}
END_TEST

START_TEST(test_S04_producers_of_a_key_are_found_in_file_order)
{
    const char *const names[] = {"a", "b", "c", "d"};
    const char *a[] = {"x", "m"}, *c[] = {"x"}, *d[] = {"z", "x", "b"};
    draft made = draft_of(names, 4);
    made.stages[0].pub.produces_keys = a;
    made.stages[0].pub.produces_count = 2;
    made.stages[2].pub.produces_keys = c;
    made.stages[2].pub.produces_count = 1;
    made.stages[3].pub.produces_keys = d;
    made.stages[3].pub.produces_count = 3;
    ck_assert_int_eq(check(&made), RATOON_OK);
    size_t count = 0;
    const ratoon__producer *found = ratoon__pipeline_producers(made.p, "x", &count);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(found[0].stage, 0);
    ck_assert_uint_eq(found[1].stage, 2);
    ck_assert_uint_eq(found[2].stage, 3);
    found = ratoon__pipeline_producers(made.p, "z", &count);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(found[0].stage, 3);
    static const char *const none[] = {"", "a", "c", "xx", "zz"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        (void)ratoon__pipeline_producers(made.p, none[i], &count);
        ck_assert_uint_eq(count, 0);
    }
    ratoon_pipeline_free(made.p);
}
END_TEST

/* ---- parameters ---- */

static ratoon__arena arena;
static ratoon_error error;

static const char *checked(const ratoon__param_def *def, const char *text)
{
    const char *out = "(unset)";
    const ratoon_status status = ratoon__param_check(def, text, &arena, &out, &error);
    return status == RATOON_OK ? out : ratoon_status_name(status);
}

START_TEST(test_R12_whole_numbers)
{
    const ratoon__param_def def = {.name = "n", .type = RATOON__PARAM_INT};
    ck_assert_str_eq(checked(&def, "8"), "8");
    ck_assert_str_eq(checked(&def, "-0"), "0");
    ck_assert_str_eq(checked(&def, "9223372036854775807"), "9223372036854775807");
    ck_assert_str_eq(checked(&def, "-9223372036854775808"), "-9223372036854775808");
    const char *const bad[] = {"",
                               " 8",
                               "08",
                               "+8",
                               "8 ",
                               "8.0",
                               "1e3",
                               "0x8",
                               "-",
                               "eight",
                               "9223372036854775808",
                               "-9223372036854775809"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_str_eq(checked(&def, bad[i]), "PARAM_INVALID");
    }
    ratoon__arena_free(&arena);
}
END_TEST

START_TEST(test_R12_bounds_and_powers_of_two)
{
    const ratoon__param_def def = {.name = "batch_size",
                                   .type = RATOON__PARAM_INT,
                                   .has_min = true,
                                   .min = 1,
                                   .has_max = true,
                                   .max = 512,
                                   .power_of_two = true};
    ck_assert_str_eq(checked(&def, "1"), "1");
    ck_assert_str_eq(checked(&def, "512"), "512");
    ck_assert_str_eq(checked(&def, "0"), "PARAM_INVALID");
    ck_assert_str_eq(checked(&def, "1024"), "PARAM_INVALID");
    ck_assert_str_eq(checked(&def, "7"), "PARAM_INVALID");
    ck_assert_str_eq(error.message, "parameter 'batch_size' is '7': expected a whole number, a "
                                    "power of two, at least 1, at most 512");
    ratoon__arena_free(&arena);
}
END_TEST

START_TEST(test_R12_numbers_have_one_text)
{
    const ratoon__param_def def = {.name = "x", .type = RATOON__PARAM_NUMBER};
    static const char *const pairs[][2] = {
        {"1", "1"},
        {"1.50", "1.5"},
        {"-0.0", "0"},
        {"100", "100"},
        {"1e2", "100"},
        {"12.5e-1", "1.25"},
        {"0.000001", "0.000001"},
        {"1e-7", "1e-7"},
        {"1E+21", "1e21"},
        {"123e20", "1.23e22"},
        {"0.1", "0.1"},
        {"-2.5e3", "-2500"},
        {"0.10000000000000000555", "0.10000000000000000555"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        ck_assert_str_eq(checked(&def, pairs[i][0]), pairs[i][1]);
    }
    const char *const bad[] = {"", ".5", "1.", "01", "1e", "nan", "inf", "1e999", "1 ", "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_str_eq(checked(&def, bad[i]), "PARAM_INVALID");
    }
    ratoon__arena_free(&arena);
}
END_TEST

START_TEST(test_R12_booleans_and_choices)
{
    const ratoon__param_def flag = {.name = "b", .type = RATOON__PARAM_BOOL};
    ck_assert_str_eq(checked(&flag, "true"), "true");
    ck_assert_str_eq(checked(&flag, "True"), "PARAM_INVALID");
    const char *const choices[] = {"fast", "full"};
    const ratoon__param_def mode = {
        .name = "mode", .type = RATOON__PARAM_STRING, .choices = choices, .choices_count = 2};
    ck_assert_str_eq(checked(&mode, "full"), "full");
    ck_assert_str_eq(checked(&mode, "slow"), "PARAM_INVALID");
    ck_assert_ptr_nonnull(strstr(error.message, "one of 'fast', 'full'"));
    ratoon__arena_free(&arena);
}
END_TEST

START_TEST(test_E08_error_does_not_tell_a_secret)
{
    const ratoon__param_def def = {.name = "key", .type = RATOON__PARAM_INT, .secret = true};
    ck_assert_str_eq(checked(&def, "hunter2"), "PARAM_INVALID");
    ck_assert_ptr_null(strstr(error.message, "hunter2"));
    ratoon__arena_free(&arena);
}
END_TEST

START_TEST(test_S06_string_parameter_has_a_limit)
{
    static char text[RATOON_PARAM_MAX + 2];
    memset(text, 'x', sizeof text - 1);
    const ratoon__param_def def = {.name = "s", .type = RATOON__PARAM_STRING};
    ck_assert_str_eq(checked(&def, text), "LIMIT_EXCEEDED");
    text[RATOON_PARAM_MAX] = '\0';
    ck_assert_uint_eq(strlen(checked(&def, text)), RATOON_PARAM_MAX);
    ratoon__arena_free(&arena);
}
END_TEST

static const char *adjusted(const ratoon__param_def *def, const ratoon__adjust *adjust,
                            const char *text, bool expect_change)
{
    const char *out = NULL;
    bool changed = !expect_change;
    ck_assert_int_eq(ratoon__param_adjust(def, adjust, text, &arena, &out, &changed), RATOON_OK);
    ck_assert_int_eq(changed, expect_change);
    return out;
}

START_TEST(test_A02_adjusters_stop_at_their_bound)
{
    const ratoon__param_def def = {
        .name = "batch_size", .type = RATOON__PARAM_INT, .power_of_two = true};
    const ratoon__adjust halve = {.op = RATOON__ADJUST_HALVE, .has_min = true, .min = 1};
    ck_assert_str_eq(adjusted(&def, &halve, "8", true), "4");
    ck_assert_str_eq(adjusted(&def, &halve, "2", true), "1");
    ck_assert_str_eq(adjusted(&def, &halve, "1", false), "1");
    const ratoon__adjust odd = {.op = RATOON__ADJUST_HALVE, .has_min = true, .min = 3};
    ck_assert_str_eq(adjusted(&def, &odd, "4", false), "4"); /* 3 is no power of two */
    const ratoon__adjust twice = {.op = RATOON__ADJUST_DOUBLE, .has_max = true, .max = 16};
    ck_assert_str_eq(adjusted(&def, &twice, "8", true), "16");
    ck_assert_str_eq(adjusted(&def, &twice, "16", false), "16");
    ratoon__arena_free(&arena);
}
END_TEST

START_TEST(test_A02_adjusters_of_other_types)
{
    const ratoon__param_def number = {
        .name = "x", .type = RATOON__PARAM_NUMBER, .has_min = true, .min = 0.1};
    const ratoon__adjust halve = {.op = RATOON__ADJUST_HALVE};
    const ratoon__adjust add = {.op = RATOON__ADJUST_ADD, .by = -0.25};
    ck_assert_str_eq(adjusted(&number, &halve, "2.5", true), "1.25");
    ck_assert_str_eq(adjusted(&number, &halve, "0.1", false), "0.1");
    ck_assert_str_eq(adjusted(&number, &add, "1", true), "0.75");
    const ratoon__param_def mode = {.name = "mode", .type = RATOON__PARAM_STRING};
    const ratoon__adjust set = {.op = RATOON__ADJUST_SET, .value_text = "slow"};
    ck_assert_str_eq(adjusted(&mode, &set, "fast", true), "slow");
    ck_assert_str_eq(adjusted(&mode, &set, "slow", false), "slow");
    ck_assert_str_eq(adjusted(&mode, &halve, "fast", false), "fast");
    ratoon__arena_free(&arena);
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("pipeline");
    TCase *graph = tcase_create("graph");
    tcase_add_test(graph, test_pipeline_order_is_topological_with_ties_in_file_order);
    tcase_add_test(graph, test_pipeline_cycle_is_named);
    tcase_add_test(graph, test_pipeline_refuses_bad_names_and_needs);
    tcase_add_test(graph, test_S06_names_and_counts_have_limits);
    tcase_add_test(graph, test_R11_validator_depends_on_what_it_validates);
    tcase_add_test(graph, test_pipeline_of_full_size_is_ordered);
    tcase_add_test(graph, test_pipeline_of_full_size_finds_each_stage);
    tcase_add_test(graph, test_S04_producers_of_a_key_are_found_in_file_order);
    suite_add_tcase(all, graph);
    TCase *params = tcase_create("parameters");
    tcase_add_test(params, test_R12_whole_numbers);
    tcase_add_test(params, test_R12_bounds_and_powers_of_two);
    tcase_add_test(params, test_R12_numbers_have_one_text);
    tcase_add_test(params, test_R12_booleans_and_choices);
    tcase_add_test(params, test_E08_error_does_not_tell_a_secret);
    tcase_add_test(params, test_S06_string_parameter_has_a_limit);
    tcase_add_test(params, test_A02_adjusters_stop_at_their_bound);
    tcase_add_test(params, test_A02_adjusters_of_other_types);
    suite_add_tcase(all, params);
    return all;
}

RATOON_TEST_MAIN(suite)
