/* `logs`: what an attempt of a stage wrote to stdout and stderr. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"
#include "tools/ratoon/jsontext.h"
#include "tools/ratoon/text.h"
#include "tools/runner/runner.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct place { /* whose captured output */
    ratoon_id run;
    const char *stage;
    uint32_t attempt;  /* the last to look for */
    uint32_t attempts; /* that there were */
    bool exactly;      /* that attempt and no earlier one */
} place;

/* Follows a reused stage to the run that executed it. */
static int executed_by(const app *a, place *p, bool *has_items)
{
    json_t *document = NULL;
    int code = -1;
    const json_t *run = doc_run(a, p->run, true, &document, &code);
    if (run == NULL) {
        return code;
    }
    const json_t *found = NULL;
    size_t i;
    json_t *stage;
    json_array_foreach(json_object_get(run, "stages"), i, stage)
    {
        found = strcmp(doc_string(stage, "name"), p->stage) == 0 ? stage : found;
    }
    code = -1;
    if (found == NULL) {
        char *names = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&names, &size);
        json_array_foreach(json_object_get(run, "stages"), i, stage)
        {
            fprintf(stream, "%s%s", i > 0 ? ", " : "it has: ", doc_string(stage, "name"));
        }
        fclose(stream);
        code = app_error(a, RATOON_ERR_NO_SUCH_STAGE, names, "the pipeline has no stage \"%s\"",
                         p->stage);
        free(names);
    } else {
        const char *from = doc_string(found, "reused_from");
        *has_items = doc_member(found, "items") != NULL;
        if (strcmp(doc_string(found, "status"), "reused") == 0 &&
            ratoon_id_parse(from, &p->run) == RATOON_OK) {
            app_note(a, "%s was reused: this is the output of run %s", p->stage, from);
            json_decref(document);
            return executed_by(a, p, has_items);
        }
        p->attempts = (uint32_t)doc_number(found, "attempt");
        p->attempt = p->exactly ? p->attempt : p->attempts;
    }
    json_decref(document);
    return code;
}

static FILE *open_capture(const app *a, const place *p, uint32_t attempt, const char *item,
                          int stream)
{
    char path[PATH_MAX];
    ratoon_capture_path(ratoon_store_path(a->store), p->run, p->stage, attempt, item, stream, path,
                        sizeof path);
    return fopen(path, "re");
}

/* Finds the last attempt that left output; an item may have been executed by an earlier attempt, or
 * by a run that this one was branched from. */
static bool find_capture(const app *a, place *p, const char *item, FILE *files[2])
{
    for (;;) {
        for (uint32_t n = p->attempt; n > 0; n--) {
            files[0] = open_capture(a, p, n, item, 1);
            files[1] = open_capture(a, p, n, item, 2);
            if (files[0] != NULL || files[1] != NULL) {
                p->attempt = n;
                return true;
            }
            if (p->exactly) {
                return false;
            }
        }
        ratoon_run_info info;
        ratoon_stage_info stage;
        ratoon_pipeline *pipeline = NULL;
        if (item == NULL || p->exactly ||
            ratoon_run_get(a->store, p->run, &info, NULL) != RATOON_OK ||
            ratoon_id_is_zero(info.parent) ||
            ratoon_run_pipeline(a->store, info.parent, &pipeline, NULL) != RATOON_OK) {
            return false;
        }
        const int32_t index = ratoon_pipeline_stage_find(pipeline, p->stage);
        ratoon_pipeline_free(pipeline);
        if (index < 0 ||
            ratoon_run_stage(a->store, info.parent, (uint32_t)index, &stage, NULL) != RATOON_OK) {
            return false;
        }
        p->run = info.parent;
        p->attempt = stage.attempt;
    }
}

/* Reads all of a file; "" where there is none. */
static char *slurp(FILE *file, size_t *size)
{
    char *out = NULL;
    FILE *stream = open_memstream(&out, size);
    char block[16384];
    size_t got;
    if (stream == NULL) {
        abort();
    }
    while (file != NULL && (got = fread(block, 1, sizeof block, file)) > 0) {
        fwrite(block, 1, got, stream);
    }
    fclose(stream);
    return out;
}

static void put_stream(FILE *file, const char *name, bool terminal)
{
    size_t size = 0;
    char *text = slurp(file, &size);
    if (terminal && size > 0) {
        printf("── %s\n", name);
        text_put(stdout, text, size, true);
    } else {
        fwrite(text, 1, size, stdout);
    }
    if (terminal && size > 0 && text[size - 1] != '\n') {
        putchar('\n');
    }
    free(text);
}

static void put_json(const place *p, const char *item, FILE *files[2])
{
    char id[RATOON_ID_TEXT];
    static const char *const names[] = {"stdout", "stderr"};
    ratoon_id_format(p->run, id);
    printf("{\"schema\":1,\"logs\":{\"run\":\"%s\",\"stage\":", id);
    jsontext_put_string(stdout, p->stage, strlen(p->stage));
    printf(",\"attempt\":%u,\"item\":", p->attempt);
    if (item != NULL) {
        jsontext_put_string(stdout, item, strlen(item));
    } else {
        fputs("null", stdout);
    }
    for (int i = 0; i < 2; i++) {
        size_t size = 0;
        char *text = slurp(files[i], &size);
        printf(",\"%s\":", names[i]);
        jsontext_put_string(stdout, text, size);
        free(text);
    }
    puts("}}");
}

static bool put_one(const app *a, place p, const char *item)
{
    FILE *files[2] = {NULL, NULL};
    if (!find_capture(a, &p, item, files)) {
        return false;
    }
    if (a->json) {
        put_json(&p, item, files);
    } else {
        const bool terminal = isatty(STDOUT_FILENO) != 0;
        put_stream(files[0], "stdout", terminal);
        put_stream(files[1], "stderr", terminal);
    }
    for (int i = 0; i < 2; i++) {
        if (files[i] != NULL) {
            fclose(files[i]);
        }
    }
    return true;
}

/* All items of a stage one after the other, each with a heading. */
static bool put_items(const app *a, const place *p)
{
    ratoon_items *items = NULL;
    bool found = false;
    if (ratoon_stage_items(a->store, p->run, p->stage, &items, NULL) != RATOON_OK) {
        return false;
    }
    for (size_t i = 0; i < ratoon_items_count(items); i++) {
        ratoon_item item;
        if (ratoon_items_get(items, i, &item, NULL) != RATOON_OK) {
            continue;
        }
        if (!a->json) {
            printf("%s==> ", found ? "\n" : "");
            text_put_string(stdout, item.key);
            printf("%s <==\n", item.failed ? " (failed)" : "");
        }
        put_one(a, *p, item.key);
        found = true;
    }
    ratoon_items_free(items);
    return found;
}

/* No captured output: was it executed at all? */
static int nothing(const app *a, const place *p, const char *item)
{
    ratoon_items *items = NULL;
    bool known = item == NULL && p->attempt > 0 && p->attempt <= p->attempts;
    if (item != NULL && ratoon_stage_items(a->store, p->run, p->stage, &items, NULL) == RATOON_OK) {
        known = ratoon_items_find(items, item) >= 0;
        ratoon_items_free(items);
    }
    if (known) {
        if (a->json) {
            FILE *none[2] = {NULL, NULL};
            put_json(p, item, none);
        }
        app_note(a, "%s%s%s wrote nothing", p->stage, item != NULL ? ", item " : "",
                 item != NULL ? item : "");
        return EXIT_DONE;
    }
    if (item != NULL) {
        return app_error(a, RATOON_ERR_NOT_FOUND, NULL, "%s has no item \"%s\" that was executed",
                         p->stage, item);
    }
    if (p->exactly && p->attempts > 0) {
        return app_error(a, RATOON_ERR_NOT_FOUND, NULL, "%s had %u attempts in that run", p->stage,
                         p->attempts);
    }
    return app_error(a, RATOON_ERR_NOT_FOUND, NULL, "%s was never executed in that run", p->stage);
}

int command_logs(app *a, const args *in)
{
    const char *item = args_get(in, "item");
    place p = {.stage = args_at(in, 1), .exactly = args_has(in, "attempt")};
    uint64_t attempt = 0;
    bool has_items = false;
    if (!args_number(a, in, "attempt", 1, UINT32_MAX, &attempt)) {
        return EXIT_USAGE;
    }
    p.attempt = (uint32_t)attempt;
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &p.run);
    }
    if (code < 0) {
        code = executed_by(a, &p, &has_items);
    }
    if (code >= 0) {
        return code;
    }
    /* A stage may have been a foreach stage and report items by itself: then it has both. */
    const bool found = put_one(a, p, item) || (item == NULL && has_items && put_items(a, &p));
    if (found) {
        return EXIT_DONE;
    }
    return nothing(a, &p, item);
}
