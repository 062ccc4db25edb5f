/* Attaching to a store: as its owner where nobody has it, else through the owner's socket; and
 * again when the owner goes. */
#include "log/attach.h"

#include "log/attach_route.h"
#include "log/monotonic.h"
#include "log/socket_client.h"
#include "log/store_holder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MS_MIN 1
#define PAUSE_MS_MAX 20
#define ANSWER_MS_MIN 50 /* even an impatient caller gives an owner that long to say hello */

static void route_close(ratoon__route *route)
{
    /* The server first, so that nothing is begun that won't be answered; then the store is free. */
    if (route->server != NULL) {
        ratoon__server_stop(route->server);
    }
    route->driver->ops->close(route->driver);
    free(route);
}

static void client_is_gone(void *ctx)
{
    ratoon__route *route = ctx;
    const ratoon__attach_hooks *hooks = &route->attached->hooks;
    if (hooks->on_disconnect != NULL) {
        hooks->on_disconnect(hooks->ctx, route->driver);
    }
}

static ratoon_status become_owner(ratoon__attached *a, ratoon__route *route, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    if (a->hooks.on_owner != NULL) {
        status = a->hooks.on_owner(a->hooks.ctx, route->driver, error);
    }
    if (status == RATOON_OK && !a->no_serve) {
        status = ratoon__server_start(route->driver, a->path, client_is_gone, route, &route->server,
                                      error);
    }
    return status;
}

/* One try. *again: nobody could be reached, but that may change. DAMAGED may come with a route that
 * can only be read; it isn't served, because its readers wouldn't hear of the damage. */
static ratoon_status route_open(ratoon__attached *a, uint32_t answer_ms, ratoon__route **out,
                                bool *again, ratoon_error *error)
{
    *again = false;
    ratoon__route *route = calloc(1, sizeof *route);
    if (route == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory attaching to %s", a->path);
    }
    route->attached = a;
    route->users = 1;

    /* The socket first: an owner removes it before it gives the store back, and asking costs the
     * owner less than an attempt to open the store beside it. */
    ratoon_status status = ratoon__socket_connect(a->path, answer_ms, &route->driver, error);
    if (status != RATOON_OK && status != RATOON_ERR_UNSUPPORTED) {
        status = ratoon__rocksdb_open(a->path, &a->options, &route->driver, error);
        route->owner = route->driver != NULL;
        *again = status == RATOON_ERR_STORE_BUSY;
    }
    if (route->owner && status == RATOON_OK) {
        status = become_owner(a, route, error);
        if (status != RATOON_OK) {
            route_close(route);
            return status;
        }
    }
    if (route->driver == NULL) {
        free(route);
        return status;
    }
    *out = route;
    return status;
}

static uint32_t left_ms(uint64_t deadline_ms)
{
    uint64_t now = ratoon__monotonic_ms();
    uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
    return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}

/* Tries until something but "busy" comes out, or the time is up. */
static ratoon_status route_find(ratoon__attached *a, uint64_t deadline_ms, ratoon__route **out,
                                ratoon_error *error)
{
    uint64_t start_ms = ratoon__monotonic_ms();
    for (uint32_t pause_ms = PAUSE_MS_MIN;; pause_ms *= 2) {
        bool again;
        uint32_t left = left_ms(deadline_ms);
        ratoon_status status =
            route_open(a, left > ANSWER_MS_MIN ? left : ANSWER_MS_MIN, out, &again, error);
        if (!again) {
            return status;
        }
        left = left_ms(deadline_ms);
        if (left == 0) {
            return ratoon__store_holder_fail(a->path, (uint32_t)(ratoon__monotonic_ms() - start_ms),
                                             error);
        }
        pause_ms = pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX;
        ratoon__sleep_ms(pause_ms < left ? pause_ms : left);
    }
}

ratoon__route *ratoon__route_enter(ratoon__attached *a)
{
    pthread_mutex_lock(&a->lock);
    ratoon__route *route = a->route;
    atomic_fetch_add_explicit(&route->users, 1, memory_order_relaxed);
    pthread_mutex_unlock(&a->lock);
    return route;
}

void ratoon__route_leave(ratoon__route *route)
{
    if (atomic_fetch_sub(&route->users, 1) == 1) {
        route_close(route);
    }
}

uint64_t ratoon__route_lost_since(ratoon__attached *a)
{
    pthread_mutex_lock(&a->lock);
    uint64_t since = a->lost_since_ms;
    pthread_mutex_unlock(&a->lock);
    return since;
}

/* Waits for the thread that looks for a new route. Under lock. False: time is up. */
static bool wait_switched(ratoon__attached *a, uint64_t deadline_ms)
{
    const struct timespec until = {
        .tv_sec = (time_t)(deadline_ms / 1000),
        .tv_nsec = (long)(deadline_ms % 1000) * 1000000L,
    };
    return pthread_cond_timedwait(&a->switched, &a->lock, &until) != ETIMEDOUT;
}

ratoon_status ratoon__route_renew(ratoon__attached *a, ratoon__route *lost, uint64_t deadline_ms,
                                  ratoon_error *error)
{
    pthread_mutex_lock(&a->lock);
    if (a->route == lost && a->lost_since_ms == 0) {
        a->lost_since_ms = ratoon__monotonic_ms();
    }
    while (a->switching && a->route == lost) {
        if (!wait_switched(a, deadline_ms) && a->switching) {
            pthread_mutex_unlock(&a->lock);
            return ratoon__store_holder_fail(a->path, a->wait_ms, error);
        }
    }
    if (a->route != lost) {
        pthread_mutex_unlock(&a->lock);
        return RATOON_OK;
    }
    a->switching = true;
    pthread_mutex_unlock(&a->lock);

    ratoon__route *found = NULL;
    ratoon_status status = route_find(a, deadline_ms, &found, error);
    if (status != RATOON_OK && found != NULL) {
        route_close(found);
    }

    pthread_mutex_lock(&a->lock);
    a->switching = false;
    if (status == RATOON_OK) {
        a->route = found;
        a->lost_since_ms = 0;
        atomic_fetch_sub(&lost->users,
                         1); /* no longer the present one; our caller is still in it */
    }
    pthread_cond_broadcast(&a->switched);
    pthread_mutex_unlock(&a->lock);
    return status;
}

static void attached_free(ratoon__attached *a)
{
    pthread_cond_destroy(&a->switched);
    pthread_mutex_destroy(&a->lock);
    free(a->path);
    free(a);
}

void ratoon__attached_close(ratoon__driver *d)
{
    ratoon__attached *a = (ratoon__attached *)d;
    ratoon__route_leave(a->route);
    attached_free(a);
}

static ratoon__attached *attached_new(const char *path)
{
    ratoon__attached *a = calloc(1, sizeof *a);
    char *copy = strdup(path);
    if (a == NULL || copy == NULL) {
        free(copy);
        free(a);
        return NULL;
    }
    a->base.ops = &ratoon__attached_ops;
    a->path = copy;
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&a->switched, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return a;
}

ratoon_status ratoon__attach(const char *path, const ratoon__driver_options *options, bool no_serve,
                             uint32_t wait_ms, const ratoon__attach_hooks *hooks,
                             ratoon__driver **out, ratoon_error *error)
{
    ratoon__attached *a = attached_new(path);
    if (a == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory attaching to %s", path);
    }
    a->options = *options;
    a->no_serve = no_serve;
    a->wait_ms = wait_ms;
    if (hooks != NULL) {
        a->hooks = *hooks;
    }
    ratoon_status status = route_find(a, ratoon__monotonic_ms() + wait_ms, &a->route, error);
    if (a->route == NULL) {
        attached_free(a);
        return status;
    }
    *out = &a->base;
    return status;
}

bool ratoon__attach_is_owner(const ratoon__driver *d)
{
    ratoon__attached *a = (ratoon__attached *)(uintptr_t)d;
    pthread_mutex_lock(&a->lock);
    bool owner = a->route->owner;
    pthread_mutex_unlock(&a->lock);
    return owner;
}
