/* libuv over virtual time: the part of its interface that the runner and the adapter use, with its
 * order of a turn (timers, idle, poll, check, closing). */
#include "tests/sim/sim.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

typedef enum kind { TIMER, CHECK, IDLE, SIGNAL, ASYNC } kind;

typedef struct handle {
    struct handle *next;
    uv_handle_t *uv;
    kind kind;
    bool active, closing, pending;
    void (*cb)(void);
    uv_close_cb on_close;
    uint64_t due_ms, repeat_ms, order;
    int number; /* of the signal */
} handle;

typedef struct posted {
    struct posted *next;
    void (*fn)(void *ctx);
    void *ctx;
} posted;

struct sim_loop {
    sim_loop *next;
    uv_loop_t *uv;
    sim_proc *proc;
    uint64_t now_ms, order;
    handle *handles;
    posted *queue, **last;
    int held;
};

static sim_loop *loops;

sim_loop *sim_loop_of(void *uv_loop)
{
    for (sim_loop *l = loops; l != NULL; l = l->next) {
        if (l->uv == uv_loop) {
            return l;
        }
    }
    sim_fail("simulation", "an event loop that was not initialised, or is closed");
}

static handle *find(const void *uv)
{
    for (sim_loop *l = loops; l != NULL; l = l->next) {
        for (handle *h = l->handles; h != NULL; h = h->next) {
            if ((const void *)h->uv == uv) {
                return h;
            }
        }
    }
    sim_fail("simulation", "a handle that was not initialised, or is closed");
}

static sim_loop *loop_of(const handle *of)
{
    for (sim_loop *l = loops; l != NULL; l = l->next) {
        for (const handle *h = l->handles; h != NULL; h = h->next) {
            if (h == of) {
                return l;
            }
        }
    }
    abort();
}

static handle *add(uv_loop_t *loop, void *uv, kind k)
{
    sim_loop *l = sim_loop_of(loop);
    handle *h = calloc(1, sizeof *h);
    h->uv = uv;
    h->kind = k;
    handle **end = &l->handles;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = h;
    return h;
}

void sim_loop_post(sim_loop *l, void (*fn)(void *ctx), void *ctx)
{
    posted *p = calloc(1, sizeof *p);
    p->fn = fn;
    p->ctx = ctx;
    *l->last = p;
    l->last = &p->next;
    sim_wake(l, ~0u);
}

void sim_loop_hold(sim_loop *l, int by)
{
    l->held += by;
}

bool sim_loop_signal(sim_proc *p, int number)
{
    bool taken = false;
    for (sim_loop *l = loops; l != NULL; l = l->next) {
        for (handle *h = l->handles; h != NULL && l->proc == p; h = h->next) {
            if (h->kind == SIGNAL && h->active && h->number == number) {
                h->pending = true;
                sim_wake(l, ~0u);
                taken = true;
            }
        }
    }
    return taken;
}

/* ---- the loop ---- */

static uint64_t clock_ms(void)
{
    return sim_clock_ns() / SIM_MS;
}

int uv_loop_init(uv_loop_t *loop)
{
    sim_loop *l = calloc(1, sizeof *l);
    l->uv = loop;
    l->proc = sim_self();
    l->last = &l->queue;
    l->now_ms = clock_ms();
    l->next = loops;
    loops = l;
    return 0;
}

int uv_loop_close(uv_loop_t *loop)
{
    sim_loop *l = sim_loop_of(loop);
    if (l->handles != NULL || l->held != 0) {
        return UV_EBUSY;
    }
    for (sim_loop **at = &loops; *at != NULL; at = &(*at)->next) {
        if (*at == l) {
            *at = l->next;
            break;
        }
    }
    free(l);
    return 0;
}

static bool alive(const sim_loop *l)
{
    bool any = l->held > 0;
    for (const handle *h = l->handles; h != NULL && !any; h = h->next) {
        any = h->active || h->closing;
    }
    return any;
}

static void run_timers(sim_loop *l)
{
    for (;;) {
        handle *first = NULL;
        for (handle *h = l->handles; h != NULL; h = h->next) {
            if (h->kind == TIMER && h->active && h->due_ms <= l->now_ms &&
                (first == NULL || h->due_ms < first->due_ms ||
                 (h->due_ms == first->due_ms && h->order < first->order))) {
                first = h;
            }
        }
        if (first == NULL) {
            return;
        }
        first->active = false;
        if (first->repeat_ms > 0) {
            first->active = true;
            first->due_ms = l->now_ms + first->repeat_ms;
            first->order = ++l->order;
        }
        ((uv_timer_cb)first->cb)((uv_timer_t *)first->uv);
    }
}

static void run_kind(sim_loop *l, kind k)
{
    for (handle *h = l->handles; h != NULL; h = h->next) {
        if (h->kind != k || !h->active) {
            continue;
        }
        if (k == IDLE) {
            ((uv_idle_cb)h->cb)((uv_idle_t *)h->uv);
        } else {
            ((uv_check_cb)h->cb)((uv_check_t *)h->uv);
        }
    }
}

static bool deliver(sim_loop *l)
{
    bool any = false;
    for (handle *h = l->handles; h != NULL; h = h->next) {
        if (!h->active || !h->pending) {
            continue;
        }
        h->pending = false;
        any = true;
        if (h->kind == SIGNAL) {
            ((uv_signal_cb)h->cb)((uv_signal_t *)h->uv, h->number);
        } else {
            ((uv_async_cb)h->cb)((uv_async_t *)h->uv);
        }
    }
    while (l->queue != NULL) {
        posted *p = l->queue;
        l->queue = p->next;
        if (l->queue == NULL) {
            l->last = &l->queue;
        }
        any = true;
        p->fn(p->ctx);
        free(p);
    }
    return any;
}

static bool waits_for_nothing(const sim_loop *l, uint64_t *next_ms)
{
    bool busy = l->queue != NULL;
    *next_ms = UINT64_MAX;
    for (const handle *h = l->handles; h != NULL; h = h->next) {
        busy = busy || h->closing || h->pending || (h->kind == IDLE && h->active);
        if (h->kind == TIMER && h->active && h->due_ms < *next_ms) {
            *next_ms = h->due_ms;
        }
    }
    return busy;
}

static void poll_events(sim_loop *l)
{
    uint64_t next_ms;
    if (waits_for_nothing(l, &next_ms)) {
        sim_yield();
    } else if (next_ms > clock_ms()) {
        (void)sim_wait(l, next_ms == UINT64_MAX ? SIM_NEVER : next_ms * SIM_MS);
    }
    if (l->proc != NULL && l->proc->dead) {
        (void)sim_loop_signal(l->proc, 15); /* so that it comes to an end, unseen */
    }
    l->now_ms = clock_ms();
    (void)deliver(l);
}

static void run_closing(sim_loop *l)
{
    for (handle **at = &l->handles; *at != NULL;) {
        handle *h = *at;
        if (!h->closing) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        if (h->on_close != NULL) {
            h->on_close(h->uv);
        }
        free(h);
        at = &l->handles;
    }
}

int uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    sim_loop *l = sim_loop_of(loop);
    (void)mode;
    while (alive(l)) {
        l->now_ms = clock_ms();
        run_timers(l);
        run_kind(l, IDLE);
        poll_events(l);
        run_kind(l, CHECK);
        run_closing(l);
    }
    return 0;
}

void uv_update_time(uv_loop_t *loop)
{
    sim_loop_of(loop)->now_ms = clock_ms();
}

uint64_t uv_now(const uv_loop_t *loop)
{
    return sim_loop_of((void *)(uintptr_t)loop)->now_ms;
}

uint64_t uv_hrtime(void)
{
    return sim_clock_ns();
}

const char *uv_strerror(int error)
{
    return error == UV_EAGAIN ? "resource temporarily unavailable" : "unknown error";
}

/* ---- handles ---- */

int uv_timer_init(uv_loop_t *loop, uv_timer_t *timer)
{
    (void)add(loop, timer, TIMER);
    return 0;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    handle *h = find(timer);
    sim_loop *l = loop_of(h);
    if (h->closing) {
        return UV_EINVAL;
    }
    h->cb = (void (*)(void))cb;
    h->due_ms = l->now_ms + timeout;
    h->repeat_ms = repeat;
    h->order = ++l->order;
    h->active = true;
    return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
    find(timer)->active = false;
    return 0;
}

int uv_check_init(uv_loop_t *loop, uv_check_t *check)
{
    (void)add(loop, check, CHECK);
    return 0;
}

int uv_check_start(uv_check_t *check, uv_check_cb cb)
{
    handle *h = find(check);
    h->cb = (void (*)(void))cb;
    h->active = true;
    return 0;
}

int uv_idle_init(uv_loop_t *loop, uv_idle_t *idle)
{
    (void)add(loop, idle, IDLE);
    return 0;
}

int uv_idle_start(uv_idle_t *idle, uv_idle_cb cb)
{
    handle *h = find(idle);
    h->cb = (void (*)(void))cb;
    h->active = true;
    return 0;
}

int uv_idle_stop(uv_idle_t *idle)
{
    find(idle)->active = false;
    return 0;
}

int uv_signal_init(uv_loop_t *loop, uv_signal_t *handle_)
{
    (void)add(loop, handle_, SIGNAL);
    return 0;
}

int uv_signal_start(uv_signal_t *handle_, uv_signal_cb cb, int number)
{
    handle *h = find(handle_);
    h->cb = (void (*)(void))cb;
    h->number = number;
    h->active = true;
    return 0;
}

int uv_async_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb cb)
{
    handle *h = add(loop, async, ASYNC);
    h->cb = (void (*)(void))cb;
    h->active = true;
    return 0;
}

int uv_async_send(uv_async_t *async)
{
    handle *h = find(async);
    h->pending = true;
    sim_wake(loop_of(h), ~0u);
    return 0;
}

void uv_close(uv_handle_t *uv, uv_close_cb cb)
{
    handle *h = find(uv);
    if (h->closing) {
        sim_fail("simulation", "a handle is closed twice");
    }
    h->active = false;
    h->closing = true;
    h->on_close = cb;
}

int uv_is_closing(const uv_handle_t *uv)
{
    return find(uv)->closing;
}

/* ---- threads ---- */

int uv_mutex_init(uv_mutex_t *m)
{
    return pthread_mutex_init(m, NULL);
}

void uv_mutex_destroy(uv_mutex_t *m)
{
    (void)pthread_mutex_destroy(m);
}

void uv_mutex_lock(uv_mutex_t *m)
{
    (void)pthread_mutex_lock(m);
}

void uv_mutex_unlock(uv_mutex_t *m)
{
    (void)pthread_mutex_unlock(m);
}

int uv_cond_init(uv_cond_t *c)
{
    return pthread_cond_init(c, NULL);
}

void uv_cond_destroy(uv_cond_t *c)
{
    (void)pthread_cond_destroy(c);
}

void uv_cond_wait(uv_cond_t *c, uv_mutex_t *m)
{
    (void)pthread_cond_wait(c, m);
}

void uv_cond_signal(uv_cond_t *c)
{
    (void)pthread_cond_signal(c);
}

typedef struct uv_started {
    uv_thread_cb fn;
    void *ctx;
} uv_started;

static void run_uv_thread(void *ctx)
{
    uv_started s = *(uv_started *)ctx;
    free(ctx);
    s.fn(s.ctx);
}

int uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *ctx)
{
    uv_started *s = malloc(sizeof *s);
    *s = (uv_started){entry, ctx};
    *thread = (uv_thread_t)(uintptr_t)sim_thread(sim_self(), "feed", run_uv_thread, s);
    return 0;
}

int uv_thread_join(uv_thread_t *thread)
{
    sim_join((sim_fiber *)(uintptr_t)*thread);
    return 0;
}
