/* The executor's side of the spawner (supervise.h). */
#ifndef RATOON_TOOLS_RUNNER_SPAWNER_H
#define RATOON_TOOLS_RUNNER_SPAWNER_H

#include "tools/runner/process.h"

typedef struct runner__spawner runner__spawner;

/* Nothing is started before the first request. */
runner__spawner *runner__spawner_new(const char *self);
/* Has a supervisor forked that gets fds: standard output, standard error, control. They stay the
 * caller's. A spawner that was ended is started again. 0 or a negative errno. */
int runner__spawner_request(runner__spawner *spawner, const runner__process_spec *spec,
                            const int fds[3]);
void runner__spawner_free(runner__spawner *spawner); /* supervisors live on */

#endif
