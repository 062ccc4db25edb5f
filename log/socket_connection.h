/* A client's connection: any number of threads ask at the same time, each waits for its own answer.
 * One of those that wait reads for all. */
#ifndef RATOON_LOG_SOCKET_CONNECTION_H
#define RATOON_LOG_SOCKET_CONNECTION_H

#include "log/socket_frame.h"

#define RATOON__NO_DEADLINE UINT64_MAX

typedef struct ratoon__connection ratoon__connection;

/* Of a connected socket, which becomes its own; NO_MEMORY (then the socket is closed). */
ratoon_status ratoon__connection_open(int fd, ratoon__connection **out, ratoon_error *error);
void ratoon__connection_close(ratoon__connection *c); /* no call may be in progress */

/* Sends a finished frame and waits for its answer, which goes into the (empty) buffer: one whole
 * frame with a head that was looked at. TIMED_OUT at deadline_ms (monotonic): whether the request
 * is executed is open, an answer that comes later is dropped. STORE_BUSY: the connection is lost.
 */
ratoon_status ratoon__connection_call(ratoon__connection *c, ratoon__buf *request,
                                      uint64_t deadline_ms, ratoon__buf *answer,
                                      ratoon_error *error);
/* Gives the connection up: the owner answered something that can't be understood. */
ratoon_status ratoon__connection_break(ratoon__connection *c, ratoon_error *error);
bool ratoon__connection_is_lost(ratoon__connection *c);

#endif
