/* A sorted map from bytes to pointers: a skip list (Pugh, 1990), since everything that the memory
 * driver holds is looked up by key and walked in order. Nodes are made apart from being put in, so
 * that a group of changes can have all its memory before the first of them is made. Not
 * thread-safe. */
#ifndef RATOON_LOG_MEMORY_MAP_H
#define RATOON_LOG_MEMORY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATOON__MAP_LEVELS 16

typedef struct ratoon__map_node {
    void *value;
    uint64_t number; /* the owner's to use */
    uint8_t *key;    /* within the node */
    size_t key_size;
    uint32_t height;
    struct ratoon__map_node *next[];
} ratoon__map_node;

typedef struct ratoon__map { /* zero-initialise */
    ratoon__map_node *head[RATOON__MAP_LEVELS];
    size_t count;
} ratoon__map;

/* A node that is in no map; free() it if it stays so. *seed: state of the choice of its height.
 * NULL: out of memory. */
ratoon__map_node *ratoon__map_node_new(uint64_t *seed, const void *key, size_t key_size,
                                       void *value);
/* The node of a key, or NULL. */
ratoon__map_node *ratoon__map_find(const ratoon__map *m, const void *key, size_t key_size);
/* The first node whose key is not below (with `after`: is above) the given one, or NULL. */
ratoon__map_node *ratoon__map_seek(const ratoon__map *m, const void *key, size_t key_size,
                                   bool after);
/* The map takes the node; its key must not be there yet. */
void ratoon__map_put(ratoon__map *m, ratoon__map_node *node);
/* Takes the node of a key out, for the caller to free(); NULL where there is none. */
ratoon__map_node *ratoon__map_take(ratoon__map *m, const void *key, size_t key_size);
/* Frees all nodes, and with free_values what they point to. */
void ratoon__map_free(ratoon__map *m, bool free_values);

#endif
