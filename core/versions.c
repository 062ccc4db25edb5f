/* Stages, runs and lineages as versions: copied where they change, shared where they don't. */
#include "core/objects.h"

#include "core/refs.h"

#include <stdlib.h>
#include <string.h>

enum { STAGES_IN_BOOK = RATOON__STAGE_PAGE * RATOON__STAGE_BOOK };

/* ---- stages ---- */

ratoon__stage *ratoon__stage_new(void)
{
    ratoon__stage *s = calloc(1, sizeof *s);
    if (s != NULL) {
        atomic_init(&s->refs, 1);
        s->status = RATOON_STAGE_PENDING;
    }
    return s;
}

/* Others may share the object meanwhile, so its reference count is left out of the copy. */
void ratoon__stage_numbers(ratoon__stage *to, const ratoon__stage *from)
{
    const size_t behind = offsetof(ratoon__stage, status);
    atomic_init(&to->refs, 1);
    memcpy((char *)to + behind, (const char *)from + behind, sizeof *to - behind);
}

void ratoon__run_numbers(ratoon__run *to, const ratoon__run *from)
{
    const size_t behind = offsetof(ratoon__run, fixed);
    atomic_init(&to->refs, 1);
    memcpy((char *)to + behind, (const char *)from + behind, sizeof *to - behind);
}

ratoon__stage *ratoon__stage_copy(const ratoon__stage *s)
{
    ratoon__stage *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        return NULL;
    }
    ratoon__stage_numbers(copy, s);
    (void)ratoon__outputs_ref(s->outputs);
    (void)ratoon__outputs_ref(s->partial);
    (void)ratoon__failure_ref(s->failure);
    (void)ratoon__shared_ref(s->reason);
    (void)ratoon__shared_ref(s->progress_message);
    (void)ratoon__items_ref(s->items);
    (void)ratoon__strings_ref(s->listed);
    (void)ratoon__runs_ref(s->consumed);
    return copy;
}

ratoon__stage *ratoon__stage_ref(const ratoon__stage *s)
{
    ratoon__stage *shared = (ratoon__stage *)(uintptr_t)s;
    if (shared != NULL) {
        ratoon__refs_add(&shared->refs);
    }
    return shared;
}

void ratoon__stage_unref(ratoon__stage *s)
{
    if (s == NULL || !ratoon__refs_drop(&s->refs)) {
        return;
    }
    ratoon__outputs_unref(s->outputs);
    ratoon__outputs_unref(s->partial);
    ratoon__failure_unref(s->failure);
    ratoon__shared_unref(s->reason);
    ratoon__shared_unref(s->progress_message);
    ratoon__items_unref(s->items);
    ratoon__strings_unref(s->listed);
    ratoon__runs_unref(s->consumed);
    free(s);
}

/* ---- pages and books ---- */

static ratoon__stage_page *page_copy(const ratoon__stage_page *page) /* NULL: an empty one */
{
    ratoon__stage_page *copy = calloc(1, sizeof *copy);
    if (copy == NULL) {
        return NULL;
    }
    atomic_init(&copy->refs, 1);
    for (unsigned i = 0; page != NULL && i < RATOON__STAGE_PAGE; i++) {
        copy->stages[i] = page->stages[i];
        if (page->stages[i] != NULL) {
            ratoon__refs_add(&page->stages[i]->refs);
        }
    }
    return copy;
}

static void page_unref(ratoon__stage_page *page)
{
    if (page == NULL || !ratoon__refs_drop(&page->refs)) {
        return;
    }
    for (unsigned i = 0; i < RATOON__STAGE_PAGE; i++) {
        ratoon__stage_unref(page->stages[i]);
    }
    free(page);
}

static ratoon__stage_book *book_copy(const ratoon__stage_book *book) /* NULL: an empty one */
{
    ratoon__stage_book *copy = calloc(1, sizeof *copy);
    if (copy == NULL) {
        return NULL;
    }
    atomic_init(&copy->refs, 1);
    for (unsigned i = 0; book != NULL && i < RATOON__STAGE_BOOK; i++) {
        copy->pages[i] = book->pages[i];
        if (book->pages[i] != NULL) {
            ratoon__refs_add(&book->pages[i]->refs);
        }
    }
    return copy;
}

static void book_unref(ratoon__stage_book *book)
{
    if (book == NULL || !ratoon__refs_drop(&book->refs)) {
        return;
    }
    for (unsigned i = 0; i < RATOON__STAGE_BOOK; i++) {
        page_unref(book->pages[i]);
    }
    free(book);
}

/* The page of stage i within a run that only the caller can see. */
static ratoon__stage_page *own_page(ratoon__run *r, uint32_t i)
{
    ratoon__stage_book **book = &r->books[i / STAGES_IN_BOOK];
    if (*book == NULL || !ratoon__refs_one(&(*book)->refs)) {
        ratoon__stage_book *copy = book_copy(*book);
        if (copy == NULL) {
            return NULL;
        }
        book_unref(*book);
        *book = copy;
    }
    ratoon__stage_page **page = &(*book)->pages[i / RATOON__STAGE_PAGE % RATOON__STAGE_BOOK];
    if (*page == NULL || !ratoon__refs_one(&(*page)->refs)) {
        ratoon__stage_page *copy = page_copy(*page);
        if (copy == NULL) {
            return NULL;
        }
        page_unref(*page);
        *page = copy;
    }
    return *page;
}

static bool is_unforgiven(const ratoon__run *r, uint32_t i, ratoon_stage_status status)
{
    return status == RATOON_STAGE_FAILED && !r->pipeline->stages[i].pub.allow_failure;
}

bool ratoon__run_put_stage(ratoon__run *r, uint32_t i, ratoon__stage *s)
{
    ratoon__stage_page *page = own_page(r, i);
    if (page == NULL) {
        ratoon__stage_unref(s);
        return false;
    }
    page->stages[i % RATOON__STAGE_PAGE] = s;
    r->unforgiven += is_unforgiven(r, i, s->status) ? 1 : 0;
    return true;
}

void ratoon__run_note_status(ratoon__run *r, uint32_t i, ratoon_stage_status was,
                             ratoon_stage_status is)
{
    r->unforgiven -= is_unforgiven(r, i, was) ? 1 : 0;
    r->unforgiven += is_unforgiven(r, i, is) ? 1 : 0;
}

ratoon__stage *ratoon__run_own_stage(ratoon__run *r, uint32_t i)
{
    ratoon__stage_page *page = own_page(r, i);
    if (page == NULL) {
        return NULL;
    }
    ratoon__stage **slot = &page->stages[i % RATOON__STAGE_PAGE];
    if (!ratoon__refs_one(&(*slot)->refs)) {
        ratoon__stage *copy = ratoon__stage_copy(*slot);
        if (copy == NULL) {
            return NULL;
        }
        ratoon__stage_unref(*slot);
        *slot = copy;
    }
    return *slot;
}

/* ---- runs ---- */

static uint32_t books_of(uint32_t stages)
{
    return (stages + STAGES_IN_BOOK - 1) / STAGES_IN_BOOK;
}

ratoon__run *ratoon__run_new(ratoon__run_static *fixed, const ratoon_pipeline *pipeline)
{
    const uint32_t stages = (uint32_t)pipeline->stages_count;
    ratoon__run *r = calloc(1, sizeof *r + books_of(stages) * sizeof(ratoon__stage_book *));
    if (r == NULL) {
        return NULL;
    }
    atomic_init(&r->refs, 1);
    r->fixed = ratoon__static_ref(fixed);
    r->pipeline = ratoon__pipeline_ref(pipeline);
    r->until = -1;
    r->stages_count = stages;
    return r;
}

ratoon__run *ratoon__run_copy(const ratoon__run *r)
{
    const uint32_t books = books_of(r->stages_count);
    const size_t size = sizeof *r + books * sizeof(ratoon__stage_book *);
    ratoon__run *copy = malloc(size);
    if (copy == NULL) {
        return NULL;
    }
    ratoon__run_numbers(copy, r);
    (void)ratoon__static_ref(r->fixed);
    (void)ratoon__pipeline_ref(r->pipeline);
    (void)ratoon__shared_ref(r->reason);
    (void)ratoon__shared_ref(r->external_ref);
    (void)ratoon__shared_ref(r->children);
    for (uint32_t i = 0; i < books; i++) {
        copy->books[i] = r->books[i];
        if (r->books[i] != NULL) {
            ratoon__refs_add(&r->books[i]->refs);
        }
    }
    return copy;
}

ratoon__run *ratoon__run_ref(const ratoon__run *r)
{
    ratoon__run *shared = (ratoon__run *)(uintptr_t)r;
    ratoon__refs_add(&shared->refs);
    return shared;
}

void ratoon__run_unref(ratoon__run *r)
{
    if (r == NULL || !ratoon__refs_drop(&r->refs)) {
        return;
    }
    for (uint32_t i = 0; i < books_of(r->stages_count); i++) {
        book_unref(r->books[i]);
    }
    ratoon__shared_unref(r->reason);
    ratoon__shared_unref(r->external_ref);
    ratoon__shared_unref(r->children);
    ratoon__pipeline_unref(r->pipeline);
    ratoon__static_unref(r->fixed);
    free(r);
}

/* ---- lineages ---- */

static ratoon__lineage *lineage_alloc(uint32_t runs)
{
    ratoon__lineage *l = malloc(sizeof *l + runs * (sizeof *l->runs + sizeof *l->tails));
    if (l != NULL) {
        memset(l, 0, sizeof *l);
        atomic_init(&l->refs, 1);
        l->runs = (ratoon__run **)(void *)(l + 1);
        l->tails = (uint64_t *)(void *)(l->runs + runs);
    }
    return l;
}

ratoon__lineage *ratoon__lineage_new(ratoon_id id)
{
    ratoon__lineage *l = lineage_alloc(0);
    if (l != NULL) {
        l->id = id;
    }
    return l;
}

/* Looking for a run goes through these, which lie together, instead of through every run. */
static uint64_t tail_of(ratoon_id id)
{
    uint64_t tail;
    memcpy(&tail, id.bytes + sizeof id.bytes - sizeof tail, sizeof tail);
    return tail;
}

ratoon__lineage *ratoon__lineage_copy(const ratoon__lineage *l, uint32_t more)
{
    ratoon__lineage *copy = lineage_alloc(l->runs_count + more);
    if (copy == NULL) {
        return NULL;
    }
    copy->id = l->id;
    copy->head = l->head;
    copy->head_digest = l->head_digest;
    copy->events = l->events;
    copy->last_time_us = l->last_time_us;
    copy->deleted = l->deleted;
    copy->runs_count = l->runs_count;
    for (uint32_t i = 0; i < l->runs_count; i++) {
        copy->runs[i] = ratoon__run_ref(l->runs[i]);
        copy->tails[i] = l->tails[i];
    }
    return copy;
}

void ratoon__lineage_add_run(ratoon__lineage *l, ratoon__run *r)
{
    l->tails[l->runs_count] = tail_of(r->fixed->id);
    l->runs[l->runs_count++] = r;
}

ratoon__lineage *ratoon__lineage_ref(const ratoon__lineage *l)
{
    ratoon__lineage *shared = (ratoon__lineage *)(uintptr_t)l;
    if (shared != NULL) {
        ratoon__refs_add(&shared->refs);
    }
    return shared;
}

void ratoon__lineage_unref(ratoon__lineage *l)
{
    if (l == NULL || !ratoon__refs_drop(&l->refs)) {
        return;
    }
    for (uint32_t i = 0; i < l->runs_count; i++) {
        ratoon__run_unref(l->runs[i]);
    }
    free(l);
}

bool ratoon__lineage_is_ours(const ratoon__lineage *l)
{
    return ratoon__refs_one(&l->refs);
}

ratoon__run *ratoon__lineage_own_run(ratoon__lineage *l, uint32_t i)
{
    if (!ratoon__refs_one(&l->runs[i]->refs)) {
        ratoon__run *copy = ratoon__run_copy(l->runs[i]);
        if (copy == NULL) {
            return NULL;
        }
        ratoon__run_unref(l->runs[i]);
        l->runs[i] = copy;
    }
    return l->runs[i];
}

int64_t ratoon__lineage_find(const ratoon__lineage *l, ratoon_id run)
{
    const uint64_t tail = tail_of(run);
    for (uint32_t i = l->runs_count; i-- > 0;) { /* what is new is asked for most */
        if (l->tails[i] == tail && ratoon_id_equal(l->runs[i]->fixed->id, run)) {
            return i;
        }
    }
    return -1;
}

const ratoon__run *ratoon__lineage_run(const ratoon__lineage *l, ratoon_id run)
{
    const int64_t i = ratoon__lineage_find(l, run);
    return i < 0 ? NULL : l->runs[i];
}
