/* What the first event of a run says, kept with the run for good. */
#include "core/objects.h"

#include "core/refs.h"

#include <stdlib.h>
#include <string.h>

/* An array in the arena; NULL for none. */
static void *copy_array(ratoon__arena *a, const void *from, size_t count, size_t size)
{
    return count == 0 ? NULL : ratoon__arena_memdup(a, from, count * size);
}

static ratoon__value_ref copy_value(ratoon__arena *a, const ratoon__value_ref *from)
{
    ratoon__value_ref to = *from;
    to.key = ratoon__arena_strdup(a, from->key);
    to.media_type = ratoon__arena_strdup(a, from->media_type);
    if (from->data != NULL) {
        to.data = ratoon__arena_memdup(a, from->data, (size_t)from->size);
    }
    return to;
}

static ratoon__values copy_values(ratoon__arena *a, ratoon__values from)
{
    ratoon__value_ref *items = copy_array(a, from.items, from.count, sizeof *items);
    for (size_t i = 0; items != NULL && i < from.count; i++) {
        items[i] = copy_value(a, &from.items[i]);
    }
    return (ratoon__values){items, items == NULL ? 0 : from.count};
}

static const ratoon__param *copy_params(ratoon__arena *a, const ratoon__param *from, size_t count)
{
    ratoon__param *to = copy_array(a, from, count, sizeof *to);
    for (size_t i = 0; to != NULL && i < count; i++) {
        to[i].name = ratoon__arena_strdup(a, from[i].name);
        to[i].text = ratoon__arena_strdup(a, from[i].text);
    }
    return to;
}

static const ratoon_pair *copy_labels(ratoon__arena *a, const ratoon_pair *from, size_t count)
{
    ratoon_pair *to = copy_array(a, from, count, sizeof *to);
    for (size_t i = 0; to != NULL && i < count; i++) {
        to[i].name = ratoon__arena_strdup(a, from[i].name);
        to[i].value = ratoon__arena_strdup(a, from[i].value);
    }
    return to;
}

static const ratoon__override *copy_overrides(ratoon__arena *a, const ratoon__override *from,
                                              size_t count)
{
    ratoon__override *to = copy_array(a, from, count, sizeof *to);
    for (size_t i = 0; to != NULL && i < count; i++) {
        to[i].name = ratoon__arena_strdup(a, from[i].name);
        to[i].old_text = ratoon__arena_strdup(a, from[i].old_text);
        to[i].new_text = ratoon__arena_strdup(a, from[i].new_text);
    }
    return to;
}

static const ratoon__edit *copy_edits(ratoon__arena *a, const ratoon__edit *from, size_t count)
{
    ratoon__edit *to = copy_array(a, from, count, sizeof *to);
    for (size_t i = 0; to != NULL && i < count; i++) {
        to[i].value = copy_value(a, &from[i].value);
    }
    return to;
}

static const char *const *copy_strings(ratoon__arena *a, const char *const *from, size_t count)
{
    const char **to = copy_array(a, from, count, sizeof *to);
    for (size_t i = 0; to != NULL && i < count; i++) {
        to[i] = ratoon__arena_strdup(a, from[i]);
    }
    return to;
}

static const ratoon__stage_plan *copy_plans(ratoon__arena *a, const ratoon__stage_plan *from,
                                            size_t count)
{
    ratoon__stage_plan *to = copy_array(a, from, count, sizeof *to);
    for (size_t i = 0; to != NULL && i < count; i++) {
        to[i].listed = copy_strings(a, from[i].listed, from[i].listed_count);
        to[i].kept = copy_strings(a, from[i].kept, from[i].kept_count);
    }
    return to;
}

void ratoon__created_copy(ratoon__run_created *to, const ratoon__run_created *from,
                          ratoon__arena *a)
{
    *to = *from;
    to->pipeline_name = ratoon__arena_strdup(a, from->pipeline_name);
    to->base_dir = ratoon__arena_strdup(a, from->base_dir);
    to->file = ratoon__arena_strdup(a, from->file);
    to->subject = ratoon__arena_strdup(a, from->subject);
    to->scope = ratoon__arena_strdup(a, from->scope);
    to->external_ref = ratoon__arena_strdup(a, from->external_ref);
    to->actor = ratoon__arena_strdup(a, from->actor);
    to->reason = ratoon__arena_strdup(a, from->reason);
    to->cause = ratoon__arena_strdup(a, from->cause);
    to->key = ratoon__arena_strdup(a, from->key);
    to->boundary = ratoon__arena_strdup(a, from->boundary);
    to->params = copy_params(a, from->params, from->params_count);
    to->state = copy_values(a, from->state);
    to->labels = copy_labels(a, from->labels, from->labels_count);
    to->overrides = copy_overrides(a, from->overrides, from->overrides_count);
    to->edits = copy_edits(a, from->edits, from->edits_count);
    to->rerun_set = copy_array(a, from->rerun_set, from->rerun_set_count, sizeof *from->rerun_set);
    to->plans = copy_plans(a, from->plans, from->plans_count);
}

/* The layer that this run's edits make; partial outputs that were included (S03) lie below explicit
 * edits of the same key, so they come first. */
static ratoon__outputs *edit_layer(const ratoon__run_created *created, const ratoon__origin *origin)
{
    ratoon__value_ref *values = malloc(created->edits_count * sizeof *values);
    if (values == NULL) {
        return NULL;
    }
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < created->edits_count; i++) {
            if (created->edits[i].partial == (pass == 0)) {
                values[count++] = created->edits[i].value;
            }
        }
    }
    ratoon__outputs *layer = ratoon__outputs_new(origin, (ratoon__values){values, count}, NULL);
    free(values);
    return layer;
}

static bool set_edits(ratoon__run_static *s, const ratoon__run *parent)
{
    const ratoon__edits *inherited = parent == NULL ? NULL : parent->fixed->edits;
    if (s->created.edits_count == 0) {
        s->edits = ratoon__edits_ref(inherited);
        return true;
    }
    const ratoon__origin origin = {s->id, s->created.number, 0};
    ratoon__outputs *layer = edit_layer(&s->created, &origin);
    s->edits = layer == NULL ? NULL : ratoon__edits_new(inherited, layer);
    if (s->edits == NULL) {
        ratoon__outputs_unref(layer);
    }
    return s->edits != NULL;
}

static bool set_initial(ratoon__run_static *s, const ratoon__run *parent)
{
    if (parent != NULL) {
        s->initial = ratoon__outputs_ref(parent->fixed->initial);
        return true;
    }
    const ratoon__origin origin = {s->id, s->created.number, 0};
    s->initial = ratoon__outputs_new(&origin, s->created.state, NULL);
    return s->initial != NULL;
}

ratoon__run_static *ratoon__static_new(const ratoon__run_created *created, ratoon_id id,
                                       uint64_t created_at, uint64_t created_event,
                                       const ratoon__run *parent)
{
    ratoon__run_static *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    atomic_init(&s->refs, 1);
    s->id = id;
    s->created_at = created_at;
    s->created_event = created_event;
    ratoon__created_copy(&s->created, created, &s->arena);
    s->created.pipeline = ratoon__pipeline_ref(created->pipeline);
    if (s->arena.failed || !set_initial(s, parent) || !set_edits(s, parent)) {
        ratoon__static_unref(s);
        return NULL;
    }
    return s;
}

ratoon__run_static *ratoon__static_ref(const ratoon__run_static *s)
{
    ratoon__run_static *shared = (ratoon__run_static *)(uintptr_t)s;
    ratoon__refs_add(&shared->refs);
    return shared;
}

void ratoon__static_unref(ratoon__run_static *s)
{
    if (s == NULL || !ratoon__refs_drop(&s->refs)) {
        return;
    }
    ratoon__outputs_unref(s->initial);
    ratoon__edits_unref(s->edits);
    /* The definition was referenced when the object was made. */
    ratoon__pipeline_unref((ratoon_pipeline *)(uintptr_t)s->created.pipeline);
    ratoon__arena_free(&s->arena);
    free(s);
}
