/* Seals (Q02): the text of one, its Merkle tree, and the check of a store against it. The format is
 * in docs/format.md. */
#ifndef RATOON_REPLAY_SEAL_H
#define RATOON_REPLAY_SEAL_H

#include "log/sign.h"
#include "replay/verify.h"

#define RATOON__SEAL_FORMAT 1
#define RATOON__SEAL_SIZE_MAX ((size_t)1 << 30) /* ten million lineages */
#define RATOON__SEAL_SIGNATURE_NAME ".sig"      /* behind the seal's name */

/* A Merkle tree from its leaves, one after another: as RFC 6962, 2.1. Zero-initialise it. */
typedef struct ratoon__merkle {
    ratoon_digest whole[64]; /* roots of whole subtrees, larger ones first */
    uint64_t leaves;
} ratoon__merkle;
ratoon_status ratoon__merkle_add(ratoon__merkle *m, const void *leaf, size_t size);
ratoon_status ratoon__merkle_root(const ratoon__merkle *m, ratoon_digest *root);

typedef struct ratoon__seal_leaf {
    ratoon_id lineage;
    uint64_t number;    /* of its last commit */
    ratoon_digest head; /* of that commit's bytes */
} ratoon__seal_leaf;
/* A leaf's line, without the line feed; its size. */
enum { RATOON__SEAL_LEAF_MAX = 36 + 1 + 20 + 1 + 64 + 1 };
size_t ratoon__seal_leaf_format(const ratoon__seal_leaf *leaf, char line[RATOON__SEAL_LEAF_MAX]);

enum { RATOON__SEAL_TIME = 28 }; /* "2024-01-31T23:59:59.123456Z" */
typedef struct ratoon__seal {    /* texts are lent by `text` */
    ratoon_buffer text;          /* all of the file */
    ratoon_buffer signature;
    char time[RATOON__SEAL_TIME];
    uint64_t position, lineages;
    ratoon_digest root;
    ratoon__public_key key; /* that it says it was signed with */
    size_t leaves;          /* where they begin */
} ratoon__seal;
/* Reads a seal and its signature. USAGE: no such file, or it is no seal. */
ratoon_status ratoon__seal_load(const char *path, ratoon__seal *out, ratoon_error *error);
/* Takes the text apart and compares the leaves with the root. DAMAGED; UNSUPPORTED. */
ratoon_status ratoon__seal_parse(ratoon__seal *s, ratoon_error *error);
/* The leaf at an offset, which becomes that of the next one. False: there is none, or *bad. */
bool ratoon__seal_leaf_next(const ratoon__seal *s, size_t *at, ratoon__seal_leaf *out, bool *bad);
void ratoon__seal_free(ratoon__seal *s);

/* ---- verify_seal.c: a store's lineages, as they are walked, against the leaves ---- */
struct ratoon__seal_check {
    const ratoon__seal *seal;
    json_t *notices;
    ratoon_id only; /* the one lineage that is verified; zero: all */
    size_t at;      /* behind the leaf */
    ratoon__seal_leaf leaf;
    bool left;     /* there is a leaf whose lineage hasn't ended */
    bool here;     /* it is that of the lineage that is walked */
    bool met;      /* its commit, or a mark, was seen */
    uint64_t last; /* commit seen of that lineage */
    uint64_t found;
};
void ratoon__seal_check_begin(ratoon__seal_check *c);
/* All of them do nothing where r->seal is NULL. */
void ratoon__seal_lineage_begin(ratoon__report *r, ratoon_id lineage);
/* commit: NULL where it can't be decoded. */
void ratoon__seal_commit(ratoon__report *r, uint64_t number, const ratoon_digest *digest,
                         const ratoon__commit *commit);
void ratoon__seal_lineage_end(ratoon__report *r);
void ratoon__seal_end(ratoon__report *r);
#endif
