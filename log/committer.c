/* The committer: decides each request of a group against the projection as the ones before leave
 * it, writes one batch, and syncs once. An answer, a refusal included, is given only after the sync
 * of what it rests on. Who does this, and for whom: commit_queue.c. */
#include "log/points.h"
#include "log/store_impl.h"

#include <stdlib.h>
#include <string.h>

/* One commit of the group. */
typedef struct slot {
    ratoon__request *request;
    ratoon__lineage *after; /* NULL where it is folded in only once it is acknowledged */
    ratoon__commit commit;  /* what it points to lives in the request's arena */
    ratoon_digest digest;
    bool appended;       /* it has an entry in `appends` */
    bool from_tentative; /* decided on top of a commit of this group */
    size_t append;
} slot;

/* A projection changed by this group and not yet acknowledged. */
typedef struct tentative {
    ratoon__lineage *lineage; /* NULL: a free place */
    slot *unfolded;           /* the group's last one for it where it isn't folded in yet */
    size_t append;            /* the group's last one for it */
} tentative;

typedef struct group {
    ratoon_store *store;
    ratoon__driver *driver;
    ratoon__encoder *encoder;
    slot *slots;
    size_t count;
    ratoon__append *appends;
    size_t appends_count;
    tentative *tentatives; /* open addressing by lineage, never more than half full */
    size_t tentatives_mask;
    bool sync;
} group;

/* The place of a lineage among the tentative ones: its own, or a free one. */
static tentative *tentative_place(const group *g, ratoon_id lineage)
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

static tentative *tentative_find(const group *g, ratoon_id lineage)
{
    tentative *t = tentative_place(g, lineage);
    return t->lineage != NULL ? t : NULL;
}

/* unfolded: `lineage` is what the commit of this slot comes after; NULL: it is in it. */
static void tentative_set(const group *g, const ratoon__lineage *lineage, slot *unfolded,
                          size_t append)
{
    tentative *t = tentative_place(g, lineage->id);
    ratoon__lineage_unref(t->lineage);
    t->lineage = ratoon__lineage_ref(lineage);
    t->unfolded = unfolded;
    t->append = append;
}

/* Most commits are the only one of their lineage in a group: those are folded in once they are
 * acknowledged, in place where nobody looks. Only what another request is to be judged by has to be
 * there before: it is folded into a copy, which is the group's own from then on. */
static ratoon_status tentative_fold(tentative *t, ratoon_error *error)
{
    if (t->unfolded == NULL) {
        return RATOON_OK;
    }
    const slot *at = t->unfolded;
    ratoon_status status = ratoon__fold_into(&t->lineage, &at->commit, &at->digest, error);
    if (status == RATOON_OK || t->lineage == NULL) {
        t->unfolded = NULL; /* where it is gone, the log's head refuses what is judged without it */
    }
    return status;
}

/* Before what is acknowledged is published: references would have it copied. */
static void tentatives_free(const group *g)
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
static ratoon_status commit_effects(slot *at, const ratoon__lineage *before,
                                    const ratoon__decision *d, ratoon__append *a)
{
    ratoon__request *r = at->request;
    ratoon__claim *claims = NULL;
    size_t claims_count = 0;
    ratoon_status status = ratoon__fold(before, &at->commit, &at->digest, &at->after, r->error);
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
static void slot_append(group *g, slot *at, const ratoon__made *made, bool syncs)
{
    const ratoon__request *r = at->request;
    at->commit = made->commit;
    at->digest = made->digest;
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
static ratoon_status commit_build(group *g, slot *at, const ratoon__lineage *before,
                                  const ratoon__decision *d, uint64_t now_us)
{
    ratoon__request *r = at->request;
    ratoon__made made;
    ratoon_status status =
        ratoon__commit_make(g->store, g->encoder, r, before, d, now_us, g->count > 1, &made);
    if (status != RATOON_OK) {
        return status;
    }
    slot_append(g, at, &made, ratoon__decision_has_failure(d));
    if (!ratoon__decision_folds_later(d)) {
        status = commit_effects(at, before, d, &g->appends[at->append]);
    }
    if (status != RATOON_OK) {
        at->appended = false;
        g->appends_count--;
    }
    return status;
}

/* The projection a request is judged by: the group's, else the cached, else loaded. */
static ratoon_status before_of(group *g, ratoon__request *r, bool fresh_wanted,
                               ratoon__lineage **out, bool *is_tentative)
{
    tentative *t = tentative_find(g, r->lineage);
    *is_tentative = t != NULL;
    if (t != NULL) {
        const ratoon_status status = tentative_fold(t, r->error);
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

/* Takes the commit that the caller made ahead, where it comes after what is there now. */
static bool made_ahead_taken(group *g, slot *at)
{
    ratoon__request *r = at->request;
    ratoon__lineage *before = NULL;
    const ratoon__commit *c = &r->ahead.commit;
    if (c->number == 0 || tentative_find(g, r->lineage) != NULL) {
        return false;
    }
    before = ratoon__projection_cached(g->store, r->lineage);
    const bool fits = before != NULL && before->head + 1 == c->number &&
                      memcmp(&before->head_digest, &c->previous, sizeof c->previous) == 0;
    if (fits) {
        slot_append(g, at, &r->ahead, r->ahead.failure);
        tentative_set(g, before, at, at->append);
        r->status = RATOON_OK;
    }
    ratoon__lineage_unref(before);
    return fits;
}

/* Decides one request; where it was refused on a projection that may be behind (another process
 * appends too), or has nothing to do, once more on a fresh one: only an append is checked against
 * the head. */
static void request_decide(group *g, slot *at)
{
    ratoon__request *r = at->request;
    const bool taken = made_ahead_taken(g, at);
    r->ahead.commit.number = 0;
    for (int fresh = r->tries > 0; !taken && fresh <= 1; fresh++) {
        ratoon__lineage *before = NULL;
        bool is_tentative = false;
        ratoon__facts facts;
        r->status = before_of(g, r, fresh != 0, &before, &is_tentative);
        if (r->status != RATOON_OK) {
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

/* Takes over the driver's answer for one request. True: it has to be decided again. */
static bool request_settle(group *g, slot *at)
{
    ratoon__request *r = at->request;
    if (!at->appended) {
        return false;
    }
    const ratoon__append *a = &g->appends[at->append];
    r->status = a->status;
    if (a->status == RATOON_OK) {
        if (at->after != NULL) {
            ratoon__projection_publish(g->store, g->driver, at->after, a->size);
        } else {
            ratoon__projection_advance(g->store, g->driver, &at->commit, &at->digest, a->size);
        }
        for (size_t i = 0; !a->erase && i < a->rows_count; i++) {
            ratoon__root_remember(g->store, a->rows[i].run, r->lineage);
        }
        r->after = at->after;
        at->after = NULL;
        return false;
    }
    ratoon__lineage_unref(at->after);
    at->after = NULL;
    if (a->status == RATOON_ERR_CLAIMED) {
        const char *name = a->claims[a->claim].name;
        r->claimed_key = strncmp(name, "key:", 4) == 0;
        r->claim_holder = a->holder;
        (void)ratoon__fail(r->error, RATOON_ERR_CLAIMED, "%s is held by another run", name);
        return false;
    }
    return a->status == RATOON_ERR_CONFLICT && ++r->tries < RATOON__CONFLICTS_MAX;
}

/* ---- the memory of a group ---- */

struct ratoon__group_space {
    size_t capacity; /* a power of two */
    slot *slots;
    ratoon__append *appends;
    tentative *tentatives;
    ratoon_error error; /* of requests that bring none */
};

void ratoon__group_space_free(ratoon__group_space *space)
{
    if (space != NULL) {
        free(space->slots);
        free(space->appends);
        free(space->tentatives);
        free(space);
    }
}

static bool group_space_reserve(ratoon__group_space **space, size_t count)
{
    if (*space != NULL && (*space)->capacity >= count) {
        return true;
    }
    ratoon__group_space *larger = calloc(1, sizeof *larger);
    if (larger == NULL) {
        return false;
    }
    for (larger->capacity = 1; larger->capacity < count;) {
        larger->capacity *= 2;
    }
    larger->slots = calloc(larger->capacity, sizeof *larger->slots);
    larger->appends = calloc(larger->capacity, sizeof *larger->appends);
    larger->tentatives = calloc(2 * larger->capacity, sizeof *larger->tentatives);
    if (larger->slots == NULL || larger->appends == NULL || larger->tentatives == NULL) {
        ratoon__group_space_free(larger);
        return false;
    }
    ratoon__group_space_free(*space);
    *space = larger;
    return true;
}

static group group_begin(ratoon_store *s, ratoon__driver *d, ratoon__encoder *encoder,
                         ratoon__group_space *space, size_t count)
{
    size_t places = 2;
    while (places < 2 * count) {
        places *= 2;
    }
    memset(space->slots, 0, count * sizeof *space->slots);
    memset(space->tentatives, 0, places * sizeof *space->tentatives);
    return (group){.store = s,
                   .driver = d,
                   .encoder = encoder,
                   .count = count,
                   .slots = space->slots,
                   .appends = space->appends,
                   .tentatives = space->tentatives,
                   .tentatives_mask = places - 1,
                   .sync = s->options.durability == RATOON_DURABILITY_SYNC};
}

/* ---- errors ---- */

void ratoon__request_finish_error(ratoon__request *r)
{
    if (r->status == RATOON_ERR_CONFLICT) {
        (void)ratoon__fail(r->error, RATOON_ERR_CONFLICT,
                           "the lineage kept changing; gave up after %u attempts",
                           (uint32_t)RATOON__CONFLICTS_MAX);
    } else if (r->status == RATOON_ERR_NO_MEMORY) {
        (void)ratoon__fail(r->error, RATOON_ERR_NO_MEMORY, "out of memory");
    } else if (r->status != RATOON_OK && r->error != NULL && r->error->code != r->status) {
        (void)ratoon__fail(r->error, r->status, "%s", ratoon_status_text(r->status));
    }
}

/* An error is large, and a request of a queue seldom needs one: it is lent one for as long as it is
 * looked at, and keeps a copy where it was refused. */
static void error_lend(ratoon__group_space *space, ratoon__request *r)
{
    if (r->async != NULL) {
        free(r->error);
        r->error = &space->error;
        r->error->code = RATOON_OK;
    }
}

static void error_keep(ratoon__request *r)
{
    if (r->async == NULL) {
        return;
    }
    ratoon_error *kept = NULL;
    if (r->status != RATOON_OK) {
        ratoon__request_finish_error(r);
        kept = malloc(sizeof *kept);
        if (kept != NULL) {
            *kept = *r->error;
        }
    }
    r->error = kept;
}

/* ---- a group ---- */

static void group_out_of_memory(ratoon__request *list)
{
    for (ratoon__request *r = list; r != NULL; r = r->next) {
        if (r->async != NULL) { /* what it was refused with before it had to be decided again */
            free(r->error);
            r->error = NULL;
        }
        r->status = ratoon__fail(r->error, RATOON_ERR_NO_MEMORY, "out of memory");
        r->settled = true;
    }
}

/* What became of a request, once the group was written or failed to be. True: it has to be decided
 * again. *undone: a commit that later requests of the group were judged by was refused. */
static bool slot_end(ratoon_store *s, group *g, slot *at, ratoon_status written,
                     const ratoon_error *failure, bool *undone)
{
    ratoon__request *r = at->request;
    if (written != RATOON_OK) {
        if (at->appended || at->from_tentative) {
            ratoon__lineage_unref(at->after);
            ratoon__projection_forget(s, r->lineage);
            r->status = written;
            if (r->error != NULL) {
                *r->error = *failure;
            }
        }
        return false;
    }
    const bool repeat = request_settle(g, at) || (!at->appended && at->from_tentative && *undone);
    *undone = *undone || (at->appended && r->status != RATOON_OK);
    return repeat;
}

ratoon__request *ratoon__group_commit(ratoon_store *s, ratoon__driver *d, ratoon__encoder *encoder,
                                      ratoon__group_space **space, ratoon__request *list,
                                      size_t count, bool *appended)
{
    ratoon__request *again = NULL, **again_last = &again;
    ratoon_error failure;
    *appended = false;
    if (!group_space_reserve(space, count)) {
        group_out_of_memory(list);
        return NULL;
    }
    group g = group_begin(s, d, encoder, *space, count);
    size_t n = 0;
    for (ratoon__request *r = list; r != NULL; r = r->next, n++) {
        r->settled = false;
        g.slots[n].request = r;
        error_lend(*space, r);
        request_decide(&g, &g.slots[n]);
        error_keep(r);
    }
    ratoon_status status = RATOON_OK;
    failure.code = RATOON_OK;
    if (g.appends_count > 0) {
        *appended = true;
        status = d->ops->append(d, g.appends, g.appends_count, g.sync, &failure);
        if (status != RATOON_OK && failure.code != status) {
            (void)ratoon__fail(&failure, status, "%s", ratoon_status_text(status));
        }
    }
    ratoon__at(RATOON__POINT_COMMIT_ANSWER);
    tentatives_free(&g);
    bool undone = false;
    for (n = 0; n < count; n++) {
        ratoon__request *r = g.slots[n].request;
        const bool refused = r->status != RATOON_OK; /* and may stay so, with its error */
        if (!refused) {
            error_lend(*space, r);
        }
        const bool repeat = slot_end(s, &g, &g.slots[n], status, &failure, &undone);
        if (!refused) {
            error_keep(r);
        }
        r->settled = !repeat;
        if (repeat) {
            *again_last = r;
            again_last = &r->next;
        }
    }
    /* `next` of what goes round again was rewired above while walking slots, not the list. */
    *again_last = NULL;
    return again;
}

ratoon_status ratoon__commit_direct(ratoon_store *s, ratoon__driver *d, ratoon__request *r)
{
    /* Beside the committer, whose role may be taken by the very call that led here (a change of
     * owner): the expected head keeps the two apart, and the encoder is its own. */
    ratoon__encoder *encoder = ratoon__encoder_new();
    ratoon__group_space *space = NULL;
    bool appended;
    if (encoder == NULL) {
        return ratoon__fail(r->error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    r->tries = 0;
    r->after = NULL;
    do {
        r->next = NULL;
    } while (ratoon__group_commit(s, d, encoder, &space, r, 1, &appended) != NULL);
    ratoon__encoder_free(encoder);
    ratoon__group_space_free(space);
    ratoon__request_finish_error(r);
    return r->status;
}
