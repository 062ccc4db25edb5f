/* The Merkle tree of a seal (Q02). Leaves and inner nodes are hashed with different first bytes, so
 * that one is never taken for the other (RFC 6962, 2.1). */
#include "replay/seal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LEAF = 0, NODE = 1 };

static ratoon_status node(const ratoon_digest *left, const ratoon_digest *right, ratoon_digest *out)
{
    uint8_t bytes[1 + 2 * sizeof *left];
    bytes[0] = NODE;
    memcpy(bytes + 1, left->bytes, sizeof left->bytes);
    memcpy(bytes + 1 + sizeof *left, right->bytes, sizeof right->bytes);
    return ratoon__sha256(bytes, sizeof bytes, out);
}

/* How many whole subtrees there are: one for each bit that is set in the number of leaves. */
static unsigned subtrees(uint64_t leaves)
{
    unsigned count = 0;
    for (; leaves != 0; leaves &= leaves - 1) {
        count++;
    }
    return count;
}

ratoon_status ratoon__merkle_add(ratoon__merkle *m, const void *leaf, size_t size)
{
    uint8_t bytes[1 + RATOON__SEAL_LEAF_MAX];
    unsigned top = subtrees(m->leaves);
    if (size > RATOON__SEAL_LEAF_MAX) {
        return RATOON_ERR_LIMIT_EXCEEDED;
    }
    bytes[0] = LEAF;
    memcpy(bytes + 1, leaf, size);
    ratoon_status status = ratoon__sha256(bytes, 1 + size, &m->whole[top]);
    /* As many pairs become one as the number of leaves ends with set bits. */
    for (uint64_t n = m->leaves; status == RATOON_OK && (n & 1) != 0; n >>= 1, top--) {
        status = node(&m->whole[top - 1], &m->whole[top], &m->whole[top - 1]);
    }
    m->leaves++;
    return status;
}

ratoon_status ratoon__merkle_root(const ratoon__merkle *m, ratoon_digest *root)
{
    unsigned top = subtrees(m->leaves);
    if (top == 0) {
        return ratoon__sha256("", 0, root);
    }
    ratoon_digest right = m->whole[--top];
    ratoon_status status = RATOON_OK;
    while (status == RATOON_OK && top > 0) {
        status = node(&m->whole[--top], &right, &right);
    }
    if (status == RATOON_OK) {
        *root = right;
    }
    return status;
}

size_t ratoon__seal_leaf_format(const ratoon__seal_leaf *leaf, char line[RATOON__SEAL_LEAF_MAX])
{
    char id[RATOON_ID_TEXT], digest[65];
    ratoon_id_format(leaf->lineage, id);
    ratoon__digest_format(&leaf->head, digest);
    const int size =
        snprintf(line, RATOON__SEAL_LEAF_MAX, "%s %" PRIu64 " %s", id, leaf->number, digest);
    return (size_t)size;
}
