/* `check`: whether a pipeline file is valid, and what it says. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/definition.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/table.h"

#include <stdlib.h>
#include <string.h>

static json_t *names_of(const char *const *names, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, json_string(names[i]));
    }
    return list;
}

static json_t *stage_of(const ratoon_pipeline *p, const ratoon_stage_def *def)
{
    json_t *needs = json_array();
    for (size_t i = 0; i < def->needs_count; i++) {
        json_array_append_new(needs, json_string(ratoon_pipeline_stage(p, def->needs[i])->name));
    }
    json_t *stage =
        json_pack("{s:s,s:o,s:s?,s:o,s:o}", "name", def->name, "needs", needs, "foreach",
                  def->foreach_key, "requires", names_of(def->requires_keys, def->requires_count),
                  "produces", names_of(def->produces_keys, def->produces_count));
    const char *validates =
        def->validates >= 0 ? ratoon_pipeline_stage(p, (size_t)def->validates)->name : NULL;
    json_object_set_new(stage, "validates",
                        validates != NULL ? json_string(validates) : json_null());
    json_object_set_new(stage, "setup", json_boolean(def->setup));
    json_object_set_new(stage, "commits", json_boolean(def->commits));
    json_object_set_new(stage, "allow_failure", json_boolean(def->allow_failure));
    return stage;
}

static json_t *document_of(const ratoon_pipeline *p)
{
    const ratoon_digest digest = ratoon_pipeline_digest(p);
    char hex[2 * sizeof digest.bytes + 1];
    for (size_t i = 0; i < sizeof digest.bytes; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest.bytes[i]);
    }
    json_t *stages = json_array();
    const uint32_t *order = ratoon_pipeline_order(p);
    for (size_t i = 0; i < ratoon_pipeline_stage_count(p); i++) {
        json_array_append_new(stages, stage_of(p, ratoon_pipeline_stage(p, order[i])));
    }
    size_t size = 0;
    const char *canonical = ratoon_pipeline_canonical(p, &size);
    json_t *whole = json_loadb(canonical, size, 0, NULL);
    json_t *params = json_object_get(whole, "params");
    json_t *document =
        json_pack("{s:i,s:{s:s,s:I,s:s,s:O?,s:o}}", "schema", 1, "check", "pipeline",
                  ratoon_pipeline_name(p), "version", (json_int_t)ratoon_pipeline_version(p),
                  "digest", hex, "params", params, "stages", stages);
    json_decref(whole);
    return document;
}

static char *joined(const json_t *names)
{
    char *out = NULL;
    size_t size = 0, i;
    json_t *name;
    FILE *stream = open_memstream(&out, &size);
    json_array_foreach(names, i, name)
    {
        fprintf(stream, "%s%s", i > 0 ? ", " : "", json_string_value(name));
    }
    fclose(stream);
    return out;
}

static void put_stages(const app *a, const json_t *stages)
{
    static const char *const headings[] = {"STAGE",    "NEEDS",    "FOREACH", "REQUIRES",
                                           "PRODUCES", "~REMARKS", NULL};
    table t;
    size_t i;
    json_t *stage;
    table_open(&t, a, headings);
    json_array_foreach(stages, i, stage)
    {
        struct libscols_line *line = table_line(&t, NULL);
        char *needs = joined(json_object_get(stage, "needs"));
        char *requires = joined(json_object_get(stage, "requires"));
        char *produces = joined(json_object_get(stage, "produces"));
        const char *validates = doc_string(stage, "validates");
        table_set(&t, line, 0, doc_string(stage, "name"));
        table_set(&t, line, 1, needs);
        table_set(&t, line, 2, doc_string(stage, "foreach"));
        table_set(&t, line, 3, requires);
        table_set(&t, line, 4, produces);
        table_format(&t, line, 5, "%s%s%s%s%s", doc_true(stage, "setup") ? "setup " : "",
                     doc_true(stage, "commits") ? "commits " : "",
                     doc_true(stage, "allow_failure") ? "may fail " : "",
                     *validates != '\0' ? "validates " : "", validates);
        free(needs);
        free(requires);
        free(produces);
    }
    table_close(&t, "  ");
}

static void put_params(const json_t *params)
{
    const char *name = NULL;
    json_t *declared = NULL;
    if (json_object_size(params) > 0) {
        puts("parameters");
    }
    json_object_foreach((json_t *)(uintptr_t)params, name, declared)
    {
        const json_t *otherwise = doc_member(declared, "default");
        char *text = doc_text(otherwise);
        fputs("  ", stdout);
        text_put_string(stdout, name);
        printf(": %s%s", doc_string(declared, "type"),
               doc_true(declared, "secret") ? ", secret" : "");
        if (otherwise != NULL) {
            fputs(", default ", stdout);
            text_put_string(stdout, text);
        } else if (!doc_true(declared, "secret")) {
            fputs(", must be given", stdout);
        }
        putchar('\n');
        free(text);
    }
}

int command_check(app *a, const args *in)
{
    ratoon_pipeline *pipeline = NULL;
    const int code = definition_read(a, args_at(in, 0), &pipeline, NULL);
    if (code >= 0) {
        return code;
    }
    json_t *document = document_of(pipeline);
    if (a->json) {
        doc_print_json(document);
    } else {
        const json_t *check = json_object_get(document, "check");
        text_put_string(stdout, args_at(in, 0));
        fputs(" is valid: pipeline ", stdout);
        text_put_string(stdout, doc_string(check, "pipeline"));
        printf(", version %" JSON_INTEGER_FORMAT "\n",
               json_integer_value(json_object_get(check, "version")));
        put_params(json_object_get(check, "params"));
        puts("stages, in order");
        put_stages(a, json_object_get(check, "stages"));
    }
    json_decref(document);
    ratoon_pipeline_free(pipeline);
    return EXIT_DONE;
}
