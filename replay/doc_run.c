/* The document of a run: what `show`, `list` and `tree` are made of. */
#include "core/decide_internal.h"
#include "replay/json.h"

#include <stdlib.h>

static json_t *json_failure(const ratoon__run *r, const ratoon__stage *s)
{
    if (s->failure == NULL) {
        return json_null();
    }
    const ratoon__failure *f = &s->failure->f;
    return json_pack("{s:o,s:o,s:o,s:b,s:o}", "class", ratoon__json_class(f->error_class),
                     "message", ratoon__json_text(f->message), "detail",
                     ratoon__json_text(f->detail), "retryable", f->retryable, "suggested_overrides",
                     ratoon__json_suggested(r->pipeline, f->suggested, f->suggested_count));
}

static json_t *json_items(const ratoon__stage *s, const ratoon_stage_def *def)
{
    if (def->foreach_key == NULL && ratoon__items_count(s->items) == 0) {
        return json_null();
    }
    uint64_t seen = s->items_done + s->items_failed;
    json_t *total = s->items_known ? json_integer((json_int_t)s->items_total) : json_null();
    json_t *missing =
        s->items_known
            ? json_integer((json_int_t)(s->items_total > seen ? s->items_total - seen : 0))
            : json_null();
    return json_pack("{s:o,s:I,s:I,s:o,s:I}", "total", total, "done", (json_int_t)s->items_done,
                     "failed", (json_int_t)s->items_failed, "missing", missing, "committed",
                     (json_int_t)s->items_committed);
}

static json_t *json_progress(const ratoon__stage *s)
{
    if (!s->has_progress) {
        return json_null();
    }
    return json_pack("{s:I,s:I,s:o}", "done", (json_int_t)s->progress_done, "total",
                     (json_int_t)s->progress_total, "message",
                     ratoon__json_text(s->progress_message));
}

static json_t *json_stage(const ratoon__run *r, uint32_t i)
{
    const ratoon__stage *s = ratoon__run_stage_at(r, i);
    const ratoon_stage_def *def = &r->pipeline->stages[i].pub;
    json_t *doc = json_pack(
        "{s:o,s:s,s:I,s:o,s:o,s:o,s:b,s:o,s:o,s:o}", "name", ratoon__json_text(def->name), "status",
        ratoon_stage_status_name(s->status), "attempt", (json_int_t)s->attempt, "started_at",
        ratoon__json_time(s->started_at), "ended_at", ratoon__json_time(s->ended_at), "reused_from",
        ratoon__json_id(s->reused_from), "stale", s->stale, "progress", json_progress(s), "error",
        json_failure(r, s), "items", json_items(s, def));
    if (s->status == RATOON_STAGE_REUSED) {
        json_object_set_new(doc, "reused_as", json_string(ratoon_stage_status_name(s->reused_as)));
    }
    if (s->reason != NULL) {
        json_object_set_new(doc, "reason", ratoon__json_text(s->reason));
    }
    return doc;
}

json_t *ratoon__json_actions(ratoon_store *s, const ratoon__lineage *l, const ratoon__run *r)
{
    ratoon__arena arena = {0};
    ratoon__actions a = {0};
    json_t *doc = NULL;
    if (ratoon__actions_of(l, r, ratoon__store_max_depth(s), &arena, &a) == RATOON_OK) {
        const char *no = a.retry_why_not;
        doc = json_pack(
            "{s:{s:b,s:o,s:o,s:o,s:o},s:{s:b,s:o},s:{s:b,s:o}}", "retry", "available", a.retry,
            "why_not", a.retry ? json_null() : ratoon__json_text(no), "requested_stage",
            ratoon__json_stage(r->pipeline, a.requested_stage), "from_stage",
            ratoon__json_stage(r->pipeline, a.from_stage), "suggested_overrides",
            ratoon__json_suggested(r->pipeline, a.suggested, a.suggested_count), "cancel",
            "available", a.cancel, "why_not",
            a.cancel ? json_null() : ratoon__json_text(a.cancel_why_not), "resume", "available",
            a.resume, "why_not", a.resume ? json_null() : ratoon__json_text(a.resume_why_not));
    }
    ratoon__arena_free(&arena);
    return doc;
}

static json_t *json_children(const ratoon__run *r)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < r->children_count; i++) {
        json_array_append_new(list, ratoon__json_id(r->children[i]));
    }
    return list;
}

/* What a run was asked for: identity, place in the lineage, parameters. */
static void set_request(json_t *doc, const ratoon__run *r)
{
    const ratoon__run_static *f = r->fixed;
    const ratoon__run_created *c = &f->created;
    bool branch = !ratoon_id_is_zero(c->parent);
    json_object_set_new(doc, "subject", ratoon__json_text(c->subject));
    json_object_set_new(doc, "scope", ratoon__json_text(c->scope));
    json_object_set_new(doc, "root", ratoon__json_id(c->root));
    json_object_set_new(doc, "parent", ratoon__json_id(c->parent));
    json_object_set_new(doc, "depth", json_integer((json_int_t)c->depth));
    json_object_set_new(doc, "number", json_integer((json_int_t)c->number));
    const ratoon_pipeline *p = c->pipeline; /* indices are of the definition it began with */
    json_object_set_new(doc, "requested_stage",
                        ratoon__json_stage(p, branch ? c->requested_stage : -1));
    json_object_set_new(doc, "from_stage", ratoon__json_stage(p, branch ? c->effective_stage : -1));
    json_object_set_new(doc, "boundary", ratoon__json_text(branch ? c->boundary : NULL));
    json_object_set_new(doc, "reason", ratoon__json_text(c->reason));
    json_object_set_new(doc, "automatic", json_boolean(c->automatic));
    json_object_set_new(doc, "cause", ratoon__json_text(c->cause));
    json_object_set_new(doc, "actor", ratoon__json_text(c->actor));
    json_object_set_new(doc, "created_at", ratoon__json_time(f->created_at));
    json_object_set_new(doc, "started_at", ratoon__json_time(r->started_at));
    json_object_set_new(doc, "ended_at", ratoon__json_time(r->ended_at));
    json_object_set_new(doc, "external_ref", ratoon__json_text(r->external_ref));
    json_t *params = json_object();
    for (size_t i = 0; i < c->params_count; i++) {
        json_object_set_new(params, c->params[i].name,
                            ratoon__json_param(p, c->params[i].name, c->params[i].text));
    }
    json_object_set_new(doc, "params", params);
    json_object_set_new(doc, "overrides",
                        ratoon__json_overrides(p, c->overrides, c->overrides_count));
    json_t *labels = json_object();
    for (size_t i = 0; i < c->labels_count; i++) {
        json_object_set_new(labels, c->labels[i].name, ratoon__json_text(c->labels[i].value));
    }
    json_object_set_new(doc, "labels", labels);
}

json_t *ratoon__json_run(ratoon_store *s, const ratoon__lineage *l, const ratoon__run *r,
                         bool with_stages)
{
    json_t *doc = json_pack(
        "{s:o,s:o,s:I,s:o,s:s}", "id", ratoon__json_id(r->fixed->id), "pipeline",
        ratoon__json_text(r->pipeline->name), "version", (json_int_t)r->pipeline->version, "digest",
        ratoon__json_digest(&r->pipeline->digest), "status", ratoon_run_status_name(r->status));
    if (doc == NULL) {
        return NULL;
    }
    set_request(doc, r);
    json_object_set_new(doc, "children", json_children(r));
    json_object_set_new(doc, "end_reason", ratoon__json_text(r->reason));
    json_object_set_new(doc, "error_class", ratoon__json_class(r->error_class));
    json_object_set_new(doc, "file", ratoon__json_text(r->fixed->created.file));
    json_object_set_new(doc, "key", ratoon__json_text(r->fixed->created.key));
    if (with_stages) {
        json_t *stages = json_array();
        for (uint32_t i = 0; i < r->stages_count; i++) {
            json_array_append_new(stages, json_stage(r, i));
        }
        json_object_set_new(doc, "stages", stages);
    }
    json_t *actions = ratoon__json_actions(s, l, r);
    if (actions == NULL || json_object_set_new(doc, "actions", actions) != 0) {
        json_decref(doc); /* out of memory: no document rather than one that lacks them */
        return NULL;
    }
    return doc;
}

ratoon_status ratoon_doc_run(ratoon_store *store, ratoon_id run, bool with_stages,
                             ratoon_buffer *json, ratoon_error *error)
{
    if (json == NULL) {
        return ratoon__no_place("json", error);
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    ratoon_status status = ratoon__store_run(store, run, &l, &r, error);
    if (status == RATOON_OK) {
        json_t *doc = json_pack("{s:i,s:o}", "schema", RATOON__SCHEMA, "run",
                                ratoon__json_run(store, l, r, with_stages));
        status = ratoon__json_finish(doc, json, error);
        ratoon__lineage_unref(l);
    }
    return status;
}

ratoon_status ratoon_doc_tree(ratoon_store *store, ratoon_id run, ratoon_buffer *json,
                              ratoon_error *error)
{
    if (json == NULL) {
        return ratoon__no_place("json", error);
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    ratoon_status status = ratoon__store_run(store, run, &l, &r, error);
    if (status != RATOON_OK) {
        return status;
    }
    json_t *runs = json_array();
    for (uint32_t i = 0; i < l->runs_count; i++) {
        if (json_array_append_new(runs, ratoon__json_run(store, l, l->runs[i], false)) != 0) {
            json_decref(runs);
            runs = NULL;
            break;
        }
    }
    json_t *doc = json_pack("{s:i,s:{s:o,s:I,s:o,s:o}}", "schema", RATOON__SCHEMA, "lineage",
                            "root", ratoon__json_id(l->id), "commits", (json_int_t)l->head,
                            "head_digest", ratoon__json_digest(&l->head_digest), "runs", runs);
    ratoon__lineage_unref(l);
    return ratoon__json_finish(doc, json, error);
}

/* ---- explanation (R26) ---- */

ratoon_status ratoon_doc_explain(ratoon_store *store, ratoon_id run, const char *stage,
                                 ratoon_buffer *json, ratoon_error *error)
{
    if (json == NULL) {
        return ratoon__no_place("json", error);
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    ratoon__arena arena = {0};
    ratoon__explanation e;
    ratoon_status status = ratoon__store_run(store, run, &l, &r, error);
    if (status != RATOON_OK) {
        return status;
    }
    int32_t index = ratoon__pipeline_find(r->pipeline, stage);
    if (index < 0) {
        status = ratoon__no_such_stage(r->pipeline, stage, error);
    } else {
        status = ratoon__explain(l, r, (uint32_t)index, &arena, &e);
        if (status == RATOON_ERR_NO_MEMORY) {
            status = ratoon__fail(error, status, "out of memory explaining a stage");
        }
    }
    if (status == RATOON_OK) {
        json_t *because = json_array();
        for (size_t i = 0; i < e.because_count; i++) {
            const ratoon__because *b = &e.because[i];
            const char *name = b->name;
            bool param = b->kind[0] == 'p' && b->kind[1] == 'a'; /* "parameter": typed values */
            json_t *old = param ? ratoon__json_param(r->pipeline, name, b->old_text)
                                : ratoon__json_text(b->old_text);
            json_t *new = param ? ratoon__json_param(r->pipeline, name, b->new_text)
                                : ratoon__json_text(b->new_text);
            json_array_append_new(because,
                                  json_pack("{s:s,s:o,s:o,s:o}", "kind", b->kind, "name",
                                            ratoon__json_text(name), "old", old, "new", new));
        }
        json_t *parent = json_null();
        if (!ratoon_id_is_zero(e.parent)) {
            parent = json_pack("{s:o,s:o}", "run", ratoon__json_id(e.parent), "status",
                               e.parent_status != 0
                                   ? json_string(ratoon_stage_status_name(e.parent_status))
                                   : json_null());
        }
        const ratoon__stage *s = ratoon__run_stage_at(r, (uint32_t)index);
        json_t *doc =
            json_pack("{s:i,s:{s:o,s:o,s:s,s:b,s:o,s:o}}", "schema", RATOON__SCHEMA, "explain",
                      "run", ratoon__json_id(run), "stage", ratoon__json_text(stage), "status",
                      ratoon_stage_status_name(s->status), "ran", e.ran, "because", because,
                      "parent", parent);
        status = ratoon__json_finish(doc, json, error);
    }
    ratoon__arena_free(&arena);
    ratoon__lineage_unref(l);
    return status;
}
