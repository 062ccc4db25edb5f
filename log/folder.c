#include "log/folder.h"

#include "log/store_holder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const subfolders[] = {"executors", "output", "work", "locks"};
enum { SUBFOLDERS = sizeof subfolders / sizeof subfolders[0], FORMAT_FILE_MAX = 256 };

static const char format_line[] = RATOON__FOLDER_FORMAT_LINE;

ratoon_status ratoon__fail_errno(ratoon_error *error, ratoon_status code, const char *what,
                                 const char *path)
{
    int number = errno;
    const char *text = strerrordesc_np(number);
    code = number == ENOMEM ? RATOON_ERR_NO_MEMORY : code;
    ratoon__fail(error, code, "%s: %s: %s", what, path, text == NULL ? "unknown error" : text);
    if (error != NULL) {
        error->backend_code = number;
    }
    return code;
}

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

char *ratoon__path_join(const char *folder, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* ---- shape ---- */

ratoon_status ratoon__folder_mend(const char *path, ratoon_error *error)
{
    for (size_t i = 0; i < SUBFOLDERS; i++) {
        char *folder = ratoon__path_join(path, subfolders[i]);
        if (folder == NULL) {
            return no_memory(error);
        }
        ratoon_status status = RATOON_OK;
        if (mkdir(folder, S_IRWXU) != 0 && errno != EEXIST) {
            status = ratoon__fail_errno(error, RATOON_ERR_IO, "can't make the folder", folder);
        }
        free(folder);
        if (status != RATOON_OK) {
            return status;
        }
    }
    return RATOON_OK;
}

/* ---- opening ---- */

static ratoon_status check_format(const char *path, const char *text, ratoon_error *error)
{
    size_t prefix = sizeof format_line - 1;
    if (strncmp(text, format_line, prefix) == 0 && strncmp(text + prefix, "format ", 7) == 0) {
        char *end = NULL;
        errno = 0;
        const char *number = text + prefix + 7;
        unsigned long version = strtoul(number, &end, 10);
        /* strtoul() would take a sign, blanks and zeros before it, too. */
        if (errno == 0 && *number >= '1' && *number <= '9' && *end == '\n') {
            if (version <= RATOON__FOLDER_FORMAT) {
                return RATOON_OK;
            }
            ratoon__fail(error, RATOON_ERR_UNSUPPORTED,
                         "the store %s has format %U, this version reads up to %U", path,
                         (uint64_t)version, (uint64_t)RATOON__FOLDER_FORMAT);
            ratoon__hint(error, "open it with a newer version; nothing was changed");
            return RATOON_ERR_UNSUPPORTED;
        }
    }
    ratoon__fail(error, RATOON_ERR_DAMAGED, "the format file of the store %s is garbled", path);
    ratoon__hint(error,
                 "expected the lines \"ratoon store\" and \"format %U\"; nothing was changed",
                 (uint64_t)RATOON__FOLDER_FORMAT);
    return RATOON_ERR_DAMAGED;
}

static ratoon_status check_db(const char *path, ratoon_error *error)
{
    char *db = ratoon__path_join(path, "db/CURRENT");
    if (db == NULL) {
        return no_memory(error);
    }
    ratoon_status status = RATOON_OK;
    if (access(db, F_OK) != 0) {
        status = ratoon__fail_errno(error, errno == ENOENT ? RATOON_ERR_DAMAGED : RATOON_ERR_IO,
                                    "the store has no database", db);
    }
    free(db);
    return status;
}

static bool is_empty(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry = NULL;
    while (folder != NULL && (entry = readdir(folder)) != NULL &&
           (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)) {
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return folder != NULL && entry == NULL;
}

ratoon_status ratoon__folder_check(const char *path, ratoon_error *error)
{
    struct stat there;
    if (stat(path, &there) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) {
            return ratoon__fail_errno(error, RATOON_ERR_IO, "can't look at the store", path);
        }
        ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no store at %s: no such folder", path);
        ratoon__hint(error, "opening never creates a store");
        return RATOON_ERR_NOT_FOUND;
    }
    if (!S_ISDIR(there.st_mode)) {
        return ratoon__fail(error, RATOON_ERR_DAMAGED, "%s is no store: not a folder", path);
    }
    if (is_empty(path)) {
        ratoon__fail(error, RATOON_ERR_NOT_FOUND, "there is no store at %s: the folder is empty",
                     path);
        ratoon__hint(error, "opening never creates a store");
        return RATOON_ERR_NOT_FOUND;
    }
    char *name = ratoon__path_join(path, "format");
    if (name == NULL) {
        return no_memory(error);
    }
    char text[FORMAT_FILE_MAX + 1] = {0};
    ratoon_status status = RATOON_OK;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        status = ratoon__fail_errno(error, errno == ENOENT ? RATOON_ERR_DAMAGED : RATOON_ERR_IO,
                                    "the folder is no store, or a damaged one", name);
    } else if (read(fd, text, FORMAT_FILE_MAX) < 0) {
        status = ratoon__fail_errno(error, RATOON_ERR_IO, "can't read", name);
    } else {
        status = check_format(path, text, error);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(name);
    return status == RATOON_OK ? check_db(path, error) : status;
}

/* A flock, and not only RocksDB's own lock: that one is of the fcntl kind, which is dropped as soon
 * as its process closes any descriptor of the file, and trying it goes with opening the database,
 * which moves the owner's files about. */
ratoon_status ratoon__folder_lock(const char *path, int *fd_out, ratoon_error *error)
{
    char *name = ratoon__path_join(path, "locks/owner");
    if (name == NULL) {
        return no_memory(error);
    }
    ratoon_status status = RATOON_OK;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        status = ratoon__fail_errno(error, RATOON_ERR_IO, "can't open the owner's lock", name);
    } else if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *fd_out = fd;
    } else if (errno == EWOULDBLOCK) {
        ratoon__store_holder holder;
        status = ratoon__store_holder_find(path, &holder)
                     ? ratoon__fail(error, RATOON_ERR_STORE_BUSY,
                                    "the store %s is in use by process %d (%s)", path,
                                    (int)holder.pid, holder.name)
                     : ratoon__fail(error, RATOON_ERR_STORE_BUSY,
                                    "the store %s is in use by another process", path);
        ratoon__hint(error, "reach it through its owner, or wait until that process has ended");
    } else {
        status = ratoon__fail_errno(error, RATOON_ERR_IO, "can't lock", name);
    }
    if (status != RATOON_OK && fd >= 0) {
        close(fd);
    }
    free(name);
    return status;
}
