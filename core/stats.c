/* Adding up runs for statistics (Q04), and the sums as bytes:
 *
 *   8 bytes "RATOONT" 0x01, position, digest of the commit there, list of pipelines; of each: name,
 *   runs, counts by status and by depth, list of stages; of each: name and its numbers, in the
 * order of ratoon__stats_stage. In the terms of snapshot_io.h. */
#include "core/stats.h"

#include "core/snapshot_io.h"

#include <string.h>

static const uint8_t magic[8] = {'R', 'A', 'T', 'O', 'O', 'N', 'T', 1};

void ratoon__stats_free(ratoon__stats *t)
{
    ratoon__arena_free(&t->arena);
    *t = (ratoon__stats){0};
}

/* Room for one more element behind `count` of them. */
static void *grown(ratoon__arena *a, void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return items;
    }
    const size_t more = *capacity == 0 ? 8 : *capacity * 2;
    void *larger = ratoon__arena_alloc(a, more * size);
    if (larger != NULL) {
        if (count > 0) {
            memcpy(larger, items, count * size);
        }
        *capacity = more;
    }
    return larger;
}

/* The pipeline's sums; made where there are none. NULL: out of memory. */
static ratoon__stats_pipeline *pipeline_of(ratoon__stats *t, const char *name)
{
    size_t low = 0;
    size_t high = t->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(t->pipelines[middle].name, name);
        if (order == 0) {
            return &t->pipelines[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    ratoon__stats_pipeline *list =
        grown(&t->arena, t->pipelines, t->count, &t->capacity, sizeof *list);
    const char *copy = ratoon__arena_strdup(&t->arena, name);
    if (list == NULL || copy == NULL) {
        return NULL;
    }
    t->pipelines = list;
    memmove(&list[low + 1], &list[low], (t->count - low) * sizeof *list);
    list[low] = (ratoon__stats_pipeline){.name = copy};
    t->count++;
    return &list[low];
}

/* The stage's sums; definitions of one name differ little, so its index is tried first. */
static ratoon__stats_stage *stage_of(ratoon__stats *t, ratoon__stats_pipeline *p, size_t index,
                                     const char *name)
{
    if (index < p->stages_count && strcmp(p->stages[index].name, name) == 0) {
        return &p->stages[index];
    }
    for (size_t i = 0; i < p->stages_count; i++) {
        if (strcmp(p->stages[i].name, name) == 0) {
            return &p->stages[i];
        }
    }
    ratoon__stats_stage *list =
        grown(&t->arena, p->stages, p->stages_count, &p->stages_capacity, sizeof *list);
    const char *copy = ratoon__arena_strdup(&t->arena, name);
    if (list == NULL || copy == NULL) {
        return NULL;
    }
    p->stages = list;
    p->stages[p->stages_count] = (ratoon__stats_stage){.name = copy};
    return &p->stages[p->stages_count++];
}

/* ---- one run ---- */

static const ratoon__stage *stage_named(const ratoon__run *r, const char *name)
{
    const int32_t i = r == NULL ? -1 : ratoon__pipeline_find(r->pipeline, name);
    return i < 0 ? NULL : ratoon__run_stage_at(r, (uint32_t)i);
}

static bool is_good(const ratoon__stage *s)
{
    const ratoon_stage_status as = ratoon__stage_counts_as(s);
    return as == RATOON_STAGE_SUCCEEDED || as == RATOON_STAGE_DEGRADED;
}

/* How long the execution took that a reused stage spared. */
static uint64_t saved_by(const ratoon__lineage *l, const ratoon__stage *s, const char *name)
{
    if (s->status != RATOON_STAGE_REUSED) {
        return 0;
    }
    const ratoon__stage *of = stage_named(ratoon__lineage_run(l, s->reused_from), name);
    return of != NULL && of->ended_at > of->started_at && of->started_at > 0
               ? of->ended_at - of->started_at
               : 0;
}

static void add_stage(ratoon__stats_stage *sum, const ratoon__lineage *l, const ratoon__stage *s)
{
    const bool good = s->status == RATOON_STAGE_SUCCEEDED || s->status == RATOON_STAGE_DEGRADED;
    sum->executions += s->attempt;
    sum->running += s->status == RATOON_STAGE_RUNNING ? 1 : 0;
    sum->succeeded += good && s->attempt > 0 ? 1 : 0;
    for (size_t c = 0; c <= RATOON_CLASS_UNKNOWN; c++) {
        sum->failures[c] += s->tally.failures[c];
    }
    if (s->attempt > 1) {
        sum->retries += s->attempt - 1;
        sum->retries_that_helped += good ? 1 : 0;
    }
    sum->spent_us += s->tally.spent_us;
    sum->saved_us += saved_by(l, s, sum->name);
}

/* A branch is a retry of the stage it was asked for, unless that had succeeded: then it is a rerun
 * (R06), and there was nothing to help. */
static ratoon_status add_branch(ratoon__stats *t, ratoon__stats_pipeline *p,
                                const ratoon__lineage *l, const ratoon__run *r)
{
    const ratoon__run_created *c = &r->fixed->created;
    if (ratoon_id_is_zero(c->parent) || c->requested_stage < 0) {
        return RATOON_OK;
    }
    const char *name = c->pipeline->stages[c->requested_stage].pub.name;
    const ratoon__stage *was = stage_named(ratoon__lineage_run(l, c->parent), name);
    const ratoon__stage *is = stage_named(r, name);
    if (was == NULL || ratoon__stage_counts_as(was) == RATOON_STAGE_SUCCEEDED ||
        ratoon__stage_counts_as(was) == RATOON_STAGE_SKIPPED) {
        return RATOON_OK;
    }
    ratoon__stats_stage *sum = stage_of(t, p, (size_t)c->requested_stage, name);
    if (sum == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    sum->retries++;
    sum->retries_that_helped += is != NULL && is_good(is) ? 1 : 0;
    return RATOON_OK;
}

ratoon_status ratoon__stats_add(ratoon__stats *t, const ratoon__lineage *l, const ratoon__run *r)
{
    const uint32_t depth = r->fixed->created.depth;
    ratoon__stats_pipeline *p = pipeline_of(t, r->pipeline->name);
    if (p == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    p->runs++;
    p->by_status[r->status]++;
    p->depth[depth <= RATOON_DEPTH_MAX ? depth : RATOON_DEPTH_MAX]++;
    for (uint32_t i = 0; i < r->stages_count; i++) {
        ratoon__stats_stage *sum = stage_of(t, p, i, r->pipeline->stages[i].pub.name);
        if (sum == NULL) {
            return RATOON_ERR_NO_MEMORY;
        }
        add_stage(sum, l, ratoon__run_stage_at(r, i));
    }
    return add_branch(t, p, l, r);
}

/* ---- bytes ---- */

static void io_stage(ratoon__io *io, ratoon__stats_stage *s)
{
    ratoon__io_text(io, &s->name);
    ratoon__io_u64(io, &s->executions);
    ratoon__io_u64(io, &s->running);
    ratoon__io_u64(io, &s->succeeded);
    for (size_t c = 0; c <= RATOON_CLASS_UNKNOWN; c++) {
        ratoon__io_u64(io, &s->failures[c]);
    }
    ratoon__io_u64(io, &s->retries);
    ratoon__io_u64(io, &s->retries_that_helped);
    ratoon__io_u64(io, &s->spent_us);
    ratoon__io_u64(io, &s->saved_us);
}

static void io_pipeline(ratoon__io *io, ratoon__stats_pipeline *p)
{
    ratoon__io_text(io, &p->name);
    ratoon__io_u64(io, &p->runs);
    for (size_t i = 0; i <= RATOON_RUN_CANCELLED; i++) {
        ratoon__io_u64(io, &p->by_status[i]);
    }
    for (size_t i = 0; i <= RATOON_DEPTH_MAX; i++) {
        ratoon__io_u64(io, &p->depth[i]);
    }
    ratoon__io_count(io, &p->stages_count, 1);
}

static void read_pipeline(ratoon__io *io, ratoon__stats *t)
{
    ratoon__stats_pipeline read = {0};
    io_pipeline(io, &read);
    const size_t stages = read.stages_count;
    read.stages_count = 0;
    ratoon__stats_pipeline *p = ratoon__io_failed(io) ? NULL : pipeline_of(t, read.name);
    if (p == NULL || p->runs > 0) {
        io->damaged = true; /* twice the same name, too */
        return;
    }
    read.name = p->name;
    *p = read;
    for (size_t i = 0; i < stages && !ratoon__io_failed(io); i++) {
        ratoon__stats_stage stage = {0};
        io_stage(io, &stage);
        ratoon__stats_stage *s = ratoon__io_failed(io) ? NULL : stage_of(t, p, i, stage.name);
        if (s != NULL) {
            stage.name = s->name;
            *s = stage;
        }
        io->damaged = io->damaged || p->stages_count != i + 1;
    }
}

ratoon_status ratoon__stats_encode(const ratoon__stats *t, uint64_t position,
                                   const ratoon_digest *digest, ratoon__buf *out)
{
    ratoon__io io = {.out = out};
    ratoon_digest copy = *digest;
    size_t count = t->count;
    ratoon__buf_add(out, magic, sizeof magic);
    ratoon__io_u64(&io, &position);
    ratoon__io_digest(&io, &copy);
    ratoon__io_count(&io, &count, 1);
    for (size_t i = 0; i < count; i++) {
        ratoon__stats_pipeline p = t->pipelines[i];
        io_pipeline(&io, &p);
        for (size_t k = 0; k < p.stages_count; k++) {
            ratoon__stats_stage s = p.stages[k];
            io_stage(&io, &s);
        }
    }
    const bool failed = ratoon__io_failed(&io) || out->failed;
    ratoon__io_free(&io);
    return failed ? RATOON_ERR_NO_MEMORY : RATOON_OK;
}

ratoon_status ratoon__stats_decode(const void *data, size_t size, ratoon__stats *t,
                                   uint64_t *position, ratoon_digest *digest)
{
    ratoon__io io = {.at = data, .end = (const uint8_t *)data + size};
    uint8_t found[sizeof magic] = {0};
    size_t count = 0;
    *t = (ratoon__stats){0};
    ratoon__io_bytes(&io, found, sizeof found);
    io.damaged = io.damaged || memcmp(found, magic, sizeof magic) != 0;
    ratoon__io_u64(&io, position);
    ratoon__io_digest(&io, digest);
    ratoon__io_count(&io, &count, 1);
    for (size_t i = 0; i < count && !ratoon__io_failed(&io); i++) {
        read_pipeline(&io, t);
    }
    const bool good = !ratoon__io_failed(&io) && io.at == io.end && !t->arena.failed;
    ratoon__io_free(&io);
    if (!good) {
        ratoon__stats_free(t);
        return RATOON_ERR_DAMAGED;
    }
    return RATOON_OK;
}
