/* Hooks that let calls fail (fault.h). */
#include "tests/support/preload/fault.h"
#include "tests/support/preload/slow.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

void fault_set(const fault *f);
void fault_get(fault_report *out);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static fault now;
static fault_report report;
static uint64_t counted;
static uint64_t used;

void hook_start(void)
{
}

void fault_set(const fault *f)
{
    pthread_mutex_lock(&mutex);
    now = *f;
    report = (fault_report){0};
    counted = 0;
    used = 0;
    slow_set(f->late_ms);
    pthread_mutex_unlock(&mutex);
}

void fault_get(fault_report *out)
{
    pthread_mutex_lock(&mutex);
    *out = report;
    out->late = slow_waiting();
    out->looks = slow_looks();
    pthread_mutex_unlock(&mutex);
}

/* What the call is about, or "" where that is not known. */
static void path_of(const hook_call *call, char path[sizeof report.path])
{
    char link[64];
    ssize_t size = -1;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", call->fd);
    if (call->path == NULL) {
        size = readlink(link, path, sizeof report.path - 1);
    } else {
        size = snprintf(path, sizeof report.path, "%s", call->path);
    }
    path[size < 0 || size >= (ssize_t)sizeof report.path ? 0 : size] = '\0';
}

static void note(const hook_call *call)
{
    if (report.fired++ == 0) {
        report.op = call->op;
        path_of(call, report.path);
    }
}

static bool ends_with(const hook_call *call, const char *end)
{
    char path[sizeof report.path];
    const size_t size = strlen(end);
    path_of(call, path);
    return strlen(path) >= size && strcmp(path + strlen(path) - size, end) == 0;
}

static bool is_meant(const hook_call *call)
{
    if (now.ops == 0 || (now.ops & (1u << call->op)) == 0) {
        return false;
    }
    return now.end[0] == '\0' || ends_with(call, now.end);
}

/* What is written to a log counts when it is written, not when space is allocated for it. */
static bool takes_room(const hook_call *call)
{
    return call->op == HOOK_WRITE || call->op == HOOK_PWRITE ||
           (call->op == HOOK_ALLOCATE && now.room_known &&
            (call->flags & FALLOC_FL_KEEP_SIZE) == 0 && !ends_with(call, ".log"));
}

static int judge(hook_call *call)
{
    report.seen[call->op]++;
    if (now.room != 0 && takes_room(call)) {
        const uint64_t wanted = call->op == HOOK_ALLOCATE ? (uint64_t)call->offset : call->size;
        if (used + wanted > now.room) {
            note(call);
            return ENOSPC;
        }
        used += wanted;
    }
    if (!is_meant(call)) {
        return 0;
    }
    counted++;
    if (counted < now.nth || (counted > now.nth && !now.lasting && now.error != 0) ||
        (counted > now.nth + 1 && !now.lasting)) {
        return 0;
    }
    if (now.error == 0 && counted == now.nth && call->size > 1) {
        call->size /= 2; /* what is left is tried again, and that fails */
        note(call);
        return 0;
    }
    note(call);
    return now.error == 0 ? ENOSPC : now.error;
}

int hook_before(hook_call *call)
{
    pthread_mutex_lock(&mutex);
    const int refusal = judge(call);
    pthread_mutex_unlock(&mutex);
    return call->op == HOOK_CLOSE ? 0 : refusal;
}

void hook_after(hook_call *call, long result)
{
    (void)call;
    (void)result;
}

void hook_room(struct statvfs *disk)
{
    slow_look();
    pthread_mutex_lock(&mutex);
    if (now.room != 0 && now.room_known) {
        const uint64_t left = now.room > used ? now.room - used : 0;
        disk->f_bavail = disk->f_bfree = left / disk->f_frsize;
    }
    pthread_mutex_unlock(&mutex);
}
