/* A worker: opens the store, appends from several threads, and says what it asks for and what it is
 * answered, until it is killed or its time is over. */
#include "tests/crash/work.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Atomic bool crash_work_over;

static const char stages_text[] = "stages:\n"
                                  "  - {name: fetch, run: [\"true\"], produces: [a]}\n"
                                  "  - {name: parse, run: [\"true\"], requires: [a]}\n"
                                  "  - {name: merge, run: [\"true\"], produces: [b]}\n"
                                  "  - {name: publish, run: [\"true\"], commits: true}\n";

/* ---- saying ---- */

uint64_t crash_token(crash_worker *w)
{
    return w->work->round << 32 | (uint64_t)w->work->process << 28 | (uint64_t)w->thread << 24 |
           ++w->sequence;
}

void crash_token_text(uint64_t token, char text[CRASH_TEXT])
{
    snprintf(text, CRASH_TEXT, "t:%016llx", (unsigned long long)token);
}

void crash_say(const crash_work *work, const crash_record *record)
{
    /* Whole, or the campaign is gone: a record is smaller than what a pipe takes at once. */
    if (write(work->out, record, sizeof *record) != (ssize_t)sizeof *record) {
        _exit(3);
    }
}

void crash_wrong(const crash_work *work, const char *format, ...)
{
    crash_record r = {.said = CRASH_WRONG};
    va_list args;
    va_start(args, format);
    vsnprintf(r.text, sizeof r.text, format, args);
    va_end(args);
    crash_say(work, &r);
    _exit(4);
}

void crash_intent(crash_worker *w, crash_kind kind, uint64_t token, ratoon_id root)
{
    crash_say(
        w->work,
        &(crash_record){.said = CRASH_INTENT, .kind = (uint8_t)kind, .token = token, .root = root});
}

bool crash_answer(crash_worker *w, crash_kind kind, uint64_t token, ratoon_id root,
                  ratoon_status status, const ratoon_error *error, uint64_t allowed)
{
    if (status != RATOON_OK && (allowed >> status & 1) == 0) {
        crash_wrong(w->work, "request %llx of kind %d: %s: %s", (unsigned long long)token,
                    (int)kind, ratoon_status_name(status), error->message);
    }
    crash_say(w->work, &(crash_record){.said = status == RATOON_OK ? CRASH_ACKED : CRASH_REFUSED,
                                       .kind = (uint8_t)kind,
                                       .token = token,
                                       .root = root});
    return status == RATOON_OK;
}

bool crash_one_in(crash_worker *w, uint64_t n)
{
    return support_prng_below(&w->prng, n) == 0;
}

/* ---- threads ---- */

static void *thread_main(void *argument)
{
    crash_worker *w = argument;
    const bool deletes = w->work->scenario == CRASH_DELETES;
    while (!atomic_load(&crash_work_over)) {
        const uint64_t dice = support_prng_below(&w->prng, 100);
        if (deletes && dice < 30) {
            crash_delete(w);
        } else if (deletes && dice < 34 && w->thread == 0) {
            crash_prune(w);
        } else if (w->work->scenario == CRASH_BACKUPS && w->thread == 0) {
            crash_backup(w);
        } else if (dice < 45) {
            crash_annotate_shared(w);
        } else if (dice < 52) {
            crash_scan(w);
        } else if (dice < 60) {
            crash_resume(w);
        } else {
            crash_live(w);
        }
    }
    return NULL;
}

static void *reader_main(void *argument)
{
    crash_read_feed(argument);
    return NULL;
}

static ratoon_pipeline *parse(const crash_work *work, const char *name, const char *more)
{
    char text[1024];
    ratoon_pipeline *p = NULL;
    ratoon_error error;
    const int size = snprintf(text, sizeof text, "pipeline: %s\n%s%s", name, more, stages_text);
    if (ratoon_pipeline_parse(name, text, (size_t)size, NULL, &p, &error) != RATOON_OK) {
        crash_wrong(work, "%s", error.message);
    }
    return p;
}

static ratoon_store *open_store(const crash_work *work)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_store *store = NULL;
    ratoon_error error;
    options.durability = work->durability;
    options.interval_ms = 5;
    options.max_depth = 20;
    if (work->scenario == CRASH_CREATES && access(work->store, F_OK) != 0 &&
        ratoon_store_create(work->store, &options, &error) != RATOON_OK) {
        crash_wrong(work, "creating: %s", error.message);
    }
    const ratoon_status status = ratoon_store_open(work->store, &options, &store, &error);
    if (status != RATOON_OK) {
        crash_wrong(work, "opening: %s: %s", ratoon_status_name(status), error.message);
    }
    crash_say(work, &(crash_record){.said = CRASH_READY});
    return store;
}

static void live_on(const crash_work *work, ratoon_store *store)
{
    crash_worker workers[CRASH_THREADS + 1];
    pthread_t threads[CRASH_THREADS + 1];
    ratoon_pipeline *plain = parse(work, "plain", "");
    ratoon_pipeline *shared = parse(work, "shared", "");
    ratoon_pipeline *scoped = parse(work, "scoped",
                                    "params:\n  lane: {type: string, default: none}\n"
                                    "policy: {scope: \"${lane}\"}\n");
    const uint64_t now = ratoon_store_now(store);
    for (uint32_t i = 0; i <= CRASH_THREADS; i++) {
        workers[i] = (crash_worker){.work = work,
                                    .store = store,
                                    .plain = plain,
                                    .scoped = scoped,
                                    .shared = shared,
                                    .thread = i,
                                    .began_us = now,
                                    .prng = support_prng_new(work->seed + i)};
        if (pthread_create(&threads[i], NULL, i < CRASH_THREADS ? thread_main : reader_main,
                           &workers[i]) != 0) {
            crash_wrong(work, "no thread");
        }
    }
    const struct timespec life = {.tv_sec = work->life_ms / 1000,
                                  .tv_nsec = (long)(work->life_ms % 1000) * 1000000};
    nanosleep(&life, NULL);
    atomic_store(&crash_work_over, true);
    for (uint32_t i = 0; i <= CRASH_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    ratoon_pipeline_free(plain);
    ratoon_pipeline_free(scoped);
    ratoon_pipeline_free(shared);
}

int crash_work_main(const crash_work *work)
{
    ratoon_store *store = open_store(work);
    if (work->scenario < CRASH_OPENS) {
        live_on(work, store);
    }
    ratoon_store_close(store);
    return 0;
}
