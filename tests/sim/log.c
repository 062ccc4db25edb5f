/* What is in the log obeys the rules. Follows the log of the simulated disk commit by commit,
 * with nothing of the library but the decoder, and keeps the little that the rules are about. */
#include "tests/sim/log.h"

#include "log/digest.h"
#include "log/store.h"

#include <stdlib.h>
#include <string.h>

log_state sim_log;
int sim_atomic;

void sim_log_open(void)
{
    sim_log = (log_state){.next = 1};
}

static void run_free(log_run *r)
{
    for (size_t i = 0; i < r->stages_count; i++) {
        free(r->stages[i].ended);
    }
    free(r->stages);
    free(r);
}

void sim_log_close(void)
{
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        run_free(sim_log.runs[i]);
    }
    free(sim_log.runs);
    free(sim_log.lineages);
    free(sim_log.feed);
    free(sim_log.commit_ids);
    sim_log = (log_state){0};
}

log_run *sim_log_find(ratoon_id id)
{
    for (size_t i = sim_log.runs_count; i-- > 0;) {
        if (ratoon_id_equal(sim_log.runs[i]->id, id)) {
            return sim_log.runs[i];
        }
    }
    return NULL;
}

log_lineage *sim_log_lineage(ratoon_id id)
{
    for (size_t i = 0; i < sim_log.lineages_count; i++) {
        if (ratoon_id_equal(sim_log.lineages[i].id, id)) {
            return &sim_log.lineages[i];
        }
    }
    return NULL;
}

const char *sim_id(ratoon_id id)
{
    static char texts[4][RATOON_ID_TEXT];
    static unsigned n;
    char *text = texts[n++ % 4];
    ratoon_id_format(id, text);
    return text;
}

static const char *stage_name(const log_run *r, size_t stage)
{
    return ratoon_pipeline_stage(r->pipeline, stage)->name;
}

/* ---- legal changes (L03, L04) ---- */

static void set_run(log_run *r, ratoon_run_status to)
{
    static const struct {
        ratoon_run_status from, to;
    } legal[] = {{RATOON_RUN_QUEUED, RATOON_RUN_RUNNING},
                 {RATOON_RUN_QUEUED, RATOON_RUN_CANCELLED},
                 {RATOON_RUN_RUNNING, RATOON_RUN_SUCCEEDED},
                 {RATOON_RUN_RUNNING, RATOON_RUN_DEGRADED},
                 {RATOON_RUN_RUNNING, RATOON_RUN_FAILED},
                 {RATOON_RUN_RUNNING, RATOON_RUN_CANCELLING},
                 {RATOON_RUN_RUNNING, RATOON_RUN_SUSPENDED},
                 {RATOON_RUN_CANCELLING, RATOON_RUN_CANCELLED},
                 {RATOON_RUN_CANCELLING, RATOON_RUN_SUCCEEDED},
                 {RATOON_RUN_CANCELLING, RATOON_RUN_DEGRADED},
                 {RATOON_RUN_CANCELLING, RATOON_RUN_FAILED},
                 {RATOON_RUN_SUSPENDED, RATOON_RUN_RUNNING},
                 {RATOON_RUN_SUSPENDED, RATOON_RUN_CANCELLED}};
    for (size_t i = 0; i < sizeof legal / sizeof *legal; i++) {
        if (legal[i].from == r->status && legal[i].to == to) {
            r->status = to;
            return;
        }
    }
    sim_fail("L03", "run %s goes from %s to %s", sim_id(r->id), ratoon_run_status_name(r->status),
             ratoon_run_status_name(to));
}

static log_stage *stage_of(log_run *r, uint32_t stage, uint32_t attempt)
{
    if (stage >= r->stages_count) {
        sim_fail("L03", "run %s has no stage %u", sim_id(r->id), stage);
    }
    if (ratoon_run_status_terminal(r->status)) {
        sim_fail("L04", "an event of stage %s comes after the end of run %s", stage_name(r, stage),
                 sim_id(r->id));
    }
    log_stage *s = &r->stages[stage];
    if (attempt != 0 && attempt != s->attempt) {
        sim_fail("L03", "an event is of attempt %u of %s, which is at %u", attempt,
                 stage_name(r, stage), s->attempt);
    }
    return s;
}

static void set_stage(log_run *r, uint32_t stage, ratoon_stage_status to, ratoon_class error_class)
{
    log_stage *s = &r->stages[stage];
    bool legal = false;
    if (s->status == RATOON_STAGE_PENDING) {
        legal = to == RATOON_STAGE_RUNNING || to == RATOON_STAGE_SKIPPED ||
                to == RATOON_STAGE_CANCELLED ||
                (to == RATOON_STAGE_FAILED && error_class == RATOON_CLASS_DEPENDENCY);
    } else if (s->status == RATOON_STAGE_RUNNING) {
        legal = to == RATOON_STAGE_SUCCEEDED || to == RATOON_STAGE_DEGRADED ||
                to == RATOON_STAGE_FAILED || to == RATOON_STAGE_CANCELLED ||
                to == RATOON_STAGE_PENDING;
    }
    if (!legal) {
        sim_fail("L03", "stage %s of run %s goes from %s to %s", stage_name(r, stage),
                 sim_id(r->id), ratoon_stage_status_name(s->status), ratoon_stage_status_name(to));
    }
    s->status = to;
    s->counts_as = to;
}

/* ---- events ---- */

static const ratoon_pipeline *pipeline_of(const ratoon_digest *digest)
{
    for (size_t i = 0; i < sim_pipelines(); i++) {
        const ratoon_digest d = ratoon_pipeline_digest(sim_pipeline(i));
        if (memcmp(&d, digest, sizeof d) == 0) {
            return sim_pipeline(i);
        }
    }
    sim_fail("R16", "a run is of a pipeline that nobody asked for");
}

static void copy_text(char *to, size_t size, const char *text)
{
    (void)snprintf(to, size, "%s", text != NULL ? text : "");
}

static void inherit(log_run *r, const ratoon__run_created *c)
{
    const log_run *parent = sim_log_find(c->parent);
    for (uint32_t i = 0; i < r->stages_count; i++) {
        bool again = parent == NULL;
        for (size_t k = 0; k < c->rerun_set_count; k++) {
            again = again || c->rerun_set[k] == i;
        }
        log_stage *s = &r->stages[i];
        s->status = RATOON_STAGE_PENDING;
        if (again) {
            continue;
        }
        if (!ratoon_stage_status_done(parent->stages[i].status)) {
            if (!c->only) {
                sim_fail("R02", "stage %s of run %s is to be reused and was %s in its parent",
                         stage_name(r, i), sim_id(r->id),
                         ratoon_stage_status_name(parent->stages[i].status));
            }
            continue;
        }
        s->status = RATOON_STAGE_REUSED;
        s->counts_as = parent->stages[i].counts_as;
    }
}

static void check_created(const log_run *r, const ratoon__run_created *c)
{
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        const log_run *other = sim_log.runs[i];
        if (other->deleted) {
            continue;
        }
        if (ratoon_id_equal(other->id, r->id)) {
            sim_fail("L01", "run %s is created twice", sim_id(r->id));
        }
        if (r->key[0] != '\0' && strcmp(other->key, r->key) == 0) {
            sim_fail("R09", "the key %s made run %s and run %s", r->key, sim_id(other->id),
                     sim_id(r->id));
        }
    }
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        if (strncmp(r->reason, "request ", 8) == 0 &&
            strcmp(sim_log.runs[i]->reason, r->reason) == 0) {
            sim_fail("R08", "%s made run %s and run %s", r->reason, sim_id(sim_log.runs[i]->id),
                     sim_id(r->id));
        }
    }
    for (size_t i = 0; i < sim_log.refused_count; i++) {
        if (strcmp(r->reason, sim_log.refused[i]) == 0) {
            sim_fail("Q01", "%s was refused and makes run %s nevertheless", r->reason,
                     sim_id(r->id));
        }
    }
    const log_run *parent = sim_log_find(c->parent);
    if (parent != NULL &&
        (r->depth != parent->depth + 1 || ratoon_run_status_active(parent->status))) {
        sim_fail("R04", "run %s of depth %u springs from one of depth %u that is %s", sim_id(r->id),
                 r->depth, parent->depth, ratoon_run_status_name(parent->status));
    }
    if (r->depth > c->max_depth || r->depth > 8) {
        sim_fail("R07", "run %s has depth %u", sim_id(r->id), r->depth);
    }
}

static void on_created(log_lineage *l, const ratoon__event *e)
{
    const ratoon__run_created *c = &e->u.created;
    log_run *r = calloc(1, sizeof *r);
    r->id = e->run;
    r->root = c->root;
    r->parent = c->parent;
    r->depth = c->depth;
    r->status = c->status;
    r->queued_by_request = c->queued_by_request;
    r->executor = c->executor;
    r->epoch = c->status == RATOON_RUN_RUNNING ? 1 : 0;
    r->only = c->only;
    r->until = c->until;
    r->pipeline = pipeline_of(&c->pipeline_digest);
    r->stages_count = ratoon_pipeline_stage_count(r->pipeline);
    r->stages = calloc(r->stages_count, sizeof *r->stages);
    copy_text(r->key, sizeof r->key, c->key);
    copy_text(r->scope, sizeof r->scope, c->scope);
    copy_text(r->reason, sizeof r->reason, c->reason);
    check_created(r, c);
    if (c->number != ++l->runs) {
        sim_fail("L12", "run %s has number %u, not %u", sim_id(r->id), c->number, l->runs);
    }
    inherit(r, c);
    sim_log.runs = realloc(sim_log.runs, (sim_log.runs_count + 1) * sizeof(log_run *));
    sim_log.runs[sim_log.runs_count++] = r;
    sim_note("  run %s of %s %s, depth %u", sim_id(r->id), ratoon_pipeline_name(r->pipeline),
             ratoon_run_status_name(r->status), r->depth);
}

/* L08, L03: what an executor alone may tell is told by the one that has the run. by: the handle
 * that appended it, NULL where that is not known. */
static void check_executor(const log_run *r, const sim_proc *by, const char *what)
{
    if (by == NULL || by->store == NULL) {
        return;
    }
    const ratoon_id executor = ratoon__store_executor(by->store);
    if (!ratoon_id_equal(executor, r->executor)) {
        sim_fail("L08", "%s of run %s comes from process %d, which does not execute it", what,
                 sim_id(r->id), by->pid);
    }
}

/* Somebody else says that its executor is gone. */
static void check_gone(const log_run *r, const sim_proc *by)
{
    for (const sim_proc *p = sim_procs; p != NULL && by != NULL; p = p->next) {
        if (p != by && p->store != NULL && !p->dead && !p->closing && !p->unlocked &&
            ratoon_id_equal(ratoon__store_executor(p->store), r->executor)) {
            sim_fail("L08", "run %s is taken for one of a dead executor, but process %d lives",
                     sim_id(r->id), p->pid);
        }
    }
}

/* R08: queued runs start in the order in which they came. */
static void check_turn(const log_run *r)
{
    unsigned before = 0;
    if (r->status != RATOON_RUN_QUEUED || !r->queued_by_request) {
        return;
    }
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        const log_run *other = sim_log.runs[i];
        if (other == r) {
            break; /* the others came later */
        }
        before += !other->deleted && ratoon_id_equal(other->root, r->root) &&
                  ratoon_run_status_active(other->status);
    }
    if (before >= sim_active_max(r->pipeline)) {
        sim_fail("R08", "run %s starts before its turn: %u came before it", sim_id(r->id), before);
    }
}

static void on_started(log_run *r, const ratoon__event *e, const sim_proc *by)
{
    check_turn(r);
    if (e->u.started.epoch <= r->epoch) {
        sim_fail("L08", "run %s goes from epoch %llu to %llu", sim_id(r->id),
                 (unsigned long long)r->epoch, (unsigned long long)e->u.started.epoch);
    }
    set_run(r, RATOON_RUN_RUNNING);
    r->epoch = e->u.started.epoch;
    r->executor = e->u.started.executor;
    r->until = e->u.started.until;
    check_executor(r, by, "the start");
    for (size_t i = 0; i < r->stages_count; i++) {
        r->stages[i].not_before_ns = 0;
    }
}

/* L05 */
static ratoon_run_status outcome(const log_run *r)
{
    bool left = false, degraded = false, failed = false;
    for (size_t i = 0; i < r->stages_count; i++) {
        const log_stage *s = &r->stages[i];
        if (s->status == RATOON_STAGE_FAILED) {
            const bool forgiven = ratoon_pipeline_stage(r->pipeline, i)->allow_failure;
            degraded = degraded || forgiven;
            failed = failed || !forgiven;
        } else if (!ratoon_stage_status_done(s->status)) {
            left = true;
        } else if (s->counts_as == RATOON_STAGE_DEGRADED) {
            degraded = true;
        }
    }
    return failed     ? RATOON_RUN_FAILED
           : left     ? RATOON_RUN_SUSPENDED
           : degraded ? RATOON_RUN_DEGRADED
                      : RATOON_RUN_SUCCEEDED;
}

static void on_ended(log_run *r, const ratoon__event *e)
{
    const ratoon_run_status to = e->u.ended.status;
    const ratoon_run_status derived = outcome(r);
    if (to != RATOON_RUN_CANCELLED && to != derived) {
        sim_fail("L05", "run %s ends %s; its stages make it %s", sim_id(r->id),
                 ratoon_run_status_name(to), ratoon_run_status_name(derived));
    }
    for (size_t i = 0; i < r->stages_count; i++) {
        if (r->stages[i].status == RATOON_STAGE_RUNNING) {
            sim_fail("L03", "run %s ends while stage %s is running", sim_id(r->id),
                     stage_name(r, i));
        }
    }
    set_run(r, to);
}

static void on_stage_started(log_run *r, const ratoon__event *e, const sim_proc *by)
{
    const uint32_t i = e->u.stage_started.stage;
    log_stage *s = stage_of(r, i, 0);
    if (r->status != RATOON_RUN_RUNNING) {
        sim_fail("L03", "stage %s starts in a run that is %s", stage_name(r, i),
                 ratoon_run_status_name(r->status));
    }
    check_executor(r, by, "the start of a stage");
    set_stage(r, i, RATOON_STAGE_RUNNING, RATOON_CLASS_NONE);
    if (e->u.stage_started.attempt != s->attempt + 1) {
        sim_fail("L03", "attempt %u of %s follows attempt %u", e->u.stage_started.attempt,
                 stage_name(r, i), s->attempt);
    }
    s->attempt++;
    if (sim_now_ns < s->not_before_ns) {
        s->early = true; /* legal only where it fails at once: the run's time is up */
    }
}

static void note_end(log_stage *s, ratoon_stage_status status)
{
    s->ended = realloc(s->ended, (s->attempt + 1) * sizeof *s->ended);
    for (; s->ended_count <= s->attempt; s->ended_count++) {
        s->ended[s->ended_count] = 0;
    }
    s->ended[s->attempt] = (uint8_t)status;
}

/* A06: no time-out comes before its time. */
static void check_timeout(const log_run *r, uint32_t stage, const ratoon__failure *f)
{
    const ratoon_stage_def *def = ratoon_pipeline_stage(r->pipeline, stage);
    const log_stage *s = &r->stages[stage];
    if (f->error_class != RATOON_CLASS_TIMEOUT || f->message == NULL ||
        strstr(f->message, "items failed") != NULL) { /* that one tells of its items */
        return;
    }
    if (strstr(f->message, "time-out of the stage") != NULL &&
        sim_now_ns + SIM_MS < s->told_ns + def->timeout_ms * SIM_MS) {
        sim_fail("A06", "%s is at its time-out after %.3f of %llu ms", def->name,
                 (double)(sim_now_ns - s->told_ns) / (double)SIM_MS,
                 (unsigned long long)def->timeout_ms);
    }
    if (strstr(f->message, "no event for") != NULL) {
        sim_stages_check_quiet(r->id, def->name, s->attempt, def->heartbeat_ms);
    }
}

static void on_stage_ended(log_run *r, const ratoon__event *e, const sim_proc *by)
{
    const uint32_t i = e->u.stage_ended.stage;
    const ratoon_stage_status to = e->u.stage_ended.status;
    log_stage *s = stage_of(r, i, e->u.stage_ended.attempt);
    const bool was_running = s->status == RATOON_STAGE_RUNNING;
    if (was_running && to != RATOON_STAGE_CANCELLED) {
        check_executor(r, by, "the end of a stage");
    }
    check_timeout(r, i, &e->u.stage_ended.failure);
    set_stage(r, i, to, e->u.stage_ended.failure.error_class);
    s->early = false;
    if (was_running) {
        note_end(s, to);
    }
}

static void on_stage_returned(log_run *r, const ratoon__event *e, const sim_proc *by)
{
    const uint32_t i = e->u.stage_returned.stage;
    const ratoon_class error_class = e->u.stage_returned.failure.error_class;
    log_stage *s = stage_of(r, i, e->u.stage_returned.attempt);
    check_timeout(r, i, &e->u.stage_returned.failure);
    set_stage(r, i, RATOON_STAGE_PENDING, RATOON_CLASS_NONE);
    s->early = false;
    if (error_class == RATOON_CLASS_INTERRUPTED && e->u.stage_returned.delay_ms == 0) {
        return;
    }
    check_executor(r, by, "another attempt");
    const ratoon_retry_policy *policy = &ratoon_pipeline_stage(r->pipeline, i)->retry;
    const uint32_t classes = policy->classes != 0
                                 ? policy->classes
                                 : 1u << RATOON_CLASS_TRANSIENT | 1u << RATOON_CLASS_TIMEOUT;
    if (s->attempt >= policy->attempts || (classes & 1u << error_class) == 0) {
        sim_fail("A04", "stage %s is tried again after attempt %u of %u that failed with %s",
                 stage_name(r, i), s->attempt, policy->attempts, ratoon_class_name(error_class));
    }
    double delay = (double)policy->initial_ms;
    for (uint32_t k = 1; k < s->attempt; k++) {
        delay *= policy->factor;
    }
    delay = delay < (double)policy->max_ms ? delay : (double)policy->max_ms;
    const double given = (double)e->u.stage_returned.delay_ms;
    if (given < delay * (1 - policy->jitter) - 1 || given > delay * (1 + policy->jitter) + 1 ||
        given > (double)policy->max_ms) {
        sim_fail("A04", "the delay after attempt %u is %.0f ms, by its policy it is %.0f",
                 s->attempt, given, delay);
    }
    s->not_before_ns = (by != NULL ? by->asked_ns : sim_now_ns) +
                       e->u.stage_returned.delay_ms * SIM_MS - 2 * SIM_MS;
}

static void on_item(log_run *r, const ratoon__event *e, const sim_proc *by)
{
    log_stage *s = stage_of(r, e->u.item.stage, e->u.item.attempt);
    check_executor(r, by, "an item");
    if (s->status != RATOON_STAGE_RUNNING) {
        sim_fail("L03", "an item of %s, which is %s", stage_name(r, e->u.item.stage),
                 ratoon_stage_status_name(s->status));
    }
    const char k = e->u.item.key[0];
    if (k >= 'a' && k <= 'c' && e->u.item.key[1] == '\0') {
        const unsigned bit = 1u << (k - 'a');
        if ((s->items_done & bit) != 0) {
            sim_fail("R13", "item %c of %s ends a second time after it was done", k,
                     stage_name(r, e->u.item.stage));
        }
        s->items_done |= e->u.item.failed ? 0 : bit;
    }
}

static void on_deleted(log_lineage *l)
{
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        log_run *r = sim_log.runs[i];
        if (ratoon_id_equal(r->root, l->id)) {
            if (ratoon_run_status_active(r->status)) {
                sim_fail("R20", "run %s is deleted while it is %s", sim_id(r->id),
                         ratoon_run_status_name(r->status));
            }
            r->deleted = true;
        }
    }
    l->deleted = true;
}

static void take_event(log_lineage *l, const ratoon__event *e, const sim_proc *by)
{
    if (e->type == RATOON__EVENT_RUN_CREATED) {
        on_created(l, e);
        return;
    }
    if (e->type == RATOON__EVENT_LINEAGE_DELETED) {
        on_deleted(l);
        return;
    }
    log_run *r = sim_log_find(e->run);
    if (r == NULL || r->deleted || !ratoon_id_equal(r->root, l->id)) {
        sim_fail("Q01", "an event %s is of a run that is not there",
                 ratoon__event_type_name(e->type));
    }
    switch (e->type) {
    case RATOON__EVENT_RUN_STARTED:
        on_started(r, e, by);
        break;
    case RATOON__EVENT_RUN_CANCEL_REQUESTED:
        if (r->status == RATOON_RUN_RUNNING) {
            set_run(r, RATOON_RUN_CANCELLING);
            r->cancelled_ns = sim_now_ns;
        }
        break;
    case RATOON__EVENT_RUN_SUSPENDED:
        if (by != NULL && by->store != NULL &&
            !ratoon_id_equal(ratoon__store_executor(by->store), r->executor)) {
            check_gone(r, by);
        }
        set_run(r, RATOON_RUN_SUSPENDED);
        break;
    case RATOON__EVENT_RUN_ENDED:
        on_ended(r, e);
        break;
    case RATOON__EVENT_STAGE_STARTED:
        on_stage_started(r, e, by);
        break;
    case RATOON__EVENT_STAGE_ENDED:
        on_stage_ended(r, e, by);
        break;
    case RATOON__EVENT_STAGE_RETURNED:
        on_stage_returned(r, e, by);
        break;
    case RATOON__EVENT_ITEM_ENDED:
        on_item(r, e, by);
        break;
    default:
        break;
    }
}

/* ---- what must hold after each commit ---- */

static void check_places(const log_lineage *l)
{
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        const log_run *r = sim_log.runs[i];
        unsigned active = 0;
        if (r->deleted || !ratoon_id_equal(r->root, l->id)) {
            continue;
        }
        for (size_t k = 0; k < sim_log.runs_count; k++) {
            const log_run *other = sim_log.runs[k];
            active += !other->deleted && ratoon_id_equal(other->root, l->id) &&
                      ratoon_run_status_active(other->status) &&
                      (other->status != RATOON_RUN_QUEUED || !other->queued_by_request);
            if (k != i && !other->deleted && r->scope[0] != '\0' &&
                strcmp(r->scope, other->scope) == 0 && ratoon_run_status_active(r->status) &&
                ratoon_run_status_active(other->status)) {
                sim_fail("R10", "runs %s (%s) and %s (%s) hold the scope %s", sim_id(r->id),
                         ratoon_run_status_name(r->status), sim_id(other->id),
                         ratoon_run_status_name(other->status), r->scope);
            }
        }
        const unsigned most = sim_active_max(r->pipeline);
        if (active > most) {
            sim_fail("R08", "%u runs of lineage %s are active, at most %u may be", active,
                     sim_id(l->id), most);
        }
    }
    for (size_t i = 0; i < sim_log.runs_count; i++) {
        const log_run *r = sim_log.runs[i];
        for (size_t k = 0; k < r->stages_count; k++) {
            if (r->stages[k].early) {
                sim_fail("A04", "stage %s of run %s starts %.3f ms before its back-off is over",
                         stage_name(r, k), sim_id(r->id),
                         (double)(r->stages[k].not_before_ns - sim_now_ns) / (double)SIM_MS);
            }
        }
    }
}

static void check_chain(log_lineage *l, const ratoon__commit *c)
{
    if (l->deleted || c->number != l->head + 1 || c->first_event != l->events + 1 ||
        memcmp(&c->previous, &l->digest, sizeof l->digest) != 0) {
        sim_fail("Q01", "commit %llu of lineage %s does not follow commit %llu",
                 (unsigned long long)c->number, sim_id(l->id), (unsigned long long)l->head);
    }
    if (c->time_us < l->time_us) {
        sim_fail("L13", "the time of lineage %s goes back", sim_id(l->id));
    }
    for (size_t i = 0; i < sim_log.feed_count; i++) {
        if (ratoon_id_equal(sim_log.commit_ids[i], c->id)) {
            sim_fail("Q01", "commit %s is in the log twice", sim_id(c->id));
        }
    }
}

static log_lineage *lineage_for(const ratoon__commit *c)
{
    log_lineage *l = sim_log_lineage(c->lineage);
    if (l == NULL) {
        sim_log.lineages =
            realloc(sim_log.lineages, (sim_log.lineages_count + 1) * sizeof *sim_log.lineages);
        l = &sim_log.lineages[sim_log.lineages_count++];
        *l = (log_lineage){.id = c->lineage};
    }
    return l;
}

static bool take_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    const sim_proc *by = ctx;
    ratoon__arena arena = {0};
    ratoon__commit c;
    ratoon_error error;
    (void)number;
    if (position != sim_log.next || position != sim_log.feed_count + 1) {
        sim_fail("Q06", "position %llu follows %llu", (unsigned long long)position,
                 (unsigned long long)sim_log.next - 1);
    }
    if (ratoon__commit_decode(data, size, &arena, &c, &error) != RATOON_OK) {
        sim_fail("Q01", "a commit can't be decoded: %s", error.message);
    }
    if (!ratoon_id_equal(lineage, c.lineage)) {
        sim_fail("Q01", "a commit is kept under another lineage");
    }
    sim_hash(data, size);
    log_lineage *l = lineage_for(&c);
    check_chain(l, &c);
    for (size_t i = 0; i < c.events_count; i++) {
        sim_note("  %s %s", ratoon__event_type_name(c.events[i].type), sim_id(c.events[i].run) + 9);
        take_event(l, &c.events[i], by);
    }
    l->head = c.number;
    l->events += c.events_count;
    l->time_us = c.time_us;
    (void)!ratoon__sha256(data, size, &l->digest);
    sim_log.feed = realloc(sim_log.feed, (sim_log.feed_count + 1) * sizeof *sim_log.feed);
    sim_log.commit_ids =
        realloc(sim_log.commit_ids, (sim_log.feed_count + 1) * sizeof *sim_log.commit_ids);
    sim_log.feed[sim_log.feed_count] = (log_place){c.lineage, c.number};
    sim_log.commit_ids[sim_log.feed_count++] = c.id;
    sim_log.next = position + 1;
    check_places(l);
    ratoon__arena_free(&arena);
    return true;
}

void sim_log_follow(sim_proc *by)
{
    ratoon__driver *d = sim_disk();
    uint64_t end = 0;
    sim_atomic++;
    (void)d->ops->end(d, &end, NULL);
    while (sim_log.next < end) {
        const uint64_t before = sim_log.next;
        ratoon_error error;
        ratoon_status status = d->ops->tail(d, sim_log.next, 0, take_commit, by, &error);
        if (status != RATOON_OK || sim_log.next == before) {
            sim_fail("Q06", "the feed stops at %llu of %llu", (unsigned long long)before,
                     (unsigned long long)end);
        }
    }
    sim_atomic--;
}
