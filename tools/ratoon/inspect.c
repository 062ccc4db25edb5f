/* `explain` and `verify`. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/table.h"

#include <inttypes.h>
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

static void explain_print(const json_t *explained)
{
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
    code = EXIT_DONE;
    if (a->json) {
        doc_print(&json);
    } else {
        json_t *document = doc_parse(a, json.data, json.size);
        code = document == NULL ? EXIT_DAMAGED : EXIT_DONE;
        if (document != NULL) {
            explain_print(json_object_get(document, "explain"));
        }
        json_decref(document);
    }
    ratoon_buffer_free(&json);
    return code;
}

static void verify_print(const app *a, const json_t *document)
{
    static const char *const headings[] = {"LINEAGE", ">COMMIT", "KIND", "MESSAGE", NULL};
    const json_t *verified = json_object_get(document, "verified");
    const json_t *problems = json_object_get(document, "problems");
    size_t i;
    json_t *problem;
    table t;
    table_open(&t, a, headings);
    json_array_foreach(problems, i, problem)
    {
        struct libscols_line *line = table_line(&t, NULL);
        table_set(&t, line, 0, doc_string(problem, "lineage"));
        if (doc_number(problem, "commit") > 0) {
            table_format(&t, line, 1, "%" PRIu64, doc_number(problem, "commit"));
        }
        table_set(&t, line, 2, doc_string(problem, "kind"));
        table_set(&t, line, 3, doc_string(problem, "message"));
    }
    table_close(&t, "");
    const size_t count = json_array_size(problems);
    printf("verified %" PRIu64 " lineages, %" PRIu64 " commits, %" PRIu64 " events, %" PRIu64
           " values: ",
           doc_number(verified, "lineages"), doc_number(verified, "commits"),
           doc_number(verified, "events"), doc_number(verified, "values"));
    if (count == 0) {
        puts("no problems");
    } else {
        printf("%zu problem%s\n", count, count == 1 ? "" : "s");
    }
}

/* What kept the store from being opened or read whole is a problem like those that were found. */
static void add_problem(json_t *document, const char *message)
{
    json_t *problem = json_pack("{s:n,s:n,s:s,s:o}", "lineage", "commit", "kind", "store",
                                "message", json_string(message));
    json_array_insert_new(json_object_get(document, "problems"), 0, problem);
}

static json_t *verify_document(const app *a, ratoon_id run, int *code)
{
    ratoon_buffer json = {0};
    size_t problems = 0;
    ratoon_error error = {0};
    json_t *document = NULL;
    error.code = ratoon_verify(a->store, run, &json, &problems, &error);
    if (error.code == RATOON_OK) {
        document = doc_parse(a, json.data, json.size);
        ratoon_buffer_free(&json);
        *code = document == NULL ? EXIT_DAMAGED : *code;
    } else if (error.code == RATOON_ERR_DAMAGED) { /* it could not be read to its end */
        document = json_pack("{s:i,s:{s:i,s:i,s:i,s:i},s:[]}", "schema", 1, "verified", "lineages",
                             0, "commits", 0, "events", 0, "values", 0, "problems");
        add_problem(document, error.message);
    } else {
        *code = app_fail(a, &error);
    }
    if (document != NULL && a->damage != NULL) {
        add_problem(document, a->damage);
    }
    return document;
}

/* Gives an exit code, or -1 to go on. */
static int accept_loss(app *a)
{
    ratoon_buffer lost = {0};
    ratoon_error error = {0};
    app_locate_store(a);
    error.code = ratoon_store_accept_loss(a->store_path, &lost, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    app_warn(a, "accepted: %s", lost.data != NULL ? lost.data : "");
    ratoon_buffer_free(&lost);
    return -1;
}

int command_verify(app *a, const args *in)
{
    const char *spec = args_get(in, "run");
    ratoon_id run = {0};
    int code = args_has(in, "accept-loss") ? accept_loss(a) : -1;
    if (code < 0) {
        code = app_open_store(a);
    }
    if (code < 0 && spec != NULL) {
        code = app_find_run(a, spec, &run);
    }
    if (code >= 0) {
        return code;
    }
    json_t *document = verify_document(a, run, &code);
    if (document == NULL) {
        return code;
    }
    const bool sound = json_array_size(json_object_get(document, "problems")) == 0;
    if (a->json) {
        doc_print_json(document);
    } else {
        verify_print(a, document);
    }
    json_decref(document);
    return sound ? EXIT_DONE : EXIT_DAMAGED;
}
