/* Bounded tables of fixed size, four ways a set, the oldest of a set makes room: the heads of
 * lineages, and digests known to be stored. They only ever forget, so a miss is no answer. */
#ifndef RATOON_LOG_SLOTS_H
#define RATOON_LOG_SLOTS_H

#include "core/mem.h"
#include <stdlib.h>
#include <string.h>

enum { RATOON__SLOT_WAYS = 4 };

typedef struct ratoon__slots {
    size_t key_size, slot_size; /* a slot: key, u64 value, u8 "taken" padded to 8 */
    size_t sets;                /* a power of two */
    uint8_t *bytes;
    uint8_t *next; /* of each set: which way makes room next */
} ratoon__slots;

static inline bool ratoon__slots_init(ratoon__slots *s, size_t key_size, size_t sets)
{
    s->key_size = key_size;
    s->slot_size = key_size + 16;
    s->sets = sets;
    s->bytes = calloc(sets * RATOON__SLOT_WAYS, s->slot_size);
    s->next = calloc(sets, 1);
    return s->bytes != NULL && s->next != NULL;
}

static inline void ratoon__slots_free(ratoon__slots *s)
{
    free(s->bytes);
    free(s->next);
    s->bytes = NULL;
    s->next = NULL;
}

static inline uint64_t ratoon__hash(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t hash = size * UINT64_C(0x9e3779b97f4a7c15);
    while (size > 0) {
        uint64_t part = 0;
        size_t take = size < sizeof part ? size : sizeof part;
        memcpy(&part, bytes, take);
        hash = (hash ^ part) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 32;
        bytes += take;
        size -= take;
    }
    return hash;
}

/* The value of a key, or NULL. */
static inline uint8_t *ratoon__slots_at(const ratoon__slots *s, const void *key)
{
    size_t set = (size_t)ratoon__hash(key, s->key_size) & (s->sets - 1);
    uint8_t *slot = s->bytes + set * RATOON__SLOT_WAYS * s->slot_size;
    for (int way = 0; way < RATOON__SLOT_WAYS; way++, slot += s->slot_size) {
        if (slot[s->key_size + 8] != 0 && memcmp(slot, key, s->key_size) == 0) {
            return slot + s->key_size;
        }
    }
    return NULL;
}

static inline bool ratoon__slots_get(const ratoon__slots *s, const void *key, uint64_t *value)
{
    const uint8_t *found = ratoon__slots_at(s, key);
    if (found != NULL) {
        memcpy(value, found, sizeof *value);
    }
    return found != NULL;
}

static inline void ratoon__slots_put(ratoon__slots *s, const void *key, uint64_t value)
{
    uint8_t *found = ratoon__slots_at(s, key);
    if (found == NULL) {
        size_t set = (size_t)ratoon__hash(key, s->key_size) & (s->sets - 1);
        size_t way = s->next[set]++ % RATOON__SLOT_WAYS;
        uint8_t *slot = s->bytes + (set * RATOON__SLOT_WAYS + way) * s->slot_size;
        memcpy(slot, key, s->key_size);
        slot[s->key_size + 8] = 1;
        found = slot + s->key_size;
    }
    memcpy(found, &value, sizeof value);
}

static inline void ratoon__slots_drop(ratoon__slots *s, const void *key)
{
    uint8_t *found = ratoon__slots_at(s, key);
    if (found != NULL) {
        found[8] = 0;
    }
}

#endif
