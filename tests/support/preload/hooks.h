/* What a preloaded library sees of a program's work on the files below one folder, and may change.
 * wrap.c stands in for the C library's calls; a library that is made with it brings the hooks. */
#ifndef RATOON_TESTS_PRELOAD_HOOKS_H
#define RATOON_TESTS_PRELOAD_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum hook_op {
    HOOK_OPEN, /* flags; size 1: what is written through it is not seen (fopen) */
    HOOK_CLOSE,
    HOOK_WRITE,  /* data, size, offset */
    HOOK_PWRITE, /* the same */
    HOOK_SYNC,
    HOOK_SYNC_RANGE,
    HOOK_TRUNCATE, /* by path: offset is the new size */
    HOOK_FTRUNCATE,
    HOOK_ALLOCATE, /* offset is the size that is wanted at least; flags: of fallocate */
    HOOK_RENAME,   /* path to path2 */
    HOOK_LINK,     /* path to path2 */
    HOOK_UNLINK,
    HOOK_RMDIR,
    HOOK_MKDIR,
    HOOK_MMAP,
    HOOK_OPS,
} hook_op;

typedef struct hook_call {
    hook_op op;
    const char *path, *path2; /* absolute; path only where no descriptor was given */
    int fd;                   /* of HOOK_OPEN: the result, afterwards */
    int flags;
    const void *data;
    size_t size; /* may be made smaller by hook_before: a short write */
    off_t offset;
} hook_call;

/* For calls on files below the folder RATOON_HOOK_ROOT. Not 0: an errno, the call fails with it and
 * is not made. Otherwise hook_after follows. */
int hook_before(hook_call *call);
void hook_after(hook_call *call, long result);
struct statvfs;
/* What is said of the room on a disk may be changed. */
void hook_room(struct statvfs *disk);
/* Once, before all others. */
void hook_start(void);

#endif
