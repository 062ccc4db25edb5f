/* Rows and lists of runs against what the log says. First all are summed up, by the driver's walk
 * over all of them or else list by list; only where a sum differs is it found out which runs are
 * wrong in which list. */
#include "replay/verify.h"

#include "log/codec.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_PAGE 512
#define PIPELINES_MAX 4096 /* whose lists are looked at */

static void sum_text(const ratoon__report *r, const char *text, uint8_t out[16])
{
    ratoon__sum s = {0};
    ratoon__sum_add(&s, &r->key, text, strlen(text));
    memcpy(out, &s, 16);
}

void ratoon__sum_row(const ratoon__report *r, ratoon__sum *s, const ratoon__run_row *row)
{
    uint8_t bytes[80] = {0};
    memcpy(bytes, row->run.bytes, 16);
    memcpy(bytes + 16, row->root.bytes, 16);
    memcpy(bytes + 32, &row->created_at, 8);
    bytes[40] = (uint8_t)row->status;
    sum_text(r, row->subject, bytes + 48);
    sum_text(r, row->pipeline, bytes + 64);
    ratoon__sum_add(s, &r->key, bytes, sizeof bytes);
}

typedef struct rows_walk {
    const ratoon__report *report;
    ratoon__driver *driver;
    ratoon__index index;
    const char *key;
    ratoon__sum sum;
    ratoon__arena page; /* rows with a subject: these are looked up in its list */
    ratoon__run_row subjects[ROWS_PAGE];
    uint32_t subjects_count, seen;
    ratoon_id last;
    uint64_t last_time;
    char *pipelines[PIPELINES_MAX];
    size_t pipelines_count;
    bool failed, differs;
} rows_walk;

/* ---- one run in one list ---- */

typedef struct sought {
    const ratoon__run_row *row;
    bool found;
} sought;

static bool compare_row(void *ctx, const ratoon__run_row *row)
{
    sought *s = ctx;
    s->found = ratoon_id_equal(row->run, s->row->run) && ratoon_id_equal(row->root, s->row->root) &&
               row->created_at == s->row->created_at && row->status == s->row->status &&
               strcmp(row->subject, s->row->subject) == 0 &&
               strcmp(row->pipeline, s->row->pipeline) == 0;
    return false;
}

/* Whether the row stands in a list where it belongs. */
static ratoon_status find_row(ratoon__driver *d, ratoon__index index, const char *key,
                              const ratoon__run_row *row, bool *found, ratoon_error *error)
{
    sought s = {.row = row};
    ratoon__list_query query = {.index = index,
                                .key = key,
                                .before_time = row->created_at,
                                .before_id = row->run,
                                .limit = 1};
    for (size_t i = sizeof query.before_id.bytes; i-- > 0 && ++query.before_id.bytes[i] == 0;) {
    }
    ratoon_status status = d->ops->list(d, &query, compare_row, &s, error);
    *found = s.found;
    return status;
}

/* ---- all of a list ---- */

static bool remember_pipeline(rows_walk *w, const char *name)
{
    for (size_t i = w->pipelines_count; i-- > 0;) {
        if (strcmp(w->pipelines[i], name) == 0) {
            return true;
        }
    }
    if (w->pipelines_count < PIPELINES_MAX) {
        w->pipelines[w->pipelines_count] = strdup(name);
        return w->pipelines[w->pipelines_count++] != NULL;
    }
    return true;
}

static bool row_seen(void *ctx, const ratoon__run_row *row)
{
    rows_walk *w = ctx;
    if (w->seen == ROWS_PAGE) {
        return false; /* more than was asked for: it is asked for again */
    }
    w->seen++;
    w->last = row->run;
    w->last_time = row->created_at;
    ratoon__sum_row(w->report, &w->sum, row);
    if (w->index == RATOON__INDEX_TIME) {
        w->failed = w->failed || !remember_pipeline(w, row->pipeline);
        if (row->subject[0] != '\0') {
            ratoon__run_row *kept = &w->subjects[w->subjects_count++];
            *kept = *row;
            kept->subject = ratoon__arena_strdup(&w->page, row->subject);
            kept->pipeline = ratoon__arena_strdup(&w->page, row->pipeline);
            w->failed = w->failed || kept->subject == NULL || kept->pipeline == NULL;
        }
    }
    return !w->failed;
}

static ratoon_status page_subjects(rows_walk *w, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    for (uint32_t i = 0; status == RATOON_OK && i < w->subjects_count; i++) {
        const ratoon__run_row *row = &w->subjects[i];
        bool found = false;
        status = find_row(w->driver, RATOON__INDEX_SUBJECT, row->subject, row, &found, error);
        w->differs = w->differs || !found;
    }
    w->subjects_count = 0;
    ratoon__arena_free(&w->page);
    return status;
}

static ratoon_status list_sum(rows_walk *w, ratoon__index index, const char *key,
                              ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    w->index = index;
    w->last_time = 0;
    w->last = (ratoon_id){{0}};
    do {
        const ratoon__list_query query = {.index = index,
                                          .key = key,
                                          .before_time = w->last_time,
                                          .before_id = w->last,
                                          .limit = ROWS_PAGE};
        w->seen = 0;
        status = w->driver->ops->list(w->driver, &query, row_seen, w, error);
        if (status == RATOON_OK && w->failed) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
        if (status == RATOON_OK) {
            status = page_subjects(w, error);
        }
    } while (status == RATOON_OK && w->seen == ROWS_PAGE);
    return status;
}

/* Each run stands in the list of one status, and of one pipeline. */
static ratoon_status lists_sum(rows_walk *w, const ratoon__sum *seen, uint64_t *listed,
                               ratoon_error *error)
{
    ratoon_status status = list_sum(w, RATOON__INDEX_TIME, NULL, error);
    *listed = w->sum.count;
    w->differs = w->differs || !ratoon__sum_equal(&w->sum, seen);
    w->sum = (ratoon__sum){0};
    for (int i = RATOON_RUN_QUEUED; status == RATOON_OK && i <= RATOON_RUN_CANCELLED; i++) {
        status =
            list_sum(w, RATOON__INDEX_STATUS, ratoon_run_status_name((ratoon_run_status)i), error);
    }
    w->differs = w->differs || !ratoon__sum_equal(&w->sum, seen);
    w->sum = (ratoon__sum){0};
    for (size_t i = 0; status == RATOON_OK && i < w->pipelines_count; i++) {
        status = list_sum(w, RATOON__INDEX_PIPELINE, w->pipelines[i], error);
    }
    w->differs =
        w->differs || (w->pipelines_count < PIPELINES_MAX && !ratoon__sum_equal(&w->sum, seen));
    return status;
}

/* ---- all of them at once ---- */

static bool row_sum(void *ctx, const ratoon__run_row *row)
{
    rows_walk *w = ctx;
    ratoon__sum_row(w->report, &w->sum, row);
    return true;
}

/* UNSUPPORTED: list by list. */
static ratoon_status rows_sum(rows_walk *w, const ratoon__sum *seen, uint64_t *listed,
                              ratoon_error *error)
{
    bool indexed = false;
    if (w->driver->ops->rows == NULL) {
        return RATOON_ERR_UNSUPPORTED;
    }
    const ratoon_status status = w->driver->ops->rows(w->driver, row_sum, w, &indexed, error);
    *listed = w->sum.count;
    w->differs = !indexed || !ratoon__sum_equal(&w->sum, seen);
    return status;
}

/* ---- which runs ---- */

typedef struct naming {
    ratoon__report *report;
    ratoon_status status;
    ratoon_error *error;
    size_t named;
} naming;

static void name_run(naming *n, const ratoon__run *r)
{
    ratoon__driver *d = ratoon__store_driver(n->report->store);
    const ratoon__run_created *c = &r->fixed->created;
    const char *subject = c->subject != NULL ? c->subject : "";
    const ratoon__run_row row = {.run = r->fixed->id,
                                 .root = c->root,
                                 .created_at = r->fixed->created_at,
                                 .status = r->status,
                                 .subject = subject,
                                 .pipeline = c->pipeline_name};
    const struct {
        ratoon__index index;
        const char *key, *name;
    } lists[] = {
        {RATOON__INDEX_TIME, NULL, "list of runs"},
        {RATOON__INDEX_STATUS, ratoon_run_status_name(r->status), "list by status"},
        {RATOON__INDEX_PIPELINE, c->pipeline_name, "list by pipeline"},
        {RATOON__INDEX_SUBJECT, subject, "list by subject"},
    };
    for (size_t i = 0; n->status == RATOON_OK && i < sizeof lists / sizeof lists[0]; i++) {
        bool found = true;
        if (lists[i].index != RATOON__INDEX_SUBJECT || subject[0] != '\0') {
            n->status = find_row(d, lists[i].index, lists[i].key, &row, &found, n->error);
        }
        if (n->status == RATOON_OK && !found) {
            ratoon__problem(n->report, c->root, 0, "derived",
                            "run %I is %s in the log; in the %s it is missing, or not as it is",
                            &r->fixed->id, ratoon_run_status_name(r->status), lists[i].name);
            n->named++;
        }
    }
}

static bool name_lineage(void *ctx, ratoon_id lineage, uint64_t number, const ratoon_digest *digest)
{
    naming *n = ctx;
    (void)number;
    (void)digest;
    ratoon__lineage *l = ratoon__verify_fold(n->report, lineage, &n->status, n->error);
    for (uint32_t i = 0; l != NULL && !l->deleted && i < l->runs_count; i++) {
        if (n->status == RATOON_OK) {
            name_run(n, l->runs[i]);
        }
    }
    ratoon__lineage_unref(l);
    return n->status == RATOON_OK;
}

static ratoon_status name_runs(ratoon__report *r, uint64_t listed, uint64_t logged,
                               ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(r->store);
    naming n = {.report = r, .error = error};
    ratoon_error why = {0};
    ratoon_status status = d->ops->heads(d, (ratoon_id){{0}}, r->feed_end, name_lineage, &n, &why);
    /* A store that takes no appends has no heads to show. */
    if (ratoon__report_unseen(r, status, &why) || n.status != RATOON_OK || n.named > 0 ||
        r->broken > 0) {
        return n.status; /* the runs of a broken lineage are in the lists, and not in the sum */
    }
    ratoon__problem(r, (ratoon_id){{0}}, 0, "derived",
                    "the index lists %U runs and the log holds %U, or they differ%s%s", listed,
                    logged, status == RATOON_OK ? "" : ": ",
                    status == RATOON_OK ? "" : why.message);
    return RATOON_OK;
}

ratoon_status ratoon__verify_rows(ratoon__report *r, const ratoon__sum *seen, ratoon_error *error)
{
    rows_walk *w = calloc(1, sizeof *w);
    uint64_t end = 0, listed = 0;
    if (w == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    w->report = r;
    w->driver = ratoon__store_driver(r->store);
    ratoon_status status = rows_sum(w, seen, &listed, error);
    if (status == RATOON_ERR_UNSUPPORTED) {
        *w = (rows_walk){.report = r, .driver = w->driver};
        status = lists_sum(w, seen, &listed, error);
    }
    if (status == RATOON_OK) {
        status = w->driver->ops->end(w->driver, &end, error);
    }
    /* Others may write while this reads; rows are compared only where nobody did. */
    if (status == RATOON_OK && end == r->feed_end && w->differs) {
        status = name_runs(r, listed, seen->count, error);
    }
    for (size_t i = 0; i < w->pipelines_count; i++) {
        free(w->pipelines[i]);
    }
    ratoon__arena_free(&w->page);
    free(w);
    return status;
}
