/* The projection of a lineage as it was right after one of its events: the nearest snapshot before
 * it, or what is kept of an earlier question (past_kept.c), and the commits from there folded in.
 */
#include "log/store_impl.h"

enum {
    NEAR = 16,         /* so many commits are folded as quickly as one more is looked at */
    WORTH_KEEPING = 8, /* commits that it took to get there */
};

/* ---- where an event is ---- */

typedef struct peeked {
    uint64_t first_event; /* 0: there is no such commit */
    ratoon_status status;
    ratoon_error *error;
} peeked;

static bool peek_one(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                     const void *data, size_t size)
{
    peeked *p = ctx;
    ratoon__commit head;
    (void)position;
    (void)lineage;
    (void)number;
    p->status = ratoon__commit_peek(data, size, &head, p->error);
    p->first_event = p->status == RATOON_OK ? head.first_event : 0;
    return false;
}

/* Every commit has one event at least, which bounds the place from both sides: exactly, as long as
 * no commit in between has more. */
static void narrow(ratoon__past_range *r, uint64_t event)
{
    if (event - r->low_event < r->high - r->low) {
        r->high = r->low + (event - r->low_event);
    }
    if (r->end_event - event < r->end - r->low) {
        const uint64_t low = r->end - (r->end_event - event);
        if (low > r->high) {
            r->low = r->high; /* of a log that contradicts itself; folding finds out */
        } else if (low > r->low) {
            r->low_event += low - r->low;
            r->low = low;
        }
    }
}

/* A commit to look at, behind `low`: by how many events a commit has on average, and every other
 * time by halves, so that no log can make it many. */
static uint64_t guess(const ratoon__past_range *r, uint64_t event, unsigned tries)
{
    const uint64_t half = (r->high - r->low + 1) / 2;
    if (tries % 2 == 1) {
        return r->low + half;
    }
    const double share = (double)(event - r->low_event) / (double)(r->end_event - r->low_event);
    const double behind = share * (double)(r->end - r->low);
    if (!(behind >= 1)) {
        return r->low + 1;
    }
    return behind >= (double)(r->high - r->low) ? r->high : r->low + (uint64_t)behind;
}

static ratoon_status look(ratoon_store *s, ratoon_id root, uint64_t event, uint64_t number,
                          ratoon__past_range *r, ratoon_error *error)
{
    peeked p = {.error = error};
    const ratoon_status status =
        s->driver->ops->read(s->driver, root, number, true, false, peek_one, &p, error);
    if (status != RATOON_OK || p.status != RATOON_OK) {
        return status != RATOON_OK ? status : p.status;
    }
    /* What can't be there is passed by: of a log that is damaged, or of a lineage that was deleted
     * meanwhile, folding tells. */
    if (p.first_event <= r->low_event || p.first_event >= r->end_event) {
        r->high = number - 1;
        return RATOON_OK;
    }
    if (p.first_event <= event) {
        r->low = number;
        r->low_event = p.first_event;
    } else {
        r->high = number - 1;
        r->end = number;
        r->end_event = p.first_event;
    }
    return RATOON_OK;
}

/* A few commits, one of which holds the event. */
static ratoon_status find(ratoon_store *s, ratoon_id root, uint64_t event, ratoon__past_range *r,
                          ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    narrow(r, event);
    for (unsigned tries = 0; status == RATOON_OK && r->high - r->low > NEAR; tries++) {
        status = look(s, root, event, guess(r, event, tries), r, error);
        if (status == RATOON_OK) {
            narrow(r, event);
        }
    }
    return status;
}

/* ---- folding up to it ---- */

typedef struct past {
    ratoon_store *store;
    ratoon__lineage *lineage;
    uint64_t event;
    uint64_t upto;  /* there is no snapshot after the one it began with, up to this commit */
    size_t size;    /* of that snapshot, and of the commits since */
    unsigned count; /* of these */
    ratoon__arena arena;
    ratoon_status status;
    ratoon_error *error;
} past;

/* The commit that holds the event: head and digest stay those of the commit before. */
static ratoon_status fold_last(past *p, const ratoon__commit *commit)
{
    const size_t events = (size_t)(p->event - commit->first_event + 1);
    ratoon__lineage *next = NULL;
    if (p->count >= WORTH_KEEPING) {
        ratoon__past_keep(p->store, p->lineage, p->upto, p->size);
    }
    const ratoon_status status = ratoon__fold_part(p->lineage, commit, events, &next, p->error);
    if (status == RATOON_OK) {
        /* Whether the chain holds is for verification to say. */
        next->head_digest = commit->previous;
        ratoon__lineage_unref(p->lineage);
        p->lineage = next;
    }
    return status;
}

static bool fold_one(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                     const void *data, size_t size)
{
    static const ratoon_digest unknown; /* it is in the next commit */
    past *p = ctx;
    ratoon__commit commit;
    (void)position;
    (void)lineage;
    (void)number;
    p->status =
        ratoon__decode(p->store, p->store->driver, data, size, &p->arena, &commit, p->error);
    if (p->status != RATOON_OK) {
        return false;
    }
    if (commit.first_event <= p->event && commit.events_count > p->event - commit.first_event) {
        p->status = fold_last(p, &commit);
    } else {
        p->status = ratoon__fold_into(&p->lineage, &commit, &unknown, p->error);
        p->size += size;
        p->count++;
    }
    ratoon__commit_release(&commit);
    ratoon__arena_reset(&p->arena);
    return p->status == RATOON_OK && p->lineage->events < p->event;
}

/* The newest snapshot at or before a commit, else an empty projection. */
static ratoon_status begin_at(past *p, ratoon_id root, uint64_t number)
{
    const ratoon_status status = ratoon__projection_from_snapshot(
        p->store, p->store->driver, root, number, &p->lineage, &p->size, p->error);
    if (status == RATOON_OK) {
        p->upto = number;
        ratoon__past_keep(p->store, p->lineage, number, p->size);
    }
    return status;
}

/* What is kept near the event, else the newest snapshot before it. */
static ratoon_status begin(past *p, const ratoon__lineage *now)
{
    ratoon__past_range r = {.low = 1,
                            .low_event = 1,
                            .high = now->head,
                            .end = now->head + 1,
                            .end_event = now->events + 1};
    p->lineage = ratoon__past_near(p->store, now->id, p->event, &p->upto, &r);
    if (p->lineage != NULL) {
        return RATOON_OK;
    }
    if (p->event <= RATOON__SNAPSHOT_EVENTS) {
        p->lineage = ratoon__lineage_new(now->id);
        return p->lineage != NULL ? RATOON_OK
                                  : ratoon__fail(p->error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    ratoon_status status = find(p->store, now->id, p->event, &r, p->error);
    if (status == RATOON_OK) {
        status = begin_at(p, now->id, r.high - 1);
    }
    if (status == RATOON_OK && p->lineage->events >= p->event) { /* there is one in between */
        ratoon__lineage_unref(p->lineage);
        p->lineage = NULL; /* what follows may fail */
        status = begin_at(p, now->id, r.low - 1);
    }
    return status;
}

static ratoon_status fold_to(ratoon_store *s, const ratoon__lineage *now, uint64_t event,
                             ratoon__lineage **out, ratoon_error *error)
{
    past p = {.store = s, .event = event, .error = error};
    ratoon_status status = begin(&p, now);
    if (status == RATOON_OK) {
        status = s->driver->ops->read(s->driver, now->id, p.lineage->head + 1, true, false,
                                      fold_one, &p, error);
        status = status != RATOON_OK ? status : p.status;
        ratoon__arena_free(&p.arena);
        if (status == RATOON_OK && p.lineage->events < event) {
            status = ratoon__fail(error, RATOON_ERR_DAMAGED, "lineage %I: no commit holds event %U",
                                  &now->id, event);
        }
    }
    if (status != RATOON_OK) {
        ratoon__lineage_unref(p.lineage);
        return status;
    }
    *out = p.lineage;
    return RATOON_OK;
}

ratoon_status ratoon__store_lineage_at(ratoon_store *s, const ratoon__lineage *now, uint64_t event,
                                       ratoon__lineage **out, ratoon_error *error)
{
    if (event == 0 || event > now->events) {
        return ratoon__fail(error, RATOON_ERR_USAGE,
                            "event %U is outside the lineage's history, which has events 1 to %U",
                            event, now->events);
    }
    if (event == now->events) {
        *out = ratoon__lineage_ref(now);
        return RATOON_OK;
    }
    return fold_to(s, now, event, out, error);
}
