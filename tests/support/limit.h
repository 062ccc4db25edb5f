/* Limits of time for what is going to end by itself. They leave out the time for which all of it
 * was stopped (SIGSTOP, a debugger, a machine that slept): whoever was not let run does not hang.
 */
#ifndef RATOON_TESTS_LIMIT_H
#define RATOON_TESTS_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* What two looks at a limit can count for at most, however far apart they are. */
enum { SUPPORT_LIMIT_STEP_MS = 1000 };

typedef struct support_limit {
    uint64_t left_ms, seen_ms;
} support_limit;

/* now_ms: of any clock that does not go back. */
support_limit support_limit_new(uint64_t limit_ms, uint64_t now_ms);
/* To be called often. True once the limit is over, from then on. */
bool support_limit_over(support_limit *limit, uint64_t now_ms);

/* The process, which must not fork later, says so and dies of SIGALRM unless it ends before. Once
 * in a process. */
void support_limit_life(unsigned seconds);

#endif
