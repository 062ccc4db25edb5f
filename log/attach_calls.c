/* The driver operations of an attached store: each is passed to the present route, and repeated on
 * a new one when the owner went meanwhile. What a callback has already been given is not given
 * again: a call that is repeated begins behind it. */
#include "log/attach_route.h"
#include "log/folder.h"
#include "log/monotonic.h"

#include <string.h>

#define LOSSES_MAX 100 /* in one call: owners that come and go, or one that answers nonsense */

typedef struct call {
    ratoon__attached *attached;
    ratoon__route *route;
    uint64_t deadline_ms; /* for finding a new route; 0: counted from each loss */
    uint32_t losses;
} call;

static call call_begin(ratoon__driver *d)
{
    ratoon__attached *a = (ratoon__attached *)d;
    return (call){.attached = a, .route = ratoon__route_enter(a)};
}

static void call_end(call *c)
{
    ratoon__route_leave(c->route);
    c->route = NULL;
}

/* True where the owner went and there is a new route: call again. Otherwise the call has ended and
 * *status is its result. */
static bool call_again(call *c, ratoon_status *status, ratoon_error *error)
{
    ratoon__route *route = c->route;
    if (*status != RATOON_ERR_STORE_BUSY || route->owner ||
        !ratoon__socket_is_lost(route->driver)) {
        call_end(c);
        return false;
    }
    c->losses++;
    uint64_t deadline_ms = c->deadline_ms;
    if (deadline_ms == 0) {
        deadline_ms = ratoon__monotonic_ms() + c->attached->wait_ms;
    }
    ratoon_status renewed = c->losses > LOSSES_MAX
                                ? RATOON_ERR_STORE_BUSY
                                : ratoon__route_renew(c->attached, route, deadline_ms, error);
    call_end(c);
    if (renewed != RATOON_OK) {
        *status = renewed;
        return false;
    }
    c->route = ratoon__route_enter(c->attached);
    return true;
}

/* ---- reading, gone on with behind what was delivered ---- */

typedef struct commit_progress {
    ratoon__commit_fn fn;
    void *ctx;
    ratoon_id lineage;
    uint64_t number, position; /* of the last commit delivered; 0: none */
    bool stopped;
} commit_progress;

static bool pass_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    commit_progress *p = ctx;
    p->lineage = lineage;
    p->number = number;
    p->position = position;
    p->stopped = !p->fn(p->ctx, position, lineage, number, data, size);
    return !p->stopped;
}

static ratoon_status attached_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                                   bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                                   ratoon_error *error)
{
    commit_progress progress = {.fn = fn, .ctx = ctx};
    call c = call_begin(d);
    ratoon_status status;
    do {
        if (progress.number > 0) {
            lineage = progress.lineage;
            from = progress.number + 1;
        }
        status = c.route->driver->ops->read(c.route->driver, lineage, from, one_lineage, verify,
                                            pass_commit, &progress, error);
    } while (!progress.stopped && call_again(&c, &status, error));
    if (c.route != NULL) {
        call_end(&c);
    }
    return progress.stopped ? RATOON_OK : status;
}

/* A reader that waits is told TIMED_OUT in its own time, even while no owner is there, as long as
 * one may still be found. */
static ratoon_status attached_tail(ratoon__driver *d, uint64_t from, uint32_t timeout_ms,
                                   ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    commit_progress progress = {.fn = fn, .ctx = ctx};
    uint64_t end_ms = ratoon__monotonic_ms() + timeout_ms;
    call c = call_begin(d);
    c.deadline_ms = end_ms;
    ratoon_status status;
    do {
        uint64_t now = ratoon__monotonic_ms();
        uint32_t left = end_ms > now ? (uint32_t)(end_ms - now) : 0;
        status =
            c.route->driver->ops->tail(c.route->driver, from, left, pass_commit, &progress, error);
    } while (progress.position == 0 && call_again(&c, &status, error));
    if (c.route != NULL) {
        call_end(&c);
    }
    if (progress.position > 0) {
        return status == RATOON_ERR_STORE_BUSY ? RATOON_OK : status;
    }
    if (status == RATOON_ERR_STORE_BUSY) {
        uint64_t since = ratoon__route_lost_since(c.attached);
        if (since == 0 || ratoon__monotonic_ms() < since + c.attached->wait_ms) {
            return ratoon__fail(error, RATOON_ERR_TIMED_OUT, "no commit at position %U yet", from);
        }
    }
    return status;
}

typedef struct value_progress {
    ratoon__digest_fn fn;
    void *ctx;
    ratoon_digest last;
    bool any, stopped;
} value_progress;

static bool pass_value(void *ctx, const ratoon_digest *digest, const void *data, size_t size)
{
    value_progress *p = ctx;
    if (p->any && memcmp(digest->bytes, p->last.bytes, sizeof p->last.bytes) <= 0) {
        return true;
    }
    p->any = true;
    p->last = *digest;
    p->stopped = !p->fn(p->ctx, digest, data, size);
    return !p->stopped;
}

static ratoon_status attached_values_from(ratoon__driver *d, const ratoon_digest *from,
                                          ratoon__digest_fn fn, void *ctx, ratoon_error *error)
{
    value_progress progress = {.fn = fn, .ctx = ctx};
    call c = call_begin(d);
    ratoon_status status;
    do {
        ratoon__driver *inner = c.route->driver;
        const ratoon_digest *start = progress.any ? &progress.last : from;
        status = start != NULL && inner->ops->values_from != NULL
                     ? inner->ops->values_from(inner, start, pass_value, &progress, error)
                     : inner->ops->values(inner, pass_value, &progress, error);
    } while (!progress.stopped && call_again(&c, &status, error));
    if (c.route != NULL) {
        call_end(&c);
    }
    return progress.stopped ? RATOON_OK : status;
}

static ratoon_status attached_values(ratoon__driver *d, ratoon__digest_fn fn, void *ctx,
                                     ratoon_error *error)
{
    return attached_values_from(d, NULL, fn, ctx, error);
}

typedef struct head_progress {
    ratoon__head_fn fn;
    void *ctx;
    ratoon_id last;
    bool stopped;
} head_progress;

static bool pass_head(void *ctx, ratoon_id lineage, uint64_t number, const ratoon_digest *digest)
{
    head_progress *p = ctx;
    p->last = lineage;
    p->stopped = !p->fn(p->ctx, lineage, number, digest);
    return !p->stopped;
}

static ratoon_status attached_heads(ratoon__driver *d, ratoon_id after, uint64_t before,
                                    ratoon__head_fn fn, void *ctx, ratoon_error *error)
{
    head_progress progress = {.fn = fn, .ctx = ctx, .last = after};
    call c = call_begin(d);
    ratoon_status status;
    do {
        status = c.route->driver->ops->heads(c.route->driver, progress.last, before, pass_head,
                                             &progress, error);
    } while (!progress.stopped && call_again(&c, &status, error));
    if (c.route != NULL) {
        call_end(&c);
    }
    return progress.stopped ? RATOON_OK : status;
}

/* ---- appending ---- */

typedef struct look_up {
    const ratoon__append *append;
    uint64_t position;
} look_up;

static bool compare_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                           const void *data, size_t size)
{
    look_up *l = ctx;
    const ratoon__append *a = l->append;
    /* The same bytes: the commit's id is among them, and a log keeps bytes as they were given. */
    if (number == a->number && ratoon_id_equal(lineage, a->lineage) && size == a->size &&
        memcmp(data, a->data, size) == 0) {
        l->position = position;
    }
    return false;
}

/* Whether an append whose answer was lost, or may have been, is in the log. */
static ratoon_status find_append(ratoon__driver *d, ratoon__append *a, bool *found,
                                 ratoon_error *error)
{
    look_up l = {.append = a};
    ratoon_status status =
        d->ops->read(d, a->lineage, a->number, true, false, compare_commit, &l, error);
    *found = status == RATOON_OK && l.position > 0;
    if (*found) {
        a->status = RATOON_OK;
        a->position = l.position;
    }
    return status;
}

/* Sends appends [first, end) again. One that is refused because of itself (the first request was
 * still on its way when it was looked up) has been stored. */
static ratoon_status append_again(ratoon__driver *d, call *c, ratoon__append *appends, size_t count,
                                  bool sync, ratoon_error *error)
{
    ratoon_status status =
        c->route->driver->ops->append(c->route->driver, appends, count, sync, error);
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        bool found;
        if (appends[i].status == RATOON_ERR_CONFLICT || appends[i].status == RATOON_ERR_CLAIMED) {
            status = find_append(d, &appends[i], &found, error);
        }
    }
    return status;
}

/* After a loss: looks each append up and sends those that aren't there, neighbours together. One
 * that rests on another that was refused meanwhile is not sent. */
static ratoon_status append_rest(ratoon__driver *d, call *c, ratoon__append *appends, size_t count,
                                 bool sync, ratoon_error *error)
{
    size_t first = 0; /* of those found missing and not yet sent */
    for (size_t i = 0; i <= count; i++) {
        bool here = true; /* nothing to be sent */
        ratoon_status status = RATOON_OK;
        if (i < count) {
            status = find_append(d, &appends[i], &here, error);
        }
        if (status == RATOON_OK && !here) {
            here = ratoon__append_rests_on_refused(appends, i);
            appends[i].status = here ? RATOON_ERR_CONFLICT : RATOON_OK;
        }
        if (status == RATOON_OK && here && first < i) {
            status = append_again(d, c, appends + first, i - first, sync, error);
        }
        if (status != RATOON_OK) {
            return status;
        }
        if (here) {
            first = i + 1;
        }
    }
    return RATOON_OK;
}

static ratoon_status attached_append(ratoon__driver *d, ratoon__append *appends, size_t count,
                                     bool sync, ratoon_error *error)
{
    call c = call_begin(d);
    ratoon_status status;
    do {
        status = c.losses > 0
                     ? append_rest(d, &c, appends, count, sync, error)
                     : c.route->driver->ops->append(c.route->driver, appends, count, sync, error);
    } while (call_again(&c, &status, error));
    if (c.losses > 0 && status == RATOON_ERR_STORE_BUSY) {
        ratoon__hint(error, "whether the change was stored is seen once the store can be reached");
    }
    return status;
}

/* ---- the rest: answered whole or not at all, so simply asked again ---- */

#define CALL(operation, ...)                                                                       \
    call c = call_begin(d);                                                                        \
    ratoon_status status;                                                                          \
    do {                                                                                           \
        status = c.route->driver->ops->operation(c.route->driver, __VA_ARGS__, error);             \
    } while (call_again(&c, &status, error));                                                      \
    return status

static ratoon_status attached_head(ratoon__driver *d, ratoon_id lineage, uint64_t *head,
                                   ratoon_error *error)
{
    CALL(head, lineage, head);
}

static ratoon_status attached_end(ratoon__driver *d, uint64_t *position, ratoon_error *error)
{
    CALL(end, position);
}

static ratoon_status attached_value_get(ratoon__driver *d, const ratoon_digest *digest,
                                        ratoon_buffer *out, ratoon_error *error)
{
    CALL(value_get, digest, out);
}

static ratoon_status attached_run_get(ratoon__driver *d, ratoon_id run, ratoon_id *root,
                                      ratoon_error *error)
{
    CALL(run_get, run, root);
}

/* The socket driver has the whole answer before it calls back. */
static ratoon_status attached_list(ratoon__driver *d, const ratoon__list_query *query,
                                   ratoon__row_fn fn, void *ctx, ratoon_error *error)
{
    CALL(list, query, fn, ctx);
}

static ratoon_status attached_claim_get(ratoon__driver *d, const char *name, ratoon_id *holder,
                                        ratoon_error *error)
{
    CALL(claim_get, name, holder);
}

static ratoon_status attached_claims(ratoon__driver *d, const char *prefix, const char *after,
                                     ratoon__claim_fn fn, void *ctx, ratoon_error *error)
{
    CALL(claims, prefix, after, fn, ctx);
}

static ratoon_status attached_snapshot_get(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                           uint64_t *at, ratoon_buffer *out, ratoon_error *error)
{
    CALL(snapshot_get, lineage, number, at, out);
}

static ratoon_status attached_snapshot_put(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                           const void *data, size_t size, ratoon_error *error)
{
    CALL(snapshot_put, lineage, number, data, size);
}

/* Only a store of one's own has these, and its owner doesn't go. */
#define CALL_OWN(operation, ...)                                                                   \
    call c = call_begin(d);                                                                        \
    const ratoon__driver_ops *ops = c.route->driver->ops;                                          \
    const ratoon_status status = ops->operation == NULL                                            \
                                     ? RATOON_ERR_UNSUPPORTED                                      \
                                     : ops->operation(c.route->driver, __VA_ARGS__, error);        \
    call_end(&c);                                                                                  \
    return status

static ratoon_status attached_places(ratoon__driver *d, uint64_t from, ratoon__place_fn fn,
                                     void *ctx, ratoon_error *error)
{
    CALL_OWN(places, from, fn, ctx);
}

static ratoon_status attached_read_ranges(ratoon__driver *d, ratoon_id lineage,
                                          ratoon__range_fn next, ratoon__commit_fn fn, void *ctx,
                                          ratoon_error *error)
{
    CALL_OWN(read_ranges, lineage, next, fn, ctx);
}

static ratoon_status attached_rows(ratoon__driver *d, ratoon__row_fn fn, void *ctx, bool *indexed,
                                   ratoon_error *error)
{
    CALL_OWN(rows, fn, ctx, indexed);
}

static ratoon_status attached_snapshots(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                        ratoon__snapshot_fn fn, void *ctx, ratoon_error *error)
{
    CALL_OWN(snapshots, lineage, number, fn, ctx);
}

/* Sweeping again what was swept changes nothing; only what it counts is lost with the answer. */
static ratoon_status attached_sweep(ratoon__driver *d, const ratoon_digest *digests,
                                    size_t digests_count, uint64_t end, uint64_t *count,
                                    uint64_t *bytes, ratoon_error *error)
{
    CALL(sweep, digests, digests_count, end, count, bytes);
}

static ratoon_status attached_checkpoint(ratoon__driver *d, const char *path, uint64_t *position,
                                         ratoon_error *error)
{
    call c = call_begin(d);
    ratoon_status status;
    do {
        if (c.losses > 0) {
            ratoon__tree_remove(path); /* what the owner that went had begun */
        }
        status = c.route->driver->ops->checkpoint(c.route->driver, path, position, error);
    } while (call_again(&c, &status, error));
    return status;
}

const ratoon__driver_ops ratoon__attached_ops = {
    .name = "attached",
    .append = attached_append,
    .head = attached_head,
    .heads = attached_heads,
    .read = attached_read,
    .read_ranges = attached_read_ranges,
    .tail = attached_tail,
    .end = attached_end,
    .value_get = attached_value_get,
    .values = attached_values,
    .values_from = attached_values_from,
    .run_get = attached_run_get,
    .list = attached_list,
    .claim_get = attached_claim_get,
    .claims = attached_claims,
    .snapshot_get = attached_snapshot_get,
    .snapshot_put = attached_snapshot_put,
    .places = attached_places,
    .rows = attached_rows,
    .snapshots = attached_snapshots,
    .sweep = attached_sweep,
    .checkpoint = attached_checkpoint,
    .close = ratoon__attached_close,
};
