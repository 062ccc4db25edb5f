/* Connecting to the owner of a store, within a time. */
#ifndef RATOON_LOG_SOCKET_CLIENT_H
#define RATOON_LOG_SOCKET_CLIENT_H

#include "log/driver.h"

/* As ratoon__socket_open(), which waits a default time for the owner's first answer. NOT_FOUND:
 * nobody serves the store. TIMED_OUT: its owner doesn't answer. UNSUPPORTED: it speaks another
 * version. IO: the socket isn't that of a process we may trust. */
ratoon_status ratoon__socket_connect(const char *store_path, uint32_t timeout_ms,
                                     ratoon__driver **out, ratoon_error *error);
/* The same over a connected socket, which becomes the driver's, also where this fails. */
ratoon_status ratoon__socket_greet(int fd, uint32_t timeout_ms, ratoon__driver **out,
                                   ratoon_error *error);

#endif
