/* Filtering a map: what is kept whole is shared, and what is left has the shape that it would have
 * had from the beginning. */
#include "core/items_node.h"

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
        ratoon__items_node_unref(r.n, level);
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
static rest join(filter *f, node *n, rest places[WIDTH], unsigned level)
{
    uint32_t items = 0;
    uint32_t children = 0;
    bool same = true;
    const node *old = n;
    unsigned child = bits_set(n->items);
    for (unsigned i = 0; i < WIDTH; i++) {
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
        ratoon__refs_add(&n->refs);
    } else if (count > 0 && !f->failed) {
        r.n = node_new(count);
        f->failed = r.n == NULL;
    }
    if (same || r.n == NULL) {
        for (unsigned i = 0; i < WIDTH; i++) {
            rest_free(places[i], level + 1);
        }
        return r;
    }
    r.n->items = items;
    r.n->children = children;
    unsigned item_at = 0;
    unsigned child_at = bits_set(items);
    for (unsigned i = 0; i < WIDTH; i++) {
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
    rest places[WIDTH] = {{NULL, NULL}};
    unsigned item = 0;
    unsigned child = bits_set(n->items);
    for (unsigned i = 0; i < WIDTH && !f->failed; i++) {
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
