/* What is true for a run as long as it is executed: read once, handed to every stage. */
#ifndef RATOON_TOOLS_RUNNER_FACTS_H
#define RATOON_TOOLS_RUNNER_FACTS_H

#include "tools/runner/mask.h"

#include <ratoon.h>

typedef struct runner__facts {
    ratoon_store *store;
    const char *store_path; /* lent by the store, absolute */
    ratoon_id run;
    ratoon_run_info info; /* as it was when this was read */
    char run_text[RATOON_ID_TEXT], root_text[RATOON_ID_TEXT];
    ratoon_pipeline *pipeline;
    char *base_dir;      /* absolute */
    ratoon_pair *params; /* lent until ratoon_pairs_free(), without secrets */
    size_t params_count;
    ratoon_pair *secrets; /* owned */
    size_t secrets_count;
    runner__mask mask; /* of the secrets */
} runner__facts;

/* PARAM_INVALID where the value of a secret parameter is missing in the environment. */
ratoon_status runner__facts_load(ratoon_store *store, ratoon_id run, runner__facts *out,
                                 ratoon_error *error);
void runner__facts_free(runner__facts *facts);

/* Fills *error (may be NULL); returns code. */
ratoon_status runner__error(ratoon_error *error, ratoon_status code, int backend_code,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
