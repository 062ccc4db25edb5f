/* Appending commits that were made elsewhere, as they are: for import. */
#include "log/store_impl.h"

#include <stdlib.h>
#include <string.h>

const char *ratoon__store_writer(const ratoon_store *s)
{
    return s->writer;
}

uint64_t ratoon__store_value_max(const ratoon_store *s)
{
    return s->options.value_max;
}

/* Names the lineage's runs have now, but for the scope of one that is running: its executor is
 * elsewhere, so it is about to be suspended (L08). Scopes that an earlier import took are given
 * back first, so that another run may take them. */
static ratoon_status claims_of(const ratoon__lineage *before, const ratoon__lineage *l,
                               ratoon__arena *arena, ratoon__append *a)
{
    ratoon__claim *now = NULL;
    size_t count = 0, kept = 0;
    const ratoon_status status = ratoon__claims_since(before, l, arena, &now, &count);
    ratoon__claim *claims = ratoon__arena_alloc(arena, count * sizeof *claims);
    if (status != RATOON_OK || claims == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    for (int take = 0; take <= 1; take++) {
        for (size_t i = 0; i < count; i++) {
            const ratoon__claim *c = &now[i];
            const bool scope = strncmp(c->name, "scope:", strlen("scope:")) == 0;
            const bool taken =
                c->take && !(scope && ratoon__lineage_run(l, c->run)->status != RATOON_RUN_QUEUED);
            if (taken == (take == 1)) {
                claims[kept] = *c;
                claims[kept++].take = taken;
            }
        }
    }
    a->claims = claims;
    a->claims_count = kept;
    return RATOON_OK;
}

static ratoon_status rows_of(const ratoon__lineage *l, ratoon__arena *arena, ratoon__append *a)
{
    ratoon__run_row *rows = ratoon__arena_alloc(arena, l->runs_count * sizeof *rows);
    if (rows == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < l->runs_count; i++) {
        rows[i] = ratoon__row_of(l->runs[i]);
    }
    a->rows = rows;
    a->rows_count = l->runs_count;
    return RATOON_OK;
}

static ratoon_status append_of(const ratoon__foreign_commit *in, ratoon__arena *arena,
                               ratoon__append *out)
{
    *out = (ratoon__append){.lineage = in->commit->lineage,
                            .number = in->commit->number,
                            .data = in->data,
                            .size = in->size,
                            .values = in->values,
                            .values_count = in->values_count};
    if (in->after == NULL) {
        return RATOON_OK;
    }
    const ratoon_status status = rows_of(in->after, arena, out);
    return status == RATOON_OK ? claims_of(in->before, in->after, arena, out) : status;
}

static ratoon_status refused(const ratoon__append *a, ratoon_error *error)
{
    if (a->status == RATOON_ERR_CLAIMED) {
        return ratoon__fail(error, RATOON_ERR_CLAIMED, "%s, which a run of lineage %I has, %s %I",
                            a->claims[a->claim].name, &a->lineage, "is held by run", &a->holder);
    }
    if (a->status == RATOON_ERR_CONFLICT) {
        (void)ratoon__fail(error, RATOON_ERR_CONFLICT,
                           "lineage %I changed while it was being imported: commit %U was to be "
                           "added, and it has %U",
                           &a->lineage, a->number, a->head);
        ratoon__hint(error, "import again: what is there already is skipped");
        return RATOON_ERR_CONFLICT;
    }
    return ratoon__fail(error, a->status, "commit %U of lineage %I can't be added: %s", a->number,
                        &a->lineage, ratoon_status_text(a->status));
}

ratoon_status ratoon__store_append_foreign(ratoon_store *s, const ratoon__foreign_commit *commits,
                                           size_t count, ratoon_error *error)
{
    ratoon__arena arena = {0};
    ratoon__append *appends = ratoon__arena_alloc(&arena, count * sizeof *appends);
    ratoon_status status = appends != NULL ? RATOON_OK : RATOON_ERR_NO_MEMORY;
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        status = append_of(&commits[i], &arena, &appends[i]);
        for (size_t k = i; k-- > 0 && appends[i].rests_on == 0;) {
            if (ratoon_id_equal(appends[k].lineage, appends[i].lineage)) {
                appends[i].rests_on = (uint32_t)(i - k);
            }
        }
    }
    if (status != RATOON_OK) {
        ratoon__arena_free(&arena);
        return ratoon__fail(error, status, "out of memory");
    }
    if (count > 0) {
        const bool sync = s->options.durability == RATOON_DURABILITY_SYNC;
        status = s->driver->ops->append(s->driver, appends, count, sync, error);
    }
    for (size_t i = 0; status == RATOON_OK && i < count; i++) {
        if (appends[i].status != RATOON_OK) {
            status = refused(&appends[i], error);
        }
    }
    for (size_t i = 0; i < count; i++) {
        const ratoon__lineage *after = commits[i].after;
        if (after != NULL && status == RATOON_OK) {
            ratoon__projection_publish(s, s->driver, after, commits[i].lineage_size);
        } else if (status != RATOON_OK) {
            ratoon__projection_forget(s, commits[i].commit->lineage);
        }
    }
    ratoon__arena_free(&arena);
    return status;
}

bool ratoon__store_executor_is_elsewhere(const ratoon_store *s, ratoon_id executor)
{
    return !ratoon_id_is_zero(executor) && !ratoon_id_equal(executor, s->executor) &&
           (s->path[0] == '\0' || ratoon__executor_is_gone(s->path, executor));
}

ratoon_status ratoon__store_recover(ratoon_store *s, ratoon_id executor, ratoon_error *error)
{
    return ratoon__store_executor_is_elsewhere(s, executor)
               ? ratoon__recover_runs(s, s->driver, executor, error)
               : RATOON_OK;
}
