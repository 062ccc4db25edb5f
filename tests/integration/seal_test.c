/* Seals: keys, the Merkle tree, what is in one, and what a store says to it later. What was done to
 * a log behind its back is in tamper_commits_test.c. */
#include "log/digest.h"
#include "log/store.h"
#include "log/witness.h"
#include "replay/seal.h"
#include "tests/support/support.h"

#include <jansson.h>
#include <ratoon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char one_stage[] = "pipeline: one\n"
                                "stages:\n"
                                "  - {name: only, run: [\"true\"]}\n";

static char *folder;
static ratoon_store *store;
static ratoon_pipeline *pipeline;

static void must(ratoon_status status, const ratoon_error *error)
{
    ck_assert_msg(status == RATOON_OK, "%s: %s", ratoon_status_name(status), error->message);
}

/* A path in the test's folder; each call's is lent until the eighth one after it. */
static const char *at(const char *name)
{
    static char paths[8][4096];
    static unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void open_store(ratoon_durability durability)
{
    ratoon_error error = {0};
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    options.no_serve = true;
    options.durability = durability;
    if (access(at("store"), F_OK) != 0) {
        must(ratoon_store_create(at("store"), &options, &error), &error);
    }
    must(ratoon_store_open(at("store"), &options, &store, &error), &error);
}

static void setup(void)
{
    ratoon_error error = {0};
    folder = support_temp_dir("seal_test");
    open_store(RATOON_DURABILITY_SYNC);
    must(ratoon_pipeline_parse("one.yaml", one_stage, strlen(one_stage), NULL, &pipeline, &error),
         &error);
    must(ratoon_seal_keygen(at("key"), &error), &error);
}

static void teardown(void)
{
    ratoon_store_close(store);
    ratoon_pipeline_free(pipeline);
    support_temp_dir_free(folder);
    store = NULL;
}

static ratoon_id lineage_new(void)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error = {0};
    options.pipeline = pipeline;
    options.no_exec = true;
    must(ratoon_run_create(store, &options, &created, &error), &error);
    return created.run;
}

static void grow(ratoon_id run)
{
    ratoon_error error = {0};
    must(ratoon_run_annotate(store, run, "a remark", &error), &error);
}

static void cancel(ratoon_id run)
{
    ratoon_error error = {0};
    ratoon_run_status status;
    must(ratoon_run_cancel(store, run, NULL, &status, &error), &error);
}

static void delete (ratoon_id run)
{
    ratoon_error error = {0};
    ratoon_deleted deleted;
    ratoon_freed freed;
    must(ratoon_lineage_delete(store, run, false, &deleted, &freed, &error), &error);
}

static void seal(const char *name)
{
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    must(ratoon_seal(store, at(name), at("key"), &json, &error), &error);
    ratoon_buffer_free(&json);
}

static ratoon_status verify_status(const char *name, const char *key, json_t **report,
                                   ratoon_error *error)
{
    ratoon_verify_options options = RATOON_VERIFY_OPTIONS_INIT;
    ratoon_buffer json = {0};
    size_t problems = 0;
    options.seal = at(name);
    options.key = key != NULL ? at(key) : NULL;
    const ratoon_status status = ratoon_verify_with(store, &options, &json, &problems, error);
    if (status == RATOON_OK) {
        *report = json_loadb(json.data, json.size, 0, NULL);
        ck_assert_ptr_nonnull(*report);
        ck_assert_uint_eq(json_array_size(json_object_get(*report, "problems")), problems);
        ratoon_buffer_free(&json);
    }
    return status;
}

static json_t *verify(const char *name, const char *key)
{
    ratoon_error error = {0};
    json_t *report = NULL;
    must(verify_status(name, key, &report, &error), &error);
    return report;
}

static size_t problems_of(const json_t *report)
{
    return json_array_size(json_object_get(report, "problems"));
}

/* The only problem is one of the seal itself; its message has that in it. */
static void check_bad_seal(const char *name, const char *key, const char *message)
{
    json_t *report = verify(name, key);
    const json_t *problem = json_array_get(json_object_get(report, "problems"), 0);
    ck_assert_uint_eq(problems_of(report), 1);
    ck_assert_str_eq(json_string_value(json_object_get(problem, "kind")), "seal");
    ck_assert_msg(strstr(json_string_value(json_object_get(problem, "message")), message) != NULL,
                  "%s", json_string_value(json_object_get(problem, "message")));
    ck_assert_ptr_null(json_object_get(report, "seal"));
    json_decref(report);
}

/* ---- keys ---- */

START_TEST(test_Q02_keys_are_made_private_and_never_overwritten)
{
    struct stat st;
    ratoon_error error = {0};
    size_t size, again_size;
    ck_assert_int_eq(stat(at("key"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    char *before = support_read_file(at("key"), &size);
    ck_assert_int_eq(ratoon_seal_keygen(at("key"), &error), RATOON_ERR_EXISTS);
    char *after = support_read_file(at("key"), &again_size);
    ck_assert_uint_eq(size, again_size);
    ck_assert_mem_eq(before, after, size);
    free(before);
    free(after);
    /* Only the public one is in the way: then there is no secret one afterwards either. */
    support_write_file(at("half.pub"), "x", 1);
    ck_assert_int_eq(ratoon_seal_keygen(at("half"), &error), RATOON_ERR_EXISTS);
    ck_assert_int_ne(access(at("half"), F_OK), 0);
    ck_assert_int_eq(ratoon_seal_keygen(at("no/such/folder"), &error), RATOON_ERR_IO);
}
END_TEST

START_TEST(test_Q02_what_is_no_key_is_refused)
{
    static const struct {
        const char *name, *text;
    } bad[] = {
        {"empty", ""},
        {"text", "no key at all"},
        {"cut", "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n"},
        /* X25519: of the same size, and no key for signatures */
        {"other", "-----BEGIN PRIVATE KEY-----\n"
                  "MC4CAQAwBQYDK2VuBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
                  "-----END PRIVATE KEY-----\n"},
    };
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        support_write_file(at(bad[i].name), bad[i].text, strlen(bad[i].text));
        ck_assert_int_eq(ratoon_seal(store, at("s"), at(bad[i].name), &json, &error),
                         RATOON_ERR_USAGE);
    }
    ck_assert_int_eq(ratoon_seal(store, at("s"), at("key.pub"), &json, &error), RATOON_ERR_USAGE);
    ck_assert_int_eq(ratoon_seal(store, at("s"), at("nothing"), &json, &error), RATOON_ERR_USAGE);
    ck_assert_int_ne(access(at("s"), F_OK), 0);
    ck_assert_int_ne(access(at("s.sig"), F_OK), 0);
    json_t *report = NULL;
    seal("s");
    ck_assert_int_eq(verify_status("s", "key", &report, &error), RATOON_ERR_USAGE);
    ck_assert_int_eq(verify_status("s", "nothing", &report, &error), RATOON_ERR_USAGE);
}
END_TEST

START_TEST(test_Q02_without_a_key_the_store_has_its_own)
{
    struct stat st;
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    must(ratoon_seal(store, at("one"), NULL, &json, &error), &error);
    ratoon_buffer_free(&json);
    ck_assert_int_eq(stat(at("store/seal.key"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    must(ratoon_seal(store, at("two"), NULL, &json, &error), &error);
    ratoon_buffer_free(&json);
    json_t *report = verify("two", "store/seal.key.pub");
    ck_assert_uint_eq(problems_of(report), 0);
    json_decref(report);
    /* A copy of the store can't be sealed in its name. */
    must(ratoon_store_backup(store, at("backup"), &error), &error);
    ck_assert_int_eq(access(at("backup/db"), F_OK), 0);
    ck_assert_int_ne(access(at("backup/seal.key"), F_OK), 0);
}
END_TEST

/* ---- the tree ---- */

/* By the definition of RFC 6962, from above. */
static ratoon_digest root_of(const char *const *leaves, size_t count)
{
    ratoon_digest out;
    uint8_t bytes[65] = {1};
    size_t left = 1;
    if (count == 0) {
        ck_assert_int_eq(ratoon__sha256("", 0, &out), RATOON_OK);
        return out;
    }
    if (count == 1) {
        bytes[0] = 0;
        memcpy(bytes + 1, leaves[0], strlen(leaves[0]));
        ck_assert_int_eq(ratoon__sha256(bytes, 1 + strlen(leaves[0]), &out), RATOON_OK);
        return out;
    }
    while (left * 2 < count) {
        left *= 2;
    }
    const ratoon_digest a = root_of(leaves, left), b = root_of(leaves + left, count - left);
    memcpy(bytes + 1, a.bytes, 32);
    memcpy(bytes + 33, b.bytes, 32);
    ck_assert_int_eq(ratoon__sha256(bytes, sizeof bytes, &out), RATOON_OK);
    return out;
}

START_TEST(test_Q02_root_is_that_of_rfc_6962)
{
    enum { LEAVES = 70 };
    static char texts[LEAVES][8];
    static const char *leaves[LEAVES];
    ratoon__merkle tree = {0};
    for (size_t count = 0; count <= LEAVES; count++) {
        ratoon_digest root;
        const ratoon_digest expected = root_of(leaves, count);
        ck_assert_int_eq(ratoon__merkle_root(&tree, &root), RATOON_OK);
        ck_assert_mem_eq(root.bytes, expected.bytes, 32);
        if (count < LEAVES) {
            (void)snprintf(texts[count], sizeof texts[0], "leaf %zu", count);
            leaves[count] = texts[count];
            ck_assert_int_eq(ratoon__merkle_add(&tree, texts[count], strlen(texts[count])),
                             RATOON_OK);
        }
    }
}
END_TEST

/* ---- what is in a seal ---- */

START_TEST(test_Q02_seal_holds_the_head_of_each_lineage)
{
    ratoon_error error = {0};
    const ratoon_id first = lineage_new(), second = lineage_new();
    grow(first);
    grow(first);
    seal("s");
    ratoon__seal s = {0};
    must(ratoon__seal_load(at("s"), &s, &error), &error);
    must(ratoon__seal_parse(&s, &error), &error);
    ck_assert_uint_eq(s.lineages, 2);
    ck_assert_uint_eq(s.position, 4);
    const ratoon_id lineages[] = {first, second};
    const uint64_t numbers[] = {3, 1};
    size_t offset = s.leaves;
    for (int i = 0; i < 2; i++) {
        ratoon__seal_leaf leaf;
        ratoon_digest digest;
        ratoon_buffer bytes = {0};
        bool bad;
        ck_assert(ratoon__seal_leaf_next(&s, &offset, &leaf, &bad));
        ck_assert(ratoon_id_equal(leaf.lineage, lineages[i]));
        ck_assert_uint_eq(leaf.number, numbers[i]);
        must(ratoon_commit_bytes(store, lineages[i], numbers[i], &bytes, &error), &error);
        ck_assert_int_eq(ratoon__sha256(bytes.data, bytes.size, &digest), RATOON_OK);
        ck_assert_mem_eq(leaf.head.bytes, digest.bytes, 32);
        ratoon_buffer_free(&bytes);
    }
    ck_assert_uint_eq(offset, s.text.size);
    ratoon__seal_free(&s);
}
END_TEST

START_TEST(test_Q02_seals_are_never_overwritten)
{
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    seal("s");
    size_t size, sig_size, again_size;
    char *text = support_read_file(at("s"), &size);
    char *sig = support_read_file(at("s.sig"), &sig_size);
    grow(lineage_new());
    ck_assert_int_eq(ratoon_seal(store, at("s"), at("key"), &json, &error), RATOON_ERR_EXISTS);
    char *again = support_read_file(at("s"), &again_size);
    ck_assert_uint_eq(size, again_size);
    ck_assert_mem_eq(text, again, size);
    free(again);
    again = support_read_file(at("s.sig"), &again_size);
    ck_assert_mem_eq(sig, again, sig_size);
    free(again);
    /* Only the seal is in the way: then there is no signature without a seal. */
    support_remove(at("s.sig"));
    ck_assert_int_eq(ratoon_seal(store, at("s"), at("key"), &json, &error), RATOON_ERR_EXISTS);
    ck_assert_int_ne(access(at("s.sig"), F_OK), 0);
    free(text);
    free(sig);
}
END_TEST

/* What a seal holds must survive a power failure, whatever the store's mode. */
START_TEST(test_Q02_sealing_syncs_the_log)
{
    ratoon_error error = {0};
    ratoon__witness w = {0};
    ratoon_store_close(store);
    open_store(RATOON_DURABILITY_NONE);
    const ratoon_id run = lineage_new();
    grow(run);
    must(ratoon__witness_open(&w, at("store"), &error), &error);
    ck_assert_uint_lt(w.position, 2);
    ratoon__witness_close(&w);
    seal("s");
    must(ratoon__witness_open(&w, at("store"), &error), &error);
    ck_assert_uint_eq(w.position, 2);
    ratoon__witness_close(&w);
}
END_TEST

/* ---- what a store says to it later ---- */

START_TEST(test_Q02_history_that_goes_on_is_fine)
{
    const ratoon_id run = lineage_new();
    seal("empty-handed");
    grow(run);
    seal("s");
    grow(run);
    grow(lineage_new());
    static const char *const names[] = {"empty-handed", "s"};
    for (int i = 0; i < 2; i++) {
        json_t *report = verify(names[i], "key.pub");
        const json_t *described = json_object_get(report, "seal");
        ck_assert_uint_eq(problems_of(report), 0);
        ck_assert_uint_eq(json_array_size(json_object_get(report, "notices")), 0);
        ck_assert_int_eq(json_integer_value(json_object_get(described, "lineages")), 1);
        ck_assert_str_eq(json_string_value(json_object_get(described, "signer")), "trusted");
        json_decref(report);
    }
}
END_TEST

START_TEST(test_Q02_a_store_without_lineages_can_be_sealed)
{
    seal("s");
    grow(lineage_new());
    json_t *report = verify("s", "key.pub");
    ck_assert_uint_eq(problems_of(report), 0);
    json_decref(report);
}
END_TEST

START_TEST(test_Q02_a_lineage_deleted_since_is_a_notice)
{
    const ratoon_id run = lineage_new();
    (void)lineage_new();
    grow(run);
    seal("long-before");
    cancel(run);
    seal("before");
    delete (run);
    seal("after");
    static const struct {
        const char *name;
        size_t notices;
    } seals[] = {{"long-before", 1}, {"before", 1}, {"after", 0}};
    for (size_t i = 0; i < sizeof seals / sizeof seals[0]; i++) {
        json_t *report = verify(seals[i].name, "key.pub");
        const json_t *notices = json_object_get(report, "notices");
        char *text = json_dumps(report, 0);
        ck_assert_msg(problems_of(report) == 0, "%s: %s", seals[i].name, text);
        ck_assert_uint_eq(json_array_size(notices), seals[i].notices);
        if (seals[i].notices > 0) {
            const json_t *notice = json_array_get(notices, 0);
            char id[RATOON_ID_TEXT];
            ratoon_id_format(run, id);
            ck_assert_str_eq(json_string_value(json_object_get(notice, "lineage")), id);
            ck_assert_str_eq(json_string_value(json_object_get(notice, "kind")), "deleted");
        }
        free(text);
        json_decref(report);
    }
}
END_TEST

START_TEST(test_Q02_one_lineage_alone_is_compared_with_its_own_line)
{
    ratoon_error error = {0};
    ratoon_verify_options options = RATOON_VERIFY_OPTIONS_INIT;
    const ratoon_id first = lineage_new(), second = lineage_new(), third = lineage_new();
    seal("s");
    const ratoon_id later = lineage_new();
    cancel(first);
    delete (first);
    options.seal = at("s");
    const ratoon_id runs[] = {second, third, later};
    for (int i = 0; i < 3; i++) {
        ratoon_buffer json = {0};
        size_t problems = 9;
        options.run = runs[i];
        must(ratoon_verify_with(store, &options, &json, &problems, &error), &error);
        ck_assert_uint_eq(problems, 0);
        /* That the others are there or not is none of its business. */
        ck_assert_int_eq(strstr(json.data, "not_sealed") != NULL, i == 2);
        ck_assert_ptr_null(strstr(json.data, "deleted"));
        ratoon_buffer_free(&json);
    }
}
END_TEST

START_TEST(test_Q02_seal_of_another_store_says_so)
{
    (void)lineage_new();
    seal("s");
    ratoon_store_close(store);
    support_remove(at("store"));
    open_store(RATOON_DURABILITY_SYNC);
    (void)lineage_new();
    json_t *report = verify("s", "key.pub");
    char *text = json_dumps(report, 0);
    ck_assert_uint_eq(problems_of(report), 2);
    ck_assert_msg(strstr(text, "another one?") != NULL, "%s", text);
    free(text);
    json_decref(report);
}
END_TEST

/* ---- seals that were changed ---- */

static void flip_bytes(const char *name, const char *key, size_t step)
{
    size_t size;
    char *data = support_read_file(at(name), &size);
    for (size_t i = 0; i < size; i += step) {
        ratoon_error error = {0};
        json_t *report = NULL;
        data[i] ^= 1;
        support_write_file(at(name), data, size);
        const ratoon_status status = verify_status("s", key, &report, &error);
        ck_assert_msg(status == RATOON_ERR_USAGE || status == RATOON_ERR_UNSUPPORTED ||
                          (status == RATOON_OK && problems_of(report) > 0),
                      "byte %zu of %s: %s", i, name, ratoon_status_name(status));
        json_decref(report);
        data[i] ^= 1;
    }
    support_write_file(at(name), data, size);
    free(data);
}

START_TEST(test_Q02_a_seal_with_any_bit_changed_is_found)
{
    (void)lineage_new();
    (void)lineage_new();
    seal("s");
    flip_bytes("s", "key.pub", 3);
    flip_bytes("s", NULL, 7);
    flip_bytes("s.sig", NULL, 5);
    json_t *report = verify("s", "key.pub");
    ck_assert_uint_eq(problems_of(report), 0);
    json_decref(report);
}
END_TEST

START_TEST(test_Q02_a_seal_by_somebody_else_is_found)
{
    ratoon_error error = {0};
    (void)lineage_new();
    seal("s");
    must(ratoon_seal_keygen(at("stranger"), &error), &error);
    check_bad_seal("s", "stranger.pub", "the key that was given is");
    /* Without a key that is trusted nothing is known of who signed it. */
    json_t *report = verify("s", NULL);
    ck_assert_uint_eq(problems_of(report), 0);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(report, "seal"), "signer")),
                     "unknown");
    json_decref(report);
}
END_TEST

START_TEST(test_Q02_what_is_no_seal_is_refused)
{
    ratoon_error error = {0};
    json_t *report = NULL;
    ratoon_verify_options options = RATOON_VERIFY_OPTIONS_INIT;
    ratoon_buffer json = {0};
    size_t problems;
    ck_assert_int_eq(verify_status("nothing", NULL, &report, &error), RATOON_ERR_USAGE);
    ck_assert_int_eq(verify_status("store", NULL, &report, &error), RATOON_ERR_USAGE);
    ck_assert_int_eq(verify_status("key", NULL, &report, &error), RATOON_ERR_USAGE);
    seal("s");
    support_remove(at("s.sig"));
    ck_assert_int_eq(verify_status("s", NULL, &report, &error), RATOON_ERR_USAGE);
    support_write_file(at("s.sig"), "", 0);
    check_bad_seal("s", "key.pub", "changed since it was signed");
    options.key = at("key.pub"); /* a key without a seal */
    ck_assert_int_eq(ratoon_verify_with(store, &options, &json, &problems, &error),
                     RATOON_ERR_USAGE);
}
END_TEST

/* Signs a text as it is. */
static void sign(const char *name, const char *text)
{
    ratoon_error error = {0};
    ratoon__sign_key *key = NULL;
    uint8_t signature[RATOON__SIGNATURE_SIZE];
    char beside[64];
    (void)snprintf(beside, sizeof beside, "%s.sig", name);
    must(ratoon__sign_key_load(at("key"), &key, &error), &error);
    must(ratoon__sign(key, text, strlen(text), signature, &error), &error);
    ratoon__sign_key_free(key);
    support_write_file(at(name), text, strlen(text));
    support_write_file(at(beside), signature, sizeof signature);
}

/* Replaces the first `from`, which must be there, and signs the text. */
static void sign_changed(const char *text, const char *from, const char *to)
{
    const char *found = strstr(text, from);
    ck_assert_msg(found != NULL, "%s", from);
    char *changed = NULL;
    ck_assert_int_gt(
        asprintf(&changed, "%.*s%s%s", (int)(found - text), text, to, found + strlen(from)), 0);
    sign("t", changed);
    free(changed);
}

START_TEST(test_Q02_a_signed_text_that_is_no_whole_seal_is_found)
{
    (void)lineage_new();
    (void)lineage_new();
    seal("s");
    char *text = support_read_file(at("s"), NULL);
    sign_changed(text, "lineages 2", "lineages 3");
    check_bad_seal("t", "key.pub", "as many lineages");
    sign_changed(text, "lineages 2", "lineages 02");
    check_bad_seal("t", "key.pub", "first lines");
    sign_changed(text, "\n\n", "\n");
    check_bad_seal("t", "key.pub", "first lines");
    sign_changed(text, " 1 ", " 2 ");
    check_bad_seal("t", "key.pub", "root");
    sign_changed(text, "root ", "root 0");
    check_bad_seal("t", "key.pub", "first lines");

    /* Found by fuzzing: all of these were taken, and then told. */
    sign_changed(text, "time 2", "time \x1b[2J2");
    check_bad_seal("t", "key.pub", "first lines");
    sign_changed(text, "time 2", "time \xff");
    check_bad_seal("t", "key.pub", "first lines");
    sign_changed(text, "position ", "position 999999999999999999");
    check_bad_seal("t", "key.pub", "first lines");

    /* The same lineage twice. */
    char *twice = NULL;
    const char *leaves = strstr(text, "\n\n") + 2;
    const size_t line = (size_t)(strchr(leaves, '\n') + 1 - leaves);
    ck_assert_int_gt(asprintf(&twice, "%.*s%.*s%.*s", (int)(leaves - text), text, (int)line, leaves,
                              (int)line, leaves),
                     0);
    sign("t", twice);
    check_bad_seal("t", "key.pub", "not in order");
    free(twice);

    ratoon_error error = {0};
    json_t *report = NULL;
    sign_changed(text, "ratoon seal 1", "ratoon seal 2");
    ck_assert_int_eq(verify_status("t", "key.pub", &report, &error), RATOON_ERR_UNSUPPORTED);
    ck_assert_int_eq(verify_status("t", NULL, &report, &error), RATOON_ERR_UNSUPPORTED);
    free(text);
}
END_TEST

static Suite *seal_suite(void)
{
    Suite *s = suite_create("seal");
    TCase *t = tcase_create("seal");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, test_Q02_keys_are_made_private_and_never_overwritten);
    tcase_add_test(t, test_Q02_what_is_no_key_is_refused);
    tcase_add_test(t, test_Q02_without_a_key_the_store_has_its_own);
    tcase_add_test(t, test_Q02_root_is_that_of_rfc_6962);
    tcase_add_test(t, test_Q02_seal_holds_the_head_of_each_lineage);
    tcase_add_test(t, test_Q02_seals_are_never_overwritten);
    tcase_add_test(t, test_Q02_sealing_syncs_the_log);
    tcase_add_test(t, test_Q02_history_that_goes_on_is_fine);
    tcase_add_test(t, test_Q02_a_store_without_lineages_can_be_sealed);
    tcase_add_test(t, test_Q02_a_lineage_deleted_since_is_a_notice);
    tcase_add_test(t, test_Q02_one_lineage_alone_is_compared_with_its_own_line);
    tcase_add_test(t, test_Q02_seal_of_another_store_says_so);
    tcase_add_test(t, test_Q02_a_seal_with_any_bit_changed_is_found);
    tcase_add_test(t, test_Q02_a_seal_by_somebody_else_is_found);
    tcase_add_test(t, test_Q02_what_is_no_seal_is_refused);
    tcase_add_test(t, test_Q02_a_signed_text_that_is_no_whole_seal_is_found);
    suite_add_tcase(s, t);
    return s;
}
RATOON_TEST_MAIN(seal_suite)
