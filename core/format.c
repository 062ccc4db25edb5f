/* The small printf of core, and errors made with it. */
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

char *ratoon__decimal(uint64_t value, char out[21])
{
    char *at = out + 20;
    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return at;
}

/* Where formatted text goes: a buffer that grows, or an array that is filled up to its bound, so
 * that an error about missing memory needs none. */
typedef struct sink {
    ratoon__buf *buf;
    char *array;
    size_t size, capacity;
    bool cut;
} sink;

static void sink_add(sink *s, const char *data, size_t size)
{
    if (s->buf != NULL) {
        ratoon__buf_add(s->buf, data, size);
        return;
    }
    const size_t room = s->capacity - 1 - s->size;
    if (size > room) {
        size = room;
        s->cut = true;
    }
    memcpy(s->array + s->size, data, size);
    s->size += size;
}

static void sink_int(sink *s, int value)
{
    char text[21];
    const int64_t wide = value;
    if (wide < 0) {
        sink_add(s, "-", 1);
    }
    const char *digits = ratoon__decimal((uint64_t)(wide < 0 ? -wide : wide), text);
    sink_add(s, digits, strlen(digits));
}

static void sink_unsigned(sink *s, uint64_t value)
{
    char text[21];
    const char *digits = ratoon__decimal(value, text);
    sink_add(s, digits, strlen(digits));
}

static void sink_format(sink *s, const char *format, va_list args)
{
    while (*format != '\0') {
        const size_t plain = strcspn(format, "%");
        sink_add(s, format, plain);
        format += plain;
        if (*format == '\0') {
            return;
        }
        const char kind = format[1];
        format += kind == '\0' ? 1 : 2;
        if (kind == 's') {
            const char *text = va_arg(args, const char *);
            text = text == NULL ? "(none)" : text;
            sink_add(s, text, strlen(text));
        } else if (kind == 'u') {
            sink_unsigned(s, va_arg(args, uint32_t));
        } else if (kind == 'U') {
            sink_unsigned(s, va_arg(args, uint64_t));
        } else if (kind == 'd') {
            sink_int(s, va_arg(args, int));
        } else if (kind == 'I') {
            char text[RATOON_ID_TEXT];
            ratoon_id_format(*va_arg(args, const ratoon_id *), text);
            sink_add(s, text, RATOON_ID_TEXT - 1);
        } else if (kind == '%') {
            sink_add(s, "%", 1);
        } else {
            abort(); /* going on would read the wrong arguments */
        }
    }
}

void ratoon__buf_vformat(ratoon__buf *b, const char *format, va_list args)
{
    sink s = {.buf = b};
    sink_format(&s, format, args);
}

void ratoon__buf_format(ratoon__buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ratoon__buf_vformat(b, format, args);
    va_end(args);
}

/* Ends the text; where it was cut, not within a UTF-8 character. */
static void sink_finish(sink *s)
{
    if (s->cut) {
        size_t end = s->size;
        while (end > 0 && ((unsigned char)s->array[end - 1] & 0xc0) == 0x80) {
            end--;
        }
        if (end > 0 && (unsigned char)s->array[end - 1] >= 0xc0) {
            const unsigned char lead = (unsigned char)s->array[end - 1];
            const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
            if (s->size - (end - 1) < length) {
                s->size = end - 1;
            }
        }
    }
    s->array[s->size] = '\0';
}

ratoon_status ratoon__fail(ratoon_error *error, ratoon_status code, const char *format, ...)
{
    if (error == NULL) {
        return code;
    }
    /* Arguments may lie in the error that is replaced: the message is formed apart from it. */
    char message[sizeof error->message];
    sink s = {.array = message, .capacity = sizeof message};
    va_list args;
    va_start(args, format);
    sink_format(&s, format, args);
    va_end(args);
    sink_finish(&s);
    error->code = code;
    error->backend_code = 0;
    error->run = (ratoon_id){{0}};
    error->other = (ratoon_id){{0}};
    error->stage[0] = '\0';
    error->line = 0;
    error->column = 0;
    error->hint[0] = '\0';
    // cppcheck-suppress uninitvar ; the sink wrote it
    memcpy(error->message, message, s.size + 1);
    return code;
}

ratoon_status ratoon__no_place(const char *what, ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_USAGE, "there is no place for the result: %s is NULL",
                        what);
}

void ratoon__hint(ratoon_error *error, const char *format, ...)
{
    if (error == NULL) {
        return;
    }
    char hint[sizeof error->hint];
    sink s = {.array = hint, .capacity = sizeof hint};
    va_list args;
    va_start(args, format);
    sink_format(&s, format, args);
    va_end(args);
    sink_finish(&s);
    // cppcheck-suppress uninitvar ; the sink wrote it
    memcpy(error->hint, hint, s.size + 1);
}
