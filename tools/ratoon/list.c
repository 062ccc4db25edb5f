/* `list` and `tree`: runs one below the other. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/show.h"
#include "tools/ratoon/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_LIMIT 50 /* runs that `list` shows as text when nobody says how many */

/* The named statuses, as bits of ratoon_run_status. */
static bool statuses_of(app *a, const args *in, unsigned *bits, ratoon_run_status *only)
{
    for (size_t i = 0; i < args_times(in, "status"); i++) {
        const char *name = args_nth(in, "status", i);
        const ratoon_run_status status = ratoon_run_status_parse(name);
        if (status == 0) {
            app_error(a, RATOON_ERR_USAGE,
                      "queued running cancelling suspended succeeded degraded failed cancelled",
                      "\"%s\" is no status of a run", name);
            return false;
        }
        *bits |= 1U << (unsigned)status;
        *only = args_times(in, "status") == 1 ? status : 0;
    }
    return true;
}

static bool list_options_of(app *a, const args *in, ratoon_list_options *options, unsigned *bits)
{
    uint64_t limit = a->json ? 0 : TEXT_LIMIT;
    const char *since = args_get(in, "since");
    if (!statuses_of(a, in, bits, &options->status) ||
        !args_number(a, in, "limit", 0, UINT32_MAX, &limit)) {
        return false;
    }
    options->in_flight = args_has(in, "in-flight");
    options->pipeline = args_get(in, "pipeline");
    options->subject = args_get(in, "subject");
    options->limit = (uint32_t)limit;
    if (since != NULL && !text_parse_time(since, (uint64_t)time(NULL) * 1000000, &options->since)) {
        app_error(a, RATOON_ERR_USAGE, "for instance 2026-07-01T12:00:00Z, 90d or \"2h ago\"",
                  "--since wants a time, not \"%s\"", since);
        return false;
    }
    return true;
}

static void list_line(const app *a, table *t, const json_t *run)
{
    struct libscols_line *line = table_line(t, NULL);
    const char *status = doc_string(run, "status");
    char when[TEXT_TIME_MAX], duration[TEXT_DURATION_MAX];
    const uint64_t elapsed = show_elapsed(a, run);
    table_set(t, line, 0, doc_string(run, "id"));
    table_set(t, line, 1, doc_string(run, "pipeline"));
    table_set(t, line, 2, status);
    table_style(t, line, 2, text_status_style(status));
    table_set(t, line, 3, text_when(doc_time(run, "created_at"), ratoon_store_now(a->store), when));
    table_set(t, line, 4, elapsed > 0 ? text_duration(elapsed, duration) : "");
    if (doc_number(run, "depth") > 0) {
        table_format(t, line, 5, "%" PRIu64, doc_number(run, "depth"));
    }
    table_set(t, line, 6, doc_string(run, "from_stage"));
    table_set(t, line, 7, doc_string(run, "subject"));
    table_set(t, line, 8, doc_string(run, "reason"));
}

static int list_runs(const app *a, const ratoon_id *ids, size_t count, unsigned bits,
                     uint32_t limit, bool *more)
{
    static const char *const headings[] = {"RUN",    "PIPELINE", "STATUS",  "CREATED", ">TOOK",
                                           ">DEPTH", "FROM",     "SUBJECT", "~REASON", NULL};
    table t;
    int code = EXIT_DONE;
    uint32_t shown = 0;
    if (!a->json) {
        table_open(&t, a, headings);
    }
    for (size_t i = 0; i < count && code == EXIT_DONE; i++) {
        ratoon_run_info info;
        if (bits != 0 && (ratoon_run_get(a->store, ids[i], &info, NULL) != RATOON_OK ||
                          (bits & 1U << (unsigned)info.status) == 0)) {
            continue;
        }
        if (limit > 0 && shown == limit) {
            *more = true;
            break;
        }
        shown++;
        ratoon_buffer json = {0};
        ratoon_error error = {0};
        error.code = ratoon_doc_run(a->store, ids[i], false, &json, &error);
        if (error.code == RATOON_ERR_NOT_FOUND) { /* deleted meanwhile */
            continue;
        }
        if (error.code != RATOON_OK) {
            code = app_fail(a, &error);
        } else if (a->json) {
            doc_print(&json);
            if (!output_alive()) {
                ratoon_buffer_free(&json);
                break;
            }
        } else {
            json_t *document = doc_parse(a, json.data, json.size);
            code = document == NULL ? EXIT_DAMAGED : EXIT_DONE;
            list_line(a, &t, json_object_get(document, "run"));
            json_decref(document);
        }
        ratoon_buffer_free(&json);
    }
    if (!a->json) {
        table_close(&t, "");
    }
    return code;
}

int command_list(app *a, const args *in)
{
    ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
    unsigned bits = 0;
    if (!list_options_of(a, in, &options, &bits)) {
        return EXIT_USAGE;
    }
    int code = app_open_store(a);
    if (code >= 0) {
        return code;
    }
    const uint32_t limit = options.limit;
    /* One more than is shown tells whether there are more; several statuses are sorted out here. */
    options.limit = bits != 0 && options.status == 0 ? 0
                    : limit > 0                      ? limit + (limit < UINT32_MAX)
                                                     : 0;
    ratoon_id *ids = NULL;
    size_t count = 0;
    ratoon_error error = {0};
    error.code = ratoon_run_list(a->store, &options, &ids, &count, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    bool more = false;
    code = list_runs(a, ids, count, bits, limit, &more);
    if (more && !a->json && !args_has(in, "limit")) {
        app_note(a, "these are the newest %u; --limit 0 shows all", (unsigned)limit);
    } else if (count == 0 && !a->json) {
        app_note(a, "no runs");
    }
    free(ids);
    return code;
}

/* ---- tree ---- */

static struct libscols_line *tree_parent(const json_t *runs, struct libscols_line *const *lines,
                                         size_t before, const char *parent)
{
    for (size_t i = 0; *parent != '\0' && i < before; i++) {
        if (strcmp(doc_string(json_array_get(runs, i), "id"), parent) == 0) {
            return lines[i];
        }
    }
    return NULL;
}

static void tree_print(const app *a, const json_t *runs)
{
    static const char *const headings[] = {"/RUN",  ">DEPTH",  "FROM", "STATUS",  "CREATED",
                                           ">TOOK", "CHANGED", "",     "~REASON", NULL};
    const size_t count = json_array_size(runs);
    struct libscols_line **lines = calloc(count + 1, sizeof(struct libscols_line *));
    table t;
    if (lines == NULL) {
        abort();
    }
    table_open(&t, a, headings);
    for (size_t i = 0; i < count; i++) {
        const json_t *run = json_array_get(runs, i);
        struct libscols_line *line =
            table_line(&t, tree_parent(runs, lines, i, doc_string(run, "parent")));
        const char *status = doc_string(run, "status");
        const uint64_t elapsed = show_elapsed(a, run);
        char when[TEXT_TIME_MAX], duration[TEXT_DURATION_MAX];
        char *changes = doc_changes(json_object_get(run, "overrides"), NULL);
        lines[i] = line;
        table_set(&t, line, 0, doc_string(run, "id"));
        table_format(&t, line, 1, "%" PRIu64, doc_number(run, "depth"));
        table_set(&t, line, 2, doc_string(run, "from_stage"));
        table_set(&t, line, 3, status);
        table_style(&t, line, 3, text_status_style(status));
        table_set(&t, line, 4,
                  text_when(doc_time(run, "created_at"), ratoon_store_now(a->store), when));
        table_set(&t, line, 5, elapsed > 0 ? text_duration(elapsed, duration) : "");
        table_set(&t, line, 6, changes);
        table_set(&t, line, 7, doc_true(run, "automatic") ? "automatic" : "");
        table_set(&t, line, 8, doc_string(run, "reason"));
        free(changes);
    }
    table_close(&t, "");
    free(lines);
}

int command_tree(app *a, const args *in)
{
    ratoon_id run;
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code >= 0) {
        return code;
    }
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    error.code = ratoon_doc_tree(a->store, run, &json, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    if (a->json) {
        doc_print(&json);
        ratoon_buffer_free(&json);
        return EXIT_DONE;
    }
    json_t *document = doc_parse(a, json.data, json.size);
    ratoon_buffer_free(&json);
    if (document == NULL) {
        return EXIT_DAMAGED;
    }
    tree_print(a, json_object_get(json_object_get(document, "lineage"), "runs"));
    json_decref(document);
    return EXIT_DONE;
}
