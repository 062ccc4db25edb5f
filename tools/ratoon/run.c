/* `run` and `resume`. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/definition.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/execute.h"
#include "tools/ratoon/next.h"
#include "tools/ratoon/show.h"
#include "tools/ratoon/text.h"

#include <stdlib.h>
#include <string.h>

typedef struct request { /* what `run` was asked for */
    ratoon_pipeline *pipeline;
    char *path;
    ratoon_pair *params, *labels;
    size_t params_count, labels_count;
    ratoon_value *state;
    size_t state_count;
    uint64_t jobs, target, auto_retry;
} request;

static void request_free(request *q)
{
    ratoon_pipeline_free(q->pipeline);
    free(q->path);
    pairs_free(q->params, q->params_count);
    pairs_free(q->labels, q->labels_count);
    values_free(q->state, q->state_count);
}

static int request_read(app *a, const args *in, request *q)
{
    if (!args_number(a, in, "jobs", 1, 100000, &q->jobs) ||
        !args_number(a, in, "target", 1, UINT64_MAX, &q->target) ||
        !args_number(a, in, "auto-retry", 0, 1000, &q->auto_retry) ||
        !args_pairs(a, in, "param", &q->params, &q->params_count) ||
        !args_pairs(a, in, "label", &q->labels, &q->labels_count)) {
        return EXIT_USAGE;
    }
    int code = definition_read(a, args_at(in, 0), &q->pipeline, &q->path);
    if (code < 0) {
        code = secrets_add(a, q->pipeline, true, &q->params, &q->params_count);
    }
    if (code < 0 && args_has(in, "state")) {
        code = values_read(a, args_get(in, "state"), &q->state, &q->state_count);
    }
    return code;
}

static int run_new(app *a, const args *in, const request *q)
{
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created = {0};
    ratoon_error error = {0};
    options.pipeline = q->pipeline;
    options.params = q->params;
    options.params_count = q->params_count;
    options.state = q->state;
    options.state_count = q->state_count;
    options.labels = q->labels;
    options.labels_count = q->labels_count;
    options.subject = args_get(in, "subject");
    options.file = q->path;
    options.key = args_get(in, "key");
    options.until = args_get(in, "until");
    options.target = q->target;
    options.auto_retry = args_has(in, "auto-retry") ? (int32_t)q->auto_retry : -1;
    error.code = ratoon_run_create(a->store, &options, &created, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    if (created.repeated) {
        app_note(a, "the request was made before: nothing is executed again");
        return execute_report(a, created.run, 0);
    }
    return execute_run(a, created.run, created.epoch, (uint32_t)q->jobs);
}

/* ---- run --resume (E01, E03) ---- */

/* Whether a setup stage of the run failed: then the retry sets up everything anew. */
static bool setup_failed(const app *a, ratoon_id run)
{
    ratoon_pipeline *pipeline = NULL;
    bool failed = false;
    if (ratoon_run_pipeline(a->store, run, &pipeline, NULL) != RATOON_OK) {
        return false;
    }
    for (size_t i = 0; i < ratoon_pipeline_stage_count(pipeline); i++) {
        ratoon_stage_info info;
        failed =
            failed || (ratoon_pipeline_stage(pipeline, i)->setup &&
                       ratoon_run_stage(a->store, run, (uint32_t)i, &info, NULL) == RATOON_OK &&
                       info.status == RATOON_STAGE_FAILED);
    }
    ratoon_pipeline_free(pipeline);
    return failed;
}

static int retry_newest(app *a, const args *in, const request *q, ratoon_id run)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_created created = {0};
    ratoon_error error = {0};
    options.parent = run;
    options.params = q->params;
    options.params_count = q->params_count;
    options.setup_too = setup_failed(a, run);
    options.rerun = options.setup_too;
    options.key = args_get(in, "key");
    options.until = args_get(in, "until");
    options.target = q->target;
    options.reason = "run --resume";
    options.auto_retry = args_has(in, "auto-retry") ? (int32_t)q->auto_retry : -1;
    definition_warn_if_other(a, run, q->pipeline, q->path, "retry");
    error.code = ratoon_retry_create(a->store, &options, &created, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    if (created.repeated) {
        app_note(a, "the request was made before: nothing is executed again");
        return execute_report(a, created.run, 0);
    }
    return execute_run(a, created.run, created.epoch, (uint32_t)q->jobs);
}

static int resume_newest(app *a, const args *in, const request *q, ratoon_id run)
{
    ratoon_start_options options = RATOON_START_OPTIONS_INIT;
    options.until = args_get(in, "until");
    if (args_has(in, "param")) {
        app_warn(a, "--param has no effect on a run that is resumed");
    }
    definition_warn_if_other(a, run, q->pipeline, q->path, "resume");
    return execute_start(a, run, &options, (uint32_t)q->jobs);
}

/* Goes on with the pipeline's newest run. Gives an exit code, or -1 where a new one is to be
 * started.
 */
static int run_resume(app *a, const args *in, const request *q)
{
    ratoon_list_options newest = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *ids = NULL;
    size_t count = 0;
    ratoon_run_info info = {0};
    ratoon_error error = {0};
    const char *name = ratoon_pipeline_name(q->pipeline);
    newest.pipeline = name;
    newest.limit = 1;
    error.code = ratoon_run_list(a->store, &newest, &ids, &count, &error);
    if (error.code == RATOON_OK && count > 0) {
        error.code = ratoon_run_get(a->store, ids[0], &info, &error);
    }
    free(ids);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    if (count == 0) {
        app_note(a, "%s has no run yet: starting one", name);
        return -1;
    }
    char id[RATOON_ID_TEXT];
    const char *status = ratoon_run_status_name(info.status);
    ratoon_id_format(info.id, id);
    if (info.status == RATOON_RUN_SUCCEEDED || info.status == RATOON_RUN_DEGRADED) {
        app_note(a, "the newest run %s is %s: starting a new one", id, status);
        return -1;
    }
    if (info.status == RATOON_RUN_RUNNING || info.status == RATOON_RUN_CANCELLING) {
        error = (ratoon_error){.code = RATOON_ERR_RUN_ACTIVE, .run = info.id};
        snprintf(error.message, sizeof error.message, "the newest run %s of %s is %s", id, name,
                 status);
        snprintf(error.hint, sizeof error.hint,
                 "ratoon wait %s waits for it; --force starts another", id);
        return app_fail(a, &error);
    }
    if (args_has(in, "state") || args_has(in, "subject") || args_has(in, "label")) {
        app_warn(a, "--state, --subject and --label have no effect: run %s has its own", id);
    }
    const bool resumes = info.status == RATOON_RUN_SUSPENDED || info.status == RATOON_RUN_QUEUED;
    app_note(a, "the newest run %s is %s: %s it", id, status, resumes ? "resuming" : "retrying");
    return resumes ? resume_newest(a, in, q, info.id) : retry_newest(a, in, q, info.id);
}

int command_run(app *a, const args *in)
{
    request q = {0};
    int code = request_read(a, in, &q);
    if (code < 0) {
        code = app_open_or_create_store(a);
    }
    const bool resume = args_has(in, "resume") ||
                        (q.pipeline != NULL && ratoon_pipeline_resume_on_failure(q.pipeline));
    if (code < 0 && resume && !args_has(in, "force")) {
        code = run_resume(a, in, &q);
    }
    if (code < 0) {
        code = run_new(a, in, &q);
    }
    request_free(&q);
    return code;
}

/* ---- resume ---- */

/* Runs that have ended are not resumed. Gives an exit code, or -1 to go on. */
static int refuse_ended(const app *a, ratoon_id run)
{
    json_t *document = NULL;
    int code = -1;
    const json_t *doc = doc_run(a, run, true, &document, &code);
    if (doc == NULL) {
        return code;
    }
    const char *status = doc_string(doc, "status");
    switch (ratoon_run_status_parse(status)) {
    case RATOON_RUN_SUCCEEDED:
    case RATOON_RUN_DEGRADED:
        app_note(a, "run %s is %s already: there is nothing to resume", doc_string(doc, "id"),
                 status);
        code = execute_report(a, run, 0);
        break;
    case RATOON_RUN_FAILED:
    case RATOON_RUN_CANCELLED: {
        char *hint = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&hint, &size);
        next_put(stream, a, doc, "retry");
        fclose(stream);
        ratoon_error error = {.code = RATOON_ERR_ILLEGAL_TRANSITION, .run = run};
        snprintf(error.message, sizeof error.message,
                 "run %s is %s: it can't be resumed, but retried", doc_string(doc, "id"), status);
        snprintf(error.hint, sizeof error.hint, "%s", hint);
        code = app_fail(a, &error);
        free(hint);
        break;
    }
    default:
        code = -1;
    }
    json_decref(document);
    return code;
}

static int resume_run(app *a, const args *in, ratoon_id run, uint32_t jobs)
{
    ratoon_start_options options = RATOON_START_OPTIONS_INIT;
    ratoon_pipeline *pipeline = NULL;
    ratoon_pair *secrets = NULL;
    size_t count = 0;
    const char *file = args_get(in, "file");
    int code = -1;
    if (file != NULL) {
        code = definition_read(a, file, &pipeline, NULL);
        options.pipeline = pipeline;
    } else {
        ratoon_error error = {0};
        definition_warn_if_changed(a, run, "resume");
        error.code = ratoon_run_pipeline(a->store, run, &pipeline, &error);
        code = error.code == RATOON_OK ? -1 : app_fail(a, &error);
    }
    if (code < 0) {
        code = secrets_add(a, pipeline, true, &secrets, &count);
    }
    if (code < 0) {
        options.until = args_get(in, "until");
        options.accept_changes = args_has(in, "accept-changes");
        code = execute_start(a, run, &options, jobs);
    }
    pairs_free(secrets, count);
    ratoon_pipeline_free(pipeline);
    return code;
}

int command_resume(app *a, const args *in)
{
    ratoon_id run;
    uint64_t jobs = 0;
    if (!args_number(a, in, "jobs", 1, 100000, &jobs)) {
        return EXIT_USAGE;
    }
    int code = app_open_store_for_change(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code < 0) {
        code = refuse_ended(a, run);
    }
    return code < 0 ? resume_run(a, in, run, (uint32_t)jobs) : code;
}
