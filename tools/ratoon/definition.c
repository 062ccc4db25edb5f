/* Pipeline files, secrets and initial state. */
#include "tools/ratoon/definition.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/jsontext.h"
#include "tools/ratoon/text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PIPELINE_READ_MAX ((1u << 20) + 1) /* one more than the parser accepts: it says so */
#define STATE_READ_MAX (1u << 30)

char *file_read(const app *a, const char *path, size_t most, size_t *size)
{
    struct stat st;
    FILE *file = fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &st) != 0 || S_ISDIR(st.st_mode)) {
        app_error(a, RATOON_ERR_USAGE, NULL, "can't read %s: %s", path,
                  file != NULL ? strerror(EISDIR) : strerror(errno));
        if (file != NULL) {
            fclose(file);
        }
        return NULL;
    }
    char *out = NULL, block[16384];
    FILE *stream = open_memstream(&out, size);
    size_t got, total = 0;
    if (stream == NULL) {
        abort();
    }
    while (total < most && (got = fread(block, 1, sizeof block, file)) > 0) {
        const size_t part = got < most - total ? got : most - total;
        fwrite(block, 1, part, stream);
        total += part;
    }
    const bool failed = ferror(file) != 0;
    const int cause = errno;
    fclose(stream);
    fclose(file);
    if (failed) {
        app_error(a, RATOON_ERR_USAGE, NULL, "can't read %s: %s", path, strerror(cause));
        free(out);
        return NULL;
    }
    return out;
}

static int parse(const app *a, const char *shown, const char *path, ratoon_pipeline **out)
{
    size_t size = 0;
    char *text = file_read(a, path, PIPELINE_READ_MAX, &size);
    if (text == NULL) {
        return EXIT_USAGE;
    }
    char *folder = text_copy(path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    ratoon_error error = {0};
    error.code = ratoon_pipeline_parse(shown, text, size, folder, out, &error);
    free(folder);
    free(text);
    return error.code == RATOON_OK ? -1 : app_fail(a, &error);
}

int definition_read(const app *a, const char *file, ratoon_pipeline **out, char **path)
{
    char *absolute = realpath(file, NULL);
    if (absolute == NULL) {
        return app_error(a, RATOON_ERR_USAGE,
                         errno == ENOENT ? "`ratoon init` writes an example" : NULL,
                         "can't read %s: %s", file, strerror(errno));
    }
    const int code = parse(a, file, absolute, out);
    if (code >= 0 || path == NULL) {
        free(absolute);
        return code;
    }
    *path = absolute;
    return -1;
}

void definition_warn_if_other(const app *a, ratoon_id run, const ratoon_pipeline *read,
                              const char *file, const char *action)
{
    ratoon_pipeline *own = NULL;
    char id[RATOON_ID_TEXT];
    if (ratoon_run_pipeline(a->store, run, &own, NULL) != RATOON_OK) {
        return;
    }
    const ratoon_digest x = ratoon_pipeline_digest(read), y = ratoon_pipeline_digest(own);
    ratoon_id_format(run, id);
    if (memcmp(&x, &y, sizeof x) != 0) {
        app_warn(a,
                 "%s has changed since the run was made; its own definition is used. To use the "
                 "file: ratoon %s %s --file %s --accept-changes",
                 file, action, id, file);
    }
    ratoon_pipeline_free(own);
}

void definition_warn_if_changed(const app *a, ratoon_id run, const char *action)
{
    json_t *document = NULL;
    int code = 0;
    const json_t *doc = doc_run(a, run, false, &document, &code);
    const char *file = doc_string(doc, "file");
    FILE *there = *file != '\0' ? fopen(file, "re") : NULL;
    char *text = there != NULL ? malloc(PIPELINE_READ_MAX) : NULL;
    ratoon_pipeline *now = NULL;
    if (text != NULL) {
        const size_t size = fread(text, 1, PIPELINE_READ_MAX, there);
        if (ratoon_pipeline_parse(file, text, size, NULL, &now, NULL) == RATOON_OK) {
            definition_warn_if_other(a, run, now, file, action);
        } else {
            app_warn(a,
                     "%s has changed since the run was made and is not valid now; the run's own "
                     "definition is used",
                     file);
        }
    }
    if (there != NULL) {
        fclose(there);
    }
    ratoon_pipeline_free(now);
    free(text);
    json_decref(document);
}

/* ---- secrets ---- */

static char *secret_variable(const char *name)
{
    char *variable = text_format("RATOON_SECRET_%s", name);
    for (char *p = variable + strlen("RATOON_SECRET_"); *p != '\0'; p++) {
        const bool lower = *p >= 'a' && *p <= 'z';
        const bool plain = (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
        *p = lower ? (char)(*p - 'a' + 'A') : plain ? *p : '_';
    }
    return variable;
}

int secrets_add(const app *a, const ratoon_pipeline *pipeline, bool required, ratoon_pair **params,
                size_t *count)
{
    const char *name = NULL;
    bool secret = false;
    for (size_t i = 0; ratoon_pipeline_param(pipeline, i, &name, &secret); i++) {
        if (!secret) {
            continue;
        }
        char *variable = secret_variable(name);
        const char *value = getenv(variable);
        int code = -1;
        for (size_t j = 0; j < *count && code < 0; j++) {
            if (strcmp((*params)[j].name, name) == 0) {
                char *hint = text_format("put its value into the environment: %s", variable);
                code = app_error(a, RATOON_ERR_USAGE, hint,
                                 "%s is a secret: it can't be given on the command line", name);
                free(hint);
            }
        }
        if (code < 0 && value == NULL && required) {
            char *hint = text_format("%s=… ratoon …", variable);
            code = app_error(a, RATOON_ERR_USAGE, hint,
                             "the secret parameter %s has no value: %s is not set", name, variable);
            free(hint);
        }
        free(variable);
        if (code >= 0) {
            return code;
        }
        if (value != NULL) {
            ratoon_pair *grown = realloc(*params, (*count + 2) * sizeof *grown);
            if (grown == NULL) {
                return app_no_memory(a);
            }
            *params = grown;
            (*params)[(*count)++] =
                (ratoon_pair){.name = text_copy(name), .value = text_copy(value)};
        }
    }
    return -1;
}

/* ---- initial state ---- */

typedef struct value_list {
    ratoon_value *items;
    size_t count;
} value_list;

static bool add_value(void *ctx, const char *key, const char *value, size_t size)
{
    value_list *list = ctx;
    ratoon_value *grown = realloc(list->items, (list->count + 1) * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    list->items = grown;
    char *compact = jsontext_compact(value, size);
    list->items[list->count++] =
        (ratoon_value){.key = text_copy(key), .data = compact, .size = strlen(compact)};
    return true;
}

int values_read(const app *a, const char *file, ratoon_value **out, size_t *count)
{
    size_t size = 0;
    char *why = NULL;
    char *text = file_read(a, file, STATE_READ_MAX, &size);
    if (text == NULL) {
        return EXIT_USAGE;
    }
    value_list list = {0};
    int code = -1;
    if (!jsontext_valid(text, size, &why)) {
        code = app_error(a, RATOON_ERR_USAGE, NULL, "%s is not JSON: %s", file, why);
    } else if (!jsontext_members(text, size, add_value, &list)) {
        code = app_error(a, RATOON_ERR_USAGE, NULL, "%s wants to be a JSON object: key to value",
                         file);
    }
    free(why);
    free(text);
    if (code >= 0) {
        values_free(list.items, list.count);
        return code;
    }
    *out = list.items;
    *count = list.count;
    return -1;
}

void values_free(ratoon_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)(uintptr_t)values[i].key);
        free((void *)(uintptr_t)values[i].data);
    }
    free(values);
}
