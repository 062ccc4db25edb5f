/* Deleting a lineage (R20): whether it may be, and the mark that stands for it afterwards. */
#include "core/decide_internal.h"

static ratoon_status has_branches(const ratoon__lineage *l, ratoon_id run, ratoon_error *error)
{
    (void)ratoon__fail(error, RATOON_ERR_HAS_BRANCHES,
                       "the lineage of %I has %u runs; it is deleted as a whole or not at all",
                       &l->id, l->runs_count);
    ratoon__hint(error, "ask for the whole lineage: `ratoon delete --lineage`");
    return ratoon__about(error, RATOON_ERR_HAS_BRANCHES, run, NULL);
}

static ratoon_status active(const ratoon__run *r, ratoon_error *error)
{
    char id[RATOON_ID_TEXT];
    ratoon_id_format(r->fixed->id, id);
    (void)ratoon__fail(error, RATOON_ERR_RUN_ACTIVE, "run %I is %s; an active run isn't deleted",
                       &r->fixed->id, ratoon_run_status_name(r->status));
    ratoon__hint(error, "wait for it with `ratoon wait %s`, or end it with `ratoon cancel %s`", id,
                 id);
    return ratoon__about(error, RATOON_ERR_RUN_ACTIVE, r->fixed->id, NULL);
}

uint64_t ratoon__lineage_ended_at(const ratoon__lineage *l)
{
    uint64_t last = 0;
    for (uint32_t i = 0; i < l->runs_count; i++) {
        if (ratoon_run_status_active(l->runs[i]->status)) {
            return 0;
        }
        last = l->runs[i]->ended_at > last ? l->runs[i]->ended_at : last;
    }
    /* A suspended run that was never retried is one that somebody may still go on with. */
    const ratoon__run *newest = l->runs_count > 0 ? l->runs[l->runs_count - 1] : NULL;
    return newest != NULL && ratoon_run_status_terminal(newest->status) ? last : 0;
}

ratoon_status ratoon__decide_delete(const ratoon__lineage *l, const ratoon__delete_request *request,
                                    const ratoon__facts *facts, ratoon__decision *out,
                                    ratoon_error *error)
{
    if (ratoon__lineage_run(l, request->run) == NULL) {
        (void)ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %I", &request->run);
        return ratoon__about(error, RATOON_ERR_NOT_FOUND, request->run, NULL);
    }
    if (!request->whole && l->runs_count > 1) {
        return has_branches(l, request->run, error);
    }
    for (uint32_t i = 0; i < l->runs_count; i++) {
        if (ratoon_run_status_active(l->runs[i]->status)) {
            return active(l->runs[i], error);
        }
    }
    if (request->ended_before != 0) {
        const uint64_t ended_at = ratoon__lineage_ended_at(l);
        if (ended_at == 0 || ended_at >= request->ended_before) {
            return ratoon__fail(error, RATOON_ERR_CONFLICT,
                                "the lineage of %I went on meanwhile; it is kept", &l->id);
        }
    }
    ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_LINEAGE_DELETED, l->id);
    if (e == NULL) {
        return ratoon__no_memory(error);
    }
    e->u.deleted.commits = l->head;
    e->u.deleted.events = l->events;
    e->u.deleted.runs = l->runs_count;
    e->u.deleted.actor = facts->actor;
    return RATOON_OK;
}
