/* A persistent hash trie (Bagwell 2001; laid out as in Steindorfer and Vinju, CHAMP, OOPSLA 2015):
 * a node has up to 32 places, each free, an item or a child; items stand before children, so that a
 * node is as small as what it holds. Its shape depends on the keys alone. */
#include "core/objects.h"

#include <stdlib.h>
#include <string.h>

enum {
    BITS = 5,
    LEVELS = 13, /* 64 bits of hash in steps of 5; below, a node is a list sorted by key */
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

static unsigned bits_set(uint32_t bits)
{
    bits = bits - ((bits >> 1) & 0x55555555u);
    bits = (bits & 0x33333333u) + ((bits >> 2) & 0x33333333u);
    return (((bits + (bits >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24;
}

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

static uint32_t place_of(uint64_t hash, unsigned level)
{
    return (uint32_t)1 << ((hash >> (level * BITS)) & 31);
}

static unsigned items_of(const node *n, unsigned level)
{
    return level == LEVELS ? n->items : bits_set(n->items);
}

static unsigned children_of(const node *n)
{
    return bits_set(n->children);
}

static node *node_new(unsigned slots)
{
    node *n = malloc(sizeof *n + slots * sizeof(void *));
    if (n != NULL) {
        atomic_init(&n->refs, 1);
        n->items = 0;
        n->children = 0;
    }
    return n;
}

static void node_unref(node *n, unsigned level)
{
    if (atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    const unsigned items = items_of(n, level);
    const unsigned children = children_of(n);
    for (unsigned i = 0; i < items; i++) {
        ratoon__item_unref(n->slots[i]);
    }
    for (unsigned i = 0; i < children; i++) {
        node_unref(n->slots[items + i], level + 1);
    }
    free(n);
}

static bool only_ours(const node *n)
{
    /* const: reading a count changes nothing, C11's generic function wants it plain. */
    return atomic_load_explicit(&((node *)(uintptr_t)n)->refs, memory_order_acquire) == 1;
}

/* Moves or shares what the slots of `n` hold into `to`, leaving the slot `gap_to` of `to` free and
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
            atomic_fetch_add_explicit(&child->refs, 1, memory_order_relaxed);
        }
    }
}

/* The node itself where nobody else has it (taking the caller's reference), else a copy. */
static node *node_own(node *n, unsigned level)
{
    if (only_ours(n)) {
        return n;
    }
    node *copy = node_new(items_of(n, level) + children_of(n));
    if (copy != NULL) {
        copy->items = n->items;
        copy->children = n->children;
        node_fill(copy, n, level, -1, -1);
    }
    node_unref(n, level);
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
    if (only_ours(n)) {
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
    node_unref(n, level);
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
        node_unref(n, level);
        return NULL;
    }
    (void)ratoon__item_ref(old);
    split->items = n->items & ~place;
    split->children = n->children | place;
    const unsigned at = items - 1 + bits_set(n->children & (place - 1));
    node_fill(split, n, level, (int)at, (int)slot);
    split->slots[at] = child;
    node_unref(n, level);
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
    node_unref(n, level);
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
        atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    }
    return shared;
}

void ratoon__items_unref(ratoon__item_map *m)
{
    if (m != NULL && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1) {
        if (m->root != NULL) {
            node_unref(m->root, 0);
        }
        free(m);
    }
}

/* The map itself where nobody else has it (taking the caller's reference), else a copy that shares
 * the nodes. */
static ratoon__item_map *map_own(ratoon__item_map *m)
{
    if (m != NULL && atomic_load_explicit(&m->refs, memory_order_acquire) == 1) {
        return m;
    }
    ratoon__item_map *copy = malloc(sizeof *copy);
    if (copy != NULL) {
        atomic_init(&copy->refs, 1);
        copy->count = m == NULL ? 0 : m->count;
        copy->root = m == NULL ? NULL : m->root;
        if (copy->root != NULL) {
            atomic_fetch_add_explicit(&copy->root->refs, 1, memory_order_relaxed);
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
    ratoon__item_unref(item);
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

/* What is left of a node: nothing, a single item that moves up to its parent, or a node. */
typedef struct rest {
    node *n;
    ratoon__item *single;
} rest;

typedef struct filter {
    bool (*keep)(void *ctx, const ratoon__item *item);
    void *ctx;
    uint64_t kept;
    bool failed;
} filter;

static void rest_free(rest r, unsigned level)
{
    ratoon__item_unref(r.single);
    if (r.n != NULL) {
        node_unref(r.n, level);
    }
}

static rest filter_list(filter *f, node *n)
{
    rest r = {node_new(n->items), NULL};
    f->failed = f->failed || r.n == NULL;
    for (unsigned i = 0; r.n != NULL && i < n->items; i++) {
        if (f->keep(f->ctx, n->slots[i])) {
            r.n->slots[r.n->items++] = ratoon__item_ref(n->slots[i]);
        }
    }
    f->kept += r.n == NULL ? 0 : r.n->items;
    if (r.n != NULL && r.n->items <= 1) {
        r.single = r.n->items == 1 ? r.n->slots[0] : NULL;
        free(r.n);
        r.n = NULL;
    }
    return r;
}

/* Puts together what is left of the places of a node; the very node where nothing has changed. */
static rest join(filter *f, node *n, rest places[32], unsigned level)
{
    uint32_t items = 0;
    uint32_t children = 0;
    bool same = true;
    const node *old = n;
    unsigned child = bits_set(n->items);
    for (unsigned i = 0; i < 32; i++) {
        const uint32_t place = (uint32_t)1 << i;
        items |= places[i].single != NULL ? place : 0;
        children |= places[i].n != NULL ? place : 0;
        same = same && ((old->children & place) == 0 || places[i].n == old->slots[child++]);
    }
    same = same && items == n->items && children == n->children;
    const unsigned count = bits_set(items) + bits_set(children);
    rest r = {NULL, NULL};
    if (same) {
        r.n = n;
        atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
    } else if (count > 0 && !f->failed) {
        r.n = node_new(count);
        f->failed = r.n == NULL;
    }
    if (same || r.n == NULL) {
        for (unsigned i = 0; i < 32; i++) {
            rest_free(places[i], level + 1);
        }
        return r;
    }
    r.n->items = items;
    r.n->children = children;
    unsigned item_at = 0;
    unsigned child_at = bits_set(items);
    for (unsigned i = 0; i < 32; i++) {
        if (places[i].single != NULL) {
            r.n->slots[item_at++] = places[i].single;
        } else if (places[i].n != NULL) {
            r.n->slots[child_at++] = places[i].n;
        }
    }
    if (level > 0 && children == 0 && count == 1) {
        r.single = r.n->slots[0];
        free(r.n);
        r.n = NULL;
    }
    return r;
}

static rest filter_node(filter *f, node *n, unsigned level)
{
    if (level == LEVELS) {
        return filter_list(f, n);
    }
    rest places[32] = {{NULL, NULL}};
    unsigned item = 0;
    unsigned child = bits_set(n->items);
    for (unsigned i = 0; i < 32 && !f->failed; i++) {
        const uint32_t place = (uint32_t)1 << i;
        if ((n->items & place) != 0) {
            ratoon__item *it = n->slots[item++];
            if (f->keep(f->ctx, it)) {
                places[i].single = ratoon__item_ref(it);
                f->kept++;
            }
        } else if ((n->children & place) != 0) {
            places[i] = filter_node(f, n->slots[child++], level + 1);
        }
    }
    return join(f, n, places, level);
}

bool ratoon__items_filter(const ratoon__item_map *m,
                          bool (*keep)(void *ctx, const ratoon__item *item), void *ctx,
                          ratoon__item_map **out)
{
    filter f = {keep, ctx, 0, false};
    rest r = {NULL, NULL};
    if (m != NULL && m->root != NULL) {
        r = filter_node(&f, m->root, 0);
    }
    ratoon__item_map *left = NULL;
    if (!f.failed && f.kept > 0) {
        left = f.kept == m->count ? ratoon__items_ref(m) : malloc(sizeof *left);
        f.failed = left == NULL;
    }
    if (left == NULL || left == m) {
        rest_free(r, 0);
    } else {
        atomic_init(&left->refs, 1);
        left->count = f.kept;
        left->root = r.n;
    }
    if (!f.failed) {
        *out = left;
    }
    return !f.failed;
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
