/* JSON as text. */
#include "tools/ratoon/jsontext.h"
#include "tools/ratoon/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool jsontext_valid(const char *text, size_t size, char **why)
{
    json_error_t error;
    json_t *value =
        json_loadb(text, size, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    json_decref(value);
    /* Numbers beyond what jansson holds are numbers all the same. */
    if (value != NULL || json_error_code(&error) == json_error_numeric_overflow) {
        return true;
    }
    *why = text_format("line %d, column %d: %s", error.line, error.column, error.text);
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Length of the token at text: a string, one punctuation mark, or a bare word. */
static size_t token(const char *text, size_t size)
{
    size_t i = 1;
    if (text[0] == '"') {
        while (i < size && text[i] != '"') {
            i += text[i] == '\\' ? 2 : 1;
        }
        return i < size ? i + 1 : size;
    }
    if (strchr("{}[],:", text[0]) != NULL) {
        return 1;
    }
    while (i < size && !is_space(text[i]) && strchr("{}[],:\"", text[i]) == NULL) {
        i++;
    }
    return i;
}

static size_t skip_space(const char *text, size_t size, size_t at)
{
    while (at < size && is_space(text[at])) {
        at++;
    }
    return at;
}

void jsontext_put_compact(FILE *out, const char *text, size_t size)
{
    for (size_t i = skip_space(text, size, 0); i < size; i = skip_space(text, size, i)) {
        const size_t length = token(text + i, size - i);
        fwrite(text + i, 1, length, out);
        i += length;
    }
}

char *jsontext_compact(const char *text, size_t size)
{
    char *out = NULL;
    size_t out_size = 0;
    FILE *stream = open_memstream(&out, &out_size);
    if (stream == NULL) {
        abort();
    }
    jsontext_put_compact(stream, text, size);
    fclose(stream);
    return out;
}

static void new_line(FILE *out, size_t depth)
{
    fputc('\n', out);
    for (size_t i = 0; i < depth; i++) {
        fputs("  ", out);
    }
}

void jsontext_put_pretty(FILE *out, const char *text, size_t size)
{
    size_t depth = 0;
    for (size_t i = skip_space(text, size, 0); i < size; i = skip_space(text, size, i)) {
        const size_t length = token(text + i, size - i);
        const char c = text[i];
        const size_t next = skip_space(text, size, i + length);
        if (c == '{' || c == '[') {
            fputc(c, out);
            if (next < size && (text[next] == '}' || text[next] == ']')) {
                fputc(text[next], out);
                i = next + 1;
                continue;
            }
            new_line(out, ++depth);
        } else if (c == '}' || c == ']') {
            new_line(out, --depth);
            fputc(c, out);
        } else if (c == ',') {
            fputc(c, out);
            new_line(out, depth);
        } else if (c == ':') {
            fputs(": ", out);
        } else {
            text_put(out, text + i, length, false);
        }
        i += length;
    }
}

/* End of the value that begins at `at`. */
static size_t value_end(const char *text, size_t size, size_t at)
{
    size_t depth = 0;
    do {
        const char c = text[at];
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        at += token(text + at, size - at);
        at = depth > 0 ? skip_space(text, size, at) : at;
    } while (depth > 0 && at < size);
    return at;
}

bool jsontext_members(const char *text, size_t size,
                      bool (*fn)(void *ctx, const char *key, const char *value, size_t value_size),
                      void *ctx)
{
    size_t at = skip_space(text, size, 0);
    if (at >= size || text[at] != '{') {
        return false;
    }
    at = skip_space(text, size, at + 1);
    while (at < size && text[at] == '"') {
        const size_t key_size = token(text + at, size - at);
        json_t *key = json_loadb(text + at, key_size, JSON_DECODE_ANY, NULL);
        at = skip_space(text, size, at + key_size); /* the colon */
        at = skip_space(text, size, at + 1);
        const size_t end = value_end(text, size, at);
        const bool going_on = key != NULL && fn(ctx, json_string_value(key), text + at, end - at);
        json_decref(key);
        if (!going_on) {
            return false;
        }
        at = skip_space(text, size, end);
        at = at < size && text[at] == ',' ? skip_space(text, size, at + 1) : at;
    }
    return true;
}

void jsontext_put_string(FILE *out, const char *text, size_t size)
{
    json_t *string = json_stringn(text, size);
    if (string == NULL) { /* not UTF-8 */
        char *clean = NULL;
        size_t clean_size = 0;
        FILE *stream = open_memstream(&clean, &clean_size);
        if (stream == NULL) {
            abort();
        }
        for (size_t i = 0; i < size;) {
            const size_t length = text_character(text + i, size - i);
            fwrite(length > 0 ? text + i : "\xef\xbf\xbd", 1, length > 0 ? length : 3, stream);
            i += length > 0 ? length : 1;
        }
        fclose(stream);
        string = json_stringn_nocheck(clean, clean_size);
        free(clean);
    }
    json_dumpf(string, out, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(string);
}
