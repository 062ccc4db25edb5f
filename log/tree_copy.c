/* Copying a folder with all that is in it, while others may write there. */
#include "log/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, PIECE = 1 << 20, SETTLED_SECONDS = 2 };

static bool copy_bytes(int in, int out)
{
    for (;;) {
        const ssize_t done = sendfile(out, in, NULL, PIECE);
        if (done == 0) {
            return true;
        }
        if (done < 0 && errno != EINTR) {
            return false;
        }
    }
}

/* Whether a file is what an earlier copying has left. Times of files go in steps of some
 * milliseconds, so the time of one that was written just now says nothing. */
static bool is_same(int folder, const char *name, const struct stat *from)
{
    struct stat to;
    if (from->st_mtim.tv_sec + SETTLED_SECONDS > time(NULL)) {
        return false;
    }
    return fstatat(folder, name, &to, AT_SYMLINK_NOFOLLOW) == 0 && to.st_size == from->st_size &&
           to.st_mtim.tv_sec == from->st_mtim.tv_sec && to.st_mtim.tv_nsec == from->st_mtim.tv_nsec;
}

static bool copy_file(int from, int to, const char *name, const struct stat *st)
{
    if (is_same(to, name, st)) {
        return true;
    }
    const int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0) {
        return errno == ENOENT; /* gone since */
    }
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    const mode_t mode = st->st_mode & (S_IRWXU | S_IRWXG | S_IRWXO);
    const int out =
        openat(to, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    const bool copied = out >= 0 && copy_bytes(in, out) && fchmod(out, mode | S_IWUSR) == 0 &&
                        futimens(out, times) == 0;
    const int reason = errno;
    if (out >= 0) {
        close(out);
    }
    close(in);
    errno = reason;
    return copied;
}

/* Takes over both descriptors. */
static bool copy_folder(int from, int to, bool (*wanted)(const char *name), unsigned depth)
{
    DIR *folder = depth > DEPTH_MAX ? NULL : fdopendir(from);
    if (folder == NULL) {
        close(from);
        close(to);
        errno = depth > DEPTH_MAX ? ELOOP : errno;
        return false;
    }
    bool copied = true;
    const struct dirent *entry;
    while (copied && (entry = readdir(folder)) != NULL) {
        const char *name = entry->d_name;
        struct stat st;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (wanted && !wanted(name)) ||
            fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            const int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
            if (in < 0) {
                copied = errno == ENOENT;
                continue;
            }
            copied = mkdirat(to, name, S_IRWXU) == 0 || errno == EEXIST;
            const int out = copied ? openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
            if (out < 0) {
                close(in);
                copied = false;
            } else {
                copied = copy_folder(in, out, NULL, depth + 1);
            }
        } else if (S_ISREG(st.st_mode)) {
            copied = copy_file(from, to, name, &st);
        }
    }
    const int reason = errno;
    closedir(folder);
    close(to);
    errno = reason;
    return copied;
}

ratoon_status ratoon__tree_copy(const char *from, const char *to, bool (*wanted)(const char *name),
                                ratoon_error *error)
{
    const int in = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (in < 0) {
        return ratoon__fail_errno(error, RATOON_ERR_IO, "can't read the folder", from);
    }
    const int out = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out < 0) {
        const ratoon_status status =
            ratoon__fail_errno(error, RATOON_ERR_IO, "can't open the folder", to);
        close(in);
        return status;
    }
    return copy_folder(in, out, wanted, 0)
               ? RATOON_OK
               : ratoon__fail_errno(error, RATOON_ERR_IO, "can't copy into the folder", to);
}
