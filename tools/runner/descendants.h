/* All processes below this one. */
#ifndef RATOON_TOOLS_RUNNER_DESCENDANTS_H
#define RATOON_TOOLS_RUNNER_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Sends the signal to every descendant found; those that fork meanwhile need another call. */
void runner__descendants_signal(int signal_number);

/* Kills the children but those in `keep`; true where there were any. Theirs come to this process
 * then, if it is a child subreaper, and need another call. */
bool runner__children_kill(const pid_t *keep, size_t keep_count);

#endif
