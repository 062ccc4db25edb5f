/* Every status of a stage and of a run against every change (L03): the legal ones work, any other
 * is refused with nothing appended. */
#include "tests/support/support.h"
#include "tests/support/world.h"

#include <string.h>

static world w;

static void open_with(const world_stage *stages, size_t count)
{
    const world_pipeline p = {.stages = stages, .stages_count = count};
    world_open(&w, world_pipeline_new(&p));
    world_create(&w, "topic=1");
}

static void setup(void)
{
    static const world_stage one[] = {{.name = "s"}};
    open_with(one, 1);
}

static void teardown(void)
{
    world_close(&w);
}

static const ratoon__stage *stage(const char *name)
{
    return world_stage_of(&w, w.root, name);
}

enum { STATUSES = 8, CHANGES = 8 };

/* A branch whose stage "s" has the status; in a run that runs. */
static void make_stage(ratoon_stage_status status)
{
    static const world_stage two[] = {
        {.name = "s"},
        {.name = "t", .needs = "", .requires_keys = "absent", .allow_failure = true},
    };
    world_close(&w);
    open_with(two, 2);
    if (status == RATOON_STAGE_REUSED) {
        world_succeed(&w, w.root, "s", "");
        ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
        ck_assert_int_eq(world_retry_from(&w, w.root, "t"), RATOON_ERR_MISSING_KEYS);
        const ratoon_value edit = {.key = "absent", .data = "1", .size = 1};
        ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
        o.parent = w.root;
        o.from = "t";
        o.edits = &edit;
        o.edits_count = 1;
        ck_assert_int_eq(world_retry(&w, &o), RATOON_OK);
        w.root = w.made;
        return;
    }
    if (status == RATOON_STAGE_SKIPPED) {
        const ratoon_op skip = {.kind = RATOON_OP_STAGE_SKIP, .stage = "s"};
        ck_assert_int_eq(world_apply(&w, w.root, skip), RATOON_OK);
        return;
    }
    if (status != RATOON_STAGE_PENDING) {
        ck_assert_int_eq(world_start(&w, w.root, "s"), RATOON_OK);
    }
    if (status != RATOON_STAGE_PENDING && status != RATOON_STAGE_RUNNING) {
        ck_assert_int_eq(world_end(&w, w.root, "s", status, ""), RATOON_OK);
    }
    ck_assert_int_eq(stage("s")->status, status);
}

static ratoon_op change_of(int change)
{
    static const ratoon_stage_status ends[] = {RATOON_STAGE_SUCCEEDED, RATOON_STAGE_DEGRADED,
                                               RATOON_STAGE_FAILED, RATOON_STAGE_CANCELLED};
    switch (change) {
    case 0:
        return (ratoon_op){.kind = RATOON_OP_STAGE_START, .stage = "s"};
    case 1:
        return (ratoon_op){.kind = RATOON_OP_STAGE_RETURN, .stage = "s"};
    case 2:
        return (ratoon_op){.kind = RATOON_OP_STAGE_SKIP, .stage = "s"};
    case 3:
        return (ratoon_op){.kind = RATOON_OP_STAGE_REFUSE, .stage = "s"};
    default:
        return (ratoon_op){.kind = RATOON_OP_STAGE_END, .stage = "s", .status = ends[change - 4]};
    }
}

START_TEST(test_L03_every_stage_status_against_every_change)
{
    /* start, return, skip, refuse, then end as succeeded, degraded, failed, cancelled */
    static const bool legal[STATUSES][CHANGES] = {
        {true, false, true, false, false, false, false, true}, /* pending */
        {false, true, false, false, true, true, true, true},   /* running */
        {false},
        {false},
        {false},
        {false},
        {false},
        {false}, /* done, failed, cancelled */
    };
    for (int status = 0; status < STATUSES; status++) {
        for (int change = 0; change < CHANGES; change++) {
            make_stage((ratoon_stage_status)(status + 1));
            const ratoon_stage_status before = stage("s")->status;
            const uint64_t events = w.l->events;
            const ratoon_status got = world_apply(&w, w.root, change_of(change));
            if (legal[status][change]) {
                ck_assert_int_eq(got, RATOON_OK);
                continue;
            }
            ck_assert_int_eq(got, RATOON_ERR_ILLEGAL_TRANSITION);
            ck_assert_uint_eq(w.l->events, events);
            ck_assert_str_eq(w.error.stage, "s");
            ck_assert(ratoon_id_equal(w.error.run, w.root));
            ck_assert_ptr_nonnull(strstr(w.error.message, ratoon_stage_status_name(before)));
        }
    }
}
END_TEST

/* The root in the status asked for. */
static void make_run(ratoon_run_status status)
{
    static const world_stage one[] = {{.name = "s"}};
    world_close(&w);
    world_open(&w, world_pipeline_new(&(world_pipeline){.stages = one, .stages_count = 1}));
    const ratoon__create_request q = {
        .run = w.root, .pipeline = w.p, .auto_retry = -1, .no_exec = status == RATOON_RUN_QUEUED};
    ck_assert_int_eq(world_create_with(&w, &q), RATOON_OK);
    if (status == RATOON_RUN_SUCCEEDED) {
        world_succeed(&w, w.root, "s", "");
    } else if (status == RATOON_RUN_FAILED) {
        world_fail(&w, w.root, "s", RATOON_CLASS_UNKNOWN, "");
    } else if (status == RATOON_RUN_DEGRADED) {
        ck_assert_int_eq(world_start(&w, w.root, "s"), RATOON_OK);
        ck_assert_int_eq(world_end(&w, w.root, "s", RATOON_STAGE_DEGRADED, ""), RATOON_OK);
    } else if (status == RATOON_RUN_CANCELLING || status == RATOON_RUN_CANCELLED) {
        ck_assert_int_eq(world_cancel(&w, w.root), RATOON_OK);
    } else if (status == RATOON_RUN_SUSPENDED) {
        ck_assert_int_eq(world_recover(&w, w.root), RATOON_OK);
    }
    if (ratoon_run_status_terminal(status)) {
        ck_assert_int_eq(world_finish(&w, w.root), RATOON_OK);
    }
    ck_assert_int_eq(world_run(&w, w.root)->status, status);
}

typedef ratoon_status (*run_change)(void);

static ratoon_status change_start(void)
{
    return world_resume(&w, w.root, NULL);
}

static ratoon_status change_finish(void)
{
    return world_finish(&w, w.root);
}

static ratoon_status change_cancel(void)
{
    return world_cancel(&w, w.root);
}

static ratoon_status change_stage(void)
{
    return world_start(&w, w.root, "s");
}

START_TEST(test_L03_every_run_status_against_every_change)
{
    static const run_change changes[] = {change_start, change_finish, change_cancel, change_stage};
    static const ratoon_status ok = RATOON_OK;
    static const ratoon_status illegal = RATOON_ERR_ILLEGAL_TRANSITION;
    static const ratoon_status active = RATOON_ERR_RUN_ACTIVE;
    const ratoon_status expected[STATUSES][4] = {
        {ok, illegal, ok, illegal},           /* queued */
        {active, ok, ok, ok},                 /* running */
        {active, ok, ok, illegal},            /* cancelling */
        {ok, illegal, ok, illegal},           /* suspended */
        {illegal, illegal, illegal, illegal}, /* succeeded */
        {illegal, illegal, illegal, illegal}, /* degraded */
        {illegal, illegal, illegal, illegal}, /* failed */
        {illegal, illegal, illegal, illegal}, /* cancelled */
    };
    for (int status = 0; status < STATUSES; status++) {
        for (int change = 0; change < 4; change++) {
            make_run((ratoon_run_status)(status + 1));
            const uint64_t events = w.l->events;
            const ratoon_status got = changes[change]();
            ck_assert_int_eq(got, expected[status][change]);
            if (got != RATOON_OK) {
                ck_assert_uint_eq(w.l->events, events);
                ck_assert(ratoon_id_equal(w.error.run, w.root));
                ck_assert_ptr_nonnull(strstr(
                    w.error.message, ratoon_run_status_name((ratoon_run_status)(status + 1))));
            }
        }
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("decide_transition");
    TCase *t = tcase_create("transition");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_L03_every_stage_status_against_every_change);
    tcase_add_test(t, test_L03_every_run_status_against_every_change);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(suite)
