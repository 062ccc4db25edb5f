#include "tests/support/tampered.h"

#include "log/digest.h"
#include "log/rocksdb_impl.h"
#include "tests/support/support.h"

#include <rocksdb/c.h>

#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char tampered_pipeline[] = "pipeline: one\n"
                                 "stages:\n"
                                 "  - {name: only, run: [\"true\"]}\n";

tampered_store tampered;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

/* ---- the store as it was ---- */

ratoon_id tampered_lineage(ratoon_store *s, const ratoon_pipeline *p, const char *value)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    const ratoon_value state = {.key = "large", .data = value, .size = TAMPERED_VALUE};
    ratoon_created created;
    ratoon_error error = {0};
    options.pipeline = p;
    options.no_exec = true;
    options.state = &state;
    options.state_count = value != NULL;
    must(ratoon_run_create(s, &options, &created, &error), &error);
    return created.run;
}

void tampered_note(ratoon_store *s, ratoon_id run, int number)
{
    char text[32];
    ratoon_error error = {0};
    snprintf(text, sizeof text, "note number %03d", number);
    must(ratoon_run_annotate(s, run, text, &error), &error);
}

ratoon_store *tampered_open(const char *path)
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
    char *value = malloc(TAMPERED_VALUE);
    ratoon_pipeline *p = NULL;
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', TAMPERED_VALUE);
    value[0] = value[TAMPERED_VALUE - 1] = '"';
    ck_assert_int_eq(ratoon__sha256(value, TAMPERED_VALUE, &tampered.value), RATOON_OK);
    must(ratoon_pipeline_parse("one", tampered_pipeline, strlen(tampered_pipeline), NULL, &p,
                               &error),
         &error);
    ratoon_store *s = tampered_open(path);
    tampered.victim = tampered_lineage(s, p, value);
    tampered.other = tampered_lineage(s, p, NULL);
    for (int i = 1; i <= TAMPERED_NOTES; i++) {
        tampered_note(s, tampered.victim, i);
        tampered_note(s, tampered.other, i);
    }
    tampered.filler = tampered_lineage(s, p, NULL);
    for (int i = 1; i <= TAMPERED_FILLER; i++) {
        tampered_note(s, tampered.filler, i);
    }
    must(ratoon_seal_keygen(tampered.key, &error), &error);
    must(ratoon_seal(s, tampered.seal, tampered.key, &json, &error), &error);
    ratoon_buffer_free(&json);
    ratoon_store_close(s);
    ratoon_pipeline_free(p);
    free(value);
}

void tampered_setup(void)
{
    ratoon_error error = {0};
    tampered.folder = support_temp_dir("tamper_store");
    snprintf(tampered.store, sizeof tampered.store, "%s/store", tampered.folder);
    snprintf(tampered.forged, sizeof tampered.forged, "%s/forged", tampered.folder);
    snprintf(tampered.seal, sizeof tampered.seal, "%s/seal", tampered.folder);
    snprintf(tampered.key, sizeof tampered.key, "%s/key", tampered.folder);
    snprintf(tampered.public_key, sizeof tampered.public_key, "%s/key.pub", tampered.folder);
    must(ratoon_store_create(tampered.store, NULL, &error), &error);
    fill(tampered.store);
}

void tampered_teardown(void)
{
    support_temp_dir_free(tampered.folder);
}

/* ---- changing it ---- */

ratoon__driver *tampered_raw(const char *path)
{
    static const ratoon__driver_options options = {.durability = RATOON_DURABILITY_NONE,
                                                   .value_max = RATOON_VALUE_MAX_DEFAULT};
    ratoon__driver *d = NULL;
    ratoon_error error = {0};
    must(ratoon__rocksdb_open(path, &options, &d, &error), &error);
    return d;
}

void tampered_put(ratoon__driver *d, int family, const void *key, size_t key_size, const void *data,
                  size_t size)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    char *message = NULL;
    rocksdb_put_cf(r->db, r->write_plain, r->family[family], key, key_size, data, size, &message);
    ck_assert_msg(message == NULL, "%s", message);
}

void tampered_delete(ratoon__driver *d, int family, const void *key, size_t key_size)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    char *message = NULL;
    rocksdb_delete_cf(r->db, r->write_plain, r->family[family], key, key_size, &message);
    ck_assert_msg(message == NULL, "%s", message);
}

char *tampered_get(ratoon__driver *d, int family, const void *key, size_t key_size, size_t *size)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    char *message = NULL;
    char *data =
        rocksdb_get_cf(r->db, r->get_options, r->family[family], key, key_size, size, &message);
    ck_assert_msg(message == NULL && data != NULL, "not there: %s", message);
    return data;
}

/* The first entry whose key begins like that; key and data are to be freed. */
void tampered_first(ratoon__driver *d, int family, const void *prefix, size_t prefix_size,
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

char *tampered_commit_get(ratoon__driver *d, ratoon_id lineage, uint64_t number, size_t *size)
{
    uint8_t key[RATOON__COMMIT_KEY];
    ratoon__commit_key(key, lineage, number);
    return tampered_get(d, RATOON__FAMILY_COMMITS, key, sizeof key, size);
}

void tampered_commit_put(ratoon__driver *d, ratoon_id lineage, uint64_t number, const char *data,
                         size_t size)
{
    uint8_t key[RATOON__COMMIT_KEY];
    ratoon__commit_key(key, lineage, number);
    tampered_put(d, RATOON__FAMILY_COMMITS, key, sizeof key, data, size);
}

void tampered_commit_delete(ratoon__driver *d, ratoon_id lineage, uint64_t number)
{
    uint8_t key[RATOON__COMMIT_KEY];
    ratoon__commit_key(key, lineage, number);
    tampered_delete(d, RATOON__FAMILY_COMMITS, key, sizeof key);
}

/* ---- what verification says ---- */

json_t *tampered_verify(const char *path, bool sealed)
{
    ratoon_verify_options options = RATOON_VERIFY_OPTIONS_INIT;
    ratoon_store *s = tampered_open(path);
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    size_t problems = 0;
    if (sealed) {
        options.seal = tampered.seal;
        options.key = tampered.public_key;
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
void tampered_problem(const char *path, bool sealed, const ratoon_id *lineage, uint64_t commit,
                      const char *kind)
{
    char id[RATOON_ID_TEXT];
    json_t *report = tampered_verify(path, sealed);
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

void tampered_sound(const char *path, bool sealed, size_t notices)
{
    json_t *report = tampered_verify(path, sealed);
    char *text = json_dumps(report, 0);
    ck_assert_msg(json_array_size(json_object_get(report, "problems")) == 0, "%s", text);
    ck_assert_msg(json_array_size(json_object_get(report, "notices")) == notices, "%s", text);
    free(text);
    json_decref(report);
}
