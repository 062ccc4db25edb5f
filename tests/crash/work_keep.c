/* What a worker does besides runs: deletes, prunes, copies, lists, reads the feed. */
#include "tests/crash/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void crash_delete(crash_worker *w)
{
    if (w->own_count == 0) {
        return;
    }
    const ratoon_id run = w->own[support_prng_below(&w->prng, w->own_count)];
    ratoon_run_info info;
    ratoon_deleted deleted;
    ratoon_freed freed;
    ratoon_error error;
    if (ratoon_run_get(w->store, run, &info, &error) != RATOON_OK) {
        return; /* deleted already */
    }
    const uint64_t token = crash_token(w);
    crash_intent(w, CRASH_DELETE, token, info.root);
    const ratoon_status status =
        ratoon_lineage_delete(w->store, run, true, &deleted, &freed, &error);
    (void)crash_answer(w, CRASH_DELETE, token, info.root, status, &error,
                       CRASH_MAY(RUN_ACTIVE) | CRASH_MAY(NOT_FOUND));
}

void crash_prune(crash_worker *w)
{
    ratoon_prune_options options = RATOON_PRUNE_OPTIONS_INIT;
    ratoon_deleted *deleted = NULL;
    size_t count = 0;
    ratoon_freed freed;
    ratoon_error error;
    const uint64_t token = crash_token(w);
    const ratoon_id none = {{0}};
    options.before = w->began_us;
    crash_intent(w, CRASH_PRUNE, token, none);
    const ratoon_status status = ratoon_prune(w->store, &options, &deleted, &count, &freed, &error);
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        crash_say(w->work, &(crash_record){.said = CRASH_PRUNED, .root = deleted[i].root});
    }
    (void)crash_answer(w, CRASH_PRUNE, token, none, status, &error, 0);
    free(deleted);
}

/* So that what is half removed has another name. */
static void put_away(const crash_worker *w, const char *path)
{
    char gone[4096];
    snprintf(gone, sizeof gone, "%s.gone", path);
    support_remove(gone);
    if (rename(path, gone) == 0) {
        support_remove(gone);
    } else if (access(path, F_OK) == 0) {
        crash_wrong(w->work, "%s can't be put away", path);
    }
}

void crash_backup(crash_worker *w)
{
    char *backup = support_path_join(w->work->folder, "backup");
    char *restored = support_path_join(w->work->folder, "restored");
    uint64_t end = 0;
    ratoon_error error;
    if (ratoon_feed_end(w->store, &end, &error) != RATOON_OK) {
        crash_wrong(w->work, "the feed's end: %s", error.message);
    }
    crash_record r = {.said = CRASH_INTENT, .kind = CRASH_BACKUP, .position = end};
    crash_say(w->work, &r);
    ratoon_status status = ratoon_store_backup(w->store, backup, &error);
    if (status != RATOON_OK) {
        crash_wrong(w->work, "backup: %s: %s", ratoon_status_name(status), error.message);
    }
    r.said = CRASH_ACKED;
    crash_say(w->work, &r);
    status = ratoon_store_restore(backup, restored, &error);
    if (status != RATOON_OK) {
        crash_wrong(w->work, "restore: %s: %s", ratoon_status_name(status), error.message);
    }
    r.said = CRASH_REFUSED;
    crash_say(w->work, &r);
    put_away(w, backup);
    put_away(w, restored);
    free(backup);
    free(restored);
}

/* Lists, which has derived rows written; a run that was acknowledged must be in them (L11). */
void crash_scan(crash_worker *w)
{
    static const ratoon_run_status statuses[] = {0, RATOON_RUN_RUNNING, RATOON_RUN_SUCCEEDED,
                                                 RATOON_RUN_FAILED, RATOON_RUN_SUSPENDED};
    ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *runs = NULL;
    size_t count = 0;
    ratoon_error error;
    options.status = statuses[support_prng_below(&w->prng, sizeof statuses / sizeof statuses[0])];
    options.pipeline = crash_one_in(w, 3) ? "plain" : NULL;
    options.since = w->began_us - 1000;
    const bool all = options.status == 0 && options.pipeline == NULL;
    const ratoon_id last = w->own_count > 0 ? w->own[w->own_count - 1] : (ratoon_id){{0}};
    if (ratoon_run_list(w->store, &options, &runs, &count, &error) != RATOON_OK) {
        crash_wrong(w->work, "listing: %s", error.message);
    }
    bool found = !all || w->own_count == 0 || w->work->scenario == CRASH_DELETES;
    for (size_t i = 0; i < count && !found; i++) {
        found = ratoon_id_equal(runs[i], last);
    }
    ratoon_run_info info = {.created_at = 0};
    if (!found && ratoon_run_get(w->store, last, &info, &error) == RATOON_OK &&
        info.created_at >= options.since) {
        crash_wrong(w->work, "L11: a run that has ended isn't listed");
    }
    free(runs);
}

void crash_read_feed(crash_worker *w)
{
    ratoon_feed *feed = NULL;
    ratoon_feed_item item;
    ratoon_error error;
    if (ratoon_feed_open(w->store, w->work->feed_from, &feed, &error) != RATOON_OK) {
        crash_wrong(w->work, "opening the feed: %s", error.message);
    }
    while (!atomic_load(&crash_work_over)) {
        const ratoon_status status = ratoon_feed_next(feed, 20, &item, &error);
        if (status == RATOON_OK) {
            crash_say(w->work, &(crash_record){.said = CRASH_SAW,
                                               .position = item.position,
                                               .commit = item.commit,
                                               .root = item.lineage});
        } else if (status != RATOON_ERR_TIMED_OUT) {
            crash_wrong(w->work, "the feed: %s: %s", ratoon_status_name(status), error.message);
        }
    }
    ratoon_feed_close(feed);
}
