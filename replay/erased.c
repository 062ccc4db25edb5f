#include "replay/erased.h"

#include "log/codec.h"

static bool first_is_mark(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                          const void *data, size_t size)
{
    ratoon__arena arena = {0};
    ratoon__commit c;
    (void)position;
    (void)lineage;
    *(bool *)ctx = number > 1 && ratoon__commit_decode(data, size, &arena, &c, NULL) == RATOON_OK &&
                   c.events_count == 1 && c.events[0].type == RATOON__EVENT_LINEAGE_DELETED;
    ratoon__arena_free(&arena);
    return false;
}

ratoon_status ratoon__erased_check(ratoon_store *store, ratoon_id lineage, bool *erased,
                                   ratoon_error *error)
{
    ratoon__driver *d = ratoon__store_driver(store);
    *erased = false;
    return d->ops->read(d, lineage, 0, true, false, first_is_mark, erased, error);
}

bool ratoon__is_erased(ratoon_store *store, ratoon_id lineage)
{
    bool erased = false;
    return ratoon__erased_check(store, lineage, &erased, NULL) == RATOON_OK && erased;
}
