#include "tools/runner/mask.h"

#include <stdlib.h>
#include <string.h>

void runner__mask_add(runner__mask *mask, const char *secret)
{
    size_t size = strlen(secret);
    if (size < RUNNER__SECRET_MIN) {
        return;
    }
    mask->secrets =
        runner__grow(mask->secrets, &mask->capacity, mask->count + 1, sizeof(runner__slice));
    mask->secrets[mask->count++] = (runner__slice){runner__strndup(secret, size), size};
    mask->first[(unsigned char)secret[0]] = true;
    mask->first['\\'] = true; /* it may be escaped */
}

void runner__mask_free(runner__mask *mask)
{
    for (size_t i = 0; i < mask->count; i++) {
        free((void *)(uintptr_t)mask->secrets[i].data);
    }
    free(mask->secrets);
    *mask = (runner__mask){0};
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

typedef enum step { NO_MATCH, MATCH, CUT /* matches as far as the text goes */ } step;

/* \uNNNN at *data. */
static step hex_unit(const char *data, size_t size, uint32_t *unit)
{
    *unit = 0;
    for (size_t i = 0; i < 6; i++) {
        if (i == size) {
            return CUT;
        }
        const int digit = i < 2 ? 0 : hex_digit(data[i]);
        if (digit < 0 || (i == 0 && data[0] != '\\') || (i == 1 && data[1] != 'u')) {
            return NO_MATCH;
        }
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return MATCH;
}

static size_t utf8_of(uint32_t c, char bytes[4])
{
    if (c < 0x80) {
        bytes[0] = (char)c;
        return 1;
    }
    const size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 0; c >>= 6) {
        bytes[i] = (char)(i == 0 ? lead[size] | c : 0x80 | (c & 0x3f));
    }
    return size;
}

/* An escape of JSON at data[0], a backslash: what it stands for, and its length. */
static step escape(const char *data, size_t size, char bytes[4], size_t *count, size_t *length)
{
    static const char names[] = "\"\\/bfnrt";
    static const char meant[] = "\"\\/\b\f\n\r\t";
    if (size < 2) {
        return CUT;
    }
    const char *name = data[1] != '\0' ? strchr(names, data[1]) : NULL;
    if (name != NULL) {
        bytes[0] = meant[name - names];
        *count = 1;
        *length = 2;
        return MATCH;
    }
    uint32_t unit;
    uint32_t second;
    step found = hex_unit(data, size, &unit);
    if (found != MATCH) {
        return found;
    }
    *length = 6;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        found = hex_unit(data + 6, size - 6, &second);
        if (found != MATCH || second < 0xdc00 || second > 0xdfff) {
            return found == CUT ? CUT : NO_MATCH;
        }
        unit = 0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00);
        *length = 12;
    } else if (unit >= 0xdc80 && unit <= 0xdcff) { /* how Python writes a byte that is no text */
        bytes[0] = (char)(unit - 0xdc00);
        *count = 1;
        return MATCH;
    }
    *count = utf8_of(unit, bytes);
    return MATCH;
}

/* The secret at data with any of its characters escaped as in a JSON string: libraries differ in
 * which ones they escape, and how. */
static step match_escaped(runner__slice secret, const char *data, size_t size, size_t *length)
{
    size_t at = 0;
    for (size_t done = 0; done < secret.size;) {
        char bytes[4];
        size_t count = 1;
        size_t used = 1;
        if (at == size) {
            return CUT;
        }
        bytes[0] = data[at];
        step found = MATCH;
        if (data[at] == '\\') {
            found = escape(data + at, size - at, bytes, &count, &used);
        }
        if (found != MATCH) {
            return found;
        }
        if (count > secret.size - done || memcmp(secret.data + done, bytes, count) != 0) {
            return NO_MATCH;
        }
        done += count;
        at += used;
    }
    *length = at;
    return MATCH;
}

static step match_plain(runner__slice secret, const char *data, size_t size, size_t *length)
{
    const bool cut = size < secret.size;
    if (memcmp(secret.data, data, cut ? size : secret.size) != 0) {
        return NO_MATCH;
    }
    *length = secret.size;
    return cut ? CUT : MATCH;
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
        size_t length[2] = {0};
        const step found[2] = {match_plain(mask->secrets[i], data, size, &length[0]),
                               match_escaped(mask->secrets[i], data, size, &length[1])};
        for (int way = 0; way < 2; way++) {
            *partial = *partial || found[way] == CUT;
            if (found[way] == MATCH && length[way] > longest) {
                longest = length[way];
            }
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

static void mask_text(const runner__mask *mask, const char *data, size_t size, bool last,
                      runner__text *out)
{
    runner__mask_stream stream = {.mask = mask};
    runner__text_add(out, "", 0);
    runner__mask_feed(&stream, data, size, last, add_to_text, out);
    runner__mask_stream_free(&stream);
}

void runner__mask_text(const runner__mask *mask, const char *data, size_t size, runner__text *out)
{
    mask_text(mask, data, size, true, out);
}

void runner__mask_begin(const runner__mask *mask, const char *data, size_t size, runner__text *out)
{
    mask_text(mask, data, size, false, out);
}
