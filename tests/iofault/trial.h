/* One operation on a store in which a call fails, and what must hold afterwards. */
#ifndef RATOON_TESTS_IOFAULT_TRIAL_H
#define RATOON_TESTS_IOFAULT_TRIAL_H

#include "tests/support/preload/fault.h"

#include <ratoon.h>

enum { KNOWN_MAX = 64 };

typedef struct known { /* what was acknowledged */
    ratoon_id run;
    int stage; /* its index; -1: the run itself */
    ratoon_stage_status status;
    bool gone; /* it was deleted */
} known;

typedef struct trial {
    char folder[4000]; /* all that the trial makes is in it */
    char store_path[4096], other_path[4096], third_path[4096];
    ratoon_store_options options;
    ratoon_store *store; /* NULL: not open */
    ratoon_pipeline *pipeline;
    ratoon_id old_run, old_failed; /* of the template: one that succeeded, one that failed */
    ratoon_error error;
    known known[KNOWN_MAX];
    unsigned known_count;
} trial;

typedef struct operation {
    const char *name;
    ratoon_durability mode;
    bool crashed; /* it begins with a store that was not closed */
    bool opens;   /* the store is not open before */
    bool closes;  /* it leaves it closed */
    ratoon_status (*act)(trial *t);
} operation;

extern const operation operations[];
extern const unsigned operations_count;

/* What goes into the template. */
void trial_fill(trial *t);
void trial_know(trial *t, ratoon_id run, int stage, ratoon_status status, ratoon_stage_status is);
ratoon_status trial_open(trial *t);
/* Creates a run and executes all of its stages; what was acknowledged is known. */
ratoon_status trial_run(trial *t, const char *key, bool fails, ratoon_id *run);

#endif
