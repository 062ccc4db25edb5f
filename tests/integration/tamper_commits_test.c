/* Commits and values on disk that were changed by somebody who knows the format of a store: each
 * change is found, and the lineage and the first commit that is wrong are named. What fits together
 * everywhere, only a seal finds (Q01, Q02). */
#include "log/codec.h"
#include "log/digest.h"
#include "log/rocksdb_impl.h"
#include "tests/support/support.h"
#include "tests/support/tampered.h"

#include <jansson.h>
#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

/* ---- changing commits ---- */

/* Gives a commit's bytes to another place, which keeps its position. */
static void commit_move(ratoon__driver *d, ratoon_id lineage, uint64_t number, const char *data,
                        size_t size)
{
    size_t was_size;
    char *was = tampered_commit_get(d, lineage, number, &was_size);
    char *is = malloc(size);
    ck_assert_ptr_nonnull(is);
    memcpy(is, data, size);
    memcpy(is, was, RATOON__POSITION_SIZE);
    tampered_commit_put(d, lineage, number, is, size);
    free(is);
    free(was);
}

static void commit_edit(ratoon__driver *d, ratoon_id lineage, uint64_t number)
{
    size_t size;
    char *data = tampered_commit_get(d, lineage, number, &size);
    char *text = memmem(data, size, "note number ", 12);
    ck_assert_ptr_nonnull(text);
    text[12] = '9';
    tampered_commit_put(d, lineage, number, data, size);
    free(data);
}

/* ---- a forged store: what is left, or was made up, put together anew so that all of it fits ----
 */

typedef struct copied {
    ratoon_id lineage;
    uint64_t position, number;
    void *data;
    size_t size;
} copied;

typedef struct copy {
    copied commits[TAMPERED_COMMITS_MAX];
    size_t count;
    ratoon__stored_value values[8];
    size_t values_count;
} copy;

static bool copy_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    copy *c = ctx;
    ck_assert_uint_lt(c->count, TAMPERED_COMMITS_MAX);
    copied *to = &c->commits[c->count++];
    *to = (copied){.lineage = lineage, .position = position, .number = number, .size = size};
    to->data = malloc(size);
    ck_assert_ptr_nonnull(to->data);
    memcpy(to->data, data, size);
    return true;
}

static bool copy_value(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    copy *c = ctx;
    ck_assert_uint_lt(c->values_count, 8);
    void *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, data, size);
    c->values[c->values_count++] =
        (ratoon__stored_value){.digest = *digest, .data = bytes, .size = size};
    return true;
}

/* The same commits with another text in number 4 of the victim, chained anew. */
static void rewrite(copy *c)
{
    ratoon__encoder *encoder = ratoon__encoder_new();
    ratoon_digest before = {{0}};
    ratoon_error error = {0};
    ck_assert_ptr_nonnull(encoder);
    for (size_t i = 0; i < c->count; i++) {
        copied *at = &c->commits[i];
        ratoon__arena arena = {0};
        ratoon__commit commit;
        const void *data;
        if (!ratoon_id_equal(at->lineage, tampered.victim)) {
            continue;
        }
        must(ratoon__commit_decode(at->data, at->size, &arena, &commit, &error), &error);
        commit.previous = before;
        if (at->number == 4) {
            ck_assert_int_eq(commit.events[0].type, RATOON__EVENT_RUN_ANNOTATED);
            ((ratoon__event *)&commit.events[0])->u.annotated.text = "it was never like that";
        }
        size_t size;
        must(ratoon__commit_encode(encoder, &commit, &data, &size, &error), &error);
        if (at->number < 4) { /* made of the same, they are the same */
            ck_assert_uint_eq(size, at->size);
            ck_assert_mem_eq(data, at->data, size);
        }
        void *bytes = malloc(size);
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, data, size);
        free(at->data);
        at->data = bytes;
        at->size = size;
        ck_assert_int_eq(ratoon__sha256(bytes, size, &before), RATOON_OK);
        ratoon__arena_free(&arena);
    }
    ratoon__encoder_free(encoder);
}

typedef enum forgery { UNCHANGED, CUT, REMOVED, REWRITTEN, LAST_EDITED } forgery;

static bool is_left_out(const copied *c, forgery how)
{
    return ratoon_id_equal(c->lineage, tampered.victim) &&
           (how == REMOVED || (how == CUT && c->number > TAMPERED_LAST - 3));
}

static int by_position(const void *a, const void *b)
{
    const copied *x = a, *y = b;
    return x->position < y->position ? -1 : x->position > y->position;
}

/* Makes forged_path: a store without a flaw but for what was done to its contents. */
static void forge(forgery how)
{
    static copy c;
    ratoon_error error = {0};
    memset(&c, 0, sizeof c);
    ratoon__driver *d = tampered_raw(tampered.store);
    must(d->ops->read(d, (ratoon_id){{0}}, 0, false, false, copy_commit, &c, &error), &error);
    must(d->ops->values(d, copy_value, &c, &error), &error);
    d->ops->close(d);
    if (how == REWRITTEN) {
        rewrite(&c);
    }
    qsort(c.commits, c.count, sizeof c.commits[0], by_position);
    must(ratoon_store_create(tampered.forged, NULL, &error), &error);
    d = tampered_raw(tampered.forged);
    bool first = true; /* it brings the values */
    for (size_t i = 0; i < c.count; i++) {
        copied *at = &c.commits[i];
        ratoon__append a = {.lineage = at->lineage,
                            .number = at->number,
                            .data = at->data,
                            .size = at->size,
                            .values = c.values,
                            .values_count = first ? c.values_count : 0};
        if (how == LAST_EDITED && ratoon_id_equal(at->lineage, tampered.victim) &&
            at->number == TAMPERED_LAST) {
            char *text = memmem(at->data, at->size, "note number ", 12);
            ck_assert_ptr_nonnull(text);
            text[12] = '9';
        }
        if (!is_left_out(at, how)) {
            must(d->ops->append(d, &a, 1, false, &error), &error);
            ck_assert_int_eq(a.status, RATOON_OK);
            first = false;
        }
    }
    must(ratoon__rocksdb_forget_derived(d, &error), &error);
    d->ops->close(d);
    for (size_t i = 0; i < c.count; i++) {
        free(c.commits[i].data);
    }
    for (size_t i = 0; i < c.values_count; i++) {
        free((void *)(uintptr_t)c.values[i].data);
    }
}

START_TEST(test_Q01_the_store_as_it_was_has_no_problem)
{
    tampered_sound(tampered.store, false, 0);
    tampered_sound(tampered.store, true, 0);
    forge(UNCHANGED); /* nor has one that was put together anew */
    tampered_sound(tampered.forged, true, 0);
}
END_TEST

/* ---- commits ---- */

START_TEST(test_Q01_an_edited_commit_on_disk_is_found)
{
    ratoon__driver *d = tampered_raw(tampered.store);
    commit_edit(d, tampered.victim, 4);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, 5, "chain");
}
END_TEST

START_TEST(test_Q01_a_deleted_commit_on_disk_is_found)
{
    ratoon__driver *d = tampered_raw(tampered.store);
    tampered_commit_delete(d, tampered.victim, 4);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, 5, "number");
}
END_TEST

START_TEST(test_Q01_an_inserted_commit_on_disk_is_found)
{
    size_t size;
    ratoon__driver *d = tampered_raw(tampered.store);
    char *last = tampered_commit_get(d, tampered.victim, TAMPERED_LAST, &size);
    tampered_commit_put(d, tampered.victim, TAMPERED_LAST + 1, last, size);
    free(last);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, TAMPERED_LAST + 1, "number");
}
END_TEST

START_TEST(test_Q01_swapped_commits_on_disk_are_found)
{
    size_t a_size, b_size;
    ratoon__driver *d = tampered_raw(tampered.store);
    char *a = tampered_commit_get(d, tampered.victim, 4, &a_size),
         *b = tampered_commit_get(d, tampered.victim, 6, &b_size);
    commit_move(d, tampered.victim, 4, b, b_size);
    commit_move(d, tampered.victim, 6, a, a_size);
    free(a);
    free(b);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, 4, "number");
}
END_TEST

START_TEST(test_Q01_commits_of_another_lineage_on_disk_are_found)
{
    ratoon__driver *d = tampered_raw(tampered.store);
    for (uint64_t number = 5; number <= TAMPERED_LAST; number++) {
        size_t size;
        char *data = tampered_commit_get(d, tampered.other, number, &size);
        commit_move(d, tampered.victim, number, data, size);
        free(data);
    }
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, 5, "number");
}
END_TEST

/* The feed tells that something is missing; a seal tells where. */
START_TEST(test_Q02_a_cut_end_on_disk_is_found)
{
    ratoon__driver *d = tampered_raw(tampered.store);
    for (uint64_t number = TAMPERED_LAST - 2; number <= TAMPERED_LAST; number++) {
        tampered_commit_delete(d, tampered.victim, number);
    }
    d->ops->close(d);
    tampered_problem(tampered.store, false, NULL, 0, "feed");
    tampered_problem(tampered.store, true, &tampered.victim, TAMPERED_LAST - 2, "seal");
}
END_TEST

START_TEST(test_Q02_a_removed_lineage_on_disk_is_found)
{
    ratoon__driver *d = tampered_raw(tampered.store);
    for (uint64_t number = 1; number <= TAMPERED_LAST; number++) {
        tampered_commit_delete(d, tampered.victim, number);
    }
    d->ops->close(d);
    tampered_problem(tampered.store, false, NULL, 0, "feed");
    tampered_problem(tampered.store, true, &tampered.victim, 1, "seal");
}
END_TEST

/* ---- what fits together: only a seal knows ---- */

START_TEST(test_Q02_a_cut_end_that_fits_is_found_by_the_seal)
{
    forge(CUT);
    tampered_sound(tampered.forged, false, 0);
    tampered_problem(tampered.forged, true, &tampered.victim, TAMPERED_LAST - 2, "seal");
}
END_TEST

START_TEST(test_Q02_a_removed_lineage_that_fits_is_found_by_the_seal)
{
    forge(REMOVED);
    tampered_sound(tampered.forged, false, 0);
    tampered_problem(tampered.forged, true, &tampered.victim, 1, "seal");
}
END_TEST

START_TEST(test_Q02_a_chain_rewritten_whole_is_found_by_the_seal)
{
    forge(REWRITTEN);
    tampered_sound(tampered.forged, false, 0);
    tampered_problem(tampered.forged, true, &tampered.victim, TAMPERED_LAST, "seal");
}
END_TEST

START_TEST(test_Q02_an_edited_last_commit_is_found_by_the_seal)
{
    forge(LAST_EDITED);
    tampered_sound(tampered.forged, false, 0);
    tampered_problem(tampered.forged, true, &tampered.victim, TAMPERED_LAST, "seal");
}
END_TEST

/* ---- values ---- */

START_TEST(test_Q01_a_changed_value_on_disk_is_found)
{
    size_t size;
    ratoon__driver *d = tampered_raw(tampered.store);
    char *data = tampered_get(d, RATOON__FAMILY_VALUES, tampered.value.bytes, 32, &size);
    data[100] = 'w';
    tampered_put(d, RATOON__FAMILY_VALUES, tampered.value.bytes, 32, data, size);
    free(data);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, 1, "value");
}
END_TEST

/* In the last commit of its lineage, so that no digest in another commit tells. */
START_TEST(test_Q01_a_changed_value_in_a_commit_is_found)
{
    static const char text[] = "a value that the commit holds itself";
    const ratoon_value state[] = {{.key = "other", .data = "before", .size = 6},
                                  {.key = "small", .data = text, .size = sizeof text}};
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_pipeline *p = NULL;
    ratoon_created created;
    ratoon_error error = {0};
    size_t size;
    must(ratoon_pipeline_parse("one", tampered_pipeline, strlen(tampered_pipeline), NULL, &p,
                               &error),
         &error);
    options.pipeline = p;
    options.no_exec = true;
    options.state = state;
    options.state_count = 2;
    ratoon_store *s = tampered_open(tampered.store);
    must(ratoon_run_create(s, &options, &created, &error), &error);
    ratoon_store_close(s);
    ratoon_pipeline_free(p);
    tampered_sound(tampered.store, false, 0);
    ratoon__driver *d = tampered_raw(tampered.store);
    char *data = tampered_commit_get(d, created.run, 1, &size);
    char *held = memmem(data, size, text, sizeof text);
    ck_assert_ptr_nonnull(held);
    held[2] ^= 1;
    tampered_commit_put(d, created.run, 1, data, size);
    free(data);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &created.run, 1, "value");
}
END_TEST

START_TEST(test_Q01_a_removed_value_on_disk_is_found)
{
    ratoon__driver *d = tampered_raw(tampered.store);
    tampered_delete(d, RATOON__FAMILY_VALUES, tampered.value.bytes, 32);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, 1, "value");
}
END_TEST

/* ---- forged marks of deletion (R20) ---- */

/* A mark as number `number` of the victim, that names `previous`. keep: what is before it stays. */
static void forge_mark(uint64_t number, const ratoon_digest *previous, bool keep)
{
    size_t size;
    const void *data;
    ratoon_error error = {0};
    ratoon__encoder *encoder = ratoon__encoder_new();
    const ratoon__event event = {
        .run = tampered.victim,
        .type = RATOON__EVENT_LINEAGE_DELETED,
        .u.deleted = {.commits = number - 1, .events = number - 1, .runs = 1, .actor = "nobody"}};
    const ratoon__commit mark = {.id = tampered.victim,
                                 .lineage = tampered.victim,
                                 .number = number,
                                 .first_event = number,
                                 .time_us = UINT64_C(1800000000000000),
                                 .previous = *previous,
                                 .writer = "forger",
                                 .events = &event,
                                 .events_count = 1};
    ck_assert_ptr_nonnull(encoder);
    must(ratoon__commit_encode(encoder, &mark, &data, &size, &error), &error);
    ratoon__driver *d = tampered_raw(tampered.store);
    const ratoon__run_row row = {
        .run = tampered.victim, .root = tampered.victim, .subject = "", .pipeline = "one"};
    const ratoon__append erase = {.lineage = tampered.victim,
                                  .number = number,
                                  .data = data,
                                  .size = size,
                                  .rows = &row,
                                  .rows_count = 1,
                                  .erase = !keep};
    ratoon__append a = erase;
    if (number <=
        TAMPERED_LAST) { /* the driver refuses that: by hand, keeping the place of that number */
        size_t was_size;
        char *was = tampered_commit_get(d, tampered.victim, number, &was_size);
        char *is = malloc(RATOON__POSITION_SIZE + size);
        ck_assert_ptr_nonnull(is);
        memcpy(is, was, RATOON__POSITION_SIZE);
        memcpy(is + RATOON__POSITION_SIZE, data, size);
        for (uint64_t n = keep ? number : 1; n <= TAMPERED_LAST; n++) {
            tampered_commit_delete(d, tampered.victim, n);
        }
        tampered_commit_put(d, tampered.victim, number, is, RATOON__POSITION_SIZE + size);
        free(is);
        free(was);
    } else {
        must(d->ops->append(d, &a, 1, true, &error), &error);
        ck_assert_int_eq(a.status, RATOON_OK);
    }
    d->ops->close(d);
    ratoon__encoder_free(encoder);
}

static ratoon_digest head_digest(void)
{
    size_t size;
    ratoon_digest digest;
    ratoon__driver *d = tampered_raw(tampered.store);
    char *data = tampered_commit_get(d, tampered.victim, TAMPERED_LAST, &size);
    ck_assert_int_eq(
        ratoon__sha256(data + RATOON__POSITION_SIZE, size - RATOON__POSITION_SIZE, &digest),
        RATOON_OK);
    free(data);
    d->ops->close(d);
    return digest;
}

/* It can't be told from a deletion by R20: the seal's notice says that it was deleted, by whom. */
START_TEST(test_Q02_a_mark_that_fits_is_a_notice_of_the_seal)
{
    const ratoon_digest head = head_digest();
    forge_mark(TAMPERED_LAST + 1, &head, false);
    tampered_sound(tampered.store, false, 0);
    tampered_sound(tampered.store, true, 1);
}
END_TEST

START_TEST(test_Q02_a_mark_of_another_history_is_found_by_the_seal)
{
    const ratoon_digest made_up = {{1, 2, 3}};
    forge_mark(TAMPERED_LAST + 1, &made_up, false);
    tampered_sound(tampered.store, false, 0);
    tampered_problem(tampered.store, true, &tampered.victim, TAMPERED_LAST + 1, "seal");
}
END_TEST

START_TEST(test_Q02_a_mark_for_less_than_was_there_is_found)
{
    const ratoon_digest made_up = {{1, 2, 3}};
    forge_mark(5, &made_up, false);
    tampered_problem(tampered.store, true, &tampered.victim, 5, "seal");
    tampered_problem(tampered.store, false, NULL, 0, "feed");
}
END_TEST

START_TEST(test_Q01_a_mark_beside_what_it_stands_for_is_found)
{
    const ratoon_digest made_up = {{1, 2, 3}};
    forge_mark(5, &made_up, true);
    tampered_problem(tampered.store, false, &tampered.victim, 5, "number");
}
END_TEST

/* A mark put behind all of a lineage doesn't hide what was done to it. */
START_TEST(test_Q01_a_mark_behind_a_changed_lineage_hides_nothing)
{
    const ratoon_digest head = head_digest();
    forge_mark(TAMPERED_LAST + 1, &head, true);
    ratoon__driver *d = tampered_raw(tampered.store);
    commit_edit(d, tampered.victim, 4);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, 5, "chain");
}
END_TEST

static Suite *tamper_commits_suite(void)
{
    Suite *s = suite_create("tamper_commits");
    TCase *t = tcase_create("tamper");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, tampered_setup, tampered_teardown);
    tcase_add_test(t, test_Q01_the_store_as_it_was_has_no_problem);
    tcase_add_test(t, test_Q01_an_edited_commit_on_disk_is_found);
    tcase_add_test(t, test_Q01_a_deleted_commit_on_disk_is_found);
    tcase_add_test(t, test_Q01_an_inserted_commit_on_disk_is_found);
    tcase_add_test(t, test_Q01_swapped_commits_on_disk_are_found);
    tcase_add_test(t, test_Q01_commits_of_another_lineage_on_disk_are_found);
    tcase_add_test(t, test_Q02_a_cut_end_on_disk_is_found);
    tcase_add_test(t, test_Q02_a_removed_lineage_on_disk_is_found);
    tcase_add_test(t, test_Q02_a_cut_end_that_fits_is_found_by_the_seal);
    tcase_add_test(t, test_Q02_a_removed_lineage_that_fits_is_found_by_the_seal);
    tcase_add_test(t, test_Q02_a_chain_rewritten_whole_is_found_by_the_seal);
    tcase_add_test(t, test_Q02_an_edited_last_commit_is_found_by_the_seal);
    tcase_add_test(t, test_Q01_a_changed_value_on_disk_is_found);
    tcase_add_test(t, test_Q01_a_changed_value_in_a_commit_is_found);
    tcase_add_test(t, test_Q01_a_removed_value_on_disk_is_found);
    tcase_add_test(t, test_Q02_a_mark_that_fits_is_a_notice_of_the_seal);
    tcase_add_test(t, test_Q02_a_mark_of_another_history_is_found_by_the_seal);
    tcase_add_test(t, test_Q02_a_mark_for_less_than_was_there_is_found);
    tcase_add_test(t, test_Q01_a_mark_beside_what_it_stands_for_is_found);
    tcase_add_test(t, test_Q01_a_mark_behind_a_changed_lineage_hides_nothing);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(tamper_commits_suite)
