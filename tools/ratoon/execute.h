/* Executing runs: with a live display, the chain of automatic retries, and the report at the end.
 */
#ifndef RATOON_TOOLS_EXECUTE_H
#define RATOON_TOOLS_EXECUTE_H

#include "tools/ratoon/app.h"

/* Executes a run that was started with this epoch, then its automatic retries; prints the last run
 * of the chain and gives its exit code. */
int execute_run(app *a, ratoon_id run, uint64_t epoch, uint32_t jobs);
/* Waits until a queued run may start, starts it and executes it. */
int execute_when_free(app *a, ratoon_id run, const char *until, uint32_t jobs);
/* Executes a run and its automatic retries; *run becomes the last of them. Gives an exit code after
 * reporting an error, else -1. */
struct runner_result;
int execute_chain(app *a, ratoon_id *run, uint64_t epoch, uint32_t jobs,
                  struct runner_result *result);
/* Prints a run that was not executed now, and gives the exit code of its status. */
int execute_report(const app *a, ratoon_id id, int signal);
/* Starts a suspended or queued run and executes it. */
int execute_start(app *a, ratoon_id run, const ratoon_start_options *options, uint32_t jobs);

/* ---- chain.c (A05) ---- */

/* After a run that failed: creates the automatic retry that is due. False: none is. */
bool chain_next(app *a, ratoon_id id, ratoon_created *next);

/* ---- queue.c (R08) ---- */

/* After a run has ended: executes runs of its lineage that were queued behind it and that nobody
 * waits for. Their failure is a warning. */
void execute_queued(app *a, ratoon_id run, uint32_t jobs);

/* ---- cascade.c (R22) ---- */

/* Creates and executes the branches of stale consumers. Their failure is a warning. */
void execute_cascades(app *a, uint32_t jobs);

/* ---- live.c ---- */
struct runner_event;
typedef struct live live;
live *live_open(const app *a, ratoon_id run);
void live_event(void *ctx, const struct runner_event *event);
void live_close(live *l);

#endif
