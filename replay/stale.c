/* Stale consumers and cascades (R22). A stage that used the result of a run is stale once a branch
 * of that run succeeded (or is degraded). Only what the done stages of the consumer's newest run
 * consumed in their last attempt counts. Beside these: a consumer whose newest run is a cascade
 * that was interrupted; it is as stale as it was before that was created. */
#include "replay/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "consumed:"

typedef struct stale_list {
    ratoon_store *store;
    ratoon_stale *items;
    size_t count, capacity;
    ratoon_id *consumers; /* roots looked at */
    size_t consumers_count, consumers_capacity;
    char last[RATOON__CLAIM_NAME_MAX + 1]; /* name of the claim seen last */
    unsigned seen;                         /* in this page */
    bool failed;
} stale_list;

static bool grow(void **items, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    void *grown = realloc(*items, wanted * size);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *capacity = wanted;
    return true;
}

static bool note_consumer(void *ctx, const char *name, ratoon_id holder)
{
    stale_list *list = ctx;
    (void)snprintf(list->last, sizeof list->last, "%s", name);
    list->seen++;
    for (size_t i = 0; i < list->consumers_count; i++) {
        if (ratoon_id_equal(list->consumers[i], holder)) {
            return true;
        }
    }
    void *items = list->consumers;
    list->failed =
        !grow(&items, &list->consumers_capacity, list->consumers_count, sizeof *list->consumers);
    list->consumers = items;
    if (!list->failed) {
        list->consumers[list->consumers_count++] = holder;
    }
    return !list->failed;
}

/* Whether `run` is a branch of `ancestor`, at whatever depth. */
static bool descends(const ratoon__lineage *l, const ratoon__run *run, ratoon_id ancestor)
{
    while (run != NULL && !ratoon_id_is_zero(run->fixed->created.parent)) {
        if (ratoon_id_equal(run->fixed->created.parent, ancestor)) {
            return true;
        }
        run = ratoon__lineage_run(l, run->fixed->created.parent);
    }
    return false;
}

/* Whether the run was made by a cascade and interrupted in it; `cause` is what it was made for. */
static bool interrupted_cascade(const ratoon__run *r, ratoon_id *cause)
{
    const ratoon__run_created *c = &r->fixed->created;
    return r->status == RATOON_RUN_SUSPENDED && r->error_class == RATOON_CLASS_INTERRUPTED &&
           c->automatic && c->effective_stage >= 0 && c->cause != NULL &&
           ratoon_id_parse(c->cause, cause) == RATOON_OK;
}

/* The newest branch of a run that succeeded or is degraded, or zero. */
static ratoon_id cause_of(const ratoon__lineage *l, ratoon_id consumed)
{
    for (uint32_t i = l->runs_count; i-- > 0;) {
        const ratoon__run *r = l->runs[i];
        if ((r->status == RATOON_RUN_SUCCEEDED || r->status == RATOON_RUN_DEGRADED) &&
            descends(l, r, consumed)) {
            return r->fixed->id;
        }
    }
    return (ratoon_id){{0}};
}

static ratoon_status add_stale(stale_list *list, const ratoon__run *r, uint32_t stage,
                               ratoon_id cause, ratoon_error *error)
{
    void *items = list->items;
    if (!grow(&items, &list->capacity, list->count, sizeof *list->items)) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    list->items = items;
    ratoon_stale *out = &list->items[list->count++];
    *out = (ratoon_stale){.run = r->fixed->id,
                          .root = r->fixed->created.root,
                          .cause = cause,
                          .cascade = r->pipeline->cascade == RATOON__CASCADE_AUTO};
    (void)snprintf(out->stage, sizeof out->stage, "%s", r->pipeline->stages[stage].pub.name);
    return RATOON_OK;
}

static ratoon_status stage_stale(stale_list *list, const ratoon__run *r, uint32_t stage,
                                 ratoon_error *error)
{
    const ratoon__stage *s = ratoon__run_stage_at(r, stage);
    if (s->consumed == NULL || !ratoon_stage_status_done(s->status)) {
        return RATOON_OK;
    }
    for (uint32_t i = 0; i < s->consumed->count; i++) {
        ratoon__lineage *l = NULL;
        ratoon_status status =
            ratoon__store_lineage(list->store, s->consumed->ids[2 * i + 1], &l, error);
        if (status == RATOON_ERR_NOT_FOUND) {
            continue; /* deleted */
        }
        if (status != RATOON_OK) {
            return status;
        }
        ratoon_id cause = cause_of(l, s->consumed->ids[2 * i]);
        ratoon__lineage_unref(l);
        if (ratoon_id_is_zero(cause)) {
            continue;
        }
        return add_stale(list, r, stage, cause, error); /* one cause is enough for a stage */
    }
    return RATOON_OK;
}

static ratoon_status consumer_stale(stale_list *list, ratoon_id root, ratoon_error *error)
{
    ratoon__lineage *l = NULL;
    ratoon_status status = ratoon__store_lineage(list->store, root, &l, error);
    if (status != RATOON_OK) {
        return status == RATOON_ERR_NOT_FOUND ? RATOON_OK : status;
    }
    const ratoon__run *newest = l->runs_count > 0 ? l->runs[l->runs_count - 1] : NULL;
    ratoon_id cause;
    if (newest != NULL && interrupted_cascade(newest, &cause)) {
        status =
            add_stale(list, newest, (uint32_t)newest->fixed->created.effective_stage, cause, error);
        ratoon__lineage_unref(l);
        return status;
    }
    for (uint32_t i = 0; newest != NULL && status == RATOON_OK && i < newest->stages_count; i++) {
        status = stage_stale(list, newest, newest->pipeline->order[i], error);
    }
    ratoon__lineage_unref(l);
    return status;
}

ratoon_status ratoon_stale_list(ratoon_store *store, ratoon_stale **out, size_t *count,
                                ratoon_error *error)
{
    if (out == NULL || count == NULL) {
        return ratoon__no_place("out or count", error);
    }
    stale_list list = {.store = store};
    ratoon__driver *d = ratoon__store_driver(store);
    ratoon_status status;
    do {
        list.seen = 0;
        status = d->ops->claims(d, PREFIX, list.last, note_consumer, &list, error);
        if (status == RATOON_OK && list.failed) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
    } while (status == RATOON_OK && list.seen == RATOON__CLAIMS_PAGE);
    for (size_t i = 0; status == RATOON_OK && i < list.consumers_count; i++) {
        status = consumer_stale(&list, list.consumers[i], error);
    }
    free(list.consumers);
    if (status != RATOON_OK) {
        free(list.items);
        return status;
    }
    *out = list.items;
    *count = list.count;
    return RATOON_OK;
}

/* ---- cascades ---- */

typedef struct cascade_texts {
    char key[96], cause[RATOON_ID_TEXT];
} cascade_texts;

/* The request that brings a stale consumer up to date: the same wherever it is made, so that its
 * key makes it exactly one. */
static ratoon_retry_options cascade_request(const ratoon_stale *stale, cascade_texts *texts)
{
    char root[RATOON_ID_TEXT];
    ratoon_retry_options o = RATOON_RETRY_OPTIONS_INIT;
    ratoon_id_format(stale->cause, texts->cause);
    ratoon_id_format(stale->root, root);
    (void)snprintf(texts->key, sizeof texts->key, "cascade:%s:%s", texts->cause, root);
    o.parent = stale->run;
    o.from = stale->stage;
    o.rerun = true;
    o.key = texts->key;
    o.automatic = true;
    o.cause = texts->cause;
    o.reason = "what it consumed was made anew";
    return o;
}

/* Whether the stale consumer is one whose cascade is there already, interrupted. */
static ratoon_status is_interrupted(ratoon_store *store, const ratoon_stale *stale,
                                    bool *interrupted, ratoon_error *error)
{
    ratoon__lineage *l = NULL;
    ratoon_status status = ratoon__store_lineage(store, stale->root, &l, error);
    if (status != RATOON_OK) {
        return status;
    }
    const ratoon__run *r = ratoon__lineage_run(l, stale->run);
    ratoon_id cause;
    *interrupted = r != NULL && interrupted_cascade(r, &cause);
    ratoon__lineage_unref(l);
    return RATOON_OK;
}

ratoon_status ratoon_cascade_create(ratoon_store *store, const ratoon_stale *stale,
                                    ratoon_created *out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    bool interrupted = false;
    ratoon_status status = is_interrupted(store, stale, &interrupted, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (interrupted) { /* made before, but its process died: it goes on */
        uint64_t epoch = 0;
        status = ratoon_run_start(store, stale->run, NULL, &epoch, error);
        if (status == RATOON_OK) {
            *out = (ratoon_created){.run = stale->run, .epoch = epoch};
        }
        return status;
    }
    cascade_texts texts;
    ratoon_retry_options o = cascade_request(stale, &texts);
    return ratoon_retry_create(store, &o, out, error);
}

/* Why a cascade isn't made: the first refusal its preview meets; null where there is none. */
static json_t *refusal_of(ratoon_store *store, const ratoon_stale *stale)
{
    cascade_texts texts;
    bool interrupted = false;
    ratoon_status status = is_interrupted(store, stale, &interrupted, NULL);
    if (status == RATOON_ERR_NO_MEMORY) {
        return NULL; /* then there is no line either */
    }
    if (status != RATOON_OK || interrupted) {
        return json_null();
    }
    ratoon_buffer preview = {0};
    size_t refusals = 0;
    ratoon_retry_options o = cascade_request(stale, &texts);
    o.key = NULL;
    status = ratoon_retry_preview(store, &o, &preview, &refusals, NULL);
    if (status != RATOON_OK) {
        return status == RATOON_ERR_NO_MEMORY ? NULL : json_null();
    }
    json_t *doc = json_loadb(preview.data, preview.size, 0, NULL);
    json_t *first = json_array_get(json_object_get(json_object_get(doc, "plan"), "refusals"), 0);
    json_t *refusal = first != NULL ? json_pack("{s:O,s:O}", "code", json_object_get(first, "code"),
                                                "message", json_object_get(first, "message"))
                                    : json_null();
    json_decref(doc);
    ratoon_buffer_free(&preview);
    return refusal;
}

ratoon_status ratoon_doc_stale(ratoon_store *store, ratoon_buffer *json_lines, ratoon_error *error)
{
    if (json_lines == NULL) {
        return ratoon__no_place("json_lines", error);
    }
    ratoon_stale *items = NULL;
    size_t count = 0;
    ratoon__buf out = {0};
    ratoon_status status = ratoon_stale_list(store, &items, &count, error);
    ratoon__buf_str(&out, "");
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        json_t *doc =
            json_pack("{s:i,s:{s:o,s:o,s:o,s:b,s:o}}", "schema", RATOON__SCHEMA, "stale", "run",
                      ratoon__json_id(items[i].run), "stage", ratoon__json_text(items[i].stage),
                      "cause", ratoon__json_id(items[i].cause), "cascade", items[i].cascade,
                      "refusal", refusal_of(store, &items[i]));
        status = ratoon__json_line(doc, &out);
    }
    free(items);
    if (status != RATOON_OK) {
        ratoon__buf_free(&out);
        return status == RATOON_ERR_NO_MEMORY ? ratoon__fail(error, status, "out of memory")
                                              : status;
    }
    *json_lines = (ratoon_buffer){.data = out.data, .size = out.size};
    return RATOON_OK;
}
