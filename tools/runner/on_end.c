/* The command that a pipeline has executed when a run ends. */
#include "tools/runner/executor.h"
#include "tools/runner/files.h"
#include "tools/runner/lock.h"

#include <stdlib.h>
#include <string.h>

#define ON_END_MAX_MS (5u * 60 * 1000)
#define ON_END_GRACE_MS 10000

typedef struct waiting {
    runner__process *process; /* NULL once it has ended */
    runner__process_end end;
    uv_timer_t timer;
} waiting;

static void on_process_end(void *ctx, const runner__process_end *end)
{
    waiting *w = ctx;
    w->process = NULL;
    w->end = *end;
    uv_close((uv_handle_t *)&w->timer, NULL);
}

static void on_time_up(uv_timer_t *timer)
{
    waiting *w = timer->data;
    if (w->process != NULL) {
        runner__process_terminate(w->process);
    }
}

static void warn_end(runner__executor *x, const char *command, const runner__process_end *end)
{
    if (end->step == 0 && end->exit_code == 0 && !end->lost) {
        return;
    }
    runner__text what = {0};
    if (end->step != 0) {
        runner__text_str(&what, strerror(end->error));
    } else {
        runner__exit_text(end->exit_code, end->signal, &what);
    }
    runner__warn(x, NULL, "on_end: '%s' failed: %s", command, what.data);
    runner__text_free(&what);
}

static void execute(runner__executor *x, char **argv, const runner__env *env)
{
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) {
        return;
    }
    waiting w = {0};
    char *lock = runner__lock_path(x->facts.store_path, x->facts.run, RATOON_STAGES_MAX);
    runner__process_spec spec = {
        .spawner = x->spawner,
        .lock_path = lock,
        .cwd = x->facts.base_dir,
        .grace_ms = ON_END_GRACE_MS,
        .argv = argv,
        .env = env->items,
        .inherit_output = true,
        .on_end = on_process_end,
        .ctx = &w,
    };
    (void)uv_timer_init(&loop, &w.timer);
    w.timer.data = &w;
    (void)runner__make_parents(lock);
    int failed = runner__process_start(&loop, &spec, &w.process);
    if (failed == 0) {
        (void)uv_timer_start(&w.timer, on_time_up, ON_END_MAX_MS, 0);
    } else {
        uv_close((uv_handle_t *)&w.timer, NULL);
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    if (failed != 0) {
        runner__warn(x, NULL, "on_end: '%s' failed: %s", argv[0], uv_strerror(failed));
    } else {
        warn_end(x, argv[0], &w.end);
    }
    (void)runner__lock_free(lock);
    free(lock);
}

void runner__on_end(runner__executor *x)
{
    size_t count;
    const char *const *command = ratoon_pipeline_on_end(x->facts.pipeline, &count);
    if (count == 0 || !ratoon_run_status_terminal(x->status)) {
        return;
    }
    runner__env env = {0};
    runner__env_base(&x->facts, NULL, &env);
    runner__env_set(&env, "RATOON_STATUS", ratoon_run_status_name(x->status));
    char **argv = runner__argv_resolve(x->facts.base_dir, command, count);
    execute(x, argv, &env);
    runner__argv_free(argv);
    runner__env_free(&env);
}
