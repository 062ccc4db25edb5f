/* Files below /sim, in memory: what is kept in a store's folder beside the database (locks, work
 * folders, what stages write). Everything else is left to the system. As far as the linked objects
 * use files, and no further. */
#include "tests/sim/sim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT "/sim"
enum { FIRST_FD = 1 << 20, OPEN_MAX_ = 4096, PATH_SIZE = 1024 };

typedef struct node {
    struct node *next;
    char *path;
    uint64_t hash, ino;
    bool folder;
    unsigned opened;
    bool linked;
    char *data;
    size_t size;
    struct description *owner; /* of the exclusive lock */
    unsigned sharers;
} node;

typedef struct description {
    node *n;
    size_t offset;
    bool append, shares;
} description;

typedef struct folder_stream { /* a DIR */
    struct folder_stream *next;
    int fd;
    char *path;
    uint64_t after; /* ino of the last one */
    struct dirent entry;
} folder_stream;

static node *nodes;
static uint64_t last_ino;
static description open_files[OPEN_MAX_];
static folder_stream *streams;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);
int __real_close(int fd);
int __wrap_close(int fd);
ssize_t __real_read(int fd, void *data, size_t size);
ssize_t __wrap_read(int fd, void *data, size_t size);
ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __real_pread(int fd, void *data, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset);
int __real_fstat(int fd, struct stat *out);
int __wrap_fstat(int fd, struct stat *out);
int __real_stat(const char *path, struct stat *out);
int __wrap_stat(const char *path, struct stat *out);
int __real_lstat(const char *path, struct stat *out);
int __wrap_lstat(const char *path, struct stat *out);
int __real_fstatat(int folder, const char *path, struct stat *out, int flags);
int __wrap_fstatat(int folder, const char *path, struct stat *out, int flags);
int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __real_mkdirat(int folder, const char *path, mode_t mode);
int __wrap_mkdirat(int folder, const char *path, mode_t mode);
int __real_rmdir(const char *path);
int __wrap_rmdir(const char *path);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
int __real_unlinkat(int folder, const char *path, int flags);
int __wrap_unlinkat(int folder, const char *path, int flags);
int __real_remove(const char *path);
int __wrap_remove(const char *path);
int __real_nftw(const char *path, __nftw_func_t fn, int fds, int flags);
int __wrap_nftw(const char *path, __nftw_func_t fn, int fds, int flags);
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__real_fdopendir(int fd);
DIR *__wrap_fdopendir(int fd);
struct dirent *__real_readdir(DIR *folder);
struct dirent *__wrap_readdir(DIR *folder);
int __real_closedir(DIR *folder);
int __wrap_closedir(DIR *folder);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __real_dirfd(DIR *folder);
int __wrap_dirfd(DIR *folder);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
char *__real_realpath(const char *path, char *out);
char *__wrap_realpath(const char *path, char *out);

/* ---- nodes ---- */

static bool ours(const char *path)
{
    return strncmp(path, ROOT, sizeof ROOT - 1) == 0 &&
           (path[sizeof ROOT - 1] == '/' || path[sizeof ROOT - 1] == '\0');
}

static uint64_t hash_of(const char *path)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *path != '\0'; path++) {
        h = (h ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
    }
    return h;
}

static node *find(const char *path)
{
    const uint64_t h = hash_of(path);
    for (node *n = nodes; n != NULL; n = n->next) {
        if (n->linked && n->hash == h && strcmp(n->path, path) == 0) {
            return n;
        }
    }
    return NULL;
}

static int errno_is(int error)
{
    errno = error;
    return -1;
}

/* What is left of a killed process changes no file any more. */
static bool frozen(void)
{
    return sim_self() != NULL && sim_self()->dead;
}

static bool parent_is_there(const char *path)
{
    char parent[PATH_SIZE];
    (void)snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    *slash = '\0';
    const node *n = find(parent);
    return n != NULL && n->folder;
}

static node *node_new(const char *path, bool folder)
{
    node *n = calloc(1, sizeof *n);
    n->path = strdup(path);
    n->hash = hash_of(path);
    n->ino = ++last_ino;
    n->folder = folder;
    n->linked = true;
    n->next = nodes;
    nodes = n;
    return n;
}

static void drop(node *n)
{
    if (n->linked || n->opened > 0) {
        return;
    }
    for (node **at = &nodes; *at != NULL; at = &(*at)->next) {
        if (*at == n) {
            *at = n->next;
            break;
        }
    }
    free(n->path);
    free(n->data);
    free(n);
}

static bool has_children(const node *folder)
{
    const size_t size = strlen(folder->path);
    for (const node *n = nodes; n != NULL; n = n->next) {
        if (n->linked && strncmp(n->path, folder->path, size) == 0 && n->path[size] == '/') {
            return true;
        }
    }
    return false;
}

static int unlink_node(node *n)
{
    if (n == NULL) {
        return errno_is(ENOENT);
    }
    if (frozen()) {
        return errno_is(EIO);
    }
    if (n->folder && has_children(n)) {
        return errno_is(ENOTEMPTY);
    }
    n->linked = false;
    drop(n);
    return 0;
}

void sim_files_open(void)
{
    (void)node_new(ROOT, true);
}

void sim_files_close(void)
{
    while (nodes != NULL) {
        node *n = nodes;
        n->linked = false;
        n->opened = 0;
        drop(n);
    }
}

/* ---- descriptors ---- */

static description *of(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + OPEN_MAX_ && open_files[fd - FIRST_FD].n != NULL
               ? &open_files[fd - FIRST_FD]
               : NULL;
}

static int open_node(node *n, int flags)
{
    for (int i = 0; i < OPEN_MAX_; i++) {
        if (open_files[i].n == NULL) {
            open_files[i] = (description){.n = n, .append = (flags & O_APPEND) != 0};
            n->opened++;
            if ((flags & O_TRUNC) != 0) {
                n->size = 0;
            }
            return FIRST_FD + i;
        }
    }
    return errno_is(EMFILE);
}

static int open_path(const char *path, int flags)
{
    node *n = find(path);
    if (n == NULL && ((flags & O_CREAT) == 0 || !parent_is_there(path))) {
        return errno_is(ENOENT);
    }
    if (frozen() && (flags & (O_CREAT | O_TRUNC)) != 0) {
        return errno_is(EIO);
    }
    if (n != NULL && (flags & O_EXCL) != 0) {
        return errno_is(EEXIST);
    }
    if (n != NULL && !n->folder && (flags & O_DIRECTORY) != 0) {
        return errno_is(ENOTDIR);
    }
    return open_node(n != NULL ? n : node_new(path, false), flags);
}

/* The path below an open folder of ours; false: it is none. */
static bool resolve(int folder, const char *path, char out[PATH_SIZE])
{
    const description *d = of(folder);
    if (path[0] == '/' || d == NULL) {
        (void)snprintf(out, PATH_SIZE, "%s", path);
        return ours(path);
    }
    (void)snprintf(out, PATH_SIZE, "%s/%s", d->n->path, path);
    return true;
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return ours(path) ? open_path(path, flags) : __real_open(path, flags, mode);
}

int __wrap_openat(int folder, const char *path, int flags, ...)
{
    char whole[PATH_SIZE];
    va_list args;
    va_start(args, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return resolve(folder, path, whole) ? open_path(whole, flags)
                                        : __real_openat(folder, path, flags, mode);
}

static void unlock(description *d)
{
    if (d->n->owner == d) {
        d->n->owner = NULL;
    }
    if (d->shares) {
        d->shares = false;
        d->n->sharers--;
    }
}

int __wrap_close(int fd)
{
    description *d = of(fd);
    if (d == NULL) {
        return __real_close(fd);
    }
    node *n = d->n;
    unlock(d);
    d->n = NULL;
    n->opened--;
    drop(n);
    return 0;
}

/* What a descriptor locks is given back, though it stays open. */
void sim_files_unlock(int fd)
{
    unlock(of(fd));
}

int __wrap_flock(int fd, int operation)
{
    description *d = of(fd);
    if (d == NULL) {
        return __real_flock(fd, operation);
    }
    const unsigned others = d->n->sharers - (d->shares ? 1 : 0);
    const bool held = d->n->owner != NULL && d->n->owner != d;
    if ((operation & LOCK_UN) != 0) {
        unlock(d);
        return 0;
    }
    if (held || ((operation & LOCK_EX) != 0 && others > 0)) {
        if ((operation & LOCK_NB) != 0) {
            return errno_is(EWOULDBLOCK);
        }
        sim_sleep(SIM_MS);
        return errno_is(EINTR); /* asked again */
    }
    unlock(d);
    if ((operation & LOCK_EX) != 0) {
        d->n->owner = d;
    } else {
        d->shares = true;
        d->n->sharers++;
    }
    return 0;
}

/* ---- bytes ---- */

static ssize_t read_at(const node *n, void *data, size_t size, size_t offset)
{
    if (n->folder) {
        return errno_is(EISDIR);
    }
    if (offset >= n->size) {
        return 0;
    }
    size = size < n->size - offset ? size : n->size - offset;
    memcpy(data, n->data + offset, size);
    return (ssize_t)size;
}

ssize_t __wrap_read(int fd, void *data, size_t size)
{
    description *d = of(fd);
    if (d == NULL) {
        return __real_read(fd, data, size);
    }
    const ssize_t n = read_at(d->n, data, size, d->offset);
    d->offset += n > 0 ? (size_t)n : 0;
    return n;
}

ssize_t __wrap_pread(int fd, void *data, size_t size, off_t offset)
{
    const description *d = of(fd);
    return d != NULL ? read_at(d->n, data, size, (size_t)offset)
                     : __real_pread(fd, data, size, offset);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    description *d = of(fd);
    if (d == NULL) {
        return __real_write(fd, data, size);
    }
    if (frozen()) {
        return errno_is(EIO);
    }
    node *n = d->n;
    const size_t at = d->append ? n->size : d->offset;
    if (at + size > n->size) {
        n->data = realloc(n->data, at + size);
        memset(n->data + n->size, 0, at + size - n->size);
        n->size = at + size;
    }
    memcpy(n->data + at, data, size);
    d->offset = at + size;
    return (ssize_t)size;
}

/* Anonymous memory with the file's bytes, so that it is unmapped like any other. */
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    const description *d = of(fd);
    if (d == NULL) {
        return __real_mmap(at, size, protection, flags, fd, offset);
    }
    void *copy =
        __real_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy != MAP_FAILED) {
        (void)read_at(d->n, copy, size, 0);
    }
    return copy;
}

int __wrap_fsync(int fd)
{
    return of(fd) != NULL ? 0 : __real_fsync(fd);
}

/* ---- what is there ---- */

static int describe(const node *n, struct stat *out)
{
    if (n == NULL) {
        return errno_is(ENOENT);
    }
    memset(out, 0, sizeof *out);
    out->st_dev = 1;
    out->st_ino = n->ino;
    out->st_mode = n->folder ? S_IFDIR | 0700 : S_IFREG | 0600;
    out->st_nlink = n->linked ? 1 : 0;
    out->st_size = (off_t)n->size;
    out->st_uid = getuid();
    return 0;
}

int __wrap_fstat(int fd, struct stat *out)
{
    const description *d = of(fd);
    return d != NULL ? describe(d->n, out) : __real_fstat(fd, out);
}

int __wrap_stat(const char *path, struct stat *out)
{
    return ours(path) ? describe(find(path), out) : __real_stat(path, out);
}

int __wrap_lstat(const char *path, struct stat *out)
{
    return ours(path) ? describe(find(path), out) : __real_lstat(path, out);
}

int __wrap_fstatat(int folder, const char *path, struct stat *out, int flags)
{
    char whole[PATH_SIZE];
    return resolve(folder, path, whole) ? describe(find(whole), out)
                                        : __real_fstatat(folder, path, out, flags);
}

int __wrap_access(const char *path, int mode)
{
    if (!ours(path)) {
        return __real_access(path, mode);
    }
    return find(path) != NULL ? 0 : errno_is(ENOENT);
}

char *__wrap_realpath(const char *path, char *out)
{
    if (!ours(path)) {
        return __real_realpath(path, out);
    }
    return out == NULL ? strdup(path) : strcpy(out, path);
}

/* ---- making and removing ---- */

static int make_folder(const char *path)
{
    if (frozen()) {
        return errno_is(EIO);
    }
    if (find(path) != NULL) {
        return errno_is(EEXIST);
    }
    if (!parent_is_there(path)) {
        return errno_is(ENOENT);
    }
    (void)node_new(path, true);
    return 0;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return ours(path) ? make_folder(path) : __real_mkdir(path, mode);
}

int __wrap_mkdirat(int folder, const char *path, mode_t mode)
{
    char whole[PATH_SIZE];
    return resolve(folder, path, whole) ? make_folder(whole) : __real_mkdirat(folder, path, mode);
}

int __wrap_rmdir(const char *path)
{
    return ours(path) ? unlink_node(find(path)) : __real_rmdir(path);
}

int __wrap_unlink(const char *path)
{
    return ours(path) ? unlink_node(find(path)) : __real_unlink(path);
}

int __wrap_unlinkat(int folder, const char *path, int flags)
{
    char whole[PATH_SIZE];
    return resolve(folder, path, whole) ? unlink_node(find(whole))
                                        : __real_unlinkat(folder, path, flags);
}

int __wrap_remove(const char *path)
{
    return ours(path) ? unlink_node(find(path)) : __real_remove(path);
}

/* Of a file; what is there is replaced. */
int __wrap_rename(const char *from, const char *to)
{
    if (!ours(from)) {
        return __real_rename(from, to);
    }
    node *n = find(from), *old = find(to);
    if (n == NULL || n->folder || frozen()) {
        return errno_is(n == NULL ? ENOENT : EIO);
    }
    if (old != NULL) {
        (void)unlink_node(old);
    }
    free(n->path);
    n->path = strdup(to);
    n->hash = hash_of(to);
    return 0;
}

/* The deepest below a folder, itself the last; NULL: there is nothing. */
static node *deepest(const char *path)
{
    const size_t size = strlen(path);
    node *found = NULL;
    for (node *n = nodes; n != NULL; n = n->next) {
        if (n->linked && strncmp(n->path, path, size) == 0 &&
            (n->path[size] == '/' || n->path[size] == '\0') &&
            (found == NULL || strlen(n->path) > strlen(found->path))) {
            found = n;
        }
    }
    return found;
}

/* Walks to remove: what the callback leaves is passed over. */
int __wrap_nftw(const char *path, __nftw_func_t fn, int fds, int flags)
{
    if (!ours(path)) {
        return __real_nftw(path, fn, fds, flags);
    }
    node *n = deepest(path);
    if (n == NULL) {
        return errno_is(ENOENT);
    }
    for (const node *last = NULL; n != NULL && n != last; n = deepest(path)) {
        struct stat info;
        struct FTW where = {0};
        (void)describe(n, &info);
        char *copy = strdup(n->path);
        const int result = fn(copy, &info, n->folder ? FTW_DP : FTW_F, &where);
        free(copy);
        if (result != 0) {
            return result;
        }
        last = n;
    }
    return 0;
}

/* ---- lists ---- */

static DIR *stream_new(const char *path, int fd)
{
    folder_stream *s = calloc(1, sizeof *s);
    s->fd = fd;
    s->path = strdup(path);
    s->next = streams;
    streams = s;
    return (DIR *)s;
}

static folder_stream *stream_of(DIR *folder)
{
    for (folder_stream *s = streams; s != NULL; s = s->next) {
        if ((DIR *)s == folder) {
            return s;
        }
    }
    return NULL;
}

DIR *__wrap_opendir(const char *path)
{
    if (!ours(path)) {
        return __real_opendir(path);
    }
    const node *n = find(path);
    if (n == NULL || !n->folder) {
        errno = n == NULL ? ENOENT : ENOTDIR;
        return NULL;
    }
    return stream_new(path, open_path(path, O_RDONLY));
}

DIR *__wrap_fdopendir(int fd)
{
    const description *d = of(fd);
    return d != NULL ? stream_new(d->n->path, fd) : __real_fdopendir(fd);
}

struct dirent *__wrap_readdir(DIR *folder)
{
    folder_stream *s = stream_of(folder);
    if (s == NULL) {
        return __real_readdir(folder);
    }
    const size_t size = strlen(s->path);
    const node *next = NULL;
    for (const node *n = nodes; n != NULL; n = n->next) {
        if (n->linked && n->ino > s->after && strncmp(n->path, s->path, size) == 0 &&
            n->path[size] == '/' && strchr(n->path + size + 1, '/') == NULL &&
            (next == NULL || n->ino < next->ino)) {
            next = n;
        }
    }
    if (next == NULL) {
        return NULL;
    }
    s->after = next->ino;
    s->entry.d_ino = next->ino;
    s->entry.d_type = next->folder ? DT_DIR : DT_REG;
    (void)snprintf(s->entry.d_name, sizeof s->entry.d_name, "%s", next->path + size + 1);
    return &s->entry;
}

int __wrap_closedir(DIR *folder)
{
    folder_stream *s = stream_of(folder);
    if (s == NULL) {
        return __real_closedir(folder);
    }
    for (folder_stream **at = &streams; *at != NULL; at = &(*at)->next) {
        if (*at == s) {
            *at = s->next;
            break;
        }
    }
    (void)__wrap_close(s->fd);
    free(s->path);
    free(s);
    return 0;
}

int __wrap_dirfd(DIR *folder)
{
    const folder_stream *s = stream_of(folder);
    return s != NULL ? s->fd : __real_dirfd(folder);
}

/* For reading: a copy. */
FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (!ours(path)) {
        return __real_fopen(path, mode);
    }
    const node *n = find(path);
    if (n == NULL || mode[0] != 'r') {
        errno = ENOENT;
        return NULL;
    }
    FILE *f = fmemopen(NULL, n->size + 1, "w+");
    if (f != NULL) {
        (void)fwrite(n->data, 1, n->size, f);
        rewind(f);
    }
    return f;
}
