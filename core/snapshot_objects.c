/* Shared objects and stages in a snapshot. */
#include "core/snapshot_io.h"

#include <stdlib.h>
#include <string.h>

enum {
    VALUE_MIN = 36,     /* bytes of a value at least */
    BELOW_MAX = 128,    /* outputs kept below outputs; no more than runs in a chain of retries */
    OVERRIDE_MIN = 5,   /* bytes */
    HAS_DATA = 1,       /* flags of a value */
    IS_JSON = 2,        /* has the usual media type, which is then left out */
    PRESENT_OUTPUT = 1, /* of an item */
    ITEM_FAILED = 2,
    ITEM_COMMITTED = 4,
};

static const char json[] = "application/json";

void ratoon__io_value(ratoon__io *io, ratoon__value_ref *v)
{
    unsigned flags = 0;
    if (ratoon__io_writing(io)) {
        flags = (v->data != NULL ? HAS_DATA : 0u) |
                (strcmp(v->media_type, json) == 0 ? (unsigned)IS_JSON : 0u);
    }
    flags = ratoon__io_enum(io, flags, HAS_DATA | IS_JSON);
    ratoon__io_text(io, &v->key);
    if ((flags & IS_JSON) == 0) {
        ratoon__io_text(io, &v->media_type);
    } else {
        v->media_type = json;
    }
    ratoon__io_digest(io, &v->digest);
    ratoon__io_u64(io, &v->size);
    if ((flags & HAS_DATA) != 0) {
        ratoon__io_blob(io, &v->data, v->size);
    } else {
        v->data = NULL;
    }
}

static ratoon__value_ref ref_of(const ratoon__value *v)
{
    return (ratoon__value_ref){v->key, v->media_type, v->digest, v->size, v->data};
}

/* ---- outputs ---- */

static ratoon__outputs *io_outputs(ratoon__io *io, const ratoon__outputs *o, unsigned depth);

/* Reads what stands behind the origin. Takes the reference to `below` in any case. */
static ratoon__outputs *read_outputs(ratoon__io *io, const ratoon__origin *origin,
                                     ratoon__outputs *below)
{
    size_t count = 0;
    ratoon__io_count(io, &count, VALUE_MIN);
    ratoon__value_ref *values = malloc((count + 1) * sizeof *values);
    io->no_memory = io->no_memory || values == NULL;
    for (size_t i = 0; i < count && !ratoon__io_failed(io); i++) {
        ratoon__io_value(io, &values[i]);
    }
    ratoon__outputs *o = NULL;
    if (!ratoon__io_failed(io)) {
        o = ratoon__outputs_new(origin, (ratoon__values){values, count}, below);
        io->no_memory = o == NULL;
    }
    if (o == NULL) {
        ratoon__outputs_unref(below);
    }
    free(values);
    return o;
}

static ratoon__outputs *outputs_body(ratoon__io *io, const ratoon__outputs *o, unsigned depth)
{
    ratoon__origin origin = {0};
    if (ratoon__io_writing(io)) {
        origin = (ratoon__origin){o->run, o->number, o->attempt};
    }
    ratoon__io_id(io, &origin.run);
    ratoon__io_u32(io, &origin.number);
    ratoon__io_u32(io, &origin.attempt);
    ratoon__outputs *below = io_outputs(io, o == NULL ? NULL : o->below, depth + 1);
    if (!ratoon__io_writing(io)) {
        return read_outputs(io, &origin, below);
    }
    size_t count = o->count;
    ratoon__io_count(io, &count, VALUE_MIN);
    for (uint32_t i = 0; i < o->count; i++) {
        ratoon__value_ref value = ref_of(o->values[i]);
        ratoon__io_value(io, &value);
    }
    return NULL;
}

static ratoon__outputs *io_outputs(ratoon__io *io, const ratoon__outputs *o, unsigned depth)
{
    const void *object = o;
    if (depth > BELOW_MAX) {
        io->damaged = true;
        return NULL;
    }
    if (!ratoon__io_object(io, RATOON__IO_OUTPUTS, &object)) {
        return ratoon__io_writing(io) ? NULL : ratoon__outputs_ref(object);
    }
    ratoon__outputs *read = outputs_body(io, o, depth);
    if (ratoon__io_writing(io)) {
        (void)ratoon__io_done(io, RATOON__IO_OUTPUTS, o);
        return NULL;
    }
    if (read != NULL && !ratoon__io_done(io, RATOON__IO_OUTPUTS, read)) {
        ratoon__outputs_unref(read);
        return NULL;
    }
    return ratoon__outputs_ref(read);
}

/* ---- failures ---- */

static ratoon__stage_failure *failure_body(ratoon__io *io, const ratoon__stage_failure *failure)
{
    ratoon__failure f = {0};
    if (ratoon__io_writing(io)) {
        f = failure->f;
    }
    f.error_class = (ratoon_class)ratoon__io_enum(io, f.error_class, RATOON_CLASS_UNKNOWN);
    ratoon__io_string(io, &f.message);
    ratoon__io_string(io, &f.detail);
    ratoon__io_bool(io, &f.retryable);
    ratoon__io_count(io, &f.suggested_count, OVERRIDE_MIN);
    ratoon__override *suggested = NULL;
    if (!ratoon__io_writing(io)) {
        suggested = ratoon__arena_alloc(&io->arena, f.suggested_count * sizeof *suggested);
        io->no_memory = io->no_memory || suggested == NULL;
    }
    for (size_t i = 0; i < f.suggested_count && !ratoon__io_failed(io); i++) {
        ratoon__override o = suggested == NULL ? f.suggested[i] : suggested[i];
        ratoon__io_override(io, &o);
        if (suggested != NULL) {
            suggested[i] = o;
        }
    }
    if (ratoon__io_writing(io) || ratoon__io_failed(io)) {
        return NULL;
    }
    f.suggested = suggested;
    ratoon__stage_failure *read = ratoon__failure_new(&f);
    io->no_memory = read == NULL;
    return read;
}

static ratoon__stage_failure *io_failure(ratoon__io *io, const ratoon__stage_failure *f)
{
    const void *object = f;
    if (!ratoon__io_object(io, RATOON__IO_FAILURE, &object)) {
        return ratoon__io_writing(io) ? NULL : ratoon__failure_ref(object);
    }
    ratoon__stage_failure *read = failure_body(io, f);
    if (ratoon__io_writing(io)) {
        (void)ratoon__io_done(io, RATOON__IO_FAILURE, f);
        return NULL;
    }
    if (read != NULL && !ratoon__io_done(io, RATOON__IO_FAILURE, read)) {
        ratoon__failure_unref(read);
        return NULL;
    }
    return ratoon__failure_ref(read);
}

/* ---- items ---- */

static ratoon__item *item_body(ratoon__io *io, const ratoon__item *item)
{
    ratoon__item_init init = {0};
    ratoon__value_ref output = {0};
    unsigned flags = 0;
    if (ratoon__io_writing(io)) {
        init = (ratoon__item_init){
            .key = item->key,
            .error_class = item->error_class,
            .error = item->error,
            .run = item->run,
            .attempt = item->attempt,
        };
        flags = (item->output != NULL ? (unsigned)PRESENT_OUTPUT : 0u) |
                (item->failed ? (unsigned)ITEM_FAILED : 0u) |
                (item->committed ? (unsigned)ITEM_COMMITTED : 0u);
    }
    flags = ratoon__io_enum(io, flags, PRESENT_OUTPUT | ITEM_FAILED | ITEM_COMMITTED);
    init.failed = (flags & ITEM_FAILED) != 0;
    init.committed = (flags & ITEM_COMMITTED) != 0;
    ratoon__io_text(io, &init.key);
    init.error_class = (ratoon_class)ratoon__io_enum(io, init.error_class, RATOON_CLASS_UNKNOWN);
    ratoon__io_string(io, &init.error);
    ratoon__io_id(io, &init.run);
    ratoon__io_u32(io, &init.attempt);
    if ((flags & PRESENT_OUTPUT) != 0) {
        if (ratoon__io_writing(io)) {
            output = ref_of(item->output);
        }
        ratoon__io_value(io, &output);
    }
    if (ratoon__io_writing(io) || ratoon__io_failed(io)) {
        return NULL;
    }
    if ((flags & PRESENT_OUTPUT) != 0) {
        init.output = ratoon__value_new(&output);
        io->no_memory = init.output == NULL;
    }
    ratoon__item *read = io->no_memory ? NULL : ratoon__item_new(&init);
    if (read == NULL) {
        io->no_memory = true;
        ratoon__value_unref(init.output);
    }
    return read;
}

static ratoon__item *io_item(ratoon__io *io, const ratoon__item *item)
{
    const void *object = item;
    if (!ratoon__io_object(io, RATOON__IO_ITEM, &object)) {
        return ratoon__io_writing(io) ? NULL : ratoon__item_ref(object);
    }
    ratoon__item *read = item_body(io, item);
    if (ratoon__io_writing(io)) {
        (void)ratoon__io_done(io, RATOON__IO_ITEM, item);
        return NULL;
    }
    if (read != NULL && !ratoon__io_done(io, RATOON__IO_ITEM, read)) {
        ratoon__item_unref(read);
        return NULL;
    }
    return ratoon__item_ref(read);
}

static bool write_item(void *ctx, const ratoon__item *item)
{
    (void)io_item(ctx, item);
    return true;
}

static ratoon__item_map *map_body(ratoon__io *io, const ratoon__item_map *map)
{
    size_t count = (size_t)ratoon__items_count(map);
    ratoon__io_count(io, &count, 1);
    if (ratoon__io_writing(io)) {
        (void)ratoon__items_each(map, write_item, io);
        return NULL;
    }
    ratoon__item_map *read = NULL;
    for (size_t i = 0; i < count && !ratoon__io_failed(io); i++) {
        ratoon__item *item = io_item(io, NULL);
        if (item == NULL) {
            io->damaged = io->damaged || !io->no_memory;
            break;
        }
        read = ratoon__items_put_owned(read, item);
        io->no_memory = read == NULL;
    }
    if (ratoon__items_count(read) != count) { /* a key twice, too */
        io->damaged = io->damaged || !io->no_memory;
    }
    if (ratoon__io_failed(io) || count == 0) {
        io->damaged = true; /* no map is the empty map */
        ratoon__items_unref(read);
        return NULL;
    }
    return read;
}

static ratoon__item_map *io_map(ratoon__io *io, const ratoon__item_map *map)
{
    const void *object = map;
    if (!ratoon__io_object(io, RATOON__IO_MAP, &object)) {
        return ratoon__io_writing(io) ? NULL : ratoon__items_ref(object);
    }
    ratoon__item_map *read = map_body(io, map);
    if (ratoon__io_writing(io)) {
        (void)ratoon__io_done(io, RATOON__IO_MAP, map);
        return NULL;
    }
    if (read != NULL && !ratoon__io_done(io, RATOON__IO_MAP, read)) {
        ratoon__items_unref(read);
        return NULL;
    }
    return ratoon__items_ref(read);
}

/* ---- lists ---- */

static ratoon__strings *io_strings(ratoon__io *io, const ratoon__strings *s)
{
    const void *object = s;
    if (!ratoon__io_object(io, RATOON__IO_STRINGS, &object)) {
        return ratoon__io_writing(io) ? NULL : ratoon__strings_ref(object);
    }
    size_t count = s == NULL ? 0 : s->count;
    ratoon__io_count(io, &count, 2);
    if (ratoon__io_writing(io)) {
        for (size_t i = 0; i < count; i++) {
            const char *text = s->items[i];
            ratoon__io_text(io, &text);
        }
        (void)ratoon__io_done(io, RATOON__IO_STRINGS, s);
        return NULL;
    }
    const char **keys = malloc((count + 1) * sizeof *keys);
    io->no_memory = io->no_memory || keys == NULL;
    for (size_t i = 0; i < count && !ratoon__io_failed(io); i++) {
        ratoon__io_text(io, &keys[i]);
    }
    ratoon__strings *read = NULL;
    if (!ratoon__io_failed(io)) {
        read = ratoon__strings_new(keys, count);
        io->no_memory = read == NULL;
    }
    free(keys);
    if (read != NULL && !ratoon__io_done(io, RATOON__IO_STRINGS, read)) {
        ratoon__strings_unref(read);
        return NULL;
    }
    return ratoon__strings_ref(read);
}

static ratoon__runs *io_runs(ratoon__io *io, const ratoon__runs *r)
{
    const void *object = r;
    if (!ratoon__io_object(io, RATOON__IO_RUNS, &object)) {
        return ratoon__io_writing(io) ? NULL : ratoon__runs_ref(object);
    }
    size_t count = r == NULL ? 0 : r->count;
    ratoon__io_count(io, &count, 2 * sizeof(ratoon_id));
    if (ratoon__io_writing(io)) {
        for (size_t i = 0; i < 2 * count; i++) {
            ratoon_id id = r->ids[i];
            ratoon__io_id(io, &id);
        }
        (void)ratoon__io_done(io, RATOON__IO_RUNS, r);
        return NULL;
    }
    ratoon__runs *read = ratoon__io_failed(io) ? NULL : ratoon__runs_alloc((uint32_t)count);
    if (read == NULL) {
        io->no_memory = io->no_memory || !io->damaged;
        return NULL;
    }
    for (size_t i = 0; i < 2 * count; i++) {
        ratoon__io_id(io, &read->ids[i]);
    }
    if (!ratoon__io_done(io, RATOON__IO_RUNS, read)) {
        ratoon__runs_unref(read);
        return NULL;
    }
    return ratoon__runs_ref(read);
}

/* ---- stages ---- */

static void io_shared_text(ratoon__io *io, const char **text)
{
    const char *string = *text;
    ratoon__io_string(io, &string);
    if (!ratoon__io_writing(io)) {
        *text = ratoon__text_new(string, &io->no_memory);
    }
}

/* Time spent, a bit for each class that has failures, and those counts. */
static void io_tally(ratoon__io *io, ratoon__tally *t)
{
    uint32_t classes = 0;
    for (unsigned c = 0; c <= RATOON_CLASS_UNKNOWN; c++) {
        classes |= t->failures[c] > 0 ? 1u << c : 0;
    }
    ratoon__io_u64(io, &t->spent_us);
    ratoon__io_u32(io, &classes);
    for (unsigned c = 0; c <= RATOON_CLASS_UNKNOWN; c++) {
        if ((classes >> c & 1) != 0) {
            ratoon__io_u32(io, &t->failures[c]);
        }
    }
}

static void stage_numbers(ratoon__io *io, ratoon__stage *s)
{
    s->status = (ratoon_stage_status)ratoon__io_enum(io, s->status, RATOON_STAGE_REUSED);
    s->reused_as = (ratoon_stage_status)ratoon__io_enum(io, s->reused_as, RATOON_STAGE_SKIPPED);
    s->error_class = (ratoon_class)ratoon__io_enum(io, s->error_class, RATOON_CLASS_UNKNOWN);
    ratoon__io_bool(io, &s->ever_started);
    ratoon__io_bool(io, &s->stale);
    ratoon__io_bool(io, &s->items_known);
    ratoon__io_bool(io, &s->has_progress);
    ratoon__io_u32(io, &s->attempt);
    ratoon__io_u64(io, &s->started_at);
    ratoon__io_u64(io, &s->ended_at);
    ratoon__io_u64(io, &s->not_before);
    ratoon__io_id(io, &s->reused_from);
    ratoon__io_u64(io, &s->progress_done);
    ratoon__io_u64(io, &s->progress_total);
    ratoon__io_u64(io, &s->items_total);
    ratoon__io_u64(io, &s->items_done);
    ratoon__io_u64(io, &s->items_failed);
    ratoon__io_u64(io, &s->items_committed);
    s->items_mode = (ratoon_items_mode)ratoon__io_enum(io, s->items_mode, RATOON_ITEMS_LISTED);
    io_tally(io, &s->tally);
    const bool reused = s->status == RATOON_STAGE_REUSED;
    const bool as_done = s->reused_as == RATOON_STAGE_SUCCEEDED ||
                         s->reused_as == RATOON_STAGE_DEGRADED ||
                         s->reused_as == RATOON_STAGE_SKIPPED;
    if (s->status == 0 || reused != as_done || (!reused && s->reused_as != 0)) {
        io->damaged = true;
    }
}

/* The stage that is written, or a new one that is filled in. */
static void stage_body(ratoon__io *io, ratoon__stage *s)
{
    stage_numbers(io, s);
    io_shared_text(io, &s->reason);
    io_shared_text(io, &s->progress_message);
    ratoon__outputs *outputs = io_outputs(io, s->outputs, 0);
    ratoon__outputs *partial = io_outputs(io, s->partial, 0);
    ratoon__stage_failure *failure = io_failure(io, s->failure);
    ratoon__item_map *items = io_map(io, s->items);
    ratoon__strings *listed = io_strings(io, s->listed);
    ratoon__runs *consumed = io_runs(io, s->consumed);
    if (!ratoon__io_writing(io)) {
        s->outputs = outputs;
        s->partial = partial;
        s->failure = failure;
        s->items = items;
        s->listed = listed;
        s->consumed = consumed;
    }
}

ratoon__stage *ratoon__io_stage(ratoon__io *io, const ratoon__stage *stage)
{
    const void *object = stage;
    const bool here = ratoon__io_object(io, RATOON__IO_STAGE, &object);
    if (ratoon__io_writing(io)) {
        if (here) {
            ratoon__stage copy;
            ratoon__stage_numbers(&copy, stage);
            stage_body(io, &copy);
            (void)ratoon__io_done(io, RATOON__IO_STAGE, stage);
        }
        return NULL;
    }
    if (here) {
        ratoon__stage *read = ratoon__stage_new();
        io->no_memory = io->no_memory || read == NULL;
        if (read != NULL) {
            stage_body(io, read);
        }
        if (read == NULL || !ratoon__io_done(io, RATOON__IO_STAGE, read)) {
            ratoon__stage_unref(read);
            return NULL;
        }
        object = read;
    }
    return ratoon__stage_ref(object);
}

void ratoon__io_free(ratoon__io *io)
{
    for (unsigned kind = 0; kind < RATOON__IO_KINDS; kind++) {
        ratoon__io_table *table = &io->tables[kind];
        for (uint32_t i = 0; table->objects != NULL && i < table->count; i++) {
            void *object = table->objects[i];
            switch ((enum ratoon__io_kind)kind) {
            case RATOON__IO_OUTPUTS:
                ratoon__outputs_unref(object);
                break;
            case RATOON__IO_FAILURE:
                ratoon__failure_unref(object);
                break;
            case RATOON__IO_ITEM:
                ratoon__item_unref(object);
                break;
            case RATOON__IO_MAP:
                ratoon__items_unref(object);
                break;
            case RATOON__IO_STRINGS:
                ratoon__strings_unref(object);
                break;
            case RATOON__IO_RUNS:
                ratoon__runs_unref(object);
                break;
            case RATOON__IO_STAGE:
                ratoon__stage_unref(object);
                break;
            case RATOON__IO_KINDS:
                break;
            }
        }
        free(table->objects);
    }
    free(io->seen);
    ratoon__arena_free(&io->arena);
}
