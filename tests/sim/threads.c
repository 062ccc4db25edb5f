/* Locks, conditions, threads, clocks and randomness as the linked objects see them (the linker
 * gives them these instead: harness.cmake). Taking a lock is a point where the scheduler may prefer
 * another thread; waits end for no reason now and then. */
#include "tests/sim/sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attributes);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attributes);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *until);
int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                                  const struct timespec *until);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *ctx);
int __wrap_pthread_join(pthread_t thread, void **result);
void __wrap_ratoon__futex_wait(_Atomic uint32_t *word, uint32_t value,
                               const struct timespec *timeout);
void __wrap_ratoon__futex_wake(_Atomic uint32_t *word, int count);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
int __wrap_nanosleep(const struct timespec *duration, struct timespec *left);
int __wrap_sched_yield(void);
ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags);

typedef struct lock { /* in the place of a pthread_mutex_t; zero: free */
    uint32_t held;
} lock;

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attributes)
{
    (void)attributes;
    memset(m, 0, sizeof(pthread_mutex_t));
    return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m)
{
    if (((lock *)m)->held != 0) {
        sim_fail("simulation", "a lock is destroyed that is held");
    }
    return 0;
}

static bool scheduled(void)
{
    return sim_thread_is_running();
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
    lock *l = (lock *)m;
    if (scheduled() && sim_atomic == 0 && sim_chance(15)) {
        sim_yield();
    }
    while (l->held != 0) {
        if (!scheduled()) {
            sim_fail("simulation", "the world waits for a lock of a process");
        }
        (void)sim_wait(l, SIM_NEVER);
    }
    l->held = 1;
    return 0;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *m)
{
    lock *l = (lock *)m;
    if (l->held != 0) {
        return EBUSY;
    }
    l->held = 1;
    return 0;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
    lock *l = (lock *)m;
    if (l->held == 0) {
        sim_fail("simulation", "a lock is given back that nobody holds");
    }
    l->held = 0;
    sim_wake(l, 1);
    return 0;
}

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attributes)
{
    (void)attributes;
    memset(c, 0, sizeof(pthread_cond_t));
    return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
    (void)c;
    return 0;
}

static int wait_until(pthread_cond_t *c, pthread_mutex_t *m, uint64_t deadline_ns)
{
    bool woken = true;
    (void)__wrap_pthread_mutex_unlock(m);
    if (sim_chance(10)) {
        sim_yield(); /* a wait may end for no reason */
    } else {
        woken = sim_wait(c, deadline_ns);
    }
    (void)__wrap_pthread_mutex_lock(m);
    return woken ? 0 : ETIMEDOUT;
}

static uint64_t ns_of(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * SIM_S + (uint64_t)t->tv_nsec;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
    return wait_until(c, m, SIM_NEVER);
}

/* All conditions of the project wait by the monotonic clock. */
int __wrap_pthread_cond_timedwait(pthread_cond_t *c, pthread_mutex_t *m,
                                  const struct timespec *until)
{
    return wait_until(c, m, ns_of(until));
}

int __wrap_pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t clock,
                                  const struct timespec *until)
{
    (void)clock;
    return wait_until(c, m, ns_of(until));
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
    sim_wake(c, 1);
    return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
    sim_wake(c, ~0u);
    return 0;
}

void __wrap_ratoon__futex_wait(_Atomic uint32_t *word, uint32_t value,
                               const struct timespec *timeout)
{
    if (atomic_load(word) != value) {
        return;
    }
    if (sim_chance(10)) {
        sim_yield(); /* a wait may end for no reason */
    } else {
        (void)sim_wait(word, timeout != NULL ? sim_clock_ns() + ns_of(timeout) : SIM_NEVER);
    }
}

void __wrap_ratoon__futex_wake(_Atomic uint32_t *word, int count)
{
    sim_wake(word, (unsigned)count);
}

typedef struct started {
    void *(*fn)(void *);
    void *ctx;
} started;

static void run_started(void *ctx)
{
    started s = *(started *)ctx;
    free(ctx);
    (void)s.fn(s.ctx);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *),
                          void *ctx)
{
    (void)attributes;
    started *s = malloc(sizeof *s);
    *s = (started){fn, ctx};
    *thread = (pthread_t)(uintptr_t)sim_thread(sim_self(), "thread", run_started, s);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    (void)result;
    sim_join((sim_fiber *)(uintptr_t)thread);
    return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    uint64_t ns = sim_clock_ns();
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) {
        ns = sim_clock_wall_us() * 1000;
    }
    *out = (struct timespec){.tv_sec = (time_t)(ns / SIM_S), .tv_nsec = (long)(ns % SIM_S)};
    return 0;
}

int __wrap_nanosleep(const struct timespec *duration, struct timespec *left)
{
    (void)left;
    sim_sleep(ns_of(duration));
    return 0;
}

/* Who yields again and again sees the time pass. */
int __wrap_sched_yield(void)
{
    sim_sleep(1 + sim_below(5000));
    return 0;
}

ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags)
{
    unsigned char *p = data;
    (void)flags;
    for (size_t i = 0; i < size; i++) {
        p[i] = (unsigned char)sim_below(256);
    }
    return (ssize_t)size;
}
