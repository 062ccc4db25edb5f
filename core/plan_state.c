/* The state a branch starts from: edits, required keys, files. */
#include "core/plan.h"

#include <string.h>

typedef ratoon__planning planning;

/* ---- edits (R24) and partial outputs (S03) ---- */

/* The state at the boundary, before any edit of this request. */
static bool boundary_state(const planning *c, ratoon__state_view *out)
{
    ratoon__boundary at = {.kind = RATOON__AT_END};
    const int32_t effective = c->plan->effective < 0 ? -1 : c->in_parent[c->plan->effective];
    if (effective >= 0) {
        at.kind = RATOON__AT_BEFORE;
        at.stage = (uint32_t)effective;
    }
    return ratoon__state_at(c->parent, &at, c->arena, out) == RATOON_OK;
}

static ratoon__value_ref ref_of(const ratoon__value *v, ratoon__arena *arena)
{
    return (ratoon__value_ref){
        .key = ratoon__arena_strdup(arena, v->key),
        .media_type = ratoon__arena_strdup(arena, v->media_type),
        .digest = v->digest,
        .size = v->size,
        .data = v->data == NULL ? NULL : ratoon__arena_memdup(arena, v->data, (size_t)v->size),
    };
}

static void add_edit(planning *c, const ratoon__state_view *state, ratoon__value_ref value,
                     bool partial)
{
    ratoon__edit *edit = &c->plan->edits[c->plan->edits_count++];
    const ratoon__state_entry *old = ratoon__state_find(state, value.key);
    *edit = (ratoon__edit){.value = value, .had_old = old != NULL, .partial = partial};
    if (old != NULL) {
        edit->old_digest = old->value->digest;
    }
}

static bool is_edited(const planning *c, const char *key)
{
    for (size_t i = 0; i < c->request->edits_count; i++) {
        if (strcmp(c->request->edits[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

/* What the effective stage left behind: the last partial outputs of a failed stage, the outputs of
 * a degraded one. */
static const ratoon__outputs *left_behind(const planning *c)
{
    if (!c->options->partial_include || c->plan->effective < 0) {
        return NULL;
    }
    const ratoon__stage *s = ratoon__plan_stage(c, (uint32_t)c->plan->effective);
    if (s == NULL) {
        return NULL;
    }
    const bool degraded = ratoon__stage_counts_as(s) == RATOON_STAGE_DEGRADED;
    return s->partial == NULL && degraded ? s->outputs : s->partial;
}

void ratoon__plan_edits(planning *c)
{
    const ratoon__outputs *partial = left_behind(c);
    const ratoon__values asked = {c->request->edits, c->request->edits_count};
    const size_t most = asked.count + (partial == NULL ? 0 : partial->count);
    ratoon_error error;
    ratoon__state_view state = {0};
    if (ratoon__keys_check("edit", &asked, c->arena, &error) != RATOON_OK) {
        ratoon__refuse_error(&c->refusals, &error);
        return;
    }
    if (most == 0) {
        return;
    }
    c->plan->edits = ratoon__arena_alloc(c->arena, most * sizeof *c->plan->edits);
    if (c->plan->edits == NULL || !boundary_state(c, &state)) {
        c->arena->failed = true;
        return;
    }
    for (uint32_t i = 0; partial != NULL && i < partial->count; i++) {
        if (!is_edited(c, partial->values[i]->key)) {
            add_edit(c, &state, ref_of(partial->values[i], c->arena), true);
        }
    }
    for (size_t i = 0; i < asked.count; i++) {
        add_edit(c, &state, asked.items[i], false);
    }
}

/* ---- required keys (S04) ---- */

static bool may_produce(const planning *c, uint32_t stage, const char *key)
{
    const ratoon__stage_def *def = &c->pipeline->stages[stage];
    const ratoon__stage *s = ratoon__plan_stage(c, stage);
    if (ratoon__declares(def, key)) {
        return true;
    }
    if (s != NULL && s->outputs != NULL && ratoon__outputs_find(s->outputs, key) != NULL) {
        return true;
    }
    return def->pub.produces_count == 0 && def->pub.validates < 0;
}

bool ratoon__plan_may_provide(const planning *c, uint32_t stage, const char *key)
{
    for (size_t n = 0; n < c->plan->run_count; n++) {
        const uint32_t i = c->plan->run[n];
        if (ratoon__pipeline_is_ancestor(c->pipeline, i, stage) && may_produce(c, i, key)) {
            return true;
        }
    }
    return false;
}

static bool is_listed(const ratoon__plan *plan, const char *key)
{
    for (size_t i = 0; i < plan->missing_count; i++) {
        if (strcmp(plan->missing[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

static void missing_of(planning *c, uint32_t stage)
{
    const ratoon__stage_def *def = &c->pipeline->stages[stage];
    for (size_t i = 0; i < ratoon__required_count(def); i++) {
        const char *key = ratoon__required_key(def, i);
        if (is_listed(c->plan, key) || ratoon__plan_may_provide(c, stage, key)) {
            continue;
        }
        const ratoon__run *branch = ratoon__plan_branch(c);
        if (branch == NULL) {
            return;
        }
        if (ratoon__key_received(branch, stage, key)) {
            continue;
        }
        const int32_t producer = ratoon__key_producer(c->pipeline, stage, key);
        c->plan->missing[c->plan->missing_count++] = (ratoon__missing_key){
            .key = key,
            .required_by = def->pub.name,
            .produced_by =
                producer < 0 ? NULL : ratoon__stage_name(c->pipeline, (uint32_t)producer),
        };
    }
}

void ratoon__plan_missing(planning *c)
{
    ratoon__plan *plan = c->plan;
    if (c->rerun == NULL) {
        return;
    }
    size_t most = 0;
    for (size_t n = 0; n < plan->run_count; n++) {
        most += ratoon__required_count(&c->pipeline->stages[plan->run[n]]);
    }
    plan->missing = ratoon__arena_alloc(c->arena, most * sizeof *plan->missing);
    for (size_t n = 0; plan->missing != NULL && n < plan->run_count; n++) {
        missing_of(c, plan->run[n]);
    }
    if (plan->missing_count == 0) {
        return;
    }
    ratoon__buf list = {0};
    ratoon__buf_missing(&list, plan->missing, plan->missing_count);
    ratoon__refusal *refusal = ratoon__refuse(
        &c->refusals, RATOON_ERR_MISSING_KEYS, "stage %s%s would miss required keys: %s",
        plan->missing[0].required_by, plan->missing_count > 1 ? " and others" : "",
        ratoon__arena_take(c->arena, &list));
    const char *producer = plan->missing[0].produced_by;
    refusal->hint =
        producer != NULL
            ? ratoon__arena_text(c->arena, "ratoon retry %I --from %s, or --edit %s=JSON",
                                 &c->options->parent, producer, plan->missing[0].key)
            : ratoon__arena_text(c->arena, "ratoon retry %I --edit %s=JSON", &c->options->parent,
                                 plan->missing[0].key);
}

/* ---- files (S10) ---- */

void ratoon__plan_files(planning *c)
{
    if (c->options->accept_changes) {
        return;
    }
    for (size_t i = 0; i < c->facts->changed_files_count; i++) {
        ratoon__refusal *refusal = ratoon__refuse(
            &c->refusals, RATOON_ERR_FILE_CHANGED,
            "a file that the state stands for has changed: %s", c->facts->changed_files[i]);
        refusal->hint = "restore it, rerun the stage that made it, or add --accept-changes";
    }
}
