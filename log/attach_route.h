/* Inside of ratoon__attach(): the present way to the store, and how it is replaced under calls that
 * are in progress. */
#ifndef RATOON_LOG_ATTACH_ROUTE_H
#define RATOON_LOG_ATTACH_ROUTE_H

#include "log/attach.h"
#include <pthread.h>
#include <stdatomic.h>

struct ratoon__attached;

/* A way to the store: as its owner, or through the owner's socket. Lives until it isn't the present
 * one any more and the last call on it has ended. */
typedef struct ratoon__route {
    ratoon__driver *driver;
    ratoon__server *server; /* NULL: not served */
    bool owner;
    /* Calls in progress, and one while it is the present one: so it grows under the lock only. */
    _Atomic uint32_t users;
    struct ratoon__attached *attached;
} ratoon__route;

typedef struct ratoon__attached {
    ratoon__driver base;
    char *path;
    ratoon__driver_options options;
    ratoon__attach_hooks hooks;
    bool no_serve;
    uint32_t wait_ms;

    pthread_mutex_t lock; /* guards what follows; never held during a call or while attaching */
    pthread_cond_t switched;
    bool switching; /* one thread looks for a new route */
    ratoon__route *route;
    uint64_t lost_since_ms; /* monotonic; 0: the route works as far as known */
} ratoon__attached;

extern const ratoon__driver_ops ratoon__attached_ops;

/* The present route, for one call; give it back with ratoon__route_leave(). */
ratoon__route *ratoon__route_enter(ratoon__attached *a);
void ratoon__route_leave(ratoon__route *route);
/* Replaces `lost`, which the caller has entered, unless another thread has done so. Gives up at
 * deadline_ms (monotonic) with STORE_BUSY, after at least one try. */
ratoon_status ratoon__route_renew(ratoon__attached *a, ratoon__route *lost, uint64_t deadline_ms,
                                  ratoon_error *error);
/* Since when no route has worked, 0 if one does. */
uint64_t ratoon__route_lost_since(ratoon__attached *a);
void ratoon__attached_close(ratoon__driver *d);

#endif
