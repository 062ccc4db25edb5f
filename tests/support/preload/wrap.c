/* Stands in for the calls by which the library and RocksDB change files. Calls that the C library
 * makes to itself (fopen's open, nftw's) are not seen; the harness compares what it saw with what
 * is there in the end. */
#include "tests/support/preload/hooks.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FDS_MAX = 4096, COPY_PIECE = 1 << 16 };

static char root[PATH_MAX];
static size_t root_size;
static _Atomic bool watched[FDS_MAX]; /* descriptors of files below the root */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start(void)
{
    const char *path = getenv("RATOON_HOOK_ROOT");
    if (path != NULL && strlen(path) < sizeof root) {
        strcpy(root, path);
        root_size = strlen(root);
        hook_start();
    }
}

static void find(const char *name, void *out)
{
    void *found = dlsym(RTLD_NEXT, name);
    memcpy(out, &found, sizeof found);
}

#define REAL(result, name, ...)                                                                    \
    static result (*real)(__VA_ARGS__);                                                            \
    if (real == NULL) {                                                                            \
        find(name, &real);                                                                         \
    }                                                                                              \
    (void)pthread_once(&once, start)

/* The absolute path of (folder, path) in `out` where it is below the root; else NULL. */
static const char *below(int folder, const char *path, char out[PATH_MAX])
{
    if (root_size == 0 || path == NULL) {
        return NULL;
    }
    if (path[0] == '/') {
        if (snprintf(out, PATH_MAX, "%s", path) >= PATH_MAX) {
            return NULL;
        }
    } else {
        char link[64];
        char base[PATH_MAX];
        (void)snprintf(link, sizeof link,
                       folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t size = readlink(link, base, sizeof base - 1);
        if (size < 0) {
            return NULL;
        }
        base[size] = '\0';
        if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) {
            return NULL;
        }
    }
    return strncmp(out, root, root_size) == 0 && (out[root_size] == '/' || out[root_size] == '\0')
               ? out
               : NULL;
}

static bool is_watched(int fd)
{
    return root_size != 0 && fd >= 0 && fd < FDS_MAX && watched[fd];
}

static int refused(int number)
{
    errno = number;
    return -1;
}

/* Runs EXPRESSION between the hooks; errno is that of the call. */
#define HOOKED(call, result, expression)                                                           \
    do {                                                                                           \
        const int refusal = hook_before(call);                                                     \
        if (refusal != 0) {                                                                        \
            return refused(refusal);                                                               \
        }                                                                                          \
        (result) = (expression);                                                                   \
        const int reason = errno;                                                                  \
        hook_after(call, (long)(result));                                                          \
        errno = reason;                                                                            \
    } while (0)

/* ---- opening and closing ---- */

static void note_open(int fd, bool watch)
{
    if (fd >= 0 && fd < FDS_MAX) {
        watched[fd] = watch;
    }
}

static int open_hooked(int (*real)(int, const char *, int, ...), int folder, const char *path,
                       int flags, mode_t mode)
{
    char whole[PATH_MAX];
    const char *mine = below(folder, path, whole);
    if (mine == NULL) {
        int fd = real(folder, path, flags, mode);
        note_open(fd, false);
        return fd;
    }
    hook_call call = {.op = HOOK_OPEN, .path = mine, .fd = -1, .flags = flags};
    const int refusal = hook_before(&call);
    if (refusal != 0) {
        return refused(refusal);
    }
    const int fd = real(folder, path, flags, mode);
    const int reason = errno;
    call.fd = fd;
    note_open(fd, true);
    hook_after(&call, fd);
    errno = reason;
    return fd;
}

static mode_t mode_of(int flags, va_list list)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(list, mode_t) : 0;
}

int openat(int folder, const char *path, int flags, ...)
{
    REAL(int, "openat", int, const char *, int, ...);
    va_list list;
    va_start(list, flags);
    const mode_t mode = mode_of(flags, list);
    va_end(list);
    return open_hooked(real, folder, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    REAL(int, "openat", int, const char *, int, ...);
    va_list list;
    va_start(list, flags);
    const mode_t mode = mode_of(flags, list);
    va_end(list);
    return open_hooked(real, AT_FDCWD, path, flags, mode);
}

/* The C library's own would not be seen. */
int mkostemp(char *name, int flags)
{
    static _Atomic unsigned counter;
    const size_t size = strlen(name);
    for (int tries = 0; tries < 1000; tries++) {
        (void)snprintf(name + size - 6, 7, "%06u", ++counter % 1000000);
        const int fd = open(name, O_RDWR | O_CREAT | O_EXCL | flags, S_IRUSR | S_IWUSR);
        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

FILE *fopen(const char *path, const char *mode)
{
    REAL(FILE *, "fopen", const char *, const char *);
    char whole[PATH_MAX];
    const char *mine = mode[0] == 'r' ? NULL : below(AT_FDCWD, path, whole);
    if (mine == NULL) {
        FILE *file = real(path, mode);
        if (file != NULL) {
            note_open(fileno(file), false);
        }
        return file;
    }
    hook_call call = {
        .op = HOOK_OPEN, .path = mine, .fd = -1, .flags = O_WRONLY | O_CREAT | O_TRUNC, .size = 1};
    const int refusal = hook_before(&call);
    if (refusal != 0) {
        errno = refusal;
        return NULL;
    }
    FILE *file = real(path, mode);
    const int reason = errno;
    call.fd = file != NULL ? fileno(file) : -1;
    note_open(call.fd, false);
    hook_after(&call, call.fd);
    errno = reason;
    return file;
}

int close(int fd)
{
    REAL(int, "close", int);
    if (!is_watched(fd)) {
        return real(fd);
    }
    hook_call call = {.op = HOOK_CLOSE, .fd = fd};
    (void)hook_before(&call); /* what close says of a write is fsync's business */
    note_open(fd, false);
    const int result = real(fd);
    const int reason = errno;
    hook_after(&call, result);
    errno = reason;
    return result;
}

/* ---- contents ---- */

ssize_t write(int fd, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    if (!is_watched(fd)) {
        return real(fd, data, size);
    }
    hook_call call = {.op = HOOK_WRITE, .fd = fd, .data = data, .size = size};
    ssize_t result;
    const int refusal = hook_before(&call);
    if (refusal != 0) {
        return refused(refusal);
    }
    const int flags = fcntl(fd, F_GETFL);
    call.offset = lseek(fd, 0, (flags & O_APPEND) != 0 ? SEEK_END : SEEK_CUR);
    result = real(fd, data, call.size);
    const int reason = errno;
    hook_after(&call, result);
    errno = reason;
    return result;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    if (!is_watched(fd)) {
        return real(fd, data, size, offset);
    }
    hook_call call = {.op = HOOK_PWRITE, .fd = fd, .data = data, .size = size, .offset = offset};
    ssize_t result;
    HOOKED(&call, result, real(fd, data, call.size, offset));
    return result;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite(fd, data, size, offset);
}

/* By write, so that what was written is seen. */
ssize_t sendfile(int out, int in, off_t *offset, size_t size)
{
    REAL(ssize_t, "sendfile", int, int, off_t *, size_t);
    if (!is_watched(out) || offset != NULL) {
        return real(out, in, offset, size);
    }
    char piece[COPY_PIECE];
    const ssize_t got = read(in, piece, size < sizeof piece ? size : sizeof piece);
    if (got <= 0) {
        return got;
    }
    const ssize_t put = write(out, piece, (size_t)got);
    const int reason = errno;
    if (put < got && lseek(in, (put < 0 ? 0 : put) - got, SEEK_CUR) < 0) {
        return refused(EIO);
    }
    errno = reason;
    return put;
}

int ftruncate(int fd, off_t size)
{
    REAL(int, "ftruncate", int, off_t);
    if (!is_watched(fd)) {
        return real(fd, size);
    }
    hook_call call = {.op = HOOK_FTRUNCATE, .fd = fd, .offset = size};
    int result;
    HOOKED(&call, result, real(fd, size));
    return result;
}

int truncate(const char *path, off_t size)
{
    REAL(int, "truncate", const char *, off_t);
    char whole[PATH_MAX];
    const char *mine = below(AT_FDCWD, path, whole);
    if (mine == NULL) {
        return real(path, size);
    }
    hook_call call = {.op = HOOK_TRUNCATE, .path = mine, .fd = -1, .offset = size};
    int result;
    HOOKED(&call, result, real(path, size));
    return result;
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    REAL(int, "fallocate", int, int, off_t, off_t);
    if (!is_watched(fd)) {
        return real(fd, mode, offset, size);
    }
    hook_call call = {.op = HOOK_ALLOCATE, .fd = fd, .flags = mode, .offset = offset + size};
    int result;
    HOOKED(&call, result, real(fd, mode, offset, size));
    return result;
}

int statvfs(const char *path, struct statvfs *disk)
{
    REAL(int, "statvfs", const char *, struct statvfs *);
    const int result = real(path, disk);
    char whole[PATH_MAX];
    if (result == 0 && below(AT_FDCWD, path, whole) != NULL) {
        hook_room(disk);
    }
    return result;
}

/* ---- syncs ---- */

int fsync(int fd)
{
    REAL(int, "fsync", int);
    if (!is_watched(fd)) {
        return real(fd);
    }
    hook_call call = {.op = HOOK_SYNC, .fd = fd};
    int result;
    HOOKED(&call, result, getenv("RATOON_HOOK_FAST") != NULL ? usleep(200) : real(fd));
    return result;
}

int fdatasync(int fd)
{
    REAL(int, "fdatasync", int);
    if (!is_watched(fd)) {
        return real(fd);
    }
    hook_call call = {.op = HOOK_SYNC, .fd = fd, .flags = 1};
    int result;
    HOOKED(&call, result, getenv("RATOON_HOOK_FAST") != NULL ? usleep(200) : real(fd));
    return result;
}

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags)
{
    REAL(int, "sync_file_range", int, off64_t, off64_t, unsigned);
    if (!is_watched(fd) ||
        flags == 0) { /* that does nothing but ask whether there is such a call */
        return real(fd, offset, size, flags);
    }
    hook_call call = {.op = HOOK_SYNC_RANGE, .fd = fd};
    int result;
    HOOKED(&call, result, real(fd, offset, size, flags));
    return result;
}

/* ---- names ---- */

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
    char whole[PATH_MAX];
    char target[PATH_MAX];
    const char *mine = below(from_folder, from, whole);
    const char *place = below(to_folder, to, target);
    if (mine == NULL || place == NULL) {
        return real(from_folder, from, to_folder, to, flags);
    }
    hook_call call = {
        .op = HOOK_RENAME, .path = mine, .path2 = place, .fd = -1, .flags = (int)flags};
    int result;
    HOOKED(&call, result, real(from_folder, from, to_folder, to, flags));
    return result;
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return renameat2(from_folder, from, to_folder, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    REAL(int, "linkat", int, const char *, int, const char *, int);
    char whole[PATH_MAX];
    char target[PATH_MAX];
    const char *mine = below(from_folder, from, whole);
    const char *place = below(to_folder, to, target);
    if (mine == NULL || place == NULL) {
        return real(from_folder, from, to_folder, to, flags);
    }
    hook_call call = {.op = HOOK_LINK, .path = mine, .path2 = place, .fd = -1};
    int result;
    HOOKED(&call, result, real(from_folder, from, to_folder, to, flags));
    return result;
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int folder, const char *path, int flags)
{
    REAL(int, "unlinkat", int, const char *, int);
    char whole[PATH_MAX];
    const char *mine = below(folder, path, whole);
    if (mine == NULL) {
        return real(folder, path, flags);
    }
    hook_call call = {
        .op = (flags & AT_REMOVEDIR) != 0 ? HOOK_RMDIR : HOOK_UNLINK, .path = mine, .fd = -1};
    int result;
    HOOKED(&call, result, real(folder, path, flags));
    return result;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return rmdir(path);
    }
    return unlink(path);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(int, "mkdirat", int, const char *, mode_t);
    char whole[PATH_MAX];
    const char *mine = below(folder, path, whole);
    if (mine == NULL) {
        return real(folder, path, mode);
    }
    hook_call call = {.op = HOOK_MKDIR, .path = mine, .fd = -1};
    int result;
    HOOKED(&call, result, real(folder, path, mode));
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    REAL(void *, "mmap", void *, size_t, int, int, int, off_t);
    if (!is_watched(fd)) {
        return real(address, size, protection, flags, fd, offset);
    }
    hook_call call = {.op = HOOK_MMAP, .fd = fd, .flags = protection, .size = size};
    const int refusal = hook_before(&call);
    if (refusal != 0) {
        errno = refusal;
        return MAP_FAILED;
    }
    void *result = real(address, size, protection, flags, fd, offset);
    const int reason = errno;
    hook_after(&call, result == MAP_FAILED ? -1 : 0);
    errno = reason;
    return result;
}
