#include "tests/support/lineage.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { STEPS = 400, STAGES = 5, FLIPS = 4000 };

static ratoon_pipeline *definitions[2];

static ratoon_pipeline *resolve(void *ctx, ratoon_digest digest)
{
    (void)ctx;
    for (size_t i = 0; i < 2; i++) {
        if (definitions[i] != NULL &&
            memcmp(&definitions[i]->digest, &digest, sizeof digest) == 0) {
            return ratoon__pipeline_ref(definitions[i]);
        }
    }
    return NULL;
}

static ratoon__lineage *round_trip(const ratoon__lineage *l)
{
    ratoon__buf bytes = {0};
    ratoon__buf what = {0};
    ratoon_error error = {0};
    ratoon__lineage *copy = NULL;
    ck_assert_int_eq(ratoon__snapshot_encode(l, &bytes), RATOON_OK);
    const ratoon_status status =
        ratoon__snapshot_decode(bytes.data, bytes.size, resolve, NULL, &copy, &error);
    ck_assert_msg(status == RATOON_OK, "%s", error.message);
    ck_assert_msg(ratoon__lineage_equal(l, copy, &what), "%s", what.data);
    /* The same projection gives the same bytes. */
    ratoon__buf again = {0};
    ck_assert_int_eq(ratoon__snapshot_encode(copy, &again), RATOON_OK);
    ck_assert_uint_eq(bytes.size, again.size);
    ck_assert_mem_eq(bytes.data, again.data, again.size);
    ratoon__buf_free(&again);
    ratoon__buf_free(&bytes);
    return copy;
}

/* ---- a random history ---- */

typedef struct walk {
    support_lineage s;
    support_prng random;
    uint32_t run; /* the newest */
} walk;

static uint32_t below(walk *w, uint32_t bound)
{
    return (uint32_t)support_prng_below(&w->random, bound);
}

static const char *word(walk *w)
{
    static const char *const words[] = {"one", "two", "three", "", "k"};
    return words[below(w, 5)];
}

static const char *stage_name(const walk *w, uint32_t i)
{
    return support_run(&w->s, w->run)->pipeline->stages[i].pub.name;
}

/* Events that a decider would not all allow; the fold has to cope with every one. */
static ratoon__event random_event(walk *w)
{
    static const ratoon__event_type types[] = {
        RATOON__EVENT_STAGE_STARTED,
        RATOON__EVENT_STAGE_ENDED,
        RATOON__EVENT_STAGE_RETURNED,
        RATOON__EVENT_STAGE_PROGRESS,
        RATOON__EVENT_STAGE_ITEMS,
        RATOON__EVENT_STAGE_CONSUMED,
        RATOON__EVENT_ITEM_ENDED,
        RATOON__EVENT_ITEM_ENDED,
        RATOON__EVENT_RUN_SUSPENDED,
        RATOON__EVENT_RUN_STARTED,
        RATOON__EVENT_RUN_ENDED,
        RATOON__EVENT_RUN_ANNOTATED,
        RATOON__EVENT_RUN_EXTERNAL_REF,
        RATOON__EVENT_RUN_CANCEL_REQUESTED,
        RATOON__EVENT_RUN_PIPELINE_CHANGED,
    };
    static const ratoon_stage_status ends[] = {RATOON_STAGE_SUCCEEDED, RATOON_STAGE_DEGRADED,
                                               RATOON_STAGE_FAILED, RATOON_STAGE_CANCELLED,
                                               RATOON_STAGE_SKIPPED};
    static const ratoon_run_status run_ends[] = {RATOON_RUN_SUCCEEDED, RATOON_RUN_FAILED,
                                                 RATOON_RUN_CANCELLED, RATOON_RUN_DEGRADED};
    const ratoon__event_type type = types[below(w, sizeof types / sizeof *types)];
    ratoon__event e = support_stage_event(&w->s, type, w->run, stage_name(w, below(w, STAGES)));
    ratoon__value_ref *value = ratoon__arena_alloc(&w->s.arena, 2 * sizeof *value);
    value[0] = support_value(word(w), word(w));
    value[1] = support_value("always", word(w));
    if (below(w, 3) == 0) {
        value[0].data = NULL; /* stored elsewhere */
        value[0].media_type = "text/plain";
    }
    static const ratoon__override suggested = {"size", "8", "4", false};
    const ratoon__failure failure = {.error_class = (ratoon_class)below(w, 10),
                                     .message = word(w),
                                     .detail = below(w, 2) == 0 ? NULL : word(w),
                                     .retryable = below(w, 2) == 0,
                                     .suggested = &suggested,
                                     .suggested_count = below(w, 2)};
    switch (type) {
    case RATOON__EVENT_STAGE_STARTED:
        e.u.stage_started.attempt++;
        break;
    case RATOON__EVENT_STAGE_ENDED:
        e.u.stage_ended.status = ends[below(w, 5)];
        e.u.stage_ended.outputs = (ratoon__values){value, below(w, 3)};
        e.u.stage_ended.failure = failure;
        e.u.stage_ended.reason = below(w, 2) == 0 ? NULL : word(w);
        e.u.stage_ended.has_progress = below(w, 2) == 0;
        e.u.stage_ended.done = below(w, 100);
        break;
    case RATOON__EVENT_STAGE_RETURNED:
        e.u.stage_returned.partial = (ratoon__values){value, below(w, 3)};
        e.u.stage_returned.failure = failure;
        e.u.stage_returned.delay_ms = below(w, 3);
        break;
    case RATOON__EVENT_STAGE_PROGRESS:
        e.u.progress.message = below(w, 2) == 0 ? NULL : word(w);
        break;
    case RATOON__EVENT_STAGE_ITEMS:
        e.u.items.total = below(w, 1000);
        break;
    case RATOON__EVENT_STAGE_CONSUMED:
        e.u.consumed.run = support_id(1 + below(w, 4));
        break;
    case RATOON__EVENT_ITEM_ENDED:
        value[0].key = "";
        e.u.item.key = word(w);
        e.u.item.failed = below(w, 2) == 0;
        e.u.item.committed = below(w, 4) == 0;
        e.u.item.has_output = below(w, 2) == 0;
        e.u.item.output = value[0];
        e.u.item.error = e.u.item.failed ? word(w) : NULL;
        break;
    case RATOON__EVENT_RUN_SUSPENDED:
        e.u.suspended.error_class = RATOON_CLASS_INTERRUPTED;
        e.u.suspended.reason = below(w, 2) == 0 ? NULL : word(w);
        break;
    case RATOON__EVENT_RUN_STARTED:
        e.u.started.epoch = support_run(&w->s, w->run)->epoch + 1;
        e.u.started.until = (int32_t)below(w, STAGES + 1) - 1;
        e.u.started.executor = support_id(700 + below(w, 5));
        break;
    case RATOON__EVENT_RUN_ENDED:
        e.u.ended.status = run_ends[below(w, 4)];
        e.u.ended.reason = below(w, 2) == 0 ? NULL : word(w);
        break;
    case RATOON__EVENT_RUN_ANNOTATED:
        e.u.annotated.text = word(w);
        break;
    case RATOON__EVENT_RUN_EXTERNAL_REF:
        e.u.external_ref.ref = word(w);
        break;
    case RATOON__EVENT_RUN_CANCEL_REQUESTED:
        e.u.cancel_requested.reason = word(w);
        break;
    case RATOON__EVENT_RUN_PIPELINE_CHANGED:
        e.u.pipeline_changed.pipeline = definitions[below(w, 2)];
        break;
    default:
        break;
    }
    return e;
}

static void random_branch(walk *w)
{
    static const char *const sets[] = {"b c", "a b c d e", "d", "a", "c e"};
    static const char *const listed[] = {"two", "k"};
    static const char *const kept[] = {"one"};
    ratoon__stage_plan plans[2];
    for (uint32_t i = 0; i < 2; i++) {
        plans[i] = (ratoon__stage_plan){.stage = below(w, STAGES),
                                        .mode = (ratoon_items_mode)below(w, 4),
                                        .keep_done = below(w, 2) == 0,
                                        .keep_committed = below(w, 2) == 0,
                                        .keep_failed = below(w, 2) == 0,
                                        .keep_outputs = below(w, 2) == 0,
                                        .listed = listed,
                                        .listed_count = below(w, 3),
                                        .kept = kept,
                                        .kept_count = below(w, 2)};
    }
    const support_branch b = {
        .parent = 1 + below(w, w->s.l->runs_count),
        .rerun = sets[below(w, 5)],
        .edits = below(w, 3) == 0 ? "one=edited extra=1" : NULL,
        .partial = below(w, 4) == 0 ? "two=half" : NULL,
        .pipeline = below(w, 4) == 0 ? definitions[below(w, 2)] : NULL,
        .plans = plans,
        .plans_count = 2,
        .only = below(w, 2) == 0,
    };
    w->run = support_branch_create(&w->s, &b);
}

static void walk_begin(walk *w)
{
    static ratoon__value_ref state[2];
    definitions[0] = support_pipeline("a; b: a; c: b; d: a !allow_failure; e: c d !commits");
    definitions[1] = support_pipeline("e; d: e; a; b: a d; c: b");
    state[0] = support_value("one", "start");
    state[1] = support_value("empty", "");
    *w = (walk){.random = support_prng_new(support_seed()), .run = 1};
    support_lineage_init(&w->s, definitions[0], state, 2);
}

static void walk_end(walk *w)
{
    support_lineage_free(&w->s);
    for (size_t i = 0; i < 2; i++) {
        ratoon_pipeline_free(definitions[i]);
        definitions[i] = NULL;
    }
}

static void walk_step(walk *w)
{
    if (below(w, 20) == 0 && w->s.l->runs_count < 12) {
        random_branch(w);
        return;
    }
    ratoon__event events[3];
    const uint32_t count = 1 + below(w, 3);
    for (uint32_t i = 0; i < count; i++) {
        events[i] = random_event(w);
        if (events[i].type == RATOON__EVENT_RUN_PIPELINE_CHANGED) {
            events[0] = events[i];
            ck_assert_int_eq(support_commit(&w->s, events, 1), RATOON_OK);
            return;
        }
    }
    ck_assert_msg(support_commit(&w->s, events, count) == RATOON_OK, "%s", w->s.error.message);
}

START_TEST(test_S07_snapshot_goes_round_at_every_step)
{
    walk w;
    walk_begin(&w);
    for (unsigned i = 0; i < STEPS; i++) {
        walk_step(&w);
        ratoon__lineage *decoded = round_trip(w.s.l);
        ratoon__lineage_unref(w.s.l);
        w.s.l = decoded;
    }
    ck_assert_uint_gt(w.s.l->runs_count, 4);
    walk_end(&w);
}
END_TEST

START_TEST(test_S07_two_ways_to_the_same_projection_are_equal)
{
    walk a;
    walk b;
    ratoon__buf what = {0};
    walk_begin(&a);
    ratoon_pipeline *kept[2] = {definitions[0], definitions[1]};
    walk_begin(&b);
    for (unsigned i = 0; i < STEPS; i++) {
        walk_step(&a);
        walk_step(&b);
        if (i % 7 == 0) { /* b goes by way of snapshots, a doesn't */
            ratoon__lineage *decoded = round_trip(b.s.l);
            ratoon__lineage_unref(b.s.l);
            b.s.l = decoded;
        }
        ck_assert_msg(ratoon__lineage_equal(a.s.l, b.s.l, &what), "%s", what.data);
    }
    walk_end(&b);
    support_lineage_free(&a.s);
    ratoon_pipeline_free(kept[0]);
    ratoon_pipeline_free(kept[1]);
}
END_TEST

/* Other threads look at a projection while its snapshot is made: not a byte of it is written, not
 * even with what it holds already. */
START_TEST(test_S07_a_snapshot_leaves_the_projection_alone)
{
    ratoon__buf bytes = {0};
    ratoon_pipeline *p = support_pipeline("a; b: a");
    support_lineage s;
    support_lineage_init(&s, p, NULL, 0);
    support_succeed(&s, 1, "a", "k=v");
    ratoon__lineage *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    memcpy(page, s.l, sizeof *page);
    ck_assert_int_eq(mprotect(page, sizeof *page, PROT_READ), 0);
    ck_assert_int_eq(ratoon__snapshot_encode(page, &bytes), RATOON_OK);
    ck_assert_uint_gt(bytes.size, 0);
    ck_assert_int_eq(munmap(page, sizeof *page), 0);
    ratoon__buf_free(&bytes);
    support_lineage_free(&s);
    ratoon_pipeline_free(p);
}
END_TEST

START_TEST(test_R25_stale_stages_stay_stale_in_a_snapshot)
{
    ratoon_pipeline *p = support_pipeline("a; b: a; c: b");
    definitions[0] = p;
    support_lineage s;
    support_lineage_init(&s, p, NULL, 0);
    support_succeed(&s, 1, "a", NULL);
    support_succeed(&s, 1, "b", "k=v");
    support_succeed(&s, 1, "c", NULL);
    support_finish(&s, 1, RATOON_RUN_SUCCEEDED);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b", .only = true});
    ratoon__lineage *copy = round_trip(s.l);
    ck_assert(ratoon__run_stage_at(copy->runs[1], 2)->stale);
    ck_assert(!ratoon__run_stage_at(copy->runs[1], 0)->stale);
    ratoon__lineage_unref(copy);
    support_lineage_free(&s);
    ratoon_pipeline_free(p);
    definitions[0] = NULL;
}
END_TEST

START_TEST(test_S07_equality_says_what_differs)
{
    ratoon_pipeline *p = support_pipeline("a; b: a");
    support_lineage one;
    support_lineage other;
    support_lineage_init(&one, p, NULL, 0);
    support_lineage_init(&other, p, NULL, 0);
    ratoon__buf what = {0};
    ck_assert(ratoon__lineage_equal(one.l, other.l, &what));
    support_start(&one, 1, "b");
    support_start(&other, 1, "b");
    support_end(&one, 1, "b", RATOON_STAGE_SUCCEEDED, "k=1");
    support_end(&other, 1, "b", RATOON_STAGE_SUCCEEDED, "k=2");
    ck_assert(!ratoon__lineage_equal(one.l, other.l, &what));
    ck_assert_ptr_nonnull(strstr(what.data, "stage 'b'"));
    ck_assert_ptr_nonnull(strstr(what.data, "outputs"));
    ck_assert(!ratoon__lineage_equal(one.l, other.l, NULL));
    ratoon__buf_free(&what);
    support_lineage_free(&one);
    support_lineage_free(&other);
    ratoon_pipeline_free(p);
}
END_TEST

START_TEST(test_snapshot_shares_what_branches_share)
{
    ratoon_pipeline *p = support_pipeline("a; b: a");
    definitions[0] = p;
    support_lineage s;
    support_lineage_init(&s, p, NULL, 0);
    support_start(&s, 1, "a");
    for (uint32_t i = 0; i < 200; i++) {
        ratoon__buf key = {0};
        ratoon__buf_format(&key, "item-%u", i);
        support_item(&s, 1, "a", key.data, false, false, "output");
        ratoon__buf_free(&key);
    }
    support_end(&s, 1, "a", RATOON_STAGE_SUCCEEDED, "k=v");
    support_start(&s, 1, "b");
    support_end(&s, 1, "b", RATOON_STAGE_FAILED, NULL);
    support_finish(&s, 1, RATOON_RUN_FAILED);
    ratoon__buf before = {0};
    ck_assert_int_eq(ratoon__snapshot_encode(s.l, &before), RATOON_OK);
    support_branch_create(&s, &(support_branch){.parent = 1, .rerun = "b"});
    ratoon__buf after = {0};
    ck_assert_int_eq(ratoon__snapshot_encode(s.l, &after), RATOON_OK);
    ck_assert_uint_lt(after.size, before.size + 600);
    ratoon__lineage *copy = round_trip(s.l);
    ck_assert_ptr_eq(ratoon__run_stage_at(copy->runs[0], 0)->items,
                     ratoon__run_stage_at(copy->runs[1], 0)->items);
    ratoon__lineage_unref(copy);
    ratoon__buf_free(&before);
    ratoon__buf_free(&after);
    support_lineage_free(&s);
    ratoon_pipeline_free(p);
    definitions[0] = NULL;
}
END_TEST

/* A copy of exactly this size, so that a sanitizer sees every byte read beyond it. */
static ratoon_status decode_exactly(const char *data, size_t size)
{
    char *exact = malloc(size == 0 ? 1 : size);
    ratoon__lineage *copy = NULL;
    memcpy(exact, data, size);
    const ratoon_status status = ratoon__snapshot_decode(exact, size, resolve, NULL, &copy, NULL);
    free(exact);
    if (status == RATOON_OK) {
        ratoon__lineage_unref(copy);
    } else {
        ck_assert_int_eq(status, RATOON_ERR_DAMAGED);
        ck_assert_ptr_null(copy);
    }
    return status;
}

START_TEST(test_E04_damaged_snapshot_is_refused_and_never_crashes)
{
    walk w;
    walk_begin(&w);
    for (unsigned i = 0; i < STEPS / 4; i++) {
        walk_step(&w);
    }
    ratoon__buf bytes = {0};
    ck_assert_int_eq(ratoon__snapshot_encode(w.s.l, &bytes), RATOON_OK);
    for (size_t size = 0; size < bytes.size; size++) {
        ck_assert_int_eq(decode_exactly(bytes.data, size), RATOON_ERR_DAMAGED);
    }
    for (unsigned i = 0; i < FLIPS; i++) {
        const size_t at = (size_t)support_prng_below(&w.random, bytes.size);
        const char old = bytes.data[at];
        bytes.data[at] = (char)support_prng_next(&w.random);
        (void)decode_exactly(bytes.data, bytes.size); /* may go unnoticed: there is no checksum */
        bytes.data[at] = old;
    }
    ratoon__buf_add(&bytes, "", 1);
    ck_assert_int_eq(decode_exactly(bytes.data, bytes.size), RATOON_ERR_DAMAGED);
    ck_assert_int_eq(ratoon__snapshot_decode(NULL, 0, resolve, NULL, &w.s.l, NULL),
                     RATOON_ERR_DAMAGED);
    ratoon__buf_free(&bytes);
    walk_end(&w);
}
END_TEST

START_TEST(test_snapshot_with_an_unknown_definition_is_refused)
{
    ratoon_pipeline *p = support_pipeline("a");
    support_lineage s;
    support_lineage_init(&s, p, NULL, 0);
    ratoon__buf bytes = {0};
    ck_assert_int_eq(ratoon__snapshot_encode(s.l, &bytes), RATOON_OK);
    ck_assert_int_eq(decode_exactly(bytes.data, bytes.size), RATOON_ERR_DAMAGED);
    ratoon__buf_free(&bytes);
    support_lineage_free(&s);
    ratoon_pipeline_free(p);
}
END_TEST

static Suite *suite(void)
{
    Suite *all = suite_create("snapshot");
    TCase *equal = tcase_create("round trip");
    tcase_set_timeout(equal, 120);
    tcase_add_test(equal, test_S07_snapshot_goes_round_at_every_step);
    tcase_add_test(equal, test_S07_two_ways_to_the_same_projection_are_equal);
    tcase_add_test(equal, test_S07_a_snapshot_leaves_the_projection_alone);
    tcase_add_test(equal, test_R25_stale_stages_stay_stale_in_a_snapshot);
    tcase_add_test(equal, test_S07_equality_says_what_differs);
    tcase_add_test(equal, test_snapshot_shares_what_branches_share);
    suite_add_tcase(all, equal);
    TCase *damage = tcase_create("damage");
    tcase_set_timeout(damage, 120);
    tcase_add_test(damage, test_E04_damaged_snapshot_is_refused_and_never_crashes);
    tcase_add_test(damage, test_snapshot_with_an_unknown_definition_is_refused);
    suite_add_tcase(all, damage);
    return all;
}

RATOON_TEST_MAIN(suite)
