/* The preview of a retry, for people. */
#include "tools/ratoon/plan.h"
#include "tools/ratoon/next.h"
#include "tools/ratoon/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void field(const char *name, const char *text)
{
    if (*text != '\0') {
        printf("  %-12s", name);
        text_put_string(stdout, text);
        putchar('\n');
    }
}

static void put_items(const json_t *items)
{
    static const char *const counts[] = {"keep", "run", "reset", "drop"};
    const char *stage = NULL;
    json_t *plan = NULL;
    json_object_foreach((json_t *)(uintptr_t)items, stage, plan)
    {
        fputs("  items of ", stdout);
        text_put_string(stdout, stage);
        putchar(':');
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
            const json_t *count = json_object_get(plan, counts[i]);
            if (json_is_integer(count)) {
                printf("%s %s %" JSON_INTEGER_FORMAT, i > 0 ? "," : "", counts[i],
                       json_integer_value(count));
            } else {
                printf("%s %s unknown yet", i > 0 ? "," : "", counts[i]);
            }
        }
        putchar('\n');
    }
}

static void put_committed(uint64_t dropped)
{
    if (dropped > 0) {
        printf("  drops       %" PRIu64 " committed\n", dropped);
    }
}

static void put_state(const json_t *plan)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(plan, "edits"), i, entry)
    {
        char *text = text_format("%s%s", doc_string(entry, "key"),
                                 doc_true(entry, "partial") ? " (partial output)" : "");
        field("edited", text);
        free(text);
    }
    json_array_foreach(json_object_get(plan, "missing"), i, entry)
    {
        const char *by = doc_string(entry, "produced_by");
        char *text = *by != '\0'
                         ? text_format("%s, which %s produces", doc_string(entry, "key"), by)
                         : text_format("%s, which no stage produces", doc_string(entry, "key"));
        field("missing", text);
        free(text);
    }
}

static void put_refusals(const app *a, const json_t *refusals)
{
    const bool colored = text_colored(a, stdout);
    size_t i;
    json_t *refusal;
    json_array_foreach(refusals, i, refusal)
    {
        printf("%srefused: %s%s: ", text_style_on(colored, STYLE_RED), doc_string(refusal, "code"),
               text_style_off(colored));
        text_put_message(stdout, doc_string(refusal, "message"));
        putchar('\n');
        if (*doc_string(refusal, "hint") != '\0') {
            fputs("  hint: ", stdout);
            text_put_string(stdout, doc_string(refusal, "hint"));
            putchar('\n');
        }
    }
}

/* The same command, but for real. */
static void put_command(const app *a, const args *in, const char *token)
{
    const char *option = NULL, *value = NULL;
    fputs("do exactly this with:\n  ratoon", stdout);
    if (a->store_option != NULL) {
        fputs(" --store ", stdout);
        text_put_quoted(stdout, a->store_option);
    }
    fputs(" retry ", stdout);
    text_put_quoted(stdout, args_at(in, 0));
    for (size_t i = 0; args_given(in, i, &option, &value); i++) {
        if (strcmp(option, "dry-run") == 0 || strcmp(option, "plan") == 0 ||
            strcmp(option, "store") == 0 || strcmp(option, "color") == 0) {
            continue;
        }
        printf(" --%s", option);
        if (value != NULL) {
            putchar(' ');
            text_put_quoted(stdout, value);
        }
    }
    fputs(" --plan ", stdout);
    text_put_quoted(stdout, token);
    putchar('\n');
}

void plan_print(const app *a, const args *in, const json_t *plan)
{
    const char *from = doc_string(plan, "from_stage");
    const char *requested = doc_string(plan, "requested_stage");
    char *ran = next_names(json_object_get(plan, "run"));
    char *reused = next_names(json_object_get(plan, "reuse"));
    char *params = doc_changes(json_object_get(plan, "params"), NULL);
    char *depth = text_format("%" PRIu64 " of at most %" PRIu64, doc_number(plan, "depth"),
                              doc_number(plan, "max_depth"));
    printf("retry of %s", doc_string(plan, "parent"));
    if (*from != '\0') {
        fputs(" from ", stdout);
        text_put_string(stdout, from);
    }
    if (*requested != '\0' && strcmp(requested, from) != 0) {
        fputs(" (asked for ", stdout);
        text_put_string(stdout, requested);
        putchar(')');
    }
    putchar('\n');
    field("runs", ran);
    field("reuses", reused);
    put_items(doc_member(plan, "items"));
    put_committed(doc_number(plan, "committed_dropped"));
    field("parameters", params);
    put_state(plan);
    field("depth", depth);
    field("waits for", doc_string(plan, "waits_for"));
    put_refusals(a, json_object_get(plan, "refusals"));
    if (json_array_size(json_object_get(plan, "refusals")) == 0) {
        put_command(a, in, doc_string(plan, "token"));
    }
    free(ran);
    free(reused);
    free(params);
    free(depth);
}
