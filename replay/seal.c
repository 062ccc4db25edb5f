/* Making a seal (Q02). */
#include "replay/seal.h"

#include "log/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ratoon_status ratoon_seal_keygen(const char *path, ratoon_error *error)
{
    if (path == NULL || path[0] == '\0') {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a key needs a path");
    }
    return ratoon__sign_keygen(path, error);
}

/* ---- the key ---- */

/* The key that lies in the store's own folder, made at its first use. */
static ratoon_status own_key(ratoon_store *store, ratoon__sign_key **out, ratoon_error *error)
{
    const char *folder = ratoon_store_path(store);
    if (folder[0] == '\0') {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a store in memory needs a key to be sealed");
    }
    char *path = ratoon__path_join(folder, "seal.key");
    if (path == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_status status = RATOON_OK;
    if (access(path, F_OK) != 0) {
        status = ratoon__sign_keygen(path, error);
        if (status == RATOON_ERR_EXISTS && access(path, F_OK) == 0) {
            status = RATOON_OK; /* somebody else made it meanwhile */
        }
    }
    if (status == RATOON_OK) {
        status = ratoon__sign_key_load(path, out, error);
    } else if (status == RATOON_ERR_EXISTS) {
        ratoon__hint(error, "the secret key to it isn't in the store's folder: give its path");
    }
    free(path);
    return status;
}

/* ---- the text ---- */

typedef struct sealing {
    ratoon__buf leaves;
    ratoon__merkle tree;
    ratoon_status status;
} sealing;

static bool add_leaf(void *ctx, ratoon_id lineage, uint64_t number, const ratoon_digest *digest)
{
    sealing *s = ctx;
    char line[RATOON__SEAL_LEAF_MAX];
    const ratoon__seal_leaf leaf = {.lineage = lineage, .number = number, .head = *digest};
    const size_t size = ratoon__seal_leaf_format(&leaf, line);
    s->status = ratoon__merkle_add(&s->tree, line, size);
    ratoon__buf_add(&s->leaves, line, size);
    ratoon__buf_add(&s->leaves, "\n", 1);
    if (s->leaves.failed) {
        s->status = RATOON_ERR_NO_MEMORY;
    } else if (s->leaves.size > RATOON__SEAL_SIZE_MAX) {
        s->status = RATOON_ERR_LIMIT_EXCEEDED;
    }
    return s->status == RATOON_OK;
}

static ratoon_status seal_text(ratoon_store *store, const ratoon__public_key *key, ratoon__buf *out,
                               json_t **described, ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(store);
    sealing s = {.status = RATOON_OK};
    uint64_t end = 1;
    ratoon_digest root = {{0}};
    ratoon_status status = d->ops->end(d, &end, error);
    if (status == RATOON_OK) {
        status = d->ops->heads(d, (ratoon_id){{0}}, end, add_leaf, &s, error);
    }
    if (status == RATOON_OK && s.status == RATOON_OK) {
        s.status = ratoon__merkle_root(&s.tree, &root);
    }
    if (status == RATOON_OK && s.status != RATOON_OK) {
        status = ratoon__fail(error, s.status, "a seal of %U lineages can't be made: %s",
                              s.tree.leaves, ratoon_status_text(s.status));
    }
    json_t *time = ratoon__json_time(ratoon_store_now(store));
    if (status == RATOON_OK) {
        char root_text[65], key_text[65];
        ratoon__digest_format(&root, root_text);
        ratoon__public_key_format(key, key_text);
        ratoon__buf_format(out,
                           "ratoon seal %u\ntime %s\nposition %U\nlineages %U\nroot %s\nkey %s\n"
                           "store-format %u\nwriter %s\n\n",
                           (uint32_t)RATOON__SEAL_FORMAT, json_string_value(time), end - 1,
                           s.tree.leaves, root_text, key_text, (uint32_t)RATOON__FOLDER_FORMAT,
                           ratoon__store_writer(store));
        if (s.leaves.size > 0) {
            ratoon__buf_add(out, s.leaves.data, s.leaves.size);
        }
        *described =
            json_pack("{s:O,s:I,s:I,s:s,s:s}", "time", time, "position", (json_int_t)(end - 1),
                      "lineages", (json_int_t)s.tree.leaves, "root", root_text, "key", key_text);
        if (out->failed || *described == NULL) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory making a seal");
        }
    }
    json_decref(time);
    ratoon__buf_free(&s.leaves);
    return status;
}

/* ---- the files ---- */

/* Both or none: the signature first, so that a seal is never without one. */
static ratoon_status files_write(const char *path, const ratoon__buf *text,
                                 const uint8_t signature[RATOON__SIGNATURE_SIZE],
                                 ratoon_error *error)
{
    char *beside = NULL;
    if (asprintf(&beside, "%s%s", path, RATOON__SEAL_SIGNATURE_NAME) < 0) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_status status =
        ratoon__file_create(beside, signature, RATOON__SIGNATURE_SIZE, 0666, error);
    if (status == RATOON_OK) {
        status = ratoon__file_create(path, text->data, text->size, 0666, error);
        if (status != RATOON_OK) {
            (void)unlink(beside); /* it was made just now */
        }
    }
    if (status == RATOON_ERR_EXISTS) {
        ratoon__hint(error, "seals are never overwritten: choose another name");
    }
    free(beside);
    return status;
}

ratoon_status ratoon_seal(ratoon_store *store, const char *path, const char *key_path,
                          ratoon_buffer *json, ratoon_error *error)
{
    if (json == NULL) {
        return ratoon__no_place("json", error);
    }
    ratoon__sign_key *key = NULL;
    ratoon__buf text = {0};
    uint8_t signature[RATOON__SIGNATURE_SIZE];
    json_t *described = NULL;
    if (path == NULL || path[0] == '\0') {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a seal needs a path");
    }
    if (access(path, F_OK) == 0) { /* looked at again in the end; the work in between is long */
        ratoon__fail(error, RATOON_ERR_EXISTS, "there is a file %s already", path);
        ratoon__hint(error, "seals are never overwritten: choose another name");
        return RATOON_ERR_EXISTS;
    }
    ratoon_status status = key_path != NULL ? ratoon__sign_key_load(key_path, &key, error)
                                            : own_key(store, &key, error);
    if (status == RATOON_OK) {
        status = seal_text(store, ratoon__sign_key_public(key), &text, &described, error);
    }
    if (status == RATOON_OK) {
        status = ratoon__sign(key, text.data, text.size, signature, error);
    }
    if (status == RATOON_OK) {
        status = files_write(path, &text, signature, error);
    }
    if (status == RATOON_OK) {
        json_object_set_new(described, "file", ratoon__json_text(path));
        status = ratoon__json_finish(
            json_pack("{s:i,s:O}", "schema", RATOON__SCHEMA, "seal", described), json, error);
    }
    json_decref(described);
    ratoon__buf_free(&text);
    ratoon__sign_key_free(key);
    return status;
}
