/* Looking at runs: by id, by name, in lists. */
#include "core/id.h"
#include "log/store.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PAGE 256
#define PREFIX_MIN 4

/* ---- one run ---- */

ratoon_status ratoon_run_get(ratoon_store *store, ratoon_id run, ratoon_run_info *out,
                             ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    ratoon_status status = ratoon__store_run(store, run, &l, &r, error);
    if (status != RATOON_OK) {
        return status;
    }
    const ratoon__run_created *c = &r->fixed->created;
    uint32_t by_pipeline = 0;
    if (!ratoon_pipeline_auto_retry(r->pipeline, &by_pipeline)) {
        by_pipeline = 0;
    }
    *out = (ratoon_run_info){
        .id = r->fixed->id,
        .root = c->root,
        .parent = c->parent,
        .status = r->status,
        .depth = c->depth,
        .number = c->number,
        .epoch = r->epoch,
        .created_at = r->fixed->created_at,
        .started_at = r->started_at,
        .ended_at = r->ended_at,
        .head = l->head,
        .until = r->until,
        .from_stage = ratoon_id_is_zero(c->parent) ? -1 : c->effective_stage,
        .auto_retry = c->auto_retry >= 0 ? c->auto_retry : (int32_t)by_pipeline,
        .automatic = c->automatic,
        .only = c->only,
        .unattended = r->status == RATOON_RUN_QUEUED && c->queued_by_request &&
                      ratoon_id_is_zero(c->executor),
    };
    ratoon__lineage_unref(l);
    return RATOON_OK;
}

ratoon_status ratoon_run_stage(ratoon_store *store, ratoon_id run, uint32_t stage,
                               ratoon_stage_info *out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    ratoon_status status = ratoon__store_run(store, run, &l, &r, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (stage >= r->stages_count) {
        status = ratoon__fail(error, RATOON_ERR_NO_SUCH_STAGE,
                              "stage index %u is outside the pipeline, which has %u stages", stage,
                              r->stages_count);
    } else {
        const ratoon__stage *s = ratoon__run_stage_at(r, stage);
        *out = (ratoon_stage_info){.status = s->status,
                                   .attempt = s->attempt,
                                   .not_before = s->not_before,
                                   .error_class = s->error_class,
                                   .items_total = s->items_total,
                                   .items_done = s->items_done,
                                   .items_failed = s->items_failed,
                                   .items_known = s->items_known};
    }
    ratoon__lineage_unref(l);
    return status;
}

ratoon_status ratoon_run_pipeline(ratoon_store *store, ratoon_id run, ratoon_pipeline **out,
                                  ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    ratoon_status status = ratoon__store_run(store, run, &l, &r, error);
    if (status == RATOON_OK) {
        *out = ratoon__pipeline_ref(r->pipeline);
        ratoon__lineage_unref(l);
    }
    return status;
}

/* A text as an owned buffer. */
static ratoon_status buffer_of(const char *text, ratoon_buffer *out, ratoon_error *error)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    *out = (ratoon_buffer){.data = copy, .size = strlen(copy)};
    return RATOON_OK;
}

ratoon_status ratoon_run_base_dir(ratoon_store *store, ratoon_id run, ratoon_buffer *path,
                                  ratoon_error *error)
{
    if (path == NULL) {
        return ratoon__no_place("path", error);
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    ratoon_status status = ratoon__store_run(store, run, &l, &r, error);
    if (status == RATOON_OK) {
        const char *base_dir = r->fixed->created.base_dir;
        status = buffer_of(base_dir != NULL ? base_dir : "", path, error);
        ratoon__lineage_unref(l);
    }
    return status;
}

void ratoon_pairs_free(ratoon_pair *pairs, size_t count)
{
    for (size_t i = 0; pairs != NULL && i < count; i++) {
        free((char *)(uintptr_t)pairs[i].name);
        free((char *)(uintptr_t)pairs[i].value);
    }
    free(pairs);
}

ratoon_status ratoon_run_params(ratoon_store *store, ratoon_id run, ratoon_pair **out,
                                size_t *count, ratoon_error *error)
{
    if (out == NULL || count == NULL) {
        return ratoon__no_place("out or count", error);
    }
    ratoon__lineage *l = NULL;
    const ratoon__run *r = NULL;
    ratoon_status status = ratoon__store_run(store, run, &l, &r, error);
    if (status != RATOON_OK) {
        return status;
    }
    const ratoon__run_created *c = &r->fixed->created;
    ratoon_pair *pairs = calloc(c->params_count + 1, sizeof *pairs);
    size_t n = 0;
    bool good = pairs != NULL;
    for (size_t i = 0; good && i < c->params_count; i++) {
        if (!c->params[i].secret) {
            pairs[n].name = strdup(c->params[i].name);
            pairs[n].value = strdup(c->params[i].text);
            good = pairs[n].name != NULL && pairs[n].value != NULL;
            n++;
        }
    }
    ratoon__lineage_unref(l);
    if (!good) {
        ratoon_pairs_free(pairs, n);
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    *out = pairs;
    *count = n;
    return RATOON_OK;
}

/* ---- lists ---- */

/* Rows of an index, page by page, in the order of L09. */
typedef struct walk {
    bool (*fn)(void *ctx, const ratoon__run_row *row);
    void *ctx;
    uint32_t seen;
    bool stopped;
    ratoon_id last;
    uint64_t last_time;
} walk;

static bool walk_row(void *ctx, const ratoon__run_row *row)
{
    walk *w = ctx;
    w->seen++;
    w->last = row->run;
    w->last_time = row->created_at;
    w->stopped = !w->fn(w->ctx, row);
    return !w->stopped;
}

static ratoon_status walk_index(ratoon_store *s, ratoon__index index, const char *key,
                                bool (*fn)(void *, const ratoon__run_row *), void *ctx,
                                ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(s);
    walk w = {.fn = fn, .ctx = ctx};
    ratoon_status status = RATOON_OK;
    do {
        ratoon__list_query query = {.index = index,
                                    .key = key,
                                    .before_time = w.last_time,
                                    .before_id = w.last,
                                    .limit = LIST_PAGE};
        w.seen = 0;
        status = d->ops->list(d, &query, walk_row, &w, error);
    } while (status == RATOON_OK && !w.stopped && w.seen == LIST_PAGE);
    return status;
}

typedef struct list_context {
    const ratoon_list_options *o;
    ratoon_id *ids;
    size_t count, capacity;
    bool failed;
} list_context;

static bool row_matches(const ratoon_list_options *o, const ratoon__run_row *row)
{
    return (o->status == 0 || row->status == o->status) &&
           (!o->in_flight || ratoon_run_status_active(row->status)) &&
           (o->pipeline == NULL || strcmp(o->pipeline, row->pipeline) == 0) &&
           (o->subject == NULL || strcmp(o->subject, row->subject) == 0);
}

static bool list_row(void *ctx, const ratoon__run_row *row)
{
    list_context *c = ctx;
    if (row->created_at < c->o->since) {
        return false; /* all that follow are older */
    }
    if (!row_matches(c->o, row)) {
        return true;
    }
    if (c->count == c->capacity) {
        size_t capacity = c->capacity == 0 ? 64 : c->capacity * 2;
        ratoon_id *ids = realloc(c->ids, capacity * sizeof *ids);
        if (ids == NULL) {
            c->failed = true;
            return false;
        }
        c->ids = ids;
        c->capacity = capacity;
    }
    c->ids[c->count++] = row->run;
    return c->o->limit == 0 || c->count < c->o->limit;
}

ratoon_status ratoon_run_list(ratoon_store *store, const ratoon_list_options *options,
                              ratoon_id **out, size_t *count, ratoon_error *error)
{
    if (out == NULL || count == NULL) {
        return ratoon__no_place("out or count", error);
    }
    ratoon_list_options defaults = RATOON_LIST_OPTIONS_INIT;
    const ratoon_list_options *o = options != NULL ? options : &defaults;
    if (o->struct_size != sizeof *o) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "list options have an unknown size");
    }
    list_context c = {.o = o};
    /* The narrowest index that fits; the rest is filtered. */
    ratoon__index index = RATOON__INDEX_TIME;
    const char *key = NULL;
    if (o->subject != NULL && o->subject[0] != '\0') {
        index = RATOON__INDEX_SUBJECT;
        key = o->subject;
    } else if (o->status != 0) {
        index = RATOON__INDEX_STATUS;
        key = ratoon_run_status_name(o->status);
    } else if (o->pipeline != NULL) {
        index = RATOON__INDEX_PIPELINE;
        key = o->pipeline;
    }
    ratoon_status status = walk_index(store, index, key, list_row, &c, error);
    if (status == RATOON_OK && c.failed) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    if (status != RATOON_OK) {
        free(c.ids);
        return status;
    }
    *out = c.ids;
    *count = c.count;
    return RATOON_OK;
}

/* ---- by subject (L10) ---- */

static ratoon_status first_of(ratoon_store *store, ratoon_list_options *o, ratoon_id *out,
                              ratoon_error *error)
{
    ratoon_id *ids = NULL;
    size_t count = 0;
    o->limit = 1;
    ratoon_status status = ratoon_run_list(store, o, &ids, &count, error);
    if (status == RATOON_OK && count == 0) {
        status = RATOON_ERR_NOT_FOUND;
    } else if (status == RATOON_OK) {
        *out = ids[0];
    }
    free(ids);
    return status;
}

ratoon_status ratoon_find_in_flight(ratoon_store *store, const char *subject, ratoon_id *out,
                                    ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon_list_options o = RATOON_LIST_OPTIONS_INIT;
    o.subject = subject;
    o.in_flight = true;
    ratoon_status status = first_of(store, &o, out, error);
    return status == RATOON_ERR_NOT_FOUND
               ? ratoon__fail(error, status, "no run of subject \"%s\" is active", subject)
               : status;
}

ratoon_status ratoon_most_recent(ratoon_store *store, const char *subject, ratoon_id *out,
                                 ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon_list_options o = RATOON_LIST_OPTIONS_INIT;
    o.subject = subject;
    ratoon_status status = first_of(store, &o, out, error);
    return status == RATOON_ERR_NOT_FOUND
               ? ratoon__fail(error, status, "there is no run of subject \"%s\"", subject)
               : status;
}

/* ---- by name ---- */

typedef struct ok_context {
    const char *subject;
    ratoon_id found;
    bool any;
} ok_context;

static bool ok_row(void *ctx, const ratoon__run_row *row)
{
    ok_context *c = ctx;
    if (strcmp(row->subject, c->subject) == 0 &&
        (row->status == RATOON_RUN_SUCCEEDED || row->status == RATOON_RUN_DEGRADED)) {
        c->found = row->run;
        c->any = true;
        return false;
    }
    return true;
}

static ratoon_status find_subject(ratoon_store *store, const char *spec, ratoon_id *out,
                                  ratoon_error *error)
{
    size_t size = strlen(spec);
    bool ok_only = size > 3 && strcmp(spec + size - 3, ":ok") == 0;
    if (!ok_only) {
        return ratoon_most_recent(store, spec, out, error);
    }
    char *subject = strndup(spec, size - 3);
    if (subject == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ok_context c = {.subject = subject};
    ratoon_status status = walk_index(store, RATOON__INDEX_SUBJECT, subject, ok_row, &c, error);
    if (status == RATOON_OK && !c.any) {
        status = ratoon__fail(error, RATOON_ERR_NOT_FOUND,
                              "no run of subject \"%s\" succeeded or is degraded", subject);
    } else if (status == RATOON_OK) {
        *out = c.found;
    }
    free(subject);
    return status;
}

/* Hex digits of a prefix, and the lowest id that begins with them. False: no prefix of an id. */
static bool prefix_parse(const char *text, ratoon_id *lowest, char digits[33])
{
    size_t n = 0;
    size_t dashes = 0;
    *lowest = (ratoon_id){{0}};
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] == '-') {
            static const size_t places[] = {8, 12, 16, 20};
            if (dashes == 4 || places[dashes++] != n) {
                return false;
            }
            continue;
        }
        if (!isxdigit((unsigned char)text[i]) || n == 32) {
            return false;
        }
        int c = tolower((unsigned char)text[i]);
        uint8_t v = (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        lowest->bytes[n / 2] |= (uint8_t)(n % 2 == 0 ? v << 4 : v);
        digits[n++] = (char)c;
    }
    digits[n] = '\0';
    return n >= PREFIX_MIN;
}

typedef struct prefix_context {
    const char *digits;
    ratoon_id found[3];
    size_t count;
} prefix_context;

static bool prefix_row(void *ctx, const ratoon__run_row *row)
{
    prefix_context *c = ctx;
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; c->digits[i] != '\0'; i++) {
        uint8_t byte = row->run.bytes[i / 2];
        if (hex[i % 2 == 0 ? byte >> 4 : byte & 15] != c->digits[i]) {
            return false; /* ids ascend: none that follows can fit */
        }
    }
    c->found[c->count++] = row->run;
    return c->count < 3;
}

static ratoon_status find_prefix(ratoon_store *store, const char *spec, ratoon_id *out,
                                 ratoon_error *error)
{
    char digits[33];
    ratoon__list_query query = {.index = RATOON__INDEX_ID, .limit = 3};
    if (!prefix_parse(spec, &query.from_id, digits)) {
        return ratoon__fail(error, RATOON_ERR_NOT_FOUND,
                            "\"%s\" names no run: expected an id, the first %u or more characters "
                            "of one, @last, @subject:NAME or @subject:NAME:ok",
                            spec, (uint32_t)PREFIX_MIN);
    }
    prefix_context c = {.digits = digits};
    ratoon__driver *d = ratoon__store_driver(store);
    ratoon_status status = d->ops->list(d, &query, prefix_row, &c, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (c.count == 0) {
        (void)ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no run %s in this store", spec);
        ratoon__hint(error, "`ratoon list` shows the runs there are");
        return RATOON_ERR_NOT_FOUND;
    }
    if (c.count > 1) {
        return ratoon__fail(error, RATOON_ERR_AMBIGUOUS, "%s fits %I, %I%s: give more characters",
                            spec, &c.found[0], &c.found[1], c.count > 2 ? " and more" : "");
    }
    *out = c.found[0];
    return RATOON_OK;
}

ratoon_status ratoon_run_find(ratoon_store *store, const char *spec, ratoon_id *out,
                              ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon_status status;
    if (strcmp(spec, "@last") == 0) {
        ratoon_list_options o = RATOON_LIST_OPTIONS_INIT;
        status = first_of(store, &o, out, error);
        return status == RATOON_ERR_NOT_FOUND
                   ? ratoon__fail(error, status, "this store has no runs yet")
                   : status;
    }
    if (strncmp(spec, "@subject:", 9) == 0 && spec[9] != '\0') {
        return find_subject(store, spec + 9, out, error);
    }
    return find_prefix(store, spec, out, error);
}
