/* Deciding the requests of a group: each on the projection as the ones before it leave that, which
 * is tentative until the group is written. */
#include "log/commit_group.h"

#include <string.h>

/* The place of a lineage among the tentative ones: its own, or a free one. */
static ratoon__tentative *tentative_place(const ratoon__commit_group *g, ratoon_id lineage)
{
    uint64_t hash; /* the tail of a UUIDv7 is random */
    memcpy(&hash, lineage.bytes + 8, sizeof hash);
    size_t i = (size_t)(hash * 0x9E3779B97F4A7C15u >> 32) & g->tentatives_mask;
    while (g->tentatives[i].lineage != NULL &&
           !ratoon_id_equal(g->tentatives[i].lineage->id, lineage)) {
        i = (i + 1) & g->tentatives_mask;
    }
    return &g->tentatives[i];
}

static ratoon__tentative *tentative_find(const ratoon__commit_group *g, ratoon_id lineage)
{
    ratoon__tentative *t = tentative_place(g, lineage);
    return t->lineage != NULL ? t : NULL;
}

/* unfolded: `lineage` is what the commit of this slot comes after; NULL: it is in it. */
static void tentative_set(const ratoon__commit_group *g, const ratoon__lineage *lineage,
                          ratoon__commit_slot *unfolded, size_t append)
{
    ratoon__tentative *t = tentative_place(g, lineage->id);
    ratoon__lineage_unref(t->lineage);
    t->lineage = ratoon__lineage_ref(lineage);
    t->unfolded = t->unfolded_last = unfolded;
    t->append = append;
}

static ratoon_status slot_digest(const ratoon__commit_group *g, ratoon__commit_slot *at)
{
    if (at->digested) {
        return RATOON_OK;
    }
    const ratoon__append *a = &g->appends[at->append];
    const ratoon_status status = ratoon__sha256(a->data, a->size, &at->digest);
    at->digested = status == RATOON_OK;
    return status;
}

/* Most commits are the only one of their lineage in a group, or were made behind each other ahead
 * of it: those are folded in once they are acknowledged, in place where nobody looks. Only what
 * another request is to be judged by has to be there before: it is folded into a copy, which is the
 * group's own from then on. */
static ratoon_status tentative_fold(const ratoon__commit_group *g, ratoon__tentative *t,
                                    ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    while (status == RATOON_OK && t->unfolded != NULL) {
        ratoon__commit_slot *at = t->unfolded;
        status = slot_digest(g, at);
        if (status != RATOON_OK) {
            break;
        }
        status = ratoon__fold_into(&t->lineage, &at->commit, &at->digest, error);
        if (status == RATOON_OK) {
            t->unfolded = at->next_unfolded;
        } else if (t->lineage == NULL) {
            t->unfolded = NULL; /* the log's head refuses what is judged without it */
        }
    }
    return status;
}

void ratoon__tentatives_free(const ratoon__commit_group *g)
{
    for (size_t i = 0; i <= g->tentatives_mask; i++) {
        ratoon__lineage_unref(g->tentatives[i].lineage);
    }
}

/* Fills in rows of the runs that the events are about, each once. */
static ratoon_status rows_of(const ratoon__lineage *after, const ratoon__decision *d,
                             ratoon__arena *arena, ratoon__append *a)
{
    ratoon__run_row *rows = ratoon__arena_alloc(arena, sizeof *rows * d->count);
    if (rows == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    size_t n = 0;
    for (size_t i = 0; i < d->count; i++) {
        bool seen = false;
        for (size_t j = 0; j < n && !seen; j++) {
            seen = ratoon_id_equal(rows[j].run, d->events[i].run);
        }
        const ratoon__run *r = seen ? NULL : ratoon__lineage_run(after, d->events[i].run);
        if (r != NULL) {
            rows[n++] = ratoon__row_of(r);
        }
    }
    a->rows = rows;
    a->rows_count = n;
    return RATOON_OK;
}

/* The mark of a deleted lineage takes every run's row with it. */
static ratoon_status rows_erased(const ratoon__lineage *before, ratoon__arena *arena,
                                 ratoon__append *a)
{
    ratoon__run_row *rows = ratoon__arena_alloc(arena, sizeof *rows * before->runs_count);
    if (rows == NULL) {
        return RATOON_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < before->runs_count; i++) {
        rows[i] = ratoon__row_of(before->runs[i]);
    }
    a->rows = rows;
    a->rows_count = before->runs_count;
    a->erase = true;
    return RATOON_OK;
}

/* Folds a commit in, and adds the names and rows that it changes. */
static ratoon_status commit_effects(const ratoon__commit_group *g, ratoon__commit_slot *at,
                                    const ratoon__lineage *before, const ratoon__decision *d)
{
    ratoon__request *r = at->request;
    ratoon__append *a = &g->appends[at->append];
    ratoon__claim *claims = NULL;
    size_t claims_count = 0;
    ratoon_status status = slot_digest(g, at);
    if (status == RATOON_OK) {
        status = ratoon__fold(before, &at->commit, &at->digest, &at->after, r->error);
    }
    if (status != RATOON_OK) {
        return status;
    }
    status =
        ratoon__claims_of(before, at->after, d->events, d->count, r->arena, &claims, &claims_count);
    a->claims = claims;
    a->claims_count = claims_count;
    if (status == RATOON_OK) {
        status = at->after->deleted ? rows_erased(before, r->arena, a)
                                    : rows_of(at->after, d, r->arena, a);
    }
    if (status != RATOON_OK) {
        ratoon__lineage_unref(at->after);
        at->after = NULL;
    }
    return status;
}

/* A commit that was made is the group's next append. */
static void slot_append(ratoon__commit_group *g, ratoon__commit_slot *at, const ratoon__made *made,
                        bool syncs)
{
    const ratoon__request *r = at->request;
    at->commit = made->commit;
    at->digest = made->digest;
    at->digested = made->digested;
    at->appended = true;
    at->append = g->appends_count++;
    g->appends[at->append] = (ratoon__append){.lineage = r->lineage,
                                              .number = made->commit.number,
                                              .data = made->data,
                                              .size = made->size,
                                              .values = r->values,
                                              .values_count = r->values_count};
    g->sync = g->sync || syncs;
}

/* Encodes a decision as the lineage's next commit, and prepares its append. */
static ratoon_status commit_build(ratoon__commit_group *g, ratoon__commit_slot *at,
                                  const ratoon__lineage *before, const ratoon__decision *d,
                                  uint64_t now_us)
{
    ratoon__request *r = at->request;
    ratoon__made made;
    ratoon_status status =
        ratoon__commit_make(g->store, g->encoder, r, before, d, now_us, g->count > 1, &made);
    if (status != RATOON_OK) {
        return status;
    }
    slot_append(g, at, &made, ratoon__decision_has_failure(d));
    if (!ratoon__decision_folds_later(before, d)) {
        status = commit_effects(g, at, before, d);
    }
    if (status != RATOON_OK) {
        at->appended = false;
        g->appends_count--;
    }
    return status;
}

/* The projection a request is judged by: the group's, else the cached, else loaded. */
static ratoon_status before_of(ratoon__commit_group *g, ratoon__commit_slot *at, bool fresh_wanted,
                               ratoon__lineage **out, bool *is_tentative)
{
    ratoon__request *r = at->request;
    ratoon__tentative *t = tentative_find(g, r->lineage);
    *is_tentative = t != NULL;
    if (t != NULL) {
        at->behind = t->append;
        const ratoon_status status = tentative_fold(g, t, r->error);
        if (status == RATOON_OK) {
            *out = ratoon__lineage_ref(t->lineage);
        }
        return status;
    }
    if (r->fresh) {
        *out = ratoon__lineage_new(r->lineage);
        return *out != NULL ? RATOON_OK : RATOON_ERR_NO_MEMORY;
    }
    return ratoon__projection_load(g->store, g->driver, r->lineage, fresh_wanted, out, r->error);
}

static bool comes_after(const ratoon__commit *c, uint64_t number, const ratoon_digest *digest)
{
    return c->number == number + 1 && memcmp(&c->previous, digest, sizeof *digest) == 0;
}

/* Behind the group's last commit of the lineage. */
static bool made_ahead_chained(ratoon__commit_group *g, ratoon__commit_slot *at,
                               ratoon__tentative *t)
{
    ratoon__request *r = at->request;
    ratoon__commit_slot *last = t->unfolded != NULL ? t->unfolded_last : NULL;
    if (last != NULL && slot_digest(g, last) != RATOON_OK) {
        return false;
    }
    const bool fits =
        last != NULL ? comes_after(&r->ahead.commit, last->commit.number, &last->digest)
                     : comes_after(&r->ahead.commit, t->lineage->head, &t->lineage->head_digest);
    if (!fits) {
        return false;
    }
    slot_append(g, at, &r->ahead, r->ahead.failure);
    g->appends[at->append].rests_on = (uint32_t)(at->append - t->append);
    if (last != NULL) {
        last->next_unfolded = at;
    } else {
        t->unfolded = at;
    }
    t->unfolded_last = at;
    t->append = at->append;
    at->from_tentative = true;
    return true;
}

/* Takes the commit that was made ahead, where it comes after what is there now. */
static bool made_ahead_taken(ratoon__commit_group *g, ratoon__commit_slot *at)
{
    ratoon__request *r = at->request;
    if (r->ahead.commit.number == 0) {
        return false;
    }
    ratoon__tentative *t = tentative_find(g, r->lineage);
    if (t != NULL) {
        return made_ahead_chained(g, at, t);
    }
    ratoon__lineage *before = ratoon__projection_cached(g->store, r->lineage);
    const bool fits =
        before != NULL && comes_after(&r->ahead.commit, before->head, &before->head_digest);
    if (fits) {
        slot_append(g, at, &r->ahead, r->ahead.failure);
        tentative_set(g, before, at, at->append);
    }
    ratoon__lineage_unref(before);
    return fits;
}

void ratoon__slot_decide(ratoon__commit_group *g, ratoon__commit_slot *at)
{
    ratoon__request *r = at->request;
    r->ahead_taken = made_ahead_taken(g, at);
    r->ahead.commit.number = 0;
    if (r->ahead_taken) {
        r->status = RATOON_OK;
        return;
    }
    for (int fresh = r->tries > 0; fresh <= 1; fresh++) {
        ratoon__lineage *before = NULL;
        bool is_tentative = false;
        ratoon__facts facts;
        r->status = before_of(g, at, fresh != 0, &before, &is_tentative);
        if (r->status != RATOON_OK) {
            at->from_tentative = is_tentative;
            return;
        }
        ratoon__arena_reset(r->arena);
        ratoon__decision d = {.arena = r->arena};
        ratoon__facts_of(g->store, before, &facts);
        r->driver = g->driver;
        r->status =
            r->decide(r, r->fresh && before->head == 0 ? NULL : before, &facts, &d, r->error);
        if (r->status == RATOON_OK && d.count > 0) {
            r->status = commit_build(g, at, before, &d, facts.now_us);
            if (r->status == RATOON_OK) {
                if (is_tentative) {
                    g->appends[at->append].rests_on =
                        (uint32_t)(at->append - tentative_find(g, r->lineage)->append);
                }
                const bool folded = at->after != NULL;
                tentative_set(g, folded ? at->after : before, folded ? NULL : at, at->append);
            }
        }
        bool final = at->appended || is_tentative || r->fresh;
        ratoon__lineage_unref(before);
        if (final) {
            at->from_tentative = is_tentative;
            return;
        }
    }
}
