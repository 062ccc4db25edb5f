#include "tests/support/driver_suite.h"

#include "tests/support/raw_commits.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { WAIT_MS = 20000, THREADS = 4, APPENDS_EACH = 60, MANY = 300 };

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

static ratoon_status append_at(ratoon_id lineage, uint64_t number, ratoon__append *result)
{
    return raw_append_one(d, lineage, number, 1, number, result);
}

static void append_ok(ratoon_id lineage, uint64_t number)
{
    ratoon__append result;
    ck_assert_int_eq(append_at(lineage, number, &result), RATOON_OK);
}

static uint64_t head_of(ratoon_id lineage)
{
    uint64_t head = UINT64_MAX;
    ck_assert_int_eq(d->ops->head(d, lineage, &head, NULL), RATOON_OK);
    return head;
}

static uint64_t end_of_feed(void)
{
    uint64_t end = 0;
    ck_assert_int_eq(d->ops->end(d, &end, NULL), RATOON_OK);
    return end;
}

static raw_commits read_all(ratoon_id lineage, uint64_t from, bool one_lineage, bool verify)
{
    raw_commits c = {0};
    ck_assert_int_eq(
        d->ops->read(d, lineage, from, one_lineage, verify, raw_commits_collect, &c, NULL),
        RATOON_OK);
    return c;
}

/* Appends one commit with claims, values or rows. */
static ratoon_status append_with(ratoon_id lineage, const ratoon__append *with,
                                 ratoon__append *result)
{
    const raw_commit commit = {.lineage = lineage, .number = head_of(lineage) + 1};
    *result = raw_append(&commit);
    result->values = with->values;
    result->values_count = with->values_count;
    result->claims = with->claims;
    result->claims_count = with->claims_count;
    result->rows = with->rows;
    result->rows_count = with->rows_count;
    ratoon_error error = {0};
    ratoon_status status = d->ops->append(d, result, 1, true, &error);
    ck_assert_msg(status == RATOON_OK, "%s", error.message);
    return result->status;
}

static ratoon_status claim(const char *name, uint32_t run, bool take, ratoon__append *result)
{
    const ratoon__claim one = {.name = name, .run = raw_id(run), .take = take};
    const ratoon__append with = {.claims = &one, .claims_count = 1};
    return append_with(raw_id(run), &with, result);
}

static void check_holder(const char *name, uint32_t run)
{
    ratoon_id holder = {{0}};
    const ratoon_status status = d->ops->claim_get(d, name, &holder, NULL);
    if (run == 0) {
        ck_assert_int_eq(status, RATOON_ERR_NOT_FOUND);
    } else {
        ck_assert_int_eq(status, RATOON_OK);
        ck_assert(ratoon_id_equal(holder, raw_id(run)));
    }
}

static ratoon_digest digest_of(uint32_t n)
{
    ratoon_digest digest;
    support_prng prng = support_prng_new(n);
    support_prng_fill(&prng, &digest, sizeof digest);
    return digest;
}

/* ---- commits ---- */

START_TEST(test_driver_empty_store_has_nothing)
{
    ratoon_id id;
    raw_commits c = read_all((ratoon_id){{0}}, 0, false, true);
    ck_assert_uint_eq(c.count, 0);
    raw_commits_free(&c);
    ck_assert_uint_eq(head_of(raw_id(1)), 0);
    ck_assert_uint_eq(end_of_feed(), 1);
    ck_assert_int_eq(d->ops->run_get(d, raw_id(1), &id, NULL), RATOON_ERR_NOT_FOUND);
    check_holder("scope:none", 0);
    ck_assert_int_eq(d->ops->append(d, NULL, 0, true, NULL), RATOON_OK);
}
END_TEST

START_TEST(test_driver_append_numbers_and_positions)
{
    ratoon__append result;
    for (uint64_t number = 1; number <= 3; number++) {
        ck_assert_int_eq(append_at(raw_id(1), number, &result), RATOON_OK);
        ck_assert_uint_eq(result.position, 2 * number - 1);
        ck_assert_int_eq(append_at(raw_id(2), number, &result), RATOON_OK);
        ck_assert_uint_eq(result.position, 2 * number);
    }
    ck_assert_uint_eq(head_of(raw_id(1)), 3);
    ck_assert_uint_eq(head_of(raw_id(2)), 3);
    ck_assert_uint_eq(head_of(raw_id(3)), 0);
    ck_assert_uint_eq(end_of_feed(), 7);
}
END_TEST

START_TEST(test_driver_append_conflict_gives_the_head)
{
    ratoon__append result;
    append_ok(raw_id(1), 1);
    append_ok(raw_id(1), 2);
    static const uint64_t wrong[] = {0, 1, 2, 4, 100};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_int_eq(append_at(raw_id(1), wrong[i], &result), RATOON_ERR_CONFLICT);
        ck_assert_uint_eq(result.head, 2);
    }
    ck_assert_int_eq(append_at(raw_id(2), 2, &result), RATOON_ERR_CONFLICT);
    ck_assert_uint_eq(result.head, 0);
    ck_assert_uint_eq(end_of_feed(), 3);
    raw_commits c = read_all(raw_id(1), 1, true, false);
    ck_assert_uint_eq(c.count, 2);
    raw_commits_free(&c);
}
END_TEST

START_TEST(test_driver_group_each_for_itself_in_order)
{
    raw_commit commits[6] = {
        {raw_id(1), 1, 0, 0}, {raw_id(1), 2, 0, 1}, {raw_id(1), 2, 0, 2},
        {raw_id(2), 7, 0, 3}, {raw_id(1), 3, 0, 4}, {raw_id(2), 1, 0, 5},
    };
    ratoon__append appends[6];
    for (int i = 0; i < 6; i++) {
        appends[i] = raw_append(&commits[i]);
    }
    ck_assert_int_eq(d->ops->append(d, appends, 6, true, NULL), RATOON_OK);
    ck_assert_int_eq(appends[0].status, RATOON_OK);
    ck_assert_int_eq(appends[1].status, RATOON_OK);
    ck_assert_int_eq(appends[2].status, RATOON_ERR_CONFLICT);
    ck_assert_uint_eq(appends[2].head, 2);
    ck_assert_int_eq(appends[3].status, RATOON_ERR_CONFLICT);
    ck_assert_uint_eq(appends[3].head, 0);
    ck_assert_int_eq(appends[4].status, RATOON_OK);
    ck_assert_int_eq(appends[5].status, RATOON_OK);
    ck_assert_uint_eq(appends[0].position, 1);
    ck_assert_uint_eq(appends[1].position, 2);
    ck_assert_uint_eq(appends[4].position, 3);
    ck_assert_uint_eq(appends[5].position, 4);
    ck_assert_uint_eq(head_of(raw_id(1)), 3);
    ck_assert_uint_eq(end_of_feed(), 5);
}
END_TEST

/* Somebody else's commits are where a group was to go: its third would fit behind them by number,
 * and yet it was made behind the group's own first two. */
START_TEST(test_driver_what_rests_on_a_refused_one_is_refused)
{
    append_ok(raw_id(1), 1);
    append_ok(raw_id(1), 2);
    raw_commit commits[5] = {{raw_id(1), 1, 2, 0},
                             {raw_id(2), 1, 2, 1},
                             {raw_id(1), 2, 2, 2},
                             {raw_id(1), 3, 2, 3},
                             {raw_id(1), 4, 2, 4}};
    ratoon__append appends[5];
    for (int i = 0; i < 5; i++) {
        appends[i] = raw_append(&commits[i]);
        appends[i].rests_on = i == 2 ? 2 : i > 2;
    }
    ck_assert_int_eq(d->ops->append(d, appends, 5, true, NULL), RATOON_OK);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(appends[i].status, i == 1 ? RATOON_OK : RATOON_ERR_CONFLICT);
    }
    ck_assert_uint_eq(head_of(raw_id(1)), 2);
    append_ok(raw_id(1), 3);
}
END_TEST

START_TEST(test_driver_read_in_key_order)
{
    for (uint64_t number = 1; number <= 3; number++) {
        append_ok(raw_id(9), number);
        append_ok(raw_id(3), number);
        append_ok(raw_id(300), number);
    }
    raw_commits c = read_all((ratoon_id){{0}}, 0, false, true);
    ck_assert_uint_eq(c.count, 9);
    static const uint32_t lineages[] = {3, 9, 300};
    for (size_t i = 0; i < 9; i++) {
        ck_assert(ratoon_id_equal(c.commits[i].lineage, raw_id(lineages[i / 3])));
        ck_assert_uint_eq(c.commits[i].number, i % 3 + 1);
    }
    ck_assert_uint_eq(c.positions[0], 2);
    raw_commits_free(&c);
    c = read_all(raw_id(9), 2, false, false);
    ck_assert_uint_eq(c.count, 5);
    ck_assert_uint_eq(c.commits[0].number, 2);
    raw_commits_free(&c);
    c = read_all(raw_id(9), 2, true, true);
    ck_assert_uint_eq(c.count, 2);
    raw_commits_free(&c);
    c = read_all(raw_id(9), 4, true, false);
    ck_assert_uint_eq(c.count, 0);
    raw_commits_free(&c);
    c = (raw_commits){.stop_at = 2};
    ck_assert_int_eq(d->ops->read(d, raw_id(3), 1, false, false, raw_commits_collect, &c, NULL),
                     RATOON_OK);
    ck_assert_uint_eq(c.count, 2);
    raw_commits_free(&c);
}
END_TEST

/* ---- claims ---- */

START_TEST(test_driver_claims_are_held_by_one)
{
    ratoon__append result;
    ck_assert_int_eq(claim("scope:a", 1, true, &result), RATOON_OK);
    check_holder("scope:a", 1);
    ck_assert_int_eq(claim("scope:a", 2, true, &result), RATOON_ERR_CLAIMED);
    ck_assert(ratoon_id_equal(result.holder, raw_id(1)));
    ck_assert_uint_eq(result.claim, 0);
    ck_assert_uint_eq(head_of(raw_id(2)), 0);
    /* Taking again what one holds is fine; releasing what another holds does nothing. */
    ck_assert_int_eq(claim("scope:a", 1, true, &result), RATOON_OK);
    ck_assert_int_eq(claim("scope:a", 2, false, &result), RATOON_OK);
    check_holder("scope:a", 1);
    ck_assert_int_eq(claim("scope:a", 1, false, &result), RATOON_OK);
    check_holder("scope:a", 0);
    ck_assert_int_eq(claim("scope:a", 2, true, &result), RATOON_OK);
    check_holder("scope:a", 2);
    check_holder("scope:", 0);
    check_holder("scope:ab", 0);
}
END_TEST

START_TEST(test_driver_claims_of_one_append_all_or_none)
{
    ratoon__append result;
    ck_assert_int_eq(claim("scope:b", 1, true, &result), RATOON_OK);
    const ratoon__claim two[] = {{"scope:a", raw_id(2), true}, {"scope:b", raw_id(2), true}};
    const ratoon__append with = {.claims = two, .claims_count = 2};
    ck_assert_int_eq(append_with(raw_id(2), &with, &result), RATOON_ERR_CLAIMED);
    ck_assert_uint_eq(result.claim, 1);
    ck_assert(ratoon_id_equal(result.holder, raw_id(1)));
    check_holder("scope:a", 0);
    check_holder("scope:b", 1);
    /* Claims of one append see those before them. */
    const ratoon__claim hand_over[] = {{"scope:b", raw_id(1), false}, {"scope:b", raw_id(3), true}};
    const ratoon__append over = {.claims = hand_over, .claims_count = 2};
    ck_assert_int_eq(append_with(raw_id(1), &over, &result), RATOON_OK);
    check_holder("scope:b", 3);
}
END_TEST

START_TEST(test_driver_claims_within_a_group)
{
    const ratoon__claim take_1 = {"key:k", raw_id(1), true}, take_2 = {"key:k", raw_id(2), true},
                        leave_1 = {"key:k", raw_id(1), false};
    const raw_commit commits[4] = {
        {raw_id(1), 1, 0, 0}, {raw_id(2), 1, 0, 0}, {raw_id(1), 2, 0, 0}, {raw_id(2), 1, 0, 1}};
    const ratoon__claim *claims[4] = {&take_1, &take_2, &leave_1, &take_2};
    ratoon__append appends[4];
    for (int i = 0; i < 4; i++) {
        appends[i] = raw_append(&commits[i]);
        appends[i].claims = claims[i];
        appends[i].claims_count = 1;
    }
    ck_assert_int_eq(d->ops->append(d, appends, 4, false, NULL), RATOON_OK);
    ck_assert_int_eq(appends[0].status, RATOON_OK);
    ck_assert_int_eq(appends[1].status, RATOON_ERR_CLAIMED);
    ck_assert(ratoon_id_equal(appends[1].holder, raw_id(1)));
    ck_assert_int_eq(appends[2].status, RATOON_OK);
    ck_assert_int_eq(appends[3].status, RATOON_OK);
    check_holder("key:k", 2);
}
END_TEST

/* ---- values ---- */

static void check_value(const ratoon__stored_value *v)
{
    ratoon_buffer got = {0};
    ratoon_error error = {0};
    const ratoon_status status = d->ops->value_get(d, &v->digest, &got, &error);
    ck_assert_msg(status == RATOON_OK, "%s", error.message);
    ck_assert_uint_eq(got.size, v->size);
    ck_assert_int_eq(got.data[got.size], 0);
    if (v->size > 0) {
        ck_assert_mem_eq(got.data, v->data, v->size);
    }
    ratoon_buffer_free(&got);
}

typedef struct seen_values {
    ratoon_digest last;
    size_t count, bytes, stop_at;
} seen_values;

static bool see_value(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    seen_values *s = ctx;
    if (s->count > 0) {
        ck_assert_int_lt(memcmp(&s->last, digest, sizeof s->last), 0);
    }
    ck_assert(size == 0 || data != NULL);
    s->last = *digest;
    s->count++;
    s->bytes += size;
    return s->count != s->stop_at;
}

START_TEST(test_driver_values_are_stored_once)
{
    static const char big[5000] = "big";
    const ratoon__stored_value values[] = {
        {digest_of(1), "one", 3}, {digest_of(2), NULL, 0}, {digest_of(3), big, sizeof big}};
    const ratoon__append with = {.values = values, .values_count = 3};
    ratoon__append result;
    ck_assert_int_eq(append_with(raw_id(1), &with, &result), RATOON_OK);
    ck_assert_int_eq(append_with(raw_id(1), &with, &result), RATOON_OK);
    for (int i = 0; i < 3; i++) {
        check_value(&values[i]);
    }
    seen_values seen = {0};
    ck_assert_int_eq(d->ops->values(d, see_value, &seen, NULL), RATOON_OK);
    ck_assert_uint_eq(seen.count, 3);
    ck_assert_uint_eq(seen.bytes, 3 + sizeof big);
    const ratoon_digest last = seen.last, missing = digest_of(4);
    seen = (seen_values){.stop_at = 2};
    ck_assert_int_eq(d->ops->values(d, see_value, &seen, NULL), RATOON_OK);
    ck_assert_uint_eq(seen.count, 2);
    if (d->ops->values_from != NULL) {
        seen = (seen_values){0};
        ck_assert_int_eq(d->ops->values_from(d, &last, see_value, &seen, NULL), RATOON_OK);
        ck_assert_uint_eq(seen.count, 1);
    }
    ratoon_buffer none = {0};
    ck_assert_int_eq(d->ops->value_get(d, &missing, &none, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_ptr_null(none.data);
}
END_TEST

START_TEST(test_driver_refused_append_leaves_nothing)
{
    const ratoon__stored_value value = {digest_of(1), "one", 3};
    const ratoon__claim take = {"scope:a", raw_id(1), true};
    const ratoon__run_row row = {.run = raw_id(1),
                                 .root = raw_id(1),
                                 .created_at = 5,
                                 .status = RATOON_RUN_RUNNING,
                                 .subject = "s",
                                 .pipeline = "p"};
    const raw_commit commit = {.lineage = raw_id(1), .number = 2};
    ratoon__append refused = raw_append(&commit);
    refused.values = &value;
    refused.claims = &take;
    refused.rows = &row;
    refused.values_count = refused.claims_count = refused.rows_count = 1;
    ck_assert_int_eq(d->ops->append(d, &refused, 1, true, NULL), RATOON_OK);
    ck_assert_int_eq(refused.status, RATOON_ERR_CONFLICT);
    ratoon_buffer none = {0};
    ratoon_id root;
    ck_assert_int_eq(d->ops->value_get(d, &value.digest, &none, NULL), RATOON_ERR_NOT_FOUND);
    ck_assert_int_eq(d->ops->run_get(d, row.run, &root, NULL), RATOON_ERR_NOT_FOUND);
    check_holder("scope:a", 0);
    ck_assert_uint_eq(end_of_feed(), 1);
}
END_TEST

START_TEST(test_S06_driver_value_over_the_limit_is_refused)
{
    if (target->value_max == 0) {
        return;
    }
    char *bytes = calloc(1, (size_t)target->value_max + 1);
    ck_assert_ptr_nonnull(bytes);
    ratoon__stored_value value = {digest_of(1), bytes, (size_t)target->value_max + 1};
    const ratoon__append with = {.values = &value, .values_count = 1};
    ratoon__append result;
    ck_assert_int_eq(append_with(raw_id(1), &with, &result), RATOON_ERR_LIMIT_EXCEEDED);
    ck_assert_uint_eq(head_of(raw_id(1)), 0);
    value.size--;
    ck_assert_int_eq(append_with(raw_id(1), &with, &result), RATOON_OK);
    check_value(&value);
    free(bytes);
}
END_TEST

/* ---- rows and lists ---- */

static void put_row(uint32_t run, uint64_t created_at, ratoon_run_status status,
                    const char *subject, const char *pipeline)
{
    const ratoon__run_row row = {.run = raw_id(run),
                                 .root = raw_id(run / 10 * 10),
                                 .created_at = created_at,
                                 .status = status,
                                 .executor = raw_id(run + 1000),
                                 .subject = subject,
                                 .pipeline = pipeline};
    const ratoon__append with = {.rows = &row, .rows_count = 1};
    ratoon__append result;
    ck_assert_int_eq(append_with(raw_id(run), &with, &result), RATOON_OK);
}

typedef struct seen_rows {
    uint32_t runs[MANY];
    uint64_t created[MANY];
    size_t count, stop_at;
} seen_rows;

static bool see_row(void *ctx, const ratoon__run_row *row)
{
    seen_rows *s = ctx;
    ck_assert_uint_lt(s->count, MANY);
    uint32_t run = 0;
    for (int i = 12; i < 16; i++) {
        run = run << 8 | row->run.bytes[i];
    }
    ck_assert(ratoon_id_equal(row->root, raw_id(run / 10 * 10)));
    ck_assert(ratoon_id_equal(row->executor, raw_id(run + 1000)));
    ck_assert_ptr_nonnull(row->subject);
    ck_assert_ptr_nonnull(row->pipeline);
    s->created[s->count] = row->created_at;
    s->runs[s->count++] = run;
    return s->count != s->stop_at;
}

static void check_list(ratoon__list_query query, const uint32_t *runs, size_t count)
{
    seen_rows seen = {0};
    if (query.limit == 0) {
        query.limit = 100;
    }
    ck_assert_int_eq(d->ops->list(d, &query, see_row, &seen, NULL), RATOON_OK);
    ck_assert_uint_eq(seen.count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(seen.runs[i], runs[i]);
    }
}
#define CHECK_LIST(query, ...)                                                                     \
    check_list(query, (const uint32_t[]){__VA_ARGS__},                                             \
               sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
#define QUERY(...) ((ratoon__list_query){__VA_ARGS__})

static void put_some_rows(void)
{
    put_row(11, 1000, RATOON_RUN_SUCCEEDED, "s", "p");
    put_row(12, 3000, RATOON_RUN_RUNNING, "s", "p");
    put_row(13, 2000, RATOON_RUN_RUNNING, "sub", "p2");
    put_row(14, 2000, RATOON_RUN_RUNNING, "", "p");
    put_row(21, 2000, RATOON_RUN_FAILED, "s", "p");
}

START_TEST(test_L09_driver_lists_in_one_order)
{
    put_some_rows();
    CHECK_LIST(QUERY(.index = RATOON__INDEX_TIME), 12, 21, 14, 13, 11);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_STATUS, .key = "running"), 12, 14, 13);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_SUBJECT, .key = "s"), 12, 21, 11);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_SUBJECT, .key = "sub"), 13);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_PIPELINE, .key = "p"), 12, 21, 14, 11);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_ID), 11, 12, 13, 14, 21);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_ID, .from_id = raw_id(13)), 13, 14, 21);
    check_list(QUERY(.index = RATOON__INDEX_SUBJECT, .key = "nobody"), NULL, 0);
    check_list(QUERY(.index = RATOON__INDEX_STATUS, .key = "queued"), NULL, 0);
    check_list(QUERY(.index = RATOON__INDEX_ID, .from_id = raw_id(22)), NULL, 0);
}
END_TEST

START_TEST(test_driver_lists_in_pages)
{
    put_some_rows();
    CHECK_LIST(QUERY(.index = RATOON__INDEX_TIME, .limit = 2), 12, 21);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_TIME, .before_time = 2000, .before_id = raw_id(21)), 14,
               13, 11);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_TIME, .before_time = 2000, .before_id = raw_id(15),
                     .limit = 1),
               14);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_PIPELINE, .key = "p", .before_time = 2000,
                     .before_id = raw_id(14)),
               11);
    check_list(QUERY(.index = RATOON__INDEX_TIME, .before_time = 1000, .before_id = raw_id(11)),
               NULL, 0);
    seen_rows seen = {.stop_at = 2};
    const ratoon__list_query query = {.index = RATOON__INDEX_TIME, .limit = 100};
    ck_assert_int_eq(d->ops->list(d, &query, see_row, &seen, NULL), RATOON_OK);
    ck_assert_uint_eq(seen.count, 2);
    const ratoon__list_query none = {.index = RATOON__INDEX_TIME};
    ck_assert_int_eq(d->ops->list(d, &none, see_row, &seen, NULL), RATOON_ERR_USAGE);
    const ratoon__list_query many = {.index = RATOON__INDEX_TIME, .limit = 1001};
    ck_assert_int_eq(d->ops->list(d, &many, see_row, &seen, NULL), RATOON_ERR_USAGE);
}
END_TEST

START_TEST(test_L11_driver_rows_are_replaced)
{
    put_some_rows();
    ratoon_id root;
    ck_assert_int_eq(d->ops->run_get(d, raw_id(13), &root, NULL), RATOON_OK);
    ck_assert(ratoon_id_equal(root, raw_id(10)));
    put_row(12, 3000, RATOON_RUN_FAILED, "s", "p");
    put_row(14, 2000, RATOON_RUN_SUCCEEDED, "", "p");
    CHECK_LIST(QUERY(.index = RATOON__INDEX_STATUS, .key = "running"), 13);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_STATUS, .key = "failed"), 12, 21);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_TIME), 12, 21, 14, 13, 11);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_SUBJECT, .key = "s"), 12, 21, 11);
}
END_TEST

/* ---- snapshots ---- */

static void check_snapshot(uint32_t lineage, uint64_t number, uint64_t expected, const char *text)
{
    ratoon_buffer got = {0};
    uint64_t at = 0;
    const ratoon_status status = d->ops->snapshot_get(d, raw_id(lineage), number, &at, &got, NULL);
    if (text == NULL) {
        ck_assert_int_eq(status, RATOON_ERR_NOT_FOUND);
        return;
    }
    ck_assert_int_eq(status, RATOON_OK);
    ck_assert_uint_eq(at, expected);
    ck_assert_uint_eq(got.size, strlen(text));
    ck_assert_mem_eq(got.data, text, got.size);
    ratoon_buffer_free(&got);
}

static void put_snapshot(uint32_t lineage, uint64_t number, const char *text)
{
    ck_assert_int_eq(d->ops->snapshot_put(d, raw_id(lineage), number, text, strlen(text), NULL),
                     RATOON_OK);
}

START_TEST(test_driver_snapshots_newest_at_or_before)
{
    check_snapshot(1, 100, 0, NULL);
    put_snapshot(1, 10, "ten");
    put_snapshot(1, 300, "three hundred");
    put_snapshot(2, 5, "other");
    put_snapshot(4, 1, "another");
    check_snapshot(1, 9, 0, NULL);
    check_snapshot(1, 10, 10, "ten");
    check_snapshot(1, 299, 10, "ten");
    check_snapshot(1, 300, 300, "three hundred");
    check_snapshot(1, UINT64_MAX, 300, "three hundred");
    check_snapshot(2, 300, 5, "other");
    check_snapshot(3, 300, 0, NULL);
    put_snapshot(1, 10, "new");
    check_snapshot(1, 11, 10, "new");
}
END_TEST

/* ---- feed ---- */

START_TEST(test_Q06_driver_tail_in_order_of_positions)
{
    for (uint64_t number = 1; number <= 3; number++) {
        append_ok(raw_id(9), number);
        append_ok(raw_id(3), number);
    }
    for (uint64_t from = 0; from <= 6; from++) {
        raw_commits c = {0};
        const uint64_t first = from > 0 ? from : 1;
        ck_assert_int_eq(d->ops->tail(d, from, 0, raw_commits_collect, &c, NULL), RATOON_OK);
        ck_assert_uint_ge(c.count, 1);
        ck_assert_uint_le(c.count, 7 - first);
        for (size_t i = 0; i < c.count; i++) {
            ck_assert_uint_eq(c.positions[i], first + i);
            ck_assert(ratoon_id_equal(c.commits[i].lineage, raw_id((first + i) % 2 ? 9 : 3)));
        }
        raw_commits_free(&c);
    }
    raw_commits c = {.stop_at = 2};
    ck_assert_int_eq(d->ops->tail(d, 1, 0, raw_commits_collect, &c, NULL), RATOON_OK);
    ck_assert_uint_eq(c.count, 2);
    raw_commits_free(&c);
    c = (raw_commits){0};
    ck_assert_int_eq(d->ops->tail(d, 7, 5, raw_commits_collect, &c, NULL), RATOON_ERR_TIMED_OUT);
    ck_assert_uint_eq(c.count, 0);
}
END_TEST

static void *append_later(void *ctx)
{
    (void)ctx;
    raw_append_next(d, raw_id(1), 7, 7);
    return NULL;
}

START_TEST(test_Q06_driver_tail_waits_for_what_comes)
{
    pthread_t thread;
    raw_commits c = {0};
    append_ok(raw_id(1), 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, append_later, NULL), 0);
    ck_assert_int_eq(d->ops->tail(d, 2, WAIT_MS, raw_commits_collect, &c, NULL), RATOON_OK);
    ck_assert_uint_eq(c.count, 1);
    ck_assert_uint_eq(c.positions[0], 2);
    ck_assert_uint_eq(c.commits[0].writer, 7);
    pthread_join(thread, NULL);
    raw_commits_free(&c);
}
END_TEST

START_TEST(test_driver_watch_announces_groups)
{
    if (d->ops->watch == NULL) {
        return;
    }
    const int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(fd, 0);
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    uint64_t count = 0;
    d->ops->watch(d, fd);
    append_ok(raw_id(1), 1);
    ck_assert_int_eq(poll(&poll_fd, 1, WAIT_MS), 1);
    ck_assert_int_eq(read(fd, &count, sizeof count), sizeof count);
    d->ops->watch(d, -1);
    append_ok(raw_id(1), 2);
    ck_assert_int_eq(poll(&poll_fd, 1, 0), 0);
    close(fd);
}
END_TEST

/* ---- many at once ---- */

static void *append_many(void *ctx)
{
    const uint64_t writer = *(const uint64_t *)ctx;
    for (uint64_t serial = 0; serial < APPENDS_EACH; serial++) {
        /* Every other one to the lineage that all of them write to. */
        raw_append_next(d, raw_id(serial % 2 ? 1 : 100 + (uint32_t)writer), writer, serial);
    }
    return NULL;
}

START_TEST(test_driver_threads_lose_and_repeat_nothing)
{
    pthread_t threads[THREADS];
    uint64_t writers[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        writers[i] = i;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, append_many, &writers[i]), 0);
    }
    raw_commits feed = {0};
    while (feed.count < (size_t)THREADS * APPENDS_EACH) {
        ck_assert_int_eq(d->ops->tail(d, feed.count + 1, WAIT_MS, raw_commits_collect, &feed, NULL),
                         RATOON_OK);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(end_of_feed(), feed.count + 1);
    uint64_t shared = 0;
    for (size_t i = 0; i < feed.count; i++) {
        ck_assert_uint_eq(feed.positions[i], i + 1);
        if (ratoon_id_equal(feed.commits[i].lineage, raw_id(1))) {
            ck_assert_uint_eq(feed.commits[i].number, ++shared);
        }
    }
    for (uint64_t writer = 0; writer < THREADS; writer++) {
        for (uint64_t serial = 0; serial < APPENDS_EACH; serial++) {
            ck_assert_uint_eq(raw_commits_find(&feed, writer, serial), 1);
        }
    }
    raw_commits_free(&feed);
}
END_TEST

/* ---- opened again ---- */

START_TEST(test_driver_everything_is_there_after_reopening)
{
    if (target->reopen == NULL) {
        return;
    }
    const ratoon__stored_value value = {digest_of(1), "one", 3};
    const ratoon__claim take = {"scope:a", raw_id(31), true};
    const ratoon__append with = {
        .values = &value, .values_count = 1, .claims = &take, .claims_count = 1};
    ratoon__append result;
    put_some_rows();
    ck_assert_int_eq(append_with(raw_id(31), &with, &result), RATOON_OK);
    d = target->reopen(target->ctx, d);
    ck_assert_ptr_nonnull(d);
    ck_assert_uint_eq(end_of_feed(), 7);
    ck_assert_uint_eq(head_of(raw_id(31)), 1);
    check_value(&value);
    check_holder("scope:a", 31);
    CHECK_LIST(QUERY(.index = RATOON__INDEX_TIME), 12, 21, 14, 13, 11);
    raw_commits c = {0};
    ck_assert_int_eq(d->ops->tail(d, 1, 0, raw_commits_collect, &c, NULL), RATOON_OK);
    ck_assert_uint_eq(c.count, 6);
    raw_commits_free(&c);
    ck_assert_int_eq(append_at(raw_id(31), 1, &result), RATOON_ERR_CONFLICT);
    ck_assert_int_eq(append_at(raw_id(31), 2, &result), RATOON_OK);
    ck_assert_uint_eq(result.position, 7);
}
END_TEST

void driver_suite_add(Suite *suite, const driver_suite_target *one)
{
    if (target != NULL) {
        fprintf(stderr, "driver suite: one target per program\n");
        abort();
    }
    target = one;
    TCase *t = tcase_create("driver");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_driver_empty_store_has_nothing);
    tcase_add_test(t, test_driver_append_numbers_and_positions);
    tcase_add_test(t, test_driver_append_conflict_gives_the_head);
    tcase_add_test(t, test_driver_group_each_for_itself_in_order);
    tcase_add_test(t, test_driver_what_rests_on_a_refused_one_is_refused);
    tcase_add_test(t, test_driver_read_in_key_order);
    tcase_add_test(t, test_driver_claims_are_held_by_one);
    tcase_add_test(t, test_driver_claims_of_one_append_all_or_none);
    tcase_add_test(t, test_driver_claims_within_a_group);
    tcase_add_test(t, test_driver_values_are_stored_once);
    tcase_add_test(t, test_driver_refused_append_leaves_nothing);
    tcase_add_test(t, test_S06_driver_value_over_the_limit_is_refused);
    tcase_add_test(t, test_L09_driver_lists_in_one_order);
    tcase_add_test(t, test_driver_lists_in_pages);
    tcase_add_test(t, test_L11_driver_rows_are_replaced);
    tcase_add_test(t, test_driver_snapshots_newest_at_or_before);
    tcase_add_test(t, test_Q06_driver_tail_in_order_of_positions);
    tcase_add_test(t, test_Q06_driver_tail_waits_for_what_comes);
    tcase_add_test(t, test_driver_watch_announces_groups);
    tcase_add_test(t, test_driver_threads_lose_and_repeat_nothing);
    tcase_add_test(t, test_driver_everything_is_there_after_reopening);
    suite_add_tcase(suite, t);
    driver_suite_erase_add(suite, one);
}
