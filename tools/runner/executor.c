/* The executor: a loop that starts stages, listens to them, and ends the run. */
#include "tools/runner/executor.h"
#include "log/points.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 100     /* between two looks at events, heartbeats (A06) and progress */
#define TICKS_SHOWN 2   /* RUNNER_TICK comes with each second tick */
#define TICKS_LOOKED 10 /* looks at the run where its feed is broken */

/* ---- telling ---- */

void runner__emit(runner__executor *x, const runner_event *event)
{
    if (x->options->on_event != NULL) {
        x->options->on_event(x->options->ctx, event);
    }
}

void runner__warn(runner__executor *x, const char *stage, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    runner_event event = {
        .kind = RUNNER_WARNING, .run = x->facts.run, .stage = stage, .message = message};
    runner__emit(x, &event);
}

static void emit_run(runner__executor *x, runner_event_kind kind)
{
    runner_event event = {.kind = kind, .run = x->facts.run};
    runner__emit(x, &event);
}

/* ---- appending ---- */

void runner__break(runner__executor *x, ratoon_status status)
{
    if (x->phase == RUNNER__PHASE_BROKEN) {
        return;
    }
    x->phase = RUNNER__PHASE_BROKEN;
    x->broken = status;
    runner__stop_all(x, RUNNER__STOP_ABORT, status == RATOON_ERR_FENCED);
    runner__wake(x);
}

ratoon_status runner__try(runner__executor *x, ratoon_op *ops, size_t count)
{
    if (x->phase == RUNNER__PHASE_BROKEN) {
        return x->broken;
    }
    ratoon_error error = {0};
    ratoon_status status =
        ratoon_run_apply(x->facts.store, x->facts.run, x->epoch, ops, count, &error);
    /* It may have waited for the disk: back-off, time-outs and heartbeats count from now. */
    uv_update_time(&x->loop);
    if (status == RATOON_OK) {
        return status;
    }
    x->error = error;
    switch (status) {
    case RATOON_ERR_MISSING_KEYS:
    case RATOON_ERR_LIMIT_EXCEEDED:
    case RATOON_ERR_USAGE:
    case RATOON_ERR_NOT_FOUND:
    case RATOON_ERR_ILLEGAL_TRANSITION:
        break;
    default:
        runner__break(x, status);
        break;
    }
    return status;
}

ratoon_status runner__apply(runner__executor *x, ratoon_op *ops, size_t count)
{
    ratoon_status status = runner__try(x, ops, count);
    if (status == RATOON_ERR_ILLEGAL_TRANSITION && x->phase != RUNNER__PHASE_BROKEN) {
        ratoon_error refused = x->error;
        runner__look_at_run(x);
        if (x->phase != RUNNER__PHASE_CANCELLING && x->phase != RUNNER__PHASE_BROKEN) {
            x->error = refused;
            runner__break(x, status);
        }
    }
    return status;
}

/* ---- stopping ---- */

void runner__stop_all(runner__executor *x, runner__stop why, bool at_once)
{
    for (runner__attempt *a = x->attempts; a != NULL; a = a->next) {
        runner__attempt_stop(a, why, at_once);
    }
}

static void begin_cancel(runner__executor *x)
{
    if (x->phase == RUNNER__PHASE_CANCELLING || x->phase == RUNNER__PHASE_BROKEN) {
        return;
    }
    x->phase = RUNNER__PHASE_CANCELLING;
    emit_run(x, RUNNER_CANCELLING);
    runner__stop_all(x, RUNNER__STOP_CANCEL, false);
    runner__wake(x);
}

void runner__look_at_run(runner__executor *x)
{
    x->look = false;
    ratoon_run_info info;
    ratoon_error error = {0};
    ratoon_status status = ratoon_run_get(x->facts.store, x->facts.run, &info, &error);
    if (status != RATOON_OK) {
        x->error = error;
        runner__break(x, status);
    } else if (info.epoch != x->epoch ||
               (info.status != RATOON_RUN_RUNNING && info.status != RATOON_RUN_CANCELLING)) {
        (void)runner__error(&x->error, RATOON_ERR_FENCED, 0,
                            "the run %s is %s, under epoch %llu; it was executed here under epoch "
                            "%llu",
                            x->facts.run_text, ratoon_run_status_name(info.status),
                            (unsigned long long)info.epoch, (unsigned long long)x->epoch);
        x->error.run = x->facts.run;
        runner__break(x, RATOON_ERR_FENCED);
    } else if (info.status == RATOON_RUN_CANCELLING) {
        begin_cancel(x);
    }
}

static void on_signal(uv_signal_t *handle, int signal_number)
{
    runner__executor *x = handle->data;
    bool again = x->signal != 0 || x->phase == RUNNER__PHASE_CANCELLING;
    if (x->signal == 0) {
        x->signal = signal_number;
        if (x->phase != RUNNER__PHASE_CANCELLING && x->phase != RUNNER__PHASE_BROKEN) {
            x->phase = RUNNER__PHASE_INTERRUPTED;
        }
        emit_run(x, RUNNER_INTERRUPTED);
    }
    runner__stop_all(x, RUNNER__STOP_INTERRUPT, again);
    runner__wake(x);
}

static void on_run_timeout(uv_timer_t *timer)
{
    runner__executor *x = timer->data;
    if (x->phase == RUNNER__PHASE_WORKING || x->phase == RUNNER__PHASE_FAILING) {
        x->phase = RUNNER__PHASE_TIMED_OUT;
        runner__stop_all(x, RUNNER__STOP_RUN_TIMEOUT, false);
        runner__wake(x);
    }
}

/* ---- listening ---- */

static void on_feed(ratoon_uv_feed *feed, const ratoon_feed_item *item, const ratoon_error *error,
                    void *data)
{
    (void)feed;
    runner__executor *x = data;
    if (item == NULL) {
        x->feed_broken = true;
        runner__warn(x, NULL, "the feed ended (%s); looking for requests to cancel once a second",
                     error->message);
        return;
    }
    for (size_t i = 0; i < item->events; i++) {
        if (ratoon_id_equal(item->runs[i], x->facts.run) &&
            strncmp(item->types[i], "run.", 4) == 0) {
            x->look = true;
            runner__wake(x);
        }
    }
}

static void on_tick(uv_timer_t *timer)
{
    runner__executor *x = timer->data;
    x->ticks++;
    for (runner__attempt *a = x->attempts; a != NULL; a = a->next) {
        for (runner__task *task = a->tasks; task != NULL; task = task->next) {
            runner__task_poll(task);
        }
        (void)runner__attempt_log_progress(a);
    }
    if (x->ticks % TICKS_SHOWN == 0) {
        emit_run(x, RUNNER_TICK);
    }
    if (x->feed_broken && x->ticks % TICKS_LOOKED == 0) {
        x->look = true;
        runner__wake(x);
    }
}

/* ---- the end of the run ---- */

static void on_feed_stopped(void *data)
{
    runner__executor *x = data;
    x->feed_open = false;
}

static void close_handles(runner__executor *x)
{
    uv_close((uv_handle_t *)&x->tick, NULL);
    uv_close((uv_handle_t *)&x->run_timer, NULL);
    uv_close((uv_handle_t *)&x->wake_timer, NULL);
    uv_close((uv_handle_t *)&x->check, NULL);
    uv_close((uv_handle_t *)&x->idle, NULL);
    for (size_t i = 0; i < 3; i++) {
        uv_close((uv_handle_t *)&x->signals[i], NULL);
    }
}

/* The run's time is up and what waits, in back-off perhaps, has no process that could have failed:
 * it fails now. */
static void fail_waiting(runner__executor *x)
{
    const uint32_t *order = ratoon_pipeline_order(x->facts.pipeline);
    for (size_t i = 0; i < x->stages; i++) {
        if (x->slots[i].state == RUNNER__SLOT_FAILED) {
            return;
        }
    }
    x->phase = RUNNER__PHASE_WORKING; /* for the look at what waits */
    for (size_t i = 0; i < x->stages && x->phase == RUNNER__PHASE_WORKING; i++) {
        uint32_t stage = order[i];
        if (!runner__schedule_waits(x, stage)) {
            continue;
        }
        const char *name = ratoon_pipeline_stage(x->facts.pipeline, stage)->name;
        ratoon_stage_info info;
        if (ratoon_run_stage(x->facts.store, x->facts.run, stage, &info, NULL) != RATOON_OK) {
            break;
        }
        ratoon_failure failure = {.error_class = RATOON_CLASS_TIMEOUT,
                                  .message = "time-out of the run before it could start"};
        ratoon_op ops[2] = {{.kind = RATOON_OP_STAGE_START, .stage = name},
                            {.kind = RATOON_OP_STAGE_END,
                             .stage = name,
                             .attempt = info.attempt + 1,
                             .status = RATOON_STAGE_FAILED,
                             .failure = &failure}};
        if (runner__apply(x, ops, 2) != RATOON_OK) {
            break;
        }
        runner__schedule_ended(x, stage, RATOON_STAGE_FAILED);
    }
}

static void finish(runner__executor *x)
{
    if (x->phase == RUNNER__PHASE_TIMED_OUT) {
        fail_waiting(x);
    }
    x->finished = true;
    /* The feed is told first: the last commit then wakes its thread at once. */
    if (x->feed != NULL) {
        ratoon_uv_feed_stop(x->feed, on_feed_stopped, x);
        x->feed = NULL;
    }
    if (x->phase != RUNNER__PHASE_BROKEN) {
        char reason[64];
        (void)snprintf(reason, sizeof(reason), "interrupted by signal %d (SIG%s)", x->signal,
                       x->signal > 0 ? sigabbrev_np(x->signal) : "");
        ratoon_op op = {.kind = RATOON_OP_FINISH,
                        .interrupted = x->signal != 0,
                        .text = x->signal != 0 ? reason : NULL};
        runner__leftovers_remove(x);
        ratoon__at(RATOON__POINT_RUN_FINISH);
        ratoon_status status = runner__try(x, &op, 1);
        ratoon__at(RATOON__POINT_RUN_FINISHED);
        if (status == RATOON_OK) {
            x->status = op.run_status_out;
        } else {
            runner__break(x, status);
        }
    }
    close_handles(x);
}

/* ---- the loop ---- */

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* while it is active the loop does not wait */
}

void runner__wake(runner__executor *x)
{
    x->dirty = true;
    if (x->opened && !x->finished) {
        (void)uv_idle_start(&x->idle, on_idle);
    }
}

static void on_wake_timer(uv_timer_t *timer)
{
    runner__wake(timer->data);
}

static void turn(runner__executor *x)
{
    x->dirty = false;
    (void)uv_idle_stop(&x->idle);
    uv_update_time(&x->loop);
    if (x->look) {
        runner__look_at_run(x);
    }
    for (runner__attempt *a = x->attempts; a != NULL;) {
        runner__attempt *next = a->next;
        (void)runner__attempt_step(a);
        a = next;
    }
    runner__schedule(x);
    if (x->dirty) {
        return;
    }
    uint64_t next_ms = runner__schedule_next_ms(x);
    if (next_ms != UINT64_MAX && (x->attempts == NULL || x->processes < x->jobs)) {
        uint64_t now = uv_now(&x->loop);
        (void)uv_timer_start(&x->wake_timer, on_wake_timer, next_ms > now ? next_ms - now : 1, 0);
    }
    if (x->attempts == NULL && next_ms == UINT64_MAX) {
        finish(x);
    }
}

static void on_check(uv_check_t *check)
{
    runner__executor *x = check->data;
    if (x->dirty && !x->finished) {
        turn(x);
    }
}

static void watch_signals(runner__executor *x)
{
    static const int watched[3] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        (void)uv_signal_init(&x->loop, &x->signals[i]);
        x->signals[i].data = x;
        struct sigaction old;
        bool ignored = watched[i] == SIGHUP && sigaction(SIGHUP, NULL, &old) == 0 &&
                       old.sa_handler == SIG_IGN; /* as nohup has it */
        if (!ignored) {
            (void)uv_signal_start(&x->signals[i], on_signal, watched[i]);
        }
    }
}

static void open_handles(runner__executor *x)
{
    (void)uv_timer_init(&x->loop, &x->tick);
    (void)uv_timer_init(&x->loop, &x->run_timer);
    (void)uv_timer_init(&x->loop, &x->wake_timer);
    (void)uv_check_init(&x->loop, &x->check);
    (void)uv_idle_init(&x->loop, &x->idle);
    x->tick.data = x;
    x->run_timer.data = x;
    x->wake_timer.data = x;
    x->check.data = x;
    x->idle.data = x;
    (void)uv_timer_start(&x->tick, on_tick, TICK_MS, TICK_MS);
    (void)uv_check_start(&x->check, on_check);
    uint64_t timeout_ms = ratoon_pipeline_timeout_ms(x->facts.pipeline);
    if (timeout_ms > 0) {
        (void)uv_timer_start(&x->run_timer, on_run_timeout, timeout_ms, 0);
    }
    watch_signals(x);
    x->opened = true;
}

static uint32_t processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint32_t)count : 1;
}

static ratoon_status prepare(runner__executor *x, ratoon_error *error)
{
    ratoon_store *store = x->facts.store;
    uint64_t from = 0;
    ratoon_status status = ratoon_feed_end(store, &from, error);
    if (status == RATOON_OK) {
        status = runner__schedule_load(x, error);
    }
    if (status == RATOON_OK) {
        status = ratoon_uv_feed_start(&x->loop, store, from, on_feed, x, &x->feed, error);
        x->feed_open = status == RATOON_OK;
    }
    return status;
}

static const int kept_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD};
#define KEPT_SIGNALS (sizeof(kept_signals) / sizeof(kept_signals[0]))

static ratoon_status execute(runner__executor *x, ratoon_error *error)
{
    ratoon_status status = prepare(x, error);
    if (status != RATOON_OK) {
        return status;
    }
    open_handles(x);
    x->look = true; /* it may have been cancelled before the feed was followed */
    runner__wake(x);
    (void)uv_run(&x->loop, UV_RUN_DEFAULT);
    if (x->phase == RUNNER__PHASE_BROKEN) {
        if (error != NULL) {
            *error = x->error;
        }
        return x->broken;
    }
    runner__on_end(x);
    return RATOON_OK;
}

/* Attempts remove their own folders; that of the run goes with the last. */
static void remove_work_folder(const runner__executor *x)
{
    runner__text path = {0};
    runner__text_format(&path, "%s/work/%s", x->facts.store_path, x->facts.run_text);
    (void)rmdir(path.data);
    runner__text_free(&path);
}

ratoon_status runner_execute(ratoon_store *store, ratoon_id run, uint64_t epoch,
                             const runner_options *options, runner_result *out, ratoon_error *error)
{
    runner__executor x = {.epoch = epoch, .options = options};
    ratoon_status status = runner__facts_load(store, run, &x.facts, error);
    if (status != RATOON_OK) {
        return status;
    }
    x.jobs = options->jobs > 0 ? options->jobs : processors();
    x.spawner = runner__spawner_new(options->self != NULL ? options->self : "/proc/self/exe");
    struct sigaction old[KEPT_SIGNALS];
    for (size_t i = 0; i < KEPT_SIGNALS; i++) {
        (void)sigaction(kept_signals[i], NULL, &old[i]);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (uv_loop_init(&x.loop) != 0) {
        status = runner__error(error, RATOON_ERR_IO, 0, "can't create an event loop");
    } else {
        status = execute(&x, error);
        (void)uv_run(&x.loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&x.loop);
    }
    for (size_t i = 0; i < KEPT_SIGNALS; i++) {
        (void)sigaction(kept_signals[i], &old[i], NULL);
    }
    remove_work_folder(&x);
    if (status == RATOON_OK) {
        *out = (runner_result){.status = x.status, .signal = x.signal};
    }
    free(x.ancestors);
    free(x.slots);
    runner__spawner_free(x.spawner);
    runner__facts_free(&x.facts);
    return status;
}
