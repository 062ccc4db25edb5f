/* Parameters: their values against their declarations (R12), and adjusted ones (A02). */
#include "core/number.h"
#include "core/pipeline.h"

#include <string.h>

static const char *type_text(ratoon__param_type type)
{
    switch (type) {
    case RATOON__PARAM_STRING:
        return "a string";
    case RATOON__PARAM_INT:
        return "a whole number";
    case RATOON__PARAM_NUMBER:
        return "a number";
    case RATOON__PARAM_BOOL:
        return "true or false";
    }
    return "a value";
}

static void say_bound(ratoon__buf *b, const char *word, double bound)
{
    char text[RATOON__NUMBER_TEXT];
    ratoon__number_format(bound, text);
    ratoon__buf_format(b, ", %s %s", word, text);
}

/* What is expected, in words. */
static void say_expected(ratoon__buf *b, const ratoon__param_def *def)
{
    ratoon__buf_str(b, type_text(def->type));
    if (def->power_of_two) {
        ratoon__buf_str(b, ", a power of two");
    }
    if (def->has_min) {
        say_bound(b, "at least", def->min);
    }
    if (def->has_max) {
        say_bound(b, "at most", def->max);
    }
    for (size_t i = 0; i < def->choices_count; i++) {
        ratoon__buf_format(b, "%s '%s'", i == 0 ? ", one of" : ",", def->choices[i]);
    }
}

static ratoon_status refuse(const ratoon__param_def *def, const char *found, ratoon_error *error)
{
    ratoon__buf expected = {0};
    say_expected(&expected, def);
    const char *words = expected.failed ? type_text(def->type) : expected.data;
    const ratoon_status status =
        def->secret ? ratoon__fail(error, RATOON_ERR_PARAM_INVALID,
                                   "parameter '%s' (secret): expected %s", def->name, words)
                    : ratoon__fail(error, RATOON_ERR_PARAM_INVALID,
                                   "parameter '%s' is '%s': expected %s", def->name, found, words);
    ratoon__buf_free(&expected);
    return status;
}

static bool in_bounds(const ratoon__param_def *def, double value)
{
    return !(def->has_min && value < def->min) && !(def->has_max && value > def->max);
}

static bool is_power_of_two(double value)
{
    if (!(value >= 1) || value >= 9223372036854775808.0) {
        return false;
    }
    const uint64_t whole = (uint64_t)value;
    return (double)whole == value && (whole & (whole - 1)) == 0;
}

/* The canonical form by type; NULL where the text is none of that type or out of bounds. */
static const char *canonical_of(const ratoon__param_def *def, const char *text,
                                ratoon__arena *arena)
{
    double value = 0;
    int64_t whole = 0;
    switch (def->type) {
    case RATOON__PARAM_INT:
        if (!ratoon__int_parse(text, &whole)) {
            return NULL;
        }
        value = (double)whole;
        break;
    case RATOON__PARAM_NUMBER:
        if (!ratoon__number_parse(text, &value)) {
            return NULL;
        }
        break;
    case RATOON__PARAM_BOOL:
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0
                   ? ratoon__arena_strdup(arena, text)
                   : NULL;
    case RATOON__PARAM_STRING:
        return ratoon__arena_strdup(arena, text);
    }
    if (!in_bounds(def, value) || (def->power_of_two && !is_power_of_two(value))) {
        return NULL;
    }
    if (def->type == RATOON__PARAM_NUMBER) {
        return ratoon__number_canonical(text, arena);
    }
    char number[RATOON__NUMBER_TEXT];
    ratoon__int_format(whole, number); /* "-0" is 0 */
    return ratoon__arena_strdup(arena, number);
}

static bool is_choice(const ratoon__param_def *def, const char *canonical)
{
    for (size_t i = 0; i < def->choices_count; i++) {
        if (strcmp(def->choices[i], canonical) == 0) {
            return true;
        }
    }
    return def->choices_count == 0;
}

ratoon_status ratoon__param_check(const ratoon__param_def *def, const char *text,
                                  ratoon__arena *arena, const char **canonical, ratoon_error *error)
{
    const size_t length = strlen(text);
    if (length > RATOON_PARAM_MAX) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "parameter '%s' has %U bytes; the limit is %u", def->name,
                            (uint64_t)length, (uint32_t)RATOON_PARAM_MAX);
    }
    const bool failed_before = arena->failed;
    const char *result = canonical_of(def, text, arena);
    if (result == NULL && arena->failed && !failed_before) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "no memory for parameter '%s'", def->name);
    }
    if (result == NULL || !is_choice(def, result)) {
        return refuse(def, text, error);
    }
    *canonical = result;
    return RATOON_OK;
}

static double adjusted(const ratoon__adjust *adjust, double value)
{
    switch (adjust->op) {
    case RATOON__ADJUST_HALVE:
        return value / 2;
    case RATOON__ADJUST_DOUBLE:
        return value * 2;
    case RATOON__ADJUST_ADD:
        return value + adjust->by;
    case RATOON__ADJUST_SET:
        break;
    }
    return value;
}

/* Keeps a value within the adjuster's bounds and the declaration's. */
static double bounded(const ratoon__param_def *def, const ratoon__adjust *adjust, double value)
{
    if (adjust->has_max && value > adjust->max) {
        value = adjust->max;
    }
    if (def->has_max && value > def->max) {
        value = def->max;
    }
    if (adjust->has_min && value < adjust->min) {
        value = adjust->min;
    }
    if (def->has_min && value < def->min) {
        value = def->min;
    }
    return value;
}

/* The text after the adjustment, before it is checked; false where there is none to be had. */
static bool adjust_text(const ratoon__param_def *def, const ratoon__adjust *adjust,
                        const char *text, char out[RATOON__NUMBER_TEXT])
{
    const double exact_max = 9007199254740992.0; /* 2^53: whole numbers up to it are exact */
    double value = 0;
    if ((def->type != RATOON__PARAM_INT && def->type != RATOON__PARAM_NUMBER) ||
        !ratoon__number_parse(text, &value)) {
        return false;
    }
    value = adjusted(adjust, value);
    if (def->type == RATOON__PARAM_NUMBER) {
        value = bounded(def, adjust, value);
        if (!(value > -1e308 && value < 1e308)) {
            return false;
        }
        ratoon__number_format(value, out);
        return true;
    }
    if (!(value >= -exact_max && value <= exact_max)) {
        return false;
    }
    value = bounded(def, adjust, (double)(int64_t)value); /* half of 3 is 1 */
    if (!(value >= -exact_max && value <= exact_max)) {
        return false;
    }
    ratoon__int_format((int64_t)value, out);
    return true;
}

ratoon_status ratoon__param_adjust(const ratoon__param_def *def, const ratoon__adjust *adjust,
                                   const char *text, ratoon__arena *arena, const char **out,
                                   bool *changed)
{
    char number[RATOON__NUMBER_TEXT];
    const char *wanted = NULL;
    if (adjust->op == RATOON__ADJUST_SET) {
        wanted = adjust->value_text;
    } else if (adjust_text(def, adjust, text, number)) {
        wanted = number;
    }
    const char *result = NULL;
    if (wanted != NULL) {
        const ratoon_status status = ratoon__param_check(def, wanted, arena, &result, NULL);
        if (status == RATOON_ERR_NO_MEMORY) {
            return status;
        }
        /* A result that the declaration refuses is no suggestion: the value stays. */
        result = status == RATOON_OK && strcmp(result, text) != 0 ? result : NULL;
    }
    *changed = result != NULL;
    if (result == NULL) {
        result = ratoon__arena_strdup(arena, text);
    }
    if (result == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    *out = result;
    return RATOON_OK;
}
