/* Errors, remarks and warnings: one line each on stderr, errors with --json on stdout as well. */
#include "tools/ratoon/doc.h"
#include "tools/ratoon/text.h"

#include <string.h>

static json_t *details_of(const ratoon_error *error)
{
    json_t *details = json_object();
    char id[RATOON_ID_TEXT];
    if (!ratoon_id_is_zero(error->run)) {
        ratoon_id_format(error->run, id);
        json_object_set_new(details, "run", json_string(id));
    }
    if (!ratoon_id_is_zero(error->other)) {
        ratoon_id_format(error->other, id);
        json_object_set_new(details, "other", json_string(id));
    }
    if (error->stage[0] != '\0') {
        json_object_set_new(details, "stage", json_string(error->stage));
    }
    if (error->line != 0) {
        json_object_set_new(details, "line", json_integer(error->line));
        json_object_set_new(details, "column", json_integer(error->column));
    }
    if (error->backend_code != 0) {
        json_object_set_new(details, "errno", json_integer(error->backend_code));
    }
    return details;
}

/* A JSON string of text that may not be UTF-8. */
static json_t *string_of(const char *text)
{
    json_t *string = json_string(text);
    if (string == NULL) {
        char *escaped = text_escape(text);
        string = json_string(escaped);
        free(escaped);
    }
    return string;
}

int app_fail(const app *a, const ratoon_error *error)
{
    const ratoon_status code = error->code != RATOON_OK ? error->code : RATOON_ERR_IO;
    const char *message = error->message[0] != '\0' ? error->message : ratoon_status_text(code);
    const bool colored = text_colored(a, stderr);
    fflush(stdout);
    fprintf(stderr, "ratoon: %s%s%s: ", text_style_on(colored, STYLE_RED), ratoon_status_name(code),
            text_style_off(colored));
    text_put_message(stderr, message);
    fputc('\n', stderr);
    if (error->hint[0] != '\0') {
        fputs("hint: ", stderr);
        text_put_message(stderr, error->hint);
        fputc('\n', stderr);
    }
    if (a->json) {
        json_t *document = json_pack("{s:i,s:{s:s,s:o,s:o,s:o}}", "schema", 1, "error", "code",
                                     ratoon_status_name(code), "message", string_of(message),
                                     "hint", string_of(error->hint), "details", details_of(error));
        doc_print_json(document);
        json_decref(document);
    }
    return ratoon_status_exit_code(code);
}

int app_error(const app *a, ratoon_status code, const char *hint, const char *format, ...)
{
    ratoon_error error = {.code = code};
    va_list list;
    va_start(list, format);
    vsnprintf(error.message, sizeof error.message, format, list);
    va_end(list);
    if (hint != NULL) {
        snprintf(error.hint, sizeof error.hint, "%s", hint);
    }
    return app_fail(a, &error);
}

int app_no_memory(const app *a)
{
    return app_error(a, RATOON_ERR_NO_MEMORY, NULL, "out of memory");
}

static void remark(const char *kind, const char *format, va_list list)
{
    char text[4096];
    vsnprintf(text, sizeof text, format, list);
    fflush(stdout);
    fprintf(stderr, "ratoon: %s", kind);
    text_put_message(stderr, text);
    fputc('\n', stderr);
}

void app_note(const app *a, const char *format, ...)
{
    if (a->quiet) {
        return;
    }
    va_list list;
    va_start(list, format);
    remark("", format, list);
    va_end(list);
}

void app_warn(const app *a, const char *format, ...)
{
    (void)a;
    va_list list;
    va_start(list, format);
    remark("warning: ", format, list);
    va_end(list);
}
