/* Text from outside made harmless for a terminal; words for a shell; widths and colours. */
#include "tools/ratoon/text.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

/* Length of the UTF-8 sequence at p and its code point; 0: it is none. */
static size_t decode(const unsigned char *p, size_t size, uint32_t *point)
{
    if (p[0] < 0x80) {
        *point = p[0];
        return 1;
    }
    const size_t length = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    if (length == 0 || length > size || p[0] > 0xf4) {
        return 0;
    }
    uint32_t value = p[0] & (0x7fU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (p[i] & 0x3fU);
    }
    const uint32_t least = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        return 0;
    }
    *point = value;
    return length;
}

size_t text_character(const char *text, size_t size)
{
    uint32_t point = 0;
    return decode((const unsigned char *)text, size, &point);
}

static bool turns_direction(uint32_t point)
{
    return (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) ||
           point == 0x200e || point == 0x200f || point == 0x061c;
}

void text_put(FILE *out, const char *text, size_t size, bool lines)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < size;) {
        uint32_t point = 0;
        const size_t length = decode(p + i, size - i, &point);
        if (length == 0) {
            fprintf(out, "\\x%02x", p[i]);
            i++;
            continue;
        }
        if (lines && (point == '\n' || point == '\t')) {
            fputc((int)point, out);
        } else if (point == '\n') {
            fputs("\\n", out);
        } else if (point == '\t') {
            fputs("\\t", out);
        } else if (point == '\r') {
            fputs("\\r", out);
        } else if (point < 0x20 || (point >= 0x7f && point < 0xa0)) {
            fprintf(out, "\\x%02x", (unsigned)point);
        } else if (turns_direction(point)) {
            fprintf(out, "\\u%04x", (unsigned)point);
        } else {
            fwrite(p + i, 1, length, out);
        }
        i += length;
    }
}

void text_put_string(FILE *out, const char *text)
{
    if (text != NULL) {
        text_put(out, text, strlen(text), false);
    }
}

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("ratoon: NO_MEMORY: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void text_put_message(FILE *out, const char *text)
{
    size_t length = strlen(text);
    while (length > 0 && text[length - 1] == '\n') {
        length--;
    }
    for (size_t i = 0; i < length;) {
        const char *end = memchr(text + i, '\n', length - i);
        const size_t part = end != NULL ? (size_t)(end - text) - i : length - i;
        text_put(out, text + i, part, false);
        i += part;
        if (end != NULL) {
            const bool joined = part > 0 && strchr(":;,", text[i - 1]) != NULL;
            fputs(joined ? " " : "; ", out);
            i++;
        }
    }
}

char *text_escape(const char *text)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = must(open_memstream(&out, &size));
    text_put_string(stream, text);
    fclose(stream);
    return must(out);
}

char *text_format(const char *format, ...)
{
    char *out = NULL;
    va_list list;
    va_start(list, format);
    if (vasprintf(&out, format, list) < 0) {
        out = NULL;
    }
    va_end(list);
    return must(out);
}

char *text_copy(const char *text)
{
    return must(strdup(text));
}

const char *text_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

void text_put_quoted(FILE *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-./=:,@%+";
    if (*word != '\0' && word[strspn(word, plain)] == '\0') {
        fputs(word, out);
        return;
    }
    bool control = false;
    for (const char *p = word; *p != '\0'; p++) {
        control = control || (unsigned char)*p < 0x20 || *p == 0x7f;
    }
    fputs(control ? "$'" : "'", out);
    for (const char *p = word; *p != '\0'; p++) {
        if (!control && *p == '\'') {
            fputs("'\\''", out);
        } else if (control && (*p == '\'' || *p == '\\')) {
            fprintf(out, "\\%c", *p);
        } else if (control && ((unsigned char)*p < 0x20 || *p == 0x7f)) {
            fprintf(out, "\\x%02x", (unsigned char)*p);
        } else {
            fputc(*p, out);
        }
    }
    fputc('\'', out);
}

bool text_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

size_t text_width(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    const size_t size = strlen(text);
    const bool utf8 = text_utf8();
    size_t width = 0;
    for (size_t i = 0; i < size;) {
        uint32_t point = 0;
        const size_t length = decode(p + i, size - i, &point);
        const int columns = utf8 && length > 1 ? wcwidth((wchar_t)point) : 1;
        width += columns > 0 ? (size_t)columns : 0;
        i += length > 0 ? length : 1;
    }
    return width;
}

size_t text_terminal_width(int fd)
{
    struct winsize size;
    if (!isatty(fd)) {
        return 0;
    }
    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        return 80;
    }
    return size.ws_col;
}

bool text_colored(const app *a, FILE *out)
{
    if (a->color != APP_COLOR_AUTO) {
        return a->color == APP_COLOR_ALWAYS;
    }
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no == NULL || *no == '\0') && term != NULL && strcmp(term, "dumb") != 0 &&
           isatty(fileno(out));
}

const char *text_style_on(bool colored, text_style style)
{
    static const char *const sequences[] = {
        [STYLE_NONE] = "",         [STYLE_BOLD] = "\x1b[1m",   [STYLE_DIM] = "\x1b[2m",
        [STYLE_RED] = "\x1b[31m",  [STYLE_GREEN] = "\x1b[32m", [STYLE_YELLOW] = "\x1b[33m",
        [STYLE_BLUE] = "\x1b[34m", [STYLE_CYAN] = "\x1b[36m",  [STYLE_MAGENTA] = "\x1b[35m",
    };
    return colored ? sequences[style] : "";
}

const char *text_style_off(bool colored)
{
    return colored ? "\x1b[0m" : "";
}

text_style text_status_style(const char *status)
{
    static const struct {
        const char *status;
        text_style style;
    } styles[] = {
        {"succeeded", STYLE_GREEN},   {"degraded", STYLE_YELLOW},    {"failed", STYLE_RED},
        {"cancelled", STYLE_MAGENTA}, {"cancelling", STYLE_MAGENTA}, {"suspended", STYLE_YELLOW},
        {"running", STYLE_CYAN},      {"queued", STYLE_BLUE},        {"reused", STYLE_DIM},
        {"skipped", STYLE_DIM},       {"pending", STYLE_DIM},
    };
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
        if (strcmp(styles[i].status, status) == 0) {
            return styles[i].style;
        }
    }
    return STYLE_NONE;
}

const char *text_status_mark(const char *status)
{
    static const struct {
        const char *status, *mark, *ascii;
    } marks[] = {
        {"succeeded", "✔", "+"}, {"degraded", "▲", "!"}, {"failed", "✘", "x"},
        {"cancelled", "■", "#"}, {"skipped", "−", "-"},  {"reused", "↻", "="},
        {"running", "▶", ">"},   {"pending", "·", "."},
    };
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (strcmp(marks[i].status, status) == 0) {
            return text_utf8() ? marks[i].mark : marks[i].ascii;
        }
    }
    return "?";
}
