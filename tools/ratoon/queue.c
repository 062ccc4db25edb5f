/* Runs queued behind one that has ended, which nobody waits for (R08). */
#include "tools/ratoon/execute.h"
#include "tools/ratoon/text.h"
#include "tools/runner/runner.h"

#include <stdlib.h>
#include <string.h>

/* The oldest such run of the lineage. */
static bool next_queued(const app *a, ratoon_id root, ratoon_id *out)
{
    ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *ids = NULL;
    size_t count = 0;
    bool found = false;
    options.status = RATOON_RUN_QUEUED;
    if (ratoon_run_list(a->store, &options, &ids, &count, NULL) != RATOON_OK) {
        return false;
    }
    for (size_t i = count; i-- > 0 && !found;) { /* the list begins with the newest */
        ratoon_run_info info;
        found = ratoon_run_get(a->store, ids[i], &info, NULL) == RATOON_OK && info.unattended &&
                ratoon_id_equal(info.root, root);
        *out = found ? ids[i] : *out;
    }
    free(ids);
    return found;
}

void execute_queued(app *a, ratoon_id run, uint32_t jobs)
{
    ratoon_run_info info;
    ratoon_id next = {0};
    if (ratoon_run_get(a->store, run, &info, NULL) != RATOON_OK) {
        return;
    }
    while (next_queued(a, info.root, &next)) {
        const ratoon_start_options options = RATOON_START_OPTIONS_INIT;
        runner_result result = {0};
        uint64_t epoch = 0;
        char id[RATOON_ID_TEXT];
        ratoon_error error = {0};
        ratoon_id_format(next, id);
        /* Not its turn, or another process was faster: then that one goes on from here. */
        if (ratoon_run_start(a->store, next, &options, &epoch, &error) != RATOON_OK) {
            return;
        }
        app_note(a, "run %s was queued behind this one: executing it", id);
        if (execute_chain(a, &next, epoch, jobs, &result) >= 0 || result.signal != 0) {
            return;
        }
        if (result.status != RATOON_RUN_SUCCEEDED) {
            app_warn(a, "the queued run %s is %s", id, ratoon_run_status_name(result.status));
        }
    }
}
