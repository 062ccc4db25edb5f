/* ratoon: an embedded, event-sourced state backend for multi-stage pipelines.
 *
 * This header is the specification of the library. Conventions, true for every function unless its
 * comment says otherwise:
 *   - A fallible function returns ratoon_status; 0 is RATOON_OK. On failure its outputs are
 *     untouched, and *error (may be NULL) says what was found, what was expected and what to do.
 *   - A place for a result may be NULL where the function's comment says so; any other that is NULL
 *     is refused (USAGE) before anything is done.
 *   - `const T *` and strings that are passed in are borrowed for the call. A `T **out` or a
 *     ratoon_buffer is given to the caller, who frees it with the function its comment names.
 *     A plain pointer returned by a getter is lent until the object it came from is freed.
 *   - Strings are NUL-terminated UTF-8. Times are microseconds since 1970-01-01 UTC; durations
 *     carry their unit in the name.
 *   - Any thread may call any function on a store at any time, but ratoon_store_close(), which must
 *     be the last. Other handles (feed, state, list of items) belong to one thread at a time.
 *   - An acknowledged change is as durable as the store's durability mode says; in the default mode
 *     it is on disk. A stage or run that ends in failure is on disk in every mode but NONE.
 */
#ifndef RATOON_H
#define RATOON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RATOON_VERSION_MAJOR 0
#define RATOON_VERSION_MINOR 1
#define RATOON_VERSION_PATCH 0

#if defined(__GNUC__)
#define RATOON_API __attribute__((visibility("default")))
#define RATOON_MUST_USE __attribute__((warn_unused_result))
#else
#define RATOON_API
#define RATOON_MUST_USE
#endif

/* ------------------------------------------------------------------ statuses and closed sets */

/* X(NAME, value, exit code of the command, text): RATOON_ERR_NAME. Users see the bare name. */
#define RATOON_STATUS_LIST(X)                                                                      \
    X(USAGE, 1, 2, "bad argument")                                                                 \
    X(PIPELINE_INVALID, 2, 2, "the pipeline definition is not valid")                              \
    X(NOT_FOUND, 3, 3, "no such store, run or key")                                                \
    X(NO_SUCH_STAGE, 4, 4, "the pipeline has no such stage")                                       \
    X(RUN_ACTIVE, 5, 4, "the run is active")                                                       \
    X(STAGE_NEVER_RAN, 6, 4, "the stage never started in the parent run")                          \
    X(STAGE_SUCCEEDED, 7, 4, "the stage succeeded; going back to it is a rerun")                   \
    X(DEPTH_LIMIT, 8, 4, "the chain of retries is at its limit")                                   \
    X(BRANCH_ACTIVE, 9, 4, "another run of the lineage is active")                                 \
    X(KEY_REUSED, 10, 4, "the idempotency key was used for a different request")                   \
    X(SCOPE_BUSY, 11, 4, "the scope is held by an active run")                                     \
    X(PARAM_INVALID, 12, 4, "a parameter does not fit its declaration")                            \
    X(PLAN_STALE, 13, 4, "the retry would now do something else than the plan")                    \
    X(PIPELINE_CHANGED, 14, 4, "the pipeline definition differs from the run's")                   \
    X(VERSION_AHEAD, 15, 4, "the target version is ahead of the definition")                       \
    X(HAS_BRANCHES, 16, 4, "the lineage has more than one run")                                    \
    X(MISSING_KEYS, 17, 4, "required state keys are absent")                                       \
    X(LIMIT_EXCEEDED, 18, 4, "a limit is exceeded")                                                \
    X(FILE_CHANGED, 19, 4, "a file that the state refers to is missing or changed")                \
    X(ILLEGAL_TRANSITION, 20, 4, "the change is not legal in the present status")                  \
    X(FENCED, 21, 4, "the run was taken over by a newer executor")                                 \
    X(CONFLICT, 22, 4, "the lineage changed meanwhile")                                            \
    X(CLAIMED, 23, 4, "the name is held by another run")                                           \
    X(STORE_BUSY, 24, 5, "the store is in use and its owner can't be reached")                     \
    X(DAMAGED, 25, 6, "the store is damaged")                                                      \
    X(IO, 26, 7, "input/output error")                                                             \
    X(READ_ONLY, 27, 7, "the store is read-only after an error; reopen it")                        \
    X(NO_MEMORY, 28, 7, "out of memory")                                                           \
    X(EXISTS, 29, 2, "it exists already")                                                          \
    X(TIMED_OUT, 30, 7, "the time is up")                                                          \
    X(UNSUPPORTED, 31, 2, "not supported by this version")                                         \
    X(AMBIGUOUS, 32, 2, "more than one run fits")                                                  \
    X(QUEUE_FULL, 33, 7, "as many requests are in flight as the queue takes")                      \
    X(CLOSED, 34, 7, "it is being closed")

typedef enum ratoon_status {
    RATOON_OK = 0,
#define X(name, value, exit_code, text) RATOON_ERR_##name = value,
    RATOON_STATUS_LIST(X)
#undef X
} ratoon_status;

/* Name ("DEPTH_LIMIT"), text, and exit code of the command for a status. Never NULL. */
RATOON_API const char *ratoon_status_name(ratoon_status status);
RATOON_API const char *ratoon_status_text(ratoon_status status);
RATOON_API int ratoon_status_exit_code(ratoon_status status);

/* Run status (L01). Active: QUEUED, RUNNING, CANCELLING. Terminal: SUCCEEDED and after. */
#define RATOON_RUN_STATUS_LIST(X)                                                                  \
    X(QUEUED, 1, "queued")                                                                         \
    X(RUNNING, 2, "running")                                                                       \
    X(CANCELLING, 3, "cancelling")                                                                 \
    X(SUSPENDED, 4, "suspended")                                                                   \
    X(SUCCEEDED, 5, "succeeded")                                                                   \
    X(DEGRADED, 6, "degraded")                                                                     \
    X(FAILED, 7, "failed")                                                                         \
    X(CANCELLED, 8, "cancelled")
typedef enum ratoon_run_status {
#define X(name, value, text) RATOON_RUN_##name = value,
    RATOON_RUN_STATUS_LIST(X)
#undef X
} ratoon_run_status;

/* Stage status (L02). Done: SUCCEEDED, DEGRADED, SKIPPED, REUSED. */
#define RATOON_STAGE_STATUS_LIST(X)                                                                \
    X(PENDING, 1, "pending")                                                                       \
    X(RUNNING, 2, "running")                                                                       \
    X(SUCCEEDED, 3, "succeeded")                                                                   \
    X(DEGRADED, 4, "degraded")                                                                     \
    X(FAILED, 5, "failed")                                                                         \
    X(CANCELLED, 6, "cancelled")                                                                   \
    X(SKIPPED, 7, "skipped")                                                                       \
    X(REUSED, 8, "reused")
typedef enum ratoon_stage_status {
#define X(name, value, text) RATOON_STAGE_##name = value,
    RATOON_STAGE_STATUS_LIST(X)
#undef X
} ratoon_stage_status;

/* Error classes (A01). */
#define RATOON_CLASS_LIST(X)                                                                       \
    X(OOM, 1)                                                                                      \
    X(VALIDATION, 2)                                                                               \
    X(TIMEOUT, 3)                                                                                  \
    X(TRANSIENT, 4)                                                                                \
    X(CANCELLED, 5)                                                                                \
    X(INTERRUPTED, 6)                                                                              \
    X(DEPENDENCY, 7)                                                                               \
    X(EXECUTION, 8)                                                                                \
    X(UNKNOWN, 9)
typedef enum ratoon_class {
    RATOON_CLASS_NONE = 0,
#define X(name, value) RATOON_CLASS_##name = value,
    RATOON_CLASS_LIST(X)
#undef X
} ratoon_class;

/* Items of the stage that a retry starts from (R13). */
typedef enum ratoon_items_mode {
    RATOON_ITEMS_MISSING = 0, /* keep done items, execute missing and failed ones */
    RATOON_ITEMS_FAILED = 1,  /* execute failed ones only */
    RATOON_ITEMS_ALL = 2,     /* execute every one (committed ones stay) */
    RATOON_ITEMS_LISTED = 3,  /* execute exactly the listed keys */
} ratoon_items_mode;

RATOON_API const char *ratoon_run_status_name(ratoon_run_status status);
RATOON_API const char *ratoon_stage_status_name(ratoon_stage_status status);
RATOON_API const char *ratoon_class_name(ratoon_class error_class); /* "" for NONE */
/* The value of a name, 0 where there is none. */
RATOON_API ratoon_run_status ratoon_run_status_parse(const char *name);
RATOON_API ratoon_stage_status ratoon_stage_status_parse(const char *name);
RATOON_API ratoon_class ratoon_class_parse(const char *name);
RATOON_API bool ratoon_run_status_active(ratoon_run_status status);
RATOON_API bool ratoon_run_status_terminal(ratoon_run_status status);
RATOON_API bool ratoon_stage_status_done(ratoon_stage_status status);

/* ------------------------------------------------------------------ plain types */

#define RATOON_ID_TEXT 37 /* bytes of an id as text, with its NUL */
#define RATOON_NAME_MAX 255
#define RATOON_ITEM_KEY_MAX 4096
#define RATOON_PARAM_MAX 65536
#define RATOON_STAGES_MAX 4096
#define RATOON_ITEMS_MAX 1000000
#define RATOON_INLINE_MAX 1024
#define RATOON_COMMIT_MAX (4u << 20)
#define RATOON_VALUE_MAX_DEFAULT (64u << 20)
#define RATOON_DEPTH_DEFAULT 8
#define RATOON_DEPTH_MAX 64

typedef struct ratoon_id { /* UUIDv7 (RFC 9562); all zero: none */
    uint8_t bytes[16];
} ratoon_id;

typedef struct ratoon_digest { /* SHA-256 */
    uint8_t bytes[32];
} ratoon_digest;

/* An owned byte buffer with a NUL behind it; free with ratoon_buffer_free(). */
typedef struct ratoon_buffer {
    char *data;
    size_t size;
} ratoon_buffer;

typedef struct ratoon_error {
    ratoon_status code;
    int backend_code; /* errno where there is one, else 0 */
    ratoon_id run;    /* the run it is about, or all zero */
    ratoon_id other;  /* the other run it is about: holder of a scope, active branch */
    char stage[256];  /* the stage it is about, or "" */
    uint32_t line;    /* position in a pipeline file, from 1; 0: none */
    uint32_t column;
    char message[4096];
    char hint[1024]; /* what to do; may be "" */
} ratoon_error;

/* One entry of a run's state: value bytes with a media type (S05). */
typedef struct ratoon_value {
    const char *key;
    const void *data;
    size_t size;
    const char *media_type; /* NULL: "application/json" */
} ratoon_value;

typedef struct ratoon_pair {
    const char *name;
    const char *value;
} ratoon_pair;

RATOON_API void ratoon_buffer_free(ratoon_buffer *buffer);
RATOON_API bool ratoon_id_is_zero(ratoon_id id);
RATOON_API bool ratoon_id_equal(ratoon_id a, ratoon_id b);
RATOON_API void ratoon_id_format(ratoon_id id, char text[RATOON_ID_TEXT]);
RATOON_API RATOON_MUST_USE ratoon_status ratoon_id_parse(const char *text, ratoon_id *out);

/* ------------------------------------------------------------------ pipelines */

typedef struct ratoon_pipeline ratoon_pipeline; /* immutable, reference-counted */

typedef struct ratoon_retry_policy { /* A04 */
    uint32_t attempts;               /* at least 1 */
    uint64_t initial_ms;
    double factor;
    uint64_t max_ms;
    double jitter;    /* 0..1 */
    uint32_t classes; /* bit (1u << ratoon_class); 0: TRANSIENT and TIMEOUT */
} ratoon_retry_policy;

typedef struct ratoon_error_rule { /* A01 */
    const char *match;             /* pattern over the end of stderr, or NULL */
    int exit_code;                 /* -1: any */
    int signal;                    /* -1: any */
    ratoon_class error_class;
} ratoon_error_rule;

/* A stage as declared; everything in it is lent by the pipeline. Times 0: none. */
typedef struct ratoon_stage_def {
    const char *name;
    const char *const *argv; /* argv_count strings; with shell: one, the text for sh -c */
    size_t argv_count;
    bool shell;
    bool setup;
    bool commits;
    bool allow_failure;
    const uint32_t *needs; /* indices of the stages it depends on, ascending */
    size_t needs_count;
    const char *foreach_key; /* NULL: none */
    uint32_t jobs;           /* at least 1 */
    const char *const *requires_keys;
    size_t requires_count;
    const char *const *produces_keys;
    size_t produces_count;
    int32_t validates; /* index of the stage it validates, or -1 */
    uint64_t timeout_ms;
    uint64_t heartbeat_ms;
    uint64_t grace_ms; /* between SIGTERM and SIGKILL */
    ratoon_retry_policy retry;
    const ratoon_error_rule *errors;
    size_t errors_count;
    const ratoon_pair *env;
    size_t env_count;
    const char *cwd; /* NULL: the folder of the pipeline file */
} ratoon_stage_def;

/* Parses a pipeline definition (YAML, or its canonical JSON).
 * name: for messages, usually the file's path. base_dir: absolute folder that commands with a slash
 * and `cwd` resolve against; it is not part of the digest. May be NULL.
 * PIPELINE_INVALID with error->line and ->column, and what was expected. Free with
 * ratoon_pipeline_free(). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_pipeline_parse(const char *name, const char *text,
                                                               size_t size, const char *base_dir,
                                                               ratoon_pipeline **out,
                                                               ratoon_error *error);
RATOON_API void ratoon_pipeline_free(ratoon_pipeline *pipeline); /* NULL is fine */
RATOON_API const char *ratoon_pipeline_name(const ratoon_pipeline *pipeline);
RATOON_API uint64_t ratoon_pipeline_version(const ratoon_pipeline *pipeline);
/* SHA-256 of the canonical form: the definition as JSON with sorted keys, defaults filled in; and
 * that form. size, as count, attempts, name and secret below, may be NULL. */
RATOON_API ratoon_digest ratoon_pipeline_digest(const ratoon_pipeline *pipeline);
RATOON_API const char *ratoon_pipeline_canonical(const ratoon_pipeline *pipeline, size_t *size);
RATOON_API size_t ratoon_pipeline_stage_count(const ratoon_pipeline *pipeline);
RATOON_API const ratoon_stage_def *ratoon_pipeline_stage(const ratoon_pipeline *pipeline, size_t i);
RATOON_API int32_t ratoon_pipeline_stage_find(const ratoon_pipeline *pipeline, const char *name);
/* Stage indices in topological order, ties in file order; stage_count of them. */
RATOON_API const uint32_t *ratoon_pipeline_order(const ratoon_pipeline *pipeline);
RATOON_API bool ratoon_pipeline_depends(const ratoon_pipeline *pipeline, uint32_t stage,
                                        uint32_t ancestor); /* strictly */
RATOON_API uint64_t ratoon_pipeline_timeout_ms(const ratoon_pipeline *pipeline);
RATOON_API bool ratoon_pipeline_resume_on_failure(const ratoon_pipeline *pipeline);
RATOON_API const char *const *ratoon_pipeline_on_end(const ratoon_pipeline *pipeline,
                                                     size_t *count);
/* Automatic branches (A05): false and 0 where off. */
RATOON_API bool ratoon_pipeline_auto_retry(const ratoon_pipeline *pipeline, uint32_t *attempts);
/* True where a parameter of that name is declared, and whether it is a secret (E08). */
RATOON_API bool ratoon_pipeline_param(const ratoon_pipeline *pipeline, size_t index,
                                      const char **name, bool *secret);
/* Differences between two definitions, one text line each (R16). Free the buffer. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_pipeline_diff(const ratoon_pipeline *a,
                                                              const ratoon_pipeline *b,
                                                              ratoon_buffer *lines,
                                                              ratoon_error *error);

/* ------------------------------------------------------------------ the store */

typedef struct ratoon_store ratoon_store;

typedef enum ratoon_durability {
    RATOON_DURABILITY_SYNC = 0,     /* acknowledged means on disk */
    RATOON_DURABILITY_INTERVAL = 1, /* synced every interval_ms */
    RATOON_DURABILITY_NONE = 2,     /* bulk import */
} ratoon_durability;

typedef enum ratoon_driver {
    RATOON_DRIVER_AUTO = 0, /* own the store, or reach its owner through its socket */
    RATOON_DRIVER_MEMORY = 1,
} ratoon_driver;

typedef struct ratoon_store_options {
    size_t struct_size;
    ratoon_driver driver;
    ratoon_durability durability;
    uint32_t interval_ms;            /* for INTERVAL */
    uint32_t wait_ms;                /* how long to wait for an owner that can't be reached */
    bool no_serve;                   /* as owner, don't serve the store to other processes */
    uint32_t max_depth;              /* 0: RATOON_DEPTH_DEFAULT */
    uint64_t value_max;              /* 0: RATOON_VALUE_MAX_DEFAULT */
    const char *actor;               /* who asks, recorded with requests; NULL: the user's name */
    uint64_t (*clock_us)(void *ctx); /* NULL: the system's clock */
    void *clock_ctx;
} ratoon_store_options;
#define RATOON_STORE_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .struct_size = sizeof(ratoon_store_options), .wait_ms = 5000                               \
    }

/* Creates an empty store at `path` (a folder that must not exist yet). EXISTS, IO. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_store_create(const char *path,
                                                             const ratoon_store_options *options,
                                                             ratoon_error *error);
/* Opens a store, never creates one. As owner it first makes up for what a crash left (L08).
 * path: NULL with the memory driver. NOT_FOUND, STORE_BUSY (naming the process), DAMAGED, IO. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_store_open(const char *path,
                                                           const ratoon_store_options *options,
                                                           ratoon_store **out, ratoon_error *error);
/* Queues of requests in flight are closed first: what was submitted is carried out and called back
 * for. Runs that this handle executes and that are still running become interrupted at once. After
 * want of room on the disk it may take 10 s and leave the store STORE_BUSY until the process ends
 * (docs/reliability.md, Limits); what was acknowledged is safe. */
RATOON_API void ratoon_store_close(ratoon_store *store);
/* Accepts that the end of a store's log is lost (E04): a store that opens as DAMAGED because of it
 * goes on after what is there, and can be appended to again. Nothing is made up for and nothing
 * removed; the note of what was lost stays in the store's folder (damage-accepted-TIME), with the
 * log files as they were found. *lost: that note; free the buffer. The store must not be open
 * anywhere: STORE_BUSY. USAGE where nothing is lost; DAMAGED where there is more to it than a lost
 * end: then only a backup helps. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_store_accept_loss(const char *path,
                                                                  ratoon_buffer *lost,
                                                                  ratoon_error *error);
RATOON_API const char *ratoon_store_path(const ratoon_store *store); /* absolute; "" in memory */
RATOON_API bool ratoon_store_is_owner(const ratoon_store *store);
RATOON_API uint64_t ratoon_store_now(ratoon_store *store);

/* ------------------------------------------------------------------ creating runs */

typedef struct ratoon_run_options {
    size_t struct_size;
    const ratoon_pipeline *pipeline;
    const ratoon_pair *params; /* values as text, checked against the declarations (R12) */
    size_t params_count;
    const ratoon_value *state; /* initial state (S01) */
    size_t state_count;
    const ratoon_pair *labels;
    size_t labels_count;
    const char *subject;
    const char *file; /* path that the pipeline came from; for the warning of R16 */
    const char *key;  /* idempotency key (R09) */
    const char *reason;
    const char *until;  /* stage; recorded with the start */
    uint64_t target;    /* version asked for, 0: none (R17) */
    bool no_exec;       /* create it queued, for ratoon_run_start() later */
    int32_t auto_retry; /* -1: as the pipeline says; else the number of automatic branches */
    const char *external_ref;
} ratoon_run_options;
#define RATOON_RUN_OPTIONS_INIT                                                                    \
    {                                                                                              \
        .struct_size = sizeof(ratoon_run_options), .auto_retry = -1                                \
    }

typedef struct ratoon_created {
    ratoon_id run;
    bool repeated;  /* an earlier request with the same key made it: execute nothing */
    uint64_t epoch; /* of the start; 0 where the run is queued */
} ratoon_created;

/* Creates a run, running under this handle's executor unless no_exec. The commit holds the initial
 * state, parameters and the whole definition. PARAM_INVALID, SCOPE_BUSY, KEY_REUSED, VERSION_AHEAD,
 * LIMIT_EXCEEDED. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_create(ratoon_store *store,
                                                           const ratoon_run_options *options,
                                                           ratoon_created *out,
                                                           ratoon_error *error);

typedef struct ratoon_retry_options {
    size_t struct_size;
    ratoon_id parent;
    const char *from; /* stage; NULL: chosen by R06 */
    bool rerun;
    bool only;
    bool destructive;
    bool accept_changes;
    bool partial_include;
    bool queue;
    bool no_exec;
    bool setup_too; /* the rerun set gets every setup stage as well (E03) */
    ratoon_items_mode items_mode;
    bool items_given;         /* the mode was asked for (it is part of the request's identity) */
    const char *const *items; /* keys for RATOON_ITEMS_LISTED */
    size_t items_count;
    const ratoon_pair *params;
    size_t params_count;
    const ratoon_value *edits;
    size_t edits_count;
    const ratoon_pipeline *pipeline; /* a new definition, or NULL */
    const char *file;
    const char *reason;
    const char *key;
    const char *plan; /* token of a preview (R15), or NULL */
    const char *until;
    uint64_t target;
    int32_t auto_retry;
    bool automatic;    /* made by a policy, not by a person (A05, R22) */
    const char *cause; /* why, for automatic ones; run id of the cause for cascades */
} ratoon_retry_options;
#define RATOON_RETRY_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .struct_size = sizeof(ratoon_retry_options), .auto_retry = -1                              \
    }

/* Creates a branch (R01). Every refusal of R03-R17 can come back. With `queue` and another run of
 * the lineage active, the run is created queued (epoch 0). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_retry_create(ratoon_store *store,
                                                             const ratoon_retry_options *options,
                                                             ratoon_created *out,
                                                             ratoon_error *error);
/* Tells what ratoon_retry_create() would do, as the JSON object of interface documents ("plan"),
 * with all refusals; appends nothing (R15). *refusals (may be NULL): how many. Free the buffer. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_retry_preview(ratoon_store *store,
                                                              const ratoon_retry_options *options,
                                                              ratoon_buffer *json, size_t *refusals,
                                                              ratoon_error *error);

/* ------------------------------------------------------------------ life cycle */

typedef struct ratoon_start_options {
    size_t struct_size;
    const char *until;               /* E02 */
    const ratoon_pipeline *pipeline; /* a new definition (R16), or NULL */
    bool accept_changes;
} ratoon_start_options;
#define RATOON_START_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .struct_size = sizeof(ratoon_start_options)                                                \
    }

/* queued -> running or suspended -> running, under this handle's executor, with a new epoch (L08).
 * Refused: RUN_ACTIVE (running), ILLEGAL_TRANSITION (ended), BRANCH_ACTIVE (not its turn),
 * SCOPE_BUSY, PIPELINE_CHANGED, FILE_CHANGED. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_start(ratoon_store *store, ratoon_id run,
                                                          const ratoon_start_options *options,
                                                          uint64_t *epoch, ratoon_error *error);

typedef struct ratoon_failure { /* A02; suggestions and retryability are derived */
    ratoon_class error_class;
    const char *message;
    const char *detail; /* end of stderr and the like; NULL: none */
} ratoon_failure;

typedef struct ratoon_capture {              /* captured output of an attempt (E07) */
    uint64_t stdout_size, stderr_size;       /* bytes kept in the file */
    uint64_t stdout_dropped, stderr_dropped; /* bytes left out in the middle */
    ratoon_digest stdout_digest, stderr_digest;
} ratoon_capture;

typedef struct ratoon_item_result {
    const char *key;
    bool failed;
    bool committed;     /* R14 */
    const void *output; /* JSON, NULL: none */
    size_t output_size;
    ratoon_class error_class;
    const char *error;             /* message for a failed one */
    const ratoon_capture *capture; /* NULL: none was kept for this item (E07) */
} ratoon_item_result;

typedef enum ratoon_op_kind {
    RATOON_OP_STAGE_START = 1, /* stage; sets attempt_out */
    RATOON_OP_STAGE_END,       /* stage, attempt, status, outputs, failure, text, captures */
    RATOON_OP_STAGE_RETURN, /* running -> pending: interrupted, or the next attempt after delay_ms;
                               failure says why */
    RATOON_OP_STAGE_SKIP,   /* stage, text: why */
    RATOON_OP_STAGE_REFUSE, /* pending -> failed, class DEPENDENCY (S04); failure.message */
    RATOON_OP_STAGE_PROGRESS, /* stage, attempt, done, total, text */
    RATOON_OP_STAGE_ITEMS,    /* stage, attempt, total: how many items it has */
    RATOON_OP_ITEM,           /* stage, attempt, items: results */
    RATOON_OP_EXTERNAL_REF,   /* text (L07) */
    RATOON_OP_CONSUMES,       /* stage, attempt, run: whose result it used (R22) */
    RATOON_OP_FINISH,         /* derive the run's outcome (L05); text: reason of a suspension */
} ratoon_op_kind;

typedef struct ratoon_op {
    ratoon_op_kind kind;
    const char *stage;
    uint32_t attempt;            /* guards against late reports of an older attempt */
    ratoon_stage_status status;  /* STAGE_END: SUCCEEDED DEGRADED FAILED CANCELLED */
    const ratoon_value *outputs; /* with FAILED: partial ones, kept in history (S03) */
    size_t outputs_count;
    const ratoon_failure *failure;
    const char *text;
    uint64_t done, total;
    uint64_t delay_ms;
    const ratoon_item_result *items;
    size_t items_count;
    const ratoon_capture *capture;
    ratoon_id run;
    bool interrupted;     /* FINISH: stop where it is (signal): running stages go back to pending */
    uint32_t attempt_out; /* set by STAGE_START */
    ratoon_run_status run_status_out; /* set by FINISH */
} ratoon_op;

/* Appends changes of one run as one commit: all or none. `epoch` must be the run's present one,
 * else FENCED. Illegal changes: ILLEGAL_TRANSITION; a start without its required keys:
 * MISSING_KEYS; an end without its declared keys is recorded as failed (VALIDATION). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_apply(ratoon_store *store, ratoon_id run,
                                                          uint64_t epoch, ratoon_op *ops,
                                                          size_t ops_count, ratoon_error *error);

/* The same, one at a time. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_stage_start(ratoon_store *store, ratoon_id run,
                                                            uint64_t epoch, const char *stage,
                                                            uint32_t *attempt, ratoon_error *error);
RATOON_API RATOON_MUST_USE ratoon_status ratoon_stage_succeed(
    ratoon_store *store, ratoon_id run, uint64_t epoch, const char *stage, uint32_t attempt,
    const ratoon_value *outputs, size_t outputs_count, ratoon_error *error);
RATOON_API RATOON_MUST_USE ratoon_status ratoon_stage_fail(ratoon_store *store, ratoon_id run,
                                                           uint64_t epoch, const char *stage,
                                                           uint32_t attempt,
                                                           const ratoon_failure *failure,
                                                           ratoon_error *error);
/* Derives the outcome and ends the run, or suspends it where stages are left (L05, E02, R25).
 * *status (may be NULL): what it has now. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_finish(ratoon_store *store, ratoon_id run,
                                                           uint64_t epoch,
                                                           ratoon_run_status *status,
                                                           ratoon_error *error);

/* Asks for a run to be cancelled (E05): running -> cancelling, queued and suspended -> cancelled at
 * once. *status (may be NULL): what it has now. ILLEGAL_TRANSITION for a finished run. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_cancel(ratoon_store *store, ratoon_id run,
                                                           const char *reason,
                                                           ratoon_run_status *status,
                                                           ratoon_error *error);
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_annotate(ratoon_store *store, ratoon_id run,
                                                             const char *text, ratoon_error *error);

/* ------------------------------------------------------------------ requests in flight */

/* Changes that are submitted without waiting for the disk. One thread can keep hundreds of them in
 * flight, which then share one sync; a program with an event loop never waits for a disk at all
 * (ratoon/uv.h has this for a libuv loop).
 *
 * A queue takes requests and calls back once for each, when it is as durable as the store's mode
 * says, or refused. Requests of one thread to one run are decided and called back for in the order
 * in which they were submitted, those of different runs usually. Each is judged by itself, on what
 * those before it left: where one fails, the ones behind it are not taken back, and fail only if
 * they are not legal without it.
 *
 * A submission that fails makes no callback; one that succeeds makes exactly one, never from within
 * the submission, but it may come in another thread before that has returned. What a request points
 * to (operations, values, strings) is the caller's and must stay as it is until its callback. */
#define RATOON_IN_FLIGHT_DEFAULT 1024
#define RATOON_IN_FLIGHT_MAX 65536

typedef struct ratoon_async ratoon_async;

/* ctx: as submitted. status: as ratoon_run_apply() returns it. error: says more, lent for the call;
 * NULL with RATOON_OK.
 * A callback must be short: the next ones wait for it, and without `notify` so do the next changes
 * of the store, those that other threads wait for included: then it must not wait for a lock that
 * is held while a change is made. It may read from the store. It may submit: in place of the
 * request that it is called for, one can always be submitted to the same queue. Without `notify` it
 * must not call a function that makes a change and waits for it (USAGE). It must never close the
 * store. */
typedef void (*ratoon_done_fn)(void *ctx, ratoon_status status, const ratoon_error *error);

typedef struct ratoon_async_options {
    size_t struct_size;
    uint32_t in_flight_max; /* submitted and not yet called back for, at most RATOON_IN_FLIGHT_MAX;
                               0: RATOON_IN_FLIGHT_DEFAULT */
    bool wait;              /* when that many are in flight, a submission waits for room, unless it
                               is made in a callback; else it returns QUEUE_FULL */
    /* Where callbacks are called. NULL: in a thread of the library. Else in whichever thread calls
     * ratoon_async_dispatch(): notify is called, in any thread, when there are answers to dispatch
     * and there were none before. It must not call this library, and be as short as writing to a
     * pipe. */
    void (*notify)(void *ctx);
    void *notify_ctx;
} ratoon_async_options;
#define RATOON_ASYNC_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .struct_size = sizeof(ratoon_async_options)                                                \
    }

/* Opens a queue. options: NULL for the defaults. The first queue of a store starts a thread of the
 * library, which ends with the store; it has all signals blocked. *out: the caller's until
 * ratoon_async_close(), or until the store is closed. USAGE, NO_MEMORY, IO (no thread). Any thread.
 * Since 0.1. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_async_open(ratoon_store *store,
                                                           const ratoon_async_options *options,
                                                           ratoon_async **out, ratoon_error *error);

/* Submits what ratoon_run_apply() does: changes of one run, as one commit, all or none. `ops` and
 * what it points to stay the caller's and unchanged until `done`; attempt_out and run_status_out
 * are set by then where the status is OK. QUEUE_FULL; CLOSED; USAGE, NOT_FOUND (no such run),
 * LIMIT_EXCEEDED (a value), NO_MEMORY: without a callback. Everything else comes with the callback.
 * Any thread, any number of them. Since 0.1. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_async_apply(ratoon_async *async, ratoon_id run,
                                                            uint64_t epoch, ratoon_op *ops,
                                                            size_t ops_count, ratoon_done_fn done,
                                                            void *ctx, ratoon_error *error);

/* Calls back, in the calling thread, for what has been answered so far; how many. For queues with
 * `notify`, by one thread at a time; from within a callback of the queue it does nothing. Since
 * 0.1. */
RATOON_API size_t ratoon_async_dispatch(ratoon_async *async);

/* Waits until nothing is in flight: all that was submitted before, and by callbacks meanwhile, has
 * been called back for. With `notify` the callbacks are called here. USAGE in a callback. Since
 * 0.1.
 */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_async_drain(ratoon_async *async,
                                                            ratoon_error *error);

/* Closes the queue: submissions are refused from now on (CLOSED), also those that callbacks make
 * and those that wait for room; what is in flight is carried out and called back for, as by
 * ratoon_async_drain(); then the handle is gone. No other thread may be about to call anything on
 * it; those that wait for room in it, or drain it, by then are waited for. NULL is fine. USAGE in a
 * callback; then nothing was closed. ratoon_store_close() does the same for every queue that is
 * open. Since 0.1. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_async_close(ratoon_async *async,
                                                            ratoon_error *error);

/* ------------------------------------------------------------------ deleting (R20) */

typedef struct ratoon_deleted { /* a lineage as it was */
    ratoon_id root;
    uint64_t runs, commits, events;
    uint64_t ended_at; /* of its last run to end */
    char pipeline[256], subject[256];
} ratoon_deleted;

typedef struct ratoon_freed { /* what went besides commits */
    uint64_t values, value_bytes;
    uint64_t files, file_bytes; /* captured output, work folders */
} ratoon_freed;

/* Deletes the lineage of a run for good. Its commits are replaced by one mark (next number, digest
 * of the last commit, counts, who, when), which is all that is left of it in the log and in the
 * feed; its names (keys, scope) are free again. Then values that no other lineage uses, captured
 * output and work folders go; what a crash leaves of those goes with the next deletion. whole: its
 * branches too. *out, *freed (either may be NULL): what was deleted. As durable as the store's mode
 * says. NOT_FOUND; HAS_BRANCHES without `whole`; RUN_ACTIVE naming a run of it that is active (in
 * error->run). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_lineage_delete(ratoon_store *store, ratoon_id run,
                                                               bool whole, ratoon_deleted *out,
                                                               ratoon_freed *freed,
                                                               ratoon_error *error);

typedef struct ratoon_prune_options {
    size_t struct_size;
    uint64_t before; /* lineages of which the last run ended before that */
    bool dry_run;    /* only tell; files are counted, values are not */
} ratoon_prune_options;
#define RATOON_PRUNE_OPTIONS_INIT                                                                  \
    {                                                                                              \
        .struct_size = sizeof(ratoon_prune_options)                                                \
    }
/* Deletes every lineage that has ended: none of its runs is active, its newest one is terminal
 * (suspended ones may be resumed), and all ended before a time. Values and files go once for all of
 * them. *out: what was deleted, the newest first; free with free(). freed may be NULL. A lineage
 * that somebody goes on with meanwhile is kept. On failure some may be deleted already; calling it
 * again goes on. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_prune(ratoon_store *store,
                                                      const ratoon_prune_options *options,
                                                      ratoon_deleted **out, size_t *count,
                                                      ratoon_freed *freed, ratoon_error *error);

/* ------------------------------------------------------------------ backup */

/* Makes a copy of a store that is in use, by whomever, true for one moment: a folder that is a
 * store itself, with its captured output and its secret key (mode 0600), without files of running
 * stages. It appears whole or not at all and is on the disk. Appends wait for the moment that the
 * database takes, not for the copying of files. EXISTS where there is anything at `path`;
 * UNSUPPORTED for a store in memory; DAMAGED. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_store_backup(ratoon_store *store, const char *path,
                                                             ratoon_error *error);
/* Makes a store at `path` from a backup, which stays as it is and must not be open anywhere. The
 * copy is verified before it gets its place; runs that were running when the backup was made are
 * suspended. NOT_FOUND: no backup there; EXISTS: something is at `path`; DAMAGED: the backup does
 * not verify. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_store_restore(const char *backup, const char *path,
                                                              ratoon_error *error);

/* ------------------------------------------------------------------ looking at runs */

typedef struct ratoon_run_info {
    ratoon_id id, root, parent; /* parent all zero for a root */
    ratoon_run_status status;
    uint32_t depth, number;
    uint64_t epoch;
    uint64_t created_at, started_at, ended_at; /* 0: not yet */
    uint64_t head;      /* number of the lineage's last commit this is true for */
    int32_t until;      /* stage index asked for with the last start, or -1 */
    int32_t from_stage; /* of a branch: index of the stage it starts from (effective), else -1 */
    int32_t auto_retry; /* automatic branches allowed for it, as asked or as the pipeline says */
    bool automatic, only;
    bool unattended; /* queued behind an active run, and nobody waits: whoever ends that run
                        executes it (R08) */
} ratoon_run_info;

RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_get(ratoon_store *store, ratoon_id run,
                                                        ratoon_run_info *out, ratoon_error *error);

typedef struct ratoon_stage_info {
    ratoon_stage_status status;
    uint32_t attempt;    /* attempts so far, in this run */
    uint64_t not_before; /* in back-off until then */
    ratoon_class error_class;
    uint64_t items_total, items_done, items_failed;
    bool items_known;
} ratoon_stage_info;
/* The stage's part of the run's projection, by index in its pipeline. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_stage(ratoon_store *store, ratoon_id run,
                                                          uint32_t stage, ratoon_stage_info *out,
                                                          ratoon_error *error);
/* The definition stored with the run. Free with ratoon_pipeline_free(). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_pipeline(ratoon_store *store, ratoon_id run,
                                                             ratoon_pipeline **out,
                                                             ratoon_error *error);
/* The folder that commands with a slash and `cwd` resolve against: base_dir of the definition that
 * the run was created with, "" where none was given. Free the buffer. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_base_dir(ratoon_store *store, ratoon_id run,
                                                             ratoon_buffer *path,
                                                             ratoon_error *error);
/* Parameters of the run, text form; secrets are absent. Lent until ratoon_pairs_free(). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_params(ratoon_store *store, ratoon_id run,
                                                           ratoon_pair **out, size_t *count,
                                                           ratoon_error *error);
RATOON_API void ratoon_pairs_free(ratoon_pair *pairs, size_t count);
/* Finds a run by id, unique prefix (4 characters or more), "@last", "@subject:NAME" or
 * "@subject:NAME:ok". NOT_FOUND, AMBIGUOUS. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_find(ratoon_store *store, const char *spec,
                                                         ratoon_id *out, ratoon_error *error);
/* L10: the newest active run of the subject; the newest run of it whatever its status. NOT_FOUND.
 */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_find_in_flight(ratoon_store *store,
                                                               const char *subject, ratoon_id *out,
                                                               ratoon_error *error);
RATOON_API RATOON_MUST_USE ratoon_status ratoon_most_recent(ratoon_store *store,
                                                            const char *subject, ratoon_id *out,
                                                            ratoon_error *error);

typedef struct ratoon_list_options {
    size_t struct_size;
    ratoon_run_status status; /* 0: any */
    bool in_flight;           /* active only */
    const char *pipeline;     /* NULL: any */
    const char *subject;      /* NULL: any */
    uint64_t since;           /* created at or after; 0: any */
    uint32_t limit;           /* 0: no limit */
} ratoon_list_options;
#define RATOON_LIST_OPTIONS_INIT                                                                   \
    {                                                                                              \
        .struct_size = sizeof(ratoon_list_options)                                                 \
    }
/* Ids of matching runs, by creation time descending, then id descending (L09). Free with free(). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_run_list(ratoon_store *store,
                                                         const ratoon_list_options *options,
                                                         ratoon_id **out, size_t *count,
                                                         ratoon_error *error);

/* Documents: one JSON object each, on one line, as the command prints them with --json
 * ("schema":1). Free the buffer. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_doc_run(ratoon_store *store, ratoon_id run,
                                                        bool with_stages, ratoon_buffer *json,
                                                        ratoon_error *error);
RATOON_API RATOON_MUST_USE ratoon_status ratoon_doc_tree(ratoon_store *store, ratoon_id run,
                                                         ratoon_buffer *json, ratoon_error *error);
RATOON_API RATOON_MUST_USE ratoon_status ratoon_doc_explain(ratoon_store *store, ratoon_id run,
                                                            const char *stage, ratoon_buffer *json,
                                                            ratoon_error *error);
/* Two runs compared (Q05): parameters, stages, state at the end, durations. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_doc_diff(ratoon_store *store, ratoon_id old_run,
                                                         ratoon_id new_run, ratoon_buffer *json,
                                                         ratoon_error *error);
/* One object an event, each on its own line. lineage: the whole tree's. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_doc_log(ratoon_store *store, ratoon_id run,
                                                        bool lineage, ratoon_buffer *json_lines,
                                                        ratoon_error *error);

/* Statistics of every pipeline, or of one (NULL: all; NOT_FOUND where it has no runs): runs by
 * status, executions, success rate, failures by class, retries and those that helped, time spent
 * and saved, depths (Q04). A call costs what has happened since the last one, not the whole
 * history. Free the buffer. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_doc_stats(ratoon_store *store, const char *pipeline,
                                                          ratoon_buffer *json, ratoon_error *error);

/* ------------------------------------------------------------------ stale consumers (R22) */

typedef struct ratoon_stale {
    ratoon_id run;   /* the consumer's newest run */
    ratoon_id root;  /* of its lineage */
    ratoon_id cause; /* newest branch of what it consumed that succeeded or is degraded */
    char stage[256]; /* that consumed it */
    bool cascade;    /* its pipeline says `cascade: auto` */
} ratoon_stale;
/* Every stage of a newest run that consumed a result of which a newer one was made, and of one that
 * was created for that and interrupted, the stage it starts from. Stages of a run come in
 * topological order. Free with free(). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_stale_list(ratoon_store *store, ratoon_stale **out,
                                                           size_t *count, ratoon_error *error);
/* Creates the branch that brings a stale consumer up to date, once for each cause and consumer:
 * created->repeated where it was made before. Refused like any retry. Where that branch is there
 * and was interrupted, it is started again. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_cascade_create(ratoon_store *store,
                                                               const ratoon_stale *stale,
                                                               ratoon_created *out,
                                                               ratoon_error *error);
/* One object a stale stage, each on its own line; "refusal": why its cascade can't be made. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_doc_stale(ratoon_store *store,
                                                          ratoon_buffer *json_lines,
                                                          ratoon_error *error);

/* ------------------------------------------------------------------ state */

typedef struct ratoon_state ratoon_state;

typedef struct ratoon_state_entry { /* lent by the state */
    const char *key;
    const void *data;
    size_t size;
    const char *media_type;
    ratoon_digest digest;
    ratoon_id run;     /* that produced it */
    const char *stage; /* "" for initial state and edits */
    uint32_t attempt;
} ratoon_state_entry;

/* State at a boundary (S02): "start", "end", "before:STAGE", "after:STAGE", or an event number of
 * the lineage in decimal. Entries come sorted by key. NO_SUCH_STAGE, USAGE. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_state_at(ratoon_store *store, ratoon_id run,
                                                         const char *boundary, ratoon_state **out,
                                                         ratoon_error *error);
/* What a stage receives when it starts: initial state, edits, outputs of its ancestors (S02). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_state_input(ratoon_store *store, ratoon_id run,
                                                            const char *stage, ratoon_state **out,
                                                            ratoon_error *error);
RATOON_API size_t ratoon_state_count(const ratoon_state *state);
/* Entry i; loads its bytes where they are not inline. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_state_get(ratoon_state *state, size_t i,
                                                          ratoon_state_entry *out,
                                                          ratoon_error *error);
RATOON_API void ratoon_state_free(ratoon_state *state);

/* ------------------------------------------------------------------ items */

typedef struct ratoon_items ratoon_items;
typedef struct ratoon_item { /* lent by the list */
    const char *key;
    bool failed, committed;
    const void *output;
    size_t output_size;
    ratoon_class error_class;
    const char *error;
} ratoon_item;
/* Recorded items of a stage, sorted by key. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_stage_items(ratoon_store *store, ratoon_id run,
                                                            const char *stage, ratoon_items **out,
                                                            ratoon_error *error);
RATOON_API size_t ratoon_items_count(const ratoon_items *items);
RATOON_API RATOON_MUST_USE ratoon_status ratoon_items_get(ratoon_items *items, size_t i,
                                                          ratoon_item *out, ratoon_error *error);
/* Index of the item with that key, or -1. */
RATOON_API int64_t ratoon_items_find(const ratoon_items *items, const char *key);
/* Whether an item of that key is to be executed by the stage's next attempt (R13). */
RATOON_API bool ratoon_items_wanted(const ratoon_items *items, const char *key);
RATOON_API void ratoon_items_free(ratoon_items *items);

/* ------------------------------------------------------------------ failures */

/* Class of a failed attempt by the stage's rules, then the default ones (A01). exit_code or signal,
 * the other -1; text: the end of stderr. Always a class. */
RATOON_API ratoon_class ratoon_failure_classify(const ratoon_pipeline *pipeline, uint32_t stage,
                                                int exit_code, int signal, const char *text,
                                                size_t size);

/* Path of the file that keeps an attempt's output: STORE/output/RUN/STAGE/ATTEMPT[.ITEM].out or
 * .err, STAGE percent-encoded, ITEM a digest of the key (NULL: a stage without items). stream: 1
 * stdout, 2 stderr. size: of `path`, at least 4096. Executors keep captured output there (E07). */
RATOON_API void ratoon_capture_path(const char *store_path, ratoon_id run, const char *stage,
                                    uint32_t attempt, const char *item, int stream, char *path,
                                    size_t size);

/* ------------------------------------------------------------------ feed and verification */

typedef struct ratoon_feed ratoon_feed;
/* Reads commits in the one total order, from position `from` (1 is the first). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_feed_open(ratoon_store *store, uint64_t from,
                                                          ratoon_feed **out, ratoon_error *error);
/* The position after the last acknowledged commit. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_feed_end(ratoon_store *store, uint64_t *position,
                                                         ratoon_error *error);
typedef struct ratoon_feed_item {
    uint64_t position;
    ratoon_id lineage;
    uint64_t commit;
    uint64_t time_us;
    ratoon_buffer json; /* the commit as `watch` prints it; owned by the feed until the next call */
    const ratoon_id *runs;    /* of its events, one per event */
    const char *const *types; /* their types ("run.ended"), one per event */
    size_t events;
} ratoon_feed_item;
/* Waits up to timeout_ms for the next commit. TIMED_OUT if there is none. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_feed_next(ratoon_feed *feed, uint32_t timeout_ms,
                                                          ratoon_feed_item *out,
                                                          ratoon_error *error);
RATOON_API void ratoon_feed_close(ratoon_feed *feed);

/* Verifies the whole store, or the lineage of one run (run not all zero): digest chains, numbering,
 * feed, values, captured files, derived rows, projections from snapshots against rebuilt ones (S07,
 * Q01). *problems: how many; the report as JSON. Free the buffer. IO, NO_MEMORY: something could
 * not be looked at, which is no problem of the store's; there is no report then. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_verify(ratoon_store *store, ratoon_id run,
                                                       ratoon_buffer *json, size_t *problems,
                                                       ratoon_error *error);

/* ------------------------------------------------------------------ seals (Q02) */

/* A seal fixes what a store holds at a moment: the last commit of every lineage, under one root,
 * signed with Ed25519 (RFC 8032). Kept elsewhere, it later shows history that was cut off at its
 * end, lineages that were removed, and chains that were rewritten from one end to the other. It is
 * a text file and beside it, as NAME.sig, the 64 bytes of its signature; docs/auditing.md tells how
 * to check both without ratoon. */

/* Makes a pair of keys, as PEM files that openssl reads: the secret one in `path`, mode 0600, the
 * public one in `path`.pub. EXISTS where either is there: nothing is overwritten. IO. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_seal_keygen(const char *path, ratoon_error *error);

/* Seals the store as it is when the call begins, and syncs it first, whatever its durability mode.
 * A lineage that is deleted meanwhile stands in the seal as deleted. The store is not verified.
 * path: of the seal, which must not be there, nor `path`.sig. key_path: of the secret key; NULL:
 * seal.key in the store's folder, which is made where it isn't there. *json: {"schema":1,"seal":
 * {"time","position","lineages","root","key","file"}}; free the buffer. USAGE (no such key),
 * EXISTS, IO, LIMIT_EXCEEDED (over 1 GiB, ten million lineages). */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_seal(ratoon_store *store, const char *path,
                                                     const char *key_path, ratoon_buffer *json,
                                                     ratoon_error *error);

typedef struct ratoon_verify_options {
    size_t struct_size;
    ratoon_id run;    /* all zero: the whole store, else the lineage of this run */
    const char *seal; /* path of a seal, NULL: none */
    const char *key;  /* path of the public key of who must have signed it. NULL: that which the
                         seal names, which proves nothing about who did */
} ratoon_verify_options;
#define RATOON_VERIFY_OPTIONS_INIT                                                                 \
    {                                                                                              \
        .struct_size = sizeof(ratoon_verify_options)                                               \
    }
/* As ratoon_verify(), and whether the store still holds what was sealed. A seal whose signature is
 * wrong is a problem, too, and the store is then verified without it. Where it is right, the report
 * has "seal" and "notices": among these are lineages that were deleted since by R20, each with its
 * mark. USAGE: no such seal or key. NOT_FOUND. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_verify_with(ratoon_store *store,
                                                            const ratoon_verify_options *options,
                                                            ratoon_buffer *json, size_t *problems,
                                                            ratoon_error *error);

/* The bytes of a commit of the run's lineage, as they are in the log and in the digest chain:
 * commit `number`, from 1. Free the buffer. NOT_FOUND. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_commit_bytes(ratoon_store *store, ratoon_id run,
                                                             uint64_t number, ratoon_buffer *out,
                                                             ratoon_error *error);

/* ------------------------------------------------------------------ export and import (R18) */

/* X(NAME, value, name): formats of an export. Only JSONL can be imported. */
#define RATOON_EXPORT_LIST(X)                                                                      \
    X(JSONL, 1, "jsonl")                                                                           \
    X(OPENLINEAGE, 2, "openlineage")                                                               \
    X(TRACE, 3, "trace")                                                                           \
    X(DOT, 4, "dot")                                                                               \
    X(MERMAID, 5, "mermaid")                                                                       \
    X(CSV, 6, "csv")                                                                               \
    X(HTML, 7, "html")
typedef enum ratoon_export_format {
#define X(name, value, text) RATOON_EXPORT_##name = value,
    RATOON_EXPORT_LIST(X)
#undef X
} ratoon_export_format;
/* The format of a name, 0 where there is none. */
RATOON_API ratoon_export_format ratoon_export_format_parse(const char *name);

/* Takes the next bytes of an export. False: the export ends with IO. */
typedef bool (*ratoon_write_fn)(void *ctx, const void *data, size_t size);

/* Writes the lineages of the given runs, each whole and once, by the ids of their roots; count 0:
 * the whole store. What is written is as of now: commits appended meanwhile are left out. Captured
 * output is not part of it; of deleted lineages nothing is. NOT_FOUND, DAMAGED (the chain is
 * checked on the way), IO. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_export(ratoon_store *store, const ratoon_id *runs,
                                                       size_t count, ratoon_export_format format,
                                                       ratoon_write_fn write, void *ctx,
                                                       ratoon_error *error);

/* Gives up to `size` bytes of an import, 0 at its end; -1: it can't be read. */
typedef int64_t (*ratoon_read_fn)(void *ctx, void *data, size_t size);

typedef struct ratoon_import_options {
    size_t struct_size;
    const ratoon_pipeline *pipeline; /* definition of runs that come as plain lines; NULL: one is
                                        made up from what the lines name */
} ratoon_import_options;
#define RATOON_IMPORT_OPTIONS_INIT                                                                 \
    {                                                                                              \
        .struct_size = sizeof(ratoon_import_options)                                               \
    }

typedef struct ratoon_imported {
    uint64_t lineages, commits, values; /* that were appended */
    uint64_t skipped;                   /* commits, and plain runs, that were there already */
    ratoon_id last;                     /* the last run of a plain line; all zero: none */
} ratoon_imported;

/* Imports a JSONL export, or plain lines (docs/import.md). All of it is checked before anything is
 * appended: decoding, digests, chains, numbering, values, names that other runs hold. What is there
 * already is skipped, what continues a lineage is appended; nothing is changed. Runs whose executor
 * is not here become interrupted (L08). error->line: of the input. USAGE (no such line), DAMAGED,
 * CONFLICT (another history of a lineage is here, or it was deleted), KEY_REUSED, SCOPE_BUSY, IO.
 * options and out may be NULL. */
RATOON_API RATOON_MUST_USE ratoon_status ratoon_import(ratoon_store *store,
                                                       const ratoon_import_options *options,
                                                       ratoon_read_fn read, void *ctx,
                                                       ratoon_imported *out, ratoon_error *error);

#ifdef __cplusplus
}
#endif
#endif
