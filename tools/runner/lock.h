/* The lock of a stage: held, shared, by the supervisors of its processes until the last descendant
 * of each is gone, so that no new attempt starts before (L08). */
#ifndef RATOON_TOOLS_RUNNER_LOCK_H
#define RATOON_TOOLS_RUNNER_LOCK_H

#include <ratoon.h>

/* STORE/locks/RUN.STAGE; the caller frees. */
char *runner__lock_path(const char *store_path, ratoon_id run, uint32_t stage);
/* Creates the file and takes the lock; waits for as long as it takes. -1 and errno. */
int runner__lock_shared(const char *path);
/* Whether nobody holds it. A file found free is removed: whoever opens it at that moment notices.
 */
bool runner__lock_free(const char *path);

#endif
