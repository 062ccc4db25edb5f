/* What a client asks the owner of a store to do with its database: sweep values, copy it. */
#include "log/socket_exchange.h"

ratoon_status ratoon__socket_sweep(ratoon__driver *d, const ratoon_digest *digests,
                                   size_t digests_count, uint64_t end, uint64_t *count,
                                   uint64_t *bytes, ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_SWEEP);
    ratoon__frame_put_u64(&x.writer, end);
    ratoon__frame_put_bytes(&x.writer, digests, digests_count * sizeof *digests);
    ratoon_status status = ratoon__exchange_ask(&x, RATOON__NO_DEADLINE, error);
    uint64_t swept = ratoon__frame_get_u64(&x.fields);
    uint64_t size = ratoon__frame_get_u64(&x.fields);
    status = ratoon__exchange_end(&x, status, error);
    if (status == RATOON_OK) {
        *count = swept;
        *bytes = size;
    }
    return status;
}

ratoon_status ratoon__socket_checkpoint(ratoon__driver *d, const char *path, uint64_t *position,
                                        ratoon_error *error)
{
    ratoon__exchange x;
    ratoon__exchange_begin(&x, d, RATOON__FRAME_CHECKPOINT);
    ratoon__frame_put_text(&x.writer, path);
    return ratoon__exchange_ask_number(&x, position, error);
}
