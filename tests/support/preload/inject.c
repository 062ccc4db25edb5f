/* Hooks that let calls fail (fault.h). */
#include "tests/support/preload/fault.h"

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
    pthread_mutex_unlock(&mutex);
}

void fault_get(fault_report *out)
{
    pthread_mutex_lock(&mutex);
    *out = report;
    pthread_mutex_unlock(&mutex);
}

static void note(const hook_call *call)
{
    if (report.fired++ == 0) {
        char link[64];
        report.op = call->op;
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", call->fd);
        ssize_t size = -1;
        if (call->path == NULL) {
            size = readlink(link, report.path, sizeof report.path - 1);
        } else {
            size = snprintf(report.path, sizeof report.path, "%s", call->path);
        }
        report.path[size < 0 || size >= (ssize_t)sizeof report.path ? 0 : size] = '\0';
    }
}

static bool takes_room(const hook_call *call)
{
    return call->op == HOOK_WRITE || call->op == HOOK_PWRITE ||
           (call->op == HOOK_ALLOCATE && now.room_known &&
            (call->flags & FALLOC_FL_KEEP_SIZE) == 0);
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
    if (now.ops == 0 || (now.ops & (1u << call->op)) == 0) {
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
    pthread_mutex_lock(&mutex);
    if (now.room != 0 && now.room_known) {
        const uint64_t left = now.room > used ? now.room - used : 0;
        disk->f_bavail = disk->f_bfree = left / disk->f_frsize;
    }
    pthread_mutex_unlock(&mutex);
}
