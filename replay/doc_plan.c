/* The preview of a retry as a document (R15). */
#include "replay/json.h"

#include <string.h>

static json_t *stage_list(const ratoon__plan *plan, const uint32_t *stages, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, ratoon__json_stage(plan->pipeline, (int32_t)stages[i]));
    }
    return list;
}

static json_t *count_of(bool known, uint64_t n)
{
    return known ? json_integer((json_int_t)n) : json_null();
}

static json_t *items_of(const ratoon__plan *plan)
{
    json_t *doc = json_object();
    for (size_t i = 0; i < plan->items_count; i++) {
        const ratoon__plan_items *p = &plan->items[i];
        json_object_set_new(doc, plan->pipeline->stages[p->stage].pub.name,
                            json_pack("{s:o,s:o,s:o,s:o}", "keep", count_of(p->known, p->keep),
                                      "run", count_of(p->known, p->run), "reset",
                                      count_of(p->known, p->reset), "drop",
                                      count_of(p->known, p->drop)));
    }
    return doc;
}

static json_t *edits_of(const ratoon__plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->edits_count; i++) {
        const ratoon__edit *e = &plan->edits[i];
        json_array_append_new(
            list,
            json_pack("{s:o,s:o,s:o,s:b}", "key", ratoon__json_text(e->value.key), "old_digest",
                      e->had_old ? ratoon__json_digest(&e->old_digest) : json_null(), "new_digest",
                      ratoon__json_digest(&e->value.digest), "partial", e->partial));
    }
    return list;
}

static json_t *missing_of(const ratoon__plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->missing_count; i++) {
        const ratoon__missing_key *m = &plan->missing[i];
        json_array_append_new(list, json_pack("{s:o,s:o,s:o}", "key", ratoon__json_text(m->key),
                                              "produced_by", ratoon__json_text(m->produced_by),
                                              "required_by", ratoon__json_text(m->required_by)));
    }
    return list;
}

static json_t *refusals_of(const ratoon__plan *plan)
{
    json_t *list = json_array();
    for (size_t i = 0; i < plan->refusals_count; i++) {
        const ratoon__refusal *r = &plan->refusals[i];
        json_array_append_new(list, json_pack("{s:s,s:o,s:o}", "code", ratoon_status_name(r->code),
                                              "message", ratoon__json_text(r->message), "hint",
                                              ratoon__json_text(r->hint)));
    }
    return list;
}

/* A token that no longer fits is a refusal like the others, found outside the plan. */
static void add_stale(json_t *refusals, const ratoon__retry_context *c)
{
    ratoon__buf text = {0};
    ratoon__buf_format(&text, "the retry would now do something else than the plan %s says",
                       c->options->plan);
    json_array_append_new(refusals, json_pack("{s:s,s:o,s:n}", "code", "PLAN_STALE", "message",
                                              ratoon__json_text(text.data), "hint"));
    ratoon__buf_free(&text);
}

ratoon_status ratoon_retry_preview(ratoon_store *store, const ratoon_retry_options *options,
                                   ratoon_buffer *json, size_t *refusals, ratoon_error *error)
{
    if (json == NULL) {
        return ratoon__no_place("json", error);
    }
    ratoon__arena arena = {0};
    ratoon__retry_context c = {0};
    ratoon_status status = ratoon__retry_plan(store, options, &arena, &c, error);
    if (status == RATOON_OK) {
        const ratoon__plan *plan = &c.plan;
        json_t *refused = refusals_of(plan);
        if (options->plan != NULL && strcmp(options->plan, c.token) != 0) {
            add_stale(refused, &c);
        }
        size_t count = json_array_size(refused);
        json_t *doc = json_pack(
            "{s:i,s:{s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:I,s:o,s:I,s:o}}", "schema",
            RATOON__SCHEMA, "plan", "token", c.token, "parent", ratoon__json_id(options->parent),
            "requested_stage", ratoon__json_stage(plan->pipeline, plan->requested), "from_stage",
            ratoon__json_stage(plan->pipeline, plan->effective), "boundary",
            ratoon__json_text(plan->boundary), "run", stage_list(plan, plan->run, plan->run_count),
            "reuse", stage_list(plan, plan->reuse, plan->reuse_count), "items", items_of(plan),
            "params",
            ratoon__json_overrides(plan->pipeline, plan->overrides, plan->overrides_count), "edits",
            edits_of(plan), "missing", missing_of(plan), "depth", (json_int_t)plan->depth,
            "max_depth", (json_int_t)plan->max_depth, "waits_for", ratoon__json_id(plan->waits_for),
            "committed_dropped", (json_int_t)plan->committed_dropped, "refusals", refused);
        status = ratoon__json_finish(doc, json, error);
        if (status == RATOON_OK && refusals != NULL) {
            *refusals = count;
        }
    }
    ratoon__buf_free(&c.plan.canonical);
    ratoon__arena_free(&arena);
    return status;
}
