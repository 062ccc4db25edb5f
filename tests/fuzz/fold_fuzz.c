/* Reaches ratoon__commit_encode(), ratoon__commit_decode(), ratoon__fold(), ratoon__fold_part(),
 * ratoon__snapshot_encode(), ratoon__snapshot_decode() and ratoon__state_at(): the input is a list
 * of choices that make up commits, most of them such as follow. They are folded as they are, and
 * once more by way of snapshots.
 *
 * FUZZ_SNAPSHOTS=FOLDER writes the snapshot that each input ends with there: seeds for
 * snapshot_fuzz. */
#include "log/codec.h"
#include "tests/fuzz/projections.h"

enum { COMMITS_MAX = 48, EVENTS_MAX = 4, VALUES_MAX = 3, LIST_MAX = 3 };

typedef struct world {
    fuzz_input in;
    ratoon__arena arena; /* of the commit that is made */
    ratoon__encoder *encoder;
    ratoon__lineage *l;   /* commit by commit */
    ratoon__lineage *via; /* by way of snapshots, and folded in place */
} world;

static const char *word(world *w)
{
    static const char *const words[] = {"one", "two", "three", "", "k", "application/json"};
    const uint32_t choice = fuzz_below(&w->in, 8);
    if (choice < 6) {
        return words[choice];
    }
    size_t size = fuzz_below(&w->in, 24);
    const void *bytes = fuzz_bytes(&w->in, &size);
    char *text = ratoon__arena_alloc(&w->arena, size + 1);
    memcpy(text, size == 0 ? "" : bytes, size);
    return text;
}

static const char *word_or_none(world *w)
{
    return fuzz_below(&w->in, 2) == 0 ? NULL : word(w);
}

static const char *const *words(world *w, size_t *count)
{
    *count = fuzz_below(&w->in, LIST_MAX + 1);
    const char **list = ratoon__arena_alloc(&w->arena, LIST_MAX * sizeof *list);
    for (size_t i = 0; i < *count; i++) {
        list[i] = word(w);
    }
    return list;
}

/* Small numbers mostly, seldom any. */
static uint64_t number(world *w)
{
    const uint8_t byte = fuzz_byte(&w->in);
    return byte < 250 ? byte : byte < 253 ? UINT64_MAX - (byte - 250u) : fuzz_u64(&w->in);
}

static ratoon_digest digest(world *w)
{
    ratoon_digest out = {{0}};
    out.bytes[0] = fuzz_byte(&w->in);
    return out;
}

static ratoon__value_ref value(world *w)
{
    ratoon__value_ref out = {.key = word(w), .media_type = word(w), .digest = digest(w)};
    const char *text = word(w);
    out.size = strlen(text);
    if (fuzz_below(&w->in, 3) == 0) {
        out.size = number(w);
    } else {
        out.data = text;
    }
    return out;
}

static ratoon__values values(world *w)
{
    const size_t count = fuzz_below(&w->in, VALUES_MAX + 1);
    ratoon__value_ref *items = ratoon__arena_alloc(&w->arena, VALUES_MAX * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        items[i] = value(w);
    }
    return (ratoon__values){items, count};
}

static const ratoon__override *overrides(world *w, size_t *count)
{
    *count = fuzz_below(&w->in, LIST_MAX + 1);
    ratoon__override *list = ratoon__arena_alloc(&w->arena, LIST_MAX * sizeof *list);
    for (size_t i = 0; i < *count; i++) {
        list[i] = (ratoon__override){word(w), word(w), word(w), fuzz_below(&w->in, 2) != 0};
    }
    return list;
}

static ratoon__failure failure(world *w)
{
    ratoon__failure f = {.error_class = (ratoon_class)fuzz_below(&w->in, RATOON_CLASS_UNKNOWN + 1),
                         .message = word(w)};
    f.detail = word_or_none(w);
    f.retryable = fuzz_below(&w->in, 2) != 0;
    f.suggested = overrides(w, &f.suggested_count);
    return f;
}

static ratoon__capture capture(world *w)
{
    ratoon__capture c = {.present = fuzz_below(&w->in, 4) == 0};
    if (c.present) {
        c.c.stdout_size = number(w);
        c.c.stderr_dropped = number(w);
        c.c.stdout_digest = digest(w);
    }
    return c;
}

/* One of the lineage's runs; seldom another. */
static ratoon_id run(world *w)
{
    const uint32_t choice = fuzz_byte(&w->in);
    if (choice == 255 || w->l->runs_count == 0) {
        return support_id(1u + choice);
    }
    return w->l->runs[choice % w->l->runs_count]->fixed->id;
}

static uint32_t stages_of(const world *w, ratoon_id id)
{
    const ratoon__run *r = ratoon__lineage_run(w->l, id);
    return r == NULL ? 1 : r->stages_count;
}

static uint32_t stage(world *w, ratoon_id id)
{
    const uint32_t choice = fuzz_byte(&w->in);
    return choice == 255 ? 255 : choice % stages_of(w, id);
}

static const ratoon__stage_plan *plans(world *w, uint32_t stages, size_t *count)
{
    *count = fuzz_below(&w->in, LIST_MAX + 1);
    ratoon__stage_plan *list = ratoon__arena_alloc(&w->arena, LIST_MAX * sizeof *list);
    for (size_t i = 0; i < *count; i++) {
        const uint32_t flags = fuzz_byte(&w->in);
        list[i] = (ratoon__stage_plan){.stage = fuzz_byte(&w->in) % stages,
                                       .mode = (ratoon_items_mode)(flags & 3),
                                       .keep_done = (flags & 4) != 0,
                                       .keep_committed = (flags & 8) != 0,
                                       .keep_failed = (flags & 16) != 0,
                                       .keep_outputs = (flags & 32) != 0};
        list[i].listed = words(w, &list[i].listed_count);
        list[i].kept = words(w, &list[i].kept_count);
    }
    return list;
}

static const uint32_t *indices(world *w, uint32_t stages, size_t *count)
{
    *count = fuzz_below(&w->in, 6);
    uint32_t *list = ratoon__arena_alloc(&w->arena, 6 * sizeof *list);
    for (size_t i = 0; i < *count; i++) {
        list[i] = fuzz_byte(&w->in) % stages;
    }
    return list;
}

static const ratoon__edit *edits(world *w, size_t *count)
{
    *count = fuzz_below(&w->in, LIST_MAX + 1);
    ratoon__edit *list = ratoon__arena_alloc(&w->arena, LIST_MAX * sizeof *list);
    for (size_t i = 0; i < *count; i++) {
        const uint32_t flags = fuzz_byte(&w->in);
        list[i] = (ratoon__edit){
            .value = value(w), .had_old = (flags & 1) != 0, .partial = (flags & 2) != 0};
    }
    return list;
}

static void make_created(world *w, ratoon__event *e)
{
    const bool root = w->l->runs_count == 0;
    const ratoon_pipeline *p = fuzz_definition(fuzz_byte(&w->in));
    const uint32_t flags = fuzz_byte(&w->in);
    const uint32_t stages = (uint32_t)p->stages_count;
    ratoon__run_created *c = &e->u.created;
    e->run = root ? w->l->id : support_id(w->l->runs_count + 100u);
    *c = (ratoon__run_created){
        .root = w->l->id,
        .parent = root ? (ratoon_id){{0}} : run(w),
        .depth = fuzz_byte(&w->in),
        .number = w->l->runs_count + 1,
        .max_depth = fuzz_byte(&w->in),
        .status = (flags & 1) != 0 ? RATOON_RUN_QUEUED : RATOON_RUN_RUNNING,
        .pipeline_name = p->name,
        .pipeline_version = number(w),
        .pipeline_digest = p->digest,
        .automatic = (flags & 2) != 0,
        .auto_retry = (int32_t)fuzz_below(&w->in, 4) - 1,
        .until = (int32_t)fuzz_below(&w->in, stages + 1) - 1,
        .executor = support_id(500u + fuzz_below(&w->in, 3)),
        .target = number(w),
        .parent_event = number(w),
        .requested_stage = (int32_t)fuzz_below(&w->in, stages + 1) - 1,
        .effective_stage = (int32_t)fuzz_below(&w->in, stages + 1) - 1,
        .rerun = (flags & 4) != 0,
        .only = (flags & 8) != 0,
        .destructive = (flags & 16) != 0,
        .queued_by_request = (flags & 32) != 0,
        .items_mode = (ratoon_items_mode)(flags >> 6),
        .request = digest(w),
    };
    const char **texts[] = {&c->base_dir, &c->file,   &c->subject, &c->scope,    &c->external_ref,
                            &c->actor,    &c->reason, &c->cause,   &c->boundary, &c->key};
    const uint32_t which = fuzz_byte(&w->in);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        *texts[i] = (which >> (i % 8) & 1) != 0 ? word(w) : NULL;
    }
    if (root || fuzz_below(&w->in, 16) == 0) {
        c->state = values(w);
    }
    c->overrides = overrides(w, &c->overrides_count);
    c->edits = edits(w, &c->edits_count);
    c->rerun_set = indices(w, stages, &c->rerun_set_count);
    c->plans = plans(w, stages, &c->plans_count);
}

static void make_stage_event(world *w, ratoon__event *e)
{
    const uint32_t index = stage(w, e->run);
    const uint32_t attempt = fuzz_below(&w->in, 4);
    switch (e->type) {
    case RATOON__EVENT_STAGE_ENDED:
        e->u.stage_ended.status =
            (ratoon_stage_status)(RATOON_STAGE_SUCCEEDED + fuzz_below(&w->in, 6));
        e->u.stage_ended.outputs = values(w);
        e->u.stage_ended.failure = failure(w);
        e->u.stage_ended.reason = word_or_none(w);
        e->u.stage_ended.capture = capture(w);
        e->u.stage_ended.has_progress = fuzz_below(&w->in, 2) != 0;
        if (e->u.stage_ended.has_progress) {
            e->u.stage_ended.done = number(w);
            e->u.stage_ended.progress_message = word_or_none(w);
        }
        break;
    case RATOON__EVENT_STAGE_RETURNED:
        e->u.stage_returned.failure = failure(w);
        e->u.stage_returned.delay_ms = number(w);
        e->u.stage_returned.partial = values(w);
        e->u.stage_returned.capture = capture(w);
        break;
    case RATOON__EVENT_STAGE_PROGRESS:
        e->u.progress.done = number(w);
        e->u.progress.total = number(w);
        e->u.progress.message = word_or_none(w);
        break;
    case RATOON__EVENT_STAGE_ITEMS:
        e->u.items.total = number(w);
        break;
    case RATOON__EVENT_ITEM_ENDED:
        e->u.item.key = word(w);
        e->u.item.failed = fuzz_below(&w->in, 2) != 0;
        e->u.item.committed = fuzz_below(&w->in, 4) == 0;
        e->u.item.has_output = fuzz_below(&w->in, 2) != 0;
        if (e->u.item.has_output) {
            e->u.item.output = value(w);
            e->u.item.output.key = "";
        }
        e->u.item.error_class = (ratoon_class)fuzz_below(&w->in, RATOON_CLASS_UNKNOWN + 1);
        e->u.item.error = word_or_none(w);
        e->u.item.capture = capture(w);
        break;
    case RATOON__EVENT_STAGE_CONSUMED:
        e->u.consumed.run = support_id(1u + fuzz_below(&w->in, 5));
        e->u.consumed.root = support_id(1u + fuzz_below(&w->in, 5));
        break;
    default:
        break;
    }
    e->u.stage_started.stage = index; /* all of them begin alike */
    e->u.stage_started.attempt = attempt;
}

static void make_run_event(world *w, ratoon__event *e)
{
    switch (e->type) {
    case RATOON__EVENT_RUN_BRANCHED:
        e->u.branched.child = support_id(100u + fuzz_below(&w->in, 20));
        e->u.branched.from_stage = (int32_t)fuzz_below(&w->in, 4) - 1;
        break;
    case RATOON__EVENT_RUN_STARTED:
        e->u.started.epoch = number(w);
        e->u.started.executor = support_id(500u + fuzz_below(&w->in, 3));
        e->u.started.until = (int32_t)fuzz_below(&w->in, stages_of(w, e->run) + 2) - 1;
        e->u.started.actor = word(w);
        break;
    case RATOON__EVENT_RUN_CANCEL_REQUESTED:
        e->u.cancel_requested.actor = word_or_none(w);
        e->u.cancel_requested.reason = word_or_none(w);
        break;
    case RATOON__EVENT_RUN_SUSPENDED:
        e->u.suspended.error_class =
            fuzz_below(&w->in, 2) == 0 ? RATOON_CLASS_NONE : RATOON_CLASS_INTERRUPTED;
        e->u.suspended.reason = word_or_none(w);
        break;
    case RATOON__EVENT_RUN_ENDED:
        e->u.ended.status = (ratoon_run_status)(RATOON_RUN_SUCCEEDED + fuzz_below(&w->in, 4));
        e->u.ended.reason = word_or_none(w);
        break;
    case RATOON__EVENT_RUN_EXTERNAL_REF:
        e->u.external_ref.ref = word(w);
        break;
    case RATOON__EVENT_RUN_ANNOTATED:
        e->u.annotated.text = word(w);
        e->u.annotated.actor = word(w);
        break;
    case RATOON__EVENT_RUN_CONSUMED_BY:
        e->u.consumed_by.consumer = support_id(1u + fuzz_below(&w->in, 5));
        e->u.consumed_by.stage = word(w);
        break;
    case RATOON__EVENT_LINEAGE_DELETED:
        e->u.deleted.commits = number(w);
        e->u.deleted.actor = word(w);
        break;
    case RATOON__EVENT_RUN_PIPELINE_CHANGED:
        e->u.pipeline_changed.new_digest = digest(w);
        e->u.pipeline_changed.version = number(w);
        break;
    default:
        make_stage_event(w, e);
        break;
    }
}

static void make_event(world *w, ratoon__event *e)
{
    const uint32_t choice = fuzz_byte(&w->in);
    *e = (ratoon__event){.type = (ratoon__event_type)(1 + choice % 18)};
    if (w->l->runs_count == 0 && choice < 250) {
        e->type = RATOON__EVENT_RUN_CREATED;
    } else if (e->type == RATOON__EVENT_RUN_CREATED && w->l->runs_count >= FUZZ_RUNS_MAX) {
        e->type = RATOON__EVENT_RUN_ANNOTATED;
    } else if (e->type == RATOON__EVENT_LINEAGE_DELETED && choice < 250) {
        e->type = RATOON__EVENT_ITEM_ENDED; /* so that it does not end every history */
    }
    if (e->type == RATOON__EVENT_RUN_CREATED) {
        make_created(w, e);
    } else {
        e->run = run(w);
        make_run_event(w, e);
    }
}

/* Resolves what is left unresolved by the decoder. */
static void resolve(ratoon__commit *c)
{
    for (size_t i = 0; i < c->events_count; i++) {
        ratoon__event *e = (ratoon__event *)(uintptr_t)&c->events[i];
        if (e->type == RATOON__EVENT_RUN_CREATED) {
            e->u.created.pipeline = fuzz_definition(e->u.created.pipeline_digest.bytes[0]);
        } else if (e->type == RATOON__EVENT_RUN_PIPELINE_CHANGED) {
            e->u.pipeline_changed.pipeline =
                fuzz_definition(e->u.pipeline_changed.new_digest.bytes[0]);
        }
    }
}

static void must_be_equal(const ratoon__lineage *a, const ratoon__lineage *b)
{
    ratoon__buf what = {0};
    if (!ratoon__lineage_equal(a, b, &what)) {
        fprintf(stderr, "%s\n", what.data);
        abort();
    }
    ratoon__buf_free(&what);
}

/* A fold of every event is the fold of the commit, but for head and digest. */
static void check_parts(const ratoon__lineage *before, const ratoon__commit *c,
                        const ratoon__lineage *after)
{
    for (size_t i = 0; i <= c->events_count; i++) {
        ratoon__lineage *part = NULL;
        must(ratoon__fold_part(before, c, i, &part, NULL) == RATOON_OK);
        if (i == 0) {
            must_be_equal(part, before);
        } else if (i == c->events_count) {
            part->head = after->head;
            part->head_digest = after->head_digest;
            must_be_equal(part, after);
        }
        ratoon__lineage_unref(part);
    }
}

static void fold(world *w, const ratoon__commit *c)
{
    ratoon__lineage *after = NULL;
    ratoon__buf before = {0}, still = {0};
    ratoon_error error = {0};
    const ratoon_digest bytes_digest = {{(uint8_t)c->number}};
    must(ratoon__snapshot_encode(w->l, &before) == RATOON_OK);
    const ratoon_status status = ratoon__fold(w->l, c, &bytes_digest, &after, &error);
    must(status == RATOON_OK || (status == RATOON_ERR_DAMAGED && error.message[0] != '\0'));
    must(ratoon__fold_into(&w->via, c, &bytes_digest, NULL) == status);
    /* Versions never change. */
    must(ratoon__snapshot_encode(w->l, &still) == RATOON_OK);
    must(before.size == still.size && memcmp(before.data, still.data, still.size) == 0);
    ratoon__buf_free(&before);
    ratoon__buf_free(&still);
    if (status != RATOON_OK) {
        ratoon__lineage_unref(w->via); /* half of it may be folded in */
        w->via = ratoon__lineage_ref(w->l);
        return;
    }
    check_parts(w->l, c, after);
    must(after->head == c->number && after->events == c->first_event + c->events_count - 1);
    ratoon__lineage_unref(w->l);
    w->l = after;
    must_be_equal(w->l, w->via);
}

static void commit(world *w)
{
    ratoon__event events[EVENTS_MAX];
    const uint32_t flags = fuzz_byte(&w->in);
    ratoon__commit c = {.id = support_id(1),
                        .lineage = w->l->id,
                        .number = w->l->head + 1,
                        .first_event = w->l->events + 1,
                        .time_us = w->l->last_time_us + fuzz_byte(&w->in),
                        .previous = w->l->head_digest,
                        .writer = "fuzz",
                        .events = events,
                        .events_count = 1 + (flags & 3)};
    if (flags >> 4 == 15) {
        c.number = number(w);
        c.first_event = number(w);
        c.time_us = number(w);
    }
    for (size_t i = 0; i < c.events_count; i++) {
        make_event(w, &events[i]);
    }
    const void *bytes;
    size_t size;
    ratoon_error error = {0};
    if (ratoon__commit_encode(w->encoder, &c, &bytes, &size, &error) != RATOON_OK) {
        must(error.message[0] != '\0');
        return;
    }
    void *copy = fuzz_copy(bytes, size);
    ratoon__commit decoded;
    ratoon__arena arena = {0};
    must(ratoon__commit_decode(copy, size, &arena, &decoded, NULL) == RATOON_OK);
    must(decoded.number == c.number && decoded.events_count == c.events_count);
    const size_t first_size = size;
    must(ratoon__commit_encode(w->encoder, &decoded, &bytes, &size, NULL) == RATOON_OK);
    must(size == first_size && memcmp(copy, bytes, size) == 0);
    resolve(&decoded);
    fold(w, &decoded);
    ratoon__arena_free(&arena);
    free(copy);
    if ((flags & 12) == 12) {
        ratoon__lineage *again = fuzz_by_snapshot(w->via);
        ratoon__lineage_unref(w->via);
        w->via = again;
    }
}

static void write_seed(const ratoon__lineage *l)
{
    static unsigned written;
    const char *folder = getenv("FUZZ_SNAPSHOTS");
    if (folder == NULL) {
        return;
    }
    char path[512];
    ratoon__buf bytes = {0};
    must(ratoon__snapshot_encode(l, &bytes) == RATOON_OK);
    snprintf(path, sizeof path, "%s/fold-%u", folder, written++);
    FILE *file = fopen(path, "wb");
    must(file != NULL && fwrite(bytes.data, 1, bytes.size, file) == bytes.size);
    must(fclose(file) == 0);
    ratoon__buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ratoon__encoder *encoder;
    if (encoder == NULL) {
        encoder = ratoon__encoder_new();
        must(encoder != NULL);
    }
    world w = {.in = {data, size}, .encoder = encoder};
    w.l = ratoon__lineage_new(support_id(1));
    must(w.l != NULL);
    w.via = ratoon__lineage_ref(w.l);
    for (size_t i = 0; i < COMMITS_MAX && w.in.left > 0; i++) {
        commit(&w);
        ratoon__arena_free(&w.arena);
    }
    write_seed(w.l);
    ratoon__lineage *last = fuzz_by_snapshot(w.l);
    must_be_equal(w.l, w.via);
    fuzz_same_states(w.l, w.via);
    fuzz_same_states(w.l, last);
    ratoon__lineage_unref(last);
    ratoon__lineage_unref(w.l);
    ratoon__lineage_unref(w.via);
    return 0;
}
