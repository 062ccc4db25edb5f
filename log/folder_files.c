/* Files of a store's folder that are not the folder's shape: room and ballast, log files kept
 * aside, whole-file writes, trees. */
#include "log/folder.h"

#include "log/points.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { TREE_FILES_MAX = 16 };

static const char links_name[] = RATOON__LOGS_LINKED; /* where they wait for the verdict */

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

/* ---- trees and whole files ---- */

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    (void)remove(path);
    return 0;
}

void ratoon__tree_remove(const char *path)
{
    (void)nftw(path, remove_one, TREE_FILES_MAX, FTW_DEPTH | FTW_PHYS);
}

static int sync_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)walk;
    if (type != FTW_F && type != FTW_DP) {
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno;
    }
    int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    return failed;
}

ratoon_status ratoon__tree_sync(const char *path, ratoon_error *error)
{
    int failed = nftw(path, sync_one, TREE_FILES_MAX, FTW_DEPTH | FTW_PHYS);
    if (failed == 0) {
        return RATOON_OK;
    }
    if (failed > 0) {
        errno = failed;
    }
    return ratoon__fail_errno(error, RATOON_ERR_IO, "can't sync the folder", path);
}

static bool write_all(int fd, const void *data, size_t size)
{
    const char *bytes = data;
    while (size > 0) {
        ssize_t done = write(fd, bytes, size);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        bytes += done;
        size -= (size_t)done;
    }
    return true;
}

ratoon_status ratoon__file_write(const char *path, const void *data, size_t size,
                                 ratoon_error *error)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.new", path) < 0) {
        return no_memory(error);
    }
    ratoon_status status = RATOON_OK;
    int fd =
        open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    bool written = fd >= 0 && write_all(fd, data, size) && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0) {
        written = false;
    }
    ratoon__at(RATOON__POINT_FILE_WRITTEN);
    if (!written || rename(temporary, path) != 0) {
        status = ratoon__fail_errno(error, RATOON_ERR_IO, "can't write", path);
        (void)unlink(temporary);
    }
    ratoon__at(RATOON__POINT_FILE_RENAMED);
    if (status == RATOON_OK) {
        status = ratoon__parent_sync(path, error); /* its name too */
    }
    free(temporary);
    return status;
}

/* A name that nothing has yet; a file system may lack one of the two ways. */
static bool give_name(const char *temporary, const char *path)
{
    return link(temporary, path) == 0 ||
           (errno != EEXIST &&
            renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0);
}

ratoon_status ratoon__file_create(const char *path, const void *data, size_t size, unsigned mode,
                                  ratoon_error *error)
{
    static _Atomic unsigned counter;
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.%d-%u.new", path, (int)getpid(), atomic_fetch_add(&counter, 1)) <
        0) {
        return no_memory(error);
    }
    ratoon_status status = RATOON_OK;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)mode);
    bool written = fd >= 0 && write_all(fd, data, size) && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0) {
        written = false;
    }
    if (!written || !give_name(temporary, path)) {
        status = written && errno == EEXIST
                     ? ratoon__fail(error, RATOON_ERR_EXISTS, "there is a file %s already", path)
                     : ratoon__fail_errno(error, RATOON_ERR_IO, "can't write", path);
    }
    if (fd >= 0) {
        (void)unlink(temporary);
    }
    free(temporary);
    return status == RATOON_OK ? ratoon__parent_sync(path, error) : status;
}

/* ---- room ---- */

uint64_t ratoon__folder_room(const char *path)
{
    struct statvfs disk;
    if (statvfs(path, &disk) != 0) {
        return UINT64_MAX;
    }
    return (uint64_t)disk.f_bavail * disk.f_frsize;
}

void ratoon__ballast_set(const char *path, uint64_t size)
{
    char *name = ratoon__path_join(path, "ballast");
    if (name == NULL) {
        return;
    }
    if (size == 0) {
        (void)unlink(name);
    } else if (truncate(name, (off_t)size) != 0) {
        errno = 0; /* not there: nothing to shrink */
    }
    free(name);
}

bool ratoon__ballast_grow(const char *path, uint64_t size)
{
    char *name = ratoon__path_join(path, "ballast");
    if (name == NULL) {
        return false;
    }
    bool grown = false;
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd >= 0) {
        /* Where room can't be reserved for another reason than that there is none, a ballast is not
         * to be had: then there is none. */
        grown = fallocate(fd, 0, 0, (off_t)size) == 0 || (errno != ENOSPC && errno != EDQUOT);
        close(fd);
    }
    free(name);
    return grown;
}

/* ---- log files kept aside ---- */

static bool copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    bool copied = out >= 0;
    while (copied) {
        ssize_t done = sendfile(out, in, NULL, 1 << 20);
        if (done == 0) {
            break;
        }
        copied = done > 0;
    }
    if (in >= 0) {
        close(in);
    }
    if (out >= 0) {
        close(out);
    }
    return copied;
}

/* Where the last of what was ever written to a file ends: the log of a process that was killed is
 * as long as the space that was allocated for it (rocksdb_env.cc). */
static bool written_size(const char *path, uint64_t *size)
{
    struct stat file;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const bool known = fd >= 0 && fstat(fd, &file) == 0;
    if (known) {
        off_t end = 0;
        for (off_t data = 0; data >= 0; data = lseek(fd, end, SEEK_DATA)) {
            end = lseek(fd, data, SEEK_HOLE);
            if (end < 0) { /* not told here, or the file is empty */
                end = file.st_size;
                break;
            }
        }
        *size = (uint64_t)end;
    }
    if (fd >= 0) {
        close(fd);
    }
    return known;
}

/* RocksDB never writes to a log file that it did not begin itself since it was opened, so a link
 * keeps what it held. */
static bool link_files(const char *db, const char *links, const char *ending, ratoon__logs *logs)
{
    DIR *folder = opendir(db);
    if (folder == NULL) {
        return false;
    }
    bool linked = true;
    uint64_t oldest = UINT64_MAX;
    uint64_t oldest_size = 0;
    const struct dirent *entry;
    while (linked && (entry = readdir(folder)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        if (dot == NULL || strcmp(dot, ending) != 0) {
            continue;
        }
        char *from = ratoon__path_join(db, entry->d_name);
        char *to = ratoon__path_join(links, entry->d_name);
        uint64_t size;
        linked = from != NULL && to != NULL && (link(from, to) == 0 || copy_file(from, to)) &&
                 written_size(from, &size);
        if (linked) {
            const uint64_t number = strtoull(entry->d_name, NULL, 10);
            logs->bytes += size;
            if (number < oldest) {
                oldest = number;
                oldest_size = size;
            }
        }
        free(from);
        free(to);
    }
    closedir(folder);
    logs->later_bytes = logs->bytes - oldest_size;
    return linked;
}

/* RocksDB leaves an empty log file behind at every opening that nothing is appended after, and
 * removes them only once something is. */
static void remove_empty_logs(const char *db)
{
    DIR *folder = opendir(db);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        struct stat file;
        if (dot != NULL && strcmp(dot, ".log") == 0 &&
            fstatat(dirfd(folder), entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(file.st_mode) && file.st_size == 0) {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
}

ratoon_status ratoon__logs_link(const char *path, ratoon__logs *logs, ratoon_error *error)
{
    *logs = (ratoon__logs){0};
    char *db = ratoon__path_join(path, "db");
    char *links = ratoon__path_join(path, links_name);
    ratoon_status status = RATOON_OK;
    if (db == NULL || links == NULL) {
        status = no_memory(error);
    } else {
        ratoon__tree_remove(links);
        remove_empty_logs(db);
        if (mkdir(links, S_IRWXU) != 0 || !link_files(db, links, ".log", logs)) {
            status = ratoon__fail_errno(error, RATOON_ERR_IO, "can't keep the log files", links);
            ratoon__tree_remove(links);
        }
    }
    free(links);
    free(db);
    return status;
}

bool ratoon__files_link(const char *path)
{
    ratoon__logs ignored = {0};
    char *db = ratoon__path_join(path, "db");
    char *links = ratoon__path_join(path, links_name);
    const bool linked = db != NULL && links != NULL && link_files(db, links, ".sst", &ignored) &&
                        link_files(db, links, ".blob", &ignored);
    free(links);
    free(db);
    return linked;
}

void ratoon__logs_unlink(const char *path)
{
    char *links = ratoon__path_join(path, links_name);
    if (links != NULL) {
        ratoon__tree_remove(links);
    }
    free(links);
}

void ratoon__folder_stamp(char stamp[RATOON__STAMP_SIZE])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t size = strftime(stamp, RATOON__STAMP_SIZE, "%Y%m%dT%H%M%S", &utc);
    snprintf(stamp + size, RATOON__STAMP_SIZE - size, ".%06dZ", (int)(now.tv_nsec / 1000));
}

void ratoon__logs_keep(const char *path, char **kept)
{
    char *links = ratoon__path_join(path, links_name);
    char *folder = NULL;
    char stamp[RATOON__STAMP_SIZE];
    ratoon__folder_stamp(stamp);
    *kept = NULL;
    if (links != NULL && asprintf(&folder, "%s/damaged-%s", path, stamp) >= 0) {
        if (rename(links, folder) == 0) {
            *kept = folder;
        } else {
            free(folder);
        }
    }
    free(links);
}
