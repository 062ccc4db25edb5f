/* The reference model: creating, retrying, starting. */
#include "tests/support/model.h"

#include <stdio.h>
#include <string.h>

enum { REQUEST_SIZES_VALID = 5, REQUEST_MODES_VALID = 2 };

static bool waits(const model_run *r)
{
    return r->queue && r->status == RATOON_RUN_QUEUED;
}

/* Runs of a lineage that hold a place, and those that wait for one, but `self`. */
static void places(const model *m, int root, const model_run *self, unsigned *held,
                   unsigned *waiting, unsigned *earlier)
{
    *held = *waiting = *earlier = 0;
    for (int i = 0; i < m->runs_count; i++) {
        const model_run *r = &m->runs[i];
        if (r->root != root || !ratoon_run_status_active(r->status) || r == self) {
            continue;
        }
        if (waits(r)) {
            ++*waiting;
            *earlier += self != NULL && r->number < self->number;
        } else {
            ++*held;
        }
    }
}

static unsigned places_max(const model_pipeline *p)
{
    return p->max_active == 0 ? 1 : p->max_active;
}

/* R10: whether the scope refuses `self`. Whoever waits in a queue has the scope by the letter of
 * the rule; that it may also be left to the one it waits for is accepted. */
static void scope_busy(const model *m, const char *scope, const model_run *self, int waits_in,
                       uint64_t *must, uint64_t *may)
{
    const uint64_t busy = MODEL_BIT(RATOON_ERR_SCOPE_BUSY);
    for (int i = 0; scope[0] != '\0' && i < m->runs_count; i++) {
        const model_run *r = &m->runs[i];
        if (r != self && ratoon_run_status_active(r->status) && strcmp(r->scope, scope) == 0) {
            *(waits(r) || r->root == waits_in ? may : must) |= busy;
        }
    }
}

static void scope_of(const model_pipeline *p, const char *mode, char scope[24])
{
    if (p->scope == 0) {
        scope[0] = '\0';
    } else if (p->scope == 1) {
        snprintf(scope, 24, "shared");
    } else {
        snprintf(scope, 24, "by-%s", mode);
    }
}

static bool params_valid(const model_pipeline *p, const model_request *q)
{
    if (q->unknown != 0 || (!p->params && (q->size != 0 || q->mode != 0))) {
        return false;
    }
    return q->size <= REQUEST_SIZES_VALID && q->mode <= REQUEST_MODES_VALID;
}

static void give_values(const model_request *q, int run, model_state *to)
{
    unsigned id = (unsigned)q->values_base;
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        if (((unsigned)q->values & (1u << k)) != 0) {
            to->at[k] = (model_value){.id = id++, .run = run, .stage = -1};
        }
    }
}

uint64_t model_create(const model *m, const model_request *q, model_run *after)
{
    const model_pipeline *p = &m->pipelines[q->pipeline];
    uint64_t must = 0;
    uint64_t may = 0;
    memset(after, 0, sizeof *after);
    after->index = after->root = m->runs_count;
    after->pipeline = q->pipeline;
    after->parent = after->from = -1;
    after->until = q->until - 1;
    after->number = 1;
    after->runs = 1;
    after->variant = q->given - 1;
    after->mode = model_modes[q->mode == 0 ? 0 : q->mode - 1];
    after->status = q->no_exec ? RATOON_RUN_QUEUED : RATOON_RUN_RUNNING;
    snprintf(after->subject, sizeof after->subject, "sub%d", q->subject);
    scope_of(p, after->mode, after->scope);
    give_values(q, after->index, &after->initial);
    for (unsigned i = 0; i < MODEL_STAGES_MAX; i++) {
        after->stages[i].status = RATOON_STAGE_PENDING;
    }
    if (!params_valid(p, q)) {
        must |= MODEL_BIT(RATOON_ERR_PARAM_INVALID);
    }
    if ((unsigned)q->target > p->version + (unsigned)after->variant) {
        must |= MODEL_BIT(RATOON_ERR_VERSION_AHEAD);
    }
    scope_busy(m, after->scope, NULL, -1, &must, &may);
    return must != 0 ? must | may : may | MODEL_OK;
}

uint64_t model_start(const model *m, const model_run *r, int given, bool accept, model_run *after)
{
    const uint64_t busy = MODEL_BIT(RATOON_ERR_BRANCH_ACTIVE);
    const unsigned max = places_max(model_pipeline_of(m, r));
    uint64_t must = 0;
    uint64_t may = 0;
    unsigned held, waiting, earlier;
    *after = *r;
    if (ratoon_run_status_terminal(r->status)) {
        return MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
    }
    if (r->status == RATOON_RUN_RUNNING) {
        return MODEL_BIT(RATOON_ERR_RUN_ACTIVE);
    }
    if (r->status == RATOON_RUN_CANCELLING) {
        return MODEL_BIT(RATOON_ERR_RUN_ACTIVE) | MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
    }
    places(m, r->root, r, &held, &waiting, &earlier);
    if (waits(r) || r->status == RATOON_RUN_SUSPENDED) {
        if (held >= max || (waits(r) && held + earlier >= max)) {
            must |= busy;
        } else if (held + waiting >= max) {
            may |= busy; /* whether someone who waits goes before a resumption is left open */
        }
    }
    scope_busy(m, r->scope, r, -1, &must, &may);
    if (given != 0 && given - 1 != r->variant) {
        if (!accept) {
            must |= MODEL_BIT(RATOON_ERR_PIPELINE_CHANGED);
        }
        after->variant = given - 1;
    }
    after->status = RATOON_RUN_RUNNING;
    return must != 0 ? must | may : may | MODEL_OK;
}

/* ------------------------------------------------------------------ retry */

/* R06: what a retry without a stage starts from, or -1. */
static int default_stage(const model_pipeline *p, const model_run *r)
{
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < p->count; i++) {
            const model_stage *s = &r->stages[p->order[i]];
            bool fits = pass == 0 ? s->status == RATOON_STAGE_FAILED ||
                                        s->status == RATOON_STAGE_CANCELLED ||
                                        s->status == RATOON_STAGE_PENDING
                                  : model_counts_as(s) == RATOON_STAGE_DEGRADED;
            if (fits) {
                return (int)p->order[i];
            }
        }
    }
    return -1;
}

/* R05, R06, by the requested stage. */
static void judge_stage(const model_pipeline *p, const model_run *r, const model_request *q,
                        model_plan *plan)
{
    const uint64_t never = MODEL_BIT(RATOON_ERR_STAGE_NEVER_RAN);
    const uint64_t succeeded = MODEL_BIT(RATOON_ERR_STAGE_SUCCEEDED);
    bool upstream_done = true;
    plan->requested = q->from == -1 ? default_stage(p, r) : q->from;
    plan->effective = -1;
    if (plan->requested == -1) {
        plan->must |= succeeded;
        return;
    }
    if (plan->requested == -2) {
        plan->must |= MODEL_BIT(RATOON_ERR_NO_SUCH_STAGE);
        return;
    }
    const model_stage *s = &r->stages[plan->requested];
    const model_stage_def *d = &p->stages[plan->requested];
    plan->effective = d->validates >= 0 ? d->validates : plan->requested;
    for (unsigned i = 0; i < p->count; i++) {
        upstream_done =
            upstream_done && ((d->ancestors & (1u << i)) == 0 || model_done(&r->stages[i]));
    }
    const bool reused_skipped =
        s->status == RATOON_STAGE_REUSED && s->reused_as == RATOON_STAGE_SKIPPED;
    if (s->attempt == 0 && (s->status != RATOON_STAGE_REUSED || reused_skipped) && !upstream_done) {
        /* where it failed without ever starting (S04), R06 speaks against R05; one that was reused
         * as skipped may have started before it was skipped, further up */
        *(s->status == RATOON_STAGE_FAILED || reused_skipped ? &plan->may : &plan->must) |= never;
    }
    if (model_counts_as(s) == RATOON_STAGE_SUCCEEDED && !q->rerun) {
        plan->must |= succeeded;
    }
    if (model_counts_as(s) == RATOON_STAGE_SKIPPED && !q->rerun) {
        plan->may |= succeeded; /* it is done, but did not succeed */
    }
}

static void judge_sets(const model_pipeline *p, const model_run *r, const model_request *q,
                       model_plan *plan)
{
    const unsigned from = (unsigned)plan->effective;
    plan->run = 1u << from;
    for (unsigned i = 0; i < p->count; i++) {
        if (!q->only &&
            (!model_done(&r->stages[i]) || (p->stages[from].descendants & (1u << i)) != 0 ||
             (q->setup_too && p->stages[i].setup))) {
            plan->run |= 1u << i;
        }
    }
    for (unsigned i = 0; q->setup_too && !q->only && i < p->count; i++) {
        /* E03 puts the setup stages in; taken as steps back to them, so with what is downstream */
        if (p->stages[i].setup) {
            plan->run |= p->stages[i].descendants;
        }
    }
    for (unsigned i = 0; i < p->count; i++) {
        if ((plan->run & (1u << i)) == 0 && model_done(&r->stages[i])) {
            plan->reuse |= 1u << i;
        }
    }
}

/* S04: keys that nothing provides. The rule says "the state" and "an earlier stage"; read narrowly
 * that is what the stage receives and its ancestors, read widely it is all there is. A key missing
 * by both readings must be refused, by the narrow one only it may be. */
static void judge_keys(const model_pipeline *p, const model_run *r, const model_request *q,
                       model_run *branch, const model *m, model_plan *plan)
{
    const uint64_t missing = MODEL_BIT(RATOON_ERR_MISSING_KEYS);
    model_state wide;
    give_values(q, branch->index, &branch->edits);
    model_overlay(m, branch, ~0u, &wide);
    for (unsigned i = 0; i < p->count; i++) {
        const unsigned s = p->order[i];
        const model_stage_def *d = &p->stages[s];
        model_state narrow;
        if ((plan->run & (1u << s)) == 0) {
            continue;
        }
        model_input(m, branch, s, &narrow);
        for (unsigned k = 0; k < MODEL_KEYS; k++) {
            bool in_wide = wide.at[k].id != 0;
            bool in_narrow = narrow.at[k].id != 0;
            if ((d->requires_keys & (1u << k)) == 0) {
                continue;
            }
            for (unsigned j = 0; j < i; j++) {
                const unsigned e = p->order[j];
                const model_stage_def *ed = &p->stages[e];
                const bool provides = (ed->produces_keys & (1u << k)) != 0 ||
                                      r->stages[e].out.at[k].id != 0 || ed->produces_keys == 0;
                if ((plan->run & (1u << e)) != 0 && provides) {
                    in_wide = true;
                    in_narrow =
                        in_narrow || ((d->ancestors & (1u << e)) != 0 &&
                                      (ed->validates < 0 || r->stages[e].out.at[k].id != 0));
                }
            }
            if (!in_wide) {
                plan->must |= missing;
            } else if (!in_narrow) {
                plan->may |= missing;
            }
        }
    }
}

static void judge_lineage(const model *m, const model_run *r, const model_request *q,
                          const char *scope, model_plan *plan)
{
    const unsigned max = places_max(model_pipeline_of(m, r));
    const bool active = ratoon_run_status_active(r->status);
    unsigned held, waiting, earlier;
    uint64_t must = 0;
    places(m, r->root, NULL, &held, &waiting, &earlier);
    if (active) {
        plan->must |= MODEL_BIT(RATOON_ERR_RUN_ACTIVE);
    }
    if (!q->queue && held >= max) {
        must |= MODEL_BIT(RATOON_ERR_BRANCH_ACTIVE);
    } else if (!q->queue && held + waiting >= max) {
        plan->may |= MODEL_BIT(RATOON_ERR_BRANCH_ACTIVE);
    }
    plan->must_wait = q->queue && held >= max;
    plan->may_wait = q->queue && held + waiting >= max;
    scope_busy(m, scope, NULL, plan->may_wait ? r->root : -1, &must, &plan->may);
    *(active ? &plan->may : &plan->must) |= must;
}

static void judge_definition(const model *m, const model_run *r, const model_request *q,
                             model_plan *plan)
{
    const model_pipeline *p = model_pipeline_of(m, r);
    const int variant = q->given == 0 ? r->variant : q->given - 1;
    plan->depth = r->depth + 1;
    plan->limit = p->max_depth != 0 && m->store_max_depth != 0
                      ? (p->max_depth < m->store_max_depth ? p->max_depth : m->store_max_depth)
                  : p->max_depth != 0       ? p->max_depth
                  : m->store_max_depth != 0 ? m->store_max_depth
                                            : RATOON_DEPTH_DEFAULT;
    if (plan->depth > plan->limit) {
        plan->must |= MODEL_BIT(RATOON_ERR_DEPTH_LIMIT);
    }
    if (!params_valid(p, q)) {
        plan->must |= MODEL_BIT(RATOON_ERR_PARAM_INVALID);
    }
    if (variant != r->variant && !q->accept) {
        plan->must |= MODEL_BIT(RATOON_ERR_PIPELINE_CHANGED);
    }
    if (variant < r->variant || (unsigned)q->target > p->version + (unsigned)variant) {
        plan->must |= MODEL_BIT(RATOON_ERR_VERSION_AHEAD);
    }
}

void model_plan_retry(const model *m, const model_request *q, model_plan *out)
{
    char scope[24];
    static model_run branch;
    *out = (model_plan){.requested = -1, .effective = -1};
    if (q->parent < 0) {
        out->must = MODEL_BIT(RATOON_ERR_NOT_FOUND);
        return;
    }
    const model_run *r = &m->runs[q->parent];
    const model_pipeline *p = model_pipeline_of(m, r);
    const bool mode_given = q->mode != 0 && q->mode <= REQUEST_MODES_VALID;
    judge_definition(m, r, q, out);
    scope_of(p, mode_given ? model_modes[q->mode - 1] : r->mode, scope);
    judge_lineage(m, r, q, scope, out);
    if ((out->must & MODEL_BIT(RATOON_ERR_PARAM_INVALID)) != 0) {
        /* what the branch would be, and hold, can't be said */
        out->may |= out->must & MODEL_BIT(RATOON_ERR_SCOPE_BUSY);
        out->must &= ~MODEL_BIT(RATOON_ERR_SCOPE_BUSY);
        out->may |= p->scope == 2 ? MODEL_BIT(RATOON_ERR_SCOPE_BUSY) : 0;
    }
    judge_stage(p, r, q, out);
    if (out->effective >= 0) {
        judge_sets(p, r, q, out);
        model_branch(m, q, out, &branch);
        judge_keys(p, r, q, &branch, m, out);
        if (q->items_given && !p->stages[out->effective].foreach) {
            out->may |= MODEL_BIT(RATOON_ERR_USAGE);
        }
    }
    if (ratoon_run_status_active(r->status)) { /* what its stages will have come to is open */
        const uint64_t open = MODEL_BIT(RATOON_ERR_STAGE_SUCCEEDED) |
                              MODEL_BIT(RATOON_ERR_STAGE_NEVER_RAN) |
                              MODEL_BIT(RATOON_ERR_MISSING_KEYS) | MODEL_BIT(RATOON_ERR_USAGE);
        out->may |= open;
        out->must &= ~open;
    }
}

/* ------------------------------------------------------------------ the branch */

/* R14: never executed again or dropped. *unsure: protected, but not done here. */
static bool item_protected(const model_pipeline *p, const model_run *r, unsigned stage,
                           unsigned item, bool *unsure)
{
    const model_stage *s = &r->stages[stage];
    bool below = false;
    for (unsigned c = 0; c < p->count; c++) {
        const model_stage *t = &r->stages[c];
        below = below || ((p->stages[stage].descendants & (1u << c)) != 0 &&
                          t->items[item] == MODEL_ITEM_DONE && t->committed[item]);
    }
    *unsure = below && s->items[item] != MODEL_ITEM_DONE;
    return s->items[item] == MODEL_ITEM_DONE && (s->committed[item] || below);
}

static void branch_items(const model_pipeline *p, const model_run *r, const model_request *q,
                         const model_plan *plan, unsigned stage, model_stage *s)
{
    const bool first = (int)stage == plan->effective;
    const bool upstream_runs = (p->stages[stage].ancestors & plan->run) != 0;
    const ratoon_items_mode mode = first ? (ratoon_items_mode)q->items_mode : RATOON_ITEMS_MISSING;
    s->mode = mode;
    s->listed = mode == RATOON_ITEMS_LISTED ? (unsigned)q->listed : 0;
    s->unsure = 0;
    for (unsigned i = 0; i < MODEL_ITEMS; i++) {
        bool unsure = false;
        bool keep = item_protected(p, r, stage, i, &unsure) && !q->destructive;
        bool reset = !first ? model_done(&r->stages[stage]) || upstream_runs
                            : mode == RATOON_ITEMS_ALL ||
                                  (mode == RATOON_ITEMS_LISTED && (s->listed & (1u << i)) != 0);
        /* what failed is to be executed again like what is missing, and shown as such */
        reset = reset || (mode == RATOON_ITEMS_MISSING && s->items[i] == MODEL_ITEM_FAILED);
        if (reset && !keep) {
            s->items[i] = MODEL_ITEM_NONE;
            s->committed[i] = false;
        }
        if (unsure && !q->destructive) {
            s->unsure |= 1u << i;
        }
    }
}

/* S03: what a failed stage left behind. What a degraded one did is taken for the same. */
static const model_state *left_behind(const model_stage *s)
{
    return model_counts_as(s) == RATOON_STAGE_DEGRADED ? &s->own : &s->partial;
}

static bool has_items(const model_stage *s)
{
    for (unsigned i = 0; i < MODEL_ITEMS; i++) {
        if (s->items[i] != MODEL_ITEM_NONE) {
            return true;
        }
    }
    return false;
}

void model_branch(const model *m, const model_request *q, const model_plan *plan, model_run *after)
{
    const model_run *r = &m->runs[q->parent];
    const model_pipeline *p = model_pipeline_of(m, r);
    const int variant = q->given == 0 ? r->variant : q->given - 1;
    *after = *r;
    after->index = m->runs_count;
    after->parent = r->index;
    after->depth = r->depth + 1;
    after->number = m->runs[r->root].runs + 1;
    after->epoch = 0;
    after->queue = q->queue != 0;
    after->only = q->only != 0;
    after->from = plan->effective;
    after->until = q->until - 1;
    after->variant = variant;
    after->open = 0;
    if (p->params && q->mode != 0 && q->mode <= REQUEST_MODES_VALID) {
        after->mode = model_modes[q->mode - 1];
    }
    scope_of(p, after->mode, after->scope);
    after->status = q->no_exec || plan->must_wait ? RATOON_RUN_QUEUED : RATOON_RUN_RUNNING;
    for (unsigned k = 0; q->partial && k < MODEL_KEYS; k++) {
        const unsigned id = left_behind(&r->stages[plan->effective])->at[k].id;
        if (id != 0) {
            after->edits.at[k] = (model_value){.id = id, .run = after->index, .stage = -1};
        }
    }
    for (unsigned i = 0; i < p->count; i++) {
        model_stage *s = &after->stages[i];
        s->attempt = 0;
        s->not_before = 0;
        s->error_class = RATOON_CLASS_NONE;
        s->partial = (model_state){0};
        if ((plan->reuse & (1u << i)) != 0) {
            s->reused_as = model_counts_as(s);
            s->status = RATOON_STAGE_REUSED;
            continue;
        }
        s->status = RATOON_STAGE_PENDING;
        /* also what `only` leaves out: it comes after the stage if a resumption executes it */
        branch_items(p, r, q, plan, i, s);
        /* R14 keeps what a committing stage without items put into the state; with items they are
         * what is kept, and the stage gathers from them again. */
        if (!p->stages[i].commits || has_items(&r->stages[i]) || q->destructive) {
            s->out = s->own = (model_state){0};
        }
    }
    give_values(q, after->index, &after->edits);
}
