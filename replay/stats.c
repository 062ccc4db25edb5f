/* Statistics (Q04). Sums of all runs that have ended are kept as a derived row, with the position
 * in the feed that they are true for. A call reads the feed from there on, adds the runs that ended
 * since from their projections, and stores the sums again: it costs what happened since the last
 * call, not the whole history. Runs that have not ended are added to the answer, not to the sums.
 */
#include "core/stats.h"

#include "log/codec.h"
#include "replay/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The row is stored where snapshots are, under a name that no lineage can have. */
static const ratoon_id row_id = {
    {'r', 'a', 't', 'o', 'o', 'n', ' ', 's', 't', 'a', 't', 'i', 's', 't', 'i', 'c'}};
#define ROW_NUMBER 1
#define LIST_PAGE 256
#define ENDED_BATCH 4096 /* runs that ended noted before they are added */

typedef struct ended {
    ratoon_id lineage, run;
} ended;

typedef struct collector {
    ratoon_store *store;
    ratoon__stats sums;
    uint64_t position; /* of the last commit in the sums, 0: none */
    ratoon_digest digest;
    ended runs[ENDED_BATCH];
    size_t count;
    uint64_t end;
    bool deleted; /* the mark of a deletion was met: what is in the sums may be gone */
    ratoon_status status;
    ratoon_error *error;
} collector;

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

/* ---- the stored sums ---- */

typedef struct probe {
    uint64_t position;
    ratoon_digest digest;
    bool same;
} probe;

static bool probe_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                         const void *data, size_t size)
{
    probe *p = ctx;
    ratoon_digest digest;
    (void)lineage;
    (void)number;
    p->same = position == p->position && ratoon__sha256(data, size, &digest) == RATOON_OK &&
              ratoon__digest_equal(&digest, &p->digest);
    return false;
}

/* The sums as they were stored, if the commit they are true for is still there. */
static void sums_load(collector *c)
{
    ratoon__driver *d = ratoon__store_driver(c->store);
    ratoon_buffer bytes = {0};
    uint64_t at = 0;
    probe p = {0};
    if (d->ops->snapshot_get(d, row_id, ROW_NUMBER, &at, &bytes, NULL) != RATOON_OK) {
        return;
    }
    if (ratoon__stats_decode(bytes.data, bytes.size, &c->sums, &p.position, &p.digest) ==
            RATOON_OK &&
        d->ops->tail(d, p.position, 0, probe_commit, &p, NULL) == RATOON_OK && p.same) {
        c->position = p.position;
        c->digest = p.digest;
    } else {
        ratoon__stats_free(&c->sums);
    }
    ratoon_buffer_free(&bytes);
}

static void sums_store(const collector *c)
{
    ratoon__driver *d = ratoon__store_driver(c->store);
    ratoon__buf bytes = {0};
    if (ratoon__stats_encode(&c->sums, c->position, &c->digest, &bytes) == RATOON_OK) {
        /* Derived: what could not be stored is added up again by the next call. */
        (void)d->ops->snapshot_put(d, row_id, ROW_NUMBER, bytes.data, bytes.size, NULL);
    }
    ratoon__buf_free(&bytes);
}

/* ---- what happened since ---- */

static bool collect(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                    const void *data, size_t size)
{
    collector *c = ctx;
    ratoon__arena arena = {0};
    ratoon__commit commit;
    (void)number;
    if (position >= c->end) {
        return false;
    }
    c->status = ratoon__commit_decode(data, size, &arena, &commit, c->error);
    if (c->status == RATOON_OK && c->count + commit.events_count > ENDED_BATCH && c->count > 0) {
        ratoon__arena_free(&arena);
        return false; /* read again after those noted so far were added */
    }
    for (size_t i = 0; c->status == RATOON_OK && i < commit.events_count; i++) {
        const ratoon__event *e = &commit.events[i];
        if (e->type == RATOON__EVENT_RUN_ENDED && c->count < ENDED_BATCH) {
            c->runs[c->count++] = (ended){.lineage = lineage, .run = e->run};
        }
        c->deleted = c->deleted || e->type == RATOON__EVENT_LINEAGE_DELETED;
    }
    if (c->status == RATOON_OK) {
        c->status = ratoon__sha256(data, size, &c->digest);
        c->position = position;
    }
    ratoon__arena_free(&arena);
    return c->status == RATOON_OK;
}

/* Adds one run to sums; one that was deleted meanwhile is passed over. */
static ratoon_status add_run(ratoon_store *s, ratoon__stats *sums, ratoon_id lineage, ratoon_id run,
                             bool ended_only, ratoon_error *error)
{
    ratoon__lineage *l = NULL;
    ratoon_status status = ratoon__store_lineage(s, lineage, &l, error);
    if (status == RATOON_ERR_NOT_FOUND) {
        return RATOON_OK;
    }
    if (status != RATOON_OK) {
        return status;
    }
    const ratoon__run *r = ratoon__lineage_run(l, run);
    if (r != NULL && ratoon_run_status_terminal(r->status) == ended_only) {
        status = ratoon__stats_add(sums, l, r);
        status = status != RATOON_OK ? no_memory(error) : status;
    }
    ratoon__lineage_unref(l);
    return status;
}

static ratoon_status catch_up(collector *c)
{
    ratoon__driver *d = ratoon__store_driver(c->store);
    while (c->position + 1 < c->end) {
        c->count = 0;
        ratoon_status status = d->ops->tail(d, c->position + 1, 0, collect, c, c->error);
        if (status == RATOON_ERR_TIMED_OUT) {
            break; /* the rest was deleted */
        }
        status = status == RATOON_OK ? c->status : status;
        for (size_t i = 0; status == RATOON_OK && i < c->count; i++) {
            status =
                add_run(c->store, &c->sums, c->runs[i].lineage, c->runs[i].run, true, c->error);
        }
        if (status != RATOON_OK) {
            return status;
        }
    }
    return RATOON_OK;
}

/* Brings the sums up to date. A lineage that was deleted since takes what it contributed with it,
 * which nobody knows any more: then all is added up anew, from what is left. */
static ratoon_status sums_update(collector *c)
{
    ratoon__driver *d = ratoon__store_driver(c->store);
    sums_load(c);
    const uint64_t before = c->position;
    ratoon_status status = d->ops->end(d, &c->end, c->error);
    if (status == RATOON_OK) {
        status = catch_up(c);
    }
    if (status == RATOON_OK && c->deleted && before > 0) {
        ratoon__stats_free(&c->sums);
        c->position = 0;
        status = catch_up(c);
    }
    if (status == RATOON_OK && c->position > before) {
        sums_store(c);
    }
    return status;
}

/* ---- runs that have not ended ---- */

typedef struct page {
    ended runs[LIST_PAGE];
    uint64_t last_time;
    size_t count;
} page;

static bool page_row(void *ctx, const ratoon__run_row *row)
{
    page *p = ctx;
    p->runs[p->count++] = (ended){.lineage = row->root, .run = row->run};
    p->last_time = row->created_at;
    return p->count < LIST_PAGE;
}

static ratoon_status add_open(collector *c, ratoon_run_status wanted)
{
    ratoon__driver *d = ratoon__store_driver(c->store);
    page p = {0};
    ratoon_status status;
    do {
        ratoon__list_query query = {.index = RATOON__INDEX_STATUS,
                                    .key = ratoon_run_status_name(wanted),
                                    .before_time = p.last_time,
                                    .limit = LIST_PAGE};
        if (p.count > 0) {
            query.before_id = p.runs[p.count - 1].run;
        }
        p.count = 0;
        status = d->ops->list(d, &query, page_row, &p, c->error);
        for (size_t i = 0; status == RATOON_OK && i < p.count; i++) {
            status = add_run(c->store, &c->sums, p.runs[i].lineage, p.runs[i].run, false, c->error);
        }
    } while (status == RATOON_OK && p.count == LIST_PAGE);
    return status;
}

/* ---- the document ---- */

static json_t *json_counts(const uint64_t *counts, size_t from, size_t to,
                           const char *(*name)(size_t))
{
    json_t *doc = json_object();
    for (size_t i = from; i <= to; i++) {
        if (counts[i] > 0) {
            json_object_set_new(doc, name(i), json_integer((json_int_t)counts[i]));
        }
    }
    return doc;
}

static const char *status_name(size_t i)
{
    return ratoon_run_status_name((ratoon_run_status)i);
}

static const char *class_name(size_t i)
{
    return ratoon_class_name((ratoon_class)i);
}

static json_t *json_depth(const ratoon__stats_pipeline *p)
{
    json_t *doc = json_object();
    for (uint32_t i = 0; i <= RATOON_DEPTH_MAX; i++) {
        if (p->depth[i] > 0) {
            char name[12];
            snprintf(name, sizeof name, "%" PRIu32, i);
            json_object_set_new(doc, name, json_integer((json_int_t)p->depth[i]));
        }
    }
    return doc;
}

static json_t *json_stage(const ratoon__stats_stage *s)
{
    const uint64_t over = s->executions - s->running;
    json_t *rate = over > 0 ? json_real((double)s->succeeded / (double)over) : json_null();
    return json_pack(
        "{s:o,s:I,s:o,s:o,s:I,s:I,s:f,s:f}", "name", ratoon__json_text(s->name), "executions",
        (json_int_t)s->executions, "success_rate", rate, "errors",
        json_counts(s->failures, RATOON_CLASS_NONE + 1, RATOON_CLASS_UNKNOWN, class_name),
        "retries", (json_int_t)s->retries, "retries_that_helped",
        (json_int_t)s->retries_that_helped, "seconds_total", (double)s->spent_us / 1e6,
        "seconds_saved", (double)s->saved_us / 1e6);
}

static json_t *json_pipeline(const ratoon__stats_pipeline *p)
{
    json_t *stages = json_array();
    for (size_t i = 0; i < p->stages_count; i++) {
        json_array_append_new(stages, json_stage(&p->stages[i]));
    }
    return json_pack("{s:o,s:I,s:o,s:o,s:o}", "pipeline", ratoon__json_text(p->name), "runs",
                     (json_int_t)p->runs, "by_status",
                     json_counts(p->by_status, 1, RATOON_RUN_CANCELLED, status_name), "stages",
                     stages, "depth", json_depth(p));
}

ratoon_status ratoon_doc_stats(ratoon_store *store, const char *pipeline, ratoon_buffer *json,
                               ratoon_error *error)
{
    if (json == NULL) {
        return ratoon__no_place("json", error);
    }
    static const ratoon_run_status open[] = {RATOON_RUN_QUEUED, RATOON_RUN_RUNNING,
                                             RATOON_RUN_CANCELLING, RATOON_RUN_SUSPENDED};
    collector *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return no_memory(error);
    }
    c->store = store;
    c->error = error;
    ratoon_status status = sums_update(c);
    for (size_t i = 0; status == RATOON_OK && i < sizeof open / sizeof open[0]; i++) {
        status = add_open(c, open[i]);
    }
    json_t *list = json_array();
    for (size_t i = 0; status == RATOON_OK && i < c->sums.count; i++) {
        const ratoon__stats_pipeline *p = &c->sums.pipelines[i];
        if (pipeline == NULL || strcmp(p->name, pipeline) == 0) {
            json_array_append_new(list, json_pipeline(p));
        }
    }
    if (status == RATOON_OK && pipeline != NULL && json_array_size(list) == 0) {
        status = ratoon__fail(error, RATOON_ERR_NOT_FOUND,
                              "this store has no runs of a pipeline \"%s\"", pipeline);
    }
    ratoon__stats_free(&c->sums);
    free(c);
    if (status != RATOON_OK) {
        json_decref(list);
        return status;
    }
    return ratoon__json_finish(json_pack("{s:i,s:o}", "schema", RATOON__SCHEMA, "pipelines", list),
                               json, error);
}
