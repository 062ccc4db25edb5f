/* Differences between two definitions, in lines such as
 *   stages.plan.run: ["./plan.sh"] -> ["./plan2.sh"]
 *   stages.review: added */
#include "core/pipeline.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_MAX = 240 }; /* bytes of a value that are shown */

static void add_value(ratoon__buf *b, const json_t *value)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY |
                                                       JSON_REAL_PRECISION(15))
                               : NULL;
    if (value == NULL) {
        ratoon__buf_str(b, "none");
    } else if (text == NULL) {
        b->failed = true;
    } else {
        size_t size = strlen(text);
        if (size > VALUE_MAX) {
            for (size = VALUE_MAX; ((unsigned char)text[size] & 0xc0) == 0x80; size--) {
            }
        }
        ratoon__buf_add(b, text, size);
        ratoon__buf_str(b, text[size] != '\0' ? "…" : "");
    }
    free(text);
}

/* The names of members of both, sorted, each once. */
static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **keys_of(json_t *a, json_t *b, size_t *count)
{
    const char **keys = malloc((json_object_size(a) + json_object_size(b) + 1) * sizeof *keys);
    const char *key;
    json_t *value;
    size_t n = 0, once = 0;
    if (keys == NULL) {
        return NULL;
    }
    json_object_foreach(a, key, value)
    {
        keys[n++] = key;
    }
    json_object_foreach(b, key, value)
    {
        keys[n++] = key;
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < n; i++) {
        if (once == 0 || strcmp(keys[once - 1], keys[i]) != 0) {
            keys[once++] = keys[i];
        }
    }
    *count = once;
    return keys;
}

/* Depth is that of the canonical form. NOLINTNEXTLINE(misc-no-recursion) */
static void diff(ratoon__buf *b, const char *path, json_t *from, json_t *to, bool whole)
{
    if (from != NULL && to != NULL && json_equal(from, to)) {
        return;
    }
    if (whole && (from == NULL || to == NULL)) {
        ratoon__buf_format(b, "%s: %s\n", path, from == NULL ? "added" : "removed");
        return;
    }
    if (!json_is_object(from) || !json_is_object(to)) {
        ratoon__buf_format(b, "%s: ", path);
        add_value(b, from);
        ratoon__buf_str(b, " -> ");
        add_value(b, to);
        ratoon__buf_str(b, "\n");
        return;
    }
    size_t count = 0;
    const char **keys = keys_of(from, to, &count);
    b->failed |= keys == NULL;
    for (size_t i = 0; keys != NULL && i < count; i++) {
        ratoon__buf below = {0};
        ratoon__buf_format(&below, path[0] != '\0' ? "%s.%s" : "%s%s", path, keys[i]);
        b->failed |= below.failed;
        if (!below.failed) {
            const bool members_whole = strcmp(path, "params") == 0 || strcmp(path, "stages") == 0;
            diff(b, below.data, json_object_get(from, keys[i]), json_object_get(to, keys[i]),
                 members_whole);
        }
        ratoon__buf_free(&below);
    }
    free(keys);
}

/* Replaces the list of stages by an object of them by name, and gives the list of names. NULL: out
 * of memory. */
static json_t *stages_by_name(json_t *pipeline)
{
    json_t *list = json_object_get(pipeline, "stages");
    json_t *names = json_array();
    json_t *by_name = json_object();
    bool failed = false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *stage = json_array_get(list, i);
        json_t *name = json_object_get(stage, "name");
        failed |= json_array_append(names, name) != 0 ||
                  json_object_set(by_name, json_string_value(name), stage) != 0;
    }
    failed |= json_object_set_new(pipeline, "stages", by_name) != 0;
    if (failed) {
        json_decref(names);
        return NULL;
    }
    return names;
}

/* Names that are in the other list too, in their order. */
static json_t *common(const json_t *names, json_t *stages)
{
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(names); i++) {
        json_t *name = json_array_get(names, i);
        if (json_object_get(stages, json_string_value(name)) != NULL) {
            (void)json_array_append(out, name);
        }
    }
    return out;
}

static void diff_all(ratoon__buf *b, json_t *from, json_t *to)
{
    json_t *from_names = stages_by_name(from);
    json_t *to_names = stages_by_name(to);
    if (from_names == NULL || to_names == NULL) {
        b->failed = true;
    } else {
        json_t *before = common(from_names, json_object_get(to, "stages"));
        json_t *after = common(to_names, json_object_get(from, "stages"));
        diff(b, "", from, to, false);
        if (!json_equal(before, after)) {
            diff(b, "order of stages", before, after, false);
        }
        json_decref(before);
        json_decref(after);
    }
    json_decref(from_names);
    json_decref(to_names);
}

ratoon_status ratoon_pipeline_diff(const ratoon_pipeline *a, const ratoon_pipeline *b,
                                   ratoon_buffer *lines, ratoon_error *error)
{
    if (a == NULL || b == NULL || lines == NULL) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "two definitions and a buffer are needed");
    }
    ratoon__buf text = {0};
    json_t *from = json_loadb(a->canonical, a->canonical_size, 0, NULL);
    json_t *to = json_loadb(b->canonical, b->canonical_size, 0, NULL);
    ratoon__buf_add(&text, "", 0);
    if (from == NULL || to == NULL) {
        text.failed = true;
    } else {
        diff_all(&text, from, to);
    }
    json_decref(from);
    json_decref(to);
    if (text.failed) {
        ratoon__buf_free(&text);
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "no memory to compare two definitions");
    }
    if (text.size > 0 && text.data[text.size - 1] == '\n') {
        text.data[--text.size] = '\0';
    }
    lines->data = text.data;
    lines->size = text.size;
    return RATOON_OK;
}
