/* Hooks that write a record (recording.h) to the file RATOON_RECORD, in the order in which the
 * calls took effect: all but syncs are made one at a time. With RATOON_RECORD_MARKS only marks are
 * recorded, and nothing is held up. */
#include "tests/support/preload/hooks.h"
#include "tests/support/preload/recording.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS_MAX = 4096 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int out = -1;
static bool marks_only;
static uint64_t file_of[FDS_MAX]; /* number of what was opened last; 0: not seen */
static uint64_t files;
static uint64_t syncs;
static _Thread_local uint64_t sync_now;

void recording_mark(const void *data, uint64_t size);

static void entry(recording_head head, const char *text, const char *text2, const void *data)
{
    head.text_size = (uint16_t)(text != NULL ? strlen(text) : 0);
    head.text2_size = (uint16_t)(text2 != NULL ? strlen(text2) : 0);
    const struct iovec parts[] = {
        {&head, sizeof head},
        {(void *)(uintptr_t)text, head.text_size},
        {(void *)(uintptr_t)text2, head.text2_size},
        {(void *)(uintptr_t)data, (size_t)head.data_size},
    };
    const long size = (long)(sizeof head + head.text_size + head.text2_size + head.data_size);
    if (syscall(SYS_writev, out, parts, 4) != size) {
        static const char text_full[] = "the record can't be written\n";
        (void)syscall(SYS_write, STDERR_FILENO, text_full, sizeof text_full - 1);
        abort();
    }
}

void hook_start(void)
{
    const char *path = getenv("RATOON_RECORD");
    marks_only = getenv("RATOON_RECORD_MARKS") != NULL;
    out = path == NULL ? -1
                       : (int)syscall(SYS_openat, AT_FDCWD, path,
                                      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

void recording_mark(const void *data, uint64_t size)
{
    pthread_mutex_lock(&mutex);
    if (out >= 0) {
        entry((recording_head){.kind = RECORDING_MARK, .data_size = size}, NULL, NULL, data);
    }
    pthread_mutex_unlock(&mutex);
}

void hook_room(struct statvfs *disk)
{
    (void)disk;
}

int hook_before(hook_call *call)
{
    if (out < 0 || marks_only) {
        return 0;
    }
    pthread_mutex_lock(&mutex);
    if (call->op == HOOK_SYNC) {
        sync_now = ++syncs;
        entry((recording_head){.kind = RECORDING_SYNC_BEGIN,
                               .file = call->fd < FDS_MAX ? file_of[call->fd] : 0,
                               .number = sync_now},
              NULL, NULL, NULL);
        pthread_mutex_unlock(&mutex); /* others go on meanwhile */
    }
    return 0;
}

static void record(const hook_call *call, long result)
{
    const uint64_t file = call->fd >= 0 && call->fd < FDS_MAX ? file_of[call->fd] : 0;
    recording_head head = {.file = file, .number = (uint64_t)call->offset};
    switch (call->op) {
    case HOOK_OPEN:
        head.kind = RECORDING_OPEN;
        head.number = (uint64_t)call->flags;
        head.file = ++files;
        if (call->fd < FDS_MAX) {
            file_of[call->fd] = files;
        }
        break;
    case HOOK_CLOSE:
        file_of[call->fd] = 0;
        return;
    case HOOK_WRITE:
    case HOOK_PWRITE:
        head.kind = RECORDING_WRITE;
        head.data_size = (uint64_t)result;
        break;
    case HOOK_TRUNCATE:
        head.kind = RECORDING_TRUNCATE;
        break;
    case HOOK_FTRUNCATE:
        head.kind = RECORDING_RESIZE;
        break;
    case HOOK_ALLOCATE:
        if ((call->flags & FALLOC_FL_KEEP_SIZE) != 0) {
            return;
        }
        head.kind = RECORDING_EXTEND;
        break;
    case HOOK_RENAME:
        head.kind = RECORDING_RENAME;
        break;
    case HOOK_LINK:
        head.kind = RECORDING_LINK;
        break;
    case HOOK_UNLINK:
        head.kind = RECORDING_UNLINK;
        break;
    case HOOK_RMDIR:
        head.kind = RECORDING_RMDIR;
        break;
    case HOOK_MKDIR:
        head.kind = RECORDING_MKDIR;
        break;
    default: /* a hint to the system, or only reads */
        return;
    }
    entry(head, call->path, call->path2, call->data);
}

void hook_after(hook_call *call, long result)
{
    if (out < 0 || marks_only) {
        return;
    }
    if (call->op == HOOK_SYNC) {
        pthread_mutex_lock(&mutex);
        entry((recording_head){.kind = RECORDING_SYNC_END,
                               .file = result == 0 ? 1 : 0,
                               .number = sync_now},
              NULL, NULL, NULL);
    } else if (result >= 0) {
        record(call, result);
    }
    pthread_mutex_unlock(&mutex);
}
