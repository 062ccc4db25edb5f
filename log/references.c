#include "log/references.h"

#include "log/codec.h"

#include <stdlib.h>
#include <string.h>

enum {
    SWEEP_BATCH = 512,  /* values taken out at a time: appends wait for it */
    SWEEP_TRIES = 1000, /* without a success between them */
};

/* ---- sets of digests ---- */

bool ratoon__digests_add(ratoon__digests *set, const ratoon_digest *digest)
{
    if (set->count == set->capacity) {
        const size_t capacity = set->capacity == 0 ? 64 : 2 * set->capacity;
        ratoon_digest *items = realloc(set->items, capacity * sizeof *items);
        if (items == NULL) {
            return false;
        }
        set->items = items;
        set->capacity = capacity;
    }
    set->items[set->count++] = *digest;
    return true;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(ratoon_digest));
}

void ratoon__digests_unique(ratoon__digests *set)
{
    size_t n = 0;
    if (set->count > 0) {
        qsort(set->items, set->count, sizeof *set->items, compare);
    }
    for (size_t i = 0; i < set->count; i++) {
        if (n == 0 || compare(&set->items[n - 1], &set->items[i]) != 0) {
            set->items[n++] = set->items[i];
        }
    }
    set->count = n;
}

void ratoon__digests_free(ratoon__digests *set)
{
    free(set->items);
    *set = (ratoon__digests){0};
}

/* ---- what a commit refers to ---- */

static bool value(const ratoon__value_ref *v, ratoon__reference_fn fn, void *ctx)
{
    return v->data != NULL || fn(ctx, &v->digest);
}

static bool values(const ratoon__values *list, ratoon__reference_fn fn, void *ctx)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!value(&list->items[i], fn, ctx)) {
            return false;
        }
    }
    return true;
}

static bool created(const ratoon__run_created *c, ratoon__reference_fn fn, void *ctx)
{
    for (size_t i = 0; i < c->edits_count; i++) {
        if (!value(&c->edits[i].value, fn, ctx)) {
            return false;
        }
    }
    return fn(ctx, &c->pipeline_digest) && values(&c->state, fn, ctx);
}

static bool event(const ratoon__event *e, ratoon__reference_fn fn, void *ctx)
{
    switch (e->type) {
    case RATOON__EVENT_RUN_CREATED:
        return created(&e->u.created, fn, ctx);
    case RATOON__EVENT_RUN_PIPELINE_CHANGED:
        return fn(ctx, &e->u.pipeline_changed.old_digest) &&
               fn(ctx, &e->u.pipeline_changed.new_digest);
    case RATOON__EVENT_STAGE_ENDED:
        return values(&e->u.stage_ended.outputs, fn, ctx);
    case RATOON__EVENT_STAGE_RETURNED:
        return values(&e->u.stage_returned.partial, fn, ctx);
    case RATOON__EVENT_ITEM_ENDED:
        return !e->u.item.has_output || value(&e->u.item.output, fn, ctx);
    default:
        return true;
    }
}

bool ratoon__commit_references(const ratoon__commit *commit, ratoon__reference_fn fn, void *ctx)
{
    for (size_t i = 0; i < commit->events_count; i++) {
        if (!event(&commit->events[i], fn, ctx)) {
            return false;
        }
    }
    return true;
}

/* ---- sweeping ---- */

typedef struct marking {
    const ratoon__digests *candidates; /* sorted */
    bool *used;
    uint64_t last; /* position seen */
    ratoon_status status;
    ratoon_error *error;
} marking;

static bool mark(void *ctx, const ratoon_digest *digest)
{
    marking *m = ctx;
    const ratoon_digest *found =
        bsearch(digest, m->candidates->items, m->candidates->count, sizeof *digest, compare);
    if (found != NULL) {
        m->used[found - m->candidates->items] = true;
    }
    return true;
}

static bool mark_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    marking *m = ctx;
    ratoon__arena arena = {0};
    ratoon__commit commit;
    (void)lineage;
    (void)number;
    m->last = position;
    m->status = ratoon__commit_decode(data, size, &arena, &commit, m->error);
    if (m->status == RATOON_OK) {
        (void)ratoon__commit_references(&commit, mark, m);
    }
    ratoon__arena_free(&arena);
    return m->status == RATOON_OK;
}

/* Looks through what was appended from *end on, and moves *end behind it. */
static ratoon_status mark_new(ratoon__driver *d, marking *m, uint64_t *end, ratoon_error *error)
{
    uint64_t now = 0;
    ratoon_status status = d->ops->end(d, &now, error);
    m->last = *end - 1;
    while (status == RATOON_OK && m->last + 1 < now) {
        status = d->ops->tail(d, m->last + 1, 0, mark_commit, m, error);
        if (status == RATOON_OK) {
            status = m->status;
        }
    }
    if (status == RATOON_ERR_TIMED_OUT) { /* only holes are left */
        status = RATOON_OK;
    }
    *end = now;
    return status;
}

/* Takes out one batch of what isn't used, from *next on. */
static ratoon_status sweep_batch(ratoon__driver *d, const marking *m, uint64_t end, size_t *next,
                                 uint64_t *count, uint64_t *bytes, ratoon_error *error)
{
    ratoon_digest batch[SWEEP_BATCH];
    size_t n = 0;
    size_t i = *next;
    for (; i < m->candidates->count && n < SWEEP_BATCH; i++) {
        if (!m->used[i]) {
            batch[n++] = m->candidates->items[i];
        }
    }
    uint64_t swept = 0;
    uint64_t size = 0;
    ratoon_status status =
        n == 0 ? RATOON_OK : d->ops->sweep(d, batch, n, end, &swept, &size, error);
    if (status == RATOON_OK) {
        *count += swept;
        *bytes += size;
        *next = i;
    }
    return status;
}

ratoon_status ratoon__values_sweep(ratoon__driver *d, ratoon__digests *candidates, uint64_t *count,
                                   uint64_t *bytes, ratoon_error *error)
{
    ratoon__digests_unique(candidates);
    marking m = {.candidates = candidates, .error = error};
    if (candidates->count == 0) {
        return RATOON_OK;
    }
    m.used = calloc(candidates->count, sizeof *m.used);
    if (m.used == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    uint64_t end = 0;
    ratoon_status status = d->ops->end(d, &end, error);
    if (status == RATOON_OK) {
        status = d->ops->read(d, (ratoon_id){{0}}, 0, false, false, mark_commit, &m, error);
        status = status == RATOON_OK ? m.status : status;
    }
    size_t next = 0;
    for (unsigned tries = 0; status == RATOON_OK && next < candidates->count;) {
        status = sweep_batch(d, &m, end, &next, count, bytes, error);
        if (status == RATOON_OK) {
            tries = 0;
        } else if (status == RATOON_ERR_CONFLICT && ++tries < SWEEP_TRIES) {
            status = mark_new(d, &m, &end, error);
        }
    }
    free(m.used);
    return status;
}
