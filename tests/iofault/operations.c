#include "tests/iofault/trial.h"
#include "tests/support/role.h"

#include <stdlib.h>
#include <string.h>

enum { VALUE_SIZE = 20000, ANNOTATIONS = 150, LARGE_VALUE = 600 << 10, LARGE_VALUES = 10 };

#define TRY(expression)                                                                            \
    do {                                                                                           \
        const ratoon_status tried = (expression);                                                  \
        if (tried != RATOON_OK) {                                                                  \
            return tried;                                                                          \
        }                                                                                          \
    } while (0)

void trial_know(trial *t, ratoon_id run, int stage, ratoon_status status, ratoon_stage_status is)
{
    if (status != RATOON_OK) {
        return;
    }
    for (unsigned i = 0; i < t->known_count; i++) { /* the newer knowledge counts */
        if (ratoon_id_equal(t->known[i].run, run) && t->known[i].stage == stage) {
            t->known[i].status = is;
            return;
        }
    }
    MUST(t->known_count < KNOWN_MAX);
    t->known[t->known_count++] = (known){.run = run, .stage = stage, .status = is};
}

ratoon_status trial_open(trial *t)
{
    return ratoon_store_open(t->store_path, &t->options, &t->store, &t->error);
}

static ratoon_status stages(trial *t, const ratoon_created *run, bool fails)
{
    static const char *const names[] = {"a", "b"};
    static char value[VALUE_SIZE];
    for (int i = 0; i < 2; i++) {
        uint32_t attempt = 0;
        memset(value, 'a' + i, sizeof value);
        const ratoon_value output = {.key = names[i], .data = value, .size = sizeof value};
        ratoon_status status =
            ratoon_stage_start(t->store, run->run, run->epoch, names[i], &attempt, &t->error);
        trial_know(t, run->run, i, status, RATOON_STAGE_RUNNING);
        TRY(status);
        if (fails && i == 1) {
            const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION,
                                            .message = "by design"};
            status = ratoon_stage_fail(t->store, run->run, run->epoch, names[i], attempt, &failure,
                                       &t->error);
            trial_know(t, run->run, i, status, RATOON_STAGE_FAILED);
        } else {
            status = ratoon_stage_succeed(t->store, run->run, run->epoch, names[i], attempt,
                                          &output, 1, &t->error);
            trial_know(t, run->run, i, status, RATOON_STAGE_SUCCEEDED);
        }
        TRY(status);
    }
    ratoon_run_status ended;
    return ratoon_run_finish(t->store, run->run, run->epoch, &ended, &t->error);
}

static ratoon_status create_run(trial *t, const char *key, ratoon_created *run)
{
    const ratoon_pair token = {"token", "hush, hush"};
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    options.pipeline = t->pipeline;
    options.params = &token;
    options.params_count = 1;
    options.key = key;
    const ratoon_status status = ratoon_run_create(t->store, &options, run, &t->error);
    if (status == RATOON_OK) {
        trial_know(t, run->run, -1, status, 0);
    }
    return status;
}

ratoon_status trial_run(trial *t, const char *key, bool fails, ratoon_id *run)
{
    ratoon_created created;
    TRY(create_run(t, key, &created));
    *run = created.run;
    return stages(t, &created, fails);
}

void trial_fill(trial *t)
{
    MUST(trial_run(t, "first", false, &t->old_run) == RATOON_OK);
    MUST(trial_run(t, "second", true, &t->old_failed) == RATOON_OK);
}

/* ---- operations ---- */

static ratoon_status act_create(trial *t)
{
    return ratoon_store_create(t->other_path, &t->options, &t->error);
}

static ratoon_status act_append(trial *t)
{
    ratoon_id run;
    TRY(trial_run(t, "third", false, &run));
    return trial_run(t, "fourth", true, &run);
}

static ratoon_status act_retry(trial *t)
{
    ratoon_created run;
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    options.parent = t->old_failed;
    const ratoon_status status = ratoon_retry_create(t->store, &options, &run, &t->error);
    if (status != RATOON_OK) {
        return status;
    }
    trial_know(t, run.run, -1, status, 0);
    uint32_t attempt;
    return ratoon_stage_start(t->store, run.run, run.epoch, "b", &attempt, &t->error);
}

static ratoon_status act_list(trial *t) /* has the derived rows written */
{
    const ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *ids = NULL;
    size_t count = 0;
    ratoon_created run;
    TRY(create_run(t, NULL, &run));
    TRY(ratoon_run_list(t->store, &options, &ids, &count, &t->error));
    free(ids);
    return RATOON_OK;
}

static ratoon_status act_snapshot(trial *t)
{
    ratoon_created run;
    TRY(create_run(t, NULL, &run));
    char text[400];
    memset(text, 't', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < ANNOTATIONS; i++) {
        TRY(ratoon_run_annotate(t->store, run.run, text, &t->error));
    }
    return RATOON_OK;
}

static ratoon_status act_feed(trial *t)
{
    ratoon_feed *feed = NULL;
    ratoon_feed_item item;
    TRY(ratoon_feed_open(t->store, 1, &feed, &t->error));
    ratoon_status status = RATOON_OK;
    while (status == RATOON_OK) {
        status = ratoon_feed_next(feed, 0, &item, &t->error);
    }
    ratoon_feed_close(feed);
    return status == RATOON_ERR_TIMED_OUT ? RATOON_OK : status;
}

static ratoon_status act_backup(trial *t)
{
    return ratoon_store_backup(t->store, t->other_path, &t->error);
}

static ratoon_status act_restore(trial *t) /* from a store that nobody has open, as backups are */
{
    return ratoon_store_restore(t->store_path, t->third_path, &t->error);
}

static ratoon_status act_delete(trial *t)
{
    ratoon_deleted deleted;
    ratoon_freed freed;
    const ratoon_status status =
        ratoon_lineage_delete(t->store, t->old_run, true, &deleted, &freed, &t->error);
    for (unsigned i = 0; i < t->known_count; i++) {
        if (ratoon_id_equal(t->known[i].run, t->old_run)) {
            /* Refused, the run may be gone all the same: that is not acknowledged. */
            t->known[i].gone = status == RATOON_OK;
            t->known[i].stage = status == RATOON_OK ? -1 : -2;
        }
    }
    return status;
}

static ratoon_status act_verify(trial *t)
{
    ratoon_buffer report = {0};
    size_t problems = 0;
    TRY(ratoon_verify(t->store, (ratoon_id){{0}}, &report, &problems, &t->error));
    ratoon_buffer_free(&report);
    return RATOON_OK; /* that it can't read something is a problem it may tell of */
}

static ratoon_status act_close(trial *t)
{
    ratoon_store_close(t->store);
    t->store = NULL;
    return RATOON_OK;
}

/* So much in the log that closing writes it out to tables. */
static ratoon_status act_close_large(trial *t)
{
    ratoon_created run;
    char *bytes = malloc(LARGE_VALUE);
    MUST(bytes != NULL);
    ratoon_status status = create_run(t, NULL, &run);
    for (int i = 0; status == RATOON_OK && i < LARGE_VALUES; i++) {
        const ratoon_pair token = {"token", "hush, hush"};
        ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
        memset(bytes, 'a' + i, LARGE_VALUE);
        const ratoon_value state = {.key = "large", .data = bytes, .size = LARGE_VALUE};
        options.pipeline = t->pipeline;
        options.params = &token;
        options.params_count = 1;
        options.state = &state;
        options.state_count = 1;
        status = ratoon_run_create(t->store, &options, &run, &t->error);
        if (status == RATOON_OK) {
            trial_know(t, run.run, -1, status, 0);
        }
    }
    free(bytes);
    (void)act_close(t);
    return status;
}

const operation operations[] = {
    {.name = "create", .act = act_create},
    {.name = "open", .act = trial_open, .opens = true},
    {.name = "open-after-crash", .act = trial_open, .opens = true, .crashed = true},
    {.name = "append", .act = act_append},
    {.name = "append-interval", .act = act_append, .mode = RATOON_DURABILITY_INTERVAL},
    {.name = "append-none", .act = act_append, .mode = RATOON_DURABILITY_NONE},
    {.name = "retry", .act = act_retry},
    {.name = "list", .act = act_list},
    {.name = "snapshot", .act = act_snapshot, .mode = RATOON_DURABILITY_NONE},
    {.name = "feed", .act = act_feed},
    {.name = "backup", .act = act_backup},
    {.name = "restore", .act = act_restore, .opens = true, .closes = true},
    {.name = "delete", .act = act_delete},
    {.name = "verify", .act = act_verify},
    {.name = "close", .act = act_close, .closes = true},
    {.name = "close-large", .act = act_close_large, .closes = true, .mode = RATOON_DURABILITY_NONE},
};
const unsigned operations_count = sizeof operations / sizeof operations[0];
