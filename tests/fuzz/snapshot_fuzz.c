/* Reaches ratoon__snapshot_decode(), and with what it gives ratoon__snapshot_encode(),
 * ratoon__state_at() and ratoon__fold(): a snapshot has no checksum of its own, so whatever decodes
 * must be safe to go on with. */
#include "tests/fuzz/projections.h"

/* One event of every kind about a run, for a stage that is there and for one that is not. */
static void fold_each(const ratoon__lineage *l, const ratoon__run *r)
{
    static const uint32_t rerun_set[] = {0};
    for (uint32_t type = 1; type <= 18; type++) {
        ratoon__event e = {.type = (ratoon__event_type)type, .run = r->fixed->id};
        const ratoon__value_ref value = support_value("k", "v");
        switch (e.type) {
        case RATOON__EVENT_RUN_CREATED:
            e.run = support_id(99);
            e.u.created = (ratoon__run_created){.root = l->id,
                                                .parent = r->fixed->id,
                                                .number = l->runs_count + 1,
                                                .status = RATOON_RUN_RUNNING,
                                                .pipeline_name = "",
                                                .pipeline_digest = r->pipeline->digest,
                                                .requested_stage = -1,
                                                .effective_stage = -1,
                                                .until = -1,
                                                .rerun_set = rerun_set,
                                                .rerun_set_count = 1,
                                                .pipeline = r->pipeline};
            break;
        case RATOON__EVENT_RUN_PIPELINE_CHANGED:
            e.u.pipeline_changed.pipeline = fuzz_definition(1);
            break;
        case RATOON__EVENT_RUN_ENDED:
            e.u.ended.status = RATOON_RUN_CANCELLED;
            break;
        case RATOON__EVENT_RUN_EXTERNAL_REF:
            e.u.external_ref.ref = "r";
            break;
        case RATOON__EVENT_STAGE_ENDED:
            e.u.stage_ended.status = RATOON_STAGE_SUCCEEDED;
            e.u.stage_ended.outputs = (ratoon__values){&value, 1};
            break;
        case RATOON__EVENT_ITEM_ENDED:
            e.u.item.key = "one";
            break;
        default:
            break;
        }
        const ratoon__commit c = {.lineage = l->id,
                                  .number = l->head + 1,
                                  .first_event = l->events + 1,
                                  .writer = "",
                                  .events = &e,
                                  .events_count = 1};
        const ratoon_digest digest = {{1}};
        ratoon__lineage *after = NULL;
        if (ratoon__fold(l, &c, &digest, &after, NULL) == RATOON_OK) {
            ratoon__lineage_unref(fuzz_by_snapshot(after));
            ratoon__lineage_unref(after);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ratoon__lineage *l = NULL;
    ratoon_error error = {0};
    void *copy = fuzz_copy(data, size);
    const ratoon_status status =
        ratoon__snapshot_decode(copy, size, fuzz_resolve, NULL, &l, &error);
    free(copy); /* nothing of it may be lent */
    if (status != RATOON_OK) {
        must(status == RATOON_ERR_DAMAGED && l == NULL && error.message[0] != '\0');
        return 0;
    }
    ratoon__lineage *again = fuzz_by_snapshot(l);
    fuzz_same_states(l, again);
    for (uint32_t i = 0; i < l->runs_count && i < 3; i++) {
        fold_each(l, l->runs[i]);
    }
    ratoon__lineage_unref(again);
    ratoon__lineage_unref(l);
    return 0;
}
