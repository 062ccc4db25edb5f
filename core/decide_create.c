/* Creating a root run (R12, R17, S01, S06). */
#include "core/decide_internal.h"

#include <string.h>

static ratoon_status params_of(const ratoon__create_request *q, ratoon__arena *arena,
                               ratoon__param **params, size_t *count, ratoon_error *error)
{
    ratoon__refusals refusals = {.arena = arena};
    const ratoon__params_request request = {
        .pipeline = q->pipeline,
        .given = q->params,
        .given_count = q->params_count,
        .secrets = q->secrets,
        .secrets_count = q->secrets_count,
    };
    if (ratoon__params_resolve(&request, arena, &refusals, params, count) != RATOON_OK) {
        return ratoon__no_memory(error);
    }
    return ratoon__refusals_first(&refusals, error);
}

ratoon_status ratoon__create_scope(const ratoon__create_request *request, ratoon__arena *arena,
                                   const char **out, ratoon_error *error)
{
    ratoon__param *params = NULL;
    size_t count = 0;
    ratoon_status status = params_of(request, arena, &params, &count, error);
    if (status != RATOON_OK) {
        return status;
    }
    return ratoon__scope_of(request->pipeline, params, count, arena, out, error);
}

static ratoon_status check_names(const ratoon__create_request *q, ratoon__arena *arena,
                                 ratoon_error *error)
{
    ratoon_status status = ratoon__name_check("subject", q->subject, error);
    if (status == RATOON_OK) {
        status = ratoon__name_check("idempotency key", q->key, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__name_check("external reference", q->external_ref, error);
    }
    for (size_t i = 0; status == RATOON_OK && i < q->labels_count; i++) {
        if (q->labels[i].name == NULL || q->labels[i].name[0] == '\0') {
            return ratoon__fail(error, RATOON_ERR_USAGE, "a label has no name");
        }
        status = ratoon__name_check("label", q->labels[i].name, error);
        if (status == RATOON_OK) {
            status = ratoon__name_check("label's value", q->labels[i].value, error);
        }
    }
    if (status == RATOON_OK) {
        status = ratoon__keys_check("entry of the state", &q->state, arena, error);
    }
    return status;
}

static ratoon_status check_target(const ratoon__create_request *q, ratoon_error *error)
{
    if (q->target <= q->pipeline->version) {
        return RATOON_OK;
    }
    (void)ratoon__fail(error, RATOON_ERR_VERSION_AHEAD,
                       "version %U of the pipeline %s is asked for; the definition is version %U",
                       q->target, q->pipeline->name, q->pipeline->version);
    ratoon__hint(error, "give a definition of version %U or later, or a lower --target", q->target);
    return RATOON_ERR_VERSION_AHEAD;
}

static ratoon_status check_scope(const ratoon__facts *facts, const char *scope, ratoon_error *error)
{
    if (scope == NULL || facts->claimed_scope == NULL || strcmp(scope, facts->claimed_scope) != 0) {
        return RATOON_OK;
    }
    (void)ratoon__fail(error, RATOON_ERR_SCOPE_BUSY, "the scope '%s' is held by the active run %I",
                       scope, &facts->claimed_by);
    ratoon__hint(error, "ratoon wait %I, or ratoon cancel %I", &facts->claimed_by,
                 &facts->claimed_by);
    if (error != NULL) {
        error->other = facts->claimed_by;
    }
    return RATOON_ERR_SCOPE_BUSY;
}

static ratoon_status until_of(const ratoon_pipeline *p, const char *until, int32_t *out,
                              ratoon_error *error)
{
    *out = until == NULL ? -1 : ratoon__pipeline_find(p, until);
    return until != NULL && *out < 0 ? ratoon__no_such_stage(p, until, error) : RATOON_OK;
}

static void fill(ratoon__event *e, const ratoon__create_request *q, const ratoon__facts *facts)
{
    const ratoon_pipeline *p = q->pipeline;
    ratoon__run_created *c = &e->u.created;
    c->root = q->run;
    c->number = 1;
    c->max_depth = ratoon__depth_limit(p, facts->store_max_depth);
    c->status = q->no_exec ? RATOON_RUN_QUEUED : RATOON_RUN_RUNNING;
    c->pipeline = p;
    c->pipeline_name = p->name;
    c->pipeline_version = p->version;
    c->pipeline_digest = p->digest;
    c->base_dir = p->base_dir;
    c->file = q->file;
    c->subject = q->subject;
    c->external_ref = q->external_ref;
    c->state = q->state;
    c->labels = q->labels;
    c->labels_count = q->labels_count;
    c->actor = facts->actor;
    c->reason = q->reason;
    c->auto_retry = ratoon__auto_retry_of(p, q->auto_retry);
    c->key = q->key;
    c->request = q->request;
    c->target = q->target;
    c->requested_stage = -1;
    c->effective_stage = -1;
    if (!q->no_exec) {
        c->executor = facts->executor;
    }
}

ratoon_status ratoon__decide_create(const ratoon__create_request *request,
                                    const ratoon__facts *facts, ratoon__decision *out,
                                    ratoon_error *error)
{
    const char *scope = NULL;
    int32_t until = -1;
    ratoon__param *params = NULL;
    size_t params_count = 0;
    ratoon_status status = params_of(request, out->arena, &params, &params_count, error);
    if (status == RATOON_OK) {
        status = check_names(request, out->arena, error);
    }
    if (status == RATOON_OK) {
        status = until_of(request->pipeline, request->until, &until, error);
    }
    if (status == RATOON_OK) {
        status = check_target(request, error);
    }
    if (status == RATOON_OK) {
        status =
            ratoon__scope_of(request->pipeline, params, params_count, out->arena, &scope, error);
    }
    if (status == RATOON_OK) {
        status = check_scope(facts, scope, error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__event *e = ratoon__decision_add(out, RATOON__EVENT_RUN_CREATED, request->run);
    if (e == NULL) {
        return ratoon__no_memory(error);
    }
    fill(e, request, facts);
    e->u.created.params = params;
    e->u.created.params_count = params_count;
    e->u.created.scope = scope;
    e->u.created.until = until;
    return RATOON_OK;
}
