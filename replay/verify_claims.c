/* Names that are unique across lineages (idempotency keys, scopes, who uses whose results) against
 * what the log says. First all are summed up; only where the sums differ is it found out which. */
#include "replay/verify.h"

#include "core/decide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void sum_claim(const ratoon__report *r, ratoon__sum *s, const char *name, ratoon_id holder)
{
    uint8_t bytes[32];
    ratoon__sum text = {0};
    ratoon__sum_add(&text, &r->key, name, strlen(name));
    memcpy(bytes, &text, 16);
    memcpy(bytes + 16, holder.bytes, 16);
    ratoon__sum_add(s, &r->key, bytes, sizeof bytes);
}

static int by_name(const void *a, const void *b)
{
    const ratoon__claim *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* What the lineage holds, by name, each once: several stages may use results of the same lineage.
 */
static ratoon_status held(const ratoon__lineage *l, ratoon__arena *arena, ratoon__claim **out,
                          size_t *out_count)
{
    size_t count = 0, kept = 0;
    const ratoon_status status = ratoon__claims_since(NULL, l, arena, out, &count);
    ratoon__claim *claims = *out;
    if (status == RATOON_OK && count > 1) {
        qsort(claims, count, sizeof *claims, by_name);
    }
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        if (claims[i].take && (kept == 0 || strcmp(claims[kept - 1].name, claims[i].name) != 0)) {
            claims[kept++] = claims[i];
        }
    }
    *out_count = kept;
    return status;
}

ratoon_status ratoon__sum_claims(const ratoon__report *r, ratoon__sum *s, const ratoon__lineage *l,
                                 ratoon__arena *arena)
{
    ratoon__claim *claims = NULL;
    size_t count = 0;
    const ratoon_status status = held(l, arena, &claims, &count);
    for (size_t i = 0; i < count; i++) {
        sum_claim(r, s, claims[i].name, claims[i].run);
    }
    return status;
}

/* ---- which ---- */

typedef struct claims_walk {
    ratoon__report *report;
    ratoon__driver *driver;
    ratoon__sum sum;
    ratoon__sum known;  /* of those that are in the log, while naming */
    bool naming;        /* else summing */
    ratoon__arena page; /* what was stored, copied: nothing can be asked for */
    ratoon__claim stored[RATOON__CLAIMS_PAGE]; /* …while the driver shows it */
    size_t seen;
    ratoon_status status;
    ratoon_error *error;
    size_t named, explained;
} claims_walk;

static ratoon_status no_memory(claims_walk *w)
{
    return w->status = ratoon__fail(w->error, RATOON_ERR_NO_MEMORY, "out of memory");
}

/* Whether the run, or its lineage, holds the name. */
static bool is_held(claims_walk *w, const char *name, ratoon_id holder)
{
    ratoon_id root;
    ratoon_error why = {0};
    ratoon__arena arena = {0};
    ratoon__claim *claims = NULL;
    size_t count = 0;
    bool found = false;
    const ratoon_status status = w->driver->ops->run_get(w->driver, holder, &root, &why);
    if (ratoon__report_unseen(w->report, status, &why)) {
        return true;
    }
    ratoon__lineage *l =
        ratoon__verify_fold(w->report, status == RATOON_OK ? root : holder, &w->status, w->error);
    if (l == NULL) {
        return w->status != RATOON_OK || w->report->broken > 0;
    }
    if (held(l, &arena, &claims, &count) != RATOON_OK) {
        (void)no_memory(w);
    }
    for (size_t i = 0; i < count && !found; i++) {
        found = strcmp(claims[i].name, name) == 0 && ratoon_id_equal(claims[i].run, holder);
    }
    ratoon__arena_free(&arena);
    ratoon__lineage_unref(l);
    return found || w->status != RATOON_OK;
}

/* ---- what is stored ---- */

/* Keys and scopes are a run's, the name of a consumer is its lineage's (R22): whose id it is. */
static const char *holder_of(const char *name)
{
    return strncmp(name, "consumed:", strlen("consumed:")) == 0 ? "lineage" : "run";
}

static bool stored_claim(void *ctx, const char *name, ratoon_id holder)
{
    claims_walk *w = ctx;
    if (w->seen == RATOON__CLAIMS_PAGE) {
        return false; /* what a driver shows beyond that is asked for again */
    }
    const char *copy = ratoon__arena_strdup(&w->page, name);
    if (copy == NULL) {
        (void)no_memory(w);
        return false;
    }
    w->stored[w->seen++] = (ratoon__claim){.name = copy, .run = holder};
    return true;
}

static void look_at(claims_walk *w, const ratoon__claim *c)
{
    if (!w->naming) {
        sum_claim(w->report, &w->sum, c->name, c->run);
    } else if (is_held(w, c->name, c->run)) {
        sum_claim(w->report, &w->known, c->name, c->run);
    } else {
        ratoon__problem(w->report, c->run, 0, "derived",
                        "the index says that %s %I holds the name %s; in the log it does not",
                        holder_of(c->name), &c->run, c->name);
        w->named++;
    }
}

/* Everything that is stored, page by page. */
static ratoon_status walk_stored(claims_walk *w)
{
    ratoon_status status = RATOON_OK;
    ratoon__buf after = {0};
    ratoon__buf_format(&after, "%s", "");
    do {
        w->seen = 0;
        status = after.failed
                     ? no_memory(w)
                     : w->driver->ops->claims(w->driver, "", after.data, stored_claim, w, w->error);
        for (size_t i = 0; status == RATOON_OK && w->status == RATOON_OK && i < w->seen; i++) {
            look_at(w, &w->stored[i]);
        }
        after.size = 0;
        ratoon__buf_format(&after, "%s", w->seen > 0 ? w->stored[w->seen - 1].name : "");
        ratoon__arena_reset(&w->page);
    } while (status == RATOON_OK && w->status == RATOON_OK && w->seen == RATOON__CLAIMS_PAGE);
    ratoon__buf_free(&after);
    return status != RATOON_OK ? status : w->status;
}

/* An import leaves a running run without its scope, which another may hold: its executor is
 * elsewhere. Until it is suspended (L08), nobody relies on that name. */
static bool is_to_be_suspended(const claims_walk *w, const ratoon__lineage *l,
                               const ratoon__claim *c)
{
    const ratoon__run *r = ratoon__lineage_run(l, c->run);
    return strncmp(c->name, "scope:", strlen("scope:")) == 0 && r != NULL &&
           (r->status == RATOON_RUN_RUNNING || r->status == RATOON_RUN_CANCELLING) &&
           ratoon__store_executor_is_elsewhere(w->report->store, r->executor);
}

static void name_missing(claims_walk *w, const ratoon__lineage *l, const ratoon__claim *c)
{
    ratoon_id holder = {{0}};
    ratoon_error why = {0};
    const ratoon_status status = w->driver->ops->claim_get(w->driver, c->name, &holder, &why);
    if (ratoon__report_unseen(w->report, status, &why)) {
        return;
    }
    const bool differs =
        status == RATOON_ERR_NOT_FOUND || (status == RATOON_OK && !ratoon_id_equal(holder, c->run));
    if (differs && is_to_be_suspended(w, l, c)) {
        w->explained++;
    } else if (status == RATOON_ERR_NOT_FOUND) {
        ratoon__problem(w->report, l->id, 0, "derived",
                        "%s %I holds the name %s in the log; in the index nobody does",
                        holder_of(c->name), &c->run, c->name);
        w->named++;
    } else if (differs) {
        ratoon__problem(w->report, l->id, 0, "derived",
                        "%s %I holds the name %s in the log; in the index %s %I does",
                        holder_of(c->name), &c->run, c->name, holder_of(c->name), &holder);
        w->named++;
    }
}

static bool name_lineage(void *ctx, ratoon_id id, uint64_t number, const ratoon_digest *digest)
{
    claims_walk *w = ctx;
    ratoon__arena arena = {0};
    ratoon__claim *claims = NULL;
    size_t count = 0;
    (void)number;
    (void)digest;
    ratoon__lineage *l = ratoon__verify_fold(w->report, id, &w->status, w->error);
    if (l != NULL && held(l, &arena, &claims, &count) != RATOON_OK) {
        (void)no_memory(w);
    }
    for (size_t i = 0; i < count; i++) {
        name_missing(w, l, &claims[i]);
    }
    ratoon__arena_free(&arena);
    ratoon__lineage_unref(l);
    return w->status == RATOON_OK;
}

static ratoon_status name_claims(claims_walk *w, const ratoon__sum *seen)
{
    ratoon_error why = {0};
    ratoon_status status = w->driver->ops->heads(w->driver, (ratoon_id){{0}}, w->report->feed_end,
                                                 name_lineage, w, &why);
    (void)ratoon__report_unseen(w->report, status, &why);
    if (w->status == RATOON_OK) {
        w->naming = true;
        status = walk_stored(w);
    }
    if (status == RATOON_OK && w->named + w->explained == 0 && w->report->broken == 0 &&
        !ratoon__sum_equal(&w->known, seen)) {
        ratoon__problem(
            w->report, (ratoon_id){{0}}, 0, "derived",
            "the index holds %U names of runs and lineages and the log %U, or they differ",
            w->sum.count, seen->count);
    }
    return w->status != RATOON_OK ? w->status : status;
}

ratoon_status ratoon__verify_claims(ratoon__report *r, const ratoon__sum *seen, ratoon_error *error)
{
    claims_walk *w = calloc(1, sizeof *w);
    uint64_t end = 0;
    if (w == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    w->report = r;
    w->driver = ratoon__store_driver(r->store);
    w->error = error;
    ratoon_status status = walk_stored(w);
    if (status == RATOON_OK) {
        status = w->driver->ops->end(w->driver, &end, error);
    }
    /* Others may write while this reads; names are compared only where nobody did. */
    if (status == RATOON_OK && end == r->feed_end && !ratoon__sum_equal(&w->sum, seen)) {
        status = name_claims(w, seen);
    }
    ratoon__arena_free(&w->page);
    free(w);
    return status;
}
