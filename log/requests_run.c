/* Creating runs and changing them: the public functions that append. */
#include "log/store_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { APPLY_ROOM = 2048 }; /* bytes, of what changes of a run are prepared and decided in */

static ratoon_status size_check(size_t given, size_t expected, const char *what,
                                ratoon_error *error)
{
    if (given != expected) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "%s have size %U; this library expects %U, set by their INIT macro",
                            what, (uint64_t)given, (uint64_t)expected);
    }
    return RATOON_OK;
}

/* ---- creation ---- */

typedef struct create_context {
    ratoon__create_request request;
} create_context;

static ratoon_status decide_create(ratoon__request *r, const ratoon__lineage *before,
                                   const ratoon__facts *facts, ratoon__decision *out,
                                   ratoon_error *error)
{
    create_context *c = r->ctx;
    (void)before;
    return ratoon__decide_create(&c->request, facts, out, error);
}

static ratoon_status scope_busy(ratoon__request *r, const char *scope)
{
    (void)ratoon__fail(r->error, RATOON_ERR_SCOPE_BUSY,
                       "the scope '%s' is held by the active run %I", scope != NULL ? scope : "",
                       &r->claim_holder);
    char id[RATOON_ID_TEXT];
    ratoon_id_format(r->claim_holder, id);
    ratoon__hint(r->error, "wait for it with `ratoon wait %s`, or end it with `ratoon cancel %s`",
                 id, id);
    if (r->error != NULL) {
        r->error->other = r->claim_holder;
    }
    return RATOON_ERR_SCOPE_BUSY;
}

/* Fills in the request from the options; what it points to lives in the arena or in the options. */
static ratoon_status create_prepare(ratoon_store *s, const ratoon_run_options *o, ratoon__arena *a,
                                    ratoon__create_request *c, ratoon__value_list *stored,
                                    ratoon_error *error)
{
    *c = (ratoon__create_request){
        .run = ratoon__store_new_id(s),
        .pipeline = o->pipeline,
        .labels = o->labels,
        .labels_count = o->labels_count,
        .subject = o->subject,
        .file = o->file,
        .key = o->key,
        .reason = o->reason,
        .until = o->until,
        .external_ref = o->external_ref,
        .target = o->target,
        .no_exec = o->no_exec,
        .auto_retry = o->auto_retry,
    };
    ratoon_status status =
        ratoon__prepare_params(s, a, o->pipeline, o->params, o->params_count, &c->params,
                               &c->params_count, &c->secrets, &c->secrets_count, error);
    if (status == RATOON_OK) {
        status = ratoon__prepare_values(s, a, o->state, o->state_count, &c->state, stored, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__prepare_definition(a, o->pipeline, stored, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__create_request_digest(o, c, &c->request, error);
        c->params = o->params; /* secrets too: core checks them like any other (R12) */
        c->params_count = o->params_count;
    }
    return status;
}

ratoon_status ratoon_run_create(ratoon_store *store, const ratoon_run_options *options,
                                ratoon_created *out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon_status status = size_check(options->struct_size, sizeof *options, "run options", error);
    if (status == RATOON_OK && options->pipeline == NULL) {
        status = ratoon__fail(error, RATOON_ERR_USAGE, "a run needs a pipeline");
    }
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__arena prepared = {0}, decided = {0};
    ratoon__value_list stored = {0};
    create_context c;
    ratoon_created created = {0};
    status = create_prepare(store, options, &prepared, &c.request, &stored, error);
    for (unsigned tries = 0; status == RATOON_OK && tries < RATOON__CONFLICTS_MAX; tries++) {
        status = ratoon__key_lookup(store, options->key, &c.request.request, &created.run,
                                    &created.repeated, error);
        if (status != RATOON_OK || created.repeated) {
            break;
        }
        status = options->no_exec ? RATOON_OK : ratoon__store_be_executor(store, error);
        if (status != RATOON_OK) {
            break;
        }
        ratoon__definition_remember(store, options->pipeline);
        ratoon__request r = {.lineage = c.request.run,
                             .fresh = true,
                             .decide = decide_create,
                             .ctx = &c,
                             .arena = &decided,
                             .values = stored.items,
                             .values_count = stored.count,
                             .error = error};
        status = ratoon__commit_request(store, &r);
        if (status == RATOON_OK) {
            created.run = c.request.run;
            created.epoch = ratoon__lineage_run(r.after, created.run)->epoch;
            ratoon__lineage_unref(r.after);
            break;
        }
        if (status == RATOON_ERR_CLAIMED && r.claimed_key) {
            status = RATOON_OK; /* an equal request got there first, or another: look again */
        } else if (status == RATOON_ERR_CLAIMED) {
            const char *scope = NULL;
            (void)ratoon__create_scope(&c.request, &prepared, &scope, NULL);
            status =
                ratoon__key_after_refusal(store, options->key, &c.request.request, &created.run,
                                          &created.repeated, scope_busy(&r, scope), error);
            break;
        }
    }
    if (status == RATOON_OK && ratoon_id_is_zero(created.run)) {
        status = ratoon__fail(error, RATOON_ERR_CONFLICT, "the key %s kept changing hands",
                              options->key);
    }
    ratoon__arena_free(&prepared);
    ratoon__arena_free(&decided);
    if (status == RATOON_OK) {
        *out = created;
    }
    return status;
}

/* ---- start and resume ---- */

typedef struct start_context {
    ratoon_id run;
    const char *until;
    const ratoon_pipeline *pipeline;
    const char *differences;
    const char *const *changed;
    size_t changed_count;
    uint64_t epoch;
    const char *scope; /* of the run, in the request's arena */
} start_context;

static ratoon_status decide_start(ratoon__request *r, const ratoon__lineage *before,
                                  const ratoon__facts *facts, ratoon__decision *out,
                                  ratoon_error *error)
{
    start_context *c = r->ctx;
    ratoon__facts all = *facts;
    all.pipeline_differences = c->differences;
    all.changed_files = c->changed;
    all.changed_files_count = c->changed_count;
    const ratoon__run *run = ratoon__lineage_run(before, c->run);
    const char *scope = run != NULL ? run->fixed->created.scope : NULL;
    c->scope = scope != NULL ? ratoon__arena_strdup(r->arena, scope) : NULL;
    return ratoon__decide_start(before, c->run, c->until, c->pipeline, &all, out, &c->epoch, error);
}

/* What has to be found out before a start is decided: differences of definitions (R16) and files
 * that are no longer what they were (S10). */
static ratoon_status start_prepare(ratoon_store *s, const ratoon_start_options *o, ratoon__arena *a,
                                   start_context *c, ratoon_id *root, ratoon_error *error)
{
    ratoon__lineage *l = NULL;
    const ratoon__run *run = NULL;
    ratoon_status status = ratoon__store_run(s, c->run, &l, &run, error);
    if (status != RATOON_OK) {
        return status;
    }
    *root = l->id;
    if (o->pipeline != NULL &&
        !ratoon__digest_equal(&o->pipeline->digest, &run->pipeline->digest)) {
        ratoon_buffer lines = {0};
        status = ratoon_pipeline_diff(run->pipeline, o->pipeline, &lines, error);
        if (status == RATOON_OK && !o->accept_changes) {
            c->differences = ratoon__arena_strdup(a, lines.data);
        }
        c->pipeline = o->pipeline;
        ratoon_buffer_free(&lines);
    }
    if (status == RATOON_OK && !o->accept_changes && run->status == RATOON_RUN_SUSPENDED) {
        ratoon__boundary end = {.kind = RATOON__AT_END};
        ratoon__state_view view;
        status = ratoon__state_at(run, &end, a, &view);
        if (status == RATOON_OK) {
            status = ratoon__files_check(s, a, &view, &c->changed, &c->changed_count, error);
        }
    }
    ratoon__lineage_unref(l);
    return status;
}

ratoon_status ratoon_run_start(ratoon_store *store, ratoon_id run,
                               const ratoon_start_options *options, uint64_t *epoch,
                               ratoon_error *error)
{
    if (epoch == NULL) {
        return ratoon__no_place("epoch", error);
    }
    ratoon_start_options defaults = RATOON_START_OPTIONS_INIT;
    const ratoon_start_options *o = options ? options : &defaults;
    ratoon_status status = size_check(o->struct_size, sizeof *o, "start options", error);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__arena prepared = {0}, decided = {0};
    ratoon__value_list stored = {0};
    start_context c = {.run = run, .until = o->until};
    ratoon__request r = {.decide = decide_start, .ctx = &c, .arena = &decided, .error = error};
    status = start_prepare(store, o, &prepared, &c, &r.lineage, error);
    if (status == RATOON_OK && c.pipeline != NULL) {
        status = ratoon__prepare_definition(&prepared, c.pipeline, &stored, error);
        ratoon__definition_remember(store, c.pipeline);
    }
    if (status == RATOON_OK) {
        status = ratoon__store_be_executor(store, error);
    }
    if (status == RATOON_OK) {
        r.values = stored.items;
        r.values_count = stored.count;
        status = ratoon__commit_request(store, &r);
        status = status == RATOON_ERR_CLAIMED ? scope_busy(&r, c.scope) : status;
        ratoon__lineage_unref(r.after);
    }
    ratoon__arena_free(&prepared);
    ratoon__arena_free(&decided);
    if (status == RATOON_OK) {
        *epoch = c.epoch;
    }
    return status;
}

/* ---- operations of an executor ---- */

static ratoon_status decide_apply(ratoon__request *r, const ratoon__lineage *before,
                                  const ratoon__facts *facts, ratoon__decision *out,
                                  ratoon_error *error)
{
    ratoon__apply *a = r->ctx;
    return ratoon__decide_apply(before, a->run, a->epoch, a->ops, a->count, a->public_ops, facts,
                                out, error);
}

static ratoon_status op_prepare(ratoon_store *s, ratoon__arena *a, const ratoon_op *in,
                                ratoon__op *out, ratoon__value_list *stored, ratoon_error *error)
{
    *out = (ratoon__op){.op = in};
    ratoon_status status =
        ratoon__prepare_values(s, a, in->outputs, in->outputs_count, &out->outputs, stored, error);
    ratoon__value_ref *refs =
        status == RATOON_OK ? ratoon__arena_alloc(a, in->items_count * sizeof *refs) : NULL;
    for (size_t i = 0; status == RATOON_OK && refs != NULL && i < in->items_count; i++) {
        const ratoon_item_result *item = &in->items[i];
        if (item->output != NULL) {
            ratoon_value value = {.data = item->output, .size = item->output_size};
            status = ratoon__prepare_value(s, a, &value, &refs[i], stored, error);
        }
    }
    out->item_outputs = refs;
    if (status == RATOON_OK && in->kind == RATOON_OP_CONSUMES) {
        ratoon__lineage *l = NULL;
        const ratoon__run *consumed = NULL;
        status = ratoon__store_run(s, in->run, &l, &consumed, error);
        if (status == RATOON_OK) {
            out->consumed_root = l->id;
            ratoon__lineage_unref(l);
        }
    }
    return status == RATOON_OK && a->failed
               ? ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory")
               : status;
}

ratoon_status ratoon__apply_prepare(ratoon_store *s, ratoon_id run, uint64_t epoch, ratoon_op *ops,
                                    size_t ops_count, ratoon__apply *a, ratoon__request *r,
                                    ratoon_error *error)
{
    ratoon__value_list stored = {0};
    if (ops == NULL || ops_count == 0) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "no operations were given");
    }
    a->run = run;
    a->epoch = epoch;
    a->public_ops = ops;
    a->count = ops_count;
    r->decide = decide_apply;
    r->ctx = a;
    r->arena = &a->decided;
    ratoon_status status = ratoon__root_of(s, s->driver, run, &r->lineage, error);
    if (status == RATOON_OK) {
        a->ops = ratoon__arena_alloc(&a->prepared, ops_count * sizeof *a->ops);
        status =
            a->ops == NULL ? ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory") : status;
    }
    for (size_t i = 0; status == RATOON_OK && i < ops_count; i++) {
        status = op_prepare(s, &a->prepared, &ops[i], &a->ops[i], &stored, error);
    }
    r->values = stored.items;
    r->values_count = stored.count;
    return status;
}

void ratoon__apply_free(ratoon__apply *a)
{
    ratoon__arena_free(&a->prepared);
    ratoon__arena_free(&a->decided);
}

ratoon_status ratoon_run_apply(ratoon_store *store, ratoon_id run, uint64_t epoch, ratoon_op *ops,
                               size_t ops_count, ratoon_error *error)
{
    /* On the stack, what most changes need costs no allocation. */
    max_align_t prepared[APPLY_ROOM / sizeof(max_align_t)];
    max_align_t decided[APPLY_ROOM / sizeof(max_align_t)];
    ratoon__apply a = {.prepared = {0}};
    ratoon__request r = {.error = error, .may_make_ahead = true};
    ratoon__arena_lend(&a.prepared, prepared, sizeof prepared);
    ratoon__arena_lend(&a.decided, decided, sizeof decided);
    ratoon_status status = ratoon__apply_prepare(store, run, epoch, ops, ops_count, &a, &r, error);
    if (status == RATOON_OK) {
        status = ratoon__commit_request(store, &r);
        ratoon__lineage_unref(r.after);
    }
    ratoon__apply_free(&a);
    return status;
}

ratoon_status ratoon_stage_start(ratoon_store *store, ratoon_id run, uint64_t epoch,
                                 const char *stage, uint32_t *attempt, ratoon_error *error)
{
    if (attempt == NULL) {
        return ratoon__no_place("attempt", error);
    }
    ratoon_op op = {.kind = RATOON_OP_STAGE_START, .stage = stage};
    ratoon_status status = ratoon_run_apply(store, run, epoch, &op, 1, error);
    if (status == RATOON_OK) {
        *attempt = op.attempt_out;
    }
    return status;
}

ratoon_status ratoon_stage_succeed(ratoon_store *store, ratoon_id run, uint64_t epoch,
                                   const char *stage, uint32_t attempt, const ratoon_value *outputs,
                                   size_t outputs_count, ratoon_error *error)
{
    ratoon_op op = {.kind = RATOON_OP_STAGE_END,
                    .stage = stage,
                    .attempt = attempt,
                    .status = RATOON_STAGE_SUCCEEDED,
                    .outputs = outputs,
                    .outputs_count = outputs_count};
    return ratoon_run_apply(store, run, epoch, &op, 1, error);
}

ratoon_status ratoon_stage_fail(ratoon_store *store, ratoon_id run, uint64_t epoch,
                                const char *stage, uint32_t attempt, const ratoon_failure *failure,
                                ratoon_error *error)
{
    ratoon_op op = {.kind = RATOON_OP_STAGE_END,
                    .stage = stage,
                    .attempt = attempt,
                    .status = RATOON_STAGE_FAILED,
                    .failure = failure};
    return ratoon_run_apply(store, run, epoch, &op, 1, error);
}

ratoon_status ratoon_run_finish(ratoon_store *store, ratoon_id run, uint64_t epoch,
                                ratoon_run_status *run_status, ratoon_error *error)
{
    ratoon_op op = {.kind = RATOON_OP_FINISH};
    ratoon_status status = ratoon_run_apply(store, run, epoch, &op, 1, error);
    if (status == RATOON_OK && run_status != NULL) {
        *run_status = op.run_status_out;
    }
    return status;
}

/* ---- cancel and annotate ---- */

typedef struct text_context {
    ratoon_id run;
    const char *text;
    ratoon_run_status status;
} text_context;

static ratoon_status decide_cancel(ratoon__request *r, const ratoon__lineage *before,
                                   const ratoon__facts *facts, ratoon__decision *out,
                                   ratoon_error *error)
{
    text_context *c = r->ctx;
    return ratoon__decide_cancel(before, c->run, c->text, facts, out, &c->status, error);
}

static ratoon_status decide_annotate(ratoon__request *r, const ratoon__lineage *before,
                                     const ratoon__facts *facts, ratoon__decision *out,
                                     ratoon_error *error)
{
    text_context *c = r->ctx;
    return ratoon__decide_annotate(before, c->run, c->text, facts, out, error);
}

static ratoon_status submit_text(ratoon_store *store, text_context *c,
                                 ratoon_status (*decide)(ratoon__request *, const ratoon__lineage *,
                                                         const ratoon__facts *, ratoon__decision *,
                                                         ratoon_error *),
                                 ratoon_error *error)
{
    ratoon__arena decided = {0};
    ratoon__request r = {.decide = decide, .ctx = c, .arena = &decided, .error = error};
    ratoon_status status = ratoon__root_of(store, store->driver, c->run, &r.lineage, error);
    if (status == RATOON_OK) {
        status = ratoon__commit_request(store, &r);
        ratoon__lineage_unref(r.after);
    }
    ratoon__arena_free(&decided);
    return status;
}

ratoon_status ratoon_run_cancel(ratoon_store *store, ratoon_id run, const char *reason,
                                ratoon_run_status *run_status, ratoon_error *error)
{
    text_context c = {.run = run, .text = reason};
    ratoon_status status = submit_text(store, &c, decide_cancel, error);
    if (status == RATOON_OK && run_status != NULL) {
        *run_status = c.status;
    }
    return status;
}

ratoon_status ratoon_run_annotate(ratoon_store *store, ratoon_id run, const char *text,
                                  ratoon_error *error)
{
    text_context c = {.run = run, .text = text};
    if (text == NULL || text[0] == '\0') {
        return ratoon__fail(error, RATOON_ERR_USAGE, "an annotation needs a text");
    }
    return submit_text(store, &c, decide_annotate, error);
}
