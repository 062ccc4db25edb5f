/* Names by which consumers of a result are found (R22): a lineage has one for each other lineage
 * whose results the last attempt of one of its stages uses, no more and no fewer, and none once it
 * is deleted. So the index is what it would be if it were made anew from the log (Q03). */
#include "log/store.h"
#include "tests/support/derived.h"
#include "tests/support/driver_fixture.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char definition[] = "pipeline: two\n"
                                 "stages:\n"
                                 "  - {name: left, run: [\"true\"]}\n"
                                 "  - {name: right, needs: [], run: [\"true\"]}\n";

/* The same without the stage on the left. */
static const char narrower[] = "pipeline: two\n"
                               "stages:\n"
                               "  - {name: right, needs: [], run: [\"true\"]}\n";

static char *folder, *path;
static ratoon_pipeline *pipeline;
static ratoon_store *store;
static ratoon_id used, other; /* runs whose results are used */
static ratoon_created consumer;

static void must(ratoon_status status, const ratoon_error *error)
{
    role_must(status == RATOON_OK, error->message);
}

static ratoon_store *open_store(const char *at)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *s = NULL;
    ratoon_error error = {0};
    options.no_serve = true;
    options.durability = RATOON_DURABILITY_NONE;
    must(ratoon_store_open(at, &options, &s, &error), &error);
    return s;
}

static ratoon_created run_new(bool no_exec)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error = {0};
    options.pipeline = pipeline;
    options.no_exec = no_exec;
    must(ratoon_run_create(store, &options, &created, &error), &error);
    return created;
}

static void setup(void)
{
    ratoon_error error = {0};
    folder = support_temp_dir("consumers");
    path = support_path_join(folder, "store");
    must(ratoon_store_create(path, NULL, &error), &error);
    must(ratoon_pipeline_parse("two", definition, sizeof definition - 1, NULL, &pipeline, &error),
         &error);
    store = open_store(path);
    used = run_new(true).run;
    other = run_new(true).run;
    consumer = run_new(false);
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    free(path);
    support_temp_dir_free(folder);
}

/* ---- what the consumer does ---- */

static void apply(ratoon_op *ops, size_t count)
{
    ratoon_error error = {0};
    must(ratoon_run_apply(store, consumer.run, consumer.epoch, ops, count, &error), &error);
}

static void start(const char *stage)
{
    ratoon_op op = {.kind = RATOON_OP_STAGE_START, .stage = stage};
    apply(&op, 1);
}

static void use(const char *stage, uint32_t attempt, ratoon_id run)
{
    ratoon_op op = {.kind = RATOON_OP_CONSUMES, .stage = stage, .attempt = attempt, .run = run};
    apply(&op, 1);
}

static void start_again(const char *stage, uint32_t attempt)
{
    ratoon_op op = {.kind = RATOON_OP_STAGE_RETURN, .stage = stage, .attempt = attempt};
    apply(&op, 1);
    start(stage);
}

static void suspend(uint32_t attempt)
{
    ratoon_op ops[] = {{.kind = RATOON_OP_STAGE_RETURN, .stage = "left", .attempt = attempt},
                       {.kind = RATOON_OP_FINISH, .text = "later"}};
    apply(ops, 2);
}

static void resume(void)
{
    ratoon_error error = {0};
    must(ratoon_run_start(store, consumer.run, NULL, &consumer.epoch, &error), &error);
}

/* What is done may be missing in another definition (R16). */
static void resume_without_left(void)
{
    ratoon_start_options options = RATOON_START_OPTIONS_INIT;
    ratoon_pipeline *other_definition = NULL;
    ratoon_error error = {0};
    must(ratoon_pipeline_parse("two", narrower, sizeof narrower - 1, NULL, &other_definition,
                               &error),
         &error);
    options.pipeline = other_definition;
    options.accept_changes = true;
    must(ratoon_run_start(store, consumer.run, &options, &consumer.epoch, &error), &error);
    ratoon_pipeline_free(other_definition);
}

static void succeed_left_and_suspend(void)
{
    ratoon_op ops[] = {{.kind = RATOON_OP_STAGE_END,
                        .stage = "left",
                        .attempt = 1,
                        .status = RATOON_STAGE_SUCCEEDED},
                       {.kind = RATOON_OP_FINISH, .text = "later"}};
    apply(ops, 2);
}

/* While `left` is in that attempt. */
static void delete_consumer(uint32_t attempt)
{
    suspend(attempt);
    ratoon_run_status status;
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_error error = {0};
    must(ratoon_run_cancel(store, consumer.run, NULL, &status, &error), &error);
    must(ratoon_lineage_delete(store, consumer.run, false, &deleted, &freed, &error), &error);
}

/* ---- what the index has ---- */

static char *index_text(void)
{
    static const char *const pipelines[] = {"two"};
    const support_names names = {.pipelines = pipelines, .pipelines_count = 1};
    ratoon__buf text = {0};
    ratoon_error error = {0};
    must(support_derived_dump(store, &names, &text, &error), &error);
    return text.data;
}

static void check_name(const char *index, ratoon_id run, bool expected)
{
    char from[RATOON_ID_TEXT], to[RATOON_ID_TEXT], line[4 * RATOON_ID_TEXT];
    ratoon_id_format(run, from);
    ratoon_id_format(consumer.run, to);
    (void)snprintf(line, sizeof line, "claim consumed:%s:%s held by %s\n", from, to, to);
    ck_assert_msg((strstr(index, line) != NULL) == expected, "%s%s in:\n%s",
                  expected ? "no " : "there is ", line, index);
}

/* The names are those two and no other, all is as if made anew, and verification agrees. */
static void check(bool uses_used, bool uses_other)
{
    ratoon_buffer report = {0};
    ratoon_error error = {0};
    size_t problems = 0;
    must(ratoon_verify(store, (ratoon_id){{0}}, &report, &problems, &error), &error);
    ck_assert_msg(problems == 0, "%s", report.data);
    ratoon_buffer_free(&report);
    char *index = index_text();
    check_name(index, used, uses_used);
    check_name(index, other, uses_other);
    must(support_derived_rebuild(store, &error), &error);
    char *anew = index_text();
    ck_assert_str_eq(index, anew);
    free(index);
    free(anew);
}

START_TEST(test_R22_a_result_that_the_next_attempt_does_not_use_is_given_back)
{
    start("left");
    use("left", 1, used);
    start_again("left", 1);
    check(false, false);
    use("left", 2, other);
    check(false, true);
    use("left", 2, used);
    start_again("left", 2);
    use("left", 3, used);
    check(true, false);
}
END_TEST

START_TEST(test_R22_a_result_that_another_stage_uses_is_kept)
{
    start("left");
    start("right");
    use("left", 1, used);
    use("right", 1, used);
    use("right", 1, other);
    start_again("left", 1);
    check(true, true);
    start_again("right", 1);
    check(false, false);
}
END_TEST

START_TEST(test_R22_what_one_commit_takes_and_gives_back_is_not_kept)
{
    ratoon_op ops[] = {
        {.kind = RATOON_OP_CONSUMES, .stage = "left", .attempt = 1, .run = used},
        {.kind = RATOON_OP_STAGE_RETURN, .stage = "left", .attempt = 1},
        {.kind = RATOON_OP_STAGE_START, .stage = "left"},
        {.kind = RATOON_OP_CONSUMES, .stage = "left", .attempt = 2, .run = other},
    };
    start("left");
    apply(ops, 4);
    check(false, true);
    start_again("left", 2);
    start("right");
    ratoon_op once_more[] = {
        {.kind = RATOON_OP_CONSUMES, .stage = "right", .attempt = 1, .run = used},
        {.kind = RATOON_OP_STAGE_RETURN, .stage = "right", .attempt = 1},
        {.kind = RATOON_OP_STAGE_START, .stage = "right"},
    };
    apply(once_more, 3);
    check(false, false);
}
END_TEST

START_TEST(test_R22_a_result_that_only_a_dropped_stage_used_is_given_back)
{
    start("left");
    start("right");
    use("left", 1, used);
    use("left", 1, other);
    use("right", 1, other);
    ratoon_op back = {.kind = RATOON_OP_STAGE_RETURN, .stage = "right", .attempt = 1};
    apply(&back, 1);
    succeed_left_and_suspend();
    check(true, true);
    resume_without_left();
    check(false, true);
}
END_TEST

START_TEST(test_R22_a_deleted_consumer_has_no_names)
{
    start("left");
    use("left", 1, used);
    start_again("left", 1);
    use("left", 2, other);
    delete_consumer(2);
    check(false, false);
}
END_TEST

/* ---- crashes ---- */

enum { CRASHED = 7 }; /* exit status of a process that ended as if it had been killed */

static void another_attempt(void)
{
    start("left");
    use("left", 2, other);
}

/* Started again more than once since the index was written, and taken in between. */
static void many_attempts(void)
{
    start("left");
    use("left", 2, other);
    start("right");
    use("right", 2, used);
    start_again("left", 2);
}

/* What is resumed first is under the definition that it had. */
static void dropped_stage(void)
{
    ratoon_op later = {.kind = RATOON_OP_FINISH, .text = "later"};
    apply(&later, 1);
    resume_without_left();
}

static void attempt_and_deletion(void)
{
    start("left");
    delete_consumer(2);
}

/* A name released and its lineage erased by one group of a driver's. */
static void release_and_erase(void)
{
    const ratoon_id lineage = {{1}};
    const ratoon__claim release = {.name = "scope:a", .run = lineage, .take = false};
    ratoon__append group[2] = {
        {.lineage = lineage,
         .number = 2,
         .data = "end",
         .size = 3,
         .claims = &release,
         .claims_count = 1},
        {.lineage = lineage, .number = 3, .data = "gone", .size = 4, .erase = true, .rests_on = 1}};
    const ratoon__driver_options options = {.durability = RATOON_DURABILITY_SYNC,
                                            .value_max = RATOON_VALUE_MAX_DEFAULT};
    ratoon__driver *d = NULL;
    MUST(ratoon__rocksdb_open(path, &options, &d, NULL) == RATOON_OK);
    MUST(d->ops->append(d, group, 2, true, NULL) == RATOON_OK);
    MUST(group[0].status == RATOON_OK && group[1].status == RATOON_OK);
}

static const struct script {
    const char *name;
    void (*play)(void);
    bool of_driver;
} scripts[] = {{"another", another_attempt, false},
               {"many", many_attempts, false},
               {"dropped", dropped_stage, false},
               {"deletion", attempt_and_deletion, false},
               {"erase", release_and_erase, true}};

static void ids_format(char out[3 * RATOON_ID_TEXT])
{
    const ratoon_id ids[] = {used, other, consumer.run};
    for (size_t i = 0; i < 3; i++) {
        ratoon_id_format(ids[i], out + i * RATOON_ID_TEXT);
    }
    out[RATOON_ID_TEXT - 1] = out[2 * RATOON_ID_TEXT - 1] = ' ';
}

static int crash_role(const char *name, const char *at, const char *ids)
{
    char text[3 * RATOON_ID_TEXT];
    ratoon_id *const to[] = {&used, &other, &consumer.run};
    role_begin();
    path = strdup(at);
    (void)snprintf(text, sizeof text, "%s", ids);
    for (size_t i = 0; i < 3; i++) {
        text[(i + 1) * RATOON_ID_TEXT - 1] = '\0';
        MUST(ratoon_id_parse(text + i * RATOON_ID_TEXT, to[i]) == RATOON_OK);
    }
    role_say_ready();
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        if (strcmp(scripts[i].name, name) == 0) {
            if (!scripts[i].of_driver) {
                store = open_store(path);
                resume(); /* it was interrupted when the store was closed */
            }
            scripts[i].play();
            _exit(CRASHED);
        }
    }
    return EXIT_FAILURE;
}

/* Another process plays the script and dies. What is pending here is on the disk before that. */
static void crash(const char *script)
{
    char ids[3 * RATOON_ID_TEXT];
    ids_format(ids);
    ratoon_store_close(store);
    role_process p = role_start(script, path, ids);
    ck_assert_int_eq(role_join(&p), CRASHED);
    store = open_store(path);
}

START_TEST(test_Q03_a_name_given_back_before_a_crash_is_gone)
{
    start("left");
    use("left", 1, used);
    crash("another");
    check(false, true);
}
END_TEST

START_TEST(test_Q03_names_that_came_and_went_before_a_crash_are_gone)
{
    start("left");
    start("right");
    use("left", 1, used);
    use("right", 1, other);
    crash("many");
    check(true, false);
}
END_TEST

START_TEST(test_Q03_a_name_that_went_with_its_stage_before_a_crash_is_gone)
{
    start("left");
    use("left", 1, used);
    succeed_left_and_suspend();
    crash("dropped");
    check(false, false);
}
END_TEST

START_TEST(test_R20_a_name_given_back_before_the_deletion_and_a_crash_is_gone)
{
    start("left");
    use("left", 1, used);
    crash("deletion");
    check(false, false);
}
END_TEST

/* After a crash nothing tells any more that there was such a name. */
START_TEST(test_R20_a_name_given_back_right_before_the_deletion_and_a_crash_is_gone)
{
    ratoon_id holder;
    char *at = support_path_join(folder, "driver");
    char ids[3 * RATOON_ID_TEXT];
    fixture_create(at);
    ratoon__driver *d = fixture_open(at, RATOON_DURABILITY_SYNC);
    ck_assert_int_eq(fixture_claim(d, fixture_id(1), 1, "scope:a", true), RATOON_OK);
    d->ops->close(d);
    ids_format(ids);
    role_process p = role_start("erase", at, ids);
    ck_assert_int_eq(role_join(&p), CRASHED);
    d = fixture_open(at, RATOON_DURABILITY_SYNC);
    ck_assert_int_eq(d->ops->claim_get(d, "scope:a", &holder, NULL), RATOON_ERR_NOT_FOUND);
    d->ops->close(d);
    free(at);
}
END_TEST

/* ---- from one store to another ---- */

typedef struct text {
    char *data;
    size_t size, read;
} text;

static bool text_write(void *ctx, const void *data, size_t size)
{
    text *t = ctx;
    t->data = realloc(t->data, t->size + size);
    ck_assert_ptr_nonnull(t->data);
    memcpy(t->data + t->size, data, size);
    t->size += size;
    return true;
}

static int64_t text_read(void *ctx, void *data, size_t size)
{
    text *t = ctx;
    const size_t n = size < t->size - t->read ? size : t->size - t->read;
    memcpy(data, t->data + t->read, n);
    t->read += n;
    return (int64_t)n;
}

static void copy_over(ratoon_store *from, ratoon_store *to)
{
    text t = {0};
    ratoon_imported imported;
    ratoon_error error = {0};
    must(ratoon_export(from, NULL, 0, RATOON_EXPORT_JSONL, text_write, &t, &error), &error);
    must(ratoon_import(to, NULL, text_read, &t, &imported, &error), &error);
    free(t.data);
}

START_TEST(test_R18_a_continued_import_gives_names_back)
{
    char *second = support_path_join(folder, "second");
    ratoon_error error = {0};
    must(ratoon_store_create(second, NULL, &error), &error);
    ratoon_store *to = open_store(second);
    start("left");
    use("left", 1, used);
    suspend(1); /* so that the importing store adds nothing of its own */
    copy_over(store, to);
    resume();
    start("left");
    use("left", 2, other);
    copy_over(store, to);
    ratoon_store_close(store);
    store = to;
    free(second);
    check(false, true);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("consumers");
    TCase *t = tcase_create("names");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_R22_a_result_that_the_next_attempt_does_not_use_is_given_back);
    tcase_add_test(t, test_R22_a_result_that_another_stage_uses_is_kept);
    tcase_add_test(t, test_R22_what_one_commit_takes_and_gives_back_is_not_kept);
    tcase_add_test(t, test_R22_a_result_that_only_a_dropped_stage_used_is_given_back);
    tcase_add_test(t, test_R22_a_deleted_consumer_has_no_names);
    tcase_add_test(t, test_Q03_a_name_given_back_before_a_crash_is_gone);
    tcase_add_test(t, test_Q03_names_that_came_and_went_before_a_crash_are_gone);
    tcase_add_test(t, test_Q03_a_name_that_went_with_its_stage_before_a_crash_is_gone);
    tcase_add_test(t, test_R20_a_name_given_back_before_the_deletion_and_a_crash_is_gone);
    tcase_add_test(t, test_R20_a_name_given_back_right_before_the_deletion_and_a_crash_is_gone);
    tcase_add_test(t, test_R18_a_continued_import_gives_names_back);
    suite_add_tcase(s, t);
    return s;
}

int main(int argc, char **argv)
{
    return argc > 3 ? crash_role(argv[1], argv[2], argv[3]) : support_run_suite(suite());
}
