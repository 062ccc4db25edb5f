/* Executor locks: STORE/executors/UUID.lock, held by flock for as long as the executor lives. The
 * system drops a flock with the process, however it ends, and with nothing else: the descriptor is
 * close-on-exec, so no stage process inherits it. */
#include "log/attach.h"

#include "log/monotonic.h"
#include "log/store_holder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "executors"
#define FOLDER_MODE 0700
#define FILE_MODE 0600
#define LOCK_TRIES_MAX 200 /* somebody who probes the lock holds it for an instant */
#define LOCK_PAUSE_MS 1
#define ENDING_TRIES_MAX 2000 /* a process that ends lets go of what it holds in any order */

/* "UUID.lock" */
#define FILE_NAME_SIZE (RATOON_ID_TEXT + sizeof ".lock")

static void file_name(ratoon_id executor, char name[FILE_NAME_SIZE])
{
    char text[RATOON_ID_TEXT];
    ratoon_id_format(executor, text);
    (void)snprintf(name, FILE_NAME_SIZE, "%s.lock", text);
}

/* Descriptor of STORE/executors, or -1 with errno. */
static int open_folder(const char *store_path, bool create)
{
    int store = open(store_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (store < 0) {
        return -1;
    }
    int folder = -1;
    if (!create || mkdirat(store, FOLDER, FOLDER_MODE) == 0 || errno == EEXIST) {
        folder = openat(store, FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    int saved = errno;
    close(store);
    errno = saved;
    return folder;
}

static int lock_file(int fd, int operation)
{
    int result;
    do {
        result = flock(fd, operation | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    return result;
}

/* The locked file, or -1 with errno; EAGAIN: try again, someone looked at it at the same time. */
static int try_lock(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0) {
        return -1;
    }
    struct stat status;
    int error = 0;
    if (lock_file(fd, LOCK_EX) != 0) {
        error = errno == EWOULDBLOCK ? EAGAIN : errno;
    } else if (fstat(fd, &status) != 0) {
        error = errno;
    } else if (status.st_nlink == 0) {
        error = EAGAIN; /* removed as a dead executor's before it was locked */
    }
    if (error != 0) {
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

ratoon_status ratoon__executor_lock(const char *store_path, ratoon_id executor, int *fd,
                                    ratoon_error *error)
{
    char name[FILE_NAME_SIZE];
    file_name(executor, name);
    int folder = open_folder(store_path, true);
    int locked = -1;
    for (int i = 0; folder >= 0 && locked < 0 && i < LOCK_TRIES_MAX; i++) {
        if (i > 0) {
            ratoon__sleep_ms(LOCK_PAUSE_MS);
        }
        locked = try_lock(folder, name);
        if (locked < 0 && errno != EAGAIN) {
            break;
        }
    }
    int saved = errno;
    if (folder >= 0) {
        close(folder);
    }
    if (locked < 0) {
        ratoon_status status =
            ratoon__fail(error, saved == EAGAIN ? RATOON_ERR_EXISTS : RATOON_ERR_IO,
                         "the executor's lock %s/" FOLDER "/%s can't be taken: %s", store_path,
                         name, saved == EAGAIN ? "another process holds it" : strerror(saved));
        if (error != NULL) {
            error->backend_code = saved;
        }
        return status;
    }
    *fd = locked;
    return RATOON_OK;
}

void ratoon__executor_unlock(const char *store_path, ratoon_id executor, int fd)
{
    char name[FILE_NAME_SIZE];
    file_name(executor, name);
    int folder = open_folder(store_path, false);
    if (folder >= 0) {
        (void)unlinkat(folder, name, 0); /* a file left over is only as good as its lock */
        close(folder);
    }
    close(fd);
}

/* Whether the lock is free, or becomes so because its holder is just ending: the end of a process
 * is noticed by what it lets go of first, a connection say, and its lock may be the last. */
static bool lock_is_free(int fd)
{
    struct stat file;
    if (fstat(fd, &file) != 0) {
        return false;
    }
    bool known = true;
    for (int i = 0; i < ENDING_TRIES_MAX; i++) {
        /* Shared: two who look at the same time must not take each other for the executor. */
        if (lock_file(fd, LOCK_SH) == 0) {
            return true;
        }
        pid_t holder = ratoon__lock_holder(&file);
        bool was_known = known;
        known = holder != 0; /* it may have let go between the two looks: once more */
        if ((known && !ratoon__process_is_ending(holder)) || (!known && !was_known)) {
            return false;
        }
        ratoon__sleep_ms(LOCK_PAUSE_MS);
    }
    return false;
}

bool ratoon__executor_is_gone(const char *store_path, ratoon_id executor)
{
    char name[FILE_NAME_SIZE];
    file_name(executor, name);
    int folder = open_folder(store_path, false);
    if (folder < 0) {
        /* No folder: no executor has ever held a lock here. Anything else proves nothing, and to
         * take a living executor for dead is the one mistake that must not happen. */
        return errno == ENOENT;
    }
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool gone;
    if (fd < 0) {
        gone = errno == ENOENT;
    } else {
        gone = lock_is_free(fd);
        if (gone) {
            (void)unlinkat(folder, name, 0);
        }
        close(fd);
    }
    close(folder);
    return gone;
}

void ratoon__executors_sweep(const char *store_path)
{
    const int folder = open_folder(store_path, false);
    const int listed = folder < 0 ? -1 : openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = listed < 0 ? NULL : fdopendir(listed);
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        const int fd = entry->d_name[0] == '.'
                           ? -1
                           : openat(folder, entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && lock_file(fd, LOCK_SH) == 0) {
            (void)unlinkat(folder, entry->d_name, 0);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (entries != NULL) {
        closedir(entries);
    } else if (listed >= 0) {
        close(listed);
    }
    if (folder >= 0) {
        close(folder);
    }
}
