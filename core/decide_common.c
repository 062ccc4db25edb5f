/* What all decisions need: events, refusals, limits, places. */
#include "core/decide_internal.h"

#include <stdlib.h>
#include <string.h>

ratoon__event *ratoon__decision_add(ratoon__decision *d, ratoon__event_type type, ratoon_id run)
{
    if (d->count == d->capacity) {
        const size_t capacity = d->capacity == 0 ? 1 : d->capacity * 4; /* most are one */
        ratoon__event *events = ratoon__arena_alloc(d->arena, capacity * sizeof *events);
        if (events == NULL) {
            return NULL;
        }
        if (d->count > 0) {
            memcpy(events, d->events, d->count * sizeof *events);
        }
        d->events = events;
        d->capacity = capacity;
    }
    ratoon__event *e = &d->events[d->count++];
    *e = (ratoon__event){.type = type, .run = run};
    return e;
}

bool ratoon__decision_has_failure(const ratoon__decision *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const ratoon__event *e = &d->events[i];
        if (e->type == RATOON__EVENT_RUN_ENDED && e->u.ended.status == RATOON_RUN_FAILED) {
            return true;
        }
        if (e->type == RATOON__EVENT_STAGE_ENDED &&
            e->u.stage_ended.status == RATOON_STAGE_FAILED) {
            return true;
        }
    }
    return false;
}

ratoon_status ratoon__no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

ratoon_status ratoon__about(ratoon_error *error, ratoon_status code, ratoon_id run,
                            const char *stage)
{
    if (error != NULL) {
        error->run = run;
        const size_t size = stage == NULL ? 0 : strlen(stage);
        if (size < sizeof error->stage) {
            memcpy(error->stage, stage == NULL ? "" : stage, size + 1);
        }
    }
    return code;
}

const char *ratoon__arena_take(ratoon__arena *a, ratoon__buf *b)
{
    const char *text = NULL;
    if (b->failed) {
        a->failed = true;
    } else {
        text = ratoon__arena_strdup(a, b->data == NULL ? "" : b->data);
    }
    ratoon__buf_free(b);
    return text;
}

const char *ratoon__arena_text(ratoon__arena *a, const char *format, ...)
{
    ratoon__buf b = {0};
    va_list args;
    va_start(args, format);
    ratoon__buf_vformat(&b, format, args);
    va_end(args);
    return ratoon__arena_take(a, &b);
}

const char *ratoon__stage_name(const ratoon_pipeline *p, uint32_t stage)
{
    return p->stages[stage].pub.name;
}

bool ratoon__same_digest(const ratoon_digest *a, const ratoon_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void ratoon__buf_digest(ratoon__buf *b, const ratoon_digest *d)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof d->bytes; i++) {
        const char pair[2] = {digits[d->bytes[i] >> 4], digits[d->bytes[i] & 15]};
        ratoon__buf_add(b, pair, sizeof pair);
    }
}

void ratoon__buf_list(ratoon__buf *b, const char *const *names, size_t count, size_t most)
{
    for (size_t i = 0; i < count && i < most; i++) {
        ratoon__buf_format(b, "%s%s", i == 0 ? "" : ", ", names[i]);
    }
    if (count > most) {
        ratoon__buf_format(b, " and %U more", (uint64_t)(count - most));
    }
}

ratoon_status ratoon__no_such_stage(const ratoon_pipeline *p, const char *name, ratoon_error *error)
{
    ratoon__buf list = {0};
    for (size_t i = 0; i < p->stages_count; i++) {
        ratoon__buf_format(&list, "%s%s", i == 0 ? "" : ", ", p->stages[i].pub.name);
    }
    (void)ratoon__fail(error, RATOON_ERR_NO_SUCH_STAGE,
                       "the pipeline %s has no stage '%s'; its stages are: %s", p->name, name,
                       list.failed ? "(out of memory)" : list.data);
    ratoon__hint(error, "name one of the pipeline's stages");
    ratoon__buf_free(&list);
    return RATOON_ERR_NO_SUCH_STAGE;
}

/* ---- limits (S06) ---- */

ratoon_status ratoon__name_check(const char *what, const char *text, ratoon_error *error)
{
    const size_t size = text == NULL ? 0 : strlen(text);
    if (size > RATOON_NAME_MAX) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "a %s has %U bytes; the limit of a name is %u", what, (uint64_t)size,
                            (uint32_t)RATOON_NAME_MAX);
    }
    return RATOON_OK;
}

ratoon_status ratoon__item_key_check(const char *key, ratoon_error *error)
{
    if (key == NULL || key[0] == '\0') {
        return ratoon__fail(error, RATOON_ERR_USAGE, "an item has no key");
    }
    const size_t size = strlen(key);
    if (size > RATOON_ITEM_KEY_MAX) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "an item key has %U bytes; the limit is %u", (uint64_t)size,
                            (uint32_t)RATOON_ITEM_KEY_MAX);
    }
    return RATOON_OK;
}

ratoon_status ratoon__total_check(const char *stage, uint64_t total, ratoon_error *error)
{
    if (total > RATOON_ITEMS_MAX) {
        return ratoon__fail(error, RATOON_ERR_LIMIT_EXCEEDED,
                            "stage %s has %U items; the limit is %u", stage, total,
                            (uint32_t)RATOON_ITEMS_MAX);
    }
    return RATOON_OK;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

ratoon_status ratoon__keys_check(const char *what, const ratoon__values *values,
                                 ratoon__arena *arena, ratoon_error *error)
{
    const char **keys = ratoon__arena_alloc(arena, values->count * sizeof *keys);
    if (keys == NULL) {
        return ratoon__no_memory(error);
    }
    for (size_t i = 0; i < values->count; i++) {
        keys[i] = values->items[i].key;
        if (keys[i] == NULL || keys[i][0] == '\0') {
            return ratoon__fail(error, RATOON_ERR_USAGE, "an %s has no key", what);
        }
        ratoon_status status = ratoon__name_check("state key", keys[i], error);
        if (status != RATOON_OK) {
            return status;
        }
    }
    qsort(keys, values->count, sizeof *keys, compare_keys);
    for (size_t i = 1; i < values->count; i++) {
        if (strcmp(keys[i - 1], keys[i]) == 0) {
            return ratoon__fail(error, RATOON_ERR_USAGE,
                                "the %s '%s' is given twice; give each key once", what, keys[i]);
        }
    }
    return RATOON_OK;
}

uint32_t ratoon__depth_limit(const ratoon_pipeline *p, uint32_t store_max_depth)
{
    uint32_t limit = p->max_depth;
    if (limit == 0 || (store_max_depth != 0 && store_max_depth < limit)) {
        limit = store_max_depth;
    }
    if (limit == 0) {
        limit = RATOON_DEPTH_DEFAULT;
    }
    return limit > RATOON_DEPTH_MAX ? RATOON_DEPTH_MAX : limit;
}

int32_t ratoon__auto_retry_of(const ratoon_pipeline *p, int32_t asked)
{
    enum { ATTEMPTS_DEFAULT = 3 };
    if (asked >= 0) {
        return asked;
    }
    if (!p->auto_retry) {
        return 0;
    }
    return p->auto_retry_attempts == 0 ? ATTEMPTS_DEFAULT : (int32_t)p->auto_retry_attempts;
}

const ratoon__run *ratoon__place_taken(const ratoon__lineage *l, const ratoon__run *self,
                                       bool waiting, uint32_t max_active)
{
    const ratoon__run *first = NULL;
    uint32_t count = 0;
    bool before_self = true;
    for (uint32_t i = 0; i < l->runs_count; i++) {
        const ratoon__run *r = l->runs[i];
        if (r == self) {
            before_self = false;
            continue;
        }
        const bool queued = r->status == RATOON_RUN_QUEUED;
        if (!ratoon_run_status_active(r->status) || (queued && waiting && !before_self)) {
            continue;
        }
        count++;
        if (first == NULL || (first->status == RATOON_RUN_QUEUED && !queued)) {
            first = r;
        }
    }
    return count >= (max_active == 0 ? 1 : max_active) ? first : NULL;
}

int32_t ratoon__stage_mapped(const ratoon_pipeline *from, uint32_t stage, const ratoon_pipeline *to)
{
    return from == to ? (int32_t)stage : ratoon__pipeline_find(to, ratoon__stage_name(from, stage));
}

/* ---- refusals ---- */

static ratoon__refusal *refusals_add(ratoon__refusals *r)
{
    if (r->count == r->capacity) {
        const size_t capacity = r->capacity == 0 ? 4 : r->capacity * 2;
        ratoon__refusal *items = ratoon__arena_alloc(r->arena, capacity * sizeof *items);
        if (items == NULL) {
            return &r->lost;
        }
        if (r->count > 0) {
            memcpy(items, r->items, r->count * sizeof *items);
        }
        r->items = items;
        r->capacity = capacity;
    }
    return &r->items[r->count++];
}

ratoon__refusal *ratoon__refuse(ratoon__refusals *r, ratoon_status code, const char *format, ...)
{
    ratoon__buf b = {0};
    va_list args;
    va_start(args, format);
    ratoon__buf_vformat(&b, format, args);
    va_end(args);
    const char *message = ratoon__arena_take(r->arena, &b);
    ratoon__refusal *refusal = refusals_add(r);
    *refusal = (ratoon__refusal){.code = code, .message = message == NULL ? "" : message};
    return refusal;
}

void ratoon__refuse_error(ratoon__refusals *r, const ratoon_error *error)
{
    const char *hint = error->hint[0] == '\0' ? NULL : ratoon__arena_strdup(r->arena, error->hint);
    ratoon__refusal *refusal = ratoon__refuse(r, error->code, "%s", error->message);
    refusal->hint = hint;
    refusal->other = error->other;
}

ratoon_status ratoon__refusals_first(const ratoon__refusals *r, ratoon_error *error)
{
    if (r->count == 0) {
        return RATOON_OK;
    }
    const ratoon__refusal *first = &r->items[0];
    (void)ratoon__fail(error, first->code, "%s", first->message);
    if (first->hint != NULL) {
        ratoon__hint(error, "%s", first->hint);
    }
    if (error != NULL) {
        error->other = first->other;
    }
    return first->code;
}
