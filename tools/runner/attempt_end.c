/* The end of an attempt: succeeded, failed, the next attempt, cancelled, or left as it is. */
#include "tools/runner/backoff.h"
#include "tools/runner/executor.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

typedef struct ending { /* what is to be recorded */
    runner__failure failure;
    runner__gather gather;
    ratoon_value *values; /* outputs, or partial ones of a failure */
    size_t count;
    const char *degraded; /* why, or NULL */
    runner__text degraded_text;
    const ratoon_capture *capture;
} ending;

/* Whether the attempt was ended by a signal, a cancellation or a failure of the store, rather than
 * by itself a moment before. */
static bool stopped_from_outside(const runner__attempt *a)
{
    if (a->stop < RUNNER__STOP_INTERRUPT || a->early.error_class != RATOON_CLASS_NONE) {
        return false;
    }
    if (a->def->foreach_key != NULL) {
        return a->items_left || a->items_stopped > 0;
    }
    return a->tasks != NULL && a->tasks->stop >= RUNNER__STOP_INTERRUPT;
}

static void set_values(ending *e, const runner__outputs *outputs)
{
    free(e->values);
    e->count = outputs->count;
    e->values = runner__alloc(e->count * sizeof(ratoon_value));
    runner__outputs_values(outputs, e->values);
}

static void end_of_items(runner__attempt *a, ending *e)
{
    if (a->stop == RUNNER__STOP_TIMEOUT || a->stop == RUNNER__STOP_RUN_TIMEOUT) {
        runner__text message = {0};
        runner__text_format(&message, "time-out of the %s with %llu of %llu items done",
                            a->stop == RUNNER__STOP_TIMEOUT ? "stage" : "run",
                            (unsigned long long)a->items_done, (unsigned long long)a->items_total);
        runner__failure_set(&e->failure, RATOON_CLASS_TIMEOUT, message.data);
        runner__text_free(&message);
        return;
    }
    runner__items_outcome(a, &e->gather, &e->failure);
    if (e->failure.error_class == RATOON_CLASS_NONE) {
        e->count = e->gather.count;
        e->values = runner__alloc(e->count * sizeof(ratoon_value));
        runner__gather_values(&e->gather, e->values);
    }
    if (a->items_degraded > 0) {
        runner__text_format(&e->degraded_text, "%llu of %llu items degraded (%s)",
                            (unsigned long long)a->items_degraded,
                            (unsigned long long)a->items_total, a->degraded.data);
        e->degraded = e->degraded_text.data;
    }
}

static void end_of_process(runner__attempt *a, ending *e)
{
    runner__task *task = a->tasks;
    e->capture = &task->capture;
    if (task->failure.error_class != RATOON_CLASS_NONE) {
        runner__failure_copy(&e->failure, &task->failure);
        set_values(e, &task->partial);
        return;
    }
    set_values(e, &task->outputs);
    if (task->degraded.size > 0) {
        e->degraded = task->degraded.data;
    }
    if (a->items_failed > 0) { /* of those it told of */
        runner__text message = {0};
        runner__text_format(&message, "%llu items failed: %s (%s)",
                            (unsigned long long)a->items_failed, a->failed.data,
                            a->first.message.data);
        runner__failure_set(&e->failure, a->first.error_class, message.data);
        runner__text_free(&message);
    }
}

/* S04: a key that is declared and was not produced. */
static void check_produced(const runner__attempt *a, ending *e)
{
    runner__text missing = {0};
    for (size_t i = 0; i < a->def->produces_count; i++) {
        bool found = false;
        for (size_t k = 0; k < e->count && !found; k++) {
            found = strcmp(e->values[k].key, a->def->produces_keys[i]) == 0;
        }
        if (!found) {
            runner__text_format(&missing, "%s%s", missing.size > 0 ? ", " : "",
                                a->def->produces_keys[i]);
        }
    }
    if (missing.size > 0) {
        runner__text message = {0};
        runner__text_format(&message, "keys it declares were not produced: %s", missing.data);
        runner__failure_set(&e->failure, RATOON_CLASS_VALIDATION, message.data);
        runner__text_free(&message);
    }
    runner__text_free(&missing);
}

static void emit_end(runner__attempt *a, runner_event_kind kind, ratoon_stage_status status,
                     const ending *e, uint64_t delay_ms)
{
    bool failed = e->failure.error_class != RATOON_CLASS_NONE;
    runner_event event = {.kind = kind,
                          .run = a->x->facts.run,
                          .stage = a->def->name,
                          .attempt = a->number,
                          .status = status,
                          .error_class = e->failure.error_class,
                          .message = failed ? e->failure.message.data : e->degraded,
                          .done = a->done,
                          .total = a->total,
                          .delay_ms = delay_ms,
                          .elapsed_us = (uv_hrtime() - a->started_ns) / 1000};
    runner__emit(a->x, &event);
}

/* The last progress, where it is not logged yet, and `op`. */
static size_t end_ops(const runner__attempt *a, const ratoon_op *op, ratoon_op ops[2])
{
    size_t count = 0;
    if (a->progress_dirty) {
        ops[count++] = (ratoon_op){.kind = RATOON_OP_STAGE_PROGRESS,
                                   .stage = a->def->name,
                                   .attempt = a->number,
                                   .done = a->done,
                                   .total = a->total,
                                   .text = a->progress_message.data};
    }
    ops[count++] = *op;
    return count;
}

static ratoon_status append_end(runner__attempt *a, const ratoon_op *op)
{
    ratoon_op ops[2];
    const size_t count = end_ops(a, op, ops);
    a->progress_dirty = false;
    return runner__apply(a->x, ops, count);
}

/* Appends the end together with the starts of what can start then, so that from one stage to the
 * next the disk is waited for once. True: all of it is durable, and what starts is noted. False:
 * nothing is; whatever the reason, end and starts are to be recorded one by one. */
static bool append_handover(runner__attempt *a, const ratoon_op *end)
{
    runner__executor *x = a->x;
    runner__handover next = {.count = 0};
    ratoon_op ops[2 + RUNNER__HANDOVER_MAX];
    next.count = runner__schedule_after(x, a, next.stages);
    if (next.count == 0) {
        return false;
    }
    const size_t first = end_ops(a, end, ops);
    for (size_t i = 0; i < next.count; i++) {
        const ratoon_stage_def *def = ratoon_pipeline_stage(x->facts.pipeline, next.stages[i]);
        ops[first + i] = (ratoon_op){.kind = RATOON_OP_STAGE_START, .stage = def->name};
    }
    if (runner__try(x, ops, first + next.count) != RATOON_OK) {
        return false;
    }
    a->progress_dirty = false;
    for (size_t i = 0; i < next.count; i++) {
        next.attempts[i] = ops[first + i].attempt_out;
    }
    x->handover = next;
    return true;
}

static ratoon_op end_op(const runner__attempt *a, ratoon_stage_status status, const ending *e)
{
    return (ratoon_op){.kind = RATOON_OP_STAGE_END,
                       .stage = a->def->name,
                       .attempt = a->number,
                       .status = status,
                       .outputs = e->values,
                       .outputs_count = e->count,
                       .text = e->degraded,
                       .capture = e->capture};
}

/* A refusal of what the stage produced is the stage's failure. */
static bool refused(runner__attempt *a, ratoon_status status, ending *e)
{
    if (status == RATOON_OK || a->x->phase == RUNNER__PHASE_BROKEN) {
        return false;
    }
    runner__text message = {0};
    runner__text_format(&message, "%s: %s", ratoon_status_name(status), a->x->error.message);
    runner__failure_set(&e->failure, RATOON_CLASS_VALIDATION, message.data);
    runner__text_free(&message);
    e->count = 0;
    return true;
}

/* Whether there is to be another attempt; it has been recorded then. */
static bool retried(runner__attempt *a, ending *e)
{
    runner__executor *x = a->x;
    if ((x->phase != RUNNER__PHASE_WORKING && x->phase != RUNNER__PHASE_INTERRUPTED) ||
        a->stop == RUNNER__STOP_RUN_TIMEOUT ||
        !runner__retry_allowed(&a->def->retry, a->number, e->failure.error_class)) {
        return false;
    }
    uint32_t random = 0;
    (void)!getrandom(&random, sizeof(random), 0);
    uint64_t delay = runner__retry_delay_ms(&a->def->retry, a->number, random / 4294967296.0);
    ratoon_failure failure = runner__failure_public(&e->failure);
    ratoon_op op = end_op(a, 0, e);
    op.kind = RATOON_OP_STAGE_RETURN;
    op.text = NULL;
    op.failure = &failure;
    op.delay_ms = delay;
    ratoon_status status = append_end(a, &op);
    if (refused(a, status, e)) {
        return false;
    }
    if (status == RATOON_OK) {
        runner__slot *slot = &x->slots[a->stage];
        slot->state = RUNNER__SLOT_PENDING;
        slot->not_before_ms = uv_now(&x->loop) + delay;
        emit_end(a, RUNNER_STAGE_BACKOFF, RATOON_STAGE_PENDING, e, delay);
    }
    return true;
}

static void fail(runner__attempt *a, ending *e)
{
    if (retried(a, e)) {
        return;
    }
    ratoon_failure failure = runner__failure_public(&e->failure);
    ratoon_op op = end_op(a, RATOON_STAGE_FAILED, e);
    op.text = NULL;
    op.failure = &failure;
    ratoon_status status = append_end(a, &op);
    if (refused(a, status, e)) {
        failure = runner__failure_public(&e->failure);
        op = end_op(a, RATOON_STAGE_FAILED, e);
        op.failure = &failure;
        status = append_end(a, &op);
    }
    if (status == RATOON_OK) {
        runner__schedule_ended(a->x, a->stage, RATOON_STAGE_FAILED);
        emit_end(a, RUNNER_STAGE_ENDED, RATOON_STAGE_FAILED, e, 0);
    } else if (a->x->phase != RUNNER__PHASE_BROKEN) {
        runner__break(a->x, status);
    }
}

static void succeed(runner__attempt *a, ending *e)
{
    ratoon_stage_status status =
        e->degraded != NULL ? RATOON_STAGE_DEGRADED : RATOON_STAGE_SUCCEEDED;
    ratoon_op op = end_op(a, status, e);
    ratoon_status applied = append_handover(a, &op) ? RATOON_OK : append_end(a, &op);
    if (refused(a, applied, e)) {
        fail(a, e);
        return;
    }
    if (applied != RATOON_OK) {
        return;
    }
    /* What was appended has the last word on what it is (S04, R11). */
    ratoon_stage_info info;
    if (ratoon_run_stage(a->x->facts.store, a->x->facts.run, a->stage, &info, NULL) == RATOON_OK &&
        info.status == RATOON_STAGE_FAILED) {
        status = RATOON_STAGE_FAILED;
        runner__failure_set(&e->failure, info.error_class, "it did not keep what it declares");
    }
    runner__schedule_ended(a->x, a->stage, status);
    emit_end(a, RUNNER_STAGE_ENDED, status, e, 0);
}

static void cancel(runner__attempt *a, ending *e)
{
    if (a->stop != RUNNER__STOP_CANCEL) {
        return; /* an interruption: the run's suspension returns the stage to pending */
    }
    runner__failure_set(&e->failure, RATOON_CLASS_CANCELLED, "cancelled");
    if (a->def->foreach_key == NULL && a->tasks != NULL) {
        runner__failure_copy(&e->failure, &a->tasks->failure);
        e->capture = &a->tasks->capture;
    }
    ratoon_failure failure = runner__failure_public(&e->failure);
    ratoon_op op = end_op(a, RATOON_STAGE_CANCELLED, e);
    op.failure = &failure;
    if (append_end(a, &op) == RATOON_OK) {
        runner__schedule_ended(a->x, a->stage, RATOON_STAGE_CANCELLED);
        emit_end(a, RUNNER_STAGE_ENDED, RATOON_STAGE_CANCELLED, e, 0);
    }
}

void runner__attempt_end(runner__attempt *a)
{
    ending e = {0};
    if (stopped_from_outside(a)) {
        cancel(a, &e);
    } else {
        if (a->early.error_class != RATOON_CLASS_NONE) {
            runner__failure_copy(&e.failure, &a->early);
        } else if (a->def->foreach_key != NULL) {
            end_of_items(a, &e);
        } else {
            end_of_process(a, &e);
        }
        if (e.failure.error_class == RATOON_CLASS_NONE) {
            check_produced(a, &e);
        }
        if (e.failure.error_class != RATOON_CLASS_NONE) {
            fail(a, &e);
        } else {
            succeed(a, &e);
        }
    }
    runner__failure_free(&e.failure);
    runner__gather_free(&e.gather);
    runner__text_free(&e.degraded_text);
    free(e.values);
}
