/* What callers were told is true, and stays so; what processes do is what the log says. */
#include "tests/sim/log.h"

#include <stdlib.h>
#include <string.h>

size_t sim_log_runs(void)
{
    return sim_log.runs_count;
}

sim_run sim_log_run(size_t i)
{
    const log_run *r = sim_log.runs[i];
    return (sim_run){.id = r->id,
                     .root = r->root,
                     .status = r->status,
                     .pipeline = r->pipeline,
                     .deleted = r->deleted};
}

uint64_t sim_log_commits(void)
{
    return sim_log.feed_count;
}

uint64_t sim_log_head(ratoon_id run)
{
    const log_run *r = sim_log_find(run);
    const log_lineage *l = r != NULL ? sim_log_lineage(r->root) : NULL;
    return l != NULL && !l->deleted ? l->head : 0;
}

bool sim_log_ancestor(ratoon_id above, ratoon_id below)
{
    for (const log_run *r = sim_log_find(below); r != NULL; r = sim_log_find(r->parent)) {
        if (ratoon_id_equal(r->parent, above)) {
            return true;
        }
    }
    return false;
}

void sim_log_check_process(ratoon_id run, const char *stage, unsigned attempt, const char *item)
{
    const log_run *r = sim_log_find(run);
    const int32_t i = r != NULL ? ratoon_pipeline_stage_find(r->pipeline, stage) : -1;
    if (i < 0 || r->stages[i].attempt != attempt || r->stages[i].status != RATOON_STAGE_RUNNING) {
        /* Cancelling may have been recorded by somebody else a moment ago; the stage stays running
         * until its executor has seen that. */
        sim_fail("L03", "attempt %u of %s is executed; in the log the stage is %s, attempt %u",
                 attempt, stage, i < 0 ? "absent" : ratoon_stage_status_name(r->stages[i].status),
                 i < 0 ? 0 : r->stages[i].attempt);
    }
    if (item[0] >= 'a' && item[0] <= 'c' &&
        (r->stages[i].items_done & 1u << (item[0] - 'a')) != 0) {
        sim_fail("R13", "item %s of %s is executed and was done in this run", item, stage);
    }
}

void sim_log_told_run(ratoon_id run)
{
    if (sim_log_find(run) == NULL) {
        sim_fail("L11", "somebody was told of run %s, which is not in the log", sim_id(run));
    }
}

void sim_log_told_none(const char *reason)
{
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        if (strcmp(sim_log.runs[i]->reason, reason) == 0) {
            sim_fail("Q01", "%s was refused and made run %s", reason, sim_id(sim_log.runs[i]->id));
        }
    }
    if (sim_log.refused_count < LOG_REFUSED_MAX) {
        (void)snprintf(sim_log.refused[sim_log.refused_count++], sizeof sim_log.refused[0], "%s",
                       reason);
    }
}

bool sim_log_executed(ratoon_id executor, ratoon_id *run)
{
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        const log_run *r = sim_log.runs[i];
        if (!r->deleted && r->status == RATOON_RUN_RUNNING &&
            ratoon_id_equal(r->executor, executor)) {
            *run = r->id;
            return true;
        }
    }
    return false;
}

const ratoon_stage_def *sim_log_stage(ratoon_id run, const char *stage, uint64_t *cancelling_ns)
{
    const log_run *r = sim_log_find(run);
    *cancelling_ns = r->status == RATOON_RUN_CANCELLING ? r->cancelled_ns : 0;
    return ratoon_pipeline_stage(r->pipeline,
                                 (size_t)ratoon_pipeline_stage_find(r->pipeline, stage));
}

bool sim_log_alone(ratoon_id run)
{
    return sim_active_max(sim_log_find(run)->pipeline) == 1;
}

static log_stage *stage_named(ratoon_id run, const char *stage)
{
    const log_run *r = sim_log_find(run);
    const int32_t i = r != NULL ? ratoon_pipeline_stage_find(r->pipeline, stage) : -1;
    if (i < 0) {
        sim_fail("L11", "somebody was told of a stage that is not in the log");
    }
    return &r->stages[i];
}

void sim_log_told_start(ratoon_id run, const char *stage, unsigned attempt)
{
    log_stage *s = stage_named(run, stage);
    s->told_ns = sim_now_ns;
    if (s->attempt < attempt) {
        sim_fail("L11", "the start of attempt %u of %s was acknowledged and is not in the log",
                 attempt, stage);
    }
}

void sim_log_told_end(ratoon_id run, const char *stage, unsigned attempt)
{
    const log_stage *s = stage_named(run, stage);
    if (attempt >= s->ended_count || s->ended[attempt] == 0) {
        sim_fail("L11", "the end of attempt %u of %s was acknowledged and is not in the log",
                 attempt, stage);
    }
}

void sim_log_told_outcome(ratoon_id run, ratoon_run_status status)
{
    const log_run *r = sim_log_find(run);
    if (r == NULL || (ratoon_run_status_terminal(status) && !r->deleted && r->status != status)) {
        sim_fail("L11", "run %s was said to be %s; it is %s", sim_id(run),
                 ratoon_run_status_name(status),
                 r != NULL ? ratoon_run_status_name(r->status) : "");
    }
}

/* after: the position that the same reader was given before. */
void sim_log_check_feed(uint64_t after, uint64_t position, ratoon_id lineage, uint64_t commit)
{
    if (position <= after || position > sim_log.feed_count) {
        sim_fail("Q06", "a reader gets position %llu after %llu", (unsigned long long)position,
                 (unsigned long long)after);
    }
    for (uint64_t i = after + 1; i < position; i++) {
        const log_lineage *l = sim_log_lineage(sim_log.feed[i - 1].lineage);
        if (!l->deleted || sim_log.feed[i - 1].number == l->head) {
            sim_fail("Q06", "a reader goes from position %llu to %llu and misses %llu",
                     (unsigned long long)after, (unsigned long long)position,
                     (unsigned long long)i);
        }
    }
    const log_place *p = &sim_log.feed[position - 1];
    if (!ratoon_id_equal(p->lineage, lineage) || p->number != commit) {
        sim_fail("Q06", "a reader gets another commit at position %llu than there is",
                 (unsigned long long)position);
    }
}

/* ---- when no process is left ---- */

static bool check_claim(void *ctx, const char *name, ratoon_id holder)
{
    (void)ctx;
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        const log_run *r = sim_log.runs[i];
        if (ratoon_id_equal(r->id, holder) && !r->deleted && strcmp(r->scope, name + 6) == 0 &&
            ratoon_run_status_active(r->status)) {
            return true;
        }
    }
    sim_fail("R10", "%s is held by run %s, which is not active", name, sim_id(holder));
}

void sim_log_at_rest(void)
{
    ratoon__driver *d = sim_disk();
    ratoon_error error;
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        const log_run *r = sim_log.runs[i];
        if (!r->deleted &&
            (r->status == RATOON_RUN_RUNNING || r->status == RATOON_RUN_CANCELLING)) {
            sim_fail("L08", "run %s stays %s and nobody executes it", sim_id(r->id),
                     ratoon_run_status_name(r->status));
        }
        ratoon_id holder;
        char name[64];
        (void)snprintf(name, sizeof name, "scope:%s", r->scope);
        if (!r->deleted && r->scope[0] != '\0' && ratoon_run_status_active(r->status) &&
            (d->ops->claim_get(d, name, &holder, &error) != RATOON_OK ||
             !ratoon_id_equal(holder, r->id))) {
            sim_fail("R10", "run %s is active and does not hold %s", sim_id(r->id), name);
        }
    }
    if (d->ops->claims(d, "scope:", "", check_claim, NULL, &error) != RATOON_OK) {
        sim_fail("R10", "claims can't be read: %s", error.message);
    }
}
