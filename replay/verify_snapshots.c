/* The projection at each commit against the snapshot that is stored of it (S07). Snapshots have the
 * same order as commits, so both are walked side by side, the snapshots by the page; where the
 * driver has no pages, the newest ones of each lineage are looked up. */
#include "replay/verify.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES (1 << 20)

static void items_free(ratoon__snapshots *s)
{
    for (size_t i = 0; i < s->count; i++) {
        ratoon_buffer_free(&s->items[i].bytes);
    }
    s->count = 0;
    s->next = 0;
    s->bytes = 0;
}

void ratoon__snapshots_free(ratoon__snapshots *s)
{
    items_free(s);
}

static void unread(ratoon__snapshots *s, ratoon_id lineage, ratoon_status status,
                   const ratoon_error *why)
{
    if (!ratoon__report_unseen(s->report, status, why)) {
        ratoon__problem(s->report, lineage, 0, "snapshot",
                        "the snapshots of the lineage can't be read: %s", why->message);
    }
}

/* ---- by the page ---- */

typedef struct page_reader {
    ratoon__snapshots *s;
    bool no_memory;
} page_reader;

static bool page_add(void *ctx, ratoon_id lineage, uint64_t number, const void *data, size_t size)
{
    page_reader *p = ctx;
    ratoon__snapshots *s = p->s;
    if (s->count == RATOON__SNAPSHOTS_PAGE || s->bytes >= PAGE_BYTES) {
        s->at_end = false;
        return false;
    }
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        p->no_memory = true;
        return false;
    }
    memcpy(copy, data, size);
    s->items[s->count++] = (ratoon__snapshot_stored){lineage, number, {.data = copy, .size = size}};
    s->bytes += size;
    return true;
}

/* Those from a commit on. False: not by the page. */
static bool page_read(ratoon__snapshots *s, ratoon_id lineage, uint64_t number)
{
    ratoon__driver *d = ratoon__store_driver(s->report->store);
    page_reader p = {.s = s};
    ratoon_error why = {0};
    items_free(s);
    s->at_end = true;
    ratoon_status status = d->ops->snapshots == NULL
                               ? RATOON_ERR_UNSUPPORTED
                               : d->ops->snapshots(d, lineage, number, page_add, &p, &why);
    if (status == RATOON_ERR_UNSUPPORTED) {
        return false;
    }
    if (p.no_memory) {
        status = ratoon__fail(&why, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    /* Whose it is that can't be read shows one by one. */
    (void)ratoon__report_unseen(s->report, status, &why);
    return status == RATOON_OK;
}

/* ---- one by one ---- */

static void load(ratoon__snapshots *s, ratoon_id lineage)
{
    ratoon__driver *d = ratoon__store_driver(s->report->store);
    ratoon_status status = RATOON_OK;
    uint64_t number = UINT64_MAX;
    items_free(s);
    s->lineage = lineage;
    while (status == RATOON_OK && number > 0 && s->count < RATOON__SNAPSHOTS_PAGE) {
        ratoon__snapshot_stored *item = &s->items[s->count];
        ratoon_error why = {0};
        *item = (ratoon__snapshot_stored){.lineage = lineage};
        status = d->ops->snapshot_get(d, lineage, number, &item->at, &item->bytes, &why);
        if (status == RATOON_OK) {
            s->count++;
            number = item->at - 1;
        } else if (status != RATOON_ERR_NOT_FOUND) {
            unread(s, lineage, status, &why);
        }
    }
}

/* ---- the one of a commit ---- */

static const ratoon_buffer *find_loaded(ratoon__snapshots *s, ratoon_id lineage, uint64_t number)
{
    if (!ratoon_id_equal(s->lineage, lineage)) {
        load(s, lineage);
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].at == number) {
            return &s->items[i].bytes;
        }
    }
    return NULL;
}

static int item_compare(const ratoon__snapshot_stored *i, ratoon_id lineage, uint64_t number)
{
    const int order = memcmp(i->lineage.bytes, lineage.bytes, sizeof lineage.bytes);
    return order != 0 ? order : (i->at > number) - (i->at < number);
}

static const ratoon_buffer *find(ratoon__snapshots *s, ratoon_id lineage, uint64_t number)
{
    if (!s->begun) {
        s->begun = true;
        s->one_by_one = !page_read(s, lineage, number);
    }
    while (!s->one_by_one) {
        for (; s->next < s->count; s->next++) {
            const int order = item_compare(&s->items[s->next], lineage, number);
            if (order >= 0) {
                return order == 0 ? &s->items[s->next].bytes : NULL;
            }
        }
        if (s->at_end) {
            return NULL;
        }
        s->one_by_one = !page_read(s, lineage, number);
    }
    return find_loaded(s, lineage, number);
}

static ratoon_pipeline *resolve(void *ctx, ratoon_digest digest)
{
    ratoon__report *r = ctx;
    ratoon_pipeline *p = NULL;
    ratoon_error why = {0};
    const ratoon_status status = ratoon__store_definition(r->store, &digest, &p, &why);
    (void)ratoon__report_unseen(r, status, &why);
    return status == RATOON_OK ? p : NULL;
}

void ratoon__snapshots_compare(ratoon__snapshots *s, const ratoon__lineage *l, ratoon_id lineage,
                               uint64_t number)
{
    const ratoon_buffer *stored = find(s, lineage, number);
    if (stored == NULL) {
        return;
    }
    ratoon__report *r = s->report;
    ratoon__lineage *served = NULL;
    ratoon__buf what = {0};
    ratoon_error why = {0};
    const ratoon_status status =
        ratoon__snapshot_decode(stored->data, stored->size, resolve, r, &served, &why);
    if (ratoon__report_unseen(r, status, &why)) {
        return;
    }
    if (status != RATOON_OK) {
        ratoon__problem(r, lineage, number, "snapshot",
                        "the snapshot at commit %U can't be read: %s", number, why.message);
    } else if (!ratoon__lineage_equal(l, served, &what)) {
        ratoon__problem(r, lineage, number, "snapshot",
                        "the snapshot at commit %U differs from the log: %s", number, what.data);
    }
    ratoon__buf_free(&what);
    ratoon__lineage_unref(served);
}
