/* Reading: heads, commits, values, snapshots. Nothing past the acknowledged boundary is shown. */
#include "log/rocksdb_impl.h"

#include "log/points.h"

#include <rocksdb/c.h>

#include <stdlib.h>
#include <string.h>

static ratoon_status no_memory(ratoon_error *error)
{
    return ratoon__fail(error, RATOON_ERR_NO_MEMORY, "out of memory");
}

static ratoon_status iterator_status(const rocksdb_iterator_t *it, const char *what,
                                     ratoon_error *error)
{
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    return message == NULL ? RATOON_OK : ratoon__rocks_error(message, what, error);
}

/* ---- heads ---- */

/* Number of the last commit at or before a position. */
static ratoon_status last_number(ratoon__rocks *r, ratoon_id lineage, uint64_t bound,
                                 uint64_t *number, ratoon_error *error)
{
    uint8_t key[RATOON__COMMIT_KEY];
    ratoon__commit_key(key, lineage, UINT64_MAX);
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, r->get_options, r->family[RATOON__FAMILY_COMMITS]);
    uint64_t found = 0;
    rocksdb_iter_seek_for_prev(it, (const char *)key, sizeof key);
    for (; rocksdb_iter_valid(it); rocksdb_iter_prev(it)) {
        size_t key_size;
        size_t size;
        const char *at = rocksdb_iter_key(it, &key_size);
        if (key_size != sizeof key || memcmp(at, key, sizeof lineage.bytes) != 0) {
            break;
        }
        const char *value = rocksdb_iter_value(it, &size);
        if (size >= RATOON__POSITION_SIZE && ratoon__get_le64(value) <= bound) {
            found = ratoon__get_be64(at + sizeof lineage.bytes);
            break;
        }
    }
    ratoon_status status = iterator_status(it, "can't read the head of a lineage", error);
    rocksdb_iter_destroy(it);
    if (status == RATOON_OK) {
        *number = found;
    }
    return status;
}

ratoon_status ratoon__rocks_last_number(ratoon__rocks *r, ratoon_id lineage, uint64_t *number,
                                        ratoon_error *error)
{
    return last_number(r, lineage, atomic_load(&r->acked), number, error);
}

ratoon_status ratoon__rocks_head(ratoon__driver *d, ratoon_id lineage, uint64_t *head,
                                 ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    const size_t place = ratoon__hash(&lineage, sizeof lineage) & (RATOON__HEADS_FOUND - 1);
    ratoon__head_found *found = &r->heads_found[place];
    pthread_mutex_lock(&r->state);
    const uint64_t acked = atomic_load(&r->acked);
    bool known = ratoon__slots_get(&r->heads, lineage.bytes, head);
    if (!known && found->head != 0 && found->acked == acked &&
        ratoon_id_equal(found->lineage, lineage)) {
        *head = found->head;
        known = true;
    }
    pthread_mutex_unlock(&r->state);
    if (known) {
        return RATOON_OK;
    }
    uint64_t number = 0;
    const ratoon_status status = last_number(r, lineage, acked, &number, error);
    if (status == RATOON_OK) {
        /* Not among `heads`: those are never old, and this may be. */
        pthread_mutex_lock(&r->state);
        *found = (ratoon__head_found){lineage, number, acked};
        pthread_mutex_unlock(&r->state);
        *head = number;
    }
    return status;
}

/* ---- commits ---- */

/* The bytes of a commit, where a reader may have them: at an address that 8 divides. */
static const char *aligned(const char *data, size_t size, ratoon__buf *scratch)
{
    if ((uintptr_t)data % 8 == 0) {
        return data;
    }
    if (scratch->capacity <= size) {
        ratoon__buf_reserve(scratch, size);
        if (scratch->failed) {
            return NULL;
        }
    }
    return memcpy(scratch->data, data, size);
}

bool ratoon__rocks_commit_at(const rocksdb_iterator_t *it, const ratoon_id *lineage,
                             const char **key, const char **value, size_t *size)
{
    size_t key_size;
    *key = rocksdb_iter_key(it, &key_size);
    if (lineage != NULL && (key_size < sizeof lineage->bytes ||
                            memcmp(*key, lineage->bytes, sizeof lineage->bytes) != 0)) {
        return false;
    }
    *value = rocksdb_iter_value(it, size);
    if (key_size != RATOON__COMMIT_KEY || *size < RATOON__POSITION_SIZE) {
        *value = NULL;
    }
    return true;
}

/* The next entry most likely lies right behind this one in its block: so it comes from memory while
 * this one is looked at. As many bytes as this one has, within reason. */
static inline void prefetch_next(const char *value, size_t size)
{
    enum { LINE = 64, FETCHED_MAX = 1024 };
    const uintptr_t next = (uintptr_t)value + size;
    const size_t count = size < FETCHED_MAX ? size : FETCHED_MAX;
    for (size_t at = 0; at < count + LINE; at += LINE) {
        __builtin_prefetch((const void *)(next + at)); /* of any address: it never faults */
    }
}

/* A walk over commits: those of one lineage, or with `lineage` NULL all. */
typedef struct walk {
    rocksdb_iterator_t *it;
    const ratoon_id *lineage;
    uint64_t bound; /* what lies at a later position is not acknowledged */
    ratoon__buf scratch;
    ratoon__commit_fn fn;
    void *ctx;
    ratoon_error *error;
} walk;

static walk walk_begin(ratoon__driver *d, const ratoon_id *lineage, ratoon__commit_fn fn, void *ctx,
                       ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    /* Who walks over all would leave nothing of use in the cache. */
    const rocksdb_readoptions_t *options = lineage != NULL ? r->run_options : r->verify_options;
    /* The boundary first: what it admits is in the iterator's view. */
    walk w = {
        .lineage = lineage, .bound = atomic_load(&r->acked), .fn = fn, .ctx = ctx, .error = error};
    rocksdb_set_perf_level(RATOON__COUNT_NOTHING);
    w.it = rocksdb_create_iterator_cf(r->db, options, r->family[RATOON__FAMILY_COMMITS]);
    return w;
}

static void walk_end(walk *w)
{
    rocksdb_iter_destroy(w->it);
    rocksdb_set_perf_level(RATOON__COUNT_AS_USUAL);
    ratoon__buf_free(&w->scratch);
}

static void walk_to(walk *w, ratoon_id lineage, uint64_t number)
{
    uint8_t key[RATOON__COMMIT_KEY];
    ratoon__commit_key(key, lineage, number);
    rocksdb_iter_seek(w->it, (const char *)key, sizeof key);
}

/* Shows commits from where it stands up to number `to`. *behind: it stands behind that one now, not
 * somewhere before, because it was told to stop, or at the end. */
static ratoon_status walk_show(walk *w, uint64_t to, bool *behind)
{
    bool go_on = true;
    *behind = false;
    for (; go_on && rocksdb_iter_valid(w->it); rocksdb_iter_next(w->it)) {
        size_t size;
        const char *key, *value;
        if (!ratoon__rocks_commit_at(w->it, w->lineage, &key, &value, &size)) {
            break;
        }
        if (value == NULL) {
            return ratoon__fail(w->error, RATOON_ERR_DAMAGED, RATOON__NO_COMMIT);
        }
        ratoon_id of;
        memcpy(of.bytes, key, sizeof of.bytes);
        const uint64_t number = ratoon__get_be64(key + sizeof of.bytes);
        if (number > to) {
            *behind = true;
            break;
        }
        prefetch_next(value, size);
        const uint64_t position = ratoon__get_le64(value);
        if (position > w->bound) {
            continue;
        }
        size -= RATOON__POSITION_SIZE;
        const char *data = aligned(value + RATOON__POSITION_SIZE, size, &w->scratch);
        if (data == NULL) {
            return no_memory(w->error);
        }
        go_on = w->fn(w->ctx, position, of, number, data, size);
    }
    return go_on ? iterator_status(w->it, "can't read commits", w->error) : RATOON_OK;
}

ratoon_status ratoon__rocks_read(ratoon__driver *d, ratoon_id lineage, uint64_t from,
                                 bool one_lineage, bool verify, ratoon__commit_fn fn, void *ctx,
                                 ratoon_error *error)
{
    if (verify) {
        rocksdb_set_perf_level(RATOON__COUNT_NOTHING);
        const ratoon_status checked = ratoon__rocks_read_checked(ratoon__rocks_of(d), lineage, from,
                                                                 one_lineage, fn, ctx, error);
        rocksdb_set_perf_level(RATOON__COUNT_AS_USUAL);
        return checked;
    }
    bool behind;
    walk w = walk_begin(d, one_lineage ? &lineage : NULL, fn, ctx, error);
    walk_to(&w, lineage, from);
    const ratoon_status status = walk_show(&w, UINT64_MAX, &behind);
    walk_end(&w);
    return status;
}

ratoon_status ratoon__rocks_read_ranges(ratoon__driver *d, ratoon_id lineage, ratoon__range_fn next,
                                        ratoon__commit_fn fn, void *ctx, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    bool behind = false;
    uint64_t from, to = 0;
    walk w = walk_begin(d, &lineage, fn, ctx, error);
    for (uint64_t last = 0; status == RATOON_OK && next(ctx, &from, &to); last = to) {
        if (!behind || from != last + 1) {
            walk_to(&w, lineage, from);
        }
        status = walk_show(&w, to, &behind);
    }
    walk_end(&w);
    return status;
}

/* ---- values ---- */

static ratoon_status give(const void *data, size_t size, ratoon_buffer *out, ratoon_error *error)
{
    char *copy = malloc(size + 1);
    if (copy == NULL) {
        return no_memory(error);
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    copy[size] = '\0';
    *out = (ratoon_buffer){.data = copy, .size = size};
    return RATOON_OK;
}

ratoon_status ratoon__rocks_value_get(ratoon__driver *d, const ratoon_digest *digest,
                                      ratoon_buffer *out, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    char *message = NULL;
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned_cf(r->db, r->get_options, r->family[RATOON__FAMILY_VALUES],
                              (const char *)digest->bytes, sizeof digest->bytes, &message);
    if (message != NULL) {
        return ratoon__rocks_error(message, "can't read a value", error);
    }
    if (found == NULL) {
        return ratoon__fail(error, RATOON_ERR_NOT_FOUND, "the store holds no such value");
    }
    size_t size;
    const char *data = rocksdb_pinnableslice_value(found, &size);
    ratoon_status status = give(data, size, out, error);
    rocksdb_pinnableslice_destroy(found);
    return status;
}

ratoon_status ratoon__rocks_values(ratoon__driver *d, ratoon__digest_fn fn, void *ctx,
                                   ratoon_error *error)
{
    return ratoon__rocks_values_from(d, &(ratoon_digest){{0}}, fn, ctx, error);
}

ratoon_status ratoon__rocks_values_from(ratoon__driver *d, const ratoon_digest *from,
                                        ratoon__digest_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    ratoon_status status = RATOON_OK;
    bool stop = false;
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, r->verify_options, r->family[RATOON__FAMILY_VALUES]);
    for (rocksdb_iter_seek(it, (const char *)from->bytes, sizeof from->bytes);
         status == RATOON_OK && !stop && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t key_size;
        size_t size;
        ratoon_digest digest;
        const char *key = rocksdb_iter_key(it, &key_size);
        const char *value = rocksdb_iter_value(it, &size);
        if (key_size != sizeof digest.bytes) {
            status = ratoon__fail(error, RATOON_ERR_DAMAGED,
                                  "the values hold an entry that is not under a digest");
        } else {
            memcpy(digest.bytes, key, sizeof digest.bytes);
            stop = !fn(ctx, &digest, value, size);
        }
    }
    if (status == RATOON_OK && !stop) {
        status = iterator_status(it, "can't read values", error);
    }
    rocksdb_iter_destroy(it);
    return status;
}

/* ---- snapshots ---- */

enum { SNAPSHOT_KEY = 1 + RATOON__COMMIT_KEY };

static void snapshot_key(uint8_t key[SNAPSHOT_KEY], ratoon_id lineage, uint64_t number)
{
    key[0] = 'n';
    ratoon__commit_key(key + 1, lineage, number);
}

ratoon_status ratoon__rocks_snapshot_get(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                         uint64_t *at, ratoon_buffer *out, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    uint8_t key[SNAPSHOT_KEY];
    snapshot_key(key, lineage, number);
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(r->db, r->scan_options, r->family[RATOON__FAMILY_DERIVED]);
    rocksdb_iter_seek_for_prev(it, (const char *)key, sizeof key);
    ratoon_status status = iterator_status(it, "can't read a snapshot", error);
    if (status == RATOON_OK) {
        size_t key_size = 0;
        const char *found = rocksdb_iter_valid(it) ? rocksdb_iter_key(it, &key_size) : NULL;
        if (key_size != sizeof key || memcmp(found, key, 1 + sizeof lineage.bytes) != 0) {
            status = ratoon__fail(error, RATOON_ERR_NOT_FOUND, "the lineage has no snapshot");
        } else {
            size_t size;
            const char *value = rocksdb_iter_value(it, &size);
            status = give(value, size, out, error);
            if (status == RATOON_OK) {
                *at = ratoon__get_be64(found + 1 + sizeof lineage.bytes);
            }
        }
    }
    rocksdb_iter_destroy(it);
    return status;
}

/* Whether the commit that a snapshot was made of has gone since, because its lineage was deleted.
 */
static bool is_erased(ratoon__rocks *r, ratoon_id lineage, uint64_t number)
{
    uint8_t key[RATOON__COMMIT_KEY];
    ratoon__commit_key(key, lineage, number);
    char *message = NULL;
    rocksdb_pinnableslice_t *found =
        rocksdb_get_pinned_cf(r->db, r->get_options, r->family[RATOON__FAMILY_COMMITS],
                              (const char *)key, sizeof key, &message);
    if (found != NULL) {
        rocksdb_pinnableslice_destroy(found);
        return false;
    }
    if (message != NULL) {
        rocksdb_free(message); /* whoever reads the commit hears of it */
        return false;
    }
    uint64_t last = 0;
    return last_number(r, lineage, UINT64_MAX, &last, NULL) == RATOON_OK && last > number;
}

ratoon_status ratoon__rocks_snapshot_put(ratoon__driver *d, ratoon_id lineage, uint64_t number,
                                         const void *data, size_t size, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    ratoon_status status = ratoon__rocks_writable(r, error);
    if (status != RATOON_OK) {
        return status;
    }
    uint8_t key[SNAPSHOT_KEY];
    snapshot_key(key, lineage, number);
    char *message = NULL;
    /* With `writer` no deletion comes between the look and the put: one that was would have nobody
     * to take the snapshot with it, if this process ended here. */
    pthread_mutex_lock(&r->writer);
    if (!is_erased(r, lineage, number)) {
        ratoon__at(RATOON__POINT_SNAPSHOT_WRITE);
        rocksdb_put_cf(r->db, r->write_plain, r->family[RATOON__FAMILY_DERIVED], (const char *)key,
                       sizeof key, size == 0 ? "" : data, size, &message);
        ratoon__at(RATOON__POINT_SNAPSHOT_WRITTEN);
    }
    pthread_mutex_unlock(&r->writer);
    if (message != NULL) {
        ratoon_error why = {0};
        status = ratoon__rocks_error(message, "can't write a snapshot", &why);
        ratoon__rocks_refuse(r, RATOON_ERR_READ_ONLY, why.message);
        if (error != NULL) {
            *error = why;
        }
    }
    return status;
}
