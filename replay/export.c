/* Exports: which lineages, and handing what a format writes to the caller. */
#include "replay/export.h"

#include "core/id.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define OUT_FLUSH (64u << 10) /* bytes collected before they are given away */
#define ROOTS_PAGE 1000

ratoon_export_format ratoon_export_format_parse(const char *name)
{
    static const struct {
        const char *name;
        ratoon_export_format format;
    } formats[] = {
#define X(id, value, text) {text, RATOON_EXPORT_##id},
        RATOON_EXPORT_LIST(X)
#undef X
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return formats[i].format;
        }
    }
    return (ratoon_export_format)0;
}

static const ratoon__exporter *exporter_of(ratoon_export_format format)
{
    switch (format) {
    case RATOON_EXPORT_JSONL:
        return &ratoon__export_jsonl;
    case RATOON_EXPORT_OPENLINEAGE:
        return &ratoon__export_openlineage;
    case RATOON_EXPORT_TRACE:
        return &ratoon__export_trace;
    case RATOON_EXPORT_DOT:
        return &ratoon__export_dot;
    case RATOON_EXPORT_MERMAID:
        return &ratoon__export_mermaid;
    case RATOON_EXPORT_CSV:
        return &ratoon__export_csv;
    case RATOON_EXPORT_HTML:
        return &ratoon__export_html;
    }
    return NULL;
}

/* ---- writing ---- */

void ratoon__export_fail(ratoon__export *x, ratoon_status status)
{
    if (x->status == RATOON_OK && status != RATOON_OK) {
        x->status = status;
        if (status == RATOON_ERR_NO_MEMORY) {
            (void)ratoon__fail(x->error, status, "out of memory making an export");
        }
    }
}

static void flush(ratoon__export *x)
{
    if (x->out.failed) {
        ratoon__export_fail(x, RATOON_ERR_NO_MEMORY);
    }
    if (x->status == RATOON_OK && x->out.size > 0 && !x->write(x->ctx, x->out.data, x->out.size)) {
        x->status = ratoon__fail(x->error, RATOON_ERR_IO, "the export could not be written");
    }
    x->out.size = 0;
}

static void flush_if_full(ratoon__export *x)
{
    if (x->out.size >= OUT_FLUSH || x->out.failed) {
        flush(x);
    }
}

void ratoon__export_text(ratoon__export *x, const char *text)
{
    ratoon__buf_str(&x->out, text);
    flush_if_full(x);
}

void ratoon__export_format(ratoon__export *x, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ratoon__buf_vformat(&x->out, format, args);
    va_end(args);
    flush_if_full(x);
}

void ratoon__export_json(ratoon__export *x, json_t *doc)
{
    ratoon__export_fail(x, ratoon__json_line(doc, &x->out));
    flush_if_full(x);
}

char *ratoon__export_time(uint64_t time_us)
{
    json_t *text = ratoon__json_time(time_us);
    char *copy = strdup(json_is_string(text) ? json_string_value(text) : "");
    json_decref(text);
    return copy;
}

/* ---- values written once ---- */

static size_t written_slot(const ratoon__export *x, const ratoon_digest *digest)
{
    size_t i;
    static const ratoon_digest none;
    memcpy(&i, digest->bytes, sizeof i);
    for (i %= x->written_capacity; !ratoon__digest_equal(&x->written[i], &none) &&
                                   !ratoon__digest_equal(&x->written[i], digest);) {
        i = (i + 1) % x->written_capacity;
    }
    return i;
}

static bool written_grow(ratoon__export *x)
{
    static const ratoon_digest none;
    const size_t old_capacity = x->written_capacity;
    ratoon_digest *old = x->written;
    const size_t capacity = old_capacity == 0 ? 256 : old_capacity * 2;
    ratoon_digest *larger = calloc(capacity, sizeof *larger);
    if (larger == NULL) {
        return false;
    }
    x->written = larger;
    x->written_capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++) {
        if (!ratoon__digest_equal(&old[i], &none)) {
            x->written[written_slot(x, &old[i])] = old[i];
        }
    }
    free(old);
    return true;
}

bool ratoon__export_first(ratoon__export *x, const ratoon_digest *digest)
{
    if (x->written_count * 2 >= x->written_capacity && !written_grow(x)) {
        ratoon__export_fail(x, RATOON_ERR_NO_MEMORY);
        return false;
    }
    const size_t i = written_slot(x, digest);
    if (ratoon__digest_equal(&x->written[i], digest)) {
        return false;
    }
    x->written[i] = *digest;
    x->written_count++;
    return true;
}

/* ---- which lineages ---- */

typedef struct roots {
    ratoon_id *ids;
    size_t count, capacity, seen;
    ratoon_id last;
    bool failed;
} roots;

static bool roots_add(roots *r, ratoon_id id)
{
    if (r->count == r->capacity) {
        const size_t capacity = r->capacity == 0 ? 64 : r->capacity * 2;
        ratoon_id *ids = realloc(r->ids, capacity * sizeof *ids);
        if (ids == NULL) {
            r->failed = true;
            return false;
        }
        r->ids = ids;
        r->capacity = capacity;
    }
    r->ids[r->count++] = id;
    return true;
}

static bool roots_row(void *ctx, const ratoon__run_row *row)
{
    roots *r = ctx;
    r->seen++;
    r->last = row->run;
    return !ratoon_id_equal(row->run, row->root) || roots_add(r, row->root);
}

static ratoon_status roots_all(ratoon_store *s, roots *r, ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(s);
    ratoon__list_query query = {.index = RATOON__INDEX_ID, .limit = ROOTS_PAGE};
    ratoon_status status = RATOON_OK;
    do {
        r->seen = 0;
        status = d->ops->list(d, &query, roots_row, r, error);
        query.from_id = r->last;
        for (size_t i = sizeof query.from_id.bytes; i-- > 0 && ++query.from_id.bytes[i] == 0;) {
        }
    } while (status == RATOON_OK && !r->failed && r->seen == ROOTS_PAGE);
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    return ratoon__id_compare(*(const ratoon_id *)a, *(const ratoon_id *)b);
}

static ratoon_status roots_of(ratoon_store *s, const ratoon_id *runs, size_t count, roots *r,
                              ratoon_error *error)
{
    for (size_t i = 0; i < count; i++) {
        ratoon__lineage *l = NULL;
        const ratoon__run *run = NULL;
        ratoon_status status = ratoon__store_run(s, runs[i], &l, &run, error);
        if (status != RATOON_OK) {
            return status;
        }
        (void)roots_add(r, l->id);
        ratoon__lineage_unref(l);
    }
    if (r->count > 0) {
        qsort(r->ids, r->count, sizeof *r->ids, compare_ids);
    }
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        if (n == 0 || !ratoon_id_equal(r->ids[n - 1], r->ids[i])) {
            r->ids[n++] = r->ids[i];
        }
    }
    r->count = n;
    return RATOON_OK;
}

static void write_lineages(ratoon__export *x, const ratoon__exporter *format, const roots *r,
                           bool all)
{
    for (size_t i = 0; x->status == RATOON_OK && i < r->count; i++) {
        ratoon__lineage *l = NULL;
        const ratoon_status status = ratoon__store_lineage(x->store, r->ids[i], &l, x->error);
        if (status == RATOON_ERR_NOT_FOUND && all) {
            continue; /* deleted meanwhile */
        }
        if (status != RATOON_OK) {
            x->status = status;
            return;
        }
        if (!l->deleted && l->runs_count > 0) {
            format->lineage(x, l);
            x->lineages++;
        }
        ratoon__lineage_unref(l);
    }
}

ratoon_status ratoon_export(ratoon_store *store, const ratoon_id *runs, size_t count,
                            ratoon_export_format format, ratoon_write_fn write, void *ctx,
                            ratoon_error *error)
{
    const ratoon__exporter *exporter = exporter_of(format);
    if (exporter == NULL || write == NULL || (runs == NULL && count > 0)) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "an export needs a known format, %s",
                            "a function that writes, and runs where they are counted");
    }
    ratoon__export x = {.store = store, .write = write, .ctx = ctx, .error = error};
    roots r = {0};
    x.status = count == 0 ? roots_all(store, &r, error) : roots_of(store, runs, count, &r, error);
    if (r.failed) {
        ratoon__export_fail(&x, RATOON_ERR_NO_MEMORY);
    }
    if (x.status == RATOON_OK && exporter->begin != NULL) {
        exporter->begin(&x);
    }
    write_lineages(&x, exporter, &r, count == 0);
    if (x.status == RATOON_OK && exporter->end != NULL) {
        exporter->end(&x);
    }
    flush(&x);
    ratoon__buf_free(&x.out);
    free(x.written);
    free(r.ids);
    return x.status;
}
