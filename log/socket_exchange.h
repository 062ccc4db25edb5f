/* One request of a client to the owner of a store, and its answer. */
#ifndef RATOON_LOG_SOCKET_EXCHANGE_H
#define RATOON_LOG_SOCKET_EXCHANGE_H

#include "log/socket_connection.h"

typedef struct ratoon__socket_driver {
    ratoon__driver base;
    ratoon__connection *connection;
} ratoon__socket_driver;

/* One request and its answer. */
typedef struct ratoon__exchange {
    ratoon__connection *connection;
    ratoon__buf request, answer;
    ratoon__frame_writer writer;
    ratoon__frame_reader fields; /* of the answer; nothing can be read before it is there */
} ratoon__exchange;

void ratoon__exchange_begin(ratoon__exchange *x, ratoon__driver *d, ratoon__frame_op op);
/* Sends the request. OK: its answer's fields can be read. */
ratoon_status ratoon__exchange_ask(ratoon__exchange *x, uint64_t deadline_ms, ratoon_error *error);
/* After the fields were read. OK: they were what they must be. */
ratoon_status ratoon__exchange_end(ratoon__exchange *x, ratoon_status status, ratoon_error *error);
/* The whole of it, for an answer of one number (out may be NULL) or one id. */
ratoon_status ratoon__exchange_ask_number(ratoon__exchange *x, uint64_t *out, ratoon_error *error);
ratoon_status ratoon__exchange_ask_id(ratoon__exchange *x, ratoon_id *out, ratoon_error *error);

/* ---- socket_upkeep.c ---- */
ratoon_status ratoon__socket_sweep(ratoon__driver *d, const ratoon_digest *digests,
                                   size_t digests_count, uint64_t end, uint64_t *count,
                                   uint64_t *bytes, ratoon_error *error);
ratoon_status ratoon__socket_heads(ratoon__driver *d, ratoon_id after, uint64_t before,
                                   ratoon__head_fn fn, void *ctx, ratoon_error *error);
ratoon_status ratoon__socket_checkpoint(ratoon__driver *d, const char *path, uint64_t *position,
                                        ratoon_error *error);

#endif
