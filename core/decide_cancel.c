/* Cancelling (E05), recovering from an executor's death (L08), annotating (L04). */
#include "core/decide_internal.h"

static ratoon_status run_not_found(ratoon_id run, ratoon_error *error)
{
    (void)ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %I", &run);
    return ratoon__about(error, RATOON_ERR_NOT_FOUND, run, NULL);
}

static ratoon_status add_ended(ratoon__decision *out, ratoon_id run, ratoon_run_status status,
                               const char *reason, ratoon_error *error)
{
    ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_RUN_ENDED, run);
    if (e == NULL) {
        return ratoon__no_memory(error);
    }
    e->u.ended.status = status;
    e->u.ended.reason = reason;
    return RATOON_OK;
}

ratoon_status ratoon__decide_cancel(const ratoon__lineage *l, ratoon_id run, const char *reason,
                                    const ratoon__facts *facts, ratoon__decision *out,
                                    ratoon_run_status *status, ratoon_error *error)
{
    const ratoon__run *r = ratoon__lineage_run(l, run);
    if (r == NULL) {
        return run_not_found(run, error);
    }
    if (r->status == RATOON_RUN_CANCELLING) { /* asked for already: nothing new to record */
        *status = RATOON_RUN_CANCELLING;
        return RATOON_OK;
    }
    if (ratoon_run_status_terminal(r->status)) {
        return ratoon__illegal_run(r, "cancelling", ": it has ended", error);
    }
    const size_t before = out->count;
    ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_RUN_CANCEL_REQUESTED, run);
    if (e == NULL) {
        return ratoon__no_memory(error);
    }
    e->u.cancel_requested.actor = facts->actor;
    e->u.cancel_requested.reason = reason;
    if (r->status == RATOON_RUN_RUNNING) {
        *status = RATOON_RUN_CANCELLING;
        return RATOON_OK;
    }
    ratoon_status done = add_ended(out, run, RATOON_RUN_CANCELLED, reason, error);
    if (done != RATOON_OK) {
        out->count = before;
        return done;
    }
    *status = RATOON_RUN_CANCELLED;
    return RATOON_OK;
}

/* ---- stages that were running ---- */

ratoon_status ratoon__interrupt_stages(const ratoon__run *r, const char *message,
                                       ratoon__decision *out, ratoon_error *error)
{
    for (uint32_t i = 0; i < r->stages_count; i++) {
        const ratoon__stage *s = ratoon__run_stage_at(r, i);
        if (s->status != RATOON_STAGE_RUNNING) {
            continue;
        }
        ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_STAGE_RETURNED, r->fixed->id);
        if (e == NULL) {
            return ratoon__no_memory(error);
        }
        e->u.stage_returned.stage = i;
        e->u.stage_returned.attempt = s->attempt;
        e->u.stage_returned.failure = (ratoon__failure){
            .error_class = RATOON_CLASS_INTERRUPTED, .message = message, .retryable = true};
    }
    return RATOON_OK;
}

ratoon_status ratoon__cancel_stages(const ratoon__run *r, ratoon__decision *out,
                                    ratoon_error *error)
{
    for (uint32_t i = 0; i < r->stages_count; i++) {
        const ratoon__stage *s = ratoon__run_stage_at(r, i);
        if (s->status != RATOON_STAGE_RUNNING) {
            continue;
        }
        ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_STAGE_ENDED, r->fixed->id);
        if (e == NULL) {
            return ratoon__no_memory(error);
        }
        e->u.stage_ended.stage = i;
        e->u.stage_ended.attempt = s->attempt;
        e->u.stage_ended.status = RATOON_STAGE_CANCELLED;
        e->u.stage_ended.failure = (ratoon__failure){.error_class = RATOON_CLASS_CANCELLED,
                                                     .message = "the run was cancelled",
                                                     .retryable = true};
    }
    return RATOON_OK;
}

int32_t ratoon__unforgiven(const ratoon__run *r)
{
    for (uint32_t i = 0; r->unforgiven > 0 && i < r->stages_count; i++) {
        if (ratoon__run_stage_at(r, i)->status == RATOON_STAGE_FAILED &&
            !r->pipeline->stages[i].pub.allow_failure) {
            return (int32_t)i;
        }
    }
    return -1;
}

int32_t ratoon__unforgiven_but_cancelled(const ratoon__run *r)
{
    for (uint32_t i = 0; r->unforgiven > 0 && i < r->stages_count; i++) {
        const ratoon__stage *s = ratoon__run_stage_at(r, i);
        const bool cancelled =
            s->failure != NULL && s->failure->f.error_class == RATOON_CLASS_CANCELLED;
        if (s->status == RATOON_STAGE_FAILED && !cancelled &&
            !r->pipeline->stages[i].pub.allow_failure) {
            return (int32_t)i;
        }
    }
    return -1;
}

int32_t ratoon__first_running(const ratoon__run *r)
{
    for (uint32_t i = 0; i < r->stages_count; i++) {
        if (ratoon__run_stage_at(r, i)->status == RATOON_STAGE_RUNNING) {
            return (int32_t)i;
        }
    }
    return -1;
}

/* ---- recovering ---- */

static const char executor_gone[] = "its executor is gone";

static ratoon_status recover_running(const ratoon__run *r, ratoon__decision *out,
                                     ratoon_error *error)
{
    ratoon_status status = ratoon__interrupt_stages(r, executor_gone, out, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (ratoon__unforgiven(r) >= 0) {
        return add_ended(out, r->fixed->id, RATOON_RUN_FAILED, executor_gone, error);
    }
    ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_RUN_SUSPENDED, r->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(error);
    }
    e->u.suspended.error_class = RATOON_CLASS_INTERRUPTED;
    e->u.suspended.reason = executor_gone;
    return RATOON_OK;
}

ratoon_status ratoon__decide_recover(const ratoon__lineage *l, ratoon_id run,
                                     const ratoon__facts *facts, ratoon__decision *out,
                                     ratoon_error *error)
{
    (void)facts; /* who finds it is not what ended it */
    const ratoon__run *r = ratoon__lineage_run(l, run);
    if (r == NULL) {
        return run_not_found(run, error);
    }
    const size_t before = out->count;
    ratoon_status status = RATOON_OK;
    const bool failed =
        r->status == RATOON_RUN_CANCELLING && ratoon__unforgiven_but_cancelled(r) >= 0;
    if (r->status == RATOON_RUN_RUNNING || failed) {
        status = recover_running(r, out, error);
    } else if (r->status == RATOON_RUN_CANCELLING) {
        status = ratoon__cancel_stages(r, out, error);
        if (status == RATOON_OK) {
            status = add_ended(out, run, RATOON_RUN_CANCELLED,
                               r->reason == NULL ? executor_gone : r->reason, error);
        }
    }
    if (status != RATOON_OK) {
        out->count = before;
    }
    return status;
}

ratoon_status ratoon__decide_annotate(const ratoon__lineage *l, ratoon_id run, const char *text,
                                      const ratoon__facts *facts, ratoon__decision *out,
                                      ratoon_error *error)
{
    if (ratoon__lineage_run(l, run) == NULL) {
        return run_not_found(run, error);
    }
    if (text == NULL || text[0] == '\0') {
        return ratoon__fail(error, RATOON_ERR_USAGE, "an annotation has no text");
    }
    ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_RUN_ANNOTATED, run);
    if (e == NULL) {
        return ratoon__no_memory(error);
    }
    e->u.annotated.text = text;
    e->u.annotated.actor = facts->actor;
    return RATOON_OK;
}
