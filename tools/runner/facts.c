#include "tools/runner/facts.h"

#include "tools/runner/env.h"
#include "tools/runner/files.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ratoon_status runner__error(ratoon_error *error, ratoon_status code, int backend_code,
                            const char *format, ...)
{
    if (error != NULL) {
        memset(error, 0, sizeof(*error));
        error->code = code;
        error->backend_code = backend_code;
        va_list args;
        va_start(args, format);
        (void)vsnprintf(error->message, sizeof(error->message), format, args);
        va_end(args);
    }
    return code;
}

static ratoon_status load_secrets(runner__facts *f, ratoon_error *error)
{
    const char *name;
    bool secret;
    for (size_t i = 0; ratoon_pipeline_param(f->pipeline, i, &name, &secret); i++) {
        if (!secret) {
            continue;
        }
        char *variable = runner__env_name("RATOON_SECRET_", name);
        const char *value = getenv(variable);
        if (value == NULL) {
            (void)runner__error(error, RATOON_ERR_PARAM_INVALID, 0,
                                "the secret parameter '%s' has no value: %s is not set", name,
                                variable);
            if (error != NULL) {
                error->run = f->run;
                (void)snprintf(error->hint, sizeof(error->hint),
                               "set %s in the environment and repeat the command", variable);
            }
            free(variable);
            return RATOON_ERR_PARAM_INVALID;
        }
        free(variable);
        ratoon_pair *grown = runner__alloc((f->secrets_count + 1) * sizeof(ratoon_pair));
        if (f->secrets_count > 0) {
            memcpy(grown, f->secrets, f->secrets_count * sizeof(ratoon_pair));
        }
        free(f->secrets);
        f->secrets = grown;
        f->secrets[f->secrets_count++] = (ratoon_pair){runner__strdup(name), runner__strdup(value)};
        runner__mask_add(&f->mask, value);
    }
    return RATOON_OK;
}

static ratoon_status load_base_dir(runner__facts *f, ratoon_error *error)
{
    ratoon_buffer path = {0};
    ratoon_status status = ratoon_run_base_dir(f->store, f->run, &path, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (path.size > 0) {
        f->base_dir = runner__strndup(path.data, path.size);
    } else {
        f->base_dir = getcwd(NULL, 0);
        if (f->base_dir == NULL) {
            f->base_dir = runner__strdup("/");
        }
    }
    ratoon_buffer_free(&path);
    return RATOON_OK;
}

ratoon_status runner__facts_load(ratoon_store *store, ratoon_id run, runner__facts *out,
                                 ratoon_error *error)
{
    *out = (runner__facts){.store = store, .run = run};
    out->store_path = ratoon_store_path(store);
    if (out->store_path[0] == '\0') {
        return runner__error(error, RATOON_ERR_UNSUPPORTED, 0,
                             "stages can't be executed from a store in memory: they need its "
                             "folder");
    }
    ratoon_status status = ratoon_run_get(store, run, &out->info, error);
    if (status == RATOON_OK) {
        status = ratoon_run_pipeline(store, run, &out->pipeline, error);
    }
    if (status == RATOON_OK) {
        status = ratoon_run_params(store, run, &out->params, &out->params_count, error);
    }
    if (status == RATOON_OK) {
        status = load_base_dir(out, error);
    }
    if (status == RATOON_OK) {
        status = load_secrets(out, error);
    }
    if (status != RATOON_OK) {
        runner__facts_free(out);
        return status;
    }
    ratoon_id_format(run, out->run_text);
    ratoon_id_format(out->info.root, out->root_text);
    return RATOON_OK;
}

void runner__facts_free(runner__facts *f)
{
    ratoon_pipeline_free(f->pipeline);
    if (f->params != NULL) {
        ratoon_pairs_free(f->params, f->params_count);
    }
    for (size_t i = 0; i < f->secrets_count; i++) {
        free((void *)(uintptr_t)f->secrets[i].name);
        free((void *)(uintptr_t)f->secrets[i].value);
    }
    free(f->secrets);
    free(f->base_dir);
    runner__mask_free(&f->mask);
    *f = (runner__facts){0};
}
