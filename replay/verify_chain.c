/* The chain pass: every commit in key order, by iteration and by look-up with checksums; decoded,
 * chained, folded; the fold compared with every stored snapshot. Commits are taken by the batch, so
 * that their digests can be made together, and then looked at one after the other; in a large store
 * by a second thread (verify_batches.c). */
#include "replay/seal.h"

#include "log/codec.h"
#include "replay/erased.h"
#include "replay/verify_batches.h"

#include <stdlib.h>
#include <string.h>

typedef struct walk {
    ratoon__report *report;
    ratoon__lineage *lineage;    /* folded so far; NULL: none */
    bool broken;                 /* it can't be folded any further */
    bool deleted;                /* what was seen is a mark (R20): nothing may follow */
    ratoon__report_place before; /* when the lineage began */
    uint64_t next_event;
    uint64_t number; /* of the last commit seen */
    uint64_t time_us;
    ratoon_digest digest;
    ratoon_id id;
    bool any;
    ratoon__digest_jobs digests; /* of the batch */
    ratoon__arena arena;         /* of the batch */
    ratoon__snapshots snapshots;
    ratoon__seen *seen;
    ratoon_status status;
    ratoon_error why; /* of what failed last: too large to be cleared for each commit */
} walk;

/* ---- one lineage ---- */

/* Values of a lineage that is deleted while it is looked at vanish under it. */
static void pass_over_deleted(walk *w)
{
    bool erased = false;
    ratoon_error why = {0};
    if (w->deleted || w->report->count == w->before.count) {
        return;
    }
    const ratoon_status status = ratoon__erased_check(w->report->store, w->id, &erased, &why);
    if (ratoon__report_unseen(w->report, status, &why) || status != RATOON_OK || !erased) {
        return;
    }
    ratoon__report_back_to(w->report, w->before);
}

static void lineage_end(walk *w)
{
    if (!w->any) {
        return;
    }
    ratoon__seal_lineage_end(w->report);
    pass_over_deleted(w);
    w->report->broken += w->broken;
    if (!w->broken && w->lineage != NULL) {
        for (uint32_t i = 0; i < w->lineage->runs_count; i++) {
            const ratoon__run *r = w->lineage->runs[i];
            const ratoon__run_created *c = &r->fixed->created;
            const ratoon__run_row row = {.run = r->fixed->id,
                                         .root = c->root,
                                         .created_at = r->fixed->created_at,
                                         .status = r->status,
                                         .subject = c->subject != NULL ? c->subject : "",
                                         .pipeline = c->pipeline_name};
            ratoon__sum_row(w->report, &w->seen->rows, &row);
        }
        const ratoon_status status =
            ratoon__sum_claims(w->report, &w->seen->claims, w->lineage, &w->arena);
        w->status = w->status != RATOON_OK ? w->status : status;
    }
    ratoon__lineage_unref(w->lineage);
    w->lineage = NULL;
}

static bool lineage_begin(walk *w, ratoon_id lineage)
{
    lineage_end(w);
    ratoon__seal_lineage_begin(w->report, lineage);
    w->id = lineage;
    w->any = true;
    w->broken = false;
    w->deleted = false;
    w->before = ratoon__report_here(w->report);
    w->number = 0;
    w->next_event = 1;
    w->time_us = 0;
    w->digest = (ratoon_digest){{0}};
    w->lineage = ratoon__lineage_new(lineage);
    w->report->lineages++;
    return w->lineage != NULL && w->status == RATOON_OK;
}

/* Lineages come in ascending order. */
static void remember_mark(ratoon__report *r, ratoon_id lineage, uint64_t number)
{
    if (r->marks_count == r->marks_capacity && !r->marks_missing) {
        const size_t capacity = r->marks_capacity == 0 ? 64 : r->marks_capacity * 2;
        ratoon__mark_seen *marks =
            capacity > RATOON__MARKS_MAX ? NULL : realloc(r->marks, capacity * sizeof *marks);
        r->marks_missing = marks == NULL;
        r->marks = marks != NULL ? marks : r->marks;
        r->marks_capacity = marks != NULL ? capacity : r->marks_capacity;
    }
    if (!r->marks_missing) {
        r->marks[r->marks_count++] = (ratoon__mark_seen){lineage, number};
    }
}

/* A mark stands alone for all that came before it, and says how much that was. What the digest that
 * it names was the digest of, only a seal can tell. */
static bool is_mark(walk *w, const ratoon__commit *c, uint64_t position)
{
    if (w->number != 0 || c->events_count != 1 ||
        c->events[0].type != RATOON__EVENT_LINEAGE_DELETED) {
        return false;
    }
    if (c->events[0].u.deleted.commits != c->number - 1 ||
        c->events[0].u.deleted.events != c->first_event - 1) {
        ratoon__problem(w->report, w->id, c->number, "number",
                        "the mark says it stands for %U commits and %U events; it has number %U, "
                        "and its event has number %U",
                        c->events[0].u.deleted.commits, c->events[0].u.deleted.events, c->number,
                        c->first_event);
    }
    w->deleted = true;
    w->number = c->number - 1;
    w->digest = c->previous;
    w->next_event = c->first_event;
    w->report->erased += c->number - 1;
    remember_mark(w->report, w->id, c->number);
    w->report->marks_end = position >= w->report->marks_end ? position + 1 : w->report->marks_end;
    return true;
}

/* What a commit says of itself against its key and the commit before it. */
static void commit_check(walk *w, const ratoon__commit *c, uint64_t number)
{
    ratoon__report *r = w->report;
    if (!ratoon_id_equal(c->lineage, w->id) || c->number != number) {
        ratoon__problem(r, w->id, number, "number",
                        "the commit under number %U says it is number %U of lineage %I", number,
                        c->number, &c->lineage);
        w->broken = true;
    }
    if (number != w->number + 1) {
        ratoon__problem(r, w->id, number, "number", "commit %U is followed by commit %U: %s",
                        w->number, number, "what was between is missing");
        w->broken = true;
    }
    if (!ratoon__digest_equal(&c->previous, &w->digest)) {
        char found[65], expected[65];
        ratoon__digest_format(&c->previous, found);
        ratoon__digest_format(&w->digest, expected);
        ratoon__problem(r, w->id, number, "chain",
                        "commit %U names %s as the digest of the commit before; that one has %s",
                        number, found, expected);
    }
    if (c->first_event != w->next_event) {
        ratoon__problem(r, w->id, number, "number",
                        "commit %U begins with event %U; event %U was expected", number,
                        c->first_event, w->next_event);
    }
    if (c->time_us < w->time_us) {
        ratoon__problem(r, w->id, number, "time", "commit %U is older than the one before it",
                        number);
    }
}

static void commit_fold(walk *w, const ratoon__commit *c, const ratoon_digest *digest)
{
    if (w->broken) {
        return;
    }
    const ratoon_status status = ratoon__fold_into(&w->lineage, c, digest, &w->why);
    if (status == RATOON_OK) {
        ratoon__verify_events(w->report, w->lineage, c, &w->digests);
        return;
    }
    if (!ratoon__report_unseen(w->report, status, &w->why)) {
        ratoon__problem(w->report, w->id, c->number, "fold", "commit %U can't be applied: %s",
                        c->number, w->why.message);
    }
    w->broken = true;
}

static void commit_verify(walk *w, const ratoon__commit *c, uint64_t position, uint64_t number,
                          const ratoon_digest *digest)
{
    if (!is_mark(w, c, position) && w->deleted) {
        ratoon__problem(w->report, w->id, number, "number",
                        "commit %U follows the mark of a deleted lineage", number);
    } else if (!w->deleted && c->events_count > 0 &&
               c->events[0].type == RATOON__EVENT_LINEAGE_DELETED) {
        ratoon__problem(w->report, w->id, number, "number",
                        "commit %U is a mark of deletion, but what it stands for is there", number);
    }
    commit_check(w, c, number);
    ratoon__seal_commit(w->report, number, digest, c);
    w->report->events += c->events_count;
    w->next_event = c->first_event + c->events_count;
    w->time_us = c->time_us;
    commit_fold(w, c, digest);
}

/* ---- by the batch ---- */

static ratoon_status decode(walk *w, const ratoon__batch *b, ratoon__taken *t, ratoon_error *error)
{
    t->status = ratoon__store_decode(w->report->store, b->bytes.data + t->at, t->size, &w->arena,
                                     &t->commit, error);
    return t->status;
}

static void taken_verify(walk *w, const ratoon__batch *b, ratoon__taken *t,
                         const ratoon_digest *digest)
{
    if ((!w->any || !ratoon_id_equal(w->id, t->lineage)) && !lineage_begin(w, t->lineage)) {
        w->status = RATOON_ERR_NO_MEMORY;
        return;
    }
    ratoon__sum_feed(w->report, &w->seen->feed, t->position, t->lineage, t->number);
    w->report->commits++;
    if (t->status != RATOON_OK &&
        decode(w, b, t, &w->why) != RATOON_OK) { /* again, for its reason */
        if (ratoon__report_unseen(w->report, t->status, &w->why)) {
            w->status = t->status;
            return;
        }
        ratoon__problem(w->report, t->lineage, t->number, "decode",
                        "commit %U can't be decoded: %s", t->number, w->why.message);
        ratoon__seal_commit(w->report, t->number, digest, NULL);
        w->broken = true;
    } else {
        w->digests.next = t->values;
        commit_verify(w, &t->commit, t->position, t->number, digest);
    }
    w->number = t->number;
    w->digest = *digest;
    if (!w->broken) {
        ratoon__snapshots_compare(&w->snapshots, w->lineage, w->id, t->number);
    }
}

/* Digests of the commits, in their order, and behind them those of the values in them. */
static ratoon_status digests_make(walk *w, ratoon__batch *b)
{
    ratoon__digest_jobs *d = &w->digests;
    bool added = true;
    d->count = 0;
    for (size_t i = 0; added && i < b->count; i++) {
        added = ratoon__digest_jobs_add(d, b->bytes.data + b->commits[i].at, b->commits[i].size);
    }
    for (size_t i = 0; added && i < b->count; i++) {
        b->commits[i].values = d->count;
        added = b->commits[i].status != RATOON_OK ||
                ratoon__digest_jobs_add_values(d, &b->commits[i].commit);
    }
    return added ? ratoon__sha256_many(d->jobs, d->count) : RATOON_ERR_NO_MEMORY;
}

static bool batch_verify(void *ctx, ratoon__batch *b)
{
    walk *w = ctx;
    for (size_t i = 0; i < b->count; i++) {
        (void)decode(w, b, &b->commits[i], NULL);
    }
    w->status = digests_make(w, b);
    for (size_t i = 0; w->status == RATOON_OK && i < b->count; i++) {
        taken_verify(w, b, &b->commits[i], &w->digests.jobs[i].digest);
    }
    for (size_t i = 0; i < b->count; i++) {
        if (b->commits[i].status == RATOON_OK) {
            ratoon__commit_release(&b->commits[i].commit);
        }
    }
    ratoon__arena_reset(&w->arena);
    return w->status == RATOON_OK;
}

/* ---- reading ---- */

typedef struct reading {
    ratoon__batches batches;
    uint64_t end; /* the feed's end when the walk began: later commits are left out */
} reading;

static bool take(void *ctx, uint64_t position, ratoon_id lineage, uint64_t number, const void *data,
                 size_t size)
{
    reading *r = ctx;
    const ratoon__taken commit = {
        .position = position, .number = number, .lineage = lineage, .size = size};
    return position >= r->end || ratoon__batches_add(&r->batches, &commit, data);
}

ratoon_status ratoon__verify_chains(ratoon__report *r, ratoon_id only, ratoon__seen *seen,
                                    ratoon_error *error)
{
    walk w = {.report = r, .seen = seen, .snapshots = {.report = r}};
    reading reads = {.end = 0};
    ratoon__driver *d = ratoon__store_driver(r->store);
    ratoon_status status = d->ops->end(d, &reads.end, error);
    if (status == RATOON_OK) {
        status = ratoon__batches_begin(&reads.batches, batch_verify, &w);
    }
    if (status != RATOON_OK) {
        return status;
    }
    r->feed_end = reads.end;
    ratoon_error why = {0};
    status = d->ops->read(d, only, ratoon_id_is_zero(only) ? 0 : 1, !ratoon_id_is_zero(only), true,
                          take, &reads, &why);
    /* What was read before a flaw is looked at as well. */
    const ratoon_status copied = ratoon__batches_end(&reads.batches);
    w.status = w.status != RATOON_OK ? w.status : copied;
    lineage_end(&w);
    ratoon__snapshots_free(&w.snapshots);
    ratoon__arena_free(&w.arena);
    free(w.digests.jobs);
    if (status == RATOON_OK &&
        w.status == RATOON_OK) { /* else what comes behind was not looked at */
        ratoon__seal_end(r);
    }
    if (status == RATOON_ERR_DAMAGED) {
        ratoon__problem(r, w.id, w.number, "io", "reading on after commit %U failed: %s", w.number,
                        why.message);
        status = RATOON_OK;
    } else if (status != RATOON_OK && error != NULL) {
        *error = why;
    }
    return w.status != RATOON_OK ? w.status : status;
}
