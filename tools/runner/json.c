#include "tools/runner/json.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 512

typedef struct scanner {
    const char *p, *end;
    const char *error;
    unsigned depth;
} scanner;

static bool scan_value(scanner *s);

static bool fail(scanner *s, const char *error)
{
    if (s->error == NULL) {
        s->error = error;
    }
    return false;
}

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static void skip_space(scanner *s)
{
    while (s->p < s->end && space(*s->p)) {
        s->p++;
    }
}

static int hex_value(char c)
{
    if (digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hexadecimal digits at p, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    if (end - p < 4) {
        return -1;
    }
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int h = hex_value(p[i]);
        if (h < 0) {
            return -1;
        }
        value = value * 16 + h;
    }
    return value;
}

static bool scan_escape(scanner *s) /* behind the backslash */
{
    if (s->p == s->end) {
        return fail(s, "the text ends inside a string");
    }
    if (*s->p != 'u') {
        if (strchr("\"\\/bfnrt", *s->p) == NULL || *s->p == '\0') {
            return fail(s, "unknown escape in a string");
        }
        s->p++;
        return true;
    }
    int32_t unit = hex4(s->p + 1, s->end);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
        return fail(s, "bad \\u escape in a string");
    }
    s->p += 5;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        int32_t low =
            s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
        if (low < 0xdc00 || low > 0xdfff) {
            return fail(s, "bad \\u escape in a string");
        }
        s->p += 6;
    }
    return true;
}

static bool scan_string(scanner *s)
{
    s->p++;
    while (s->p < s->end) {
        unsigned char c = (unsigned char)*s->p;
        if (c == '"') {
            s->p++;
            return true;
        }
        if (c < 0x20) {
            return fail(s, "control character in a string");
        }
        if (c == '\\') {
            s->p++;
            if (!scan_escape(s)) {
                return false;
            }
        } else if (c < 0x80) {
            s->p++;
        } else {
            size_t length = runner__utf8_length(s->p, (size_t)(s->end - s->p));
            if (length == 0) {
                return fail(s, "invalid UTF-8");
            }
            s->p += length;
        }
    }
    return fail(s, "the text ends inside a string");
}

static bool scan_digits(scanner *s)
{
    if (s->p == s->end || !digit(*s->p)) {
        return fail(s, "bad number");
    }
    while (s->p < s->end && digit(*s->p)) {
        s->p++;
    }
    return true;
}

static bool scan_number(scanner *s)
{
    if (*s->p == '-') {
        s->p++;
    }
    if (s->p < s->end && *s->p == '0') {
        s->p++;
    } else if (!scan_digits(s)) {
        return false;
    }
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!scan_digits(s)) {
            return false;
        }
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) {
            s->p++;
        }
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(scanner *s, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(s->end - s->p) < size || memcmp(s->p, word, size) != 0) {
        return fail(s, "expected a value");
    }
    s->p += size;
    return true;
}

static bool scan_member_key(scanner *s)
{
    skip_space(s);
    if (s->p == s->end || *s->p != '"') {
        return fail(s, "expected a string as key");
    }
    if (!scan_string(s)) {
        return false;
    }
    skip_space(s);
    if (s->p == s->end || *s->p != ':') {
        return fail(s, "expected ':'");
    }
    s->p++;
    return true;
}

static bool scan_container(scanner *s, bool object)
{
    char close = object ? '}' : ']';
    s->p++;
    skip_space(s);
    if (s->p < s->end && *s->p == close) {
        s->p++;
        return true;
    }
    for (;;) {
        if ((object && !scan_member_key(s)) || !scan_value(s)) {
            return false;
        }
        skip_space(s);
        if (s->p < s->end && *s->p == ',') {
            s->p++;
        } else if (s->p < s->end && *s->p == close) {
            s->p++;
            return true;
        } else {
            return fail(s, object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
    }
}

static bool scan_value(scanner *s) /* NOLINT(misc-no-recursion): bounded by DEPTH_MAX */
{
    skip_space(s);
    if (s->p == s->end) {
        return fail(s, "expected a value");
    }
    switch (*s->p) {
    case '{':
    case '[': {
        if (s->depth == DEPTH_MAX) {
            return fail(s, "nested deeper than 512 levels");
        }
        s->depth++;
        bool ok = scan_container(s, *s->p == '{');
        s->depth--;
        return ok;
    }
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        if (*s->p == '-' || digit(*s->p)) {
            return scan_number(s);
        }
        return fail(s, "expected a value");
    }
}

bool runner__json_check(runner__slice text, const char **error, size_t *at)
{
    scanner s = {.p = text.data, .end = text.data + text.size};
    if (scan_value(&s)) {
        skip_space(&s);
        if (s.p == s.end) {
            return true;
        }
        s.error = "something follows the value";
    }
    *error = s.error;
    *at = (size_t)(s.p - text.data);
    return false;
}

static runner__slice trimmed(runner__slice value)
{
    while (value.size > 0 && space(value.data[0])) {
        value.data++;
        value.size--;
    }
    while (value.size > 0 && space(value.data[value.size - 1])) {
        value.size--;
    }
    return value;
}

char runner__json_kind(runner__slice value)
{
    value = trimmed(value);
    char c = value.size > 0 ? value.data[0] : 'n';
    if (c == '-' || digit(c)) {
        return '0';
    }
    return c == 'f' ? 't' : c;
}

runner__json_iter runner__json_iterate(runner__slice value)
{
    value = trimmed(value);
    return (runner__json_iter){
        .p = value.data + 1, .end = value.data + value.size - 1, .object = value.data[0] == '{'};
}

static const char *string_end(const char *p) /* p at the opening quote */
{
    for (p++; *p != '"'; p++) {
        if (*p == '\\') {
            p++;
        }
    }
    return p + 1;
}

/* The end of the checked value at p; end is that of the text around it. */
static const char *value_end(const char *p, const char *end)
{
    if (*p == '"') {
        return string_end(p);
    }
    if (*p != '{' && *p != '[') {
        while (p < end && !space(*p) && *p != ',' && *p != '}' && *p != ']') {
            p++;
        }
        return p;
    }
    size_t depth = 0;
    for (;;) {
        if (*p == '"') {
            p = string_end(p);
            continue;
        }
        if (*p == '{' || *p == '[') {
            depth++;
        } else if (*p == '}' || *p == ']') {
            depth--;
        }
        p++;
        if (depth == 0) {
            return p;
        }
    }
}

bool runner__json_next(runner__json_iter *iter, runner__slice *key, runner__slice *value)
{
    const char *p = iter->p;
    while (p < iter->end && (space(*p) || *p == ',')) {
        p++;
    }
    if (p >= iter->end) {
        iter->p = p;
        return false;
    }
    if (iter->object) {
        const char *after = string_end(p);
        if (key != NULL) {
            *key = (runner__slice){p, (size_t)(after - p)};
        }
        p = after;
        while (space(*p) || *p == ':') {
            p++;
        }
    }
    const char *after = value_end(p, iter->end);
    *value = (runner__slice){p, (size_t)(after - p)};
    iter->p = after;
    return true;
}

static void add_code_point(runner__text *out, uint32_t c)
{
    char b[4];
    size_t size = 0;
    if (c < 0x80) {
        b[size++] = (char)c;
    } else if (c < 0x800) {
        b[size++] = (char)(0xc0 | (c >> 6));
        b[size++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        b[size++] = (char)(0xe0 | (c >> 12));
        b[size++] = (char)(0x80 | ((c >> 6) & 0x3f));
        b[size++] = (char)(0x80 | (c & 0x3f));
    } else {
        b[size++] = (char)(0xf0 | (c >> 18));
        b[size++] = (char)(0x80 | ((c >> 12) & 0x3f));
        b[size++] = (char)(0x80 | ((c >> 6) & 0x3f));
        b[size++] = (char)(0x80 | (c & 0x3f));
    }
    runner__text_add(out, b, size);
}

void runner__json_decode(runner__slice string, runner__text *out)
{
    static const char from[] = "bfnrt\"\\/";
    static const char to[] = "\b\f\n\r\t\"\\/";
    string = trimmed(string);
    const char *end = string.data + string.size - 1;
    const char *p = string.data + 1;
    runner__text_add(out, "", 0);
    while (p < end) {
        const char *backslash = memchr(p, '\\', (size_t)(end - p));
        if (backslash == NULL) {
            backslash = end;
        }
        runner__text_add(out, p, (size_t)(backslash - p));
        if (backslash == end) {
            return;
        }
        p = backslash + 1;
        if (*p != 'u') {
            runner__text_add(out, &to[strchr(from, *p) - from], 1);
            p++;
            continue;
        }
        uint32_t c = (uint32_t)hex4(p + 1, end);
        p += 5;
        if (c >= 0xd800 && c <= 0xdbff) {
            c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)hex4(p + 2, end) - 0xdc00);
            p += 6;
        }
        add_code_point(out, c);
    }
}

char *runner__json_strdup(runner__slice string)
{
    if (runner__json_kind(string) != '"') {
        return NULL;
    }
    runner__text t = {0};
    runner__json_decode(string, &t);
    if (memchr(t.data, '\0', t.size) != NULL) {
        runner__text_free(&t);
        return NULL;
    }
    return runner__text_take(&t);
}

bool runner__json_equals(runner__slice string, const char *text)
{
    char *decoded = runner__json_strdup(string);
    bool equal = decoded != NULL && strcmp(decoded, text) == 0;
    free(decoded);
    return equal;
}

bool runner__json_member(runner__slice object, const char *name, runner__slice *value)
{
    bool found = false;
    runner__json_iter iter = runner__json_iterate(object);
    runner__slice key;
    runner__slice v;
    while (runner__json_next(&iter, &key, &v)) {
        if (runner__json_equals(key, name)) {
            *value = v;
            found = true;
        }
    }
    return found;
}

void runner__json_compact(runner__slice value, runner__text *out)
{
    value = trimmed(value);
    const char *p = value.data;
    const char *end = value.data + value.size;
    const char *from = p;
    while (p < end) {
        if (*p == '"') {
            p = string_end(p);
        } else if (space(*p)) {
            runner__text_add(out, from, (size_t)(p - from));
            while (p < end && space(*p)) {
                p++;
            }
            from = p;
        } else {
            p++;
        }
    }
    runner__text_add(out, from, (size_t)(end - from));
}

bool runner__json_count(runner__slice value, uint64_t *out)
{
    if (runner__json_kind(value) != '0') {
        return false;
    }
    char *text = runner__strndup(value.data, value.size);
    double number = strtod(text, NULL);
    free(text);
    if (!(number > 0)) {
        *out = 0;
    } else {
        *out = number >= 9007199254740992.0 ? UINT64_C(9007199254740992) : (uint64_t)number;
    }
    return true;
}
