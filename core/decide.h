/* Decisions: given a projection and a request, either events to append or a refusal. Pure: time,
 * ids, digests and everything found outside the lineage come in as facts. Preview and execution of
 * a retry are the same function. */
#ifndef RATOON_CORE_DECIDE_H
#define RATOON_CORE_DECIDE_H

#include "core/projection.h"

/* Events decided on; all memory in the arena. */
typedef struct ratoon__decision {
    ratoon__arena *arena;
    ratoon__event *events;
    size_t count, capacity;
} ratoon__decision;

typedef struct ratoon__facts {
    uint64_t now_us;          /* time of the commit: max(clock, last time of the lineage) (L13) */
    const char *actor;        /* who asks; may be NULL */
    ratoon_id executor;       /* of the process that asks */
    uint32_t store_max_depth; /* 0: not set */
    const char *const *changed_files; /* "KEY: PATH is missing", one per changed file (S10) */
    size_t changed_files_count;
    const char *pipeline_differences; /* lines; NULL: none, or no other definition was given */
    const char *claimed_scope;        /* scope that another run holds, or NULL (R10) */
    ratoon_id claimed_by;
} ratoon__facts;

/* ---- creating (R12, R17, S01) ---- */
typedef struct ratoon__create_request {
    ratoon_id run; /* new */
    const ratoon_pipeline *pipeline;
    const ratoon_pair *params; /* as asked for */
    size_t params_count;
    const ratoon__param *secrets; /* keyed digests of the given secrets, text filled in */
    size_t secrets_count;
    ratoon__values state;
    const ratoon_pair *labels;
    size_t labels_count;
    const char *subject, *file, *key, *reason, *until, *external_ref;
    ratoon_digest request;
    uint64_t target;
    bool no_exec;
    int32_t auto_retry;
} ratoon__create_request;
ratoon_status ratoon__decide_create(const ratoon__create_request *request,
                                    const ratoon__facts *facts, ratoon__decision *out,
                                    ratoon_error *error);
/* The scope with its ${param} filled in, in the arena; NULL where the pipeline has none. Values of
 * secrets never go in. PARAM_INVALID for an unknown name. */
ratoon_status ratoon__scope_of(const ratoon_pipeline *p, const ratoon__param *params, size_t count,
                               ratoon__arena *arena, const char **out, ratoon_error *error);

/* The scope of the run that a request would create, for looking up its holder (R10): goes into
 * facts->claimed_scope. NULL where there is none. PARAM_INVALID as by the decision itself. */
ratoon_status ratoon__create_scope(const ratoon__create_request *request, ratoon__arena *arena,
                                   const char **out, ratoon_error *error);

/* ---- retry: plan, refusals, events (R01-R17, R24, R25, S03, S04) ---- */
typedef struct ratoon__retry_request {
    ratoon_id run;                       /* of the branch, new */
    const ratoon_retry_options *options; /* parent, from, flags */
    const ratoon__param *secrets;
    size_t secrets_count;
    const ratoon__value_ref *edits; /* as options->edits, with digests */
    size_t edits_count;
    ratoon_digest request;
    bool no_token; /* nobody asks for the plan's token: its canonical bytes are not made */
} ratoon__retry_request;

typedef struct ratoon__refusal {
    ratoon_status code;
    const char *message, *hint; /* hint may be NULL */
    ratoon_id other;
} ratoon__refusal;
typedef struct ratoon__missing_key {
    const char *key;
    const char *required_by;
    const char *produced_by; /* stage that declares it, or NULL */
} ratoon__missing_key;
typedef struct ratoon__plan_items {
    uint32_t stage;
    bool known; /* false: run and reset aren't known before an upstream stage ran */
    uint64_t keep, run, reset, drop;
} ratoon__plan_items;

/* In the arena, but for the stages' names: those are the pipeline's. */
typedef struct ratoon__plan {
    ratoon__arena *arena;            /* given by the caller where only a plan is asked for */
    const ratoon_pipeline *pipeline; /* of the branch */
    int32_t requested, effective;    /* -1: could not be determined */
    const char *boundary;            /* "before:STAGE" or "" */
    uint32_t *run;                   /* stages that would execute, topological order */
    size_t run_count;
    uint32_t *reuse;
    size_t reuse_count;
    bool *stale; /* one per stage: reused but downstream of what runs (R25) */
    ratoon__plan_items *items;
    size_t items_count;
    ratoon__override *overrides;
    size_t overrides_count;
    ratoon__edit *edits;
    size_t edits_count;
    ratoon__missing_key *missing;
    size_t missing_count;
    uint32_t depth, max_depth;
    ratoon_id waits_for;        /* with queue: the active run it would wait for */
    uint64_t committed_dropped; /* committed things that `destructive` would drop */
    ratoon__refusal *refusals;
    size_t refusals_count;
    ratoon__buf canonical; /* bytes that the plan token is the digest of; free it */
} ratoon__plan;

/* Plans, and where nothing refuses, decides: run.branched on the parent and run.created. Returns
 * OK with out filled in, or the first refusal's code (also in *error). plan is filled in either way
 * (but for NOT_FOUND and NO_MEMORY). out NULL: plan only, in plan->arena; else all is in
 * out->arena. The caller compares the plan token and
 * the idempotency key; those need digests and look-ups. Values of the state that a reused stage
 * hands on are checked by the caller beforehand through ratoon__retry_state(). */
ratoon_status ratoon__decide_retry(const ratoon__lineage *l, const ratoon__retry_request *request,
                                   const ratoon__facts *facts, ratoon__plan *plan,
                                   ratoon__decision *out, ratoon_error *error);
/* State that a branch would start from (with edits), for checking its files (S10). */
ratoon_status ratoon__retry_state(const ratoon__lineage *l, const ratoon__retry_request *request,
                                  const ratoon__facts *facts, ratoon__arena *arena,
                                  ratoon__state_view *out);

/* Scope that the branch would hold (R10), with its parameters after the overrides, in the arena;
 * NULL: none. PARAM_INVALID where a parameter does not fit. */
ratoon_status ratoon__retry_scope(const ratoon__run *parent, const ratoon__retry_request *request,
                                  ratoon__arena *arena, const char **out);
/* ---- life cycle ---- */
typedef struct ratoon__op {
    const ratoon_op *op;                   /* as asked for */
    ratoon__values outputs;                /* op->outputs with digests */
    const ratoon__value_ref *item_outputs; /* one per op->items; size 0 and no data: none */
    ratoon_id consumed_root;               /* of op->run, for CONSUMES */
} ratoon__op;

/* Start or resume (L03, L08, R08, R10, R16). *epoch: the new one. pipeline: a new definition that
 * was accepted, or NULL. facts->pipeline_differences: of one that was given and not accepted;
 * facts->changed_files: likewise. */
ratoon_status ratoon__decide_start(const ratoon__lineage *l, ratoon_id run, const char *until,
                                   const ratoon_pipeline *pipeline, const ratoon__facts *facts,
                                   ratoon__decision *out, uint64_t *epoch, ratoon_error *error);
/* Operations of an executor, in order, each judged by the projection after the ones before it.
 * attempt_out and run_status_out of ops are set only when all were accepted. */
ratoon_status ratoon__decide_apply(const ratoon__lineage *l, ratoon_id run, uint64_t epoch,
                                   ratoon__op *ops, size_t count, ratoon_op *public_ops,
                                   const ratoon__facts *facts, ratoon__decision *out,
                                   ratoon_error *error);
/* No events and CANCELLING where that was asked for already. */
ratoon_status ratoon__decide_cancel(const ratoon__lineage *l, ratoon_id run, const char *reason,
                                    const ratoon__facts *facts, ratoon__decision *out,
                                    ratoon_run_status *status, ratoon_error *error);
/* L08: what becomes of a run whose executor is gone. No events where there is nothing to do. */
ratoon_status ratoon__decide_recover(const ratoon__lineage *l, ratoon_id run,
                                     const ratoon__facts *facts, ratoon__decision *out,
                                     ratoon_error *error);
ratoon_status ratoon__decide_annotate(const ratoon__lineage *l, ratoon_id run, const char *text,
                                      const ratoon__facts *facts, ratoon__decision *out,
                                      ratoon_error *error);

/* Deleting (R20): the mark that is to stand for all commits of the lineage. */
typedef struct ratoon__delete_request {
    ratoon_id run;         /* any of the lineage */
    bool whole;            /* its branches too; else HAS_BRANCHES where it has any */
    uint64_t ended_before; /* CONFLICT unless the lineage ended before that; 0: any time */
} ratoon__delete_request;
ratoon_status ratoon__decide_delete(const ratoon__lineage *l, const ratoon__delete_request *request,
                                    const ratoon__facts *facts, ratoon__decision *out,
                                    ratoon_error *error);
/* When the last of its runs ended; 0 while one is active, or the newest one may go on. */
uint64_t ratoon__lineage_ended_at(const ratoon__lineage *l);

/* Whether a decision has an event that ends a stage or run in failure (L06). */
bool ratoon__decision_has_failure(const ratoon__decision *d);

/* ---- claims: names that are unique across lineages ---- */
typedef struct ratoon__claim {
    const char *name; /* "scope:NAME", "key:KEY" or "consumed:ROOT:CONSUMER" */
    ratoon_id run;    /* that takes or releases it */
    bool take;        /* else release, if this run holds it */
} ratoon__claim;
/* Whether events are of stages and items alone, and so change no claim and nothing that a run is
 * listed by. before: what they follow. */
bool ratoon__events_quiet(const ratoon__lineage *before, const ratoon__event *events, size_t count);
/* Claims that go with a commit: scopes taken and released as runs become active or cease to be,
 * keys taken by created runs, consumers' names as stages use results of other lineages, and start
 * again without or are dropped by another definition (R22). before may be NULL. In the arena. */
ratoon_status ratoon__claims_of(const ratoon__lineage *before, const ratoon__lineage *after,
                                const ratoon__event *events, size_t count, ratoon__arena *arena,
                                ratoon__claim **out, size_t *out_count);

/* All names of a lineage as it is now, in the arena. Taken: each run's key, the scope of each
 * active one, and "consumed:ROOT:CONSUMER" for each lineage whose results it uses, by which it is
 * found as their consumer (R22). Not taken (take: false): scopes of runs that are not active, and
 * consumers' names that it had in `before`, an earlier version of it, and has no more. before may
 * be NULL. */
ratoon_status ratoon__claims_since(const ratoon__lineage *before, const ratoon__lineage *l,
                                   ratoon__arena *arena, ratoon__claim **out, size_t *out_count);

/* ---- what can be done now (A03) ---- */
typedef struct ratoon__actions { /* why_not: "" where available; in the arena */
    bool retry, cancel, resume;
    const char *retry_why_not, *cancel_why_not, *resume_why_not;
    int32_t requested_stage; /* what a retry without a stage asks for, -1 */
    int32_t from_stage;      /* and starts from: another one where that is a validator (R11) */
    const ratoon__override *suggested;
    size_t suggested_count;
} ratoon__actions;
ratoon_status ratoon__actions_of(const ratoon__lineage *l, const ratoon__run *r,
                                 uint32_t store_max_depth, ratoon__arena *arena,
                                 ratoon__actions *out);
/* The stage a retry without a name starts from (R06), or -1. */
int32_t ratoon__retry_default_stage(const ratoon__run *r);
/* Suggested overrides and retryability of a failure from the stage's adjusters (A02). */
ratoon_status ratoon__failure_complete(const ratoon__run *r, uint32_t stage, ratoon__failure *f,
                                       ratoon__arena *arena);

/* ---- explanation (R26) ---- */
typedef struct ratoon__because {
    const char *kind; /* request parameter edit upstream pipeline not_done items first_run */
    const char *name, *old_text, *new_text; /* may be NULL */
} ratoon__because;
typedef struct ratoon__explanation {
    bool ran;
    ratoon__because *because;
    size_t because_count;
    ratoon_id parent;                  /* zero for a root */
    ratoon_stage_status parent_status; /* 0 where the parent has no such stage */
} ratoon__explanation;
ratoon_status ratoon__explain(const ratoon__lineage *l, const ratoon__run *r, uint32_t stage,
                              ratoon__arena *arena, ratoon__explanation *out);

#endif
