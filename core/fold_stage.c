/* Events of stages and items. A failure keeps its error and leaves the stage's input as it was
 * (R23).
 */
#include "core/fold.h"

static bool set_failure(ratoon__stage *s, const ratoon__failure *f)
{
    if (f->error_class == RATOON_CLASS_NONE) {
        return true; /* the last one stays until a success */
    }
    ratoon__stage_failure *copy = ratoon__failure_new(f);
    if (copy == NULL) {
        return false;
    }
    ratoon__failure_unref(s->failure);
    s->failure = copy;
    s->error_class = f->error_class;
    return true;
}

static ratoon__origin origin_of(const ratoon__run *r, uint32_t attempt)
{
    return (ratoon__origin){r->fixed->id, r->fixed->created.number, attempt};
}

static bool set_partial(const ratoon__run *r, ratoon__stage *s, uint32_t attempt,
                        ratoon__values values)
{
    ratoon__outputs *partial = NULL;
    if (values.count > 0) {
        const ratoon__origin origin = origin_of(r, attempt);
        partial = ratoon__outputs_new(&origin, values, NULL);
        if (partial == NULL) {
            return false;
        }
    }
    ratoon__outputs_unref(s->partial);
    s->partial = partial;
    return true;
}

/* Outputs that count; those kept from before (R14) shine through where they aren't overwritten. */
static bool set_outputs(const ratoon__run *r, ratoon__stage *s, uint32_t attempt,
                        ratoon__values values)
{
    if (values.count == 0) {
        return true;
    }
    const ratoon__origin origin = origin_of(r, attempt);
    ratoon__outputs *outputs = ratoon__outputs_new(&origin, values, s->outputs);
    if (outputs == NULL) {
        return false;
    }
    s->outputs = outputs;
    return true;
}

static bool set_progress(ratoon__stage *s, uint64_t done, uint64_t total, const char *message)
{
    s->has_progress = true;
    s->progress_done = done;
    s->progress_total = total;
    return ratoon__text_set(&s->progress_message, message);
}

/* What only a reused stage has. A decider lets none be executed; a log from elsewhere might. */
static void unuse(ratoon__stage *s)
{
    s->reused_as = (ratoon_stage_status)0;
    s->reused_from = (ratoon_id){{0}};
    s->stale = false;
}

static bool fold_started(const ratoon__folding *f, ratoon__stage *s, const ratoon__event *e)
{
    unuse(s);
    s->status = RATOON_STAGE_RUNNING;
    s->attempt = e->u.stage_started.attempt;
    s->started_at = f->time_us;
    s->ended_at = 0;
    s->not_before = 0;
    s->ever_started = true;
    s->has_progress = false;
    s->progress_done = 0;
    s->progress_total = 0;
    ratoon__runs_unref(s->consumed);
    s->consumed = NULL;
    return ratoon__text_set(&s->reason, NULL) && ratoon__text_set(&s->progress_message, NULL);
}

/* A stage that is done: nothing of failures before, or of a plan for its items, is left. */
static void settle(ratoon__stage *s)
{
    ratoon__failure_unref(s->failure);
    s->failure = NULL;
    s->error_class = RATOON_CLASS_NONE;
    ratoon__outputs_unref(s->partial);
    s->partial = NULL;
    s->items_mode = RATOON_ITEMS_MISSING;
    ratoon__strings_unref(s->listed);
    s->listed = NULL;
}

/* An attempt is over, or a stage failed without one (S04). */
static void tally_end(const ratoon__folding *f, ratoon__stage *s, const ratoon__failure *failure)
{
    if (s->status == RATOON_STAGE_RUNNING && f->time_us > s->started_at) {
        s->tally.spent_us += f->time_us - s->started_at;
    }
    if (failure->error_class > RATOON_CLASS_NONE && failure->error_class <= RATOON_CLASS_UNKNOWN) {
        s->tally.failures[failure->error_class]++;
    }
}

static bool fold_ended(const ratoon__folding *f, const ratoon__run *r, ratoon__stage *s,
                       const ratoon__event *e)
{
    const uint32_t attempt = e->u.stage_ended.attempt;
    unuse(s);
    tally_end(f, s, &e->u.stage_ended.failure);
    s->status = e->u.stage_ended.status;
    s->ended_at = f->time_us;
    s->not_before = 0;
    if (e->u.stage_ended.has_progress &&
        !set_progress(s, e->u.stage_ended.done, e->u.stage_ended.total,
                      e->u.stage_ended.progress_message)) {
        return false;
    }
    if (!ratoon__text_set(&s->reason, e->u.stage_ended.reason)) {
        return false;
    }
    switch (s->status) {
    case RATOON_STAGE_SUCCEEDED:
    case RATOON_STAGE_DEGRADED:
        settle(s);
        return set_outputs(r, s, attempt, e->u.stage_ended.outputs);
    case RATOON_STAGE_SKIPPED:
        settle(s);
        return true;
    default:
        return set_partial(r, s, attempt, e->u.stage_ended.outputs) &&
               set_failure(s, &e->u.stage_ended.failure);
    }
}

static bool fold_returned(const ratoon__folding *f, const ratoon__run *r, ratoon__stage *s,
                          const ratoon__event *e)
{
    const uint64_t delay_us_max = UINT64_MAX / 2;
    const uint64_t delay_ms = e->u.stage_returned.delay_ms;
    const uint64_t delay_us = delay_ms > delay_us_max / 1000 ? delay_us_max : delay_ms * 1000;
    unuse(s);
    tally_end(f, s, &e->u.stage_returned.failure);
    s->status = RATOON_STAGE_PENDING;
    s->ended_at = f->time_us;
    s->not_before = delay_us == 0 || f->time_us > UINT64_MAX - delay_us ? 0 : f->time_us + delay_us;
    return set_partial(r, s, e->u.stage_returned.attempt, e->u.stage_returned.partial) &&
           set_failure(s, &e->u.stage_returned.failure);
}

static void count_item(ratoon__stage *s, const ratoon__item *item, uint64_t by)
{
    /* by: 1, or -1 as unsigned */
    s->items_done += item->failed ? 0 : by;
    s->items_failed += item->failed ? by : 0;
    s->items_committed += item->committed ? by : 0;
}

static bool fold_item(const ratoon__run *r, ratoon__stage *s, const ratoon__event *e)
{
    const ratoon__item *old = ratoon__items_get(s->items, e->u.item.key);
    const bool old_done = old != NULL && !old->failed;
    ratoon__item_init init = {
        .key = e->u.item.key,
        .failed = e->u.item.failed,
        /* Once committed an item stays so, unless it is executed anew and fails. */
        .committed = !e->u.item.failed && (e->u.item.committed || (old_done && old->committed)),
        .error_class = e->u.item.error_class,
        .error = e->u.item.error,
        .run = r->fixed->id,
        .attempt = e->u.item.attempt,
    };
    if (e->u.item.has_output) {
        init.output = ratoon__value_new(&e->u.item.output);
        if (init.output == NULL) {
            return false;
        }
    } else if (!e->u.item.failed && old_done && old->output != NULL) {
        /* To commit an item is not to execute it: what it gave stays, with its origin. */
        init.output = ratoon__value_share(old->output);
        init.run = old->run;
        init.attempt = old->attempt;
    }
    ratoon__item *item = ratoon__item_new(&init);
    if (item == NULL) {
        ratoon__value_unref(init.output);
        return false;
    }
    if (old != NULL) {
        count_item(s, old, UINT64_MAX);
    }
    count_item(s, item, 1);
    s->items = ratoon__items_put_owned(s->items, item);
    return s->items != NULL;
}

static bool fold_consumed(ratoon__stage *s, const ratoon__event *e)
{
    for (uint32_t i = 0; s->consumed != NULL && i < s->consumed->count; i++) {
        if (ratoon_id_equal(s->consumed->ids[2 * (size_t)i], e->u.consumed.run)) {
            return true;
        }
    }
    ratoon__runs *more = ratoon__runs_new(s->consumed, e->u.consumed.run, e->u.consumed.root);
    if (more != NULL) {
        ratoon__runs_unref(s->consumed);
        s->consumed = more;
    }
    return more != NULL;
}

static bool is_end(ratoon_stage_status status)
{
    return status == RATOON_STAGE_SUCCEEDED || status == RATOON_STAGE_DEGRADED ||
           status == RATOON_STAGE_FAILED || status == RATOON_STAGE_CANCELLED ||
           status == RATOON_STAGE_SKIPPED;
}

ratoon_status ratoon__fold_stage(ratoon__folding *f, ratoon__run *r, const ratoon__event *e)
{
    const uint32_t index = e->u.stage_started.stage; /* all stage events begin alike */
    if (index >= r->stages_count) {
        return ratoon__fold_damaged(f, "it is about a stage that the run hasn't");
    }
    if (e->type == RATOON__EVENT_STAGE_ENDED && !is_end(e->u.stage_ended.status)) {
        return ratoon__fold_damaged(f, "a stage ended with a status that is no end");
    }
    ratoon__stage *s = ratoon__run_own_stage(r, index);
    bool done = s != NULL;
    if (!done) {
        return ratoon__fold_no_memory(f);
    }
    const ratoon_stage_status was = s->status;
    switch (e->type) {
    case RATOON__EVENT_STAGE_STARTED:
        done = fold_started(f, s, e);
        break;
    case RATOON__EVENT_STAGE_ENDED:
        done = fold_ended(f, r, s, e);
        break;
    case RATOON__EVENT_STAGE_RETURNED:
        done = fold_returned(f, r, s, e);
        break;
    case RATOON__EVENT_STAGE_PROGRESS:
        done = set_progress(s, e->u.progress.done, e->u.progress.total, e->u.progress.message);
        break;
    case RATOON__EVENT_STAGE_ITEMS:
        s->items_known = true;
        s->items_total = e->u.items.total;
        break;
    case RATOON__EVENT_ITEM_ENDED:
        done = fold_item(r, s, e);
        break;
    case RATOON__EVENT_STAGE_CONSUMED:
        done = fold_consumed(s, e);
        break;
    default:
        break;
    }
    ratoon__run_note_status(r, index, was, s->status);
    return done ? RATOON_OK : ratoon__fold_no_memory(f);
}
