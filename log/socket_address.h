/* The socket in a store's folder. Its path is bound and reached through a descriptor of the folder
 * under /proc/self/fd, because the address of a Unix socket is cut at 107 bytes. */
#ifndef RATOON_LOG_SOCKET_ADDRESS_H
#define RATOON_LOG_SOCKET_ADDRESS_H

#include "core/mem.h"
#include <sys/types.h>

/* A listening socket at STORE/socket (mode 0600) in place of whatever was there. Sockets are
 * close-on-exec and don't block. */
typedef struct ratoon__listener {
    int fd;
    int folder; /* descriptor of the store's folder */
    dev_t device;
    ino_t inode;
} ratoon__listener;

ratoon_status ratoon__socket_listen(const char *store_path, ratoon__listener *out,
                                    ratoon_error *error);
/* Closes it and removes the file, unless another socket has taken its place. */
void ratoon__socket_unlisten(ratoon__listener *l);

/* Connects to STORE/socket. NOT_FOUND: nobody listens there. IO: something else, or a process of a
 * user that we need not trust does. STORE_BUSY: more want to connect than the owner lets in. */
ratoon_status ratoon__socket_dial(const char *store_path, int *fd, ratoon_error *error);

/* Whether the process at the other end is ours or root's. */
bool ratoon__socket_peer_trusted(int fd);

#endif
