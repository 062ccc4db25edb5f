/* Threads of the library's own. */
#ifndef RATOON_LOG_THREAD_H
#define RATOON_LOG_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Whether this thread, and so one that it starts, may run on two processors or more. */
bool ratoon__two_processors(void);

/* As pthread_create(), with all signals blocked in the new thread: they are for the threads of the
 * program. Gives 0, or an error number. */
int ratoon__thread_start(pthread_t *thread, void *(*fn)(void *), void *ctx);

#endif
