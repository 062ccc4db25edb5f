/* Threads as coroutines, virtual time, and chance: everything that happens in a world follows from
 * its seed. One coroutine runs at a time and goes on until it waits, sleeps, or meets a lock or a
 * driver where the scheduler may prefer another. */
#undef _FORTIFY_SOURCE /* longjmp() between stacks is what it would take for a mistake */

#include "tests/sim/sim.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

enum {
    STACK_SIZE = 512 * 1024,
    GUARD_SIZE = 4096,
    FIBERS_MAX = 512,
    LINES = 400, /* of the trace that are kept for a failure */
    LINE_SIZE = 240,
    TURN_NS_MAX = 20000, /* virtual time that a turn takes */
    DRAIN_ROUNDS_MAX = 100000,
};
#define SWITCHES_MAX UINT64_C(20000000)

struct sim_fiber {
    ucontext_t context;
    jmp_buf jump; /* once it has begun: unlike swapcontext() it costs no system calls */
    bool begun;
    char *stack;
    sim_proc *proc;
    char name[24];
    int id;
    void (*fn)(void *ctx);
    void *ctx;
    bool used, ready, done, detached, timed_out;
    const void *waiting;
    uint64_t deadline;
    int error; /* errno */
    void *fake_stack;
};

typedef struct timer {
    uint64_t at, order;
    void (*fn)(void *ctx);
    void *ctx;
} timer;

sim_proc *sim_procs;
uint64_t sim_now_ns;
int64_t sim_wall_us;
bool sim_faults;

static sim_fiber fibers[FIBERS_MAX];
static int fibers_high;
static sim_fiber *current;
#if defined(__SANITIZE_ADDRESS__)
static ucontext_t scheduler;
static const void *scheduler_stack;
static size_t scheduler_size;
#else
static jmp_buf scheduler_jump;
#endif
static int last_pid, last_fiber;
static timer *timers;
static size_t timers_count, timers_capacity;
static uint64_t timers_order, switches;
static support_prng prng;
static uint64_t seed_of_world, hash;
static bool tracing;
static FILE *output;
static char lines[LINES][LINE_SIZE];
static uint64_t lines_count;

/* ---- chance, and what is told ---- */

void sim_seed(uint64_t seed, bool trace, FILE *out)
{
    seed_of_world = seed;
    prng = support_prng_new(seed);
    hash = UINT64_C(0xcbf29ce484222325);
    tracing = trace;
    output = out;
    sim_now_ns = SIM_S;
    sim_wall_us = INT64_C(1700000000000000);
}

uint64_t sim_below(uint64_t bound)
{
    return support_prng_below(&prng, bound);
}

uint64_t sim_between(uint64_t low, uint64_t high)
{
    return low + sim_below(high - low + 1);
}

bool sim_chance(unsigned per_mille)
{
    return sim_below(1000) < per_mille;
}

void sim_hash(const void *data, size_t size)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    }
}

uint64_t sim_hash_value(void)
{
    return hash;
}

uint64_t sim_switches(void)
{
    return switches;
}

void sim_note(const char *format, ...)
{
    if (current != NULL && current->proc != NULL && current->proc->dead) {
        return;
    }
    char *line = lines[lines_count++ % LINES];
    int used = snprintf(line, LINE_SIZE, "%10.3f %3d %-8s ", (double)sim_now_ns / SIM_US / 1000,
                        current != NULL && current->proc != NULL ? current->proc->pid : 0,
                        current != NULL ? current->name : "-");
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line + used, (size_t)(LINE_SIZE - used), format, args);
    va_end(args);
    sim_hash(line, strlen(line));
    if (tracing) {
        fprintf(output, "%s\n", line);
    }
}

void sim_fail(const char *rule, const char *format, ...)
{
    char message[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (!tracing) {
        for (uint64_t i = lines_count > 60 ? lines_count - 60 : 0; i < lines_count; i++) {
            fprintf(output, "%s\n", lines[i % LINES]);
        }
    }
    fprintf(output, "FAILED %s: %s\nseed %llu at %.3f ms, by process %d (%s)\n", rule, message,
            (unsigned long long)seed_of_world, (double)sim_now_ns / SIM_US / 1000,
            current != NULL && current->proc != NULL ? current->proc->pid : 0,
            current != NULL && current->proc != NULL ? current->proc->what : "the world");
    fflush(output);
    _exit(3);
}

bool sim_thread_is_running(void)
{
    return current != NULL;
}

/* ---- clocks ---- */

sim_proc *sim_self(void)
{
    return current != NULL ? current->proc : NULL;
}

uint64_t sim_clock_ns(void)
{
    return sim_now_ns + (sim_self() != NULL ? sim_self()->skip_ns : 0);
}

uint64_t sim_clock_wall_us(void)
{
    return (uint64_t)((int64_t)(sim_clock_ns() / 1000) + sim_wall_us);
}

/* ---- switching ---- */

static void switch_to(sim_fiber *f)
{
    f->ready = false;
    f->waiting = NULL;
    current = f;
    switches++;
    errno = f->error;
#if defined(__SANITIZE_ADDRESS__)
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, f->stack, STACK_SIZE);
    (void)swapcontext(&scheduler, &f->context);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#else
    if (_setjmp(scheduler_jump) == 0) {
        if (f->begun) {
            _longjmp(f->jump, 1);
        }
        f->begun = true;
        (void)setcontext(&f->context);
    }
#endif
    f->error = errno;
    current = NULL;
}

static void switch_away(void)
{
    sim_fiber *f = current;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(f->done ? NULL : &f->fake_stack, scheduler_stack,
                                   scheduler_size);
    (void)swapcontext(&f->context, &scheduler);
    __sanitizer_finish_switch_fiber(f->fake_stack, &scheduler_stack, &scheduler_size);
#else
    if (_setjmp(f->jump) == 0) {
        _longjmp(scheduler_jump, 1);
    }
#endif
}

static void fiber_main(void)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_size);
#endif
    sim_fiber *f = current;
    f->fn(f->ctx);
    f->done = true;
    if (f->proc != NULL) {
        f->proc->fibers--;
    }
    sim_wake(f, ~0u);
    switch_away();
    abort(); /* nobody switches to what is done */
}

static sim_fiber *fiber_new(void)
{
    for (int i = 0; i < FIBERS_MAX; i++) {
        if (!fibers[i].used) {
            if (i >= fibers_high) {
                fibers_high = i + 1;
            }
            return &fibers[i];
        }
    }
    sim_fail("simulation", "more than %d threads", (int)FIBERS_MAX);
}

sim_fiber *sim_thread(sim_proc *p, const char *name, void (*fn)(void *ctx), void *ctx)
{
    sim_fiber *f = fiber_new();
    char *stack = f->stack;
    if (stack == NULL) {
        stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
        if (stack == MAP_FAILED || mprotect(stack, GUARD_SIZE, PROT_NONE) != 0) {
            sim_fail("simulation", "no memory for a stack");
        }
    }
    *f = (sim_fiber){.stack = stack, .proc = p, .id = ++last_fiber, .fn = fn, .ctx = ctx};
    (void)snprintf(f->name, sizeof f->name, "%s", name);
    (void)getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = STACK_SIZE;
    f->context.uc_link = NULL;
    makecontext(&f->context, fiber_main, 0);
    f->used = true;
    f->ready = true;
    f->deadline = SIM_NEVER;
    if (p != NULL) {
        p->fibers++;
    }
    return f;
}

void sim_detach(sim_fiber *f)
{
    f->detached = true;
}

void sim_join(sim_fiber *f)
{
    while (!f->done) {
        (void)sim_wait(f, SIM_NEVER);
    }
    f->used = false;
}

bool sim_wait(const void *what, uint64_t deadline_ns)
{
    sim_fiber *f = current;
    f->waiting = what;
    f->deadline = deadline_ns;
    f->timed_out = false;
    switch_away();
    return !f->timed_out;
}

void sim_wake(const void *what, unsigned most)
{
    while (most > 0) {
        sim_fiber *chosen = NULL;
        uint64_t seen = 0;
        for (int i = 0; i < fibers_high; i++) {
            sim_fiber *f = &fibers[i];
            if (f->used && !f->done && !f->ready && f->waiting == what &&
                (most == ~0u || sim_below(++seen) == 0)) {
                chosen = f;
                if (most == ~0u) {
                    f->ready = true;
                }
            }
        }
        if (chosen == NULL || most == ~0u) {
            return;
        }
        chosen->ready = true;
        most--;
    }
}

void sim_sleep(uint64_t ns)
{
    static const char nothing;
    (void)sim_wait(&nothing, sim_clock_ns() + ns);
}

void sim_yield(void)
{
    current->ready = true;
    switch_away();
}

/* ---- timers of the world: a heap ---- */

static bool before(const timer *a, const timer *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void sim_after(uint64_t ns, void (*fn)(void *ctx), void *ctx)
{
    if (timers_count == timers_capacity) {
        timers_capacity = timers_capacity == 0 ? 64 : 2 * timers_capacity;
        timers = realloc(timers, timers_capacity * sizeof *timers);
    }
    size_t i = timers_count++;
    timers[i] = (timer){.at = sim_now_ns + ns, .order = ++timers_order, .fn = fn, .ctx = ctx};
    while (i > 0 && before(&timers[i], &timers[(i - 1) / 2])) {
        timer swap = timers[i];
        timers[i] = timers[(i - 1) / 2];
        timers[(i - 1) / 2] = swap;
        i = (i - 1) / 2;
    }
}

static timer timer_take(void)
{
    timer first = timers[0];
    timers[0] = timers[--timers_count];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++) {
            if (child < timers_count && before(&timers[child], &timers[least])) {
                least = child;
            }
        }
        if (least == i) {
            return first;
        }
        timer swap = timers[i];
        timers[i] = timers[least];
        timers[least] = swap;
        i = least;
    }
}

/* ---- processes ---- */

static void proc_main(void *ctx)
{
    sim_proc *p = ctx;
    p->main(p, p->ctx);
    p->over = true;
    sim_note("ends with %d", p->exit_code);
}

sim_proc *sim_proc_start(const char *what, void (*main)(sim_proc *p, void *ctx), void *ctx)
{
    sim_proc *p = calloc(1, sizeof *p);
    p->pid = ++last_pid;
    p->lock_fd = -1;
    p->main = main;
    p->ctx = ctx;
    (void)snprintf(p->what, sizeof p->what, "%s", what);
    p->next = sim_procs;
    sim_procs = p;
    sim_note("process %d: %s", p->pid, what);
    sim_detach(sim_thread(p, "main", proc_main, p));
    return p;
}

unsigned sim_alive(void)
{
    unsigned n = 0;
    for (const sim_proc *p = sim_procs; p != NULL; p = p->next) {
        n += p->fibers > 0;
    }
    return n;
}

/* ---- the scheduler ---- */

static void reap(sim_fiber *f)
{
    if (f->done && f->detached) {
        f->used = false;
    }
}

/* A process that was killed goes on by itself, unseen, until it has freed what it holds: its calls
 * to the world fail. */
static bool drain_one(void)
{
    sim_proc *p = sim_procs;
    while (p != NULL && !(p->dead && p->fibers > 0)) {
        p = p->next;
    }
    if (p == NULL) {
        return false;
    }
    sim_fiber *next = NULL;
    for (int i = 0; i < fibers_high; i++) {
        sim_fiber *f = &fibers[i];
        if (f->used && !f->done && f->proc == p &&
            (next == NULL || (f->ready && !next->ready) ||
             (f->ready == next->ready && f->deadline < next->deadline))) {
            next = f;
        }
    }
    if (++p->idle_rounds > DRAIN_ROUNDS_MAX) {
        sim_fail("simulation", "killed process %d (%s) does not end: thread %s", p->pid, p->what,
                 next->name);
    }
    if (!next->ready) { /* everybody waits: time goes on, and waits end for no reason */
        if (next->deadline != SIM_NEVER && next->deadline > sim_now_ns + p->skip_ns) {
            p->skip_ns = next->deadline - sim_now_ns;
        }
        p->skip_ns += SIM_MS;
        for (int i = 0; i < fibers_high; i++) {
            sim_fiber *f = &fibers[i];
            if (f->used && !f->done && f->proc == p) {
                f->timed_out = f->deadline != SIM_NEVER;
                f->ready = true;
            }
        }
    }
    switch_to(next);
    reap(next);
    return true;
}

/* Waits whose time is up become ready; gives the earliest of the others. */
static uint64_t expire(void)
{
    uint64_t next = SIM_NEVER;
    for (int i = 0; i < fibers_high; i++) {
        sim_fiber *f = &fibers[i];
        if (!f->used || f->done || f->ready || f->waiting == NULL) {
            continue;
        }
        if (f->deadline <= sim_now_ns) {
            f->timed_out = true;
            f->ready = true;
        } else if (f->deadline < next) {
            next = f->deadline;
        }
    }
    return next;
}

static bool runnable(const sim_fiber *f)
{
    return f->used && !f->done && f->ready &&
           (f->proc == NULL || f->proc->frozen_until_ns <= sim_now_ns);
}

static sim_fiber *choose(void)
{
    uint64_t seen = 0;
    for (int i = 0; i < fibers_high; i++) {
        seen += runnable(&fibers[i]);
    }
    if (seen == 0) {
        return NULL;
    }
    uint64_t n = seen == 1 ? 0 : sim_below(seen);
    for (int i = 0; i < fibers_high; i++) {
        if (runnable(&fibers[i]) && n-- == 0) {
            return &fibers[i];
        }
    }
    return NULL;
}

/* When the next of those that are ready and stopped goes on. */
static uint64_t next_thaw(void)
{
    uint64_t next = SIM_NEVER;
    for (int i = 0; i < fibers_high; i++) {
        const sim_fiber *f = &fibers[i];
        if (f->used && !f->done && f->ready && f->proc != NULL && f->proc->frozen_until_ns < next) {
            next = f->proc->frozen_until_ns;
        }
    }
    return next;
}

void sim_play(void (*director)(void *ctx), void *ctx)
{
    sim_fiber *first = sim_thread(NULL, "director", director, ctx);
    while (!first->done) {
        if (switches > SWITCHES_MAX) {
            sim_fail("simulation", "the world does not come to an end");
        }
        if (drain_one()) {
            continue;
        }
        const uint64_t next = expire();
        while (timers_count > 0 && timers[0].at <= sim_now_ns) {
            timer t = timer_take();
            switches++;
            t.fn(t.ctx);
        }
        sim_fiber *f = choose();
        if (f != NULL) {
            sim_now_ns += 1 + sim_below(TURN_NS_MAX);
            switch_to(f);
            reap(f);
            continue;
        }
        uint64_t at = timers_count > 0 && timers[0].at < next ? timers[0].at : next;
        const uint64_t thaw = next_thaw();
        at = thaw < at ? thaw : at;
        if (at == SIM_NEVER) {
            sim_fail("simulation", "everybody waits for ever");
        }
        if (at > sim_now_ns) {
            sim_now_ns = at;
        }
    }
    first->used = false;
    for (int i = 0; i < fibers_high; i++) {
        if (fibers[i].stack != NULL) {
            (void)munmap(fibers[i].stack, STACK_SIZE);
            fibers[i].stack = NULL;
        }
    }
    while (sim_procs != NULL) {
        sim_proc *p = sim_procs;
        sim_procs = p->next;
        free(p);
    }
    free(timers);
    timers = NULL;
}
