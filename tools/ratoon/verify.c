/* `verify`: the store, and what a seal says of it. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/table.h"
#include "tools/ratoon/text.h"

#include <inttypes.h>
#include <string.h>

static void seal_print(const json_t *document)
{
    const json_t *seal = doc_member(document, "seal");
    char when[TEXT_TIME_MAX];
    size_t i;
    json_t *notice;
    if (seal == NULL) {
        return;
    }
    json_array_foreach(json_object_get(document, "notices"), i, notice)
    {
        printf("notice: lineage %s: ", doc_string(notice, "lineage"));
        text_put_string(stdout, doc_string(notice, "message"));
        putchar('\n');
    }
    fputs("seal ", stdout);
    text_put_string(stdout, doc_string(seal, "file"));
    const uint64_t lineages = doc_number(seal, "lineages");
    printf(" of %s over %" PRIu64 " lineage%s, signed by %s\n",
           text_time(doc_time(seal, "time"), when), lineages, text_plural(lineages),
           doc_string(seal, "key"));
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
    seal_print(document);
    const size_t count = json_array_size(problems);
    const uint64_t lineages = doc_number(verified, "lineages");
    const uint64_t commits = doc_number(verified, "commits");
    const uint64_t events = doc_number(verified, "events");
    const uint64_t values = doc_number(verified, "values");
    printf("verified %" PRIu64 " lineage%s, %" PRIu64 " commit%s, %" PRIu64 " event%s, %" PRIu64
           " value%s: ",
           lineages, text_plural(lineages), commits, text_plural(commits), events,
           text_plural(events), values, text_plural(values));
    if (count == 0) {
        puts("no problems");
    } else {
        printf("%zu problem%s\n", count, text_plural(count));
    }
}

/* What kept the store from being opened or read whole is a problem like those that were found. */
static void add_problem(json_t *document, const char *message)
{
    json_t *problem = json_pack("{s:n,s:n,s:s,s:o}", "lineage", "commit", "kind", "store",
                                "message", json_string(message));
    json_array_insert_new(json_object_get(document, "problems"), 0, problem);
}

static json_t *verify_document(const app *a, const ratoon_verify_options *options, int *code)
{
    ratoon_buffer json = {0};
    size_t problems = 0;
    ratoon_error error = {0};
    json_t *document = NULL;
    error.code = ratoon_verify_with(a->store, options, &json, &problems, &error);
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
    ratoon_verify_options options = RATOON_VERIFY_OPTIONS_INIT;
    options.seal = args_get(in, "seal");
    options.key = args_get(in, "key");
    if (options.key != NULL && options.seal == NULL) {
        return app_error(a, RATOON_ERR_USAGE, NULL, "--key goes with --seal");
    }
    int code = args_has(in, "accept-loss") ? accept_loss(a) : -1;
    if (code < 0) {
        code = app_open_store(a);
    }
    if (code < 0 && spec != NULL) {
        code = app_find_run(a, spec, &options.run);
    }
    if (code >= 0) {
        return code;
    }
    json_t *document = verify_document(a, &options, &code);
    if (document == NULL) {
        return code;
    }
    const json_t *seal = doc_member(document, "seal");
    if (seal != NULL && strcmp(doc_string(seal, "signer"), "trusted") != 0) {
        app_warn(a,
                 "the seal is signed by the key %s, and nothing says whose that is: give the "
                 "signer's public key with --key",
                 doc_string(seal, "key"));
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
