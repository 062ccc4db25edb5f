/* `show`, and the parts of it that other commands print. */
#include "tools/ratoon/show.h"
#include "tools/ratoon/command.h"
#include "tools/ratoon/next.h"
#include "tools/ratoon/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DETAIL_LINES 15
#define ITEMS_SHOWN 10  /* failed ones, by `show` */
#define ITEMS_SUMMARY 3 /* and where the run has just ended */

uint64_t show_elapsed(const app *a, const json_t *timed)
{
    const uint64_t started = doc_time(timed, "started_at");
    const uint64_t ended = doc_time(timed, "ended_at");
    const char *status = doc_string(timed, "status");
    const bool going_on = strcmp(status, "running") == 0 || strcmp(status, "cancelling") == 0;
    const uint64_t until = !going_on && ended != 0 ? ended
                           : going_on              ? ratoon_store_now(a->store)
                                                   : 0;
    return started != 0 && until > started ? until - started : 0;
}

static void field(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void field(const char *name, const char *format, ...)
{
    char *text = NULL;
    va_list list;
    va_start(list, format);
    const int length = vasprintf(&text, format, list);
    va_end(list);
    if (length < 0) {
        abort();
    }
    if (*text != '\0') {
        printf("%-11s", name);
        text_put_string(stdout, text);
        putchar('\n');
    }
    free(text);
}

static void put_time(const app *a, const char *name, const json_t *run, const char *key)
{
    char when[TEXT_TIME_MAX], ago[TEXT_TIME_MAX];
    const uint64_t us = doc_time(run, key);
    if (us != 0) {
        field(name, "%s (%s)", text_time(us, when), text_ago(us, ratoon_store_now(a->store), ago));
    }
}

static char *items_text(const json_t *stage)
{
    const json_t *items = doc_member(stage, "items");
    const json_t *progress = doc_member(stage, "progress");
    const json_t *total = doc_member(items, "total");
    if (items != NULL && (json_is_integer(total) || doc_number(items, "done") > 0)) {
        const uint64_t failed = doc_number(items, "failed");
        char *all = json_is_integer(total) ? text_format("%" PRIu64, doc_number(items, "total"))
                                           : text_copy("?");
        char *text = failed > 0 ? text_format("%" PRIu64 "/%s, %" PRIu64 " failed",
                                              doc_number(items, "done"), all, failed)
                                : text_format("%" PRIu64 "/%s", doc_number(items, "done"), all);
        free(all);
        return text;
    }
    if (doc_number(progress, "total") > 0) {
        return text_format("%" PRIu64 "/%" PRIu64, doc_number(progress, "done"),
                           doc_number(progress, "total"));
    }
    return text_copy("");
}

static char *note_of(const json_t *stage)
{
    const json_t *error = doc_member(stage, "error");
    const char *reused = doc_string(stage, "reused_from");
    const char *message = doc_string(doc_member(stage, "progress"), "message");
    if (error != NULL) {
        const bool same = strcmp(doc_string(stage, "status"), "cancelled") == 0;
        return text_copy(same ? "" : doc_string(error, "class")); /* more is told below the table */
    }
    if (*reused != '\0') {
        return text_format("from %s%s", reused, doc_true(stage, "stale") ? ", stale" : "");
    }
    if (*doc_string(stage, "reason") != '\0') {
        return text_copy(doc_string(stage, "reason"));
    }
    return text_copy(message);
}

static void put_stages(const app *a, const json_t *run, const char *indent)
{
    static const char *const headings[] = {"STAGE",  "STATUS", ">ATTEMPT", ">TIME",
                                           ">ITEMS", "~NOTE",  NULL};
    table t;
    size_t i;
    json_t *stage;
    table_open(&t, a, headings);
    json_array_foreach(json_object_get(run, "stages"), i, stage)
    {
        struct libscols_line *line = table_line(&t, NULL);
        const char *status = doc_string(stage, "status");
        const uint64_t elapsed = show_elapsed(a, stage);
        char duration[TEXT_DURATION_MAX];
        char *items = items_text(stage), *note = note_of(stage);
        table_set(&t, line, 0, doc_string(stage, "name"));
        table_format(&t, line, 1, "%s %s", text_status_mark(status), status);
        table_style(&t, line, 1, text_status_style(status));
        if (doc_number(stage, "attempt") > 1) {
            table_format(&t, line, 2, "%" PRIu64, doc_number(stage, "attempt"));
        }
        if (elapsed > 0 && strcmp(status, "reused") != 0) {
            table_set(&t, line, 3, text_duration(elapsed, duration));
        }
        table_set(&t, line, 4, items);
        table_set(&t, line, 5, note);
        free(items);
        free(note);
    }
    table_close(&t, indent);
}

static void put_params(const json_t *run)
{
    const json_t *overrides = json_object_get(run, "overrides");
    const char *name = NULL;
    json_t *value = NULL;
    bool first = true;
    json_object_foreach(json_object_get(run, "params"), name, value)
    {
        if (first) {
            puts("\nparameters");
            first = false;
        }
        char *text = doc_text(value);
        const json_t *change = json_object_get(overrides, name);
        char *old = doc_text(doc_old(change));
        fputs("  ", stdout);
        text_put_string(stdout, name);
        fputs(" = ", stdout);
        text_put_string(stdout, text);
        if (change != NULL) {
            fputs("  (was ", stdout);
            text_put_string(stdout, old);
            putchar(')');
        }
        putchar('\n');
        free(old);
        free(text);
    }
}

/* The last lines of a longer text, each behind a bar. */
static void put_detail(const char *detail, FILE *out)
{
    size_t end = strlen(detail);
    while (end > 0 && detail[end - 1] == '\n') {
        end--;
    }
    size_t start = end, lines = 0;
    while (start > 0 && lines < DETAIL_LINES) {
        start--;
        lines += detail[start] == '\n';
    }
    if (lines == DETAIL_LINES) {
        start++;
        fputs("  | …\n", out);
    }
    while (start < end) {
        const char *stop = memchr(detail + start, '\n', end - start);
        const size_t length = stop != NULL ? (size_t)(stop - detail) - start : end - start;
        fputs("  | ", out);
        text_put(out, detail + start, length, false);
        fputc('\n', out);
        start += length + 1;
    }
}

static void put_error(const app *a, const json_t *stage, const json_t *params, FILE *out)
{
    const json_t *error = doc_member(stage, "error");
    const bool colored = text_colored(a, out);
    if (error == NULL) {
        return;
    }
    fprintf(out, "%serror in ", text_style_on(colored, STYLE_RED));
    text_put_string(out, doc_string(stage, "name"));
    fprintf(out, ": %s:%s ", doc_string(error, "class"), text_style_off(colored));
    text_put_string(out, doc_string(error, "message"));
    fputc('\n', out);
    put_detail(doc_string(error, "detail"), out);
    const json_t *suggested = doc_member(error, "suggested_overrides");
    if (json_object_size(suggested) > 0) {
        char *changes = doc_changes(suggested, params);
        fputs("  suggested: ", out);
        text_put_string(out, changes);
        fputc('\n', out);
        free(changes);
    }
}

static void put_failed_items(const app *a, ratoon_id run, const json_t *stage, size_t most,
                             FILE *out)
{
    const uint64_t failed = doc_number(doc_member(stage, "items"), "failed");
    ratoon_items *items = NULL;
    if (failed == 0 ||
        ratoon_stage_items(a->store, run, doc_string(stage, "name"), &items, NULL) != RATOON_OK) {
        return;
    }
    size_t shown = 0;
    for (size_t i = 0; i < ratoon_items_count(items) && shown < most; i++) {
        ratoon_item item;
        if (ratoon_items_get(items, i, &item, NULL) != RATOON_OK || !item.failed) {
            continue;
        }
        fputs("  item ", out);
        text_put_string(out, item.key);
        fprintf(out, ": %s: ", ratoon_class_name(item.error_class));
        text_put_string(out, item.error);
        fputc('\n', out);
        shown++;
    }
    if (failed > shown) {
        fprintf(out, "  and %" PRIu64 " more failed items\n", failed - shown);
    }
    ratoon_items_free(items);
}

static void put_errors(const app *a, const json_t *run, size_t items, FILE *out)
{
    ratoon_id id;
    size_t i;
    json_t *stage;
    if (ratoon_id_parse(doc_string(run, "id"), &id) != RATOON_OK) {
        return;
    }
    json_array_foreach(json_object_get(run, "stages"), i, stage)
    {
        /* A stage that was stopped says no more than its line in the table. */
        const json_t *error = doc_member(stage, "error");
        const char *class_name = doc_string(error, "class");
        if (error == NULL || strcmp(class_name, "CANCELLED") == 0 ||
            strcmp(class_name, "INTERRUPTED") == 0) {
            continue;
        }
        fputc('\n', out);
        put_error(a, stage, json_object_get(run, "params"), out);
        put_failed_items(a, id, stage, items, out);
    }
}

static void put_actions(const app *a, const json_t *run)
{
    static const char *const names[] = {"resume", "retry", "cancel"};
    const json_t *actions = doc_member(run, "actions");
    if (actions == NULL) {
        return;
    }
    puts("\nwhat can be done now");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const json_t *action = json_object_get(actions, names[i]);
        printf("  %-8s", names[i]);
        if (!doc_true(action, "available")) {
            fputs("no: ", stdout);
            text_put_string(stdout, doc_string(action, "why_not"));
            putchar('\n');
            continue;
        }
        next_put(stdout, a, run, names[i]);
        char *effect = strcmp(names[i], "retry") == 0 ? next_retry_effect(a, run) : NULL;
        if (effect != NULL) {
            fputs("\n          ", stdout);
            text_put_string(stdout, effect);
        }
        free(effect);
        putchar('\n');
    }
}

static void put_origin(const json_t *run)
{
    const char *parent = doc_string(run, "parent");
    if (*parent == '\0') {
        return;
    }
    const char *from = doc_string(run, "from_stage");
    const char *requested = doc_string(run, "requested_stage");
    char *asked = *requested != '\0' && strcmp(requested, from) != 0
                      ? text_format(" (asked for %s)", requested)
                      : text_copy("");
    field("retry of", "%s", parent);
    field("from", "%s%s", from, asked);
    field("lineage", "run %" PRIu64 " of it, depth %" PRIu64 ", root %s%s",
          doc_number(run, "number"), doc_number(run, "depth"), doc_string(run, "root"),
          doc_true(run, "automatic") ? ", made automatically" : "");
    free(asked);
}

static void put_head(const app *a, const json_t *run)
{
    const bool colored = text_colored(a, stdout);
    const char *status = doc_string(run, "status");
    char duration[TEXT_DURATION_MAX];
    char *labels = doc_changes(json_object_get(run, "labels"), NULL);
    char *children = next_names(json_object_get(run, "children"));
    field("run", "%s", doc_string(run, "id"));
    field("pipeline", "%s, version %" PRIu64, doc_string(run, "pipeline"),
          doc_number(run, "version"));
    printf("%-11s%s%s%s\n", "status", text_style_on(colored, text_status_style(status)), status,
           text_style_off(colored));
    put_origin(run);
    field("reason", "%s", doc_string(run, "reason"));
    field("by", "%s", doc_string(run, "actor"));
    field("subject", "%s", doc_string(run, "subject"));
    field("scope", "%s", doc_string(run, "scope"));
    field("external", "%s", doc_string(run, "external_ref"));
    field("labels", "%s", labels);
    put_time(a, "created", run, "created_at");
    const uint64_t elapsed = show_elapsed(a, run);
    if (elapsed > 0) {
        field("took", "%s", text_duration(elapsed, duration));
    }
    field("retries", "%s", children);
    free(labels);
    free(children);
}

void show_summary(const app *a, const json_t *run)
{
    const bool colored = text_colored(a, stdout);
    const char *status = doc_string(run, "status");
    const uint64_t elapsed = show_elapsed(a, run);
    char duration[TEXT_DURATION_MAX];
    printf("run %s of ", doc_string(run, "id"));
    text_put_string(stdout, doc_string(run, "pipeline"));
    printf(": %s%s%s", text_style_on(colored, text_status_style(status)), status,
           text_style_off(colored));
    if (elapsed > 0) {
        printf(" after %s", text_duration(elapsed, duration));
    }
    putchar('\n');
    put_stages(a, run, "  ");
    put_errors(a, run, ITEMS_SUMMARY, stdout);
}

int show_run(const app *a, ratoon_id id)
{
    if (a->json) {
        ratoon_buffer json = {0};
        ratoon_error error = {0};
        const ratoon_status status = ratoon_doc_run(a->store, id, true, &json, &error);
        if (status != RATOON_OK) {
            error.code = status;
            return app_fail(a, &error);
        }
        doc_print(&json);
        ratoon_buffer_free(&json);
        return EXIT_DONE;
    }
    json_t *document = NULL;
    int code = EXIT_DONE;
    const json_t *run = doc_run(a, id, true, &document, &code);
    if (run == NULL) {
        return code;
    }
    put_head(a, run);
    put_params(run);
    puts("\nstages");
    put_stages(a, run, "  ");
    put_errors(a, run, ITEMS_SHOWN, stdout);
    put_actions(a, run);
    json_decref(document);
    return EXIT_DONE;
}

int command_show(app *a, const args *in)
{
    ratoon_id run;
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    return code < 0 ? show_run(a, run) : code;
}
