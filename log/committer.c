/* The committer: has each request of a group decided against the projection as the ones before
 * leave it (commit_decide.c), writes one batch, and syncs once. An answer, a refusal included, is
 * given only after the sync of what it rests on. Who does this, and for whom: commit_queue.c. */
#include "log/commit_group.h"
#include "log/monotonic.h"
#include "log/points.h"

#include <stdlib.h>
#include <string.h>

/* Takes over the driver's answer for one request. True: it has to be decided again. */
static bool request_settle(ratoon__commit_group *g, ratoon__commit_slot *at)
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
    ratoon__commit_slot *slots;
    ratoon__append *appends;
    ratoon__tentative *tentatives;
    ratoon__digest_job *digests;
    ratoon_error error; /* of requests that bring none */
};

void ratoon__group_space_free(ratoon__group_space *space)
{
    if (space != NULL) {
        free(space->slots);
        free(space->appends);
        free(space->tentatives);
        free(space->digests);
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
    larger->digests = calloc(larger->capacity, sizeof *larger->digests);
    if (larger->slots == NULL || larger->appends == NULL || larger->tentatives == NULL ||
        larger->digests == NULL) {
        ratoon__group_space_free(larger);
        return false;
    }
    ratoon__group_space_free(*space);
    *space = larger;
    return true;
}

static ratoon__commit_group group_begin(ratoon_store *s, ratoon__driver *d,
                                        ratoon__encoder *encoder, ratoon__group_space *space,
                                        size_t count)
{
    size_t places = 2;
    while (places < 2 * count) {
        places *= 2;
    }
    memset(space->slots, 0, count * sizeof *space->slots);
    memset(space->tentatives, 0, places * sizeof *space->tentatives);
    return (ratoon__commit_group){.store = s,
                                  .driver = d,
                                  .encoder = encoder,
                                  .count = count,
                                  .slots = space->slots,
                                  .appends = space->appends,
                                  .tentatives = space->tentatives,
                                  .digests = space->digests,
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

/* Those that nobody had to look at yet. */
static ratoon_status digests_make(ratoon__commit_group *g)
{
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++) {
        const ratoon__commit_slot *at = &g->slots[i];
        if (at->appended && !at->digested) {
            const ratoon__append *a = &g->appends[at->append];
            g->digests[count++] = (ratoon__digest_job){.data = a->data, .size = a->size};
        }
    }
    const ratoon_status status = ratoon__sha256_many(g->digests, count);
    size_t made = 0;
    for (size_t i = 0; status == RATOON_OK && i < g->count; i++) {
        ratoon__commit_slot *at = &g->slots[i];
        if (at->appended && !at->digested) {
            at->digest = g->digests[made++].digest;
            at->digested = true;
        }
    }
    return status;
}

/* What became of a request, once the group was written or failed to be. True: it has to be decided
 * again. */
static bool slot_end(ratoon_store *s, ratoon__commit_group *g, ratoon__commit_slot *at,
                     ratoon_status written, const ratoon_error *failure)
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
    return request_settle(g, at) ||
           (!at->appended && at->from_tentative && g->appends[at->behind].status != RATOON_OK);
}

ratoon__request *ratoon__group_commit(ratoon_store *s, ratoon__driver *d, ratoon__encoder *encoder,
                                      ratoon__group_space **space, ratoon__request *list,
                                      size_t count, uint64_t *sync_ns)
{
    ratoon__request *again = NULL, **again_last = &again;
    ratoon_error failure;
    *sync_ns = 0;
    if (!group_space_reserve(space, count)) {
        group_out_of_memory(list);
        return NULL;
    }
    ratoon__commit_group g = group_begin(s, d, encoder, *space, count);
    size_t n = 0;
    for (ratoon__request *r = list; r != NULL; r = r->next, n++) {
        r->settled = false;
        g.slots[n].request = r;
        error_lend(*space, r);
        ratoon__slot_decide(&g, &g.slots[n]);
        error_keep(r);
    }
    ratoon_status status = digests_make(&g);
    failure.code = RATOON_OK;
    if (status != RATOON_OK) {
        (void)ratoon__fail(&failure, status, "%s", ratoon_status_text(status));
    } else if (g.appends_count > 0) {
        const uint64_t begin_ns = g.sync ? ratoon__monotonic_ns() : 0;
        status = d->ops->append(d, g.appends, g.appends_count, g.sync, &failure);
        if (g.sync) { /* over a socket only the whole is known */
            *sync_ns = g.appends[0].sync_ns != 0 ? g.appends[0].sync_ns
                                                 : ratoon__monotonic_ns() - begin_ns;
        }
        if (status != RATOON_OK && failure.code != status) {
            (void)ratoon__fail(&failure, status, "%s", ratoon_status_text(status));
        }
    }
    ratoon__at(RATOON__POINT_COMMIT_ANSWER);
    ratoon__tentatives_free(&g);
    for (n = 0; n < count; n++) {
        ratoon__request *r = g.slots[n].request;
        const bool refused = r->status != RATOON_OK; /* and may stay so, with its error */
        if (!refused) {
            error_lend(*space, r);
        }
        const bool repeat = slot_end(s, &g, &g.slots[n], status, &failure);
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
    uint64_t sync_ns;
    if (encoder == NULL) {
        return ratoon__fail(r->error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    r->tries = 0;
    r->after = NULL;
    do {
        r->next = NULL;
    } while (ratoon__group_commit(s, d, encoder, &space, r, 1, &sync_ns) != NULL);
    ratoon__encoder_free(encoder);
    ratoon__group_space_free(space);
    ratoon__request_finish_error(r);
    return r->status;
}
