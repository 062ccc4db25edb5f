/* State of a run at a boundary, and the items of a stage, as handles that load values on demand. */
#include "core/decide_internal.h"
#include "log/digest.h"
#include "log/store.h"

#include <stdlib.h>
#include <string.h>

struct ratoon_state {
    ratoon_store *store;
    ratoon__lineage *lineage; /* keeps what the entries point to */
    const ratoon__run *run;
    ratoon__arena arena;
    ratoon__state_view view;
    ratoon_buffer *loaded; /* one per entry; bytes of those that are not inline */
};

void ratoon_state_free(ratoon_state *state)
{
    if (state == NULL) {
        return;
    }
    for (size_t i = 0; state->loaded != NULL && i < state->view.count; i++) {
        ratoon_buffer_free(&state->loaded[i]);
    }
    free(state->loaded);
    ratoon__arena_free(&state->arena);
    ratoon__lineage_unref(state->lineage);
    free(state);
}

static ratoon_status state_new(ratoon_store *store, ratoon_id run, ratoon_state **out,
                               ratoon_error *error)
{
    ratoon_state *state = calloc(1, sizeof *state);
    if (state == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    state->store = store;
    ratoon_status status = ratoon__store_run(store, run, &state->lineage, &state->run, error);
    if (status != RATOON_OK) {
        free(state);
        return status;
    }
    *out = state;
    return RATOON_OK;
}

/* The view is made: room for what is loaded, or everything is given back. */
static ratoon_status state_done(ratoon_state *state, ratoon_status status, ratoon_state **out,
                                ratoon_error *error)
{
    if (status == RATOON_OK) {
        state->loaded = calloc(state->view.count + 1, sizeof *state->loaded);
        if (state->loaded == NULL) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
    } else if (status == RATOON_ERR_NO_MEMORY) {
        (void)ratoon__fail(error, status, "out of memory");
    }
    if (status != RATOON_OK) {
        ratoon_state_free(state);
        return status;
    }
    *out = state;
    return RATOON_OK;
}

/* Replaces the present projection by the one right after an event (AT_EVENT). */
static ratoon_status go_to_event(ratoon_state *state, ratoon_id run, uint64_t event,
                                 ratoon_error *error)
{
    ratoon__lineage *then = NULL;
    ratoon_status status =
        ratoon__store_lineage_at(state->store, state->lineage, event, &then, error);
    if (status != RATOON_OK) {
        return status;
    }
    const ratoon__run *r = ratoon__lineage_run(then, run);
    if (r == NULL) {
        ratoon__lineage_unref(then);
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "at event %U the run %I was not there yet; it begins with event %U",
                            event, &run, state->run->fixed->created_event);
    }
    ratoon__lineage_unref(state->lineage);
    state->lineage = then;
    state->run = r;
    return RATOON_OK;
}

ratoon_status ratoon_state_at(ratoon_store *store, ratoon_id run, const char *boundary,
                              ratoon_state **out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon_state *state = NULL;
    ratoon__boundary at;
    ratoon_status status = state_new(store, run, &state, error);
    if (status != RATOON_OK) {
        return status;
    }
    status = ratoon__boundary_parse(state->run->pipeline, boundary, &at, error);
    if (status == RATOON_OK && at.kind == RATOON__AT_EVENT) {
        status = go_to_event(state, run, at.event, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__state_at(state->run, &at, &state->arena, &state->view);
    }
    return state_done(state, status, out, error);
}

ratoon_status ratoon_state_input(ratoon_store *store, ratoon_id run, const char *stage,
                                 ratoon_state **out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon_state *state = NULL;
    ratoon_status status = state_new(store, run, &state, error);
    if (status != RATOON_OK) {
        return status;
    }
    int32_t index = ratoon__pipeline_find(state->run->pipeline, stage);
    status = index < 0
                 ? ratoon__no_such_stage(state->run->pipeline, stage, error)
                 : ratoon__state_input(state->run, (uint32_t)index, &state->arena, &state->view);
    return state_done(state, status, out, error);
}

size_t ratoon_state_count(const ratoon_state *state)
{
    return state->view.count;
}

ratoon_status ratoon_state_get(ratoon_state *state, size_t i, ratoon_state_entry *out,
                               ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    if (i >= state->view.count) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "the state has %U entries; %U was asked for",
                            (uint64_t)state->view.count, (uint64_t)i);
    }
    const ratoon__state_entry *e = &state->view.entries[i];
    const ratoon__value *v = e->value;
    const void *data = v->data != NULL ? v->data : "";
    if (v->data == NULL && v->size > 0) {
        if (state->loaded[i].data == NULL) {
            ratoon_status status = ratoon__store_value(state->store, v, &state->loaded[i], error);
            if (status != RATOON_OK) {
                return status;
            }
        }
        data = state->loaded[i].data;
    }
    *out = (ratoon_state_entry){
        .key = v->key,
        .data = data,
        .size = (size_t)v->size,
        .media_type = v->media_type,
        .digest = v->digest,
        .run = e->run,
        .stage = e->stage >= 0 ? state->run->pipeline->stages[e->stage].pub.name : "",
        .attempt = e->attempt,
    };
    return RATOON_OK;
}

/* ---- items ---- */

struct ratoon_items {
    ratoon_store *store;
    ratoon__lineage *lineage;
    const ratoon__stage *stage;
    const ratoon__item **items; /* sorted by key */
    size_t count;
    ratoon_buffer loaded; /* output of the item asked for last */
};

void ratoon_items_free(ratoon_items *items)
{
    if (items != NULL) {
        ratoon_buffer_free(&items->loaded);
        ratoon__lineage_unref(items->lineage);
        free(items->items);
        free(items);
    }
}

static bool collect_item(void *ctx, const ratoon__item *item)
{
    ratoon_items *items = ctx;
    items->items[items->count++] = item;
    return true;
}

static int compare_items(const void *a, const void *b)
{
    const ratoon__item *const *x = a;
    const ratoon__item *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

ratoon_status ratoon_stage_items(ratoon_store *store, ratoon_id run, const char *stage,
                                 ratoon_items **out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon_items *items = calloc(1, sizeof *items);
    const ratoon__run *r = NULL;
    if (items == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    items->store = store;
    ratoon_status status = ratoon__store_run(store, run, &items->lineage, &r, error);
    if (status != RATOON_OK) {
        free(items);
        return status;
    }
    int32_t index = ratoon__pipeline_find(r->pipeline, stage);
    if (index < 0) {
        status = ratoon__no_such_stage(r->pipeline, stage, error);
    } else {
        items->stage = ratoon__run_stage_at(r, (uint32_t)index);
        uint64_t count = ratoon__items_count(items->stage->items);
        items->items = calloc((size_t)count + 1, sizeof *items->items);
        if (items->items == NULL) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
    }
    if (status != RATOON_OK) {
        ratoon_items_free(items);
        return status;
    }
    (void)ratoon__items_each(items->stage->items, collect_item, items);
    if (items->count > 0) {
        qsort(items->items, items->count, sizeof *items->items, compare_items);
    }
    *out = items;
    return RATOON_OK;
}

size_t ratoon_items_count(const ratoon_items *items)
{
    return items->count;
}

ratoon_status ratoon_items_get(ratoon_items *items, size_t i, ratoon_item *out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    if (i >= items->count) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "there are %U items; %U was asked for",
                            (uint64_t)items->count, (uint64_t)i);
    }
    const ratoon__item *item = items->items[i];
    ratoon_buffer output = {0};
    if (item->output != NULL) {
        ratoon_status status = ratoon__store_value(items->store, item->output, &output, error);
        if (status != RATOON_OK) {
            return status;
        }
        ratoon_buffer_free(&items->loaded);
        items->loaded = output;
    }
    *out = (ratoon_item){.key = item->key,
                         .failed = item->failed,
                         .committed = item->committed,
                         .output = output.data,
                         .output_size = output.size,
                         .error_class = item->error_class,
                         .error = item->error};
    return RATOON_OK;
}

int64_t ratoon_items_find(const ratoon_items *items, const char *key)
{
    size_t low = 0;
    size_t high = items->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(items->items[middle]->key, key);
        if (order == 0) {
            return (int64_t)middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return -1;
}

bool ratoon_items_wanted(const ratoon_items *items, const char *key)
{
    return ratoon__stage_item_wanted(items->stage, key);
}
