/* Verification (Q01, S07): the whole store, or one lineage. */
#include "replay/verify.h"

#include <stdarg.h>
#include <string.h>

void ratoon__problem(ratoon__report *r, ratoon_id lineage, uint64_t commit, const char *kind,
                     const char *format, ...)
{
    r->count++;
    if (json_array_size(r->problems) >= RATOON__PROBLEMS_MAX) {
        return;
    }
    ratoon__buf text = {0};
    va_list args;
    va_start(args, format);
    ratoon__buf_vformat(&text, format, args);
    va_end(args);
    json_array_append_new(
        r->problems, json_pack("{s:o,s:o,s:s,s:o}", "lineage", ratoon__json_id(lineage), "commit",
                               commit != 0 ? json_integer((json_int_t)commit) : json_null(), "kind",
                               kind, "message", ratoon__json_text(text.data)));
    ratoon__buf_free(&text);
}

void ratoon__sum_add(ratoon__sum *s, const void *data, size_t size)
{
    ratoon_digest d;
    if (ratoon__sha256(data, size, &d) == RATOON_OK) {
        uint64_t part[2];
        memcpy(part, d.bytes, sizeof part);
        s->a += part[0];
        s->b += part[1];
    }
    s->count++;
}

bool ratoon__sum_equal(const ratoon__sum *a, const ratoon__sum *b)
{
    return a->a == b->a && a->b == b->b && a->count == b->count;
}

ratoon_status ratoon_verify(ratoon_store *store, ratoon_id run, ratoon_buffer *json,
                            size_t *problems, ratoon_error *error)
{
    ratoon__report r = {.store = store, .problems = json_array()};
    ratoon_id only = {{0}};
    ratoon__sum feed = {0}, rows = {0};
    ratoon_status status = RATOON_OK;
    if (!ratoon_id_is_zero(run)) {
        ratoon__driver *d = ratoon__store_driver(store);
        status = d->ops->run_get(d, run, &only, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__verify_chains(&r, only, &feed, &rows, error);
    }
    if (status == RATOON_OK && ratoon_id_is_zero(only)) {
        status = ratoon__verify_feed(&r, &feed, error);
        if (status == RATOON_OK) {
            status = ratoon__verify_values(&r, error);
        }
        if (status == RATOON_OK) {
            status = ratoon__verify_rows(&r, &rows, error);
        }
    }
    if (status != RATOON_OK) {
        json_decref(r.problems);
        return status;
    }
    json_t *doc =
        json_pack("{s:i,s:{s:I,s:I,s:I,s:I},s:o}", "schema", RATOON__SCHEMA, "verified", "lineages",
                  (json_int_t)r.lineages, "commits", (json_int_t)r.commits, "events",
                  (json_int_t)r.events, "values", (json_int_t)r.values, "problems", r.problems);
    status = ratoon__json_finish(doc, json, error);
    if (status == RATOON_OK) {
        *problems = r.count;
    }
    return status;
}
