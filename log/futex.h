/* Waiting for a word of memory to change: one system call to sleep, one to wake, none where nobody
 * sleeps. Between threads of one process. What a word says is read and written by atomics; the
 * sleep only saves the waiting. */
#ifndef RATOON_LOG_FUTEX_H
#define RATOON_LOG_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* Sleeps while the word is `value`, at most for `timeout` (NULL: without end). May return early;
 * look at the word again. */
void ratoon__futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout);

/* Wakes up to `count` sleepers. The word may be gone by now: its owner, if it did not sleep, may
 * have seen the change already; a wake-up too many harms nobody. */
void ratoon__futex_wake(_Atomic uint32_t *word, int count);

#endif
