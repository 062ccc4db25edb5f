/* Makes commits of decisions: by the committer, or ahead of it by the caller that waits for it. */
#include "log/store_impl.h"

#include <stdlib.h>

enum {
    FOLDED_LATER_MAX = 64,     /* events: readers of projections wait for that */
    DIGESTED_LATER_MAX = 2048, /* bytes: a group waits for that, and long ones gain nothing */
};

void ratoon__facts_of(ratoon_store *s, const ratoon__lineage *before, ratoon__facts *facts)
{
    uint64_t now = ratoon_store_now(s);
    *facts = (ratoon__facts){
        .now_us =
            before != NULL && before->last_time_us > now ? before->last_time_us : now, /* L13 */
        .actor = s->actor,
        .executor = s->executor,
        .store_max_depth = s->options.max_depth,
    };
}

bool ratoon__decision_folds_later(const ratoon__lineage *before, const ratoon__decision *d)
{
    return d->count <= FOLDED_LATER_MAX && ratoon__events_quiet(before, d->events, d->count);
}

ratoon_status ratoon__commit_make(ratoon_store *s, ratoon__encoder *encoder,
                                  const ratoon__request *r, const ratoon__lineage *before,
                                  const ratoon__decision *d, uint64_t now_us, bool keep,
                                  ratoon__made *out)
{
    const ratoon__commit commit = {
        .id = ratoon__store_new_id(s),
        .lineage = r->lineage,
        .number = before->head + 1,
        .first_event = before->events + 1,
        .time_us = now_us,
        .previous = before->head_digest,
        .writer = s->writer,
        .events = d->events,
        .events_count = d->count,
    };
    const void *data;
    size_t size;
    ratoon_status status = ratoon__commit_encode(encoder, &commit, &data, &size, r->error);
    if (status == RATOON_OK && keep) {
        data = ratoon__arena_memdup(r->arena, data, size);
        status = data != NULL ? RATOON_OK : RATOON_ERR_NO_MEMORY;
    }
    if (status == RATOON_OK) {
        out->commit = commit;
        out->data = data;
        out->size = size;
        out->digested = false;
    }
    return status;
}

static ratoon_status made_digest(ratoon__made *m)
{
    const ratoon_status status = ratoon__sha256(m->data, m->size, &m->digest);
    m->digested = status == RATOON_OK;
    return status;
}

/* ---- ahead ---- */

static ratoon__encoder *encoder_take(ratoon__commit_queue *q)
{
    for (size_t i = 0; i < RATOON__ENCODERS; i++) {
        ratoon__encoder *e = atomic_exchange(&q->encoders[i], NULL);
        if (e != NULL) {
            return e;
        }
    }
    return ratoon__encoder_new();
}

static void encoder_give_back(ratoon__commit_queue *q, ratoon__encoder *e)
{
    for (size_t i = 0; i < RATOON__ENCODERS; i++) {
        ratoon__encoder *none = NULL;
        if (atomic_compare_exchange_strong(&q->encoders[i], &none, e)) {
            return;
        }
    }
    ratoon__encoder_free(e);
}

bool ratoon__commit_make_on(ratoon_store *s, ratoon__request *r, const ratoon__lineage *before,
                            bool digest)
{
    ratoon__encoder *encoder = encoder_take(&s->queue);
    if (encoder == NULL) {
        return false;
    }
    ratoon__decision d = {.arena = r->arena};
    ratoon__facts facts;
    ratoon_error *error = r->error;
    r->error = NULL; /* whatever goes wrong, the committer says so */
    ratoon__facts_of(s, before, &facts);
    const bool made =
        r->decide(r, before, &facts, &d, NULL) == RATOON_OK && d.count > 0 &&
        ratoon__decision_folds_later(before, &d) &&
        ratoon__commit_make(s, encoder, r, before, &d, facts.now_us, true, &r->ahead) ==
            RATOON_OK &&
        ((!digest && r->ahead.size <= DIGESTED_LATER_MAX) || made_digest(&r->ahead) == RATOON_OK);
    r->ahead.failure = ratoon__decision_has_failure(&d);
    if (!made) {
        r->ahead.commit.number = 0;
    }
    r->error = error;
    encoder_give_back(&s->queue, encoder);
    return made;
}

void ratoon__commit_make_ahead(ratoon_store *s, ratoon__request *r)
{
    ratoon__lineage *before = ratoon__projection_cached(s, r->lineage);
    if (before != NULL) {
        (void)ratoon__commit_make_on(
            s, r, before, !atomic_load_explicit(&s->queue.digests_later, memory_order_relaxed));
    }
    ratoon__lineage_unref(before);
}
