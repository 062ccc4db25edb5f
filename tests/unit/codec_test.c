/* Commits survive the way to bytes and back with every field, the same commit gives the same bytes,
 * and no bytes whatever harm the decoder. */
#include "log/codec.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

enum { LISTS_MAX = 3, TEXT_MAX = 12, ROUNDS = 3000, DAMAGED_ROUNDS = 200000 };

/* ---- commits made at random: each optional field is there in about half of them ---- */
static support_prng prng;
static ratoon__arena made;

static bool chance(void)
{
    return support_prng_next(&prng) & 1;
}
static uint64_t any(void)
{
    return support_prng_next(&prng) >> support_prng_below(&prng, 64);
}
static uint32_t any32(void)
{
    return (uint32_t)any();
}
static int32_t any_stage(void)
{
    return (int32_t)support_prng_below(&prng, 5000) - 1;
}
static ratoon_id any_id(void)
{
    ratoon_id id;
    support_prng_fill(&prng, &id, sizeof id);
    return id;
}
static ratoon_digest any_digest(void)
{
    ratoon_digest digest;
    support_prng_fill(&prng, &digest, sizeof digest);
    return digest;
}
static const char *any_text(void)
{
    size_t size = (size_t)support_prng_below(&prng, TEXT_MAX);
    char *text = ratoon__arena_alloc(&made, size + 1);
    for (size_t i = 0; i < size; i++) {
        text[i] = (char)(1 + support_prng_below(&prng, 127));
    }
    return text;
}
static const char *any_text_or_null(void)
{
    return chance() ? any_text() : NULL;
}
static void *array(size_t *count, size_t size)
{
    *count = (size_t)support_prng_below(&prng, LISTS_MAX + 1);
    return *count > 0 ? ratoon__arena_alloc(&made, *count * size) : NULL;
}
static const char *const *any_texts(size_t *count)
{
    const char **texts = array(count, sizeof *texts);
    for (size_t i = 0; i < *count; i++) {
        texts[i] = any_text();
    }
    return texts;
}

static ratoon__value_ref any_value(void)
{
    ratoon__value_ref v = {
        .key = any_text(),
        .media_type = chance() ? "application/json" : any_text(),
        .digest = any_digest(),
        .size = any(),
    };
    if (chance()) {
        v.size = support_prng_below(&prng, 40);
        void *data = ratoon__arena_alloc(&made, (size_t)v.size);
        support_prng_fill(&prng, data, (size_t)v.size);
        v.data = data;
    }
    return v;
}
static ratoon__values any_values(void)
{
    ratoon__values values;
    ratoon__value_ref *items = array(&values.count, sizeof *items);
    for (size_t i = 0; i < values.count; i++) {
        items[i] = any_value();
    }
    values.items = items;
    return values;
}
static const ratoon__override *any_overrides(size_t *count)
{
    ratoon__override *all = array(count, sizeof *all);
    for (size_t i = 0; i < *count; i++) {
        all[i] = (ratoon__override){any_text(), any_text(), any_text(), chance()};
    }
    return all;
}
static ratoon__failure any_failure(void)
{
    ratoon__failure f = {.message = ""};
    if (chance()) {
        f.error_class = (ratoon_class)(1 + support_prng_below(&prng, RATOON_CLASS_UNKNOWN));
        f.message = any_text();
        f.detail = any_text_or_null();
        f.retryable = chance();
        f.suggested = any_overrides(&f.suggested_count);
    }
    return f;
}
static ratoon__capture any_capture(void)
{
    ratoon__capture c = {.present = chance()};
    if (c.present) {
        c.c = (ratoon_capture){any(), any(), any(), any(), any_digest(), any_digest()};
    }
    return c;
}
static ratoon_class any_class(void)
{
    return (ratoon_class)support_prng_below(&prng, RATOON_CLASS_UNKNOWN + 1);
}
static ratoon_items_mode any_mode(void)
{
    return (ratoon_items_mode)support_prng_below(&prng, RATOON_ITEMS_LISTED + 1);
}

static void fill_lists(ratoon__run_created *c)
{
    ratoon__param *params = array(&c->params_count, sizeof *params);
    for (size_t i = 0; i < c->params_count; i++) {
        params[i] = (ratoon__param){any_text(), any_text(), chance()};
    }
    c->params = params;
    c->state = any_values();
    ratoon_pair *labels = array(&c->labels_count, sizeof *labels);
    for (size_t i = 0; i < c->labels_count; i++) {
        labels[i] = (ratoon_pair){any_text(), any_text()};
    }
    c->labels = labels;
    c->overrides = any_overrides(&c->overrides_count);
    ratoon__edit *edits = array(&c->edits_count, sizeof *edits);
    for (size_t i = 0; i < c->edits_count; i++) {
        edits[i] = (ratoon__edit){.value = any_value(), .had_old = chance(), .partial = chance()};
        if (edits[i].had_old) {
            edits[i].old_digest = any_digest();
        }
    }
    c->edits = edits;
    uint32_t *set = array(&c->rerun_set_count, sizeof *set);
    for (size_t i = 0; i < c->rerun_set_count; i++) {
        set[i] = any32();
    }
    c->rerun_set = set;
    ratoon__stage_plan *plans = array(&c->plans_count, sizeof *plans);
    for (size_t i = 0; i < c->plans_count; i++) {
        plans[i] = (ratoon__stage_plan){any32(),  any_mode(), chance(), chance(), chance(),
                                        chance(), NULL,       0,        NULL,     0};
        plans[i].listed = any_texts(&plans[i].listed_count);
        plans[i].kept = any_texts(&plans[i].kept_count);
    }
    c->plans = plans;
}

static ratoon__run_created any_created(void)
{
    ratoon__run_created c = {
        .root = any_id(),
        .parent = chance() ? any_id() : (ratoon_id){{0}},
        .depth = any32(),
        .number = any32(),
        .max_depth = any32(),
        .status = chance() ? RATOON_RUN_QUEUED : RATOON_RUN_RUNNING,
        .pipeline_name = any_text(),
        .pipeline_version = any(),
        .pipeline_digest = any_digest(),
        .base_dir = any_text_or_null(),
        .file = any_text_or_null(),
        .subject = any_text_or_null(),
        .scope = any_text_or_null(),
        .external_ref = any_text_or_null(),
        .actor = any_text_or_null(),
        .reason = any_text_or_null(),
        .cause = any_text_or_null(),
        .automatic = chance(),
        .auto_retry = (int32_t)any32(),
        .key = any_text_or_null(),
        .request = chance() ? any_digest() : (ratoon_digest){{0}},
        .until = any_stage(),
        .executor = chance() ? any_id() : (ratoon_id){{0}},
        .target = any(),
        .parent_event = any(),
        .requested_stage = any_stage(),
        .effective_stage = any_stage(),
        .boundary = any_text_or_null(),
        .rerun = chance(),
        .only = chance(),
        .destructive = chance(),
        .queued_by_request = chance(),
        .items_mode = any_mode(),
    };
    fill_lists(&c);
    return c;
}

static void fill_run_event(ratoon__event *e)
{
    switch (e->type) {
    case RATOON__EVENT_RUN_CREATED:
        e->u.created = any_created();
        break;
    case RATOON__EVENT_RUN_BRANCHED:
        e->u.branched.child = any_id();
        e->u.branched.from_stage = any_stage();
        e->u.branched.depth = any32();
        break;
    case RATOON__EVENT_RUN_STARTED:
        e->u.started.epoch = any();
        e->u.started.executor = any_id();
        e->u.started.until = any_stage();
        e->u.started.actor = any_text_or_null();
        break;
    case RATOON__EVENT_RUN_CANCEL_REQUESTED:
        e->u.cancel_requested.actor = any_text_or_null();
        e->u.cancel_requested.reason = any_text_or_null();
        break;
    case RATOON__EVENT_RUN_SUSPENDED:
        e->u.suspended.error_class = any_class();
        e->u.suspended.reason = any_text_or_null();
        break;
    case RATOON__EVENT_RUN_ENDED:
        e->u.ended.status =
            (ratoon_run_status)(RATOON_RUN_SUCCEEDED + support_prng_below(&prng, 4));
        e->u.ended.reason = any_text_or_null();
        break;
    case RATOON__EVENT_RUN_EXTERNAL_REF:
        e->u.external_ref.ref = any_text();
        break;
    case RATOON__EVENT_RUN_ANNOTATED:
        e->u.annotated.text = any_text();
        e->u.annotated.actor = any_text_or_null();
        break;
    case RATOON__EVENT_RUN_CONSUMED_BY:
        e->u.consumed_by.consumer = any_id();
        e->u.consumed_by.consumer_root = any_id();
        e->u.consumed_by.stage = any_text();
        break;
    case RATOON__EVENT_LINEAGE_DELETED:
        e->u.deleted.commits = any();
        e->u.deleted.events = any();
        e->u.deleted.runs = any();
        e->u.deleted.actor = any_text_or_null();
        break;
    case RATOON__EVENT_RUN_PIPELINE_CHANGED:
        e->u.pipeline_changed.old_digest = any_digest();
        e->u.pipeline_changed.new_digest = any_digest();
        e->u.pipeline_changed.version = any();
        break;
    default:
        break;
    }
}

static void fill_stage_ended(ratoon__event *e)
{
    e->u.stage_ended.stage = any32();
    e->u.stage_ended.attempt = any32();
    e->u.stage_ended.status =
        (ratoon_stage_status)(1 + support_prng_below(&prng, RATOON_STAGE_REUSED));
    e->u.stage_ended.outputs = any_values();
    e->u.stage_ended.failure = any_failure();
    e->u.stage_ended.reason = any_text_or_null();
    e->u.stage_ended.capture = any_capture();
    e->u.stage_ended.has_progress = chance();
    if (e->u.stage_ended.has_progress) {
        e->u.stage_ended.done = any();
        e->u.stage_ended.total = any();
        e->u.stage_ended.progress_message = any_text_or_null();
    }
}

static void fill_item(ratoon__event *e)
{
    e->u.item.stage = any32();
    e->u.item.attempt = any32();
    e->u.item.key = any_text();
    e->u.item.failed = chance();
    e->u.item.committed = chance();
    e->u.item.has_output = chance();
    if (e->u.item.has_output) {
        e->u.item.output = any_value();
    }
    e->u.item.error_class = any_class();
    e->u.item.error = any_text_or_null();
    e->u.item.capture = any_capture();
}

static ratoon__event any_event(ratoon__event_type type)
{
    ratoon__event e;
    memset(&e, 0, sizeof e);
    e.type = type;
    e.run = any_id();
    switch (type) {
    case RATOON__EVENT_STAGE_STARTED:
        e.u.stage_started.stage = any32();
        e.u.stage_started.attempt = any32();
        break;
    case RATOON__EVENT_STAGE_ENDED:
        fill_stage_ended(&e);
        break;
    case RATOON__EVENT_STAGE_RETURNED:
        e.u.stage_returned.stage = any32();
        e.u.stage_returned.attempt = any32();
        e.u.stage_returned.failure = any_failure();
        e.u.stage_returned.delay_ms = any();
        e.u.stage_returned.partial = any_values();
        e.u.stage_returned.capture = any_capture();
        break;
    case RATOON__EVENT_STAGE_PROGRESS:
        e.u.progress.stage = any32();
        e.u.progress.attempt = any32();
        e.u.progress.done = any();
        e.u.progress.total = any();
        e.u.progress.message = any_text_or_null();
        break;
    case RATOON__EVENT_STAGE_ITEMS:
        e.u.items.stage = any32();
        e.u.items.attempt = any32();
        e.u.items.total = any();
        break;
    case RATOON__EVENT_ITEM_ENDED:
        fill_item(&e);
        break;
    case RATOON__EVENT_STAGE_CONSUMED:
        e.u.consumed.stage = any32();
        e.u.consumed.attempt = any32();
        e.u.consumed.run = any_id();
        e.u.consumed.root = any_id();
        break;
    default:
        fill_run_event(&e);
        break;
    }
    return e;
}

static ratoon__event_type any_type(void)
{
    return (ratoon__event_type)(1 + support_prng_below(&prng, RATOON__EVENT_RUN_PIPELINE_CHANGED));
}

static ratoon__commit any_commit(void)
{
    ratoon__commit c = {
        .id = any_id(),
        .lineage = any_id(),
        .number = 1 + (any() >> 1),
        .first_event = 1 + (any() >> 1),
        .time_us = any(),
        .previous = chance() ? any_digest() : (ratoon_digest){{0}},
        .writer = any_text(),
        .events_count = 1 + (size_t)support_prng_below(&prng, LISTS_MAX),
    };
    ratoon__event *events = ratoon__arena_alloc(&made, c.events_count * sizeof *events);
    for (size_t i = 0; i < c.events_count; i++) {
        events[i] = any_event(any_type());
    }
    c.events = events;
    return c;
}

/* ---- comparison, field by field ---- */
#define SAME(field) ck_assert_uint_eq((uint64_t)(a->field), (uint64_t)(b->field))
#define SAME_BYTES(field) ck_assert_mem_eq(&a->field, &b->field, sizeof a->field)
#define SAME_TEXT(field) same_text(a->field, b->field)
#define SAME_LIST(field, one)                                                                      \
    do {                                                                                           \
        ck_assert_uint_eq(a->field##_count, b->field##_count);                                     \
        for (size_t i_ = 0; i_ < a->field##_count; i_++) {                                         \
            one(&a->field[i_], &b->field[i_]);                                                     \
        }                                                                                          \
    } while (0)

static void same_text(const char *a, const char *b)
{
    ck_assert_int_eq(a == NULL, b == NULL);
    if (a != NULL) {
        ck_assert_str_eq(a, b);
    }
}
static void same_text_at(const char *const *a, const char *const *b)
{
    same_text(*a, *b);
}
static void same_index(const uint32_t *a, const uint32_t *b)
{
    ck_assert_uint_eq(*a, *b);
}
static void same_value(const ratoon__value_ref *a, const ratoon__value_ref *b)
{
    SAME_TEXT(key);
    SAME_TEXT(media_type);
    SAME_BYTES(digest);
    SAME(size);
    ck_assert_int_eq(a->data == NULL, b->data == NULL);
    if (a->data != NULL && a->size > 0) {
        ck_assert_mem_eq(a->data, b->data, (size_t)a->size);
    }
}
static void same_values(const ratoon__values *a, const ratoon__values *b)
{
    ck_assert_uint_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        same_value(&a->items[i], &b->items[i]);
    }
}
static void same_override(const ratoon__override *a, const ratoon__override *b)
{
    SAME_TEXT(name);
    SAME_TEXT(old_text);
    SAME_TEXT(new_text);
    SAME(secret);
}
static void same_failure(const ratoon__failure *a, const ratoon__failure *b)
{
    SAME(error_class);
    SAME_TEXT(message);
    SAME_TEXT(detail);
    SAME(retryable);
    SAME_LIST(suggested, same_override);
}
static void same_capture(const ratoon__capture *a, const ratoon__capture *b)
{
    SAME(present);
    SAME(c.stdout_size);
    SAME(c.stderr_size);
    SAME(c.stdout_dropped);
    SAME(c.stderr_dropped);
    SAME_BYTES(c.stdout_digest);
    SAME_BYTES(c.stderr_digest);
}
static void same_param(const ratoon__param *a, const ratoon__param *b)
{
    SAME_TEXT(name);
    SAME_TEXT(text);
    SAME(secret);
}
static void same_pair(const ratoon_pair *a, const ratoon_pair *b)
{
    SAME_TEXT(name);
    SAME_TEXT(value);
}
static void same_edit(const ratoon__edit *a, const ratoon__edit *b)
{
    same_value(&a->value, &b->value);
    SAME_BYTES(old_digest);
    SAME(had_old);
    SAME(partial);
}
static void same_plan(const ratoon__stage_plan *a, const ratoon__stage_plan *b)
{
    SAME(stage);
    SAME(mode);
    SAME(keep_done);
    SAME(keep_committed);
    SAME(keep_failed);
    SAME(keep_outputs);
    SAME_LIST(listed, same_text_at);
    SAME_LIST(kept, same_text_at);
}
static void same_created(const ratoon__run_created *a, const ratoon__run_created *b)
{
    SAME_BYTES(root);
    SAME_BYTES(parent);
    SAME(depth);
    SAME(number);
    SAME(max_depth);
    SAME(status);
    SAME_TEXT(pipeline_name);
    SAME(pipeline_version);
    SAME_BYTES(pipeline_digest);
    SAME_TEXT(base_dir);
    SAME_TEXT(file);
    SAME_TEXT(subject);
    SAME_TEXT(scope);
    SAME_TEXT(external_ref);
    SAME_LIST(params, same_param);
    same_values(&a->state, &b->state);
    SAME_LIST(labels, same_pair);
    SAME_TEXT(actor);
    SAME_TEXT(reason);
    SAME_TEXT(cause);
    SAME(automatic);
    SAME(auto_retry);
    SAME_TEXT(key);
    SAME_BYTES(request);
    SAME(until);
    SAME_BYTES(executor);
    SAME(target);
    SAME(parent_event);
    SAME(requested_stage);
    SAME(effective_stage);
    SAME_TEXT(boundary);
    SAME(rerun);
    SAME(only);
    SAME(destructive);
    SAME(queued_by_request);
    SAME(items_mode);
    SAME_LIST(overrides, same_override);
    SAME_LIST(edits, same_edit);
    SAME_LIST(rerun_set, same_index);
    SAME_LIST(plans, same_plan);
    ck_assert_ptr_null(b->pipeline);
}

static void same_run_event(const ratoon__event *a, const ratoon__event *b)
{
    switch (a->type) {
    case RATOON__EVENT_RUN_CREATED:
        same_created(&a->u.created, &b->u.created);
        break;
    case RATOON__EVENT_RUN_BRANCHED:
        SAME_BYTES(u.branched.child);
        SAME(u.branched.from_stage);
        SAME(u.branched.depth);
        break;
    case RATOON__EVENT_RUN_STARTED:
        SAME(u.started.epoch);
        SAME_BYTES(u.started.executor);
        SAME(u.started.until);
        SAME_TEXT(u.started.actor);
        break;
    case RATOON__EVENT_RUN_CANCEL_REQUESTED:
        SAME_TEXT(u.cancel_requested.actor);
        SAME_TEXT(u.cancel_requested.reason);
        break;
    case RATOON__EVENT_RUN_SUSPENDED:
        SAME(u.suspended.error_class);
        SAME_TEXT(u.suspended.reason);
        break;
    case RATOON__EVENT_RUN_ENDED:
        SAME(u.ended.status);
        SAME_TEXT(u.ended.reason);
        break;
    case RATOON__EVENT_RUN_EXTERNAL_REF:
        SAME_TEXT(u.external_ref.ref);
        break;
    case RATOON__EVENT_RUN_ANNOTATED:
        SAME_TEXT(u.annotated.text);
        SAME_TEXT(u.annotated.actor);
        break;
    case RATOON__EVENT_RUN_CONSUMED_BY:
        SAME_BYTES(u.consumed_by.consumer);
        SAME_BYTES(u.consumed_by.consumer_root);
        SAME_TEXT(u.consumed_by.stage);
        break;
    case RATOON__EVENT_LINEAGE_DELETED:
        SAME(u.deleted.commits);
        SAME(u.deleted.events);
        SAME(u.deleted.runs);
        SAME_TEXT(u.deleted.actor);
        break;
    default:
        SAME_BYTES(u.pipeline_changed.old_digest);
        SAME_BYTES(u.pipeline_changed.new_digest);
        SAME(u.pipeline_changed.version);
        ck_assert_ptr_null(b->u.pipeline_changed.pipeline);
        break;
    }
}

static void same_stage_ended(const ratoon__event *a, const ratoon__event *b)
{
    SAME(u.stage_ended.stage);
    SAME(u.stage_ended.attempt);
    SAME(u.stage_ended.status);
    same_values(&a->u.stage_ended.outputs, &b->u.stage_ended.outputs);
    same_failure(&a->u.stage_ended.failure, &b->u.stage_ended.failure);
    SAME_TEXT(u.stage_ended.reason);
    same_capture(&a->u.stage_ended.capture, &b->u.stage_ended.capture);
    SAME(u.stage_ended.has_progress);
    SAME(u.stage_ended.done);
    SAME(u.stage_ended.total);
    SAME_TEXT(u.stage_ended.progress_message);
}

static void same_item(const ratoon__event *a, const ratoon__event *b)
{
    SAME(u.item.stage);
    SAME(u.item.attempt);
    SAME_TEXT(u.item.key);
    SAME(u.item.failed);
    SAME(u.item.committed);
    SAME(u.item.has_output);
    same_value(&a->u.item.output, &b->u.item.output);
    SAME(u.item.error_class);
    SAME_TEXT(u.item.error);
    same_capture(&a->u.item.capture, &b->u.item.capture);
}

static void same_event(const ratoon__event *a, const ratoon__event *b)
{
    SAME(type);
    SAME_BYTES(run);
    switch (a->type) {
    case RATOON__EVENT_STAGE_STARTED:
        SAME(u.stage_started.stage);
        SAME(u.stage_started.attempt);
        break;
    case RATOON__EVENT_STAGE_ENDED:
        same_stage_ended(a, b);
        break;
    case RATOON__EVENT_STAGE_RETURNED:
        SAME(u.stage_returned.stage);
        SAME(u.stage_returned.attempt);
        same_failure(&a->u.stage_returned.failure, &b->u.stage_returned.failure);
        SAME(u.stage_returned.delay_ms);
        same_values(&a->u.stage_returned.partial, &b->u.stage_returned.partial);
        same_capture(&a->u.stage_returned.capture, &b->u.stage_returned.capture);
        break;
    case RATOON__EVENT_STAGE_PROGRESS:
        SAME(u.progress.stage);
        SAME(u.progress.attempt);
        SAME(u.progress.done);
        SAME(u.progress.total);
        SAME_TEXT(u.progress.message);
        break;
    case RATOON__EVENT_STAGE_ITEMS:
        SAME(u.items.stage);
        SAME(u.items.attempt);
        SAME(u.items.total);
        break;
    case RATOON__EVENT_ITEM_ENDED:
        same_item(a, b);
        break;
    case RATOON__EVENT_STAGE_CONSUMED:
        SAME(u.consumed.stage);
        SAME(u.consumed.attempt);
        SAME_BYTES(u.consumed.run);
        SAME_BYTES(u.consumed.root);
        break;
    default:
        same_run_event(a, b);
        break;
    }
}

static void same_head(const ratoon__commit *a, const ratoon__commit *b)
{
    SAME_BYTES(id);
    SAME_BYTES(lineage);
    SAME(number);
    SAME(first_event);
    SAME(time_us);
    SAME_BYTES(previous);
    SAME_TEXT(writer);
    SAME(events_count);
}

/* ---- helpers ---- */
static void setup(void)
{
    prng = support_prng_new(support_seed());
}

/* An aligned copy of exactly its size, so that a sanitizer sees a read past it. */
static uint8_t *copy_of(const void *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, size);
    return copy;
}

static uint8_t *encoded(ratoon__encoder *e, const ratoon__commit *c, size_t *size)
{
    const void *data = NULL;
    ratoon_error error;
    ratoon_status status = ratoon__commit_encode(e, c, &data, size, &error);
    ck_assert_msg(status == RATOON_OK, "%s", error.message);
    return copy_of(data, *size);
}

static void round_trip(ratoon__encoder *e, const ratoon__commit *c)
{
    size_t size = 0;
    uint8_t *bytes = encoded(e, c, &size);
    ratoon__arena arena = {0};
    ratoon__commit back, head;
    ratoon_error error;
    ratoon_status status = ratoon__commit_decode(bytes, size, &arena, &back, &error);
    ck_assert_msg(status == RATOON_OK, "%s", error.message);
    same_head(c, &back);
    for (size_t i = 0; i < c->events_count; i++) {
        same_event(&c->events[i], &back.events[i]);
    }
    ck_assert_int_eq(ratoon__commit_peek(bytes, size, &head, &error), RATOON_OK);
    same_head(c, &head);
    ck_assert_ptr_null(head.events);
    /* What was decoded gives the same bytes again. */
    size_t again_size = 0;
    uint8_t *again = encoded(e, &back, &again_size);
    ck_assert_uint_eq(again_size, size);
    ck_assert_mem_eq(again, bytes, size);
    free(again);
    free(bytes);
    ratoon__arena_free(&arena);
}

/* ---- tests ---- */
START_TEST(test_round_trip_keeps_every_field)
{
    ratoon__encoder *e = ratoon__encoder_new();
    for (int i = 0; i < ROUNDS; i++) {
        ratoon__commit c = any_commit();
        round_trip(e, &c);
        ratoon__arena_free(&made);
    }
    ratoon__encoder_free(e);
}
END_TEST

START_TEST(test_round_trip_of_each_event_type)
{
    ratoon__encoder *e = ratoon__encoder_new();
    for (int type = 1; type <= RATOON__EVENT_RUN_PIPELINE_CHANGED; type++) {
        for (int i = 0; i < 50; i++) {
            ratoon__event event = any_event((ratoon__event_type)type);
            ratoon__commit c = any_commit();
            c.events = &event;
            c.events_count = 1;
            round_trip(e, &c);
            ratoon__arena_free(&made);
        }
    }
    ratoon__encoder_free(e);
}
END_TEST

START_TEST(test_same_commit_gives_same_bytes)
{
    ratoon__encoder *used = ratoon__encoder_new();
    for (int i = 0; i < 200; i++) {
        ratoon__commit c = any_commit();
        ratoon__encoder *fresh = ratoon__encoder_new();
        size_t size = 0, fresh_size = 0;
        uint8_t *bytes = encoded(used, &c, &size);
        uint8_t *fresh_bytes = encoded(fresh, &c, &fresh_size);
        ck_assert_uint_eq(size, fresh_size);
        ck_assert_mem_eq(bytes, fresh_bytes, size);
        free(bytes);
        free(fresh_bytes);
        ratoon__encoder_free(fresh);
        ratoon__arena_free(&made);
    }
    ratoon__encoder_free(used);
}
END_TEST

static ratoon__commit one_note(const ratoon__event *event)
{
    ratoon__commit c = any_commit();
    c.events = event;
    c.events_count = 1;
    return c;
}

START_TEST(test_S06_commit_over_the_limit_is_refused)
{
    ratoon__encoder *e = ratoon__encoder_new();
    ratoon__event event = any_event(RATOON__EVENT_RUN_ANNOTATED);
    char *text = malloc(RATOON_COMMIT_MAX + 1);
    memset(text, 'x', RATOON_COMMIT_MAX);
    text[RATOON_COMMIT_MAX] = '\0';
    event.u.annotated.text = text;
    ratoon__commit c = one_note(&event);
    const void *data = NULL;
    size_t size = 0;
    ratoon_error error;
    ck_assert_int_eq(ratoon__commit_encode(e, &c, &data, &size, &error), RATOON_ERR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(error.message, "4194304"));
    ck_assert_ptr_null(data);
    /* The encoder goes on working. */
    text[RATOON_COMMIT_MAX - 1000] = '\0';
    round_trip(e, &c);
    free(text);
    ratoon__arena_free(&made);
    ratoon__encoder_free(e);
}
END_TEST

START_TEST(test_S06_inline_values_do_not_count)
{
    enum { VALUE_SIZE = 6 << 20 };
    ratoon__encoder *e = ratoon__encoder_new();
    char *bytes = calloc(1, VALUE_SIZE);
    ratoon__value_ref value = {
        .key = "k", .media_type = "text/plain", .size = VALUE_SIZE, .data = bytes};
    ratoon__event event = any_event(RATOON__EVENT_STAGE_ENDED);
    event.u.stage_ended.outputs = (ratoon__values){&value, 1};
    ratoon__commit c = one_note(&event);
    round_trip(e, &c);
    free(bytes);
    ratoon__arena_free(&made);
    ratoon__encoder_free(e);
}
END_TEST

START_TEST(test_what_is_out_of_its_range_is_not_encoded)
{
    ratoon__encoder *e = ratoon__encoder_new();
    ratoon__event event = any_event(RATOON__EVENT_RUN_ENDED);
    event.u.ended.status = RATOON_RUN_RUNNING;
    ratoon__commit c = one_note(&event);
    const void *data = NULL;
    size_t size = 0;
    ck_assert_int_eq(ratoon__commit_encode(e, &c, &data, &size, NULL), RATOON_ERR_USAGE);
    event.u.ended.status = RATOON_RUN_FAILED;
    c.number = 0;
    ck_assert_int_eq(ratoon__commit_encode(e, &c, &data, &size, NULL), RATOON_ERR_USAGE);
    c.number = 1;
    c.events_count = 0;
    ck_assert_int_eq(ratoon__commit_encode(e, &c, &data, &size, NULL), RATOON_ERR_USAGE);
    c.events_count = 1;
    round_trip(e, &c);
    ratoon__arena_free(&made);
    ratoon__encoder_free(e);
}
END_TEST

START_TEST(test_newer_format_and_strange_bytes_are_refused)
{
    ratoon__encoder *e = ratoon__encoder_new();
    ratoon__event event = any_event(RATOON__EVENT_RUN_ANNOTATED);
    ratoon__commit c = one_note(&event);
    size_t size = 0;
    uint8_t *bytes = encoded(e, &c, &size);
    ratoon_error error;
    ratoon__commit out = {.number = 77};
    ratoon__arena arena = {0};
    /* The root table, its vtable, and in that the place of the first field. */
    uint32_t root = 0;
    int32_t to_vtable = 0;
    uint16_t place = 0;
    memcpy(&root, bytes, sizeof root);
    memcpy(&to_vtable, bytes + root, sizeof to_vtable);
    memcpy(&place, bytes + (int64_t)root - to_vtable + 4, sizeof place);
    ck_assert_uint_eq(bytes[root + place], RATOON__FORMAT_VERSION);
    bytes[root + place] = RATOON__FORMAT_VERSION + 1;
    ck_assert_int_eq(ratoon__commit_decode(bytes, size, &arena, &out, &error),
                     RATOON_ERR_UNSUPPORTED);
    bytes[root + place] = 0;
    ck_assert_int_eq(ratoon__commit_decode(bytes, size, &arena, &out, &error), RATOON_ERR_DAMAGED);
    bytes[root + place] = RATOON__FORMAT_VERSION;
    bytes[4] = 'X';
    ck_assert_int_eq(ratoon__commit_decode(bytes, size, &arena, &out, &error), RATOON_ERR_DAMAGED);
    bytes[4] = 'R';
    ck_assert_int_eq(ratoon__commit_decode(bytes, 0, &arena, &out, &error), RATOON_ERR_DAMAGED);
    ck_assert_int_eq(ratoon__commit_decode(NULL, 0, &arena, &out, &error), RATOON_ERR_USAGE);
    ck_assert_uint_eq(out.number, 77);
    ck_assert_int_eq(ratoon__commit_decode(bytes, size, &arena, &out, &error), RATOON_OK);
    free(bytes);
    ratoon__arena_free(&arena);
    ratoon__arena_free(&made);
    ratoon__encoder_free(e);
}
END_TEST

/* Reads all that a decoded commit points to, as an encoder does. */
static void use(ratoon__encoder *e, const ratoon__commit *c)
{
    const void *data = NULL;
    size_t size = 0;
    (void)ratoon__commit_encode(e, c, &data, &size, NULL);
}

START_TEST(test_damaged_bytes_never_crash)
{
    ratoon__encoder *e = ratoon__encoder_new();
    size_t size = 0;
    uint8_t *bytes = NULL;
    uint64_t accepted = 0;
    for (int i = 0; i < DAMAGED_ROUNDS; i++) {
        if (i % 100 == 0) {
            free(bytes);
            ratoon__commit c = any_commit();
            bytes = encoded(e, &c, &size);
            ratoon__arena_free(&made);
        }
        bool cut = support_prng_below(&prng, 4) == 0;
        size_t part = cut ? (size_t)support_prng_below(&prng, size) : size;
        uint8_t *damaged = copy_of(bytes, part);
        for (uint64_t flips = support_prng_below(&prng, 4); flips > 0 && part > 0; flips--) {
            damaged[support_prng_below(&prng, part)] ^=
                (uint8_t)(1u << support_prng_below(&prng, 8));
        }
        ratoon__arena arena = {0};
        ratoon__commit out;
        ratoon_error error;
        ratoon_status status = ratoon__commit_decode(damaged, part, &arena, &out, &error);
        if (status == RATOON_OK) {
            accepted++;
            use(e, &out);
        } else {
            ck_assert(status == RATOON_ERR_DAMAGED || status == RATOON_ERR_UNSUPPORTED);
            ck_assert_str_ne(error.message, "");
        }
        ratoon__arena_free(&arena);
        free(damaged);
    }
    free(bytes);
    ck_assert_uint_gt(accepted, 0);
    ratoon__encoder_free(e);
}
END_TEST

static Suite *codec_suite(void)
{
    Suite *s = suite_create("codec");
    TCase *t = tcase_create("codec");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, test_round_trip_keeps_every_field);
    tcase_add_test(t, test_round_trip_of_each_event_type);
    tcase_add_test(t, test_same_commit_gives_same_bytes);
    tcase_add_test(t, test_S06_commit_over_the_limit_is_refused);
    tcase_add_test(t, test_S06_inline_values_do_not_count);
    tcase_add_test(t, test_what_is_out_of_its_range_is_not_encoded);
    tcase_add_test(t, test_newer_format_and_strange_bytes_are_refused);
    tcase_add_test(t, test_damaged_bytes_never_crash);
    suite_add_tcase(s, t);
    return s;
}

RATOON_TEST_MAIN(codec_suite)
