/* What a client asks the owner of a store to do with its database: sweep values, copy it, tell what
 * a seal is made of. */
#include "log/socket_exchange.h"

#include <string.h>

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

ratoon_status ratoon__socket_heads(ratoon__driver *d, ratoon_id after, uint64_t before,
                                   ratoon__head_fn fn, void *ctx, ratoon_error *error)
{
    bool more = true;
    ratoon_status status = RATOON_OK;
    while (more && status == RATOON_OK) {
        ratoon__exchange x;
        ratoon__exchange_begin(&x, d, RATOON__FRAME_HEADS);
        ratoon__frame_put_id(&x.writer, after);
        ratoon__frame_put_u64(&x.writer, before);
        status = ratoon__exchange_ask(&x, RATOON__NO_DEADLINE, error);
        uint64_t count;
        ratoon__frame_page_head(&x.fields, &count, &more);
        x.fields.bad |= more && count == 0;
        for (uint64_t i = 0; i < count; i++) {
            ratoon_id lineage = ratoon__frame_get_id(&x.fields);
            uint64_t number = ratoon__frame_get_u64(&x.fields);
            ratoon_digest digest = ratoon__frame_get_digest(&x.fields);
            x.fields.bad |= memcmp(lineage.bytes, after.bytes, sizeof after.bytes) <= 0;
            if (x.fields.bad) {
                break;
            }
            after = lineage;
            if (!fn(ctx, lineage, number, &digest)) {
                x.fields.at = x.fields.size; /* the rest isn't wanted */
                more = false;
                break;
            }
        }
        status = ratoon__exchange_end(&x, status, error);
    }
    return status;
}
