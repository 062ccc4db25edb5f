/* A commit's bytes, for those who check digests themselves (Q01). */
#include "log/store.h"

#include <stdlib.h>
#include <string.h>

typedef struct wanted {
    uint64_t number;
    ratoon_buffer bytes;
    bool failed;
} wanted;

static bool take(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number, const void *data,
                 size_t size)
{
    wanted *w = ctx;
    (void)position;
    (void)lineage;
    if (number == w->number) {
        w->bytes.data = malloc(size + 1);
        w->failed = w->bytes.data == NULL;
        if (!w->failed) {
            memcpy(w->bytes.data, data, size);
            w->bytes.data[size] = '\0';
            w->bytes.size = size;
        }
    }
    return false;
}

ratoon_status ratoon_commit_bytes(ratoon_store *store, ratoon_id run, uint64_t number,
                                  ratoon_buffer *out, ratoon_error *error)
{
    if (out == NULL) {
        return ratoon__no_place("out", error);
    }
    ratoon__driver *d = ratoon__store_driver(store);
    wanted w = {.number = number};
    ratoon_id root;
    ratoon_status status = d->ops->run_get(d, run, &root, error);
    if (status == RATOON_OK) {
        status = d->ops->read(d, root, number, true, false, take, &w, error);
    }
    if (status == RATOON_OK && w.failed) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    } else if (status == RATOON_OK && w.bytes.data == NULL) {
        uint64_t head = 0;
        (void)d->ops->head(d, root, &head, NULL);
        status = ratoon__fail(error, RATOON_ERR_NOT_FOUND,
                              "the lineage has no commit %U; its last one is %U", number, head);
    }
    if (status == RATOON_OK) {
        *out = w.bytes;
    }
    return status;
}
