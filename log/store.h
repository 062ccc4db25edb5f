/* Inside of a store handle, for the rooms above: projections, definitions, values. */
#ifndef RATOON_LOG_STORE_H
#define RATOON_LOG_STORE_H

#include "log/driver.h"

/* The present projection of a lineage (everything acknowledged is in it, L11), a new reference. */
ratoon_status ratoon__store_lineage(ratoon_store *s, ratoon_id root, ratoon__lineage **out,
                                    ratoon_error *error);
/* The same by any run of it; *run is lent by the lineage. NOT_FOUND. */
ratoon_status ratoon__store_run(ratoon_store *s, ratoon_id run, ratoon__lineage **lineage,
                                const ratoon__run **out, ratoon_error *error);
/* The projection right after event number `event` of the lineage, a new reference: nearest
 * snapshot, then a fold. `now` is the present one. USAGE where it has no such event. */
ratoon_status ratoon__store_lineage_at(ratoon_store *s, const ratoon__lineage *now, uint64_t event,
                                       ratoon__lineage **out, ratoon_error *error);
/* Folds the commits from, ... into *lineage (which is replaced); to: last commit number, 0: all.
 * With no snapshots: pass a new lineage. */
ratoon_status ratoon__store_fold_from(ratoon_store *s, ratoon__lineage **lineage, uint64_t to,
                                      ratoon_error *error);
/* A definition by digest, from the cache or its stored canonical form; a new reference. */
ratoon_status ratoon__store_definition(ratoon_store *s, const ratoon_digest *digest,
                                       ratoon_pipeline **out, ratoon_error *error);
/* Bytes of a value; inline ones are copied as well. Free the buffer. */
ratoon_status ratoon__store_value(ratoon_store *s, const ratoon__value *value, ratoon_buffer *out,
                                  ratoon_error *error);
ratoon_status ratoon__store_bytes(ratoon_store *s, const ratoon__value_ref *value,
                                  ratoon_buffer *out, ratoon_error *error);
/* Decodes a commit and resolves the definitions of runs it creates (references in the arena's
 * owner: release with ratoon__commit_release before freeing the arena). Nothing is in `out` where
 * it fails. */
ratoon_status ratoon__store_decode(ratoon_store *s, const void *data, size_t size,
                                   ratoon__arena *arena, ratoon__commit *out, ratoon_error *error);
void ratoon__commit_release(ratoon__commit *commit);

/* Whether the key that secrets are digested with (E08) is what it was: DAMAGED; OK where there is
 * none. */
ratoon_status ratoon__store_secret_check(ratoon_store *s, ratoon_error *error);

ratoon__driver *ratoon__store_driver(ratoon_store *s);
uint32_t ratoon__store_max_depth(const ratoon_store *s);
ratoon_id ratoon__store_executor(const ratoon_store *s);

/* ---- commits made elsewhere (import) ---- */
typedef struct ratoon__foreign_commit {
    const ratoon__commit *commit;
    const void *data; /* its bytes, aligned to 8 */
    size_t size;
    const ratoon__stored_value *values;
    size_t values_count;
    /* With the last commit of a lineage: its projection, and the one before the first that is
     * appended. Rows and claims of the lineage go in with that commit only, so that nobody takes
     * its runs for interrupted ones before it is whole. */
    const ratoon__lineage *before, *after;
    size_t lineage_size; /* bytes of all its commits that are appended */
} ratoon__foreign_commit;
/* Appends commits, already checked against what is there, in one batch. A commit that can't follow
 * any more (CONFLICT), or whose claims are taken (CLAIMED), is the error; what belongs to other
 * lineages may have been appended nevertheless. */
ratoon_status ratoon__store_append_foreign(ratoon_store *s, const ratoon__foreign_commit *commits,
                                           size_t count, ratoon_error *error);
/* Whether it is no live executor of this store: gone, or one that was never here. */
bool ratoon__store_executor_is_elsewhere(const ratoon_store *s, ratoon_id executor);
/* L08 for the runs of an executor that is. */
ratoon_status ratoon__store_recover(ratoon_store *s, ratoon_id executor, ratoon_error *error);
/* A new id, as runs and commits get them. */
ratoon_id ratoon__store_new_id(ratoon_store *s);
const char *ratoon__store_writer(const ratoon_store *s);
uint64_t ratoon__store_value_max(const ratoon_store *s);

/* ---- planning a retry: shared by creation (log) and preview (replay) ---- */
typedef struct ratoon__retry_context {
    ratoon_store *store;
    const ratoon_retry_options *options;
    ratoon__retry_request request;
    ratoon__facts facts_extra; /* files and differences */
    ratoon__plan plan;
    char token[65];
} ratoon__retry_context;
/* Plans without appending. Refusals are in the plan, and are no failure of the call. The plan lives
 * in the arena, but for out->plan.canonical, which the caller frees. */
ratoon_status ratoon__retry_plan(ratoon_store *s, const ratoon_retry_options *options,
                                 ratoon__arena *a, ratoon__retry_context *out, ratoon_error *error);
#endif
