/* The heads of all lineages of a store in memory (Q02). */
#include "log/digest.h"
#include "log/memory_driver.h"

#include <string.h>

/* The lineage's last commit below a position, else its mark; with the lock held. NULL: it came
 * later. */
static const ratoon__memory_commit *head_before(const ratoon__memory *m,
                                                const ratoon__map_node *head, uint64_t before)
{
    const ratoon__memory_commit *mark = NULL;
    ratoon_id lineage;
    memcpy(lineage.bytes, head->key, sizeof lineage.bytes);
    for (uint64_t number = head->number; number > 0; number--) {
        uint8_t key[RATOON__MEMORY_COMMIT_KEY];
        ratoon__memory_commit_key(key, lineage, number);
        const ratoon__map_node *node = ratoon__map_find(&m->commits, key, sizeof key);
        const ratoon__memory_commit *c = node != NULL ? node->value : NULL;
        if (c == NULL) {
            return mark; /* the commits before were erased */
        }
        if (c->position < before) {
            return c;
        }
        mark = c;
    }
    return NULL;
}

ratoon_status ratoon__memory_heads(ratoon__driver *d, ratoon_id after, uint64_t before,
                                   ratoon__head_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__memory *m = ratoon__memory_of(d);
    pthread_mutex_lock(&m->lock);
    const ratoon__map_node *node =
        ratoon__map_seek(&m->heads, after.bytes, sizeof after.bytes, true);
    bool stop = false;
    while (node != NULL && !stop) {
        const ratoon__memory_commit *c = head_before(m, node, before);
        pthread_mutex_unlock(&m->lock);
        if (c != NULL) {
            ratoon_digest digest;
            if (ratoon__sha256(c->data, (size_t)c->size, &digest) != RATOON_OK) {
                return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
            }
            stop = !fn(ctx, c->lineage, c->number, &digest);
        }
        pthread_mutex_lock(&m->lock);
        node = node->next[0];
    }
    pthread_mutex_unlock(&m->lock);
    return RATOON_OK;
}
