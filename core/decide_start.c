/* Starting and resuming, cancelling, recovering (L03, L08, R08, R10, R16). */
#include "core/decide_internal.h"

#include <string.h>

static const char *run_state(const ratoon__run *r)
{
    return ratoon_run_status_name(r->status);
}

ratoon_status ratoon__illegal_run(const ratoon__run *r, const char *asked, const char *why,
                                  ratoon_error *error)
{
    const ratoon_id id = r->fixed->id;
    (void)ratoon__fail(error, RATOON_ERR_ILLEGAL_TRANSITION, "run %I is %s and can't become %s%s",
                       &id, run_state(r), asked, why);
    return ratoon__about(error, RATOON_ERR_ILLEGAL_TRANSITION, id, NULL);
}

static ratoon_status run_not_found(ratoon_id run, ratoon_error *error)
{
    (void)ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %I", &run);
    return ratoon__about(error, RATOON_ERR_NOT_FOUND, run, NULL);
}

/* ---- starting ---- */

static ratoon_status check_status(const ratoon__run *r, ratoon_error *error)
{
    const ratoon_id id = r->fixed->id;
    switch (r->status) {
    case RATOON_RUN_QUEUED:
    case RATOON_RUN_SUSPENDED:
        return RATOON_OK;
    case RATOON_RUN_RUNNING:
    case RATOON_RUN_CANCELLING:
        (void)ratoon__fail(error, RATOON_ERR_RUN_ACTIVE, "run %I is %s already", &id, run_state(r));
        ratoon__hint(error, "ratoon wait %I", &id);
        return ratoon__about(error, RATOON_ERR_RUN_ACTIVE, id, NULL);
    case RATOON_RUN_SUCCEEDED:
    case RATOON_RUN_DEGRADED:
    case RATOON_RUN_FAILED:
    case RATOON_RUN_CANCELLED:
        break;
    }
    (void)ratoon__illegal_run(r, "running", ": an ended run is retried, not resumed", error);
    ratoon__hint(error,
                 ratoon__retry_default_stage(r) < 0 ? "ratoon retry %I --from STAGE --rerun"
                                                    : "ratoon retry %I",
                 &id);
    return RATOON_ERR_ILLEGAL_TRANSITION;
}

static ratoon_status check_place(const ratoon__lineage *l, const ratoon__run *r,
                                 ratoon_error *error)
{
    const ratoon__run *other =
        ratoon__place_taken(l, r, r->status == RATOON_RUN_QUEUED, r->pipeline->max_active_branches);
    if (other == NULL) {
        return RATOON_OK;
    }
    const ratoon_id id = r->fixed->id;
    const ratoon_id other_id = other->fixed->id;
    const bool queued = other->status == RATOON_RUN_QUEUED;
    (void)ratoon__fail(error, RATOON_ERR_BRANCH_ACTIVE,
                       "run %I can't start: run %I of the same lineage is %s%s", &id, &other_id,
                       run_state(other), queued ? " and comes first" : "");
    ratoon__hint(error,
                 queued ? "ratoon resume %I, or ratoon cancel %I"
                        : "ratoon wait %I, or ratoon cancel %I",
                 &other_id, &other_id);
    if (error != NULL) {
        error->other = other_id;
    }
    return ratoon__about(error, RATOON_ERR_BRANCH_ACTIVE, id, NULL);
}

static ratoon_status check_scope(const ratoon__run *r, const ratoon__facts *facts,
                                 ratoon_error *error)
{
    const ratoon_id id = r->fixed->id;
    const char *scope = r->fixed->created.scope;
    if (scope == NULL || facts->claimed_scope == NULL || strcmp(scope, facts->claimed_scope) != 0 ||
        ratoon_id_equal(facts->claimed_by, id)) {
        return RATOON_OK;
    }
    (void)ratoon__fail(error, RATOON_ERR_SCOPE_BUSY,
                       "run %I can't start: its scope '%s' is held by the active run %I", &id,
                       scope, &facts->claimed_by);
    ratoon__hint(error, "ratoon wait %I, or ratoon cancel %I", &facts->claimed_by,
                 &facts->claimed_by);
    if (error != NULL) {
        error->other = facts->claimed_by;
    }
    return ratoon__about(error, RATOON_ERR_SCOPE_BUSY, id, NULL);
}

ratoon_status ratoon__start_check(const ratoon__lineage *l, const ratoon__run *r,
                                  const ratoon__facts *facts, ratoon_error *error)
{
    ratoon_status status = check_status(r, error);
    if (status == RATOON_OK) {
        status = check_place(l, r, error);
    }
    if (status == RATOON_OK) {
        status = check_scope(r, facts, error);
    }
    return status;
}

/* R16: the parameters that the run has must fit the new declarations. */
static ratoon_status check_params(const ratoon__run *r, const ratoon_pipeline *p,
                                  ratoon__arena *arena, ratoon_error *error)
{
    const ratoon__run_created *c = &r->fixed->created;
    ratoon__refusals refusals = {.arena = arena};
    const ratoon__params_request request = {
        .pipeline = p, .old = c->params, .old_count = c->params_count};
    ratoon__param *params = NULL;
    size_t count = 0;
    if (ratoon__params_resolve(&request, arena, &refusals, &params, &count) != RATOON_OK) {
        return ratoon__no_memory(error);
    }
    return ratoon__refusals_first(&refusals, error);
}

/* R16, R17: whether the run can go on with another definition. */
static ratoon_status check_definition(const ratoon__run *r, const ratoon_pipeline *p,
                                      ratoon__arena *arena, ratoon_error *error)
{
    const ratoon_id id = r->fixed->id;
    for (uint32_t i = 0; i < r->stages_count; i++) {
        const ratoon_stage_status status = ratoon__stage_counts_as(ratoon__run_stage_at(r, i));
        if (!ratoon_stage_status_done(status) && ratoon__stage_mapped(r->pipeline, i, p) < 0) {
            const char *name = ratoon__stage_name(r->pipeline, i);
            return ratoon__about(error, ratoon__no_such_stage(p, name, error), id, name);
        }
    }
    const uint64_t wanted = r->fixed->created.target > r->pipeline->version
                                ? r->fixed->created.target
                                : r->pipeline->version;
    if (wanted > p->version) {
        (void)ratoon__fail(error, RATOON_ERR_VERSION_AHEAD,
                           "run %I is of version %U of the pipeline %s; the definition given is "
                           "version %U",
                           &id, wanted, p->name, p->version);
        ratoon__hint(error, "give a definition of version %U or later", wanted);
        return ratoon__about(error, RATOON_ERR_VERSION_AHEAD, id, NULL);
    }
    return check_params(r, p, arena, error);
}

static ratoon_status check_changes(const ratoon__run *r, const ratoon_pipeline *accepted,
                                   const ratoon__facts *facts, ratoon__arena *arena,
                                   ratoon_error *error)
{
    const ratoon_id id = r->fixed->id;
    if (facts->pipeline_differences != NULL) {
        (void)ratoon__fail(error, RATOON_ERR_PIPELINE_CHANGED,
                           "the definition given differs from the one stored with run %I: %s", &id,
                           facts->pipeline_differences);
        ratoon__hint(error, "add --accept-changes to go on with the new definition");
        return ratoon__about(error, RATOON_ERR_PIPELINE_CHANGED, id, NULL);
    }
    if (accepted != NULL) {
        ratoon_status status = check_definition(r, accepted, arena, error);
        if (status != RATOON_OK) {
            return status;
        }
    }
    if (facts->changed_files_count > 0) {
        ratoon__buf list = {0};
        ratoon__buf_list(&list, facts->changed_files, facts->changed_files_count, 20);
        const char *text = ratoon__arena_take(arena, &list);
        (void)ratoon__fail(error, RATOON_ERR_FILE_CHANGED,
                           "files that the state of run %I stands for have changed: %s", &id, text);
        ratoon__hint(error, "restore them, or add --accept-changes");
        return ratoon__about(error, RATOON_ERR_FILE_CHANGED, id, NULL);
    }
    return RATOON_OK;
}

static ratoon_status until_of(const ratoon__run *r, const ratoon_pipeline *p, const char *until,
                              int32_t *out, ratoon_error *error)
{
    *out = -1;
    if (until != NULL) {
        *out = ratoon__pipeline_find(p, until);
        return *out < 0 ? ratoon__no_such_stage(p, until, error) : RATOON_OK;
    }
    /* What a queued run was created with holds for its first start, whoever makes that. */
    if (r->status == RATOON_RUN_QUEUED && r->fixed->created.until >= 0) {
        *out = ratoon__stage_mapped(r->pipeline, (uint32_t)r->fixed->created.until, p);
    }
    return RATOON_OK;
}

ratoon_status ratoon__decide_start(const ratoon__lineage *l, ratoon_id run, const char *until,
                                   const ratoon_pipeline *pipeline, const ratoon__facts *facts,
                                   ratoon__decision *out, uint64_t *epoch, ratoon_error *error)
{
    const ratoon__run *r = ratoon__lineage_run(l, run);
    if (r == NULL) {
        return run_not_found(run, error);
    }
    const bool same =
        pipeline == NULL || ratoon__same_digest(&pipeline->digest, &r->pipeline->digest);
    const ratoon_pipeline *accepted = same ? NULL : pipeline;
    const ratoon_pipeline *p = same ? r->pipeline : pipeline;
    int32_t until_stage = -1;
    ratoon_status status = ratoon__start_check(l, r, facts, error);
    if (status == RATOON_OK) {
        status = check_changes(r, accepted, facts, out->arena, error);
    }
    if (status == RATOON_OK) {
        status = until_of(r, p, until, &until_stage, error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    const size_t before = out->count;
    if (accepted != NULL) {
        ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_RUN_PIPELINE_CHANGED, run);
        if (e == NULL) {
            return ratoon__no_memory(error);
        }
        e->u.pipeline_changed.old_digest = r->pipeline->digest;
        e->u.pipeline_changed.new_digest = p->digest;
        e->u.pipeline_changed.version = p->version;
        e->u.pipeline_changed.pipeline = p;
    }
    ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_RUN_STARTED, run);
    if (e == NULL) {
        out->count = before;
        return ratoon__no_memory(error);
    }
    e->u.started.epoch = r->epoch + 1;
    e->u.started.executor = facts->executor;
    e->u.started.until = until_stage;
    e->u.started.actor = facts->actor;
    *epoch = r->epoch + 1;
    return RATOON_OK;
}
