/* The runner: executes a run's stages as processes, on libuv, using the public interface alone. */
#ifndef RATOON_TOOLS_RUNNER_H
#define RATOON_TOOLS_RUNNER_H

#include <ratoon.h>

typedef enum runner_event_kind {
    RUNNER_STAGE_STARTED = 1,
    RUNNER_STAGE_ENDED,    /* status, message (of a failure or degradation) */
    RUNNER_STAGE_BACKOFF,  /* delay_ms, message */
    RUNNER_STAGE_PROGRESS, /* done, total, message */
    RUNNER_ITEM_ENDED,     /* item, status SUCCEEDED or FAILED, message; done/total of the stage */
    RUNNER_WARNING,        /* message */
    RUNNER_CANCELLING,
    RUNNER_INTERRUPTED, /* by a signal; a second one kills */
    RUNNER_TICK,        /* about five times a second, for a live display */
} runner_event_kind;

typedef struct runner_event { /* lent for the call */
    runner_event_kind kind;
    ratoon_id run;
    const char *stage; /* NULL where it is about the run */
    const char *item;
    uint32_t attempt;
    ratoon_stage_status status;
    ratoon_class error_class;
    const char *message;
    uint64_t done, total;
    uint64_t delay_ms;
    uint64_t elapsed_us; /* of the stage's attempt, by the monotonic clock */
} runner_event;

typedef struct runner_options {
    uint32_t jobs;    /* processes at once; 0: as many as processors */
    const char *self; /* path of this executable, for the supervisor */
    void (*on_event)(void *ctx,
                     const runner_event *event); /* in the caller's thread; may be NULL */
    void *ctx;
} runner_options;

typedef struct runner_result {
    ratoon_run_status status; /* as the run ended or was suspended */
    int signal;               /* that interrupted it (SIGINT, SIGTERM), else 0 */
} runner_result;

/* Executes a run that this store handle started (status running, epoch from its start) until it
 * ends or is suspended. Only stages asked for with the start's `until` are executed where one is
 * recorded. Installs handlers for SIGINT, SIGTERM and SIGHUP while it works (E05). */
ratoon_status runner_execute(ratoon_store *store, ratoon_id run, uint64_t epoch,
                             const runner_options *options, runner_result *out,
                             ratoon_error *error);

/* The folder, environment and files that a stage would get, for `ratoon shell`: fills in the
 * environment (NULL-terminated, with the inherited part) and cwd; runner_context_free() removes the
 * files again. item: NULL or a key. */
typedef struct runner_context runner_context;
ratoon_status runner_context_new(ratoon_store *store, ratoon_id run, const char *stage,
                                 const char *item, runner_context **out, ratoon_error *error);
char *const *runner_context_env(const runner_context *context);
const char *runner_context_cwd(const runner_context *context);
void runner_context_free(runner_context *context);

/* Entry point of the supervisor: the command calls this first thing when argv[1] is
 * "__supervise". Does not return unless the arguments are wrong. */
int runner_supervisor_main(int argc, char **argv);

#endif
