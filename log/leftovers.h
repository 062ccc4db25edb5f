/* What a deleted lineage leaves outside the log: values and files that were its own. What is to go
 * is written down before the deletion, in STORE/deleting/LINEAGE, so that whoever deletes next
 * takes out what a crash has left. */
#ifndef RATOON_LOG_LEFTOVERS_H
#define RATOON_LOG_LEFTOVERS_H

#include "log/references.h"

typedef struct ratoon__leftovers { /* zero-initialise */
    ratoon__digests values;
    ratoon_id *runs;
    size_t runs_count, runs_capacity;
    uint64_t head; /* of the lineage collected last */
} ratoon__leftovers;

void ratoon__leftovers_free(ratoon__leftovers *l);
/* Adds what a lineage has, and notes its head. */
ratoon_status ratoon__leftovers_collect(ratoon__leftovers *l, ratoon__driver *d, ratoon_id lineage,
                                        ratoon_error *error);
/* Adds those of another. */
ratoon_status ratoon__leftovers_add(ratoon__leftovers *l, const ratoon__leftovers *more,
                                    ratoon_error *error);
/* Writes them down, synced. Nothing where the store has no folder. */
ratoon_status ratoon__leftovers_note(const ratoon__leftovers *l, const char *store_path,
                                     ratoon_id lineage, ratoon_error *error);
/* Adds what is written down for a lineage. */
ratoon_status ratoon__leftovers_read(ratoon__leftovers *l, const char *store_path,
                                     ratoon_id lineage, ratoon_error *error);
void ratoon__leftovers_forget(const char *store_path, ratoon_id lineage);
/* Lineages for which something is written down: ids to be freed. */
ratoon_status ratoon__leftovers_list(const char *store_path, ratoon_id **out, size_t *count,
                                     ratoon_error *error);
/* Removes captured output and work folders of the runs, or with `count_only` counts them. */
void ratoon__leftovers_files(const ratoon__leftovers *l, const char *store_path, bool count_only,
                             uint64_t *files, uint64_t *bytes);

#endif
