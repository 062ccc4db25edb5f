/* The retry planner: preview and execution are this one function (R15). */
#include "core/plan.h"
#include "core/objects.h"

typedef ratoon__planning planning;

/* Order in which refusals are told: what has to be settled first comes first. */
static int rank_of(ratoon_status code)
{
    static const ratoon_status order[] = {
        RATOON_ERR_NO_SUCH_STAGE,    RATOON_ERR_RUN_ACTIVE,     RATOON_ERR_STAGE_NEVER_RAN,
        RATOON_ERR_STAGE_SUCCEEDED,  RATOON_ERR_USAGE,          RATOON_ERR_PARAM_INVALID,
        RATOON_ERR_PIPELINE_CHANGED, RATOON_ERR_VERSION_AHEAD,  RATOON_ERR_DEPTH_LIMIT,
        RATOON_ERR_BRANCH_ACTIVE,    RATOON_ERR_SCOPE_BUSY,     RATOON_ERR_MISSING_KEYS,
        RATOON_ERR_FILE_CHANGED,     RATOON_ERR_LIMIT_EXCEEDED,
    };
    const int count = (int)(sizeof order / sizeof order[0]);
    for (int i = 0; i < count; i++) {
        if (order[i] == code) {
            return i;
        }
    }
    return count;
}

/* Stable, and there are few. */
static void sort_refusals(ratoon__refusals *r)
{
    for (size_t i = 1; i < r->count; i++) {
        const ratoon__refusal moved = r->items[i];
        size_t at = i;
        while (at > 0 && rank_of(r->items[at - 1].code) > rank_of(moved.code)) {
            r->items[at] = r->items[at - 1];
            at--;
        }
        r->items[at] = moved;
    }
}

static planning planning_of(const ratoon__lineage *l, const ratoon__run *parent,
                            const ratoon__retry_request *request, const ratoon__facts *facts,
                            ratoon__arena *arena, ratoon__plan *plan)
{
    const ratoon_pipeline *given = request->options->pipeline;
    const bool same =
        given == NULL || ratoon__same_digest(&given->digest, &parent->pipeline->digest);
    return (planning){
        .lineage = l,
        .parent = parent,
        .pipeline = same ? parent->pipeline : given,
        .request = request,
        .options = request->options,
        .facts = facts,
        .arena = arena,
        .plan = plan,
        .refusals = {.arena = arena},
        .until = -1,
    };
}

static void make_plan(planning *c)
{
    c->plan->pipeline = c->pipeline;
    ratoon__plan_stages(c);
    if (c->arena->failed) {
        return;
    }
    ratoon__plan_params(c);
    ratoon__plan_limits(c);
    ratoon__plan_edits(c);
    ratoon__plan_items_modes(c);
    ratoon__plan_items_counts(c);
    ratoon__plan_missing(c);
    ratoon__plan_files(c);
    if (c->arena->failed) {
        return;
    }
    if (!c->request->no_token) {
        ratoon__plan_canonical(c);
    }
    sort_refusals(&c->refusals);
    c->plan->refusals = c->refusals.items;
    c->plan->refusals_count = c->refusals.count;
}

static ratoon_status parent_of(const ratoon__lineage *l, ratoon_id id, const ratoon__run **parent,
                               ratoon_error *error)
{
    *parent = ratoon__lineage_run(l, id);
    if (*parent != NULL) {
        return RATOON_OK;
    }
    (void)ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %I to retry", &id);
    return ratoon__about(error, RATOON_ERR_NOT_FOUND, id, NULL);
}

ratoon_status ratoon__decide_retry(const ratoon__lineage *l, const ratoon__retry_request *request,
                                   const ratoon__facts *facts, ratoon__plan *plan,
                                   ratoon__decision *out, ratoon_error *error)
{
    ratoon__arena *arena = out != NULL ? out->arena : plan->arena;
    const ratoon__run *parent = NULL;
    if (arena == NULL) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a plan needs an arena");
    }
    ratoon_status status = parent_of(l, request->options->parent, &parent, error);
    if (status != RATOON_OK) {
        return status;
    }
    *plan = (ratoon__plan){.arena = arena};
    planning c = planning_of(l, parent, request, facts, arena, plan);
    make_plan(&c);
    if (!arena->failed && !plan->canonical.failed) {
        status = ratoon__refusals_first(&c.refusals, error);
        if (status == RATOON_OK && out != NULL && !ratoon__plan_events(&c, out)) {
            arena->failed = true;
        }
    }
    ratoon__run_unref(c.branch);
    if (arena->failed || plan->canonical.failed) {
        ratoon__buf_free(&plan->canonical);
        return ratoon__no_memory(error);
    }
    if (status != RATOON_OK) {
        const char *stage = plan->requested < 0
                                ? request->options->from
                                : ratoon__stage_name(c.pipeline, (uint32_t)plan->requested);
        return ratoon__about(error, status, parent->fixed->id, stage);
    }
    return RATOON_OK;
}

/* The branch's own values go with it; what is given out must outlive it. */
static bool keep_values(const planning *c, ratoon__state_view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        ratoon__state_entry *entry = &view->entries[i];
        if (!ratoon_id_equal(entry->run, c->request->run)) {
            continue;
        }
        const ratoon__value *from = entry->value;
        ratoon__value *copy = ratoon__arena_alloc(c->arena, sizeof *copy);
        if (copy == NULL) {
            return false;
        }
        copy->key = ratoon__arena_strdup(c->arena, from->key);
        copy->media_type = ratoon__arena_strdup(c->arena, from->media_type);
        copy->digest = from->digest;
        copy->size = from->size;
        copy->data = from->data == NULL
                         ? NULL
                         : ratoon__arena_memdup(c->arena, from->data, (size_t)from->size);
        entry->value = copy;
    }
    return !c->arena->failed;
}

ratoon_status ratoon__retry_state(const ratoon__lineage *l, const ratoon__retry_request *request,
                                  const ratoon__facts *facts, ratoon__arena *arena,
                                  ratoon__state_view *out)
{
    const ratoon__boundary end = {.kind = RATOON__AT_END};
    const ratoon__run *parent = NULL;
    ratoon_status status = parent_of(l, request->options->parent, &parent, NULL);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__plan plan = {.arena = arena};
    planning c = planning_of(l, parent, request, facts, arena, &plan);
    make_plan(&c);
    const ratoon__run *branch = arena->failed ? NULL : ratoon__plan_branch(&c);
    if (arena->failed || plan.canonical.failed) {
        status = RATOON_ERR_NO_MEMORY;
    } else if (branch == NULL) {
        status = ratoon__refusals_first(&c.refusals, NULL);
    } else {
        status = ratoon__state_at(branch, &end, arena, out);
    }
    if (status == RATOON_OK && branch != NULL && !keep_values(&c, out)) {
        status = RATOON_ERR_NO_MEMORY;
    }
    ratoon__buf_free(&plan.canonical);
    ratoon__run_unref(c.branch);
    return status;
}
