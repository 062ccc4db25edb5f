/* Verification of names that are unique across lineages: each row of them that is missing, forged
 * or left over is found, and says whose it is. */
#include "log/driver.h"
#include "log/store.h"
#include "tests/support/support.h"

#include <jansson.h>
#include <ratoon.h>
#include <stdio.h>
#include <string.h>

static const char text_of_pipeline[] = "pipeline: one\n"
                                       "policy: {scope: doc}\n"
                                       "stages:\n"
                                       "  - {name: only, run: [\"true\"]}\n";

static char *folder;
static char path[4096];
static ratoon_id active,
    ended; /* the first holds key "first" and the scope, the other key "second" */

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static ratoon_store *open_store(void)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *s = NULL;
    ratoon_error error = {0};
    options.no_serve = true;
    options.durability = RATOON_DURABILITY_NONE;
    must(ratoon_store_open(path, &options, &s, &error), &error);
    return s;
}

static ratoon_id run_new(ratoon_store *s, const ratoon_pipeline *p, const char *key)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error = {0};
    options.pipeline = p;
    options.no_exec = true;
    options.key = key;
    must(ratoon_run_create(s, &options, &created, &error), &error);
    return created.run;
}

static void setup(void)
{
    ratoon_pipeline *p = NULL;
    ratoon_run_status status;
    ratoon_error error = {0};
    folder = support_temp_dir("verify_claims");
    snprintf(path, sizeof path, "%s/store", folder);
    must(ratoon_store_create(path, NULL, &error), &error);
    must(ratoon_pipeline_parse("one", text_of_pipeline, sizeof text_of_pipeline - 1, NULL, &p,
                               &error),
         &error);
    ratoon_store *s = open_store();
    ended = run_new(s, p, "second");
    must(ratoon_run_cancel(s, ended, NULL, &status, &error), &error); /* gives the scope back */
    active = run_new(s, p, "first");
    ratoon_store_close(s);
    ratoon_pipeline_free(p);
}

static void teardown(void)
{
    support_temp_dir_free(folder);
}

/* Puts (take) or removes a row behind the store's back; name: with its kind. */
static void forge(const char *name, ratoon_id holder, bool take)
{
    static const ratoon__driver_options options = {.durability = RATOON_DURABILITY_NONE,
                                                   .value_max = RATOON_VALUE_MAX_DEFAULT};
    const ratoon__claim claim = {.name = name, .run = holder, .take = take};
    ratoon__driver *d = NULL;
    ratoon_error error = {0};
    must(ratoon__rocksdb_open(path, &options, &d, &error), &error);
    must(ratoon__rocksdb_put_derived(d, NULL, 0, &claim, 1, 0, &error), &error);
    d->ops->close(d);
}

static json_t *problems_found(void)
{
    ratoon_store *s = open_store();
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t count = 0;
    must(ratoon_verify(s, (ratoon_id){{0}}, &json, &count, &error), &error);
    ratoon_store_close(s);
    json_t *report = json_loadb(json.data, json.size, 0, NULL);
    json_t *problems = json_incref(json_object_get(report, "problems"));
    ck_assert_uint_eq(json_array_size(problems), count);
    json_decref(report);
    ratoon_buffer_free(&json);
    return problems;
}

/* That many problems, the first of which names the run and the name. */
static void check_found(size_t count, ratoon_id run, const char *name)
{
    char id[RATOON_ID_TEXT];
    json_t *problems = problems_found();
    char *text = json_dumps(problems, 0);
    ratoon_id_format(run, id);
    ck_assert_msg(json_array_size(problems) == count, "%s", text);
    const json_t *first = json_array_get(problems, 0);
    ck_assert_str_eq(json_string_value(json_object_get(first, "kind")), "derived");
    const char *message = json_string_value(json_object_get(first, "message"));
    ck_assert_msg(strstr(message, id) != NULL && strstr(message, name) != NULL, "%s", text);
    const bool of_lineage = strncmp(name, "consumed:", 9) == 0;
    ck_assert_msg((strstr(message, "lineage ") != NULL) == of_lineage, "%s", text);
    ck_assert_msg((strstr(message, "run ") == NULL) == of_lineage, "%s", text);
    free(text);
    json_decref(problems);
}

START_TEST(test_Q01_names_as_they_are_have_no_problem)
{
    json_t *problems = problems_found();
    ck_assert_uint_eq(json_array_size(problems), 0);
    json_decref(problems);
}
END_TEST

START_TEST(test_Q01_a_missing_key_is_found)
{
    forge("key:second", ended, false);
    check_found(1, ended, "key:second");
}
END_TEST

START_TEST(test_Q01_a_missing_scope_is_found)
{
    forge("scope:doc", active, false);
    check_found(1, active, "scope:doc");
}
END_TEST

/* Both sides are told: who should hold it, and who does. */
START_TEST(test_Q01_a_name_given_to_another_run_is_found)
{
    forge("key:first", ended, true);
    check_found(2, active, "key:first");
}
END_TEST

START_TEST(test_Q01_a_scope_that_was_not_given_back_is_found)
{
    forge("scope:other", ended, true);
    check_found(1, ended, "scope:other");
}
END_TEST

START_TEST(test_Q01_a_name_of_a_run_that_is_not_there_is_found)
{
    const ratoon_id nobody = {{1, 2, 3}};
    forge("key:third", nobody, true);
    check_found(1, nobody, "key:third");
}
END_TEST

/* A run that consumed a result in its first attempt, and is in its second. */
static ratoon_id consume(ratoon_store *s)
{
    static const char text[] = "pipeline: two\nstages: [{name: only, run: [\"true\"]}]\n";
    ratoon_pipeline *p = NULL;
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created run;
    ratoon_error error = {0};
    must(ratoon_pipeline_parse("two", text, sizeof text - 1, NULL, &p, &error), &error);
    options.pipeline = p;
    must(ratoon_run_create(s, &options, &run, &error), &error);
    ratoon_op ops[] = {
        {.kind = RATOON_OP_STAGE_START, .stage = "only"},
        {.kind = RATOON_OP_CONSUMES, .stage = "only", .attempt = 1, .run = ended},
        {.kind = RATOON_OP_STAGE_RETURN, .stage = "only", .attempt = 1},
        {.kind = RATOON_OP_STAGE_START, .stage = "only"},
    };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        must(ratoon_run_apply(s, run.run, run.epoch, &ops[i], 1, &error), &error);
    }
    ratoon_pipeline_free(p);
    return run.run;
}

static void name_of(char name[2 * RATOON_ID_TEXT + 16], ratoon_id used, ratoon_id consumer)
{
    char a[RATOON_ID_TEXT], b[RATOON_ID_TEXT];
    ratoon_id_format(used, a);
    ratoon_id_format(consumer, b);
    (void)snprintf(name, 2 * RATOON_ID_TEXT + 16, "consumed:%s:%s", a, b);
}

/* Its lineage gave the name back (R22), and so does one that is deleted. */
START_TEST(test_Q01_a_result_that_the_last_attempt_did_not_consume_is_found)
{
    char name[2 * RATOON_ID_TEXT + 16];
    ratoon_store *s = open_store();
    const ratoon_id consumer = consume(s);
    ratoon_store_close(s);
    name_of(name, ended, consumer);
    forge(name, consumer, true);
    check_found(1, consumer, name);

    ratoon_run_status status;
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_error error = {0};
    s = open_store();
    must(ratoon_run_cancel(s, consumer, NULL, &status, &error), &error);
    must(ratoon_lineage_delete(s, consumer, false, &deleted, &freed, &error), &error);
    ratoon_store_close(s);
    check_found(1, consumer, name);
    forge(name, consumer, false);
    json_t *problems = problems_found();
    ck_assert_uint_eq(json_array_size(problems), 0);
    json_decref(problems);
}
END_TEST

START_TEST(test_Q01_a_result_that_was_never_consumed_is_found)
{
    char name[2 * RATOON_ID_TEXT + 16];
    name_of(name, ended, active);
    forge(name, active, true);
    check_found(1, active, name);
}
END_TEST

/* ---- a driver that shows more than a page, as another version's over a socket might ---- */

enum { MANY = RATOON__CLAIMS_PAGE + 100 };
static const ratoon__driver_ops *honest;

typedef struct passing {
    ratoon__claim_fn fn;
    void *ctx;
    char last[64];
    size_t shown;
} passing;

static bool pass_on(void *ctx, const char *name, ratoon_id holder)
{
    passing *p = ctx;
    (void)p->fn(p->ctx, name, holder);
    (void)snprintf(p->last, sizeof p->last, "%s", name);
    p->shown++;
    return true;
}

static ratoon_status claims_without_end(ratoon__driver *d, const char *prefix, const char *after,
                                        ratoon__claim_fn fn, void *ctx, ratoon_error *error)
{
    passing p = {.fn = fn, .ctx = ctx};
    ratoon_status status;
    (void)snprintf(p.last, sizeof p.last, "%s", after);
    do {
        p.shown = 0;
        status = honest->claims(d, prefix, p.last, pass_on, &p, error);
    } while (status == RATOON_OK && p.shown > 0);
    return status;
}

START_TEST(test_Q01_a_missing_name_of_a_consumer_is_found)
{
    char name[2 * RATOON_ID_TEXT + 16];
    ratoon_store *s = open_store();
    const ratoon_id consumer = consume(s);
    ratoon_error error = {0};
    ratoon_op op = {.kind = RATOON_OP_CONSUMES, .stage = "only", .attempt = 2, .run = ended};
    must(ratoon_run_apply(s, consumer, 1, &op, 1, &error), &error);
    ratoon_store_close(s);
    name_of(name, ended, consumer);
    forge(name, consumer, false);
    check_found(1, consumer, name);
    forge(name, active, true);
    check_found(2, consumer, name);
}
END_TEST

START_TEST(test_Q01_more_names_than_a_page_do_no_harm)
{
    static char names[MANY][16];
    static ratoon__claim claims[MANY];
    static const ratoon__driver_options options = {.durability = RATOON_DURABILITY_NONE,
                                                   .value_max = RATOON_VALUE_MAX_DEFAULT};
    ratoon__driver *d = NULL;
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t count = 0;
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "key:%06zu", i);
        claims[i] = (ratoon__claim){.name = names[i], .run = active, .take = true};
    }
    must(ratoon__rocksdb_open(path, &options, &d, &error), &error);
    must(ratoon__rocksdb_put_derived(d, NULL, 0, claims, MANY, 0, &error), &error);
    d->ops->close(d);

    ratoon_store *s = open_store();
    d = ratoon__store_driver(s);
    honest = d->ops;
    ratoon__driver_ops ops = *honest;
    ops.claims = claims_without_end;
    d->ops = &ops;
    must(ratoon_verify(s, (ratoon_id){{0}}, &json, &count, &error), &error);
    d->ops = honest;
    ratoon_store_close(s);
    ratoon_buffer_free(&json);
    ck_assert_uint_eq(count, MANY);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("verify_claims");
    TCase *t = tcase_create("names");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_Q01_names_as_they_are_have_no_problem);
    tcase_add_test(t, test_Q01_a_missing_key_is_found);
    tcase_add_test(t, test_Q01_a_missing_scope_is_found);
    tcase_add_test(t, test_Q01_a_name_given_to_another_run_is_found);
    tcase_add_test(t, test_Q01_a_scope_that_was_not_given_back_is_found);
    tcase_add_test(t, test_Q01_a_name_of_a_run_that_is_not_there_is_found);
    tcase_add_test(t, test_Q01_a_result_that_the_last_attempt_did_not_consume_is_found);
    tcase_add_test(t, test_Q01_a_result_that_was_never_consumed_is_found);
    tcase_add_test(t, test_Q01_a_missing_name_of_a_consumer_is_found);
    tcase_add_test(t, test_Q01_more_names_than_a_page_do_no_harm);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
