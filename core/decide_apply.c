/* Operations of an executor on its run (L03, L04, L08, S04, S06). */
#include "core/decide_internal.h"

#include <string.h>

typedef ratoon__applying applying;

/* ---- refusals ---- */

ratoon_status ratoon__illegal_stage(const applying *a, uint32_t stage, const char *asked,
                                    const char *why)
{
    const ratoon_id id = a->run->fixed->id;
    const char *name = ratoon__stage_name(a->run->pipeline, stage);
    const ratoon__stage *s = ratoon__run_stage_at(a->run, stage);
    (void)ratoon__fail(a->error, RATOON_ERR_ILLEGAL_TRANSITION,
                       "run %I is %s: its stage %s is %s and can't become %s%s", &id,
                       ratoon_run_status_name(a->run->status), name,
                       ratoon_stage_status_name(s->status), asked, why);
    return ratoon__about(a->error, RATOON_ERR_ILLEGAL_TRANSITION, id, name);
}

const char *ratoon__asked_of(const ratoon_op *op)
{
    switch (op->kind) {
    case RATOON_OP_STAGE_START:
        return "running";
    case RATOON_OP_STAGE_END:
        return ratoon_stage_status_name(op->status);
    case RATOON_OP_STAGE_RETURN:
        return "pending";
    case RATOON_OP_STAGE_SKIP:
        return "skipped";
    case RATOON_OP_STAGE_REFUSE:
        return "failed";
    case RATOON_OP_STAGE_PROGRESS:
    case RATOON_OP_STAGE_ITEMS:
    case RATOON_OP_ITEM:
    case RATOON_OP_CONSUMES:
        return "anything else while it is not running";
    case RATOON_OP_EXTERNAL_REF:
    case RATOON_OP_FINISH:
        break;
    }
    return "finished";
}

static ratoon_status check_epoch(const ratoon__run *r, uint64_t epoch, ratoon_error *error)
{
    if (r->epoch == epoch) {
        return RATOON_OK;
    }
    const ratoon_id id = r->fixed->id;
    (void)ratoon__fail(error, RATOON_ERR_FENCED,
                       "run %I has epoch %U now, this change comes with epoch %U: it was started "
                       "anew meanwhile",
                       &id, r->epoch, epoch);
    ratoon__hint(error, "stop executing it here; its present executor goes on");
    return ratoon__about(error, RATOON_ERR_FENCED, id, NULL);
}

/* The stage an operation names, in a run that takes stage events (L04). */
ratoon_status ratoon__stage_of(const applying *a, uint32_t *stage)
{
    const ratoon__run *r = a->run;
    if (a->pub->stage == NULL) {
        return ratoon__fail(a->error, RATOON_ERR_USAGE, "the operation names no stage");
    }
    const int32_t found = ratoon__pipeline_find(r->pipeline, a->pub->stage);
    if (found < 0) {
        return ratoon__about(a->error, ratoon__no_such_stage(r->pipeline, a->pub->stage, a->error),
                             r->fixed->id, NULL);
    }
    *stage = (uint32_t)found;
    if (r->status != RATOON_RUN_RUNNING && r->status != RATOON_RUN_CANCELLING) {
        return ratoon__illegal_stage(a, *stage, ratoon__asked_of(a->pub),
                                     ": the run takes no stage events");
    }
    return RATOON_OK;
}

/* Reports of the attempt that is running, not of an older one. */
ratoon_status ratoon__running_of(const applying *a, uint32_t *stage)
{
    ratoon_status status = ratoon__stage_of(a, stage);
    if (status != RATOON_OK) {
        return status;
    }
    const ratoon__stage *s = ratoon__run_stage_at(a->run, *stage);
    if (s->status != RATOON_STAGE_RUNNING) {
        return ratoon__illegal_stage(a, *stage, ratoon__asked_of(a->pub), "");
    }
    if (s->attempt != a->pub->attempt) {
        const char *why = ratoon__arena_text(
            a->out->arena, ": the report is of attempt %u, the present one is attempt %u",
            a->pub->attempt, s->attempt);
        return ratoon__illegal_stage(a, *stage, ratoon__asked_of(a->pub), why == NULL ? "" : why);
    }
    return RATOON_OK;
}

/* ---- all of them ---- */

static ratoon_status apply_one(applying *a)
{
    uint32_t stage = 0;
    ratoon_status status = RATOON_OK;
    switch (a->pub->kind) {
    case RATOON_OP_STAGE_START:
        return ratoon__apply_stage_start(a);
    case RATOON_OP_STAGE_END:
        /* A pending stage can be cancelled: that is no report of an attempt. */
        status = a->pub->status == RATOON_STAGE_CANCELLED ? ratoon__stage_of(a, &stage)
                                                          : ratoon__running_of(a, &stage);
        if (status == RATOON_OK &&
            ratoon__run_stage_at(a->run, stage)->status != RATOON_STAGE_PENDING) {
            status = ratoon__running_of(a, &stage);
        }
        return status == RATOON_OK ? ratoon__apply_stage_end(a, stage) : status;
    case RATOON_OP_STAGE_RETURN:
        return ratoon__apply_stage_return(a);
    case RATOON_OP_STAGE_SKIP:
        return ratoon__apply_stage_skip(a);
    case RATOON_OP_STAGE_REFUSE:
        return ratoon__apply_stage_refuse(a);
    case RATOON_OP_STAGE_PROGRESS:
        return ratoon__apply_stage_progress(a);
    case RATOON_OP_STAGE_ITEMS:
        return ratoon__apply_stage_items(a);
    case RATOON_OP_ITEM:
        status = ratoon__running_of(a, &stage);
        return status == RATOON_OK ? ratoon__apply_items(a, stage) : status;
    case RATOON_OP_EXTERNAL_REF:
        return ratoon__apply_external_ref(a);
    case RATOON_OP_CONSUMES:
        return ratoon__apply_consumes(a);
    case RATOON_OP_FINISH:
        return ratoon__apply_finish(a);
    }
    return ratoon__fail(a->error, RATOON_ERR_USAGE, "unknown operation %d", (int)a->pub->kind);
}

/* The projection with the events from `first` on, for judging the operations that follow. */
static ratoon_status advance(const ratoon__lineage *l, const ratoon__decision *d, size_t first,
                             const ratoon__facts *facts, ratoon__lineage **out, ratoon_error *error)
{
    static const ratoon_digest none;
    const ratoon__commit commit = {
        .lineage = l->id,
        .number = l->head + 1,
        .first_event = l->events + 1,
        .time_us = facts->now_us,
        .previous = l->head_digest,
        .writer = "",
        .events = d->events + first,
        .events_count = d->count - first,
    };
    return ratoon__fold(l, &commit, &none, out, error);
}

static ratoon_status apply_all(const ratoon__lineage *l, ratoon__lineage **tentative, ratoon_id run,
                               uint64_t epoch, ratoon__op *ops, size_t count,
                               ratoon__applying *results, const ratoon__facts *facts,
                               ratoon__decision *out, ratoon_error *error)
{
    const ratoon__lineage *now = l;
    for (size_t i = 0; i < count; i++) {
        const size_t first = out->count;
        applying *a = &results[i];
        *a = (applying){
            .lineage = now,
            .run = ratoon__lineage_run(now, run),
            .op = &ops[i],
            .pub = ops[i].op,
            .facts = facts,
            .out = out,
            .error = error,
        };
        ratoon_status status = check_epoch(a->run, epoch, error);
        if (status == RATOON_OK) {
            status = apply_one(a);
        }
        if (status != RATOON_OK) {
            return status;
        }
        if (i + 1 < count && out->count > first) {
            ratoon__lineage *next = NULL;
            status = advance(now, out, first, facts, &next, error);
            if (status != RATOON_OK) {
                return status;
            }
            ratoon__lineage_unref(*tentative);
            *tentative = next;
            now = next;
        }
    }
    return RATOON_OK;
}

ratoon_status ratoon__decide_apply(const ratoon__lineage *l, ratoon_id run, uint64_t epoch,
                                   ratoon__op *ops, size_t count, ratoon_op *public_ops,
                                   const ratoon__facts *facts, ratoon__decision *out,
                                   ratoon_error *error)
{
    if (ratoon__lineage_run(l, run) == NULL) {
        (void)ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %I", &run);
        return ratoon__about(error, RATOON_ERR_NOT_FOUND, run, NULL);
    }
    applying *results = ratoon__arena_alloc(out->arena, count * sizeof *results);
    if (results == NULL) {
        return ratoon__no_memory(error);
    }
    const size_t before = out->count;
    ratoon__lineage *tentative = NULL;
    ratoon_status status =
        apply_all(l, &tentative, run, epoch, ops, count, results, facts, out, error);
    ratoon__lineage_unref(tentative);
    if (status == RATOON_OK && out->arena->failed) {
        status = ratoon__no_memory(error);
    }
    if (status != RATOON_OK) {
        out->count = before;
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        if (public_ops[i].kind == RATOON_OP_STAGE_START) {
            public_ops[i].attempt_out = results[i].attempt_out;
        } else if (public_ops[i].kind == RATOON_OP_FINISH) {
            public_ops[i].run_status_out = results[i].status_out;
        }
    }
    return RATOON_OK;
}
