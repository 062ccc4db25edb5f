/* `delete` and `prune`: lineages go for good (R20). */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BYTES_TEXT 32

static const char *bytes_text(uint64_t bytes, char out[BYTES_TEXT])
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    size_t unit = 0;
    for (; size >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++) {
        size /= 1024;
    }
    (void)snprintf(out, BYTES_TEXT, unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
    return out;
}

static json_t *id_json(ratoon_id id)
{
    char text[RATOON_ID_TEXT];
    ratoon_id_format(id, text);
    return json_string(text);
}

static json_t *time_json(uint64_t us)
{
    char text[64];
    struct tm utc;
    const time_t seconds = (time_t)(us / 1000000);
    if (us == 0 || gmtime_r(&seconds, &utc) == NULL) {
        return json_null();
    }
    const size_t size = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + size, sizeof text - size, ".%06uZ", (unsigned)(us % 1000000));
    return json_string(text);
}

static json_t *lineage_json(const ratoon_deleted *d)
{
    json_t *o = json_object();
    json_object_set_new(o, "root", id_json(d->root));
    json_object_set_new(o, "pipeline", json_string(d->pipeline));
    json_object_set_new(o, "subject", *d->subject != '\0' ? json_string(d->subject) : json_null());
    json_object_set_new(o, "runs", json_integer((json_int_t)d->runs));
    json_object_set_new(o, "commits", json_integer((json_int_t)d->commits));
    json_object_set_new(o, "events", json_integer((json_int_t)d->events));
    json_object_set_new(o, "ended_at", time_json(d->ended_at));
    return o;
}

static json_t *freed_json(const ratoon_freed *f)
{
    json_t *o = json_object();
    json_object_set_new(o, "values", json_integer((json_int_t)f->values));
    json_object_set_new(o, "value_bytes", json_integer((json_int_t)f->value_bytes));
    json_object_set_new(o, "files", json_integer((json_int_t)f->files));
    json_object_set_new(o, "file_bytes", json_integer((json_int_t)f->file_bytes));
    return o;
}

static void print_document(const char *name, json_t *body)
{
    json_t *document = json_object();
    json_object_set_new(document, "schema", json_integer(1));
    json_object_set_new(document, name, body);
    doc_print_json(document);
    json_decref(document);
}

static void print_lineage(const char *verb, const ratoon_deleted *d)
{
    char id[RATOON_ID_TEXT];
    char when[TEXT_TIME_MAX];
    ratoon_id_format(d->root, id);
    printf("%s %s  ", verb, id);
    text_put_string(stdout, d->pipeline);
    printf("  %" PRIu64 " run%s, %" PRIu64 " event%s, ended %s\n", d->runs, text_plural(d->runs),
           d->events, text_plural(d->events), text_time(d->ended_at, when));
}

static void print_freed(const ratoon_freed *f)
{
    char values[BYTES_TEXT];
    char files[BYTES_TEXT];
    printf("removed %" PRIu64 " value%s that nothing else uses (%s), %" PRIu64 " file%s (%s)\n",
           f->values, text_plural(f->values), bytes_text(f->value_bytes, values), f->files,
           text_plural(f->files), bytes_text(f->file_bytes, files));
}

int command_delete(app *a, const args *in)
{
    ratoon_id run;
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_error error = {0};
    int code = app_open_store_for_change(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code >= 0) {
        return code;
    }
    error.code =
        ratoon_lineage_delete(a->store, run, args_has(in, "lineage"), &deleted, &freed, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    if (a->json) {
        json_t *body = lineage_json(&deleted);
        json_object_set_new(body, "freed", freed_json(&freed));
        print_document("deleted", body);
    } else {
        print_lineage("deleted", &deleted);
        print_freed(&freed);
    }
    return EXIT_DONE;
}

static void print_pruned(const ratoon_deleted *deleted, size_t count, const ratoon_freed *freed,
                         bool dry_run)
{
    char size[BYTES_TEXT];
    for (size_t i = 0; i < count; i++) {
        print_lineage(dry_run ? "would delete" : "deleted", &deleted[i]);
    }
    printf("%s %zu lineage%s\n", dry_run ? "would delete" : "deleted", count, text_plural(count));
    if (!dry_run) {
        print_freed(freed);
    } else if (count > 0) {
        printf("with %" PRIu64 " file%s (%s), and the values that nothing else uses\n",
               freed->files, text_plural(freed->files), bytes_text(freed->file_bytes, size));
    }
}

static void print_pruned_json(const ratoon_deleted *deleted, size_t count,
                              const ratoon_freed *freed, uint64_t before, bool dry_run)
{
    json_t *lineages = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(lineages, lineage_json(&deleted[i]));
    }
    json_t *body = json_object();
    json_object_set_new(body, "dry_run", json_boolean(dry_run));
    json_object_set_new(body, "before", time_json(before));
    json_object_set_new(body, "lineages", lineages);
    json_t *gone = freed_json(freed);
    if (dry_run) { /* which are used elsewhere is found out when they go */
        json_object_set_new(gone, "values", json_null());
        json_object_set_new(gone, "value_bytes", json_null());
    }
    json_object_set_new(body, "freed", gone);
    print_document("pruned", body);
}

int command_prune(app *a, const args *in)
{
    ratoon_prune_options options = RATOON_PRUNE_OPTIONS_INIT;
    ratoon_deleted *deleted = NULL;
    ratoon_freed freed;
    ratoon_error error = {0};
    size_t count = 0;
    const char *age = args_get(in, "older-than");
    options.dry_run = args_has(in, "dry-run");
    if (age == NULL) {
        return app_error(a, RATOON_ERR_USAGE, "for instance `ratoon prune --older-than 90d`",
                         "prune needs --older-than");
    }
    if (!text_parse_time(age, (uint64_t)time(NULL) * 1000000, &options.before)) {
        return app_error(a, RATOON_ERR_USAGE,
                         "a duration like 90d or 12h, or a time like 2026-01-31T12:00:00Z",
                         "--older-than wants an age, not \"%s\"", age);
    }
    const int code = options.dry_run ? app_open_store(a) : app_open_store_for_change(a);
    if (code >= 0) {
        return code;
    }
    error.code = ratoon_prune(a->store, &options, &deleted, &count, &freed, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    if (a->json) {
        print_pruned_json(deleted, count, &freed, options.before, options.dry_run);
    } else {
        print_pruned(deleted, count, &freed, options.dry_run);
    }
    free(deleted);
    return EXIT_DONE;
}
