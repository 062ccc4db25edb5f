/* `emit`: a stage that is a shell script writes to RATOON_EVENTS. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/jsontext.h"
#include "tools/ratoon/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int usage(const app *a, const char *what)
{
    return app_error(a, RATOON_ERR_USAGE, "`ratoon emit --help` shows all forms", "emit wants %s",
                     what);
}

static void put_text(FILE *out, const char *text)
{
    jsontext_put_string(out, text, strlen(text));
}

static bool is_count(const char *text)
{
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static int put_progress(const app *a, const args *in, FILE *out)
{
    const char *done = args_at(in, 1), *total = args_at(in, 2), *message = args_at(in, 3);
    if (done == NULL || !is_count(done) || (total != NULL && !is_count(total)) ||
        args_count(in) > 4) {
        return usage(a, "progress DONE [TOTAL [MESSAGE]], with whole numbers");
    }
    fprintf(out, "{\"progress\":{\"done\":%s", done);
    if (total != NULL) {
        fprintf(out, ",\"total\":%s", total);
    }
    if (message != NULL) {
        fputs(",\"message\":", out);
        put_text(out, message);
    }
    fputs("}}", out);
    return -1;
}

static int put_item(const app *a, const args *in, FILE *out)
{
    const char *key = args_at(in, 1), *status = args_at(in, 2);
    const char *output = args_get(in, "output"), *error = args_get(in, "error");
    char *why = NULL;
    if (status == NULL || args_count(in) > 3 ||
        (strcmp(status, "done") != 0 && strcmp(status, "failed") != 0 &&
         strcmp(status, "committed") != 0)) {
        return usage(a, "item KEY done|failed|committed");
    }
    fputs("{\"item\":", out);
    put_text(out, key);
    fprintf(out, ",\"status\":\"%s\"", status);
    if (output != NULL) {
        if (!jsontext_valid(output, strlen(output), &why)) {
            const int code = app_error(a, RATOON_ERR_USAGE, NULL, "--output is not JSON: %s", why);
            free(why);
            return code;
        }
        fputs(",\"output\":", out);
        jsontext_put_compact(out, output, strlen(output));
    }
    if (error != NULL) {
        fputs(",\"error\":", out);
        put_text(out, error);
    }
    fputc('}', out);
    return -1;
}

static int put_output(const app *a, const args *in, FILE *out)
{
    fputs("{\"output\":{", out);
    for (size_t i = 1; args_at(in, i) != NULL; i++) {
        const char *word = args_at(in, i);
        const char *equals = strchr(word, '=');
        char *why = NULL;
        if (equals == NULL || equals == word) {
            return usage(a, "output KEY=TEXT or KEY:=JSON");
        }
        const bool json = equals[-1] == ':';
        const size_t length = (size_t)(equals - word) - (json ? 1 : 0);
        fputs(i > 1 ? "," : "", out);
        jsontext_put_string(out, word, length);
        fputc(':', out);
        if (!json) {
            put_text(out, equals + 1);
        } else if (jsontext_valid(equals + 1, strlen(equals + 1), &why)) {
            jsontext_put_compact(out, equals + 1, strlen(equals + 1));
        } else {
            const int code = app_error(a, RATOON_ERR_USAGE, NULL,
                                       "the value of %.*s is not JSON: %s", (int)length, word, why);
            free(why);
            return code;
        }
    }
    fputs("}}", out);
    return args_count(in) > 1 ? -1 : usage(a, "output KEY=TEXT or KEY:=JSON");
}

static int put_event(const app *a, const args *in, FILE *out)
{
    static const struct {
        const char *kind, *member;
    } texts[] = {
        {"degraded", "degraded"}, {"consumes", "consumes"}, {"external-ref", "external_ref"}};
    const char *kind = args_at(in, 0);
    if (strcmp(kind, "progress") == 0) {
        return put_progress(a, in, out);
    }
    if (strcmp(kind, "item") == 0) {
        return put_item(a, in, out);
    }
    if (strcmp(kind, "output") == 0) {
        return put_output(a, in, out);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(kind, texts[i].kind) == 0 && args_count(in) == 2) {
            fprintf(out, "{\"%s\":", texts[i].member);
            put_text(out, args_at(in, 1));
            fputc('}', out);
            return -1;
        }
    }
    return usage(a, "progress, item, degraded, output, consumes or external-ref, with its words");
}

int command_emit(app *a, const args *in)
{
    const char *path = getenv("RATOON_EVENTS");
    char *line = NULL;
    size_t size = 0;
    if (path == NULL || *path == '\0') {
        return app_error(a, RATOON_ERR_USAGE, "it is set for the commands of stages",
                         "RATOON_EVENTS is not set");
    }
    FILE *stream = open_memstream(&line, &size);
    if (stream == NULL) {
        return app_no_memory(a);
    }
    int code = put_event(a, in, stream);
    fputc('\n', stream);
    fclose(stream);
    if (code < 0) {
        const int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        /* One write: lines of several processes don't mix. */
        if (fd < 0 || write(fd, line, size) != (ssize_t)size) {
            code =
                app_error(a, RATOON_ERR_IO, NULL, "can't write to %s: %s", path, strerror(errno));
        } else {
            code = EXIT_DONE;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    free(line);
    return code;
}
