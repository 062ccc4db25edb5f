/* What follows from a projection: the outcome of a run (L05), which items are wanted (R13). */
#include "core/objects.h"

ratoon_run_status ratoon__run_outcome(const ratoon__run *r)
{
    bool left = false;
    bool degraded = false;
    for (uint32_t i = 0; i < r->stages_count; i++) {
        switch (ratoon__stage_counts_as(ratoon__run_stage_at(r, i))) {
        case RATOON_STAGE_PENDING:
        case RATOON_STAGE_RUNNING:
            left = true;
            break;
        case RATOON_STAGE_FAILED:
        case RATOON_STAGE_CANCELLED:
            if (!r->pipeline->stages[i].pub.allow_failure) {
                return RATOON_RUN_FAILED;
            }
            degraded = true;
            break;
        case RATOON_STAGE_DEGRADED:
            degraded = true;
            break;
        case RATOON_STAGE_SUCCEEDED:
        case RATOON_STAGE_SKIPPED:
        case RATOON_STAGE_REUSED:
            break;
        }
    }
    if (left) {
        return RATOON_RUN_SUSPENDED;
    }
    return degraded ? RATOON_RUN_DEGRADED : RATOON_RUN_SUCCEEDED;
}

bool ratoon__stage_item_wanted(const ratoon__stage *s, const char *key)
{
    const ratoon__item *item = ratoon__items_get(s->items, key);
    switch (s->items_mode) {
    case RATOON_ITEMS_FAILED:
        return item != NULL && item->failed;
    case RATOON_ITEMS_LISTED:
        return ratoon__strings_has(s->listed, key) && (item == NULL || item->failed);
    case RATOON_ITEMS_MISSING:
    case RATOON_ITEMS_ALL:
        break;
    }
    return item == NULL || item->failed;
}
