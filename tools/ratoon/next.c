/* What can be done next with a run. */
#include "tools/ratoon/next.h"
#include "tools/ratoon/text.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN 12

static const json_t *action_of(const json_t *run, const char *action)
{
    return json_object_get(json_object_get(run, "actions"), action);
}

const char *next_action(const json_t *run)
{
    static const char *const order[] = {"resume", "retry"};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (doc_true(action_of(run, order[i]), "available")) {
            return order[i];
        }
    }
    return NULL;
}

void next_put(FILE *out, const app *a, const json_t *run, const char *action)
{
    fputs("ratoon ", out);
    if (a->store_option != NULL) {
        fputs("--store ", out);
        text_put_quoted(out, a->store_option);
        fputc(' ', out);
    }
    fprintf(out, "%s %s", action, doc_string(run, "id"));
    const json_t *retry = strcmp(action, "retry") == 0 ? action_of(run, action) : NULL;
    const char *from = doc_string(retry, "requested_stage");
    if (*from != '\0') {
        fputs(" --from ", out);
        text_put_quoted(out, from);
    }
    const char *name = NULL;
    json_t *change = NULL;
    json_object_foreach(doc_member(retry, "suggested_overrides"), name, change)
    {
        char *value = doc_text(doc_new(change));
        char *word = text_format("%s=%s", name, value);
        fputs(" --param ", out);
        text_put_quoted(out, word);
        free(word);
        free(value);
    }
}

char *next_names(const json_t *names)
{
    char *out = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&out, &size);
    const size_t count = json_array_size(names);
    for (size_t i = 0; i < count && i < NAMES_SHOWN; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        fprintf(stream, "%s%s", i > 0 ? ", " : "", name != NULL ? name : "?");
    }
    if (count > NAMES_SHOWN) {
        fprintf(stream, " and %zu more", count - NAMES_SHOWN);
    }
    fclose(stream);
    return out;
}

char *next_retry_effect(const app *a, const json_t *run)
{
    const json_t *retry = action_of(run, "retry");
    const char *from = doc_string(retry, "requested_stage");
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_buffer json = {0};
    size_t refusals = 0;
    if (ratoon_id_parse(doc_string(run, "id"), &options.parent) != RATOON_OK) {
        return NULL;
    }
    options.from = *from != '\0' ? from : NULL;
    if (ratoon_retry_preview(a->store, &options, &json, &refusals, NULL) != RATOON_OK) {
        return NULL;
    }
    json_t *document = json_loadb(json.data, json.size, 0, NULL);
    ratoon_buffer_free(&json);
    char *effect = NULL;
    const json_t *plan = json_object_get(document, "plan");
    if (plan != NULL && refusals == 0) {
        char *ran = next_names(json_object_get(plan, "run"));
        char *reused = next_names(json_object_get(plan, "reuse"));
        effect = *reused != '\0' ? text_format("runs %s; reuses %s", ran, reused)
                                 : text_format("runs %s", ran);
        free(ran);
        free(reused);
    }
    json_decref(document);
    return effect;
}
