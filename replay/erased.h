/* Deleted lineages (R20), as the log shows them. */
#ifndef RATOON_REPLAY_ERASED_H
#define RATOON_REPLAY_ERASED_H

#include "log/store.h"

/* Whether a lineage's commits are gone and a mark stands for them. Its projection doesn't tell: a
 * mark that somebody put behind commits would make that "deleted", too. */
ratoon_status ratoon__erased_check(ratoon_store *store, ratoon_id lineage, bool *erased,
                                   ratoon_error *error);
/* The same; false too where it can't be read. */
bool ratoon__is_erased(ratoon_store *store, ratoon_id lineage);

#endif
