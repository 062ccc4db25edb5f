/* Look-ups in a definition: stages by name, and by the keys they declare. Made once, when it is
 * checked, and from it alone. */
#include "core/pipeline.h"

#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name != '\0'; name++) {
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    }
    return hash ^ hash >> 15;
}

static bool index_names(ratoon_pipeline *draft)
{
    size_t places = 2; /* never more than half full */
    while (places < 2 * draft->stages_count) {
        places *= 2;
    }
    uint32_t *by_name = ratoon__arena_alloc(&draft->arena, places * sizeof *by_name);
    if (by_name == NULL) {
        return false;
    }
    const uint32_t mask = (uint32_t)places - 1;
    for (uint32_t i = 0; i < draft->stages_count; i++) {
        uint32_t at = hash_of(draft->stages[i].pub.name) & mask;
        while (by_name[at] != 0) {
            at = (at + 1) & mask;
        }
        by_name[at] = i + 1;
    }
    draft->by_name_mask = mask;
    draft->by_name = by_name;
    return true;
}

static int compare_producers(const void *a, const void *b)
{
    const ratoon__producer *left = a;
    const ratoon__producer *right = b;
    const int order = strcmp(left->key, right->key);
    return order != 0 ? order : (left->stage > right->stage) - (left->stage < right->stage);
}

static bool index_producers(ratoon_pipeline *draft)
{
    size_t count = 0;
    for (uint32_t i = 0; i < draft->stages_count; i++) {
        count += draft->stages[i].pub.produces_count;
    }
    ratoon__producer *producers = ratoon__arena_alloc(&draft->arena, count * sizeof *producers);
    if (producers == NULL) {
        return false;
    }
    size_t n = 0;
    for (uint32_t i = 0; i < draft->stages_count; i++) {
        const ratoon_stage_def *s = &draft->stages[i].pub;
        for (size_t k = 0; k < s->produces_count; k++) {
            producers[n++] = (ratoon__producer){s->produces_keys[k], i};
        }
    }
    qsort(producers, count, sizeof *producers, compare_producers);
    draft->producers = producers;
    draft->producers_count = count;
    return true;
}

bool ratoon__pipeline_index(ratoon_pipeline *draft)
{
    return index_names(draft) && index_producers(draft);
}

static int32_t find_in_draft(const ratoon_pipeline *p, const char *stage)
{
    for (size_t i = 0; i < p->stages_count; i++) {
        if (strcmp(p->stages[i].pub.name, stage) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

int32_t ratoon__pipeline_find(const ratoon_pipeline *p, const char *stage)
{
    if (p->by_name == NULL) {
        return find_in_draft(p, stage);
    }
    uint32_t at = hash_of(stage) & p->by_name_mask;
    for (; p->by_name[at] != 0; at = (at + 1) & p->by_name_mask) {
        const uint32_t i = p->by_name[at] - 1;
        if (strcmp(p->stages[i].pub.name, stage) == 0) {
            return (int32_t)i;
        }
    }
    return -1;
}

const ratoon__producer *ratoon__pipeline_producers(const ratoon_pipeline *p, const char *key,
                                                   size_t *count)
{
    size_t low = 0;
    size_t high = p->producers_count;
    while (low < high) { /* the first one of the key */
        const size_t middle = low + (high - low) / 2;
        if (strcmp(p->producers[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    size_t n = 0;
    while (low + n < p->producers_count && strcmp(p->producers[low + n].key, key) == 0) {
        n++;
    }
    *count = n;
    return p->producers + low;
}
