/* Two runs compared (Q05): parameters, stages, state, durations. */
#include "replay/json.h"

#include <string.h>

static const ratoon__param *param_find(const ratoon__run *r, const char *name)
{
    const ratoon__run_created *c = &r->fixed->created;
    for (size_t i = 0; i < c->params_count; i++) {
        if (strcmp(c->params[i].name, name) == 0) {
            return &c->params[i];
        }
    }
    return NULL;
}

static void param_compare(json_t *out, const char *name, const ratoon__run *a, const ratoon__run *b)
{
    const ratoon__param *x = param_find(a, name);
    const ratoon__param *y = param_find(b, name);
    if (x != NULL && y != NULL && strcmp(x->text, y->text) == 0) {
        return;
    }
    json_t *old = x != NULL ? ratoon__json_param(a->pipeline, name, x->text) : json_null();
    json_t *new = y != NULL ? ratoon__json_param(b->pipeline, name, y->text) : json_null();
    json_object_set_new(out, name, json_pack("{s:o,s:o}", "old", old, "new", new));
}

static json_t *params_diff(const ratoon__run *a, const ratoon__run *b)
{
    json_t *out = json_object();
    const ratoon__run *sides[] = {a, b};
    for (size_t s = 0; s < 2; s++) {
        const ratoon__run_created *c = &sides[s]->fixed->created;
        for (size_t i = 0; i < c->params_count; i++) {
            param_compare(out, c->params[i].name, a, b);
        }
    }
    return out;
}

static json_t *status_of(const ratoon__stage *s)
{
    return s != NULL ? json_string(ratoon_stage_status_name(s->status)) : json_null();
}

/* Seconds of the last attempt; null where none ended here. */
static json_t *seconds_of(const ratoon__stage *s)
{
    if (s == NULL || s->started_at == 0 || s->ended_at < s->started_at) {
        return json_null();
    }
    return json_real((double)(s->ended_at - s->started_at) / 1e6);
}

static const ratoon__stage *stage_named(const ratoon__run *r, const char *name)
{
    int32_t i = ratoon__pipeline_find(r->pipeline, name);
    return i >= 0 ? ratoon__run_stage_at(r, (uint32_t)i) : NULL;
}

static json_t *stage_diff(const char *name, const ratoon__stage *x, const ratoon__stage *y)
{
    return json_pack("{s:o,s:{s:o,s:o},s:{s:o,s:o}}", "name", ratoon__json_text(name), "status",
                     "old", status_of(x), "new", status_of(y), "seconds", "old", seconds_of(x),
                     "new", seconds_of(y));
}

/* Every stage of either run whose status differs, or that was executed in one of them. */
static json_t *stages_diff(const ratoon__run *a, const ratoon__run *b)
{
    json_t *out = json_array();
    for (uint32_t i = 0; i < a->stages_count; i++) {
        const char *name = a->pipeline->stages[i].pub.name;
        const ratoon__stage *x = ratoon__run_stage_at(a, i);
        const ratoon__stage *y = stage_named(b, name);
        if (y == NULL || x->status != y->status || x->ever_started != y->ever_started ||
            (x->ever_started && y->ever_started)) {
            json_array_append_new(out, stage_diff(name, x, y));
        }
    }
    for (uint32_t i = 0; i < b->stages_count; i++) {
        const char *name = b->pipeline->stages[i].pub.name;
        if (stage_named(a, name) == NULL) {
            json_array_append_new(out, stage_diff(name, NULL, ratoon__run_stage_at(b, i)));
        }
    }
    return out;
}

/* Both views are sorted by key: one walk finds what each has and the other hasn't. */
static json_t *state_diff(const ratoon__state_view *a, const ratoon__state_view *b)
{
    json_t *added = json_array(), *removed = json_array(), *changed = json_array();
    size_t i = 0, k = 0;
    while (i < a->count || k < b->count) {
        const ratoon__value *x = i < a->count ? a->entries[i].value : NULL;
        const ratoon__value *y = k < b->count ? b->entries[k].value : NULL;
        int order = x == NULL ? 1 : y == NULL ? -1 : strcmp(x->key, y->key);
        if (order < 0) {
            json_array_append_new(removed, ratoon__json_text(x->key));
        } else if (order > 0) {
            json_array_append_new(added, ratoon__json_text(y->key));
        } else if (!ratoon__digest_equal(&x->digest, &y->digest)) {
            json_array_append_new(changed, ratoon__json_text(x->key));
        }
        i += order <= 0;
        k += order >= 0;
    }
    return json_pack("{s:o,s:o,s:o}", "added", added, "removed", removed, "changed", changed);
}

ratoon_status ratoon_doc_diff(ratoon_store *store, ratoon_id old_run, ratoon_id new_run,
                              ratoon_buffer *json, ratoon_error *error)
{
    if (json == NULL) {
        return ratoon__no_place("json", error);
    }
    ratoon__lineage *la = NULL, *lb = NULL;
    const ratoon__run *a = NULL, *b = NULL;
    ratoon__arena arena = {0};
    ratoon__boundary end = {.kind = RATOON__AT_END};
    ratoon__state_view before = {0}, after = {0};
    ratoon_status status = ratoon__store_run(store, old_run, &la, &a, error);
    if (status == RATOON_OK) {
        status = ratoon__store_run(store, new_run, &lb, &b, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__state_at(a, &end, &arena, &before);
    }
    if (status == RATOON_OK) {
        status = ratoon__state_at(b, &end, &arena, &after);
    }
    if (arena.failed || status == RATOON_ERR_NO_MEMORY) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory comparing two runs");
    }
    if (status == RATOON_OK) {
        json_t *doc = json_pack("{s:i,s:{s:o,s:o,s:o,s:o,s:o}}", "schema", RATOON__SCHEMA, "diff",
                                "old", ratoon__json_id(old_run), "new", ratoon__json_id(new_run),
                                "params", params_diff(a, b), "stages", stages_diff(a, b), "state",
                                state_diff(&before, &after));
        status = ratoon__json_finish(doc, json, error);
    }
    ratoon__arena_free(&arena);
    ratoon__lineage_unref(la);
    ratoon__lineage_unref(lb);
    return status;
}
