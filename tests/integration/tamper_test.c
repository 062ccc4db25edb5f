/* Verification finds what was done to a log behind its back, and names the first bad commit: the
 * store is one in memory, and its commits are changed in place. */
#include "log/memory_driver.h"
#include "log/store.h"
#include "tests/support/support.h"

#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTES = 6 }; /* so a lineage has one commit more */

static const char one_stage[] = "pipeline: one\n"
                                "stages:\n"
                                "  - {name: only, run: [\"true\"]}\n";

static ratoon_store *store;
static ratoon_pipeline *pipeline;
static ratoon_id victim, other;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

static ratoon_id lineage_new(void)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    options.pipeline = pipeline;
    options.no_exec = true;
    must(ratoon_run_create(store, &options, &created, &error), &error);
    for (int i = 1; i <= NOTES; i++) {
        char text[32];
        snprintf(text, sizeof text, "note number %d", i);
        must(ratoon_run_annotate(store, created.run, text, &error), &error);
    }
    return created.run;
}

static void setup(void)
{
    ratoon_error error;
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.driver = RATOON_DRIVER_MEMORY;
    must(ratoon_store_open(NULL, &options, &store, &error), &error);
    must(ratoon_pipeline_parse("one.yaml", one_stage, strlen(one_stage), NULL, &pipeline, &error),
         &error);
    victim = lineage_new();
    other = lineage_new();
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
}

static ratoon__map_node *node_of(ratoon_id lineage, uint64_t number)
{
    ratoon__memory *m = ratoon__memory_of(ratoon__store_driver(store));
    uint8_t key[RATOON__MEMORY_COMMIT_KEY];
    ratoon__memory_commit_key(key, lineage, number);
    return ratoon__map_find(&m->commits, key, sizeof key);
}

/* Gives the bytes of one place to another; the place keeps its position in the feed. */
static void put_bytes(ratoon__map_node *to, const ratoon__memory_commit *from)
{
    ratoon__memory *m = ratoon__memory_of(ratoon__store_driver(store));
    ratoon__memory_commit *was = to->value;
    ratoon__memory_commit *is = malloc(sizeof *is + from->size);
    ck_assert_ptr_nonnull(is);
    memcpy(is, was, sizeof *is);
    is->size = from->size;
    memcpy(is->data, from->data, from->size);
    m->feed[is->position - 1] = is;
    to->value = is;
    free(was);
}

/* The first problem of the victim is at that commit and of that kind; the other lineage, which is
 * as it was, has none. */
static void expect_problem(uint64_t commit, const char *kind)
{
    ratoon_buffer json = {0};
    ratoon_error error;
    size_t problems = 0;
    char id[RATOON_ID_TEXT], expected[256];
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    ratoon_id_format(victim, id);
    snprintf(expected, sizeof expected, "{\"lineage\":\"%s\",\"commit\":%u,\"kind\":\"%s\"", id,
             (unsigned)commit, kind);
    const char *first = strstr(json.data, "{\"lineage\":");
    ck_assert_msg(problems > 0 && first != NULL && strncmp(first, expected, strlen(expected)) == 0,
                  "expected %s first; found: %s", expected, json.data);
    ratoon_id_format(other, id);
    snprintf(expected, sizeof expected, "{\"lineage\":\"%s\"", id);
    ck_assert_msg(strstr(first, expected) == NULL, "the other lineage: %s", json.data);
    ratoon_buffer_free(&json);
}

START_TEST(test_Q01_verify_names_what_follows_an_edited_commit)
{
    ratoon__memory_commit *c = node_of(victim, 3)->value;
    char *text = memmem(c->data, c->size, "note number 2", 13);
    ck_assert_ptr_nonnull(text);
    text[12] = '9';
    expect_problem(4, "chain");
}
END_TEST

START_TEST(test_Q01_verify_names_a_commit_that_is_no_commit_any_more)
{
    ratoon__memory_commit *c = node_of(victim, 3)->value;
    memset(c->data, 0xff, c->size < 64 ? c->size : 64);
    expect_problem(3, "decode");
}
END_TEST

START_TEST(test_Q01_verify_names_what_follows_a_removed_commit)
{
    ratoon__memory *m = ratoon__memory_of(ratoon__store_driver(store));
    ratoon__map_node *node = node_of(victim, 3);
    ratoon__memory_commit *c = node->value;
    m->feed[c->position - 1] = NULL;
    ck_assert_ptr_eq(ratoon__map_take(&m->commits, node->key, node->key_size), node);
    free(node);
    free(c);
    expect_problem(4, "number");
}
END_TEST

START_TEST(test_Q01_verify_names_the_first_of_two_swapped_commits)
{
    ratoon__map_node *a = node_of(victim, 3), *b = node_of(victim, 5);
    const ratoon__memory_commit *c = a->value;
    ratoon__memory_commit *kept = malloc(sizeof *kept + c->size);
    ck_assert_ptr_nonnull(kept);
    memcpy(kept, c, sizeof *kept + c->size);
    put_bytes(a, b->value);
    put_bytes(b, kept);
    free(kept);
    expect_problem(3, "number");
}
END_TEST

START_TEST(test_Q01_verify_names_a_commit_of_another_lineage)
{
    put_bytes(node_of(victim, 4), node_of(other, 4)->value);
    expect_problem(4, "number");
}
END_TEST

/* A number that a lineage doesn't have, with the bytes of one that it has. */
START_TEST(test_Q01_verify_names_an_inserted_commit)
{
    ratoon__memory *m = ratoon__memory_of(ratoon__store_driver(store));
    uint8_t key[RATOON__MEMORY_COMMIT_KEY];
    const ratoon__memory_commit *last = node_of(victim, NOTES + 1)->value;
    ratoon__memory_commit *c = malloc(sizeof *c + last->size);
    ck_assert_ptr_nonnull(c);
    memcpy(c, last, sizeof *c + last->size);
    c->number = NOTES + 2;
    ratoon__memory_commit_key(key, victim, c->number);
    ratoon__map_node *node = ratoon__map_node_new(&m->seed, key, sizeof key, c);
    ck_assert_ptr_nonnull(node);
    ratoon__map_put(&m->commits, node);
    expect_problem(NOTES + 2, "number");
}
END_TEST

/* The last commit is put back to an earlier state: what was cut off is missing in the feed. */
START_TEST(test_Q01_verify_misses_a_last_commit_in_the_feed)
{
    ratoon__memory *m = ratoon__memory_of(ratoon__store_driver(store));
    ratoon__map_node *node = node_of(victim, NOTES + 1);
    ratoon__memory_commit *c = node->value;
    ratoon_buffer json = {0};
    ratoon_error error;
    size_t problems = 0;
    m->feed[c->position - 1] = NULL;
    ck_assert_ptr_eq(ratoon__map_take(&m->commits, node->key, node->key_size), node);
    free(node);
    free(c);
    must(ratoon_verify(store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    ck_assert_msg(problems > 0 && strstr(json.data, "\"kind\":\"feed\"") != NULL, "%s", json.data);
    ratoon_buffer_free(&json);
}
END_TEST

static Suite *tamper_suite(void)
{
    Suite *s = suite_create("tamper");
    TCase *t = tcase_create("verify");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_Q01_verify_names_what_follows_an_edited_commit);
    tcase_add_test(t, test_Q01_verify_names_a_commit_that_is_no_commit_any_more);
    tcase_add_test(t, test_Q01_verify_names_what_follows_a_removed_commit);
    tcase_add_test(t, test_Q01_verify_names_the_first_of_two_swapped_commits);
    tcase_add_test(t, test_Q01_verify_names_a_commit_of_another_lineage);
    tcase_add_test(t, test_Q01_verify_names_an_inserted_commit);
    tcase_add_test(t, test_Q01_verify_misses_a_last_commit_in_the_feed);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(tamper_suite)
