#include "tools/runner/mask.h"

#include "tools/runner/json.h"

#include <stdlib.h>
#include <string.h>

static void add_pattern(runner__mask *mask, const char *data, size_t size)
{
    mask->patterns =
        runner__grow(mask->patterns, &mask->capacity, mask->count + 1, sizeof(runner__slice));
    mask->patterns[mask->count++] = (runner__slice){runner__strndup(data, size), size};
    mask->first[(unsigned char)data[0]] = true;
    if (size > mask->longest) {
        mask->longest = size;
    }
}

/* The character at *at of text that is UTF-8, or the byte there where it is none. */
static uint32_t next_character(const unsigned char **at)
{
    const unsigned char *p = *at;
    const int more = *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : *p >= 0xc0 ? 1 : 0;
    uint32_t c = more == 0 ? *p : *p & (0x3fU >> more);
    for (int i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *at = p + 1;
            return *p;
        }
        c = c << 6 | (p[i] & 0x3fU);
    }
    *at = p + 1 + more;
    return c;
}

/* As JSON in ASCII, which is what many libraries write: json is the same with fewer escapes. */
static void add_ascii(runner__mask *mask, const runner__text *json)
{
    for (int capitals = 0; capitals < 2; capitals++) {
        const char *format = capitals ? "\\u%04X" : "\\u%04x";
        runner__text ascii = {0};
        const unsigned char *p = (const unsigned char *)json->data + 1;
        const unsigned char *end = (const unsigned char *)json->data + json->size - 1;
        bool escaped = false;
        while (p < end) {
            const uint32_t c = next_character(&p);
            if (c >= 0x10000) {
                runner__text_format(&ascii, format, 0xd7c0 + (c >> 10));
                runner__text_format(&ascii, format, 0xdc00 + (c & 0x3ff));
            } else if (c >= 0x80) {
                runner__text_format(&ascii, format, c);
            } else {
                const char byte = (char)c;
                runner__text_add(&ascii, &byte, 1);
            }
            escaped = escaped || c >= 0x80;
        }
        if (escaped) {
            add_pattern(mask, ascii.data, ascii.size);
        }
        runner__text_free(&ascii);
    }
}

void runner__mask_add(runner__mask *mask, const char *secret)
{
    size_t size = strlen(secret);
    if (size < RUNNER__SECRET_MIN) {
        return;
    }
    add_pattern(mask, secret, size);
    runner__text json = {0};
    runner__text_json(&json, secret, size);
    if (json.size != size + 2) {
        add_pattern(mask, json.data + 1, json.size - 2);
    }
    add_ascii(mask, &json);
    runner__text_free(&json);
}

void runner__mask_free(runner__mask *mask)
{
    for (size_t i = 0; i < mask->count; i++) {
        free((void *)(uintptr_t)mask->patterns[i].data);
    }
    free(mask->patterns);
    *mask = (runner__mask){0};
}

/* Length of the longest secret at data, 0: none. *partial: the data ends within what may be one. */
static size_t match(const runner__mask *mask, const char *data, size_t size, bool *partial)
{
    size_t longest = 0;
    *partial = false;
    if (!mask->first[(unsigned char)data[0]]) {
        return 0;
    }
    for (size_t i = 0; i < mask->count; i++) {
        runner__slice p = mask->patterns[i];
        if (p.size > size) {
            *partial = *partial || memcmp(p.data, data, size) == 0;
        } else if (p.size > longest && memcmp(p.data, data, p.size) == 0) {
            longest = p.size;
        }
    }
    return longest;
}

bool runner__mask_finds(const runner__mask *mask, const char *data, size_t size)
{
    bool partial;
    for (size_t i = 0; mask->count > 0 && i < size; i++) {
        if (match(mask, data + i, size - i, &partial) > 0) {
            return true;
        }
    }
    return false;
}

bool runner__mask_finds_json(const runner__mask *mask, runner__slice json)
{
    if (mask->count == 0) {
        return false;
    }
    if (runner__mask_finds(mask, json.data, json.size)) {
        return true;
    }
    bool found = false;
    runner__text decoded = {0};
    const char *end = json.data + json.size;
    for (const char *p = json.data; p < end && !found; p++) {
        if (*p != '"') {
            continue;
        }
        const char *from = p;
        bool escaped = false;
        for (p++; *p != '"'; p++) {
            if (*p == '\\') {
                escaped = true;
                p++;
            }
        }
        if (escaped) {
            runner__text_clear(&decoded);
            runner__json_decode((runner__slice){from, (size_t)(p + 1 - from)}, &decoded);
            found = runner__mask_finds(mask, decoded.data, decoded.size);
        }
    }
    runner__text_free(&decoded);
    return found;
}

void runner__mask_feed(runner__mask_stream *stream, const char *data, size_t size, bool last,
                       runner__mask_sink *sink, void *ctx)
{
    const runner__mask *mask = stream->mask;
    if (mask->count == 0) {
        if (size > 0) {
            sink(ctx, data, size);
        }
        return;
    }
    if (stream->held.size > 0) {
        runner__text_add(&stream->held, data, size);
        data = stream->held.data;
        size = stream->held.size;
    }
    size_t from = 0; /* what is to be passed on begins here */
    size_t i = 0;
    for (; i < size; i++) {
        bool partial;
        size_t length = match(mask, data + i, size - i, &partial);
        if (partial && !last) {
            break;
        }
        if (length > stream->covered) {
            if (stream->covered == 0) {
                if (i > from) {
                    sink(ctx, data + from, i - from);
                }
                sink(ctx, "***", 3);
            }
            stream->covered = length;
        }
        if (stream->covered > 0) {
            stream->covered--;
            from = i + 1;
        }
    }
    if (i > from) {
        sink(ctx, data + from, i - from);
    }
    runner__text rest = {0};
    if (i < size) {
        runner__text_add(&rest, data + i, size - i);
    }
    runner__text_free(&stream->held);
    stream->held = rest;
}

void runner__mask_stream_free(runner__mask_stream *stream)
{
    runner__text_free(&stream->held);
}

static void add_to_text(void *ctx, const char *data, size_t size)
{
    runner__text_add(ctx, data, size);
}

void runner__mask_text(const runner__mask *mask, const char *data, size_t size, runner__text *out)
{
    runner__mask_stream stream = {.mask = mask};
    runner__text_add(out, "", 0);
    runner__mask_feed(&stream, data, size, true, add_to_text, out);
    runner__mask_stream_free(&stream);
}
