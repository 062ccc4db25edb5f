/* `diff` and `stale`: runs against each other. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/table.h"

#include <stdlib.h>
#include <string.h>

static char *change_text(const json_t *change)
{
    const json_t *before = doc_old(change), *after = doc_new(change);
    char *x = doc_text(before), *y = doc_text(after);
    char *text = strcmp(x, y) == 0
                     ? text_copy(x)
                     : text_format("%s -> %s", *x != '\0' ? x : "none", *y != '\0' ? y : "none");
    free(x);
    free(y);
    return text;
}

static char *seconds_text(const json_t *change)
{
    char x[TEXT_DURATION_MAX] = "", y[TEXT_DURATION_MAX] = "";
    const json_t *before = doc_old(change), *after = doc_new(change);
    if (json_is_number(before)) {
        text_duration((uint64_t)(json_number_value(before) * 1e6), x);
    }
    if (json_is_number(after)) {
        text_duration((uint64_t)(json_number_value(after) * 1e6), y);
    }
    return *x == '\0' && *y == '\0' ? text_copy("")
                                    : text_format("%s -> %s", *x != '\0' ? x : "not executed",
                                                  *y != '\0' ? y : "not executed");
}

static void put_keys(const char *name, const json_t *keys)
{
    size_t i;
    json_t *key;
    json_array_foreach(keys, i, key)
    {
        printf("  %-8s ", name);
        text_put_string(stdout, json_string_value(key));
        putchar('\n');
    }
}

static void diff_print(const app *a, const json_t *diff)
{
    static const char *const headings[] = {"STAGE", "STATUS", "TIME", NULL};
    const json_t *params = json_object_get(diff, "params");
    const json_t *stages = json_object_get(diff, "stages");
    const json_t *state = json_object_get(diff, "state");
    const char *name = NULL;
    size_t i;
    json_t *entry;
    table t;
    puts(json_object_size(params) > 0 ? "parameters" : "parameters are the same");
    json_object_foreach((json_t *)(uintptr_t)params, name, entry)
    {
        char *text = change_text(entry);
        fputs("  ", stdout);
        text_put_string(stdout, name);
        fputs("  ", stdout);
        text_put_string(stdout, text);
        putchar('\n');
        free(text);
    }
    puts(json_array_size(stages) > 0 ? "stages" : "stages are the same");
    table_open(&t, a, headings);
    json_array_foreach(stages, i, entry)
    {
        struct libscols_line *line = table_line(&t, NULL);
        char *status = change_text(json_object_get(entry, "status"));
        char *seconds = seconds_text(json_object_get(entry, "seconds"));
        table_set(&t, line, 0, doc_string(entry, "name"));
        table_set(&t, line, 1, status);
        table_set(&t, line, 2, seconds);
        free(status);
        free(seconds);
    }
    table_close(&t, "  ");
    const json_t *added = json_object_get(state, "added");
    const json_t *removed = json_object_get(state, "removed");
    const json_t *changed = json_object_get(state, "changed");
    const size_t differences =
        json_array_size(added) + json_array_size(removed) + json_array_size(changed);
    puts(differences > 0 ? "state" : "state is the same");
    put_keys("added", added);
    put_keys("removed", removed);
    put_keys("changed", changed);
}

int command_diff(app *a, const args *in)
{
    ratoon_id first, second;
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &first);
    }
    if (code < 0) {
        code = app_find_run(a, args_at(in, 1), &second);
    }
    if (code >= 0) {
        return code;
    }
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    error.code = ratoon_doc_diff(a->store, first, second, &json, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    return doc_show(a, &json, "diff", diff_print);
}

/* ---- stale ---- */

static bool stale_print(const app *a, const ratoon_buffer *lines)
{
    static const char *const headings[] = {"RUN", "STAGE", "CAUSE", "~REFUSAL", NULL};
    table t;
    bool good = true;
    table_open(&t, a, headings);
    for (size_t at = 0; good && at < lines->size;) {
        const char *end = memchr(lines->data + at, '\n', lines->size - at);
        const size_t length = end != NULL ? (size_t)(end - lines->data) - at : lines->size - at;
        json_t *document = doc_parse(a, lines->data + at, length);
        const json_t *stale = json_object_get(document, "stale");
        const json_t *refusal = doc_member(stale, "refusal");
        good = document != NULL;
        if (good) {
            struct libscols_line *line = table_line(&t, NULL);
            table_set(&t, line, 0, doc_string(stale, "run"));
            table_set(&t, line, 1, doc_string(stale, "stage"));
            table_set(&t, line, 2, doc_string(stale, "cause"));
            if (refusal != NULL) {
                table_format(&t, line, 3, "%s: %s", doc_string(refusal, "code"),
                             doc_string(refusal, "message"));
            }
        }
        json_decref(document);
        at += length + 1;
    }
    table_close(&t, "");
    return good;
}

int command_stale(app *a, const args *in)
{
    (void)in;
    int code = app_open_store(a);
    if (code >= 0) {
        return code;
    }
    ratoon_buffer lines = {0};
    ratoon_error error = {0};
    error.code = ratoon_doc_stale(a->store, &lines, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    code = EXIT_DONE;
    if (a->json) {
        fwrite(lines.data, 1, lines.size, stdout);
    } else if (lines.size == 0) {
        app_note(a, "nothing is stale");
    } else if (!stale_print(a, &lines)) {
        code = EXIT_DAMAGED;
    }
    ratoon_buffer_free(&lines);
    return code;
}
