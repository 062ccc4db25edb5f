/* Commits made ahead of requests in flight. One thread commits for all, and if it also decided,
 * encoded and digested what queues submit, it would be what everybody waits for while other
 * processors have nothing to do. So whoever submits a request does that, behind what the queue has
 * in flight for the same lineage: the place that lineage will be at is kept, as a projection that
 * nobody else sees. The committer takes such a commit where it follows, by number and digest, what
 * is there then, and else decides anew as if nothing had been made: somebody else changed the
 * lineage, or a request before was refused. Then nothing more is made ahead for the lineage until
 * nothing of it is in flight. */
#include "log/async_ahead.h"

#include "log/slots.h"

enum {
    LOOKED_AT = 4,      /* places, for one lineage */
    CROWDED_SHARE = 16, /* how much of `crowded` one request is */
    CROWDED_MIN = RATOON__CROWDED_ALL / 4,
    RUNS_MAX = 32, /* of a lineage whose projection is copied for that */
};

static bool is_free(ratoon__tip *t)
{
    return atomic_load_explicit(&t->in_flight, memory_order_acquire) == 0;
}

static void forget(ratoon__tip *t)
{
    ratoon__lineage_unref(t->after);
    t->after = NULL;
}

/* The place of a lineage, or a free one; NULL: those that may be used are others'. */
static ratoon__tip *place_of(ratoon__tips *tips, const ratoon_id *lineage)
{
    ratoon__tip *unused = NULL;
    const uint64_t hash = ratoon__hash(lineage, sizeof *lineage);
    for (unsigned i = 0; i < LOOKED_AT; i++) {
        ratoon__tip *t = &tips->places[(hash + i) % RATOON__TIPS];
        if (is_free(t)) {
            unused = unused == NULL ? t : unused;
        } else if (ratoon_id_equal(t->lineage, *lineage)) {
            return t;
        }
    }
    return unused;
}

void ratoon__tips_init(ratoon__tips *tips)
{
    pthread_mutex_init(&tips->lock, NULL);
    tips->crowded = RATOON__CROWDED_ALL;
}

static void note_crowded(ratoon__tips *tips, bool crowded)
{
    tips->crowded -= tips->crowded / CROWDED_SHARE;
    tips->crowded += crowded ? RATOON__CROWDED_ALL / CROWDED_SHARE : 0;
}

/* Where nothing is in flight, what is known of the lineage is in the cache. A projection beside
 * that one is a copy, and has the committer copy what it would change in place: it pays only where
 * more requests of the lineage come while this one is in flight. */
static void begin(ratoon_store *s, ratoon__tips *tips, ratoon__tip *t, ratoon__request *r)
{
    ratoon__lineage *before = ratoon__projection_cached(s, r->lineage);
    const bool made = before != NULL && ratoon__commit_make_on(s, r, before, true);
    const bool goes_on =
        made && tips->crowded >= CROWDED_MIN && before->runs_count <= RUNS_MAX &&
        ratoon__fold_into(&before, &r->ahead.commit, &r->ahead.digest, NULL) == RATOON_OK;
    forget(t);
    t->lineage = r->lineage;
    if (goes_on) {
        t->after = before;
    } else {
        ratoon__lineage_unref(before);
    }
    atomic_store(&t->spoiled, false);
}

static void go_on(ratoon_store *s, ratoon__tip *t, ratoon__request *r)
{
    const bool made =
        ratoon__commit_make_on(s, r, t->after, true) &&
        ratoon__fold_into(&t->after, &r->ahead.commit, &r->ahead.digest, NULL) == RATOON_OK;
    if (!made) {
        forget(t);
    }
}

void ratoon__tips_make_ahead(ratoon_store *s, ratoon__tips *tips, ratoon__request *r)
{
    pthread_mutex_lock(&tips->lock);
    ratoon__tip *t = place_of(tips, &r->lineage);
    if (t != NULL) {
        const bool first = is_free(t);
        note_crowded(tips, !first);
        if (first) {
            begin(s, tips, t, r);
        } else if (t->after != NULL && !atomic_load(&t->spoiled)) {
            go_on(s, t, r);
        }
        r->tip = t;
        atomic_fetch_add(&t->in_flight, 1);
    }
    pthread_mutex_unlock(&tips->lock);
}

void ratoon__tip_answered(ratoon__tips *tips, const ratoon__request *r)
{
    ratoon__tip *t = r->tip;
    if (t == NULL) {
        return;
    }
    if (!r->ahead_taken || r->status != RATOON_OK) {
        atomic_store(&t->spoiled, true);
    }
    if (atomic_fetch_sub(&t->in_flight, 1) == 1) {
        pthread_mutex_lock(&tips->lock);
        if (is_free(t)) {
            forget(t);
        }
        pthread_mutex_unlock(&tips->lock);
    }
}

void ratoon__tips_free(ratoon__tips *tips)
{
    for (size_t i = 0; i < RATOON__TIPS; i++) {
        forget(&tips->places[i]);
    }
    pthread_mutex_destroy(&tips->lock);
}
