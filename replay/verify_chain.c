/* The chain pass: every commit in key order, by iteration and by look-up with checksums; decoded,
 * chained, folded; the fold compared with every stored snapshot. */
#include "replay/seal.h"

#include "log/codec.h"
#include "replay/erased.h"

#include <stdlib.h>
#include <string.h>

typedef struct walk {
    ratoon__report *report;
    ratoon__driver *driver;
    ratoon__lineage *lineage; /* folded so far; NULL: none */
    bool broken;              /* it can't be folded any further */
    bool deleted;             /* what was seen is a mark (R20): nothing may follow */
    size_t before, listed;    /* problems when the lineage began: all, and those listed */
    uint64_t next_event;
    uint64_t number; /* of the last commit seen */
    uint64_t time_us;
    ratoon_digest digest;
    ratoon_id id;
    bool any;
    ratoon__arena arena; /* of one commit */
    uint64_t end;        /* the feed's end when the walk began: later commits are left out */
    ratoon__snapshots snapshots;
    ratoon__sum *feed, *rows;
    ratoon_status status;
    ratoon_error *error;
} walk;

/* ---- values ---- */

/* Whether the bytes are those of the digest. */
static bool is_value(walk *w, const void *data, size_t size, const ratoon_digest *expected)
{
    ratoon_digest digest;
    const ratoon_status status = ratoon__sha256(data, size, &digest);
    return ratoon__report_unseen(w->report, status, NULL) ||
           (status == RATOON_OK && ratoon__digest_equal(&digest, expected));
}

static void value_check(walk *w, const ratoon__commit *c, const ratoon__value_ref *v)
{
    if (v->data == NULL && v->size > 0) {
        ratoon_buffer bytes = {0};
        ratoon_error why = {0};
        ratoon_status status = w->driver->ops->value_get(w->driver, &v->digest, &bytes, &why);
        if (ratoon__report_unseen(w->report, status, &why)) {
            return;
        }
        if (status != RATOON_OK) {
            ratoon__problem(w->report, c->lineage, c->number, "value",
                            "the value of %s (%U bytes) is missing", v->key, v->size);
        } else if (!is_value(w, bytes.data, bytes.size, &v->digest)) {
            ratoon__problem(w->report, c->lineage, c->number, "value",
                            "the value of %s is not what its digest says", v->key);
        }
        ratoon_buffer_free(&bytes);
    } else if (v->data != NULL && !is_value(w, v->data, (size_t)v->size, &v->digest)) {
        ratoon__problem(w->report, c->lineage, c->number, "value",
                        "the inline value of %s is not what its digest says", v->key);
    }
}

static void values_check(walk *w, const ratoon__commit *c, const ratoon__values *values)
{
    for (size_t i = 0; i < values->count; i++) {
        value_check(w, c, &values->items[i]);
    }
}

static void events_check(walk *w, const ratoon__commit *c)
{
    for (size_t i = 0; i < c->events_count; i++) {
        const ratoon__event *e = &c->events[i];
        const ratoon__run *r = ratoon__lineage_run(w->lineage, e->run);
        switch (e->type) {
        case RATOON__EVENT_RUN_CREATED:
            values_check(w, c, &e->u.created.state);
            for (size_t k = 0; k < e->u.created.edits_count; k++) {
                value_check(w, c, &e->u.created.edits[k].value);
            }
            break;
        case RATOON__EVENT_STAGE_ENDED:
            values_check(w, c, &e->u.stage_ended.outputs);
            if (r != NULL) {
                ratoon__verify_capture(w->report, c, e,
                                       r->pipeline->stages[e->u.stage_ended.stage].pub.name);
            }
            break;
        case RATOON__EVENT_STAGE_RETURNED:
            values_check(w, c, &e->u.stage_returned.partial);
            if (r != NULL) {
                ratoon__verify_capture(w->report, c, e,
                                       r->pipeline->stages[e->u.stage_returned.stage].pub.name);
            }
            break;
        case RATOON__EVENT_ITEM_ENDED:
            if (e->u.item.has_output) {
                value_check(w, c, &e->u.item.output);
            }
            if (r != NULL) {
                ratoon__verify_capture(w->report, c, e,
                                       r->pipeline->stages[e->u.item.stage].pub.name);
            }
            break;
        default:
            break;
        }
    }
}

/* ---- one lineage ---- */

/* Values of a lineage that is deleted while it is looked at vanish under it. */
static void pass_over_deleted(walk *w)
{
    bool erased = false;
    ratoon_error why = {0};
    if (w->deleted || w->report->count == w->before) {
        return;
    }
    const ratoon_status status = ratoon__erased_check(w->report->store, w->id, &erased, &why);
    if (ratoon__report_unseen(w->report, status, &why) || status != RATOON_OK || !erased) {
        return;
    }
    w->report->count = w->before;
    while (json_array_size(w->report->problems) > w->listed) {
        json_array_remove(w->report->problems, json_array_size(w->report->problems) - 1);
    }
}

static void lineage_end(walk *w)
{
    if (!w->any) {
        return;
    }
    ratoon__seal_lineage_end(w->report);
    pass_over_deleted(w);
    w->report->broken += w->broken;
    if (!w->broken && w->lineage != NULL) {
        for (uint32_t i = 0; i < w->lineage->runs_count; i++) {
            const ratoon__run *r = w->lineage->runs[i];
            const ratoon__run_created *c = &r->fixed->created;
            const ratoon__run_row row = {.run = r->fixed->id,
                                         .root = c->root,
                                         .created_at = r->fixed->created_at,
                                         .status = r->status,
                                         .subject = c->subject != NULL ? c->subject : "",
                                         .pipeline = c->pipeline_name};
            ratoon__sum_row(w->report, w->rows, &row);
        }
    }
    ratoon__lineage_unref(w->lineage);
    w->lineage = NULL;
}

static bool lineage_begin(walk *w, ratoon_id lineage)
{
    lineage_end(w);
    ratoon__seal_lineage_begin(w->report, lineage);
    w->id = lineage;
    w->any = true;
    w->broken = false;
    w->deleted = false;
    w->before = w->report->count;
    w->listed = json_array_size(w->report->problems);
    w->number = 0;
    w->next_event = 1;
    w->time_us = 0;
    w->digest = (ratoon_digest){{0}};
    w->lineage = ratoon__lineage_new(lineage);
    w->report->lineages++;
    return w->lineage != NULL;
}

/* Lineages come in ascending order. */
static void remember_mark(ratoon__report *r, ratoon_id lineage, uint64_t number)
{
    if (r->marks_count == r->marks_capacity && !r->marks_missing) {
        const size_t capacity = r->marks_capacity == 0 ? 64 : r->marks_capacity * 2;
        ratoon__mark_seen *marks =
            capacity > RATOON__MARKS_MAX ? NULL : realloc(r->marks, capacity * sizeof *marks);
        r->marks_missing = marks == NULL;
        r->marks = marks != NULL ? marks : r->marks;
        r->marks_capacity = marks != NULL ? capacity : r->marks_capacity;
    }
    if (!r->marks_missing) {
        r->marks[r->marks_count++] = (ratoon__mark_seen){lineage, number};
    }
}

/* A mark stands alone for all that came before it, and says how much that was. What the digest that
 * it names was the digest of, only a seal can tell. */
static bool is_mark(walk *w, const ratoon__commit *c, uint64_t position)
{
    if (w->number != 0 || c->events_count != 1 ||
        c->events[0].type != RATOON__EVENT_LINEAGE_DELETED) {
        return false;
    }
    if (c->events[0].u.deleted.commits != c->number - 1 ||
        c->events[0].u.deleted.events != c->first_event - 1) {
        ratoon__problem(w->report, w->id, c->number, "number",
                        "the mark says it stands for %U commits and %U events; it has number %U, "
                        "and its event has number %U",
                        c->events[0].u.deleted.commits, c->events[0].u.deleted.events, c->number,
                        c->first_event);
    }
    w->deleted = true;
    w->number = c->number - 1;
    w->digest = c->previous;
    w->next_event = c->first_event;
    w->report->erased += c->number - 1;
    remember_mark(w->report, w->id, c->number);
    w->report->marks_end = position >= w->report->marks_end ? position + 1 : w->report->marks_end;
    return true;
}

/* What a commit says of itself against its key and the commit before it. */
static void commit_check(walk *w, const ratoon__commit *c, uint64_t number)
{
    ratoon__report *r = w->report;
    if (!ratoon_id_equal(c->lineage, w->id) || c->number != number) {
        ratoon__problem(r, w->id, number, "number",
                        "the commit under number %U says it is number %U of lineage %I", number,
                        c->number, &c->lineage);
        w->broken = true;
    }
    if (number != w->number + 1) {
        ratoon__problem(r, w->id, number, "number", "commit %U is followed by commit %U: %s",
                        w->number, number, "what was between is missing");
        w->broken = true;
    }
    if (!ratoon__digest_equal(&c->previous, &w->digest)) {
        char found[65], expected[65];
        ratoon__digest_format(&c->previous, found);
        ratoon__digest_format(&w->digest, expected);
        ratoon__problem(r, w->id, number, "chain",
                        "commit %U names %s as the digest of the commit before; that one has %s",
                        number, found, expected);
    }
    if (c->first_event != w->next_event) {
        ratoon__problem(r, w->id, number, "number",
                        "commit %U begins with event %U; event %U was expected", number,
                        c->first_event, w->next_event);
    }
    if (c->time_us < w->time_us) {
        ratoon__problem(r, w->id, number, "time", "commit %U is older than the one before it",
                        number);
    }
}

static void commit_fold(walk *w, const ratoon__commit *c, const ratoon_digest *digest)
{
    ratoon__lineage *next = NULL;
    ratoon_error why = {0};
    if (w->broken) {
        return;
    }
    const ratoon_status status = ratoon__fold(w->lineage, c, digest, &next, &why);
    if (ratoon__report_unseen(w->report, status, &why)) {
        w->broken = true;
        return;
    }
    if (status != RATOON_OK) {
        ratoon__problem(w->report, w->id, c->number, "fold", "commit %U can't be applied: %s",
                        c->number, why.message);
        w->broken = true;
        return;
    }
    ratoon__lineage_unref(w->lineage);
    w->lineage = next;
    events_check(w, c);
}

static bool verify_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                          const void *data, size_t size)
{
    walk *w = ctx;
    ratoon__commit c;
    ratoon_error why = {0};
    ratoon_digest digest = {{0}};
    if (position >= w->end) {
        return true; /* it came after the verification began */
    }
    if ((!w->any || !ratoon_id_equal(w->id, lineage)) && !lineage_begin(w, lineage)) {
        w->status = RATOON_ERR_NO_MEMORY;
        return false;
    }
    ratoon__sum_feed(w->report, w->feed, position, lineage, number);
    w->report->commits++;
    w->status = ratoon__sha256(data, size, &digest);
    ratoon_status status = ratoon__store_decode(w->report->store, data, size, &w->arena, &c, &why);
    if (w->status != RATOON_OK || ratoon__report_unseen(w->report, status, &why)) {
        w->status = w->status != RATOON_OK ? RATOON_ERR_NO_MEMORY : status;
    } else if (status != RATOON_OK) {
        ratoon__problem(w->report, lineage, number, "decode", "commit %U can't be decoded: %s",
                        number, why.message);
        ratoon__seal_commit(w->report, number, &digest, NULL);
        w->broken = true;
    } else {
        if (!is_mark(w, &c, position) && w->deleted) {
            ratoon__problem(w->report, lineage, number, "number",
                            "commit %U follows the mark of a deleted lineage", number);
        } else if (!w->deleted && c.events_count > 0 &&
                   c.events[0].type == RATOON__EVENT_LINEAGE_DELETED) {
            ratoon__problem(w->report, lineage, number, "number",
                            "commit %U is a mark of deletion, but what it stands for is there",
                            number);
        }
        commit_check(w, &c, number);
        ratoon__seal_commit(w->report, number, &digest, &c);
        w->report->events += c.events_count;
        w->next_event = c.first_event + c.events_count;
        w->time_us = c.time_us;
        commit_fold(w, &c, &digest);
    }
    w->number = number;
    w->digest = digest;
    if (status == RATOON_OK) {
        if (!w->broken) {
            ratoon__snapshots_compare(&w->snapshots, w->lineage, w->id, number);
        }
        ratoon__commit_release(&c);
    }
    ratoon__arena_reset(&w->arena);
    return w->status == RATOON_OK;
}

ratoon_status ratoon__verify_chains(ratoon__report *r, ratoon_id only, ratoon__sum *feed,
                                    ratoon__sum *rows, ratoon_error *error)
{
    walk w = {.report = r, .feed = feed, .rows = rows, .error = error, .snapshots = {.report = r}};
    w.driver = ratoon__store_driver(r->store);
    ratoon_status status = w.driver->ops->end(w.driver, &w.end, error);
    if (status != RATOON_OK) {
        return status;
    }
    r->feed_end = w.end;
    ratoon_error why = {0};
    status = w.driver->ops->read(w.driver, only, ratoon_id_is_zero(only) ? 0 : 1,
                                 !ratoon_id_is_zero(only), true, verify_commit, &w, &why);
    lineage_end(&w);
    ratoon__snapshots_free(&w.snapshots);
    ratoon__arena_free(&w.arena);
    if (status == RATOON_OK) { /* else what comes behind was not looked at */
        ratoon__seal_end(r);
    }
    if (status == RATOON_ERR_DAMAGED) {
        ratoon__problem(r, w.id, w.number, "io", "reading on after commit %U failed: %s", w.number,
                        why.message);
        status = RATOON_OK;
    } else if (status != RATOON_OK && error != NULL) {
        *error = why;
    }
    return status != RATOON_OK ? status : w.status;
}
