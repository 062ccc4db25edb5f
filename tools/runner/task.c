/* One process of a stage: its files, its output, what it says while it runs. */
#include "tools/runner/executor.h"
#include "tools/runner/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 4096
#define ITEM_SHOWN_MAX ((size_t)200) /* bytes of a key, in messages */

/* ---- output ---- */

static void keep_out(void *ctx, const char *data, size_t size)
{
    runner__task *task = ctx;
    runner__capture_add(task->out, data, size);
}

static void keep_err(void *ctx, const char *data, size_t size)
{
    runner__task *task = ctx;
    runner__capture_add(task->err, data, size);
    runner__tail_add(&task->tail, data, size);
}

static void on_output(void *ctx, int stream, const char *data, size_t size)
{
    runner__task *task = ctx;
    if (stream == 1) {
        runner__mask_feed(&task->out_mask, data, size, false, keep_out, task);
    } else {
        runner__mask_feed(&task->err_mask, data, size, false, keep_err, task);
    }
}

static void note_capture_error(runner__task *task, const runner__capture_result *result)
{
    if (result->error != 0) {
        runner__warn(task->attempt->x, task->attempt->def->name,
                     "captured output could not be kept whole: %s", strerror(result->error));
    }
}

static void end_captures(runner__task *task)
{
    if (task->out == NULL) {
        return;
    }
    runner__mask_feed(&task->out_mask, "", 0, true, keep_out, task);
    runner__mask_feed(&task->err_mask, "", 0, true, keep_err, task);
    bool sync = task->item == NULL;
    runner__capture_result out = runner__capture_end(task->out, sync);
    runner__capture_result err = runner__capture_end(task->err, sync);
    task->out = NULL;
    task->err = NULL;
    note_capture_error(task, &out);
    note_capture_error(task, &err);
    task->capture = (ratoon_capture){.stdout_size = out.size,
                                     .stderr_size = err.size,
                                     .stdout_dropped = out.dropped,
                                     .stderr_dropped = err.dropped,
                                     .stdout_digest = out.digest,
                                     .stderr_digest = err.digest};
}

/* ---- events ---- */

static char *masked(const runner__task *task, const char *text)
{
    runner__text out = {0};
    runner__mask_text(&task->attempt->x->facts.mask, text, strlen(text), &out);
    return runner__text_take(&out);
}

static void take_output(runner__task *task, const runner__line *line)
{
    runner__text error = {0};
    if (!runner__output_members(line->value, task->attempt->cwd, &task->attempt->x->facts.mask,
                                &task->partial, &error)) {
        runner__events_refuse(&task->events, error.data);
    }
    runner__text_free(&error);
}

static void take_consumes(runner__task *task, const char *text)
{
    ratoon_id run;
    ratoon_error error = {0};
    if (ratoon_run_find(task->attempt->x->facts.store, text, &run, &error) != RATOON_OK) {
        runner__events_refuse(&task->events, error.message);
        return;
    }
    runner__attempt_add_side(task->attempt, RATOON_OP_CONSUMES, text, run);
}

static void take_own_item(runner__task *task, const runner__line *line)
{
    task->committed = task->committed || line->committed;
    task->reported_failed = line->failed;
    runner__text_clear(&task->reported_error);
    if (line->text != NULL) {
        char *error = masked(task, line->text);
        runner__text_str(&task->reported_error, error);
        free(error);
    }
    if (line->value.size > 0) {
        runner__text_clear(&task->reported_output);
        runner__json_compact(line->value, &task->reported_output);
    }
}

static void take_item(runner__task *task, const runner__line *line)
{
    if (line->value.size > 0 &&
        runner__mask_finds(&task->attempt->x->facts.mask, line->value.data, line->value.size)) {
        runner__events_refuse(&task->events,
                              "an item's output holds the value of a secret parameter");
        return;
    }
    if (runner__mask_finds(&task->attempt->x->facts.mask, line->item, strlen(line->item))) {
        runner__events_refuse(&task->events, "an item's key holds the value of a secret parameter");
        return;
    }
    if (task->item != NULL) {
        if (strcmp(task->item, line->item) == 0) {
            take_own_item(task, line);
        } else {
            runner__text why = {0};
            runner__text_str(&why, "it is about the item '");
            runner__text_start(&why, line->item, ITEM_SHOWN_MAX);
            runner__text_str(&why, "', this process is '");
            runner__text_start(&why, task->item, ITEM_SHOWN_MAX);
            runner__text_str(&why, "'");
            runner__events_refuse(&task->events, why.data);
            runner__text_free(&why);
        }
        return;
    }
    runner__result result = {
        .key = runner__strdup(line->item), .failed = line->failed, .committed = line->committed};
    if (line->value.size > 0) {
        runner__text output = {0};
        runner__json_compact(line->value, &output);
        result.output_size = output.size;
        result.output = runner__text_take(&output);
    }
    if (line->failed) {
        result.error = masked(task, line->text != NULL ? line->text : "failed");
        result.error_class =
            ratoon_failure_classify(task->attempt->x->facts.pipeline, task->attempt->stage, -1, -1,
                                    result.error, strlen(result.error));
    }
    runner__attempt_add_result(task->attempt, &result);
}

static void on_line(void *ctx, const runner__line *line)
{
    runner__task *task = ctx;
    runner__attempt *a = task->attempt;
    task->heard_ms = uv_now(&a->x->loop);
    char *text = line->text != NULL ? masked(task, line->text) : NULL;
    switch (line->kind) {
    case RUNNER__LINE_PROGRESS:
        runner__attempt_progress(a, line->done, line->total, text);
        break;
    case RUNNER__LINE_ITEM:
        take_item(task, line);
        break;
    case RUNNER__LINE_DEGRADED:
        runner__text_clear(&task->degraded);
        runner__text_str(&task->degraded, text != NULL && text[0] != '\0' ? text : "degraded");
        break;
    case RUNNER__LINE_OUTPUT:
        take_output(task, line);
        break;
    case RUNNER__LINE_CONSUMES:
        take_consumes(task, text);
        break;
    case RUNNER__LINE_EXTERNAL_REF:
        runner__attempt_add_side(a, RATOON_OP_EXTERNAL_REF, text, (ratoon_id){{0}});
        break;
    }
    free(text);
}

void runner__task_poll(runner__task *task)
{
    if (task->process == NULL) {
        return;
    }
    const runner__attempt *a = task->attempt;
    if (runner__events_read(&task->events, false, on_line, task)) {
        task->heard_ms = uv_now(&a->x->loop);
        runner__wake(a->x);
    }
    if (a->def->heartbeat_ms > 0 && task->stop == RUNNER__STOP_NONE &&
        uv_now(&a->x->loop) >= task->heard_ms + a->def->heartbeat_ms) {
        runner__task_stop(task, RUNNER__STOP_HEARTBEAT, false);
    }
}

/* ---- its life ---- */

void runner__task_stop(runner__task *task, runner__stop why, bool at_once)
{
    if (task->process == NULL) {
        return;
    }
    if (task->stop < why) {
        task->stop = why;
    }
    if (at_once) {
        runner__process_kill(task->process);
    } else {
        runner__process_terminate(task->process);
    }
}

static void task_ended(runner__task *task)
{
    end_captures(task);
    task->ended = true;
    runner__attempt_task_ended(task);
}

static void on_process_end(void *ctx, const runner__process_end *end)
{
    runner__task *task = ctx;
    task->process = NULL;
    (void)runner__events_read(&task->events, true, on_line, task);
    /* The tail of stderr must be whole before it is looked at. */
    runner__mask_feed(&task->err_mask, "", 0, true, keep_err, task);
    runner__task_judge(task, end);
    task_ended(task);
}

static bool write_task_file(runner__task *task, const char *name, const char *data, size_t size)
{
    char *path = runner__path_resolve(task->folder, name);
    int failed = runner__write_file(path, data, size);
    if (failed != 0) {
        runner__text message = {0};
        runner__text_format(&message, "can't write '%s': %s", path, strerror(failed));
        runner__failure_set(&task->failure, RATOON_CLASS_EXECUTION, message.data);
        runner__text_free(&message);
    }
    free(path);
    return failed == 0;
}

static bool make_files(runner__task *task, runner__slice value)
{
    int failed = runner__make_folder(task->folder);
    if (failed != 0) {
        runner__text message = {0};
        runner__text_format(&message, "can't create '%s': %s", task->folder, strerror(failed));
        runner__failure_set(&task->failure, RATOON_CLASS_EXECUTION, message.data);
        runner__text_free(&message);
        return false;
    }
    if (!write_task_file(task, "output", "", 0) || !write_task_file(task, "events", "", 0) ||
        (task->item != NULL && !write_task_file(task, "item.json", value.data, value.size))) {
        return false;
    }
    char *path = runner__path_resolve(task->folder, "events");
    bool opened = runner__events_open(&task->events, path, &task->attempt->x->facts.mask);
    free(path);
    if (!opened) {
        runner__failure_set(&task->failure, RATOON_CLASS_EXECUTION, strerror(errno));
    }
    return opened;
}

static void open_captures(runner__task *task)
{
    const runner__attempt *a = task->attempt;
    const runner__facts *facts = &a->x->facts;
    char path[PATH_MAX_BYTES];
    for (int stream = 1; stream <= 2; stream++) {
        ratoon_capture_path(facts->store_path, facts->run, a->def->name, a->number, task->item,
                            stream, path, sizeof(path));
        runner__capture *capture =
            runner__capture_new(path, RUNNER__CAPTURE_MAX, task->item != NULL);
        *(stream == 1 ? &task->out : &task->err) = capture;
    }
    task->out_mask.mask = &facts->mask;
    task->err_mask.mask = &facts->mask;
    task->tail.limit = RUNNER__STDERR_TAIL;
}

static bool spawn(runner__task *task)
{
    runner__attempt *a = task->attempt;
    runner__env env = {0};
    for (size_t i = 0; i < a->env.count; i++) {
        env.items = runner__grow(env.items, &env.capacity, env.count + 2, sizeof(env.items[0]));
        env.items[env.count++] = runner__strdup(a->env.items[i]);
        env.items[env.count] = NULL;
    }
    runner__env_stage(&env, a->def->name, a->number, a->state_path, task->folder, task->item);
    runner__process_spec spec = {
        .spawner = a->x->spawner,
        .lock_path = a->lock_path,
        .cwd = a->cwd,
        .grace_ms = a->def->grace_ms,
        .argv = a->argv,
        .env = env.items,
        .on_output = on_output,
        .on_end = on_process_end,
        .ctx = task,
    };
    int failed = runner__process_start(&a->x->loop, &spec, &task->process);
    runner__env_free(&env);
    if (failed != 0) {
        runner__text message = {0};
        runner__text_format(&message, "can't start a process: %s", uv_strerror(failed));
        runner__failure_set(&task->failure, RATOON_CLASS_EXECUTION, message.data);
        runner__text_free(&message);
        return false;
    }
    return true;
}

runner__task *runner__task_start(runner__attempt *a, const char *item, runner__slice value)
{
    runner__task *task = runner__alloc(sizeof(*task));
    task->attempt = a;
    task->item = runner__strdup(item);
    task->events.fd = -1;
    task->started_ns = uv_hrtime();
    uv_update_time(&a->x->loop); /* what it gets may have been long on its way */
    task->heard_ms = uv_now(&a->x->loop);
    if (item == NULL) {
        task->folder = runner__strdup(a->folder);
    } else {
        char hash[33];
        runner__hash_text(item, strlen(item), 16, hash);
        task->folder = runner__path_resolve(a->folder, hash);
    }
    task->next = a->tasks;
    a->tasks = task;
    a->running++;
    a->x->processes++;
    open_captures(task);
    if (!make_files(task, value) || !spawn(task)) {
        task_ended(task);
    }
    return task;
}

void runner__task_free(runner__task *task)
{
    if (task->item != NULL) {
        (void)runner__remove_tree(task->folder);
    }
    runner__events_close(&task->events);
    runner__mask_stream_free(&task->out_mask);
    runner__mask_stream_free(&task->err_mask);
    runner__tail_free(&task->tail);
    runner__text_free(&task->degraded);
    runner__outputs_free(&task->partial);
    runner__text_free(&task->reported_error);
    runner__text_free(&task->reported_output);
    runner__failure_free(&task->failure);
    runner__outputs_free(&task->outputs);
    runner__text_free(&task->item_output);
    free(task->item);
    free(task->folder);
    free(task);
}
