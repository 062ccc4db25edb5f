/* Pipeline files: what they mean, where and how their mistakes are told, and that the canonical
 * form says the same. */
#include "log/digest.h"
#include "log/pipeline_file.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ratoon_pipeline *parse(const char *text)
{
    ratoon_pipeline *p = NULL;
    ratoon_error error;
    memset(&error, 0, sizeof error);
    const ratoon_status status =
        ratoon_pipeline_parse("p.yaml", text, strlen(text), "/base", &p, &error);
    ck_assert_msg(status == RATOON_OK, "%s", error.message);
    return p;
}

static void refused(const char *text, ratoon_status code, uint32_t line, uint32_t column,
                    const char *says)
{
    ratoon_pipeline *p = NULL;
    ratoon_error error;
    char position[64];
    const ratoon_status status =
        ratoon_pipeline_parse("p.yaml", text, strlen(text), NULL, &p, &error);
    ck_assert_msg(status == code, "%s\n%s: %s", text, ratoon_status_name(status),
                  status != RATOON_OK ? error.message : "");
    ck_assert_ptr_null(p);
    ck_assert_int_eq(error.code, code);
    ck_assert_msg(error.line == line && error.column == column, "%s\nat %u:%u: %s", text,
                  error.line, error.column, error.message);
    (void)snprintf(position, sizeof position, "p.yaml:%u:%u: ", line, column);
    ck_assert_msg(strncmp(error.message, position, strlen(position)) == 0, "%s", error.message);
    ck_assert_msg(strstr(error.message, says) != NULL, "%s\n%s\nlacks %s", text, error.message,
                  says);
}

/* ---- what a file means ---- */

static const char full[] =
    "pipeline: compile            # name\n"
    "version: 3\n"
    "params:\n"
    "  threshold:  {type: int, default: 2, min: 1, max: 100}\n"
    "  batch_size: {type: int, default: 8, min: 1, max: 512, power_of_two: true}\n"
    "  mode:       {type: string, default: fast, choices: [fast, full]}\n"
    "  ratio:      {type: number, default: 0.50}\n"
    "  quick:      {type: bool}\n"
    "  api_key:    {type: string, secret: true}\n"
    "policy:\n"
    "  scope: \"compile ${mode}\"\n"
    "  max_depth: 5\n"
    "  max_active_branches: 2\n"
    "  resume_on_failure: true\n"
    "  cascade: auto\n"
    "  auto_retry: {enabled: true, attempts: 4}\n"
    "  timeout: 2h\n"
    "stages:\n"
    "  - name: ingest\n"
    "    run: [\"./ingest.sh\", --fast, 3]\n"
    "    setup: true\n"
    "    produces: [sources]\n"
    "  - name: extract\n"
    "    needs: [ingest]\n"
    "    foreach: sources\n"
    "    jobs: 4\n"
    "    run: ./extract.sh | sort\n"
    "    shell: true\n"
    "    requires: [sources]\n"
    "    produces: [extractions]\n"
    "    timeout: 30m\n"
    "    heartbeat: 60s\n"
    "    grace: 500ms\n"
    "    retry: {attempts: 3, initial: 2, factor: 1.5, max: 90s, jitter: 0.1, classes: [OOM]}\n"
    "    adjust:\n"
    "      OOM: {batch_size: {op: halve, min: 1}, mode: {op: set, value: full}}\n"
    "      TIMEOUT: {threshold: {op: add, by: -1, max: 9}}\n"
    "    errors:\n"
    "      - {match: \"quota exceeded\", class: TRANSIENT}\n"
    "      - {exit: 3, class: VALIDATION}\n"
    "      - {signal: SIGTERM, match: x, class: CANCELLED}\n"
    "  - name: review\n"
    "    validates: extract\n"
    "    run: [./review.sh]\n"
    "  - name: publish\n"
    "    needs: [review, ingest]\n"
    "    commits: true\n"
    "    run: [./publish.sh]\n"
    "    allow_failure: true\n"
    "    env: {LANG: C, A: 1, EMPTY: , B: \"x=y\"}\n"
    "    cwd: work\n"
    "  - {name: alone, needs: [], run: [x]}\n"
    "on_end: [notify, done]\n";

START_TEST(test_full_file_pipeline)
{
    ratoon_pipeline *p = parse(full);
    uint32_t attempts = 0;
    size_t count = 0;
    ck_assert_str_eq(ratoon_pipeline_name(p), "compile");
    ck_assert_uint_eq(ratoon_pipeline_version(p), 3);
    ck_assert_str_eq(p->base_dir, "/base");
    ck_assert_str_eq(p->scope, "compile ${mode}");
    ck_assert_uint_eq(p->max_depth, 5);
    ck_assert_uint_eq(p->max_active_branches, 2);
    ck_assert(ratoon_pipeline_resume_on_failure(p));
    ck_assert_int_eq(p->cascade, RATOON__CASCADE_AUTO);
    ck_assert(ratoon_pipeline_auto_retry(p, &attempts));
    ck_assert_uint_eq(attempts, 4);
    ck_assert_uint_eq(ratoon_pipeline_timeout_ms(p), 7200000);
    ck_assert_str_eq(ratoon_pipeline_on_end(p, &count)[1], "done");
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(ratoon_pipeline_stage_count(p), 5);
    ratoon_pipeline_free(p);
}
END_TEST

START_TEST(test_full_file_params)
{
    ratoon_pipeline *p = parse(full);
    static const char *const names[] = {"api_key", "batch_size", "mode",
                                        "quick",   "ratio",      "threshold"};
    ck_assert_uint_eq(p->params_count, 6);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_str_eq(p->params[i].name, names[i]);
    }
    ck_assert(p->params[0].secret);
    ck_assert(p->params[1].power_of_two);
    ck_assert_double_eq(p->params[1].max, 512);
    ck_assert_uint_eq(p->params[2].choices_count, 2);
    ck_assert_ptr_null(p->params[3].default_text);
    ck_assert_str_eq(p->params[4].default_text, "0.5");
    ck_assert_str_eq(p->params[5].default_text, "2");
    ratoon_pipeline_free(p);
}
END_TEST

static void check_rules(const ratoon_stage_def *s)
{
    ck_assert_uint_eq(s->errors_count, 3);
    ck_assert_str_eq(s->errors[0].match, "quota exceeded");
    ck_assert_int_eq(s->errors[0].exit_code, -1);
    ck_assert_int_eq(s->errors[1].exit_code, 3);
    ck_assert_int_eq(s->errors[1].error_class, RATOON_CLASS_VALIDATION);
    ck_assert_int_eq(s->errors[2].signal, 15);
}

static void check_adjusts(const ratoon_pipeline *p)
{
    const ratoon__stage_def *s = &p->stages[1];
    ck_assert_uint_eq(s->adjusts_count, 3);
    ck_assert_int_eq(s->adjusts[0].error_class, RATOON_CLASS_OOM);
    ck_assert_uint_eq(s->adjusts[0].param, 1);
    ck_assert_int_eq(s->adjusts[0].op, RATOON__ADJUST_HALVE);
    ck_assert(s->adjusts[0].has_min && !s->adjusts[0].has_max);
    ck_assert_str_eq(s->adjusts[1].value_text, "full");
    ck_assert_int_eq(s->adjusts[2].error_class, RATOON_CLASS_TIMEOUT);
    ck_assert_double_eq(s->adjusts[2].by, -1);
    ck_assert_double_eq(s->adjusts[2].max, 9);
}

START_TEST(test_full_file_stages)
{
    ratoon_pipeline *p = parse(full);
    const ratoon_stage_def *s = ratoon_pipeline_stage(p, 0);
    ck_assert(s->setup && !s->shell && s->needs_count == 0 && s->jobs == 1 && s->validates == -1);
    ck_assert_uint_eq(s->argv_count, 3);
    ck_assert_str_eq(s->argv[2], "3");
    ck_assert_uint_eq(s->retry.attempts, 1);
    ck_assert_uint_eq(s->grace_ms, 10000);
    s = ratoon_pipeline_stage(p, 1);
    ck_assert(s->shell && s->argv_count == 1);
    ck_assert_str_eq(s->argv[0], "./extract.sh | sort");
    ck_assert_str_eq(s->foreach_key, "sources");
    ck_assert_uint_eq(s->timeout_ms, 1800000);
    ck_assert_uint_eq(s->heartbeat_ms, 60000);
    ck_assert_uint_eq(s->grace_ms, 500);
    ck_assert_uint_eq(s->retry.attempts, 3);
    ck_assert_uint_eq(s->retry.initial_ms, 2000);
    ck_assert_double_eq(s->retry.factor, 1.5);
    ck_assert_uint_eq(s->retry.max_ms, 90000);
    ck_assert_uint_eq(s->retry.classes, 1u << RATOON_CLASS_OOM);
    check_rules(s);
    check_adjusts(p);
    s = ratoon_pipeline_stage(p, 2);
    ck_assert_int_eq(s->validates, 1);
    ck_assert(s->needs_count == 1 && s->needs[0] == 1);
    s = ratoon_pipeline_stage(p, 3);
    ck_assert(s->needs_count == 2 && s->needs[0] == 0 && s->needs[1] == 2);
    ck_assert(s->commits && s->allow_failure);
    ck_assert_uint_eq(s->env_count, 4);
    ck_assert_str_eq(s->env[2].name, "EMPTY");
    ck_assert_str_eq(s->env[2].value, "");
    ck_assert_str_eq(s->cwd, "work");
    ck_assert_uint_eq(ratoon_pipeline_stage(p, 4)->needs_count, 0);
    ratoon_pipeline_free(p);
}
END_TEST

START_TEST(test_durations)
{
    static const struct {
        const char *text;
        uint64_t ms;
        const char *canonical;
    } good[] = {{"500ms", 500, "500ms"}, {"1s", 1000, "1s"},         {"30m", 1800000, "30m"},
                {"2h", 7200000, "2h"},   {"90d", 7776000000, "90d"}, {"15", 15000, "15s"},
                {"0", 0, "0s"},          {"1.5h", 5400000, "90m"},   {"0.1", 100, "100ms"},
                {"90s", 90000, "90s"},   {"24h", 86400000, "1d"}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t ms = 1;
        char text[RATOON__DURATION_TEXT];
        ck_assert_msg(ratoon__duration_parse(good[i].text, &ms), "%s", good[i].text);
        ck_assert_uint_eq(ms, good[i].ms);
        ratoon__duration_format(ms, text);
        ck_assert_str_eq(text, good[i].canonical);
    }
    static const char *const bad[] = {"",      "s",    "-1s",    "1w",   "1 s", "1e3",  "1s1",
                                      "0.5ms", "1..5", "40000d", "infs", "1S",  "0x10", "."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ms = 1;
        ck_assert_msg(!ratoon__duration_parse(bad[i], &ms), "%s", bad[i]);
    }
}
END_TEST

/* ---- mistakes ---- */

#define STAGE(text) "pipeline: p\nstages:\n  - name: a\n    run: [x]\n    " text "\n"
#define PARAM(text) "pipeline: p\nparams:\n  a: " text "\nstages: [{name: s, run: [x]}]\n"
#define POLICY(text)                                                                               \
    "pipeline: p\npolicy:\n  " text "\nparams:\n  a: {type: int}\n  s: {type: int, secret: true}"  \
    "\nstages: [{name: s, run: [x]}]\n"
#define ADJUST(text)                                                                               \
    "pipeline: p\nparams: {n: {type: int, max: 9}, s: {type: string}, k: {type: int, secret: "     \
    "true}}\nstages:\n- {name: a, run: [x], adjust: " text "}\n"

typedef struct mistake {
    const char *text;
    uint32_t line, column;
    const char *says;
} mistake;

static void check_mistakes(const mistake *mistakes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        refused(mistakes[i].text, RATOON_ERR_PIPELINE_INVALID, mistakes[i].line, mistakes[i].column,
                mistakes[i].says);
    }
}
#define CHECK_MISTAKES(list) check_mistakes(list, sizeof list / sizeof list[0])

START_TEST(test_mistakes_of_yaml)
{
    static const mistake mistakes[] = {
        {"", 1, 1, "found nothing"},
        {"# only a comment\n", 1, 1, "found nothing"},
        {"pipeline: p\npipeline: q\n", 2, 1, "the key \"pipeline\" a second time"},
        {"pipeline: &a p\n", 1, 11, "an anchor"},
        {"pipeline: p\nversion: *a\n", 2, 10, "an alias"},
        {"pipeline: !!str p\n", 1, 11, "a tag"},
        {"pipeline: p\nstages: [{name: a, run: [x]}]\n---\npipeline: q\n", 3, 1,
         "a second document"},
        {"pipeline: [a\n", 2, 1, "expected well-formed YAML"},
        {"pipeline: p\n\tversion: 1\n", 2, 1, "expected well-formed YAML"},
        {"pipeline: p\xff\n", 1, 12, "no UTF-8"},
        {"a: b\npipeline: \xc3\xa4\xc3(\n", 2, 12, "no UTF-8"},
        {"pipeline: a\x01\n", 1, 12, "control character"},
        {"pipeline: \"a\\0b\"\n", 1, 11, "zero byte"},
        {"[a]: b\n", 1, 1, "a list as a key"},
        {"? {a: b}\n: c\n", 1, 3, "a mapping as a key"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 1, 33, "32 levels"},
    };
    CHECK_MISTAKES(mistakes);
}
END_TEST

START_TEST(test_mistakes_of_the_top)
{
    static const mistake mistakes[] = {
        {"- a\n", 1, 1, "found a list, expected a pipeline as a mapping"},
        {"hello\n", 1, 1, "found \"hello\""},
        {"pipeline: p\n", 1, 1, "without \"stages\""},
        {"stages: []\n", 1, 1, "without \"pipeline\""},
        {"pipeline: p\nstagse: []\n", 2, 1,
         "unknown key \"stagse\", expected for a pipeline one of: pipeline, version, params"},
        {"pipeline:\nstages: []\n", 1, 10, "found nothing, expected text for \"pipeline\""},
        {"pipeline: \"\"\nstages: []\n", 1, 11, "expected text for \"pipeline\""},
        {"pipeline: [p]\nstages: []\n", 1, 11, "found a list"},
        {"pipeline: \"a\\tb\"\nstages: []\n", 1, 11, "control character"},
        {"pipeline: p\nversion: 1.5\nstages: []\n", 2, 10, "expected a whole number"},
        {"pipeline: p\nversion: \"1\"\nstages: []\n", 2, 10, "expected a whole number"},
        {"pipeline: p\nversion: -1\nstages: []\n", 2, 10, "from 0 to"},
        {"pipeline: p\nstages: []\n", 2, 9, "found an empty list"},
        {"pipeline: p\nstages: {}\n", 2, 9, "found a mapping, expected a list of stages"},
        {"pipeline: p\nstages: [a]\n", 2, 10, "expected a stage as a mapping"},
        {"pipeline: p\nstages: [{name: a, run: [x]}]\non_end: x\n", 3, 9, "expected a list"},
        {"pipeline: p\nstages: [{name: a, run: [x]}]\non_end: []\n", 3, 9, "an empty list"},
    };
    CHECK_MISTAKES(mistakes);
}
END_TEST

START_TEST(test_mistakes_of_stages)
{
    static const mistake mistakes[] = {
        {STAGE("timout: 3"), 5, 5, "unknown key \"timout\""},
        {STAGE("timeout: soon"), 5, 14, "found \"soon\", expected a duration for \"timeout\""},
        {STAGE("timeout: [1]"), 5, 14, "found a list"},
        {STAGE("setup: yes"), 5, 12, "found \"yes\", expected true or false"},
        {STAGE("setup: \"true\""), 5, 12, "expected true or false"},
        {STAGE("jobs: 0"), 5, 11, "from 1 to 65535"},
        {STAGE("jobs: 99999999999999999999"), 5, 11, "from 1 to 65535"},
        {STAGE("needs: b"), 5, 12, "found \"b\", expected a list of stages"},
        {STAGE("needs: [b]"), 5, 13, "found \"b\", expected the name of a stage"},
        {STAGE("needs: [a]"), 3, 5, "needs itself"},
        {STAGE("validates: b"), 5, 16, "expected the name of a stage"},
        {STAGE("produces: x"), 5, 15, "expected a list of state keys"},
        {STAGE("produces: [x, x]"), 5, 19, "\"x\" a second time"},
        {STAGE("requires: [{a: b}]"), 5, 16, "found a mapping"},
        {STAGE("foreach: [x]"), 5, 14, "found a list"},
        {STAGE("env: [A]"), 5, 10, "expected a mapping of environment variables"},
        {STAGE("env: {A: [b]}"), 5, 14, "found a list"},
        {STAGE("env: {\"A=B\": c}"), 5, 11, "without \"=\""},
        {STAGE("cwd:"), 5, 9, "found nothing"},
        {"pipeline: p\nstages: [{name: a/b, run: [x]}]\n", 2, 17, "without \"/\""},
        {"pipeline: p\nstages: [{name: \"a:b\", run: [x]}]\n", 2, 17, "\":\""},
        {"pipeline: p\nstages: [{name: .., run: [x]}]\n", 2, 17, "\"..\""},
        {"pipeline: p\nstages: [{name: -a, run: [x]}]\n", 2, 17, "beginning with \"-\""},
        {"pipeline: p\nstages: [{name: a}]\n", 2, 10, "a stage without \"run\""},
        {"pipeline: p\nstages: [{run: [x]}]\n", 2, 10, "a stage without \"name\""},
        {"pipeline: p\nstages: [{name: a, run: x}]\n", 2, 25, "shell: true"},
        {"pipeline: p\nstages: [{name: a, run: []}]\n", 2, 25, "an empty list"},
        {"pipeline: p\nstages: [{name: a, run: [\"\"]}]\n", 2, 26, "expected the name or path"},
        {"pipeline: p\nstages: [{name: a, run: [x, [y]]}]\n", 2, 29, "found a list"},
        {"pipeline: p\nstages: [{name: a, run: [x], shell: true}]\n", 2, 25, "found a list"},
        {"pipeline: p\nstages:\n- {name: a, run: [x]}\n- {name: a, run: [x]}\n", 4, 3, "'a'"},
        {"pipeline: p\nstages:\n- {name: a, needs: [b], run: [x]}\n- {name: b, run: [x]}\n", 3, 3,
         "circle"},
    };
    CHECK_MISTAKES(mistakes);
}
END_TEST

START_TEST(test_mistakes_of_retry_and_rules)
{
    static const mistake mistakes[] = {
        {STAGE("retry: 3"), 5, 12, "found \"3\", expected retry as a mapping"},
        {STAGE("retry: {attempts: 0}"), 5, 23, "from 1 to 1000"},
        {STAGE("retry: {jitter: 2}"), 5, 21, "from 0 to 1"},
        {STAGE("retry: {factor: .5}"), 5, 21, "a number"},
        {STAGE("retry: {initial: 2m, max: 1m}"), 5, 12, "below the \"initial\""},
        {STAGE("retry: {classes: [OOPS]}"), 5, 23, "found \"OOPS\", expected one of the error "},
        {STAGE("retry: {classes: []}"), 5, 22, "an empty list"},
        {STAGE("errors: {exit: 3}"), 5, 13, "expected a list of rules"},
        {STAGE("errors: [{class: OOM}]"), 5, 14, "without a condition"},
        {STAGE("errors: [{exit: 3}]"), 5, 14, "a rule without \"class\""},
        {STAGE("errors: [{exit: 0, class: OOM}]"), 5, 21, "from 1 to 255"},
        {STAGE("errors: [{signal: SIGFOO, class: OOM}]"), 5, 23, "expected a signal"},
        {STAGE("errors: [{exit: 1, signal: 9, class: OOM}]"), 5, 14, "in one rule"},
        {STAGE("errors: [{match: \"a(b\", class: OOM}]"), 5, 22, "at its byte 4"},
        {STAGE("errors: [{match: \"\", class: OOM}]"), 5, 22, "expected text for \"match\""},
        {ADJUST("{OOPS: {n: {op: halve}}}"), 4, 32, "error classes"},
        {ADJUST("{OOM: [n]}"), 4, 37, "found a list"},
        {ADJUST("{OOM: {x: {op: halve}}}"), 4, 38, "expected the name of a parameter"},
        {ADJUST("{OOM: {k: {op: halve}}}"), 4, 38, "not secret"},
        {ADJUST("{OOM: {n: {op: third}}}"), 4, 46, "halve, double, add, set"},
        {ADJUST("{OOM: {n: {min: 1}}}"), 4, 41, "without \"op\""},
        {ADJUST("{OOM: {s: {op: halve}}}"), 4, 46, "it is no number"},
        {ADJUST("{OOM: {n: {op: add}}}"), 4, 46, "add without \"by\""},
        {ADJUST("{OOM: {n: {op: set}}}"), 4, 46, "set without \"value\""},
        {ADJUST("{OOM: {n: {op: set, value: 10}}}"), 4, 58, "at most 9"},
        {ADJUST("{OOM: {n: {op: halve, by: 2}}}"), 4, 57, "for add only"},
        {ADJUST("{OOM: {n: {op: halve, min: 3, max: 2}}}"), 4, 66, "below \"min\""},
    };
    CHECK_MISTAKES(mistakes);
}
END_TEST

START_TEST(test_R12_mistakes_of_params)
{
    static const mistake mistakes[] = {
        {PARAM("3"), 3, 6, "expected a parameter as a mapping"},
        {PARAM("{default: 3}"), 3, 6, "a parameter without \"type\""},
        {PARAM("{type: float}"), 3, 13, "string, int, number, bool"},
        {PARAM("{type: int, default: x}"), 3, 27, "a whole number"},
        {PARAM("{type: int, default: 3, max: 2}"), 3, 27, "at most 2"},
        {PARAM("{type: int, min: 3, max: 2}"), 3, 31, "below \"min\""},
        {PARAM("{type: int, min: 0.5}"), 3, 23, "expected a whole number"},
        {PARAM("{type: int, power_of_two: true, default: 6}"), 3, 47, "a power of two"},
        {PARAM("{type: number, power_of_two: true}"), 3, 13, "the type int"},
        {PARAM("{type: string, min: 1}"), 3, 26, "for int and number only"},
        {PARAM("{type: string, choices: []}"), 3, 30, "an empty list"},
        {PARAM("{type: bool, choices: [true]}"), 3, 28, "not for bool"},
        {PARAM("{type: int, choices: [1, x]}"), 3, 31, "a whole number"},
        {PARAM("{type: string, choices: [b], default: a}"), 3, 44, "'b'"},
        {PARAM("{type: string, secret: true, default: a}"), 3, 44, "a default of the secret"},
        {PARAM("{type: bool, default: yes}"), 3, 28, "true or false"},
        {PARAM("{type: string}\n  A: {type: string}"), 4, 3, "differ in capitals"},
        {PARAM("{type: string}\n  b-c: {type: string}"), 4, 3, "letters, digits and _"},
        {PARAM("{type: string}\n  1b: {type: string}"), 4, 3, "letters, digits and _"},
        {POLICY("scope: \"x ${b}\""), 3, 10, "the name of a parameter"},
        {POLICY("scope: \"x ${s}\""), 3, 10, "not secret"},
        {POLICY("scope: \"x ${a\""), 3, 10, "without \"}\""},
        {POLICY("max_depth: 65"), 3, 14, "from 1 to 64"},
        {POLICY("cascade: maybe"), 3, 12, "none or auto"},
        {POLICY("auto_retry: true"), 3, 15, "expected auto_retry as a mapping"},
        {POLICY("max_dept: 3"), 3, 3, "unknown key"},
    };
    CHECK_MISTAKES(mistakes);
}
END_TEST

START_TEST(test_hint_names_the_key_that_was_meant)
{
    static const char *const texts[][2] = {
        {STAGE("timout: 3"), "did you mean \"timeout\"?"},
        {STAGE("alow_failure: true"), "did you mean \"allow_failure\"?"},
        {"pipeline: p\nstagse: []\n", "did you mean \"stages\"?"},
        {STAGE("colour: red"), ""},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ratoon_pipeline *p = NULL;
        ratoon_error error;
        ck_assert_int_eq(
            ratoon_pipeline_parse("p", texts[i][0], strlen(texts[i][0]), NULL, &p, &error),
            RATOON_ERR_PIPELINE_INVALID);
        ck_assert_str_eq(error.hint, texts[i][1]);
    }
}
END_TEST

START_TEST(test_S06_limits_of_files)
{
    char name[300], text[400];
    memset(name, 'n', sizeof name);
    name[RATOON_NAME_MAX + 1] = '\0';
    (void)snprintf(text, sizeof text, "pipeline: %s\nstages: [{name: a, run: [x]}]\n", name);
    refused(text, RATOON_ERR_LIMIT_EXCEEDED, 1, 11, "found 256 bytes, expected at most 255");
    name[RATOON_NAME_MAX] = '\0';
    (void)snprintf(text, sizeof text, "pipeline: %s\nstages: [{name: a, run: [x]}]\n", name);
    ratoon_pipeline_free(parse(text));

    ratoon__buf b = {0};
    ratoon__buf_str(&b, "pipeline: p\nstages:\n");
    for (uint32_t i = 0; i < RATOON_STAGES_MAX; i++) {
        ratoon__buf_format(&b, "- {name: s%u, run: [x]}\n", i);
    }
    ratoon_pipeline *p = parse(b.data);
    ck_assert_uint_eq(ratoon_pipeline_stage_count(p), RATOON_STAGES_MAX);
    ratoon_pipeline_free(p);
    ratoon__buf_str(&b, "- {name: more, run: [x]}\n");
    refused(b.data, RATOON_ERR_LIMIT_EXCEEDED, 3, 1, "found 4097 stages, expected at most 4096");
    ratoon__buf_free(&b);

    char *big = malloc(RATOON__PIPELINE_FILE_MAX + 1);
    ratoon_error error;
    memset(big, '#', RATOON__PIPELINE_FILE_MAX + 1);
    ck_assert_int_eq(
        ratoon_pipeline_parse("p", big, RATOON__PIPELINE_FILE_MAX + 1, NULL, &p, &error),
        RATOON_ERR_PIPELINE_INVALID);
    ck_assert_ptr_nonnull(strstr(error.message, "1048576"));
    free(big);
}
END_TEST

/* ---- canonical form ---- */

static void check_canonical(const char *text)
{
    ratoon_pipeline *p = parse(text), *again = NULL, *stored = NULL;
    size_t size = 0;
    ratoon_error error;
    const char *canonical = ratoon_pipeline_canonical(p, &size);
    const ratoon_digest digest = ratoon_pipeline_digest(p);
    ratoon_digest expected;
    ck_assert_uint_eq(size, strlen(canonical));
    ck_assert_int_eq(ratoon__sha256(canonical, size, &expected), RATOON_OK);
    ck_assert(ratoon__digest_equal(&expected, &digest));
    ck_assert_msg(ratoon_pipeline_parse("c", canonical, size, NULL, &again, &error) == RATOON_OK,
                  "%s", error.message);
    ck_assert_str_eq(ratoon_pipeline_canonical(again, NULL), canonical);
    ck_assert_int_eq(
        ratoon__pipeline_parse_canonical(canonical, size, "/b", &digest, &stored, &error),
        RATOON_OK);
    ck_assert_str_eq(ratoon_pipeline_canonical(stored, NULL), canonical);
    ck_assert_uint_eq(stored->params_count, p->params_count);
    for (size_t i = 0; i < p->params_count; i++) {
        ck_assert_str_eq(stored->params[i].name, p->params[i].name);
    }
    ratoon_pipeline_free(stored);
    ratoon_pipeline_free(again);
    ratoon_pipeline_free(p);
}

START_TEST(test_canonical_form_reads_as_itself)
{
    check_canonical(full);
    check_canonical("pipeline: p\nstages: [{name: a, run: [x]}]\n");
    check_canonical(
        "pipeline: \"\\u00e4 \\U0001F600 \\\"q\\\" \\\\ /\"\nstages: [{name: a, run: "
        "[\"\\u2028\\u0085\\u007f\\ufeff\\ufffe\\t\\n\", \"\", \" x \", \"- a: #b\"]}]");
    check_canonical("pipeline: p\nparams: {n: {type: number, min: 0.1, max: 123456.789012345}}\n"
                    "stages: [{name: a, run: [x], retry: {factor: 1.1, jitter: 0.3333}}]\n");
    check_canonical("pipeline: p\nstages: [{name: a, run: \"a\\nb  c\", shell: true}]\n");
}
END_TEST

START_TEST(test_canonical_form_ignores_how_it_is_written)
{
    ratoon_pipeline *a = parse("pipeline: p\nstages:\n  - name: a\n    run: [x]\n    timeout: 60s\n"
                               "  - {run: [y], name: b}\n");
    ratoon_pipeline *b = parse("{stages: [{name: a, run: ['x'], jobs: 1, timeout: 1m, retry: {}}, "
                               "{name: b, needs: [a], run: [\"y\"]}], version: 1, pipeline: p}");
    ck_assert_str_eq(ratoon_pipeline_canonical(a, NULL), ratoon_pipeline_canonical(b, NULL));
    ratoon_pipeline_free(a);
    ratoon_pipeline_free(b);
}
END_TEST

START_TEST(test_stored_form_that_was_changed_is_damaged)
{
    ratoon_pipeline *p = parse(full), *out = NULL;
    ratoon_digest digest = ratoon_pipeline_digest(p);
    size_t size = 0;
    const char *canonical = ratoon_pipeline_canonical(p, &size);
    digest.bytes[0] ^= 1;
    ck_assert_int_eq(ratoon__pipeline_parse_canonical(canonical, size, NULL, &digest, &out, NULL),
                     RATOON_ERR_DAMAGED);
    ck_assert_ptr_null(out);
    ratoon_pipeline_free(p);
}
END_TEST

/* ---- differences ---- */

static void check_diff(const char *from, const char *to, const char *lines)
{
    ratoon_pipeline *a = parse(from), *b = parse(to);
    ratoon_buffer got = {0};
    ck_assert_int_eq(ratoon_pipeline_diff(a, b, &got, NULL), RATOON_OK);
    ck_assert_str_eq(got.data, lines);
    ck_assert_uint_eq(got.size, strlen(lines));
    ratoon_buffer_free(&got);
    ratoon_pipeline_free(a);
    ratoon_pipeline_free(b);
}

START_TEST(test_R16_differences_in_lines)
{
    check_diff(full, full, "");
    check_diff("pipeline: p\nstages:\n- {name: plan, run: [./plan.sh]}\n- {name: old, run: [x]}\n",
               "pipeline: p\nversion: 2\nparams: {n: {type: int}}\nstages:\n"
               "- {name: plan, run: [./plan2.sh], timeout: 5s}\n- {name: review, run: [x]}\n",
               "params.n: added\n"
               "stages.old: removed\n"
               "stages.plan.run: [\"./plan.sh\"] -> [\"./plan2.sh\"]\n"
               "stages.plan.timeout: none -> \"5s\"\n"
               "stages.review: added\n"
               "version: 1 -> 2");
    check_diff(
        "pipeline: p\nstages: [{name: a, run: [x], needs: []}, {name: b, run: [x], needs: []}]",
        "pipeline: p\nstages: [{name: b, run: [x], needs: []}, {name: a, run: [x], needs: []}]",
        "order of stages: [\"a\",\"b\"] -> [\"b\",\"a\"]");
}
END_TEST

static Suite *pipeline_file_suite(void)
{
    Suite *s = suite_create("pipeline_file");
    TCase *t = tcase_create("meaning");
    tcase_add_test(t, test_full_file_pipeline);
    tcase_add_test(t, test_full_file_params);
    tcase_add_test(t, test_full_file_stages);
    tcase_add_test(t, test_durations);
    suite_add_tcase(s, t);
    t = tcase_create("mistakes");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_mistakes_of_yaml);
    tcase_add_test(t, test_mistakes_of_the_top);
    tcase_add_test(t, test_mistakes_of_stages);
    tcase_add_test(t, test_mistakes_of_retry_and_rules);
    tcase_add_test(t, test_R12_mistakes_of_params);
    tcase_add_test(t, test_hint_names_the_key_that_was_meant);
    tcase_add_test(t, test_S06_limits_of_files);
    suite_add_tcase(s, t);
    t = tcase_create("canonical form");
    tcase_add_test(t, test_canonical_form_reads_as_itself);
    tcase_add_test(t, test_canonical_form_ignores_how_it_is_written);
    tcase_add_test(t, test_stored_form_that_was_changed_is_damaged);
    tcase_add_test(t, test_R16_differences_in_lines);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(pipeline_file_suite)
