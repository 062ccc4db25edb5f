/* Automatic retries with adjusted parameters (A05): after each failure that comes with suggestions,
 * as long as the request or the pipeline allows. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/definition.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/execute.h"
#include "tools/ratoon/text.h"

#include <stdlib.h>
#include <string.h>

/* Automatic retries that led to this run without a person between them. */
static uint32_t used_up(const app *a, ratoon_id run)
{
    uint32_t used = 0;
    ratoon_run_info info;
    while (used <= RATOON_DEPTH_MAX && ratoon_run_get(a->store, run, &info, NULL) == RATOON_OK &&
           info.automatic) {
        used++;
        run = info.parent;
    }
    return used;
}

/* "OOM: batch_size 8 -> 4". Free it. */
static char *cause_of(const json_t *run, const char *from, const json_t *suggested)
{
    const char *class_name = "";
    char *changes = doc_changes(suggested, json_object_get(run, "params"));
    size_t i;
    json_t *stage;
    json_array_foreach(json_object_get(run, "stages"), i, stage)
    {
        const json_t *error = doc_member(stage, "error");
        const bool it = strcmp(doc_string(stage, "name"), from) == 0 || *class_name == '\0';
        class_name = error != NULL && it ? doc_string(error, "class") : class_name;
    }
    char *cause = text_format("%s: %s", class_name, changes);
    free(changes);
    return cause;
}

static ratoon_pair *pairs_of(const json_t *suggested, size_t *count)
{
    ratoon_pair *pairs = calloc(json_object_size(suggested) + 1, sizeof *pairs);
    const char *name = NULL;
    json_t *change = NULL;
    json_object_foreach((json_t *)(uintptr_t)suggested, name, change)
    {
        if (pairs != NULL) {
            pairs[*count].name = text_copy(name);
            pairs[(*count)++].value = doc_text(doc_new(change));
        }
    }
    return pairs;
}

static bool create(app *a, const ratoon_run_info *info, const json_t *run, const json_t *suggested,
                   uint32_t used, ratoon_created *next)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_pipeline *pipeline = NULL;
    ratoon_error error = {0};
    size_t count = 0;
    const json_t *retry = json_object_get(json_object_get(run, "actions"), "retry");
    const char *from = doc_string(retry, "requested_stage");
    ratoon_pair *params = pairs_of(suggested, &count);
    char *cause = cause_of(run, from, suggested);
    error.code = ratoon_run_pipeline(a->store, info->id, &pipeline, &error);
    bool created = false;
    if (error.code == RATOON_OK && secrets_add(a, pipeline, true, &params, &count) < 0) {
        options.parent = info->id;
        options.from = *from != '\0' ? from : NULL;
        options.params = params;
        options.params_count = count;
        options.until =
            info->until >= 0 ? ratoon_pipeline_stage(pipeline, (size_t)info->until)->name : NULL;
        options.auto_retry = info->auto_retry;
        options.automatic = true;
        options.cause = cause;
        options.reason = cause;
        error.code = ratoon_retry_create(a->store, &options, next, &error);
        created = error.code == RATOON_OK && next->epoch != 0;
    }
    if (created) {
        app_note(a, "automatic retry %u of %d: %s", used + 1, info->auto_retry, cause);
    } else {
        app_warn(a, "no automatic retry: %s: %s", ratoon_status_name(error.code), error.message);
    }
    ratoon_pipeline_free(pipeline);
    pairs_free(params, count);
    free(cause);
    return created;
}

bool chain_next(app *a, ratoon_id id, ratoon_created *next)
{
    ratoon_run_info info;
    json_t *document = NULL;
    int code = 0;
    if (ratoon_run_get(a->store, id, &info, NULL) != RATOON_OK || info.auto_retry <= 0) {
        return false;
    }
    const json_t *run = doc_run(a, id, true, &document, &code);
    const json_t *retry = json_object_get(json_object_get(run, "actions"), "retry");
    const json_t *suggested = doc_member(retry, "suggested_overrides");
    const uint32_t used = used_up(a, id);
    bool created = false;
    if (json_object_size(suggested) == 0) {
        /* Nothing would be different the next time. */
    } else if (used >= (uint32_t)info.auto_retry) {
        app_note(a, "all %d automatic retries are used up", info.auto_retry);
    } else if (!doc_true(retry, "available")) {
        app_warn(a, "no automatic retry: %s", doc_string(retry, "why_not"));
    } else {
        created = create(a, &info, run, suggested, used, next);
    }
    json_decref(document);
    return created;
}
