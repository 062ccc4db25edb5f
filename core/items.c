#include "core/items_node.h"

#include <string.h>

/* FNV-1a, and the finish of MurmurHash3, because a trie looks at the bits from one end. Keys that
 * collide on purpose only lengthen the lists at the bottom. */
static uint64_t hash_of(const char *key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *key != '\0'; key++) {
        hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    }
    hash ^= hash >> 33;
    hash *= UINT64_C(0xff51afd7ed558ccd);
    hash ^= hash >> 33;
    hash *= UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ (hash >> 33);
}

void ratoon__items_node_unref(node *n, unsigned level)
{
    if (!ratoon__refs_drop(&n->refs)) {
        return;
    }
    const unsigned items = items_of(n, level);
    const unsigned children = children_of(n);
    for (unsigned i = 0; i < items; i++) {
        ratoon__item_unref(n->slots[i]);
    }
    for (unsigned i = 0; i < children; i++) {
        ratoon__items_node_unref(n->slots[items + i], level + 1);
    }
    free(n);
}

/* Shares what the slots of `n` hold into `to`, leaving the slot `gap_to` of `to` free and
 * passing over slot `gap_from` of `n` (-1: neither). */
static void node_fill(node *to, const node *n, unsigned level, int gap_to, int gap_from)
{
    const unsigned items = items_of(n, level);
    const int count = (int)(items + children_of(n));
    int at = 0;
    for (int i = 0; i < count; i++) {
        if (i == gap_from) {
            continue;
        }
        if (at == gap_to) {
            at++;
        }
        to->slots[at++] = n->slots[i];
        if (i < (int)items) {
            (void)ratoon__item_ref(n->slots[i]);
        } else {
            node *child = n->slots[i];
            ratoon__refs_add(&child->refs);
        }
    }
}

/* The node itself where nobody else has it (taking the caller's reference), else a copy. */
static node *node_own(node *n, unsigned level)
{
    if (ratoon__refs_one(&n->refs)) {
        return n;
    }
    node *copy = node_new(items_of(n, level) + children_of(n));
    if (copy != NULL) {
        copy->items = n->items;
        copy->children = n->children;
        node_fill(copy, n, level, -1, -1);
    }
    ratoon__items_node_unref(n, level);
    return copy;
}

/* Frees what node_of_two() made, without the items. */
static void chain_free(node *n)
{
    while (n != NULL) {
        node *below = n->children != 0 ? n->slots[0] : NULL;
        free(n);
        n = below;
    }
}

/* A node for two items whose hashes agree above this level. Takes both references where it
 * succeeds. */
static node *node_of_two(ratoon__item *a, ratoon__item *b, unsigned level)
{
    if (level < LEVELS && place_of(a->hash, level) == place_of(b->hash, level)) {
        node *below = node_of_two(a, b, level + 1);
        node *n = below == NULL ? NULL : node_new(1);
        if (n == NULL) {
            chain_free(below);
            return NULL;
        }
        n->children = place_of(a->hash, level);
        n->slots[0] = below;
        return n;
    }
    node *n = node_new(2);
    if (n == NULL) {
        return NULL;
    }
    const bool list = level == LEVELS;
    n->items = list ? 2 : place_of(a->hash, level) | place_of(b->hash, level);
    const bool a_first =
        list ? strcmp(a->key, b->key) < 0 : place_of(a->hash, level) < place_of(b->hash, level);
    n->slots[0] = a_first ? a : b;
    n->slots[1] = a_first ? b : a;
    return n;
}

/* The node with a free slot at `gap`. Takes the caller's reference to `n`, also where it fails. */
static node *node_widen(node *n, unsigned level, unsigned gap)
{
    const unsigned count = items_of(n, level) + children_of(n);
    node *wide = NULL;
    if (ratoon__refs_one(&n->refs)) {
        wide = realloc(n, sizeof *n + (count + 1) * sizeof(void *));
        if (wide != NULL) {
            memmove(wide->slots + gap + 1, wide->slots + gap, (count - gap) * sizeof(void *));
            return wide;
        }
    } else {
        wide = node_new(count + 1);
        if (wide != NULL) {
            wide->items = n->items;
            wide->children = n->children;
            node_fill(wide, n, level, (int)gap, -1);
        }
    }
    ratoon__items_node_unref(n, level);
    return wide;
}

/* Each put_* takes the caller's reference to `n`, also where it fails (NULL); that to `item` only
 * where it succeeds. */
static node *put_replace(node *n, unsigned level, unsigned slot, ratoon__item *item)
{
    n = node_own(n, level);
    if (n != NULL) {
        ratoon__item_unref(n->slots[slot]);
        n->slots[slot] = item;
    }
    return n;
}

static node *put_in_list(node *n, ratoon__item *item, bool *added)
{
    unsigned slot = 0;
    int order = -1;
    while (slot < n->items) {
        order = strcmp(((const ratoon__item *)n->slots[slot])->key, item->key);
        if (order >= 0) {
            break;
        }
        slot++;
    }
    if (slot < n->items && order == 0) {
        return put_replace(n, LEVELS, slot, item);
    }
    n = node_widen(n, LEVELS, slot);
    if (n != NULL) {
        n->items++;
        n->slots[slot] = item;
        *added = true;
    }
    return n;
}

/* An item stands where another belongs as well: both go into a new child. */
static node *put_split(node *n, unsigned level, unsigned slot, ratoon__item *item, bool *added)
{
    ratoon__item *old = n->slots[slot];
    const uint32_t place = place_of(item->hash, level);
    const unsigned items = items_of(n, level);
    node *child = node_of_two(old, item, level + 1);
    node *split = child == NULL ? NULL : node_new(items + children_of(n));
    if (split == NULL) {
        chain_free(child);
        ratoon__items_node_unref(n, level);
        return NULL;
    }
    (void)ratoon__item_ref(old);
    split->items = n->items & ~place;
    split->children = n->children | place;
    const unsigned at = items - 1 + bits_set(n->children & (place - 1));
    node_fill(split, n, level, (int)at, (int)slot);
    split->slots[at] = child;
    ratoon__items_node_unref(n, level);
    *added = true;
    return split;
}

static node *put(node *n, unsigned level, ratoon__item *item, bool *added);

static node *put_below(node *n, unsigned level, ratoon__item *item, bool *added)
{
    const unsigned items = items_of(n, level);
    const unsigned slot = items + bits_set(n->children & (place_of(item->hash, level) - 1));
    n = node_own(n, level);
    if (n == NULL) {
        return NULL;
    }
    node *child = put(n->slots[slot], level + 1, item, added);
    if (child != NULL) {
        n->slots[slot] = child;
        return n;
    }
    /* The old child is gone: close the gap, so that the rest can be released. */
    n->slots[slot] = n->slots[items + children_of(n) - 1];
    n->children &= n->children - 1;
    ratoon__items_node_unref(n, level);
    return NULL;
}

static node *put(node *n, unsigned level, ratoon__item *item, bool *added)
{
    if (level == LEVELS) {
        return put_in_list(n, item, added);
    }
    const uint32_t place = place_of(item->hash, level);
    if ((n->children & place) != 0) {
        return put_below(n, level, item, added);
    }
    const unsigned slot = bits_set(n->items & (place - 1));
    if ((n->items & place) == 0) {
        n = node_widen(n, level, slot);
        if (n != NULL) {
            n->items |= place;
            n->slots[slot] = item;
            *added = true;
        }
        return n;
    }
    const ratoon__item *old = n->slots[slot];
    if (old->hash == item->hash && strcmp(old->key, item->key) == 0) {
        return put_replace(n, level, slot, item);
    }
    return put_split(n, level, slot, item, added);
}

ratoon__item_map *ratoon__items_ref(const ratoon__item_map *m)
{
    ratoon__item_map *shared = (ratoon__item_map *)(uintptr_t)m;
    if (shared != NULL) {
        ratoon__refs_add(&shared->refs);
    }
    return shared;
}

void ratoon__items_unref(ratoon__item_map *m)
{
    if (m != NULL && ratoon__refs_drop(&m->refs)) {
        if (m->root != NULL) {
            ratoon__items_node_unref(m->root, 0);
        }
        free(m);
    }
}

/* The map itself where nobody else has it (taking the caller's reference), else a copy that shares
 * the nodes. */
static ratoon__item_map *map_own(ratoon__item_map *m)
{
    if (m != NULL && ratoon__refs_one(&m->refs)) {
        return m;
    }
    ratoon__item_map *copy = malloc(sizeof *copy);
    if (copy != NULL) {
        atomic_init(&copy->refs, 1);
        copy->count = m == NULL ? 0 : m->count;
        copy->root = m == NULL ? NULL : m->root;
        if (copy->root != NULL) {
            ratoon__refs_add(&copy->root->refs);
        }
    }
    ratoon__items_unref(m);
    return copy;
}

ratoon__item_map *ratoon__items_put_owned(ratoon__item_map *m, ratoon__item *item)
{
    item->hash = hash_of(item->key);
    bool added = false;
    m = map_own(m);
    if (m != NULL) {
        if (m->root == NULL) {
            m->root = node_new(0);
        }
        m->root = m->root == NULL ? NULL : put(m->root, 0, item, &added);
        if (m->root != NULL) {
            m->count += added ? 1 : 0;
            return m;
        }
        ratoon__items_unref(m);
    }
    ratoon__item_unref(item); /* NOLINT(clang-analyzer-unix.Malloc): a failed put leaves it alone */
    return NULL;
}

ratoon__item_map *ratoon__items_put(const ratoon__item_map *m, ratoon__item *item)
{
    return ratoon__items_put_owned(ratoon__items_ref(m), item);
}

uint64_t ratoon__items_count(const ratoon__item_map *m)
{
    return m == NULL ? 0 : m->count;
}

const ratoon__item *ratoon__items_get(const ratoon__item_map *m, const char *key)
{
    const node *n = m == NULL ? NULL : m->root;
    const uint64_t hash = hash_of(key);
    for (unsigned level = 0; n != NULL && level < LEVELS; level++) {
        const uint32_t place = place_of(hash, level);
        if ((n->items & place) != 0) {
            const ratoon__item *item = n->slots[bits_set(n->items & (place - 1))];
            return item->hash == hash && strcmp(item->key, key) == 0 ? item : NULL;
        }
        n = (n->children & place) == 0
                ? NULL
                : n->slots[items_of(n, level) + bits_set(n->children & (place - 1))];
    }
    for (unsigned i = 0; n != NULL && i < n->items; i++) {
        const ratoon__item *item = n->slots[i];
        if (strcmp(item->key, key) == 0) {
            return item;
        }
    }
    return NULL;
}

static bool each(const node *n, unsigned level, bool (*fn)(void *ctx, const ratoon__item *item),
                 void *ctx)
{
    const unsigned items = items_of(n, level);
    const unsigned children = children_of(n);
    for (unsigned i = 0; i < items; i++) {
        if (!fn(ctx, n->slots[i])) {
            return false;
        }
    }
    for (unsigned i = 0; i < children; i++) {
        if (!each(n->slots[items + i], level + 1, fn, ctx)) {
            return false;
        }
    }
    return true;
}

bool ratoon__items_each(const ratoon__item_map *m, bool (*fn)(void *ctx, const ratoon__item *item),
                        void *ctx)
{
    return m == NULL || m->root == NULL || each(m->root, 0, fn, ctx);
}
