#include "log/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

void ratoon__futex_wait(_Atomic uint32_t *word, uint32_t value, const struct timespec *timeout)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout, NULL, 0);
}

void ratoon__futex_wake(_Atomic uint32_t *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}
