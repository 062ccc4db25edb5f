/* Equality of projections (S07): by what they say, whatever they share. */
#include "core/objects.h"

#include <string.h>

/* Where a comparison is, for the report of the first difference. */
typedef struct place {
    ratoon__buf *what; /* may be NULL */
    const ratoon__run *run;
    uint32_t stage;
    bool in_stage;
} place;

static bool differ(const place *at, const char *what)
{
    if (at->what == NULL || at->what->size > 0) {
        return false;
    }
    if (at->run != NULL) {
        ratoon__buf_format(at->what, "run %I, ", &at->run->fixed->id);
    }
    if (at->in_stage) {
        ratoon__buf_format(at->what, "stage '%s', ", at->run->pipeline->stages[at->stage].pub.name);
    }
    ratoon__buf_str(at->what, what);
    return false;
}

/* Both give false from the function around them; a and b stand for the two sides. */
#define SAME(at, condition, what)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            return differ(at, what);                                                               \
        }                                                                                          \
    } while (0)
#define FIELD(at, name) SAME(at, a->name == b->name, #name)
#define TEXT(at, name) SAME(at, text_equal(a->name, b->name), #name)

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool digest_equal(const ratoon_digest *a, const ratoon_digest *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static bool data_equal(const void *a, const void *b, uint64_t size)
{
    return (a == NULL) == (b == NULL) && (a == NULL || memcmp(a, b, (size_t)size) == 0);
}

static bool value_equal(const ratoon__value *a, const ratoon__value *b)
{
    return a == b ||
           (a != NULL && b != NULL && text_equal(a->key, b->key) &&
            text_equal(a->media_type, b->media_type) && digest_equal(&a->digest, &b->digest) &&
            a->size == b->size && data_equal(a->data, b->data, a->size));
}

static bool value_ref_equal(const ratoon__value_ref *a, const ratoon__value_ref *b)
{
    return text_equal(a->key, b->key) && text_equal(a->media_type, b->media_type) &&
           digest_equal(&a->digest, &b->digest) && a->size == b->size &&
           data_equal(a->data, b->data, a->size);
}

static bool outputs_equal(const ratoon__outputs *a, const ratoon__outputs *b)
{
    for (; a != b; a = a->below, b = b->below) {
        if (a == NULL || b == NULL || !ratoon_id_equal(a->run, b->run) || a->number != b->number ||
            a->attempt != b->attempt || a->count != b->count) {
            return false;
        }
        for (uint32_t i = 0; i < a->count; i++) {
            if (!value_equal(a->values[i], b->values[i])) {
                return false;
            }
        }
    }
    return true;
}

static bool edits_equal(const ratoon__edits *a, const ratoon__edits *b)
{
    if (a == b) {
        return true;
    }
    if (a == NULL || b == NULL || a->count != b->count) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (!outputs_equal(a->layers[i], b->layers[i])) {
            return false;
        }
    }
    return true;
}

static bool overrides_equal(const ratoon__override *a, const ratoon__override *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!text_equal(a[i].name, b[i].name) || !text_equal(a[i].old_text, b[i].old_text) ||
            !text_equal(a[i].new_text, b[i].new_text) || a[i].secret != b[i].secret) {
            return false;
        }
    }
    return true;
}

static bool failure_equal(const ratoon__stage_failure *one, const ratoon__stage_failure *other)
{
    if (one == other) {
        return true;
    }
    if (one == NULL || other == NULL) {
        return false;
    }
    const ratoon__failure *a = &one->f;
    const ratoon__failure *b = &other->f;
    return a->error_class == b->error_class && text_equal(a->message, b->message) &&
           text_equal(a->detail, b->detail) && a->retryable == b->retryable &&
           a->suggested_count == b->suggested_count &&
           overrides_equal(a->suggested, b->suggested, a->suggested_count);
}

static bool item_in_other(void *ctx, const ratoon__item *a)
{
    const ratoon__item *b = ratoon__items_get(ctx, a->key);
    return a == b || (b != NULL && a->failed == b->failed && a->committed == b->committed &&
                      a->error_class == b->error_class && text_equal(a->error, b->error) &&
                      value_equal(a->output, b->output) && ratoon_id_equal(a->run, b->run) &&
                      a->attempt == b->attempt);
}

static bool items_equal(ratoon__item_map *a, ratoon__item_map *b)
{
    return a == b || (ratoon__items_count(a) == ratoon__items_count(b) &&
                      ratoon__items_each(a, item_in_other, b));
}

static bool strings_equal(const ratoon__strings *a, const ratoon__strings *b)
{
    const uint32_t count = a == NULL ? 0 : a->count;
    if (a == b || count != (b == NULL ? 0 : b->count)) {
        return a == b;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool runs_equal(const ratoon__runs *a, const ratoon__runs *b)
{
    return a == b || (a != NULL && b != NULL && a->count == b->count &&
                      memcmp(a->ids, b->ids, 2 * (size_t)a->count * sizeof(ratoon_id)) == 0);
}

static bool stage_equal(const place *at, const ratoon__stage *a, const ratoon__stage *b)
{
    if (a == b) {
        return true;
    }
    FIELD(at, status);
    FIELD(at, reused_as);
    FIELD(at, error_class);
    FIELD(at, ever_started);
    FIELD(at, stale);
    FIELD(at, items_known);
    FIELD(at, attempt);
    FIELD(at, started_at);
    FIELD(at, ended_at);
    FIELD(at, not_before);
    SAME(at, ratoon_id_equal(a->reused_from, b->reused_from), "reused_from");
    SAME(at, outputs_equal(a->outputs, b->outputs), "outputs");
    SAME(at, outputs_equal(a->partial, b->partial), "partial outputs");
    SAME(at, failure_equal(a->failure, b->failure), "failure");
    TEXT(at, reason);
    FIELD(at, has_progress);
    FIELD(at, progress_done);
    FIELD(at, progress_total);
    TEXT(at, progress_message);
    SAME(at, items_equal(a->items, b->items), "items");
    FIELD(at, items_total);
    FIELD(at, items_done);
    FIELD(at, items_failed);
    FIELD(at, items_committed);
    FIELD(at, items_mode);
    SAME(at, strings_equal(a->listed, b->listed), "listed items");
    SAME(at, runs_equal(a->consumed, b->consumed), "consumed runs");
    FIELD(at, tally.spent_us);
    SAME(at, memcmp(a->tally.failures, b->tally.failures, sizeof a->tally.failures) == 0,
         "failures counted");
    return true;
}

static bool keys_equal(const char *const *a, const char *const *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(a[i], b[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool plan_equal(const ratoon__stage_plan *a, const ratoon__stage_plan *b)
{
    return a->stage == b->stage && a->mode == b->mode && a->keep_done == b->keep_done &&
           a->keep_committed == b->keep_committed && a->keep_failed == b->keep_failed &&
           a->keep_outputs == b->keep_outputs && a->listed_count == b->listed_count &&
           keys_equal(a->listed, b->listed, a->listed_count) && a->kept_count == b->kept_count &&
           keys_equal(a->kept, b->kept, a->kept_count);
}

static bool branch_equal(const place *at, const ratoon__run_created *a,
                         const ratoon__run_created *b)
{
    FIELD(at, parent_event);
    FIELD(at, requested_stage);
    FIELD(at, effective_stage);
    TEXT(at, boundary);
    FIELD(at, rerun);
    FIELD(at, only);
    FIELD(at, destructive);
    FIELD(at, queued_by_request);
    FIELD(at, items_mode);
    FIELD(at, overrides_count);
    SAME(at, overrides_equal(a->overrides, b->overrides, a->overrides_count), "overrides");
    FIELD(at, edits_count);
    for (size_t i = 0; i < a->edits_count; i++) {
        const ratoon__edit *x = &a->edits[i];
        const ratoon__edit *y = &b->edits[i];
        SAME(at,
             value_ref_equal(&x->value, &y->value) && x->had_old == y->had_old &&
                 digest_equal(&x->old_digest, &y->old_digest) && x->partial == y->partial,
             "edits");
    }
    FIELD(at, rerun_set_count);
    for (size_t i = 0; i < a->rerun_set_count; i++) {
        SAME(at, a->rerun_set[i] == b->rerun_set[i], "rerun set");
    }
    FIELD(at, plans_count);
    for (size_t i = 0; i < a->plans_count; i++) {
        SAME(at, plan_equal(&a->plans[i], &b->plans[i]), "stage plans");
    }
    return true;
}

static bool created_lists_equal(const place *at, const ratoon__run_created *a,
                                const ratoon__run_created *b)
{
    FIELD(at, params_count);
    for (size_t i = 0; i < a->params_count; i++) {
        SAME(at,
             text_equal(a->params[i].name, b->params[i].name) &&
                 text_equal(a->params[i].text, b->params[i].text) &&
                 a->params[i].secret == b->params[i].secret,
             "parameters");
    }
    FIELD(at, state.count);
    for (size_t i = 0; i < a->state.count; i++) {
        SAME(at, value_ref_equal(&a->state.items[i], &b->state.items[i]), "initial state");
    }
    FIELD(at, labels_count);
    for (size_t i = 0; i < a->labels_count; i++) {
        SAME(at,
             text_equal(a->labels[i].name, b->labels[i].name) &&
                 text_equal(a->labels[i].value, b->labels[i].value),
             "labels");
    }
    return true;
}

static bool created_equal(const place *at, const ratoon__run_created *a,
                          const ratoon__run_created *b)
{
    SAME(at, ratoon_id_equal(a->root, b->root), "root");
    SAME(at, ratoon_id_equal(a->parent, b->parent), "parent");
    FIELD(at, depth);
    FIELD(at, number);
    FIELD(at, max_depth);
    FIELD(at, status);
    TEXT(at, pipeline_name);
    FIELD(at, pipeline_version);
    SAME(at, digest_equal(&a->pipeline_digest, &b->pipeline_digest), "pipeline");
    TEXT(at, base_dir);
    TEXT(at, file);
    TEXT(at, subject);
    TEXT(at, scope);
    TEXT(at, external_ref);
    TEXT(at, actor);
    TEXT(at, reason);
    TEXT(at, cause);
    FIELD(at, automatic);
    FIELD(at, auto_retry);
    TEXT(at, key);
    SAME(at, digest_equal(&a->request, &b->request), "request");
    FIELD(at, until);
    SAME(at, ratoon_id_equal(a->executor, b->executor), "executor");
    FIELD(at, target);
    return created_lists_equal(at, a, b) && branch_equal(at, a, b);
}

static bool static_equal(const place *at, const ratoon__run_static *a, const ratoon__run_static *b)
{
    if (a == b) {
        return true;
    }
    SAME(at, ratoon_id_equal(a->id, b->id), "id");
    FIELD(at, created_at);
    FIELD(at, created_event);
    SAME(at, outputs_equal(a->initial, b->initial), "initial state");
    SAME(at, edits_equal(a->edits, b->edits), "edits");
    return created_equal(at, &a->created, &b->created);
}

static bool run_equal(place *at, const ratoon__run *a, const ratoon__run *b)
{
    if (a == b) {
        return true;
    }
    if (!static_equal(at, a->fixed, b->fixed)) {
        return false;
    }
    SAME(at, digest_equal(&a->pipeline->digest, &b->pipeline->digest), "definition");
    FIELD(at, status);
    FIELD(at, epoch);
    SAME(at, ratoon_id_equal(a->executor, b->executor), "executor");
    FIELD(at, until);
    FIELD(at, started_at);
    FIELD(at, ended_at);
    FIELD(at, error_class);
    TEXT(at, reason);
    TEXT(at, external_ref);
    FIELD(at, last_event);
    FIELD(at, annotations);
    FIELD(at, children_count);
    for (uint32_t i = 0; i < a->children_count; i++) {
        SAME(at, ratoon_id_equal(a->children[i], b->children[i]), "children");
    }
    FIELD(at, stages_count);
    FIELD(at, unforgiven);
    for (uint32_t i = 0; i < a->stages_count; i++) {
        const place stage = {at->what, a, i, true};
        if (!stage_equal(&stage, ratoon__run_stage_at(a, i), ratoon__run_stage_at(b, i))) {
            return false;
        }
    }
    return true;
}

bool ratoon__lineage_equal(const ratoon__lineage *a, const ratoon__lineage *b, ratoon__buf *what)
{
    place at = {what, NULL, 0, false};
    SAME(&at, ratoon_id_equal(a->id, b->id), "lineage");
    FIELD(&at, head);
    SAME(&at, digest_equal(&a->head_digest, &b->head_digest), "digest of the head");
    FIELD(&at, events);
    FIELD(&at, last_time_us);
    FIELD(&at, deleted);
    FIELD(&at, runs_count);
    for (uint32_t i = 0; i < a->runs_count; i++) {
        at.run = a->runs[i];
        if (!run_equal(&at, a->runs[i], b->runs[i])) {
            return false;
        }
    }
    return true;
}
