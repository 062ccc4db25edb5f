/* The parts of the executor, among themselves. One thread; every function but the callbacks of
 * processes is called from the loop's turn (executor.c). */
#ifndef RATOON_TOOLS_RUNNER_EXECUTOR_H
#define RATOON_TOOLS_RUNNER_EXECUTOR_H

#include "tools/runner/capture.h"
#include "tools/runner/env.h"
#include "tools/runner/events.h"
#include "tools/runner/failure.h"
#include "tools/runner/foreach.h"
#include "tools/runner/output.h"
#include "tools/runner/process.h"
#include "tools/runner/runner.h"
#include "tools/runner/spawner.h"

#include <ratoon/uv.h>

typedef struct runner__executor runner__executor;
typedef struct runner__attempt runner__attempt;
typedef struct runner__task runner__task;

/* Why processes are being ended. A later, stronger reason replaces an earlier one. */
typedef enum runner__stop {
    RUNNER__STOP_NONE = 0,
    RUNNER__STOP_HEARTBEAT, /* no event line for too long */
    RUNNER__STOP_TIMEOUT,   /* of the stage */
    RUNNER__STOP_RUN_TIMEOUT,
    RUNNER__STOP_INTERRUPT, /* a signal to the executor: the stage goes back to pending */
    RUNNER__STOP_CANCEL,
    RUNNER__STOP_ABORT, /* fenced, or the store failed: nothing more is recorded */
} runner__stop;

/* ---- task.c: one process of a stage: the stage itself, or an item of it ---- */

struct runner__task {
    runner__task *next; /* in its attempt */
    runner__attempt *attempt;
    char *item;               /* NULL: the stage itself */
    char *folder;             /* of its output and events */
    runner__process *process; /* NULL once it has ended */
    bool ended, recorded;
    runner__stop stop;
    uint64_t started_ns;
    uint64_t heard_ms; /* loop time of the last event line */
    runner__events events;
    runner__mask_stream out_mask, err_mask;
    runner__capture *out, *err;
    runner__tail tail;      /* of stderr, masked */
    ratoon_capture capture; /* once it has ended */
    /* what it said of itself */
    runner__text degraded;
    runner__outputs partial;
    bool committed, reported_failed;
    runner__text reported_error;
    runner__text reported_output;
    /* the outcome */
    runner__failure failure; /* class NONE: succeeded */
    runner__outputs outputs;
    runner__text item_output; /* JSON, of an item */
};
/* Never NULL: a task that can't start has ended with a failure. value: of the item. */
runner__task *runner__task_start(runner__attempt *attempt, const char *item, runner__slice value);
void runner__task_poll(runner__task *task); /* reads events, looks at the heartbeat */
void runner__task_stop(runner__task *task, runner__stop why, bool at_once);
void runner__task_free(runner__task *task);

/* ---- outcome.c: what an ended task amounts to ---- */
void runner__task_judge(runner__task *task, const runner__process_end *end);

/* ---- attempt.c: one attempt of a stage ---- */

typedef struct runner__side { /* something said that is recorded at the next turn */
    ratoon_op_kind kind;      /* CONSUMES, EXTERNAL_REF */
    char *text;
    ratoon_id run;
} runner__side;

typedef struct runner__result { /* of an item, waiting to be recorded; strings owned */
    char *key;
    bool failed, committed, degraded;
    char *output;
    size_t output_size;
    ratoon_class error_class;
    char *error;
    runner__task *task; /* NULL for one that the stage itself told of */
} runner__result;

struct runner__attempt {
    runner__attempt *next;
    runner__executor *x;
    uint32_t stage;
    const ratoon_stage_def *def;
    uint32_t number;
    uint64_t started_ns;
    char *folder, *state_path, *cwd, *lock_path;
    char **argv;
    runner__env env;
    runner__task *tasks;
    uint32_t running; /* processes */
    runner__stop stop;
    bool at_once;
    uv_timer_t *timeout;   /* NULL: none */
    runner__failure early; /* it failed before or without a process */
    /* progress (A07) */
    bool progress_dirty;
    uint64_t progress_logged_ms, progress_shown_ms;
    uint64_t done, total;
    runner__text progress_message;
    runner__side *sides;
    size_t sides_count, sides_capacity;
    runner__result *results;
    size_t results_count, results_capacity;
    /* foreach */
    runner__text array;
    runner__foreach cursor;
    bool items_left; /* the cursor is not at its end */
    ratoon_items *before;
    uint64_t items_total, items_done, items_failed;
    uint64_t items_unasked; /* neither done nor to be executed now (R13) */
    uint64_t items_stopped; /* ended from outside, without a result */
    uint64_t items_degraded;
    runner__text degraded; /* the first one's key and reason */
    runner__text failed;   /* keys of the first failed items */
    runner__failure first; /* failure of the first failed item */
    bool classes[RATOON_CLASS_UNKNOWN + 1];
};
/* Whether processes of an earlier attempt are left, here or in an ancestor run (L08). */
bool runner__attempt_left(const runner__executor *x, uint32_t stage);
/* Starts the stage: records it, makes its files, starts its process or first items. Where it can't
 * be started now, the slot says when to look again; where the record fails, the executor ends. */
void runner__attempt_start(runner__executor *x, uint32_t stage);
/* Records what was said meanwhile and, when everything has ended, the end. True: it is gone. */
bool runner__attempt_step(runner__attempt *a);
void runner__attempt_stop(runner__attempt *a, runner__stop why, bool at_once);
bool runner__attempt_log_progress(runner__attempt *a);
void runner__attempt_progress(runner__attempt *a, uint64_t done, uint64_t total,
                              const char *message);
void runner__attempt_free(runner__attempt *a);
void runner__attempt_task_ended(runner__task *task);
void runner__attempt_add_side(runner__attempt *a, ratoon_op_kind kind, const char *text,
                              ratoon_id run);
/* Takes the strings of *result. */
void runner__attempt_add_result(runner__attempt *a, const runner__result *result);

/* ---- attempt_end.c ---- */
void runner__attempt_end(runner__attempt *a);

/* Stages whose start was recorded with the end of another, to be begun before anything else. */
#define RUNNER__HANDOVER_MAX 16
typedef struct runner__handover {
    uint32_t stages[RUNNER__HANDOVER_MAX];
    uint32_t attempts[RUNNER__HANDOVER_MAX];
    size_t count;
} runner__handover;

/* ---- items.c: stages with foreach ---- */
void runner__items_begin(runner__attempt *a);
/* Starts items while there is room; true if one was started. */
bool runner__items_start(runner__attempt *a);
bool runner__items_record(runner__attempt *a); /* also what a stage tells of its own items */
/* The outcome of the whole: outputs gathered, or a failure. */
void runner__items_outcome(runner__attempt *a, runner__gather *gather, runner__failure *failure);

/* ---- schedule.c ---- */

typedef enum runner__slot_state {
    RUNNER__SLOT_PENDING,
    RUNNER__SLOT_LOCKED, /* processes of an earlier attempt are still there */
    RUNNER__SLOT_RUNNING,
    RUNNER__SLOT_PASSED,   /* done */
    RUNNER__SLOT_FORGIVEN, /* failed, with allow_failure */
    RUNNER__SLOT_FAILED,
} runner__slot_state;
typedef struct runner__slot {
    runner__slot_state state;
    bool wanted;            /* not beyond `until` or `only` */
    bool alone;             /* R25: needs that are pending don't hold it up */
    uint64_t not_before_ms; /* loop time: back-off, or the next look at the lock */
} runner__slot;
ratoon_status runner__schedule_load(runner__executor *x, ratoon_error *error);
void runner__schedule(runner__executor *x); /* starts what can start */
/* The stages that runner__schedule() would start next if `ended` had succeeded, in its order. */
size_t runner__schedule_after(runner__executor *x, const runner__attempt *ended,
                              uint32_t stages[RUNNER__HANDOVER_MAX]);
/* Whether it is only time that keeps a stage from starting. */
bool runner__schedule_waits(const runner__executor *x, uint32_t stage);
/* Loop time at which something waiting is to be looked at again, UINT64_MAX: nothing waits. */
uint64_t runner__schedule_next_ms(const runner__executor *x);
/* Status of a slot after its stage ended. */
void runner__schedule_ended(runner__executor *x, uint32_t stage, ratoon_stage_status status);
bool runner__schedule_forgiven_above(const runner__executor *x, uint32_t stage);

/* ---- executor.c ---- */

typedef enum runner__phase {
    RUNNER__PHASE_WORKING,
    RUNNER__PHASE_FAILING,     /* an unforgiven failure: nothing more starts */
    RUNNER__PHASE_TIMED_OUT,   /* the run's time is up */
    RUNNER__PHASE_INTERRUPTED, /* by a signal */
    RUNNER__PHASE_CANCELLING,
    RUNNER__PHASE_BROKEN, /* fenced, or the store failed */
} runner__phase;

struct runner__executor {
    uv_loop_t loop;
    runner__facts facts;
    uint64_t epoch;
    const runner_options *options;
    runner__spawner *spawner;
    uint32_t jobs, processes;
    runner__phase phase;
    runner__slot *slots;
    size_t stages;
    runner__attempt *attempts;
    runner__handover handover;
    ratoon_id *ancestors; /* runs whose stages may still have processes */
    size_t ancestors_count;
    uv_timer_t tick, run_timer, wake_timer;
    uv_check_t check;
    uv_idle_t idle;
    uv_signal_t signals[3];
    uint64_t ticks;
    ratoon_uv_feed *feed;
    bool feed_open, feed_broken;
    bool look; /* at the run: it may have been cancelled */
    bool dirty;
    bool opened, finished; /* its handles, it */
    int signal;
    ratoon_status broken;
    ratoon_error error;
    ratoon_run_status status;
};
/* Appends. What can't go on after (fenced, the store failed) is noted and everything is stopped;
 * refusals of the change itself are left to the caller: MISSING_KEYS, LIMIT_EXCEEDED, USAGE,
 * NOT_FOUND, and ILLEGAL_TRANSITION where the run is being cancelled. */
ratoon_status runner__apply(runner__executor *x, ratoon_op *ops, size_t count);
/* The same, but with ILLEGAL_TRANSITION left to the caller in any case. */
ratoon_status runner__try(runner__executor *x, ratoon_op *ops, size_t count);
void runner__break(runner__executor *x, ratoon_status status); /* x->error says why */
void runner__wake(runner__executor *x); /* there is something to do in the next turn */
void runner__stop_all(runner__executor *x, runner__stop why, bool at_once);
void runner__look_at_run(runner__executor *x);
void runner__emit(runner__executor *x, const runner_event *event);
void runner__warn(runner__executor *x, const char *stage, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- on_end.c ---- */
/* Executes the pipeline's on_end, if any, and waits for it. */
void runner__on_end(runner__executor *x);

/* ---- leftovers.c ---- */
/* What executors of this run left that were killed between recording an end and removing its files:
 * no attempt of such a stage comes any more that would. Before the run's own end is recorded, so
 * that whoever is killed here is followed by somebody. */
void runner__leftovers_remove(const runner__executor *x);

#endif
