/* What can be done next with a run, as commands that can be copied; all from its document. */
#ifndef RATOON_TOOLS_NEXT_H
#define RATOON_TOOLS_NEXT_H

#include "tools/ratoon/doc.h"

/* "resume" or "retry": what goes on with the run; NULL: nothing does. */
const char *next_action(const json_t *run);
/* Writes the command for an action ("retry", "resume", "cancel"), with the stage it starts from and
 * the parameters suggested. */
void next_put(FILE *out, const app *a, const json_t *run, const char *action);
/* "runs draft, crossref; reuses ingest, extract": what that retry would do; NULL where it would be
 * refused. Free it. */
char *next_retry_effect(const app *a, const json_t *run);
/* "a, b, c and 5 more" of a list of names; free it. */
char *next_names(const json_t *names);

#endif
