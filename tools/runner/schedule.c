/* Which stages start, and when (E01, E02, R25). */
#include "tools/runner/backoff.h"
#include "tools/runner/executor.h"

#include <dirent.h>
#include <string.h>

static const ratoon_stage_def *def_of(const runner__executor *x, size_t stage)
{
    return ratoon_pipeline_stage(x->facts.pipeline, stage);
}

static void load_slot(runner__executor *x, uint32_t stage, const ratoon_stage_info *info,
                      uint64_t now_us)
{
    runner__slot *slot = &x->slots[stage];
    switch (info->status) {
    case RATOON_STAGE_SUCCEEDED:
    case RATOON_STAGE_DEGRADED:
    case RATOON_STAGE_SKIPPED:
    case RATOON_STAGE_REUSED:
        slot->state = RUNNER__SLOT_PASSED;
        break;
    case RATOON_STAGE_FAILED:
    case RATOON_STAGE_CANCELLED:
        runner__schedule_ended(x, stage, info->status);
        break;
    case RATOON_STAGE_PENDING:
    case RATOON_STAGE_RUNNING:
        slot->state = RUNNER__SLOT_PENDING;
        slot->not_before_ms =
            uv_now(&x->loop) + runner__retry_left_ms(&def_of(x, stage)->retry, info->attempt,
                                                     info->not_before, now_us);
        break;
    }
}

static void load_wanted(runner__executor *x)
{
    const ratoon_run_info *info = &x->facts.info;
    for (size_t i = 0; i < x->stages; i++) {
        x->slots[i].wanted = true;
    }
    if (info->until >= 0) {
        for (uint32_t i = 0; i < x->stages; i++) {
            x->slots[i].wanted =
                i == (uint32_t)info->until ||
                ratoon_pipeline_depends(x->facts.pipeline, (uint32_t)info->until, i);
        }
    } else if (info->only && info->from_stage >= 0 && (size_t)info->from_stage < x->stages &&
               x->slots[info->from_stage].state == RUNNER__SLOT_PENDING) {
        /* Limited to its stage. Once that is done, a resume goes on with the others. */
        for (size_t i = 0; i < x->stages; i++) {
            x->slots[i].wanted = i == (size_t)info->from_stage;
        }
        x->slots[info->from_stage].alone = true;
    }
}

/* Ancestors of which lock files are left. */
static ratoon_status load_ancestors(runner__executor *x, ratoon_error *error)
{
    ratoon_run_info info = x->facts.info;
    x->ancestors = runner__alloc(RATOON_DEPTH_MAX * sizeof(ratoon_id));
    for (uint32_t i = 0; i < RATOON_DEPTH_MAX && !ratoon_id_is_zero(info.parent); i++) {
        ratoon_id id = info.parent;
        ratoon_status status = ratoon_run_get(x->facts.store, id, &info, error);
        if (status != RATOON_OK) {
            return status;
        }
        char text[RATOON_ID_TEXT];
        ratoon_id_format(id, text);
        runner__text path = {0};
        runner__text_format(&path, "%s/locks", x->facts.store_path);
        DIR *folder = opendir(path.data);
        runner__text_free(&path);
        bool found = false;
        struct dirent *entry;
        while (folder != NULL && !found && (entry = readdir(folder)) != NULL) {
            found = strncmp(entry->d_name, text, strlen(text)) == 0;
        }
        if (folder != NULL) {
            closedir(folder);
        }
        if (found) {
            x->ancestors[x->ancestors_count++] = id;
        }
    }
    return RATOON_OK;
}

ratoon_status runner__schedule_load(runner__executor *x, ratoon_error *error)
{
    x->stages = ratoon_pipeline_stage_count(x->facts.pipeline);
    x->slots = runner__alloc(x->stages * sizeof(runner__slot));
    uint64_t now_us = ratoon_store_now(x->facts.store);
    for (uint32_t i = 0; i < x->stages; i++) {
        ratoon_stage_info info;
        ratoon_status status = ratoon_run_stage(x->facts.store, x->facts.run, i, &info, error);
        if (status != RATOON_OK) {
            return status;
        }
        load_slot(x, i, &info, now_us);
    }
    load_wanted(x);
    return load_ancestors(x, error);
}

void runner__schedule_ended(runner__executor *x, uint32_t stage, ratoon_stage_status status)
{
    runner__slot *slot = &x->slots[stage];
    if (ratoon_stage_status_done(status)) {
        slot->state = RUNNER__SLOT_PASSED;
    } else if (status == RATOON_STAGE_FAILED && def_of(x, stage)->allow_failure) {
        slot->state = RUNNER__SLOT_FORGIVEN;
    } else {
        slot->state = RUNNER__SLOT_FAILED;
        if (x->phase == RUNNER__PHASE_WORKING) {
            x->phase = RUNNER__PHASE_FAILING;
        }
    }
    runner__wake(x);
}

bool runner__schedule_forgiven_above(const runner__executor *x, uint32_t stage)
{
    for (uint32_t i = 0; i < x->stages; i++) {
        if (x->slots[i].state == RUNNER__SLOT_FORGIVEN &&
            ratoon_pipeline_depends(x->facts.pipeline, stage, i)) {
            return true;
        }
    }
    return false;
}

bool runner__schedule_waits(const runner__executor *x, uint32_t stage)
{
    const runner__slot *slot = &x->slots[stage];
    if (!slot->wanted ||
        (slot->state != RUNNER__SLOT_PENDING && slot->state != RUNNER__SLOT_LOCKED)) {
        return false;
    }
    const ratoon_stage_def *def = def_of(x, stage);
    for (size_t i = 0; i < def->needs_count; i++) {
        runner__slot_state need = x->slots[def->needs[i]].state;
        if (need != RUNNER__SLOT_PASSED && need != RUNNER__SLOT_FORGIVEN &&
            !(slot->alone && need == RUNNER__SLOT_PENDING)) {
            return false;
        }
    }
    return true;
}

static void start_items(runner__executor *x, uint32_t stage)
{
    for (runner__attempt *a = x->attempts; a != NULL; a = a->next) {
        if (a->stage == stage) {
            (void)runner__items_start(a);
            return;
        }
    }
}

void runner__schedule(runner__executor *x)
{
    const uint32_t *order = ratoon_pipeline_order(x->facts.pipeline);
    uint64_t now = uv_now(&x->loop);
    for (size_t i = 0; i < x->stages && x->processes < x->jobs; i++) {
        uint32_t stage = order[i];
        if (x->slots[stage].state == RUNNER__SLOT_RUNNING) {
            if (x->phase == RUNNER__PHASE_WORKING || x->phase == RUNNER__PHASE_FAILING) {
                start_items(x, stage);
            }
        } else if (x->phase == RUNNER__PHASE_WORKING && runner__schedule_waits(x, stage) &&
                   x->slots[stage].not_before_ms <= now) {
            runner__attempt_start(x, stage);
        }
    }
}

/* Whether only one stage is to end in this turn, and no items wait for room: what starts then
 * depends on nothing but this end. */
static bool ends_alone(const runner__executor *x, const runner__attempt *ended)
{
    for (const runner__attempt *a = x->attempts; a != NULL; a = a->next) {
        if (a != ended && (a->running == 0 || a->items_left)) {
            return false;
        }
    }
    return true;
}

size_t runner__schedule_after(runner__executor *x, const runner__attempt *ended,
                              uint32_t stages[RUNNER__HANDOVER_MAX])
{
    if (x->phase != RUNNER__PHASE_WORKING || !ends_alone(x, ended)) {
        return 0;
    }
    const uint32_t *order = ratoon_pipeline_order(x->facts.pipeline);
    const uint64_t now = uv_now(&x->loop);
    size_t count = 0;
    bool full = false;
    x->slots[ended->stage].state = RUNNER__SLOT_PASSED;
    for (size_t i = 0; i < x->stages && !full && count < RUNNER__HANDOVER_MAX; i++) {
        const uint32_t stage = order[i];
        if (x->processes + count >= x->jobs) {
            break;
        }
        if (!runner__schedule_waits(x, stage) || x->slots[stage].not_before_ms > now ||
            runner__attempt_left(x, stage)) {
            continue;
        }
        /* How many items it starts is not known yet; and its key may be absent where what should
         * produce it failed and was forgiven, which is looked at when it is started by itself. */
        const bool items = def_of(x, stage)->foreach_key != NULL;
        full = items;
        if (!items || (!ended->def->allow_failure && !runner__schedule_forgiven_above(x, stage))) {
            stages[count++] = stage;
        }
    }
    x->slots[ended->stage].state = RUNNER__SLOT_RUNNING;
    return count;
}

uint64_t runner__schedule_next_ms(const runner__executor *x)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < x->stages && x->phase == RUNNER__PHASE_WORKING; i++) {
        if (runner__schedule_waits(x, i) && x->slots[i].not_before_ms < next) {
            next = x->slots[i].not_before_ms;
        }
    }
    return next;
}
