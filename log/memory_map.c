#include "log/memory_map.h"

#include <stdlib.h>
#include <string.h>

static int compare(const ratoon__map_node *node, const void *key, size_t key_size)
{
    const size_t common = node->key_size < key_size ? node->key_size : key_size;
    const int order = common > 0 ? memcmp(node->key, key, common) : 0;
    return order != 0 ? order : (node->key_size > key_size) - (node->key_size < key_size);
}

ratoon__map_node *ratoon__map_node_new(uint64_t *seed, const void *key, size_t key_size,
                                       void *value)
{
    uint32_t height = 1;
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    for (uint64_t bits = *seed >> 32; (bits & 3) == 0 && height < RATOON__MAP_LEVELS; bits >>= 2) {
        height++;
    }
    const size_t fixed = sizeof(ratoon__map_node) + height * sizeof(ratoon__map_node *);
    ratoon__map_node *node = calloc(1, fixed + key_size);
    if (node == NULL) {
        return NULL;
    }
    node->value = value;
    node->height = height;
    node->key = (uint8_t *)node + fixed;
    node->key_size = key_size;
    if (key_size > 0) {
        memcpy(node->key, key, key_size);
    }
    return node;
}

/* On each level, the pointer to the first node that is not below the key (with `after`: that is
 * above it). */
static void find_links(const ratoon__map *m, const void *key, size_t key_size, bool after,
                       ratoon__map_node ***links)
{
    /* Only whoever may change the map changes it through the links. */
    ratoon__map_node **row = ((ratoon__map *)(uintptr_t)m)->head;
    for (size_t level = RATOON__MAP_LEVELS; level-- > 0;) {
        while (row[level] != NULL && compare(row[level], key, key_size) < (after ? 1 : 0)) {
            row = row[level]->next;
        }
        links[level] = &row[level];
    }
}

ratoon__map_node *ratoon__map_seek(const ratoon__map *m, const void *key, size_t key_size,
                                   bool after)
{
    ratoon__map_node **links[RATOON__MAP_LEVELS];
    find_links(m, key, key_size, after, links);
    return *links[0];
}

ratoon__map_node *ratoon__map_find(const ratoon__map *m, const void *key, size_t key_size)
{
    ratoon__map_node *node = ratoon__map_seek(m, key, key_size, false);
    return node != NULL && compare(node, key, key_size) == 0 ? node : NULL;
}

void ratoon__map_put(ratoon__map *m, ratoon__map_node *node)
{
    ratoon__map_node **links[RATOON__MAP_LEVELS];
    find_links(m, node->key, node->key_size, false, links);
    for (uint32_t level = 0; level < node->height; level++) {
        node->next[level] = *links[level];
        *links[level] = node;
    }
    m->count++;
}

ratoon__map_node *ratoon__map_take(ratoon__map *m, const void *key, size_t key_size)
{
    ratoon__map_node **links[RATOON__MAP_LEVELS];
    find_links(m, key, key_size, false, links);
    ratoon__map_node *node = *links[0];
    if (node == NULL || compare(node, key, key_size) != 0) {
        return NULL;
    }
    for (uint32_t level = 0; level < node->height; level++) {
        *links[level] = node->next[level];
    }
    m->count--;
    return node;
}

void ratoon__map_free(ratoon__map *m, bool free_values)
{
    ratoon__map_node *node = m->head[0];
    while (node != NULL) {
        ratoon__map_node *next = node->next[0];
        if (free_values) {
            free(node->value);
        }
        free(node);
        node = next;
    }
    *m = (ratoon__map){0};
}
