/* Checking commits that come from elsewhere: bytes, chain, numbering, values, definitions, a fold,
 * and the names they take, against the input so far and against the store. */
#include "replay/import.h"

#include "log/codec.h"
#include "log/pipeline_file.h"

#include <stdlib.h>
#include <string.h>

/* ---- definitions ---- */

static ratoon_status definition_of(ratoon__import *im, const ratoon_digest *digest,
                                   ratoon_pipeline **out)
{
    ratoon__import_value *v = ratoon__import_value_find(im, digest);
    if (v == NULL) {
        const ratoon_status status = ratoon__store_definition(im->store, digest, out, NULL);
        return status == RATOON_OK ? RATOON_OK
               : status == RATOON_ERR_NO_MEMORY
                   ? ratoon__import_no_memory(im)
                   : ratoon__import_fail(im, RATOON_ERR_DAMAGED,
                                         "a run's definition is neither in the input "
                                         "before it nor in the store");
    }
    if (v->definition == NULL) {
        void *text = NULL;
        ratoon_error why = {0};
        ratoon_status status = ratoon__spool_get(im, v->offset, v->size, &text);
        if (status != RATOON_OK) {
            return status;
        }
        status = ratoon__pipeline_parse_canonical(text, (size_t)v->size, NULL, digest,
                                                  &v->definition, &why);
        free(text);
        if (status == RATOON_ERR_NO_MEMORY) {
            return ratoon__import_no_memory(im);
        }
        if (status != RATOON_OK) {
            return ratoon__import_fail(im, RATOON_ERR_DAMAGED, "a run's definition is none: %s",
                                       why.message);
        }
    }
    *out = ratoon__pipeline_ref(v->definition);
    return RATOON_OK;
}

ratoon_status ratoon__import_resolve(ratoon__import *im, ratoon__commit *commit)
{
    for (size_t i = 0; i < commit->events_count; i++) {
        /* The events were made by the decoder in our arena; only their definitions are filled in.
         */
        ratoon__event *e = (ratoon__event *)(uintptr_t)&commit->events[i];
        ratoon_pipeline *p = NULL;
        ratoon_status status = RATOON_OK;
        if (e->type == RATOON__EVENT_RUN_CREATED) {
            status = definition_of(im, &e->u.created.pipeline_digest, &p);
            e->u.created.pipeline = p;
        } else if (e->type == RATOON__EVENT_RUN_PIPELINE_CHANGED) {
            status = definition_of(im, &e->u.pipeline_changed.new_digest, &p);
            e->u.pipeline_changed.pipeline = p;
        }
        if (status != RATOON_OK) {
            commit->events_count = i;
            ratoon__commit_release(commit);
            return status;
        }
    }
    return RATOON_OK;
}

/* ---- a lineage begins and ends ---- */

typedef struct there_context {
    ratoon__import *im;
    size_t capacity;
    bool from_first; /* its first commit is there: it was not deleted */
    bool failed;
} there_context;

static bool note_there(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                       const void *data, size_t size)
{
    there_context *c = ctx;
    ratoon__import *im = c->im;
    (void)position;
    (void)lineage;
    c->from_first = c->from_first || number == 1;
    if (im->there_count == c->capacity) {
        const size_t capacity = c->capacity == 0 ? 64 : c->capacity * 2;
        ratoon_digest *larger = realloc(im->there, capacity * sizeof *larger);
        if (larger == NULL) {
            c->failed = true;
            return false;
        }
        im->there = larger;
        c->capacity = capacity;
    }
    c->failed = ratoon__sha256(data, size, &im->there[im->there_count]) != RATOON_OK;
    im->there_count++;
    return !c->failed;
}

static ratoon_status lineage_begin(ratoon__import *im, const ratoon__commit *commit)
{
    char text[RATOON_ID_TEXT];
    ratoon_id has;
    uint64_t head = 0;
    ratoon__driver *d = ratoon__store_driver(im->store);
    static const ratoon_id seen = {{1}};
    ratoon_status status = ratoon__import_lineage_end(im);
    ratoon_id_format(commit->lineage, text);
    const size_t names = im->names_count;
    if (status == RATOON_OK) {
        status = ratoon__import_claim(im, "lineage:", text, seen, &has);
    }
    if (status == RATOON_OK && im->names_count == names) {
        return ratoon__import_fail(im, RATOON_ERR_USAGE,
                                   "commits of lineage %s come in two places; they must stand "
                                   "together",
                                   text);
    }
    if (status == RATOON_OK) {
        status = d->ops->head(d, commit->lineage, &head, im->error);
    }
    there_context c = {.im = im};
    im->there_count = 0;
    free(im->there);
    im->there = NULL;
    if (status == RATOON_OK && head > 0) {
        status = d->ops->read(d, commit->lineage, 1, true, false, note_there, &c, im->error);
        status = status == RATOON_OK && c.failed ? ratoon__import_no_memory(im) : status;
        if (status == RATOON_OK && !c.from_first) {
            return ratoon__import_fail(im, RATOON_ERR_CONFLICT,
                                       "lineage %s was deleted from this store", text);
        }
    }
    if (status == RATOON_OK) {
        im->lineage = ratoon__lineage_new(commit->lineage);
        im->fresh = 0;
        status = im->lineage == NULL ? ratoon__import_no_memory(im) : RATOON_OK;
    }
    return status;
}

/* Whether another run has the name, in the input or in the store. */
static ratoon_status check_name(ratoon__import *im, const char *kind, const char *name,
                                ratoon_id run, ratoon_status refusal)
{
    ratoon__driver *d = ratoon__store_driver(im->store);
    ratoon__buf full = {0};
    ratoon_id has = run;
    ratoon__buf_str(&full, kind);
    ratoon__buf_str(&full, name);
    ratoon_status status = full.failed ? ratoon__import_no_memory(im)
                                       : ratoon__import_claim(im, kind, name, run, &has);
    if (status == RATOON_OK && ratoon_id_equal(has, run)) {
        const ratoon_status found = d->ops->claim_get(d, full.data, &has, im->error);
        status = found == RATOON_ERR_NOT_FOUND ? RATOON_OK : found;
    }
    if (status == RATOON_OK && !ratoon_id_equal(has, run)) {
        status = ratoon__import_fail(im, refusal, "%s, which run %I has, is held by run %I",
                                     full.data, &run, &has);
    }
    ratoon__buf_free(&full);
    return status;
}

ratoon_status ratoon__import_lineage_end(ratoon__import *im)
{
    ratoon_status status = RATOON_OK;
    const ratoon__lineage *l = im->lineage;
    if (l == NULL) {
        return RATOON_OK;
    }
    for (uint32_t i = 0; status == RATOON_OK && im->fresh > 0 && i < l->runs_count; i++) {
        const ratoon__run_created *c = &l->runs[i]->fixed->created;
        const ratoon_id run = l->runs[i]->fixed->id;
        if (c->key != NULL) {
            status = check_name(im, "key:", c->key, run, RATOON_ERR_KEY_REUSED);
        }
        if (status == RATOON_OK && c->scope != NULL && l->runs[i]->status == RATOON_RUN_QUEUED) {
            status = check_name(im, "scope:", c->scope, run, RATOON_ERR_SCOPE_BUSY);
        }
    }
    if (im->fresh > 0) {
        im->commits[im->commits_count - 1].last = true;
    }
    ratoon__lineage_unref(im->lineage);
    im->lineage = NULL;
    return status;
}

/* ---- one commit ---- */

typedef struct values_context {
    ratoon__import *im;
    ratoon_status status;
} values_context;

static void check_inline(void *ctx, const ratoon__value_ref *v)
{
    values_context *c = ctx;
    ratoon_digest digest;
    if (c->status != RATOON_OK || v->data == NULL) {
        return;
    }
    if (ratoon__sha256(v->data, (size_t)v->size, &digest) != RATOON_OK) {
        c->status = ratoon__import_no_memory(c->im);
    } else if (!ratoon__digest_equal(&digest, &v->digest)) {
        c->status = ratoon__import_fail(c->im, RATOON_ERR_DAMAGED,
                                        "the value of %s is not what its digest says", v->key);
    }
}

static void check_reference(void *ctx, const ratoon_digest *digest, uint64_t size)
{
    values_context *c = ctx;
    ratoon__import_value *v = ratoon__import_value_find(c->im, digest);
    uint64_t found = 0;
    if (c->status != RATOON_OK) {
        return;
    }
    if (v != NULL) {
        found = v->size;
    } else {
        ratoon__driver *d = ratoon__store_driver(c->im->store);
        ratoon_buffer bytes = {0};
        const ratoon_status status = d->ops->value_get(d, digest, &bytes, NULL);
        if (status == RATOON_ERR_NO_MEMORY) {
            c->status = ratoon__import_no_memory(c->im);
            return;
        }
        if (status != RATOON_OK) {
            char hex[65];
            ratoon__digest_format(digest, hex);
            c->status = ratoon__import_fail(c->im, RATOON_ERR_DAMAGED,
                                            "the value %s is neither in the input before it nor in "
                                            "the store",
                                            hex);
            return;
        }
        found = bytes.size;
        ratoon_buffer_free(&bytes);
    }
    if (size != UINT64_MAX && size != found) {
        c->status = ratoon__import_fail(c->im, RATOON_ERR_DAMAGED,
                                        "a value has %U bytes; the commit says %U", found, size);
    }
}

/* Runs that the commit creates must be nobody else's. */
static ratoon_status check_runs(ratoon__import *im, const ratoon__commit *commit)
{
    ratoon__driver *d = ratoon__store_driver(im->store);
    for (size_t i = 0; i < commit->events_count; i++) {
        const ratoon__event *e = &commit->events[i];
        char text[RATOON_ID_TEXT];
        ratoon_id has = commit->lineage, root;
        if (e->type == RATOON__EVENT_LINEAGE_DELETED) {
            return ratoon__import_fail(im, RATOON_ERR_DAMAGED,
                                       "the mark of a deleted lineage can't be imported");
        }
        if (e->type != RATOON__EVENT_RUN_CREATED) {
            continue;
        }
        ratoon_id_format(e->run, text);
        ratoon_status status = ratoon__import_claim(im, "run:", text, commit->lineage, &has);
        if (status != RATOON_OK) {
            return status;
        }
        status = d->ops->run_get(d, e->run, &root, NULL);
        if (!ratoon_id_equal(has, commit->lineage) ||
            (status == RATOON_OK && !ratoon_id_equal(root, commit->lineage))) {
            return ratoon__import_fail(im, RATOON_ERR_CONFLICT,
                                       "the run %s is of another lineage already", text);
        }
    }
    return RATOON_OK;
}

/* What a commit says of itself against the one before it. */
static ratoon_status check_chain(ratoon__import *im, const ratoon__commit *c,
                                 const ratoon_digest *digest)
{
    const ratoon__lineage *l = im->lineage;
    if (c->number != l->head + 1) {
        return ratoon__import_fail(im, RATOON_ERR_DAMAGED,
                                   "commit %U of lineage %I comes after commit %U", c->number,
                                   &c->lineage, l->head);
    }
    if (!ratoon__digest_equal(&c->previous, &l->head_digest)) {
        return ratoon__import_fail(im, RATOON_ERR_DAMAGED,
                                   "commit %U of lineage %I names another digest of the commit "
                                   "before than that one has",
                                   c->number, &c->lineage);
    }
    if (c->time_us < l->last_time_us) {
        return ratoon__import_fail(im, RATOON_ERR_DAMAGED,
                                   "commit %U of lineage %I is older than the one before it",
                                   c->number, &c->lineage);
    }
    if (c->number <= im->there_count && !ratoon__digest_equal(digest, &im->there[c->number - 1])) {
        (void)ratoon__import_fail(im, RATOON_ERR_CONFLICT,
                                  "lineage %I forks at commit %U: this store has another one there",
                                  &c->lineage, c->number);
        ratoon__hint(im->error, "the two histories went on apart; import it into another store");
        return RATOON_ERR_CONFLICT;
    }
    return RATOON_OK;
}

static ratoon_status fold(ratoon__import *im, const ratoon__commit *c, const ratoon_digest *digest)
{
    ratoon__lineage *next = NULL;
    ratoon_error why = {0};
    const ratoon_status status = ratoon__fold(im->lineage, c, digest, &next, &why);
    if (status != RATOON_OK) {
        return ratoon__import_fail(im, status, "commit %U of lineage %I can't be applied: %s",
                                   c->number, &c->lineage, why.message);
    }
    ratoon__lineage_unref(im->lineage);
    im->lineage = next;
    if (next->runs_count == 0) { /* such as a first commit of a newer version's events alone */
        return ratoon__import_fail(im, RATOON_ERR_DAMAGED,
                                   "lineage %I does not begin with the creation of a run",
                                   &c->lineage);
    }
    return RATOON_OK;
}

static ratoon_status put_aside(ratoon__import *im, const ratoon__commit *c, const void *data,
                               size_t size)
{
    if (im->commits_count == im->commits_capacity) {
        const size_t capacity = im->commits_capacity == 0 ? 64 : im->commits_capacity * 2;
        ratoon__import_commit *larger = realloc(im->commits, capacity * sizeof *larger);
        if (larger == NULL) {
            return ratoon__import_no_memory(im);
        }
        im->commits = larger;
        im->commits_capacity = capacity;
    }
    uint64_t offset = 0;
    const ratoon_status status = ratoon__spool_put(im, data, size, &offset);
    if (status == RATOON_OK) {
        im->commits[im->commits_count++] = (ratoon__import_commit){.lineage = c->lineage,
                                                                   .number = c->number,
                                                                   .offset = offset,
                                                                   .size = size,
                                                                   .line = im->line};
        im->fresh++;
    }
    return status;
}

static ratoon_status check_commit(ratoon__import *im, ratoon__commit *c, const void *data,
                                  size_t size)
{
    ratoon_digest digest;
    ratoon_status status = ratoon__sha256(data, size, &digest);
    status = status == RATOON_OK ? status : ratoon__import_no_memory(im);
    values_context values = {.im = im};
    if (status == RATOON_OK &&
        (im->lineage == NULL || !ratoon_id_equal(im->lineage->id, c->lineage))) {
        status = lineage_begin(im, c);
    }
    if (status == RATOON_OK) {
        status = check_chain(im, c, &digest);
    }
    if (status == RATOON_OK) {
        status = check_runs(im, c);
    }
    if (status == RATOON_OK) {
        ratoon__commit_values(c, check_inline, &values);
        ratoon__commit_stored(c, check_reference, &values);
        status = values.status;
    }
    if (status == RATOON_OK) {
        status = ratoon__import_resolve(im, c);
    }
    if (status == RATOON_OK) {
        status = fold(im, c, &digest);
        const bool there = c->number <= im->there_count;
        im->result.skipped += status == RATOON_OK && there ? 1 : 0;
        if (status == RATOON_OK && !there) {
            status = put_aside(im, c, data, size);
        }
        ratoon__commit_release(c);
    }
    return status;
}

ratoon_status ratoon__import_commit_bytes(ratoon__import *im, const void *data, size_t size)
{
    ratoon__arena arena = {0};
    ratoon__commit commit;
    ratoon_error why = {0};
    ratoon_status status = ratoon__commit_decode(data, size, &arena, &commit, &why);
    if (status != RATOON_OK) {
        status = ratoon__import_fail(im, status, "the commit can't be read: %s", why.message);
    } else if (ratoon_id_is_zero(commit.lineage)) {
        status = ratoon__import_fail(im, RATOON_ERR_DAMAGED, "the commit is of no lineage");
    } else {
        status = check_commit(im, &commit, data, size);
    }
    ratoon__arena_free(&arena);
    return status;
}
