/* Required keys: who needs what, who provides it (S04). */
#include "core/decide_internal.h"

#include <string.h>

size_t ratoon__required_count(const ratoon__stage_def *def)
{
    return def->pub.requires_count + (def->pub.foreach_key == NULL ? 0 : 1);
}

const char *ratoon__required_key(const ratoon__stage_def *def, size_t i)
{
    return i < def->pub.requires_count ? def->pub.requires_keys[i] : def->pub.foreach_key;
}

static bool layer_has(const ratoon__outputs *o, const char *key)
{
    return o != NULL && ratoon__outputs_find(o, key) != NULL;
}

static bool ancestor_has(const ratoon__run *r, uint32_t ancestor, uint32_t stage, const char *key)
{
    return ratoon__pipeline_is_ancestor(r->pipeline, ancestor, stage) &&
           layer_has(ratoon__run_stage_at(r, ancestor)->outputs, key);
}

bool ratoon__key_received(const ratoon__run *r, uint32_t stage, const char *key)
{
    if (layer_has(r->fixed->initial, key)) {
        return true;
    }
    const ratoon__edits *edits = r->fixed->edits;
    for (uint32_t i = 0; edits != NULL && i < edits->count; i++) {
        if (layer_has(edits->layers[i], key)) {
            return true;
        }
    }
    /* Most keys come from where they are declared; others from any stage. */
    size_t count = 0;
    const ratoon__producer *producers = ratoon__pipeline_producers(r->pipeline, key, &count);
    for (size_t i = 0; i < count; i++) {
        if (ancestor_has(r, producers[i].stage, stage, key)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < r->stages_count; i++) {
        if (ancestor_has(r, i, stage, key)) {
            return true;
        }
    }
    return false;
}

bool ratoon__declares(const ratoon__stage_def *def, const char *key)
{
    for (size_t i = 0; i < def->pub.produces_count; i++) {
        if (strcmp(def->pub.produces_keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

int32_t ratoon__key_producer(const ratoon_pipeline *p, uint32_t stage, const char *key)
{
    int32_t found = -1;
    for (size_t n = 0; n < p->stages_count; n++) {
        const uint32_t i = p->order[n];
        if (i == stage || !ratoon__declares(&p->stages[i], key)) {
            continue;
        }
        if (ratoon__pipeline_is_ancestor(p, i, stage)) {
            return (int32_t)i;
        }
        found = found < 0 ? (int32_t)i : found;
    }
    return found;
}

void ratoon__buf_missing(ratoon__buf *b, const ratoon__missing_key *missing, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ratoon__buf_format(b, "%s%s", i == 0 ? "" : ", ", missing[i].key);
        if (missing[i].produced_by != NULL) {
            ratoon__buf_format(b, " (produced by %s)", missing[i].produced_by);
        } else {
            ratoon__buf_str(b, " (no stage declares producing it)");
        }
    }
}

static bool listed(const ratoon__missing_key *missing, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(missing[i].key, key) == 0) {
            return true;
        }
    }
    return false;
}

ratoon_status ratoon__keys_missing(const ratoon__run *r, uint32_t stage, ratoon__arena *arena,
                                   ratoon__missing_key **out, size_t *count)
{
    const ratoon__stage_def *def = &r->pipeline->stages[stage];
    const size_t required = ratoon__required_count(def);
    ratoon__missing_key *missing = ratoon__arena_alloc(arena, required * sizeof *missing);
    if (missing == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    size_t n = 0;
    for (size_t i = 0; i < required; i++) {
        const char *key = ratoon__required_key(def, i);
        if (listed(missing, n, key) || ratoon__key_received(r, stage, key)) {
            continue;
        }
        const int32_t producer = ratoon__key_producer(r->pipeline, stage, key);
        missing[n++] = (ratoon__missing_key){
            .key = key,
            .required_by = def->pub.name,
            .produced_by =
                producer < 0 ? NULL : ratoon__stage_name(r->pipeline, (uint32_t)producer)};
    }
    *out = missing;
    *count = n;
    return RATOON_OK;
}
