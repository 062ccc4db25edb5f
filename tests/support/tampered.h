/* A store on disk to be changed behind its back: two lineages with notes, one with a large value,
 * and one behind them; sealed. What is changed goes past the library, straight to RocksDB. */
#ifndef RATOON_TESTS_TAMPERED_H
#define RATOON_TESTS_TAMPERED_H

#include "log/driver.h"

#include <jansson.h>
#include <ratoon.h>

enum {
    TAMPERED_NOTES = 9, /* a lineage has one commit more */
    TAMPERED_LAST = TAMPERED_NOTES + 1,
    TAMPERED_FILLER =
        200, /* commits behind those that are changed: opening looks at the last 128 */
    TAMPERED_COMMITS_MAX = 400,
    TAMPERED_VALUE = 3000, /* bytes of the large value */
};

typedef struct tampered_store {
    char *folder;
    char store[4096], forged[4096]; /* the second is the test's to make */
    char seal[4096], key[4096], public_key[4096];
    ratoon_id victim, other, filler; /* lineages of one run; the victim has the large value */
    ratoon_digest value;
} tampered_store;

extern tampered_store tampered;
extern const char tampered_pipeline[]; /* text of the definition of its runs */

/* A checked fixture. The store is closed. */
void tampered_setup(void);
void tampered_teardown(void);

/* value: TAMPERED_VALUE bytes, or NULL. */
ratoon_id tampered_lineage(ratoon_store *s, const ratoon_pipeline *p, const char *value);
void tampered_note(ratoon_store *s, ratoon_id run, int number);
ratoon_store *tampered_open(const char *path);

/* The driver, to change entries of its column families. */
ratoon__driver *tampered_raw(const char *path);
void tampered_put(ratoon__driver *d, int family, const void *key, size_t key_size, const void *data,
                  size_t size);
void tampered_delete(ratoon__driver *d, int family, const void *key, size_t key_size);
/* What is there, to be freed. */
char *tampered_get(ratoon__driver *d, int family, const void *key, size_t key_size, size_t *size);
/* The first entry whose key begins like that; key and data are to be freed. */
void tampered_first(ratoon__driver *d, int family, const void *prefix, size_t prefix_size,
                    char **key, size_t *key_size, char **data, size_t *size);
/* Commits as they are stored, their position before them. To be freed. */
char *tampered_commit_get(ratoon__driver *d, ratoon_id lineage, uint64_t number, size_t *size);
void tampered_commit_put(ratoon__driver *d, ratoon_id lineage, uint64_t number, const char *data,
                         size_t size);
void tampered_commit_delete(ratoon__driver *d, ratoon_id lineage, uint64_t number);

/* The report of a verification, with the seal or without. */
json_t *tampered_verify(const char *path, bool sealed);
/* The first problem is that one, and no lineage but that one is named. lineage NULL: the problem is
 * about none; commit 0: about no commit. */
void tampered_problem(const char *path, bool sealed, const ratoon_id *lineage, uint64_t commit,
                      const char *kind);
void tampered_sound(const char *path, bool sealed, size_t notices);

#endif
