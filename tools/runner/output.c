#include "tools/runner/output.h"

#include "tools/runner/files.h"
#include "tools/runner/json.h"

#include <stdlib.h>
#include <string.h>

void runner__outputs_free(runner__outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++) {
        free(outputs->items[i].key);
        free(outputs->items[i].data);
    }
    free(outputs->items);
    *outputs = (runner__outputs){0};
}

/* Takes key and data. */
static void put(runner__outputs *outputs, char *key, runner__text *data, bool file)
{
    outputs->items = runner__grow(outputs->items, &outputs->capacity, outputs->count + 1,
                                  sizeof(runner__output));
    size_t size = data->size;
    outputs->items[outputs->count++] =
        (runner__output){.key = key, .data = runner__text_take(data), .size = size, .file = file};
}

static int compare_outputs(const void *a, const void *b)
{
    const runner__output *const *x = a;
    const runner__output *const *y = b;
    int order = strcmp((*x)->key, (*y)->key);
    return order != 0 ? order : (*x > *y) - (*x < *y);
}

/* Of those with the same key only the last stays. */
static void drop_overwritten(runner__outputs *outputs)
{
    if (outputs->count < 2) {
        return;
    }
    runner__output **sorted = runner__alloc(outputs->count * sizeof(runner__output *));
    for (size_t i = 0; i < outputs->count; i++) {
        sorted[i] = &outputs->items[i];
    }
    qsort(sorted, outputs->count, sizeof(runner__output *), compare_outputs);
    for (size_t i = 0; i + 1 < outputs->count; i++) {
        if (strcmp(sorted[i]->key, sorted[i + 1]->key) == 0) {
            free(sorted[i]->data);
            sorted[i]->data = NULL;
        }
    }
    free(sorted);
    size_t kept = 0;
    for (size_t i = 0; i < outputs->count; i++) {
        if (outputs->items[i].data == NULL) {
            free(outputs->items[i].key);
        } else {
            outputs->items[kept++] = outputs->items[i];
        }
    }
    outputs->count = kept;
}

static bool check_key(const char *key, size_t size, runner__text *error)
{
    if (size == 0) {
        runner__text_str(error, "a key is empty");
        return false;
    }
    if (size > RATOON_NAME_MAX) {
        runner__text_str(error, "LIMIT_EXCEEDED: the key '");
        runner__text_utf8(error, key, 40);
        runner__text_format(error, "…' has %zu bytes, the limit is %d", size, RATOON_NAME_MAX);
        return false;
    }
    if (memchr(key, '\0', size) != NULL || !runner__utf8_valid(key, size)) {
        runner__text_str(error, "the key '");
        runner__text_utf8(error, key, size);
        runner__text_str(error, "' is not text in UTF-8");
        return false;
    }
    return true;
}

static bool check_size(const char *key, size_t size, runner__text *error)
{
    if (size > RATOON_VALUE_MAX_DEFAULT) {
        runner__text_format(error,
                            "LIMIT_EXCEEDED: the value of '%s' has %zu bytes, the limit is %u", key,
                            size, RATOON_VALUE_MAX_DEFAULT);
        return false;
    }
    return true;
}

bool runner__output_file(runner__slice value, const char *cwd, runner__text *out, bool *is_file,
                         runner__text *error)
{
    *is_file = false;
    if (runner__json_kind(value) != '{') {
        return true;
    }
    runner__json_iter iter = runner__json_iterate(value);
    runner__slice key;
    runner__slice member;
    char *path = NULL;
    bool other = false;
    while (!other && runner__json_next(&iter, &key, &member)) {
        if (runner__json_equals(key, "file") && runner__json_kind(member) == '"') {
            free(path);
            path = runner__json_strdup(member);
        } else if (!runner__json_equals(key, "size") && !runner__json_equals(key, "sha256")) {
            other = true;
        }
    }
    if (other || path == NULL || path[0] == '\0') {
        free(path);
        return true;
    }
    char *absolute = runner__path_resolve(cwd, path);
    free(path);
    uint64_t size;
    ratoon_digest digest;
    int failed = runner__file_digest(absolute, &size, &digest);
    if (failed != 0) {
        runner__text_format(error, "the file '%s' can't be read: %s", absolute, strerror(failed));
        free(absolute);
        return false;
    }
    char hex[2 * sizeof(digest.bytes) + 1];
    runner__hex(digest.bytes, sizeof(digest.bytes), hex);
    runner__text_str(out, "{\"file\":");
    runner__text_json(out, absolute, strlen(absolute));
    runner__text_format(out, ",\"size\":%llu,\"sha256\":\"%s\"}", (unsigned long long)size, hex);
    free(absolute);
    *is_file = true;
    return true;
}

/* Takes the key. */
static bool put_json(runner__outputs *outputs, char *key, runner__slice value, const char *cwd,
                     runner__text *error)
{
    runner__text data = {0};
    bool file = false;
    bool ok = check_key(key, strlen(key), error) && check_size(key, value.size, error);
    if (ok && !runner__output_file(value, cwd, &data, &file, error)) {
        runner__text_format(error, " (output '%s')", key);
        ok = false;
    }
    if (!ok) {
        runner__text_free(&data);
        free(key);
        return false;
    }
    if (!file) {
        runner__json_compact(value, &data);
    }
    put(outputs, key, &data, file);
    return true;
}

bool runner__output_members(runner__slice object, const char *cwd, const runner__mask *mask,
                            runner__outputs *outputs, runner__text *error)
{
    if (runner__mask_finds(mask, object.data, object.size)) {
        runner__text_str(error, "an output holds the value of a secret parameter");
        return false;
    }
    runner__json_iter iter = runner__json_iterate(object);
    runner__slice key;
    runner__slice value;
    while (runner__json_next(&iter, &key, &value)) {
        char *name = runner__json_strdup(key);
        if (name == NULL) {
            runner__text_str(error, "a key holds a NUL character");
            return false;
        }
        if (!put_json(outputs, name, value, cwd, error)) {
            return false;
        }
    }
    drop_overwritten(outputs);
    return true;
}

static size_t count_lines(const char *data, size_t size)
{
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n';
    }
    return lines;
}

static bool parse_json(runner__slice text, const char *cwd, const runner__mask *mask,
                       runner__outputs *outputs, runner__text *error)
{
    const char *reason;
    size_t at;
    if (!runner__json_check(text, &reason, &at)) {
        runner__text_format(error, "not valid JSON, line %zu: %s", count_lines(text.data, at),
                            reason);
        return false;
    }
    return runner__output_members(text, cwd, mask, outputs, error);
}

typedef struct lines { /* the text as lines */
    const char *p, *end;
    size_t number; /* of the last one given */
} lines;

static bool next_line(lines *l, runner__slice *line)
{
    if (l->p == l->end) {
        return false;
    }
    const char *newline = memchr(l->p, '\n', (size_t)(l->end - l->p));
    const char *stop = newline != NULL ? newline : l->end;
    *line = (runner__slice){l->p, (size_t)(stop - l->p)};
    l->p = newline != NULL ? newline + 1 : l->end;
    l->number++;
    return true;
}

static bool blank(runner__slice line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* The lines up to the one that is `end` alone, with newlines between them. */
static bool heredoc(lines *l, runner__slice end, runner__slice *value)
{
    const char *from = l->p;
    runner__slice line;
    while (next_line(l, &line)) {
        if (line.size == end.size && memcmp(line.data, end.data, end.size) == 0) {
            size_t size = (size_t)(line.data - from);
            *value = (runner__slice){from, size > 0 ? size - 1 : 0};
            return true;
        }
    }
    return false;
}

static bool put_string(runner__outputs *outputs, runner__slice key, runner__slice value,
                       size_t line, runner__text *error)
{
    char *name = runner__strndup(key.data, key.size);
    if (!check_key(key.data, key.size, error) || !check_size(name, value.size, error)) {
        free(name);
        return false;
    }
    if (memchr(value.data, '\0', value.size) != NULL ||
        !runner__utf8_valid(value.data, value.size)) {
        runner__text_format(error, "line %zu: the value of '%s' is not text in UTF-8", line, name);
        free(name);
        return false;
    }
    runner__text data = {0};
    runner__text_json(&data, value.data, value.size);
    put(outputs, name, &data, false);
    return true;
}

static bool parse_line(lines *l, runner__slice line, runner__outputs *outputs, runner__text *error)
{
    size_t number = l->number;
    const char *equals = memchr(line.data, '=', line.size);
    const char *open = memmem(line.data, line.size, "<<", 2);
    if (open != NULL && (equals == NULL || open < equals)) {
        runner__slice key = {line.data, (size_t)(open - line.data)};
        runner__slice end = {open + 2, line.size - key.size - 2};
        runner__slice value;
        if (end.size == 0 || !heredoc(l, end, &value)) {
            runner__text_format(error, "line %zu: no line ends what begins with '", number);
            runner__text_utf8(error, line.data, line.size < 80 ? line.size : 80);
            runner__text_str(error, "'");
            return false;
        }
        return put_string(outputs, key, value, number, error);
    }
    if (equals == NULL) {
        runner__text_format(error, "line %zu: expected key=value, found '", number);
        runner__text_utf8(error, line.data, line.size < 80 ? line.size : 80);
        runner__text_str(error, "'");
        return false;
    }
    runner__slice key = {line.data, (size_t)(equals - line.data)};
    runner__slice value = {equals + 1, line.size - key.size - 1};
    return put_string(outputs, key, value, number, error);
}

bool runner__output_parse(runner__slice text, const char *cwd, const runner__mask *mask,
                          runner__outputs *outputs, runner__text *error)
{
    runner__slice rest = text;
    while (rest.size > 0 && strchr(" \t\r\n", rest.data[0]) != NULL && rest.data[0] != '\0') {
        rest.data++;
        rest.size--;
    }
    if (rest.size > 0 && rest.data[0] == '{') {
        return parse_json(text, cwd, mask, outputs, error);
    }
    if (runner__mask_finds(mask, text.data, text.size)) {
        runner__text_str(error, "an output holds the value of a secret parameter");
        return false;
    }
    lines l = {.p = text.data, .end = text.data + text.size};
    runner__slice line;
    while (next_line(&l, &line)) {
        if (!blank(line) && !parse_line(&l, line, outputs, error)) {
            return false;
        }
    }
    drop_overwritten(outputs);
    return true;
}

void runner__outputs_json(const runner__outputs *outputs, runner__text *out)
{
    runner__text_add(out, "{", 1);
    for (size_t i = 0; i < outputs->count; i++) {
        if (i > 0) {
            runner__text_add(out, ",", 1);
        }
        runner__text_json(out, outputs->items[i].key, strlen(outputs->items[i].key));
        runner__text_add(out, ":", 1);
        runner__text_add(out, outputs->items[i].data, outputs->items[i].size);
    }
    runner__text_add(out, "}", 1);
}

void runner__outputs_values(const runner__outputs *outputs, ratoon_value *values)
{
    for (size_t i = 0; i < outputs->count; i++) {
        values[i] = (ratoon_value){.key = outputs->items[i].key,
                                   .data = outputs->items[i].data,
                                   .size = outputs->items[i].size,
                                   .media_type = outputs->items[i].file ? RUNNER__FILE_TYPE : NULL};
    }
}
