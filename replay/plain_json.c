/* Members of plain lines: texts, times, parameters, values, errors. */
#include "replay/import_plain.h"

#include <stdlib.h>
#include <string.h>

const char *ratoon__plain_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Whether one of the words of a list, which single spaces part, is this one. */
static bool in_list(const char *list, const char *word)
{
    const size_t length = strlen(word);
    while (*list != '\0') {
        const size_t next = strcspn(list, " ");
        if (next == length && memcmp(list, word, length) == 0) {
            return true;
        }
        list += next;
        list += *list == ' ' ? 1 : 0;
    }
    return false;
}

ratoon_status ratoon__plain_check(ratoon__import *im, const json_t *object, const char *what,
                                  const char *known)
{
    static const char objects[] = "params state labels outputs";
    static const char others[] = "needs error version run stage stages schema";
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(object)) {
        return ratoon__import_fail(im, RATOON_ERR_USAGE, "its %s is no object", what);
    }
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!in_list(known, key)) {
            return ratoon__import_fail(im, RATOON_ERR_USAGE,
                                       "its %s has a member \"%s\"; known: %s", what, key, known);
        }
        if (json_is_null(value) || in_list(others, key)) {
            continue;
        }
        const bool wants_object = in_list(objects, key);
        if (wants_object ? !json_is_object(value)
                         : !json_is_string(value) ||
                               strlen(json_string_value(value)) != json_string_length(value)) {
            return ratoon__import_fail(im, RATOON_ERR_USAGE, "\"%s\" of its %s must be %s", key,
                                       what, wants_object ? "an object" : "a text");
        }
    }
    return RATOON_OK;
}

/* ---- times ---- */

/* A number of exactly `digits` digits; moves *at behind it. */
static bool number(const char **at, int digits, int64_t *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        *out = *out * 10 + (**at - '0');
    }
    return true;
}

static bool skip(const char **at, const char *any)
{
    if (**at == '\0' || strchr(any, **at) == NULL) {
        return false;
    }
    (*at)++;
    return true;
}

/* Days since 1970-01-01 in the Gregorian calendar (Hinnant, "chrono-compatible low-level date
 * algorithms"). */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2 ? 1 : 0;
    const int64_t era = year / 400;
    const int64_t of_era = year - era * 400;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool parse_time(const char *at, uint64_t *out)
{
    int64_t year, month, day, hour, minute, second, zone_hours = 0, zone_minutes = 0;
    int64_t us = 0;
    if (!number(&at, 4, &year) || !skip(&at, "-") || !number(&at, 2, &month) || !skip(&at, "-") ||
        !number(&at, 2, &day) || !skip(&at, "Tt ") || !number(&at, 2, &hour) || !skip(&at, ":") ||
        !number(&at, 2, &minute) || !skip(&at, ":") || !number(&at, 2, &second)) {
        return false;
    }
    if (skip(&at, ".")) {
        int64_t digit, scale = 100000;
        if (*at < '0' || *at > '9') {
            return false;
        }
        while (*at >= '0' && *at <= '9' && number(&at, 1, &digit)) {
            us += digit * scale;
            scale /= 10;
        }
    }
    int64_t sign = 0;
    if (!skip(&at, "Zz")) {
        sign = *at == '-' ? -1 : 1;
        if (!skip(&at, "+-") || !number(&at, 2, &zone_hours) || !skip(&at, ":") ||
            !number(&at, 2, &zone_minutes)) {
            return false;
        }
    }
    if (*at != '\0' || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
        minute > 59 || second > 60 || zone_hours > 23 || zone_minutes > 59) {
        return false;
    }
    const int64_t next = month == 12 ? days_of(year + 1, 1, 1) : days_of(year, month + 1, 1);
    if (day > next - days_of(year, month, 1)) {
        return false;
    }
    const int64_t seconds = ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second -
                            sign * (zone_hours * 60 + zone_minutes) * 60;
    if (seconds <= 0) {
        return false;
    }
    *out = (uint64_t)seconds * 1000000u + (uint64_t)us;
    return true;
}

ratoon_status ratoon__plain_time(ratoon__import *im, const json_t *object, const char *key,
                                 uint64_t *out)
{
    const char *text = ratoon__plain_string(object, key);
    if (text != NULL && !parse_time(text, out)) {
        return ratoon__import_fail(im, RATOON_ERR_USAGE,
                                   "\"%s\" is no time like 2026-07-01T12:00:00Z: %s", key, text);
    }
    return RATOON_OK;
}

/* ---- values ---- */

const char *ratoon__plain_param(ratoon__arena *arena, const json_t *value)
{
    if (json_is_string(value)) {
        return strlen(json_string_value(value)) == json_string_length(value)
                   ? json_string_value(value)
                   : NULL;
    }
    if (!json_is_number(value) && !json_is_boolean(value)) {
        return NULL;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    const char *copy = text != NULL ? ratoon__arena_strdup(arena, text) : NULL;
    free(text);
    return copy;
}

static ratoon_status value_of(ratoon__plain *p, const char *key, const json_t *value,
                              ratoon__value_ref *out)
{
    ratoon__import *im = p->im;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (text == NULL) {
        return ratoon__import_no_memory(im);
    }
    const size_t size = strlen(text);
    *out = (ratoon__value_ref){.key = key, .media_type = "application/json", .size = size};
    ratoon_status status = ratoon__sha256(text, size, &out->digest);
    if (key[0] == '\0' || strlen(key) > RATOON_NAME_MAX) {
        status = ratoon__import_fail(im, RATOON_ERR_LIMIT_EXCEEDED,
                                     "a key has %U bytes; a name has 1 to %u",
                                     (uint64_t)strlen(key), (uint32_t)RATOON_NAME_MAX);
    } else if (size > ratoon__store_value_max(im->store)) {
        status = ratoon__import_fail(im, RATOON_ERR_LIMIT_EXCEEDED,
                                     "value %s has %U bytes; the limit of a value is %U", key,
                                     (uint64_t)size, ratoon__store_value_max(im->store));
    } else if (status == RATOON_OK && size <= RATOON_INLINE_MAX) {
        out->data = ratoon__arena_memdup(&p->arena, text, size);
        status = out->data == NULL ? ratoon__import_no_memory(im) : RATOON_OK;
    } else if (status == RATOON_OK) {
        status = ratoon__import_value_add(im, &out->digest, text, size);
    }
    free(text);
    return status;
}

ratoon_status ratoon__plain_values(ratoon__plain *p, const json_t *object, const char *what,
                                   ratoon__values *out)
{
    const char *key = NULL;
    json_t *value = NULL;
    size_t n = 0;
    (void)what;
    *out = (ratoon__values){0};
    ratoon__value_ref *refs =
        ratoon__arena_alloc(&p->arena, json_object_size(object) * sizeof *refs);
    if (refs == NULL) {
        return ratoon__import_no_memory(p->im);
    }
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const ratoon_status status = value_of(p, key, value, &refs[n++]);
        if (status != RATOON_OK) {
            return status;
        }
    }
    *out = (ratoon__values){.items = refs, .count = n};
    return RATOON_OK;
}

ratoon_status ratoon__plain_failure(ratoon__plain *p, const json_t *stage, ratoon__failure *out)
{
    const json_t *error = json_object_get(stage, "error");
    *out = (ratoon__failure){.error_class = RATOON_CLASS_UNKNOWN, .message = "no error was given"};
    if (json_is_string(error)) {
        out->message = json_string_value(error);
        return RATOON_OK;
    }
    if (error == NULL || json_is_null(error)) {
        return RATOON_OK;
    }
    ratoon_status status = ratoon__plain_check(p->im, error, "error", "class message detail");
    const char *name = status == RATOON_OK ? ratoon__plain_string(error, "class") : NULL;
    if (status == RATOON_OK && name != NULL) {
        out->error_class = ratoon_class_parse(name);
        if (out->error_class == RATOON_CLASS_NONE) {
            return ratoon__import_fail(p->im, RATOON_ERR_USAGE, "\"%s\" is no class of errors",
                                       name);
        }
    }
    if (status == RATOON_OK && ratoon__plain_string(error, "message") != NULL) {
        out->message = ratoon__plain_string(error, "message");
    }
    out->detail = status == RATOON_OK ? ratoon__plain_string(error, "detail") : NULL;
    return status;
}
