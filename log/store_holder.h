/* Which process holds a store, or a lock in it. */
#ifndef RATOON_LOG_STORE_HOLDER_H
#define RATOON_LOG_STORE_HOLDER_H

#include "core/mem.h"
#include <sys/stat.h>
#include <sys/types.h>

#define RATOON__PROCESS_NAME_SIZE 128

typedef struct ratoon__store_holder {
    pid_t pid;
    char name[RATOON__PROCESS_NAME_SIZE]; /* its command line, cut; "" where it can't be read */
} ratoon__store_holder;

/* The process that holds the lock of the store at `path`, which may be this one. False where nobody
 * does or it can't be found out (a process in another PID namespace). */
bool ratoon__store_holder_find(const char *path, ratoon__store_holder *out);
/* STORE_BUSY with the holder in the message and what to do as the hint. */
ratoon_status ratoon__store_holder_fail(const char *path, uint32_t waited_ms, ratoon_error *error);

/* The process that holds an exclusive lock on a file, 0 where there is none or it can't be told. */
pid_t ratoon__lock_holder(const struct stat *file);
/* It has ended, or is about to: what it still holds will fall in an instant. */
bool ratoon__process_is_ending(pid_t pid);

#endif
