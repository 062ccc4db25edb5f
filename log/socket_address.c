#include "log/socket_address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "socket"
#define SOCKET_NAME_NEW "socket.new" /* until it listens */
#define BACKLOG 128

static ratoon_status fail_errno(ratoon_error *error, ratoon_status code, const char *what,
                                const char *store_path)
{
    int saved = errno;
    ratoon_status status =
        ratoon__fail(error, code, "%s %s/" SOCKET_NAME ": %s", what, store_path, strerror(saved));
    if (error != NULL) {
        error->backend_code = saved;
    }
    return status;
}

static struct sockaddr_un address_in(int folder, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder, name);
    return address;
}

/* Binds under another name and renames, so that whoever finds the socket finds it listening, and
 * one that a dead owner left is replaced. */
static bool bind_and_listen(int fd, int folder)
{
    const struct sockaddr_un address = address_in(folder, SOCKET_NAME_NEW);
    if (unlinkat(folder, SOCKET_NAME_NEW, 0) != 0 && errno != ENOENT) {
        return false;
    }
    /* The mode of the socket's file is that of the descriptor, cut by the umask. */
    return fchmod(fd, S_IRUSR | S_IWUSR) == 0 &&
           bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
           listen(fd, BACKLOG) == 0 && renameat(folder, SOCKET_NAME_NEW, folder, SOCKET_NAME) == 0;
}

ratoon_status ratoon__socket_listen(const char *store_path, ratoon__listener *out,
                                    ratoon_error *error)
{
    ratoon__listener l = {.fd = -1};
    l.folder = open(store_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (l.folder < 0) {
        return fail_errno(error, RATOON_ERR_IO, "can't serve the store on", store_path);
    }
    l.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct stat status;
    if (l.fd < 0 || !bind_and_listen(l.fd, l.folder) ||
        fstatat(l.folder, SOCKET_NAME, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        ratoon_status failed =
            fail_errno(error, RATOON_ERR_IO, "can't serve the store on", store_path);
        ratoon__hint(error, "where the file system has no sockets, open the store unserved");
        if (l.fd >= 0) {
            close(l.fd);
        }
        close(l.folder);
        return failed;
    }
    l.device = status.st_dev;
    l.inode = status.st_ino;
    *out = l;
    return RATOON_OK;
}

void ratoon__socket_unlisten(ratoon__listener *l)
{
    struct stat status;
    if (fstatat(l->folder, SOCKET_NAME, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_dev == l->device && status.st_ino == l->inode) {
        (void)unlinkat(l->folder, SOCKET_NAME, 0);
    }
    close(l->fd);
    close(l->folder);
    l->fd = -1;
    l->folder = -1;
}

bool ratoon__socket_peer_trusted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && size == sizeof peer &&
           (peer.uid == 0 || peer.uid == geteuid());
}

ratoon_status ratoon__socket_dial(const char *store_path, int *fd_out, ratoon_error *error)
{
    int folder = open(store_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return fail_errno(error, errno == ENOENT ? RATOON_ERR_NOT_FOUND : RATOON_ERR_IO,
                          "can't reach", store_path);
    }
    ratoon_status status = RATOON_OK;
    const struct sockaddr_un address = address_in(folder, SOCKET_NAME);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        status = fail_errno(error, RATOON_ERR_IO, "can't reach", store_path);
    } else if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        status = errno == ENOENT || errno == ECONNREFUSED
                     ? ratoon__fail(error, RATOON_ERR_NOT_FOUND, "nobody serves the store %s",
                                    store_path)
                     : fail_errno(error, errno == EAGAIN ? RATOON_ERR_STORE_BUSY : RATOON_ERR_IO,
                                  "can't reach", store_path);
    } else if (geteuid() != 0 && !ratoon__socket_peer_trusted(fd)) {
        status = ratoon__fail(error, RATOON_ERR_IO,
                              "the store %s is served by a process of another user", store_path);
    }
    close(folder);
    if (status != RATOON_OK) {
        if (fd >= 0) {
            close(fd);
        }
        return status;
    }
    *fd_out = fd;
    return RATOON_OK;
}
