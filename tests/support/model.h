/* A reference model of the store: plain arrays and obvious loops, written from the rules alone
 * (docs/rules.md). It is the second opinion that tests/sim/model_test.c compares the library with.
 * Where the rules leave something open, the model says what it allows and takes over what the
 * library did. */
#ifndef RATOON_TESTS_MODEL_H
#define RATOON_TESTS_MODEL_H

#include "tests/support/support.h"

#include <ratoon.h>

enum {
    MODEL_STAGES_MAX = 12,
    MODEL_KEYS = 8,  /* state keys k0..k7 */
    MODEL_ITEMS = 6, /* item keys i0..i5 */
    MODEL_RUNS_MAX = 700,
    MODEL_PIPELINES = 6,
    MODEL_NAME_KEYS = 48, /* idempotency keys */
    MODEL_VALUE_TEXT = 2400,
};

/* Sets of answers: one bit a status. */
#define MODEL_BIT(n) (UINT64_C(1) << (n))
#define MODEL_OK MODEL_BIT(RATOON_OK)

typedef struct model_stage_def {
    char name[8];
    unsigned needs, ancestors, descendants; /* sets of stages, by index in the file */
    unsigned requires_keys, produces_keys;  /* sets of keys */
    bool allow_failure, commits, setup, foreach;
    int validates; /* or -1 */
} model_stage_def;

typedef struct model_pipeline {
    char name[16];
    unsigned count, version, max_depth, max_active; /* max_depth, max_active 0: not set */
    model_stage_def stages[MODEL_STAGES_MAX];
    unsigned order[MODEL_STAGES_MAX];
    bool params; /* declares `size` and `mode` */
    int scope;   /* 0 none, 1 "shared", 2 "by-${mode}" */
    /* [1]: the same, one version newer */
    ratoon_pipeline *lib[2];
} model_pipeline;

typedef struct model_value {
    unsigned id; /* 0: absent */
    int run;     /* that produced it */
    int stage;   /* -1: initial state or edit */
    unsigned attempt;
} model_value;
typedef struct model_state {
    model_value at[MODEL_KEYS];
} model_state;

typedef enum model_item { MODEL_ITEM_NONE, MODEL_ITEM_DONE, MODEL_ITEM_FAILED } model_item;

typedef struct model_stage {
    ratoon_stage_status status, reused_as;
    unsigned attempt;
    ratoon_class error_class;
    uint64_t not_before;
    model_state out;     /* what counts; of a committing stage also what was kept (R14) */
    model_state partial; /* of the last failed attempt */
    model_state own;     /* of the last attempt that gave any and was done */
    model_item items[MODEL_ITEMS];
    bool committed[MODEL_ITEMS];
    ratoon_items_mode mode;
    unsigned listed;
    unsigned unsure; /* items about which the rules don't say whether they are wanted */
} model_stage;

typedef struct model_run {
    ratoon_id id;
    int index, pipeline, variant, parent, root;
    unsigned depth, number;
    ratoon_run_status status;
    uint64_t epoch, created_at;
    bool queue, only;
    int from, until;
    char scope[24], subject[8];
    const char *mode; /* parameter */
    model_state initial, edits;
    model_stage stages[MODEL_STAGES_MAX];
    ratoon_run_status before_cancel; /* outcome when cancelling was asked for */
    /* Statuses that the rules leave open for how it ended, one bit each; 0: it is determined. */
    unsigned open;
    /* of a root: */
    uint64_t head, last_time;
    unsigned runs;
} model_run;

/* A request to create a run or a retry; integers only, so that equal requests have equal bytes. */
typedef struct model_request {
    int retry;
    int pipeline, subject; /* create */
    int parent;            /* retry; -1: an id that no run has */
    int from;              /* -1: not named; -2: an unknown name */
    int rerun, only, destructive, accept, partial, queue, no_exec, setup_too;
    int items_mode, items_given, listed;
    int size, mode, unknown; /* parameters: index of a text + 1, 0: not given */
    int values, values_base; /* initial state or edits: set of keys, id of the first value */
    int given;               /* definition given: 0 none, else variant + 1 */
    int target, until, auto_retry;
} model_request;

typedef struct model_named {
    bool used;
    model_request request;
    int run;
} model_named;

typedef struct model {
    model_pipeline pipelines[MODEL_PIPELINES];
    model_run runs[MODEL_RUNS_MAX];
    int runs_count;
    unsigned store_max_depth; /* 0: not set */
    unsigned next_value;
    uint64_t now; /* of the store's clock */
    model_named named[MODEL_NAME_KEYS];
} model;

/* What a request for a retry would do. */
typedef struct model_plan {
    uint64_t must, may; /* refusals: those the rules demand, those they leave open */
    int requested, effective;
    unsigned run, reuse;
    unsigned depth, limit;
    bool may_wait, must_wait; /* with queue: created queued */
} model_plan;

typedef struct model_op { /* one change by an executor */
    ratoon_op_kind kind;
    int stage; /* -2: an unknown name */
    unsigned attempt;
    ratoon_stage_status status;
    unsigned values, values_base;
    ratoon_class error_class;
    uint64_t delay_ms;
    int item;
    bool item_failed, item_committed, interrupted;
} model_op;

extern const char *const model_sizes[10]; /* the first five fit the declaration */
extern const char *const model_modes[3];  /* the first two do */

/* ---- pipelines ---- */
void model_pipeline_random(model_pipeline *p, int index, support_prng *prng);
void model_pipeline_free(model_pipeline *p);
/* Bytes of a value; every thirteenth is longer than what is kept inline. */
size_t model_value_text(unsigned id, char text[MODEL_VALUE_TEXT]);

/* ---- facts about runs ---- */
const model_pipeline *model_pipeline_of(const model *m, const model_run *r);
unsigned model_version_of(const model *m, const model_run *r);
bool model_done(const model_stage *s);
ratoon_stage_status model_counts_as(const model_stage *s);
bool model_failed_for_good(const model *m, const model_run *r);
/* L05; SUSPENDED where stages are left. */
ratoon_run_status model_outcome(const model *m, const model_run *r);
/* S02: overlay of the stages in `near`. */
void model_overlay(const model *m, const model_run *r, unsigned near, model_state *out);
/* boundary: 0 start, 1 end, 2 before, 3 after */
void model_state_at(const model *m, const model_run *r, int boundary, unsigned stage,
                    model_state *out);
void model_input(const model *m, const model_run *r, unsigned stage, model_state *out);
bool model_item_wanted(const model_stage *s, unsigned item);
/* L09: -1 none. status 0: any; subject NULL: any. The newest first; gives the count. */
int model_list(const model *m, ratoon_run_status status, bool in_flight, const char *subject,
               int out[MODEL_RUNS_MAX]);

/* ---- changes ---- */
/* What may be answered to a sequence of operations; *after: the run if it is accepted. */
uint64_t model_apply(const model *m, const model_run *r, uint64_t epoch, const model_op *ops,
                     size_t count, model_run *after);
uint64_t model_cancel(const model *m, const model_run *r, model_run *after);
uint64_t model_start(const model *m, const model_run *r, int given, bool accept, model_run *after);
/* Takes over how the run ended, where that is left open; false where it may not be. */
bool model_settle(model_run *r, ratoon_run_status got);
void model_interrupt(const model *m, model_run *r); /* L08 */
uint64_t model_create(const model *m, const model_request *q, model_run *after);
void model_plan_retry(const model *m, const model_request *q, model_plan *out);
void model_branch(const model *m, const model_request *q, const model_plan *plan, model_run *after);

#endif
