/* ratoon inside your own runner: a run whose second stage fails, and its retry as a branch.
 *   cc embed.c $(pkg-config --cflags --libs ratoon) -o embed && ./embed /tmp/embed-store */
#include <ratoon.h>
#include <stdio.h>
#include <string.h>

static const char definition[] = "pipeline: demo\n"
                                 "stages:\n"
                                 "  - {name: fetch, run: [fetch], produces: [page]}\n"
                                 "  - {name: parse, run: [parse], requires: [page]}\n";

#define TRY(call)                                                                                  \
    do {                                                                                           \
        if ((call) != RATOON_OK) {                                                                 \
            fprintf(stderr, "%s: %s\n", ratoon_status_name(error.code), error.message);            \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "embed-store";
    ratoon_error error;
    ratoon_store *store;
    ratoon_pipeline *pipeline;
    ratoon_created run, retry;
    ratoon_run_status status;
    uint32_t attempt;

    TRY(ratoon_store_create(path, NULL, &error));
    TRY(ratoon_store_open(path, NULL, &store, &error));
    TRY(ratoon_pipeline_parse("demo", definition, strlen(definition), NULL, &pipeline, &error));

    /* A run. Each call has reached the disk when it returns. */
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    options.pipeline = pipeline;
    TRY(ratoon_run_create(store, &options, &run, &error));
    TRY(ratoon_stage_start(store, run.run, run.epoch, "fetch", &attempt, &error));
    ratoon_value page = {.key = "page", .data = "\"<html>\"", .size = 8};
    TRY(ratoon_stage_succeed(store, run.run, run.epoch, "fetch", attempt, &page, 1, &error));
    TRY(ratoon_stage_start(store, run.run, run.epoch, "parse", &attempt, &error));
    ratoon_failure failure = {.error_class = RATOON_CLASS_TRANSIENT, .message = "parser is away"};
    TRY(ratoon_stage_fail(store, run.run, run.epoch, "parse", attempt, &failure, &error));
    TRY(ratoon_run_finish(store, run.run, run.epoch, &status, &error));

    /* Its retry: `fetch` is reused, only `parse` is left to do. */
    ratoon_retry_options again = RATOON_RETRY_OPTIONS_INIT;
    again.parent = run.run;
    TRY(ratoon_retry_create(store, &again, &retry, &error));
    TRY(ratoon_stage_start(store, retry.run, retry.epoch, "parse", &attempt, &error));
    TRY(ratoon_stage_succeed(store, retry.run, retry.epoch, "parse", attempt, NULL, 0, &error));
    TRY(ratoon_run_finish(store, retry.run, retry.epoch, &status, &error));
    printf("the run ended %s, its retry %s\n", ratoon_run_status_name(RATOON_RUN_FAILED),
           ratoon_run_status_name(status));

    ratoon_pipeline_free(pipeline);
    ratoon_store_close(store);
    return 0;
}
