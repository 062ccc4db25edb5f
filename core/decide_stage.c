/* Changes of one stage: start, return, skip, refusal, reports (L03, S04, A04, R22). */
#include "core/decide_internal.h"

#include <string.h>

typedef ratoon__applying applying;

/* ---- starting a stage ---- */

/* Why a stage may not start although it is pending; NULL: it may. */
static const char *start_obstacle(const applying *a, uint32_t stage)
{
    const ratoon__run *r = a->run;
    const ratoon_stage_def *def = &r->pipeline->stages[stage].pub;
    const int32_t failed = ratoon__unforgiven(r);
    if (r->status == RATOON_RUN_CANCELLING) {
        return ": the run is being cancelled";
    }
    if (failed >= 0) {
        return ratoon__arena_text(a->out->arena, ": stage %s has failed, nothing more starts",
                                  ratoon__stage_name(r->pipeline, (uint32_t)failed));
    }
    const ratoon__run_created *c = &r->fixed->created;
    const bool alone =
        c->only && c->effective_stage >= 0 &&
        strcmp(ratoon__stage_name(c->pipeline, (uint32_t)c->effective_stage), def->name) == 0;
    for (size_t i = 0; i < def->needs_count; i++) {
        const uint32_t need = def->needs[i];
        const ratoon_stage_status has = ratoon__run_stage_at(r, need)->status;
        if (ratoon_stage_status_done(has) ||
            (has == RATOON_STAGE_FAILED && r->pipeline->stages[need].pub.allow_failure)) {
            continue;
        }
        if (alone && has == RATOON_STAGE_PENDING) {
            continue; /* R25: it stays pending; in the parent the stage started without it */
        }
        return ratoon__arena_text(a->out->arena, ": the stage %s that it needs is %s",
                                  ratoon__stage_name(r->pipeline, need),
                                  ratoon_stage_status_name(has));
    }
    return NULL;
}

static ratoon_status refuse_missing(const applying *a, uint32_t stage,
                                    const ratoon__missing_key *missing, size_t count)
{
    const ratoon_id id = a->run->fixed->id;
    const char *name = ratoon__stage_name(a->run->pipeline, stage);
    ratoon__buf list = {0};
    ratoon__buf_missing(&list, missing, count);
    const char *text = ratoon__arena_take(a->out->arena, &list);
    (void)ratoon__fail(a->error, RATOON_ERR_MISSING_KEYS,
                       "stage %s of run %I can't start; keys it requires are absent: %s", name, &id,
                       text);
    if (missing[0].produced_by != NULL) {
        ratoon__hint(a->error, "ratoon retry %I --from %s --rerun, or --edit %s=JSON", &id,
                     missing[0].produced_by, missing[0].key);
    } else {
        ratoon__hint(a->error, "ratoon retry %I --edit %s=JSON", &id, missing[0].key);
    }
    return ratoon__about(a->error, RATOON_ERR_MISSING_KEYS, id, name);
}

ratoon_status ratoon__apply_stage_start(applying *a)
{
    uint32_t stage = 0;
    ratoon_status status = ratoon__stage_of(a, &stage);
    if (status != RATOON_OK) {
        return status;
    }
    const ratoon__stage *s = ratoon__run_stage_at(a->run, stage);
    if (s->status != RATOON_STAGE_PENDING) {
        return ratoon__illegal_stage(a, stage, "running", "");
    }
    const char *why = start_obstacle(a, stage);
    if (why != NULL) {
        return ratoon__illegal_stage(a, stage, "running", why);
    }
    ratoon__missing_key *missing = NULL;
    size_t count = 0;
    if (ratoon__keys_missing(a->run, stage, a->out->arena, &missing, &count) != RATOON_OK) {
        return ratoon__no_memory(a->error);
    }
    if (count > 0) {
        return refuse_missing(a, stage, missing, count);
    }
    ratoon__event *e = ratoon__decision_add(a->out, RATOON__EVENT_STAGE_STARTED, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.stage_started.stage = stage;
    e->u.stage_started.attempt = s->attempt + 1;
    a->attempt_out = s->attempt + 1;
    return RATOON_OK;
}

/* ---- other changes of a stage ---- */

ratoon_status ratoon__apply_stage_return(applying *a)
{
    uint32_t stage = 0;
    ratoon_status status = ratoon__running_of(a, &stage);
    if (status == RATOON_OK) {
        status = ratoon__keys_check("output", &a->op->outputs, a->out->arena, a->error);
    }
    ratoon__failure failure = {0};
    if (status == RATOON_OK) {
        status = ratoon__failure_of(a, stage, RATOON_CLASS_INTERRUPTED, &failure);
    }
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__event *e =
        ratoon__decision_add(a->out, RATOON__EVENT_STAGE_RETURNED, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.stage_returned.stage = stage;
    e->u.stage_returned.attempt = a->pub->attempt;
    e->u.stage_returned.failure = failure;
    e->u.stage_returned.delay_ms = a->pub->delay_ms;
    e->u.stage_returned.partial = a->op->outputs;
    if (a->pub->capture != NULL) {
        e->u.stage_returned.capture = (ratoon__capture){.present = true, .c = *a->pub->capture};
    }
    return RATOON_OK;
}

static ratoon_status pending_of(const applying *a, uint32_t *stage)
{
    ratoon_status status = ratoon__stage_of(a, stage);
    if (status == RATOON_OK &&
        ratoon__run_stage_at(a->run, *stage)->status != RATOON_STAGE_PENDING) {
        return ratoon__illegal_stage(a, *stage, ratoon__asked_of(a->pub), "");
    }
    return status;
}

ratoon_status ratoon__apply_stage_skip(applying *a)
{
    uint32_t stage = 0;
    ratoon_status status = pending_of(a, &stage);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__event *e = ratoon__decision_add(a->out, RATOON__EVENT_STAGE_ENDED, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.stage_ended.stage = stage;
    e->u.stage_ended.attempt = ratoon__run_stage_at(a->run, stage)->attempt;
    e->u.stage_ended.status = RATOON_STAGE_SKIPPED;
    e->u.stage_ended.reason = a->pub->text;
    return RATOON_OK;
}

/* The one way from pending to failed: its required keys are absent (S04). */
ratoon_status ratoon__apply_stage_refuse(applying *a)
{
    uint32_t stage = 0;
    ratoon__missing_key *missing = NULL;
    size_t count = 0;
    ratoon_status status = pending_of(a, &stage);
    if (status != RATOON_OK) {
        return status;
    }
    if (ratoon__keys_missing(a->run, stage, a->out->arena, &missing, &count) != RATOON_OK) {
        return ratoon__no_memory(a->error);
    }
    if (count == 0) {
        return ratoon__illegal_stage(a, stage, "failed",
                                     " without running: no key that it requires is absent");
    }
    ratoon__buf text = {0};
    ratoon__buf_str(&text, "required keys are absent: ");
    ratoon__buf_missing(&text, missing, count);
    const ratoon_failure *given = a->pub->failure;
    ratoon__failure failure = {
        .error_class = RATOON_CLASS_DEPENDENCY,
        .message = ratoon__arena_take(a->out->arena, &text),
        .detail = given == NULL ? NULL : given->detail,
    };
    if (given != NULL && given->message != NULL) {
        failure.message = given->message;
    }
    ratoon__event *e = ratoon__decision_add(a->out, RATOON__EVENT_STAGE_ENDED, a->run->fixed->id);
    if (e == NULL || failure.message == NULL ||
        ratoon__failure_complete(a->run, stage, &failure, a->out->arena) != RATOON_OK) {
        return ratoon__no_memory(a->error);
    }
    e->u.stage_ended.stage = stage;
    e->u.stage_ended.attempt = ratoon__run_stage_at(a->run, stage)->attempt;
    e->u.stage_ended.status = RATOON_STAGE_FAILED;
    e->u.stage_ended.failure = failure;
    return RATOON_OK;
}

ratoon_status ratoon__apply_stage_progress(applying *a)
{
    uint32_t stage = 0;
    ratoon_status status = ratoon__running_of(a, &stage);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__event *e =
        ratoon__decision_add(a->out, RATOON__EVENT_STAGE_PROGRESS, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.progress.stage = stage;
    e->u.progress.attempt = a->pub->attempt;
    e->u.progress.done = a->pub->done;
    e->u.progress.total = a->pub->total;
    e->u.progress.message = a->pub->text;
    return RATOON_OK;
}

ratoon_status ratoon__apply_stage_items(applying *a)
{
    uint32_t stage = 0;
    ratoon_status status = ratoon__running_of(a, &stage);
    if (status == RATOON_OK) {
        status = ratoon__total_check(a->pub->stage, a->pub->total, a->error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__event *e = ratoon__decision_add(a->out, RATOON__EVENT_STAGE_ITEMS, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.items.stage = stage;
    e->u.items.attempt = a->pub->attempt;
    e->u.items.total = a->pub->total;
    return RATOON_OK;
}

ratoon_status ratoon__apply_consumes(applying *a)
{
    uint32_t stage = 0;
    ratoon_status status = ratoon__running_of(a, &stage);
    if (status != RATOON_OK) {
        return status;
    }
    if (ratoon_id_is_zero(a->pub->run) || ratoon_id_equal(a->pub->run, a->run->fixed->id)) {
        return ratoon__fail(a->error, RATOON_ERR_USAGE,
                            "stage %s has to name another run whose result it used", a->pub->stage);
    }
    ratoon__event *e =
        ratoon__decision_add(a->out, RATOON__EVENT_STAGE_CONSUMED, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.consumed.stage = stage;
    e->u.consumed.attempt = a->pub->attempt;
    e->u.consumed.run = a->pub->run;
    e->u.consumed.root = a->op->consumed_root;
    return RATOON_OK;
}

/* L07: also of an ended run (L04). */
ratoon_status ratoon__apply_external_ref(applying *a)
{
    const char *ref = a->pub->text;
    if (ref == NULL || ref[0] == '\0') {
        return RATOON_OK; /* left out: it keeps what it has */
    }
    ratoon_status status = ratoon__name_check("external reference", ref, a->error);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__event *e =
        ratoon__decision_add(a->out, RATOON__EVENT_RUN_EXTERNAL_REF, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.external_ref.ref = ref;
    return RATOON_OK;
}
