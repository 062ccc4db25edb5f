/* `wait` and `watch`: following the feed. */
#include "tools/ratoon/follow.h"
#include "tools/ratoon/command.h"
#include "tools/ratoon/event.h"
#include "tools/ratoon/show.h"
#include "tools/ratoon/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The feed wakes a waiter at once; this bounds how long a signal or a timeout goes unnoticed. */
#define SLICE_MS 200

uint64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int status_exit_code(const app *a, const char *status)
{
    switch (ratoon_run_status_parse(status)) {
    case RATOON_RUN_FAILED:
        return EXIT_RUN_FAILED;
    case RATOON_RUN_CANCELLED:
        return EXIT_RUN_CANCELLED;
    case RATOON_RUN_SUSPENDED:
        return EXIT_RUN_SUSPENDED;
    case RATOON_RUN_DEGRADED:
        app_warn(a, "the run is degraded");
        return EXIT_DONE;
    default:
        return EXIT_DONE;
    }
}

ratoon_status follow_any(const app *a, uint64_t *position, uint32_t timeout_ms, ratoon_error *error)
{
    ratoon_feed *feed = NULL;
    ratoon_feed_item item;
    ratoon_status status = ratoon_feed_open(a->store, *position, &feed, error);
    if (status == RATOON_OK) {
        status = ratoon_feed_next(feed, timeout_ms, &item, error);
        *position = status == RATOON_OK ? item.position + 1 : *position;
        ratoon_feed_close(feed);
    }
    return status;
}

ratoon_status follow_run(const app *a, ratoon_id run, uint64_t timeout_ms, ratoon_run_status *out,
                         ratoon_error *error)
{
    const uint64_t began = monotonic_ms();
    uint64_t position = 1;
    ratoon_feed *feed = NULL;
    ratoon_run_info info;
    ratoon_status status = ratoon_feed_end(a->store, &position, error);
    if (status == RATOON_OK) {
        status = ratoon_feed_open(a->store, position, &feed, error);
    }
    while (status == RATOON_OK) {
        status = ratoon_run_get(a->store, run, &info, error);
        if (status != RATOON_OK || !ratoon_run_status_active(info.status)) {
            break;
        }
        ratoon_feed_item item;
        bool about = false;
        while (status == RATOON_OK && !about) {
            const uint64_t passed = monotonic_ms() - began;
            const uint64_t left = timeout_ms > passed ? timeout_ms - passed : 0;
            if (left == 0 || signals_caught() != 0) {
                ratoon_feed_close(feed);
                return RATOON_ERR_TIMED_OUT;
            }
            status =
                ratoon_feed_next(feed, (uint32_t)(left < SLICE_MS ? left : SLICE_MS), &item, error);
            if (status == RATOON_ERR_TIMED_OUT) {
                status = RATOON_OK;
            } else if (status == RATOON_OK) {
                for (size_t i = 0; i < item.events; i++) {
                    about = about || ratoon_id_equal(item.runs[i], run);
                }
            }
        }
    }
    ratoon_feed_close(feed);
    if (status == RATOON_OK) {
        *out = info.status;
    }
    return status;
}

int command_wait(app *a, const args *in)
{
    const char *timeout = args_get(in, "timeout");
    uint64_t timeout_us = 0;
    if (timeout != NULL && !text_parse_duration(timeout, &timeout_us)) {
        return app_error(a, RATOON_ERR_USAGE, "for instance 30s, 5m or 2h",
                         "--timeout wants a duration, not \"%s\"", timeout);
    }
    ratoon_id run;
    int code = app_open_store(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code >= 0) {
        return code;
    }
    ratoon_run_status status = 0;
    ratoon_error error = {0};
    signals_catch();
    error.code =
        follow_run(a, run, timeout != NULL ? timeout_us / 1000 : UINT64_MAX, &status, &error);
    if (signals_caught() != 0) {
        return EXIT_INTERRUPTED;
    }
    if (error.code == RATOON_ERR_TIMED_OUT) {
        char id[RATOON_ID_TEXT];
        ratoon_id_format(run, id);
        return app_error(a, RATOON_ERR_TIMED_OUT, NULL, "run %s has not ended within %s", id,
                         timeout);
    }
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    json_t *document = NULL;
    const json_t *shown = doc_run(a, run, true, &document, &code);
    if (shown == NULL) {
        return code;
    }
    if (a->json) {
        doc_print_json(document);
    } else {
        show_summary(a, shown);
    }
    code = status_exit_code(a, doc_string(shown, "status"));
    json_decref(document);
    return code;
}

/* ---- watch ---- */

static void put_commit(const app *a, const ratoon_feed_item *item, const json_t *document)
{
    const bool colored = text_colored(a, stdout);
    char when[TEXT_TIME_MAX];
    size_t i;
    json_t *event;
    printf("%s%6" PRIu64 "  %s%s", text_style_on(colored, STYLE_DIM), item->position,
           text_clock(item->time_us, when), text_style_off(colored));
    json_array_foreach(json_object_get(document, "events"), i, event)
    {
        char *summary = event_summary(event);
        const char *stage = doc_string(event, "stage");
        const char *run = doc_string(event, "run");
        const char *before =
            i > 0 ? doc_string(json_array_get(json_object_get(document, "events"), i - 1), "run")
                  : "";
        printf(i > 0 ? "; " : "  ");
        if (strcmp(run, before) != 0) {
            printf("%s ", run);
        }
        printf("%s%s%s", text_style_on(colored, STYLE_BOLD), doc_string(event, "type"),
               text_style_off(colored));
        if (*stage != '\0') {
            putchar(' ');
            text_put_string(stdout, stage);
        }
        if (*summary != '\0') {
            printf("  ");
            text_put_string(stdout, summary);
        }
        free(summary);
    }
    putchar('\n');
}

static bool is_about(const ratoon_feed_item *item, ratoon_id run)
{
    for (size_t i = 0; i < item->events; i++) {
        if (ratoon_id_equal(item->runs[i], run)) {
            return true;
        }
    }
    return ratoon_id_is_zero(run);
}

static int watch_feed(const app *a, ratoon_feed *feed, ratoon_id run)
{
    while (signals_caught() == 0) {
        ratoon_feed_item item;
        ratoon_error error = {0};
        error.code = ratoon_feed_next(feed, SLICE_MS, &item, &error);
        if (error.code == RATOON_ERR_TIMED_OUT) {
            continue;
        }
        if (error.code != RATOON_OK) {
            return app_fail(a, &error);
        }
        if (!is_about(&item, run)) {
            continue;
        }
        if (a->json) {
            doc_print(&item.json);
        } else {
            json_t *document = doc_parse(a, item.json.data, item.json.size);
            if (document == NULL) {
                return EXIT_DAMAGED;
            }
            put_commit(a, &item, document);
            json_decref(document);
        }
        if (!output_alive()) {
            return EXIT_DONE;
        }
    }
    return EXIT_INTERRUPTED;
}

int command_watch(app *a, const args *in)
{
    const char *spec = args_get(in, "run");
    ratoon_id run = {0};
    uint64_t position = 0;
    ratoon_feed *feed = NULL;
    ratoon_error error = {0};
    if (!args_number(a, in, "from", 1, UINT64_MAX, &position)) {
        return EXIT_USAGE;
    }
    int code = app_open_store(a);
    if (code < 0 && spec != NULL) {
        code = app_find_run(a, spec, &run);
    }
    if (code >= 0) {
        return code;
    }
    if (position == 0) {
        error.code = ratoon_feed_end(a->store, &position, &error);
    }
    if (error.code == RATOON_OK) {
        error.code = ratoon_feed_open(a->store, position, &feed, &error);
    }
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    signals_catch();
    code = watch_feed(a, feed, run);
    ratoon_feed_close(feed);
    return code;
}
