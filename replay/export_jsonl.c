/* JSON lines that can be imported again: values once each, before the first commit that refers to
 * them; commits as their very bytes, beside events that people can read. */
#include "replay/export.h"

#include <stdlib.h>
#include <string.h>

/* ---- values of a commit ---- */

void ratoon__commit_values(const ratoon__commit *commit,
                           void (*fn)(void *ctx, const ratoon__value_ref *value), void *ctx)
{
    for (size_t i = 0; i < commit->events_count; i++) {
        const ratoon__event *e = &commit->events[i];
        ratoon__values values = {0};
        switch (e->type) {
        case RATOON__EVENT_RUN_CREATED:
            values = e->u.created.state;
            for (size_t k = 0; k < e->u.created.edits_count; k++) {
                fn(ctx, &e->u.created.edits[k].value);
            }
            break;
        case RATOON__EVENT_STAGE_ENDED:
            values = e->u.stage_ended.outputs;
            break;
        case RATOON__EVENT_STAGE_RETURNED:
            values = e->u.stage_returned.partial;
            break;
        case RATOON__EVENT_ITEM_ENDED:
            if (e->u.item.has_output) {
                fn(ctx, &e->u.item.output);
            }
            break;
        default:
            break;
        }
        for (size_t k = 0; k < values.count; k++) {
            fn(ctx, &values.items[k]);
        }
    }
}

typedef struct referring {
    ratoon__stored_fn fn;
    void *ctx;
} referring;

static void refer(void *ctx, const ratoon__value_ref *value)
{
    const referring *r = ctx;
    if (value->data == NULL && value->size > 0) {
        r->fn(r->ctx, &value->digest, value->size);
    }
}

void ratoon__commit_stored(const ratoon__commit *commit, ratoon__stored_fn fn, void *ctx)
{
    referring r = {fn, ctx};
    for (size_t i = 0; i < commit->events_count; i++) {
        const ratoon__event *e = &commit->events[i];
        if (e->type == RATOON__EVENT_RUN_CREATED) {
            fn(ctx, &e->u.created.pipeline_digest, UINT64_MAX);
        } else if (e->type == RATOON__EVENT_RUN_PIPELINE_CHANGED) {
            fn(ctx, &e->u.pipeline_changed.new_digest, UINT64_MAX);
        }
    }
    ratoon__commit_values(commit, refer, &r);
}

/* ---- lines ---- */

typedef struct jsonl {
    ratoon__export *x;
    const ratoon__lineage *lineage;
    uint64_t number;
    ratoon_digest digest; /* of the last commit */
} jsonl;

static void write_value(void *ctx, const ratoon_digest *digest, uint64_t size)
{
    jsonl *j = ctx;
    ratoon__export *x = j->x;
    (void)size;
    if (x->status != RATOON_OK || !ratoon__export_first(x, digest)) {
        return;
    }
    ratoon__driver *d = ratoon__store_driver(x->store);
    ratoon_buffer bytes = {0};
    char hex[65];
    ratoon__digest_format(digest, hex);
    ratoon_status status = d->ops->value_get(d, digest, &bytes, x->error);
    if (status == RATOON_ERR_NOT_FOUND) {
        status = ratoon__fail(x->error, RATOON_ERR_DAMAGED, "the value %s of lineage %I is missing",
                              hex, &j->lineage->id);
    }
    if (status != RATOON_OK) {
        ratoon__export_fail(x, status);
        return;
    }
    ratoon__export_format(x, "{\"schema\":%u,\"value\":{\"digest\":\"%s\",\"data\":\"",
                          (uint32_t)RATOON__SCHEMA, hex);
    ratoon__base64_add(&x->out, bytes.data, bytes.size);
    ratoon__export_text(x, "\"}}\n");
    ratoon_buffer_free(&bytes);
}

static json_t *events_of(const jsonl *j, const ratoon__commit *commit)
{
    json_t *events = json_array();
    for (size_t i = 0; i < commit->events_count; i++) {
        const ratoon__run *r = ratoon__lineage_run(j->lineage, commit->events[i].run);
        json_array_append_new(events,
                              ratoon__json_event(commit, i, r != NULL ? r->pipeline : NULL));
    }
    return events;
}

static void write_commit(jsonl *j, const ratoon__commit *commit, const void *data, size_t size)
{
    ratoon__export *x = j->x;
    char hex[65];
    json_t *time = ratoon__json_time(commit->time_us);
    char *events = NULL;
    json_t *list = events_of(j, commit);
    if (list != NULL) {
        events = json_dumps(list, ratoon__json_dump_flags(list));
    }
    ratoon__digest_format(&j->digest, hex);
    if (events == NULL) {
        ratoon__export_fail(x, RATOON_ERR_NO_MEMORY);
    } else {
        ratoon__export_format(x,
                              "{\"schema\":%u,\"lineage\":\"%I\",\"commit\":%U,\"time\":\"%s\","
                              "\"digest\":\"%s\",\"data\":\"",
                              (uint32_t)RATOON__SCHEMA, &commit->lineage, commit->number,
                              json_is_string(time) ? json_string_value(time) : "", hex);
        ratoon__base64_add(&x->out, data, size);
        ratoon__export_text(x, "\",\"events\":");
        ratoon__export_text(x, events);
        ratoon__export_text(x, "}\n");
    }
    free(events);
    json_decref(list);
    json_decref(time);
}

static bool export_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                          const void *data, size_t size)
{
    jsonl *j = ctx;
    ratoon__export *x = j->x;
    ratoon__arena arena = {0};
    ratoon__commit commit;
    (void)position;
    if (number > j->lineage->head) {
        return false; /* newer than what is exported */
    }
    x->status = ratoon__store_decode(x->store, data, size, &arena, &commit, x->error);
    if (x->status == RATOON_OK) {
        if (number != j->number + 1 || commit.number != number ||
            !ratoon__digest_equal(&commit.previous, &j->digest)) {
            x->status = ratoon__fail(x->error, RATOON_ERR_DAMAGED,
                                     "the chain of lineage %I breaks at commit %U: `ratoon verify` "
                                     "tells more",
                                     &lineage, number);
        } else {
            x->status = ratoon__sha256(data, size, &j->digest);
        }
        if (x->status == RATOON_OK) {
            ratoon__commit_stored(&commit, write_value, j);
            write_commit(j, &commit, data, size);
            j->number = number;
        }
        ratoon__commit_release(&commit);
    }
    ratoon__arena_free(&arena);
    return x->status == RATOON_OK;
}

static void export_lineage(ratoon__export *x, const ratoon__lineage *l)
{
    ratoon__driver *d = ratoon__store_driver(x->store);
    jsonl j = {.x = x, .lineage = l};
    const ratoon_status status =
        d->ops->read(d, l->id, 1, true, false, export_commit, &j, x->error);
    if (x->status == RATOON_OK && status == RATOON_OK && j.number != l->head) {
        x->status = ratoon__fail(x->error, RATOON_ERR_DAMAGED,
                                 "lineage %I has commits up to %U; %U were expected", &l->id,
                                 j.number, l->head);
    }
    ratoon__export_fail(x, status);
}

const ratoon__exporter ratoon__export_jsonl = {.lineage = export_lineage};
