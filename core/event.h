/* Events as C structs. A decoded event points into the commit's buffer (strings NUL-terminated
 * there) and into the arena that was given to the decoder; it owns nothing. */
#ifndef RATOON_CORE_EVENT_H
#define RATOON_CORE_EVENT_H

#include "core/pipeline.h"

/* A value by reference: inline bytes, or the digest of stored ones. */
typedef struct ratoon__value_ref {
    const char *key;        /* "" where there is none (item outputs) */
    const char *media_type; /* never NULL */
    ratoon_digest digest;   /* always set */
    uint64_t size;
    const void *data; /* NULL: stored by digest */
} ratoon__value_ref;

typedef struct ratoon__values {
    const ratoon__value_ref *items;
    size_t count;
} ratoon__values;

typedef struct ratoon__param {
    const char *name;
    const char *text; /* canonical; of a secret: "hmac-sha256:HEX" */
    bool secret;
} ratoon__param;

typedef struct ratoon__override { /* R12 */
    const char *name;
    const char *old_text, *new_text; /* "" where there was none */
    bool secret;
} ratoon__override;

typedef struct ratoon__edit { /* R24; also partial outputs that were included (S03) */
    ratoon__value_ref value;
    ratoon_digest old_digest;
    bool had_old;
    bool partial;
} ratoon__edit;

/* What a branch does with one stage of its rerun set that has items (R13, R14). */
typedef struct ratoon__stage_plan {
    uint32_t stage; /* index in the branch's pipeline */
    ratoon_items_mode mode;
    bool keep_done;            /* done items of the parent are kept (but the listed ones) */
    bool keep_committed;       /* committed items are kept in any case */
    bool keep_failed;          /* failed ones stay as they are, for LISTED */
    bool keep_outputs;         /* R14: a committing stage without items: its old output stays */
    const char *const *listed; /* for LISTED; also protected keys are not here */
    size_t listed_count;
    const char *const *kept; /* more keys that are kept: protected by a committed item downstream */
    size_t kept_count;
} ratoon__stage_plan;

typedef struct ratoon__failure {
    ratoon_class error_class; /* NONE: no failure */
    const char *message;
    const char *detail; /* may be NULL */
    bool retryable;
    const ratoon__override *suggested; /* old and new text of each adjusted parameter */
    size_t suggested_count;
} ratoon__failure;

/* X(NAME, value, type name in documents). Values are the schema's; they never change. */
#define RATOON__EVENT_LIST(X)                                                                      \
    X(RUN_CREATED, 1, "run.created")                                                               \
    X(RUN_BRANCHED, 2, "run.branched")                                                             \
    X(RUN_STARTED, 3, "run.started")                                                               \
    X(RUN_CANCEL_REQUESTED, 4, "run.cancel_requested")                                             \
    X(RUN_SUSPENDED, 5, "run.suspended")                                                           \
    X(RUN_ENDED, 6, "run.ended")                                                                   \
    X(RUN_EXTERNAL_REF, 7, "run.external_ref")                                                     \
    X(RUN_ANNOTATED, 8, "run.annotated")                                                           \
    X(RUN_CONSUMED_BY, 9, "run.consumed_by")                                                       \
    X(STAGE_STARTED, 10, "stage.started")                                                          \
    X(STAGE_ENDED, 11, "stage.ended")                                                              \
    X(STAGE_RETURNED, 12, "stage.returned")                                                        \
    X(STAGE_PROGRESS, 13, "stage.progress")                                                        \
    X(STAGE_ITEMS, 14, "stage.items")                                                              \
    X(ITEM_ENDED, 15, "item.ended")                                                                \
    X(STAGE_CONSUMED, 16, "stage.consumed")                                                        \
    X(LINEAGE_DELETED, 17, "lineage.deleted")                                                      \
    X(RUN_PIPELINE_CHANGED, 18, "run.pipeline_changed")

typedef enum ratoon__event_type {
#define X(name, value, text) RATOON__EVENT_##name = value,
    RATOON__EVENT_LIST(X)
#undef X
} ratoon__event_type;
const char *ratoon__event_type_name(ratoon__event_type type); /* "" for an unknown one */

typedef struct ratoon__run_created {
    ratoon_id root, parent; /* parent zero for a root; then root is the run itself */
    uint32_t depth, number;
    uint32_t max_depth;       /* the limit in force when it was created */
    ratoon_run_status status; /* QUEUED or RUNNING (then executor and epoch 1) */
    const char *pipeline_name;
    uint64_t pipeline_version;
    ratoon_digest pipeline_digest;              /* its canonical form is a stored value */
    const char *base_dir, *file;                /* may be NULL */
    const char *subject, *scope, *external_ref; /* may be NULL */
    const ratoon__param *params;
    size_t params_count;
    ratoon__values state; /* initial state; of a branch empty: it is the parent's */
    const ratoon_pair *labels;
    size_t labels_count;
    const char *actor, *reason, *cause; /* may be NULL */
    bool automatic;
    int32_t auto_retry;
    const char *key;       /* idempotency key, may be NULL */
    ratoon_digest request; /* of the request, for R09 */
    int32_t until;
    ratoon_id executor;
    uint64_t target;
    /* of a branch only: */
    uint64_t parent_event;                    /* event number in the lineage that it springs from */
    int32_t requested_stage, effective_stage; /* indices, -1: none */
    const char *boundary;                     /* "before:STAGE" */
    bool rerun, only, destructive, queued_by_request;
    ratoon_items_mode items_mode;
    const ratoon__override *overrides;
    size_t overrides_count;
    const ratoon__edit *edits;
    size_t edits_count;
    const uint32_t *rerun_set; /* indices of the stages that are pending in it */
    size_t rerun_set_count;
    const ratoon__stage_plan *plans;
    size_t plans_count;
    /* not on disk: the definition, resolved by whoever decodes, before folding */
    const ratoon_pipeline *pipeline;
} ratoon__run_created;

typedef struct ratoon__capture {
    bool present;
    ratoon_capture c;
} ratoon__capture;

typedef struct ratoon__event {
    ratoon__event_type type;
    ratoon_id run; /* the run it is about */
    union {
        ratoon__run_created created;
        struct {
            ratoon_id child;
            int32_t from_stage;
            uint32_t depth;
        } branched;
        struct {
            uint64_t epoch;
            ratoon_id executor;
            int32_t until;
            const char *actor;
        } started;
        struct {
            const char *actor, *reason; /* may be NULL */
        } cancel_requested;
        struct {
            ratoon_class error_class; /* INTERRUPTED, or NONE for --until and only */
            const char *reason;
        } suspended;
        struct {
            ratoon_run_status status; /* terminal */
            const char *reason;       /* may be NULL */
        } ended;
        struct {
            const char *ref;
        } external_ref;
        struct {
            const char *text, *actor;
        } annotated;
        struct {
            ratoon_id consumer; /* run that used the result of this one */
            ratoon_id consumer_root;
            const char *stage;
        } consumed_by;
        struct { /* all stage.* and item.*: stage is the index in the run's pipeline */
            uint32_t stage, attempt;
        } stage_started;
        struct {
            uint32_t stage, attempt;
            ratoon_stage_status status;
            ratoon__values outputs; /* of a failed stage: partial ones */
            ratoon__failure failure;
            const char *reason; /* of degraded and skipped; may be NULL */
            ratoon__capture capture;
            bool has_progress;
            uint64_t done, total;
            const char *progress_message;
        } stage_ended;
        struct {
            uint32_t stage, attempt;
            ratoon__failure failure; /* INTERRUPTED, or what the policy retries */
            uint64_t delay_ms;
            ratoon__values partial;
            ratoon__capture capture;
        } stage_returned;
        struct {
            uint32_t stage, attempt;
            uint64_t done, total;
            const char *message;
        } progress;
        struct {
            uint32_t stage, attempt;
            uint64_t total;
        } items;
        struct {
            uint32_t stage, attempt;
            const char *key;
            bool failed, committed;
            bool has_output;
            ratoon__value_ref output;
            ratoon_class error_class;
            const char *error; /* may be NULL */
            ratoon__capture capture;
        } item;
        struct {
            uint32_t stage, attempt;
            ratoon_id run, root; /* whose result */
        } consumed;
        struct {
            uint64_t commits, events, runs; /* what was there */
            const char *actor;
        } deleted;
        struct { /* resume with accepted changes (R16) */
            ratoon_digest old_digest, new_digest;
            uint64_t version;
            const ratoon_pipeline *pipeline; /* not on disk */
        } pipeline_changed;
    } u;
} ratoon__event;

typedef struct ratoon__commit {
    ratoon_id id, lineage;
    uint64_t number;      /* from 1 */
    uint64_t first_event; /* number of its first event in the lineage, from 1 */
    uint64_t time_us;
    ratoon_digest previous; /* SHA-256 of the bytes of the commit before; zero for the first */
    const char *writer;
    const ratoon__event *events;
    size_t events_count;
} ratoon__commit;

#endif
