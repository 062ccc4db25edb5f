/* Appending what an import has checked and put aside: lineage by lineage, in groups. */
#include "replay/import.h"
#include "replay/verify.h"

#include "log/codec.h"

#include <stdlib.h>
#include <string.h>

#define GROUP_COMMITS_MAX 1024
#define GROUP_BYTES_MAX (16u << 20)
#define GROUP_LINEAGE_MAX (128u << 20) /* a lineage goes in whole up to this */

typedef struct group {
    ratoon__import *im;
    ratoon__arena arena; /* of the decoded commits, and their values' bytes in `loaded` */
    ratoon__foreign_commit *items;
    ratoon__commit *commits;
    size_t count, capacity, bytes, values;
    void **loaded;
    size_t loaded_count, loaded_capacity;
    ratoon__lineage *before;  /* what is there already */
    ratoon__lineage *lineage; /* folded so far */
    size_t lineage_bytes;
    struct captured {
        ratoon_id run;
        uint64_t commit; /* the last one with captured output */
    } * captured;        /* of the group */
    size_t captured_count, captured_capacity;
    ratoon_id *executors; /* of runs that nobody executes any more */
    size_t executors_count;
} group;

static void group_clear(group *g)
{
    for (size_t i = 0; i < g->count; i++) {
        ratoon__lineage_unref((ratoon__lineage *)(uintptr_t)g->items[i].before);
        ratoon__lineage_unref((ratoon__lineage *)(uintptr_t)g->items[i].after);
        ratoon__commit_release(&g->commits[i]);
    }
    for (size_t i = 0; i < g->loaded_count; i++) {
        free(g->loaded[i]);
    }
    ratoon__arena_free(&g->arena);
    g->count = 0;
    g->captured_count = 0;
    g->loaded_count = 0;
    g->bytes = 0;
    g->values = 0;
}

static ratoon_status group_flush(group *g)
{
    ratoon_imported *result = &g->im->result;
    const ratoon_status status =
        ratoon__store_append_foreign(g->im->store, g->items, g->count, g->im->error);
    for (size_t i = 0; status == RATOON_OK && i < g->count; i++) {
        result->commits++;
        result->values += g->items[i].values_count;
        result->lineages += g->items[i].after != NULL ? 1 : 0;
    }
    for (size_t i = 0; status == RATOON_OK && i < g->captured_count; i++) {
        ratoon__capture_mark_elsewhere(ratoon_store_path(g->im->store), g->captured[i].run,
                                       g->captured[i].commit);
    }
    group_clear(g);
    return status;
}

static bool group_reserve(group *g)
{
    if (g->count == g->capacity) {
        const size_t capacity = g->capacity == 0 ? 64 : g->capacity * 2;
        ratoon__foreign_commit *items = realloc(g->items, capacity * sizeof *items);
        g->items = items != NULL ? items : g->items;
        ratoon__commit *commits = realloc(g->commits, capacity * sizeof *commits);
        g->commits = commits != NULL ? commits : g->commits;
        if (items == NULL || commits == NULL) {
            return false;
        }
        for (size_t i = 0; i < g->count; i++) {
            items[i].commit = &commits[i];
        }
        g->capacity = capacity;
    }
    return true;
}

/* Bytes put aside, kept until the group is appended. */
static ratoon_status group_load(group *g, uint64_t offset, uint64_t size, void **out)
{
    if (g->loaded_count == g->loaded_capacity) {
        const size_t capacity = g->loaded_capacity == 0 ? 64 : g->loaded_capacity * 2;
        void **larger = realloc(g->loaded, capacity * sizeof *larger);
        if (larger == NULL) {
            return ratoon__import_no_memory(g->im);
        }
        g->loaded = larger;
        g->loaded_capacity = capacity;
    }
    const ratoon_status status = ratoon__spool_get(g->im, offset, size, out);
    if (status == RATOON_OK) {
        g->loaded[g->loaded_count++] = *out;
        g->bytes += (size_t)size;
    }
    return status;
}

typedef struct gathering {
    group *g;
    ratoon__stored_value *values; /* in the arena */
    size_t count, capacity;
    ratoon_status status;
} gathering;

static void gather(void *ctx, const ratoon_digest *digest, uint64_t size)
{
    gathering *c = ctx;
    ratoon__import_value *v = ratoon__import_value_find(c->g->im, digest);
    void *data = NULL;
    (void)size;
    if (c->status != RATOON_OK || v == NULL || v->appended) {
        return;
    }
    if (c->count == c->capacity) {
        const size_t capacity = c->capacity == 0 ? 8 : c->capacity * 2;
        ratoon__stored_value *larger = ratoon__arena_alloc(&c->g->arena, capacity * sizeof *larger);
        if (larger == NULL) {
            c->status = ratoon__import_no_memory(c->g->im);
            return;
        }
        if (c->count > 0) {
            memcpy(larger, c->values, c->count * sizeof *larger);
        }
        c->values = larger;
        c->capacity = capacity;
    }
    c->status = group_load(c->g, v->offset, v->size, &data);
    if (c->status == RATOON_OK) {
        c->values[c->count++] =
            (ratoon__stored_value){.digest = *digest, .data = data, .size = (size_t)v->size};
        v->appended = true;
    }
}

static bool has_capture(const ratoon__event *e)
{
    return (e->type == RATOON__EVENT_ITEM_ENDED && e->u.item.capture.present) ||
           (e->type == RATOON__EVENT_STAGE_ENDED && e->u.stage_ended.capture.present) ||
           (e->type == RATOON__EVENT_STAGE_RETURNED && e->u.stage_returned.capture.present);
}

/* Runs whose captured output stays behind. */
static ratoon_status note_captured(group *g, const ratoon__commit *c)
{
    for (size_t i = 0; i < c->events_count; i++) {
        const ratoon_id run = c->events[i].run;
        struct captured *last = g->captured_count > 0 ? &g->captured[g->captured_count - 1] : NULL;
        if (!has_capture(&c->events[i])) {
            continue;
        }
        if (last != NULL && ratoon_id_equal(last->run, run)) {
            last->commit = c->number;
            continue;
        }
        if (g->captured_count == g->captured_capacity) {
            const size_t capacity = g->captured_capacity == 0 ? 16 : g->captured_capacity * 2;
            struct captured *larger = realloc(g->captured, capacity * sizeof *larger);
            if (larger == NULL) {
                return ratoon__import_no_memory(g->im);
            }
            g->captured = larger;
            g->captured_capacity = capacity;
        }
        g->captured[g->captured_count++] = (struct captured){run, c->number};
    }
    return RATOON_OK;
}

/* Executors of runs that are active in what was imported; each once. */
static ratoon_status note_executors(group *g, const ratoon__lineage *l)
{
    for (uint32_t i = 0; i < l->runs_count; i++) {
        const ratoon__run *r = l->runs[i];
        bool known = r->status != RATOON_RUN_RUNNING && r->status != RATOON_RUN_CANCELLING;
        for (size_t k = g->executors_count; !known && k-- > 0;) {
            known = ratoon_id_equal(g->executors[k], r->executor);
        }
        if (known) {
            continue;
        }
        ratoon_id *larger = realloc(g->executors, (g->executors_count + 1) * sizeof *larger);
        if (larger == NULL) {
            return ratoon__import_no_memory(g->im);
        }
        g->executors = larger;
        g->executors[g->executors_count++] = r->executor;
    }
    return RATOON_OK;
}

/* The projection that the first commit to be appended of a lineage follows. */
static ratoon_status lineage_begin(group *g, const ratoon__import_commit *c)
{
    ratoon_status status = RATOON_OK;
    ratoon__import *im = g->im;
    g->lineage_bytes = 0;
    if (c->number == 1) {
        g->lineage = ratoon__lineage_new(c->lineage);
        return g->lineage == NULL ? ratoon__import_no_memory(im) : RATOON_OK;
    }
    status = ratoon__store_lineage(im->store, c->lineage, &g->lineage, im->error);
    if (status == RATOON_OK && g->lineage->head != c->number - 1) {
        status = ratoon__fail(im->error, RATOON_ERR_CONFLICT,
                              "lineage %I changed while it was being imported", &c->lineage);
        ratoon__hint(im->error, "import again: what is there already is skipped");
    }
    if (status == RATOON_OK) {
        g->before = ratoon__lineage_ref(g->lineage);
    }
    return status;
}

static ratoon_status group_add(group *g, const ratoon__import_commit *c)
{
    ratoon__import *im = g->im;
    void *data = NULL;
    ratoon_digest digest;
    ratoon__lineage *next = NULL;
    gathering values = {.g = g};
    im->line = c->line;
    if (!group_reserve(g)) {
        return ratoon__import_no_memory(im);
    }
    ratoon__commit *commit = &g->commits[g->count];
    ratoon_status status = g->lineage == NULL ? lineage_begin(g, c) : RATOON_OK;
    if (status == RATOON_OK) {
        status = group_load(g, c->offset, c->size, &data);
    }
    if (status == RATOON_OK) {
        status = ratoon__commit_decode(data, (size_t)c->size, &g->arena, commit, im->error);
    }
    if (status == RATOON_OK) {
        status = ratoon__import_resolve(im, commit);
    }
    if (status != RATOON_OK) {
        return status;
    }
    g->items[g->count++] =
        (ratoon__foreign_commit){.commit = commit, .data = data, .size = (size_t)c->size};
    status = ratoon__sha256(data, (size_t)c->size, &digest);
    if (status == RATOON_OK) {
        status = ratoon__fold(g->lineage, commit, &digest, &next, im->error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    ratoon__lineage_unref(g->lineage);
    g->lineage = next;
    g->lineage_bytes += (size_t)c->size;
    ratoon__commit_stored(commit, gather, &values);
    ratoon__foreign_commit *item = &g->items[g->count - 1];
    item->values = values.values;
    item->values_count = values.count;
    if (values.status == RATOON_OK) {
        values.status = note_captured(g, commit);
    }
    if (values.status == RATOON_OK && c->last) {
        values.status = note_executors(g, g->lineage);
        item->before = g->before;
        item->after = g->lineage;
        item->lineage_size = g->lineage_bytes;
        g->before = g->lineage = NULL;
    }
    return values.status;
}

/* A lineage goes in with one batch unless it is very large, so that a crash leaves all or none of
 * it: a part would be taken for interrupted runs, and could not be continued by another import. */
ratoon_status ratoon__import_append(ratoon__import *im)
{
    group g = {.im = im};
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; status == RATOON_OK && i < im->commits_count; i++) {
        const bool last = im->commits[i].last;
        status = group_add(&g, &im->commits[i]);
        const bool full = g.count >= GROUP_COMMITS_MAX || g.bytes >= GROUP_BYTES_MAX;
        if (status == RATOON_OK && ((last && full) || g.bytes >= GROUP_LINEAGE_MAX)) {
            status = group_flush(&g);
        }
    }
    if (status == RATOON_OK && g.count > 0) {
        status = group_flush(&g);
    }
    for (size_t i = 0; status == RATOON_OK && i < g.executors_count; i++) {
        status = ratoon__store_recover(im->store, g.executors[i], im->error);
    }
    group_clear(&g);
    ratoon__lineage_unref(g.before);
    ratoon__lineage_unref(g.lineage);
    free(g.items);
    free(g.commits);
    free(g.loaded);
    free(g.captured);
    free(g.executors);
    return status;
}
