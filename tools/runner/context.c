/* What a stage would get, for a shell (`ratoon shell`). */
#include "tools/runner/env.h"
#include "tools/runner/files.h"
#include "tools/runner/foreach.h"
#include "tools/runner/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct runner_context {
    runner__env env;
    char *cwd;
    char *folder;
};

static ratoon_status make_files(runner_context *c, const runner__facts *facts,
                                const ratoon_stage_def *def, const char *item,
                                const char *state_path, ratoon_error *error)
{
    runner__text array = {0};
    ratoon_status status =
        runner__state_write(facts, def->name, state_path, def->foreach_key, &array, error);
    runner__text path = {0};
    static const char *const empty[] = {"output", "events"};
    for (size_t i = 0; i < 2 && status == RATOON_OK; i++) {
        runner__text_clear(&path);
        runner__text_format(&path, "%s/%s", c->folder, empty[i]);
        int failed = runner__write_file(path.data, "", 0);
        if (failed != 0) {
            status = runner__error(error, RATOON_ERR_IO, failed, "can't write '%s': %s", path.data,
                                   strerror(failed));
        }
    }
    if (status == RATOON_OK && item != NULL) {
        runner__slice value;
        if (def->foreach_key == NULL) {
            status =
                runner__error(error, RATOON_ERR_USAGE, 0, "the stage '%s' has no items", def->name);
        } else if (!runner__foreach_find((runner__slice){array.data, array.size}, item, &value)) {
            status = runner__error(error, RATOON_ERR_NOT_FOUND, 0,
                                   "the stage '%s' has no item '%s' in '%s'", def->name, item,
                                   def->foreach_key);
        } else {
            runner__text_clear(&path);
            runner__text_format(&path, "%s/item.json", c->folder);
            int failed = runner__write_file(path.data, value.data, value.size);
            if (failed != 0) {
                status = runner__error(error, RATOON_ERR_IO, failed, "can't write '%s': %s",
                                       path.data, strerror(failed));
            }
        }
    }
    runner__text_free(&path);
    runner__text_free(&array);
    return status;
}

ratoon_status runner_context_new(ratoon_store *store, ratoon_id run, const char *stage,
                                 const char *item, runner_context **out, ratoon_error *error)
{
    runner__facts facts;
    ratoon_status status = runner__facts_load(store, run, &facts, error);
    if (status != RATOON_OK) {
        return status;
    }
    runner_context *c = runner__alloc(sizeof(*c));
    int32_t index = ratoon_pipeline_stage_find(facts.pipeline, stage);
    ratoon_stage_info info = {0};
    if (index < 0) {
        status =
            runner__error(error, RATOON_ERR_NO_SUCH_STAGE, 0, "the pipeline '%s' has no stage '%s'",
                          ratoon_pipeline_name(facts.pipeline), stage);
    } else {
        status = ratoon_run_stage(store, run, (uint32_t)index, &info, error);
    }
    if (status == RATOON_OK) {
        const ratoon_stage_def *def = ratoon_pipeline_stage(facts.pipeline, (size_t)index);
        runner__text folder = {0};
        runner__text_format(&folder, "%s/work/%s/shell.%d.%d", facts.store_path, facts.run_text,
                            index, (int)getpid());
        c->folder = runner__text_take(&folder);
        c->cwd = runner__stage_cwd(&facts, def);
        char *state_path = runner__path_resolve(c->folder, "state.json");
        int failed = runner__make_folder(c->folder);
        if (failed != 0) {
            status = runner__error(error, RATOON_ERR_IO, failed, "can't create '%s': %s", c->folder,
                                   strerror(failed));
        } else {
            status = make_files(c, &facts, def, item, state_path, error);
        }
        runner__env_base(&facts, def, &c->env);
        runner__env_stage(&c->env, def->name, info.attempt > 0 ? info.attempt : 1, state_path,
                          c->folder, item);
        free(state_path);
    }
    runner__facts_free(&facts);
    if (status != RATOON_OK) {
        runner_context_free(c);
        return status;
    }
    *out = c;
    return RATOON_OK;
}

char *const *runner_context_env(const runner_context *context)
{
    return context->env.items;
}

const char *runner_context_cwd(const runner_context *context)
{
    return context->cwd;
}

void runner_context_free(runner_context *context)
{
    if (context == NULL) {
        return;
    }
    if (context->folder != NULL) {
        (void)runner__remove_tree(context->folder);
        char *slash = strrchr(context->folder, '/');
        *slash = '\0';
        (void)rmdir(context->folder); /* where it was the last one */
    }
    runner__env_free(&context->env);
    free(context->cwd);
    free(context->folder);
    free(context);
}
