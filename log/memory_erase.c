/* Erasing in the memory driver (R20). What is taken out is freed when the store is closed: readers
 * go from node to node without a lock. */
#include "log/memory_driver.h"

#include <stdlib.h>
#include <string.h>

bool ratoon__memory_erase_reserve(ratoon__memory *m, size_t more)
{
    if (m->erased_count + more <= m->erased_capacity) {
        return true;
    }
    const size_t capacity = 2 * (m->erased_count + more);
    ratoon__map_node **erased = realloc(m->erased, capacity * sizeof(ratoon__map_node *));
    if (erased == NULL) {
        return false;
    }
    m->erased = erased;
    m->erased_capacity = capacity;
    return true;
}

static void erase_snapshots(ratoon__memory *m, ratoon_id lineage)
{
    uint8_t key[RATOON__MEMORY_COMMIT_KEY];
    ratoon__memory_commit_key(key, lineage, 0);
    ratoon__map_node *node = ratoon__map_seek(&m->snapshots, key, sizeof key, false);
    while (node != NULL && memcmp(node->key, lineage.bytes, sizeof lineage.bytes) == 0) {
        ratoon__map_node *next = node->next[0];
        (void)ratoon__map_take(&m->snapshots, node->key, node->key_size);
        free(node->value);
        free(node);
        node = next;
    }
}

void ratoon__memory_erase(ratoon__memory *m, ratoon_id lineage, uint64_t number)
{
    uint8_t key[RATOON__MEMORY_COMMIT_KEY];
    ratoon__memory_commit_key(key, lineage, 0);
    ratoon__map_node *node = ratoon__map_seek(&m->commits, key, sizeof key, false);
    while (node != NULL) {
        const ratoon__memory_commit *c = node->value;
        if (!ratoon_id_equal(c->lineage, lineage) || c->number >= number) {
            break;
        }
        ratoon__map_node *next = node->next[0];
        m->feed[c->position - 1] = NULL;
        m->erased[m->erased_count++] = ratoon__map_take(&m->commits, node->key, node->key_size);
        node = next;
    }
    erase_snapshots(m, lineage);
}

void ratoon__memory_erased_free(ratoon__memory *m)
{
    for (size_t i = 0; i < m->erased_count; i++) {
        free(m->erased[i]->value);
        free(m->erased[i]);
    }
    free(m->erased);
}

ratoon_status ratoon__memory_sweep(ratoon__driver *d, const ratoon_digest *digests,
                                   size_t digests_count, uint64_t end, uint64_t *count,
                                   uint64_t *bytes, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    ratoon_status status = RATOON_OK;
    pthread_mutex_lock(&m->lock);
    if (end != m->feed_count + 1) {
        status = ratoon__fail(error, RATOON_ERR_CONFLICT, "the feed has gone on to position %U",
                              m->feed_count + 1);
    } else if (!ratoon__memory_erase_reserve(m, digests_count)) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    } else {
        *count = 0;
        *bytes = 0;
        for (size_t i = 0; i < digests_count; i++) {
            ratoon__map_node *node =
                ratoon__map_take(&m->values, digests[i].bytes, sizeof digests[i].bytes);
            if (node != NULL) {
                const ratoon__memory_bytes *value = node->value;
                *count += 1;
                *bytes += value->size;
                m->erased[m->erased_count++] = node;
            }
        }
    }
    pthread_mutex_unlock(&m->lock);
    return status;
}
