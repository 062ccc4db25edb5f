/* Verification (Q01, Q02, S07): the whole store, or one lineage. */
#include "replay/seal.h"

#include <stdarg.h>
#include <stdlib.h>

void ratoon__finding(json_t *array, ratoon_id lineage, uint64_t commit, const char *kind,
                     const char *message)
{
    if (json_array_size(array) < RATOON__PROBLEMS_MAX) {
        json_array_append_new(
            array, json_pack("{s:o,s:o,s:s,s:o}", "lineage", ratoon__json_id(lineage), "commit",
                             commit != 0 ? json_integer((json_int_t)commit) : json_null(), "kind",
                             kind, "message", ratoon__json_text(message)));
    }
}

void ratoon__problem(ratoon__report *r, ratoon_id lineage, uint64_t commit, const char *kind,
                     const char *format, ...)
{
    ratoon__buf text = {0};
    va_list args;
    va_start(args, format);
    ratoon__buf_vformat(&text, format, args);
    va_end(args);
    r->count++;
    ratoon__finding(r->problems, lineage, commit, kind, text.data);
    ratoon__buf_free(&text);
}

ratoon__report_place ratoon__report_here(const ratoon__report *r)
{
    return (ratoon__report_place){r->count, json_array_size(r->problems)};
}

void ratoon__report_back_to(ratoon__report *r, ratoon__report_place place)
{
    r->count = place.count;
    while (json_array_size(r->problems) > place.listed) {
        json_array_remove(r->problems, json_array_size(r->problems) - 1);
    }
}

bool ratoon__report_unseen(ratoon__report *r, ratoon_status status, const ratoon_error *why)
{
    const bool unseen = status == RATOON_ERR_NO_MEMORY || status == RATOON_ERR_IO;
    if (unseen && r->unseen == RATOON_OK) {
        r->unseen = status;
        r->unseen_why = why != NULL ? *why : (ratoon_error){0};
    }
    return unseen;
}

ratoon__lineage *ratoon__verify_fold(ratoon__report *r, ratoon_id id, ratoon_status *status,
                                     ratoon_error *error)
{
    ratoon__lineage *l = ratoon__lineage_new(id);
    ratoon_error why = {0};
    if (l == NULL) {
        *status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        return NULL;
    }
    const ratoon_status folded = ratoon__store_fold_from(r->store, &l, 0, &why);
    if (ratoon__report_unseen(r, folded, &why) || folded != RATOON_OK) {
        ratoon__lineage_unref(l);
        return NULL;
    }
    return l;
}

/* ---- with a seal (Q02) ---- */

static bool signed_by(const ratoon__seal *s, const ratoon__public_key *key)
{
    return ratoon__signature_is_valid(key, s->text.data, s->text.size, s->signature.data,
                                      s->signature.size);
}

/* given: the key that must have signed it; NULL: the one that it names. True: what stands in the
 * seal may be believed. If not, the report says why. */
static bool seal_check_signature(ratoon__report *r, const ratoon__seal *seal,
                                 const ratoon__public_key *given, const char *garbled)
{
    const ratoon_id none = {{0}};
    char named[65], expected[65];
    if (signed_by(seal, given != NULL ? given : &seal->key)) {
        return true;
    }
    if (garbled != NULL) {
        ratoon__problem(r, none, 0, "seal", "the seal was changed since it was signed: %s",
                        garbled);
    } else if (given != NULL && signed_by(seal, &seal->key)) {
        ratoon__public_key_format(&seal->key, named);
        ratoon__public_key_format(given, expected);
        ratoon__problem(r, none, 0, "seal",
                        "the seal was signed by the key %s; the key that was given is %s", named,
                        expected);
    } else {
        ratoon__problem(r, none, 0, "seal",
                        "the seal or its signature was changed since it was signed");
    }
    return false;
}

/* *good: the seal can be compared with the store. */
static ratoon_status seal_open(ratoon__report *r, const ratoon_verify_options *o,
                               ratoon__seal *seal, bool *good, ratoon_error *error)
{
    ratoon__public_key given = {{0}};
    ratoon_error why = {0};
    ratoon_status status = ratoon__seal_load(o->seal, seal, error);
    if (status == RATOON_OK && o->key != NULL) {
        status = ratoon__public_key_load(o->key, &given, error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    status = ratoon__seal_parse(seal, &why);
    const bool unknown = status == RATOON_ERR_UNSUPPORTED && o->key == NULL;
    if (!unknown && !seal_check_signature(r, seal, o->key != NULL ? &given : NULL,
                                          status != RATOON_OK ? why.message : NULL)) {
        return RATOON_OK;
    }
    if (status == RATOON_ERR_DAMAGED) {
        ratoon__problem(r, (ratoon_id){{0}}, 0, "seal", "%s", why.message);
        return RATOON_OK;
    }
    *good = status == RATOON_OK;
    if (status != RATOON_OK && error != NULL) {
        *error = why;
    }
    return status;
}

static json_t *seal_described(const ratoon_verify_options *o, const ratoon__seal *seal)
{
    char key[65];
    ratoon__public_key_format(&seal->key, key);
    return json_pack("{s:o,s:s,s:I,s:I,s:o,s:s,s:s}", "file", ratoon__json_text(o->seal), "time",
                     seal->time, "position", (json_int_t)seal->position, "lineages",
                     (json_int_t)seal->lineages, "root", ratoon__json_digest(&seal->root), "key",
                     key, "signer", o->key != NULL ? "trusted" : "unknown");
}

/* ---- the whole ---- */

static ratoon_status verify_all(ratoon__report *r, ratoon_id only, ratoon_error *error)
{
    ratoon__seen seen = {0};
    ratoon_status status = ratoon__verify_chains(r, only, &seen, error);
    if (status == RATOON_OK && ratoon_id_is_zero(only)) {
        status = ratoon__verify_feed(r, &seen.feed, error);
        if (status == RATOON_OK) {
            status = ratoon__verify_values(r, error);
        }
        if (status == RATOON_OK) {
            status = ratoon__verify_rows(r, &seen.rows, error);
        }
        if (status == RATOON_OK) {
            status = ratoon__verify_claims(r, &seen.claims, error);
        }
        ratoon_error why = {0};
        const ratoon_status secret =
            status == RATOON_OK ? ratoon__store_secret_check(r->store, &why) : RATOON_OK;
        if (secret != RATOON_OK && !ratoon__report_unseen(r, secret, &why)) {
            ratoon__problem(r, only, 0, "file", "%s", why.message);
        }
    }
    if (status == RATOON_OK || status == r->unseen) {
        status = r->unseen;
        if (status != RATOON_OK && error != NULL) {
            *error = r->unseen_why;
        }
    }
    if (status == RATOON_ERR_NO_MEMORY) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory verifying the store");
    }
    return status;
}

static json_t *document_of(ratoon__report *r, const ratoon_verify_options *o,
                           const ratoon__seal *seal)
{
    json_t *doc =
        json_pack("{s:i,s:{s:I,s:I,s:I,s:I},s:O}", "schema", RATOON__SCHEMA, "verified", "lineages",
                  (json_int_t)r->lineages, "commits", (json_int_t)r->commits, "events",
                  (json_int_t)r->events, "values", (json_int_t)r->values, "problems", r->problems);
    if (r->seal != NULL) {
        json_object_set(doc, "notices", r->seal->notices);
        json_object_set_new(doc, "seal", seal_described(o, seal));
    }
    return doc;
}

ratoon_status ratoon_verify_with(ratoon_store *store, const ratoon_verify_options *options,
                                 ratoon_buffer *json, size_t *problems, ratoon_error *error)
{
    if (json == NULL || problems == NULL) {
        return ratoon__no_place("json or problems", error);
    }
    ratoon__report r = {.store = store};
    ratoon__seal seal = {0};
    ratoon__seal_check check = {.seal = &seal};
    ratoon_id only = {{0}};
    bool sealed = false;
    if (options->struct_size != sizeof *options ||
        (options->seal == NULL && options->key != NULL)) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "a verification needs options set by RATOON_VERIFY_OPTIONS_INIT, and a "
                            "key goes with a seal");
    }
    ratoon_status status = RATOON_OK;
    if (!ratoon_id_is_zero(options->run)) {
        ratoon__driver *d = ratoon__store_driver(store);
        status = d->ops->run_get(d, options->run, &only, error);
    }
    r.problems = json_array();
    if (status == RATOON_OK && ratoon__sum_key_draw(&r.key) != RATOON_OK) {
        status = ratoon__fail(error, RATOON_ERR_IO, "can't get random bytes");
    }
    if (status == RATOON_OK && options->seal != NULL) {
        status = seal_open(&r, options, &seal, &sealed, error);
    }
    if (status == RATOON_OK && sealed) {
        check.only = only;
        ratoon__seal_check_begin(&check);
        r.seal = &check;
    }
    if (status == RATOON_OK) {
        status = verify_all(&r, only, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__json_finish(document_of(&r, options, &seal), json, error);
    }
    if (status == RATOON_OK) {
        *problems = r.count;
    }
    free(r.marks);
    json_decref(check.notices);
    json_decref(r.problems);
    ratoon__seal_free(&seal);
    return status;
}

ratoon_status ratoon_verify(ratoon_store *store, ratoon_id run, ratoon_buffer *json,
                            size_t *problems, ratoon_error *error)
{
    ratoon_verify_options options = RATOON_VERIFY_OPTIONS_INIT;
    options.run = run;
    return ratoon_verify_with(store, &options, json, problems, error);
}
