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

static bool add_value(ratoon__digest_jobs *d, const ratoon__value_ref *v)
{
    return v->data == NULL || ratoon__digest_jobs_add(d, v->data, (size_t)v->size);
}

static bool add_values(ratoon__digest_jobs *d, const ratoon__values *values)
{
    bool added = true;
    for (size_t i = 0; added && i < values->count; i++) {
        added = add_value(d, &values->items[i]);
    }
    return added;
}

bool ratoon__digest_jobs_add_values(ratoon__digest_jobs *d, const ratoon__commit *c)
{
    bool added = true;
    for (size_t i = 0; added && i < c->events_count; i++) {
        const ratoon__event *e = &c->events[i];
        if (e->type == RATOON__EVENT_RUN_CREATED) {
            added = add_values(d, &e->u.created.state);
        } else if (e->type == RATOON__EVENT_STAGE_ENDED) {
            added = add_values(d, &e->u.stage_ended.outputs);
        } else if (e->type == RATOON__EVENT_STAGE_RETURNED) {
            added = add_values(d, &e->u.stage_returned.partial);
        } else if (e->type == RATOON__EVENT_ITEM_ENDED && e->u.item.has_output) {
            added = add_value(d, &e->u.item.output);
        }
    }
    return added;
}

/* Those that are asked for have the order in which they were added. */
static const ratoon_digest *find(ratoon__digest_jobs *d, const void *data, size_t size)
{
    for (size_t i = d->next; i < d->count; i++) {
        if (d->jobs[i].data == data && d->jobs[i].size == size) {
            d->next = i + 1;
            return &d->jobs[i].digest;
        }
    }
    return NULL;
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
    const ratoon_digest *made = find(k->digests, data, size);
    if (made != NULL) {
        return ratoon__digest_equal(made, expected);
    }
    const ratoon_status status = ratoon__sha256(data, size, &digest);
    return ratoon__report_unseen(k->report, status, NULL) ||
           (status == RATOON_OK && ratoon__digest_equal(&digest, expected));
}

static void value_check(const checking *k, const ratoon__value_ref *v)
{
    const ratoon__commit *c = k->commit;
    if (v->data == NULL && v->size > 0) {
        ratoon__driver *d = ratoon__store_driver(k->report->store);
        ratoon_buffer bytes = {0};
        ratoon_error why = {0};
        ratoon_status status = d->ops->value_get(d, &v->digest, &bytes, &why);
        if (ratoon__report_unseen(k->report, status, &why)) {
            return;
        }
        if (status != RATOON_OK) {
            ratoon__problem(k->report, c->lineage, c->number, "value",
                            "the value of %s (%U bytes) is missing", v->key, v->size);
        } else if (!is_value(k, bytes.data, bytes.size, &v->digest)) {
            ratoon__problem(k->report, c->lineage, c->number, "value",
                            "the value of %s is not what its digest says", v->key);
        }
        ratoon_buffer_free(&bytes);
    } else if (v->data != NULL && !is_value(k, v->data, (size_t)v->size, &v->digest)) {
        ratoon__problem(k->report, c->lineage, c->number, "value",
                        "the inline value of %s is not what its digest says", v->key);
    }
}

static void values_check(const checking *k, const ratoon__values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        value_check(k, &values->items[i]);
    }
}

void ratoon__verify_events(ratoon__report *r, const ratoon__lineage *l, const ratoon__commit *c,
                           ratoon__digest_jobs *digests)
{
    const checking checked = {r, digests, c};
    const checking *k = &checked;
    for (size_t i = 0; i < c->events_count; i++) {
        const ratoon__event *e = &c->events[i];
        const ratoon__run *run = ratoon__lineage_run(l, e->run);
        switch (e->type) {
        case RATOON__EVENT_RUN_CREATED:
            values_check(k, &e->u.created.state);
            for (size_t n = 0; n < e->u.created.edits_count; n++) {
                value_check(k, &e->u.created.edits[n].value);
            }
            break;
        case RATOON__EVENT_STAGE_ENDED:
            values_check(k, &e->u.stage_ended.outputs);
            if (run != NULL) {
                ratoon__verify_capture(r, c, e,
                                       run->pipeline->stages[e->u.stage_ended.stage].pub.name);
            }
            break;
        case RATOON__EVENT_STAGE_RETURNED:
            values_check(k, &e->u.stage_returned.partial);
            if (run != NULL) {
                ratoon__verify_capture(r, c, e,
                                       run->pipeline->stages[e->u.stage_returned.stage].pub.name);
            }
            break;
        case RATOON__EVENT_ITEM_ENDED:
            if (e->u.item.has_output) {
                value_check(k, &e->u.item.output);
            }
            if (run != NULL) {
                ratoon__verify_capture(r, c, e, run->pipeline->stages[e->u.item.stage].pub.name);
            }
            break;
        default:
            break;
        }
    }
}
