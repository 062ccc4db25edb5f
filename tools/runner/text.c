#include "tools/runner/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(void)
{
    fputs("ratoon: out of memory\n", stderr);
    abort();
}

void *runner__alloc(size_t size)
{
    void *p = calloc(1, size > 0 ? size : 1);
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *runner__grow(void *array, size_t *capacity, size_t needed, size_t element_size)
{
    if (needed <= *capacity) {
        return array;
    }
    size_t wanted = *capacity > 0 ? *capacity : 8;
    while (wanted < needed) {
        wanted += wanted / 2 + 1;
    }
    void *p = reallocarray(array, wanted, element_size);
    if (p == NULL) {
        out_of_memory();
    }
    *capacity = wanted;
    return p;
}

char *runner__strndup(const char *s, size_t size)
{
    char *copy = runner__alloc(size + 1);
    if (size > 0) {
        memcpy(copy, s, size);
    }
    return copy;
}

char *runner__strdup(const char *s)
{
    return s == NULL ? NULL : runner__strndup(s, strlen(s));
}

void runner__text_add(runner__text *t, const void *data, size_t size)
{
    t->data = runner__grow(t->data, &t->capacity, t->size + size + 1, 1);
    if (size > 0) {
        memcpy(t->data + t->size, data, size);
    }
    t->size += size;
    t->data[t->size] = '\0';
}

void runner__text_str(runner__text *t, const char *s)
{
    runner__text_add(t, s, strlen(s));
}

void runner__text_format(runner__text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size > 0) {
        t->data = runner__grow(t->data, &t->capacity, t->size + (size_t)size + 1, 1);
        (void)vsnprintf(t->data + t->size, (size_t)size + 1, format, again);
        t->size += (size_t)size;
    }
    va_end(again);
}

void runner__text_json(runner__text *t, const char *data, size_t size)
{
    runner__text_add(t, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        runner__text_add(t, data + from, i - from);
        from = i + 1;
        switch (c) {
        case '"':
            runner__text_add(t, "\\\"", 2);
            break;
        case '\\':
            runner__text_add(t, "\\\\", 2);
            break;
        case '\n':
            runner__text_add(t, "\\n", 2);
            break;
        case '\r':
            runner__text_add(t, "\\r", 2);
            break;
        case '\t':
            runner__text_add(t, "\\t", 2);
            break;
        default:
            runner__text_format(t, "\\u%04x", c);
            break;
        }
    }
    runner__text_add(t, data + from, size - from);
    runner__text_add(t, "\"", 1);
}

size_t runner__utf8_length(const char *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data;
    if (size == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || size < length) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || /* overlong, surrogates */
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return length;
}

bool runner__utf8_valid(const char *data, size_t size)
{
    size_t i = 0;
    while (i < size) {
        size_t length = runner__utf8_length(data + i, size - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

void runner__text_utf8(runner__text *t, const char *data, size_t size)
{
    size_t i = 0;
    size_t from = 0;
    while (i < size) {
        size_t length = data[i] == '\0' ? 0 : runner__utf8_length(data + i, size - i);
        if (length == 0) {
            runner__text_add(t, data + from, i - from);
            runner__text_format(t, "\\x%02x", (unsigned char)data[i]);
            i++;
            from = i;
        } else {
            i += length;
        }
    }
    runner__text_add(t, data + from, i - from);
}

void runner__text_start(runner__text *t, const char *s, size_t size_max)
{
    if (strnlen(s, size_max + 1) <= size_max) {
        runner__text_str(t, s);
        return;
    }
    while (size_max > 0 && ((unsigned char)s[size_max] & 0xc0) == 0x80) {
        size_max--;
    }
    runner__text_add(t, s, size_max);
    runner__text_str(t, "…");
}

void runner__text_clear(runner__text *t)
{
    t->size = 0;
    if (t->data != NULL) {
        t->data[0] = '\0';
    }
}

void runner__text_free(runner__text *t)
{
    free(t->data);
    *t = (runner__text){0};
}

char *runner__text_take(runner__text *t)
{
    char *data = t->data != NULL ? t->data : runner__alloc(1);
    *t = (runner__text){0};
    return data;
}

void runner__tail_add(runner__tail *tail, const char *data, size_t size)
{
    if (tail->data == NULL) {
        tail->data = runner__alloc(tail->limit);
    }
    if (size >= tail->limit) {
        memcpy(tail->data, data + size - tail->limit, tail->limit);
        tail->size = tail->limit;
        tail->next = 0;
        return;
    }
    while (size > 0) {
        size_t part = tail->limit - tail->next;
        if (part > size) {
            part = size;
        }
        memcpy(tail->data + tail->next, data, part);
        tail->next = (tail->next + part) % tail->limit;
        tail->size = tail->size + part > tail->limit ? tail->limit : tail->size + part;
        data += part;
        size -= part;
    }
}

void runner__tail_text(const runner__tail *tail, runner__text *out)
{
    size_t first = tail->size < tail->limit ? 0 : tail->next;
    runner__text_add(out, tail->data == NULL ? "" : tail->data + first, tail->size - first);
    runner__text_add(out, tail->data == NULL ? "" : tail->data, first);
}

void runner__tail_free(runner__tail *tail)
{
    free(tail->data);
    tail->data = NULL;
    tail->size = 0;
    tail->next = 0;
}
