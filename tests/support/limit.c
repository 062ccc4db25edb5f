#include "tests/support/limit.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

support_limit support_limit_new(uint64_t limit_ms, uint64_t now_ms)
{
    return (support_limit){.left_ms = limit_ms, .seen_ms = now_ms};
}

bool support_limit_over(support_limit *limit, uint64_t now_ms)
{
    uint64_t passed = now_ms - limit->seen_ms;
    passed = passed < SUPPORT_LIMIT_STEP_MS ? passed : SUPPORT_LIMIT_STEP_MS;
    limit->left_ms -= passed < limit->left_ms ? passed : limit->left_ms;
    limit->seen_ms = now_ms;
    return limit->left_ms == 0;
}

static unsigned life_s;

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* alarm() would count the time for which the process was stopped. */
static void *watch(void *unused)
{
    const struct timespec pause = {.tv_nsec = SUPPORT_LIMIT_STEP_MS / 2 * 1000000L};
    support_limit limit = support_limit_new((uint64_t)life_s * 1000, now_ms());
    (void)unused;
    while (!support_limit_over(&limit, now_ms())) {
        (void)nanosleep(&pause, NULL);
    }
    (void)fprintf(stderr, "process %d has not ended within %u s\n", (int)getpid(), life_s);
    (void)fflush(stderr);
    (void)signal(SIGALRM, SIG_DFL);
    (void)kill(getpid(), SIGALRM);
    return NULL;
}

void support_limit_life(unsigned seconds)
{
    pthread_t thread;
    life_s = seconds;
    if (pthread_create(&thread, NULL, watch, NULL) != 0 || pthread_detach(thread) != 0) {
        abort();
    }
}
