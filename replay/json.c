#include "replay/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DIGITS_MIN = 15, DIGITS_MAX = 17 }; /* of a double: what any has, what tells all apart */

/* How many digits give every real in there back. */
static int digits_of(const json_t *value, int digits)
{
    if (json_is_real(value)) {
        char text[40];
        for (; digits < DIGITS_MAX; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, json_real_value(value));
            const double back = strtod(text, NULL);
            if (!(back < json_real_value(value) || back > json_real_value(value))) {
                break;
            }
        }
    }
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        digits = digits_of(member, digits);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        digits = digits_of(json_array_get(value, i), digits);
    }
    return digits;
}

size_t ratoon__json_dump_flags(const json_t *value)
{
    return JSON_COMPACT | JSON_PRESERVE_ORDER |
           JSON_REAL_PRECISION((size_t)digits_of(value, DIGITS_MIN));
}

json_t *ratoon__json_id(ratoon_id id)
{
    char text[RATOON_ID_TEXT];
    if (ratoon_id_is_zero(id)) {
        return json_null();
    }
    ratoon_id_format(id, text);
    return json_string(text);
}

/* Length of the well-formed UTF-8 sequence at p, 0 where there is none (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *p, size_t size)
{
    if (p[0] < 0x80) {
        return 1;
    }
    size_t n = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 : 4;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n > size) {
        return 0;
    }
    unsigned char low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    return n;
}

json_t *ratoon__json_bytes(const char *text, size_t size)
{
    json_t *good = json_stringn(text, size);
    if (good != NULL) {
        return good;
    }
    ratoon__buf b = {0};
    for (size_t i = 0; i < size;) {
        size_t n = utf8_length((const unsigned char *)text + i, size - i);
        if (n == 0) {
            ratoon__buf_str(&b, "\xEF\xBF\xBD"); /* U+FFFD */
            i++;
        } else {
            ratoon__buf_add(&b, text + i, n);
            i += n;
        }
    }
    json_t *repaired = b.failed ? NULL : json_stringn(b.data, b.size);
    ratoon__buf_free(&b);
    return repaired;
}

json_t *ratoon__json_text(const char *text)
{
    return text == NULL ? json_null() : ratoon__json_bytes(text, strlen(text));
}

json_t *ratoon__json_time(uint64_t time_us)
{
    if (time_us == 0) {
        return json_null();
    }
    time_t seconds = (time_t)(time_us / 1000000u);
    struct tm tm;
    char text[64];
    gmtime_r(&seconds, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%06uZ", (unsigned)(time_us % 1000000u));
    return json_string(text);
}

json_t *ratoon__json_digest(const ratoon_digest *d)
{
    char hex[65];
    ratoon__digest_format(d, hex);
    return json_string(hex);
}

json_t *ratoon__json_stage(const ratoon_pipeline *p, int32_t stage)
{
    if (stage < 0 || p == NULL || (size_t)stage >= p->stages_count) {
        return json_null();
    }
    return ratoon__json_text(p->stages[stage].pub.name);
}

json_t *ratoon__json_param(const ratoon_pipeline *p, const char *name, const char *text)
{
    int32_t i = p != NULL ? ratoon__pipeline_param_find(p, name) : -1;
    if (text == NULL) {
        return json_null();
    }
    if (i < 0 || p->params[i].secret || p->params[i].type == RATOON__PARAM_STRING) {
        return ratoon__json_text(text);
    }
    /* int, number and bool are canonical JSON scalars as they are. */
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    return value != NULL ? value : ratoon__json_text(text);
}

json_t *ratoon__json_class(ratoon_class c)
{
    return c == RATOON_CLASS_NONE ? json_null() : json_string(ratoon_class_name(c));
}

json_t *ratoon__json_suggested(const ratoon_pipeline *p, const ratoon__override *o, size_t count)
{
    json_t *doc = json_object();
    for (size_t i = 0; i < count; i++) {
        json_object_set_new(doc, o[i].name, ratoon__json_param(p, o[i].name, o[i].new_text));
    }
    return doc;
}

json_t *ratoon__json_overrides(const ratoon_pipeline *p, const ratoon__override *o, size_t count)
{
    json_t *doc = json_object();
    for (size_t i = 0; i < count; i++) {
        const char *old = o[i].old_text[0] != '\0' ? o[i].old_text : NULL;
        json_object_set_new(doc, o[i].name,
                            json_pack("{s:o,s:o}", "old", ratoon__json_param(p, o[i].name, old),
                                      "new", ratoon__json_param(p, o[i].name, o[i].new_text)));
    }
    return doc;
}

ratoon_status ratoon__json_finish(json_t *doc, ratoon_buffer *out, ratoon_error *error)
{
    char *text = doc != NULL ? json_dumps(doc, ratoon__json_dump_flags(doc)) : NULL;
    json_decref(doc);
    if (text == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory making a document");
    }
    *out = (ratoon_buffer){.data = text, .size = strlen(text)};
    return RATOON_OK;
}

ratoon_status ratoon__json_line(json_t *doc, ratoon__buf *out)
{
    char *text = doc != NULL ? json_dumps(doc, ratoon__json_dump_flags(doc)) : NULL;
    json_decref(doc);
    if (text == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    ratoon__buf_str(out, text);
    ratoon__buf_str(out, "\n");
    free(text);
    return out->failed ? RATOON_ERR_NO_MEMORY : RATOON_OK;
}
