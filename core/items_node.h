/* A persistent hash trie (Bagwell 2001; laid out as in Steindorfer and Vinju, CHAMP, OOPSLA 2015):
 * a node has up to 8 places, each free, an item or a child; items stand before children, so that a
 * node is as small as what it holds. Its shape depends on the keys alone. */
#ifndef RATOON_CORE_ITEMS_NODE_H
#define RATOON_CORE_ITEMS_NODE_H

#include "core/objects.h"
#include "core/refs.h"

#include <stdlib.h>

enum {
    BITS = 3,
    WIDTH = 8,   /* 1 << BITS; narrow, because to change a shared map copies a node a level */
    LEVELS = 22, /* 64 bits of hash in steps of 3; below, a node is a list sorted by key */
};

typedef struct node {
    atomic_uint refs;
    uint32_t items;    /* bitmap of places with an item; in a list: their number */
    uint32_t children; /* bitmap of places with a child; of a list: 0 */
    void *slots[];     /* items, then children, each in the order of their places */
} node;

struct ratoon__item_map {
    atomic_uint refs;
    uint64_t count;
    node *root;
};

static inline unsigned bits_set(uint32_t bits)
{
    bits = bits - ((bits >> 1) & 0x55555555u);
    bits = (bits & 0x33333333u) + ((bits >> 2) & 0x33333333u);
    return (((bits + (bits >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24;
}

static inline uint32_t place_of(uint64_t hash, unsigned level)
{
    return (uint32_t)1 << ((hash >> (level * BITS)) & (WIDTH - 1));
}

static inline unsigned items_of(const node *n, unsigned level)
{
    return level == LEVELS ? n->items : bits_set(n->items);
}

static inline unsigned children_of(const node *n)
{
    return bits_set(n->children);
}

static inline node *node_new(unsigned slots)
{
    node *n = malloc(sizeof *n + slots * sizeof(void *));
    if (n != NULL) {
        atomic_init(&n->refs, 1);
        n->items = 0;
        n->children = 0;
    }
    return n;
}

/* Gives up a reference to a node of this level. */
void ratoon__items_node_unref(node *n, unsigned level);

#endif
