/* The program whose disk loses power: it uses a store the way pipelines do, from several threads,
 * through the public interface, and marks in the record what it was told.
 *   power_workload ROOT MODE SEED SCALE      MODE: sync, interval, none; or `reopen`
 * Marks:
 *   making PATH [FROM]        made PATH            FROM: it is a copy
 *   opened PATH      closed PATH      end
 *   feed POSITION LINEAGE NUMBER DIGEST TYPE      of each commit, before the next mark about it
 *   ack POSITION              everything up to that position was acknowledged
 *   failed LINEAGE            so was a failure, the lineage's last commit so far
 *   key NAME RUN              a request with that key was acknowledged
 *   sealing PATH              sealed PATH
 *   deleted RUN */
#include "tests/power/workload.h"
#include "log/codec.h"
#include "log/digest.h"
#include "log/store_impl.h"
#include "tests/support/preload/recording.h"
#include "tests/support/role.h"
#include "tests/support/support.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 3, VALUE_MAX = 60000, RUNS_MAX = 256 };

static recording_mark_fn *mark_record;
static const char *root;
static char store_path[4000], backup_path[4000], restored_path[4000];
static ratoon_store_options store_options;
static ratoon_store *store;
static ratoon_pipeline *pipeline;
static uint64_t seed;
static unsigned scale;
static unsigned session;

/* What the feed has shown so far. */
static pthread_mutex_t feed_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t feed_seen;

__attribute__((format(printf, 1, 2))) static void mark(const char *format, ...)
{
    char text[8192];
    va_list list;
    va_start(list, format);
    const int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (mark_record != NULL) {
        mark_record(text, (uint64_t)size);
    }
}

static void must(ratoon_status status, const ratoon_error *error)
{
    role_must(status == RATOON_OK, error->message);
}

/* ---- what was told ---- */

static bool mark_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    char id[RATOON_ID_TEXT];
    char hex[65];
    ratoon_digest digest;
    ratoon__arena arena = {0};
    ratoon__commit commit;
    (void)ctx;
    MUST(ratoon__sha256(data, size, &digest) == RATOON_OK);
    MUST(ratoon__commit_decode(data, size, &arena, &commit, NULL) == RATOON_OK);
    ratoon__digest_format(&digest, hex);
    ratoon_id_format(lineage, id);
    mark("feed %llu %s %llu %s %s", (unsigned long long)position, id, (unsigned long long)number,
         hex, ratoon__event_type_name(commit.events[0].type));
    ratoon__arena_free(&arena);
    feed_seen = position;
    return true;
}

/* Reads the feed to its end: what a reader is shown counts as acknowledged too. */
static void told(void)
{
    ratoon_error error = {0};
    uint64_t end = 0;
    ratoon__driver *d = ratoon__store_driver(store);
    pthread_mutex_lock(&feed_lock);
    must(d->ops->end(d, &end, &error), &error);
    while (feed_seen + 1 < end) {
        const uint64_t before = feed_seen;
        const ratoon_status status = d->ops->tail(d, feed_seen + 1, 0, mark_commit, NULL, &error);
        if (status == RATOON_ERR_TIMED_OUT || feed_seen == before) {
            break; /* the rest of it was deleted */
        }
        must(status, &error);
    }
    mark("ack %llu", (unsigned long long)(end - 1));
    pthread_mutex_unlock(&feed_lock);
}

/* The same, where the last commit of the lineage is a failure. */
static void told_failure(ratoon_id lineage)
{
    char id[RATOON_ID_TEXT];
    told();
    ratoon_id_format(lineage, id);
    mark("failed %s", id);
}

/* ---- what a thread does ---- */

typedef struct worker {
    unsigned index;
    support_prng prng;
    ratoon_id runs[RUNS_MAX]; /* roots that have ended */
    size_t runs_count;
    unsigned keys;
    char value[VALUE_MAX];
} worker;

static ratoon_value value_for(worker *w, const char *key)
{
    const uint64_t kind = support_prng_below(&w->prng, 8);
    const size_t size = kind == 0  ? 1 + (size_t)support_prng_below(&w->prng, VALUE_MAX - 1)
                        : kind < 3 ? 1025 + (size_t)support_prng_below(&w->prng, 3000)
                                   : 1 + (size_t)support_prng_below(&w->prng, 200);
    support_prng_fill(&w->prng, w->value, size);
    if (kind % 2 == 0) {
        memset(w->value, 'x', size - 1);
    }
    return (ratoon_value){
        .key = key, .data = w->value, .size = size, .media_type = "application/octet-stream"};
}

static void fail_stage(ratoon_id lineage, const ratoon_created *run, const char *stage)
{
    ratoon_error error = {0};
    ratoon_run_status status;
    uint32_t attempt = 0;
    const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION, .message = "by design"};
    must(ratoon_stage_start(store, run->run, run->epoch, stage, &attempt, &error), &error);
    must(ratoon_stage_fail(store, run->run, run->epoch, stage, attempt, &failure, &error), &error);
    told_failure(lineage);
    must(ratoon_run_finish(store, run->run, run->epoch, &status, &error), &error);
    told_failure(lineage);
}

/* Stages from `first` on; false where one failed. */
static bool work_stages(worker *w, ratoon_id lineage, const ratoon_created *run, int first,
                        bool may_fail)
{
    static const char *const names[] = {"a", "b", "c"};
    ratoon_error error = {0};
    for (int i = first; i < 3; i++) {
        uint32_t attempt = 0;
        if (may_fail && support_prng_below(&w->prng, 6) == 0) {
            fail_stage(lineage, run, names[i]);
            return false;
        }
        must(ratoon_stage_start(store, run->run, run->epoch, names[i], &attempt, &error), &error);
        if (support_prng_below(&w->prng, 2) == 0) {
            told();
        }
        const ratoon_value value = value_for(w, names[i]);
        must(
            ratoon_stage_succeed(store, run->run, run->epoch, names[i], attempt, &value, 1, &error),
            &error);
        told();
    }
    return true;
}

static ratoon_created create_run(worker *w, bool keyed)
{
    ratoon_error error = {0};
    ratoon_created run;
    char key[64];
    char id[RATOON_ID_TEXT];
    (void)snprintf(key, sizeof key, "%u-%u-%u", session, w->index, w->keys++);
    const ratoon_pair params[] = {{"name", key}, {"token", WORKLOAD_SECRET}};
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    options.pipeline = pipeline;
    options.params = params;
    options.params_count = 2;
    options.key = keyed ? key : NULL;
    must(ratoon_run_create(store, &options, &run, &error), &error);
    told();
    ratoon_id_format(run.run, id);
    if (keyed) {
        mark("key %s %s", key, id);
    }
    return run;
}

static void work_run(worker *w)
{
    ratoon_error error = {0};
    ratoon_run_status status;
    ratoon_created run = create_run(w, support_prng_below(&w->prng, 4) == 0);
    const ratoon_id lineage = run.run;
    bool done = work_stages(w, lineage, &run, 0, true);
    if (done) {
        must(ratoon_run_finish(store, run.run, run.epoch, &status, &error), &error);
        told();
    }
    for (unsigned retries = 0; !done || support_prng_below(&w->prng, 4) == 0; retries++) {
        if (retries == 3) {
            break;
        }
        ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
        options.parent = run.run;
        options.from = done ? "b" : NULL;
        options.rerun = done;
        must(ratoon_retry_create(store, &options, &run, &error), &error);
        told();
        ratoon_run_info info;
        must(ratoon_run_get(store, run.run, &info, &error), &error);
        done = work_stages(w, lineage, &run, info.from_stage, retries < 2);
        if (done) {
            must(ratoon_run_finish(store, run.run, run.epoch, &status, &error), &error);
            told();
        }
    }
    if (w->runs_count < RUNS_MAX) {
        w->runs[w->runs_count++] = lineage;
    }
}

static void delete_run(worker *w)
{
    ratoon_error error = {0};
    ratoon_deleted deleted;
    ratoon_freed freed;
    char id[RATOON_ID_TEXT];
    const size_t pick = (size_t)support_prng_below(&w->prng, w->runs_count);
    told(); /* nobody must miss what goes now */
    must(ratoon_lineage_delete(store, w->runs[pick], true, &deleted, &freed, &error), &error);
    told();
    ratoon_id_format(w->runs[pick], id);
    mark("deleted %s", id);
    w->runs[pick] = w->runs[--w->runs_count];
}

/* A lineage with so many events that a snapshot of it is stored. */
static void annotate_run(worker *w)
{
    ratoon_error error = {0};
    const ratoon_created run = create_run(w, false);
    for (int i = 0; i < 300; i++) {
        char text[400];
        memset(text, 'a' + i % 26, sizeof text - 1);
        text[sizeof text - 1] = '\0';
        must(ratoon_run_annotate(store, run.run, text, &error), &error);
    }
    told();
}

static void *work(void *argument)
{
    worker *w = argument;
    for (unsigned i = 0; i < scale; i++) {
        work_run(w);
        if (w->runs_count > 2 && support_prng_below(&w->prng, 5) == 0) {
            delete_run(w);
        }
        if (support_prng_below(&w->prng, 6) == 0) { /* has derived rows written */
            const ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
            ratoon_error error = {0};
            ratoon_id *ids = NULL;
            size_t count = 0;
            must(ratoon_run_list(store, &options, &ids, &count, &error), &error);
            free(ids);
        }
    }
    return NULL;
}

/* ---- sessions ---- */

static void open_store(void)
{
    ratoon_error error = {0};
    must(ratoon_store_open(store_path, &store_options, &store, &error), &error);
    mark("opened %s", store_path);
}

static void close_store(void)
{
    told();
    ratoon_store_close(store);
    mark("closed %s", store_path);
}

static void seal(void)
{
    ratoon_error error = {0};
    ratoon_buffer json = {0};
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/seal-%u", root, session);
    mark("sealing %s", path);
    must(ratoon_seal(store, path, NULL, &json, &error), &error);
    mark("sealed %s", path);
    ratoon_buffer_free(&json);
}

static void run_workers(worker *workers)
{
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        MUST(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    if (session == 1) {
        ratoon_error error = {0};
        mark("making %s %s", backup_path, store_path);
        must(ratoon_store_backup(store, backup_path, &error), &error);
        mark("made %s", backup_path);
    } else {
        seal();
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void restore(void)
{
    ratoon_error error = {0};
    mark("making %s %s", restored_path, backup_path);
    must(ratoon_store_restore(backup_path, restored_path, &error), &error);
    mark("made %s", restored_path);
}

static void create(void)
{
    ratoon_error error = {0};
    if (access(store_path, F_OK) != 0) {
        mark("making %s", store_path);
        must(ratoon_store_create(store_path, &store_options, &error), &error);
        mark("made %s", store_path);
    }
}

/* Opens what stores there are and closes them again: what a recovery does to the disk. */
static int reopen(void)
{
    const char *const paths[] = {store_path, backup_path, restored_path};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        ratoon_error error = {0};
        if (access(paths[i], F_OK) == 0) {
            must(ratoon_store_open(paths[i], &store_options, &store, &error), &error);
            ratoon_store_close(store);
        }
    }
    return 0;
}

static worker workers[THREADS];

int main(int argc, char **argv)
{
    if (argc != 5) {
        (void)fprintf(stderr, "usage: power_workload ROOT MODE SEED SCALE\n");
        return 2;
    }
    void *found = dlsym(RTLD_DEFAULT, "recording_mark");
    memcpy(&mark_record, &found, sizeof mark_record);
    root = argv[1];
    seed = strtoull(argv[3], NULL, 10);
    scale = (unsigned)strtoul(argv[4], NULL, 10);
    (void)snprintf(store_path, sizeof store_path, "%s/store", root);
    (void)snprintf(backup_path, sizeof backup_path, "%s/backup", root);
    (void)snprintf(restored_path, sizeof restored_path, "%s/restored", root);
    store_options = (ratoon_store_options)RATOON_STORE_OPTIONS_INIT;
    store_options.no_serve = true;
    store_options.durability = workload_mode(argv[2]);
    store_options.interval_ms = 10;
    if (strcmp(argv[2], "reopen") == 0) {
        return reopen();
    }
    ratoon_error error = {0};
    must(ratoon_pipeline_parse("power.yaml", workload_pipeline, strlen(workload_pipeline), NULL,
                               &pipeline, &error),
         &error);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].index = i;
        workers[i].prng = support_prng_new(seed * THREADS + i);
    }
    create();
    for (session = 0; session < 3; session++) {
        open_store();
        told();
        run_workers(workers);
        if (session == 1) {
            annotate_run(&workers[0]);
        }
        if (session < 2) {
            close_store();
        }
        if (session == 1) {
            restore();
        }
    }
    told();
    mark("end");
    if (seed % 2 == 0) {
        close_store();
    }
    ratoon_pipeline_free(pipeline);
    _exit(0); /* or nothing is closed */
}
