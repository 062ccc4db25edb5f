/* What the files of the retry planner share; not for others. */
#ifndef RATOON_CORE_PLAN_H
#define RATOON_CORE_PLAN_H

#include "core/decide_internal.h"

/* A retry being planned. Steps run in the order of their declarations below; each adds what it
 * finds to the plan and what stands in the way to the refusals, and goes on with what the ones
 * before could determine. Out of memory: arena->failed. */
typedef struct ratoon__planning {
    const ratoon__lineage *lineage;
    const ratoon__run *parent;
    const ratoon_pipeline *pipeline; /* of the branch */
    const ratoon__retry_request *request;
    const ratoon_retry_options *options;
    const ratoon__facts *facts;
    ratoon__arena *arena;
    ratoon__plan *plan;
    ratoon__refusals refusals;
    int32_t *in_parent; /* per stage of the pipeline: its index in the parent, or -1 */
    uint64_t *rerun;    /* set of stages that would execute; NULL: not determined */
    ratoon__param *params;
    size_t params_count;
    bool params_good; /* all of them are determined */
    const char *scope;
    int32_t until;
    bool waits; /* created queued, for another run to end */
    ratoon__stage_plan *plans;
    size_t plans_count;
    ratoon__run *branch; /* as it would be, once ratoon__plan_branch() was asked for it */
} ratoon__planning;

/* ---- plan_stages.c: what runs (R02, R03, R05, R06, R11, R16, R25) ---- */
/* The parent's stage, or NULL where it has none of that name. */
const ratoon__stage *ratoon__plan_stage(const ratoon__planning *c, uint32_t stage);
bool ratoon__plan_done(const ratoon__planning *c, uint32_t stage); /* in the parent */
bool ratoon__plan_reruns(const ratoon__planning *c, uint32_t stage);
/* Whether a stage before this one would execute. */
bool ratoon__plan_upstream_reruns(const ratoon__planning *c, uint32_t stage);
void ratoon__plan_stages(ratoon__planning *c);

/* ---- plan_params.c: parameters, definition, depth, places (R07, R08, R10, R12, R16, R17) ---- */
void ratoon__plan_params(ratoon__planning *c);
void ratoon__plan_limits(ratoon__planning *c);

/* ---- plan_items.c: items and committed things (R13, R14) ---- */
void ratoon__plan_items_modes(ratoon__planning *c);
void ratoon__plan_items_counts(ratoon__planning *c);

/* ---- plan_state.c: edits, required keys, files (R24, S03, S04, S10) ---- */
/* A stage that would execute before `stage` may provide the key: it declares it, produced it in
 * the parent, or declares nothing. */
bool ratoon__plan_may_provide(const ratoon__planning *c, uint32_t stage, const char *key);
void ratoon__plan_edits(ratoon__planning *c);
void ratoon__plan_missing(ratoon__planning *c);
void ratoon__plan_files(ratoon__planning *c);

/* ---- plan_event.c ---- */
/* run.branched and run.created. */
bool ratoon__plan_events(const ratoon__planning *c, ratoon__decision *out);
/* The run that these events make: the fold is what says what the branch would be. Made when it is
 * asked for first, once edits and items' modes are planned: a plan for stages without items and
 * required keys needs none. NULL: not determined, or out of memory. */
const ratoon__run *ratoon__plan_branch(ratoon__planning *c);

/* ---- plan_canonical.c (R15) ---- */
void ratoon__plan_canonical(const ratoon__planning *c);

#endif
