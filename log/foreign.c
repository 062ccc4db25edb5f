/* Appending commits that were made elsewhere, as they are: for import. */
#include "log/store_impl.h"

#include <stdlib.h>

const char *ratoon__store_writer(const ratoon_store *s)
{
    return s->writer;
}

uint64_t ratoon__store_value_max(const ratoon_store *s)
{
    return s->options.value_max;
}

/* Names the lineage's runs have now: keys, what they consumed, and scopes of those that are queued.
 * A running one's executor is elsewhere, so it is about to be suspended (L08). */
static ratoon_status claims_of(const ratoon__lineage *l, ratoon__arena *arena, ratoon__append *a)
{
    ratoon__claim *consumed = NULL;
    size_t consumed_count = 0;
    ratoon_status status = ratoon__claims_consumed(l, arena, &consumed, &consumed_count);
    const size_t most = consumed_count + 2 * (size_t)l->runs_count;
    ratoon__claim *claims =
        status == RATOON_OK ? ratoon__arena_alloc(arena, most * sizeof *claims) : NULL;
    if (claims == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    size_t n = 0;
    for (; n < consumed_count; n++) {
        claims[n] = consumed[n];
    }
    for (uint32_t i = 0; i < l->runs_count; i++) {
        const ratoon__run *r = l->runs[i];
        const ratoon__run_created *c = &r->fixed->created;
        const bool scope = c->scope != NULL && r->status == RATOON_RUN_QUEUED;
        for (int kind = 0; kind < 2; kind++) {
            ratoon__buf name = {0};
            if (kind == 0 ? c->key == NULL : !scope) {
                continue;
            }
            ratoon__buf_format(&name, kind == 0 ? "key:%s" : "scope:%s",
                               kind == 0 ? c->key : c->scope);
            claims[n++] =
                (ratoon__claim){.name = name.failed ? NULL : ratoon__arena_strdup(arena, name.data),
                                .run = r->fixed->id,
                                .take = true};
            ratoon__buf_free(&name);
            if (claims[n - 1].name == NULL) {
                return RATOON_ERR_NO_MEMORY;
            }
        }
    }
    a->claims = claims;
    a->claims_count = n;
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
    return status == RATOON_OK ? claims_of(in->after, arena, out) : status;
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

ratoon_status ratoon__store_recover(ratoon_store *s, ratoon_id executor, ratoon_error *error)
{
    if (ratoon_id_is_zero(executor) || ratoon_id_equal(executor, s->executor) ||
        (s->path[0] != '\0' && !ratoon__executor_is_gone(s->path, executor))) {
        return RATOON_OK;
    }
    return ratoon__recover_runs(s, s->driver, executor, error);
}
