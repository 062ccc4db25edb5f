/* Requests in flight: changes that are submitted without waiting, and the callbacks that tell what
 * became of them. They go to the committer like all others (commit_queue.c). One thread a store,
 * made with the first queue, takes the committer's role where nobody waits who could, and calls
 * back for the queues that leave that to it.
 *
 * Order of locks: none is taken while another is held, but for those that making a commit ahead
 * takes (async_ahead.c). */
#include "log/async_ahead.h"
#include "log/futex.h"
#include "log/store_impl.h"
#include "log/thread.h"

#include <stdlib.h>

enum { RELEASE_EVERY = 32 }; /* callbacks between two looks at who waits for room */

/* One request. */
typedef struct flight {
    ratoon__request request; /* first: the committer knows nothing else */
    ratoon__apply apply;
    ratoon_done_fn done;
    void *ctx;
} flight;

typedef struct ratoon__async_service {
    ratoon_store *store;
    pthread_t thread;
    _Atomic uint32_t calls; /* what it is to do, below */
    pthread_mutex_t lock;   /* guards the lists */
    ratoon_async *all;
    ratoon_async *answered, **answered_last; /* those with answers for it to deliver */
} service;

enum { CALL_LEAD = 1, CALL_DELIVER = 2, CALL_STOP = 4, ASLEEP = 8 };

struct ratoon_async {
    ratoon_store *store;
    ratoon_async_options options;
    ratoon_async *next;          /* of all; under the service's lock */
    ratoon_async *answered_next; /* likewise */
    bool answered;               /* it is in that list; likewise */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint32_t waiting;   /* threads that wait for `changed`… */
    uint32_t crowded;   /* …for room, of those */
    uint32_t in_flight; /* submitted, and their callbacks have not returned */
    uint32_t telling;   /* others that are about to touch it without a request of its own */
    bool closing;
    ratoon__request *ready, **ready_last; /* answered, not called back */
    ratoon__request *spare;               /* flights to be used again */
    ratoon__tips tips;                    /* has a lock of its own */
};

/* The callback that this thread is in. */
static _Thread_local struct {
    ratoon_async *async;
    bool credit;     /* the place of the request that is called back for is not yet given away */
    bool in_service; /* it is the library's own thread */
} calling;

/* ---- the thread ---- */

static void call(service *v, uint32_t what)
{
    if ((atomic_fetch_or(&v->calls, what) & ASLEEP) != 0) {
        ratoon__futex_wake(&v->calls, 1);
    }
}

void ratoon__async_give_role(ratoon_store *s)
{
    call(s->service, CALL_LEAD);
}

/* Gives up what kept the queue from being freed; it may be gone afterwards. */
static void told(ratoon_async *a)
{
    pthread_mutex_lock(&a->lock);
    a->telling--;
    if (a->waiting > 0) {
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
}

static void deliver(service *v)
{
    for (;;) {
        pthread_mutex_lock(&v->lock);
        ratoon_async *a = v->answered;
        if (a != NULL) {
            v->answered = a->answered_next;
            v->answered_last = v->answered == NULL ? &v->answered : v->answered_last;
            a->answered = false;
        }
        pthread_mutex_unlock(&v->lock);
        if (a == NULL) {
            return;
        }
        (void)ratoon_async_dispatch(a);
        told(a);
    }
}

static void *serve(void *argument)
{
    service *v = argument;
    calling.in_service = true;
    for (;;) {
        const uint32_t calls = atomic_exchange(&v->calls, 0);
        if ((calls & CALL_DELIVER) != 0) { /* before the next group keeps them waiting */
            deliver(v);
        }
        if ((calls & CALL_LEAD) != 0) {
            ratoon__commit_lead(v->store);
        }
        if ((calls & CALL_STOP) != 0) {
            return NULL;
        }
        uint32_t none = 0;
        if (atomic_compare_exchange_strong(&v->calls, &none, ASLEEP)) {
            ratoon__futex_wait(&v->calls, ASLEEP, NULL);
        }
    }
}

/* The store's one, made where there is none. */
static ratoon_status service_of(ratoon_store *s, service **out, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    pthread_mutex_lock(&s->service_lock);
    if (s->service == NULL) {
        service *v = calloc(1, sizeof *v);
        if (v == NULL) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        } else {
            v->store = s;
            v->answered_last = &v->answered;
            pthread_mutex_init(&v->lock, NULL);
            s->service = v;
            const int problem = ratoon__thread_start(&v->thread, serve, v);
            if (problem != 0) {
                s->service = NULL;
                pthread_mutex_destroy(&v->lock);
                free(v);
                status = ratoon__fail(error, RATOON_ERR_IO, "can't start a thread");
                if (error != NULL) {
                    error->backend_code = problem;
                }
            }
        }
    }
    *out = s->service;
    pthread_mutex_unlock(&s->service_lock);
    return status;
}

/* ---- answers ---- */

bool ratoon__async_settled(ratoon_async *a, ratoon__request *first, ratoon__request *last)
{
    for (const ratoon__request *r = first; r != NULL; r = r->next) {
        ratoon__tip_answered(&a->tips, r);
    }
    pthread_mutex_lock(&a->lock);
    const bool tell = a->ready == NULL;
    *a->ready_last = first;
    a->ready_last = &last->next;
    if (tell) {
        a->telling++;
    }
    if (a->waiting > 0) {
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
    return tell;
}

void ratoon__async_tell(ratoon_async *a)
{
    if (a->options.notify != NULL) {
        a->options.notify(a->options.notify_ctx);
        told(a);
        return;
    }
    service *v = a->store->service;
    pthread_mutex_lock(&v->lock);
    const bool listed = a->answered;
    if (!listed) {
        a->answered = true;
        a->answered_next = NULL;
        *v->answered_last = a;
        v->answered_last = &a->answered_next;
    }
    pthread_mutex_unlock(&v->lock);
    if (listed) {
        told(a);
    } else {
        call(v, CALL_DELIVER);
    }
}

/* Gives back the places and memory of requests that were called back for. */
static void release(ratoon_async *a, ratoon__request **spare, uint32_t *places)
{
    pthread_mutex_lock(&a->lock);
    while (*spare != NULL) {
        ratoon__request *r = *spare;
        *spare = r->next;
        r->next = a->spare;
        a->spare = r;
    }
    a->in_flight -= *places;
    *places = 0;
    if (a->waiting > 0) {
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
}

/* Keeps a little of its memory for the next one. */
static void apply_reset(ratoon__apply *a)
{
    ratoon__arena_reset(&a->prepared);
    ratoon__arena_reset(&a->decided);
}

/* Calls back for one request; true where its place is free. */
static bool call_back(ratoon_async *a, flight *f)
{
    ratoon__request *r = &f->request;
    ratoon_error *error = r->error;
    ratoon_error small; /* there was no memory for it */
    if (r->status != RATOON_OK && error == NULL) {
        (void)ratoon__fail(&small, r->status, "%s", ratoon_status_text(r->status));
    }
    ratoon__lineage_unref(r->after);
    apply_reset(&f->apply);
    const ratoon_async *outer = calling.async;
    const bool outer_credit = calling.credit;
    calling.async = a;
    calling.credit = true;
    f->done(f->ctx, r->status, r->status == RATOON_OK ? NULL : error != NULL ? error : &small);
    const bool free_place = calling.credit;
    calling.async = (ratoon_async *)(uintptr_t)outer;
    calling.credit = outer_credit;
    free(error);
    return free_place;
}

size_t ratoon_async_dispatch(ratoon_async *async)
{
    if (calling.async == async) {
        return 0;
    }
    pthread_mutex_lock(&async->lock);
    ratoon__request *list = async->ready;
    async->ready = NULL;
    async->ready_last = &async->ready;
    pthread_mutex_unlock(&async->lock);
    ratoon__request *spare = NULL;
    uint32_t places = 0;
    size_t count = 0;
    while (list != NULL) {
        ratoon__request *r = list;
        list = r->next;
        places += call_back(async, (flight *)r) ? 1 : 0;
        r->next = spare;
        spare = r;
        if (++count % RELEASE_EVERY == 0) {
            release(async, &spare, &places);
        }
    }
    if (spare != NULL) {
        release(async, &spare, &places);
    }
    return count;
}

/* ---- submitting ---- */

static ratoon_status place_take(ratoon_async *a, flight **out, bool *credit, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    *credit = calling.async == a && calling.credit;
    pthread_mutex_lock(&a->lock);
    while (!*credit && !a->closing && a->in_flight >= a->options.in_flight_max) {
        if (!a->options.wait || calling.async != NULL) {
            pthread_mutex_unlock(&a->lock);
            (void)ratoon__fail(error, RATOON_ERR_QUEUE_FULL,
                               "%u requests are in flight, as many as this queue takes",
                               a->options.in_flight_max);
            ratoon__hint(error, "submit again once one of them was called back for");
            return RATOON_ERR_QUEUE_FULL;
        }
        a->waiting++;
        a->crowded++;
        pthread_cond_wait(&a->changed, &a->lock);
        a->crowded--;
        a->waiting--;
        if (a->closing) { /* who closes waits for this thread to be gone */
            pthread_cond_broadcast(&a->changed);
        }
    }
    ratoon__request *r = a->spare;
    if (a->closing) {
        status = ratoon__fail(error, RATOON_ERR_CLOSED, "the queue of requests is being closed");
    } else {
        a->spare = r != NULL ? r->next : NULL;
        a->in_flight += *credit ? 0 : 1;
    }
    pthread_mutex_unlock(&a->lock);
    if (status != RATOON_OK) {
        return status;
    }
    if (*credit) {
        calling.credit = false;
    }
    *out = r != NULL ? (flight *)r : calloc(1, sizeof **out);
    return RATOON_OK;
}

static void place_give_back(ratoon_async *a, flight *f, bool credit)
{
    uint32_t places = credit ? 0 : 1;
    ratoon__request *spare = f != NULL ? &f->request : NULL;
    if (spare != NULL) {
        spare->next = NULL;
    }
    if (credit) {
        calling.credit = true;
    }
    release(a, &spare, &places);
}

ratoon_status ratoon_async_apply(ratoon_async *async, ratoon_id run, uint64_t epoch, ratoon_op *ops,
                                 size_t ops_count, ratoon_done_fn done, void *ctx,
                                 ratoon_error *error)
{
    flight *f = NULL;
    bool credit = false;
    if (done == NULL) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "a submitted request needs a callback");
    }
    ratoon_status status = place_take(async, &f, &credit, error);
    if (status != RATOON_OK) {
        return status;
    }
    if (f == NULL) {
        place_give_back(async, f, credit);
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    f->request = (ratoon__request){.async = async};
    f->done = done;
    f->ctx = ctx;
    status = ratoon__apply_prepare(async->store, run, epoch, ops, ops_count, &f->apply, &f->request,
                                   error);
    if (status != RATOON_OK) {
        apply_reset(&f->apply);
        place_give_back(async, f, credit);
        return status;
    }
    ratoon_store *store = async->store; /* the queue may be gone once the request is pushed */
    ratoon__tips_make_ahead(store, &async->tips, &f->request);
    if (ratoon__commit_submit(store, &f->request)) {
        ratoon__async_give_role(store);
    }
    return RATOON_OK;
}

bool ratoon__async_waits_for_room(ratoon_async *a)
{
    pthread_mutex_lock(&a->lock);
    const bool waits = a->crowded > 0;
    pthread_mutex_unlock(&a->lock);
    return waits;
}

uint32_t ratoon__async_waiting(ratoon_async *a)
{
    pthread_mutex_lock(&a->lock);
    const uint32_t waiting = a->waiting;
    pthread_mutex_unlock(&a->lock);
    return waiting;
}

/* ---- opening and closing ---- */

ratoon_status ratoon_async_open(ratoon_store *store, const ratoon_async_options *options,
                                ratoon_async **out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    const ratoon_async_options defaults = RATOON_ASYNC_OPTIONS_INIT;
    ratoon_async_options o = options != NULL ? *options : defaults;
    if (o.struct_size != sizeof o) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "async options have size %U; this library expects %U, set by "
                            "RATOON_ASYNC_OPTIONS_INIT",
                            (uint64_t)o.struct_size, (uint64_t)sizeof o);
    }
    if (o.in_flight_max > RATOON_IN_FLIGHT_MAX) {
        return ratoon__fail(error, RATOON_ERR_USAGE, "in_flight_max is %u; at most %u are allowed",
                            o.in_flight_max, (uint32_t)RATOON_IN_FLIGHT_MAX);
    }
    if (o.in_flight_max == 0) {
        o.in_flight_max = RATOON_IN_FLIGHT_DEFAULT;
    }
    service *v = NULL;
    ratoon_status status = service_of(store, &v, error);
    if (status != RATOON_OK) {
        return status;
    }
    ratoon_async *a = calloc(1, sizeof *a);
    if (a == NULL) {
        return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    a->store = store;
    a->options = o;
    a->ready_last = &a->ready;
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->changed, NULL);
    ratoon__tips_init(&a->tips);
    pthread_mutex_lock(&v->lock);
    a->next = v->all;
    v->all = a;
    pthread_mutex_unlock(&v->lock);
    *out = a;
    return RATOON_OK;
}

/* Waits until nothing is in flight, calling back here where the caller is to dispatch. */
static void drain(ratoon_async *a, bool close)
{
    const bool dispatches = a->options.notify != NULL;
    pthread_mutex_lock(&a->lock);
    a->closing = a->closing || close;
    if (close && a->waiting > 0) {
        pthread_cond_broadcast(&a->changed); /* who waits for room is refused */
    }
    while (a->in_flight > 0 || (close && (a->telling > 0 || a->waiting > 0))) {
        if (dispatches && a->ready != NULL) {
            pthread_mutex_unlock(&a->lock);
            (void)ratoon_async_dispatch(a);
            pthread_mutex_lock(&a->lock);
            continue;
        }
        a->waiting++;
        pthread_cond_wait(&a->changed, &a->lock);
        a->waiting--;
    }
    if (a->waiting > 0) { /* who closes waits for this thread to be gone */
        pthread_cond_broadcast(&a->changed);
    }
    pthread_mutex_unlock(&a->lock);
}

static ratoon_status not_in_callback(const ratoon_async *a, const char *what, ratoon_error *error)
{
    if (calling.async == a || (calling.async != NULL && calling.in_service)) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "a callback can't %s: it would wait for itself", what);
    }
    return RATOON_OK;
}

ratoon_status ratoon__async_may_wait(const ratoon_store *s, ratoon_error *error)
{
    return calling.in_service && calling.async != NULL && calling.async->store == s
               ? ratoon__fail(error, RATOON_ERR_USAGE,
                              "a callback can't make a change and wait for it: it would wait for "
                              "itself; submit it")
               : RATOON_OK;
}

ratoon_status ratoon_async_drain(ratoon_async *async, ratoon_error *error)
{
    ratoon_status status = not_in_callback(async, "drain a queue", error);
    if (status == RATOON_OK) {
        drain(async, false);
    }
    return status;
}

static void async_free(ratoon_async *a)
{
    service *v = a->store->service;
    drain(a, true);
    pthread_mutex_lock(&v->lock);
    ratoon_async **at = &v->all;
    while (*at != a) {
        at = &(*at)->next;
    }
    *at = a->next;
    pthread_mutex_unlock(&v->lock);
    while (a->spare != NULL) {
        ratoon__request *r = a->spare;
        a->spare = r->next;
        ratoon__apply_free(&((flight *)r)->apply);
        free(r);
    }
    ratoon__tips_free(&a->tips);
    pthread_cond_destroy(&a->changed);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

ratoon_status ratoon_async_close(ratoon_async *async, ratoon_error *error)
{
    ratoon_status status =
        async != NULL ? not_in_callback(async, "close a queue", error) : RATOON_OK;
    if (status == RATOON_OK && async != NULL) {
        async_free(async);
    }
    return status;
}

void ratoon__async_close_all(ratoon_store *s)
{
    service *v = s->service;
    if (v == NULL) {
        return;
    }
    while (v->all != NULL) {
        async_free(v->all); /* NOLINT(clang-analyzer-unix.Malloc): it takes itself off the list */
    }
    call(v, CALL_STOP);
    pthread_join(v->thread, NULL);
    pthread_mutex_destroy(&v->lock);
    s->service = NULL;
    free(v);
}
