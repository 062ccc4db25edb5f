/* The reference model: random requests that create runs and retries, sent to a store and to the
 * model. */
#include "tests/support/model_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char things[] = "[\"i0\",\"i1\",\"i2\",\"i3\",\"i4\",\"i5\"]";

uint64_t model_below(model_sim *sim, uint64_t bound)
{
    return support_prng_below(&sim->prng, bound);
}

bool model_one_in(model_sim *sim, uint64_t n)
{
    return model_below(sim, n) == 0;
}

void model_fill_values(model_texts *t, unsigned set, unsigned base, bool with_things)
{
    t->count = 0;
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        if ((set & (1u << k)) != 0) {
            size_t i = t->count++;
            snprintf(t->keys[i], sizeof t->keys[i], "k%u", k);
            size_t size = model_value_text(base++, t->text[i]);
            t->values[i] = (ratoon_value){.key = t->keys[i], .data = t->text[i], .size = size};
        }
    }
    if (with_things) {
        t->values[t->count++] =
            (ratoon_value){.key = "things", .data = things, .size = sizeof things - 1};
    }
}

unsigned model_random_keys(model_sim *sim)
{
    // NOLINTNEXTLINE(misc-redundant-expression): two draws, so that few bits are set
    return (unsigned)support_prng_next(&sim->prng) & (unsigned)support_prng_next(&sim->prng) & 0xff;
}

static void pick_values(model_sim *sim, model_request *q, unsigned set)
{
    q->values = (int)set;
    q->values_base = set == 0 ? 0 : (int)sim->m.next_value;
    sim->m.next_value += MODEL_KEYS;
}

/* ------------------------------------------------------------------ requests that create */

static void random_params(model_sim *sim, model_request *q)
{
    if (model_one_in(sim, 4)) {
        q->size = 1 + (int)model_below(sim, model_one_in(sim, 4) ? 10 : 5);
        q->mode =
            model_one_in(sim, 2) ? 0 : 1 + (int)model_below(sim, model_one_in(sim, 6) ? 3 : 2);
        q->unknown = model_one_in(sim, 20);
    }
}

static size_t fill_params(const model_request *q, ratoon_pair pairs[3])
{
    size_t count = 0;
    if (q->size != 0) {
        pairs[count++] = (ratoon_pair){"size", model_sizes[q->size - 1]};
    }
    if (q->mode != 0) {
        pairs[count++] = (ratoon_pair){"mode", model_modes[q->mode - 1]};
    }
    if (q->unknown != 0) {
        pairs[count++] = (ratoon_pair){"nope", "1"};
    }
    return count;
}

static void log_request(model_sim *sim, const char *what, const model_request *q)
{
    if (q->retry) {
        model_log(sim, "%s of run %d from s%d", what, q->parent, q->from);
    } else {
        model_log(sim, "%s p%d subject %d", what, q->pipeline, q->subject);
    }
#define FLAG(name)                                                                                 \
    if (q->name != 0) {                                                                            \
        model_log_more(sim, " %s=%d", #name, q->name);                                             \
    }
    FLAG(rerun)
    FLAG(only)
    FLAG(destructive)
    FLAG(accept)
    FLAG(partial)
    FLAG(queue)
    FLAG(no_exec)
    FLAG(setup_too)
    FLAG(items_given)
    FLAG(items_mode)
    FLAG(listed)
    FLAG(size)
    FLAG(mode)
    FLAG(unknown)
    FLAG(values)
    FLAG(values_base)
    FLAG(given)
    FLAG(target)
    FLAG(until)
#undef FLAG
}

typedef struct request_texts {
    model_texts values;
    ratoon_pair params[3];
    char stages[2][16];
    char items[MODEL_ITEMS][8];
    const char *item_keys[MODEL_ITEMS];
} request_texts;

static void fill_create(const model_sim *sim, const model_request *q, request_texts *t,
                        ratoon_run_options *o)
{
    static const char *const subjects[] = {"sub0", "sub1", "sub2", "sub3"};
    *o = (ratoon_run_options)RATOON_RUN_OPTIONS_INIT;
    model_fill_values(&t->values, (unsigned)q->values, (unsigned)q->values_base, true);
    o->pipeline = sim->m.pipelines[q->pipeline].lib[q->given - 1];
    o->params = t->params;
    o->params_count = fill_params(q, t->params);
    o->state = t->values.values;
    o->state_count = t->values.count;
    o->subject = subjects[q->subject];
    if (q->until != 0) {
        snprintf(t->stages[0], sizeof t->stages[0], "s%d", q->until - 1);
        o->until = t->stages[0];
    }
    o->target = (uint64_t)q->target;
    o->no_exec = q->no_exec != 0;
    o->auto_retry = q->auto_retry;
}

static void fill_retry(const model_sim *sim, const model_request *q, request_texts *t,
                       ratoon_retry_options *o)
{
    *o = (ratoon_retry_options)RATOON_RETRY_OPTIONS_INIT;
    model_fill_values(&t->values, (unsigned)q->values, (unsigned)q->values_base, false);
    o->parent = q->parent < 0 ? (ratoon_id){{1}} : sim->m.runs[q->parent].id;
    if (q->from != -1) {
        snprintf(t->stages[0], sizeof t->stages[0], q->from < 0 ? "nope" : "s%d", q->from);
        o->from = t->stages[0];
    }
    if (q->until != 0) {
        snprintf(t->stages[1], sizeof t->stages[1], "s%d", q->until - 1);
        o->until = t->stages[1];
    }
    for (unsigned i = 0; i < MODEL_ITEMS; i++) {
        if (((unsigned)q->listed & (1u << i)) != 0) {
            snprintf(t->items[i], 8, "i%u", i);
            t->item_keys[o->items_count++] = t->items[i];
        }
    }
    o->items = t->item_keys;
    o->items_mode = (ratoon_items_mode)q->items_mode;
    o->items_given = q->items_given != 0;
    o->rerun = q->rerun != 0;
    o->only = q->only != 0;
    o->destructive = q->destructive != 0;
    o->accept_changes = q->accept != 0;
    o->partial_include = q->partial != 0;
    o->queue = q->queue != 0;
    o->no_exec = q->no_exec != 0;
    o->setup_too = q->setup_too != 0;
    o->params = t->params;
    o->params_count = fill_params(q, t->params);
    o->edits = t->values.values;
    o->edits_count = t->values.count;
    o->target = (uint64_t)q->target;
    o->auto_retry = q->auto_retry;
    if (q->given != 0 && q->parent >= 0) {
        o->pipeline = sim->m.pipelines[sim->m.runs[q->parent].pipeline].lib[q->given - 1];
    }
}

/* Takes a created run over into the model. */
static void created(model_sim *sim, model_run *after, const ratoon_created *out, bool status_open)
{
    model *m = &sim->m;
    ratoon_run_info info;
    ratoon_error error;
    model_run *root = after->root == m->runs_count ? after : &m->runs[after->root];
    model_must(sim, ratoon_run_get(sim->store, out->run, &info, &error), &error);
    after->id = out->run;
    after->epoch = out->epoch;
    if (status_open && info.status == RATOON_RUN_QUEUED) {
        after->status = RATOON_RUN_QUEUED;
    }
    root->head++;
    root->last_time = m->now > root->last_time ? m->now : root->last_time;
    after->created_at = root->last_time;
    if (root != after) {
        root->runs++;
    }
    if ((out->epoch == 0) != (after->status == RATOON_RUN_QUEUED) || out->repeated) {
        model_fail(sim, "created with epoch %" PRIu64 "%s", out->epoch,
                   out->repeated ? ", as a repetition" : "");
    }
    model_log_more(sim, " = run %d", after->index);
    m->runs[m->runs_count++] = *after;
    model_check_run(sim, after->index);
    model_check_state(sim, after->index);
}

/* With an idempotency key (R09): the request that it was used for, or a different one. True where
 * the answer follows from that alone. */
static bool use_key(model_sim *sim, model_request *q, int *key, char text[16], uint64_t *allowed)
{
    *key = model_one_in(sim, 6) ? (int)model_below(sim, MODEL_NAME_KEYS) : -1;
    if (*key < 0) {
        return false;
    }
    const model_named *named = &sim->m.named[*key];
    snprintf(text, 16, "key%d", *key);
    if (!named->used) {
        return false;
    }
    if (model_one_in(sim, 2) && named->request.retry == q->retry) {
        *q = named->request;
    }
    const bool same = memcmp(q, &named->request, sizeof *q) == 0;
    *allowed = same ? MODEL_OK : MODEL_BIT(RATOON_ERR_KEY_REUSED);
    return true;
}

static void check_repeated(model_sim *sim, int key, ratoon_status status, const ratoon_created *out)
{
    if (status == RATOON_OK &&
        (!out->repeated || !ratoon_id_equal(out->run, sim->m.runs[sim->m.named[key].run].id))) {
        model_fail(sim, "the request of key%d was sent again and gave another run", key);
    }
}

void model_do_create(model_sim *sim)
{
    static request_texts t;
    static model_run after;
    model_request q;
    ratoon_run_options o;
    ratoon_created out = {0};
    ratoon_error error;
    char key_text[16];
    int key;
    uint64_t allowed = 0;
    memset(&q, 0, sizeof q);
    q.pipeline = (int)model_below(sim, MODEL_PIPELINES);
    q.subject = (int)model_below(sim, 4);
    q.given = model_one_in(sim, 8) ? 2 : 1;
    q.no_exec = model_one_in(sim, 6);
    q.auto_retry = -1;
    q.target = model_one_in(sim, 8) ? (int)model_below(sim, 5) : 0;
    if (model_one_in(sim, 8)) {
        q.until = 1 + (int)model_below(sim, sim->m.pipelines[q.pipeline].count);
    }
    random_params(sim, &q);
    pick_values(sim, &q, model_random_keys(sim));
    bool by_key = use_key(sim, &q, &key, key_text, &allowed);
    fill_create(sim, &q, &t, &o);
    o.key = key < 0 ? NULL : key_text;
    o.reason = model_one_in(sim, 2) ? "a reason does not count" : NULL;
    log_request(sim, "create", &q);
    model_log_more(sim, " %s", key < 0 ? "" : key_text);
    if (!by_key) {
        allowed = model_create(&sim->m, &q, &after);
    }
    ratoon_status status = ratoon_run_create(sim->store, &o, &out, &error);
    model_expect(sim, allowed, status, &error);
    if (by_key) {
        check_repeated(sim, key, status, &out);
    } else if (status == RATOON_OK) {
        if (key >= 0) {
            sim->m.named[key] = (model_named){true, q, after.index};
        }
        created(sim, &after, &out, false);
    }
}

static void random_retry(model_sim *sim, model_request *q)
{
    const model *m = &sim->m;
    memset(q, 0, sizeof *q);
    q->retry = 1;
    q->auto_retry = -1;
    q->from = -1;
    q->parent = -1;
    for (int tries = 0; m->runs_count > 0 && tries < 6; tries++) {
        const int window = m->runs_count < 40 || model_one_in(sim, 5) ? m->runs_count : 40;
        q->parent = m->runs_count - 1 - (int)model_below(sim, (uint64_t)window);
        if (!ratoon_run_status_active(m->runs[q->parent].status) || model_one_in(sim, 10)) {
            break;
        }
    }
    if (q->parent < 0 || model_one_in(sim, 60)) {
        q->parent = -1;
        return;
    }
    const model_run *r = &m->runs[q->parent];
    const model_pipeline *p = model_pipeline_of(m, r);
    if (model_one_in(sim, 2)) {
        q->from = model_one_in(sim, 40) ? -2 : (int)model_below(sim, p->count);
    }
    q->rerun = model_one_in(sim, 2);
    q->only = model_one_in(sim, 7);
    q->destructive = model_one_in(sim, 7);
    q->accept = model_one_in(sim, 6);
    q->partial = model_one_in(sim, 4);
    q->queue = model_one_in(sim, 5);
    q->no_exec = model_one_in(sim, 7);
    q->setup_too = model_one_in(sim, 9);
    if (model_one_in(sim, 3)) {
        q->items_mode = (int)model_below(sim, 4);
        q->items_given = 1;
        q->listed = q->items_mode == RATOON_ITEMS_LISTED ? 1 + (int)model_below(sim, 63) : 0;
    }
    q->given = model_one_in(sim, 6) ? 1 + (int)model_below(sim, 2) : 0;
    q->target = model_one_in(sim, 12) ? (int)model_below(sim, 5) : 0;
    random_params(sim, q);
    pick_values(sim, q, model_one_in(sim, 3) ? model_random_keys(sim) : 0);
}

/* A preview must refuse and do as the model says, and append nothing. Gives its token. */
static uint64_t preview(model_sim *sim, const model_request *q, const model_plan *plan,
                        ratoon_status *first, char token[65])
{
    static request_texts t;
    ratoon_retry_options o;
    ratoon_buffer json = {0};
    ratoon_error error;
    size_t count = 0;
    uint64_t refusals = 0;
    fill_retry(sim, q, &t, &o);
    ratoon_status status = ratoon_retry_preview(sim->store, &o, &json, &count, &error);
    if (q->parent < 0) {
        if (status != RATOON_ERR_NOT_FOUND) {
            model_fail(sim, "preview of a run that does not exist: %s", ratoon_status_name(status));
        }
        *first = status;
        return plan->must;
    }
    model_must(sim, status, &error);
    model_check_preview(sim, q, plan, json.data, &refusals, first);
    const char *at = strstr(json.data, "\"token\":\"");
    if (at == NULL || (count == 0) != (refusals == 0)) {
        model_fail(sim, "%zu refusals in %s", count, json.data);
    }
    snprintf(token, 65, "%.64s", at + 9);
    model_check_run(sim, q->parent);
    ratoon_buffer_free(&json);
    return refusals;
}

/* What was planned before, with another request's token (R15). */
static uint64_t stale_plan(model_sim *sim, const model_request *q, const model_plan *plan,
                           char token[65])
{
    model_request other = *q;
    model_plan other_plan;
    char other_token[65];
    ratoon_status first;
    other.only = !q->only;
    other.rerun = 1;
    model_plan_retry(&sim->m, &other, &other_plan);
    (void)preview(sim, &other, &other_plan, &first, other_token);
    if (other_plan.run != plan->run && strcmp(token, other_token) == 0) {
        model_fail(sim, "two plans have one token, %s", token);
    }
    const bool differs = strcmp(token, other_token) != 0;
    memcpy(token, other_token, sizeof other_token);
    return differs ? MODEL_BIT(RATOON_ERR_PLAN_STALE) : 0;
}

void model_do_retry(model_sim *sim)
{
    static request_texts t;
    static model_run after;
    model_request q;
    model_plan plan;
    ratoon_retry_options o;
    ratoon_created out = {0};
    ratoon_error error;
    ratoon_status first = RATOON_OK;
    char key_text[16];
    char token[65] = "";
    int key;
    uint64_t allowed = 0;
    random_retry(sim, &q);
    const bool by_key = use_key(sim, &q, &key, key_text, &allowed);
    model_plan_retry(&sim->m, &q, &plan);
    log_request(sim, "retry", &q);
    model_log_more(sim, " %s", key < 0 ? "" : key_text);
    if (!by_key) {
        allowed = plan.must != 0 ? plan.must | plan.may : plan.may | MODEL_OK;
    }
    fill_retry(sim, &q, &t, &o);
    if (key < 0 && model_one_in(sim, 2)) {
        const uint64_t refusals = preview(sim, &q, &plan, &first, token);
        allowed = MODEL_BIT(first);
        if (q.parent >= 0 && model_one_in(sim, 2)) {
            uint64_t stale = model_one_in(sim, 2) ? stale_plan(sim, &q, &plan, token) : 0;
            allowed = stale != 0 ? stale | refusals : allowed;
            o.plan = token;
            model_log_more(sim, "%s", stale != 0 ? " stale plan" : " plan");
        }
    }
    o.key = key < 0 ? NULL : key_text;
    ratoon_status status = ratoon_retry_create(sim->store, &o, &out, &error);
    model_expect(sim, allowed, status, &error);
    if (by_key) {
        check_repeated(sim, key, status, &out);
    } else if (status == RATOON_OK) {
        model_branch(&sim->m, &q, &plan, &after);
        if (key >= 0) {
            sim->m.named[key] = (model_named){true, q, after.index};
        }
        created(sim, &after, &out, plan.may_wait);
    }
    if (q.parent >= 0) {
        model_check_run(sim, q.parent); /* unchanged, but for the head (R01, R27) */
    }
}
