/* Events as text. */
#include "tools/ratoon/event.h"
#include "tools/ratoon/text.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_SHOWN 60

/* Members that say nothing to people at a glance. */
static bool is_dull(const char *name)
{
    static const char *const dull[] = {"captured",   "digest",    "executor", "epoch",
                                       "old_digest", "max_depth", "root",     "number",
                                       "new_digest", "actions"};
    for (size_t i = 0; i < sizeof dull / sizeof dull[0]; i++) {
        if (strcmp(name, dull[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Names of an object's members: outputs are told by their keys alone. */
static void put_keys(FILE *out, const json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;
    const char *separator = "";
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        fprintf(out, "%s%s", separator, name);
        separator = ",";
    }
}

static void put_value(FILE *out, const char *name, const json_t *value)
{
    if (strcmp(name, "error") == 0 && json_is_object(value)) {
        fprintf(out, "%s: %s", doc_string(value, "class"), doc_string(value, "message"));
        return;
    }
    if (strcmp(name, "overrides") == 0 || strcmp(name, "suggested_overrides") == 0) {
        char *changes = doc_changes(value, NULL);
        fprintf(out, "%s", changes);
        free(changes);
        return;
    }
    if (strcmp(name, "output") == 0 && json_object_get(value, "value") != NULL) {
        value = json_object_get(value, "value");
    } else if (strcmp(name, "output") == 0) {
        fprintf(out, "%" JSON_INTEGER_FORMAT " bytes",
                json_integer_value(json_object_get(value, "size")));
        return;
    } else if (json_is_object(value) && strcmp(name, "progress") != 0 &&
               strcmp(name, "params") != 0) {
        put_keys(out, value);
        return;
    }
    char *text = doc_text(value);
    size_t shown = strlen(text);
    if (shown > VALUE_SHOWN) {
        shown = VALUE_SHOWN;
        while (shown > 0 && ((unsigned char)text[shown] & 0xc0) == 0x80) {
            shown--;
        }
    }
    fprintf(out, "%.*s%s", (int)shown, text, text[shown] != '\0' ? "…" : "");
    free(text);
}

char *event_summary(const json_t *event)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    if (stream == NULL) {
        abort();
    }
    const char *name = NULL;
    json_t *value = NULL;
    const char *separator = "";
    json_object_foreach(json_object_get(event, "data"), name, value)
    {
        const bool empty = json_is_null(value) || json_is_false(value) ||
                           (json_is_object(value) && json_object_size(value) == 0) ||
                           (json_is_array(value) && json_array_size(value) == 0);
        if (empty || is_dull(name)) {
            continue;
        }
        fprintf(stream, "%s%s=", separator, name);
        put_value(stream, name, value);
        separator = "  ";
    }
    fclose(stream);
    return out;
}
