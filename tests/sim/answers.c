/* Between callers and the library: every answer is noted and compared with the log; and what stands
 * in for the parts of the command that have a terminal. */
#include "core/projection.h"
#include "log/store.h"
#include "tests/sim/log.h"
#include "tools/ratoon/app.h"
#include "tools/ratoon/execute.h"
#include "tools/runner/runner.h"

#include <stdlib.h>
#include <string.h>

ratoon_status __real_ratoon_run_apply(ratoon_store *store, ratoon_id run, uint64_t epoch,
                                      ratoon_op *ops, size_t ops_count, ratoon_error *error);
ratoon_status __wrap_ratoon_run_apply(ratoon_store *store, ratoon_id run, uint64_t epoch,
                                      ratoon_op *ops, size_t ops_count, ratoon_error *error);
ratoon_status __real_ratoon_run_create(ratoon_store *store, const ratoon_run_options *options,
                                       ratoon_created *out, ratoon_error *error);
ratoon_status __wrap_ratoon_run_create(ratoon_store *store, const ratoon_run_options *options,
                                       ratoon_created *out, ratoon_error *error);
ratoon_status __real_ratoon_retry_create(ratoon_store *store, const ratoon_retry_options *options,
                                         ratoon_created *out, ratoon_error *error);
ratoon_status __wrap_ratoon_retry_create(ratoon_store *store, const ratoon_retry_options *options,
                                         ratoon_created *out, ratoon_error *error);
ratoon_status __real_ratoon_run_start(ratoon_store *store, ratoon_id run,
                                      const ratoon_start_options *options, uint64_t *epoch,
                                      ratoon_error *error);
ratoon_status __wrap_ratoon_run_start(ratoon_store *store, ratoon_id run,
                                      const ratoon_start_options *options, uint64_t *epoch,
                                      ratoon_error *error);
ratoon_status __real_ratoon_run_cancel(ratoon_store *store, ratoon_id run, const char *reason,
                                       ratoon_run_status *status, ratoon_error *error);
ratoon_status __wrap_ratoon_run_cancel(ratoon_store *store, ratoon_id run, const char *reason,
                                       ratoon_run_status *status, ratoon_error *error);
ratoon_status __real_ratoon_run_get(ratoon_store *store, ratoon_id run, ratoon_run_info *out,
                                    ratoon_error *error);
ratoon_status __wrap_ratoon_run_get(ratoon_store *store, ratoon_id run, ratoon_run_info *out,
                                    ratoon_error *error);
ratoon_status __real_ratoon_feed_open(ratoon_store *store, uint64_t from, ratoon_feed **out,
                                      ratoon_error *error);
ratoon_status __wrap_ratoon_feed_open(ratoon_store *store, uint64_t from, ratoon_feed **out,
                                      ratoon_error *error);
ratoon_status __real_ratoon_feed_next(ratoon_feed *feed, uint32_t timeout_ms, ratoon_feed_item *out,
                                      ratoon_error *error);
ratoon_status __wrap_ratoon_feed_next(ratoon_feed *feed, uint32_t timeout_ms, ratoon_feed_item *out,
                                      ratoon_error *error);
void __real_ratoon_feed_close(ratoon_feed *feed);
void __wrap_ratoon_feed_close(ratoon_feed *feed);
void __real_ratoon_store_close(ratoon_store *store);
void __wrap_ratoon_store_close(ratoon_store *store);
int __real_runner__remove_tree(const char *path);
int __wrap_runner__remove_tree(const char *path);

static bool unseen(void)
{
    return sim_self() != NULL && sim_self()->dead;
}

/* Whether a request that got this answer may have been, or may still become, stored: the store
 * failed or could not be reached, and said so. */
static bool undecided(ratoon_status status)
{
    return status == RATOON_ERR_IO || status == RATOON_ERR_READ_ONLY ||
           status == RATOON_ERR_STORE_BUSY || status == RATOON_ERR_TIMED_OUT;
}

/* S07: what is served equals what is rebuilt. */
static void check_projection(ratoon_store *store, ratoon_id run)
{
    const log_run *r = sim_log_find(run);
    ratoon__lineage *served = NULL, *built = NULL;
    ratoon_error error;
    ratoon__buf what = {0};
    if (r == NULL || !sim_chance(60) ||
        ratoon__store_lineage(store, r->root, &served, &error) != RATOON_OK) {
        return;
    }
    built = ratoon__lineage_new(r->root);
    if (ratoon__store_fold_from(store, &built, served->head, &error) == RATOON_OK &&
        built->head == served->head && !ratoon__lineage_equal(served, built, &what)) {
        sim_fail("S07", "the projection of %s that is served differs from the rebuilt one: %s",
                 sim_id(r->root), what.data);
    }
    ratoon__buf_free(&what);
    ratoon__lineage_unref(served);
    ratoon__lineage_unref(built);
}

static void told_ops(ratoon_id run, const ratoon_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const ratoon_op *op = &ops[i];
        if (op->kind == RATOON_OP_STAGE_START) {
            sim_log_told_start(run, op->stage, op->attempt_out);
        } else if (op->kind == RATOON_OP_STAGE_END) {
            sim_log_told_end(run, op->stage, op->attempt);
        } else if (op->kind == RATOON_OP_FINISH) {
            sim_log_told_outcome(run, op->run_status_out);
        }
    }
}

ratoon_status __wrap_ratoon_run_apply(ratoon_store *store, ratoon_id run, uint64_t epoch,
                                      ratoon_op *ops, size_t ops_count, ratoon_error *error)
{
    if (sim_self() != NULL) {
        sim_self()->asked_ns = sim_now_ns;
    }
    ratoon_status status = __real_ratoon_run_apply(store, run, epoch, ops, ops_count, error);
    if (!unseen()) {
        sim_note("apply of %zu, first kind %d: %s", ops_count, (int)ops[0].kind,
                 ratoon_status_name(status));
        if (status == RATOON_OK) {
            told_ops(run, ops, ops_count);
            check_projection(store, run);
        }
    }
    return status;
}

static void told_created(const char *what, const char *reason, ratoon_status status,
                         const ratoon_created *out)
{
    if (unseen()) {
        return;
    }
    sim_note("%s: %s%s", what, status == RATOON_OK ? sim_id(out->run) : ratoon_status_name(status),
             status == RATOON_OK && out->repeated ? ", repeated" : "");
    if (status == RATOON_OK) {
        sim_log_told_run(out->run);
    } else if (!undecided(status) && reason != NULL) {
        sim_log_told_none(reason);
    }
}

ratoon_status __wrap_ratoon_run_create(ratoon_store *store, const ratoon_run_options *options,
                                       ratoon_created *out, ratoon_error *error)
{
    ratoon_status status = __real_ratoon_run_create(store, options, out, error);
    told_created("create", options->reason, status, out);
    return status;
}

ratoon_status __wrap_ratoon_retry_create(ratoon_store *store, const ratoon_retry_options *options,
                                         ratoon_created *out, ratoon_error *error)
{
    ratoon_status status = __real_ratoon_retry_create(store, options, out, error);
    told_created("retry", options->automatic ? NULL : options->reason, status, out);
    return status;
}

ratoon_status __wrap_ratoon_run_start(ratoon_store *store, ratoon_id run,
                                      const ratoon_start_options *options, uint64_t *epoch,
                                      ratoon_error *error)
{
    ratoon_status status = __real_ratoon_run_start(store, run, options, epoch, error);
    if (!unseen()) {
        sim_note("start of %s: %s", sim_id(run), ratoon_status_name(status));
        const log_run *r = sim_log_find(run);
        if (status == RATOON_OK && (r == NULL || (!r->deleted && r->epoch < *epoch))) {
            sim_fail("L11", "the start of %s was acknowledged and is not in the log", sim_id(run));
        }
    }
    return status;
}

ratoon_status __wrap_ratoon_run_cancel(ratoon_store *store, ratoon_id run, const char *reason,
                                       ratoon_run_status *status_out, ratoon_error *error)
{
    ratoon_status status = __real_ratoon_run_cancel(store, run, reason, status_out, error);
    if (!unseen()) {
        sim_note("cancel of %s: %s %s", sim_id(run), ratoon_status_name(status),
                 status == RATOON_OK ? ratoon_run_status_name(*status_out) : "");
        const log_run *r = sim_log_find(run);
        if (status == RATOON_OK && !r->deleted && r->status == RATOON_RUN_RUNNING) {
            sim_fail("E05", "run %s was cancelled and is running", sim_id(run));
        }
    }
    return status;
}

/* L11: what was in the log when the question was asked is in the answer. */
ratoon_status __wrap_ratoon_run_get(ratoon_store *store, ratoon_id run, ratoon_run_info *out,
                                    ratoon_error *error)
{
    const uint64_t head = sim_log_head(run);
    ratoon_status status = __real_ratoon_run_get(store, run, out, error);
    if (!unseen() && status == RATOON_OK && out->head < head) {
        sim_fail("L11", "a query of %s sees commit %llu; %llu was there", sim_id(run),
                 (unsigned long long)out->head, (unsigned long long)head);
    }
    if (!unseen() && status == RATOON_ERR_NOT_FOUND && sim_log_head(run) > 0 && head > 0) {
        sim_fail("L11", "a query does not find run %s", sim_id(run));
    }
    return status;
}

/* ---- the feed ---- */

typedef struct reader {
    struct reader *next;
    ratoon_feed *feed;
    uint64_t last;
} reader;
static reader *readers;

ratoon_status __wrap_ratoon_feed_open(ratoon_store *store, uint64_t from, ratoon_feed **out,
                                      ratoon_error *error)
{
    ratoon_status status = __real_ratoon_feed_open(store, from, out, error);
    if (status == RATOON_OK) {
        reader *r = calloc(1, sizeof *r);
        *r = (reader){.next = readers, .feed = *out, .last = from - 1};
        readers = r;
    }
    return status;
}

ratoon_status __wrap_ratoon_feed_next(ratoon_feed *feed, uint32_t timeout_ms, ratoon_feed_item *out,
                                      ratoon_error *error)
{
    ratoon_status status = __real_ratoon_feed_next(feed, timeout_ms, out, error);
    for (reader *r = readers; r != NULL && status == RATOON_OK && !unseen(); r = r->next) {
        if (r->feed == feed) {
            sim_log_check_feed(r->last, out->position, out->lineage, out->commit);
            r->last = out->position;
        }
    }
    return status;
}

void __wrap_ratoon_feed_close(ratoon_feed *feed)
{
    for (reader **at = &readers; *at != NULL; at = &(*at)->next) {
        if ((*at)->feed == feed) {
            reader *r = *at;
            *at = r->next;
            free(r);
            break;
        }
    }
    __real_ratoon_feed_close(feed);
}

/* ---- the end of a handle; what a killed process can't do any more ---- */

void __wrap_ratoon_store_close(ratoon_store *store)
{
    sim_self()->closing = true;
    __real_ratoon_store_close(store);
    sim_self()->closing = false;
}

int __wrap_runner__remove_tree(const char *path)
{
    return unseen() ? 0 : __real_runner__remove_tree(path);
}

/* ---- in the place of live.c and signals.c ---- */

live *live_open(const app *a, ratoon_id run)
{
    (void)a;
    (void)run;
    return NULL;
}

void live_event(void *ctx, const struct runner_event *event)
{
    (void)ctx;
    if (event->kind != RUNNER_TICK && !unseen()) {
        sim_note("runner: event %d %s %s %u %s %s, %llu ms", (int)event->kind,
                 event->stage != NULL ? event->stage : "", event->item != NULL ? event->item : "",
                 event->attempt, event->status != 0 ? ratoon_stage_status_name(event->status) : "",
                 ratoon_class_name(event->error_class), (unsigned long long)event->delay_ms);
    }
}

void live_close(live *l)
{
    (void)l;
}

void signals_catch(void)
{
    sim_self()->catches = true;
}

int signals_caught(void)
{
    return sim_self()->caught;
}

void signals_no_sigpipe(void)
{
}

bool output_alive(void)
{
    return true;
}
