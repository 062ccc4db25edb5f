/* `stats`: what the runs of each pipeline came to (Q04). */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t failures_of(const json_t *stage)
{
    const char *name = NULL;
    json_t *count = NULL;
    uint64_t sum = 0;
    json_object_foreach(json_object_get(stage, "errors"), name, count)
    {
        sum += (uint64_t)json_integer_value(count);
    }
    return sum;
}

/* The most common failure points first. */
static int compare_stages(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    const uint64_t of_x = failures_of(*x), of_y = failures_of(*y);
    return of_x != of_y ? (of_x < of_y ? 1 : -1) : 0;
}

/* "OOM 3, TIMEOUT 1"; free it. */
static char *counts_text(const json_t *counts, const char *format)
{
    const char *name = NULL;
    json_t *count = NULL;
    char *text = text_copy("");
    json_object_foreach((json_t *)(uintptr_t)counts, name, count)
    {
        char *number = text_format("%" PRIu64, (uint64_t)json_integer_value(count));
        const bool name_first = *format == 'n';
        char *more = text_format("%s%s%s %s", text, *text != '\0' ? ", " : "",
                                 name_first ? name : number, name_first ? number : name);
        free(text);
        free(number);
        text = more;
    }
    return text;
}

static void put_seconds(table *t, struct libscols_line *line, size_t column, const json_t *stage,
                        const char *key)
{
    const double seconds = json_number_value(json_object_get(stage, key));
    char text[TEXT_DURATION_MAX];
    if (seconds > 0) {
        table_set(t, line, column, text_duration((uint64_t)(seconds * 1e6), text));
    }
}

static void put_stage(table *t, const json_t *stage)
{
    struct libscols_line *line = table_line(t, NULL);
    const json_t *rate = doc_member(stage, "success_rate");
    char *errors = counts_text(json_object_get(stage, "errors"), "name");
    table_set(t, line, 0, doc_string(stage, "name"));
    table_format(t, line, 1, "%" PRIu64, doc_number(stage, "executions"));
    if (rate != NULL) {
        table_format(t, line, 2, "%.0f%%", json_number_value(rate) * 100);
    }
    table_set(t, line, 3, errors);
    if (doc_number(stage, "retries") > 0) {
        table_format(t, line, 4, "%" PRIu64, doc_number(stage, "retries"));
        table_format(t, line, 5, "%" PRIu64, doc_number(stage, "retries_that_helped"));
    }
    put_seconds(t, line, 6, stage, "seconds_total");
    put_seconds(t, line, 7, stage, "seconds_saved");
    free(errors);
}

static bool pipeline_print(const app *a, const json_t *pipeline)
{
    static const char *const headings[] = {"STAGE",   ">EXECUTED", ">SUCCESS", "ERRORS", ">RETRIES",
                                           ">HELPED", ">SPENT",    ">SAVED",   NULL};
    const json_t *stages = json_object_get(pipeline, "stages");
    const size_t count = json_array_size(stages);
    const json_t **sorted = calloc(count + 1, sizeof *sorted);
    if (sorted == NULL) {
        return false;
    }
    for (size_t i = 0; i < count;
         i++) { /* an insertion sort keeps stages that are equal in order */
        size_t at = i;
        const json_t *stage = json_array_get(stages, i);
        for (; at > 0 && compare_stages(&sorted[at - 1], &stage) > 0; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = stage;
    }
    char *by_status = counts_text(json_object_get(pipeline, "by_status"), "count");
    char *depth = counts_text(json_object_get(pipeline, "depth"), "name");
    text_put_string(stdout, doc_string(pipeline, "pipeline"));
    printf(": %" PRIu64 " runs (%s)", doc_number(pipeline, "runs"), by_status);
    if (json_object_size(json_object_get(pipeline, "depth")) > 1) {
        printf("; by depth: %s", depth);
    }
    putchar('\n');
    table t;
    table_open(&t, a, headings);
    for (size_t i = 0; i < count; i++) {
        put_stage(&t, sorted[i]);
    }
    table_close(&t, "  ");
    free(by_status);
    free(depth);
    free(sorted);
    return true;
}

int command_stats(app *a, const args *in)
{
    int code = app_open_store(a);
    if (code >= 0) {
        return code;
    }
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    error.code = ratoon_doc_stats(a->store, args_get(in, "pipeline"), &json, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    code = EXIT_DONE;
    if (a->json) {
        doc_print(&json);
    } else {
        json_t *document = doc_parse(a, json.data, json.size);
        const json_t *pipelines = json_object_get(document, "pipelines");
        code = document == NULL ? EXIT_DAMAGED : EXIT_DONE;
        for (size_t i = 0; code == EXIT_DONE && i < json_array_size(pipelines); i++) {
            if (i > 0) {
                putchar('\n');
            }
            code = pipeline_print(a, json_array_get(pipelines, i)) ? EXIT_DONE : app_no_memory(a);
        }
        if (document != NULL && json_array_size(pipelines) == 0) {
            app_note(a, "this store has no runs yet");
        }
        json_decref(document);
    }
    ratoon_buffer_free(&json);
    return code;
}
