/* A definition made up for a run that came without one: its stages by name, whose commands nobody
 * knows. A retry needs the real one (R16, R18). */
#include "replay/import_plain.h"

#include <stdlib.h>
#include <string.h>

static const char unknown_command[] =
    "echo 'this run was imported without its definition, so nobody knows the command of this "
    "stage: retry it with --file PIPELINE --accept-changes' >&2; exit 64";

static ratoon_status params_of(ratoon__import *im, const json_t *run, json_t *params)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(run, "params"), name, value)
    {
        const char *type = json_is_string(value)    ? "string"
                           : json_is_integer(value) ? "int"
                           : json_is_real(value)    ? "number"
                           : json_is_boolean(value) ? "bool"
                                                    : NULL;
        if (type == NULL) {
            return ratoon__import_fail(im, RATOON_ERR_PARAM_INVALID,
                                       "parameter %s is neither text, number nor boolean", name);
        }
        json_object_set_new(params, name, json_pack("{s:s}", "type", type));
    }
    return RATOON_OK;
}

ratoon_status ratoon__plain_definition(ratoon__import *im, const json_t *run, const json_t *stages,
                                       ratoon_pipeline **out)
{
    const json_t *version = json_object_get(run, "version");
    json_t *params = json_object();
    json_t *list = json_array();
    ratoon_status status = params_of(im, run, params);
    for (size_t i = 0; status == RATOON_OK && i < json_array_size(stages); i++) {
        const json_t *stage = json_array_get(stages, i);
        json_t *needs = json_object_get(stage, "needs");
        json_t *doc = json_pack("{s:O?,s:b,s:s}", "name", json_object_get(stage, "name"), "shell",
                                1, "run", unknown_command);
        if (needs != NULL && !json_is_null(needs)) {
            json_object_set(doc, "needs", needs);
        }
        json_array_append_new(list, doc);
    }
    json_t *doc = json_pack("{s:O?,s:o,s:o}", "pipeline", json_object_get(run, "pipeline"),
                            "params", params, "stages", list);
    if (version != NULL && !json_is_null(version)) {
        json_object_set(doc, "version", (json_t *)(uintptr_t)version);
    }
    char *text = doc != NULL ? json_dumps(doc, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(doc);
    if (status == RATOON_OK && text == NULL) {
        status = ratoon__import_no_memory(im);
    }
    if (status == RATOON_OK) {
        ratoon_error why = {0};
        status = ratoon_pipeline_parse("line", text, strlen(text), NULL, out, &why);
        if (status != RATOON_OK) {
            status = ratoon__import_fail(im, status, "no definition can be made of its stages: %s",
                                         why.message);
        }
    }
    free(text);
    return status;
}
