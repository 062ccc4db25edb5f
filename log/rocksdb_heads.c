/* The heads of all lineages, as a seal needs them (Q02): two seeks a lineage, however long it is.
 */
#include "log/digest.h"
#include "log/rocksdb_impl.h"

#include <rocksdb/c.h>

#include <string.h>

typedef struct head {
    ratoon_id lineage;
    uint64_t number, position;
    const char *data;
    size_t size;
} head;

static ratoon_status commit_at(const rocksdb_iterator_t *it, head *out, ratoon_error *error)
{
    size_t key_size;
    size_t size;
    const char *key = rocksdb_iter_key(it, &key_size);
    const char *value = rocksdb_iter_value(it, &size);
    if (key_size != RATOON__COMMIT_KEY || size < RATOON__POSITION_SIZE) {
        return ratoon__fail(error, RATOON_ERR_DAMAGED, "the log holds an entry that is no commit");
    }
    memcpy(out->lineage.bytes, key, sizeof out->lineage.bytes);
    out->number = ratoon__get_be64(key + sizeof out->lineage.bytes);
    out->position = ratoon__get_le64(value);
    out->data = value + RATOON__POSITION_SIZE;
    out->size = size - RATOON__POSITION_SIZE;
    return RATOON_OK;
}

/* The iterator stands at a lineage's first commit. *found: whether there is a head to be shown; its
 * bytes are the iterator's. */
static ratoon_status head_before(rocksdb_iterator_t *it, uint64_t before, head *out, bool *found,
                                 ratoon_error *error)
{
    uint8_t key[RATOON__COMMIT_KEY];
    head first;
    ratoon_status status = commit_at(it, &first, error);
    if (status != RATOON_OK) {
        return status;
    }
    const bool erased = first.number > 1; /* what it begins with is a mark */
    ratoon__commit_key(key, first.lineage, UINT64_MAX);
    *found = false;
    for (rocksdb_iter_seek_for_prev(it, (const char *)key, sizeof key); rocksdb_iter_valid(it);
         rocksdb_iter_prev(it)) {
        status = commit_at(it, out, error);
        if (status != RATOON_OK || !ratoon_id_equal(out->lineage, first.lineage)) {
            break;
        }
        *found = erased || out->position < before;
        if (*found) {
            break;
        }
    }
    out->lineage = first.lineage; /* for going on behind it */
    return status;
}

static ratoon_status iterate(rocksdb_iterator_t *it, ratoon_id after, uint64_t before,
                             ratoon__head_fn fn, void *ctx, ratoon_error *error)
{
    ratoon_status status = RATOON_OK;
    bool stop = false;
    while (status == RATOON_OK && !stop) {
        uint8_t key[RATOON__COMMIT_KEY];
        head at;
        bool found = false;
        ratoon__commit_key(key, after, UINT64_MAX);
        rocksdb_iter_seek(it, (const char *)key, sizeof key);
        if (!rocksdb_iter_valid(it)) {
            break;
        }
        status = head_before(it, before, &at, &found, error);
        if (status == RATOON_OK && found) {
            ratoon_digest digest;
            status = ratoon__sha256(at.data, at.size, &digest);
            stop = status != RATOON_OK || !fn(ctx, at.lineage, at.number, &digest);
        }
        after = at.lineage;
    }
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    return message == NULL
               ? status
               : ratoon__rocks_error(message, "can't read the heads of lineages", error);
}

ratoon_status ratoon__rocks_heads(ratoon__driver *d, ratoon_id after, uint64_t before,
                                  ratoon__head_fn fn, void *ctx, ratoon_error *error)
{
    ratoon__rocks *r = ratoon__rocks_of(d);
    rocksdb_iterator_t *it = NULL;
    /* No group is half way in: what the iterator sees is acknowledged. A seal is kept elsewhere, so
     * what it holds must not be lost by a power failure either. */
    pthread_mutex_lock(&r->writer);
    ratoon_status status = ratoon__rocks_sync(r, error);
    if (status == RATOON_OK) {
        it = rocksdb_create_iterator_cf(r->db, r->scan_options, r->family[RATOON__FAMILY_COMMITS]);
    }
    pthread_mutex_unlock(&r->writer);
    if (status == RATOON_OK) {
        status = iterate(it, after, before, fn, ctx, error);
        rocksdb_iter_destroy(it);
    }
    return status;
}
