/* Results of items (R13, R14, S06). */
#include "core/decide_internal.h"

#include <string.h>

typedef ratoon__applying applying;

static ratoon_status check_item(const applying *a, uint32_t stage, const ratoon_item_result *item)
{
    ratoon_status status = ratoon__item_key_check(item->key, a->error);
    if (status != RATOON_OK) {
        return status;
    }
    if (!item->failed) {
        return RATOON_OK;
    }
    const char *name = ratoon__stage_name(a->run->pipeline, stage);
    if (item->committed) {
        return ratoon__fail(a->error, RATOON_ERR_USAGE,
                            "item '%s' of stage %s can't be failed and committed at once",
                            item->key, name);
    }
    const ratoon__item *known =
        ratoon__items_get(ratoon__run_stage_at(a->run, stage)->items, item->key);
    if (known != NULL && known->committed) {
        const ratoon_id id = a->run->fixed->id;
        (void)ratoon__fail(a->error, RATOON_ERR_ILLEGAL_TRANSITION,
                           "run %I: item '%s' of stage %s is committed and can't become failed",
                           &id, item->key, name);
        return ratoon__about(a->error, RATOON_ERR_ILLEGAL_TRANSITION, id, name);
    }
    return RATOON_OK;
}

/* Recorded items and new ones together stay within the limit. */
static ratoon_status check_count(const applying *a, uint32_t stage)
{
    const ratoon__item_map *items = ratoon__run_stage_at(a->run, stage)->items;
    uint64_t total = ratoon__items_count(items);
    for (size_t i = 0; i < a->pub->items_count; i++) {
        if (ratoon__items_get(items, a->pub->items[i].key) == NULL) {
            total++;
        }
    }
    return ratoon__total_check(a->pub->stage, total, a->error);
}

/* A value of the projection in a form that outlives it. */
static bool value_copy(const ratoon__value *v, ratoon__arena *arena, ratoon__value_ref *out)
{
    *out = (ratoon__value_ref){
        .key = ratoon__arena_strdup(arena, v->key == NULL ? "" : v->key),
        .media_type = ratoon__arena_strdup(arena, v->media_type),
        .digest = v->digest,
        .size = v->size,
        .data = v->data == NULL ? NULL : ratoon__arena_memdup(arena, v->data, (size_t)v->size),
    };
    return !arena->failed;
}

static ratoon_status add_item(applying *a, uint32_t stage, size_t index)
{
    const ratoon_item_result *item = &a->pub->items[index];
    const ratoon__item *known =
        ratoon__items_get(ratoon__run_stage_at(a->run, stage)->items, item->key);
    ratoon__event *e = ratoon__decision_add(a->out, RATOON__EVENT_ITEM_ENDED, a->run->fixed->id);
    if (e == NULL) {
        return ratoon__no_memory(a->error);
    }
    e->u.item.stage = stage;
    e->u.item.attempt = a->pub->attempt;
    e->u.item.key = item->key;
    e->u.item.failed = item->failed;
    /* R14: what a committing stage has done is committed; and once committed stays so. */
    e->u.item.committed =
        !item->failed && (item->committed || a->run->pipeline->stages[stage].pub.commits ||
                          (known != NULL && known->committed));
    if (item->failed) {
        e->u.item.error_class =
            item->error_class == RATOON_CLASS_NONE ? RATOON_CLASS_UNKNOWN : item->error_class;
        e->u.item.error = item->error;
    }
    if (item->capture != NULL) {
        e->u.item.capture = (ratoon__capture){.present = true, .c = *item->capture};
    }
    const ratoon__value_ref *outputs = a->op->item_outputs;
    if (outputs != NULL && (outputs[index].data != NULL || outputs[index].size > 0)) {
        e->u.item.has_output = true;
        e->u.item.output = outputs[index];
    } else if (!item->failed && known != NULL && !known->failed && known->output != NULL) {
        /* "committed" after "done": the output reported before stays. */
        e->u.item.has_output = true;
        if (!value_copy(known->output, a->out->arena, &e->u.item.output)) {
            return ratoon__no_memory(a->error);
        }
    }
    return RATOON_OK;
}

ratoon_status ratoon__apply_items(applying *a, uint32_t stage)
{
    for (size_t i = 0; i < a->pub->items_count; i++) {
        ratoon_status status = check_item(a, stage, &a->pub->items[i]);
        if (status != RATOON_OK) {
            return status;
        }
    }
    ratoon_status status = check_count(a, stage);
    for (size_t i = 0; status == RATOON_OK && i < a->pub->items_count; i++) {
        status = add_item(a, stage, i);
    }
    return status;
}
