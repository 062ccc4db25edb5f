/* Readers of values: what each kind of field may be. */
#include "log/pipeline_read.h"
#include "core/number.h"
#include "log/pipeline_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool ratoon__read_node(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                       void *out)
{
    (void)f;
    (void)field;
    *(const ratoon__node **)out = n;
    return true;
}

bool ratoon__read_bool(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                       void *out)
{
    const bool text = n->kind == RATOON__NODE_SCALAR && n->plain;
    if (text && strcmp(n->text, "true") == 0) {
        *(bool *)out = true;
    } else if (text && strcmp(n->text, "false") == 0) {
        *(bool *)out = false;
    } else {
        return ratoon__bad(f, n, "found %s, expected true or false for \"%s\"", ratoon__shown(f, n),
                           field->key);
    }
    return true;
}

bool ratoon__read_name(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                       void *out)
{
    const char *text = NULL;
    if (!ratoon__check_name(f, n, field->key)) {
        return false;
    }
    text = ratoon__keep_text(f, n->text);
    *(const char **)out = text;
    return text != NULL;
}

bool ratoon__read_text(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                       void *out)
{
    if (n->kind != RATOON__NODE_SCALAR || ratoon__is_null(n) || n->size == 0) {
        return ratoon__bad(f, n, "found %s, expected text for \"%s\"", ratoon__shown(f, n),
                           field->key);
    }
    const char *text = ratoon__keep_text(f, n->text);
    *(const char **)out = text;
    return text != NULL;
}

static bool bad_bounds(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                       const char *kind)
{
    char min[RATOON__NUMBER_TEXT], max[RATOON__NUMBER_TEXT];
    ratoon__number_format(field->min, min);
    ratoon__number_format(field->max, max);
    return ratoon__bad(f, n, "found %s, expected %s from %s to %s for \"%s\"", ratoon__shown(f, n),
                       kind, min, max, field->key);
}

/* bounds are within 2^53, so that they are exact */
static bool read_whole(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                       int64_t *out)
{
    if (n->kind != RATOON__NODE_SCALAR || !n->plain || !ratoon__int_parse(n->text, out) ||
        *out < (int64_t)field->min || *out > (int64_t)field->max) {
        return bad_bounds(f, n, field, "a whole number");
    }
    return true;
}

bool ratoon__read_u32(ratoon__file *f, const ratoon__node *n, const ratoon__field *field, void *out)
{
    int64_t value = 0;
    if (!read_whole(f, n, field, &value)) {
        return false;
    }
    *(uint32_t *)out = (uint32_t)value;
    return true;
}

bool ratoon__read_u64(ratoon__file *f, const ratoon__node *n, const ratoon__field *field, void *out)
{
    int64_t value = 0;
    if (!read_whole(f, n, field, &value)) {
        return false;
    }
    *(uint64_t *)out = (uint64_t)value;
    return true;
}

bool ratoon__read_i32(ratoon__file *f, const ratoon__node *n, const ratoon__field *field, void *out)
{
    int64_t value = 0;
    if (!read_whole(f, n, field, &value)) {
        return false;
    }
    *(int *)out = (int)value;
    return true;
}

bool ratoon__read_number(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                         void *out)
{
    double value = 0;
    if (n->kind != RATOON__NODE_SCALAR || !n->plain || !ratoon__number_parse(n->text, &value) ||
        value < field->min || value > field->max) {
        return bad_bounds(f, n, field, "a number");
    }
    *(double *)out = value;
    return true;
}

enum { DURATION_DAYS_MAX = 36500 };
static const struct {
    const char *suffix;
    uint64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

bool ratoon__duration_parse(const char *text, uint64_t *ms)
{
    const size_t digits = strspn(text, "0123456789.");
    char number[24];
    double value = 0;
    uint64_t unit = text[digits] == '\0' ? 1000 : 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        unit = strcmp(text + digits, units[i].suffix) == 0 ? units[i].ms : unit;
    }
    if (digits == 0 || digits >= sizeof number || unit == 0) {
        return false;
    }
    memcpy(number, text, digits);
    number[digits] = '\0';
    if (!ratoon__number_parse(number, &value)) {
        return false;
    }
    value *= (double)unit;
    if (!(value <= DURATION_DAYS_MAX * 86400000.0)) {
        return false;
    }
    /* 0.1s is a whole number of milliseconds, although 0.1 has no exact double. */
    const uint64_t whole = (uint64_t)(value + 0.5);
    const double off = value - (double)whole;
    if (off > 1e-6 || off < -1e-6) {
        return false;
    }
    *ms = whole;
    return true;
}

void ratoon__duration_format(uint64_t ms, char out[RATOON__DURATION_TEXT])
{
    size_t i = 0;
    while (units[i].ms > 1 && (ms % units[i].ms != 0 || (ms == 0 && units[i].ms != 1000))) {
        i++;
    }
    static_assert(RATOON__DURATION_TEXT >= RATOON__NUMBER_TEXT + sizeof "ms", "room for a unit");
    ratoon__int_format((int64_t)(ms / units[i].ms), out);
    memcpy(out + strlen(out), units[i].suffix, strlen(units[i].suffix) + 1);
}

bool ratoon__read_duration(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                           void *out)
{
    if (n->kind != RATOON__NODE_SCALAR || !ratoon__duration_parse(n->text, out)) {
        return ratoon__bad(f, n,
                           "found %s, expected a duration for \"%s\" such as 500ms, 30s, 5m, 2h, "
                           "90d, or a number of seconds",
                           ratoon__shown(f, n), field->key);
    }
    return true;
}

/* Elements of a list, each a text that is checked and kept. */
static bool read_texts(ratoon__file *f, const ratoon__node *n,
                       bool (*check)(ratoon__file *f, const ratoon__node *n),
                       const char *const **out, size_t *count)
{
    const char **texts = ratoon__keep(f, n->count, sizeof *texts);
    size_t i = 0;
    for (const ratoon__node *one = n->first; texts != NULL && one != NULL; one = one->next) {
        if (!check(f, one) || (texts[i++] = ratoon__keep_text(f, one->text)) == NULL) {
            return false;
        }
    }
    *out = texts;
    *count = n->count;
    return texts != NULL;
}

static bool check_argument(ratoon__file *f, const ratoon__node *n)
{
    return ratoon__expect_text(f, n, "text as an argument of a command");
}

bool ratoon__read_argv(ratoon__file *f, const ratoon__node *n, const char *const **out,
                       size_t *count)
{
    if (!ratoon__expect(f, n, RATOON__NODE_LIST, "a list: the command and its arguments")) {
        return false;
    }
    if (n->count == 0) {
        return ratoon__bad(f, n, "found an empty list, expected the command and its arguments");
    }
    if (n->first->kind == RATOON__NODE_SCALAR && n->first->size == 0) {
        return ratoon__bad(f, n->first, "found %s, expected the name or path of a command",
                           ratoon__shown(f, n->first));
    }
    return read_texts(f, n, check_argument, out, count);
}

static bool check_key(ratoon__file *f, const ratoon__node *n)
{
    return ratoon__check_name(f, n, "a state key");
}

bool ratoon__read_keys(ratoon__file *f, const ratoon__node *n, const char *const **out,
                       size_t *count)
{
    if (!ratoon__expect(f, n, RATOON__NODE_LIST, "a list of state keys") ||
        !read_texts(f, n, check_key, out, count)) {
        return false;
    }
    bool failed = false;
    const ratoon__node *twice = ratoon__find_twice(n, &failed);
    if (failed) {
        return ratoon__bad_memory(f);
    }
    if (twice != NULL) {
        return ratoon__bad(f, twice, "found %s a second time, expected each key once",
                           ratoon__shown(f, twice));
    }
    return true;
}

bool ratoon__class_of(ratoon__file *f, const ratoon__node *n, ratoon_class *out)
{
    *out = n->kind == RATOON__NODE_SCALAR ? ratoon_class_parse(n->text) : RATOON_CLASS_NONE;
    if (*out != RATOON_CLASS_NONE) {
        return true;
    }
    ratoon__buf names = {0};
#define X(name, value) ratoon__buf_str(&names, (value) == 1 ? #name : ", " #name);
    RATOON_CLASS_LIST(X)
#undef X
    ratoon__bad(f, n, "found %s, expected one of the error classes %s", ratoon__shown(f, n),
                names.failed ? "" : names.data);
    ratoon__buf_free(&names);
    return false;
}

bool ratoon__read_class(ratoon__file *f, const ratoon__node *n, const ratoon__field *field,
                        void *out)
{
    (void)field;
    return ratoon__class_of(f, n, out);
}
