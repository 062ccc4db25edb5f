/* The open window: the feed's last positions, of which not all stand in a row on disk yet. A row
 * for each group would be a second put for every commit of a lone appender. So a group gets one at
 * once only where it has a commit of a lineage that the window doesn't know; what comes of known
 * ones is kept in memory until the window is full, and is then written in a few rows, in the batch
 * of the group that didn't fit any more.
 *
 * After a crash everything is still there, because every commit carries its position: whatever is
 * missing between and behind the last rows is of lineages that those rows name, at the end of each
 * of them. So opening looks there, and has the window again as it was. */
#include "log/rocksdb_impl.h"

#include <rocksdb/c.h>

#include <stdlib.h>
#include <string.h>

/* ---- the window itself: changed under `writer` and `state`, read under either ---- */

static const uint8_t *key_at(const ratoon__window *w, uint64_t i)
{
    return w->keys + i * RATOON__COMMIT_KEY;
}

static bool same_lineage(const void *key, const void *other)
{
    return memcmp(key, other, sizeof(ratoon_id)) == 0;
}

/* Where the table says that a key's lineage is, or the free entry where it would go. */
static uint16_t *lineage_entry(ratoon__window *w, const void *key)
{
    size_t at = (size_t)ratoon__hash(key, sizeof(ratoon_id)) % RATOON__WINDOW_TABLE;
    while (w->table[at] != 0 && !same_lineage(key_at(w, w->table[at] - 1u), key)) {
        at = (at + 1) % RATOON__WINDOW_TABLE;
    }
    return &w->table[at];
}

static bool knows(ratoon__window *w, const void *key)
{
    return w->count > 0 &&
           (same_lineage(key_at(w, w->count - 1), key) || *lineage_entry(w, key) != 0);
}

void ratoon__window_open(ratoon__window *w, uint64_t first)
{
    w->first = first;
    w->count = 0;
    w->full = false;
    memset(w->in_row, 0, sizeof w->in_row);
    memset(w->table, 0, sizeof w->table);
}

static void window_add(ratoon__window *w, const void *key, bool in_row)
{
    const bool known = knows(w, key);
    const uint64_t i = w->count++;
    memcpy(w->keys + i * RATOON__COMMIT_KEY, key, RATOON__COMMIT_KEY);
    w->in_row[i] = in_row;
    if (!known) {
        *lineage_entry(w, key) = (uint16_t)(i + 1);
    }
}

/* ---- writing ---- */

static void batch_row(ratoon__rocks *r, uint64_t first, const void *keys, uint64_t count)
{
    uint8_t key[8];
    ratoon__put_be64(key, first);
    rocksdb_writebatch_put_cf(r->batch, r->family[RATOON__FAMILY_FEED], (const char *)key,
                              sizeof key, keys, (size_t)count * RATOON__COMMIT_KEY);
}

/* Rows for all that has none. */
static void batch_rest(ratoon__rocks *r)
{
    const ratoon__window *w = &r->window;
    for (uint64_t i = 0; i < w->count; i++) {
        uint64_t end = i;
        while (end < w->count && !w->in_row[end]) {
            end++;
        }
        if (end > i) {
            batch_row(r, w->first + i, key_at(w, i), end - i);
            i = end;
        }
    }
}

void ratoon__window_stage(ratoon__rocks *r, bool close)
{
    ratoon__window *w = &r->window;
    ratoon__group *g = &r->group;
    g->closes_window = close || w->full || w->count + g->count > RATOON__WINDOW_MAX;
    bool known = !g->closes_window;
    for (uint64_t i = 0; known && i < g->count; i++) {
        known = knows(w, g->feed.data + i * RATOON__COMMIT_KEY);
    }
    if (g->closes_window) {
        batch_rest(r);
    }
    g->has_row = !known;
    if (g->has_row) {
        batch_row(r, g->first, g->feed.data, g->count);
    }
}

void ratoon__window_publish(ratoon__rocks *r)
{
    ratoon__window *w = &r->window;
    const ratoon__group *g = &r->group;
    const bool large = g->count > RATOON__WINDOW_MAX; /* stands in its row, and in no window */
    if (g->closes_window) {
        ratoon__window_open(w, large ? g->first + g->count : g->first);
    }
    for (uint64_t i = 0; !large && i < g->count; i++) {
        window_add(w, g->feed.data + i * RATOON__COMMIT_KEY, g->has_row);
    }
}

/* ---- reading ---- */

uint64_t ratoon__window_copy(ratoon__rocks *r, uint64_t from, uint64_t to, ratoon__buf *keys)
{
    pthread_mutex_lock(&r->state);
    const ratoon__window *w = &r->window;
    const uint64_t first = w->first;
    const uint64_t begin = from > first ? from - first : 0;
    const uint64_t end = to < first ? 0 : to - first + 1;
    if (begin < end && end <= w->count) {
        ratoon__buf_add(keys, key_at(w, begin), (size_t)(end - begin) * RATOON__COMMIT_KEY);
    }
    pthread_mutex_unlock(&r->state);
    return first;
}

/* ---- at opening ---- */

typedef struct found {
    uint64_t position;
    uint8_t key[RATOON__COMMIT_KEY];
    bool in_row;
} found;

/* What the end of the feed is put together from. */
typedef struct gathering {
    ratoon__rocks *r;
    ratoon__buf found; /* of `found` */
    uint64_t from;     /* position of the first */
    ratoon_error *error;
} gathering;

static size_t found_count(const gathering *g)
{
    return g->found.size / sizeof(found);
}

static found *found_at(const gathering *g, size_t i)
{
    return (found *)(void *)g->found.data + i;
}

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

static ratoon_status add_found(gathering *g, uint64_t position, const void *key, bool in_row)
{
    found one = {.position = position, .in_row = in_row};
    memcpy(one.key, key, sizeof one.key);
    ratoon__buf_add(&g->found, &one, sizeof one);
    return g->found.failed ? no_memory(g->error) : RATOON_OK;
}

static bool row_seen(void *ctx, uint64_t first, const char *keys, uint64_t count)
{
    gathering *g = ctx;
    bool done = true;
    g->from = found_count(g) == 0 ? first : g->from;
    for (uint64_t i = 0; done && i < count; i++) {
        done = add_found(g, first + i, keys + i * RATOON__COMMIT_KEY, true) == RATOON_OK;
    }
    return done;
}

/* The commits of a lineage, from its last one back to the position that the rows begin at. */
static ratoon_status gather_lineage(gathering *g, const uint8_t *lineage)
{
    uint8_t last[RATOON__COMMIT_KEY];
    memcpy(last, lineage, sizeof(ratoon_id));
    ratoon__put_be64(last + sizeof(ratoon_id), UINT64_MAX);
    rocksdb_iterator_t *it = rocksdb_create_iterator_cf(g->r->db, g->r->get_options,
                                                        g->r->family[RATOON__FAMILY_COMMITS]);
    ratoon_status status = RATOON_OK;
    for (rocksdb_iter_seek_for_prev(it, (const char *)last, sizeof last);
         status == RATOON_OK && rocksdb_iter_valid(it); rocksdb_iter_prev(it)) {
        size_t key_size;
        size_t size;
        const char *key = rocksdb_iter_key(it, &key_size);
        const char *value = rocksdb_iter_value(it, &size);
        if (key_size != sizeof last || !same_lineage(key, last) || size < RATOON__POSITION_SIZE ||
            ratoon__get_le64(value) < g->from) {
            break;
        }
        status = add_found(g, ratoon__get_le64(value), key, false);
    }
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    if (message != NULL) {
        status = ratoon__rocks_error(message, "can't read the end of a lineage", g->error);
    }
    rocksdb_iter_destroy(it);
    return status;
}

static ratoon_status gather_lineages(gathering *g, size_t rows)
{
    ratoon__slots seen = {0}; /* forgets only: then a lineage is looked at twice */
    ratoon_status status = RATOON_OK;
    if (!ratoon__slots_init(&seen, sizeof(ratoon_id), RATOON__WINDOW_TABLE)) {
        status = no_memory(g->error);
    }
    for (size_t i = 0; status == RATOON_OK && i < rows; i++) {
        uint8_t key[RATOON__COMMIT_KEY];
        uint64_t ignored;
        memcpy(key, found_at(g, i)->key, sizeof key); /* `found` moves as it grows */
        if (!ratoon__slots_get(&seen, key, &ignored)) {
            ratoon__slots_put(&seen, key, 1);
            status = gather_lineage(g, key);
        }
    }
    ratoon__slots_free(&seen);
    return status;
}

static int compare(const void *a, const void *b)
{
    const found *left = a;
    const found *right = b;
    if (left->position != right->position) {
        return left->position < right->position ? -1 : 1;
    }
    return (int)right->in_row - (int)left->in_row; /* what is in a row first */
}

/* The window from the first position that no row has. */
static void settle(const gathering *g, uint64_t *end)
{
    ratoon__window *w = &g->r->window;
    uint64_t next = g->from;
    uint64_t gap_end = 0; /* 0: there is no gap */
    bool open = false;
    for (size_t i = 0; gap_end == 0 && i < found_count(g); i++) {
        const found *f = found_at(g, i);
        if (f->position < next) {
            continue; /* what a row has, found again at its lineage */
        }
        if (f->position > next || (open && w->count == RATOON__WINDOW_MAX)) {
            gap_end = f->position;
            continue;
        }
        if (!open && !f->in_row) {
            ratoon__window_open(w, next);
            open = true;
        }
        if (open) {
            window_add(w, f->key, f->in_row);
        }
        next++;
    }
    const size_t count = found_count(g);
    *end = count == 0 ? 0 : found_at(g, count - 1)->position;
    if (gap_end != 0) {
        ratoon__window_open(w, *end + 1); /* what can be read is in rows */
        w->gap = next;
        w->gap_end = gap_end;
        return;
    }
    if (!open) {
        ratoon__window_open(w, *end + 1);
    }
    w->full = true; /* lineages of rows before it aren't known any more: the next group closes it */
}

ratoon_status ratoon__window_recover(ratoon__rocks *r, uint64_t *end, ratoon_error *error)
{
    gathering g = {.r = r, .error = error};
    uint64_t last = 0;
    ratoon__window_open(&r->window, UINT64_MAX); /* where this fails: whatever rows there are */
    ratoon_status status = ratoon__rocks_feed_last(r, &last, error);
    if (status == RATOON_OK) {
        /* The window began with a row, and is at most so long. */
        uint64_t from = last > RATOON__WINDOW_MAX ? last - RATOON__WINDOW_MAX : 1;
        status = ratoon__rocks_feed_rows(r, from, UINT64_MAX, row_seen, &g, error);
    }
    if (status == RATOON_OK && g.found.failed) {
        status = no_memory(error);
    }
    if (status == RATOON_OK) {
        status = gather_lineages(&g, found_count(&g));
    }
    if (status == RATOON_OK) {
        if (found_count(&g) > 0) {
            qsort(g.found.data, found_count(&g), sizeof(found), compare);
        }
        settle(&g, end);
    }
    ratoon__buf_free(&g.found);
    return status;
}
