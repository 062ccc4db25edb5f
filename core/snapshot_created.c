/* What a run's first event says, in a snapshot. */
#include "core/snapshot_io.h"

/* The elements of a list: those given when writing, new ones in the arena when reading. */
static void *elements(ratoon__io *io, const void *given, size_t count, size_t size)
{
    if (ratoon__io_writing(io)) {
        return (void *)(uintptr_t)given; /* only looked at */
    }
    void *array = count == 0 ? NULL : ratoon__arena_alloc(&io->arena, count * size);
    io->no_memory = io->no_memory || io->arena.failed;
    return array;
}

/* Goes through a list: `type` of the elements, the fewest bytes of one, and what to do with each.
 */
#define LIST(io, type, list, list_count, element_min, element)                                     \
    do {                                                                                           \
        size_t n = (list_count);                                                                   \
        ratoon__io_count(io, &n, element_min);                                                     \
        type *array = elements(io, list, n, sizeof *array);                                        \
        for (size_t i = 0; array != NULL && i < n && !ratoon__io_failed(io); i++) {                \
            if (ratoon__io_writing(io)) {                                                          \
                type copy = array[i];                                                              \
                element(io, &copy);                                                                \
            } else {                                                                               \
                element(io, &array[i]);                                                            \
            }                                                                                      \
        }                                                                                          \
        (list) = array;                                                                            \
        (list_count) = array == NULL ? 0 : n;                                                      \
    } while (0)

static void io_param(ratoon__io *io, ratoon__param *p)
{
    ratoon__io_text(io, &p->name);
    ratoon__io_text(io, &p->text);
    ratoon__io_bool(io, &p->secret);
}

static void io_label(ratoon__io *io, ratoon_pair *p)
{
    ratoon__io_text(io, &p->name);
    ratoon__io_text(io, &p->value);
}

void ratoon__io_override(ratoon__io *io, ratoon__override *o)
{
    ratoon__io_text(io, &o->name);
    ratoon__io_string(io, &o->old_text);
    ratoon__io_string(io, &o->new_text);
    ratoon__io_bool(io, &o->secret);
}

static void io_edit(ratoon__io *io, ratoon__edit *e)
{
    ratoon__io_value(io, &e->value);
    ratoon__io_bool(io, &e->had_old);
    ratoon__io_digest(io, &e->old_digest);
    ratoon__io_bool(io, &e->partial);
}

static void io_key(ratoon__io *io, const char **key)
{
    ratoon__io_text(io, key);
}

static void io_plan(ratoon__io *io, ratoon__stage_plan *p)
{
    ratoon__io_u32(io, &p->stage);
    p->mode = (ratoon_items_mode)ratoon__io_enum(io, p->mode, RATOON_ITEMS_LISTED);
    ratoon__io_bool(io, &p->keep_done);
    ratoon__io_bool(io, &p->keep_committed);
    ratoon__io_bool(io, &p->keep_failed);
    ratoon__io_bool(io, &p->keep_outputs);
    const char *const *listed = p->listed;
    LIST(io, const char *, listed, p->listed_count, 2, io_key);
    p->listed = listed;
    const char *const *kept = p->kept;
    LIST(io, const char *, kept, p->kept_count, 2, io_key);
    p->kept = kept;
}

static void io_branch(ratoon__io *io, ratoon__run_created *c)
{
    ratoon__io_u64(io, &c->parent_event);
    ratoon__io_i32(io, &c->requested_stage);
    ratoon__io_i32(io, &c->effective_stage);
    ratoon__io_string(io, &c->boundary);
    ratoon__io_bool(io, &c->rerun);
    ratoon__io_bool(io, &c->only);
    ratoon__io_bool(io, &c->destructive);
    ratoon__io_bool(io, &c->queued_by_request);
    c->items_mode = (ratoon_items_mode)ratoon__io_enum(io, c->items_mode, RATOON_ITEMS_LISTED);
    LIST(io, ratoon__override, c->overrides, c->overrides_count, 5, ratoon__io_override);
    LIST(io, ratoon__edit, c->edits, c->edits_count, 70, io_edit);
    LIST(io, uint32_t, c->rerun_set, c->rerun_set_count, 1, ratoon__io_u32);
    LIST(io, ratoon__stage_plan, c->plans, c->plans_count, 8, io_plan);
}

void ratoon__io_created(ratoon__io *io, ratoon__run_created *c)
{
    ratoon__io_id(io, &c->root);
    ratoon__io_id(io, &c->parent);
    ratoon__io_u32(io, &c->depth);
    ratoon__io_u32(io, &c->number);
    ratoon__io_u32(io, &c->max_depth);
    c->status = (ratoon_run_status)ratoon__io_enum(io, c->status, RATOON_RUN_CANCELLED);
    ratoon__io_text(io, &c->pipeline_name);
    ratoon__io_u64(io, &c->pipeline_version);
    ratoon__io_digest(io, &c->pipeline_digest);
    ratoon__io_string(io, &c->base_dir);
    ratoon__io_string(io, &c->file);
    ratoon__io_string(io, &c->subject);
    ratoon__io_string(io, &c->scope);
    ratoon__io_string(io, &c->external_ref);
    LIST(io, ratoon__param, c->params, c->params_count, 5, io_param);
    LIST(io, ratoon__value_ref, c->state.items, c->state.count, 36, ratoon__io_value);
    LIST(io, ratoon_pair, c->labels, c->labels_count, 4, io_label);
    ratoon__io_string(io, &c->actor);
    ratoon__io_string(io, &c->reason);
    ratoon__io_string(io, &c->cause);
    ratoon__io_bool(io, &c->automatic);
    ratoon__io_i32(io, &c->auto_retry);
    ratoon__io_string(io, &c->key);
    ratoon__io_digest(io, &c->request);
    ratoon__io_i32(io, &c->until);
    ratoon__io_id(io, &c->executor);
    ratoon__io_u64(io, &c->target);
    io_branch(io, c);
}
