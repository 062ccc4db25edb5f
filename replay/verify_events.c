/* What the events of a commit name: values, and captured output. Digests of commits and of the
 * values in them are made by the batch (log/digest_many.h). */
#include "replay/verify.h"

#include "log/digest.h"

#include <stdlib.h>

/* ---- digests made together ---- */

bool ratoon__digest_jobs_add(ratoon__digest_jobs *d, const void *data, size_t size)
{
    if (d->count == d->capacity) {
        const size_t capacity = d->capacity == 0 ? 64 : d->capacity * 2;
        ratoon__digest_job *jobs = realloc(d->jobs, capacity * sizeof *jobs);
        if (jobs == NULL) {
            return false;
        }
        d->jobs = jobs;
        d->capacity = capacity;
    }
    d->jobs[d->count++] = (ratoon__digest_job){.data = data, .size = size};
    return true;
}

typedef bool (*value_fn)(void *ctx, const ratoon__value_ref *v); /* false: stop */

static bool each_of(const ratoon__values *values, value_fn fn, void *ctx)
{
    bool go_on = true;
    for (size_t i = 0; go_on && i < values->count; i++) {
        go_on = fn(ctx, &values->items[i]);
    }
    return go_on;
}

/* Every value that an event names, in an order that is always the same. */
static bool each_value(const ratoon__event *e, value_fn fn, void *ctx)
{
    bool go_on = true;
    switch (e->type) {
    case RATOON__EVENT_RUN_CREATED:
        go_on = each_of(&e->u.created.state, fn, ctx);
        for (size_t i = 0; go_on && i < e->u.created.edits_count; i++) {
            go_on = fn(ctx, &e->u.created.edits[i].value);
        }
        return go_on;
    case RATOON__EVENT_STAGE_ENDED:
        return each_of(&e->u.stage_ended.outputs, fn, ctx);
    case RATOON__EVENT_STAGE_RETURNED:
        return each_of(&e->u.stage_returned.partial, fn, ctx);
    case RATOON__EVENT_ITEM_ENDED:
        return !e->u.item.has_output || fn(ctx, &e->u.item.output);
    default:
        return true;
    }
}

static bool add_value(void *ctx, const ratoon__value_ref *v)
{
    return v->data == NULL || ratoon__digest_jobs_add(ctx, v->data, (size_t)v->size);
}

bool ratoon__digest_jobs_add_values(ratoon__digest_jobs *d, const ratoon__commit *c)
{
    bool added = true;
    for (size_t i = 0; added && i < c->events_count; i++) {
        added = each_value(&c->events[i], add_value, d);
    }
    return added;
}

typedef struct checking {
    ratoon__report *report;
    ratoon__digest_jobs *digests;
    const ratoon__commit *commit;
} checking;

/* ---- values ---- */

/* Whether the bytes are those of the digest. */
static bool is_value(const checking *k, const void *data, size_t size,
                     const ratoon_digest *expected)
{
    ratoon_digest digest;
    const ratoon_status status = ratoon__sha256(data, size, &digest);
    return ratoon__report_unseen(k->report, status, NULL) ||
           (status == RATOON_OK && ratoon__digest_equal(&digest, expected));
}

/* The same of a value in the commit. They come in the order in which they were added, so it is the
 * next one, but in a commit that could be decoded only later. */
static bool is_inline_value(const checking *k, const ratoon__value_ref *v)
{
    ratoon__digest_jobs *d = k->digests;
    if (d->next < d->count && d->jobs[d->next].data == v->data &&
        d->jobs[d->next].size == v->size) {
        return ratoon__digest_equal(&d->jobs[d->next++].digest, &v->digest);
    }
    return is_value(k, v->data, (size_t)v->size, &v->digest);
}

static bool value_check(void *ctx, const ratoon__value_ref *v)
{
    const checking *k = ctx;
    const ratoon__commit *c = k->commit;
    if (v->data == NULL && v->size > 0) {
        ratoon__driver *d = ratoon__store_driver(k->report->store);
        ratoon_buffer bytes = {0};
        ratoon_error why = {0};
        ratoon_status status = d->ops->value_get(d, &v->digest, &bytes, &why);
        if (ratoon__report_unseen(k->report, status, &why)) {
            return true;
        }
        if (status != RATOON_OK) {
            ratoon__problem(k->report, c->lineage, c->number, "value",
                            "the value of %s (%U bytes) is missing", v->key, v->size);
        } else if (!is_value(k, bytes.data, bytes.size, &v->digest)) {
            ratoon__problem(k->report, c->lineage, c->number, "value",
                            "the value of %s is not what its digest says", v->key);
        }
        ratoon_buffer_free(&bytes);
    } else if (v->data != NULL && !is_inline_value(k, v)) {
        ratoon__problem(k->report, c->lineage, c->number, "value",
                        "the inline value of %s is not what its digest says", v->key);
    }
    return true;
}

static void capture_check(ratoon__report *r, const ratoon__lineage *l, const ratoon__commit *c,
                          const ratoon__event *e)
{
    const ratoon__run *run = ratoon__lineage_run(l, e->run);
    uint32_t stage = 0;
    switch (e->type) {
    case RATOON__EVENT_STAGE_ENDED:
        stage = e->u.stage_ended.stage;
        break;
    case RATOON__EVENT_STAGE_RETURNED:
        stage = e->u.stage_returned.stage;
        break;
    case RATOON__EVENT_ITEM_ENDED:
        stage = e->u.item.stage;
        break;
    default:
        return;
    }
    if (run != NULL) {
        ratoon__verify_capture(r, c, e, run->pipeline->stages[stage].pub.name);
    }
}

void ratoon__verify_events(ratoon__report *r, const ratoon__lineage *l, const ratoon__commit *c,
                           ratoon__digest_jobs *digests)
{
    checking k = {r, digests, c};
    for (size_t i = 0; i < c->events_count; i++) {
        const ratoon__event *e = &c->events[i];
        (void)each_value(e, value_check, &k);
        capture_check(r, l, c, e);
    }
}
