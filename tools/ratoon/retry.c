/* `retry`: a new branch, or the preview of one. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/definition.h"
#include "tools/ratoon/execute.h"
#include "tools/ratoon/jsontext.h"
#include "tools/ratoon/plan.h"
#include "tools/ratoon/show.h"
#include "tools/ratoon/text.h"

#include <stdlib.h>
#include <string.h>

typedef struct request {
    ratoon_retry_options options;
    ratoon_pipeline *pipeline; /* with --file */
    char *path;
    ratoon_pair *params;
    size_t params_count;
    ratoon_value *edits;
    size_t edits_count;
    const char **items;
    uint64_t jobs;
} request;

static void request_free(request *q)
{
    ratoon_pipeline_free(q->pipeline);
    free(q->path);
    pairs_free(q->params, q->params_count);
    values_free(q->edits, q->edits_count);
    free(q->items);
}

static int items_of(const app *a, const args *in, request *q)
{
    const char *mode = args_get(in, "items");
    const size_t keys = args_times(in, "item");
    if (mode != NULL && keys > 0) {
        return app_error(a, RATOON_ERR_USAGE, NULL, "--items and --item exclude each other");
    }
    q->options.items_given = mode != NULL || keys > 0;
    if (keys > 0) {
        q->items = calloc(keys, sizeof *q->items);
        if (q->items == NULL) {
            return app_no_memory(a);
        }
        for (size_t i = 0; i < keys; i++) {
            q->items[i] = args_nth(in, "item", i);
        }
        q->options.items_mode = RATOON_ITEMS_LISTED;
        q->options.items = q->items;
        q->options.items_count = keys;
    } else if (mode != NULL && strcmp(mode, "failed") == 0) {
        q->options.items_mode = RATOON_ITEMS_FAILED;
    } else if (mode != NULL && strcmp(mode, "all") == 0) {
        q->options.items_mode = RATOON_ITEMS_ALL;
    } else if (mode != NULL && strcmp(mode, "missing") != 0) {
        return app_error(a, RATOON_ERR_USAGE, NULL, "--items is missing, failed or all, not \"%s\"",
                         mode);
    }
    return -1;
}

static int edits_of(app *a, const args *in, request *q)
{
    ratoon_pair *pairs = NULL;
    size_t count = 0;
    int code = -1;
    if (!args_pairs(a, in, "edit", &pairs, &count)) {
        return EXIT_USAGE;
    }
    q->edits = calloc(count + 1, sizeof *q->edits);
    if (q->edits == NULL) {
        code = app_no_memory(a);
    }
    for (size_t i = 0; i < count && code < 0; i++) {
        char *why = NULL;
        const char *value = pairs[i].value;
        if (!jsontext_valid(value, strlen(value), &why)) {
            char *hint = text_format("a string wants quotes: --edit '%s=\"…\"'", pairs[i].name);
            code = app_error(a, RATOON_ERR_USAGE, hint, "the value of --edit %s is not JSON: %s",
                             pairs[i].name, why);
            free(hint);
            free(why);
            break;
        }
        char *compact = jsontext_compact(value, strlen(value));
        q->edits[i] = (ratoon_value){
            .key = text_copy(pairs[i].name), .data = compact, .size = strlen(compact)};
        q->edits_count = i + 1;
    }
    pairs_free(pairs, count);
    return code;
}

static int flags_of(app *a, const args *in, request *q)
{
    ratoon_retry_options *o = &q->options;
    const char *partial = args_get(in, "partial");
    uint64_t auto_retry = 0;
    if (!args_number(a, in, "jobs", 1, 100000, &q->jobs) ||
        !args_number(a, in, "target", 1, UINT64_MAX, &o->target) ||
        !args_number(a, in, "auto-retry", 0, 1000, &auto_retry)) {
        return EXIT_USAGE;
    }
    if (partial != NULL && strcmp(partial, "include") != 0) {
        return app_error(a, RATOON_ERR_USAGE, NULL, "--partial is include, not \"%s\"", partial);
    }
    o->from = args_get(in, "from");
    o->rerun = args_has(in, "rerun");
    o->only = args_has(in, "only");
    o->destructive = args_has(in, "destructive");
    o->accept_changes = args_has(in, "accept-changes");
    o->partial_include = partial != NULL;
    o->queue = args_has(in, "queue");
    o->no_exec = args_has(in, "no-exec");
    o->reason = args_get(in, "reason");
    o->key = args_get(in, "key");
    o->plan = args_get(in, "plan");
    o->until = args_get(in, "until");
    o->auto_retry = args_has(in, "auto-retry") ? (int32_t)auto_retry : -1;
    return -1;
}

/* The definition the branch will have: from --file, else the parent's; and the values of its
 * secrets. */
static int definition_of(const app *a, const args *in, request *q)
{
    const char *file = args_get(in, "file");
    ratoon_pipeline *stored = NULL;
    int code = -1;
    if (file != NULL) {
        code = definition_read(a, file, &q->pipeline, &q->path);
        q->options.pipeline = q->pipeline;
        q->options.file = q->path;
    } else {
        ratoon_error error = {0};
        error.code = ratoon_run_pipeline(a->store, q->options.parent, &stored, &error);
        code = error.code == RATOON_OK ? -1 : app_fail(a, &error);
        if (code < 0) {
            definition_warn_if_changed(a, q->options.parent, "retry");
        }
    }
    if (code < 0) {
        const bool executes = !args_has(in, "dry-run") && !q->options.no_exec;
        code = secrets_add(a, stored != NULL ? stored : q->pipeline, executes, &q->params,
                           &q->params_count);
        q->options.params = q->params;
        q->options.params_count = q->params_count;
    }
    ratoon_pipeline_free(stored);
    return code;
}

static int preview(const app *a, const args *in, const request *q)
{
    ratoon_buffer json = {0};
    size_t refusals = 0;
    ratoon_error error = {0};
    error.code = ratoon_retry_preview(a->store, &q->options, &json, &refusals, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    int code = refusals > 0 ? ratoon_status_exit_code(RATOON_ERR_RUN_ACTIVE) : EXIT_DONE;
    if (a->json) {
        doc_print(&json);
    } else {
        json_t *document = doc_parse(a, json.data, json.size);
        code = document == NULL ? EXIT_DAMAGED : code;
        if (document != NULL) {
            plan_print(a, in, json_object_get(document, "plan"));
        }
        json_decref(document);
    }
    ratoon_buffer_free(&json);
    return code;
}

static int create(app *a, const request *q)
{
    ratoon_created created = {0};
    ratoon_error error = {0};
    char id[RATOON_ID_TEXT];
    error.code = ratoon_retry_create(a->store, &q->options, &created, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    ratoon_id_format(created.run, id);
    if (created.repeated) {
        app_note(a, "the request was made before: nothing is executed again");
        return execute_report(a, created.run, 0);
    }
    if (q->options.no_exec) {
        app_note(a, "run %s is queued; `ratoon resume %s` starts it", id, id);
        return show_run(a, created.run);
    }
    if (created.epoch == 0) {
        return execute_when_free(a, created.run, q->options.until, (uint32_t)q->jobs);
    }
    return execute_run(a, created.run, created.epoch, (uint32_t)q->jobs);
}

int command_retry(app *a, const args *in)
{
    request q = {.options = RATOON_RETRY_OPTIONS_INIT};
    const bool dry_run = args_has(in, "dry-run");
    int code = flags_of(a, in, &q);
    if (code < 0) {
        code = items_of(a, in, &q);
    }
    if (code < 0) {
        code = edits_of(a, in, &q);
    }
    if (code < 0 && !args_pairs(a, in, "param", &q.params, &q.params_count)) {
        code = EXIT_USAGE;
    }
    if (code < 0) {
        code = dry_run ? app_open_store(a) : app_open_store_for_change(a);
    }
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &q.options.parent);
    }
    if (code < 0) {
        code = definition_of(a, in, &q);
    }
    if (code < 0) {
        q.options.edits = q.edits;
        q.options.edits_count = q.edits_count;
        code = dry_run ? preview(a, in, &q) : create(a, &q);
    }
    request_free(&q);
    return code;
}
