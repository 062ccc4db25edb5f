#include "tests/support/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const char *what, const ratoon_error *error)
{
    fprintf(stderr, "world: %s: %s\n", what, error == NULL ? "" : error->message);
    abort();
}

static void must(ratoon_status status, const char *what, const ratoon_error *error)
{
    if (status != RATOON_OK) {
        die(what, error);
    }
}

/* ---- pipelines ---- */

static const char *const *split(ratoon__arena *a, const char *text, size_t *count)
{
    const size_t most = text == NULL ? 0 : strlen(text);
    const char **list = ratoon__arena_alloc(a, (most + 1) * sizeof *list);
    char *copy = ratoon__arena_strdup(a, text == NULL ? "" : text);
    *count = 0;
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        list[(*count)++] = word;
    }
    return list;
}

static uint32_t index_of(const world_pipeline *p, const char *name)
{
    for (size_t i = 0; i < p->stages_count; i++) {
        if (strcmp(p->stages[i].name, name) == 0) {
            return (uint32_t)i;
        }
    }
    die("no such stage", NULL);
}

static int compare_indices(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void fill_stage(ratoon_pipeline *out, const world_pipeline *p, uint32_t i,
                       ratoon__stage_def *def)
{
    const world_stage *s = &p->stages[i];
    ratoon__arena *a = &out->arena;
    def->pub.name = ratoon__arena_strdup(a, s->name);
    def->pub.jobs = 1;
    def->pub.retry.attempts = 1;
    def->pub.validates = s->validates == NULL ? -1 : (int32_t)index_of(p, s->validates);
    def->pub.commits = s->commits;
    def->pub.allow_failure = s->allow_failure;
    def->pub.setup = s->setup;
    def->pub.foreach_key = ratoon__arena_strdup(a, s->foreach_key);
    def->pub.requires_keys = split(a, s->requires_keys, &def->pub.requires_count);
    def->pub.produces_keys = split(a, s->produces, &def->pub.produces_count);
    size_t count = 0;
    const char *const *names = split(a, s->needs, &count);
    if (s->needs == NULL && i > 0) {
        names = split(a, p->stages[i - 1].name, &count);
    }
    uint32_t *needs = ratoon__arena_alloc(a, count * sizeof *needs);
    for (size_t n = 0; n < count; n++) {
        needs[n] = index_of(p, names[n]);
    }
    qsort(needs, count, sizeof *needs, compare_indices);
    def->pub.needs = needs;
    def->pub.needs_count = count;
    if (s->halve_on_oom != NULL) {
        ratoon__adjust *adjust = ratoon__arena_alloc(a, sizeof *adjust);
        adjust->error_class = RATOON_CLASS_OOM;
        adjust->op = RATOON__ADJUST_HALVE;
        adjust->has_min = true;
        adjust->min = 1;
        adjust->param = (uint32_t)ratoon__pipeline_param_find(out, s->halve_on_oom);
        def->adjusts = adjust;
        def->adjusts_count = 1;
    }
}

static void fill_params(ratoon_pipeline *out, const world_pipeline *p)
{
    ratoon__param_def *defs = ratoon__arena_alloc(&out->arena, p->params_count * sizeof *defs);
    for (size_t i = 0; i < p->params_count; i++) {
        const world_param *param = &p->params[i];
        const bool bounded = param->min < param->max;
        defs[i] = (ratoon__param_def){
            .name = ratoon__arena_strdup(&out->arena, param->name),
            .type = param->type == 0 ? RATOON__PARAM_INT : param->type,
            .default_text = ratoon__arena_strdup(&out->arena, param->default_text),
            .has_min = bounded,
            .has_max = bounded,
            .min = param->min,
            .max = param->max,
            .power_of_two = param->power_of_two,
            .secret = param->secret,
        };
    }
    out->params = defs;
    out->params_count = p->params_count;
}

ratoon_pipeline *world_pipeline_new(const world_pipeline *p)
{
    ratoon_pipeline *out = ratoon__pipeline_new();
    ratoon_error error;
    uint32_t bad = 0;
    out->name = ratoon__arena_strdup(&out->arena, p->name == NULL ? "compile" : p->name);
    out->version = p->version == 0 ? 1 : p->version;
    out->scope = ratoon__arena_strdup(&out->arena, p->scope);
    out->max_depth = p->max_depth;
    out->max_active_branches = p->max_active_branches == 0 ? 1 : p->max_active_branches;
    out->auto_retry = p->auto_retry;
    fill_params(out, p);
    ratoon__stage_def *stages = ratoon__arena_alloc(&out->arena, p->stages_count * sizeof *stages);
    ratoon__buf names = {0};
    for (uint32_t i = 0; i < p->stages_count; i++) {
        fill_stage(out, p, i, &stages[i]);
        ratoon__buf_format(&names, "%s;", p->stages[i].name);
    }
    ratoon__buf_format(&names, "%U%s", out->version, p->salt == NULL ? "" : p->salt);
    out->stages = stages;
    out->stages_count = p->stages_count;
    out->canonical = ratoon__arena_strdup(&out->arena, names.data);
    out->canonical_size = names.size;
    out->digest = world_digest(names.data);
    ratoon__buf_free(&names);
    must(ratoon__pipeline_check(out, &bad, &error), "pipeline", &error);
    return out;
}

/* ---- the lineage ---- */

ratoon_digest world_digest(const char *text)
{
    ratoon_digest digest;
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a: any function of the text will do */
    for (size_t i = 0; i < sizeof digest.bytes; i++) {
        for (const char *c = text; *c != '\0'; c++) {
            hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
        }
        hash = (hash ^ i) * UINT64_C(0x100000001b3);
        digest.bytes[i] = (uint8_t)(hash >> 32);
    }
    return digest;
}

ratoon_id world_new_id(world *w)
{
    ratoon_id id = {{0x01}};
    w->ids++;
    for (size_t i = 0; i < 8; i++) {
        id.bytes[8 + i] = (uint8_t)(w->ids >> (56 - 8 * i));
    }
    return id;
}

void world_open(world *w, ratoon_pipeline *p)
{
    *w = (world){.p = p};
    w->root = world_new_id(w);
    w->l = ratoon__lineage_new(w->root);
    w->facts = (ratoon__facts){.now_us = 1000000, .actor = "tester"};
    w->facts.executor.bytes[0] = 0xee;
    w->last.arena = &w->arena;
}

void world_close(world *w)
{
    ratoon__buf_free(&w->plan.canonical);
    ratoon__lineage_unref(w->l);
    ratoon__pipeline_unref(w->p);
    ratoon__arena_free(&w->arena);
}

void world_fold(world *w, const ratoon__decision *d)
{
    const ratoon__commit commit = {
        .lineage = w->l->id,
        .number = w->l->head + 1,
        .first_event = w->l->events + 1,
        .time_us = w->facts.now_us++,
        .previous = w->l->head_digest,
        .writer = "test",
        .events = d->events,
        .events_count = d->count,
    };
    const ratoon_digest digest = world_digest("commit");
    ratoon__lineage *next = NULL;
    if (d->count > 0) {
        must(ratoon__fold(w->l, &commit, &digest, &next, &w->error), "fold", &w->error);
        ratoon__lineage_unref(w->l);
        w->l = next;
    }
    w->last = *d;
}

ratoon__values world_values(world *w, const char *text)
{
    size_t count = 0;
    const char *const *words = split(&w->arena, text, &count);
    ratoon__value_ref *refs = ratoon__arena_alloc(&w->arena, count * sizeof *refs);
    for (size_t i = 0; i < count; i++) {
        char *key = ratoon__arena_strdup(&w->arena, words[i]);
        char *value = strchr(key, '=');
        if (value == NULL) {
            die("value without '='", NULL);
        }
        *value++ = '\0';
        refs[i] = (ratoon__value_ref){.key = key,
                                      .media_type = "application/json",
                                      .digest = world_digest(value),
                                      .size = strlen(value),
                                      .data = value};
    }
    return (ratoon__values){refs, count};
}

ratoon_status world_create_with(world *w, const ratoon__create_request *request)
{
    ratoon__decision d = {.arena = &w->arena};
    ratoon_status status = ratoon__decide_create(request, &w->facts, &d, &w->error);
    if (status == RATOON_OK) {
        world_fold(w, &d);
    }
    return status;
}

void world_create(world *w, const char *state)
{
    const ratoon__create_request request = {
        .run = w->root, .pipeline = w->p, .state = world_values(w, state), .auto_retry = -1};
    must(world_create_with(w, &request), "create", &w->error);
}

const ratoon__run *world_run(const world *w, ratoon_id run)
{
    const ratoon__run *r = ratoon__lineage_run(w->l, run);
    if (r == NULL) {
        die("no such run", NULL);
    }
    return r;
}

const ratoon__stage *world_stage_of(const world *w, ratoon_id run, const char *stage)
{
    const ratoon__run *r = world_run(w, run);
    const int32_t index = ratoon__pipeline_find(r->pipeline, stage);
    if (index < 0) {
        die("no such stage", NULL);
    }
    return ratoon__run_stage_at(r, (uint32_t)index);
}

/* ---- operations ---- */

ratoon_status world_apply_ops(world *w, ratoon_id run, uint64_t epoch, ratoon_op *ops, size_t count)
{
    ratoon__decision d = {.arena = &w->arena};
    ratoon__op *inner = ratoon__arena_alloc(&w->arena, count * sizeof *inner);
    for (size_t i = 0; i < count; i++) {
        ratoon__value_ref *refs =
            ratoon__arena_alloc(&w->arena, ops[i].outputs_count * sizeof *refs);
        for (size_t k = 0; k < ops[i].outputs_count; k++) {
            const ratoon_value *v = &ops[i].outputs[k];
            refs[k] = (ratoon__value_ref){.key = v->key,
                                          .media_type = "application/json",
                                          .digest = world_digest(v->data),
                                          .size = v->size,
                                          .data = v->data};
        }
        ratoon__value_ref *items =
            ratoon__arena_alloc(&w->arena, ops[i].items_count * sizeof *items);
        for (size_t k = 0; k < ops[i].items_count; k++) {
            if (ops[i].items[k].output != NULL) {
                items[k] = (ratoon__value_ref){.key = "",
                                               .media_type = "application/json",
                                               .digest = world_digest(ops[i].items[k].output),
                                               .size = ops[i].items[k].output_size,
                                               .data = ops[i].items[k].output};
            }
        }
        inner[i] = (ratoon__op){.op = &ops[i],
                                .outputs = {refs, ops[i].outputs_count},
                                .item_outputs = items,
                                .consumed_root = ops[i].run};
    }
    ratoon_status status =
        ratoon__decide_apply(w->l, run, epoch, inner, count, ops, &w->facts, &d, &w->error);
    if (status == RATOON_OK) {
        world_fold(w, &d);
    } else if (d.count > 0) {
        die("a refusal left events behind", NULL);
    }
    return status;
}

ratoon_status world_apply(world *w, ratoon_id run, ratoon_op op)
{
    const ratoon__run *r = world_run(w, run);
    const int32_t index = op.stage == NULL ? -1 : ratoon__pipeline_find(r->pipeline, op.stage);
    if (index >= 0 && op.attempt == 0) {
        op.attempt = ratoon__run_stage_at(r, (uint32_t)index)->attempt;
    }
    return world_apply_ops(w, run, r->epoch, &op, 1);
}

ratoon_status world_start(world *w, ratoon_id run, const char *stage)
{
    return world_apply(w, run, (ratoon_op){.kind = RATOON_OP_STAGE_START, .stage = stage});
}

static const ratoon_value *public_values(world *w, const char *text, size_t *count)
{
    const ratoon__values refs = world_values(w, text);
    ratoon_value *values = ratoon__arena_alloc(&w->arena, refs.count * sizeof *values);
    for (size_t i = 0; i < refs.count; i++) {
        values[i] = (ratoon_value){.key = refs.items[i].key,
                                   .data = refs.items[i].data,
                                   .size = (size_t)refs.items[i].size};
    }
    *count = refs.count;
    return values;
}

ratoon_status world_end(world *w, ratoon_id run, const char *stage, ratoon_stage_status status,
                        const char *outputs)
{
    ratoon_op op = {.kind = RATOON_OP_STAGE_END, .stage = stage, .status = status};
    op.outputs = public_values(w, outputs, &op.outputs_count);
    return world_apply(w, run, op);
}

ratoon_status world_finish(world *w, ratoon_id run)
{
    return world_apply(w, run, (ratoon_op){.kind = RATOON_OP_FINISH});
}

void world_succeed(world *w, ratoon_id run, const char *stage, const char *outputs)
{
    must(world_start(w, run, stage), "start", &w->error);
    must(world_end(w, run, stage, RATOON_STAGE_SUCCEEDED, outputs), "end", &w->error);
}

void world_fail(world *w, ratoon_id run, const char *stage, ratoon_class error_class,
                const char *partial)
{
    const ratoon_failure failure = {.error_class = error_class, .message = "it broke"};
    ratoon_op op = {.kind = RATOON_OP_STAGE_END,
                    .stage = stage,
                    .status = RATOON_STAGE_FAILED,
                    .failure = &failure};
    op.outputs = public_values(w, partial, &op.outputs_count);
    if (world_stage_of(w, run, stage)->status == RATOON_STAGE_PENDING) {
        must(world_start(w, run, stage), "start", &w->error);
    }
    must(world_apply(w, run, op), "fail", &w->error);
}

void world_items(world *w, ratoon_id run, const char *stage, uint64_t total, const char *items)
{
    size_t count = 0;
    const char *const *words = split(&w->arena, items, &count);
    ratoon_item_result *results = ratoon__arena_alloc(&w->arena, count * sizeof *results);
    for (size_t i = 0; i < count; i++) {
        const bool marked = words[i][0] == '!' || words[i][0] == '+';
        results[i] = (ratoon_item_result){.key = words[i] + (marked ? 1 : 0),
                                          .failed = words[i][0] == '!',
                                          .committed = words[i][0] == '+'};
    }
    ratoon_op all = {.kind = RATOON_OP_STAGE_ITEMS, .stage = stage, .total = total};
    ratoon_op done = {
        .kind = RATOON_OP_ITEM, .stage = stage, .items = results, .items_count = count};
    must(world_apply(w, run, all), "items", &w->error);
    must(world_apply(w, run, done), "item", &w->error);
}

/* ---- life cycle ---- */

ratoon_status world_resume(world *w, ratoon_id run, const char *until)
{
    ratoon__decision d = {.arena = &w->arena};
    uint64_t epoch = 0;
    ratoon_status status =
        ratoon__decide_start(w->l, run, until, NULL, &w->facts, &d, &epoch, &w->error);
    if (status == RATOON_OK) {
        world_fold(w, &d);
    }
    return status;
}

ratoon_status world_cancel(world *w, ratoon_id run)
{
    ratoon__decision d = {.arena = &w->arena};
    ratoon_run_status now = RATOON_RUN_QUEUED;
    ratoon_status status =
        ratoon__decide_cancel(w->l, run, "enough", &w->facts, &d, &now, &w->error);
    if (status == RATOON_OK) {
        world_fold(w, &d);
        if (world_run(w, run)->status != now) {
            die("cancel gives another status than the fold", NULL);
        }
    }
    return status;
}

ratoon_status world_recover(world *w, ratoon_id run)
{
    ratoon__decision d = {.arena = &w->arena};
    ratoon_status status = ratoon__decide_recover(w->l, run, &w->facts, &d, &w->error);
    if (status == RATOON_OK) {
        world_fold(w, &d);
    }
    return status;
}

/* ---- retries ---- */

static ratoon_status retry(world *w, const ratoon_retry_options *options, bool only_plan)
{
    ratoon__decision d = {.arena = &w->arena};
    ratoon__value_ref *edits = ratoon__arena_alloc(&w->arena, options->edits_count * sizeof *edits);
    for (size_t i = 0; i < options->edits_count; i++) {
        edits[i] = (ratoon__value_ref){.key = options->edits[i].key,
                                       .media_type = "application/json",
                                       .digest = world_digest(options->edits[i].data),
                                       .size = options->edits[i].size,
                                       .data = options->edits[i].data};
    }
    const ratoon__retry_request request = {.run = world_new_id(w),
                                           .options = options,
                                           .edits = edits,
                                           .edits_count = options->edits_count};
    ratoon__buf_free(&w->plan.canonical);
    w->plan = (ratoon__plan){.arena = &w->arena};
    ratoon_status status =
        ratoon__decide_retry(w->l, &request, &w->facts, &w->plan, only_plan ? NULL : &d, &w->error);
    if (status == RATOON_OK && !only_plan) {
        world_fold(w, &d);
        w->made = request.run;
    }
    return status;
}

ratoon_status world_retry(world *w, const ratoon_retry_options *options)
{
    return retry(w, options, false);
}

ratoon_status world_preview(world *w, const ratoon_retry_options *options)
{
    return retry(w, options, true);
}

ratoon_status world_retry_from(world *w, ratoon_id parent, const char *from)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    options.parent = parent;
    options.from = from;
    return retry(w, &options, false);
}

ratoon_status world_rerun_from(world *w, ratoon_id parent, const char *from)
{
    ratoon_retry_options options = RATOON_RETRY_OPTIONS_INIT;
    options.parent = parent;
    options.from = from;
    options.rerun = true;
    return retry(w, &options, false);
}

const ratoon__refusal *world_refusal(const world *w, ratoon_status code)
{
    for (size_t i = 0; i < w->plan.refusals_count; i++) {
        if (w->plan.refusals[i].code == code) {
            return &w->plan.refusals[i];
        }
    }
    return NULL;
}

static const char *join(world *w, const uint32_t *stages, size_t count)
{
    ratoon__buf b = {0};
    ratoon__buf_str(&b, "");
    for (size_t i = 0; i < count; i++) {
        ratoon__buf_format(&b, "%s%s", i == 0 ? "" : " ",
                           w->plan.pipeline->stages[stages[i]].pub.name);
    }
    const char *text = ratoon__arena_strdup(&w->arena, b.data);
    ratoon__buf_free(&b);
    return text;
}

const char *world_plan_run(world *w)
{
    return join(w, w->plan.run, w->plan.run_count);
}

const char *world_plan_reuse(world *w)
{
    return join(w, w->plan.reuse, w->plan.reuse_count);
}

const ratoon__plan_items *world_plan_items(const world *w, const char *stage)
{
    for (size_t i = 0; i < w->plan.items_count; i++) {
        if (strcmp(w->plan.pipeline->stages[w->plan.items[i].stage].pub.name, stage) == 0) {
            return &w->plan.items[i];
        }
    }
    return NULL;
}

const char *world_input(world *w, ratoon_id run, const char *stage, const char *key)
{
    const ratoon__run *r = world_run(w, run);
    ratoon__state_view view;
    const int32_t index = ratoon__pipeline_find(r->pipeline, stage);
    must(ratoon__state_input(r, (uint32_t)index, &w->arena, &view), "input", NULL);
    const ratoon__state_entry *entry = ratoon__state_find(&view, key);
    if (entry == NULL) {
        return NULL;
    }
    char *text = ratoon__arena_alloc(&w->arena, (size_t)entry->value->size + 1);
    memcpy(text, entry->value->data, (size_t)entry->value->size);
    return text;
}
