/* Waiting for a run by the feed. */
#ifndef RATOON_TOOLS_FOLLOW_H
#define RATOON_TOOLS_FOLLOW_H

#include "tools/ratoon/app.h"

/* Waits until the run is no longer active, at most timeout_ms (UINT64_MAX: for ever), or until a
 * signal is caught. OK: *out is what it ended with; TIMED_OUT: the time is up, or a signal came.
 */
ratoon_status follow_run(const app *a, ratoon_id run, uint64_t timeout_ms, ratoon_run_status *out,
                         ratoon_error *error);
/* Waits until anything is appended to the store, at most timeout_ms. *position: from where to look,
 * moved on. */
ratoon_status follow_any(const app *a, uint64_t *position, uint32_t timeout_ms,
                         ratoon_error *error);
/* Exit code for a run's status; 0 while it is active. Warns of a degraded one. */
int status_exit_code(const app *a, const char *status);
uint64_t monotonic_ms(void);

#endif
