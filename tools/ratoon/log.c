/* `log`: the events of a run or lineage, in order. */
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

int command_log(app *a, const args *in)
{
    const bool lineage = args_has(in, "lineage");
    ratoon_id run;
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code >= 0) {
        return code;
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
