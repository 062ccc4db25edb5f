/* The feed: every acknowledged commit in one total order. Rows name the commits of one group each,
 * or of several; behind them comes the open window (rocksdb_window.c). */
#include "log/rocksdb_impl.h"

#include <rocksdb/c.h>

#include <errno.h>
#include <string.h>

enum { LAST_COMMITS = 8 }; /* looked up at opening */

typedef struct feed_row {
    uint64_t first, count;
    const char *keys; /* lent by the iterator */
} feed_row;

static bool row_decode(rocksdb_iterator_t *it, feed_row *out)
{
    size_t key_size;
    size_t size;
    const char *key = rocksdb_iter_key(it, &key_size);
    out->keys = rocksdb_iter_value(it, &size);
    if (key_size != 8 || size == 0 || size % RATOON__COMMIT_KEY != 0) {
        return false;
    }
    out->first = ratoon__get_be64(key);
    out->count = size / RATOON__COMMIT_KEY;
    return out->first > 0;
}

static ratoon_status damaged_row(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_DAMAGED, "the feed holds an entry that is no group");
}

static ratoon_status iterator_status(const rocksdb_iterator_t *it, ratoon_error *error)
{
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    return message == NULL ? RATOON_OK : ratoon__rocks_error(message, "can't read the feed", error);
}

static rocksdb_iterator_t *feed_iterator(ratoon__rocks *r)
{
    return rocksdb_create_iterator_cf(r->db, r->scan_options, r->family[RATOON__FAMILY_FEED]);
}

/* Puts the iterator on the row that holds a position, or on the first row. */
static void seek(rocksdb_iterator_t *it, uint64_t position)
{
    uint8_t key[8];
    ratoon__put_be64(key, position);
    rocksdb_iter_seek_for_prev(it, (const char *)key, sizeof key);
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    if (message != NULL) {
        rocksdb_free(message); /* it stays with the iterator */
    } else if (!rocksdb_iter_valid(it)) {
        rocksdb_iter_seek_to_first(it);
    }
}

ratoon_status ratoon__rocks_feed_rows(ratoon__rocks *r, uint64_t from, uint64_t to,
                                      ratoon__feed_row_fn fn, void *ctx, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    bool go_on = true;
    rocksdb_iterator_t *it = feed_iterator(r);
    for (seek(it, from); go_on && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        feed_row row;
        if (!row_decode(it, &row)) {
            status = damaged_row(error);
            break;
        }
        go_on = row.first <= to && fn(ctx, row.first, row.keys, row.count);
    }
    if (status == RATOON_OK && go_on) {
        status = iterator_status(it, error);
    }
    rocksdb_iter_destroy(it);
    return status;
}

/* ---- at opening ---- */

ratoon_status ratoon__rocks_feed_last(ratoon__rocks *r, uint64_t *last, ratoon_error *error)
{
    rocksdb_iterator_t *it = feed_iterator(r);
    rocksdb_iter_seek_to_last(it);
    feed_row row = {0};
    ratoon_status status = RATOON_OK;
    if (!rocksdb_iter_valid(it)) {
        status = iterator_status(it, error);
        if (status == RATOON_OK) {
            *last = 0;
        }
    } else if (row_decode(it, &row)) {
        *last = row.first + row.count - 1;
    } else {
        status = damaged_row(error);
    }
    rocksdb_iter_destroy(it);
    return status;
}

/* Whether the lineage of a missing commit was deleted (R20): then the first commit that there is of
 * it comes later. Nothing but a deletion leaves a lineage that begins in its middle, and whether
 * that commit is a mark is for verification to say. */
static bool is_erased(ratoon__rocks *r, const char *key)
{
    uint8_t first[RATOON__COMMIT_KEY] = {0};
    memcpy(first, key, sizeof(ratoon_id));
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, r->get_options, r->family[RATOON__FAMILY_COMMITS]);
    rocksdb_iter_seek(it, (const char *)first, sizeof first);
    size_t size = 0;
    const char *found = rocksdb_iter_valid(it) ? rocksdb_iter_key(it, &size) : NULL;
    const bool erased =
        size == RATOON__COMMIT_KEY && memcmp(found, key, sizeof(ratoon_id)) == 0 &&
        ratoon__get_be64(found + sizeof(ratoon_id)) > ratoon__get_be64(key + sizeof(ratoon_id));
    rocksdb_iter_destroy(it);
    return erased;
}

/* Whether the commit that the feed has at a position says the same position. */
static ratoon_status check_commit(ratoon__rocks *r, const char *key, uint64_t position,
                                  ratoon_error *error)
{
    char *message = NULL;
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned_cf(r->db, r->get_options, r->family[RATOON__FAMILY_COMMITS], key,
                              RATOON__COMMIT_KEY, &message);
    if (message != NULL) {
        return ratoon__rocks_error(message, "can't read a commit", error);
    }
    size_t size = 0;
    const char *value = found == NULL ? NULL : rocksdb_pinnableslice_value(found, &size);
    bool same = size >= RATOON__POSITION_SIZE && ratoon__get_le64(value) == position;
    if (found != NULL) {
        rocksdb_pinnableslice_destroy(found);
    } else {
        same = is_erased(r, key);
    }
    return same ? RATOON_OK
                : ratoon__fail(error, RATOON_ERR_DAMAGED,
                               "the commit at position %U of the feed is missing", position);
}

typedef struct checking {
    ratoon__rocks *r;
    uint64_t end;
    uint64_t commits_max;
    uint64_t expected; /* 0: whatever comes first */
    ratoon_status status;
    ratoon_error *error;
} checking;

static ratoon_status gap(uint64_t found, uint64_t expected, ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_DAMAGED,
                        "the feed goes on at position %U where %U was expected", found, expected);
}

static bool check_row(void *ctx, uint64_t first, const char *keys, uint64_t count)
{
    checking *c = ctx;
    if (c->expected != 0 && first != c->expected) {
        c->status = gap(first, c->expected, c->error);
    }
    for (uint64_t i = 0; c->status == RATOON_OK && i < count; i++) {
        if (first + i + c->commits_max > c->end) {
            c->status = check_commit(c->r, keys + i * RATOON__COMMIT_KEY, first + i, c->error);
        }
    }
    c->expected = first + count;
    return c->status == RATOON_OK;
}

ratoon_status ratoon__rocks_feed_check(ratoon__rocks *r, uint64_t positions_max,
                                       uint64_t commits_max, ratoon_error *error)
{
    const ratoon__window *w = &r->window;
    checking c = {.r = r,
                  .end = atomic_load(&r->acked),
                  .commits_max = commits_max < LAST_COMMITS ? LAST_COMMITS : commits_max,
                  .error = error};
    const bool all = c.end <= positions_max;
    c.expected = all ? 1 : 0;
    ratoon_status status = RATOON_OK;
    if (w->first > 1) {
        status = ratoon__rocks_feed_rows(r, all ? 1 : c.end - positions_max, w->first - 1,
                                         check_row, &c, error);
    }
    if (status == RATOON_OK && c.status == RATOON_OK && w->gap_end != 0) {
        return gap(w->gap_end, w->gap, error);
    }
    if (status == RATOON_OK && c.status == RATOON_OK && w->count > 0) {
        (void)check_row(&c, w->first, (const char *)w->keys, w->count);
    }
    return status != RATOON_OK ? status : c.status;
}

/* ---- reading ---- */

typedef struct tail_reader {
    ratoon__rocks *r;
    ratoon__commit_fn fn;
    ratoon__place_fn place; /* instead of fn */
    void *ctx;
    ratoon__buf scratch;
    ratoon__buf keys;  /* of what is in the open window */
    uint64_t from, to; /* what is to be shown */
    uint64_t shown;
    bool stop;
    ratoon_status status;
    ratoon_error *error;
} tail_reader;

/* Shows the commit at a position; one that isn't there, or elsewhere, was deleted (R20). */
static ratoon_status show_at(tail_reader *t, const char *key, uint64_t position,
                             ratoon_error *error)
{
    ratoon__rocks *r = t->r;
    char *message = NULL;
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned_cf(r->db, r->get_options, r->family[RATOON__FAMILY_COMMITS], key,
                              RATOON__COMMIT_KEY, &message);
    if (message != NULL) {
        return ratoon__rocks_error(message, "can't read a commit", error);
    }
    if (found == NULL) {
        return RATOON_OK;
    }
    size_t size;
    ratoon_status status = RATOON_OK;
    const char *value = rocksdb_pinnableslice_value(found, &size);
    if (size >= RATOON__POSITION_SIZE && ratoon__get_le64(value) == position) {
        const char *data = value + RATOON__POSITION_SIZE;
        size -= RATOON__POSITION_SIZE;
        if ((uintptr_t)data % 8 != 0) {
            t->scratch.size = 0;
            ratoon__buf_add(&t->scratch, data, size);
            data = t->scratch.data;
        }
        if (t->scratch.failed) {
            status = ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
        } else {
            ratoon_id lineage;
            memcpy(lineage.bytes, key, sizeof lineage.bytes);
            t->shown++;
            t->stop = !t->fn(t->ctx, position, lineage,
                             ratoon__get_be64(key + sizeof lineage.bytes), data, size);
        }
    }
    rocksdb_pinnableslice_destroy(found);
    return status;
}

static void show_place(tail_reader *t, const char *key, uint64_t position)
{
    ratoon_id lineage;
    memcpy(lineage.bytes, key, sizeof lineage.bytes);
    t->stop = !t->place(t->ctx, position, lineage, ratoon__get_be64(key + sizeof lineage.bytes));
}

static bool show_row(void *ctx, uint64_t first, const char *keys, uint64_t count)
{
    tail_reader *t = ctx;
    uint64_t i = t->from > first ? t->from - first : 0;
    for (; t->status == RATOON_OK && !t->stop && i < count && first + i <= t->to; i++) {
        const char *key = keys + i * RATOON__COMMIT_KEY;
        if (t->place != NULL) {
            show_place(t, key, first + i);
        } else {
            t->status = show_at(t, key, first + i, t->error);
        }
    }
    return t->status == RATOON_OK && !t->stop;
}

/* Shows what there is from one position to another, both included. */
static ratoon_status show_range(tail_reader *t, uint64_t from, uint64_t to)
{
    t->from = from;
    t->to = to;
    t->keys.size = 0;
    /* Before the rows are looked at: what is in the window no more stands in a row then. */
    const uint64_t window = ratoon__window_copy(t->r, from, to, &t->keys);
    if (t->keys.failed) {
        return ratoon__fail(t->error, RATOON_ERR_NO_MEMORY, "out of memory");
    }
    if (from < window) {
        t->to = to < window ? to : window - 1;
        ratoon_status status = ratoon__rocks_feed_rows(t->r, from, t->to, show_row, t, t->error);
        if (status != RATOON_OK || t->status != RATOON_OK || t->stop) {
            return status != RATOON_OK ? status : t->status;
        }
        t->to = to;
    }
    if (t->keys.size > 0) {
        (void)show_row(t, from > window ? from : window, t->keys.data,
                       t->keys.size / RATOON__COMMIT_KEY);
    }
    return t->status;
}

struct timespec ratoon__deadline_after(uint32_t timeout_ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

/* The boundary once it has reached a position, or what it is when the time is up. */
static uint64_t wait_for(ratoon__rocks *r, uint64_t position, const struct timespec *deadline)
{
    uint64_t acked = atomic_load(&r->acked);
    if (acked >= position) {
        return acked;
    }
    pthread_mutex_lock(&r->state);
    int waited = 0;
    while ((acked = atomic_load(&r->acked)) < position && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&r->moved, &r->state, deadline);
    }
    pthread_mutex_unlock(&r->state);
    return acked;
}

ratoon_status ratoon__rocks_tail(ratoon__driver *d, uint64_t from, uint32_t timeout_ms,
                                 ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    tail_reader t = {.r = ratoon__rocks_of(d), .fn = fn, .ctx = ctx, .error = error};
    struct timespec deadline = ratoon__deadline_after(timeout_ms);
    ratoon_status status = RATOON_OK;
    if (from == 0) {
        from = 1;
    }
    while (status == RATOON_OK && t.shown == 0) {
        uint64_t to = wait_for(t.r, from, &deadline);
        if (to < from) {
            status = ratoon__fail(error, RATOON_ERR_TIMED_OUT,
                                  "no commit at position %U or after it yet", from);
        } else {
            status = show_range(&t, from, to);
            from = to + 1; /* all of them deleted: go on after them */
        }
    }
    ratoon__buf_free(&t.scratch);
    ratoon__buf_free(&t.keys);
    return status;
}

ratoon_status ratoon__rocks_places(ratoon__driver *d, uint64_t from, ratoon__place_fn fn, void *ctx,
                                   ratoon_error *error)
{
    tail_reader t = {.r = ratoon__rocks_of(d), .place = fn, .ctx = ctx, .error = error};
    const uint64_t to = atomic_load(&t.r->acked);
    from = from == 0 ? 1 : from;
    const ratoon_status status = from <= to ? show_range(&t, from, to) : RATOON_OK;
    ratoon__buf_free(&t.keys);
    return status;
}
