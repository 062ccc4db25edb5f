#include "tests/valgrind/warm/warm.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

bool warm_read(int fd, void *data, uint32_t size)
{
    char *at = data;
    while (size > 0) {
        const ssize_t n = read(fd, at, size);
        if (n > 0) {
            at += n;
            size -= (uint32_t)n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

bool warm_write(int fd, const void *data, uint32_t size)
{
    const char *at = data;
    while (size > 0) {
        const ssize_t n = write(fd, at, size);
        if (n > 0) {
            at += n;
            size -= (uint32_t)n;
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}
