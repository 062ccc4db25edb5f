/* Values that a commit holds itself, however many: each digest is made once, with all others of its
 * batch, and found at the first look; each value that is not what its digest says is named (Q01).
 */
#include "log/store.h"
#include "replay/verify.h"
#include "tests/support/support.h"

#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 2000 };

static const char definition[] = "pipeline: one\n"
                                 "stages: [{name: only, run: [\"true\"]}]\n";

static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_value values[MANY]; /* text, every tenth empty */
static char keys[MANY][16], texts[MANY][16];

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static void setup(void)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_error error;
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &store, &error), &error);
    must(ratoon_pipeline_parse("one", definition, sizeof definition - 1, NULL, &pipeline, &error),
         &error);
    for (size_t i = 0; i < MANY; i++) {
        (void)snprintf(keys[i], sizeof keys[i], "key-%zu", i);
        (void)snprintf(texts[i], sizeof texts[i], "\"text %zu\"", i);
        values[i] = (ratoon_value){.key = keys[i], .data = texts[i], .size = strlen(texts[i])};
        if (i % 10 == 9) {
            values[i] = (ratoon_value){.key = keys[i], .media_type = "text/plain"};
        }
    }
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
}

/* A run that failed with many values in its state and outputs, and a retry with many edits: commits
 * with many values. */
static ratoon_id make(void)
{
    ratoon_run_options create = RATOON_RUN_OPTIONS_INIT;
    ratoon_retry_options retry = RATOON_RETRY_OPTIONS_INIT;
    const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "no"};
    ratoon_created run, branch;
    ratoon_error error;
    uint32_t attempt;
    create.pipeline = pipeline;
    create.state = values;
    create.state_count = MANY;
    must(ratoon_run_create(store, &create, &run, &error), &error);
    must(ratoon_stage_start(store, run.run, run.epoch, "only", &attempt, &error), &error);
    ratoon_op ops[] = {{.kind = RATOON_OP_STAGE_END,
                        .stage = "only",
                        .attempt = attempt,
                        .status = RATOON_STAGE_FAILED,
                        .failure = &failure,
                        .outputs = values,
                        .outputs_count = MANY / 2},
                       {.kind = RATOON_OP_FINISH}};
    must(ratoon_run_apply(store, run.run, run.epoch, ops, 2, &error), &error);
    retry.parent = run.run;
    retry.edits = values;
    retry.edits_count = MANY;
    must(ratoon_retry_create(store, &retry, &branch, &error), &error);
    return run.run;
}

typedef struct look { /* at each commit of a lineage */
    ratoon__lineage *lineage;
    size_t damaged; /* change the digest of this value before, counted over state or edits */
    size_t commits, values, problems;
} look;

static void damage(ratoon__commit *c, size_t which)
{
    for (size_t i = 0; which < MANY && i < c->events_count; i++) {
        const ratoon__event *e = &c->events[i];
        if (e->type != RATOON__EVENT_RUN_CREATED) {
            continue;
        }
        const ratoon__value_ref *v = e->u.created.edits_count > 0
                                         ? &e->u.created.edits[which].value
                                         : &e->u.created.state.items[which];
        ((ratoon__value_ref *)(uintptr_t)v)->digest.bytes[0] ^= 1;
    }
}

static bool look_at(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                    const void *data, size_t size)
{
    look *l = ctx;
    ratoon__report report = {.store = store, .problems = json_array()};
    ratoon__digest_jobs jobs = {0};
    ratoon__arena arena = {0};
    ratoon__commit c;
    ratoon_error error;
    (void)position;
    (void)lineage;
    (void)number;
    must(ratoon__store_decode(store, data, size, &arena, &c, &error), &error);
    damage(&c, l->damaged);
    ck_assert(ratoon__digest_jobs_add_values(&jobs, &c));
    ck_assert_int_eq(ratoon__sha256_many(jobs.jobs, jobs.count), RATOON_OK);
    ratoon__verify_events(&report, l->lineage, &c, &jobs);
    ck_assert_uint_eq(jobs.next, jobs.count); /* each was asked for, none passed over */
    l->commits++;
    l->values += jobs.count;
    l->problems += report.count;
    json_decref(report.problems);
    free(jobs.jobs);
    ratoon__commit_release(&c);
    ratoon__arena_free(&arena);
    return true;
}

static look look_at_all(ratoon_id root, size_t damaged)
{
    look l = {.damaged = damaged};
    ratoon_error error;
    ratoon__driver *d = ratoon__store_driver(store);
    must(ratoon__store_lineage(store, root, &l.lineage, &error), &error);
    must(d->ops->read(d, root, 1, true, false, look_at, &l, &error), &error);
    ratoon__lineage_unref(l.lineage);
    return l;
}

START_TEST(test_Q01_digests_of_many_values_and_edits_are_found_at_the_first_look)
{
    const look l = look_at_all(make(), MANY);
    ck_assert_uint_eq(l.commits, 4);
    ck_assert_uint_eq(l.values, MANY + MANY / 2 + MANY);
    ck_assert_uint_eq(l.problems, 0);
}
END_TEST

/* One of the initial state, and one of the edits. */
START_TEST(test_Q01_one_wrong_value_of_many_is_found)
{
    static const size_t places[] = {0, 1, MANY / 2, MANY - 2};
    const ratoon_id root = make();
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        ck_assert_uint_eq(look_at_all(root, places[i]).problems, 2);
    }
}
END_TEST

START_TEST(test_Q01_many_edits_verify)
{
    ratoon_buffer report;
    ratoon_error error;
    size_t problems = 0;
    const ratoon_id root = make();
    must(ratoon_verify(store, root, &report, &problems, &error), &error);
    ck_assert_msg(problems == 0, "%s", report.data);
    ratoon_buffer_free(&report);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("verify_values");
    TCase *t = tcase_create("values");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_Q01_digests_of_many_values_and_edits_are_found_at_the_first_look);
    tcase_add_test(t, test_Q01_one_wrong_value_of_many_is_found);
    tcase_add_test(t, test_Q01_many_edits_verify);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
