/* `explain`: why a stage was executed or reused. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/text.h"

#include <stdlib.h>
#include <string.h>

/* One cause, as a sentence. */
static char *because_text(const json_t *because)
{
    const char *kind = doc_string(because, "kind");
    const char *name = doc_string(because, "name");
    char *before = doc_text(json_object_get(because, "old"));
    char *after = doc_text(json_object_get(because, "new"));
    char *change = text_format("%s%s%s%s", *before != '\0' || *after != '\0' ? ": " : "", before,
                               *before != '\0' && *after != '\0' ? " -> " : "", after);
    static const struct {
        const char *kind, *words;
    } known[] = {
        {"request", "the request"},
        {"parameter", "a parameter changed: "},
        {"edit", "a value of the state was replaced: "},
        {"upstream", "a stage before it was executed: "},
        {"pipeline", "the pipeline changed"},
        {"not_done", "it was not done before"},
        {"items", "some of its items were not done"},
        {"first_run", "it is the first run of its lineage"},
    };
    const char *words = kind;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        words = strcmp(known[i].kind, kind) == 0 ? known[i].words : words;
    }
    const size_t length = strlen(words);
    const bool open = length > 0 && words[length - 1] == ' ';
    /* Where words end with a blank the name completes the sentence, else it is an addition. */
    char *text = text_format("%s%s%s%s%s", words, *name != '\0' && !open ? " (" : "", name,
                             *name != '\0' && !open ? ")" : "", change);
    free(before);
    free(after);
    free(change);
    return text;
}

static void explain_print(const app *a, const json_t *explained)
{
    (void)a;
    size_t i;
    json_t *because;
    text_put_string(stdout, doc_string(explained, "stage"));
    printf(" of run %s is %s: %s\n", doc_string(explained, "run"), doc_string(explained, "status"),
           doc_true(explained, "ran") ? "it was executed in this run, because"
                                      : "it was not executed in this run");
    json_array_foreach(json_object_get(explained, "because"), i, because)
    {
        char *text = because_text(because);
        fputs("  - ", stdout);
        text_put_string(stdout, text);
        putchar('\n');
        free(text);
    }
    const json_t *parent = doc_member(explained, "parent");
    if (parent != NULL) {
        const char *status = doc_string(parent, "status");
        printf("in its parent %s it %s%s\n", doc_string(parent, "run"),
               *status != '\0' ? "is " : "does not exist", status);
    }
}

int command_explain(app *a, const args *in)
{
    ratoon_id run;
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code >= 0) {
        return code;
    }
    ratoon_buffer json = {0};
    ratoon_error error = {0};
    error.code = ratoon_doc_explain(a->store, run, args_at(in, 1), &json, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    return doc_show(a, &json, "explain", explain_print);
}
