/* Retries: planning and creating a branch. Preview and creation are one function with one plan. */
#include "log/store_impl.h"

#include <string.h>

typedef struct retry_context {
    ratoon__retry_context *shared;
    bool plan_only;
} retry_context;

/* The active run that holds the scope the branch would need, if it isn't one of ours (R10). */
static ratoon_status scope_fact(ratoon__request *r, const ratoon__lineage *before,
                                const ratoon__retry_context *c, ratoon__arena *a,
                                ratoon__facts *facts, ratoon_error *error)
{
    const ratoon__run *parent = ratoon__lineage_run(before, c->options->parent);
    const char *scope = NULL;
    if (parent == NULL || ratoon__retry_scope(parent, &c->request, a, &scope) != RATOON_OK ||
        scope == NULL) {
        return a->failed ? ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory") : RATOON_OK;
    }
    ratoon__buf name = {0};
    ratoon_id holder;
    ratoon__buf_format(&name, "scope:%s", scope);
    const ratoon_status status =
        name.failed ? ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory")
                    : r->driver->ops->claim_get(r->driver, name.data, &holder, error);
    if (status == RATOON_OK) {
        facts->claimed_scope = scope;
        facts->claimed_by = holder;
    }
    ratoon__buf_free(&name);
    return status == RATOON_ERR_NOT_FOUND ? RATOON_OK : status;
}

static ratoon_status token_check(ratoon__retry_context *c, ratoon_error *error)
{
    ratoon_digest digest;
    ratoon_status status =
        c->plan.canonical.failed
            ? RATOON_ERR_NO_MEMORY
            : ratoon__sha256(c->plan.canonical.data, c->plan.canonical.size, &digest);
    if (status != RATOON_OK) {
        return ratoon__fail(error, status, "the plan could not be digested");
    }
    ratoon__digest_format(&digest, c->token);
    if (c->options->plan != NULL && strcmp(c->options->plan, c->token) != 0) {
        (void)ratoon__fail(error, RATOON_ERR_PLAN_STALE,
                           "the retry would now do something else than the plan %s says; its plan "
                           "would be %s",
                           c->options->plan, c->token);
        ratoon__hint(error, "look at the new plan with --dry-run, then retry with its token");
        return RATOON_ERR_PLAN_STALE;
    }
    return RATOON_OK;
}

static ratoon_status decide_retry(ratoon__request *r, const ratoon__lineage *before,
                                  const ratoon__facts *facts, ratoon__decision *out,
                                  ratoon_error *error)
{
    retry_context *rc = r->ctx;
    ratoon__retry_context *c = rc->shared;
    ratoon__facts all = *facts;
    all.changed_files = c->facts_extra.changed_files;
    all.changed_files_count = c->facts_extra.changed_files_count;
    all.pipeline_differences = c->facts_extra.pipeline_differences;
    ratoon_status status = scope_fact(r, before, c, out->arena, &all, error);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__buf_free(&c->plan.canonical);
    c->plan = (ratoon__plan){.arena = out->arena};
    status = ratoon__decide_retry(before, &c->request, &all, &c->plan, rc->plan_only ? NULL : out,
                                  error);
    ratoon_status token =
        status == RATOON_ERR_NOT_FOUND || status == RATOON_ERR_NO_MEMORY || c->request.no_token
            ? RATOON_OK
            : token_check(c, status == RATOON_OK ? error : NULL);
    if (status == RATOON_OK && token != RATOON_OK) {
        status = token;
        out->count = 0;
    }
    return status;
}

/* Everything that has to be found out outside the lineage. */
static ratoon_status retry_prepare(ratoon_store *s, const ratoon_retry_options *o,
                                   const ratoon__lineage *l, const ratoon__run *parent,
                                   ratoon__arena *a, ratoon__retry_context *c,
                                   ratoon__value_list *stored, ratoon_error *error)
{
    ratoon__values edits;
    const ratoon_pair *plain;
    size_t plain_count;
    const ratoon_pipeline *p = o->pipeline != NULL ? o->pipeline : parent->pipeline;
    *c = (ratoon__retry_context){.store = s, .options = o};
    c->request = (ratoon__retry_request){.run = ratoon__store_new_id(s), .options = o};
    ratoon_status status =
        ratoon__prepare_params(s, a, p, o->params, o->params_count, &plain, &plain_count,
                               &c->request.secrets, &c->request.secrets_count, error);
    if (status == RATOON_OK) {
        status = ratoon__prepare_values(s, a, o->edits, o->edits_count, &edits, stored, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__prepare_definition(a, p, stored, error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    c->request.edits = edits.items;
    c->request.edits_count = edits.count;
    status = ratoon__retry_request_digest(o, &c->request, &c->request.request, error);
    if (status == RATOON_OK && o->pipeline != NULL &&
        !ratoon__digest_equal(&o->pipeline->digest, &parent->pipeline->digest)) {
        ratoon_buffer lines = {0};
        status = ratoon_pipeline_diff(parent->pipeline, o->pipeline, &lines, error);
        if (status == RATOON_OK) {
            c->facts_extra.pipeline_differences = ratoon__arena_strdup(a, lines.data);
            ratoon_buffer_free(&lines);
        }
    }
    ratoon__facts facts = {
        .now_us = ratoon_store_now(s), .actor = s->actor, .store_max_depth = s->options.max_depth};
    ratoon__state_view view = {0};
    if (status == RATOON_OK && !o->accept_changes && ratoon__files_possible(parent, &edits) &&
        ratoon__retry_state(l, &c->request, &facts, a, &view) == RATOON_OK) {
        status = ratoon__files_check(s, a, &view, &c->facts_extra.changed_files,
                                     &c->facts_extra.changed_files_count, error);
    }
    return status;
}

/* Secrets belong to the request's identity before its parent is looked at: where there is no
 * parent, an earlier equal request can't be either. */
ratoon_status ratoon__retry_plan(ratoon_store *s, const ratoon_retry_options *options,
                                 ratoon__arena *a, ratoon__retry_context *out, ratoon_error *error)
{
    ratoon__lineage *l = NULL;
    const ratoon__run *parent = NULL;
    ratoon__value_list stored = {0};
    if (options->struct_size != sizeof *options) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "retry options have an unknown size");
    }
    ratoon_status status = ratoon__store_run(s, options->parent, &l, &parent, error);
    if (status != RATOON_OK) {
        return status;
    }
    status = retry_prepare(s, options, l, parent, a, out, &stored, error);
    if (status == RATOON_OK) {
        retry_context rc = {.shared = out, .plan_only = true};
        ratoon__request r = {.ctx = &rc, .driver = s->driver};
        ratoon__decision none = {.arena = a};
        uint64_t now = ratoon_store_now(s);
        ratoon__facts facts = {.now_us = l->last_time_us > now ? l->last_time_us : now,
                               .actor = s->actor,
                               .executor = s->executor,
                               .store_max_depth = s->options.max_depth};
        status = decide_retry(&r, l, &facts, &none, error);
        /* A refusal is an answer too: the plan says all of them. */
        if (out->plan.refusals_count > 0 || status == RATOON_ERR_PLAN_STALE) {
            status = RATOON_OK;
        }
    }
    ratoon__lineage_unref(l);
    return status;
}

static ratoon_status retry_submit(ratoon_store *s, ratoon__retry_context *c, ratoon_id lineage,
                                  const ratoon__value_list *stored, ratoon_created *out,
                                  bool *key_taken, ratoon_error *error)
{
    ratoon__arena decided = {0};
    retry_context rc = {.shared = c};
    c->request.no_token = c->options->plan == NULL;
    ratoon__request r = {.lineage = lineage,
                         .decide = decide_retry,
                         .ctx = &rc,
                         .arena = &decided,
                         .values = stored->items,
                         .values_count = stored->count,
                         .error = error};
    ratoon_status status = ratoon__commit_request(s, &r);
    *key_taken = status == RATOON_ERR_CLAIMED && r.claimed_key;
    if (status == RATOON_OK) {
        out->run = c->request.run;
        out->epoch = ratoon__lineage_run(r.after, out->run)->epoch;
    } else if (status == RATOON_ERR_CLAIMED && !*key_taken) {
        status = ratoon__fail(error, RATOON_ERR_SCOPE_BUSY,
                              "the scope is held by the active run %I", &r.claim_holder);
        if (error != NULL) {
            error->other = r.claim_holder;
        }
    }
    ratoon__lineage_unref(r.after);
    ratoon__buf_free(&c->plan.canonical);
    ratoon__arena_free(&decided);
    return status;
}

/* There is no such parent. A key that is taken was taken by another request, and says so first
 * (R09). */
static ratoon_status parentless(ratoon_store *s, const ratoon_retry_options *o,
                                ratoon_status status, ratoon_error *error)
{
    const ratoon_digest no_request = {{0}};
    ratoon_id run;
    bool repeated;
    ratoon_error reused;
    if (status == RATOON_ERR_NOT_FOUND &&
        ratoon__key_lookup(s, o->key, &no_request, &run, &repeated, &reused) ==
            RATOON_ERR_KEY_REUSED) {
        status = RATOON_ERR_KEY_REUSED;
        if (error != NULL) {
            *error = reused;
        }
    }
    return status;
}

ratoon_status ratoon_retry_create(ratoon_store *store, const ratoon_retry_options *options,
                                  ratoon_created *out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon__arena prepared = {0};
    ratoon_created created = {0};
    bool again = true;
    ratoon_status status = RATOON_OK;
    if (options->struct_size != sizeof *options) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "retry options have an unknown size");
    }
    for (unsigned tries = 0; again && tries < RATOON__CONFLICTS_MAX; tries++) {
        ratoon__lineage *l = NULL;
        const ratoon__run *parent = NULL;
        ratoon__value_list stored = {0};
        ratoon__retry_context c = {0};
        again = false;
        ratoon__arena_free(&prepared);
        status = ratoon__store_run(store, options->parent, &l, &parent, error);
        if (status != RATOON_OK) {
            status = parentless(store, options, status, error);
            break;
        }
        status = retry_prepare(store, options, l, parent, &prepared, &c, &stored, error);
        if (status == RATOON_OK) {
            status = ratoon__key_lookup(store, options->key, &c.request.request, &created.run,
                                        &created.repeated, error);
        }
        if (status == RATOON_OK && !created.repeated && !options->no_exec) {
            status = ratoon__store_be_executor(store, error);
        }
        if (status == RATOON_OK && !created.repeated) {
            if (options->pipeline != NULL) {
                ratoon__definition_remember(store, options->pipeline);
            }
            status = retry_submit(store, &c, l->id, &stored, &created, &again, error);
            if (status != RATOON_OK && !again) {
                status = ratoon__key_after_refusal(store, options->key, &c.request.request,
                                                   &created.run, &created.repeated, status, error);
            }
        }
        ratoon__lineage_unref(l);
    }
    if (again) {
        status = ratoon__fail(error, RATOON_ERR_CONFLICT, "the key %s kept changing hands",
                              options->key);
    }
    ratoon__arena_free(&prepared);
    if (status == RATOON_OK) {
        *out = created;
    }
    return status;
}
