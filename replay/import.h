/* What the parts of an import share: lines are read and checked one by one; what is to be appended
 * is put aside in a temporary file; when all of it was good, it is appended. */
#ifndef RATOON_REPLAY_IMPORT_H
#define RATOON_REPLAY_IMPORT_H

#include "replay/export.h"

#include <stdio.h>

#define RATOON__IMPORT_LINE_MAX (256u << 20) /* bytes of a line */

/* A value of the input, by digest. */
typedef struct ratoon__import_value {
    ratoon_digest digest;
    uint64_t offset, size;
    ratoon_pipeline *definition; /* where it was needed as one */
    bool appended;
} ratoon__import_value;

/* A commit that is to be appended. */
typedef struct ratoon__import_commit {
    ratoon_id lineage;
    uint64_t number, offset, size, line;
    bool last; /* of its lineage */
} ratoon__import_commit;

/* Names in the input that must be unique: lineages, runs, keys, scopes. */
typedef struct ratoon__import_name {
    uint64_t hash; /* 0: free */
    char *name;
    ratoon_id holder;
} ratoon__import_name;

typedef struct ratoon__import {
    ratoon_store *store;
    const ratoon_pipeline *pipeline; /* given by the caller, or NULL */
    FILE *spool;
    uint64_t spooled;
    uint64_t line;
    ratoon__import_value *values; /* open addressing by digest; no zero size is stored */
    size_t values_count, values_capacity;
    ratoon__import_commit *commits;
    size_t commits_count, commits_capacity;
    ratoon__import_name *names; /* open addressing */
    size_t names_count, names_capacity;
    /* the lineage that lines are about now */
    ratoon__lineage *lineage; /* folded so far; NULL: none */
    ratoon_digest *there;     /* digests of the commits that the store has of it */
    size_t there_count;
    size_t fresh; /* commits of it to be appended */
    /* plain runs, in the order of their lines */
    json_t *plain;
    ratoon_imported result;
    ratoon_error *error;
} ratoon__import;

/* Fails with error->line set to the present line. */
ratoon_status ratoon__import_fail(ratoon__import *im, ratoon_status status, const char *format,
                                  ...);
ratoon_status ratoon__import_no_memory(ratoon__import *im);

/* import_spool.c */
ratoon_status ratoon__spool_put(ratoon__import *im, const void *data, size_t size,
                                uint64_t *offset);
/* *out is malloc'ed. */
ratoon_status ratoon__spool_get(ratoon__import *im, uint64_t offset, uint64_t size, void **out);
ratoon__import_value *ratoon__import_value_find(ratoon__import *im, const ratoon_digest *digest);
/* Adds a value whose digest was computed; one that is there already is left. */
ratoon_status ratoon__import_value_add(ratoon__import *im, const ratoon_digest *digest,
                                       const void *data, size_t size);
/* Who has the name in the input; a new name is `holder`'s from now on. */
ratoon_status ratoon__import_claim(ratoon__import *im, const char *kind, const char *name,
                                   ratoon_id holder, ratoon_id *has);
void ratoon__import_free(ratoon__import *im);

/* import_check.c */
/* A commit as bytes (aligned to 8): everything about it is checked, and it is put aside unless the
 * store has it. */
ratoon_status ratoon__import_commit_bytes(ratoon__import *im, const void *data, size_t size);
/* No more commits of the present lineage come. */
ratoon_status ratoon__import_lineage_end(ratoon__import *im);
/* The commits' definitions, from the input or the store. Release with ratoon__commit_release(). */
ratoon_status ratoon__import_resolve(ratoon__import *im, ratoon__commit *commit);

/* import_append.c */
ratoon_status ratoon__import_append(ratoon__import *im);

/* import_plain.c */
ratoon_status ratoon__import_plain_line(ratoon__import *im, const json_t *line);
ratoon_status ratoon__import_plain_end(ratoon__import *im);
/* plain_definition.c: a definition made up from a run's lines. */
ratoon_status ratoon__plain_definition(ratoon__import *im, const json_t *run, const json_t *stages,
                                       ratoon_pipeline **out);

#endif
