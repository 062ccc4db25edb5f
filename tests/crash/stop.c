/* Stopping a process where it is told to: at a point of the code, or in a system call that it or
 * RocksDB makes (the definitions here come before those of the C library). */
#include "tests/crash/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static crash_shared *shared; /* NULL: this process isn't to be stopped */
static crash_stop stop = {.point = CRASH_NO_POINT};
static _Atomic uint64_t times;

const char *crash_point_name(int point)
{
    static const char *const names[] = {
#define X(name, text) text,
        CRASH_FILE_POINT_LIST(X)
#undef X
    };
    return point < RATOON__POINTS ? ratoon__point_names[point] : names[point - RATOON__POINTS];
}

int crash_point_find(const char *name)
{
    for (int i = 0; i < CRASH_POINTS; i++) {
        if (strcmp(crash_point_name(i), name) == 0) {
            return i;
        }
    }
    return CRASH_NO_POINT;
}

/* True once, when it is time. */
static bool is_time(int point)
{
    if (shared == NULL) {
        return false;
    }
    atomic_fetch_add(&shared->reached[point], 1);
    return point == stop.point && atomic_fetch_add(&times, 1) + 1 == stop.at;
}

static void die(int point)
{
    atomic_fetch_add(&shared->killed[point], 1);
    kill(getpid(), SIGKILL);
    for (;;) {
        pause();
    }
}

static void pass(int point)
{
    if (is_time(point)) {
        die(point);
    }
}

static void pass_code(ratoon__point point)
{
    pass((int)point);
}

void crash_stop_set(crash_shared *where, crash_stop at)
{
    shared = where;
    stop = at;
    ratoon__point_hook = pass_code;
}

/* ---- system calls ---- */

/* For RocksDB's library as well. */
#define VISIBLE __attribute__((visibility("default")))

static bool is_file(int fd)
{
    struct stat st;
    return shared != NULL && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

VISIBLE ssize_t write(int fd, const void *data, size_t size)
{
    if (is_file(fd)) {
        pass(CRASH_FILE_WRITE);
        if (is_time(CRASH_FILE_TORN)) {
            (void)syscall(SYS_write, fd, data, size / 2);
            die(CRASH_FILE_TORN);
        }
    }
    return syscall(SYS_write, fd, data, size);
}

VISIBLE int fdatasync(int fd)
{
    pass(CRASH_FILE_SYNC);
    const int result = (int)syscall(SYS_fdatasync, fd);
    pass(CRASH_FILE_SYNCED);
    return result;
}

VISIBLE int fsync(int fd)
{
    pass(CRASH_FILE_SYNC);
    const int result = (int)syscall(SYS_fsync, fd);
    pass(CRASH_FILE_SYNCED);
    return result;
}

VISIBLE int rename(const char *from, const char *to)
{
    pass(CRASH_FILE_RENAME);
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

VISIBLE int unlink(const char *path)
{
    pass(CRASH_FILE_UNLINK);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
