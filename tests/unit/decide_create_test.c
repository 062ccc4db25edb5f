/* Creating a run: parameters, limits, scope, target; and the names it claims. */
#include "tests/support/support.h"
#include "tests/support/world.h"

#include <stdlib.h>
#include <string.h>

static world w;

static const world_stage stages[] = {{.name = "plan", .produces = "pages"}, {.name = "draft"}};
static const world_param params[] = {
    {.name = "threshold", .default_text = "2", .min = 1, .max = 100},
    {.name = "batch_size", .default_text = "8", .min = 1, .max = 512, .power_of_two = true},
    {.name = "mode", .type = RATOON__PARAM_STRING, .default_text = "fast"},
};

static void open_with(world_pipeline p)
{
    world_open(&w, world_pipeline_new(&p));
}

static void setup(void)
{
    open_with((world_pipeline){.stages = stages,
                               .stages_count = 2,
                               .params = params,
                               .params_count = 3,
                               .scope = "compile-${mode}",
                               .version = 3});
}

static void teardown(void)
{
    world_close(&w);
}

static ratoon__create_request request_of(void)
{
    return (ratoon__create_request){.run = w.root, .pipeline = w.p, .auto_retry = -1};
}

START_TEST(test_R12_defaults_and_given_values_are_recorded)
{
    const ratoon_pair given[] = {{"threshold", " 5"}};
    ratoon__create_request q = request_of();
    q.params = given;
    q.params_count = 1;
    const ratoon_status padded = world_create_with(&w, &q);
    ck_assert_int_eq(padded, RATOON_ERR_PARAM_INVALID);
    const ratoon_pair right[] = {{"threshold", "5"}};
    q.params = right;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    const ratoon__run_created *c = &world_run(&w, w.root)->fixed->created;
    ck_assert_uint_eq(c->params_count, 3);
    ck_assert_str_eq(c->params[0].text, "5");
    ck_assert_str_eq(c->params[1].text, "8");
    ck_assert_str_eq(c->scope, "compile-fast");
    ck_assert_uint_eq(c->number, 1);
    ck_assert_uint_eq(c->depth, 0);
}
END_TEST

START_TEST(test_R12_unknown_parameter_lists_those_there_are)
{
    const ratoon_pair given[] = {{"treshold", "5"}};
    ratoon__create_request q = request_of();
    q.params = given;
    q.params_count = 1;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_PARAM_INVALID);
    ck_assert_ptr_nonnull(strstr(w.error.message, "'treshold'"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "threshold, batch_size, mode"));
    ck_assert_uint_eq(w.l->runs_count, 0);
}
END_TEST

START_TEST(test_R12_out_of_range_and_twice_refused)
{
    const ratoon_pair odd[] = {{"batch_size", "12"}};
    const ratoon_pair twice[] = {{"threshold", "5"}, {"threshold", "6"}};
    ratoon__create_request q = request_of();
    q.params = odd;
    q.params_count = 1;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_PARAM_INVALID);
    q.params = twice;
    q.params_count = 2;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_PARAM_INVALID);
    ck_assert_ptr_nonnull(strstr(w.error.message, "twice"));
}
END_TEST

START_TEST(test_R12_parameter_without_default_must_be_given)
{
    static const world_param needed[] = {
        {.name = "depth"},
        {.name = "api_key", .type = RATOON__PARAM_STRING, .secret = true},
    };
    world_close(&w);
    open_with(
        (world_pipeline){.stages = stages, .stages_count = 2, .params = needed, .params_count = 2});
    const ratoon_pair given[] = {{"depth", "1"}};
    ratoon__create_request q = request_of();
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_PARAM_INVALID);
    ck_assert_ptr_nonnull(strstr(w.error.message, "'depth'"));
    q.params = given;
    q.params_count = 1;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_PARAM_INVALID);
    ck_assert_ptr_nonnull(strstr(w.error.hint, "RATOON_SECRET_API_KEY"));
}
END_TEST

START_TEST(test_E08_secret_is_recorded_as_digest_only)
{
    static const world_param secret[] = {
        {.name = "api_key", .type = RATOON__PARAM_STRING, .secret = true}};
    world_close(&w);
    open_with(
        (world_pipeline){.stages = stages, .stages_count = 2, .params = secret, .params_count = 1});
    const ratoon_pair plain[] = {{"api_key", "hunter2"}};
    const ratoon__param digest[] = {{"api_key", "hmac-sha256:aa", true}};
    ratoon__create_request q = request_of();
    q.params = plain;
    q.params_count = 1;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_PARAM_INVALID);
    ck_assert_ptr_null(strstr(w.error.message, "hunter2"));
    q.secrets = digest;
    q.secrets_count = 1;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    const ratoon__run_created *c = &world_run(&w, w.root)->fixed->created;
    ck_assert_str_eq(c->params[0].text, "hmac-sha256:aa");
    ck_assert(c->params[0].secret);
}
END_TEST

START_TEST(test_R17_target_ahead_refused)
{
    ratoon__create_request q = request_of();
    q.target = 4;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_VERSION_AHEAD);
    ck_assert_ptr_nonnull(strstr(w.error.message, "version 4"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "version 3"));
    q.target = 3;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
}
END_TEST

START_TEST(test_S01_initial_state_is_kept_whole)
{
    char *long_value = malloc(1025);
    memset(long_value, 'x', 1024);
    long_value[1024] = '\0';
    const ratoon__value_ref value = {.key = "topic",
                                     .media_type = "text/plain",
                                     .digest = world_digest(long_value),
                                     .size = 1024,
                                     .data = long_value};
    ratoon__create_request q = request_of();
    q.state = (ratoon__values){&value, 1};
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    ck_assert_str_eq(world_input(&w, w.root, "plan", "topic"), long_value);
    free(long_value);
}
END_TEST

START_TEST(test_S06_names_over_the_limit_refused)
{
    char name[RATOON_NAME_MAX + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const ratoon__value_ref value = {
        .key = name, .media_type = "text/plain", .size = 1, .data = "x"};
    const ratoon_pair label[] = {{name, "x"}};
    ratoon__create_request q = request_of();
    q.subject = name;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(w.error.message, "256"));
    ck_assert_ptr_nonnull(strstr(w.error.message, "255"));
    q.subject = NULL;
    q.key = name;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_LIMIT_EXCEEDED);
    q.key = NULL;
    q.labels = label;
    q.labels_count = 1;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_LIMIT_EXCEEDED);
    q.labels_count = 0;
    q.state = (ratoon__values){&value, 1};
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_LIMIT_EXCEEDED);
    q.state.count = 0;
    name[RATOON_NAME_MAX] = '\0';
    q.subject = name;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
}
END_TEST

START_TEST(test_S06_key_given_twice_refused)
{
    ratoon__create_request q = request_of();
    q.state = world_values(&w, "a=1 b=2 a=3");
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "'a'"));
}
END_TEST

START_TEST(test_R03_until_an_unknown_stage_refused_with_list)
{
    ratoon__create_request q = request_of();
    q.until = "publish";
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_NO_SUCH_STAGE);
    ck_assert_ptr_nonnull(strstr(w.error.message, "plan, draft"));
}
END_TEST

START_TEST(test_R10_held_scope_refused_naming_the_holder)
{
    ratoon__create_request q = request_of();
    const ratoon_id holder = world_new_id(&w);
    const char *scope = NULL;
    char text[RATOON_ID_TEXT];
    ratoon_id_format(holder, text);
    ck_assert_int_eq(ratoon__create_scope(&q, &w.arena, &scope, &w.error), RATOON_OK);
    ck_assert_str_eq(scope, "compile-fast");
    w.facts.claimed_scope = scope;
    w.facts.claimed_by = holder;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_ERR_SCOPE_BUSY);
    ck_assert_ptr_nonnull(strstr(w.error.message, text));
    ck_assert(ratoon_id_equal(w.error.other, holder));
    w.facts.claimed_scope = "compile-full"; /* somebody else's business */
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
}
END_TEST

static size_t claims_after(world *at, const ratoon__lineage *before, ratoon__claim **claims)
{
    size_t count = 0;
    ck_assert_int_eq(ratoon__claims_of(before, at->l, at->last.events, at->last.count, &at->arena,
                                       claims, &count),
                     RATOON_OK);
    return count;
}

START_TEST(test_R10_scope_and_key_are_claimed_and_the_scope_released)
{
    ratoon__create_request q = request_of();
    ratoon__claim *claims = NULL;
    q.key = "once";
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    ck_assert_uint_eq(claims_after(&w, NULL, &claims), 2);
    ck_assert_str_eq(claims[0].name, "scope:compile-fast");
    ck_assert(claims[0].take);
    ck_assert_str_eq(claims[1].name, "key:once");
    ck_assert(claims[1].take);

    ratoon__lineage *before = ratoon__lineage_ref(w.l);
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK); /* suspended */
    ck_assert_uint_eq(claims_after(&w, before, &claims), 1);
    ck_assert_str_eq(claims[0].name, "scope:compile-fast");
    ck_assert(!claims[0].take);
    ratoon__lineage_unref(before);

    before = ratoon__lineage_ref(w.l);
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_OK);
    ck_assert_uint_eq(claims_after(&w, before, &claims), 1);
    ck_assert(claims[0].take);
    ratoon__lineage_unref(before);

    before = ratoon__lineage_ref(w.l);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK); /* cancelling still holds it */
    ck_assert_uint_eq(claims_after(&w, before, &claims), 0);
    ratoon__lineage_unref(before);

    before = ratoon__lineage_ref(w.l);
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    ck_assert_uint_eq(claims_after(&w, before, &claims), 1);
    ck_assert(!claims[0].take);
    ratoon__lineage_unref(before);
}
END_TEST

START_TEST(test_R10_cancelled_suspended_run_gives_back_nothing_twice)
{
    ratoon__create_request q = request_of();
    ratoon__claim *claims = NULL;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    ratoon__lineage *before = ratoon__lineage_ref(w.l);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_uint_eq(claims_after(&w, before, &claims), 0);
    ratoon__lineage_unref(before);
}
END_TEST

START_TEST(test_R10_queued_run_holds_its_scope_and_takes_it_once)
{
    ratoon__create_request q = request_of();
    ratoon__claim *claims = NULL;
    size_t count = 0;
    q.no_exec = true;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    ck_assert_uint_eq(claims_after(&w, NULL, &claims), 1);
    ratoon__lineage *before = ratoon__lineage_ref(w.l);
    ck_assert_int_eq(world_resume(&w, w.root, NULL), RATOON_OK);
    ck_assert_uint_eq(claims_after(&w, before, &claims), 0);
    ratoon__lineage_unref(before);
    /* However many events of a commit are about the run. */
    const ratoon__event twice[] = {{.type = RATOON__EVENT_RUN_STARTED, .run = w.root},
                                   {.type = RATOON__EVENT_RUN_STARTED, .run = w.root}};
    ck_assert_int_eq(ratoon__claims_of(NULL, w.l, twice, 2, &w.arena, &claims, &count), RATOON_OK);
    ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(test_R20_deleted_lineage_gives_its_names_back)
{
    ratoon__create_request q = request_of();
    ratoon__claim *claims = NULL;
    size_t count = 0;
    q.key = "once";
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    const ratoon__event deleted = {.type = RATOON__EVENT_LINEAGE_DELETED, .run = w.root};
    ratoon__lineage *none = ratoon__lineage_new(w.root);
    ck_assert_int_eq(ratoon__claims_of(w.l, none, &deleted, 1, &w.arena, &claims, &count),
                     RATOON_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_str_eq(claims[0].name, "key:once");
    ck_assert(!claims[0].take);
    ratoon__lineage_unref(none);
}
END_TEST

START_TEST(test_A05_automatic_branches_as_asked_or_as_the_pipeline_says)
{
    ratoon__create_request q = request_of();
    q.auto_retry = 2;
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    ck_assert_int_eq(world_run(&w, w.root)->fixed->created.auto_retry, 2);
    world_close(&w);
    setup();
    q = request_of();
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    ck_assert_int_eq(world_run(&w, w.root)->fixed->created.auto_retry, 0);
    world_close(&w);
    open_with((world_pipeline){.stages = stages, .stages_count = 2, .auto_retry = true});
    q = request_of();
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    ck_assert_int_eq(world_run(&w, w.root)->fixed->created.auto_retry, 3);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("decide_create");
    TCase *t = tcase_create("create");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_R12_defaults_and_given_values_are_recorded);
    tcase_add_test(t, test_R12_unknown_parameter_lists_those_there_are);
    tcase_add_test(t, test_R12_out_of_range_and_twice_refused);
    tcase_add_test(t, test_R12_parameter_without_default_must_be_given);
    tcase_add_test(t, test_E08_secret_is_recorded_as_digest_only);
    tcase_add_test(t, test_R17_target_ahead_refused);
    tcase_add_test(t, test_S01_initial_state_is_kept_whole);
    tcase_add_test(t, test_S06_names_over_the_limit_refused);
    tcase_add_test(t, test_S06_key_given_twice_refused);
    tcase_add_test(t, test_R03_until_an_unknown_stage_refused_with_list);
    tcase_add_test(t, test_A05_automatic_branches_as_asked_or_as_the_pipeline_says);
    tcase_add_test(t, test_R10_held_scope_refused_naming_the_holder);
    tcase_add_test(t, test_R10_scope_and_key_are_claimed_and_the_scope_released);
    tcase_add_test(t, test_R10_queued_run_holds_its_scope_and_takes_it_once);
    tcase_add_test(t, test_R20_deleted_lineage_gives_its_names_back);
    tcase_add_test(t, test_R10_cancelled_suspended_run_gives_back_nothing_twice);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
