/* Reading commits for verification: past the cache, with checksums, and each by a look-up of its
 * key as well, since an index or a filter may be damaged where the data is not. Keys are looked up
 * by the batch: those in one block share the reading of it, which is nearly all that a look-up past
 * the cache costs. */
#include "log/rocksdb_impl.h"

#include <rocksdb/c.h>

#include <string.h>

enum {
    BATCH_COMMITS = 32, /* as many as RocksDB itself looks up together */
    BATCH_BYTES = 256 << 10,
};

typedef struct entry {
    uint8_t key[RATOON__COMMIT_KEY];
    size_t at, size; /* of the value, in the batch's bytes */
} entry;

typedef struct checking {
    ratoon__rocks *r;
    rocksdb_readoptions_t *options; /* one view for iteration and look-ups */
    ratoon__commit_fn fn;
    void *ctx;
    ratoon__buf bytes; /* values, each where 8 divides its place */
    entry entries[BATCH_COMMITS];
    size_t count;
    bool stop;
    ratoon_error *error;
} checking;

static bool take(checking *c, const char *key, const char *value, size_t size)
{
    static const char padding[8];
    entry *e = &c->entries[c->count++];
    memcpy(e->key, key, sizeof e->key);
    e->at = c->bytes.size;
    e->size = size;
    ratoon__buf_add(&c->bytes, value, size);
    ratoon__buf_add(&c->bytes, padding, (8 - size % 8) % 8);
    return !c->bytes.failed;
}

static ratoon_status check_found(const checking *c, const entry *e,
                                 const rocksdb_pinnableslice_t *found)
{
    size_t size = 0;
    const char *bytes = found == NULL ? NULL : rocksdb_pinnableslice_value(found, &size);
    if (bytes != NULL && size == e->size && memcmp(bytes, c->bytes.data + e->at, size) == 0) {
        return RATOON_OK;
    }
    ratoon_id lineage;
    memcpy(lineage.bytes, e->key, sizeof lineage.bytes);
    return ratoon__fail(c->error, RATOON_ERR_DAMAGED,
                        "commit %U of lineage %I is found by iteration, but not by look-up",
                        ratoon__get_be64(e->key + sizeof lineage.bytes), &lineage);
}

static void give(checking *c, const entry *e)
{
    const char *value = c->bytes.data + e->at;
    ratoon_id lineage;
    memcpy(lineage.bytes, e->key, sizeof lineage.bytes);
    c->stop = !c->fn(c->ctx, ratoon__get_le64(value), lineage,
                     ratoon__get_be64(e->key + sizeof lineage.bytes), value + RATOON__POSITION_SIZE,
                     e->size - RATOON__POSITION_SIZE);
}

/* Looks up what was taken, and gives it as far as it is right. */
static ratoon_status check_batch(checking *c)
{
    const char *keys[BATCH_COMMITS];
    size_t sizes[BATCH_COMMITS];
    rocksdb_pinnableslice_t *found[BATCH_COMMITS] = {0};
    char *messages[BATCH_COMMITS] = {0};
    ratoon_status status = RATOON_OK;
    for (size_t i = 0; i < c->count; i++) {
        keys[i] = (const char *)c->entries[i].key;
        sizes[i] = sizeof c->entries[i].key;
    }
    if (c->count > 0) {
        rocksdb_batched_multi_get_cf(c->r->db, c->options, c->r->family[RATOON__FAMILY_COMMITS],
                                     c->count, keys, sizes, found, messages, true);
    }
    for (size_t i = 0; i < c->count; i++) {
        const bool due = status == RATOON_OK && !c->stop;
        if (messages[i] != NULL && due) {
            status = ratoon__rocks_error(messages[i], "can't look up a commit", c->error);
        } else if (messages[i] != NULL) {
            rocksdb_free(messages[i]);
        } else if (due) {
            status = check_found(c, &c->entries[i], found[i]);
            if (status == RATOON_OK) {
                give(c, &c->entries[i]);
            }
        }
        if (found[i] != NULL) {
            rocksdb_pinnableslice_destroy(found[i]);
        }
    }
    c->count = 0;
    c->bytes.size = 0;
    return status;
}

static ratoon_status walk(checking *c, ratoon_id lineage, uint64_t from, bool one_lineage,
                          uint64_t bound)
{
    uint8_t start[RATOON__COMMIT_KEY];
    ratoon__commit_key(start, lineage, from);
    ratoon_status status = RATOON_OK;
    const char *flaw = NULL;
    rocksdb_iterator_t *it =
        rocksdb_create_iterator_cf(c->r->db, c->options, c->r->family[RATOON__FAMILY_COMMITS]);
    for (rocksdb_iter_seek(it, (const char *)start, sizeof start);
         status == RATOON_OK && !c->stop && rocksdb_iter_valid(it); rocksdb_iter_next(it)) {
        size_t key_size;
        size_t size;
        const char *key = rocksdb_iter_key(it, &key_size);
        if (one_lineage && memcmp(key, lineage.bytes, sizeof lineage.bytes) != 0) {
            break;
        }
        const char *value = rocksdb_iter_value(it, &size);
        if (key_size != RATOON__COMMIT_KEY || size < RATOON__POSITION_SIZE) {
            flaw = "the log holds an entry that is no commit";
            break;
        }
        if (ratoon__get_le64(value) > bound) {
            continue;
        }
        if (!take(c, key, value, size)) {
            status = ratoon__fail(c->error, RATOON_ERR_NO_MEMORY, "out of memory");
        } else if (c->count == BATCH_COMMITS || c->bytes.size >= BATCH_BYTES) {
            status = check_batch(c);
        }
    }
    /* What stands before a flaw is given before it is told. */
    if (status == RATOON_OK && !c->stop) {
        status = check_batch(c);
    }
    char *message = NULL;
    rocksdb_iter_get_error(it, &message);
    if (message != NULL && (status != RATOON_OK || c->stop)) {
        rocksdb_free(message);
    } else if (message != NULL) {
        status = ratoon__rocks_error(message, "can't read commits", c->error);
    } else if (flaw != NULL && status == RATOON_OK && !c->stop) {
        status = ratoon__fail(c->error, RATOON_ERR_DAMAGED, "%s", flaw);
    }
    rocksdb_iter_destroy(it);
    return status;
}

ratoon_status ratoon__rocks_read_checked(ratoon__rocks *r, ratoon_id lineage, uint64_t from,
                                         bool one_lineage, ratoon__commit_fn fn, void *ctx,
                                         ratoon_error *error)
{
    checking c = {.r = r, .fn = fn, .ctx = ctx, .error = error};
    /* The boundary first: what it admits is in the view. A lineage that is deleted meanwhile stays
     * in it, for iteration and for look-ups. */
    const uint64_t bound = atomic_load(&r->acked);
    const rocksdb_snapshot_t *view = rocksdb_create_snapshot(r->db);
    c.options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(c.options, view);
    rocksdb_readoptions_set_total_order_seek(c.options, 1);
    rocksdb_readoptions_set_verify_checksums(c.options, 1);
    rocksdb_readoptions_set_fill_cache(c.options, 0);
    const ratoon_status status = walk(&c, lineage, from, one_lineage, bound);
    rocksdb_readoptions_destroy(c.options);
    rocksdb_release_snapshot(r->db, view);
    ratoon__buf_free(&c.bytes);
    return status;
}
