/* `export` and `import`: files and streams for what the library writes and reads. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/definition.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool write_stdout(void *ctx, const void *data, size_t size)
{
    (void)ctx;
    return fwrite(data, 1, size, stdout) == size;
}

int command_export(app *a, const args *in)
{
    const char *name = args_has(in, "format") ? args_get(in, "format") : "jsonl";
    const ratoon_export_format format = ratoon_export_format_parse(name);
    const size_t count = args_count(in);
    if (format == 0) {
        return app_error(a, RATOON_ERR_USAGE, "jsonl openlineage trace dot mermaid csv html",
                         "\"%s\" is no format", name);
    }
    int code = app_open_store(a);
    if (code >= 0) {
        return code;
    }
    ratoon_id *runs = calloc(count + 1, sizeof *runs);
    if (runs == NULL) {
        return app_no_memory(a);
    }
    for (size_t i = 0; code < 0 && i < count; i++) {
        code = app_find_run(a, args_at(in, i), &runs[i]);
    }
    if (code < 0) {
        ratoon_error error = {0};
        error.code = ratoon_export(a->store, runs, count, format, write_stdout, NULL, &error);
        code = EXIT_DONE;
        if (error.code != RATOON_OK && !(error.code == RATOON_ERR_IO && !output_alive())) {
            code = app_fail(a, &error);
        } else if (!output_alive()) {
            code = EXIT_IO;
        }
    }
    free(runs);
    return code;
}

/* ---- import ---- */

static int64_t read_file(void *ctx, void *data, size_t size)
{
    FILE *file = ctx;
    const size_t got = fread(data, 1, size, file);
    return got == 0 && ferror(file) ? -1 : (int64_t)got;
}

/* Opens the store, or creates it where the user has said where: never in a folder that was only
 * come upon. */
static int open_store(app *a)
{
    const char *from_environment = getenv("RATOON_STORE");
    const bool named =
        a->store_option != NULL || (from_environment != NULL && *from_environment != '\0');
    return named ? app_open_or_create_store(a) : app_open_store_for_change(a);
}

static int import_report(const app *a, const ratoon_imported *result)
{
    char id[RATOON_ID_TEXT] = "";
    if (a->json) {
        json_t *last = json_null();
        if (!ratoon_id_is_zero(result->last)) {
            ratoon_id_format(result->last, id);
            last = json_string(id);
        }
        json_t *document = json_pack(
            "{s:i,s:{s:I,s:I,s:I,s:I,s:o}}", "schema", 1, "imported", "lineages",
            (json_int_t)result->lineages, "commits", (json_int_t)result->commits, "values",
            (json_int_t)result->values, "skipped", (json_int_t)result->skipped, "run", last);
        doc_print_json(document);
        json_decref(document);
        return EXIT_DONE;
    }
    app_note(a,
             "imported %" PRIu64 " lineage%s, %" PRIu64 " commit%s, %" PRIu64 " value%s; %" PRIu64
             " commit%s there already",
             result->lineages, text_plural(result->lineages), result->commits,
             text_plural(result->commits), result->values, text_plural(result->values),
             result->skipped, result->skipped == 1 ? " was" : "s were");
    return EXIT_DONE;
}

int command_import(app *a, const args *in)
{
    const char *path = args_at(in, 0);
    const bool standard = strcmp(path, "-") == 0;
    ratoon_import_options options = RATOON_IMPORT_OPTIONS_INIT;
    ratoon_pipeline *pipeline = NULL;
    char *absolute = NULL;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (file == NULL) {
        return app_error(a, RATOON_ERR_USAGE, NULL, "can't read %s: %s", path, strerror(errno));
    }
    int code = -1;
    if (args_has(in, "file")) {
        code = definition_read(a, args_get(in, "file"), &pipeline, &absolute);
    }
    if (code < 0) {
        code = open_store(a);
    }
    if (code < 0) {
        ratoon_imported result = {0};
        ratoon_error error = {0};
        options.pipeline = pipeline;
        error.code = ratoon_import(a->store, &options, read_file, file, &result, &error);
        code = error.code == RATOON_OK ? import_report(a, &result) : app_fail(a, &error);
    }
    ratoon_pipeline_free(pipeline);
    free(absolute);
    if (!standard) {
        fclose(file);
    }
    return code;
}
