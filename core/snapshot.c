/* Snapshots: a projection as bytes, derived and disposable. The format, in the terms of
 * snapshot_io.h:
 *
 *   8 bytes "RATOONS" 0x02, the last one the version
 *   lineage: id, head, digest of the head commit, events, time of the last commit, deleted
 *   list of runs, in the order of their numbers; of each:
 *     id, time and event number of its creation, what its first event says (snapshot_created.c)
 *     digest of its present definition, status, epoch, executor, until, started, ended, error
 * class, reason, external reference, last event, list of children, number of annotations list of
 * stages, shared objects (snapshot_objects.c)
 *
 * Initial state and layers of edits follow from the first events and are not written again.
 * Nothing stands behind the last run. There is no checksum: whoever stores a snapshot has one. */
#include "core/snapshot_io.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t magic[8] = {'R', 'A', 'T', 'O', 'O', 'N', 'S', 2};

enum { RUN_MIN = 100 }; /* bytes of a run at least */

typedef struct decoding {
    ratoon__io io;
    ratoon__lineage *l;
    ratoon_pipeline *(*resolve)(void *ctx, ratoon_digest digest);
    void *ctx;
} decoding;

static void io_head(ratoon__io *io, ratoon__lineage *l)
{
    ratoon__io_id(io, &l->id);
    ratoon__io_u64(io, &l->head);
    ratoon__io_digest(io, &l->head_digest);
    ratoon__io_u64(io, &l->events);
    ratoon__io_u64(io, &l->last_time_us);
    ratoon__io_bool(io, &l->deleted);
}

static void io_run_numbers(ratoon__io *io, ratoon__run *r)
{
    r->status = (ratoon_run_status)ratoon__io_enum(io, r->status, RATOON_RUN_CANCELLED);
    ratoon__io_u64(io, &r->epoch);
    ratoon__io_id(io, &r->executor);
    ratoon__io_i32(io, &r->until);
    ratoon__io_u64(io, &r->started_at);
    ratoon__io_u64(io, &r->ended_at);
    r->error_class = (ratoon_class)ratoon__io_enum(io, r->error_class, RATOON_CLASS_UNKNOWN);
    ratoon__io_u64(io, &r->last_event);
    ratoon__io_u32(io, &r->annotations);
    if (r->status == 0 || r->until < -1 || r->until >= (int64_t)r->stages_count) {
        io->damaged = true;
    }
}

/* ---- writing ---- */

static void write_run(ratoon__io *io, const ratoon__run *run)
{
    ratoon_id id = run->fixed->id;
    uint64_t created_at = run->fixed->created_at;
    uint64_t created_event = run->fixed->created_event;
    ratoon__run_created created = run->fixed->created;
    ratoon_digest definition = run->pipeline->digest;
    ratoon__run copy;
    ratoon__run_numbers(&copy, run);
    ratoon__io_id(io, &id);
    ratoon__io_u64(io, &created_at);
    ratoon__io_u64(io, &created_event);
    ratoon__io_created(io, &created);
    ratoon__io_digest(io, &definition);
    io_run_numbers(io, &copy);
    ratoon__io_string(io, &copy.reason);
    ratoon__io_string(io, &copy.external_ref);
    size_t children = run->children_count;
    ratoon__io_count(io, &children, sizeof(ratoon_id));
    for (size_t i = 0; i < children; i++) {
        ratoon_id child = run->children[i];
        ratoon__io_id(io, &child);
    }
    size_t stages = run->stages_count;
    ratoon__io_count(io, &stages, 1);
    for (uint32_t i = 0; i < run->stages_count; i++) {
        (void)ratoon__io_stage(io, ratoon__run_stage_at(run, i));
    }
}

ratoon_status ratoon__snapshot_encode(const ratoon__lineage *l, ratoon__buf *out)
{
    ratoon__io io = {.out = out};
    ratoon__buf_add(out, magic, sizeof magic);
    /* Only looked at: a stream that writes changes nothing. */
    io_head(&io, (ratoon__lineage *)(uintptr_t)l);
    size_t runs = l->runs_count;
    ratoon__io_count(&io, &runs, RUN_MIN);
    for (size_t i = 0; i < runs; i++) {
        write_run(&io, l->runs[i]);
    }
    const bool failed = ratoon__io_failed(&io) || out->failed;
    ratoon__io_free(&io);
    return failed ? RATOON_ERR_NO_MEMORY : RATOON_OK;
}

/* ---- reading ---- */

static ratoon_pipeline *resolve(decoding *d, ratoon_digest digest)
{
    ratoon_pipeline *p = ratoon__io_failed(&d->io) ? NULL : d->resolve(d->ctx, digest);
    d->io.damaged = d->io.damaged || p == NULL;
    return p;
}

static ratoon__run_static *read_static(decoding *d)
{
    ratoon__io *io = &d->io;
    ratoon_id id = {{0}};
    uint64_t created_at = 0;
    uint64_t created_event = 0;
    ratoon__run_created created = {0};
    ratoon__io_id(io, &id);
    ratoon__io_u64(io, &created_at);
    ratoon__io_u64(io, &created_event);
    ratoon__io_created(io, &created);
    ratoon_pipeline *pipeline = resolve(d, created.pipeline_digest);
    if (pipeline == NULL) {
        return NULL;
    }
    created.pipeline = pipeline;
    const ratoon__run *parent = ratoon__lineage_run(d->l, created.parent);
    ratoon__run_static *fixed = NULL;
    if (ratoon__created_flaw(d->l, &created, id, parent) != NULL) {
        io->damaged = true;
    } else {
        fixed = ratoon__static_new(&created, id, created_at, created_event, parent);
        io->no_memory = fixed == NULL;
    }
    ratoon__pipeline_unref(pipeline);
    return fixed;
}

static void read_children(ratoon__io *io, ratoon__run *r)
{
    size_t count = 0;
    ratoon__io_count(io, &count, sizeof(ratoon_id));
    if (count == 0 || ratoon__io_failed(io)) {
        return;
    }
    ratoon_id *children = ratoon__shared_new(count * sizeof *children);
    if (children == NULL) {
        io->no_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        ratoon__io_id(io, &children[i]);
    }
    r->children = children;
    r->children_count = (uint32_t)count;
}

static void read_text(ratoon__io *io, const char **text)
{
    const char *string = NULL;
    ratoon__io_string(io, &string);
    *text = ratoon__text_new(string, &io->no_memory);
}

static void read_stages(ratoon__io *io, ratoon__run *r)
{
    size_t stages = 0;
    ratoon__io_count(io, &stages, 1);
    if (stages != r->stages_count) {
        io->damaged = true;
    }
    for (uint32_t i = 0; i < stages && !ratoon__io_failed(io); i++) {
        ratoon__stage *s = ratoon__io_stage(io, NULL);
        if (s == NULL) {
            io->damaged = true;
        } else if (!ratoon__run_put_stage(r, i, s)) {
            io->no_memory = true;
        }
    }
}

/* Adds a run to the lineage; where it fails the stream says so. */
static void read_run(decoding *d)
{
    ratoon__io *io = &d->io;
    ratoon__run_static *fixed = read_static(d);
    if (fixed == NULL) {
        return;
    }
    ratoon_digest digest;
    ratoon__io_digest(io, &digest);
    ratoon_pipeline *pipeline = resolve(d, digest);
    ratoon__run *r = pipeline == NULL ? NULL : ratoon__run_new(fixed, pipeline);
    io->no_memory = io->no_memory || (pipeline != NULL && r == NULL);
    ratoon__pipeline_unref(pipeline);
    ratoon__static_unref(fixed);
    if (r == NULL) {
        return;
    }
    io_run_numbers(io, r);
    read_text(io, &r->reason);
    read_text(io, &r->external_ref);
    read_children(io, r);
    read_stages(io, r);
    if (ratoon__io_failed(io)) {
        ratoon__run_unref(r);
        return;
    }
    ratoon__lineage_add_run(d->l, r);
}

static void read_lineage(decoding *d)
{
    ratoon__io *io = &d->io;
    uint8_t found[sizeof magic];
    ratoon__io_bytes(io, found, sizeof found);
    if (memcmp(found, magic, sizeof magic) != 0) {
        io->damaged = true;
        return;
    }
    ratoon__lineage *empty = ratoon__lineage_new((ratoon_id){{0}});
    if (empty == NULL) {
        io->no_memory = true;
        return;
    }
    io_head(io, empty);
    size_t runs = 0;
    ratoon__io_count(io, &runs, RUN_MIN);
    d->l = ratoon__lineage_copy(empty, (uint32_t)runs);
    io->no_memory = io->no_memory || d->l == NULL;
    ratoon__lineage_unref(empty);
    for (size_t i = 0; i < runs && !ratoon__io_failed(io); i++) {
        read_run(d);
    }
    if (io->at != io->end) {
        io->damaged = true;
    }
}

ratoon_status ratoon__snapshot_decode(const void *data, size_t size,
                                      ratoon_pipeline *(*resolve_fn)(void *ctx,
                                                                     ratoon_digest digest),
                                      void *ctx, ratoon__lineage **out, ratoon_error *error)
{
    decoding d = {.io = {.at = size == 0 ? magic : data}, .resolve = resolve_fn, .ctx = ctx};
    d.io.end = d.io.at + size;
    read_lineage(&d);
    ratoon_status status = RATOON_OK;
    if (d.io.no_memory) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "no memory for a snapshot of %U bytes",
                              (uint64_t)size);
    } else if (d.io.damaged) {
        status = ratoon__fail(error, RATOON_ERR_DAMAGED,
                              "a snapshot of %U bytes is damaged at or before byte %U",
                              (uint64_t)size, (uint64_t)(size - (size_t)(d.io.end - d.io.at)));
    }
    ratoon__io_free(&d.io);
    if (status != RATOON_OK) {
        ratoon__lineage_unref(d.l);
        return status;
    }
    *out = d.l;
    return RATOON_OK;
}
