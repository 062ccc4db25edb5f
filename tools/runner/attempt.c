/* One attempt of a stage, from its start to the moment its processes have ended. */
#include "log/points.h"
#include "tools/runner/executor.h"
#include "tools/runner/files.h"
#include "tools/runner/lock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRESS_EVERY_MS 1000 /* A07 */
#define LOCK_LOOK_MS 50        /* between two looks at a lock that is held */

/* ---- before it starts ---- */

bool runner__attempt_left(const runner__executor *x, uint32_t stage)
{
    const runner__facts *f = &x->facts;
    char *path = runner__lock_path(f->store_path, f->run, stage);
    bool left = !runner__lock_free(path);
    free(path);
    for (size_t i = 0; i < x->ancestors_count && !left; i++) {
        /* The ancestor may have had another definition, with another number for the stage. */
        ratoon_pipeline *pipeline = NULL;
        ratoon_error error;
        if (ratoon_run_pipeline(f->store, x->ancestors[i], &pipeline, &error) != RATOON_OK) {
            continue;
        }
        const char *name = ratoon_pipeline_stage(f->pipeline, stage)->name;
        int32_t index = ratoon_pipeline_stage_find(pipeline, name);
        ratoon_pipeline_free(pipeline);
        if (index >= 0) {
            path = runner__lock_path(f->store_path, x->ancestors[i], (uint32_t)index);
            left = !runner__lock_free(path);
            free(path);
        }
    }
    return left;
}

static void emit_ended(runner__executor *x, uint32_t stage, ratoon_stage_status status,
                       ratoon_class error_class, const char *message)
{
    runner_event event = {.kind = RUNNER_STAGE_ENDED,
                          .run = x->facts.run,
                          .stage = ratoon_pipeline_stage(x->facts.pipeline, stage)->name,
                          .status = status,
                          .error_class = error_class,
                          .message = message};
    runner__emit(x, &event);
}

/* S04: required keys are absent. */
static void refuse(runner__executor *x, uint32_t stage, const char *message)
{
    const ratoon_stage_def *def = ratoon_pipeline_stage(x->facts.pipeline, stage);
    bool skip = runner__schedule_forgiven_above(x, stage);
    ratoon_failure failure = {.error_class = RATOON_CLASS_DEPENDENCY, .message = message};
    ratoon_op op = {.kind = skip ? RATOON_OP_STAGE_SKIP : RATOON_OP_STAGE_REFUSE,
                    .stage = def->name,
                    .text = message,
                    .failure = skip ? NULL : &failure};
    if (runner__apply(x, &op, 1) != RATOON_OK) {
        return;
    }
    ratoon_stage_status status = skip ? RATOON_STAGE_SKIPPED : RATOON_STAGE_FAILED;
    runner__schedule_ended(x, stage, status);
    emit_ended(x, stage, status, skip ? RATOON_CLASS_NONE : RATOON_CLASS_DEPENDENCY, message);
}

/* The key of a foreach stage is required as well where what should produce it failed and was
 * forgiven (E01). */
static bool foreach_key_absent(const runner__executor *x, const ratoon_stage_def *def)
{
    ratoon_state *state = NULL;
    ratoon_error error;
    if (ratoon_state_input(x->facts.store, x->facts.run, def->name, &state, &error) != RATOON_OK) {
        return false;
    }
    bool found = false;
    size_t count = ratoon_state_count(state);
    for (size_t i = 0; i < count && !found; i++) {
        ratoon_state_entry entry;
        found = ratoon_state_get(state, i, &entry, &error) != RATOON_OK ||
                strcmp(entry.key, def->foreach_key) == 0;
    }
    ratoon_state_free(state);
    return !found;
}

/* Records the start; false where the stage does not start. */
static bool record_start(runner__executor *x, uint32_t stage, uint32_t *attempt)
{
    const ratoon_stage_def *def = ratoon_pipeline_stage(x->facts.pipeline, stage);
    if (def->foreach_key != NULL && runner__schedule_forgiven_above(x, stage) &&
        foreach_key_absent(x, def)) {
        runner__text why = {0};
        runner__text_format(&why, "the state has no key '%s', whose stage failed and was forgiven",
                            def->foreach_key);
        refuse(x, stage, why.data);
        runner__text_free(&why);
        return false;
    }
    ratoon_op op = {.kind = RATOON_OP_STAGE_START, .stage = def->name};
    ratoon_status status = runner__apply(x, &op, 1);
    if (status == RATOON_ERR_MISSING_KEYS) {
        char *message = runner__strdup(x->error.message);
        refuse(x, stage, message);
        free(message);
        return false;
    }
    if (status != RATOON_OK && x->phase == RUNNER__PHASE_WORKING) {
        runner__break(x, status);
    }
    *attempt = op.attempt_out;
    return status == RATOON_OK;
}

/* ---- its files ---- */

static bool fail_early(runner__attempt *a, ratoon_class error_class, const char *message)
{
    runner__failure_set(&a->early, error_class, message);
    return false;
}

static bool check_cwd(runner__attempt *a)
{
    struct stat info;
    if (stat(a->cwd, &info) == 0 && S_ISDIR(info.st_mode)) {
        return true;
    }
    runner__text message = {0};
    runner__text_format(&message, "the folder '%s', in which it is to be executed, %s", a->cwd,
                        access(a->cwd, F_OK) == 0 ? "is no folder" : "is not found");
    (void)fail_early(a, RATOON_CLASS_EXECUTION, message.data);
    runner__text_free(&message);
    return false;
}

/* What attempts left behind whose executor died. Their processes are gone. */
static void remove_leftovers(const runner__attempt *a)
{
    const runner__facts *f = &a->x->facts;
    runner__text path = {0};
    for (uint32_t i = 1; i < a->number; i++) {
        runner__text_clear(&path);
        runner__text_format(&path, "%s/work/%s/%u.%u", f->store_path, f->run_text, a->stage, i);
        (void)runner__remove_tree(path.data);
    }
    runner__text_free(&path);
}

static bool make_files(runner__attempt *a)
{
    const runner__facts *f = &a->x->facts;
    remove_leftovers(a);
    int failed = runner__make_folder(a->folder);
    if (failed == 0) {
        failed = runner__make_parents(a->lock_path);
    }
    if (failed != 0) {
        runner__text message = {0};
        runner__text_format(&message, "can't create '%s': %s", a->folder, strerror(failed));
        (void)fail_early(a, RATOON_CLASS_EXECUTION, message.data);
        runner__text_free(&message);
        return false;
    }
    ratoon_error error = {0};
    if (runner__state_write(f, a->def->name, a->state_path, a->def->foreach_key, &a->array,
                            &error) != RATOON_OK) {
        return fail_early(a, RATOON_CLASS_EXECUTION, error.message);
    }
    return check_cwd(a);
}

static void on_timeout_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_timeout(uv_timer_t *timer)
{
    runner__attempt_stop(timer->data, RUNNER__STOP_TIMEOUT, false);
}

static runner__attempt *attempt_new(runner__executor *x, uint32_t stage, uint32_t number)
{
    const runner__facts *f = &x->facts;
    runner__attempt *a = runner__alloc(sizeof(*a));
    a->x = x;
    a->stage = stage;
    a->def = ratoon_pipeline_stage(f->pipeline, stage);
    a->number = number;
    a->started_ns = uv_hrtime();
    runner__text folder = {0};
    runner__text_format(&folder, "%s/work/%s/%u.%u", f->store_path, f->run_text, stage, number);
    a->folder = runner__text_take(&folder);
    a->state_path = runner__path_resolve(a->folder, "state.json");
    a->lock_path = runner__lock_path(f->store_path, f->run, stage);
    a->cwd = runner__stage_cwd(f, a->def);
    a->argv = runner__stage_argv(f, a->def);
    runner__env_base(f, a->def, &a->env);
    a->next = x->attempts;
    x->attempts = a;
    if (a->def->timeout_ms > 0) {
        a->timeout = runner__alloc(sizeof(*a->timeout));
        (void)uv_timer_init(&x->loop, a->timeout);
        a->timeout->data = a;
        (void)uv_timer_start(a->timeout, on_timeout, a->def->timeout_ms, 0);
    }
    return a;
}

/* What comes once the start is durable. */
static void begin(runner__executor *x, uint32_t stage, uint32_t number)
{
    ratoon__at(RATOON__POINT_RUN_STARTED);
    x->slots[stage].state = RUNNER__SLOT_RUNNING;
    runner__attempt *a = attempt_new(x, stage, number);
    runner_event event = {.kind = RUNNER_STAGE_STARTED,
                          .run = x->facts.run,
                          .stage = a->def->name,
                          .attempt = number,
                          .status = RATOON_STAGE_RUNNING};
    runner__emit(x, &event);
    if (make_files(a)) {
        if (a->def->foreach_key != NULL) {
            runner__items_begin(a);
        } else {
            (void)runner__task_start(a, NULL, (runner__slice){0});
        }
        ratoon__at(RATOON__POINT_RUN_SPAWNED);
    }
    runner__wake(x);
}

void runner__attempt_start(runner__executor *x, uint32_t stage)
{
    runner__slot *slot = &x->slots[stage];
    if (runner__attempt_left(x, stage)) {
        slot->state = RUNNER__SLOT_LOCKED;
        slot->not_before_ms = uv_now(&x->loop) + LOCK_LOOK_MS;
        return;
    }
    slot->state = RUNNER__SLOT_PENDING;
    uint32_t number = 0;
    if (!record_start(x, stage, &number)) {
        return;
    }
    begin(x, stage, number);
}

/* ---- while it runs ---- */

void runner__attempt_progress(runner__attempt *a, uint64_t done, uint64_t total,
                              const char *message)
{
    if (a->def->foreach_key == NULL) { /* with items, they are what is counted */
        a->done = done;
        a->total = total;
    }
    runner__text_clear(&a->progress_message);
    runner__text_str(&a->progress_message, message != NULL ? message : "");
    a->progress_dirty = true;
    uint64_t now = uv_now(&a->x->loop);
    if (now - a->progress_shown_ms < PROGRESS_EVERY_MS / 10 && a->progress_shown_ms != 0) {
        return;
    }
    a->progress_shown_ms = now;
    runner_event event = {.kind = RUNNER_STAGE_PROGRESS,
                          .run = a->x->facts.run,
                          .stage = a->def->name,
                          .attempt = a->number,
                          .status = RATOON_STAGE_RUNNING,
                          .done = a->done,
                          .total = a->total,
                          .message = a->progress_message.data,
                          .elapsed_us = (uv_hrtime() - a->started_ns) / 1000};
    runner__emit(a->x, &event);
}

/* Logs progress where it is time to; false where the append failed. */
bool runner__attempt_log_progress(runner__attempt *a)
{
    uint64_t now = uv_now(&a->x->loop);
    if (!a->progress_dirty ||
        (a->progress_logged_ms != 0 && now - a->progress_logged_ms < PROGRESS_EVERY_MS)) {
        return true;
    }
    ratoon_op op = {.kind = RATOON_OP_STAGE_PROGRESS,
                    .stage = a->def->name,
                    .attempt = a->number,
                    .done = a->done,
                    .total = a->total,
                    .text = a->progress_message.data};
    a->progress_dirty = false;
    a->progress_logged_ms = now;
    return runner__apply(a->x, &op, 1) == RATOON_OK;
}

void runner__attempt_add_side(runner__attempt *a, ratoon_op_kind kind, const char *text,
                              ratoon_id run)
{
    for (size_t i = 0; i < a->sides_count; i++) {
        if (a->sides[i].kind == kind && strcmp(a->sides[i].text, text) == 0) {
            return;
        }
    }
    a->sides = runner__grow(a->sides, &a->sides_capacity, a->sides_count + 1, sizeof(runner__side));
    a->sides[a->sides_count++] =
        (runner__side){.kind = kind, .text = runner__strdup(text), .run = run};
}

static bool record_sides(runner__attempt *a)
{
    bool ok = true;
    for (size_t i = 0; i < a->sides_count; i++) {
        runner__side *side = &a->sides[i];
        ratoon_op op = {.kind = side->kind,
                        .stage = a->def->name,
                        .attempt = a->number,
                        .text = side->text,
                        .run = side->run};
        ratoon_status status = ok ? runner__apply(a->x, &op, 1) : RATOON_OK;
        if (status != RATOON_OK && a->x->phase != RUNNER__PHASE_BROKEN) {
            runner__failure_set(&a->early, RATOON_CLASS_VALIDATION, a->x->error.message);
        }
        ok = ok && a->x->phase != RUNNER__PHASE_BROKEN;
        free(side->text);
    }
    a->sides_count = 0;
    return ok;
}

void runner__attempt_add_result(runner__attempt *a, const runner__result *result)
{
    a->results = runner__grow(a->results, &a->results_capacity, a->results_count + 1,
                              sizeof(runner__result));
    a->results[a->results_count++] = *result;
    runner__wake(a->x);
}

void runner__attempt_stop(runner__attempt *a, runner__stop why, bool at_once)
{
    if (a->stop < why) {
        a->stop = why;
    }
    a->at_once = a->at_once || at_once;
    for (runner__task *task = a->tasks; task != NULL; task = task->next) {
        runner__task_stop(task, why, at_once);
    }
    runner__wake(a->x);
}

/* The result of an item, from how its process ended. */
static void add_item_result(runner__task *task)
{
    runner__result result = {.key = runner__strdup(task->item),
                             .committed = task->committed,
                             .degraded = task->degraded.size > 0,
                             .task = task};
    if (task->failure.error_class != RATOON_CLASS_NONE) {
        result.failed = true;
        result.committed = false;
        result.error_class = task->failure.error_class;
        result.error = runner__strndup(task->failure.message.data, task->failure.message.size);
    } else {
        result.output_size = task->item_output.size;
        result.output = runner__text_take(&task->item_output);
    }
    runner__attempt_add_result(task->attempt, &result);
}

void runner__attempt_task_ended(runner__task *task)
{
    runner__attempt *a = task->attempt;
    a->running--;
    a->x->processes--;
    if (task->item != NULL) {
        /* An item that was stopped from outside has no result: it is as if it never started. */
        if (task->stop == RUNNER__STOP_NONE || task->stop == RUNNER__STOP_HEARTBEAT ||
            task->stop == RUNNER__STOP_TIMEOUT || task->stop == RUNNER__STOP_RUN_TIMEOUT) {
            add_item_result(task);
        } else {
            task->recorded = true;
            a->items_stopped++;
        }
    }
    runner__wake(a->x);
}

static void free_recorded(runner__attempt *a)
{
    for (runner__task **at = &a->tasks; *at != NULL;) {
        runner__task *task = *at;
        if (task->item != NULL && task->recorded) {
            *at = task->next;
            runner__task_free(task);
        } else {
            at = &task->next;
        }
    }
}

/* Begins what was recorded as started: at once, so that whatever stops it finds it. */
static void begin_handed_over(runner__executor *x)
{
    const runner__handover next = x->handover;
    x->handover.count = 0;
    for (size_t i = 0; i < next.count; i++) {
        begin(x, next.stages[i], next.attempts[i]);
    }
}

bool runner__attempt_step(runner__attempt *a)
{
    runner__executor *x = a->x;
    bool broken = x->phase == RUNNER__PHASE_BROKEN;
    if (!broken && runner__items_record(a) && record_sides(a)) {
        free_recorded(a);
    }
    if (a->running > 0 || (a->items_left && a->stop == RUNNER__STOP_NONE)) {
        return false;
    }
    if (x->phase != RUNNER__PHASE_BROKEN) {
        ratoon__at(RATOON__POINT_RUN_END);
        runner__attempt_end(a);
        ratoon__at(RATOON__POINT_RUN_ENDED);
    }
    runner__attempt_free(a);
    begin_handed_over(x);
    return true;
}

void runner__attempt_free(runner__attempt *a)
{
    for (runner__attempt **at = &a->x->attempts; *at != NULL; at = &(*at)->next) {
        if (*at == a) {
            *at = a->next;
            break;
        }
    }
    if (a->timeout != NULL) {
        uv_close((uv_handle_t *)a->timeout, on_timeout_closed);
    }
    while (a->tasks != NULL) {
        runner__task *task = a->tasks;
        a->tasks = task->next;
        runner__task_free(task);
    }
    for (size_t i = 0; i < a->results_count; i++) {
        free(a->results[i].key);
        free(a->results[i].output);
        free(a->results[i].error);
    }
    for (size_t i = 0; i < a->sides_count; i++) {
        free(a->sides[i].text);
    }
    (void)runner__remove_tree(a->folder);
    (void)runner__lock_free(a->lock_path); /* removes the file */
    ratoon_items_free(a->before);
    runner__foreach_end(&a->cursor);
    runner__text_free(&a->array);
    runner__text_free(&a->degraded);
    runner__text_free(&a->failed);
    runner__text_free(&a->progress_message);
    runner__failure_free(&a->early);
    runner__failure_free(&a->first);
    runner__argv_free(a->argv);
    runner__env_free(&a->env);
    free(a->results);
    free(a->sides);
    free(a->folder);
    free(a->state_path);
    free(a->lock_path);
    free(a->cwd);
    free(a);
}
