/* The state at a boundary, and what a stage receives (S02, R24). What a stage found out at run time
 * is an output like any other (S09). */
#include "core/objects.h"

#include <stdlib.h>
#include <string.h>

/* Something that a key was given at some time: a candidate for what it is. */
typedef struct candidate {
    const ratoon__value *value;
    const ratoon__outputs *from;
    uint32_t layer; /* 0: initial state; 1: edit; else 2 + place of the stage in the order */
    uint32_t place; /* within the outputs: of a key given twice the last one counts */
    int32_t stage;
} candidate;

typedef struct gathering {
    candidate *items;
    size_t count;
} gathering;

enum { LAYER_INITIAL = 0, LAYER_EDIT = 1, LAYER_STAGES = 2 };

static size_t size_of(const ratoon__outputs *o)
{
    size_t size = 0;
    for (; o != NULL; o = o->below) {
        size += o->count;
    }
    return size;
}

static void gather(gathering *g, const ratoon__outputs *o, uint32_t layer, int32_t stage)
{
    for (; o != NULL; o = o->below) {
        for (uint32_t i = 0; i < o->count; i++) {
            g->items[g->count++] = (candidate){o->values[i], o, layer, i, stage};
        }
    }
}

static int compare_numbers(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

/* By key; under a key by who overwrites whom. Outputs that lie below others are of older runs. */
static int compare(const void *a, const void *b)
{
    const candidate *left = a;
    const candidate *right = b;
    int order = strcmp(left->value->key, right->value->key);
    if (order == 0) {
        order = compare_numbers(left->layer, right->layer);
    }
    if (order == 0) {
        order = compare_numbers(left->from->number, right->from->number);
    }
    return order == 0 ? compare_numbers(left->place, right->place) : order;
}

/* The one that counts of a key's candidates, in order. An edit hides what runs before the one that
 * was created with it have put there; the last writer in topological order of the rest wins. */
static const candidate *winner(const candidate *c, size_t count)
{
    uint32_t edited_by = 0;
    const candidate *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (c[i].layer < LAYER_STAGES || c[i].from->number >= edited_by) {
            best = &c[i];
        }
        if (c[i].layer == LAYER_EDIT) {
            edited_by = c[i].from->number;
        }
    }
    return best;
}

static ratoon_status settle(const gathering *g, ratoon__arena *arena, ratoon__state_view *out)
{
    ratoon__state_entry *entries = ratoon__arena_alloc(arena, g->count * sizeof *entries);
    if (entries == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    size_t count = 0;
    size_t first = 0;
    for (size_t i = 1; i <= g->count; i++) {
        if (i < g->count && strcmp(g->items[i].value->key, g->items[first].value->key) == 0) {
            continue;
        }
        const candidate *c = winner(g->items + first, i - first);
        entries[count++] =
            (ratoon__state_entry){c->value, c->from->run, c->stage, c->from->attempt};
        first = i;
    }
    *out = (ratoon__state_view){entries, count};
    return RATOON_OK;
}

/* State from the initial one, the edits and the stages of a set. */
static ratoon_status overlay(const ratoon__run *r, const uint64_t *set, ratoon__arena *arena,
                             ratoon__state_view *out)
{
    const ratoon__edits *edits = r->fixed->edits;
    size_t size = size_of(r->fixed->initial);
    for (uint32_t i = 0; edits != NULL && i < edits->count; i++) {
        size += size_of(edits->layers[i]);
    }
    for (uint32_t i = 0; i < r->stages_count; i++) {
        size += ratoon__set_has(set, i) ? size_of(ratoon__run_stage_at(r, i)->outputs) : 0;
    }
    gathering g = {malloc((size + 1) * sizeof *g.items), 0};
    if (g.items == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    gather(&g, r->fixed->initial, LAYER_INITIAL, -1);
    for (uint32_t i = 0; edits != NULL && i < edits->count; i++) {
        gather(&g, edits->layers[i], LAYER_EDIT, -1);
    }
    for (uint32_t i = 0; i < r->stages_count; i++) {
        const uint32_t stage = r->pipeline->order[i];
        if (ratoon__set_has(set, stage)) {
            gather(&g, ratoon__run_stage_at(r, stage)->outputs, LAYER_STAGES + i, (int32_t)stage);
        }
    }
    qsort(g.items, g.count, sizeof *g.items, compare);
    ratoon_status status = RATOON_OK;
    if (g.count == 0) {
        *out = (ratoon__state_view){ratoon__arena_alloc(arena, 0), 0};
        status = out->entries == NULL ? RATOON_ERR_NO_MEMORY : RATOON_OK;
    } else {
        status = settle(&g, arena, out);
    }
    free(g.items);
    return status;
}

/* Every stage but this one and what is downstream of it. */
static void add_near_side(const ratoon_pipeline *p, uint32_t stage, uint64_t *set)
{
    for (uint32_t i = 0; i < p->stages_count; i++) {
        if (i != stage && !ratoon__pipeline_is_ancestor(p, stage, i)) {
            ratoon__set_add(set, i);
        }
    }
}

ratoon_status ratoon__state_at(const ratoon__run *r, const ratoon__boundary *at,
                               ratoon__arena *arena, ratoon__state_view *out)
{
    if ((at->kind == RATOON__AT_BEFORE || at->kind == RATOON__AT_AFTER) &&
        at->stage >= r->stages_count) {
        return RATOON_ERR_NO_SUCH_STAGE;
    }
    uint64_t *set = ratoon__set_new(arena, r->pipeline);
    if (set == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    switch (at->kind) {
    case RATOON__AT_START:
        break;
    case RATOON__AT_END:
    case RATOON__AT_EVENT:
        for (uint32_t i = 0; i < r->stages_count; i++) {
            ratoon__set_add(set, i);
        }
        break;
    case RATOON__AT_BEFORE:
        add_near_side(r->pipeline, at->stage, set);
        break;
    case RATOON__AT_AFTER:
        add_near_side(r->pipeline, at->stage, set);
        ratoon__set_add(set, at->stage);
        break;
    }
    return overlay(r, set, arena, out);
}

ratoon_status ratoon__state_input(const ratoon__run *r, uint32_t stage, ratoon__arena *arena,
                                  ratoon__state_view *out)
{
    if (stage >= r->stages_count) {
        return RATOON_ERR_NO_SUCH_STAGE;
    }
    return overlay(r, r->pipeline->ancestors + (size_t)stage * r->pipeline->row_words, arena, out);
}

static int compare_key(const void *key, const void *entry)
{
    return strcmp(key, ((const ratoon__state_entry *)entry)->value->key);
}

const ratoon__state_entry *ratoon__state_find(const ratoon__state_view *v, const char *key)
{
    return v->count == 0 ? NULL
                         : bsearch(key, v->entries, v->count, sizeof *v->entries, compare_key);
}
