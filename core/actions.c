/* What can be done now with a run, and why not (A03): asked of the decisions themselves. */
#include "core/decide_internal.h"

/* An id no run has: nothing is created under it. */
static const ratoon_id nobody = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff}};

static ratoon_status retry_action(const ratoon__lineage *l, const ratoon__run *r,
                                  const ratoon__facts *facts, ratoon__arena *arena,
                                  ratoon__actions *out)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    options.parent = r->fixed->id;
    const ratoon__retry_request request = {.run = nobody, .options = &options};
    ratoon__plan plan = {.arena = arena};
    ratoon_status status = ratoon__decide_retry(l, &request, facts, &plan, NULL, NULL);
    if (status == RATOON_ERR_NO_MEMORY) {
        return status;
    }
    out->retry = plan.refusals_count == 0;
    out->retry_why_not = out->retry ? "" : plan.refusals[0].message;
    out->requested_stage = plan.requested;
    out->from_stage = plan.effective;
    ratoon__buf_free(&plan.canonical);
    if (plan.requested >= 0) {
        const ratoon__stage_failure *failure =
            ratoon__run_stage_at(r, (uint32_t)plan.requested)->failure;
        out->suggested = failure == NULL ? NULL : failure->f.suggested;
        out->suggested_count = failure == NULL ? 0 : failure->f.suggested_count;
    }
    return RATOON_OK;
}

static const char *cancel_why_not(const ratoon__run *r, ratoon__arena *arena)
{
    if (r->status == RATOON_RUN_CANCELLING) {
        return "it is being cancelled already";
    }
    if (ratoon_run_status_terminal(r->status)) {
        return ratoon__arena_text(arena, "it has ended: %s", ratoon_run_status_name(r->status));
    }
    return "";
}

ratoon_status ratoon__actions_of(const ratoon__lineage *l, const ratoon__run *r,
                                 uint32_t store_max_depth, ratoon__arena *arena,
                                 ratoon__actions *out)
{
    const ratoon__facts facts = {.now_us = l->last_time_us, .store_max_depth = store_max_depth};
    ratoon_error error;
    ratoon__actions actions = {.requested_stage = -1, .from_stage = -1};
    if (retry_action(l, r, &facts, arena, &actions) != RATOON_OK) {
        return RATOON_ERR_NO_MEMORY;
    }
    actions.cancel_why_not = cancel_why_not(r, arena);
    actions.resume = ratoon__start_check(l, r, &facts, &error) == RATOON_OK;
    actions.resume_why_not = actions.resume ? "" : ratoon__arena_strdup(arena, error.message);
    if (arena->failed) {
        return RATOON_ERR_NO_MEMORY;
    }
    actions.cancel = actions.cancel_why_not[0] == '\0';
    *out = actions;
    return RATOON_OK;
}
