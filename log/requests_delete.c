/* Deleting lineages (R20): one that is named, or all that ended before some time. First what is to
 * go besides the commits is written down, then the mark takes the place of the commits, then files
 * and values go; each step alone leaves a store that is whole. */
#include "log/leftovers.h"
#include "log/points.h"
#include "log/store_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_PAGE 256

/* ---- one lineage ---- */

typedef struct delete_context {
    ratoon__delete_request request;
    uint64_t head; /* as collected */
    bool moved;    /* it isn't that any more */
    ratoon_deleted deleted;
} delete_context;

static void describe(const ratoon__lineage *l, ratoon_deleted *out)
{
    *out = (ratoon_deleted){
        .root = l->id, .runs = l->runs_count, .commits = l->head, .events = l->events};
    for (uint32_t i = 0; i < l->runs_count; i++) {
        const uint64_t ended_at = l->runs[i]->ended_at;
        out->ended_at = ended_at > out->ended_at ? ended_at : out->ended_at;
    }
    if (l->runs_count > 0) {
        const ratoon__run_created *c = &l->runs[0]->fixed->created;
        (void)snprintf(out->pipeline, sizeof out->pipeline, "%s", c->pipeline_name);
        (void)snprintf(out->subject, sizeof out->subject, "%s", c->subject ? c->subject : "");
    }
}

static ratoon_status decide_delete(ratoon__request *r, const ratoon__lineage *before,
                                   const ratoon__facts *facts, ratoon__decision *out,
                                   ratoon_error *error)
{
    delete_context *c = r->ctx;
    c->moved = false;
    ratoon_status status = ratoon__decide_delete(before, &c->request, facts, out, error);
    if (status == RATOON_OK && before->head != c->head) {
        out->count = 0;
        c->moved = true;
        return RATOON_ERR_CONFLICT;
    }
    describe(before, &c->deleted);
    return status;
}

/* Whether it would be refused, before anything is read or written for it. */
static ratoon_status check(ratoon_store *s, ratoon_id root, const ratoon__delete_request *request,
                           ratoon_error *error)
{
    ratoon__lineage *l = NULL;
    ratoon__arena arena = {0};
    ratoon__decision d = {.arena = &arena};
    const ratoon__facts facts = {.actor = s->actor};
    ratoon_status status = ratoon__store_lineage(s, root, &l, error);
    if (status == RATOON_OK) {
        status = ratoon__decide_delete(l, request, &facts, &d, error);
        ratoon__lineage_unref(l);
    }
    ratoon__arena_free(&arena);
    return status;
}

/* The mark takes the place of the commits; what else is to go is added to *left. */
static ratoon_status delete_lineage(ratoon_store *s, ratoon_id root,
                                    const ratoon__delete_request *request, ratoon__leftovers *left,
                                    ratoon_deleted *out, ratoon_error *error)
{
    delete_context c = {.request = *request};
    ratoon__arena decided = {0};
    ratoon_status status = check(s, root, request, error);
    bool again = status == RATOON_OK;
    for (unsigned tries = 0; again && tries < RATOON__CONFLICTS_MAX; tries++) {
        ratoon__leftovers own = {0};
        ratoon__request r = {
            .lineage = root, .decide = decide_delete, .ctx = &c, .arena = &decided, .error = error};
        status = ratoon__leftovers_collect(&own, s->driver, root, error);
        ratoon__at(RATOON__POINT_DELETE_COLLECTED);
        if (status == RATOON_OK) {
            status = ratoon__leftovers_note(&own, s->path, root, error);
        }
        ratoon__at(RATOON__POINT_DELETE_NOTED);
        if (status == RATOON_OK) {
            c.head = own.head;
            status = ratoon__commit_request(s, &r);
            ratoon__lineage_unref(r.after);
            ratoon__at(RATOON__POINT_DELETE_MARKED);
        }
        again = status == RATOON_ERR_CONFLICT && c.moved;
        if (status == RATOON_OK) {
            status = ratoon__leftovers_add(left, &own, error);
            *out = c.deleted;
        }
        ratoon__leftovers_free(&own);
    }
    ratoon__arena_free(&decided);
    return status;
}

/* ---- what is left ---- */

/* Adds what earlier deletions have written down and not taken out. */
static ratoon_status leftovers_found(ratoon_store *s, const ratoon_id *noted, size_t count,
                                     ratoon__leftovers *left, bool *deleted, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        ratoon__lineage *l = NULL;
        deleted[i] = false;
        status = ratoon__projection_load(s, s->driver, noted[i], true, &l, error);
        if (status == RATOON_OK) {
            deleted[i] = l->deleted; /* else somebody is about to, or was refused, or crashed */
            ratoon__lineage_unref(l);
        } else if (status == RATOON_ERR_NOT_FOUND) {
            status = RATOON_OK;
        }
        if (status == RATOON_OK && deleted[i]) {
            status = ratoon__leftovers_read(left, s->path, noted[i], error);
        }
    }
    return status;
}

/* Takes out files, then values, then the notes of what there was to take out. */
static ratoon_status finish(ratoon_store *s, ratoon__leftovers *left, ratoon_freed *freed,
                            ratoon_error *error)
{
    ratoon_id *noted = NULL;
    size_t count = 0;
    *freed = (ratoon_freed){0};
    ratoon_status status = ratoon__leftovers_list(s->path, &noted, &count, error);
    bool *deleted = calloc(count + 1, sizeof *deleted);
    if (status == RATOON_OK && deleted == NULL) {
        status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    if (status == RATOON_OK) {
        status = leftovers_found(s, noted, count, left, deleted, error);
    }
    if (status == RATOON_OK) {
        ratoon__leftovers_files(left, s->path, false, &freed->files, &freed->file_bytes);
        ratoon__at(RATOON__POINT_DELETE_FILES);
        status = ratoon__values_sweep(s->driver, &left->values, &freed->values, &freed->value_bytes,
                                      error);
        ratoon__at(RATOON__POINT_DELETE_SWEPT);
        for (size_t i = 0; status == RATOON_OK && i < count; i++) {
            if (deleted[i]) {
                ratoon__leftovers_forget(s->path, noted[i]);
                ratoon__at(RATOON__POINT_DELETE_FORGOTTEN);
            }
        }
        if (status == RATOON_ERR_CONFLICT) {
            status = RATOON_OK; /* too much was going on: the next deletion goes on with it */
        }
    }
    free(deleted);
    free(noted);
    return status;
}

ratoon_status ratoon_lineage_delete(ratoon_store *store, ratoon_id run, bool whole,
                                    ratoon_deleted *out, ratoon_freed *freed, ratoon_error *error)
{
    const ratoon__delete_request request = {.run = run, .whole = whole};
    ratoon__leftovers left = {0};
    ratoon_deleted deleted;
    ratoon_freed gone = {0};
    ratoon_id root;
    ratoon_status status = ratoon__root_of(store, store->driver, run, &root, error);
    if (status == RATOON_OK) {
        status = delete_lineage(store, root, &request, &left, &deleted, error);
    }
    if (status == RATOON_OK) {
        status = finish(store, &left, &gone, error);
    }
    ratoon__leftovers_free(&left);
    if (status == RATOON_OK && out != NULL) {
        *out = deleted;
    }
    if (status == RATOON_OK && freed != NULL) {
        *freed = gone;
    }
    return status;
}

/* ---- pruning ---- */

typedef struct roots {
    ratoon_id *items;
    size_t count, capacity;
    uint64_t before;
    ratoon_id last;
    uint64_t last_time;
    uint32_t seen;
    bool failed;
} roots;

static bool note_root(void *ctx, const ratoon__run_row *row)
{
    roots *r = ctx;
    r->seen++;
    r->last = row->run;
    r->last_time = row->created_at;
    if (!ratoon_id_equal(row->run, row->root) || row->created_at >= r->before) {
        return true;
    }
    if (r->count == r->capacity) {
        const size_t capacity = r->capacity == 0 ? 64 : 2 * r->capacity;
        ratoon_id *items = realloc(r->items, capacity * sizeof *items);
        if (items == NULL) {
            r->failed = true;
            return false;
        }
        r->items = items;
        r->capacity = capacity;
    }
    r->items[r->count++] = row->run;
    return true;
}

/* Roots created before a time, the newest first. */
static ratoon_status roots_before(ratoon_store *s, roots *r, ratoon_error *error)
{
    ratoon_status status;
    do {
        const ratoon__list_query query = {.index = RATOON__INDEX_TIME,
                                          .before_time = r->last_time,
                                          .before_id = r->last,
                                          .limit = LIST_PAGE};
        r->seen = 0;
        status = s->driver->ops->list(s->driver, &query, note_root, r, error);
        if (status == RATOON_OK && r->failed) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        }
    } while (status == RATOON_OK && r->seen == LIST_PAGE);
    return status;
}

/* Whether a lineage is to go, and what would be said of it. */
static ratoon_status prunable(ratoon_store *s, ratoon_id root, uint64_t before, bool *yes,
                              ratoon_deleted *out, ratoon__leftovers *left, ratoon_error *error)
{
    ratoon__lineage *l = NULL;
    *yes = false;
    ratoon_status status = ratoon__store_lineage(s, root, &l, error);
    if (status != RATOON_OK) {
        return status == RATOON_ERR_NOT_FOUND ? RATOON_OK : status;
    }
    const uint64_t ended_at = ratoon__lineage_ended_at(l);
    *yes = ended_at != 0 && ended_at < before;
    if (*yes) {
        describe(l, out);
    }
    if (*yes && left != NULL) {
        status = ratoon__leftovers_collect(left, s->driver, root, error);
    }
    ratoon__lineage_unref(l);
    return status;
}

/* Fills in what was, or would be, deleted. */
static ratoon_status prune(ratoon_store *s, const ratoon_prune_options *o, const roots *r,
                           ratoon__leftovers *left, ratoon_deleted *out, size_t *count,
                           ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; status == RATOON_OK && i < r->count; i++) {
        bool yes = false;
        status = prunable(s, r->items[i], o->before, &yes, &out[*count], o->dry_run ? left : NULL,
                          error);
        if (status == RATOON_OK && yes && !o->dry_run) {
            const ratoon__delete_request request = {
                .run = r->items[i], .whole = true, .ended_before = o->before};
            status = delete_lineage(s, r->items[i], &request, left, &out[*count], error);
            /* Somebody has gone on with it, or deleted it, since it was looked at. */
            if (status == RATOON_ERR_CONFLICT || status == RATOON_ERR_RUN_ACTIVE ||
                status == RATOON_ERR_NOT_FOUND) {
                status = RATOON_OK;
                yes = false;
            }
        }
        *count += status == RATOON_OK && yes ? 1 : 0;
    }
    return status;
}

ratoon_status ratoon_prune(ratoon_store *store, const ratoon_prune_options *options,
                           ratoon_deleted **out, size_t *count, ratoon_freed *freed,
                           ratoon_error *error)
{
    if (out == NULL || count == NULL) {
        return ratoon__no_place("out or count", error);
    }
    if (options->struct_size != sizeof *options) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "prune options have size %U; this library expects %U, set by "
                            "RATOON_PRUNE_OPTIONS_INIT",
                            (uint64_t)options->struct_size, (uint64_t)sizeof *options);
    }
    roots r = {.before = options->before};
    ratoon__leftovers left = {0};
    ratoon_freed gone = {0};
    size_t done = 0;
    ratoon_deleted *deleted = NULL;
    ratoon_status status = roots_before(store, &r, error);
    if (status == RATOON_OK) {
        deleted = calloc(r.count + 1, sizeof *deleted);
        status = deleted == NULL ? ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory")
                                 : prune(store, options, &r, &left, deleted, &done, error);
    }
    if (options->dry_run) {
        ratoon__leftovers_files(&left, store->path, true, &gone.files, &gone.file_bytes);
    } else if (deleted != NULL) {
        /* Also behind a failure: what is deleted by then is swept. */
        const ratoon_status swept = finish(store, &left, &gone, status == RATOON_OK ? error : NULL);
        status = status == RATOON_OK ? swept : status;
    }
    ratoon__leftovers_free(&left);
    free(r.items);
    if (status != RATOON_OK) {
        free(deleted);
        return status;
    }
    *out = deleted;
    *count = done;
    if (freed != NULL) {
        *freed = gone;
    }
    return RATOON_OK;
}
