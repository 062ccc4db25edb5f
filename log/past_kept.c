/* Projections of the past that are kept for whoever asks for an event near them: snapshots as they
 * were decoded, and what was folded on top of them up to an event that was asked for. They can't
 * grow old: nobody changes the past. What is kept is limited, and the least recently used goes. */
#include "log/store_impl.h"

#include <string.h>

static bool is_of(const ratoon__past_kept *k, const ratoon_id *root)
{
    return memcmp(&k->root, root, sizeof *root) == 0;
}

/* No snapshot is worth looking for: from one to the next it is as far as that, or there is none
 * between this and the event. */
static bool is_near(const ratoon__past_kept *k, uint64_t event)
{
    const uint64_t since = event - k->events; /* and no more commits than that */
    return since <= RATOON__SNAPSHOT_EVENTS || k->head + since - 1 <= k->upto;
}

/* The last one before an event; NULL: none. Caller holds the lock, here and below. */
static ratoon__past_kept *before_of(ratoon__past *p, const ratoon_id *root, uint64_t event)
{
    ratoon__past_kept *found = NULL;
    for (size_t i = 0; i < p->count; i++) {
        ratoon__past_kept *k = &p->items[i];
        if (k->events < event && is_of(k, root) && (found == NULL || k->events > found->events)) {
            found = k;
        }
    }
    return found;
}

static const ratoon__past_kept *behind_of(const ratoon__past *p, const ratoon_id *root,
                                          uint64_t event)
{
    const ratoon__past_kept *found = NULL;
    for (size_t i = 0; i < p->count; i++) {
        const ratoon__past_kept *k = &p->items[i];
        if (k->events >= event && is_of(k, root) && (found == NULL || k->events < found->events)) {
            found = k;
        }
    }
    return found;
}

ratoon__lineage *ratoon__past_near(ratoon_store *s, ratoon_id root, uint64_t event, uint64_t *upto,
                                   ratoon__past_range *range)
{
    ratoon__past *p = &s->past;
    ratoon__lineage *found = NULL;
    pthread_mutex_lock(&p->lock);
    ratoon__past_kept *k = before_of(p, &root, event);
    if (k != NULL && is_near(k, event)) {
        k->used = ++p->clock;
        *upto = k->upto;
        found = ratoon__lineage_ref(k->lineage);
    } else {
        const ratoon__past_kept *behind = behind_of(p, &root, event);
        if (k != NULL) {
            range->low = k->head + 1;
            range->low_event = k->events + 1;
        }
        if (behind != NULL) {
            range->high = behind->head;
            range->end = behind->head + 1;
            range->end_event = behind->events + 1;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

static ratoon__lineage *take_out(ratoon__past *p, size_t i)
{
    ratoon__lineage *l = p->items[i].lineage;
    p->bytes -= p->items[i].size;
    p->items[i] = p->items[--p->count];
    return l;
}

static size_t oldest(const ratoon__past *p)
{
    size_t found = 0;
    for (size_t i = 1; i < p->count; i++) {
        found = p->items[i].used < p->items[found].used ? i : found;
    }
    return found;
}

void ratoon__past_keep(ratoon_store *s, const ratoon__lineage *l, uint64_t upto, size_t size)
{
    ratoon__past *p = &s->past;
    ratoon__lineage *gone[RATOON__PAST_KEPT];
    size_t gone_count = 0;
    if (size > RATOON__PAST_BYTES / 4) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    ratoon__past_kept *same = before_of(p, &l->id, l->events + 1);
    if (same != NULL && same->events == l->events) {
        same->upto = same->upto > upto ? same->upto : upto;
        same->used = ++p->clock;
    } else {
        while (p->count == RATOON__PAST_KEPT || p->bytes + size > RATOON__PAST_BYTES) {
            gone[gone_count++] = take_out(p, oldest(p));
        }
        p->items[p->count++] = (ratoon__past_kept){.root = l->id,
                                                   .head = l->head,
                                                   .events = l->events,
                                                   .upto = upto,
                                                   .used = ++p->clock,
                                                   .size = size,
                                                   .lineage = ratoon__lineage_ref(l)};
        p->bytes += size;
    }
    pthread_mutex_unlock(&p->lock);
    while (gone_count > 0) {
        ratoon__lineage_unref(gone[--gone_count]);
    }
}

void ratoon__past_forget(ratoon_store *s, const ratoon_id *root)
{
    ratoon__past *p = &s->past;
    ratoon__lineage *gone[RATOON__PAST_KEPT];
    size_t gone_count = 0;
    pthread_mutex_lock(&p->lock);
    for (size_t i = p->count; i-- > 0;) {
        if (root == NULL || is_of(&p->items[i], root)) {
            gone[gone_count++] = take_out(p, i);
        }
    }
    pthread_mutex_unlock(&p->lock);
    while (gone_count > 0) {
        ratoon__lineage_unref(gone[--gone_count]);
    }
}
