/* Executing runs. */
#include "tools/ratoon/execute.h"
#include "tools/ratoon/follow.h"
#include "tools/ratoon/next.h"
#include "tools/ratoon/show.h"
#include "tools/ratoon/text.h"
#include "tools/runner/runner.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_LOOK_MS 2000 /* a queued run looks whether it may start, even if nothing is said */

static const char *own_path(void)
{
    static char path[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) {
        return "ratoon";
    }
    path[length] = '\0';
    return path;
}

/* ---- what is about to happen, and what can be done afterwards ---- */

/* Whether a stage is executed at all: with --until only that stage and what it depends on. */
static bool is_wanted(const ratoon_pipeline *pipeline, int32_t until, const char *stage)
{
    const int32_t i = ratoon_pipeline_stage_find(pipeline, stage);
    return until < 0 || i < 0 || i == until ||
           ratoon_pipeline_depends(pipeline, (uint32_t)until, (uint32_t)i);
}

static void announce(const app *a, const json_t *run, const ratoon_pipeline *pipeline,
                     int32_t until)
{
    json_t *ran = json_array(), *reused = json_array();
    size_t i, finished = 0;
    json_t *stage;
    json_array_foreach(json_object_get(run, "stages"), i, stage)
    {
        const char *status = doc_string(stage, "status");
        json_t *list = strcmp(status, "reused") == 0    ? reused
                       : strcmp(status, "pending") == 0 ? ran
                                                        : NULL; /* done, or forgiven */
        finished += list == NULL;
        if (list != NULL && is_wanted(pipeline, until, doc_string(stage, "name"))) {
            json_array_append(list, json_object_get(stage, "name"));
        }
    }
    const char *parent = doc_string(run, "parent");
    char *names = next_names(ran), *others = next_names(reused);
    if (finished > 0) {
        app_note(a, "run %s of %s goes on: runs %s", doc_string(run, "id"),
                 doc_string(run, "pipeline"), names);
    } else if (*parent != '\0') {
        app_note(a, "run %s: retry of %s from %s: runs %s%s%s", doc_string(run, "id"), parent,
                 doc_string(run, "from_stage"), names, *others != '\0' ? "; reuses " : "", others);
    } else {
        app_note(a, "run %s of %s: runs %s", doc_string(run, "id"), doc_string(run, "pipeline"),
                 names);
    }
    free(names);
    free(others);
    json_decref(ran);
    json_decref(reused);
}

/* E09: the exact command to go on. */
static void put_next(const app *a, const json_t *run)
{
    const char *action = next_action(run);
    fflush(stdout);
    if (action == NULL) {
        const json_t *retry = json_object_get(json_object_get(run, "actions"), "retry");
        fputs("can't be retried: ", stderr);
        text_put_string(stderr, doc_string(retry, "why_not"));
        fputc('\n', stderr);
        return;
    }
    fputs("go on with: ", stderr);
    next_put(stderr, a, run, action);
    fputc('\n', stderr);
    if (strcmp(action, "retry") == 0) {
        char *effect = next_retry_effect(a, run);
        if (effect != NULL) {
            fputs("  which ", stderr);
            text_put_string(stderr, effect);
            fputc('\n', stderr);
        }
        free(effect);
    }
}

int execute_report(const app *a, ratoon_id id, int signal)
{
    json_t *document = NULL;
    int code = EXIT_DONE;
    const json_t *run = doc_run(a, id, true, &document, &code);
    if (run == NULL) {
        return code;
    }
    if (a->json) {
        doc_print_json(document);
    } else {
        show_summary(a, run);
    }
    fflush(stdout);
    const ratoon_run_status status = ratoon_run_status_parse(doc_string(run, "status"));
    code = status_exit_code(a, doc_string(run, "status"));
    if (signal != 0 && (status == RATOON_RUN_SUSPENDED || ratoon_run_status_active(status))) {
        code = EXIT_INTERRUPTED;
    }
    if (status == RATOON_RUN_FAILED || status == RATOON_RUN_SUSPENDED ||
        status == RATOON_RUN_CANCELLED) {
        put_next(a, run);
    }
    json_decref(document);
    return code;
}

/* ---- executing ---- */

int execute_one(const app *a, ratoon_id run, uint64_t epoch, uint32_t jobs, runner_result *result)
{
    json_t *document = NULL;
    int code = EXIT_DONE;
    const json_t *doc = doc_run(a, run, true, &document, &code);
    if (doc == NULL) {
        return code;
    }
    ratoon_run_info info = {.until = -1};
    ratoon_pipeline *pipeline = NULL;
    if (ratoon_run_get(a->store, run, &info, NULL) == RATOON_OK &&
        ratoon_run_pipeline(a->store, run, &pipeline, NULL) == RATOON_OK) {
        announce(a, doc, pipeline, info.until);
    }
    ratoon_pipeline_free(pipeline);
    json_decref(document);
    live *display = live_open(a, run);
    ratoon_error error = {0};
    const runner_options options = {
        .jobs = jobs, .self = own_path(), .on_event = live_event, .ctx = display};
    error.code = runner_execute(a->store, run, epoch, &options, result, &error);
    live_close(display);
    return error.code == RATOON_OK ? -1 : app_fail(a, &error);
}

int execute_chain(app *a, ratoon_id *run, uint64_t epoch, uint32_t jobs, runner_result *result)
{
    for (;;) {
        ratoon_created next = {0};
        const int code = execute_one(a, *run, epoch, jobs, result);
        if (code >= 0) {
            return code;
        }
        if (result->status != RATOON_RUN_FAILED || result->signal != 0 ||
            !chain_next(a, *run, &next)) {
            return -1;
        }
        *run = next.run;
        epoch = next.epoch;
    }
}

int execute_run(app *a, ratoon_id run, uint64_t epoch, uint32_t jobs)
{
    runner_result result = {0};
    const int code = execute_chain(a, &run, epoch, jobs, &result);
    if (code >= 0) {
        return code;
    }
    if (result.signal == 0) {
        execute_queued(a, run, jobs);
        execute_cascades(a, jobs);
    }
    return execute_report(a, run, result.signal);
}

int execute_start(app *a, ratoon_id run, const ratoon_start_options *options, uint32_t jobs)
{
    ratoon_error error = {0};
    uint64_t epoch = 0;
    error.code = ratoon_run_start(a->store, run, options, &epoch, &error);
    return error.code == RATOON_OK ? execute_run(a, run, epoch, jobs) : app_fail(a, &error);
}

/* ---- queued runs (R08) ---- */

/* Waits for something that may have freed the way: an event about a run as such. */
static ratoon_status wait_for_change(const app *a, uint64_t *position, ratoon_error *error)
{
    const uint64_t until = monotonic_ms() + QUEUE_LOOK_MS;
    ratoon_feed *feed = NULL;
    ratoon_status status = ratoon_feed_open(a->store, *position, &feed, error);
    bool changed = false;
    while (status == RATOON_OK && !changed && signals_caught() == 0 && monotonic_ms() < until) {
        ratoon_feed_item item;
        status = ratoon_feed_next(feed, 200, &item, error);
        if (status == RATOON_ERR_TIMED_OUT) {
            status = RATOON_OK;
            continue;
        }
        for (size_t i = 0; status == RATOON_OK && i < item.events; i++) {
            changed = changed || strncmp(item.types[i], "run.", 4) == 0;
        }
        *position = status == RATOON_OK ? item.position + 1 : *position;
    }
    ratoon_feed_close(feed);
    return status;
}

/* Somebody else started it, or it was cancelled: its end is what counts. */
static int follow_other(const app *a, ratoon_id run)
{
    ratoon_run_status status = 0;
    ratoon_error error = {0};
    app_note(a, "another process has taken it over; waiting for its end");
    error.code = follow_run(a, run, UINT64_MAX, &status, &error);
    if (signals_caught() != 0) {
        return EXIT_INTERRUPTED;
    }
    return error.code == RATOON_OK ? execute_report(a, run, 0) : app_fail(a, &error);
}

int execute_when_free(app *a, ratoon_id run, const char *until, uint32_t jobs)
{
    ratoon_start_options options = RATOON_START_OPTIONS_INIT;
    char id[RATOON_ID_TEXT];
    uint64_t position = 1;
    bool said = false;
    ratoon_error error = {0};
    options.until = until;
    ratoon_id_format(run, id);
    signals_catch();
    error.code = ratoon_feed_end(a->store, &position, &error);
    while (error.code == RATOON_OK) {
        uint64_t epoch = 0;
        error = (ratoon_error){0};
        const ratoon_status status = ratoon_run_start(a->store, run, &options, &epoch, &error);
        error.code = status;
        if (status == RATOON_OK) {
            return execute_run(a, run, epoch, jobs);
        }
        if (status == RATOON_ERR_RUN_ACTIVE || status == RATOON_ERR_ILLEGAL_TRANSITION) {
            return follow_other(a, run);
        }
        if (status != RATOON_ERR_BRANCH_ACTIVE && status != RATOON_ERR_SCOPE_BUSY) {
            break;
        }
        if (!said) {
            app_note(a, "run %s is queued: %s", id, error.message);
            said = true;
        }
        error.code = wait_for_change(a, &position, &error);
        if (signals_caught() != 0) {
            app_note(a, "run %s stays queued; `ratoon resume %s` starts it", id, id);
            return EXIT_INTERRUPTED;
        }
    }
    return app_fail(a, &error);
}
