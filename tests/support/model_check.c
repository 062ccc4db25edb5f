#include "tests/support/model_check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void model_log(model_sim *sim, const char *format, ...)
{
    char *line = sim->log[sim->logged++ % MODEL_LOG_LINES];
    va_list args;
    int size = snprintf(line, MODEL_LOG_TEXT, "%lu: ", sim->step);
    va_start(args, format);
    vsnprintf(line + size, MODEL_LOG_TEXT - (size_t)size, format, args);
    va_end(args);
}

void model_log_more(model_sim *sim, const char *format, ...)
{
    char *line = sim->log[(sim->logged - 1) % MODEL_LOG_LINES];
    size_t size = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + size, MODEL_LOG_TEXT - size, format, args);
    va_end(args);
}

static void tell_run(const model_sim *sim, int run)
{
    const model_run *r = &sim->m.runs[run];
    const model_pipeline *p = model_pipeline_of(&sim->m, r);
    size_t size = 0;
    if (run < 0 || run >= sim->m.runs_count) {
        return;
    }
    fprintf(stderr, "%s\norder:", ratoon_pipeline_canonical(p->lib[0], &size));
    for (unsigned i = 0; i < p->count; i++) {
        fprintf(stderr, " s%u", p->order[i]);
    }
    fprintf(stderr, "\nrun %d of %d, root %d, %s\n", run, r->parent, r->root,
            ratoon_run_status_name(r->status));
    for (unsigned i = 0; i < p->count; i++) {
        const model_stage *s = &r->stages[i];
        fprintf(stderr, "  s%u %s attempt %u:", i, ratoon_stage_status_name(s->status), s->attempt);
        for (unsigned k = 0; k < MODEL_KEYS; k++) {
            if (s->out.at[k].id != 0) {
                fprintf(stderr, " k%u=%u by run %d", k, s->out.at[k].id, s->out.at[k].run);
            }
        }
        for (unsigned item = 0; item < MODEL_ITEMS; item++) {
            if (s->items[item] != MODEL_ITEM_NONE) {
                fprintf(stderr, " i%u%s%s", item,
                        s->items[item] == MODEL_ITEM_FAILED ? " failed" : "",
                        s->committed[item] ? " committed" : "");
            }
        }
        fprintf(stderr, "\n");
    }
}

void model_fail(model_sim *sim, const char *format, ...)
{
    char text[2048];
    va_list args;
    const char *about = getenv("RATOON_MODEL_RUN");
    const unsigned long shown = about == NULL ? MODEL_LOG_SHOWN : MODEL_LOG_LINES;
    const unsigned long from = sim->logged > shown ? sim->logged - shown : 0;
    char run[32] = "";
    if (about != NULL) {
        snprintf(run, sizeof run, "run %.20s", about);
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(stderr, "the last requests:\n");
    for (unsigned long i = from; i < sim->logged; i++) {
        const char *line = sim->log[i % MODEL_LOG_LINES];
        const char *at = strstr(line, run);
        if (at != NULL && (run[0] == '\0' || strchr(",: ", at[strlen(run)]) != NULL)) {
            fprintf(stderr, "  %s\n", line);
        }
    }
    if (about != NULL) {
        tell_run(sim, atoi(about));
    }
    fprintf(stderr, "RATOON_TEST_SEED=%" PRIu64 ", world %lu, step %lu:\n%s\n", sim->seed,
            sim->world, sim->step, text);
    ck_abort_msg("seed %" PRIu64 ", step %lu: %s", sim->seed, sim->step, text);
}

void model_must(model_sim *sim, ratoon_status status, const ratoon_error *error)
{
    if (status != RATOON_OK) {
        model_fail(sim, "%s: %s", ratoon_status_name(status), error->message);
    }
}

static void add_names(char *text, size_t size, uint64_t set)
{
    text[0] = '\0';
    for (unsigned i = 0; i < 64; i++) {
        if ((set & MODEL_BIT(i)) != 0) {
            size_t used = strlen(text);
            snprintf(text + used, size - used, " %s", ratoon_status_name((ratoon_status)i));
        }
    }
}

void model_expect(model_sim *sim, uint64_t allowed, ratoon_status got, const ratoon_error *error)
{
    char names[512];
    model_log_more(sim, " -> %s", ratoon_status_name(got));
    if ((allowed & MODEL_BIT(got)) == 0) {
        add_names(names, sizeof names, allowed);
        model_fail(sim, "expected one of:%s\ngot: %s (%s)", names, ratoon_status_name(got),
                   got == RATOON_OK ? "" : error->message);
    }
}

/* ------------------------------------------------------------------ runs */

#define SAME(what, format, expected, got)                                                          \
    do {                                                                                           \
        if ((expected) != (got)) {                                                                 \
            model_fail(sim, "run %d: %s is %" format " and should be %" format, run, what, got,    \
                       expected);                                                                  \
        }                                                                                          \
    } while (0)

static void check_stage(model_sim *sim, int run, unsigned stage)
{
    const model_stage *s = &sim->m.runs[run].stages[stage];
    ratoon_stage_info info;
    ratoon_error error;
    uint64_t done = 0;
    uint64_t failed = 0;
    model_must(sim, ratoon_run_stage(sim->store, sim->m.runs[run].id, stage, &info, &error),
               &error);
    if (info.status != s->status || info.attempt != s->attempt) {
        model_fail(sim, "run %d, s%u: %s, attempt %u, and should be %s, attempt %u", run, stage,
                   ratoon_stage_status_name(info.status), info.attempt,
                   ratoon_stage_status_name(s->status), s->attempt);
    }
    if (s->error_class != RATOON_CLASS_NONE && s->status == RATOON_STAGE_FAILED &&
        info.error_class != s->error_class) {
        model_fail(sim, "run %d, s%u: class %s, should be %s", run, stage,
                   ratoon_class_name(info.error_class), ratoon_class_name(s->error_class));
    }
    for (unsigned i = 0; i < MODEL_ITEMS; i++) {
        done += s->items[i] == MODEL_ITEM_DONE;
        failed += s->items[i] == MODEL_ITEM_FAILED;
    }
    if (info.items_done != done || info.items_failed != failed) {
        model_fail(sim,
                   "run %d, s%u: %" PRIu64 " items done and %" PRIu64 " failed, should be %" PRIu64
                   " and %" PRIu64,
                   run, stage, info.items_done, info.items_failed, done, failed);
    }
}

void model_check_run(model_sim *sim, int run)
{
    const model_run *r = &sim->m.runs[run];
    const model_run *root = &sim->m.runs[r->root];
    ratoon_run_info info;
    ratoon_error error;
    model_must(sim, ratoon_run_get(sim->store, r->id, &info, &error), &error);
    if (info.status != r->status) {
        model_fail(sim, "run %d is %s and should be %s", run, ratoon_run_status_name(info.status),
                   ratoon_run_status_name(r->status));
    }
    SAME("head", PRIu64, root->head, info.head);
    SAME("depth", PRIu32, r->depth, info.depth);
    SAME("number", PRIu32, r->number, info.number);
    SAME("epoch", PRIu64, r->epoch, info.epoch);
    SAME("from_stage", PRId32, r->from, info.from_stage);
    SAME("created_at", PRIu64, r->created_at, info.created_at);
    SAME("only", "d", (int)r->only, (int)info.only);
    if (!ratoon_id_equal(info.root, root->id) ||
        !ratoon_id_equal(info.parent,
                         r->parent < 0 ? (ratoon_id){{0}} : sim->m.runs[r->parent].id)) {
        model_fail(sim, "run %d has another root or parent", run);
    }
    for (unsigned i = 0; i < model_pipeline_of(&sim->m, r)->count; i++) {
        check_stage(sim, run, i);
    }
}

/* ------------------------------------------------------------------ state */

static void check_entries(model_sim *sim, int run, const char *what, const model_state *expected,
                          ratoon_state *state)
{
    const model_run *r = &sim->m.runs[run];
    char text[MODEL_VALUE_TEXT];
    unsigned seen = 0;
    for (size_t i = 0; i < ratoon_state_count(state); i++) {
        ratoon_state_entry entry;
        ratoon_error error;
        model_must(sim, ratoon_state_get(state, i, &entry, &error), &error);
        if (strcmp(entry.key, "things") == 0) {
            continue; /* what the foreach stages go over */
        }
        const unsigned k = (unsigned)(entry.key[1] - '0');
        const model_value *v = &expected->at[k];
        if (v->id == 0) {
            model_fail(sim, "run %d, %s: %s is %.*s and should be absent", run, what, entry.key,
                       (int)(entry.size < 40 ? entry.size : 40), (const char *)entry.data);
        }
        const size_t size = model_value_text(v->id, text);
        if (size != entry.size || memcmp(text, entry.data, size) != 0) {
            model_fail(sim, "run %d, %s: %s is %.*s and should be %.40s", run, what, entry.key,
                       (int)(entry.size < 40 ? entry.size : 40), (const char *)entry.data, text);
        }
        const char *stage =
            v->stage < 0 ? "" : model_pipeline_of(&sim->m, r)->stages[v->stage].name;
        if (!ratoon_id_equal(entry.run, sim->m.runs[v->run].id) ||
            strcmp(entry.stage, stage) != 0 || entry.attempt != v->attempt) {
            char id[RATOON_ID_TEXT];
            ratoon_id_format(entry.run, id);
            model_fail(sim, "run %d, %s: %s is by %s, '%s', %u; should be by run %d, '%s', %u", run,
                       what, entry.key, id, entry.stage, entry.attempt, v->run, stage, v->attempt);
        }
        seen |= 1u << k;
    }
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        if (expected->at[k].id != 0 && (seen & (1u << k)) == 0) {
            model_fail(sim, "run %d, %s: k%u is absent and should be value %u", run, what, k,
                       expected->at[k].id);
        }
    }
}

void model_check_state(model_sim *sim, int run)
{
    static const char *const boundaries[] = {"start", "end", "before:", "after:"};
    const model_run *r = &sim->m.runs[run];
    const model_pipeline *p = model_pipeline_of(&sim->m, r);
    const unsigned stage = (unsigned)support_prng_below(&sim->prng, p->count);
    const int boundary = (int)support_prng_below(&sim->prng, 4);
    char name[64];
    model_state expected;
    ratoon_state *state = NULL;
    ratoon_error error;
    snprintf(name, sizeof name, "%s%s", boundaries[boundary],
             boundary < 2 ? "" : p->stages[stage].name);
    model_state_at(&sim->m, r, boundary, stage, &expected);
    model_must(sim, ratoon_state_at(sim->store, r->id, name, &state, &error), &error);
    check_entries(sim, run, name, &expected, state);
    ratoon_state_free(state);
    state = NULL;
    snprintf(name, sizeof name, "input of %s", p->stages[stage].name);
    model_input(&sim->m, r, stage, &expected);
    model_must(sim, ratoon_state_input(sim->store, r->id, p->stages[stage].name, &state, &error),
               &error);
    check_entries(sim, run, name, &expected, state);
    ratoon_state_free(state);
    if (p->stages[stage].foreach) {
        model_check_items(sim, run, stage);
    }
}

/* ------------------------------------------------------------------ items */

void model_check_items(model_sim *sim, int run, unsigned stage)
{
    const model_run *r = &sim->m.runs[run];
    const model_stage *s = &r->stages[stage];
    /* of a stage that a retry leaves out by `only` nothing says what a later attempt would do */
    const bool next = (s->status == RATOON_STAGE_PENDING || s->status == RATOON_STAGE_RUNNING) &&
                      (!r->only || (int)stage == r->from);
    ratoon_items *items = NULL;
    ratoon_error error;
    size_t count = 0;
    model_must(sim,
               ratoon_stage_items(sim->store, r->id,
                                  model_pipeline_of(&sim->m, r)->stages[stage].name, &items,
                                  &error),
               &error);
    for (unsigned i = 0; i < MODEL_ITEMS; i++) {
        char key[8];
        ratoon_item found;
        snprintf(key, sizeof key, "i%u", i);
        const int64_t at = ratoon_items_find(items, key);
        if ((at >= 0) != (s->items[i] != MODEL_ITEM_NONE)) {
            model_fail(sim, "run %d, s%u: item %s is %srecorded", run, stage, key,
                       at >= 0 ? "" : "not ");
        }
        if (at >= 0) {
            model_must(sim, ratoon_items_get(items, (size_t)at, &found, &error), &error);
            if (found.failed != (s->items[i] == MODEL_ITEM_FAILED)) {
                model_fail(sim, "run %d, s%u: item %s %s", run, stage, key,
                           found.failed ? "failed" : "is done");
            }
            count++;
        }
        const bool wanted = ratoon_items_wanted(items, key);
        if (next && (s->unsure & (1u << i)) == 0 && wanted != model_item_wanted(s, i)) {
            model_fail(sim, "run %d, s%u: item %s is %swanted (mode %d)", run, stage, key,
                       wanted ? "" : "not ", (int)s->mode);
        }
    }
    if (ratoon_items_count(items) != count) {
        model_fail(sim, "run %d, s%u: other items than ours", run, stage);
    }
    ratoon_items_free(items);
}

/* ------------------------------------------------------------------ lists */

static void check_one_list(model_sim *sim, const ratoon_list_options *options, const int *expected,
                           int count)
{
    ratoon_id *ids = NULL;
    size_t found = 0;
    ratoon_error error;
    model_must(sim, ratoon_run_list(sim->store, options, &ids, &found, &error), &error);
    if (found != (size_t)count) {
        model_fail(sim, "a list has %zu runs and should have %d", found, count);
    }
    for (size_t i = 0; i < found; i++) {
        if (!ratoon_id_equal(ids[i], sim->m.runs[expected[i]].id)) {
            model_fail(sim, "place %zu of a list should be run %d", i, expected[i]);
        }
    }
    free(ids);
}

static void check_newest(model_sim *sim, ratoon_status status, ratoon_id found, const int *expected,
                         int count, const char *what)
{
    if (status != (count == 0 ? RATOON_ERR_NOT_FOUND : RATOON_OK)) {
        model_fail(sim, "%s: %s", what, ratoon_status_name(status));
    }
    if (count != 0 && !ratoon_id_equal(found, sim->m.runs[expected[0]].id)) {
        model_fail(sim, "%s should be run %d", what, expected[0]);
    }
}

void model_check_lists(model_sim *sim)
{
    int expected[MODEL_RUNS_MAX];
    char subject[8];
    ratoon_error error;
    ratoon_id found = {{0}};
    ratoon_list_options options = RATOON_LIST_OPTIONS_INIT;
    snprintf(subject, sizeof subject, "sub%u", (unsigned)support_prng_below(&sim->prng, 5));
    int count = model_list(&sim->m, 0, true, subject, expected);
    check_newest(sim, ratoon_find_in_flight(sim->store, subject, &found, &error), found, expected,
                 count, "find_in_flight");
    count = model_list(&sim->m, 0, false, subject, expected);
    check_newest(sim, ratoon_most_recent(sim->store, subject, &found, &error), found, expected,
                 count, "most_recent");
    switch (support_prng_below(&sim->prng, 4)) {
    case 0:
        options.subject = subject;
        break;
    case 1:
        options.in_flight = true;
        break;
    case 2:
        options.status = (ratoon_run_status)(1 + support_prng_below(&sim->prng, 8));
        break;
    default:
        break;
    }
    count = model_list(&sim->m, options.status, options.in_flight, options.subject, expected);
    if (support_prng_below(&sim->prng, 4) == 0) {
        options.limit = 1 + (uint32_t)support_prng_below(&sim->prng, 9);
        count = count > (int)options.limit ? (int)options.limit : count;
    }
    check_one_list(sim, &options, expected, count);
}

void model_check_verified(model_sim *sim)
{
    ratoon_buffer json = {0};
    ratoon_error error;
    size_t problems = 1;
    model_must(sim, ratoon_verify(sim->store, (ratoon_id){{0}}, &json, &problems, &error), &error);
    if (problems != 0) {
        model_fail(sim, "verify: %.1500s", json.data);
    }
    ratoon_buffer_free(&json);
}

/* ------------------------------------------------------------------ previews */

/* The set of stages in an array of names, "run":["s0","s3"]. */
static unsigned stages_in(model_sim *sim, const char *json, const char *field)
{
    unsigned set = 0;
    const char *at = strstr(json, field);
    if (at == NULL) {
        model_fail(sim, "no %s in %s", field, json);
    }
    for (at += strlen(field); *at != ']' && *at != '\0'; at++) {
        if (*at == 's') {
            set |= 1u << strtoul(at + 1, NULL, 10);
        }
    }
    return set;
}

void model_check_preview(model_sim *sim, const model_request *q, const model_plan *plan,
                         const char *json, uint64_t *refusals, ratoon_status *first)
{
    char expected[512];
    char got[512];
    char field[32];
    const char *list = strstr(json, "\"refusals\":[");
    *refusals = 0;
    *first = RATOON_OK;
    if (list == NULL) {
        model_fail(sim, "no refusals in %s", json);
    }
    for (const char *at = list; (at = strstr(at, "{\"code\":\"")) != NULL; at += 9) {
        for (int code = 1; code < 64; code++) {
            const char *name = ratoon_status_name((ratoon_status)code);
            const size_t size = strlen(name);
            if (strncmp(at + 9, name, size) == 0 && at[9 + size] == '"') {
                *first = *first == RATOON_OK ? (ratoon_status)code : *first;
                *refusals |= MODEL_BIT(code);
            }
        }
    }
    if ((plan->must & ~*refusals) != 0 || (*refusals & ~(plan->must | plan->may)) != 0) {
        add_names(expected, sizeof expected, plan->must);
        add_names(got, sizeof got, *refusals);
        model_fail(sim, "preview refuses:%s\nand must refuse:%s\n%.1200s", got, expected, json);
    }
    if (plan->effective < 0 || ratoon_run_status_active(sim->m.runs[q->parent].status)) {
        return;
    }
    snprintf(field, sizeof field, "\"depth\":%u,", plan->depth);
    if (strstr(json, field) == NULL || stages_in(sim, json, "\"run\":[") != plan->run ||
        stages_in(sim, json, "\"reuse\":[") != plan->reuse) {
        model_fail(sim, "preview should run 0x%x, reuse 0x%x, depth %u: %s", plan->run, plan->reuse,
                   plan->depth, json);
    }
}
