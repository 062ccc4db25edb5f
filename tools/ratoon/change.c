/* `cancel` and `annotate`: changes to a run that need no executor. */
#include "tools/ratoon/command.h"
#include "tools/ratoon/follow.h"
#include "tools/ratoon/show.h"

/* Delivering a request to cancel takes as long as its stages take to stop. */
#define CANCEL_WAIT_MS 15000

int command_cancel(app *a, const args *in)
{
    ratoon_id run;
    ratoon_run_status status = 0;
    ratoon_error error = {0};
    int code = app_open_store_for_change(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code >= 0) {
        return code;
    }
    error.code = ratoon_run_cancel(a->store, run, args_get(in, "reason"), &status, &error);
    if (error.code != RATOON_OK) {
        return app_fail(a, &error);
    }
    if (ratoon_run_status_active(status)) {
        app_note(a, "the request is recorded; waiting for its stages to stop");
        signals_catch();
        error.code = follow_run(a, run, CANCEL_WAIT_MS, &status, &error);
        if (signals_caught() != 0) {
            return EXIT_INTERRUPTED;
        }
        if (error.code == RATOON_ERR_TIMED_OUT) {
            app_warn(a, "the run has not stopped yet; `ratoon wait` waits for it");
        } else if (error.code != RATOON_OK) {
            return app_fail(a, &error);
        } else if (status != RATOON_RUN_CANCELLED) {
            app_warn(a, "the run ended before it could be cancelled: %s",
                     ratoon_run_status_name(status));
        }
    }
    return show_run(a, run);
}

int command_annotate(app *a, const args *in)
{
    ratoon_id run;
    ratoon_error error = {0};
    int code = app_open_store_for_change(a);
    if (code < 0) {
        code = app_find_run(a, args_at(in, 0), &run);
    }
    if (code >= 0) {
        return code;
    }
    error.code = ratoon_run_annotate(a->store, run, args_at(in, 1), &error);
    return error.code == RATOON_OK ? show_run(a, run) : app_fail(a, &error);
}
