#include "tests/support/model.h"

#include <stdio.h>
#include <string.h>

const char *const model_sizes[10] = {"1", "2", "4", "16", "64", "0", "3", "128", "two", "-4"};
const char *const model_modes[3] = {"fast", "full", "slow"};

const model_pipeline *model_pipeline_of(const model *m, const model_run *r)
{
    return &m->pipelines[r->pipeline];
}

unsigned model_version_of(const model *m, const model_run *r)
{
    return model_pipeline_of(m, r)->version + (unsigned)r->variant;
}

bool model_done(const model_stage *s)
{
    return s->status == RATOON_STAGE_SUCCEEDED || s->status == RATOON_STAGE_DEGRADED ||
           s->status == RATOON_STAGE_SKIPPED || s->status == RATOON_STAGE_REUSED;
}

ratoon_stage_status model_counts_as(const model_stage *s)
{
    return s->status == RATOON_STAGE_REUSED ? s->reused_as : s->status;
}

bool model_failed_for_good(const model *m, const model_run *r)
{
    const model_pipeline *p = model_pipeline_of(m, r);
    for (unsigned i = 0; i < p->count; i++) {
        if (r->stages[i].status == RATOON_STAGE_FAILED && !p->stages[i].allow_failure) {
            return true;
        }
    }
    return false;
}

ratoon_run_status model_outcome(const model *m, const model_run *r)
{
    const model_pipeline *p = model_pipeline_of(m, r);
    bool degraded = false;
    bool left = false;
    if (model_failed_for_good(m, r)) {
        return RATOON_RUN_FAILED;
    }
    for (unsigned i = 0; i < p->count; i++) {
        const model_stage *s = &r->stages[i];
        if (s->status == RATOON_STAGE_FAILED || model_counts_as(s) == RATOON_STAGE_DEGRADED) {
            degraded = true; /* the failure is a forgiven one */
        } else if (!model_done(s)) {
            left = true;
        }
    }
    return left ? RATOON_RUN_SUSPENDED : degraded ? RATOON_RUN_DEGRADED : RATOON_RUN_SUCCEEDED;
}

void model_overlay(const model *m, const model_run *r, unsigned near, model_state *out)
{
    const model_pipeline *p = model_pipeline_of(m, r);
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        const model_value *edit = &r->edits.at[k];
        out->at[k] = edit->id != 0 ? *edit : r->initial.at[k];
        for (unsigned i = 0; i < p->count; i++) {
            unsigned s = p->order[i];
            const model_value *v = &r->stages[s].out.at[k];
            if ((near & (1u << s)) == 0 || v->id == 0) {
                continue;
            }
            /* an edit replaces a value of the state that the branch started from (R24) */
            if (edit->id != 0 && m->runs[v->run].number < m->runs[edit->run].number) {
                continue;
            }
            out->at[k] = *v;
        }
    }
}

void model_state_at(const model *m, const model_run *r, int boundary, unsigned stage,
                    model_state *out)
{
    const model_stage_def *d = &model_pipeline_of(m, r)->stages[stage];
    unsigned near = ~0u;
    if (boundary == 0) {
        near = 0;
    } else if (boundary == 2) {
        near = ~(d->descendants | 1u << stage);
    } else if (boundary == 3) {
        near = ~d->descendants;
    }
    model_overlay(m, r, near, out);
}

void model_input(const model *m, const model_run *r, unsigned stage, model_state *out)
{
    model_overlay(m, r, model_pipeline_of(m, r)->stages[stage].ancestors, out);
}

bool model_item_wanted(const model_stage *s, unsigned item)
{
    switch (s->mode) {
    case RATOON_ITEMS_FAILED:
        return s->items[item] == MODEL_ITEM_FAILED;
    case RATOON_ITEMS_LISTED:
        return (s->listed & (1u << item)) != 0 && s->items[item] != MODEL_ITEM_DONE;
    case RATOON_ITEMS_MISSING:
    case RATOON_ITEMS_ALL:
        break;
    }
    return s->items[item] != MODEL_ITEM_DONE;
}

static bool before_in_list(const model_run *a, const model_run *b)
{
    if (a->created_at != b->created_at) {
        return a->created_at > b->created_at;
    }
    return memcmp(&a->id, &b->id, sizeof a->id) > 0;
}

int model_list(const model *m, ratoon_run_status status, bool in_flight, const char *subject,
               int out[MODEL_RUNS_MAX])
{
    int count = 0;
    for (int i = 0; i < m->runs_count; i++) {
        const model_run *r = &m->runs[i];
        if ((status != 0 && r->status != status) ||
            (in_flight && !ratoon_run_status_active(r->status)) ||
            (subject != NULL && strcmp(subject, r->subject) != 0)) {
            continue;
        }
        int at = count++;
        for (; at > 0 && before_in_list(r, &m->runs[out[at - 1]]); at--) {
            out[at] = out[at - 1];
        }
        out[at] = i;
    }
    return count;
}

/* ------------------------------------------------------------------ changes by an executor */

static void give_outputs(const model_run *r, unsigned stage, const model_op *op, model_state *to)
{
    unsigned id = op->values_base;
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        if ((op->values & (1u << k)) != 0) {
            to->at[k] = (model_value){
                .id = id++, .run = r->index, .stage = (int)stage, .attempt = op->attempt};
        }
    }
}

static bool keys_absent(const model *m, const model_run *r, unsigned stage)
{
    const model_stage_def *d = &model_pipeline_of(m, r)->stages[stage];
    model_state input;
    model_input(m, r, stage, &input);
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        if ((d->requires_keys & (1u << k)) != 0 && input.at[k].id == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t stage_start(const model *m, model_run *r, unsigned stage)
{
    const model_stage_def *d = &model_pipeline_of(m, r)->stages[stage];
    model_stage *s = &r->stages[stage];
    uint64_t expected = MODEL_OK;
    if (r->status != RATOON_RUN_RUNNING || s->status != RATOON_STAGE_PENDING) {
        return MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
    }
    for (unsigned a = 0; a < MODEL_STAGES_MAX; a++) {
        /* what runs when is the executor's matter (E01); a refusal is fine as well */
        const model_stage *up = &r->stages[a];
        if ((d->ancestors & (1u << a)) != 0 && !model_done(up)) {
            expected |= MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
        }
    }
    if (s->not_before > m->now || model_failed_for_good(m, r)) {
        expected |= MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
    }
    if (keys_absent(m, r, stage)) {
        expected = (expected & ~MODEL_OK) | MODEL_BIT(RATOON_ERR_MISSING_KEYS);
    }
    s->status = RATOON_STAGE_RUNNING;
    s->attempt++;
    return expected;
}

static void stage_end(const model *m, model_run *r, unsigned stage, const model_op *op)
{
    const model_stage_def *d = &model_pipeline_of(m, r)->stages[stage];
    model_stage *s = &r->stages[stage];
    s->status = op->status;
    s->error_class = RATOON_CLASS_NONE;
    if (op->status == RATOON_STAGE_SUCCEEDED || op->status == RATOON_STAGE_DEGRADED) {
        if ((d->produces_keys & ~op->values) != 0) {
            s->status = RATOON_STAGE_FAILED; /* S04 */
            s->error_class = RATOON_CLASS_VALIDATION;
        }
        for (unsigned i = 0; i < MODEL_ITEMS; i++) {
            if (s->items[i] == MODEL_ITEM_FAILED) {
                s->status = RATOON_STAGE_FAILED; /* R13; by which class is not said */
                s->error_class = RATOON_CLASS_NONE;
            }
        }
    } else if (op->status == RATOON_STAGE_FAILED) {
        s->error_class = op->error_class;
    }
    if (s->status == RATOON_STAGE_FAILED) {
        s->partial = (model_state){0};
        give_outputs(r, stage, op, &s->partial);
    } else if (s->status != RATOON_STAGE_CANCELLED) {
        give_outputs(r, stage, op, &s->out);
        if (op->values != 0) {
            s->own = (model_state){0};
            give_outputs(r, stage, op, &s->own);
        }
    }
}

/* What never came to run is cancelled with its run. */
static void cancel_stages(model_run *r)
{
    for (unsigned i = 0; r->status == RATOON_RUN_CANCELLED && i < MODEL_STAGES_MAX; i++) {
        if (r->stages[i].status == RATOON_STAGE_PENDING) {
            r->stages[i].status = RATOON_STAGE_CANCELLED;
        }
    }
}

/* A stage was cancelled although nobody asked for that of the run: it did not get done; more is not
 * said. Gives what that leaves open for the run, 0 where there is no such stage. */
static unsigned cancelled_open(const model *m, const model_run *r)
{
    const model_pipeline *p = model_pipeline_of(m, r);
    unsigned open = 0;
    for (unsigned i = 0; i < p->count; i++) {
        if (r->stages[i].status == RATOON_STAGE_CANCELLED) {
            open |=
                1u << RATOON_RUN_FAILED | 1u << RATOON_RUN_SUSPENDED | 1u << RATOON_RUN_CANCELLED;
            open |= p->stages[i].allow_failure ? 1u << RATOON_RUN_DEGRADED : 0;
        }
    }
    return open;
}

/* A failure that nothing forgives, other than one by being cancelled, came before the end of a
 * cancelling (L03, L08). */
static bool failed_first(const model *m, const model_run *r)
{
    const model_pipeline *p = model_pipeline_of(m, r);
    for (unsigned i = 0; i < p->count; i++) {
        if (r->stages[i].status == RATOON_STAGE_FAILED && !p->stages[i].allow_failure &&
            r->stages[i].error_class != RATOON_CLASS_CANCELLED) {
            return true;
        }
    }
    return false;
}

static uint64_t finish(const model *m, model_run *r, bool interrupted)
{
    const bool cancelling = r->status == RATOON_RUN_CANCELLING;
    const model_pipeline *p = model_pipeline_of(m, r);
    uint64_t allowed = MODEL_OK;
    if (r->status != RATOON_RUN_RUNNING && !cancelling) {
        return MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
    }
    for (unsigned i = 0; i < p->count; i++) {
        if (r->stages[i].status == RATOON_STAGE_RUNNING) {
            if (cancelling) { /* the cancelling takes it along; L03 would allow to refuse it */
                r->stages[i].status = RATOON_STAGE_CANCELLED;
                allowed |= interrupted ? 0 : MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
            } else if (interrupted) {
                r->stages[i].status = RATOON_STAGE_PENDING;
            } else {
                return MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
            }
        }
    }
    r->status = model_outcome(m, r);
    if (cancelling && r->status == RATOON_RUN_FAILED) {
        r->status = failed_first(m, r) ? RATOON_RUN_FAILED : RATOON_RUN_CANCELLED;
    } else if (r->status == RATOON_RUN_SUSPENDED) {
        if (cancelling) {
            r->status = RATOON_RUN_CANCELLED;
        } else {
            r->open = cancelled_open(m, r);
        }
    } else if (cancelling && r->status != r->before_cancel) {
        /* "cancelled (or the outcome that came first)": the request came before this outcome */
        r->open = 1u << r->status | 1u << RATOON_RUN_CANCELLED;
    }
    cancel_stages(r);
    return allowed;
}

bool model_settle(model_run *r, ratoon_run_status got)
{
    if (r->open != 0 && (r->open & (1u << got)) != 0) {
        r->status = got;
        cancel_stages(r);
    }
    r->open = 0;
    return r->status == got;
}

static uint64_t item(model_run *r, const model_pipeline *p, unsigned stage, const model_op *op)
{
    model_stage *s = &r->stages[stage];
    s->items[op->item] = op->item_failed ? MODEL_ITEM_FAILED : MODEL_ITEM_DONE;
    s->committed[op->item] = !op->item_failed && (op->item_committed || p->stages[stage].commits);
    return MODEL_OK;
}

static uint64_t change(const model *m, model_run *r, const model_op *op)
{
    const uint64_t illegal = MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
    const bool working = r->status == RATOON_RUN_RUNNING || r->status == RATOON_RUN_CANCELLING;
    if (op->kind == RATOON_OP_FINISH) {
        return finish(m, r, op->interrupted);
    }
    if (op->kind == RATOON_OP_EXTERNAL_REF) {
        return MODEL_OK; /* L04, L07 */
    }
    if (op->stage < 0) {
        return MODEL_BIT(RATOON_ERR_NO_SUCH_STAGE) | (working ? 0 : illegal);
    }
    const unsigned stage = (unsigned)op->stage;
    model_stage *s = &r->stages[stage];
    if (op->kind == RATOON_OP_STAGE_START) {
        return stage_start(m, r, stage);
    }
    if (op->kind == RATOON_OP_STAGE_SKIP || op->kind == RATOON_OP_STAGE_REFUSE) {
        if (!working || s->status != RATOON_STAGE_PENDING ||
            (op->kind == RATOON_OP_STAGE_REFUSE && !keys_absent(m, r, stage))) {
            return illegal; /* failed without running: only where S04 refuses the start (L03) */
        }
        s->status = op->kind == RATOON_OP_STAGE_SKIP ? RATOON_STAGE_SKIPPED : RATOON_STAGE_FAILED;
        s->error_class =
            op->kind == RATOON_OP_STAGE_SKIP ? RATOON_CLASS_NONE : RATOON_CLASS_DEPENDENCY;
        return MODEL_OK;
    }
    if (working && s->status == RATOON_STAGE_PENDING && op->kind == RATOON_OP_STAGE_END &&
        op->status ==
            RATOON_STAGE_CANCELLED) { /* L03 has it; that it also wants an attempt is fine */
        s->status = RATOON_STAGE_CANCELLED;
        return MODEL_OK | illegal;
    }
    if (!working || s->status != RATOON_STAGE_RUNNING || s->attempt != op->attempt) {
        return illegal;
    }
    switch (op->kind) {
    case RATOON_OP_STAGE_END:
        stage_end(m, r, stage, op);
        break;
    case RATOON_OP_STAGE_RETURN:
        s->status = RATOON_STAGE_PENDING;
        s->not_before = m->now + op->delay_ms * 1000;
        break;
    case RATOON_OP_ITEM:
        return item(r, model_pipeline_of(m, r), stage, op);
    default:
        break;
    }
    return MODEL_OK;
}

uint64_t model_apply(const model *m, const model_run *r, uint64_t epoch, const model_op *ops,
                     size_t count, model_run *after)
{
    uint64_t allowed = 0;
    *after = *r;
    if (epoch != r->epoch) {
        return MODEL_BIT(RATOON_ERR_FENCED);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t one = change(m, after, &ops[i]);
        allowed |= one & ~MODEL_OK;
        if ((one & MODEL_OK) == 0) {
            return allowed; /* all or none */
        }
    }
    return allowed | MODEL_OK;
}

uint64_t model_cancel(const model *m, const model_run *r, model_run *after)
{
    *after = *r;
    after->before_cancel =
        r->status == RATOON_RUN_CANCELLING ? r->before_cancel : model_outcome(m, r);
    switch (r->status) {
    case RATOON_RUN_RUNNING:
        after->status = RATOON_RUN_CANCELLING;
        break;
    case RATOON_RUN_QUEUED:
    case RATOON_RUN_SUSPENDED:
        after->status = RATOON_RUN_CANCELLED;
        break;
    case RATOON_RUN_CANCELLING:
        break;
    default:
        return MODEL_BIT(RATOON_ERR_ILLEGAL_TRANSITION);
    }
    cancel_stages(after);
    return MODEL_OK;
}

void model_interrupt(const model *m, model_run *r)
{
    const bool cancelling = r->status == RATOON_RUN_CANCELLING;
    if (!cancelling && r->status != RATOON_RUN_RUNNING) {
        return;
    }
    for (unsigned i = 0; i < model_pipeline_of(m, r)->count; i++) {
        if (r->stages[i].status == RATOON_STAGE_RUNNING) {
            r->stages[i].status = RATOON_STAGE_PENDING;
        }
    }
    if (!cancelling && !model_failed_for_good(m, r)) {
        r->open = cancelled_open(m, r);
    }
    if (cancelling) {
        r->status = failed_first(m, r) ? RATOON_RUN_FAILED : RATOON_RUN_CANCELLED;
    } else {
        r->status = model_failed_for_good(m, r) ? RATOON_RUN_FAILED : RATOON_RUN_SUSPENDED;
    }
    cancel_stages(r);
}
