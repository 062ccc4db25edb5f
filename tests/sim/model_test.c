/* Random requests, legal and illegal, through the public interface, against a reference model; what
 * is answered and everything that can be seen is compared after each step.
 *   RATOON_MODEL_STEPS   how many (50,000)
 *   RATOON_TEST_SEED     the seed, printed; world and step with it when something differs
 *   RATOON_MODEL_WORLD   only this world of the seed
 * The steps come in worlds: a new store with new pipelines each, on disk and in memory in turn. */
#include "tests/support/model_check.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORLD_STEPS = 1200, OPS_MAX = 3 };

static uint64_t sim_clock(void *ctx)
{
    return ((model_sim *)ctx)->m.now;
}

static void open_store(model_sim *sim)
{
    ratoon_store_options options = RATOON_STORE_OPTIONS_INIT;
    ratoon_error error;
    options.durability = RATOON_DURABILITY_NONE;
    options.no_serve = true;
    options.max_depth = sim->m.store_max_depth;
    options.clock_us = sim_clock;
    options.clock_ctx = sim;
    if (sim->folder == NULL) {
        options.driver = RATOON_DRIVER_MEMORY;
        model_must(sim, ratoon_store_open(NULL, &options, &sim->store, &error), &error);
        return;
    }
    char *path = support_path_join(sim->folder, "store");
    if (access(path, F_OK) != 0) {
        model_must(sim, ratoon_store_create(path, &options, &error), &error);
    }
    model_must(sim, ratoon_store_open(path, &options, &sim->store, &error), &error);
    free(path);
}

/* ------------------------------------------------------------------ what an executor does */

static void log_op(model_sim *sim, const model_op *op)
{
    static const char *const names[] = {"",     "start",        "end",      "return",
                                        "skip", "refuse",       "progress", "items",
                                        "item", "external_ref", "consumes", "finish"};
    model_log_more(sim, " %s", names[op->kind]);
    if (op->kind != RATOON_OP_FINISH && op->kind != RATOON_OP_EXTERNAL_REF) {
        model_log_more(sim, "(s%d attempt %u", op->stage, op->attempt);
        if (op->kind == RATOON_OP_STAGE_END) {
            model_log_more(sim, " %s values 0x%x from %u", ratoon_stage_status_name(op->status),
                           op->values, op->values_base);
        }
        if (op->kind == RATOON_OP_ITEM) {
            model_log_more(sim, " i%d%s%s", op->item, op->item_failed ? " failed" : "",
                           op->item_committed ? " committed" : "");
        }
        model_log_more(sim, ")");
    } else if (op->interrupted) {
        model_log_more(sim, "(interrupted)");
    }
}

typedef struct op_texts {
    model_texts values;
    ratoon_failure failure;
    ratoon_item_result item;
    char stage[16], item_key[16];
} op_texts;

static void fill_op(const model_op *op, op_texts *t, ratoon_op *o)
{
    *o = (ratoon_op){.kind = op->kind,
                     .attempt = op->attempt,
                     .status = op->status,
                     .delay_ms = op->delay_ms,
                     .total = MODEL_ITEMS,
                     .interrupted = op->interrupted};
    snprintf(t->stage, sizeof t->stage, op->stage < 0 ? "nope" : "s%d", op->stage);
    o->stage = t->stage;
    model_fill_values(&t->values, op->values, op->values_base, false);
    o->outputs = t->values.values;
    o->outputs_count = t->values.count;
    if (op->error_class != RATOON_CLASS_NONE) {
        t->failure = (ratoon_failure){.error_class = op->error_class, .message = "as planned"};
        o->failure = &t->failure;
    }
    if (op->kind == RATOON_OP_STAGE_SKIP || op->kind == RATOON_OP_EXTERNAL_REF ||
        op->status == RATOON_STAGE_DEGRADED) {
        o->text = "job-17";
    }
    if (op->kind == RATOON_OP_ITEM) {
        snprintf(t->item_key, sizeof t->item_key, "i%d", op->item);
        t->item = (ratoon_item_result){.key = t->item_key,
                                       .failed = op->item_failed,
                                       .committed = op->item_committed,
                                       .output = op->item_failed ? NULL : "{}",
                                       .output_size = op->item_failed ? 0 : 2};
        if (op->item_failed) {
            t->item.error_class = RATOON_CLASS_EXECUTION;
            t->item.error = "as planned";
        }
        o->items = &t->item;
        o->items_count = 1;
    }
}

/* A run of ours changed by one commit. */
static void changed(model_sim *sim, int run, const model_run *after, bool appended)
{
    model *m = &sim->m;
    model_run *root = &m->runs[m->runs[run].root];
    m->runs[run] = *after;
    if (appended) {
        root->head++;
        root->last_time = m->now > root->last_time ? m->now : root->last_time;
    }
}

static void apply(model_sim *sim, int run, uint64_t epoch, const model_op *ops, size_t count)
{
    static op_texts t[OPS_MAX];
    static model_run after;
    ratoon_op library[OPS_MAX];
    ratoon_error error;
    model_log(sim, "apply to run %d, epoch %" PRIu64 ":", run, epoch);
    for (size_t i = 0; i < count; i++) {
        log_op(sim, &ops[i]);
        fill_op(&ops[i], &t[i], &library[i]);
    }
    const model_run *r = &sim->m.runs[run];
    const uint64_t allowed = model_apply(&sim->m, r, epoch, ops, count, &after);
    ratoon_status status = ratoon_run_apply(sim->store, r->id, epoch, library, count, &error);
    model_expect(sim, allowed, status, &error);
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        if (ops[i].kind == RATOON_OP_STAGE_START &&
            library[i].attempt_out != r->stages[ops[i].stage].attempt + 1) {
            model_fail(sim, "attempt %u", library[i].attempt_out);
        }
        if (ops[i].kind == RATOON_OP_FINISH && !model_settle(&after, library[i].run_status_out)) {
            model_fail(sim, "finished as %s and should be %s",
                       ratoon_run_status_name(library[i].run_status_out),
                       ratoon_run_status_name(after.status));
        }
    }
    if (status == RATOON_OK) {
        changed(sim, run, &after, true);
    }
    model_check_run(sim, run);
}

static unsigned outputs_for(model_sim *sim, const model_stage_def *d)
{
    unsigned keys = d->produces_keys;
    if (d->validates >= 0) {
        return 0;
    }
    if (model_one_in(sim, 5)) {
        keys |= model_random_keys(sim);
    }
    return model_one_in(sim, 15) ? keys & model_random_keys(sim) : keys;
}

static model_op end_op(model_sim *sim, const model_run *r, unsigned stage, unsigned attempt)
{
    const model_stage_def *d = &model_pipeline_of(&sim->m, r)->stages[stage];
    const uint64_t dice = model_below(sim, 100);
    model_op op = {.kind = RATOON_OP_STAGE_END, .stage = (int)stage, .attempt = attempt};
    op.status = dice < 68   ? RATOON_STAGE_SUCCEEDED
                : dice < 77 ? RATOON_STAGE_DEGRADED
                : dice < 95 ? RATOON_STAGE_FAILED
                            : RATOON_STAGE_CANCELLED;
    for (unsigned i = 0; i < MODEL_ITEMS; i++) {
        if (r->stages[stage].items[i] == MODEL_ITEM_FAILED) {
            op.status = RATOON_STAGE_FAILED; /* R13 */
        }
    }
    if (op.status == RATOON_STAGE_FAILED) {
        op.error_class = (ratoon_class)(1 + model_below(sim, 9));
    }
    op.values = op.status == RATOON_STAGE_CANCELLED ? 0 : outputs_for(sim, d);
    if (op.status == RATOON_STAGE_FAILED && model_one_in(sim, 2)) {
        op.values = 0;
    }
    op.values_base = sim->m.next_value;
    sim->m.next_value += MODEL_KEYS;
    return op;
}

static model_op running_op(model_sim *sim, const model_run *r, unsigned stage)
{
    const model_stage *s = &r->stages[stage];
    const model_stage_def *d = &model_pipeline_of(&sim->m, r)->stages[stage];
    model_op op = {.stage = (int)stage, .attempt = s->attempt};
    if (d->foreach && !model_one_in(sim, 4)) {
        op.item = (int)model_below(sim, MODEL_ITEMS);
        if (model_item_wanted(s, (unsigned)op.item) && s->items[op.item] == MODEL_ITEM_NONE) {
            op.kind = RATOON_OP_ITEM;
            op.item_failed = model_one_in(sim, 6);
            op.item_committed = !op.item_failed && model_one_in(sim, 8);
            return op;
        }
    }
    switch (model_below(sim, 12)) {
    case 0:
        op.kind = RATOON_OP_STAGE_PROGRESS;
        return op;
    case 1: /* a committing stage that has a number of items has items, recorded or not (R14) */
        op.kind = d->foreach && !d->commits ? RATOON_OP_STAGE_ITEMS : RATOON_OP_STAGE_PROGRESS;
        return op;
    case 2:
        op.kind = RATOON_OP_STAGE_RETURN;
        op.error_class = RATOON_CLASS_TRANSIENT;
        op.delay_ms = model_one_in(sim, 4) ? 5 : 0;
        return op;
    default:
        return end_op(sim, r, stage, s->attempt);
    }
}

/* A stage that can start by the rules, or -1. */
static int startable(model_sim *sim, const model_run *r)
{
    const model_pipeline *p = model_pipeline_of(&sim->m, r);
    const unsigned first = (unsigned)model_below(sim, p->count);
    for (unsigned n = 0; n < p->count; n++) {
        const unsigned i = (first + n) % p->count;
        const model_stage_def *d = &p->stages[i];
        bool ready = r->stages[i].status == RATOON_STAGE_PENDING &&
                     (!r->only || (int)i == r->from) && r->stages[i].not_before <= sim->m.now;
        for (unsigned a = 0; a < p->count; a++) {
            ready = ready &&
                    ((d->ancestors & (1u << a)) == 0 || model_done(&r->stages[a]) ||
                     (r->stages[a].status == RATOON_STAGE_FAILED && p->stages[a].allow_failure));
        }
        if (ready) {
            return (int)i;
        }
    }
    return -1;
}

static model_op wild_op(model_sim *sim, const model_run *r)
{
    static const ratoon_op_kind kinds[] = {RATOON_OP_STAGE_START,  RATOON_OP_STAGE_END,
                                           RATOON_OP_STAGE_RETURN, RATOON_OP_STAGE_SKIP,
                                           RATOON_OP_STAGE_REFUSE, RATOON_OP_STAGE_PROGRESS,
                                           RATOON_OP_FINISH,       RATOON_OP_EXTERNAL_REF};
    const model_pipeline *p = model_pipeline_of(&sim->m, r);
    const unsigned stage = (unsigned)model_below(sim, p->count);
    const ratoon_op_kind kind = kinds[model_below(sim, sizeof kinds / sizeof *kinds)];
    model_op op = {.kind = kind, .stage = (int)stage, .attempt = r->stages[stage].attempt};
    if (kind == RATOON_OP_STAGE_END) {
        op = end_op(sim, r, stage, op.attempt);
    }
    if (kind == RATOON_OP_STAGE_REFUSE || kind == RATOON_OP_STAGE_RETURN) {
        op.error_class = RATOON_CLASS_DEPENDENCY;
    }
    if (kind != RATOON_OP_STAGE_START && model_one_in(sim, 3)) {
        op.attempt += model_one_in(sim, 2) ? 1 : ~0u; /* a report of another attempt */
    }
    if (model_one_in(sim, 20)) {
        op.stage = -2;
    }
    op.interrupted = kind == RATOON_OP_FINISH && model_one_in(sim, 2);
    return op;
}

/* What an executor would do next with a run: operations of one commit. */
static size_t next_ops(model_sim *sim, const model_run *r, model_op ops[OPS_MAX])
{
    const model_pipeline *p = model_pipeline_of(&sim->m, r);
    const bool may_start = r->status == RATOON_RUN_RUNNING && !model_failed_for_good(&sim->m, r);
    const int start = may_start ? startable(sim, r) : -1;
    int running = -1;
    for (unsigned i = 0; i < p->count; i++) {
        if (r->stages[i].status == RATOON_STAGE_RUNNING && (running < 0 || model_one_in(sim, 2))) {
            running = (int)i;
        }
    }
    if (start >= 0 && (running < 0 || model_one_in(sim, 3))) {
        ops[0] = (model_op){.kind = RATOON_OP_STAGE_START, .stage = start};
        if (model_one_in(sim, 25)) {
            ops[0].kind = RATOON_OP_STAGE_SKIP;
        }
        model_state input;
        model_input(&sim->m, r, (unsigned)start, &input);
        for (unsigned k = 0; k < MODEL_KEYS; k++) {
            if ((p->stages[start].requires_keys & (1u << k)) != 0 && input.at[k].id == 0 &&
                model_one_in(sim, 2)) { /* refused; its executor records that (S04) */
                ops[0].kind = RATOON_OP_STAGE_REFUSE;
                ops[0].error_class = RATOON_CLASS_DEPENDENCY;
            }
        }
        if (ops[0].kind == RATOON_OP_STAGE_START && model_one_in(sim, 4)) {
            ops[1] = end_op(sim, r, (unsigned)start, r->stages[start].attempt + 1);
            return 2;
        }
        return 1;
    }
    if (running >= 0) {
        ops[0] = running_op(sim, r, (unsigned)running);
        if (model_one_in(sim, 30)) {
            ops[1] = (model_op){.kind = RATOON_OP_FINISH, .interrupted = model_one_in(sim, 2)};
            return 2;
        }
        return 1;
    }
    ops[0] = (model_op){.kind = RATOON_OP_FINISH, .interrupted = model_one_in(sim, 4)};
    return 1;
}

/* A run, those that are executed first. */
static int pick_run(model_sim *sim, bool executed)
{
    const model *m = &sim->m;
    int found = -1;
    uint64_t seen = 0;
    for (int i = 0; executed && i < m->runs_count; i++) {
        const ratoon_run_status status = m->runs[i].status;
        if ((status == RATOON_RUN_RUNNING || status == RATOON_RUN_CANCELLING) &&
            model_one_in(sim, ++seen)) {
            found = i;
        }
    }
    return found >= 0 ? found : (int)model_below(sim, (uint64_t)m->runs_count);
}

static void do_work(model_sim *sim)
{
    model_op ops[OPS_MAX];
    const int run = pick_run(sim, !model_one_in(sim, 12));
    const model_run *r = &sim->m.runs[run];
    size_t count;
    uint64_t epoch = r->epoch;
    if (epoch == 0 || (ratoon_run_status_terminal(r->status) && !model_one_in(sim, 6))) {
        model_do_retry(sim); /* there is little to do for it */
        return;
    }
    if (model_one_in(sim, 10)) {
        ops[0] = wild_op(sim, r);
        count = 1;
        epoch = model_one_in(sim, 5) ? epoch + 1 - 2 * model_below(sim, 2) : epoch;
    } else {
        count = next_ops(sim, r, ops);
        if (count < OPS_MAX && model_one_in(sim, 40)) {
            ops[count++] = wild_op(sim, r);
        }
    }
    apply(sim, run, epoch, ops, count);
}

/* ------------------------------------------------------------------ other requests */

static void do_start(model_sim *sim)
{
    static model_run after;
    ratoon_start_options o = RATOON_START_OPTIONS_INIT;
    ratoon_error error;
    uint64_t epoch = 0;
    int run = pick_run(sim, false);
    for (int tries = 0; tries < 20 && sim->m.runs[run].status != RATOON_RUN_SUSPENDED &&
                        sim->m.runs[run].status != RATOON_RUN_QUEUED;
         tries++) {
        run = pick_run(sim, false);
    }
    const model_run *r = &sim->m.runs[run];
    int given = model_one_in(sim, 5) ? 1 + (int)model_below(sim, 2) : 0;
    given = given == 1 && r->variant == 1 ? 0 : given; /* an older one is not for this test */
    o.accept_changes = model_one_in(sim, 2);
    o.pipeline = given == 0 ? NULL : sim->m.pipelines[r->pipeline].lib[given - 1];
    model_log(sim, "start run %d given=%d accept=%d", run, given, o.accept_changes);
    const uint64_t allowed = model_start(&sim->m, r, given, o.accept_changes, &after);
    ratoon_status status = ratoon_run_start(sim->store, r->id, &o, &epoch, &error);
    model_expect(sim, allowed, status, &error);
    if (status == RATOON_OK) {
        if (epoch <= r->epoch) {
            model_fail(sim, "epoch %" PRIu64 " after %" PRIu64, epoch, r->epoch);
        }
        after.epoch = epoch;
        changed(sim, run, &after, true);
    }
    model_check_run(sim, run);
}

static void do_cancel(model_sim *sim)
{
    static model_run after;
    ratoon_error error;
    ratoon_run_status got = 0;
    const int run = pick_run(sim, model_one_in(sim, 3));
    const model_run *r = &sim->m.runs[run];
    const bool asked = r->status == RATOON_RUN_CANCELLING;
    model_log(sim, "cancel run %d", run);
    const uint64_t allowed = model_cancel(&sim->m, r, &after);
    ratoon_status status = ratoon_run_cancel(sim->store, r->id, "enough", &got, &error);
    model_expect(sim, allowed, status, &error);
    if (status == RATOON_OK) {
        if (got != after.status) {
            model_fail(sim, "cancel says %s", ratoon_run_status_name(got));
        }
        changed(sim, run, &after, !asked);
    }
    model_check_run(sim, run);
}

static void do_annotate(model_sim *sim)
{
    ratoon_error error;
    const int run = pick_run(sim, false);
    model_log(sim, "annotate run %d", run);
    model_run *r = &sim->m.runs[run];
    model_run *root = &sim->m.runs[r->root];
    model_expect(sim, MODEL_OK, ratoon_run_annotate(sim->store, r->id, "seen", &error), &error);
    root->head++;
    root->last_time = sim->m.now > root->last_time ? sim->m.now : root->last_time;
    model_check_run(sim, run);
}

/* L08: what was running is interrupted by closing. */
static void do_reopen(model_sim *sim)
{
    ratoon_error error;
    if (sim->folder == NULL) {
        return;
    }
    model_log(sim, "close and open");
    ratoon_store_close(sim->store);
    sim->store = NULL;
    open_store(sim);
    for (int i = 0; i < sim->m.runs_count; i++) {
        model_run *r = &sim->m.runs[i];
        model_run *root = &sim->m.runs[r->root];
        if (r->status == RATOON_RUN_RUNNING || r->status == RATOON_RUN_CANCELLING) {
            ratoon_run_info info;
            model_must(sim, ratoon_run_get(sim->store, r->id, &info, &error), &error);
            if (root->head >= info.head && r == root) {
                model_fail(sim, "run %d was interrupted and its lineage did not grow", i);
            }
            root->head = info.head;
            root->last_time = sim->m.now > root->last_time ? sim->m.now : root->last_time;
            model_interrupt(&sim->m, r);
            (void)model_settle(r, info.status);
        }
    }
    for (int i = 0; i < sim->m.runs_count; i++) {
        model_check_run(sim, i);
    }
}

static void do_documents(model_sim *sim)
{
    ratoon_buffer json = {0};
    ratoon_error error;
    const model_run *r = &sim->m.runs[pick_run(sim, false)];
    const model_pipeline *p = model_pipeline_of(&sim->m, r);
    const char *stage = p->stages[model_below(sim, p->count)].name;
    model_must(sim, ratoon_doc_run(sim->store, r->id, true, &json, &error), &error);
    ratoon_buffer_free(&json);
    json = (ratoon_buffer){0};
    model_must(sim, ratoon_doc_tree(sim->store, r->id, &json, &error), &error);
    ratoon_buffer_free(&json);
    json = (ratoon_buffer){0};
    model_must(sim, ratoon_doc_explain(sim->store, r->id, stage, &json, &error), &error);
    ratoon_buffer_free(&json);
    model_log(sim, "documents of run %d", r->index);
}

/* ------------------------------------------------------------------ worlds */

static void step(model_sim *sim)
{
    const uint64_t dice = model_below(sim, 1000);
    sim->m.now += model_one_in(sim, 3) ? 0 : model_below(sim, 3000);
    sim->m.now -= model_one_in(sim, 60) ? 20000 : 0; /* L13 */
    if (sim->m.runs_count == 0 || dice < 60) {
        model_do_create(sim);
    } else if (dice < 220) {
        model_do_retry(sim);
    } else if (dice < 270) {
        do_start(sim);
    } else if (dice < 290) {
        do_cancel(sim);
    } else if (dice < 305) {
        do_annotate(sim);
    } else if (dice < 308) {
        do_reopen(sim);
    } else if (dice < 315) {
        do_documents(sim);
    } else {
        do_work(sim);
    }
    if (sim->m.runs_count > 0) {
        const int run = pick_run(sim, model_one_in(sim, 2));
        model_check_run(sim, run);
        model_check_state(sim, run);
    }
    if (dice % 8 == 0) {
        model_check_lists(sim);
    }
}

static void world(model_sim *sim, unsigned long steps)
{
    sim->prng = support_prng_new(sim->seed + sim->world * UINT64_C(0x9e3779b97f4a7c15));
    sim->logged = 0;
    memset(&sim->m, 0, sizeof sim->m);
    sim->m.now = UINT64_C(1700000000000000);
    sim->m.next_value = 1;
    sim->m.store_max_depth = model_one_in(sim, 2) ? 0 : 1 + (unsigned)model_below(sim, 8);
    for (int i = 0; i < MODEL_PIPELINES; i++) {
        model_pipeline_random(&sim->m.pipelines[i], i, &sim->prng);
    }
    sim->folder = sim->world % 2 == 0 ? support_temp_dir("model_test") : NULL;
    open_store(sim);
    for (sim->step = 0; sim->step < steps && sim->m.runs_count < MODEL_RUNS_MAX; sim->step++) {
        step(sim);
        if (sim->step % 400 == 399) {
            model_check_verified(sim);
        }
    }
    model_check_verified(sim);
    ratoon_store_close(sim->store);
    for (int i = 0; i < MODEL_PIPELINES; i++) {
        model_pipeline_free(&sim->m.pipelines[i]);
    }
    support_temp_dir_free(sim->folder);
}

static unsigned long number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text == NULL || text[0] == '\0' ? otherwise : strtoul(text, NULL, 10);
}

START_TEST(test_model_agrees_for_random_requests)
{
    model_sim *sim = calloc(1, sizeof *sim);
    unsigned long left = number("RATOON_MODEL_STEPS", 50000);
    const unsigned long only = number("RATOON_MODEL_WORLD", ULONG_MAX);
    ck_assert_ptr_nonnull(sim);
    sim->seed = support_seed();
    fprintf(stderr, "RATOON_TEST_SEED=%" PRIu64 ", %lu steps\n", sim->seed, left);
    for (sim->world = 0; left > 0; sim->world++) {
        const unsigned long steps = left < WORLD_STEPS ? left : WORLD_STEPS;
        if (only == ULONG_MAX || only == sim->world) {
            world(sim, steps);
        }
        left -= steps;
    }
    free(sim);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("model");
    TCase *tc = tcase_create("random");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, test_model_agrees_for_random_requests);
    suite_add_tcase(s, tc);
    return s;
}

RATOON_TEST_MAIN(suite)
