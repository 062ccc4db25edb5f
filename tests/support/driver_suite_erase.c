/* R20 as far as it is a driver's: erasing what a mark stands for, and sweeping values. */
#include "tests/support/driver_suite.h"

#include "log/digest.h"
#include "tests/support/raw_commits.h"

#include <stdio.h>
#include <string.h>

static const driver_suite_target *target;
static ratoon__driver *d;

static void setup(void)
{
    d = target->open(target->ctx);
    ck_assert_ptr_nonnull(d);
}

static void teardown(void)
{
    target->close(target->ctx, d);
    d = NULL;
}

/* ---- helpers ---- */

static ratoon_digest digest_of(uint8_t n)
{
    return (ratoon_digest){{n, 1, 2, 3}};
}

static const char text_a[] = "the value a", text_b[2000] = "the value b";

/* Commits 1 to `last` of a lineage: the first takes a key, has a row and two values. */
static void fill(uint32_t lineage, uint64_t last)
{
    const ratoon__stored_value values[] = {{digest_of(1), text_a, sizeof text_a},
                                           {digest_of(2), text_b, sizeof text_b}};
    char key[32];
    (void)snprintf(key, sizeof key, "key:%u", lineage);
    const ratoon__claim claim = {key, raw_id(lineage), true};
    const ratoon__run_row row = {.run = raw_id(lineage),
                                 .root = raw_id(lineage),
                                 .created_at = 1000 + lineage,
                                 .status = RATOON_RUN_SUCCEEDED,
                                 .subject = "s",
                                 .pipeline = "p"};
    for (uint64_t number = 1; number <= last; number++) {
        const raw_commit commit = {.lineage = raw_id(lineage), .number = number};
        ratoon__append a = raw_append(&commit);
        a.rows = &row;
        a.rows_count = 1;
        if (number == 1) {
            a.values = values;
            a.values_count = 2;
            a.claims = &claim;
            a.claims_count = 1;
        }
        ck_assert_int_eq(d->ops->append(d, &a, 1, true, NULL), RATOON_OK);
        ck_assert_int_eq(a.status, RATOON_OK);
    }
    ck_assert_int_eq(d->ops->snapshot_put(d, raw_id(lineage), last, "snap", 4, NULL), RATOON_OK);
}

static ratoon__append erase(uint32_t lineage, uint64_t number)
{
    char key[32];
    (void)snprintf(key, sizeof key, "key:%u", lineage);
    const ratoon__claim claim = {key, raw_id(lineage), false};
    const ratoon__run_row row = {.run = raw_id(lineage), .root = raw_id(lineage)};
    const raw_commit commit = {.lineage = raw_id(lineage), .number = number};
    ratoon__append a = raw_append(&commit);
    a.erase = true;
    a.rows = &row;
    a.rows_count = 1;
    a.claims = &claim;
    a.claims_count = 1;
    ratoon_error error = {0};
    ck_assert_msg(d->ops->append(d, &a, 1, true, &error) == RATOON_OK, "%s", error.message);
    return a;
}

static bool count_row(void *ctx, const ratoon__run_row *row)
{
    (void)row;
    *(uint32_t *)ctx += 1;
    return true;
}

static void check_rows(uint32_t expected)
{
    static const struct {
        ratoon__index index;
        const char *key;
    } lists[] = {{RATOON__INDEX_TIME, NULL},
                 {RATOON__INDEX_STATUS, "succeeded"},
                 {RATOON__INDEX_SUBJECT, "s"},
                 {RATOON__INDEX_PIPELINE, "p"},
                 {RATOON__INDEX_ID, NULL}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const ratoon__list_query query = {
            .index = lists[i].index, .key = lists[i].key, .limit = 100};
        uint32_t count = 0;
        ck_assert_int_eq(d->ops->list(d, &query, count_row, &count, NULL), RATOON_OK);
        ck_assert_uint_eq(count, expected);
    }
}

static void check_numbers(uint32_t lineage, uint64_t first, uint64_t last)
{
    raw_commits c = {0};
    ck_assert_int_eq(d->ops->read(d, raw_id(lineage), 0, true, true, raw_commits_collect, &c, NULL),
                     RATOON_OK);
    ck_assert_uint_eq(c.count, last - first + 1);
    for (size_t i = 0; i < c.count; i++) {
        ck_assert_uint_eq(c.commits[i].number, first + i);
    }
    raw_commits_free(&c);
}

/* The erased lineage 1 had five commits, lineage 2 has three; the mark is the ninth. */
static void check_erased(void)
{
    uint64_t head = 0;
    uint64_t end = 0;
    uint64_t at = 0;
    ratoon_id id;
    ratoon_buffer snapshot = {0};
    check_numbers(1, 6, 6);
    check_numbers(2, 1, 3);
    ck_assert_int_eq(d->ops->head(d, raw_id(1), &head, NULL), RATOON_OK);
    ck_assert_uint_eq(head, 6);
    ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
    ck_assert_uint_eq(end, 10);
    ck_assert_int_eq(d->ops->run_get(d, raw_id(1), &id, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(d->ops->run_get(d, raw_id(2), &id, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->claim_get(d, "key:1", &id, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(d->ops->claim_get(d, "key:2", &id, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->snapshot_get(d, raw_id(1), UINT64_MAX, &at, &snapshot, NULL),
                     RATOON_ERR_NOT_FOUND);
    check_rows(1);
    raw_commits c = {0};
    ck_assert_int_eq(d->ops->tail(d, 1, 0, raw_commits_collect, &c, NULL), RATOON_OK);
    ck_assert_uint_eq(c.count, 4);
    static const uint64_t positions[] = {6, 7, 8, 9};
    ck_assert_mem_eq(c.positions, positions, sizeof positions);
    raw_commits_free(&c);
}

static void erase_the_first(void)
{
    fill(1, 5);
    fill(2, 3);
    const ratoon__append mark = erase(1, 6);
    ck_assert_int_eq(mark.status, RATOON_OK);
    ck_assert_uint_eq(mark.position, 9);
}

/* ---- erasing ---- */

START_TEST(test_R20_driver_mark_takes_the_place_of_a_lineage)
{
    erase_the_first();
    check_erased();
    /* The log goes on behind it, and nobody gets its numbers again. */
    ratoon__append result;
    ck_assert_int_eq(raw_append_one(d, raw_id(1), 1, 1, 1, &result), RATOON_ERR_CONFLICT);
    ck_assert_uint_eq(result.head, 6);
    ck_assert_int_eq(raw_append_one(d, raw_id(2), 4, 1, 1, &result), RATOON_OK);
    ck_assert_uint_eq(result.position, 10);
}
END_TEST

START_TEST(test_R20_driver_refused_mark_erases_nothing)
{
    fill(1, 5);
    const ratoon__append mark = erase(1, 5);
    ck_assert_int_eq(mark.status, RATOON_ERR_CONFLICT);
    ck_assert_uint_eq(mark.head, 5);
    check_numbers(1, 1, 5);
    check_rows(1);
}
END_TEST

START_TEST(test_R20_driver_late_snapshot_of_an_erased_lineage_is_dropped)
{
    erase_the_first();
    uint64_t at = 0;
    ratoon_buffer snapshot = {0};
    ck_assert_int_eq(d->ops->snapshot_put(d, raw_id(1), 4, "late", 4, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->snapshot_get(d, raw_id(1), UINT64_MAX, &at, &snapshot, NULL),
                     RATOON_ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_R20_driver_feed_that_begins_with_holes)
{
    fill(1, 3);
    ck_assert_int_eq(erase(1, 4).status, RATOON_OK);
    raw_commits c = {0};
    ck_assert_int_eq(d->ops->tail(d, 2, 0, raw_commits_collect, &c, NULL), RATOON_OK);
    ck_assert_uint_eq(c.count, 1);
    ck_assert_uint_eq(c.positions[0], 4);
    raw_commits_free(&c);
    ck_assert_int_eq(d->ops->tail(d, 5, 0, raw_commits_collect, &c, NULL), RATOON_ERR_TIMED_OUT);
}
END_TEST

START_TEST(test_R20_driver_erased_stays_erased_after_reopening)
{
    erase_the_first();
    if (target->reopen == NULL) {
        return;
    }
    d = target->reopen(target->ctx, d);
    ck_assert_ptr_nonnull(d);
    check_erased();
}
END_TEST

/* ---- sweeping ---- */

static void check_value(uint8_t n, bool expected)
{
    const ratoon_digest digest = digest_of(n);
    ratoon_buffer value = {0};
    ck_assert_int_eq(d->ops->value_get(d, &digest, &value, NULL),
                     expected ? RATOON_OK : RATOON_ERR_NOT_FOUND);
    ratoon_buffer_free(&value);
}

START_TEST(test_R20_driver_sweep_takes_out_values)
{
    const ratoon_digest digests[] = {digest_of(2), digest_of(9)};
    uint64_t end = 0;
    uint64_t count = 0;
    uint64_t bytes = 0;
    fill(1, 2);
    ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
    ck_assert_int_eq(d->ops->sweep(d, digests, 2, end - 1, &count, &bytes, NULL),
                     RATOON_ERR_CONFLICT);
    check_value(2, true);
    ck_assert_int_eq(d->ops->sweep(d, digests, 2, end, &count, &bytes, NULL), RATOON_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(bytes, sizeof text_b);
    check_value(1, true);
    check_value(2, false);
    /* Whoever uses it again stores it again. */
    fill(3, 1);
    check_value(2, true);
}
END_TEST

/* ---- heads ---- */

typedef struct heads {
    uint32_t lineages[8];
    uint64_t numbers[8];
    size_t count, stop_at;
} heads;

/* Keeps a head once its digest has been seen to be that of the commit's bytes. */
static bool collect_head(void *ctx, ratoon_id lineage, uint64_t number, const ratoon_digest *digest)
{
    heads *h = ctx;
    ratoon_digest expected;
    uint64_t head = 0;
    /* fill() and erase() leave writer and serial at zero. */
    const raw_commit commit = {.lineage = lineage, .number = number};
    ck_assert_int_eq(ratoon__sha256(&commit, sizeof commit, &expected), RATOON_OK);
    ck_assert_mem_eq(digest->bytes, expected.bytes, sizeof expected.bytes);
    ck_assert_int_eq(d->ops->head(d, lineage, &head, NULL), RATOON_OK); /* from within, too */
    ck_assert_uint_le(number, head);
    ck_assert_uint_lt(h->count, 8);
    h->lineages[h->count] = lineage.bytes[15];
    h->numbers[h->count++] = number;
    return h->count != h->stop_at;
}

static void check_heads(uint32_t after, uint64_t before, size_t count, const uint32_t *lineages,
                        const uint64_t *numbers)
{
    heads h = {0};
    const ratoon_id from = after == 0 ? (ratoon_id){{0}} : raw_id(after);
    ratoon_error error = {0};
    ck_assert_msg(d->ops->heads(d, from, before, collect_head, &h, &error) == RATOON_OK, "%s",
                  error.message);
    ck_assert_uint_eq(h.count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(h.lineages[i], lineages[i]);
        ck_assert_uint_eq(h.numbers[i], numbers[i]);
    }
}

/* Lineages 1, 2, 3 have 5, 3, 2 commits at positions 1-5, 6-8, 9-10. */
START_TEST(test_Q02_driver_heads_of_all_lineages_at_a_position)
{
    static const uint32_t lineages[] = {1, 2, 3};
    check_heads(0, UINT64_MAX, 0, lineages, NULL);
    fill(1, 5);
    fill(2, 3);
    fill(3, 2);
    check_heads(0, 11, 3, lineages, (const uint64_t[]){5, 3, 2});
    check_heads(0, UINT64_MAX, 3, lineages, (const uint64_t[]){5, 3, 2});
    check_heads(0, 8, 2, lineages, (const uint64_t[]){5, 2});
    check_heads(0, 3, 1, lineages, (const uint64_t[]){2});
    check_heads(0, 1, 0, lineages, NULL);
    check_heads(1, 10, 2, lineages + 1, (const uint64_t[]){3, 1});
    check_heads(3, 11, 0, lineages, NULL);
    heads first = {.stop_at = 1};
    ck_assert_int_eq(d->ops->heads(d, (ratoon_id){{0}}, 11, collect_head, &first, NULL), RATOON_OK);
    ck_assert_uint_eq(first.count, 1);
}
END_TEST

/* Whatever the position: what the mark stands for is gone, so the mark is all there is to show. */
START_TEST(test_Q02_driver_head_of_an_erased_lineage_is_its_mark)
{
    static const uint32_t lineages[] = {1, 2};
    erase_the_first();
    check_heads(0, 10, 2, lineages, (const uint64_t[]){6, 3});
    check_heads(0, 9, 2, lineages, (const uint64_t[]){6, 3});
    check_heads(0, 7, 2, lineages, (const uint64_t[]){6, 1});
}
END_TEST

void driver_suite_erase_add(Suite *suite, const driver_suite_target *one)
{
    target = one;
    TCase *t = tcase_create("erase");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_R20_driver_mark_takes_the_place_of_a_lineage);
    tcase_add_test(t, test_R20_driver_refused_mark_erases_nothing);
    tcase_add_test(t, test_R20_driver_late_snapshot_of_an_erased_lineage_is_dropped);
    tcase_add_test(t, test_R20_driver_feed_that_begins_with_holes);
    tcase_add_test(t, test_R20_driver_erased_stays_erased_after_reopening);
    tcase_add_test(t, test_R20_driver_sweep_takes_out_values);
    tcase_add_test(t, test_Q02_driver_heads_of_all_lineages_at_a_position);
    tcase_add_test(t, test_Q02_driver_head_of_an_erased_lineage_is_its_mark);
    suite_add_tcase(suite, t);
}
