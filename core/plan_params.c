/* Parameters of a branch, and what limits its creation. */
#include "core/plan.h"

#include <string.h>

typedef ratoon__planning planning;

/* ---- parameters (R12) ---- */

static void list_overrides(planning *c)
{
    const ratoon__run_created *old = &c->parent->fixed->created;
    ratoon__override *overrides =
        ratoon__arena_alloc(c->arena, c->params_count * sizeof *overrides);
    if (overrides == NULL) {
        return;
    }
    size_t n = 0;
    for (size_t i = 0; i < c->params_count; i++) {
        const ratoon__param *now = &c->params[i];
        const ratoon__param *before = ratoon__param_of(old->params, old->params_count, now->name);
        if (before != NULL && strcmp(before->text, now->text) == 0) {
            continue; /* the same value again is no change */
        }
        overrides[n++] = (ratoon__override){
            .name = ratoon__arena_strdup(c->arena, now->name),
            .old_text = before == NULL ? "" : ratoon__arena_strdup(c->arena, before->text),
            .new_text = ratoon__arena_strdup(c->arena, now->text),
            .secret = now->secret || (before != NULL && before->secret),
        };
    }
    c->plan->overrides = overrides;
    c->plan->overrides_count = n;
}

static ratoon__params_request params_request(const ratoon__run *parent,
                                             const ratoon__retry_request *request,
                                             const ratoon_pipeline *p)
{
    const ratoon__run_created *old = &parent->fixed->created;
    return (ratoon__params_request){
        .pipeline = p,
        .given = request->options->params,
        .given_count = request->options->params_count,
        .secrets = request->secrets,
        .secrets_count = request->secrets_count,
        .old = old->params,
        .old_count = old->params_count,
    };
}

void ratoon__plan_params(planning *c)
{
    const ratoon__params_request request = params_request(c->parent, c->request, c->pipeline);
    const size_t before = c->refusals.count;
    if (ratoon__params_resolve(&request, c->arena, &c->refusals, &c->params, &c->params_count) !=
        RATOON_OK) {
        return;
    }
    c->params_good = c->refusals.count == before;
    list_overrides(c);
    if (c->params_good) {
        ratoon_error error;
        if (ratoon__scope_of(c->pipeline, c->params, c->params_count, c->arena, &c->scope,
                             &error) != RATOON_OK) {
            ratoon__refuse_error(&c->refusals, &error);
            c->params_good = false;
        }
    }
}

ratoon_status ratoon__retry_scope(const ratoon__run *parent, const ratoon__retry_request *request,
                                  ratoon__arena *arena, const char **out)
{
    const ratoon_pipeline *p =
        request->options->pipeline != NULL ? request->options->pipeline : parent->pipeline;
    const ratoon__params_request asked = params_request(parent, request, p);
    ratoon__refusals refusals = {.arena = arena};
    ratoon__param *params = NULL;
    size_t count = 0;
    ratoon_status status = ratoon__params_resolve(&asked, arena, &refusals, &params, &count);
    if (status == RATOON_OK) {
        status = ratoon__refusals_first(&refusals, NULL);
    }
    return status == RATOON_OK ? ratoon__scope_of(p, params, count, arena, out, NULL) : status;
}

/* ---- definition and version (R16, R17) ---- */

static void check_definition(planning *c)
{
    const ratoon_id run = c->parent->fixed->id;
    const ratoon_pipeline *old = c->parent->pipeline;
    const ratoon_pipeline *p = c->pipeline;
    if (!ratoon__same_digest(&old->digest, &p->digest) && !c->options->accept_changes) {
        const char *differences = c->facts->pipeline_differences;
        ratoon__refusal *refusal =
            ratoon__refuse(&c->refusals, RATOON_ERR_PIPELINE_CHANGED,
                           "the definition given differs from the one stored with run %I: %s", &run,
                           differences == NULL ? "(not compared)" : differences);
        refusal->hint = "add --accept-changes to use the new definition";
    }
    if (c->options->target > p->version) {
        ratoon__refusal *refusal = ratoon__refuse(
            &c->refusals, RATOON_ERR_VERSION_AHEAD,
            "version %U of the pipeline %s is asked for; the definition is version %U",
            c->options->target, p->name, p->version);
        refusal->hint = ratoon__arena_text(
            c->arena, "give a definition of version %U or later, or a lower --target",
            c->options->target);
    }
    if (old->version > p->version) {
        ratoon__refusal *refusal = ratoon__refuse(
            &c->refusals, RATOON_ERR_VERSION_AHEAD,
            "run %I was made by version %U of the pipeline %s; the definition is version %U", &run,
            old->version, p->name, p->version);
        refusal->hint =
            ratoon__arena_text(c->arena, "give a definition of version %U or later", old->version);
    }
}

/* ---- R04, R07, R08, R10 ---- */

static void check_parent(planning *c)
{
    const ratoon_id run = c->parent->fixed->id;
    if (!ratoon_run_status_active(c->parent->status)) {
        return;
    }
    ratoon__refusal *refusal =
        ratoon__refuse(&c->refusals, RATOON_ERR_RUN_ACTIVE,
                       "run %I is %s; a run can be retried once it has ended or is suspended", &run,
                       ratoon_run_status_name(c->parent->status));
    refusal->hint = ratoon__arena_text(c->arena, "ratoon wait %I, or ratoon cancel %I", &run, &run);
}

/* "root -> … -> parent" */
static const char *chain_text(const planning *c)
{
    const ratoon__run *chain[RATOON_DEPTH_MAX + 1];
    size_t count = 0;
    const ratoon__run *r = c->parent;
    while (r != NULL && count < sizeof chain / sizeof chain[0]) {
        chain[count++] = r;
        r = ratoon__lineage_run(c->lineage, r->fixed->created.parent);
    }
    ratoon__buf b = {0};
    while (count > 0) {
        const ratoon_id id = chain[--count]->fixed->id;
        ratoon__buf_format(&b, "%I%s", &id, count == 0 ? "" : " -> ");
    }
    return ratoon__arena_take(c->arena, &b);
}

static void check_depth(planning *c)
{
    c->plan->depth = c->parent->fixed->created.depth + 1;
    c->plan->max_depth = ratoon__depth_limit(c->pipeline, c->facts->store_max_depth);
    if (c->plan->depth <= c->plan->max_depth) {
        return;
    }
    ratoon__refusal *refusal =
        ratoon__refuse(&c->refusals, RATOON_ERR_DEPTH_LIMIT,
                       "the branch would have depth %u, the limit is %u; the chain is %s",
                       c->plan->depth, c->plan->max_depth, chain_text(c));
    refusal->hint = "retry a run further up the chain, or start a new one";
}

static void check_place(planning *c)
{
    const ratoon__run *other =
        ratoon__place_taken(c->lineage, c->parent, false, c->pipeline->max_active_branches);
    if (other == NULL) {
        return;
    }
    const ratoon_id id = other->fixed->id;
    if (c->options->queue) {
        c->waits = true;
        c->plan->waits_for = id;
        return;
    }
    ratoon__refusal *refusal =
        ratoon__refuse(&c->refusals, RATOON_ERR_BRANCH_ACTIVE, "run %I of the same lineage is %s",
                       &id, ratoon_run_status_name(other->status));
    refusal->other = id;
    refusal->hint = ratoon__arena_text(
        c->arena, "ratoon wait %I, or add --queue to start when it has ended", &id);
}

static void check_scope(planning *c)
{
    const ratoon__facts *facts = c->facts;
    if (c->scope == NULL || facts->claimed_scope == NULL ||
        strcmp(c->scope, facts->claimed_scope) != 0) {
        return;
    }
    ratoon__refusal *refusal =
        ratoon__refuse(&c->refusals, RATOON_ERR_SCOPE_BUSY,
                       "the scope '%s' is held by the active run %I", c->scope, &facts->claimed_by);
    refusal->other = facts->claimed_by;
    refusal->hint = ratoon__arena_text(c->arena, "ratoon wait %I, or ratoon cancel %I",
                                       &facts->claimed_by, &facts->claimed_by);
}

void ratoon__plan_limits(planning *c)
{
    ratoon_error error;
    check_parent(c);
    check_definition(c);
    check_depth(c);
    check_place(c);
    check_scope(c);
    if (ratoon__name_check("idempotency key", c->options->key, &error) != RATOON_OK) {
        ratoon__refuse_error(&c->refusals, &error);
    }
}
