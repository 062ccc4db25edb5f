/* Attempts of stages as the log tells them: for formats that show time. */
#include "replay/export.h"

#include <stdlib.h>

typedef struct open_attempt { /* started, and not over yet */
    ratoon_id run;
    uint32_t stage, attempt;
    uint64_t started_at;
} open_attempt;

typedef struct attempts {
    ratoon__export *x;
    const ratoon__lineage *lineage;
    void (*fn)(void *ctx, const ratoon__attempt *a);
    void *ctx;
    open_attempt *open; /* a run's stages that are running: few */
    size_t count, capacity;
} attempts;

static bool attempt_begin(attempts *a, const ratoon__event *e, uint64_t time_us)
{
    if (a->count == a->capacity) {
        const size_t capacity = a->capacity == 0 ? 16 : a->capacity * 2;
        open_attempt *larger = realloc(a->open, capacity * sizeof *larger);
        if (larger == NULL) {
            ratoon__export_fail(a->x, RATOON_ERR_NO_MEMORY);
            return false;
        }
        a->open = larger;
        a->capacity = capacity;
    }
    a->open[a->count++] =
        (open_attempt){e->run, e->u.stage_started.stage, e->u.stage_started.attempt, time_us};
    return true;
}

static void give(const attempts *a, const open_attempt *open, uint64_t ended_at, const char *status,
                 const ratoon__failure *failure)
{
    ratoon__attempt out = {.run = ratoon__lineage_run(a->lineage, open->run),
                           .stage = open->stage,
                           .attempt = open->attempt,
                           .started_at = open->started_at,
                           .ended_at = ended_at,
                           .status = status};
    if (failure != NULL && failure->error_class != RATOON_CLASS_NONE) {
        out.error_class = failure->error_class;
        out.message = failure->message;
    }
    if (out.run != NULL && out.stage < out.run->stages_count) {
        a->fn(a->ctx, &out);
    }
}

static void attempt_end(attempts *a, const ratoon__event *e, uint64_t time_us, const char *status,
                        const ratoon__failure *failure)
{
    for (size_t i = 0; i < a->count; i++) {
        if (ratoon_id_equal(a->open[i].run, e->run) &&
            a->open[i].stage == e->u.stage_started.stage) {
            const open_attempt over = a->open[i];
            a->open[i] = a->open[--a->count];
            give(a, &over, time_us, status, failure);
            return;
        }
    }
}

/* A cancelled run ends what it was executing. */
static void run_end(attempts *a, const ratoon__event *e, uint64_t time_us)
{
    for (size_t i = 0; i < a->count;) {
        if (ratoon_id_equal(a->open[i].run, e->run)) {
            const open_attempt over = a->open[i];
            a->open[i] = a->open[--a->count];
            give(a, &over, time_us, "cancelled", NULL);
        } else {
            i++;
        }
    }
}

static bool attempts_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                            const void *data, size_t size)
{
    attempts *a = ctx;
    ratoon__export *x = a->x;
    ratoon__arena arena = {0};
    ratoon__commit c;
    (void)position;
    (void)lineage;
    if (number > a->lineage->head) {
        return false;
    }
    x->status = ratoon__store_decode(x->store, data, size, &arena, &c, x->error);
    if (x->status == RATOON_OK) {
        for (size_t i = 0; x->status == RATOON_OK && i < c.events_count; i++) {
            const ratoon__event *e = &c.events[i];
            if (e->type == RATOON__EVENT_STAGE_STARTED) {
                (void)attempt_begin(a, e, c.time_us);
            } else if (e->type == RATOON__EVENT_STAGE_ENDED) {
                attempt_end(a, e, c.time_us, ratoon_stage_status_name(e->u.stage_ended.status),
                            &e->u.stage_ended.failure);
            } else if (e->type == RATOON__EVENT_STAGE_RETURNED) {
                const ratoon__failure *f = &e->u.stage_returned.failure;
                attempt_end(a, e, c.time_us,
                            f->error_class == RATOON_CLASS_INTERRUPTED ? "interrupted" : "failed",
                            f);
            } else if (e->type == RATOON__EVENT_RUN_ENDED) {
                run_end(a, e, c.time_us);
            }
        }
        ratoon__commit_release(&c);
    }
    ratoon__arena_free(&arena);
    return x->status == RATOON_OK;
}

void ratoon__export_attempts(ratoon__export *x, const ratoon__lineage *l,
                             void (*fn)(void *ctx, const ratoon__attempt *a), void *ctx)
{
    ratoon__driver *d = ratoon__store_driver(x->store);
    attempts a = {.x = x, .lineage = l, .fn = fn, .ctx = ctx};
    const ratoon_status status =
        d->ops->read(d, l->id, 1, true, false, attempts_commit, &a, x->error);
    ratoon__export_fail(x, status);
    for (size_t i = 0; x->status == RATOON_OK && i < a.count; i++) {
        give(&a, &a.open[i], 0, "running", NULL);
    }
    free(a.open);
}
