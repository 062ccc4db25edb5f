/* `log`: the events of a run or lineage, in order, or a commit as it is stored. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/event.h"
#include "tools/ratoon/table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static bool log_table(const app *a, const ratoon_buffer *lines, bool lineage)
{
    static const char *const headings[] = {">EVENT", "TIME", "RUN", "TYPE", "STAGE", "~DATA", NULL};
    table t;
    bool good = true;
    table_open(&t, a, headings);
    for (size_t at = 0; good && at < lines->size;) {
        const char *end = memchr(lines->data + at, '\n', lines->size - at);
        const size_t length = end != NULL ? (size_t)(end - lines->data) - at : lines->size - at;
        json_t *event = doc_parse(a, lines->data + at, length);
        good = event != NULL;
        if (good) {
            struct libscols_line *line = table_line(&t, NULL);
            char when[TEXT_TIME_MAX];
            char *summary = event_summary(event);
            table_format(&t, line, 0, "%" PRIu64, doc_number(event, "event"));
            table_set(&t, line, 1, text_time(doc_time(event, "time"), when));
            table_set(&t, line, 2, lineage ? doc_string(event, "run") : "");
            table_set(&t, line, 3, doc_string(event, "type"));
            table_set(&t, line, 4, doc_string(event, "stage"));
            table_set(&t, line, 5, summary);
            free(summary);
        }
        json_decref(event);
        at += length + 1;
    }
    table_close(&t, "");
    return good;
}

static int log_raw(const app *a, ratoon_id run, uint64_t number)
{
    ratoon_buffer bytes = {0};
    ratoon_error error = {0};
    error.code = ratoon_commit_bytes(a->store, run, number, &bytes, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    fwrite(bytes.data, 1, bytes.size, stdout);
    ratoon_buffer_free(&bytes);
    return output_alive() ? EXIT_DONE : EXIT_IO;
}

int command_log(app *a, const args *in)
{
    const bool lineage = args_has(in, "lineage");
    uint64_t raw = 0;
    ratoon_id run;
    if (!args_number(a, in, "raw", 1, INT64_MAX, &raw)) {
        return EXIT_USAGE;
    }
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code >= 0) {
        return code;
    }
    if (raw != 0) {
        return log_raw(a, run, raw);
    }
    ratoon_buffer lines = {0};
    ratoon_error error = {0};
    error.code = ratoon_doc_log(a->store, run, lineage, &lines, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    code = EXIT_DONE;
    if (a->json) {
        doc_print(&lines);
    } else if (!log_table(a, &lines, lineage)) {
        code = EXIT_DAMAGED;
    }
    ratoon_buffer_free(&lines);
    return code;
}
