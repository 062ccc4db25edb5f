/* What the files that decide share; not for others. */
#ifndef RATOON_CORE_DECIDE_INTERNAL_H
#define RATOON_CORE_DECIDE_INTERNAL_H

#include "core/decide.h"

/* ---- decide_common.c ---- */
/* A new event of the decision, zeroed but for type and run; NULL: out of memory. */
ratoon__event *ratoon__decision_add(ratoon__decision *d, ratoon__event_type type, ratoon_id run);
ratoon_status ratoon__no_memory(ratoon_error *error);
/* Says which run and stage (may be NULL) an error is about; gives its code back. */
ratoon_status ratoon__about(ratoon_error *error, ratoon_status code, ratoon_id run,
                            const char *stage);
/* Formatted text in the arena; NULL: out of memory. */
const char *ratoon__arena_text(ratoon__arena *a, const char *format, ...);
/* Moves the text into the arena and frees the buffer. NULL: out of memory. */
const char *ratoon__arena_take(ratoon__arena *a, ratoon__buf *b);
const char *ratoon__stage_name(const ratoon_pipeline *p, uint32_t stage);
bool ratoon__same_digest(const ratoon_digest *a, const ratoon_digest *b);
void ratoon__buf_digest(ratoon__buf *b, const ratoon_digest *d); /* hex */
/* "a, b, c", at most `most` of them, then "and N more". */
void ratoon__buf_list(ratoon__buf *b, const char *const *names, size_t count, size_t most);
/* NO_SUCH_STAGE with the list of stages (R03). */
ratoon_status ratoon__no_such_stage(const ratoon_pipeline *p, const char *name,
                                    ratoon_error *error);
/* LIMIT_EXCEEDED naming limit and size (S06). what: "subject". NULL text is fine. */
ratoon_status ratoon__name_check(const char *what, const char *text, ratoon_error *error);
ratoon_status ratoon__item_key_check(const char *key, ratoon_error *error);
ratoon_status ratoon__total_check(const char *stage, uint64_t total, ratoon_error *error);
/* Keys of values: names, not empty, each once. what: "output", "edit". */
ratoon_status ratoon__keys_check(const char *what, const ratoon__values *values,
                                 ratoon__arena *arena, ratoon_error *error);
/* R07: the lower of the pipeline's and the store's; either; the default. At most 64. */
uint32_t ratoon__depth_limit(const ratoon_pipeline *p, uint32_t store_max_depth);
/* Automatic branches allowed (A05): as asked for, or as the pipeline says. */
int32_t ratoon__auto_retry_of(const ratoon_pipeline *p, int32_t asked);
/* R08: the run that leaves no place for another, or NULL. self: the run that is to start, or the
 * parent of the one that is to be created; not counted itself. waiting: only runs in the queue
 * before self count of those that are queued. */
const ratoon__run *ratoon__place_taken(const ratoon__lineage *l, const ratoon__run *self,
                                       bool waiting, uint32_t max_active);
/* The stage's index in `to`, by name, or -1. */
int32_t ratoon__stage_mapped(const ratoon_pipeline *from, uint32_t stage,
                             const ratoon_pipeline *to);

/* ---- refusals: all that stands in the way, first one first ---- */
typedef struct ratoon__refusals { /* zero-initialise but for the arena */
    ratoon__arena *arena;
    ratoon__refusal *items;
    size_t count, capacity;
    ratoon__refusal lost; /* where one goes when out of memory */
} ratoon__refusals;
/* The new refusal, for its hint and other run; a throw-away one when out of memory. */
ratoon__refusal *ratoon__refuse(ratoon__refusals *r, ratoon_status code, const char *format, ...);
/* From an error: code, message, hint. */
void ratoon__refuse_error(ratoon__refusals *r, const ratoon_error *error);
/* OK where there is none; else fills in *error from the first. */
ratoon_status ratoon__refusals_first(const ratoon__refusals *r, ratoon_error *error);

/* ---- decide_params.c ---- */
typedef struct ratoon__params_request {
    const ratoon_pipeline *pipeline;
    const ratoon_pair *given;
    size_t given_count;
    const ratoon__param *secrets; /* keyed digests of secrets that were given */
    size_t secrets_count;
    const ratoon__param *old; /* of the parent */
    size_t old_count;
} ratoon__params_request;
/* Parameters of a run, in the order of their declaration: given, else the parent's, else the
 * default. What is wrong goes to the refusals and is left out. NO_MEMORY. */
ratoon_status ratoon__params_resolve(const ratoon__params_request *request, ratoon__arena *arena,
                                     ratoon__refusals *refusals, ratoon__param **out,
                                     size_t *count);
const ratoon__param *ratoon__param_of(const ratoon__param *params, size_t count, const char *name);

/* ---- decide_keys.c: required keys (S04) ---- */
/* Calls fn for each key the stage requires (foreach included), once each. */
size_t ratoon__required_count(const ratoon__stage_def *def);
const char *ratoon__required_key(const ratoon__stage_def *def, size_t i);
/* Whether the stage receives a value under the key: initial state, edits, outputs of ancestors. */
bool ratoon__key_received(const ratoon__run *r, uint32_t stage, const char *key);
/* The stage that declares producing it, an ancestor of `stage` if there is one; or -1. */
int32_t ratoon__key_producer(const ratoon_pipeline *p, uint32_t stage, const char *key);
bool ratoon__declares(const ratoon__stage_def *def, const char *key);
/* "a (produced by x), b (produced by no stage)" */
void ratoon__buf_missing(ratoon__buf *b, const ratoon__missing_key *missing, size_t count);
/* Required keys that a stage of a run does not receive, in the arena. */
ratoon_status ratoon__keys_missing(const ratoon__run *r, uint32_t stage, ratoon__arena *arena,
                                   ratoon__missing_key **out, size_t *count);

/* ---- decide_start.c ---- */
/* Whether a run can be started now, for decide_start() and the list of actions. */
ratoon_status ratoon__start_check(const ratoon__lineage *l, const ratoon__run *r,
                                  const ratoon__facts *facts, ratoon_error *error);

/* ---- decide_apply.c: operations of an executor ---- */
typedef struct ratoon__applying {   /* one operation, and what it is judged by */
    const ratoon__lineage *lineage; /* after the operations before it */
    const ratoon__run *run;
    ratoon__op *op;
    const ratoon_op *pub;
    const ratoon__facts *facts;
    ratoon__decision *out;
    uint32_t attempt_out;
    ratoon_run_status status_out;
    ratoon_error *error;
} ratoon__applying;
/* ILLEGAL_TRANSITION naming run, stage, the status it has and the one asked for (L03). why: more,
 * beginning with a blank or a colon, or "". */
ratoon_status ratoon__illegal_stage(const ratoon__applying *a, uint32_t stage, const char *asked,
                                    const char *why);
const char *ratoon__asked_of(const ratoon_op *op);
/* The stage an operation names, in a run that takes stage events (L04). */
ratoon_status ratoon__stage_of(const ratoon__applying *a, uint32_t *stage);
/* The same, running, and the operation of its present attempt. */
ratoon_status ratoon__running_of(const ratoon__applying *a, uint32_t *stage);

/* ---- decide_stage.c, decide_items.c, decide_end.c: one kind of operation each ---- */
ratoon_status ratoon__apply_stage_start(ratoon__applying *a);
ratoon_status ratoon__apply_stage_return(ratoon__applying *a);
ratoon_status ratoon__apply_stage_skip(ratoon__applying *a);
ratoon_status ratoon__apply_stage_refuse(ratoon__applying *a);
ratoon_status ratoon__apply_stage_progress(ratoon__applying *a);
ratoon_status ratoon__apply_stage_items(ratoon__applying *a);
ratoon_status ratoon__apply_consumes(ratoon__applying *a);
ratoon_status ratoon__apply_external_ref(ratoon__applying *a);
ratoon_status ratoon__apply_items(ratoon__applying *a, uint32_t stage);
ratoon_status ratoon__apply_stage_end(ratoon__applying *a, uint32_t stage);
ratoon_status ratoon__apply_finish(ratoon__applying *a);
/* The failure of an operation, completed (A02); in the arena. error_class: where none is given. */
ratoon_status ratoon__failure_of(const ratoon__applying *a, uint32_t stage,
                                 ratoon_class error_class, ratoon__failure *out);

/* ---- decide_cancel.c ---- */
ratoon_status ratoon__illegal_run(const ratoon__run *r, const char *asked, const char *why,
                                  ratoon_error *error);
/* Returns every running stage to pending, class INTERRUPTED (L08). */
ratoon_status ratoon__interrupt_stages(const ratoon__run *r, const char *message,
                                       ratoon__decision *out, ratoon_error *error);
/* Ends every running stage as cancelled. */
ratoon_status ratoon__cancel_stages(const ratoon__run *r, ratoon__decision *out,
                                    ratoon_error *error);
/* A stage whose failure nothing forgives, or -1. */
int32_t ratoon__unforgiven(const ratoon__run *r);
/* The same, but for what failed only because it was being cancelled (class CANCELLED): an outcome
 * that came before the cancelling was done (L03, L08). */
int32_t ratoon__unforgiven_but_cancelled(const ratoon__run *r);
int32_t ratoon__first_running(const ratoon__run *r);

#endif
