/* The events of a retry (R01), and the branch they make. All that was asked for goes into the first
 * event of the branch (R21); of its parent nothing changes but that it was branched (R27). A branch
 * of a branch is made the same way (R19). */
#include "core/fold.h"
#include "core/plan.h"

typedef ratoon__planning planning;

static uint32_t *rerun_list(const planning *c, size_t *count)
{
    const size_t stages = c->pipeline->stages_count;
    uint32_t *list = ratoon__arena_alloc(c->arena, stages * sizeof *list);
    *count = 0;
    for (uint32_t i = 0; list != NULL && i < stages; i++) {
        if (ratoon__plan_reruns(c, i)) {
            list[(*count)++] = i;
        }
    }
    return list;
}

/* What a branch has from its parent and from its definition. */
static void fill_inherited(const planning *c, ratoon__run_created *e)
{
    const ratoon__run_created *parent = &c->parent->fixed->created;
    const ratoon_pipeline *given = c->options->pipeline;
    e->root = c->lineage->id;
    e->parent = c->parent->fixed->id;
    e->depth = c->plan->depth;
    e->number = c->lineage->runs_count + 1; /* L12 */
    e->max_depth = c->plan->max_depth;
    e->parent_event = c->parent->last_event;
    e->subject = parent->subject;
    e->labels = parent->labels;
    e->labels_count = parent->labels_count;
    e->pipeline = c->pipeline;
    e->pipeline_name = c->pipeline->name;
    e->pipeline_version = c->pipeline->version;
    e->pipeline_digest = c->pipeline->digest;
    e->base_dir = given != NULL && given->base_dir != NULL ? given->base_dir : parent->base_dir;
    e->file = c->options->file != NULL ? c->options->file : parent->file;
    e->target = c->options->target != 0 ? c->options->target : parent->target;
}

static void fill_asked(const planning *c, ratoon__run_created *e)
{
    const ratoon_retry_options *o = c->options;
    const bool queued = c->waits || o->no_exec;
    e->status = queued ? RATOON_RUN_QUEUED : RATOON_RUN_RUNNING;
    if (!o->no_exec) { /* where it is queued: of the process that waits to execute it */
        e->executor = c->facts->executor;
    }
    e->queued_by_request = c->waits;
    e->scope = c->scope;
    e->actor = c->facts->actor;
    e->reason = o->reason;
    e->cause = o->cause;
    e->automatic = o->automatic;
    e->auto_retry = ratoon__auto_retry_of(c->pipeline, o->auto_retry);
    e->key = o->key;
    e->request = c->request->request;
    e->until = c->until;
    e->requested_stage = c->plan->requested;
    e->effective_stage = c->plan->effective;
    e->boundary = c->plan->boundary;
    e->rerun = o->rerun;
    e->only = o->only;
    e->destructive = o->destructive;
    e->items_mode = o->items_mode;
    e->params = c->params;
    e->params_count = c->params_count;
    e->overrides = c->plan->overrides;
    e->overrides_count = c->plan->overrides_count;
    e->edits = c->plan->edits;
    e->edits_count = c->plan->edits_count;
    e->plans = c->plans;
    e->plans_count = c->plans_count;
    e->rerun_set = rerun_list(c, &e->rerun_set_count);
}

bool ratoon__plan_events(const planning *c, ratoon__decision *out)
{
    const size_t before = out->count;
    ratoon__event *branched =
        ratoon__decision_add(out, RATOON__EVENT_RUN_BRANCHED, c->parent->fixed->id);
    if (branched == NULL) {
        return false;
    }
    branched->u.branched.child = c->request->run;
    branched->u.branched.from_stage =
        c->plan->effective < 0 ? -1 : c->in_parent[c->plan->effective];
    branched->u.branched.depth = c->plan->depth;
    ratoon__event *created = ratoon__decision_add(out, RATOON__EVENT_RUN_CREATED, c->request->run);
    if (created == NULL) {
        out->count = before;
        return false;
    }
    fill_inherited(c, &created->u.created);
    fill_asked(c, &created->u.created);
    if (c->arena->failed) {
        out->count = before;
    }
    return !c->arena->failed;
}

const ratoon__run *ratoon__plan_branch(planning *c)
{
    ratoon__decision decision = {.arena = c->arena};
    if (c->branch != NULL || c->rerun == NULL || c->arena->failed ||
        !ratoon__plan_events(c, &decision)) {
        return c->branch;
    }
    const ratoon__event *created = &decision.events[decision.count - 1];
    c->branch = ratoon__created_run(created, c->facts->now_us, c->lineage->events + decision.count,
                                    c->parent);
    c->arena->failed = c->branch == NULL;
    return c->branch;
}
