/* What a worker does with runs. Each request carries its token: in the reason of a creation, in the
 * text of an annotation, in the external reference that goes into the same commit as everything
 * else. */
#include "tests/crash/work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGES = 4, OPS_MAX = 40, ITEMS_MAX = 12, VALUE_MAX = 70000, SHARED_VALUES = 4 };

static const char *const stage_names[STAGES] = {"fetch", "parse", "merge", "publish"};

typedef struct open_run {
    ratoon_id run, root;
    uint64_t epoch;
} open_run;

/* ---- values ---- */

/* A JSON string: mostly its own, sometimes one that many runs have. */
static ratoon_value make_value(crash_worker *w, const char *key, uint64_t token, char *bytes)
{
    static const size_t sizes[] = {20, 200, 1100, 3000, 20000, VALUE_MAX};
    size_t size = sizes[support_prng_below(&w->prng, 4)];
    uint64_t salt = token;
    if (crash_one_in(w, 40)) {
        size = sizes[4 + support_prng_below(&w->prng, 2)];
    } else if (crash_one_in(w, 4)) {
        size = 3000;
        salt = support_prng_below(&w->prng, SHARED_VALUES);
    }
    support_prng filler = support_prng_new(salt);
    bytes[0] = '"';
    for (size_t i = 1; i + 1 < size; i++) {
        bytes[i] = (char)('a' + support_prng_below(&filler, 26));
    }
    bytes[size - 1] = '"';
    return (ratoon_value){.key = key, .data = bytes, .size = size};
}

/* ---- one request ---- */

static bool apply(crash_worker *w, const open_run *r, ratoon_op *ops, size_t count)
{
    char text[CRASH_TEXT];
    ratoon_error error;
    const uint64_t token = crash_token(w);
    crash_token_text(token, text);
    ops[0] = (ratoon_op){.kind = RATOON_OP_EXTERNAL_REF, .text = text};
    crash_intent(w, CRASH_APPLY, token, r->root);
    const ratoon_status status = ratoon_run_apply(w->store, r->run, r->epoch, ops, count, &error);
    return crash_answer(w, CRASH_APPLY, token, r->root, status, &error, 0);
}

static void repeat(crash_worker *w, ratoon_run_options *options, ratoon_id run)
{
    char text[CRASH_TEXT];
    ratoon_created again = {0};
    ratoon_error error;
    crash_token_text(crash_token(w), text); /* of a request that nobody may find */
    const char *const before = options->reason;
    options->reason = text;
    const ratoon_status status = ratoon_run_create(w->store, options, &again, &error);
    options->reason = before;
    if (status != RATOON_OK || !again.repeated || !ratoon_id_equal(again.run, run)) {
        crash_wrong(w->work, "R09: a request sent again: %s, repeated %d",
                    ratoon_status_name(status), again.repeated);
    }
}

static bool create(crash_worker *w, open_run *out)
{
    static char bytes[CRASH_THREADS][VALUE_MAX];
    char text[CRASH_TEXT], key[CRASH_TEXT + 8], subject[CRASH_TEXT], lane[CRASH_TEXT];
    ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
    ratoon_created created;
    ratoon_error error;
    const uint64_t token = crash_token(w);
    crash_token_text(token, text);
    snprintf(key, sizeof key, "key %s", text);
    snprintf(subject, sizeof subject, "subject %u", w->thread);
    snprintf(lane, sizeof lane, "lane %u", w->thread % 2);
    const ratoon_value state = make_value(w, "seed", token, bytes[w->thread]);
    const ratoon_pair param = {"lane", lane};
    const bool scoped = crash_one_in(w, 4);
    options.pipeline = scoped ? w->scoped : w->plain;
    options.params = &param;
    options.params_count = scoped ? 1 : 0;
    options.reason = text;
    options.subject = subject;
    options.state = &state;
    options.state_count = 1;
    options.key = crash_one_in(w, 3) ? key : NULL;
    options.no_exec = crash_one_in(w, 12);
    crash_intent(w, CRASH_CREATE, token, (ratoon_id){{0}});
    const ratoon_status status = ratoon_run_create(w->store, &options, &created, &error);
    if (!crash_answer(w, CRASH_CREATE, token, status == RATOON_OK ? created.run : (ratoon_id){{0}},
                      status, &error, CRASH_MAY(SCOPE_BUSY))) {
        return false;
    }
    if (options.key != NULL && crash_one_in(w, 3)) {
        repeat(w, &options, created.run);
    }
    *out = (open_run){.run = created.run, .root = created.run, .epoch = created.epoch};
    return !options.no_exec;
}

static bool retry(crash_worker *w, ratoon_id parent, open_run *out)
{
    static const uint64_t may = CRASH_MAY(RUN_ACTIVE) | CRASH_MAY(STAGE_NEVER_RAN) |
                                CRASH_MAY(STAGE_SUCCEEDED) | CRASH_MAY(DEPTH_LIMIT) |
                                CRASH_MAY(BRANCH_ACTIVE) | CRASH_MAY(SCOPE_BUSY) |
                                CRASH_MAY(NOT_FOUND) | CRASH_MAY(MISSING_KEYS);
    char text[CRASH_TEXT];
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    ratoon_run_info info;
    ratoon_created created;
    ratoon_error error;
    if (ratoon_run_get(w->store, parent, &info, &error) != RATOON_OK) {
        return false; /* pruned */
    }
    const uint64_t token = crash_token(w);
    crash_token_text(token, text);
    options.parent = parent;
    options.reason = text;
    if (crash_one_in(w, 2)) {
        options.from = stage_names[support_prng_below(&w->prng, STAGES)];
        options.rerun = true;
    }
    crash_intent(w, CRASH_RETRY, token, info.root);
    const ratoon_status status = ratoon_retry_create(w->store, &options, &created, &error);
    *out = (open_run){.run = created.run, .root = info.root, .epoch = created.epoch};
    return crash_answer(w, CRASH_RETRY, token, info.root, status, &error, may);
}

/* ---- stages ---- */

static bool progress(crash_worker *w, const open_run *r, const char *stage, uint32_t attempt)
{
    ratoon_op ops[OPS_MAX];
    const size_t count = 2 + support_prng_below(&w->prng, OPS_MAX - 2);
    for (size_t i = 1; i < count; i++) {
        ops[i] = (ratoon_op){.kind = RATOON_OP_STAGE_PROGRESS,
                             .stage = stage,
                             .attempt = attempt,
                             .done = i,
                             .total = count};
    }
    return apply(w, r, ops, count);
}

static bool items(crash_worker *w, const open_run *r, const char *stage, uint32_t attempt)
{
    ratoon_op ops[3];
    ratoon_item_result results[ITEMS_MAX];
    char keys[ITEMS_MAX][CRASH_TEXT];
    const size_t count = 1 + support_prng_below(&w->prng, ITEMS_MAX);
    for (size_t i = 0; i < count; i++) {
        snprintf(keys[i], sizeof keys[i], "item %zu", i);
        results[i] = (ratoon_item_result){.key = keys[i], .output = "true", .output_size = 4};
    }
    ops[1] = (ratoon_op){
        .kind = RATOON_OP_STAGE_ITEMS, .stage = stage, .attempt = attempt, .total = count};
    ops[2] = (ratoon_op){.kind = RATOON_OP_ITEM,
                         .stage = stage,
                         .attempt = attempt,
                         .items = results,
                         .items_count = count};
    return apply(w, r, ops, 3);
}

static bool finish(crash_worker *w, const open_run *r)
{
    ratoon_op ops[2] = {{0}, {.kind = RATOON_OP_FINISH}};
    if (!apply(w, r, ops, 2)) {
        return false;
    }
    if (w->own_count == CRASH_OWN_RUNS) {
        memmove(w->own, w->own + 1, sizeof w->own - sizeof w->own[0]);
        w->own_count--;
    }
    w->own[w->own_count++] = r->run;
    return true;
}

static bool end_stage(crash_worker *w, const open_run *r, uint32_t stage, uint32_t attempt,
                      bool fails)
{
    static char bytes[CRASH_THREADS][2][VALUE_MAX];
    static const ratoon_failure failure = {.error_class = RATOON_CLASS_EXECUTION,
                                           .message = "no luck"};
    ratoon_value outputs[2];
    outputs[0] = make_value(w, stage == 2 ? "b" : "a", w->sequence, bytes[w->thread][0]);
    outputs[1] = make_value(w, "other", w->sequence + 1, bytes[w->thread][1]);
    ratoon_op ops[2] = {{0},
                        {.kind = RATOON_OP_STAGE_END,
                         .stage = stage_names[stage],
                         .attempt = attempt,
                         .status = fails ? RATOON_STAGE_FAILED : RATOON_STAGE_SUCCEEDED,
                         .failure = fails ? &failure : NULL,
                         .outputs = outputs,
                         .outputs_count = fails ? 0 : 1 + support_prng_below(&w->prng, 2)}};
    return apply(w, r, ops, 2);
}

static bool one_stage(crash_worker *w, const open_run *r, uint32_t stage, bool *failed)
{
    const char *name = stage_names[stage];
    ratoon_op ops[2] = {{0}, {.kind = RATOON_OP_STAGE_START, .stage = name}};
    if (!apply(w, r, ops, 2)) {
        return false;
    }
    const uint32_t attempt = ops[1].attempt_out;
    if (crash_one_in(w, 4) && !progress(w, r, name, attempt)) {
        return false;
    }
    if (stage == 1 && crash_one_in(w, 2) && !items(w, r, name, attempt)) {
        return false;
    }
    if (crash_one_in(w, 40)) {
        return false; /* left as it is, for whoever opens the store next */
    }
    *failed = crash_one_in(w, 12);
    return end_stage(w, r, stage, attempt, *failed);
}

static void cancel(crash_worker *w, const open_run *r)
{
    char text[CRASH_TEXT];
    ratoon_run_status now;
    ratoon_error error;
    const uint64_t token = crash_token(w);
    crash_token_text(token, text);
    crash_intent(w, CRASH_CANCEL, token, r->root);
    const ratoon_status status = ratoon_run_cancel(w->store, r->run, text, &now, &error);
    (void)crash_answer(w, CRASH_CANCEL, token, r->root, status, &error, 0);
}

static void execute(crash_worker *w, const open_run *r)
{
    bool failed = false;
    for (uint32_t i = 0; i < STAGES && !failed; i++) {
        ratoon_stage_info info;
        ratoon_error error;
        if (atomic_load(&crash_work_over)) {
            return;
        }
        if (ratoon_run_stage(w->store, r->run, i, &info, &error) != RATOON_OK) {
            crash_wrong(w->work, "a stage of a run that is executed: %s", error.message);
        }
        if (ratoon_stage_status_done(info.status)) {
            continue;
        }
        if (!one_stage(w, r, i, &failed)) {
            return;
        }
        if (crash_one_in(w, 40)) {
            cancel(w, r);
            return;
        }
    }
    (void)finish(w, r);
}

/* ---- what a thread does ---- */

void crash_live(crash_worker *w)
{
    open_run r;
    if (!create(w, &r)) {
        return;
    }
    execute(w, &r);
    for (int i = 0; i < 3 && crash_one_in(w, 3) && !atomic_load(&crash_work_over); i++) {
        if (retry(w, r.run, &r)) {
            execute(w, &r);
        }
    }
}

/* Goes on with a run that a crash has left. */
void crash_resume(crash_worker *w)
{
    static const uint64_t may = CRASH_MAY(RUN_ACTIVE) | CRASH_MAY(ILLEGAL_TRANSITION) |
                                CRASH_MAY(BRANCH_ACTIVE) | CRASH_MAY(SCOPE_BUSY) |
                                CRASH_MAY(NOT_FOUND);
    ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
    ratoon_id *runs = NULL;
    size_t count = 0;
    ratoon_error error;
    options.status = crash_one_in(w, 4) ? RATOON_RUN_QUEUED : RATOON_RUN_SUSPENDED;
    options.limit = 20;
    options.pipeline = crash_one_in(w, 2) ? "scoped" : "plain";
    if (ratoon_run_list(w->store, &options, &runs, &count, &error) != RATOON_OK) {
        crash_wrong(w->work, "listing: %s", error.message);
    }
    ratoon_start_options start = RATOON_START_OPTIONS_INIT;
    ratoon_run_info info;
    open_run r = {.epoch = 0};
    if (count > 0) {
        r.run = runs[support_prng_below(&w->prng, count)];
        ratoon_status status = ratoon_run_get(w->store, r.run, &info, &error);
        r.root = info.root;
        if (status == RATOON_OK) {
            status = ratoon_run_start(w->store, r.run, &start, &r.epoch, &error);
        }
        if (status == RATOON_OK) {
            execute(w, &r);
        } else if ((may >> status & 1) == 0) {
            crash_wrong(w->work, "resuming: %s: %s", ratoon_status_name(status), error.message);
        }
    }
    free(runs);
}

/* Of one run that all threads and processes write to: found, or made by whoever comes first. */
void crash_annotate_shared(crash_worker *w)
{
    char text[CRASH_TEXT];
    ratoon_error error;
    ratoon_id run;
    uint64_t token = crash_token(w);
    crash_token_text(token, text);
    ratoon_status status = ratoon_most_recent(w->store, "shared", &run, &error);
    if (status == RATOON_ERR_NOT_FOUND) {
        ratoon_run_options options = RATOON_RUN_OPTIONS_INIT;
        ratoon_created created = {0};
        options.pipeline = w->shared;
        options.subject = "shared";
        options.key = "shared";
        options.reason = text;
        options.no_exec = true;
        crash_intent(w, CRASH_CREATE, token, (ratoon_id){{0}});
        status = ratoon_run_create(w->store, &options, &created, &error);
        run = created.run;
        if (status == RATOON_OK && created.repeated) {
            status = RATOON_ERR_KEY_REUSED; /* somebody else's: this request has appended nothing */
        }
        (void)crash_answer(w, CRASH_CREATE, token, run, status, &error, CRASH_MAY(KEY_REUSED));
        token = crash_token(w);
        crash_token_text(token, text);
    } else if (status != RATOON_OK) {
        crash_wrong(w->work, "most recent: %s", error.message);
    }
    crash_intent(w, CRASH_ANNOTATE, token, run);
    status = ratoon_run_annotate(w->store, run, text, &error);
    (void)crash_answer(w, CRASH_ANNOTATE, token, run, status, &error, 0);
}
