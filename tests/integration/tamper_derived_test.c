/* What is derived from commits, on disk: the feed, rows and lists of runs, snapshots. What was
 * changed there by somebody who knows the format of a store is found, and it is named whose it is,
 * as far as that can be told (Q01, S07). */
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

/* ---- the feed ---- */

static void feed_row_first(ratoon__driver *d, char **key, char **data, size_t *size)
{
    size_t key_size;
    tampered_first(d, RATOON__FAMILY_FEED, "", 0, key, &key_size, data, size);
    ck_assert_uint_eq(key_size, 8);
}

START_TEST(test_Q01_a_changed_row_of_the_feed_is_found)
{
    char *key, *data;
    size_t size;
    ratoon__driver *d = tampered_raw(tampered.store);
    feed_row_first(d, &key, &data, &size);
    data[RATOON__COMMIT_KEY - 1] = 7; /* another number in the same lineage */
    tampered_put(d, RATOON__FAMILY_FEED, key, 8, data, size);
    free(key);
    free(data);
    d->ops->close(d);
    tampered_problem(tampered.store, false, NULL, 0, "feed");
}
END_TEST

START_TEST(test_Q01_a_removed_row_of_the_feed_is_found)
{
    char *key, *data;
    size_t size;
    ratoon__driver *d = tampered_raw(tampered.store);
    feed_row_first(d, &key, &data, &size);
    tampered_delete(d, RATOON__FAMILY_FEED, key, 8);
    free(key);
    free(data);
    d->ops->close(d);
    json_t *report = tampered_verify(tampered.store, false);
    char *text = json_dumps(report, 0);
    ck_assert_msg(strstr(text, "\"kind\": \"feed\"") != NULL, "%s", text);
    free(text);
    json_decref(report);
}
END_TEST

typedef struct feed_row {
    uint64_t first, count;
    char keys[TAMPERED_COMMITS_MAX * RATOON__COMMIT_KEY];
} feed_row;

static bool feed_row_copy(void *ctx, uint64_t first, const char *keys, uint64_t count)
{
    feed_row *row = ctx;
    row->first = first;
    row->count = count;
    memcpy(row->keys, keys, (size_t)count * RATOON__COMMIT_KEY);
    return false;
}

static void feed_row_put(ratoon__driver *d, const feed_row *row, uint64_t from, uint64_t to)
{
    uint8_t key[8];
    ratoon__put_be64(key, row->first + from);
    if (from < to) {
        tampered_put(d, RATOON__FAMILY_FEED, key, sizeof key, row->keys + from * RATOON__COMMIT_KEY,
                     (size_t)(to - from) * RATOON__COMMIT_KEY);
    } else {
        tampered_delete(d, RATOON__FAMILY_FEED, key, sizeof key);
    }
}

/* Its place in the feed is removed with it, and the places behind stay as they are. */
START_TEST(test_Q01_a_commit_removed_with_its_place_in_the_feed_is_found)
{
    static feed_row row;
    size_t size;
    ratoon_store *s = tampered_open(tampered.store);
    for (int i = 0; i < 2 * RATOON__WINDOW_MAX; i++) {
        tampered_note(s, tampered.filler, i); /* opening looks at the last rows */
    }
    ratoon_store_close(s);
    ratoon__driver *d = tampered_raw(tampered.store);
    char *data = tampered_commit_get(d, tampered.victim, TAMPERED_LAST, &size);
    const uint64_t position = ratoon__get_le64(data);
    ck_assert_int_eq(
        ratoon__rocks_feed_rows(ratoon__rocks_of(d), position, position, feed_row_copy, &row, NULL),
        RATOON_OK);
    const uint64_t at = position - row.first;
    ck_assert_mem_eq(row.keys + at * RATOON__COMMIT_KEY, tampered.victim.bytes, 16);
    feed_row_put(d, &row, 0, at);
    feed_row_put(d, &row, at + 1, row.count);
    tampered_commit_delete(d, tampered.victim, TAMPERED_LAST);
    free(data);
    d->ops->close(d);
    tampered_problem(tampered.store, false, NULL, 0, "feed");
}
END_TEST

/* ---- what is derived ---- */

START_TEST(test_Q01_a_changed_row_of_a_run_is_found)
{
    uint8_t prefix[17] = {'r'};
    char *key, *data;
    size_t key_size, size;
    memcpy(prefix + 1, tampered.victim.bytes, 16);
    ratoon__driver *d = tampered_raw(tampered.store);
    tampered_first(d, RATOON__FAMILY_DERIVED, prefix, sizeof prefix, &key, &key_size, &data, &size);
    data[16 + 8 + 16] = (char)RATOON_RUN_SUCCEEDED;
    tampered_put(d, RATOON__FAMILY_DERIVED, key, key_size, data, size);
    free(key);
    free(data);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, 0, "derived");
}
END_TEST

static void remove_derived(char family)
{
    char *key, *data;
    size_t key_size, size;
    ratoon__driver *d = tampered_raw(tampered.store);
    tampered_first(d, RATOON__FAMILY_DERIVED, &family, 1, &key, &key_size, &data, &size);
    tampered_delete(d, RATOON__FAMILY_DERIVED, key, key_size);
    free(key);
    free(data);
    d->ops->close(d);
}

/* By time: the first entry is the newest run. */
START_TEST(test_Q01_a_removed_entry_of_the_list_of_runs_is_found)
{
    remove_derived('t');
    tampered_problem(tampered.store, false, &tampered.filler, 0, "derived");
}
END_TEST

START_TEST(test_Q01_a_removed_entry_of_the_list_by_status_is_found)
{
    remove_derived('s');
    tampered_problem(tampered.store, false, &tampered.filler, 0, "derived");
}
END_TEST

START_TEST(test_Q01_a_removed_entry_of_the_list_by_pipeline_is_found)
{
    remove_derived('p');
    tampered_problem(tampered.store, false, &tampered.filler, 0, "derived");
}
END_TEST

/* Nobody has that subject, so no run can be named. */
START_TEST(test_Q01_a_removed_entry_of_the_list_by_subject_is_found)
{
    remove_derived('j');
    tampered_problem(tampered.store, false, NULL, 0, "derived");
}
END_TEST

START_TEST(test_Q01_an_added_entry_of_a_list_is_found)
{
    static const char key[] = "jsomebody\0........................";
    ratoon__driver *d = tampered_raw(tampered.store);
    tampered_put(d, RATOON__FAMILY_DERIVED, key, sizeof key - 1, "", 0);
    d->ops->close(d);
    tampered_problem(tampered.store, false, NULL, 0, "derived");
}
END_TEST

/* A run's row and the lists fit together, but not the log. */
START_TEST(test_Q01_a_forged_subject_of_a_run_is_found)
{
    uint8_t key[17] = {'r'};
    char *found, *data;
    size_t key_size, size;
    memcpy(key + 1, tampered.victim.bytes, 16);
    ratoon__driver *d = tampered_raw(tampered.store);
    tampered_first(d, RATOON__FAMILY_DERIVED, key, sizeof key, &found, &key_size, &data, &size);
    ratoon__run_row row;
    ratoon__buf old_entry = {0}, entry = {0}, bytes = {0};
    ck_assert(ratoon__row_decode(data, size, tampered.victim, &row));
    ratoon__index_key(RATOON__INDEX_SUBJECT, &row, &old_entry);
    row.subject = "forged";
    ratoon__index_key(RATOON__INDEX_SUBJECT, &row, &entry);
    ratoon__row_encode(&row, &bytes);
    tampered_delete(d, RATOON__FAMILY_DERIVED, old_entry.data, old_entry.size);
    tampered_put(d, RATOON__FAMILY_DERIVED, entry.data, entry.size, "", 0);
    tampered_put(d, RATOON__FAMILY_DERIVED, key, sizeof key, bytes.data, bytes.size);
    ratoon__buf_free(&old_entry);
    ratoon__buf_free(&entry);
    ratoon__buf_free(&bytes);
    free(found);
    free(data);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.victim, 0, "derived");
}
END_TEST

START_TEST(test_S07_a_changed_snapshot_on_disk_is_found)
{
    uint8_t prefix[17] = {'n'};
    char *key, *data;
    size_t key_size, size;
    memcpy(prefix + 1, tampered.filler.bytes, 16);
    ratoon__driver *d = tampered_raw(tampered.store);
    tampered_first(d, RATOON__FAMILY_DERIVED, prefix, sizeof prefix, &key, &key_size, &data, &size);
    char *text = memmem(data, size, "note number ", 12);
    const uint64_t number = ratoon__get_be64(key + 17);
    data[text != NULL ? (size_t)(text - data) + 12 : size - 1] ^= 1;
    tampered_put(d, RATOON__FAMILY_DERIVED, key, key_size, data, size);
    free(key);
    free(data);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &tampered.filler, number, "snapshot");
}
END_TEST

/* Far behind the first page of snapshots that are walked together. */
START_TEST(test_S07_a_changed_snapshot_of_the_last_of_many_lineages_is_found)
{
    enum { LINEAGES = 150, EVENTS = 80 };
    ratoon_pipeline *p = NULL;
    ratoon_error error = {0};
    ratoon_id last = tampered.filler;
    must(ratoon_pipeline_parse("one", tampered_pipeline, strlen(tampered_pipeline), NULL, &p,
                               &error),
         &error);
    ratoon_store *s = tampered_open(tampered.store);
    for (int i = 0; i < LINEAGES; i++) {
        last = tampered_lineage(s, p, NULL);
        for (int k = 0; k < EVENTS; k++) {
            tampered_note(s, last, k);
        }
    }
    ratoon_store_close(s);
    ratoon_pipeline_free(p);
    tampered_sound(tampered.store, false, 0);
    uint8_t prefix[17] = {'n'};
    char *key, *data;
    size_t key_size, size;
    memcpy(prefix + 1, last.bytes, 16);
    ratoon__driver *d = tampered_raw(tampered.store);
    tampered_first(d, RATOON__FAMILY_DERIVED, prefix, sizeof prefix, &key, &key_size, &data, &size);
    const uint64_t number = ratoon__get_be64(key + 17);
    data[size - 1] ^= 1;
    tampered_put(d, RATOON__FAMILY_DERIVED, key, key_size, data, size);
    free(key);
    free(data);
    d->ops->close(d);
    tampered_problem(tampered.store, false, &last, number, "snapshot");
}
END_TEST

static Suite *tamper_derived_suite(void)
{
    Suite *s = suite_create("tamper_derived");
    TCase *t = tcase_create("tamper");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, tampered_setup, tampered_teardown);
    tcase_add_test(t, test_Q01_a_changed_row_of_the_feed_is_found);
    tcase_add_test(t, test_Q01_a_removed_row_of_the_feed_is_found);
    tcase_add_test(t, test_Q01_a_commit_removed_with_its_place_in_the_feed_is_found);
    tcase_add_test(t, test_Q01_a_changed_row_of_a_run_is_found);
    tcase_add_test(t, test_Q01_a_removed_entry_of_the_list_of_runs_is_found);
    tcase_add_test(t, test_Q01_a_removed_entry_of_the_list_by_status_is_found);
    tcase_add_test(t, test_Q01_a_removed_entry_of_the_list_by_pipeline_is_found);
    tcase_add_test(t, test_Q01_a_removed_entry_of_the_list_by_subject_is_found);
    tcase_add_test(t, test_Q01_an_added_entry_of_a_list_is_found);
    tcase_add_test(t, test_Q01_a_forged_subject_of_a_run_is_found);
    tcase_add_test(t, test_S07_a_changed_snapshot_on_disk_is_found);
    tcase_add_test(t, test_S07_a_changed_snapshot_of_the_last_of_many_lineages_is_found);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(tamper_derived_suite)
