/* A run, for people. */
#ifndef RATOON_TOOLS_SHOW_H
#define RATOON_TOOLS_SHOW_H

#include "tools/ratoon/doc.h"

/* Prints the run's document, as text or JSON. Gives an exit code: EXIT_DONE if it worked. */
int show_run(const app *a, ratoon_id id);
/* Prints the short form that `run`, `resume` and `retry` end with. */
void show_summary(const app *a, const json_t *run);
/* Time that a run or stage took, or has taken by now; 0: it hasn't started. */
uint64_t show_elapsed(const app *a, const json_t *timed);

#endif
