/* Derived rows (Q03), to be compared. */
#ifndef RATOON_TESTS_DERIVED_H
#define RATOON_TESTS_DERIVED_H

#include "core/mem.h"

typedef struct support_names { /* what there may be in the store */
    const char *const *subjects;
    size_t subjects_count;
    const char *const *pipelines;
    size_t pipelines_count;
} support_names;

/* Every list there is and every claim, as lines. */
ratoon_status support_derived_dump(ratoon_store *store, const support_names *names,
                                   ratoon__buf *out, ratoon_error *error);
/* Throws it all away and has it made anew. This process owns the store. */
ratoon_status support_derived_rebuild(ratoon_store *store, ratoon_error *error);

#endif
