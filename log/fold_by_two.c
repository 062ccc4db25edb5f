/* Folding a long history with two threads. Reading commits takes longer than what is done with
 * them, and two threads read nearly twice as much as one. So the history is divided into units,
 * which both take in order: the caller folds each, as it reads it where it is the next to be
 * folded, and else from a copy of the bytes, which is what the second thread makes of its own.
 *
 * Nothing is decided here: what does not go as it should is given up, and done by one thread. */
#include "log/futex.h"
#include "log/store_impl.h"
#include "log/thread.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    COMMITS_MIN = 2048, /* of which a second thread is worth its start */
    UNIT = 256,         /* commits */
    UNITS = 4,          /* copied and not yet folded, at most */
    UNIT_BYTES = UNIT * 400,
};

/* Copies of the first commits of a unit: each its size, and its bytes. */
typedef struct copies {
    _Atomic bool complete; /* as many as fit into it; false: nobody has read it yet */
    uint64_t count;
    size_t used;
    uint64_t words[UNIT_BYTES / sizeof(uint64_t)];
} copies;

typedef struct history {
    ratoon__driver *driver;
    ratoon_id lineage;
    uint64_t first, last, units;
    copies *copies;                 /* UNITS of them; of unit u: u % UNITS */
    _Atomic uint64_t taken, folded; /* units, from the first; folded by the caller alone */
    _Atomic bool failed;
    _Atomic uint32_t changes; /* of any of these; a futex */
    _Atomic uint32_t asleep;
} history;

typedef struct reader {
    history *h;
    copies *into; /* NULL: folds what it reads */
    /* of the caller: */
    bool folds, reading, started, helped;
    pthread_t helper;
    ratoon__folding folding;
} reader;

static void announce(history *h)
{
    atomic_fetch_add(&h->changes, 1);
    if (atomic_load(&h->asleep) != 0) {
        ratoon__futex_wake(&h->changes, 1);
    }
}

static bool fail(history *h)
{
    atomic_store(&h->failed, true);
    announce(h);
    return false;
}

static void unit_range(const history *h, uint64_t unit, uint64_t *from, uint64_t *to)
{
    *from = h->first + unit * UNIT;
    *to = h->last - *from < UNIT ? h->last : *from + UNIT - 1;
}

/* The next unit that nobody has, if there is room for its copies. */
static bool take_unit(history *h, uint64_t *unit)
{
    *unit = atomic_load(&h->taken);
    do {
        if (*unit == h->units || *unit == atomic_load(&h->folded) + UNITS) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&h->taken, unit, *unit + 1));
    return true;
}

/* ---- one commit ---- */

/* Of a copy, with its size. */
static size_t words_of(size_t size)
{
    return 1 + (size + sizeof(uint64_t) - 1) / sizeof(uint64_t);
}

/* False: there is no room for it. */
static bool copy(copies *c, const void *data, size_t size)
{
    const size_t words = words_of(size);
    if (words > sizeof c->words / sizeof *c->words - c->used) {
        return false;
    }
    c->words[c->used] = size;
    memcpy(&c->words[c->used + 1], data, size);
    c->used += words;
    c->count++;
    return true;
}

static bool fold(reader *r, const void *data, size_t size)
{
    return ratoon__fold_stored(&r->folding, data, size, NULL) == RATOON_OK || fail(r->h);
}

static bool take_commit(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number,
                        const void *data, size_t size)
{
    reader *r = ctx;
    (void)position;
    (void)lineage;
    (void)number;
    return r->into != NULL ? copy(r->into, data, size) : fold(r, data, size);
}

/* ---- units ---- */

/* Folds the copies of all units that are next. True: the last of them was not all copied, and from
 * *from to *to is to be read. */
static bool fold_copies(reader *r, uint64_t *from, uint64_t *to)
{
    history *h = r->h;
    for (uint64_t unit = atomic_load(&h->folded); unit < h->units; unit++) {
        copies *c = &h->copies[unit % UNITS];
        if (!atomic_load_explicit(&c->complete, memory_order_acquire)) {
            return false;
        }
        size_t at = 0;
        for (uint64_t i = 0; i < c->count; i++) {
            const size_t size = c->words[at];
            if (!fold(r, &c->words[at + 1], size)) {
                return false;
            }
            at += words_of(size);
        }
        unit_range(h, unit, from, to);
        *from += c->count;
        atomic_store(&c->complete, false);
        if (*from <= *to) {
            return true;
        }
        atomic_store(&h->folded, unit + 1);
        announce(h);
    }
    return false;
}

/* What was read of the unit before. */
static void settle(reader *r)
{
    if (r->into != NULL) {
        atomic_store_explicit(&r->into->complete, true, memory_order_release);
        r->into = NULL;
    } else if (r->reading) {
        const uint64_t unit = atomic_load(&r->h->folded);
        uint64_t from, to;
        unit_range(r->h, unit, &from, &to);
        if (r->folding.lineage == NULL || r->folding.lineage->head != to) {
            (void)fail(r->h); /* not all of it is there: a damaged log, or a mark (R20) */
            return;
        }
        atomic_store(&r->h->folded, unit + 1);
    } else {
        return;
    }
    announce(r->h);
}

static void *help(void *ctx);

static bool next_range(void *ctx, uint64_t *from, uint64_t *to)
{
    reader *r = ctx;
    history *h = r->h;
    uint64_t unit;
    if (r->folds && !r->started) {
        r->started = true;
        r->helped = ratoon__thread_start(&r->helper, help, r->h) == 0;
    }
    settle(r);
    for (;;) {
        const uint32_t changes = atomic_load(&h->changes);
        if (r->folds && fold_copies(r, from, to)) {
            r->reading = true;
            return true;
        }
        r->reading = false;
        if (atomic_load(&h->failed)) {
            return false;
        }
        if (take_unit(h, &unit)) {
            unit_range(h, unit, from, to);
            r->reading = r->folds && unit == atomic_load(&h->folded);
            if (!r->reading) {
                r->into = &h->copies[unit % UNITS];
                r->into->count = 0;
                r->into->used = 0;
            }
            return true;
        }
        if (atomic_load(r->folds ? &h->folded : &h->taken) == h->units) {
            return false;
        }
        atomic_fetch_add(&h->asleep, 1);
        ratoon__futex_wait(&h->changes, changes, NULL);
        atomic_fetch_sub(&h->asleep, 1);
    }
}

static bool read_history(reader *r)
{
    ratoon__driver *d = r->h->driver;
    const ratoon_status status =
        d->ops->read_ranges(d, r->h->lineage, next_range, take_commit, r, NULL);
    return status == RATOON_OK || fail(r->h);
}

static void *help(void *ctx)
{
    reader r = {.h = ctx};
    (void)read_history(&r);
    return NULL;
}

static copies *copies_new(void)
{
    copies *all = malloc(UNITS * sizeof *all);
    for (size_t i = 0; all != NULL && i < UNITS; i++) {
        atomic_init(&all[i].complete, false);
    }
    return all;
}

bool ratoon__fold_by_two(ratoon__folding *f)
{
    ratoon__lineage *before = f->lineage;
    if (f->driver->ops->read_ranges == NULL || f->head < before->head + COMMITS_MIN ||
        !ratoon__two_processors()) {
        return false;
    }
    history h = {.driver = f->driver,
                 .lineage = before->id,
                 .first = before->head + 1,
                 .last = f->head,
                 .units = (f->head - before->head + UNIT - 1) / UNIT,
                 .copies = copies_new()};
    reader r = {.h = &h, .folds = true, .folding = *f};
    r.folding.lineage = ratoon__lineage_ref(before);
    const bool done = h.copies != NULL && read_history(&r) && r.folding.lineage != NULL &&
                      r.folding.lineage->head == f->head;
    if (r.helped) {
        pthread_join(r.helper, NULL);
    }
    free(h.copies);
    if (done) {
        ratoon__lineage_unref(before);
        *f = r.folding;
    } else {
        ratoon__arena_free(&r.folding.arena);
        ratoon__lineage_unref(r.folding.lineage);
    }
    return done;
}
