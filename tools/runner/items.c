/* Stages with foreach: one process per item, results recorded as they come (R13, R14). */
#include "tools/runner/executor.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 256          /* items in one commit */
#define BATCH_BYTES (1u << 20) /* of their keys, outputs and errors */
#define NAMED_MAX 10           /* failed items that a message names */
#define NAMED_BYTES_MAX 400    /* of their names */

/* ---- beginning ---- */

static void note_failed(runner__attempt *a, const char *key, ratoon_class error_class)
{
    if (a->items_failed < NAMED_MAX && a->failed.size < NAMED_BYTES_MAX) {
        runner__text_str(&a->failed, a->failed.size > 0 ? ", " : "");
        size_t size = strlen(key);
        runner__text_utf8(&a->failed, key, size < 100 ? size : 100);
    }
    a->items_failed++;
    a->classes[error_class] = true;
}

static void note_first(runner__attempt *a, const char *key, ratoon_class error_class,
                       const char *message, const runner__text *detail)
{
    if (a->first.error_class != RATOON_CLASS_NONE) {
        return;
    }
    a->first.error_class = error_class;
    size_t size = strlen(key);
    runner__text_utf8(&a->first.message, key, size < 100 ? size : 100);
    runner__text_format(&a->first.message, ": %s", message);
    if (detail != NULL) {
        runner__text_add(&a->first.detail, detail->data, detail->size);
    }
}

/* Counts what is done already and what this attempt is not asked for. */
static bool look_at_recorded(runner__attempt *a)
{
    runner__foreach f = runner__foreach_begin((runner__slice){a->array.data, a->array.size});
    bool ok = true;
    while (ok && runner__foreach_next(&f)) {
        if (ratoon_items_wanted(a->before, f.key)) {
            continue;
        }
        int64_t index = ratoon_items_find(a->before, f.key);
        ratoon_item item;
        ratoon_error error = {0};
        if (index < 0) {
            a->items_unasked++;
        } else if (ratoon_items_get(a->before, (size_t)index, &item, &error) != RATOON_OK) {
            runner__failure_set(&a->early, RATOON_CLASS_EXECUTION, error.message);
            ok = false;
        } else if (item.failed) {
            note_failed(a, f.key, item.error_class);
            note_first(a, f.key, item.error_class, item.error != NULL ? item.error : "failed",
                       NULL);
        } else {
            a->items_done++;
        }
    }
    runner__foreach_end(&f);
    return ok;
}

static bool record_total(runner__attempt *a)
{
    ratoon_op op = {.kind = RATOON_OP_STAGE_ITEMS,
                    .stage = a->def->name,
                    .attempt = a->number,
                    .total = a->items_total};
    if (runner__apply(a->x, &op, 1) == RATOON_OK) {
        return true;
    }
    runner__failure_set(&a->early, RATOON_CLASS_VALIDATION, a->x->error.message);
    return false;
}

void runner__items_begin(runner__attempt *a)
{
    runner__text error = {0};
    runner__slice array = {a->array.data, a->array.size};
    if (array.size == 0) {
        runner__text_format(&error, "foreach: the state has no key '%s'", a->def->foreach_key);
        runner__failure_set(&a->early, RATOON_CLASS_DEPENDENCY, error.data);
        runner__text_free(&error);
        return;
    }
    runner__text_format(&error, "foreach: '%s': ", a->def->foreach_key);
    if (!runner__foreach_check(array, &a->items_total, &error)) {
        runner__failure_set(&a->early, RATOON_CLASS_VALIDATION, error.data);
        runner__text_free(&error);
        return;
    }
    runner__text_free(&error);
    if (!record_total(a)) {
        return;
    }
    ratoon_error failed = {0};
    if (ratoon_stage_items(a->x->facts.store, a->x->facts.run, a->def->name, &a->before, &failed) !=
        RATOON_OK) {
        runner__failure_set(&a->early, RATOON_CLASS_EXECUTION, failed.message);
        return;
    }
    if (!look_at_recorded(a)) {
        return;
    }
    a->total = a->items_total;
    a->done = a->items_done;
    a->cursor = runner__foreach_begin(array);
    a->items_left = true;
}

bool runner__items_start(runner__attempt *a)
{
    bool started = false;
    while (a->items_left && a->stop == RUNNER__STOP_NONE && a->running < a->def->jobs &&
           a->x->processes < a->x->jobs && a->results_count < BATCH_MAX) {
        if (!runner__foreach_next(&a->cursor)) {
            a->items_left = false;
            runner__wake(a->x);
        } else if (ratoon_items_wanted(a->before, a->cursor.key)) {
            (void)runner__task_start(a, a->cursor.key, a->cursor.value);
            started = true;
        }
    }
    return started;
}

/* ---- recording ---- */

static size_t result_bytes(const runner__result *r)
{
    return strlen(r->key) + r->output_size + (r->error != NULL ? strlen(r->error) : 0);
}

static void emit_item(runner__attempt *a, const runner__result *r)
{
    uint64_t from = r->task != NULL ? r->task->started_ns : a->started_ns;
    runner_event event = {.kind = RUNNER_ITEM_ENDED,
                          .run = a->x->facts.run,
                          .stage = a->def->name,
                          .item = r->key,
                          .attempt = a->number,
                          .status = r->failed ? RATOON_STAGE_FAILED : RATOON_STAGE_SUCCEEDED,
                          .error_class = r->error_class,
                          .message = r->error,
                          .done = a->items_done + a->items_failed,
                          .total = a->items_total,
                          .elapsed_us = (uv_hrtime() - from) / 1000};
    runner__emit(a->x, &event);
}

/* What a recorded result means for its stage. */
static void recorded(runner__attempt *a, runner__result *r)
{
    if (r->failed) {
        note_failed(a, r->key, r->error_class);
        note_first(a, r->key, r->error_class, r->error != NULL ? r->error : "failed",
                   r->task != NULL ? &r->task->failure.detail : NULL);
    } else {
        a->items_done++;
    }
    if (r->degraded && !r->failed) {
        if (a->items_degraded++ == 0) {
            runner__text_format(&a->degraded, "%s: %s", r->key, r->task->degraded.data);
        }
    }
    if (a->def->foreach_key != NULL) {
        a->done = a->items_done + a->items_failed;
        a->progress_dirty = true;
    }
    if (r->task != NULL) {
        r->task->recorded = true;
    }
    emit_item(a, r);
}

/* What an item's own process wrote, if it wrote anything. */
static const ratoon_capture *capture_of(const runner__attempt *a, const runner__result *r)
{
    const bool own = a->def->foreach_key != NULL && r->task != NULL;
    const ratoon_capture *c = own ? &r->task->capture : NULL;
    return c != NULL && c->stdout_size + c->stderr_size > 0 ? c : NULL;
}

static ratoon_status apply_results(runner__attempt *a, const runner__result *results, size_t count)
{
    ratoon_item_result *items = runner__alloc(count * sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        const runner__result *r = &results[i];
        items[i] = (ratoon_item_result){.key = r->key,
                                        .failed = r->failed,
                                        .committed = r->committed,
                                        .output = r->output_size > 0 ? r->output : NULL,
                                        .output_size = r->output_size,
                                        .error_class = r->error_class,
                                        .error = r->error,
                                        .capture = capture_of(a, r)};
    }
    ratoon_op op = {.kind = RATOON_OP_ITEM,
                    .stage = a->def->name,
                    .attempt = a->number,
                    .items = items,
                    .items_count = count};
    ratoon_status status = runner__try(a->x, &op, 1);
    free(items);
    return status;
}

/* Turns a result that was refused into a failed one. */
static void refuse(runner__attempt *a, runner__result *r)
{
    free(r->output);
    free(r->error);
    r->output = NULL;
    r->output_size = 0;
    r->failed = true;
    r->committed = false;
    r->error_class = RATOON_CLASS_VALIDATION;
    r->error = runner__strdup(a->x->error.message);
}

/* Records a batch; where the whole is refused, one by one. False where the store failed. */
static bool record_batch(runner__attempt *a, runner__result *results, size_t count)
{
    ratoon_status status = apply_results(a, results, count);
    if (a->x->phase == RUNNER__PHASE_BROKEN) {
        return false;
    }
    if (status == RATOON_OK) {
        for (size_t i = 0; i < count; i++) {
            recorded(a, &results[i]);
        }
        return true;
    }
    if (count > 1) {
        bool ok = true;
        for (size_t i = 0; i < count && ok; i++) {
            ok = record_batch(a, &results[i], 1);
        }
        return ok;
    }
    if (results->failed) { /* such as: it is committed and can't fail any more */
        runner__warn(a->x, a->def->name, "%s", a->x->error.message);
        if (results->task != NULL) {
            results->task->recorded = true;
        }
        return true;
    }
    refuse(a, results);
    return record_batch(a, results, 1);
}

bool runner__items_record(runner__attempt *a)
{
    bool ok = true;
    size_t from = 0;
    while (ok && from < a->results_count) {
        size_t count = 0;
        size_t bytes = 0;
        while (from + count < a->results_count && count < BATCH_MAX) {
            bytes += result_bytes(&a->results[from + count]);
            if (count > 0 && bytes > BATCH_BYTES) {
                break;
            }
            count++;
        }
        ok = record_batch(a, a->results + from, count);
        from += count;
    }
    for (size_t i = 0; i < a->results_count; i++) {
        free(a->results[i].key);
        free(a->results[i].output);
        free(a->results[i].error);
    }
    a->results_count = 0;
    return ok;
}

/* ---- the end ---- */

/* The class that tells most: the one they share; out of memory, which adjusters help; else that
 * something failed. */
static ratoon_class common_class(const runner__attempt *a)
{
    ratoon_class found = RATOON_CLASS_NONE;
    size_t count = 0;
    for (size_t c = RATOON_CLASS_OOM; c <= RATOON_CLASS_UNKNOWN; c++) {
        if (a->classes[c]) {
            found = (ratoon_class)c;
            count++;
        }
    }
    if (count == 1) {
        return found;
    }
    return a->classes[RATOON_CLASS_OOM] ? RATOON_CLASS_OOM : RATOON_CLASS_EXECUTION;
}

static void fail_items(const runner__attempt *a, runner__failure *failure)
{
    unsigned long long total = (unsigned long long)a->items_total;
    if (a->items_failed == 0) {
        failure->error_class = RATOON_CLASS_DEPENDENCY;
        runner__text_format(&failure->message,
                            "%llu of %llu items are missing: they were not asked for",
                            (unsigned long long)a->items_unasked, total);
        return;
    }
    failure->error_class = common_class(a);
    runner__text_format(&failure->message, "%llu of %llu items failed: %s%s (%s)",
                        (unsigned long long)a->items_failed, total, a->failed.data,
                        a->items_failed > NAMED_MAX ? "…" : "",
                        a->first.message.data != NULL ? a->first.message.data : "");
    runner__text_add(&failure->detail, a->first.detail.data, a->first.detail.size);
}

static bool gather(runner__attempt *a, runner__gather *g, runner__failure *failure)
{
    ratoon_items *items = NULL;
    ratoon_error error = {0};
    if (ratoon_stage_items(a->x->facts.store, a->x->facts.run, a->def->name, &items, &error) !=
        RATOON_OK) {
        runner__failure_set(failure, RATOON_CLASS_EXECUTION, error.message);
        return false;
    }
    bool ok = true;
    runner__text why = {0};
    runner__foreach f = runner__foreach_begin((runner__slice){a->array.data, a->array.size});
    while (ok && runner__foreach_next(&f)) {
        int64_t index = ratoon_items_find(items, f.key);
        ratoon_item item = {0};
        if (index < 0) {
            continue;
        }
        if (ratoon_items_get(items, (size_t)index, &item, &error) != RATOON_OK) {
            runner__failure_set(failure, RATOON_CLASS_EXECUTION, error.message);
            ok = false;
        } else if (!runner__gather_add(g, f.key, (runner__slice){item.output, item.output_size},
                                       &why)) {
            runner__failure_set(failure, RATOON_CLASS_VALIDATION, why.data);
            ok = false;
        }
    }
    runner__foreach_end(&f);
    runner__text_free(&why);
    ratoon_items_free(items);
    return ok;
}

void runner__items_outcome(runner__attempt *a, runner__gather *g, runner__failure *failure)
{
    if (a->items_failed > 0 || a->items_unasked > 0) {
        fail_items(a, failure);
        return;
    }
    *g = runner__gather_new(a->def->produces_keys, a->def->produces_count);
    if (g->count > 0) {
        (void)gather(a, g, failure);
    }
}
