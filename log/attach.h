/* A driver that owns the store or reaches its owner, and goes on when the owner goes. */
#ifndef RATOON_LOG_ATTACH_H
#define RATOON_LOG_ATTACH_H

#include "log/driver.h"

typedef struct ratoon__attach_hooks {
    /* This process became the owner: called once each time, before any other request is served
     * (also at the first opening), to bring derived rows up to date and make up for crashes (L08).
     */
    ratoon_status (*on_owner)(void *ctx, ratoon__driver *owned, ratoon_error *error);
    /* As owner: a client has gone (its executor's lock may be free now). In the server's thread. */
    void (*on_disconnect)(void *ctx, ratoon__driver *owned);
    void *ctx;
} ratoon__attach_hooks;

/* Opens the store at `path`: as owner where nobody has it (then it is served to others, unless
 * no_serve), else through the owner's socket. Waits up to wait_ms for an owner that neither serves
 * nor goes; STORE_BUSY names its process. When the owner goes meanwhile, the next call takes the
 * store over or finds the new owner; an append whose answer was lost is looked up by the commit's
 * id before it is sent again, so that a caller never hears "maybe". */
ratoon_status ratoon__attach(const char *path, const ratoon__driver_options *options, bool no_serve,
                             uint32_t wait_ms, const ratoon__attach_hooks *hooks,
                             ratoon__driver **out, ratoon_error *error);
bool ratoon__attach_is_owner(const ratoon__driver *d);

/* Executor locks (L08): one file per executor in STORE/executors, flock held for life,
 * close-on-exec. */
ratoon_status ratoon__executor_lock(const char *store_path, ratoon_id executor, int *fd,
                                    ratoon_error *error);
void ratoon__executor_unlock(const char *store_path, ratoon_id executor, int fd); /* removes it */
/* True where the executor's lock can be taken or its file is gone. */
bool ratoon__executor_is_gone(const char *store_path, ratoon_id executor);
/* Removes the files of locks that nobody holds: of executors that died when they executed nothing,
 * whom nobody looks for. */
void ratoon__executors_sweep(const char *store_path);
#endif
