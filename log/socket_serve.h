/* Answers single requests of the socket protocol from a driver. */
#ifndef RATOON_LOG_SOCKET_SERVE_H
#define RATOON_LOG_SOCKET_SERVE_H

#include "log/socket_frame.h"

/* Executes a request (any but APPEND and TAIL) and adds its answer to `out`. False: it isn't a
 * request that a client makes, or memory ran out; nothing can be answered. */
bool ratoon__serve(ratoon__driver *d, const ratoon__frame_head *head, const void *frame,
                   ratoon__buf *out);
/* Adds a page of the feed, or an error. *served false: there is nothing from there on yet. */
bool ratoon__serve_tail(ratoon__driver *d, uint64_t id, uint64_t from, ratoon__buf *out,
                        bool *served);
bool ratoon__serve_error(const ratoon__frame_head *head, ratoon_status status,
                         const ratoon_error *error, ratoon__buf *out);

#endif
