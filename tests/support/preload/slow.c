/* Makes a thread late that looks at a disk's room while it holds the first lock that it took: it
 * waits before it takes that lock again. RocksDB's recovery from want of room is such a thread, and
 * what others do before it takes note of how it ended is what closing a store depended on. */
#include "tests/support/preload/slow.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Thread_local pthread_mutex_t *first;   /* the lock that was taken first */
static _Thread_local unsigned long taken;      /* locks so far */
static _Thread_local pthread_mutex_t *late_at; /* before this one is taken it waits */
static _Atomic unsigned delay_ms, waiting, looks;

void slow_set(unsigned ms)
{
    delay_ms = ms;
    looks = 0;
}

unsigned slow_waiting(void)
{
    return waiting;
}

unsigned slow_looks(void)
{
    return looks;
}

void slow_look(void)
{
    looks += gettid() != getpid();
    if (delay_ms != 0 && taken == 1) {
        late_at = first;
    }
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    static int (*real)(pthread_mutex_t *);
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "pthread_mutex_lock");
        memcpy(&real, &found, sizeof found);
    }
    const unsigned ms = delay_ms;
    if (ms != 0 && mutex == late_at) {
        const struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
        late_at = NULL;
        waiting++;
        (void)nanosleep(&wait, NULL);
        waiting--;
    }
    first = taken == 0 ? mutex : first;
    taken++;
    return real(mutex);
}
