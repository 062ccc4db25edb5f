/* Which stages a retry executes: requested, effective, rerun set. */
#include "core/plan.h"

#include <string.h>

typedef ratoon__planning planning;

const ratoon__stage *ratoon__plan_stage(const planning *c, uint32_t stage)
{
    const int32_t index = c->in_parent[stage];
    return index < 0 ? NULL : ratoon__run_stage_at(c->parent, (uint32_t)index);
}

static ratoon_stage_status status_of(const planning *c, uint32_t stage)
{
    const ratoon__stage *s = ratoon__plan_stage(c, stage);
    return s == NULL ? RATOON_STAGE_PENDING : ratoon__stage_counts_as(s);
}

bool ratoon__plan_done(const planning *c, uint32_t stage)
{
    return ratoon_stage_status_done(status_of(c, stage));
}

bool ratoon__plan_reruns(const planning *c, uint32_t stage)
{
    return c->rerun != NULL && ratoon__set_has(c->rerun, stage);
}

bool ratoon__plan_upstream_reruns(const planning *c, uint32_t stage)
{
    const ratoon_pipeline *p = c->pipeline;
    const uint64_t *row = p->ancestors + (size_t)stage * p->row_words;
    for (size_t w = 0; c->rerun != NULL && w < p->row_words; w++) {
        if ((row[w] & c->rerun[w]) != 0) {
            return true;
        }
    }
    return false;
}

/* ---- R06: the stage a retry without a name starts from ---- */

int32_t ratoon__retry_default_stage(const ratoon__run *r)
{
    int32_t degraded = -1;
    for (size_t n = 0; n < r->pipeline->stages_count; n++) {
        const uint32_t i = r->pipeline->order[n];
        const ratoon_stage_status status = ratoon__stage_counts_as(ratoon__run_stage_at(r, i));
        if (!ratoon_stage_status_done(status)) {
            return (int32_t)i;
        }
        if (status == RATOON_STAGE_DEGRADED && degraded < 0) {
            degraded = (int32_t)i;
        }
    }
    return degraded;
}

/* The same in the branch's definition, where a stage that is new is pending (R16). */
static int32_t default_stage(const planning *c)
{
    int32_t degraded = -1;
    if (c->pipeline == c->parent->pipeline) {
        return ratoon__retry_default_stage(c->parent);
    }
    for (size_t n = 0; n < c->pipeline->stages_count; n++) {
        const uint32_t i = c->pipeline->order[n];
        if (!ratoon__plan_done(c, i)) {
            return (int32_t)i;
        }
        if (status_of(c, i) == RATOON_STAGE_DEGRADED && degraded < 0) {
            degraded = (int32_t)i;
        }
    }
    return degraded;
}

/* ---- requested and effective ---- */

static void refuse_no_such_stage(planning *c, const char *name)
{
    ratoon_error error;
    (void)ratoon__no_such_stage(c->pipeline, name, &error);
    ratoon__refuse_error(&c->refusals, &error);
}

/* A stage that it depends on and that was not done in the parent, or -1. */
static int32_t undone_upstream(const planning *c, uint32_t stage)
{
    for (size_t n = 0; n < c->pipeline->stages_count; n++) {
        const uint32_t i = c->pipeline->order[n];
        if (ratoon__pipeline_is_ancestor(c->pipeline, i, stage) && !ratoon__plan_done(c, i)) {
            return (int32_t)i;
        }
    }
    return -1;
}

static bool has_started(const ratoon__stage *s)
{
    if (s == NULL) {
        return false;
    }
    return s->status == RATOON_STAGE_REUSED ? s->reused_as != RATOON_STAGE_SKIPPED
                                            : s->ever_started;
}

/* R05, R06: judged by the requested stage. */
static void check_requested(planning *c, uint32_t stage)
{
    const ratoon_id run = c->parent->fixed->id;
    const char *name = ratoon__stage_name(c->pipeline, stage);
    const int32_t undone = undone_upstream(c, stage);
    if (!has_started(ratoon__plan_stage(c, stage)) && undone >= 0) {
        const int32_t first = default_stage(c);
        const char *can = first < 0 ? "(none)" : ratoon__stage_name(c->pipeline, (uint32_t)first);
        ratoon__refusal *refusal = ratoon__refuse(
            &c->refusals, RATOON_ERR_STAGE_NEVER_RAN,
            "stage %s never started in run %I: the stage %s before it is %s; the first stage that "
            "can be retried from is %s",
            name, &run, ratoon__stage_name(c->pipeline, (uint32_t)undone),
            ratoon_stage_status_name(status_of(c, (uint32_t)undone)), can);
        refusal->hint = ratoon__arena_text(c->arena, "ratoon retry %I --from %s", &run, can);
        return;
    }
    if (status_of(c, stage) == RATOON_STAGE_SUCCEEDED && !c->options->rerun) {
        ratoon__refusal *refusal =
            ratoon__refuse(&c->refusals, RATOON_ERR_STAGE_SUCCEEDED,
                           "stage %s succeeded in run %I; going back to it is a rerun and must be "
                           "asked for as one",
                           name, &run);
        refusal->hint =
            ratoon__arena_text(c->arena, "ratoon retry %I --from %s --rerun", &run, name);
    }
}

static int32_t requested_stage(planning *c)
{
    if (c->options->from != NULL) {
        const int32_t stage = ratoon__pipeline_find(c->pipeline, c->options->from);
        if (stage < 0) {
            refuse_no_such_stage(c, c->options->from);
        }
        return stage;
    }
    const int32_t stage = default_stage(c);
    if (stage < 0) {
        const ratoon_id run = c->parent->fixed->id;
        ratoon__refusal *refusal = ratoon__refuse(
            &c->refusals, RATOON_ERR_STAGE_SUCCEEDED,
            "every stage of run %I succeeded; going back to one is a rerun and must be asked for "
            "as one",
            &run);
        refusal->hint = ratoon__arena_text(c->arena, "ratoon retry %I --from STAGE --rerun", &run);
    }
    return stage;
}

/* ---- the rerun set ---- */

static void add_with_downstream(planning *c, uint32_t stage)
{
    ratoon__set_add(c->rerun, stage);
    for (uint32_t i = 0; i < c->pipeline->stages_count; i++) {
        if (ratoon__pipeline_is_ancestor(c->pipeline, stage, i)) {
            ratoon__set_add(c->rerun, i);
        }
    }
}

static void fill_rerun(planning *c)
{
    const ratoon_pipeline *p = c->pipeline;
    c->rerun = ratoon__set_new(c->arena, p);
    if (c->rerun == NULL) {
        return;
    }
    if (c->options->only) { /* R25 */
        ratoon__set_add(c->rerun, (uint32_t)c->plan->effective);
        return;
    }
    add_with_downstream(c, (uint32_t)c->plan->effective);
    for (uint32_t i = 0; i < p->stages_count; i++) {
        if (!ratoon__plan_done(c, i)) {
            ratoon__set_add(c->rerun, i);
        }
        if (c->options->setup_too && p->stages[i].pub.setup) { /* E03 */
            add_with_downstream(c, i);
        }
    }
}

static void list_stages(planning *c)
{
    const ratoon_pipeline *p = c->pipeline;
    ratoon__plan *plan = c->plan;
    plan->run = ratoon__arena_alloc(c->arena, p->stages_count * sizeof *plan->run);
    plan->reuse = ratoon__arena_alloc(c->arena, p->stages_count * sizeof *plan->reuse);
    plan->stale = ratoon__arena_alloc(c->arena, p->stages_count * sizeof *plan->stale);
    if (c->arena->failed) {
        return;
    }
    for (size_t n = 0; n < p->stages_count; n++) {
        const uint32_t i = p->order[n];
        if (ratoon__plan_reruns(c, i)) {
            plan->run[plan->run_count++] = i;
        } else if (ratoon__plan_done(c, i)) {
            plan->reuse[plan->reuse_count++] = i;
            plan->stale[i] = ratoon__plan_stage(c, i)->stale || ratoon__plan_upstream_reruns(c, i);
        }
    }
}

/* R16: stages of the parent that would have to be executed and that the new definition lacks. */
static void check_lacking(planning *c)
{
    const ratoon_pipeline *old = c->parent->pipeline;
    if (old == c->pipeline || c->options->only) {
        return;
    }
    const int32_t from = c->plan->effective < 0 ? -1 : c->in_parent[c->plan->effective];
    for (uint32_t i = 0; i < old->stages_count; i++) {
        if (ratoon__stage_mapped(old, i, c->pipeline) >= 0) {
            continue;
        }
        const ratoon_stage_status status =
            ratoon__stage_counts_as(ratoon__run_stage_at(c->parent, i));
        const bool below = from >= 0 && ratoon__pipeline_is_ancestor(old, (uint32_t)from, i);
        const bool setup = c->options->setup_too && old->stages[i].pub.setup;
        if (below || setup || !ratoon_stage_status_done(status)) {
            refuse_no_such_stage(c, ratoon__stage_name(old, i));
        }
    }
}

static bool map_stages(planning *c)
{
    const size_t count = c->pipeline->stages_count;
    c->in_parent = ratoon__arena_alloc(c->arena, count * sizeof *c->in_parent);
    if (c->in_parent == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        c->in_parent[i] = ratoon__stage_mapped(c->pipeline, i, c->parent->pipeline);
    }
    return true;
}

void ratoon__plan_stages(planning *c)
{
    c->plan->requested = -1;
    c->plan->effective = -1;
    c->plan->boundary = "";
    c->until = -1;
    if (!map_stages(c)) {
        return;
    }
    if (c->options->until != NULL) {
        c->until = ratoon__pipeline_find(c->pipeline, c->options->until);
        if (c->until < 0) {
            refuse_no_such_stage(c, c->options->until);
        }
    }
    const int32_t requested = requested_stage(c);
    if (requested >= 0) {
        const int32_t validated = c->pipeline->stages[requested].pub.validates;
        check_requested(c, (uint32_t)requested);
        c->plan->requested = requested;
        c->plan->effective = validated >= 0 ? validated : requested; /* R11 */
        c->plan->boundary = ratoon__arena_text(
            c->arena, "before:%s", ratoon__stage_name(c->pipeline, (uint32_t)c->plan->effective));
        fill_rerun(c);
        list_stages(c);
    }
    check_lacking(c);
}
