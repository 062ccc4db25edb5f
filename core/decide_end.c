/* Ends: of a stage's attempt, and of the run, whose outcome is derived (L05, S04, R11, R13). */
#include "core/decide_internal.h"

#include <string.h>

typedef ratoon__applying applying;

enum { NAMED_ITEMS_MAX = 10 }; /* failed items a message names */

ratoon_status ratoon__failure_of(const applying *a, uint32_t stage, ratoon_class error_class,
                                 ratoon__failure *out)
{
    const ratoon_failure *given = a->pub->failure;
    *out = (ratoon__failure){.error_class = error_class};
    if (given != NULL) {
        out->error_class =
            given->error_class == RATOON_CLASS_NONE ? error_class : given->error_class;
        out->message = given->message;
        out->detail = given->detail;
    }
    if (out->message == NULL) {
        out->message = a->pub->text != NULL ? a->pub->text : "";
    }
    if (ratoon__failure_complete(a->run, stage, out, a->out->arena) != RATOON_OK) {
        return ratoon__no_memory(a->error);
    }
    return RATOON_OK;
}

/* ---- what makes an attempt that says it succeeded a failed one ---- */

typedef struct failed_items {
    const char *keys[NAMED_ITEMS_MAX];
    size_t count;
} failed_items;

static bool note_failed(void *ctx, const ratoon__item *item)
{
    failed_items *found = ctx;
    if (item->failed && found->count < NAMED_ITEMS_MAX) {
        found->keys[found->count++] = item->key;
    }
    return found->count < NAMED_ITEMS_MAX;
}

/* R13: "3 of 10 items failed: a, b, c" */
static const char *items_failed_text(const ratoon__stage *s, ratoon__arena *arena)
{
    failed_items found = {.count = 0};
    (void)ratoon__items_each(s->items, note_failed, &found);
    const uint64_t recorded = ratoon__items_count(s->items);
    const uint64_t total = s->items_known && s->items_total > recorded ? s->items_total : recorded;
    ratoon__buf b = {0};
    ratoon__buf_format(&b, "%U of %U items failed: ", s->items_failed, total);
    ratoon__buf_list(&b, found.keys, found.count, NAMED_ITEMS_MAX);
    if (s->items_failed > found.count) {
        ratoon__buf_format(&b, " and %U more", s->items_failed - found.count);
    }
    return ratoon__arena_take(arena, &b);
}

static bool has_key(const ratoon__values *values, const char *key)
{
    for (size_t i = 0; i < values->count; i++) {
        if (strcmp(values->items[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

/* S04: declared keys that the outputs lack; NULL: none. */
static const char *undelivered_text(const ratoon_stage_def *def, const ratoon__values *outputs,
                                    ratoon__arena *arena)
{
    ratoon__buf b = {0};
    for (size_t i = 0; i < def->produces_count; i++) {
        if (!has_key(outputs, def->produces_keys[i])) {
            ratoon__buf_format(&b, "%s%s",
                               b.size == 0 ? "keys it declares were not produced: " : ", ",
                               def->produces_keys[i]);
        }
    }
    return b.size == 0 && !b.failed ? NULL : ratoon__arena_take(arena, &b);
}

/* R11: a validator produces nothing; NULL: it did not. */
static const char *validator_text(const ratoon_stage_def *def, const ratoon__values *outputs,
                                  ratoon__arena *arena)
{
    if (def->validates < 0 || outputs->count == 0) {
        return NULL;
    }
    ratoon__buf b = {0};
    ratoon__buf_str(&b, "a validator produces nothing; it produced: ");
    for (size_t i = 0; i < outputs->count; i++) {
        ratoon__buf_format(&b, "%s%s", i == 0 ? "" : ", ", outputs->items[i].key);
    }
    return ratoon__arena_take(arena, &b);
}

static const char *broken_promise(const applying *a, uint32_t stage, ratoon_class *error_class)
{
    const ratoon__stage *s = ratoon__run_stage_at(a->run, stage);
    const ratoon_stage_def *def = &a->run->pipeline->stages[stage].pub;
    if (s->items_failed > 0) {
        *error_class = RATOON_CLASS_EXECUTION;
        return items_failed_text(s, a->out->arena);
    }
    *error_class = RATOON_CLASS_VALIDATION;
    const char *text = validator_text(def, &a->op->outputs, a->out->arena);
    return text != NULL ? text : undelivered_text(def, &a->op->outputs, a->out->arena);
}

/* ---- the end of an attempt ---- */

static ratoon_status fill_success(applying *a, uint32_t stage, ratoon__event *e)
{
    ratoon_class error_class = RATOON_CLASS_NONE;
    const char *broken = broken_promise(a, stage, &error_class);
    if (a->out->arena->failed) {
        return ratoon__no_memory(a->error);
    }
    if (broken == NULL) {
        e->u.stage_ended.status = a->pub->status;
        e->u.stage_ended.reason = a->pub->status == RATOON_STAGE_DEGRADED ? a->pub->text : NULL;
        return RATOON_OK;
    }
    ratoon__failure failure = {.error_class = error_class, .message = broken};
    if (a->pub->failure != NULL) {
        failure.detail = a->pub->failure->detail;
    }
    if (ratoon__failure_complete(a->run, stage, &failure, a->out->arena) != RATOON_OK) {
        return ratoon__no_memory(a->error);
    }
    e->u.stage_ended.status = RATOON_STAGE_FAILED;
    e->u.stage_ended.failure = failure;
    return RATOON_OK;
}

static ratoon_status fill_end(applying *a, uint32_t stage, ratoon__event *e)
{
    switch (a->pub->status) {
    case RATOON_STAGE_SUCCEEDED:
    case RATOON_STAGE_DEGRADED:
        return fill_success(a, stage, e);
    case RATOON_STAGE_FAILED:
        e->u.stage_ended.status = RATOON_STAGE_FAILED;
        return ratoon__failure_of(a, stage, RATOON_CLASS_UNKNOWN, &e->u.stage_ended.failure);
    case RATOON_STAGE_CANCELLED:
        e->u.stage_ended.status = RATOON_STAGE_CANCELLED;
        return ratoon__failure_of(a, stage, RATOON_CLASS_CANCELLED, &e->u.stage_ended.failure);
    case RATOON_STAGE_PENDING:
    case RATOON_STAGE_RUNNING:
    case RATOON_STAGE_SKIPPED:
    case RATOON_STAGE_REUSED:
        break;
    }
    const char *asked = ratoon_stage_status_name(a->pub->status);
    if (asked[0] == '\0') {
        return ratoon__fail(a->error, RATOON_ERR_USAGE, "%d is no status of a stage",
                            (int)a->pub->status);
    }
    return ratoon__illegal_stage(a, stage, asked, " by an end");
}

ratoon_status ratoon__apply_stage_end(applying *a, uint32_t stage)
{
    ratoon_status status = ratoon__keys_check("output", &a->op->outputs, a->out->arena, a->error);
    if (status != RATOON_OK) {
        return status;
    }
    const ratoon__stage *s = ratoon__run_stage_at(a->run, stage);
    ratoon__event event = {.type = RATOON__EVENT_STAGE_ENDED, .run = a->run->fixed->id};
    event.u.stage_ended.stage = stage;
    event.u.stage_ended.attempt = s->attempt;
    event.u.stage_ended.outputs = a->op->outputs;
    if (a->pub->capture != NULL) {
        event.u.stage_ended.capture = (ratoon__capture){.present = true, .c = *a->pub->capture};
    }
    if (a->pub->done > 0 || a->pub->total > 0) {
        event.u.stage_ended.has_progress = true;
        event.u.stage_ended.done = a->pub->done;
        event.u.stage_ended.total = a->pub->total;
    }
    status = fill_end(a, stage, &event);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__event *e = ratoon__decision_add(a->out, event.type, event.run);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    *e = event;
    return RATOON_OK;
}

/* ---- the end of a run ---- */

static ratoon_status end_run(applying *a, ratoon_run_status outcome, const char *reason)
{
    ratoon__event *e = ratoon__decision_add(a->out, RATOON__EVENT_RUN_ENDED, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.ended.status = outcome;
    e->u.ended.reason = reason;
    a->status_out = outcome;
    return RATOON_OK;
}

static ratoon_status suspend_run(applying *a, ratoon_class error_class, const char *reason)
{
    ratoon__event *e = ratoon__decision_add(a->out, RATOON__EVENT_RUN_SUSPENDED, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.suspended.error_class = error_class;
    e->u.suspended.reason = reason;
    a->status_out = RATOON_RUN_SUSPENDED;
    return RATOON_OK;
}

/* What an end in failure says: the first stage whose failure nothing forgives, and its message. */
static const char *failure_reason(const applying *a, int32_t stage)
{
    const char *name = ratoon__stage_name(a->run->pipeline, (uint32_t)stage);
    const ratoon__stage_failure *f = ratoon__run_stage_at(a->run, (uint32_t)stage)->failure;
    if (f == NULL || f->f.message == NULL || f->f.message[0] == '\0') {
        return ratoon__arena_text(a->out->arena, "stage %s failed", name);
    }
    return ratoon__arena_text(a->out->arena, "stage %s failed: %s", name, f->f.message);
}

static const char *suspension_reason(const applying *a)
{
    const ratoon__run *r = a->run;
    const ratoon__run_created *c = &r->fixed->created;
    if (r->until >= 0) {
        return ratoon__arena_text(a->out->arena, "until %s",
                                  ratoon__stage_name(r->pipeline, (uint32_t)r->until));
    }
    if (c->only && c->effective_stage >= 0) {
        return ratoon__arena_text(a->out->arena, "only %s",
                                  ratoon__stage_name(c->pipeline, (uint32_t)c->effective_stage));
    }
    return a->pub->text != NULL ? a->pub->text : "stages are left";
}

static bool has_cancelled_stage(const ratoon__run *r)
{
    for (uint32_t i = 0; i < r->stages_count; i++) {
        if (ratoon__run_stage_at(r, i)->status == RATOON_STAGE_CANCELLED) {
            return true;
        }
    }
    return false;
}

static ratoon_status finish_cancelling(applying *a)
{
    const ratoon__run *r = a->run;
    const ratoon_run_status outcome = ratoon__run_outcome(r);
    if (!has_cancelled_stage(r) &&
        (outcome == RATOON_RUN_SUCCEEDED || outcome == RATOON_RUN_DEGRADED)) {
        return end_run(a, outcome, NULL); /* the outcome came first */
    }
    const int32_t failed = ratoon__unforgiven_but_cancelled(r);
    ratoon_status status = ratoon__cancel_stages(r, a->out, a->error);
    if (status != RATOON_OK) {
        return status;
    }
    if (failed >= 0) { /* so did a failure (L03, L08) */
        return end_run(a, RATOON_RUN_FAILED, failure_reason(a, failed));
    }
    const char *reason = r->reason != NULL ? r->reason : a->pub->text;
    return end_run(a, RATOON_RUN_CANCELLED, ratoon__arena_strdup(a->out->arena, reason));
}

static ratoon_status finish_running(applying *a)
{
    const ratoon__run *r = a->run;
    const int32_t running = ratoon__first_running(r);
    const int32_t failed = ratoon__unforgiven(r);
    if (running >= 0 && !a->pub->interrupted) {
        return ratoon__illegal_stage(a, (uint32_t)running, "left behind",
                                     ": the run can't finish before it ends");
    }
    if (running >= 0) {
        const char *message = a->pub->text != NULL ? a->pub->text : "interrupted";
        ratoon_status status = ratoon__interrupt_stages(r, message, a->out, a->error);
        if (status != RATOON_OK) {
            return status;
        }
    }
    if (failed >= 0) {
        return end_run(a, RATOON_RUN_FAILED, failure_reason(a, failed));
    }
    const ratoon_run_status outcome = ratoon__run_outcome(r);
    if (outcome != RATOON_RUN_SUSPENDED) {
        return end_run(a, outcome, NULL);
    }
    if (a->pub->interrupted) {
        return suspend_run(a, RATOON_CLASS_INTERRUPTED,
                           a->pub->text != NULL ? a->pub->text : "interrupted");
    }
    return suspend_run(a, RATOON_CLASS_NONE, suspension_reason(a));
}

ratoon_status ratoon__apply_finish(applying *a)
{
    if (a->run->status == RATOON_RUN_RUNNING) {
        return finish_running(a);
    }
    if (a->run->status == RATOON_RUN_CANCELLING) {
        return finish_cancelling(a);
    }
    return ratoon__illegal_run(a->run, "finished", "", a->error);
}
