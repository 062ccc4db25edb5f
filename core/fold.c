/* The fold: a new version of a lineage with the events of a commit applied. It does not judge
 * whether a change is legal, that was decided before it was appended; it refuses only what can't
 * follow at all. */
#include "core/fold.h"

#include <string.h>

ratoon_status ratoon__fold_no_memory(const ratoon__folding *f)
{
    return ratoon__fail(f->error, RATOON_ERR_NO_MEMORY, "no memory to fold event %U of lineage %I",
                        f->event, &f->l->id);
}

ratoon_status ratoon__fold_damaged(const ratoon__folding *f, const char *what)
{
    return ratoon__fail(f->error, RATOON_ERR_DAMAGED, "event %U of lineage %I: %s", f->event,
                        &f->l->id, what);
}

static ratoon_status fold_branched(ratoon__folding *f, ratoon__run *r, const ratoon__event *e)
{
    ratoon_id *children = ratoon__shared_new((r->children_count + 1) * sizeof *children);
    if (children == NULL) {
        return ratoon__fold_no_memory(f);
    }
    if (r->children_count > 0) {
        memcpy(children, r->children, r->children_count * sizeof *children);
    }
    children[r->children_count] = e->u.branched.child;
    ratoon__shared_unref(r->children);
    r->children = children;
    r->children_count++;
    return RATOON_OK;
}

static ratoon_status fold_started(ratoon__folding *f, ratoon__run *r, const ratoon__event *e)
{
    if (e->u.started.until >= (int64_t)r->stages_count) {
        return ratoon__fold_damaged(f, "a run was started until a stage that it hasn't");
    }
    (void)ratoon__text_set(&r->reason, NULL);
    r->status = RATOON_RUN_RUNNING;
    r->epoch = e->u.started.epoch;
    r->executor = e->u.started.executor;
    r->until = e->u.started.until < 0 ? -1 : e->u.started.until;
    r->started_at = r->started_at == 0 ? f->time_us : r->started_at;
    r->ended_at = 0;
    r->error_class = RATOON_CLASS_NONE;
    return RATOON_OK;
}

static ratoon_status fold_cancel_requested(ratoon__folding *f, ratoon__run *r,
                                           const ratoon__event *e)
{
    /* Queued and suspended runs are ended by the event that follows. */
    if (r->status == RATOON_RUN_RUNNING) {
        r->status = RATOON_RUN_CANCELLING;
    }
    return ratoon__text_set(&r->reason, e->u.cancel_requested.reason) ? RATOON_OK
                                                                      : ratoon__fold_no_memory(f);
}

static ratoon_status fold_suspended(ratoon__folding *f, ratoon__run *r, const ratoon__event *e)
{
    r->status = RATOON_RUN_SUSPENDED;
    r->ended_at = f->time_us;
    r->error_class = e->u.suspended.error_class;
    return ratoon__text_set(&r->reason, e->u.suspended.reason) ? RATOON_OK
                                                               : ratoon__fold_no_memory(f);
}

static ratoon_status cancel_stages(ratoon__folding *f, ratoon__run *r)
{
    for (uint32_t i = 0; i < r->stages_count; i++) {
        const ratoon_stage_status status = ratoon__run_stage_at(r, i)->status;
        if (status != RATOON_STAGE_PENDING && status != RATOON_STAGE_RUNNING) {
            continue;
        }
        ratoon__stage *s = ratoon__run_own_stage(r, i);
        if (s == NULL) {
            return ratoon__fold_no_memory(f);
        }
        s->status = RATOON_STAGE_CANCELLED;
        ratoon__run_note_status(r, i, status, s->status);
        s->not_before = 0;
        if (status == RATOON_STAGE_RUNNING) {
            s->ended_at = f->time_us;
            s->tally.spent_us += f->time_us > s->started_at ? f->time_us - s->started_at : 0;
        }
    }
    return RATOON_OK;
}

static ratoon_status fold_ended(ratoon__folding *f, ratoon__run *r, const ratoon__event *e)
{
    if (!ratoon_run_status_terminal(e->u.ended.status)) {
        return ratoon__fold_damaged(f, "a run ended with a status that is no end");
    }
    r->status = e->u.ended.status;
    r->ended_at = f->time_us;
    r->error_class = RATOON_CLASS_NONE;
    /* Why it was asked to be cancelled stays where the end gives no reason of its own. */
    const bool keep_reason = e->u.ended.reason == NULL && e->u.ended.status == RATOON_RUN_CANCELLED;
    if (!keep_reason && !ratoon__text_set(&r->reason, e->u.ended.reason)) {
        return ratoon__fold_no_memory(f);
    }
    return e->u.ended.status == RATOON_RUN_CANCELLED ? cancel_stages(f, r) : RATOON_OK;
}

static ratoon_status fold_run_event(ratoon__folding *f, uint32_t index, const ratoon__event *e)
{
    ratoon__run *r = ratoon__lineage_own_run(f->l, index);
    if (r == NULL) {
        return ratoon__fold_no_memory(f);
    }
    r->last_event = f->event;
    switch (e->type) {
    case RATOON__EVENT_RUN_BRANCHED:
        return fold_branched(f, r, e);
    case RATOON__EVENT_RUN_STARTED:
        return fold_started(f, r, e);
    case RATOON__EVENT_RUN_CANCEL_REQUESTED:
        return fold_cancel_requested(f, r, e);
    case RATOON__EVENT_RUN_SUSPENDED:
        return fold_suspended(f, r, e);
    case RATOON__EVENT_RUN_ENDED:
        return fold_ended(f, r, e);
    case RATOON__EVENT_RUN_EXTERNAL_REF:
        return ratoon__text_set(&r->external_ref, e->u.external_ref.ref)
                   ? RATOON_OK
                   : ratoon__fold_no_memory(f);
    case RATOON__EVENT_RUN_ANNOTATED:
        r->annotations++;
        return RATOON_OK;
    case RATOON__EVENT_RUN_PIPELINE_CHANGED:
        return ratoon__fold_pipeline(f, &f->l->runs[index], e);
    case RATOON__EVENT_RUN_CREATED:
    case RATOON__EVENT_RUN_CONSUMED_BY:
    case RATOON__EVENT_LINEAGE_DELETED:
        return RATOON_OK;
    case RATOON__EVENT_STAGE_STARTED:
    case RATOON__EVENT_STAGE_ENDED:
    case RATOON__EVENT_STAGE_RETURNED:
    case RATOON__EVENT_STAGE_PROGRESS:
    case RATOON__EVENT_STAGE_ITEMS:
    case RATOON__EVENT_ITEM_ENDED:
    case RATOON__EVENT_STAGE_CONSUMED:
        return ratoon__fold_stage(f, r, e);
    }
    return RATOON_OK;
}

/* What the mark alone gives is what it gives behind all that it stands for: nothing. */
static void fold_deleted(ratoon__lineage *l)
{
    for (uint32_t i = 0; i < l->runs_count; i++) {
        ratoon__run_unref(l->runs[i]);
    }
    l->runs_count = 0;
    l->deleted = true;
}

static bool is_known(ratoon__event_type type)
{
    switch (type) {
#define X(name, value, text) case RATOON__EVENT_##name:
        RATOON__EVENT_LIST(X)
#undef X
        return true;
    }
    return false;
}

static ratoon_status fold_event(ratoon__folding *f, const ratoon__event *e)
{
    if (e->type == RATOON__EVENT_RUN_CREATED) {
        return ratoon__fold_created(f, e);
    }
    if (e->type == RATOON__EVENT_LINEAGE_DELETED) {
        fold_deleted(f->l);
        return RATOON_OK;
    }
    if (!is_known(e->type)) {
        return RATOON_OK; /* of a newer version */
    }
    const int64_t index = ratoon__lineage_find(f->l, e->run);
    if (index < 0) {
        return ratoon__fold_damaged(f, "it is about a run that the lineage hasn't");
    }
    return fold_run_event(f, (uint32_t)index, e);
}

/* Whether the commit is the next one. The mark of a deleted lineage (R20) stands alone, with the
 * number that came next: whoever knew the lineage before may not have seen its last commits. */
static ratoon_status check_commit(const ratoon__lineage *l, const ratoon__commit *commit,
                                  ratoon_error *error)
{
    const bool mark = commit->events_count > 0 &&
                      commit->events[0].type == RATOON__EVENT_LINEAGE_DELETED &&
                      commit->number > l->head && commit->first_event > l->events;
    if (!ratoon_id_equal(commit->lineage, l->id)) {
        return ratoon__fail(error, RATOON_ERR_DAMAGED, "commit of lineage %I found in lineage %I",
                            &commit->lineage, &l->id);
    }
    if (!mark && (commit->number != l->head + 1 || commit->first_event != l->events + 1)) {
        return ratoon__fail(error, RATOON_ERR_DAMAGED,
                            "lineage %I: found commit %U with event %U, expected commit %U with "
                            "event %U",
                            &l->id, commit->number, commit->first_event, l->head + 1,
                            l->events + 1);
    }
    return RATOON_OK;
}

static uint32_t runs_created(const ratoon__commit *commit, size_t events)
{
    uint32_t created = 0;
    for (size_t i = 0; i < events; i++) {
        created += commit->events[i].type == RATOON__EVENT_RUN_CREATED ? 1 : 0;
    }
    return created;
}

/* Folds into a version that only the fold sees. */
static ratoon_status fold_events(ratoon__lineage *l, const ratoon__commit *commit, size_t events,
                                 ratoon_error *error)
{
    ratoon__folding f = {.l = l, .time_us = commit->time_us, .error = error};
    for (size_t i = 0; i < events; i++) {
        f.event = commit->first_event + i;
        const ratoon_status status = fold_event(&f, &commit->events[i]);
        if (status != RATOON_OK) {
            return status;
        }
    }
    if (events > 0) {
        l->events = commit->first_event + events - 1;
        l->last_time_us = commit->time_us;
    }
    return RATOON_OK;
}

ratoon_status ratoon__fold_part(const ratoon__lineage *l, const ratoon__commit *commit,
                                size_t events, ratoon__lineage **out, ratoon_error *error)
{
    ratoon_status status = check_commit(l, commit, error);
    if (status != RATOON_OK) {
        return status;
    }
    events = events > commit->events_count ? commit->events_count : events;
    ratoon__lineage *copy = ratoon__lineage_copy(l, runs_created(commit, events));
    if (copy == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "no memory for lineage %I", &l->id);
    }
    status = fold_events(copy, commit, events, error);
    if (status != RATOON_OK) {
        ratoon__lineage_unref(copy);
        return status;
    }
    *out = copy;
    return RATOON_OK;
}

ratoon_status ratoon__fold(const ratoon__lineage *l, const ratoon__commit *commit,
                           const ratoon_digest *digest, ratoon__lineage **out, ratoon_error *error)
{
    ratoon__lineage *folded = NULL;
    const ratoon_status status = ratoon__fold_part(l, commit, commit->events_count, &folded, error);
    if (status == RATOON_OK) {
        folded->head = commit->number;
        folded->head_digest = *digest;
        *out = folded;
    }
    return status;
}

ratoon_status ratoon__fold_into(ratoon__lineage **l, const ratoon__commit *commit,
                                const ratoon_digest *digest, ratoon_error *error)
{
    ratoon__lineage *given = *l;
    ratoon__lineage *folded = NULL;
    ratoon_status status;
    if (!ratoon__lineage_is_ours(given) || runs_created(commit, commit->events_count) > 0) {
        status = ratoon__fold(given, commit, digest, &folded, error);
        if (status == RATOON_OK) {
            ratoon__lineage_unref(given);
            *l = folded;
        }
        return status;
    }
    status = check_commit(given, commit, error);
    if (status != RATOON_OK) {
        return status;
    }
    status = fold_events(given, commit, commit->events_count, error);
    if (status != RATOON_OK) { /* half of it may be in */
        ratoon__lineage_unref(given);
        *l = NULL;
        return status;
    }
    given->head = commit->number;
    given->head_digest = *digest;
    return RATOON_OK;
}
