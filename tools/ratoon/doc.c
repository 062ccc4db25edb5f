/* Documents of the library as jansson values. */
#include "tools/ratoon/doc.h"
#include "tools/ratoon/text.h"

#include "replay/json.h"

#include <stdlib.h>
#include <string.h>

void doc_print(const ratoon_buffer *document)
{
    fwrite(document->data, 1, document->size, stdout);
    if (document->size > 0 && document->data[document->size - 1] != '\n') {
        fputc('\n', stdout);
    }
}

void doc_print_json(const json_t *document)
{
    json_dumpf(document, stdout, ratoon__json_dump_flags(document));
    fputc('\n', stdout);
}

json_t *doc_parse(const app *a, const char *text, size_t size)
{
    json_error_t problem;
    json_t *document = json_loadb(text, size, JSON_ALLOW_NUL, &problem);
    if (document == NULL) {
        app_error(a, RATOON_ERR_DAMAGED, NULL, "a document of the store can't be read: %s",
                  problem.text);
    }
    return document;
}

int doc_show(const app *a, ratoon_buffer *document, const char *name,
             void (*print)(const app *a, const json_t *member))
{
    int code = EXIT_DONE;
    if (a->json) {
        doc_print(document);
    } else {
        json_t *parsed = doc_parse(a, document->data, document->size);
        if (parsed != NULL) {
            print(a, json_object_get(parsed, name));
        } else {
            code = EXIT_DAMAGED;
        }
        json_decref(parsed);
    }
    ratoon_buffer_free(document);
    return code;
}

json_t *doc_member(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

const char *doc_string(const json_t *object, const char *key)
{
    const char *text = json_string_value(doc_member(object, key));
    return text != NULL ? text : "";
}

uint64_t doc_number(const json_t *object, const char *key)
{
    const json_t *value = doc_member(object, key);
    return json_is_integer(value) && json_integer_value(value) > 0
               ? (uint64_t)json_integer_value(value)
               : 0;
}

bool doc_true(const json_t *object, const char *key)
{
    return json_is_true(doc_member(object, key));
}

uint64_t doc_time(const json_t *object, const char *key)
{
    const char *text = doc_string(object, key);
    uint64_t us = 0;
    return *text != '\0' && text_parse_time(text, 0, &us) ? us : 0;
}

char *doc_text(const json_t *value)
{
    if (value == NULL || json_is_null(value)) {
        return text_copy("");
    }
    if (json_is_string(value)) {
        return text_copy(json_string_value(value));
    }
    char *text = json_dumps(value, ratoon__json_dump_flags(value) | JSON_ENCODE_ANY);
    return text != NULL ? text : text_copy("?");
}

const json_t *doc_new(const json_t *change)
{
    return json_is_object(change) && json_object_get(change, "new") != NULL
               ? json_object_get(change, "new")
               : change;
}

const json_t *doc_old(const json_t *change)
{
    return json_is_object(change) ? json_object_get(change, "old") : NULL;
}

char *doc_changes(const json_t *changes, const json_t *present)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    const char *name = NULL;
    json_t *change = NULL;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)changes, name, change)
    {
        const json_t *old = doc_old(change);
        char *before = doc_text(old != NULL ? old : json_object_get(present, name));
        char *after = doc_text(doc_new(change));
        fprintf(stream, "%s%s %s%s%s", first ? "" : ", ", name, before,
                *before != '\0' ? " -> " : "", after);
        free(before);
        free(after);
        first = false;
    }
    fclose(stream);
    return out;
}

json_t *doc_run(const app *a, ratoon_id run, bool with_stages, json_t **document, int *code)
{
    ratoon_buffer buffer = {0};
    ratoon_error error = {0};
    const ratoon_status status = ratoon_doc_run(a->store, run, with_stages, &buffer, &error);
    if (status != RATOON_OK) {
        error.code = status;
        *code = app_fail(a, &error);
        return NULL;
    }
    *document = doc_parse(a, buffer.data, buffer.size);
    ratoon_buffer_free(&buffer);
    if (*document == NULL) {
        *code = EXIT_DAMAGED;
        return NULL;
    }
    return json_object_get(*document, "run");
}
