/* How a store's folder comes into being: whole or not at all. It is made under another name beside
 * its place; who makes it holds a lock on it, so that what a crash leaves can be told from what
 * somebody is at, and is removed by whoever makes something of the same name next. */
#include "log/folder.h"

#include "log/points.h"
#include "log/witness.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_TRIES_MAX = 100 };

static const char creating[] = ".creating-";

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

/* ---- its place ---- */

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL   ? strdup(".")
           : slash == path ? strdup("/")
                           : strndup(path, (size_t)(slash - path));
}

/* Opens the folder that it lies in, to be synced: before it appears there, so that nothing but the
 * sync itself can fail then. -1: *error says why. */
static int open_parent(const char *path, ratoon_error *error)
{
    char *parent = parent_of(path);
    if (parent == NULL) {
        (void)no_memory(error);
        return -1;
    }
    const int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)ratoon__fail_errno(error, RATOON_ERR_IO, "can't open the folder", parent);
    }
    free(parent);
    return fd;
}

ratoon_status ratoon__parent_sync(const char *path, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    const int fd = open_parent(path, error);
    if (fd < 0) {
        return error != NULL ? error->code : RATOON_ERR_IO;
    }
    if (fsync(fd) != 0) {
        status = ratoon__fail_errno(error, RATOON_ERR_IO, "can't sync the folder above", path);
    }
    close(fd);
    return status;
}

/* ---- its temporary name ---- */

static int lock_folder(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int result = fd < 0 ? -1 : flock(fd, LOCK_EX | LOCK_NB);
    while (result != 0 && fd >= 0 && errno == EINTR) {
        result = flock(fd, LOCK_EX | LOCK_NB);
    }
    if (result != 0 && fd >= 0 && errno == EWOULDBLOCK) {
        close(fd);
        return -1;
    }
    return fd; /* also where there are no locks: then nobody else gets one, either */
}

/* Whether the name still stands for the folder that was opened. */
static bool is_named(const char *path, int fd)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

/* Makes the temporary folder and locks it: its descriptor, or -1 with an error. Somebody who
 * removes leftovers may come between the two and take it for one. */
static int make_folder(const char *name, char **folder, ratoon_error *error)
{
    static _Atomic unsigned counter; /* two threads may create two stores in one place */
    for (unsigned i = 0; i < NAME_TRIES_MAX; i++) {
        if (asprintf(folder, "%s%s%d-%u", name, creating, (int)getpid(),
                     atomic_fetch_add(&counter, 1)) < 0) {
            *folder = NULL;
            (void)no_memory(error);
            return -1;
        }
        if (mkdir(*folder, S_IRWXU) == 0) {
            const int fd = lock_folder(*folder);
            if (fd >= 0 && is_named(*folder, fd)) {
                return fd;
            }
            if (fd >= 0) {
                close(fd);
            }
        } else if (errno != EEXIST) { /* left by a process that had the same number */
            (void)ratoon__fail_errno(error, RATOON_ERR_IO, "can't make the folder", *folder);
            free(*folder);
            *folder = NULL;
            return -1;
        }
        free(*folder);
        *folder = NULL;
    }
    errno = EEXIST;
    (void)ratoon__fail_errno(error, RATOON_ERR_IO, "can't make a folder beside", name);
    return -1;
}

static void remove_if_left(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_named(path, fd)) {
        ratoon__tree_remove(path);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* NAME.creating-PID-N */
static bool is_temporary(const char *entry, const char *base, size_t base_size)
{
    const size_t size = sizeof creating - 1;
    if (strncmp(entry, base, base_size) != 0 || strncmp(entry + base_size, creating, size) != 0) {
        return false;
    }
    const char *rest = entry + base_size + size;
    return isdigit((unsigned char)*rest) && strspn(rest, "0123456789-") == strlen(rest);
}

/* What is left of those who began to make something of this name and died. */
static void remove_left(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash == NULL ? name : slash + 1;
    char *parent = parent_of(name);
    DIR *folder = parent == NULL ? NULL : opendir(parent);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (is_temporary(entry->d_name, base, strlen(base))) {
            char *path = ratoon__path_join(parent, entry->d_name);
            if (path != NULL) {
                remove_if_left(path);
            }
            free(path);
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
    free(parent);
}

/* ---- creating ---- */

static ratoon_status fill_folder(const char *folder,
                                 ratoon_status (*fill)(void *ctx, const char *folder,
                                                       ratoon_error *error),
                                 void *ctx, ratoon_error *error)
{
    ratoon_status status = ratoon__folder_mend(folder, error);
    if (status == RATOON_OK) {
        status = ratoon__witness_create(folder, error);
    }
    if (status == RATOON_OK) {
        status = fill(ctx, folder, error);
    }
    if (status == RATOON_OK) {
        char *path = ratoon__path_join(folder, "format");
        char text[64];
        int size = snprintf(text, sizeof text, RATOON__FOLDER_FORMAT_LINE "format %d\n",
                            RATOON__FOLDER_FORMAT);
        status =
            path == NULL ? no_memory(error) : ratoon__file_write(path, text, (size_t)size, error);
        free(path);
    }
    if (status == RATOON_OK) {
        status = ratoon__tree_sync(folder, error);
    }
    return status;
}

/* Gives the folder its name. */
static ratoon_status name_folder(const char *folder, const char *name, ratoon_error *error)
{
    if (renameat2(AT_FDCWD, folder, AT_FDCWD, name, RENAME_NOREPLACE) == 0) {
        return RATOON_OK;
    }
    if (errno == EEXIST) {
        return ratoon__fail(error, RATOON_ERR_EXISTS, "there is something at %s already", name);
    }
    /* File systems that lack the flag say EINVAL; the look at the name before must do. */
    if (errno == EINVAL && rename(folder, name) == 0) {
        return RATOON_OK;
    }
    return ratoon__fail_errno(error, RATOON_ERR_IO, "can't make the store", name);
}

ratoon_status ratoon__folder_create(const char *path,
                                    ratoon_status (*fill)(void *ctx, const char *folder,
                                                          ratoon_error *error),
                                    void *ctx, ratoon_error *error)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    char *name = strndup(path, size); /* without the slashes at its end */
    if (name == NULL) {
        return no_memory(error);
    }
    struct stat there;
    if (lstat(name, &there) == 0) {
        ratoon__fail(error, RATOON_ERR_EXISTS, "there is something at %s already", name);
        free(name);
        return RATOON_ERR_EXISTS;
    }
    remove_left(name);
    char *folder = NULL;
    ratoon_error why = {0};
    ratoon_status status = RATOON_OK;
    const int parent = open_parent(name, &why);
    const int fd = parent < 0 ? -1 : make_folder(name, &folder, &why);
    if (fd < 0) {
        status = why.code;
    } else {
        ratoon__at(RATOON__POINT_CREATE_FOLDER);
        status = fill_folder(folder, fill, ctx, &why);
        ratoon__at(RATOON__POINT_CREATE_FILLED);
        if (status == RATOON_OK) {
            status = name_folder(folder, name, &why);
        }
        ratoon__at(RATOON__POINT_CREATE_RENAMED);
        if (status != RATOON_OK) {
            ratoon__tree_remove(folder);
        } else if (fsync(parent) != 0) {
            status = ratoon__fail_errno(&why, RATOON_ERR_IO, "can't sync the folder above", name);
        }
        close(fd);
    }
    if (parent >= 0) {
        close(parent);
    }
    if (status != RATOON_OK && error != NULL) {
        *error = why;
    }
    free(folder);
    free(name);
    return status;
}
