/* A store on disk that was changed by somebody who knows its format: each change is found, and the
 * lineage and the first commit that is wrong are named. What fits together everywhere, only a seal
 * finds (Q01, Q02). */
#include "log/codec.h"
#include "log/digest.h"
#include "log/rocksdb_impl.h"
#include "log/store.h"
#include "tests/support/support.h"

#include <rocksdb/c.h>

#include <jansson.h>
#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOTES = 9, /* a lineage has one commit more */
    LAST = NOTES + 1,
    FILLER = 200, /* commits behind those that are changed: opening looks at the last 128 only */
    COMMITS_MAX = 400,
    VALUE = 3000,
};

static const char text_of_pipeline[] = "pipeline: one\n"
                                       "stages:\n"
                                       "  - {name: only, run: [\"true\"]}\n";

static char *folder;
static char store_path[4096], forged_path[4096], seal_path[4096], key_path[4096], public_path[4096];
static ratoon_id victim, other, filler;
static ratoon_digest value_digest;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

/* ---- the store as it was ---- */

static ratoon_id lineage_new(ratoon_store *s, const ratoon_pipeline *p, const char *value)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    const ratoon_value state = {.key = "large", .data = value, .size = VALUE};
    ratoon_created created;
    ratoon_error error = {0};
    options.pipeline = p;
    options.no_exec = true;
    options.state = &state;
    options.state_count = value != NULL;
    must(ratoon_run_create(s, &options, &created, &error), &error);
    return created.run;
}

static void note(ratoon_store *s, ratoon_id run, int number)
{
    char text[32];
    ratoon_error error = {0};
    snprintf(text, sizeof text, "note number %03d", number);
    must(ratoon_run_annotate(s, run, text, &error), &error);
}

static ratoon_store *open_store(const char *path)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *s = NULL;
    ratoon_error error = {0};
    options.no_serve = true;
    options.durability = RATOON_DURABILITY_NONE;
    const ratoon_status status = ratoon_store_open(path, &options, &s, &error);
    ck_assert_msg(s != NULL, "%s: %s", ratoon_status_name(status), error.message);
    return s;
}

static void fill(const char *path)
{
    char *value = malloc(VALUE);
    ratoon_pipeline *p = NULL;
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', VALUE);
    value[0] = value[VALUE - 1] = '"';
    ck_assert_int_eq(ratoon__sha256(value, VALUE, &value_digest), RATOON_OK);
    must(ratoon_pipeline_parse("one", text_of_pipeline, sizeof text_of_pipeline - 1, NULL, &p,
                               &error),
         &error);
    ratoon_store *s = open_store(path);
    victim = lineage_new(s, p, value);
    other = lineage_new(s, p, NULL);
    for (int i = 1; i <= NOTES; i++) {
        note(s, victim, i);
        note(s, other, i);
    }
    filler = lineage_new(s, p, NULL);
    for (int i = 1; i <= FILLER; i++) {
        note(s, filler, i);
    }
    must(ratoon_seal_keygen(key_path, &error), &error);
    must(ratoon_seal(s, seal_path, key_path, &json, &error), &error);
    ratoon_buffer_free(&json);
    ratoon_store_close(s);
    ratoon_pipeline_free(p);
    free(value);
}

static void setup(void)
{
    ratoon_error error = {0};
    folder = support_temp_dir("tamper_store");
    snprintf(store_path, sizeof store_path, "%s/store", folder);
    snprintf(forged_path, sizeof forged_path, "%s/forged", folder);
    snprintf(seal_path, sizeof seal_path, "%s/seal", folder);
    snprintf(key_path, sizeof key_path, "%s/key", folder);
    snprintf(public_path, sizeof public_path, "%s/key.pub", folder);
    must(ratoon_store_create(store_path, NULL, &error), &error);
    fill(store_path);
}

static void teardown(void)
{
    support_temp_dir_free(folder);
}

/* ---- changing it ---- */

static ratoon__driver *raw_open(const char *path)
{
    static const ratoon__driver_options options = {.durability = RATOON_DURABILITY_NONE,
                                                   .value_max = RATOON_VALUE_MAX_DEFAULT};
    ratoon__driver *d = NULL;
    ratoon_error error = {0};
    must(ratoon__rocksdb_open(path, &options, &d, &error), &error);
    return d;
}

static void raw_put(ratoon__driver *d, int family, const void *key, size_t key_size,
                    const void *data, size_t size)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    char *message = NULL;
    rocksdb_put_cf(r->db, r->write_plain, r->family[family], key, key_size, data, size, &message);
    ck_assert_msg(message == NULL, "%s", message);
}

static void raw_delete(ratoon__driver *d, int family, const void *key, size_t key_size)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    char *message = NULL;
    rocksdb_delete_cf(r->db, r->write_plain, r->family[family], key, key_size, &message);
    ck_assert_msg(message == NULL, "%s", message);
}

static char *raw_get(ratoon__driver *d, int family, const void *key, size_t key_size, size_t *size)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    char *message = NULL;
    char *data =
        rocksdb_get_cf(r->db, r->get_options, r->family[family], key, key_size, size, &message);
    ck_assert_msg(message == NULL && data != NULL, "not there: %s", message);
    return data;
}

/* The first entry whose key begins like that; key and data are to be freed. */
static void raw_first(ratoon__driver *d, int family, const void *prefix, size_t prefix_size,
                      char **key, size_t *key_size, char **data, size_t *size)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(r->db, r->scan_options, r->family[family]);
    rocksdb_iter_seek(it, prefix, prefix_size);
    ck_assert(rocksdb_iter_valid(it));
    const char *found = rocksdb_iter_key(it, key_size);
    ck_assert(*key_size >= prefix_size && memcmp(found, prefix, prefix_size) == 0);
    const char *value = rocksdb_iter_value(it, size);
    *key = malloc(*key_size + 1);
    *data = malloc(*size + 1);
    ck_assert(*key != NULL && *data != NULL);
    memcpy(*key, found, *key_size);
    memcpy(*data, value, *size);
    rocksdb_iter_destroy(it);
}

static char *commit_get(ratoon__driver *d, ratoon_id lineage, uint64_t number, size_t *size)
{
    uint8_t key[RATOON__COMMIT_KEY];
    ratoon__commit_key(key, lineage, number);
    return raw_get(d, RATOON__FAMILY_COMMITS, key, sizeof key, size);
}

static void commit_put(ratoon__driver *d, ratoon_id lineage, uint64_t number, const char *data,
                       size_t size)
{
    uint8_t key[RATOON__COMMIT_KEY];
    ratoon__commit_key(key, lineage, number);
    raw_put(d, RATOON__FAMILY_COMMITS, key, sizeof key, data, size);
}

static void commit_delete(ratoon__driver *d, ratoon_id lineage, uint64_t number)
{
    uint8_t key[RATOON__COMMIT_KEY];
    ratoon__commit_key(key, lineage, number);
    raw_delete(d, RATOON__FAMILY_COMMITS, key, sizeof key);
}

/* Gives a commit's bytes to another place, which keeps its position. */
static void commit_move(ratoon__driver *d, ratoon_id lineage, uint64_t number, const char *data,
                        size_t size)
{
    size_t was_size;
    char *was = commit_get(d, lineage, number, &was_size);
    char *is = malloc(size);
    ck_assert_ptr_nonnull(is);
    memcpy(is, data, size);
    memcpy(is, was, RATOON__POSITION_SIZE);
    commit_put(d, lineage, number, is, size);
    free(is);
    free(was);
}

static void commit_edit(ratoon__driver *d, ratoon_id lineage, uint64_t number)
{
    size_t size;
    char *data = commit_get(d, lineage, number, &size);
    char *text = memmem(data, size, "note number ", 12);
    ck_assert_ptr_nonnull(text);
    text[12] = '9';
    commit_put(d, lineage, number, data, size);
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
    copied commits[COMMITS_MAX];
    size_t count;
    ratoon__stored_value values[8];
    size_t values_count;
} copy;

static bool copy_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    copy *c = ctx;
    ck_assert_uint_lt(c->count, COMMITS_MAX);
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
        if (!ratoon_id_equal(at->lineage, victim)) {
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
    return ratoon_id_equal(c->lineage, victim) &&
           (how == REMOVED || (how == CUT && c->number > LAST - 3));
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
    ratoon__driver *d = raw_open(store_path);
    must(d->ops->read(d, (ratoon_id){{0}}, 0, false, false, copy_commit, &c, &error), &error);
    must(d->ops->values(d, copy_value, &c, &error), &error);
    d->ops->close(d);
    if (how == REWRITTEN) {
        rewrite(&c);
    }
    qsort(c.commits, c.count, sizeof c.commits[0], by_position);
    must(ratoon_store_create(forged_path, NULL, &error), &error);
    d = raw_open(forged_path);
    bool first = true; /* it brings the values */
    for (size_t i = 0; i < c.count; i++) {
        copied *at = &c.commits[i];
        ratoon__append a = {.lineage = at->lineage,
                            .number = at->number,
                            .data = at->data,
                            .size = at->size,
                            .values = c.values,
                            .values_count = first ? c.values_count : 0};
        if (how == LAST_EDITED && ratoon_id_equal(at->lineage, victim) && at->number == LAST) {
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

/* ---- what verification says ---- */

static json_t *verify(const char *path, bool sealed)
{
    ratoon_verify_options options = RATOON_VERIFY_OPTIONS_INIT;
    ratoon_store *s = open_store(path);
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t problems = 0;
    if (sealed) {
        options.seal = seal_path;
        options.key = public_path;
    }
    must(ratoon_verify_with(s, &options, &json, &problems, &error), &error);
    ratoon_store_close(s);
    json_t *report = json_loadb(json.data, json.size, 0, NULL);
    ck_assert_ptr_nonnull(report);
    ratoon_buffer_free(&json);
    return report;
}

/* The first problem is that one, and no lineage but that one is named. A lineage of zero: the
 * problem is about none; commit 0: about no commit. */
static void check_problem(const char *path, bool sealed, const ratoon_id *lineage, uint64_t commit,
                          const char *kind)
{
    char id[RATOON_ID_TEXT];
    json_t *report = verify(path, sealed);
    char *text = json_dumps(report, 0);
    const json_t *problems = json_object_get(report, "problems");
    const json_t *first = json_array_get(problems, 0);
    ck_assert_msg(first != NULL, "nothing was found: %s", text);
    ck_assert_msg(strcmp(json_string_value(json_object_get(first, "kind")), kind) == 0, "%s", text);
    ck_assert_msg((uint64_t)json_integer_value(json_object_get(first, "commit")) == commit, "%s",
                  text);
    if (lineage != NULL) {
        ratoon_id_format(*lineage, id);
    }
    for (size_t i = 0; i < json_array_size(problems); i++) {
        const json_t *named = json_object_get(json_array_get(problems, i), "lineage");
        ck_assert_msg(json_is_null(named) ||
                          (lineage != NULL && strcmp(json_string_value(named), id) == 0),
                      "another lineage: %s", text);
        ck_assert_msg(i > 0 || json_is_null(named) == (lineage == NULL), "%s", text);
    }
    free(text);
    json_decref(report);
}

static void check_sound(const char *path, bool sealed, size_t notices)
{
    json_t *report = verify(path, sealed);
    char *text = json_dumps(report, 0);
    ck_assert_msg(json_array_size(json_object_get(report, "problems")) == 0, "%s", text);
    ck_assert_msg(json_array_size(json_object_get(report, "notices")) == notices, "%s", text);
    free(text);
    json_decref(report);
}

START_TEST(test_Q01_the_store_as_it_was_has_no_problem)
{
    check_sound(store_path, false, 0);
    check_sound(store_path, true, 0);
    forge(UNCHANGED); /* nor has one that was put together anew */
    check_sound(forged_path, true, 0);
}
END_TEST

/* ---- commits ---- */

START_TEST(test_Q01_an_edited_commit_on_disk_is_found)
{
    ratoon__driver *d = raw_open(store_path);
    commit_edit(d, victim, 4);
    d->ops->close(d);
    check_problem(store_path, false, &victim, 5, "chain");
}
END_TEST

START_TEST(test_Q01_a_deleted_commit_on_disk_is_found)
{
    ratoon__driver *d = raw_open(store_path);
    commit_delete(d, victim, 4);
    d->ops->close(d);
    check_problem(store_path, false, &victim, 5, "number");
}
END_TEST

START_TEST(test_Q01_an_inserted_commit_on_disk_is_found)
{
    size_t size;
    ratoon__driver *d = raw_open(store_path);
    char *last = commit_get(d, victim, LAST, &size);
    commit_put(d, victim, LAST + 1, last, size);
    free(last);
    d->ops->close(d);
    check_problem(store_path, false, &victim, LAST + 1, "number");
}
END_TEST

START_TEST(test_Q01_swapped_commits_on_disk_are_found)
{
    size_t a_size, b_size;
    ratoon__driver *d = raw_open(store_path);
    char *a = commit_get(d, victim, 4, &a_size), *b = commit_get(d, victim, 6, &b_size);
    commit_move(d, victim, 4, b, b_size);
    commit_move(d, victim, 6, a, a_size);
    free(a);
    free(b);
    d->ops->close(d);
    check_problem(store_path, false, &victim, 4, "number");
}
END_TEST

START_TEST(test_Q01_commits_of_another_lineage_on_disk_are_found)
{
    ratoon__driver *d = raw_open(store_path);
    for (uint64_t number = 5; number <= LAST; number++) {
        size_t size;
        char *data = commit_get(d, other, number, &size);
        commit_move(d, victim, number, data, size);
        free(data);
    }
    d->ops->close(d);
    check_problem(store_path, false, &victim, 5, "number");
}
END_TEST

/* The feed tells that something is missing; a seal tells where. */
START_TEST(test_Q02_a_cut_end_on_disk_is_found)
{
    ratoon__driver *d = raw_open(store_path);
    for (uint64_t number = LAST - 2; number <= LAST; number++) {
        commit_delete(d, victim, number);
    }
    d->ops->close(d);
    check_problem(store_path, false, NULL, 0, "feed");
    check_problem(store_path, true, &victim, LAST - 2, "seal");
}
END_TEST

START_TEST(test_Q02_a_removed_lineage_on_disk_is_found)
{
    ratoon__driver *d = raw_open(store_path);
    for (uint64_t number = 1; number <= LAST; number++) {
        commit_delete(d, victim, number);
    }
    d->ops->close(d);
    check_problem(store_path, false, NULL, 0, "feed");
    check_problem(store_path, true, &victim, 1, "seal");
}
END_TEST

/* ---- what fits together: only a seal knows ---- */

START_TEST(test_Q02_a_cut_end_that_fits_is_found_by_the_seal)
{
    forge(CUT);
    check_sound(forged_path, false, 0);
    check_problem(forged_path, true, &victim, LAST - 2, "seal");
}
END_TEST

START_TEST(test_Q02_a_removed_lineage_that_fits_is_found_by_the_seal)
{
    forge(REMOVED);
    check_sound(forged_path, false, 0);
    check_problem(forged_path, true, &victim, 1, "seal");
}
END_TEST

START_TEST(test_Q02_a_chain_rewritten_whole_is_found_by_the_seal)
{
    forge(REWRITTEN);
    check_sound(forged_path, false, 0);
    check_problem(forged_path, true, &victim, LAST, "seal");
}
END_TEST

START_TEST(test_Q02_an_edited_last_commit_is_found_by_the_seal)
{
    forge(LAST_EDITED);
    check_sound(forged_path, false, 0);
    check_problem(forged_path, true, &victim, LAST, "seal");
}
END_TEST

/* ---- values ---- */

START_TEST(test_Q01_a_changed_value_on_disk_is_found)
{
    size_t size;
    ratoon__driver *d = raw_open(store_path);
    char *data = raw_get(d, RATOON__FAMILY_VALUES, value_digest.bytes, 32, &size);
    data[100] = 'w';
    raw_put(d, RATOON__FAMILY_VALUES, value_digest.bytes, 32, data, size);
    free(data);
    d->ops->close(d);
    check_problem(store_path, false, &victim, 1, "value");
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
    must(ratoon_pipeline_parse("one", text_of_pipeline, sizeof text_of_pipeline - 1, NULL, &p,
                               &error),
         &error);
    options.pipeline = p;
    options.no_exec = true;
    options.state = state;
    options.state_count = 2;
    ratoon_store *s = open_store(store_path);
    must(ratoon_run_create(s, &options, &created, &error), &error);
    ratoon_store_close(s);
    ratoon_pipeline_free(p);
    check_sound(store_path, false, 0);
    ratoon__driver *d = raw_open(store_path);
    char *data = commit_get(d, created.run, 1, &size);
    char *held = memmem(data, size, text, sizeof text);
    ck_assert_ptr_nonnull(held);
    held[2] ^= 1;
    commit_put(d, created.run, 1, data, size);
    free(data);
    d->ops->close(d);
    check_problem(store_path, false, &created.run, 1, "value");
}
END_TEST

START_TEST(test_Q01_a_removed_value_on_disk_is_found)
{
    ratoon__driver *d = raw_open(store_path);
    raw_delete(d, RATOON__FAMILY_VALUES, value_digest.bytes, 32);
    d->ops->close(d);
    check_problem(store_path, false, &victim, 1, "value");
}
END_TEST

/* ---- the feed ---- */

static void feed_row_first(ratoon__driver *d, char **key, char **data, size_t *size)
{
    size_t key_size;
    raw_first(d, RATOON__FAMILY_FEED, "", 0, key, &key_size, data, size);
    ck_assert_uint_eq(key_size, 8);
}

START_TEST(test_Q01_a_changed_row_of_the_feed_is_found)
{
    char *key, *data;
    size_t size;
    ratoon__driver *d = raw_open(store_path);
    feed_row_first(d, &key, &data, &size);
    data[RATOON__COMMIT_KEY - 1] = 7; /* another number in the same lineage */
    raw_put(d, RATOON__FAMILY_FEED, key, 8, data, size);
    free(key);
    free(data);
    d->ops->close(d);
    check_problem(store_path, false, NULL, 0, "feed");
}
END_TEST

START_TEST(test_Q01_a_removed_row_of_the_feed_is_found)
{
    char *key, *data;
    size_t size;
    ratoon__driver *d = raw_open(store_path);
    feed_row_first(d, &key, &data, &size);
    raw_delete(d, RATOON__FAMILY_FEED, key, 8);
    free(key);
    free(data);
    d->ops->close(d);
    json_t *report = verify(store_path, false);
    char *text = json_dumps(report, 0);
    ck_assert_msg(strstr(text, "\"kind\": \"feed\"") != NULL, "%s", text);
    free(text);
    json_decref(report);
}
END_TEST

typedef struct feed_row {
    uint64_t first, count;
    char keys[COMMITS_MAX * RATOON__COMMIT_KEY];
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
        raw_put(d, RATOON__FAMILY_FEED, key, sizeof key, row->keys + from * RATOON__COMMIT_KEY,
                (size_t)(to - from) * RATOON__COMMIT_KEY);
    } else {
        raw_delete(d, RATOON__FAMILY_FEED, key, sizeof key);
    }
}

/* Its place in the feed is removed with it, and the places behind stay as they are. */
START_TEST(test_Q01_a_commit_removed_with_its_place_in_the_feed_is_found)
{
    static feed_row row;
    size_t size;
    ratoon_store *s = open_store(store_path);
    for (int i = 0; i < 2 * RATOON__WINDOW_MAX; i++) {
        note(s, filler, i); /* opening looks at the last rows */
    }
    ratoon_store_close(s);
    ratoon__driver *d = raw_open(store_path);
    char *data = commit_get(d, victim, LAST, &size);
    const uint64_t position = ratoon__get_le64(data);
    ck_assert_int_eq(
        ratoon__rocks_feed_rows(ratoon__rocks_of(d), position, position, feed_row_copy, &row, NULL),
        RATOON_OK);
    const uint64_t at = position - row.first;
    ck_assert_mem_eq(row.keys + at * RATOON__COMMIT_KEY, victim.bytes, 16);
    feed_row_put(d, &row, 0, at);
    feed_row_put(d, &row, at + 1, row.count);
    commit_delete(d, victim, LAST);
    free(data);
    d->ops->close(d);
    check_problem(store_path, false, NULL, 0, "feed");
}
END_TEST

/* ---- what is derived ---- */

START_TEST(test_Q01_a_changed_row_of_a_run_is_found)
{
    uint8_t prefix[17] = {'r'};
    char *key, *data;
    size_t key_size, size;
    memcpy(prefix + 1, victim.bytes, 16);
    ratoon__driver *d = raw_open(store_path);
    raw_first(d, RATOON__FAMILY_DERIVED, prefix, sizeof prefix, &key, &key_size, &data, &size);
    data[16 + 8 + 16] = (char)RATOON_RUN_SUCCEEDED;
    raw_put(d, RATOON__FAMILY_DERIVED, key, key_size, data, size);
    free(key);
    free(data);
    d->ops->close(d);
    check_problem(store_path, false, &victim, 0, "derived");
}
END_TEST

static void remove_derived(char family)
{
    char *key, *data;
    size_t key_size, size;
    ratoon__driver *d = raw_open(store_path);
    raw_first(d, RATOON__FAMILY_DERIVED, &family, 1, &key, &key_size, &data, &size);
    raw_delete(d, RATOON__FAMILY_DERIVED, key, key_size);
    free(key);
    free(data);
    d->ops->close(d);
}

/* By time: the first entry is the newest run. */
START_TEST(test_Q01_a_removed_entry_of_the_list_of_runs_is_found)
{
    remove_derived('t');
    check_problem(store_path, false, &filler, 0, "derived");
}
END_TEST

START_TEST(test_Q01_a_removed_entry_of_the_list_by_status_is_found)
{
    remove_derived('s');
    check_problem(store_path, false, &filler, 0, "derived");
}
END_TEST

START_TEST(test_Q01_a_removed_entry_of_the_list_by_pipeline_is_found)
{
    remove_derived('p');
    check_problem(store_path, false, &filler, 0, "derived");
}
END_TEST

/* Nobody has that subject, so no run can be named. */
START_TEST(test_Q01_a_removed_entry_of_the_list_by_subject_is_found)
{
    remove_derived('j');
    check_problem(store_path, false, NULL, 0, "derived");
}
END_TEST

START_TEST(test_Q01_an_added_entry_of_a_list_is_found)
{
    static const char key[] = "jsomebody\0........................";
    ratoon__driver *d = raw_open(store_path);
    raw_put(d, RATOON__FAMILY_DERIVED, key, sizeof key - 1, "", 0);
    d->ops->close(d);
    check_problem(store_path, false, NULL, 0, "derived");
}
END_TEST

/* A run's row and the lists fit together, but not the log. */
START_TEST(test_Q01_a_forged_subject_of_a_run_is_found)
{
    uint8_t key[17] = {'r'};
    char *found, *data;
    size_t key_size, size;
    memcpy(key + 1, victim.bytes, 16);
    ratoon__driver *d = raw_open(store_path);
    raw_first(d, RATOON__FAMILY_DERIVED, key, sizeof key, &found, &key_size, &data, &size);
    ratoon__run_row row;
    ratoon__buf old_entry = {0}, entry = {0}, bytes = {0};
    ck_assert(ratoon__row_decode(data, size, victim, &row));
    ratoon__index_key(RATOON__INDEX_SUBJECT, &row, &old_entry);
    row.subject = "forged";
    ratoon__index_key(RATOON__INDEX_SUBJECT, &row, &entry);
    ratoon__row_encode(&row, &bytes);
    raw_delete(d, RATOON__FAMILY_DERIVED, old_entry.data, old_entry.size);
    raw_put(d, RATOON__FAMILY_DERIVED, entry.data, entry.size, "", 0);
    raw_put(d, RATOON__FAMILY_DERIVED, key, sizeof key, bytes.data, bytes.size);
    ratoon__buf_free(&old_entry);
    ratoon__buf_free(&entry);
    ratoon__buf_free(&bytes);
    free(found);
    free(data);
    d->ops->close(d);
    check_problem(store_path, false, &victim, 0, "derived");
}
END_TEST

START_TEST(test_S07_a_changed_snapshot_on_disk_is_found)
{
    uint8_t prefix[17] = {'n'};
    char *key, *data;
    size_t key_size, size;
    memcpy(prefix + 1, filler.bytes, 16);
    ratoon__driver *d = raw_open(store_path);
    raw_first(d, RATOON__FAMILY_DERIVED, prefix, sizeof prefix, &key, &key_size, &data, &size);
    char *text = memmem(data, size, "note number ", 12);
    const uint64_t number = ratoon__get_be64(key + 17);
    data[text != NULL ? (size_t)(text - data) + 12 : size - 1] ^= 1;
    raw_put(d, RATOON__FAMILY_DERIVED, key, key_size, data, size);
    free(key);
    free(data);
    d->ops->close(d);
    check_problem(store_path, false, &filler, number, "snapshot");
}
END_TEST

/* Far behind the first page of snapshots that are walked together. */
START_TEST(test_S07_a_changed_snapshot_of_the_last_of_many_lineages_is_found)
{
    enum { LINEAGES = 150, EVENTS = 80 };
    ratoon_pipeline *p = NULL;
    ratoon_error error = {0};
    ratoon_id last = filler;
    must(ratoon_pipeline_parse("one", text_of_pipeline, sizeof text_of_pipeline - 1, NULL, &p,
                               &error),
         &error);
    ratoon_store *s = open_store(store_path);
    for (int i = 0; i < LINEAGES; i++) {
        last = lineage_new(s, p, NULL);
        for (int k = 0; k < EVENTS; k++) {
            note(s, last, k);
        }
    }
    ratoon_store_close(s);
    ratoon_pipeline_free(p);
    check_sound(store_path, false, 0);
    uint8_t prefix[17] = {'n'};
    char *key, *data;
    size_t key_size, size;
    memcpy(prefix + 1, last.bytes, 16);
    ratoon__driver *d = raw_open(store_path);
    raw_first(d, RATOON__FAMILY_DERIVED, prefix, sizeof prefix, &key, &key_size, &data, &size);
    const uint64_t number = ratoon__get_be64(key + 17);
    data[size - 1] ^= 1;
    raw_put(d, RATOON__FAMILY_DERIVED, key, key_size, data, size);
    free(key);
    free(data);
    d->ops->close(d);
    check_problem(store_path, false, &last, number, "snapshot");
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
        .run = victim,
        .type = RATOON__EVENT_LINEAGE_DELETED,
        .u.deleted = {.commits = number - 1, .events = number - 1, .runs = 1, .actor = "nobody"}};
    const ratoon__commit mark = {.id = victim,
                                 .lineage = victim,
                                 .number = number,
                                 .first_event = number,
                                 .time_us = UINT64_C(1800000000000000),
                                 .previous = *previous,
                                 .writer = "forger",
                                 .events = &event,
                                 .events_count = 1};
    ck_assert_ptr_nonnull(encoder);
    must(ratoon__commit_encode(encoder, &mark, &data, &size, &error), &error);
    ratoon__driver *d = raw_open(store_path);
    const ratoon__run_row row = {.run = victim, .root = victim, .subject = "", .pipeline = "one"};
    const ratoon__append erase = {.lineage = victim,
                                  .number = number,
                                  .data = data,
                                  .size = size,
                                  .rows = &row,
                                  .rows_count = 1,
                                  .erase = !keep};
    ratoon__append a = erase;
    if (number <= LAST) { /* the driver refuses that: by hand, keeping the place of that number */
        size_t was_size;
        char *was = commit_get(d, victim, number, &was_size);
        char *is = malloc(RATOON__POSITION_SIZE + size);
        ck_assert_ptr_nonnull(is);
        memcpy(is, was, RATOON__POSITION_SIZE);
        memcpy(is + RATOON__POSITION_SIZE, data, size);
        for (uint64_t n = keep ? number : 1; n <= LAST; n++) {
            commit_delete(d, victim, n);
        }
        commit_put(d, victim, number, is, RATOON__POSITION_SIZE + size);
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
    ratoon__driver *d = raw_open(store_path);
    char *data = commit_get(d, victim, LAST, &size);
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
    forge_mark(LAST + 1, &head, false);
    check_sound(store_path, false, 0);
    check_sound(store_path, true, 1);
}
END_TEST

START_TEST(test_Q02_a_mark_of_another_history_is_found_by_the_seal)
{
    const ratoon_digest made_up = {{1, 2, 3}};
    forge_mark(LAST + 1, &made_up, false);
    check_sound(store_path, false, 0);
    check_problem(store_path, true, &victim, LAST + 1, "seal");
}
END_TEST

START_TEST(test_Q02_a_mark_for_less_than_was_there_is_found)
{
    const ratoon_digest made_up = {{1, 2, 3}};
    forge_mark(5, &made_up, false);
    check_problem(store_path, true, &victim, 5, "seal");
    check_problem(store_path, false, NULL, 0, "feed");
}
END_TEST

START_TEST(test_Q01_a_mark_beside_what_it_stands_for_is_found)
{
    const ratoon_digest made_up = {{1, 2, 3}};
    forge_mark(5, &made_up, true);
    check_problem(store_path, false, &victim, 5, "number");
}
END_TEST

/* A mark put behind all of a lineage doesn't hide what was done to it. */
START_TEST(test_Q01_a_mark_behind_a_changed_lineage_hides_nothing)
{
    const ratoon_digest head = head_digest();
    forge_mark(LAST + 1, &head, true);
    ratoon__driver *d = raw_open(store_path);
    commit_edit(d, victim, 4);
    d->ops->close(d);
    check_problem(store_path, false, &victim, 5, "chain");
}
END_TEST

static Suite *tamper_store_suite(void)
{
    Suite *s = suite_create("tamper_store");
    TCase *t = tcase_create("tamper");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
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
    tcase_add_test(t, test_Q02_a_mark_that_fits_is_a_notice_of_the_seal);
    tcase_add_test(t, test_Q02_a_mark_of_another_history_is_found_by_the_seal);
    tcase_add_test(t, test_Q02_a_mark_for_less_than_was_there_is_found);
    tcase_add_test(t, test_Q01_a_mark_beside_what_it_stands_for_is_found);
    tcase_add_test(t, test_Q01_a_mark_behind_a_changed_lineage_hides_nothing);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(tamper_store_suite)
