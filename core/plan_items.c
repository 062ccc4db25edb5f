/* What a retry does with items and with what is committed (R13, R14). How many are kept is read off
 * the branch that the fold makes of these plans, so that counting and doing can't differ. */
#include "core/plan.h"

#include <stdlib.h>
#include <string.h>

typedef ratoon__planning planning;

enum { NAMED_ITEMS_MAX = 20 }; /* items a message names */

static bool has_items(const planning *c, uint32_t stage)
{
    const ratoon__stage *s = ratoon__plan_stage(c, stage);
    return s != NULL && (s->items_known || ratoon__items_count(s->items) > 0);
}

static const ratoon__item_map *items_of(const planning *c, uint32_t stage)
{
    const ratoon__stage *s = ratoon__plan_stage(c, stage);
    return s == NULL ? NULL : s->items;
}

/* ---- lists of keys ---- */

typedef struct keys {
    ratoon__arena *arena;
    const char **items;
    size_t count, capacity;
} keys;

static bool keys_add(keys *k, const char *key)
{
    if (k->count == k->capacity) {
        const size_t capacity = k->capacity == 0 ? 16 : k->capacity * 2;
        const char **items = ratoon__arena_alloc(k->arena, capacity * sizeof *items);
        if (items == NULL) {
            return false;
        }
        if (k->count > 0) {
            memcpy(items, k->items, k->count * sizeof *items);
        }
        k->items = items;
        k->capacity = capacity;
    }
    k->items[k->count++] = key;
    return true;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted and each once: the plan's bytes must not depend on the order in which keys came. */
static void keys_settle(keys *k)
{
    if (k->count == 0) {
        return;
    }
    qsort(k->items, k->count, sizeof *k->items, compare_keys);
    size_t n = 1;
    for (size_t i = 1; i < k->count; i++) {
        if (strcmp(k->items[n - 1], k->items[i]) != 0) {
            k->items[n++] = k->items[i];
        }
    }
    k->count = n;
}

static bool keys_have(const keys *k, const char *key)
{
    return k->count > 0 &&
           bsearch(&key, k->items, k->count, sizeof *k->items, compare_keys) != NULL;
}

/* ---- protection (R14) ---- */

typedef struct protecting {
    keys *keys;
    const ratoon__item_map *items; /* of the stage upstream */
} protecting;

static bool protect(void *ctx, const ratoon__item *committed)
{
    protecting *p = ctx;
    if (!committed->committed) {
        return true;
    }
    const ratoon__item *item = ratoon__items_get(p->items, committed->key);
    return item == NULL || item->failed || keys_add(p->keys, committed->key);
}

/* Done items of a stage whose key is committed in a stage downstream of it. */
static void protected_keys(const planning *c, uint32_t stage, keys *out)
{
    const ratoon__item_map *items = items_of(c, stage);
    *out = (keys){.arena = c->arena};
    if (c->options->destructive || ratoon__items_count(items) == 0) {
        return;
    }
    for (uint32_t i = 0; i < c->pipeline->stages_count; i++) {
        const ratoon__stage *s = ratoon__plan_stage(c, i);
        if (s != NULL && s->items_committed > 0 &&
            ratoon__pipeline_is_ancestor(c->pipeline, stage, i)) {
            protecting p = {out, items};
            (void)ratoon__items_each(s->items, protect, &p);
        }
    }
    keys_settle(out);
}

/* ---- the stage it starts from (R13) ---- */

static void refuse_no_items(planning *c, uint32_t stage)
{
    ratoon__refusal *refusal =
        ratoon__refuse(&c->refusals, RATOON_ERR_USAGE,
                       "stage %s has no items: it has no foreach and recorded none in run %I",
                       ratoon__stage_name(c->pipeline, stage), &c->options->parent);
    refusal->hint = "leave --items and --item out";
}

static bool name_item(void *ctx, const ratoon__item *item)
{
    keys *k = ctx;
    return keys_add(k, item->key) && k->count < NAMED_ITEMS_MAX;
}

/* Where every item of the stage is recorded, a key that is not among them is a mistake. */
static void check_item_known(planning *c, uint32_t stage, const char *key)
{
    const ratoon__stage *s = ratoon__plan_stage(c, stage);
    if (s == NULL || !s->items_known || ratoon__items_count(s->items) < s->items_total ||
        ratoon__items_get(s->items, key) != NULL) {
        return;
    }
    keys known = {.arena = c->arena};
    (void)ratoon__items_each(s->items, name_item, &known);
    keys_settle(&known);
    ratoon__buf list = {0};
    ratoon__buf_list(&list, known.items, known.count, NAMED_ITEMS_MAX);
    if (s->items_total > known.count) {
        ratoon__buf_format(&list, " and %U more", s->items_total - known.count);
    }
    ratoon__refuse(&c->refusals, RATOON_ERR_USAGE, "stage %s has no item '%s'; its items are: %s",
                   ratoon__stage_name(c->pipeline, stage), key,
                   ratoon__arena_take(c->arena, &list));
}

/* The keys asked for but those that are committed or protected: they are never executed again. */
static void listed_keys(planning *c, uint32_t stage, const keys *kept, keys *out)
{
    *out = (keys){.arena = c->arena};
    for (size_t i = 0; i < c->options->items_count; i++) {
        const char *key = c->options->items[i];
        ratoon_error error;
        if (ratoon__item_key_check(key, &error) != RATOON_OK) {
            ratoon__refuse_error(&c->refusals, &error);
            continue;
        }
        check_item_known(c, stage, key);
        const ratoon__item *item = ratoon__items_get(items_of(c, stage), key);
        const bool committed = item != NULL && item->committed && !c->options->destructive;
        if (!committed && !keys_have(kept, key)) {
            (void)keys_add(out, key);
        }
    }
    keys_settle(out);
}

static void check_items_asked(planning *c, uint32_t stage)
{
    const ratoon_retry_options *o = c->options;
    const bool asked = o->items_given || o->items_mode != RATOON_ITEMS_MISSING || o->items_count;
    if (!asked) {
        return;
    }
    if (c->pipeline->stages[stage].pub.foreach_key == NULL && !has_items(c, stage)) {
        refuse_no_items(c, stage);
    }
    if ((o->items_mode == RATOON_ITEMS_LISTED) != (o->items_count > 0)) {
        ratoon__refuse(&c->refusals, RATOON_ERR_USAGE,
                       o->items_count > 0 ? "keys of items go with the mode LISTED only"
                                          : "no item is named");
    }
}

static ratoon__stage_plan effective_plan(planning *c, uint32_t stage)
{
    const ratoon_items_mode mode = c->options->items_mode;
    keys kept, listed = {.arena = c->arena};
    protected_keys(c, stage, &kept);
    check_items_asked(c, stage);
    if (mode == RATOON_ITEMS_LISTED) {
        listed_keys(c, stage, &kept, &listed);
    }
    const bool all = mode == RATOON_ITEMS_ALL;
    return (ratoon__stage_plan){
        .stage = stage,
        .mode = mode,
        .keep_done = !all,
        .keep_committed = !c->options->destructive,
        .keep_failed = mode == RATOON_ITEMS_LISTED || mode == RATOON_ITEMS_FAILED,
        .listed = listed.items,
        .listed_count = listed.count,
        .kept = all ? kept.items : NULL, /* else all done ones are kept */
        .kept_count = all ? kept.count : 0,
    };
}

/* ---- the other stages of the rerun set ---- */

static ratoon__stage_plan other_plan(const planning *c, uint32_t stage)
{
    if (!ratoon__plan_done(c, stage) && !ratoon__plan_upstream_reruns(c, stage)) {
        return (ratoon__stage_plan){
            .stage = stage,
            .mode = RATOON_ITEMS_MISSING,
            .keep_done = true,
            .keep_committed = true,
        };
    }
    keys kept;
    protected_keys(c, stage, &kept);
    return (ratoon__stage_plan){
        .stage = stage,
        .mode = RATOON_ITEMS_ALL,
        .keep_committed = !c->options->destructive,
        .kept = kept.items,
        .kept_count = kept.count,
    };
}

/* A committing stage without items runs again with its old output kept in the state. */
static bool has_committed_output(const planning *c, uint32_t stage)
{
    const ratoon__stage *s = ratoon__plan_stage(c, stage);
    return c->pipeline->stages[stage].pub.commits && s != NULL && s->outputs != NULL &&
           !has_items(c, stage);
}

/* Whether a plan says anything that leaving it out does not. */
static bool worth_keeping(const planning *c, const ratoon__stage_plan *plan)
{
    const ratoon__stage *s = ratoon__plan_stage(c, plan->stage);
    return plan->keep_outputs || plan->kept_count > 0 || plan->mode == RATOON_ITEMS_FAILED ||
           plan->mode == RATOON_ITEMS_LISTED || (plan->keep_done && has_items(c, plan->stage)) ||
           (plan->keep_committed && s != NULL && s->items_committed > 0);
}

/* Keys go into the branch's first event, which has to fit into a commit (S06). */
static void check_size(planning *c)
{
    uint64_t size = 0;
    for (size_t i = 0; i < c->plans_count; i++) {
        const ratoon__stage_plan *plan = &c->plans[i];
        for (size_t k = 0; k < plan->kept_count; k++) {
            size += strlen(plan->kept[k]);
        }
        for (size_t k = 0; k < plan->listed_count; k++) {
            size += strlen(plan->listed[k]);
        }
    }
    if (size > RATOON_COMMIT_MAX) {
        ratoon__refuse(
            &c->refusals, RATOON_ERR_LIMIT_EXCEEDED,
            "the keys of the items that are listed or protected have %U bytes; the limit "
            "of a commit is %u",
            size, (uint32_t)RATOON_COMMIT_MAX);
    }
}

void ratoon__plan_items_modes(planning *c)
{
    if (c->rerun == NULL) {
        return;
    }
    c->plans = ratoon__arena_alloc(c->arena, c->pipeline->stages_count * sizeof *c->plans);
    for (uint32_t i = 0; c->plans != NULL && i < c->pipeline->stages_count; i++) {
        const bool effective = (int32_t)i == c->plan->effective;
        if (!ratoon__plan_reruns(c, i) && ratoon__plan_done(c, i)) {
            continue; /* reused as it is */
        }
        ratoon__stage_plan plan = effective ? effective_plan(c, i) : other_plan(c, i);
        plan.keep_outputs = has_committed_output(c, i) && !c->options->destructive;
        if (worth_keeping(c, &plan)) {
            c->plans[c->plans_count++] = plan;
        }
    }
    if (c->plans != NULL) {
        check_size(c);
    }
}

/* ---- counts ---- */

/* Whether the stage will have the items that it had: nothing that makes the list changes. */
static bool list_stays(const planning *c, uint32_t stage)
{
    const char *key = c->pipeline->stages[stage].pub.foreach_key;
    if (key == NULL) {
        return !ratoon__plan_upstream_reruns(c, stage);
    }
    for (size_t i = 0; i < c->plan->edits_count; i++) {
        if (strcmp(c->plan->edits[i].value.key, key) == 0) {
            return false;
        }
    }
    return !ratoon__plan_may_provide(c, stage, key);
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static ratoon__plan_items count_items(const planning *c, const ratoon__run *branch, uint32_t stage)
{
    const ratoon__stage *old = ratoon__plan_stage(c, stage);
    const ratoon__stage *now = ratoon__run_stage_at(branch, stage);
    ratoon__plan_items counts = {.stage = stage, .keep = now->items_done};
    if (old == NULL) {
        return counts;
    }
    counts.drop = less(old->items_committed, now->items_committed);
    if (!old->items_known || !list_stays(c, stage)) {
        return counts;
    }
    const uint64_t recorded = ratoon__items_count(old->items);
    const uint64_t total = old->items_total > recorded ? old->items_total : recorded;
    counts.known = true;
    counts.reset = less(old->items_done, now->items_done);
    if (now->items_mode == RATOON_ITEMS_FAILED) {
        counts.run = now->items_failed;
    } else if (now->items_mode == RATOON_ITEMS_LISTED) {
        counts.run = now->listed == NULL ? 0 : now->listed->count;
    } else {
        counts.run = less(total, now->items_done);
    }
    return counts;
}

void ratoon__plan_items_counts(planning *c)
{
    ratoon__plan *plan = c->plan;
    if (c->rerun == NULL) {
        return;
    }
    plan->items = ratoon__arena_alloc(c->arena, plan->run_count * sizeof *plan->items);
    for (size_t n = 0; plan->items != NULL && n < plan->run_count; n++) {
        const uint32_t i = plan->run[n];
        const bool dropped = c->options->destructive && has_committed_output(c, i);
        if (c->pipeline->stages[i].pub.foreach_key == NULL && !has_items(c, i) && !dropped) {
            continue;
        }
        const ratoon__run *branch = ratoon__plan_branch(c);
        if (branch == NULL) {
            return;
        }
        ratoon__plan_items counts = count_items(c, branch, i);
        counts.drop += dropped ? 1 : 0;
        counts.known = counts.known || dropped; /* it has no items, only its output */
        plan->items[plan->items_count++] = counts;
        plan->committed_dropped += counts.drop;
    }
}
