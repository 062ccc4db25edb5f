/* How a run comes to its stages: all pending in a root, inherited in a branch (R02, R13, R14, R25),
 * by name where the definition changed (R16). */
#include "core/fold.h"

#include <stdlib.h>
#include <string.h>

/* Finds stages of one definition in another, by name. Definitions differ little, so the place
 * behind the last match is tried first. */
typedef struct mapping {
    const ratoon_pipeline *to;
    bool same; /* the very same definition: indices agree */
    int32_t last;
} mapping;

static mapping mapping_of(const ratoon_pipeline *from, const ratoon_pipeline *to)
{
    return (mapping){to, from == to, -1};
}

static int32_t map_stage(mapping *m, uint32_t index, const char *name)
{
    if (m->same) {
        return (int32_t)index;
    }
    const size_t next = (size_t)m->last + 1U;
    if (next < m->to->stages_count && strcmp(m->to->stages[next].pub.name, name) == 0) {
        m->last = (int32_t)next;
        return m->last;
    }
    const int32_t found = ratoon__pipeline_find(m->to, name);
    m->last = found < 0 ? m->last : found;
    return found;
}

/* ---- items of a stage that is executed again ---- */

typedef struct keeping {
    const ratoon__stage_plan *plan;
    const ratoon__strings *listed, *kept;
    uint64_t done, failed, committed;
} keeping;

static bool is_kept(const keeping *k, const ratoon__item *item)
{
    const ratoon__stage_plan *plan = k->plan;
    if (item->committed && plan->keep_committed) {
        return true;
    }
    if (!item->failed && ratoon__strings_has(k->kept, item->key)) {
        return true;
    }
    if (plan->mode == RATOON_ITEMS_LISTED && ratoon__strings_has(k->listed, item->key)) {
        return false;
    }
    if (item->failed) {
        /* By FAILED the failed ones are what is wanted; so they must be known. */
        return plan->keep_failed || plan->mode == RATOON_ITEMS_FAILED;
    }
    return plan->keep_done;
}

static bool keep_item(void *ctx, const ratoon__item *item)
{
    keeping *k = ctx;
    if (!is_kept(k, item)) {
        return false;
    }
    k->done += item->failed ? 0 : 1;
    k->failed += item->failed ? 1 : 0;
    k->committed += item->committed ? 1 : 0;
    return true;
}

static bool keep_items(ratoon__stage *s, const ratoon__stage *of, const ratoon__stage_plan *plan)
{
    keeping k = {.plan = plan};
    ratoon__strings *kept = NULL;
    s->items_mode = plan->mode;
    if (plan->mode == RATOON_ITEMS_LISTED) {
        s->listed = ratoon__strings_new(plan->listed, plan->listed_count);
        k.listed = s->listed;
    }
    kept = ratoon__strings_new(plan->kept, plan->kept_count);
    k.kept = kept;
    bool done = kept != NULL && (plan->mode != RATOON_ITEMS_LISTED || s->listed != NULL);
    if (done && of != NULL) {
        done = ratoon__items_filter(of->items, keep_item, &k, &s->items);
        s->items_done = k.done;
        s->items_failed = k.failed;
        s->items_committed = k.committed;
        /* Done items are kept where nothing before the stage is executed again: then it has as
         * many as it had. */
        s->items_known = of->items_known && plan->keep_done;
        s->items_total = s->items_known ? of->items_total : 0;
    }
    ratoon__strings_unref(kept);
    return done;
}

/* A stage that is to be executed in the branch. of: the parent's, or NULL. */
static ratoon__stage *pending_stage(const ratoon__stage *of, const ratoon__stage_plan *plan)
{
    ratoon__stage *s = ratoon__stage_new();
    if (s == NULL || plan == NULL) {
        return s;
    }
    if (!keep_items(s, of, plan)) {
        ratoon__stage_unref(s);
        return NULL;
    }
    if (plan->keep_outputs && of != NULL) {
        s->outputs = ratoon__outputs_ref(of->outputs);
    }
    return s;
}

/* A stage that was done in the parent and stays so. */
static ratoon__stage *reused_stage(const ratoon__run *parent, const ratoon__stage *of, bool stale)
{
    const bool again = of->status == RATOON_STAGE_REUSED;
    ratoon__stage *s = ratoon__stage_copy(of);
    if (s == NULL) {
        return NULL;
    }
    s->stale = of->stale || stale;
    if (again) {
        return s;
    }
    s->status = RATOON_STAGE_REUSED;
    s->reused_as = of->status;
    s->reused_from = parent->fixed->id;
    s->ever_started = false;
    s->attempt = 0;
    s->tally = (ratoon__tally){0};
    s->started_at = 0;
    s->ended_at = 0;
    s->not_before = 0;
    return s;
}

/* ---- the stages of a new run ---- */

typedef struct branching {
    ratoon__run *r;
    const ratoon__run *parent;
    ratoon__stage *blank;             /* pending, shared by all that inherit nothing */
    uint64_t *rerun;                  /* bitset */
    const ratoon__stage_plan **plans; /* one per stage, or NULL */
    mapping to_parent;
} branching;

static bool below_rerun(const branching *b, uint32_t i)
{
    const ratoon_pipeline *p = b->r->pipeline;
    const uint64_t *row = p->ancestors + (size_t)i * p->row_words;
    for (size_t w = 0; w < p->row_words; w++) {
        if ((row[w] & b->rerun[w]) != 0) {
            return true;
        }
    }
    return false;
}

static ratoon__stage *inherit(branching *b, uint32_t i)
{
    if (b->parent == NULL) {
        return ratoon__stage_ref(b->blank);
    }
    const int32_t index = map_stage(&b->to_parent, i, b->r->pipeline->stages[i].pub.name);
    const ratoon__stage *of = index < 0 ? NULL : ratoon__run_stage_at(b->parent, (uint32_t)index);
    if (of != NULL && ratoon_stage_status_done(of->status) && !ratoon__set_has(b->rerun, i)) {
        return reused_stage(b->parent, of, below_rerun(b, i));
    }
    return b->plans[i] == NULL ? ratoon__stage_ref(b->blank) : pending_stage(of, b->plans[i]);
}

static bool fill_stages(branching *b)
{
    for (uint32_t i = 0; i < b->r->stages_count; i++) {
        ratoon__stage *s = inherit(b, i);
        if (s == NULL || !ratoon__run_put_stage(b->r, i, s)) {
            return false;
        }
    }
    return true;
}

static bool make_stages(ratoon__run *r, const ratoon__run *parent)
{
    const ratoon__run_created *created = &r->fixed->created;
    ratoon__arena arena = {0};
    branching b = {.r = r, .parent = parent};
    b.rerun = ratoon__set_new(&arena, r->pipeline);
    b.plans = ratoon__arena_alloc(&arena, r->stages_count * sizeof *b.plans);
    b.blank = ratoon__stage_new();
    bool done = b.rerun != NULL && b.plans != NULL && b.blank != NULL;
    if (done) {
        for (size_t i = 0; i < created->rerun_set_count; i++) {
            ratoon__set_add(b.rerun, created->rerun_set[i]);
        }
        for (size_t i = 0; i < created->plans_count; i++) {
            b.plans[created->plans[i].stage] = &created->plans[i];
        }
        if (parent != NULL) {
            b.to_parent = mapping_of(r->pipeline, parent->pipeline);
        }
        done = fill_stages(&b);
    }
    ratoon__stage_unref(b.blank);
    ratoon__arena_free(&arena);
    return done;
}

const char *ratoon__created_flaw(const ratoon__lineage *l, const ratoon__run_created *c,
                                 ratoon_id run, const ratoon__run *parent)
{
    if (c->pipeline == NULL) {
        return "the definition of a created run is not resolved";
    }
    if (c->number != l->runs_count + 1 || ratoon__lineage_find(l, run) >= 0) {
        return "a created run has the wrong number, or is there already";
    }
    if (!ratoon_id_equal(c->root, l->id)) {
        return "a created run has a root that is not the lineage's";
    }
    const bool root = l->runs_count == 0;
    if (root != ratoon_id_is_zero(c->parent) || root != (parent == NULL) ||
        (root && !ratoon_id_equal(run, l->id))) {
        return "a created run has the wrong parent";
    }
    if (c->status != RATOON_RUN_QUEUED && c->status != RATOON_RUN_RUNNING) {
        return "a created run is neither queued nor running";
    }
    const size_t stages = c->pipeline->stages_count;
    bool in_range = c->until < (int64_t)stages && c->requested_stage < (int64_t)stages &&
                    c->effective_stage < (int64_t)stages;
    for (size_t i = 0; i < c->rerun_set_count && in_range; i++) {
        in_range = c->rerun_set[i] < stages;
    }
    for (size_t i = 0; i < c->plans_count && in_range; i++) {
        in_range = c->plans[i].stage < stages;
    }
    return in_range ? NULL : "a created run names a stage that its definition hasn't";
}

ratoon__run *ratoon__created_run(const ratoon__event *e, uint64_t time_us, uint64_t event,
                                 const ratoon__run *parent)
{
    const ratoon__run_created *c = &e->u.created;
    ratoon__run_static *fixed = ratoon__static_new(c, e->run, time_us, event, parent);
    ratoon__run *r = fixed == NULL ? NULL : ratoon__run_new(fixed, c->pipeline);
    ratoon__static_unref(fixed);
    if (r == NULL || !make_stages(r, parent)) {
        ratoon__run_unref(r);
        return NULL;
    }
    bool failed = false;
    r->status = c->status;
    r->until = c->until < 0 ? -1 : c->until;
    r->external_ref = ratoon__text_new(c->external_ref, &failed);
    r->last_event = event;
    if (c->status == RATOON_RUN_RUNNING) {
        r->epoch = 1;
        r->executor = c->executor;
        r->started_at = time_us;
    }
    if (failed) {
        ratoon__run_unref(r);
        return NULL;
    }
    return r;
}

ratoon_status ratoon__fold_created(ratoon__folding *f, const ratoon__event *e)
{
    const ratoon__run_created *c = &e->u.created;
    const ratoon__run *parent = ratoon__lineage_run(f->l, c->parent);
    const char *flaw = ratoon__created_flaw(f->l, c, e->run, parent);
    if (flaw != NULL) {
        return ratoon__fold_damaged(f, flaw);
    }
    ratoon__run *r = ratoon__created_run(e, f->time_us, f->event, parent);
    if (r == NULL) {
        return ratoon__fold_no_memory(f);
    }
    ratoon__lineage_add_run(f->l, r);
    return RATOON_OK;
}

/* ---- another definition in the same run ---- */

static bool carry_over(ratoon__run *to, const ratoon__run *from)
{
    mapping m = mapping_of(to->pipeline, from->pipeline);
    for (uint32_t i = 0; i < to->stages_count; i++) {
        const int32_t index = map_stage(&m, i, to->pipeline->stages[i].pub.name);
        ratoon__stage *s = index < 0
                               ? ratoon__stage_new()
                               : ratoon__stage_copy(ratoon__run_stage_at(from, (uint32_t)index));
        if (s == NULL || !ratoon__run_put_stage(to, i, s)) {
            return false;
        }
    }
    to->status = from->status;
    to->epoch = from->epoch;
    to->executor = from->executor;
    to->started_at = from->started_at;
    to->ended_at = from->ended_at;
    to->error_class = from->error_class;
    to->reason = ratoon__shared_ref(from->reason);
    to->external_ref = ratoon__shared_ref(from->external_ref);
    to->last_event = from->last_event;
    to->children_count = from->children_count;
    to->children = ratoon__shared_ref(from->children);
    to->annotations = from->annotations;
    if (from->until >= 0) {
        to->until =
            ratoon__pipeline_find(to->pipeline, from->pipeline->stages[from->until].pub.name);
    }
    return true;
}

ratoon_status ratoon__fold_pipeline(ratoon__folding *f, ratoon__run **run, const ratoon__event *e)
{
    const ratoon_pipeline *pipeline = e->u.pipeline_changed.pipeline;
    if (pipeline == NULL) {
        return ratoon__fold_damaged(f, "the new definition of a run is not resolved");
    }
    ratoon__run *changed = ratoon__run_new((*run)->fixed, pipeline);
    if (changed == NULL || !carry_over(changed, *run)) {
        ratoon__run_unref(changed);
        return ratoon__fold_no_memory(f);
    }
    ratoon__run_unref(*run);
    *run = changed;
    return RATOON_OK;
}
