/* What a process that becomes the owner makes up for: derived rows that a crash left behind, and
 * runs whose executor is gone (L08). */
#include "log/codec.h"
#include "log/points.h"
#include "log/store_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RECOVER_PAGE 256 /* rows listed at a time */

ratoon__run_row ratoon__row_of(const ratoon__run *r)
{
    const ratoon__run_static *f = r->fixed;
    return (ratoon__run_row){.run = f->id,
                             .root = f->created.root,
                             .created_at = f->created_at,
                             .status = r->status,
                             .executor = r->executor,
                             .subject = f->created.subject ? f->created.subject : "",
                             .pipeline = f->created.pipeline_name};
}

/* ---- derived rows ---- */

typedef struct place {
    ratoon_id id;
    uint64_t restart; /* of a lineage: the first commit that a use may be forgotten with; 0: none */
} place;

typedef struct ids {
    place *items;
    size_t count, capacity;
} ids;

static void place_merge(place *p, uint64_t restart)
{
    p->restart = p->restart == 0 || (restart != 0 && restart < p->restart) ? restart : p->restart;
}

static bool ids_add(ids *list, ratoon_id id, uint64_t restart)
{
    if (list->count > 0 && ratoon_id_equal(list->items[list->count - 1].id, id)) {
        place_merge(&list->items[list->count - 1], restart);
        return true;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        place *items = realloc(list->items, capacity * sizeof *items);
        if (items == NULL) {
            return false;
        }
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = (place){id, restart};
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    const place *x = a, *y = b;
    return memcmp(&x->id, &y->id, sizeof x->id);
}

static void ids_unique(ids *list)
{
    size_t n = 0;
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof *list->items, compare_ids);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (n > 0 && ratoon_id_equal(list->items[n - 1].id, list->items[i].id)) {
            place_merge(&list->items[n - 1], list->items[i].restart);
        } else {
            list->items[n++] = list->items[i];
        }
    }
    list->count = n;
}

typedef struct touched {
    ids lineages;
    uint64_t last; /* position read up to */
    bool failed;
} touched;

/* Whether the commit starts a stage again or brings another definition, which may lack a stage:
 * only that makes a lineage forget whose results it used. One that can't be read may have. */
static bool may_forget(const void *data, size_t size)
{
    ratoon__arena arena = {0};
    ratoon__commit c;
    bool found = ratoon__commit_decode(data, size, &arena, &c, NULL) != RATOON_OK;
    for (size_t i = 0; !found && i < c.events_count; i++) {
        const ratoon__event *e = &c.events[i];
        found = e->type == RATOON__EVENT_RUN_PIPELINE_CHANGED ||
                (e->type == RATOON__EVENT_STAGE_STARTED && e->u.stage_started.attempt > 1);
    }
    ratoon__arena_free(&arena);
    return found;
}

static bool note_lineage(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                         const void *data, size_t size)
{
    touched *t = ctx;
    t->last = position;
    t->failed = !ids_add(&t->lineages, lineage, may_forget(data, size) ? number : 0);
    return !t->failed;
}

/* The lineage right before a commit: names that it gave back since may still be in the index. Where
 * that part of the log can't be read they stay there, which is no reason not to open. */
static ratoon_status load_before(ratoon_store *s, ratoon__driver *d, const place *p,
                                 ratoon__lineage **out, ratoon_error *error)
{
    size_t size = 0;
    ratoon_status status =
        ratoon__projection_from_snapshot(s, d, p->id, p->restart - 1, out, &size, error);
    if (status == RATOON_OK) {
        status = ratoon__fold_range(s, d, out, p->restart - 1, error);
    }
    if (status != RATOON_OK) {
        ratoon__lineage_unref(*out);
        *out = NULL;
    }
    return status == RATOON_ERR_DAMAGED ? RATOON_OK : status;
}

/* Rows and claims of one lineage as they are now: every run's row, every key, whose results it
 * consumed (R22), and the scope of each run, taken where it is active and released where not (a
 * release counts only for its holder, so the order of lineages doesn't matter). */
static ratoon_status put_lineage(ratoon_store *s, ratoon__driver *d, const place *p,
                                 uint64_t position, ratoon_error *error)
{
    ratoon__lineage *l = NULL, *before = NULL;
    ratoon_status status = ratoon__projection_load(s, d, p->id, true, &l, error);
    if (status == RATOON_ERR_NOT_FOUND) {
        return RATOON_OK; /* deleted since */
    }
    if (status == RATOON_OK && p->restart > 1 && !l->deleted) {
        status = load_before(s, d, p, &before, error);
    }
    if (status != RATOON_OK) {
        ratoon__lineage_unref(l);
        return status;
    }
    ratoon__arena arena = {0};
    ratoon__claim *claims = NULL;
    size_t n = 0;
    status = ratoon__claims_since(before, l, &arena, &claims, &n);
    ratoon__run_row *rows = ratoon__arena_alloc(&arena, l->runs_count * sizeof *rows);
    for (uint32_t i = 0; rows != NULL && i < l->runs_count; i++) {
        rows[i] = ratoon__row_of(l->runs[i]);
    }
    arena.failed = arena.failed || status != RATOON_OK;
    status = arena.failed
                 ? ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory")
                 : ratoon__rocksdb_put_derived(d, rows, l->runs_count, claims, n, position, error);
    ratoon__arena_free(&arena);
    ratoon__lineage_unref(before);
    ratoon__lineage_unref(l);
    return status;
}

/* Brings derived rows up to date with the feed. */
static ratoon_status catch_up(ratoon_store *s, ratoon__driver *d, ratoon_error *error)
{
    uint64_t from = 0;
    uint64_t end = 0;
    ratoon_status status = ratoon__rocksdb_derived_position(d, &from, error);
    if (status == RATOON_OK) {
        status = d->ops->end(d, &end, error);
    }
    touched t = {.last = from};
    while (status == RATOON_OK && t.last + 1 < end) {
        status = d->ops->tail(d, t.last + 1, 0, note_lineage, &t, error);
        if (status == RATOON_ERR_TIMED_OUT) { /* the rest of the feed was deleted */
            status = RATOON_OK;
            break;
        }
        if (t.failed) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
    }
    ids_unique(&t.lineages);
    for (size_t i = 0; status == RATOON_OK && i < t.lineages.count; i++) {
        /* Only the last one makes the position true: a crash here starts over. */
        uint64_t position = i + 1 == t.lineages.count ? end - 1 : from;
        status = put_lineage(s, d, &t.lineages.items[i], position, error);
        ratoon__at(RATOON__POINT_RECOVER_ROWS);
    }
    free(t.lineages.items);
    return status;
}

/* ---- runs whose executor is gone ---- */

typedef struct found {
    ratoon_store *store;
    ratoon_id executor; /* zero: any that is gone */
    ids runs;
    ratoon_id last;
    uint64_t last_time;
    uint32_t seen;
    bool failed;
} found;

static bool is_gone(const ratoon_store *s, ratoon_id executor)
{
    if (s->path[0] == '\0') {
        return false;
    }
    return ratoon__executor_is_gone(s->path, executor);
}

static bool note_run(void *ctx, const ratoon__run_row *row)
{
    found *f = ctx;
    f->last = row->run;
    f->last_time = row->created_at;
    f->seen++;
    bool wanted = ratoon_id_is_zero(f->executor)
                      ? !ratoon_id_equal(row->executor, f->store->executor) &&
                            is_gone(f->store, row->executor)
                      : ratoon_id_equal(row->executor, f->executor);
    f->failed = wanted && !ids_add(&f->runs, row->run, 0);
    return !f->failed;
}

typedef struct recover_context {
    ratoon_store *store;
    ratoon_id run;
    ratoon_id executor;
} recover_context;

static ratoon_status decide_recover(ratoon__request *r, const ratoon__lineage *before,
                                    const ratoon__facts *facts, ratoon__decision *out,
                                    ratoon_error *error)
{
    recover_context *c = r->ctx;
    const ratoon__run *run = ratoon__lineage_run(before, c->run);
    if (run == NULL) {
        return RATOON_OK;
    }
    /* Looked at again on the projection that counts: somebody may have resumed it meanwhile. */
    bool wanted = ratoon_id_is_zero(c->executor) ? is_gone(c->store, run->executor)
                                                 : ratoon_id_equal(run->executor, c->executor);
    return wanted ? ratoon__decide_recover(before, c->run, facts, out, error) : RATOON_OK;
}

static ratoon_status recover_one(ratoon_store *s, ratoon__driver *d, ratoon_id run,
                                 ratoon_id executor, ratoon_error *error)
{
    ratoon__arena arena = {0};
    recover_context c = {.store = s, .run = run, .executor = executor};
    ratoon__request r = {.decide = decide_recover, .ctx = &c, .arena = &arena, .error = error};
    ratoon_status status = ratoon__root_of(s, d, run, &r.lineage, error);
    if (status == RATOON_OK) {
        status = ratoon__commit_direct(s, d, &r);
        ratoon__lineage_unref(r.after);
    }
    ratoon__arena_free(&arena);
    return status;
}

static ratoon_status list_status(ratoon_store *s, ratoon__driver *d, ratoon_run_status wanted,
                                 found *f, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    f->last = (ratoon_id){{0}};
    f->last_time = 0;
    do {
        ratoon__list_query query = {.index = RATOON__INDEX_STATUS,
                                    .key = ratoon_run_status_name(wanted),
                                    .before_time = f->last_time,
                                    .before_id = f->last,
                                    .limit = RECOVER_PAGE};
        f->seen = 0;
        status = d->ops->list(d, &query, note_run, f, error);
        if (f->failed) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
    } while (status == RATOON_OK && f->seen == RECOVER_PAGE);
    (void)s;
    return status;
}

ratoon_status ratoon__recover_runs(ratoon_store *s, ratoon__driver *d, ratoon_id executor,
                                   ratoon_error *error)
{
    found f = {.store = s, .executor = executor};
    ratoon_status status = list_status(s, d, RATOON_RUN_RUNNING, &f, error);
    if (status == RATOON_OK) {
        status = list_status(s, d, RATOON_RUN_CANCELLING, &f, error);
    }
    for (size_t i = 0; status == RATOON_OK && i < f.runs.count; i++) {
        status = recover_one(s, d, f.runs.items[i].id, executor, error);
        ratoon__at(RATOON__POINT_RECOVER_RUN);
    }
    free(f.runs.items);
    return status;
}

ratoon_status ratoon__on_owner(void *store, ratoon__driver *owned, ratoon_error *error)
{
    ratoon_store *s = store;
    ratoon_status status = catch_up(s, owned, error);
    if (status == RATOON_OK) {
        ratoon__at(RATOON__POINT_RECOVER_BEGIN);
        ratoon_error why = {0};
        status = ratoon__recover_runs(s, owned, (ratoon_id){{0}}, &why);
        if (status == RATOON_ERR_IO && why.backend_code == ENOSPC) {
            /* On a full disk the store can be read at least; the next opening makes up for it. */
            status = RATOON_OK;
        } else if (status != RATOON_OK && error != NULL) {
            *error = why;
        }
        ratoon__executors_sweep(s->path);
        ratoon__at(RATOON__POINT_RECOVER_END);
    }
    return status;
}

void ratoon__on_disconnect(void *store, ratoon__driver *owned)
{
    /* What can't be recovered now is found again at the next opening. */
    (void)ratoon__recover_runs(store, owned, (ratoon_id){{0}}, NULL);
}
