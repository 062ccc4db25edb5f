/* Events as documents: what `log` and `watch` print. One function a kind of event. */
#include "replay/json.h"

#include <stdlib.h>

static void set(json_t *o, const char *key, json_t *value)
{
    json_object_set_new(o, key, value);
}

static void set_text(json_t *o, const char *key, const char *text)
{
    if (text != NULL) {
        set(o, key, ratoon__json_text(text));
    }
}

static void set_number(json_t *o, const char *key, uint64_t n)
{
    set(o, key, json_integer((json_int_t)n));
}

/* A value: what it is, and itself where it is inline JSON. */
static json_t *value_of(const ratoon__value_ref *v)
{
    json_t *doc = json_pack("{s:o,s:I,s:o}", "media_type", ratoon__json_text(v->media_type), "size",
                            (json_int_t)v->size, "digest", ratoon__json_digest(&v->digest));
    if (v->data != NULL) {
        json_t *inline_value = json_loadb(v->data, (size_t)v->size, JSON_DECODE_ANY, NULL);
        set(doc, "value",
            inline_value != NULL ? inline_value : ratoon__json_bytes(v->data, (size_t)v->size));
    }
    return doc;
}

static json_t *values_of(const ratoon__values *values)
{
    json_t *doc = json_object();
    for (size_t i = 0; i < values->count; i++) {
        set(doc, values->items[i].key, value_of(&values->items[i]));
    }
    return doc;
}

static void set_failure(json_t *o, const ratoon_pipeline *p, const ratoon__failure *f)
{
    if (f->error_class == RATOON_CLASS_NONE) {
        return;
    }
    set(o, "error",
        json_pack("{s:o,s:o,s:o,s:b,s:o}", "class", ratoon__json_class(f->error_class), "message",
                  ratoon__json_text(f->message), "detail", ratoon__json_text(f->detail),
                  "retryable", f->retryable, "suggested_overrides",
                  ratoon__json_suggested(p, f->suggested, f->suggested_count)));
}

static void set_capture(json_t *o, const ratoon__capture *capture)
{
    if (!capture->present) {
        return;
    }
    const ratoon_capture *c = &capture->c;
    json_t *out =
        json_pack("{s:I,s:I,s:o}", "size", (json_int_t)c->stdout_size, "dropped",
                  (json_int_t)c->stdout_dropped, "digest", ratoon__json_digest(&c->stdout_digest));
    json_t *err =
        json_pack("{s:I,s:I,s:o}", "size", (json_int_t)c->stderr_size, "dropped",
                  (json_int_t)c->stderr_dropped, "digest", ratoon__json_digest(&c->stderr_digest));
    set(o, "captured", json_pack("{s:o,s:o}", "stdout", out, "stderr", err));
}

static json_t *stage_names(const ratoon_pipeline *p, const uint32_t *stages, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, ratoon__json_stage(p, (int32_t)stages[i]));
    }
    return list;
}

static const char *items_mode_name(ratoon_items_mode mode)
{
    static const char *const names[] = {"missing", "failed", "all", "listed"};
    return mode <= RATOON_ITEMS_LISTED ? names[mode] : "missing";
}

static void branch_data(json_t *o, const ratoon_pipeline *p, const ratoon__run_created *c)
{
    set(o, "parent", ratoon__json_id(c->parent));
    set_number(o, "parent_event", c->parent_event);
    set(o, "requested_stage", ratoon__json_stage(p, c->requested_stage));
    set(o, "from_stage", ratoon__json_stage(p, c->effective_stage));
    set_text(o, "boundary", c->boundary);
    set(o, "rerun", json_boolean(c->rerun));
    set(o, "only", json_boolean(c->only));
    set(o, "destructive", json_boolean(c->destructive));
    set(o, "items", json_string(items_mode_name(c->items_mode)));
    set(o, "overrides", ratoon__json_overrides(p, c->overrides, c->overrides_count));
    set(o, "rerun_set", stage_names(p, c->rerun_set, c->rerun_set_count));
    json_t *edits = json_array();
    for (size_t i = 0; i < c->edits_count; i++) {
        const ratoon__edit *e = &c->edits[i];
        json_array_append_new(
            edits,
            json_pack("{s:o,s:o,s:o,s:b}", "key", ratoon__json_text(e->value.key), "old_digest",
                      e->had_old ? ratoon__json_digest(&e->old_digest) : json_null(), "new",
                      value_of(&e->value), "partial", e->partial));
    }
    set(o, "edits", edits);
}

static void created_data(json_t *o, const ratoon_pipeline *p, const ratoon__run_created *c)
{
    set(o, "root", ratoon__json_id(c->root));
    set_number(o, "depth", c->depth);
    set_number(o, "number", c->number);
    set_number(o, "max_depth", c->max_depth);
    set(o, "status", json_string(ratoon_run_status_name(c->status)));
    set_text(o, "pipeline", c->pipeline_name);
    set_number(o, "version", c->pipeline_version);
    set(o, "digest", ratoon__json_digest(&c->pipeline_digest));
    set_text(o, "file", c->file);
    set_text(o, "subject", c->subject);
    set_text(o, "scope", c->scope);
    set_text(o, "external_ref", c->external_ref);
    json_t *params = json_object();
    for (size_t i = 0; i < c->params_count; i++) {
        set(params, c->params[i].name, ratoon__json_param(p, c->params[i].name, c->params[i].text));
    }
    set(o, "params", params);
    set(o, "state", values_of(&c->state));
    json_t *labels = json_object();
    for (size_t i = 0; i < c->labels_count; i++) {
        set(labels, c->labels[i].name, ratoon__json_text(c->labels[i].value));
    }
    set(o, "labels", labels);
    set_text(o, "actor", c->actor);
    set_text(o, "reason", c->reason);
    set_text(o, "cause", c->cause);
    set(o, "automatic", json_boolean(c->automatic));
    set_text(o, "key", c->key);
    if (c->until >= 0) {
        set(o, "until", ratoon__json_stage(p, c->until));
    }
    if (!ratoon_id_is_zero(c->parent)) {
        branch_data(o, p, c);
    }
}

static void ended_data(json_t *o, const ratoon_pipeline *p, const ratoon__event *e)
{
    set(o, "status", json_string(ratoon_stage_status_name(e->u.stage_ended.status)));
    set_number(o, "attempt", e->u.stage_ended.attempt);
    set(o, e->u.stage_ended.status == RATOON_STAGE_FAILED ? "partial" : "outputs",
        values_of(&e->u.stage_ended.outputs));
    set_failure(o, p, &e->u.stage_ended.failure);
    set_text(o, "reason", e->u.stage_ended.reason);
    set_capture(o, &e->u.stage_ended.capture);
    if (e->u.stage_ended.has_progress) {
        set(o, "progress",
            json_pack("{s:I,s:I,s:o}", "done", (json_int_t)e->u.stage_ended.done, "total",
                      (json_int_t)e->u.stage_ended.total, "message",
                      ratoon__json_text(e->u.stage_ended.progress_message)));
    }
}

static void item_data(json_t *o, const ratoon__event *e)
{
    set_number(o, "attempt", e->u.item.attempt);
    set_text(o, "item", e->u.item.key);
    set(o, "status",
        json_string(e->u.item.failed      ? "failed"
                    : e->u.item.committed ? "committed"
                                          : "done"));
    if (e->u.item.has_output) {
        set(o, "output", value_of(&e->u.item.output));
    }
    if (e->u.item.error_class != RATOON_CLASS_NONE) {
        set(o, "class", ratoon__json_class(e->u.item.error_class));
    }
    set_text(o, "error", e->u.item.error);
    set_capture(o, &e->u.item.capture);
}

static void run_data(json_t *o, const ratoon_pipeline *p, const ratoon__event *e)
{
    switch (e->type) {
    case RATOON__EVENT_RUN_CREATED:
        created_data(o, p, &e->u.created);
        break;
    case RATOON__EVENT_RUN_BRANCHED:
        set(o, "child", ratoon__json_id(e->u.branched.child));
        set(o, "from_stage", ratoon__json_stage(p, e->u.branched.from_stage));
        set_number(o, "depth", e->u.branched.depth);
        break;
    case RATOON__EVENT_RUN_STARTED:
        set_number(o, "epoch", e->u.started.epoch);
        set(o, "executor", ratoon__json_id(e->u.started.executor));
        if (e->u.started.until >= 0) {
            set(o, "until", ratoon__json_stage(p, e->u.started.until));
        }
        set_text(o, "actor", e->u.started.actor);
        break;
    case RATOON__EVENT_RUN_CANCEL_REQUESTED:
        set_text(o, "actor", e->u.cancel_requested.actor);
        set_text(o, "reason", e->u.cancel_requested.reason);
        break;
    case RATOON__EVENT_RUN_SUSPENDED:
        set(o, "class", ratoon__json_class(e->u.suspended.error_class));
        set_text(o, "reason", e->u.suspended.reason);
        break;
    case RATOON__EVENT_RUN_ENDED:
        set(o, "status", json_string(ratoon_run_status_name(e->u.ended.status)));
        set_text(o, "reason", e->u.ended.reason);
        break;
    case RATOON__EVENT_RUN_EXTERNAL_REF:
        set_text(o, "external_ref", e->u.external_ref.ref);
        break;
    case RATOON__EVENT_RUN_ANNOTATED:
        set_text(o, "text", e->u.annotated.text);
        set_text(o, "actor", e->u.annotated.actor);
        break;
    case RATOON__EVENT_RUN_CONSUMED_BY:
        set(o, "consumer", ratoon__json_id(e->u.consumed_by.consumer));
        set(o, "consumer_root", ratoon__json_id(e->u.consumed_by.consumer_root));
        set_text(o, "consumer_stage", e->u.consumed_by.stage);
        break;
    case RATOON__EVENT_LINEAGE_DELETED:
        set_number(o, "commits", e->u.deleted.commits);
        set_number(o, "events", e->u.deleted.events);
        set_number(o, "runs", e->u.deleted.runs);
        set_text(o, "actor", e->u.deleted.actor);
        break;
    case RATOON__EVENT_RUN_PIPELINE_CHANGED:
        set(o, "old_digest", ratoon__json_digest(&e->u.pipeline_changed.old_digest));
        set(o, "new_digest", ratoon__json_digest(&e->u.pipeline_changed.new_digest));
        set_number(o, "version", e->u.pipeline_changed.version);
        break;
    default:
        break;
    }
}

/* Index of the stage an event is about; false: it is about the run. */
static bool stage_data(json_t *o, const ratoon_pipeline *p, const ratoon__event *e, uint32_t *stage)
{
    *stage = e->u.stage_started.stage; /* all of them begin with stage and attempt */
    switch (e->type) {
    case RATOON__EVENT_STAGE_STARTED:
        set_number(o, "attempt", e->u.stage_started.attempt);
        return true;
    case RATOON__EVENT_STAGE_ENDED:
        ended_data(o, p, e);
        return true;
    case RATOON__EVENT_STAGE_RETURNED:
        set_number(o, "attempt", e->u.stage_returned.attempt);
        set_number(o, "delay_ms", e->u.stage_returned.delay_ms);
        set(o, "partial", values_of(&e->u.stage_returned.partial));
        set_failure(o, p, &e->u.stage_returned.failure);
        set_capture(o, &e->u.stage_returned.capture);
        return true;
    case RATOON__EVENT_STAGE_PROGRESS:
        set_number(o, "attempt", e->u.progress.attempt);
        set_number(o, "done", e->u.progress.done);
        set_number(o, "total", e->u.progress.total);
        set_text(o, "message", e->u.progress.message);
        return true;
    case RATOON__EVENT_STAGE_ITEMS:
        set_number(o, "attempt", e->u.items.attempt);
        set_number(o, "total", e->u.items.total);
        return true;
    case RATOON__EVENT_ITEM_ENDED:
        item_data(o, e);
        return true;
    case RATOON__EVENT_STAGE_CONSUMED:
        set_number(o, "attempt", e->u.consumed.attempt);
        set(o, "run", ratoon__json_id(e->u.consumed.run));
        set(o, "root", ratoon__json_id(e->u.consumed.root));
        return true;
    default:
        run_data(o, p, e);
        return false;
    }
}

json_t *ratoon__json_event(const ratoon__commit *commit, size_t i, const ratoon_pipeline *pipeline)
{
    const ratoon__event *e = &commit->events[i];
    const ratoon_pipeline *p = pipeline;
    if (e->type == RATOON__EVENT_RUN_CREATED) {
        p = e->u.created.pipeline;
    }
    json_t *data = json_object();
    uint32_t stage = 0;
    bool of_stage = stage_data(data, p, e, &stage);
    return json_pack("{s:o,s:I,s:I,s:o,s:o,s:s,s:o,s:o}", "lineage",
                     ratoon__json_id(commit->lineage), "commit", (json_int_t)commit->number,
                     "event", (json_int_t)commit->first_event + (json_int_t)i, "run",
                     ratoon__json_id(e->run), "time", ratoon__json_time(commit->time_us), "type",
                     ratoon__event_type_name(e->type), "stage",
                     of_stage ? ratoon__json_stage(p, (int32_t)stage) : json_null(), "data", data);
}

/* ---- log ---- */

typedef struct log_context {
    ratoon_store *store;
    const ratoon__lineage *lineage; /* to name stages */
    ratoon_id run;                  /* zero: all */
    ratoon__buf *out;
    ratoon_status status;
    ratoon_error *error;
} log_context;

static bool log_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                       const void *data, size_t size)
{
    log_context *c = ctx;
    ratoon__arena arena = {0};
    ratoon__commit commit;
    (void)position;
    (void)lineage;
    if (number > c->lineage->head) {
        return false; /* newer than what was asked about */
    }
    c->status = ratoon__store_decode(c->store, data, size, &arena, &commit, c->error);
    if (c->status == RATOON_OK) {
        for (size_t i = 0; c->status == RATOON_OK && i < commit.events_count; i++) {
            const ratoon__event *e = &commit.events[i];
            if (!ratoon_id_is_zero(c->run) && !ratoon_id_equal(e->run, c->run)) {
                continue;
            }
            const ratoon__run *r = ratoon__lineage_run(c->lineage, e->run);
            json_t *doc = ratoon__json_event(&commit, i, r != NULL ? r->pipeline : NULL);
            json_t *line = json_pack("{s:i}", "schema", RATOON__SCHEMA);
            json_object_update(line, doc);
            json_decref(doc);
            c->status = ratoon__json_line(line, c->out);
        }
        ratoon__commit_release(&commit);
    }
    ratoon__arena_free(&arena);
    return c->status == RATOON_OK;
}

ratoon_status ratoon_doc_log(ratoon_store *store, ratoon_id run, bool lineage,
                             ratoon_buffer *json_lines, ratoon_error *error)
{
    if (json_lines == NULL) {
        return ratoon__no_place("json_lines", error);
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    ratoon__buf out = {0};
    ratoon_status status = ratoon__store_run(store, run, &l, &r, error);
    if (status != RATOON_OK) {
        return status;
    }
    log_context c = {.store = store, .lineage = l, .out = &out, .error = error};
    if (!lineage) {
        c.run = run;
    }
    ratoon__driver *d = ratoon__store_driver(store);
    status = d->ops->read(d, l->id, 1, true, false, log_commit, &c, error);
    status = status != RATOON_OK ? status : c.status;
    ratoon__lineage_unref(l);
    if (status != RATOON_OK) {
        ratoon__buf_free(&out);
        return status == RATOON_ERR_NO_MEMORY ? ratoon__fail(error, status, "out of memory")
                                              : status;
    }
    *json_lines = (ratoon_buffer){.data = out.data, .size = out.size};
    return RATOON_OK;
}
