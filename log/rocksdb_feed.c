/* The feed: every acknowledged commit in one total order. A row names the commits of one group. */
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

/* ---- at opening ---- */

ratoon_status ratoon__rocks_feed_end(ratoon__rocks *r, uint64_t *end, ratoon_error *error)
{
    rocksdb_iterator_t *it = feed_iterator(r);
    rocksdb_iter_seek_to_last(it);
    feed_row row = {0};
    ratoon_status status = RATOON_OK;
    if (!rocksdb_iter_valid(it)) {
        status = iterator_status(it, error);
        if (status == RATOON_OK) {
            *end = 0;
        }
    } else if (row_decode(it, &row)) {
        *end = row.first + row.count - 1;
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

ratoon_status ratoon__rocks_feed_check(ratoon__rocks *r, uint64_t positions_max,
                                       ratoon_error *error)
{
    uint64_t end = atomic_load(&r->acked);
    uint64_t expected = 0;
    ratoon_status status = RATOON_OK;
    rocksdb_iterator_t *it = feed_iterator(r);
    for (seek(it, end > positions_max ? end - positions_max : 1);
         status == RATOON_OK && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        feed_row row;
        if (!row_decode(it, &row)) {
            status = damaged_row(error);
            break;
        }
        if (row.first != expected && (expected != 0 || (end <= positions_max && row.first != 1))) {
            status = ratoon__fail(error, RATOON_ERR_DAMAGED,
                                  "the feed goes on at position %U where %U was expected",
                                  row.first, expected == 0 ? UINT64_C(1) : expected);
        }
        for (uint64_t i = 0; status == RATOON_OK && i < row.count; i++) {
            if (row.first + i + LAST_COMMITS > end) {
                status = check_commit(r, row.keys + i * RATOON__COMMIT_KEY, row.first + i, error);
            }
        }
        expected = row.first + row.count;
    }
    if (status == RATOON_OK) {
        status = iterator_status(it, error);
    }
    rocksdb_iter_destroy(it);
    return status;
}

/* ---- reading ---- */

typedef struct tail_reader {
    ratoon__rocks *r;
    ratoon__commit_fn fn;
    void *ctx;
    ratoon__buf scratch;
    uint64_t shown;
    bool stop;
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

/* Shows what there is from one position to another, both included. */
static ratoon_status show_range(tail_reader *t, uint64_t from, uint64_t to, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    rocksdb_iterator_t *it = feed_iterator(t->r);
    for (seek(it, from); status == RATOON_OK && !t->stop && rocksdb_iter_valid(it);
         rocksdb_iter_next(it)) {
        feed_row row;
        if (!row_decode(it, &row)) {
            status = damaged_row(error);
            break;
        }
        if (row.first > to) {
            break;
        }
        uint64_t i = from > row.first ? from - row.first : 0;
        for (; status == RATOON_OK && !t->stop && i < row.count && row.first + i <= to; i++) {
            status = show_at(t, row.keys + i * RATOON__COMMIT_KEY, row.first + i, error);
        }
    }
    if (status == RATOON_OK && !t->stop) {
        status = iterator_status(it, error);
    }
    rocksdb_iter_destroy(it);
    return status;
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
    tail_reader t = {.r = ratoon__rocks_of(d), .fn = fn, .ctx = ctx};
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
            status = show_range(&t, from, to, error);
            from = to + 1; /* all of them deleted: go on after them */
        }
    }
    ratoon__buf_free(&t.scratch);
    return status;
}
