/* The preview of a retry, for people. */
#ifndef RATOON_TOOLS_PLAN_H
#define RATOON_TOOLS_PLAN_H

#include "tools/ratoon/command.h"
#include "tools/ratoon/doc.h"

/* Prints a plan, and the command line that does exactly that. */
void plan_print(const app *a, const args *in, const json_t *plan);

#endif
