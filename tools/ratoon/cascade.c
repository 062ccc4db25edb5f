/* Cascades (R22): branches of runs that consumed a result of which a newer one was made. Every
 * command that has executed something makes up what is missing. */
#include "tools/ratoon/execute.h"
#include "tools/ratoon/text.h"
#include "tools/runner/runner.h"

#include <stdlib.h>
#include <string.h>

#define CASCADES_MAX 1000 /* by one command: consumers of consumers could go on for ever */

/* Creates the branch of the first stale consumer for which one is due. */
static bool next_cascade(app *a, ratoon_created *out, const char **stage)
{
    static char name[256];
    ratoon_stale *items = NULL;
    size_t count = 0;
    bool created = false;
    if (ratoon_stale_list(a->store, &items, &count, NULL) != RATOON_OK) {
        return false;
    }
    for (size_t i = 0; i < count && !created; i++) {
        ratoon_error error = {0};
        if (!items[i].cascade) {
            continue;
        }
        /* A refusal is shown by `stale`. */
        created = ratoon_cascade_create(a->store, &items[i], out, &error) == RATOON_OK &&
                  !out->repeated && out->epoch != 0;
        snprintf(name, sizeof name, "%s", items[i].stage);
        *stage = name;
    }
    free(items);
    return created;
}

void execute_cascades(app *a, uint32_t jobs)
{
    for (int n = 0; n < CASCADES_MAX; n++) {
        ratoon_created created = {0};
        runner_result result = {0};
        const char *stage = "";
        char id[RATOON_ID_TEXT];
        if (!next_cascade(a, &created, &stage)) {
            return;
        }
        ratoon_id_format(created.run, id);
        app_note(a, "cascade: run %s, because %s consumed a result that is now newer", id, stage);
        if (execute_chain(a, &created.run, created.epoch, jobs, &result) >= 0 ||
            result.signal != 0) {
            return;
        }
        if (result.status != RATOON_RUN_SUCCEEDED) {
            ratoon_id_format(created.run, id);
            app_warn(a, "the cascaded run %s is %s", id, ratoon_run_status_name(result.status));
        }
    }
}
